"""Rows of many curves that are read in pieces: keys and used columns of a batch, whatever is missing left in.

The same columns, the same conversions and the same keys as of a table in memory, batch after batch, in the order of the
rows. What cells of text are as keys is known only when all have been seen: the reader is told, or finds out in a pass
over the keys alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.data import condition as conditions
from katamuki.data.cells import Cells, Marks, is_missing
from katamuki.data.convert import plain
from katamuki.data.labels import key_column, kind_of
from katamuki.data.parts import Part, check_alike
from katamuki.data.selection import Missing
from katamuki.data.streams import BatchTable, Stream
from katamuki.data.unchecked import Loose, loosened
from katamuki.errors import DataError
from katamuki.messages import Phrase
from katamuki.records import Array

WIDER = {"whole": 0, "number": 1, "text": 2}


@dataclass(frozen=True, slots=True)
class Keyed:
    """Rows of a batch that a condition leaves: Arrow ``keys`` (n,), ``arrays`` (n,), and the rows' ``numbers``.

    ``lost`` (n,) as in ``Unchecked``; ``filtered`` and ``dropped`` count the batch's other rows.
    """

    keys: tuple[Any, ...]
    arrays: Mapping[str, Array]
    lost: NDArray[np.bool_] | None
    numbers: NDArray[np.int64]
    filtered: int
    dropped: int

    def __len__(self) -> int:
        return len(self.numbers)


class KeyedReader:
    """Passes over a stream's keys, or keys and used columns.

    Parameters
    ----------
    stream : Stream
        What is read.
    by, used : sequence of str
        Key columns, and the columns that fits read.
    where, missing
        As in ``unchecked``.
    """

    def __init__(
        self, stream: Stream, by: Sequence[str], used: Sequence[str], where: str | None, missing: Missing
    ) -> None:
        self.stream, self.by, self.used, self.missing = stream, tuple(by), tuple(used), missing
        self.condition = None if where is None else conditions.parse(where)
        self.textual = self.condition.textual if self.condition else ()
        tested = (*(self.condition.numeric if self.condition else ()), *self.textual)
        self.tested = tuple(dict.fromkeys(tested))
        self.kinds: dict[str, str] = {}  # of key columns of text, as far as they were seen
        self.silent: set[str] = set()  # such columns whose first cells had no value
        self.types: list[Any] | None = None  # Arrow's, of the keys
        self.marks = [Marks(one.separator, one.decimal) for one in stream.parts]
        check_alike(stream.parts, tuple(dict.fromkeys((*by, *used, *tested))), stream.source.name)

    def batches(self, used: Sequence[str] | None = None) -> Iterator[Keyed]:
        """All rows in batches; only some of the used columns where they are named."""
        self.stream.unchanged()
        wanted = self.used if used is None else tuple(used)
        names = tuple(dict.fromkeys((*self.by, *wanted, *self.tested)))
        row = 0
        for part, marks in zip(self.stream.parts, self.marks, strict=True):
            idle = part.idle(self.condition) if self.condition else {}
            for piece, rows in enumerate(part.pieces):
                if idle.get(piece, False) and rows is not None:  # no row can meet the condition, none lacks a value
                    yield self._nothing(wanted, rows)
                    row += rows
                    continue
                words = frozenset((*self.by, *self.textual))
                for raw in part.batches(piece, names, words, self.stream.batch):
                    n = len(next(iter(raw.values())))
                    yield self._batch(part, marks, raw, wanted, row, n)
                    row += n
        self._spoken()
        self.stream.unchanged()

    def _nothing(self, used: Sequence[str], rows: int) -> Keyed:
        arrays = {name: np.empty(0) for name in used}
        keys = () if self.types is None else tuple(_empty(kind) for kind in self.types)
        return Keyed(keys, arrays, None, np.empty(0, dtype=np.int64), rows, 0)

    def _batch(
        self, part: Part, marks: Marks, raw: Mapping[str, Any], used: Sequence[str], first: int, n: int
    ) -> Keyed:
        numbers = np.arange(first, first + n)
        found = self._loosened(part, marks, raw, used, numbers, n)
        keys = [self._key(raw[name], name, k) for k, name in enumerate(self.by)]
        if found.index is not None:
            keys = [key.take(found.index) for key in keys]
            numbers = numbers[found.index]
        return Keyed(tuple(keys), found.arrays, found.lost, numbers, found.filtered, found.dropped)

    def _loosened(
        self,
        part: Part,
        marks: Marks,
        raw: Mapping[str, Any],
        used: Sequence[str],
        numbers: NDArray[np.int64],
        n: int,
    ) -> Loose:
        columns = {name: plain(raw[name], name) for name in dict.fromkeys((*used, *self.tested))}
        table = BatchTable(part, columns, self.stream.source, marks)
        try:
            return loosened(table, columns, used, self.condition, n, self.missing, numbers)
        except DataError as error:
            if len(self.stream.parts) == 1:
                raise
            what = Phrase(error.key, **error.values)
            raise DataError(error.code, "many.in_part", place=part.place, what=what) from None

    def _key(self, raw: Any, name: str, k: int) -> Any:
        """A key column of a batch, of the type that all batches have."""
        if isinstance(raw, Cells):
            return key_column(raw, name, self._kind(raw.cells, name))
        found = key_column(raw, name)
        if self.types is not None and found.type != self.types[k]:
            return _cast(found, self.types[k], name)
        return found

    def _kind(self, cells: Sequence[str], name: str) -> str:
        """What a batch's cells are, as far as is known: those without a value say nothing before all were seen."""
        kind = self.kinds.get(name)
        if all(is_missing(cell) for cell in cells):
            if kind is None:
                self.silent.add(name)
            return kind or "whole"
        seen = kind_of(cells)
        taken = "whole" if kind is None and name in self.silent else kind or seen
        self.kinds[name] = max(seen, taken, key=WIDER.__getitem__)
        if self.kinds[name] != taken:
            raise Wider
        return taken

    def _spoken(self) -> None:
        """After all cells: columns in which none had a value are text, as in memory."""
        silent = [name for name in self.silent if name not in self.kinds]
        if silent:
            self.kinds |= dict.fromkeys(silent, "text")
            raise Wider

    def types_of(self, batch: Keyed) -> None:
        """Take the keys' types from a batch, where they are not known yet."""
        if self.types is None and len(batch):
            self.types = [key.type for key in batch.keys]


class Wider(Exception):  # noqa: N818  never leaves the pass that counts keys
    """Cells of a key column are of another kind than those before: the pass begins again."""


def _empty(kind: Any) -> Any:
    import pyarrow as pa

    return pa.array([], kind)


def _cast(key: Any, kind: Any, name: str) -> Any:
    """A key column as another part's type."""
    import pyarrow as pa

    try:
        if pa.types.is_dictionary(kind) or pa.types.is_dictionary(key.type):
            return key if key.type == kind else key.cast(kind)
        return key.cast(kind)
    except pa.ArrowException as error:
        cause = str(error).splitlines()[0][:200]
        raise DataError("E-KEY", "data.key_mixed", column=name, cause=cause) from None

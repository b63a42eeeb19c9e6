"""Rows that are read in pieces, once for each pass: what data larger than memory are to a fit.

A source is made of parts (files, or a query), a part of pieces that can be read each by itself, a piece of batches of
rows. Only used columns are read; pieces in which no row can meet the condition are left out, from their statistics;
every batch is narrowed by the same code as a table in memory, so that the same rows are left out, dropped or refused.
Nothing is summed here, and no thread is started.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from katamuki.data import condition as conditions
from katamuki.data.cells import Marks
from katamuki.data.convert import Plain, plain
from katamuki.data.parts import BATCH, Part, check_alike, count_rows
from katamuki.data.selection import Missing, Narrowed, narrowed
from katamuki.data.table import Table
from katamuki.errors import DataError
from katamuki.messages import Phrase
from katamuki.records import Array, Source

LEAST = 1 << 10  # rows of a batch where memory is scarce
ABREAST = 8  # batches for whose threads memory is divided, however many threads there are: it decides what is summed
COPIES = 6  # of a batch's columns that exist while it is read, decoded and summed
SPREAD = 16  # pieces from which the beginnings of all of them are a sample of the whole


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a part: ``first`` is its first row in the part, from 0.

    ``idle``: no row of it can meet the condition; ``known``: and all of them have values in the condition's columns.
    """

    part: int
    number: int
    first: int | None
    rows: int | None
    idle: bool = False
    known: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of a piece: the ``arrays`` of used columns (n,), and how many rows were read, left out and dropped.

    ``first`` is its first row in the piece, from 0, ``index`` which of its rows are kept where not all are.
    """

    arrays: dict[str, Array]
    n: int
    first: int
    read: int
    filtered: int
    dropped: int
    index: NDArray[np.int64] | None


class Stream:
    """A source whose rows pass by.

    Parameters
    ----------
    parts : sequence of Part
        In the order of the rows; at least one.
    known : Source
        What is read, for reports; its rows are -1.
    batch : int
        Rows of a batch.
    abreast : int
        How many batches may be in memory at once.
    """

    road: ClassVar[Literal["stream"]] = "stream"

    def __init__(self, parts: Sequence[Part], known: Source, batch: int = BATCH, abreast: int = ABREAST) -> None:
        self.parts = tuple(parts)
        self.names = parts[0].names
        self.source = known
        self.batch, self.abreast = batch, abreast
        self.stamps = [one.stamp() for one in parts]

    @property
    def rows(self) -> int | None:
        """How many rows, before any is left out; None where they must be counted."""
        counts = [one.rows for one in self.parts]
        return None if None in counts else sum(one for one in counts if one is not None)

    def unchanged(self) -> None:
        """Refuse parts that were written to, or went away, since the source was opened."""
        for part, before in zip(self.parts, self.stamps, strict=True):
            now = part.stamp()
            if now is None and before is not None:
                raise DataError("E-CHANGED", "data.vanished", place=part.place)
            if now != before:
                raise DataError("E-CHANGED", "data.changed", place=part.place)

    def reader(self, used: Sequence[str], where: str | None, missing: Missing) -> Reader:
        """What a fit reads of it."""
        return Reader(self, used, where, missing)


class Reader:
    """Some columns of a stream, without the rows that a condition or missing values leave out."""

    def __init__(self, stream: Stream, used: Sequence[str], where: str | None, missing: Missing) -> None:
        if missing not in ("error", "drop"):
            raise DataError("E-USAGE", "data.missing_option", given=str(missing))
        self.stream, self.used, self.missing = stream, tuple(used), missing
        self.condition = None if where is None else conditions.parse(where)
        self.textual = self.condition.textual if self.condition else ()
        self.tested = tuple(dict.fromkeys((*(self.condition.numeric if self.condition else ()), *self.textual)))
        self.names = tuple(dict.fromkeys((*self.used, *self.tested))) or stream.names[:1]
        self.seen = False  # a pass has been over all rows: what is left out is counted, and nothing is to be refused
        self.comma = False  # a batch of text had decimal commas
        self.marks = [Marks(one.separator, one.decimal) for one in stream.parts]
        self.clean = False  # and every row of every used column is finite
        self.trusting = False  # whoever sums looks at the values: plain doubles are handed over as they are
        check_alike(stream.parts, self.names, stream.source.name)
        self.pieces = self._pieces()

    def _pieces(self) -> list[Piece]:
        found = []
        for k, part in enumerate(self.stream.parts):
            idle = part.idle(self.condition) if self.condition else {}
            first: int | None = 0
            for number, rows in enumerate(part.pieces):
                found.append(Piece(k, number, first, rows, number in idle, idle.get(number, False)))
                first = None if first is None or rows is None else first + rows
        return found

    def spread(self) -> bool:
        """Whether the beginnings of its pieces are a sample of the whole."""
        return len(self.pieces) >= SPREAD and all(one.rows is not None for one in self.pieces)

    def batches(self, piece: Piece, rows: int | None = None) -> Iterator[Batch]:
        """The rows of a piece, in batches of ``rows`` rows, by default those of the stream."""
        part, first = self.stream.parts[piece.part], 0
        if piece.idle and (self.seen or (piece.known and piece.rows is not None)):
            count = piece.rows or 0
            yield Batch({name: np.empty(0) for name in self.used}, 0, 0, count, count, 0, np.empty(0, np.int64))
            return
        names = (self.tested or self.names[:1]) if piece.idle else self.names
        for raw in part.batches(piece.number, names, frozenset(self.textual), rows or self.stream.batch):
            n = len(next(iter(raw.values())))
            yield self._batch(part, piece, raw, first, n)
            del raw
            first += n

    def _batch(self, part: Part, piece: Piece, raw: Mapping[str, Any], first: int, n: int) -> Batch:
        if self.condition is None:
            arrays = _quick(raw, self.used, self.clean or self.trusting)
            if arrays is not None:
                if not self.seen and part.separator is not None:
                    self.marks[piece.part].look(arrays, None, lambda: self._before(piece) + first)
                return Batch(arrays, n, first, n, 0, 0, None)
        found = self._narrowed(part, piece, raw, first, n)
        self.comma = self.comma or found.mark == ","
        return Batch(found.arrays, found.rows, first, n, found.filtered, found.dropped, found.index)

    def _narrowed(self, part: Part, piece: Piece, raw: Mapping[str, Any], first: int, n: int) -> Narrowed:
        used = () if piece.idle else self.used
        columns = {name: plain(raw[name], name) for name in raw}
        source = self.stream.source
        marks = None if self.seen else self.marks[piece.part]
        table = BatchTable(part, columns, source, marks, lambda: self._before(piece) + first)
        try:
            return narrowed(table, columns, used, self.condition, n, self.missing)
        except DataError as error:
            table.before = lambda: 0  # rows are numbered from here on
            raise self._placed(error, part, piece, first, n, table, columns) from None

    def _placed(
        self,
        error: DataError,
        part: Part,
        piece: Piece,
        first: int,
        n: int,
        table: Table,
        columns: Mapping[str, Any],
    ) -> DataError:
        """An error about rows, with their numbers in the file and in all files together."""
        before = self._before(piece)
        own = self._again(np.arange(before + first, before + first + n), n, table, columns) or error
        if len(self.stream.parts) == 1:
            return own
        earlier = [one.rows for one in self.stream.parts[: piece.part]]
        start = sum(self._length(k) if rows is None else rows for k, rows in enumerate(earlier))
        return DataError(
            own.code, "data.in_part", place=part.place, what=Phrase(own.key, **own.values), first=start + 1
        )

    def _again(self, at: NDArray[np.int64], n: int, table: Table, columns: Mapping[str, Any]) -> DataError | None:
        try:
            narrowed(table, columns, self.used, self.condition, n, self.missing, at)
        except DataError as error:
            return error
        return None

    def _before(self, piece: Piece) -> int:
        """The rows of a part before a piece; where nobody knows, they are read again."""
        if piece.first is not None:
            return piece.first
        part = self.stream.parts[piece.part]
        return sum(count_rows(part, k) for k in range(piece.number))

    def _length(self, k: int) -> int:
        part = self.stream.parts[k]
        return sum(count_rows(part, number) for number in range(len(part.pieces)))


class BatchTable(Table):
    """Columns of a batch; decimal marks are compared with those of the batches before it, where that is asked for."""

    __slots__ = ("before", "marks")

    def __init__(
        self,
        part: Part,
        columns: Mapping[str, Any],
        source: Source,
        marks: Marks | None,
        before: Callable[[], int] = lambda: 0,
    ) -> None:
        fetch = partial(_picked, columns)
        super().__init__(tuple(columns), fetch, source, separator=part.separator, decimal=part.decimal)
        self.marks, self.before = marks, before

    def mark(self, raw: Mapping[str, Plain], at: NDArray[np.int64] | None = None) -> str:
        """The decimal mark that the cells of some columns share, in this batch and those before it."""
        found = super().mark(raw, at)
        if self.marks is not None:
            self.marks.look(raw, at, self.before)
        return found


def _picked(columns: Mapping[str, Any], places: Sequence[int], text: Set[int]) -> dict[int, Any]:
    names = tuple(columns)
    return {k: columns[names[k]] for k in places}


def _quick(raw: Mapping[str, Any], used: Sequence[str], clean: bool) -> dict[str, Array] | None:
    """Columns of plain finite doubles as they are; None where a column needs care."""
    found: dict[str, Array] = {}
    for name in used:
        column = raw[name]
        if not isinstance(column, np.ndarray):
            if getattr(column, "null_count", 1) or str(getattr(column, "type", "")) != "double":
                return None
            column = column.to_numpy(zero_copy_only=False) if not hasattr(column, "chunks") else column.to_numpy()
        if column.dtype != np.float64 or not (clean or _finite(column)):
            return None
        found[name] = column
    return found or None


def _finite(column: Array) -> bool:
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.add.reduce(column)) or np.isfinite(column).all())


def batch_rows(columns: int, abreast: int, limit: int) -> int:
    """How many rows a batch may have so that reading ``abreast`` of them keeps to ``limit`` bytes."""
    rows = limit // (8 * COPIES * max(columns, 1) * abreast)
    return int(min(BATCH, max(LEAST, rows)))


def batches_abreast(columns: int, batch: int, limit: int) -> int:
    """How many batches of so many rows may be read at once within ``limit`` bytes; at least one."""
    return int(max(1, limit // (8 * COPIES * max(columns, 1) * batch)))

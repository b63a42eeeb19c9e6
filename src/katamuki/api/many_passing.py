"""Where the curves of many come from while their rows are larger than memory: as much at a time as there is room for.

Where the rows of each curve stand together they are fitted as they pass by. Otherwise one pass scatters them over files
on disk by the hashes of their keys, so that all rows of a curve are in one file, and file after file is taken into
memory; each curve's row of the table then carries the number of the row where its key first appears, and the table is
brought into that order at its end. Keys themselves are compared, never their hashes alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.api.elsewhere import said
from katamuki.api.many_rows import Block, InMemory, Load, Whole, place
from katamuki.api.many_survey import survey
from katamuki.data.key_columns import joined, of_values
from katamuki.data.key_hashes import hashes
from katamuki.data.keyed import Keyed, KeyedReader
from katamuki.data.selection import Missing
from katamuki.data.streams import Stream
from katamuki.errors import DataError
from katamuki.many.grouping import gather, group
from katamuki.many.spilling import Spill, placed
from katamuki.many.table import FIRST, column_of, nothing_of, table_of, width_of
from katamuki.records import Source

ROW, LOST = "_row", "_lost"  # in files of rows
SHARE = 10  # rows taken in at a time are this part of the memory that may be used: they exist several times
MOST = 1 << 27  # bytes of rows that are taken in at a time, at most
LEAST = 1 << 14  # rows of a buffer, at least


class Passing:
    """The curves of a stream.

    Parameters
    ----------
    stream : Stream
        What is read.
    by, used : sequence of str
        Key columns, and the columns that fits read.
    where, missing
        As in ``fit_many``.
    limit : int
        Bytes that may be used.
    threads : int, optional
        For grouping.
    """

    def __init__(
        self, stream: Stream, by: tuple[str, ...], used: Sequence[str], where: str | None, missing: Missing,
        limit: int, threads: int | None,
    ) -> None:  # fmt: skip
        self.reader = KeyedReader(stream, by, used, where, missing)
        self.stream, self.by, self.threads = stream, by, threads
        self.found = survey(self.reader, limit // 4)
        self.limit = limit
        self.width = width_of(self.found.kinds) + 8 * (len(self.reader.used) + 2)  # bytes of a row, about
        self.buffer_rows = max(LEAST, min(limit // SHARE, MOST) // self.width)
        self.together = self.found.together
        self.files = 0 if self.together else max(2, -(-self.found.rows // self.buffer_rows))
        self.curves = self.found.curves
        self.rows = self.found.rows
        self.source: Source = replace(
            stream.source, rows=self.rows, filtered=self.found.filtered, dropped=self.found.dropped, where=where
        )
        self.marks = {0: 0}  # rows of the first so many curves, at the ends of blocks
        self.base = self.base_rows = 0
        self.folder: Path | None = None
        self.buffers: Iterator[tuple[InMemory, Whole]] | None = None
        self.buffer: InMemory | None = None
        self.first: Whole | None = None  # of the buffer's curves: the row of the first appearance
        self._fetched: dict[tuple[object, ...], tuple[Block, Whole]] = {}
        self._foremost: Block | None = None
        self.spill: Spill | None = None

    @property
    def keys(self) -> list[Any]:
        """Empty key columns of the keys' types."""
        return [nothing_of(kind) for kind in self.found.kinds]

    @property
    def order(self) -> tuple[str, ...]:
        """The column that says where a row of the table belongs, where they do not come in their order."""
        return () if self.together else (FIRST,)

    def counted(self, curves: int) -> int:
        """How many rows the first so many curves have."""
        return self.marks.get(curves, self.base_rows)

    def identity(self) -> dict[str, Any]:
        """Names, sizes and times of the files, and how rows are brought together."""
        files = [[Path(str(part.place)).name, repr(part.stamp())] for part in self.stream.parts]
        return {"files": files, "rows": self.rows, "partitions": self.files}

    def take(self, most: int, rows: int) -> tuple[Load, int, int] | None:
        """The next curves."""
        while True:
            taken = None if self.buffer is None else self.buffer.take(most, rows)
            if taken is not None:
                break
            if not self._next():
                return None
        load, curves, count = taken
        assert self.buffer is not None
        end = self.base + self.buffer.at
        self.marks[end] = self.base_rows + self.buffer.counted(self.buffer.at)
        return self._numbered(load, end - curves, curves), curves, count

    def _numbered(self, load: Load, start: int, curves: int) -> Load:
        """A block whose curves are numbered among all; with its order, where rows must be ordered."""
        first, base = self.first, self.base

        def loaded() -> Block:
            block = load()
            keys = block.keys
            if first is not None:
                keys = (*keys, column_of(first[start - base : start - base + curves]))
            return replace(block, first=start, keys=keys)

        return loaded

    def skip(self, curves: int) -> None:
        """Leave out so many."""
        while self.base + (0 if self.buffer is None else self.buffer.curves) < curves and self._next():
            pass
        if self.buffer is not None:
            self.buffer.at = curves - self.base
            self.marks[curves] = self.base_rows + self.buffer.counted(self.buffer.at)

    def _next(self) -> bool:
        """The next buffer; whether there was one."""
        if self.buffers is None:
            self.buffers = self._passing() if self.together else self._spilled()
        if self.buffer is not None:
            self.base += self.buffer.curves
            self.base_rows += self.buffer.counted(self.buffer.curves)
            self.buffer = None
        found = next(self.buffers, None)
        if found is None:
            self.curves = self.base
            return False
        self.buffer, self.first = found[0], None if self.together else found[1]
        if self._foremost is None:  # it is in the first buffer
            k = int(np.argmin(found[1]))
            whole = found[0].block(k, k + 1)
            self._foremost = replace(whole, arrays={name: one.copy() for name, one in whole.arrays.items()})
        return True

    def foremost(self) -> Block | None:
        """The table's first curve."""
        return self._foremost

    def _passing(self) -> Iterator[tuple[InMemory, Whole]]:
        """Buffers of whole curves as their rows pass by; the last curve of each waits for the next."""
        held: list[Keyed] = []
        rows, wanted = 0, self.buffer_rows
        for batch in self.reader.batches():
            held, rows = [*held, batch], rows + len(batch)
            if rows < wanted:
                continue
            together = self._joined(held)
            whole, first = self._grouped(together)
            if whole.curves == 1:
                held, wanted = [together], 2 * rows
                self._room(rows)
                continue
            last = int(whole.offsets[-2])
            held, rows = [_part(together, last)], rows - last
            wanted = max(self.buffer_rows, 2 * rows)
            yield _without_last(whole), first
        if rows:
            yield self._grouped(self._joined(held))

    def _needs(self, rows: int) -> int:
        """Bytes of so many rows, about: they exist several times."""
        return rows * self.width * 4

    def _room(self, rows: int, key: str = "many.curve_memory") -> None:
        """Refuse rows that do not fit: of one curve, or of the curves of a file."""
        needed = self._needs(rows)
        if needed > self.limit:
            raise DataError("E-MEMORY", key, rows=rows, needed=said(needed), limit=said(self.limit))

    def _spilled(self) -> Iterator[tuple[InMemory, Whole]]:
        """Buffers of the curves of one file after the other."""
        arrays = {name: np.empty(0) for name in self.reader.used}
        schema = table_of(self.by, self.keys, self._columns(arrays, np.empty(0, dtype=np.int64), None)).schema
        folder = None if self.folder is None else self.folder / "spill"
        self.spill = Spill(folder, self.files, schema)
        begin = -1  # the file of the table's first curve, which is taken first
        for batch in self.reader.batches():
            if len(batch):
                columns = self._columns(dict(batch.arrays), batch.numbers, batch.lost)
                places = placed(hashes(batch.keys), self.files)
                begin = int(places[0]) if begin < 0 else begin
                self.spill.add(table_of(self.by, batch.keys, columns), places)
        self.spill.end()
        for k in sorted(range(self.files), key=lambda one: one != begin):
            table = self.spill.table(k)
            if len(table):
                rows = self._keyed(table)
                if self._needs(len(table) // 4) > self.limit:
                    alone = len(np.unique(hashes(rows.keys))) == 1
                    self._room(len(table) // 4, "many.curve_memory" if alone else "many.file_memory")
                yield self._grouped(rows)
        self.spill.close()
        self.spill = None

    def _columns(
        self, arrays: dict[str, Any], numbers: Whole, lost: NDArray[np.bool_] | None
    ) -> list[tuple[str, NDArray[Any]]]:
        """What a file of rows holds beside the keys."""
        given = lost if lost is not None else np.zeros(len(numbers), dtype=bool)
        named: list[tuple[str, NDArray[Any]]] = [(" " + name, one) for name, one in arrays.items()]
        return [*named, (ROW, numbers), (LOST, given)]

    def _keyed(self, table: Any) -> Keyed:
        """Rows of a file."""
        columns = {name: table.column(name).combine_chunks() for name in table.column_names}
        arrays = {name: np.ascontiguousarray(columns[" " + name].to_numpy()) for name in self.reader.used}
        lost = columns[LOST].to_numpy(zero_copy_only=False)
        keys = tuple(joined([columns[name]]) for name in self.by)
        return Keyed(keys, arrays, lost if lost.any() else None, columns[ROW].to_numpy(), 0, 0)

    def _joined(self, held: Sequence[Keyed]) -> Keyed:
        """Batches as one."""
        held = [one for one in held if len(one)]
        if len(held) == 1:
            return held[0]
        keys = tuple(joined([one.keys[k] for one in held]) for k in range(len(self.by)))
        arrays = {name: np.concatenate([one.arrays[name] for one in held]) for name in self.reader.used}
        lost = None
        if any(one.lost is not None for one in held):
            lost = np.concatenate([np.zeros(len(one), bool) if one.lost is None else one.lost for one in held])
        return Keyed(keys, arrays, lost, np.concatenate([one.numbers for one in held]), 0, 0)

    def _grouped(self, rows: Keyed) -> tuple[InMemory, Whole]:
        """The curves of some rows, and the row where each first appears."""
        found = group(rows.keys, self.by, threads=self.threads)
        if self.together and not found.together:
            raise DataError("E-CHANGED", "data.changed", place=self.source.name)
        names = list(rows.arrays)
        columns = [rows.arrays[name] for name in names]
        columns += [] if rows.lost is None else [rows.lost.astype(np.float64)]
        beside = gather(columns, found, threads=self.threads)
        whole = InMemory(
            by=self.by,
            source=self.source,
            keys=tuple(key.take(found.first) for key in rows.keys),
            offsets=found.offsets,
            arrays=dict(zip(names, beside, strict=False)),
            lost=None if rows.lost is None else beside[-1] > 0.0,
        )
        return whole, rows.numbers[found.first]

    # Single curves ---------------------------------------------------------------------------------------------------

    def fetch(self, keys: Sequence[tuple[object, ...]]) -> None:
        """Get the rows of some curves, all in one pass."""
        columns = of_values(keys, self.found.kinds)
        sought = None if columns is None else np.unique(hashes(columns))
        held: list[Keyed] = []
        for batch in self.reader.batches():
            if not len(batch):
                continue
            places = np.arange(len(batch)) if sought is None else np.flatnonzero(np.isin(hashes(batch.keys), sought))
            if len(places):
                held.append(_taken(batch, places))
        if not held:
            return
        rows = self._joined(held)
        found = group(rows.keys, self.by, threads=1)
        there = tuple(key.take(found.first) for key in rows.keys)
        codes = np.repeat(np.arange(found.count), np.diff(found.offsets)) if found.codes is None else found.codes
        for key in keys:
            k = place(there, key)
            if k is not None:
                mine = _taken(rows, np.flatnonzero(codes == k))
                offsets = np.array([0, len(mine)])
                self._fetched[tuple(key)] = Block(k, mine.keys, offsets, mine.arrays, mine.lost), mine.numbers

    def curve(self, key: Sequence[object]) -> tuple[Block, Whole | None] | None:
        """The curve of a key, and its rows' numbers in the source; None where there is none."""
        wanted = tuple(key)
        if wanted not in self._fetched:
            self.fetch([wanted])
        return self._fetched.get(wanted)

    def rows_of(self, key: Sequence[object], at: int) -> Block | None:
        """The curve of a key, as ``curve`` finds it."""
        del at  # curves are not numbered as the table is
        found = self.curve(key)
        return None if found is None else found[0]

    def close(self) -> None:
        """Let go of what is on disk."""
        if self.spill is not None:
            self.spill.close()
            self.spill = None


def _taken(rows: Keyed, places: NDArray[np.int64]) -> Keyed:
    """Some rows."""
    arrays = {name: one[places] for name, one in rows.arrays.items()}
    lost = None if rows.lost is None else rows.lost[places]
    return Keyed(tuple(key.take(places) for key in rows.keys), arrays, lost, rows.numbers[places], 0, 0)


def _part(rows: Keyed, first: int) -> Keyed:
    """The rows from one on."""
    arrays = {name: one[first:] for name, one in rows.arrays.items()}
    lost = None if rows.lost is None else rows.lost[first:]
    return Keyed(tuple(key.slice(first) for key in rows.keys), arrays, lost, rows.numbers[first:], 0, 0)


def _without_last(whole: InMemory) -> InMemory:
    """All curves but the last."""
    keys = tuple(key.slice(0, whole.curves - 1) for key in whole.keys)
    return replace(whole, keys=keys, offsets=whole.offsets[:-1])

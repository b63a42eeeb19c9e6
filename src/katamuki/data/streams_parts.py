"""What a stream is made of: Parquet, Arrow, text and JSON files, and DuckDB relations, each read batch by batch.

Parquet's pieces are its row groups; text is read by Arrow's parser block by block, and from where it objects to
anything by the careful reader. Nothing is converted here that a table in memory would not convert in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from katamuki.data import condition as conditions
from katamuki.data.cells import Cells
from katamuki.data.names import IN_MEMORY, Place
from katamuki.data.parts import UnknownPageError
from katamuki.data.table import Table
from katamuki.data.text import TextFile
from katamuki.errors import DataError
from katamuki.records import Array

BUFFER = 1 << 20  # bytes of a column that are read at once
BLOCK = 1 << 22  # bytes of text that are parsed at once
Doubles = Callable[[Path, Any, int, Sequence[str], int], Iterator[list[Array]] | None]
FEW = 16  # record batches of Arrow in a piece


class File:
    """What files have in common."""

    separator: str | None = None
    decimal: str | None = None
    names: tuple[str, ...]
    rows: int | None = None
    schema: Any = None  # of the columns, where the file has one

    def __init__(self, path: Path, place: Place) -> None:
        self.path, self.place = path, place

    @property
    def pieces(self) -> Sequence[int | None]:
        """One piece, whose rows nobody knows."""
        return [self.rows]

    def stamp(self) -> object:
        """Its size and when it was last written to."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns, found.st_ino

    def kinds(self, names: Sequence[str]) -> Mapping[str, str]:
        """Nothing is known of text."""
        del names
        return {}

    def idle(self, condition: conditions.Condition) -> Mapping[int, bool]:
        """Nothing is known of text."""
        del condition
        return {}

    def damaged(self, error: Exception) -> DataError:
        """The error that the file cannot be read, or is no longer there."""
        if not self.path.exists():
            return DataError("E-CHANGED", "data.vanished", place=self.place)
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        return DataError("E-FORMAT", "data.damaged", place=self.place, cause=cause[:200])


class ParquetPart(File):
    """A Parquet file; its pieces are row groups.

    ``doubles`` may read columns of doubles without pyarrow: path, metadata, row group, names and rows at a time become
    columns, or None where it does not read them.
    """

    doubles: Doubles | None = None

    def __init__(self, path: Path, place: Place, metadata: Any) -> None:
        super().__init__(path, place)
        self.metadata, self.schema = metadata, metadata.schema.to_arrow_schema()
        self.names = tuple(self.schema.names)
        self.rows = metadata.num_rows

    @cached_property
    def pieces(self) -> Sequence[int | None]:
        """The rows of the row groups."""
        return [self.metadata.row_group(k).num_rows for k in range(self.metadata.num_row_groups)]

    def kinds(self, names: Sequence[str]) -> Mapping[str, str]:
        """The columns' types."""
        return {name: str(self.schema.field(name).type) for name in names if name in self.names}

    def idle(self, condition: conditions.Condition) -> Mapping[int, bool]:
        """Row groups whose statistics say that the condition holds nowhere."""
        places = {self.metadata.schema.column(j).path: j for j in range(self.metadata.num_columns)}
        wanted = {name: places[name] for name in condition.numeric if name in places}
        found = {}
        for k in range(self.metadata.num_row_groups):
            group, ranges, sure = self.metadata.row_group(k), {}, not condition.textual
            for name, j in wanted.items():
                column = group.column(j)
                seen = column.statistics
                if seen is None or not seen.has_min_max or not isinstance(seen.min, int | float):
                    sure = False
                    continue
                ranges[name] = float(seen.min), float(seen.max)
                # A NaN is in no statistics, so that only whole numbers are known to be there.
                sure = sure and seen.has_null_count and seen.null_count == 0 and isinstance(seen.min, int)
            if not conditions.can_hold(condition, ranges):
                found[k] = sure and len(wanted) == len(condition.numeric)
        return found

    def batches(self, piece: int, names: Sequence[str], text: Set[str], rows: int) -> Iterator[Mapping[str, Any]]:
        """A row group, ``rows`` rows at a time: its pages where they are doubles, else as pyarrow reads them."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        done = 0
        try:
            found = self.doubles(self.path, self.metadata, piece, names, rows) if self.doubles and not text else None
            if found is not None:
                try:
                    for columns in found:
                        yield dict(zip(names, columns, strict=True))
                        done += len(columns[0])
                        del columns  # its arrays are used again
                except UnknownPageError:
                    pass  # pyarrow knows it, or what is wrong with it
                else:
                    return
            with pq.ParquetFile(str(self.path), metadata=self.metadata, buffer_size=BUFFER, pre_buffer=False) as file:
                seen = 0
                for one in file.iter_batches(rows, row_groups=[piece], columns=list(names), use_threads=False):
                    fresh = one.slice(max(done - seen, 0))
                    seen += one.num_rows
                    if fresh.num_rows:
                        yield {name: fresh.column(name) for name in names}
        except (pa.ArrowException, OSError) as error:
            raise self.damaged(error) from None


class ArrowPart(File):
    """An Arrow IPC file; its pieces are some record batches each. A stream of Arrow is one piece."""

    def __init__(self, path: Path, place: Place, schema: Any, stream: bool) -> None:
        super().__init__(path, place)
        self.schema, self.stream = schema, stream
        self.names = tuple(schema.names)

    @cached_property
    def count(self) -> int:
        """How many record batches there are; a stream does not say."""
        if self.stream:
            return 1
        with self._opened() as reader:
            return int(reader.num_record_batches)

    @property
    def pieces(self) -> Sequence[int | None]:
        """Record batches are counted when they are read."""
        return [None] * -(-self.count // FEW)

    def kinds(self, names: Sequence[str]) -> Mapping[str, str]:
        """The columns' types."""
        return {name: str(self.schema.field(name).type) for name in names if name in self.names}

    @contextmanager
    def _opened(self, names: Sequence[str] | None = None) -> Iterator[Any]:
        import pyarrow as pa

        try:
            places = None if names is None else [self.names.index(name) for name in names]
            options = pa.ipc.IpcReadOptions(included_fields=places)
            open_one = pa.ipc.open_stream if self.stream else pa.ipc.open_file
            with pa.OSFile(str(self.path)) as file:
                yield open_one(file, options=options)
        except (pa.ArrowException, OSError) as error:
            raise self.damaged(error) from None

    def batches(self, piece: int, names: Sequence[str], text: Set[str], rows: int) -> Iterator[Mapping[str, Any]]:
        """Some record batches, cut where they are larger than ``rows``."""
        del text
        wanted = range(piece * FEW, min((piece + 1) * FEW, self.count))
        with self._opened(names) as reader:
            for batch in reader if self.stream else (reader.get_batch(k) for k in wanted):
                for first in range(0, batch.num_rows, rows):
                    part = batch.slice(first, rows)
                    yield {name: part.column(name) for name in names}


class TextPart(File):
    """A file of text cells: CSV, TSV and their kin."""

    def __init__(self, file: TextFile) -> None:
        assert isinstance(file.body, Path)
        super().__init__(file.body, file.place)
        self.file = file
        self.names = file.names
        self.separator, self.decimal = file.layout.separator, file.layout.decimal

    def estimate(self) -> int:
        """About how many rows there are, from the lengths of the first ones."""
        with self.path.open("rb") as stream:
            stream.seek(self.file.layout.start)
            seen = stream.read(1 << 16)
        lines = max(seen.count(b"\n"), 1)
        return int(self.path.stat().st_size / max(len(seen), 1) * lines) + 1

    def batches(self, piece: int, names: Sequence[str], text: Set[str], rows: int) -> Iterator[Mapping[str, Any]]:
        """All rows: by Arrow's parser, from where that objects by the careful reader."""
        del piece
        places = {name: self.names.index(name) for name in names}
        words, done = {places[name] for name in text}, 0
        if not self.path.exists():
            raise DataError("E-CHANGED", "data.vanished", place=self.place)
        for found in self.file.blocks(list(places.values()), words, BLOCK):
            length = len(next(iter(found.values())))
            for first in range(0, length, rows):
                yield {name: _part(found[k], first, first + rows) for name, k in places.items()}
            done += length
        left = self.file.records(done)
        while lines := list(islice(left, rows)):
            yield {name: Cells([line[k] for line in lines], self.file.first_bad) for name, k in places.items()}


def _part(column: Any, first: int, last: int) -> Any:
    return Cells(column.cells[first:last], column.bad) if isinstance(column, Cells) else column[first:last]


class JsonPart(File):
    """A file of JSON lines; its columns are those of its first objects."""

    def __init__(self, path: Path, place: Place) -> None:
        super().__init__(path, place)
        names: dict[str, None] = {}
        for _, found in islice(self._objects(), 1000):
            names.update(dict.fromkeys(found))
        self.names = tuple(names)

    def _objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The objects, each with the number of its line."""
        try:
            with self.path.open("rb") as stream:
                for number, line in enumerate(stream, 1):
                    text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                    if not text.strip():
                        continue
                    found = None
                    with suppress(ValueError, RecursionError):
                        found = json.loads(text)
                    if not isinstance(found, dict):
                        raise DataError("E-FORMAT", "data.json", place=self.place, line=number)
                    yield number, found
        except OSError as error:
            raise self.damaged(error) from None

    def batches(self, piece: int, names: Sequence[str], text: Set[str], rows: int) -> Iterator[Mapping[str, Any]]:
        """All objects; a key that one lacks is a missing value there."""
        del piece, text
        objects = self._objects()
        while some := [found for _, found in islice(objects, rows)]:
            yield {name: [one.get(name) for one in some] for name in names}


class OpaquePart:
    """A part of which nothing is known before it is read: one piece of unknown length, without stamp or statistics."""

    @property
    def pieces(self) -> Sequence[int | None]:
        """One."""
        return [None]

    def stamp(self) -> object:
        """Nothing says when it was written to: rows are counted, in every pass."""
        return None

    def kinds(self, names: Sequence[str]) -> Mapping[str, str]:
        """Nothing is known before it is read."""
        del names
        return {}

    def idle(self, condition: conditions.Condition) -> Mapping[int, bool]:
        """Nothing is known before it is read."""
        del condition
        return {}


class RelationPart(OpaquePart):
    """A DuckDB relation: the database runs its query again for each pass."""

    separator = decimal = None
    rows: int | None = None
    place: Place = IN_MEMORY

    def __init__(self, relation: Any, count: Callable[[], int]) -> None:
        self.relation, self.count = relation, count
        self.names = tuple(relation.columns)
        self._rows: int | None = None

    def batches(self, piece: int, names: Sequence[str], text: Set[str], rows: int) -> Iterator[Mapping[str, Any]]:
        """The query's result."""
        del piece, text
        quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
        try:
            with self.relation.project(quoted).to_arrow_reader(rows) as reader:
                for batch in reader:
                    if batch.num_rows:
                        yield {name: batch.column(k) for k, name in enumerate(names)}
        except Exception as error:  # whatever the database raises
            cause = (str(error).splitlines() or [type(error).__name__])[0]
            raise DataError("E-FORMAT", "data.damaged", place=self.place, cause=cause[:200]) from None


class TablePart(OpaquePart):
    """A table that is in memory, or can only be read whole, among others that are not."""

    rows: int | None = None

    def __init__(self, table: Table) -> None:
        self.table, self.place, self.names = table, table.known.name, table.names
        self.separator, self.decimal = table.separator, table.decimal

    def batches(self, piece: int, names: Sequence[str], text: Set[str], rows: int) -> Iterator[Mapping[str, Any]]:
        """All of it."""
        del piece
        raw = self.table.raw([name for name in names if name not in text], sorted(text))
        length = len(next(iter(raw.values())))
        for first in range(0, length, rows):
            yield {name: _part(column, first, first + rows) for name, column in raw.items()}

"""What a worker does to have a partition: reads it, or takes it from Dask; and how its errors name it.

Runs on workers, in their threads; imports no Dask.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from katamuki.data import rows
from katamuki.data.names import Place, some
from katamuki.data.parts import UnknownPageError
from katamuki.data.streams_parts import Doubles
from katamuki.data.table import Table
from katamuki.errors import DataError
from katamuki.messages import Phrase

Given = TypeVar("Given")
ROWS = 1 << 16  # that are read at a time


def stamp(path: str) -> tuple[int, int]:
    """A file's size and when it was last written to: the same for whoever sees it."""
    found = os.stat(path)  # noqa: PTH116  a Path would be made of every partition
    return found.st_size, found.st_mtime_ns


@dataclass(frozen=True, slots=True)
class Piece:
    """Row groups of a Parquet file; ``first`` is the number of its first row in the file, from 0.

    ``stamp`` is the file's size and when it was last written to, as the table was made of it.
    """

    path: str
    groups: tuple[int, ...]
    first: int
    rows: int
    stamp: tuple[int, int] | None = None

    def read(self, names: Sequence[str], doubles: Doubles | None = None) -> Any:
        """The columns as an Arrow table; ``doubles`` may read plain ones without pyarrow, as streams have it."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.path, pre_buffer=False) as file:
                found = self._plain(file.metadata, names, doubles) if doubles else None
                if found is None:
                    found = file.read_row_groups(list(self.groups), columns=list(names), use_threads=False)
            if self.stamp not in (None, stamp(self.path)):
                raise DataError("E-CHANGED", "data.changed", place=self.path)
            return found
        except FileNotFoundError:
            raise DataError("E-FILE", "cluster.no_file", path=self.path) from None
        except (pa.ArrowException, OSError) as error:
            cause = (str(error).splitlines() or [type(error).__name__])[0]
            raise DataError("E-FORMAT", "data.damaged", place=self.path, cause=cause[:200]) from None

    def _plain(self, metadata: Any, names: Sequence[str], doubles: Doubles) -> Any:
        """Columns of plain doubles, each read into one array; None where one is of another kind."""
        import pyarrow as pa

        columns, done = [np.empty(self.rows) for _ in names], 0
        try:
            for group in self.groups:
                found = doubles(Path(self.path), metadata, group, names, ROWS)
                if found is None:
                    return None
                for batch in found:
                    last = done + len(batch[0])
                    for column, part in zip(columns, batch, strict=True):
                        column[done:last] = part
                    done = last
        except (UnknownPageError, ValueError):  # pyarrow knows it, or what is wrong with it
            return None
        return pa.table(columns, names=list(names)) if done == self.rows else None


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition on the worker that works on it: which one it is, and its columns.

    ``number`` counts from 0, ``of`` so many; ``first`` is the number of its first row in ``place``, from 0.
    """

    number: int
    of: int
    place: Place
    first: int
    table: Table

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return len(self.table)

    def guarded(self, work: Callable[[NDArray[np.int64] | None], Given]) -> Given:
        """What some work on its rows gives; an error is told with the partition's name.

        The work is given the numbers of the rows in ``place`` where those are not their numbers in the partition.
        """
        try:
            return work(None)
        except DataError as error:
            found = self._again(work) or error
        raise DataError(
            found.code, "cluster.in_partition", place=self.place, number=self.number + 1, of=self.of,
            what=Phrase(found.key, **found.values),
        )  # fmt: skip

    def _again(self, work: Callable[[NDArray[np.int64] | None], Given]) -> DataError | None:
        if not self.first:
            return None
        try:
            work(np.arange(self.first, self.first + self.rows))
        except DataError as error:
            return error
        return None


def partition(given: Any, number: int, of: int, names: Sequence[str], doubles: Doubles | None = None) -> Partition:
    """A partition from what Dask handed over: a frame, or the piece of a file that is now read."""
    place: Place = Phrase("cluster.partition", number=number + 1, of=of)
    first = 0
    if isinstance(given, Piece):
        place, first = given.path, given.first
        given = given.read(names, doubles)
    table = rows(given)
    if not isinstance(table, Table):
        raise DataError("E-DATA", "data.kind", type=type(given).__name__)
    lacking = [name for name in names if name not in table.names]
    if lacking:
        raise DataError(
            "E-SCHEMA", "cluster.part_lacks", place=place, names=some(lacking), columns=some(table.names, 20)
        )
    return Partition(number, of, place, first, table)

"""Rows on disk while they wait: tables scattered over files, so that each file can be taken into memory by itself.

Rows keep their order within a file. The files are Arrow's, uncompressed, in a folder that goes with them.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.errors import DataError

HELD = 1 << 15  # rows of a file that wait to be written together


class Spill:
    """So many files in a folder.

    Parameters
    ----------
    folder : Path or None
        Where the folder is made; None: where the system keeps temporary files.
    count : int
        How many files.
    schema : pyarrow.Schema
        Of what is written.
    """

    def __init__(self, folder: Path | None, count: int, schema: Any) -> None:
        self.count, self.schema = count, schema
        try:
            if folder is None:
                self.folder = Path(tempfile.mkdtemp(prefix="katamuki-"))
            else:
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                self.folder = folder
        except OSError as problem:
            raise self._full(problem, folder or Path(tempfile.gettempdir())) from None
        self.waiting: list[list[Any]] = [[] for _ in range(count)]
        self.held = np.zeros(count, dtype=np.int64)
        self.writers: list[Any] = [None] * count
        self.rows = np.zeros(count, dtype=np.int64)

    def add(self, table: Any, places: NDArray[np.int64]) -> None:
        """Put each row of a table into the file of its place."""
        order = np.argsort(places, kind="stable")
        edges = np.searchsorted(places[order], np.arange(self.count + 1))
        sorted_ = table.take(order)
        for k in np.flatnonzero(np.diff(edges)):
            first, last = int(edges[k]), int(edges[k + 1])
            self.waiting[k].append(sorted_.slice(first, last - first))
            self.held[k] += last - first
            if self.held[k] >= HELD:
                self._write(int(k))

    def _write(self, k: int) -> None:
        """Write what waits for a file."""
        import pyarrow as pa

        if not self.held[k]:
            return
        table = pa.concat_tables(self.waiting[k]).combine_chunks()
        try:
            if self.writers[k] is None:
                self.writers[k] = pa.ipc.new_stream(str(self.path(k)), self.schema)
            self.writers[k].write_table(table)
        except OSError as problem:
            raise self._full(problem, self.folder) from None
        self.rows[k] += self.held[k]
        self.waiting[k], self.held[k] = [], 0

    def _full(self, problem: OSError, folder: Path) -> DataError:
        cause = problem.strerror or str(problem)
        return DataError("E-OUTPUT", "many.spill", path=str(folder), cause=cause)

    def path(self, k: int) -> Path:
        """The file of a place."""
        return self.folder / f"{k:05d}.arrows"

    def end(self) -> None:
        """Nothing more is added."""
        for k in range(self.count):
            self._write(k)
        try:
            for writer in self.writers:
                if writer is not None:
                    writer.close()
        except OSError as problem:
            raise self._full(problem, self.folder) from None

    def table(self, k: int) -> Any:
        """What was put into a file, in its order; the file goes."""
        import pyarrow as pa

        if not self.rows[k]:
            return self.schema.empty_table()
        with pa.OSFile(str(self.path(k))) as stream:
            found = pa.ipc.open_stream(stream).read_all()
        self.path(k).unlink()
        return found

    def close(self) -> None:
        """Let the folder go."""
        shutil.rmtree(self.folder, ignore_errors=True)


def placed(hashes: NDArray[np.uint64], count: int) -> NDArray[np.int64]:
    """The place of each hash among so many, evenly."""
    return ((hashes >> np.uint64(33)) % np.uint64(count)).astype(np.int64)

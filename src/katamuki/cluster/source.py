"""``katamuki.cluster.table``: what a caller may give as rows on a cluster, and its partitions.

A partition is what a worker reads or has at a time. Parquet files are cut at row groups, each file by itself, by rules
that know the files alone: the same files make the same partitions on any cluster, and so the same bits.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from katamuki.cluster.reading import Piece, stamp
from katamuki.data import rows
from katamuki.data.convert import root
from katamuki.data.names import Place, find
from katamuki.data.parts import check_alike
from katamuki.data.streams_parts import ParquetPart
from katamuki.errors import BackendError, DataError
from katamuki.messages import Phrase
from katamuki.records import Source

FEWEST = 1 << 16  # rows of a partition of Parquet, row groups permitting
MOST = 1 << 28  # bytes of its columns
PARTITIONS = 64  # into which a table between these is cut


@dataclass(frozen=True, slots=True)
class ClusterTable:
    """Rows on a cluster: what ``katamuki.cluster.table`` returns, and ``fit`` and ``fit_many`` take.

    ``frame`` is a Dask DataFrame, or ``parts`` are Parquet files; ``names`` are the columns.
    """

    client: Any
    names: tuple[str, ...]
    source: Source
    frame: Any = None
    parts: tuple[ParquetPart, ...] = ()
    stamps: tuple[tuple[int, int], ...] = ()  # of the files, when the table was made of them
    road: Literal["cluster"] = "cluster"

    def partitions(self, names: Sequence[str], width: int | None = None) -> list[Any]:
        """The partitions with these columns: delayed frames of Dask, or pieces of files; refuses what is not there.

        Files are cut as for ``width`` columns, so that other columns of the same partitions can be had.
        """
        place = self.source.name
        found = [self.names[find(name, self.names, place)] for name in names] or [*self.names[:1]]
        if self.frame is not None:
            labels = dict(zip(self.names, self.frame.columns, strict=True))
            return list(self.frame[[labels[name] for name in found]].to_delayed())
        check_alike(self.parts, found, place)
        return pieces(self.parts, width or len(found), self.stamps)

    @property
    def rows(self) -> int | None:
        """How many rows, where that is known without reading them."""
        return None if self.frame is not None else sum(one.rows or 0 for one in self.parts)

    def place(self, number: int, partitions: Sequence[Any]) -> Place:
        """The name of one of its partitions, counted from 0."""
        one = partitions[number]
        if isinstance(one, Piece):
            return one.path
        return Phrase("cluster.partition", number=number + 1, of=len(partitions))

    def identity(self) -> dict[str, Any]:
        """What tells this table from others: the files as they are now, or Dask's own token."""
        if self.frame is None:
            return {"files": [[str(one.path), str(one.stamp())] for one in self.parts]}
        from dask.base import tokenize

        return {"dask": tokenize(self.frame)}

    def __repr__(self) -> str:
        return f"<ClusterTable {self.source.name}: {', '.join(self.names[:12])}>"


def pieces(parts: Sequence[ParquetPart], columns: int, stamps: Sequence[tuple[int, int] | None] = ()) -> list[Piece]:
    """Files as partitions: row groups in order, as many as make enough rows of so many columns."""
    total = sum(one.rows or 0 for one in parts)
    enough = min(MOST // (8 * max(columns, 1)), max(FEWEST, total // PARTITIONS))
    found = []
    for part, stamped in zip(parts, stamps or [None] * len(parts), strict=True):
        sizes = [rows or 0 for rows in part.pieces]
        groups: list[int] = []
        first = count = 0
        for k, size in enumerate(sizes):
            groups.append(k)
            count += size
            if count >= enough or k == len(sizes) - 1:
                found.append(Piece(str(part.path), tuple(groups), first, count, stamped))
                first, count, groups = first + count, 0, []
    return found


def table(data: object, client: Any = None) -> ClusterTable:
    """Rows on a Dask cluster, for ``katamuki.fit`` and ``katamuki.fit_many``: computed on where they are.

    The worker that has a partition computes its sums, or fits its curves; only small numbers travel.

    Parameters
    ----------
    data : Dask DataFrame, path or pattern
        A string is a path to a Parquet file, a folder of them, or a pattern such as ``"data/*.parquet"``, at the same
        place for all workers.
    client : distributed.Client, optional
        Whose workers compute; by default the current one.

    Returns
    -------
    ClusterTable
        A source like any other; ``names`` are its columns.

    Raises
    ------
    BackendError
        If Dask is not installed (``katamuki[cluster]`` brings it), or there is no client.
    DataError
        If it is no such table, or there is no such file.

    Source
    ------
    Rocklin 2015 (Dask).

    Example
    -------
    >>> import katamuki as km
    >>> try:
    ...     km.cluster.table("data/*.parquet")
    ... except km.BackendError as error:
    ...     print(error.code)
    E-CLUSTER
    """
    found = connected(client)
    if isinstance(data, str | os.PathLike):
        return _files(os.fsdecode(os.fspath(data)), found)
    if root(data) in {"dask", "dask_expr"} and getattr(data, "ndim", 0) == 2 and hasattr(data, "npartitions"):
        return _frame(data, found)
    raise DataError("E-DATA", "cluster.data", type=f"{type(data).__module__}.{type(data).__qualname__}")


def _frame(frame: Any, client: Any) -> ClusterTable:
    """A Dask DataFrame."""
    name = Phrase("cluster.frame", partitions=frame.npartitions)
    return ClusterTable(client, tuple(str(one) for one in frame.columns), Source(name, "dask", -1), frame=frame)


def _files(path: str, client: Any) -> ClusterTable:
    """Parquet files."""
    if "://" in path:
        raise DataError("E-FILE", "cluster.remote", path=path[:200])
    found = rows(str(Path(path).absolute()))
    parts = getattr(found, "parts", ())
    if not parts or not all(isinstance(one, ParquetPart) for one in parts):
        raise DataError("E-FORMAT", "cluster.not_parquet", path=path[:200], kind=found.source.kind)
    known = Source(path, "parquet", -1, files=len(parts))
    stamps = tuple(stamp(str(one.path)) for one in parts)
    return ClusterTable(client, parts[0].names, known, parts=tuple(parts), stamps=stamps)


def connected(client: Any) -> Any:
    """The client that was given, or the current one."""
    try:
        from distributed import Client
        from distributed.client import default_client
    except ImportError:
        raise BackendError("E-BACKEND", "cluster.no_dask") from None
    if client is None:
        try:
            client = default_client()
        except ValueError:
            raise BackendError("E-CLUSTER", "cluster.no_client") from None
    if not isinstance(client, Client):
        raise BackendError("E-CLUSTER", "cluster.client", type=type(client).__name__)
    if client.asynchronous:
        raise BackendError("E-CLUSTER", "cluster.asynchronous")
    return client

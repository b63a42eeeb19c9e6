"""Data whose rows stay where they are: when that is so, and which problem such a source makes.

Memory is estimated before anything is read: rows × used columns × 8 bytes, from the file's own counts or from the
length of its first lines. What does not fit into ``max_memory``, by default a quarter of the machine's, is streamed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import cast

from katamuki.cluster import ClusterTable
from katamuki.data.sql import Queried
from katamuki.data.streams import ABREAST, Stream, batch_rows, batches_abreast
from katamuki.data.streams_parts import File, RelationPart, TextPart
from katamuki.data.table import Table
from katamuki.errors import BackendError, BoundsError, DataError
from katamuki.messages import Phrase
from katamuki.problem import Problem
from katamuki.problem.distant import SAMPLE, Distant, Elsewhere, Wanted
from katamuki.records import Rows, Source

SHARE = 4  # the machine's memory by this is what data may take unasked
UNKNOWN = 1 << 33  # bytes of a machine that does not say how many it has
TEXT = 2  # bytes of a cell of JSON, at least: "1,"
KEPT = 12  # times the sample's columns exist while a search, findings and pictures look at it
FEW = 1000  # rows of a sample, at least


def memory(max_memory: int | None) -> int:
    """The bytes that data may take."""
    if max_memory is not None:
        return max_memory
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // SHARE
    except (AttributeError, OSError, ValueError):
        return UNKNOWN // SHARE


def estimated(table: Table, used: Sequence[str]) -> int:
    """The bytes that the used columns take in memory; 0 where nobody knows before reading."""
    total = 0
    for part in table.parts:
        rows: int | None = part.rows
        if isinstance(part, TextPart):
            rows = part.estimate()
        elif isinstance(part, RelationPart):
            rows = part.count()
        elif rows is None and isinstance(part, File):
            rows = part.path.stat().st_size // (8 if part.schema is not None else TEXT) // max(len(part.names), 1)
        total += (rows or 0) * max(len(used), 1) * 8
    return total


def elsewhere(rows: Rows | Elsewhere, used: Sequence[str], max_memory: int | None) -> Elsewhere | None:
    """The rows as a source that stays where it is; None where they are in memory, or fit into it."""
    if not isinstance(rows, Table):
        return cast(Elsewhere, rows) if hasattr(rows, "road") else None  # isinstance of a Protocol costs 10 µs a fit
    if not rows.parts:
        return None
    limit = memory(max_memory)
    needed = estimated(rows, used)
    if needed <= limit:
        return None
    if rows.time:
        names = ", ".join(rows.time)
        raise DataError("E-STREAM", "stream.time", names=names, needed=said(needed), limit=said(limit))
    least = 2 * 8 * KEPT * FEW * max(len(used), 1)
    if limit < least:
        raise BoundsError("E-MEMORY", "stream.memory", given=said(limit), least=said(least))
    batch = batch_rows(len(used), ABREAST, limit // 2)  # whatever the threads: batches decide how sums are rounded
    return Stream(rows.parts, rows.known, batch, batches_abreast(len(used), batch, limit // 2))


def sample_rows(columns: int, max_memory: int | None) -> int:
    """How many rows a sample may have."""
    return int(max(FEW, min(SAMPLE, memory(max_memory) // (2 * 8 * KEPT * max(columns, 1)))))


def refuse(problem: Problem, what: str) -> None:
    """Refuse what can only be done with rows in memory; ``what`` is a key of the catalogue."""
    if isinstance(problem, Distant):
        problem.close()
        if problem.source.queried:
            raise DataError("E-ROWS", "sql.in_memory", what=Phrase(what))
        raise DataError("E-STREAM", "stream.in_memory", what=Phrase(what))


def refuse_batches(rows: Elsewhere, size: int) -> None:
    """Refuse mini-batches where nobody reads rows one after the other: databases and clusters sum them."""
    if isinstance(rows, Queried):
        raise BackendError("E-BACKEND", "batches.database", size=size, database=rows.database.dialect.name)
    if isinstance(rows, ClusterTable):
        raise BackendError("E-BACKEND", "batches.cluster", size=size)


def refuse_sample(source: Source, what: str, again: bool = False) -> None:
    """Refuse what would take the sample of a fit for its rows; ``what`` is a key of the catalogue.

    ``again``: a fit that was not loaded would read its rows once more.
    """
    if source.sample == 0:
        raise DataError("E-ROWS", "sql.rows", what=Phrase(what))
    if source.sample is not None:
        key = "stream.loaded" if again else "stream.sample"
        raise DataError("E-STREAM", key, what=Phrase(what), sample=source.sample)


def refuse_unseen(source: Source, what: str) -> None:
    """Refuse what needs rows where none are here, not even a sample; ``what`` is a key of the catalogue."""
    if source.sample == 0:
        refuse_sample(source, what)


def said(count: int) -> str:
    """Bytes for a sentence: three digits and a unit."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} B"


def distant(rows: Elsewhere, wanted: Wanted) -> Distant:
    """The problem that the rows of a source make."""
    if isinstance(rows, Stream):
        from katamuki.problem.streamed import StreamedProblem

        return StreamedProblem(rows, wanted)
    if isinstance(rows, Queried):
        from katamuki.problem.queried import QueriedProblem

        return QueriedProblem(rows, wanted)
    if isinstance(rows, ClusterTable):
        from katamuki.problem.clustered import ClusteredProblem

        return ClusteredProblem(rows, wanted)
    raise NotImplementedError(rows.road)

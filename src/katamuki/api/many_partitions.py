"""The curves of one partition of a table on a cluster, on the worker that has it.

Runs on workers. Where a curve's rows lie in several partitions they are cut out of all but one of them, its home, and
brought there first. Every row carries the place of its curve among those of its partition, so that the rows of the
result can be put into the order in which keys first appear in the whole table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.api.many_blocks import Places, Weighing, Work
from katamuki.api.many_one import Road
from katamuki.api.many_rows import Block, InMemory, place
from katamuki.api.many_running import MOST, ROWS
from katamuki.cluster.reading import Partition, partition
from katamuki.cluster.running import same_version
from katamuki.data.key_columns import joined
from katamuki.data.key_hashes import Hashes, hashes
from katamuki.data.labels import key_column
from katamuki.data.names import IN_MEMORY
from katamuki.data.selection import Missing
from katamuki.data.unchecked import Unchecked, unchecked
from katamuki.errors import DataError
from katamuki.many.curves import Curves, Fitted, ManyTask
from katamuki.many.grouping import Grouping, gather, group
from katamuki.many.table import empty, together
from katamuki.many.writing import write
from katamuki.records import Array, Source

Whole = NDArray[np.int64]
NOBODY = np.zeros(0, dtype=np.uint64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is read of a partition, and which version of katamuki asks."""

    by: tuple[str, ...]
    used: tuple[str, ...]
    where: str | None
    missing: Missing
    names: tuple[str, ...]  # all columns that are read: keys, those used, and those of the condition
    of: int  # partitions
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """What a worker that fits is told."""

    look: Look
    road: Road
    task: ManyTask
    weighing: Weighing
    places: Places = None


@dataclass(frozen=True, slots=True)
class Seen:
    """The keys of a partition: how many rows count, how many a condition left out or lacked, how many keys there are.

    ``hashes`` (keys,) sorted; ``kinds`` the keys' Arrow types and ``first`` the first row's key, None where there are
    no rows.
    """

    rows: int
    filtered: int
    dropped: int
    keys: int
    hashes: Hashes
    kinds: tuple[Any, ...] | None
    first: tuple[object, ...] | None = None

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.hashes.nbytes


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a partition: keys (rows,), columns by name, rows where a condition has no value (None: nowhere).

    ``rank`` (rows,) is the place of a row's key among those of its partition; ``numbers`` the rows' own places there.
    """

    keys: tuple[Any, ...]
    arrays: Mapping[str, Array]
    lost: NDArray[np.bool_] | None
    rank: Whole
    numbers: Whole

    def __len__(self) -> int:
        return len(self.rank)

    def taken(self, rows: NDArray[Any]) -> Rows:
        """Some of them, by a mask or by their places."""
        places = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Rows(
            tuple(key.take(places) for key in self.keys),
            {name: one[places] for name, one in self.arrays.items()},
            None if self.lost is None else self.lost[places],
            self.rank[places],
            self.numbers[places],
        )

    def __sizeof__(self) -> int:
        arrays = (*self.arrays.values(), *self.keys, self.rank, self.numbers)
        return object.__sizeof__(self) + sum(int(one.nbytes) for one in arrays)  # what Dask asks


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of the table of fits, of curves that first appear in one partition, and where they stand among its keys.

    ``rows`` (curves,) is how many rows each curve has.
    """

    table: Any
    rank: Whole
    rows: Whole


@dataclass(frozen=True, slots=True)
class Arranged:
    """The fits of all curves that first appear in a partition; ``table`` is None where it was written."""

    table: Any
    curves: int
    rows: int


def seen(given: Any, number: int, *, look: Look) -> Seen:
    """The keys of a partition."""
    same_version(look.version)
    part = partition(given, number, look.of, look.names)
    found, filtered, dropped = loaded(part, look)
    if found is None:
        return Seen(0, filtered, dropped, 0, NOBODY, None)
    kinds = tuple(key.type for key in found.keys)
    of_keys = np.sort(hashes(each_once(found)))
    first = tuple(key[0].as_py() for key in found.keys)
    return Seen(len(found), filtered, dropped, len(of_keys), of_keys, kinds, first)


def told(one: Seen) -> Seen:
    """The same without the hashes, which stay on the worker."""
    return replace(one, hashes=NOBODY)


def hashes_of(one: Seen) -> Hashes:
    """The hashes."""
    return one.hashes


def has_any(one: Seen, *, wanted: Hashes) -> bool:
    """Whether a partition has one of some keys."""
    return bool(np.isin(wanted, one.hashes).any())


def each_once(rows: Rows) -> tuple[Any, ...]:
    """The keys of a partition, each once, in order of first appearance."""
    first = np.empty(int(rows.rank.max()) + 1, dtype=np.int64)
    first[rows.rank[::-1]] = np.arange(len(rows))[::-1]  # the last that is written is the first row
    return tuple(key.take(first) for key in rows.keys)


def loaded(part: Partition, look: Look) -> tuple[Rows | None, int, int]:
    """The rows of a partition that count, None where there are none; how many a condition left out or lacked."""
    read = part.guarded(lambda at: _unchecked(part, look))
    if read is None:
        return None, part.rows, 0
    keys = tuple(key_column(one, name) for one, name in zip(part.table.as_is(look.by), look.by, strict=True))
    numbers = np.arange(part.rows) if read.index is None else read.index
    if read.index is not None:
        keys = tuple(key.take(read.index) for key in keys)
    found = group(keys, look.by, threads=1)
    codes = found.codes
    rank = np.repeat(np.arange(found.count), np.diff(found.offsets)) if codes is None else codes.astype(np.int64)
    return Rows(keys, read.arrays, read.lost, rank, numbers), read.source.filtered, read.source.dropped


def _unchecked(part: Partition, look: Look) -> Unchecked | None:
    try:
        return unchecked(part.table, look.used, look.where, look.missing) if part.rows else None
    except DataError as error:
        if error.code == "E-EMPTY":
            return None
        raise


# Rows on their way home --------------------------------------------------------------------------------------------


def cut(given: Any, number: int, split: Hashes, homes: Whole, *, trip: Trip) -> dict[int, Rows]:
    """The rows of a partition by the partition that is their curve's home.

    ``split`` (s,) are the sorted hashes of its keys that lie in other partitions, too, ``homes`` (s,) where they go.
    """
    look = trip.look
    found, _, _ = loaded(partition(given, number, look.of, look.names), look)
    if found is None:
        return {}
    of_keys = hashes(each_once(found))
    places = np.minimum(np.searchsorted(split, of_keys), len(split) - 1)
    own = np.where(split[places] == of_keys, homes[places], number)[found.rank]
    return {int(home): found.taken(own == home) for home in np.unique(own)}


def picked(things: dict[int, Any], k: int) -> Any:
    """One of several things that a worker has; None where it is not there."""
    return things.get(k)


# Fits --------------------------------------------------------------------------------------------------------------


def fitted(given: Any, number: int, *, trip: Trip) -> dict[int, Part]:
    """The fits of a partition of which no curve lies in another one."""
    look = trip.look
    found, _, _ = loaded(partition(given, number, look.of, look.names), look)
    return {} if found is None else _fitted([(number, found)], trip)


def fitted_together(
    own: dict[int, Rows], number: int, others: Sequence[Rows | None], numbers: Sequence[int], *, trip: Trip
) -> dict[int, Part]:
    """The fits of the curves at home in a partition, with their rows from others, by where each first appears."""
    there = dict(zip(numbers, others, strict=True)) | {number: own.get(number)}
    return _fitted([(k, one) for k, one in sorted(there.items()) if one is not None], trip)


def _fitted(pieces: list[tuple[int, Rows]], trip: Trip) -> dict[int, Part]:
    """The fits of the curves of some rows, which came from partitions in order."""
    if not pieces:
        return {}
    rows = [one for _, one in pieces]
    keys, lost = tuple(map(joined, zip(*(one.keys for one in rows), strict=True))), _joined_lost(rows)
    owner = np.repeat([k for k, _ in pieces], [len(one) for one in rows])
    rank = np.concatenate([one.rank for one in rows])
    arrays = {name: np.concatenate([one.arrays[name] for one in rows]) for name in rows[0].arrays}
    found = group(keys, trip.look.by, threads=1)
    table = _table(_supply(trip.look.by, keys, arrays, lost, found), trip)
    first, order, lengths = owner[found.first], rank[found.first], np.diff(found.offsets)
    parts = {}
    for k in np.unique(first):
        here = np.flatnonzero(first == k)
        whole = len(here) == len(table)
        parts[int(k)] = Part(table if whole else table.take(here), order[here], lengths[here])
    return parts


def _joined_lost(pieces: Sequence[Rows]) -> NDArray[np.bool_] | None:
    if all(one.lost is None for one in pieces):
        return None
    return np.concatenate([np.zeros(len(one), dtype=bool) if one.lost is None else one.lost for one in pieces])


def _supply(
    by: tuple[str, ...], keys: tuple[Any, ...], arrays: Mapping[str, Array], lost: NDArray[np.bool_] | None,
    found: Grouping,
) -> InMemory:  # fmt: skip
    """The curves of some rows, each curve's rows together."""
    names = list(arrays)
    columns = [arrays[name] for name in names] + ([] if lost is None else [lost.astype(np.float64)])
    side_by_side = gather(columns, found, threads=1)
    return InMemory(
        by=by,
        source=Source(IN_MEMORY, "dask", found.rows),
        keys=tuple(key.take(found.first) for key in keys),
        offsets=found.offsets,
        arrays=dict(zip(names, side_by_side, strict=False)),
        lost=None if lost is None else side_by_side[-1] > 0.0,
    )


def _table(supply: InMemory, trip: Trip) -> Any:
    """The rows of the table of all curves."""
    work = Work(trip.road, trip.task, one_thread, trip.weighing, trip.look.missing, trip.look.by,
                places=lambda: trip.places)  # fmt: skip
    tables = []
    while (taken := supply.take(MOST, ROWS)) is not None:
        tables.append(work(taken[0]).table)
    return together(tables)


def one_thread(task: ManyTask, curves: Curves) -> Fitted:
    """The engine: a worker's threads work on a partition each."""
    from katamuki.many.engine import fit_curves

    return fit_curves(task, curves, 1)


# Rows of the result, in order --------------------------------------------------------------------------------------


def arranged(
    own: dict[int, Part],
    number: int,
    others: Sequence[Part | None],
    name: str,
    *,
    trip: Trip,
    kinds: tuple[Any, ...],
    folder: str,
) -> Arranged:
    """The fits of all curves that first appear in a partition, in that order; written to ``folder`` if there is one."""
    there = [one for one in (own.get(number), *others) if one is not None]
    table = empty(trip.look.by, kinds, trip.task.kernel.parameters)
    if there:
        rank = np.concatenate([one.rank for one in there])
        table = together([table, *(one.table for one in there)])
        if len(there) > 1:
            table = table.take(np.argsort(rank, kind="stable"))
    found = Arranged(table, len(table), sum(int(one.rows.sum()) for one in there))
    if folder and len(table):
        write(table, Path(folder) / name)
    return replace(found, table=None) if folder else found


def rows_of_keys(given: Any, number: int, keys: Sequence[tuple[object, ...]], *, look: Look) -> list[Rows | None]:
    """The rows of some curves in a partition, None where it has none of a curve's."""
    rows, _, _ = loaded(partition(given, number, look.of, look.names), look)
    if rows is None:
        return [None] * len(keys)
    there = each_once(rows)
    places = [place(there, key) for key in keys]
    return [None if k is None else rows.taken(rows.rank == k) for k in places]


def one_curve(pieces: Sequence[Rows]) -> Block:
    """The rows of one curve from several partitions as a block."""
    arrays = {name: np.concatenate([one.arrays[name] for one in pieces]) for name in pieces[0].arrays}
    keys = tuple(key.slice(0, 1) for key in pieces[0].keys)
    rows = sum(len(one) for one in pieces)
    return Block(0, keys, np.array([0, rows]), arrays, _joined_lost(pieces))

"""Which rows of a long table belong together, and how they are brought together.

Groups are numbered in the order of their key's first appearance, and the rows of each keep their order. Where the rows
of each group stand together already, sorted or not, nothing is written per row and nothing is moved. Runs of equal keys
are found first, at memory speed; only if a key comes back are keys looked up, one per run or one per row. What a pass
does stands in :mod:`katamuki.many.grouping_passes`, what a key is in :mod:`katamuki.data.key_numbers`. Nothing depends
on how many threads there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.native import Native, address_of
from katamuki.data.key_numbers import numbered
from katamuki.errors import DataError
from katamuki.many import grouping_passes as passes
from katamuki.problem import available_cores
from katamuki.records import Array

Codes = NDArray[np.int32] | NDArray[np.int64]
Whole = NDArray[np.int64]

SLICE = 1 << 20  # rows from which a pass is shared among threads
SPARSE = 4  # whole numbers per row up to which a table takes the place of hashing
BUCKET = 1 << 15  # rows of a bucket, about: a column of them fits in the second-level cache
BUCKETS = 1 << 10  # at most: as many places are written to at a time
SHORT = 2**31 - 1  # groups that codes of four bytes can number


@dataclass(slots=True)
class Grouping:
    """The groups of ``rows`` rows: group g has the rows ``offsets[g]`` to ``offsets[g + 1]`` once they stand together.

    ``count`` groups; ``offsets`` (count + 1,); ``first`` (count,) the row where each group's key appeared first, from
    0; ``codes`` (rows,) the group of each row, or None where the rows of each group stand together as they are.
    """

    rows: int
    count: int
    first: Whole
    codes: Codes | None
    known: Whole | None = None  # the offsets, once they are counted: by ``gather`` on its way, or when asked for

    @property
    def offsets(self) -> Whole:
        """Where groups begin, and the end (count + 1,)."""
        if self.known is None:
            assert self.codes is not None
            self.known = _offsets(np.bincount(self.codes, minlength=self.count))
        return self.known

    @property
    def together(self) -> bool:
        """Whether the rows of each group stand together as they are."""
        return self.codes is None


def group(
    columns: Sequence[object],
    names: Sequence[str] | None = None,
    *,
    allow: Callable[[int], None] | None = None,
    threads: int | None = None,
) -> Grouping:
    """Group rows by one or several columns of keys.

    Two rows belong together where all their keys are equal. Missing keys (None, null, NaN, NaT) are equal to each
    other, as in SQL.

    Parameters
    ----------
    columns : sequence of (n,) columns
        Arrays, Arrow arrays, Series or lists: whole numbers, text, booleans, times, floats, decimals, dictionaries.
    names : sequence of str, optional
        Their names, for errors.
    allow : function, optional
        Called with the number of groups before anything but the keys' numbers is kept for each; it may raise.
    threads : int, optional
        By default one per core; the result does not depend on it.

    Returns
    -------
    Grouping
        Groups in the order of first appearance. Beside the data it needs 4 bytes a row where rows must be moved, and
        8 more while it is made of keys other than whole numbers of 64 bits.

    Raises
    ------
    DataError
        Where a column cannot be a key, or the columns differ in length.

    Source
    ------
    Knuth, The Art of Computer Programming 3, section 6.4.

    Example
    -------
    >>> found = group([["b", "a", "b"]])
    >>> found.count, found.offsets.tolist(), found.first.tolist(), found.codes.tolist()
    (2, [0, 2, 3], [0, 1], [0, 1, 0])
    """
    names = names or [""] * len(columns)
    cores = threads or available_cores()
    found: Grouping | None = None
    for k, (column, name) in enumerate(zip(columns, names, strict=True)):
        keys = numbered(column, name)
        if found is not None and len(keys) != found.rows:
            rows, count = found.rows, len(keys)
            raise DataError("E-SHAPE", "many.keys_length", column=names[0], other=name, rows=rows, count=count)
        last = allow if k + 1 == len(columns) else None
        if found is not None:
            one = _number(keys, None, cores)
            keys = _codes(found).astype(np.int64) * one.count
            keys += _codes(one)
        found = _number(keys, last, cores)
    if found is None:
        raise ValueError("no columns of keys")
    return found


def _codes(found: Grouping) -> Codes:
    """The group of each row."""
    if found.codes is not None:
        return found.codes
    codes = _room(found.rows, found.count)
    numbers = np.arange(found.count, dtype=codes.dtype)
    _of(passes.spread_passes, codes)(*_at(found.offsets), found.count, *_at(numbers, codes))
    return codes


def _room(rows: int, groups: int) -> Codes:
    """Room for the codes of rows, as wide as so many groups need."""
    return np.empty(rows, np.int32) if groups <= SHORT else np.empty(rows, np.int64)


def _number(keys: Whole, allow: Callable[[int], None] | None, threads: int) -> Grouping:
    """The grouping of whole numbers."""
    n = len(keys)
    if n == 0:
        if allow is not None:
            allow(0)
        return Grouping(0, 0, np.zeros(0, dtype=np.int64), None, np.zeros(1, dtype=np.int64))
    slices = _slices(n, threads)
    scans = np.empty((len(slices), 5), dtype=np.int64)
    _share(
        [(passes.scan_pass, (*_at(keys), *ends, *_at(one))) for ends, one in zip(slices, scans, strict=True)], threads
    )
    runs = 1 + int(scans[:, passes.CHANGES].sum())
    sorted_ = not scans[:, passes.FALLS].any() or not scans[:, passes.RISES].any()
    if sorted_:
        if allow is not None:
            allow(runs)
        offsets = _starts(keys, slices, scans, runs, threads)
        return Grouping(n, runs, offsets[:-1], None, offsets)
    lowest, highest = int(scans[:, passes.LOWEST].min()), int(scans[:, passes.HIGHEST].max())
    if runs > n // 2:
        return _by_row(keys, lowest, highest, allow)
    starts = _starts(keys, slices, scans, runs, threads)
    heads = _by_row(keys[starts[:-1]], lowest, highest, allow)
    if heads.count == runs:
        return Grouping(n, runs, starts[:-1], None, starts)
    numbers = _codes(heads)
    codes = np.empty(n, dtype=numbers.dtype)
    _of(passes.spread_passes, codes)(*_at(starts), runs, *_at(numbers, codes))
    sizes = np.bincount(numbers, weights=np.diff(starts), minlength=heads.count).astype(np.int64)
    return Grouping(n, heads.count, starts[heads.first], codes, _offsets(sizes))


def _by_row(keys: Whole, lowest: int, highest: int, allow: Callable[[int], None] | None) -> Grouping:
    """Look every key up."""
    n = len(keys)
    codes = _room(n, n)
    first = np.empty(n, dtype=np.int64)  # touched as far as there are groups
    width = highest - lowest + 1
    if width <= SPARSE * n + 1024:
        table = np.full(width, -1, dtype=codes.dtype)
        found = _of(passes.table_passes, codes)(*_at(keys), n, lowest, *_at(table, codes, first))
    else:
        found = _hash(keys, codes, first)
    if allow is not None:
        allow(found)
    return Grouping(n, found, first[:found].copy(), codes)


def _hash(keys: Whole, codes: Codes, first: Whole) -> int:
    """Number keys with a table that grows; how many there are."""
    n, row, shift = len(keys), 0, 64 - 16
    facts, slots = np.zeros(1, dtype=np.int64), np.full(2 << 16, -1, dtype=np.int64)
    call = _of(passes.hash_passes, codes)
    while True:
        row = call(*_at(keys), row, n, shift, 1 << (63 - shift), *_at(slots, facts, codes, first))
        if row == n:
            return int(facts[0])
        shift -= 1
        slots = np.full(2 << (64 - shift), -1, dtype=np.int64)
        passes.rehash_pass(*_at(keys), int(facts[0]), shift, *_at(slots, first))


def _starts(keys: Whole, slices: list[tuple[int, int]], scans: Whole, runs: int, threads: int) -> Whole:
    """Where runs of equal keys begin, and the end (runs + 1,)."""
    before = np.cumsum(scans[:, passes.CHANGES]) - scans[:, passes.CHANGES] + 1
    before[0] = 0
    if len(slices) == 1:
        starts = np.empty(runs + 1, dtype=np.int64)
        passes.starts_pass(*_at(keys), 0, len(keys), 0, *_at(starts))
    else:  # each slice writes one place too far
        parts = [np.empty(int(one) + 2, dtype=np.int64) for one in scans[:, passes.CHANGES]]
        _share(
            [
                (passes.starts_pass, (*_at(keys), *ends, 0, *_at(part)))
                for ends, part in zip(slices, parts, strict=True)
            ],
            threads,
        )
        sizes = np.diff([*before, runs])
        starts = np.concatenate(
            [part[:size] for part, size in zip(parts, sizes, strict=True)] + [np.empty(1, np.int64)]
        )
    starts[runs] = len(keys)
    return starts


def gather(columns: Sequence[Array], grouping: Grouping, *, threads: int | None = None) -> tuple[Array, ...]:
    """Columns with the rows of each group together, groups in their order, rows of a group in theirs.

    Parameters
    ----------
    columns : sequence of (n,) float64
        Contiguous.
    grouping : Grouping
        Of the same n rows.
    threads : int, optional
        By default one per core; the result does not depend on it.

    Returns
    -------
    tuple of (n,) float64
        New arrays, and 4 bytes a row meanwhile; the very same ones where the rows stand together already.

    Raises
    ------
    ValueError
        If a column has another length.

    Source
    ------
    Satish et al. 2010 ("Fast sort on CPUs and GPUs"), buckets that fit in the cache.

    Example
    -------
    >>> gather([np.array([1.0, 2.0, 3.0])], group([["b", "a", "b"]]))[0].tolist()
    [1.0, 3.0, 2.0]
    """
    if any(len(one) != grouping.rows for one in columns):
        raise ValueError("columns and grouping differ in length")
    codes, n, k = grouping.codes, grouping.rows, len(columns)
    if codes is None or not k:
        return tuple(columns)
    cores = threads or available_cores()
    columns = [np.ascontiguousarray(one, dtype=np.float64) for one in columns]
    outs = tuple(np.empty(n) for _ in columns)
    sources, targets = (np.array([address_of(one) for one in group_], dtype=np.int64) for group_ in (columns, outs))
    shift = _shift(grouping)
    buckets = ((grouping.count - 1) >> shift) + 1
    slices = _slices(n, cores)
    counts = np.zeros((len(slices), buckets), dtype=np.int64)
    counted = [
        (_of(passes.count_passes, codes), (*_at(codes), *ends, shift, *_at(one)))
        for ends, one in zip(slices, counts, strict=True)
    ]
    _share(counted, threads)
    begins = _offsets(counts.sum(axis=0))  # rows at which buckets begin, and the end
    cursors = begins[:-1] + np.cumsum(counts, axis=0) - counts
    moved = np.empty_like(codes)
    tables = (*_at(sources, targets), k)

    def send(part: int) -> None:
        edges, places, block = np.empty(buckets + 1, np.int64), np.empty(passes.BLOCK, np.int32), np.empty(passes.BLOCK)
        own, call = np.empty(passes.BLOCK, codes.dtype), _of(passes.bucket_passes, codes)
        here = (*_at(codes), *slices[part], shift, buckets, *_at(cursors[part]))
        call(*here, *tables, *_at(moved, edges, places, own, block))

    _share([(send, (part,)) for part in range(len(slices))], threads)
    grouping.known = _settle(moved, begins, grouping.count, shift, targets, k, cores)
    return outs


def _settle(moved: Codes, begins: Whole, count: int, shift: int, targets: Whole, k: int, threads: int) -> Whole:
    """The second scatter: one bucket after the other, shared among threads; where groups begin, and the end."""
    offsets = np.empty(count + 1, dtype=np.int64)
    offsets[count] = len(moved)
    largest, shares = int(np.diff(begins).max()), len(_slices(len(moved), threads))
    call = _of(passes.settle_passes, moved)

    def work(part: int) -> None:
        kept, places, cursors = np.empty(largest), np.empty(largest, np.int64), np.empty(1 << shift, np.int64)
        for bucket in range(part, len(begins) - 1, shares):
            first = bucket << shift
            here = (*_at(moved), *begins[bucket : bucket + 2].tolist(), first, min(count - first, 1 << shift))
            call(*here, *_at(offsets, cursors, targets), k, *_at(kept, places))

    _share([(work, (part,)) for part in range(shares)], threads)
    return offsets


def _shift(grouping: Grouping) -> int:
    """Groups per bucket, as a power of two."""
    buckets = min(BUCKETS, max(1, grouping.rows // BUCKET))
    return max(0, (-(-grouping.count // buckets) - 1).bit_length())


def _offsets(sizes: Whole) -> Whole:
    offsets = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets


def _slices(n: int, threads: int) -> list[tuple[int, int]]:
    """The rows of each thread."""
    count = max(1, min(threads, n // SLICE))
    edges = [n * k // count for k in range(count + 1)]
    return list(pairwise(edges))


def _share(tasks: Sequence[tuple[Callable[..., object], tuple[Any, ...]]], threads: int | None) -> None:
    """Call functions with their arguments, each in a thread of its own; this thread takes the first."""
    if len(tasks) == 1:
        call, arguments = tasks[0]
        call(*arguments)
        return
    with ThreadPoolExecutor(len(tasks) - 1) as pool:
        running = [pool.submit(call, *arguments) for call, arguments in tasks[1:]]
        call, arguments = tasks[0]
        call(*arguments)
        for one in running:
            one.result()


def _at(*arrays: NDArray[Any]) -> tuple[int, ...]:
    """Addresses; the caller keeps the arrays alive."""
    return tuple(address_of(one) for one in arrays)


def _of(pair: tuple[Native, Native], codes: Codes) -> Native:
    """The pass for codes of this width."""
    return pair[0] if codes.dtype == np.int32 else pair[1]

"""The sums of one partition, on the worker that has it; and how the sums of several are merged.

Runs on workers. Columns are converted once and stay there between passes, where there is room; the kernel is compiled
once for each worker, or loaded from that machine's cache. One thread works on a partition, in the order of its rows, so
that a partition's sums are the same bits on any worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal, localcontext
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.native import address_of
from katamuki.cluster.reading import Partition, partition
from katamuki.cluster.running import same_version
from katamuki.data import condition as conditions
from katamuki.data.selection import Narrowed, narrowed
from katamuki.problem import Problem, passes
from katamuki.problem.blocks import Counts
from katamuki.problem.distant import Wanted
from katamuki.problem.double_double import double_double_pass
from katamuki.problem.pages import doubles
from katamuki.problem.streamed import DIGITS
from katamuki.records import Array

Pass = Literal["squares", "sums", "folded", "exact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What a worker is told once: what a fit wants, and which version of katamuki asks."""

    wanted: Wanted
    names: tuple[str, ...]  # the columns that are read: those used, and those of the condition
    of: int  # partitions
    version: str


class Held:
    """A partition's rows that count, as a problem needs them; kept by a worker between passes.

    Parameters
    ----------
    wanted : Wanted
        What the fit wants.
    found : Narrowed
        The used columns.
    counts : Counts
        What does not depend on parameters, as far as it is known.
    y, weights : (n,) float64
        The response, and w or None.
    first : int
        The number of the partition's first row in its file or partition, from 0.
    """

    __slots__ = ("_problem", "arrays", "counts", "index", "n", "wanted", "weights", "y")

    def __init__(self, wanted: Wanted, found: Narrowed, counts: Counts, y: Array, weights: Array | None) -> None:
        self.wanted = wanted
        self.arrays = found.arrays
        self.index = found.index
        self.n = found.rows
        self.counts = counts
        self.y = y
        self.weights = weights
        self._problem: Problem | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        found = Narrowed(self.arrays, self.index, self.n, 0, 0, 0, None)
        return Held, (self.wanted, found, self.counts, self.y, self.weights)

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays; one that is response and column counts once."""
        arrays = [*self.arrays.values(), self.y, self.weights, self.index]
        return sum({id(one): one.nbytes for one in arrays if one is not None}.values())

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes  # what Dask asks before it moves data or spills it

    @property
    def problem(self) -> Problem:
        """The partition as a problem of its own, on one thread; there are rows."""
        if self._problem is None:
            wanted = self.wanted
            columns = [self.arrays[name] for name in wanted.kernel.columns]
            rows = (columns, self.y, self.weights)
            self._problem = Problem(wanted.kernel, *rows, wanted.values, wanted.free, threads=1)
        return self._problem


def held(given: Any, number: int, *, errand: Errand) -> Held:
    """A partition made ready for passes."""
    same_version(errand.version)
    part = partition(given, number, errand.of, errand.names, doubles)
    return part.guarded(lambda at: _held(part, errand.wanted, at))


def _held(part: Partition, wanted: Wanted, at: NDArray[np.int64] | None) -> Held:
    condition = None if wanted.where is None else conditions.parse(wanted.where)
    numeric = tuple(dict.fromkeys((*wanted.used, *(condition.numeric if condition else ()))))
    raw = part.table.raw(numeric, condition.textual if condition else ())
    found = narrowed(part.table, raw, wanted.used, condition, part.rows, wanted.missing, at)
    counts = Counts(part.rows, found.filtered, found.dropped, found.rows)
    if not found.rows:
        return Held(wanted, found, counts, np.empty(0), None)
    found = replace(found, arrays={name: np.ascontiguousarray(one) for name, one in found.arrays.items()})
    y = wanted.left(found.arrays)
    made = Held(wanted, found, counts, y, wanted.weigh(found.arrays, found.rows))
    problem, w = made.problem, made.weights
    counts.weight = float(found.rows) if w is None else float(w.sum())
    counts.mean = float(y.sum() if w is None else w @ y) / counts.weight
    counts.square, counts.spread = problem.tss_about_zero, problem.tss
    return made


Taken = tuple[dict[str, Array], NDArray[np.int64]]


def seen(one: Held, n: int, places: NDArray[np.int64] | None) -> tuple[Counts, int, Taken | None]:
    """What a partition's rows are, how many bytes they take, and some of them, where there are ``n`` that count."""
    return one.counts, one.nbytes, None if places is None or one.n != n else taken(one, places)


def taken(one: Held, places: NDArray[np.int64]) -> Taken:
    """Some of the rows that count: used columns, and the rows' numbers in the partition, from 0."""
    return {name: array[places] for name, array in one.arrays.items()}, places if one.index is None else one.index[
        places
    ]


def summed(one: Held, *, what: Pass, values: Array) -> Any:
    """A pass over a partition at all parameters (all_p,)."""
    p, q = len(one.wanted.free), len(one.wanted.free) + 1
    if what == "exact":
        return exact(one, values)
    sizes = {"squares": len(values), "sums": 1 + p + p * q // 2, "folded": 1 + q * q}
    if not one.n:
        return np.zeros(sizes[what])
    problem = one.problem
    if what == "squares":
        return np.array([problem.rss(one) for one in values])
    if what == "sums":
        return problem.normal(values)
    problem.ill = problem.rough = True  # by blocked QR, whatever the normal equations would leave
    return problem.triangle(values)


def exact(one: Held, values: Array) -> list[Decimal] | None:
    """``sums`` with 31 digits, of a formula that is linear in its free parameters; None where one is not finite."""
    p = len(one.wanted.free)
    terms = 1 + p + p * (p + 1) // 2
    if not one.n:
        return [Decimal(0)] * terms
    problem = one.problem
    w = problem.weights
    room, lanes, out = np.zeros(512 * (1 + problem.all_p)), np.empty(512 * terms), np.empty(2 * terms)
    double_double_pass(
        problem.kernel.double_double_address,
        problem.columns_address,
        address_of(values),
        problem.y_address,
        0 if w is None else address_of(w),
        int(w is not None),
        0,
        problem.n,
        problem.layout.free_address,
        p,
        problem.all_p,
        address_of(room),
        address_of(lanes),
        address_of(out),
    )
    if not np.isfinite(out).all():
        return None
    with localcontext(Context(prec=DIGITS)):
        return [Decimal(h) + Decimal(t) for h, t in zip(out[::2].tolist(), out[1::2].tolist(), strict=True)]


# Merging -------------------------------------------------------------------------------------------------------------


def added(parts: list[Array]) -> Array:
    """Sums of several partitions, in their order."""
    total = parts[0].copy()
    for one in parts[1:]:
        total += one
    return total


def folded(parts: list[Array]) -> Array:
    """Triangles of several partitions as one, in their order."""
    q = round(np.sqrt(len(parts[0]) - 1))
    total, room, order = parts[0].copy(), np.empty(256 * q), np.arange(q, dtype=np.int64)
    for one in parts[1:]:
        passes.merge_triangles(address_of(total), q, address_of(one), address_of(room), address_of(order))
    return total


def exactly(parts: Sequence[list[Decimal] | None]) -> list[Decimal] | None:
    """Sums of 31 digits of several partitions."""
    found = [one for one in parts if one is not None]
    if len(found) < len(parts):
        return None
    with localcontext(Context(prec=DIGITS)):
        return [sum(column, Decimal(0)) for column in zip(*found, strict=True)]


MERGES: Mapping[str, Any] = {"squares": added, "sums": added, "folded": folded, "exact": exactly}


def once(given: Any, number: int, *, errand: Errand, what: Pass, values: Array) -> Any:
    """A pass over a partition that is read for it and not kept."""
    return summed(held(given, number, errand=errand), what=what, values=values)


def seen_once(given: Any, number: int, n: int, places: NDArray[np.int64] | None, *, errand: Errand) -> Any:
    """What a partition's rows are, and some of them; they are not kept."""
    return seen(held(given, number, errand=errand), n, places)


def taken_once(given: Any, number: int, places: NDArray[np.int64], *, errand: Errand) -> Any:
    """Some of the rows of a partition that is read for it and not kept."""
    return taken(held(given, number, errand=errand), places)


def whole(given: Any, number: int, *, errand: Errand) -> tuple[dict[str, Array], Array | None]:
    """The used columns of a partition and w, for whoever wants the rows themselves."""
    one = held(given, number, errand=errand)
    return one.arrays, one.weights

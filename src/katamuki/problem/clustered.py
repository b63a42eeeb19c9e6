"""Rows on a cluster: the sums of a problem whose partitions are summed by the workers that have them.

Partitions are read, converted and kept by the workers once, where all of them together fit into half of the cluster's
memory; else they are read again for each pass. A pass sends the parameters out and gets a few numbers back, merged in a
fixed tree (:mod:`katamuki.cluster.running`). The sample is drawn at random from all rows that count, by the seed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from importlib.metadata import version
from itertools import islice
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from katamuki.cluster import ClusterTable, running
from katamuki.data import condition as conditions
from katamuki.data.names import printable
from katamuki.data.selection import Columns
from katamuki.errors import DataError
from katamuki.problem import Problem
from katamuki.problem import partitions as parts
from katamuki.problem.blocks import Counts
from katamuki.problem.distant import Distant, Wanted
from katamuki.problem.partitions import Errand, Pass
from katamuki.records import Array

Rows = tuple[Mapping[str, Array], Array | None]

SHARE = 0.5  # of the workers' memory that kept columns may take
TRAVEL = 1 << 33  # bytes of rows that come here for the check, at most
AHEAD = 2  # partitions that are on their way meanwhile


class ClusteredProblem(Distant):
    """A problem whose rows are on a cluster.

    Parameters
    ----------
    table : ClusterTable
        The source.
    wanted : Wanted
        What the fit wants of it.
    """

    def __init__(self, table: ClusterTable, wanted: Wanted) -> None:
        super().__init__(wanted)
        self.table, self.client = table, table.client
        condition = None if wanted.where is None else conditions.parse(wanted.where)
        tested = (*condition.numeric, *condition.textual) if condition else ()
        names = tuple(dict.fromkeys((*wanted.used, *tested)))
        self.places = table.partitions(names)
        self.numbers = range(len(self.places))
        self.errand = Errand(wanted=wanted, names=names, of=len(self.places), version=version("katamuki"))
        self.held: list[Any] | None = None  # the partitions on the workers, where they are kept
        room = SHARE * running.ready(self.client)["total_memory"] or float("inf")
        self._seen(room, len(names))
        self.whole = self.sample.n == self.n

    def _seen(self, room: float, columns: int) -> None:
        """The first pass: rows are counted, and kept on the workers where there is room; then the sample is drawn.

        Where files say how many rows there are, and all of them should count, the same pass brings the sample.
        """
        rows = self.table.rows
        if rows is None or rows * columns * 8 <= room:
            self.held = running.each(self.client, parts.held, self.places, self.numbers, errand=self.errand)
        hoped = None if rows is None or self.wanted.where is not None else [one.rows for one in self.places]
        places = [None for _ in self.places] if hoped is None else self._chosen(hoped)
        each = self._each(parts.seen, parts.seen_once, hoped or [0 for _ in self.places], places)
        found = running.gathered(self.client, each)
        if sum(size for _, size, _ in found) > room:
            self.held = None
        counts = [one for one, _, _ in found]
        self._counted(counts)
        taken = [one for _, _, one in found]
        if hoped is None or None in taken:
            chosen = self._chosen([one.n for one in counts])
            only = [k for k in self.numbers if len(chosen[k])]
            each = self._each(parts.taken, parts.taken_once, [chosen[k] for k in only], only=only)
            taken = [None for _ in self.places]
            for k, one in zip(only, running.gathered(self.client, each), strict=True):
                taken[k] = one
        self._draw(taken, np.cumsum([0, *(one.read for one in counts)]))

    def _counted(self, counts: Sequence[Counts]) -> None:
        """Keep what was counted."""
        total = Counts()
        for one in counts:
            total.add(one)
        if not total.n:
            raise self._nothing(total)
        self.evaluations, self.n = 1, total.n
        self.tss, self.tss_about_zero = total.spread, total.square
        left_out = {"filtered": total.filtered, "dropped": total.dropped}
        self.source = replace(self.table.source, rows=total.n, where=self.wanted.where, **left_out)  # type: ignore[arg-type]

    def _each(self, kept: Any, read: Any, *more: Sequence[Any], only: Sequence[int] | None = None, **same: Any) -> Any:
        """Futures of a function of each partition: ``kept`` takes one that a worker keeps, ``read`` one to be read."""
        numbers = self.numbers if only is None else only
        if self.held is not None:
            return running.each(self.client, kept, [self.held[k] for k in numbers], *more, **same)
        places = [self.places[k] for k in numbers]
        return running.each(self.client, read, places, numbers, *more, errand=self.errand, **same)

    def _nothing(self, total: Counts) -> DataError:
        place, where = self.table.source.name, self.wanted.where
        if not total.read:
            return DataError("E-EMPTY", "data.no_rows", place=place)
        if total.filtered:
            condition = printable(where or "")
            return DataError("E-EMPTY", "data.where_none", condition=condition, count=total.read, place=place)
        return DataError("E-EMPTY", "data.drop_none", count=total.dropped, place=place)

    def _chosen(self, counts: Sequence[int]) -> list[NDArray[np.int64]]:
        """The sample's rows in each partition, of so many that count."""
        n = sum(counts)
        most, draw = min(self.wanted.sample, n), np.random.default_rng(self.wanted.seed % 2**64)
        chosen = np.sort(draw.choice(n, most, replace=False, shuffle=False)) if most < n else np.arange(most)
        ends = np.cumsum([0, *counts])
        edges = np.searchsorted(chosen, ends)
        return [chosen[edges[k] : edges[k + 1]] - ends[k] for k in self.numbers]

    def _draw(self, taken: Sequence[Any], firsts: NDArray[np.int64]) -> None:
        """Make the sample of what was taken of each partition, whose first rows have these numbers."""
        wanted, found = self.wanted, [(k, *one) for k, one in enumerate(taken) if one is not None]
        arrays = {name: np.concatenate([one[name] for _, one, _ in found]) for name in wanted.used}
        index = np.concatenate([firsts[k] + rows for k, _, rows in found])
        most = len(index)
        self.drawn = Columns(arrays, replace(self.source, rows=most), index)
        y = wanted.left(arrays)
        self.drawn_weights = wanted.weigh(arrays, most)
        columns = [arrays[name] for name in self.kernel.columns]
        model = (self.kernel, columns, y, self.drawn_weights)
        self.sample = Problem(*model, wanted.values, self.free_names, self.threads)

    def _pass(self, what: Pass, values: Array) -> Any:
        """A pass over all partitions."""
        self.evaluations += 1
        futures = self._each(parts.summed, parts.once, what=what, values=np.ascontiguousarray(values))
        return running.reduced(self.client, futures, parts.MERGES[what])

    def squares_at(self, places: Array) -> Array:
        """Σ w r² at several places (s, all_p), in one pass: (s,)."""
        return np.asarray(self._pass("squares", places))

    def sums(self, values: Array) -> Array:
        """rss, Jᵀr (p,) and the upper triangle of JᵀJ by rows, weighted."""
        return np.asarray(self._pass("sums", values))

    def folded(self, values: Array) -> Array:
        """rss and the triangle (p+1, p+1) of [J, r] by blocked QR, flat."""
        return np.asarray(self._pass("folded", values))

    def exact_sums(self) -> list[Decimal] | None:
        """Of a formula that is linear in its free parameters, all of them 0: ``sums`` with 31 digits."""
        return cast("list[Decimal] | None", self._pass("exact", self.full(0.0)))

    def blocks(self) -> Callable[[], Iterator[Rows]] | None:
        """What brings all rows here, a partition at a time, for the check; None where they are too many."""
        if self.n * len(self.wanted.used) * 8 > TRAVEL:
            return None

        def rows() -> Iterator[Rows]:
            coming: deque[Any] = deque()
            left = iter(self.numbers)
            while True:
                for k in islice(left, 1 + AHEAD - len(coming)):
                    coming += running.each(self.client, parts.whole, [self.places[k]], [k], errand=self.errand)
                if not coming:
                    return
                arrays, weights = running.gathered(self.client, [coming.popleft()])[0]
                if len(next(iter(arrays.values()))):
                    yield arrays, weights

        return rows

    def close(self) -> None:
        """Let the workers forget the partitions."""
        self.held = None
        super().close()

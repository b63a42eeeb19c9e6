"""A search in rounds: descents from a supply of starts, their ends sorted into basins, until the best can be believed.

It ends when the best minimum has been reached often enough, and goes on while each start ends elsewhere. What is found
are starts and basins: whoever asked polishes them. Sources: Golub & Pereyra 1973 and Kaufman 1975 (the descents);
Boender & Rinnooy Kan 1987 (when a multistart may stop).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from katamuki.identifiability import runs_away
from katamuki.problem import Problem
from katamuki.records import Array, SearchEnding
from katamuki.search import projection
from katamuki.search.projected import Limits, Projected
from katamuki.search.recipe import recipe_of
from katamuki.search.starts import POOL, Starts
from katamuki.search.symmetries import canonical

ROUND, LARGEST_ROUND = 8, 64  # descents of the first rounds; later ones double all there were
MOST = 512  # descents
SURE, EARLY = 4, 8  # the best reached so often, after so many starts for each nonlinear parameter but one
DOUBTFUL = 256  # starts after which a minimum is believed although something lower ends nowhere
SHARE = 32  # after many starts one in so many must have reached it: what is found more seldom has rivals as likely
HOPELESS = 64  # starts without a single one where the formula has a value: more would teach nothing
SAME = 1e-6  # of the rss: two ends of one minimum
NEAR = 1e-3  # of each parameter: ends so near are one
APART = 1e-3  # of the rss: the square of the distance of two curves
TIE = 1e-9  # of the rss: ends that nothing but a lower frequency tells apart
WORK = 1e8  # evaluations times rows times parameters after which a search gives up
SLICE = 2e6  # the same, between two looks at the clock
PER_DESCENT = 30  # evaluations, about

Progress = Callable[[int, float], None]


@dataclass(slots=True)
class Basin:
    """A minimum that descents ended at: the best end (all_p,) and its start, Σ w r² of the rows seen there."""

    begin: Array
    end: Array
    rss: float
    reached: int
    converged: bool


class Hunt:
    """One search in progress.

    Parameters
    ----------
    problem : Problem
        All rows; at most 500 of them are looked at.
    limits : mapping of str to (float, float)
        Bounds.
    given : mapping of str to float
        Values of nonlinear parameters that every start keeps.
    seed : int
        Shifts the cloud of starts.
    pool : int
        Points of the cloud that are looked at for each start.
    """

    def __init__(
        self, problem: Problem, limits: Limits, given: Mapping[str, float], seed: int, pool: int = POOL
    ) -> None:
        self.recipe = recipe_of(problem)
        self.projected = Projected(problem, self.recipe, limits, seed)
        rows = dict(zip(problem.kernel.columns, problem.columns, strict=True))
        self.supply = Starts(self.projected, limits, given, seed, rows, pool)
        self.rows = self.projected.problem.n
        self.floor = self.projected.floor
        self.starts = self.finite = 0
        self.basins: list[Basin] = []
        self.ending: SearchEnding = "sure"
        self.failed: Array | None = None  # a start where the formula has no value

    def run(self, starts: int | None, max_seconds: float | None, progress: Progress | None) -> None:
        """Descend from as many starts in all, by default from as many as it takes; ``ending`` says why it stopped."""
        began, first = time.perf_counter(), True
        while True:
            wanted = ROUND if self.starts < 2 * ROUND else min(self.starts, LARGEST_ROUND)
            if starts is not None:
                wanted = max(min(wanted, starts - self.starts), 1)
            with np.errstate(all="ignore"):
                points = self.supply.take(wanted, first)
            first = False
            each = max(1, int(SLICE / (PER_DESCENT * self._cost)))
            for k in range(0, len(points), each):
                self.descend_from(np.ascontiguousarray(points[k : k + each]))
                if progress is not None:
                    progress(self.starts, self.basins[0].rss / self.rows if self.basins else math.nan)
                ending = self.is_over(starts)
                if ending is None and max_seconds is not None and time.perf_counter() - began > max_seconds:
                    ending = "time"
                if ending is not None:
                    self.ending = ending
                    return

    @property
    def _cost(self) -> float:
        """Of one evaluation, in rows times parameters."""
        return float((self.rows + 30) * (self.projected.problem.p + 1))

    def is_over(self, starts: int | None) -> SearchEnding | None:
        """Why the search is over; ``None`` to go on."""
        if starts is not None:
            return "asked" if self.starts >= starts else None
        if not self.finite and self.starts >= HOPELESS:
            return "unsure"
        best = next((one.reached for one in self.basins if one.converged), 0)
        sure = 1 if self.supply.exhaustive else max(SURE, self.starts // SHARE)
        early = EARLY * max(1, len(self.recipe.roles) - len(self.recipe.shifting) - 1)
        if self.basins and not self.basins[0].converged:
            early = DOUBTFUL  # something lower ends nowhere, or beside a minimum that is still to be found
        if best >= sure and self.starts >= early:
            return "sure"
        return "unsure" if self.starts >= MOST or self.projected.evaluations * self._cost > WORK else None

    def descend_from(self, points: Array) -> None:
        """Descend from these points, and sort where they end among the basins."""
        begins = points.copy()
        known = self.basins[0].rss if self.basins and self.basins[0].converged else -1.0
        ends = self.projected.descend(points, known)
        self.starts += len(points)
        for k in self._count_at_the_best(points, ends):
            begin, end, (rss, how, _) = begins[k], points[k], ends[k].tolist()
            if how == projection.NO_START or not math.isfinite(rss):
                self.failed = begin if self.failed is None else self.failed
                continue
            self.finite += 1
            self.sort(Basin(begin, end, rss, 1, how == projection.CONVERGED))

    def _count_at_the_best(self, points: Array, ends: Array) -> list[int]:
        """Count the descents that plainly ended where the best one had; which are left to be sorted one by one."""
        best = self.basins[0] if self.basins else None
        if best is None or not best.converged or self.recipe.turning:
            return list(range(len(points)))
        there = (np.abs(points - best.end) <= NEAR * np.abs(best.end)).all(axis=1)
        there &= (ends[:, 1] == projection.CONVERGED) & (np.abs(ends[:, 0] - best.rss) <= SAME * best.rss)
        count = int(np.count_nonzero(there))
        best.reached += count
        self.finite += count
        return [] if count == len(points) else np.flatnonzero(~there).tolist()

    def sort(self, new: Basin, sure: bool = False) -> Basin:
        """Count an end with its basin, or make a new one; the best stands first.

        A new best one is looked at, unless it is ``sure`` to be a minimum.
        """
        for one in self.basins:
            if self.alike(new.end, new.rss, one.end, one.rss):
                one.reached += new.reached
                if self._better(new, one):
                    one.begin, one.end, one.rss, one.converged = new.begin, new.end, new.rss, new.converged
                return one
        if new.converged and not sure and not any(one.rss < new.rss for one in self.basins):
            problem = self.projected.problem
            new.converged = not runs_away(
                problem.triangle(new.end, exact=True)[1:], new.end[problem.free], problem.tss_about_zero
            )
        self.basins.append(new)
        self.basins.sort(key=lambda basin: basin.rss)
        return new

    def alike(self, one: Array, rss: float, other: Array, other_rss: float) -> bool:
        """Whether two ends (all_p,) are one minimum: of one loss and one curve, as equal terms may change places."""
        if not abs(rss - other_rss) <= SAME * max(rss, other_rss) + self.floor:
            return False
        pairs = zip(one.tolist(), other.tolist(), strict=True)
        if all(abs(a - b) <= NEAR * max(abs(a), abs(b)) for a, b in pairs):
            return True
        with np.errstate(all="ignore"):
            apart = self.projected.problem.residuals(one) - self.projected.problem.residuals(other)
            return not float(apart @ apart) > APART * rss + self.floor  # NaN: nothing is known

    def _better(self, new: Basin, old: Basin) -> bool:
        """Whether an end says more of a minimum; of frequencies that rows cannot tell apart the lower one."""
        if new.converged != old.converged:
            return new.converged
        if self.recipe.turning and abs(new.rss - old.rss) <= TIE * old.rss:
            return self.supply.pace(new.end) < self.supply.pace(old.end)
        return new.rss < old.rss

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper bounds (p,) in the problem's order of free parameters."""
        order = np.argsort(self.recipe.free, kind="stable")
        return self.projected.lower[order], self.projected.upper[order]

    def settled(self, basin: Basin) -> Basin:
        """The basin in the one arrangement of equal terms, signs and phases, its start carried along."""
        found, names = self.recipe.symmetries.without(self.supply.given), self.recipe.all_names
        if not found:
            return basin
        lower, upper = np.full(len(names), -math.inf), np.full(len(names), math.inf)
        lower[self.recipe.free], upper[self.recipe.free] = self.projected.lower, self.projected.upper
        end = canonical(found, names, basin.end, lower, upper)
        begin = _carried(basin.begin, basin.end, end)
        if not ((lower <= begin) & (begin <= upper)).all():
            begin = end
        return Basin(begin, end, basin.rss, basin.reached, basin.converged)


def _carried(begin: Array, before: Array, after: Array) -> Array:
    """``begin`` rearranged as ``before`` was into ``after``: values that changed places, signs, or by turns."""
    found = begin.copy()
    for k, value in enumerate(after.tolist()):
        same = np.flatnonzero(np.abs(before) == abs(value))
        if len(same):
            source = k if k in same else int(same[0])
            found[k] = begin[source] * (1.0 if before[source] == value else -1.0)
        else:  # a phase
            side = min((1.0, -1.0), key=lambda one: abs(math.sin(value - one * float(before[k]))))
            found[k] = side * begin[k] + (value - side * before[k])
    return found

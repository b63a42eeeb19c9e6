"""Starting values: linear parameters solved for, a cloud of starts for the others, descents, and the minima they reach.

A search goes in rounds. Each draws points of the cloud, keeps the promising ones and some unpromising ones, improves some
of them one parameter at a time (frequencies along a grid: the formula's own periodogram, so sampling need not be even),
and descends from eight or more of them by compiled variable projection. It ends when the best minimum has been reached
often enough to believe it, and goes on while each start ends elsewhere. What is found are starts and basins: whoever
asked polishes them. Sources: Golub & Pereyra 1973 and Kaufman 1975 (projection); Boender & Rinnooy Kan 1987 (when to stop a
multistart); Lomb 1976 and Scargle 1982 (least-squares spectra).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from katamuki.backends.native import address_of
from katamuki.graph import Graph
from katamuki.problem import Problem
from katamuki.records import Array, SearchEnding
from katamuki.search import projection
from katamuki.search.cloud import Cloud, inverted
from katamuki.search.places import Role, linear_parameters, roles
from katamuki.search.symmetries import Symmetries, canonical, symmetries

ROWS = 500  # that a search looks at
ROUND = 8  # descents of a first round
MOST = 512  # descents
STEPS = 60  # of one descent
POOL = 6  # cloud points looked at, for each start that is descended from
SURE, EARLY = 4, 8  # the best reached so often, after at least so many starts for each nonlinear parameter but one
LATE_SURE, LATE = 3, 48
SAME = 1e-6  # of the rss: two ends of one minimum
NOTHING = 1e-20  # of Σ w y²: a perfect fit
WORK = 1e8  # evaluations times rows times parameters after which a search gives up
SWEPT = 16  # values that a sweep tries for one parameter
PER_CYCLE = 5  # grid points per cycle along the data
GRID = 2000  # frequencies of a grid
PHASES = 4
Progress = Callable[[int, float], None]


@dataclass(slots=True)
class Basin:
    """A minimum that descents ended at: (all_p,) parameters of the best end and of its start, Σ w r² of the rows seen."""

    begin: Array
    end: Array
    rss: float
    reached: int
    converged: bool


class Recipe:
    """What formula and choice of free parameters alone say: which are linear, where the others stand.

    ``free`` (p,) are places among all parameters, the q linear ones first; ``linear_order`` (q + 1,) and ``order``
    (p + 1,) a block's columns in the order of [J, r], for the linear ones and for all.
    """

    def __init__(self, graph: Graph, names: tuple[str, ...], free: tuple[str, ...]) -> None:
        self.linear = linear_parameters(graph, free)
        self.roles: tuple[Role, ...] = roles(graph, [one for one in free if one not in self.linear], self.linear)
        self.names = (*self.linear, *(one.name for one in self.roles))
        self.where = {one.name: names.index(one.name) for one in self.roles}
        self.q = len(self.linear)
        self.free = np.array([names.index(name) for name in self.names], dtype=np.int64)
        self.linear_order = np.array([*(1 + self.free[: self.q]), 0], dtype=np.int64)
        self.order = np.array([*(1 + self.free), 0], dtype=np.int64)
        self.neutral = dict.fromkeys(self.linear, 1.0) | dict.fromkeys(self.where, 0.0)
        self.graph = graph
        self.all_names = names

    @cached_property
    def symmetries(self) -> Symmetries:
        """What leaves the formula the same function of its free parameters."""
        return symmetries(self.graph, self.names)


def recipe_of(problem: Problem) -> Recipe:
    """The recipe of a problem's formula, kept with its layout."""
    found: Recipe | None = problem.layout.recipe
    if found is None:
        found = Recipe(problem.kernel.graph, problem.names, problem.free_names)
        problem.layout.recipe = found
    return found


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
        Shifts the cloud.
    pool : int
        Points of the cloud that are looked at for each start.
    """

    def __init__(
        self,
        problem: Problem,
        limits: Mapping[str, tuple[float, float]],
        given: Mapping[str, float],
        seed: int,
        pool: int = POOL,
    ) -> None:
        self.recipe = recipe_of(problem)
        self.problem = problem = _fewer(problem, seed)
        self.given = given
        self.pool = pool
        ends = np.array([limits.get(name, (-math.inf, math.inf)) for name in self.recipe.names])
        self.lower, self.upper = np.ascontiguousarray(ends[:, 0]), np.ascontiguousarray(ends[:, 1])
        self.block = problem.block()
        self.work = np.empty(projection.room(problem.p, problem.all_p))
        self.data = dict(zip(problem.kernel.columns, problem.columns, strict=True))
        base = dict(zip(problem.names, problem.values.tolist(), strict=True)) | self.recipe.neutral
        level = math.sqrt(problem.tss_about_zero / problem.n)
        self.cloud = Cloud(self.recipe.roles, self.data, level, base, limits, given, seed)
        self.floor = NOTHING * problem.tss_about_zero
        self.drawn = self.starts = self.finite = 0
        self.spent = 0.0
        self.basins: list[Basin] = []
        self.ending: SearchEnding = "sure"
        self.failed: Array | None = None

    def rss(self, values: Array) -> float:
        """Σ w r² of the rows that the search sees, at all parameters (all_p,)."""
        return self.problem.rss(values)

    def settled(self, basin: Basin) -> Basin:
        """The basin in the one arrangement of equal terms, signs and phases, its start carried along."""
        found = self.recipe.symmetries
        if not found:
            return basin
        names, ends = self.recipe.all_names, np.full((2, len(self.recipe.all_names)), math.inf)
        ends[0] = -math.inf
        ends[:, self.recipe.free] = self.lower, self.upper
        end = canonical(found, names, basin.end, ends[0], ends[1])
        return Basin(_carried(basin.begin, basin.end, end), end, basin.rss, basin.reached, basin.converged)

    def completed(self, values: Array, kept: Collection[str]) -> Array:
        """All parameters (all_p,) with the linear ones at their best, but for those that are to be kept."""
        best = values[None, :].copy()
        self.project(best)
        found = values.copy()
        for name, at in zip(self.problem.names, range(len(found)), strict=True):
            if name in self.recipe.linear and name not in kept and np.isfinite(best[0, at]):
                found[at] = best[0, at]
        return found

    def points(self, values: Mapping[str, Array]) -> Array:
        """Points (s, all_p) with these values of the nonlinear parameters."""
        count = len(next(iter(values.values()))) if values else 1
        points = np.tile(self.problem.values, (count, 1))
        for name, value in values.items():
            points[:, self.recipe.where[name]] = value
        return points

    def project(self, points: Array) -> Array:
        """Σ w r² (s,) with the linear parameters at their best, which are put into the points."""
        problem, out = self.problem, np.empty(len(points))
        model = (problem.kernel.address, problem.columns_address, problem.y_address, problem.root_address)
        shape = (int(problem.root is not None), problem.n, address_of(self.recipe.free), self.recipe.q, problem.all_p)
        room = (address_of(self.recipe.linear_order), address_of(self.lower), address_of(self.upper), len(points))
        rest = (address_of(self.block), address_of(self.work), address_of(points), address_of(out))
        projection.project(*model, *shape, *room, *rest)
        self.spent += len(points)
        return np.where(np.isfinite(out), out, math.inf)

    def descend(self, points: Array) -> Array:
        """Descend from points (s, all_p), in place: (s, 3) Σ w r², how it ended, evaluations."""
        problem, out = self.problem, np.empty((len(points), 3))
        model = (problem.kernel.address, problem.columns_address, problem.y_address, problem.root_address)
        shape = (int(problem.root is not None), problem.n, address_of(self.recipe.free), problem.p, self.recipe.q, problem.all_p)
        orders = (address_of(self.recipe.linear_order), address_of(self.recipe.order), address_of(self.lower), address_of(self.upper))
        known = self.basins[0].rss if self.basins and self.basins[0].converged else -1.0
        limits = (len(points), STEPS, self.floor, known)
        rest = (address_of(self.block), address_of(self.work), address_of(points), address_of(out))
        projection.descend(*model, *shape, *orders, *limits, *rest)
        self.spent += float(out[:, 2].sum())
        return out

    def run(self, starts: int | None, max_seconds: float | None, progress: Progress | None) -> None:
        """Descend from as many starts in all, by default as many as it takes; ``ending`` says why it stopped."""
        began, rounds = time.perf_counter(), 0
        try:
            while True:
                wanted = ROUND if self.starts < 2 * ROUND else min(self.starts, 64)
                if starts is not None:
                    wanted = min(wanted, starts - self.starts)
                self.descend_from(self.candidates(max(wanted, 1), rounds))
                rounds += 1
                if progress is not None:
                    progress(self.starts, self.basins[0].rss / self.problem.n if self.basins else math.nan)
                ending = self.is_over(starts)
                if ending is None and max_seconds is not None and time.perf_counter() - began > max_seconds:
                    ending = "time"
                if ending is not None:
                    self.ending = ending
                    return
        except KeyboardInterrupt:
            if not self.basins:
                raise
            self.ending = "interrupted"

    def is_over(self, starts: int | None) -> SearchEnding | None:
        """Why the search is over; ``None`` to go on."""
        if starts is not None:
            return "asked" if self.starts >= starts else None
        if not self.recipe.roles:
            return "sure"
        best = self.basins[0].reached if self.basins and self.basins[0].converged else 0
        early = EARLY * max(1, len(self.recipe.roles) - 1)
        if (best >= SURE and self.starts >= early) or (best >= LATE_SURE and self.starts >= LATE):
            return "sure"
        tired = self.spent * (self.problem.n + 30) * (self.problem.p + 1) > WORK
        return "unsure" if self.starts >= MOST or tired else None

    def descend_from(self, points: Array) -> None:
        """Descend from these points, and sort where they end among the basins."""
        begins = points.copy()
        ends = self.descend(points)
        self.starts += len(points)
        for begin, end, (rss, how, _) in zip(begins, points, ends.tolist(), strict=True):
            if how == projection.NO_START or not math.isfinite(rss):
                self.failed = begin if self.failed is None else self.failed
                continue
            self.finite += 1
            self.sort(Basin(begin, end, rss, 1, how == projection.CONVERGED))

    def sort(self, new: Basin) -> Basin:
        """Count an end with its basin, or make a new one; the best stands first."""
        for one in self.basins:
            if abs(new.rss - one.rss) <= SAME * max(new.rss, one.rss) + self.floor:
                one.reached += new.reached
                if (new.converged, -new.rss) > (one.converged, -one.rss):
                    one.begin, one.end, one.rss, one.converged = new.begin, new.end, new.rss, new.converged
                return one
        self.basins.append(new)
        self.basins.sort(key=lambda basin: basin.rss)
        return new

    def candidates(self, wanted: int, rounds: int) -> Array:
        """Starts (wanted, all_p) for a round: the best of a pool that are not all alike, and others."""
        if not self.recipe.roles:
            return self.points({})
        count = self.pool * wanted
        values = self.cloud.points(self.drawn, count)
        self.drawn += count
        points = self.points(values)
        rss = self.project(points)
        order = np.argsort(rss, kind="stable")
        turning = [role for role in self.recipe.roles if role.turns and role.name not in self.given]
        if turning:
            return self.scanned(points[order[:PHASES]], turning, wanted)
        best = wanted - wanted // 4
        spare = np.sort(order[best : np.count_nonzero(rss < math.inf)])
        chosen = points[np.concatenate([order[:best], spare[: wanted - best]])]
        if rounds and len(self.recipe.roles) > 1:
            some = -(-len(chosen) // 4)
            chosen[:some] = self.swept(chosen[:some])
        return chosen

    def swept(self, points: Array) -> Array:
        """Points improved one nonlinear parameter at a time, among values of its range."""
        best = points.copy()
        for role in self.recipe.roles:
            if role.name in self.given:
                continue
            j = self.recipe.where[role.name]
            size = (np.arange(SWEPT) + 0.5) / SWEPT
            tries = np.repeat(best, 2 * SWEPT + 1, axis=0).reshape(len(best), 2 * SWEPT + 1, -1)
            others = {name: at for name, at in self.recipe.where.items() if name != role.name}
            for k, point in enumerate(best):
                values = {name: np.full(2 * SWEPT, point[at]) for name, at in others.items()}
                with np.errstate(all="ignore"):
                    tries[k, 1:, j] = self.cloud.draw(role, np.tile(size, 2), np.repeat([0.2, 0.9], SWEPT), values)
            flat = tries.reshape(-1, tries.shape[-1])
            rss = self.project(flat).reshape(len(best), -1)
            best = tries[np.arange(len(best)), rss.argmin(axis=1)]
        return best

    def scanned(self, points: Array, turning: list[Role], wanted: int) -> Array:
        """Points with frequencies from a grid: the deepest dips of Σ w r² along each frequency in turn."""
        phases = [self.recipe.where[role.name] for role in self.recipe.roles if role.shifts and role.name not in self.given]
        for place, role in enumerate(turning):
            kept: list[tuple[float, Array]] = []
            each = max(2, -(-2 * wanted // len(points))) if place == len(turning) - 1 else 2
            for point in points:
                kept += self.dips(point, role, phases, each)
            kept.sort(key=lambda one: one[0])
            points = np.array([one for _, one in kept[: max(wanted, PHASES)]])
        return points[:wanted]

    def dips(self, point: Array, role: Role, phases: list[int], count: int) -> list[tuple[float, Array]]:
        """The deepest dips along one frequency: Σ w r² and the point."""
        grid = self.frequencies(role, point)
        tries = np.repeat(point[None, :], len(grid), axis=0)
        tries[:, self.recipe.where[role.name]] = grid
        if phases:
            tries = np.repeat(tries[:, None, :], PHASES, axis=1)
            tries[:, :, phases] += (np.arange(PHASES) * math.pi / PHASES)[:, None]
        flat = np.ascontiguousarray(tries.reshape(-1, tries.shape[-1]))
        rss = self.project(flat).reshape(len(grid), -1)
        best = rss.argmin(axis=1)
        depth = rss[np.arange(len(grid)), best]
        flat = flat.reshape(len(grid), -1, flat.shape[-1])[np.arange(len(grid)), best]
        padded = np.concatenate([[math.inf], depth, [math.inf]])
        low = np.flatnonzero((depth <= padded[:-2]) & (depth <= padded[2:]) & np.isfinite(depth))
        low = low[np.argsort(depth[low], kind="stable")][:count]
        return [(float(depth[k]), flat[k]) for k in low]

    def frequencies(self, role: Role, point: Array) -> Array:
        """Values of a frequency or period (k,) from a tenth of a cycle along the data to what the rows can tell apart."""
        values = {name: np.array([point[at]]) for name, at in self.recipe.where.items() if name != role.name}
        whole = Cloud.__new__(Cloud)
        whole.columns, whole.base = self.data, self.cloud.base
        with np.errstate(all="ignore"):
            power, _, factor, _ = whole.numbers(role.places[0], values)
        g = np.unique(factor[0])
        gaps = np.diff(g)
        even = len(g) > 2 and float(np.ptp(gaps)) <= 1e-6 * float(gaps.max())
        most = (len(g) - 1) / 2 if even else len(g)
        count = int(min(GRID, max(16, PER_CYCLE * most)))
        cycles = np.concatenate([[0.02, 0.04, 0.07], np.linspace(0.1, max(most, 0.2), count)])
        psi = 2.0 * math.pi * cycles / float(np.ptp(g) or 1.0)
        low, high = self.cloud.limits.get(role.name, (-math.inf, math.inf))
        theta = inverted(psi, np.broadcast_to(power[0], psi.shape))
        inside = theta[(low <= theta) & (theta <= high)]
        if not len(inside):
            inside = -theta[(low <= -theta) & (-theta <= high)]
        return inside if len(inside) else np.clip(theta[:1], low, high)


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


def _fewer(problem: Problem, seed: int) -> Problem:
    """The problem on at most 500 rows: one at random from each of equal stretches."""
    n = problem.n
    if n <= ROWS:
        return problem
    edges = np.linspace(0, n, ROWS + 1).astype(np.int64)
    rng = np.random.default_rng([abs(seed), 1])
    rows = edges[:-1] + (rng.random(ROWS) * np.diff(edges)).astype(np.int64)
    columns = [np.ascontiguousarray(one[rows]) for one in problem.columns]
    weights = None if problem.weights is None else np.ascontiguousarray(problem.weights[rows])
    values = dict(zip(problem.names, problem.values.tolist(), strict=True))
    y = np.ascontiguousarray(problem.y[rows])
    return Problem(problem.kernel, columns, y, weights, values, problem.free_names, 1)



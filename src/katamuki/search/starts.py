"""Starts that are worth a descent: the promising points of a cloud, some unpromising ones, and frequencies from a grid.

The grid is the formula's own periodogram: Σ w r² with the linear parameters solved for, along one frequency at a time,
so that sampling need not be even. On even rows it ends where frequencies can no longer be told apart, and the lowest of
those that cannot is found. Sources: Lomb 1976, Scargle 1982 (least-squares spectra of uneven samples).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from katamuki.records import Array
from katamuki.search.cloud import Cloud, inverted
from katamuki.search.places import Role
from katamuki.search.projected import Limits, Projected

POOL = 6  # points of the cloud looked at for each start
TRIED, APART = 24, 8  # points that a term is chosen from; choices before they repeat
SWEPT = 16  # values of each sign that a sweep tries for one parameter
PER_CYCLE = 5  # grid points per cycle along the data
GRID = 10_000  # frequencies of a grid at most: two thousand cycles along the data
PHASES = 4
EVEN = 1e-6  # of a gap: rows so even that frequencies beyond half their number repeat lower ones


class Starts:
    """A supply of starts for one problem.

    Parameters
    ----------
    projected : Projected
        The problem.
    limits : mapping of str to (float, float)
        Bounds.
    given : mapping of str to float
        Values of nonlinear parameters that every start keeps.
    seed : int
        Shifts the cloud.
    rows : mapping of str to (n,) float64
        The data of all rows, those not looked at included: they say which frequencies can be told apart.
    pool : int
        Points of the cloud that are looked at for each start.
    """

    def __init__(
        self,
        projected: Projected,
        limits: Limits,
        given: Mapping[str, float],
        seed: int,
        rows: Mapping[str, Array],
        pool: int = POOL,
    ) -> None:
        self.projected = projected
        self.recipe = recipe = projected.recipe
        self.limits, self.given, self.pool = limits, given, pool
        problem = projected.problem
        base = dict(zip(problem.names, problem.values.tolist(), strict=True)) | recipe.neutral
        level = math.sqrt(float(np.dot(problem.y, problem.y)) / problem.n)
        self.cloud = Cloud(recipe.roles, rows, level, base, limits, given, seed)
        self.turning = [role for role in recipe.turning if role.name not in given]
        self.phases = [role for role in recipe.shifting if role.name not in given]
        self.exhaustive = recipe.only_turns and len(self.turning) == 1
        self.deepest: list[Array] | None = (
            None  # dips that are still to be descended from, of a grid that is scanned once
        )
        self.drawn = 0
        self.powers: dict[str, float] = {}  # of frequencies 1, of periods −1

    def pace(self, point: Array) -> float:
        """How fast the phases of a point grow: what is larger for a higher frequency, whatever its unit."""
        return math.fsum(float(abs(point[self.recipe.where[name]]) ** power) for name, power in self.powers.items())

    def points(self, values: Mapping[str, Array]) -> Array:
        """Points (s, all_p) with these values of the nonlinear parameters."""
        count = len(next(iter(values.values())))
        points = np.empty((count, self.projected.problem.all_p))
        points[:] = self.projected.problem.values
        for name, value in values.items():
            points[:, self.recipe.where[name]] = value
        return points

    def take(self, wanted: int, first: bool) -> Array:
        """Starts (wanted, all_p) of the next round; the ``first`` is cheap."""
        # Along one axis a few points of the cloud leave no gap, and beside a given start no promise is needed.
        plain = first and self.pool < POOL and len(self.recipe.roles) == 1 and not self.turning
        count = wanted if plain else self.pool * wanted
        points = self.points(self.cloud.points(self.drawn, count))
        self.drawn += count
        if plain:
            return points
        rss = self.projected.project(points)
        order = np.argsort(rss, kind="stable")
        if self.exhaustive:
            if self.deepest is None:
                self.deepest = [one for _, one in self.dips(points[order[0]], self.turning[0], GRID)]
            ready, self.deepest = self.deepest[:wanted], self.deepest[wanted:]
            return np.array(ready) if ready else points[order[:wanted]]
        if self.turning:
            return self.scanned(points[order[:PHASES]], wanted)
        best = wanted - wanted // 4
        spare = np.sort(order[best : np.count_nonzero(rss < math.inf)])
        chosen: Array = points[np.concatenate([order[:best], spare[: wanted - best]])]
        if self.recipe.terms and not self.given:
            some = wanted - wanted // 4
            chosen[:some] = self.pursued(chosen[:some])
        elif not first and len(self.recipe.roles) > 1:
            some = -(-wanted // 4)
            chosen[:some] = self.swept(chosen[:some])
        return chosen

    def pursued(self, points: Array) -> Array:
        """Points whose equal terms are chosen anew, one after the other, each the best beside those before it.

        Terms that are still to come stand where the first one does, where they add nothing. Every choice is among other
        points of the cloud, so that starts differ.
        """
        where, found = self.recipe.where, points.copy()
        pool = self.points(self.cloud.points(self.drawn, APART * TRIED))
        self.drawn += APART * TRIED
        for group in self.recipe.terms:
            places = [[where[name] for name in term] for term in group]
            for k, point in enumerate(found):
                for j, here in enumerate(places):
                    share = pool[(k + 3 * j) % APART :: APART]
                    tries = np.tile(point, (len(share), 1))
                    for one in places if j == 0 else [here]:
                        tries[:, one] = share[:, places[(k + j) % len(places)]]
                    point[:] = tries[int(self.projected.project(tries).argmin())]
        return found

    def swept(self, points: Array) -> Array:
        """Points improved one nonlinear parameter at a time, among values of its range."""
        best = points.copy()
        size, sign = np.tile((np.arange(SWEPT) + 0.5) / SWEPT, 2), np.repeat([0.2, 0.9], SWEPT)
        for role in self.recipe.roles:
            if role.name in self.given:
                continue
            others = {name: at for name, at in self.recipe.where.items() if name != role.name}
            tries = np.repeat(best[:, None, :], 2 * SWEPT + 1, axis=1)
            for k, point in enumerate(best):
                values = {name: np.full(2 * SWEPT, point[at]) for name, at in others.items()}
                tries[k, 1:, self.recipe.where[role.name]] = self.cloud.draw(role, size, sign, values)
            flat = tries.reshape(-1, tries.shape[-1])
            rss = self.projected.project(flat).reshape(len(best), -1)
            best = tries[np.arange(len(best)), rss.argmin(axis=1)]
        return best

    def scanned(self, points: Array, wanted: int) -> Array:
        """Points with frequencies from a grid: the deepest dips of Σ w r² along each frequency in turn."""
        for place, role in enumerate(self.turning):
            last = place == len(self.turning) - 1
            each = max(2, -(-2 * wanted // len(points))) if last else 2
            kept = [one for point in points for one in self.dips(point, role, each)]
            kept.sort(key=lambda one: one[0])
            if not kept:  # no value anywhere: descents from the cloud say so
                return points[:wanted]
            points = np.array([one for _, one in kept[: max(wanted, PHASES)]])
        return points[:wanted]

    def dips(self, point: Array, role: Role, count: int) -> list[tuple[float, Array]]:
        """The deepest dips along one frequency, each at its best phase: Σ w r² and the point."""
        grid = self.frequencies(role, point)
        phases = PHASES if self.phases else 1
        tries = np.tile(point, (len(grid), phases, 1))
        tries[:, :, self.recipe.where[role.name]] = grid[:, None]
        for shift in self.phases:
            turned = point[self.recipe.where[shift.name]] + self._turns(shift, point)
            limits = self.limits.get(shift.name, (-math.inf, math.inf))
            tries[:, :, self.recipe.where[shift.name]] = np.clip(turned, *limits)
        flat = tries.reshape(-1, tries.shape[-1])
        rss = self.projected.project(flat).reshape(len(grid), phases)
        depth, best = rss.min(axis=1), tries[np.arange(len(grid)), rss.argmin(axis=1)]
        walls = np.concatenate([[math.inf], depth, [math.inf]])
        low = np.flatnonzero((depth <= walls[:-2]) & (depth <= walls[2:]) & np.isfinite(depth))
        low = low[np.argsort(depth[low], kind="stable")][:count]
        return [(float(depth[k]), best[k]) for k in low]

    def _turns(self, role: Role, point: Array) -> Array:
        """Steps (PHASES,) of a phase in its unit: through half a turn where an amplitude at liberty does the rest."""
        values = {name: np.array([point[at]]) for name, at in self.recipe.where.items() if name != role.name}
        rate = self.cloud.numbers(role.places[0], values)[2][0, 0]
        half = any(one.name == role.name and one.amplitude for one in self.recipe.symmetries.turns)
        whole = math.pi if half and not self.limits else 2.0 * math.pi
        return np.asarray(np.arange(PHASES) * whole / PHASES / rate)

    def _signless(self, name: str) -> bool:
        """Whether a parameter's sign changes nothing that amplitudes and phases at liberty do not take up."""
        free = not self.limits and not self.given
        return free and any(name in one.names for one in self.recipe.symmetries.reflections)

    def frequencies(self, role: Role, point: Array) -> Array:
        """Values of a frequency or period (k,): a fiftieth of a cycle along the data, to what rows can tell apart."""
        values = {name: np.array([point[at]]) for name, at in self.recipe.where.items() if name != role.name}
        power, _, factor, _ = self.cloud.numbers(role.places[0], values, every=True)
        self.powers[role.name] = float(power[0])
        g = np.sort(factor[0])
        gaps = np.diff(g)
        gaps = gaps[gaps > 0.0]
        even = len(gaps) > 1 and float(np.ptp(gaps)) <= EVEN * float(gaps.max())
        most = len(gaps) / 2 if even else float(len(gaps) + 1)
        if role.places[0].op == "tan":  # which repeats after half a turn
            most /= 2.0
        most = min(most, GRID / PER_CYCLE)
        count = int(max(16, PER_CYCLE * most))
        cycles = np.concatenate([[0.02, 0.04, 0.07], np.linspace(0.1, max(most, 0.2), count)])
        found = inverted(2.0 * math.pi * cycles / float(np.ptp(g) or 1.0), power)
        if not self._signless(role.name):
            found = np.concatenate([-found[::-1], found])
        low, high = self.limits.get(role.name, (-math.inf, math.inf))
        inside = found[(low <= found) & (found <= high)]
        if len(inside):
            return np.asarray(inside)
        return np.array([self.cloud.draw(role, np.full(1, 0.5), np.zeros(1), values)[0]])

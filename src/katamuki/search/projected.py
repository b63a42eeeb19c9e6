"""A problem on at most 500 rows, with its linear parameters solved for: what a search evaluates and descends on."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np

from katamuki.backends.native import address_of
from katamuki.problem import Problem
from katamuki.records import Array
from katamuki.search import projection
from katamuki.search.recipe import Recipe

ROWS = 500  # that a search looks at
NOTHING = 1e-26  # of Σ w y²: the noise of the formula's own evaluation
STEPS = 60  # of one descent

Limits = Mapping[str, tuple[float, float]]


class Projected:
    """Loss and descents over the nonlinear parameters alone; points are all parameters (all_p,).

    Parameters
    ----------
    problem : Problem
        All rows; at most 500 of them are looked at.
    recipe : Recipe
        Which parameters are linear.
    limits : mapping of str to (float, float)
        Bounds.
    seed : int
        Chooses the rows where there are more.
    """

    def __init__(self, problem: Problem, recipe: Recipe, limits: Limits, seed: int) -> None:
        self.recipe = recipe
        self.problem = problem = fewer(problem, seed)
        self.lower, self.upper = recipe.endless
        if limits:
            ends = np.array([limits.get(name, (-math.inf, math.inf)) for name in recipe.names])
            self.lower, self.upper = np.ascontiguousarray(ends[:, 0]), np.ascontiguousarray(ends[:, 1])
        self.block = problem.block()
        self.work = np.empty(projection.room(problem.p, problem.all_p))
        self.places = np.empty(2 * problem.p + 1, dtype=np.int64)
        self.bounded = bool(limits)
        self.floor = NOTHING * problem.tss_about_zero
        self.evaluations = 0.0
        self._data = (problem.kernel.address, problem.columns_address, problem.y_address, problem.root_address)
        self._rows = (int(problem.root is not None), problem.n, address_of(recipe.free))

    def rss(self, values: Array) -> float:
        """Σ w r² of the rows seen, at all parameters as they are."""
        return self.problem.rss(values)

    def project(self, points: Array) -> Array:
        """Σ w r² (s,) with the linear parameters at their best, which are put into the points (s, all_p)."""
        rss = self._run(points, 0, -1.0)[:, 0]
        return np.where(np.isfinite(rss), rss, math.inf)

    def descend(self, points: Array, known: float) -> Array:
        """Descend from points (s, all_p), in place: (s, 3) Σ w r², how it ended, evaluations.

        ``known`` is Σ w r² of the best minimum so far, or negative: whoever comes so near has arrived.
        """
        return self._run(points, STEPS, known)

    def _run(self, points: Array, steps: int, known: float) -> Array:
        problem, recipe, out = self.problem, self.recipe, np.empty((len(points), 3))
        if self.bounded:  # no step leads back from outside
            points[:, recipe.free] = np.clip(points[:, recipe.free], self.lower, self.upper)
        orders = (address_of(recipe.linear_order), address_of(recipe.order))
        limits = (address_of(self.lower), address_of(self.upper), len(points), steps, self.floor, known)
        rest = (
            address_of(self.block),
            address_of(self.work),
            address_of(self.places),
            address_of(points),
            address_of(out),
        )
        projection.descend(*self._data, *self._rows, problem.p, recipe.q, problem.all_p, *orders, *limits, *rest)
        self.evaluations += float(out[:, 2].sum())
        return out

    def completed(self, values: Array, kept: Collection[str]) -> Array:
        """All parameters with the linear ones at their best, but for those that are to be kept."""
        best = values[None, :].copy()
        if not np.isfinite(self.project(best)[0]):
            return values
        moved = [name in self.recipe.linear and name not in kept for name in self.recipe.all_names]
        return np.where(moved, best[0], values)


def fewer(problem: Problem, seed: int) -> Problem:
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

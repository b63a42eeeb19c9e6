"""What a formula's curvature adds to a Gauss–Newton step on rows that are elsewhere, read off the sample.

Where residuals at the minimum θ + δ are noise, the slope at θ is Jᵀ(f(θ+δ) − f(θ)) but for that noise. Gauss–Newton
takes it for Nδ, N the normal matrix, and falls short by terms of δ². The difference does not depend on the response: it
is made of the model and of where the rows stand, and a sample of m rows in memory tells it to a fraction 1/√m of
itself, without a pass over the others. With it a step from the sample's answer ends a hundred times nearer to the
minimum, and a pass is saved. What residuals that are no noise add to the curvature is left out, as Gauss–Newton leaves
it out; steps contract as slowly then as its own. Sources: Björck 1996, section 9.2.1 (the error of a Gauss–Newton
step); Jordan, Lee & Yang 2019 (a higher derivative of all rows replaced by a sample's).
"""

from __future__ import annotations

import math

import numpy as np

from katamuki.problem import Problem
from katamuki.problem.distant import Distant
from katamuki.records import Array

ROUNDS = 6  # of the fixed point, at most
SHARE = 0.1  # of the step: where curvature adds more, the sample's answer was far off, and nothing is added
EPSILON = 2.0**-52
CLOSE = 1e-3  # of what is added: the sample does not know it better


class Curvature:
    """The model about a place, on the sample's rows.

    Parameters
    ----------
    problem : Distant
        Rows that are elsewhere, with their sample.
    values : (all_p,) float64
        The place: all parameters.
    r : (p, p) float64
        The triangle of all rows' weighted Jacobian there.
    """

    def __init__(self, problem: Distant, values: Array, r: Array) -> None:
        self.sample, self.names, self.p = problem.wider or problem.sample, problem.free_names, problem.p
        self.values, self.free, self.r = values, problem.free, r
        self.given = dict(zip(problem.names, values.tolist(), strict=True))
        self.matrix = self._sums(values, values)[1]
        lengths, own = (r * r).sum(axis=0), np.diag(self.matrix)
        self.scale = float(np.mean(lengths / own)) if (own > 0.0).all() else math.nan
        self.unseen = 0.0 if problem.whole else 1.0 / math.sqrt(self.sample.n)

    def _sums(self, values: Array, true: Array) -> tuple[Array, Array]:
        """Jᵀr (p,) and JᵀJ (p, p) of the sample's rows at a place, their response the model's values at another."""
        sample, p = self.sample, self.p
        y = sample.kernel.evaluate(sample.columns, true, sample.n)
        model = Problem(sample.kernel, sample.columns, y, sample.weights, self.given, self.names, sample.threads)
        sums, matrix = model.normal(values), np.zeros((p, p))
        model.close()
        matrix[np.triu_indices(p)] = sums[1 + p :]
        return sums[1 : 1 + p], matrix + np.triu(matrix, 1).T

    def _moved(self, step: Array) -> Array:
        values = self.values.copy()
        values[self.free] += step
        return values

    def bent(self, step: Array) -> Array:
        """The Gauss–Newton step (p,) with what curvature adds; the step itself where that is not small."""
        if not math.isfinite(self.scale):
            return step
        size, found = float(np.linalg.norm(self.r @ step)), step
        for _ in range(ROUNDS):
            short = self.matrix @ found - self._sums(self.values, self._moved(found))[0]
            more = np.linalg.solve(self.r, np.linalg.solve(self.r.T, self.scale * short))
            added, change = np.linalg.norm(self.r @ more), np.linalg.norm(self.r @ (step + more - found))
            if not added <= SHARE * size:
                return step
            found = step + more
            if change <= CLOSE * added:
                break
        return found

    def turned(self, step: Array) -> tuple[Array, float]:
        """The triangle (p, p) of all rows a small step (p,) further on, and how far that may be off, of itself."""
        if not math.isfinite(self.scale):
            return self.r, math.inf
        there = self._moved(step)
        apart = self.scale * (self._sums(there, there)[1] - self.matrix)
        inside = np.linalg.solve(self.r.T, np.linalg.solve(self.r.T, apart).T)
        size = float(np.linalg.norm(inside))
        half = np.triu(inside) - 0.5 * np.diag(np.diag(inside))
        return self.r + half @ self.r, size * (self.unseen + size) + self._rounding()

    def _rounding(self) -> float:
        """What rounding of the sample's sums can turn the triangle by, of itself; dependent columns multiply it."""
        unit = self.r / np.linalg.norm(self.r, axis=0)
        return EPSILON / float(np.linalg.norm(unit, -2)) ** 2

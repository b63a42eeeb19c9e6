"""How many digits of a fit's parameters survive rounding: all of them when asked, the few when it is printed.

:mod:`katamuki.solvers.rounding` measures; here stands what it is told about the model: how data become a problem, and
how the formula is evaluated with its operations rounded otherwise. A report needs to know only where fewer digits are
left than it prints. What cannot be so is seen from one evaluation at a few rows: rounding of y and of the formula moves
a parameter by no more than its norm times that parameter's column of the pseudo-inverse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from katamuki.api.edges import rows_on_edges
from katamuki.api.plan import Plan
from katamuki.backends import numpy_
from katamuki.problem import Problem
from katamuki.records import HAS_AN_ANSWER, Array, Solution
from katamuki.solvers import rounding

DIGITS = 15.95  # of a double
PRINTED = 7  # digits that a report prints at most
SPARE = 10.0  # what large residuals may make of rounding beyond the bound
SEEN = 64  # rows at which the formula is evaluated to see whether digits are to be feared for


class Model:
    """A plan at an answer, as :mod:`katamuki.solvers.rounding` asks for it."""

    def __init__(self, solution: Solution, plan: Plan) -> None:
        self.solution = solution
        self.plan = plan
        self.left = plan.model.lhs
        self.columns = plan.kernel.columns
        self.names = tuple(dict.fromkeys((*self.columns, *self.left.columns)))

    def response(self, columns: list[Array]) -> Array:
        """The left side (n,)."""
        if self.plan.response_column is not None:
            return columns[self.names.index(self.plan.response_column)]
        return np.ascontiguousarray(numpy_.evaluate(self.left, self._rows(columns), {})[0])

    def problem(self, columns: list[Array], y: Array, weights: Array | None) -> Problem:
        """The problem of these rows, its values the answer."""
        own = columns[: len(self.columns)]
        return self.plan.problem(own, y, weights, self.solution.params, self.solution.free)

    def shaken(self, columns: list[Array], draw: np.random.Generator) -> Array | None:
        """f and its derivatives by all parameters (1 + all_p, n), every operation rounded otherwise."""
        if self.plan.model.rhs is None:
            return None
        return numpy_.shaken(self.plan.kernel.derivative, self._rows(columns), self.solution.params, draw)

    def noise(self, columns: list[Array], draw: np.random.Generator) -> Array:
        """By how much they move where only what double-double does not compute is rounded otherwise."""
        graph, rows, params = self.plan.kernel.derivative, self._rows(columns), self.solution.params
        with np.errstate(all="ignore"):
            moved = numpy_.shaken(graph, rows, params, draw, exact=True)
            return np.asarray(moved - np.array(numpy_.evaluate(graph, rows, params)))

    def edges(self, columns: list[Array]) -> NDArray[np.bool_]:
        """The rows (n,) on an edge of the formula, where a derivative is that of either side."""
        if self.plan.model.rhs is None:
            return np.zeros(len(columns[0]), dtype=bool)
        return rows_on_edges(self.plan.kernel.graph, self._rows(columns), self.solution.params, self.solution.free)

    def _rows(self, columns: list[Array]) -> dict[str, Array]:
        return dict(zip(self.names, columns, strict=True))


def digits(
    solution: Solution, plan: Plan, columns: Mapping[str, Array], weights: Array | None, sampled: bool = False
) -> dict[str, float]:
    """How many decimal digits of each free parameter are there; see ``Fit.digits``. ``columns`` may be a sample."""
    free, reference = solution.free, solution.reference
    if solution.covariance.shape != (len(free),) * 2:  # none is computed of so many
        return dict.fromkeys(free, math.nan)
    model = Model(solution, plan)
    stuck = {*solution.at_bound, *(one.name for one in solution.edges)}
    held = np.array([name in stuck for name in free])
    arrays = [np.ascontiguousarray(columns[name]) for name in model.names]
    found = rounding.moved(model, arrays, weights, held, closed=solution.solver == "linear", sampled=sampled)
    unknown = {name for one in solution.combinations for name in one.names} | stuck
    out = {}
    for name, far in zip(free, found.tolist(), strict=True):
        value = solution.params[name]
        left_over = 0.0
        if reference is not None and solution.state in {"cycle", "slow"}:
            left_over = abs(value - reference.params[name])
        if value == 0.0 or name in unknown or math.isnan(far):
            out[name] = math.nan
        else:
            share = max(far, left_over) / abs(value)
            out[name] = min(DIGITS, -math.log10(max(share, 1e-300)))
    return out


def feared(solution: Solution, plan: Plan, columns: Mapping[str, Array], weights: Array | None) -> bool:
    """Whether fewer digits of a parameter than are printed may have survived: a bound, from a few rows."""
    free = solution.free
    if solution.state not in HAS_AN_ANSWER or solution.covariance.shape != (len(free),) * 2 or plan.model.rhs is None:
        return False
    model, draw = Model(solution, plan), np.random.default_rng(0)
    n, dof, stuck = solution.n, solution.dof, {*solution.at_bound, *(one.name for one in solution.edges)}
    there_are = len(next((columns[name] for name in model.names), ()))  # fewer than n where they are a sample
    rows = np.arange(0, there_are, max(1, there_are // SEEN))
    few = [np.ascontiguousarray(columns[name][rows]) for name in model.names]
    moved = [one + np.spacing(one) * draw.integers(-1, 2, len(one), np.int8) for one in few]
    there = numpy_.shaken(plan.kernel.graph, dict(zip(model.names, moved, strict=True)), solution.params, draw)[0]
    here = numpy_.evaluate(plan.kernel.graph, dict(zip(model.names, few, strict=True)), solution.params)[0]
    off = (there - here) ** 2 + np.spacing(model.response(few)) ** 2
    norm = math.sqrt(n * float(np.mean(off if weights is None else off * weights[rows])))
    variance = 1.0 if solution.sigma_is == "known" else solution.rss / dof if dof > 0 else math.nan
    for name, one in zip(free, np.diag(solution.covariance).tolist(), strict=True):
        size = abs(solution.params[name])
        if size == 0.0 or name in stuck or any(name in two.names for two in solution.combinations):
            continue
        if not SPARE * norm * math.sqrt(one / variance if variance > 0.0 else math.inf) < 10.0**-PRINTED * size:
            return True
    return False

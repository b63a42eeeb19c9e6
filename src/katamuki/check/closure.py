"""A claim whose model is no text: predictions come as a plain function of the parameters, slopes from differences.

The function gives all rows for a vector of all parameters, in float64; how it does that is not looked at, and what it
computes wrongly, it computes wrongly here. Slopes are central differences, improved by Richardson's extrapolation, so
they have eleven digits where formulas' have sixteen, and thresholds that tell dependent columns apart are
wider. A network's minima are many: its loss and its gradient are tested, and no more is claimed to be known.
Source: Richardson 1911; Fornberg 1988 (the differences).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from katamuki.check import comparing
from katamuki.check.comparing import Doubt, said
from katamuki.check.evaluation import BLOCK, EPS, Case
from katamuki.check.reading import Expression, expression
from katamuki.records import Array, CheckReport, Solution

Predict = Callable[[Array], Array]
REACH = 1e-3  # relative: the wider of two steps; its fourth power is the error of the slopes
UNSEEN = 1e-11  # of the predictions: a difference no larger is rounding, to five digits
CLEAR = 1e-5  # the same: a difference that has its eleven digits
WEIGHTS = 300  # a network's parameters up to which every slope is tested; of more, some directions
DIRECTIONS = 64
SEED = 20_240_229
STILL = 1e-5  # cosine between residuals and a column of J below which a network's gradient counts as zero
NOISY = 1e-3  # of a cosine, at most: what the differences' rounding may add where the residuals are all but rounding
MANY_ROWS = 100_000  # rows up to which slopes of all of them are kept


@dataclass(frozen=True, slots=True)
class Closure(Case):
    """What a solution claims to have fitted, its predictions by a function; ``rows`` are those looked at, None: all.

    ``names`` are all parameters in the function's order. The last predictions and, apart from them, the last slopes are
    kept: blocks of rows ask for the same ones.
    """

    function: Predict | None = None
    names: tuple[str, ...] = ()
    rows: Any = None
    seen: dict[bytes, Array] = field(default_factory=dict, compare=False)
    slopes: dict[bytes, Array] = field(default_factory=dict, compare=False)

    resolution: ClassVar[float] = 1e-9  # of slopes by differences

    def only(self, rows: Any) -> Closure:
        """The same claim on some of the rows."""
        root = None if self.root is None else self.root[rows]
        kept = rows if self.rows is None else self.rows[rows]
        return Closure(self.right, self.free, self.held, {}, self.y[rows], root, self.function, self.names, kept)

    def holding(self, values: Mapping[str, float]) -> Closure:
        """The same claim with some free parameters held."""
        free = tuple(name for name in self.free if name not in values)
        held = {**self.held, **values}
        return Closure(self.right, free, held, {}, self.y, self.root, self.function, self.names, self.rows)

    def whole(self, values: Any) -> Array:
        """ŷ of all rows looked at, at free values (p,)."""
        moving = dict(zip(self.free, map(float, values), strict=True))
        vector = np.array([moving[name] if name in moving else float(self.held[name]) for name in self.names])
        key = vector.tobytes()
        if key not in self.seen:
            while len(self.seen) > 8:
                self.seen.pop(next(iter(self.seen)))
            assert self.function is not None  # made by closure_case
            found = np.asarray(self.function(vector), np.float64)
            self.seen[key] = found if self.rows is None else found[self.rows]
        return self.seen[key]

    def predict(self, values: Any, rows: slice, moved: int = -1, by: Any = 0.0) -> Any:
        """ŷ (m,) at free values (p,), one of which may be moved by ``by``."""
        if moved >= 0:
            values = np.array(values)
            values[moved] += by
        return self.whole(values)[rows].astype(values.dtype)

    def together(self, points: int) -> bool:
        """The function gives predictions and nothing beside them."""
        del points
        return False

    def jacobian(self, values: Any, rows: slice = slice(None)) -> Any:
        """√w ∂ŷ/∂parameters, (m, p): by differences, of all rows at once where there is room."""
        key = np.asarray(values, np.float64).tobytes()
        whole = self.n <= MANY_ROWS or len(self.free) * self.n <= 64 * BLOCK
        if whole and key in self.slopes:
            return self.slopes[key][rows].astype(values.dtype)
        found = np.empty((self.n if whole else len(self.y[rows]), len(values)))
        part = slice(None) if whole else rows
        for k in range(len(values)):
            found[:, k] = self.slope(values, k, part)
        root = self.root[part][:, None] if self.root is not None else 1.0
        found = root * found
        if not whole:
            return found.astype(values.dtype)
        self.slopes.clear()
        self.slopes[key] = found
        return found[rows].astype(values.dtype)

    def _slopes(self, values: Any, rows: slice) -> Any:
        """The same, for whoever wants residuals too."""
        return self.jacobian(values, rows)

    def slope(self, values: Any, k: int, rows: slice) -> Array:
        """∂ŷ/∂parameter k (m,)."""
        direction = np.zeros(len(values))
        direction[k] = 1.0
        return self.along(values, direction, self._reach(values, direction, abs(float(values[k])), rows), rows)

    def along(self, values: Any, direction: Array, reach: float, rows: slice = slice(None)) -> Array:
        """The derivative of ŷ (m,) along a direction (p,), from two central differences."""
        wide, narrow = (self._difference(values, direction, by, rows) / (2.0 * by) for by in (reach, reach / 2.0))
        return np.asarray((4.0 * narrow - wide) / 3.0)

    def _difference(self, values: Any, direction: Array, by: float, rows: slice) -> Array:
        """ŷ (m,) so far ahead along a direction, less ŷ so far back."""
        here = np.asarray(values, np.float64)
        return np.asarray(self.whole(here + by * direction)[rows] - self.whole(here - by * direction)[rows])

    def _reach(self, values: Any, direction: Array, size: float, rows: slice) -> float:
        """How far to step: a share of the parameter's size; where that is rounding and nothing moves, until it does."""
        reach = REACH * (size or 1.0)
        scale = float(np.linalg.norm(self.whole(values)[rows]))
        wanted = UNSEEN * scale
        while reach < REACH and np.linalg.norm(self._difference(values, direction, reach, rows)) <= wanted:
            wanted = CLEAR * scale
            reach = min(1000.0 * reach, REACH)
        return reach


def closure_case(solution: Solution, columns: Mapping[str, Array], weights: Array | None, function: Predict) -> Closure:
    """The claim as a case; the response is a column."""
    y = np.asarray(columns[solution.columns[0]], np.float64)
    root = None if weights is None else np.sqrt(np.asarray(weights, np.float64))
    held = {name: np.float64(value) for name, value in solution.params.items() if name not in solution.free}
    names = tuple(solution.params)
    return Closure(_no_text(), solution.free, held, {}, y, root, function, names)


def _no_text() -> Expression:
    """An expression where there is none."""
    return expression("0")


def judge_network(solution: Solution, case: Closure) -> CheckReport:
    """Test the loss that a network's fit claims and, where it claims to stand still, its gradient.

    Parameters
    ----------
    solution : Solution
        The claim.
    case : Closure
        The same, by its function.

    Returns
    -------
    CheckReport
        "FAIL" where a number is wrong, else "CANNOT TELL": nobody looks for a network's other minima.
    """
    values = np.array([solution.params[name] for name in case.free])
    residuals = case.residuals(values)
    rss = float(residuals @ residuals)
    doubts: list[Doubt] = []
    if not np.isfinite(residuals).all():
        return CheckReport("FAIL", "check.fail.not_finite", {}, {}, {})
    root = 1.0 if case.root is None else case.root
    size = float(np.linalg.norm(root * np.abs(case.y) + np.abs(root * case.y - residuals)))
    slack = 64.0 * EPS * size * math.sqrt(rss) + (16.0 * EPS * size) ** 2
    if not abs(solution.rss - rss) <= comparing.NUMBERS * rss + slack:
        doubts.append(("check.fail.rss", {"claimed": said(solution.rss), "found": said(rss)}))
    if not abs(solution.loss - solution.rss / case.n) <= comparing.NUMBERS * abs(solution.loss):
        doubts.append(("check.fail.loss", {"claimed": said(solution.loss), "found": said(solution.rss / case.n)}))
    worst, name, slope, gradient = _steepest(case, values, residuals)
    facts: dict[str, Any] = {"gradient": gradient, "cosine": worst, "relative_gradient": worst, "route": "none"}
    still = solution.state in {"converged", "not_identifiable"}
    noise = 1e3 * EPS * size / REACH / max(math.sqrt(rss), EPS * size)
    if still and not worst <= STILL + NOISY * min(noise, 1.0):
        doubts.append(("check.fail.gradient", {"name": name, "value": said(slope)}))
    if doubts:
        reason, told = doubts[0]
        facts["doubts"] = tuple(key for key, _ in doubts)
        return CheckReport("FAIL", reason, {}, {}, {}, told, facts)
    key = "check.cannot.network" if still else "check.cannot.network_moving"
    return CheckReport("CANNOT TELL", key, {}, {}, {}, {"loss": said(rss / case.n)}, facts)


def _steepest(case: Closure, values: Array, residuals: Array) -> tuple[float, str, float, float]:
    """The largest cosine between residuals and slopes, whose it is, the loss's slope there, and the steepest slope."""
    length = float(np.linalg.norm(residuals))
    root = 1.0 if case.root is None else case.root
    worst, name, slope, steepest = 0.0, case.free[0], 0.0, 0.0
    if len(values) <= WEIGHTS:
        directions: list[tuple[str, Array | None, int]] = [(case.free[k], None, k) for k in range(len(values))]
    else:
        rng = np.random.default_rng(SEED)
        drawn = rng.standard_normal((DIRECTIONS, len(values)))
        drawn /= np.linalg.norm(drawn, axis=1)[:, None]
        directions = [(f"direction {k + 1}", one, k) for k, one in enumerate(drawn)]
    for label, direction, k in directions:
        if direction is None:
            column = root * case.slope(values, k, slice(None))
        else:
            reach = REACH * max(float(np.linalg.norm(values)) / math.sqrt(len(values)), REACH)
            column = root * case.along(values, direction, reach)
        product, size = float(column @ residuals), float(np.linalg.norm(column))
        cosine = abs(product) / (size * length) if size * length > 0.0 else 0.0
        steepest = max(steepest, 2.0 / case.n * abs(product))
        if cosine > worst:
            worst, name, slope = cosine, label, -2.0 / case.n * product
    return worst, name, slope, steepest

"""Least squares for the gallery, by another road than katamuki's: SciPy from many starts, then Gauss–Newton in 80 bits.

A formula is read by Python's ``ast`` and evaluated on NumPy arrays with its partial derivatives (forward mode), in
double for the search and in NumPy's long double (64-bit mantissa) for the answer. Parameters that the problem declares
linear are eliminated at each start (Golub & Pereyra 1973). It shares no code with katamuki.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, special

LEAST = 1e-9  # a start has reached the answer if its RSS is within so much, relative
HUGE = 1e8  # what stands in for a residual without a value during the search, in units of the data's spread
NEAR, WIDE, TRUST = 100, 200, 60  # starts: round the truth, in the wide box, in the wide box by another method


class Jet:
    """A value (n,) and its partial derivatives (p, n); either may be broadcast."""

    __array_ufunc__ = None  # an array on the left leaves the work to this class

    def __init__(self, value: Any, partials: Any) -> None:
        self.value, self.partials = value, partials

    def chain(self, value: Any, slope: Any) -> Jet:
        return Jet(value, slope * self.partials)

    def __neg__(self) -> Jet:
        return self.chain(-self.value, -1.0)

    def __add__(self, other: Any) -> Jet:
        if isinstance(other, Jet):
            return Jet(self.value + other.value, self.partials + other.partials)
        return Jet(self.value + other, self.partials)

    def __sub__(self, other: Any) -> Jet:
        return self + -other

    def __rsub__(self, other: Any) -> Jet:
        return -self + other

    def __mul__(self, other: Any) -> Jet:
        if isinstance(other, Jet):
            return Jet(self.value * other.value, self.partials * other.value + other.partials * self.value)
        return self.chain(self.value * other, other)

    def __truediv__(self, other: Any) -> Jet:
        if isinstance(other, Jet):
            quotient = self.value / other.value
            return Jet(quotient, (self.partials - quotient * other.partials) / other.value)
        return Jet(self.value / other, self.partials / other)

    def __rtruediv__(self, other: Any) -> Jet:
        quotient = other / self.value
        return self.chain(quotient, -quotient / self.value)

    def __pow__(self, other: Any) -> Jet:
        if not isinstance(other, Jet):
            return self.chain(self.value**other, other * self.value ** (other - 1))
        value = self.value**other.value
        slopes = value * (np.log(self.value) * other.partials + other.value / self.value * self.partials)
        return Jet(value, np.where(self.value == 0, 0.0, slopes))

    def __rpow__(self, other: Any) -> Jet:
        value = other**self.value
        slope = np.where(np.asarray(other) == 0, 0.0, value * np.log(other))
        return self.chain(value, slope)

    __radd__ = __add__
    __rmul__ = __mul__


def chosen(condition: Any, one: Any, two: Any) -> Any:
    """One where the condition holds, else the other."""
    (v, d), (w, e) = (value_and_partials(each) for each in (one, two))
    value = np.where(condition, v, w)
    return (
        value
        if d is None and e is None
        else Jet(value, np.where(condition, 0 if d is None else d, 0 if e is None else e))
    )


def value_and_partials(one: Any) -> tuple[Any, Any]:
    return (one.value, one.partials) if isinstance(one, Jet) else (one, None)


def plain(one: Any) -> Any:
    return one.value if isinstance(one, Jet) else one


FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "exp": (np.exp, np.exp),
    "log": (np.log, lambda u: 1 / u),
    "log10": (np.log10, lambda u: 1 / (u * np.log(10.0))),
    "sqrt": (np.sqrt, lambda u: 0.5 / np.sqrt(u)),
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda u: -np.sin(u)),
    "tanh": (np.tanh, lambda u: 1 - np.tanh(u) ** 2),
    "abs": (np.abs, np.sign),
    "erf": (lambda u: special.erf(np.asarray(u, dtype=np.float64)), lambda u: 2 / np.sqrt(np.pi) * np.exp(-u * u)),
}
OPERATIONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
}


def evaluate(node: ast.AST, scope: Mapping[str, Any]) -> Any:
    """The value of a formula's tree, arrays or jets, every name taken from ``scope``."""
    if isinstance(node, ast.Expression):
        return evaluate(node.body, scope)
    if isinstance(node, ast.Name):
        return scope[node.id]
    if isinstance(node, ast.Constant):
        return float(node.value)  # type: ignore[arg-type]  # the double, which is all that any program sees
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -evaluate(node.operand, scope)
    if isinstance(node, ast.BinOp):
        return OPERATIONS[type(node.op)](evaluate(node.left, scope), evaluate(node.right, scope))
    if isinstance(node, ast.IfExp) and isinstance(node.test, ast.Compare) and isinstance(node.test.ops[0], ast.Lt):
        one, two = plain(evaluate(node.test.left, scope)), plain(evaluate(node.test.comparators[0], scope))
        return chosen(one < two, evaluate(node.body, scope), evaluate(node.orelse, scope))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        arguments = [evaluate(one, scope) for one in node.args]
        if node.func.id in {"max", "min"}:
            a, b = arguments
            larger = plain(a) > plain(b)
            return chosen(larger, a, b) if node.func.id == "max" else chosen(larger, b, a)
        value, slope = FUNCTIONS[node.func.id]
        (u,) = arguments
        return u.chain(value(u.value), slope(u.value)) if isinstance(u, Jet) else value(u)
    raise ValueError(f"not in a formula of the gallery: {ast.dump(node)}")


@functools.cache
def sides(formula: str) -> tuple[ast.Expression, ast.Expression]:
    """The trees of a formula's two sides."""
    left, right = formula.replace("^", "**").replace("~", "=").split("=")
    return ast.parse(left.strip(), mode="eval"), ast.parse(right.strip(), mode="eval")


@dataclass(frozen=True)
class Model:
    """A formula over columns: residuals y − f and their derivatives, in any of NumPy's precisions."""

    formula: str
    columns: Mapping[str, Any]
    names: tuple[str, ...]  # parameters
    linear: tuple[str, ...]

    @property
    def response(self) -> Any:
        return evaluate(sides(self.formula)[0], self.columns)

    def value(self, values: Mapping[str, float]) -> Any:
        """f (n,), without derivatives."""
        found = evaluate(sides(self.formula)[1], {**self.columns, **values, "pi": np.pi})
        return np.broadcast_to(plain(found), np.shape(next(iter(self.columns.values()))))

    def jets(self, values: Sequence[Any], dtype: Any = np.float64) -> tuple[Any, Any]:
        """f (n,) and its derivatives (n, p)."""
        unit = np.eye(len(self.names), dtype=dtype)
        leaves = {name: Jet(dtype(v), unit[:, [k]]) for k, (name, v) in enumerate(zip(self.names, values, strict=True))}
        columns = {name: np.asarray(one, dtype=dtype) for name, one in self.columns.items()}
        with np.errstate(all="ignore"):
            found = evaluate(sides(self.formula)[1], {**columns, **leaves, "pi": np.pi})
        n, p = len(next(iter(columns.values()))), len(self.names)
        return np.broadcast_to(found.value, (n,)), np.broadcast_to(found.partials, (p, n)).T


class Search:
    """The search of one problem: every start's RSS, and the best parameters."""

    def __init__(self, model: Model, truth: Mapping[str, float], wide: Mapping[str, tuple[float, float]], seed: int):
        self.model, self.truth, self.wide = model, truth, wide
        self.random = np.random.default_rng(seed)
        self.y = np.asarray(model.response, dtype=np.float64)
        self.spread = float(np.max(np.abs(self.y - self.y.mean()))) or 1.0
        self.free = tuple(name for name in model.names if name not in model.linear)
        self.at: tuple[bytes, Any, Any] = (b"", None, None)

    def both(self, values: Any) -> tuple[Any, Any]:
        """Residuals and their Jacobian, large numbers standing in where there is no value; the last point is kept."""
        key = np.asarray(values).tobytes()
        if key != self.at[0]:
            f, slopes = self.model.jets(values)
            r = np.nan_to_num(f - self.y, nan=HUGE * self.spread, posinf=HUGE * self.spread, neginf=-HUGE * self.spread)
            r = np.clip(r, -HUGE * self.spread, HUGE * self.spread)
            self.at = key, r, np.clip(np.nan_to_num(slopes, nan=0.0, posinf=1e150, neginf=-1e150), -1e150, 1e150)
        return self.at[1], self.at[2]

    def projected(self, free: Any) -> tuple[Any, float]:
        """All parameters and the RSS, the linear ones chosen best for these others."""
        values = dict(zip(self.free, free, strict=True))
        start = np.array([values.get(name, 0.0) for name in self.model.names])
        if not self.model.linear:
            r = self.both(start)[0]
            return start, float(r @ r)
        f, slopes = self.model.jets(start)
        places = [self.model.names.index(name) for name in self.model.linear]
        basis = np.array(slopes[:, places])
        if not (np.isfinite(f).all() and np.isfinite(basis).all()):
            return start, (HUGE * self.spread) ** 2
        size = np.linalg.norm(basis, axis=0)
        size[size == 0] = 1.0
        found = np.linalg.lstsq(basis / size, self.y - f, rcond=1e-13)[0] / size
        start[places] = found
        r = self.y - f - basis @ found
        return start, float(r @ r)

    def drawn(self, near: bool) -> Any:
        """A start for the parameters that are not linear: in the wide box, or within a factor of 2 of the truth."""
        found = []
        for name in self.free:
            low, high = self.wide[name]
            if near:
                low, high = max(low, self.truth[name] - span(low, high)), min(high, self.truth[name] + span(low, high))
                if self.wide[name][0] > 0:
                    low, high = (np.clip(self.truth[name] * q, *self.wide[name]) for q in (0.5, 2.0))
            if low > 0 and high > 30 * low:
                found.append(np.exp(self.random.uniform(np.log(low), np.log(high))))
            else:
                found.append(self.random.uniform(low, high))
        return np.array(found)

    def descend(self, start: Any, method: str) -> tuple[float, Any]:
        """SciPy's least_squares with the exact Jacobian."""
        options = {"xtol": 1e-12, "ftol": 1e-13, "gtol": 1e-15, "x_scale": "jac"}
        try:
            with np.errstate(all="ignore"):
                found = optimize.least_squares(
                    lambda v: self.both(v)[0], start, lambda v: self.both(v)[1], method=method,
                    max_nfev=200, **options,
                )  # fmt: skip
        except (ValueError, np.linalg.LinAlgError):
            return np.inf, start
        return 2.0 * float(found.cost), found.x

    def evolved(self, seed: int) -> tuple[float, Any]:
        """Differential evolution of the projected problem over the wide box, then a descent."""
        scales = [low > 0 and high > 30 * low for low, high in (self.wide[name] for name in self.free)]
        boxes = [np.log(self.wide[n]) if s else np.array(self.wide[n]) for n, s in zip(self.free, scales, strict=True)]

        def back(point: Any) -> Any:
            return np.where(scales, np.exp(np.where(scales, point, 0.0)), point)

        found = optimize.differential_evolution(
            lambda point: self.projected(back(point))[1], boxes, seed=seed, popsize=20, maxiter=150, polish=False
        )
        return self.descend(self.projected(back(found.x))[0], "lm")

    def run(self) -> tuple[Any, dict[str, list[float]]]:
        """The best parameters, and the RSS at the end of every start by kind."""
        ends: dict[str, list[tuple[float, Any]]] = {"near": [], "wide": [], "trf": [], "evolution": []}
        truth = np.array([self.truth[name] for name in self.model.names])
        ends["near"].append(self.descend(truth, "lm"))
        for kind, count, near, method in (
            ("near", NEAR - 1, True, "lm"),
            ("wide", WIDE, False, "lm"),
            ("trf", TRUST, False, "trf"),
        ):
            for _ in range(count):
                ends[kind].append(self.descend(self.projected(self.drawn(near))[0], method))
        ends["evolution"] = [self.evolved(seed) for seed in range(2)]
        every = [end for each in ends.values() for end in each]
        least = min(rss for rss, _ in every)
        best = next(values for rss, values in every if rss <= least * (1 + LEAST))  # of equals the one from nearest by
        return best, {kind: [rss for rss, _ in each] for kind, each in ends.items()}


def span(low: float, high: float) -> float:
    """How far from the truth a start "near" it may be, where the parameter may be negative."""
    return (high - low) / 6


@dataclass(frozen=True)
class Answer:
    """The polished minimum: long doubles, and the relative length of the last step in standard errors."""

    values: Any
    rss: Any
    stderr: Any
    step: float


def polished(model: Model, start: Any) -> Answer:
    """Gauss–Newton in long double, each step from QR in double, halved where it does not help, to the last digit."""
    kind = np.longdouble
    y = np.asarray(model.response, dtype=kind)
    values = np.asarray(start, dtype=kind)
    f, slopes = model.jets(values, kind)
    rss = np.sum((y - f) ** 2)
    for _ in range(500):
        size = np.sqrt(np.sum(slopes**2, axis=0))
        q, r = np.linalg.qr(np.asarray(slopes / size, dtype=np.float64))
        step = np.linalg.solve(r, q.T @ np.asarray(y - f, dtype=np.float64)).astype(kind) / size
        inverse = np.linalg.inv(r)
        dof = max(1, len(y) - len(values))
        stderr = np.sqrt(np.sum(inverse**2, axis=1) * float(rss) / dof) / np.asarray(size, dtype=np.float64)
        moved = float(np.max(np.abs(step) / stderr))
        if moved < 1e-10:
            return Answer(values, rss, stderr, moved)
        for half in range(30):
            trial = values + step / 2**half
            f, slopes = model.jets(trial, kind)
            found = np.sum((y - f) ** 2)
            if found <= rss * (1 + kind(1e-17)):
                values, rss = trial, found
                break
        else:
            f, slopes = model.jets(values, kind)
            return Answer(values, rss, stderr, moved)
    return Answer(values, rss, stderr, moved)

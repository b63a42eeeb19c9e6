"""Claims made by hand: models and slopes written out in NumPy, answers by Gauss–Newton, all without katamuki.

The answer check is tested with these, so that neither a solver nor a parser of katamuki has a part in its tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from katamuki.records import Cycle, Reference, Solution

Values = np.ndarray
TUTORIAL = {
    "x": np.array([10.0, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5]),
    "y": np.array([8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68]),
}


@dataclass
class Hand:
    """A problem: ``value(p, columns)`` (n,) and ``slopes(p, columns)`` (n, p) of all parameters, in order."""

    formula: str
    columns: dict[str, Values]
    y: Values
    names: tuple[str, ...]
    value: Callable[[Values, Mapping[str, Values]], Values]
    slopes: Callable[[Values, Mapping[str, Values]], Values]
    near: Values
    linear: bool = False
    weights: Values | None = None
    sigma_is: Any = None
    fixed: tuple[str, ...] = ()
    at_bound: tuple[str, ...] = ()
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)

    def solved(self) -> Values:
        """The minimum near ``near`` over the parameters that are neither fixed nor at a bound."""
        p = np.array(self.near, float)
        loose = [k for k, name in enumerate(self.names) if name not in self.fixed + self.at_bound]
        root = np.ones(len(self.y)) if self.weights is None else np.sqrt(self.weights)
        for _ in range(50):
            j = root[:, None] * self.slopes(p, self.columns)[:, loose]
            unit = np.linalg.norm(j, axis=0)
            p[loose] += np.linalg.lstsq(j / unit, root * (self.y - self.value(p, self.columns)), rcond=None)[0] / unit
        return p

    def claim(self, at: Values | None = None, **changes: Any) -> Solution:
        """What a right fit says; ``at`` other parameters than the answer, all else consistent with them."""
        p = self.solved() if at is None else np.array(at, float)
        n = len(self.y)
        w = np.ones(n) if self.weights is None else self.weights
        residuals = self.y - self.value(p, self.columns)
        rss = float(w @ residuals**2)
        free = tuple(name for name in self.names if name not in self.fixed)
        loose = [k for k, name in enumerate(self.names) if name in free and name not in self.at_bound]
        dof = n - len(loose)
        j = np.sqrt(w)[:, None] * self.slopes(p, self.columns)[:, loose]
        unit = np.linalg.norm(j, axis=0)
        variance = 1.0 if self.sigma_is == "known" else rss / dof if dof else np.nan
        inner = variance * np.linalg.inv((j / unit).T @ (j / unit)) / np.outer(unit, unit)
        covariance = np.full((len(free), len(free)), np.nan)
        places = [free.index(self.names[k]) for k in loose]
        covariance[np.ix_(places, places)] = inner
        stderr: dict[str, float | None] = dict.fromkeys(self.names)
        for k, place in enumerate(places):
            bar = float(np.sqrt(inner[k, k]))
            stderr[free[place]] = None if np.isnan(bar) else bar
        facts: dict[str, Any] = {
            "formula": self.formula,
            "response": self.formula.split("~")[0].strip(),
            "columns": tuple(self.columns),
            "params": dict(zip(self.names, p.tolist(), strict=True)),
            "free": free,
            "stderr": stderr,
            "covariance": covariance,
            "start": None,
            "bounds": self.bounds,
            "at_bound": self.at_bound,
            "linear": self.linear,
            "state": "exact" if self.linear and not self.at_bound else "converged",
            "solver": "linear" if self.linear else "levenbergmarquardt",
            "options": {},
            "loss": rss / n,
            "rss": rss,
            "tss": float(w @ (self.y - w @ self.y / w.sum()) ** 2),
            "n": n,
            "dof": dof,
            "sigma_is": self.sigma_is,
            "weighted": self.weights is not None,
            "steps": 0,
            "evaluations": 1,
            "seconds": 0.0,
        }
        return Solution(**{**facts, **changes})


def line(columns: dict[str, Values] | None = None, **options: Any) -> Hand:
    """The tutorial's straight line, or another table's."""
    columns = columns or TUTORIAL
    return Hand(
        "y ~ a*x + b",
        columns,
        columns["y"],
        ("a", "b"),
        lambda p, c: p[0] * c["x"] + p[1],
        lambda p, c: np.column_stack([c["x"], np.ones(len(c["x"]))]),
        np.zeros(2),
        linear=True,
        **options,
    )


def decay(noise: float = 0.05, n: int = 60, **options: Any) -> Hand:
    """a·exp(−b·x) + c with noise; seeded."""
    rng = np.random.default_rng(7)
    x = np.linspace(0.0, 4.0, n)
    y = 3.0 * np.exp(-1.2 * x) + 0.5 + noise * rng.normal(size=n)
    return Hand(
        "y ~ a*exp(-b*x) + c",
        {"x": x, "y": y},
        y,
        ("a", "b", "c"),
        lambda p, c: p[0] * np.exp(-p[1] * c["x"]) + p[2],
        lambda p, c: np.column_stack(
            [np.exp(-p[1] * c["x"]), -p[0] * c["x"] * np.exp(-p[1] * c["x"]), np.ones(len(c["x"]))]
        ),
        np.array([3.0, 1.2, 0.5]),
        **options,
    )


def growth(**options: Any) -> Hand:
    """A saturating curve over two columns, top·x/(half + x) + slope·z; seeded."""
    rng = np.random.default_rng(11)
    x, z = rng.uniform(0.1, 8.0, 40), rng.uniform(-1.0, 1.0, 40)
    y = 2.0 * x / (1.3 + x) + 0.4 * z + 0.02 * rng.normal(size=40)
    return Hand(
        "y ~ top*x/(half + x) + slope*z",
        {"x": x, "z": z, "y": y},
        y,
        ("top", "half", "slope"),
        lambda p, c: p[0] * c["x"] / (p[1] + c["x"]) + p[2] * c["z"],
        lambda p, c: np.column_stack([c["x"] / (p[1] + c["x"]), -p[0] * c["x"] / (p[1] + c["x"]) ** 2, c["z"]]),
        np.array([2.0, 1.3, 0.4]),
        **options,
    )


def bell(**options: Any) -> Hand:
    """A Gauss peak on a slope, height·exp(−((x − centre)/width)²) + base + tilt·x; seeded."""
    rng = np.random.default_rng(13)
    x = np.linspace(0.0, 10.0, 80)
    y = 5.0 * np.exp(-(((x - 4.2) / 1.1) ** 2)) + 1.0 + 0.1 * x + 0.1 * rng.normal(size=80)

    def slopes(p: Values, c: Mapping[str, Values]) -> Values:
        u = (c["x"] - p[1]) / p[2]
        peak = np.exp(-(u**2))
        return np.column_stack(
            [peak, p[0] * peak * 2 * u / p[2], p[0] * peak * 2 * u**2 / p[2], np.ones(len(u)), c["x"]]
        )

    return Hand(
        "y ~ height*exp(-((x - centre)/width)^2) + base + tilt*x",
        {"x": x, "y": y},
        y,
        ("height", "centre", "width", "base", "tilt"),
        lambda p, c: p[0] * np.exp(-(((c["x"] - p[1]) / p[2]) ** 2)) + p[3] + p[4] * c["x"],
        slopes,
        np.array([5.0, 4.2, 1.1, 1.0, 0.1]),
        **options,
    )


def rmsprop_run(steps: int = 6000, lr: float = 1e-3) -> Solution:
    """The tutorial's RMSprop run, its loop written out, as a claim: a cycle of two points."""
    problem = line()
    x, y, n = TUTORIAL["x"], TUTORIAL["y"], 11
    p, v, path = np.array([0.5, 0.5]), np.zeros(2), []
    for _ in range(steps):
        path.append(p)
        error = p[0] * x + p[1] - y
        g = np.array([2 / n * (error @ x), 2 / n * error.sum()])
        v = 0.99 * v + 0.01 * g * g
        p = p - lr * g / (np.sqrt(v) + 1e-8)
    best = problem.claim()
    low, high = (p, path[-1]) if p[0] < path[-1][0] else (path[-1], p)
    named = [dict(zip("ab", one.tolist(), strict=True)) for one in (low, high, (low + high) / 2, abs(high - low) / 2)]
    bend = 2 / n * np.array([[x @ x, x.sum()], [x.sum(), n]])
    return problem.claim(
        at=p,
        state="cycle",
        solver="rmsprop",
        options={"lr": lr, "steps": steps},
        start={"a": 0.5, "b": 0.5},
        steps=steps,
        cycle=Cycle(3419, *named),
        reference=Reference(best.params, best.stderr, best.loss, bend),
    )

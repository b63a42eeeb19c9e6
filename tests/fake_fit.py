"""A fit made by hand from records: the tutorial's straight line, so that reports can be tested without a solver.

The numbers are those of Anscombe (1973), first set, from the normal equations: Sxx = 110, Sxy = 55.01, n = 11.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from katamuki.records import Finding, Reference, Solution, Source, Trace, Verdict

X = np.array([10.0, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5])
Y = np.array([8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68])
A, B = 55.01 / 110, Y.mean() - 9 * 55.01 / 110
RSS = float(((Y - A * X - B) ** 2).sum())
S2 = RSS / 9
COVARIANCE = S2 * np.linalg.inv(np.array([[float(X @ X), X.sum()], [X.sum(), 11.0]]))
STDERR = {"a": float(COVARIANCE[0, 0]) ** 0.5, "b": float(COVARIANCE[1, 1]) ** 0.5}
SOURCE = Source("tutorial.csv", "csv", 11, separator=",", decimal=".", header=("x", "y"), sha256="0" * 64)
T95 = 2.2621571628540993  # Student's t, 9 degrees of freedom, 97.5 %

SOLUTION = Solution(
    formula="y = a*x + b",
    response="y",
    columns=("y", "x"),
    params={"a": A, "b": B},
    free=("a", "b"),
    stderr=dict(STDERR),
    covariance=COVARIANCE,
    start=None,
    bounds={},
    at_bound=(),
    linear=True,
    state="exact",
    solver="linear",
    options={},
    loss=RSS / 11,
    rss=RSS,
    tss=float(((Y - Y.mean()) ** 2).sum()),
    n=11,
    dof=9,
    sigma_is=None,
    weighted=False,
    steps=0,
    evaluations=1,
    seconds=1e-5,
)
REFERENCE = Reference({"a": A, "b": B}, dict(STDERR), RSS / 11, 2 / 11 * np.array([[1001.0, 99.0], [99.0, 11.0]]))


@dataclass
class Band:
    """A prediction with its band."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass
class FakeFit:
    """The attributes that reports read, from a solution."""

    solution: Solution = SOLUTION
    data: Source = SOURCE
    findings: tuple[Finding, ...] = ()
    verdict: Verdict = "good"
    trace: Trace | None = None
    seed: int = 0
    columns: Mapping[str, Any] = field(default_factory=lambda: {"x": X, "y": Y})
    aic: float = 1.0
    aicc: float = 2.0
    bic: float = 3.0

    predictors: tuple[str, ...] = ("x",)
    rounded: Mapping[str, float] = field(default_factory=dict)

    @property
    def residuals(self) -> np.ndarray:
        return self.columns["y"] - self.predict(self.columns)

    def predict(self, data: Mapping[str, Any], interval: str | None = None, level: float = 0.95) -> Any:
        a, b = self.solution.params.values()
        value = a * np.asarray(data["x"]) + b
        if interval is None:
            return value
        assert level == 0.95
        variance = self.solution.covariance
        x = np.asarray(data["x"])
        spread = variance[0, 0] * x**2 + 2 * variance[0, 1] * x + variance[1, 1] + (S2 if interval == "new" else 0.0)
        return Band(value, value - T95 * np.sqrt(spread), value + T95 * np.sqrt(spread))

    @property
    def state(self) -> str:
        return self.solution.state

    @property
    def correlation(self) -> np.ndarray:
        spread = np.sqrt(np.diag(self.solution.covariance))
        return self.solution.covariance / np.outer(spread, spread)

    @property
    def r2(self) -> float:
        return 1 - self.solution.rss / self.solution.tss

    def interval(self, level: float = 0.95) -> dict[str, tuple[float, float]]:
        assert level == 0.95
        found = {}
        for name in self.solution.free:
            bar = self.solution.stderr[name]
            value = self.solution.params[name]
            found[name] = (np.nan, np.nan) if bar is None else (value - T95 * bar, value + T95 * bar)
        return found


def claim(**changes: Any) -> FakeFit:
    """The tutorial's fit with some facts of its solution changed."""
    return FakeFit(replace(SOLUTION, **changes))

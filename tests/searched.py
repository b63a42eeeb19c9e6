"""What tests of the search share: problems as it sees them, fits from nothing, curves, and SciPy from many starts."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

import katamuki as km
from katamuki.backends.kernel import Kernel
from katamuki.formula import parse
from katamuki.problem import Problem
from katamuki.records import Search

Array = NDArray[np.float64]
Function = Callable[..., Array]
Limits = dict[str, tuple[float, float]]


def problem(
    text: str, x: Array, y: Array, weights: Array | None = None, fixed: dict[str, float] | None = None
) -> Problem:
    kernel = Kernel(parse(f"y ~ {text}", ["x", "y"]).rhs)
    values = dict.fromkeys(kernel.parameters, 1.0) | (fixed or {})
    free = [name for name in kernel.parameters if name not in (fixed or {})]
    return Problem(kernel, [x] * len(kernel.columns), y, weights, values, free)


T = np.linspace(0.1, 3.0, 40)
WAVE = {"t": T, "y": 2.0 * np.sin(3.7 * T + 0.4) + 0.1 * np.cos(37.0 * T)}
SINE = "y ~ a*sin(b*t + c)"


def fitted(model: Any, data: Any, **options: Any) -> km.Fit:
    """A fit of which the search is asked, not the warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        return km.fit(model, data, **options)


def search_of(fit: km.Fit) -> Search:
    assert fit.solution.search is not None
    return fit.solution.search


def noisy(value: Function, n: int = 60, seed: int = 0, noise: float = 0.05, **params: float) -> dict[str, Array]:
    """n rows of x from 0 to 10, and the function with noise."""
    x = np.linspace(0.0, 10.0, n)
    return {"x": x, "y": value(x, **params) + noise * np.random.default_rng(seed).normal(size=n)}


def decay(x: Array, a: float = 3.0, b: float = 0.7, c: float = 1.0) -> Array:
    return a * np.exp(-b * x) + c


def peak(x: Array, a: float = 3.0, m: float = 6.2, w: float = 0.7, c: float = 0.5) -> Array:
    return a * np.exp(-(((x - m) / w) ** 2)) + c


def sine(x: Array, a: float = 1.5, f: float = 4.4, p: float = 0.9) -> Array:
    return a * np.sin(f * x + p)


def two(x: Array, a: float = 2.0, b: float = 2.2, c: float = 3.0, d: float = 0.3) -> Array:
    return a * np.exp(-b * x) + c * np.exp(-d * x)


DECAY, PEAK, WAVES, TWO = (
    "y ~ a*exp(-b*x) + c",
    "y ~ a*exp(-((x - m)/w)^2) + c",
    "y ~ a*sin(f*x + p)",
    "y ~ a*exp(-b*x) + c*exp(-d*x)",
)
BOTH = noisy(lambda x: peak(x, 3.0, 7.5, 0.6, 0.0) + peak(x, 2.0, 2.5, 0.5, 0.5), n=80)


def scipys(value: Function, data: dict[str, Array], begin: list[float], **options: Any) -> tuple[float, Array]:
    """The loss and the parameters where SciPy ends."""
    names = [name for name in data if name != "y"]
    root = np.sqrt(options.pop("weights", np.ones(len(data["y"]))))
    with np.errstate(all="ignore"):
        found = least_squares(
            lambda t: root * (value(*(data[name] for name in names), *t) - data["y"]),
            begin, x_scale="jac", xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=400, **options,
        )  # fmt: skip
    return 2.0 * float(found.cost) / len(root), found.x


def best_of(
    value: Function, data: dict[str, Array], low: list[float], high: list[float], count: int = 12, **options: Any
) -> float:
    """The least loss of SciPy from random starts in a box."""
    rng = np.random.default_rng(99)
    return min(scipys(value, data, rng.uniform(low, high).tolist(), **options)[0] for _ in range(count))


KINDS: list[tuple[str, dict[str, Array], Function, list[float], list[float]]] = [
    (DECAY, noisy(decay), decay, [-5, 0, -5], [5, 3, 5]),
    (PEAK, BOTH, peak, [0, 0, 0.2, 0], [5, 10, 2, 1]),
    (WAVES, noisy(sine), sine, [0, 0, -3], [2, 10, 3]),
    (TWO, noisy(two), two, [0, 0, 0, 0], [5, 3, 5, 3]),
]

"""``a*exp(-b*x) + c`` on 100 points: a whole ``km.fit`` call against SciPy's ``curve_fit`` from the same start."""

from __future__ import annotations

import numpy as np
from scipy.optimize import curve_fit
from timing import agree, pairs, ratio_row

import katamuki as km

RNG = np.random.default_rng(1)
X = np.linspace(0.0, 4.0, 100)
Y = 2.5 * np.exp(-1.3 * X) + 0.5 + 0.05 * RNG.standard_normal(100)
DATA = {"x": X, "y": Y}
START = {"a": 1.0, "b": 1.0, "c": 0.0}


def model(x: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    """The formula as ``curve_fit`` users write it."""
    return a * np.exp(-b * x) + c


def ours() -> float:
    """The rate; error bars, findings and verdict come with it."""
    return km.fit("y ~ a*exp(-b*x) + c", DATA, start=START, starts=1).params["b"]


def peer() -> float:
    """The rate and the covariance."""
    return float(curve_fit(model, X, Y, p0=tuple(START.values()))[0][1])


if __name__ == "__main__":
    agree(ours(), peer(), 6)
    ratio_row("a*exp(-b*x)+c, 100 points", "scipy curve_fit", pairs(peer, ours), 1.5)

"""A Gaussian on an exponential and a sloping base, 7 parameters, 1e3 to 1e7 points, against SciPy's ``curve_fit``.

Give sizes on the command line to run only those; 1e7 points take SciPy minutes and 3 GB.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.optimize import curve_fit
from timing import agree, pairs, ratio_row

import katamuki as km

FORMULA = "y ~ a*exp(-b*x) + c + d*x + h*exp(-((x - m)/w)^2)"
TRUE = {"a": 5.0, "b": 0.6, "c": 1.0, "d": 0.05, "h": 3.0, "m": 5.0, "w": 0.8}
START = {"a": 4.0, "b": 0.5, "c": 0.5, "d": 0.0, "h": 2.0, "m": 4.8, "w": 1.0}
TARGETS = {10**3: 3, 10**5: 8, 10**7: 20}


def model(x, a, b, c, d, h, m, w):  # type: ignore[no-untyped-def]
    """The formula as ``curve_fit`` users write it."""
    return a * np.exp(-b * x) + c + d * x + h * np.exp(-(((x - m) / w) ** 2))


def measure(n: int) -> None:
    """One row: n points."""
    rng = np.random.default_rng(n)
    x = np.linspace(0.0, 10.0, n)
    y = model(x, *TRUE.values()) + 0.1 * rng.standard_normal(n)
    data = {"x": x, "y": y}

    def ours() -> float:
        return km.fit(FORMULA, data, start=START, starts=1).params["w"]

    def peer() -> float:
        return float(curve_fit(model, x, y, p0=tuple(START.values()))[0][6])

    agree(ours(), peer(), 4)
    rounds = 15 if n <= 10**3 else 5 if n <= 10**5 else 1
    ratio_row(
        f"Gauss + exponential, 7 parameters, 1e{len(str(n)) - 1}",
        "scipy curve_fit",
        pairs(peer, ours, rounds),
        TARGETS[n],
    )


if __name__ == "__main__":
    for size in [int(float(text)) for text in sys.argv[1:]] or TARGETS:
        measure(size)

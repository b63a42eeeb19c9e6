"""Large columns in memory: a straight line beside reading them once, an exponential beside SciPy's ``curve_fit``.

The straight line runs on one thread of one core, and so does NumPy's sum of both columns, which is what merely reading
them costs. For the exponential both sides have the whole machine. Ours is the whole ``km.fit`` call: columns checked
for missing values, error bars, findings about all residuals, the verdict.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy.optimize import curve_fit
from timing import agree, every, pairs, ratio_row, size, within_row

import katamuki as km

LINE, CURVE = size(10**8), size(10**7)
PIECE = 10**6  # rows that are made at a time: noise for all of them would need as much memory again
START = {"a": 1.0, "b": 1.0, "c": 0.0}


def noisy(y: np.ndarray, sigma: float) -> np.ndarray:
    """The same array, noise added."""
    rng = np.random.default_rng(8)
    for first in range(0, len(y), PIECE):
        part = y[first : first + PIECE]
        part += sigma * rng.standard_normal(len(part))
    return y


def bound(cores: int) -> None:
    """Let the process use so many cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(cores))


def named(n: int) -> str:
    """``1e8`` for a hundred million."""
    return f"1e{len(str(n)) - 1}"


def line() -> None:
    """One row: 1.6 GB."""
    bound(1)
    x = np.linspace(0.0, 10.0, LINE)
    y = noisy(2.5 * x + 1.0, 0.1)
    data = {"x": x, "y": y}

    def ours() -> float:
        return km.fit("y ~ a*x + b", data, threads=1).params["a"]

    def reading() -> tuple[float, float]:
        return float(np.sum(x)), float(np.sum(y))

    # By sums about the means, block by block: another way than ours.
    sx, sy = reading()
    xy = xx = 0.0
    for first in range(0, LINE, PIECE):
        part = x[first : first + PIECE] - sx / LINE
        xy += float(part @ (y[first : first + PIECE] - sy / LINE))
        xx += float(part @ part)
    agree(ours(), xy / xx, 11)
    found = pairs(reading, ours, rounds=5)
    bound(os.cpu_count() or 1)
    each = f"{1e9 * found[1] / LINE:.2f} ns"
    within_row(f"straight line, {named(LINE)} rows in memory", "np.sum of both, 1 thread", found, 1.5, a_row=each)


def curve() -> None:
    """One row: SciPy needs 1.2 GB for it."""
    x = np.linspace(0.0, 4.0, CURVE)
    y = noisy(2.5 * np.exp(-1.3 * x) + 0.5, 0.05)
    data = {"x": x, "y": y}

    def model(x: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
        return a * np.exp(-b * x) + c

    def ours() -> float:
        return km.fit("y ~ a*exp(-b*x) + c", data, start=START, starts=1).params["b"]

    def peer() -> float:
        return float(curve_fit(model, x, y, p0=list(START.values()))[0][1])

    agree(ours(), peer(), 5)
    work = f"a*exp(-b*x)+c, {named(CURVE)} rows in memory"
    ratio_row(work, "scipy curve_fit", pairs(peer, ours, rounds=3), 20)


if __name__ == "__main__":
    every(line, curve)

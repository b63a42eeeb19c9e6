"""Tables of many curves that tests share: decays and straight lines, seeded, and each kind of curve that cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DECAY = "y ~ a*exp(-b*t) + c"
LINE = "y ~ a*x + b"
TIMES = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0])


def decays(count: int, seed: int = 1) -> NDArray[np.float64]:
    """y (count, 8) of decays at ``TIMES``."""
    r = np.random.default_rng(seed)
    a, b, c = (r.uniform(*ends, (count, 1)) for ends in ((2.0, 4.0), (0.2, 0.8), (0.1, 0.3)))
    return np.asarray(a * np.exp(-b * TIMES) + c + r.normal(scale=0.03, size=(count, len(TIMES))))


def long(
    y: NDArray[np.float64], x: NDArray[np.float64], name: str, order: NDArray[np.int64] | None = None
) -> dict[str, Any]:
    """Wide arrays as a long table with text keys "w0", "w1", …; its rows in another order where one is given."""
    count, n = y.shape
    keys = np.repeat(np.array([f"w{k}" for k in range(count)], dtype=object), n)
    table = {"well": keys, name: np.tile(x, count), "y": y.ravel()}
    return table if order is None else {one: column[order] for one, column in table.items()}


def shuffled(count: int, seed: int = 2) -> NDArray[np.int64]:
    """An order of so many rows."""
    return np.random.default_rng(seed).permutation(count)

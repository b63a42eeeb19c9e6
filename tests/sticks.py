"""Broken sticks: data whose least loss lies on a row for some seeds, and between rows for others."""

from __future__ import annotations

import numpy as np

STICK = "y ~ a + b*max(x - c, 0)"


def broken(seed: int) -> dict[str, np.ndarray]:
    """A broken stick with noise; of seeds 4, 7, 10, 24 and 56 the least loss is on a row, of 0 and 1 between."""
    draw = np.random.default_rng(seed)
    x = np.sort(draw.uniform(0.0, 10.0, 40))
    a, b, c = draw.normal(), 2.0 * draw.normal(), draw.uniform(2.0, 8.0)
    return {"x": x, "y": a + b * np.maximum(x - c, 0.0) + 0.2 * draw.standard_normal(40)}

"""A formula and data as the problem that a search sees, without the public interface."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.kernel import Kernel
from katamuki.formula import parse
from katamuki.problem import Problem

Array = NDArray[np.float64]
Limits = dict[str, tuple[float, float]]


def problem(
    text: str, x: Array, y: Array, weights: Array | None = None, fixed: dict[str, float] | None = None
) -> Problem:
    kernel = Kernel(parse(f"y ~ {text}", ["x", "y"]).rhs)
    values = dict.fromkeys(kernel.parameters, 1.0) | (fixed or {})
    free = [name for name in kernel.parameters if name not in (fixed or {})]
    return Problem(kernel, [x] * len(kernel.columns), y, weights, values, free)

"""What the parts of class ``Fit`` may ask of the whole: declared once, made by :class:`katamuki.api.result.Fit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from katamuki.records import Array, Solution, Source, Trace

if TYPE_CHECKING:
    from katamuki.api.plan import Plan
    from katamuki.problem import Problem


class Fitted:
    """The base of the parts: their attributes, and no behaviour."""

    solution: Solution
    data: Source
    _columns: Mapping[str, Array]  # of rows that stayed in a database the ends of their ranges
    weights: Array | None
    seed: int
    index: NDArray[np.int64] | None
    _plan: Plan
    _passing: Problem | None

    if TYPE_CHECKING:

        @property
        def columns(self) -> Mapping[str, Array]:
            """The cleaned columns, or a sample of them."""

        @property
        def trace(self) -> Trace | None:
            """What happened, step by step."""

        @property
        def _observed(self) -> Array:
            """The response (n,)."""

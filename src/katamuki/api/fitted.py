"""What the parts of class ``Fit`` may ask of the whole: declared once, made by :class:`katamuki.api.result.Fit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from katamuki.records import Array, Solution, Source, Trace

if TYPE_CHECKING:
    from katamuki.api.plan import Plan


class Fitted:
    """The base of the parts: their attributes, and no behaviour."""

    solution: Solution
    data: Source
    _columns: Mapping[str, Array]  # of rows that stayed in a database the ends of their ranges
    weights: Array | None
    seed: int
    _plan: Plan

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

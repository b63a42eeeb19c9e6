"""What a report reads of a fit: the public names of ``Fit``, and the records behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from katamuki.records import Array, Finding, Solution, Source, State, Trace, Verdict


class Reported(Protocol):
    """A fit, whatever class it is; the names and units are those of ``katamuki.Fit``."""

    @property
    def solution(self) -> Solution:
        """The fit's claim."""

    @property
    def data(self) -> Source:
        """What was read."""

    @property
    def predictors(self) -> tuple[str, ...]:
        """The columns that the right side of the formula reads."""

    @property
    def trace(self) -> Trace | None:
        """The steps taken, where there were any."""

    @property
    def findings(self) -> Sequence[Finding]:
        """Remarks about the fit."""

    @property
    def verdict(self) -> Verdict:
        """Good, look or failed."""

    @property
    def state(self) -> State:
        """How it ended."""

    @property
    def correlation(self) -> Array:
        """(p, p) over the free parameters."""

    @property
    def r2(self) -> float:
        """1 − rss/tss."""

    @property
    def aic(self) -> float:
        """Akaike's criterion."""

    @property
    def aicc(self) -> float:
        """Akaike's criterion for few rows."""

    @property
    def bic(self) -> float:
        """Bayes' criterion."""

    @property
    def digits(self) -> Mapping[str, float]:
        """How many digits of each parameter survive rounding."""

    @property
    def rounded(self) -> Mapping[str, float]:
        """How many digits are left of the parameters of which fewer are than a report prints."""

    def interval(self, level: float = 0.95) -> dict[str, tuple[float, float]]:
        """(low, high) by parameter; NaN where there is none."""

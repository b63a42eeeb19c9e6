"""A random sample of many curves, fitted again by the whole road of ``katamuki.fit`` and judged by the answer check.

The check judges the numbers that stand in the table, not those of the second fit; that one's own search must have found
no lower loss. Curves without an answer claim nothing, and are not drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.api.result import Fit
from katamuki.check import judge
from katamuki.data.buffers import numbers
from katamuki.errors import KatamukiError
from katamuki.many.table import among
from katamuki.messages import Phrase
from katamuki.records import HAS_AN_ANSWER, Array

SAMPLE = 20  # curves, unless asked otherwise
SPARE = 8  # times as many are drawn, since some have no answer
LOWER = 1e-6  # of the loss: a second fit that ends so much lower found another minimum
PERFECT = 1e-26  # of the mean of w y²: such a loss is rounding (as the closed form for many has it)
SAME = 15.95  # digits of a double
YARD = 1e-3  # of a standard error: what a parameter is compared with where it is 0 (as katamuki.check does)


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the check said of one curve's row: "PASS", "FAIL" or "CANNOT TELL", why, and the digits that are shared."""

    key: tuple[object, ...]
    verdict: str
    digits: float  # the least of all parameters; NaN where none were compared
    reason: Phrase


@dataclass(frozen=True, slots=True)
class Checked:
    """The curves that were checked again, in the order of the table."""

    curves: tuple[Agreement, ...] = ()

    def of(self, verdict: str) -> tuple[Agreement, ...]:
        """Those of one verdict."""
        return tuple(one for one in self.curves if one.verdict == verdict)

    @property
    def digits(self) -> float:
        """The least number of digits that an agreeing curve shares; NaN where there is none."""
        found = [one.digits for one in self.of("PASS") if math.isfinite(one.digits)]
        return min(found) if found else math.nan


def drawn(states: Any, count: int, seed: int) -> list[int]:
    """Places of a random sample of the curves that have an answer, in order; ``states`` are those of all, Arrow's.

    Some are drawn from all curves, and the first of them taken that have an answer; only where these are too few are
    all looked at.
    """
    draw, most = np.random.default_rng(seed % 2**64), SPARE * count
    if len(states) > most > 0:
        places = draw.choice(len(states), most, replace=False)
        places = places[among(states.take(numbers(places)), HAS_AN_ANSWER)][:count]
        if len(places) == count:
            return sorted(places.tolist())
    places = np.flatnonzero(among(states, HAS_AN_ANSWER))
    if len(places) > count:
        places = draw.choice(places, count, replace=False)
    return sorted(places.tolist())


def agreement(key: tuple[object, ...], row: Mapping[str, Any], again: Fit | KatamukiError) -> Agreement:
    """The judgement of a row of the table.

    Parameters
    ----------
    key : tuple
        Of the curve.
    row : mapping
        Its row of the table.
    again : Fit or KatamukiError
        The same curve by the whole road.
    """
    if not isinstance(again, Fit):
        return Agreement(key, "FAIL", math.nan, Phrase("many.check.error", code=again.code))
    claim = again.solution
    params = {name: row[name] for name in claim.params}
    stderr = {name: row[f"{name}_stderr"] for name in claim.params}
    if any(value is None for value in params.values()):
        return Agreement(key, "FAIL", math.nan, Phrase("many.check.none"))
    lower = row["_loss"] - again.loss > LOWER * row["_loss"] + _rounding(again)
    if lower and claim.state in HAS_AN_ANSWER:
        values = {"loss": f"{row['_loss']:.6g}", "other": f"{again.loss:.6g}"}
        return Agreement(key, "FAIL", math.nan, Phrase("many.check.lower", **values))
    told = replace(
        claim, params=params, stderr=stderr, loss=row["_loss"], rss=row["_loss"] * claim.n, dof=row["_dof"],
        state=row["_state"],
    )  # fmt: skip
    report = judge(told, again.columns, again.weights)
    found = [one for one in report.digits.values() if math.isfinite(one)]
    if claim.state != "not_identifiable":
        found += [_digits(params[name], claim.params[name], claim.stderr[name]) for name in claim.free]
    return Agreement(key, report.verdict, min(found, default=math.nan), Phrase(report.reason, **report.values))


def _rounding(again: Fit) -> float:
    """A loss that is rounding of the left side alone: of two that are, neither is the lower one."""
    y = again._observed
    squares = y * y if again.weights is None else again.weights * y * y
    return PERFECT * float(np.mean(squares))


def _digits(one: float, other: float, stderr: float | None) -> float:
    """Decimal digits that two values share, relative to the larger of the value and a thousandth of its error."""
    size = max(abs(other), YARD * (stderr or 0.0))
    if one == other or size == 0.0:
        return SAME
    return min(SAME, -math.log10(abs(one - other) / size))


def quantiles(values: Array, among: NDArray[np.bool_]) -> tuple[float, float, float]:
    """5 %, 50 % and 95 % of those numbers that ``among`` names, NaN left out; of millions no copy more than needed."""
    values = values[among & np.isfinite(values)]
    if not len(values):
        return math.nan, math.nan, math.nan
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95), overwrite_input=True)
    return float(low), float(middle), float(high)

"""Verdict and code of many fitted curves at once: the tests of :mod:`katamuki.findings`, on columns of facts.

Each test's critical value is found once for each number of rows, so that a curve costs comparisons. The tests and their
levels are the same as for a single fit, and so is the order in which they are named. Not looked at here are CURVED and
other minima: ``katamuki.fit`` on the curve says them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from katamuki import tails
from katamuki.findings import FAR_AWAY, LEVEL, REGION, few_runs
from katamuki.findings import LONE as ALONE
from katamuki.findings.profiles import PERFECT
from katamuki.many.facts import BENT, FARTHEST, FOLLOWS, LONE, MINUS, PLUS, PULL, RUNS, TOTAL
from katamuki.records import Array

CODES = ("", "CHI2", "RUNS", "SPREAD", "OUTLIERS", "INFLUENTIAL")  # in the order in which a fit names them
QUIET, CHI2, CLUSTERED, SPREADS, OUTLYING, INFLUENTIAL = range(6)


def codes(facts: Array, rss: Array, n: NDArray[np.int64], p: int, sigma_known: bool) -> NDArray[np.int16]:
    """The number in ``CODES`` of the first warning about each curve's residuals.

    Parameters
    ----------
    facts : (b, FACTS) float64
        From :func:`katamuki.many.facts.judge`.
    rss : (b,) float64
        Σ w r².
    n : (b,) int64
        Rows; more than p.
    p : int
        Free parameters.
    sigma_known : bool
        Whether the weights are 1/sigma² with sigma known.

    Returns
    -------
    (b,) int16
        0 where nothing is remarked on.
    """
    found = np.zeros(len(rss), dtype=np.int16)
    if not len(rss):
        return found
    dof = n - p
    with np.errstate(all="ignore"):
        rough = rss > PERFECT * facts[:, TOTAL]  # else residuals are the noise of the formula's own evaluation
        found[influential(facts, dof, p, rough)] = INFLUENTIAL
        far, distance = outlying(facts, dof, n)
        found[far & rough] = OUTLYING
        spread = (n * facts[:, FOLLOWS] ** 2 > 2.0 * _erfc_inverse(LEVEL) ** 2) & (dof > 4)
        found[spread & rough] = SPREADS
        found[(clustered(facts) | bent(facts, dof)) & rough] = CLUSTERED
        if sigma_known:
            low, high = by_number(dof, critical_chi_squared)
            found[(rss < low) | (rss > high)] = CHI2
        cause = far & rough & (distance > FAR_AWAY)
        found[cause] = OUTLYING
    return found


def by_number(numbers: NDArray[np.int64], of: Callable[[int], tuple[float, ...]]) -> Array:
    """``of`` each number, computed once: (values, b)."""
    distinct, place = np.unique(numbers, return_inverse=True)
    return np.array([of(int(one)) for one in distinct]).reshape(len(distinct), -1)[place].T


def clustered(facts: Array) -> NDArray[np.bool_]:
    """Too few runs of signs along the first predictor."""
    runs, plus, minus = facts[:, RUNS], facts[:, PLUS], facts[:, MINUS]
    count = plus + minus
    product = 2.0 * plus * minus
    deviation = np.sqrt(product * (product - count) / (count * count * (count - 1.0)))
    few = (runs > 0) & ((runs + 0.5 - 1.0 - product / count) / deviation < -1.5)
    found = np.zeros(len(facts), dtype=bool)
    rows = np.flatnonzero(few)
    if len(rows):
        kinds, place = np.unique(facts[rows][:, [RUNS, PLUS, MINUS]].astype(np.int64), axis=0, return_inverse=True)
        chance = np.array([runs_chance(*one) for one in kinds.tolist()])
        found[rows] = chance[place.reshape(-1)] < LEVEL / 2
    return found


@lru_cache(maxsize=4096)
def runs_chance(runs: int, positive: int, negative: int) -> float:
    """:func:`katamuki.findings.few_runs`, kept."""
    return few_runs(runs, positive, negative)


def bent(facts: Array, dof: NDArray[np.int64]) -> NDArray[np.bool_]:
    """A bend along the prediction: the share of the squares that its square would explain."""
    share = facts[:, BENT]
    (limit,) = by_number(dof, critical_share)
    return np.asarray((dof > 1) & (share > limit))


@lru_cache(maxsize=4096)
def critical_share(dof: int) -> tuple[float]:
    """The share of a further column that is worth a remark, with ``dof`` before it."""
    if dof < 2:
        return (math.inf,)
    t = critical(lambda one: tails.student(one, dof - 1), LEVEL / 2)
    return (t * t / (dof - 1 + t * t),)


def outlying(facts: Array, dof: NDArray[np.int64], n: NDArray[np.int64]) -> tuple[NDArray[np.bool_], Array]:
    """The largest externally studentised residual, against Bonferroni's bound; and that residual."""
    left = dof - facts[:, FARTHEST]
    t = np.where(left > 1e-12 * dof, np.sqrt(facts[:, FARTHEST] * (dof - 1) / left), math.inf)
    key = dof * (1 << 32) + n
    (limit,) = by_number(key, lambda one: critical_distance(one >> 32, one & 0xFFFFFFFF))
    return np.asarray((dof > 1) & (t > limit)), t


@lru_cache(maxsize=4096)
def critical_distance(dof: int, n: int) -> tuple[float]:
    """The distance from which the farthest of n rows is an outlier."""
    if dof < 2:
        return (math.inf,)
    return (critical(lambda one: tails.student(one, dof - 1), LEVEL / n),)


def influential(facts: Array, dof: NDArray[np.int64], p: int, rough: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A row that alone holds a parameter, or, of fits that are not perfect, whose removal would move the answer far."""
    (limit,) = by_number(dof, lambda one: critical_pull(p, one))
    return np.asarray((1.0 - facts[:, LONE] < ALONE) | ((facts[:, PULL] > limit) & rough))


@lru_cache(maxsize=4096)
def critical_pull(p: int, dof: int) -> tuple[float]:
    """Cook's distance from which a row moves the answer out of its region."""
    if dof < 1:
        return (math.inf,)
    return (max(1.0, critical(lambda one: tails.fisher(one, p, dof), REGION)),)


@lru_cache(maxsize=4096)
def critical_chi_squared(dof: int) -> tuple[float, float]:
    """Σ w r² below and above which sigma is not what was said."""
    if dof < 1:
        return -math.inf, math.inf
    low = critical(lambda one: -tails.chi_squared(one, dof)[0], -LEVEL / 2)
    return low, critical(lambda one: tails.chi_squared(one, dof)[1], LEVEL / 2)


@lru_cache(maxsize=8)
def _erfc_inverse(level: float) -> float:
    return critical(math.erfc, level)


def critical(chance: Callable[[float], float], level: float) -> float:
    """Where a falling function of a positive number meets a level, to the last digit or two.

    False position that halves the end which does not move (Dowell & Jarratt 1971, "Illinois").
    """
    low, high, over, under = 0.0, 1.0, chance(0.0) - level, chance(1.0) - level
    while under > 0.0 and high < 1e300:
        low, high, over, under = high, 2.0 * high, under, chance(2.0 * high) - level
    moved = 0
    for _ in range(100):
        if high - low <= 1e-15 * high or under == 0.0:
            break
        middle = (low * under - high * over) / (under - over)
        if not low < middle < high:
            middle = 0.5 * (low + high)
        value = chance(middle) - level
        if value > 0.0:
            low, over, under = middle, value, under * (0.5 if moved == 1 else 1.0)
            moved = 1
        else:
            high, under, over = middle, value, over * (0.5 if moved == -1 else 1.0)
            moved = -1
    return high

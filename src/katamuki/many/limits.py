"""Critical values of the tests about residuals, as tables for compiled code: a row of limits for each number of rows.

The tests, their levels and their names are those of :mod:`katamuki.findings`; only where a test's chance falls below
its level is found here, once for each number of rows. What is compared is what the compiled pass has at hand, so
distances become studentised squares.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from katamuki import tails
from katamuki.findings import EXACT_RUNS, FAR_AWAY, LEVEL, REGION
from katamuki.records import Array

# Codes in the order in which a fit names them; OUTLIERS first where a row is very far away.
CODES = ("", "NO_FREEDOM", "WEAK", "CHI2", "RUNS", "SPREAD", "OUTLIERS", "INFLUENTIAL")
QUIET, NO_FREEDOM, WEAK, CHI2, RUNS, SPREAD, OUTLIERS, INFLUENTIAL = range(8)
# A row of limits: studentised squares of an outlier and of one far away, p times Cook's distance, the share of a bend,
# the least and the most Σ w r², the most runs of so many signs that can be too few.
WIDTH = 7
FEW_RUNS, FOLLOWS = 0, 1  # in the row of no rows: limits that do not depend on how many there are


def limits(sizes: NDArray[np.int64], p: int, sigma_known: bool) -> Array:
    """The limits (most + 1, WIDTH) of curves of p free parameters; rows that no curve has are left empty.

    Parameters
    ----------
    sizes : (b,) int64
        How many rows curves have.
    p : int
        Free parameters.
    sigma_known : bool
        Whether Σ w r² is chi-squared.

    Returns
    -------
    (most + 1, WIDTH) float64
        A row for each number of rows.
    """
    counts = np.bincount(sizes, minlength=1)
    out = np.full((len(counts), WIDTH), math.nan)
    out[0, FEW_RUNS], out[0, FOLLOWS] = constant()
    few, most = few_runs_of(sizes)
    for n in np.flatnonzero(counts).tolist():
        if n > p:
            out[n, :-1] = row(n, p, sigma_known)
            out[n, -1] = few[::-1].diagonal(n - most).max() if n <= most else math.inf
    return out


@lru_cache(maxsize=1)
def constant() -> tuple[float, float]:
    """The normal deviate of a number of runs, and n times a squared correlation, from which on they are remarked on."""
    return -critical(tails.normal, LEVEL / 2), 2.0 * critical(math.erfc, LEVEL) ** 2


@lru_cache(maxsize=1 << 14)
def row(n: int, p: int, sigma_known: bool) -> tuple[float, ...]:
    """The limits of one number of rows."""
    dof = n - p
    (distance,) = critical_distance(dof, n)
    (share,) = critical_share(dof)
    (pull,) = critical_pull(p, dof)
    low, high = critical_chi_squared(dof) if sigma_known else (-math.inf, math.inf)
    return squared(distance, dof), squared(FAR_AWAY, dof), p * pull, share, low, high


def squared(distance: float, dof: int) -> float:
    """The studentised square of an externally studentised residual; no square is above ``dof``."""
    if dof < 2:
        return math.inf
    return dof if math.isinf(distance) else dof / (1.0 + (dof - 1) / distance**2)


@lru_cache(maxsize=8)
def few_runs_table(most: int) -> Array:
    """The largest numbers of runs that are no chance (most + 1, most + 1), by how many signs are positive and negative.

    The chance of :func:`katamuki.findings.few_runs`, for all pairs at once.
    """
    from math import comb

    ways = np.array([[float(comb(n, k)) for k in range(most + 1)] for n in range(most + 1)])
    positive, negative = np.meshgrid(np.arange(most + 1), np.arange(most + 1), indexing="ij")
    count = positive + negative
    usable = (positive > 0) & (negative > 0) & (count >= 3) & (count <= most)
    p, q = positive[usable], negative[usable]
    n = p + q
    product = 2.0 * p * q
    mean, deviation = 1.0 + product / n, np.sqrt(product * (product - n) / (n * n * (n - 1.0)))
    total, found = np.zeros(len(p)), np.zeros(len(p))
    for runs in range(2, most + 1):
        half = runs // 2
        if runs % 2 == 0:
            total += 2.0 * ways[p - 1, half - 1] * ways[q - 1, half - 1]
        else:
            total += ways[p - 1, half] * ways[q - 1, half - 1] + ways[p - 1, half - 1] * ways[q - 1, half]
        low = (total < LEVEL / 2 * ways[n, p]) & (deviation > 0.0) & (runs + 0.5 - mean <= -1.5 * deviation)
        if not low.any():
            break
        found[low] = runs
    out = np.zeros((most + 1, most + 1))
    out[usable] = found
    return out


def few_runs_of(sizes: NDArray[np.int64]) -> tuple[Array, int]:
    """The table for curves of these sizes, and up to how many signs it reaches; it grows in steps."""
    most = min(EXACT_RUNS, max(8, 1 << (int(sizes.max(initial=0)) - 1).bit_length()))
    return few_runs_table(most), most


@lru_cache(maxsize=4096)
def critical_share(dof: int) -> tuple[float]:
    """The share of a further column that is worth a remark, with ``dof`` before it."""
    if dof < 2:
        return (math.inf,)
    t = critical(lambda one: tails.student(one, dof - 1), LEVEL / 2)
    return (t * t / (dof - 1 + t * t),)


@lru_cache(maxsize=4096)
def critical_distance(dof: int, n: int) -> tuple[float]:
    """The distance from which the farthest of n rows is an outlier."""
    if dof < 2:
        return (math.inf,)
    return (critical(lambda one: tails.student(one, dof - 1), LEVEL / n),)


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

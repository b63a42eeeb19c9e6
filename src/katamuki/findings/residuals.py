"""Facts about the residuals at an answer, from one compiled pass over the rows; from them findings follow.

Chunks are merged in the order of the rows, so the facts do not depend on threads. For a nonlinear model leverages are
those of its linearisation. Nothing is judged here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from katamuki.backends.native import address_of
from katamuki.covariance import Uncertainty
from katamuki.findings.passes import (
    CHANGES,
    COOK,
    COOK_ROW,
    CURVE,
    CURVES,
    FALLS,
    FIRST,
    HEAD,
    LAST,
    LEVEL,
    LEVERAGE,
    LEVERAGE_ROW,
    NEGATIVE,
    OUTLIER,
    OUTLIER_ROW,
    POSITIVE,
    RISES,
    ROWS,
    SCRATCH,
    SQUARES,
    UU,
    VF,
    VUF,
    VV,
    VVF,
    VVFF,
    WEIGHT,
    U,
    V,
    facts_pass,
    runs_along,
)
from katamuki.records import Array

if TYPE_CHECKING:
    from katamuki.problem import Problem

SMALL = 4096  # rows up to which the pass is called directly
SORTABLE = 100_000  # rows up to which residuals are kept, to be put in the order of the first predictor
SLIGHT = 100.0  # variance inflation that nobody remarks on
FEW = 256  # rows up to which they are put in order by compiled code
SORTED = 2_000  # rows that are sorted at most: more, evenly spaced in the data, would only cost time


@dataclass(slots=True)
class ResidualFacts:
    """What one pass over the weighted residuals e at an answer found; rows are counted from 0 among the fitted ones.

    ``squares`` is Σ e², ``level`` Σ w y². ``outlier`` is the largest e²/(s²(1 − h)), no unit; ``cook`` the largest of
    Cook's distances, ``leverage`` the largest h, each with its row. ``spread`` is the correlation of the squared
    studentised residuals with the prediction, rows weighted by 1 − h; ``curve`` the share of Σ e² that the squared
    prediction would explain (NaN where the model already contains it). ``positive`` and ``negative`` count signs
    (of the rows that were put in order, where those are fewer),
    ``runs`` the runs of equal signs along the first predictor (−1: no order). ``condition`` and ``rank`` are those of
    :class:`katamuki.covariance.Uncertainty`; ``inflation`` (p,) is its variance inflation, from 100 on about the
    columns' means, so that years do not make a slope depend on the intercept at year 0 (Marquardt 1980).
    """

    rows: int
    dof: int
    squares: float
    level: float
    outlier: float
    outlier_row: int
    cook: float
    cook_row: int
    leverage: float
    leverage_row: int
    spread: float
    curve: float
    positive: int
    negative: int
    runs: int
    inflation: tuple[float, ...]
    condition: float
    rank: int


def residual_facts(problem: Problem, values: Array, bars: Uncertainty, rss: float) -> ResidualFacts:
    """The facts about the residuals at an answer, from one pass over the data.

    ``h = ‖Wᵀ j‖²``, ``u = e² / (s² (1 − h))``, with W the inverse of the triangle and s² = rss / dof.

    Parameters
    ----------
    problem : Problem
        The model and its rows.
    values : (all_p,) float64
        All parameters at the answer.
    bars : Uncertainty
        What the triangle there says, parameters at a bound held.
    rss : float
        Σ w r² there.

    Returns
    -------
    ResidualFacts
        Named numbers.

    Source
    ------
    Belsley, Kuh & Welsch 1980, chapter 2; Cook 1977; Koenker 1981; Ramsey 1969 (the squared prediction as a further
    column); Wald & Wolfowitz 1940.

    Example
    -------
    See ``tests/test_findings_residuals.py``; a fit's facts stand behind ``fit.findings``.
    """
    p, n, dof = problem.p, problem.n, bars.dof
    values = values if values.flags.c_contiguous else np.ascontiguousarray(values)
    precision = dof / float(rss) if rss > 0.0 and dof > 0 else 0.0
    shift = 0.5 * float(problem.y[0] + problem.y[n - 1])
    ordered = len(problem.columns) > 0
    keep = ordered and n <= SORTABLE
    size = HEAD + 2 * p + SCRATCH
    small = n <= SMALL and problem.compiled
    rows = (2 * n if n <= FEW else n) if keep else 0
    # One allocation: the residuals kept (and room to order few), then the result and the block of a small problem.
    room = np.empty(rows + size + 256 * (1 + problem.all_p) if small else rows + 1)
    start = address_of(room)
    more = (problem.layout.free_address, p, address_of(bars.root), precision, shift, int(ordered), start, int(keep))
    if small:
        root = problem.root_address
        pointers = (problem.columns_address, address_of(values), problem.y_address, root, int(root != 0))
        out = start + 8 * rows
        facts_pass(problem.kernel.address, *pointers, 0, n, *more, out + 8 * size, out)
        total = room[rows : rows + HEAD + 2 * p].tolist()
    else:
        total = _merge(problem.over_rows(facts_pass, values, size, more)[:, : HEAD + 2 * p])
    runs = -1
    if ordered and not (total[FALLS] and total[RISES]):
        runs = int(total[CHANGES]) + 1
    elif keep and n <= FEW:
        runs = runs_along(address_of(problem.columns[0]), start, n, start + 8 * n)
    elif keep:
        apart = -(-n // SORTED)
        signs = room[:n:apart][np.argsort(problem.columns[0][::apart], kind="stable")]
        runs = _runs(signs)
        if apart > 1:
            total[POSITIVE], total[NEGATIVE] = np.count_nonzero(signs > 0.0), np.count_nonzero(signs < 0.0)
    return _named(total, precision, runs, p, bars)


def _merge(parts: Array) -> list[float]:
    """One result from the chunks', in the order of the rows."""
    total: list[float] = parts[0].tolist()
    for part in parts[1:].tolist():
        for k in (*range(VVFF + 1), POSITIVE, NEGATIVE, FALLS, RISES, WEIGHT, *range(HEAD, len(total))):
            total[k] += part[k]
        total[CHANGES] += part[CHANGES] + (total[LAST] * part[FIRST] < 0)
        total[FIRST] = total[FIRST] or part[FIRST]
        total[LAST] = part[LAST] or total[LAST]
        for k in (OUTLIER, COOK, LEVERAGE):
            if part[k] > total[k]:
                total[k], total[k + 1] = part[k], part[k + 1]
    return total


def _runs(e: Array) -> int:
    """How many runs of equal signs a sequence has; zeros are passed over."""
    signs = e[e != 0.0] > 0.0
    return int(np.count_nonzero(signs[1:] != signs[:-1])) + 1


def _named(total: list[float], precision: float, runs: int, p: int, bars: Uncertainty) -> ResidualFacts:
    """The chunk's slots under their names, correlations made from the sums."""
    n = total[ROWS]
    middle = total[VF] / total[V] if total[V] > 0.0 else 0.0
    follows = total[VUF] - middle * total[SQUARES] * precision
    width = total[VVFF] - middle * (2.0 * total[VVF] - middle * total[VV])
    scale = (total[UU] - total[U] * total[U] / n) * width
    inside = sum([one * one for one in total[HEAD : HEAD + p]])
    beyond = total[CURVES] - inside
    explained = total[SQUARES] * beyond
    return ResidualFacts(
        int(n),
        bars.dof,
        total[SQUARES],
        total[LEVEL],
        total[OUTLIER],
        int(total[OUTLIER_ROW]),
        total[COOK] / p,
        int(total[COOK_ROW]),
        total[LEVERAGE],
        int(total[LEVERAGE_ROW]),
        follows / scale**0.5 if scale > 0.0 and width > 1e-20 * total[VVFF] else 0.0,
        total[CURVE] * total[CURVE] / explained if beyond > 1e-8 * total[CURVES] and explained > 0.0 else float("nan"),
        int(total[POSITIVE]),
        int(total[NEGATIVE]),
        runs,
        tuple(_about_the_mean(total, p, bars)),
        bars.condition,
        bars.rank,
    )


def _about_the_mean(total: list[float], p: int, bars: Uncertainty) -> list[float]:
    """Variance inflation with the columns of J measured from their means."""
    sums, weight = total[HEAD + p : HEAD + 2 * p], total[WEIGHT]
    found = []
    inflations = bars.inflation.tolist()
    if max(inflations) < SLIGHT:  # about the mean it is less still
        return inflations  # type: ignore[no-any-return]
    for inflation, length, one in zip(inflations, bars.length.tolist(), sums, strict=True):
        mean = one / length
        found.append(inflation * max(0.0, 1.0 - mean * mean / weight))
    return found

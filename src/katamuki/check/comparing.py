"""Comparing a claim's numbers with the checker's own: by digits, with what rounding leaves open counted in.

A comparison that fails is a doubt: a key of the catalogue with the values that fill its sentence. The yardsticks:
parameters relative to the larger of |value| and stderr/1000, standard errors relative to themselves. Nothing here
computes an answer.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from katamuki.check.evaluation import EPS, OPERATIONS, Case, Local
from katamuki.records import Array, Solution

ENOUGH = 6  # digits of a parameter
ENOUGH_STDERR = 4  # digits of a standard error
MOST = 16.0  # digits that a double can show
NUMBERS = 1e-9  # relative difference of sums that two programs compute from the same rows
SAYS = 1e-3  # cosine that rounding may make, above which it says nothing of the gradient
STANDS_STILL = 1e-6  # cosine between residuals and a column of J below which the gradient counts as zero

Doubt = tuple[str, dict[str, Any]]


def said(value: float | None) -> str:
    """A number for a sentence."""
    if value is None:
        return "—"
    text = f"{float(value):.9g}"
    return "−" + text[1:] if text.startswith("-") else text


def digits(one: float, other: float, scale: float) -> float:
    """How many decimal digits two numbers share, measured by ``scale``; NaN where one is no number."""
    difference = abs(one - other)
    if difference == 0.0:
        return MOST
    if not (math.isfinite(difference) and scale > 0.0):
        return math.nan
    return min(MOST, math.log10(scale) - math.log10(difference))


def sums(claim: Solution, case: Case, here: Local, dofs: Collection[int], weighted: bool) -> Iterator[Doubt]:
    """Doubts about counts and sums of squares, recomputed at the claimed parameters."""
    if claim.dof not in dofs:
        yield "check.fail.dof", {"claimed": claim.dof, "found": min(dofs)}
    if weighted != claim.weighted:
        yield "check.fail.weights", {}
    if not abs(claim.rss - here.rss) <= NUMBERS * here.rss + here.rounding:
        yield "check.fail.rss", {"claimed": said(claim.rss), "found": said(here.rss)}
    if not abs(claim.loss - claim.rss / case.n) <= NUMBERS * abs(claim.loss):
        yield "check.fail.loss", {"claimed": said(claim.loss), "found": said(claim.rss / case.n)}
    total, slack = case.squares()
    if not abs(claim.tss - total) <= NUMBERS * total + slack:
        yield "check.fail.tss", {"claimed": said(claim.tss), "found": said(total)}


def stands(case: Case, here: Local) -> tuple[Array, float]:
    """The cosine between residuals and each column of J (p,), MINPACK's measure, and how large it may be."""
    length = here.rss**0.5
    error = OPERATIONS * EPS * here.bulk
    unit = np.where(here.lengths > 0.0, here.lengths, 1.0)
    whole = length + error or 1.0  # all residuals and what they are made of may be 0
    return here.slope / unit / whole, (STANDS_STILL * length + error) / whole


def vanishing(cosine: Array, allowed: float) -> dict[str, float]:
    """The gradient without its unit, of at most 1, as a fact; none where residuals are but rounding and so is this."""
    return {"relative_gradient": float(np.abs(cosine).max(initial=0.0))} if allowed < SAYS else {}


def yardstick(value: float, other: float, stderr: float | None) -> float:
    """What a parameter's difference is measured by."""
    bar = 0.0 if stderr is None or not math.isfinite(stderr) else stderr / 1000.0
    return max(abs(value), abs(other), bar)


def error_bar(inverse: float, rss: float, dof: int, known: bool) -> float | None:
    """√(s²(JᵀJ)⁻¹ₖₖ), s² = 1 where sigma is known; None without freedom."""
    if known:
        return math.sqrt(inverse)
    return math.sqrt(max(rss, 0.0) / dof * inverse) if dof > 0 else None


def error_bars(
    claim: Mapping[str, float | None], names: Mapping[str, float], rss: float, slack: float, dof: int, known: bool
) -> tuple[dict[str, float], list[Doubt]]:
    """Digits of the standard errors, and doubts about them.

    ``names`` are the diagonal of (JᵀJ)⁻¹ by parameter; ``slack`` is what rounding leaves open of rss.
    """
    shared, doubts = {}, []
    factor = 10.0**-ENOUGH_STDERR
    for name, inverse in names.items():
        bar, claimed = error_bar(inverse, rss, dof, known), claim.get(name)
        if bar is None or (claimed is None and dof == 0):
            shared[name] = math.nan
            if claimed is not None:
                doubts.append(("check.fail.stderr", {"name": name, "claimed": said(claimed), "found": said(bar)}))
            continue
        low = error_bar(inverse, rss - slack, dof, known) or 0.0
        high = error_bar(inverse, rss + slack, dof, known) or 0.0
        if claimed is None or not low * (1.0 - factor) <= claimed <= high * (1.0 + factor):
            doubts.append(("check.fail.stderr", {"name": name, "claimed": said(claimed), "found": said(bar)}))
        # A perfect fit's error bars are rounding: there is no digit to share.
        nothing = claimed is None or (slack > factor * rss and not known)
        shared[name] = math.nan if nothing or claimed is None else digits(claimed, bar, bar)
    return shared, doubts


def covariances(claim: Array, inverse: Array, rss: float, slack: float, dof: int, known: bool) -> list[Doubt]:
    """Doubts about a covariance matrix (p, p), entry by entry, relative to both standard errors."""
    if not known and dof == 0:
        return []
    if claim.shape != inverse.shape:
        return [("check.fail.covariance", {})]
    variance = 1.0 if known else rss / dof
    spread = np.sqrt(np.diag(inverse))
    allowed = 2.0 * 10.0**-ENOUGH_STDERR * variance + (0.0 if known else slack / dof)
    if (np.abs(claim - variance * inverse) <= allowed * np.outer(spread, spread)).all():
        return []
    return [] if known and np.isnan(claim).all() and dof == 0 else [("check.fail.covariance", {})]

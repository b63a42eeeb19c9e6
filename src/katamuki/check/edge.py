"""A claim that the loss is least on an edge: parameters that stand where a part of the formula changes sides in a row.

There the loss has a slope to either side, and no gradient that could vanish. What can be tested is that both slopes
lead to the edge, that the loss does not jump there, and that the others are at their least. The standard errors claimed
are those of the mean of JᵀJ on both sides. The row and the part that the claim names are words, and are not judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from katamuki.check import comparing
from katamuki.check.comparing import Doubt, said
from katamuki.check.evaluation import EPS, OPERATIONS, Case, Local, inverse_of, look, triangle_of
from katamuki.records import Array

BESIDE = 1e-10  # of a standard error: so near an edge that only sides change
LEVEL = 1e-9  # cosine between residuals and a column of J below which there is no slope
LEAST = 64.0 * EPS  # of the value: what can be told apart
JUMP = 1e-4  # of the sum of squares: on so short a way it moves less than a thousandth of this


def judge_edges(case: Case, here: Local, corners: Sequence[str], spelt: Sequence[str]) -> tuple[Local, list[Doubt]]:
    """What speaks against a least loss on edges, and the problem there with the mean of both sides' JᵀJ.

    Parameters
    ----------
    case : Case
        The claim; parameters on edges are free.
    here : Local
        The same at the claimed values.
    corners : sequence of str
        The parameters that are said to stand on edges, as the case has them.
    spelt : sequence of str
        All free parameters as the claim spells them.

    Returns
    -------
    tuple
        ``here`` with the inverse that the error bars come from, and doubts.

    Source
    ------
    Hudson 1966 (joins of type two); Nocedal & Wright 2006, section 17.2 (one-sided slopes of a loss with edges).
    """
    away = np.where(np.isin(case.free, corners), _away(case, here), 0.0)
    below, above = (look(case, here.values + sign * away) for sign in (-1.0, 1.0))
    if not (below.finite and above.finite):
        return here, [("check.fail.not_finite", {})]
    doubts: list[Doubt] = []
    left, right = (comparing.stands(case, one)[0] for one in (below, above))
    level = LEVEL + OPERATIONS * EPS * here.bulk / (here.rss**0.5 or 1.0)
    jumps = max(abs(one.rss - here.rss) for one in (below, above)) > JUMP * here.rss + here.rounding
    lower = min(below.rss, above.rss) < here.rss - here.rounding
    for k, plain in enumerate(case.free):
        if plain in corners and (jumps or lower or not (left[k] > level and right[k] < -level)):
            doubts.append(("check.fail.edge", {"name": spelt[k], "value": said(here.values[k])}))
    roots = [(one.singular[:, None] * one.directions) * one.lengths for one in (below, above)]
    triangle = triangle_of(np.concatenate(roots) / np.sqrt(2.0))
    unit = np.linalg.norm(triangle, axis=0)
    if not (np.abs(np.diag(triangle)) > EPS * unit).all():
        return replace(here, inverse=None), doubts
    root = inverse_of(triangle / unit) / unit[:, None]
    return replace(here, inverse=root @ root.T), doubts


def _away(case: Case, here: Local) -> Array:
    """How far beside an edge its sides are looked at, (p,)."""
    spread = np.zeros(len(case.free))
    if here.inverse is not None:
        spread = np.sqrt(np.diag(here.inverse) * here.rss / max(case.n - len(case.free), 1))
    return np.maximum(BESIDE * spread, LEAST * np.abs(np.asarray(here.values, np.float64)))

"""Confidence intervals of a fit's parameters: by the standard error, or along the loss itself.

Sources: Student 1908; Bates & Watts 1988, chapter 6 (profiles). Parameters at a bound stay there, as in the standard
errors of the others; those that the data do not determine have no interval.
"""

from __future__ import annotations

import math
from contextlib import closing
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from katamuki.api import propagation
from katamuki.api.elsewhere import refuse_sample, refuse_unseen
from katamuki.api.fitted import Fitted
from katamuki.covariance import uncertainty
from katamuki.errors import BoundsError, NotConverged
from katamuki.findings.profiles import Walker, followed, measurable
from katamuki.findings.searching import point
from katamuki.records import HAS_AN_ANSWER, Array

Method = Literal["t", "profile"]
Intervals = dict[str, tuple[float, float]]


def intervals(fit: Fitted, level: float, method: str) -> Intervals:
    """(low, high) by name; see ``Fit.interval``."""
    if method not in ("t", "profile"):
        raise BoundsError("E-USAGE", "result.method", given=repr(method))
    claim = fit.solution
    wide = propagation.quantile(level, claim)
    found = {}
    for name, value in claim.params.items():
        error = claim.stderr[name]
        half = math.nan if error is None else wide * error
        found[name] = (value - half, value + half)
    if method == "profile":
        refuse_unseen(fit.data, "stream.what.profile")
        if claim.state not in HAS_AN_ANSWER:
            raise BoundsError("E-USAGE", "result.profile_state", state=claim.state)
        if claim.kind != "formula":
            raise BoundsError("E-USAGE", "result.profile_torch")
        if not claim.linear and math.isfinite(wide):
            refuse_sample(fit.data, "stream.what.profile")
            found |= _profiles(fit, wide)
    return found


def _profiles(fit: Fitted, wide: float) -> Intervals:
    """The ends of the profiles of all parameters that have a standard error."""
    claim, plan = fit.solution, fit._plan
    free = claim.free
    columns = [fit.columns[name] for name in plan.kernel.columns]
    limits = [claim.bounds.get(name, (-math.inf, math.inf)) for name in free]
    known = claim.sigma_is == "known"
    held = np.array([name in claim.at_bound for name in free])
    found: Intervals = {}
    with closing(plan.problem(columns, fit._observed, fit.weights, claim.params, free)) as problem:
        triangle = problem.triangle(problem.values, exact=True)[1:].reshape(len(free) + 1, -1)[:-1, :-1]
        bars = uncertainty(triangle, claim.rss, claim.n, known, None, held if held.any() else None)
        if not measurable(problem, claim.rss, bars.dof, known):
            return found  # residuals are rounding, and so are the intervals by the standard error
        lower, upper = np.array(limits).T
        tied = _tied(triangle, bars.rank + len(claim.at_bound))
        walker = Walker(problem, problem.values, bars, claim.rss, known, wide, lower, upper, tied)
        for k, name in enumerate(free):
            if claim.stderr[name] is None:
                continue
            one = walker.profile(k)
            if one.better is not None:
                better = followed(problem, one.better, claim.rss, lower, upper)
                values = {"name": name, "least": f"{better.loss:.6g}", "other": point(better.params, free)}
                key = "result.profile_lower" if better.converged else "result.profile_falls"
                raise NotConverged("E-CONVERGENCE", key, **values)
            found[name] = (one.below.value, one.above.value)
    return found


def _tied(triangle: Array, rank: int) -> NDArray[np.bool_]:
    """The columns that depend on those before them, as many as the rank lacks: theirs end in the least diagonals."""
    length = np.linalg.norm(triangle, axis=0)
    own = np.abs(triangle.diagonal()) / np.where(length > 0.0, length, 1.0)
    found = np.zeros(len(own), dtype=bool)
    found[np.argsort(own, kind="stable")[: max(0, len(own) - rank)]] = True
    return found

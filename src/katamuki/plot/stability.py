"""The stability of a first-order run by step: the largest eigenvalue of learning rate × diag(1/divisor) × curvature.

H is the curvature of the loss at the least-squares answer; below the limit the run draws nearer to it, above it
zigzags away (:mod:`katamuki.solvers.first_order_diagnosis`, whose limit this is). Rules that do not divide the gradient
have one value for the whole run. Levenberg–Marquardt has no such number: its damping is shown instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from katamuki.errors import BoundsError
from katamuki.plot.ran import Ran, stepped
from katamuki.plot.thinning import Index, geometric
from katamuki.records import Array
from katamuki.solvers.first_order import FIRST_ORDER
from katamuki.solvers.first_order_stability import largest, pull, rate_and_limit

WORK = 3e8  # multiplications that the eigenvalues of a picture may cost
ROWS = 1500  # steps at most

Kind = Literal["divided", "constant", "damping"]


@dataclass(frozen=True, slots=True)
class Stability:
    """``values`` (m,) at ``rows`` (m,) of the trace, no unit, and the ``limit`` they should stay below.

    ``kind`` "divided": by the gradient's divisor of each step; "constant": the same at every step; "damping":
    Levenberg–Marquardt's, without a limit.
    """

    kind: Kind
    rows: Index
    values: Array
    limit: float | None


def stability(ran: Ran, rows: Index | None = None) -> Stability:
    """The stability at each of ``rows`` (m,), by default at rows that a picture shows.

    Parameters
    ----------
    ran : Ran
        The run.
    rows : (m,) int64, optional
        Rows of the trace.

    Returns
    -------
    Stability
        No unit.

    Raises
    ------
    BoundsError
        If the solver has no such number, or the answer is not known.

    Source
    ------
    Cohen et al. 2021, arXiv:2103.00065; Cohen et al. 2022, arXiv:2207.14484.
    """
    trace, claim = stepped(ran, "stability"), ran.solution
    if "damping" in trace.extra:
        kept = np.arange(max(len(trace) - 1, 1)) if rows is None else rows  # no attempt belongs to the last row
        return Stability("damping", kept, np.asarray(trace.extra["damping"])[kept], None)
    if not isinstance(ran.solver, FIRST_ORDER):
        raise BoundsError("E-USAGE", "plot.stability.solver", solver=type(ran.solver).__name__)
    if ran.batched:
        raise BoundsError("E-USAGE", "plot.stability.batches", solver=type(ran.solver).__name__)
    if claim.reference is None or not np.isfinite(claim.reference.curvature).all():
        raise BoundsError("E-USAGE", "plot.stability.answer")
    curvature = curved(ran)
    rate, limit = _limits(ran)
    scale = trace.extra.get("scale")
    steps = len(trace) - 1  # no divisor stands in the last row: no step was taken there
    if scale is None:
        kept = np.array([0, steps]) if rows is None else rows
        return Stability("constant", kept, np.full(len(kept), float(largest(curvature, rate))), limit)
    if rows is None:
        most = int(min(ROWS, max(20.0, WORK / len(curvature) ** 3)))
        near = [int(np.searchsorted(trace.index, mark.step - 1)) for mark in ran.marks]
        rows = np.union1d(geometric(max(steps, 1), most), [row for row in near if row < steps]).astype(np.int64)
    return Stability("divided", rows, largest(curvature, rate, np.asarray(scale)[rows]), limit)


def curved(ran: Ran) -> Array:
    """The curvature (p, p) of what is minimised at the answer: of the loss, and of weight decay where it is coupled."""
    assert ran.solution.reference is not None  # by stability()
    curvature = np.asarray(ran.solution.reference.curvature, dtype=np.float64)
    decay = pull(ran.solver)[0]
    return curvature + decay * np.eye(len(curvature)) if decay else curvature


def _limits(ran: Ran) -> tuple[float, float]:
    """The learning rate that acts and the limit; an error for rules that have none."""
    found = rate_and_limit(ran.solver)
    if found is None:
        raise BoundsError("E-USAGE", "plot.stability.solver", solver=type(ran.solver).__name__)
    return found

"""The answer check (答え合わせ): tests the claim that a fit makes, and trusts nobody.

It reads the formula's text again with its own parser, computes residuals, slopes, sums, error bars and their
covariances from the columns with its own arithmetic, and finds the answer by another route: QR where the formula is
linear in its parameters, SciPy's least squares elsewhere. A claim of a minimum needs a vanishing gradient, a curvature
that nowhere falls, 6 digits per parameter and 4 per standard error. A run that says that it stopped short is
judged by what it says: its loss, its distance and the least-squares answer beside it.

What it cannot catch: a file read wrongly, rows dropped, filtered or converted wrongly, weights computed wrongly from
sigma: it is given the columns and the weights that the solver had. A text that says something else than its
author meant. A lower minimum that none of its three starts leads to. The steps of a run: only where it ended.
Nothing of katamuki is imported but records, and what records need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from katamuki.check.closure import Closure, Predict, closure_case, judge_network
from katamuki.check.comparing import said
from katamuki.check.drawn import judge_drawn
from katamuki.check.evaluation import Case, look, read_case
from katamuki.check.minimum import claimed, judge_minimum
from katamuki.check.passing import Blocks, Passing, passing_case
from katamuki.check.reading import UnreadableError
from katamuki.check.stopped import judge_stopped
from katamuki.check.undetermined import judge_undetermined
from katamuki.records import Array, CheckReport, Solution

__all__ = ["judge", "judge_drawn"]

# States that claim nothing to judge; the last two only where no least-squares answer stands beside them.
NO_CLAIM = {
    "diverged": "check.cannot.diverged",
    "interrupted": "check.cannot.interrupted",
    "slow": "check.cannot.slow",
    "cycle": "check.cannot.cycle",
}


def judge(
    solution: Solution,
    columns: Mapping[str, Array],
    weights: Array | None,
    predict: Predict | None = None,
    *,
    network: bool = False,
    blocks: Blocks | None = None,
    sampled: bool = False,
) -> CheckReport:
    """Test a fit's claim with code that shares nothing with the fit.

    Exact and converged: Jᵀr = 0, H ⪰ 0, and another route that ends at the same place. Cycle and slow: the loss where
    the run stopped, and the least-squares answer beside it. Not identifiable: J's rank, what is determined and
    what is not. Anything else makes no claim.

    Parameters
    ----------
    solution : Solution
        The claim.
    columns : mapping of str to (n,) float64
        The columns that the formula reads, as they were fitted.
    weights : (n,) float64 or None
        w of Σ w r², one over the unit of y squared; None: all 1.
    predict : function, optional
        Where no formula stands behind the claim: all parameters (all_p,) to predictions (n,), in float64.
    network : bool
        The function is a network: loss and gradient are tested, and of its minimum nothing can be told.
    blocks : function, optional
        Gives all rows anew, block by block: columns by name and w. Then ``columns`` and ``weights`` are a sample's,
        which is what the second solver sees.
    sampled : bool
        The columns are a sample; without ``blocks`` of all rows nothing can be told.

    Returns
    -------
    CheckReport
        "PASS", "FAIL" or "CANNOT TELL" with the reason; FAIL comes with the other route's answer.

    Source
    ------
    Björck 1996; Nocedal & Wright 2006, theorem 2.4 (sufficient conditions); Moré 1978 (the cosine).

    Example
    -------
    >>> import katamuki as km
    >>> fit = km.fit("y ~ a*x + b", km.datasets("tutorial"))
    >>> judge(fit.solution, fit.columns, None).verdict
    'PASS'
    """
    if sampled and blocks is None:
        return _silent("CANNOT TELL", "check.cannot.elsewhere", rows=solution.n)
    given = (solution, columns, weights)
    with np.errstate(all="ignore"):
        try:
            case = _case(given, predict, blocks)
        except UnreadableError as error:
            return _silent("CANNOT TELL", "check.cannot.formula", part=str(error))
        refusal = _door(solution, case, weights)
        if refusal is not None:
            return refusal
        if solution.state in {"diverged", "interrupted"}:
            return _silent("CANNOT TELL", NO_CLAIM[solution.state])
        if network and isinstance(case, Closure):
            return judge_network(solution, case)
        here = look(case, claimed(solution, case))
        if not here.finite:
            return _silent("FAIL", "check.fail.not_finite")
        if solution.state in {"cycle", "slow"}:
            if solution.reference is None:
                return _silent("CANNOT TELL", NO_CLAIM[solution.state])
            return judge_stopped(solution, case, here)
        if solution.state == "not_identifiable":
            return judge_undetermined(solution, case, here)
        return judge_minimum(solution, case, here)


def _case(
    given: tuple[Solution, Mapping[str, Array], Array | None], predict: Predict | None, blocks: Blocks | None
) -> Case:
    """The claim, read anew."""
    if blocks is not None:
        return passing_case(*given, blocks)
    return read_case(*given) if predict is None else closure_case(*given, predict)


def _door(solution: Solution, case: Case, weights: Array | None) -> CheckReport | None:
    """Refuse a claim whose rows, weights, names or values contradict each other before anything is computed."""
    if case.n != solution.n:
        return _silent("FAIL", "check.fail.n", claimed=solution.n, found=case.n)
    if isinstance(case, Passing):
        if case.totals is not None and not case.totals.weights:
            return _silent("FAIL", "check.fail.weight_values")
    elif weights is not None:
        if np.shape(weights) != (case.n,):
            return _silent("FAIL", "check.fail.n", claimed=case.n, found=len(np.atleast_1d(weights)))
        if not (np.isfinite(case.root).all() and (case.root > 0.0).all()):
            return _silent("FAIL", "check.fail.weight_values")
    known = case.names if isinstance(case, Closure) else case.right.names
    strangers = sorted({*case.free, *case.held} - set(known))
    if strangers:
        return _silent("FAIL", "check.fail.names", names=", ".join(strangers))
    for name, (low, high) in solution.bounds.items():
        if not low <= solution.params[name] <= high:
            value = said(solution.params[name])
            return _silent("FAIL", "check.fail.outside", name=name, value=value, low=said(low), high=said(high))
    return None


def _silent(verdict: Any, reason: str, **values: object) -> CheckReport:
    """A report without a second answer."""
    return CheckReport(verdict, reason, {}, {}, {}, values)

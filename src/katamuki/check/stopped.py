"""The claim "this is not the minimum": where a run stopped, its loss there, and the least-squares answer beside it.

The sums and error bars are recomputed where the run stopped; the least-squares answer is judged as a minimum of its
own; the two points of a cycle must belong together and to the result. Whether each step was the one that its rule makes
cannot be seen from the end, and is not judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from katamuki.check import comparing, routes
from katamuki.check.comparing import Doubt, said
from katamuki.check.evaluation import Case, Local, look
from katamuki.check.minimum import DEPENDENT, DETERMINED, claimed, judge_minimum
from katamuki.check.undetermined import judge_undetermined
from katamuki.records import CheckReport, Cycle, Reference, Solution

PASSED = {"cycle": "check.pass.cycle", "slow": "check.pass.slow"}
SWING = 1e-2  # of the half-width: how far from a cycle's points its result may lie
CURVED = 1e-4  # relative to both lengths: how well second derivatives must agree


def judge_stopped(solution: Solution, case: Case, here: Local) -> CheckReport:
    """Judge a run that says where it stopped, and how far from the answer.

    Parameters
    ----------
    solution : Solution
        The claim, with its ``reference``.
    case : Case
        The same, read anew.
    here : Local
        The same near where the run stopped.

    Returns
    -------
    CheckReport
        ``answer`` is the least-squares answer by the checker's route; ``digits`` compare the claim's reference with it.
    """
    reference = solution.reference
    assert reference is not None  # by judge()
    rank, most = _rank(here, DETERMINED), _rank(here, DEPENDENT)
    dof, known = case.n - rank, solution.sigma_is == "known"
    dofs = range(case.n - most, dof + 1)  # a run may stop where the rank is in doubt
    doubts = list(comparing.sums(solution, case, here, dofs, case.root is not None))
    if here.inverse is not None and rank == len(case.free):
        bars = dict(zip(solution.free, np.diag(here.inverse).tolist(), strict=True))
        doubts += comparing.error_bars(solution.stderr, bars, here.rss, here.rounding, dof, known)[1]
        doubts += comparing.covariances(solution.covariance, here.inverse, here.rss, here.rounding, dof, known)
    there = look(case, claimed(replace(solution, params={**solution.params, **reference.params}), case))
    below = _judge_reference(solution, reference, case, there)
    if below.verdict == "FAIL" and not doubts:
        doubts.append((below.reason, dict(below.values)))
    doubts += _reference_doubts(solution, reference, here, there)
    if solution.cycle is not None:
        doubts += _cycle_doubts(solution, solution.cycle)
    elif solution.state == "cycle":
        doubts.append(("check.fail.cycle", {}))
    return _report(solution, reference, here, below, doubts)


def _rank(here: Local, least: float) -> int:
    """How many singular values are larger than ``least`` of the largest."""
    return int((here.singular > least * here.singular.max(initial=0.0)).sum())


def _judge_reference(solution: Solution, reference: Reference, case: Case, there: Local) -> CheckReport:
    """The judgement on the least-squares answer, as a claim of its own."""
    claim = replace(
        solution,
        params={**solution.params, **reference.params},
        stderr=reference.stderr,
        loss=reference.loss,
        rss=reference.loss * case.n,
        dof=case.n - _rank(there, DETERMINED),
        state="converged",
        start=None,
        combinations=(),
    )
    blank = [name for name in solution.free if reference.stderr.get(name) is None]
    if blank and solution.dof > 0:
        return judge_undetermined(replace(claim, state="not_identifiable"), case, there, with_covariance=False)
    return judge_minimum(claim, case, there, with_covariance=False)


def _reference_doubts(solution: Solution, reference: Reference, here: Local, there: Local) -> Iterator[Doubt]:
    """Doubts about the claim's second derivatives and about a loss below the least one."""
    if not here.rss >= there.rss * (1.0 - routes.SAME) - there.rounding:
        yield "check.fail.below", {"value": said(solution.loss), "found": said(reference.loss)}
    scaled = (there.directions.T * there.singular**2) @ there.directions
    bend = 2.0 / solution.n * scaled * np.outer(there.lengths, there.lengths)
    allowed = CURVED * 2.0 / solution.n * np.outer(there.lengths, there.lengths)
    if bend.shape != reference.curvature.shape or not (np.abs(reference.curvature - bend) <= allowed).all():
        yield "check.fail.bend", {}


def _cycle_doubts(solution: Solution, cycle: Cycle) -> Iterator[Doubt]:
    """Doubt two points that have another middle, another width, or no place for the result."""
    lr = float(solution.options.get("lr", 0.0))
    ends = []
    for name in solution.free:
        try:
            low, high, middle, half = (part[name] for part in (cycle.low, cycle.high, cycle.middle, cycle.half_width))
        except KeyError:
            yield "check.fail.cycle", {}
            return
        slack = 1e-9 * max(abs(low), abs(high))
        value = solution.params[name]
        room = max(SWING * half, lr / 1000.0) + slack
        ends.append((abs(value - low) <= room, abs(value - high) <= room))
        fits = (
            abs(middle - (low + high) / 2.0) <= slack and abs(half - abs(high - low) / 2.0) <= slack and any(ends[-1])
        )
        if not fits:
            yield "check.fail.cycle_point", {"name": name, "value": said(value), "low": said(low), "high": said(high)}
            return
    if not (all(low for low, _ in ends) or all(high for _, high in ends)):
        yield "check.fail.cycle", {}


def _relative(here: Local) -> float:
    """The largest cosine between residuals and a column of J."""
    size = np.where(here.lengths > 0.0, here.lengths, 1.0) * (here.rss**0.5 or 1.0)
    return float(np.abs(here.slope / size).max(initial=0.0))


def _report(
    solution: Solution, reference: Reference, here: Local, below: CheckReport, doubts: list[Doubt]
) -> CheckReport:
    """One judgement from both."""
    known = [name for name in solution.free if reference.stderr.get(name) is not None] or solution.free
    distance = max((abs(solution.params[name] - reference.params[name]) for name in known), default=math.nan)
    facts = {
        **below.facts,
        "gradient": 2.0 / solution.n * float(np.abs(here.slope).max(initial=0.0)),
        "relative_gradient": _relative(here),
        "distance": distance,
        "loss": here.rss / solution.n,
    }
    if solution.cycle is not None:
        facts["middle_distance"] = max(
            (abs(solution.cycle.middle.get(name, math.nan) - reference.params[name]) for name in solution.free),
            default=math.nan,
        )
    values = {"distance": f"{distance:.3g}", "loss": f"{here.rss / solution.n:.6g}"}
    verdict, reason = below.verdict, PASSED[solution.state]
    if doubts:
        verdict, (reason, values) = "FAIL", doubts[0]
        facts["doubts"] = (*(key for key, _ in doubts), *below.facts.get("doubts", ()))
    elif below.verdict != "PASS":
        reason, values = below.reason, dict(below.values)
    return CheckReport(verdict, reason, below.digits, below.stderr_digits, below.answer, values, facts)

"""The answer check holds parameters that stand at a bound, and asks that the loss presses them there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hand_claims import Hand, decay, line
from katamuki import messages
from katamuki.check import judge
from katamuki.records import CheckReport, Solution


def judged(problem: Hand, claim: Solution | None = None, **changes: Any) -> CheckReport:
    """The judgement on a problem's claim; its sentence can be said."""
    report = judge(replace(claim or problem.claim(), **changes), problem.columns, problem.weights)
    assert "{" not in messages.sentence(report.reason, **report.values)
    return report


def failed(report: CheckReport, reason: str) -> None:
    assert (report.verdict, report.reason) == ("FAIL", f"check.fail.{reason}"), report


def bounded(**changes: Any) -> tuple[Hand, Solution]:
    """A decay whose offset wants to be 0.5 and may be 0.3 at most."""
    problem = decay(at_bound=("c",), bounds={"c": (-1.0, 0.3), "b": (0.0, 5.0)})
    problem.near[2] = 0.3
    return problem, replace(problem.claim(), **changes)


def test_an_answer_at_a_bound_passes() -> None:
    problem, claim = bounded()
    report = judged(problem, claim)
    assert report.verdict == "PASS", report
    assert np.isnan(report.digits["c"])
    straight = line(at_bound=("a",), bounds={"a": (0.6, 2.0)})
    straight.near[0] = 0.6
    assert judged(straight).verdict == "PASS"


def test_an_answer_with_every_parameter_at_a_bound_passes() -> None:
    problem = line(at_bound=("a", "b"), bounds={"a": (0.6, 2.0), "b": (3.5, 5.0)})
    problem.near = np.array([0.6, 3.5])
    claim = replace(problem.claim(problem.near), covariance=np.full((2, 2), np.nan))
    report = judged(problem, claim)
    assert (report.verdict, report.reason) == ("PASS", "check.pass.none"), report
    failed(judged(problem, claim, bounds={"a": (0.6, 2.0), "b": (0.0, 3.5)}), "pressed")


def test_a_bound_that_the_loss_leaves_inward_fails() -> None:
    problem, claim = bounded(bounds={"c": (0.3, 1.0)})
    failed(judged(problem, claim), "pressed")


def test_a_parameter_outside_or_not_at_its_bound_fails() -> None:
    problem, claim = bounded(bounds={"c": (-1.0, 0.2)})
    failed(judged(problem, claim), "outside")
    failed(judged(problem, replace(claim, bounds={"c": (-1.0, 0.4)})), "not_at_bound")


def test_an_error_bar_at_a_bound_fails() -> None:
    problem, claim = bounded()
    failed(judged(problem, claim, stderr={**claim.stderr, "c": 0.01}), "stderr")

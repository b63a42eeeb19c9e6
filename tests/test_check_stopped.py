"""The check judges runs that stopped short, answers that are not unique, and many rows, each as what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hand_claims import TUTORIAL, Hand, decay, line, rmsprop_run
from katamuki import messages
from katamuki.check import judge
from katamuki.check.evaluation import Case
from katamuki.records import CheckReport, Combination, Reference, Solution

RUN = rmsprop_run()


def judged(claim: Solution, columns: Any = TUTORIAL, **changes: Any) -> CheckReport:
    """The judgement; its sentence can be said."""
    report = judge(replace(claim, **changes), columns, None)
    assert "{" not in messages.sentence(report.reason, **report.values)
    return report


def failed(report: CheckReport, reason: str) -> None:
    assert (report.verdict, report.reason) == ("FAIL", f"check.fail.{reason}"), report


# Runs


def test_the_tutorials_run_passes_as_what_it_is() -> None:
    report = judged(RUN)
    assert (report.verdict, report.reason) == ("PASS", "check.pass.cycle"), report
    assert report.answer == pytest.approx({"a": 605.11 / 1210, "b": 3630.11 / 1210}, rel=1e-14)
    assert report.facts["distance"] == pytest.approx(0.0005, rel=1e-6)
    assert report.facts["middle_distance"] < 1e-9
    assert report.facts["loss"] == pytest.approx(1.25118, abs=5e-6)
    assert min(report.digits.values()) > 12


def test_a_run_that_is_too_short_passes_as_slow() -> None:
    short = rmsprop_run(500)
    report = judged(short, state="slow", cycle=None)
    assert (report.verdict, report.reason) == ("PASS", "check.pass.slow")
    assert report.facts["distance"] > 1


def test_a_run_called_an_answer_fails() -> None:
    report = judged(RUN, state="converged", cycle=None, reference=None)
    failed(report, "params")
    assert "check.fail.gradient" in report.facts["doubts"]


def test_a_cycle_called_slow_is_judged_by_its_distance() -> None:
    assert judged(RUN, state="slow", cycle=None).verdict == "PASS"


def test_a_wrong_result_or_loss_of_a_run_fails() -> None:
    failed(judged(RUN, params={**RUN.params, "a": RUN.params["a"] * (1 + 1e-4)}), "rss")
    failed(judged(RUN, rss=RUN.rss * (1 + 1e-6)), "rss")
    failed(judged(RUN, loss=RUN.loss * (1 + 1e-6)), "loss")
    failed(judged(RUN, dof=8), "dof")
    assert RUN.stderr["a"] is not None
    failed(judged(RUN, stderr={**RUN.stderr, "a": RUN.stderr["a"] * 1.01}), "stderr")
    failed(judged(RUN, covariance=-RUN.covariance), "covariance")
    failed(judged(RUN, formula="y ~ a*x - b"), "rss")


def reference(**changes: Any) -> Reference:
    assert RUN.reference is not None
    return replace(RUN.reference, **changes)


def test_a_wrong_reference_fails() -> None:
    right = reference()
    failed(judged(RUN, reference=reference(params={**right.params, "b": right.params["b"] * (1 + 1e-4)})), "params")
    assert right.stderr["b"] is not None
    failed(judged(RUN, reference=reference(stderr={**right.stderr, "b": right.stderr["b"] * 1.01})), "stderr")
    failed(judged(RUN, reference=reference(loss=right.loss * (1 + 1e-6))), "rss")
    failed(judged(RUN, reference=reference(curvature=right.curvature * 1.01)), "bend")
    failed(judged(RUN, reference=reference(curvature=right.curvature[:1, :1])), "bend")
    # The start as the reference, its loss and curvature with it: the run's loss lies below.
    worse = line().claim([0.5, 0.5])
    report = judged(RUN, reference=reference(params=worse.params, loss=worse.loss))
    failed(report, "params")
    assert "check.fail.below" in report.facts["doubts"]


@pytest.mark.parametrize(
    "change",
    [
        lambda cycle: {"middle": {**cycle.middle, "a": cycle.low["a"]}},
        lambda cycle: {"half_width": {**cycle.half_width, "b": 0.001}},
        lambda cycle: {"low": {**cycle.low, "a": 0.4}},
        lambda cycle: {"high": {"a": cycle.high["a"]}},
        lambda cycle: {"low": cycle.middle, "high": cycle.middle, "half_width": {"a": 0.0, "b": 0.0}},
    ],
)
def test_a_wrong_cycle_fails(change: Callable[[Any], dict[str, Any]]) -> None:
    assert RUN.cycle is not None
    report = judged(RUN, cycle=replace(RUN.cycle, **change(RUN.cycle)))
    assert report.verdict == "FAIL"
    assert report.reason in {"check.fail.cycle", "check.fail.cycle_point"}


def test_a_result_between_the_two_points_fails() -> None:
    """Each parameter stands at one of its two values, but not both at the same point."""
    assert RUN.cycle is not None
    low, high = dict(RUN.cycle.low), dict(RUN.cycle.high)
    low["b"], high["b"] = high["b"], low["b"]
    failed(judged(RUN, cycle=replace(RUN.cycle, low=low, high=high)), "cycle")


def test_a_cycle_without_its_points_fails() -> None:
    failed(judged(RUN, cycle=None), "cycle")


def test_a_nonlinear_run_passes_and_its_wrong_reference_fails() -> None:
    problem = decay()
    best = problem.claim()
    at = problem.solved() * [1.01, 0.99, 1.0]
    x = problem.columns["x"]
    j = problem.slopes(problem.solved(), {"x": x})
    kept = Reference(best.params, best.stderr, best.loss, 2 / best.n * j.T @ j)
    run = problem.claim(at, state="slow", solver="adam", options={"lr": 0.01}, reference=kept)
    assert judged(run, problem.columns).verdict == "PASS"
    nudged = {**best.params, "b": best.params["b"] * (1 + 1e-4)}
    failed(judged(run, problem.columns, reference=replace(kept, params=nudged)), "params")


# Not identifiable


def alike() -> Solution:
    """(a + c)·x + b: only a + c is determined."""
    claim = line().claim()
    a, b = claim.params["a"], claim.params["b"]
    covariance = np.full((3, 3), np.nan)
    covariance[2, 2] = claim.covariance[1, 1]
    return replace(
        claim,
        formula="y ~ (a + c)*x + b",
        params={"a": a - 0.2, "c": 0.2, "b": b},
        free=("a", "c", "b"),
        stderr={"a": None, "c": None, "b": claim.stderr["b"]},
        covariance=covariance,
        state="not_identifiable",
        combinations=(Combination(("a", "c"), "a + c", a),),
    )


def scaled() -> tuple[Solution, Hand]:
    """a·exp(−b·x + d) + c: only a·exp(d) is determined of a and d; no sum or product tells it."""
    problem = decay()
    claim = problem.claim()
    a = claim.params["a"]
    covariance = np.full((4, 4), np.nan)
    covariance[np.ix_([1, 3], [1, 3])] = claim.covariance[1:, 1:]
    found = replace(
        claim,
        formula="y ~ a*exp(-b*x + d) + c",
        params={"a": a / 2, "b": claim.params["b"], "d": float(np.log(2.0)), "c": claim.params["c"]},
        free=("a", "b", "d", "c"),
        stderr={"a": None, "d": None, "b": claim.stderr["b"], "c": claim.stderr["c"]},
        covariance=covariance,
        state="not_identifiable",
        combinations=(Combination(("a", "d"), "a*exp(d)", a),),
    )
    return found, problem


def test_parameters_that_cannot_be_told_apart_pass_as_such() -> None:
    report = judged(alike())
    assert (report.verdict, report.reason) == ("PASS", "check.pass.not_identifiable"), report
    assert (report.facts["rank"], report.facts["parameters"]) == (2, 3)
    assert report.digits["b"] > 12
    assert np.isnan([report.digits["a"], report.digits["c"], report.stderr_digits["a"]]).all()
    claim, problem = scaled()
    report = judged(claim, problem.columns)
    assert report.verdict == "PASS", report
    assert report.digits["b"] > 9


def test_an_error_bar_of_an_undetermined_parameter_fails() -> None:
    claim = alike()
    failed(judged(claim, stderr={**claim.stderr, "a": 0.1}), "stderr")
    assert claim.stderr["b"] is not None
    failed(judged(claim, stderr={**claim.stderr, "b": claim.stderr["b"] * 1.01}), "stderr")
    failed(judged(claim, stderr={**claim.stderr, "b": None}), "stderr")


def test_a_run_on_parameters_that_cannot_be_told_apart_passes() -> None:
    best = alike()
    x = TUTORIAL["x"]
    j = np.column_stack([x, x, np.ones(11)])
    bend = 2 / 11 * j.T @ j
    at = {"a": 0.3, "c": 0.1, "b": 2.0}
    rss = float(((TUTORIAL["y"] - 0.4 * x - 2.0) ** 2).sum())
    run = replace(
        best,
        params=at,
        state="slow",
        rss=rss,
        loss=rss / 11,
        covariance=np.full((3, 3), np.nan),
        stderr=dict.fromkeys(at),
        combinations=(),
        reference=Reference(best.params, best.stderr, best.loss, bend),
    )
    report = judged(run)
    assert (report.verdict, report.reason) == ("PASS", "check.pass.slow"), report
    assert report.facts["distance"] == pytest.approx(best.params["b"] - 2.0)
    failed(judged(run, reference=Reference(best.params, {**best.stderr, "b": 1.0}, best.loss, bend)), "stderr")


def test_a_wrong_covariance_of_what_is_determined_fails() -> None:
    claim = alike()
    failed(judged(claim, covariance=claim.covariance * 1.01), "covariance")
    curve, problem = scaled()
    covariance = curve.covariance.copy()
    covariance[1, 3] *= -1
    covariance[3, 1] *= -1
    failed(judged(curve, problem.columns, covariance=covariance), "covariance")


@pytest.mark.parametrize(
    ("text", "value"),
    [("a + c", 0.6), ("a - c", 0.1000909090909091), ("a*c", 0.0600181818181818), ("a + ", 0.5), ("a + q", 0.5)],
)
def test_a_wrong_combination_fails(text: str, value: float) -> None:
    report = judged(alike(), combinations=(Combination(("a", "c"), text, value),))
    assert report.verdict == "FAIL"
    assert report.reason in {"check.fail.combination", "check.fail.free"}


def test_a_wrong_nonlinear_combination_fails() -> None:
    claim, problem = scaled()
    value = claim.params["a"] * claim.params["d"]
    report = judged(claim, problem.columns, combinations=(Combination(("a", "d"), "a*d", value),))
    assert report.verdict == "FAIL"
    near = Combination(("a", "d"), "a*d", value, exact=False)
    failed(judged(claim, problem.columns, combinations=(near,)), "free")


def test_a_nudge_of_what_is_determined_fails() -> None:
    claim = alike()
    for name in claim.params:
        report = judged(claim, params={**claim.params, name: claim.params[name] * (1 + 1e-3)}, combinations=())
        assert report.verdict == "FAIL"
    failed(judged(claim, rss=claim.rss * (1 + 1e-6)), "rss")
    failed(judged(claim, dof=8), "dof")
    report = judged(claim, params={**claim.params, "b": 0.0})
    assert {"check.fail.params", "check.fail.gradient", "check.fail.lower"} <= set(report.facts["doubts"])


def test_a_parameter_that_moves_nothing_may_be_called_undetermined() -> None:
    """b saturates: it moves the prediction by less than rounding, and SciPy ends at another b."""
    rng = np.random.default_rng(5)
    x = rng.uniform(1.0, 4.0, 20)
    y = 1.3 + 0.4 * x + 0.05 * rng.normal(size=20)
    straight = line({"x": x, "y": y})
    flat = straight.claim()
    claim = replace(
        flat,
        formula="y ~ a*tanh(b*x) + c*x",
        params={"a": flat.params["b"], "b": 18.0, "c": flat.params["a"]},
        free=("a", "b", "c"),
        stderr={"a": flat.stderr["b"], "b": None, "c": flat.stderr["a"]},
        covariance=np.array([[1.0, np.nan, 0.0], [np.nan] * 3, [0.0, np.nan, 1.0]]),
        state="not_identifiable",
        linear=False,
        combinations=(Combination(("b",), None, None),),
    )
    claim.covariance[np.ix_([0, 2], [0, 2])] = flat.covariance[::-1, ::-1]
    report = judged(claim, straight.columns)
    assert report.verdict == "PASS", report
    assert report.digits["a"] > 9
    failed(judged(claim, straight.columns, params={**claim.params, "b": 0.7}), "determined")


def test_determined_parameters_called_undetermined_fail() -> None:
    claim = line().claim()
    bare: dict[str, float | None] = {"a": None, "b": None}
    failed(judged(claim, state="not_identifiable", stderr=bare), "determined")


# Many rows


def many() -> Hand:
    problem = decay()
    rng = np.random.default_rng(3)
    x = rng.uniform(0.0, 4.0, 120_000)
    y = 3.0 * np.exp(-1.2 * x) + 0.5 + 0.05 * rng.normal(size=120_000)
    problem.columns, problem.y = {"x": x, "y": y}, y
    return problem


def test_many_rows_are_checked_on_a_sample_and_all_of_them() -> None:
    problem = many()
    claim = problem.claim()
    report = judged(claim, problem.columns)
    assert (report.verdict, report.reason) == ("PASS", "check.pass.sample")
    assert report.facts["sample"] == 100_000
    assert report.facts["sigmas"] < 3
    nudged = problem.solved() * [1.0, 1.0 + 1e-4, 1.0]
    failed(judged(problem.claim(nudged), problem.columns), "params")
    assert claim.stderr["b"] is not None
    failed(judged(claim, problem.columns, stderr={**claim.stderr, "b": claim.stderr["b"] * 1.01}), "stderr")


def test_a_sample_that_contradicts_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the first rows followed another law than all of them."""
    problem = many()

    def tilted(case: Case) -> Case:
        part = case.only(slice(0, 100_000))
        return replace(part, y=part.y + 0.01 * part.columns["x"])

    monkeypatch.setattr(Case, "sample", tilted)
    failed(judged(problem.claim(), problem.columns), "sample")


def test_many_rows_of_a_linear_formula_are_checked_in_full() -> None:
    problem = many()
    straight = line(problem.columns)
    assert judged(straight.claim(), problem.columns).reason == "check.pass.qr"
    nudged = straight.solved() * [1.0 + 1e-4, 1.0]
    failed(judged(straight.claim(nudged), problem.columns), "params")

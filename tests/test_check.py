"""The answer check says PASS to right claims and FAIL to wrong ones; the claims are made by hand."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hand_claims import TUTORIAL, Hand, bell, decay, growth, line
from katamuki import messages
from katamuki.check import judge
from katamuki.records import CheckReport, Solution

WEIGHTS = np.linspace(0.5, 3.0, 11)
PROBLEMS = {
    "tutorial": line(),
    "weighted line": line(weights=WEIGHTS, sigma_is="relative"),
    "known sigma": line(weights=WEIGHTS, sigma_is="known"),
    "decay": decay(),
    "weighted decay": decay(weights=np.linspace(0.2, 4.0, 60)),
    "growth": growth(),
    "bell": bell(),
}
EVERY = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
NAMED = [(name, one) for name in PROBLEMS for one in PROBLEMS[name].names]


def judged(problem: Hand, claim: Solution | None = None, **changes: Any) -> CheckReport:
    """The judgement on a problem's claim; its sentence can be said."""
    claim = replace(claim or problem.claim(), **changes)
    report = judge(claim, problem.columns, problem.weights)
    assert "{" not in messages.sentence(report.reason, **report.values)
    return report


def failed(report: CheckReport, reason: str) -> None:
    assert (report.verdict, report.reason) == ("FAIL", f"check.fail.{reason}"), report


# Right answers


@EVERY
def test_a_right_answer_passes(problem: Hand) -> None:
    report = judged(problem)
    assert report.verdict == "PASS", report
    assert report.reason == ("check.pass.qr" if problem.linear else "check.pass.scipy")
    assert min(report.digits.values()) > 9
    assert min(report.stderr_digits.values()) > 7
    assert report.answer == pytest.approx(problem.claim().params, rel=1e-9)
    assert report.facts["rank"] == report.facts["parameters"] == len(problem.names)


def test_the_gradient_and_the_digits_are_reported() -> None:
    report = judged(PROBLEMS["tutorial"])
    assert report.facts["gradient"] < 1e-12
    assert report.facts["difference"] < 1e-13
    assert report.facts["stderr_difference"] < 1e-13


@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("column", ["x", "y"])
def test_units_do_not_matter(scale: float, column: str) -> None:
    straight = line({name: array * (scale if name == column else 1.0) for name, array in TUTORIAL.items()})
    assert judged(straight).verdict == "PASS"
    curve = decay()
    curve.columns[column] = curve.columns[column] * scale
    curve.y = curve.columns["y"]
    curve.near = curve.near * (np.array([1, 1 / scale, 1]) if column == "x" else np.array([scale, 1, scale]))
    assert judged(curve).verdict == "PASS"
    at = curve.solved() * np.array([1.0, 1.0 + 1e-4, 1.0])
    failed(judged(curve, curve.claim(at)), "params")


def test_a_perfect_fit_passes_and_its_error_bars_are_not_compared() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0])
    report = judged(line({"x": x, "y": 2 * x}))
    assert report.verdict == "PASS"
    assert np.isnan(list(report.stderr_digits.values())).all()
    failed(judged(line({"x": x, "y": 2 * x}), stderr={"a": 1e-3, "b": 1e-3}), "stderr")
    curve = decay(noise=0.0)
    assert judged(curve).verdict == "PASS"
    failed(judged(curve, curve.claim(curve.solved() * [1.0, 1.0 + 1e-4, 1.0])), "params")


def test_as_many_rows_as_parameters_leave_no_error_bar() -> None:
    problem = line({"x": np.array([1.0, 2.0]), "y": np.array([2.0, 5.0])})
    assert judged(problem).verdict == "PASS"
    failed(judged(problem, stderr={"a": 0.1, "b": 0.1}), "stderr")


def test_a_fixed_parameter_is_held() -> None:
    problem = decay(fixed=("c",))
    assert judged(problem).verdict == "PASS"
    claim = problem.claim()
    failed(judged(problem, params={**claim.params, "c": 0.51}), "params")


def test_a_left_side_may_be_an_expression() -> None:
    problem = line({"x": TUTORIAL["x"], "y": np.log(TUTORIAL["y"])})
    claim = problem.claim(formula="log(y) ~ a*x + b", response="log(y)")
    assert judge(claim, TUTORIAL, None).verdict == "PASS"
    failed(judge(replace(claim, formula="y ~ a*x + b"), TUTORIAL, None), "params")


def test_names_in_backticks_and_in_other_forms_are_found() -> None:
    columns = {"my x": TUTORIAL["x"], "ﬁt": TUTORIAL["y"]}
    claim = line().claim(formula="ﬁt = a*`my x` + b")
    assert judge(claim, columns, None).verdict == "PASS"


def test_a_lower_minimum_elsewhere_is_a_fact_and_no_failure() -> None:
    x = np.linspace(0.0, 10.0, 50)
    y = np.sin(1.5 * x)
    problem = Hand(
        "y ~ sin(b*x)",
        {"x": x, "y": y},
        y,
        ("b",),
        lambda p, c: np.sin(p[0] * c["x"]),
        lambda p, c: (c["x"] * np.cos(p[0] * c["x"]))[:, None],
        np.array([3.6]),
    )
    claim = problem.claim(start={"b": 1.45})
    assert abs(claim.params["b"] - 1.5) > 1
    report = judged(problem, claim)
    assert report.verdict == "PASS"
    assert report.facts["from_start"] == "elsewhere"
    assert report.facts["better"]["params"]["b"] == pytest.approx(1.5, rel=1e-6)


# Wrong answers


@pytest.mark.parametrize(("name", "parameter"), NAMED)
def test_a_nudged_parameter_fails(name: str, parameter: str) -> None:
    problem = PROBLEMS[name]
    at = problem.solved()
    at[problem.names.index(parameter)] *= 1.0 + 1e-4
    failed(judged(problem, params=dict(zip(problem.names, at.tolist(), strict=True))), "params")
    failed(judged(problem, problem.claim(at)), "params")  # with sums and error bars that belong to it


@pytest.mark.parametrize("factor", [0.99, 1.01])
@pytest.mark.parametrize(("name", "parameter"), NAMED)
def test_a_wrong_standard_error_fails(name: str, parameter: str, factor: float) -> None:
    claim = PROBLEMS[name].claim()
    bar = claim.stderr[parameter]
    assert bar is not None
    report = judged(PROBLEMS[name], stderr={**claim.stderr, parameter: bar * factor})
    failed(report, "stderr")
    assert report.stderr_digits[parameter] == pytest.approx(2.0, abs=0.1)
    failed(judged(PROBLEMS[name], stderr={**claim.stderr, parameter: None}), "stderr")


@EVERY
def test_wrong_sums_and_counts_fail(problem: Hand) -> None:
    claim = problem.claim()
    failed(judged(problem, rss=claim.rss * (1 + 1e-6)), "rss")
    failed(judged(problem, loss=claim.loss * (1 + 1e-6)), "loss")
    failed(judged(problem, tss=claim.tss * (1 + 1e-6)), "tss")
    failed(judged(problem, n=claim.n + 1), "n")
    failed(judged(problem, dof=claim.dof + 1), "dof")
    failed(judged(problem, weighted=not claim.weighted), "weights")


@EVERY
def test_a_wrong_covariance_fails(problem: Hand) -> None:
    claim = problem.claim()
    flipped = 2 * np.diag(np.diag(claim.covariance)) - claim.covariance
    failed(judged(problem, covariance=flipped), "covariance")
    failed(judged(problem, covariance=-claim.covariance), "covariance")
    failed(judged(problem, covariance=claim.covariance[:1, :1]), "covariance")


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("tutorial", "y ~ -a*x + b"),
        ("tutorial", "y ~ a*x - b"),
        ("tutorial", "y ~ a*x**1.001 + b"),
        ("tutorial", "x ~ a*y + b"),
        ("tutorial", "y ~ a*x + b + 0.001"),
        ("decay", "y ~ a*exp(b*x) + c"),
        ("decay", "y ~ a*exp(-b*x) - c"),
        ("decay", "y ~ a*exp(-b*x)**2 + c"),
        ("decay", "y ~ a*exp(-b*x/1.0001) + c"),
        ("growth", "y ~ top*z/(half + z) + slope*x"),
        ("growth", "y ~ top*x/(half + x) - slope*z"),
        ("bell", "y ~ height*exp(-((x - centre)/width)) + base + tilt*x"),
        ("bell", "y ~ height*exp(-((x + centre)/width)^2) + base + tilt*x"),
    ],
)
def test_a_wrong_formula_fails(name: str, formula: str) -> None:
    report = judged(PROBLEMS[name], formula=formula)
    assert report.verdict == "FAIL", report


@pytest.mark.parametrize("name", ["weighted line", "known sigma", "weighted decay"])
def test_wrong_weights_fail(name: str) -> None:
    problem = PROBLEMS[name]
    assert problem.weights is not None
    one = problem.weights.copy()
    one[3] *= 1.01
    for weights in (one, None, problem.weights**2, np.sqrt(problem.weights)):
        assert judge(problem.claim(), problem.columns, weights).verdict == "FAIL"
    for bad in (-1.0, np.nan, np.inf, 0.0):
        one[3] = bad
        failed(judge(problem.claim(), problem.columns, one), "weight_values")
    failed(judge(problem.claim(), problem.columns, one[1:]), "n")


def test_weights_that_nobody_asked_for_fail() -> None:
    problem = PROBLEMS["tutorial"]
    assert judge(problem.claim(), problem.columns, WEIGHTS).verdict == "FAIL"


def test_sigma_taken_for_the_other_kind_fails() -> None:
    failed(judged(PROBLEMS["known sigma"], sigma_is="relative"), "stderr")
    failed(judged(PROBLEMS["weighted line"], sigma_is="known"), "stderr")


@pytest.mark.parametrize("name", ["tutorial", "decay", "growth", "bell"])
def test_a_start_returned_as_the_result_fails(name: str) -> None:
    problem = PROBLEMS[name]
    start = problem.near + 0.1
    claim = problem.claim(start, start=dict(zip(problem.names, start.tolist(), strict=True)))
    report = judged(problem, claim)
    assert report.verdict == "FAIL"
    assert report.answer == pytest.approx(problem.claim().params, rel=1e-6)
    assert "check.fail.gradient" in report.facts["doubts"]


def waves(b: float) -> tuple[Hand, Solution]:
    """sin(b·x) + a at the stationary point near b: a minimum in a, whatever it is in b."""
    from scipy.optimize import brentq

    x = np.linspace(0.0, 10.0, 50)
    y = np.sin(1.5 * x) + 0.3

    def best_a(b: float) -> float:
        return float(np.mean(y - np.sin(b * x)))

    def slope(b: float) -> float:
        return float((y - np.sin(b * x) - best_a(b)) @ (x * np.cos(b * x)))

    grid = np.linspace(b - 0.3, b + 0.3, 61)
    k = next(k for k in range(60) if slope(grid[k]) * slope(grid[k + 1]) < 0)
    root = brentq(slope, grid[k], grid[k + 1], xtol=1e-15, rtol=1e-14)
    problem = Hand(
        "y ~ sin(b*x) + a",
        {"x": x, "y": y},
        y,
        ("b", "a"),
        lambda p, c: np.sin(p[0] * c["x"]) + p[1],
        lambda p, c: np.column_stack([c["x"] * np.cos(p[0] * c["x"]), np.ones(50)]),
        np.array([root, best_a(root)]),
    )
    return problem, problem.claim(problem.near)


def test_a_saddle_fails() -> None:
    problem, claim = waves(1.95)
    report = judged(problem, claim)
    assert report.verdict == "FAIL"
    assert "check.fail.curvature" in report.facts["doubts"]
    assert "check.fail.gradient" not in report.facts["doubts"]


def test_columns_that_depend_on_each_other_fail_a_claim_of_a_minimum() -> None:
    problem = line()
    claim = problem.claim()
    twice = replace(
        claim,
        formula="y ~ (a + c)*x + b",
        params={**claim.params, "c": 0.0},
        free=("a", "c", "b"),
        covariance=np.eye(3),
        stderr={**claim.stderr, "c": 1.0},
        dof=8,
    )
    failed(judge(twice, problem.columns, None), "rank")


def test_a_formula_that_is_not_linear_fails_a_claim_that_it_is() -> None:
    failed(judged(PROBLEMS["decay"], linear=True), "not_linear")


def test_values_that_are_no_numbers_fail() -> None:
    claim = PROBLEMS["tutorial"].claim()
    failed(judged(PROBLEMS["tutorial"], params={**claim.params, "a": np.nan}), "not_finite")
    failed(judged(PROBLEMS["tutorial"], formula="y ~ a*log(x - 20) + b"), "not_finite")
    failed(judged(PROBLEMS["tutorial"], formula="y ~ a*x"), "names")


# Claims that nothing can be said about


def test_a_formula_or_state_that_makes_no_claim_cannot_be_told() -> None:
    problem = PROBLEMS["tutorial"]
    for formula in ("y ~ a*x + b*q", "y ~ a*gamma(x) + b", "y ~ a*x +", "y ~ a*x.real + b", "no formula"):
        report = judged(problem, formula=formula)
        assert (report.verdict, report.reason) == ("CANNOT TELL", "check.cannot.formula")
    for state in ("diverged", "interrupted", "slow", "cycle"):
        report = judged(problem, state=state)
        assert (report.verdict, report.reason) == ("CANNOT TELL", f"check.cannot.{state}")


# Laws


@given(st.integers(0, 2**32 - 1), st.integers(3, 30), st.floats(1e-6, 1e6), st.floats(-1e3, 1e3))
def test_any_straight_line_passes_and_its_nudge_fails(seed: int, n: int, scale: float, shift: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n) * scale + shift
    y = rng.normal(size=n) + rng.normal() * x
    problem = line({"x": x, "y": y})
    answer = problem.solved()
    unit = np.column_stack([x / np.linalg.norm(x), np.ones(n)])
    assume(np.linalg.cond(unit) < 1e4)  # beyond, the answer made by hand has too few digits itself
    assert judged(problem).verdict == "PASS"
    for k in (0, 1):
        nudged = answer.copy()
        nudged[k] *= 1.0 + 1e-4
        assert judged(problem, problem.claim(nudged)).verdict == "FAIL"


def test_the_judge_changes_nothing_and_repeats_itself() -> None:
    problem = decay()
    before = {name: array.copy() for name, array in problem.columns.items()}
    claim = problem.claim()
    first, second = judged(problem, claim), judged(problem, claim)
    assert repr(first) == repr(second)
    assert all((before[name] == problem.columns[name]).all() for name in before)


# Walls


def test_the_check_loads_nothing_that_it_judges() -> None:
    code = """
import sys
import numpy as np
from katamuki.check import judge
from hand_claims import line
problem = line()
assert judge(problem.claim(), problem.columns, None).verdict == "PASS"
print(*sorted(name for name in sys.modules if name.split(".")[0] in
      {"katamuki", "scipy", "llvmlite", "torch", "duckdb", "pandas", "pyarrow", "matplotlib"}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    ).stdout.split()
    ours = {name for name in done if not name.startswith("katamuki.check")}
    assert ours <= {"katamuki", "katamuki.records", "katamuki.messages", "katamuki.errors"}

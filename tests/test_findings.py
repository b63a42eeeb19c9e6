"""Every finding on a case that must fire it and on cases that must not."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from itertools import combinations as choose
from itertools import groupby
from typing import Any

import numpy as np
import pytest
import scipy.stats

from judged import ANSCOMBE, codes, facts, found, minimum, problem, solution
from katamuki import messages
from katamuki.findings import LEVEL, examine, extrapolates, few_runs, verdict
from katamuki.records import Combination, Cycle, Finding, Reference, Solution

LINE = "y ~ a*x + b"
X = np.linspace(0, 10, 25)
NOISE = np.random.default_rng(20).normal(size=25)
GOOD = {"x": X, "y": 0.5 * X + 3 + NOISE}


def claim(**changes: Any) -> Solution:
    rows = problem(LINE, GOOD)
    return solution(LINE, rows, minimum(rows), **changes)


# ---- known cases ----


@pytest.mark.parametrize(
    ("which", "expected", "judgement"),
    [(1, [], "good"), (2, ["RUNS.curve"], "look"), (3, ["OUTLIERS"], "look"), (4, ["INFLUENTIAL"], "look")],
)
def test_anscombes_four_sets_are_told_apart(which: int, expected: list[str], judgement: str) -> None:
    x, y = ANSCOMBE[which]
    rows = problem(LINE, {"x": x, "y": y})
    values = minimum(rows)
    said = solution(LINE, rows, values)
    findings = examine(said, facts(rows, values))
    assert codes(findings) == expected
    assert verdict(said, findings) == judgement


def test_anscombes_outlier_and_lone_row_are_named_counted_from_one() -> None:
    (outlier,) = found(LINE, dict(zip("xy", ANSCOMBE[3], strict=True)))
    assert outlier.values["row"] == 3
    assert "row 3 " in outlier.text
    (lone,) = found(LINE, dict(zip("xy", ANSCOMBE[4], strict=True)))
    assert lone.values["row"] == 8


def test_rows_are_numbered_as_in_the_source_where_some_were_left_out() -> None:
    x, y = ANSCOMBE[3]
    rows = problem(LINE, {"x": x, "y": y})
    values = minimum(rows)
    (outlier,) = examine(solution(LINE, rows, values), facts(rows, values), index=np.arange(100, 111))
    assert outlier.values["row"] == 103


def test_a_good_fit_has_no_findings() -> None:
    assert found(LINE, GOOD) == ()


def test_a_wave_left_in_the_residuals_gives_runs() -> None:
    x = np.linspace(0, 10, 60)
    assert codes(found(LINE, {"x": x, "y": x + np.sin(1.3 * x) + 0.1 * np.cos(40 * x)})) == ["RUNS"]


def test_scatter_that_grows_gives_spread() -> None:
    x = np.linspace(0, 10, 200)
    y = x + 5 + np.random.default_rng(1).normal(size=200) * (0.2 + 0.3 * x)
    spread = next(one for one in found(LINE, {"x": x, "y": y}) if one.code == "SPREAD")
    assert spread.values["correlation"] > 0.2


def test_the_same_scatter_with_its_sigma_given_is_no_finding() -> None:
    x = np.linspace(0, 10, 200)
    sigma = 0.2 + 0.3 * x
    y = x + 5 + np.random.default_rng(1).normal(size=200) * sigma
    assert found(LINE, {"x": x, "y": y}, w=1 / sigma**2) == ()


def test_an_outlier_among_many_rows_is_named() -> None:
    y = GOOD["y"].copy()
    y[16] += 8.0
    assert [one.values.get("row") for one in found(LINE, {"x": X, "y": y}) if one.code == "OUTLIERS"] == [17]


def test_a_far_row_that_bends_the_line_is_influential() -> None:
    x = np.append(np.linspace(0, 1, 20), 3.0)
    y = np.append(np.random.default_rng(5).normal(size=20) * 0.1, 4.0)
    findings = found(LINE, {"x": x, "y": y})
    assert "INFLUENTIAL.cook" in codes(findings)
    assert next(one for one in findings if one.code == "INFLUENTIAL").values["row"] == 21


def test_a_row_that_alone_fixes_the_slope_is_influential_even_in_a_perfect_fit() -> None:
    x = np.array([2.0, 2, 2, 2, 9])
    assert codes(found(LINE, {"x": x, "y": 0.5 * x})) == ["INFLUENTIAL"]


def test_rounding_left_by_a_perfect_fit_is_not_judged() -> None:
    x = np.linspace(0, 10, 100)
    assert found(LINE, {"x": x, "y": 0.1 * x + 0.3}) == ()
    assert found(LINE, {"x": x, "y": 0 * x}) == ()
    for seed in range(20):  # this used to find that a far row pulls, by Cook's distance of rounding
        x = np.random.default_rng(seed).uniform(0.0, 1.0, 8)
        x[0] = 5.0
        assert found(LINE, {"x": x, "y": 0.3 * x + 0.7}) == ()


@pytest.mark.parametrize(("factor", "expected"), [(1.0, []), (0.4, ["CHI2"]), (2.5, ["CHI2.small"])])
def test_sigma_is_compared_with_the_scatter_where_it_is_known(factor: float, expected: list[str]) -> None:
    weights = np.full(25, 1 / factor**2)
    findings = found(LINE, GOOD, w=weights, sigma_is="known")
    assert codes(findings) == expected
    assert found(LINE, GOOD, w=weights, sigma_is="relative") == ()
    for one in findings:
        rss = one.values["rss"]
        tail = scipy.stats.chi2.sf(rss, 23) if factor < 1 else scipy.stats.chi2.cdf(rss, 23)
        assert one.values["p"] == pytest.approx(tail, rel=1e-8)


def test_as_many_rows_as_parameters_leave_nothing_to_judge() -> None:
    findings = found(LINE, {"x": [1.0, 2.0], "y": [3.0, 5.0]})
    assert codes(findings) == ["NO_FREEDOM"]


def test_an_exponential_on_nearly_straight_data_is_hardly_determined() -> None:
    x = np.linspace(0, 1, 30)
    y = 2 - 0.3 * x + 0.05 * np.random.default_rng(8).normal(size=30)
    text = "y ~ a*exp(-b*x) + c"
    start = [1000.0, 3e-4, -998.0]
    rows = problem(text, {"x": x, "y": y})
    values = np.array(start)
    findings = examine(
        solution(text, rows, values, state="converged", solver="levenbergmarquardt"), facts(rows, values)
    )
    assert {one.parameter for one in findings if one.code == "WEAK"} == {"a", "b"}


@pytest.mark.parametrize("origin", [0.0, 2010.0, 1e6])
def test_a_slope_that_is_truly_zero_is_not_weak(origin: float) -> None:
    assert found(LINE, {"x": X + origin, "y": 3 + NOISE}) == ()


def test_a_high_polynomial_of_a_far_x_loses_digits() -> None:
    x = np.linspace(1000, 1010, 40)
    text = "y ~ a + b*x + c*x**2 + d*x**3 + e*x**4"
    rows = problem(text, {"x": x, "y": np.cos(x)})
    values = np.array([1.0, 0.0, 0.0, 0.0, 0.0])
    for state, severity in (("exact", "note"), ("converged", "warning")):
        said = solution(text, rows, values, state=state)
        (scales,) = [one for one in examine(said, facts(rows, values)) if one.code == "SCALES"]
        assert scales.severity == severity
        scaled = x[:, None] ** np.arange(5) / np.linalg.norm(x[:, None] ** np.arange(5), axis=0)
        # The smallest singular value is known to epsilon over itself: 3 digits.
        assert scales.values["condition"] == pytest.approx(np.linalg.cond(scaled), rel=1e-3)
        assert scales.values["digits"] == 4
    centred = problem(text, {"x": x - 1005, "y": np.cos(x)})
    assert "SCALES" not in codes(examine(solution(text, centred, values), facts(centred, values)))


def test_a_frequency_beyond_half_a_cycle_per_row_is_an_alias() -> None:
    x = np.arange(40.0)
    data = {"x": x, "y": np.sin(0.9 * x + 0.3) + 0.1 * np.cos(17 * x * x)}
    text = "y ~ a*sin(b*x + c)"
    true = found(text, data, start=[1.0, 0.9, 0.3], state="converged")
    false = found(text, data, start=[1.0, 0.9 + 2 * math.pi, 0.3], state="converged")
    assert "ALIAS" not in codes(true)
    (alias,) = [one for one in false if one.code == "ALIAS"]
    assert alias.values["advance"] == pytest.approx(1 + 0.9 / (2 * math.pi), rel=1e-2)
    assert "b*x + c" in alias.text


# ---- how a fit ended ----


def test_a_linear_or_closed_fit_needs_no_other_start() -> None:
    assert examine(claim()) == ()
    assert examine(claim(state="converged", start={"a": 1.0, "b": 1.0})) == ()
    (note,) = examine(claim(state="converged", start={"a": 1.0, "b": 1.0}, linear=False))
    assert (note.code, note.severity) == ("NOT_SEARCHED", "note")
    assert verdict(claim(state="converged"), (note,)) == "good"


@pytest.mark.parametrize(
    ("state", "solver", "code", "judgement"),
    [
        ("diverged", "sgd", "NOT_CONVERGED", "failed"),
        ("interrupted", "rmsprop", "NOT_CONVERGED", "failed"),
        ("slow", "levenbergmarquardt", "NOT_CONVERGED", "failed"),
        ("slow", "adam", "SLOW", "look"),
        ("cycle", "rmsprop", "CYCLE", "look"),
    ],
)
def test_a_run_without_a_minimum_says_so(state: Any, solver: str, code: str, judgement: str) -> None:
    cycle = Cycle(3419, {"a": 0.4996}, {"a": 0.5006}, {"a": 0.5001}, {"a": 0.0005}) if state == "cycle" else None
    said = claim(state=state, solver=solver, cycle=cycle, steps=6000, start={"a": 1.0, "b": 1.0})
    findings = examine(said)
    assert [one.code for one in findings] == [code]
    assert verdict(said, findings) == judgement


def test_a_slow_run_is_compared_with_the_least_squares_answer() -> None:
    reference = Reference({"a": 0.5}, {"a": 0.1}, 1.25, np.eye(1))
    (slow,) = examine(claim(state="slow", solver="adam", reference=reference, loss=1.5, steps=100))
    assert slow.values["least"] == 1.25
    assert "1.25" in slow.text


def test_residuals_are_judged_at_a_minimum_only() -> None:
    x, y = ANSCOMBE[3]
    rows = problem(LINE, {"x": x, "y": y})
    values = minimum(rows)
    said = solution(LINE, rows, values, state="slow", solver="adam")
    assert codes(examine(said, facts(rows, values))) == ["SLOW.alone"]


def test_a_parameter_at_its_bound_is_named_with_the_bound() -> None:
    (one,) = examine(claim(at_bound=("a",), bounds={"a": (0.0, 0.4)}))
    assert (one.code, one.severity, one.parameter) == ("AT_BOUND", "warning", "a")


@pytest.mark.parametrize(
    ("combination", "words"),
    [
        (
            Combination(("a", "c"), "a + c", 0.500091),
            "a and c cannot be told apart: only a + c = 0.500091",
        ),
        (Combination(("a", "c"), "a + 0.91*c", 1.5, exact=False), "near this answer only a + 0.91*c = 1.5"),
        (Combination(("a", "b", "c"), None, None), "a, b and c cannot be told apart by these data"),
        (Combination(("b",), None, None), "b has no effect"),
    ],
)
def test_what_is_not_determined_is_said_with_what_is(combination: Combination, words: str) -> None:
    said = claim(state="not_identifiable", combinations=(combination,))
    (one,) = examine(said)
    assert one.code == "UNDETERMINED"
    assert words in one.text
    assert verdict(said, ()) == "look"


def test_new_rows_outside_the_fitted_range_extrapolate() -> None:
    fitted = {"x": np.array([0.0, 5.0, 10.0])}
    assert extrapolates(fitted, {"x": np.array([0.0, 10.0, 3.0])}) == ()
    (one,) = extrapolates(fitted, {"x": np.array([-1.0, 10.5, 3.0])})
    assert one.code == "EXTRAPOLATES"
    assert one.values["count"] == 2


def test_a_failure_a_warning_and_a_note_make_three_verdicts() -> None:
    def of(severity: Any) -> Finding:
        return Finding("X", severity, None, {}, "", None)

    assert verdict(claim(), ()) == "good"
    assert verdict(claim(), (of("note"),)) == "good"
    assert verdict(claim(), (of("note"), of("warning"))) == "look"
    assert verdict(claim(), (of("failure"), of("warning"))) == "failed"


# ---- probabilities ----


@pytest.mark.parametrize(("positive", "negative"), [(1, 1), (4, 7), (5, 5), (2, 8), (6, 6), (1, 9)])
def test_few_runs_has_the_probability_that_counting_all_orders_gives(positive: int, negative: int) -> None:
    n = positive + negative
    lengths = [len(list(groupby(k in chosen for k in range(n)))) for chosen in choose(range(n), positive)]
    for runs in range(2, n + 1):
        exact = sum(one <= runs for one in lengths) / len(lengths)
        if exact < LEVEL:
            assert few_runs(runs, positive, negative) == pytest.approx(exact, abs=1e-12)
        else:
            assert few_runs(runs, positive, negative) > LEVEL


def test_beyond_two_hundred_rows_the_normal_approximation_is_near_enough() -> None:
    random = np.random.default_rng(0)
    signs = np.array([random.permutation(np.arange(300) < 140) for _ in range(20_000)])
    runs = 1 + np.count_nonzero(signs[:, 1:] != signs[:, :-1], axis=1)
    at = int(np.quantile(runs, 0.01))
    assert few_runs(at, 140, 160) == pytest.approx(np.mean(runs <= at), rel=0.2)


def test_p_values_of_single_rows_and_bends_are_scipys() -> None:
    x, y = ANSCOMBE[2]
    (bend,) = found(LINE, {"x": x, "y": y})
    whole, line = (np.vander(x, k) for k in (3, 2))
    rss = [float(np.linalg.lstsq(m, np.array(y), rcond=None)[1][0]) for m in (whole, line)]
    ratio = (rss[1] - rss[0]) / (rss[0] / 8)
    # 5 digits: almost nothing is left of the rss that the parabola does not explain.
    assert bend.values["p"] == pytest.approx(scipy.stats.f.sf(ratio, 1, 8), rel=1e-5)
    assert bend.values["share"] == pytest.approx(1 - rss[0] / rss[1], rel=1e-10)
    y = GOOD["y"].copy()
    y[16] += 6.0
    one = next(one for one in found(LINE, {"x": X, "y": y}) if one.code == "OUTLIERS")
    without = np.delete(np.arange(25), 16)
    line, left, *_ = scipy.stats.linregress(X[without], y[without])
    s = np.sqrt(np.sum((y[without] - line * X[without] - left) ** 2) / 22)
    far = 1 + 1 / 24 + (X[16] - X[without].mean()) ** 2 / np.sum((X[without] - X[without].mean()) ** 2)
    t = (y[16] - line * X[16] - left) / (s * np.sqrt(far))
    assert one.values["distance"] == pytest.approx(t, rel=1e-10)
    assert one.values["p"] == pytest.approx(25 * 2 * scipy.stats.t.sf(t, 22), rel=1e-8)


# ---- false alarms ----


@pytest.mark.parametrize(
    ("n", "design"), [(8, "even"), (11, "even"), (11, "decades"), (40, "decades"), (100, "random"), (400, "even")]
)
def test_a_good_fit_is_seldom_blamed(n: int, design: str) -> None:
    random = np.random.default_rng([n, len(design)])
    counted: Counter[str] = Counter()
    times = 2000
    blamed = 0
    for _ in range(times):
        x = {"even": np.linspace(4, 14, n), "decades": np.logspace(0, 2, n), "random": random.uniform(0, 9, n)}[design]
        y = 0.5 * x + 3 + random.normal(size=n)
        rows = problem(LINE, {"x": x, "y": y}, np.ones(n))
        line = np.polynomial.polynomial.polyfit(x, y, 1)[::-1]
        said = solution(LINE, rows, line, sigma_is="known")
        codes_here = [one.code for one in examine(said, facts(rows, line))]
        counted.update(codes_here)
        blamed += bool(codes_here)
    # Two in a hundred fits, one in a hundred per test; the rest is the simulation's own chance (4 standard errors).
    assert blamed < times * (0.022 + 4 * math.sqrt(0.022 / times)), counted
    assert max(counted.values(), default=0) < times * (0.01 + 4 * math.sqrt(0.01 / times)), counted


def test_every_finding_has_its_sentence_and_remedy() -> None:
    known = messages.catalogue("en")
    codes_known = (
        "NOT_CONVERGED AT_BOUND UNDETERMINED WEAK NO_FREEDOM NOT_SEARCHED RUNS SPREAD OUTLIERS CHI2 SCALES INFLUENTIAL"
        " ALIAS EXTRAPOLATES CYCLE SLOW"
    )
    assert "finding.START_WAS_KEPT" in known  # BETTER_MINIMUM beside it says what to do
    for code in codes_known.split(" "):
        assert f"finding.{code}" in known
        assert f"finding.{code}.remedy" in known


def test_the_values_of_a_finding_fill_every_sentence_of_it() -> None:
    x, y = ANSCOMBE[3]
    (one,) = found(LINE, {"x": x, "y": y})
    assert messages.sentence(f"finding.{one.code}", **one.values) == one.text
    assert one.remedy == "check row 3; if it is wrong, fit without it"
    assert replace(one, text="").values == one.values

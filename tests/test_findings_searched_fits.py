"""What is said of real searches: the wrong valley, equal parameters, bounds, noise, time that is over."""

from __future__ import annotations

import ast
import warnings
from typing import Any

import numpy as np
import pytest

import katamuki as km
from judged import codes

T = np.linspace(0, 10, 80)
SINE = "y ~ a*sin(b*t + c)"
WAVE = {"t": T, "y": 2 * np.sin(3.7 * T + 0.4) + 0.3 * np.random.default_rng(0).normal(size=80)}
X = np.linspace(0, 4, 60)
DECAY = {"x": X, "y": 3 * np.exp(-1.2 * X) + 0.05 * np.random.default_rng(1).normal(size=60)}


def severities(fit: km.Fit) -> dict[str, str]:
    return dict(zip(codes(fit.findings), (one.severity for one in fit.findings), strict=True))


def test_from_nothing_a_sine_is_found_and_other_valleys_are_a_note() -> None:
    fit = km.fit(SINE, WAVE)
    assert fit.params["b"] == pytest.approx(3.7, abs=0.05)
    assert severities(fit) == {"SEVERAL_MINIMA": "note"}
    assert fit.verdict == "good"
    assert fit.solution.search is not None
    assert f"{len(fit.minima)} distinct minima" in str(fit)


def test_a_start_in_the_wrong_valley_is_kept_and_the_right_one_is_printed() -> None:
    fit = km.fit(SINE, WAVE, start={"a": 1, "b": 1, "c": 0})
    found = severities(fit)
    assert found["BETTER_MINIMUM"] == "warning"
    assert found["START_WAS_KEPT"] == "note"
    assert fit.params["b"] < 2
    better = next(one for one in fit.findings if one.code == "BETTER_MINIMUM")
    assert f"b {fit.minima[0].params['b']:.6g}" in better.text
    there = km.fit(SINE, WAVE, start=ast.literal_eval(better.values["start"]))  # as a reader types it
    assert there.loss == pytest.approx(fit.minima[0].loss, rel=1e-9)
    assert "BETTER_MINIMUM" not in severities(there)


def test_even_without_a_search_the_way_along_an_error_bar_shows_a_lower_loss() -> None:
    fit = km.fit(SINE, WAVE, start={"a": 1, "b": 1, "c": 0}, starts=1)
    found = severities(fit)
    assert found["NOT_SEARCHED"] == "note"
    assert found["BETTER_MINIMUM.below"] == "warning"
    assert fit.verdict == "look"


@pytest.mark.parametrize("seed", range(6))
def test_a_start_that_is_advised_leads_to_the_minimum_that_is_promised(seed: int) -> None:
    y = 2 * np.sin(3.7 * T + 0.4) + 0.3 * np.random.default_rng(seed).normal(size=80)
    for far in (0.0, 1e6):
        for b in (1.0, 2.5, 6.0):
            fit = km.fit(SINE, {"t": far + T, "y": y}, start={"a": 1, "b": b, "c": 0}, starts=1)
            for one in fit.findings:
                if "start" in one.values:
                    again = km.fit(SINE, {"t": far + T, "y": y}, start=ast.literal_eval(one.values["start"]), starts=1)
                    assert again.state == "converged"
                    assert again.loss == pytest.approx(one.values["least"], rel=1e-6)
                    assert again.loss < fit.loss


def test_a_lower_loss_that_leads_to_no_minimum_is_no_start() -> None:
    # This used to advise a start with b → −∞, which ended "the loss still falls".
    x, found = np.linspace(0, 10, 40), []
    for seed in range(20):
        fit = km.fit("y ~ a*exp(-b*x) + c", {"x": x, "y": np.random.default_rng(seed).normal(size=40)})
        found += [one for one in fit.findings if one.code == "BETTER_MINIMUM"]
    assert "BETTER_MINIMUM.falls" in codes(found)
    for one in found:
        assert ("start" in one.values) == (one.values["variant"] == "below")
        if one.values["variant"] == "falls":
            assert "start" not in str(one.remedy)


def test_the_row_that_makes_the_other_findings_comes_first() -> None:
    x = np.linspace(0, 4, 40)
    y = 3 * np.exp(-1.2 * x) + 0.5 + 0.05 * np.random.default_rng(1).normal(size=40)
    y[10] = 1e12
    fit = km.fit("y ~ a*exp(-b*x) + c", {"x": x, "y": y})
    assert fit.findings[0].code == "OUTLIERS"
    assert len(fit.findings) > 2


def test_of_noise_the_data_do_not_decide_which_frequency() -> None:
    fit = km.fit(SINE, {"t": T, "y": np.random.default_rng(5).normal(size=80)})
    assert severities(fit)["SEVERAL_MINIMA.close"] == "warning"
    assert fit.verdict == "look"


@pytest.mark.parametrize("start", [None, {"a": 1.0, "b": 1.0, "c": 1.0}])
def test_parameters_that_cannot_be_told_apart_stay_undetermined(start: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        fit = km.fit("y ~ a*b*exp(-c*x)", DECAY, start=start)
    (one,) = [one for one in fit.findings if one.code == "UNDETERMINED"]
    assert (one.severity, one.values["combination"]) == ("warning", "a*b")
    assert one.values["value"] == pytest.approx(3.0, abs=0.1)
    assert fit.stderr["a"] is None
    assert fit.params["a"] * fit.params["b"] == pytest.approx(one.values["value"])
    assert "CURVED" not in severities(fit)


def test_a_bound_that_the_answer_presses_on_is_named_with_and_without_a_start() -> None:
    for options in ({}, {"start": {"a": 2.0, "b": 1.0, "c": 0.0}}):
        fit = km.fit("y ~ a*exp(-b*x) + c", DECAY, bounds={"b": (None, 1.0)}, **options)  # type: ignore[arg-type]
        assert severities(fit)["AT_BOUND"] == "warning"
        assert fit.params["b"] == 1.0
        assert fit.stderr["b"] is None


def test_a_parameter_that_the_data_do_not_reach_is_as_the_start_said_and_undetermined() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        fit = km.fit("y ~ a*exp(-b*x) + (d*x if x > 9 else 0*x)", DECAY, start={"a": 3.0, "b": 1.0, "d": 7.0})
    assert severities(fit)["UNDETERMINED.alone"] == "warning"
    assert (fit.params["d"], fit.stderr["d"]) == (7.0, None)


def test_a_wave_of_a_function_without_text_is_said_without_english_words() -> None:
    t = np.arange(40.0)
    y = 2 * np.sin(0.9 * t + 0.3) + 0.1 * np.random.default_rng(0).normal(size=40)
    start = {"a": 2.0, "b": 0.9 + 2 * np.pi, "c": 0.3}
    fit = km.fit(lambda t, a, b, c: a * np.sin(b * t + c), {"t": t, "y": y}, start=start, starts=1)
    assert "ALIAS.function" in codes(fit.findings)
    (one,) = [one for one in fit.findings if one.code == "ALIAS"]
    assert "a sine or cosine" in one.text
    assert "sine" not in fit.text(lang="ja")


def test_time_that_is_over_during_the_search_is_said() -> None:
    fit = km.fit(SINE, WAVE, starts=64, max_seconds=1e-9)  # the first round is made, and so is the polish of 80 rows
    assert severities(fit)["NOT_SEARCHED.cut"] == "warning"
    assert fit.verdict == "look"

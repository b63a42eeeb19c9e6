"""The check of models without text: a closure's claims hold, and wrong ones are found."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from torch import nn

import katamuki as km
from torch_models import DATA, START, damped

pytestmark = pytest.mark.filterwarnings("ignore::katamuki.FitWarning")


def nudged(fit: km.Fit, name: str, by: float) -> Any:
    """A claim with one parameter moved."""
    params = {**fit.params, name: fit.params[name] * (1 + by)}
    return dataclasses.replace(fit.solution, params=params)


def judged(fit: km.Fit, claim: Any) -> Any:
    from katamuki.check import judge

    closure = fit._plan.closure(fit.columns, fit.n)
    return judge(claim, fit.columns, fit.weights, closure, network=fit._plan.network)


def test_the_check_of_a_function_finds_a_nudged_answer_and_a_wrong_loss() -> None:
    fit = km.fit(damped, DATA, target="y", start=START)
    assert judged(fit, fit.solution).verdict == "PASS"
    assert judged(fit, nudged(fit, "w", 1e-4)).verdict == "FAIL"
    wrong = dataclasses.replace(fit.solution, loss=fit.loss * 1.001)
    assert judged(fit, wrong).reason == "check.fail.loss"
    bars = {**fit.stderr, "a": fit.stderr["a"] * 1.01}  # type: ignore[operator]
    assert judged(fit, dataclasses.replace(fit.solution, stderr=bars)).reason == "check.fail.stderr"


def test_the_check_of_a_network_finds_a_wrong_loss_and_a_gradient_that_has_not_vanished() -> None:
    fit = km.fit(nn.Linear(1, 1).double(), km.datasets("tutorial"), target="y")
    assert judged(fit, fit.solution).verdict == "CANNOT TELL"
    assert judged(fit, fit.solution).reason == "check.cannot.network"
    moved = nudged(fit, "bias[0]", 1e-3)
    assert judged(fit, moved).verdict == "FAIL"
    assert judged(fit, dataclasses.replace(fit.solution, loss=fit.loss * 1.001)).reason == "check.fail.loss"
    predict = fit._plan.closure(fit.columns, fit.n)
    assert predict is not None
    rss = float(np.sum((np.asarray(fit.columns["y"]) - predict(np.array(list(moved.params.values())))) ** 2))
    honest = dataclasses.replace(moved, rss=rss, loss=rss / fit.n)
    assert judged(fit, honest).reason == "check.fail.gradient"


def test_a_saddle_of_a_function_is_no_minimum() -> None:
    x = np.linspace(-1.0, 1.0, 21)
    data = {"x": x, "y": x * x}
    fit = km.fit(lambda c, p: p["a"] ** 2 * c["x"] ** 2, data, target="y", start={"a": 0.5})
    claim = dataclasses.replace(
        fit.solution, params={"a": 0.0}, rss=float(data["y"] @ data["y"]), loss=float(data["y"] @ data["y"]) / 21
    )
    assert judged(fit, claim).verdict == "FAIL"


def test_many_rows_of_a_function_are_checked_on_a_sample() -> None:
    t = np.linspace(0.0, 6.0, 120_000)
    data = {"t": t, "y": 2.0 * np.exp(-0.4 * t) * np.cos(3.0 * t + 0.3) + 0.05 * np.sin(997.0 * t)}
    fit = km.fit(damped, data, target="y", start=START)
    report = fit.check()
    assert report.verdict == "PASS"
    assert report.facts["sample"] == 100_000

"""One test for each fault that was found, so that it stays away."""

import time
import warnings
from typing import Any

import numpy as np
import pytest

import katamuki as km
from katamuki import messages, report
from katamuki.problem.large import LARGE


def test_a_gaussian_under_noise_as_large_as_itself_ends_at_its_minimum():
    """This used to end at 5.5 digits: beside large residuals undamped steps shrink by a tenth each, and it gave up."""
    rng = np.random.default_rng(72)
    x = np.linspace(-3, 3, 24)
    y = 2 * np.exp(-(((x - 0.3) / 0.9) ** 2)) + 1 + rng.normal(0, 0.8, 24)
    fit = km.fit("y ~ a*exp(-((x-m)/s)^2)+c", {"x": x, "y": y}, start={"a": 2, "m": 0.2, "s": 1, "c": 1})
    assert fit.check().verdict == "PASS"  # six digits: two directions converge slowly here


def test_a_first_order_run_on_undetermined_parameters_does_not_call_itself_converged():
    """This used to be "converged" with error bars of None; the check contradicted it."""
    x = np.linspace(0, 4, 30)
    data = {"x": x, "y": 3 * np.exp(-0.7 * x) + 0.01 * np.sin(9 * x)}
    solver = km.SGD(lr=0.05, steps=200_000)
    with pytest.warns(km.FitWarning, match="a and c"):
        fit = km.fit("y ~ a*c*exp(-b*x)", data, start={"a": 2, "b": 1, "c": 1.5}, solver=solver)
    assert fit.state == "not_identifiable"
    assert fit.check().verdict == "PASS"


def test_a_parameter_cannot_be_overwritten_from_outside():
    """This used to print "a 99.00000 ± 0.117906 … verdict good", and to save it."""
    fit = km.fit("y ~ a*x + b", km.datasets("tutorial"))
    before = str(fit)
    fit.params["a"] = 99.0
    fit.stderr["a"] = 0.0
    assert str(fit) == before
    assert fit.check().verdict == "PASS"


def test_more_parameters_than_rows_are_named() -> None:
    # this used to count them only, and a mistyped column was one of them
    three = {"x": [1.0, 2.0, 3.0], "y": [2.0, 3.0, 4.0]}
    with pytest.raises(km.DataError, match="E-TOOFEW") as caught:
        km.fit("y ~ a*t + b*exp(c*x)", three)
    assert caught.value.text() == "4 parameters (a, t, b and c) need at least 4 rows, the data have 3"
    assert "4 個（a、t、b と c）" in caught.value.text("ja")


def test_the_seconds_of_a_fit_are_those_of_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    # these used to hold imports and compiling: "6000 steps, 183 ms" for a loop of one
    from katamuki.api import entry

    def slowly(*given: Any, **options: Any) -> Any:
        time.sleep(0.6)
        return prepare(*given, **options)

    prepare = entry.prepare
    monkeypatch.setattr(entry, "prepare", slowly)
    for solver in ("linear", "lm", km.SGD(lr=0.001, steps=3), km.LBFGS(steps=1)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", km.FitWarning)
            fit = km.fit("y ~ a*x + b", km.datasets("tutorial"), solver=solver)
        assert 0.0 < fit.solution.seconds < 0.6


def test_a_start_that_nobody_typed_has_six_digits_in_a_report() -> None:
    # a network's weights used to be printed with seventeen
    start = {"a": -0.2526533603668213, "b": 0.0012345}
    text = km.fit("y ~ a*x + b", km.datasets("tutorial"), start=start, solver="lm").text()
    assert "a −0.252653 b 0.0012345" in text


def test_the_help_of_detail_says_what_rules_are() -> None:
    # this used to say that rules came beside the numbers
    assert "without numbers" in messages.sentence("cli.help.detail")
    step = km.fit("y ~ a*x + b", km.datasets("tutorial"), start={"a": 0.5, "b": 0.5}, solver="lm").step(1)
    loss = report.number(step.loss)
    assert loss in step.explain("numbers")
    assert loss not in step.explain("rules")


@pytest.mark.parametrize("formula", ["y ~ a*x", "y ~ a*x + b", "y ~ a*exp(-b*x) + c"])
def test_the_check_of_zeros_finds_a_gradient_of_zero(formula: str) -> None:
    # This used to be 0/0, which no limit allows: "the gradient does not vanish: the loss changes by -0".
    x = np.linspace(0.0, 5.0, 20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        fit = km.fit(formula, {"x": x, "y": np.zeros(20)})
    assert fit.check().verdict != "FAIL"


def test_a_negative_seed_draws_the_sample_of_many_rows() -> None:
    # This used to end in a ValueError of NumPy's.
    x = np.linspace(0.0, 1.0, LARGE)
    fit = km.fit("y ~ a*x + b", {"x": x, "y": 2.0 * x + 1.0}, seed=-1)
    assert fit.params["a"] == pytest.approx(2.0, rel=1e-12)

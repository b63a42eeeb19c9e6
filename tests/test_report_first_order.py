"""The reports of first-order runs: one for every solver, and what each kind of ending says."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import katamuki as km
from katamuki import messages
from katamuki.report import numbers
from katamuki.solvers.first_order import FIRST_ORDER, Rprop
from test_first_order_run import X, Y

DATA = {"x": X, "y": Y}
LEAST = 1.2511536363636362  # by the normal equations, in test_first_order_diagnosis


def fitted(solver: Any) -> km.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        return km.fit("y ~ a*x + b", DATA, solver=solver, start={"a": 0.5, "b": 0.5})


def plain(text: str) -> str:
    return " ".join(text.split())


def finding(fit: km.Fit, code: str) -> Any:
    (one,) = (one for one in fit.findings if one.code == code)
    return one


@pytest.mark.parametrize("kind", FIRST_ORDER)
def test_a_report_names_its_solver_beside_least_squares_in_80_columns(kind: Any) -> None:
    text = str(fitted(kind()))
    assert f" {kind.__name__} " in text
    assert "least squares" in text
    assert max(map(numbers.width, text.split("\n"))) <= 80
    assert "{" not in text


@pytest.mark.parametrize("kind", FIRST_ORDER)
def test_every_rule_that_can_cycle_says_why(kind: Any) -> None:
    why = messages.optional(f"report.cycle.why.{kind.__name__.lower()}")
    assert (why is None) == (kind is Rprop)  # a step that turns back is left out, so no two follow each other


def test_weight_decay_at_rest_is_not_called_too_few_steps() -> None:
    fit = fitted(km.SGD(lr=0.01, weight_decay=0.1, steps=20_000))
    text = plain(str(fit))
    assert "at rest after 20 000 steps, but not at the least-squares answer" in text
    assert "weight_decay 0.1: a pull towards 0." in text
    assert "remedy weight_decay 0, or solver linear" in text
    assert "more steps" not in text.lower()
    assert fit.state == "slow"
    said = finding(fit, "SLOW")
    assert "at rest" in said.text
    assert f"{LEAST:.6g}" in said.text
    assert "more steps" not in said.remedy


def test_both_pulls_of_asgd_are_named() -> None:
    text = plain(str(fitted(km.ASGD(weight_decay=0.1, lambd=0.05, alpha=0.0, steps=20_000))))
    assert "weight_decay 0.1 and lambd 0.05: a pull towards 0." in text
    assert "remedy weight_decay 0 and lambd 0, or solver linear" in text


def test_weight_decay_on_its_way_says_where_it_will_not_end() -> None:
    fit = fitted(km.AdamW())
    text = plain(str(fit))
    assert "not converged when the 6000 steps asked for were over" in text
    assert "More steps would not end at the least-squares answer either" in text
    assert "remedy more steps and weight_decay 0, another lr, or solver linear" in text
    assert "weight decay pulls away from it" in finding(fit, "SLOW").text


def test_a_cycle_with_weight_decay_does_not_offer_its_middle() -> None:
    fit = fitted(km.RMSprop(lr=0.001, weight_decay=0.1))
    text = plain(str(fit))
    assert "The pull towards 0 (weight_decay 0.1) moves the middle away from the least-squares answer." in text
    assert "take the middle" not in text
    assert "pulls away" in finding(fit, "CYCLE").text
    assert "take the middle" not in finding(fit, "CYCLE").remedy
    without = fitted(km.RMSprop(lr=0.001))
    assert "take the middle" in str(without)
    assert "take the middle" in finding(without, "CYCLE").remedy


def test_rprop_says_that_its_smallest_step_is_all_it_has() -> None:
    fit = fitted(km.Rprop())
    text = plain(str(fit))
    assert "no nearer by more steps: each is the smallest, 1e-06" in text
    assert "step_sizes that begin smaller" in text
    assert "Rprop's smallest" in finding(fit, "SLOW").text
    assert fitted(km.Rprop(step_sizes=(1e-14, 50.0))).state == "converged"


def test_steps_that_do_not_settle_say_where_the_run_was_nearer() -> None:
    fit = fitted(km.Adadelta())
    nearest = int(fit.trace.loss.argmin()) + 1
    assert f"the loss was least before step {nearest} (stability 2.00" in plain(str(fit))
    assert "do not settle" in finding(fit, "SLOW").text
    assert "more steps" not in finding(fit, "SLOW").remedy


def test_too_few_steps_are_called_so() -> None:
    fit = fitted(km.Adagrad())
    assert "remedy more steps, another lr, or solver linear" in plain(str(fit))
    assert "why" not in str(fit)

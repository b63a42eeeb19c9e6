"""NIST's 38 certified problems, fitted: every parameter and every standard error to at least 10 digits.

Digits are counted against the figures refined in 60 digits, signs kept. ``python -m pytest -s`` prints the table.
The linear problems get no start; the nonlinear ones the second published start, alone (``starts=1``).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import pytest

import katamuki as km
from katamuki.certified import digits, names, problem

WANTED = 10
# The residual standard deviation of Lanczos1, 8.9e-14, is 200 units in the last place of its largest y, 2.5. Each
# residual, and with them the standard errors, carry 2.3 digits in double, whatever the program. Parameters do better.
STDERR_WANTED = {"Lanczos1": 2.3}


class Row(NamedTuple):
    """One figure of a fit beside the refined one."""

    figure: str
    found: float
    refined: str

    @property
    def digits(self) -> float:
        return digits(self.found, self.refined)


@functools.cache
def fitted(name: str, start: int = 1) -> tuple[Row, ...]:
    """The figures of one fit, from the first (0) or second (1) start: parameters, standard errors, rss."""
    p = problem(name)
    fit = km.fit(p.formula, p.columns, start=None if p.starts is None else p.starts[start], starts=1)
    assert fit.state == ("exact" if p.suite == "linear" else "converged")
    assert (fit.n, fit.dof, set(fit.params)) == (p.n, p.dof, set(p.params))
    rows = [Row(b, fit.params[b], text) for b, text in p.refined.params.items()]
    errors = {b: e for b, e in fit.stderr.items() if e is not None}
    assert list(errors) == list(fit.stderr), "a parameter without an error bar"
    rows += [Row(f"stderr {b}", errors[b], text) for b, text in p.refined.stderr.items()]
    return (*rows, Row("rss", fit.rss, p.refined.rss))


def too_few(name: str, rows: tuple[Row, ...]) -> list[str]:
    """The parameters and standard errors with fewer digits than wanted."""
    wanted = {
        row.figure: STDERR_WANTED.get(name, WANTED) if row.figure.startswith("stderr") else WANTED
        for row in rows
        if row.figure != "rss"
    }
    return [f"{row.figure}: {row.digits:.1f}" for row in rows if row.digits < wanted.get(row.figure, float("-inf"))]


@pytest.mark.parametrize("name", names())
def test_a_certified_problem_is_solved_to_ten_digits(name: str) -> None:
    rows = fitted(name)
    assert too_few(name, rows) == []


def far(name: str) -> bool:
    """Whether the first start, often far, leads to an answer; a fit that fails must say so."""
    try:
        fitted(name, start=0)
    except km.NotConverged:
        return False
    return True


@pytest.mark.parametrize("name", names("nonlinear"))
def test_from_the_far_start_an_answer_is_the_right_one(name: str) -> None:
    assert not far(name) or too_few(name, fitted(name, start=0)) == []


def test_from_the_far_start_most_fits_arrive() -> None:
    assert {name for name in names("nonlinear") if not far(name)} <= {"BoxBOD", "MGH10"}


def test_nine_digits_a_wrong_sign_and_a_wrong_error_bar_are_found_out() -> None:
    p = problem("Misra1a")
    b1, e1 = p.refined.params["b1"], p.refined.stderr["b1"]
    spoiled = (
        Row("b1", float(b1) * (1 + 1e-9), b1),
        Row("b2", -p.params["b2"], p.refined.params["b2"]),
        Row("stderr b1", float(e1) * (1 - 1e-9), e1),
        Row("stderr b2", p.stderr["b2"] * (1 - 1e-11), p.refined.stderr["b2"]),
        Row("rss", float("nan"), p.refined.rss),
    )
    assert too_few("Misra1a", spoiled) == ["b1: 9.0", "b2: -0.3", "stderr b1: 9.0"]


def test_the_excuse_of_lanczos1_is_the_rounding_of_its_data() -> None:
    p = problem("Lanczos1")
    ulp = float(np.spacing(np.max(p.columns["y"])))
    assert list(STDERR_WANTED) == ["Lanczos1"]
    assert STDERR_WANTED["Lanczos1"] == pytest.approx(-np.log10(ulp / float(p.refined.rsd)), abs=0.05)
    for name in p.params:  # even data rounded and then solved without any rounding lose all but these digits
        assert digits(float(p.rounded.stderr[name]), p.refined.stderr[name]) < 4


def test_the_table() -> None:
    """Every figure of every problem has its row, found, certified and digits, and as many digits as are wanted."""
    print(f"\n{'problem':10}{'figure':12}{'found':>24}  {'certified':<24}{'refined':<28}{'digits':>6}")
    for name in names():
        certified = problem(name).certified
        said = {**certified.params, **{f"stderr {b}": t for b, t in certified.stderr.items()}, "rss": certified.rss}
        rows = fitted(name)
        assert [row.figure for row in rows] == list(said)
        assert too_few(name, rows) == []
        for row in rows:
            print(
                f"{name:10}{row.figure:12}{row.found:>24.16g}  {said[row.figure]:<24}{row.refined:<28}{row.digits:6.1f}"
            )

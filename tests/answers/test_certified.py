"""NIST's 38 certified problems, fitted: every parameter and every standard error to at least 10 digits.

Digits are counted against the figures refined in 60 digits, signs kept. ``python -m pytest -s`` prints the table.
The linear problems get no start; the nonlinear ones the second published start, alone (``starts=1``).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import pytest

import katamuki as km
from katamuki.certified import digits, names, problem

WANTED = 10
# Residuals of Lanczos1 are 1e-13, of which 2e-16 is the rounding of the data and of the model to double, so that the
# standard errors are rounding from the fourth digit on, whatever the program.
STDERR_WANTED = {"Lanczos1": 3}


class Row(NamedTuple):
    """One figure of a fit beside the refined one."""

    figure: str
    found: float
    refined: str

    @property
    def digits(self) -> float:
        return digits(self.found, self.refined)


@functools.cache
def fitted(name: str) -> tuple[Row, ...]:
    """The figures of one fit: parameters, standard errors, residual sum of squares."""
    p = problem(name)
    fit = km.fit(p.formula, p.columns, start=None if p.starts is None else p.starts[1], starts=1)
    assert fit.state == ("exact" if p.suite == "linear" else "converged")
    assert (fit.n, fit.dof, tuple(fit.params)) == (p.n, p.dof, tuple(p.params))
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


def test_the_table() -> None:
    """Prints found, certified and digits; fits what the tests above have not."""
    print(f"\n{'problem':10}{'figure':12}{'found':>24}  {'certified':<24}{'refined':<28}{'digits':>6}")
    for name in names():
        certified = problem(name).certified
        said = {**certified.params, **{f"stderr {b}": t for b, t in certified.stderr.items()}, "rss": certified.rss}
        for row in fitted(name):
            print(
                f"{name:10}{row.figure:12}{row.found:>24.16g}  {said[row.figure]:<24}{row.refined:<28}{row.digits:6.1f}"
            )

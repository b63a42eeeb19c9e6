"""Beside large residuals undamped steps shrink slowly, or grow: the last digits come all the same."""

import warnings

import numpy as np
import pytest

import katamuki as km
from exact_answers import digits_right, exact_answer
from katamuki.solvers.triangle import combine

U = np.linspace(0, 10, 40)


def waves(seed, count, size):
    """Frequencies under noise as large as the waves: as many slow directions as frequencies."""
    rng = np.random.default_rng(seed)
    names, truth = ["u", "v", "w", "z"][:count], (0.7, 1.3, 2.2, 3.1)[:count]
    y = sum(np.sin(one * U) for one in truth) + size * rng.standard_normal(40)
    return (
        "y ~ " + " + ".join(f"sin({name}*x)" for name in names),
        {"x": U, "y": y},
        dict(zip(names, truth, strict=True)),
    )


PROBLEMS = [
    # A step of Gauss and Newton overshoots 37 times here; this used to end with 6.8 digits.
    ("y ~ exp(a*x) + b", {"x": U, "y": 10 * np.sin(3 * U) - U}, {"a": 0.1, "b": 1.0}),
    *(waves(seed, count, size) for seed in range(3) for count in (1, 2, 3, 4) for size in (1.0, 4.0)),
]


@pytest.mark.parametrize(("formula", "data", "start"), PROBLEMS)
def test_the_last_digits_are_reached(formula, data, start):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        fit = km.fit(formula, data, start=start, starts=1)
    assert fit.state == "converged"
    exact = exact_answer(formula, data, fit.params)
    for name, value in fit.params.items():
        assert digits_right(value, exact[name]) > 13
    polish = fit.trace.extra["damping"][:-1] == 0.0
    assert polish.sum() <= 12  # they used to be up to 31


def test_a_damped_run_alone_has_not_those_digits():
    """The same count of digits, fed the point where the polish begins: it is the polish that brings them."""
    formula, data, start = PROBLEMS[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        fit = km.fit(formula, data, start=start, starts=1)
    exact = exact_answer(formula, data, fit.params)
    first = int(np.argmax(fit.trace.extra["damping"] == 0.0))
    before = dict(zip(fit.trace.names, fit.trace.params[first], strict=True))
    assert min(digits_right(value, exact[name]) for name, value in before.items()) < 9


@pytest.mark.parametrize("count", [1, 2, 3])
def test_shares_of_earlier_moves_are_those_of_least_squares(count):
    rng = np.random.default_rng(count)
    p = 5
    scale, step = rng.uniform(0.1, 9, p), rng.standard_normal(p)
    changes = rng.standard_normal((count, p))
    matrix = np.full(2 * p * (p + 1), 7.0)
    combine(matrix, p, count, scale, changes.ravel(), step)
    theirs = np.linalg.lstsq((changes * scale).T, scale * step, rcond=None)[0]
    assert matrix[count * 2 * p :][:count] == pytest.approx(theirs, rel=1e-12)


def test_a_move_in_the_span_of_newer_ones_takes_no_share():
    scale, step = np.ones(3), np.array([1.0, 2.0, 3.0])
    changes = np.array([[1.0, 0.0, 1.0], [2.0, 0.0, 2.0 + 1e-9]])
    matrix = np.zeros(2 * 3 * 4)
    combine(matrix, 3, 2, scale, changes.ravel(), step)
    assert matrix[12:14] == pytest.approx([2.0, 0.0], rel=1e-8)


def test_the_story_of_a_combined_step_says_that_it_is_not_the_systems_alone():
    formula, data, start = waves(0, 3, 4.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        fit = km.fit(formula, data, start=start, starts=1)
    polish = np.flatnonzero(fit.trace.extra["damping"][:-1] == 0.0)
    stories = [fit.step(int(k) + 1).explain() for k in polish]
    assert any("how they changed along the last moves" in " ".join(one.split()) for one in stories)
    assert not any("how they changed" in fit.step(k).explain() for k in range(1, int(polish[0]) + 1))

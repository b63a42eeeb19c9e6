"""Tail probabilities, against SciPy."""

from __future__ import annotations

import math

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from katamuki import tails

# 10 digits, and 7 where gamma functions of large arguments cancel: see the module.
freedom = st.floats(1, 1e4) | st.integers(1, 40)


@given(t=st.floats(0, 30), dof=freedom)
def test_student_agrees_with_scipy(t: float, dof: float) -> None:
    assert tails.student(t, dof) == pytest.approx(2 * scipy.stats.t.sf(t, dof), rel=1e-10, abs=1e-280)


@given(f=st.floats(1e-3, 50), above=st.integers(1, 12), below=freedom)
def test_fisher_agrees_with_scipy(f: float, above: int, below: float) -> None:
    assert tails.fisher(f, above, below) == pytest.approx(scipy.stats.f.sf(f, above, below), rel=1e-9, abs=1e-12)


@given(z=st.floats(-6, 8), dof=st.floats(1, 9e5))
def test_chi_squared_agrees_with_scipy(z: float, dof: float) -> None:
    x = max(0.01, dof + z * math.sqrt(2 * dof))
    lower, upper = tails.chi_squared(x, dof)
    assert lower == pytest.approx(scipy.stats.chi2.cdf(x, dof), rel=1e-8, abs=1e-13)
    assert upper == pytest.approx(scipy.stats.chi2.sf(x, dof), rel=1e-8, abs=1e-13)


@pytest.mark.parametrize("z", [-4.0, -1.0, 0.0, 2.5, 4.0])
def test_above_a_million_degrees_of_freedom_the_cube_root_has_six_digits(z: float) -> None:
    x = 1e7 + z * math.sqrt(2e7)
    lower, upper = tails.chi_squared(x, 1e7)
    assert lower == pytest.approx(scipy.stats.chi2.cdf(x, 1e7), rel=1e-6)
    assert upper == pytest.approx(scipy.stats.chi2.sf(x, 1e7), rel=1e-6)


@pytest.mark.parametrize("dof", [1e5, 1e7])
def test_student_keeps_seven_digits_at_many_degrees_of_freedom(dof: float) -> None:
    for t in (0.1, 1.0, 3.0, 8.0):
        assert tails.student(t, dof) == pytest.approx(2 * scipy.stats.t.sf(t, dof), rel=1e-7)


def test_the_ends_of_the_range_are_exact() -> None:
    assert tails.beta(0.0, 1.0, 2.0, 3.0) == 0.0
    assert tails.beta(1.0, 0.0, 2.0, 3.0) == 1.0
    assert tails.gamma(2.0, 0.0) == (0.0, 1.0)
    assert tails.student(0.0, 5.0) == 1.0


def test_a_wrong_degree_of_freedom_is_seen() -> None:
    assert tails.student(2.0, 9.0) != pytest.approx(2 * scipy.stats.t.sf(2.0, 10.0), rel=1e-2)

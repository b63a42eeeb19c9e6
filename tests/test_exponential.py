"""Our exp against mpmath: compiled in vectors and one by one, over the whole range, and where it must be exact."""

import math

import mpmath
import numpy as np
import pytest

from katamuki.backends.kernel import SCOPE, compile_source
from katamuki.backends.native import ROWS, machine

SOURCE = """
def rows(columns, params, start, m, values, partials, want):
    c0 = at(columns[0], start)
    for i in range(m):
        put(values, i, exp(get(c0, i)))
    return 0
"""


def compiled(x):
    rows = compile_source(SOURCE, "rows", ROWS, SCOPE)
    columns, out = np.array([x.ctypes.data]), np.empty(len(x))
    rows(columns.ctypes.data, 0, 0, len(x), out.ctypes.data, 0, 0)
    return out


def ulps(found, x):
    """How many units in the last place of the true value it is off."""
    with mpmath.workdps(40):
        exact = mpmath.exp(mpmath.mpf(float(x)))
        return abs(float((mpmath.mpf(float(found)) - exact) / math.ulp(float(exact))))


@pytest.mark.parametrize("spread", [1e-9, 0.4, 5.0, 700.0])
def test_it_is_within_one_unit_in_the_last_place(spread):
    x = np.random.default_rng(1).uniform(-spread, spread, 2000)
    assert max(ulps(a, b) for a, b in zip(compiled(x), x, strict=True)) <= 1.0


def test_results_below_the_normal_numbers_are_within_one_unit_too():
    x = np.random.default_rng(2).uniform(-745.0, -708.0, 500)
    assert max(ulps(a, b) for a, b in zip(compiled(x), x, strict=True)) <= 1.0


def test_one_value_alone_is_the_same_as_in_a_vector():
    x = np.random.default_rng(3).uniform(-30, 30, 64)
    together = compiled(x)
    assert [compiled(x[k : k + 1].copy())[0] for k in range(64)] == together.tolist()


def test_the_ends_of_the_range_and_what_is_no_number():
    x = np.array([0.0, -0.0, np.inf, -np.inf, 709.782712893384, 709.7827128933841, 1e300, -1e300, -745.14, np.nan])
    found = compiled(x)
    assert np.isnan(found[-1])
    assert found[:-1].tolist() == [1, 1, math.inf, 0, math.exp(709.782712893384), math.inf, math.inf, 0, 0]


def test_the_measure_sees_an_error_of_two_units():
    assert ulps(math.exp(1.0) + 2 * math.ulp(math.e), 1.0) > 1.5


def test_this_machine_takes_the_road_that_is_tested():
    assert machine().fuses  # every x86-64 processor since 2013; elsewhere the tests above test libm

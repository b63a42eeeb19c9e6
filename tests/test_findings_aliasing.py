"""Phases that advance too fast, against what the formula says by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from judged import model
from katamuki.findings.aliasing import phase_steps

EVEN = np.arange(50.0) * 0.2


def steps(text: str, x: np.ndarray, **params: float) -> list[float]:
    data = {"x": x, "z": x}
    return [advance for _, advance in phase_steps(model(text, ("x", "z", "y")).rhs, data, params)]


@pytest.mark.parametrize("cycles", [0.6, 1.0, 3.7])
@pytest.mark.parametrize("order", [1, -1])
def test_cycles_per_row_are_frequency_times_spacing(cycles: float, order: int) -> None:
    b = 2 * math.pi * cycles / 0.2
    assert steps("y ~ a*sin(b*x + c)", EVEN[::order].copy(), a=1.0, b=b, c=0.2) == pytest.approx([cycles])


@pytest.mark.parametrize("cycles", [0.01, 0.3, 0.5])
def test_up_to_half_a_cycle_per_row_nothing_is_wrong(cycles: float) -> None:
    assert steps("y ~ a*sin(b*x + c)", EVEN, a=1.0, b=2 * math.pi * cycles / 0.2, c=0.2) == []


def test_a_tangent_repeats_twice_as_often() -> None:
    assert steps("y ~ a*tan(b*x)", EVEN, a=1.0, b=math.pi * 0.7 / 0.2) == pytest.approx([0.7])


def test_rows_in_no_order_count_as_sorted() -> None:
    shuffled = np.random.default_rng(1).permutation(EVEN)
    assert steps("y ~ a*cos(b*x)", shuffled, a=1.0, b=2 * math.pi * 1.2 / 0.2) == pytest.approx([1.2])
    assert steps("y ~ a*cos(b*x)", shuffled, a=1.0, b=2 * math.pi * 0.2 / 0.2) == []


def test_repeated_x_count_once() -> None:
    assert steps("y ~ a*cos(b*x)", np.repeat(EVEN, 3), a=1.0, b=2 * math.pi * 1.2 / 0.2) == pytest.approx([1.2])


def test_unevenly_spaced_rows_have_no_such_limit() -> None:
    uneven = np.sort(np.random.default_rng(1).uniform(0, 10, 50))
    assert steps("y ~ a*cos(b*x)", uneven, a=1.0, b=1e3) == []
    almost = EVEN.copy()
    almost[3] += 0.01
    assert steps("y ~ a*cos(b*x)", almost, a=1.0, b=1e3) == []


def test_each_wave_is_looked_at_by_itself() -> None:
    fast, slow = 2 * math.pi * 0.8 / 0.2, 1.0
    assert steps("y ~ a*cos(b*x) + c*sin(d*x)", EVEN, a=1.0, b=slow, c=1.0, d=fast) == pytest.approx([0.8])


def test_a_phase_of_two_columns_and_a_constant_phase_are_left_alone() -> None:
    assert steps("y ~ a*cos(b*x + c*z)", EVEN, a=1.0, b=1e3, c=1e3) == []
    assert steps("y ~ x*cos(b)", EVEN, b=1e3) == []


def test_the_place_of_the_phase_in_the_formula_is_given() -> None:
    text = "y ~ a*sin(b*x + c)"
    ((span, _),) = phase_steps(model(text, ("x", "y")).rhs, {"x": EVEN}, {"a": 1.0, "b": 100.0, "c": 0.0})
    assert span is not None
    assert text[slice(*span)] == "b*x + c"


def test_a_column_beside_the_wave_does_not_matter() -> None:
    # This used to be a KeyError in fit: the phase was computed with the whole formula, and without z.
    assert steps("y ~ a*cos(b*x) + c*z", EVEN, a=1.0, b=2 * math.pi * 0.7 / 0.2, c=1.0) == pytest.approx([0.7])

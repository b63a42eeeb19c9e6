"""What the check of a sample says of perfect data, of zeros, and of rows that are wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import katamuki as km
from katamuki.api.many_checking import agreement, drawn

X = np.linspace(0.0, 4.0, 20)
TRUE = np.random.default_rng(0).uniform(0.5, 2.0, (60, 2, 1))
PERFECT: dict[str, Any] = {
    "y ~ a*x+b": TRUE[:, 0] * X + TRUE[:, 1],
    "y ~ a*exp(-b*x)": TRUE[:, 0] * np.exp(-TRUE[:, 1] * X),
    "y ~ a*exp(-b*x)+c": TRUE[:, 0] * np.exp(-TRUE[:, 1] * X) + 1.0,
}


@pytest.mark.parametrize("formula", sorted(PERFECT))
def test_data_without_noise_are_contradicted_nowhere(formula: str) -> None:
    """This used to be failed, for three lines of four: one loss of rounding was lower than another."""
    many = km.fit_many(formula, {"x": X, "y": PERFECT[formula]}, check=30)
    assert many.checked.of("FAIL") == ()
    assert many.counts["good"] == len(TRUE)
    assert many.verdict == "good"


@pytest.mark.parametrize("formula", ["y ~ a*x+b", "y ~ a*exp(-b*x)"])
def test_a_wrong_row_of_data_without_noise_is_contradicted(formula: str) -> None:
    many = km.fit_many(formula, {"x": X, "y": PERFECT[formula]}, check=0)
    row = many._row(3)
    off = row["a"] * 1e-9
    wrong = {**row, "a": row["a"] + off, "_loss": float(np.mean((off * X) ** 2)) or 1e-18}
    assert agreement((3,), row, many._single.again((3,), 3)).verdict == "PASS"
    assert agreement((3,), wrong, many._single.again((3,), 3)).verdict == "FAIL"


@pytest.mark.parametrize("formula", sorted(PERFECT))
def test_a_dead_pixel_is_no_contradiction(formula: str) -> None:
    """This used to make the whole table failed: "the loss changes by −0 per unit of a"."""
    y = PERFECT[formula] + np.random.default_rng(1).normal(scale=0.01, size=(60, 20))
    y[[3, 7, 9]] = 0.0
    many = km.fit_many(formula, {"x": X, "y": y}, check=60)
    assert many.checked.of("FAIL") == ()
    assert many.verdict != "failed"


def test_every_curve_that_has_an_answer_is_drawn_as_often_as_another() -> None:
    """χ² of 100 places lies below 160 with a chance of 0.9999; the first of each three has no answer."""
    states = pa.chunked_array([pa.array(["", "converged", "exact"] * 50)])
    counts = np.zeros(150)
    for seed in range(1000):
        places = drawn(states, 6, seed)
        assert places == sorted(set(places)) == drawn(states, 6, seed)
        assert len(places) == 6
        counts[places] += 1
    assert not counts[::3].any()
    expected = counts.sum() / 100
    assert 50 < float(((counts[np.arange(150) % 3 > 0] - expected) ** 2 / expected).sum()) < 160


def test_where_few_have_an_answer_all_are_drawn() -> None:
    states = pa.chunked_array([pa.array([""] * 700 + ["exact"] * 3 + ["diverged"] * 700)])
    assert drawn(states, 6, 0) == [700, 701, 702]
    assert len(drawn(states, 2, 0)) == 2
    assert drawn(states, 0, 0) == []
    assert drawn(states.slice(0, 5), 6, 0) == []

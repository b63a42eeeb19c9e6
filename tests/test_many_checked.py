"""What the check of a sample says of perfect data, of zeros, and of rows that are wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import katamuki as km
from katamuki.api.many_checking import agreement

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

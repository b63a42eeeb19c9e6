"""Frequencies and periods that nobody gave: even and uneven rows, several waves, one arrangement of equal answers.

The strangers are SciPy from the truth, and its Lomb-Scargle periodogram.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import lombscargle

import katamuki as km
from searched import Array, fitted, scipys, search_of

TURN = 2.0 * math.pi


def wave(x: Array, a: float, f: float, p: float) -> Array:
    return a * np.sin(f * x + p)


def noisy(x: Array, y: Array, seed: int = 0, noise: float = 0.1) -> dict[str, Array]:
    return {"x": x, "y": y + noise * np.random.default_rng(seed).normal(size=len(x))}


def lowest(cycles: float) -> float:
    """Of the frequencies that rows one apart cannot tell from this one, the lowest."""
    return abs(cycles - round(cycles))


EVEN = np.arange(60.0)
UNEVEN = np.sort(np.random.default_rng(5).uniform(0.0, 10.0, 50))


@pytest.mark.parametrize("cycles", [0.013, 0.11, 0.3, 0.47, 0.7, 0.93, 1.3, 5.21])
@pytest.mark.parametrize(
    ("model", "frequency"),
    [
        ("y ~ a*sin(f*x + p)", lambda fit: fit.params["f"] / TURN),
        ("y ~ a*cos(f*x + p)", lambda fit: fit.params["f"] / TURN),
        ("y ~ a*sin(2*pi*f*x + p)", lambda fit: fit.params["f"]),
        ("y ~ a*sin(2*pi*x/t + p)", lambda fit: 1.0 / fit.params["t"]),
        ("y ~ a*sin(f*x) + b*cos(f*x)", lambda fit: fit.params["f"] / TURN),
        ("y ~ a*sin(f*(x - s))", lambda fit: fit.params["f"] / TURN),
        ("y ~ a*sin(2*pi*(x - s)/t)", lambda fit: 1.0 / fit.params["t"]),
    ],
)
def test_of_even_rows_the_lowest_frequency_that_they_allow_is_found(model: str, frequency, cycles: float) -> None:  # type: ignore[no-untyped-def]
    data = noisy(EVEN, wave(EVEN, 2.0, TURN * cycles, 0.4))
    fit = fitted(model, data)
    loss, _ = scipys(wave, data, [2.0, TURN * cycles, 0.4])
    assert fit.loss == pytest.approx(loss, rel=1e-8)
    assert frequency(fit) == pytest.approx(lowest(cycles), abs=2e-3)


def test_another_alias_would_be_seen() -> None:
    """The data do not tell them apart, so only the number itself can be wrong."""
    data = noisy(EVEN, wave(EVEN, 2.0, TURN * 0.3, 0.4))
    low, _ = scipys(wave, data, [2.0, TURN * 0.3, 0.4])
    high, at = scipys(wave, data, [2.0, TURN * 1.3, 0.4])
    assert high == pytest.approx(low, rel=1e-9)
    assert at[1] / TURN != pytest.approx(lowest(1.3), abs=2e-3)
    assert [lowest(one) for one in (0.3, 0.7, 1.3, 5.0)] == pytest.approx([0.3, 0.3, 0.3, 0.0])


@pytest.mark.parametrize("hertz", [0.15, 0.9, 2.4, 3.3, 4.6])
@pytest.mark.parametrize("model", ["y ~ a*sin(f*x + p) + c", "y ~ a*sin(2*pi*x/t + p) + c"])
def test_uneven_rows_show_frequencies_beyond_half_their_number(hertz: float, model: str) -> None:
    """50 rows in 10 units: 2.5 cycles per unit is where even ones would end."""
    data = noisy(UNEVEN, wave(UNEVEN, 2.0, TURN * hertz, 0.4) + 5.0)
    fit = fitted(model, data)
    found = fit.params["f"] / TURN if "f" in fit.params else 1.0 / fit.params["t"]
    assert found == pytest.approx(hertz, abs=5e-3)
    grid = TURN * np.linspace(0.05, 5.0, 4000)
    power = lombscargle(UNEVEN, data["y"] - data["y"].mean(), grid)
    assert found == pytest.approx(grid[int(power.argmax())] / TURN, abs=0.02)
    assert fit.params["a"] == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize("cycles", [1, 3, 7, 12, 20])
@pytest.mark.parametrize("seed", range(2))
def test_waves_of_one_to_twenty_cycles_are_found_in_noise(cycles: int, seed: int) -> None:
    x = np.linspace(0.0, 1e-3, 100)  # seconds, say
    f = TURN * (cycles + 0.3) / 1e-3
    data = noisy(x, wave(x, 2e-6, f, -1.0), seed, 1e-6)
    fit = fitted("y ~ a*sin(f*x + p)", data, seed=seed)
    loss, at = scipys(wave, data, [2e-6, f, -1.0])
    assert fit.loss == pytest.approx(loss, rel=1e-8)
    assert list(fit.params.values()) == pytest.approx(at.tolist(), rel=1e-4)


def test_two_waves_are_told_apart_and_stand_in_order() -> None:
    x = np.linspace(0.0, 10.0, 200)

    def both(x: Array, a: float, f: float, p: float, b: float, g: float, q: float) -> Array:
        return wave(x, a, f, p) + wave(x, b, g, q)

    for f, g in ((3.3, 7.1), (3.3, 3.9), (0.9, 30.0)):
        truth = [2.0, f, 0.4, 1.0, g, 1.1]
        data = noisy(x, both(x, *truth))
        fit = fitted("y ~ a*sin(f*x + p) + b*sin(g*x + q)", data)
        loss, at = scipys(both, data, truth)
        assert fit.loss == pytest.approx(loss, rel=1e-8)
        assert list(fit.params.values()) == pytest.approx(at.tolist(), rel=1e-4)


def test_a_damped_wave_is_found() -> None:
    x = np.linspace(0.0, 10.0, 200)

    def damped(x: Array, a: float, b: float, f: float, p: float) -> Array:
        return a * np.exp(-b * x) * np.sin(f * x + p)

    for truth in ([2.0, 0.3, 7.3, 0.4], [5.0, 2.0, 11.0, -1.0], [1.0, 0.05, 1.0, 2.0]):
        data = noisy(x, damped(x, *truth), noise=0.05)
        fit = fitted("y ~ a*exp(-b*x)*sin(f*x + p)", data)
        loss, at = scipys(damped, data, truth)
        assert fit.loss == pytest.approx(loss, rel=1e-8)
        assert list(fit.params.values()) == pytest.approx(at.tolist(), rel=1e-4)


def test_a_wave_in_a_second_column_and_beside_a_trend_is_found() -> None:
    rng = np.random.default_rng(2)
    x, z = rng.uniform(0.0, 3.0, 120), rng.uniform(0.0, 20.0, 120)
    y = 2.0 * np.sin(2.7 * z + 0.3) + 0.5 * x - 3.0 + 0.1 * rng.normal(size=120)
    fit = fitted("y ~ a*sin(f*z + p) + b*x + c", {"x": x, "z": z, "y": y})
    assert fit.params["f"] == pytest.approx(2.7, abs=0.01)
    assert fit.params["b"] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("cycles", [100, 450])
def test_many_cycles_in_more_rows_than_are_searched_are_found(cycles: int) -> None:
    x = np.arange(4000) * 0.01
    data = noisy(x, wave(x, 2.0, TURN * cycles / 40.0, 0.4))
    fit = fitted("y ~ a*sin(f*x + p)", data)
    assert search_of(fit).rows == 500
    assert fit.params["f"] == pytest.approx(TURN * cycles / 40.0, rel=1e-4)


# --- one arrangement ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_answers_from_nothing_come_in_one_arrangement_whatever_the_seed(seed: int) -> None:
    x = np.linspace(0.0, 10.0, 120)
    decays = noisy(x, 2.0 * np.exp(-2.2 * x) + 3.0 * np.exp(-0.3 * x), noise=0.02)
    fit = fitted("y ~ a*exp(-b*x) + c*exp(-d*x)", decays, seed=seed)
    assert fit.params["b"] < fit.params["d"]  # equal terms ascend
    peaks = noisy(x, 3.0 * np.exp(-(((x - 7.0) / 0.7) ** 2)) + 2.0 * np.exp(-(((x - 2.0) / 0.5) ** 2)))
    fit = fitted("y ~ a*exp(-((x - m)/w)^2) + b*exp(-((x - n)/v)^2)", peaks, seed=seed)
    assert fit.params["m"] < fit.params["n"]
    assert min(fit.params["w"], fit.params["v"]) > 0.0
    turned = noisy(x, wave(x, -2.0, -3.3, 40.0))
    fit = fitted("y ~ a*sin(f*x + p)", turned, seed=seed)
    assert fit.params["f"] > 0.0
    assert fit.params["a"] > 0.0
    assert -math.pi < fit.params["p"] <= math.pi
    for one in fit.minima:
        assert one.params["f"] > 0.0
        assert -math.pi < one.params["p"] <= math.pi


def test_a_given_start_keeps_its_own_arrangement() -> None:
    x = np.linspace(0.0, 10.0, 120)
    data = noisy(x, 2.0 * np.exp(-2.2 * x) + 3.0 * np.exp(-0.3 * x), noise=0.02)
    fit = fitted("y ~ a*exp(-b*x) + c*exp(-d*x)", data, start={"a": 2, "b": 2, "c": 3, "d": 0.4})
    assert fit.params["b"] > fit.params["d"]
    assert "BETTER_MINIMUM" not in {one.code for one in fit.findings}
    assert len(fit.minima) == 1  # terms exchanged are no other minimum


def test_bounds_that_forbid_the_arrangement_are_kept() -> None:
    x = np.linspace(0.0, 10.0, 120)
    data = noisy(x, wave(x, 2.0, 3.3, 0.4))
    fit: km.Fit = fitted("y ~ a*sin(f*x + p)", data, bounds={"a": (None, 0), "p": (6, 13)})
    assert fit.params["a"] < 0.0
    assert 6.0 <= fit.params["p"] <= 13.0
    assert fit.loss == pytest.approx(fitted("y ~ a*sin(f*x + p)", data).loss, rel=1e-9)

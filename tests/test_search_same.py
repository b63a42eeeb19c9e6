"""A search and its surroundings: seeds, threads, more rows than it looks at, weights, NumPy functions, PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import katamuki as km
from searched import (
    BOTH,
    DECAY,
    KINDS,
    PEAK,
    SINE,
    TWO,
    WAVE,
    WAVES,
    Array,
    Function,
    decay,
    fitted,
    noisy,
    peak,
    scipys,
    search_of,
    sine,
    two,
)

# --- seeds, threads, rows -------------------------------------------------------------------------------------------


def bits(fit: km.Fit) -> bytes:
    values = [*fit.params.values(), fit.loss, *(one or 0.0 for one in fit.stderr.values())]
    values += [value for one in fit.minima for value in (*one.params.values(), one.loss, float(one.reached))]
    return np.array(values).tobytes()


@pytest.mark.parametrize(("model", "data", "value", "low", "high"), KINDS)
def test_the_same_seed_gives_the_same_bits_and_another_the_same_answer(
    model: str, data: dict[str, Array], value: Function, low: list[float], high: list[float]
) -> None:
    first, again = fitted(model, data, seed=3), fitted(model, data, seed=3)
    assert bits(first) == bits(again)
    others = [fitted(model, data, seed=seed) for seed in (0, 4, -7, 123456789)]
    for other in others:
        assert list(other.params.values()) == pytest.approx(list(first.params.values()), rel=1e-8)
    assert any(bits(other) != bits(first) or other.solution.start != first.solution.start for other in others)


def test_threads_change_no_bit() -> None:
    data = noisy(sine, n=70_000)
    one, more = fitted(WAVES, data, threads=1), fitted(WAVES, data, threads=2)
    assert bits(one) == bits(more)
    assert one.solution.start == more.solution.start


@pytest.mark.parametrize(("model", "value", "begin"), [(DECAY, decay, [3, 0.7, 1]), (WAVES, sine, [1.5, 4.4, 0.9])])
def test_of_many_rows_500_are_searched_and_all_decide(model: str, value: Function, begin: list[float]) -> None:
    data = noisy(value, n=3001)
    fit = fitted(model, data)
    assert (search_of(fit).rows, fit.n) == (500, 3001)
    loss, at = scipys(value, data, begin)
    assert fit.loss == pytest.approx(loss, rel=1e-10)
    assert list(fit.params.values()) == pytest.approx(at.tolist(), rel=1e-6)
    for one in fit.minima:  # losses are those of all rows
        assert one.loss == pytest.approx(float(np.mean((data["y"] - value(data["x"], **one.params)) ** 2)), rel=1e-9)


def test_rows_that_few_see_decide_between_minima() -> None:
    """Two valleys alike on most rows: whichever rows are seen, the answer is the better one of all."""
    for seed in range(2):
        data = noisy(lambda x: peak(x, 3.0, 7.5, 0.6, 0.0) + peak(x, 2.93, 2.5, 0.6, 0.5), n=4000, seed=seed, noise=0.6)
        fit = fitted(PEAK, data, seed=seed)
        either = [scipys(peak, data, [3.0, m, 0.6, 0.5])[0] for m in (2.5, 7.5)]
        assert fit.loss == pytest.approx(min(either), rel=1e-9)
        assert max(either) > 1.0001 * min(either)  # the other one would be seen


# --- weights, functions, PyTorch ------------------------------------------------------------------------------------


def test_weights_and_sigma_are_those_of_scipy() -> None:
    data = BOTH
    sigma = np.where(data["x"] < 5.0, 0.05, 3.0)  # so that the lower peak counts
    loss, at = scipys(peak, data, [2.0, 2.5, 0.5, 0.5], weights=1.0 / sigma**2)
    for options in ({"weights": 1.0 / sigma**2}, {"sigma": sigma, "sigma_is": "known"}):
        fit = fitted(PEAK, data, **options)
        assert fit.loss == pytest.approx(loss, rel=1e-9)
        assert list(fit.params.values()) == pytest.approx(at.tolist(), rel=1e-5)
        assert fit.minima[0].loss == fit.loss
    assert fitted(PEAK, data).params["m"] == pytest.approx(7.5, abs=0.1)  # unweighted it is the other one


def test_a_numpy_function_is_searched_like_a_formula() -> None:
    data = noisy(two)
    fit = fitted(lambda x, a, b, c, d: a * np.exp(-b * x) + c * np.exp(-d * x), data)
    formula = fitted(TWO, data)
    assert bits(fit) == bits(formula)
    assert search_of(fit) == search_of(formula)


def test_a_formula_computed_by_pytorch_is_searched_and_agrees() -> None:
    kernel, torch = fitted(SINE, WAVE), fitted(SINE, WAVE, backend="torch")
    assert torch.solution.backend == "torch"
    assert search_of(torch).starts == search_of(kernel).starts
    assert list(torch.params.values()) == pytest.approx(list(kernel.params.values()), rel=1e-10)
    assert [one.reached for one in torch.minima] == [one.reached for one in kernel.minima]

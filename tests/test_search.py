"""A fit without starting values, seen from outside: what the search says of itself, against SciPy from many starts."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import katamuki as km
from katamuki.records import Minimum
from katamuki.search.hunt import Basin, Hunt
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
    best_of,
    decay,
    fitted,
    noisy,
    peak,
    problem,
    scipys,
    search_of,
    sine,
    two,
)

# --- what a search says of itself -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "data", "value", "low", "high"), KINDS)
def test_from_nothing_the_best_is_found_and_what_is_counted_adds_up(
    model: str, data: dict[str, Array], value: Function, low: list[float], high: list[float]
) -> None:
    fit = fitted(model, data)
    search = search_of(fit)
    assert fit.loss == pytest.approx(best_of(value, data, low, high), rel=1e-9)
    assert search.ending == "sure"
    assert search.starts >= 8
    assert 0 < search.finite <= search.starts
    assert search.rows == len(data["y"])
    assert search.given is None
    assert all(one.reached >= 1 and one.converged for one in search.minima)
    assert sum(one.reached for one in search.minima) <= search.finite
    assert search.minima[0].reached >= 2 or model == WAVES  # its grid of frequencies leaves none out
    assert search.minima[0].params == fit.params
    assert search.minima[0].loss == fit.loss
    assert fit.minima == search.minima


def stays(one: Minimum, value: Function, data: dict[str, Array]) -> bool:
    """Whether SciPy, started at a minimum, ends there."""
    begin = list(one.params.values())
    loss, at = scipys(value, data, begin)
    return bool(np.allclose(at, begin, rtol=1e-3, atol=1e-3)) and math.isclose(loss, one.loss, rel_tol=1e-6)


@pytest.mark.parametrize(
    ("model", "data", "value"),
    [(PEAK, BOTH, peak), (WAVES, noisy(sine), sine), (SINE, WAVE, sine), (DECAY, noisy(decay), decay)],
)
def test_the_minima_are_distinct_ascend_and_are_minima_for_scipy(
    model: str, data: dict[str, Array], value: Function
) -> None:
    minima = fitted(model, data, starts=40).minima
    assert [stays(one, value, data) for one in minima] == [True] * len(minima)
    losses = [one.loss for one in minima]
    assert losses == sorted(losses)
    assert all(later > earlier * (1.0 + 1e-7) for earlier, later in pairwise(losses))
    assert len(minima) > 1 or model == DECAY


def test_scipy_leaves_a_place_that_is_no_minimum() -> None:
    true = fitted(PEAK, BOTH).minima[0]
    moved = Minimum(true.params | {"m": true.params["m"] + 0.2}, true.loss, 1)
    assert stays(true, peak, BOTH)
    assert not stays(moved, peak, BOTH)
    assert not stays(Minimum(true.params, true.loss * 1.01, 1), peak, BOTH)


def test_both_peaks_are_minima_and_the_higher_is_the_answer() -> None:
    minima = fitted(PEAK, BOTH).minima
    assert minima[0].params["m"] == pytest.approx(7.5, abs=0.1)
    assert any(one.params["m"] == pytest.approx(2.5, abs=0.1) for one in minima[1:])


@pytest.mark.parametrize("starts", [2, 5, 8, 9, 40, 100])
def test_as_many_starts_as_were_asked_for_are_made(starts: int) -> None:
    fit = fitted(WAVES, noisy(sine), starts=starts)
    assert (search_of(fit).starts, search_of(fit).ending) == (starts, "asked")


def test_one_start_is_no_search_and_begins_at_one() -> None:
    fit = fitted(DECAY, noisy(decay), starts=1)
    assert fit.solution.search is None
    assert fit.minima == ()
    assert fit.solution.start == {"a": 1.0, "b": 1.0, "c": 1.0}
    assert "NOT_SEARCHED" in {one.code for one in fit.findings}
    assert fit.loss == pytest.approx(fitted(DECAY, noisy(decay)).loss, rel=1e-12)


@pytest.mark.parametrize("solver", [km.LBFGS(), km.SGD(lr=1e-3, steps=20)])
def test_other_solvers_do_not_search(solver: Any) -> None:
    assert fitted(DECAY, noisy(decay), solver=solver).solution.search is None


def test_a_linear_formula_is_not_searched() -> None:
    assert fitted("y ~ a*x + b", noisy(decay)).solution.search is None


def test_the_way_to_the_answer_begins_where_the_fit_says() -> None:
    for model, data in ((DECAY, noisy(decay)), (WAVES, noisy(sine)), (DECAY, noisy(decay, n=900))):
        fit = fitted(model, data)
        assert fit.solution.start is not None
        assert fit.trace is not None
        assert list(fit.solution.start.values()) == fit.trace.params[0].tolist()
        assert fit.trace.loss[0] >= fit.loss * (1.0 - 1e-12)


# --- how long it goes on --------------------------------------------------------------------------------------------


def test_a_search_ends_early_where_every_start_leads_to_one_minimum() -> None:
    search = search_of(fitted(DECAY, noisy(decay)))
    assert (search.starts, search.ending) == (8, "sure")
    assert search.minima[0].reached > 4


NEEDLES = "y ~ a*exp(-((x - m)/w)^2) + b*exp(-((x - n)/w)^2)"  # in noise: every pair of rows is a valley


@pytest.mark.parametrize("seed", range(3))
def test_a_search_goes_on_where_each_start_ends_elsewhere(seed: int) -> None:
    noise = {"x": np.linspace(0.0, 10.0, 300), "y": np.random.default_rng(seed).normal(size=300)}
    fit = fitted(NEEDLES, noise, bounds={"w": (0.03, 0.1)})
    search = search_of(fit)
    assert search.starts >= 32
    assert len(search.minima) >= 5
    assert search.ending == "unsure" or search.minima[0].reached >= 3
    assert fit.verdict != "good"
    if search.ending == "unsure":
        assert search.starts == 512
        assert any(one.code == "SEVERAL_MINIMA" and one.severity == "warning" for one in fit.findings)


def test_a_minimum_reached_once_is_not_believed() -> None:
    """The rule alone, on ends made by hand."""
    data = noisy(two)
    hunt = Hunt(problem(TWO.removeprefix("y ~ "), data["x"], data["y"]), {}, {}, 0)

    def after(starts: int, *reached: int) -> str | None:
        hunt.starts = hunt.finite = starts
        hunt.basins = [Basin(np.zeros(4), np.zeros(4), float(k + 1), n, True) for k, n in enumerate(reached)]
        return hunt.is_over(None)

    assert after(8, 8) == "sure"
    assert after(8, 4, 1, 1, 1, 1) == "sure"
    assert after(8, 1, 7) is None
    assert after(8, *[1] * 8) is None
    assert after(64, 2, 62) is None
    assert after(64, 8, 56) == "sure"
    assert after(512, *[1] * 512) == "unsure"


# --- what is given --------------------------------------------------------------------------------------------------


def test_a_partial_start_is_where_every_descent_begins() -> None:
    for b in (7.0, 3.5):
        fit = fitted(SINE, WAVE, start={"b": b})
        assert fit.solution.start is not None
        assert fit.solution.start["b"] == b
        _, at = scipys(sine, WAVE, [fit.solution.start[name] for name in "abc"])
        assert fit.params["b"] == pytest.approx(at[1], rel=1e-6)
    assert fit.params["b"] == pytest.approx(3.7, abs=0.01)


def test_a_start_of_the_linear_parameters_alone_is_searched_from() -> None:
    fit = fitted(SINE, WAVE, start={"a": 0.1})
    assert search_of(fit).given is None
    assert fit.params["b"] == pytest.approx(3.7, abs=0.01)


@pytest.mark.parametrize("bounds", [(5.0, 9.0), (8.0, 12.0), (0.5, 2.0), (-9.0, -1.0)])
def test_bounds_narrow_the_search_to_the_best_inside(bounds: tuple[float, float]) -> None:
    fit = fitted(SINE, WAVE, bounds={"b": bounds})
    box = ([-9.0, bounds[0], -9.0], [9.0, bounds[1], 9.0])
    ends = ([-math.inf, bounds[0], -math.inf], [math.inf, bounds[1], math.inf])
    assert fit.loss == pytest.approx(best_of(sine, WAVE, *box, bounds=ends), rel=1e-7)
    assert bounds[0] <= fit.params["b"] <= bounds[1]
    assert all(bounds[0] <= one.params["b"] <= bounds[1] for one in fit.minima)


def test_a_bounded_linear_parameter_is_searched_with() -> None:
    data = noisy(lambda x: decay(x, 2.0, 1.1, -0.4))
    fit = fitted("y ~ a*exp(-b*x) + c", data, bounds={"c": (0, None), "b": (0.5, None)})
    best = best_of(decay, data, [0, 0.5, 0], [5, 3, 1], bounds=([-math.inf, 0.5, 0], [math.inf] * 3))
    assert fit.loss == pytest.approx(best, rel=1e-8)
    assert fit.params["c"] == 0.0
    assert len(fit.minima) <= 2


def test_fixed_parameters_stay_and_the_others_are_searched() -> None:
    fit = fitted(SINE, WAVE, fixed={"b": 6.5})
    assert fit.params["b"] == 6.5
    loss, _ = scipys(lambda t, a, c: sine(t, a, 6.5, c), WAVE, [0.5, -1.0])
    assert fit.loss == pytest.approx(loss, rel=1e-9)
    assert fitted(SINE, WAVE, fixed={"c": 0.4}).params["b"] == pytest.approx(3.7, abs=0.01)


# --- a start beside others ------------------------------------------------------------------------------------------


def test_a_start_in_a_worse_valley_is_kept_and_the_better_one_stands_first() -> None:
    begin = {"a": 1.0, "b": 7.0, "c": 0.0}
    fit = fitted(SINE, WAVE, start=begin)
    search = search_of(fit)
    loss, at = scipys(sine, WAVE, list(begin.values()))
    assert fit.loss == pytest.approx(loss, rel=1e-9)
    assert abs(fit.params["b"]) == pytest.approx(abs(at[1]), rel=1e-6)
    assert fit.solution.start == begin
    assert search.given is not None
    assert (search.given.params, search.given.loss, search.given.converged) == (fit.params, fit.loss, True)
    assert search.starts == 9
    assert search.minima[0].loss < 0.01 * fit.loss
    assert search.minima[0].loss == pytest.approx(fitted(SINE, WAVE).loss, rel=1e-9)
    assert {"BETTER_MINIMUM", "START_WAS_KEPT"} <= {one.code for one in fit.findings}
    assert fit.verdict == "look"


def test_a_start_in_the_best_valley_is_compared_and_not_remarked_on() -> None:
    fit = fitted(SINE, WAVE, start={"a": 1.0, "b": 3.5, "c": 0.0})
    search = search_of(fit)
    assert (search.starts, search.ending) == (9, "asked")
    assert search.given is not None
    assert search.minima[0].params == fit.params
    assert not {"BETTER_MINIMUM", "START_WAS_KEPT"} & {one.code for one in fit.findings}


def test_a_start_that_leads_nowhere_gives_way() -> None:
    begin = {"a": 1.0, "b": 1.0, "c": 0.0}
    with pytest.raises(km.NotConverged):
        km.fit(SINE, WAVE, start=begin, starts=1)
    fit = fitted(SINE, WAVE, start=begin)
    assert fit.loss == pytest.approx(fitted(SINE, WAVE).loss, rel=1e-9)
    given = search_of(fit).given
    assert given is not None
    assert not given.converged
    assert given.loss > 100.0 * fit.loss
    assert "BETTER_MINIMUM" in {one.code for one in fit.findings}
    assert fit.verdict == "look"


@pytest.mark.parametrize("starts", [2, 30])
def test_beside_a_start_as_many_more_are_made_as_were_asked_for(starts: int) -> None:
    fit = fitted(SINE, WAVE, start={"a": 1.0, "b": 3.5, "c": 0.0}, starts=starts)
    assert search_of(fit).starts == starts

"""Races: the tutorial's table, the definition of "reached", default lanes from the curvature, and lanes that get lost.

The strangers: the table that PyTorch 2.13 made in float64 (the numbers stand below), loops in plain NumPy, the
definition of "the first step after which it stays below" read literally, and the closed form of the Hessian.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import katamuki as km
from katamuki.api import race_judging, race_lanes
from katamuki.records import Lane
from katamuki.solvers import first_order_run

DATA = km.datasets("tutorial")
X, Y = np.asarray(DATA["x"]), np.asarray(DATA["y"])
START = {"a": 0.5, "b": 0.5}
BEST = np.linalg.solve([[X @ X, X.sum()], [X.sum(), 11.0]], [X @ Y, Y.sum()])
HESSIAN = 2.0 / 11.0 * np.array([[X @ X, X.sum()], [X.sum(), 11.0]])
MOMENTUM = km.SGD(lr=0.0203407988, momentum=0.8713534925)

# First step after which max(|Δa|, |Δb|) stays below 1e-1, 1e-2, 1e-3, 1e-6: PyTorch 2.13.0, float64, 20,000 steps.
TABLE: dict[str, tuple[Any, list[int | str]]] = {
    "closed form": ("linear", [0, 0, 0, 0]),
    "best momentum": (MOMENTUM, [88, 128, 164, 272]),
    "momentum 0.9": (km.SGD(lr=0.01, momentum=0.9), [122, 197, 272, 496]),
    "Adagrad": (km.Adagrad(lr=0.5), [248, 431, 615, 1165]),
    "descent 0.0108": (km.SGD(lr=0.0108), [1364, 2343, 3321, 6256]),
    "Adam 0.01": (km.Adam(lr=0.01), [1012, 1393, "unsteady", "unsteady"]),
    "RMSprop": (km.RMSprop(lr=0.001), [2804, 3066, 3246, "never"]),
    "Adam 0.001": (km.Adam(lr=0.001), [6004, 7118, 7822, "unsteady"]),
}


@pytest.fixture(scope="module")
def tutorial() -> km.Race:
    """All lanes of the table in one race."""
    lanes = [(label, solver) for label, (solver, _) in TABLE.items()]
    return km.race("y ~ a*x + b", DATA, [*lanes, ("descent 0.0109", km.SGD(lr=0.0109))], start=START)


@pytest.fixture(scope="module")
def usual() -> km.Race:
    """The default lanes on the tutorial."""
    return km.race("y ~ a*x + b", DATA, start=START)


def lane_of(race: km.Race, label: str) -> Lane:
    """The lane of a label."""
    return next(lane for lane in race.lanes if str(lane.label) == label)


def off(lane: Lane, expected: list[int | str]) -> bool:
    """Whether a lane's row is not the expected one, steps to 2 %."""
    for one, known in zip(lane.reached, expected, strict=True):
        if isinstance(known, str):
            if one.kind != known:
                return True
        elif one.kind != "steady" or one.step is None or abs(one.step - known) > 0.02 * known:
            return True
    return False


@pytest.mark.parametrize("label", TABLE)
def test_the_tutorial_s_table_comes_out(tutorial: km.Race, label: str) -> None:
    lane = lane_of(tutorial, label)
    assert not off(lane, TABLE[label][1]), lane.reached
    # and the test notices another number
    assert off(lane, [*TABLE[label][1][:3], 7])


def test_one_hair_apart_one_descent_converges_and_the_other_diverges(tutorial: km.Race) -> None:
    lost, found = lane_of(tutorial, "descent 0.0109"), lane_of(tutorial, "descent 0.0108")
    assert lost.ending == "diverged"
    assert found.ending == "arrived"
    assert {one.kind for one in lost.reached} == {"never"}
    assert abs(lost.facts["largest_lr"] - 2.0 / np.linalg.eigvalsh(HESSIAN)[-1]) < 1e-12
    assert "0.010882" in str(lost.remark)


def test_remarks_say_how_lanes_ended(tutorial: km.Race) -> None:
    cycle, burst = lane_of(tutorial, "RMSprop"), lane_of(tutorial, "Adam 0.01")
    assert cycle.ending == "cycle"
    assert abs(cycle.facts["since"] - 3419) <= 20
    assert "±lr/2 = ±0.0005" in str(cycle.remark)
    assert burst.ending == "unsteady"
    assert burst.facts["entered"] < 2000 < burst.facts["left"]
    assert burst.facts["peak"] > 1e-3
    assert "bursts" in str(burst.remark)


def test_momentum_is_repeated_by_a_plain_loop(tutorial: km.Race) -> None:
    params, buffer, errors = np.array([0.5, 0.5]), np.zeros(2), []
    for _ in range(3001):
        errors.append(float(np.abs(params - BEST).max()))
        residual = params[0] * X + params[1] - Y
        gradient = 2.0 / 11.0 * np.array([residual @ X, residual.sum()])
        buffer = 0.9 * buffer + gradient
        params = params - 0.01 * buffer
    for one in lane_of(tutorial, "momentum 0.9").reached:
        assert one.step == literally(np.array(errors), one.tolerance)


def literally(errors: np.ndarray, tolerance: float) -> int:
    """The first step after which all errors are below: read word by word."""
    return next(k for k in range(len(errors)) if (errors[k:] < tolerance).all())


# --- the definition ------------------------------------------------------------------------------------------------


def by_definition(inside: list[bool], steps: int) -> tuple[str, int | None, int | None]:
    """kind, step and entered from the words of the documentation."""
    stays: list[tuple[int, int]] = []  # first step within, first step outside again
    begun: int | None = None
    for k, within in enumerate(inside):
        if within and begun is None:
            begun = k
        if not within and begun is not None:
            stays.append((begun, k))
            begun = None
    long = [stay for stay in stays if stay[1] - stay[0] >= max(1.0, race_judging.STAY * steps)]
    if long:
        return "unsteady", None, long[0][0]
    return ("never", None, None) if begun is None else ("steady", begun, None)


@given(st.lists(st.booleans(), min_size=1, max_size=120), st.integers(1, 400))
def test_reached_is_its_definition(inside: list[bool], steps: int) -> None:
    errors = np.where(inside, 0.0, 1.0)
    found = race_judging.reached(errors, np.arange(len(inside)), 0.5, steps)
    assert (found.kind, found.step, found.entered) == by_definition(inside, steps)
    if found.kind == "unsteady":
        assert found.left == max(k for k, within in enumerate(inside) if not within)


@given(st.lists(st.floats(0.0, 4.0), min_size=1, max_size=200), st.integers(1, 400))
def test_the_telling_rows_tell_the_same(values: list[float], steps: int) -> None:
    errors, index, near = np.array(values), np.arange(len(values)), (3.0, 1.0, 0.5)
    kept = race_judging.telling(errors, index, near)
    for one in near:
        whole = race_judging.reached(errors, index, one, steps)
        assert race_judging.reached(errors[kept], index[kept], one, steps) == whole


def test_a_thinned_run_tells_what_the_whole_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    lanes = [km.Adam(lr=0.01), km.RMSprop(lr=0.001)]
    whole = km.race("y ~ a*x + b", DATA, lanes, start=START, steps=30_000)
    monkeypatch.setattr(first_order_run, "WHOLE", 200_000)
    monkeypatch.setattr(race_lanes, "CHUNK", 7001)
    thinned = km.race("y ~ a*x + b", DATA, lanes, start=START, steps=30_000)
    for one, other in zip(whole.lanes, thinned.lanes, strict=True):
        assert one.reached == other.reached
        assert one.ending == other.ending
        assert one.error == other.error


def test_the_path_keeps_its_extremes_and_ends(tutorial: km.Race) -> None:
    lane = lane_of(tutorial, "Adam 0.01")
    assert len(lane.path) < 3000
    assert (lane.path[0], lane.path[-1]) == (0, 20_000)
    assert all(one < other for one, other in pairwise(lane.path))
    assert abs(lane.errors[0] - abs(BEST - 0.5).max()) < 1e-12
    assert lane.errors[lane.path >= lane.facts["entered"]].max() == lane.facts["peak"]


# --- the usual lanes -----------------------------------------------------------------------------------------------


def test_the_usual_lanes_come_from_the_curvature(usual: km.Race) -> None:
    low, high = np.linalg.eigvalsh(HESSIAN)
    np.testing.assert_allclose(usual.eigenvalues, [low, high], rtol=1e-10)
    assert abs(usual.condition - 844.4) < 0.05
    descent: Any = lane_of(usual, "gradient descent, 1.98/λmax").solver
    momentum: Any = lane_of(usual, "gradient descent, best momentum").solver
    assert abs(descent.lr - 1.98 / high) < 1e-12
    assert abs(momentum.lr - 0.0203407988) < 1e-10
    assert abs(momentum.momentum - 0.8713534925) < 1e-10
    assert [str(lane.label) for lane in usual.lanes] == [
        "closed form",
        "L-BFGS, one iteration a step",
        "gradient descent, 1.98/λmax",
        "gradient descent, best momentum",
        "Adagrad 0.5",
        "RMSprop 0.001",
        "Adam 0.001",
        "Adam 0.01",
    ]


def test_l_bfgs_is_there_in_five_steps_and_stalls(usual: km.Race) -> None:
    lane = lane_of(usual, "L-BFGS, one iteration a step")
    assert [one.step for one in lane.reached] == [4, 4, 4, 5]
    assert lane.ending == "stalled"
    assert 1e-9 < lane.error < 1e-7
    assert "1.1e−08" in str(lane.remark)


def test_the_best_momentum_is_the_best_of_its_neighbours(usual: km.Race) -> None:
    usual_best: Any = lane_of(usual, "gradient descent, best momentum").solver
    best = dataclasses.replace(usual_best, steps=2000)
    lanes = [best, *(km.SGD(lr=best.lr * a, momentum=best.momentum * b) for a in (0.9, 1.0) for b in (0.9, 1.05))]
    found = km.race("y ~ a*x + b", DATA, lanes[:1] + lanes[2:], start=START, steps=2000)
    steps = [lane.reached[-1].step for lane in found.lanes]
    assert min(one for one in steps if one is not None) == steps[0]


def test_weights_and_fixed_parameters_move_the_curvature_and_the_answer() -> None:
    weights = np.linspace(0.5, 2.0, 11)
    race = km.race("y ~ a*x + b", DATA, ["sgd"], weights=weights, fixed={"b": 3.0}, steps=10)
    assert abs(race.eigenvalues[0] - 2.0 / 11.0 * (weights @ X**2)) < 1e-9
    best = (weights * X) @ (Y - 3.0) / (weights @ X**2)
    assert abs(race.answer.params["a"] - best) < 1e-12
    assert race.start == {"a": 1.0}
    assert race.lanes[0].params["b"] == 3.0
    assert race.condition == 1.0


def test_what_the_lanes_run_to_is_judged_by_another_route(tutorial: km.Race) -> None:
    assert tutorial.check().verdict == "PASS"


# --- nonlinear formulas and lanes that get lost --------------------------------------------------------------------

T = np.linspace(0.0, 6.0, 40)
WAVE = {"t": T, "y": np.sin(2.0 * T)}


def test_a_lane_that_ended_near_another_minimum_says_so() -> None:
    lanes = ["lm", km.SGD(lr=0.01), km.RMSprop(lr=0.3)]
    race = km.race("y ~ sin(b*t)", WAVE, lanes, start={"b": 2.7}, steps=3000)
    assert [lane.ending for lane in race.lanes] == ["arrived", "arrived", "elsewhere"]
    other = race.lanes[2].facts["params"]["b"]
    slopes = [float(((np.sin(b * T) - WAVE["y"]) * T * np.cos(b * T)).sum()) for b in (other - 1e-4, other + 1e-4)]
    assert slopes[0] < 0 < slopes[1]  # a minimum it is
    loss = np.mean((np.sin(other * T) - WAVE["y"]) ** 2)
    assert abs(race.lanes[2].facts["loss"] - loss) < 1e-12
    assert f"with a higher loss {loss:.6f}" in str(race.lanes[2].remark)


def test_a_lane_that_found_a_better_minimum_than_the_answer_says_so() -> None:
    gradient = 2 * np.mean((np.sin(3.4 * T) - WAVE["y"]) * T * np.cos(3.4 * T))
    jump = km.SGD(lr=float((3.4 - 2.05) / gradient))
    race = km.race("y ~ sin(b*t)", WAVE, [jump], start={"b": 3.4}, steps=1)
    assert race.answer.params["b"] > 3.0
    assert race.lanes[0].ending == "elsewhere"
    assert "with a lower loss" in str(race.lanes[0].remark)


def test_a_minimum_that_mirrors_the_answer_has_its_loss() -> None:
    # mean (b² t − 4 t)² has minima at b = 2 and −2; the first step from 3 is 5 long
    gradient = 4.0 * 3.0 * (9.0 - 4.0) * float(np.mean(T**2))
    jump = km.SGD(lr=5.0 / gradient)
    race = km.race("y ~ b^2*t", {"t": T, "y": 4.0 * T}, ["lm", jump], start={"b": 3.0}, steps=20)
    assert race.answer.params["b"] == pytest.approx(2.0, abs=1e-9)
    assert race.lanes[1].ending == "elsewhere"
    assert race.lanes[1].facts["params"]["b"] == pytest.approx(-2.0, abs=1e-6)
    assert "with the same loss" in str(race.lanes[1].remark)


def test_a_lane_that_lost_the_formula_ends_on_flat_ground() -> None:
    # b far below 0: exp(b x) is 0 in every row, and no parameter matters any more
    race = km.race("y ~ a*exp(b*x)", DATA, [km.SGD(lr=0.000148)], start={"a": 1.0, "b": 1.0}, steps=50)
    lane = race.lanes[0]
    assert lane.ending == "flat"
    assert abs(lane.facts["loss"] - float(np.mean(Y**2))) < 1e-9
    assert {one.kind for one in lane.reached} == {"never"}


def test_a_formula_without_a_value_on_the_way_is_a_row() -> None:
    data = {"x": [1.0, 2.0, 3.0, 4.0], "y": [0.1, 0.8, 1.2, 1.5]}
    race = km.race("y ~ log(a*x)", data, [km.SGD(lr=5.0), "lm"], start={"a": 1.0}, steps=200)
    assert race.lanes[0].ending == "diverged"
    assert {one.kind for one in race.lanes[0].reached} == {"never"}
    assert race.lanes[1].ending == "arrived"


def test_levenberg_marquardt_counts_attempts() -> None:
    race = km.race("y ~ a*exp(b*x)", DATA, ["lm"], start={"a": 4.0, "b": 0.1}, steps=50)
    fit = km.fit("y ~ a*exp(b*x)", DATA, start={"a": 4.0, "b": 0.1})
    trace = fit.trace
    assert trace is not None
    errors = np.abs(trace.params - [fit.params["a"], fit.params["b"]]).max(axis=1)
    assert [one.step for one in race.lanes[0].reached] == [literally(errors, one) for one in race.tolerances]


def test_too_few_steps_are_a_lane_still_on_its_way() -> None:
    race = km.race("y ~ a*x + b", DATA, ["adam", "lm", km.LevenbergMarquardt(max_steps=1)], start=START, steps=1)
    assert [lane.ending for lane in race.lanes] == ["going", "going", "going"]
    assert race.lanes[0].steps == 1


def test_any_callable_model_races_like_its_formula() -> None:
    model: Callable[..., Any] = lambda x, a, b: a * x + b  # noqa: E731
    one = km.race(model, DATA, ["adagrad"], start=START, steps=500)
    other = km.race("y ~ a*x + b", DATA, ["adagrad"], start=START, steps=500)
    assert [a.reached for a in one.lanes] == [b.reached for b in other.lanes]


def test_adagrad_reaches_when_pytorch_s_own_loop_does(tutorial: km.Race) -> None:
    import torch

    x, y = torch.tensor(X), torch.tensor(Y)
    a, b = (torch.tensor(0.5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    optim, errors = torch.optim.Adagrad([a, b], lr=0.5), []
    for _ in range(1400):
        errors.append(max(abs(a.item() - BEST[0]), abs(b.item() - BEST[1])))
        optim.zero_grad()
        torch.nn.functional.mse_loss(a * x + b, y).backward()
        optim.step()
    found = [one.step for one in lane_of(tutorial, "Adagrad").reached]
    assert found == [literally(np.array(errors), one) for one in tutorial.tolerances]

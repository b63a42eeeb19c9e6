"""Compiled descents over the nonlinear parameters end where SciPy's do from the same starts, and never go uphill."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.optimize import least_squares

from katamuki.problem import Problem
from katamuki.search.projected import Projected
from katamuki.search.projection import CONVERGED, STEPS_OVER
from katamuki.search.recipe import recipe_of
from searched import Array, Limits, problem


@dataclass(frozen=True)
class Road:
    """A well-behaved problem: formula, the same in NumPy of all parameters in order, truth, and where starts lie."""

    text: str
    value: Callable[[Array, Array], Array]
    truth: list[float]
    starts: dict[str, tuple[float, float]]


ROADS = {
    "decay": Road("a*exp(-b*x) + c", lambda t, x: t[0] * np.exp(-t[1] * x) + t[2], [2.0, 1.1, 0.3], {"b": (0.3, 3.0)}),
    "peak": Road(
        "a*exp(-((x - m)/w)^2) + c",
        lambda t, x: t[0] * np.exp(-(((x - t[1]) / t[2]) ** 2)) + t[3],
        [3.0, 1.7, 0.6, 0.2],
        {"m": (1.3, 2.1), "w": (0.4, 0.9)},
    ),
    "saturation": Road("a*x/(k + x)", lambda t, x: t[0] * x / (t[1] + x), [3.0, 0.8], {"k": (0.1, 5.0)}),
    "growth": Road(
        "a/(1 + exp(-k*(x - m)))",
        lambda t, x: t[0] / (1.0 + np.exp(-t[1] * (x - t[2]))),
        [2.0, 2.5, 2.0],
        {"k": (1.0, 5.0), "m": (1.2, 2.8)},
    ),
    "wave": Road(
        "a*sin(f*x + p) + c",
        lambda t, x: t[0] * np.sin(t[1] * x + t[2]) + t[3],
        [1.5, 3.0, 0.4, 1.0],
        {"f": (2.7, 3.3), "p": (0.0, 0.8)},
    ),
    "no linear parameter": Road(
        "exp(-k*x)/(1 + m*x)",
        lambda t, x: np.exp(-t[0] * x) / (1.0 + t[1] * x),
        [0.7, 0.4],
        {"k": (0.3, 1.5), "m": (0.1, 1.0)},
    ),
}


def road(name: str, seed: int, noise: float = 0.05, n: int = 60) -> tuple[Road, Problem, Array, Array, Array]:
    """The road, its problem, x, y, and a start (all_p,)."""
    one, rng = ROADS[name], np.random.default_rng(seed)
    x = np.sort(rng.uniform(0.01, 4.0, n))
    y = one.value(np.array(one.truth), x) + noise * rng.normal(size=n)
    here = problem(one.text, x, y)
    begin = np.array([rng.uniform(*one.starts[name]) if name in one.starts else 1.0 for name in here.names])
    return one, here, x, y, begin


def scipys(
    one: Road, x: Array, y: Array, begin: Array, bounds: tuple[Array, Array] | None = None
) -> tuple[float, Array]:
    """Σ r² and the parameters where SciPy ends."""
    ends = bounds or (np.full(len(begin), -math.inf), np.full(len(begin), math.inf))
    inside = np.clip(begin, ends[0] + 1e-6, ends[1] - 1e-6)
    with np.errstate(all="ignore"):
        found = least_squares(
            lambda t: one.value(t, x) - y,
            inside,
            bounds=ends,
            x_scale="jac",
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
            max_nfev=2000,
        )
    return 2.0 * float(found.cost), found.x


@pytest.mark.parametrize("name", ROADS)
@pytest.mark.parametrize("seed", range(6))
def test_a_descent_ends_where_scipys_does(name: str, seed: int) -> None:
    one, here, x, y, begin = road(name, seed)
    projected = Projected(here, recipe_of(here), {}, 0)
    points = begin[None, :].copy()
    before = float(projected.project(begin[None, :].copy())[0])
    ((rss, how, passes),) = projected.descend(points, -1.0)
    expected, at = scipys(one, x, y, begin)
    assert how == CONVERGED
    assert rss == pytest.approx(expected, rel=1e-8)
    assert rss <= before
    assert here.rss(points[0]) == pytest.approx(rss, rel=1e-10)
    spread = np.linalg.norm(points[0] - at) / np.linalg.norm(at)
    assert spread < 1e-3, (points, at)
    assert 2 <= passes <= 120


def test_a_descent_that_ended_elsewhere_would_be_seen() -> None:
    one, here, x, y, begin = road("wave", 0)
    projected = Projected(here, recipe_of(here), {}, 0)
    begin[here.names.index("f")] = 9.0  # another valley
    points = begin[None, :].copy()
    ((rss, how, _),) = projected.descend(points, -1.0)
    expected, _ = scipys(one, x, y, np.array(one.truth))
    assert how == CONVERGED
    assert rss > 2.0 * expected


def losses(projected: Projected, begin: Array, most: int) -> list[float]:
    """Σ w r² after a descent of at most 1, 2, … passes over the trial points."""
    found = []
    for steps in range(1, most):
        out = projected._run(begin[None, :].copy(), steps, -1.0)
        found.append(float(out[0, 0]))
    return found


@pytest.mark.parametrize("name", ROADS)
@pytest.mark.parametrize("seed", [10, 11])
def test_no_step_goes_uphill(name: str, seed: int) -> None:
    _, here, _, _, begin = road(name, seed, noise=0.3)
    way = losses(Projected(here, recipe_of(here), {}, 0), begin, 25)
    assert all(later <= earlier for earlier, later in itertools.pairwise(way)), way
    assert way[-1] < way[0]


def test_few_steps_are_said_to_be_over() -> None:
    _, here, _, _, begin = road("peak", 3)
    projected = Projected(here, recipe_of(here), {}, 0)
    assert projected._run(begin[None, :].copy(), 2, -1.0)[0, 1] == STEPS_OVER


BOUNDS: list[tuple[str, Limits]] = [
    ("decay", {"b": (2.0, 5.0)}),
    ("decay", {"c": (0.5, math.inf)}),
    ("decay", {"a": (-math.inf, 1.0), "b": (0.1, 0.9)}),
    ("decay", {"c": (-1.0, 0.0)}),
    ("peak", {"m": (0.0, 1.4)}),
    ("peak", {"c": (0.5, 1.0), "w": (0.3, 0.5)}),
    ("saturation", {"k": (1.5, 9.0)}),
    ("saturation", {"a": (0.0, 2.0)}),
    ("growth", {"a": (0.0, 1.5)}),
    ("wave", {"a": (0.0, 1.0), "c": (1.2, math.inf)}),
]


@pytest.mark.parametrize(("name", "limits"), BOUNDS)
@pytest.mark.parametrize("seed", range(4))
def test_a_descent_within_bounds_ends_where_scipys_does(name: str, limits: Limits, seed: int) -> None:
    one, here, x, y, begin = road(name, seed)
    low, high = (np.array([limits.get(name, (-math.inf, math.inf))[k] for name in here.names]) for k in (0, 1))
    begin = np.clip(begin, low, high)
    points = begin[None, :].copy()
    ((rss, how, _),) = Projected(here, recipe_of(here), limits, 0).descend(points, -1.0)
    expected, _ = scipys(one, x, y, begin, (low, high))
    loose, _ = scipys(one, x, y, np.array(one.truth))
    assert how == CONVERGED
    assert ((low <= points[0]) & (points[0] <= high)).all()
    assert rss == pytest.approx(expected, rel=1e-6)
    assert rss > 1.0001 * loose  # the bounds matter


def test_a_trial_outside_the_domain_shortens_the_step() -> None:
    rng = np.random.default_rng(4)
    x = np.linspace(1.0, 6.0, 40)
    y = 2.0 * np.log(x - 0.9) + 0.5 + 0.02 * rng.normal(size=40)
    here = problem("a*log(x - b) + c", x, y)
    projected = Projected(here, recipe_of(here), {}, 0)
    ends = []
    for b in (-30.0, -3.0, 0.0, 0.99):
        points = np.array([[1.0, b, 1.0]])
        ((rss, how, _),) = projected.descend(points, -1.0)
        assert how == CONVERGED
        assert points[0, 1] < 1.0
        ends.append(rss)
    found = least_squares(
        lambda t: t[0] * np.log(x - t[1]) + t[2] - y,
        [2.0, 0.8, 0.5],
        bounds=([-9, -9, -9], [9, 0.9999, 9]),
        xtol=1e-15,
        ftol=1e-15,
        gtol=1e-15,
    )
    assert ends == pytest.approx([2.0 * found.cost] * 4, rel=1e-7)


def test_a_minimum_that_is_known_ends_a_descent_early() -> None:
    _, here, _, _, begin = road("peak", 5)
    projected = Projected(here, recipe_of(here), {}, 0)
    ((rss, _, whole),) = projected.descend(begin[None, :].copy(), -1.0)
    ((near, how, passes),) = projected.descend(begin[None, :].copy(), rss * (1.0 + 1e-9))
    assert how == CONVERGED
    assert passes < whole
    assert near == pytest.approx(rss, rel=1e-6)
    ((far, how, passes),) = projected.descend(begin[None, :].copy(), rss * 0.5)  # of another valley: no reason to stop
    assert (far, how, passes) == (rss, CONVERGED, whole)


def test_the_second_of_equal_starts_is_known_to_have_arrived() -> None:
    _, here, _, _, begin = road("peak", 6)
    projected = Projected(here, recipe_of(here), {}, 0)
    ends = projected.descend(np.tile(begin, (3, 1)), -1.0)
    assert ends[1, 2] <= ends[0, 2]
    assert ends[:, 0] == pytest.approx(ends[0, 0], rel=1e-6)


def test_data_without_noise_are_met_to_rounding() -> None:
    for name in ROADS:
        _, here, _, _, begin = road(name, 1, noise=0.0)
        projected = Projected(here, recipe_of(here), {}, 0)
        ((rss, how, _),) = projected.descend(begin[None, :].copy(), -1.0)
        assert how == CONVERGED, name
        assert rss <= 1e-16 * here.tss_about_zero, name


def test_the_same_starts_give_the_same_bits_alone_and_together() -> None:
    _, here, _, _, _ = road("wave", 2)
    recipe = recipe_of(here)
    starts = np.array([road("wave", seed)[4] for seed in range(5)])
    one, two = starts.copy(), starts.copy()
    first, second = Projected(here, recipe, {}, 0).descend(one, -1.0), Projected(here, recipe, {}, 9).descend(two, -1.0)
    assert first.tobytes() == second.tobytes()
    assert one.tobytes() == two.tobytes()
    alone = starts[0][None, :].copy()
    assert Projected(here, recipe, {}, 0).descend(alone, -1.0)[0].tobytes() == first[0].tobytes()
    assert alone[0].tobytes() == one[0].tobytes()


def test_weights_count_as_repeated_rows() -> None:
    _, here, x, y, begin = road("decay", 8)
    weights = np.random.default_rng(8).integers(1, 4, len(x)).astype(float)
    times = weights.astype(int)
    weighed, repeated = (
        problem("a*exp(-b*x) + c", x, y, weights),
        problem("a*exp(-b*x) + c", np.repeat(x, times), np.repeat(y, times)),
    )
    one, two = begin[None, :].copy(), begin[None, :].copy()
    ((rss, _, _),) = Projected(weighed, recipe_of(weighed), {}, 0).descend(one, -1.0)
    ((other, _, _),) = Projected(repeated, recipe_of(repeated), {}, 0).descend(two, -1.0)
    assert rss == pytest.approx(other, rel=1e-9)
    assert rss != pytest.approx(
        float(Projected(here, recipe_of(here), {}, 0).descend(begin[None, :].copy(), -1.0)[0, 0]), rel=1e-3
    )

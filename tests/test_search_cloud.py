"""The cloud of starts: evenly spread by known measures, in the units of the data, inside bounds and domains."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from katamuki.backends.numpy_ import evaluate
from katamuki.formula import parse
from katamuki.graph import Graph
from katamuki.search.cloud import Cloud, sequence
from katamuki.search.places import linear_parameters, roles
from random_formulas import graphs

Array = NDArray[np.float64]
X = np.linspace(0.5, 12.5, 60)
Limits = dict[str, tuple[float, float]]


def graph(text: str) -> Graph:
    return parse(f"y ~ {text}", ["x", "z", "y"]).rhs


def cloud(
    formula: Graph | str,
    columns: dict[str, Array] | None = None,
    level: float = 1.0,
    limits: Limits | None = None,
    kept: dict[str, float] | None = None,
    seed: int = 0,
) -> Cloud:
    """The cloud of a formula whose parameters are all free."""
    formula = graph(formula) if isinstance(formula, str) else formula
    linear = linear_parameters(formula, formula.parameters)
    names = [one for one in formula.parameters if one not in linear]
    base = dict.fromkeys(names, 0.0) | dict.fromkeys(linear, 1.0)
    columns = {"x": X, "z": X[::-1]} if columns is None else columns
    return Cloud(roles(formula, names, linear), columns, level, base, limits or {}, kept or {}, seed)


def drawn(formula: Graph | str, count: int = 64, **more: object) -> dict[str, Array]:
    with np.errstate(all="ignore"):
        return cloud(formula, **more).points(0, count)  # type: ignore[arg-type]


# --- the sequence ---------------------------------------------------------------------------------------------------


def discrepancy(points: Array) -> float:
    """The star discrepancy of points in the unit square, by every box that could be the worst."""
    n = len(points)
    xs, ys = (np.unique(np.append(points[:, k], 1.0)) for k in (0, 1))
    worst = 0.0
    for x in xs:
        below, inside = points[points[:, 0] < x, 1], points[points[:, 0] <= x, 1]
        area = x * ys
        few = np.searchsorted(np.sort(below), ys, "left") / n
        many = np.searchsorted(np.sort(inside), ys, "right") / n
        worst = max(worst, float(np.abs(area - few).max()), float(np.abs(many - area).max()))
    return worst


def test_the_discrepancy_is_that_of_known_points() -> None:
    # one point in the middle: the closed box below it holds all, on a quarter of the area
    assert discrepancy(np.array([[0.5, 0.5]])) == pytest.approx(0.75)
    # a second coordinate of 0: the box of no height holds them all
    assert discrepancy(np.stack([(np.arange(10) + 0.5) / 10, np.zeros(10)], axis=1)) == pytest.approx(1.0)


@pytest.mark.parametrize("count", [64, 256])
def test_points_are_more_even_than_random_ones(count: int) -> None:
    ours = [discrepancy(sequence(0, count, 2, seed)) for seed in range(8)]
    random = [discrepancy(np.random.default_rng(seed).random((count, 2))) for seed in range(8)]
    assert np.mean(ours) < 0.6 * np.mean(random)
    assert np.max(ours) < np.median(random)


def test_every_plane_of_many_dimensions_is_more_even_than_random() -> None:
    points, rng = sequence(0, 256, 8, 1), np.random.default_rng(1)
    ours = [discrepancy(points[:, [j, k]]) for j in range(8) for k in range(j)]
    random = [discrepancy(rng.random((256, 2))) for _ in ours]
    assert np.median(ours) < 0.7 * np.median(random)


def gaps(values: Array) -> int:
    """How many different gaps there are between neighbours on the circle."""
    around = np.sort(values)
    lengths = np.diff(np.append(around, around[0] + 1.0))
    return len(np.unique(np.round(lengths, 9)))


@settings(max_examples=40)
@given(st.integers(1, 200), st.integers(1, 12), st.integers(-5, 5))
def test_no_coordinate_has_more_than_three_different_gaps(count: int, dimension: int, seed: int) -> None:
    """Steinhaus's three gaps (Sós 1958): what multiples of one number leave on a circle, and nothing else does."""
    points = sequence(0, count, dimension, seed)
    assert points.shape == (count, dimension)
    assert ((points >= 0.0) & (points < 1.0)).all()
    assert max(gaps(points[:, k]) for k in range(dimension)) <= 3


def test_random_points_have_many_gaps() -> None:
    assert gaps(np.random.default_rng(0).random(50)) > 40


def test_one_dimension_steps_by_the_golden_ratio() -> None:
    points = sequence(0, 30, 1, 3)[:, 0]
    golden = (math.sqrt(5.0) - 1.0) / 2.0
    assert np.allclose(np.diff(points) % 1.0, golden, rtol=0.0, atol=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 300), st.integers(1, 40), st.integers(1, 8), st.integers(-9, 9))
def test_a_seed_shifts_all_points_alike_and_pieces_join(first: int, count: int, dimension: int, seed: int) -> None:
    piece = sequence(first, count, dimension, seed)
    whole = sequence(0, first + count, dimension, seed)
    assert np.allclose(piece, whole[first:], rtol=0.0, atol=1e-12)
    moved = (piece - sequence(first, count, dimension, seed + 1)) % 1.0
    assert np.allclose(np.exp(2j * np.pi * moved), np.exp(2j * np.pi * moved[0]), atol=1e-9)
    assert not np.allclose(moved % 1.0, 0.0)


def test_seeds_of_either_sign_differ_and_repeat() -> None:
    shifts = {tuple(sequence(0, 1, 3, seed)[0]) for seed in range(-20, 21)}
    assert len(shifts) == 41
    assert np.array_equal(sequence(5, 7, 4, 2), sequence(5, 7, 4, 2))


# --- ranges ---------------------------------------------------------------------------------------------------------

# Formula and, by nonlinear parameter, its unit: the powers of x's and of y's.
UNITS: list[tuple[str, dict[str, tuple[int, int]]]] = [
    ("a*exp(-b*x) + c", {"b": (-1, 0)}),
    ("a*exp(-x/b) + c", {"b": (1, 0)}),
    ("a*2^(-x/b) + c*exp(-d*x)", {"b": (1, 0), "d": (-1, 0)}),
    ("a*exp(-(x - m)^2/(2*w^2)) + c", {"m": (1, 0), "w": (1, 0)}),
    ("a*exp(-((x - m)/w)^2)", {"m": (1, 0), "w": (1, 0)}),
    ("a*exp(-(x - m)^2/(w*w))", {"m": (1, 0), "w": (1, 0)}),
    ("a/(1 + ((x - m)/w)^2) + c", {"m": (1, 0), "w": (1, 0)}),
    ("a/(1 + exp(-k*(x - m)))", {"k": (-1, 0), "m": (1, 0)}),
    ("a/(1 + exp(-(x - m)/s)) + c", {"m": (1, 0), "s": (1, 0)}),
    ("a*x/(k + x)", {"k": (1, 0)}),
    ("a*x/(k + x + x^2/i)", {"k": (1, 0), "i": (1, 0)}),
    ("a*x^n/(k^n + x^n)", {"n": (0, 0), "k": (1, 0)}),
    ("a/(1 + (x/k)^n)", {"n": (0, 0), "k": (1, 0)}),
    ("a*(1 - exp(-(x/l)^k))", {"l": (1, 0), "k": (0, 0)}),
    ("a*sin(f*x + p) + c", {"f": (-1, 0), "p": (0, 0)}),
    ("a*sin(2*pi*(x - p)/t)", {"t": (1, 0), "p": (1, 0)}),
    ("a*exp(-b*x)*cos(f*x + p)", {"b": (-1, 0), "f": (-1, 0), "p": (0, 0)}),
    ("a*(x + c)^b", {"c": (1, 0), "b": (0, 0)}),
    ("a*log(x - c) + d", {"c": (1, 0)}),
    ("a*sqrt(x + c)", {"c": (1, 0)}),
    ("a + b*abs(x - k)", {"k": (1, 0)}),
    ("(a if x < k else c)", {"k": (1, 0)}),
    ("a*(x - k)*(x > k) + c", {"k": (1, 0)}),
    ("(a*x + b)/(1 + c*x + d*x^2)", {"c": (-1, 0), "d": (-2, 0)}),
    ("a*tanh(b*x)", {"b": (-1, 0)}),
    ("a*x^b", {"b": (0, 0)}),
    ("sqrt(a^2 + b*x)", {"a": (0, 1), "b": (-1, 2)}),
    ("1/(a + b*x)", {"a": (0, -1), "b": (-1, -1)}),
    ("1/(a + b*x + c*x^2)", {"a": (0, -1), "b": (-1, -1), "c": (-2, -1)}),
    ("sqrt(a^2 + (b*x)^2)", {"a": (0, 1), "b": (-1, 1)}),
    ("x/(a + b*x)", {"a": (1, -1), "b": (0, -1)}),
]


@pytest.mark.parametrize(("text", "units"), UNITS)
@pytest.mark.parametrize(("sx", "sy"), [(1e-9, 1.0), (1.7e9, 1.0), (3.0, 1e-30), (2.0**-20, 1e12)])
def test_other_units_of_x_and_y_give_the_same_starts_in_those_units(
    text: str, units: dict[str, tuple[int, int]], sx: float, sy: float
) -> None:
    here, there = drawn(text), drawn(text, columns={"x": sx * X, "z": X[::-1]}, level=sy)
    assert here.keys() == units.keys()
    for name, (power_x, power_y) in units.items():
        expected = here[name] * sx**power_x * sy**power_y
        assert np.allclose(there[name], expected, rtol=1e-9, atol=0.0), name


def test_the_comparison_of_units_sees_a_wrong_one() -> None:
    here, there = drawn("a*exp(-b*x)")["b"], drawn("a*exp(-b*x)", columns={"x": 2.0 * X, "z": X})["b"]
    assert np.allclose(there, here / 2.0, rtol=1e-9, atol=0.0)
    assert not np.allclose(there, here, rtol=1e-9, atol=0.0)
    assert not np.allclose(there, here / 4.0, rtol=1e-9, atol=0.0)


@settings(max_examples=30)
@given(st.integers(-60, 60), st.integers(0, 99))
def test_powers_of_two_leave_the_bits_of_rates_and_frequencies(k: int, seed: int) -> None:
    for text, name in (("a*exp(-b*x)", "b"), ("a*sin(b*x + c)", "b"), ("a*tanh(b*x)", "b")):
        here = drawn(text, seed=seed)[name]
        there = drawn(text, seed=seed, columns={"x": X * 2.0**k, "z": X})[name]
        assert np.array_equal(there, here * 2.0**-k)


@settings(max_examples=30)
@given(st.floats(-1e3, 1e3), st.integers(0, 99))
def test_another_origin_of_x_moves_locations_and_leaves_widths(origin: float, seed: int) -> None:
    text = "a*exp(-(x - m)^2/(2*w^2)) + c"
    here = drawn(text, seed=seed)
    there = drawn(text, seed=seed, columns={"x": X + origin, "z": X})
    assert np.allclose(there["m"], here["m"] + origin, rtol=1e-9, atol=1e-9)
    assert np.allclose(there["w"], here["w"], rtol=1e-7, atol=0.0)


def test_ranges_are_what_the_data_can_see() -> None:
    length = float(np.ptp(X))
    rate = drawn("a*exp(-b*x) + c", 512)["b"] * length
    assert (np.abs(rate) >= 0.1).all()
    assert (np.abs(rate) <= 40.0).all()
    assert np.abs(rate).min() < 0.12
    assert np.abs(rate).max() > 35.0
    assert 0.5 < np.mean(rate > 0.0) < 0.9  # most decay, some grow
    place = drawn("a*exp(-(x - m)^2/(2*w^2)) + c", 512)
    assert place["m"].min() >= X[0] - 0.11 * length
    assert place["m"].max() <= X[-1] + 0.11 * length
    assert place["m"].min() < X[0]
    assert place["m"].max() > X[-1]
    narrow, wide = np.quantile(np.abs(place["w"]), [0.05, 0.95]) / length
    assert narrow < 0.05
    assert wide > 0.5
    half = drawn("a*x/(k + x)", 512)["k"]
    assert np.mean(half > 0.0) > 0.6  # of the sign that has no pole in most
    assert np.abs(half).min() < X.min()
    assert np.abs(half).max() > X.max()
    cycles = np.abs(drawn("a*sin(f*x + p)", 512)["f"]) * length / (2.0 * math.pi)
    assert cycles.min() >= 0.249
    assert cycles.max() <= len(X) / 2.0
    phase = drawn("a*sin(f*x + p)", 512)["p"]
    assert (np.abs(phase) <= math.pi).all()
    assert np.ptp(phase) > 6.0


# --- domains --------------------------------------------------------------------------------------------------------

DOMAINS = [
    ("a*log(x - c) + d", "c"),
    ("a*log(c*x + 1)", "c"),
    ("a*log(b + x)", "b"),
    ("a*sqrt(x + c)", "c"),
    ("a*sqrt(c - x)", "c"),
    ("a*(x + c)^b", "c"),
    ("a*(c - x)^b", "c"),
    ("a*(1 + c*x)^(-1/b)", "c"),
    ("a*log(c + x^2)", "c"),
    ("a*(x/k)^b", "k"),
]


def share(text: str, points: dict[str, Array]) -> float:
    """Of the points, those where the formula has a value in every row."""
    formula = graph(text)
    count = len(next(iter(points.values())))
    good = 0
    for k in range(count):
        known = dict.fromkeys(formula.parameters, 1.0) | {name: float(one[k]) for name, one in points.items()}
        good += bool(np.isfinite(evaluate(formula, {"x": X, "z": X}, known)[0]).all())
    return good / count


@pytest.mark.parametrize(("text", "name"), DOMAINS)
def test_logarithms_roots_and_powers_have_a_value_at_a_fair_share_of_the_points(text: str, name: str) -> None:
    points = drawn(text, 200)
    assert share(text, points) >= 0.25
    wrong = points | {name: np.where(np.abs(points[name]) > 0.0, -points[name] - np.sign(points[name]) * 100.0, 1.0)}
    assert share(text, wrong) != share(text, points)


@pytest.mark.parametrize("seed", range(3))
def test_a_domain_far_from_zero_is_found_as_well(seed: int) -> None:
    far = {"x": X + 1e6, "z": X}
    points = drawn("a*log(x - c) + d", 200, columns=far, seed=seed)["c"]
    assert np.mean(points < far["x"].min()) > 0.3
    near = np.mean((points < far["x"].min()) & (points > far["x"].min() - 1e3))
    assert near > 0.15  # and not all of them so far below that the logarithm is a straight line


# --- bounds and given values ----------------------------------------------------------------------------------------

TWO = "a*exp(-(x - m)^2/(2*w^2)) + c*x^n/(k^n + x^n) + d*log(x + e)"


@settings(max_examples=60)
@given(st.data())
def test_every_point_keeps_to_the_bounds(data: st.DataObject) -> None:
    limits: Limits = {}
    for name in ("m", "w", "n", "k", "e"):
        ends = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, -math.inf, math.inf]))
        low, high = sorted(data.draw(st.tuples(ends, ends), label=name))
        if low < math.inf and high > -math.inf:
            limits[name] = (low, high)
    points = drawn(TWO, 40, limits=limits)
    for name, (low, high) in limits.items():
        assert ((low <= points[name]) & (points[name] <= high)).all(), name


def test_without_bounds_points_lie_outside_them() -> None:
    points = drawn(TWO, 40)
    assert not ((points["m"] >= 0.0) & (points["m"] <= 1.0)).all()


@pytest.mark.parametrize("limits", [(2.0, 3.0), (-5.0, -4.9), (1e-3, 1e3), (-1e3, 0.0), (7.0, 7.0)])
def test_bounds_are_filled_and_not_only_touched(limits: tuple[float, float]) -> None:
    low, high = limits
    found = drawn("a*exp(-b*x) + c", 200, limits={"b": limits})["b"]
    assert ((low <= found) & (found <= high)).all()
    inside = (low < found) & (found < high)
    assert np.mean(inside) > 0.9 or low == high
    assert len(np.unique(found)) > 100 or low == high


@pytest.mark.parametrize("text", ["a*exp(-(x - m)^2/(2*w^2))", "a/(1 + ((x - m)/w)^2)"])
def test_values_that_are_given_are_kept_and_the_others_drawn_beside_them(text: str) -> None:
    points = drawn(text, kept={"m": 4.25})
    assert (points["m"] == 4.25).all()
    assert len(np.unique(points["w"])) == 64


# --- whatever comes -------------------------------------------------------------------------------------------------

COLUMNS = {
    "zeros": np.zeros(12),
    "constant": np.full(12, 7.5),
    "with a zero": np.arange(12.0),
    "either sign": np.linspace(-3.0, 3.0, 12),
    "one row": np.array([2.0]),
    "far": 1.7e9 + np.arange(12.0),
    "tiny": 1e-300 * np.arange(1.0, 13.0),
    "huge": 1e300 * np.arange(1.0, 13.0),
}


@settings(max_examples=150)
@given(graphs(), st.sampled_from(sorted(COLUMNS)), st.integers(0, 50))
def test_every_formula_gets_finite_points_without_a_warning(formula: Graph, kind: str, seed: int) -> None:
    x = COLUMNS[kind]
    points = drawn(formula, 16, columns={"x": x, "z": x[::-1].copy()}, seed=seed)
    linear = linear_parameters(formula, formula.parameters)
    assert sorted(points) == sorted(set(formula.parameters) - set(linear))
    for name, values in points.items():
        assert values.shape == (16,), name
        assert np.isfinite(values).all(), name


@pytest.mark.parametrize(
    ("text", "columns"), list(product([text for text, _ in UNITS], ["zeros", "with a zero", "one row"]))
)
def test_formulas_of_the_sciences_get_finite_points_from_poor_data(text: str, columns: str) -> None:
    x = COLUMNS[columns]
    points = drawn(text, 16, columns={"x": x, "z": x}, level=0.0)
    assert all(np.isfinite(values).all() for values in points.values())


def test_the_same_seed_gives_the_same_points_and_pieces_join() -> None:
    one = cloud(TWO, seed=5)
    with np.errstate(all="ignore"):
        whole, first, rest = one.points(0, 30), one.points(0, 10), one.points(10, 20)
        again, other = cloud(TWO, seed=5).points(0, 30), cloud(TWO, seed=6).points(0, 30)
    for name, values in whole.items():
        assert np.array_equal(values, again[name])
        assert np.array_equal(values, np.concatenate([first[name], rest[name]]))
        assert not np.array_equal(values, other[name])

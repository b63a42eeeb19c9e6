"""What leaves a formula the same function, against all signed permutations tried one by one, and NIST's problems."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations, permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katamuki import certified
from katamuki.formula import parse
from katamuki.graph import Graph
from katamuki.search.symmetries import Symmetries, Turn, canonical, symmetries

STRANGER = {name: getattr(np, name) for name in ("exp", "sin", "cos", "tan", "log", "sqrt", "abs", "cosh", "where")}
STRANGER |= {"pi": math.pi, "atan": np.arctan, "tanh": np.tanh, "max": np.maximum}

Change = tuple[tuple[int, int], ...]  # for each parameter: whose value it takes, and with which sign


def graph(text: str) -> Graph:
    return parse(f"y ~ {text}", ["x", "z", "y"]).rhs


def found(text: str, *fixed: str) -> Symmetries:
    formula = graph(text)
    return symmetries(formula, [name for name in formula.parameters if name not in fixed])


def value(text: str, names: tuple[str, ...], params: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The formula by Python's own reader and NumPy."""
    with np.errstate(all="ignore"):
        known = STRANGER | dict(zip(names, params, strict=True)) | {"x": x, "z": x[::-1] ** 2}
        return np.asarray(eval(text, {"__builtins__": {}}, known), dtype=float)


def sets(pairs: tuple[tuple[str, str], ...]) -> frozenset[frozenset[str]]:
    return frozenset(frozenset(pair) for pair in pairs)


def exchanges(swaps: tuple[tuple[tuple[str, str], ...], ...]) -> set[frozenset[frozenset[str]]]:
    return {sets(pairs) for pairs in swaps}


def read(said: str) -> set[frozenset[frozenset[str]]]:
    """ "ac bd; ae bf": exchanges, each of pairs of one-letter names."""
    return {frozenset(frozenset(pair) for pair in one.split()) for one in said.split(";") if one.strip()}


@pytest.mark.parametrize(
    ("text", "swaps"),
    [
        ("a*exp(-b*x) + c*exp(-d*x)", "ac bd"),
        ("exp(-x*d)*c + e + a*exp(-b*x)", "ac bd"),
        ("a*exp(-x/b) + exp(-x/d)*c", "ac bd"),
        ("a*exp(-b*x) + c*exp(-d*x) + e*exp(-f*x)", "ac bd; ae bf; ce df"),
        ("a*exp(-((x - b)/c)**2) + d*exp(-((e - x)/f)**2)", "ad be cf"),
        ("a*exp(-b*x)*sin(c*x + d) + sin(x*g + h)*exp(-f*x)*e", "ae bf cg dh"),
        ("a/(1 + ((x - b)/c)**2) + d/(((x - e)/f)**2 + 1) + g + h*x", "ad be cf"),
        ("a*exp(-((x - b)/w)**2) + c*exp(-((x - d)/w)**2)", "ac bd"),
        ("a*x/(b + x) + c*x/(d + x)", "ac bd"),
        ("a*x**b + c*x**d + e", "ac bd"),
        ("log(a*exp(b*x) + c*exp(d*x))", "ac bd"),
        ("1/((1 + a*x)*(b*x + 1))", "ab"),
        ("a + b*max(x - c, 0) + d*max(x - e, 0)", "bd ce"),
        ("a*cos(c*x) + b*sin(c*x) + d*cos(f*x) + e*sin(f*x)", "ad be cf"),
        ("a*cos(c*x) + b*sin(c*x) + g*exp(-h*c) + d*cos(f*x) + e*sin(x*f) + k*exp(-l*f)", "ad be cf gk hl"),
        ("a*b*exp(-c*x)", "ab"),
        ("a*exp(-b*(x - 1995)) + c*exp(-d*(x - 1995))", "ac bd"),
        ("a*exp(-b*(x - 1.7e9)) + c*exp(-d*(x - 1.7e9))", "ac bd"),
        ("a*exp(-b/(8.617e-5*x)) + c*exp(-d/(8.617e-5*x))", "ac bd"),
        # what looks equal and is not
        ("a*exp(-b*x) + c*exp(-d*x**2)", ""),
        ("a*exp(-b*x) + c*exp(-d*z)", ""),
        ("a*exp(-b*x) + 2*c*exp(-d*x)", ""),
        ("a*exp(-b*x) + c*exp(-2*d*x)", ""),
        ("a*exp(-1e-20*b*x) + c*exp(-2e-20*d*x)", ""),
        ("a*exp(-b*x) + b*exp(-c*x)", ""),
        ("a*cos(b*x) + c*sin(d*x)", ""),
        ("a*x**2 + b*x + c", ""),
        ("(a + b*x)/(1 + c*x)", ""),
        ("a*x + b if x < c else d*x + e", ""),
    ],
)
def test_equal_terms_are_found_however_they_are_written(text: str, swaps: str) -> None:
    assert exchanges(found(text).swaps) == read(swaps)


@pytest.mark.parametrize(
    ("text", "swap", "negated"),
    [
        ("a*exp(-b*x) - c*exp(-d*x)", "ac bd", {"a", "c"}),
        ("a*(exp(-b*x) - exp(-c*x))", "bc", {"a"}),
        ("a*exp(b*x) + c*exp(-d*x)", "ac bd", {"b", "d"}),
        ("a/(1 + exp(-b*(x - c))) + d/(1 + exp(e*(x - f)))", "ad be cf", {"b", "e"}),
    ],
)
def test_terms_that_are_equal_up_to_signs_cross(text: str, swap: str, negated: set[str]) -> None:
    ((pairs, names),) = found(text).crossed
    assert {sets(pairs)} == read(swap)
    assert set(names) == negated


@pytest.mark.parametrize(
    ("text", "flips"),
    [
        ("a*exp(-(x - b)**2/c**2)", "c"),
        ("(a/b)*exp(-0.5*((x - c)/b)**2)", "ab"),
        ("a/(1 + ((x - b)/c)**2)", "c"),
        ("a*c**2/((x - b)**2 + c*c)", "c"),
        ("a*exp(-abs((x - b)/c)**d)", "c"),
        ("a + b*cos(2*pi*x/d) + c*sin(2*pi*x/d)", "cd"),
        ("a*sin(b*x)", "ab"),
        ("a*atan(b*(x - c)) + d", "ab"),
        ("a*tanh(b*x) + c*cosh(d*x)", "ab d"),
        ("a*b*c*exp(-d*x)", "ac bc"),
        ("sqrt(a**2 + (b*x)**2)", "a b"),
        ("a*exp(-b*x)", ""),
        ("a*x**b", ""),
        ("a*exp(-((x - b)/c)**3)", ""),
        ("a*sin(b*x) + c*cos(b*x) + b", ""),
    ],
)
def test_signs_that_do_not_matter_are_found(text: str, flips: str) -> None:
    assert {frozenset(one) for one in found(text).flips} == {frozenset(one) for one in flips.split()}


@pytest.mark.parametrize(
    ("text", "name", "period", "amplitude"),
    [
        ("a*sin(b*x + c) + d", "c", 2 * math.pi, "a"),
        ("a*cos(b*x - c)", "c", 2 * math.pi, "a"),
        ("sin(b*x + c)", "c", 2 * math.pi, None),
        ("a*sin(2*pi*(x/b + c))", "c", 1.0, "a"),
        ("a*sin(b*x + c/3)", "c", 6 * math.pi, "a"),
        ("a*sin(b*x + c)**2", "c", math.pi, None),
        ("a*tan(b*x + c)", "c", math.pi, None),
        ("a*sin(b*x + c) + d*sin(2*b*x + 2*c)", "c", 2 * math.pi, "a"),
        ("a*sin(b*x + c) + d*cos(b*x + c)", "c", 2 * math.pi, None),
        ("a*sin(b*(x - 1.7e9) + c)", "c", 2 * math.pi, "a"),
    ],
)
def test_phases_turn(text: str, name: str, period: float, amplitude: str | None) -> None:
    (turn,) = found(text).turns
    assert turn == Turn(name, pytest.approx(period, rel=1e-15), amplitude)


def test_a_location_of_a_wave_turns_by_its_period() -> None:
    formula = graph("a*sin(2*pi*(x - b)/c)")
    moved = canonical(symmetries(formula, formula.parameters), formula.parameters, np.array([2.0, 10.5, 3.0]))
    assert moved == pytest.approx([2.0, -1.5 + 3.0, 3.0], rel=1e-15)


@pytest.mark.parametrize("text", ["a*exp(-d*(x - c))*sin(b*(x - c))", "a*sin(b*x + c) + c*x", "a*sin(b*x*c)"])
def test_what_occurs_elsewhere_too_or_row_by_row_is_no_phase(text: str) -> None:
    assert not any(turn.name == "c" for turn in found(text).turns)


def signed_permutations(p: int) -> Iterator[Change]:
    for order in permutations(range(p)):
        for signs in product((1, -1), repeat=p):
            yield tuple(zip(order, signs, strict=True))


def brute_force(text: str, names: tuple[str, ...]) -> set[Change]:
    """All signed permutations that leave the formula what it is, tried one by one."""
    random = np.random.default_rng(5)
    x = random.uniform(0.2, 2.0, 40)
    points = [random.uniform(0.3, 2.0, len(names)) * signs for signs in (1, random.choice([-1, 1], len(names)))]

    def same(change: Change) -> bool:
        for params in points:
            moved = np.array([sign * params[k] for k, sign in change])
            if not np.allclose(value(text, names, moved, x), value(text, names, params, x), 1e-11, 0, equal_nan=True):
                return False
        return True

    return {change for change in signed_permutations(len(names)) if same(change)}


def generated(said: Symmetries, names: tuple[str, ...]) -> set[Change]:
    """The group of signed permutations that the claims generate."""
    place = {name: k for k, name in enumerate(names)}

    def change(pairs: tuple[tuple[str, str], ...], negated: tuple[str, ...]) -> Change:
        takes = {one: other for pair in pairs for one, other in (pair, pair[::-1])}
        return tuple((place[takes.get(name, name)], -1 if name in negated else 1) for name in names)

    steps = [change(pairs, ()) for pairs in said.swaps] + [change((), one) for one in said.flips]
    steps += [change(pairs, negated) for pairs, negated in said.crossed]
    group = {change((), ())}
    new = list(group)
    while new:
        products = {tuple((one[k][0], sign * one[k][1]) for k, sign in step) for one in new for step in steps}
        new = list(products - group)
        group |= products
    return group


@pytest.mark.parametrize(
    "text",
    [
        "a*exp(-b*x) + c*exp(-d*x)",
        "a*exp(-b*x) - c*exp(-d*x) + e",
        "a*exp(-((x - b)/c)**2)",
        "a*exp(-(x/b)**2) + c*exp(-(x/d)**2)",
        "(a/b)*exp(-((x - c)/b)**2) + d*x",
        "a*sin(b*x) + c*sin(d*x)",
        "a*sin(b*x) + c*cos(b*x) + d",
        "a*(exp(-b*x) - exp(-c*x))",
        "a*b*c + d*x",
        "a*x/(b + x) + c*x/(d + x) + e",
        "a + b/(1 + ((x - c)/d)**2)",
        "a*exp(-b*x)*sin(c*x)",
        "a*atan(b*(x - c)) + d",
        "(a + b*x)/(1 + c*x)",
        "a*exp(b*x) + c*exp(-d*x)",
        "a/(1 + exp(b - c*x))",
        "sqrt(a**2 + (b*x)**2) + c",
        "a*cosh(b*x) + c*abs(d*x - e)",
    ],
)
def test_all_signed_permutations_that_there_are_and_no_others_are_claimed(text: str) -> None:
    names = graph(text).parameters
    assert generated(found(text), names) == brute_force(text, names)


def test_the_brute_force_sees_a_false_claim() -> None:
    names = ("a", "b", "c", "d")
    false = Symmetries(swaps=((("a", "c"),),))
    assert not generated(false, names) <= brute_force("a*exp(-b*x) + c*exp(-d*x)", names)


def test_only_free_parameters_move() -> None:
    assert not found("a*exp(-b*x) + c*exp(-d*x)", "d")
    assert found("a*exp(-((x - b)/c)**2) + d*exp(-((x - e)/f)**2)", "c").flips == (("f",),)
    assert found("a*sin(b*x + c)", "c").turns == ()
    assert found("a*sin(b*x + c)", "a").turns[0].amplitude is None


@pytest.mark.parametrize("name", certified.names("nonlinear"))
def test_the_symmetries_of_the_certified_problems_are_found(name: str) -> None:
    problem = certified.problem(name)
    formula = parse(problem.formula, list(problem.columns)).rhs
    said = symmetries(formula, formula.parameters)
    assert {frozenset(one) for one in said.flips} == {frozenset(one) for one in problem.symmetries.flip}
    terms = list(zip(*problem.symmetries.permute, strict=True))
    expected = {frozenset(map(frozenset, zip(p, q, strict=True))) for p, q in combinations(terms, 2)}
    assert exchanges(said.swaps) == expected


def test_a_large_formula_is_left_alone() -> None:
    text = " + ".join(f"a{k}*exp(-b{k}*x)" for k in range(21))
    assert symmetries(graph(text), graph(text).parameters) == Symmetries()


FORMULAS = (
    "a*exp(-b*x) + c*exp(-d*x) + e*exp(-f*x)",
    "a*exp(-((x - b)/c)**2) + d*exp(-((x - e)/f)**2) + g",
    "a*sin(b*x + c) + d",
    "a*cos(2*pi*x/b + c) + d*cos(2*pi*x/e + f)",
    "a*sin(2*pi*(x - b)/c) + d",
    "a*exp(-b*x)*sin(c*x + d) + e*exp(-f*x)*sin(g*x + h)",
    "a*(exp(-b*x) - exp(-c*x))",
    "a*exp(-b*x) - c*exp(-d*x) + e",
    "a*exp(b*x) + c*exp(-d*x)",
    "a*sin(b*x + c)*cos(d*x + e)",
    "a*sin(b*x + c)**2 + d",
    "a + b*cos(2*pi*x/c) + d*sin(2*pi*x/c) + e*cos(2*pi*x/f) + g*sin(2*pi*x/f)",
    "(a/b)*exp(-0.5*((x - c)/b)**2)",
    "a*b*exp(-c*x)",
)
X = np.random.default_rng(8).uniform(0.1, 3.0, 30)
NUMBERS = st.floats(0.05, 9.0).flatmap(lambda size: st.sampled_from([size, -size]))


def moved(draw: st.DataObject, said: Symmetries, names: tuple[str, ...], values: np.ndarray) -> np.ndarray:
    """The same function by another arrangement: some of the claims, one after the other."""
    now = dict(zip(names, values.tolist(), strict=True))
    for pairs, negated in (*((pairs, ()) for pairs in said.swaps), *said.crossed):
        if draw.draw(st.booleans()):
            for one, other in pairs:
                now[one], now[other] = now[other], now[one]
            for name in negated:
                now[name] = -now[name]
    for flip in said.flips:
        if draw.draw(st.booleans()):
            now |= {name: -now[name] for name in flip}
    for turn in said.turns:
        if isinstance(turn.period, float):
            now[turn.name] += draw.draw(st.integers(-3, 3)) * turn.period
            if turn.amplitude and draw.draw(st.booleans()):
                now[turn.name] += turn.period / 2
                now[turn.amplitude] = -now[turn.amplitude]
    return np.array([now[name] for name in names])


@pytest.mark.parametrize("text", FORMULAS)
@settings(max_examples=40)
@given(data=st.data())
def test_every_arrangement_settles_on_the_same_one(text: str, data: st.DataObject) -> None:
    names = graph(text).parameters
    said = symmetries(graph(text), names)
    values = np.array(data.draw(st.lists(NUMBERS, min_size=len(names), max_size=len(names), unique=True)))
    one = canonical(said, names, values)
    other = canonical(said, names, moved(data, said, names, values))
    assert one == pytest.approx(other, rel=1e-9, abs=1e-9) or on_the_edge(said, names, one)
    assert canonical(said, names, one).tolist() == one.tolist()
    before, after = value(text, names, values, X), value(text, names, one, X)
    assert np.abs(after - before).max() <= 1e-12 * np.abs(before).max()


def on_the_edge(said: Symmetries, names: tuple[str, ...], values: np.ndarray) -> bool:
    """Whether a phase lies where a turn, or half of one, begins: rounding decides on which side."""
    now = dict(zip(names, values, strict=True))
    periods = [(now[one.name], one.period) for one in said.turns if isinstance(one.period, float)]
    return any(abs(abs(value) / period % 0.25 - 0.125) > 0.125 - 1e-9 for value, period in periods)


@pytest.mark.parametrize("text", FORMULAS)
def test_the_canonical_order_is_positive_and_ascends(text: str) -> None:
    formula = graph(text)
    said = symmetries(formula, formula.parameters)
    for values in np.random.default_rng(3).uniform(-9, 9, (50, len(formula.parameters))):
        now = dict(zip(formula.parameters, canonical(said, formula.parameters, values), strict=True))
        assert all(now[one.first] >= 0.0 for one in said.reflections if one.names)
        for turn in said.turns:
            assert not isinstance(turn.period, float) or -turn.period / 2 < now[turn.name] <= turn.period / 2
        for pairs in said.swaps if text != "a*b*exp(-c*x)" else ():  # there the first is positive, and smaller in size
            first = next(name for name in said.order if name in dict(pairs))
            assert now[first] <= now[dict(pairs)[first]]


def arranged(text: str, lower: dict[str, float], upper: dict[str, float], **params: float) -> dict[str, float]:
    formula = graph(text)
    said = symmetries(formula, formula.parameters)
    low, high = (
        np.array([given.get(name, end) for name in formula.parameters])
        for given, end in ((lower, -math.inf), (upper, math.inf))
    )
    values = np.array([params[name] for name in formula.parameters])
    return dict(zip(formula.parameters, canonical(said, formula.parameters, values, low, high).tolist(), strict=True))


def test_nothing_leaves_its_bounds() -> None:
    two = "a*exp(-b*x) + c*exp(-d*x)"
    kept = {"a": 1.0, "b": 5.0, "c": 2.0, "d": 3.0}
    assert arranged(two, {}, {}, **kept) == {"a": 2.0, "b": 3.0, "c": 1.0, "d": 5.0}
    assert arranged(two, {"b": 4.0}, {}, **kept) == kept
    assert arranged(two, {}, {"c": 1.5}, **(kept | {"c": 1.2, "a": 1.7})) == kept | {"c": 1.2, "a": 1.7}
    assert arranged(two, {"b": 2.0, "d": 2.0}, {}, **kept) == {"a": 2.0, "b": 3.0, "c": 1.0, "d": 5.0}
    assert arranged("a*exp(-(x/b)**2)", {}, {"b": -1.0}, a=1.0, b=-2.0) == {"a": 1.0, "b": -2.0}
    wave = "a*sin(b*x + c)"
    turned = arranged(wave, {"c": 0.0}, {"c": 2 * math.pi}, a=1.0, b=1.0, c=5.0)
    assert turned == {"a": 1.0, "b": 1.0, "c": 5.0}
    assert arranged(wave, {"c": 0.0}, {"c": 2 * math.pi}, a=-1.0, b=1.0, c=1.0) == {
        "a": 1.0, "b": 1.0, "c": pytest.approx(1.0 + math.pi, rel=1e-15)
    }  # fmt: skip


def test_equal_terms_ascend_by_their_first_nonlinear_parameter() -> None:
    peaks = "a*exp(-((x - b)/c)**2) + d*exp(-((x - e)/f)**2)"
    out = arranged(peaks, {}, {}, a=1.0, b=7.0, c=-2.0, d=9.0, e=3.0, f=0.5)
    assert out == {"a": 9.0, "b": 3.0, "c": 0.5, "d": 1.0, "e": 7.0, "f": 2.0}


def test_zero_has_no_sign() -> None:
    out = arranged("a*sin(b*x)", {}, {}, a=0.0, b=-2.0)
    assert (out["b"], math.copysign(1.0, out["a"])) == (2.0, 1.0)


def test_a_wave_without_a_frequency_keeps_its_place() -> None:
    values = {"a": -1.0, "b": 0.0, "c": 2.0}
    assert arranged("a*sin(b*(x - c))", {}, {}, **values) == values


@pytest.mark.parametrize(
    ("text", "slope"),
    [
        ("low + (high - low)/(1 + exp(-k*(x - m)))", "k"),
        ("low + (high - low)/(1 + (m/x)**k)", "k"),
        ("low + (high - low)/(1 + 10**((m - x)*k))", "k"),
        ("low + (high - low)*(1 + erf(k*(x - m)))/2", "k"),
    ],
)
def test_the_plateaus_of_a_sigmoid_settle_on_a_positive_slope(text: str, slope: str) -> None:
    # This used to be whichever of the two the search met: one curve of seventy rose from high to low.
    other = {"low": 9.0, "high": 1.0, "m": 2.0, slope: -3.0}
    assert arranged(text, {}, {}, **other) == {"low": 1.0, "high": 9.0, "m": 2.0, slope: 3.0}
    assert arranged(text, {slope: -5.0}, {slope: -1.0}, **other) == other
    assert arranged(text.replace("high - low", "2*high - low"), {}, {}, **other) == other

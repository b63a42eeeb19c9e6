"""Where parameters stand in a formula: what a place says, against the argument of the operation itself.

The stranger is Python's own reader of formulas, with NumPy: nothing of the walk up the graph is used to judge it.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from katamuki.backends.numpy_ import evaluate
from katamuki.formula import parse
from katamuki.graph import Graph
from katamuki.search.places import CIRCULAR, GROWING, SATURATING, Numbers, Role, linear_parameters, roles
from random_formulas import graphs

Array = NDArray[np.float64]
NAMES = ("exp", "expm1", "log", "log10", "sin", "cos", "tan", "tanh", "sqrt", "abs", "where", "minimum", "maximum")
STRANGER = {name: getattr(np, name) for name in NAMES} | {"pi": math.pi, "atan": np.arctan}
ROWS = 40


def graph(text: str) -> Graph:
    return parse(f"y ~ {text}", ["x", "z", "y"]).rhs


def data(seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {"x": rng.uniform(0.5, 2.0, ROWS), "z": rng.uniform(0.5, 2.0, ROWS)}


def value(python: str, known: dict[str, float], columns: dict[str, Array]) -> Array:
    """The formula by Python's own reader and NumPy (n,)."""
    numbers = {name: np.float64(one) for name, one in known.items()}  # of which powers have no complex values
    with np.errstate(all="ignore"):
        found = eval(python, {"__builtins__": {}}, STRANGER | numbers | columns)
    return np.broadcast_to(np.asarray(found, dtype=np.float64), ROWS)


# --- places ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Argument:
    """What an operation is applied to, as Python reads it; ``rows`` are those in which the parameter gets so far.

    ``known``: nothing was left out before it.
    """

    op: str
    python: str
    rows: str
    known: bool


@dataclass(frozen=True)
class Chain:
    """A formula in which ``t`` stands once, and the arguments of the operations above it."""

    text: str
    python: str
    arguments: tuple[Argument, ...] = ()
    rows: str = "x > 0"
    added: bool = False
    known: bool = True

    def then(self, op: str, text: str, python: str, argument: str | None = None, **more: object) -> Chain:
        """The chain one operation further on; ``argument`` is remembered, the whole inside by default."""
        inside = self.python if argument is None else argument
        new = () if op == "" else (Argument(op, inside, self.rows, self.known),)
        return replace(
            self,
            text=text.format(self.text),
            python=python.format(self.python),
            arguments=(*self.arguments, *new),
            **more,  # type: ignore[arg-type]
        )


# Free of t and positive, as the grammar and as Python write it.
OTHERS = [("a", "a"), ("x", "x"), ("1.7", "1.7"), ("(b*x)", "(b*x)"), ("(a + z)", "(a + z)"), ("x^2", "x**2")]
FUNCTIONS = ("exp", "expm1", "log", "log10", "sin", "cos", "tan", "tanh", "atan", "sqrt", "abs")
STEPS = ("+o", "-o", "o+", "o-", "neg", "*o", "o*", "/o", "o/", "^2", "^3", "^-1", "^o", "^1.5", "o^", "min", "if", "<")


def taken(here: Chain, step: str, other: tuple[str, str]) -> Chain:
    """The chain after one step."""
    o, p = other
    if step in FUNCTIONS:
        more: dict[str, object] = {"rows": f"({here.rows}) & ({here.python} > 0)"} if step == "abs" else {}
        if step == "sqrt":
            more = {"added": False, "known": here.known and not here.added}
        if step in {"exp", "expm1"}:
            more = {"added": False}  # what was added has become a factor, or the way ends here
        return here.then(step, f"{step}({{0}})", f"{step}({{0}})", **more)
    if step == "neg":
        return here.then("", "(-{0})", "(-{0})")
    if step in {"+o", "-o"}:
        return here.then("", f"({{0}} {step[0]} {o})", f"({{0}} {step[0]} {p})", added=True)
    if step in {"o+", "o-"}:
        return here.then("", f"({o} {step[1]} {{0}})", f"({p} {step[1]} {{0}})", added=True)
    if step in {"*o", "/o"}:
        return here.then("", f"({{0}}{step[0]}{o})", f"({{0}}{step[0]}({p}))")
    if step == "o*":
        return here.then("", f"({o}*{{0}})", f"(({p})*{{0}})")
    if step == "o/":
        return here.then("div", f"({o}/{{0}})", f"(({p})/{{0}})", added=False, known=here.known and not here.added)
    if step in {"^2", "^3", "^-1"}:
        return here.then(
            "square",
            f"({{0}}^({step[1:]}))",
            f"({{0}}**({step[1:]}.0))",
            added=False,
            known=here.known and not here.added,
        )
    if step in {"^o", "^1.5"}:
        o, p = (o, p) if step == "^o" else ("1.5", "1.5")
        return here.then("base", f"({{0}}^({o}))", f"({{0}}**({p}))", added=False, known=here.known and not here.added)
    if step == "o^":
        return here.then("exponent", f"(({o})^{{0}})", f"(({p})**{{0}})", f"(log({p})*{here.python})", added=False)
    if step == "min":
        rows = f"({here.rows}) & ({here.python} < {p})"
        return here.then("compare", f"min({{0}}, {o})", f"minimum({{0}}, {p})", f"({here.python} - ({p}))", rows=rows)
    if step == "if":
        rows = f"({here.rows}) & (z < x)"
        return here.then("", f"({{0}} if z < x else {o})", f"where(z < x, {{0}}, {p})", rows=rows)
    return here.then("compare", f"({{0}} < {o})", f"(1.0*({{0}} < {p}))", f"({here.python} - ({p}))")


def chain_of(steps: list[tuple[str, tuple[str, str]]]) -> Chain:
    here = Chain("t", "t")
    for step, other in steps:
        here = taken(here, step, other)
    return here.then("output", "{0}", "{0}")


def psi(place: Numbers, known: dict[str, float], columns: dict[str, Array]) -> tuple[Array, Array, Array]:
    """ψ, g and h of a place, at these values."""
    power, inner, g, h = evaluate(place.graph, columns, known)
    with np.errstate(all="ignore"):
        return (np.exp(inner * known["t"]) if place.has_inner else known["t"] ** power), g, h


def agrees(place: Numbers, argument: Argument, seed: int) -> bool | None:
    """Whether ψ·g + h is the operation's argument, wherever that has a value; None where it has none.

    Where the offset was left out because it does not matter, it must be the same at two values of t.
    """
    rng, columns = np.random.default_rng(seed), data(seed)
    known = {name: float(rng.uniform(0.5, 2.0)) for name in ("a", "b", "t")}
    other = known | {"t": float(rng.uniform(0.5, 2.0))}
    with np.errstate(all="ignore"):
        here, there = value(argument.python, known, columns), value(argument.python, other, columns)
        rows = (value(argument.rows, known, columns) > 0) & (value(argument.rows, other, columns) > 0)
        (one, g, h), (two, _, _) = psi(place, known, columns), psi(place, other, columns)
        steep = place.op in CIRCULAR | GROWING | SATURATING and place.factor_varies
        size = np.abs(here) + np.abs(there) + np.abs(one * g) + np.abs(two * g) + np.abs(h)
        rows &= np.isfinite(size) & (size < 1e100)
        off = (here - there) - (one - two) * g if steep else here - (one * g + h)
        return bool((np.abs(off[rows]) <= 1e-9 * size[rows]).all()) if rows.any() else None


def place_of(text: str, name: str = "t", linear: Collection[str] = ()) -> Role:
    return roles(graph(text), [name], linear)[0]


@settings(max_examples=250)
@given(
    st.lists(st.tuples(st.sampled_from(STEPS + FUNCTIONS), st.sampled_from(OTHERS)), min_size=1, max_size=6),
    st.integers(0, 999),
)
def test_psi_times_g_plus_h_is_what_the_operation_is_applied_to(
    steps: list[tuple[str, tuple[str, str]]], seed: int
) -> None:
    whole = chain_of(steps)
    seen: list[bool | None] = []
    for place in place_of(whole.text).places:
        here = [one for one in whole.arguments if one.op == place.op]
        judged = [agrees(place, one, seed) for one in here if one.known]
        seen += judged
        # what follows a sum that was left out of a denominator is only what is meant
        assert True in judged or None in judged or not all(one.known for one in here), (whole.text, place.op)
        assert here, (whole.text, place.op)
    assume(True in seen)


@pytest.mark.parametrize(
    ("text", "op", "python"),
    [
        ("a*exp(-t*x)", "exp", "-t*x"),
        ("a*exp(-x/t)", "exp", "-x/t"),
        ("a*exp(-(x - b)^2/(2*t^2))", "exp", "-(x - b)**2/(2*t**2)"),
        ("a*exp(-((x - b)/t)^2/2)", "exp", "-((x - b)/t)**2/2"),
        ("a*exp(-((x - t)/b)^2/2)", "square", "(x - t)/b"),
        ("a*2^(x/t)", "exponent", "x/t*log(2)"),
        ("a*x^t", "exponent", "log(x)*t"),
        ("a*exp(-(x/t)^b)", "exp", "-(x/t)**b"),
        ("a*x/(t + x)", "div", "t + x"),
        ("a*x^t/(b^t + x^t)", "exponent", "log(x)*t"),
        ("a*x^b/(t^b + x^b)", "div", "t**b + x**b"),
        ("a/(1 + exp(-b*(x - t)))", "exp", "-b*(x - t)"),
        ("a*log(x - t)", "log", "x - t"),
        ("a*(x + t)^b", "base", "x + t"),
        ("a*sin(2*pi*x/t + b)", "sin", "2*pi*x/t"),
        ("a*cos(b*x + t)", "cos", "b*x + t"),
        ("a*(x > t)", "compare", "t - x"),
        ("a + b*abs(x - t)", "abs", "x - t"),
        ("a*sqrt(t^2 + x^2)", "sqrt", "t**2 + x**2"),
        ("a*tanh(x/t)", "tanh", "x/t"),
        ("exp(t)*exp(b*x)", "output", "exp(t)*exp(b*x)"),
        ("a*b*t", "output", "a*b*t"),
    ],
)
def test_formulas_of_the_sciences_have_the_place_that_a_reader_would_name(text: str, op: str, python: str) -> None:
    first = place_of(text).places[0]
    assert first.op == op
    for seed in range(3):
        assert agrees(first, Argument(op, python, "x > 0", True), seed), text


def test_the_comparison_sees_a_wrong_place() -> None:
    first = place_of("a*exp(-(x - b)^2/(2*t^2))").places[0]
    right = Argument("exp", "-(x - b)**2/(2*t**2)", "x > 0", True)
    assert agrees(first, right, 0)
    assert agrees(first, replace(right, python="-(x - b)**2/t**2"), 0) is False
    assert agrees(first, replace(right, python="-(x - b)**2/(2*t)"), 0) is False
    offset = place_of("a*log(x - t)").places[0]
    assert agrees(offset, Argument("log", "x - 2*t", "x > 0", True), 0) is False
    assert agrees(offset, Argument("log", "2*x - t", "x > 0", True), 0) is False


@pytest.mark.parametrize("square", ["t*t", "t^2", "-t*(-t)", "t*t*1"])
def test_a_square_is_a_square_however_it_is_written(square: str) -> None:
    first = place_of(f"a*exp(-(x - b)^2/({square}))").places[0]
    assert agrees(first, Argument("exp", "-(x - b)**2/t**2", "x > 0", True), 0)


def test_what_is_solved_for_is_left_out_where_the_formula_ends() -> None:
    known, solved = place_of("exp(t)*x + a*b*x").places[0], place_of("exp(t)*x + a*b*x", linear=["a"]).places[0]
    whole = Argument("output", "exp(t)*x + a*b*x", "x > 0", True)
    assert agrees(known, whole, 0)
    assert agrees(solved, whole, 0) is False
    assert agrees(solved, replace(whole, python="exp(t)*x"), 0)


def test_a_sum_left_out_of_a_denominator_is_meant_to_be_nothing() -> None:
    last = place_of("a/(1 + t*x)").places[-1]
    assert last.op == "output"
    assert agrees(last, Argument("output", "a/(t*x)", "x > 0", True), 0)


@settings(max_examples=80)
@given(graphs(), st.integers(0, 99))
def test_factor_and_offset_do_not_depend_on_the_parameter_and_vary_as_they_are_said_to(
    formula: Graph, seed: int
) -> None:
    linear = linear_parameters(formula, formula.parameters)
    names = [one for one in formula.parameters if one not in linear]
    rng = np.random.default_rng(seed)
    known = {name: float(rng.uniform(0.5, 2.0)) for name in formula.parameters}
    found = roles(formula, names, linear)
    assert sorted(one.name for one in found) == sorted(names)
    for role in found:
        for place in role.places:
            assert role.name not in place.reads
            assert place.needs == set(place.reads) - set(linear)
            _, _, g, h = evaluate(place.graph, data(seed), known)
            for one, varies in ((g, place.factor_varies), (h, place.offset_varies)):
                assert varies or len(set(one.tolist())) == 1 or bool(np.isnan(one).all())


# --- order ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ops"),
    [
        ("a*t*x + b*sin(t*x) + exp(t*x)", ["sin", "exp", "output"]),
        ("a*log(x + t) + exp(-t*x)", ["exp", "log"]),
        ("a/(t + x) + t*x", ["div", "output", "output"]),
        ("a*(x - t)*(x > t)", ["compare", "output"]),
    ],
)
def test_the_place_that_says_most_stands_first(text: str, ops: list[str]) -> None:
    assert [one.op for one in place_of(text).places] == ops


@pytest.mark.parametrize(
    ("text", "turns", "shifts"),
    [
        ("a*sin(t*x + b)", True, False),
        ("a*sin(2*pi*x/t + b)", True, False),
        ("a*sin(b*x + t)", False, True),
        ("a*cos(b*(x - t))", False, True),
        ("a*exp(-t*x)*sin(b*x)", False, False),
        ("a*sin(t) + b*x", False, True),
        ("a*sin(t*x^2)", True, False),
    ],
)
def test_frequencies_and_phases_are_known(text: str, turns: bool, shifts: bool) -> None:
    role = place_of(text)
    assert (role.turns, role.shifts) == (turns, shifts)


def ordered(found: tuple[Role, ...]) -> bool:
    """Whether each stands after those that it needs, or all that are left need each other."""
    for k in range(len(found)):
        left = {one.name for one in found[k:]}
        met = [not one.places or not one.places[0].needs & left for one in found[k:]]
        if any(met) and not met[0]:
            return False
    return True


@settings(max_examples=60)
@given(graphs())
def test_a_role_comes_after_those_that_it_needs(formula: Graph) -> None:
    linear = linear_parameters(formula, formula.parameters)
    assert ordered(roles(formula, [one for one in formula.parameters if one not in linear], linear))


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("a*exp(-((x - m)/w)^2)*1", "w", None),
        ("a*exp(-(x - m)^2/w^2)", "m", "w"),
        ("a*(x + c)^b", "c", "b"),
        ("a*sin(f*x + p)", "f", "p"),
    ],
)
def test_what_another_needs_comes_first(text: str, first: str, second: str | None) -> None:
    formula = graph(text)
    linear = linear_parameters(formula, formula.parameters)
    found = roles(formula, [one for one in formula.parameters if one not in linear], linear)
    assert ordered(found)
    if second is not None:
        assert [one.name for one in found] == [first, second]
        assert not ordered(found[::-1])


def test_a_formula_of_very_many_ways_up_is_walked_in_part() -> None:
    text = "t*x"
    for _ in range(20):
        text = f"tanh({text}) + x*exp(-({text})^2)" if len(text) < 500 else f"tanh({text})"
    role = place_of(text)
    assert 0 < len(role.places) <= 48

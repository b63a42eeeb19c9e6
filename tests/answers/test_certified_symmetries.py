"""Which parameters of the certified models may change places or signs: all that may, and no others, judged by SymPy."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Any

import mpmath
import pytest
import sympy

from katamuki.certified import Symmetries, arrangements, counted, names, problem

Arranged = Mapping[str, tuple[str, int]]
NONLINEAR = names("nonlinear")


@functools.cache
def model(name: str) -> Callable[..., Any]:
    """The right side as a function of parameters and columns, by SymPy."""
    p = problem(name)
    symbols = {one: sympy.Symbol(one) for one in (*p.params, *p.columns)}
    right = sympy.sympify(p.formula.split("~")[1].replace("0.5", "Rational(1, 2)"), locals=symbols)
    return sympy.lambdify(list(symbols.values()), right, "mpmath", cse=True)  # type: ignore[no-any-return]


def unchanged(name: str, arranged: Arranged) -> bool:
    """Whether a model keeps its value at three points when parameters are arranged otherwise."""
    p, function = problem(name), model(name)
    with mpmath.workdps(40):
        values = {b: mpmath.mpf(3 + k) / 7 + mpmath.sqrt(k + 5) / 10 for k, b in enumerate(p.params)}
        moved = {b: sign * values[c] for b, (c, sign) in arranged.items()}
        for x in (0.7, 1.3, 2.9):
            row = [mpmath.mpf(x) + k for k in range(len(p.columns))]
            one, two = function(*values.values(), *row), function(*moved.values(), *row)
            if abs(one - two) > abs(one) * mpmath.mpf("1e-30"):
                return False
    return True


def swaps(left: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Every way of exchanging some names pairwise."""
    if not left:
        yield {}
        return
    for rest in swaps(left[1:]):
        yield rest
    for one in left[1:]:
        for rest in swaps(tuple(b for b in left[1:] if b != one)):
            yield {left[0]: one, one: left[0], **rest}


@pytest.mark.parametrize("name", NONLINEAR)
def test_every_arrangement_leaves_the_model_as_it_is(name: str) -> None:
    p = problem(name)
    found = list(arrangements(p.symmetries, tuple(p.params)))
    assert found[0] == {b: (b, 1) for b in p.params}
    assert all(unchanged(name, one) for one in found)
    assert len({tuple(one.items()) for one in found}) == len(found)


@pytest.mark.parametrize("name", NONLINEAR)
def test_no_other_signs_and_no_other_exchange_do(name: str) -> None:
    p = problem(name)
    known = [
        {b: moved for b, moved in one.items() if moved != (b, 1)} for one in arrangements(p.symmetries, (*p.params,))
    ]
    flips = [{b: (b, -1) for b in some} for k in range(1, len(p.params) + 1) for some in combinations(p.params, k)]
    exchanges = [{b: (c, 1) for b, c in swap.items()} for swap in swaps((*p.params,)) if swap]
    for moved in (*flips, *exchanges):
        arranged = {b: (b, 1) for b in p.params} | moved
        assert unchanged(name, arranged) == (moved in known), moved


def test_a_symmetry_that_is_none_is_found_out() -> None:
    assert not unchanged("Misra1a", {"b1": ("b1", -1), "b2": ("b2", -1)})
    assert not unchanged("ENSO", {b: (b, -1 if b == "b4" else 1) for b in problem("ENSO").params})
    assert not unchanged("Lanczos1", {b: ({"b1": "b3", "b3": "b1"}.get(b, b), 1) for b in problem("Lanczos1").params})


def test_the_number_of_arrangements_is_the_size_of_the_group() -> None:
    sizes = {name: len(list(arrangements(problem(name).symmetries, ()))) for name in names()}
    assert {name: size for name, size in sizes.items() if size > 1} == {
        "ENSO": 8, "Eckerle4": 2, "Gauss1": 8, "Gauss2": 8, "Gauss3": 8,
        "Lanczos1": 6, "Lanczos2": 6, "Lanczos3": 6, "MGH17": 2,
    }  # fmt: skip


@pytest.mark.parametrize("name", names())
def test_the_certified_answer_counts_in_every_arrangement_and_its_error_bars_go_along(name: str) -> None:
    p = problem(name)
    for one in arrangements(p.symmetries, (*p.params,)):
        moved = {whose: sign * p.params[b] for b, (whose, sign) in one.items()}
        bars = {whose: p.stderr[b] for b, (whose, _) in one.items()}
        found = counted(p, moved, bars)
        assert min(*found.digits.values(), *found.stderr_digits.values()) > 15.3
        assert (
            list(found.params)
            == list(found.stderr)
            == list(found.digits)
            == list(found.stderr_digits)
            == list(p.params)
        )


def test_an_arrangement_that_is_none_does_not_count() -> None:
    p = problem("Lanczos3")
    swapped = p.params | {"b1": p.params["b3"], "b3": p.params["b1"]}  # amplitudes without their rates
    assert min(counted(p, swapped, p.stderr).digits.values()) < 1
    p = problem("Misra1a")
    assert min(counted(p, {b: -value for b, value in p.params.items()}, p.stderr).digits.values()) < 0
    p = problem("ENSO")
    assert (
        counted(p, p.params | {"b4": -p.params["b4"]}, p.stderr).params["b4"] < 1
    )  # the sine's amplitude did not flip


def test_an_error_bar_of_another_term_does_not_count() -> None:
    p = problem("MGH17")
    bars = p.stderr | {"b4": p.stderr["b5"], "b5": p.stderr["b4"]}
    found = counted(p, p.params, bars)
    assert min(found.digits.values()) > 15
    assert found.stderr_digits["b4"] < 1 < found.stderr_digits["b1"]
    assert counted(p, p.params, p.stderr | {"b1": None}).stderr_digits["b1"] == -math.inf
    assert counted(p, p.params | {"b1": math.nan}, p.stderr).digits["b1"] == -math.inf


def test_linear_problems_have_no_symmetries() -> None:
    assert {problem(name).symmetries for name in names("linear")} == {Symmetries()}

"""The gallery of hard problems from nothing: how many reach the best known RSS, over five seeds each.

The best known RSS comes from SciPy and many starts (``tools/gallery.py``), never from katamuki. A fit hits if its RSS
is within 1e-6 of it, relative; an RSS lower than that says that the best known is wrong, and fails. The misses may be
few, and none of them may call itself good. ``python -m pytest -s`` prints them.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
import warnings
from dataclasses import replace
from typing import NamedTuple

import pytest
from gallery import Problem, names, problem

import katamuki as km

SEEDS = range(5)
CLOSE = 1e-6  # relative, of the RSS
SHARE = 0.95  # of all fits
PROMISED = (
    *("growth", "binding and enzymes", "dose and response", "oscillations", "exponentials", "peaks", "physics"),
    *("broken lines", "published table"),
)


class Result(NamedTuple):
    """One fit from nothing: the RSS where it ended, and what it says of itself."""

    name: str
    seed: int
    rss: float
    best: float
    verdict: str  # a fit's, or "NotConverged"
    findings: tuple[str, ...] = ()

    @property
    def excess(self) -> float:
        """How far above the best known, relative; negative: below."""
        return self.rss / self.best - 1.0

    @property
    def hit(self) -> bool:
        return self.verdict != "NotConverged" and abs(self.excess) <= CLOSE

    def __str__(self) -> str:
        remarks = f"   {' '.join(self.findings)}" if self.findings else ""
        return f"{self.name:30} seed {self.seed}   RSS/best {1 + self.excess:.9g}   {self.verdict}{remarks}"


@functools.cache
def fitted(name: str, seed: int) -> Result:
    """One problem from nothing."""
    p = problem(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)  # what it warns of is counted as its verdict
        try:
            fit = km.fit(p.formula, p.columns, seed=seed)
        except km.NotConverged as error:
            return Result(name, seed, math.nan if error.fit is None else error.fit.rss, p.rss, "NotConverged")
    codes = tuple(one.code for one in fit.findings)
    return Result(name, seed, fit.rss, p.rss, fit.verdict, codes)


def flaws(results: list[Result]) -> list[str]:
    """What is wrong with the gallery's results; nothing if nothing is."""
    misses = [one for one in results if not one.hit]
    found = [f"good and wrong: {one}" for one in misses if one.verdict == "good"]
    found += [f"the best known is not the best: {one}" for one in results if one.excess < -CLOSE]
    if len(misses) > (1 - SHARE) * len(results):
        found.append(f"{len(misses)} of {len(results)} miss")
    return found


def test_from_nothing_the_best_known_answers_are_found() -> None:
    results = [fitted(name, seed) for name, seed in itertools.product(names(), SEEDS)]
    misses = [one for one in results if not one.hit]
    print(f"\n{len(results) - len(misses)} of {len(results)} fits reach the best known RSS", *misses, sep="\n  ")
    assert flaws(results) == []


def test_a_wrong_answer_is_found_out() -> None:
    right = [Result("one", seed, 2.0 * (1 + 0.9e-6), 2.0, "good") for seed in range(40)]
    assert flaws(right) == []
    few = [*right, Result("two", 0, 2.1, 2.0, "look"), Result("two", 1, math.nan, 2.0, "NotConverged")]
    assert flaws(few) == []
    assert flaws([*few, Result("two", 2, 2.1, 2.0, "look")]) == ["3 of 43 miss"]
    assert "good and wrong" in flaws([*right, Result("two", 0, 2.0 * (1 + 1.1e-6), 2.0, "good")])[0]
    assert "not the best" in flaws([*right, Result("two", 0, 2.0 * (1 - 1.1e-6), 2.0, "look")])[0]
    assert not Result("two", 0, 2.0, 2.0, "NotConverged").hit


# --- the figures of the gallery ----------------------------------------------------------------------------------


def rss_of(p: Problem, params: dict[str, float]) -> float:
    """Σ (left − right)², row by row in plain Python: our own text, so that it may be run."""
    text = p.formula.replace("^", "**").replace("~", "=")
    assert not re.search(r"__|\w\.[a-z]", text)
    left, right = (compile(side.strip(), "gallery", "eval") for side in text.split("="))
    scope = {name: getattr(math, name) for name in ("exp", "log", "log10", "sqrt", "sin", "cos", "erf", "pi")}
    scope |= {"abs": abs, "max": max, "__builtins__": {}}
    rows = zip(*(column.tolist() for column in p.columns.values()), strict=True)
    scopes = ({**scope, **dict(zip(p.columns, row, strict=True)), **params} for row in rows)
    return math.fsum((eval(left, one) - eval(right, one)) ** 2 for one in scopes)


def test_the_judge_of_the_figures_computes_what_is_written() -> None:
    p = replace(problem("oxygen_demand"), formula="demand ~ max(a, 3)*day^2 - abs(b)")
    expected = sum((y - (4.0 * x * x - 2.0)) ** 2 for y, x in zip(p.columns["demand"], p.columns["day"], strict=True))
    assert rss_of(p, {"a": 4.0, "b": -2.0}) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("name", names())
def test_the_rss_is_that_of_the_parameters_to_ten_digits(name: str) -> None:
    p = problem(name)
    assert rss_of(p, dict(p.params)) == pytest.approx(p.rss, rel=1e-10)


@pytest.mark.parametrize("name", names())
def test_the_parameters_are_a_minimum(name: str) -> None:
    """A parabola through three points a thousandth of a standard error apart has its lowest point there."""
    p = problem(name)
    for parameter, error in p.stderr.items():
        down, here, up = (rss_of(p, {**p.params, parameter: p.params[parameter] + k * error}) for k in (-1e-3, 0, 1e-3))
        bend = up - 2 * here + down
        assert bend > 0, parameter
        assert abs(up - down) / 2 < 0.02 * bend, parameter


def test_another_point_is_no_minimum() -> None:
    p = problem("puromycin")
    spoiled = {**p.params, "K": p.params["K"] + 1e-4 * p.stderr["K"]}
    down, here, up = (rss_of(p, {**spoiled, "K": spoiled["K"] + k * p.stderr["K"]}) for k in (-1e-3, 0, 1e-3))
    assert abs(up - down) / 2 > 0.02 * (up - 2 * here + down)


@pytest.mark.parametrize("name", [name for name in names() if problem(name).published])
def test_a_published_table_gives_the_published_answer(name: str) -> None:
    """A wrong cell would not: the answers were printed to three digits or more."""
    p = problem(name)
    assert p.published_params is not None
    for parameter, value in p.published_params.items():
        assert p.params[parameter] == pytest.approx(value, rel=1e-3, abs=0), parameter
    if p.published_rss is not None:
        assert p.rss == pytest.approx(p.published_rss, rel=1e-4)


def test_the_gallery_is_what_it_promises() -> None:
    every = [problem(name) for name in names()]
    assert len(every) >= 40
    assert {p.group for p in every} == set(PROMISED)
    assert {len(p.columns) for p in every} >= {2, 3}
    assert max(len(p.columns[next(iter(p.columns))]) for p in every) == 2000
    for p in every:
        assert p.source, p.name
        assert (p.seed is None) == p.published
        found, starts = (sum(column) for column in zip(*p.reached.values(), strict=True))
        assert starts >= 300, p.name
        assert found >= 5, f"{p.name}: reached from {found} starts only"
        assert sum(count > 0 for count, _ in p.reached.values()) >= 2, f"{p.name}: reached by one method only"
        assert set(p.params) == set(p.stderr)


def test_the_scales_are_far_apart() -> None:
    sizes = [abs(value) for name in names() for value in problem(name).params.values()]
    assert min(sizes) < 1e-9
    assert max(sizes) > 1e13
    assert max(float(column.max()) for name in names() for column in problem(name).columns.values()) > 1.6e9

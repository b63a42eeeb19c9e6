"""Every number that a story of a step shows follows from numbers shown above it, to the digits shown."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import katamuki as km
from intervals import Interval, evaluate, printed
from katamuki.graph import Graph
from katamuki.graph import text as text_of
from random_formulas import graphs
from story_reader import claims

FORMULAS = {
    "y ~ a*x + b": {"a": 0.5, "b": 0.5},
    "y ~ a*exp(-b*x) + c": {"a": 1.5, "b": 0.3, "c": 0.2},
    "y ~ a*sin(b*x) + c": {"a": 1.2, "b": 0.7, "c": 0.1},
    "y ~ a/(b + x)": {"a": 2.0, "b": 1.5},
    "y ~ a*x**b": {"a": 1.1, "b": 0.6},
    "y ~ a*a*x + a - b": {"a": 0.7, "b": 0.4},
    "y ~ sqrt(a*x + b)": {"a": 1.3, "b": 0.8},
    "y ~ a*exp(-b*x)*cos(c*x + d)": {"a": 1.5, "b": 0.2, "c": 1.9, "d": 0.3},
    "y ~ a*x if x > 2 else b*x**2": {"a": 0.5, "b": 0.3},
    "log(y) ~ a + b*x": {"a": 0.1, "b": 0.2},
    "y ~ lr*x + weight_decay": {"lr": 0.5, "weight_decay": 0.5},
    "y ~ g*x + eta*exp(-step*x)": {"g": 0.1, "eta": 0.5, "step": 0.3},
}
SOLVERS = [
    km.SGD(lr=1e-3, steps=12),
    km.SGD(lr=1e-3, momentum=0.9, nesterov=True, weight_decay=0.01, steps=12),
    km.SGD(lr=1e-3, momentum=0.8, dampening=0.3, steps=12),
    km.ASGD(lr=1e-3, t0=2.0, weight_decay=0.1, steps=12),
    km.Rprop(lr=1e-3, steps=12),
    km.Adagrad(lr=1e-2, lr_decay=0.1, steps=12),
    km.Adadelta(steps=12),
    km.RMSprop(lr=1e-3, steps=12),
    km.RMSprop(lr=1e-3, centered=True, momentum=0.5, weight_decay=0.1, steps=12),
    km.Adam(lr=1e-3, steps=12),
    km.Adam(lr=1e-3, amsgrad=True, weight_decay=0.1, steps=12),
    km.AdamW(lr=1e-3, weight_decay=0.1, steps=12),
    km.Adamax(lr=1e-3, steps=12),
    km.NAdam(lr=1e-3, steps=12),
    km.RAdam(lr=1e-3, steps=12),
]


def fitted(formula: str, solver: object, n: int, weighted: bool, seed: int) -> km.Fit:
    """A short run on made-up data."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(0.3, 5.0, n)).round(2)
    y = (2.0 + np.exp(-0.4 * x) + 0.3 * rng.standard_normal(n)).round(3)
    weights = rng.uniform(0.5, 2.0, n).round(2) if weighted else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        try:
            return km.fit(formula, {"x": x, "y": y}, solver=solver, start=FORMULAS[formula], weights=weights)  # type: ignore[arg-type]
        except km.NotConverged as error:
            return error.fit  # type: ignore[return-value]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    formula=st.sampled_from(sorted(FORMULAS)),
    solver=st.sampled_from(SOLVERS),
    n=st.integers(5, 24),
    weighted=st.booleans(),
    seed=st.integers(0, 10_000),
    data=st.data(),
)
def test_what_a_story_shows_follows_from_what_stands_above_it(
    formula: str, solver: object, n: int, weighted: bool, seed: int, data: st.DataObject
) -> None:
    fit = fitted(formula, solver, n, weighted, seed)
    step = fit.step(data.draw(st.integers(1, fit.solution.steps)))
    text = step.explain(row=data.draw(st.integers(1, n)))
    found = list(claims(text))
    wrong = [one for one in found if not one.holds]
    assert not wrong, f"{text}\n{wrong}"
    assert len(found) > 4 * min(n, 10)
    told = sum(one.tells for one in found)
    assert told > 0.7 * len(found)  # the digits determine it, apart from what cancels


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("formula", FORMULAS)
def test_every_formula_with_every_solver_is_read(formula: str, solver: object) -> None:
    fit = fitted(formula, solver, 8, False, 1)
    for k in (1, 2, 11):
        for one in claims(fit.step(k).explain()):
            assert one.holds, (one, fit.step(k).explain())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graph=graphs(depth=3), seed=st.integers(0, 1000))
def test_the_story_of_any_formula_follows_from_itself(graph: Graph, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = {name: rng.uniform(0.5, 1.5, 6).round(2) for name in (*graph.columns, "y")}
    start = {name: round(float(rng.uniform(0.5, 1.5)), 2) for name in graph.parameters}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", km.FitWarning)
            solver = km.Adam(lr=1e-3, steps=2)
            fit = km.fit(f"y ~ {text_of(graph, graph.outputs[0])}", data, start=start, solver=solver)
    except km.KatamukiError:
        return  # a formula without a value, or without a parameter
    text = fit.step(2).explain(row=4)
    wrong = [one for one in claims(text) if not one.holds]
    assert not wrong, f"{text}\n{wrong}"


def test_a_wrong_digit_is_noticed_wherever_it_stands() -> None:
    """One number after the other is made wrong in its fourth digit: nearly all follow from others and are noticed."""
    fit = fitted("y ~ a*exp(-b*x) + c", km.Adam(lr=1e-3, steps=12), 6, True, 3)
    text = fit.step(2).explain()
    numbers = list(re.finditer(r"(?<![\w.])\d\.\d{4,}(?![e\d])", text))
    noticed = 0
    for one in numbers:
        digit = str((int(one[0][4]) + 5) % 10)
        wrong = text[: one.start() + 4] + digit + text[one.start() + 5 :]
        noticed += any(not claim.holds for claim in claims(wrong))
    assert len(numbers) > 60
    assert noticed > 0.85 * len(numbers)


def matrix(rows: list[list[str]]) -> list[list[Interval]]:
    return [[printed(one) for one in row] for row in rows]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_an_attempt_of_levenberg_marquardt_is_solved_again_from_its_numbers(k: int, weighted: bool) -> None:
    fit = fitted("y ~ a*exp(-b*x) + c", km.LevenbergMarquardt(), 9, weighted, 5)
    text = fit.step(k).explain()
    part = text[text.index("3  Optimizer") : text.index("4  New")]
    for one in claims(text):
        assert one.holds, one
    rows = [line.split() for line in part.splitlines() if re.match(r" +\d+( +[−\d]\S*){4}$", line)]
    slopes = matrix([row[1:4] for row in rows])
    r = matrix([row[4:5] for row in rows])
    weights = [printed(one) for one in re.findall(r"^ +\d+ +\S+ +\S+ +(\S+)", text, re.M)[:9]] if weighted else None
    system = matrix([line.split()[1:] for line in part.splitlines() if re.match(r"     [abc] ", line)])
    one = Interval(1.0, 1.0)
    for i in range(3):
        for j in range(3):
            total = Interval(0.0, 0.0)
            for row in range(9):
                total = total + (weights[row] if weights else one) * slopes[row][i] * slopes[row][j]
            assert total.holds(system[i][j])
        right = Interval(0.0, 0.0)
        for row in range(9):
            right = right + (weights[row] if weights else one) * slopes[row][i] * r[row][0]
        assert right.holds(system[i][4])
    damping = printed(re.search(r"damping = (\S+)\n", part)[1])  # type: ignore[index]
    delta = [printed(one) for one in re.findall(r"[abc] (\S+)", re.search(r"^   δ = .*", part, re.M)[0])]  # type: ignore[index]
    promised = Interval(0.0, 0.0)
    for i in range(3):
        left = Interval(0.0, 0.0)
        curved = Interval(0.0, 0.0)
        for j in range(3):
            curved = curved + system[i][j] * delta[j]
        left = curved + damping * system[i][3] * delta[i]
        assert left.holds(system[i][4]), (i, left, system[i][4])
        promised = promised + delta[i] * (Interval(2.0, 2.0) * system[i][4] - curved)
    assert promised.holds(printed(re.search(r"promised .* = (\S+)", part)[1]))  # type: ignore[index]
    ratio = re.search(r"ratio = (.*) = (\S+)", part)
    assert ratio is not None
    assert evaluate(ratio[1], {}).holds(printed(ratio[2]))
    for rule, value in re.findall(r"damping = (\S*max.*\)) = (\S+)", part):
        assert evaluate(rule, {}).holds(printed(value))


def test_the_reader_of_stories_reads_arithmetic() -> None:
    names = {"e": Interval(3.0, 3.0), "w": Interval(0.5, 0.5), "∂L/∂a₁": Interval(2.0, 2.0)}
    for text, value in (
        ("2/11 · −27.51", -5.001818),
        ("0.99·0 + 0.01·(−45.0182)²", 20.26638),
        ("0.001 · −45.0182 / √20.2664", -0.01),
        ("2w·e", 3.0),
        ("∂L/∂a₁ · 2e", 12.0),
        ("−(2 · sin(1))", -1.682942),
        ("(1 − 0.9^3)⁻¹", 3.690037),
        ("max(0.999·44.9732, |−9.6372|)", 44.92823),
        ("e if w > 1 else w", 0.5),
        ("1.5e−05·2", 3e-5),
    ):
        found = evaluate(text, names)
        assert found.middle == pytest.approx(value, rel=1e-5), text
        assert found.half < 1e-4 * abs(value), text

"""Which combination the data determine, against models whose answer is known by looking at them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import katamuki as km
from katamuki.covariance import uncertainty
from katamuki.identifiability import _terms, combinations
from katamuki.records import Combination

X = np.linspace(0.5, 4.0, 12)
NOISE = np.random.default_rng(20).normal(size=12) * 0.1
Model = Callable[[np.ndarray], np.ndarray]


def judged(names: str, model: Model, values: list[float], probe: bool = True) -> tuple[Combination, ...]:
    """The combinations of a model at some values, from complex-step derivatives."""
    at = np.array(values)
    columns = []
    for k in range(len(at)):
        moved = at.astype(complex)
        moved[k] += 1e-30j
        columns.append((model(moved) + 0 * X).imag / 1e-30)
    r = np.linalg.qr(np.column_stack(columns), mode="r")
    y = model(at) + NOISE
    null = uncertainty(r, 1.0, 12, False).null
    return combinations(names.split(), at, null, (lambda p: float(np.mean((y - model(p)) ** 2))) if probe else None)


CASES = [
    ("a c b", lambda p: (p[0] + p[1]) * X + p[2], [0.3, 0.2, 3.0], [(("a", "c"), "a + c", 0.5)]),
    ("a c b", lambda p: (p[0] - p[1]) * X + p[2], [0.7, 0.2, 3.0], [(("a", "c"), "a - c", 0.5)]),
    ("a b c", lambda p: p[0] * p[1] * X + p[2], [0.3, 1.7, 3.0], [(("a", "b"), "a*b", 0.51)]),
    ("a b c", lambda p: p[0] / p[1] * X + p[2], [0.3, 1.7, 3.0], [(("a", "b"), "a/b", 0.3 / 1.7)]),
    ("a b c", lambda p: p[1] / p[0] * X + p[2], [0.3, 1.7, 3.0], [(("a", "b"), "a/b", 0.3 / 1.7)]),
    ("a b", lambda p: p[0] * p[1] * X, [1.0, 1.0], [(("a", "b"), "a*b", 1.0)]),
    ("a b", lambda p: (p[0] + p[1]) * X, [1.0, 1.0], [(("a", "b"), "a + b", 2.0)]),
    ("a b", lambda p: p[0] / p[1] * X, [1.0, 1.0], [(("a", "b"), "a/b", 1.0)]),
    ("a b", lambda p: p[0] * p[1] ** 2 * X, [0.3, 1.7], [(("a", "b"), "a*b**2", 0.3 * 1.7**2)]),
    ("a b", lambda p: (2 * p[0] + 3 * p[1]) * X, [0.3, 1.7], [(("a", "b"), "2*a + 3*b", 5.7)]),
    ("a b c", lambda p: p[0] * p[1] / p[2] * X, [0.3, 1.7, 0.9], [(("a", "b", "c"), "a*b/c", 0.3 * 1.7 / 0.9)]),
    ("a b c", lambda p: (p[0] + p[1] + p[2]) * X, [0.3, 1.7, 0.9], [(("a", "b", "c"), "a + b + c", 2.9)]),
    (
        "a b c d",
        lambda p: (p[0] + p[2]) * X + p[1] * p[3],
        [0.3, 2.0, 0.4, 0.7],
        [(("a", "c"), "a + c", 0.7), (("b", "d"), "b*d", 1.4)],
    ),
    ("a b", lambda p: p[0] * X + 0 * p[1], [0.3, 1.7], [(("b",), None, None)]),
]


@pytest.mark.parametrize(("names", "model", "values", "expected"), CASES)
def test_the_determined_combination_is_named(
    names: str, model: Model, values: list[float], expected: list[tuple[tuple[str, ...], str | None, float | None]]
) -> None:
    found = judged(names, model, values)
    assert [(one.names, one.text) for one in found] == [(who, text) for who, text, _ in expected]
    assert all(one.exact for one in found)
    for one, (_, _, value) in zip(found, expected, strict=True):
        assert one.value == (None if value is None else pytest.approx(value, rel=1e-12))


def test_a_value_can_be_recomputed_from_the_text() -> None:
    values = {"a": 0.3, "b": 1.7, "c": 0.9}
    for names, model, _, _ in CASES:
        if set(names.split()) <= set(values):
            for one in judged(names, model, [values[name] for name in names.split()]):
                if one.text is not None:
                    assert one.value == pytest.approx(eval(one.text, {}, values), rel=1e-12)


def test_another_relation_is_described_near_the_answer_only() -> None:
    values = [0.7, 1.3, 0.4]
    (found,) = judged("a b c", lambda p: p[0] * np.exp(-p[1] * (X - p[2])), values)
    assert found.names == ("a", "c")
    assert not found.exact
    assert found.text is not None
    # a·exp(b c) is determined: its gradient by (a, c) stands in the ratio 1 : a·b.
    coefficient = (
        float(found.text.split("*")[0]) if found.text.startswith("0") else 1 / float(found.text.split()[2][:-2])
    )
    assert coefficient == pytest.approx(1 / (0.7 * 1.3), rel=1e-3) or coefficient == pytest.approx(0.7 * 1.3, rel=1e-3)
    assert found.value == pytest.approx(eval(found.text, {}, {"a": 0.7, "c": 0.4}), rel=1e-12)


def test_two_patterns_that_fit_equally_are_not_decided_without_the_loss() -> None:
    (found,) = judged("a b", lambda p: p[0] * p[1] * X, [1.0, 1.0], probe=False)
    assert found.names == ("a", "b")
    assert not found.exact
    assert found.text == "a + b"


def test_the_loss_refutes_a_pattern_that_only_the_direction_suggests() -> None:
    # At a = b = 1 the direction of exp(a)·exp(b²/2) looks like that of a + b.
    (found,) = judged("a b", lambda p: np.exp(p[0] + p[1] ** 2 / 2) * X, [1.0, 1.0])
    assert not found.exact


def test_two_free_directions_leave_nothing_determined() -> None:
    random = np.random.default_rng(4)
    null = np.linalg.qr(random.normal(size=(4, 2)))[0].T
    (found,) = combinations(["a", "b", "c", "d"], random.normal(size=4), null)
    assert found == Combination(("a", "b", "c", "d"), None, None)


@given(st.permutations(range(4)), st.floats(1e-8, 1e8))
def test_the_order_and_the_size_of_directions_do_not_matter(order: list[int], scale: float) -> None:
    names = [["a", "b", "c", "d"][k] for k in order]
    null = np.zeros((2, 4))
    null[0, [order.index(0), order.index(1)]] = 1.0, -1.0
    null[1, [order.index(2), order.index(3)]] = scale, scale
    null = np.array([[0.6, 0.8], [-0.8, 0.6]]) @ (null / np.abs(null).max(axis=1, keepdims=True))
    values = np.array([[0.31, 0.77, 1.13, 2.17][k] for k in order])
    texts = {one.text for one in combinations(names, values, null)}
    assert texts <= {"a + b", "b + a", "c - d", "d - c"}
    assert len(texts) == 2


@pytest.mark.parametrize(
    ("formula", "text"), [("y ~ (a + c)*x + b", "a + c"), ("y ~ a*c*x + b", "a*c"), ("y ~ (a - 2*c)*x + b", "a - 2*c")]
)
def test_a_fit_from_equal_starts_names_what_the_formula_shows(formula: str, text: str) -> None:
    with pytest.warns(km.FitWarning):
        fit = km.fit(formula, km.datasets("tutorial"))
    (one,) = [finding for finding in fit.findings if finding.code == "UNDETERMINED"]
    assert one.values["combination"] == text
    assert one.values["value"] == pytest.approx(0.5000909090909091, rel=1e-7)
    assert fit.verdict == "look"


REAL = st.floats(-30, 30).map(lambda power: 10.0**power)


@given(st.lists(st.tuples(REAL, REAL, st.sampled_from([-1.0, 1.0])), min_size=2, max_size=6))
def test_what_is_left_out_of_a_combination_is_nothing_beside_it(drawn: list[tuple[float, float, float]]) -> None:
    weights = np.array([one for one, _, _ in drawn])
    weights /= weights.max()
    point = np.array([sign * one for _, one, sign in drawn])
    kept = _terms(weights, point)
    whole = float(weights @ point)
    assert abs(float(weights[kept] @ point[kept]) - whole) <= 1e-9 * abs(whole)
    left = np.setdiff1d(np.arange(len(weights)), kept)
    assert (weights[left] <= 1e-9).all()


def test_a_hopeless_start_determines_the_constant_and_nothing_beside_it() -> None:
    weights, point = np.array([2.775e-22, 1.846e-18, -1.839e-17, 1.0]), np.array([1.0, 50.0, 5.0, 1.13352])
    assert _terms(weights, point).tolist() == [3]


def test_a_small_coefficient_of_a_large_parameter_and_a_small_parameter_stay() -> None:
    assert _terms(np.array([5.59e-28, 1.0]), np.array([1.2e27, 0.65])).tolist() == [0, 1]
    assert _terms(np.array([0.37, 1.0]), np.array([1e-12, 2.0])).tolist() == [0, 1]
    assert _terms(np.array([6e-16, 1.0]), np.array([50.0, 9e-16])).tolist() == [0, 1]
    assert _terms(np.array([1e-20, 1.0]), np.array([0.0, 1.0])).tolist() == [0, 1]  # of 0 no size is known


def test_a_fit_from_a_hopeless_start_says_the_combination_without_rounding() -> None:
    x = np.linspace(0.0, 10.0, 40)
    y = 2.0 * np.exp(-((x - 5.0) ** 2)) + 1.0 + np.random.default_rng(0).normal(0.0, 0.05, 40)
    start = {"A": 1.0, "m": -20.0, "s": 0.5, "c": 0.0}
    with pytest.warns(km.FitWarning):
        fit = km.fit("y ~ A/(1 + exp(-(x - m)/s)) + c", {"x": x, "y": y}, start=start)
    (found,) = fit.solution.combinations
    assert found.names == ("A", "m", "s", "c")
    assert found.text == "A + c"  # m and s far away: the step is over before the data begin
    assert found.value == pytest.approx(y.mean(), rel=1e-12)

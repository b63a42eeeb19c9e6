"""The pass over the rows at an answer, against NumPy on the whole arrays."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judged import facts, jacobian, minimum, problem, residuals
from katamuki.covariance import uncertainty
from katamuki.findings.passes import COOK, HEAD, LEVEL, LEVERAGE, OUTLIER, SCRATCH, facts_pass, runs_along
from katamuki.findings.residuals import SORTABLE
from katamuki.problem import Problem

LINE = "y ~ a*x + b"
DECAY = "y ~ a*exp(-b*x) + c"


def by_numpy(rows: Problem, values: np.ndarray) -> dict[str, Any]:
    """The same facts from textbook formulas."""
    e, j = residuals(rows, values), jacobian(rows, values)
    root = np.ones(rows.n) if rows.root is None else rows.root
    q = np.linalg.qr(j)[0]
    h = np.sum(q**2, axis=1)
    s2 = e @ e / (rows.n - rows.p)
    u = e**2 / s2 / (1 - h)
    cook = u * h / (1 - h) / rows.p
    prediction = rows.y - e / root
    v = 1 - h
    centred = v * (prediction - np.average(prediction, weights=v))
    bend = root * prediction**2
    bend = bend - q @ (q.T @ bend)
    order = np.argsort(rows.columns[0], kind="stable")
    return {
        "squares": e @ e,
        "level": np.sum((rows.y * root) ** 2),
        "outlier": u.max(),
        "outlier_row": u.argmax(),
        "cook": cook.max(),
        "cook_row": cook.argmax(),
        "leverage": h.max(),
        "spread": centred @ u / np.sqrt(rows.n * u.var() * (centred @ centred)),
        "curve": (bend @ e) ** 2 / (bend @ bend) / (e @ e),
        "positive": np.sum(e > 0),
        "negative": np.sum(e < 0),
        "runs": len([1 for _ in groupby(e[order] > 0)]),
    }


def example(n: int, kind: str, seed: int = 0) -> Problem:
    random = np.random.default_rng([n, seed])
    x = {"sorted": np.linspace(0, 5, n), "falling": np.linspace(5, 0, n), "shuffled": random.uniform(0, 5, n)}[kind]
    noise = random.normal(size=n) * 0.3
    weights = random.uniform(0.2, 3.0, n) if seed % 2 else None
    return problem(LINE if seed < 2 else DECAY, {"x": x, "y": 2 * np.exp(-x) + 1 + noise}, weights)


@pytest.mark.parametrize("weighted", [False, True])
def test_inflation_is_that_of_columns_measured_from_their_means(weighted: bool) -> None:
    random = np.random.default_rng(6)
    x, z = random.uniform(5, 6, 40), random.uniform(-1, 1, 40)
    weights = random.uniform(0.5, 2.0, 40) if weighted else np.ones(40)
    rows = problem("y ~ a*x + b*(x + 0.1*z) + c", {"x": x, "z": z, "y": z}, weights if weighted else None)
    found = facts(rows, np.array([1.0, 1.0, 0.0]))
    columns = np.column_stack([x, x + 0.1 * z])
    centred = (columns - np.average(columns, axis=0, weights=weights)) * np.sqrt(weights)[:, None]
    expected = np.diag(centred.T @ centred) * np.diag(np.linalg.inv(centred.T @ centred))
    np.testing.assert_allclose(found.inflation[:2], expected, rtol=1e-9)
    assert found.inflation[2] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("n", "kind"),
    [(11, "sorted"), (11, "shuffled"), (255, "falling"), (257, "shuffled"), (4097, "sorted"), (70_000, "falling")],
)
def test_every_fact_agrees_with_numpy(n: int, kind: str, seed: int) -> None:
    rows = example(n, kind, seed)
    values = minimum(rows)
    found, expected = facts(rows, values), by_numpy(rows, values)
    for name, value in expected.items():
        # 8 digits: the bend is what is left of a column after most of it was subtracted.
        assert getattr(found, name) == pytest.approx(value, rel=1e-8, abs=1e-11), name
    assert found.rows == n
    assert found.dof == n - rows.p
    assert found.rank == rows.p


def test_facts_at_another_answer_are_other_facts() -> None:
    rows = example(30, "sorted")
    values = minimum(rows)
    right, wrong = facts(rows, values), facts(rows, values * [1.5, 1.0])
    assert wrong.squares > 1.1 * right.squares
    assert wrong.runs != right.runs


def test_bits_do_not_depend_on_threads() -> None:
    random = np.random.default_rng(7)
    x = np.linspace(0, 5, 150_000)
    data = {"x": x, "y": x + random.normal(size=len(x))}
    one, two = (facts(problem(LINE, data, threads=count), np.array([1.0, 0.0])) for count in (1, 2))
    for name in one.__slots__:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)


def test_runs_go_across_the_chunks_of_large_data() -> None:
    x = np.arange(100_000.0)
    y = np.where((x // 700) % 2 == 0, 1.0, -1.0)
    found = facts(problem(LINE, {"x": x, "y": y}), np.array([0.0, 0.0]))
    assert found.runs == 143
    assert found.positive == 143 * 700 // 2 + 350 - 100
    assert found.positive + found.negative == 100_000


@pytest.mark.parametrize(
    ("signs", "runs"), [("+0-0+", 3), ("00++--", 2), ("++00++", 1), ("-+00", 2), ("+-+-+-", 6), ("00000", 1)]
)
def test_residuals_of_zero_neither_make_nor_break_a_run(signs: str, runs: int) -> None:
    y = np.array([{"+": 1.0, "-": -1.0, "0": 0.0}[sign] for sign in signs])
    x = np.arange(float(len(y)))
    found = facts(problem(LINE, {"x": x, "y": y}), np.array([0.0, 0.0]))
    assert found.runs == runs
    assert found.positive == signs.count("+")
    assert found.negative == signs.count("-")


def test_many_rows_in_no_order_have_no_runs() -> None:
    n = SORTABLE + 1
    random = np.random.default_rng(2)
    shuffled = facts(problem(LINE, {"x": random.normal(size=n), "y": random.normal(size=n)}), np.array([0.0, 0.0]))
    assert shuffled.runs == -1
    ordered = facts(problem(LINE, {"x": np.arange(float(n)), "y": random.normal(size=n)}), np.array([0.0, 0.0]))
    assert ordered.runs > 0


def test_a_model_without_predictors_has_no_order() -> None:
    found = facts(
        problem("y ~ c + 0*d", {"y": [1.0, 2.0, 4.0], "x": [1.0, 2.0, 3.0]}, fixed={"d": 1.0}), np.array([2.0, 1.0])
    )
    assert found.runs == -1
    assert found.leverage == pytest.approx(1 / 3)


def test_rows_are_ordered_by_the_first_predictor() -> None:
    random = np.random.default_rng(3)
    x, z = random.permutation(np.arange(40.0)), np.arange(40.0)
    y = np.where(x < 20, 1.0, -1.0)
    found = facts(problem("y ~ a*x + b*z", {"x": x, "z": z, "y": y}), np.array([0.0, 0.0]))
    assert found.runs == 2


def test_fixed_parameters_take_no_leverage() -> None:
    x = np.linspace(0, 5, 20)
    rows = problem(DECAY, {"x": x, "y": 2 * np.exp(-x) + 1 + 0.01 * np.cos(9 * x)}, fixed={"b": 1.0})
    values = minimum(rows)
    q = np.linalg.qr(np.column_stack([np.exp(-x), np.ones(20)]))[0]
    assert facts(rows, values).leverage == pytest.approx(np.sum(q**2, axis=1).max(), rel=1e-12)


def test_parameters_at_a_bound_take_no_leverage() -> None:
    rows = example(20, "sorted")
    found = facts(rows, np.array([0.0, 1.0]), held=np.array([True, False]))
    assert found.leverage == pytest.approx(1 / 20, rel=1e-12)
    assert found.rank == 1
    assert found.dof == 19


def test_parameters_that_cannot_be_told_apart_share_their_leverage() -> None:
    rows = problem("y ~ (a + c)*x + b", {"x": np.arange(9.0), "y": np.arange(9.0) ** 2})
    found = facts(rows, np.array([4.0, 4.0, -9.0]))
    q = np.linalg.qr(np.column_stack([np.arange(9.0), np.ones(9)]))[0]
    assert found.rank == 2
    assert found.leverage == pytest.approx(np.sum(q**2, axis=1).max(), rel=1e-12)


def test_the_bend_of_a_model_that_contains_it_is_not_a_number() -> None:
    x = np.linspace(-1, 1, 30)
    rows = problem("y ~ a*x**4 + b*x**3 + c*x**2 + d*x + e", {"x": x, "y": x**2})
    parabola = np.array([0.0, 0.0, 1.0, 0.0, 0.0])
    assert np.isnan(facts(rows, parabola).curve)


def test_weights_scale_rows_as_repeating_them_would() -> None:
    x, y = np.arange(6.0), np.array([0.0, 1.5, 1.0, 3.5, 4.0, 4.5])
    weights = np.array([1.0, 2.0, 1.0, 3.0, 1.0, 1.0])
    rows = problem(LINE, {"x": x, "y": y}, weights)
    repeated = problem(LINE, {"x": np.repeat(x, weights.astype(int)), "y": np.repeat(y, weights.astype(int))})
    values = minimum(rows)
    np.testing.assert_allclose(values, minimum(repeated), rtol=1e-10)
    one, many = facts(rows, values), facts(repeated, values)
    assert one.squares == pytest.approx(many.squares, rel=1e-12)
    assert one.level == pytest.approx(many.level, rel=1e-12)
    assert one.curve == pytest.approx(many.curve, rel=1e-9)


def test_the_compiled_pass_and_its_plain_python_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = example(300, "shuffled", 1)
    values = minimum(rows)
    e = residuals(rows, values)
    bars = uncertainty(np.linalg.qr(jacobian(rows, values), mode="r"), float(e @ e), 300, False)

    def call_rows(_: int, columns: Any, params: Any, start: int, m: int, out: Any, partials: Any, want: int) -> None:
        x = columns[0][start : start + m]
        out[:m] = params[0] * x + params[1]
        partials[:m], partials[256 : 256 + m] = x, 1.0

    monkeypatch.setattr("katamuki.findings.passes.call_rows", call_rows)
    out, block, kept = np.zeros(HEAD + 4 + SCRATCH), np.zeros(768), np.zeros(300)
    ends = (1, 0, 300, rows.free, 2, bars.root.ravel(), 298 / (e @ e), 0.5 * (rows.y[0] + rows.y[-1]), 1, kept, 1)
    assert facts_pass.python(0, rows.columns, values, rows.y, rows.root, *ends, block, out) == 0
    found = facts(rows, values)
    assert found.outlier == pytest.approx(out[OUTLIER], rel=1e-12)
    assert found.cook == pytest.approx(out[COOK] / 2, rel=1e-12)
    assert found.leverage == pytest.approx(out[LEVERAGE], rel=1e-12)
    assert found.level == pytest.approx(out[LEVEL], rel=1e-12)
    np.testing.assert_allclose(kept, e, atol=1e-14)


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-2, 2)), min_size=1, max_size=60))
def test_few_rows_are_put_in_order_as_numpy_does(rows: list[tuple[int, int]]) -> None:
    x, e = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    order = np.empty(len(x), dtype=np.int64)
    found = runs_along(x.ctypes.data, e.ctypes.data, len(x), order.ctypes.data)
    signs = np.sign(e[np.argsort(x, kind="stable")])
    signs = signs[signs != 0]
    assert found == (1 + np.count_nonzero(np.diff(signs)) if len(signs) else 0)
    assert order.tolist() == np.argsort(x, kind="stable").tolist()
    assert runs_along.python(x, e, len(x), np.empty(len(x), dtype=np.int64)) == found

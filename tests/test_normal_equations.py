"""The normal equations: the tutorial's numbers, NumPy's answers, and every printed number recomputed from print."""

from __future__ import annotations

import dataclasses
import json
import re
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import katamuki as km
from katamuki.explain.normal_equations.record import NormalEquations, cramer, decimal, digits_of, eliminate, rounded
from katamuki.report.numbers import width

TUTORIAL = km.datasets("tutorial")


def of(model: str, data: Any = TUTORIAL, **options: Any) -> NormalEquations:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        return km.fit(model, data, **options).normal_equations()


def random_table(seed: int, n: int = 30) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    table = {name: rng.normal(size=n) for name in ("x", "z", "t")}
    table["y"] = 1 + table["x"] - 2 * table["z"] + 0.5 * table["t"] + 0.1 * rng.normal(size=n)
    return table


def plain(text: str) -> float:
    return float(Fraction(text.replace("−", "-").strip("()")))


def test_the_tutorial_reads_as_on_paper() -> None:
    lines = str(of("y ~ a*x + b")).splitlines()
    assert lines[0] == "n 11   Σx 99   Σy 82.51   Σx² 1001   Σxy 797.6"
    assert lines[1] == "   1001 a + 99 b = 797.6        det = 11·1001 − 99² = 1210"
    assert lines[2] == "     99 a + 11 b = 82.51"
    assert lines[3] == "   a = (11·797.6 − 99·82.51) / 1210 = 605.11 / 1210 = 0.500091"
    assert lines[4] == "   b = (1001·82.51 − 99·797.6) / 1210 = 3630.11 / 1210 = 3.000091"
    assert lines[5].startswith("check: the residuals' sums Σr and Σr·x are ")
    found = of("y ~ a*x + b")
    assert all(abs(one) <= found.rounding for one in found.residual_sums.values())
    assert found.rounding < 1e-11


@pytest.mark.parametrize(
    ("model", "columns"),
    [
        ("y ~ a*x + b", lambda d: [d["x"], 1 + 0 * d["x"]]),
        ("y ~ a*x", lambda d: [d["x"]]),
        ("y ~ a*x**2 + b*x + c", lambda d: [d["x"] ** 2, d["x"], 1 + 0 * d["x"]]),
        ("y ~ a*x**2 + b*exp(x) + c", lambda d: [d["x"] ** 2, np.exp(d["x"]), 1 + 0 * d["x"]]),
        ("y ~ a*x + b*z + c*t + d", lambda d: [d["x"], d["z"], d["t"], 1 + 0 * d["x"]]),
        ("y ~ a*x + b*z + c*t + d + e*x*z", lambda d: [d["x"], d["z"], d["t"], 1 + 0 * d["x"], d["x"] * d["z"]]),
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_matrix_and_answer_are_numpys(model: str, columns: Any, weighted: bool) -> None:
    data = random_table(3)
    w = np.random.default_rng(4).uniform(0.5, 2.0, size=30) if weighted else np.ones(30)
    found = of(model, data, weights=w if weighted else None)
    jacobian = np.column_stack(columns(data))
    assert np.allclose(found.matrix, jacobian.T @ (w[:, None] * jacobian), rtol=1e-13, atol=1e-13)
    assert np.allclose(found.right, jacobian.T @ (w * data["y"]), rtol=1e-13, atol=1e-13)
    best = np.linalg.lstsq(jacobian * np.sqrt(w)[:, None], data["y"] * np.sqrt(w), rcond=None)[0]
    assert found.answer is not None
    assert np.allclose(list(found.answer.values()), best, rtol=1e-10)
    assert found.shared is not None
    assert found.shared > 12


def test_a_fixed_parameter_moves_to_the_right_side() -> None:
    found = of("y ~ a*x + b", fixed={"b": 3.0})
    x, y = (np.asarray(TUTORIAL[name], dtype=float) for name in "xy")
    assert found.names == ("a",)
    assert found.offset
    assert found.right[0] == pytest.approx(float(x @ (y - 3.0)), rel=1e-14)
    assert "b = 3 (fixed)" in str(found)
    assert "z = y less what the formula gives with 0 in place of a" in str(found)


def test_a_part_without_parameters_is_taken_off_the_response() -> None:
    found = of("log(y) ~ a*x + b + 2*x")
    x, y = (np.asarray(TUTORIAL[name], dtype=float) for name in "xy")
    assert found.right[0] == pytest.approx(float(x @ (np.log(y) - 2 * x)), rel=1e-13)
    assert found.shared is not None
    assert found.shared > 12
    assert not of("y ~ a*x + b").offset


def test_letters_stand_for_columns_that_are_no_names_and_never_for_two_things() -> None:
    data = random_table(5) | {"u": np.random.default_rng(6).normal(size=30)}
    text = str(of("y ~ a*u + b*x**2 + v", data))
    assert "s = x**2" in text  # u is a column and v a parameter
    assert "u =" not in text
    weighted = str(of("y ~ a*w + b", {"w": data["x"], "y": data["y"]}, weights=np.full(30, 2.0)))
    assert "W are the weights" in weighted


def test_nonlinear_formulas_are_refused_with_what_to_do() -> None:
    data = {"x": [0.0, 1.0, 2.0, 3.0], "y": [8.1, 5.2, 3.1, 2.0]}
    fit = km.fit("y ~ a*exp(-b*x)", data, start={"a": 5, "b": 1})
    with pytest.raises(km.FormulaError, match="not linear in a and b") as caught:
        fit.normal_equations()
    assert caught.value.code == "E-NONLINEAR"
    assert "step(1)" in (caught.value.remedy or "")
    fixed = km.fit("y ~ a*exp(-b*x)", data, fixed={"b": 0.5}).normal_equations()  # linear in what is free
    assert fixed.columns == ("exp(-b*x)",)


def test_dependent_columns_have_no_single_answer_and_say_so() -> None:
    found = of("y ~ a*x + b*x*2 + c", random_table(7))
    assert found.answer is None
    assert found.shared is None
    assert "depend on each other" in str(found)
    assert "depend on each other" not in str(of("y ~ a*x + b*z + c", random_table(7)))


def test_equations_that_need_too_many_digits_are_shown_and_not_solved() -> None:
    data = {"x": [1e9 + 1, 1e9 + 2, 1e9 + 3, 1e9 + 5], "y": [1.0, 2.0, 3.0, 4.5]}
    found = of("y ~ a*x + b", data)
    assert found.digits is None
    assert "more than 13 digits" in str(found)
    x = [Fraction(int(one)) for one in data["x"]]  # the slope in exact arithmetic
    y = [Fraction(one) for one in data["y"]]
    mean_x, mean_y = sum(x) / 4, sum(y) / 4
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)
    assert found.answer is not None
    assert found.answer["a"] == float(slope)


def test_a_run_is_compared_with_the_least_squares_answer() -> None:
    found = of("y ~ a*x + b", solver=km.RMSprop(lr=1e-3, steps=500), start={"a": 0.5, "b": 0.5})
    assert found.shared is not None
    assert found.shared > 12


def test_an_answer_at_a_bound_is_no_answer_of_these_equations() -> None:
    found = of("y ~ a*x + b", bounds={"a": (0.0, 0.4)}, start={"a": 0.2, "b": 1.0})
    assert found.at_bound == ("a",)
    assert found.shared is not None
    assert found.shared < 2
    assert "a stands at a bound" in str(found)
    assert max(abs(one) for one in found.residual_sums.values()) > 1e6 * found.rounding


def test_a_wrong_answer_is_seen_in_the_residual_sums() -> None:
    fit = km.fit("y ~ a*x + b", TUTORIAL)
    wrong = dataclasses.replace(fit.solution, params={"a": 0.51, "b": 3.0})
    fit.solution = wrong
    found = fit.normal_equations()
    assert max(abs(one) for one in found.residual_sums.values()) > 1.0
    assert found.shared is not None
    assert found.shared < 2


TERM = re.compile(r"^   (\w+) = (.+) = (\S+)$")


def recomputed(expression: str) -> Fraction:
    """The value of "(11·797.6 − 99·82.51) / 1210" and the like, exactly."""
    text = re.sub(r"(\d(?:\.\d+)?)e(−?)(\d+)", r"\1e\2\3", expression)
    text = text.replace("−", "-").replace("·", "*").replace("²", "**2")
    text = re.sub(r"(?<![\w.])(\d+(?:\.\d+)?(?:e-?\d+)?)(?!\*\*)", r"Fraction('\1')", text)
    text = re.sub(r"(\d+(?:\.\d+)?)\*\*2", r"Fraction('\1')**2", text)
    value = eval(text, {"Fraction": Fraction})  # our own output
    assert isinstance(value, Fraction)
    return value


def near(said: str, value: Fraction) -> bool:
    """Whether a printed number is a value rounded to the places printed."""
    number, _, power = said.replace("−", "-").strip("()").partition("e")
    unit = Fraction(10) ** (int(power or 0) - len(number.partition(".")[2]))
    return abs(Fraction(number) * Fraction(10) ** int(power or 0) - value) <= unit / 2


def joined(text: str) -> list[str]:
    """The lines, those that were broken put together again."""
    return re.sub(r"\n {6}(?=\S)", " ", text).splitlines()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["y ~ a*x + b", "y ~ a*x", "y ~ a*x + b*z + c", "y ~ a*x**2 + b*z"]))
def test_every_printed_quotient_follows_from_printed_numbers(seed: int, model: str) -> None:
    scale = 10.0 ** np.random.default_rng(seed).integers(-4, 5)
    data = random_table(seed, 12)
    data["x"] = data["x"] * scale + scale
    found = of(model, data)
    assert found.digits is not None
    checked = 0
    for line in joined(str(found)):
        match = TERM.match(line)
        if match is None or "/" not in line:
            continue
        *steps, last = line.split(" = ")[1:]
        for one, two in zip(steps, [*steps[1:], last], strict=True):
            value = recomputed(one)
            if "/" in two:
                top, bottom = two.split(" / ")
                assert near(top, recomputed(one.partition(") / ")[0].lstrip("(")))
                assert bottom == one.partition(") / ")[2]
            else:
                assert near(two, value), line
            checked += 1
    assert checked >= len(found.names)


def test_a_printed_number_that_does_not_follow_is_found() -> None:
    assert near("0.500091", recomputed("(11·797.6 − 99·82.51) / 1210"))
    assert not near("0.500191", recomputed("(11·797.6 − 99·82.51) / 1210"))
    assert not near("605.12", recomputed("11·797.6 − 99·82.51"))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4))
def test_elimination_solves_what_numpy_solves(seed: int, p: int) -> None:
    rng = np.random.default_rng(seed)
    jacobian = rng.normal(size=(p + 5, p))
    matrix, right = jacobian.T @ jacobian, jacobian.T @ rng.normal(size=p + 5)
    rows = [[Fraction(float(one)) for one in (*row, rhs)] for row, rhs in zip(matrix, right, strict=True)]
    made = eliminate(rows, 40)
    assert made is not None
    assert np.allclose([float(one) for one in made[1]], np.linalg.solve(matrix, right), rtol=1e-8)
    if p == 2:
        det, first, second = cramer(rows)
        assert [float(first / det), float(second / det)] == pytest.approx([float(one) for one in made[1]], rel=1e-12)


def test_rounding_is_to_significant_digits_and_a_zero_pivot_is_no_answer() -> None:
    assert rounded(Fraction(12345), 3) == 12300
    assert str(decimal(Fraction(1, 3), 4)) == "0.3333"
    assert eliminate([[Fraction(0), Fraction(1)]], 6) is None
    assert digits_of([[1.0, 1.0, 2.0], [1.0, 1.0 + 1e-14, 2.0]], [Fraction(1), Fraction(1)]) is None


@pytest.mark.parametrize(
    "model", ["y ~ a*x + b", "y ~ a", "y ~ a*x + b*z + c*t + d", "y ~ a*x + b*z + c*t + d + e*x*z + g*x*t + h*z*t"]
)
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_text_fits_json_and_html_hold(model: str, scale: float) -> None:
    data = random_table(8)
    data["y"] = data["y"] * scale
    found = of(model, data)
    text = str(found)
    assert max(width(line) for line in text.splitlines()) <= 80
    assert "-" not in text.replace("Gauss-", "")
    assert "−0 " not in text
    kept = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert kept["schema"] == "katamuki.normal_equations/1"
    assert kept["matrix"] == [list(row) for row in found.matrix]
    assert found._repr_html_().startswith("<div>")


def test_user_texts_are_escaped_in_html() -> None:
    data = random_table(9) | {"<b>": np.arange(30.0)}
    found = of("y ~ a*`<b>` + b", data)
    assert "<b>" not in found._repr_html_()


def test_many_rows_are_summed_without_fractions() -> None:
    rng = np.random.default_rng(10)
    x = rng.normal(size=5000)
    y = 2 * x + 1 + rng.normal(size=5000)
    found = of("y ~ a*x + b", {"x": x, "y": y})
    assert found.shared is not None
    assert found.shared > 12
    assert found.matrix[0][0] == pytest.approx(float(x @ x), rel=1e-14)

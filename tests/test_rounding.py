"""Digits that survive rounding: certified answers and arithmetic of 60 digits are the strangers."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest

import katamuki as km
from exact_answers import digits_right, exact_answer
from katamuki.api import surviving
from katamuki.certified import digits, names, problem
from katamuki.solvers import rounding

HALF = 0.5  # of a digit: what a promise may be too much
MOST = surviving.DIGITS
RNG = np.random.default_rng(5)
U = np.linspace(0, 10, 40)
NOISE = RNG.standard_normal(40)
BELL = "y ~ a*exp(-(x - m)**2/(2*w**2))"
SPREAD_OUT = "y ~ a*exp(-(x**2 - 2*m*x + m**2)/(2*w**2))"
DECAY = "y ~ a*exp(-b*x) + c"
SQUARE = "y ~ a + b*x + c*x**2"


def bell(off):
    return {"x": off + U, "y": 3 * np.exp(-((off + U - off - 4.3) ** 2) / 2) + 0.05 * NOISE}, {
        "a": 2.0,
        "m": off + 4,
        "w": 1.2,
    }


def decay(off):
    return {"x": U, "y": off + 3 * np.exp(-0.7 * U) + 0.01 * NOISE}, {"a": 2.0, "b": 0.5, "c": off}


def parabola(off):
    return {"x": off + U, "y": 1 + 0.2 * U + 0.3 * U**2 + 0.1 * NOISE}, None


def waves(size):
    return {"x": U, "y": size * np.sin(3 * U) - U}, {"a": 0.1, "b": 1.0}


CANCELLING = [
    *((BELL, *bell(off)) for off in (0.0, 1e3, 1e6, 1.7e9, 1e12)),
    *((SPREAD_OUT, *bell(off)) for off in (0.0, 1e2, 1e3)),
    *((DECAY, *decay(off)) for off in (0.0, 1e5, 1e8, 1e10, 1e12)),
    *((SQUARE, *parabola(off)) for off in (1e2, 1e4, 1e6)),
    ("y ~ exp(a*x) + b", *waves(10.0)),
    (DECAY, {"x": U, "y": 2 * np.exp(-0.7 * U) + 0.3}, {"a": 1.0, "b": 1.0, "c": 0.0}),
    ("y ~ a*(1 - cos(x)) + b*x", {"x": 1e-3 * U, "y": 3e-6 * U**2 - 1e-6 * U + 1e-7 * NOISE}, None),
]


def one(formula, data, start, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        return km.fit(formula, data, start=start, **({"starts": 1} if start else {}), **more)


@pytest.mark.parametrize("name", names())
def test_no_more_digits_are_promised_than_the_certified_problems_have(name):
    p = problem(name)
    for start in p.starts or [None]:
        try:
            fit = one(p.formula, p.columns, start)
        except km.NotConverged:
            assert (name, start) in [("BoxBOD", p.starts[0]), ("MGH10", p.starts[0])]
            continue
        for parameter, promised in fit.digits.items():
            right = digits(fit.params[parameter], p.refined.params[parameter])
            assert promised <= min(right, MOST) + HALF
            assert promised >= min(right, MOST) - 3.0  # and few are kept back
        assert min(fit.digits.values()) > 11
        assert fit.rounded == {}


@pytest.mark.parametrize(("formula", "data", "start"), CANCELLING)
def test_no_more_digits_are_promised_where_numbers_cancel(formula, data, start):
    fit = one(formula, data, start)
    exact = exact_answer(formula, data, fit.params)
    for name, promised in fit.digits.items():
        assert promised <= min(digits_right(fit.params[name], exact[name]), MOST) + HALF
    assert all(fit.digits[name] < surviving.PRINTED for name in fit.rounded)
    few = {name for name, left in fit.digits.items() if left < surviving.PRINTED - 1}
    assert few <= set(fit.rounded)  # what a report looks at leaves out none of which digits are missing


def test_a_wrong_answer_has_the_digits_that_it_shares_with_the_right_one():
    """The same check, fed an answer that is off in the fifth digit: the step that is left undone is counted."""
    data, start = decay(0.0)
    fit = one(DECAY, data, start)
    off = {name: value * (1 + 1e-5) for name, value in fit.params.items()}
    model = surviving.Model(replace(fit.solution, params=off), fit._plan)
    moved = rounding.moved(model, [data["x"], data["y"]], None, np.zeros(3, bool), closed=False)
    for name, far in zip(fit.free, moved, strict=True):
        assert -math.log10(far / abs(off[name])) == pytest.approx(5.0, abs=0.05)


def test_beside_large_residuals_a_step_is_a_part_of_the_way():
    """exp(a*x) + b through waves ends where the last steps were slow: the digits left undone are counted in full."""
    data, start = waves(10.0)
    fit = one("y ~ exp(a*x) + b", data, start)
    exact = exact_answer("y ~ exp(a*x) + b", data, fit.params)
    moved = rounding.moved(
        surviving.Model(fit.solution, fit._plan), [data["x"], data["y"]], None, np.zeros(2, bool), closed=False
    )
    for name, far in zip(fit.free, moved, strict=True):
        assert far > 0.5 * abs(fit.params[name] - float(exact[name]))


def test_a_column_that_is_rounding_leaves_no_digit():
    x = 10.0 ** RNG.uniform(-9, -6, 40)
    fit = one("y ~ a*(exp(x) - 1 - x)/x**2 + b*x", {"x": x, "y": 1 + 1e-3 * NOISE}, None)
    assert set(fit.digits.values()) == {-math.inf}
    lines = [line for line in str(fit).split("\n") if "lost in rounding" in line]
    assert [line.split()[:2] for line in lines] == [["a", "—"], ["b", "—"]]
    assert "失われた" in fit.text("ja")


def test_a_report_prints_no_more_digits_than_there_are():
    fit = one(DECAY, *decay(1e12))
    assert set(fit.rounded) == {"a", "b"}
    text = str(fit).split("\n")
    for name in "ab":
        line = next(k for k, one in enumerate(text) if one.startswith(f"  {name} "))
        shown = text[line].split()[1]
        assert len(shown.replace(".", "").lstrip("0")) == math.floor(fit.digits[name])
        assert "4 digits: the rest is rounding" in text[line] + text[line + 1]
        low, high = (float(text[line].split()[k]) for k in (3, 5))
        assert low < float(shown) < high
    assert len(shown.split(".")[1]) == len(text[line].split()[3].split(".")[1])  # intervals end at the same place
    assert all(len(one) <= 80 for one in text)
    assert repr(fit.to_dict()["params"]["a"]["value"]) == repr(fit.params["a"])  # data keep all of theirs
    assert f"<td>{shown}</td>" in fit._repr_html_()


def test_a_parameter_that_is_0_to_rounding_prints_as_0():
    noticed = 0
    for k in range(1, 6):
        x = np.linspace(-k / 7, k / 7, 22)
        fit = one("y ~ a + b*x", {"x": x, "y": 0.3 + x**2}, None)  # even: its slope is 0
        lines = str(fit).split("\n")
        (line,) = (k for k, text in enumerate(lines) if text.startswith("  b "))
        assert lines[line].split()[1] == "0"
        assert fit.digits["a"] > 14
        if fit.params["b"] != 0.0:
            noticed += 1
            assert fit.digits["b"] < 1
            assert "0 to rounding" in lines[line] + lines[line + 1]
    assert noticed


def test_many_rows_are_judged_by_a_part_of_them_unless_it_misses_what_matters():
    x = np.linspace(0, 10, 50_000)
    rng = np.random.default_rng(1)
    y = 1e9 + 2 * np.exp(-0.5 * x) + 0.01 * rng.standard_normal(len(x))
    fit = one(DECAY, {"x": x, "y": y}, {"a": 1.0, "b": 1.0, "c": 1e9})
    few = one(DECAY, {"x": x[::12], "y": y[::12]}, {"a": 1.0, "b": 1.0, "c": 1e9})
    assert fit.digits["b"] == pytest.approx(few.digits["b"], abs=0.7)
    narrow = np.exp(-(((x - 5.0001) / 1e-4) ** 2)) + 1e-3 * rng.standard_normal(len(x))  # between the rows of the part
    fit = one("y ~ a*exp(-((x - m)/w)^2)", {"x": x, "y": narrow}, {"a": 0.9, "m": 5.0001, "w": 1.1e-4})
    assert min(fit.digits.values()) > 8


def test_digits_of_what_is_held_or_open_are_not_there():
    x = np.linspace(0, 4, 30)
    y = 2 * np.exp(-x) + 0.01 * RNG.standard_normal(30)
    fit = one("y ~ a*exp(-b*x) + c", {"x": x, "y": y}, {"a": 1.0, "b": 1.0, "c": 0.1}, bounds={"c": (0.1, 1.0)})
    assert math.isnan(fit.digits["c"])
    assert fit.digits["a"] > 13
    fit = one("y ~ (a + c)*exp(-b*x)", {"x": x, "y": y}, {"a": 1.0, "b": 1.0, "c": 0.1})
    assert math.isnan(fit.digits["a"])
    assert fit.digits["b"] > 13


def test_weights_and_a_left_side_count():
    x = np.linspace(1, 4, 30)
    y = np.exp(1.5 - 0.7 * x) * (1 + 0.01 * RNG.standard_normal(30))
    fit = one("log(y) ~ a - b*x", {"x": x, "y": y}, None, sigma=np.linspace(0.1, 1, 30), sigma_is="relative")
    assert all(14 < left <= MOST for left in fit.digits.values())
    shifted = one("log(y - 1e8) ~ a - b*x", {"x": x, "y": y + 1e8}, None)
    assert all(6 < left < 9 for left in shifted.digits.values())
    gone = {name: abs(value / (1.5 if name == "a" else 0.7) - 1) for name, value in shifted.params.items()}
    assert all(value < 0.05 for value in gone.values())


def test_asking_twice_gives_the_same_and_nobody_can_change_it():
    fit = one(DECAY, *decay(1e8))
    first = fit.digits
    first["a"] = 99.0
    fit.rounded["a"] = 1.0
    assert fit.digits["a"] < 10
    assert fit.rounded == {}
    assert one(DECAY, *decay(1e8)).digits == fit.digits


FAR_WAVE = ("y ~ a*sin(w*x + p)", {"x": 1.7e9 + U, "y": 2 * np.sin(1.3 * U) + 0.1 * NOISE})
FAR_START = {"a": 2.0, "w": 1.3, "p": -math.fmod(1.3 * 1.7e9, 2 * math.pi)}


def test_a_fit_ends_where_its_own_rounding_is_all_that_is_left():
    """w*x is 2e9 and leaves the sine nine digits: steps no longer shrink, and this used to be no minimum."""
    fit = one(*FAR_WAVE, FAR_START)
    assert fit.state == "converged"
    exact = exact_answer(*FAR_WAVE, fit.params)
    for name, promised in fit.digits.items():
        assert 3 < promised <= digits_right(fit.params[name], exact[name]) + HALF


def test_a_place_with_something_left_to_do_has_not_settled():
    fit = one(*FAR_WAVE, FAR_START)
    problem = fit._plan.problem([FAR_WAVE[1]["x"]], FAR_WAVE[1]["y"], None, fit.params, fit.free)
    nobody = np.zeros(3, bool)
    assert rounding.settled(problem, problem.values, nobody)
    for k, error in enumerate(fit.stderr.values()):
        off = problem.values.copy()
        off[k] += 0.01 * error
        assert not rounding.settled(problem, off, nobody)
    with pytest.raises(km.NotConverged):  # rounding moves error bars: no answer
        one(SPREAD_OUT, *bell(1e6))

"""Whatever is given to ``km.fit`` by mistake ends in an error of ours that names the row, the name and what to do.

One table: what is wrong, the class and code of its error, and words that must stand in it. Then every argument is fed
values of every wrong kind: the error is never one of Python's own, and nothing is repaired in silence.
"""

from __future__ import annotations

import datetime
import inspect
import math
import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import katamuki as km
from katamuki.api import computing
from katamuki.messages import catalogue

LINE, DECAY = "y ~ a*x + b", "y ~ a*exp(-b*x) + c"
N = 12
X = np.linspace(0.5, 6.0, N)
DATA = {
    "x": X,
    "y": 2.0 * np.exp(-0.7 * X) + 0.5 + 0.01 * np.sin(17.0 * X),
    "zero": np.zeros(N),
    "one": np.ones(N),
    "err": np.full(N, 0.1),
    "speed": X,
}


def with_value(name: str, row: int, value: float) -> dict[str, Any]:
    """The data with one value replaced; rows count from 1."""
    column = DATA[name].copy()
    column[row - 1] = value
    return {**DATA, name: column}


def options(**arguments: Any) -> dict[str, Any]:
    return arguments


WRONG_WEIGHTS = [
    (LINE, options(sigma=0.1), "E-SIGMA", ['"known"', '"relative"', 'sigma_is="known"']),
    (LINE, options(sigma_is="known"), "E-SIGMA", ["without sigma"]),
    (LINE, options(sigma=0.1, sigma_is="known", weights=2.0), "E-SIGMA", ["both"]),
    (LINE, options(sigma=0.1, sigma_is="absolute"), "E-SIGMA", ["'absolute'", '"relative"']),
    (LINE, options(sigma=0.1, sigma_is=["known"]), "E-SIGMA", ["['known']"]),
    (LINE, options(sigma=0.0, sigma_is="known"), "E-SIGMA", ["sigma is 0", "> 0", "12 of 12 rows"]),
    (LINE, options(sigma=[0.1] * 6 + [0.0] + [0.1] * 5, sigma_is="known"), "E-SIGMA", ["row 7", "1 of 12 rows"]),
    (LINE, options(sigma=[0.1] * 10 + [-0.2] * 2, sigma_is="known"), "E-SIGMA", ["row 11", "-0.2", "2 of 12"]),
    (LINE, options(sigma=[0.1] * 11 + [math.nan], sigma_is="relative"), "E-SIGMA", ["row 12", "nan"]),
    (LINE, options(sigma=[0.1] * 11 + [None], sigma_is="relative"), "E-SIGMA", ["row 12"]),
    (LINE, options(sigma=[math.inf] + [0.1] * 11, sigma_is="relative"), "E-SIGMA", ["row 1", "inf"]),
    # A masked value used to count as the number behind its mask, complex ones as their real part.
    (LINE, options(sigma=np.ma.MaskedArray(DATA["err"], X > 5.6), sigma_is="known"), "E-SIGMA", ["row 12"]),
    (LINE, options(sigma=np.full(N, 1 + 1j), sigma_is="known"), "E-COMPLEX", ["sigma"]),
    (LINE, options(sigma=1 + 1j, sigma_is="known"), "E-SIGMA", ["sigma must be numbers"]),
    (LINE, options(sigma=True, sigma_is="known"), "E-SIGMA", ["sigma must be numbers"]),
    (LINE, options(sigma=["0.1"] * N, sigma_is="known"), "E-NUMBER", ["sigma", "row 1"]),
    (LINE, options(sigma="eerr", sigma_is="known"), "E-COLUMN", ["eerr", "err"]),
    (LINE, options(sigma="zero", sigma_is="known"), "E-SIGMA", ["row 1", "12 of 12"]),
    (LINE, options(sigma=[0.1] * 3, sigma_is="known"), "E-LENGTH", ["(3,)", "12 rows"]),
    (LINE, options(sigma=np.full((N, 1), 0.1), sigma_is="known"), "E-SHAPE", ["(12, 1)"]),
    (LINE, options(sigma={"x": 1}, sigma_is="known"), "E-SIGMA", ["sigma must be numbers"]),
    # 1/sigma² used to become infinite, or 0 and then a ZeroDivisionError.
    (LINE, options(sigma=1e-200, sigma_is="known"), "E-SIGMA", ["1e-200", "other units"]),
    (LINE, options(sigma=1e200, sigma_is="relative"), "E-SIGMA", ["1e+200", "other units"]),
    (LINE, options(weights=0), "E-SIGMA", ["weight is 0", "> 0"]),
    (LINE, options(weights=[1.0] * 11 + [-1.0]), "E-SIGMA", ["row 12", "-1", "where="]),
    (LINE, options(weights="zero"), "E-SIGMA", ["row 1"]),
    (LINE, options(weights=object()), "E-SIGMA", ["weights must be numbers"]),
]

WRONG_PARAMETERS = [
    (DECAY, options(bounds={"a": (2.0, 1.0)}), "E-BOUNDS", ["a, 2,", "upper, 1"]),
    (DECAY, options(bounds={"a": (math.nan, 1.0)}), "E-BOUNDS", ["a", "nan", "(low, high)"]),
    (DECAY, options(bounds={"a": (math.inf, math.inf)}), "E-BOUNDS", ["inf"]),
    (DECAY, options(bounds={"a": (-math.inf, -math.inf)}), "E-BOUNDS", ["inf"]),
    (DECAY, options(bounds={"a": 3}), "E-BOUNDS", ["3", "(low, high)"]),
    (DECAY, options(bounds={"a": (1, 2, 3)}), "E-BOUNDS", ["(1, 2, 3)"]),
    (DECAY, options(bounds={"a": "01"}), "E-BOUNDS", ["'01'"]),
    (DECAY, options(bounds={"a": {0, 1}}), "E-BOUNDS", ["{0, 1}"]),
    (DECAY, options(bounds={"a": (0, "x")}), "E-BOUNDS", ["'x'"]),
    (DECAY, options(bounds={"a": (0, 10**400)}), "E-BOUNDS", ["bounds of a"]),
    (DECAY, options(bounds={"d": (0, 1)}), "E-NAME", ['bounds names "d"', "a, b, c"]),
    (DECAY, options(start={"a": 5.0}, bounds={"a": (0, 1)}), "E-BOUNDS", ["start of a, 5", "0 to 1"]),
    (DECAY, options(fixed={"a": 5.0}, bounds={"a": (0, 1)}), "E-BOUNDS", ["a is fixed at 5"]),
    (DECAY, options(start={"a": 1.0}, fixed={"a": 1.0}), "E-FIXED", ["a is fixed", "not in both"]),
    (DECAY, options(start={"q": 1.0}), "E-NAME", ['start names "q"', "parameters: a, b, c"]),
    (DECAY, options(fixed={"C": 1.0}), "E-NAME", ['fixed names "C"', 'try: "c"']),
    (DECAY, options(fixed={"a": 1, "b": 1, "c": 1}), "E-NOPARAM", ["every parameter is fixed", "a, b, c"]),
    (DECAY, options(start={"a": math.nan}), "E-VALUE", ["start of a", "nan"]),
    (DECAY, options(start={"a": 10**400}), "E-VALUE", ["start of a", "finite"]),
    (DECAY, options(fixed={"a": None}), "E-VALUE", ["fixed of a", "None"]),
    (DECAY, options(params=["a", "b", "c", "d"]), "E-NAME", ['"d" is listed in params']),
    ("y ~ µ*x + b", options(start={"µ": 1.0, "μ": 2.0}), "E-NAME", ["twice"]),
]

WRONG_NAMES = [
    (LINE, options(start={"x": 1.0}), "E-NAME", ['"x" is a column', "params="]),
    (LINE, options(fixed={"err": 1.0}), "E-NAME", ['"err" is a column', "params="]),
    (LINE, options(bounds={"zero": (0, 1)}), "E-NAME", ['"zero" is a column']),
    ("y ~ a*x + sped", {}, "E-NAME", ['column "speed"', 'or is "sped" a parameter', "params="]),
    ("y ~ a*x + SPEED", {}, "E-NAME", ['column "speed"', "SPEED"]),
    ("y ~ a*X + b", {}, "E-NAME", ['column "x"', "params="]),
    ("Y ~ a*x + b", {}, "E-COLUMN", ['"Y"', "y", "case-sensitive"]),
    ("y ~ a*y + b", {}, "E-RESPONSE", ["both sides"]),
    ("y ~ x + 1", {}, "E-NOPARAM", ["no parameters", "x (variable)"]),
    ("y ~ 2x + b", {}, "E-SYNTAX", ["2*x", "^"]),
    ("y ~ a*ln(x)", {}, "E-FUNCTION", ["log(x)"]),
    ("y ~ a.__class__", {}, "E-SYNTAX", ["^"]),
]

WRONG_DATA = [
    ("y ~ a*log(x - 20) + b", {}, "E-DOMAIN", ["log(x - 20)", "all 12 rows", "row 1", "x > 20", "0.5 to 6"]),
    ("y ~ a*log(x - 1) + b", {}, "E-DOMAIN", ["log(x - 1)", "2 of 12 rows"]),
    ("y ~ a*exp(x*1000) + b", {}, "E-DOMAIN", ["exp(x*1000)", "1.8e308"]),
    ("y ~ a/zero", {}, "E-DOMAIN", ["a/zero", "all 12 rows"]),
    ("y ~ a/(x - b)", options(start={"b": 6.0}), "E-DOMAIN", ["a/(x - b)", "row 12", "b=6", "try: start={"]),
    ("y ~ a*exp(b*x*1000)", options(starts=1), "E-DOMAIN", ["exp(b*x*1000)", "b=1", "try: start={"]),
    ("y ~ a*x**b", options(start={"b": 1e4}), "E-DOMAIN", ["x**b", "b=10000"]),
    ("log(zero) ~ a*x + b", {}, "E-DOMAIN", ["left side", "log(zero)", "all 12 rows"]),
    ("y ~ a*exp(b*x)", options(start={"a": 1e200}, starts=1), "E-OVERFLOW", ["squares", "a=1e+200"]),
]


CASES = [*WRONG_WEIGHTS, *WRONG_PARAMETERS, *WRONG_NAMES, *WRONG_DATA]


@pytest.mark.parametrize(("model", "arguments", "code", "words"), CASES)
def test_a_mistake_is_said_with_its_place(model: str, arguments: dict[str, Any], code: str, words: list[str]) -> None:
    with pytest.raises(km.KatamukiError) as caught:
        km.fit(model, DATA, **arguments)
    error = caught.value
    assert error.code == code, str(error)
    assert [word for word in words if word not in str(error)] == [], str(error)
    assert str(error).endswith(f"[{code}]")
    if isinstance(error, km.NotConverged):
        assert error.fit.verdict == "failed"
        assert set(error.fit.stderr.values()) == {None}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["x", "y"])
def test_a_value_that_is_none_is_named_by_row_and_column(name: str, value: float) -> None:
    with pytest.raises(km.DataError, match=rf"1 row .*: 5 \({name}") as caught:
        km.fit(LINE, with_value(name, 5, value))
    assert caught.value.code == "E-MISSING"
    assert 'missing="drop"' in caught.value.remedy


def test_what_stands_in_an_unused_column_does_not_matter() -> None:
    clean = km.fit(LINE, DATA)
    for odd in (math.nan, math.inf, -math.inf):
        assert km.fit(LINE, with_value("err", 3, odd)).params == clean.params
    assert km.fit(LINE, {**DATA, "err": ["text", None]}).params == clean.params


@pytest.mark.parametrize("weighting", [{"sigma": "err", "sigma_is": "known"}, {"weights": "err"}])
def test_a_column_of_weights_is_a_used_column(weighting: dict[str, str]) -> None:
    with pytest.raises(km.DataError, match=r"1 row has no value: 3 \(err\)"):
        km.fit(LINE, with_value("err", 3, math.nan), **weighting)
    fit = km.fit(LINE, with_value("err", 3, math.nan), missing="drop", **weighting)
    assert (fit.n, fit.data.dropped) == (N - 1, 1)


def test_rows_are_named_as_they_stand_in_the_data_after_others_were_left_out() -> None:
    sigma = np.full(N, 0.1)
    sigma[8] = 0.0
    with pytest.raises(km.DataError, match="row 9: sigma is 0"):
        km.fit(LINE, with_value("y", 2, math.nan), where="x > 0.9", missing="drop", sigma=sigma, sigma_is="known")


def test_a_bad_weight_of_a_row_left_out_does_not_matter() -> None:
    sigma = np.full(N, 0.1)
    sigma[0] = 0.0
    fit = km.fit(LINE, DATA, where="x > 0.9", sigma=sigma, sigma_is="known")
    assert (fit.n, fit.data.filtered) == (N - 1, 1)


def test_columns_of_different_length_and_of_different_labels_are_refused() -> None:
    with pytest.raises(km.DataError, match=r"12.*11|11.*12") as caught:
        km.fit(LINE, {"x": X, "y": X[:-1]})
    assert caught.value.code == "E-LENGTH"
    with pytest.raises(km.DataError) as caught:
        km.fit(LINE, {"x": pd.Series(X), "y": pd.Series(X, index=range(1, N + 1))})
    assert caught.value.code == "E-INDEX"


@pytest.mark.parametrize("what", [{"sigma_is": "known"}, {}])
def test_a_series_of_weights_with_other_labels_than_the_data_is_refused(what: dict[str, str]) -> None:
    # Rows of a sorted table used to get the sigmas of other rows.
    frame = pd.DataFrame(DATA)
    name = "sigma" if what else "weights"
    for table in (frame.sort_values("y"), {"x": frame.x[::-1], "y": frame.y[::-1]}):
        with pytest.raises(km.DataError, match=f"rows of {name} have other labels") as caught:
            km.fit(LINE, table, **{name: frame.err}, **what)
        assert caught.value.code == "E-INDEX"
    assert km.fit(LINE, frame, **{name: frame.err}, **what).params == pytest.approx(km.fit(LINE, DATA).params)


@pytest.mark.parametrize("steps", [0, -1, 1.5, True, None, 10**12])
def test_a_number_of_steps_that_no_memory_holds_is_refused(steps: Any) -> None:
    with pytest.raises(km.BoundsError, match="from 1 to 1000000"):
        km.LevenbergMarquardt(max_steps=steps)
    assert km.fit(DECAY, DATA, solver=km.LevenbergMarquardt(max_steps=np.int64(50))).state == "converged"


@pytest.mark.parametrize("response", ["zero", "one"])
def test_a_response_that_does_not_vary_is_fitted_and_its_r2_is_no_number(response: str) -> None:
    fit = km.fit(f"{response} ~ a*x + b", DATA)
    assert [fit.params["a"], fit.params["b"]] == pytest.approx([0.0, DATA[response][0]], abs=1e-15)
    assert math.isnan(fit.r2)


@pytest.mark.parametrize("unit", [1e-200, 1e-140, 1e160, 1e200])
@pytest.mark.parametrize("model", [LINE, "y ~ a*exp(-b*x)"])
def test_a_response_whose_squares_leave_the_range_of_numbers_is_refused(unit: float, model: str) -> None:
    # A tiny y used to give standard errors of 0 and the verdict "good".
    with pytest.raises(km.DataError, match="range of numbers") as caught:
        km.fit(model, {"x": X, "y": DATA["y"] * unit}, start={"a": unit})
    assert (caught.value.code, "y in other units" in caught.value.remedy) == ("E-OVERFLOW", True)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda x, a, b: a * x if x > 1 else b, ["decides by values", "np.where"]),
        (lambda x, a, b: a * np.sinc(x) + b, ["sinc"]),
        (lambda *args: args[0], ["*args"]),
        (lambda x, **rest: x, ["**rest"]),
        (lambda x, a, b=1.0: a * x + b, ["default", "b"]),
        (lambda x, a: a * math.exp(x), ["np.exp", "math.exp"]),
        (lambda x, a: None, ["NoneType"]),
        (lambda x, a: 1 / 0, ["ZeroDivisionError"]),
        (lambda x, a, b: a * x, ['"b"']),
        (lambda a, b: a + b, ["none of the function's arguments is a column"]),
        (lambda x, y, a: a * x + y, ["response"]),
        (lambda x, a: a * x[0], ["single elements"]),
        (lambda x, a: a * x * math.inf, ["not finite"]),
        (3, ["int"]),
        (None, ["NoneType"]),
        (["y ~ a*x"], ["list"]),
        (b"y ~ a*x", ["bytes"]),
    ],
)
def test_what_is_no_model_is_said(model: Any, words: list[str]) -> None:
    with pytest.raises(km.FormulaError) as caught:
        km.fit(model, DATA)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)


WRONG_KIND: dict[str, list[Any]] = {
    "start": ["a", [1.0], 3, {1: 2.0}, {"a": "2"}, {"a": True}, {"a": 1j}, {"a": [1.0]}, {"a": np.ones(2)}],
    "bounds": ["a", [(0, 1)], 3, {"a": None}, {"a": [0]}, {"a": (True, 2)}, {1: (0, 1)}],
    "fixed": ["a", ["a"], 3, {"a": "2"}, {"a": np.complex64(1)}, {None: 1.0}],
    "params": ["abc", 3, [3], [["a"]], {"a": 1}],
    "solver": [object(), None, [1], "gauss", km.Adam, 3],
    "loss": [None, [1], "huber", 3],
    "where": [3, "", ["x > 1"], "x >", "q > 1", "x > 100"],
    "missing": [None, "skip", [1], True],
    "backend": [None, [1], "sql", np.ones(2)],
    "dtype": [None, [1], "float32", np.float32, np.ones(2), float("nan")],
    "device": [None, [1], "cuda"],
    "threads": [0, -1, 1.5, "2", True, [1], np.ones(2)],
    "starts": [0, -1, 1.5, "many", True, None, [1], np.ones(2)],
    "seed": ["x", 1.5, None, True, [1]],
    "max_seconds": [-1, 0, math.nan, "1", True, [1], 1j],
    "max_memory": [0, 1.5e9, "1 GB"],
    "progress": [3, "print", [print]],
    "sigma_is": [3, True, "knwon", [1]],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG_KIND.items() for value in values])
def test_every_argument_refuses_what_it_cannot_mean_and_names_it(name: str, value: Any) -> None:
    with pytest.raises(km.KatamukiError) as caught:
        km.fit(DECAY, DATA, **{name: value})
    said = str(caught.value)
    assert re.search(name.replace("sigma_is", "sigma"), said) or name in {"where"}, said
    assert len(said) < 600


@pytest.mark.parametrize("data", [None, 3, [1, 2], np.zeros((3, 2)), {}, {"x": [], "y": []}, {"x": X}, "no_such.csv"])
def test_what_is_no_data_is_said(data: Any) -> None:
    with pytest.raises((km.DataError, km.FormulaError)):
        km.fit(LINE, data)


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=3),
    st.complex_numbers(), st.dates(), st.lists(st.floats(), max_size=3), st.sets(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from(["a", "b", "c", "x", "", "é", "\ud800"]), st.floats() | st.text(max_size=2)),
    st.sampled_from([object(), print, km.Adam(), np.nan, np.array([]), np.ones(N), datetime.timedelta(1), X, type]),
)  # fmt: skip
ARGUMENTS = (*WRONG_KIND, "sigma", "weights")


@given(st.dictionaries(st.sampled_from(ARGUMENTS), ANYTHING, min_size=1, max_size=2))
def test_anything_at_all_gives_a_fit_or_an_error_of_ours(arguments: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        try:
            fit = km.fit(DECAY, DATA, **arguments)
        except km.KatamukiError as error:
            ended: Any = error.code[:2], bool(str(error))
        else:
            ended = fit.state
    assert ended in {("E-", True), "exact", "converged", "not_identifiable", "cycle", "slow"}


def test_every_sentence_for_this_verb_has_its_remedy_in_both_surfaces_or_names_no_argument_of_python() -> None:
    sentences = catalogue("en")
    for key, text in sentences.items():
        if key.startswith("api.") and key.endswith(".remedy") and re.search(r"\w=", text):
            assert key + ".cli" in sentences, key


def test_the_defaults_of_fit_need_no_check_and_everything_else_gets_one() -> None:
    defaults = {name: one.default for name, one in inspect.signature(km.fit).parameters.items()}
    usual = [defaults[name] for name in ("loss", "backend", "dtype", "device")]
    assert computing.computing(*usual, "formula", weighted=False) is computing.KERNEL
    spelled = ["".join(list(one)) for one in usual]  # equal, and other objects: the long way says the same
    assert computing.computing(*spelled, "formula", weighted=False) == computing.KERNEL
    for k in range(4):
        wrong = [*usual[:k], "nonsense", *usual[k + 1 :]]
        with pytest.raises(km.KatamukiError):
            computing.computing(*wrong, "formula", weighted=False)

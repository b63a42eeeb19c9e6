"""The table of parameters has the digits that error bars need; sentences have true minus signs, commands have none."""

import math
import re
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import katamuki as km
from katamuki import report
from katamuki.records import Finding
from katamuki.report.numbers import MINUS, beside, number, signed, width
from katamuki.report.printed import worded

BEGAN = 1.7002e9  # seconds since 1970
SECONDS = BEGAN + np.linspace(-2e5, 2e5, 120)
GROWTH = {
    "t": SECONDS,
    "y": 100.0 / (1.0 + np.exp(-(SECONDS - BEGAN - 100.0) / 3e4))
    + np.random.default_rng(2).standard_normal(len(SECONDS)),
}
LOGISTIC = "y ~ K/(1 + exp(-(t - t0)/s))"
NUMBER = r"−?\d[\d.]*(?:e[+−]\d+)?"


def read(text: str) -> float:
    return float(text.replace(MINUS, "-"))


def printed(fit: km.Fit, name: str) -> list[str]:
    """Value, standard error and both ends, as the report shows them."""
    line = next(one for one in str(fit).split("\n") if re.match(rf"  {name} +[\d−]", one))
    return re.findall(NUMBER, line.removeprefix(f"  {name}"))[:4]


def test_a_value_far_from_zero_has_the_digits_that_its_error_bar_needs() -> None:
    # This used to print 1.700200e+09 ± 321.7040, and an interval whose ends read the same.
    fit = km.fit(LOGISTIC, GROWTH)
    value, stderr, low, high = map(read, printed(fit, "t0"))
    error = fit.stderr["t0"]
    assert error is not None
    assert stderr == pytest.approx(error, rel=1e-6)
    for said, true in zip((value, low, high), (fit.params["t0"], *fit.interval()["t0"]), strict=True):
        assert abs(said - true) <= 0.05 * error
    assert low < value < high
    assert [width(one) <= 80 for one in str(fit).split("\n")] == [True] * len(str(fit).split("\n"))
    assert f"<td>{printed(fit, 't0')[0]}</td>" in report.html(fit)


def test_no_digit_is_printed_that_rounding_took() -> None:
    fit = km.fit(LOGISTIC, GROWTH)
    shown = printed(fit, "t0")[0].replace(".", "")
    assert len(shown) <= fit.digits["t0"]


def test_a_small_number_with_a_small_error_bar_keeps_its_last_digits() -> None:
    x = np.linspace(0.0, 1.0, 50)
    y = 0.123456789 * np.exp(-0.5 * x) + 1e-9 * np.random.default_rng(4).standard_normal(50)
    fit = km.fit("y ~ a*exp(-b*x)", {"x": x, "y": y})
    error = fit.stderr["a"]
    assert error is not None
    assert abs(read(printed(fit, "a")[0]) - fit.params["a"]) <= 0.05 * error


def test_exact_data_do_not_print_the_rounding_of_their_standard_errors() -> None:
    x = np.linspace(0.0, 1.0, 50)
    fit = km.fit("y ~ a*exp(-b*x)", {"x": x, "y": 2.0 * np.exp(-0.5 * x)})
    assert printed(fit, "a")[0] == "2.000000"


@given(st.floats(1e-30, 1e30), st.floats(1e-14, 1e3), st.booleans())
def test_a_number_beside_its_error_bar_is_right_to_its_second_digit(size: float, share: float, negative: bool) -> None:
    value = -size if negative else size
    error = size * share
    text = beside(value, error)
    assert abs(read(text) - value) <= max(0.051 * error, 5.1e-15 * size)
    assert beside(value, error, 6.5) == number(value, 6.5)
    assert beside(value, math.nan) == number(value)
    assert len(text) <= 22


@given(st.floats(allow_nan=False), st.sampled_from([".6g", ".3g", ".1e", ""]))
def test_signs_of_sentences_are_true_and_the_number_is_the_same(value: float, spec: str) -> None:
    said = format(signed(value), spec)
    assert "-" not in said
    assert said.replace(MINUS, "-") == format(value, spec)


def test_a_finding_has_true_minus_signs_in_reports_and_ascii_in_commands_and_json() -> None:
    # This used to say "the data allow -11.2 to 20.5" below a table of true minus signs.
    values = {"name": "b", "low": -11.2, "high": 20.5, "below": -3e-7, "above": 1.0, "flag": "a=-1.5", "start": "-1"}
    one = Finding("CURVED", "note", "b", values, "", None)
    assert "the data allow −3e−07 to 1 (95 %), its standard error says −11.2 to 20.5" in worded(one)[0]
    assert "−11.2" in worded(one, "ja")[0]
    assert MINUS not in worded(one, ascii_signs=True)[0]
    start = {"loss": 2.0, "yours": "a -1.5, b 2e-07", "least": 1.0, "other": "a -2, b 3", "flag": "a=-2", "start": "{}"}
    words, remedy = worded(Finding("BETTER_MINIMUM", "warning", None, start, "", None), "en", "cli")
    assert "a −1.5, b 2e−07" in words
    assert "a −2, b 3" in words
    assert remedy is None or MINUS not in remedy
    formula = {"names": ("a", "b"), "name": "a", "combination": "0.5*a - b*exp(-1)", "value": -1.0}
    assert "only 0.5*a - b*exp(-1) = −1 is" in worded(Finding("UNDETERMINED", "warning", None, formula, "", None))[0]


def test_a_fit_with_negative_limits_says_them_with_true_signs_and_json_has_none() -> None:
    x = np.linspace(0.0, 5.0, 12)
    y = -3.0 * np.exp(-0.3 * x) - 1.0 + 0.3 * np.random.default_rng(1).standard_normal(12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        fit = km.fit("y ~ a*exp(-b*x) + c", {"x": x, "y": y})
    said = [one for one in fit.findings if one.code == "CURVED"]
    assert said
    assert MINUS in "".join(worded(one)[0] for one in said)
    assert MINUS not in str(fit.to_dict()["findings"])
    assert not re.search(r"(?<=[ (])-\d", str(fit).partition("verdict")[0].partition("try:")[0])


def test_a_name_and_its_value_stay_on_one_line_beside_their_label() -> None:
    # This used to leave the label alone on its line, and to part "s2" from "6.175013".
    x = np.linspace(0.0, 10.0, 60)
    y = 4.0 * np.exp(-((x - 3.2) ** 2) / 0.3) + 2.0 * np.exp(-((x - 6.1) ** 2) / 2.0)
    y += 0.05 * np.random.default_rng(9).standard_normal(60)
    model = "y ~ a1*exp(-(x-m1)^2/(2*s1^2)) + a2*exp(-(x-m2)^2/(2*s2^2))"
    start = {"a1": 4.012345, "m1": 3.212345, "s1": 0.412345, "a2": 2.012345, "m2": 6.112345, "s2": 1.012345}
    lines = str(km.fit(model, {"x": x, "y": y}, start=start)).split("\n")
    at = next(k for k, one in enumerate(lines) if one.startswith("start"))
    assert re.fullmatch(r"start +a1 4\.012345 .*", lines[at])
    said = " ".join(lines[at : at + 2])
    for name, value in start.items():
        assert f"{name} {value}" in said
    assert max(map(width, lines)) <= 80


def test_what_a_report_leaves_out_of_many_parameters_is_said_to_stand_elsewhere() -> None:
    x = np.linspace(0.0, 6.2, 90)
    terms = " + ".join(f"c{k}*sin({k}*x)" for k in range(1, 31))
    fit = km.fit(f"y ~ {terms}", {"x": x, "y": np.cos(x) + np.random.default_rng(3).standard_normal(90)})
    assert "… and 24 more, all in fit.params" in str(fit)
    assert "… and 24 more: --csv and --json print all" in report.text(fit, surface="cli")


def test_a_row_that_is_the_whole_scatter_has_no_infinite_distance() -> None:
    # This used to say "row 11 is inf standard errors from where the other rows put it (p = 0 …)".
    x = np.linspace(0.0, 5.0, 40)
    y = 2.0 * x + 1.0 + 0.1 * np.random.default_rng(8).standard_normal(40)
    y[10] = 1e12
    fit = km.fit("y ~ a*x + b", {"x": x, "y": y})
    said = " ".join(worded(one)[0] for one in fit.findings if one.code == "OUTLIERS")
    assert "row 11" in said
    assert "inf" not in said

"""Rows without a value or without a derivative: what is said of them, and that the remedy works when it is typed.

This used to print the source of a generated derivative, speak of a start that nobody gave, and offer nothing.
"""

import json
import re
import shlex
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import katamuki as km
from command_line import ERROR, Command
from katamuki.api.leaving_out import condition, rewritten, typed_parts
from katamuki.data import condition as conditions
from katamuki.formula import parse

DOSE = np.repeat([0.0, 0.1, 0.5, 1.0, 5.0, 10.0, 50.0, 100.0], 2)
NOISE = np.random.default_rng(5).standard_normal(16)
DATA = {"dose": DOSE, "y": 10.0 + 80.0 * DOSE**1.5 / (4.0**1.5 + DOSE**1.5) + 0.1 * NOISE}
LOGISTIC = "y ~ bottom + (top-bottom)/(1+exp(-h*(log(dose)-log(ec50))))"
DECADES = "y ~ bottom + (top-bottom)/(1+10^((logec50-log10(dose))*h))"
QUOTIENT = "y ~ bottom + (top-bottom)/(1+(ec50/dose)^h)"


def failed(model: str, **options: object) -> km.NotConverged:
    with pytest.raises(km.NotConverged) as caught:
        km.fit(model, DATA, **options)
    assert caught.value.code == "E-DOMAIN"
    return caught.value


@pytest.mark.parametrize(
    ("model", "part"),
    [(LOGISTIC, "log(dose)"), (DECADES, "log10(dose)"), (QUOTIENT, "ec50/dose")],
)
def test_a_derivative_without_a_value_is_said_to_be_one_with_its_parameters_and_rows(model: str, part: str) -> None:
    error = failed(model)
    said = error.text()
    assert "the formula has values at the data, but no derivative with respect to " in said
    by = set(re.findall(r"\w+", re.search(r"with respect to (.*) in 2 of", said).group(1)))  # type: ignore[union-attr]
    assert {"h"} <= by <= {"h", "ec50", "logec50", "and"}
    assert "in 2 of 16 rows (first in row 1: dose = 0)" in said
    assert said.partition("dose = 0)")[2] in {"", f": {part} is undefined"}
    assert "start" not in str(error)
    assert " if " not in str(error)  # source of a derivative
    assert "**" not in str(error)


@pytest.mark.parametrize("model", [LOGISTIC, DECADES, QUOTIENT, "y ~ a*log(dose) + b", "y ~ a*log(b*dose) + c*dose"])
def test_the_condition_that_is_advised_works_when_it_is_typed(model: str) -> None:
    error = failed(model)
    where = re.search(r'where="(.*?)"', str(error.remedy)).group(1)  # type: ignore[union-attr]
    assert where == "dose > 0"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        fit = km.fit(model, DATA, where=where)
    assert (fit.n, fit.state in {"converged", "not_identifiable", "exact"}) == (14, True)
    flag = shlex.split(re.search(r"--where .*?'.*?'", str(error.advice("en", "cli"))).group())  # type: ignore[union-attr]
    assert flag == ["--where", where]


def test_the_other_spelling_that_is_advised_keeps_the_rows_and_is_the_same_formula() -> None:
    new, old = re.match(r"(.*) for (.*), which is the same", str(failed(QUOTIENT).remedy)).groups()  # type: ignore[union-attr]
    assert old == "(top - bottom)/(1 + (ec50/dose)^h)"
    fit = km.fit(f"y ~ bottom + {new}", DATA)
    assert (fit.n, fit.verdict) == (16, "good")
    assert fit.params["ec50"] == pytest.approx(4.0, rel=0.05)
    kept = km.fit(QUOTIENT, DATA, where="dose > 0")
    again = km.fit(f"y ~ bottom + {new}", DATA, where="dose > 0")
    assert kept.rss == pytest.approx(again.rss, rel=1e-9)


def test_where_a_start_would_do_the_start_is_spoken_of() -> None:
    data = {"x": DOSE + 1.0, "y": DATA["y"]}
    with pytest.raises(km.NotConverged) as caught:
        km.fit("y ~ c + sqrt(a^2)*x", data, start={"a": 0.0, "c": 1.0}, starts=1)
    assert "the formula has values at the start a=0, c=1" in str(caught.value).replace("c=1, a=0", "a=0, c=1")
    start = json.loads(re.search(r"start=(\{.*\})", str(caught.value.remedy)).group(1))  # type: ignore[union-attr]
    assert np.isfinite(km.fit("y ~ c + sqrt(a^2)*x", data, start=start, starts=1).loss)


def test_the_command_gives_the_flag_in_both_languages(command: Command, table: object) -> None:
    (table.parent / "dose.csv").write_text(  # type: ignore[attr-defined]
        "dose,y\n" + "".join(f"{x},{y}\n" for x, y in zip(DOSE, DATA["y"], strict=True))
    )
    done = command("fit", LOGISTIC, "dose.csv")
    assert (done.returncode, done.stdout) == (5, "")
    assert "try: --where 'dose > 0', which leaves out these rows only [E-DOMAIN]" in done.stderr
    assert "log needs dose > 0; the data have dose from 0 to 100" in done.stderr
    assert "--where 'dose > 0'" in command("fit", LOGISTIC, "dose.csv", "--lang", "ja").stderr
    ERROR(json.loads(command("fit", LOGISTIC, "dose.csv", "--json").stderr))
    assert command("fit", LOGISTIC, "dose.csv", "--where", "dose > 0").returncode == 0


@given(
    st.lists(st.sampled_from([-2.0, -0.5, 0.0, 0.25, 1e-300, 3.0, 1e9]), min_size=3, max_size=12),
    st.sampled_from(["x", "flow rate"]),
    st.data(),
)
def test_a_condition_leaves_out_the_bad_rows_and_no_others(values: list[float], name: str, data: st.DataObject) -> None:
    column = np.array(values)
    bad = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))))
    found = condition({name: column}, [name], bad, 1)
    if found is None:
        inside = (column[~bad].min(initial=np.inf), column[~bad].max(initial=-np.inf))
        alone = len(set(column[bad].tolist())) == 1 and not np.isin(column[~bad], column[bad]).any()
        assert not bad.any() or bad.all() or not (alone or (column[bad] < inside[0]).all())
        return
    read = conditions.parse(found.text)
    assert read.numeric == (name,)
    np.testing.assert_array_equal(conditions.holds(read, {name: column}, {}, len(column)), ~bad)


def test_no_condition_is_made_up_where_no_single_column_parts_the_rows_or_too_few_would_be_left() -> None:
    x = np.array([0.0, 1.0, 2.0, 3.0])
    assert condition({"x": x}, ["x"], np.array([False, True, True, False]), 1) is None
    assert condition({"x": x}, ["x"], x == 0.0, 4) is None
    assert condition({"x": x}, ["x"], x >= 0.0, 0) is None
    assert condition({"x": x}, ["x"], x == 1.0, 1) == ("x", "x != 1")


def test_a_spelling_that_does_not_help_is_not_advised() -> None:
    graph = parse("y ~ c/(1 + (e/x)^h) + log(x)*c", ["x", "y"]).rhs
    assert rewritten(graph, {"x": DOSE}, {"c": 1.0, "e": 2.0, "h": 1.5}) is None
    graph = parse("y ~ c/(2 + (e/x)^h)", ["x", "y"]).rhs
    assert rewritten(graph, {"x": DOSE}, {"c": 1.0, "e": 2.0, "h": 1.5}) is None


def test_parts_are_those_that_were_typed() -> None:
    model = parse("y ~ a*log( x )", ["x", "y"])
    assert "log( x )" in typed_parts(model.rhs, model.text)


def test_where_no_condition_parts_the_rows_there_is_still_a_remedy() -> None:
    with pytest.raises(km.NotConverged) as caught:
        km.fit(QUOTIENT, {"dose": np.zeros(16), "y": DATA["y"]})
    assert caught.value.code == "E-DOMAIN"
    assert caught.value.remedy
    assert "--" in str(caught.value.advice("en", "cli"))

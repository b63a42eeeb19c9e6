"""What is refused before any solver runs: formulas that read no column, and more parameters than rows."""

import json
import re
import shlex

import numpy as np
import pytest

import katamuki as km
from command_line import ERROR, Command

X = np.linspace(0.0, 5.0, 20)
DATA = {"x": X, "y": 3.0 * np.exp(-X) + 1.0}


@pytest.mark.parametrize("model", ["y ~ a*exp(-b*q) + c", "y ~ a + b", "y ~ a*b"])
def test_several_parameters_and_no_column_are_refused_with_the_columns_there_are(model: str) -> None:
    # This used to be fitted, for twenty lines about parameters that cannot be told apart.
    with pytest.raises(km.FormulaError, match="the formula reads no column") as caught:
        km.fit(model, DATA)
    assert (caught.value.code, caught.value.where) == ("E-COLUMN", "columns of the data beside y: x")
    assert "such as x" in str(caught.value.remedy)


def test_a_constant_is_a_formula() -> None:
    fit = km.fit("y ~ a", DATA)
    assert fit.params["a"] == pytest.approx(DATA["y"].mean(), rel=1e-12)
    fit = km.fit("y ~ a*exp(-b)", DATA, fixed={"b": 0.5})
    assert fit.params["a"] == pytest.approx(DATA["y"].mean() * np.exp(0.5), rel=1e-12)


def test_a_name_two_letters_from_a_column_is_said_to_be_like_it() -> None:
    with pytest.raises(km.FormulaError) as caught:
        km.fit("y ~ a*exp(-b*tempreture)", {"temperature": X, "y": DATA["y"]})
    assert caught.value.code == "E-COLUMN"
    assert caught.value.remedy == "temperature for tempreture"


def test_data_without_another_column_are_said_to_have_none() -> None:
    with pytest.raises(km.FormulaError) as caught:
        km.fit("y ~ a + b", {"y": X})
    assert caught.value.where == "the data have no column beside y"


def test_the_command_names_the_columns(command: Command) -> None:
    done = command("fit", "y = a*q + b", "tutorial.csv")
    assert (done.returncode, done.stdout) == (3, "")
    assert "columns of the data beside y: x" in done.stderr
    assert "E-COLUMN" in command("fit", "y = a*q + b", "tutorial.csv", "--lang", "ja").stderr
    ERROR(json.loads(command("fit", "y = a*q + b", "tutorial.csv", "--json").stderr))


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_as_many_parameters_are_advised_to_be_fixed_as_there_are_rows_too_few(rows: int) -> None:
    # This used to say "fix one", which brought the same error again.
    data = {"x": X[:rows], "y": DATA["y"][:rows]}
    with pytest.raises(km.DataError) as caught:
        km.fit("y ~ a*exp(-b*x) + c + d*x", data)
    assert caught.value.code == "E-TOOFEW"
    fixed = json.loads(re.search(r"fixed=(\{.*\})", str(caught.value.remedy)).group(1))  # type: ignore[union-attr]
    assert (len(fixed), f"fix {len(fixed)}," in str(caught.value.remedy)) == (4 - rows, True)
    flag = re.search(r"--fix (\S+),", str(caught.value.advice("en", "cli"))).group(1)  # type: ignore[union-attr]
    assert {one.partition("=")[0] for one in flag.split(",")} == fixed.keys()
    assert km.fit("y ~ a*exp(-b*x) + c + d*x", data, fixed=fixed).n == rows


def test_the_flag_that_is_advised_is_taken(command: Command) -> None:
    done = command("fit", "y = a*exp(-b*x) + c + d*x", "tutorial.csv", "--where", "x < 5")
    flag = re.search(r"(--fix \S+),", done.stderr).group(1)  # type: ignore[union-attr]
    again = command("fit", "y = a*exp(-b*x) + c + d*x", "tutorial.csv", "--where", "x < 5", *shlex.split(flag))
    assert again.returncode == 0


def test_of_many_parameters_none_are_named_to_be_fixed() -> None:
    terms = " + ".join(f"a{k}*x^{k}" for k in range(20))
    with pytest.raises(km.DataError) as caught:
        km.fit(f"y ~ {terms}", {"x": X[:3], "y": DATA["y"][:3]})
    assert caught.value.remedy == "a formula with fewer parameters, or 17 more rows"

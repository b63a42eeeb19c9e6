"""Which names are columns and which are parameters: no silent capture, either way."""

from __future__ import annotations

import pytest

from katamuki.errors import FormulaError
from katamuki.formula import parse


def refused(text: str, columns: list[str], **more: object) -> str:
    with pytest.raises(FormulaError) as caught:
        parse(text, columns, **more)  # type: ignore[arg-type]
    return str(caught.value)


def test_columns_are_data_and_other_names_are_parameters_in_order_of_appearance() -> None:
    model = parse("y ~ c + a*exp(-b*x)", ["x", "y", "unused"])
    assert model.parameters == ("c", "a", "b")
    assert model.columns == ("y", "x")


def test_a_choice_is_read_in_the_order_of_its_text() -> None:
    assert parse("y ~ p if x > c else q", ["x", "y"]).parameters == ("p", "c", "q")


def test_a_name_in_start_that_is_a_column_is_an_error_unless_declared() -> None:
    said = refused("y ~ a*x + b", ["x", "y", "b"], given=["a", "b"])
    assert '"b" is a column' in said
    assert 'params=["b", ...]' in said
    model = parse("y ~ a*x + b", ["x", "y", "b"], params=["b"], given=["a", "b"])
    assert model.parameters == ("a", "b")
    assert model.columns == ("y", "x")


def test_without_being_declared_a_column_is_data() -> None:
    assert parse("y ~ a*x + b", ["x", "y", "b"]).parameters == ("a",)


@pytest.mark.parametrize(
    ("name", "column", "asks"),
    [
        ("temp", "Temp", True),
        ("X", "x", True),
        ("tmep", "temp", True),
        ("temp", "temps", True),
        ("tem", "temp", True),
        ("rate", "ratio", False),
        ("k1", "k2", False),
        ("ab", "abc", False),
        ("abd", "abc", True),
    ],
)
def test_a_parameter_like_an_unused_column_is_asked_for(name: str, column: str, asks: bool) -> None:
    columns = ["y", column]
    if not asks:
        assert parse(f"y ~ 2*{name}", columns).parameters == (name,)
        return
    said = refused(f"y ~ 2*{name}", columns)
    assert f'did you mean the column "{column}", or is "{name}" a parameter?' in said
    assert parse(f"y ~ 2*{name}", columns, params=[name]).parameters == (name,)


def test_a_parameter_like_a_used_column_is_fine() -> None:
    assert parse("y ~ temp*temp0", ["y", "temp"]).parameters == ("temp0",)


def test_of_two_columns_with_the_same_letters_the_near_one_is_found() -> None:
    assert '"temp1"' in refused("y ~ 2*temp1x", ["y", "temp1", "temp2"])


def test_declared_names_must_occur() -> None:
    assert '"q" is listed in params and does not occur' in refused("y ~ a*x", ["x", "y"], params=["a", "q"])


def test_names_compare_after_normalisation() -> None:
    model = parse("ｙ ~ a*ｘ", ["x", "ｙ"])
    assert model.columns == ("ｙ", "x")  # as the data spell them
    assert model.lhs.columns == ("ｙ",)


def test_two_columns_that_normalise_to_one_name_are_an_error_when_used() -> None:
    assert "two columns" in refused("y ~ a*x", ["x", "ｘ", "y"])
    assert parse("y ~ a*z", ["x", "ｘ", "y", "z"]).columns == ("y", "z")


def test_only_pi_is_reserved() -> None:
    model = parse("y ~ a*sin(2*pi*x) + e + exp1", ["x", "y"])
    assert model.parameters == ("a", "e", "exp1")
    assert "column is written `pi`" in refused("y ~ a*pi", ["pi", "y"])
    assert parse("y ~ a*`pi`", ["pi", "y"]).columns == ("y", "pi")
    assert "cannot be a parameter" in refused("y ~ a*pi", ["y"], params=["pi"])
    assert "written pi" in refused("y ~ a*sin(π*x)", ["x", "y"])


def test_a_function_that_is_not_called_is_an_error_unless_in_backticks() -> None:
    assert '"exp" is a function' in refused("y ~ a*exp", ["y"])
    assert parse("y ~ a*`exp`", ["y"]).parameters == ("a", "exp")
    assert parse("y ~ a*log", ["y", "log"]).columns == ("y", "log")


def test_a_missing_response_shows_the_columns_and_the_formula_to_try() -> None:
    said = refused("rate = a*temp + b", ["Temp", "Rate"])
    assert said == (
        'no column "rate" in the data\n'
        "  columns: Temp, Rate   (names are case-sensitive)\n"
        "  try: 'Rate = a*Temp + b' [E-COLUMN]"
    )
    assert "there is weight" in refused("wieght ~ a*x", ["weight", "x"])
    assert "try:" not in refused("q ~ a*x", ["weight", "x"])
    assert "E-COLUMN" in refused("log(q) ~ a*x", ["weight", "x"])


def test_the_left_side_holds_data_only() -> None:
    assert 'no column: "b"' in refused("b*y ~ a*x", ["x", "y"])
    assert 'no column: "b"' in refused("y - b ~ a*x", ["x", "y", "b"], params=["b"])
    assert "must have a column" in refused("3 ~ a*x", ["x", "y"])
    assert parse("log(y)/x ~ a*x + b", ["x", "y"]).response == "log(y)/x"


def test_the_response_cannot_explain_itself() -> None:
    said = refused("y ~ a*x + y", ["x", "y"])
    assert said.split("\n")[2].index("^") == said.split("\n")[1].rindex("y")
    assert "E-RESPONSE" in said
    assert "E-RESPONSE" in refused("log(y) ~ a*`y`", ["x", "y"])


def test_nothing_to_fit_lists_the_names() -> None:
    assert refused("y = x + 1", ["x", "y"]) == (
        'nothing to fit: no parameters in "y = x + 1"\n  names found: y (response), x (variable)\n'
        "  try: write the parameters too: y ~ a*x + b [E-NOPARAM]"
    )


def test_letters_that_only_look_like_latin_ones_are_named() -> None:
    assert "CYRILLIC SMALL LETTER HA" in refused("y ~ a*х", ["x", "y"])
    assert "CYRILLIC SMALL LETTER A" in refused("y ~ a*x + а", ["x", "y"])
    assert "CYRILLIC SMALL LETTER IE" in refused("y ~ ratе*x", ["x", "y"])
    assert parse("y ~ α*x + β", ["x", "y"]).parameters == ("α", "β")
    assert parse("y ~ сила*x", ["x", "y"]).parameters == ("сила",)

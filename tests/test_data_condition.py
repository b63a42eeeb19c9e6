"""Conditions: the rows that pandas' query would keep, and nothing that is evaluated by another hand than ours."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from katamuki.data import condition, rows, select
from katamuki.errors import DataError

FRAME = pd.DataFrame({
    "x": [1.0, 2.0, 3.0, 4.0, 5.0], "y": [2.0, 1.0, 0.0, -1.0, 3.0], "kind": ["a", "b", "a", "c", "b"],
    "flow rate": [1.0, 1.0, 2.0, 2.0, 3.0],
})  # fmt: skip


def kept(where: str, data: object = FRAME, used: tuple[str, ...] = ("x",), **options: str) -> list[int]:
    found = select(rows(data), used, where, **options)
    index = range(found.source.rows) if found.index is None else found.index.tolist()
    assert found.source.where == where
    assert found.source.rows + found.source.filtered + found.source.dropped == len(rows(data))
    return list(index)


def refused(where: object, data: object = FRAME) -> DataError:
    with pytest.raises(DataError) as caught:
        select(rows(data), ("x",), where)  # type: ignore[arg-type]
    assert str(caught.value)
    return caught.value


SAID = [
    "x > 3", "x >= 3", "x < 3", "x <= 3", "x == 3", "x != 3", "x > y", "x > 4 or y < 1", "x > 1 and y > 1",
    "not x > 3", "not (x > 3 or y == 1)", "2 < x <= 4", "x + y > 4", "x * 2 - y / 2 > 5", "x ** 2 > 8", "x % 2 == 1",
    "-x < -3", "kind == 'a'", 'kind != "a"', "'b' == kind", "kind in ('a', 'c')", "kind not in ['a', 'c']",
    "x in (1, 4)", "x not in (1, 4)", "`flow rate` > 1", "`flow rate` > 1 and kind == 'c'", "x > 1e0",
]  # fmt: skip


@pytest.mark.parametrize("where", SAID)
def test_a_condition_keeps_the_rows_that_pandas_keeps(where):
    assert kept(where) == FRAME.query(where).index.tolist()


@pytest.mark.parametrize("where", SAID)
def test_a_condition_means_the_same_for_every_kind_of_data(where, tmp_path):
    FRAME.to_csv(tmp_path / "d.csv", sep=";", decimal=",", index=False)
    wanted = kept(where)
    assert kept(where, pl.from_pandas(FRAME)) == wanted
    assert kept(where, str(tmp_path / "d.csv")) == wanted
    assert kept(where, {name: FRAME[name].tolist() for name in FRAME}) == wanted


@given(
    st.integers(-3, 8),
    st.integers(-3, 8),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.sampled_from(["and", "or"]),
)
def test_comparisons_are_those_of_python(p, q, op, join):
    where = f"x {op} {p} {join} not y {op} {q}"
    wanted = [i for i, (x, y) in enumerate(zip(FRAME["x"], FRAME["y"], strict=True)) if eval(where, {"x": x, "y": y})]
    if wanted:
        assert kept(where) == wanted
    else:
        assert refused(where).code == "E-EMPTY"


@pytest.mark.parametrize(
    "where",
    [
        "", "x", "x + 1", "x = 3", "x > 3 & y > 1", "x ^ 2 > 3", "f(x) > 3", "__import__('os').system('true') > 0",
        "x.real > 3", "x[0] > 3", "x > 'a'", "kind < 'b'", "kind + 'a' == 'aa'", "kind == 'a' == 'a'", "x is 3",
        "(x := 3) > 2", "[v for v in x] > 2", "lambda: x > 3", "x > 3 if y else 2", "x > 3; y", "x > True", "True",
        "x > 1j", "x in y", "x in (1, (2, 3))", "x > f'{y}'", "x > b'a'", "x > ...", "x > 3 # and", "x >", "x > (",
        "1 +", "x > 3\ny > 1", "\0", "x > \ud800", "*x > 3", "x @ y > 3", "~x > 3", "x << 3 > 1", "await x > 3",
        "yield",
        "x > " + "9" * 400, "x > " + "9" * 5000, "x > 1" + "+1" * 900, "x > " + "(" * 900 + "1" + ")" * 900,
        "not " * 400 + "x > 3", "-" * 1900 + "x > 3", "x > 3" + " and x > 3" * 9000,
        "{x} > {y}", "x > {y!r}", "`x > 3", "`` > 3",
    ],
)  # fmt: skip
def test_what_is_no_condition_is_refused(where):
    assert refused(where).code in {"E-WHERE", "E-COLUMN"}


def test_refusals_say_what_to_write():
    assert "==" in str(refused("x = 3"))
    assert "and, or" in str(refused("x > 3 & y > 1"))
    assert "**" in str(refused("x ^ 2 > 3"))
    assert refused("Kind == 'a'").where == "columns: x, y, kind, flow rate   (names are case-sensitive)"
    assert 'fulfils where "x > 100"; there are 5 rows' in str(refused("x > 100"))
    assert "holds no text" in str(refused("x == 'a'"))
    assert refused("kind > 3").code == "E-NUMBER"
    assert refused(3).code == "E-WHERE"


@given(st.text(max_size=40) | st.text("xy<>=!()+-*/'\"` andornt0123456789.[],", max_size=40))
def test_any_text_keeps_rows_or_is_a_data_error(where):
    try:
        kept(where)
    except DataError as error:
        assert str(error).encode()  # noqa: PT017


def test_numbers_that_overflow_are_compared_without_harm():
    assert kept("x < 9**9**9") == [0, 1, 2, 3, 4]
    assert kept("x / 0 > 1") == [0, 1, 2, 3, 4]


def test_a_backtick_name_may_look_like_the_hidden_ones():
    assert kept("`a b` > 1 and _0_ > 1", {"a b": [1.0, 2.0], "_0_": [3.0, 2.0], "x": [1.0, 2.0]}) == [1]
    assert kept("kind == '`x`'", {"kind": ["`x`", "x"], "x": [1.0, 2.0]}) == [0]


def test_a_row_whose_condition_lacks_a_value_is_never_left_out_in_silence():
    data = {"x": [1.0, 2.0, 3.0, 4.0], "y": [1.0, None, 3.0, 4.0], "k": ["a", "a", None, "b"]}
    with pytest.raises(DataError, match=r"1 row has no value: 2 \(y\)"):
        kept("y > 2", data)
    with pytest.raises(DataError, match=r"2 rows have no value: 2 \(y\), 3 \(k\)"):
        kept("y > 0 or k == 'a'", data)
    found = select(rows(data), ("x",), "y < 4 and k == 'a'", "drop")
    assert found.arrays["x"].tolist() == [1.0]
    assert (found.source.dropped, found.source.filtered) == (2, 1)


def test_what_stands_in_rows_that_are_left_out_does_not_matter():
    data = {"x": [1.0, None, np.inf, 4.0], "ok": ["yes", "no", "no", "yes"]}
    found = select(rows(data), ("x",), "ok == 'yes'")
    assert found.arrays["x"].tolist() == [1.0, 4.0]
    assert found.index is not None
    assert found.index.tolist() == [0, 3]
    with pytest.raises(DataError, match=r"3 \(x = inf\)"):
        select(rows(data), ("x",), "ok == 'no'")  # rows keep their numbers


def test_an_infinite_value_can_be_compared():
    assert kept("y < 3", {"x": [1.0, 2.0], "y": [np.inf, 1.0]}) == [1]


def test_the_columns_of_a_condition_are_known():
    found = condition.parse("x > 1 and kind == 'a' and `flow rate` in (1, 2)")
    assert found.numeric == ("x", "flow rate")
    assert found.textual == ("kind",)

"""Objects in memory as data: every kind gives the same float64, and what cannot be a number is named."""

from __future__ import annotations

import array
import datetime
import decimal
import fractions
import re
from collections import OrderedDict
from pathlib import Path
from types import MappingProxyType

import duckdb
import narwhals
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import katamuki.data
from katamuki import messages
from katamuki.data import Columns, read, rows, select
from katamuki.errors import DataError
from katamuki.records import Source

X = [10.0, 8.0, 13.0, 9.0]
Y = [8.04, 6.95, 7.58, 8.81]


def refused(code: str, data: object, used: tuple[str, ...] = ("x", "y"), **options: str) -> DataError:
    """The error of a selection, which must print on both surfaces."""
    with pytest.raises(DataError) as caught:
        select(rows(data), used, **options)
    assert caught.value.code == code
    assert str(caught.value).endswith(f"[{code}]")
    assert caught.value.render(surface="cli")
    return caught.value


def taken(data: object, used: tuple[str, ...] = ("x", "y"), **options: str) -> Columns:
    found = select(rows(data), used, **options)
    for column in found.arrays.values():
        assert type(column) is np.ndarray
        assert column.dtype == np.float64
        assert column.flags.c_contiguous
        assert column.flags.aligned
        assert column.shape == (found.source.rows,)
        assert np.isfinite(column).all()
    return found


KINDS = {
    "arrays": lambda: {"x": np.array(X), "y": np.array(Y)},
    "lists": lambda: {"x": X, "y": Y},
    "tuples": lambda: {"x": tuple(X), "y": tuple(Y)},
    "whole numbers": lambda: {"x": [int(v) for v in X], "y": Y},
    "small integers": lambda: {"x": np.array(X, dtype=np.uint8), "y": np.array(Y)},
    "strided": lambda: {"x": np.repeat(X, 3)[::3], "y": np.array(Y)[::-1][::-1]},
    "foreign byte order": lambda: {"x": np.array(X, dtype=">f8"), "y": np.array(Y, dtype=">f8")},
    "unaligned": lambda: {"x": np.frombuffer(b"." + np.array(X).tobytes(), dtype="u1")[1:].view("f8"), "y": Y},
    "read-only": lambda: {"x": np.broadcast_to(np.array(X), (4,)), "y": Y},
    "objects": lambda: {"x": np.array(X, dtype=object), "y": [np.float64(v) for v in Y]},
    "decimals": lambda: {"x": [decimal.Decimal(str(v)) for v in X], "y": [decimal.Decimal(str(v)) for v in Y]},
    "fractions": lambda: {"x": [fractions.Fraction(v) for v in X], "y": [fractions.Fraction(str(v)) for v in Y]},
    "array.array": lambda: {"x": array.array("d", X), "y": array.array("d", Y)},
    "ordered dict": lambda: OrderedDict(x=X, y=Y),
    "mapping proxy": lambda: MappingProxyType({"x": X, "y": Y}),
    "structured": lambda: np.array(list(zip(X, Y, strict=True)), dtype=[("x", "f8"), ("y", "f8")]),
    "masked without a mask": lambda: {"x": np.ma.array(X), "y": np.ma.array(Y, mask=False)},
    "torch": lambda: {"x": torch.tensor(X), "y": torch.tensor(Y, dtype=torch.float64)},
    "torch scalars": lambda: {"x": [torch.tensor(v) for v in X], "y": Y},
    "pandas": lambda: pd.DataFrame({"x": X, "y": Y, "note": list("abcd")}),
    "pandas nullable": lambda: pd.DataFrame({"x": pd.array(X, dtype="Int64"), "y": pd.array(Y, dtype="Float64")}),
    "pandas arrow": lambda: pd.DataFrame({"x": X, "y": Y}).convert_dtypes(dtype_backend="pyarrow"),
    "pandas category": lambda: pd.DataFrame({"x": pd.Categorical(X), "y": Y}),
    "pandas series": lambda: {"x": pd.Series(X), "y": pd.Series(Y)},
    "pandas index": lambda: {"x": pd.Index(X), "y": Y},
    "polars": lambda: pl.DataFrame({"x": X, "y": Y, "note": list("abcd")}),
    "polars whole": lambda: pl.DataFrame({"x": [int(v) for v in X], "y": Y}),
    "polars lazy": lambda: pl.LazyFrame({"x": X, "y": Y}),
    "polars series": lambda: {"x": pl.Series(X), "y": pl.Series(Y)},
    "pyarrow": lambda: pa.table({"x": X, "y": Y, "note": list("abcd")}),
    "pyarrow chunks": lambda: pa.concat_tables(
        [pa.table({"x": X[:1], "y": Y[:1]}), pa.table({"x": X[1:], "y": Y[1:]})]
    ),
    "pyarrow batch": lambda: pa.record_batch({"x": pa.array(X), "y": pa.array(Y)}),
    "pyarrow dictionary": lambda: pa.table({"x": pa.array(X).dictionary_encode(), "y": Y}),
    "pyarrow decimal": lambda: pa.table({"x": X, "y": [decimal.Decimal(str(v)) for v in Y]}),
    "pyarrow arrays": lambda: {"x": pa.array(X), "y": pa.chunked_array([Y[:2], Y[2:]])},
    "duckdb": lambda: duckdb.connect().sql(
        "select * from (values (10, 8.04::double, 'a'), (8, 6.95, 'b'), (13, 7.58, 'c'), (9, 8.81, 'd')) t(x, y, note)"
    ),
    "narwhals": lambda: narwhals.from_native(pl.DataFrame({"x": X, "y": Y})),
    "rows": lambda: rows({"x": X, "y": Y}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data_gives_the_same_numbers(kind):
    found = taken(KINDS[kind]())
    assert found.arrays["x"].tolist() == X
    assert found.arrays["y"].tolist() == Y
    assert found.index is None
    assert (found.source.rows, found.source.dropped, found.source.filtered) == (4, 0, 0)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("lists", "mapping"), ("pandas", "pandas"), ("polars", "polars"), ("pyarrow", "pyarrow"), ("duckdb", "duckdb")],
)
def test_the_source_says_what_kind_of_data_was_given(kind, name):
    data = rows(KINDS[kind]())
    assert data.source.kind == name
    assert str(data.source.name) == "data"
    assert data.source.rows == len(data) == 4
    assert data.names[:2] == ("x", "y")
    assert data.column("x").tolist() == X


def test_a_plain_array_is_used_without_a_copy_and_in_the_order_asked_for():
    x, y = np.array(X), np.array(Y)
    found = taken({"x": x, "y": y, "other": None}, ("y", "x"))
    assert found.arrays["x"] is x
    assert list(found.arrays) == ["y", "x"]


def test_the_fast_way_and_the_careful_way_agree():
    class Slow(dict):
        """Not a plain dict, and not a plain array in it."""

    class Odd(np.ndarray):
        pass

    rng = np.random.default_rng(5)
    for n in (1, 11, 1000):
        x, y = rng.normal(size=n), rng.normal(size=n) * 1e200
        fast = taken({"x": x, "y": y, "unused": "?"})
        slow = taken(Slow(x=x.view(Odd), y=list(y), unused="?"))
        for name in "xy":
            assert fast.arrays[name].tobytes() == slow.arrays[name].tobytes()
        assert fast.source == slow.source


@given(hnp.arrays(hnp.integer_dtypes() | hnp.unsigned_integer_dtypes() | hnp.floating_dtypes(), st.integers(1, 9)))
def test_a_column_is_converted_exactly_or_refused(column):
    whole = column.dtype.kind in "iu" and any(abs(int(v)) > 2**53 for v in column)
    with np.errstate(over="ignore"):
        finite = np.isfinite(column.astype(np.float64)).all()
    if whole or not finite:
        refused("E-INTEGER" if whole else "E-MISSING", {"x": column}, ("x",))
        return
    found = taken({"x": column}, ("x",)).arrays["x"]
    if column.dtype.itemsize <= 8:
        assert [fractions.Fraction(v) for v in found.tolist()] == [fractions.Fraction(v) for v in column.tolist()]


@given(st.lists(st.none() | st.booleans() | st.integers() | st.floats(), min_size=1, max_size=6))
def test_a_list_of_anything_numeric_keeps_its_values_or_is_refused(values):
    large = any(abs(v) > 2**53 for v in values if isinstance(v, int))
    if large or any(v is None or not np.isfinite(v) for v in values):
        with pytest.raises(DataError, match="E-INTEGER" if large else "E-MISSING"):
            taken({"x": values}, ("x",))
    else:
        assert taken({"x": values}, ("x",)).arrays["x"].tolist() == values  # Python compares int and float exactly


def test_float32_is_widened_exactly():
    column = np.array([0.1, 1 / 3], dtype=np.float32)
    assert taken({"x": column}, ("x",)).arrays["x"].tolist() == [float(v) for v in column]


def test_booleans_are_zero_and_one():
    for column in ([True, False], np.array([True, False]), pa.array([True, False]), pd.array([True, False])):
        assert taken({"x": column}, ("x",)).arrays["x"].tolist() == [1.0, 0.0]


NOT_NUMBERS = {
    "complex": ("E-COMPLEX", [1.0 + 2j, 3.0]),
    "complex array": ("E-COMPLEX", np.array([1j, 2j])),
    "complex object": ("E-COMPLEX", np.array([1j, None], dtype=object)),
    "text": ("E-NUMBER", ["1", "2"]),
    "text array": ("E-NUMBER", np.array(["1", "2"])),
    "text among numbers": ("E-NUMBER", [1.0, "2"]),
    "bytes": ("E-NUMBER", [b"1", b"2"]),
    "pandas text": ("E-NUMBER", pd.Series(["1", "2"])),
    "polars text": ("E-NUMBER", pl.Series(["1", "2"])),
    "arrow text": ("E-NUMBER", pa.array(["1", "2"])),
    "int64": ("E-INTEGER", np.array([1, 2**53 + 1])),
    "negative int64": ("E-INTEGER", np.array([-(2**53) - 1, 0])),
    "least int64": ("E-INTEGER", np.array([-(2**63), 0])),
    "uint64": ("E-INTEGER", np.array([1, 2**64 - 1], dtype=np.uint64)),
    "list of integers": ("E-INTEGER", [1, 2**53 + 1]),
    "integer and fraction": ("E-INTEGER", [0.5, 2**53 + 1]),
    "huge integer": ("E-INTEGER", [1, 10**400]),
    "arrow integer": ("E-INTEGER", pa.array([None, 2**60])),
    "pandas integer": ("E-INTEGER", pd.array([None, 2**60], dtype="Int64")),
    "huge fraction": ("E-NUMBER", [fractions.Fraction(10**400), 1]),
    "dates": ("E-DATE", np.array(["2024-01-01", "2024-01-02"], dtype="M8[D]")),
    "durations": ("E-DATE", np.array([1, 2], dtype="m8[s]")),
    "date objects": ("E-DATE", [datetime.date(2024, 1, 1), None]),
    "datetime objects": ("E-DATE", [datetime.datetime(2024, 1, 1), None]),
    "pandas dates": ("E-DATE", pd.Series(pd.to_datetime(["2024-01-01", None]))),
    "pandas zones": ("E-DATE", pd.Series(pd.to_datetime(["2024-01-01", "2024-01-02"], utc=True))),
    "polars dates": ("E-DATE", pl.Series([datetime.date(2024, 1, 1), None])),
    "polars times of day": ("E-DATE", pl.Series([datetime.time(1, 2), datetime.time(3, 4)])),
    "matrix": ("E-SHAPE", np.ones((2, 2))),
    "column matrix": ("E-SHAPE", np.ones((2, 1))),
    "np.matrix": ("E-SHAPE", np.ones((2, 2)).view(np.matrix)),
    "nested": ("E-SHAPE", [[1.0], [2.0]]),
    "uneven": ("E-SHAPE", [[1.0], [2.0, 3.0]]),
    "number": ("E-SHAPE", 3.0),
    "0-d": ("E-SHAPE", np.array(3.0)),
    "string": ("E-SHAPE", "12"),
    "arrow lists": ("E-TYPE", pa.array([[1.0], [2.0]])),
    "set": ("E-TYPE", {1.0, 2.0}),
    "generator": ("E-TYPE", (v for v in (1.0, 2.0))),
    "none": ("E-TYPE", None),
    "dict": ("E-TYPE", {0: 1.0}),
    "objects": ("E-TYPE", [object(), object()]),
    "structured": ("E-TYPE", np.zeros(2, dtype=[("a", "f8")])),
    "gradient": ("E-TENSOR", torch.ones(2, requires_grad=True)),
    "gradient scalars": ("E-TENSOR", [torch.tensor(1.0, requires_grad=True), torch.tensor(2.0)]),
    "bfloat16": ("E-TENSOR", torch.ones(2, dtype=torch.bfloat16)),
    "meta device": ("E-TENSOR", torch.ones(2, device="meta")),
}


@pytest.mark.parametrize("kind", NOT_NUMBERS)
def test_a_used_column_that_is_no_numbers_is_refused_and_an_unused_one_does_not_matter(kind):
    code, column = NOT_NUMBERS[kind]
    error = refused(code, {"x": column, "y": [1.0, 2.0]})
    assert "x" in str(error)
    assert taken({"x": column, "y": [1.0, 2.0]}, ("y",)).arrays["y"].tolist() == [1.0, 2.0]


def test_errors_point_at_the_row_and_say_what_to_do():
    assert "row 2 column x" in str(refused("E-NUMBER", {"x": [1.0, "two"], "y": Y[:2]}))
    assert "row 3 column x: 9007199254740993" in str(refused("E-INTEGER", {"x": [0, 1, 2**53 + 1], "y": Y[:3]}))
    assert "(2, 1)" in str(refused("E-SHAPE", {"x": np.ones((2, 1)), "y": Y[:2]}))
    assert ".detach()" in str(refused("E-TENSOR", {"x": torch.ones(2, requires_grad=True), "y": Y[:2]}))
    assert 'time={"x": "s"}' in str(refused("E-DATE", {"x": np.array([0, 1], dtype="M8[s]"), "y": Y[:2]}))


def test_whole_numbers_up_to_the_last_exact_one_are_taken():
    found = taken({"x": np.array([2**53, -(2**53)]), "y": [2**53, 0.5]})
    assert found.arrays["x"].tolist() == [2.0**53, -(2.0**53)]


MISSING = {
    "nan": np.array([1.0, np.nan, 3.0]),
    "none": [1.0, None, 3.0],
    "none among integers": [1, None, 3],
    "objects": np.array([1, None, 3], dtype=object),
    "pandas NA": pd.array([1, None, 3], dtype="Int64"),
    "NA object": [1, pd.NA, 3],
    "pandas NaN": pd.Series([1, None, 3]),
    "polars null": pl.Series([1, None, 3]),
    "arrow null": pa.array([1, None, 3]),
    "arrow bools": pa.array([True, None, False]),
    "masked": np.ma.array([1.0, 1e300, 3.0], mask=[0, 1, 0]),
    "masked integers": np.ma.array([1, 2**60, 3], mask=[0, 1, 0]),
    "infinite": [1.0, np.inf, 3.0],
    "negative infinite": np.array([1.0, -np.inf, 3.0]),
    "decimal NaN": [decimal.Decimal(1), decimal.Decimal("NaN"), decimal.Decimal(3)],
    "signalling NaN": [decimal.Decimal(1), decimal.Decimal("sNaN"), decimal.Decimal(3)],
}


@pytest.mark.parametrize("kind", MISSING)
def test_a_missing_value_is_named_by_row_or_dropped_and_counted(kind):
    data = {"x": MISSING[kind], "y": [1.0, 2.0, 3.0], "unused": [None] * 3}
    assert re.search(r"1 row has no (finite )?value: 2 \(x", str(refused("E-MISSING", data)))
    found = taken(data, missing="drop")
    assert found.arrays["y"].tolist() == [1.0, 3.0]
    assert found.index is not None
    assert found.index.tolist() == [0, 2]
    assert (found.source.rows, found.source.dropped) == (2, 1)


def test_missing_values_are_said_as_promised():
    x, y = [float(i) for i in range(10)], [1.0] * 10
    y[3] = x[8] = None
    assert str(refused("E-MISSING", {"x": x, "y": y})).startswith("2 rows have no value: 4 (y), 9 (x)\n")
    y[8] = np.inf
    error = refused("E-MISSING", {"x": x, "y": y})
    assert error.text() == "2 rows have no finite value: 4 (y), 9 (x, y = inf)"
    assert error.remedy == 'missing="drop"'
    assert error.render(surface="cli").endswith("--missing drop [E-MISSING]")


def test_many_missing_rows_are_counted_not_listed():
    error = refused("E-MISSING", {"x": [np.nan] * 100, "y": [1.0] * 100})
    assert "100 rows have no value: 1 (x), 2 (x)" in str(error)
    assert "… (100)" in str(error)
    assert len(str(error)) < 200


def test_dropping_every_row_and_data_without_rows_are_errors():
    refused("E-EMPTY", {"x": [np.nan], "y": [1.0]}, missing="drop")
    for empty in ({"x": [], "y": []}, {"x": np.array([]), "y": []}, pd.DataFrame({"x": [], "y": []})):
        refused("E-EMPTY", empty)


def test_missing_takes_two_words():
    refused("E-USAGE", {"x": X, "y": Y}, missing="ignore")


def test_columns_of_different_length_are_refused_where_they_are_used():
    data = {"x": X, "y": Y[:-1], "z": np.ones(7)}
    assert "x 4, y 3" in str(refused("E-LENGTH", data))
    refused("E-LENGTH", {"x": np.ones(4), "y": np.ones(1)})  # this would broadcast
    assert taken(data, ("x",)).source.rows == 4


def test_pandas_columns_whose_labels_differ_are_refused():
    a, b = pd.Series(X), pd.Series(Y, index=[3, 2, 1, 0])
    assert "indexes" in str(refused("E-INDEX", {"x": a, "y": b}))
    assert taken({"x": a, "y": b}, ("y",)).arrays["y"].tolist() == Y
    assert taken({"x": b.set_axis([3, 2, 1, 0]), "y": b}).arrays["y"].tolist() == Y


def test_a_column_that_is_not_there_is_named_with_those_that_are():
    error = refused("E-COLUMN", {"Temp": X, "Rate": Y}, ("rate",))
    assert error.text() == 'no column "rate" in data'
    assert error.where == "columns: Temp, Rate   (names are case-sensitive)"
    assert "nearest: temperature" in str(refused("E-COLUMN", {"temperature": X}, ("temprature",)))
    assert refused("E-COLUMN", {"a": X, "b": Y}, ("c",)).where == "columns: a, b"
    many = {f"column{i}": X for i in range(100)}
    assert "… (100)" in str(refused("E-COLUMN", many, ("zzz",)))


def test_names_compare_after_nfkc():
    assert taken({"ﬁ": X, "y": Y}, ("fi",)).arrays["fi"].tolist() == X


def test_a_name_that_stands_twice_is_an_error_only_where_it_is_used():
    frame = pd.DataFrame(np.ones((3, 3)), columns=["x", "x", "y"])
    assert "1, 2" in str(refused("E-DUPLICATE", frame, ("x",)))
    assert taken(frame, ("y",)).source.rows == 3


def test_names_that_are_no_text_do_not_hurt():
    assert taken(pd.DataFrame({0: X, ("a", 1): Y}), ("0",)).arrays["0"].tolist() == X
    assert taken({3: "?", "x": X}, ("x",)).arrays["x"].tolist() == X


@pytest.mark.parametrize("data", [None, 3, 4.5, [1.0, 2.0], [[1, 2], [3, 4]], np.ones((3, 2)), object(), {1, 2}])
def test_what_is_no_data_is_refused(data):
    refused("E-DATA", data)


class Elsewhere:
    """Rows that another part brings: a source of its own."""

    names = ("x", "y")
    source = Source("far", "far", 4)

    def __len__(self) -> int:
        return 4

    def column(self, name: str) -> np.ndarray:
        return np.array(X if name == "x" else Y)


def test_rows_of_another_kind_are_selected_like_ours():
    data = Elsewhere()
    assert rows(data) is data
    found = taken(data, where="x > 8")
    assert found.arrays["y"].tolist() == [8.04, 7.58, 8.81]
    assert found.source == Source("far", "far", 3, filtered=1, where="x > 8")


def test_a_duckdb_relation_hands_over_only_what_is_used():
    relation = duckdb.connect().sql('select 1.5 as "a ""b""", error(\'touched\') as other')
    assert taken(relation, ('a "b"',)).arrays['a "b"'].tolist() == [1.5]


def test_every_sentence_of_this_part_is_used_and_every_used_sentence_is_there():
    folder = Path(katamuki.data.__file__).parent
    code = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    used = set(re.findall(r'"(data\.[a-z_0-9]+)"', code))
    used |= {key + "_one" for key in ("data.missing", "data.infinite")}
    known = {key for key in messages.catalogue("en") if key.startswith("data.")}
    assert used == {".".join(key.split(".")[:2]) for key in known}


def test_elapsed_time_is_refused_where_rows_come_from_elsewhere():
    with pytest.raises(DataError, match="E-USAGE"):
        read(Elsewhere(), time={"x": "s"})

"""Odd columns that people have: converted exactly, or refused by a DataError, whatever their own code raises."""

from __future__ import annotations

import collections
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from katamuki.data import convert, rows, select
from katamuki.errors import DataError

NUMBERS = {
    "sparse": (pd.Series(pd.arrays.SparseArray([1.5, 0.0, 2.0])), [1.5, 0.0, 2.0]),
    "128 bits": (pl.Series([1, 2, 3], dtype=pl.Int128), [1.0, 2.0, 3.0]),
    "decimal 256": (pa.array([decimal.Decimal("0.1")], pa.decimal256(50, 2)), [0.1]),
    "run-end": (pa.RunEndEncodedArray.from_arrays([2, 3], [1.5, 2.5]), [1.5, 1.5, 2.5]),
    "deque": (collections.deque([1, 2]), [1.0, 2.0]),
    "memoryview": (memoryview(np.array([1.5, 2.5])), [1.5, 2.5]),
    "range": (range(3), [0.0, 1.0, 2.0]),
    "bool tensor": (torch.tensor([True, False]), [1.0, 0.0]),
    "half tensor": (torch.tensor([0.5, 1.0], dtype=torch.half), [0.5, 1.0]),
    "long double": (np.array([1, 2], dtype=np.longdouble) / 3, [1 / 3, 2 / 3]),
    "masked scalars": ([np.ma.array(1.0), 2.0], [1.0, 2.0]),
}
REFUSED = {
    "period": (
        pd.Series(pd.period_range("2024-01", periods=2, freq="M")),
        "E-TYPE",
    ),  # not months since 1970
    "interval": (pd.Series(pd.interval_range(0, 2)), "E-TYPE"),
    "multiindex": (pd.MultiIndex.from_arrays([[1, 2], [3, 4]]), "E-TYPE"),
    "frame": (pd.DataFrame({"a": [1, 2]}), "E-SHAPE"),
    "polars frame": (pl.DataFrame({"a": [1, 2]}), "E-SHAPE"),
    "polars expression": (pl.col("x"), "E-TYPE"),
    "polars object": (pl.Series([object(), object()], dtype=pl.Object), "E-TYPE"),
    "polars category": (pl.Series(["a", "b"], dtype=pl.Categorical), "E-NUMBER"),
    "polars struct": (pl.Series([{"a": 1}]), "E-TYPE"),
    "polars list": (pl.Series([[1]]), "E-TYPE"),
    "128 bits": (pl.Series([1, 2**100], dtype=pl.Int128), "E-INTEGER"),
    "uuid": (pa.array([b"0" * 16], pa.uuid()), "E-TYPE"),
    "arrow scalar": (pa.scalar(3), "E-TYPE"),
    "arrow table": (pa.table({"a": [1, 2]}), "E-SHAPE"),
    "arrow calendar interval": (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), "E-TYPE"),
    "masked value in a list": ([np.ma.masked, 1.0], "E-MISSING"),
    "bytes": (bytearray(b"ab"), "E-TYPE"),
    "numpy text": (np.array(["a", "b"], dtype=np.dtypes.StringDType()), "E-NUMBER"),
    "sparse tensor": (torch.eye(2).to_sparse()[0], "E-TENSOR"),
    "complex tensor": (torch.tensor([1j, 2]), "E-COMPLEX"),
    "negative view": (torch.tensor([1j, 2]).conj().imag, "E-TENSOR"),
    "class": (dict, "E-TYPE"),
    "function": (len, "E-TYPE"),
    "long double": (np.array([1.0, 2.0], dtype=np.longdouble) * np.longdouble("1e4000"), "E-MISSING"),
    "objects in a column": (np.array([[1.0], [None]], dtype=object), "E-SHAPE"),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_an_odd_column_of_numbers_is_converted(kind):
    column, wanted = NUMBERS[kind]
    assert select(rows({"x": column}), ["x"]).arrays["x"].tolist() == wanted


@pytest.mark.parametrize("kind", REFUSED)
def test_an_odd_column_of_something_else_is_refused(kind):
    column, code = REFUSED[kind]
    with pytest.raises(DataError) as caught:
        select(rows({"x": column}), ["x"])
    assert caught.value.code == code
    assert str(caught.value)


class Broken:
    """An object whose own code fails."""

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        raise ZeroDivisionError("no \x1b[31m luck")


def test_what_a_columns_own_code_raises_is_told():
    with pytest.raises(DataError, match=r"no \\x1b\[31m luck") as caught:
        select(rows({"x": Broken()}), ["x"])
    assert caught.value.code == "E-TENSOR"


def test_the_quick_look_takes_nothing_that_the_careful_one_would_refuse():
    for column in (
        [1.0, np.nan], [1, 2**53 + 1], [0.5, 2**60], [True, False], ["1"], [[1.0]], [None], [1j], (1.0, 2.0),
        np.array([1.0, np.inf]), np.array([1]), np.ones((2, 1)), np.ones(4)[::2], np.ma.array([1.0]),
        np.array([1.0], dtype=">f8"),
    ):  # fmt: skip
        assert convert.quick(column) is None
    large = np.array([1e300, -1e300])  # whose squares overflow: left to the careful way, which takes it
    assert convert.quick(large) is None
    assert select(rows({"x": large}), ["x"]).arrays["x"] is large

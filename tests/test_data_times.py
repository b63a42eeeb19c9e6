"""Dates and times as elapsed units, against exact fractions."""

from __future__ import annotations

import datetime
import fractions

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from katamuki.data import read, select
from katamuki.errors import DataError


def test_time_is_counted_from_the_first_row():
    times = np.array(["2024-01-01T00:00:00", "2024-01-01T00:00:01.5", "NaT"], dtype="M8[ms]")
    data = read({"t": times, "y": [8.04, 6.95, 7.58]}, time={"t": "s"})
    found = select(data, ("t", "y"), missing="drop")
    assert found.arrays["t"].tolist() == [0.0, 1.5]
    assert found.source.dropped == 1
    for frame in (pd.DataFrame({"t": times}), pl.DataFrame({"t": times}), pa.table({"t": times})):
        assert np.array_equal(read(frame, time={"t": "ms"}).column("t"), [0.0, 1500.0, np.nan], equal_nan=True)
    with pytest.raises(DataError, match="units are"):
        read({"t": times}, time={"t": "years"})
    with pytest.raises(DataError, match="E-COLUMN"):
        read({"t": times}, time={"T": "s"})
    with pytest.raises(DataError, match="E-TIME"):
        read({"t": [1.0, 2.0]}, time={"t": "s"}).column("t")
    with pytest.raises(DataError, match="E-USAGE"):
        read({"t": times}, sep=";")


@given(st.lists(st.datetimes(), min_size=1, max_size=5), st.sampled_from(["ns", "us", "ms", "s", "min", "h", "d"]))
def test_elapsed_time_is_the_nearest_float_to_the_exact_difference(moments, unit):
    size = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
    exact = [
        float(fractions.Fraction((moment - moments[0]) // datetime.timedelta(microseconds=1) * 1000, size[unit]))
        for moment in moments
    ]
    stamps = np.array(moments, dtype="M8[us]")
    for column in (moments, stamps, [moment.isoformat() for moment in moments]):
        assert read({"t": column}, time={"t": unit}).column("t").tolist() == exact


def test_times_with_and_without_a_zone_do_not_mix():
    zoned = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    with pytest.raises(DataError, match="zone"):
        read({"t": [zoned, zoned.replace(tzinfo=None)]}, time={"t": "s"}).column("t")
    other = zoned.astimezone(datetime.timezone(datetime.timedelta(hours=9)))
    assert read({"t": [zoned, other]}, time={"t": "s"}).column("t").tolist() == [0.0, 0.0]

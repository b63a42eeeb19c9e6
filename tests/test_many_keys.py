"""Keys of every type, in memory and in files of each kind: what stood in the data stands in the table and is found."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import katamuki as km
from katamuki.api import many_passing
from katamuki.many import stored

LINE = "y ~ a + b*t"
T = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
Y = [1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 7.0, 8.5]
DAYS = [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2)]
NAN = float("nan")
KEYS: dict[str, tuple[list[Any], Any]] = {  # the keys of two curves, and their type
    "numbers as text": (["007", "008"], pa.string()),
    "dates as text": (["2024-01-01", "2024-01-02"], pa.string()),
    "words for nothing": (["NA", "null"], pa.string()),
    "nothing": (["a", None], pa.string()),
    "no letters": (["", None], pa.string()),
    "lines and quotes": (['a\r\nb"', "c,\nd"], pa.large_string()),
    "views": (["007", "b"], pa.string_view()),
    "categories": (["007", "b"], pa.dictionary(pa.int32(), pa.string())),
    "small whole numbers": ([1, None], pa.uint8()),
    "large whole numbers": ([2**63 + 1, 2], pa.uint64()),
    "numbers": ([0.1, 2.0], pa.float64()),
    "NaN": ([NAN, -0.0], pa.float64()),
    "single precision": ([0.5, 0.1], pa.float32()),
    "half precision": ([np.float16(0.5), np.float16(2.0)], pa.float16()),
    "truth": ([True, False], pa.bool_()),
    "days": ([one.date() for one in DAYS], pa.date32()),
    "days of milliseconds": ([one.date() for one in DAYS], pa.date64()),
    "seconds": (DAYS, pa.timestamp("s")),
    "nanoseconds": ([5, 1_700_000_000_000_000_007], pa.timestamp("ns")),
    "zones": ([1, 2], pa.timestamp("ms", "Europe/Berlin")),
    "times": ([dt.time(1, 2, 3), dt.time(4, 5, 6, 7)], pa.time64("us")),
    "durations": ([1, 2], pa.duration("s")),
    "decimals": ([Decimal("1.50"), Decimal("2.25")], pa.decimal128(5, 2)),
}


def data(keys: tuple[list[Any], Any], curves: int = 2) -> pa.Table:
    rows = slice(None, None if curves == 2 else 2)
    return pa.table({"well": pa.array(keys[0] * 4, keys[1])[rows], "t": T[rows], "y": Y[rows]})


def told(many: km.Many) -> list[str]:
    """The summary without speed and check."""
    return [line for line in many.text().split("\n") if not line.startswith(("by ", "checked", "verdict"))]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".arrow"])
@pytest.mark.parametrize("name", sorted(KEYS))
def test_a_table_in_a_file_is_the_table_in_memory(name: str, suffix: str, tmp_path: Path) -> None:
    """This used to read a CSV file's keys as Arrow guesses them: "007" became 7, and no curve had it."""
    table = data(KEYS[name])
    here = km.fit_many(LINE, table, by="well", check=0)
    many = km.fit_many(LINE, table, by="well", output=tmp_path / f"fits{suffix}")
    assert many.table.schema == here.table.schema
    assert str(many.table.to_pylist()) == str(here.table.to_pylist())  # NaN is NaN, and the sign of zero stays
    assert told(many) == told(here)
    assert len(many.checked.of("PASS")) == 2
    for key, slope in zip(many.column("well").to_pylist(), many.column("b").to_pylist(), strict=True):
        assert many.fit(key).params["b"] == pytest.approx(slope, rel=1e-12)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".arrow"])
@pytest.mark.parametrize("name", ["numbers as text", "nothing", "categories", "numbers"])
def test_a_table_in_which_every_curve_failed_keeps_its_types(name: str, suffix: str, tmp_path: Path) -> None:
    """This used to be an error of pyarrow: a column without a value had no type in a CSV file."""
    table = data(KEYS[name], curves=1)
    many = km.fit_many(LINE, table, by="well", output=tmp_path / f"fits{suffix}")
    assert many.table.equals(km.fit_many(LINE, table, by="well", check=0).table)
    assert many.verdict == "failed"
    assert "TOOFEW" in many.text()


def test_the_types_are_what_csv_lacks(tmp_path: Path) -> None:
    many = km.fit_many(LINE, data(KEYS["numbers as text"]), by="well", output=tmp_path / "fits.csv", check=0)
    guessed = stored.Stored([tmp_path / "fits.csv"]).table()
    assert guessed.column("well").to_pylist() == [7, 8]
    assert many.table.column("well").to_pylist() == ["007", "008"]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(1)])
def test_keys_that_are_no_text_are_refused_for_csv_before_any_work(kind: Any, tmp_path: Path) -> None:
    table = data(([b"\xff", b"b"], kind))
    with pytest.raises(km.BoundsError, match="file of text") as caught:
        km.fit_many(LINE, table, by="well", output=tmp_path / "fits.csv")
    assert caught.value.code == "E-OUTPUT"
    assert not list(tmp_path.iterdir())
    many = km.fit_many(LINE, table, by="well", output=tmp_path / "fits.parquet")
    assert many.column("well").to_pylist() == [b"\xff", b"b"]
    with pytest.raises(km.BoundsError, match="file of text"):
        many.write(tmp_path / "fits.csv")


NOTHING = {"None": None, "NaN": NAN, "NumPy's": np.float64("nan"), "pandas'": pd.NA, "no time": pd.NaT}


@pytest.mark.parametrize("nothing", sorted(NOTHING))
@pytest.mark.parametrize("keys", [["a", None], [1.0, NAN], [1.0, None]])
def test_a_key_that_is_none_is_found_however_it_is_written(keys: list[Any], nothing: str) -> None:
    """This used to be E-KEY for NaN, although the table, and pandas, showed NaN."""
    table = pa.table({"well": pa.array(keys * 4), "t": T, "y": Y})
    many = km.fit_many(LINE, table, by="well")
    assert len(many.checked.of("PASS")) == 2
    assert many.fit(NOTHING[nothing]).params["b"] == pytest.approx(many.column("b")[1].as_py(), rel=1e-12)
    with pytest.raises(km.DataError, match="E-KEY"):
        many.fit("b" if keys[0] == "a" else 2.0)


def test_a_key_that_is_none_is_found_in_pieces_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr(many_passing, "LEAST", 50)
    x, count = np.arange(10.0), 40
    keys = np.repeat([NAN, *range(1, count)], len(x))
    y = np.random.default_rng(3).normal(size=keys.size)
    pq.write_table(pa.table({"k": pa.array(keys), "t": np.tile(x, count), "y": y}), tmp_path / "d.parquet")
    many = km.fit_many(
        LINE, tmp_path / "d.parquet", by="k", max_memory=8_000, output=tmp_path / "o.parquet", check=count
    )
    assert type(many._single.supply).__name__ == "Passing"
    assert len(many.checked.of("PASS")) == count
    assert many.fit(NAN).params["b"] == pytest.approx(many.column("b")[0].as_py(), rel=1e-12)

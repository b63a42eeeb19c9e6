"""Files of every format give the numbers that their own readers see; a file that cannot be used says why."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import os
import sys
import threading
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from katamuki.data import files, read, rows, select
from katamuki.errors import DataError

RNG = np.random.default_rng(11)
FRAME = pd.DataFrame({
    "x": RNG.normal(size=30), "n": RNG.integers(-5, 5, 30), "note": "a", "flag": RNG.random(30) < 0.5,
    "when": pd.date_range("2024-01-01", periods=30, freq="h"), "y": RNG.normal(size=30).astype("f4"),
})  # fmt: skip
WRITERS = {
    "parquet": lambda path: FRAME.to_parquet(path),
    "parquet of DuckDB": lambda path: duckdb.sql(f"copy (from FRAME) to '{path}' (format parquet)"),
    "arrow": lambda path: pl.from_pandas(FRAME).write_ipc(path, compression="zstd"),
    "arrow stream": lambda path: pl.from_pandas(FRAME).write_ipc_stream(path),
    "feather": lambda path: pyarrow.feather.write_feather(FRAME, path),
    "csv": lambda path: FRAME.to_csv(path, index=False),
    "tsv": lambda path: pl.from_pandas(FRAME).write_csv(path, separator="\t"),
    "jsonl": lambda path: FRAME.to_json(path, orient="records", lines=True, double_precision=15, date_format="iso"),
}


def refused(code: str, path: object, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        select(read(path, **options), ("x", "y"))
    assert caught.value.code == code
    return caught.value.render(surface="cli")


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_gives_the_numbers_that_were_written(kind, tmp_path):
    path = tmp_path / "file.data"  # the bytes say what it is, not the name
    WRITERS[kind](str(path))
    digits = 1e-14 if kind == "jsonl" else 0  # pandas writes JSON with 15 digits
    for data in (path, str(path), io.BytesIO(path.read_bytes())):
        table = rows(data)
        found = select(table, ("x", "n", "flag" if kind in ("parquet", "arrow") else "n"))
        assert table.names == tuple(FRAME.columns)
        assert len(table) == found.source.rows == 30
        np.testing.assert_allclose(found.arrays["x"], FRAME["x"], rtol=digits, atol=0)
        np.testing.assert_array_equal(found.arrays["n"], FRAME["n"].astype(float))
        assert found.source.kind == {"parquet of DuckDB": "parquet", "feather": "arrow", "arrow stream": "arrow"}.get(
            kind, kind
        )
        assert found.source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert str(found.source.name) == ("standard input" if isinstance(data, io.BytesIO) else "file.data")
    assert read(path, time={"when": "h"}).column("when").tolist() == [float(i) for i in range(30)]
    with pytest.raises(DataError, match=r"E-NUMBER|E-DATE"):
        table.column("note")


def test_float32_in_a_file_is_widened_exactly(tmp_path):
    FRAME.to_parquet(tmp_path / "d")
    assert rows(tmp_path / "d").column("y").tolist() == [float(v) for v in FRAME["y"]]


def test_only_the_columns_that_are_used_are_read(tmp_path, monkeypatch):
    FRAME.to_parquet(tmp_path / "p")
    pl.from_pandas(FRAME).write_ipc(tmp_path / "a")
    asked = []
    whole = pq.ParquetFile.read
    monkeypatch.setattr(
        pq.ParquetFile, "read", lambda self, columns: asked.append(columns) or whole(self, columns=columns)
    )
    assert select(rows(tmp_path / "p"), ("n",), where="x > 0").source.filtered == int((FRAME["x"] <= 0).sum())
    assert asked == [["x", "n"]]
    assert select(rows(tmp_path / "a"), ("n", "x")).arrays["n"].tolist() == FRAME["n"].tolist()


def test_json_lines_may_lack_keys(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text('\n{"x": 1, "y": 2.5}\n{"y": null, "x": 2}\n\n{"x": 3}\n{"y": 4, "z": [1], "x": 4}\n')
    found = select(rows(path), ("x", "y"), missing="drop")
    assert found.arrays["x"].tolist() == [1.0, 4.0]
    assert found.source.dropped == 2
    with pytest.raises(DataError, match=r"2 rows have no value: 2 \(y\), 3 \(y\)"):
        select(rows(path), ("x", "y"))
    with pytest.raises(DataError, match="E-SHAPE"):
        select(rows(path), ("z",), missing="drop")


@pytest.mark.parametrize(
    "body", ['{"x": 1,\n"y": 2}', '{"x": 1}\n[1]\n', '[{"x": 1}]', '{"x": 1}\nx', "{" * 100_000, '{"x": \ud800}']
)
def test_json_that_is_no_json_lines_is_refused(body):
    with pytest.raises(DataError) as caught:
        read(io.BytesIO(body.encode("utf-8", "surrogatepass")))
    assert caught.value.code == "E-FORMAT"
    assert "one object per line" in str(caught.value)


def test_json_keeps_its_numbers():
    values = [0.1, 1e-300, 2**53, -7, 1.7976931348623157e308]
    body = "\n".join(json.dumps({"x": v}) for v in values)
    assert rows(io.BytesIO(body.encode())).column("x").tolist() == values
    for text, code in (
        ('{"x": 9007199254740993}', "E-INTEGER"),
        ('{"x": "1"}', "E-NUMBER"),
        ('{"x": {"a": 1}}', "E-TYPE"),
    ):
        with pytest.raises(DataError, match=code):
            rows(io.BytesIO(text.encode())).column("x")


def test_a_file_that_is_not_there_names_its_neighbours(tmp_path):
    (tmp_path / "tutorial.csv").write_text("x,y\n1,2\n")
    (tmp_path / "notes.md").write_text("")
    missing = tmp_path / "tutorail.csv"
    assert refused("E-FILE", missing) == f'no file "{missing}"\n  in this folder: tutorial.csv [E-FILE]'
    assert "in this folder: tutorial.csv" in refused("E-FILE", tmp_path / "other.parquet")
    assert "there is no folder" in refused("E-FILE", tmp_path / "nowhere" / "d.csv")
    (tmp_path / "empty").mkdir()
    assert refused("E-FILE", str(tmp_path / "empty" / "d.csv")).endswith('d.csv" [E-FILE]')


def test_a_path_in_this_folder_needs_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tutorial.csv").write_text("x,y\n1,2\n")
    assert refused("E-FILE", "tutorail.csv") == 'no file "tutorail.csv"\n  in this folder: tutorial.csv [E-FILE]'
    assert select(rows("tutorial.csv"), ("x",)).arrays["x"].tolist() == [1.0]


def test_a_folder_no_permission_and_impossible_names_are_refused(tmp_path, monkeypatch):
    assert "no file in the folder" in refused("E-FILE", tmp_path)
    for name in ("", "a\0b", "n" * 5000, "x,y\n1,2\n"):
        refused("E-FILE", name)
    path = tmp_path / "d.csv"
    path.write_text("x,y\n1,2\n")

    def closed(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", closed)
    assert "no permission" in refused("E-FILE", path)


@pytest.mark.parametrize("magic", files.FOREIGN)
def test_files_of_other_kinds_are_named(magic, tmp_path):
    (tmp_path / "d.csv").write_bytes(magic + b"rest of it")
    assert files.FOREIGN[magic] in refused("E-FORMAT", tmp_path / "d.csv")


@pytest.mark.parametrize("kind", ["parquet", "arrow", "arrow stream"])
def test_a_damaged_file_is_refused(kind, tmp_path):
    path = tmp_path / "d"
    WRITERS[kind](str(path))
    body = path.read_bytes()
    for cut in (8, 100, len(body) // 2):
        path.write_bytes(body[:cut])
        refused("E-FORMAT", path)
    for place in range(0, len(body), 97):
        path.write_bytes(body[:place] + bytes([body[place] ^ 0xFF]) + body[place + 1 :])
        try:
            select(rows(path), ("x", "y"))
        except DataError:
            continue


def test_a_pipe_is_read_once(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_text("x,y\n1,2\n3,5\n"))
    writer.start()
    found = select(rows(path), ("x", "y"), where="x > 2")
    writer.join()
    assert found.arrays["y"].tolist() == [5.0]


def test_standard_input_is_a_dash(monkeypatch):
    for stream in (io.TextIOWrapper(io.BytesIO(b"x;y\n1;2,5\n")), io.TextIOWrapper(io.BytesIO(b"x,y\n1,2.5\n"))):
        monkeypatch.setattr(sys, "stdin", stream)
        found = select(rows("-"), ("x", "y"))
        assert found.arrays["y"].tolist() == [2.5]
        assert str(found.source.name) == "standard input"


def test_an_open_file_is_read_from_where_it_stands(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("x,y\n1,2\n")
    with path.open("rb") as binary, path.open() as text:
        for stream in (binary, text):
            found = select(rows(stream), ("x", "y"))
            assert found.arrays["y"].tolist() == [2.0]
            assert found.source.name == "d.csv"
    assert select(rows(io.StringIO("x,y\n1,2\n")), ("y",)).arrays["y"].tolist() == [2.0]


def test_text_options_have_no_meaning_for_other_formats(tmp_path):
    FRAME.to_parquet(tmp_path / "d")
    assert "no meaning" in refused("E-USAGE", tmp_path / "d", sep=",")


def test_bytes_beyond_the_limit_have_no_digest(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "HASHED", 3)
    (tmp_path / "d.csv").write_text("x,y\n1,2\n")
    assert rows(tmp_path / "d.csv").source.sha256 is None


def test_arrow_types_that_are_no_numbers_are_refused_and_nulls_are_missing(tmp_path):
    table = pa.table({
        "x": pa.array([1, None, 3], pa.int16()), "null": pa.nulls(3), "b": pa.array([b"1", b"2", b"3"]),
        "l": pa.array([[1], [2], [3]]), "t": pa.array([datetime.time(1), None, datetime.time(2)]),
        "d": pa.array([datetime.timedelta(seconds=5), None, datetime.timedelta(seconds=7)]),
        "h": pa.array(np.array([0.5, 1, 2], dtype="f2")), "big": pa.array([1, 2, 2**63], pa.uint64()),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "d")
    data = read(tmp_path / "d", time={"t": "min", "d": "ms"})
    np.testing.assert_array_equal(data.column("x"), [1.0, np.nan, 3.0])
    np.testing.assert_array_equal(data.column("null"), [np.nan] * 3)
    np.testing.assert_array_equal(data.column("h"), [0.5, 1.0, 2.0])
    np.testing.assert_array_equal(data.column("t"), [0.0, np.nan, 60.0])
    np.testing.assert_array_equal(data.column("d"), [0.0, np.nan, 2000.0])
    for name, code in (("b", "E-NUMBER"), ("l", "E-TYPE"), ("big", "E-INTEGER")):
        with pytest.raises(DataError, match=code):
            data.column(name)


def test_a_data_sets_name_given_as_a_path_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="a data set has that name") as caught:
        rows("tutorial")
    assert caught.value.remedy == 'km.datasets("tutorial")'

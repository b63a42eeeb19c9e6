"""Many curves on a cluster give the table that they give in memory, however their rows lie in partitions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import katamuki as km
from clusters import cluster, files, frame

DECAY = "y ~ a*exp(-b*x) + c"
LINE = "y ~ a*x + b"


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with cluster() as found:
        yield found


def curves(order: str, b: int = 40, m: int = 15) -> dict[str, Any]:
    """Curves of 15 rows: one after the other, in pairs of wells whose rows alternate, or in no order at all."""
    draw = np.random.default_rng(3)
    k = np.repeat(np.arange(b), m)
    x = np.tile(np.linspace(0.0, 3.0, m), b)
    y = draw.uniform(1, 4, b)[k] * np.exp(-draw.uniform(0.5, 2, b)[k] * x) + 0.2 + draw.normal(0, 0.02, b * m)
    rows = np.arange(b * m)
    if order == "shuffled":
        rows = draw.permutation(rows)
    elif order == "in pairs":
        rows = np.argsort(k // 2, kind="stable").reshape(-1, 2, m).transpose(0, 2, 1).ravel()
    well = np.array([f"w{(7 * one) % b}" for one in k])
    return {"x": x[rows], "y": y[rows], "well": well[rows], "plate": (k % 3)[rows]}


def same(far: km.Many, local: km.Many) -> None:
    """Every column of two tables, to the bit and of one type; and what is said of all of them."""
    assert far.table.equals(local.table)
    assert (far.counts, far.curves, far.rows) == (local.counts, local.curves, local.rows)
    assert (far.data.rows, far.data.dropped, far.data.filtered) == (
        local.data.rows,
        local.data.dropped,
        local.data.filtered,
    )


@pytest.mark.parametrize("order", ["sorted", "in pairs", "shuffled"])
@pytest.mark.parametrize("formula", [DECAY, LINE])
def test_any_order_of_rows_gives_the_local_table(client: Any, order: str, formula: str) -> None:
    table = pd.DataFrame(curves(order))
    far = km.fit_many(formula, km.cluster.table(frame(table, 7), client), by="well", check=4)
    same(far, km.fit_many(formula, table, by="well", check=0))
    assert {one.verdict for one in far.checked.curves} == {"PASS"}
    assert far.finished


def test_files_and_several_keys_give_the_local_table(client: Any, tmp_path: Path) -> None:
    pattern = files(tmp_path, curves("shuffled"), 3, 100)
    far = km.fit_many(LINE, km.cluster.table(pattern, client), by=["plate", "well"], check=0)
    same(far, km.fit_many(LINE, pattern, by=["plate", "well"], check=0))
    assert far.data.name == pattern


@pytest.mark.parametrize("options", [{"where": "x > 0.5"}, {"missing": "drop"}, {"missing": "error"}, {"weights": "x"}])
def test_options_mean_what_they_mean_in_memory(client: Any, options: dict[str, Any]) -> None:
    table = pd.DataFrame(curves("shuffled"))
    table["y"] = table["y"].where(table["y"] < 3.5)  # the others have no value
    table["x"] += 0.1
    far = km.fit_many(LINE, km.cluster.table(frame(table, 5), client), by="well", check=0, **options)
    same(far, km.fit_many(LINE, table, by="well", check=0, **options))


def test_spoiled_curves_are_rows_with_the_local_codes(client: Any) -> None:
    table = pd.DataFrame(curves("sorted"))
    table.loc[table["well"] == "w7", "y"] = np.nan
    table.loc[table["well"] == "w14", "y"] = 1.0
    table.loc[table["well"] == "w21", "x"] = 2.0
    table = pd.concat([table, pd.DataFrame({"x": [1.0], "y": [1.0], "well": ["one"], "plate": [0]})])
    table = table.reset_index(drop=True)
    far = km.fit_many(LINE, km.cluster.table(frame(table, 6), client), by="well", check=0)
    same(far, km.fit_many(LINE, table, by="well", check=0))
    assert far.counts["failed"] >= 2
    assert {"MISSING", "TOOFEW"} <= set(far.table.column("_code").to_pylist())


def test_a_table_that_differs_would_be_seen() -> None:
    table = pd.DataFrame(curves("sorted"))
    one, other = (km.fit_many(LINE, some, by="well", check=0) for some in (table, table.assign(y=table["y"] * 1.0001)))
    with pytest.raises(AssertionError):
        same(one, other)


def test_missing_keys_and_keys_of_many_types_stay_what_they_are(client: Any) -> None:
    table = pd.DataFrame(curves("shuffled"))
    table["day"] = pd.to_datetime("2024-01-01") + pd.to_timedelta(table["plate"], unit="D")
    table["level"] = table["plate"].where(table["plate"] != 1) / 4
    table["well"] = table["well"].where(table["well"] != "w7")
    by = ["well", "day", "level"]
    far = km.fit_many(LINE, km.cluster.table(frame(table, 4), client), by=by, check=0)
    same(far, km.fit_many(LINE, table, by=by, check=0))


def test_one_curve_again_has_the_rows_and_their_numbers(client: Any) -> None:
    table = pd.DataFrame(curves("shuffled"))
    far = km.fit_many(DECAY, km.cluster.table(frame(table, 5), client), by="well", check=0)
    fit, local = far.fit("w14"), km.fit_many(DECAY, table, by="well", check=0).fit("w14")
    assert (fit.params, fit.stderr) == (local.params, local.stderr)
    assert np.array_equal(fit.index, local.index)
    with pytest.raises(km.DataError) as caught:
        far.fit("nobody")
    assert caught.value.code == "E-KEY"


def test_workers_write_a_folder_that_goes_on_after_a_loss(client: Any, tmp_path: Path) -> None:
    local = pd.DataFrame(curves("sorted"))
    rows = km.cluster.table(frame(local, 5), client)
    out, expected = tmp_path / "fits", km.fit_many(LINE, local, by="well", check=0).table
    assert km.fit_many(LINE, rows, by="well", check=0, output=out).table.equals(expected)
    parts = sorted(out.glob("part-*.parquet"))
    assert len(parts) > 4
    assert pq.read_table(out).num_rows == len(expected)
    with pytest.raises(km.BoundsError, match="there already"):
        km.fit_many(LINE, rows, by="well", output=out)
    kept = {one: one.stat().st_mtime_ns for one in parts}
    parts[2].unlink()
    parts[3].write_bytes(b"PAR1, cut off")
    again = km.fit_many(LINE, rows, by="well", check=0, output=out, resume=True)
    assert again.table.equals(expected)
    assert 0 < again.resumed < len(expected)
    assert [one for one in parts if one.stat().st_mtime_ns != kept[one]] == parts[2:4]
    with pytest.raises(km.BoundsError) as caught:
        km.fit_many(DECAY, rows, by="well", output=out, resume=True)
    assert caught.value.code == "E-RESUME"
    assert json.loads((out / "_manifest.json").read_text())["formula"] == LINE
    replaced = km.fit_many(DECAY, rows, by="well", check=0, output=out, overwrite=True)
    assert "c" in replaced.table.column_names


def test_a_folder_of_something_else_is_left_alone(client: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    rows = km.cluster.table(frame(curves("sorted"), 2), client)
    with pytest.raises(km.BoundsError):
        km.fit_many(LINE, rows, by="well", output=tmp_path, overwrite=True)
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "mine"


def test_one_file_is_written_here_and_goes_on(client: Any, tmp_path: Path) -> None:
    local = pd.DataFrame(curves("shuffled"))
    rows = km.cluster.table(frame(local, 4), client)
    out = tmp_path / "fits.parquet"
    many = km.fit_many(LINE, rows, by="well", check=0, output=out)
    assert many.table.equals(km.fit_many(LINE, local, by="well", check=0).table)
    assert km.fit_many(LINE, rows, by="well", check=0, output=out, resume=True).resumed == len(many)


def test_what_is_wrong_is_told_before_anything_is_fitted(client: Any) -> None:
    rows = km.cluster.table(frame(curves("sorted"), 3), client)
    for options, code in (
        ({"by": "wel"}, "E-COLUMN"),
        ({"by": "well", "where": "x > 99"}, "E-EMPTY"),
        ({"by": "well", "weights": np.ones(600)}, "E-STREAM"),
    ):
        with pytest.raises(km.KatamukiError) as caught:
            km.fit_many(LINE, rows, **options)
        assert caught.value.code == code
    whole = frame(curves("sorted"), 3)

    def typed(part: Any) -> Any:
        return part.assign(plate=part["plate"].astype("string" if part.index[0] else "int64"))

    kinds = whole.map_partitions(typed, meta=whole._meta)
    with pytest.raises(km.KatamukiError) as caught:
        km.fit_many(LINE, km.cluster.table(kinds, client), by="plate")
    assert caught.value.code == "E-SCHEMA"
    assert "plate" in str(caught.value)


def test_progress_is_told_and_time_ends_it(client: Any) -> None:
    heard: list[tuple[int, int, float]] = []
    rows = km.cluster.table(frame(curves("sorted"), 4), client)
    km.fit_many(LINE, rows, by="well", check=0, progress=lambda *one: heard.append(one))
    assert heard[-1][:2] == (40, 40)
    assert [one[0] for one in heard] == sorted(one[0] for one in heard)
    with pytest.warns(km.FitWarning):
        many = km.fit_many(LINE, rows, by="well", check=0, max_seconds=1e-6)
    assert not many.finished

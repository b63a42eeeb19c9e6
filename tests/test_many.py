"""``fit_many``: its table, its keys, every kind of data, and that nothing depends on order, chunks or threads."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import katamuki as km
from katamuki.api import many_running
from paces import Fixed
from wells import DECAY, LINE, TIMES, decays, long, shuffled

LAST = ["_loss", "_n", "_dof", "_verdict", "_state", "_code"]
COUNT = 24


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    return long(decays(COUNT), TIMES, "t")


@pytest.fixture(scope="module")
def many(table: dict[str, Any]) -> km.Many:
    return km.fit_many(DECAY, table, by="well", check=3)


def numbers(many: km.Many) -> dict[str, list[Any]]:
    """The table without its keys."""
    return {name: many.column(name).to_pylist() for name in many.names[len(many.by) :]}


def sorted_rows(many: km.Many) -> list[dict[str, Any]]:
    return sorted(many.table.to_pylist(), key=lambda row: str(row["well"]))


def test_the_columns_stand_in_their_order(many: km.Many) -> None:
    assert many.table.column_names == ["well", "a", "a_stderr", "b", "b_stderr", "c", "c_stderr", *LAST]
    assert many.names == tuple(many.table.column_names)
    assert many.table.schema.field("_n").type == pa.int64()
    assert many.table.schema.field("a").type == pa.float64()


def test_every_curve_is_what_fit_makes_of_it(many: km.Many, table: dict[str, Any]) -> None:
    for row in many.table.to_pylist():
        rows = table["well"] == row["well"]
        one = km.fit(DECAY, {name: table[name][rows] for name in ("t", "y")})
        assert [row[name] for name in "abc"] == pytest.approx(list(one.params.values()), rel=1e-10)
        assert [row[f"{name}_stderr"] for name in "abc"] == pytest.approx(list(one.stderr.values()), rel=1e-8)
        assert row["_loss"] == pytest.approx(one.loss, rel=1e-10)
        assert (row["_n"], row["_dof"], row["_verdict"], row["_state"]) == (one.n, one.dof, one.verdict, one.state)


def test_rows_are_in_the_order_of_first_appearance(table: dict[str, Any]) -> None:
    order = shuffled(COUNT * len(TIMES))
    mixed = {name: column[order] for name, column in table.items()}
    found = km.fit_many(DECAY, mixed, by="well", check=0)
    assert found.column("well").to_pylist() == list(dict.fromkeys(mixed["well"]))


def test_the_order_of_the_keys_changes_no_bit(many: km.Many, table: dict[str, Any]) -> None:
    n = len(TIMES)
    curves = np.random.default_rng(3).permutation(COUNT)
    order = (curves[:, None] * n + np.arange(n)).T.ravel()  # the curves' rows interleaved, each in its order
    mixed = {name: column[order] for name, column in table.items()}
    assert sorted_rows(km.fit_many(DECAY, mixed, by="well", check=0)) == sorted_rows(many)


def test_rows_of_a_curve_in_another_order_change_no_digit(many: km.Many, table: dict[str, Any]) -> None:
    order = shuffled(COUNT * len(TIMES))
    mixed = {name: column[order] for name, column in table.items()}
    found = km.fit_many(DECAY, mixed, by="well", check=0)
    for one, other in zip(sorted_rows(found), sorted_rows(many), strict=True):
        assert [one[name] for name in "abc"] == pytest.approx([other[name] for name in "abc"], rel=1e-10)


@pytest.mark.parametrize("block", [1, 7, 1000])
@pytest.mark.parametrize("threads", [1, 2])
def test_neither_blocks_nor_threads_change_a_bit(
    many: km.Many, table: dict[str, Any], block: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many_running, "Pace", lambda _: Fixed(block))
    found = km.fit_many(DECAY, table, by="well", threads=threads, check=0)
    assert found.table.equals(many.table)


def test_wide_arrays_are_the_same_curves(many: km.Many) -> None:
    y = decays(COUNT)
    shared = km.fit_many(DECAY, {"t": TIMES, "y": y}, check=0)
    each = km.fit_many(DECAY, {"t": np.tile(TIMES, (COUNT, 1)), "y": y}, check=0)
    assert shared.by == ("curve",)
    assert shared.column("curve").to_pylist() == list(range(COUNT))
    assert numbers(each) == numbers(many)
    for name in ("a", "b", "c", "_loss"):
        assert shared.column(name).to_pylist() == pytest.approx(many.column(name).to_pylist(), rel=1e-10)


def test_wide_weights_may_be_of_every_curve_or_shared() -> None:
    y, sigma = decays(4), np.linspace(0.02, 0.05, len(TIMES))
    one = km.fit_many(DECAY, {"t": TIMES, "y": y}, sigma=sigma, sigma_is="known", check=0)
    two = km.fit_many(DECAY, {"t": TIMES, "y": y}, sigma=np.tile(sigma, (4, 1)), sigma_is="known", check=0)
    three = km.fit_many(DECAY, {"t": TIMES, "y": y, "s": sigma}, sigma="s", sigma_is="known", check=0)
    alone = km.fit(DECAY, {"t": TIMES, "y": y[2]}, sigma=sigma, sigma_is="known")
    for found in (one, two, three):
        assert found.column("a")[2].as_py() == pytest.approx(alone.params["a"], rel=1e-10)
        assert found.column("a_stderr")[2].as_py() == pytest.approx(alone.stderr["a"], rel=1e-8)


def frames(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same table as every kind of data."""
    frame = pd.DataFrame(table)
    frame.to_csv(folder / "wells.csv", index=False)
    frame.to_parquet(folder / "wells.parquet")
    arrow = pa.Table.from_pandas(frame)
    with pa.OSFile(str(folder / "wells.arrow"), "wb") as sink, pa.ipc.new_file(sink, arrow.schema) as writer:
        writer.write_table(arrow)
    return {
        "pandas": frame,
        "polars": pl.DataFrame(frame),
        "pyarrow": arrow,
        "lists": {name: list(column) for name, column in table.items()},
        "csv": folder / "wells.csv",
        "parquet": str(folder / "wells.parquet"),
        "arrow": folder / "wells.arrow",
        "read": km.read(folder / "wells.csv"),
        "stream": io.StringIO((folder / "wells.csv").read_text()),
    }


def test_every_kind_of_data_gives_the_same_table(many: km.Many, table: dict[str, Any], tmp_path: Path) -> None:
    for name, data in frames(table, tmp_path).items():
        found = km.fit_many(DECAY, data, by="well", check=0)
        assert found.column("well").to_pylist() == many.column("well").to_pylist(), name
        assert numbers(found) == numbers(many), name


@pytest.mark.parametrize(
    "key",
    [
        np.array([7, 7, 7, 3, 3, 3], dtype=np.int16),
        pd.Series(["x", "x", "x", "y", "y", "y"], dtype="category"),
        np.array(["2024-01-01"] * 3 + ["2024-01-02"] * 3, dtype="datetime64[D]"),
        pa.array([True, True, True, False, False, False]),
        pa.array([0.5] * 3 + [None] * 3),
        pl.Series([1, 1, 1, 2, 2, 2], dtype=pl.UInt8),
        pa.array(["a"] * 3 + [None] * 3),
    ],
)
def test_keys_keep_their_types(key: Any) -> None:
    data = {"k": key, "x": [0.0, 1.0, 2.0] * 2, "y": [1.0, 3.0, 5.1, 0.0, 1.1, 2.0]}
    found = km.fit_many(LINE, data, by="k", check=0).column("k")
    given = (
        pa.Array.from_pandas(key)
        if isinstance(key, pd.Series)
        else key.to_arrow()
        if isinstance(key, pl.Series)
        else pa.array(key)
    )
    assert found.type == given.type
    assert found.to_pylist() == [given[0].as_py(), given[3].as_py()]


def test_cells_of_a_text_file_become_whole_numbers_or_stay_text() -> None:
    rows = "k,m,x,y\n1,01,0,1\n1,01,1,2\n2,NA,0,0\n2,NA,1,3\n"
    found = km.fit_many("y ~ a*x", io.StringIO(rows), by=["k", "m"], check=0)
    assert found.column("k").to_pylist() == [1, 2]
    assert found.column("m").to_pylist() == ["01", "NA"]


def test_several_key_columns_make_one_key() -> None:
    data = {"p": [1, 1, 1, 1, 2, 2], "w": list("aabbaa"), "x": [1.0, 2.0] * 3, "y": [1.0, 2.1, 2.0, 4.1, 3.0, 6.2]}
    found = km.fit_many("y ~ a*x", data, by=["p", "w"], check=0)
    assert [(row["p"], row["w"]) for row in found.table.to_pylist()] == [(1, "a"), (1, "b"), (2, "a")]
    assert found.fit((1, "b")).params["a"] == pytest.approx(found.column("a")[1].as_py())


def test_a_function_is_a_model_as_its_formula_is(many: km.Many, table: dict[str, Any]) -> None:
    found = km.fit_many(lambda t, a, b, c: a * np.exp(-b * t) + c, table, by="well", check=0)
    assert numbers(found) == numbers(many)


def test_fixed_bounds_and_starts_hold_for_all_curves(table: dict[str, Any]) -> None:
    found = km.fit_many(DECAY, table, by="well", fixed={"c": 0.2}, start={"b": 0.5}, check=0)
    assert found.column("c").to_pylist() == [0.2] * COUNT
    assert found.column("c_stderr").to_pylist() == [None] * COUNT
    assert found.free == ("a", "b")
    held = km.fit_many(DECAY, table, by="well", bounds={"c": (0.25, 1.0)}, check=0)
    assert min(held.column("c").to_pylist()) == 0.25
    at = held.column("_code").to_pylist().index("AT_BOUND")
    assert held.column("c_stderr")[at].as_py() is None


def test_a_left_side_may_be_computed(table: dict[str, Any]) -> None:
    found = km.fit_many("log(y) ~ m*t + q", table, by="well", check=2)
    rows = table["well"] == "w3"
    slope, _ = np.polyfit(table["t"][rows], np.log(table["y"][rows]), 1)
    assert found.column("m")[3].as_py() == pytest.approx(slope, rel=1e-9)
    wide = km.fit_many("y/(1 + t) ~ m*t + q", {"t": TIMES, "y": decays(3)}, check=2)
    assert wide.checked.of("PASS") == wide.checked.curves


def test_a_condition_leaves_rows_out_and_counts_them(table: dict[str, Any]) -> None:
    found = km.fit_many(DECAY, table, by="well", where="t < 9", check=0)
    assert set(found.column("_n").to_pylist()) == {len(TIMES) - 1}
    assert found.data.filtered == COUNT
    one = found.fit("w5")
    assert one.index is not None
    assert one.index.tolist() == [5 * len(TIMES) + k for k in range(len(TIMES) - 1)]


def test_one_curve_is_a_whole_fit_with_its_rows_numbers(many: km.Many) -> None:
    one = many.fit("w2")
    assert one.check().verdict == "PASS"
    assert one.params["a"] == pytest.approx(many.column("a")[2].as_py(), rel=1e-12)
    assert one.index is not None
    assert one.index.tolist() == list(range(2 * len(TIMES), 3 * len(TIMES)))
    assert "well = w2" in str(one)
    assert "step" in one.explain().text().lower()


def test_the_table_goes_to_pandas_and_polars(many: km.Many) -> None:
    assert many.to_pandas()["a"].tolist() == many.column("a").to_pylist()
    assert many.to_polars()["well"].to_list() == many.column("well").to_pylist()


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".arrow"])
def test_the_table_is_written_by_its_suffix(many: km.Many, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"fits{suffix}"
    many.write(path)
    if suffix == ".parquet":
        read = pq.read_table(path)
    elif suffix == ".csv":
        read = pyarrow.csv.read_csv(path, convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=False))
    else:
        read = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    assert read.to_pylist() == many.table.to_pylist()
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_the_sample_is_drawn_by_the_seed_and_checked(many: km.Many, table: dict[str, Any]) -> None:
    assert len(many.checked.curves) == 3
    assert many.checked.of("PASS") == many.checked.curves
    assert many.checked.digits > 9.0
    again = km.fit_many(DECAY, table, by="well", check=3)
    other = km.fit_many(DECAY, table, by="well", check=3, seed=5)
    keys = [tuple(one.key for one in run.checked.curves) for run in (many, again, other)]
    assert keys[0] == keys[1] != keys[2]
    assert len(km.fit_many(DECAY, table, by="well", check=1000).checked.curves) == COUNT


def test_a_wrong_row_is_found_by_the_check(many: km.Many) -> None:
    from katamuki.api.many_checking import agreement

    row = many._row(4)
    true = agreement(("w4",), row, many._single.again(("w4",), 0))  # a key is looked for where it is not there
    assert true.verdict == "PASS"
    for change in (
        {"b": row["b"] * (1 + 1e-5)},
        {"a_stderr": row["a_stderr"] * 1.01},
        {"_loss": row["_loss"] * 1.1},
        {"a": None},
    ):
        assert agreement(("w4",), {**row, **change}, many._single.again(("w4",), 4)).verdict == "FAIL", change


def test_the_verdict_of_a_table_hears_the_check(table: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from katamuki.many import engine

    true = engine.fit_curves

    def shifted(task: Any, curves: Any, threads: int | None = None) -> Any:
        found = true(task, curves, threads)
        found.values[:, 0] *= 1.001
        return found

    monkeypatch.setattr(engine, "fit_curves", shifted)
    found = km.fit_many(DECAY, table, by="well", check=5)
    assert found.verdict == "failed"
    assert len(found.checked.of("FAIL")) == 5
    said = found.text()
    assert "the check contradicts 5 of its curves" in said
    assert "5 curves checked again: 0 agree" in said
    assert any(f"{one.key[0]} does not: " in said for one in found.checked.curves)
    assert "and 2 more" in said


def test_progress_hears_how_many_curves_are_done(table: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_running, "Pace", lambda _: Fixed(5))
    heard: list[tuple[int, int, float]] = []
    km.fit_many(DECAY, table, by="well", check=0, progress=lambda *told: heard.append(told))
    assert heard[-1][:2] == (COUNT, COUNT)
    assert heard[-1][2] == 0.0
    assert [one[0] for one in heard] == sorted(one[0] for one in heard)

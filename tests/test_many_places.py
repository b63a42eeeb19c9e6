"""Curves of a long table at the places of its first one share its cloud of starts, whatever stands around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import katamuki as km
from katamuki.api import many_passing, many_running
from katamuki.api.many_blocks import at_places
from katamuki.many import engine
from katamuki.many.curves import Curves
from paces import Fixed
from wells import DECAY, TIMES, decays

COUNT = 90


def mixed(first_apart: bool = False) -> dict[str, Any]:
    """A long table: most curves at ``TIMES``, every fifth elsewhere, one without its last row."""
    y, t = decays(COUNT), np.tile(TIMES, (COUNT, 1))
    t[4::5] *= 1.25
    if first_apart:
        t[0] *= 0.5
    table = {"k": np.repeat(np.arange(COUNT), len(TIMES)), "t": t.ravel(), "y": y.ravel()}
    kept = np.ones(len(table["k"]), dtype=bool)
    kept[8 * 12 - 1] = False
    return {name: one[kept] for name, one in table.items()}


def heard(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, int]]:
    """Which engine calls share columns, and how many curves they have."""
    true, found = engine.fit_curves, []

    def listening(task: Any, curves: Curves, threads: int | None = None) -> Any:
        found.append((curves.shared, len(curves)))
        return true(task, curves, threads)

    monkeypatch.setattr(engine, "fit_curves", listening)
    return found


def test_a_long_table_at_the_same_places_is_the_wide_one_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """It used to take twenty times as long, by clouds of each curve's own."""
    y = decays(COUNT)
    wide = km.fit_many(DECAY, {"t": TIMES, "y": y}, check=0).table
    table = {"curve": np.repeat(np.arange(COUNT), len(TIMES)), "t": np.tile(TIMES, COUNT), "y": y.ravel()}
    calls = heard(monkeypatch)
    long = km.fit_many(DECAY, table, by="curve", check=0).table
    assert calls
    assert all(shared for shared, _ in calls)
    assert long.equals(wide)
    weighted = km.fit_many(DECAY, table, by="curve", check=0, sigma=0.03, sigma_is="known").table
    assert weighted.equals(km.fit_many(DECAY, {"t": TIMES, "y": y}, check=0, sigma=0.03, sigma_is="known").table)


@pytest.mark.parametrize("first_apart", [False, True])
@pytest.mark.parametrize("missing", ["error", "drop"])
def test_blocks_and_threads_change_no_bit(first_apart: bool, missing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table, tables = mixed(first_apart), []
    table["y"][[3, 100]] = np.nan  # in the first curve, too: its places are known all the same
    calls = heard(monkeypatch)
    for curves, threads in ((1, 2), (7, 1), (1000, 2)):
        monkeypatch.setattr(many_running, "Pace", lambda _, curves=curves: Fixed(curves))
        tables.append(km.fit_many(DECAY, table, by="k", check=0, threads=threads, missing=missing).table)
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
    shared, apart = (sum(count for one, count in calls if one is kind) for kind in (True, False))
    dropped = 0 if missing == "error" else 1
    if not first_apart:
        assert (shared, apart) == (3 * (COUNT - 18 - 1 - 2), 3 * (18 + 1 + 2 * dropped))
    else:
        assert shared == 0


def test_of_the_first_curve_only_its_places_matter_and_only_to_curves_that_have_them() -> None:
    table = mixed()
    other = {**table, "y": np.where(table["k"] == 0, 1.0 + table["t"], table["y"])}
    apart = {**table, "t": np.where(table["k"] == 0, table["t"] * (1.0 + 1e-9), table["t"])}
    one, two, three = (km.fit_many(DECAY, each, by="k", check=0).table for each in (table, other, apart))
    assert one.slice(1).equals(two.slice(1))
    assert not one.slice(0, 1).equals(two.slice(0, 1))
    elsewhere = np.arange(4, COUNT, 5)
    assert one.take(elsewhere).equals(three.take(elsewhere))
    assert not one.slice(1).equals(three.slice(1))  # the documents say so
    for name in "abc":
        assert np.allclose(one.column(name).to_numpy()[1:], three.column(name).to_numpy()[1:], rtol=1e-9)


def test_each_curve_is_what_fit_makes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    table = mixed()
    many = km.fit_many(DECAY, table, by="k", check=COUNT)
    assert many.checked.of("FAIL") == ()
    for k in (0, 4, 11, 50):
        rows = table["k"] == k
        single = km.fit(DECAY, {name: table[name][rows] for name in ("t", "y")})
        assert many.column("b")[k].as_py() == pytest.approx(single.params["b"], rel=1e-10)


@pytest.mark.parametrize("together", [False, True])
def test_rows_that_pass_by_have_the_same_first_curve(
    together: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = mixed()
    if not together:
        order = np.random.default_rng(0).permutation(len(table["k"]))
        table = {name: one[order] for name, one in table.items()}
    pq.write_table(pa.table(table), tmp_path / "d.parquet", row_group_size=50)
    here = km.fit_many(DECAY, tmp_path / "d.parquet", by="k", check=0).table
    monkeypatch.setattr(many_passing, "LEAST", 40)
    calls = heard(monkeypatch)
    options: dict[str, Any] = {"max_memory": 30_000, "output": tmp_path / "o.parquet"}
    there = km.fit_many(DECAY, tmp_path / "d.parquet", by="k", check=0, **options)
    assert len(calls) > 2
    assert any(shared for shared, _ in calls)
    assert there.table.equals(here)


def test_the_same_places_are_the_same_bits() -> None:
    places = (np.array([0.0, 1.0]), np.array([2.0, 3.0]))
    x = np.array([0.0, 1.0, 0.0, 1.0, 5.0, -0.0, 1.0, 0.0, 1.0 + 2.0**-52, 0.0, 1.0])
    z = np.array([2.0, 3.0, 2.0, 4.0, 3.0, 2.0, 3.0, 2.0, 3.0, 2.0, 3.0])
    curves = Curves(np.array([0, 2, 4, 5, 7, 9, 11]), (x, z), x)
    assert at_places(curves, places).tolist() == [True, False, False, False, False, True]
    equal = Curves(np.array([0, 2, 4]), (x[:4], z[:4]), x[:4])
    assert at_places(equal, places).tolist() == [True, False]
    assert at_places(equal, (places[0], places[0])).tolist() == [False, False]

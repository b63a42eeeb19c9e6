"""Many curves larger than memory: sorted, together and shuffled, in pieces and on disk, against the table in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import katamuki as km
from katamuki.api import many_passing
from katamuki.many import writing
from wells import DECAY, TIMES, decays, long, shuffled

COUNT = 300
N = len(TIMES)
SMALL = 50_000  # bytes: these tables are larger
Write = Callable[[dict[str, Any], Path], Path]


def parquet(table: dict[str, Any], folder: Path) -> Path:
    path = folder / "wells.parquet"
    pq.write_table(pa.table({name: list(column) for name, column in table.items()}), path, row_group_size=200)
    return path


def several(table: dict[str, Any], folder: Path) -> Path:
    """The same in three files."""
    rows = len(table["y"])
    for k, (first, last) in enumerate(((0, 500), (500, 501), (501, rows))):
        part = {name: list(column[first:last]) for name, column in table.items()}
        pq.write_table(pa.table(part), folder / f"part{k}.parquet", row_group_size=200)
    return folder / "part*.parquet"


def csv(table: dict[str, Any], folder: Path) -> Path:
    lines = [",".join(table), *(",".join(map(str, row)) for row in zip(*table.values(), strict=True))]
    path = folder / "wells.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(autouse=True)
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_passing, "LEAST", 300)
    monkeypatch.setattr(many_passing, "SHARE", 200)


ORDERS = {
    "sorted": np.arange(COUNT * N),
    "together": (np.random.default_rng(4).permutation(COUNT)[:, None] * N + np.arange(N)).ravel(),
    "shuffled": shuffled(COUNT * N),
}


def poisoned() -> dict[str, Any]:
    table = long(decays(COUNT), TIMES, "t")
    table["y"] = table["y"].copy()
    table["y"][[3, 805]] = np.nan
    return table


@pytest.mark.parametrize("write", [parquet, several, csv])
@pytest.mark.parametrize("order", sorted(ORDERS))
def test_pieces_give_the_table_of_memory_to_the_bit(
    order: str, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {name: column[ORDERS[order]] for name, column in poisoned().items()}
    data = write(table, tmp_path)
    here = km.fit_many(DECAY, data, by="well", check=0)
    seen: list[bool] = []
    true = many_passing.Passing._next
    monkeypatch.setattr(many_passing.Passing, "_next", lambda self: (seen.append(self.together), true(self))[1])
    limit = pieces(monkeypatch)
    there = km.fit_many(DECAY, data, by="well", max_memory=limit, check=2)
    assert len(seen) > 2
    assert set(seen) == {order != "shuffled"}
    assert there.table.equals(here.table)
    assert there.data.rows == here.data.rows
    assert there.checked.of("PASS") == there.checked.curves
    assert len(there.checked.curves) == 2


def pieces(monkeypatch: pytest.MonkeyPatch) -> int:
    """A limit below which data must be read in pieces, and above which the table fits."""
    monkeypatch.setattr("katamuki.api.many_asking.HELD", 1000)
    return 4_000_000


@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_an_output_is_in_order_and_holds_all(order: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = {name: column[ORDERS[order]] for name, column in poisoned().items()}
    data = parquet(table, tmp_path)
    here = km.fit_many(DECAY, data, by="well", check=0)
    monkeypatch.setattr(writing, "ENOUGH", 40)
    monkeypatch.setattr(writing, "BUCKET", 6000)
    limit = pieces(monkeypatch)
    out = tmp_path / "fits.parquet"
    there = km.fit_many(DECAY, data, by="well", output=out, max_memory=limit, check=2)
    assert there.table.equals(here.table)
    assert there.column("a").to_pylist() == here.column("a").to_pylist()
    assert not [one for one in tmp_path.iterdir() if one.name not in ("fits.parquet", "wells.parquet")]


@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_a_run_that_was_cut_goes_on(order: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from katamuki.many import engine

    table = {name: column[ORDERS[order]] for name, column in poisoned().items()}
    data = parquet(table, tmp_path)
    here = km.fit_many(DECAY, data, by="well", check=0)
    monkeypatch.setattr(writing, "ENOUGH", 40)
    monkeypatch.setattr("katamuki.api.many_running.FIRST", 20)
    limit = pieces(monkeypatch)
    options: dict[str, Any] = {"by": "well", "output": tmp_path / "fits.parquet", "max_memory": limit, "check": 0}
    true, heard = engine.fit_curves, []

    def counting(task: Any, curves: Any, threads: int | None = None) -> Any:
        heard.append(len(curves))
        if sum(heard) > 150 and not again:
            raise MemoryError
        return true(task, curves, threads)

    again = False
    monkeypatch.setattr(engine, "fit_curves", counting)
    with pytest.raises(MemoryError):
        km.fit_many(DECAY, data, **options, threads=1)
    again = True
    heard.clear()
    many = km.fit_many(DECAY, data, **options, resume=True)
    assert 0 < many.resumed < COUNT
    assert sum(heard) <= COUNT - many.resumed
    assert many.table.equals(here.table)
    assert many.data.rows == here.data.rows


def test_where_and_dropping_are_those_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = {name: column[ORDERS["shuffled"]] for name, column in poisoned().items()}
    data = parquet(table, tmp_path)
    options: dict[str, Any] = {"by": "well", "where": "t < 9 and well != 'w7'", "missing": "drop", "check": 0}
    here = km.fit_many(DECAY, data, **options)
    there = km.fit_many(DECAY, data, **options, max_memory=pieces(monkeypatch))
    assert there.table.equals(here.table)
    assert (there.data.filtered, there.data.dropped) == (here.data.filtered, here.data.dropped)
    assert "w7" not in there.column("well").to_pylist()


def test_one_curve_of_a_stream_is_a_whole_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = {name: column[ORDERS["shuffled"]] for name, column in poisoned().items()}
    data = parquet(table, tmp_path)
    here = km.fit_many(DECAY, data, by="well", check=0).fit("w33")
    many = km.fit_many(DECAY, data, by="well", check=0, max_memory=pieces(monkeypatch))
    there = many.fit("w33")
    assert there.params == here.params
    assert here.index is not None
    assert there.index is not None
    assert there.index.tolist() == here.index.tolist()
    with pytest.raises(km.DataError, match="E-KEY"):
        many.fit("w999")
    with pytest.raises(km.DataError, match="E-MISSING"):
        many.fit("w0")


def test_keys_of_text_are_the_same_kind_in_every_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 60
    y = decays(count)
    table = long(y, TIMES, "t")
    table["well"] = np.repeat([*map(str, range(count - 1)), "X"], N)
    data = csv(table, tmp_path)
    here = km.fit_many(DECAY, data, by="well", check=0)
    there = km.fit_many(DECAY, data, by="well", check=0, max_memory=pieces(monkeypatch))
    assert here.column("well").type == there.column("well").type == pa.string()
    assert there.table.equals(here.table)


@pytest.mark.parametrize("later", [["1", "2"], ["0.5", "2"], ["a", "NA"], ["NA", "n/a"], ["", ""]])
def test_keys_that_begin_without_a_value_are_those_of_memory(
    later: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They used to be text for ever where a batch of NA came first, and whole numbers in memory."""
    monkeypatch.setattr("katamuki.api.many_asking.batch_rows", lambda *given: 100 * N)
    for first in ("NA", ""):
        table = long(decays(COUNT), TIMES, "t")
        table["well"] = np.array([first] * (200 * N) + [later[0]] * (50 * N) + [later[1]] * (50 * N))
        data = csv(table, tmp_path)
        here = km.fit_many(DECAY, data, by="well", check=0)
        there = km.fit_many(DECAY, data, by="well", max_memory=pieces(monkeypatch), check=0)
        assert there.table.schema.field("well").type == here.table.schema.field("well").type
        assert there.column("well").to_pylist() == here.column("well").to_pylist()


def test_a_table_that_does_not_fit_is_refused_with_the_number(tmp_path: Path) -> None:
    data = parquet(long(decays(COUNT), TIMES, "t"), tmp_path)
    with pytest.raises(km.DataError, match=r"the table of \d+ curves so far needs [\d.]+ kB") as caught:
        km.fit_many(DECAY, data, by="well", check=0, max_memory=SMALL)
    assert caught.value.code == "E-MEMORY"
    assert "output=" in str(caught.value)
    many = km.fit_many(DECAY, data, by="well", check=0, max_memory=SMALL, output=tmp_path / "fits.parquet")
    assert len(many) == COUNT


def test_a_curve_that_does_not_fit_is_refused_with_the_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 4000
    x = np.linspace(0, 1, rows)
    data = parquet({"well": np.repeat(["a", "b"], rows // 2), "x": x, "y": x}, tmp_path)
    monkeypatch.setattr("katamuki.api.many_asking.HELD", 1000)
    with pytest.raises(km.DataError, match="one curve alone has") as caught:
        km.fit_many("y ~ a*x", data, by="well", check=0, max_memory=150_000)
    assert caught.value.code == "E-MEMORY"


def test_a_file_that_changes_between_passes_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = {name: column[ORDERS["shuffled"]] for name, column in poisoned().items()}
    data = parquet(table, tmp_path)
    limit = pieces(monkeypatch)
    true = many_passing.survey

    def survey(reader: Any, room: int) -> Any:
        found = true(reader, room)
        parquet({name: column[:-8] for name, column in table.items()}, tmp_path)
        return found

    monkeypatch.setattr(many_passing, "survey", survey)
    with pytest.raises(km.DataError, match="E-CHANGED"):
        km.fit_many(DECAY, data, by="well", check=0, max_memory=limit)


def test_an_array_beside_a_stream_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = parquet(long(decays(COUNT), TIMES, "t"), tmp_path)
    limit = pieces(monkeypatch)
    with pytest.raises(km.DataError, match="must be a column"):
        km.fit_many(DECAY, data, by="well", weights=np.ones(COUNT * N), max_memory=limit)
    many = km.fit_many(DECAY, data, by="well", sigma=0.03, sigma_is="known", max_memory=limit, check=2)
    assert many.checked.of("PASS") == many.checked.curves


def test_rows_that_are_scattered_are_not_called_one_curve(tmp_path: Path) -> None:
    """This used to say "one curve alone has 3752 rows" of curves of eight."""
    table = {name: column[ORDERS["shuffled"]] for name, column in poisoned().items()}
    with pytest.raises(km.DataError, match="not sorted by their keys") as caught:
        km.fit_many(DECAY, parquet(table, tmp_path), by="well", max_memory=5_000, check=0)
    assert caught.value.code == "E-MEMORY"

"""Mini-batches of rows that are read in pieces: every row once an epoch, in an order that files and seed decide."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import katamuki as km
from katamuki.api import elsewhere
from katamuki.cluster import ClusterTable
from katamuki.messages import Phrase
from katamuki.problem.streamed import StreamedProblem
from katamuki.problem.streamed_batches import StreamedBatches
from katamuki.records import Source
from katamuki.solvers import first_order_run
from streaming import parts, rows, streamed, write

DECAY = "y ~ a*exp(-b*x) + c"
START = {"a": 1.0, "b": 1.0, "c": 0.0}
N = 6000
DATA = rows(N)

pytestmark = pytest.mark.filterwarnings("ignore::katamuki.FitWarning")


def dealt(monkeypatch: pytest.MonkeyPatch, path: object, size: int = 40, **options: Any) -> tuple[km.Fit, Any]:
    """A fit of some steps on batches, and the batches that it took."""
    made = list[StreamedBatches]()
    deal = StreamedProblem.batches

    def batches(problem: StreamedProblem, size: int, seed: int) -> StreamedBatches:
        made.append(deal(problem, size, seed))
        return made[-1]

    with monkeypatch.context() as patch:
        patch.setattr(StreamedProblem, "batches", batches)
        fit = streamed(
            DECAY, path, 4, **({"solver": km.SGD(lr=0.05, steps=320, batch_size=size), "start": START} | options)
        )
    return fit, made[0]


def epoch(batches: StreamedBatches, number: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """All rows of an epoch, in their order."""
    first = number * batches.per_epoch
    return np.concatenate([batches.rows(step) for step in range(first, first + batches.per_epoch)])


def slope(params: np.ndarray[Any, Any], x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], w: Any = 1.0) -> Any:
    """Loss and gradient of the decay on some rows, in plain NumPy."""
    a, b, c = params
    falls = np.exp(-b * x)
    e = a * falls + c - y
    return np.mean(w * e * e), 2 * np.array([np.mean(w * e * part) for part in (falls, -a * x * falls, 1.0)])


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".arrow", ".arrows", ".jsonl"])
def test_an_epoch_has_every_row_once_and_each_epoch_another_order(suffix, tmp_path, monkeypatch):
    fit, batches = dealt(monkeypatch, write(tmp_path / f"rows{suffix}", DATA))
    assert (batches.n, batches.size, batches.per_epoch) == (N, 40, 150)
    assert batches.place(151) == (1, 1)
    orders = [epoch(batches, k) for k in range(3)]
    for order in orders:
        assert (np.sort(order) == np.arange(N)).all()
    assert (orders[0] != orders[1]).mean() > 0.9
    assert (orders[1] != orders[2]).mean() > 0.9
    assert (epoch(batches, 1) == orders[1]).all()  # read again
    assert fit.data.passes > 2


def test_each_step_is_that_of_its_batchs_rows(tmp_path, monkeypatch):
    fit, batches = dealt(monkeypatch, write(tmp_path / "rows.parquet", DATA), size=64)
    assert [len(batches.rows(step)) for step in (0, 92, 93, 94)] == [64, 64, 48, 64]
    params, trace = np.array(list(START.values())), fit.trace
    for step in range(320):
        chosen = batches.rows(step)
        loss, gradient = slope(params, DATA["x"][chosen], DATA["y"][chosen])
        assert trace.loss[step] == pytest.approx(loss, rel=1e-12)
        np.testing.assert_allclose(trace.gradient[step], gradient, rtol=1e-10, atol=1e-14)
        params = params - 0.05 * gradient
    np.testing.assert_allclose(list(fit.params.values()), params, rtol=1e-12)
    loss, gradient = slope(params, DATA["x"], DATA["y"])
    assert trace.loss[-1] == pytest.approx(loss, rel=1e-12)
    assert fit.loss == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(trace.gradient[-1], gradient, rtol=1e-9, atol=1e-14)
    wrong, _ = slope(np.array(list(START.values())), DATA["x"][:64], DATA["y"][:64])
    assert trace.loss[0] != pytest.approx(wrong, rel=1e-6)


def test_a_batchs_rows_stand_alone_with_weights_and_numbers_of_the_source(tmp_path, monkeypatch):
    path = parts(tmp_path / "runs", DATA, 3)
    asked = {"sigma": "s", "sigma_is": "known", "where": "x > 0.5 and z < 1"}
    fit, batches = dealt(monkeypatch, path, **asked, solver=km.Adam(lr=0.01, steps=320, batch_size=40))
    kept = np.flatnonzero((DATA["x"] > 0.5) & (DATA["z"] < 1))
    assert fit.n == len(kept) == batches.n
    assert (np.sort(epoch(batches, 1)) == kept).all()
    for step in (0, 7, batches.per_epoch, batches.per_epoch - 1):
        chosen, alone = batches.rows(step), batches.gathered(step)
        assert (alone.columns[0] == DATA["x"][chosen]).all()
        assert (alone.y == DATA["y"][chosen]).all()
        np.testing.assert_allclose(alone.weights, DATA["s"][chosen] ** -2.0, rtol=1e-15)
        loss, _ = slope(fit.trace.params[step], DATA["x"][chosen], DATA["y"][chosen], DATA["s"][chosen] ** -2.0)
        assert fit.trace.loss[step] == pytest.approx(loss, rel=1e-12)


def test_threads_change_nothing_and_another_seed_everything(tmp_path):
    path = write(tmp_path / "rows.parquet", DATA, group=300)
    asked = {"solver": km.Adam(lr=0.01, steps=400, batch_size=50), "start": START}
    one = streamed(DECAY, path, 2, threads=1, **asked)
    assert streamed(DECAY, path, 2, threads=2, **asked).params == one.params
    assert streamed(DECAY, path, 2, **asked).trace.params.tobytes() == one.trace.params.tobytes()
    other = streamed(DECAY, path, 2, seed=1, **asked)
    assert other.params != one.params
    assert max(abs(other.params[name] - one.params[name]) for name in START) < 0.2
    assert streamed(DECAY, path, 2, seed=-1, **asked).params != other.params


def test_pieces_come_in_another_order_and_rows_of_several_share_a_batch(tmp_path, monkeypatch):
    _, batches = dealt(monkeypatch, write(tmp_path / "rows.parquet", DATA, group=300))
    first, second = epoch(batches, 0), epoch(batches, 1)
    seen = [len(np.unique(first[k : k + 40] // 300)) for k in range(0, N, 40)]
    assert min(seen) >= 4  # of the eight pieces that fill the buffer side by side
    assert set(first[:40] // 300) != set(second[:40] // 300)
    assert np.abs(np.diff(first)).mean() > 1000


def test_rows_that_fit_into_the_buffer_are_dealt_as_in_memory(tmp_path):
    path = write(tmp_path / "rows.parquet", DATA)
    asked = {"solver": km.RMSprop(lr=0.01, steps=300, batch_size=32), "start": START, "where": "x < 2", "seed": 5}
    whole, found = km.fit(DECAY, DATA, **asked), streamed(DECAY, path, 4, **asked)
    assert found.data.sample is not None
    assert "shuffled among" not in found.text()
    assert found.params == whole.params
    assert found.trace.params.tobytes() == whole.trace.params.tobytes()


def test_a_linear_formula_and_a_relation_of_duckdb_take_batches(tmp_path, monkeypatch):
    base = duckdb.connect()
    base.register("t", pa.table(DATA))
    solver = km.SGD(lr=0.05, steps=400, batch_size=100)
    start = {"a": 0.0, "b": 0.0}
    found = streamed("y ~ a*x + b", base.table("t"), 2, solver=solver, start=start)
    assert "batches shuffled among 2000 rows at a time" in found.text()
    assert "2000 行ずつ" in found.text("ja")
    again = streamed("y ~ a*x + b", base.table("t"), 2, solver=solver, start=start)
    assert found.trace.params.tobytes() == again.trace.params.tobytes()
    best = km.fit("y ~ a*x + b", DATA)
    assert found.loss < 1.1 * best.loss
    assert found.solution.reference.params["a"] == pytest.approx(best.params["a"], rel=1e-10)
    base.close()


def test_a_batch_that_the_buffer_cannot_hold_is_refused_with_the_number(tmp_path):
    path = write(tmp_path / "rows.parquet", DATA)
    for size in (3000, N, 10 * N):
        with pytest.raises(km.BoundsError, match=r"2000 rows do") as caught:
            streamed(DECAY, path, 2, solver=km.SGD(steps=3, batch_size=size), start=START)
        assert caught.value.code == "E-MEMORY"
    assert streamed(DECAY, path, 2, solver=km.SGD(lr=0.05, steps=3, batch_size=2000), start=START).n == N


def test_a_file_that_changes_while_batches_are_dealt_says_so(tmp_path, monkeypatch):
    path = write(tmp_path / "rows.parquet", DATA)
    _, batches = dealt(monkeypatch, path)
    kept = path.stat()
    write(path, {name: one[:-1] for name, one in DATA.items()})
    with pytest.raises(km.DataError) as caught:
        batches.rows(7 * batches.per_epoch)
    assert caught.value.code == "E-CHANGED"
    write(path, DATA)
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    if path.stat().st_size == kept.st_size:  # the same bytes once more are the same file
        assert len(epoch(batches, 7)) == N


def test_rows_that_come_to_another_number_say_so(tmp_path, monkeypatch):
    """Nothing but the count of rows can tell of a relation that changes."""
    base = duckdb.connect()
    base.execute("CREATE TABLE t (x DOUBLE, y DOUBLE)")
    base.register("given", pa.table({"x": DATA["x"], "y": DATA["y"]}))
    base.execute("INSERT INTO t SELECT * FROM given")
    _, batches = dealt(monkeypatch, base.table("t"))
    for change in ("INSERT INTO t VALUES (1, 1)", "DELETE FROM t WHERE x < 0.5"):
        base.execute(change)
        with pytest.raises(km.DataError) as caught:
            epoch(batches, 3)
        assert caught.value.code == "E-CHANGED"
    base.close()


def test_ctrl_c_between_buffers_leaves_batches_that_can_be_read_again(tmp_path, monkeypatch):
    _, batches = dealt(monkeypatch, write(tmp_path / "rows.parquet", DATA, group=300))
    right = epoch(batches, 1)

    def interrupted(*_: object) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(batches.source.reader, "batches", interrupted)
        with pytest.raises(KeyboardInterrupt):
            batches.rows(4 * batches.per_epoch)
    assert (epoch(batches, 1) == right).all()


def test_a_database_and_a_cluster_refuse_batches_by_name():
    base = duckdb.connect()
    base.register("t", pa.table(DATA))
    query = km.sql("SELECT x, y FROM t", base)
    with pytest.raises(km.BackendError, match=r"batch_size=64.*DuckDB") as caught:
        km.fit(DECAY, query, solver=km.Adam(batch_size=64), start=START)
    assert caught.value.code == "E-BACKEND"
    assert "without batch_size" in caught.value.remedy
    base.close()
    table = ClusterTable(None, ("x", "y"), Source(Phrase("cluster.source"), "parquet", -1))
    with pytest.raises(km.BackendError, match=r"batch_size=64.*Dask"):
        km.fit(DECAY, table, solver=km.Adam(batch_size=64), start=START)
    elsewhere.refuse_batches(object(), 64)  # any other source is not refused here


def test_memory_is_held_however_many_rows_there_are(tmp_path, monkeypatch):
    path = tmp_path / "many.parquet"
    draw = np.random.default_rng(3)
    with pq.ParquetWriter(path, pa.schema([("x", pa.float64()), ("y", pa.float64())])) as file:
        for _ in range(10):
            x = draw.uniform(0.0, 4.0, 20_000)
            file.write_table(pa.table({"x": x, "y": 2.0 * np.exp(-x) + 0.1 * draw.normal(size=20_000)}))
    with monkeypatch.context() as patch:
        patch.setattr(elsewhere, "estimated", lambda table, used: 1 << 60)
        made = list[StreamedBatches]()
        deal = StreamedProblem.batches
        patch.setattr(StreamedProblem, "batches", lambda p, size, seed: made.append(deal(p, size, seed)) or made[-1])
        fit = km.fit(DECAY, path, max_memory=2_000_000, solver=km.Adam(lr=0.01, steps=500, batch_size=64), start=START)
    held = made[0].stretch(0).problem
    assert held.n * 8 * (len(held.columns) + 5) <= 500_000
    assert fit.n == 200_000


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.integers(1, 400), room=st.integers(400, 4000), seed=st.integers(-5, 2**70), step=st.integers(0, 50))
def test_whatever_the_sizes_an_epoch_is_all_rows_and_is_the_same_again(size, room, seed, step, tmp_path, monkeypatch):
    if not (path := tmp_path / "rows.parquet").exists():
        write(path, {name: one[:3000] for name, one in DATA.items()}, group=170)
    _, some = dealt(monkeypatch, path, solver=km.SGD(lr=0.05, steps=1, batch_size=40))
    problem = some.source
    problem.wanted = replace(problem.wanted, memory=4 * 8 * 6 * room)
    batches = StreamedBatches(problem, size, seed)
    first = epoch(batches, 1)
    assert (np.sort(first) == np.arange(3000)).all()
    lengths = [len(batches.rows(step)) for step in range(batches.per_epoch)]
    assert set(lengths[:-1]) <= {size}
    assert sum(lengths) == 3000
    step %= batches.per_epoch
    chosen = batches.rows(batches.per_epoch + step)
    assert (chosen == first[step * size : step * size + size]).all()
    assert (batches.gathered(batches.per_epoch + step).y == DATA["y"][chosen]).all()
    stretch = batches.stretch(batches.per_epoch + step)
    assert stretch.first <= batches.per_epoch + step < stretch.last


@pytest.mark.parametrize("thinned", [False, True])
def test_the_story_of_a_step_is_that_of_its_batchs_rows_read_again(thinned, tmp_path, monkeypatch):
    path = write(tmp_path / "rows.parquet", DATA, group=300)
    solver = km.RMSprop(lr=0.01, steps=400, batch_size=64)
    if thinned:
        monkeypatch.setattr(first_order_run, "WHOLE", 20_000)
        monkeypatch.setattr(first_order_run, "FURTHER", 1.2)
    fit = streamed(DECAY, path, 4, solver=solver, start=START, where="z < 1", seed=2)
    assert (len(fit.trace) < 400) == thinned
    whole = streamed(DECAY, path, 4, solver=solver, start=START, where="z < 1", seed=2)
    kept = np.flatnonzero(DATA["z"] < 1)
    for k in (1, 77, 130, 400):
        step = fit.step(k)
        chosen = np.array(step.batch.rows) - 1
        assert set(chosen) <= set(kept)
        x, y = DATA["x"][chosen], DATA["y"][chosen]
        loss, gradient = slope(np.array(list(step.before.values())), x, y)
        after, _ = slope(np.array(list(step.after.values())), x, y)
        assert step.loss == pytest.approx(loss, rel=1e-12)
        np.testing.assert_allclose(list(step.gradient.values()), gradient, rtol=1e-9, atol=1e-13)
        assert step.loss_after == pytest.approx(after, rel=1e-12)
        found = step.helped
        assert found.change == pytest.approx(found.promise + found.bend + found.rest, rel=1e-9, abs=1e-15)
        assert step.batch.loss == pytest.approx(
            slope(np.array(list(step.before.values())), DATA["x"][kept], DATA["y"][kept])[0], rel=1e-12
        )
        assert step.batch.loss_after == pytest.approx(
            slope(np.array(list(step.after.values())), DATA["x"][kept], DATA["y"][kept])[0], rel=1e-12
        )
        assert (step.batch.epoch, step.batch.number) == tuple(1 + one for one in divmod(k - 1, step.batch.per_epoch))
        assert step.batch.all_rows == fit.n == len(kept)
        assert f"{len(chosen)} of {fit.n} rows" in " ".join(str(step).split())
        assert step.to_dict()["batch"]["rows"] == list(step.batch.rows)
    assert whole.params == fit.params
    with pytest.raises(km.DataError, match="story of a run"):
        fit.explain()


def test_a_step_is_not_told_where_its_rows_cannot_be_had_again(tmp_path):
    path = write(tmp_path / "rows.parquet", DATA)
    fit = streamed(DECAY, path, 2, solver=km.SGD(lr=0.05, steps=30, batch_size=64), start=START)
    fit.save(tmp_path / "fit.json")
    assert km.load(tmp_path / "fit.json").text() == fit.text()
    for other in (km.load(tmp_path / "fit.json"), streamed(DECAY, path, 2, solver=km.SGD(steps=3), start=START)):
        with pytest.raises(km.DataError, match="story of a step"):
            other.step(1)
    with pytest.raises(km.DataError, match="a fit that was loaded has no way to them") as caught:
        km.load(tmp_path / "fit.json").step(1)
    assert caught.value.code == "E-STREAM"
    assert "with the same seed each step takes the same rows" in str(caught.value)
    assert fit.step(30).number == 30
    write(path, {name: one[::-1] for name, one in DATA.items()})
    with pytest.raises(km.DataError) as caught:
        fit.step(30)
    assert caught.value.code == "E-CHANGED"


def test_rows_that_come_in_another_order_are_not_told_as_those_of_the_step():
    base = duckdb.connect()
    base.register("one", pa.table({"x": DATA["x"], "y": DATA["y"]}))
    base.register("other", pa.table({"x": DATA["x"][::-1], "y": DATA["y"][::-1]}))
    base.execute("CREATE VIEW t AS SELECT * FROM one")
    solver = km.SGD(lr=0.05, steps=200, batch_size=64)
    fit = streamed(DECAY, base.table("t"), 2, solver=solver, start=START)
    assert fit.step(150).loss == fit.trace.loss[149]
    base.execute("CREATE OR REPLACE VIEW t AS SELECT * FROM other")
    with pytest.raises(km.DataError, match="another order") as caught:
        fit.step(150)
    assert caught.value.code == "E-CHANGED"
    base.close()


def test_steps_whose_residuals_are_rounding_are_told(tmp_path):
    x = np.random.default_rng(1).uniform(-1.0, 1.0, N)
    path = write(tmp_path / "exact.parquet", {"x": x, "y": 0.1 + 0.7 * x})
    start = {"a": 0.0, "b": 0.0}
    fit = streamed("y ~ a*x + b", path, 2, solver=km.SGD(lr=0.5, steps=400, batch_size=50), start=start)
    assert fit.trace.loss[-2] < 1e-28
    for k in (1, 380, 395, 400):
        assert fit.step(k).loss == fit.trace.loss[k - 1]

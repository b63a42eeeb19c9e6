"""A fit whose cluster fails: the same answer where Dask can mend it, else an error that says what to do; no hang."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import katamuki as km
from clusters import cluster, decay, frame, pids
from katamuki.cluster import running
from katamuki.problem.clustered import ClusteredProblem
from streaming import LITTLE
from test_cluster_many import LINE, curves

EXPONENTIAL = "y ~ a*exp(-b*x) + c"
ROWS = 6000


def fitted(table: Any) -> km.Fit:
    return km.fit(EXPONENTIAL, table, max_memory=LITTLE)


def slowly(whole: Any) -> Any:
    """The same table, each partition of which takes a while; the function travels by value."""
    wait = 0.15

    def late(part: Any) -> Any:
        import time

        time.sleep(wait)
        return part

    return whole.map_partitions(late, meta=whole._meta)


def later(seconds: float, call: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, call)
    timer.start()
    return timer


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with cluster() as found:
        yield found


@pytest.fixture(scope="module")
def threads() -> Iterator[Any]:
    """A scheduler and one worker in this process: quick to start, and to end."""
    with cluster(processes=False, workers=1) as found:
        yield found


def kill_one(client: Any) -> int:
    """Kill a worker process as nobody can prevent."""
    victim = next(iter(pids(client).values()))
    os.kill(victim, signal.SIGKILL)
    return victim


def test_a_worker_killed_between_passes_changes_nothing(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table = km.cluster.table(frame(decay(ROWS), 6), client)
    undisturbed = fitted(table)
    assert undisturbed.data.passes > 4
    killed: list[int] = []
    make_pass = ClusteredProblem._pass

    def with_a_death(self: ClusteredProblem, what: Any, values: Any) -> Any:
        if self.evaluations == 3:  # what the worker held is lost, and is made again elsewhere
            killed.append(kill_one(client))
        return make_pass(self, what, values)

    monkeypatch.setattr(ClusteredProblem, "_pass", with_a_death)
    fit = fitted(table)
    assert len(killed) == 1
    assert killed[0] not in pids(client).values()
    assert (fit.params, fit.stderr, fit.loss) == (undisturbed.params, undisturbed.stderr, undisturbed.loss)
    assert np.array_equal(fit.trace.params, undisturbed.trace.params)


def test_a_worker_killed_while_it_works_changes_nothing(client: Any) -> None:
    whole = frame(decay(ROWS), 8)
    undisturbed = fitted(km.cluster.table(whole, client))
    timer = later(0.5, lambda: kill_one(client))
    began = time.monotonic()
    fit = fitted(km.cluster.table(slowly(whole), client))
    timer.join()
    assert time.monotonic() - began > 0.6  # eight partitions of 0.15 s on two workers: it was in the middle
    assert (fit.params, fit.stderr, fit.loss) == (undisturbed.params, undisturbed.stderr, undisturbed.loss)


def test_many_curves_survive_the_death_of_a_worker(client: Any, tmp_path: Any) -> None:
    whole = frame(curves("shuffled", 12), 4)
    undisturbed = km.fit_many(LINE, km.cluster.table(whole, client), by="well", check=0)
    timer = later(0.4, lambda: kill_one(client))
    out = tmp_path / "fits"
    many = km.fit_many(LINE, km.cluster.table(slowly(whole), client), by="well", check=0, output=out)
    timer.join()
    assert many.table.equals(undisturbed.table)


def test_a_partition_that_kills_its_workers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = frame(decay(600), 2)

    def deadly(part: Any) -> Any:  # as the kernel does where memory runs out
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)

    with cluster(workers=1, **{"scheduler.allowed-failures": 0}) as client:
        error = refused(whole.map_partitions(deadly, meta=whole._meta), client)
        assert error.key == "cluster.killed"
        assert "partition_size" in str(error.remedy)


def refused(table: Any, client: Any) -> km.KatamukiError:
    """The error of a fit, which must not take long."""
    began = time.monotonic()
    with pytest.raises(km.KatamukiError) as caught:
        fitted(km.cluster.table(table, client))
    assert time.monotonic() - began < 30.0
    assert caught.value.code == "E-CLUSTER"
    assert caught.value.remedy
    return caught.value


def test_a_worker_without_memory_is_told(threads: Any) -> None:
    whole = frame(decay(600), 2)

    def hungry(part: Any) -> Any:
        raise MemoryError("Unable to allocate 3.00 TiB")

    error = refused(whole.map_partitions(hungry, meta=whole._meta), threads)
    assert error.key == "cluster.memory"
    assert "3.00 TiB" in str(error)


def test_what_the_users_own_code_raises_is_told(threads: Any) -> None:
    whole = frame(decay(600), 2)

    def broken(part: Any) -> Any:
        return part["nowhere"]

    error = refused(whole.map_partitions(broken, meta=whole._meta), threads)
    assert error.key == "cluster.failed"
    assert "nowhere" in str(error)


def test_a_cluster_without_workers_is_told_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PATIENCE", 0.5)
    with cluster(processes=False, workers=0) as client:
        error = refused(frame(decay(600), 2), client)
        assert error.key == "cluster.no_workers"
        assert f"dask worker {client.scheduler.address}" in str(error)


def test_workers_that_all_go_away_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PATIENCE", 0.5)
    with cluster(processes=False, workers=1) as client:
        client.wait_for_workers(1)
        timer = later(0.4, lambda: client.cluster.scale(0))
        assert refused(slowly(frame(decay(600), 20)), client).key == "cluster.no_workers"
        timer.join()


def test_a_scheduler_that_goes_away_is_told() -> None:
    with cluster(processes=False, workers=1) as client:
        timer = later(0.4, client.cluster.close)
        assert refused(slowly(frame(decay(600), 20)), client).key == "cluster.gone"
        timer.join()
        assert refused(frame(decay(600), 2), client).key == "cluster.gone"


def test_a_client_that_was_closed_is_told() -> None:
    with cluster(processes=False, workers=1) as client:
        table = km.cluster.table(frame(decay(600), 2), client)
        client.close()
        with pytest.raises(km.BackendError) as caught:
            fitted(table)
        assert caught.value.key == "cluster.gone"


def test_data_that_was_only_on_a_worker_is_lost_with_it(client: Any) -> None:
    import pandas as pd
    from dask import dataframe
    from distributed import Future

    parts: list[Future] = [client.scatter(pd.DataFrame(decay(2000, seed=k))) for k in range(3)]
    table = km.cluster.table(dataframe.from_delayed(parts, meta=pd.DataFrame(decay(1)), verify_meta=False), client)
    assert fitted(table).n == 6000
    for one in list(pids(client).values()):
        os.kill(one, signal.SIGKILL)
    client.wait_for_workers(2, timeout=120)  # a busy machine starts a process slowly
    with pytest.raises(km.KatamukiError) as caught:
        fitted(table)
    assert caught.value.key in {"cluster.lost", "cluster.failed"}


def test_without_a_client_it_is_told_how_to_start_one() -> None:
    with pytest.raises(km.BackendError, match=r"distributed\.Client") as caught:
        km.cluster.table("*.parquet")
    assert caught.value.code == "E-CLUSTER"
    with pytest.raises(km.BackendError, match="not str"):
        km.cluster.table("*.parquet", "tcp://127.0.0.1:8786")


@pytest.mark.usefixtures("heard_for_sure")
def test_ctrl_c_gives_the_work_up(threads: Any) -> None:
    whole = slowly(frame(decay(600), 40))
    timer = later(0.6, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        fitted(km.cluster.table(whole, threads))
    timer.join()
    began = time.monotonic()
    assert fitted(km.cluster.table(frame(decay(ROWS), 2), threads)).n == ROWS
    assert time.monotonic() - began < 20.0  # and not after forty partitions that nobody wants

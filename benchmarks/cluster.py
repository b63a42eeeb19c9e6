"""A fit on Dask with one worker process and with two; with ``--costs`` what a row, a curve and a partition cost there.

Workers have one thread each, and so has BLAS in them. The table of 1e8 rows lies in Parquet files that all see; each
round fits it once on a cluster of one process and once on one of two, in turn, by the same call: workers read rows,
look at, keep and sum them; the sample is fitted here. Scheduler and client are this process and need a part of the same
cores: on two of them the second worker shares its own. The costs are those that ``docs/scale.md`` computes with.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import dask
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from distributed import Client, LocalCluster
from table import duration
from timing import agree, ratio_row, size

import katamuki as km
from katamuki.cluster import running
from katamuki.cluster.source import MOST
from katamuki.problem import partitions
from katamuki.problem.clustered import ClusteredProblem

FORMULA = "y ~ a*exp(-b*x) + c"
LINE = "y ~ a*x + b"
GAUSS = "y ~ A*exp(-0.5*((x - m)/s)**2) + c"
ROWS, FILES, GROUP = size(100_000_000), 32, 1 << 20
ROUNDS = 3
CURVES, EACH = size(400_000), 20
PARTS = 512


def write(folder: Path) -> str:
    """The rows, in files of several row groups."""
    draw = np.random.default_rng(1)
    each = ROWS // FILES
    for k in range(FILES):
        x = draw.uniform(0.0, 10.0, each)
        y = 2.5 * np.exp(-0.7 * x) + 0.3 + 0.05 * draw.standard_normal(each)
        table = pa.table({"x": x, "y": y})
        pq.write_table(table, folder / f"rows-{k:03d}.parquet", row_group_size=GROUP, compression="none")
    return str(folder / "rows-*.parquet")


def write_curves(folder: Path, count: int) -> str:
    """So many Gaussians of 20 rows, one after the other."""
    draw = np.random.default_rng(2)
    files = 4
    for k in range(files):
        b = count // files
        well = np.repeat(np.arange(b) + k * b, EACH)
        x = np.sort(draw.uniform(0.0, 19.0, (b, EACH)), axis=1)
        a, m, s, c = (draw.uniform(low, high, (b, 1)) for low, high in ((4, 8), (7, 12), (2, 3.5), (0, 2)))
        y = a * np.exp(-0.5 * ((x - m) / s) ** 2) + c + 0.2 * draw.standard_normal((b, EACH))
        table = pa.table({"well": well, "x": x.ravel(), "y": y.ravel()})
        pq.write_table(table, folder / f"curves-{count}-{k}.parquet", compression="none")
    return str(folder / f"curves-{count}-*.parquet")


@contextmanager
def workers(count: int) -> Iterator[Client]:
    """A scheduler on this machine and so many worker processes."""
    here = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL}
    with (
        LocalCluster(n_workers=count, threads_per_worker=1, processes=True, memory_limit=0, **here) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def scaling(pattern: str) -> None:
    """The row of the table: one process ÷ two, for whole fits that read the files."""
    with workers(1) as one, workers(2) as two:
        tables = [km.cluster.table(pattern, client) for client in (one, two)]
        answers = [km.fit(FORMULA, table) for table in tables]  # kernels are there, files in the system's memory
        agree(answers[0].params["b"], answers[1].params["b"], 15)
        found = [[timed(lambda table=table: km.fit(FORMULA, table)) for table in tables] for _ in range(ROUNDS)]
    alone, both = (median(column) for column in zip(*found, strict=True))
    times = alone, both, median(a / b for a, b in found)
    ratio_row(
        f"Dask, {FORMULA.split(' ~ ')[1].replace(' ', '')}, 1e8 rows from Parquet",
        "one process",
        times,
        1.6,
        rows=f"{ROWS:,}",
        workers="one thread each",
        scheduler_and_client="on the same cores",
        passes=answers[0].data.passes,
        one=duration(alone),
        two=duration(both),
    )


def cpu(client: Client, call: Callable[[], object]) -> tuple[float, float]:
    """Seconds of processor that a call takes: of the worker, and of this process, which has client and scheduler."""
    before, own = sum(client.run(time.process_time).values()), time.process_time()
    call()
    own = time.process_time() - own
    return sum(client.run(time.process_time).values()) - before, own


def middle(client: Client, call: Callable[[], object], rounds: int = 3) -> tuple[float, float]:
    """The medians of several calls."""
    worker, own = zip(*(cpu(client, call) for _ in range(rounds)), strict=True)
    return median(worker), median(own)


def pass_costs(pattern: str, client: Client) -> float:
    """A worker's seconds per row: reading, converting and checking with a pass, and a pass over what it keeps."""
    kept: list[ClusteredProblem] = []

    def keep(problem: ClusteredProblem) -> None:
        kept.append(problem)

    forgets = ClusteredProblem.close
    ClusteredProblem.close = keep  # type: ignore[method-assign]
    try:
        fit = km.fit(FORMULA, km.cluster.table(pattern, client))
    finally:
        ClusteredProblem.close = forgets  # type: ignore[method-assign]
    problem, values = kept[0], np.array(list(fit.params.values()))
    more = {"errand": problem.errand, "what": "sums", "values": values}

    def read() -> object:
        futures = running.each(client, partitions.once, problem.places, problem.numbers, **more)
        return running.gathered(client, futures)

    n = problem.n
    once, again = middle(client, read)[0], middle(client, lambda: problem._pass("sums", values), 5)[0]
    print(f"row: a pass over rows that are kept   {again / n * 1e9:8.2f} ns   ({n:,} rows, {FORMULA})")
    print(f"row: reading, checking and a pass     {once / n * 1e9:8.2f} ns")
    problem.close()
    return once / n


def task_costs(client: Client) -> float:
    """Seconds per partition of a pass that has nothing to sum: of client and scheduler, which are one process here."""
    held = client.scatter([np.zeros(10)] * PARTS)

    def once() -> object:
        return running.reduced(client, running.each(client, same, held), partitions.added)

    worker, own = middle(client, once)
    print(f"task: scheduler and client            {own / PARTS * 1e6:8.0f} µs   (a pass over {PARTS} of no rows)")
    print(f"task: worker                          {worker / PARTS * 1e6:8.0f} µs")
    return own / PARTS


def same(one: np.ndarray) -> np.ndarray:
    """Nothing is done."""
    return one


def curve_costs(pattern: str, count: int, formula: str, what: str, client: Client) -> float:
    """A worker's seconds per curve; its rows are written by the worker."""
    table = km.cluster.table(pattern, client)
    with tempfile.TemporaryDirectory() as folder:
        km.fit_many(formula, table, by="well", check=0, output=Path(folder) / "once")
        call = partial(km.fit_many, formula, table, by="well", check=0, output=Path(folder) / "again")
        worker, own = cpu(client, call)
    print(f"curve: {EACH} rows, {what:24}  {worker / count * 1e6:8.2f} µs   ({count:,} of them)")
    print(f"curve: scheduler and client           {own / count * 1e6:8.2f} µs")
    return worker / count


def predicted(row: float, task: float, line: float, curve: float) -> None:
    """What these costs come to where nobody measured."""
    rows, curves, cores, passes, tasks = 1e12, 1e10, 100, 5, 6
    pieces = rows * 2 * 8 / MOST
    summing, sending = rows * row / cores, pieces * task
    print(f"\n1e12 rows, 2 columns: {rows * 16 / 1e12:.0f} TB, {pieces:,.0f} partitions")
    print(f"  a pass: {summing:,.0f} s of each of {cores} workers; {sending:,.0f} s of the scheduler meanwhile")
    print(f"  {passes} passes: {passes * max(summing, sending) / 60:,.0f} min")
    pieces = curves * EACH * 3 * 8 / MOST
    sending = pieces * tasks * task
    print(f"1e10 curves of {EACH} rows, 3 columns: {curves * EACH * 24 / 1e12:.1f} TB, {pieces:,.0f} partitions")
    for what, one in (("straight lines", line), ("Gaussians without a start", curve)):
        work = curves * one / cores
        print(f"  {what}: {work / 60:,.0f} min of each worker; {sending / 60:,.0f} min of the scheduler meanwhile")


def costs(folder: Path) -> None:
    """What docs/scale.md computes with: seconds of a processor, so that others at work on it change them little."""
    few = CURVES // 20
    with workers(1) as client:
        row = pass_costs(write(folder), client)
        task = task_costs(client)
        line = curve_costs(write_curves(folder, CURVES), CURVES, LINE, "straight lines", client)
        curve = curve_costs(write_curves(folder, few), few, GAUSS, "Gaussians without a start", client)
    predicted(row, task, line, curve)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--costs", action="store_true", help="the costs that docs/scale.md computes with")
    asked = parser.parse_args()
    dask.config.set({"distributed.comm.timeouts.connect": "60s"})
    with tempfile.TemporaryDirectory() as name:
        if asked.costs:
            costs(Path(name))
        else:
            scaling(write(Path(name)))

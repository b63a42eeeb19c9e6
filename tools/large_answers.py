"""Digits that large fits share with the same rows in memory: certified problems repeated, and a seeded set of 1e7 rows.

``python tools/large_answers.py`` shows, at full size, what tests hold at a size that they can afford: rows read in
pieces, rows on a Dask cluster of two processes, Filip repeated 10,000 times in a Parquet file, and peaks of memory.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import warnings
from collections.abc import Mapping
from math import log10
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from dask.distributed import Client, LocalCluster

import katamuki as km
from katamuki import certified

ENOUGH = 200_000  # rows of a repeated problem, about
MEMORY = 2_000_000  # bytes: so little that every problem is read in pieces
DECAY = "y ~ a*exp(-b*x) + c"


def shared(one: km.Fit, other: km.Fit) -> tuple[float, float]:
    """The least digits of parameters and of standard errors that two fits share."""
    values = (digits(one.params[name], other.params[name]) for name in one.params)
    bars = (digits(one.stderr[name] or 0.0, other.stderr[name] or 0.0) for name in one.stderr)
    return min(values), min(bars)


def digits(one: float, other: float) -> float:
    """How many decimal digits two numbers share, 16 at most."""
    apart = abs(one - other) / max(abs(one), abs(other), 1e-300)
    return 16.0 if apart == 0.0 else min(16.0, -log10(apart))


def write(folder: str, name: str, columns: Mapping[str, Any], rows: int) -> str:
    """A Parquet file with row groups of so many rows."""
    path = str(Path(folder) / f"{name}.parquet")
    pq.write_table(pa.table(dict(columns)), path, row_group_size=rows)
    return path


def report(name: str, rows: int, pieces: km.Fit, cluster: km.Fit, memory: km.Fit) -> None:
    """One line."""
    said = "   ".join(
        f"{where} {values:5.1f} {bars:5.1f}"
        for where, (values, bars) in (("in pieces", shared(pieces, memory)), ("on a cluster", shared(cluster, memory)))
    )
    print(f"{name:12} {rows:10,} rows   {said}", flush=True)


def repeated(folder: str, client: Client) -> None:
    """Every certified problem, repeated."""
    for name in certified.names():
        problem = certified.problem(name)
        times = -(-ENOUGH // problem.n)
        columns = {key: np.tile(one, times) for key, one in problem.columns.items()}
        start = {} if problem.starts is None else {"start": problem.starts[1]}
        path = write(folder, name, columns, 20_000)
        fits = (
            km.fit(problem.formula, path, max_memory=MEMORY, **start),
            km.fit(problem.formula, km.cluster.table(path, client), **start),
            km.fit(problem.formula, columns, **start),
        )
        report(name, len(columns["y"]), *fits)


def filip(folder: str) -> None:
    """Filip 10,000 times: digits of what NIST certifies."""
    problem = certified.problem("Filip")
    columns = {key: np.tile(one, 10_000) for key, one in problem.columns.items()}
    fit = km.fit(problem.formula, write(folder, "filip", columns, 100_000), max_memory=4_000_000)
    least = min(digits(fit.params[key], float(value)) for key, value in problem.refined.params.items())
    print(f"Filip × 10,000 in a Parquet file: {fit.n:,} rows, {least:.1f} digits of the certified parameters")


def seeded(folder: str, client: Client, n: int) -> None:
    """A seeded decay."""
    draw = np.random.default_rng(1)
    x = draw.uniform(0.0, 5.0, n)
    columns = {"x": x, "y": 4.0 * np.exp(-1.3 * x) + 0.5 + 0.05 * draw.standard_normal(n)}
    path = write(folder, "seeded", columns, 1 << 20)
    pieces = km.fit(DECAY, path, max_memory=20_000_000)
    cluster = km.fit(DECAY, km.cluster.table(path, client))
    report("seeded", n, pieces, cluster, km.fit(DECAY, columns))


def main(n: int) -> None:
    """Print all of it."""
    warnings.simplefilter("ignore", km.FitWarning)
    alone = {"host": "127.0.0.1", "dashboard_address": None, "threads_per_worker": 1}
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=2, **alone) as workers,
        Client(workers) as client,
    ):
        print("least digits shared with memory: parameters, standard errors")
        repeated(folder, client)
        filip(folder)
        print(f"peak {peak():,.0f} MB before the large set")
        seeded(folder, client, n)
        print(f"peak {peak():,.0f} MB with it in memory, too")


def peak() -> float:
    """The most memory that this process has had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main(int(float(sys.argv[1])) if len(sys.argv) > 1 else 10_000_000)

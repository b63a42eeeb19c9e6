"""What tests of clusters share: a scheduler with worker processes on this machine, and tables to put on it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

dask = pytest.importorskip("dask", reason="needs katamuki[cluster]")
from dask import dataframe  # noqa: E402
from distributed import Client, LocalCluster  # noqa: E402

Columns = dict[str, Any]
HERE: dict[str, Any] = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "threads_per_worker": 1}


@contextmanager
def cluster(processes: bool = True, workers: int = 2, **config: Any) -> Iterator[Client]:
    """A scheduler on 127.0.0.1 and its workers: processes, or threads of this one."""
    own = {} if processes else {"protocol": "tcp"}
    quiet = {f"distributed.{name}": value for name, value in config.items()}
    with (
        dask.config.set(quiet),
        LocalCluster(n_workers=workers, processes=processes, silence_logs=logging.CRITICAL, **own, **HERE) as started,
        Client(started, set_as_default=False) as client,
    ):
        yield client


def pids(client: Client) -> dict[str, int]:
    """The process of each worker, by its address."""
    found: dict[str, int] = client.run(os.getpid)
    return found


def decay(n: int, seed: int = 5) -> Columns:
    """A decay with noise that grows, its standard error, and a word for each row."""
    draw = np.random.default_rng(seed)
    x = draw.uniform(0.0, 5.0, n)
    s = 0.05 + 0.02 * x
    kind = np.array(["a", "b"])[draw.integers(0, 2, n)]
    return {"x": x, "y": 4.0 * np.exp(-1.3 * x) + 0.5 + s * draw.standard_normal(n), "s": s, "kind": kind}


def frame(columns: Columns, partitions: int) -> Any:
    """Columns as a Dask DataFrame."""
    return dataframe.from_pandas(pd.DataFrame(columns), npartitions=partitions, sort=False)


def files(folder: Path, columns: Columns, count: int, group: int = 1 << 20) -> str:
    """Columns as several Parquet files, and the pattern that matches them."""
    n = len(next(iter(columns.values())))
    folder.mkdir(exist_ok=True)
    for k in range(count):
        part = slice(n * k // count, n * (k + 1) // count)
        table = pa.table({name: one[part] for name, one in columns.items()})
        pq.write_table(table, folder / f"part-{k:02d}.parquet", row_group_size=group)
    return str(folder / "*.parquet")

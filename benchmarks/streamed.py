"""Columns read from Parquet in pieces: a straight line beside merely reading them, an exponential beside three reads.

The file has 1e8 rows of two columns of doubles, as ``pyarrow.parquet.ParquetWriter`` writes them unasked: row groups of
a million rows, dictionaries where they help, Snappy. Reading is what the fastest of pyarrow, polars and DuckDB takes to
sum both columns; all have the whole machine. Ours is the whole ``km.fit`` call: rows counted and checked for missing
values, the sample and its findings, error bars, the verdict. Peak memory is that of a process of its own that fits and
ends, Python and all libraries included.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from timing import agree, every, limit_row, pairs, seconds, size, within_row

import katamuki as km

ROWS = size(10**8)
GROUP = 10**6
MEMORY = 500_000_000  # bytes for data: less than the columns need, so that they are read in pieces
LINE, CURVE = "y ~ a*x + b", "y ~ a*exp(-b*x) + c"
SCRIPT = """
import sys, time, warnings
import katamuki as km
warnings.simplefilter("ignore")
fit = km.fit(sys.argv[1], sys.argv[2], max_memory=int(sys.argv[3]))
print(open("/proc/self/status").read(), "passes", fit.data.passes)
"""


def named(n: int) -> str:
    """``1e8`` for a hundred million."""
    return f"1e{len(str(n)) - 1}"


def write(path: Path, model: Callable[[np.ndarray], np.ndarray], sigma: float) -> Path:
    """A file of x and y, a row group at a time."""
    draw = np.random.default_rng(11)
    with pq.ParquetWriter(path, pa.schema([("x", pa.float64()), ("y", pa.float64())])) as file:
        for _ in range(max(1, ROWS // GROUP)):
            x = draw.uniform(0.0, 4.0, min(GROUP, ROWS))
            file.write_table(pa.table({"x": x, "y": model(x) + sigma * draw.standard_normal(len(x))}))
    return path


def readers(path: Path) -> dict[str, Callable[[], float]]:
    """Three ways to read and sum both columns."""

    def by_pyarrow() -> float:
        table = pq.read_table(path, columns=["x", "y"])
        return float(pc.sum(table["x"]).as_py() + pc.sum(table["y"]).as_py())

    def by_polars() -> float:
        found = pl.scan_parquet(path).select(pl.col("x").sum(), pl.col("y").sum()).collect(engine="streaming")
        return float(found["x"][0] + found["y"][0])

    def by_duckdb() -> float:
        found = duckdb.connect().sql(f"SELECT sum(x), sum(y) FROM '{path}'").fetchall()[0]
        return float(found[0] + found[1])

    return {"pyarrow": by_pyarrow, "polars": by_polars, "DuckDB": by_duckdb}


def fastest(path: Path) -> tuple[str, Callable[[], float]]:
    """The reader that is fastest here, after each has read the file once."""
    ways = readers(path)
    sums = [way() for way in ways.values()]
    for one in sums:
        agree(one, sums[0], 9)
    times = {name: min(seconds(way, 1) for _ in range(2)) for name, way in ways.items()}
    name = min(times, key=lambda one: times[one])
    return name, ways[name]


def line() -> None:
    """One row: one pass."""
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "line.parquet", lambda x: 2.5 * x + 1.0, 0.1)
        name, read = fastest(path)
        fit = km.fit(LINE, path, max_memory=MEMORY * ROWS // 10**8)
        assert fit.data.sample is not None
        assert abs(fit.params["a"] - 2.5) < 6 * fit.stderr["a"]
        found = pairs(read, lambda: km.fit(LINE, path, max_memory=MEMORY * ROWS // 10**8), rounds=5)
        work = f"straight line, {named(ROWS)} rows from Parquet"
        within_row(work, f"reading it ({name})", found, 1.15, passes=fit.data.passes)


def curve() -> None:
    """Two rows: time beside three reads, and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "curve.parquet", lambda x: 2.5 * np.exp(-1.3 * x) + 0.5, 0.05)
        name, read = fastest(path)

        def thrice() -> None:
            for _ in range(3):
                read()

        fit = km.fit(CURVE, path, max_memory=MEMORY * ROWS // 10**8)
        assert fit.data.sample is not None
        assert abs(fit.params["b"] - 1.3) < 6 * fit.stderr["b"]
        found = pairs(thrice, lambda: km.fit(CURVE, path, max_memory=MEMORY * ROWS // 10**8), rounds=3)
        work = f"a*exp(-b*x)+c, {named(ROWS)} rows from Parquet"
        within_row(work, f"three reads ({name})", found, 1.5, passes=fit.data.passes)
        asked = [sys.executable, "-c", SCRIPT, CURVE, str(path), str(MEMORY * ROWS // 10**8)]
        out = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        peak = int(re.findall(r"VmHWM:\s+(\d+)", out)[0]) * 1024
        limit_row(work, "peak memory of the process", peak / 1e9, "GB", 1.0, file=f"{path.stat().st_size / 1e9:.2f} GB")


if __name__ == "__main__":
    every(line, curve)

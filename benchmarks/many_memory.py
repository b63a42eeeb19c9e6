"""Peak memory of ``katamuki many`` over a table of 10 GB that lies in one Parquet file, written curve by curve.

The file, its answer and the check of that answer belong to processes of their own; what is measured is the largest
resident size that the system saw of the one that fits (``getrusage``). The same 50,000 Gaussians of 20 rows are
repeated under new keys, so every block of the answer must be the first one again, to the bit. The start is given, so
that the run takes minutes; 1 GB is what the run is told to keep to, libraries not counted. The files are removed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from table import duration
from timing import limit_row, size

FORMULA = "y ~ A*exp(-0.5*((x - m)/s)**2) + c"
OPTIONS = ("--start", "A=6,m=9.5,s=2.75,c=1", "--starts", "1", "--max-memory", "1GB")
BYTES, ROW, N, BLOCK = size(10**10), 24, 20, 50_000  # of the table; a row: key, x, y; rows of a curve; curves repeated
BLOCKS = -(-BYTES // (ROW * N * BLOCK))

MAKE = """
import sys
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
path, block, n, blocks = sys.argv[1], *map(int, sys.argv[2:])
rng = np.random.default_rng(6)
low, high = np.array([4.0, 7.0, 2.0, 0.0]), np.array([8.0, 12.0, 3.5, 2.0])
a, m, s, c = (low + (high - low) * rng.random((block, 4))).T[:, :, None]
x = np.tile(np.arange(float(n)), (block, 1))
y = a * np.exp(-0.5 * ((x - m) / s) ** 2) + c + 0.2 * rng.standard_normal((block, n))
well = np.repeat(np.arange(block), n)
schema = pa.schema([("well", pa.int64()), ("x", pa.float64()), ("y", pa.float64())])
with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as file:
    for k in range(blocks):
        file.write_table(pa.table([well + k * block, x.ravel(), y.ravel()], schema=schema))
"""
COMPARE = """
import sys
import numpy as np, pyarrow.parquet as pq
path, block, blocks = sys.argv[1], *map(int, sys.argv[2:])
found = pq.read_table(path, columns=["well", "A", "m", "s", "c", "_n"])
assert found.num_rows == block * blocks, found.num_rows
assert (found.column("well").to_numpy() == np.arange(block * blocks)).all()
assert (found.column("_n").to_numpy() == 20).all()
for name in "Amsc":
    one = found.column(name).to_numpy().reshape(blocks, block)
    assert np.array_equal(one, np.broadcast_to(one[0], one.shape), equal_nan=True), name
    assert np.isfinite(one[0]).mean() > 0.999, name
"""


def child(*command: str) -> tuple[float, float]:
    """Seconds and peak resident bytes of a process that must succeed."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[:4]} failed: {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - began, usage.ru_maxrss * 1024.0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        table, fits = str(Path(folder) / "table.parquet"), str(Path(folder) / "fits.parquet")
        child("-c", MAKE, table, str(BLOCK), str(N), str(BLOCKS))
        gigabytes = Path(table).stat().st_size / 1e9
        command = ["-m", "katamuki", "many", FORMULA, table, "--by", "well", "-o", fits, *OPTIONS]
        spent, peak = child(*command)
        child("-c", COMPARE, fits, str(BLOCK), str(BLOCKS))
        limit_row(
            f"fit_many over a table of {round(BYTES / 1e9)} GB",
            "peak memory",
            peak / 1e9,
            "GB",
            1.5,
            file=f"{gigabytes:.1f} GB",
            curves=f"{BLOCKS * BLOCK:,}",
            wall=duration(spent),
        )

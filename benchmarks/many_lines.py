"""A million straight lines of 20 rows in a long table, sorted by their key and shuffled.

Ours is a whole ``km.fit_many`` call: parameters, error bars, findings, a verdict for each line, and the independent
check of 20 of them. The peer, polars, makes the sums that a slope and an intercept are computed from, and no more. Both
use all cores. Beside the ratio stand what bringing the rows of each line together takes of it, and the floor: reading
the three columns once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import polars as pl
from table import duration
from timing import agree, every, pairs, ratio_row, size

import katamuki as km
from katamuki.many.grouping import gather, group

FORMULA = "y ~ a*x + b"
LINES, N = size(10**6), 20
WORK = f"1e{len(str(LINES)) - 1} straight lines × {N} rows"


def made(shuffled: bool) -> dict[str, np.ndarray]:
    """The table, as NumPy's arrays."""
    draw = np.random.default_rng(3)
    key = np.repeat(np.arange(LINES), N)
    x = np.tile(np.linspace(0.0, 1.0, N), LINES)
    y = draw.standard_normal(LINES * N)
    y *= 0.1
    y += 1.0 + np.repeat(draw.uniform(1.0, 3.0, LINES), N) * x
    if not shuffled:
        return {"key": key, "x": x, "y": y}
    order = draw.permutation(LINES * N)
    return {"key": key[order], "x": x[order], "y": y[order]}


def sums(frame: pl.DataFrame) -> pl.DataFrame:
    """What slope and intercept of each line need."""
    x, y = pl.col("x"), pl.col("y")
    made_of = [x.sum().alias("x"), y.sum().alias("y"), (x * x).sum().alias("xx"), (x * y).sum().alias("xy")]
    return frame.group_by("key").agg(pl.len().alias("n"), *made_of)


def same(table: Any, theirs: pl.DataFrame) -> None:
    """Stop if the slopes differ."""
    theirs = theirs.sort("key")
    n, x, y, xx, xy = (theirs[name].to_numpy() for name in ("n", "x", "y", "xx", "xy"))
    slopes = (n * xy - x * y) / (n * xx - x * x)
    order = np.argsort(table.column("key").to_numpy())
    for k in (0, LINES // 2, LINES - 1):
        agree(table.column("a").to_numpy()[order][k], slopes[k], 9)


def middle(call: Callable[[], object]) -> float:
    """Median seconds of five calls."""
    found = []
    for _ in range(5):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return median(found)


def row(name: str, target: float) -> None:
    """One order of the rows."""
    data = made(name == "shuffled")
    frame = pl.DataFrame(data)
    columns = [data["x"], data["y"]]
    same(km.fit_many(FORMULA, data, by="key").table, sums(frame))
    together = middle(lambda: gather(columns, group([data["key"]])))
    floor = middle(lambda: [one.sum() for one in data.values()])
    found = pairs(lambda: sums(frame), lambda: km.fit_many(FORMULA, data, by="key"), rounds=5)
    ratio_row(
        f"{WORK}, {name}",
        "polars group_by sums",
        found,
        target,
        rows_brought_together=duration(together),
        reading_once=duration(floor),
    )


if __name__ == "__main__":
    every(lambda: row("sorted", 8), lambda: row("shuffled", 4))

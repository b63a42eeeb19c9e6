"""What tests of streams share: files of a table in every format, and fits that are made to read them in pieces."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import katamuki as km
from katamuki.api import elsewhere

LITTLE = 2 * 8 * elsewhere.KEPT * elsewhere.FEW  # bytes for each column: the least memory that is enough


def streamed(model: Any, data: Any, columns: int = 3, **options: Any) -> km.Fit:
    """A fit that reads its data in pieces, however small they are: 1024 rows of a batch, 1000 of the sample."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(elsewhere, "estimated", lambda table, used: 1 << 60)
        return km.fit(model, data, max_memory=LITTLE * columns, **options)


def shared(one: float, other: float) -> float:
    """How many decimal digits two numbers share."""
    if one == other:
        return 16.0
    return -math.log10(abs(one - other) / max(abs(one), abs(other)))


def alike(one: km.Fit, other: km.Fit, digits: float = 10.0) -> None:
    """Two fits share digits in every number."""
    assert one.params.keys() == other.params.keys()
    for name in one.params:
        assert shared(one.params[name], other.params[name]) >= digits, name
        if one.stderr[name] is not None and other.stderr[name] is not None:
            assert shared(one.stderr[name], other.stderr[name]) >= digits, name
    assert shared(one.rss, other.rss) >= digits
    assert shared(one.solution.tss, other.solution.tss) >= digits
    assert (one.n, one.dof, one.state) == (other.n, other.dof, other.state)


def rows(n: int, seed: int = 5) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """A decay with noise that grows, and its standard error."""
    draw = np.random.default_rng(seed)
    x = draw.uniform(0.0, 5.0, n)
    s = 0.05 + 0.02 * x
    return {"x": x, "y": 4.0 * np.exp(-1.3 * x) + 0.5 + s * draw.standard_normal(n), "s": s, "z": draw.normal(size=n)}


def write(path: Path, data: Mapping[str, Any], group: int = 1000) -> Path:
    """A table as a file of the kind that its suffix says."""
    table = pa.table(dict(data))
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=group)
    elif path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    elif path.suffix == ".arrow":
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table, max_chunksize=group)
    elif path.suffix == ".arrows":
        with pa.ipc.new_stream(path, table.schema) as file:
            file.write_table(table, max_chunksize=group)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()), encoding="utf-8")
    return path


def parts(folder: Path, data: Mapping[str, Any], count: int, suffix: str = ".parquet") -> str:
    """A table as several files, and the pattern that matches them."""
    n = len(next(iter(data.values())))
    folder.mkdir(exist_ok=True)
    for k in range(count):
        piece = slice(n * k // count, n * (k + 1) // count)
        write(folder / f"part-{k + 1:02d}{suffix}", {name: one[piece] for name, one in data.items()})
    return str(folder / f"*{suffix}")

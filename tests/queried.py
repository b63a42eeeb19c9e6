"""Tables in databases for tests: the same rows in DuckDB, PostgreSQL and SQLite."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Mapping
from functools import cache
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from katamuki.data.databases import quoted
from postgres import connect

BASES = ("duckdb", "postgres", "sqlite")
_numbers = itertools.count()


@cache
def connection(base: str) -> Any:
    """One connection of this process."""
    return {"duckdb": duckdb.connect, "postgres": connect, "sqlite": lambda: sqlite3.connect(":memory:")}[base]()


def table(base: str, columns: Mapping[str, Any], kinds: Mapping[str, str] | None = None, on: Any = None) -> str:
    """The name of a new temporary table with these columns; ``kinds`` says which are no doubles."""
    name = f"rows{next(_numbers)}"
    there = connection(base) if on is None else on
    kinds = kinds or {}
    listed = ", ".join(f"{quoted(one)} {kinds.get(one, 'DOUBLE PRECISION')}" for one in columns)
    rows = list(zip(*(list(values) for values in columns.values()), strict=True))
    rows = [tuple(one.item() if isinstance(one, np.generic) else one for one in row) for row in rows]
    if base == "duckdb":
        there.execute(f"CREATE TEMP TABLE {name} ({listed})")
        if kinds:
            there.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(columns))})", rows)
        else:
            data = pa.table({f"c{k}": np.asarray(one, dtype=np.float64) for k, one in enumerate(columns.values())})
            there.register("incoming", data)
            there.execute(f"INSERT INTO {name} SELECT * FROM incoming")
            there.unregister("incoming")
    elif base == "postgres":
        cursor = there.cursor()
        cursor.execute(f"CREATE TEMP TABLE {name} ({listed.replace('%', '%%')})", ())
        with cursor.copy(f"COPY {name} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    else:
        there.execute(f"CREATE TEMP TABLE {name} ({listed})")
        there.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(columns))})", rows)
    return name


def apart(one: Any, other: Any) -> float:
    """The largest relative distance of two fits' parameters."""
    return max(abs(one.params[k] - other.params[k]) / abs(other.params[k]) for k in other.params)

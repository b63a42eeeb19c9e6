"""Every operation in every database, against NumPy and mpmath, where it has a value and where it has none."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from functools import cache

import duckdb
import mpmath
import numpy as np
import pytest

from katamuki.backends.sql import Rows, aggregates, template
from katamuki.data.databases import Database, database
from katamuki.errors import BackendError
from katamuki.graph import Builder
from katamuki.ops import TABLE
from postgres import connect

EDGES = [0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 1e-300, -1e-300, 1e300, -1e300, 800.0, -800.0, 40.0, 1e-17, 30.0, 5e-324]
LOOSE = {"pow": 1e-13, "erfc": 2e-15, "tan": 1e-14}


@cache
def base(name: str) -> Database:
    if name == "postgres":
        return database(connect())
    if name == "sqlite":
        return database(sqlite3.connect(":memory:"))
    if name == "duckdb that raises":
        connection = duckdb.connect()
        connection.execute("SET ieee_floating_point_ops = false")
        return database(connection)
    return database(None)


def points(arity: int) -> np.ndarray:
    """Numbers of all sizes, and every pair of the edges."""
    draw = np.random.default_rng(7)
    some = draw.normal(size=(arity, 300)) * 10.0 ** draw.uniform(-3, 2, (arity, 300))
    edges = np.array(np.meshgrid(*[EDGES] * min(arity, 2))).reshape(min(arity, 2), -1)
    if arity == 3:
        edges = np.vstack([edges, np.full(edges.shape[1], 3.0)])
    return np.hstack([some, edges])


def computed(where: Database, op: str, table: np.ndarray, in_range: bool) -> np.ndarray:
    """An operation, row by row, as the database computes it from columns."""
    names = [f"c{k}" for k in range(len(table))]
    b = Builder()
    result, row = b(op, *(b.leaf("column", name) for name in names)), b.leaf("column", "i")
    graph = replace(b.graph([result, row]), columns=("i", *names))
    rows = Rows(f"SELECT * FROM {points_table(where, table)}", {name: name for name in graph.columns})
    query = aggregates(graph, rows, where.dialect, [("{}", graph.outputs[1]), ("{}", graph.outputs[0])], in_range)
    found = dict(where.fetch(query.text))
    return np.array([np.nan if found[i] is None else float(found[i]) for i in range(table.shape[1])])


def points_table(where: Database, table: np.ndarray) -> str:
    """A temporary table of these numbers, made once for each number of columns."""
    name = f"points{len(table)}"
    made = where.__dict__.setdefault("made", set())
    if name not in made:
        made.add(name)
        kind = "DOUBLE PRECISION"
        listed = ", ".join(f"c{k} {kind}" for k in range(len(table)))
        cursor = where.connection.cursor() if where.dialect.key == "postgres" else where.connection
        cursor.execute(f"CREATE TEMP TABLE {name} (i INTEGER, {listed})")
        place = "%s" if where.dialect.key == "postgres" else "?"
        places = ", ".join([place] * (1 + len(table)))
        rows = [(i, *map(float, column)) for i, column in enumerate(table.T)]
        cursor.executemany(f"INSERT INTO {name} VALUES ({places})", rows)
    return name


@pytest.mark.parametrize("name", ["duckdb", "duckdb that raises", "postgres", "sqlite"])
@pytest.mark.parametrize("op", [name for name in TABLE if name != "powi"])
def test_an_operation_is_what_numpy_says(op: str, name: str) -> None:
    where = base(name)
    if not template_of(op, where):
        with pytest.raises(BackendError) as caught:
            template(op, where.dialect, False)
        assert op in str(caught.value)
        assert where.dialect.name in str(caught.value)
        return
    table = points(TABLE[op].arity)
    with np.errstate(all="ignore"):
        wanted = np.asarray(TABLE[op].value(*table), dtype=np.float64)
    if op == "erfc":  # SciPy's own loses 2e-14 where it is tiny
        wanted = np.array([float(mpmath.erfc(float(x))) for x in table[0].clip(-100.0, 100.0)])
    found = computed(where, op, table, in_range=where.dialect.checked)
    for i in range(table.shape[1]):
        assert same(found[i], wanted[i], LOOSE.get(op, 1e-15)), (op, table[:, i], found[i], wanted[i])


def template_of(op: str, where: Database) -> str:
    return TABLE[op].sources.get(f"sql_{where.dialect.key}", TABLE[op].sources.get("sql", ""))


def same(found: float, wanted: float, within: float) -> bool:
    """Equal to rounding; both without a value; what is smaller than any normal number may be 0."""
    if not np.isfinite(wanted):
        return not np.isfinite(found)
    return abs(found - wanted) <= 4 * within * abs(wanted) + 3e-308 or (abs(wanted) > 1e307 and not np.isfinite(found))


@pytest.mark.parametrize(("found", "wanted"), [(1.0, 1.0 + 1e-13), (0.0, 1e-300), (1.0, np.nan), (np.inf, 1.0)])
def test_the_comparison_can_fail(found: float, wanted: float) -> None:
    assert not same(found, wanted, 1e-15)

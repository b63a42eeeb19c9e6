"""Bad input of ``km.sql``: queries, columns, rows, and databases that go away. Each an error with what to do."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from typing import Any

import duckdb
import numpy as np
import pytest

import katamuki as km
from katamuki.data import databases
from postgres import connect
from queried import BASES, connection, table

HOSTILE = [
    'x"; DROP TABLE victims; --',
    "a'b",
    "x%s%(p1)s",
    "$1",
    "?",
    "{0}",
    "日本 語",
    "select",
    "x\\y",
    "-- x /* x",
]
X = np.linspace(0.0, 4.0, 60)
GOOD = {"x": X, "y": 3.0 * X + 1.0 + 0.1 * np.sin(17.0 * X)}


def refused(*arguments: Any, **options: Any) -> km.KatamukiError:
    """The error of a fit, or of making the source; it has something to do in it."""
    formula, *source = arguments
    with pytest.raises(km.KatamukiError) as caught:
        km.fit(formula, km.sql(*source), **options)
    error = caught.value
    assert isinstance(error, (km.DataError, km.BackendError, km.BoundsError))
    assert "Traceback" not in str(error)
    return error


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1; SELECT 2", "INSERT INTO t VALUES (1)", "DROP TABLE t", "", ";", "-- nothing", "selec 1", "SELECT (",
        "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d", "SELECT * INTO z FROM t", "SELECT * FROM t FOR UPDATE",
        "EXPLAIN SELECT 1", "SET x = 1", "COPY t TO 'x'", "SELECT 1) AS q; DROP TABLE t; --", "SELECT 'a", "ATTACH 'x'",
    ],
)  # fmt: skip
@pytest.mark.parametrize("base", BASES)
def test_what_is_not_one_select_is_refused(base: str, query: str) -> None:
    assert refused("y ~ a*x", query, connection(base)).code == "E-QUERY"


@pytest.mark.parametrize("base", BASES)
def test_a_semicolon_a_comment_and_percent_signs_are_no_matter(base: str) -> None:
    name = table(base, GOOD)
    query = f"SELECT x, y -- 100%s sure; 'x' \n FROM {name} /* ; */ WHERE 'a%' LIKE '%' ;  -- the end\n"
    assert km.fit("y ~ a*x + b", km.sql(query, connection(base))).n == 60


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_column_name_stays_a_name(base: str, hostile: str) -> None:
    there = connection(base)
    victims = table(base, {"v": [1.0]})
    hostile = hostile.replace("victims", victims)
    name = table(base, {hostile: GOOD["x"], "y": GOOD["y"]})
    source = km.sql(f"SELECT * FROM {name}", there)
    found = km.fit(f"y ~ a*`{hostile}` + b", source, where=f"`{hostile}` >= 0 and y > -9")
    assert found.params == pytest.approx(km.fit("y ~ a*x + b", GOOD).params, rel=1e-12)
    cursor = there.cursor() if base == "postgres" else there
    assert cursor.execute(f"SELECT COUNT(*) FROM {victims}").fetchone() == (1,)


@pytest.mark.parametrize("base", BASES)
def test_a_hostile_text_in_where_stays_a_text(base: str) -> None:
    kinds = ["a'; DROP TABLE t; --", "b"] * 30
    name = table(base, {**GOOD, "kind": kinds}, {"kind": "VARCHAR(40)"})
    source = km.sql(f"SELECT * FROM {name}", connection(base))
    assert km.fit("y ~ a*x + b", source, where='kind == "a\'; DROP TABLE t; --"').n == 30
    assert km.fit("y ~ a*x + b", source, where="kind in ('b', 'c') and x > 1").data.filtered == 37


@pytest.mark.parametrize("base", BASES)
def test_missing_values_are_counted_by_column_or_dropped(base: str) -> None:
    x, y = GOOD["x"].tolist(), GOOD["y"].tolist()
    x[3], x[5], y[5], y[9] = None, None, None, None  # type: ignore[call-overload]
    name = table(base, {"x": x, "y": y}, {"z": ""})
    source = km.sql(f"SELECT * FROM {name}", connection(base))
    error = refused("y ~ a*x + b", f"SELECT * FROM {name}", connection(base))
    assert error.code == "E-MISSING"
    assert "3 rows" in str(error)
    assert "x 2" in str(error)
    assert "y 2" in str(error)
    fit = km.fit("y ~ a*x + b", source, missing="drop")
    assert (fit.n, fit.data.dropped) == (57, 3)
    kept = [(a, b) for a, b in zip(x, y, strict=True) if a is not None and b is not None]
    wanted = km.fit("y ~ a*x + b", {"x": [a for a, _ in kept], "y": [b for _, b in kept]})
    assert fit.params == pytest.approx(wanted.params, rel=1e-12)
    assert km.fit("y ~ a*x + b", source, missing="drop", where="x > 1").data.filtered > 0
    assert refused("y ~ a*x + b", f"SELECT * FROM {name}", connection(base), where="x > 1").code == "E-MISSING"


@pytest.mark.parametrize("base", ["duckdb", "postgres"])
def test_infinite_values_and_nan_are_missing_ones(base: str) -> None:
    x = GOOD["x"].copy()
    x[7], x[8], x[9] = np.inf, np.nan, -np.inf
    name = table(base, {"x": x, "y": GOOD["y"]})
    error = refused("y ~ a*x + b", f"SELECT * FROM {name}", connection(base))
    assert (error.code, "x 3" in str(error)) == ("E-MISSING", True)
    fit = km.fit("y ~ a*x + b", km.sql(f"SELECT * FROM {name}", connection(base)), missing="drop")
    assert (fit.n, fit.data.dropped) == (57, 3)


@pytest.mark.parametrize("base", BASES)
def test_texts_are_refused_before_anything_is_summed(base: str) -> None:
    name = table(base, {"x": [str(one) for one in X], "y": GOOD["y"]}, {"x": "VARCHAR(30)"})
    error = refused("y ~ a*x + b", f"SELECT * FROM {name}", connection(base))
    assert (error.code, "text" in str(error)) == ("E-TYPE", True)
    source = km.sql(f"SELECT CAST(x AS DOUBLE PRECISION) AS x, y FROM {name}", connection(base))
    assert km.fit("y ~ a*x + b", source).params == pytest.approx(km.fit("y ~ a*x + b", GOOD).params, rel=1e-12)


@pytest.mark.parametrize("base", ["duckdb", "postgres"])
def test_dates_and_lists_are_refused_and_other_numbers_are_not(base: str) -> None:
    days = "SELECT DATE '2024-01-01' + CAST(i AS INTEGER) AS t, i AS y FROM generate_series(1, 40) AS g(i)"
    assert refused("y ~ a*t + b", days, connection(base)).code == "E-DATE"
    lists = "SELECT ARRAY[1.0, 2.0] AS x, i AS y FROM generate_series(1, 40) AS g(i)"
    assert refused("y ~ a*x + b", lists, connection(base)).code == "E-TYPE"
    kinds = "CAST(i AS SMALLINT) AS a1, CAST(i AS REAL)/3 AS b1, CAST(i AS NUMERIC(9,2))/7 AS c1, i % 2 = 0 AS d1"
    source = km.sql(f"SELECT {kinds}, i*i AS y FROM generate_series(1, 40) AS g(i)", connection(base))
    i = np.arange(1.0, 41.0)
    found = km.fit("y ~ p*a1 + q*d1 + r*a1^2", source)
    wanted = km.fit("y ~ p*a + q*d + r*a^2", {"a": i, "d": (i % 2 == 0) * 1.0, "y": i * i}).params
    assert found.params == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    third = (i.astype(np.float32) / 3).astype(float)
    wanted = km.fit("y ~ p*b + q", {"b": third, "y": i * i}).params
    assert km.fit("y ~ p*b1 + q", source).params == pytest.approx(wanted, rel=1e-6)


def test_whole_numbers_are_not_divided_as_whole_numbers() -> None:
    source = km.sql("SELECT i AS x, 7.0/i AS y FROM generate_series(1, 40) AS g(i)", connection("postgres"))
    assert km.fit("y ~ a/x", source).params["a"] == pytest.approx(7.0)


@pytest.mark.parametrize("base", ["duckdb", "postgres"])
def test_whole_numbers_beyond_what_doubles_hold_are_refused(base: str) -> None:
    query = f"SELECT i + {2**53} AS x, i AS y FROM generate_series(1, 40) AS g(i)"
    assert refused("y ~ a*x + b", query, connection(base)).code == "E-INTEGER"


@pytest.mark.parametrize("base", BASES)
def test_columns_that_are_not_there_or_there_twice(base: str) -> None:
    name = table(base, GOOD)
    with pytest.raises(km.FormulaError) as caught:
        km.fit("Y ~ a*x + b", km.sql(f"SELECT * FROM {name}", connection(base)))
    assert caught.value.code == "E-COLUMN"
    assert refused("y ~ a*x + b", "SELECT * FROM nowhere", connection(base)).code == "E-QUERY"
    assert refused("y ~ a*x + b", f"SELECT x, nope FROM {name}", connection(base)).code == "E-QUERY"


@pytest.mark.parametrize("base", BASES)
def test_no_rows_or_fewer_than_parameters(base: str) -> None:
    name = table(base, GOOD)
    assert refused("y ~ a*x + b", f"SELECT * FROM {name} WHERE x > 99", connection(base)).code == "E-EMPTY"
    assert refused("y ~ a*x + b", f"SELECT * FROM {name}", connection(base), where="x > 99").code == "E-EMPTY"
    two = f"SELECT * FROM {name} ORDER BY x LIMIT 2"
    assert refused("y ~ a + b*x + c*x^2", two, connection(base)).code == "E-TOOFEW"


@pytest.mark.parametrize("base", BASES)
def test_weights_that_are_none(base: str) -> None:
    name = table(base, {**GOOD, "s": np.where(X > 3.9, 0.0, 1.0)})
    source = (f"SELECT * FROM {name}", connection(base))
    assert refused("y ~ a*x + b", *source, sigma="s", sigma_is="known").code == "E-SIGMA"
    assert refused("y ~ a*x + b", *source, weights="s").code == "E-SIGMA"
    assert refused("y ~ a*x + b", *source, weights=[1.0] * 60).code == "E-STREAM"


@pytest.mark.parametrize("base", BASES)
def test_a_response_without_a_value(base: str) -> None:
    name = table(base, {"x": X, "y": GOOD["y"] - 3.0})
    error = refused("log(y) ~ a*x + b", f"SELECT * FROM {name}", connection(base))
    assert (error.code, "log(y)" in str(error)) == ("E-DOMAIN", True)


@pytest.mark.parametrize("base", BASES)
def test_a_table_that_changes_between_passes_is_noticed(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = connection(base)
    name = table(base, {"x": X, "y": 2.0 * np.exp(-X) + 0.01 * np.cos(40.0 * X)})
    kind = {"duckdb": databases.DuckDB, "postgres": databases.PostgreSQL, "sqlite": databases.SQLite}[base]
    whole, passes = kind._fetch, []

    def changing(self: Any, text: str, values: Any) -> Any:
        passes.append(text)
        if len([one for one in passes if "exp" in one]) == 3:
            cursor = there.cursor() if base == "postgres" else there
            cursor.execute(f"INSERT INTO {name} VALUES (1.5, 0.7)")
        return whole(self, text, values)

    monkeypatch.setattr(kind, "_fetch", changing)
    error = refused("y ~ a*exp(-b*x)", f"SELECT * FROM {name}", there, start={"a": 1.0, "b": 3.0}, starts=1)
    assert error.code == "E-CHANGED"
    assert "60" in str(error)
    assert "61" in str(error)


def test_a_database_that_goes_away_in_the_middle_leaves_where_the_fit_was(monkeypatch: pytest.MonkeyPatch) -> None:
    with connect() as there, connect() as other:
        values = "i/10.0::float8 AS x, exp(-i/10.0::float8) AS y"
        there.execute(f"CREATE TABLE gone AS SELECT {values} FROM generate_series(1, 50) AS g(i)")
        (pid,) = there.execute("SELECT pg_backend_pid()").fetchone() or (0,)
        whole, passes = databases.PostgreSQL._fetch, []

        def dying(self: Any, text: str, values: Any) -> Any:
            passes.append(text)
            if len([one for one in passes if "exp" in one]) == 4:
                other.execute("SELECT pg_terminate_backend(%s)", (pid,))
            return whole(self, text, values)

        monkeypatch.setattr(databases.PostgreSQL, "_fetch", dying)
        source = ("SELECT * FROM gone", there)
        error = refused("y ~ a*exp(-b*x) + c", *source, start={"a": 3.0, "b": 3.0, "c": 1.0}, starts=1)
        assert isinstance(error, km.BackendError)
        assert error.code == "E-DATABASE"
        assert error.remedy is not None
        start = eval(error.remedy.split("start=")[1])  # a dict as the remedy spells it
        monkeypatch.setattr(databases.PostgreSQL, "_fetch", whole)
        fit = km.fit("y ~ a*exp(-b*x) + c", km.sql("SELECT * FROM gone", other), start=start, starts=1)
        assert fit.params["b"] == pytest.approx(1.0, rel=1e-6)
        other.execute("DROP TABLE gone")


def test_connections_that_are_closed_or_none(tmp_path: Any) -> None:
    closed = duckdb.connect()
    closed.close()
    lite = sqlite3.connect(":memory:")
    lite.close()
    dead = connect()
    dead.close()
    for one in (closed, lite, dead):
        error = refused("y ~ a*x", "SELECT 1 AS x, 2 AS y", one)
        assert (type(error), error.code) == (km.BackendError, "E-DATABASE")
    for one in (3, "postgresql://", object(), duckdb.connect):
        assert refused("y ~ a*x", "SELECT 1 AS x, 2 AS y", one).code == "E-DATABASE"
    assert refused("y ~ a*x", 7).code == "E-QUERY"
    with pytest.raises(km.BoundsError):
        km.sql("SELECT 1", sample=0)


def test_an_operation_that_a_database_lacks_is_named_with_it() -> None:
    name = table("sqlite", GOOD)
    error = refused("y ~ a*cbrt(x) + b", f"SELECT * FROM {name}", connection("sqlite"))
    assert (type(error), "cbrt" in str(error), "SQLite" in str(error)) == (km.BackendError, True, True)
    name = table("postgres", GOOD)
    error = refused("y ~ a*x + b", f"SELECT * FROM {name}", connection("postgres"), where="x % 2 < 1")
    assert (type(error), "%" in str(error), "PostgreSQL" in str(error)) == (km.BackendError, True, True)


@pytest.mark.parametrize("base", ["duckdb", "sqlite"])
def test_a_remainder_is_pythons(base: str) -> None:
    data = {"x": X - 2.0, "y": GOOD["y"]}
    source = km.sql(f"SELECT * FROM {table(base, data)}", connection(base))
    found = km.fit("y ~ a*x + b", source, where="x % 0.7 < 0.35 or x % -3 > -1")
    assert found.n == km.fit("y ~ a*x + b", data, where="x % 0.7 < 0.35 or x % -3 > -1").n


def test_other_roads_are_refused_by_name() -> None:
    source = km.sql(f"SELECT * FROM {table('duckdb', GOOD)}", connection("duckdb"))
    for go in (
        lambda: km.race("y ~ a*x + b", source),
        lambda: km.fit("y ~ a*x + b", source, backend="torch"),
        lambda: km.fit_many("y ~ a*x + b", source, by="x"),
    ):
        with pytest.raises(km.KatamukiError):
            go()


PRESSED = """
import os, signal, threading
import katamuki as km
from katamuki.data import databases

whole = databases.DuckDB._fetch

def pressed(self, text, values):
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    return whole(self, text, values)

source = km.sql("SELECT i AS x, sin(i) AS y FROM range(100000000000) AS t(i)")  # hours
databases.DuckDB._fetch = pressed
try:
    km.fit("y ~ a*x + b", source)
except KeyboardInterrupt:
    print("heard", flush=True)
    os._exit(0)
"""


def test_ctrl_c_is_heard_while_the_database_sums() -> None:
    # In a process of its own: callbacks of the garbage collector that test tools leave have swallowed the signal.
    done = subprocess.run([sys.executable, "-c", PRESSED], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "heard\n", done.stderr

"""Databases as km.sql uses them: what each one calls things, how a query is run, and what its errors mean.

DuckDB, PostgreSQL (psycopg 3) and SQLite. Queries only read. In PostgreSQL each runs in a transaction of its own, or,
where the user has one open, in a savepoint of it: nothing of the user's is committed or rolled back. Drivers are not
imported here, but for DuckDB where nobody gave a connection: whoever has a connection has its driver.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from katamuki.data.convert import root
from katamuki.data.names import printable
from katamuki.errors import BackendError, DataError

Kind = Literal["number", "integer", "boolean", "text", "date", "other", "unknown"]
Value = float | str
Row = tuple[Any, ...]
NUMBER = ("DOUBLE", "FLOAT", "DECIMAL", "REAL")
WHOLE = frozenset(sign + one for one in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT") for sign in ("", "U"))
OIDS: dict[int, Kind] = {
    16: "boolean",
    **dict.fromkeys((20, 21, 23, 26), "integer"),
    **dict.fromkeys((700, 701, 1700), "number"),
    **dict.fromkeys((18, 19, 25, 1042, 1043), "text"),
    **dict.fromkeys((1082, 1083, 1114, 1184, 1186, 1266), "date"),
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a database calls things.

    ``checked``: it raises an error where a number has no value; else it computes infinity and NaN, or with ``nulls``
    NULL for NaN. ``fence`` keeps a subquery whole, so that what it computes is computed once. ``place`` is the
    format of a bound value, ``literal`` that of a number.
    """

    name: str
    key: str  # of the table of operations and of sqlglot: "duckdb", "postgres", "sqlite"
    inf: str
    nan: str
    literal: str
    place: str
    checked: bool = False
    nulls: bool = False
    fence: str = ""


DUCKDB = Dialect("DuckDB", "duckdb", "CAST('Infinity' AS DOUBLE)", "CAST('NaN' AS DOUBLE)", "{}", "${}")
POSTGRESQL = Dialect(
    "PostgreSQL",
    "postgres",
    "CAST('Infinity' AS DOUBLE PRECISION)",
    "CAST('NaN' AS DOUBLE PRECISION)",
    "CAST('{}' AS DOUBLE PRECISION)",
    "CAST(%(p{})s AS DOUBLE PRECISION)",
    checked=True,
    fence=" OFFSET 0",
)
SQLITE = Dialect("SQLite", "sqlite", "9e999", "NULL", "{}", "?{}", nulls=True, fence=" LIMIT -1 OFFSET 0")


class NoValue(ArithmeticError):  # noqa: N818  what it says, not an error shown to users
    """The database raised an error where a number has no value, or one too large or too small."""


class Database:
    """A connection and how to ask it; a subclass for each driver."""

    dialect: Dialect

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def columns(self, query: str) -> list[tuple[str, Kind]]:
        """The columns of a query and what they hold; nothing is computed."""
        raise NotImplementedError

    def fetch(self, text: str, values: Sequence[Value] = ()) -> list[Row]:
        """All rows of a query; ``values`` are bound to places 1, 2, …"""
        try:
            return self._fetch(text, values)
        except NoValue:
            raise
        except Exception as error:
            raise self.meant(error) from None

    def _fetch(self, text: str, values: Sequence[Value]) -> list[Row]:
        raise NotImplementedError

    def meant(self, error: Exception) -> Exception:
        """What an error of the driver means to whoever called a fit; anything else is returned as it is."""
        if root(error) not in {"duckdb", "_duckdb", "psycopg", "sqlite3"}:
            return error
        state = str(getattr(error, "sqlstate", None) or "")
        name = type(error).__name__
        cause = printable(" ".join(str(error).split())[:300])
        if state[:2] == "22" or name == "OutOfRangeException":
            return NoValue(cause)
        if self._gone({one.__name__ for one in type(error).__mro__}, cause):
            return BackendError("E-DATABASE", "sql.gone", database=self.dialect.name, cause=cause)
        return DataError("E-QUERY", "sql.refused", database=self.dialect.name, cause=cause)

    def _gone(self, names: set[str], cause: str) -> bool:
        """Whether an error, by its classes and its text, says that there is no database any more."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what was opened here; the user's connection stays."""


class DuckDB(Database):
    """A connection of DuckDB, in this process: it sees what the connection sees, temporary tables included."""

    dialect = DUCKDB

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        ((ieee,),) = self.fetch("SELECT CURRENT_SETTING('ieee_floating_point_ops')")
        if str(ieee).lower() != "true":
            self.dialect = replace(DUCKDB, checked=True)

    def columns(self, query: str) -> list[tuple[str, Kind]]:
        found = self.fetch(f"DESCRIBE SELECT * FROM (\n{query}\n) AS q")
        names = plain = [str(row[0]) for row in found]
        with suppress(DataError):  # a query that cannot be described by itself
            alone = [str(row[0]) for row in self.fetch(f"DESCRIBE {query}")]
            plain = alone if len(alone) == len(names) else names
        first: dict[str, str] = {}
        for name, one in zip(names, plain, strict=True):  # of names that are there twice it renames the later ones
            first.setdefault(one.lower(), name)
        told = [name if name == one else first[one.lower()] for name, one in zip(names, plain, strict=True)]
        return [(name, _duckdb_kind(str(row[1]))) for name, row in zip(told, found, strict=True)]

    def _fetch(self, text: str, values: Sequence[Value]) -> list[Row]:
        answer: list[list[Row]] = []
        error: list[Exception] = []

        def run() -> None:
            try:
                answer.append(self.connection.execute(text, list(values)).fetchall())
            except Exception as one:
                error.append(one)

        asking = threading.Thread(target=run, daemon=True)  # this thread hears Ctrl-C, which DuckDB may not
        asking.start()
        try:
            asking.join()
        except KeyboardInterrupt:
            self.connection.interrupt()
            asking.join()
            raise
        if error:
            raise error[0]
        return answer[0]

    def _gone(self, names: set[str], cause: str) -> bool:
        return bool(names & {"ConnectionException", "FatalException", "InternalException"})


def _duckdb_kind(said: str) -> Kind:
    if said.endswith("]") or said.startswith(("STRUCT", "MAP", "UNION")):
        return "other"
    if said.startswith(NUMBER):
        return "number"
    if said in WHOLE:
        return "integer"
    if said == "BOOLEAN":
        return "boolean"
    if said.startswith(("VARCHAR", "ENUM", "CHAR")):
        return "text"
    return "date" if said.startswith(("DATE", "TIME", "INTERVAL")) else "other"


class PostgreSQL(Database):
    """A connection of psycopg 3."""

    dialect = POSTGRESQL

    def columns(self, query: str) -> list[tuple[str, Kind]]:
        text = f"SELECT * FROM (\n{escaped(query)}\n) AS q LIMIT 0"
        try:
            with self._reading() as cursor:
                cursor.execute(text, {}, prepare=False)
                return [(one.name, OIDS.get(one.type_code, "other")) for one in cursor.description]
        except Exception as error:
            raise self.meant(error) from None

    def _cursor(self) -> Any:
        rows = sys.modules["psycopg"].rows
        return self.connection.cursor(row_factory=rows.tuple_row)

    def _fetch(self, text: str, values: Sequence[Value]) -> list[Row]:
        bound = {f"p{k}": value for k, value in enumerate(values, 1)}
        with self._reading() as cursor:
            cursor.execute(text, bound, prepare=False, binary=True)
            found: list[Row] = cursor.fetchall()
        return found

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        """A cursor in a transaction that only reads, or in a savepoint of the user's own."""
        own = self.connection.info.transaction_status.name == "IDLE"
        with self.connection.transaction(), self._cursor() as cursor:
            if own:
                cursor.execute("SET TRANSACTION READ ONLY")
            yield cursor

    def _gone(self, names: set[str], cause: str) -> bool:
        return bool(names & {"OperationalError", "InterfaceError"})


def escaped(text: str) -> str:
    """A text of the user's in a query of psycopg, where % means a bound value."""
    return text.replace("%", "%%")


class SQLite(Database):
    """A connection of Python's sqlite3; columns have no types there, so rows are asked for theirs."""

    dialect = SQLITE

    def columns(self, query: str) -> list[tuple[str, Kind]]:
        try:
            cursor = self.connection.cursor()
            cursor.row_factory = None
            cursor.execute(f"SELECT * FROM (\n{query}\n) AS q LIMIT 0")
            names = [str(one[0]) for one in cursor.description]
        except Exception as error:
            raise self.meant(error) from None
        first = {name.lower(): name for name in reversed(names)}
        for k, name in enumerate(names):  # of names that are there twice it renames the later ones: x:1
            base = name.rpartition(":")[0].lower()
            if base in first and name not in query:
                names[k] = first[base]
        return [(name, "unknown") for name in names]

    def _fetch(self, text: str, values: Sequence[Value]) -> list[Row]:
        cursor = self.connection.cursor()
        cursor.row_factory = None
        found: list[Row] = cursor.execute(text, list(values)).fetchall()
        return found

    def _gone(self, names: set[str], cause: str) -> bool:
        return "closed" in cause


class Pooled(Database):
    """An engine or a connection of SQLAlchemy: one taken out of the pool for each query, or the one that is open.

    What went back to a pool belongs to whoever takes it next: the driver's connection is never kept.
    """

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.is_engine = hasattr(connection, "raw_connection")
        if not self.is_engine and not hasattr(connection, "exec_driver_sql"):
            kind = type(connection)
            raise BackendError("E-DATABASE", "sql.connection", type=f"{kind.__module__}.{kind.__name__}")
        with self._open() as one:
            self.dialect = one.dialect

    @contextmanager
    def _open(self) -> Iterator[Database]:
        """The driver's own connection, for one query."""
        try:
            pooled = self.connection.raw_connection() if self.is_engine else self.connection.connection
        except Exception as error:
            cause = printable(" ".join(str(error).split())[:300])
            raise BackendError("E-DATABASE", "sql.gone", database=self.connection.dialect.name, cause=cause) from None
        try:
            yield _known(pooled.driver_connection)
        finally:
            if self.is_engine:
                pooled.close()

    def columns(self, query: str) -> list[tuple[str, Kind]]:
        with self._open() as one:
            return one.columns(query)

    def fetch(self, text: str, values: Sequence[Value] = ()) -> list[Row]:
        with self._open() as one:
            return one.fetch(text, values)


def database(connection: Any) -> Database:
    """The database behind a connection, or in-memory DuckDB where there is none.

    Raises
    ------
    BackendError
        If it is no connection that katamuki knows, or DuckDB is not installed.
    """
    if connection is None:
        return DuckDB(_duckdb().connect())
    if root(connection) == "sqlalchemy":
        return Pooled(connection)
    return _known(connection)


def _known(connection: Any) -> Database:
    """The database behind a driver's connection or cursor."""
    if root(connection) in {"psycopg", "sqlite3"} and hasattr(connection, "fetchall"):
        connection = connection.connection
    home, name = root(connection), type(connection).__name__
    if home in {"duckdb", "_duckdb"} and name == "DuckDBPyConnection":
        return DuckDB(connection)
    if home == "psycopg" and hasattr(connection, "transaction") and not name.startswith("Async"):
        return PostgreSQL(connection)
    if home == "sqlite3" and name == "Connection":
        return SQLite(connection)
    raise BackendError("E-DATABASE", "sql.connection", type=f"{type(connection).__module__}.{name}")


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError:
        raise BackendError("E-BACKEND", "sql.no_duckdb") from None
    return duckdb


def quoted(name: str) -> str:
    """A name as all three databases quote it."""
    return '"' + name.replace('"', '""') + '"'


DECIMALS = re.compile(r"(?<![\w.])\d+\.\d+(?:e[+-]?\d+)?")


def with_numbers(template: str, dialect: Dialect) -> str:
    """A template whose numbers are the database's doubles: 1.0 alone is a decimal number there."""
    return DECIMALS.sub(lambda found: number(float(found[0]), dialect), template)


def number(value: float, dialect: Dialect) -> str:
    """A finite double as text."""
    said = repr(value)
    said = dialect.literal.format(said if "e" in said else said + "e0")
    return f"({said})" if said.startswith("-") else said

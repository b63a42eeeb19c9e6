"""``katamuki.sql``: rows that a database has, described by a query, and left where they are.

The query must be one SELECT; it is read by sqlglot to see that it is nothing else, and handed to the database as it
stands, as a subquery. Its columns are asked for at once, so that a mistake shows here. Nothing is computed before a fit
asks for sums (:mod:`katamuki.problem.queried`).
"""

from __future__ import annotations

import logging
from typing import Any, Literal

from katamuki.data.databases import Database, Kind, database
from katamuki.data.names import find, printable
from katamuki.errors import BackendError, BoundsError, DataError
from katamuki.messages import Phrase
from katamuki.records import Source

CHANGING = ("Insert", "Update", "Delete", "Merge", "Create", "Drop", "Alter", "Into", "Lock", "Command", "Copy")
READING = ("Select", "Union", "Intersect", "Except", "Values", "Subquery", "Table", "Pivot")


class Queried:
    """The rows of a query: what ``katamuki.sql`` returns and ``katamuki.fit`` takes.

    Attributes
    ----------
    query : str
        The SELECT, without a semicolon at its end.
    names : tuple of str
        Its columns.
    sample : int or None
        How many rows may travel.
    """

    road: Literal["sql"] = "sql"

    def __init__(self, query: str, database: Database, columns: list[tuple[str, Kind]], sample: int | None) -> None:
        self.query = query
        self.database = database
        self.sample = sample
        self.names = tuple(name for name, _ in columns)
        self.kinds = tuple(kind for _, kind in columns)

    @property
    def source(self) -> Source:
        """What is read, for reports; nobody has counted its rows yet."""
        return Source(
            Phrase("sql.source", database=self.database.dialect.name), self.database.dialect.key, -1, queried=True
        )

    def kind(self, name: str) -> Kind:
        """What a column holds; ``DataError`` where it is not there, or twice."""
        return self.kinds[find(name, self.names, self.source.name)]

    def __repr__(self) -> str:
        return f"<Queried {self.database.dialect.name}: {printable(' '.join(self.query.split()))[:60]}>"


def sql(query: str, connection: Any = None, *, sample: int | None = None) -> Queried:
    """Rows that a database has, for ``katamuki.fit``: the database sums, and no row leaves it.

    Parameters
    ----------
    query : str
        One SELECT.
    connection : DuckDB, psycopg 3, sqlite3 or SQLAlchemy connection, optional
        Whose transaction and temporary tables the query sees; it is neither committed nor closed. By default DuckDB in
        memory, which reads the files that a query names: ``SELECT x, y FROM 'part*.parquet'``.
    sample : int, optional
        How many rows may travel to this process: to search for starts, to look at residuals, for pictures and the
        check. By default none.

    Returns
    -------
    Queried
        A source like any other; ``names`` are the query's columns.

    Raises
    ------
    DataError
        If it is not one SELECT, or the database refuses it.
    BackendError
        If there is no such connection, or a package is missing: ``katamuki[sql]`` brings them.

    Source
    ------
    The sums are those of :mod:`katamuki.backends.sql_sums`.

    Example
    -------
    >>> import katamuki as km
    >>> rows = km.sql("SELECT i AS x, 2*i + 1 AS y FROM range(100) AS t(i)")
    >>> fit = km.fit("y ~ a*x + b", rows)
    >>> round(fit.params["a"], 4), round(fit.params["b"], 4), fit.n
    (2.0, 1.0, 100)
    """
    if not isinstance(query, str):
        raise DataError("E-QUERY", "sql.type", type=type(query).__name__)
    if sample is not None and (not isinstance(sample, int) or isinstance(sample, bool) or sample < 1):
        raise BoundsError("E-USAGE", "sql.sample", given=repr(sample))
    found = database(connection)
    text = one_select(query, found.dialect.key)
    return Queried(text, found, found.columns(text), sample)


def one_select(query: str, dialect: str) -> str:
    """A query without the semicolon at its end.

    Raises
    ------
    DataError
        If it cannot be read, or is not one SELECT.

    Example
    -------
    >>> one_select("SELECT 1 ; -- the end", "duckdb")
    'SELECT 1 '
    """
    try:
        import sqlglot
        from sqlglot import errors
    except ImportError:
        raise BackendError("E-BACKEND", "sql.no_sqlglot") from None
    log = logging.getLogger("sqlglot")
    before, log.disabled = log.disabled, True  # what it would warn of is refused below
    try:
        tokens = sqlglot.tokenize(query, read=dialect)
        trees = sqlglot.parse(query, read=dialect)
    except (errors.SqlglotError, RecursionError) as error:
        raise DataError("E-QUERY", "sql.unread", query=_shown(query), cause=_stopped(error)) from None
    finally:
        log.disabled = before
    found = [tree for tree in trees if tree is not None and type(tree).__name__ != "Semicolon"]
    if len(found) != 1:
        raise DataError("E-QUERY", "sql.statements", query=_shown(query), count=len(found))
    names = {type(node).__name__ for node in found[0].walk()}
    if type(found[0]).__name__ not in READING or names.intersection(CHANGING):
        raise DataError("E-QUERY", "sql.no_select", query=_shown(query))
    end = len(query)
    while tokens and tokens[-1].token_type.name == "SEMICOLON":
        end = tokens.pop().start
    return query[:end]


def _stopped(error: Exception) -> Phrase:
    """Where a query cannot be read any further; what sqlglot says of it has colours in it, and names of its own."""
    told = getattr(error, "errors", None)
    if not told or not told[0].get("highlight"):
        return Phrase("sql.unread.somewhere")
    line, at = told[0]["line"], told[0]["highlight"]
    return Phrase("sql.unread.stopped", line=line, part=_shown(str(at)))


def _shown(query: str) -> str:
    said = printable(" ".join(query.split()))
    return said if len(said) <= 60 else said[:59] + "…"

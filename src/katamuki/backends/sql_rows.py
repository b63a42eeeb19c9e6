"""Which rows of a query a fit reads, as SQL: its columns as doubles, ``where`` and missing values left out.

The user's query stands in it once, as it is. Beside the rows: the query that says what is wrong with them, a digest of
them for the search (the means of cells of at least ten rows), and a sample where rows may travel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from katamuki.backends.sql import COUNT, Aggregates, Rows, aggregates
from katamuki.backends.sql_where import condition_text
from katamuki.data.condition import Condition
from katamuki.data.databases import Dialect, Kind, Value, escaped, number, quoted
from katamuki.graph import Graph

LEAST = 10  # rows of a cell whose means travel
DECADES = 14.0  # natural logarithms below the largest value that get cells of their own


@dataclass(slots=True)
class Reading:
    """A query, its dialect, and what a fit reads of it.

    ``used`` are the columns that the fit uses, ``kinds`` what they and the condition's columns hold.
    """

    query: str
    dialect: Dialect
    kinds: Mapping[str, Kind]
    used: tuple[str, ...]
    condition: Condition | None = None
    _values: list[Value] = field(default_factory=list)

    def rows(self, finite: bool = False) -> Rows:
        """The rows where the condition holds; with ``finite`` those with a finite value in every used column."""
        self._values = []
        places = {name: f"c{k}" for k, name in enumerate(self.used)}
        tests = [] if self.condition is None else [f"NOT {self._lost()}", self._holds()]
        if finite:
            tests += [f"abs({place}) < {self.dialect.inf}" for place in places.values()]
        kept = f"\nWHERE {' AND '.join(tests)}" if tests else ""
        text = f"SELECT {', '.join(places.values()) or '1 AS one'}\nFROM (\n{self._cast()}\n) AS q1{kept}"
        return Rows(text + self.dialect.fence, places, tuple(self._values))

    def _cast(self) -> str:
        """The columns as doubles, those of the condition beside them."""
        listed = [f"{self._double(name)} AS c{k}" for k, name in enumerate(self.used)]
        if self.condition is not None:
            listed += [f"{self._double(name)} AS w{k}" for k, name in enumerate(self.condition.numeric)]
            listed += [f"q.{self._quoted(name)} AS t{k}" for k, name in enumerate(self.condition.textual)]
        query = escaped(self.query) if self.dialect.key == "postgres" else self.query
        return f"SELECT {', '.join(listed) or '1 AS one'}\nFROM (\n{query}\n) AS q"

    def _quoted(self, name: str) -> str:
        said = quoted(name)
        return escaped(said) if self.dialect.key == "postgres" else said

    def _double(self, name: str) -> str:
        inner = f"q.{self._quoted(name)}"
        if self.kinds[name] == "boolean":
            inner = f"CAST({inner} AS INTEGER)"
        return f"CAST({inner} AS DOUBLE PRECISION)"

    def _bind(self, value: Value) -> str:
        self._values.append(value)
        return self.dialect.place.format(len(self._values)) if isinstance(value, float) else self._text_place()

    def _text_place(self) -> str:
        """The place of a text, which no cast to a double stands round."""
        form = "%(p{})s" if self.dialect.key == "postgres" else self.dialect.place
        return form.format(len(self._values))

    def _lost(self) -> str:
        assert self.condition is not None
        tests = [f"w{k} IS NULL OR w{k} > {self.dialect.inf}" for k in range(len(self.condition.numeric))]
        tests += [f"t{k} IS NULL" for k in range(len(self.condition.textual))]
        return f"({' OR '.join(tests) or '1 = 0'})"

    def _holds(self) -> str:
        assert self.condition is not None
        columns = {name: f"w{k}" for k, name in enumerate(self.condition.numeric)}
        columns |= {name: f"t{k}" for k, name in enumerate(self.condition.textual)}
        return condition_text(self.condition, columns, self.dialect, self._bind)

    def condition_counts(self) -> tuple[str, tuple[Value, ...]]:
        """A query: all rows, those that lack a value in a column of the condition, and those where it holds."""
        self._values = []
        assert self.condition is not None
        lost, holds = self._lost(), self._holds()
        text = (
            f"SELECT COUNT(*), SUM(CASE WHEN {lost} THEN 1 ELSE 0 END),"
            f" SUM(CASE WHEN NOT {lost} AND {holds} THEN 1 ELSE 0 END)\nFROM (\n{self._cast()}\n) AS q1"
        )
        return text, tuple(self._values)

    def faults(self) -> tuple[str, tuple[Value, ...]]:
        """A query of one row: rows without a finite value; then by used column those missing, and those infinite."""
        rows = self.rows()
        inf = self.dialect.inf
        bad = " AND ".join(f"abs({place}) < {inf}" for place in rows.places.values())
        listed = [f"SUM(CASE WHEN {bad} THEN 0 ELSE 1 END)"]
        for place in rows.places.values():
            listed.append(f"SUM(CASE WHEN abs({place}) <= {inf} THEN 0 ELSE 1 END)")
            listed.append(f"SUM(CASE WHEN abs({place}) = {inf} THEN 1 ELSE 0 END)")
        return f"SELECT {', '.join(listed)}\nFROM (\n{rows.text}\n) AS q2", rows.values

    def texts(self) -> str:
        """A query of one row, for a database whose columns have no types: how many values of each are no numbers."""
        query = self.query
        listed = [f"SUM(typeof(q.{quoted(name)}) IN ('text', 'blob'))" for name in self.used]
        return f"SELECT {', '.join(listed)} FROM (\n{query}\n) AS q"


def hashed(columns: Sequence[str], seed: int, dialect: Dialect) -> str:
    """A number that is the same for the same row and seed, and otherwise anything; "" where a database has none."""
    if dialect.key == "duckdb":
        return f"hash({', '.join([*columns, str(int(seed))])})"
    if dialect.key == "postgres":
        return " # ".join(f"hashfloat8extended({one}, {int(seed) % 2**31 + k})" for k, one in enumerate(columns))
    return ""


def thinned(rows: Rows, share: int, dialect: Dialect) -> Rows:
    """One row of so many, the same ones in every pass; all rows where a database has no hash."""
    columns = list(rows.places.values())
    key = hashed(columns, 0, dialect)
    if share < 2 or not key:
        return rows
    kept = f"({key}) & {share - 1} = 0"
    text = f"SELECT {', '.join(columns)}\nFROM (\n{rows.text}\n) AS q2\nWHERE {kept}{dialect.fence}"
    return Rows(text, rows.places, rows.values)


def sampled(rows: Rows, count: int, seed: int, dialect: Dialect) -> tuple[str, tuple[Value, ...]]:
    """A query for ``count`` rows, the same ones for the same rows and seed.

    DuckDB and PostgreSQL take the rows with the smallest hashes; SQLite has no hash, and gives every so manieth row.
    """
    columns = list(rows.places.values())
    listed = ", ".join(columns)
    order = hashed(columns, seed, dialect)
    if not order:
        text = (
            f"SELECT {listed} FROM (SELECT {listed}, row_number() OVER () AS k, COUNT(*) OVER () AS n"
            f" FROM (\n{rows.text}\n) AS q2) AS q3 WHERE (k - 1) * {count} % n < {count} LIMIT {count}"
        )
        return text, rows.values
    return f"SELECT {listed} FROM (\n{rows.text}\n) AS q2 ORDER BY {order}, {listed} LIMIT {count}", rows.values


@dataclass(frozen=True, slots=True)
class Axis:
    """A column along which rows are put into cells: its node, its range, and how many cells."""

    node: int
    low: float
    high: float
    cells: int


@dataclass(frozen=True, slots=True)
class Cells:
    """A query whose rows are cells: ``keys`` numbers to be left out, rows counted, then what was asked for."""

    query: Aggregates
    keys: int


def cells(
    graph: Graph, rows: Rows, dialect: Dialect, axes: Sequence[Axis], sums: Sequence[tuple[str, int | None]],
    in_range: bool,
) -> Cells:  # fmt: skip
    """A query that puts rows into cells, evenly along each axis, and tells of those that have at least ten rows.

    Where a column spans decades its cells are even in its logarithm, too. ``sums`` is what is told, after the number
    of rows; the rest as for :func:`katamuki.backends.sql.aggregates`.
    """
    keys: list[tuple[str, int | None]] = []
    for one in axes:
        if not one.high > one.low:
            continue
        scale = number(one.cells / (one.high - one.low), dialect)
        keys.append((f"floor(({{}} - {number(one.low, dialect)}) * {scale})", one.node))
        if one.low >= 0.0 and one.low < one.high / 50.0:
            inner = f"ln({{0}} / {number(one.high, dialect)}) * {number(one.cells / DECADES, dialect)}"
            least = number(one.high * math.exp(-DECADES), dialect)
            below = number(-2.0 * one.cells, dialect)
            keys.append((f"floor(CASE WHEN {{0}} > {least} THEN {inner} ELSE {below} END)", one.node))
    places = ", ".join(str(k + 1) for k in range(len(keys)))
    order = f"\nORDER BY {places}" if keys else ""
    group = f"\nGROUP BY {places}" if keys else ""
    tail = f"{group}\nHAVING COUNT(*) >= {LEAST}{order}"
    return Cells(aggregates(graph, rows, dialect, [*keys, COUNT, *sums], in_range, tail), len(keys))

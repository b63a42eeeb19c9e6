"""Which rows of a query a fit reads, as SQL: its columns as doubles, ``where`` and missing values left out.

The user's query stands in it once, as it is. Beside the rows: the query that says what is wrong with them, a digest of
them for the search (the means of cells of at least ten rows), and a sample where rows may travel.
"""

from __future__ import annotations

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


def sampled(rows: Rows, count: int, seed: int, dialect: Dialect) -> tuple[str, tuple[Value, ...]]:
    """A query for ``count`` rows, the same ones for the same rows and seed.

    DuckDB and PostgreSQL take the rows with the smallest hashes; SQLite has no hash, and gives every so manieth row.
    """
    columns = list(rows.places.values())
    listed = ", ".join(columns)
    if dialect.key == "duckdb":
        order = f"hash({', '.join([*columns, str(int(seed))])})"
    elif dialect.key == "postgres":
        order = " # ".join(f"hashfloat8extended({one}, {int(seed) % 2**31 + k})" for k, one in enumerate(columns))
    else:
        text = (
            f"SELECT {listed} FROM (SELECT {listed}, row_number() OVER () AS k, COUNT(*) OVER () AS n"
            f" FROM (\n{rows.text}\n) AS q2) AS q3 WHERE (k - 1) * {count} % n < {count} LIMIT {count}"
        )
        return text, rows.values
    return f"SELECT {listed} FROM (\n{rows.text}\n) AS q2 ORDER BY {order}, {listed} LIMIT {count}", rows.values


@dataclass(frozen=True, slots=True)
class Digest:
    """A query whose rows are cells: ``keys`` numbers to be left out, rows counted, then means."""

    query: Aggregates
    keys: int


def digest(
    graph: Graph, rows: Rows, dialect: Dialect, axes: Sequence[tuple[int, float, float, int]], means: Sequence[int],
    weighted: tuple[int, int] | None, in_range: bool,
) -> Digest:  # fmt: skip
    """A query that puts rows into cells, and gives the means of each that has at least ten.

    Parameters
    ----------
    graph, rows, dialect, in_range
        As for :func:`katamuki.backends.sql.aggregates`.
    axes : sequence of (node, lowest, highest, cells)
        The columns that cells are made along, evenly; where a column spans decades, evenly in its logarithm, too.
    means : sequence of node
        What is averaged.
    weighted : (node, node), optional
        A weight, and what its weighted mean is wanted of, which follows the others.
    """
    sums: list[tuple[str, int | None]] = []
    for node, low, high, cells in axes:
        if not high > low:
            continue
        scale = cells / (high - low)
        sums.append((f"floor(({{}} - {number(low, dialect)}) * {number(scale, dialect)})", node))
        if low >= 0.0 and low < high / 50.0:
            inner = f"ln({{0}} / {number(high, dialect)}) * {number(cells / DECADES, dialect)}"
            least = number(high * 2.718281828459045**-DECADES, dialect)
            sums.append(
                (f"floor(CASE WHEN {{0}} > {least} THEN {inner} ELSE {number(-float(cells), dialect)} END)", node)
            )
    keys = len(sums)
    sums.append(COUNT)
    sums += [("AVG({})", one) for one in means]
    if weighted is not None:
        sums += [("SUM({})", weighted[0]), ("SUM({})", weighted[1])]
    group = f"\nGROUP BY {', '.join(str(k + 1) for k in range(keys))}" if keys else ""
    order = f"\nORDER BY {', '.join(str(k + 1) for k in range(keys))}" if keys else ""
    tail = f"{group}\nHAVING COUNT(*) >= {LEAST}{order}"
    return Digest(aggregates(graph, rows, dialect, sums, in_range, tail), keys)

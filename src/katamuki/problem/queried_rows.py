"""What a query's rows are before anything is fitted: how many, their ranges, and what is wrong with them.

One pass for counts and ranges, one for the scatter of the response; a third only where something is wrong, to say in
which column. Rows have no numbers in a database, so that errors say how many there are, and of which column.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from katamuki.backends.sql import COUNT, Aggregates, Rows, aggregates
from katamuki.backends.sql_rows import Reading
from katamuki.backends.sql_sums import Terms
from katamuki.data import condition as conditions
from katamuki.data.cells import EXACT
from katamuki.data.databases import Database, Dialect, NoValue, Row, Value
from katamuki.data.names import printable, some
from katamuki.data.sql import Queried
from katamuki.errors import DataError
from katamuki.problem.distant import Wanted
from katamuki.records import Source

FAR = 1e-4  # of Σ w y²: a scatter smaller than this has lost four digits to the mean
SMALLEST, LARGEST = 1e-260, 1e300  # of Σ w y²: beyond, sums of squared residuals lose their digits, or overflow


class Asker:
    """A database, asked so that its errors of range are answers: a second time with arithmetic that has none."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.in_range = False

    @property
    def dialect(self) -> Dialect:
        """What the database calls things."""
        return self.database.dialect

    def ask(self, make: Callable[[bool], Aggregates], params: Mapping[str, float]) -> list[Row] | None:
        """The rows of a query; None where the database finds no value however it is asked."""
        for in_range in (self.in_range, True):
            query = make(in_range)
            try:
                found = self.database.fetch(query.text, query.values(params))
            except NoValue:
                if in_range:
                    return None
                self.in_range = self.dialect.checked
            else:
                return found
        return None


@dataclass(frozen=True, slots=True)
class Facts:
    """The rows that a fit uses: how to read them, how many, the range of each column, the response's scatter."""

    reading: Reading
    rows: Rows
    n: int
    ranges: Mapping[str, tuple[float, float]]
    tss: float
    tss_about_zero: float
    weight: float | None  # of an average row: 1 over the mean of 1/w
    source: Source


def facts_of(asker: Asker, rows: Queried, wanted: Wanted, terms: Terms) -> Facts:
    """Look at all rows of a query, and refuse what cannot be fitted."""
    condition = None if wanted.where is None else conditions.parse(wanted.where)
    if wanted.missing not in ("error", "drop"):
        raise DataError("E-USAGE", "data.missing_option", given=str(wanted.missing))
    names = tuple(dict.fromkeys((*wanted.used, *(condition.numeric if condition else ()))))
    kinds = {name: rows.kind(name) for name in names}
    for name, kind in kinds.items():
        if kind in {"text", "other"}:
            raise DataError("E-TYPE", "sql.text" if kind == "text" else "sql.other", column=printable(name))
        if kind == "date":
            raise DataError("E-DATE", "sql.date", column=printable(name))
    for name in condition.textual if condition else ():
        if rows.kind(name) not in {"text", "unknown"}:
            raise DataError("E-WHERE", "data.where_no_text", column=printable(name))
    reading = Reading(rows.query, asker.dialect, kinds, wanted.used, condition)
    place = rows.source.name
    if asker.dialect.key == "sqlite" and wanted.used:
        _untyped(asker, reading)
    filtered = dropped = 0
    if condition is not None:
        filtered, dropped = _filtered(asker, reading, wanted, place)
    found = _ranges(asker, reading.rows(), terms, wanted.used)
    if found.n == 0:
        raise DataError("E-EMPTY", "data.no_rows", place=place)
    chosen = reading.rows()
    if found.faulty:
        count = _faults(asker, reading, wanted)
        dropped += count
        if count == found.n:
            raise DataError("E-EMPTY", "data.drop_none", count=count, place=place)
        chosen = reading.rows(finite=True)
        found = _ranges(asker, chosen, terms, wanted.used)
    _check(found, kinds, wanted)
    tss, about_zero = _scatter(asker, chosen, terms, found)
    source = replace(rows.source, rows=found.n, dropped=dropped, filtered=filtered, where=wanted.where)
    average = None if found.spread is None else found.n / found.spread
    return Facts(reading, chosen, found.n, found.columns, tss, about_zero, average, source)


@dataclass(frozen=True, slots=True)
class _Ranges:
    """Rows; lowest and highest of each column and of w; Σ w y, Σ w y² and Σ w; whether a column lacks values."""

    n: int
    columns: dict[str, tuple[float, float]]
    valued: bool  # y has a finite value in every row
    total: float
    squares: float
    weights: tuple[float, float] | None
    weight: float
    spread: float | None  # Σ 1/w
    faulty: bool


def _ranges(asker: Asker, rows: Rows, terms: Terms, used: tuple[str, ...]) -> _Ranges:
    b = terms.b
    w, y = terms.weight, terms.y
    nodes = [b.leaf("column", name) for name in used]
    sums: list[tuple[str, int | None]] = [COUNT]
    wanted = list(dict.fromkeys((*nodes, y, *(() if w is None else (w,)))))
    for one in wanted:
        sums += [("COUNT({})", one), ("MIN({})", one), ("MAX({})", one)]
    wy = y if w is None else b("mul", w, y)
    sums += [("SUM({})", wy), ("SUM({})", b("mul", wy, y))]
    sums += [] if w is None else [("SUM({})", w), ("SUM({})", b("div", 1.0, w))]
    graph = replace(terms.graph(), columns=used)
    answer = asker.ask(lambda in_range: aggregates(graph, rows, asker.dialect, sums, in_range), {})
    if answer is None:
        raise DataError("E-OVERFLOW", "sql.range")
    row = list(answer[0])
    n, parts = int(row[0]), {one: row[1 + 3 * k : 4 + 3 * k] for k, one in enumerate(wanted)}
    spans = {one: (_float(part[1]), _float(part[2])) for one, part in parts.items()}
    finite = {one: parts[one][0] == n and all(map(math.isfinite, spans[one])) for one in wanted}
    rest = [_float(one) for one in row[1 + 3 * len(wanted) :]]
    return _Ranges(
        n=n,
        columns={name: spans[one] for name, one in zip(used, nodes, strict=True)},
        valued=finite[y],
        total=rest[0],
        squares=rest[1],
        weights=None if w is None else spans[w],
        weight=float(n) if w is None else rest[2],
        spread=None if w is None else rest[3],
        faulty=n > 0 and not all(finite[one] for one in nodes),
    )


def _float(value: Value | None) -> float:
    return math.nan if value is None else float(value)


def _untyped(asker: Asker, reading: Reading) -> None:
    """Refuse texts in columns that have no types."""
    (counts,) = asker.database.fetch(reading.texts())
    for name, count in zip(reading.used, counts, strict=True):
        if count:
            raise DataError("E-TYPE", "sql.text", column=printable(name))


def _filtered(asker: Asker, reading: Reading, wanted: Wanted, place: object) -> tuple[int, int]:
    """How many rows a condition leaves out, and how many are dropped since it has no value there."""
    text, values = reading.condition_counts()
    try:
        ((total, lost, true),) = asker.database.fetch(text, values)
    except NoValue:
        raise DataError("E-OVERFLOW", "sql.range") from None
    total, lost, true = int(total), int(lost or 0), int(true or 0)
    if total == 0:
        raise DataError("E-EMPTY", "data.no_rows", place=place)
    assert reading.condition is not None
    if lost and wanted.missing == "error":
        names = some([printable(one) for one in (*reading.condition.numeric, *reading.condition.textual)])
        raise DataError("E-MISSING", "sql.missing_where", count=lost, columns=names)
    if not true:
        raise DataError("E-EMPTY", "data.where_none", condition=printable(wanted.where or ""), count=total, place=place)
    return total - lost - true, lost


def _faults(asker: Asker, reading: Reading, wanted: Wanted) -> int:
    """How many rows lack a finite value; an error that says in which columns, unless they are to be dropped."""
    text, values = reading.faults()
    (row,) = asker.database.fetch(text, values)
    count, counts = int(row[0]), [int(one or 0) for one in row[1:]]
    if wanted.missing == "drop":
        return count
    shown = []
    for name, missing, infinite in zip(reading.used, counts[::2], counts[1::2], strict=True):
        if missing or infinite:
            shown.append(f"{printable(name)} {missing + infinite}")
    key = "sql.infinite" if any(counts[1::2]) else "sql.missing"
    raise DataError("E-MISSING", key, count=count, columns=some(shown))


def _check(found: _Ranges, kinds: Mapping[str, str], wanted: Wanted) -> None:
    for name, (low, high) in found.columns.items():
        if kinds[name] == "integer" and max(abs(low), abs(high)) > EXACT:
            value = high if abs(high) > abs(low) else low
            raise DataError("E-INTEGER", "sql.integer", column=printable(name), value=f"{value:.17g}")
    if not found.valued:
        raise DataError("E-DOMAIN", "sql.response", response=wanted.model.response)
    for what, given in (("sigma", wanted.sigma), ("weights", wanted.weights)):
        if isinstance(given, str) and found.weights is not None:
            low = found.columns[given][0]
            usable = np.isfinite(found.weights).all() and found.weights[0] > 0.0
            if not low > 0.0:
                raise DataError("E-SIGMA", f"sql.bad_{what}", column=printable(given), value=f"{low:g}")
            if not usable:
                raise DataError("E-SIGMA", "sql.extreme", column=printable(given))


def _scatter(asker: Asker, rows: Rows, terms: Terms, found: _Ranges) -> tuple[float, float]:
    """Σ w (y − ȳ)² and Σ w y²: from sums about 0 where that loses few digits, else from a pass of its own."""
    mean = found.total / found.weight
    spread = found.squares - found.total * mean
    none = found.squares < SMALLEST and found.total != 0.0
    if none or not found.squares < LARGEST:
        raise DataError("E-OVERFLOW", "sql.range")
    if spread > FAR * found.squares:
        return spread, found.squares
    b = terms.b
    off = b("sub", terms.y, b.leaf("parameter", "\0mean"))
    square = b("mul", off, off)
    node = square if terms.weight is None else b("mul", terms.weight, square)
    graph = terms.graph()
    make = lambda in_range: aggregates(graph, rows, asker.dialect, [("SUM({})", node)], in_range)  # noqa: E731
    answer = asker.ask(make, {"\0mean": mean})
    if answer is None:
        raise DataError("E-OVERFLOW", "sql.range")
    return _float(answer[0][0]), found.squares

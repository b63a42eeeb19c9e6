"""A graph as SQL: aggregates over rows; parts that are used again are computed once a row, in nested subqueries.

What does not depend on a column is computed here and bound as a value; everything else is printed from the table of
operations. It prints; it asks no database. Not here: which sums a solver needs (:mod:`katamuki.backends.sql_sums`),
and what rows there are (:mod:`katamuki.backends.sql_rows`).
"""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from katamuki.backends import numpy_
from katamuki.data.databases import Dialect, Value, number, with_numbers
from katamuki.errors import BackendError
from katamuki.graph import LEAVES, Builder, Graph, depends, needed
from katamuki.ops import TABLE

NEST = 40  # parts inside each other up to which a text stays one: parsers have limits
COUNT = ("COUNT(*)", None)
RANGE = ("add", "sub", "mul", "div")
# Arithmetic that raises no error of its range: what is too small is 0, what is too large infinite.
SURE = "(abs({0}) BETWEEN 1e-140 AND 1e140 OR {0} = 0.0 OR abs({0}) >= {inf})"
IN_RANGE = {
    "add": "((CASE WHEN abs({0}) > 8e307 THEN {0} * {inf} ELSE {0} END)"
    " + (CASE WHEN abs({1}) > 8e307 THEN {1} * {inf} ELSE {1} END))",
    "sub": "((CASE WHEN abs({0}) > 8e307 THEN {0} * {inf} ELSE {0} END)"
    " - (CASE WHEN abs({1}) > 8e307 THEN {1} * {inf} ELSE {1} END))",
    "mul": f"(CASE WHEN {{0}} = 0.0 OR {{1}} = 0.0 OR {SURE} AND {SURE.replace('{0}', '{1}')} THEN {{0}} * {{1}}"
    " WHEN ln(abs({0})) + ln(abs({1})) < -708.0 THEN 0.0"
    " WHEN ln(abs({0})) + ln(abs({1})) > 709.0 THEN sign({0}) * sign({1}) * {inf} ELSE {0} * {1} END)",
    "div": f"(CASE WHEN {{1}} = 0.0 THEN {{0}} * {{inf}}"
    f" WHEN {{0}} = 0.0 OR {SURE} AND {SURE.replace('{0}', '{1}')} THEN {{0}} / {{1}}"
    " WHEN ln(abs({0})) - ln(abs({1})) < -708.0 THEN 0.0"
    " WHEN ln(abs({0})) - ln(abs({1})) > 709.0 THEN sign({0}) * sign({1}) * {inf} ELSE {0} / {1} END)",
}


@dataclass(frozen=True, slots=True)
class Rows:
    """A query for the rows, its columns c0, c1, … named by ``places``; ``values`` are bound to its first places."""

    text: str
    places: Mapping[str, str]
    values: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Aggregates:
    """One query of one row: its text, and the graph of the numbers that it binds after those of the rows."""

    text: str
    fixed: tuple[Value, ...]
    bound: Graph

    def values(self, params: Mapping[str, float]) -> list[Value]:
        """What is bound at some parameters."""
        return [*self.fixed, *(float(one[0]) for one in numpy_.evaluate(self.bound, {}, params))]


@lru_cache(maxsize=1024)
def template(op: str, dialect: Dialect, in_range: bool) -> str:
    """The text of an operation in a database; ``in_range`` for arithmetic that raises no error.

    Raises
    ------
    BackendError
        If the database has neither the operation nor one that gives the same digits.
    """
    sources = TABLE[op].sources
    found = sources.get(f"sql_{dialect.key}")
    if found is None:
        checked = sources.get("sql_checked") if dialect.checked else None
        found = checked or sources.get("sql", "")
        if in_range and op in RANGE:
            found = IN_RANGE[op].replace("8e307", "8.0e307").replace("1e-140", "1.0e-140").replace("1e140", "1.0e140")
    if not found:  # an empty one of its own says that there is none
        raise BackendError("E-BACKEND", "sql.no_operation", op=op, database=dialect.name)
    return with_numbers(found, dialect).replace("{inf}", dialect.inf).replace("{nan}", dialect.nan)


@lru_cache(maxsize=1024)
def _argument_uses(text: str) -> tuple[int, ...]:
    """How often each argument stands in a template."""
    found = Counter(int(name) for _, name, _, _ in string.Formatter().parse(text) if name)
    return tuple(found[k] for k in range(max(found, default=-1) + 1))


class Printer:
    """Nodes as text over subqueries; a node that is used twice is a column of one."""

    def __init__(self, graph: Graph, wanted: Sequence[int], dialect: Dialect, columns: Mapping[str, str], first: int,
                 in_range: bool) -> None:  # fmt: skip
        self.graph, self.dialect, self.columns, self.in_range = graph, dialect, columns, in_range
        self.moving = depends(graph, columns=graph.columns)
        self.first = first  # places that are taken already
        self.slots: dict[int, int] = {}  # node that is bound → place
        self.depth: dict[int, int] = {}
        self.named: set[int] = set()
        self.height: dict[int, int] = {}
        self.texts: dict[int, str] = {}
        self._plan(wanted)

    def _plan(self, wanted: Sequence[int]) -> None:
        """Which nodes get a column of their own, and in which subquery."""
        nodes = self.graph.nodes
        order = [k for k in needed(nodes, wanted) if k in self.moving and nodes[k].op not in LEAVES]
        uses = Counter(wanted)
        for k in order:
            times = _argument_uses(template(nodes[k].op, self.dialect, self.in_range))
            for argument, count in zip(nodes[k].args, times, strict=True):
                uses[argument] += count
        for k in order:
            inner = [a for a in nodes[k].args if a in self.moving and nodes[a].op not in LEAVES]
            self.depth[k] = max((self.depth[a] + (a in self.named) for a in inner), default=0)
            self.height[k] = 1 + max((self.height[a] for a in inner if a not in self.named), default=0)
            if uses[k] > 1 or self.height[k] >= NEST:
                self.named.add(k)

    def text(self, k: int) -> str:
        """A node where it is used: a column, a bound value, or its own text."""
        return f"v{k}" if k in self.named else self.written(k)

    def written(self, k: int) -> str:
        """A node's own text; nodes are asked for in their order, so that it need not recurse far."""
        node = self.graph.nodes[k]
        if k not in self.moving:
            if node.op == "constant" and math.isfinite(node.value):  # type: ignore[arg-type]
                return number(float(node.value), self.dialect)  # type: ignore[arg-type]
            place = self.slots.setdefault(k, self.first + len(self.slots) + 1)
            return self.dialect.place.format(place)
        if node.op == "column":
            return self.columns[str(node.value)]
        return template(node.op, self.dialect, self.in_range).format(*(self.text(a) for a in node.args))

    def below(self, rows: str, top: Sequence[int]) -> str:
        """The subqueries under an aggregate of some nodes."""
        last = max((self._reach(k) for k in top), default=-1)
        text, kept = rows, set(self.columns.values())
        for level in range(last + 1):
            new = sorted(k for k in self.named if self.depth[k] == level)
            wanted = self._columns_above(level, top)
            passed = sorted(one for one in kept if one in wanted)
            listed = [*passed, *(f"{self.written(k)} AS v{k}" for k in new)]
            text = f"SELECT {', '.join(listed) or '1 AS one'}\nFROM (\n{text}\n) AS s{level}{self.dialect.fence}"
            kept = {*passed, *(f"v{k}" for k in new)}
        return f"FROM (\n{text}\n) AS s{last + 1}"

    def _reach(self, k: int) -> int:
        """The last subquery that a node's text needs below it."""
        if k not in self.depth:
            return -1
        return self.depth[k] if k in self.named else self.depth[k] - 1

    def _columns_above(self, level: int, top: Sequence[int]) -> set[str]:
        """The columns that texts above a subquery use."""
        found: set[str] = set()
        for start in (*(k for k in self.named if self.depth[k] > level), *top):
            stack = [start]
            while stack:
                k = stack.pop()
                node = self.graph.nodes[k]
                if node.op == "column":
                    found.add(self.columns[str(node.value)])
                elif k in self.named and (k != start or self.depth[k] <= level):
                    found.add(f"v{k}")
                elif k in self.moving:
                    stack.extend(node.args)
        return found


def aggregates(
    graph: Graph,
    rows: Rows,
    dialect: Dialect,
    sums: Sequence[tuple[str, int | None]],
    in_range: bool = False,
    tail: str = "",
) -> Aggregates:
    """A query of aggregates over rows.

    Parameters
    ----------
    graph : Graph
        What is computed from columns, parameters and constants.
    rows : Rows
        Where the columns are.
    dialect : Dialect
        The database's.
    sums : sequence of (format, node)
        ``("SUM({})", 7)``: node 7 summed; ``("COUNT(*)", None)``.
    in_range : bool
        Whether arithmetic must raise no error of its range.
    tail : str
        What follows: ``GROUP BY 1``.
    """
    top = [k for _, k in sums if k is not None]
    printer = Printer(graph, top, dialect, rows.places, len(rows.values), in_range)
    listed = [form if k is None else form.format(printer.text(k)) for form, k in sums]
    text = f"SELECT {', '.join(listed)}\n{printer.below(rows.text, top)}{tail}"
    bound = Builder(graph.nodes).graph(printer.slots)
    return Aggregates(text, rows.values, bound)

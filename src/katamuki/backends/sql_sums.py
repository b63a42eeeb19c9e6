"""The sums that a solver needs of rows in a database: Σ w r², Jᵀr and JᵀJ as one query.

A column of J is a product: what does not depend on a row stands outside the sum, so that ``a*exp(-b*x)`` sums e and
x·e, and a formula's terms are shared. With a basis M the sums are those of J·M: where M is the inverse of a triangle
that J has nearly, columns that depend on each other are pulled apart row by row, before anything is summed, and keep
their digits (Yamamoto, Nakatsukasa, Yanagisawa & Fukaya 2015, CholeskyQR2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from katamuki.backends import numpy_
from katamuki.backends.sql import COUNT, Aggregates, Rows, aggregates
from katamuki.data.databases import Dialect
from katamuki.graph import LEAVES, Builder, Graph
from katamuki.records import Array


def multiplied(graph: Graph) -> Graph:
    """The graph with whole powers written as multiplications, as kernels do; databases take logarithms for them."""
    b = Builder(simplify=True)
    place: list[int] = []
    for node in graph.nodes:
        args = tuple(place[a] for a in node.args)
        exponent = b.constant(args[1]) if node.op == "powi" else None
        if node.op in LEAVES:
            place.append(b.leaf(node.op, node.value, node.span))  # type: ignore[arg-type]
        elif exponent is not None:
            place.append(_power(b, args[0], int(exponent)))
        else:
            place.append(b(node.op, *args))
    return b.graph([place[k] for k in graph.outputs], graph)


def _power(b: Builder, base: int, exponent: int) -> int:
    """base**exponent by squares."""
    found, square, left = None, base, abs(exponent)
    while left:
        if left & 1:
            found = square if found is None else b("mul", found, square)
        left >>= 1
        if left:
            square = b("mul", square, square)
    if found is None:
        return b.leaf("constant", 1.0)
    return b("div", 1.0, found) if exponent < 0 else found


class Terms:
    """The nodes behind the sums: the residual, and of each column of J what depends on a row and what does not.

    Parameters
    ----------
    slopes : Graph
        The formula's value and partial derivatives by all parameters.
    free : sequence of int
        The places of the free parameters among all.
    left : Graph
        The left side.
    weight : (column, whether it is a sigma), optional
        Where rows have weights of their own.
    """

    def __init__(self, slopes: Graph, free: Sequence[int], left: Graph, weight: tuple[str, bool] | None) -> None:
        slopes, left = multiplied(slopes), multiplied(left)
        self.b = b = Builder(slopes.nodes, simplify=True)
        place: list[int] = []
        for node in left.nodes:
            args = tuple(place[a] for a in node.args)
            place.append(b.leaf(node.op, node.value) if node.op in LEAVES else b(node.op, *args))  # type: ignore[arg-type]
        self.columns = tuple(dict.fromkeys((*slopes.columns, *left.columns, *((weight[0],) if weight else ()))))
        self.parameters = slopes.parameters
        self.value, self.y = slopes.outputs[0], place[left.outputs[0]]
        self.r = b("sub", self.y, self.value)
        self.weight: int | None = None
        if weight is not None:
            column = b.leaf("column", weight[0])
            self.weight = b("div", 1.0, b("mul", column, column)) if weight[1] else column
        self._moving: dict[int, bool] = {}
        parts = [self._split(slopes.outputs[1 + k]) for k in free]
        self.cores = tuple(dict.fromkeys(core for _, core in parts))  # None: the column is the same in all rows
        self.places = np.array([self.cores.index(core) for _, core in parts], dtype=np.int64)
        self.factors = b.graph([factor for factor, _ in parts], Graph((), (), (), self.parameters))

    def _moves(self, k: int) -> bool:
        """Whether a node depends on a row."""
        stack = [k]
        while stack:
            k = stack[-1]
            node = self.b.nodes[k]
            waiting = [a for a in node.args if a not in self._moving]
            if waiting:
                stack.extend(waiting)
                continue
            self._moving[k] = node.op == "column" or any(self._moving[a] for a in node.args)
            stack.pop()
        return self._moving[k]

    def _split(self, k: int) -> tuple[int, int | None]:
        """A node as a factor that is the same in all rows, times one that is not (None: 1)."""
        b = self.b
        factor, cores, stack = b.leaf("constant", 1.0), list[int](), [k]
        while stack:
            k = stack.pop()
            node = b.nodes[k]
            if not self._moves(k):
                factor = b("mul", factor, k)
            elif node.op == "mul":
                stack.extend(reversed(node.args))
            elif node.op == "neg":
                factor = b("neg", factor)
                stack.append(node.args[0])
            elif node.op == "div" and not self._moves(node.args[1]):
                factor = b("div", factor, node.args[1])
                stack.append(node.args[0])
            else:
                cores.append(k)
        if not cores:
            return factor, None
        core = cores[0]
        for one in cores[1:]:
            core = b("mul", core, one)
        return factor, core

    def factors_at(self, params: Mapping[str, float]) -> Array:
        """The factor of each column of J (p,)."""
        return np.array([float(one[0]) for one in numpy_.evaluate(self.factors, {}, params)])

    def is_zero_at(self, params: Mapping[str, float]) -> bool:
        """Whether the formula's value is plainly 0 in every row at some parameters: then residuals are y itself.

        Products with a 0, and sums of such; whatever else may be 0, as a difference of equals, is not taken for it.
        """
        zero: list[bool] = []
        for node in self.b.nodes[: self.value + 1]:
            args = [zero[a] for a in node.args]
            if node.op == "constant":
                zero.append(node.value == 0.0)
            elif node.op == "parameter":
                zero.append(params.get(str(node.value)) == 0.0)
            elif node.op == "mul":
                zero.append(any(args))
            elif node.op in {"add", "sub", "neg"}:
                zero.append(all(args))
            else:
                zero.append(node.op == "div" and args[0])
        return zero[self.value]

    def graph(self) -> Graph:
        """All nodes there are by now."""
        return Graph(tuple(self.b.nodes), (), self.columns, self.parameters)


SUMMED = "SUM({})"


@dataclass(frozen=True, slots=True)
class Sums:
    """A query whose row is: how many residuals have a value; where a database has no NaN, how many rows there are; then
    Σ w r², and with ``width`` columns Σ w qᵢ r and Σ w qᵢ qⱼ, but for ``known`` ones, which count rows; last, with
    columns, the largest w r²."""

    query: Aggregates
    nulls: bool
    width: int = 0
    known: tuple[bool, ...] = ()

    def rows(self, row: Sequence[float]) -> tuple[int, int]:
        """How many rows there were, and how many had a value."""
        return int(row[1 if self.nulls else 0]), int(row[0])

    def matrix(self, row: Sequence[float], n: int) -> tuple[float, Array, Array]:
        """Σ w r², the products with r (width,), and the products of the columns (width, width)."""
        numbers = [np.nan if one is None else float(one) for one in row[1 + self.nulls :]]
        rest = iter(numbers[1 + self.width :])
        upper = [float(n) if known else next(rest) for known in self.known]
        at = np.triu_indices(self.width)
        products = np.zeros((self.width, self.width))
        products[at] = upper
        products.T[at] = upper
        return numbers[0], np.array(numbers[1 : 1 + self.width]), products


def _counted(terms: Terms, dialect: Dialect) -> list[tuple[str, int | None]]:
    """What counts rows."""
    return [("COUNT({})", terms.r), *([COUNT] if dialect.nulls else [])]


def square_sum(terms: Terms, rows: Rows, dialect: Dialect, in_range: bool) -> Sums:
    """Σ w r² alone."""
    wr = terms.r if terms.weight is None else terms.b("mul", terms.weight, terms.r)
    wanted = [*_counted(terms, dialect), (SUMMED, terms.b("mul", wr, terms.r))]
    return Sums(aggregates(terms.graph(), rows, dialect, wanted, in_range), dialect.nulls)


def core_sums(terms: Terms, rows: Rows, dialect: Dialect, in_range: bool) -> Sums:
    """The sums over the cores of J's columns: (number of cores) wide."""
    b = terms.b
    return _products(terms, [b.leaf("constant", 1.0) if k is None else k for k in terms.cores], rows, dialect, in_range)


def basis_name(i: int, j: int) -> str:
    """The bound value that stands for how much of core i is in column j of the basis."""
    return f"\0{i}.{j}"


def basis_sums(terms: Terms, p: int, rows: Rows, dialect: Dialect, in_range: bool) -> Sums:
    """The sums over p columns that are combinations of cores, bound by :func:`basis_name`."""
    b, columns = terms.b, []
    for j in range(p):
        found: int | None = None
        for i, core in enumerate(terms.cores):
            share = b.leaf("parameter", basis_name(i, j))
            part = share if core is None else b("mul", share, core)
            found = part if found is None else b("add", found, part)
        assert found is not None
        columns.append(found)
    return _products(terms, columns, rows, dialect, in_range)


def _products(terms: Terms, columns: Sequence[int], rows: Rows, dialect: Dialect, in_range: bool) -> Sums:
    """A query of Σ w r², Σ w qᵢ r and Σ w qᵢ qⱼ."""
    b = terms.b
    weighted = columns if terms.weight is None else [b("mul", terms.weight, one) for one in columns]
    wr = terms.r if terms.weight is None else b("mul", terms.weight, terms.r)
    wanted = [*_counted(terms, dialect), (SUMMED, b("mul", wr, terms.r))]
    wanted += [(SUMMED, b("mul", one, terms.r)) for one in weighted]
    products = [b("mul", one, two) for i, one in enumerate(weighted) for two in columns[i:]]
    known = tuple(b.constant(one) == 1.0 for one in products)
    wanted += [(SUMMED, one) for one, count in zip(products, known, strict=True) if not count]
    wanted.append(("MAX({})", b("mul", wr, terms.r)))
    query = aggregates(terms.graph(), rows, dialect, wanted, in_range)
    return Sums(query, dialect.nulls, len(columns), known)

"""Sums of products in whole numbers, which databases add without rounding: for columns that are nearly dependent.

Each column is scaled by a power of two and split into two whole numbers of 31 bits, c = (h + l/2³¹)/s, without
rounding but for what is 2⁻⁶² of the largest value; Σ hᵢhⱼ, Σ (hᵢlⱼ + lᵢhⱼ) and Σ lᵢlⱼ are sums of 64-bit products in
128 bits or more. Source: Rump, Ogita & Oishi 2008 (splitting against a common grid); Ozaki et al. 2012 for products.
What is not exact is what a column is before it is split: a power of a fraction has been rounded to a double.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from katamuki.backends.sql import Aggregates, Rows, aggregates
from katamuki.data.databases import Dialect, Row, Value, number
from katamuki.graph import Graph

BITS = 30  # of a whole part: the sum of two of its products, 2 · 2³⁰ · 2³⁰, is a 64-bit number
PART = 31  # of the rest
EXACT = 2.0**53


@dataclass(frozen=True, slots=True)
class Sizes:
    """A query of one row: of each node the largest size, and the largest distance to a whole number."""

    query: Aggregates

    def read(self, row: Row) -> list[tuple[float, bool]]:
        """Of each node the largest size, and whether all its values are whole numbers that doubles hold."""
        pairs = zip(row[::2], row[1::2], strict=True)
        sizes = [(math.nan if one is None else float(one), two) for one, two in pairs]
        return [(size, two is not None and float(two) == 0.0 and size < EXACT) for size, two in sizes]


def sizes(graph: Graph, nodes: Sequence[int], rows: Rows, dialect: Dialect, in_range: bool) -> Sizes:
    """The query for sizes."""
    sums: list[tuple[str, int | None]] = []
    for one in nodes:
        sums += [("MAX(abs({}))", one), ("MAX(abs({0} - floor({0})))", one)]
    return Sizes(aggregates(graph, rows, dialect, sums, in_range))


@dataclass(frozen=True, slots=True)
class WholeSums:
    """A query of one row: how many rows, and three sums for each pair of columns."""

    text: str
    inner: Aggregates
    scales: tuple[int, ...]

    def values(self, params: dict[str, float]) -> list[Value]:
        """What is bound."""
        return self.inner.values(params)

    def products(self, row: Row) -> list[list[Decimal]]:
        """Σ cᵢcⱼ for all pairs; the decimal context of the caller says with how many digits."""
        count = len(self.scales)
        rest = iter(row[1:])
        found = [[Decimal(0)] * count for _ in range(count)]
        for i in range(count):
            for j in range(i, count):
                high, middle, low = (Decimal(int(next(rest))) for _ in range(3))
                whole = (high * 2**PART + middle) * 2**PART + low
                found[i][j] = found[j][i] = whole * Decimal(2) ** -(2 * PART + self.scales[i] + self.scales[j])
        return found


def whole_sums(
    graph: Graph, nodes: Sequence[int], largest: Sequence[float], rows: Rows, dialect: Dialect, in_range: bool
) -> WholeSums:
    """The query for sums of products of all pairs of nodes, whose largest sizes are known."""
    inner = aggregates(graph, rows, dialect, [(f"{{}} AS x{k}", one) for k, one in enumerate(nodes)], in_range)
    scales = tuple(BITS - math.frexp(one)[1] for one in largest)
    every = range(len(nodes))
    scaled = ", ".join(f"x{k} * {number(math.ldexp(1.0, scale), dialect)} AS t{k}" for k, scale in enumerate(scales))
    split = ", ".join(f"t{k}, CAST(t{k} AS BIGINT) AS h{k}" for k in every)
    two = number(2.0**PART, dialect)
    rests = ", ".join(f"h{k}, CAST((t{k} - h{k}) * {two} AS BIGINT) AS l{k}" for k in every)
    text = inner.text
    for level, listed in enumerate((scaled, split, rests)):
        text = f"SELECT {listed}\nFROM (\n{text}{'' if level else dialect.fence}\n) AS e{level}{dialect.fence}"
    listed = ", ".join(
        f"SUM(h{i} * h{j}), SUM(h{i} * l{j} + l{i} * h{j}), SUM(l{i} * l{j})" for i in every for j in every if i <= j
    )
    return WholeSums(f"SELECT COUNT(*), {listed}\nFROM (\n{text}\n) AS e3", inner, scales)

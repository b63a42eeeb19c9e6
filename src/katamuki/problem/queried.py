"""A problem whose rows a database has: it makes the sums, and only their numbers come here.

One aggregate query per linearisation (:mod:`katamuki.backends.sql_sums`). Where columns of J nearly depend on each
other the database sums J·M instead, M the inverse of the triangle found so far, and what comes back has the digits of a
QR decomposition (CholeskyQR2, Yamamoto et al. 2015; shifted where that is not enough, Fukaya et al. 2020). No row
travels unless the source says how many may; the search then looks at means of cells of rows. Every pass counts the
rows, and a table that changed is an error.

What is not here: sums with more digits than doubles. The order of a sum is the database's, so that last bits may differ
from one run to the next.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Context, Decimal, localcontext
from typing import Any

import numpy as np

from katamuki.backends.native import address_of
from katamuki.backends.sql import COUNT, Aggregates, Rows
from katamuki.backends.sql_exact import WholeSums, sizes, whole_sums
from katamuki.backends.sql_rows import cells
from katamuki.backends.sql_sums import Sums, Terms, basis_name, basis_sums, core_sums, square_sum
from katamuki.data.databases import Dialect
from katamuki.data.sql import Queried
from katamuki.errors import BackendError, DataError
from katamuki.graph import Graph
from katamuki.problem import DEPENDENT, FINE, ILL, passes
from katamuki.problem.distant import Distant, Wanted, rooted
from katamuki.problem.queried_rows import Asker, facts_of
from katamuki.problem.queried_sample import axes_of, drawn, sample_of, thin
from katamuki.records import Array, CellSums

ROUNDS = 3  # bases tried one after the other: each reaches columns 1e7 times nearer to dependent
SHIFT = 1e-14  # a pivot below this is the rounding of sums in doubles
DIGITS = 64  # of decimal sums, as in ``solvers.linear``
EPSILON = 2.0**-52
ROUNDING = 4 * EPSILON  # of y, of each term of the formula, and of their sum


class QueriedProblem(Distant):
    """What a solver needs of a query's rows."""

    def __init__(self, rows: Queried, wanted: Wanted) -> None:
        super().__init__(wanted)
        weight: tuple[str, bool] | None = None
        self.factor = 1.0  # w of all rows
        for one, is_sigma in ((wanted.sigma, True), (wanted.weights, False)):
            if isinstance(one, str):
                weight = one, is_sigma
            elif one is not None:
                self.factor = 1.0 / float(one) ** 2 if is_sigma else float(one)
        free = [int(k) for k in self.free]
        self.terms = Terms(self.kernel.derivative, free, wanted.model.lhs, weight)
        self.asker = Asker(rows.database)
        self.facts = facts_of(self.asker, rows, wanted, self.terms)
        self.n = self.facts.n
        self.tss, self.tss_about_zero = self.facts.tss * self.factor, self.facts.tss_about_zero * self.factor
        self._printed: dict[tuple[str, bool], Sums] = {}
        self._basis: Array | None = None
        self.exact: bool | None = None  # sums were whole numbers: of columns without rounding, or of rounded ones
        self._largest = math.nan  # w r², at the place that was asked for last
        self._best = math.inf
        self._best_at: Array | None = None
        found = sample_of(self.asker, rows, wanted, self.terms, self.facts)
        self.sample, self.drawn, self.drawn_weights, self.travelled = found
        if not self.travelled and self.factor != 1.0:
            self.drawn_weights = np.full(2, self.factor)
        self.source = replace(self.facts.source, sample=self.sample.n if self.travelled else 0)

    # One query each ----------------------------------------------------------------------------------------------

    def squares(self, values: Array) -> float:
        """Σ w r² at all parameters (all_p,)."""
        found = self._asked("squares", values, {}, lambda: square_sum(self.terms, *self._where))
        return math.nan if found is None else found[0]

    def sums(self, values: Array) -> Array:
        """rss, Jᵀr (p,) and the upper triangle of JᵀJ by rows at all parameters (all_p,), weighted."""
        found = self._asked("cores", values, {}, lambda: core_sums(self.terms, *self._where))
        if found is None:
            return np.full(1 + self.p + self.p * (self.p + 1) // 2, np.nan)
        rss, right, products = found
        with np.errstate(all="ignore"):
            factors, places = self._factors(values), self.terms.places
            right = factors * right[places]
            matrix = np.outer(factors, factors) * products[np.ix_(places, places)]
        return np.concatenate([[rss], right, matrix[np.triu_indices(self.p)]])

    def exact_sums(self) -> list[Decimal] | None:
        """Of a formula that is linear in its free parameters, all of them 0: ``sums`` in whole numbers.

        None where rows have weights of their own, and for a database whose whole numbers overflow.
        """
        if self.terms.weight is not None or self.asker.dialect.nulls:
            return None
        nodes = [one for one in self.terms.cores if one is not None] + [self.terms.r]
        params = dict(zip(self.names, self.full(0.0).tolist(), strict=True))
        graph, rows, dialect = self.terms.graph(), self.facts.rows, self.asker.dialect
        asked = self.asker.ask(lambda in_range: sizes(graph, nodes, rows, dialect, in_range).query, params)
        if asked is None:
            return None
        self.evaluations += 2
        known = sizes(graph, nodes, rows, dialect, self.asker.in_range).read(asked[0])
        if not all(0.0 < size < 2.0**900 and size > 2.0**-900 for size, _ in known):
            return None
        products = self._whole(graph, nodes, [size for size, _ in known], params)
        if products is None:
            return None
        leaves = [self.terms.b.nodes[one].op == "column" for one in nodes[:-1]]
        leaves.append(self.terms.b.nodes[self.terms.y].op == "column" and self.terms.is_zero_at(params))
        self.exact = all(leaf or whole for leaf, (_, whole) in zip(leaves, known, strict=True))
        return products

    def _whole(
        self, graph: Graph, nodes: list[int], largest: list[float], params: dict[str, float]
    ) -> list[Decimal] | None:
        """The sums, from those of products of all pairs of cores and residuals."""
        made: list[WholeSums] = []

        def query(in_range: bool) -> Aggregates:
            made.append(whole_sums(graph, nodes, largest, self.facts.rows, self.asker.dialect, in_range))
            return replace(made[-1].inner, text=made[-1].text)

        ones = None in self.terms.cores
        if ones:  # a column that is the same in all rows is a column of ones
            nodes, largest = [self.terms.b.leaf("constant", 1.0), *nodes], [1.0, *largest]
        asked = self.asker.ask(query, params)
        if asked is None:
            return None
        (row,) = asked
        if row[0] != self.n:
            raise DataError("E-CHANGED", "sql.changed", before=self.n, now=int(row[0]))
        with localcontext(Context(prec=DIGITS)):
            products = made[-1].products(row)
            order = [core for core in self.terms.cores if core is not None]
            place = [
                0 if (core := self.terms.cores[k]) is None else ones + order.index(core) for k in self.terms.places
            ]
            factors = [Decimal(float(one)) for one in self._factors(self.full(0.0))]
            w = Decimal(self.factor)
            found = [w * products[-1][-1]]
            found += [w * factors[k] * products[place[k]][-1] for k in range(self.p)]
            for i in range(self.p):
                found += [w * factors[i] * factors[j] * products[place[i]][place[j]] for j in range(i, self.p)]
        return found

    def triangle(self, values: Array, exact: bool = False) -> Array:
        """rss and the triangle (p+1, p+1) of [J, r], flat, at all parameters (all_p,)."""
        if self._basis is None:
            sums, out = self.normal(values), np.empty(1 + (self.p + 1) ** 2)
            if passes.factor(address_of(sums), self.p, FINE if exact else ILL, address_of(out)) != DEPENDENT:
                return out
        return self.folded(values)

    def folded(self, values: Array) -> Array:
        """The same by sums in a basis in which the columns of J are nearly orthogonal; the basis is kept."""
        p, q = self.p, self.p + 1
        basis = self._basis
        if basis is None:
            basis = inverse(rooted(self.normal(values), p)[1:].reshape(q, q)[:p, :p])
        for _ in range(ROUNDS):
            found = self._in_basis(values, basis)
            if found is None:
                return np.full(1 + q * q, np.nan)
            rss, right, products = found
            root, least = root_of(products)
            if least >= FINE:
                break
            basis = basis @ inverse(root)
        else:
            found = self._in_basis(values, basis)
            if found is None:
                return np.full(1 + q * q, np.nan)
            rss, right, products = found
            root, _ = root_of(products)
        self._basis = basis
        out = np.zeros((q, q))
        out[:p, :p] = np.triu(root @ inverse(basis))
        out[:p, p] = forward(root, right)
        out[p, p] = math.sqrt(max(rss - float(out[:p, p] @ out[:p, p]), 0.0))
        return np.concatenate([[rss], out.ravel()])

    def _in_basis(self, values: Array, basis: Array) -> tuple[float, Array, Array] | None:
        """Σ w r², the products with r and those of the columns of J·basis."""
        shares = np.zeros((len(self.terms.cores), self.p))
        with np.errstate(all="ignore"):
            np.add.at(shares, self.terms.places, self._factors(values)[:, None] * basis)
        if not np.isfinite(shares).all():
            return None
        bound = {basis_name(i, j): float(one) for (i, j), one in np.ndenumerate(shares)}
        found = self._asked("basis", values, bound, lambda: basis_sums(self.terms, self.p, *self._where))
        if found is None or not all(np.isfinite(one).all() for one in found):
            return None
        return found

    @property
    def _where(self) -> tuple[Rows, Dialect, bool]:
        return self.facts.rows, self.asker.dialect, self.asker.in_range

    def _factors(self, values: Array) -> Array:
        return self.terms.factors_at(dict(zip(self.names, values.tolist(), strict=True)))

    def _asked(
        self, what: str, values: Array, more: Mapping[str, float], make: Callable[[], Sums]
    ) -> tuple[float, Array, Array] | None:
        """The numbers of a query at some parameters; None where rows have no value there."""
        self.evaluations += 1
        if not np.isfinite(values).all():
            return None
        params = dict(zip(self.names, values.tolist(), strict=True)) | dict(more)

        def printed(in_range: bool) -> Sums:
            key = what, in_range
            if key not in self._printed:
                self._printed[key] = make()
            return self._printed[key]

        try:
            rows = self.asker.ask(lambda in_range: printed(in_range).query, params)
            if what != "squares":
                self.asked_by = printed(self.asker.in_range).query.text
        except BackendError as error:
            raise self._lost(error) from None
        if rows is None:
            return None
        (row,), sums = rows, printed(self.asker.in_range)
        there, valued = sums.rows(row)
        if there != self.n:
            raise DataError("E-CHANGED", "sql.changed", before=self.n, now=there)
        if valued != self.n:
            return None  # a database without NaN
        rss, right, products = sums.matrix(row, self.n)
        if sums.width:
            self._largest = float(row[-1]) * self.factor
        if rss * self.factor < self._best:
            self._best, self._best_at = rss * self.factor, values.copy()
        return rss * self.factor, right * self.factor, products * self.factor

    def _lost(self, error: BackendError) -> BackendError:
        """The error of a database that went away, with how far the fit came."""
        if self._best_at is None or error.key != "sql.gone":
            return error
        reached = zip(self.free_names, self._best_at[self.free].tolist(), strict=True)
        start = ", ".join(f'"{name}": {value!r}' for name, value in reached)
        values: dict[str, Any] = {**error.values, "start": f"{{{start}}}"}
        return BackendError("E-DATABASE", "sql.gone_at", **values)

    # What is said of them ----------------------------------------------------------------------------------------

    @property
    def counted(self) -> int:
        """How many rows count."""
        return self.n

    def draw(self, count: int) -> tuple[Mapping[str, Array], Array | None]:
        """So many rows that travel after all: columns by name, and w."""
        arrays, _, weights = drawn(self.asker, count, self.wanted, self.facts)
        return arrays, weights

    def cells(self, values: Array) -> CellSums | None:
        """Sums over residuals by cells, of a part of many rows, and the largest of all beside the answer."""
        b, w = self.terms.b, self.terms.weight
        wr = self.terms.r if w is None else b("mul", w, self.terms.r)
        sums: list[tuple[str, int | None]] = [("SUM({})", wr), COUNT if w is None else ("SUM({})", w)]
        axes, rows = axes_of(self.wanted, self.terms, self.facts), thin(self.asker, self.facts)
        graph, params = self.terms.graph(), dict(zip(self.names, values.tolist(), strict=True))
        found = self.asker.ask(
            lambda in_range: cells(graph, rows, self.asker.dialect, axes, sums, in_range).query, params
        )
        if not found:
            return None
        if math.isnan(self._largest):
            self.sums(values)
        self.evaluations += 1
        table = np.array([row[-2:] for row in found], dtype=np.float64) * self.factor
        return CellSums(len(table), float((table[:, 0] ** 2 / table[:, 1]).sum()), self._largest)

    def digits(self, values: Array, triangle: Array, rss: float) -> dict[str, float]:
        """How many digits of each free parameter the scaled condition leaves: all_p values, (p, p) triangle of J.

        y and each term of the formula are rounded, and so is their difference: a parameter moves by no more than the
        norm of that times its row of the pseudo-inverse. Columns of J that are rounded turn the residuals, by as much
        times their condition. Source: Björck 1996, section 1.4.3, norms by columns.
        """
        noise = ROUNDING if self.exact is None else 0.0 if self.exact else EPSILON
        with np.errstate(all="ignore"):
            params, length = np.abs(values[self.free]), np.linalg.norm(triangle, axis=0)
            back = inverse(triangle)
            condition = np.linalg.norm(back * length[:, None], axis=None) * math.sqrt(self.p)
            size = math.sqrt(self.tss_about_zero) + float(params @ length) + condition * math.sqrt(max(rss, 0.0))
            spread = np.linalg.norm(back, axis=1)
            left = -np.log10(np.maximum(noise * size * spread / params, 2.0**-53))
        return dict(zip(self.free_names, left.tolist(), strict=True))

    def close(self) -> None:
        """Nothing is open here: the connection is the user's."""
        self.sample.close()


def root_of(products: Array) -> tuple[Array, float]:
    """The upper Cholesky factor of products of columns, and its smallest diagonal beside its column's length.

    A pivot that is rounding is lifted to what rounding is, so that the factor can be inverted; that of a column of
    zeros is 0.
    """
    p = len(products)
    length = np.sqrt(np.maximum(np.diag(products), 0.0))
    unit = np.where(length > 0.0, length, 1.0)
    scaled, root, least = products / np.outer(unit, unit), np.zeros((p, p)), 1.0
    for k in range(p):
        if length[k] == 0.0:
            continue
        above = root[:k]
        pivot = scaled[k, k] - float(above[:, k] @ above[:, k])
        root[k, k] = math.sqrt(max(pivot, SHIFT))
        root[k, k + 1 :] = (scaled[k, k + 1 :] - above[:, k] @ above[:, k + 1 :]) / root[k, k]
        least = min(least, float(root[k, k]))
    return root * unit, least


def inverse(triangle: Array) -> Array:
    """The inverse of an upper triangle (p, p); a diagonal of 0 counts as 1."""
    p = len(triangle)
    out = np.zeros((p, p))
    whole = triangle + np.diag(np.where(np.diag(triangle) == 0.0, 1.0, 0.0))
    for k in range(p - 1, -1, -1):
        out[k, k] = 1.0 / whole[k, k]
        out[k, k + 1 :] = -(whole[k, k + 1 :] @ out[k + 1 :, k + 1 :]) / whole[k, k]
    return out


def forward(root: Array, right: Array) -> Array:
    """rootᵀ x = right (p,); 0 where root has a diagonal of 0."""
    out = np.zeros(len(right))
    for k in range(len(right)):
        if root[k, k] != 0.0:
            out[k] = (right[k] - root[:k, k] @ out[:k]) / root[k, k]
    return out

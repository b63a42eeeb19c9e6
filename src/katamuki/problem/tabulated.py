"""A problem whose values and partial derivatives are computed elsewhere, and handed over as tables of rows.

The passes over rows are the compiled ones: a ``rows`` function that reads a table stands in the place of a model's
kernel, once for all models. Tables are made for some rows at a time, so that memory does not grow with the data, where
the model's rows do not depend on each other. What needs a kernel of its own, such as a compiled loop of steps, does not
run on it (``compiled`` is False).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.kernel import Kernel
from katamuki.backends.native import ROWS, address_of, at, function
from katamuki.problem import CHUNK, Problem, passes
from katamuki.records import Array

ROOM = 1 << 22  # numbers in a table


@function(ROWS)
def table_rows(columns, params, start, m, values, partials, want):  # type: ignore[no-untyped-def]
    """A model's ``rows`` read from a table: ``columns`` are the first predictor, f, how many partials, the partials."""
    found = at(columns[1], start)
    for i in range(m):
        values[i] = found[i]
    if want == 1:
        for k in range(int(columns[2][0])):
            slope = at(columns[3 + k], start)
            for i in range(m):
                partials[256 * k + i] = slope[i]
    return 0


class Tabled(Protocol):
    """Whoever computes tables."""

    def table(self, values: Array, first: int, last: int, want: bool) -> Array:
        """(1, m), or with ``want`` (1 + all parameters, m), float64 and contiguous: f, then ∂f by each parameter."""


class Table(Kernel):
    """What stands in the place of a kernel: names, and the address of :func:`table_rows`.

    ``make`` gives tables for other columns than those of a problem: ``make(columns, n)``.
    """

    def __init__(
        self,
        columns: Sequence[str],
        parameters: Sequence[str],
        source: str,
        make: Callable[[list[Array], int], Tabled],
        whole: bool,
        named: bool = True,
    ) -> None:
        self.graph = None  # type: ignore[assignment]  # no formula stands behind it
        self.columns = tuple(columns)
        self.parameters = tuple(parameters)
        self.layouts = {}
        self.text = source
        self.make = make
        self.named = named
        self.whole = whole  # rows may depend on each other: they are computed together

    @property
    def source(self) -> str:
        """The text of the model."""
        return self.text

    @property
    def address(self) -> int:
        """The address of the function that reads tables."""
        return table_rows.address

    def evaluate(self, columns: Any, params: Array, n: int, want: bool = False) -> Array:
        """Values (n,), or with ``want`` values and partials (1 + all_p, n)."""
        found = self.make(list(columns), n).table(np.asarray(params, np.float64), 0, n, want)
        return found if want else found[0]


class TabulatedProblem(Problem):
    """What a solver needs, of a model that gives tables; the arguments are those of ``Problem``."""

    compiled: ClassVar[bool] = False

    def __init__(
        self,
        kernel: Table,
        columns: Sequence[Array],
        y: Array,
        weights: Array | None,
        values: Mapping[str, float],
        free: Sequence[str],
        threads: int | None = None,
    ) -> None:
        super().__init__(kernel, columns, y, weights, values, free, threads)
        self.named = kernel.named
        self.tabled = kernel.make(list(columns), self.n)
        room = max(1, ROOM // (1 + self.all_p) // CHUNK) * CHUNK
        self.together = self.n if kernel.whole else min(self.n, room)

    def over_rows(self, function: Callable[..., int], values: Array, size: int, more: tuple[float, ...]) -> Array:
        """Run a pass over all chunks, on tables: its results (chunks, size), in the order of the rows."""
        self.evaluations += 1
        want = function is not passes.loss_pass
        parts = np.empty((-(-self.n // CHUNK), size))
        count, block, root = np.array([float(self.all_p)]), self.block(), self.root_address
        first_column = int(self.column_pointers[0])
        for first in range(0, self.n, self.together):
            last = min(first + self.together, self.n)
            with np.errstate(all="ignore"):
                table = self.tabled.table(np.asarray(values), first, last, want)
            begin = address_of(table) - 8 * first  # rows are counted from the first of all
            width = 8 * (last - first)
            places = [begin + width * k for k in range(len(table))]
            pointers = np.array([first_column, places[0], address_of(count), *places[1:]], dtype=np.int64)
            shared = (self.kernel.address, address_of(pointers), address_of(values), self.y_address, root)
            for start in range(first, last, CHUNK):
                ends = (int(root != 0), start, min(start + CHUNK, last))
                function(*shared, *ends, *more, address_of(block), address_of(parts[start // CHUNK]))
        return parts

    def gathered(self, rows: NDArray[np.int64]) -> TabulatedProblem:
        """The problem of these rows alone (m,), computed by themselves."""
        assert isinstance(self.kernel, Table)  # it was made so
        weights = None if self.weights is None else self.weights[rows]
        values = dict(zip(self.names, self.values.tolist(), strict=True))
        columns = [np.ascontiguousarray(one[rows]) for one in self.columns]
        return TabulatedProblem(self.kernel, columns, self.y[rows], weights, values, self.free_names, self.threads)

    def losses(self, params: Array) -> Array:
        """Σ w r² / n at many places: (s, p) free parameters give (s,)."""
        return np.array([self.loss(one) for one in params])

    def residuals(self, values: Array) -> Array:
        """y − f in row order (n,), unweighted, at all parameters."""
        return np.asarray(self.y - self.tabled.table(np.asarray(values), 0, self.n, False)[0])

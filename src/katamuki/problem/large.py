"""Rows in memory, so many that each walk over them counts: one walk for a formula that is linear in its parameters.

A sample says where the answer is. One pass there looks at every value, sums what does not depend on parameters, and
makes the sums from which the closed form follows: their residuals are small, so the step to the answer loses nothing
(Björck 1996, section 2.9). What the passes of ``Problem`` would read three times is read once. Remarks about residuals
come from the sample, too; whoever makes them says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.kernel import Kernel, exponent
from katamuki.graph import LEAVES, Graph
from katamuki.ops import TABLE
from katamuki.problem import Problem, passes
from katamuki.records import Array

LARGE = 1 << 22  # rows from which this is worth a sample
SAMPLE = 100_000  # rows of the sample, at most


class LargeProblem(Problem):
    """A linear formula and many rows without weights, which nobody has looked at yet.

    Parameters
    ----------
    kernel, columns, y, values, free, threads
        As :class:`katamuki.problem.Problem` has them.
    seed : int
        Of the sample.
    """

    sample: Problem
    rows: NDArray[np.int64]  # the sample's, (sample.n,), ascending
    finite = False  # every value of the columns and of y, once the rows were looked at

    def __init__(
        self,
        kernel: Kernel,
        columns: Sequence[Array],
        y: Array,
        values: Mapping[str, float],
        free: Sequence[str],
        threads: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(kernel, columns, y, None, values, free, threads)
        self.rows = _spread(self.n, min(self.n, SAMPLE), seed)
        drawn = [one[self.rows] for one in columns]
        self.sample = Problem(kernel, drawn, y[self.rows], None, values, free, threads)
        self._place = b""
        self._sums: Array | None = None

    def measure(self) -> None:
        """The totals of the response come with the look at all rows."""
        self.tss = self.tss_about_zero = math.nan

    def look(self, values: Array) -> bool:
        """The one pass over all rows, at parameters (all_p,) near the answer; whether every value is finite."""
        size = 1 + self.p + self.p * (self.p + 1) // 2
        middle = float(self.sample.y.mean())
        unseen = 0 if passed_on(self.kernel.graph) else len(self.columns)
        more = (self.layout.free_address, self.p, unseen, middle)
        values = np.ascontiguousarray(values)
        parts = self.over_rows(passes.first_pass, values, size + 7, more)
        sums = np.array([math.fsum(column) for column in parts[:, :size].T.tolist()])
        apart, squares, rest = (math.fsum(parts[:, size + k].tolist()) for k in (4, 5, 6))
        self.finite = bool(np.isfinite(parts).all()) and rest == 0.0
        self.tss = squares - apart * apart / self.n
        self.tss_about_zero = squares + 2.0 * middle * apart + self.n * middle * middle
        self._place, self._sums = values.tobytes(), sums
        return self.finite

    def begin(self, values: Array) -> None:
        """All rows were looked at when the problem was made."""

    def normal(self, values: Array) -> Array:
        """Those of the one pass, where it was made; else of another."""
        if self._sums is not None and values.tobytes() == self._place:
            return self._sums.copy()
        return super().normal(values)

    def exact_sums(self) -> list[Decimal] | None:
        """None: ``solvers.linear.refine`` makes them of rows in memory, where they are needed."""
        return None

    def close(self) -> None:
        """End the threads."""
        self.sample.close()
        super().close()


def passed_on(graph: Graph) -> bool:
    """Whether only sums, products and whole powers happen to columns: what is not finite stays so to the end."""
    for node in graph.nodes:
        if node.op == "powi" and exponent(graph, node) < 1:
            return False
        if node.op not in LEAVES and node.op != "powi" and not TABLE[node.op].sources.get("dd"):
            return False
    return True


def _spread(n: int, count: int, seed: int) -> NDArray[np.int64]:
    """One row by chance of each of ``count`` equal parts of n rows: an even spacing would meet what repeats itself."""
    ends = np.arange(count + 1) * n // count
    return ends[:-1] + (np.random.default_rng(seed % 2**64).random(count) * (ends[1:] - ends[:-1])).astype(np.int64)

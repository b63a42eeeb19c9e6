"""A claim about rows that pass by in blocks: a database cannot hand them over, a file larger than memory can.

Sums, gradient and error bars are computed from all rows, block by block; the second solver sees the sample that the fit
has in memory. The blocks are plain columns, given by whoever can read them; how they were read is not judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from katamuki.check.evaluation import EPS, Case, read_case
from katamuki.records import Array, Solution

Blocks = Callable[[], Iterator[tuple[Mapping[str, Array], Array | None]]]


@dataclass(frozen=True, slots=True)
class Totals:
    """Counted in one pass: rows, Σ w (y − ȳ_w)², Σ w y², and whether every weight is finite and above 0."""

    n: int
    spread: float
    square: float
    weights: bool


@dataclass(frozen=True, slots=True)
class Passing(Case):
    """A claim whose ``columns``, ``y`` and ``root`` are a sample; ``read`` gives all rows as cases, anew each time."""

    read: Callable[[], Iterator[Case]] | None = None
    totals: Totals | None = None

    @property
    def n(self) -> int:
        """How many rows."""
        assert self.totals is not None  # made by passing_case
        return self.totals.n

    @property
    def parts(self) -> Iterator[tuple[Case, slice]]:
        """All rows, in pieces."""
        assert self.read is not None
        for block in self.read():
            held = Case(self.right, self.free, self.held, block.columns, block.y, block.root)
            for rows in held.blocks:
                yield held, rows

    @property
    def many(self) -> bool:
        """A solver sees the sample only."""
        return True

    def sample(self) -> Case:
        """The claim on the rows that are in memory."""
        return Case(self.right, self.free, self.held, self.columns, self.y, self.root)

    def squares(self) -> tuple[float, float]:
        """Σ w (y − ȳ_w)², and how much of it rounding leaves open."""
        assert self.totals is not None
        return self.totals.spread, 4.0 * EPS * (self.totals.square * self.totals.spread) ** 0.5

    def holding(self, values: Mapping[str, float]) -> Passing:
        """The same claim with some free parameters held."""
        free = tuple(name for name in self.free if name not in values)
        held = {**self.held, **values}
        return Passing(self.right, free, held, self.columns, self.y, self.root, self.read, self.totals)


def passing_case(solution: Solution, columns: Mapping[str, Array], weights: Array | None, blocks: Blocks) -> Passing:
    """The claim as a case; one pass counts the rows. ``columns`` and ``weights`` are a sample's."""
    few = read_case(solution, columns, weights)

    def read() -> Iterator[Case]:
        for block, w in blocks():
            yield read_case(solution, block, w)

    totals = _totals(read(), float(few.y.mean()) if few.n else 0.0)
    return Passing(few.right, few.free, few.held, few.columns, few.y, few.root, read, totals)


def _totals(cases: Iterator[Case], near: float) -> Totals:
    """One pass; sums of squares about a value near the mean lose nothing."""
    n, fine = 0, True
    total = first = second = square = 0.0
    for case in cases:
        w: Any = 1.0 if case.root is None else case.root**2
        if case.root is not None:
            fine = fine and bool(np.isfinite(case.root).all() and (case.root > 0.0).all())
        away = case.y - near
        n += case.n
        total += float(np.sum(w)) if case.root is not None else float(case.n)
        first += float(np.sum(w * away))
        second += float(np.sum(w * away * away))
        square += float(np.sum(w * case.y * case.y))
    return Totals(n, second - first * first / total if total else 0.0, square, fine)

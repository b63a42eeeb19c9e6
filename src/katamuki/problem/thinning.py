"""Every k-th of rows that pass by, when nobody knows how many there will be: k doubles when there are too many.

Each piece of a source is thinned by itself, in the order of its rows, and all are brought to the largest k at the end,
so that the rows that are kept do not depend on threads or on how pieces are cut into batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from katamuki.data.streams import Batch
from katamuki.records import Array


@dataclass(frozen=True, slots=True)
class Taken:
    """Rows of a sample: columns by name, and the rows' numbers, from 0."""

    arrays: dict[str, Array]
    rows: NDArray[np.int64]


class Thinning:
    """The rows of one piece: every ``step``-th of those that count, at most ``most``."""

    def __init__(self, most: int, step: int = 1) -> None:
        self.most, self.step, self.seen, self.kept = most, step, 0, 0
        self.parts: list[Taken] = []

    def add(self, batch: Batch) -> None:
        """The next rows."""
        first = -self.seen % self.step
        self.seen += batch.n
        if first >= batch.n:
            return
        chosen = slice(first, None, self.step)
        number = np.arange(first, batch.n, self.step) if batch.index is None else batch.index[chosen]
        arrays = {name: one[chosen].copy() for name, one in batch.arrays.items()}
        self.parts.append(Taken(arrays, batch.first + number))
        self.kept += len(number)
        while self.kept > self.most:
            self.thin(2)

    def thin(self, factor: int) -> None:
        """Keep every ``factor``-th of what is kept."""
        if factor == 1 or not self.parts:
            return
        names = self.parts[0].arrays
        whole = {name: np.concatenate([one.arrays[name] for one in self.parts])[::factor] for name in names}
        rows = np.concatenate([one.rows for one in self.parts])[::factor]
        self.parts = [Taken({name: one.copy() for name, one in whole.items()}, rows.copy())]
        self.step, self.kept = self.step * factor, len(rows)


def together(pieces: Sequence[Thinning], firsts: Sequence[int], most: int) -> list[Taken]:
    """The samples of all pieces, thinned alike, at most ``most`` rows, numbered from each piece's first row."""
    step = max(one.step for one in pieces)
    while sum(-(-one.seen // step) for one in pieces) > most:
        step *= 2
    found = []
    for one, first in zip(pieces, firsts, strict=True):
        one.thin(step // one.step)
        found += [Taken(part.arrays, first + part.rows) for part in one.parts]
    return found

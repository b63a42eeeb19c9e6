"""Rows of one batch as compiled passes take them, and what is counted of them whatever the parameters are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.native import address_of
from katamuki.problem import passes
from katamuki.records import Array

if TYPE_CHECKING:
    from katamuki.data.streams import Batch


@dataclass(slots=True)
class Block:
    """Rows in the form that compiled passes take: the kernel's columns, the response, w and √w."""

    columns: list[Array]
    y: Array
    weights: Array | None
    root: Array | None
    pointers: NDArray[np.int64]

    @property
    def shared(self) -> tuple[int, int, int]:
        """Columns, y and √w by address."""
        return address_of(self.pointers), address_of(self.y), 0 if self.root is None else address_of(self.root)


@dataclass(slots=True)
class Counts:
    """What does not depend on parameters: rows read, left out, dropped; W, the mean of y, Σ w y², Σ w (y − ȳ)²."""

    read: int = 0
    filtered: int = 0
    dropped: int = 0
    n: int = 0
    weight: float = 0.0
    mean: float = 0.0
    square: float = 0.0
    spread: float = 0.0

    def add(self, other: Counts) -> None:
        """These and other rows. Source: Chan, Golub & LeVeque 1983 (the spread about a merged mean)."""
        total = self.weight + other.weight
        if other.weight > 0.0:
            apart = other.mean - self.mean
            self.spread += other.spread + apart * apart * self.weight * other.weight / total
            self.mean += apart * other.weight / total
            self.weight = total
        self.read, self.n = self.read + other.read, self.n + other.n
        self.filtered, self.dropped = self.filtered + other.filtered, self.dropped + other.dropped
        self.square += other.square


def counted(batch: Batch, block: Block | None) -> Counts:
    """What is counted of a batch, whose rows that count make the block, if there are any."""
    found = Counts(batch.read, batch.filtered, batch.dropped, batch.n)
    if block is not None:
        out, w = np.empty(3), block.weights
        weighting = 0 if w is None else address_of(w)
        passes.response_pass(address_of(block.y), weighting, int(w is not None), batch.n, address_of(out))
        found.weight, found.square, found.spread = out.tolist()
        found.mean = float(np.add.reduce(block.y) if w is None else w @ block.y) / found.weight
    return found


def counted_about(n: int, middle: float, apart: float, squares: float) -> Counts:
    """The same of n rows without weights that all count, from Σ (y − middle) and Σ (y − middle)²."""
    square = squares + 2.0 * middle * apart + n * middle * middle
    return Counts(n, 0, 0, n, float(n), middle + apart / n, square, squares - apart * apart / n)

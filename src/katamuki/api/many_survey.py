"""A first pass over keys that are read in pieces: how many there are, and whether a curve's rows stand together.

Runs of equal keys are counted by their hashes. If no hash comes back every curve is one run, and the rows can be fitted
as they pass by. Otherwise, or where the runs are too many to remember, rows must be brought together on disk; that two
keys share a hash can only lead there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.data.key_hashes import Hashes, hashes
from katamuki.data.key_numbers import numbered
from katamuki.data.keyed import Keyed, KeyedReader, Wider
from katamuki.errors import DataError

BYTES = 24  # of a remembered run, sorted copy included


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found: ``rows`` that count, ``curves`` (−1: not known), whether the rows of each stand ``together``.

    ``filtered`` and ``dropped`` count other rows; ``kinds`` are the keys' Arrow types.
    """

    rows: int
    curves: int
    together: bool
    filtered: int
    dropped: int
    kinds: tuple[Any, ...]


def survey(reader: KeyedReader, limit: int) -> Survey:
    """Pass over the keys, again where cells turn out to be of another kind; ``limit`` in bytes."""
    while True:
        try:
            return _pass(reader, limit)
        except Wider:
            reader.types = None


def _pass(reader: KeyedReader, limit: int) -> Survey:
    runs = Runs(limit)
    rows = filtered = dropped = 0
    for batch in reader.batches(()):
        rows, filtered, dropped = rows + len(batch), filtered + batch.filtered, dropped + batch.dropped
        if len(batch):
            reader.types_of(batch)
            runs.add(batch, reader.by)
    if not rows:
        place = reader.stream.source.name
        if filtered:
            where = reader.condition.text if reader.condition is not None else ""
            raise DataError("E-EMPTY", "data.where_none", condition=where, count=filtered + dropped, place=place)
        raise DataError("E-EMPTY", "data.no_rows", place=place)
    together = runs.together()
    assert reader.types is not None
    return Survey(rows, runs.count if together else -1, together, filtered, dropped, tuple(reader.types))


class Runs:
    """Runs of equal keys, by their hashes, as long as there is room for them."""

    def __init__(self, limit: int) -> None:
        self.most = limit // BYTES
        self.parts: list[Hashes] = []
        self.count = 0
        self.last: int | None = None
        self.apart = False  # a key came back, or nobody can say
        self.next_look = 1 << 16

    def add(self, batch: Keyed, by: tuple[str, ...]) -> None:
        """Take the runs of a batch."""
        changed = np.zeros(len(batch) - 1, dtype=bool)
        for key, name in zip(batch.keys, by, strict=True):
            one = numbered(key, name)
            changed |= one[1:] != one[:-1]
        starts: NDArray[np.int64] = np.concatenate([[0], np.flatnonzero(changed) + 1])
        found = hashes([key.take(starts) for key in batch.keys])
        last = int(found[-1])
        if self.last is not None and int(found[0]) == self.last:
            found = found[1:]
        self.last = last
        if self.apart:
            return
        self.parts.append(found)
        self.count += len(found)
        if self.count > self.most or (self.count >= self.next_look and not self.unique()):
            self.apart, self.parts = True, []
        elif self.count >= self.next_look:
            self.next_look = 4 * self.count

    def unique(self) -> bool:
        """Whether no hash came twice so far."""
        whole = np.sort(np.concatenate(self.parts)) if self.parts else np.zeros(0, dtype=np.uint64)
        self.parts = [whole]
        return not (whole[1:] == whole[:-1]).any()

    def together(self) -> bool:
        """Whether each key was one run."""
        return not self.apart and self.unique()

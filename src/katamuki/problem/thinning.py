"""One of k rows that pass by, when nobody knows how many there will be: k doubles when there are too many.

Of each k rows in a row one is kept, whichever: the winner of a tournament, whose matches a hash of the seed decides, so
that rows that repeat themselves, hour by hour or well by well, are drawn from all of their period. When k doubles two
winners meet, so what is kept depends neither on threads nor on how pieces are cut into batches. Each piece of a source
is thinned by itself, in the order of its rows, and all are brought to the largest k at the end. Source of the hash:
Steele, Lea & Flood 2014 (splitmix64).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.native import address_of, function, inline
from katamuki.data.streams import Batch
from katamuki.records import Array

Whole = NDArray[np.int64]
AHEAD = 2048  # blocks whose winners are decided at once


@dataclass(frozen=True, slots=True)
class Taken:
    """Rows of a sample: columns by name, and the rows' numbers, from 0."""

    arrays: dict[str, Array]
    rows: Whole


@inline
def side(match, salt):  # type: ignore[no-untyped-def]
    """Which side wins a match: 0 or 1."""
    z = match * -7046029254386353131 + salt
    z = (z ^ ((z >> 30) & 17179869183)) * -4658895280553007687
    z = (z ^ ((z >> 27) & 137438953471)) * -7723592293110705685
    return (z >> 63) & 1


@function("int64(int64*, int64, int64, int64, int64*)")
def winners_pass(blocks, count, rounds, salt, out):  # type: ignore[no-untyped-def]
    """``out[k]``: the row that wins the block of 2**``rounds`` rows ``blocks[k]``."""
    for k in range(count):
        found = blocks[k]
        played = rounds
        while played > 0:
            found = 2 * found + side(found, salt + played)
            played -= 1
        out[k] = found
    return 0


class Thinning:
    """The rows of one piece: one of each 2**``rounds`` that count, at most ``most``.

    Parameters
    ----------
    most : int
        Rows that are kept.
    rounds : int
        Of the tournament, to begin with.
    seed : sequence of int
        Of the matches; another one for each piece.
    """

    def __init__(self, most: int, rounds: int = 0, seed: Sequence[int] = (0,)) -> None:
        self.most, self.rounds, self.seen, self.kept = most, rounds, 0, 0
        self.salt = int(np.random.default_rng([abs(one) for one in seed]).integers(1 << 62))
        self.parts: list[Taken] = []
        self.counted: list[Whole] = []  # the same rows by their numbers among those that count
        self.ahead: tuple[int, int, Whole] = (
            -1,
            0,
            np.empty(0, np.int64),
        )  # rounds, a first block, and winners from it

    def winners(self, blocks: Whole, rounds: int) -> Whole:
        """The rows that win their blocks of 2**``rounds``."""
        found = np.ascontiguousarray(blocks)
        out = np.empty(len(found), np.int64)
        winners_pass(address_of(found), len(found), rounds, self.salt, address_of(out))
        return out

    def decided_of(self, first: int, last: int) -> Whole:
        """The winners of the blocks from ``first`` to before ``last``."""
        rounds, begin, known = self.ahead
        if rounds != self.rounds or first < begin or last > begin + len(known):
            begin, known = first, self.winners(np.arange(first, max(last, first + AHEAD)), self.rounds)
            self.ahead = self.rounds, begin, known
        return known[first - begin : last - begin]

    def decided(self, match: Whole, played: int) -> Whole:
        """Which side wins a match of a round: 0 or 1."""
        z = match.astype(np.uint64)
        z *= np.uint64(0x9E3779B97F4A7C15)
        z += np.uint64(self.salt + played)
        z ^= z >> np.uint64(30)
        z *= np.uint64(0xBF58476D1CE4E5B9)
        z ^= z >> np.uint64(27)
        z *= np.uint64(0x94D049BB133111EB)
        z >>= np.uint64(63)
        return z.view(np.int64)

    def add(self, batch: Batch) -> None:
        """The next rows."""
        first, last = self.seen, self.seen + batch.n
        self.seen = last
        counted = self.decided_of(first >> self.rounds, (last - 1 >> self.rounds) + 1)
        counted = counted[(counted >= first) & (counted < last)]
        if not len(counted):
            return
        chosen = counted - first
        number = chosen if batch.index is None else batch.index[chosen]
        self.parts.append(Taken({name: one[chosen] for name, one in batch.arrays.items()}, batch.first + number))
        self.counted.append(counted)
        self.kept += len(counted)
        while self.kept > self.most:
            self.thin(self.rounds + 1)

    def thin(self, rounds: int) -> None:
        """Keep the winners of so many rounds."""
        if rounds == self.rounds or not self.parts:
            self.rounds = rounds
            return
        counted = np.concatenate(self.counted)
        wins = np.ones(len(counted), dtype=bool)
        for one in range(self.rounds + 1, rounds + 1):
            wins &= self.decided(counted >> one, one) == (counted >> one - 1 & 1)
        names = self.parts[0].arrays
        whole = {name: np.concatenate([one.arrays[name] for one in self.parts])[wins] for name in names}
        self.parts = [Taken(whole, np.concatenate([one.rows for one in self.parts])[wins])]
        self.counted = [counted[wins]]
        self.rounds, self.kept = rounds, len(self.counted[0])


def together(pieces: Sequence[Thinning], firsts: Sequence[int], most: int) -> list[Taken]:
    """The samples of all pieces, thinned alike, at most ``most`` rows, numbered from each piece's first row."""
    rounds = max(one.rounds for one in pieces)
    while sum(-(-one.seen // (1 << rounds)) for one in pieces) > most:
        rounds += 1
    found = []
    for one, first in zip(pieces, firsts, strict=True):
        one.thin(rounds)
        found += [Taken(part.arrays, first + part.rows) for part in one.parts]
    return found

"""Which curves of a table on a cluster lie in several partitions, where each is fitted, and where its row belongs.

Found from the hashes of keys, by the workers: partitions are taken in groups, a group's hashes are cut into ranges, and
whoever has one range of all groups sees which hashes come twice. Only these come to the client.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.cluster import running
from katamuki.data.key_hashes import Hashes

Whole = NDArray[np.int64]
Entries = tuple[Hashes, Whole]  # hashes, ascending, and the partition of each, ascending for equal ones

GROUP = 64  # partitions


@dataclass(frozen=True, slots=True)
class Shared:
    """The curves that lie in several partitions, one entry for each partition of each of them.

    ``key`` (e,) is the hash of the curve, ascending; ``owner`` (e,) the partition, ascending for each key; ``home`` and
    ``first`` (e,) where the curve is fitted and where its key first appears.
    """

    key: Hashes
    owner: Whole
    home: Whole
    first: Whole

    def pairs(self, here: Whole, there: Whole) -> dict[int, list[int]]:
        """For each partition of ``there`` the other partitions that stand beside it in ``here``, in order."""
        moved = here != there
        found: dict[int, list[int]] = {}
        for one, other in np.unique(np.stack([there[moved], here[moved]], axis=1), axis=0).tolist():
            found.setdefault(one, []).append(other)
        return found


def in_order(pieces: Sequence[Entries]) -> Entries:
    """Entries of several partitions together; those of earlier partitions come first."""
    key = np.concatenate([np.zeros(0, dtype=np.uint64), *(one for one, _ in pieces)])
    owner = np.concatenate([np.zeros(0, dtype=np.int64), *(one for _, one in pieces)])
    order = np.argsort(key, kind="stable")
    return key[order], owner[order]


def ranges(keys: Sequence[Hashes], first: int, count: int) -> dict[int, Entries]:
    """The sorted hashes of a group of partitions, whose first has this number, cut into ``count`` ranges."""
    pieces = [(one, np.full(len(one), first + k)) for k, one in enumerate(keys)]
    key, owner = in_order(pieces)
    edges = np.searchsorted(key, np.array([k * 2**64 // count for k in range(count)], dtype=np.uint64))
    cuts = [*edges.tolist(), len(key)]
    return {k: (key[cuts[k] : cuts[k + 1]], owner[cuts[k] : cuts[k + 1]]) for k in range(count)}


def shared(pieces: Sequence[Entries]) -> Shared:
    """The keys that several partitions have, from all entries of a range.

    A curve's home is chosen among its partitions by its hash, so that curves that lie everywhere are fitted everywhere.

    Example
    -------
    >>> one, two = np.array([1, 5], dtype=np.uint64), np.array([5, 7], dtype=np.uint64)
    >>> found = shared([(one, np.array([0, 0])), (two, np.array([1, 1]))])
    >>> found.key.tolist(), found.owner.tolist(), found.home.tolist(), found.first.tolist()
    ([5, 5], [0, 1], [1, 1], [0, 0])
    """
    key, owner = in_order(pieces)
    same = key[1:] == key[:-1]
    several = np.concatenate([same, [False]]) | np.concatenate([[False], same]) if len(key) else same
    key, owner = key[several], owner[several]
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if len(key) else np.zeros(0, np.int64)
    counts = np.diff(np.append(starts, len(key)))
    chosen = starts + (key[starts] % counts.astype(np.uint64)).astype(np.int64)
    return Shared(key, owner, np.repeat(owner[chosen], counts), np.repeat(owner[starts], counts))


def found_on(client: Any, keys: Sequence[Any]) -> Shared:
    """The curves that several partitions share; ``keys`` are futures of the sorted hashes of each partition."""
    firsts = range(0, len(keys), GROUP)
    groups = [list(keys[k : k + GROUP]) for k in firsts]
    cut = [
        client.submit(ranges, one, first, len(groups), pure=False) for one, first in zip(groups, firsts, strict=True)
    ]
    found = []
    for k in range(len(groups)):
        pieces = [client.submit(_range, one, k, pure=False) for one in cut]
        found.append(client.submit(shared, pieces, pure=False))
    parts: list[Shared] = running.gathered(client, found)
    columns = ("key", "owner", "home", "first")
    return Shared(*(np.concatenate([getattr(one, name) for one in parts]) for name in columns))


def _range(cut: dict[int, Entries], k: int) -> Entries:
    return cut[k]

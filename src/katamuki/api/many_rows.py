"""Where the curves of many come from while all rows are in memory: a long table with keys, or wide arrays.

A supply hands out curves in the order in which their keys first appear, as many at a time as are asked for. What it
hands out is made when it is loaded, in the thread that fits it. Rows of one curve keep their order in the table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from katamuki.many.table import same, update
from katamuki.records import Array, Source

Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole curves: the rows of curve k are ``offsets[k]`` to ``offsets[k + 1]``.

    ``first`` numbers the first of them; ``keys`` are Arrow arrays (b,); ``arrays`` the used columns (rows,), or (n,)
    of a ``shared`` block, whose curves have the same n rows, where their names are in ``alike``. ``lost`` (rows,): rows
    where a condition has no value.
    """

    first: int
    keys: tuple[Any, ...]
    offsets: Whole
    arrays: Mapping[str, Array]
    lost: NDArray[np.bool_] | None = None
    alike: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.offsets) - 1


Load = Callable[[], Block]


class Known(Protocol):
    """Curves that are somewhere: what is known of them, and any one of them."""

    @property
    def by(self) -> tuple[str, ...]:
        """The names of the key columns."""

    @property
    def keys(self) -> Sequence[Any]:
        """Key columns of the types that keys have."""

    @property
    def source(self) -> Source:
        """What was read; ``rows`` -1 as long as nobody knows."""

    @property
    def curves(self) -> int:
        """How many there are; -1 as long as nobody knows."""

    @property
    def rows(self) -> int:
        """How many rows there are, those without a value included; -1 as long as nobody knows."""

    def counted(self, curves: int) -> int:
        """How many rows the first so many curves have."""

    def identity(self) -> dict[str, Any]:
        """What tells these data from others, for a run that is to go on."""

    def curve(self, key: Sequence[object]) -> tuple[Block, Whole | None] | None:
        """The curve of a key, and its rows' numbers in the source; None where there is none."""

    def rows_of(self, key: Sequence[object], at: int) -> Block | None:
        """The curve of a key, which is row ``at`` of the table, where its rows' numbers do not matter."""

    def close(self) -> None:
        """End what was opened."""


class Supply(Known, Protocol):
    """Where curves come from, in order."""

    def take(self, most: int, rows: int) -> tuple[Load, int, int] | None:
        """The next curves: at most so many, and no more rows than that unless one curve has; None after the last.

        Beside what loads them: how many curves and rows they are.
        """

    def skip(self, curves: int) -> None:
        """Leave out so many."""

    def foremost(self) -> Block | None:
        """The table's first curve, once curves were taken; None where the curves share their columns anyway."""


@dataclass(slots=True)
class InMemory:
    """A table in memory, the rows of each curve together.

    ``codes`` (rows,) is the curve of each row of the table, None where the rows stood so; ``index`` numbers the table's
    rows in the source, where some were left out. ``alike``: columns (n,) that all curves of wide arrays share.
    """

    by: tuple[str, ...]
    source: Source
    keys: tuple[Any, ...]  # (curves,) each
    offsets: Whole
    arrays: Mapping[str, Array]
    lost: NDArray[np.bool_] | None = None
    codes: NDArray[Any] | None = None
    index: Whole | None = None
    alike: frozenset[str] = frozenset()
    at: int = 0

    @property
    def curves(self) -> int:
        """How many there are."""
        return len(self.offsets) - 1

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self.offsets[-1])

    def take(self, most: int, rows: int) -> tuple[Load, int, int] | None:
        """The next curves."""
        start = self.at
        if start == self.curves:
            return None
        begin = int(self.offsets[start])
        within = int(np.searchsorted(self.offsets[start + 1 : start + 1 + most], begin + rows, side="right"))
        stop = start + max(1, within)
        self.at = stop
        return lambda: self.block(start, stop), stop - start, int(self.offsets[stop]) - begin

    def skip(self, curves: int) -> None:
        """Leave out so many."""
        self.at += curves

    def foremost(self) -> Block | None:
        """The table's first curve."""
        return None if self.alike or not self.curves else self.block(0, 1)

    def counted(self, curves: int) -> int:
        """How many rows the first so many curves have."""
        return int(self.offsets[curves])

    def identity(self) -> dict[str, Any]:
        """The file's sha256, else one of all rows."""
        known = self.source
        if known.sha256 is not None:
            return {"sha256": known.sha256, "separator": known.separator, "decimal": known.decimal}
        found = hashlib.sha256(self.offsets.data)
        for name in sorted(self.arrays):
            found.update(name.encode())
            found.update(self.arrays[name].data)
        for key in self.keys:
            update(found, key)
        return {"rows": int(self.offsets[-1]), "sha256": found.hexdigest()}

    def block(self, start: int, stop: int) -> Block:
        """The curves ``start`` to ``stop``."""
        begin, end = int(self.offsets[start]), int(self.offsets[stop])
        arrays = {name: one if name in self.alike else one[begin:end] for name, one in self.arrays.items()}
        keys = tuple(key.slice(start, stop - start) for key in self.keys)
        lost = None if self.lost is None else self.lost[begin:end]
        return Block(start, keys, self.offsets[start : stop + 1] - begin, arrays, lost, self.alike)

    def curve(self, key: Sequence[object]) -> tuple[Block, Whole | None] | None:
        """The curve of a key, and its rows' numbers in the source; None for those where rows have none."""
        k = place(self.keys, key)
        if k is None:
            return None
        if self.alike:
            return self.block(k, k + 1), None
        begin, end = int(self.offsets[k]), int(self.offsets[k + 1])
        rows = np.arange(begin, end) if self.codes is None else np.flatnonzero(self.codes == k)
        return self.block(k, k + 1), rows if self.index is None else self.index[rows]

    def rows_of(self, key: Sequence[object], at: int) -> Block | None:
        """The curve of a key; all keys are looked through only where it is not that of curve ``at``."""
        pairs = zip(self.keys, key, strict=True)
        there = at < self.curves and all(_equal(column[at].as_py(), value) for column, value in pairs)
        k = at if there else place(self.keys, key)
        return None if k is None else self.block(k, k + 1)

    def close(self) -> None:
        """Nothing is open."""


def _equal(there: object, wanted: object) -> bool:
    """Whether a value of a key is the one that is wanted; None wants one that is missing, such as NaN."""
    return there == wanted or (wanted is None and bool(there != there))  # noqa: PLR0124


def place(keys: Sequence[Any], key: Sequence[object]) -> int | None:
    """Where a key stands among keys; values are compared as Python compares them."""
    found: NDArray[np.bool_] | None = None
    for column, value in zip(keys, key, strict=True):
        here = same(column, value)
        found = here if found is None else found & here
    return int(np.argmax(found)) if found is not None and found.any() else None

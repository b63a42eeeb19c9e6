"""A block of curves from raw columns to rows of numbers: marks what cannot be fitted, and has the engine fit the rest.

What ``katamuki.fit`` would refuse for a curve is the curve's code here, looked for in the same order: rows without a
value, a left side without one, too few rows, weights that are none, a response whose squares have no digits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.api.many_one import Road
from katamuki.api.many_rows import Block, Load
from katamuki.api.preparing import LARGEST, SMALLEST
from katamuki.backends import numpy_
from katamuki.data.selection import Missing
from katamuki.many.curves import STATES, VERDICTS, Curves, Fitted, ManyTask
from katamuki.many.sheet import Sheet
from katamuki.many.table import rows_of
from katamuki.records import Array

MARKS = ("", "MISSING", "EMPTY", "DOMAIN", "TOOFEW", "SIGMA", "OVERFLOW")  # why nothing is fitted, the first that holds
MISSING, EMPTY, DOMAIN, TOOFEW, SIGMA, OVERFLOW = range(1, len(MARKS))
Engine = Callable[[ManyTask, Curves], Fitted]
Whole = NDArray[np.int64]
Places = tuple[Array, ...] | None  # the kernel's columns (n,) of the table's first curve; None: nothing is made of them
Marks = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Weighing:
    """How rows are weighted: by a column or by one number, which is sigma or w; nothing: all alike."""

    column: str | None = None
    number: float | None = None
    sigma: bool = False

    @property
    def given(self) -> bool:
        """Whether anything was."""
        return self.column is not None or self.number is not None

    def of(self, block: Block, rows: int) -> Array | None:
        """w of Σ w r²: (rows,), or (n,) where all curves share it; NaN or less than 0 where it is none."""
        if not self.given:
            return None
        given = np.full(rows, self.number) if self.column is None else block.arrays[self.column]
        if self.column is None and block.alike:
            given = given[: rows // max(1, len(block))]
        if not self.sigma:
            return given
        with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
            return np.where(given > 0.0, 1.0 / (given * given), np.nan)


@dataclass(frozen=True, slots=True)
class Done:
    """A block that was fitted: a row of the table for each curve, and how long it took."""

    first: int
    curves: int
    table: Any  # the rows of the table, a pyarrow.Table; None where they stand in a sheet
    rows: int  # of all its curves
    dropped: int  # of them
    seconds: float

    def __len__(self) -> int:
        return self.curves


@dataclass(frozen=True, slots=True)
class Unseen:
    """An engine for rows that nobody has looked at, and the columns of which it sees itself that a value is none.

    It is called with a function that looks at all of them, and gives None where that finds something.
    """

    engine: Callable[[ManyTask, Curves, Callable[[], bool]], Fitted | None]
    telling: frozenset[str]


@dataclass(frozen=True, slots=True)
class Work:
    """What is done to each block; its rows are written to the ``sheet`` where there is one.

    Curves whose columns are those of the table's first one, which ``places`` tells once blocks are loaded, share what
    an engine finds out about columns: that is a property of a curve and of the whole table, so blocks change no bit.
    """

    road: Road
    task: ManyTask
    engine: Engine
    weighing: Weighing
    missing: Missing
    by: tuple[str, ...]
    sheet: Sheet | None = None
    unseen: Unseen | None = None
    places: Callable[[], Places] = lambda: None

    def __call__(self, load: Load) -> Done:
        """Load a block and fit its curves."""
        began = time.perf_counter()
        block = load()
        before = int(block.offsets[-1])
        fitted, n = self._at_once(block), np.diff(block.offsets)
        if fitted is None:
            fitted, n = self._looked_at(block)
        table = None
        if self.sheet is not None:
            self.sheet.put(block.first, fitted, n)
        else:
            table = rows_of(self.by, block.keys, self.task.kernel.parameters, fitted, n)
        return Done(block.first, len(block), table, before, before - int(n.sum()), time.perf_counter() - began)

    def _at_once(self, block: Block) -> Fitted | None:
        """The fits of all curves by an engine that sees itself where something is wrong; None where something is."""
        plan, kernel = self.road.plan, self.task.kernel
        y = plan.response_column
        if self.unseen is None or y is None or y in block.alike or block.lost is not None or self.weighing.given:
            return None
        unknown = [name for name in self.road.used if name != y and name not in self.unseen.telling]
        if _without(block, unknown) is not None:
            return None
        shared = all(name in block.alike for name in kernel.columns) and bool(block.alike)
        block = block if shared else spread(block)
        columns = tuple(block.arrays[name] for name in kernel.columns)

        def sure() -> bool:
            enough = bool((np.diff(block.offsets) >= len(self.road.said.free)).all())
            return enough and _without(block, self.road.used) is None and _plain(block.offsets, block.arrays[y])

        return self.unseen.engine(self.task, Curves(block.offsets, columns, block.arrays[y], None, shared), sure)

    def _looked_at(self, block: Block) -> tuple[Fitted, Whole]:
        """The fits of all curves, and how many rows each has, after a look at every number."""
        bad = _without(block, self.road.used)
        lacking = None if bad is None or self.missing == "error" else _having(block, bad)
        if lacking is None or not block.alike or lacking.all():
            return self._fits(block, bad)
        return self._apart(block, bad, lacking)  # the others share their columns still, whatever stands beside them

    def _apart(self, block: Block, bad: NDArray[np.bool_] | None, lacking: NDArray[np.bool_]) -> tuple[Fitted, Any]:
        """The fits of the curves that are whole and of those that lack rows, in the order of the block."""
        assert bad is not None
        rows = int(block.offsets[1])
        n = np.zeros(len(block), dtype=np.int64)
        parts = []
        for here in (~lacking, lacking):
            part = chosen(block, here)
            one, n[here] = self._fits(part, bad.reshape(len(block), rows)[here].ravel() if here is lacking else None)
            parts.append((here, one))
        return merged(parts), n

    def _fits(self, block: Block, bad: NDArray[np.bool_] | None) -> tuple[Fitted, Any]:
        """The fits of all curves of a block, and how many rows each has."""
        marks = np.zeros(len(block), dtype=np.int8)
        block = self._complete(block, marks, bad)
        n = np.diff(block.offsets)
        y, weights = self._sides(block, marks)
        marks[(marks == 0) & (n < len(self.road.said.free))] = TOOFEW
        if weights is not None:
            _mark(marks, block, ~(np.isfinite(weights) & (weights > 0.0)), SIGMA)
        _range(marks, block.offsets, y, weights)
        return self._fitted(block, marks, y, weights), n

    def _complete(self, block: Block, marks: Marks, bad: NDArray[np.bool_] | None) -> Block:
        """Mark the curves that have bad rows, those without a value, or drop those rows."""
        if bad is None:
            return block
        if self.missing == "error":
            _mark(marks, block, bad, MISSING)
            return block
        flat = spread(block)
        left = ~bad
        counts = np.add.reduceat(np.append(left, False), flat.offsets[:-1], dtype=np.int64)
        counts[np.diff(flat.offsets) == 0] = 0
        offsets = np.concatenate([[0], np.cumsum(counts)])
        marks[counts == 0] = EMPTY
        arrays = {name: one[left] for name, one in flat.arrays.items()}
        return Block(block.first, block.keys, offsets, arrays)

    def _sides(self, block: Block, marks: Marks) -> tuple[Array, Array | None]:
        """The left side of every row (rows,), and the weights: (rows,), or (n,) where all curves share them."""
        plan = self.road.plan
        if plan.response_column is not None:
            y = block.arrays[plan.response_column]
            if plan.response_column in block.alike:
                y = np.tile(y, len(block))
        else:
            flat = spread(block, plan.model.lhs.columns)
            (y,) = numpy_.evaluate(plan.model.lhs, flat.arrays, {})
            y = np.ascontiguousarray(y)
            _mark(marks, block, ~np.isfinite(y), DOMAIN)
        return y, self.weighing.of(block, len(y))

    def _fitted(self, block: Block, marks: Marks, y: Array, weights: Array | None) -> Fitted:
        """The rows of numbers of all curves: those of the engine, and nothing for those that are marked."""
        kernel = self.task.kernel
        names = kernel.columns
        each = weights is None or len(weights) != len(y)  # weights that all curves share, or none
        shared = bool(block.alike) and each and all(name in block.alike for name in names)
        if not shared:
            block = spread(block, names)
            if weights is not None and len(weights) != len(y):
                weights = np.tile(weights, len(block))
        columns = tuple(block.arrays[name] for name in names)
        good = marks == 0
        if good.all():
            return self._by_places(Curves(block.offsets, columns, y, weights, shared))
        n = np.diff(block.offsets)
        rows = np.repeat(good, n)
        if not shared:
            columns = tuple(one[rows] for one in columns)
            weights = None if weights is None else weights[rows]
        offsets = np.concatenate([[0], np.cumsum(n[good])])
        part = self._by_places(Curves(offsets, columns, y[rows], weights, shared)) if good.any() else None
        return joined(marks, part, len(kernel.parameters))

    def _by_places(self, curves: Curves) -> Fitted:
        """The engine's rows: of curves at the places of the table's first one together, of the others by themselves."""
        places = None if curves.shared or self.weighing.column is not None else self.places()
        here = np.zeros(len(curves), dtype=bool) if places is None else at_places(curves, places)
        if places is None or not here.any():
            return self.engine(self.task, curves)
        n = len(places[0])
        weights = None if curves.weights is None else curves.weights[:n]  # one number for all
        if here.all():
            return self.engine(self.task, Curves(curves.offsets, places, curves.y, weights, True))
        sizes = np.diff(curves.offsets)
        rows, others = np.repeat(here, sizes), np.concatenate([[0], np.cumsum(sizes[~here])])
        apart = None if curves.weights is None else curves.weights[~rows]
        alike = Curves(np.arange(int(here.sum()) + 1) * n, places, curves.y[rows], weights, True)
        unlike = Curves(others, tuple(one[~rows] for one in curves.columns), curves.y[~rows], apart)
        return merged([(here, self.engine(self.task, alike)), (~here, self.engine(self.task, unlike))])


def at_places(curves: Curves, places: tuple[Array, ...]) -> NDArray[np.bool_]:
    """Which curves have exactly these columns (b,), bit for bit."""
    n = len(places[0])
    found: NDArray[np.bool_] = np.diff(curves.offsets) == n
    whole = bool(found.all())
    rows = slice(None) if whole else (curves.offsets[:-1][found][:, None] + np.arange(n)).ravel()
    same = np.ones(int(found.sum()), dtype=bool)
    for column, wanted in zip(curves.columns, places, strict=True):
        same &= (column[rows].reshape(-1, n).view(np.int64) == wanted.view(np.int64)).all(axis=1)
    found[found] = same
    return found


def spread(block: Block, names: tuple[str, ...] | None = None) -> Block:
    """The block with every column (rows,), so that no curve shares one with another."""
    wanted = block.arrays if names is None else {name: block.arrays[name] for name in names}
    if block.alike.isdisjoint(wanted):
        return block if names is None else Block(block.first, block.keys, block.offsets, wanted, block.lost)
    arrays = {name: np.tile(one, len(block)) if name in block.alike else one for name, one in wanted.items()}
    return Block(block.first, block.keys, block.offsets, arrays, block.lost)


def _without(block: Block, used: Sequence[str]) -> NDArray[np.bool_] | None:
    """Which rows have no value in some used column (rows,); None where all have."""
    bad = block.lost
    rows = int(block.offsets[-1])
    for name in used:
        one = block.arrays[name]
        with np.errstate(all="ignore"):
            if math.isfinite(one.sum()):  # not by BLAS, whose threads wait for each other
                continue
        here = ~np.isfinite(one)
        if here.any():
            here = np.tile(here, len(block)) if name in block.alike else here
            bad = here if bad is None else bad | here
    return None if bad is None or not rows or not bad.any() else bad


def _having(block: Block, bad: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which curves have a bad row (b,)."""
    found = np.zeros(len(block), dtype=bool)
    found[np.searchsorted(block.offsets, np.flatnonzero(bad), side="right") - 1] = True
    return found


def chosen(block: Block, here: NDArray[np.bool_]) -> Block:
    """Some curves of wide arrays, which have as many rows each and share their columns still."""
    b, n = len(block), int(block.offsets[1])
    arrays = {
        name: one if name in block.alike else one.reshape(b, n)[here].ravel() for name, one in block.arrays.items()
    }
    lost = None if block.lost is None else block.lost.reshape(b, n)[here].ravel()
    return Block(block.first, (), np.arange(int(here.sum()) + 1) * n, arrays, lost, block.alike)


def merged(parts: Sequence[tuple[NDArray[np.bool_], Fitted]]) -> Fitted:
    """Rows of numbers of several parts of a block, each where its curves stand."""
    codes = list(dict.fromkeys(code for _, one in parts for code in one.codes))
    found: dict[str, Any] = {}
    for name in ("values", "stderr", "loss", "dof", "verdict", "state"):
        first = getattr(parts[0][1], name)
        whole = found[name] = np.empty((len(parts[0][0]), *first.shape[1:]), dtype=first.dtype)
        for here, one in parts:
            whole[here] = getattr(one, name)
    found["code"] = np.empty(len(parts[0][0]), dtype=np.int16)
    for here, one in parts:
        found["code"][here] = np.array([codes.index(code) for code in one.codes], dtype=np.int16)[one.code]
    return Fitted(**found, codes=tuple(codes))


def _mark(marks: Marks, block: Block, bad: NDArray[np.bool_], mark: int) -> None:
    """Mark the curves that have a bad row and no mark yet; ``bad`` (rows,), or (n,) of rows that all curves share."""
    if not bad.any():
        return
    if len(bad) != block.offsets[-1]:
        marks[marks == 0] = mark
        return
    owners = np.searchsorted(block.offsets, np.flatnonzero(bad), side="right") - 1
    owners = owners[marks[owners] == 0]
    marks[owners] = mark


def _range(marks: Marks, offsets: NDArray[np.int64], y: Array, weights: Array | None) -> None:
    """Mark the curves whose Σ w y² leaves what doubles can sum; all zeros are no such curve."""
    if not len(y) or (weights is None and _plain(offsets, y)):
        return
    if weights is not None and len(weights) != len(y):
        weights = np.tile(weights, len(offsets) - 1)
    with np.errstate(all="ignore"):
        squares = y * y if weights is None else weights * y * y
        whole = np.add.reduceat(np.append(squares, 0.0), offsets[:-1])
    far = ~((whole > SMALLEST) & (whole < LARGEST)) & (marks == 0)
    for k in np.flatnonzero(far):
        if y[offsets[k] : offsets[k + 1]].any():
            marks[k] = OVERFLOW


def _plain(offsets: NDArray[np.int64], y: Array) -> bool:
    """Whether the largest y and each curve's first say that no Σ y² is out of range, as they nearly always do."""
    first = y[np.minimum(offsets[:-1], len(y) - 1)]
    with np.errstate(all="ignore"):
        most = max(abs(y.max()), abs(y.min())) ** 2 * len(y)
        return bool(most < LARGEST and (first * first > SMALLEST).all())  # NaN is neither


def joined(marks: Marks, part: Fitted | None, all_p: int) -> Fitted:
    """The engine's rows among rows of nothing: one for each curve that is marked."""
    b = len(marks)
    good = marks == 0
    codes = [] if part is None else list(part.codes)
    codes += [one for one in MARKS if one not in codes]
    places = np.array([codes.index(one) for one in MARKS], dtype=np.int16)
    numbers = {"values": (b, all_p), "stderr": (b, all_p), "loss": (b,)}
    found: dict[str, Any] = {name: np.full(shape, np.nan) for name, shape in numbers.items()}
    found["dof"] = np.full(b, -1, dtype=np.int64)
    found["verdict"] = np.full(b, VERDICTS.index("failed"), dtype=np.int8)
    found["state"] = np.full(b, STATES.index(""), dtype=np.int8)
    found["code"] = places[marks]
    if part is not None:
        for name, one in found.items():
            one[good] = getattr(part, name)
    return Fitted(**found, codes=tuple(codes))

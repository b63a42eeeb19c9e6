"""What a path of parameters did, read from its rows: arrivals, turning points, swings, bursts, plateaus.

Pure functions of a trace's arrays. Each is a heuristic whose tolerance is a constant here, in ``TOLERANCES``, which the
story prints into its JSON. Nothing between two kept rows of a thinned trace is guessed: a row's number of steps is
what the trace says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from katamuki.records import Array, Trace

LEVELS = (1e-1, 1e-2, 1e-3)  # distances to the answer, in each parameter's own unit; the race's levels
PROMINENT = 0.1  # of a parameter's whole range: by so much a turning point stands out from start and end
KEPT = 200  # rows: a level held for so long is a level the run had reached
LEFT = 2.0  # times the level: a burst leaves it by more than this
BURST_LEVELS = tuple(10.0**-k for k in range(9))
SWINGS = 3  # crossings of the answer that are called swinging
CROSSED = 1e-2  # of the first swing: smaller ones no longer count
FLAT = 1e-3  # of the loss: so little does it change on a plateau
LONG = 0.2  # of the steps: so long is a plateau at least
HIGH = 0.1  # of the way from the first loss to the lowest known: a plateau lies above this
TURNS = 3  # turning points told at most
LASTS, EPOCHS = 0.1, 3  # of the steps, and in epochs: what holds for less than both may be the noise of batches

TOLERANCES: Mapping[str, float] = {
    "turning_point": PROMINENT,
    "burst_kept_rows": KEPT,
    "burst_leaves_by": LEFT,
    "swings_at_least": SWINGS,
    "swings_down_to": CROSSED,
    "plateau_change": FLAT,
    "plateau_length": LONG,
    "plateau_above": HIGH,
    "batches_holds_for": LASTS,
    "batches_holds_for_epochs": EPOCHS,
}


@dataclass(frozen=True, slots=True)
class Path:
    """The finite rows of a trace, and where the answer is.

    ``index`` (rows,) steps taken before each row; ``params`` (rows, p); ``loss`` (rows,); ``best`` (p,) the answer, or
    None; ``away`` (rows, p) = |params − best|; ``whole``: no row is missing. ``lasting``: for how many steps
    something must hold to be told, where steps took batches, whose noise undoes what is shorter; 0 where not.
    """

    names: tuple[str, ...]
    index: NDArray[np.int64]
    params: Array
    loss: Array
    best: Array | None
    away: Array | None
    whole: bool
    lasting: int = 0

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True, slots=True)
class Arrival:
    """After how many steps the distance stays below ``level``: by parameter, and all; None: not within the run.

    ``before``: the kept row before that of ``all``, by its steps.
    """

    level: float
    by_name: dict[str, int | None]
    all: int | None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A parameter's highest or lowest value, inside the run: ``row`` of the trace."""

    name: str
    row: int
    value: float
    peak: bool
    prominence: float  # of the parameter's range


@dataclass(frozen=True, slots=True)
class Swing:
    """A parameter that goes to and fro across its answer.

    ``crossings`` of the answer; ``period`` in steps; ``first`` the first excursion beyond the answer and ``row`` where
    it is largest; ``kept`` what is left of it from one excursion to the next.
    """

    name: str
    crossings: int
    period: float
    first: float
    row: int
    kept: float


@dataclass(frozen=True, slots=True)
class Burst:
    """The distance to the answer leaves a level that it had kept: rows since when, from, to (exclusive), peak."""

    level: float
    since: int
    begin: int
    end: int
    peak: int
    distance: float
    count: int  # how many there are of this level


@dataclass(frozen=True, slots=True)
class Plateau:
    """Rows ``begin`` to ``end`` on which the loss stays as it is, high above what is known to be reachable."""

    begin: int
    end: int
    loss: float


def path_of(trace: Trace, best: Array | None) -> Path:
    """The rows of a trace up to the last finite one."""
    finite = np.isfinite(trace.loss)
    finite &= np.isfinite(trace.params).all(axis=1)
    rows = len(trace) if finite.all() else int(np.argmin(finite))
    params = trace.params[:rows]
    with np.errstate(over="ignore"):
        away = None if best is None else np.abs(params - best)
    index = trace.index[:rows]
    whole = rows < 2 or int(index[-1] - index[0]) == rows - 1
    return Path(trace.names, index, params, trace.loss[:rows], best, away, whole)


def arrivals(path: Path) -> tuple[Arrival, ...]:
    """After how many steps each parameter, and all of them, are within 10⁻¹, 10⁻², 10⁻³ of the answer for good.

    On batches that a run ended there is no arrival: it must have stayed for ``path.lasting`` steps.

    Example
    -------
    >>> rows = np.array([[1.0], [0.05], [0.2], [0.05], [0.0]])
    >>> gone = rows * 0
    >>> found = arrivals(path_of(Trace(("a",), np.arange(5), rows, rows[:, 0], gone, gone), np.zeros(1)))
    >>> [(one.level, one.all) for one in found]
    [(0.1, 3), (0.01, 4), (0.001, 4)]
    """
    if path.away is None or not len(path):
        return ()
    found = []
    for level in LEVELS:
        rows = [_stays(path.away[:, k], level) for k in range(len(path.names))]
        late = int(path.index[-1]) - path.lasting
        steps = [None if row is None or path.index[row] > late else int(path.index[row]) for row in rows]
        reached = [one for one in steps if one is not None]
        everyone = max(reached) if reached and len(reached) == len(steps) else None
        before = int(path.index[int(np.searchsorted(path.index, everyone)) - 1]) if everyone else None
        found.append(Arrival(level, dict(zip(path.names, steps, strict=True)), everyone, before))
    return tuple(found)


def _stays(away: Array, level: float) -> int | None:
    """The first row from which on the distance stays below a level."""
    out = away >= level
    if not out.any():
        return 0
    last = len(out) - 1 - int(np.argmax(out[::-1]))
    return last + 1 if last + 1 < len(out) else None


def turning_points(path: Path, until: int) -> tuple[Turn, ...]:
    """Where parameters turn back: their highest and lowest values, if these lie before row ``until`` and stand out.

    Example
    -------
    >>> rows = np.array([[0.0], [2.0], [1.0]])
    >>> one, = turning_points(path_of(Trace(("a",), np.arange(3), rows, rows[:, 0], rows, rows), None), 3)
    >>> one.row, one.value, one.peak
    (1, 2.0, True)
    """
    found = []
    for k, name in enumerate(path.names):
        values = path.params[:, k]
        if len(values) < 3:
            continue
        low, high = int(values.argmin()), int(values.argmax())
        span = float(values[high]) - float(values[low])
        ends = float(values[0]), float(values[-1])
        if not 0.0 < span < np.inf:
            continue
        for row, peak in ((high, True), (low, False)):
            stands = (float(values[row]) - max(ends)) if peak else (min(ends) - float(values[row]))
            beyond = values > max(ends) if peak else values < min(ends)
            if stands >= PROMINENT * span and row < until and _holds(path, beyond)[row] >= path.lasting:
                found.append(Turn(name, row, float(values[row]), peak, stands / span))
    found.sort(key=lambda one: -one.prominence)
    return tuple(sorted(found[:TURNS], key=lambda one: one.row))


def _holds(path: Path, so: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For how many steps each row's stretch of rows that are so lasts; 0 for rows that are not."""
    edges = np.flatnonzero(np.diff(so)) + 1
    begins = np.concatenate([[0], edges])
    ends = np.concatenate([edges, [len(so)]])
    length = path.index[ends - 1] - path.index[begins]
    return np.where(so, np.repeat(length, ends - begins), 0)


def rest_of_stretch(path: Path, so: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For how many steps from each row on rows are so; 0 for rows that are not.

    Example
    -------
    >>> rows = np.zeros((5, 1))
    >>> one = path_of(Trace(("a",), np.arange(5), rows, rows[:, 0], rows, rows), None)
    >>> rest_of_stretch(one, np.array([True, True, False, True, True])).tolist()
    [1, 0, 0, 1, 0]
    """
    edges = np.flatnonzero(np.diff(so)) + 1
    ends = np.concatenate([edges, [len(so)]])
    last = np.repeat(path.index[ends - 1], np.diff(np.concatenate([[0], ends])))
    return np.where(so, last - path.index, 0)


def swings(path: Path, until: int) -> tuple[Swing, ...]:
    """Parameters that swing across their answer before row ``until``, more slowly than once a step.

    Example
    -------
    >>> t = np.arange(200.0)
    >>> rows = (0.98**t * np.cos(t / 10))[:, None]
    >>> one, = swings(path_of(Trace(("a",), np.arange(200), rows, rows[:, 0], rows, rows), np.zeros(1)), 200)
    >>> one.crossings, round(one.period)
    (6, 63)
    """
    if path.best is None or path.away is None or not path.whole:
        return ()
    found = []
    for k, name in enumerate(path.names):
        off = path.params[:until, k] - path.best[k]
        crossed = np.flatnonzero(off[1:] * off[:-1] < 0.0) + 1
        if len(crossed) < SWINGS:
            continue
        away = path.away[:until, k]
        sizes = np.maximum.reduceat(away, crossed)
        count = int((sizes >= CROSSED * sizes[0]).argmin()) or len(sizes)
        least = 1e-12 * max(abs(float(path.best[k])), float(away[0]))
        if count < SWINGS or not sizes[0] > least:
            continue
        gap = float(np.diff(crossed[:count]).mean())
        if gap < 3.0:
            continue
        begin, end = int(crossed[0]), int(crossed[1])
        whole = sizes[: count - 1] if count > SWINGS else sizes[:count]  # the last excursion may be cut off
        kept = float((whole[-1] / whole[0]) ** (1.0 / (len(whole) - 1)))
        found.append(Swing(name, count, 2.0 * gap, float(sizes[0]), begin + int(away[begin:end].argmax()), kept))
    return tuple(found)


def burst(path: Path) -> Burst | None:
    """The first burst from the coarsest level that was left after it had been kept for long.

    Example
    -------
    >>> rows = np.full((1000, 1), 1e-4)
    >>> rows[700:720] = 0.5
    >>> one = burst(path_of(Trace(("a",), np.arange(1000), rows, rows[:, 0], rows, rows), np.zeros(1)))
    >>> one.begin, one.end, one.distance, one.count
    (700, 720, 0.5, 1)
    """
    if path.away is None or not path.whole or len(path) <= KEPT:
        return None
    far = path.away.max(axis=1)
    for level in BURST_LEVELS:
        inside = far < level
        edges = np.flatnonzero(np.diff(inside)) + 1
        bounds = np.concatenate([[0], edges, [len(far)]])
        begins, lengths = bounds[:-1], np.diff(bounds)
        highest = np.maximum.reduceat(far, begins)
        out = ~inside[begins[1:]] & (lengths[:-1] >= KEPT) & (highest[1:] > LEFT * level)
        hits = np.flatnonzero(out) + 1
        if len(hits):
            first = int(hits[0])
            begin, end = int(bounds[first]), int(bounds[first + 1])
            peak = begin + int(far[begin:end].argmax())
            return Burst(level, int(bounds[first - 1]), begin, end, peak, float(far[peak]), len(hits))
    return None


def plateau(path: Path, lowest: float) -> Plateau | None:
    """The longest stretch on which the loss hardly changes though it lies high above ``lowest``.

    Example
    -------
    >>> loss = np.concatenate([np.linspace(9.0, 5.0, 50), np.full(100, 5.0), np.linspace(5.0, 0.0, 50)])
    >>> rows = loss[:, None]
    >>> found = plateau(path_of(Trace(("a",), np.arange(200), rows, loss, rows, rows), None), 0.0)
    >>> found.begin, found.end, found.loss
    (49, 150, 5.0)
    """
    rows = len(path)
    if rows < 10:
        return None
    loss, index = path.loss, path.index
    high = loss - lowest > HIGH * (float(loss[0]) - lowest)
    level = np.searchsorted(index, index + max(1, int(LONG * (index[-1] - index[0]))))  # the row a plateau later
    begins = np.flatnonzero(level < rows)
    begins = begins[high[begins] & high[level[begins]]]
    with np.errstate(over="ignore", invalid="ignore"):
        same = np.abs(loss[level[begins]] - loss[begins]) <= FLAT * np.abs(loss[begins])
    begins = begins[same]
    if not len(begins):
        return None
    begin = int(begins[0])
    size = FLAT * abs(float(loss[begin]))
    apart = np.abs(loss[begin:] - loss[begin]) > size
    end = begin + (int(np.argmax(apart)) if apart.any() else rows - begin)
    if end <= int(level[begin]):  # it left the level and came back: no plateau
        return None
    return Plateau(begin, end - 1, float(loss[begin]))

"""Blocks of curves, fitted by threads and handed on in order; Ctrl-C and a deadline are seen between two curves.

How many curves a block has follows from how long the last ones took; no number depends on it. The main thread fits
nothing: it waits, hands on what is finished, and hears Ctrl-C.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import Event
from typing import Literal

from katamuki.api.many_blocks import Done, Work
from katamuki.api.many_one import Road
from katamuki.api.many_rows import Supply
from katamuki.many.curves import One
from katamuki.records import Array

FIRST = 64  # curves of the first block
MOST = 1 << 16  # curves of a block
ROWS = 1 << 17  # rows of a block: what is read twice stays in the cache
READ_ONCE = 1 << 20  # rows of a block that is read once
LONG = 0.2  # seconds that a block should take
GROWTH = 8.0  # at most, from block to block
Ending = Literal["done", "interrupted", "time"]
Progress = Callable[[int, int, float], None]


class Stopped(Exception):  # noqa: N818  never leaves this file
    """A block is given up."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A road that is left between two curves once ``stop`` is set."""

    road: Road
    stop: Event

    def one(self, columns: tuple[Array, ...], y: Array, weights: Array | None) -> One:
        """The row of one curve."""
        if self.stop.is_set():
            raise Stopped
        return self.road.one(columns, y, weights)


class Pace:
    """How many curves the next block has: as many as take ``LONG``, by the last one.

    Parameters
    ----------
    curves : int
        Of the first block.
    """

    def __init__(self, curves: int) -> None:
        self.curves = curves

    def seen(self, done: Done) -> None:
        """Learn from a block."""
        if len(done):
            wanted = len(done) * LONG / max(done.seconds, 1e-6)
            self.curves = int(min(max(wanted, 1.0), self.curves * GROWTH, MOST))


def run(
    supply: Supply,
    work: Work,
    sink: Callable[[Done], None],
    *,
    threads: int,
    deadline: float | None = None,
    progress: Progress | None = None,
    done: int = 0,
) -> Ending:
    """Fit all curves of a supply.

    Parameters
    ----------
    supply : Supply
        Where they come from.
    work : Work
        What is done to each block.
    sink : function
        Takes finished blocks, in order.
    threads : int
        How many blocks are fitted at a time.
    deadline : float, optional
        A time of ``time.monotonic`` after which no block is begun, and those that are on their way are given up.
    progress : function, optional
        Called with curves done, curves in all (−1: nobody knows) and seconds left (NaN: nobody knows).
    done : int
        Curves that were done before, for ``progress``.

    Returns
    -------
    "done", "interrupted" or "time"
        How it ended.
    """
    stop, pace = Event(), Pace(FIRST)
    work = replace(work, task=replace(work.task, one=Watched(work.road, stop).one))
    hand = Hands(sink)
    waiting: deque[Future[Done]] = deque()
    began, skipped, rows, last = time.monotonic(), supply.counted(done), 0, -math.inf
    left = True
    with ThreadPoolExecutor(threads) as pool, ThreadPoolExecutor(1) as writer:
        try:
            while True:
                while left and len(waiting) < 2 * threads:
                    found = supply.take(pace.curves, ROWS if work.unseen is None else READ_ONCE)
                    left = found is not None
                    if found is not None:
                        waiting.append(pool.submit(work, found[0]))
                if not waiting:
                    return "done"
                wait([waiting[0]], None if deadline is None else max(0.0, deadline - time.monotonic()))
                if not waiting[0].done():
                    stop.set()
                    _close(waiting, hand, writer)
                    return "time"
                finished = waiting[0].result()
                writer.submit(hand, finished).result()
                waiting.popleft()
                pace.seen(finished)
                done, rows = done + len(finished), rows + finished.rows
                now = time.monotonic()
                if progress is not None and (now - last >= 0.1 or not (left or waiting)):
                    last = now
                    progress(done, supply.curves, _left(rows, supply.rows - skipped, now - began))
        except KeyboardInterrupt:
            stop.set()
            _close(waiting, hand, writer)
            return "interrupted"
        finally:
            stop.set()
            for one in waiting:
                one.cancel()


class Hands:
    """Hands blocks on, each once: it runs in one thread, which Ctrl-C does not reach.

    Parameters
    ----------
    sink : function
        Takes them.
    """

    def __init__(self, sink: Callable[[Done], None]) -> None:
        self.sink = sink
        self.last = -1

    def __call__(self, done: Done) -> None:
        """Hand a block on, unless it was."""
        if done.first > self.last:
            self.sink(done)
            self.last = done.first


def _left(done: int, rows: int, spent: float) -> float:
    """Seconds that are left, if rows go on like those that are done."""
    return spent * (rows - done) / done if rows >= done > 0 else math.nan


def _close(waiting: deque[Future[Done]], hand: Hands, writer: ThreadPoolExecutor) -> None:
    """After the end: what is finished and follows on what was handed on is handed on, too."""
    running = [one for one in waiting if not one.cancel()]
    wait(running)
    for one in running:
        if one.exception() is not None:
            return
        writer.submit(hand, one.result()).result()

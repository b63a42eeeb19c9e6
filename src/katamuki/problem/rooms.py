"""Arrays that are used again once nobody holds them: fresh memory costs more than what a batch of rows is read into it.

The system clears each page of memory that it hands out, and takes a large array's pages back when it is let go; a pass
over many rows would have that done for every batch. Each thread has arrays of its own. What somebody still holds, or a
view of it, is never handed out.
"""

from __future__ import annotations

import threading
from sys import getrefcount
from typing import Any

import numpy as np

from katamuki.backends.native import address_of
from katamuki.records import Array

PAGE = 4096  # bytes; an array begins at such a multiple
SPARE = PAGE // 8  # numbers that are left out for that
MOST = 12  # arrays that a thread keeps: of four columns those of three batches


def _references(kept: list[Array]) -> int:
    """How many references ``getrefcount`` counts of an array that only a list holds, asked of it in a loop."""
    for one in kept:
        return getrefcount(one)
    return 0


ALONE = _references([np.empty(1)])


class Rooms(threading.local):
    """The arrays of each thread that asks.

    Example
    -------
    >>> rooms = Rooms()
    >>> one, two = rooms.take(10), rooms.take(10)
    >>> bool(np.shares_memory(one, two))
    False
    >>> first, two = two.ctypes.data, None
    >>> rooms.take(7).ctypes.data == first
    True
    """

    def __init__(self) -> None:
        self.kept: list[Array] = []
        self.cursors: list[Any] = []  # in pages of columns, with memories of their own

    def take(self, count: int) -> Array:
        """An uninitialised array (count,) that nobody else holds, nor a view of it."""
        for one in self.kept:
            if len(one) >= count + SPARE and getrefcount(one) == ALONE:
                break
        else:
            one = np.empty(count + SPARE)
            if len(self.kept) < MOST:
                self.kept.append(one)
        return aligned(one, count)


def aligned(room: Array, count: int) -> Array:
    """So many numbers of an array from where a page of memory begins; it has ``SPARE`` more."""
    first = -address_of(room) % PAGE // 8
    return room[first : first + count]

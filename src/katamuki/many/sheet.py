"""The whole table of many fits while it is made in memory: room for every curve, filled block by block.

Blocks are written by several threads, each to its own rows; then the columns are handed to Arrow where they stand, so
that no number is copied twice. What is not filled when a run ends early is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.many.curves import STATES, VERDICTS, Fitted
from katamuki.many.table import assembled, columns_of

TEXT = 16  # bytes of a short word and its place, about


def room_of(keys: Sequence[Any], parameters: Sequence[str], curves: int) -> int:
    """Bytes of the table of so many curves, about.

    Example
    -------
    >>> room_of([], ["a"], 10)
    880
    """
    return sum(int(key.nbytes) for key in keys) + curves * (8 * (2 * len(parameters) + 3) + 3 * TEXT)


class Sheet:
    """Room for the rows of curves.

    Parameters
    ----------
    by : sequence of str
        The key columns' names.
    keys : sequence of pyarrow.Array
        (curves,) each.
    parameters : sequence of str
        All parameters, in the order of ``Fitted.values``.
    curves : int
        How many.
    """

    def __init__(self, by: Sequence[str], keys: Sequence[Any], parameters: Sequence[str], curves: int) -> None:
        self.by, self.keys, self.parameters, self.curves = by, keys, parameters, curves
        self.numbers = [np.empty(curves) for _ in range(2 * len(parameters) + 1)]
        self.n, self.dof = np.empty(curves, dtype=np.int64), np.empty(curves, dtype=np.int64)
        self.verdict, self.state = np.empty(curves, dtype=np.int8), np.empty(curves, dtype=np.int8)
        self.code = np.empty(curves, dtype=np.int16)
        self.codes = [""]
        self._lock = Lock()
        self.done = 0

    def put(self, first: int, fitted: Fitted, n: NDArray[np.int64]) -> None:
        """Write the rows of some curves, from number ``first`` on."""
        here = slice(first, first + len(n))
        for k in range(len(self.parameters)):
            self.numbers[2 * k][here] = fitted.values[:, k]
            self.numbers[2 * k + 1][here] = fitted.stderr[:, k]
        self.numbers[-1][here] = fitted.loss
        self.n[here], self.dof[here] = n, fitted.dof
        self.verdict[here], self.state[here] = fitted.verdict, fitted.state
        self.code[here] = self._places(fitted.codes)[fitted.code]

    def _places(self, codes: Sequence[str]) -> NDArray[np.int16]:
        """Where codes stand among those of all blocks."""
        with self._lock:
            self.codes += [one for one in codes if one not in self.codes]
            return np.array([self.codes.index(one) for one in codes], dtype=np.int16)

    def handed(self, curves: int) -> None:
        """Know that so many more are finished, in order."""
        self.done += curves

    def table(self) -> Any:
        """The finished rows as a pyarrow.Table."""
        done = self.done
        keys = [key.slice(0, done) for key in self.keys]
        numbers = [one[:done] for one in self.numbers]
        words = ((VERDICTS, self.verdict[:done]), (STATES, self.state[:done]), (self.codes, self.code[:done]))
        names = columns_of(self.by, self.parameters)
        return assembled(names, keys, numbers, self.n[:done], self.dof[:done], words)

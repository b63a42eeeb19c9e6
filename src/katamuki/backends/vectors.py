"""Eight numbers side by side, one of each of eight curves: what compiled loops over curves compute with.

In compiled code a ``Lanes`` is one vector of LLVM's, which becomes as many registers as the processor needs; +, −, ×, ÷
and comparisons work number by number. In plain Python the same source works on NumPy arrays (8,): memory is an array of
doubles, and place k of it holds the numbers 8k to 8k + 7. A comparison gives a mask.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from katamuki.backends.vectormath import BINARY, UNARY

LANES = 8


class Operation:
    """An operation on eight numbers: ``python`` is what it means on arrays."""

    def __init__(self, name: str, python: Any) -> None:
        self.name = name
        self.python = python
        self.__doc__ = python.__doc__

    def __call__(self, *arguments: Any) -> Any:
        return self.python(*arguments)


def _load(memory: Any, place: int) -> Any:
    """The eight numbers at a place."""
    return np.array(memory[LANES * place : LANES * place + LANES])


def _store(memory: Any, place: int, value: Any) -> None:
    """Write eight numbers."""
    memory[LANES * place : LANES * place + LANES] = value


def _overwrite(memory: Any, place: int, mask: Any, value: Any) -> None:
    """Write those of eight numbers for which the mask holds."""
    _store(memory, place, np.where(mask, value, _load(memory, place)))


def _splat(value: float) -> Any:
    """The same number eight times."""
    return np.full(LANES, value)


def _choose(mask: Any, one: Any, other: Any) -> Any:
    """``one`` where the mask holds, else ``other``."""
    return np.where(mask, one, other)


def _turn(target: Any, place: int, source: Any, begins: Any, row: int) -> None:
    """Four rows of eight curves, side by side: row ``row`` of curve i stands at ``source[begins[i] + row]``."""
    for r in range(4):
        for i in range(LANES):
            target[LANES * (place + r) + i] = source[begins[i] + row + r]


load = Operation("load", _load)
store = Operation("store", _store)
overwrite = Operation("overwrite", _overwrite)
splat = Operation("splat", _splat)
choose = Operation("choose", _choose)
root_of = Operation("root_of", np.sqrt)
size_of = Operation("size_of", np.abs)
fused = Operation("fused", lambda a, b, c: a * b + c)  # a·b + c, in compiled code rounded once
both = Operation("both", np.logical_and)
either = Operation("either", np.logical_or)
neither = Operation("neither", np.logical_not)  # of one mask
turn = Operation("turn", _turn)
somewhere = Operation("somewhere", lambda mask: bool(np.any(mask)))
OPERATIONS = {
    one.name: one
    for one in (load, store, overwrite, splat, choose, root_of, size_of, fused, both, either, neither, somewhere, turn)
}
two_to_last = Operation("two_to_last", lambda x: np.exp2(np.fmod(x, 2048.0) - 1023.0))  # see exponential.exp_of_eight
FUNCTIONS = {name: Operation(name, np.vectorize(getattr(math, name))) for name in (*UNARY, *BINARY)}

"""What each option of a first-order solver may be: a test, and the catalogue's words for it.

The ranges are those of ``torch.optim``, tightened where it would take steps of length 0 (lr, Adadelta's eps) or keep
all of the old and none of the new (shares of 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from katamuki.errors import BoundsError

if TYPE_CHECKING:
    from katamuki.solvers.first_order import FirstOrder

STEPS = 6000  # the tutorial's

Range = tuple[Callable[[Any], bool], str]


def plain(value: Any) -> Any:
    """NumPy's numbers, alone or in a tuple, as Python's, which JSON and sentences know; anything else as it is.

    Example
    -------
    >>> import numpy as np
    >>> plain(np.int64(5)), plain((np.float32(0.5), 0.999)), plain(True), plain("5")
    (5, (0.5, 0.999), True, '5')
    """
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def is_number(value: Any) -> bool:
    """Whether it is a finite number; True is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: Any, most: float = math.inf) -> bool:
    """Whether it is a whole number from 1 to ``most``; True is none."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(is_number, value))


_POSITIVE: Range = (lambda value: is_number(value) and value > 0.0, "positive")
_NOT_NEGATIVE: Range = (lambda value: is_number(value) and value >= 0.0, "not_negative")
_SHARE: Range = (lambda value: is_number(value) and 0.0 <= value < 1.0, "share")
_SHARES: Range = (lambda value: _is_pair(value) and all(map(_SHARE[0], value)), "shares")
_SWITCH: Range = (lambda value: isinstance(value, bool), "switch")
_RANGES: dict[str, Range] = {
    "lr": _POSITIVE,
    "steps": (is_whole, "whole"),
    "batch_size": (lambda value: value is None or is_whole(value), "batch"),
    "momentum": _NOT_NEGATIVE,
    "dampening": (is_number, "number"),
    "weight_decay": _NOT_NEGATIVE,
    "eps": _NOT_NEGATIVE,
    "alpha": _SHARE,
    "rho": _SHARE,
    "betas": _SHARES,
    "lambd": _NOT_NEGATIVE,
    "ASGD.alpha": _NOT_NEGATIVE,
    "Adadelta.eps": _POSITIVE,  # its first steps are about √eps long
    "t0": _NOT_NEGATIVE,
    "lr_decay": _NOT_NEGATIVE,
    "initial_accumulator_value": _NOT_NEGATIVE,
    "momentum_decay": _NOT_NEGATIVE,
    "etas": (lambda value: _is_pair(value) and 0.0 < value[0] < 1.0 < value[1], "etas"),
    "step_sizes": (lambda value: _is_pair(value) and 0.0 <= value[0] <= value[1] > 0.0, "step_sizes"),
    "nesterov": _SWITCH,
    "centered": _SWITCH,
    "amsgrad": _SWITCH,
    "decoupled_weight_decay": _SWITCH,
}


def check(solver: FirstOrder) -> None:
    """Refuse an option outside its range, naming it."""
    kind = type(solver).__name__
    for one in fields(solver):
        value = plain(getattr(solver, one.name))
        accepts, words = _RANGES.get(f"{kind}.{one.name}") or _RANGES[one.name]
        if not accepts(value):
            raise BoundsError("E-USAGE", f"first_order.{words}", solver=kind, option=one.name, given=repr(value))
        object.__setattr__(solver, one.name, value)

"""First-order solvers: SGD, RMSprop and Adam, with the names, defaults and rules of ``torch.optim``.

Each rule is one complete function below: ``rule(params, gradient, state, options, p, t)`` changes parameters and its
own memory in place and is step ``t`` (1, 2, …) of the method. Compiled loops call it on memory, readers and tests on
arrays. The order of operations is that of PyTorch's single-tensor loops, ``fma(x, y, z)`` = x·y + z included where its
vector code rounds once: where two terms cancel, as weight decay and gradient do at the end of a run, nothing less
makes the same step. What runs the steps stands in :mod:`katamuki.solvers.first_order_run`, what they led to
in :mod:`katamuki.solvers.first_order_diagnosis`. No rule here knows bounds, and none looks at the loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from katamuki.backends.native import fma, inline
from katamuki.errors import BoundsError
from katamuki.records import Array

STEPS = 6000  # the tutorial's


@inline
def between(a, b, share):  # type: ignore[no-untyped-def]
    """a + share·(b − a), from the nearer end, as ``torch.lerp``."""
    return fma(share, b - a, a) if share < 0.5 else fma(a - b, 1.0 - share, b)


@inline
def sgd(params, gradient, state, options, p, t):  # type: ignore[no-untyped-def]
    """x ← x − lr·m, m ← momentum·m + (1 − dampening)·g; Nesterov: x ← x − lr·(g + momentum·m).

    ``state``: m (p). Robbins & Monro 1951; Polyak 1964; Nesterov 1983 as Sutskever et al. 2013 write it.
    """
    lr, momentum, dampening, weight_decay, nesterov = options[0], options[1], options[2], options[3], options[4]
    for k in range(p):
        g = fma(weight_decay, params[k], gradient[k])
        if momentum != 0.0:
            if t == 1.0:
                state[k] = g  # PyTorch does not dampen the first step
            else:
                state[k] = fma(1.0 - dampening, g, momentum * state[k])
            g = fma(momentum, state[k], g) if nesterov != 0.0 else state[k]
        params[k] = fma(-lr, g, params[k])


@inline
def rmsprop(params, gradient, state, options, p, t):  # type: ignore[no-untyped-def]
    """v ← alpha·v + (1 − alpha)·g², x ← x − lr·g / (√v + eps); centered: √(v − mean²).

    ``state``: v, mean, momentum buffer, divisor (p each). Tieleman & Hinton 2012, lecture 6.5; centered: Graves 2013.
    """
    lr, alpha, eps = options[0], options[1], options[2]
    momentum, centered, weight_decay = options[3], options[4], options[5]
    for k in range(p):
        g = fma(weight_decay, params[k], gradient[k])
        v = state[k] = fma((1.0 - alpha) * g, g, alpha * state[k])
        if centered != 0.0:
            mean = state[p + k] = between(state[p + k], g, 1.0 - alpha)
            v = fma(-mean, mean, v)
        divisor = state[3 * p + k] = (math.sqrt(v) if v >= 0.0 else math.nan) + eps
        if momentum != 0.0:
            state[2 * p + k] = momentum * state[2 * p + k] + g / divisor
            params[k] = fma(-lr, state[2 * p + k], params[k])
        else:
            params[k] -= lr * g / divisor


@inline
def adam(params, gradient, state, options, p, t):  # type: ignore[no-untyped-def]
    """m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², x ← x − lr·m̂ / (√v̂ + eps), m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ).

    ``state``: m, v, largest v (amsgrad), divisor of m (p each). Kingma & Ba 2015; amsgrad: Reddi, Kale & Kumar 2018.
    """
    lr, beta1, beta2, eps, weight_decay = options[0], options[1], options[2], options[3], options[4]
    first = 1.0 - beta1**t
    second = (1.0 - beta2**t) ** 0.5
    for k in range(p):
        g = fma(weight_decay, params[k], gradient[k])
        m = state[k] = between(state[k], g, 1.0 - beta1)
        v = state[p + k] = fma((1.0 - beta2) * g, g, beta2 * state[p + k])
        if options[5] != 0.0:
            v = state[2 * p + k] = max(state[2 * p + k], v)
        divisor = math.sqrt(v) / second + eps
        state[3 * p + k] = divisor * first
        params[k] -= lr / first * m / divisor


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Gradient descent, with momentum if asked for: ``torch.optim.SGD`` on all rows at once.

    ``x ← x − lr·m``, ``m ← momentum·m + (1 − dampening)·g``

    Parameters
    ----------
    lr : float
        Learning rate; unit of a parameter squared per unit of the loss. 0.001, as in PyTorch.
    momentum, dampening, weight_decay : float
        Share of the last step kept; share of the gradient left out of it; pull towards 0 per parameter. 0, no unit.
    nesterov : bool
        Look ahead along the momentum.
    steps : int
        How many steps; PyTorch leaves that to the caller's loop.

    Raises
    ------
    BoundsError
        If an option is outside its range.

    Source
    ------
    Robbins & Monro 1951; Polyak 1964; Nesterov 1983; Sutskever et al. 2013.

    Example
    -------
    >>> SGD(lr=0.01, momentum=0.9, nesterov=True).packed().tolist()
    [0.01, 0.9, 0.0, 0.0, 1.0]
    """

    rule: ClassVar[int] = 0
    update: ClassVar[Callable[..., None]] = staticmethod(sgd)
    blocks: ClassVar[int] = 1  # of p numbers in the rule's state
    divides: ClassVar[bool] = False  # the last block is the gradient's divisor

    lr: float = 1e-3
    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False
    steps: int = STEPS

    def __post_init__(self) -> None:
        _check(self)
        if self.nesterov and (self.momentum <= 0.0 or self.dampening != 0.0):
            raise BoundsError("E-USAGE", "first_order.nesterov")

    def packed(self) -> Array:
        """The options as the rule reads them."""
        return np.array([self.lr, self.momentum, self.dampening, self.weight_decay, self.nesterov], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class RMSprop:
    """Each gradient divided by its own recent size: ``torch.optim.RMSprop``.

    ``v ← alpha·v + (1 − alpha)·g²``, ``x ← x − lr·g / (√v + eps)``

    Parameters
    ----------
    lr : float
        Learning rate: about the length of a step, unit of a parameter. 0.01, as in PyTorch.
    alpha : float
        Share of the old v that is kept, no unit.
    eps : float
        Keeps the divisor from 0; unit of the gradient.
    momentum, weight_decay : float
        Share of the last step kept; pull towards 0 per parameter. 0, no unit.
    centered : bool
        Divide by the gradient's standard deviation instead.
    steps : int
        How many steps; PyTorch leaves that to the caller's loop.

    Raises
    ------
    BoundsError
        If an option is outside its range.

    Source
    ------
    Tieleman & Hinton 2012, lecture 6.5; Graves 2013 (centered).

    Example
    -------
    >>> RMSprop(lr=0.001).packed().tolist()
    [0.001, 0.99, 1e-08, 0.0, 0.0, 0.0]
    """

    rule: ClassVar[int] = 1
    update: ClassVar[Callable[..., None]] = staticmethod(rmsprop)
    blocks: ClassVar[int] = 4
    divides: ClassVar[bool] = True

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False
    weight_decay: float = 0.0
    steps: int = STEPS

    def __post_init__(self) -> None:
        _check(self)

    def packed(self) -> Array:
        """The options as the rule reads them."""
        values = [self.lr, self.alpha, self.eps, self.momentum, self.centered, self.weight_decay]
        return np.array(values, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Momentum and division by the recent size, both corrected for their start at 0: ``torch.optim.Adam``.

    ``m ← β₁m + (1 − β₁)g``, ``v ← β₂v + (1 − β₂)g²``, ``x ← x − lr·m̂ / (√v̂ + eps)``

    Parameters
    ----------
    lr : float
        Learning rate: about the length of a step, unit of a parameter. 0.001, as in PyTorch.
    betas : (float, float)
        Shares of the old m and v that are kept, no unit.
    eps : float
        Keeps the divisor from 0; unit of the gradient.
    weight_decay : float
        Pull towards 0 per parameter, no unit.
    amsgrad : bool
        Divide by the largest v so far.
    steps : int
        How many steps; PyTorch leaves that to the caller's loop.

    Raises
    ------
    BoundsError
        If an option is outside its range.

    Source
    ------
    Kingma & Ba 2015, algorithm 1; Reddi, Kale & Kumar 2018 (amsgrad).

    Example
    -------
    >>> Adam(betas=(0.9, 0.99)).packed().tolist()
    [0.001, 0.9, 0.99, 1e-08, 0.0, 0.0]
    """

    rule: ClassVar[int] = 2
    update: ClassVar[Callable[..., None]] = staticmethod(adam)
    blocks: ClassVar[int] = 4
    divides: ClassVar[bool] = True

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False
    steps: int = STEPS

    def __post_init__(self) -> None:
        _check(self)

    def packed(self) -> Array:
        """The options as the rule reads them."""
        return np.array([self.lr, *self.betas, self.eps, self.weight_decay, self.amsgrad], dtype=np.float64)


FirstOrder = SGD | RMSprop | Adam


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


# What each option may be: a test, and the catalogue's words for it.
_NOT_NEGATIVE: tuple[Callable[[Any], bool], str] = (lambda value: _is_number(value) and value >= 0.0, "not_negative")
_SHARE: tuple[Callable[[Any], bool], str] = (lambda value: _is_number(value) and 0.0 <= value < 1.0, "share")
_SWITCH: tuple[Callable[[Any], bool], str] = (lambda value: isinstance(value, bool), "switch")
_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "lr": (lambda value: _is_number(value) and value > 0.0, "positive"),
    "steps": (lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 1, "whole"),
    "momentum": _NOT_NEGATIVE,
    "dampening": (_is_number, "number"),
    "weight_decay": _NOT_NEGATIVE,
    "eps": _NOT_NEGATIVE,
    "alpha": _SHARE,
    "betas": (lambda value: isinstance(value, tuple) and len(value) == 2 and all(map(_SHARE[0], value)), "shares"),
    "nesterov": _SWITCH,
    "centered": _SWITCH,
    "amsgrad": _SWITCH,
}


def _check(solver: FirstOrder) -> None:
    """Refuse an option outside its range, naming it."""
    for one in fields(solver):
        value = getattr(solver, one.name)
        accepts, words = _RANGES[one.name]
        if not accepts(value):
            raise BoundsError(
                "E-USAGE", f"first_order.{words}", solver=type(solver).__name__, option=one.name, given=repr(value)
            )

"""First-order solvers that divide each gradient by its own size: Adagrad, Adadelta and RMSprop.

Their updates, each whole, stand in :mod:`katamuki.solvers.first_order.rules`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from katamuki.backends.native import Native
from katamuki.records import Array
from katamuki.solvers.first_order.ranges import STEPS, check
from katamuki.solvers.first_order.rules import adadelta, adagrad, rmsprop
from katamuki.solvers.pace import Pace


@dataclass(frozen=True, kw_only=True)
class Adagrad:
    """Each gradient divided by the size of all its forerunners together: ``torch.optim.Adagrad``.

    ``s ← s + g²``, ``x ← x − lr / (1 + lr_decay·(t − 1)) · g / (√s + eps)``

    Parameters
    ----------
    lr : float
        Learning rate: the length of the first step, unit of a parameter. 0.01, as in PyTorch; steps only shrink.
    lr_decay : float
        How fast the rate decays besides; 0, no unit.
    weight_decay : float
        Pull towards 0 per parameter, as if ½·weight_decay·Σx² were added to the loss; 0, no unit.
    initial_accumulator_value : float
        s before the first step; unit of the gradient squared.
    eps : float
        Keeps the divisor from 0; unit of the gradient.
    steps : int
        How many steps; PyTorch leaves that to the caller's loop.
    batch_size : int, optional
        Rows of a step's batch, as PyTorch's ``DataLoader`` shuffles and deals them; by default every step takes all.

    Raises
    ------
    BoundsError
        If an option is outside its range.

    Source
    ------
    Duchi, Hazan & Singer 2011.

    Example
    -------
    >>> Adagrad(lr=0.5).packed().tolist()
    [0.5, 0.0, 0.0, 0.0, 1e-10]
    """

    rule: ClassVar[Native] = adagrad
    update: ClassVar[Callable[..., None]] = staticmethod(adagrad.python)
    memory: ClassVar[tuple[str, ...]] = ("sum", "divisor")
    blocks: ClassVar[int] = 2
    divides: ClassVar[bool] = True
    pace: ClassVar[Pace] = "slope"

    lr: float = 1e-2
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10
    steps: int = STEPS
    batch_size: int | None = None

    def __post_init__(self) -> None:
        check(self)

    def packed(self) -> Array:
        """The options as the rule reads them."""
        values = [self.lr, self.lr_decay, self.weight_decay, self.initial_accumulator_value, self.eps]
        return np.array(values, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Adadelta:
    """Each gradient divided by its recent size and multiplied by that of recent steps: ``torch.optim.Adadelta``.

    ``v ← rho·v + (1 − rho)·g²``, ``Δ = √(d + eps) / √(v + eps) · g``, ``d ← rho·d + (1 − rho)·Δ²``, ``x ← x − lr·Δ``

    Parameters
    ----------
    lr : float
        Factor of the step, no unit. 1, as in PyTorch and as in the paper, which has none.
    rho : float
        Share of the old v and d that is kept, no unit.
    eps : float
        Keeps the divisor from 0 and starts the steps: the first ones are about √eps long. Counted once as unit of
        the gradient squared, once as unit of a parameter squared.
    weight_decay : float
        Pull towards 0 per parameter, as if ½·weight_decay·Σx² were added to the loss; 0, no unit.
    steps : int
        How many steps; PyTorch leaves that to the caller's loop.
    batch_size : int, optional
        Rows of a step's batch, as PyTorch's ``DataLoader`` shuffles and deals them; by default every step takes all.

    Raises
    ------
    BoundsError
        If an option is outside its range.

    Source
    ------
    Zeiler 2012, arXiv:1212.5701.

    Example
    -------
    >>> Adadelta(rho=0.95).packed().tolist()
    [1.0, 0.95, 1e-06, 0.0]
    """

    rule: ClassVar[Native] = adadelta
    update: ClassVar[Callable[..., None]] = staticmethod(adadelta.python)
    memory: ClassVar[tuple[str, ...]] = ("v", "delta", "divisor")
    blocks: ClassVar[int] = 3
    divides: ClassVar[bool] = True
    pace: ClassVar[Pace] = "own"

    lr: float = 1.0
    rho: float = 0.9
    eps: float = 1e-6
    weight_decay: float = 0.0
    steps: int = STEPS
    batch_size: int | None = None

    def __post_init__(self) -> None:
        check(self)

    def packed(self) -> Array:
        """The options as the rule reads them."""
        return np.array([self.lr, self.rho, self.eps, self.weight_decay], dtype=np.float64)


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
    batch_size : int, optional
        Rows of a step's batch, as PyTorch's ``DataLoader`` shuffles and deals them; by default every step takes all.

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

    rule: ClassVar[Native] = rmsprop
    update: ClassVar[Callable[..., None]] = staticmethod(rmsprop.python)
    memory: ClassVar[tuple[str, ...]] = ("v", "mean", "buffer", "divisor")
    blocks: ClassVar[int] = 4
    divides: ClassVar[bool] = True
    pace: ClassVar[Pace] = "lr"

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False
    weight_decay: float = 0.0
    steps: int = STEPS
    batch_size: int | None = None

    def __post_init__(self) -> None:
        check(self)

    def packed(self) -> Array:
        """The options as the rule reads them."""
        values = [self.lr, self.alpha, self.eps, self.momentum, self.centered, self.weight_decay]
        return np.array(values, dtype=np.float64)

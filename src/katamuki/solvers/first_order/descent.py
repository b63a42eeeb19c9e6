"""First-order solvers whose steps are not divided by a size of the gradient: SGD, ASGD and Rprop.

Their updates, each whole, stand in :mod:`katamuki.solvers.first_order.rules`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from katamuki.backends.native import Native
from katamuki.errors import BoundsError
from katamuki.records import Array
from katamuki.solvers.first_order.ranges import STEPS, check
from katamuki.solvers.first_order.rules import asgd, rprop, sgd
from katamuki.solvers.pace import Pace


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
    batch_size : int, optional
        Rows of a step's batch, as PyTorch's ``DataLoader`` shuffles and deals them; by default every step takes all.

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

    rule: ClassVar[Native] = sgd
    update: ClassVar[Callable[..., None]] = staticmethod(sgd.python)
    memory: ClassVar[tuple[str, ...]] = ("buffer",)
    blocks: ClassVar[int] = 1
    divides: ClassVar[bool] = False
    pace: ClassVar[Pace] = "slope"

    lr: float = 1e-3
    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False
    steps: int = STEPS
    batch_size: int | None = None

    def __post_init__(self) -> None:
        check(self)
        if self.nesterov and (self.momentum <= 0.0 or self.dampening != 0.0):
            raise BoundsError("E-USAGE", "first_order.nesterov")

    def packed(self) -> Array:
        """The options as the rule reads them."""
        return np.array([self.lr, self.momentum, self.dampening, self.weight_decay, self.nesterov], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class ASGD:
    """Gradient descent whose rate decays, with the average of its way beside it: ``torch.optim.ASGD``.

    ``x ← (1 − lambd·η)·x − η·g``, ``η = lr / (1 + lambd·lr·(t − 1))^alpha``

    Parameters
    ----------
    lr : float
        Learning rate of the first step; unit of a parameter squared per unit of the loss. 0.01, as in PyTorch.
    lambd : float
        Pull towards 0 per parameter, which also sets how fast the rate decays. 0.0001, as in PyTorch, and not 0:
        the run ends near the least-squares answer, not at it.
    alpha : float
        Power of the decay, no unit.
    t0 : float
        Steps before averaging begins. The result is the last point, as in PyTorch, whose average stays in the
        optimizer's memory, too.
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
    Polyak & Juditsky 1992; Xu 2011, arXiv:1107.2490.

    Example
    -------
    >>> ASGD(lr=0.005, lambd=0.0).packed().tolist()
    [0.005, 0.0, 0.75, 1000000.0, 0.0]
    """

    rule: ClassVar[Native] = asgd
    update: ClassVar[Callable[..., None]] = staticmethod(asgd.python)
    memory: ClassVar[tuple[str, ...]] = ("average",)
    blocks: ClassVar[int] = 1
    divides: ClassVar[bool] = False
    pace: ClassVar[Pace] = "own"

    lr: float = 1e-2
    lambd: float = 1e-4
    alpha: float = 0.75
    t0: float = 1e6
    weight_decay: float = 0.0
    steps: int = STEPS
    batch_size: int | None = None

    def __post_init__(self) -> None:
        check(self)

    def packed(self) -> Array:
        """The options as the rule reads them."""
        return np.array([self.lr, self.lambd, self.alpha, self.t0, self.weight_decay], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Rprop:
    """Steps by the gradient's sign alone, each parameter with its own size: ``torch.optim.Rprop``.

    ``x ← x − size·sign(g)``, size times 1.2 while g keeps its sign, times 0.5 where it turns

    Parameters
    ----------
    lr : float
        First size of every parameter's step, unit of a parameter. 0.01, as in PyTorch.
    etas : (float, float)
        Factors of the size where the gradient has turned, between 0 and 1, and where it kept its sign, above 1; no
        unit.
    step_sizes : (float, float)
        Smallest and largest size of a step, unit of a parameter. The run comes no nearer to the answer than the
        smallest.
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
    Riedmiller & Braun 1993; Igel & Hüsken 2003 (iRprop⁻).

    Example
    -------
    >>> Rprop(step_sizes=(1e-12, 50.0)).packed().tolist()
    [0.01, 0.5, 1.2, 1e-12, 50.0]
    """

    rule: ClassVar[Native] = rprop
    update: ClassVar[Callable[..., None]] = staticmethod(rprop.python)
    memory: ClassVar[tuple[str, ...]] = ("previous", "size")
    blocks: ClassVar[int] = 2
    divides: ClassVar[bool] = False
    pace: ClassVar[Pace] = "own"

    lr: float = 1e-2
    etas: tuple[float, float] = (0.5, 1.2)
    step_sizes: tuple[float, float] = (1e-6, 50.0)
    steps: int = STEPS
    batch_size: int | None = None

    def __post_init__(self) -> None:
        check(self)

    def packed(self) -> Array:
        """The options as the rule reads them."""
        return np.array([self.lr, *self.etas, *self.step_sizes], dtype=np.float64)

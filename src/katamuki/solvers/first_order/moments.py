"""First-order solvers with momentum and division both: Adam, AdamW, Adamax, NAdam and RAdam.

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
from katamuki.solvers.first_order.rules import adam, adamax, nadam, radam
from katamuki.solvers.pace import Pace


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
        Pull towards 0 per parameter, as if ½·weight_decay·Σx² were added to the loss; 0, no unit.
    amsgrad : bool
        Divide by the largest v so far.
    decoupled_weight_decay : bool
        Shrink the parameters by lr·weight_decay per step instead, apart from the gradient, as AdamW does.
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
    Kingma & Ba 2015, algorithm 1; Reddi, Kale & Kumar 2018 (amsgrad).

    Example
    -------
    >>> Adam(betas=(0.9, 0.99)).packed().tolist()
    [0.001, 0.9, 0.99, 1e-08, 0.0, 0.0, 0.0]
    """

    rule: ClassVar[Native] = adam
    update: ClassVar[Callable[..., None]] = staticmethod(adam.python)
    memory: ClassVar[tuple[str, ...]] = ("m", "v", "largest", "divisor")
    blocks: ClassVar[int] = 4
    divides: ClassVar[bool] = True
    pace: ClassVar[Pace] = "lr"

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False
    decoupled_weight_decay: bool = False
    steps: int = STEPS
    batch_size: int | None = None

    def __post_init__(self) -> None:
        check(self)

    def packed(self) -> Array:
        """The options as the rule reads them."""
        switches = [self.amsgrad, self.decoupled_weight_decay]
        return np.array([self.lr, *self.betas, self.eps, self.weight_decay, *switches], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """Adam whose weight decay shrinks the parameters, apart from the gradient: ``torch.optim.AdamW``.

    ``x ← (1 − lr·weight_decay)·x − lr·m̂ / (√v̂ + eps)``, m̂ and v̂ as Adam's

    Parameters
    ----------
    lr : float
        Learning rate: about the length of a step, unit of a parameter. 0.001, as in PyTorch.
    betas : (float, float)
        Shares of the old m and v that are kept, no unit.
    eps : float
        Keeps the divisor from 0; unit of the gradient.
    weight_decay : float
        Pull towards 0 per parameter, no unit. 0.01, as in PyTorch, and not 0: the run does not end at the least-
        squares answer.
    amsgrad : bool
        Divide by the largest v so far.
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
    Loshchilov & Hutter 2019, arXiv:1711.05101.

    Example
    -------
    >>> AdamW(weight_decay=0.1).packed().tolist()
    [0.001, 0.9, 0.999, 1e-08, 0.1, 0.0, 1.0]
    """

    rule: ClassVar[Native] = adam
    update: ClassVar[Callable[..., None]] = staticmethod(adam.python)
    memory: ClassVar[tuple[str, ...]] = ("m", "v", "largest", "divisor")
    blocks: ClassVar[int] = 4
    divides: ClassVar[bool] = True
    pace: ClassVar[Pace] = "lr"
    decoupled_weight_decay: ClassVar[bool] = True

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 1e-2
    amsgrad: bool = False
    steps: int = STEPS
    batch_size: int | None = None

    def __post_init__(self) -> None:
        check(self)

    def packed(self) -> Array:
        """The options as the rule reads them."""
        return np.array([self.lr, *self.betas, self.eps, self.weight_decay, self.amsgrad, 1.0], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Adamax:
    """Adam that divides by the largest recent gradient: ``torch.optim.Adamax``.

    ``m ← β₁m + (1 − β₁)g``, ``u ← max(β₂u, |g| + eps)``, ``x ← x − lr·m̂ / u``

    Parameters
    ----------
    lr : float
        Learning rate: about the length of a step, unit of a parameter. 0.002, as in PyTorch.
    betas : (float, float)
        Shares of the old m and u that are kept, no unit.
    eps : float
        Keeps the divisor from 0; unit of the gradient.
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
    Kingma & Ba 2015, algorithm 2.

    Example
    -------
    >>> Adamax().packed().tolist()
    [0.002, 0.9, 0.999, 1e-08, 0.0]
    """

    rule: ClassVar[Native] = adamax
    update: ClassVar[Callable[..., None]] = staticmethod(adamax.python)
    memory: ClassVar[tuple[str, ...]] = ("m", "u", "divisor")
    blocks: ClassVar[int] = 3
    divides: ClassVar[bool] = True
    pace: ClassVar[Pace] = "lr"

    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    steps: int = STEPS
    batch_size: int | None = None

    def __post_init__(self) -> None:
        check(self)

    def packed(self) -> Array:
        """The options as the rule reads them."""
        return np.array([self.lr, *self.betas, self.eps, self.weight_decay], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class NAdam:
    """Adam that looks ahead along its momentum, as Nesterov's descent does: ``torch.optim.NAdam``.

    ``x ← x − lr·[(1 − μₜ)·g / (1 − Πμ) + μₜ₊₁·m / (1 − Πμ·μₜ₊₁)] / (√v̂ + eps)``, m and v̂ as Adam's,
    ``μₜ = β₁·(1 − ½·0.96^(momentum_decay·t))``, Πμ the product of μ₁ to μₜ

    Parameters
    ----------
    lr : float
        Learning rate: about the length of a step, unit of a parameter. 0.002, as in PyTorch.
    betas : (float, float)
        Shares of the old m and v that are kept, no unit.
    eps : float
        Keeps the divisor from 0; unit of the gradient.
    weight_decay : float
        Pull towards 0 per parameter, as if ½·weight_decay·Σx² were added to the loss; 0, no unit.
    momentum_decay : float
        How fast μ grows from β₁/2 to β₁, no unit.
    decoupled_weight_decay : bool
        Shrink the parameters by lr·weight_decay per step instead, apart from the gradient, as AdamW does.
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
    Dozat 2016.

    Example
    -------
    >>> NAdam().packed().tolist()
    [0.002, 0.9, 0.999, 1e-08, 0.0, 0.004, 0.0]
    """

    rule: ClassVar[Native] = nadam
    update: ClassVar[Callable[..., None]] = staticmethod(nadam.python)
    memory: ClassVar[tuple[str, ...]] = ("m", "v", "product", "divisor")
    blocks: ClassVar[int] = 4
    divides: ClassVar[bool] = True
    pace: ClassVar[Pace] = "lr"

    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum_decay: float = 4e-3
    decoupled_weight_decay: bool = False
    steps: int = STEPS
    batch_size: int | None = None

    def __post_init__(self) -> None:
        check(self)

    def packed(self) -> Array:
        """The options as the rule reads them."""
        rest = [self.weight_decay, self.momentum_decay, self.decoupled_weight_decay]
        return np.array([self.lr, *self.betas, self.eps, *rest], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class RAdam:
    """Adam that divides only once v has seen enough gradients to be trusted: ``torch.optim.RAdam``.

    ``x ← x − lr·m̂·r / (√v̂ + eps)`` where ρ > 5, else ``x ← x − lr·m̂``, m̂ and v̂ as Adam's,
    ``ρ = ρ∞ − 2tβ₂ᵗ / (1 − β₂ᵗ)``, ``r² = (ρ − 4)(ρ − 2)ρ∞ / ((ρ∞ − 4)(ρ∞ − 2)ρ)``, ``ρ∞ = 2 / (1 − β₂) − 1``

    Parameters
    ----------
    lr : float
        Learning rate: about the length of a step once gradients are divided (from the sixth step on with the betas
        given), unit of a parameter; before, as SGD's. 0.001, as in PyTorch.
    betas : (float, float)
        Shares of the old m and v that are kept, no unit.
    eps : float
        Keeps the divisor from 0; unit of the gradient.
    weight_decay : float
        Pull towards 0 per parameter, as if ½·weight_decay·Σx² were added to the loss; 0, no unit.
    decoupled_weight_decay : bool
        Shrink the parameters by lr·weight_decay per step instead, apart from the gradient, as AdamW does.
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
    Liu et al. 2020, arXiv:1908.03265.

    Example
    -------
    >>> RAdam(decoupled_weight_decay=True, weight_decay=0.01).packed().tolist()
    [0.001, 0.9, 0.999, 1e-08, 0.01, 1.0]
    """

    rule: ClassVar[Native] = radam
    update: ClassVar[Callable[..., None]] = staticmethod(radam.python)
    memory: ClassVar[tuple[str, ...]] = ("m", "v", "divisor")
    blocks: ClassVar[int] = 3
    divides: ClassVar[bool] = True
    pace: ClassVar[Pace] = "lr"

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    decoupled_weight_decay: bool = False
    steps: int = STEPS
    batch_size: int | None = None

    def __post_init__(self) -> None:
        check(self)

    def packed(self) -> Array:
        """The options as the rule reads them."""
        rest = [self.weight_decay, self.decoupled_weight_decay]
        return np.array([self.lr, *self.betas, self.eps, *rest], dtype=np.float64)

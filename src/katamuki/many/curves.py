"""What the engines for many curves get and give: rows one curve after the other, and a row of numbers per curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.kernel import Kernel
from katamuki.records import Array, SigmaIs

STATES = ("", "exact", "converged", "not_identifiable", "slow", "diverged", "interrupted")  # "": nothing was fitted
VERDICTS = ("good", "look", "failed")


@dataclass(frozen=True, slots=True)
class Curves:
    """b curves, one after the other: the rows of curve k are ``offsets[k]`` to ``offsets[k + 1]``.

    ``offsets`` (b + 1,); ``columns`` in the kernel's order, (rows,) each; ``y`` (rows,); ``weights`` (rows,) or None:
    all 1. Everything is finite. ``shared``: all curves have the same number n of rows and the same columns, which are
    then (n,) each, and ``weights``, if there are any, (n,).
    """

    offsets: NDArray[np.int64]
    columns: tuple[Array, ...]
    y: Array
    weights: Array | None = None
    shared: bool = False

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True, slots=True)
class One:
    """The whole road of ``katamuki.fit`` for one curve: numbers by all parameters (all_p,), NaN where there is none."""

    values: Array
    stderr: Array
    loss: float
    dof: int
    verdict: str
    state: str
    code: str


@dataclass(frozen=True, slots=True)
class ManyTask:
    """What is fitted to each curve. ``values`` (all_p,): fixed parameters and given starts, else 1.

    ``one`` fits one curve by the whole road of ``katamuki.fit``: its columns in the kernel's order, y, weights.
    ``given`` names the parameters whose start the user gave; ``linear``: in all free parameters together.
    """

    kernel: Kernel
    free: tuple[str, ...]
    values: Array
    given: frozenset[str]
    bounds: Mapping[str, tuple[float, float]]
    sigma_is: SigmaIs | None
    linear: bool
    starts: int | str
    seed: int
    one: Callable[[tuple[Array, ...], Array, Array | None], One]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A row per curve. ``values`` and ``stderr`` (b, all_p), NaN where there is none; ``loss`` (b,); ``dof`` (b,), −1
    where nothing was fitted; ``verdict`` (b,) and ``state`` (b,) number ``VERDICTS`` and ``STATES``; ``code`` (b,)
    numbers ``codes``, of which the first is "": the gravest finding of warning or above, or why nothing was fitted.
    """

    values: Array
    stderr: Array
    loss: Array
    dof: NDArray[np.int64]
    verdict: NDArray[np.int8]
    state: NDArray[np.int8]
    code: NDArray[np.int16]
    codes: tuple[str, ...]

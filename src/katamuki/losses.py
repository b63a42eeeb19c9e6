"""The table of losses: what a residual costs, loss = Σ w ρ(r) / n with r = y − ŷ.

One row so far: least squares, whose mean is PyTorch's ``MSELoss``. The compiled passes write the square out; a row is
what names a loss for users and what those passes are tested against. Robust losses (Huber 1964) will be further rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from katamuki.records import Array


@dataclass(frozen=True, slots=True)
class Loss:
    """One loss: ρ and ρ′ of residuals (n,) in unit of y, and where it comes from."""

    name: str
    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    reference: str


TABLE = {one.name: one for one in (Loss("squared", np.square, lambda r: 2.0 * r, "Legendre 1805; Gauss 1809"),)}


def mean(name: str, residuals: Array, weights: Array | None = None) -> float:
    """The loss of residuals: Σ w ρ(r) / n.

    Parameters
    ----------
    name : str
        A row of ``TABLE``.
    residuals : (n,) float64
        y − ŷ, unit of y.
    weights : (n,) float64, optional
        w; none: 1.

    Returns
    -------
    float
        For squares, unit of y squared (unit of w times that with weights).

    Raises
    ------
    KeyError
        If there is no such row.

    Source
    ------
    The row's ``reference``.

    Example
    -------
    >>> mean("squared", np.array([1.0, -2.0]))
    2.5
    """
    costs = TABLE[name].value(residuals)
    return float(np.mean(costs if weights is None else weights * costs))

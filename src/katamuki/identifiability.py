"""Parameters that the data cannot tell apart, and the combination of them that is determined.

The null directions of a triangle (:mod:`katamuki.covariance`) say which parameters may move together without moving
the prediction. Sums, differences, products and ratios are recognised from one direction; everything else is described
as a linear combination near the answer. Method: own, after the null vectors of the derivative matrix in Catchpole &
Morgan 1997. Known limits: it looks at the answer's neighbourhood and at moves of 20 %, never at the formula.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from katamuki.records import Array, Combination

COUPLED = 1e-6  # a part of a null direction this small does not couple two parameters
RATIO = 1e-5  # how near whole numbers a ratio must be
LARGEST = 6  # the largest coefficient or power that is looked for
NOTHING = 1e-9  # of a combination: terms that together add less are not written
NEARLY, CANCELLED = 1e-9, 1e4  # of a column; times the data
SAME = 1e-8  # a loss this little changed is the same


def combinations(
    names: Sequence[str],
    values: Sequence[float] | Array,
    null: Array,
    loss: Callable[[Array], float] | None = None,
) -> tuple[Combination, ...]:
    """Which parameters cannot be told apart, and which combination of them is determined.

    The parameters that a null direction couples form a group. Where one direction of a group is determined, its
    gradient g tells the combination: gₖ in the ratio of small whole numbers is a sum, gₖ·valueₖ in such a ratio a
    product of powers. ``loss`` tests whether that holds further away.

    Parameters
    ----------
    names : (p,) str
        The free parameters.
    values : (p,) float64
        Their values.
    null : (k, p) float64
        Directions without effect, in the parameters' units: ``Uncertainty.null``.
    loss : function, optional
        The loss at free parameters (p,). A combination counts as exact if moves of 20 % along which it is constant
        leave the loss unchanged. Without it, the simplest pattern counts, and where two are equally simple none.

    Returns
    -------
    tuple of Combination
        In the order of the first name. ``text`` is None where two or more directions of a group are free of each other.

    Source
    ------
    Own; see the module.

    Example
    -------
    >>> import numpy as np
    >>> combinations(["a", "c"], np.array([0.2, 0.3]), np.array([[1.0, -1.0]]))
    (Combination(names=('a', 'c'), text='a + c', value=0.5, exact=True),)
    """
    values = np.asarray(values, dtype=np.float64)
    size = np.abs(null).max(axis=0, initial=0.0)
    involved = np.flatnonzero(size)
    basis = np.linalg.qr((null[:, involved] / size[involved]).T)[0]
    coupled = np.abs(basis @ basis.T) > COUPLED
    found = []
    for group in _components(coupled):
        found.append(_combination(involved[group], names, values, null / np.where(size > 0, size, 1.0), size, loss))
    return tuple(found)


def _components(coupled: NDArray[np.bool_]) -> list[list[int]]:
    """The connected groups of a symmetric relation."""
    left, groups = list(range(len(coupled))), []
    while left:
        group, waiting = [], [left[0]]
        while waiting:
            k = waiting.pop()
            if k in left:
                left.remove(k)
                group.append(k)
                waiting.extend(j for j in left if coupled[k, j])
        groups.append(sorted(group))
    return groups


def _combination(
    group: NDArray[np.intp],
    names: Sequence[str],
    values: Array,
    scaled: Array,
    size: Array,
    loss: Callable[[Array], float] | None,
) -> Combination:
    """One group's combination, from null directions in units of ``size``."""
    here = tuple(names[k] for k in group)
    if len(group) == 1:
        return Combination(here, None, None)
    left, strength, _ = np.linalg.svd(scaled[:, group].T, full_matrices=True)
    rank = int((strength > COUPLED * strength[0]).sum())
    if len(group) - rank != 1:
        return Combination(here, None, None)
    gradient = left[:, -1] / size[group]
    point = values[group]
    patterns = []
    for kind, weights in (("sum", gradient), ("product", gradient * point)):
        whole = _whole(weights)
        if whole is not None:
            patterns.append((kind, whole))
    if loss is not None:
        patterns = [one for one in patterns if _holds(one, group, values, loss)]
    patterns.sort(key=lambda one: float(np.abs(one[1]).max()))
    if len(patterns) == 1 or (patterns and np.abs(patterns[0][1]).max() < np.abs(patterns[1][1]).max()):
        kind, whole = patterns[0]
        write, value = (_sum, whole @ point) if kind == "sum" else (_product, np.prod(point**whole))
        return Combination(here, write(whole, here), float(value))
    # The coefficients are rounded first: a reader can recompute the value from what is printed.
    gradient *= np.sign(gradient[0]) / np.abs(gradient).max()
    rounded = np.array([float(f"{one:.4g}") for one in gradient])
    kept = _terms(rounded, point)
    text = _sum(rounded[kept], [here[k] for k in kept])
    return Combination(here, text, float(rounded[kept] @ point[kept]), exact=False)


def _terms(weights: Array, point: Array) -> NDArray[np.intp]:
    """Which terms of a combination are worth writing: all but those that are nothing beside it, in two ways.

    Its coefficient is nothing beside the largest, and so is what it adds, beside the whole. One alone says nothing: a
    coefficient may be small because its parameter is large, a term because its parameter is near 0. Of a parameter that
    is 0 nothing is known.
    """
    terms = np.abs(weights * point)
    least = NOTHING / len(weights)
    small = (np.abs(weights) <= least * np.abs(weights).max()) & (terms <= least * abs(float(weights @ point)))
    return np.flatnonzero(~(small & (point != 0.0)))


def _whole(weights: Array) -> Array | None:
    """The weights as small whole numbers, first one positive; None if they are in no such ratio."""
    least = np.abs(weights).min()
    if not least > 0 or not np.isfinite(weights).all():
        return None
    for factor in range(1, LARGEST + 1):
        tried = weights / least * factor
        whole = np.round(tried)
        if np.abs(whole).max() > LARGEST:
            return None
        if (np.abs(tried - whole) <= RATIO * np.abs(whole)).all():
            return np.asarray(whole * np.sign(whole[0]))
    return None


def _holds(pattern: tuple[str, Array], group: NDArray[np.intp], values: Array, loss: Callable[[Array], float]) -> bool:
    """Whether the loss stays where it is when parameters move and the combination does not.

    Tried from a point beside the answer: at a = b a difference and a ratio cannot be told apart.
    """
    kind, whole = pattern
    base = values.copy()
    base[group] += 0.1 * np.sqrt(np.arange(2, len(group) + 2)) * np.where(base[group] == 0.0, 1.0, base[group])
    here = loss(base)
    first = group[0]
    for other, weight in zip(group[1:], whole[1:], strict=True):
        moved = base.copy()
        if kind == "sum":
            change = 0.2 * max(abs(base[first]), abs(base[other]))
            moved[first] += change
            alone = loss(moved)
            moved[other] -= change * whole[0] / weight
        else:
            moved[first] *= 1.2
            alone = loss(moved)
            moved[other] *= 1.2 ** (-whole[0] / weight)
        if not abs(loss(moved) - here) <= SAME * (abs(here) + abs(alone - here)):
            return False
    return True


def _sum(weights: Array, names: Sequence[str]) -> str:
    """``a - 2*b`` from (1, −2)."""
    text = ""
    for weight, name in zip(weights.tolist(), names, strict=True):
        term = name if abs(weight) == 1 else f"{abs(weight):.4g}*{name}"
        text += (f" {'-' if weight < 0 else '+'} " if text else "-" if weight < 0 else "") + term
    return text


def _product(powers: Array, names: Sequence[str]) -> str:
    """``a*b**2/c`` from (1, 2, −1); the first power is positive."""
    text = ""
    for power, name in zip(powers.tolist(), names, strict=True):
        factor = name if abs(power) == 1 else f"{name}**{abs(power):.0f}"
        text += ("/" if power < 0 else "*" if text else "") + factor
    return text


def runs_away(triangle: Array, values: Array, total: float) -> bool:
    """Whether a point is on its way to infinity: parts of the formula cancel each other, and cannot be told apart.

    Terms of a size that the data do not have cancel, and their columns agree to nine digits. ``triangle`` is that of
    [J, r] there, flat or (p + 1, p + 1); ``values`` (p,) are the free parameters, ``total`` is Σ w y².
    """
    p = len(values)
    r = triangle.reshape(p + 1, p + 1)[:p, :p]
    length = np.sqrt((r * r).sum(axis=0))
    if (np.abs(np.diag(r)) > NEARLY * length).all():
        return False
    return bool((np.abs(values) * length).max() > CANCELLED * np.sqrt(total))

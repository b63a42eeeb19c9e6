"""What the user says about parameters and weights: checked once, at the door."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.api.options import shown
from katamuki.data.convert import number, plain, root
from katamuki.errors import BoundsError, DataError
from katamuki.formula.naming import normal
from katamuki.records import Array, SigmaIs
from katamuki.spelling import nearest

Limits = Mapping[str, tuple[float | None, float | None]]


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked values of the parameters: ``free`` names in order, a start for each name, bounds by name."""

    free: tuple[str, ...]
    start: dict[str, float]
    given: frozenset[str]  # the free parameters that the user gave a start for
    bounds: dict[str, tuple[float, float]]


def settings(
    names: Sequence[str],
    start: Mapping[str, float] | None,
    bounds: Limits | None,
    fixed: Mapping[str, float] | None,
) -> Settings:
    """Check start, bounds and fixed against the model's parameters; a start not given is 1, or within its bounds."""
    if not start and not bounds and not fixed:
        return Settings(tuple(names), dict.fromkeys(names, 1.0), frozenset(), {})
    start, fixed, bounds = _by_name("start", start), _by_name("fixed", fixed), _by_name("bounds", bounds)
    known = frozenset(names)
    for what, given in (("start", start), ("bounds", bounds), ("fixed", fixed)):
        for name in given:
            if name not in known:
                near = nearest(name, names)
                key = "api.unknown_name" if near is None else "api.unknown_name_near"
                raise BoundsError("E-NAME", key, what=what, name=name, names=", ".join(names), near=near)
    held = {name: _number("fixed", name, value) for name, value in fixed.items()}
    limits = {name: _interval(name, pair) for name, pair in bounds.items()}
    free = tuple(name for name in names if name not in held)
    if not free:
        raise BoundsError("E-NOPARAM", "api.all_fixed", names=", ".join(names))
    values: dict[str, float] = {}
    for name in names:
        if name in held and name in start:
            raise BoundsError("E-FIXED", "api.fixed_and_start", name=name)
        low, high = limits.get(name, (-math.inf, math.inf))
        if name in start:
            value = _number("start", name, start[name])
        elif name in held:
            value = held[name]
        else:
            value = _inside(low, high)
        if not low <= value <= high:
            key = "api.start_outside" if name in start else "api.fixed_outside"
            raise BoundsError("E-BOUNDS", key, name=name, value=f"{value:g}", low=f"{low:g}", high=f"{high:g}")
        values[name] = value
    return Settings(free, values, frozenset(start), {name: pair for name, pair in limits.items() if name in free})


def _by_name(what: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The mapping with its names as the formula compares them."""
    found: dict[str, Any] = {}
    for name, value in (given or {}).items():
        compared = name if name.isascii() else normal(name)
        if compared in found:
            raise BoundsError("E-NAME", "api.twice", what=what, name=name)
        found[compared] = value
    return found


def _real(value: Any) -> float:
    """A number as a float; truth values and text are none."""
    if isinstance(value, bool | np.bool_ | complex | np.complexfloating | str | bytes | bytearray):
        raise TypeError
    return float(value)


def _number(what: str, name: str, value: Any) -> float:
    try:
        found = _real(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise BoundsError("E-VALUE", "api.no_number", what=what, name=name, value=shown(value))
    return found


def _interval(name: str, pair: Any) -> tuple[float, float]:
    try:
        if isinstance(pair, str | bytes | Mapping | Set):
            raise TypeError
        low, high = pair
        low = -math.inf if low is None else _real(low)
        high = math.inf if high is None else _real(high)
    except (TypeError, ValueError, OverflowError):
        low = high = math.nan
    if math.isnan(low) or math.isnan(high) or low == math.inf or high == -math.inf:
        raise BoundsError("E-BOUNDS", "api.no_interval", name=name, value=shown(pair))
    if low > high:
        raise BoundsError("E-BOUNDS", "api.bounds_crossed", name=name, low=f"{low:g}", high=f"{high:g}")
    return low, high


def _inside(low: float, high: float) -> float:
    """1 where the bounds allow it, else the middle of both or the nearer bound."""
    if low <= 1.0 <= high:
        return 1.0
    if math.isfinite(low) and math.isfinite(high):
        return (low + high) / 2
    return low if math.isfinite(low) else high


def check_sigma(sigma: object, sigma_is: str | None, weights: object) -> SigmaIs | None:
    """Refuse contradicting or ambiguous weights before any work."""
    if sigma is not None and weights is not None:
        raise DataError("E-SIGMA", "api.sigma_and_weights")
    if sigma is None:
        if sigma_is is not None:
            raise DataError("E-SIGMA", "api.sigma_is_alone", given=shown(sigma_is))
        return None
    if sigma_is == "known":
        return "known"
    if sigma_is == "relative":
        return "relative"
    if sigma_is is None:
        raise DataError("E-SIGMA", "api.sigma_is_missing")
    raise DataError("E-SIGMA", "api.sigma_is_unknown", given=shown(sigma_is))


def check_labels(what: str, given: object, data: object) -> None:
    """Refuse a pandas series whose labels are not those of the data: pandas would match by label, a fit by order."""
    if root(given) != "pandas" or not hasattr(given, "index"):
        return
    for one in data.values() if type(data) is dict else (data,):
        labels = getattr(one, "index", None) if root(one) == "pandas" else None
        if labels is not None and len(labels) == len(given.index) and not labels.equals(given.index):
            raise DataError("E-INDEX", "api.labels", what=what)


def weights_of(
    sigma: object, weights: object, columns: Mapping[str, Array], rows: int, kept: NDArray[np.int64] | None, n: int
) -> Array | None:
    """w of Σ w r² (n,): 1/sigma² or the weights; ``kept`` are the rows left of ``rows`` after filters."""
    if sigma is None and weights is None:
        return None
    what = "sigma" if sigma is not None else "weights"
    values = _per_row(what, sigma if sigma is not None else weights, columns, rows, kept, n)
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        raise _bad_weight(f"api.bad_{what}", values, bad, kept)
    if sigma is None:
        return values
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        w = 1.0 / (values * values)
    bad = ~(np.isfinite(w) & (w > 0))
    if bad.any():
        raise _bad_weight("api.extreme_sigma", values, bad, kept)
    return w


def _bad_weight(key: str, values: Array, bad: NDArray[np.bool_], kept: NDArray[np.int64] | None) -> DataError:
    first = int(np.argmax(bad))
    row = first + 1 if kept is None else int(kept[first]) + 1
    value = f"{values[first]:g}"
    return DataError("E-SIGMA", key, row=row, value=value, count=int(bad.sum()), rows=len(values))


def _per_row(
    what: str, given: object, columns: Mapping[str, Array], rows: int, kept: NDArray[np.int64] | None, n: int
) -> Array:
    if isinstance(given, str):
        return columns[given]
    shape: object = getattr(given, "shape", None)
    if shape == () or not (hasattr(given, "__len__") or hasattr(given, "__array__")):
        try:
            return np.full(n, _real(given))
        except (TypeError, ValueError, OverflowError):
            raise DataError("E-SIGMA", "api.weights_no_numbers", what=what) from None
    if isinstance(given, Mapping | Set | bytes | bytearray):
        raise DataError("E-SIGMA", "api.weights_no_numbers", what=what)
    values = number(plain(given, what), what)  # as a column of the data: masked and missing values become NaN
    if len(values) != rows:
        raise DataError("E-LENGTH", "api.weights_length", what=what, shape=str(values.shape), rows=rows)
    return values if kept is None else values[kept]

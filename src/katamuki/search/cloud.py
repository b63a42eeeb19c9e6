"""A cloud of starting values: low-discrepancy points, carried into ranges that the formula and the data give.

Each nonlinear parameter takes one coordinate for its size and one for its sign. What it stands for
(:mod:`katamuki.search.places`) makes a value of them: the exponent of an exponential changes by 0.1 to 40 along the
data, a location lies among the rows, terms of a denominator are comparable at some row. The numbers come from the data,
so that other units of x and y give the same starts in those units. Sources: Roberts 2018 (the additive recurrence of
the generalised golden ratio); Cranley & Patterson 1976 (a seed shifts it).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.numpy_ import node_values
from katamuki.records import Array
from katamuki.search.places import CIRCULAR, GROWING, SATURATING, Numbers, Role

SHOWN = 48  # rows that ranges are taken from
# Ranges of ψ·g, ends of a scale by equal factors: beyond them the data see a straight line, a step, or nothing.
EXPONENT = (0.1, 40.0)  # change of an exponent along the data: 5 % off a straight line, to one that is over in a row
SQUARED = (0.1, 4000.0)  # the same of a square: widths from three times the range of the rows to a sixtieth of it
SLOPE = (0.3, 100.0)  # change of what saturates
LEAST_CYCLES = 0.25  # of a wave along the data; the most is a third of the rows, and a grid goes on from there
SCALE = (0.1, 10.0)  # of the response's size
ALONE = (0.01, 100.0)  # of a factor inside a logarithm or the like, with nothing to compare it with
AWAY = (1e-3, 100.0)  # of the rows' range: how far beyond them an offset lies that must not meet them
BEYOND = 30.0  # how far past the largest and smallest ratio of two terms a factor goes
TAIL = 0.2  # share of the ratios on each side that go so far
OUTSIDE = 0.1  # of the rows' range: how far outside a location may lie
# Shares of the draws.
FALLING, FALLING_PEAK = 0.7, 0.9  # exponentials that fall as their factor grows; peaks and the like, which hardly rise
SAME_SIGN = 0.75  # terms of one sign: the other makes poles and cancels
RATIO, BELOW = 0.4, 0.3  # offsets the size of what they are added to; below all rows; the rest lies above
WIDE_BOUNDS = 50.0  # high over low from which positive bounds are walked by equal factors


@lru_cache(maxsize=64)
def sequence(first: int, count: int, dimension: int, seed: int) -> Array:
    """Points first to first + count of the recurrence (count, dimension) in [0, 1), shifted by the seed."""
    shift = np.random.default_rng([abs(seed), int(seed < 0)]).random(dimension)
    root = 2.0
    for _ in range(40):  # the root of x**(d+1) = x + 1
        root = (1.0 + root) ** (1.0 / (dimension + 1))
    steps = (1.0 / root) ** np.arange(1, dimension + 1)
    found = (shift + np.arange(first + 1, first + count + 1)[:, None] * steps) % 1.0
    found.flags.writeable = False  # it is kept
    return np.asarray(found)


@lru_cache(maxsize=64)
def shown(n: int) -> NDArray[np.int64]:
    """The rows that ranges are taken from: evenly among n."""
    return np.unique(np.linspace(0, n - 1, min(n, SHOWN)).astype(np.int64))


class Cloud:
    """Starting values for the nonlinear parameters of one problem; its callers silence NumPy's warnings.

    Parameters
    ----------
    roles : sequence of Role
        The nonlinear parameters, each after those that it needs.
    columns : mapping of str to (n,) float64
        The data.
    level : float
        The root mean square of the response, for a parameter that scales the whole formula.
    base : mapping of str to float
        A value for every other parameter: fixed ones have theirs, linear ones 1.
    limits : mapping of str to (float, float)
        Bounds, where there are any.
    given : mapping of str to float
        Values that the user gave: they are kept.
    seed : int
        Shifts the points.
    """

    def __init__(
        self,
        roles: Sequence[Role],
        columns: Mapping[str, Array],
        level: float,
        base: Mapping[str, float],
        limits: Mapping[str, tuple[float, float]],
        given: Mapping[str, float],
        seed: int,
    ) -> None:
        self.data = columns
        self.columns = {name: values[shown(len(values))] for name, values in columns.items()}
        self.level = level or 1.0
        self.roles = roles
        self.names = frozenset(role.name for role in roles)
        self.base = base
        self.limits = limits
        self.given = given
        self.seed = seed

    def points(self, first: int, count: int) -> dict[str, Array]:
        """Values (count,) of every nonlinear parameter."""
        unit = sequence(first, count, 2 * len(self.roles), self.seed)
        values: dict[str, Array] = {}
        for k, role in enumerate(self.roles):
            values[role.name] = self.draw(role, unit[:, 2 * k], unit[:, 2 * k + 1], values)
        return values

    def draw(self, role: Role, size: Array, sign: Array, values: Mapping[str, Array]) -> Array:
        """Values (s,) of one parameter from two coordinates (s,), beside the ``values`` of those before it."""
        if role.name in self.given:
            return np.full(size.shape, self.given[role.name])
        found: Array | None = None
        for place, instead in self._readings(role, values):
            here = self._at(place, size, sign, instead)
            found = here if found is None else np.where(np.isfinite(found), found, here)
            if np.isfinite(found).all():
                break
        else:
            plain = np.where(sign < 0.5, 1.0, -1.0) * between(size, *SCALE)
            found = plain if found is None else np.where(np.isfinite(found), found, plain)
        return self._within(role.name, found, size) if role.name in self.limits else found

    def _readings(self, role: Role, values: Mapping[str, Array]) -> Iterator[tuple[Numbers, Mapping[str, Array]]]:
        """The places of a parameter, with values of those that they need.

        What is still to come, in a circle, is first 0 or without end, so that its term vanishes; in the last place 1,
        which is of no unit.
        """
        for instead in ((0.0, math.inf), (1.0,)):
            for place in role.places:
                still = (place.needs & self.names).difference(values)
                for value in instead if still else instead[:1]:
                    if still or value == 0.0:
                        yield place, {**values, **dict.fromkeys(still, np.full(1, value))} if still else values

    def numbers(
        self, place: Numbers, values: Mapping[str, Array], every: bool = False
    ) -> tuple[Array, Array, Array, Array]:
        """Power and inner factor (s or 1,), factor and offset (s or 1, rows) of a place, by default on a few rows."""
        params: dict[str, Any] = {
            name: values[name][..., None] if name in values else self.base[name] for name in place.reads
        }
        found = node_values(place.graph, self.data if every else self.columns, params)
        power, inner, factor, offset = (
            found[k] if found[k].ndim > 1 else found[k].reshape(1, -1) for k in place.graph.outputs
        )
        return power[..., 0], inner[..., 0], factor, offset

    def _at(self, place: Numbers, size: Array, sign: Array, values: Mapping[str, Array]) -> Array:
        power, inner, factor, offset = self.numbers(place, values)
        psi = self._psi(place, power, factor, offset, size, sign)
        if place.has_inner:
            return np.asarray(np.log(psi) / inner)
        found = inverted(psi, power)
        return np.where(found == 0.0, np.nan, found) if place.needs else found

    def _psi(self, place: Numbers, power: Array, g: Array, h: Array, size: Array, sign: Array) -> Array:
        """ψ (s,) that gives ψ·g + h a size that the data can see."""
        side = np.where(sign < 0.5, 1.0, -1.0)
        if place.op in CIRCULAR:
            if not place.factor_varies:
                return np.asarray((2.0 * size - 1.0) * np.pi / g[..., 0])
            return np.asarray(side * 2.0 * np.pi * between(size, LEAST_CYCLES, max(1.0, g.shape[-1] / 3)) / spread(g))
        if place.op in GROWING | SATURATING:
            if place.factor_varies:
                wide = place.peaked or float(np.abs(power).max()) >= 2.0
                ends = SLOPE if place.op in SATURATING else SQUARED if wide else EXPONENT
                falls = 1.0 - 2.0 * (total(g) > 0.0)  # away from what grows without bounds
                if place.op != "exponent":  # of a power: the sign of a logarithm is a matter of the unit
                    side = np.where(sign < (FALLING_PEAK if place.peaked else FALLING), falls, -falls)
                found: Array = side * between(size, *ends) / spread(g)
                return found
            return located(-h / g, size) if place.offset_varies else np.full(size.shape, np.nan)
        kept = np.where(sign < SAME_SIGN, 1.0, -1.0)
        if place.op == "output":
            scale = side * self.level * between(size, *SCALE) / np.sqrt(np.mean(g * g, axis=-1))
            beside = kept * ratio(h / g, size) if place.has_offset else np.nan
            return np.where(np.isfinite(beside), beside, scale)
        if not place.has_offset:
            return np.asarray(between(size, *ALONE) / np.median(np.abs(g), axis=-1))
        if place.factor_varies or not place.offset_varies:
            return kept * ratio(h / g, size)
        if place.op in {"div", "base", "log", "log2", "log10", "log1p", "sqrt"}:
            return np.where(sign < RATIO, ratio(h / g, size), beyond(-h / g, size, sign))
        return located(-h / g, size)

    def _within(self, name: str, found: Array, size: Array) -> Array:
        """Values inside the bounds: those outside are spread over them, or reflected at the only one."""
        low, high = self.limits[name]
        outside = ~((low <= found) & (found <= high))
        if not outside.any():
            return found
        if math.isfinite(low) and math.isfinite(high):
            inside = low + (high - low) * size
            if low > 0.0 and high > WIDE_BOUNDS * low:
                inside = between(size, low, high)
        else:
            inside = low + np.abs(found - low) if math.isfinite(low) else high - np.abs(found - high)
        return np.where(outside, np.clip(inside, low, high), found)


def between(t: Array, low: float, high: float) -> Array:
    """From low to high as t goes from 0 to 1, by equal factors."""
    return np.asarray(low * (high / low) ** t)


def spread(g: Array) -> Array:
    """Largest less smallest over the rows (s,), of those that are finite."""
    found: Array = g.max(axis=-1) - g.min(axis=-1)
    if not math.isfinite(found.sum()):
        finite = usable(g)
        found = np.fmax.reduce(finite, axis=-1) - np.fmin.reduce(finite, axis=-1)
    return found


def total(g: Array) -> Array:
    """The sum over the rows (s,), of those that are finite."""
    found: Array = g.sum(axis=-1)
    return found if math.isfinite(found.sum()) else np.asarray(np.nansum(usable(g), axis=-1))


def usable(z: Array) -> Array:
    """NaN in the place of what is infinite: a logarithm or a quotient of 0 in some row."""
    return np.where(np.isfinite(z), z, np.nan)


def filled(ordered: Array) -> Array:
    """Sorted rows whose NaN, which come last, are replaced by the largest."""
    return np.where(np.isnan(ordered), np.fmax.reduce(ordered, axis=-1, keepdims=True), ordered)


def inverted(psi: Array, power: Array) -> Array:
    """θ of θ**power = ψ; positive where the sign is lost."""
    if power.size == 1 and abs(power.flat[0]) == 1.0:
        return psi if power.flat[0] == 1.0 else np.asarray(1.0 / psi)
    odd = (np.abs(power) % 2.0 == 1.0) | (np.abs(1.0 / power) % 2.0 == 1.0)
    found = np.where(odd, np.sign(psi), 1.0) * np.abs(psi) ** (1.0 / power)
    return np.asarray(np.where((power == 0.0) | np.isinf(power), np.nan, found))


def quantile(ordered: Array, t: Array) -> Array:
    """The t-th of sorted rows (s or 1, m), between them linearly, and beyond them for t outside 0 to 1."""
    m = ordered.shape[-1]
    shape = np.broadcast_shapes(ordered.shape[:-1], t.shape)
    ordered = np.broadcast_to(ordered, (*shape, m))
    if m == 1:
        return np.asarray(ordered[..., 0])
    place = np.clip(np.floor(t * (m - 1)), 0, m - 2).astype(np.int64)
    each = np.broadcast_to(place, shape)[..., None]
    low, high = (np.take_along_axis(ordered, each + k, axis=-1)[..., 0] for k in (0, 1))
    inner = low + (high - low) * np.clip(t * (m - 1) - place, 0.0, 1.0)
    past = np.where(t > 1.0, t - 1.0, np.minimum(t, 0.0))
    return np.asarray(inner + past * (ordered[..., -1] - ordered[..., 0]))


def located(z: Array, t: Array) -> Array:
    """A place among the rows' z (s or 1, m), or a tenth of their range outside."""
    return quantile(filled(np.sort(usable(z), axis=-1)), (1.0 + 2.0 * OUTSIDE) * t - OUTSIDE)


def ratio(z: Array, t: Array) -> Array:
    """A size of z among the rows, by equal factors beyond the largest and the smallest; the sign of most rows."""
    sizes = filled(np.sort(usable(np.log(np.abs(z))), axis=-1))
    inside = quantile(sizes, np.clip((t - TAIL) / (1.0 - 2.0 * TAIL), 0.0, 1.0))
    past = (np.minimum(t - TAIL, 0.0) + np.maximum(t - (1.0 - TAIL), 0.0)) / TAIL * math.log(BEYOND)
    side = np.where(total(np.sign(z)) < 0.0, -1.0, 1.0)
    found: Array = side * np.exp(inside + past)
    return found


def beyond(z: Array, t: Array, sign: Array) -> Array:
    """A place outside the rows' z, on either side, a thousandth to a hundred times their range away."""
    low, high = np.fmin.reduce(usable(z), axis=-1), np.fmax.reduce(usable(z), axis=-1)
    away = np.where(high > low, high - low, np.abs(high)) * between(t, *AWAY)
    return np.asarray(np.where(sign < RATIO + BELOW, low - away, high + away))

"""Exchanges and changes of sign that leave a formula the same function, and the one arrangement that reports settle on.

A sum of two exponentials is the same with its terms exchanged, a peak with its width's sign changed, a wave after a
whole turn of its phase. Signs and phases: :mod:`katamuki.search.signs`; exchanges: :mod:`katamuki.search.exchanges`.
Whatever is claimed was tested on the formula at random points. Not found: what mixes values, such as the flip-flop of
absorption and elimination, or a·b = const.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from katamuki.backends import numpy_
from katamuki.graph import Graph
from katamuki.records import Array
from katamuki.search.exchanges import Pairs, Probe, exchanges
from katamuki.search.signs import Reflection, Signs, Turn, phases_of, priority

LARGEST = 40  # parameters; larger formulas are left alone
ROUNDS = 64  # of exchanges, as many as equal terms at most
SMALL = 1e-9  # of a turn: rounding


@dataclass(frozen=True, slots=True)
class Symmetries:
    """What leaves a formula the same function of its free parameters.

    ``swaps``: names exchanged together. ``crossed``: the same where besides signs change: (pairs, names negated after
    the exchange). ``flips``: names whose signs change together, independent ones. ``turns``: phases. ``reflections``
    generate all changes of sign, half turns included; ``order``: free names, nonlinear ones first, as they appear.
    """

    swaps: tuple[Pairs, ...] = ()
    crossed: tuple[tuple[Pairs, tuple[str, ...]], ...] = ()
    flips: tuple[tuple[str, ...], ...] = ()
    turns: tuple[Turn, ...] = ()
    reflections: tuple[Reflection, ...] = ()
    order: tuple[str, ...] = ()

    def without(self, names: Collection[str]) -> Symmetries:
        """Those that leave some parameters where they are."""
        kept = set(names)
        return Symmetries(
            tuple(one for one in self.swaps if not kept & {name for pair in one for name in pair}),
            tuple(
                (pairs, signs)
                for pairs, signs in self.crossed
                if not kept & {*signs, *(name for pair in pairs for name in pair)}
            ),
            tuple(one for one in self.flips if not kept & set(one)),
            tuple(one for one in self.turns if one.name not in kept),
            tuple(one for one in self.reflections if not kept & {*one.names, *one.phases}),
            tuple(name for name in self.order if name not in kept),
        )

    def __bool__(self) -> bool:
        return bool(self.swaps or self.crossed or self.turns or self.reflections)


def symmetries(graph: Graph, free: Collection[str]) -> Symmetries:
    """Find what leaves a formula the same function.

    f(σ(θ), x) = f(θ, x) for all θ and x, σ an exchange of free parameters, a change of signs, or a turn of a phase.

    Parameters
    ----------
    graph : Graph
        The formula; its first output counts.
    free : collection of str
        The parameters that may move; the others stay.

    Returns
    -------
    Symmetries
        Empty for more than 40 parameters, and where no point was found at which the formula depends on them.

    Source
    ------
    Exchanges: one round of colour refinement (Weisfeiler & Leman 1968), answers as colours. Signs: elimination
    over GF(2).

    Example
    -------
    >>> from katamuki.formula import parse
    >>> two = parse("y ~ a*exp(-b*x) + exp(-x*d)*c", ["x", "y"]).rhs
    >>> symmetries(two, two.parameters).swaps
    ((('a', 'c'), ('b', 'd')),)
    >>> peak = parse("y ~ a*exp(-((x - m)/w)**2)", ["x", "y"]).rhs
    >>> symmetries(peak, peak.parameters).flips
    (('w',),)
    """
    movable = tuple(name for name in graph.parameters if name in free)
    if not movable or len(graph.parameters) > LARGEST or set(graph.parameters) & set(graph.columns):
        return Symmetries()
    order = priority(graph, movable)
    signs = Signs(graph, order, phases_of(graph, movable))
    turning, reflections, flips = signs.turns(), signs.reflections(), signs.flips()
    if len(movable) == 1 and not (turning or reflections):
        return Symmetries(order=order)
    probe = Probe(graph, movable)
    phase = {one.name: one for one in turning}
    claims = [probe.moved((), [one]) for one in turning]
    claims += [probe.moved(one.names, [phase[p] for p in one.phases], 0.5) for one in reflections]
    claims += [probe.moved(one) for one in flips]
    touched = [(one.name,) for one in turning] + [one.names + one.phases for one in reflections] + flips
    held = iter(probe.holds(claims, touched))
    turning = [one for one in turning if next(held)]
    reflections = [one for one in reflections if next(held)]
    flips = [one for one in flips if next(held)]
    swaps, crossed = exchanges(graph, movable, probe)
    return Symmetries(swaps, crossed, tuple(flips), tuple(turning), tuple(reflections), order)


def canonical(
    found: Symmetries,
    names: Sequence[str],
    values: Array,
    lower: Array | None = None,
    upper: Array | None = None,
) -> Array:
    """The one arrangement of equal answers that reports settle on.

    Equal terms ascend by the first nonlinear parameter that the formula names; widths, frequencies and amplitudes are
    positive; phases lie within (−period/2, period/2]. A change that would leave the bounds is not made.

    Parameters
    ----------
    found : Symmetries
        What :func:`symmetries` said of the formula.
    names : sequence of str
        All parameters, in the order of ``values``.
    values : (all_p,) float64
        Any of the equal answers.
    lower, upper : (all_p,) float64, optional
        Bounds, infinite where there are none; none at all by default.

    Returns
    -------
    (all_p,) float64
        A new array; the formula has the same values there, to rounding.

    Example
    -------
    >>> from katamuki.formula import parse
    >>> wave = parse("y ~ a*sin(b*x + c)", ["x", "y"]).rhs
    >>> found = symmetries(wave, wave.parameters)
    >>> canonical(found, wave.parameters, np.array([2.0, -3.0, 0.5])).tolist()
    [2.0, 3.0, 2.641592653589793]
    """
    now = dict(zip(names, np.asarray(values, dtype=np.float64).tolist(), strict=True))
    endless = [math.inf] * len(names)
    low = dict(zip(names, [-one for one in endless] if lower is None else lower.tolist(), strict=True))
    high = dict(zip(names, endless if upper is None else upper.tolist(), strict=True))
    now = _signed(found, now, low, high)
    for _ in range(ROUNDS):
        before = now
        for pairs, negated in (*((pairs, ()) for pairs in found.swaps), *found.crossed):
            new = _within(_exchanged(pairs, negated, now), now, low, high)
            if new is not now:
                new = _signed(found, new, low, high)
                if _settles(new, now, pairs, negated, found.order):
                    now = new
        if now is before:
            break
    return np.array([now[name] for name in names])


def _settles(
    new: dict[str, float], now: dict[str, float], pairs: Pairs, negated: Sequence[str], order: Sequence[str]
) -> bool:
    """Whether an exchange leads to the arrangement that reports settle on.

    What changes its sign though it is not exchanged, as the slope of a sigmoid does, is to be positive.
    """
    alone = [name for name in negated if not any(name in pair for pair in pairs)]
    if alone and now[alone[0]] != 0.0:
        return now[alone[0]] < 0.0
    return [new[name] for name in order] < [now[name] for name in order]


def _signed(
    found: Symmetries, now: dict[str, float], low: dict[str, float], high: dict[str, float]
) -> dict[str, float]:
    """Values with signs and phases as they should be, as far as the bounds let them."""
    turns = {one.name: one for one in found.turns}
    for name in turns:
        now = _wrapped(now, (name,), turns, low, high) or now
    for one in found.reflections:
        new = _reflected(one, now, turns)
        if new is not None and (new := _wrapped(new, one.phases, turns, low, high)) is not None:
            now = _within(new, now, low, high)
    for name in turns:
        now = _wrapped(now, (name,), turns, low, high) or now
    return now


def _within(
    new: dict[str, float], now: dict[str, float], low: dict[str, float], high: dict[str, float]
) -> dict[str, float]:
    """The new values if what changed keeps to its bounds, else the old ones."""
    fits = all(value == now[name] or low[name] <= value <= high[name] for name, value in new.items())
    return new if fits else now


def _exchanged(pairs: Pairs, negated: Sequence[str], now: dict[str, float]) -> dict[str, float]:
    """Values with pairs of names exchanged and then some signs changed."""
    new = dict(now)
    for one, other in pairs:
        new[one], new[other] = now[other], now[one]
    for name in negated:
        new[name] = 0.0 - new[name]
    return new


def _reflected(one: Reflection, now: dict[str, float], turns: dict[str, Turn]) -> dict[str, float] | None:
    """Values on the other side of a reflection; None where they are on the canonical one, or a period is endless."""
    if one.names:
        if not now[one.first] < 0.0:
            return None
    else:
        quarter = _period(turns[one.first], now) / 4.0
        if -quarter < now[one.first] <= quarter:
            return None
    new = _exchanged((), one.names, now)
    for name in one.phases:
        new[name] += _period(turns[name], new) / 2.0
    return new if all(math.isfinite(new[name]) for name in one.phases) else None


def _period(turn: Turn, now: Mapping[str, float]) -> float:
    """The length of a turn at these values, positive."""
    if isinstance(turn.period, float):
        return turn.period
    return abs(float(numpy_.evaluate(turn.period, {}, now)[0][0]))


def _wrapped(
    now: dict[str, float], names: Sequence[str], turns: dict[str, Turn], low: dict[str, float], high: dict[str, float]
) -> dict[str, float] | None:
    """Values with these phases moved by whole turns to the middle one that their bounds allow; None: no place."""
    new = dict(now)
    for name in names:
        period, value = _period(turns[name], now), now[name]
        if not 0.0 < period < math.inf:
            continue
        if not -period / 2.0 < value <= period / 2.0:
            value -= period * round(value / period)
            value += period if value <= -period / 2.0 else 0.0
        if value < low[name]:
            value += period * math.ceil((low[name] - value) / period)
        elif value > high[name]:
            value -= period * math.ceil((value - high[name]) / period)
        if not low[name] <= value <= high[name]:
            return None
        if abs(value - now[name]) > SMALL * period:
            new[name] = value
    return new

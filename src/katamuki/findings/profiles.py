"""How far the data allow each parameter: profile intervals, and a cheap look at whether they matter.

The look takes the formula's values at the two ends that the standard error gives, on the straight line along which the
others would follow: their second difference is the acceleration of Bates & Watts (1980), and where it is small beside
the first difference, profile and standard error agree. Only where it is not are the ends themselves looked for
(:mod:`katamuki.findings.profile_walk`), and only as far as a bounded number of passes over the data leads: what that
does not reach is not looked at. Large data are looked at in blocks; models of torch have no profiles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from katamuki import tails
from katamuki.backends.native import address_of
from katamuki.covariance import Uncertainty
from katamuki.findings import profile_walk as core
from katamuki.findings.bending import bend_pass, size
from katamuki.identifiability import runs_away
from katamuki.records import Array, Minimum, Solution
from katamuki.solvers.levenberg_marquardt import minimise

if TYPE_CHECKING:
    from katamuki.problem import Problem

FEW = 65_536  # rows up to which an end is looked for compiled
BLOCKS = 16  # of 256 rows that are looked at
LEVEL = 0.95
NEARLY = 0.12  # of t: an end of which nothing would be said need not be found
MANY = 30  # parameters beyond which the look would cost more than it tells
PERFECT = 1e-26  # of Σ w y²: residuals in the thirteenth digit are rounding, and measure nothing
OPEN = (-math.inf, math.inf)
LOOK = 1e8  # rows times (p + 1)² times evaluations of a look: a tenth of a second
DESCENT = 200  # steps of the descent that a lower loss on the way gets, to find its minimum


@dataclass(frozen=True, slots=True)
class End:
    """One end of a profile interval.

    ``value`` is where the parameter ends, unit of the parameter; infinite where the data set no end; NaN where none was
    found. ``u`` is its distance in half-widths of the interval from the standard error. ``better`` is a place with a
    lower loss than the answer's, where the walk met one; ``converged`` where it is a minimum (:func:`followed`).
    """

    value: float
    u: float
    better: Minimum | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """A parameter's interval by its standard error (``low``, ``high``), and the ends of its profile."""

    name: str
    low: float
    high: float
    below: End
    above: End

    @property
    def better(self) -> Minimum | None:
        """The place with a lower loss than the answer's, where one was met."""
        return self.below.better or self.above.better


class Walker:
    """Looks for the ends of profiles about one answer.

    Parameters
    ----------
    problem : Problem
        The model and its rows.
    values : (all_p,) float64
        All parameters at the answer.
    bars : Uncertainty
        What the triangle there says, parameters at a bound held.
    rss : float
        Σ w r² there.
    known : bool
        Whether sigma is known, so that s² = 1.
    t : float
        How many standard errors the interval reaches.
    lower, upper : (p,) float64
        Bounds of the free parameters.
    tied : (p,) bool, optional
        Parameters that stay where they are, because their columns depend on those of others.

    Source
    ------
    Bates & Watts 1988, chapter 6; Cook & Weisberg 1990.
    """

    def __init__(
        self,
        problem: Problem,
        values: Array,
        bars: Uncertainty,
        rss: float,
        known: bool,
        t: float,
        lower: Array | float = -math.inf,
        upper: Array | float = math.inf,
        tied: NDArray[np.bool_] | bool = False,
    ) -> None:
        p = problem.p
        self.problem, self.values, self.rss = problem, np.ascontiguousarray(values), rss
        root = bars.root
        inverse = root @ root.T
        square = inverse.diagonal()
        fixed = ~(square > 0.0) | tied
        with np.errstate(divide="ignore", invalid="ignore"):
            self.directions = inverse / square[:, None]  # row k: how all move where k moves by 1
        variance = 1.0 if known else rss / bars.dof if bars.dof > 0 else math.nan
        self.half, self.target = (t * np.sqrt(variance * square)).tolist(), t * t * variance
        self.lower, self.upper = np.broadcast_to(lower, p), np.broadcast_to(upper, p)
        self.state = np.zeros(core.state_size(p, problem.all_p))
        self.state[core.ALLOWED] = core.MOST_EVALUATIONS
        self.spent, self.allowed = 0.0, math.inf  # evaluations
        place = core.HEAD + 6 * problem.all_p
        self.state[core.HEAD : core.HEAD + problem.all_p] = values
        for part in (self.lower, self.upper, fixed):
            self.state[place : place + p] = part
            place += p

    def end(self, k: int, side: int) -> End:
        """The end of free parameter k's profile below (−1) or above (1)."""
        problem, state = self.problem, self.state
        half, here = side * self.half[k], float(self.values[problem.free[k]])
        status = self._status(k, side, 0.0)
        u = float(state[core.U])
        if status == core.LOWER:
            x = state[core.HEAD + problem.all_p : core.HEAD + 2 * problem.all_p].copy()
            params = dict(zip(problem.names, x.tolist(), strict=True))
            return End(math.nan, math.nan, Minimum(params, problem.rss(x) / problem.n, 1, False))
        if status == core.LOST:
            return End(math.nan, math.nan)
        if status == core.FAR_OFF:
            return End(math.copysign(math.inf, half), math.inf)
        return End(self._bound(k, side) if status == core.STOPPED else here + u * half, u)

    def _bound(self, k: int, side: int) -> float:
        return float(self.upper[k] if side > 0 else self.lower[k])

    def _status(self, k: int, side: int, band: float) -> int:
        """Look for an end; with a ``band``, STRAIGHT says that √((S − S₀)/s²) is within ``band``·t of t at u = 1."""
        problem, p, state = self.problem, self.problem.p, self.state
        half, here = side * self.half[k], float(self.values[problem.free[k]])
        most = (self._bound(k, side) - here) / half
        state[: core.EVALUATIONS + 1] = self.rss, self.target, half, k, most, band, -1.0
        place = core.HEAD + 6 * problem.all_p + 3 * p
        state[place : place + p] = self.directions[k]
        state[core.ALLOWED] = min(core.MOST_EVALUATIONS, self.allowed - self.spent)
        status = self._walk()
        self.spent += float(state[core.EVALUATIONS])
        return status

    def _walk(self) -> int:
        """Compiled for few rows; one threaded pass an evaluation for many."""
        problem, p, all_p, state = self.problem, self.problem.p, self.problem.all_p, self.state
        start = address_of(state)
        free = problem.layout.free_address
        if problem.n <= FEW:
            weighted = int(problem.root is not None)
            rows = (problem.columns_address, problem.y_address, problem.root_address, weighted, problem.n)
            block = problem.block()
            order = problem.layout.order_address
            return core.walk(problem.kernel.address, *rows, free, p, all_p, order, address_of(block), address_of(state))
        trial = core.HEAD + 2 * all_p
        fresh = core.HEAD + 6 * all_p + 7 * p + 1 + (p + 1) ** 2
        while True:
            status = core.advance_once(start, p, all_p, free)
            if status != core.GO_ON:
                return status
            linearised = problem.triangle(state[trial : trial + all_p].copy())
            state[fresh : fresh + len(linearised)] = linearised

    def profile(self, k: int) -> Profile:
        """Both ends of free parameter k."""
        here, half = float(self.values[self.problem.free[k]]), self.half[k]
        return Profile(self.problem.free_names[k], here - half, here + half, self.end(k, -1), self.end(k, 1))

    def is_straight(self, k: int) -> bool:
        """Whether both ends are about where the standard error says."""
        return all(self._status(k, side, NEARLY) == core.STRAIGHT for side in (-1, 1))


def bent_profiles(problem: Problem, solution: Solution, values: Array, bars: Uncertainty) -> tuple[Profile, ...]:
    """The profiles of the parameters whose 95 % intervals by the standard error may end elsewhere than the data say.

    Parameters
    ----------
    problem : Problem
        The model and its rows.
    solution : Solution
        The claim; only a minimum of a formula that is not linear has anything to look at.
    values : (all_p,) float64
        All parameters at the answer.
    bars : Uncertainty
        What the triangle there says, parameters at a bound held.

    Returns
    -------
    tuple of Profile
        Empty for models of torch, for more than 30 parameters, and where there is no scatter to measure by.

    Source
    ------
    Bates & Watts 1980, and 1988, chapter 6.
    """
    known, p = solution.sigma_is == "known", problem.p
    if solution.linear or solution.state != "converged" or p > MANY or not problem.compiled:
        return ()
    if not measurable(problem, solution.rss, solution.dof, known):
        return ()
    t = reach(math.inf if known else solution.dof)
    values = values if values.flags.c_contiguous else np.ascontiguousarray(values)
    root = problem.root_address
    out = np.empty(size(p, problem.all_p))
    rows = (problem.columns_address, address_of(values), problem.y_address, root, int(root != 0), problem.n)
    shape = (problem.layout.free_address, p, problem.all_p)
    bar = (address_of(bars.root), address_of(bars.stderr), t)
    bent = bend_pass(problem.kernel.address, *rows, BLOCKS, *shape, *bar, address_of(out))
    if solution.edges:  # the loss bends at the answer itself
        out[:p] = bars.stderr > 0.0
    elif not bent:
        return ()
    lower, upper = (np.array([solution.bounds.get(name, OPEN)[side] for name in solution.free]) for side in (0, 1))
    walker = Walker(problem, values, bars, solution.rss, known, t, lower, upper)
    walker.allowed = LOOK / (problem.n * (p + 1) ** 2)
    found: list[Profile] = []
    for k in np.flatnonzero(out[:p]).tolist():
        if walker.is_straight(k):
            continue
        if walker.spent >= walker.allowed:
            break
        found.append(_followed(problem, walker.profile(k), solution.rss, lower, upper))
        if found[-1].better is not None:  # this is no minimum to measure the others from
            break
    return tuple(found)


def measurable(problem: Problem, rss: float, dof: int, known: bool) -> bool:
    """Whether there is scatter to measure a profile by: residuals that are rounding measure nothing."""
    return known or (dof > 0 and rss > PERFECT * problem.tss_about_zero)


def followed(problem: Problem, place: Minimum, rss: float, lower: Array, upper: Array) -> Minimum:
    """Where a descent from a place of lower loss leads: a minimum below ``rss``, or ``converged`` is False.

    Only a minimum is worth a start: from elsewhere the loss may fall without an end.
    """
    start = np.array([place.params[name] for name in problem.names])
    found = minimise(problem, start, lower, upper, max_steps=DESCENT)
    away = runs_away(found.triangle, found.values[problem.free], problem.tss_about_zero)
    if found.ending != "converged" or not found.rss < rss or away:
        return place
    params = dict(zip(problem.names, found.values.tolist(), strict=True))
    return Minimum(params, found.rss / problem.n, 1)


def _followed(problem: Problem, one: Profile, rss: float, lower: Array, upper: Array) -> Profile:
    """The profile with what its better place leads to."""
    if one.better is None:
        return one
    end = End(math.nan, math.nan, followed(problem, one.better, rss, lower, upper))
    return replace(one, below=end, above=end)


@lru_cache(maxsize=256)
def reach(dof: float) -> float:
    """The t of the usual 95 % interval; kept, since fits of one size follow each other."""
    return tails.coverage(LEVEL, dof)

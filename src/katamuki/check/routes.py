"""The other routes to an answer: QR for formulas linear in their parameters, SciPy's solvers for the rest.

Linear: a Gauss–Newton step from zero and one that corrects it, by QR of the columns (Björck 1996, section 2.9), in long
doubles where the condition asks for it. Nonlinear: ``scipy.optimize.least_squares`` (MINPACK's Levenberg–Marquardt, or
a trust region where there are bounds) with its tolerances at rounding level and the checker's own slopes, then steps of
Gauss–Newton or Newton, because a solver that compares sums of squares stops at half the digits. The routes
know nothing of how the claim was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from katamuki.check.evaluation import EPS, SEED, Case, Local, curvature, look
from katamuki.records import Array

ILL = 1e5  # scaled condition beyond which double precision leaves fewer than 9 digits of a parameter
ILL_LINEAR = 1e3  # the same where residuals are large beside what the parameters explain: the condition squared counts
SOLID = 1e5  # scaled condition up to which Newton's equations, which square it, may be solved
TIGHT = 1e-15  # SciPy's tolerances
ROUNDS = 60  # polishing steps
TRIES = 400  # evaluations by SciPy from one point
CORRECTIONS = 2  # by QR: the answer, and what rounding left of it
SETTLED = 1e-12  # relative: a correction that changes no digit of interest
STILL = 1e-13  # of the residuals' length: a step that moves the prediction less is rounding
SAME = 1e-9  # relative difference between slopes that must not differ
LOWER = 1e-6  # relative: a sum of squares that much lower is another one
FAR = 1e100  # a residual that is no number, for SciPy


def is_linear(case: Case, values: Any) -> bool:
    """Whether the prediction is linear in the free parameters: slopes at 0, at ``values`` and at −values agree."""
    here = np.asarray(values, np.float64)
    case = case.sample() if case.many else case
    nothing = np.zeros_like(here)
    for rows in case.blocks:
        _, (slopes, one, other) = case.several(np.stack([nothing, here, -here]), rows)
        lengths = np.abs(slopes).max(axis=0, initial=0.0)
        for there in (one, other):
            if not (np.abs(there - slopes) <= SAME * lengths).all():
                return False
    return True


def by_qr(case: Case, condition: float) -> Local:
    """The least-squares answer of a formula linear in its free parameters, and the problem near it.

    ``condition`` is that of the scaled columns, the same everywhere; it tells which precision is needed.
    """
    precise = not condition <= ILL_LINEAR
    found = look(case, np.zeros(len(case.free)), precise)
    for _ in range(CORRECTIONS):
        found = look(case, found.values + found.step, precise)
        if (np.abs(found.step) <= SETTLED * np.abs(found.values)).all():
            break
    return found


def by_scipy(case: Case, start: Array, limits: Mapping[str, tuple[float, float]], bend: Array | None) -> Local | None:
    """SciPy's answer from a point, polished where there are no bounds; None where it ends at no number.

    Parameters
    ----------
    case, start, limits
        As for :func:`end_of_scipy`.
    bend : (p, p) float64 or None
        Scaled curvature near the answer, for Newton's steps.
    """
    here = end_of_scipy(case, start, limits)
    return here if here is None or limits else polished(case, here, bend)


def end_of_scipy(case: Case, start: Array, limits: Mapping[str, tuple[float, float]]) -> Local | None:
    """Where SciPy ends from a point; None where that is no number.

    Parameters
    ----------
    case : Case
        The claim.
    start : (p,) float64
        Where to begin.
    limits : mapping of name to (low, high)
        Bounds.
    """
    from scipy.optimize import least_squares, leastsq

    seen: dict[bytes, tuple[Any, Any]] = {}  # residuals and slopes where they were asked for last

    def both(values: Array) -> tuple[Any, Any]:
        place = values.tobytes()
        if place not in seen:
            seen.clear()
            seen[place] = case.both(values)
        return seen[place]

    def residuals(values: Array) -> Array:
        found = both(values)[0] if case.together(1) else case.residuals(values)
        return np.asarray(np.where(np.isfinite(found), found, FAR))

    def slopes(values: Array) -> Array:
        found = both(values)[1] if case.together(1) else case.jacobian(values)
        return np.asarray(np.where(np.isfinite(found), -found, 0.0))

    options: dict[str, Any] = {"ftol": TIGHT, "xtol": TIGHT, "gtol": TIGHT}
    try:
        if limits:
            low = np.array([limits.get(name, (-np.inf, np.inf))[0] for name in case.free])
            high = np.array([limits.get(name, (-np.inf, np.inf))[1] for name in case.free])
            high = np.where(high > low, high, np.nextafter(low, np.inf))
            options |= {"bounds": (low, high), "method": "trf", "max_nfev": TRIES, "x_scale": "jac"}
            values = least_squares(residuals, np.clip(start, low, high), slopes, **options).x
        else:  # MINPACK, as least_squares(method="lm") calls it
            values = leastsq(residuals, start, Dfun=slopes, maxfev=TRIES, full_output=True, **options)[0]
    except (TypeError, ValueError, np.linalg.LinAlgError):  # its ways of saying that rows are few, or no numbers
        return None
    here = look(case, values)
    return here if here.finite else None


def polished(case: Case, here: Local, bend: Array | None) -> Local:
    """Steps of Gauss–Newton, or of Newton where they do not contract, until rounding stops them."""
    best, least = here, _length(here)
    for use in (None, bend):
        here, length = best, least
        if use is not None and not _solid(use):
            break
        for k in range(ROUNDS):
            if here.inverse is None:
                return best
            precise = here.condition > ILL
            step = here.step if use is None else _newton(use, here)
            there = look(case, here.values + step, precise)
            if not there.finite or not there.rss <= 4.0 * here.rss + here.rounding:
                break
            before, length = length, _length(there)
            here = there
            if length < least or best.values.dtype != here.values.dtype:
                best, least = here, length
            if not length < 0.9 * before and k > 1:
                break
        if least <= STILL * best.rss**0.5 or least**2 <= EPS**2 * best.bulk**2:
            break
    return best


def _solid(bend: Array) -> bool:
    least = np.linalg.eigvalsh(bend)
    return bool(least[0] > 0.0 and least[-1] / least[0] < SOLID**2)


def _newton(bend: Array, here: Local) -> Any:
    return np.linalg.solve(bend, here.slope / here.lengths) / here.lengths


def _length(here: Local) -> float:
    """How far the Gauss–Newton step would move the prediction, √w's unit of y."""
    scaled = here.slope / np.where(here.lengths > 0.0, here.lengths, 1.0)
    along = here.directions @ scaled
    return float(np.linalg.norm(along / np.where(here.singular > 0.0, here.singular, np.inf)))


def perturbed(case: Case, here: Local, stderr: Array) -> Array:
    """A point beside the answer: a tenth of the standard error away, at most a tenth of the value."""
    values = np.asarray(here.values, np.float64)
    unit = np.where(here.lengths > 0.0, here.lengths, 1.0)
    least = np.where(values != 0.0, 1e-3 * np.abs(values), 1e-3 * here.size / unit)
    most = np.where(values != 0.0, 0.1 * np.abs(values), np.inf)
    sway = np.clip(0.1 * np.nan_to_num(stderr, nan=0.0, posinf=0.0), least, np.maximum(most, least))
    signs = np.random.default_rng(SEED).choice([-1.0, 1.0], len(case.free))
    return np.asarray(values + signs * sway)


def goes_down(case: Case, here: Local) -> tuple[bool, Array]:
    """Whether the point is a saddle or a maximum: a direction of negative curvature along which rss really falls.

    Returns the judgement and the scaled curvature (p, p).
    """
    bend, noise = curvature(case, here)
    if not np.isfinite(bend).all():
        return False, bend
    strength, directions = np.linalg.eigh(bend)
    if not strength[0] < -max(1e-6, noise):
        return False, bend
    unit = np.where(here.lengths > 0.0, here.lengths, 1.0)
    along = directions[:, 0] / unit
    values = np.asarray(here.values, np.float64)
    for reach in np.geomspace(1e-6, 1e-2, 9) * here.size:
        for sign in (1.0, -1.0):
            residuals = case.residuals(values + sign * reach * along)
            if residuals @ residuals < here.rss - 4.0 * here.rounding - 1e-12 * here.rss:
                return True, bend
    return False, bend

"""The claim "this is a minimum": gradient, curvature, rank, another route, sums and error bars, in this order of doubt.

Bounds: a parameter that stands at one is held there, the gradient must press it outward, and all else is
judged with it held. On an edge of the loss, too, the others are judged with it held; :mod:`katamuki.check.edge` tests
what lies to either side. More than 100,000 rows of a nonlinear formula: gradient, sums and error bars come from all
rows, and a Gauss–Newton step there tells the digits; SciPy sees a seeded sample, whose answer must lie within six of
its own standard errors. Conditions: Nocedal & Wright 2006, theorems 2.4 and 12.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from katamuki.check import comparing, routes
from katamuki.check.comparing import ENOUGH, Doubt, digits, said, yardstick
from katamuki.check.edge import judge_edges
from katamuki.check.evaluation import EPS, Case, Local, look
from katamuki.messages import Listing
from katamuki.records import Array, CheckReport, Solution

DEPENDENT = 1e-14  # singular values of scaled columns: below, they are dependent beyond doubt
DETERMINED = 1e-12  # above, they are not; in between, either claim stands
PASSED = {
    "qr": "check.pass.qr",
    "scipy": "check.pass.scipy",
    "sample": "check.pass.sample",
    "none": "check.pass.none",  # nothing is free to move: all stand at bounds
}
ON_EDGES = {
    "qr": "check.pass.edge",
    "scipy": "check.pass.edge",
    "sample": "check.pass.edge_sample",
    "none": "check.pass.edge_alone",
}
SIGMAS = 6.0  # how far a sample's answer may lie from that of all rows


@dataclass(slots=True)
class Findings:
    """What the judge gathers: doubts, most telling first, digits, the other answer, facts."""

    doubts: list[Doubt] = field(default_factory=list)
    digits: dict[str, float] = field(default_factory=dict)
    stderr_digits: dict[str, float] = field(default_factory=dict)
    answer: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    unsure: Doubt | None = None

    def report(self, reason: str, **values: object) -> CheckReport:
        """The judgement; ``reason`` and its ``values`` hold if nothing speaks against it."""
        verdict: Any = "PASS"
        if self.doubts:
            verdict = "FAIL"
            reason, values = self.doubts[0]
            self.facts["doubts"] = tuple(key for key, _ in self.doubts)
        elif self.unsure is not None:
            verdict = "CANNOT TELL"
            reason, values = self.unsure
        return CheckReport(verdict, reason, self.digits, self.stderr_digits, self.answer, values, self.facts)


def claimed(solution: Solution, case: Case) -> Array:
    """The claim's values of a case's free parameters (p,); the case has names after NFKC, the claim as they are."""
    by_plain = dict(zip(case.free, solution.free, strict=True))
    return np.array([solution.params[by_plain[name]] for name in case.free])


def judge_minimum(solution: Solution, case: Case, seen: Local, with_covariance: bool = True) -> CheckReport:
    """Judge a claim of a minimum.

    Parameters
    ----------
    solution : Solution
        The claim.
    case : Case
        The same, read anew.
    seen : Local
        The same near the claimed parameters.
    with_covariance : bool
        Whether the claim has a covariance matrix.

    Returns
    -------
    CheckReport
    """
    found = Findings()
    names = dict(zip(case.free, solution.free, strict=True))  # as the claim spells them
    stuck = {plain: solution.params[name] for plain, name in names.items() if name in solution.at_bound}
    if stuck:
        _pressed(solution, names, case, seen, found)
    on_edges = {one.name for one in solution.edges} - set(solution.at_bound)
    corners = {plain: solution.params[name] for plain, name in names.items() if name in on_edges}
    whole = case.holding(stuck)
    loose = whole.holding(corners)
    values = np.array([solution.params[names[name]] for name in loose.free])
    here = look(loose, values) if stuck or corners else seen
    if here.condition > routes.ILL and not solution.linear:
        here = look(loose, values, precise=True)
    p = len(loose.free)
    found.facts.update(
        gradient=2.0 / case.n * float(np.abs(here.slope).max(initial=0.0)),
        rank=int((here.singular > max(DEPENDENT, case.resolution)).sum()) + len(stuck) + len(corners),
        parameters=len(case.free),
    )
    spelt = [names[name] for name in loose.free]
    if here.inverse is None or here.singular.min(initial=1.0) <= max(DEPENDENT, case.resolution):
        found.doubts.append(("check.fail.rank", {"rank": found.facts["rank"], "parameters": len(case.free)}))
        found.facts["route"] = "none"
        return found.report("")
    there = _other_route(solution, loose, here, spelt, found)
    _still(loose, here, spelt, found)
    found.doubts += comparing.sums(solution, loose, here, {loose.n - p - len(corners)}, case.root is not None)
    if corners:
        there = _on_edges(solution, whole, names, corners, found)
        spelt = [names[name] for name in whole.free]
    _error_bars(solution, whole, there, spelt, with_covariance, found)
    for name, stop in ((names[plain], value) for plain, value in stuck.items()):
        found.answer[name], found.digits[name], found.stderr_digits[name] = stop, math.nan, math.nan
        if solution.stderr.get(name) is not None:
            values_of = {"name": name, "claimed": said(solution.stderr[name]), "found": said(None)}
            found.doubts.append(("check.fail.stderr", values_of))
    shared = [one for one in found.digits.values() if math.isfinite(one)]
    return found.report(
        (ON_EDGES if corners else PASSED)[found.facts["route"]],
        names=Listing([names[plain] for plain in corners]),
        digits=math.floor(min(shared, default=comparing.MOST)),
        rows=found.facts.get("sample", 0),
    )


def _pressed(solution: Solution, names: dict[str, str], case: Case, here: Local, found: Findings) -> None:
    """Doubt bounds at which no parameter stands, or from which the loss falls inward."""
    cosine, allowed = comparing.stands(case, here)
    for k, plain in enumerate(case.free):
        name = names[plain]
        if name not in solution.at_bound:
            continue
        low, high = solution.bounds.get(name, (-math.inf, math.inf))
        value = solution.params[name]
        at_low, at_high = (abs(value - stop) <= 1e-9 * abs(stop) for stop in (low, high))
        if not (at_low or at_high):
            found.doubts.append(("check.fail.not_at_bound", {"name": name, "value": said(value)}))
        elif not ((at_low and cosine[k] <= allowed) or (at_high and cosine[k] >= -allowed)):
            found.doubts.append(("check.fail.pressed", {"name": name, "value": said(value)}))


def _on_edges(
    solution: Solution, case: Case, names: dict[str, str], corners: dict[str, float], found: Findings
) -> Local:
    """Doubt edges from which the loss falls, or on which it has none; returns what the error bars come from."""
    spelt = [names[plain] for plain in case.free]
    at = look(case, np.array([solution.params[name] for name in spelt]))
    there, doubts = judge_edges(case, at, list(corners), spelt)
    found.doubts += doubts
    found.facts["edges"] = tuple(names[plain] for plain in corners)
    for plain, value in corners.items():
        found.answer[names[plain]], found.digits[names[plain]] = value, math.nan
    if there.inverse is None:
        found.doubts.append(("check.fail.rank", {"rank": len(spelt) - 1, "parameters": len(spelt)}))
    return there


def _still(case: Case, here: Local, spelt: list[str], found: Findings) -> None:
    """Doubt a gradient that does not vanish."""
    cosine, allowed = comparing.stands(case, here)
    if len(cosine):
        worst = int(np.argmax(np.abs(cosine)))
        found.facts["cosine"] = float(abs(cosine[worst]))
        found.facts.update(comparing.vanishing(cosine, allowed))
        if not abs(cosine[worst]) <= allowed:
            values = {"name": spelt[worst], "value": said(-2.0 / case.n * float(here.slope[worst]))}
            found.doubts.append(("check.fail.gradient", values))


def _other_route(solution: Solution, case: Case, here: Local, spelt: list[str], found: Findings) -> Local:
    """Compare with the answer by another route; returns the problem near it."""
    if not spelt:
        found.facts["route"] = "none"
        return here
    if solution.linear:
        if routes.is_linear(case, here.values):
            found.facts["route"] = "qr"
            there = routes.by_qr(case, here.condition)
            _compare(solution, here, there, spelt, found, linear=True)
            return there
        found.doubts.append(("check.fail.not_linear", {}))
    if case.many:
        return _on_a_sample(solution, case, here, spelt, found)
    found.facts["route"] = "scipy"
    down, bend = routes.goes_down(case, here)
    usable = bend if np.isfinite(bend).all() else None
    values = np.asarray(here.values, np.float64)
    ended = routes.by_scipy(case, values, {}, usable)
    if ended is None:
        found.unsure = ("check.cannot.route", {})
        return here
    there = ended
    _compare(solution, here, there, spelt, found, linear=False)
    if down:
        found.doubts.append(("check.fail.curvature", {}))
    _elsewhere(solution, case, here, there, spelt, found, usable)
    return there


def _elsewhere(
    solution: Solution, case: Case, here: Local, there: Local, spelt: list[str], found: Findings, bend: Array | None
) -> None:
    """Where SciPy goes from beside the answer and from the fit's own start: facts, and a doubt where that is lower."""
    limits = {
        plain: solution.bounds[name] for plain, name in zip(case.free, spelt, strict=True) if name in solution.bounds
    }
    starts = {"near": routes.perturbed(case, there, _spread(solution, there))}
    if solution.start is not None:
        starts["start"] = np.array([solution.start.get(name, 1.0) for name in spelt])
    for origin, start in starts.items():
        ended = routes.end_of_scipy(case, start, limits)
        if ended is None:
            found.facts["from_" + origin] = "failed"
            continue
        if _same(solution, here, ended, spelt):  # as SciPy left it, before any step of ours
            found.facts["from_" + origin] = "same"
            continue
        back = routes.polished(case, ended, bend)
        if _same(solution, here, back, spelt):
            found.facts["from_" + origin] = "same"
            continue
        ended = ended if limits else back
        found.facts["from_" + origin] = "elsewhere"
        inside = all(low <= value <= high for value, (low, high) in _limited(case, ended, limits))
        best = found.facts.get("better", {"rss": here.rss})["rss"]
        if inside and ended.rss < best * (1.0 - routes.LOWER) - here.rounding:
            params = dict(zip(spelt, map(float, ended.values), strict=True))
            found.facts["better"] = {"params": params, "rss": ended.rss}


def _same(solution: Solution, here: Local, there: Local, spelt: list[str]) -> bool:
    """Whether an answer shares enough digits with the claim."""
    shared = _digits(solution, here, there, spelt, linear=False)
    return min(shared.values(), default=comparing.MOST) >= ENOUGH


def _limited(
    case: Case, here: Local, limits: dict[str, tuple[float, float]]
) -> list[tuple[float, tuple[float, float]]]:
    return [(float(value), limits[name]) for name, value in zip(case.free, here.values, strict=True) if name in limits]


def _on_a_sample(solution: Solution, case: Case, here: Local, spelt: list[str], found: Findings) -> Local:
    """Many rows: a Gauss–Newton step over all of them, and SciPy on some."""
    part = case.sample()
    found.facts.update(route="sample", sample=part.n)
    values = np.asarray(here.values, np.float64)
    down, bend = routes.goes_down(part, look(part, values))
    moved = look(case, here.values + here.step, here.values.dtype == np.longdouble)
    there = moved if moved.finite and moved.rss <= here.rss + here.rounding else here
    _compare(solution, here, there, spelt, found, linear=False)
    ended = routes.by_scipy(part, values, {}, bend if np.isfinite(bend).all() else None)
    if ended is None or ended.inverse is None:
        found.unsure = ("check.cannot.route", {})
        return there
    variance = ended.rss / max(part.n - len(values), 1)
    spread = np.sqrt(np.diag(ended.inverse) * variance)
    found.facts["sigmas"] = float((np.abs(ended.values - values) / np.where(spread > 0, spread, 1.0)).max())
    for name, value, other, bar in zip(spelt, values, ended.values, spread, strict=True):
        if abs(value - other) > SIGMAS * bar + 64.0 * EPS * abs(value):
            found.doubts.append(("check.fail.sample", {"name": name, "claimed": said(value), "found": said(other)}))
    if down:
        found.doubts.append(("check.fail.curvature", {}))
    return there


def _spread(solution: Solution, there: Local) -> Array:
    """The checker's own standard errors (p,)."""
    inverse = there.inverse if there.inverse is not None else np.full((len(there.lengths),) * 2, np.nan)
    dof = max(solution.n - len(there.lengths), 1)
    return np.asarray(np.sqrt(np.diag(inverse) * (1.0 if solution.sigma_is == "known" else there.rss / dof)))


def _digits(solution: Solution, here: Local, there: Local, spelt: list[str], linear: bool) -> dict[str, float]:
    """Digits that two answers share; differences at the claim's own rounding level count as ``ENOUGH``."""
    if there.inverse is None:
        return dict.fromkeys(spelt, math.nan)
    root = np.sqrt(np.diag(there.inverse))
    bars = _spread(solution, there)
    grain = 16.0 * EPS * (there.size if linear else there.bulk) * root
    found = {}
    for k, name in enumerate(spelt):
        value, other = float(here.values[k]), float(there.values[k])
        bar = None if solution.state == "exact" else float(bars[k])  # a closed form owes digits to the value itself
        scale = max(yardstick(value, other, bar), 10.0**ENOUGH * float(grain[k]))
        found[name] = digits(value, other, scale)
    return found


def _compare(solution: Solution, here: Local, there: Local, spelt: list[str], found: Findings, linear: bool) -> None:
    """Digits and answer, and doubts where there are too few digits."""
    found.digits.update(_digits(solution, here, there, spelt, linear))
    found.answer.update(zip(spelt, map(float, there.values), strict=True))
    found.facts["difference"] = max(
        (10.0**-value for value in found.digits.values() if math.isfinite(value)), default=math.nan
    )
    root = np.full(len(spelt), np.inf) if there.inverse is None else np.sqrt(np.diag(there.inverse))
    precision = float(np.finfo(there.values.dtype).eps)
    spread = there.bulk + there.condition * there.rss**0.5  # Björck 1996, section 1.4.3
    for k, name in enumerate(spelt):
        if found.digits[name] >= ENOUGH:
            continue
        if abs(float(here.values[k] - there.values[k])) <= 64.0 * precision * spread * root[k]:
            found.unsure = ("check.cannot.rounding", {"name": name})
            continue
        values = {"name": name, "claimed": said(here.values[k]), "found": said(there.values[k])}
        found.doubts.append(("check.fail.params", values))


def _error_bars(
    solution: Solution, case: Case, there: Local, spelt: list[str], with_covariance: bool, found: Findings
) -> None:
    """Standard errors and covariances by the other route."""
    if there.inverse is None:
        return
    p, known = len(case.free), solution.sigma_is == "known"
    dof = case.n - p
    diagonal = dict(zip(spelt, np.diag(there.inverse).tolist(), strict=True))
    shared, doubts = comparing.error_bars(solution.stderr, diagonal, there.rss, there.rounding, dof, known)
    found.stderr_digits.update(shared)
    found.doubts += doubts
    found.facts["stderr_difference"] = max(
        (10.0**-value for value in shared.values() if math.isfinite(value)), default=math.nan
    )
    if with_covariance:
        rows = [solution.free.index(name) for name in spelt]
        claim = np.asarray(solution.covariance)
        wide = claim.shape == (len(solution.free),) * 2
        inner = claim[np.ix_(rows, rows)] if wide else claim
        found.doubts += comparing.covariances(inner, there.inverse, there.rss, there.rounding, dof, known)

"""The claim "the data cannot tell these parameters apart": rank, what is determined, and what of the rest is.

J's null space says which parameters may move together without effect; those and no others may lack an error bar. A
second answer, found from elsewhere, must have the same sum of squares, the same determined parameters, and the same
values of the claimed combinations, whose slopes must vanish along the null space. Source: Catchpole & Morgan 1997.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.check import comparing, routes
from katamuki.check.comparing import ENOUGH, Doubt, digits, said, yardstick
from katamuki.check.evaluation import EPS, STEP, Case, Local, look
from katamuki.check.minimum import DETERMINED, Findings
from katamuki.check.reading import UnreadableError, expression
from katamuki.records import Array, CheckReport, Combination, Solution

PART_SURE = 1e-5  # of a null direction: a parameter with so large a part is undetermined
PART_NONE = 1e-9  # with so small a part it is determined; in between, either claim stands
ALONG = 1e-6  # relative: how much a combination may change along the null space
FAINT = 32.0 * EPS  # of the prediction's size: a parameter that moves it less by its whole value is undetermined
CORRECTIONS = 8


def judge_undetermined(solution: Solution, case: Case, seen: Local, with_covariance: bool = True) -> CheckReport:
    """Judge a claim that some parameters are not determined.

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
    stuck = {p: solution.params[n] for p, n in zip(case.free, solution.free, strict=True) if n in solution.at_bound}
    spelt = [name for name in solution.free if name not in solution.at_bound]
    loose = case.holding(stuck)
    here = look(loose, np.array([solution.params[name] for name in spelt])) if stuck else seen
    idle = here.lengths * np.abs(here.values) <= FAINT * here.size
    if idle.any() and here.singular.min(initial=1.0) > max(DETERMINED, case.resolution):
        here = look(loose, here.values, idle=idle)
    else:
        idle[:] = False
    kept = here.singular > max(DETERMINED, case.resolution) * here.singular.max(initial=0.0)
    rank = int(kept.sum())
    found.facts.update(
        rank=rank + len(stuck),
        parameters=len(case.free),
        gradient=2.0 / case.n * float(np.abs(here.slope).max(initial=0.0)),
    )
    if rank == len(spelt):
        found.doubts.append(("check.fail.determined", {"rank": rank, "parameters": len(spelt)}))
        return found.report("")
    parts = np.sqrt((here.directions[~kept] ** 2).sum(axis=0))
    there, shared = _second_answer(solution, loose, here, idle, spelt, parts, found)
    cosine, allowed = comparing.stands(loose, here)
    found.facts.update(comparing.vanishing(cosine, allowed))
    if not (np.abs(cosine) <= allowed).all():
        worst = int(np.argmax(np.abs(cosine)))
        found.doubts.append(
            ("check.fail.gradient", {"name": spelt[worst], "value": said(-2 / case.n * here.slope[worst])})
        )
    if there.rss < here.rss * (1.0 - routes.LOWER) - here.rounding:
        found.doubts.append(("check.fail.lower", {"claimed": said(here.rss), "found": said(there.rss)}))
    found.doubts += comparing.sums(solution, loose, here, {loose.n - rank}, case.root is not None)
    _error_bars(solution, here, spelt, parts, kept, with_covariance, found)
    for combination in solution.combinations:
        found.doubts += _combination_doubts(combination, here, there if shared else here, spelt, kept)
    return found.report("check.pass.not_identifiable", rank=found.facts["rank"], parameters=len(case.free))


def step_of(here: Local, least: float = DETERMINED) -> Array:
    """The shortest Gauss–Newton step, in units of the columns' lengths, that leaves the null space alone; (p,)."""
    unit = np.where(here.lengths > 0.0, here.lengths, 1.0)
    kept = here.singular > least * here.singular.max(initial=0.0)
    along = here.directions[kept] @ (here.slope / unit)
    return np.asarray((here.directions[kept].T @ (along / here.singular[kept] ** 2)) / unit)


def _second_answer(
    solution: Solution,
    case: Case,
    here: Local,
    idle: NDArray[np.bool_],
    spelt: list[str],
    parts: Array,
    found: Findings,
) -> tuple[Local, bool]:
    """A second answer, and whether it came from elsewhere and ended at the same place.

    From zero where the formula is linear; elsewhere by SciPy from beside the claim, and where that leads to another
    minimum, by Gauss–Newton from the claim itself.
    """
    if solution.linear and routes.is_linear(case, here.values):
        found.facts["route"] = "qr"
        there = _settled(case, look(case, np.zeros(len(case.free)), idle=idle), idle)
        found.digits.update(_digits(solution, here, there, spelt, parts))
    else:
        found.facts["route"] = "scipy"
        part = case.sample() if case.many else case
        beside = routes.perturbed(case, here, np.full(len(case.free), np.nan))
        ended = routes.by_scipy(part, beside, {}, None)
        there = here if ended is None else _settled(case, look(case, ended.values, idle=idle), idle)
        found.digits.update(_digits(solution, here, there, spelt, parts))
        elsewhere = any(value < ENOUGH for value in found.digits.values())
        if there.rss < here.rss * (1.0 - routes.LOWER) - here.rounding:
            elsewhere = True
            params = dict(zip(spelt, map(float, there.values), strict=True))
            found.facts["better"] = {"params": params, "rss": there.rss}
        found.facts["from_near"] = "failed" if ended is None else "elsewhere" if elsewhere else "same"
        if elsewhere or ended is None:
            there = _settled(case, here, idle)
            found.digits.update(_digits(solution, here, there, spelt, parts))
    for name, value, other in zip(spelt, here.values, there.values, strict=True):
        found.answer[name] = float(other)
        if found.digits[name] < ENOUGH:
            found.doubts.append(("check.fail.params", {"name": name, "claimed": said(value), "found": said(other)}))
    return there, found.facts.get("from_near", "same") == "same"


def _settled(case: Case, start: Local, idle: NDArray[np.bool_]) -> Local:
    """Corrected by Gauss–Newton steps that leave the null space alone."""
    best = start
    for _ in range(CORRECTIONS):
        start = look(case, start.values + step_of(start, max(DETERMINED, case.resolution)), idle=idle)
        if not start.finite:
            break
        best = start
    return best


def _digits(solution: Solution, here: Local, there: Local, spelt: list[str], parts: Array) -> dict[str, float]:
    """Digits of the determined parameters; NaN for the others, which have none to share."""
    unit = np.where(here.lengths > 0.0, here.lengths, 1.0)
    least = float(here.singular[here.singular > DETERMINED].min(initial=1.0))
    found = {}
    for k, name in enumerate(spelt):
        value, other = float(here.values[k]), float(there.values[k])
        scale = yardstick(value, other, solution.stderr.get(name))
        grain = 64.0 * EPS * here.bulk / unit[k] / least
        found[name] = digits(value, other, max(scale, 10.0**ENOUGH * grain)) if parts[k] <= PART_NONE else math.nan
    return found


def _error_bars(
    solution: Solution,
    here: Local,
    spelt: list[str],
    parts: Array,
    kept: Any,
    with_covariance: bool,
    found: Findings,
) -> None:
    """Undetermined parameters have no error bar; determined ones have the one of the determined subspace."""
    unit = np.where(here.lengths > 0.0, here.lengths, 1.0)
    root = here.directions[kept] / here.singular[kept, None] / unit
    inverse = root.T @ root
    for k, name in enumerate(spelt):
        found.stderr_digits[name] = math.nan
        if parts[k] > PART_SURE and solution.stderr.get(name) is not None:
            values = {"name": name, "claimed": said(solution.stderr[name]), "found": said(None)}
            found.doubts.append(("check.fail.stderr", values))
    sure = {name: float(inverse[k, k]) for k, name in enumerate(spelt) if parts[k] < PART_NONE}
    dof, known = solution.n - int(kept.sum()), solution.sigma_is == "known"
    shared, doubts = comparing.error_bars(solution.stderr, sure, here.rss, here.rounding, dof, known)
    found.stderr_digits.update(shared)
    found.doubts += doubts
    if not with_covariance:
        return
    claim, p = np.asarray(solution.covariance), len(solution.free)
    inner = [solution.free.index(name) for name in sure]
    claim = claim[np.ix_(inner, inner)] if claim.shape == (p, p) else claim
    within = [spelt.index(name) for name in sure]
    inverse = inverse[np.ix_(within, within)]
    found.doubts += comparing.covariances(claim, inverse, here.rss, here.rounding, dof, known)


def _combination_doubts(
    combination: Combination, here: Local, there: Local, spelt: list[str], kept: Any
) -> Iterator[Doubt]:
    """Doubt a combination that is worth something else, that the second answer does not share, or that is free."""
    text, claim = combination.text, combination.value
    if text is None or claim is None:
        return
    values = {"text": text, "claimed": said(claim)}
    try:
        formula = expression(text)
    except UnreadableError:
        yield "check.fail.combination", {**values, "found": "—"}
        return
    if not set(formula.names) <= set(spelt):
        yield "check.fail.combination", {**values, "found": "—"}
        return
    first = {name: np.float64(value) for name, value in zip(spelt, here.values, strict=True)}
    second = {name: np.float64(value) for name, value in zip(spelt, there.values, strict=True)}
    size = max([abs(claim), *(abs(first[name]) for name in formula.names)])
    mine = float(formula(first))
    if not abs(mine - claim) <= routes.SAME * size:
        yield "check.fail.combination", {**values, "found": said(mine)}
        return
    other = float(formula(second))
    if combination.exact and not abs(other - claim) <= 10.0**-ENOUGH * size:
        yield "check.fail.combination", {**values, "found": said(other)}
        return
    slopes = np.array([_slope(formula, first, name) for name in spelt])
    unit = np.where(here.lengths > 0.0, here.lengths, 1.0)
    along = here.directions[~kept] @ (slopes / unit)
    exact = ALONG if combination.exact else 1e-3  # its coefficients are rounded to four digits
    if not np.linalg.norm(along) <= exact * np.linalg.norm(slopes / unit):
        yield "check.fail.free", {"text": text}


def _slope(formula: Any, values: dict[str, Any], name: str) -> float:
    """The combination's slope by one parameter."""
    step = STEP * (abs(values[name]) or 1.0)
    return float(np.imag(formula({**values, name: values[name] + np.complex128(1j) * step})) / step)

"""The answer of rows that are elsewhere: of the sample first, then of all rows, pass after pass.

A formula that is linear takes its closed form. Others are fitted to the sample, search included, and the descent on all
rows begins where that one ended; where the sample cannot tell minima apart, the rows decide: each is descended to.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from katamuki.api.distant_means import named, of_means, values_of
from katamuki.api.searching import NEAR, TRIED
from katamuki.api.values import Settings
from katamuki.errors import DataError
from katamuki.messages import few
from katamuki.problem.distant import Distant
from katamuki.problem.large import LargeProblem
from katamuki.records import Array, Minimum, Search
from katamuki.search import SAME
from katamuki.solvers.few_passes import settle
from katamuki.solvers.levenberg_marquardt import Descent, minimise
from katamuki.solvers.linear import ExactAnswer
from katamuki.solvers.linear_passes import closed_form, near_by

NEARER = 8  # steps on rows in memory before the first pass
Progress = Callable[[int, float], None]
Limits = tuple[Array | float, Array | float]
UNLIKE = 1.05  # times the sample's mean of squares: from there on it was no sample of all rows,
FAR = 5.0  # where it is also so many times as far as chance goes


def begun(problem: Distant, start: Array, limits: Limits) -> Array:
    """Where the descent on all rows begins (all_p,), which the first pass over them has seen.

    It is where undamped steps on more rows than the sample's, in memory, lead from its answer ``start``.
    """
    near = start
    if problem.wider is not None:
        found = minimise(problem.wider, start, *limits, linear=True, max_steps=NEARER)
        near = found.values if found.ending == "converged" else start
    problem.begin(near)
    return near


def holds(problem: Distant, values: Array) -> bool:
    """Whether the sample's answer (all_p,) is one of all rows: their residuals are no larger than chance makes them.

    Rows sorted within each piece of a file make beginnings that are alike, and unlike all others.
    """
    sample = problem.sample
    squares = sample.residuals(values) ** 2 * (1.0 if sample.weights is None else sample.weights)
    seen, m = float(squares.mean()), len(squares)
    chance = float(squares.std()) / math.sqrt(m)
    return problem.rss(values) / problem.n <= max(seen * UNLIKE, seen + FAR * chance)


def linear_answer(problem: Distant | LargeProblem) -> tuple[Descent, ExactAnswer | None]:
    """The closed form on all rows."""
    return closed_form(problem, *near_by(problem))


def descend(
    problem: Distant,
    start: Array,
    near: Array,
    search: Search | None,
    limits: Limits,
    max_steps: int,
    max_seconds: float | None,
    progress: Progress | None,
) -> tuple[Descent, Search | None]:
    """The descent on all rows and the sample's search as a record about all rows.

    It begins at ``near``, which :func:`begun` made of the sample's answer ``start``, (all_p,) each.
    """
    began = time.perf_counter()

    def down(start: Array) -> Descent:
        found = settle(problem, start, *limits, left(), progress)
        if found is not None:
            return found
        return minimise(problem, start, *limits, max_steps=max_steps, max_seconds=left(), progress=progress)

    def left() -> float | None:
        return None if max_seconds is None else max(max_seconds - (time.perf_counter() - began), 1e-9)

    best = down(near)
    if search is not None and not problem.travelled:
        return of_means(problem, search, start, best, down)
    if search is None or best.ending != "converged":
        return best, search
    return _among_minima(problem, start, search, best, down)


def _among_minima(
    problem: Distant, start: Array, search: Search, first: Descent, down: Callable[[Array], Descent]
) -> tuple[Descent, Search]:
    """The best of the minima between which the sample cannot decide, and the search as a record about all rows.

    ``first`` came from ``start``. Where that was below a start of the user's it stays the answer, and the sample's
    best minimum is descended to for comparison.
    """
    minima = [one for one in search.minima if one.converged]
    given = search.given  # not converged where it stands on an edge that the sample has
    own = given is not None and (given.converged or _is_at(problem, given, start))
    here = next((k for k, one in enumerate(minima) if _is_at(problem, one, start)), None if own else 0)
    best, ended = first, {} if here is None else {here: first}
    for k, other in enumerate(minima[:TRIED]):
        if other.loss > minima[0].loss * (1.0 + NEAR * problem.p / problem.sample.n):
            break
        if k == here:
            continue
        found = down(values_of(problem, other.params))
        if found.ending != "converged":
            continue
        ended[k] = found
        if found.rss < best.rss and not own:
            best = found
    return best, _about_all(problem, search, minima, ended, first if own else None)


def _is_at(problem: Distant, one: Minimum, values: Array) -> bool:
    return bool(np.allclose(values_of(problem, one.params), values, rtol=SAME, atol=0.0))


def from_given(
    problem: Distant,
    said: Settings,
    limits: Limits,
    max_steps: int,
    max_seconds: float | None,
    progress: Progress | None,
) -> Descent:
    """The descent on all rows from the start that was given, where no row travels and means tell too little."""
    if problem.sample.n <= problem.p and not said.given.issuperset(problem.free_names):
        names = [name for name in problem.free_names if name not in said.given]
        raise DataError("E-ROWS", "sql.no_start", rows=problem.counted, names=few(names))
    problem.begin(problem.values)
    return minimise(problem, problem.values, *limits, max_steps=max_steps, max_seconds=max_seconds, progress=progress)


def _about_all(
    problem: Distant, search: Search, minima: list[Minimum], ended: Mapping[int, Descent], own: Descent | None
) -> Search:
    """The record with losses on all rows: those not descended to there are looked at in one pass together.

    ``own`` is where the user's start ended on all rows, if it led to a minimum.
    """
    told = {k: _at(problem, one, minima[k].reached) for k, one in ended.items() if k < len(minima)}
    given = search.given if own is None else _at(problem, own, 1)
    others = [one for k, one in enumerate(minima) if k not in told]
    unseen = [*others, *([given] if given is not None and own is None else [])]
    if unseen:
        losses = problem.squares_at(np.array([values_of(problem, one.params) for one in unseen])) / problem.n
        unseen = [replace(one, loss=loss) for one, loss in zip(unseen, losses.tolist(), strict=True)]
        given = unseen.pop() if len(unseen) > len(others) else given
    found = sorted((one for one in (*told.values(), *unseen) if math.isfinite(one.loss)), key=lambda one: one.loss)
    return replace(search, minima=tuple(found), given=given)


def _at(problem: Distant, descent: Descent, reached: int) -> Minimum:
    return Minimum(named(problem, descent.values), descent.rss / problem.n, reached)

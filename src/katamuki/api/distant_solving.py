"""The answer of rows that are elsewhere: of the sample first, then of all rows, pass after pass.

A formula that is linear takes its closed form. Others are fitted to the sample, search included, and the descent on all
rows begins where that one ended; where the sample cannot tell minima apart, the rows decide: each is descended to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from katamuki.api.distant_means import named, of_means, values_of
from katamuki.api.searching import NEAR, TRIED
from katamuki.api.values import Settings
from katamuki.errors import DataError
from katamuki.messages import few
from katamuki.problem.distant import Distant
from katamuki.problem.large import LargeProblem
from katamuki.records import Array, Minimum, Search
from katamuki.solvers.few_passes import settle
from katamuki.solvers.levenberg_marquardt import Descent, minimise
from katamuki.solvers.linear import ExactAnswer
from katamuki.solvers.linear_passes import closed_form, near_by

Progress = Callable[[int, float], None]


def linear_answer(problem: Distant | LargeProblem) -> tuple[Descent, ExactAnswer | None]:
    """The closed form on all rows."""
    return closed_form(problem, *near_by(problem))


def descend(
    problem: Distant,
    start: Array,
    search: Search | None,
    limits: tuple[Array | float, Array | float],
    max_steps: int,
    max_seconds: float | None,
    progress: Progress | None,
) -> tuple[Descent, Search | None]:
    """The descent on all rows from the sample's answer (all_p,), and its search as a record about all rows."""
    began = time.perf_counter()

    def down(start: Array) -> Descent:
        found = settle(problem, start, *limits, left(), progress)
        if found is not None:
            return found
        return minimise(problem, start, *limits, max_steps=max_steps, max_seconds=left(), progress=progress)

    def left() -> float | None:
        return None if max_seconds is None else max(max_seconds - (time.perf_counter() - began), 1e-9)

    problem.begin(start)
    best = down(start)
    if search is not None and not problem.travelled:
        return of_means(problem, search, start, best, down)
    if search is None or best.ending != "converged":
        return best, search
    minima = [one for one in search.minima if one.converged]
    first = minima[0] if minima else None
    ended = {0: best}
    for k, other in enumerate(minima[1:TRIED], 1):
        if first is None or other.loss > first.loss * (1.0 + NEAR * problem.p / problem.sample.n):
            break
        found = down(values_of(problem, other.params))
        if found.ending != "converged":
            continue
        ended[k] = found
        if found.rss < best.rss:
            best = found
    return best, _about_all(problem, search, minima, ended)


def from_given(
    problem: Distant,
    said: Settings,
    limits: tuple[Array | float, Array | float],
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


def _about_all(problem: Distant, search: Search, minima: list[Minimum], ended: Mapping[int, Descent]) -> Search:
    """The record with losses on all rows: of those descended to as they are, of others as far above the first."""
    if not minima:
        return search
    shift = ended[0].rss / problem.n - minima[0].loss
    moved = []
    for k, one in enumerate(minima):
        if k in ended:
            moved.append(replace(one, params=named(problem, ended[k].values), loss=ended[k].rss / problem.n))
        else:
            moved.append(replace(one, loss=max(one.loss + shift, 0.0)))
    moved.sort(key=lambda one: one.loss)
    given = search.given
    if given is not None:
        given = replace(given, loss=max(given.loss + shift, 0.0))
    return replace(search, minima=tuple(moved), given=given)

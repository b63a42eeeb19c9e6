"""From a problem without good starting values to an answer: search, then polish, and what is said of both.

Without a complete start the best minimum that the search found is the answer. With one, the descent from it is the
answer where it ends at a minimum; eight further starts may find a better one, which is reported and not taken. A start
that leads nowhere gives way to what the others found, and that is said, too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from katamuki.api.claims import descent_at
from katamuki.api.edges import beyond, stands_on_edge
from katamuki.api.options import Asked
from katamuki.api.values import Settings
from katamuki.identifiability import runs_away
from katamuki.problem import Problem
from katamuki.records import Array, Minimum, Search
from katamuki.search import SAME, Basin, Hunt, recipe_of
from katamuki.solvers.levenberg_marquardt import Descent, minimise

MORE = 8  # starts beside a given one
FEWER = 3  # points of the cloud looked at for each of them
NEAR = 10.0  # times p over the rows seen: how far the others may move the rss of one and the same minimum
CLOSE = 1e-3  # of the rss: how far the last digits may move a minimum of the search
TRIED = 4  # minima that are descended to on all rows
LISTED = 8  # minima that are kept
MANY = 60  # parameters beyond which a cloud of starts is too thin
Progress = Callable[[int, float], None]


class Outcome(NamedTuple):
    """The descent that is the answer, where it began (all_p,), and what the search did."""

    descent: Descent
    begin: Array
    search: Search | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A problem, what the user said of it, and how long it may take; ``seen`` is the same as a compiled kernel."""

    problem: Problem
    seen: Problem
    said: Settings
    lower: Array | float
    upper: Array | float
    max_steps: int
    max_seconds: float | None
    progress: Progress | None
    began: float

    @property
    def left(self) -> float | None:
        """Seconds that are left."""
        if self.max_seconds is None:
            return None
        return max(self.max_seconds - (time.perf_counter() - self.began), 1e-9)

    def descend(self, start: Array) -> Descent:
        """The descent from a point (all_p,)."""
        limits = (self.lower, self.upper)
        options = {"max_steps": self.max_steps, "max_seconds": self.left, "progress": self.progress}
        found = minimise(self.problem, start, *limits, **options)  # type: ignore[arg-type]
        return beyond(self.problem, found, *limits) if found.ending == "stalled" else found

    def polish(self, start: Array) -> Descent:
        """A descent of the search: what interrupts it interrupts them all."""
        found = self.descend(start)
        if found.ending == "interrupted":
            raise KeyboardInterrupt
        return found


def answer(task: Task, asked: Asked) -> Outcome:
    """The answer of a nonlinear problem, with or without a start, and where the descent to it began."""
    found = _answer(task, asked)
    first = found.descent.rows[0, : task.problem.p]  # beyond an edge it began anew
    return (
        found
        if np.array_equal(found.begin[task.problem.free], first)
        else found._replace(begin=task.problem.full(first))
    )


def _answer(task: Task, asked: Asked) -> Outcome:
    problem, seen, said = task.problem, task.seen, task.said
    searched = asked.starts != 1 and seen.compiled and seen.kernel.graph is not None and problem.p <= MANY
    if not searched:
        return Outcome(task.descend(problem.values), problem.values)
    whole = bool(said.given) and said.given.issuperset(recipe_of(seen).where)
    kept = {} if whole else {name: said.start[name] for name in said.given}
    hunt = Hunt(seen, said.bounds, kept, asked.seed, *((FEWER,) if whole else ()))
    wanted = None if asked.starts == "auto" else int(asked.starts)
    try:
        if whole:
            return _beside(task, hunt, wanted or 1 + MORE)
        hunt.run(wanted, task.left, task.progress)
        found = _best(task, hunt)
        if not kept or found.descent.ending != "converged" or not kept.keys() & hunt.recipe.where.keys():
            return found
        hunt = Hunt(seen, said.bounds, {}, asked.seed, FEWER)
        return _compared(task, hunt, wanted or 1 + MORE, found.begin, found.descent)
    except KeyboardInterrupt:
        hunt.ending = "interrupted"
        end = hunt.basins[0].end if hunt.basins else problem.values
        descent = replace(descent_at(problem, end), ending="interrupted")
        return Outcome(descent, end, Search(hunt.starts, hunt.finite, hunt.rows, (), hunt.ending))


def _beside(task: Task, hunt: Hunt, wanted: int) -> Outcome:
    """The descent from the user's start, and others to compare with."""
    problem, said = task.problem, task.said
    begin = problem.values
    if len(said.given) < problem.p:
        begin = hunt.projected.completed(begin, said.given)
    descent = task.descend(begin)
    if descent.ending in {"no_start", "interrupted", "time_over"}:
        return Outcome(descent, begin)
    try:
        return _compared(task, hunt, wanted, begin, descent)
    except KeyboardInterrupt:
        search = Search(hunt.starts, hunt.finite, hunt.rows, (), "interrupted", _minimum(problem, descent))
        return Outcome(replace(descent, ending="interrupted"), begin, search)


def _compared(task: Task, hunt: Hunt, wanted: int, begin: Array, descent: Descent) -> Outcome:
    """The user's descent beside those of further starts."""
    problem = task.problem
    converged = descent.ending == "converged"
    least = converged or stands_on_edge(problem, descent)
    own = Basin(begin, descent.values, descent.rss, 1, converged)
    if hunt.rows < problem.n:  # among the others it is where it would be on their rows
        own.end = descent.values.copy()
        own.rss = float(hunt.projected.descend(own.end[None, :], -1.0)[0, 0])
    hunt.starts = hunt.finite = 1
    if converged:
        own = hunt.sort(own, sure=True)
    hunt.run(wanted, task.left, task.progress)
    given = _minimum(problem, descent)
    for one in hunt.basins[:TRIED]:
        if least and own.rss <= one.rss * (1.0 + SAME) + hunt.floor:
            break
        other, there = _down(task, hunt, hunt.settled(one))
        better = not descent.rss <= other.rss * (1.0 + SAME) + hunt.floor
        if other.ending == "converged" and (better or not least):
            search = _record(problem, hunt, one, other, given)
            return Outcome(descent, begin, search) if converged else Outcome(other, there, search)
    return Outcome(descent, begin, _record(problem, hunt, own, descent, given))


def _best(task: Task, hunt: Hunt) -> Outcome:
    """The best of what a search without a start found, as an answer with all its digits."""
    problem, ranked = task.problem, hunt.basins
    if not ranked:
        begin = problem.values if hunt.failed is None else hunt.failed
        return Outcome(task.descend(begin), begin, _record(problem, hunt))
    if hunt.rows < problem.n:  # the rows not seen decide between those that the others cannot tell apart
        near = ranked[0].rss * (1.0 + NEAR * problem.p / hunt.rows)
        whole = {id(one): problem.rss(one.end) for one in ranked[:TRIED] if one.rss <= near}
        ranked = sorted(ranked, key=lambda one: whole.get(id(one), math.inf))
    first: tuple[Descent, Array, Basin] | None = None
    for one in ranked[:TRIED]:
        descent, begin = _down(task, hunt, hunt.settled(one))
        moved = hunt.settled(Basin(begin, descent.values, descent.rss, 1, True))
        if descent.ending == "converged" and not np.array_equal(moved.end, descent.values):
            descent, begin = task.polish(moved.end), moved.end  # the last steps left the arrangement
        if descent.ending == "converged" and not runs_away(
            descent.triangle, descent.values[problem.free], problem.tss_about_zero
        ):
            if first is not None and hunt.ending == "sure":
                hunt.ending = "unbounded"  # below it the loss falls without an end
            return Outcome(descent, begin, _record(problem, hunt, one, descent))
        lowest = first is None
        first = first or (descent, begin, one)
        if descent.ending in {"interrupted", "time_over"}:
            break
        if lowest and stands_on_edge(problem, descent):
            break  # no minimum of the others is the answer where the loss is lower on an edge
    assert first is not None
    descent, begin, one = first
    return Outcome(descent, begin, _record(problem, hunt, one, descent))


def _down(task: Task, hunt: Hunt, basin: Basin) -> tuple[Descent, Array]:
    """Descend from where a basin's start began, so that the way can be shown; from its end if that leads elsewhere.

    Many rows are walked over from the end alone: it is near, and every step costs.
    """
    if hunt.rows == task.problem.n:
        descent = task.polish(basin.begin)
        if descent.ending == "converged" and descent.rss <= task.problem.rss(basin.end) * (1.0 + SAME) + hunt.floor:
            return descent, basin.begin
    return task.polish(basin.end), basin.end


def _minimum(problem: Problem, descent: Descent) -> Minimum:
    return Minimum(_named(problem, descent.values), descent.rss / problem.n, 1, descent.ending == "converged")


def _named(problem: Problem, values: Array) -> dict[str, float]:
    return dict(zip(problem.names, values.tolist(), strict=True))


def _record(
    problem: Problem,
    hunt: Hunt,
    basin: Basin | None = None,
    polished: Descent | None = None,
    given: Minimum | None = None,
) -> Search:
    """What the search did; ``polished`` is where the descent to ``basin`` ended on all rows.

    Of the others those are listed that are minima when looked at closely, on the rows that the search saw.
    """
    minima: list[Minimum] = []
    if basin is not None and polished is not None and polished.ending == "converged":
        minima.append(Minimum(_named(problem, polished.values), polished.rss / problem.n, basin.reached))
    known = [(basin.end, basin.rss)] if basin is not None and minima else []
    for one in hunt.basins[:LISTED]:
        if one is basin or not one.converged:
            continue
        end = hunt.settled(one).end
        closer = minimise(hunt.projected.problem, end, *hunt.bounds)
        if closer.ending == "interrupted":
            raise KeyboardInterrupt
        if closer.ending != "converged" or abs(closer.rss - one.rss) > CLOSE * one.rss:
            continue
        if runs_away(closer.triangle, closer.values[problem.free], hunt.projected.problem.tss_about_zero):
            continue
        if any(hunt.alike(closer.values, closer.rss, values, rss) for values, rss in known):
            continue
        known.append((closer.values, closer.rss))
        if hunt.rows < problem.n and closer.rss <= hunt.basins[0].rss * (1.0 + NEAR * problem.p / hunt.rows):
            closer = minimise(problem, closer.values, *hunt.bounds)  # too near to compare where it is not lowest
        rss = closer.rss if hunt.rows == problem.n else problem.rss(closer.values)
        minima.append(Minimum(_named(problem, closer.values), rss / problem.n, one.reached))
    minima.sort(key=lambda one: one.loss)
    return Search(hunt.starts, hunt.finite, hunt.rows, tuple(minima), hunt.ending, given)

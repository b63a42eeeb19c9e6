"""Minima that means of cells have, judged by the rows, which a database has.

What changes within a cell is not in its mean: two curves that cells cannot tell apart are often far apart on the rows,
and a loss of means lacks the scatter within cells. So the rows are asked about every minimum of the search, and those
that may be the best are descended to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from katamuki.api.searching import TRIED
from katamuki.identifiability import runs_away
from katamuki.problem.distant import Distant
from katamuki.records import Array, Minimum, Search
from katamuki.search import SAME
from katamuki.search.hunt import APART, NEAR
from katamuki.solvers.levenberg_marquardt import Descent

FAR = 10.0  # times the best rss: a place whose rows say more is no rival, and not descended from


def of_means(
    problem: Distant, search: Search, start: Array, first: Descent, down: Callable[[Array], Descent]
) -> tuple[Descent, Search]:
    """The best descent on all rows from the minima that means of cells have, and the search with the rows' losses.

    One pass for each minimum; those whose losses are near the best are descended to. A start of the user's stays the
    answer, ``first``, where it led to one.
    """
    if first.ending in {"interrupted", "time_over"}:
        return first, replace(search, minima=())
    own = search.given is not None and search.given.converged and first.ending == "converged"
    best, listed = first, [(first, 1)] if first.ending == "converged" else []
    others: list[Minimum] = []
    proposed = [one for one in search.minima if one.converged]
    same = [one for one in proposed if np.allclose(values_of(problem, one.params), start, rtol=SAME, atol=0.0)]
    if same:  # ``first`` came from it
        listed = [(found, same[0].reached) for found, _ in listed]
    for one in sorted((_seen(problem, one) for one in proposed if one not in same), key=lambda one: one.loss):
        tried = len(listed) < TRIED and (best.ending != "converged" or one.loss * problem.n <= FAR * best.rss)
        found = down(values_of(problem, one.params)) if tried else None
        if found is not None and found.ending in {"interrupted", "time_over"}:
            break
        if found is None:
            others += [one] if math.isfinite(one.loss) else []
        elif found.ending == "converged" and not _runs_away(problem, found):
            listed.append((found, one.reached))
            if best.ending != "converged" or (found.rss < best.rss and not own):
                best = found
    minima = [Minimum(named(problem, found.values), found.rss / problem.n, reached) for found, reached in listed]
    given = search.given
    if given is not None:
        given = Minimum(named(problem, first.values), first.rss / problem.n, 1, True) if own else _seen(problem, given)
    return best, replace(search, minima=_distinct(problem, [*minima, *others]), given=given)


def _seen(problem: Distant, one: Minimum) -> Minimum:
    """The same place with its loss on all rows; infinite where rows have none."""
    loss = problem.rss(values_of(problem, one.params)) / problem.n
    return replace(one, loss=loss if math.isfinite(loss) else math.inf)


def _runs_away(problem: Distant, found: Descent) -> bool:
    return runs_away(found.triangle, found.values[problem.free], problem.tss_about_zero)


def _distinct(problem: Distant, minima: list[Minimum]) -> tuple[Minimum, ...]:
    """The minima by their losses; ends of one loss and of the same parameters, or the same curve, are one."""
    kept: list[Minimum] = []
    for one in sorted(minima, key=lambda one: one.loss):
        twin = next((k for k, other in enumerate(kept) if _alike(problem, one, other)), None)
        if twin is None:
            kept.append(one)
        else:
            kept[twin] = replace(kept[twin], reached=kept[twin].reached + one.reached)
    return tuple(kept)


def _alike(problem: Distant, one: Minimum, other: Minimum) -> bool:
    if not abs(one.loss - other.loss) <= SAME * max(one.loss, other.loss):
        return False
    here, there = values_of(problem, one.params), values_of(problem, other.params)
    if bool((np.abs(here - there) <= NEAR * np.maximum(np.abs(here), np.abs(there))).all()):
        return True
    sample = problem.sample
    with np.errstate(all="ignore"):
        apart = sample.residuals(here) - sample.residuals(there)
        return bool(apart @ apart <= APART * sample.rss(here))


def values_of(problem: Distant, params: Mapping[str, float]) -> Array:
    """All parameters (all_p,) in the problem's order."""
    return np.array([params[name] for name in problem.names])


def named(problem: Distant, values: Array) -> dict[str, float]:
    """All parameters by name."""
    return dict(zip(problem.names, values.tolist(), strict=True))

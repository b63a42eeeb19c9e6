"""The story of Levenberg–Marquardt, attempt by attempt, and of the closed form, which takes no steps.

How many decimal digits each attempt shares with the answer shows the pace: Newton's doubles them at every step, and
Gauss–Newton does so too where the residuals are small; with larger residuals it adds the same number each time (Dennis
& Schnabel 1983, section 10.2); a damping that falls to a third each time adds a little more each time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from katamuki.explain.run.path import Path
from katamuki.explain.run.record import Event
from katamuki.explain.subject import Subject
from katamuki.messages import Phrase
from katamuki.records import Array, Solution
from katamuki.solvers.digits import unit

ALL = 12  # attempts up to which the table has each
FIRST = (1, 2, 3)  # attempts of the table, then 5, 10, 20, 50, 100, …; and the last
DOUBLES = 1.6  # times the gain before: quadratic, as far as rounding lets it be seen
EVEN = 0.2  # gains that differ by less than this share are the same
LATEST = 4  # gains that are looked at
FULL = 14.0  # digits beyond which rounding decides


def events(subject: Subject, path: Path, curvature: Array | None) -> tuple[Event, ...]:
    """The events of a converging solver, unsorted."""
    if subject.solution.solver == "linear":
        return (Event(0, "solved", {"names": list(subject.solution.free)}),)
    return tuple(_attempts(subject, path, curvature))


def _attempts(subject: Subject, path: Path, curvature: Array | None) -> Iterator[Event]:
    claim, trace = subject.solution, subject.trace
    rows = len(path) - 1  # the last row is the result
    if claim.edges:
        rows -= 1  # the last step was no attempt: it went to the edge
        yield from _to_the_edge(subject, rows)
    if claim.state == "slow":
        yield from _unfinished(subject, rows)
    if rows < 1:
        return
    digits = _digits(subject, path)
    accepted = np.asarray(trace.extra.get("accepted", np.ones(len(trace))))[: rows + 1]
    damping = np.asarray(trace.extra.get("damping", np.full(len(trace), math.nan)))[: rows + 1]
    for row in _shown(rows):
        values: dict[str, Any] = {
            "loss": float(trace.loss[row]),
            "damping": float(damping[row]),
            "accepted": bool(accepted[row]),
            "digits": None if digits is None else digits[row],
        }
        yield Event(row + 1, "attempt", values)
    refused = int((accepted[:rows] == 0.0).sum())
    if refused:
        yield Event(int(np.argmax(accepted[:rows] == 0.0)) + 1, "refused", {"count": refused, "of": rows})
    if claim.state in {"converged", "not_identifiable"} and not claim.edges:
        polish = int((damping[:rows] == 0.0).sum())
        values = {"cosine": _cosine(subject, curvature), "undamped": polish, "digits": digits}
        pace = {"pace": None} if claim.linear else pace_of(digits, accepted)  # a linear one is done in one step
        yield Event(rows + 1, "converged", values | pace)


def _to_the_edge(subject: Subject, rows: int) -> Iterator[Event]:
    """That no attempt made the loss smaller, and the edges that the answer was found on."""
    claim, trace = subject.solution, subject.trace
    fell = rows > 0 and bool(trace.loss[rows] < trace.loss[rows - 1])
    yield Event(rows + 1, "stalled", {"attempts": rows, "fell": fell})
    for one in claim.edges:
        values = {"part": one.part, "row": one.row, "name": one.name, "value": claim.params[one.name]}
        yield Event(rows + 2, "on_edge", values)


def _unfinished(subject: Subject, rows: int) -> Iterator[Event]:
    """That a run of so many attempts ended before a minimum, and why."""
    claim, trace = subject.solution, subject.trace
    how, edge = claim.reason.get("ending"), claim.reason.get("edge")
    asked = claim.options.get("max_steps")
    if how == "steps_over" or (how is None and isinstance(asked, int) and rows >= asked):  # None: an older file
        yield Event(rows + 1, "attempts_over", {"attempts": rows})
    elif how == "time_over":
        yield Event(rows, "time_over", {"asked": asked})
    elif edge is not None:
        alone = len(edge["names"]) == 1
        held = {"name": edge["names"][0], "value": claim.params[edge["names"][0]]} if alone else {}
        yield Event(rows + 1, "edge", {"part": edge["part"], "row": edge["row"], "names": edge["names"]} | held)
    else:
        fell = rows > 0 and bool(trace.loss[rows] < trace.loss[rows - 1])
        yield Event(rows + 1, "stalled", {"attempts": rows, "fell": fell})


def advice(claim: Solution, codes: Mapping[str, Mapping[str, Any]]) -> Phrase:
    """What to do next where Levenberg–Marquardt ended before a minimum."""
    key = "explain.run.next."
    if "edge" in codes:
        alone = "name" in codes["edge"]
        told = {"name": codes["edge"]["name"], "value": repr(codes["edge"]["value"])} if alone else {}
        return Phrase(key + ("edge" if alone else "edge.several"), **told)
    if "attempts_over" in codes or "time_over" in codes:
        return Phrase(key + ("attempts" if "attempts_over" in codes else "time"))
    return Phrase(key + "stalled")


def _shown(rows: int) -> list[int]:
    """All of a few attempts; of more rows 0, 1, 2, 4, 9, 19, 49, 99, … and the last."""
    if rows <= ALL:
        return list(range(rows))
    wanted = [*FIRST, *(many * 10**k for k in range(7) for many in (1, 2, 5))]
    return sorted({*(one - 1 for one in wanted if one <= rows), rows - 1})


def _digits(subject: Subject, path: Path) -> list[float | None] | None:
    """How many digits each row's parameters share with the answer, the worst of them; None for no or all digits."""
    claim = subject.solution
    if path.best is None or path.away is None:
        return None
    sizes = np.array([unit(best, claim.stderr.get(name)) for name, best in zip(path.names, path.best, strict=True)])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        worst = np.where(path.away > 0.0, path.away / sizes, 0.0).max(axis=1)
        shared = -np.log10(worst)
    return [None if not math.isfinite(one) else max(0.0, one) for one in shared.tolist()]


def pace_of(digits: list[float | None] | None, accepted: Array) -> dict[str, Any]:
    """How the digits grew at the end, before rounding decides.

    "quadratic": each attempt gains about twice what the one before gained; "superlinear": more than the one before;
    "linear": the same, ``gain`` digits; None: none of these, or too few attempts to say.

    Example
    -------
    >>> taken = np.ones(6)
    >>> pace_of([0.4, 0.9, 1.8, 3.7, 7.5, None], taken)["pace"], pace_of([1.0, 2.0, 3.0, 4.0], taken)["pace"]
    ('quadratic', 'linear')
    """
    if digits is None:
        return {"pace": None}
    kept = [one for row, one in enumerate(digits) if one is not None and (row == 0 or accepted[row - 1])]
    gains = [two - one for one, two in pairwise(one for one in kept if 0.3 <= one < FULL)][-LATEST:]
    if len(gains) < 3 or min(gains) <= 0.0:
        return {"pace": None}
    ratios = [two / one for one, two in pairwise(gains)]
    if min(ratios[-2:]) >= DOUBLES:
        return {"pace": "quadratic"}
    if max(gains[-3:]) - min(gains[-3:]) <= EVEN * max(gains[-3:]):
        return {"pace": "linear", "gain": sum(gains[-3:]) / 3.0}
    if min(ratios[-2:]) > 1.0:
        return {"pace": "superlinear", "gains": gains[-3:]}
    return {"pace": None}


def _cosine(subject: Subject, curvature: Array | None) -> float | None:
    """The largest |Jₖ·r|/(‖Jₖ‖‖r‖) at the end: MINPACK's gradient test."""
    loss = subject.solution.loss
    if curvature is None or not loss > 0.0:
        return None
    slopes, bends = np.asarray(subject.trace.gradient[-1]), np.diag(curvature)
    moved = (bends > 0.0) & ~np.isin(subject.trace.names, subject.solution.at_bound)
    if not moved.any() or not np.isfinite(slopes).all():
        return None
    return float((np.abs(slopes[moved]) / np.sqrt(2.0 * bends[moved] * loss)).max())

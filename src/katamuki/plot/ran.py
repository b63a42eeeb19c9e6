"""A run as its pictures need it: the claim, the steps, the answer they are measured from, and what happened when."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from katamuki.errors import BoundsError
from katamuki.graph import Graph
from katamuki.problem import Problem
from katamuki.records import HAS_AN_ANSWER, Array, Solution, Trace
from katamuki.report.numbers import plain

MARKED = frozenset(
    {"valley", "stability_limit", "zigzag", "cycle", "burst", "plateau", "swings", "diverged", "not_finite"}
)


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a step: a key of the catalogue, with its values."""

    step: int
    key: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ran:
    """What a fit hands over for a picture of its run.

    ``trace`` is None where there were no steps; ``solver`` is the record of its options; ``problem`` makes the problem
    anew; ``graph`` is the right side, None for a model that is no formula; ``model`` gives ŷ (m,) at free parameters
    (p,) and columns of m rows; ``marks`` is what happened when, in order. ``batched``: steps took batches of rows; the
    trace's losses and gradients are those of all rows nevertheless.
    """

    solution: Solution
    trace: Trace | None
    solver: Any
    problem: Callable[[], Problem]
    graph: Graph | None
    model: Callable[[Array, Mapping[str, Array]], Array]
    marks: tuple[Mark, ...] = ()
    batched: bool = False


def answer(claim: Solution) -> dict[str, float] | None:
    """The least-squares answer as far as the fit knows it: the reference of a first-order run, or the result."""
    if claim.reference is not None:
        return claim.reference.params
    return claim.params if claim.state in HAS_AN_ANSWER else None


def lowest(claim: Solution) -> float | None:
    """The loss at that answer."""
    if claim.reference is not None:
        return claim.reference.loss
    return claim.loss if claim.state in HAS_AN_ANSWER else None


def stepped(ran: Ran, what: str) -> Trace:
    """The trace of a run that took steps; an error that says what ``what`` would need, where it took none."""
    if ran.trace is None or ran.solution.solver == "linear":
        raise BoundsError("E-USAGE", "plot.no_steps", what=repr(what))
    return ran.trace


def spread_of(claim: Solution) -> Array | None:
    """The covariance (p, p) of the answer over the free parameters; None where one of them has no error bar."""
    reference = claim.reference
    if reference is None:
        found = np.asarray(claim.covariance, dtype=np.float64)
        usable = claim.state in HAS_AN_ANSWER and found.size > 0 and bool(np.isfinite(found).all())
        return found if usable else None
    bars = [reference.stderr.get(name) for name in claim.free]
    if any(one is None or not math.isfinite(one) for one in bars) or not np.isfinite(reference.curvature).all():
        return None
    try:
        inverse = np.linalg.inv(reference.curvature)
    except np.linalg.LinAlgError:
        return None
    size = np.sqrt(np.abs(np.diag(inverse)))
    return np.asarray(inverse / np.outer(size, size) * np.outer(bars, bars))  # type: ignore[arg-type]


class Told(Protocol):
    """An event of the run's story: at which step, a code, its numbers."""

    @property
    def step(self) -> int:
        """Counted from 1."""

    @property
    def code(self) -> str:
        """What happened."""

    @property
    def values(self) -> Mapping[str, Any]:
        """Its numbers by name."""


def marks_of(events: Iterable[Told]) -> tuple[Mark, ...]:
    """What of a run's story is marked in its pictures, in the order of the steps."""
    found = []
    for event in events:
        if event.code == "arrival":
            finest = event.values["levels"][-1]
            key = "plot.mark.arrival" + (".batches" if event.values["noisy"] else "")
            found.append(Mark(int(finest["step"]), key, {"level": plain(finest["level"])}))
        elif event.code == "turn":
            found.append(Mark(event.step, "plot.mark.turn", {"name": event.values["name"]}))
        elif event.code in MARKED:
            found.append(Mark(event.step, "plot.mark." + event.code, {}))
    return tuple(sorted((replace(one, step=max(one.step, 1)) for one in found), key=lambda one: one.step))

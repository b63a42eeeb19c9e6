"""What happened on the way of a first-order run: the first step, valley, stability limit, cycle, bursts, plateaus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from katamuki.explain.run import path as run_path
from katamuki.explain.run.path import Path
from katamuki.explain.run.record import Event
from katamuki.explain.run.valley import Centring, Rest
from katamuki.explain.subject import Subject
from katamuki.problem.batches import Dealt
from katamuki.records import Array, Solution

ALIKE = 1e-3  # of their size: first moves that agree to this are called the same
MOVED = 0.01  # of its range: by less a parameter has not moved
TINY = 1e-2  # of the loss: less would a change of every parameter by its own size do, by the slope: a flat place
JUMPS = 0.25  # of the steps on a plateau turn back: the run jumps to and fro
FEW = 10  # parameters whose turning points are told; of more the farthest would be told by chance


@dataclass(frozen=True, slots=True)
class Shape:
    """The surface near the answer, and what follows: eigenvalues of the curvature there, its condition, the valley.

    ``lowest`` is the least loss known. Facts that have no meaning for a run are None.
    """

    lowest: float
    values: Array | None = None
    condition: float | None = None
    valley: int | None = None
    centring: Centring | None = None
    rest: Rest | None = None


def events(subject: Subject, path: Path, shape: Shape) -> tuple[Event, ...]:
    """The events of a first-order run, unsorted."""
    if not len(path):
        return ()
    return tuple(_events(subject, path, shape))


def _events(subject: Subject, path: Path, shape: Shape) -> Iterator[Event]:
    claim, facts = subject.solution, subject.solution.reason
    diverged = claim.state == "diverged"
    yield from _start(subject, path)
    if subject.batches is not None:
        yield Event(1, "batches", _batches(subject, subject.batches))
    if not claim.zero_grad:
        yield Event(1, "accumulates", {"solver": claim.solver, "plain": _is_plain(claim.options)})
    few = not diverged and len(path.names) <= FEW and bool(np.isfinite(path.loss).all())
    turns = run_path.turning_points(path, steady_until(claim, path)) if few else ()
    arrived = [] if diverged else [one for one in run_path.arrivals(path) if one.all]
    unsteady = () if diverged or subject.noisy else tuple(_unsteady(subject, path))
    if arrived and shape.valley is not None and path.index[shape.valley] >= (arrived[0].all or 0):
        shape = replace(shape, valley=None)  # it swung across the valley until it was there
    yield from _valley(path, shape, turns, _end_of_way(path, arrived, unsteady))
    told = _turn_of_valley(shape, turns)
    swinging = {one.values["name"] for one in unsteady if one.code == "swings"}
    for turn in turns:
        if turn is not told and turn.row >= (shape.valley or 0) and turn.name not in swinging:
            yield Event(int(path.index[turn.row]) + 1, "turn", _turned(path, turn))
    if bool(np.any(subject.trace.step[:-1])):
        yield from _stability(facts, claim.options, claim.solver, diverged)
    if arrived:
        finest = [one for one, finer in zip(arrived, [*arrived[1:], None], strict=True)
                  if finer is None or finer.all != one.all]  # fmt: skip
        levels = [{"level": one.level, "step": one.all, "by_name": one.by_name, "before": one.before} for one in finest]
        kept = {"noisy": subject.noisy, "whole": path.whole}
        yield Event(int(finest[0].all or 0), "arrival", {"levels": levels, **kept})
    if claim.cycle is not None:
        yield Event(claim.cycle.since, "cycle", _cycle(subject))
    yield from unsteady
    flat = None if diverged or subject.noisy else run_path.plateau(path, shape.lowest)
    if flat is not None:
        yield Event(int(path.index[flat.begin]) + 1, "plateau", _plateau(subject, path, flat))


def steady_until(claim: Solution, path: Path) -> int:
    """The row from which on a zigzag or a cycle makes every step turn back."""
    ends = [claim.reason.get("zigzag"), None if claim.cycle is None else claim.cycle.since]
    return min([len(path), *(int(np.searchsorted(path.index, int(one))) for one in ends if one is not None)])


def _end_of_way(path: Path, arrived: list[run_path.Arrival], unsteady: tuple[Event, ...]) -> int | None:
    """After how many steps the answer was reached: for good, or, where bursts follow, for long."""
    bursts = [one.values["since"] for one in unsteady if one.code == "burst"]
    reached = [one for one in (arrived[-1].all if arrived else None, *bursts) if one is not None]
    return min(reached, default=None)


def _is_plain(options: Mapping[str, Any]) -> bool:
    """Whether gradient descent has no momentum of its own."""
    return not options.get("momentum") and not options.get("weight_decay")


def _start(subject: Subject, path: Path) -> Iterator[Event]:
    """The loss at the start and the first moves."""
    loss = float(path.loss[0])
    if len(subject.trace) < 2 or not np.isfinite(subject.trace.step[0]).all():
        return
    step = np.asarray(subject.trace.step[0])
    sizes = np.abs(step)
    lr = subject.solution.options.get("lr")
    same = float(sizes.max() - sizes.min()) <= ALIKE * float(sizes.max())
    times = float(sizes.max()) / lr if isinstance(lr, float) and lr > 0.0 else None
    order = np.argsort(-sizes, kind="stable")
    yield Event(
        1,
        "start",
        {
            "loss": loss,
            "moves": {path.names[k]: float(step[k]) for k in order},
            "same": bool(same and len(step) > 1),
            "size": float(sizes.max()),
            "in_lr": times,
            "slope": subject.solution.solver == "sgd",
        },
    )


def _batches(subject: Subject, batches: Dealt) -> dict[str, Any]:
    """How the rows were dealt."""
    return {
        "size": batches.size,
        "rows": subject.solution.n,
        "per_epoch": batches.per_epoch,
        "epochs": subject.solution.steps / batches.per_epoch,
        "seed": batches.seed,
    }


def _turn_of_valley(shape: Shape, turns: tuple[run_path.Turn, ...]) -> run_path.Turn | None:
    """The first turning point on the floor: where the way along it begins in earnest."""
    if shape.valley is None:
        return None
    return next((one for one in turns if one.row >= shape.valley), None)


def _valley(path: Path, shape: Shape, turns: tuple[run_path.Turn, ...], arrived: int | None) -> Iterator[Event]:
    """Down into the valley, then along its floor to where the answer is reached, or to the end."""
    if shape.valley is None:
        return
    turn = _turn_of_valley(shape, turns)
    end = len(path) - 1 if arrived is None else int(np.searchsorted(path.index, arrived))
    if turn is not None and turn.row >= end:
        turn = None
    row = shape.valley if turn is None else turn.row
    moves = _directions(path, 0, row) if turn is None else {turn.name: turn.value}
    values = {"loss": float(path.loss[row]), "reached": int(path.index[shape.valley]), "to": moves}
    values["rises"] = {name: bool(path.params[row, k] >= path.params[0, k]) for k, name in enumerate(path.names)}
    yield Event(int(path.index[row]) + (turn is not None), "valley", values)
    if end <= row:
        return
    rises = {name: value >= float(path.params[row, path.names.index(name)]) for name, value in
             _directions(path, row, end).items()}  # fmt: skip
    floor = {"loss": float(path.loss[end]), "rises": rises, "arrived": arrived is not None}
    floor |= {"condition": shape.condition, "centring": _centred(shape)}
    yield Event(int(path.index[end]), "floor", floor)


def _centred(shape: Shape) -> dict[str, Any] | None:
    one = shape.centring
    if one is None:
        return None
    return {"columns": list(one.columns), "means": list(one.means), "condition": one.condition}


def _directions(path: Path, first: int, last: int) -> dict[str, float]:
    """Where the parameters that moved between two rows went: the value at the second, by name, the farthest first."""
    span = np.ptp(path.params, axis=0)
    moved = np.abs(path.params[last] - path.params[first])
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(span > 0.0, moved / span, 0.0)
    least = run_path.PROMINENT if path.lasting else MOVED  # by less noise alone may have moved it
    order = [k for k in np.argsort(-share, kind="stable").tolist() if share[k] >= least]
    return {path.names[k]: float(path.params[last, k]) for k in order}


def _turned(path: Path, turn: run_path.Turn) -> dict[str, Any]:
    return {"name": turn.name, "value": turn.value, "peak": turn.peak, "loss": float(path.loss[turn.row])}


def _stability(facts: Mapping[str, Any], options: Mapping[str, Any], solver: str, diverged: bool) -> Iterator[Event]:
    """The limit of step size × curvature: when it was passed, and what followed."""
    limit, value = facts.get("stability_limit"), facts.get("stability")
    if facts.get("passed") is not None:
        yield Event(int(facts["passed"]), "stability_limit", {"limit": limit, "at_the_end": value})
    if facts.get("zigzag") is not None and not diverged:
        yield Event(int(facts["zigzag"]), "zigzag", {})
    plain = solver == "sgd" and not options.get("momentum")
    if plain and value is not None and limit is not None and limit / 2.0 < value < limit and not diverged:
        yield Event(1, "overshoots", {"stability": value, "limit": limit})


def _cycle(subject: Subject) -> dict[str, Any]:
    claim = subject.solution
    cycle = claim.cycle
    assert cycle is not None  # by _events()
    lr = claim.options.get("lr")
    half = isinstance(lr, float) and cycle.swings_by(lr / 2.0)
    return {
        "low": dict(cycle.low),
        "high": dict(cycle.high),
        "middle": dict(cycle.middle),
        "half_width": dict(cycle.half_width),
        "lr": lr,
        "half_lr": half,
        "above": claim.reason.get("floor"),
        "factor": claim.reason.get("factor"),
        "stability": claim.reason.get("stability"),
    }


def _unsteady(subject: Subject, path: Path) -> Iterator[Event]:
    """Swings across the answer, and bursts away from it."""
    claim = subject.solution
    swinging = run_path.swings(path, steady_until(claim, path))
    for one in sorted(swinging, key=lambda one: -one.first)[:1]:
        values = {"name": one.name, "crossings": one.crossings, "period": one.period, "first": one.first}
        momentum = bool(claim.options.get("momentum") or claim.options.get("betas"))
        yield Event(int(path.index[one.row]) + 1, "swings", values | {"kept": one.kept, "momentum": momentum})
    found = None if swinging else run_path.burst(path)
    if found is not None and found.begin < len(path):
        back = int(path.index[found.end]) if found.end < len(path) else None
        values = {"level": found.level, "distance": found.distance, "peak": int(path.index[found.peak]), "back": back}
        values |= {"since": int(path.index[found.since]), "count": found.count}
        yield Event(int(path.index[found.begin]), "burst", values)


def _plateau(subject: Subject, path: Path, flat: run_path.Plateau) -> dict[str, Any]:
    """Where it ends, and of which kind: a flat place, jumps to and fro, or steps too small to matter."""
    inside = slice(flat.begin, flat.end + 1)
    slopes = np.abs(np.asarray(subject.trace.gradient[inside]))
    reach = float(np.median((slopes * np.abs(path.params[inside])).sum(axis=1)))
    steps = np.asarray(subject.trace.step[flat.begin : flat.end])
    turns = float((steps[1:] * steps[:-1] < 0.0).any(axis=1).mean()) if len(steps) > 1 else 0.0
    kind = "flat" if reach <= TINY * abs(flat.loss) else "jumps" if turns >= JUMPS else "creeps"
    over = flat.end < len(path) - 1
    return {"end": int(path.index[flat.end]), "loss": flat.loss, "kind": kind, "left": over, "reach": reach}

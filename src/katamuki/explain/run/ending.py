"""Where a run ended and why: distance to the answer, what is not finite, what was too large, what to do next."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from katamuki.backends import numpy_
from katamuki.explain.run import descent as run_descent
from katamuki.explain.run import valley as run_valley
from katamuki.explain.run.events import Shape, steady_until
from katamuki.explain.run.path import Path
from katamuki.explain.run.record import Event
from katamuki.explain.subject import Subject
from katamuki.messages import Phrase
from katamuki.records import Array, Reference, Solution
from katamuki.report.numbers import Brief
from katamuki.solvers.digits import apart

SAME = 6  # digits from which a result is called the answer
FOR_EVER = 1e9  # steps: advice to take more of them is none
KEPT_AWAY = ("pulled", "smallest", "shrunk", "nearer")  # known of runs that more steps would not help
SATURATED = 1e-3  # of the residuals: so little does a parameter's own size move the curve where it is flat


def curvature_of(subject: Subject) -> Array | None:
    """Second derivatives (p, p) of the loss at the answer, Gauss–Newton; from the reference, or at the end."""
    claim = subject.solution
    if claim.reference is not None:
        return claim.reference.curvature
    if subject.graph is None or claim.state == "diverged" or len(claim.free) > run_valley.MOST:
        return None
    problem = subject.problem()
    try:
        found = problem.linearise(np.array([claim.params[name] for name in claim.free]))
    finally:
        problem.close()
    bends: Array = 2.0 / claim.n * (found.r.T @ found.r)
    return bends if np.isfinite(bends).all() else None


def shape_of(subject: Subject, path: Path, curvature: Array | None) -> Shape:
    """The surface near the answer; a diverged run and one without an answer know little of it."""
    claim, reference = subject.solution, subject.solution.reference
    losses = [float(path.loss.min())] if len(path) else []
    lowest = min([*losses, *([] if reference is None else [reference.loss])], default=math.nan)
    found = None if claim.state == "diverged" else run_valley.eigenvalues(curvature)
    if found is None or not len(path) or path.best is None:
        return Shape(lowest)
    values, vectors = found
    kappa = run_valley.condition(values)
    until = steady_until(claim, path)
    valley = run_valley.valley(path, values, vectors, lowest, until) if subject.walks else None
    centring = rest = None
    answer = claim.params if reference is None else reference.params
    if kappa is not None and kappa >= run_valley.NARROW:
        centring = run_valley.centring(subject, answer, kappa)
    kept_away = not claim.zero_grad or subject.noisy or any(claim.reason.get(one) is not None for one in KEPT_AWAY)
    if claim.state == "slow" and subject.walks and reference is not None and not kept_away:
        rest = run_valley.rest(subject, path, reference.curvature, reference.stderr)
    return Shape(lowest, values, kappa, valley, centring, rest)


def result(subject: Subject, path: Path, shape: Shape) -> dict[str, Any]:
    """Where it ended, and how far from the least-squares answer: in each parameter's unit, standard errors, lr."""
    claim, reference = subject.solution, subject.solution.reference
    found: dict[str, Any] = {
        "state": claim.state,
        "steps": claim.steps,
        "params": {name: claim.params[name] for name in claim.free},
        "loss": claim.loss,
        "stderr": {name: claim.stderr.get(name) for name in claim.free},
        "condition": shape.condition,
        "eigenvalues": None if shape.values is None else [float(shape.values[0]), float(shape.values[-1])],
        "centring": None if shape.centring is None else {
            "columns": list(shape.centring.columns),
            "means": list(shape.centring.means),
            "condition": shape.centring.condition,
        },
        "rest": None if shape.rest is None else dataclasses.asdict(shape.rest),
        "reference": None,
    }  # fmt: skip
    if (
        reference is None
        or claim.combinations
        or claim.state == "diverged"
        or not all(map(math.isfinite, claim.params.values()))
    ):
        return found
    lr = claim.options.get("lr")
    away = {name: claim.params[name] - reference.params[name] for name in claim.free}
    errors = {name: reference.stderr.get(name) for name in claim.free}
    return found | {
        "reference": {name: reference.params[name] for name in claim.free},
        "reference_loss": reference.loss,
        "difference": away,
        "in_stderr": {name: abs(one) / error if (error := errors[name]) else None for name, one in away.items()},
        "in_lr": {name: one / lr for name, one in away.items()} if isinstance(lr, float) and lr > 0.0 else None,
        "above": claim.loss - reference.loss,
        "shared_digits": _shared(claim, reference),
    }


def _shared(claim: Solution, reference: Reference) -> float:
    """Digits shared with the answer, the worst parameter's; 15 at most."""
    worst = max(apart(claim.params[name], reference.params[name], reference.stderr.get(name)) for name in claim.free)
    return min(max(-math.log10(worst), 0.0), 15.0) if worst else 15.0


def events(subject: Subject, path: Path, curvature: Array | None) -> tuple[Event, ...]:
    """How it ended."""
    return tuple(_events(subject, path, curvature))


def _events(subject: Subject, path: Path, curvature: Array | None) -> Iterator[Event]:
    claim = subject.solution
    last = int(subject.trace.index[-1])
    finite = len(path) == len(subject.trace)
    undefined = False
    if not finite:
        facts = _not_finite(subject)
        undefined = facts.get("domain") is not None  # it stepped out of where the formula has a value
        yield Event(last, "not_finite", facts)
    if claim.state == "diverged" and not undefined and subject.walks and last > 0:
        yield Event(last + 1, "diverged", _diverged(subject, path))
    for one in KEPT_AWAY:
        if claim.state == "slow" and claim.reason.get(one) is not None:
            fact = claim.reason[one]
            yield Event(int(fact) if one == "nearer" else last + 1, one, {"value": fact})
    if claim.state == "slow" and "noise" in claim.reason:
        yield Event(last + 1, "noise", claim.reason["noise"])
    if claim.state == "interrupted":
        yield Event(last, "interrupted", {"asked": claim.options.get("steps")})
    asked = claim.options.get("steps")
    if claim.state == "slow" and subject.walks and isinstance(asked, int) and last < asked:
        yield Event(last, "stopped" if claim.reason.get("still") else "time_over", {"asked": asked})
    for tied in claim.combinations:
        values = {"names": list(tied.names), "text": tied.text, "value": tied.value, "exact": tied.exact}
        yield Event(last + 1, "undetermined", values)
    if claim.at_bound:
        yield Event(last + 1, "at_bound", {"names": list(claim.at_bound)})
    if finite and curvature is not None and _is_flat(subject, curvature):
        yield Event(last + 1, "saturated", {"loss": claim.loss, "names": list(claim.free)})


def _not_finite(subject: Subject) -> dict[str, Any]:
    """Which part of the formula has no value at the last row's parameters, in which rows."""
    claim, trace = subject.solution, subject.trace
    here = claim.params | dict(zip(trace.names, np.asarray(trace.params[-1]).tolist(), strict=True))
    values: dict[str, Any] = {"params": {name: here[name] for name in claim.free}, "part": None}
    if subject.graph is None or not all(map(math.isfinite, here.values())):
        return values
    bad = numpy_.first_bad(subject.graph, subject.columns, here, claim.formula)
    if bad is None:  # every prediction is finite: their squares are not
        return values | {"squares": True}
    return values | {"part": bad.text, "rows": bad.rows, "domain": bad.domain, "row": bad.row, "count": bad.count}


def _diverged(subject: Subject, path: Path) -> dict[str, Any]:
    """What was too large, and how fast the loss grew at the end: the factor per step, over the last ten."""
    claim, facts = subject.solution, subject.solution.reason
    growth = None
    rows = min(10, len(path) - 1)
    if rows > 0 and path.loss[-1] > path.loss[-1 - rows] > 0.0:
        steps = int(path.index[-1] - path.index[-1 - rows])
        growth = math.exp((math.log(path.loss[-1]) - math.log(path.loss[-1 - rows])) / steps)
    return {
        "lr": claim.options.get("lr"),
        "largest_lr": facts.get("largest_lr"),
        "fastest_lr": facts.get("fastest_lr"),
        "stability": facts.get("stability"),
        "limit": facts.get("stability_limit"),
        "start_loss": float(path.loss[0]) if len(path) else math.nan,
        "loss": float(path.loss[-1]) if len(path) else math.nan,
        "growth": growth,
    }


def _is_flat(subject: Subject, curvature: Array) -> bool:
    """Whether no parameter moves the curve where the run ended, though the residuals are large."""
    claim = subject.solution
    if claim.reference is not None and subject.walks:  # the reference's curvature is not the end's
        return False
    if not claim.loss > 0.0 or claim.loss * claim.n < 0.1 * claim.tss:
        return False
    sizes = np.array([abs(claim.params[name]) for name in claim.free])
    reach = np.sqrt(np.maximum(np.diag(curvature), 0.0) / 2.0) * sizes
    return bool((reach <= SATURATED * math.sqrt(claim.loss)).all() and (sizes > 0.0).all())


def advice(subject: Subject, told: tuple[Event, ...], result: dict[str, Any]) -> Phrase:
    """What to do next: one line."""
    claim = subject.solution
    solver = "linear" if claim.linear else "lm"
    codes = {one.code: one.values for one in told}
    key = "explain.run.next."
    if claim.combinations:
        return Phrase(key + "not_identifiable", name=claim.combinations[0].names[-1])
    if claim.solver == "linear":
        return Phrase(key + "exact")
    if "not_finite" in codes:
        return Phrase(key + ("not_finite" if len(subject.trace) > 1 else "start"))
    if "diverged" in codes:
        largest, fastest = codes["diverged"]["largest_lr"], codes["diverged"]["fastest_lr"]
        lr = codes["diverged"]["lr"]
        if subject.noisy and isinstance(lr, float):
            lower = claim.reason.get("values", {}).get("lower", Brief(lr / 10.0, 2))
            return Phrase(key + "diverged.batches", solver=solver, lower=lower)
        if largest is None or not isinstance(lr, float) or lr < largest:
            lower = Brief(lr / 10.0, 2) if isinstance(lr, float) else ""
            return Phrase(key + "diverged", solver=solver, lower=lower)
        if fastest is None:
            return Phrase(key + "diverged.largest", solver=solver, largest=Brief(largest, 5))
        return Phrase(key + "diverged.fastest", solver=solver, largest=Brief(largest, 5), fastest=Brief(fastest, 5))
    if "saturated" in codes or ("plateau" in codes and codes["plateau"]["kind"] == "flat"):
        return Phrase(key + "flat")
    if claim.state == "interrupted":
        return Phrase(key + "interrupted")
    if not claim.zero_grad:
        return Phrase(key + "accumulates")
    if claim.state == "cycle":
        return Phrase(key + ("cycle" if subject.solver.pace == "lr" else "cycle.smaller"))
    for one in (*KEPT_AWAY, "stopped"):
        if one in codes:
            return Phrase(key + one, solver=solver)
    if claim.state == "slow" and claim.solver != "levenbergmarquardt":
        near = result.get("shared_digits")
        if near is not None and near >= SAME:
            return Phrase(key + "converged")
        return Phrase(key + "batches", solver=solver) if "noise" in codes else _when_slow(result, solver)
    if claim.state == "slow":
        return run_descent.advice(claim, codes)
    return Phrase(key + ("burst" if "burst" in codes else "converged"))


def _when_slow(result: dict[str, Any], solver: str) -> Phrase:
    """Centre a column, if that helps; else more steps, if it is known how many."""
    centred, rest = result["centring"], result["rest"]
    soon = rest is not None and rest["high"] <= result["steps"]
    if centred is not None and not soon:
        told = {name: Brief(one["condition"], 3) for name, one in (("before", result), ("after", centred))}
        return Phrase("explain.run.next.centre", columns=list(centred["columns"]), solver=solver, **told)
    if rest is not None and rest["high"] < FOR_EVER:
        return Phrase("explain.run.next.more", steps=Brief(rest["high"], 2), solver=solver)
    return Phrase("explain.run.next.slow", solver=solver)

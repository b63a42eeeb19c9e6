"""The story of a whole run, told from its trace.

Read from the trace, the solver's options, the curvature at the answer, and the diagnosis that the solver's own judge
left in ``solution.reason`` (Cohen et al. 2021 for the stability limit). It takes no step and judges no answer.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from katamuki.errors import spoken
from katamuki.explain.run import descent as run_descent
from katamuki.explain.run import ending as run_ending
from katamuki.explain.run import events as run_events
from katamuki.explain.run import path as run_path
from katamuki.explain.run.path import Path
from katamuki.explain.run.record import RunStory
from katamuki.explain.subject import Subject
from katamuki.records import HAS_AN_ANSWER, Array, Solution

MOST = 200_000_000  # rows times states at which the loss of all rows is looked at


def story_of_run(subject: Subject, lang: str = "en") -> RunStory:
    """Tell a run from its trace.

    Parameters
    ----------
    subject : Subject
        The fit's claim, its trace, its model and data.
    lang : str
        In which language the story prints itself.

    Returns
    -------
    RunStory
        Frozen data.

    Raises
    ------
    BoundsError
        If there is no such language.
    """
    spoken(lang)
    best = _best(subject)
    path = _of_all_rows(subject, run_path.path_of(subject.trace, best))
    curvature = run_ending.curvature_of(subject)
    header = _header(subject)
    shape = run_ending.shape_of(subject, path, curvature)
    events = run_events.events(subject, path, shape) if subject.walks else run_descent.events(subject, path, curvature)
    result = run_ending.result(subject, path, shape)
    events = tuple(sorted((*events, *run_ending.events(subject, path, curvature)), key=lambda one: one.step))
    return RunStory(header, events, result, run_ending.advice(subject, events, result), lang)


def _of_all_rows(subject: Subject, path: Path) -> Path:
    """A path whose losses are those of all rows, where the trace has those of batches: these are not one curve.

    Where that is too much to compute only the first and the last row have one; NaN between, and nothing is told of it.
    """
    if not subject.noisy or subject.batches is None or not len(path):
        return path
    rows = np.arange(len(path)) if len(path) * subject.solution.n <= MOST else np.array([0, len(path) - 1])
    loss, problem = np.full(len(path), np.nan), subject.problem()
    try:
        loss[rows] = problem.losses(np.ascontiguousarray(path.params[rows]))
    finally:
        problem.close()
    tenth = math.ceil(run_path.LASTS * int(path.index[-1]))
    return dataclasses.replace(path, loss=loss, lasting=max(tenth, run_path.EPOCHS * subject.batches.per_epoch))


def _best(subject: Subject) -> Array | None:
    """The answer (p,) that distances are measured to: the reference, or where a converging solver ended."""
    claim = subject.solution
    names = subject.trace.names
    if claim.combinations and subject.walks:  # any of many answers
        return None
    if claim.reference is not None:
        found = claim.reference.params
    elif claim.state in {"converged", "exact", "not_identifiable"}:
        found = claim.params
    else:
        return None
    best = np.array([found[name] for name in names])
    return best if bool(np.isfinite(best).all()) else None


def _changed(subject: Subject) -> dict[str, Any]:
    """The options that are not their class's defaults, lr and steps apart."""
    solver = subject.solver
    if not dataclasses.is_dataclass(solver):
        return {}
    found = {one.name: (getattr(solver, one.name), one.default) for one in dataclasses.fields(solver)}
    return {name: value for name, (value, default) in found.items()
            if name not in {"lr", "steps"} and value != default}  # fmt: skip


def _starts(claim: Solution) -> int | None:
    """Of how many starts a search chose the one that is told of; None where it was given."""
    search = claim.search
    if search is None or (search.given is not None and (search.given.converged or claim.state not in HAS_AN_ANSWER)):
        return None
    return search.starts


def _header(subject: Subject) -> dict[str, Any]:
    claim, trace = subject.solution, subject.trace
    start = claim.start or {}
    steps = claim.steps
    return {
        "formula": claim.formula,
        "solver": claim.solver,
        "options": dict(claim.options),
        "changed": _changed(subject),
        "start": {name: start[name] for name in claim.free if name in start},
        "starts": _starts(claim),
        "steps": steps,
        "rows": claim.n,
        "parameters": len(claim.free),
        "dtype": claim.dtype,
        "backend": claim.backend,
        "zero_grad": claim.zero_grad,
        "kept": len(trace) if len(trace) - 1 < steps else None,  # rows of a thinned trace
    }

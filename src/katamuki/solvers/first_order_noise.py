"""How a first-order run on mini-batches ended: at the answer, on its way, or diverged; and what of it is noise.

The gradient of a batch is that of all rows but for the rows that it lacks. Where residuals do not vanish, steps of a
steady length therefore do not settle: parameters wander about the minimum, the farther the larger lr and the smaller
the batch (Robbins & Monro 1951; Bottou, Curtis & Nocedal 2018, section 4). How far is measured here, over the last
tenth of the run, and not predicted; a run that was still on its way there was too short, whatever its noise. Losses and
gradients of different batches are not one curve, so that neither cycles nor the stability limit of all rows are looked
for.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from katamuki.problem import Problem
from katamuki.records import Array, Reference, Trace
from katamuki.solvers.first_order import ASGD, SGD, FirstOrder, Rprop
from katamuki.solvers.first_order_diagnosis import ORBIT, Diagnosis, cosine_of, is_there
from katamuki.solvers.first_order_stability import about_stability, pull

PART, LEAST = 10, 10  # where a run is looked at: over its last tenth, and ten steps at least
NEARLY = 10.0  # times Rprop's smallest step
FAR = 10.0  # times what scatter adds to the loss: more than that is not noise


def of_batches(trace: Trace, solver: FirstOrder, reference: Reference | None, per_epoch: int, lost: bool) -> Diagnosis:
    """Say how a run on batches ended.

    Parameters
    ----------
    trace : Trace
        The run; its last row is the result, with loss and gradient of all rows.
    solver : FirstOrder
        What ran.
    reference : Reference, optional
        The least-squares answer; without it no run is "converged".
    per_epoch : int
        Batches of an epoch, above 1.
    lost : bool
        Whether the run ended because the loss of a batch grew beyond all bounds.

    Returns
    -------
    Diagnosis
        State "converged", "slow" or "diverged", never "cycle". Facts, each only where it has a meaning: ``batches`` (of
        an epoch), ``pull`` (True: weight decay leads elsewhere), ``shrunk`` (Rprop's smallest step: its
        steps have come down to it), ``cosine`` and ``floor`` as
        :func:`katamuki.solvers.first_order_diagnosis.diagnose` has them; ``noise``, where that is what keeps the run
        away: over the last ``steps`` (how many), of each parameter the ``middle`` of its path, less the answer, and its
        ``scatter`` about that middle (root mean square), both in its unit; ``step``, ``key`` and ``values`` of a
        message.

    Example
    -------
    >>> import numpy as np
    >>> from katamuki.solvers.first_order import SGD
    >>> rows = np.array([[3.0], [1.0]] * 10 + [[3.0]])
    >>> trace = Trace(("a",), np.arange(21), rows, rows[:, 0], rows, rows)
    >>> best = Reference({"a": 1.5}, {"a": 0.1}, 0.5, np.eye(1))
    >>> of_batches(trace, SGD(steps=20, batch_size=1), best, 2, False).facts["noise"]
    {'steps': 10, 'middle': {'a': 0.5}, 'scatter': {'a': 1.0}}
    """
    loss = float(trace.loss[-1])
    finite = math.isfinite(loss) and all(map(math.isfinite, trace.params[-1].tolist()))
    if not finite or lost:
        return Diagnosis("diverged", None, _divergence(trace, solver, reference, finite))
    slow: dict[str, Any] = {"batches": per_epoch} | ({"pull": True} if any(pull(solver)) else {})
    if reference is None:
        return Diagnosis("slow", None, slow)
    facts: dict[str, Any] = {"floor": loss - reference.loss, "cosine": cosine_of(trace, reference)}
    if is_there(trace, reference, facts["cosine"]):
        return Diagnosis("converged", None, facts)
    if isinstance(solver, Rprop) and _has_shrunk(trace, solver):
        return Diagnosis("slow", None, facts | slow | {"shrunk": solver.step_sizes[0]})
    noise = noise_of(trace, reference, per_epoch)
    return Diagnosis("slow", None, facts | slow | ({} if noise is None else {"noise": noise}))


def _divergence(trace: Trace, solver: FirstOrder, reference: Reference | None, finite: bool) -> dict[str, Any]:
    """Where it diverged, and what to try; the largest lr that is safe with all rows bounds that of batches."""
    step = int(trace.index[-1]) + 1
    key = "first_order.batch_diverged" if finite else "first_order.batch_overflow"
    values: dict[str, Any] = {"step": step, "lr": f"{solver.lr:g}"}
    known = reference is not None and isinstance(solver, (SGD, ASGD)) and math.isfinite(reference.curvature.sum())
    largest = about_stability(trace, solver, reference.curvature).get("largest_lr") if reference and known else None
    if largest is not None and solver.lr >= largest:
        values |= {"largest": f"{largest:#.5g}", "lower": f"{float(f'{largest / 10.0:.1g}'):g}"}
        key += ".safe"
    return {"step": step, "key": key, "values": values}


def _has_shrunk(trace: Trace, solver: Rprop) -> bool:
    """Whether signs that differ from batch to batch have made every late step nearly the smallest that there is."""
    if len(trace) <= ORBIT + 1 or "accumulated" in trace.extra:
        return False
    return bool((np.abs(trace.step[-1 - ORBIT : -1]) <= NEARLY * solver.step_sizes[0]).all())


def noise_of(trace: Trace, reference: Reference, per_epoch: int) -> dict[str, Any] | None:
    """What parameters did over the last steps, where noise holds the run away from the answer; None where it does not.

    The last tenth of the run, in whole epochs where it has one, is laid along a straight line. Where an end of the line
    adds far more to the loss (δᵀHδ/2) than scatter about the line does, the run was still on its way there.
    """
    steps = int(trace.index[-1])
    window = max(steps // PART, LEAST)
    window += -window % per_epoch if window >= per_epoch else 0
    if 2 * window > steps:
        return None
    first = int(np.searchsorted(trace.index, steps - window, side="right"))
    if len(trace) - first < LEAST:
        return None
    share = np.diff(trace.index[first - 1 :])  # a row stands for steps left out
    path = trace.params[first:]
    total = int(share.sum())
    middle: Array = share @ path / total
    away = middle - np.array([reference.params[name] for name in trace.names])
    time = trace.index[first:] - share @ trace.index[first:] / total
    slope = (share * time) @ path / (share @ time**2)
    about = path - middle - np.outer(time, slope)
    ends = away + np.outer(time[[0, -1]], slope)
    if not (_rise(ends, reference.curvature) <= FAR * float(share @ _rise(about, reference.curvature)) / total).all():
        return None
    scatter = np.sqrt(share @ (path - middle) ** 2 / total)
    return {
        "steps": window,
        "middle": dict(zip(trace.names, away.tolist(), strict=True)),
        "scatter": dict(zip(trace.names, scatter.tolist(), strict=True)),
    }


def _rise(away: Array, curvature: Array) -> Array:
    """By how much points (m, p) away from the minimum raise the loss, as its curvature there has it."""
    rise: Array = 0.5 * ((away @ curvature) * away).sum(axis=1)
    return rise


def of_all_rows(trace: Trace, problem: Problem, most: int) -> Trace:
    """A trace whose losses and gradients are those of all rows; of a long one only some rows, ever further apart.

    Losses of different batches are not one curve. ``most`` bounds rows of the trace times rows of the data.
    """
    count = max(most // problem.n, 64)
    rows = np.arange(len(trace))
    if len(trace) > count:
        rows = np.unique(np.concatenate([np.round(np.geomspace(1, len(trace), count)).astype(np.int64) - 1, rows[-2:]]))
    params = np.ascontiguousarray(trace.params[rows])
    sums = np.array([problem.normal(problem.full(one))[: 1 + problem.p].copy() for one in params])
    extra = {name: one[rows] for name, one in trace.extra.items()}
    gradient = -2.0 / problem.n * sums[:, 1:]
    return Trace(trace.names, trace.index[rows], params, sums[:, 0] / problem.n, gradient, trace.step[rows], extra)

"""What there is to see in a step, each a key and values, found in the numbers and nowhere else.

Tolerances stand here by name: a remark is a claim, and says what "equal", "gone" or "back" means.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from katamuki.explain.step import curvature
from katamuki.explain.step.record import Remark, Step
from katamuki.records import Array, Trace
from katamuki.solvers.first_order import FIRST_ORDER
from katamuki.solvers.first_order_stability import largest, pull, rate_and_limit

EQUAL = 1e-6  # two steps are equal to this share: six digits
NEARLY = 1e-2  # and nearly equal to this one
FOLD = 2.0  # gradients differ if one is this many times the other
NEAR = 0.75  # of the stability limit: from here on the step says how near it is
NOTHING = 1e-2  # of what was promised: the change is nothing beside it
ROSE = 1e-6  # of what was promised: a loss that rises by more did rise
ROUNDING = 1e-14  # of the loss: it fell or rose only if it did by more
SURE = 1e-3  # of a distance: a parameter moves away only if it does by more


def remarks(step: Step, trace: Trace, row: int) -> tuple[Remark, ...]:
    """All remarks, in the order in which they are told.

    Parameters
    ----------
    step : Step
        Everything but its remarks.
    trace : Trace
        The trace, or the part of it, that has the step.
    row : int
        The step's row there.

    Returns
    -------
    tuple of Remark
        Perhaps none.
    """
    found: list[Remark] = []
    for one in (_equal_steps, _lost, _refused, _rose, _nothing_gained):
        found += one(step)
    if step.subject.noisy:  # what follows compares with a minimum and a curvature that are not the batch's
        return (*found, *_only_here(step))
    for one in (_away, _repeats, _floor):
        found += one(step)
    return (*found, *_stability(step, trace, row))


def _only_here(step: Step) -> Iterator[Remark]:
    """A step that helped its batch, and not all rows."""
    batch = step.batch
    if batch is None or not step.helped.change < -ROUNDING * step.loss:
        return
    if batch.loss_after - batch.loss > ROUNDING * batch.loss:
        yield Remark("batch_only", {})


def _moves(step: Step) -> Array:
    return np.array([step.after[name] - step.before[name] for name in step.free])


def _equal_steps(step: Step) -> Iterator[Remark]:
    """Steps of one length, or nearly, though the gradients differ: what dividing by a gradient's own size does."""
    left = step.left or {}
    moves = np.abs(_moves(step))
    slopes = np.abs(np.array([step.gradient[name] + left.get(name, 0.0) for name in step.free]))
    if len(moves) < 2 or not (moves > 0.0).all() or not (slopes > 0.0).all() or not step.updates:
        return
    if not getattr(step.subject.solver, "divides", False) and step.solver != "rprop":
        return
    apart = float(moves.max() / moves.min()) - 1.0
    if apart > NEARLY or slopes.max() < FOLD * slopes.min():
        return
    values = {"fold": float(slopes.max() / slopes.min())}
    if apart > EQUAL:
        yield Remark("equal_steps.nearly", values | {"apart": apart, "tolerance": NEARLY})
        return
    plain = not step.options.get("weight_decay") and step.left is None
    key = "equal_steps"
    if step.solver == "rprop":
        key += ".sign"
    elif step.number == 1 and plain and step.solver == "rmsprop" and not step.options.get("centered"):
        key += ".rmsprop"
        values["times"] = 1.0 / math.sqrt(1.0 - float(step.options["alpha"]))
    elif step.number == 1 and plain and step.solver in {"adam", "adamw", "adamax"}:
        key += ".adam"
    elif step.number == 1 and plain and step.solver == "adagrad" and not step.options["initial_accumulator_value"]:
        key += ".adagrad"
    yield Remark(key, values)


def _lost(step: Step) -> Iterator[Remark]:
    if not math.isfinite(step.loss_after):
        yield Remark("not_finite", {})


def _refused(step: Step) -> Iterator[Remark]:
    if step.attempt is not None and not step.attempt.accepted:
        yield Remark("refused", {})


def _rose(step: Step) -> Iterator[Remark]:
    helped = step.helped
    refused = step.attempt is not None and not step.attempt.accepted
    if helped.change > max(ROSE * abs(helped.promise), ROUNDING * step.loss) and not refused:
        if helped.promise >= 0.0:
            yield Remark("rose.uphill" + _uphill(step), {})
        elif helped.bend is not None and helped.bend > -helped.promise:
            yield Remark("rose.bend", {})
        else:
            yield Remark("rose", {})


def _uphill(step: Step) -> str:
    """What carried a step uphill: the gradient that the rule saw was another than the loss's, or momentum did it."""
    solver = step.subject.solver
    if not isinstance(solver, FIRST_ORDER):
        return ""
    coupled, apart = pull(solver)
    if step.left is not None and _along(step, step.left, 0.0, apart) < 0.0:
        return ".accumulated"
    if (coupled or apart) and _along(step, step.left or {}, coupled, apart) < 0.0:
        return ".decay"
    betas = step.options.get("betas")
    if step.options.get("momentum") or (betas and betas[0]):
        return ".momentum"
    return ".accumulated" if step.left is not None else ""


def _along(step: Step, left: Mapping[str, float], coupled: float, apart: float) -> float:
    """What the gradient that a rule saw promised for the step that it took; below 0 it went downhill by that."""
    lr = float(step.options["lr"])
    total = 0.0
    for name in step.free:
        value = step.before[name]
        move = step.after[name] - value * (1.0 - lr * apart)
        total += (step.gradient[name] + left.get(name, 0.0) + coupled * value) * move
    return total


def _nothing_gained(step: Step) -> Iterator[Remark]:
    helped = step.helped
    gained = -helped.change
    promised = -helped.promise
    if helped.bend is not None and promised > 0.0 and -ROSE * promised <= gained <= NOTHING * promised:
        yield Remark("nothing_gained", {})


def _away(step: Step) -> Iterator[Remark]:
    """Parameters that move away from their answer, downhill all the same; and whether they come back."""
    if step.helped.distance is None or not step.helped.change < -ROUNDING * step.loss or _cycling(step):
        return
    reference = step.subject.solution.reference
    if reference is None:
        return
    for name, (before, after) in step.helped.distance.items():
        move = step.after[name] - step.before[name]
        if after <= (1.0 + SURE) * before or step.gradient[name] * move >= 0.0:
            continue
        others = [one for one in step.free if one != name]
        if not others:
            continue
        key = "away" + _shape(step, name, move)
        values = {"name": name, "other": others[0] if len(others) == 1 else None}
        yield Remark(key, values)
        trace = step.subject.trace
        column = trace.params[:, trace.names.index(name)]
        place = int(np.searchsorted(trace.index, step.number))
        far = np.abs(column[place:] - reference.params[name])
        if np.isfinite(far).all() and far[-1] < far[0]:
            peak = place + int(far.argmax())
            key = "back" if column[peak] > reference.params[name] else "back.low"
            yield Remark(key, {"name": name, "value": float(column[peak]), "step": int(trace.index[peak]) + 1})


def _shape(step: Step, name: str, move: float) -> str:
    """For the slope of a straight line: whether the line gets steeper or flatter."""
    graph = step.subject.graph
    if graph is None or len(graph.parameters) != 2 or len(step.free) != 2:
        return ""
    slopes = curvature.slopes(graph, step.free)
    leaves = {one: slopes.nodes[out] for one, out in zip(step.free, slopes.outputs, strict=True)}
    other = next(one for one in step.free if one != name)
    if leaves[name].op != "column" or leaves[other].value != 1.0:
        return ""
    return ".steeper" if abs(step.before[name] + move) > abs(step.before[name]) else ".flatter"


def _cycling(step: Step) -> bool:
    cycle = step.subject.solution.cycle
    return cycle is not None and step.number >= cycle.since


def _repeats(step: Step) -> Iterator[Remark]:
    """From here on two steps repeat."""
    cycle = step.subject.solution.cycle
    if cycle is None or not _cycling(step):
        return
    lr = float(step.options["lr"])
    in_lr = cycle.swings_by(lr / 2.0)
    reference = step.subject.solution.reference
    there = reference is not None and all(
        abs(cycle.middle[name] - reference.params[name]) <= 1e-6 * max(abs(reference.params[name]), 1e-300)
        for name in step.free
    )
    key = "repeats" + (".lr" if in_lr else "") + (".answer" if there else "")
    values = {"middle": dict(cycle.middle), "half": dict(cycle.half_width)}
    yield Remark(key, values)


def _floor(step: Step) -> Iterator[Remark]:
    """In a cycle of half width lr/2: how far the loss stays above the minimum."""
    factor, reference = step.subject.solution.reason.get("factor"), step.subject.solution.reference
    if factor is None or not _cycling(step) or step.helped.curvature is None or reference is None:
        return
    floor = factor * (float(step.options["lr"]) / 2.0) ** 2
    if abs(step.loss - reference.loss - floor) <= NOTHING * floor:
        yield Remark("floor", {"whole": 2.0 * factor, "half": factor, "value": floor})


def _stability(step: Step, trace: Trace, row: int) -> Iterator[Remark]:
    """The largest eigenvalue of diag(lr/divisor)·H, where it is near its limit."""
    solver, h = step.subject.solver, step.helped.curvature
    if not isinstance(solver, FIRST_ORDER) or h is None or not np.isfinite(h).all() or step.left is not None:
        return
    acting = rate_and_limit(solver, step.number)
    scale = trace.extra.get("scale")
    if acting is None or (scale is None and solver.divides):
        return
    rate, limit = acting
    value = float(largest(h, rate, None if scale is None else scale[row]))
    if not value >= NEAR * limit:
        return
    kind = ".rmsprop" if step.solver == "rmsprop" else ".divided" if scale is not None else ""
    facts = step.subject.solution.reason
    values = {"value": value, "limit": limit}
    yield Remark("stability" + kind, values)
    passed = facts.get("passed")
    whole = step.subject.trace
    if passed is not None and step.number > int(passed) and "scale" in whole.extra:
        earlier = 10 ** int(math.log10(int(passed)))
        place = int(np.searchsorted(whole.index, earlier - 1))
        reference = step.subject.solution.reference
        if earlier < int(passed) and whole.index[place] == earlier - 1 and reference is not None:
            before = float(largest(reference.curvature, rate, whole.extra["scale"][place]))
            if before < limit:
                yield Remark("passed", {"limit": limit, "step": int(passed), "before": before, "earlier": earlier})

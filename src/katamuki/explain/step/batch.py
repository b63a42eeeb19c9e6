"""A step that took a mini-batch: which rows, and the subject narrowed to them, so that its story is that of the batch.

What stands in the story of such a step (tape, gradient, differences, promise, bend) is made of the batch's rows alone;
the loss after the step is the same batch's. What the step did to the loss of all rows stands beside it. Rows that are
read in pieces are read again, up to this batch, and twice for the loss of all: the recorded loss says whether they are
the rows that they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from katamuki.errors import DataError
from katamuki.explain.step.record import Batch
from katamuki.explain.subject import Subject
from katamuki.problem import Problem
from katamuki.problem.batches import Batches
from katamuki.records import Array
from katamuki.report.numbers import grouped
from katamuki.solvers.first_order_batches import gathered

SAME = 1e-9  # of a batch's loss: the same rows, summed in another order
NOTHING = 1e-26  # of the mean of w y²: residuals that are rounding


def narrowed(subject: Subject, k: int) -> Subject:
    """The subject whose data are the rows of step ``k``'s batch (counted from 1); itself where steps take all rows."""
    if subject.batches is None:
        return subject
    problem = partial(_part, subject, k)
    if isinstance(subject.batches, Batches):
        rows = subject.batches.rows(k - 1)
        columns = {name: column[rows] for name, column in subject.columns.items()}
        weights = None if subject.weights is None else subject.weights[rows]
        return replace(subject, columns=columns, y=subject.y[rows], weights=weights, problem=problem)
    _check_same(subject, k)
    part = problem()
    columns = dict(zip(part.kernel.columns, part.columns, strict=True))
    return replace(subject, columns=columns, y=part.y, weights=part.weights, problem=problem)


def _check_same(subject: Subject, k: int) -> None:
    """See that rows which are read again come as they came: by the loss that the nearest step before recorded."""
    trace = subject.trace
    place = int(np.searchsorted(trace.index, k - 1, side="right")) - 1
    step, before = int(trace.index[place]), float(trace.loss[place])
    part = _part(subject, step + 1)
    now, level = part.loss(trace.params[place]), part.tss_about_zero / part.n
    if not abs(now - before) <= SAME * abs(before) + NOTHING * level:
        values = {"step": grouped(step + 1), "before": f"{before:.6g}", "now": f"{now:.6g}"}
        raise DataError("E-CHANGED", "stream.other_batch", **values)


def _part(subject: Subject, k: int) -> Problem:
    """The batch's problem."""
    assert subject.batches is not None  # by narrowed()
    whole = subject.problem()
    try:
        return gathered(whole, subject.batches, k - 1)
    finally:
        whole.close()


def loss_after(subject: Subject, k: int, params: Array) -> float:
    """The loss of step ``k``'s batch at free parameters (p,): as whoever ran the steps computes it."""
    if subject.loss_of is not None:
        return subject.loss_of(params, k - 1)
    part = _part(subject, k)
    try:
        return part.loss(params)
    finally:
        part.close()


def batch_of(subject: Subject, k: int, before: Array, after: Array) -> Batch | None:
    """Which rows step ``k`` took, and the loss of all rows at the free parameters before and after it (p,)."""
    if subject.batches is None:
        return None
    epoch, number = subject.batches.place(k - 1)
    whole = subject.problem()
    try:
        loss, later = (whole.loss(np.asarray(one, dtype=np.float64)) for one in (before, after))
    finally:
        whole.close()
    batches, rows = subject.batches, subject.batches.rows(k - 1)
    if isinstance(batches, Batches) and subject.index is not None:  # of streams they are those in the source
        rows = subject.index[rows]
    counts = (epoch + 1, number + 1, batches.per_epoch, batches.seed)
    return Batch(*counts, tuple((rows + 1).tolist()), subject.solution.n, loss, later)


def shown(batch: Batch) -> Mapping[str, object]:
    """The batch as JSON knows it."""
    return {
        "epoch": batch.epoch,
        "number": batch.number,
        "of": batch.per_epoch,
        "seed": batch.seed,
        "rows": list(batch.rows),
        "all_rows": batch.all_rows,
        "loss": batch.loss,
        "loss_after": batch.loss_after,
    }

"""The compiled loop of first-order solvers on mini-batches: a step's rows are gathered, then summed as all rows are.

Which rows a step takes is :mod:`katamuki.problem.batches`' business. Their numbers come as the orders of whole epochs;
a call takes as many steps as these hold, gathers the columns, y and √w of each step's rows into a block of their own,
and goes on as :mod:`katamuki.solvers.first_order_steps` does. One thread: a batch is small. Of rows that are not all in
memory stretches come, each a problem of its own. Source: Robbins & Monro 1951; Bottou 1998 (epochs).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np

from katamuki.backends.native import address_of, at, function
from katamuki.problem import BLOCK, Problem
from katamuki.problem.batches import Batches, Dealt, Served, Stretch
from katamuki.records import Array
from katamuki.solvers.first_order import FirstOrder
from katamuki.solvers.first_order_steps import GO_ON, Position, advance, data_of, loss_and_gradient, row_width

Stepper = Callable[[int, Array, int], int]


def stretch_of(problem: Problem, batches: Dealt, step: int) -> Stretch:
    """What a step runs on, and others about it."""
    if not isinstance(batches, Batches):
        return cast(Served, batches).stretch(step)
    epoch, orders = batches.orders(batches.place(step)[0])
    first = epoch * batches.per_epoch
    return Stretch(problem, orders, first, first + len(orders) * batches.per_epoch)


def gathered(problem: Problem, batches: Dealt, step: int) -> Problem:
    """The rows of a step's batch (counted from 0) as a problem of their own."""
    if not isinstance(batches, Batches):
        return cast(Served, batches).gathered(step)
    return problem.gathered(batches.rows(step))


@function(
    "int64(int64, double**, int64, double*, double*, int64, int64, int64, int64*, int64, int64, double**, double*,"
    " double*, int64, double*, int64*, int64, double*, double*, double*, double*, int64, int64, double*, int64*,"
    " double*, int64, int64)"
)
def run_batches(  # type: ignore[no-untyped-def]
    kernel,
    columns,
    count,
    y,
    root,
    weighted,
    n,
    size,
    orders,
    epoch,
    batch,
    part,
    part_y,
    part_root,
    rule,
    values,
    free,
    p,
    block,
    slope,
    work,
    state,
    divisor,
    summed,
    options,
    done,
    rows,
    width,
    steps,
):
    """Take steps from a batch of an epoch of ``orders`` on; with 0 steps, write the row before that batch's step.

    ``part`` points to ``count`` columns of ``size`` rows, ``part_y`` and ``part_root`` have as many.
    """
    last = 1 if steps == 0 else 0
    first, here = epoch * n, batch * size
    for k in range(max(steps, 1)):
        m = min(size, n - here)
        chosen = at(orders, first + here)
        for c in range(count):
            source, target = columns[c], part[c]
            for i in range(m):
                target[i] = source[chosen[i]]
        for i in range(m):
            part_y[i] = y[chosen[i]]
        if weighted == 1:
            for i in range(m):
                part_root[i] = root[chosen[i]]
        loss = loss_and_gradient(
            kernel, part, values, part_y, part_root, weighted, m, free, p, block, slope, at(work, 1)
        )
        row = at(rows, k * width)
        status = advance(rule, values, free, p, loss, work, state, divisor, summed, options, done, row, last)
        if status != GO_ON:
            return status
        here += size
        if here >= n:
            here = 0
            first += n
    return GO_ON


def stepper(solver: FirstOrder, problem: Problem, here: Position, accumulate: bool, batches: Dealt) -> Stepper:
    """A function that takes some steps and writes their rows; it returns a status. With 0 steps it writes one row."""
    p, options, block, slope = problem.p, solver.packed(), problem.block(), np.empty(BLOCK)
    divisor = (solver.blocks - 1) * p if solver.divides else -1
    summed = row_width(solver, p, False) if accumulate else -1
    count = len(problem.kernel.columns)
    part = np.empty((count + 2, batches.size))
    pointers = np.array([address_of(one) for one in part], dtype=np.int64)

    def go(steps: int, rows: Array, width: int) -> int:
        fixed = (solver.rule.address, address_of(here.values), problem.layout.free_address, p)
        room = (address_of(block), address_of(slope), address_of(here.work), address_of(here.state))
        rest = (*fixed, *room, divisor, summed, address_of(options), address_of(here.done))
        into = (address_of(pointers), address_of(part[count]), address_of(part[count + 1]))
        taken = 0
        while True:
            step = int(here.done[0])
            now = stretch_of(problem, batches, step)
            many, n = min(steps - taken, now.last - step), now.orders.shape[1]
            kernel, columns, y, root, weighted, _ = data_of(now.problem)
            data = (kernel, columns, count, y, root, weighted, n, batches.size, address_of(now.orders))
            row = address_of(rows[taken if width else 0 :])
            status = run_batches(
                *data, *divmod(step - now.first, -(-n // batches.size)), *into, *rest, row, width, many
            )
            taken += many
            if status != GO_ON or taken >= steps:
                return status

    return go

"""A NumPy program's run, made here first to see whether it ends where the fit did.

Rules that divide the gradient zigzag near the minimum, and while they do, a rounding in the sixteenth digit grows with
every step. NumPy adds rows in another order than the compiled loop, so such a run ends elsewhere. What is tried is the
arithmetic of the program, operation by operation, not its text.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from katamuki.backends import numpy_
from katamuki.export.batches import size_of
from katamuki.export.parts import Exported, sources
from katamuki.graph import derivative
from katamuki.problem.batches import Batches
from katamuki.records import Array
from katamuki.solvers.first_order import FirstOrder

STEPS, CELLS = 50_000, 500_000_000  # steps, and steps times rows, up to which a run is tried: some seconds
SAME = 5e-7  # of a parameter, or of a thousandth of its standard error: six digits are printed


def other_end(facts: Exported, solver: FirstOrder, y: Array) -> tuple[str, float] | None:
    """A parameter that NumPy's arithmetic brings elsewhere, and where to; None where all six digits are the fit's."""
    solution, free = facts.solution, facts.free
    if solution.steps > STEPS or solution.steps * solution.n > CELLS:
        return None
    graph, update = derivative(facts.right), _program_s(solver)
    places = [1 + graph.parameters.index(name) for name in free]
    params = np.array([float(facts.start[name]) for name in free])
    state, options = np.zeros(solver.blocks * len(free)), solver.packed()
    total = np.zeros(len(free))
    size = size_of(facts)
    dealt = None if size is None else Batches(solution.n, size, facts.seed)
    columns, part, weights = facts.columns, y, facts.weights
    with np.errstate(all="ignore"):
        for step in range(1, solution.steps + 1):
            if dealt is not None:
                rows = dealt.rows(step - 1)
                columns, part = {name: one[rows] for name, one in facts.columns.items()}, y[rows]
                weights = None if facts.weights is None else facts.weights[rows]
            values = {**facts.held, **dict(zip(free, params, strict=True))}
            outputs = numpy_.evaluate(graph, columns, values)
            residual = part - outputs[0]
            weighted = residual if weights is None else weights * residual
            fresh = -2 / len(part) * np.array([(weighted * outputs[k]).sum() for k in places])
            total = fresh if solution.zero_grad else total + fresh
            update(params, total, state, options, len(free), float(step))
    for name, found in zip(free, params.tolist(), strict=True):
        unit = max(abs(solution.params[name]), (solution.stderr[name] or 0.0) / 1000)
        if abs(found - solution.params[name]) > SAME * unit:  # two that are no numbers are not apart
            return name, found
    return None


def _program_s(solver: FirstOrder) -> Callable[..., Any]:
    """The rule as the program has it: our own text, with fma as a product and a sum, which round twice."""
    scope: dict[str, Any] = {"math": math}
    exec("\n".join(sources(solver.update)), scope)
    found: Callable[..., Any] = scope[solver.update.__name__]
    return found

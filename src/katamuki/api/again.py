"""A fit once more with one thing changed: the experiments that a fit offers. No way of its own to fit anything."""

from __future__ import annotations

from katamuki.api.entry import judged, solution_of
from katamuki.api.options import Asked
from katamuki.api.preparing import Prepared
from katamuki.api.result import Fit
from katamuki.api.solving import solve, solver_of
from katamuki.api.values import Settings
from katamuki.data.selection import Columns
from katamuki.errors import BackendError, BoundsError
from katamuki.solvers.first_order import FIRST_ORDER


def without_zero_grad(fit: Fit) -> Fit:
    """Run a fit's first-order solver again, its gradients left to add up; see ``Fit.without_zero_grad``."""
    claim, plan = fit.solution, fit._plan
    solver = solver_of(claim)
    if not isinstance(solver, FIRST_ORDER) or claim.start is None:
        names = ", ".join(one.__name__ for one in FIRST_ORDER)
        raise BoundsError("E-USAGE", "api.no_gradient_steps", solver=type(solver).__name__, names=names)
    if claim.backend != "kernel":
        raise BackendError("E-BACKEND", "api.zero_grad_backend", backend=claim.backend)
    said = Settings(claim.free, claim.start, frozenset(claim.free), {})
    columns = Columns(dict(fit.columns), fit.data, fit.index)
    ready = Prepared(plan, said, claim.sigma_is, claim.columns, columns, fit._problem())
    try:
        asked = Asked(seed=fit.seed)
        run = solve(ready.problem, claim.linear, solver, said, claim.sigma_is, None, None, accumulate=True, asked=asked)
        return judged(plan, ready.problem, run, solution_of(ready, run), columns, fit.seed, depth=4)
    finally:
        ready.problem.close()

"""What went wrong, with its place: the errors and warnings of a fit that reached no good answer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING, Any

from katamuki.api.plan import Plan
from katamuki.backends import numpy_
from katamuki.errors import DataError, NotConverged
from katamuki.graph import derivative
from katamuki.messages import Phrase, few
from katamuki.records import Array, Combination, Solution

if TYPE_CHECKING:
    from katamuki.api.solving import Run


def response_error(plan: Plan, arrays: Mapping[str, Array]) -> DataError:
    """The left side has no value somewhere."""
    found = numpy_.first_bad(plan.model.lhs, arrays, {}, plan.model.text)
    if found is None:
        return DataError("E-DOMAIN", "api.response_domain", what=plan.model.response, rows="")
    return DataError("E-DOMAIN", "api.response_domain", what=found.text, rows=found.rows)


def not_converged(run: Run, plan: Plan, arrays: Mapping[str, Array], solution: Solution) -> NotConverged:
    """The error for a run that failed."""
    loss = f"{solution.loss:.6g}"
    if run.failure == "no_start":
        return _no_value(run, plan, arrays, solution)
    if run.failure == "diverged":
        code = "E-OVERFLOW" if run.reason["key"] == "torch.overflow_single" else "E-DIVERGED"
        return NotConverged(code, run.reason["key"], **run.reason["values"])
    if run.failure == "interrupted":
        return NotConverged("E-INTERRUPTED", "api.interrupted", steps=run.steps)
    if run.failure == "time_over":
        return NotConverged("E-TIME", "api.time_over", seconds=f"{solution.seconds:.3g}", loss=loss)
    if "key" in run.reason:
        return NotConverged("E-CONVERGENCE", run.reason["key"], **run.reason["values"])
    key = "api.stalled" if run.failure == "stalled" else "api.steps_over"
    return NotConverged("E-CONVERGENCE", key, steps=run.steps, loss=loss)


def _no_value(run: Run, plan: Plan, arrays: Mapping[str, Array], solution: Solution) -> NotConverged:
    """The formula is not finite where the solver began: which part of it, in which rows."""
    if plan.model.rhs is None:
        said = ", ".join(f"{name}={value:g}" for name, value in list(solution.params.items())[:8])
        return NotConverged("E-DOMAIN", "torch.slope_not_finite", start=said)
    start = dict.fromkeys(solution.free, 0.0) if run.state == "exact" else {}
    params = {**solution.params, **start}
    found = numpy_.first_bad(plan.model.rhs, arrays, params, plan.model.text)
    found = found or numpy_.first_bad(derivative(plan.model.rhs), arrays, params)
    text = ", ".join(f"{name}={value:g}" for name, value in solution.params.items())
    if found is None:
        key = "api.overflow_data" if solution.start is None else "api.overflow"
        return NotConverged("E-OVERFLOW", key, start=text)
    values: dict[str, Any] = {"what": found.text, "rows": found.rows, "start": text}
    if solution.start is None:
        return NotConverged("E-DOMAIN", "api.domain", where=found.domain, **values)
    return NotConverged("E-DOMAIN", "api.domain_start", where=found.domain, **values)


def needs_look(solution: Solution) -> Phrase:
    """What a fit that returned needs a look for, one sentence."""
    if solution.state == "not_identifiable":
        return reduce(_both, dict.fromkeys(map(undetermined, solution.combinations)))
    if solution.kind == "module" and solution.state == "slow":
        return Phrase("api.warn_network", steps=solution.steps, loss=f"{solution.loss:.6g}")
    key = f"api.warn_{solution.state}"
    if solution.state == "slow" and solution.steps < solution.options["steps"]:
        key = "api.warn_still" if "still" in solution.reason else "api.warn_time"
    return Phrase(key, steps=solution.steps, loss=f"{solution.loss:.6g}")


def undetermined(one: Combination) -> Phrase:
    """What of some parameters is determined."""
    names = few(one.names)
    if one.text is None or one.value is None:
        return Phrase("api.undetermined_group", names=names)
    key = "api.undetermined" if one.exact else "api.undetermined_near"
    return Phrase(key, names=names, text=one.text, value=f"{one.value:.6g}")


def _both(first: Phrase, second: Phrase) -> Phrase:
    return Phrase("label.also", first=first, second=second)

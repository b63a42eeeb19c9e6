"""What went wrong, with its place: the errors and warnings of a fit that reached no good answer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from math import isfinite
from typing import TYPE_CHECKING, Any

from katamuki.api.finite_start import Found, finite_start
from katamuki.api.plan import Plan
from katamuki.backends import numpy_
from katamuki.errors import DataError, NotConverged
from katamuki.graph import depends, derivative, number
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
    if run.failure == "interrupted" and solution.search is not None and solution.search.ending == "interrupted":
        return NotConverged("E-INTERRUPTED", "api.interrupted_search", starts=solution.search.starts)
    if run.failure == "interrupted":
        return NotConverged("E-INTERRUPTED", "api.interrupted", steps=run.steps)
    if run.failure == "time_over":
        return NotConverged("E-TIME", "api.time_over", seconds=f"{solution.seconds:.3g}", loss=loss)
    if "key" in run.reason:
        return NotConverged("E-CONVERGENCE", run.reason["key"], **run.reason["values"])
    key = "api.stalled" if run.failure == "stalled" else "api.steps_over"
    return NotConverged("E-CONVERGENCE", key, steps=run.steps, loss=loss)


def _no_value(run: Run, plan: Plan, arrays: Mapping[str, Array], solution: Solution) -> NotConverged:
    """The formula is not finite where the solver began: which part of it, in which rows, and what start would do."""
    rhs = plan.model.rhs
    if rhs is None:
        said = ", ".join(f"{name}={value:g}" for name, value in list(solution.params.items())[:8])
        return NotConverged("E-DOMAIN", "torch.slope_not_finite", start=said)
    start = dict.fromkeys(solution.free, 0.0) if run.state == "exact" else {}
    params = {**solution.params, **start}
    found = numpy_.first_bad(rhs, arrays, params, plan.model.text)
    slopes = found is None
    graph = derivative(rhs) if slopes else rhs
    found = found or numpy_.first_bad(graph, arrays, params)
    if found is None:
        text = ", ".join(f"{name}={value:g}" for name, value in solution.params.items())
        key = "api.overflow_data" if solution.start is None else "api.overflow"
        return NotConverged("E-OVERFLOW", key, start=text)
    values: dict[str, Any] = {"what": found.text, "rows": found.rows, "where": found.domain}
    part = [name for name in solution.free if found.node in depends(graph, [name])]
    if solution.start is None or not part:
        key = "api.domain_slopes" if slopes else "api.domain"
        return NotConverged("E-DOMAIN", key, **values)
    search = solution.search
    if search is not None and not search.finite:
        text = ", ".join(f"{name}={params[name]:g}" for name in part)
        values["place"] = Phrase("api.domain_place.all", start=text, starts=search.starts)
    else:
        text = ", ".join(f"{name}={value:g}" for name, value in solution.params.items())
        values["place"] = Phrase("api.domain_place", start=text)
    key, more = _mended(finite_start(rhs, arrays, params, solution.free, solution.bounds), params, solution)
    return NotConverged("E-DOMAIN", key, **values, **more)


def _mended(found: Found, params: Mapping[str, float], solution: Solution) -> tuple[str, dict[str, str]]:
    """What to do about a start without a value: the key of the sentence and what fills it."""
    if found.start is not None:
        start = {name: number(value) for name, value in {**params, **found.start}.items() if name in solution.free}
        python = ", ".join(f'"{name}": {value}' for name, value in start.items())
        return "api.domain_mended", {
            "python": f"{{{python}}}",
            "shell": ",".join(f"{name}={value}" for name, value in start.items()),
        }
    if found.needed is None:
        return "api.domain_start", {}
    name, low, high = found.needed
    said = {"name": name, "low": f"{low:.6g}", "high": f"{high:.6g}"}
    if not low < high:
        return "api.domain_never", said
    if name not in solution.bounds:
        return "api.domain_start", {}
    needs = " < ".join([said["low"]] * isfinite(low) + [name] + [said["high"]] * isfinite(high))
    least, most = (f"{one:.6g}" for one in solution.bounds[name])
    return "api.domain_bounds", {"name": name, "needs": needs, "low": least, "high": most}


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

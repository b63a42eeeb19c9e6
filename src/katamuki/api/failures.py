"""What went wrong, with its place: the errors and warnings of a fit that reached no good answer."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import reduce
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from katamuki.api.edges import corner, edge
from katamuki.api.finite_start import Found, finite_start
from katamuki.api.leaving_out import Kept, condition, rewritten, rows_without, typed_parts
from katamuki.api.plan import Plan
from katamuki.backends import numpy_
from katamuki.data.cells import row
from katamuki.data.selection import Columns
from katamuki.errors import DataError, NotConverged
from katamuki.graph import Graph, depends, derivative, number
from katamuki.messages import Phrase, few
from katamuki.records import Combination, Solution

if TYPE_CHECKING:
    from katamuki.api.solving import Run


def response_error(plan: Plan, columns: Columns) -> DataError:
    """The left side has no value somewhere."""
    arrays = columns.arrays
    found = numpy_.first_bad(plan.model.lhs, arrays, {}, plan.model.text)
    if found is None:
        return DataError("E-DOMAIN", "api.response_domain", what=plan.model.response, rows="")
    return DataError("E-DOMAIN", "api.response_domain", what=found.text, rows=_in_source(found.rows, columns))


def ending(run: Run, plan: Plan, columns: Columns, solution: Solution) -> dict[str, Any]:
    """Facts behind a Levenberg–Marquardt run that ended before a minimum: its ``ending``, and the ``edge`` it is on."""
    if solution.state != "slow" or solution.solver != "levenbergmarquardt" or run.failure is None:
        return {}
    graph, facts = plan.model.rhs, {"ending": run.failure}
    found = None
    if run.failure == "stalled" and graph is not None:
        found = edge(graph, columns.arrays, solution.params, solution.free)
    if found is None:
        return facts
    return facts | {"edge": {"part": found.part, "row": row(found.row, columns.index), "names": list(found.names)}}


def not_converged(run: Run, plan: Plan, columns: Columns, solution: Solution) -> NotConverged:
    """The error for a run that failed."""
    loss = f"{solution.loss:.6g}"
    if run.failure == "no_start":
        return _no_value(run, plan, columns, solution)
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
    if run.failure == "stalled":
        return _stalled(solution, loss, plan.model.rhs if columns.source.sample is not None else None)
    return NotConverged("E-CONVERGENCE", "api.steps_over", steps=run.steps, loss=loss)


def _stalled(solution: Solution, loss: str, unseen: Graph | None) -> NotConverged:
    """No step makes the loss smaller where its gradient is not 0: on an edge, which is named, or nobody knows why.

    ``unseen`` is the formula where not all rows are there to be looked at.
    """
    found = solution.reason.get("edge")
    maybe = None if found is not None or unseen is None else corner(unseen, solution.free)
    if maybe is not None:
        part, names = maybe
        told: dict[str, Any] = {"part": part, "name": names[0]}
        return NotConverged("E-CONVERGENCE", "api.stalled_corner", loss=loss, **told)
    if found is None:
        return NotConverged("E-CONVERGENCE", "api.stalled", loss=loss)
    name = found["names"][0]
    value = repr(solution.params[name])
    shown = f"{solution.params[name]:.6g}"
    key = "api.stalled_edge" + ("" if len(found["names"]) == 1 else ".several")
    where: dict[str, Any] = {"part": found["part"], "row": found["row"], "name": name, "value": value, "shown": shown}
    return NotConverged("E-CONVERGENCE", key, loss=loss, **where)


def _no_value(run: Run, plan: Plan, columns: Columns, solution: Solution) -> NotConverged:
    """The formula is not finite where the solver began: which part of it, in which rows, and what start would do."""
    rhs, arrays = plan.model.rhs, columns.arrays
    if rhs is None:
        said = ", ".join(f"{name}={value:g}" for name, value in list(solution.params.items())[:8])
        return NotConverged("E-DOMAIN", "torch.slope_not_finite", start=said)
    start = dict.fromkeys(solution.free, 0.0) if run.state == "exact" else {}
    params = {**solution.params, **start}
    found = numpy_.first_bad(rhs, arrays, params, plan.model.text)
    if found is None:
        return _no_slopes(plan, rhs, columns, params, solution)
    values: dict[str, Any] = {"what": found.text, "rows": _in_source(found.rows, columns), "where": found.domain}
    bad = rows_without(rhs, arrays, params)
    kept = condition(arrays, rhs.columns, bad, len(solution.free) + 1)
    part = [name for name in solution.free if found.node in depends(rhs, [name])]
    if solution.start is None or not part:
        return _without_rows("api.domain", kept, values)
    values["place"] = _place(solution, {name: params[name] for name in part})
    key, more = _mended(finite_start(rhs, arrays, params, solution.free, solution.bounds), params, solution)
    if key == "api.domain_start":
        return _without_rows(key, kept, values)
    return NotConverged("E-DOMAIN", key, **values, **more)


def _in_source(rows: Phrase, columns: Columns) -> Phrase:
    """Rows of the columns, the first by its number in the source."""
    number = row(int(str(rows.values["row"])) - 1, columns.index)
    return Phrase(rows.key, **{**rows.values, "row": number})


def _place(solution: Solution, part: Mapping[str, float]) -> Phrase:
    """Where the formula has no value: at a start, or at each of a search; ``part`` are the parameters that matter."""
    search = solution.search
    if search is not None and not search.finite:
        text = ", ".join(f"{name}={value:g}" for name, value in part.items())
        return Phrase("api.domain_place.all", start=text, starts=search.starts)
    text = ", ".join(f"{name}={value:g}" for name, value in solution.params.items())
    return Phrase("api.domain_place", start=text)


def _without_rows(key: str, kept: Kept | None, values: Mapping[str, Any]) -> NotConverged:
    """The error with the condition that leaves out the rows without a value, where there is one."""
    if kept is None:
        return NotConverged("E-DOMAIN", key, **values)
    return NotConverged("E-DOMAIN", key + "_kept", **values, kept=kept.text, shell=shlex.quote(kept.text))


def _no_slopes(
    plan: Plan, rhs: Graph, columns: Columns, params: Mapping[str, float], solution: Solution
) -> NotConverged:
    """The formula has values in all rows, its derivative has none in some: by which parameters, and where.

    The derivative is a formula that nobody typed: a part of it is shown only where it stands in the formula itself.
    """
    slopes, arrays = derivative(rhs), columns.arrays
    found = numpy_.first_bad(slopes, arrays, params, plan.model.text)
    if found is None:
        text = ", ".join(f"{name}={value:g}" for name, value in solution.params.items())
        key = "api.overflow_data" if solution.start is None else "api.overflow"
        return NotConverged("E-OVERFLOW", key, start=text)
    partials = numpy_.evaluate(slopes, arrays, params)[1:]
    names = [name for name, one in zip(rhs.parameters, partials, strict=True) if not np.isfinite(one).all()]
    bad = rows_without(slopes, arrays, params)
    kept = condition(arrays, rhs.columns, bad, len(solution.free) + 1)
    first, count = int(np.argmax(bad)), int(np.count_nonzero(bad))
    said = [kept.name] if kept else rhs.columns[:3]
    example = ", ".join(f"{name} = {arrays[name][first]:.6g}" for name in said)
    key = "formula.rows_all" if count == len(bad) else "formula.rows_some" if count > 1 else "formula.rows_one"
    values: dict[str, Any] = {
        "names": few(names),
        "rows": Phrase(key, count=count, n=len(bad), row=row(first, columns.index), example=example),
        "place": Phrase("api.domain_place.data"),
        "part": "",
    }
    if found.text in typed_parts(rhs, plan.model.text):
        values |= {"part": Phrase("api.domain_part", what=found.text), "where": found.domain}
    mended, more = _mended(finite_start(rhs, arrays, params, solution.free, solution.bounds), params, solution)
    if mended == "api.domain_mended":
        values["place"] = _place(solution, params)
        return NotConverged("E-DOMAIN", "api.domain_slopes_mended", **values, **more)
    other = rewritten(rhs, arrays, params) if kept else None
    if other is None:
        return _without_rows("api.domain_slopes", kept, values)
    old, new = (one.replace("**", "^") if "^" in plan.model.text else one for one in other)
    return _without_rows("api.domain_slopes_written", kept, {**values, "old": old, "new": new})


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

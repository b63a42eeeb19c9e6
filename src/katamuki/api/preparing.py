"""From what the user typed to a problem: model, columns, start and weights, checked once; no solver runs here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from katamuki import data as sources
from katamuki.api import elsewhere, failures, jumps
from katamuki.api.plan import Plan, plan_for
from katamuki.api.values import Limits, Settings, check_labels, check_sigma, settings, weights_of
from katamuki.backends import numpy_
from katamuki.data.names import IN_MEMORY
from katamuki.data.selection import Columns, Missing
from katamuki.errors import DataError, FormulaError
from katamuki.messages import few
from katamuki.problem import Problem
from katamuki.problem.distant import Elsewhere, Wanted
from katamuki.problem.large import LARGE, LargeProblem
from katamuki.records import Array, Rows, SigmaIs, Source
from katamuki.solvers.linear_passes import near_by
from katamuki.spelling import nearest

# Σ w y² must lie between these, or the sum of squared residuals, 1e-32 of it or less, loses its digits or overflows.
SMALLEST, LARGEST = 1e-260, 1e300
MANY = 6  # parameters that a remedy fixes at most


class Given(NamedTuple):
    """What ``katamuki.fit`` was given beside the model and the data, by the names of its arguments."""

    start: Mapping[str, Any] | None = None
    bounds: Limits | None = None
    fixed: Mapping[str, Any] | None = None
    params: Sequence[str] | None = None
    sigma: object = None
    sigma_is: SigmaIs | None = None
    weights: object = None
    where: str | None = None
    missing: Missing = "error"
    threads: int | None = None
    max_memory: int | None = None
    seed: int = 0
    batch_size: int | None = None


@dataclass(slots=True)
class Prepared:
    """A problem and where it came from; ``used`` names the columns that the formula, sigma and weights read."""

    plan: Plan
    said: Settings
    weighing: SigmaIs | None
    used: tuple[str, ...]
    columns: sources.Columns
    problem: Problem


def prepare(model: str | Callable[..., object], data: object, given: Given) -> Prepared:
    """Check arguments of ``katamuki.fit`` and make the problem that they describe; names are known to be names."""
    start, bounds, fixed, params, sigma, sigma_is, weights, where, missing, threads, max_memory, *_ = given
    weighing = check_sigma(sigma, sigma_is, weights)
    rows = sources.rows(data)
    plan = plan_for(model, rows.names, params, (*(start or ()), *(bounds or ()), *(fixed or ())))
    said = settings(plan.kernel.parameters, start, bounds, fixed)
    used = plan.model.columns
    _check_reads(plan, said.free, rows.names)
    for what, one in (("sigma", sigma), ("weights", weights)):
        if isinstance(one, str) and one not in used:
            used = (*used, one)
        elif one is not None:
            check_labels(what, one, data)
    apart = elsewhere.elsewhere(rows, used, max_memory)
    if apart is not None:
        return _prepare_distant(plan, said, weighing, used, apart, given)
    large = _prepare_large(plan, said, weighing, used, rows, given)
    if large is not None:
        return large
    columns = sources.select(rows, used, where, missing)
    arrays = columns.arrays
    y = _response(plan, columns)
    if len(y) < len(said.free):
        raise too_few(said.free, len(y))
    jumps.refuse(plan.jumps, plan.model, said, arrays)
    kept = None if columns.index is None else np.asarray(columns.index)
    alike = sigma is None and weights is None  # counting the rows of a source may cost
    w = None if alike else weights_of(sigma, weights, arrays, len(rows), kept, len(y))
    problem = plan.problem([arrays[name] for name in plan.kernel.columns], y, w, said.start, said.free, threads)
    check_totals(problem, plan.model.response)
    return Prepared(plan, said, weighing, used, columns, problem)


def _prepare_large(
    plan: Plan, said: Settings, weighing: SigmaIs | None, used: tuple[str, ...], rows: Rows, given: Given
) -> Prepared | None:
    """A linear formula on so many rows that one pass must do; None where rows must be gone through with care."""
    whole = given.where is None and given.sigma is None and given.weights is None
    if not whole or plan.response_column is None or plan.kind != "formula" or not plan.is_linear(said.free):
        return None
    columns = sources.at_once(rows, used, LARGE)
    if columns is None:
        return None
    arrays = columns.arrays
    model = (plan.kernel, [arrays[name] for name in plan.kernel.columns], arrays[plan.response_column])
    problem = LargeProblem(*model, said.start, said.free, given.threads, given.seed)
    try:
        if plan.jumps:
            jumps.refuse(plan.jumps, plan.model, said, {name: one[problem.rows] for name, one in arrays.items()})
        if problem.look(near_by(problem)[0]):
            check_totals(problem, plan.model.response)
            return Prepared(plan, said, weighing, used, columns, problem)
    except BaseException:
        problem.close()
        raise
    problem.close()  # the careful way names the rows at fault
    return None


def _prepare_distant(
    plan: Plan,
    said: Settings,
    weighing: SigmaIs | None,
    used: tuple[str, ...],
    rows: Elsewhere,
    given: Given,
) -> Prepared:
    """The problem of rows that stay where they are; one in memory where few of them count."""
    sigma, weights = (_name_or_number(what, getattr(given, what)) for what in ("sigma", "weights"))
    if given.batch_size is not None:
        elsewhere.refuse_batches(rows, given.batch_size)
    problem = elsewhere.distant(
        rows,
        Wanted(
            kernel=plan.kernel,
            model=plan.model,
            response=plan.response_column,
            used=used,
            values=said.start,
            free=said.free,
            sigma=sigma,
            weights=weights,
            where=given.where,
            missing=given.missing,
            threads=given.threads,
            seed=given.seed,
            linear=plan.is_linear(said.free),
            sample=elsewhere.sample_rows(len(used), given.max_memory),
            memory=elsewhere.memory(given.max_memory),
            left=partial(_part_of_response, plan),
            weigh=lambda arrays, n: weights_of(sigma, weights, arrays, n, None, n),
        ),
    )
    try:
        if problem.counted < len(said.free):
            raise too_few(said.free, problem.counted)
        jumps.refuse(plan.jumps, plan.model, said, problem.drawn.arrays)
        check_totals(problem.sample, plan.model.response)
    except BaseException:
        problem.close()
        raise
    if problem.whole:
        columns = sources.Columns(problem.drawn.arrays, problem.source, problem.drawn.index)
        return Prepared(plan, said, weighing, used, columns, problem.sample)
    return Prepared(plan, said, weighing, used, problem.drawn, problem)


def _name_or_number(what: str, given: object) -> str | float | None:
    """sigma or weights of rows that are elsewhere: one number, or the name of a column beside them."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, int | float | np.integer | np.floating) and not isinstance(given, bool):
        return float(given)
    raise DataError("E-STREAM", "stream.weights", what=what)


def _check_reads(plan: Plan, free: Sequence[str], columns: Sequence[str]) -> None:
    """Refuse several parameters and no column on the right side: one number cannot tell them apart.

    A column's name that was mistyped is a parameter, so that this is how such a formula often arrives.
    """
    if plan.model.rhs is None or plan.model.rhs.columns or len(free) < 2:
        return
    others = [name for name in columns if name not in plan.model.columns]
    values: dict[str, Any] = {"names": few(free), "response": plan.model.response, "columns": few(others, 20)}
    if not others:
        raise FormulaError("E-COLUMN", "api.reads_none_there", **values)
    near = ((name, nearest(name, others)) for name in free)
    name, column = next(((name, one) for name, one in near if one is not None), ("", ""))
    key = "api.reads_none_near" if name else "api.reads_none"
    raise FormulaError("E-COLUMN", key, **values, name=name, column=column or others[0])


def too_few(free: Sequence[str], rows: int) -> DataError:
    """More parameters than rows: which ones, since a mistyped column is one of them; and how many to fix."""
    many, held = len(free) - rows, free[rows:]
    values: dict[str, Any] = {"free": len(free), "names": few(free), "rows": rows, "many": many}
    if rows < 1 or many > MANY:
        return DataError("E-TOOFEW", "api.too_few_rows", **values)
    shell = ",".join(f"{name}=0" for name in held)
    python = ", ".join(f'"{name}": 0' for name in held)
    return DataError("E-TOOFEW", "api.too_few", **values, shell=shell, python=f"{{{python}}}")


def check_totals(problem: Problem, response: str) -> None:
    """Refuse a response so large or small that sums of its squares have no digits."""
    if not SMALLEST < problem.tss_about_zero < LARGEST and problem.y.any():
        raise DataError("E-OVERFLOW", "api.range", response=response, total=f"{problem.tss_about_zero:.3g}")


def _response(plan: Plan, columns: Columns) -> Array:
    """The left side, row by row (n,)."""
    arrays = columns.arrays
    if plan.response_column is not None:
        return arrays[plan.response_column]
    (y,) = numpy_.evaluate(plan.model.lhs, arrays, {})
    y = np.ascontiguousarray(y)
    if not np.isfinite(y).all():
        raise failures.response_error(plan, columns)
    return y


def _part_of_response(plan: Plan, arrays: Mapping[str, Array]) -> Array:
    """The left side of some rows that pass by; an error counts within them."""
    return _response(plan, Columns(dict(arrays), Source(IN_MEMORY, "mapping", -1), None))

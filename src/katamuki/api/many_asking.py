"""From the arguments of ``katamuki.fit_many`` to a road, a task and a supply of curves: all that is checked once.

What is wrong with the call, the formula or a whole column is an error before anything is fitted. What is wrong with one
curve is not seen here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from katamuki import data as sources
from katamuki.api import jumps
from katamuki.api.computing import kind_of
from katamuki.api.elsewhere import estimated, memory, said
from katamuki.api.many_blocks import Weighing
from katamuki.api.many_cluster import OnCluster
from katamuki.api.many_one import Road
from katamuki.api.many_passing import Passing
from katamuki.api.many_rows import Supply
from katamuki.api.many_supply import CURVE, EACH, Each, long_supply, names_of, wide, wide_supply
from katamuki.api.options import Asked, check_names, check_options, shown
from katamuki.api.plan import Plan, plan_for
from katamuki.api.preparing import _check_reads
from katamuki.api.values import Limits, check_labels, check_sigma, settings, weights_of
from katamuki.cluster import ClusterTable
from katamuki.data.names import printable
from katamuki.data.selection import Missing
from katamuki.data.streams import Stream, batch_rows
from katamuki.errors import BackendError, BoundsError, DataError, FormulaError
from katamuki.many.curves import ManyTask
from katamuki.many.table import LAST, columns_of
from katamuki.many.writing import SCHEMA
from katamuki.records import Rows, SigmaIs

HELD = 3  # times the columns exist while they are grouped in memory
SHARE = 8  # batches that are read may take this part of the memory


class Given(NamedTuple):
    """What ``katamuki.fit_many`` was given beside the model and the data, by the names of its arguments."""

    by: object = None
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
    starts: int | str = "auto"
    seed: int = 0
    max_memory: int | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be done: which curves, how each is fitted, how rows are weighted."""

    road: Road
    task: ManyTask
    weighing: Weighing
    supply: Supply | OnCluster
    missing: Missing
    max_memory: int | None = None
    inputs: tuple[Path, ...] = ()  # the files that are read

    @property
    def named(self) -> tuple[str, ...]:
        """The key columns of tables on their way, with the one that says where a row belongs."""
        return (*self.supply.by, *getattr(self.supply, "order", ()))


def wanted(model: str | Callable[..., object], data: object, given: Given) -> Wanted:
    """Check the arguments, read the formula and the keys."""
    if kind_of(model, None) != "formula":
        raise BackendError("E-BACKEND", "many.module", given=type(model).__name__)
    check_options(given.starts, given.seed, None, given.threads, None, None)
    check_names(given.start, given.bounds, given.fixed, given.params)
    if given.missing not in ("error", "drop"):
        raise DataError("E-USAGE", "data.missing_option", given=str(given.missing))
    weighing = check_sigma(given.sigma, given.sigma_is, given.weights)
    arrays = wide(data)
    rows = None if arrays is not None else sources.rows(data)
    names = tuple(arrays) if arrays is not None else rows.names  # type: ignore[union-attr]
    if arrays is None:
        assert rows is not None
        by = names_of(given.by, names, rows.known.name if isinstance(rows, sources.Table) else rows.source.name)
    else:
        by = _no_keys(given.by)
    told = (*(given.start or ()), *(given.bounds or ()), *(given.fixed or ()))
    plan = plan_for(model, names, given.params, told)
    said = settings(plan.kernel.parameters, given.start, given.bounds, given.fixed)
    _check_reads(plan, said.free, [name for name in names if name not in by])
    jumps.refuse(plan.jumps, plan.model, said, {name: np.zeros(1) for name in plan.model.columns})
    used, how, each = _weights(plan, data, given)
    _check_keys(by, used, plan)
    road = Road(plan, said, weighing, used, Asked(given.starts, given.seed))
    task = ManyTask(
        kernel=plan.kernel,
        free=said.free,
        values=np.array([said.start[name] for name in plan.kernel.parameters], dtype=np.float64),
        given=said.given,
        bounds=said.bounds,
        sigma_is=weighing,
        linear=plan.is_linear(said.free),
        starts=given.starts,
        seed=given.seed,
        one=road.one,
    )
    supply = _supply(rows, arrays, by, used, each, given)
    inputs = tuple(part.path for part in getattr(rows, "parts", ()) if isinstance(getattr(part, "path", None), Path))
    return Wanted(road, task, how, supply, given.missing, given.max_memory, inputs)


def _supply(
    rows: Rows | None, arrays: dict[str, Any] | None, by: tuple[str, ...], used: tuple[str, ...], each: Each,
    given: Given,
) -> Supply | OnCluster:  # fmt: skip
    """Where the curves come from."""
    if arrays is not None:
        return wide_supply(arrays, used, each, given.where)
    if isinstance(rows, ClusterTable):
        if each is not None:
            raise DataError("E-STREAM", "stream.weights", what=each[0])
        return OnCluster(rows, by, used, given.where, given.missing)
    assert rows is not None
    return many_supply(rows, by, used, each, given)


def many_supply(rows: Rows, by: tuple[str, ...], used: tuple[str, ...], each: Each, given: Given) -> Supply:
    """The curves of a long table: in memory, or passing by where they do not fit."""
    if not isinstance(rows, sources.Table) and hasattr(rows, "road"):
        raise DataError("E-STREAM", "many.elsewhere", kind=str(rows.road))
    limit = memory(given.max_memory)
    needed = HELD * estimated(rows, (*used, *by)) if isinstance(rows, sources.Table) and rows.parts else 0
    if needed <= limit or not isinstance(rows, sources.Table):
        return long_supply(rows, by, used, each, given.where, given.missing, given.threads)
    if each is not None:
        raise DataError("E-STREAM", "stream.weights", what=each[0])
    if rows.time:
        raise DataError("E-STREAM", "stream.time", names=", ".join(rows.time), needed=said(needed), limit=said(limit))
    stream = Stream(rows.parts, rows.known, batch_rows(len(used) + len(by), 1, limit // SHARE))
    return Passing(stream, by, used, given.where, given.missing, limit, given.threads)


def _no_keys(by: object) -> tuple[str, ...]:
    """Wide arrays have no key columns but the number of the curve."""
    if by is not None:
        raise BoundsError("E-BY", "many.wide_by", given=shown(by))
    return (CURVE,)


def _weights(plan: Plan, data: object, given: Given) -> tuple[tuple[str, ...], Weighing, Each]:
    """The columns that are read, how rows are weighted, and sigma or weights that are an array beside the table."""
    used = plan.model.columns
    what = "sigma" if given.sigma is not None else "weights"
    one = given.sigma if given.sigma is not None else given.weights
    sigma = given.sigma is not None
    if one is None:
        return used, Weighing(), None
    if isinstance(one, str):
        return (used if one in used else (*used, one)), Weighing(one, None, sigma), None
    check_labels(what, one, data)
    if np.ndim(one) == 0:  # type: ignore[arg-type]
        weights_of(given.sigma, given.weights, {}, 1, None, 1)  # refuses what is no size
        return used, Weighing(None, float(one), sigma), None  # type: ignore[arg-type]
    return used, Weighing(EACH, None, sigma), (what, one)


def _check_keys(by: Sequence[str], used: Sequence[str], plan: Plan) -> None:
    """Refuse names that would stand twice in the table, or that its own columns have."""
    for name in by:
        if name in used:
            raise BoundsError("E-BY", "many.by_used", name=printable(name), formula=plan.model.text)
    parameters = plan.kernel.parameters
    for name in (*by, *used, *parameters):
        if name.startswith("_"):
            raise FormulaError("E-NAME", "many.underscore", name=printable(name), all=", ".join(LAST))
    names = columns_of(by, parameters)
    for k, name in enumerate(names):
        if name in names[:k]:
            raise FormulaError("E-NAME", "many.name_twice", name=printable(name))


def manifest(todo: Wanted, given: Given) -> dict[str, Any]:
    """What is fitted and how, as plain data: a run that goes on must have the same."""
    road, task = todo.road, todo.task
    return {
        "schema": SCHEMA,
        "version": version("katamuki"),
        "formula": road.plan.model.text,
        "by": list(todo.supply.by),
        "free": list(task.free),
        "start": {name: road.said.start[name] for name in sorted(task.given)},
        "fixed": {name: one for name, one in road.said.start.items() if name not in task.free},
        "bounds": {name: [repr(low), repr(high)] for name, (low, high) in task.bounds.items()},
        "weights": {"column": todo.weighing.column, "number": todo.weighing.number, "sigma": todo.weighing.sigma},
        "sigma_is": road.weighing,
        "where": given.where,
        "missing": given.missing,
        "starts": given.starts,
        "seed": int(given.seed),
    }

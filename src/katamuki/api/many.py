"""``katamuki.fit_many``: one formula, many curves, a table with a row for each."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from katamuki.api.elsewhere import memory, said
from katamuki.api.many_asking import Given, Wanted, manifest, wanted
from katamuki.api.many_blocks import Places, Unseen, Work
from katamuki.api.many_checking import SAMPLE, Checked, agreement, drawn
from katamuki.api.many_cluster import OnCluster
from katamuki.api.many_curves import Single, plain
from katamuki.api.many_partitions import Trip
from katamuki.api.many_passing import Passing
from katamuki.api.many_result import Many
from katamuki.api.many_rows import InMemory
from katamuki.api.many_running import Ending, Progress, run
from katamuki.api.options import check_options, shown
from katamuki.api.values import Limits
from katamuki.cluster import ClusterTable
from katamuki.data.selection import Missing
from katamuki.errors import BoundsError, DataError, FitWarning
from katamuki.many.curves import ManyTask
from katamuki.many.folder import Folder
from katamuki.many.sheet import Sheet, room_of
from katamuki.many.stored import kind_of
from katamuki.many.table import FIRST, empty, ordered, together
from katamuki.many.writing import Parts, apart
from katamuki.messages import Phrase
from katamuki.problem import available_cores
from katamuki.records import SigmaIs


def fit_many(
    model: str | Callable[..., object],
    data: object,
    *,
    by: str | Sequence[str] | None = None,
    start: Mapping[str, Any] | None = None,
    bounds: Limits | None = None,
    fixed: Mapping[str, Any] | None = None,
    params: Sequence[str] | None = None,
    sigma: object = None,
    sigma_is: SigmaIs | None = None,
    weights: object = None,
    where: str | None = None,
    missing: Missing = "error",
    starts: int | str = "auto",
    seed: int = 0,
    threads: int | None = None,
    max_seconds: float | None = None,
    max_memory: int | None = None,
    progress: Progress | None = None,
    output: str | os.PathLike[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    check: int = SAMPLE,
) -> Many:
    """Fit one formula to many curves: each by itself, as :func:`katamuki.fit` does, into one table.

    For each curve the parameters minimise Σ w (y − f(x; parameters))² over its rows. A curve that cannot be fitted is a
    row with its code, and never stops the others.

    Parameters
    ----------
    model : str or function
        A formula or a NumPy function, as in :func:`katamuki.fit`. Names of columns and parameters do not begin with an
        underscore here: the table's own columns do.
    data : mapping, DataFrame, path or source
        A long table: columns of all curves' rows, in any order. Or wide arrays: a mapping with y (b, n) and x (n,) or
        (b, n) for b curves of n rows, whose key in the table is ``curve``, 0 to b − 1.
    by : str or sequence of str
        The columns that tell curves apart; none for wide arrays. They are not part of the formula.
    start, bounds, fixed, params : optional
        As in :func:`katamuki.fit`, the same for all curves.
    sigma, sigma_is, weights : optional
        As in :func:`katamuki.fit`: a column's name, one number, or an array like y.
    where : str, optional
        A condition on columns of a long table such as ``"x > 4"``; other rows are left out.
    missing : "error" or "drop"
        What becomes of a curve that lacks a value in a used column: it is not fitted and gets the code MISSING, or it
        is fitted without those rows. Infinite values count as missing.
    starts, seed : optional
        As in :func:`katamuki.fit`, for each curve.
    threads : int, optional
        By default one per core that this process may use; the table does not depend on it.
    max_seconds : float, optional
        Stop after so long, with the curves that were finished.
    max_memory : int, optional
        Bytes; by default a quarter of the machine's. Files that are larger are read in pieces, and their rows brought
        together on disk where a curve's rows are not; a table that does not fit needs ``output``.
    progress : function, optional
        Called with curves done, curves in all and seconds left (NaN as long as nobody knows).
    output : path, optional
        A file for the table, ``.parquet``, ``.csv`` or ``.arrow``. Finished curves are written to a folder beside it as
        the run goes on, ``<output>.parts``, which becomes the file at the end.
    resume : bool
        Go on with the parts of a run that was killed, interrupted or out of time: no finished curve is fitted again.
        Formula, options and data must be the same.
    overwrite : bool
        Replace an output, or parts of one, that is there; without it that is an error.
    check : int
        How many randomly drawn curves are fitted again by :func:`katamuki.fit` and judged by the answer check; 0: none.

    Returns
    -------
    Many
        ``.table`` has a row per curve, in the order in which keys first appear.

    Raises
    ------
    FormulaError, DataError, BoundsError
        As :func:`katamuki.fit` for what is wrong with the call or the whole table, and where ``by`` names no column.
    BackendError
        If the model is a module of PyTorch.
    DataError
        If the output cannot be written; what was finished is kept.

    Source
    ------
    Moré 1978 and Nielsen 1999 for each curve's steps; closed form where the formula is linear in its parameters.

    Example
    -------
    >>> import katamuki as km
    >>> wells = ["A1"] * 4 + ["A2"] * 4
    >>> data = {"well": wells, "t": [0.0, 1.0, 2.0, 3.0] * 2, "y": [4.0, 2.1, 0.9, 0.6, 3.0, 2.5, 2.0, 1.7]}
    >>> many = km.fit_many("y ~ a*exp(-b*t)", data, by="well")
    >>> [round(b, 3) for b in many.table.column("b").to_pylist()], many.counts["failed"]
    ([0.681, 0.194], 0)
    """
    began = time.perf_counter()
    _check(max_seconds, max_memory, progress, check)
    place = _place(output, resume, overwrite, isinstance(data, ClusterTable))
    asked = Given(by, start, bounds, fixed, params, sigma, sigma_is, weights, where, missing, threads, starts, seed,
                  max_memory)  # fmt: skip
    todo = wanted(model, data, asked)
    deadline = None if max_seconds is None else time.monotonic() + max_seconds
    store = None if place is None else _opened(todo, asked, place, resume, overwrite)
    found = _fitted(todo, store, threads or available_cores(), deadline, progress, began)
    _checked(found, check, seed)
    if not found.finished:
        key = "many.warn_interrupted" if found.ending == "interrupted" else "many.warn_time"
        warnings.warn(FitWarning(Phrase(key, curves=len(found), all=_all(found.curves))), stacklevel=2)
    return found


def _all(curves: int) -> str | Phrase:
    """How many curves there are, where somebody knows."""
    return str(curves) if curves >= 0 else Phrase("many.uncounted")


def _check(max_seconds: object, max_memory: object, progress: object, check: object) -> None:
    """Refuse options that mean nothing."""
    check_options(1, 0, max_memory, None, max_seconds, progress)
    if isinstance(check, bool) or not isinstance(check, int) or check < 0:
        raise BoundsError("E-USAGE", "many.check", given=shown(check))


def _place(output: object, resume: object, overwrite: object, on_cluster: bool) -> Path | None:
    """Where the table goes, if to a file; from a cluster it may go to a folder."""
    if output is None:
        if resume or overwrite:
            raise BoundsError("E-USAGE", "many.no_output_resume" if resume else "many.no_output_overwrite")
        return None
    if not isinstance(output, str | os.PathLike) or not os.fspath(output):
        raise BoundsError("E-USAGE", "many.output", given=shown(output))
    if resume and overwrite:
        raise BoundsError("E-USAGE", "many.resume_overwrite")
    place = Path(os.fsdecode(output))
    if place.suffix or not on_cluster:
        kind_of(place)
    return place


def _opened(todo: Wanted, asked: Given, place: Path, resume: bool, overwrite: bool) -> Parts:
    """The parts of an output, and what they are parts of."""
    apart(place, todo.inputs)
    said = manifest(todo, asked) | {"data": todo.supply.identity()}
    given = (place, said, _nothing(todo).schema, bool(resume), bool(overwrite))
    if isinstance(todo.supply, OnCluster) and not place.suffix:
        return Folder(*given, todo.supply.ends.tolist())
    return Parts(*given)


def _nothing(todo: Wanted) -> Any:
    """The table without a row."""
    kinds = [key.type for key in todo.supply.keys]
    return empty(todo.named, kinds, todo.task.kernel.parameters)


def _fitted(
    todo: Wanted, store: Parts | None, threads: int, deadline: float | None, progress: Progress | None, began: float
) -> Many:
    """Fit all curves that are not in parts yet."""
    supply, before = todo.supply, store.done if store is not None else 0
    kept = _sheet(todo) if store is None and isinstance(supply, InMemory) else Kept(todo)
    ending: Ending = "done"
    if store is None or not store.complete:
        try:
            ending = _run(todo, kept if store is None else store, threads, deadline, progress)
        except BaseException:
            if store is not None:
                store.given_up()
            raise
        finally:
            supply.close()
    table = kept.table() if store is None else store.finish() if ending == "done" else store.stored()
    single = Single(todo.road, supply, todo.weighing, todo.missing, todo.inputs)
    seconds = time.perf_counter() - began
    found = Many(single, table, supply.source, supply.curves, seconds, threads, ending, before)
    if store is not None and not before and store.whole:
        found.resumed = len(found)
    dropped = supply.counted(len(found)) - found.rows
    found.data = replace(supply.source, rows=found.rows, dropped=supply.source.dropped + dropped)
    return found


def _sheet(todo: Wanted) -> Sheet:
    """Room for the table of curves that are all in memory; refused where it is too large for that."""
    supply = todo.supply
    made_of = (supply.keys, todo.task.kernel.parameters, supply.curves)
    needed, limit = room_of(*made_of), memory(todo.max_memory)
    if needed > limit:
        raise _too_large(supply.curves, needed, limit)
    return Sheet(supply.by, *made_of)


def _too_large(curves: int, needed: int, limit: int) -> DataError:
    return DataError("E-MEMORY", "many.table_memory", curves=curves, needed=said(needed), limit=said(limit))


class Kept:
    """Tables that stay in memory: refused once they are too large for it.

    Parameters
    ----------
    todo : Wanted
        Whose table it is.
    """

    def __init__(self, todo: Wanted) -> None:
        self.tables, self.limit = [_nothing(todo)], memory(todo.max_memory)
        self.bytes = self.curves = 0

    def add(self, table: Any) -> None:
        """Take finished curves."""
        self.tables.append(table)
        self.bytes += table.nbytes
        self.curves += len(table)
        if 2 * self.bytes > self.limit:  # they exist twice while they are made one
            raise _too_large(self.curves, 2 * self.bytes, self.limit)

    def table(self) -> Any:
        """All of them as one, in their order."""
        found = together(self.tables)
        return ordered(found) if FIRST in found.column_names else found


def _unseen(task: ManyTask) -> Unseen | None:
    """The engine of closed forms, which a look at every number beforehand would cost as much as the sums."""
    from katamuki.many.straight import fit_unseen, telling

    return Unseen(fit_unseen, telling(task.kernel, task.free)) if task.linear and not task.bounds else None


def _places(todo: Wanted) -> Places:
    """The columns of the table's first curve, where starts are made from columns and others may have the same."""
    task = todo.task
    names = task.kernel.columns
    first = None if (task.linear and not task.bounds) or not names else todo.supply.foremost()
    if first is None:
        return None
    found = tuple(np.ascontiguousarray(first.arrays[name]) for name in names)
    return found if all(len(one) and np.isfinite(one).all() for one in found) else None


def _run(
    todo: Wanted, into: Parts | Kept | Sheet, threads: int, deadline: float | None, progress: Progress | None
) -> Ending:
    """Fit them by threads of this process, or by the workers of a cluster."""
    from katamuki.many.engine import fit_curves

    store = into if isinstance(into, Parts) else None
    sheet = into if isinstance(into, Sheet) else None
    supply, done = todo.supply, store.done if store is not None else 0
    if isinstance(supply, OnCluster):
        places = _places(todo)
        trip = Trip(look=supply.look, road=todo.road, task=todo.task, weighing=todo.weighing, places=places)
        assert not isinstance(into, Sheet)
        if isinstance(store, Folder):
            return supply.run(
                trip, into.add, deadline=deadline, progress=progress, folder=str(store.folder), skip=store.finished
            )
        return supply.run(trip, into.add, done=done, deadline=deadline, progress=progress)
    work = Work(todo.road, todo.task, lambda task, curves: fit_curves(task, curves, 1), todo.weighing, todo.missing,
                todo.named, sheet, _unseen(todo.task), lambda: _places(todo))  # fmt: skip
    if isinstance(supply, Passing) and store is not None:
        supply.folder = store.folder
    supply.skip(done)
    options: dict[str, Any] = {"threads": threads, "deadline": deadline, "progress": progress, "done": done}
    sink = (lambda one: into.handed(len(one))) if isinstance(into, Sheet) else (lambda one: into.add(one.table))
    return run(supply, work, sink, **options)


def _checked(found: Many, count: int, seed: int) -> None:
    """Have a random sample of the curves judged; Ctrl-C ends the check, not the table."""
    curves, supply = [], found._single.supply
    try:
        places = drawn(found.column("_state"), count, seed)
        rows = found._rows(places) if places else []
        keys = [tuple(row[name] for name in found.by) for row in rows]
        if isinstance(supply, OnCluster | Passing) and keys:
            supply.fetch([plain(key) for key in keys])
        for at, key, row in zip(places, keys, rows, strict=True):
            curves.append(agreement(key, row, found._single.again(key, at)))
    except KeyboardInterrupt:
        pass
    found.checked = Checked(tuple(curves))

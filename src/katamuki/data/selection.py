"""The columns that a fit uses: converted, of one length, filtered, and free of missing values.

Columns that the formula does not use are never touched, so whatever stands in them does not matter. A plain mapping
of finite float64 arrays goes through without a copy; the arrays are then the caller's own. Everything else goes the
careful way, which gives the same numbers or an error that names rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from katamuki.data import condition as conditions
from katamuki.data.cells import Cells, row
from katamuki.data.convert import Plain, is_array, quick
from katamuki.data.names import IN_MEMORY, printable, some
from katamuki.data.raw import held, numbers_of, one_length, raw_of, taken
from katamuki.data.sources import Mapped
from katamuki.data.table import Table
from katamuki.errors import DataError
from katamuki.records import Array, Rows, Source

Missing = Literal["error", "drop"]


@dataclass(frozen=True, slots=True)
class Columns:
    """What a fit works on: ``arrays`` by name, (n,) float64, contiguous, finite; ``index`` (n,) of the rows kept.

    ``index`` counts from 0 in the source; None means all rows.
    """

    arrays: dict[str, Array]
    source: Source
    index: NDArray[np.int64] | None


@lru_cache(maxsize=64)
def _in_memory(kind: str, n: int) -> Source:
    return Source(IN_MEMORY, kind, n)


def at_once(rows: Rows, used: Sequence[str], least: int) -> Columns | None:
    """The used columns of a mapping as they are, if all are float64 arrays of one length of at least ``least``.

    Nobody has looked at their values: whoever asks for them does, and goes the careful way where one is not finite.
    """
    if type(rows) is not Mapped:
        return None
    arrays: dict[str, Array] = {}
    for name in used:
        column = rows.columns.get(name)
        if not is_array(column) or len(column) < least:
            return None
        arrays[name] = column
    if len({len(one) for one in arrays.values()}) != 1:
        return None
    return Columns(arrays, _in_memory("mapping", len(arrays[used[0]])), None)


def select(rows: Rows, used: Sequence[str], where: str | None = None, missing: Missing = "error") -> Columns:
    """The used columns as float64, checked: of one length, without missing or infinite values, at least one row.

    Parameters
    ----------
    rows : Rows
        From ``rows``, ``read`` or ``datasets``.
    used : sequence of str
        The columns that the fit uses; others do not matter.
    where : str, optional
        A condition on columns, used or not, such as ``"x > 4 and kind == 'a'"``.
    missing : "error" or "drop"
        What to do with rows where a used column, or a column of ``where``, has no finite value.

    Returns
    -------
    Columns
        ``source`` says how many rows were left out and dropped.

    Raises
    ------
    DataError
        Naming the column and the rows, counted from 1 without the header.

    Example
    -------
    >>> from katamuki.data import datasets
    >>> found = select(datasets("tutorial"), ["x", "y"], where="x > 12")
    >>> found.arrays["y"], found.index, found.source.filtered
    (array([7.58, 9.96]), array([2, 5]), 9)
    """
    if where is None and type(rows) is Mapped and missing in ("error", "drop"):
        columns, arrays, n = rows.columns, {}, -1
        for name in used:
            column = columns.get(name)
            array = quick(column)
            if array is None or (len(array) != n and n >= 0) or not len(array):
                break
            arrays[name] = array
            n = len(array)
        else:
            if n > 0:
                return Columns(arrays, _in_memory("mapping", n), None)
    return _select(rows, used, where, missing)


def _select(rows: Rows, used: Sequence[str], where: str | None, missing: Missing) -> Columns:
    if missing not in ("error", "drop"):
        raise DataError("E-USAGE", "data.missing_option", given=str(missing))
    condition = None if where is None else conditions.parse(where)
    textual = condition.textual if condition else ()
    names = tuple(dict.fromkeys((*used, *(condition.numeric if condition else ()))))
    table = rows if isinstance(rows, Table) else None
    raw = raw_of(rows, names, textual)
    n = one_length(raw, len(rows) if not raw else None)
    place = (table.known if table else rows.source).name
    if n == 0:
        raise DataError("E-EMPTY", "data.no_rows", place=place)
    found = narrowed(table, raw, used, condition, n, missing)
    index, kept = found.index, found.rows
    if not kept:
        if found.filtered + found.unknown == n:
            raise DataError("E-EMPTY", "data.where_none", condition=printable(where or ""), count=n, place=place)
        raise DataError("E-EMPTY", "data.drop_none", count=found.dropped - found.unknown, place=place)
    known = table.known if table else rows.source
    source = replace(
        known, rows=kept, filtered=found.filtered, dropped=found.dropped, where=where,
        decimal=found.mark or known.decimal,
    )  # fmt: skip
    return Columns(found.arrays, source, index)


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Rows that a condition and missing values leave: ``arrays`` (rows,), ``index`` of them where not all are kept.

    ``unknown`` of the ``dropped`` rows had no value in a column of the condition; ``mark`` is the decimal mark of text.
    """

    arrays: dict[str, Array]
    index: NDArray[np.int64] | None
    rows: int
    filtered: int
    dropped: int
    unknown: int
    mark: str | None


def narrowed(
    table: Table | None,
    raw: Mapping[str, Plain],
    used: Sequence[str],
    condition: conditions.Condition | None,
    n: int,
    missing: Missing,
    at: NDArray[np.int64] | None = None,
) -> Narrowed:
    """Raw columns (n,) as float64 without the rows that a condition leaves out or that lack a value.

    ``at`` are the rows' numbers (from 0) in their source, for errors, where ``raw`` is a part of it.
    """
    index: NDArray[np.int64] | None = None
    filtered = unknown = 0
    if condition is not None:
        true, lost, without = held(condition, table, raw, n, at)
        if lost.any() and missing == "error":
            raise without_value({name: np.where(mask, np.nan, 0.0) for name, mask in without.items()}, lost, at)
        unknown, index = int(lost.sum()), np.flatnonzero(true)
        filtered = n - len(index) - unknown
        raw, at, index = taken({name: raw[name] for name in used}, n, index, at)
    mark = table.mark({name: raw[name] for name in used}, at) if table else "."
    arrays = {name: numbers_of(table, name, raw[name], mark, at) for name in used}
    rows = n if index is None else len(index)
    arrays, kept, more = _finite(arrays, at, missing)
    if kept is not None:
        index, rows = kept if index is None else index[kept], len(kept)
    has_text = any(isinstance(column, Cells) for column in raw.values())
    return Narrowed(arrays, index, rows, filtered, unknown + more, unknown, mark if has_text else None)


def _finite(
    arrays: dict[str, Array], at: NDArray[np.int64] | None, missing: Missing
) -> tuple[dict[str, Array], NDArray[np.int64] | None, int]:
    """The arrays without the rows that have no finite value, which rows those are (None: all), how many were not."""
    if all(np.vdot(array, array) < np.inf for array in arrays.values()):
        return arrays, None, 0
    bad = np.logical_or.reduce([~np.isfinite(array) for array in arrays.values()])
    count = int(bad.sum())
    if not count:
        return arrays, None, 0
    if missing == "error":
        raise without_value(arrays, bad, at)
    kept = np.flatnonzero(~bad)
    return {name: array[kept] for name, array in arrays.items()}, kept, count


def without_value(arrays: Mapping[str, Array], bad: NDArray[np.bool_], at: NDArray[np.int64] | None) -> DataError:
    """The refusal of rows where an array has no finite value, ``bad`` (n,) of them: it names the first eight."""
    shown, infinite = [], any(np.isinf(array).any() for array in arrays.values())
    for i in np.flatnonzero(bad)[:8]:
        at_fault = [name for name, array in arrays.items() if not np.isfinite(array[i])]
        words = [f"{name} = {arrays[name][i]:g}" if np.isinf(arrays[name][i]) else name for name in at_fault]
        shown.append(f"{row(int(i), at)} ({', '.join(words)})")
    count = int(bad.sum())
    key = ("data.infinite" if infinite else "data.missing") + ("_one" if count == 1 else "")
    return DataError("E-MISSING", key, count=count, rows=some(shown, 8, count))

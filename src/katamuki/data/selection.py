"""The columns that a fit uses: converted, of one length, filtered, and free of missing values.

Columns that the formula does not use are never touched, so whatever stands in them does not matter. A plain mapping
of finite float64 arrays goes through without a copy; the arrays are then the caller's own. Everything else goes the
careful way, which gives the same numbers or an error that names rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from katamuki.data import condition as conditions
from katamuki.data.cells import Cells, is_missing, row
from katamuki.data.convert import Plain, absent, quick
from katamuki.data.names import IN_MEMORY, Place, printable, some
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
    raw = _raw(rows, names, textual)
    n = _one_length(raw, len(rows) if not raw else None)
    place = (table.known if table else rows.source).name
    if n == 0:
        raise DataError("E-EMPTY", "data.no_rows", place=place)
    index: NDArray[np.int64] | None = None
    filtered = dropped = 0
    if condition is not None:
        index, filtered, dropped = _filter(condition, table, raw, n, missing)
        raw = {name: raw[name] for name in used}
        raw = {name: _take(column, index) for name, column in raw.items()}
        if not len(index):
            raise DataError("E-EMPTY", "data.where_none", condition=printable(where or ""), count=n, place=place)
    mark = table.mark({name: raw[name] for name in used}, index) if table else "."
    arrays = {name: _number(table, name, raw[name], mark, index) for name in used}
    arrays, index, more = _finite(arrays, index, missing, place)
    kept = next(iter(arrays.values())).size if arrays else (n if index is None else len(index))
    if index is not None and len(index) == n:
        index = None
    known = table.known if table else rows.source
    has_text = any(isinstance(column, Cells) for column in raw.values())
    source = replace(
        known, rows=kept, filtered=filtered, dropped=dropped + more, where=where,
        decimal=mark if has_text else known.decimal,
    )  # fmt: skip
    return Columns(arrays, source, index)


def _raw(rows: Rows, names: Sequence[str], textual: Sequence[str]) -> dict[str, Plain]:
    if isinstance(rows, Table):
        return rows.raw(names, textual)
    return {name: rows.column(name) for name in (*names, *textual)}


def _number(table: Table | None, name: str, raw: Plain, mark: str, at: NDArray[np.int64] | None) -> Array:
    if table is not None:
        return table.number(name, raw, mark, at)
    assert not isinstance(raw, Cells)
    return raw


def _one_length(raw: Mapping[str, Plain], otherwise: int | None) -> int:
    lengths = {name: len(column) for name, column in raw.items()}
    if not lengths:
        return otherwise or 0
    if len(set(lengths.values())) > 1:
        parts = some([f"{name} {length}" for name, length in lengths.items()])
        raise DataError("E-LENGTH", "data.length", lengths=parts)
    return next(iter(lengths.values()))


def _take(column: Plain, index: NDArray[np.int64]) -> Plain:
    if isinstance(column, Cells):
        return column.take(index)
    taken: NDArray[Any] = column[index]
    return taken


def _filter(
    condition: conditions.Condition, table: Table | None, raw: Mapping[str, Plain], n: int, missing: Missing
) -> tuple[NDArray[np.int64], int, int]:
    """The rows where a condition holds, how many it left out, and how many were dropped since it has no value there."""
    mark = table.mark({name: raw[name] for name in condition.numeric}) if table else "."
    numeric = {name: _number(table, name, raw[name], mark, None) for name in condition.numeric}
    textual = {name: _words(raw[name], name) for name in condition.textual}
    unknown = {name: np.isnan(values) for name, values in numeric.items()}
    unknown |= {name: np.array([word is None for word in words]) for name, words in textual.items()}
    lost = np.logical_or.reduce(list(unknown.values())) if unknown else np.zeros(n, dtype=bool)
    if lost.any() and missing == "error":
        raise _missing({name: np.where(mask, np.nan, 0.0) for name, mask in unknown.items()}, lost, None)
    true = conditions.holds(condition, numeric, textual, n) & ~lost
    index = np.flatnonzero(true)
    dropped = int(lost.sum())
    return index, n - len(index) - dropped, dropped


def _words(column: Plain, name: str) -> NDArray[Any]:
    """A column of text: (n,) objects, None where a value is missing."""
    if isinstance(column, Cells):
        values: list[Any] = [None if is_missing(cell) else cell.strip() for cell in column.cells]
    else:
        values = [None if absent(value) else value for value in column.tolist()]
    for value in values:
        if value is not None and not isinstance(value, str):
            raise DataError("E-WHERE", "data.where_no_text", column=name)
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def _finite(
    arrays: dict[str, Array], index: NDArray[np.int64] | None, missing: Missing, place: Place
) -> tuple[dict[str, Array], NDArray[np.int64] | None, int]:
    """The arrays without the rows that have no finite value, the rows kept, and how many were dropped."""
    if all(np.vdot(array, array) < np.inf for array in arrays.values()):
        return arrays, index, 0
    bad = np.logical_or.reduce([~np.isfinite(array) for array in arrays.values()])
    count = int(bad.sum())
    if not count:
        return arrays, index, 0
    if missing == "error":
        raise _missing(arrays, bad, index)
    kept = np.flatnonzero(~bad)
    if not len(kept):
        raise DataError("E-EMPTY", "data.drop_none", count=count, place=place)
    return {name: array[kept] for name, array in arrays.items()}, kept if index is None else index[kept], count


def _missing(arrays: Mapping[str, Array], bad: NDArray[np.bool_], at: NDArray[np.int64] | None) -> DataError:
    shown, infinite = [], any(np.isinf(array).any() for array in arrays.values())
    for i in np.flatnonzero(bad)[:8]:
        at_fault = [name for name, array in arrays.items() if not np.isfinite(array[i])]
        words = [f"{name} = {arrays[name][i]:g}" if np.isinf(arrays[name][i]) else name for name in at_fault]
        shown.append(f"{row(int(i), at)} ({', '.join(words)})")
    count = int(bad.sum())
    key = ("data.infinite" if infinite else "data.missing") + ("_one" if count == 1 else "")
    return DataError("E-MISSING", key, count=count, rows=some(shown, 8, count))

"""The columns that many fits use, as float64 with whatever is missing or infinite left in: one bad row is one curve's.

``select`` refuses a table for one missing value. Here rows without a value stay, so that the curve they belong to can
be marked and the others fitted. What is no number at all, such as text, is an error of the whole table here, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from katamuki.data import condition as conditions
from katamuki.data.cells import Cells
from katamuki.data.convert import Plain
from katamuki.data.names import Place, printable
from katamuki.data.raw import held, numbers_of, one_length, raw_of, taken
from katamuki.data.selection import Missing
from katamuki.data.table import Table
from katamuki.errors import DataError
from katamuki.records import Array, Rows, Source


@dataclass(frozen=True, slots=True)
class Unchecked:
    """Columns by name, (n,) float64, NaN where a value is missing; ``index`` (n,) of the rows kept, None: all.

    ``lost`` (n,) is true where a condition has no value; None: nowhere. ``source`` says how many rows were left out.
    """

    arrays: dict[str, Array]
    index: NDArray[np.int64] | None
    lost: NDArray[np.bool_] | None
    n: int
    source: Source


def unchecked(rows: Rows, used: Sequence[str], where: str | None = None, missing: Missing = "error") -> Unchecked:
    """The used columns of one length, filtered by a condition; missing and infinite values are left in.

    Parameters
    ----------
    rows, used, where
        As for ``select``.
    missing : "error" or "drop"
        Rows where the condition has no value are kept and marked, or dropped.

    Returns
    -------
    Unchecked
        The columns.

    Raises
    ------
    DataError
        Where a column is missing or no number, or no row is left.

    Example
    -------
    >>> from katamuki.data import rows
    >>> found = unchecked(rows({"x": [1.0, None, 3.0], "k": ["a", "b", "b"]}), ["x"], "k == 'b'")
    >>> found.arrays["x"], found.index
    (array([nan,  3.]), array([1, 2]))
    """
    if missing not in ("error", "drop"):
        raise DataError("E-USAGE", "data.missing_option", given=str(missing))
    condition = None if where is None else conditions.parse(where)
    names = tuple(dict.fromkeys((*used, *(condition.numeric if condition else ()))))
    table = rows if isinstance(rows, Table) else None
    raw = raw_of(rows, names, condition.textual if condition else ())
    n = one_length(raw, len(rows) if not raw else None)
    known = table.known if table else rows.source
    if n == 0:
        raise DataError("E-EMPTY", "data.no_rows", place=known.name)
    found = loosened(table, raw, used, condition, n, missing)
    if not found.n:
        raise _none_left(where or "", n, known.name)
    source = replace(known, rows=found.n, filtered=found.filtered, dropped=found.dropped, where=where)
    if found.mark is not None:
        source = replace(source, decimal=found.mark)
    return Unchecked(found.arrays, found.index, found.lost, found.n, source)


@dataclass(frozen=True, slots=True)
class Loose:
    """Rows that a condition leaves, as ``Unchecked`` has them, and how many it left out or had no value for."""

    arrays: dict[str, Array]
    index: NDArray[np.int64] | None
    lost: NDArray[np.bool_] | None
    n: int
    filtered: int
    dropped: int
    mark: str | None


def loosened(
    table: Table | None,
    raw: Mapping[str, Plain],
    used: Sequence[str],
    condition: conditions.Condition | None,
    n: int,
    missing: Missing,
    at: NDArray[np.int64] | None = None,
) -> Loose:
    """Raw columns (n,) as float64, filtered; ``at`` are the rows' numbers in their source, where these are a part."""
    index, lost, filtered, dropped = None, None, 0, 0
    if condition is not None:
        true, unknown, _ = held(condition, table, raw, n, at)
        left = true if missing == "drop" else true | unknown
        dropped = int(unknown.sum()) if missing == "drop" else 0
        index = np.flatnonzero(left)
        filtered = n - len(index) - dropped
        lost = unknown[index] if missing == "error" and unknown.any() else None
        raw, at, index = taken({name: raw[name] for name in used}, n, index, at)
    raw = {name: raw[name] for name in used}
    mark = table.mark(raw, at) if table else "."
    arrays = {name: numbers_of(table, name, raw[name], mark, at) for name in used}
    text = any(isinstance(raw[name], Cells) for name in used)
    kept = n if index is None else len(index)
    return Loose(arrays, index, lost, kept, filtered, dropped, mark if text else None)


def _none_left(where: str, n: int, place: Place) -> DataError:
    return DataError("E-EMPTY", "data.where_none", condition=printable(where), count=n, place=place)

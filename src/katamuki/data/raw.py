"""Columns as a source gives them, brought to float64, and where a condition holds: what every selection of rows does.

What becomes of rows without a value is not decided here: :mod:`katamuki.data.selection` refuses or drops them,
:mod:`katamuki.data.unchecked` leaves them in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.data import condition as conditions
from katamuki.data.cells import Cells, is_missing
from katamuki.data.convert import Plain, absent
from katamuki.data.names import some
from katamuki.data.table import Table
from katamuki.errors import DataError
from katamuki.records import Array, Rows


def raw_of(rows: Rows, names: Sequence[str], textual: Sequence[str]) -> dict[str, Plain]:
    """Columns by name; ``textual`` are those that are compared with text."""
    if isinstance(rows, Table):
        return rows.raw(names, textual)
    return {name: rows.column(name) for name in (*names, *textual)}


def numbers_of(table: Table | None, name: str, raw: Plain, mark: str, at: NDArray[np.int64] | None) -> Array:
    """A raw column as float64, its text read with a decimal mark."""
    if table is not None:
        return table.number(name, raw, mark, at)
    assert not isinstance(raw, Cells)
    return raw


def one_length(raw: Mapping[str, Plain], otherwise: int | None) -> int:
    """The length that all columns have; ``otherwise`` where there are none."""
    lengths = {name: len(column) for name, column in raw.items()}
    if not lengths:
        return otherwise or 0
    if len(set(lengths.values())) > 1:
        parts = some([f"{name} {length}" for name, length in lengths.items()])
        raise DataError("E-LENGTH", "data.length", lengths=parts)
    return next(iter(lengths.values()))


def taken(
    raw: Mapping[str, Plain], n: int, index: NDArray[np.int64], at: NDArray[np.int64] | None
) -> tuple[Mapping[str, Plain], NDArray[np.int64] | None, NDArray[np.int64] | None]:
    """Some rows of columns (n,), these rows' numbers in the source, and their index, None where they are all."""
    if len(index) == n:
        return raw, at, None
    return {name: _taken(column, index) for name, column in raw.items()}, index if at is None else at[index], index


def held(
    condition: conditions.Condition,
    table: Table | None,
    raw: Mapping[str, Plain],
    n: int,
    at: NDArray[np.int64] | None,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], dict[str, NDArray[np.bool_]]]:
    """Where a condition holds (n,), where it has no value, and for each of its columns where that has none."""
    mark = table.mark({name: raw[name] for name in condition.numeric}, at) if table else "."
    numeric = {name: numbers_of(table, name, raw[name], mark, at) for name in condition.numeric}
    textual = {name: _words(raw[name], name) for name in condition.textual}
    without = {name: np.isnan(values) for name, values in numeric.items()}
    without |= {name: np.array([word is None for word in words], dtype=bool) for name, words in textual.items()}
    lost: NDArray[np.bool_] = np.logical_or.reduce([np.zeros(n, dtype=bool), *without.values()])
    return conditions.holds(condition, numeric, textual, n) & ~lost, lost, without


def _taken(column: Plain, index: NDArray[np.int64]) -> Plain:
    if isinstance(column, Cells):
        return column.take(index)
    taken: NDArray[Any] = column[index]
    return taken


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

"""From what a caller gave to a supply of curves: the columns are read, the keys grouped, once for all curves.

Long tables of every kind have keys in ``by`` columns. Wide arrays, y (b, n) with x (n,) or (b, n), have no keys: their
curves are numbered 0 to b − 1 in a column ``curve``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from katamuki.api.many_rows import InMemory
from katamuki.api.options import shown
from katamuki.api.values import _per_row
from katamuki.data.buffers import numbers
from katamuki.data.convert import number, plain
from katamuki.data.labels import key_column
from katamuki.data.names import IN_MEMORY, find, printable, some
from katamuki.data.selection import Missing
from katamuki.data.table import Table
from katamuki.data.unchecked import unchecked
from katamuki.errors import BoundsError, DataError
from katamuki.many.grouping import gather, group
from katamuki.records import Array, Rows, Source

CURVE = "curve"  # the key of wide arrays
Each = tuple[str, Any] | None  # sigma or weights that are an array: what it is called, and the array
EACH = " weights"  # sigma or weights that are no column: no name of a column begins with a blank


def names_of(by: object, names: Sequence[str], place: Any) -> tuple[str, ...]:
    """The key columns that ``by`` names, each once and each there."""
    given = [by] if isinstance(by, str) else by
    if given is None:
        raise BoundsError("E-BY", "many.no_by", columns=some(names, 20))
    if not isinstance(given, Sequence) or not given or not all(isinstance(name, str) for name in given):
        raise BoundsError("E-BY", "many.by", given=shown(by), columns=some(names, 20))
    found = [names[find(name, names, place)] for name in given]
    for k, name in enumerate(found):
        if name in found[:k]:
            raise BoundsError("E-BY", "many.by_twice", name=printable(name))
    return tuple(found)


def wide(data: object) -> dict[str, Any] | None:
    """The arrays of a mapping of which one has two dimensions; None for any other data."""
    if isinstance(data, Table) or not isinstance(data, Mapping):
        return None
    several = any(map(_rows_of_rows, data.values()))
    return dict(data) if several and all(isinstance(name, str) for name in data) else None


def _rows_of_rows(one: Any) -> bool:
    """Whether a column is an array of two dimensions, or a list of lists."""
    if isinstance(one, list | tuple):
        return bool(one) and isinstance(one[0], list | tuple | np.ndarray)
    return getattr(one, "ndim", 1) == 2


def long_supply(
    rows: Rows, by: tuple[str, ...], used: Sequence[str], each: Each, where: str | None, missing: Missing,
    threads: int | None,
) -> InMemory:  # fmt: skip
    """The curves of a long table; ``each`` is sigma or weights given as an array (n,) beside it."""
    table = unchecked(rows, used, where, missing)
    keys = _keys(rows, by)
    whole = len(keys[0])
    here = table.n if table.index is None else whole
    if whole != here and used:
        raise DataError("E-LENGTH", "data.length", lengths=some([f"{by[0]} {whole}", f"{used[0]} {here}"]))
    if table.index is not None:
        keys = [key.take(numbers(table.index)) for key in keys]
    arrays = dict(table.arrays)
    if each is not None:
        arrays[EACH] = _per_row(*each, {}, whole, table.index, table.n)
    found = group(keys, by, threads=threads)
    names = list(arrays)
    columns = [arrays[name] for name in names] + ([] if table.lost is None else [table.lost.astype(np.float64)])
    together = gather(columns, found, threads=threads)
    lost = None if table.lost is None else together[-1] > 0.0
    return InMemory(
        by=by,
        source=table.source,
        keys=tuple(key.take(numbers(found.first)) for key in keys),
        offsets=found.offsets,
        arrays=dict(zip(names, together, strict=False)),
        lost=lost,
        codes=found.codes,
        index=table.index,
    )


def _keys(rows: Rows, by: Sequence[str]) -> list[Any]:
    """The key columns as Arrow arrays (n,)."""
    raw = rows.as_is(by) if isinstance(rows, Table) else [rows.column(name) for name in by]
    keys = [key_column(one, name) for one, name in zip(raw, by, strict=True)]
    for key, name in zip(keys[1:], by[1:], strict=True):
        if len(key) != len(keys[0]):
            parts = some([f"{by[0]} {len(keys[0])}", f"{name} {len(key)}"])
            raise DataError("E-LENGTH", "data.length", lengths=parts)
    return keys


def wide_supply(arrays: Mapping[str, Any], used: Sequence[str], each: Each, where: str | None) -> InMemory:
    """The curves of wide arrays: (b, n), and (n,) for columns that all curves share."""
    if where is not None:
        raise BoundsError("E-USAGE", "many.wide_where")
    shapes = {name: _shape(one, name) for name, one in arrays.items()}
    b, n = next(shape for shape in shapes.values() if len(shape) == 2)
    given = {name: arrays[name] for name in used}
    if each is not None:
        given[EACH], shapes[EACH] = each[1], _shape(each[1], each[0])
    for name in given:
        if shapes[name] not in ((b, n), (n,)):
            shape = str(tuple(shapes[name]))
            raise DataError("E-SHAPE", "many.wide_shape", column=printable(name.strip()), shape=shape, b=b, n=n)
    if not b * n:
        raise DataError("E-EMPTY", "data.no_rows", place=IN_MEMORY)
    columns = {name: _flat(one, name) for name, one in given.items()}
    alike = frozenset(name for name in given if len(shapes[name]) == 1)
    source = Source(IN_MEMORY, "wide", b * n)
    keys = (key_column(np.arange(b), CURVE),)
    return InMemory((CURVE,), source, keys, np.arange(b + 1) * n, columns, alike=alike)


def _shape(one: Any, name: str) -> tuple[int, ...]:
    """The shape of an array, or of lists that are one."""
    try:
        return np.shape(one)
    except ValueError:
        raise DataError("E-SHAPE", "data.uneven", column=printable(name)) from None


def _flat(one: Any, name: str) -> Array:
    """An array of one or two dimensions as float64, curve after curve."""
    if isinstance(one, np.ma.MaskedArray):
        one = one.filled(np.nan) if one.dtype.kind == "f" else np.ma.asarray(one, dtype=np.float64).filled(np.nan)
    array = np.asarray(one)
    return number(plain(np.ascontiguousarray(array).reshape(-1), name), name)

"""A column of keys as whole numbers, equal where the keys are equal: what rows are grouped by.

Whole numbers, booleans, times and floats are taken by their bits, everything else is numbered by Arrow's dictionary
encoding, and what Arrow has no type for, such as a list of words and numbers, by Python's own equality. Missing keys
(None, null, NaN, NaT) are one key, as SQL's GROUP BY has it: their rows are not lost, and nobody guesses to which other
key they belong. Nothing is rounded: 0.1 + 0.2 is not the key 0.3; but −0 is 0. The numbers are grouped elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.data.buffers import values_of
from katamuki.data.convert import absent, root
from katamuki.data.names import printable
from katamuki.errors import DataError

Numbers = NDArray[np.int64]

MISSING = np.float64(np.nan)  # one pattern of bits for all
# How Arrow's times become the whole numbers that they are.
TIMES = (
    ("is_date32", "int32"),
    ("is_date64", "int64"),
    ("is_timestamp", "int64"),
    ("is_time32", "int32"),
    ("is_time64", "int64"),
    ("is_duration", "int64"),
)


def numbered(column: object, name: str) -> Numbers:
    """A column of any kind as whole numbers, equal exactly where its values are.

    Parameters
    ----------
    column : (n,) array, Arrow array, Series or sequence
        The keys.
    name : str
        For errors.

    Returns
    -------
    (n,) int64
        Contiguous; whole numbers of 64 bits are not copied.

    Raises
    ------
    DataError
        Where values cannot be keys: tables, lists, complex numbers.

    Example
    -------
    >>> numbered(["b", "a", None, "b"], "well").tolist()
    [0, 1, 2, 0]
    """
    home = root(column)
    if home == "pandas" and hasattr(column, "to_numpy"):
        if isinstance(getattr(column, "dtype", None), np.dtype):
            return _array(column.to_numpy(), name)
        import pyarrow as pa

        return _arrow(pa.Array.from_pandas(column), name)
    if home == "polars" and hasattr(column, "to_arrow"):
        kept = str(getattr(column, "dtype", "")) != "Object"  # whose Arrow form is bytes of pointers
        return _arrow(column.to_arrow(), name) if kept else _listed(list(column), name)  # type: ignore[call-overload]
    if home == "pyarrow" and hasattr(column, "null_count"):
        return _arrow(column, name)
    if isinstance(column, np.ndarray):
        return _array(column, name)
    if isinstance(column, str | bytes) or not isinstance(column, Sequence):
        raise _refused(name, type(column).__name__)
    return _listed(list(column), name)


def _refused(name: str, kind: str) -> DataError:
    return DataError("E-KEY", "data.key_type", column=printable(name), type=kind)


def _array(array: NDArray[Any], name: str) -> Numbers:
    """A NumPy array, masked or not."""
    if array.ndim != 1:
        raise DataError("E-SHAPE", "data.shape", column=name, shape=str(array.shape))
    kind, size = array.dtype.kind, array.dtype.itemsize
    if isinstance(array, np.ma.MaskedArray) and np.ma.getmaskarray(array).any():
        import pyarrow as pa

        if kind == "f":
            return _array(np.where(np.ma.getmaskarray(array), np.nan, array.data), name)
        if kind in "biuMm":
            plain = array.data.view(np.int64) if kind in "Mm" else np.ascontiguousarray(array.data)
            return _arrow(pa.array(plain, mask=np.ma.getmaskarray(array)), name)
        return _listed(array.tolist(), name)
    array = np.asarray(array)
    if kind in "biu" and size < 8:
        return array.astype(np.int64)
    if kind in "iuMm":
        return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")).view(np.int64)
    if kind == "f" and size <= 8:
        values = array.astype(np.float64) + 0.0  # −0 is 0
        values[np.isnan(values)] = MISSING
        return values.view(np.int64)
    if kind in "cV":
        raise _refused(name, str(array.dtype))
    return _listed(array.tolist(), name)


def _arrow(raw: Any, name: str) -> Numbers:
    """An Arrow array, chunked or not."""
    import pyarrow as pa

    if isinstance(raw.type, pa.BaseExtensionType):
        raw = raw.cast(raw.type.storage_type)
    kind = raw.type
    if pa.types.is_null(kind):
        return np.zeros(len(raw), dtype=np.int64)
    if pa.types.is_floating(kind):
        return _array(np.asarray(values_of(raw), dtype=np.float64), name)
    if pa.types.is_dictionary(kind):
        return _dictionary(raw, name)
    for is_kind, whole in TIMES:
        if getattr(pa.types, is_kind)(kind):
            raw = raw.cast(getattr(pa, whole)())
    if (pa.types.is_integer(raw.type) or pa.types.is_boolean(raw.type)) and not raw.null_count:
        return _array(values_of(raw), name)
    try:
        return _places(raw.dictionary_encode(null_encoding="encode"), -1)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        raise _refused(name, str(kind)) from None


def _places(raw: Any, missing: int) -> Numbers:
    """Where the values of a dictionary array stand in its dictionary."""
    places = np.empty(len(raw), dtype=np.int64)
    done = 0
    for chunk in raw.chunks if hasattr(raw, "chunks") else [raw]:
        indices = chunk.indices
        if indices.null_count:
            indices = indices.cast("int64").fill_null(missing)
        places[done : done + len(chunk)] = values_of(indices)
        done += len(chunk)
    return places


def _dictionary(raw: Any, name: str) -> Numbers:
    """A dictionary array that somebody else made: its dictionary may hold a value twice, or a missing one."""
    import pyarrow as pa

    if hasattr(raw, "chunks"):
        raw = raw.unify_dictionaries()
    if not len(raw):
        return np.zeros(0, dtype=np.int64)
    values = next(one for one in raw.chunks if len(one)).dictionary if hasattr(raw, "chunks") else raw.dictionary
    meant = _arrow(pa.concat_arrays([values, pa.nulls(1, values.type)]), name)
    return meant[_places(raw, len(values))]


def _listed(values: list[Any], name: str) -> Numbers:
    """Python objects: as Arrow takes them, or by their own equality."""
    import pyarrow as pa

    try:
        return _arrow(pa.array(values, from_pandas=True), name)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return _hashed(values, name)


def _hashed(values: list[Any], name: str) -> Numbers:
    """Python objects numbered by ``==``; missing ones are one."""
    seen: dict[Any, int] = {}
    out = np.empty(len(values), dtype=np.int64)
    for i, value in enumerate(values):
        try:
            out[i] = seen.setdefault(None if absent(value) else value, len(seen))
        except (TypeError, ValueError):
            raise _refused(name, type(value).__name__) from None
    return out

"""One column of any kind as float64: exactly, or not at all.

``plain`` gives a NumPy array (masked where values are missing) or the cells of a text file; ``number`` gives
float64 with NaN where a value is missing. Columns are never broadcast, flattened or parsed from text. Values finer than
float64 (``Decimal``, ``Fraction``, long double, decimals of Arrow) become the nearest float64, as text does; booleans
become 0 and 1; whole numbers that float64 may not hold are an error.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import warnings
from collections.abc import Sequence
from typing import Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

from katamuki.data.cells import EXACT, Cells, numbers, row, shown
from katamuki.data.names import printable
from katamuki.errors import DataError
from katamuki.records import Array

Plain: TypeAlias = NDArray[Any] | Cells
At: TypeAlias = NDArray[np.int64] | None

F8 = np.dtype(np.float64)
BOTH = float(EXACT) ** 2


def is_array(column: object) -> TypeGuard[Array]:
    """Whether it is a plain column of float64, to be taken as it is."""
    return type(column) is np.ndarray and column.dtype == F8 and column.ndim == 1 and bool(column.flags.carray)


def quick(column: object) -> Array | None:
    """The common case, fast: a plain column of finite numbers; ``None`` sends the column the careful way."""
    if is_array(column):
        return column if np.vdot(column, column) < np.inf else None
    if type(column) is list:
        try:
            array = np.array(column)
        except (ValueError, TypeError, OverflowError, RuntimeError, Warning):
            return None
        if array.ndim != 1 or array.dtype.kind not in "fi":
            return None
        values = array if array.dtype == F8 else array.astype(F8)
        # NumPy turns a list of whole numbers and fractions into float64 and rounds; below 2**53 it cannot.
        return values if np.vdot(values, values) < BOTH else None
    return None


def root(value: object) -> str:
    """The package that an object's class comes from."""
    return (type(value).__module__ or "").partition(".")[0]


def plain(raw: object, name: str) -> Plain:
    """A column as a one-dimensional NumPy array of any kind, masked where values are missing, or as cells of text."""
    if isinstance(raw, Cells):
        return raw
    home = root(raw)
    if home == "pandas" and hasattr(raw, "dtype"):
        array = _pandas(raw, name)
    elif home == "polars" and hasattr(raw, "to_list"):
        array = _polars(raw, name)
    elif home == "pyarrow" and hasattr(raw, "null_count"):
        array = _arrow(raw, name)
    elif isinstance(raw, np.ndarray):
        array = raw
    else:
        array = _sequence(raw, name)
    if array.ndim != 1:
        key = "data.shape_column" if array.ndim == 2 and array.shape[1] == 1 else "data.shape"
        raise DataError("E-SHAPE", key, column=name, shape=str(array.shape))
    return array


def _sequence(raw: object, name: str) -> NDArray[Any]:
    if getattr(raw, "requires_grad", False):
        raise DataError("E-TENSOR", "data.requires_grad", column=name)
    usable = hasattr(raw, "__array__") or (isinstance(raw, Sequence) and not isinstance(raw, str | bytes | bytearray))
    if not usable and not hasattr(raw, "__array_interface__"):
        if isinstance(raw, int | float | complex | str | bytes):
            raise DataError("E-SHAPE", "data.single", column=name, value=shown(repr(raw)))
        raise DataError("E-TYPE", "data.type", column=name, type=type(raw).__name__)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a masked value in a list becomes NaN, which select sees
            array = np.asarray(raw)
        if array.dtype.kind in "SU" and isinstance(raw, Sequence):
            array = np.array(raw, dtype=object)  # so that an error finds the one text among numbers
    except Exception as error:  # whatever the object's own code raises
        if isinstance(error, ValueError) and isinstance(raw, Sequence):
            raise DataError("E-SHAPE", "data.uneven", column=name) from None
        cause = printable(str(error)[:200])
        if "device" in cause:
            raise DataError("E-TENSOR", "data.device", column=name, cause=cause) from None
        kind = type(raw).__name__
        raise DataError("E-TENSOR", "data.unreadable", column=name, type=kind, cause=cause) from None
    if array.dtype.kind == "f" and isinstance(raw, Sequence) and array.ndim == 1 and _beyond(array):
        for i, value in enumerate(raw):
            if isinstance(value, int | np.integer):
                _check_integer(int(value), name, i, None)
    return array


def _pandas(raw: Any, name: str) -> NDArray[Any]:
    if getattr(raw, "ndim", 1) != 1:
        raise DataError("E-SHAPE", "data.shape", column=name, shape=str(raw.shape))
    if isinstance(raw.dtype, np.dtype):
        array: NDArray[Any] = raw.to_numpy()
        return array
    import pyarrow as pa

    try:
        return _arrow(pa.Array.from_pandas(raw), name)
    except pa.ArrowException:  # such as a sparse column
        return np.asarray(raw)


def _polars(raw: Any, name: str) -> NDArray[Any]:
    import pyarrow as pa

    if str(raw.dtype) != "Object":  # whose Arrow form is bytes of pointers
        try:
            return _arrow(raw.to_arrow(), name)
        except pa.ArrowException:  # such as a whole number of 128 bits
            pass
    return _listed(raw.to_list())


def _listed(values: list[Any]) -> NDArray[Any]:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def _arrow(raw: Any, name: str) -> NDArray[Any]:
    """An Arrow array; masked where it has nulls, so that whole numbers stay whole."""
    import pyarrow as pa

    kind = raw.type
    if isinstance(kind, pa.BaseExtensionType):  # its storage may mean anything: months since 1970, say
        raise DataError("E-TYPE", "data.type", column=name, type=kind.extension_name)
    if pa.types.is_dictionary(kind):
        raw, kind = raw.cast(kind.value_type), kind.value_type
    if pa.types.is_null(kind):
        return np.full(len(raw), np.nan)
    if pa.types.is_date(kind):
        raw = raw.cast(pa.timestamp("s" if pa.types.is_date32(kind) else "ms"))
    elif pa.types.is_time(kind):
        raw = (
            raw.cast(pa.int32() if pa.types.is_time32(kind) else pa.int64())
            .cast(pa.int64())
            .cast(pa.duration(kind.unit))
        )
    fixed = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_floating(kind)
    if raw.null_count and fixed:
        mask = np.asarray(raw.is_null().to_numpy(**_copying(raw)), dtype=bool)
        whole = raw.fill_null(False if pa.types.is_boolean(kind) else 0).to_numpy(**_copying(raw))
        return np.ma.MaskedArray(whole, mask)
    if fixed or pa.types.is_temporal(raw.type):
        array: NDArray[Any] = raw.to_numpy(**_copying(raw))
        return array
    return _listed(raw.to_pylist())


def _copying(raw: Any) -> dict[str, bool]:
    return {} if hasattr(raw, "chunks") else {"zero_copy_only": False}


def number(column: Plain, name: str, decimal: str = ".", at: At = None) -> Array:
    """A column as float64, NaN where a value is missing.

    Parameters
    ----------
    column : (n,) array of any dtype, masked array, or Cells
        From ``plain``.
    name : str
        For errors.
    decimal : "." or ","
        The decimal mark of cells.
    at : (n,) int64, optional
        The rows' numbers in the source from 0, where some were left out.

    Returns
    -------
    (n,) float64
        Contiguous; the very same array where it is one already.

    Raises
    ------
    DataError
        Where a value is no real number.

    Example
    -------
    >>> number(np.array([1, 2], dtype=np.int8), "x")
    array([1., 2.])
    """
    if isinstance(column, Cells):
        return numbers(column, name, decimal, at)
    if isinstance(column, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(column)
        kept = np.flatnonzero(~mask)
        values = np.full(len(column), np.nan)
        values[kept] = number(np.asarray(column.data)[kept], name, decimal, kept if at is None else at[kept])
        return values
    kind = column.dtype.kind
    if kind == "O":
        return _objects(column, name, at)
    if kind in "iu":
        _check_integers(column, name, at)
    elif kind not in "fb":
        raise _wrong(kind, column, name, at)
    with np.errstate(over="ignore"):  # a long double beyond float64 becomes inf, which select refuses
        return np.require(np.asarray(column), F8, ["C", "A"])


def _beyond(array: NDArray[Any]) -> bool:
    return bool(len(array)) and bool(np.nanmax(np.abs(array), initial=0.0) >= EXACT)


def _check_integers(column: NDArray[Any], name: str, at: At) -> None:
    if column.dtype.itemsize < 8 or not len(column):
        return
    if column.max() > EXACT or column.min() < -EXACT:
        i = int(np.argmax((column > EXACT) | (column < -EXACT)))
        _check_integer(int(column[i]), name, i, at)


def _check_integer(value: int, name: str, i: int, at: At) -> None:
    if not -EXACT <= value <= EXACT:
        raise DataError("E-INTEGER", "data.integer", row=row(i, at), column=name, value=shown(str(value)))


def _wrong(kind: str, column: NDArray[Any], name: str, at: At) -> DataError:
    if kind == "c":
        return DataError("E-COMPLEX", "data.complex", column=name)
    if kind in "Mm":
        return DataError("E-DATE", "data.date", column=name)
    if kind in "SUT" and len(column):
        return DataError("E-NUMBER", "data.text", row=row(0, at), column=name, cell=shown(str(column[0])))
    return DataError("E-TYPE", "data.type", column=name, type=str(column.dtype))


def _objects(column: NDArray[Any], name: str, at: At) -> Array:
    out = np.empty(len(column))
    for i, value in enumerate(column.tolist()):
        out[i] = _object(value, name, i, at)
    return out


def absent(value: Any) -> bool:
    """Whether a Python object stands for a missing value."""
    if isinstance(value, float):
        return value != value  # noqa: PLR0124  NaN
    return value is None or type(value).__name__ in {"NAType", "NaTType", "MaskedConstant"}


def _object(value: Any, name: str, i: int, at: At) -> float:
    """One Python object as a float64; missing values are those that say so by their type, or are not themselves."""
    if absent(value):
        return np.nan
    if isinstance(value, int | np.integer):
        _check_integer(int(value), name, i, at)
        return float(value)
    if isinstance(value, decimal.Decimal) and value.is_snan():
        return np.nan
    if isinstance(value, float | np.floating | np.bool_ | decimal.Decimal | fractions.Fraction):
        try:
            return float(value)
        except OverflowError:
            raise DataError("E-NUMBER", "data.too_large", row=row(i, at), column=name, cell=shown(str(value))) from None
    if isinstance(value, str | bytes):
        raise DataError("E-NUMBER", "data.text", row=row(i, at), column=name, cell=shown(str(value)))
    if isinstance(value, complex | np.complexfloating):
        raise DataError("E-COMPLEX", "data.complex", column=name)
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta | np.datetime64 | np.timedelta64):
        raise DataError("E-DATE", "data.date", column=name)
    if getattr(value, "requires_grad", False):
        raise DataError("E-TENSOR", "data.requires_grad", column=name)
    if hasattr(value, "__float__") and getattr(value, "shape", None) == ():
        return float(value)
    raise DataError("E-TYPE", "data.type_row", row=row(i, at), column=name, type=type(value).__name__)

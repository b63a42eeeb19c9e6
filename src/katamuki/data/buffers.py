"""Arrow columns made of buffers: numbers where they stand, and text.

``pyarrow.array`` imports pandas, where that is installed, to ask whether it was given a Series: a third of a second of
a command that reads a small file. What is known to be none is made here. Nothing is converted or looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 2**31 - 1  # bytes of text that places of four bytes reach


def numbers(values: NDArray[Any], gaps: NDArray[np.bool_] | None = None) -> Any:
    """Numbers as an Arrow array, in the same memory where they are contiguous; null where there is a gap.

    Parameters
    ----------
    values : (n,) array
        Whole numbers or floats.
    gaps : (n,) bool, optional
        Where there is no value.

    Returns
    -------
    pyarrow.Array
        (n,)

    Example
    -------
    >>> numbers(np.array([1.0, 2.0]), np.array([False, True])).to_pylist()
    [1.0, None]
    """
    import pyarrow as pa

    values = np.ascontiguousarray(values)
    there = None if gaps is None or not gaps.any() else pa.py_buffer(np.packbits(~gaps, bitorder="little"))
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [there, pa.py_buffer(values)])


def texts(values: Sequence[str | None]) -> Any:
    """Text as an Arrow array; None is null.

    Example
    -------
    >>> texts(["A1", None, "Ä"]).to_pylist()
    ['A1', None, 'Ä']
    """
    import pyarrow as pa

    coded = [b"" if one is None else one.encode() for one in values]
    ends = np.cumsum([0, *map(len, coded)])
    if ends[-1] > LARGEST:
        return pa.array(values, pa.string())
    gaps = np.array([one is None for one in values], dtype=bool)
    there = pa.py_buffer(np.packbits(~gaps, bitorder="little")) if gaps.any() else None
    places = pa.py_buffer(ends.astype(np.int32))
    return pa.Array.from_buffers(pa.string(), len(coded), [there, places, pa.py_buffer(b"".join(coded))])


def repeated(text: str, n: int) -> Any:
    """The same text n times.

    Example
    -------
    >>> repeated("Ä", 3).to_pylist()
    ['Ä', 'Ä', 'Ä']
    """
    import pyarrow as pa

    coded = text.encode()
    if n * len(coded) > LARGEST:
        return pa.repeat(text, n)
    places = pa.py_buffer(np.arange(n + 1, dtype=np.int32) * np.int32(len(coded)))
    return pa.Array.from_buffers(pa.string(), n, [None, places, pa.py_buffer(coded * n)])


def values_of(column: Any) -> NDArray[Any]:
    """The numbers or truth values of an Arrow array, chunked or not, as an array (n,), which may be read only.

    Floats that are null are NaN, truth values that are null are false; whole numbers have no such value.

    Example
    -------
    >>> values_of(numbers(np.array([1.0, 2.0]), np.array([False, True])))
    array([ 1., nan])
    """
    parts = [_values(one) for one in (column.chunks if hasattr(column, "chunks") else [column])]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty(0, dtype=column.type.to_pandas_dtype())


def _values(array: Any) -> NDArray[Any]:
    """The same of an array in one piece."""
    n, begin, (there, held) = len(array), array.offset, array.buffers()
    kind = np.dtype(array.type.to_pandas_dtype())
    if not n:
        return np.empty(0, dtype=kind)
    found: NDArray[Any] = _bits(held, begin, n) if kind.kind == "b" else np.frombuffer(held, kind)[begin : begin + n]
    if array.null_count:
        if kind.kind not in "fb":
            raise ValueError("whole numbers that are null")
        found = np.where(_bits(there, begin, n), found, kind.type("nan") if kind.kind == "f" else False)
    return found


def _bits(buffer: Any, begin: int, n: int) -> NDArray[np.bool_]:
    """Bits of a buffer as truth values."""
    first = begin // 8
    whole = np.frombuffer(buffer, np.uint8)[first : (begin + n + 7) // 8]
    return np.unpackbits(whole, bitorder="little")[begin - 8 * first :][:n].view(np.bool_)

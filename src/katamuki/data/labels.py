"""Columns that tell curves apart, as Arrow arrays of the type they came with: text, whole numbers, dates, what is flat.

Keys are handed through, not converted: what stood in the table stands in the result. Only the cells of a text file have
no type yet: they are whole numbers where all of them are written as such ("7", not "007"), numbers where all are
numbers without leading zeros, else text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from katamuki.data.buffers import numbers, texts
from katamuki.data.cells import Cells, is_missing
from katamuki.data.convert import root
from katamuki.data.names import printable
from katamuki.errors import DataError

WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][+-]?[0-9]+)?")


def key_column(raw: Any, name: str, kind: str | None = None) -> Any:
    """A column of any kind as one Arrow array (n,); nulls where a value is missing.

    Parameters
    ----------
    raw : array, list, series or Cells
        As a table holds it.
    name : str
        For errors.
    kind : "whole", "number" or "text", optional
        What cells of text are; by default what they are written as.

    Returns
    -------
    pyarrow.Array
        In one piece.

    Raises
    ------
    DataError
        Where its values are of several types, or are no single values.

    Example
    -------
    >>> key_column(["A1", "A2", None], "well").to_pylist()
    ['A1', 'A2', None]
    """
    import pyarrow as pa

    try:
        found = typed(raw.cells, kind) if isinstance(raw, Cells) else _arrow(raw)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        cause = printable(str(error).splitlines()[0][:200])
        raise DataError("E-KEY", "data.key_mixed", column=printable(name), cause=cause) from None
    found = _able(found)
    kind = found.type.value_type if pa.types.is_dictionary(found.type) else found.type
    if pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
        raise DataError("E-KEY", "data.key_type", column=printable(name), type=str(kind))
    return found


def _able(found: Any) -> Any:
    """The same values in a type that Arrow can compare and take rows of, which views and half precision are not."""
    import pyarrow as pa

    if pa.types.is_run_end_encoded(found.type):
        return found.cast(found.type.value_type)
    if pa.types.is_string_view(found.type):
        return found.cast(pa.string())
    if pa.types.is_binary_view(found.type):
        return found.cast(pa.binary())
    return found.cast(pa.float32()) if pa.types.is_float16(found.type) else found


def _arrow(raw: Any) -> Any:
    import pyarrow as pa

    home = root(raw)
    if home == "polars" and hasattr(raw, "to_arrow"):
        raw = raw.to_arrow()
    elif home == "pandas":
        raw = pa.Array.from_pandas(raw)
    if isinstance(raw, pa.ChunkedArray):
        raw = raw.combine_chunks()
        return pa.concat_arrays(raw.chunks) if isinstance(raw, pa.ChunkedArray) else raw
    if isinstance(raw, pa.Array):
        return raw
    if isinstance(raw, np.ma.MaskedArray):
        return pa.array(raw.data, mask=np.ma.getmaskarray(raw))
    if isinstance(raw, np.ndarray) or not isinstance(raw, Sequence):
        raw = np.asarray(raw)
        return pa.array(raw if raw.dtype.isnative else raw.astype(raw.dtype.newbyteorder("=")), from_pandas=True)
    return pa.array(list(raw), from_pandas=True)


def typed(cells: Sequence[str], kind: str | None = None) -> Any:
    """The cells of a text file as an Arrow array: whole numbers, numbers, or text; ``kind`` says which, if it is known.

    Example
    -------
    >>> [typed(one).type.to_pandas_dtype().__name__ for one in (["1", "2"], ["0.5", "1"])]
    ['int64', 'float64']
    >>> typed(["007", "7", ""]).to_pylist()
    ['007', '7', None]
    """
    kind = kind or kind_of(cells)
    if kind == "text":
        return texts([cell.strip() or None for cell in cells])  # a well may be called NA
    number, wanted = (int, np.int64) if kind == "whole" else (float, np.float64)
    gaps = np.array([is_missing(cell) for cell in cells], dtype=bool)
    values = [number(0) if gap else number(cell) for cell, gap in zip(cells, gaps.tolist(), strict=True)]
    return numbers(np.array(values, dtype=wanted), gaps)


def kind_of(cells: Sequence[str]) -> str:
    """What cells are written as: "whole", "number" or "text"; where none holds a value, text."""
    known = {cell.strip() for cell in cells if not is_missing(cell)}
    if known and all(WHOLE.fullmatch(cell) for cell in known):
        return "whole"
    if known and all(WHOLE.fullmatch(cell) or DECIMAL.fullmatch(cell) for cell in known):
        return "number"
    return "text"

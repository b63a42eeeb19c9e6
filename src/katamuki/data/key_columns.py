"""Key columns as Arrow arrays: joined from several pieces, empty ones of a type, made of Python values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def joined(pieces: Sequence[Any]) -> Any:
    """Arrays of one type as one, in one piece; dictionaries are made one.

    Example
    -------
    >>> import pyarrow as pa
    >>> joined([pa.array(["a"]).dictionary_encode(), pa.array(["b"]).dictionary_encode()]).to_pylist()
    ['a', 'b']
    """
    import pyarrow as pa

    whole = pa.chunked_array(list(pieces)).unify_dictionaries().combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def nothing(kinds: Sequence[Any] | None, count: int) -> list[Any]:
    """Empty columns of these types; of no type where nobody knows any."""
    import pyarrow as pa

    return [pa.array([], kind) for kind in kinds or [pa.null()] * count]


def of_values(keys: Sequence[tuple[object, ...]], kinds: Sequence[Any]) -> list[Any] | None:
    """Keys as columns of these types; None where one has another type.

    Example
    -------
    >>> import pyarrow as pa
    >>> [one.to_pylist() for one in of_values([("A1", 3)], [pa.string(), pa.int64()])]
    [['A1'], [3]]
    >>> of_values([("A1",)], [pa.int64()])
    """
    import pyarrow as pa

    try:
        return [pa.array(list(one), kind) for one, kind in zip(zip(*keys, strict=True), kinds, strict=True)]
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None

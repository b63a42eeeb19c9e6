"""Keys as hashes of 64 bits that are the same on every machine: which partitions of a table share a key.

Equal keys have equal hashes; two that differ may have, once in 2⁶⁴ pairs. Whoever groups by hashes alone is
wrong then; here they only say what must be brought together before keys themselves are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

NOTHING = np.uint64(0x6A09E667F3BCC909)  # a missing key: None, null or NaN
BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that its powers lose no bits


def hashes(keys: Sequence[Any]) -> Hashes:
    """The hashes of rows of key columns.

    Parameters
    ----------
    keys : sequence of pyarrow.Array
        (n,) each, in one piece, from ``labels.key_column``.

    Returns
    -------
    (n,) uint64
        Equal where all keys are, as ``key_numbers`` compares them: −0 is 0, and missing keys are one.

    Source
    ------
    Karp & Rabin 1987 (polynomials in the bytes of a text); Steele, Lea & Flood 2014 (SplitMix64, the mixing of bits).

    Example
    -------
    >>> import pyarrow as pa
    >>> found = hashes([pa.array(["a", "b", None, "a"])])
    >>> bool(found[0] == found[3]), len(set(found.tolist()))
    (True, 3)
    """
    found = np.zeros(len(keys[0]), dtype=np.uint64)
    for key in keys:
        found = mixed(found ^ mixed(_column(key)))
    return found


def mixed(x: Hashes) -> Hashes:
    """Bits well mixed, one to one."""
    x = x + BASE
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _column(key: Any) -> Hashes:
    """One column as numbers that are equal where its keys are."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(key.type):
        values = _column(key.dictionary) if len(key.dictionary) else np.zeros(1, dtype=np.uint64)
        missing = _nulls(key)
        places = key.indices.fill_null(0).to_numpy(zero_copy_only=False) if key.null_count else key.indices.to_numpy()
        found = values[places] if len(key) else np.zeros(0, dtype=np.uint64)
        return np.where(missing, NOTHING, found)
    if types.is_null(key.type):
        return np.full(len(key), NOTHING)
    if types.is_floating(key.type):
        numbers = np.asarray(key.to_numpy(zero_copy_only=False), dtype=np.float64) + 0.0  # −0 is 0
        return np.where(np.isnan(numbers), NOTHING, numbers.view(np.uint64))
    if types.is_integer(key.type) or types.is_boolean(key.type) or types.is_temporal(key.type):
        return np.where(_nulls(key), NOTHING, _whole(key))
    return np.where(_nulls(key), NOTHING, _text(key))


def _nulls(key: Any) -> NDArray[np.bool_]:
    return np.asarray(key.is_null().to_numpy(zero_copy_only=False), dtype=bool)


def _whole(key: Any) -> Hashes:
    """Whole numbers, booleans and times by their bits."""
    import pyarrow as pa

    if pa.types.is_temporal(key.type):
        key = key.cast(pa.int32() if key.type.bit_width == 32 else pa.int64())
    whole = key.fill_null(False if pa.types.is_boolean(key.type) else 0).to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(whole).astype(np.int64 if whole.dtype.kind != "u" else np.uint64).view(np.uint64)


def _text(key: Any) -> Hashes:
    """Texts, and what prints as text, by a polynomial in its bytes."""
    import pyarrow as pa

    is_bytes = pa.types.is_binary(key.type) or pa.types.is_large_binary(key.type)
    key = key.cast(pa.large_binary() if is_bytes else pa.large_string())
    if not len(key):
        return np.zeros(0, dtype=np.uint64)
    _, ends, body = key.buffers()
    edges = np.frombuffer(ends, dtype=np.int64)[key.offset : key.offset + len(key) + 1]
    letters = np.frombuffer(body, dtype=np.uint8) if body is not None else np.zeros(0, dtype=np.uint8)
    letters = letters[edges[0] : edges[-1]].astype(np.uint64) + np.uint64(1)
    edges = edges - edges[0]
    lengths = np.diff(edges)
    powers = np.ones(int(lengths.max(initial=0)) + 1, dtype=np.uint64)
    powers[1:] = BASE
    powers = np.multiply.accumulate(powers)
    inside = np.arange(len(letters)) - np.repeat(edges[:-1], lengths)
    sums = np.zeros(len(letters) + 1, dtype=np.uint64)
    np.cumsum(letters * powers[inside], out=sums[1:])
    return np.asarray(sums[edges[1:]] - sums[edges[:-1]] + lengths.astype(np.uint64))

"""The table of many fits: from arrays of numbers to Arrow, one row per curve, and what columns it has.

Keys as they were given, each parameter under its own name, its standard error as ``<name>_stderr``, then ``_loss``,
``_n``, ``_dof``, ``_verdict``, ``_state`` and ``_code``. A number that there is not is null; a code that there is not
is "". Arrow's arrays are made here, and turned to pandas and polars.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.data.buffers import numbers, repeated, texts, values_of
from katamuki.errors import BackendError
from katamuki.many.curves import STATES, VERDICTS, Fitted
from katamuki.records import Array

FIRST = "_first"  # of tables on their way: the row of the data where a curve's key first appears
LAST = ("_loss", "_n", "_dof", "_verdict", "_state", "_code")
STDERR = "_stderr"
MANY = 1 << 17  # rows whose words are written by several threads


def columns_of(by: Sequence[str], parameters: Sequence[str]) -> list[str]:
    """The names of the table's columns, in order.

    Example
    -------
    >>> columns_of(["well"], ["a"])
    ['well', 'a', 'a_stderr', '_loss', '_n', '_dof', '_verdict', '_state', '_code']
    """
    return [*by, *(one for name in parameters for one in (name, name + STDERR)), *LAST]


def rows_of(
    by: Sequence[str], keys: Sequence[Any], parameters: Sequence[str], fitted: Fitted, n: NDArray[np.int64]
) -> Any:
    """The rows of some curves.

    Parameters
    ----------
    by : sequence of str
        The key columns' names.
    keys : sequence of pyarrow.Array
        (b,) each.
    parameters : sequence of str
        All parameters, in the order of ``fitted.values``.
    fitted : Fitted
        The numbers.
    n : (b,) int64
        Rows that each curve has.

    Returns
    -------
    pyarrow.Table
        b rows.
    """
    columns = [one[:, k] for k in range(len(parameters)) for one in (fitted.values, fitted.stderr)]
    words = ((VERDICTS, fitted.verdict), (STATES, fitted.state), (fitted.codes, fitted.code))
    return assembled(columns_of(by, parameters), keys, [*columns, fitted.loss], n, fitted.dof, words)


def assembled(
    names: Sequence[str], keys: Sequence[Any], columns: Sequence[Array], n: NDArray[np.int64], dof: NDArray[np.int64],
    words: Sequence[tuple[Sequence[str], NDArray[Any]]],
) -> Any:  # fmt: skip
    """The table of these columns: keys, numbers (b,) that may be NaN, rows, degrees of freedom, and words by place."""
    import pyarrow as pa

    if len(n) > MANY:
        with ThreadPoolExecutor(len(words)) as pool:
            spelt = list(pool.map(_words, *zip(*words, strict=True)))
    else:
        spelt = [_words(known, places) for known, places in words]
    arrays = [*keys, *(_numbers(one) for one in columns), _numbers(n), _numbers(dof, dof < 0), *spelt]
    return pa.table(arrays, names=list(names))


def _numbers(values: NDArray[Any], gaps: NDArray[np.bool_] | None = None) -> Any:
    """Numbers; null where there is a gap, or NaN."""
    return numbers(values, np.isnan(values) if gaps is None and values.dtype.kind == "f" else gaps)


def _words(known: Sequence[str], places: NDArray[Any]) -> Any:
    """Words by their places as an Arrow array; one word over and over, as a state often is, is written in one piece."""
    if len(places) and places.min() == places.max():
        return repeated(known[int(places[0])], len(places))
    return texts(known).take(numbers(places))


def empty(by: Sequence[str], kinds: Sequence[Any], parameters: Sequence[str]) -> Any:
    """The table without a row; ``kinds`` are the keys' Arrow types."""
    import pyarrow as pa

    p = len(parameters)
    none = np.empty(0)
    small = np.empty(0, dtype=np.int8)
    nothing = Fitted(
        np.empty((0, p)),
        np.empty((0, p)),
        none,
        np.empty(0, dtype=np.int64),
        small,
        small,
        small.astype(np.int16),
        ("",),
    )
    order = [pa.nulls(0, pa.int64())] * (len(by) - len(kinds))  # FIRST
    return rows_of(
        by, [*(pa.nulls(0, kind) for kind in kinds), *order], parameters, nothing, np.empty(0, dtype=np.int64)
    )


def together(parts: Sequence[Any]) -> Any:
    """Tables of the same columns, one after the other, in one piece; dictionaries of keys are made one."""
    import pyarrow as pa

    return pa.concat_tables([part.unify_dictionaries() for part in parts]).unify_dictionaries().combine_chunks()


def column_of(values: NDArray[Any]) -> Any:
    """An array as an Arrow column."""
    return numbers(values)


def nothing_of(kind: Any) -> Any:
    """An Arrow column of a type, without a row."""
    import pyarrow as pa

    return pa.array([], kind)


def width_of(kinds: Sequence[Any]) -> int:
    """Bytes of a row of columns of these types, about; text is taken to be short."""
    found = 0
    for kind in kinds:
        try:
            found += max(1, kind.bit_width // 8)
        except ValueError:
            found += 32
    return found


def table_of(by: Sequence[str], keys: Sequence[Any], columns: Sequence[tuple[str, NDArray[Any]]]) -> Any:
    """Key columns and others as an Arrow table."""
    import pyarrow as pa

    return pa.table([*keys, *(pa.array(one) for _, one in columns)], names=[*by, *(name for name, _ in columns)])


def ordered(table: Any) -> Any:
    """A table on its way in the order of first appearance, without the column that says so."""
    order = np.argsort(table.column(FIRST).to_numpy(), kind="stable")
    return table.drop_columns([FIRST]).take(order).combine_chunks()


def counted(column: Any) -> dict[str, int]:
    """How often each word of a column stands there; the most common first, then as they first appear."""
    found = column.value_counts()
    counts = {one["values"].as_py(): one["counts"].as_py() for one in found}
    return dict(sorted(counts.items(), key=lambda one: -one[1]))


def among(column: Any, words: Sequence[str]) -> NDArray[np.bool_]:
    """Where a column holds one of some words (n,)."""
    import pyarrow.compute as pc

    found = pc.is_in(column, texts(words))
    return values_of(found)


def first_places(column: Any, word: str, most: int) -> list[int]:
    """Where a word stands first in a column."""
    return [int(k) for k in np.flatnonzero(among(column, [word]))[:most]]


def same(column: Any, value: object) -> NDArray[np.bool_]:
    """Where an Arrow column holds a value (n,); None: where it holds none, or NaN, which are one key."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if value is None:
        return values_of(column.is_null(nan_is_null=True))
    try:
        wanted = pa.scalar(value.item() if isinstance(value, np.generic) else value, column.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return np.zeros(len(column), dtype=bool)
    found = pc.fill_null(pc.equal(column, wanted), False)
    return values_of(found)


def update(digest: Any, column: Any) -> None:
    """Add an Arrow column to a digest."""
    import pyarrow as pa

    batch = pa.record_batch([column], names=[""])
    digest.update(batch.schema.serialize())
    digest.update(batch.serialize())


def to_polars(table: Any) -> Any:
    """The table for polars."""
    try:
        import polars
    except ImportError:
        raise BackendError("E-BACKEND", "many.no_package", package="polars") from None
    return polars.from_arrow(table)


def to_pandas(table: Any) -> Any:
    """The table for pandas."""
    try:
        return table.to_pandas()
    except ImportError:
        raise BackendError("E-BACKEND", "many.no_package", package="pandas") from None

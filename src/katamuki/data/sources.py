"""What a caller may give as data, and how each kind becomes rows.

Mappings, data frames (pandas, polars, pyarrow, DuckDB, and whatever else narwhals knows), structured arrays, paths, and
open streams. Nothing is converted here: columns are converted when a fit uses them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from katamuki.data import files, folders
from katamuki.data.convert import Plain, root
from katamuki.data.names import IN_MEMORY, printable
from katamuki.data.streams_parts import RelationPart
from katamuki.data.table import Table
from katamuki.errors import DataError
from katamuki.records import Rows, Source


class Mapped(Table):
    """A mapping of columns that are in memory."""

    __slots__ = ("columns",)

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self.columns = columns
        self.names = tuple(columns)
        self.separator = self.decimal = None
        self.time = {}
        self._known = UNCOUNTED
        self._count = self._refuse = None
        self.parts = ()

    def _fetch(self, places: Sequence[int], text: Set[int]) -> dict[int, Any]:
        found = {k: self.columns[self.names[k]] for k in places}
        _check_index({self.names[k]: column for k, column in found.items()})
        return found


def _check_index(columns: Mapping[str, Any]) -> None:
    """Refuse pandas columns whose labels differ: pandas would match rows by label, katamuki by position."""
    labelled = [(name, c) for name, c in columns.items() if root(c) == "pandas" and hasattr(c, "index")]
    for name, column in labelled[1:]:
        first, other = labelled[0]
        if not column.index.equals(other.index):
            raise DataError("E-INDEX", "data.index", column=name, other=first)


UNCOUNTED = Source(IN_MEMORY, "mapping", -1)


def rows(data: object) -> Rows:
    """Anything that a caller may give as data, as rows; nothing is read or converted before it is used.

    Parameters
    ----------
    data : mapping, data frame, structured array, path, ``"-"``, stream or Rows
        A string is a path; ``"-"`` is standard input.

    Returns
    -------
    Rows
        The names of columns, and the columns when asked for.

    Raises
    ------
    DataError
        Where it is nothing of the kind, or the file cannot be used.

    Example
    -------
    >>> rows({"x": [1, 2], "y": [3.5, 4.5]}).names
    ('x', 'y')
    """
    if type(data) is dict:
        return Mapped(data)
    return _rows(data, None, None, None)


def read(
    path: object,
    *,
    sep: str | None = None,
    decimal: str | None = None,
    header: bool | None = None,
    time: Mapping[str, str] | None = None,
) -> Table:
    """Read a file as rows, saying what its first lines leave open.

    CSV, TSV and their kin, Parquet, JSON lines and Arrow, told apart by their first bytes. What is found in a text file
    (separator, decimal mark, header) stands in ``source``; a file without a header that has two columns gets x and y,
    any other c1, c2, …. Lines that begin with # before the table are comments. Only the columns that a fit uses are
    converted.

    Parameters
    ----------
    path : str, path, ``"-"`` or stream
        ``"-"`` is standard input; any other data that ``katamuki.fit`` takes is allowed too, for ``time``.
    sep : str, optional
        The character between cells; ``" "`` is any run of blanks. Default: found.
    decimal : "." or ",", optional
        The decimal mark. Default: found.
    header : bool, optional
        Whether the first row holds names. Default: found.
    time : mapping, optional
        Columns of dates or times and the unit, "ns", "us", "ms", "s", "min", "h" or "d", in which they become time
        elapsed since the first row.

    Returns
    -------
    Table
        Rows, and a mapping of columns: ``table["x"]`` is (n,) float64.

    Raises
    ------
    DataError
        Where the file cannot be read, or an option has no meaning for it.

    Example
    -------
    >>> import io
    >>> table = read(io.StringIO("t;v\\n2024-01-01;1,5\\n2024-01-03;2,5\\n"), time={"t": "h"})
    >>> table["t"], table["v"], table.source.decimal
    (array([ 0., 48.]), array([1.5, 2.5]), ',')
    """
    table = _rows(path, sep, decimal, header)
    if not isinstance(table, Table):
        raise DataError("E-USAGE", "data.read", type=type(table).__name__)
    if (sep, decimal, header) != (None, None, None) and table.known.kind not in {"csv", "tsv"}:
        raise DataError("E-USAGE", "data.not_text", place=table.known.name, kind=table.known.kind)
    return table.timed(time) if time else table


def _rows(data: object, sep: str | None, decimal: str | None, header: bool | None) -> Rows:
    if isinstance(data, Table):
        return data
    if hasattr(data, "road") and not isinstance(data, type):  # rows that stay where they are
        return data  # type: ignore[return-value]
    if isinstance(data, str | os.PathLike):
        if data == "-":
            return files.from_stream(sys.stdin, sep, decimal, header)
        path = os.fspath(data)
        if not path:
            raise DataError("E-FILE", "data.no_file", path="")
        found = Path(os.fsdecode(path))
        if folders.several(found):
            return folders.table(found, sep, decimal, header)
        return files.from_path(found, sep, decimal, header)
    if hasattr(data, "read"):
        return files.from_stream(data, sep, decimal, header)
    frame = _frame(data)
    if frame is not None:
        return frame
    if isinstance(data, Mapping):
        return Mapped(data)
    if isinstance(data, np.ndarray) and data.dtype.names:
        return Mapped({name: data[name] for name in data.dtype.names})
    if not isinstance(data, type) and all(hasattr(data, part) for part in ("names", "source", "column", "__len__")):
        return data  # type: ignore[return-value]
    if isinstance(data, list | tuple) and data and all(isinstance(one, str | os.PathLike) for one in data):
        raise _paths(data)
    raise DataError("E-DATA", "data.kind", type=type(data).__name__)


def _paths(data: Sequence[Any]) -> DataError:
    """The error that several paths are no data, with a pattern that takes in files beside the first."""
    first = Path(os.fsdecode(data[0]))
    pattern = '"' + printable((first.parent / f"*{first.suffix}").as_posix()) + '"'
    return DataError("E-DATA", "data.paths", type=type(data).__name__, count=len(data), pattern=pattern)


def _frame(data: Any) -> Table | None:
    """A data frame as a table, or None where it is none."""
    home = root(data)
    if home == "pandas" and getattr(data, "ndim", 0) == 2:
        names = tuple(str(name) for name in data.columns)
        return Table(
            names, lambda places, text: {k: data.iloc[:, k] for k in places}, Source(IN_MEMORY, "pandas", len(data))
        )
    if home == "polars" and hasattr(data, "height"):
        names = tuple(data.columns)
        return Table(
            names, lambda places, text: {k: data[names[k]] for k in places}, Source(IN_MEMORY, "polars", len(data))
        )
    if home == "pyarrow" and hasattr(data, "schema") and hasattr(data, "column"):
        names = tuple(data.schema.names)
        return Table(
            names, lambda places, text: {k: data.column(k) for k in places}, Source(IN_MEMORY, "pyarrow", len(data))
        )
    if home in {"duckdb", "_duckdb"} and hasattr(data, "columns") and hasattr(data, "project"):
        return _relation(data)
    if isinstance(data, Mapping | np.ndarray) or home == "builtins":
        return None
    return _narwhals(data)


def _relation(data: Any) -> Table:
    """A DuckDB relation: the database hands over the columns that are used."""
    names = tuple(data.columns)

    def fetch(places: Sequence[int], text: Set[int]) -> dict[int, Any]:
        quoted = ", ".join('"' + names[k].replace('"', '""') + '"' for k in places)
        table = data.project(quoted).to_arrow_table()
        return {k: table.column(i) for i, k in enumerate(places)}

    def count() -> int:
        return int(data.aggregate("count(*) as n").to_arrow_table().column(0)[0].as_py())

    table = Table(names, fetch, Source(IN_MEMORY, "duckdb", -1), count=count)
    table.parts = (RelationPart(data, count),)
    return table


def _narwhals(data: Any) -> Table | None:
    """Any other data frame, lazy ones included, by way of narwhals and Arrow."""
    import narwhals as nw

    frame = nw.from_native(data, pass_through=True)
    if not isinstance(frame, nw.DataFrame | nw.LazyFrame):
        return None
    names = tuple(frame.collect_schema().names())
    kind = root(data)
    if isinstance(frame, nw.DataFrame):
        frame = frame.lazy()
    return Table(names, partial(_collected, frame, names), Source(IN_MEMORY, kind, -1))


def _collected(frame: Any, names: Sequence[str], places: Sequence[int], text: Set[int]) -> dict[int, Plain]:
    table = frame.select([names[k] for k in places]).collect("pyarrow").to_native()
    return {k: table.column(i) for i, k in enumerate(places)}

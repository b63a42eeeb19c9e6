"""The table in files, read when it is asked for: Parquet, Arrow or CSV, in one file or in several parts.

Whatever the file, columns come back with the types that they had: CSV says none, so they are told; a cell "" is text
without a letter, a cell without quotes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from katamuki.errors import BoundsError, DataError
from katamuki.many import table as tables

KINDS = {".parquet": "parquet", ".csv": "csv", ".arrow": "arrow", ".feather": "arrow"}
META = b"katamuki.many"  # of the file's metadata: the manifest
WORDS = ("_verdict", "_state", "_code")


def kind_of(path: Path) -> str:
    """What a file's suffix says it is; an error where it says nothing known."""
    found = KINDS.get(path.suffix.lower())
    if found is None:
        raise BoundsError("E-USAGE", "many.suffix", path=str(path), all=", ".join(KINDS))
    return found


class Stored:
    """A table in one file or in several parts of one, read when it is asked for.

    Parameters
    ----------
    paths : sequence of Path
        Of one kind; their rows follow on each other.
    disordered : bool
        Whether they stand in another order, which a column of them says.
    schema : pyarrow.Schema, optional
        The types of the columns; by default what the files say, which CSV does not.
    """

    def __init__(self, paths: Sequence[Path], disordered: bool = False, schema: Any = None) -> None:
        self.paths = tuple(paths)
        self.disordered = disordered
        self.schema = schema

    def table(self, columns: Sequence[str] | None = None) -> Any:
        """The table, or some of its columns; words as dictionaries where only columns are asked for."""
        if self.disordered and columns is not None:
            columns = [*columns, tables.FIRST]
        whole = tables.together([read(path, columns, self.schema) for path in self.paths]).replace_schema_metadata(None)
        return tables.ordered(whole) if self.disordered else whole


def read(path: Path, columns: Sequence[str] | None, schema: Any = None) -> Any:
    """A file of the table, or some of its columns."""
    import pyarrow as pa

    try:
        kind = kind_of(path)
        if kind == "parquet":
            import pyarrow.parquet as pq

            words = [] if columns is None else [name for name in columns if name in WORDS]
            with pq.ParquetFile(path, read_dictionary=words) as file:
                found = file.read(columns=None if columns is None else list(columns))
        elif kind == "csv":
            found = _read_csv(path, columns, schema)
        else:
            with pa.memory_map(str(path)) as stream:
                found = pa.ipc.open_file(stream).read_all()
            found = found if columns is None else found.select(list(columns))
        return found if schema is None else _typed(found, schema)
    except FileNotFoundError:
        raise DataError("E-FILE", "many.gone", path=str(path)) from None
    except (OSError, pa.ArrowException) as problem:
        cause = str(problem).splitlines()[0][:200]
        raise DataError("E-FORMAT", "data.damaged", place=path.name, cause=cause) from None


def _read_csv(path: Path, columns: Sequence[str] | None, schema: Any) -> Any:
    """A file of text: its cells are of the types that are told."""
    import pyarrow.csv

    kinds = {} if schema is None else {one.name: _written(one.type) for one in schema}
    options = pyarrow.csv.ConvertOptions(
        column_types=kinds,
        include_columns=None if columns is None else list(columns),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    lines = pyarrow.csv.ParseOptions(newlines_in_values=True)
    return pyarrow.csv.read_csv(path, convert_options=options, parse_options=lines)


def _written(kind: Any) -> Any:
    """The type that a column's cells are read as: durations stand there as whole numbers, and words as themselves."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _written(kind.value_type)
    return pa.int64() if pa.types.is_duration(kind) else kind


def _typed(found: Any, schema: Any) -> Any:
    """The columns with the types that they had; words that were read as dictionaries stay so."""
    for k, name in enumerate(found.column_names):
        kind = schema.field(name).type
        if found.column(k).type != kind and name not in WORDS:
            found = found.set_column(k, name, found.column(k).cast(kind))
    return found


def manifest_of(path: Path) -> dict[str, Any] | None:
    """What a finished file says it holds; None where it says nothing."""
    import pyarrow as pa

    try:
        if KINDS.get(path.suffix.lower()) == "parquet":
            import pyarrow.parquet as pq

            found = pq.read_schema(path).metadata
        elif KINDS.get(path.suffix.lower()) == "arrow":
            with pa.memory_map(str(path)) as stream:
                found = pa.ipc.open_file(stream).schema.metadata
        else:
            return None
        whole = json.loads((found or {}).get(META, b"null"))
    except (OSError, pa.ArrowException, ValueError):
        return None
    return whole if isinstance(whole, dict) else None

"""Several files as one source: a pattern such as ``data/*.parquet``, or a folder of parts.

Files are taken in the order of their names, as SQL engines take them; those of a folder are found in all folders below
it, without names that begin with a point or an underscore. All must be of one kind and have the columns that are used.
"""

from __future__ import annotations

import os
from glob import iglob
from pathlib import Path

from katamuki.data import files
from katamuki.data.names import some
from katamuki.data.streams_parts import TablePart
from katamuki.data.table import Table
from katamuki.errors import DataError
from katamuki.records import Source

MARKS = frozenset("*?[")


def several(path: Path) -> bool:
    """Whether a path means several files: a folder, or a pattern that is no file's name."""
    text = str(path)
    return os.path.isdir(text) or (not MARKS.isdisjoint(text) and not os.path.exists(text))  # noqa: PTH110, PTH112  never raise


def table(path: Path, separator: str | None, decimal: str | None, header: bool | None) -> Table:
    """The files that a pattern or a folder means, as one table."""
    folder = path.is_dir()
    found = _below(path) if folder else sorted(Path(one) for one in iglob(str(path), recursive=True))  # noqa: PTH207  may be absolute
    found = [one for one in found if one.is_file()]
    if not found:
        raise _nothing(path, folder)
    tables = [files.from_path(one, separator, decimal, header, alone=False) for one in found]
    first = tables[0]
    for one, path_of_one in zip(tables[1:], found[1:], strict=True):
        if one.known.kind != first.known.kind:
            kinds = {"kind": one.known.kind, "before": first.known.kind}
            raise DataError("E-SCHEMA", "data.mixed", place=str(path_of_one), other=str(found[0]), **kinds)
    if len(tables) == 1:
        return files.from_path(found[0], separator, decimal, header)
    parts = [part for one in tables for part in (one.parts or (TablePart(one),))]
    name = f"{path}/" if folder else str(path)
    return files.of_parts(parts, Source(name, first.known.kind, -1, header=first.known.header, files=len(tables)))


def _below(folder: Path) -> list[Path]:
    found = [one for one in folder.rglob("*") if one.name.lower().endswith(files.READABLE)]
    return sorted(one for one in found if not any(part[0] in "._" for part in one.relative_to(folder).parts))


def _nothing(path: Path, folder: bool) -> DataError:
    if folder:
        return DataError("E-FILE", "data.folder_empty", path=str(path)[:200], kinds=some(files.READABLE, 12))
    parent = next((one for one in path.parents if MARKS.isdisjoint(str(one))), Path())
    beside = sorted(one.name for one in parent.iterdir()) if parent.is_dir() else []
    key = "data.no_match_there" if beside else "data.no_match"
    return DataError("E-FILE", key, path=str(path)[:200], folder=str(parent)[:200], files=some(beside, 6))

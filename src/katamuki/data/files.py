"""Files and streams as tables: what kind a file is, by its first bytes, and how its columns are read.

Parquet and Arrow are read by pyarrow, JSON lines by ``json``, everything else is text (``text.py``). Only the columns
that are used are read where the format allows it. Compressed files, spreadsheets and folders are errors.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
import stat
import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import Any

from katamuki.data.names import STANDARD_INPUT, Place, printable, some
from katamuki.data.parts import Part, whole
from katamuki.data.streams_parts import ArrowPart, JsonPart, ParquetPart, TextPart
from katamuki.data.table import Table
from katamuki.data.text import TextFile
from katamuki.errors import DataError
from katamuki.records import Source
from katamuki.spelling import nearest

SETS = Path(__file__).parent / "sets"  # the built-in data
HASHED = 1 << 30  # bytes up to which a file's sha256 is taken: half a second
LAZY = 1 << 26  # bytes of JSON beyond which a file is not read before it is used
FOREIGN = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"(\xb5/\xfd": "zstd",
    b"\xd0\xcf\x11\xe0": "xls",
    b"\x89HDF": "HDF5",
    b"FEA1": "feather 1",
    b"\x80\x04": "pickle",
    b"\x93NUMPY": "npy",
}
JSON = re.compile(rb"(\xef\xbb\xbf)?\s*(\{|\[\s*(\{|$))")
READABLE = (".csv", ".tsv", ".txt", ".dat", ".parquet", ".jsonl", ".ndjson", ".arrow", ".feather")


def from_path(
    path: Path, separator: str | None, decimal: str | None, header: bool | None, *, alone: bool = True
) -> Table:
    """A file as a table; one that is not ``alone`` has no checksum, and is called by its path."""
    name = path.name if alone else printable(str(path))
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # a pipe, such as /dev/stdin, gives its bytes once
            return from_bytes(path.read_bytes(), str(path), separator, decimal, header)
        with path.open("rb") as stream:
            first = stream.read(8)
            if JSON.match(first) and path.stat().st_size > LAZY:
                return of_parts([JsonPart(path, name)], Source(name, "jsonl", -1))
            if first[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or JSON.match(first):
                body: Path | bytes = first + stream.read()
            else:
                body = path
            digest = _digest(path) if alone else None
    except FileNotFoundError:
        raise no_file(path) from None
    except PermissionError:
        raise DataError("E-FILE", "data.no_permission", path=str(path)) from None
    except DataError:
        raise
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise DataError("E-FILE", "data.unreadable_file", path=str(path)[:200], cause=cause) from None
    table = _table(body, first, name, digest, separator, decimal, header)
    if JSON.match(first):
        table.parts = (JsonPart(path, name),)
    return table


def of_parts(parts: Sequence[Part], known: Source) -> Table:
    """Parts as one table, whose columns are read into memory when they are asked for, or streamed."""
    fetch, count = whole(parts, known.name)
    table = Table(parts[0].names, fetch, known, count=count, separator=parts[0].separator, decimal=parts[0].decimal)
    table.parts = tuple(parts)
    return table


def from_bytes(body: bytes, name: Place, separator: str | None, decimal: str | None, header: bool | None) -> Table:
    """The bytes of a file, such as standard input's, as a table."""
    return _table(body, body[:8], name, hashlib.sha256(body).hexdigest(), separator, decimal, header)


def from_stream(stream: Any, separator: str | None, decimal: str | None, header: bool | None) -> Table:
    """An open stream of bytes or text, read to its end, as a table."""
    if stream is sys.stdin:
        stream = sys.stdin.buffer
    body = stream.read()
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogateescape")
    name = getattr(stream, "name", None)
    spoken = name not in ("<stdin>", "<fdopen>") and isinstance(name, str)
    return from_bytes(body, Path(name).name if spoken else STANDARD_INPUT, separator, decimal, header)  # type: ignore[arg-type]


def no_file(path: Path) -> DataError:
    """The error that a file is not there, with the files beside it that could be meant."""
    try:
        beside = sorted(other.name for other in path.parent.iterdir() if other.is_file())
    except OSError:
        return DataError("E-FILE", "data.no_folder", path=str(path)[:200], folder=str(path.parent)[:200])
    near = nearest(path.name, beside)
    if not near and (SETS / f"{path}.csv").is_file() and path.name == str(path):
        return DataError("E-FILE", "data.no_file_set", path=str(path))
    names = [near] if near else [name for name in beside if name.lower().endswith(READABLE)]
    key = "data.no_file_near" if names else "data.no_file"
    return DataError("E-FILE", key, path=str(path)[:200], files=some(names, 6))


def _digest(path: Path) -> str | None:
    if path.stat().st_size > HASHED:
        return None
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _table(
    body: Path | bytes,
    first: bytes,
    name: Place,
    digest: str | None,
    separator: str | None,
    decimal: str | None,
    header: bool | None,
) -> Table:
    for magic, kind in FOREIGN.items():
        if first.startswith(magic):
            raise DataError("E-FORMAT", "data.foreign", place=name, kind=kind)
    if not first:
        raise DataError("E-EMPTY", "data.empty_file", place=name)
    if first.startswith(b"PAR1"):
        return _parquet(body, name, digest)
    if first.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return _arrow(body, name, digest, stream=not first.startswith(b"ARROW1"))
    if isinstance(body, bytes):
        if first[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            body = _from_utf16(body, name)
        if JSON.match(body[:8]):
            return _json(body, name, digest)
    return _text(TextFile(body, name, separator, decimal, header), digest)


def _from_utf16(body: bytes, name: Place) -> bytes:
    try:
        return body.decode("utf-16").encode("utf-8")
    except UnicodeError as error:
        position = getattr(error, "start", 0)
        raise DataError("E-ENCODING", "data.encoding", place=name, position=position, encoding="UTF-16") from None


def _text(file: TextFile, digest: str | None) -> Table:
    layout = file.layout
    known = Source(
        file.place, "tsv" if layout.separator == "\t" else "csv", -1,
        separator=layout.separator, decimal=layout.likely, header=layout.header, sha256=digest,
    )  # fmt: skip

    def refuse(name: str) -> DataError | None:
        bad = file.bad_name(name)
        if bad is None:
            return None
        return DataError("E-ENCODING", "data.encoding", place=file.place, position=bad, encoding="UTF-8")

    table = Table(
        file.names, file.fetch, known,
        count=file.rows, separator=layout.separator, decimal=layout.decimal, refuse=refuse,
    )  # fmt: skip
    table.parts = (TextPart(file),) if isinstance(file.body, Path) else ()
    return table


def _parquet(body: Path | bytes, name: Place, digest: str | None) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(str(body) if isinstance(body, Path) else pa.BufferReader(body))
        names, rows = tuple(file.schema_arrow.names), file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise _damaged(name, error) from None

    def fetch(places: Sequence[int], text: Set[int]) -> dict[int, Any]:
        try:
            table = file.read(columns=[names[k] for k in places])
        except (pa.ArrowException, OSError) as error:
            raise _damaged(name, error) from None
        return {k: table.column(names[k]) for k in places}

    table = Table(names, fetch, Source(name, "parquet", rows, header=names, sha256=digest))
    table.parts = (ParquetPart(body, name, file.metadata),) if isinstance(body, Path) else ()
    return table


def _arrow(body: Path | bytes, name: Place, digest: str | None, stream: bool) -> Table:
    import pyarrow as pa

    def opened(places: Sequence[int] | None = None) -> Any:
        try:
            file = pa.memory_map(str(body)) if isinstance(body, Path) else pa.BufferReader(body)
            options = pa.ipc.IpcReadOptions(included_fields=None if places is None else list(places))
            reader = (pa.ipc.open_stream if stream else pa.ipc.open_file)(file, options=options)
            return reader.schema if places is None else reader.read_all()
        except (pa.ArrowException, OSError) as error:
            raise _damaged(name, error) from None

    schema = opened()
    names = tuple(schema.names)

    def fetch(places: Sequence[int], text: Set[int]) -> dict[int, Any]:
        ordered = sorted(places)
        table = opened(ordered)
        return {k: table.column(i) for i, k in enumerate(ordered)}

    table = Table(names, fetch, Source(name, "arrow", -1, header=names, sha256=digest))
    table.parts = (ArrowPart(body, name, schema, stream),) if isinstance(body, Path) else ()
    return table


def _damaged(name: Place, error: Exception) -> DataError:
    return DataError("E-FORMAT", "data.damaged", place=name, cause=str(error).splitlines()[0][:200])


def _json(body: bytes, name: Place, digest: str | None) -> Table:
    """JSON lines: one object per line; a key that a line lacks is a missing value there."""
    columns: dict[str, list[Any]] = {}
    count = 0
    for number, line in enumerate(body.removeprefix(codecs.BOM_UTF8).splitlines(), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            raise DataError("E-FORMAT", "data.json", place=name, line=number) from None
        if not isinstance(found, dict):
            raise DataError("E-FORMAT", "data.json", place=name, line=number)
        for key, value in found.items():
            if key not in columns:
                columns[key] = [None] * count
            columns[key].append(value)
        count += 1
        if len(found) < len(columns):
            for cells in columns.values():
                if len(cells) < count:
                    cells.append(None)
    return of_columns(columns, Source(name, "jsonl", count, header=tuple(columns), sha256=digest))


def of_columns(columns: Mapping[str, Any], known: Source) -> Table:
    """A table of columns that are in memory already."""
    names = tuple(columns)
    return Table(names, partial(_picked, columns, names), known)


def _picked(columns: Mapping[str, Any], names: Sequence[str], places: Iterable[int], text: Set[int]) -> dict[int, Any]:
    return {k: columns[names[k]] for k in places}

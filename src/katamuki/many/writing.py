"""The table in files: written at once or not at all, and part by part while a long run goes on.

Finished curves are written as parts into ``<output>.parts/``: each to a temporary name, made durable, then renamed, so
that a part is there whole or is not there. A manifest beside them says what was fitted to what. After a kill a run with
the same manifest goes on behind the last part; at the end the parts become the file, which takes its place at once, and
the folder goes. Parts hold consecutive curves from the first on; what follows a gap was never finished.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from katamuki.data.names import printable
from katamuki.errors import BoundsError, DataError
from katamuki.many import table as tables
from katamuki.many.spilling import Spill
from katamuki.many.stored import META, Stored, kind_of, manifest_of, read

SCHEMA = "katamuki.many.parts/1"
MANIFEST = "manifest.json"
PART = re.compile(r"part-(\d{15})-(\d{15})\.parquet")
SAMPLED = 64  # every so many curves are looked at for where files of rows in order are to be cut
BUCKET = 1 << 27  # bytes of such a file, about
ENOUGH = 1 << 16  # curves of a part, and of a row group
OFTEN = 1.0  # seconds after which a part is written, however few curves it has


def write(table: Any, path: Path, manifest: Mapping[str, Any] | None = None) -> None:
    """Write a table to a file by its suffix: under another name first, which then takes the file's place."""
    _able(path, table.schema)
    _placed(iter([table]), table.schema, path, manifest)


def apart(path: Path, inputs: Iterable[Path]) -> None:
    """Refuse to write the table to a file that the data were read from."""
    for one in inputs:
        with contextlib.suppress(OSError):
            if path.samefile(one):
                raise BoundsError("E-OUTPUT", "many.is_input", path=str(path))


def _able(path: Path, schema: Any) -> None:
    """Refuse keys that a kind of file cannot hold, before any work."""
    import pyarrow as pa

    if kind_of(path) != "csv":
        return
    for one in schema:
        kind = one.type.value_type if pa.types.is_dictionary(one.type) else one.type
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
            raise BoundsError("E-OUTPUT", "many.no_text", path=str(path), column=printable(one.name), kind=str(kind))


def _placed(parts: Iterator[Any], schema: Any, path: Path, manifest: Mapping[str, Any] | None) -> None:
    """Write tables, one after the other, into one file that appears when it is whole."""
    kind = kind_of(path)
    temporary = path.parent / f".katamuki-{secrets.token_hex(8)}{path.suffix}"
    try:
        with temporary.open("xb") as stream:
            with _writer(kind, stream, schema, manifest) as writer:
                for part in parts:
                    writer.write_table(part)
            stream.flush()
            os.fsync(stream.fileno())
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o777)
        temporary.replace(path)
        _durable(path.parent)
    except OSError as problem:
        raise cannot_write(path, problem) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _writer(kind: str, stream: Any, schema: Any, manifest: Mapping[str, Any] | None) -> Any:
    """What writes tables of a schema to an open file."""
    import pyarrow as pa

    if manifest is not None:
        schema = schema.with_metadata({**(schema.metadata or {}), META: json.dumps(manifest, sort_keys=True).encode()})
    if kind == "csv":
        import pyarrow.csv

        return pa.csv.CSVWriter(stream, schema)
    if kind == "arrow":
        return pa.ipc.new_file(stream, schema)
    import pyarrow.parquet as pq

    return pq.ParquetWriter(stream, schema)


def cannot_write(path: Path, problem: OSError) -> DataError:
    """The error that something could not be written; a part's error says what is kept."""
    if problem.errno == errno.ENOENT:
        return DataError("E-OUTPUT", "many.no_folder", path=str(path), folder=str(path.parent))
    key = "many.no_room" if problem.errno == errno.ENOSPC else "many.cannot_write"
    return DataError("E-OUTPUT", key, path=str(path), cause=problem.strerror or str(problem))


def _durable(folder: Path) -> None:
    """Make the names in a folder survive a power failure, where the system can."""
    with contextlib.suppress(OSError):
        at = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(at)
        finally:
            os.close(at)


class Parts:
    """The parts of an output on their way.

    Parameters
    ----------
    path : Path
        The file that they will become.
    manifest : mapping
        What is fitted to what; a run that goes on must have the same.
    schema : pyarrow.Schema
        Of the table.
    resume : bool
        Whether to go on with the parts that are there.
    overwrite : bool
        Whether to replace what is there.
    """

    disordered = False  # whether parts hold rows in another order, which a column of theirs says

    lock: ClassVar[str] = "lock"  # the file that a run holds

    def __init__(self, path: Path, manifest: Mapping[str, Any], schema: Any, resume: bool, overwrite: bool) -> None:
        _able(path, schema)
        self.path, self.manifest, self.schema = path, dict(manifest), schema
        self.disordered = tables.FIRST in schema.names
        self.folder = path.parent / (path.name + ".parts")
        self.done = 0  # curves in parts
        self.waiting: list[Any] = []
        self.count = 0  # curves in ``waiting``
        self.last = time.monotonic()
        self.complete = self.whole = False  # the file is there; it was there from the start
        self._lock: Any = None
        if path.is_dir():
            raise BoundsError("E-OUTPUT", "many.is_folder", path=str(path))
        if overwrite and self.folder.is_dir():
            self._alone()
            self._emptied()
        elif resume and path.exists() and self._finished():
            self.complete = self.whole = True
            return
        elif not (resume or overwrite):
            for one in (self.folder, path):
                if one.exists():
                    raise BoundsError("E-OUTPUT", "many.exists" if one == path else "many.parts_exist", path=str(one))
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _finished(self) -> bool:
        """Whether the file is there; parts that were left beside it when they had become it go."""
        there = manifest_of(self.path)
        if not self.folder.exists():
            if kind_of(self.path) == "csv":
                raise BoundsError("E-RESUME", "many.text_done", path=str(self.path))
            self._same(there, self.path)
            return True
        if there != self._plain():
            return False  # an older file, which the parts are to replace
        self._alone()
        self._emptied()
        return True

    def _open(self) -> None:
        """Make the folder, or count what is in it."""
        try:
            self.folder.mkdir(exist_ok=True)
            self._alone()
            said = self.folder / MANIFEST
            if said.exists():
                self._same(_loaded(said), said)
            elif self._found():
                raise BoundsError("E-RESUME", "many.no_manifest", path=str(self.folder))
            else:
                self._put(said, json.dumps(self.manifest, indent=1, sort_keys=True).encode())
            for one in self.folder.glob(".katamuki-*"):
                one.unlink()
        except OSError as problem:
            raise cannot_write(self.folder, problem) from None
        for first, stop, part in self._found():
            if first != self.done or not _whole(part, stop - first):
                part.unlink()
                continue
            self.done = stop

    def _alone(self) -> None:
        """Refuse a second run that writes the same parts, where the system can tell; a killed one holds nothing."""
        try:
            import fcntl
        except ImportError:
            return
        self._lock = (self.folder / self.lock).open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise BoundsError("E-OUTPUT", "many.in_use", path=str(self.folder)) from None

    def _same(self, there: dict[str, Any] | None, place: Path) -> None:
        """Refuse to go on with something else."""
        if there is None:
            raise BoundsError("E-RESUME", "many.no_manifest", path=str(place))
        mine = self._plain()
        names = [name for name in sorted({*there, *mine}) if there.get(name) != mine.get(name)]
        if names:
            name = names[0]
            before, now = (json.dumps(one.get(name), ensure_ascii=False)[:200] for one in (there, mine))
            raise BoundsError("E-RESUME", "many.differs", path=str(place), what=name, before=before, now=now)

    def _plain(self) -> dict[str, Any]:
        """The manifest as it comes back from a file."""
        found: dict[str, Any] = json.loads(json.dumps(self.manifest))
        return found

    def _found(self) -> list[tuple[int, int, Path]]:
        """The parts that are there, in order."""
        parts = [(PART.fullmatch(one.name), one) for one in self.folder.iterdir()]
        return sorted((int(found[1]), int(found[2]), one) for found, one in parts if found)

    def add(self, table: Any) -> None:
        """Take finished curves, and write a part once there are many or a second went by."""
        self.waiting.append(table)
        self.count += len(table)
        if self.count >= ENOUGH or time.monotonic() - self.last >= OFTEN:
            self.flush()

    def flush(self) -> None:
        """Write what waits as a part."""
        if self.count:
            import pyarrow as pa
            import pyarrow.parquet as pq

            sink = pa.BufferOutputStream()
            pq.write_table(tables.together(self.waiting), sink)
            name = f"part-{self.done:015d}-{self.done + self.count:015d}.parquet"
            try:
                self._put(self.folder / name, sink.getvalue())
            except OSError as problem:
                cause = problem.strerror or str(problem)
                raise DataError(
                    "E-OUTPUT", "many.part_lost", path=str(self.folder), cause=cause, curves=self.done
                ) from None
            self.done += self.count
            self.waiting, self.count = [], 0
        self.last = time.monotonic()

    def _put(self, path: Path, body: Any) -> None:
        """Write a file that is there whole or not at all."""
        temporary = self.folder / f".katamuki-{secrets.token_hex(8)}"
        try:
            with temporary.open("xb") as stream:
                stream.write(body)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
            _durable(self.folder)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def stored(self) -> Stored:
        """The parts that are there, what waits included."""
        self.flush()
        self.close()
        return Stored([one for _, _, one in self._found()], self.disordered, self.schema)

    def finish(self) -> Stored:
        """Make the parts the file, and let the folder go."""
        if not self.complete:
            self.flush()
            parts = self._in_order() if self.disordered else self._merged(self.schema)
            _placed(parts, self.written, self.path, self.manifest)
            self._emptied()
            self.complete = True
        return Stored([self.path], schema=self.written)

    @property
    def written(self) -> Any:
        """The schema of the file: without the column that says where rows belong."""
        if self.disordered:
            return self.schema.remove(self.schema.get_field_index(tables.FIRST))
        return self.schema

    def _emptied(self) -> None:
        """Let the folder go: what was written there, parts from the last on, and what says what they are after them.

        A kill in the middle leaves parts that can be gone on with; what others put there is left alone.
        """
        with contextlib.suppress(OSError):
            parts = [one for _, _, one in reversed(self._found())]
            for one in [*parts, *self.folder.glob(".katamuki-*"), self.folder / MANIFEST]:
                one.unlink(missing_ok=True)
            for name in ("order", "spill"):
                shutil.rmtree(self.folder / name, ignore_errors=True)
            self.close()
            (self.folder / self.lock).unlink(missing_ok=True)
            self.folder.rmdir()
        self.close()

    def given_up(self) -> None:
        """An error ended the run: let others write here; a folder without a part goes."""
        if not self.done and not self.complete:
            self._emptied()
        self.close()

    def _in_order(self) -> Iterator[Any]:
        """The rows of the parts in their order: scattered over files by it, each sorted by itself."""
        paths = [one for _, _, one in self._found()]
        sample = [read(path, [tables.FIRST]).column(0).to_numpy()[::SAMPLED] for path in paths]
        rows = sum(map(len, sample)) * SAMPLED
        count = max(1, rows * len(self.schema.names) * 8 // BUCKET)
        edges = np.quantile(np.concatenate([np.empty(0), *sample]), np.arange(1, count) / count) if rows else []
        spill = Spill(self.folder / "order", count, self.schema)
        for part in self._merged(self.schema):
            spill.add(part, np.searchsorted(edges, part.column(tables.FIRST).to_numpy(), side="right"))
        spill.end()
        for k in range(count):
            yield tables.ordered(spill.table(k))

    def _merged(self, schema: Any) -> Iterator[Any]:
        """The parts as tables of at least so many rows that row groups are worth it."""
        held: list[Any] = []
        for _, _, part in self._found():
            held.append(read(part, None))
            if sum(map(len, held)) >= ENOUGH:
                yield tables.together(held).cast(schema)
                held = []
        if held:
            yield tables.together(held).cast(schema)

    def close(self) -> None:
        """Let others write here."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _loaded(path: Path) -> dict[str, Any] | None:
    """A manifest, None where it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _whole(path: Path, rows: int) -> bool:
    """Whether a part can be read and has as many rows as its name says."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return bool(pq.read_metadata(path).num_rows == rows)
    except (OSError, pa.ArrowException):
        return False

"""The table in a folder of parts that several processes write at once, and that stays one: what a cluster makes.

Each part holds the curves of one partition and is named by their numbers, so that a part is there whole or is not
there, whoever wrote it; a run that goes on leaves out those that are there. A manifest beside them says what was fitted
to what. The parts in the order of their names are the table, as any reader of Parquet folders takes them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from katamuki.errors import BoundsError
from katamuki.many.stored import Stored
from katamuki.many.writing import Parts, _loaded, _whole, cannot_write, write

MANIFEST = "_manifest.json"  # readers of folders leave out names that begin so


def part_name(first: int, stop: int) -> str:
    """The file of the curves ``first`` to ``stop``.

    Example
    -------
    >>> part_name(0, 250)
    'part-000000000000000-000000000000250.parquet'
    """
    return f"part-{first:015d}-{stop:015d}.parquet"


class Folder(Parts):
    """An output that is a folder.

    Parameters
    ----------
    path : Path
        The folder.
    manifest : mapping
        What is fitted to what; a run that goes on must have the same.
    schema : pyarrow.Schema
        Of the table.
    resume, overwrite : bool
        Whether to go on with the parts that are there, or to replace them.
    ends : sequence of int
        How many curves there are up to the end of each part.
    """

    lock: ClassVar[str] = "_lock"

    def __init__(
        self, path: Path, manifest: Mapping[str, Any], schema: Any, resume: bool, overwrite: bool, ends: Sequence[int]
    ) -> None:
        self.path = self.folder = path
        self.manifest, self.schema = dict(manifest), schema
        self.complete = self.whole = False
        self.done = 0
        self._lock: Any = None
        wanted = {(first, stop): k for k, (first, stop) in enumerate(zip([0, *ends], ends, strict=False))}
        self.finished: list[int] = []  # the parts that are there, by number
        if overwrite and path.is_dir():
            self._cleared()
        elif not resume and path.exists():
            raise BoundsError("E-OUTPUT", "many.exists", path=str(path))
        self._opened()
        for first, stop, part in self._found():
            k = wanted.get((first, stop))
            if stop == 0 and _whole(part, 0):
                continue
            if k is None or not _whole(part, stop - first):
                part.unlink()
                continue
            self.finished.append(k)
            self.done += stop - first
        nothing = path / part_name(0, 0)
        if not nothing.exists():
            write(schema.empty_table(), nothing)
        self.whole = self.done == (ends[-1] if len(ends) else 0)

    def _cleared(self) -> None:
        """Remove what an earlier run wrote; anything else is left alone, and refused."""
        if not (self.path / MANIFEST).is_file():
            raise BoundsError("E-OUTPUT", "many.no_manifest", path=str(self.path))
        shutil.rmtree(self.path)

    def _opened(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._alone()
            said = self.folder / MANIFEST
            if said.exists():
                self._same(_loaded(said), said)
            elif any(self.folder.glob("*.parquet")):
                raise BoundsError("E-RESUME", "many.no_manifest", path=str(self.folder))
            else:
                self._put(said, json.dumps(self.manifest, indent=1, sort_keys=True).encode())
        except OSError as problem:
            self.close()
            raise cannot_write(self.folder, problem) from None
        except BoundsError:
            self.close()
            raise

    def add(self, table: Any) -> None:
        """Workers write."""

    def flush(self) -> None:
        """Nothing waits."""

    def given_up(self) -> None:
        """Let others write here; what workers wrote stays."""
        self.close()

    def finish(self) -> Stored:
        """All parts are there: let others write here."""
        self.complete = True
        self.close()
        (self.folder / self.lock).unlink(missing_ok=True)
        return self.stored()

"""Sources of several parts: what a part is, whether the parts are alike, and all of them as one table in memory.

A part is a file or a query that can be read again for each pass; it consists of pieces that can be read each by itself,
a piece of batches of rows. How files of each kind are read stands in ``streams_parts``, what a fit reads of them in
``streams``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any, Protocol

import numpy as np

from katamuki.data import condition as conditions
from katamuki.data.cells import Cells
from katamuki.data.convert import plain
from katamuki.data.names import Place, find, some
from katamuki.errors import DataError

BATCH = 1 << 17  # rows of a batch
Fetch = Callable[[Sequence[int], Set[int]], Mapping[int, Any]]


class UnknownPageError(Exception):
    """A page of a file that only its own library reads."""


class Part(Protocol):
    """One file, or one query: what can be read again for each pass."""

    place: Place
    names: tuple[str, ...]
    separator: str | None  # of text
    decimal: str | None

    @property
    def rows(self) -> int | None:
        """How many rows, where that is known without reading them."""

    @property
    def pieces(self) -> Sequence[int | None]:
        """The rows of each piece that can be read by itself; None where they must be counted."""

    def stamp(self) -> object:
        """What differs once the part was written to."""

    def kinds(self, names: Sequence[str]) -> Mapping[str, str]:
        """What each column holds, where that is known without reading rows."""

    def idle(self, condition: conditions.Condition) -> Mapping[int, bool]:
        """Pieces in none of whose rows the condition can hold, by their statistics; True: and no row lacks a value."""

    def batches(self, piece: int, names: Sequence[str], text: Set[str], rows: int) -> Iterator[Mapping[str, Any]]:
        """The columns of a piece, raw, about ``rows`` rows at a time; ``text`` are wanted as cells."""


def check_alike(parts: Sequence[Part], names: Sequence[str], place: Place) -> None:
    """Refuse columns that are not there, in any part, or that another part holds as another kind."""
    first = parts[0]
    for name in names:
        find(name, first.names, place)
    kinds = first.kinds(names)
    for part in parts[1:]:
        lacking = [name for name in names if name not in part.names]
        if lacking:
            columns, missing = some(part.names, 20), some(lacking)
            raise DataError("E-SCHEMA", "data.part_lacks", place=part.place, names=missing, columns=columns)
        for name, kind in part.kinds(names).items():
            before = kinds.get(name, kind)
            if _sort(kind) != _sort(before) and "null" not in (kind, before):
                places = {"place": part.place, "other": first.place}
                raise DataError("E-SCHEMA", "data.part_kind", **places, name=name, kind=kind, before=before)


def _sort(kind: str) -> str:
    """A kind of column as far as it matters to a fit."""
    if kind.startswith(("int", "uint", "float", "double", "half", "decimal", "bool")):
        return "number"
    return kind.partition("[")[0]


def count_rows(part: Part, number: int) -> int:
    """The rows of a piece, read where nobody knows."""
    rows = part.pieces[number]
    if rows is not None:
        return rows
    batches = part.batches(number, part.names[:1], frozenset(), BATCH)
    return sum(len(next(iter(raw.values()))) for raw in batches)


def whole(parts: Sequence[Part], place: Place) -> tuple[Fetch, Callable[[], int]]:
    """How a table reads all parts into memory: its columns by place, and how many rows there are."""
    names = parts[0].names

    def fetch(places: Sequence[int], text: Set[int]) -> dict[int, Any]:
        wanted = [names[k] for k in places]
        check_alike(parts, wanted, place)
        found: dict[str, list[Any]] = {name: [] for name in wanted}
        for part in parts:
            for piece in range(len(part.pieces)):
                for raw in part.batches(piece, wanted, {names[k] for k in text}, BATCH):
                    for name in wanted:
                        found[name].append(raw[name])
        return {k: joined(found[names[k]], names[k]) for k in places}

    def count() -> int:
        return sum(count_rows(part, k) for part in parts for k in range(len(part.pieces)))

    return fetch, count


def joined(columns: Sequence[Any], name: str) -> Any:
    """The pieces of a column as one column."""
    if columns and all(isinstance(one, Cells) for one in columns):
        return Cells([cell for one in columns for cell in one.cells], columns[0].bad)
    if columns and all(hasattr(one, "null_count") for one in columns):
        import pyarrow as pa

        flat = [chunk for one in columns for chunk in (one.chunks if hasattr(one, "chunks") else [one])]
        types = {one.type for one in flat if not pa.types.is_null(one.type)}
        if len(types) <= 1:
            kind = next(iter(types), pa.null())
            return pa.chunked_array([one.cast(kind) for one in flat], type=kind)
    arrays: list[Any] = [plain(one, name) for one in columns]
    arrays = [np.array(one.cells, dtype=object) if isinstance(one, Cells) else one for one in arrays]
    return np.ma.MaskedArray(np.ma.concatenate(arrays)) if arrays else np.empty(0)  # type: ignore[no-untyped-call]

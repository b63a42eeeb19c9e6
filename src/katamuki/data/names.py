"""Names of columns: finding one, and what errors say of one that is not there."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from katamuki.errors import DataError
from katamuki.messages import Phrase
from katamuki.spelling import nearest

Place = str | Phrase
"""What reports and errors call a source: a file's name, or one of the two phrases."""

STANDARD_INPUT = Phrase("data.standard_input")
IN_MEMORY = Phrase("data.in_memory")


def printable(text: str) -> str:
    """A text as an error may show it: without control characters and halves of characters, which are spelled out."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _spelled(char) for char in text)


def _spelled(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte that is no UTF-8, as Python carries it
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def some(parts: Sequence[str], limit: int = 8, count: int | None = None) -> str:
    """Words joined by commas, cut after ``limit`` with the full count in brackets."""
    whole = len(parts) if count is None else count
    shown = printable(", ".join(parts[:limit]))
    return shown if whole <= limit else f"{shown}, … ({whole})"


def find(name: str, names: Sequence[str], place: Place) -> int:
    """Where a column stands; raises ``DataError`` where it is not there, or there twice."""
    places = [i for i, other in enumerate(names) if other == name]
    if not places:
        wanted = unicodedata.normalize("NFKC", name)
        places = [i for i, other in enumerate(names) if unicodedata.normalize("NFKC", other) == wanted]
    if len(places) == 1:
        return places[0]
    if places:
        where = some([str(i + 1) for i in places])
        raise DataError("E-DUPLICATE", "data.duplicate", column=printable(name), place=place, positions=where)
    raise no_column(name, names, place)


def no_column(name: str, names: Sequence[str], place: Place) -> DataError:
    """The error that a column is not there, with the columns that are and the nearest of them."""
    near = nearest(name, names)
    key = "data.no_column"
    if near is not None:
        key = "data.no_column_case" if near.casefold() == name.casefold() else "data.no_column_near"
    shown = printable(name)
    return DataError("E-COLUMN", key, column=shown, place=place, columns=some(names, 20), nearest=printable(near or ""))

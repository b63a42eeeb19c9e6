"""Names of columns: finding one, and the nearest to one that is not there.

Edit distance: Damerau–Levenshtein in its restricted form (Wagner and Fischer 1974, with adjacent swaps).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from katamuki.errors import DataError
from katamuki.messages import Phrase

Place = str | Phrase
"""What reports and errors call a source: a file's name, or one of the two phrases."""

STANDARD_INPUT = Phrase("data.standard_input")
IN_MEMORY = Phrase("data.in_memory")


def distance(a: str, b: str, limit: int) -> int:
    """How many insertions, deletions, replacements and swaps of neighbours part two words; ``limit + 1`` if more."""
    if abs(len(a) - len(b)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, p in enumerate(a, 1):
        above, row, swapped = row, [i], before
        for j, q in enumerate(b, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (p != q))
            if i > 1 and j > 1 and p == b[j - 2] and a[i - 2] == q:
                cost = min(cost, swapped[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
        before = above
    return min(row[-1], limit + 1)


def nearest(name: str, names: Iterable[str], limit: int = 2) -> str | None:
    """The name most like ``name``: equal up to case, else within ``limit`` edits; ``None`` if none is.

    A word of one or two letters is near nothing but itself in the other case, since every such word is.

    Parameters
    ----------
    name : str
        The name that is not there.
    names : iterable of str
        The names that are.
    limit : int
        How many edits may part them.

    Returns
    -------
    str or None
        One of ``names``.

    Example
    -------
    >>> nearest("rate", ["Temp", "Rate"]), nearest("tutorail", ["tutorial"]), nearest("a", ["b"])
    ('Rate', 'tutorial', None)
    """
    folded = name.casefold()
    best, edits = None, (min(limit, len(name) // 3) if len(name) < 6 else limit) + 1
    for other in names:
        if other.casefold() == folded:
            return other
        apart = distance(folded, other.casefold(), edits - 1)
        if apart < edits:
            best, edits = other, apart
    return best


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

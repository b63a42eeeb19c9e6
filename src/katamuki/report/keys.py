"""Keys of curves as people and JSON read them: what no terminal may be sent is spelled out, and long ones are cut."""

from __future__ import annotations

from collections.abc import Sequence

from katamuki.report.document import jsonable
from katamuki.report.numbers import width as cells

LONGEST = 24  # cells of a key


def said(key: Sequence[object]) -> str:
    """A key as the summary names it: what no terminal may be sent is spelled out, and long ones are cut.

    Example
    -------
    >>> said(["A1"]), said([1, "A1"]), said(["two\\nlines"])
    ('A1', '1/A1', 'two\\\\nlines')
    """
    return cut("/".join("—" if one is None else _spelled(str(one)) for one in key), LONGEST)


def _spelled(text: str) -> str:
    """A text without control characters and halves of characters, which are spelled out."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def cut(text: str, most: int) -> str:
    """A text of at most so many cells of a screen.

    Example
    -------
    >>> cut("A1", 5), cut("a long name", 6)
    ('A1', 'a lon…')
    """
    if cells(text) <= most:
        return text
    while cells(text) > most - 1:
        text = text[:-1]
    return text + "…"


def jsonable_key(value: object) -> object:
    """A key's value as JSON has it; what it lacks, such as a date, as text."""
    if isinstance(value, float):
        return jsonable(value)
    return value if value is None or isinstance(value, str | int | bool) else str(value)

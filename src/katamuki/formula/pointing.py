"""Errors that point at the characters: the formula printed with carets under the guilty part.

Columns are counted as a terminal shows them: East Asian wide characters take two cells, combining marks none (Unicode
Standard Annex 11). Long formulas are cut to a window around the place.
"""

from __future__ import annotations

import unicodedata

from katamuki.errors import FormulaError
from katamuki.graph import Span
from katamuki.messages import Phrase

WINDOW = 72  # cells of a formula that are shown


def width(character: str) -> int:
    """How many cells a character takes in a terminal."""
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shown(text: str) -> str:
    """Text that any terminal can print: blanks for tabs and line ends, � for what has no picture."""
    return "".join(" " if one.isspace() else one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def pointed(text: str, span: Span) -> str:
    """Two lines: the formula, and carets under ``span``.

    Example
    -------
    >>> print(pointed("傾き = 2x", (6, 7)))
      傾き = 2x
              ^
    """
    start, end = span
    first, last = max(0, min(start, len(text)) - WINDOW // 2), min(len(text), start + WINDOW // 2)
    if len(text) <= WINDOW:
        first, last = 0, len(text)
    before, after = ("… " if first else ""), (" …" if last < len(text) else "")
    line = shown(text)
    indent = sum(map(width, before + line[first:start]))
    carets = sum(map(width, line[start : min(end, last)])) or 1
    return f"  {before}{line[first:last]}{after}\n  {' ' * indent}{'^' * carets}"


def syntax(text: str, span: Span, key: str, code: str = "E-SYNTAX", **values: object) -> FormulaError:
    """The error that a formula cannot be read: what is wrong stands beside the caret."""
    beside = Phrase("formula.caret", picture=pointed(text, span), words=Phrase(key, **values))
    return FormulaError(code, "formula.syntax", where=beside)


def at_place(text: str, span: Span, code: str, key: str, **values: object) -> FormulaError:
    """An error whose sentence stands first, with the formula and carets under it."""
    return FormulaError(code, key, where=pointed(text, span), **values)

"""Errors that point at the characters: the formula printed with carets under the guilty part.

Columns are counted as a terminal shows them: East Asian wide characters take two cells, combining marks none (Unicode
Standard Annex 11). Long formulas are cut to a window around the place.
"""

from __future__ import annotations

import unicodedata

from katamuki.errors import FormulaError
from katamuki.graph import Span
from katamuki.messages import Phrase, said

WINDOW = 72  # cells of a formula that are shown
BESIDE = 66  # cells of a line with carets and words, so that the code fits behind it


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


class Beside(Phrase):
    """Carets and what is wrong beside them, or below them where the line would grow too long.

    Example
    -------
    >>> print(Beside(pointed("2x", (1, 2)), Phrase("formula.product", pair="2*x")))
      2x
       ^ a "*" is missing here: 2*x
    """

    __slots__ = ()

    def __init__(self, picture: str, words: Phrase) -> None:
        super().__init__("formula.caret", picture=picture, words=words)

    def __reduce__(self) -> tuple[object, ...]:
        return Beside, (self.values["picture"], self.values["words"])

    def text(self, lang: str = "en") -> str:
        """Both, in a language."""
        beside = super().text(lang)
        if sum(map(width, beside.split("\n")[-1])) <= BESIDE:
            return beside
        return f"{self.values['picture']}\n  {said(self.values['words'], lang)}"


def syntax(text: str, span: Span, key: str, code: str = "E-SYNTAX", **values: object) -> FormulaError:
    """The error that a formula cannot be read: what is wrong stands beside the caret."""
    return FormulaError(code, "formula.syntax", where=Beside(pointed(text, span), Phrase(key, **values)))


def at_place(text: str, span: Span, code: str, key: str, **values: object) -> FormulaError:
    """An error whose sentence stands first, with the formula and carets under it."""
    return FormulaError(code, key, where=pointed(text, span), **values)

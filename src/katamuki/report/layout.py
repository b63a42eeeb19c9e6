"""Lines of a report: cells at fixed places, hanging text, and words that may be coloured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from unicodedata import east_asian_width

from katamuki.report.numbers import left, width

SECOND, THIRD = 17, 57  # where the second and third cell of a head line begin
NEVER_FIRST = frozenset("、。，．）」』】〕］｝・：；？！ー々ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ)]},.:;?!%…")
NEVER_LAST = frozenset("（「『【〔［｛([{")
HANG = 9  # where hanging text begins

Style = Callable[[str, str], str]
"""``style(kind, text)``: the text, marked for a terminal; kinds are strong, good, look, failed, warning, note."""


def unstyled(kind: str, text: str) -> str:
    """The text as it is."""
    del kind
    return text


def head(first: str, *cells: str, columns: int = 80) -> list[str]:
    """A head line: the first cell at 0, the next at 17, the third at 57; what does not fit goes to the next line.

    Example
    -------
    >>> print("\\n".join(head("weights none", "loss", "least squares")))
    weights none     loss                                    least squares
    """
    lines = [first]
    if width(first) > SECOND - 2:
        lines.append("")
    for cell in cells:
        at = SECOND if width(lines[-1]) <= SECOND - 2 else THIRD
        if width(lines[-1]) > at - 2 or at + width(cell) > columns:
            at = max(SECOND, width(lines[-1]) + 3)
        if at + width(cell) > columns and lines[-1]:
            lines.append("")
            at = SECOND
        pieces = wrapped(cell, columns - SECOND)
        lines[-1] = left(lines[-1], at) + pieces[0]
        lines.extend(" " * SECOND + piece for piece in pieces[1:])
    return [line.rstrip() for line in lines]


def hanging(
    word: str, text: str, style: Style = unstyled, kind: str = "strong", columns: int = 80, hang: int = HANG
) -> list[str]:
    """A word at the margin, and text beside it, wrapped.

    Example
    -------
    >>> hanging("note", "a few words")
    ['note     a few words']
    """
    pieces = [piece for part in text.split("\n") for piece in wrapped(part, columns - hang)]
    first = style(kind, word) + " " * max(1, hang - width(word)) + pieces[0]
    return [first, *(" " * hang + piece for piece in pieces[1:])]


def wrapped(text: str, columns: int) -> list[str]:
    """The text in lines of at most so many cells, broken at spaces and between wide characters; spaces are kept.

    No line begins with a closing mark or a small kana, and none ends with an opening bracket (kinsoku, JIS X 4051).

    Example
    -------
    >>> wrapped("one two   three", 9)
    ['one two', 'three']
    >>> wrapped("損失は下がる。", 12)
    ['損失は下が', 'る。']
    """
    lines, line = [], ""
    for word in text.split(" "):
        for k, piece in enumerate(_pieces(word)):
            longer = line + ("" if k or not line else " ") + piece
            if width(longer) > columns and line.strip():
                lines.append(line.rstrip())
                longer = piece
            line = longer
    lines.append(line.rstrip())
    return lines


def _pieces(word: str) -> list[str]:
    """A word, parted where a line may break within it: beside wide characters."""
    if word.isascii():
        return [word]
    pieces = [word[:1]]
    for before, after in pairwise(word):
        wide = not {"W", "F"}.isdisjoint(map(east_asian_width, before + after))
        if wide and after not in NEVER_FIRST and before not in NEVER_LAST:
            pieces.append(after)
        else:
            pieces[-1] += after
    return pieces


def flow(parts: Sequence[str], columns: int, gap: int = 3) -> list[str]:
    """Parts side by side, as many in a line as fit; a part is never broken.

    Example
    -------
    >>> flow(["rank 2 of 2", "digits 13", "route qr"], 24)
    ['rank 2 of 2   digits 13', 'route qr']
    """
    lines: list[str] = []
    for part in parts:
        if lines and width(lines[-1]) + gap + width(part) <= columns:
            lines[-1] += " " * gap + part
        else:
            lines.append(part)
    return lines


def noted(lines: Sequence[str], notes: Sequence[str], columns: int = 80) -> list[str]:
    """A note beside each line where it fits, else below it.

    Example
    -------
    >>> noted(["  a  1", "  b  2"], ["", "fixed"], 12)
    ['  a  1', '  b  2', '     fixed']
    >>> noted(["  a  1", "  b  2"], ["", "fixed"], 20)
    ['  a  1', '  b  2     fixed']
    """
    found = []
    for line, note in zip(lines, notes, strict=True):
        gap = next((gap for gap in (5, 4, 3) if width(line) + gap + width(note) <= columns), None)
        if gap is None:
            found += [line, " " * 5 + note]
        else:
            found.append(line + " " * gap + note if note else line)
    return found

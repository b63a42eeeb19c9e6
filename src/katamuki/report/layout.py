"""Lines of a report: cells at fixed places, hanging text, and words that may be coloured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from unicodedata import east_asian_width

from katamuki.report.numbers import left, width

SECOND, THIRD = 17, 57  # where the second and third cell of a head line begin
NEVER_FIRST = frozenset("、。，．）」』】〕］｝・：；？！ー々ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ)]},.:;?!%…")
NEVER_LAST = frozenset("（「『【〔［｛([{")
STOPS = ("、", "。")  # wide as they are, they need no space behind them
MARKS = frozenset("、。，．）」』】〕］｝・：；？！")
TOGETHER = "\u00a0"  # a space of a head line at which it is not broken
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
        if at + width(cell) > columns and lines[-1] and at > SECOND:
            lines.append("")
            at = SECOND
        pieces = wrapped(cell, columns - SECOND)
        lines[-1] = left(lines[-1], at) + pieces[0]
        lines.extend(" " * SECOND + piece for piece in pieces[1:])
    return [line.rstrip().replace(TOGETHER, " ") for line in lines]


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
    """The text in lines of at most so many cells, broken at spaces and between Japanese phrases; spaces are kept.

    A phrase begins after a mark, and where hiragana end: particles and endings stay with their word. A phrase that is
    wider than a line is broken anywhere, but no line begins with a closing mark or a small kana, and none ends with
    an opening bracket (kinsoku, JIS X 4051).

    Example
    -------
    >>> wrapped("one two   three", 9)
    ['one two', 'three']
    >>> wrapped("損失は下がる。", 12)
    ['損失は', '下がる。']
    """
    lines, line = [], ""
    for gap, piece in _unbroken(text, columns):
        longer = line + gap + piece
        if width(longer) > columns and line.strip():
            lines.append(line.rstrip())
            longer = piece
        line = longer
    lines.append(line.rstrip())
    return lines


def _unbroken(text: str, columns: int) -> list[tuple[str, str]]:
    """The pieces between which a line may break, each with the space before it."""
    found: list[tuple[str, str]] = []
    for word in text.split(" "):
        for k, piece in enumerate(_pieces(word, columns)):
            before = found[-1][1] if found else ""
            gap = "" if k or not found or before[-1:] in STOPS else " "
            counted = before.isascii() and width(f"{before} {piece}") <= columns  # "6000 ステップ"
            mark = piece[:1] in NEVER_FIRST
            if gap and piece and before.strip() and _wide("", piece[0]) and (counted or mark):
                found[-1] = (found[-1][0], f"{before} {piece}")
            else:
                found.append((gap, piece))
    return found


def _pieces(word: str, columns: int) -> list[str]:
    """A word, parted where a line may break within it."""
    if word.isascii():
        return [word]
    pieces = _parted(word, _phrase_ends)
    return [part for one in pieces for part in ([one] if width(one) <= columns else _parted(one, _wide))]


def _parted(word: str, ends: Callable[[str, str], bool]) -> list[str]:
    pieces = [word[:1]]
    for before, after in pairwise(word):
        if after not in NEVER_FIRST and before not in NEVER_LAST and ends(before, after):
            pieces.append(after)
        else:
            pieces[-1] += after
    return pieces


def _phrase_ends(before: str, after: str) -> bool:
    return before in MARKS or (_wide(before, after) and after in NEVER_LAST) or (_hiragana(before) > _hiragana(after))


def _hiragana(one: str) -> bool:
    return "\u3041" <= one <= "\u309f"


def _wide(before: str, after: str) -> bool:
    return not {"W", "F"}.isdisjoint(map(east_asian_width, before + after))


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
        if gap is None and note:
            found += [line, " " * 5 + note]
        else:
            found.append(line + " " * (gap or 0) + note if note else line)
    return found

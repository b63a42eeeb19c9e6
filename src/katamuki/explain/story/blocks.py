"""The blocks that a story is made of, and how each looks as text of 80 columns and as HTML.

A story is a list of blocks; both views print the same strings. Text: numbered heads with the PyTorch line at the right
edge, tables with the row's number at the left, arithmetic with its equal signs below each other where they fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape

from katamuki.report import layout, numbers

COLUMNS = 80
INDENT = 3
GAP = 3  # cells between the columns of a table
NARROW = 6  # cells that a column of a table has at least
SECOND = 40  # where what stands beside a title begins


@dataclass(frozen=True, slots=True)
class Head:
    """A numbered title, what stands beside it, and the PyTorch line that this part is about."""

    number: str
    title: str
    beside: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Titles, rows of cells, and cells at the foot (column, text); the first column counts rows."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    foot: tuple[tuple[int, str], ...] = ()
    skipped: tuple[int, str] | None = None  # after so many rows others are left out; what says so


@dataclass(frozen=True, slots=True)
class Rules:
    """Lines of the backward sweep: operation, gradient, then terms that are equal to each other."""

    rows: tuple[tuple[str, str, tuple[str, ...], str], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of arithmetic, and perhaps a PyTorch line at its right edge; what does not fit goes on below.

    ``indent`` is where it begins, ``hang`` where its further lines do.
    """

    text: str
    code: str = ""
    indent: int = INDENT
    hang: int = 7


@dataclass(frozen=True, slots=True)
class Words:
    """Sentences."""

    text: str


@dataclass(frozen=True, slots=True)
class Gap:
    """An empty line."""


Block = Head | Table | Rules | Line | Words | Gap

width = lru_cache(maxsize=4096)(numbers.width)  # a story measures the same cells again and again


def left(text: str, cells: int) -> str:
    """The text, padded on its right."""
    return text + " " * (cells - width(text))


def right(text: str, cells: int) -> str:
    """The text, padded on its left."""
    return " " * (cells - width(text)) + text


def wrapped(text: str, columns: int) -> list[str]:
    """The text in lines of at most so many cells; where every letter is one cell wide, by the short way."""
    cells = width(text)
    if cells <= columns:
        return [text]
    if cells != len(text):
        return layout.wrapped(text, columns)
    lines: list[str] = []
    while len(text) > columns:
        at = text.rfind(" ", 1, columns + 1)
        if at <= 0 or not text[:at].strip():
            return [*lines, *layout.wrapped(text, columns)]
        lines.append(text[:at].rstrip())
        text = text[at + 1 :]
    return [*lines, text.rstrip()]


def flow(parts: Sequence[str], columns: int, gap: int = 3) -> list[str]:
    """Parts side by side, as many in a line as fit."""
    return layout.flow(parts, columns, gap)


def as_text(blocks: Sequence[Block], columns: int = COLUMNS) -> str:
    """The blocks as lines of at most so many columns.

    Example
    -------
    >>> print(as_text([Head("1", "Forward", "a = 0.5", "Y = A*Xi"), Line("L = 2 / 4 = 0.5")], 60))
    1  Forward                              a = 0.5     Y = A*Xi
       L = 2 / 4 = 0.5
    """
    lines: list[str] = []
    for one in blocks:
        if isinstance(one, Head):
            lines += _head(one, columns)
        elif isinstance(one, Table):
            lines += _table(one, columns)
        elif isinstance(one, Rules):
            lines += _rules(one, columns)
        elif isinstance(one, Line):
            lines += _line(one, columns)
        elif isinstance(one, Words):
            lines += [" " * INDENT + line for line in wrapped(one.text, columns - INDENT)]
        else:
            lines.append("")
    return "\n".join(line.rstrip() for line in lines)


def _head(head: Head, columns: int) -> list[str]:
    """What stands beside a title moves to its left, then below it, if the PyTorch line needs the room."""
    line = f"{head.number}  {head.title}"
    room = columns - (width(head.code) + 2 if head.code else 0)
    if not head.beside:
        return _coded([line], head.code, columns)
    for at in (SECOND, width(line) + 3):
        if width(line) + 3 <= at and at + width(head.beside) <= room:
            return _coded([left(line, at) + head.beside], head.code, columns)
    return [
        *_coded([line], head.code, columns),
        *(" " * INDENT + one for one in wrapped(head.beside, columns - INDENT)),
    ]


def _coded(lines: list[str], code: str, columns: int) -> list[str]:
    """A PyTorch line at the right edge of the first line, or below it where there is no room."""
    if not code:
        return lines
    if width(lines[0]) + 2 + width(code) <= columns:
        return [left(lines[0], columns - width(code)) + code, *lines[1:]]
    pieces = wrapped(code, columns - INDENT - 4)
    shown = [right(pieces[0], columns)] if len(pieces) == 1 else [" " * (INDENT + 4) + piece for piece in pieces]
    return [lines[0], *shown, *lines[1:]]


def _table(table: Table, columns: int) -> list[str]:
    """The table, in several below each other where it is wider than the paper."""
    wide = [
        max([NARROW, *(width(cell) + GAP for cell in (title, *(row[j] for row in table.rows)))])
        for j, title in enumerate(table.titles)
    ]
    lines: list[str] = []
    first = 1
    while first < len(wide):
        last, used = first, wide[0]
        while last < len(wide) and (used + wide[last] <= columns or last == first):
            used += wide[last]
            last += 1
        shown = [0, *range(first, last)]
        lines += [_cells([table.titles[j] for j in shown], [wide[j] for j in shown])]
        for k, row in enumerate(table.rows):
            if table.skipped is not None and k == table.skipped[0]:
                lines.append(right("…", wide[0]) + "   " + table.skipped[1])
            lines.append(_cells([row[j] for j in shown], [wide[j] for j in shown]))
        if table.skipped is not None and table.skipped[0] >= len(table.rows):
            lines.append(right("…", wide[0]) + "   " + table.skipped[1])
        foot = _foot({j: text for j, text in table.foot if j in shown}, shown, wide)
        lines += [foot] if foot else []
        first = last
    return lines


def _cells(cells: Sequence[str], wide: Sequence[int]) -> str:
    return "".join(right(cell, size) for cell, size in zip(cells, wide, strict=True))


def _foot(texts: dict[int, str], shown: Sequence[int], wide: Sequence[int]) -> str:
    """Texts that end where their columns end; one that needs more room takes it from its left neighbours."""
    edges, at = {}, 0
    for j in shown:
        at += wide[j]
        edges[j] = at
    limit, placed = COLUMNS, []
    for j in reversed(shown):
        if j in texts:
            end = min(edges[j], limit)
            placed.append((end - width(texts[j]), texts[j]))
            limit = end - width(texts[j]) - GAP
    line = ""
    for start, text in reversed(placed):
        line = left(line, max(start, width(line) + (GAP if line.strip() else 0))) + text
    return line


def _rules(rules: Rules, columns: int) -> list[str]:
    """Equal signs below each other; what is too long for a line goes on below its first equal sign."""
    word = max(width(op) for op, *_ in rules.rows) + 2
    name = max(width(symbol) for _, symbol, *_ in rules.rows) + 2
    rule = min(24, max(width(terms[0]) for _, _, terms, _ in rules.rows) + 2)
    more = min(22, max([0, *(width(terms[1]) for _, _, terms, _ in rules.rows if len(terms) > 1)]) + 1)
    lines = []
    for op, symbol, terms, value in rules.rows:
        start = " " * INDENT + left(op, word) + left(symbol, name)
        said = ["= " + left(terms[0] + " ", rule)]
        said += ["= " + (left(term + " ", more) if k == 0 else term + " ") for k, term in enumerate(terms[1:])]
        if len(terms) == 1 and value:
            said[0] = left(said[0], rule + 2 + (more + 2 if more > 1 else 0))
        line = start
        for part in [*said, *(["= " + value] if value else [])]:
            if width(line.rstrip() if part is said[0] else line) + width(part.rstrip()) > columns:
                lines.append(line)
                line = " " * width(start)
            line += part
        lines.append(line)
    return lines


def _line(line: Line, columns: int) -> list[str]:
    """A line, its further pieces further in; spaces at its beginning are kept."""
    whole = " " * line.indent + line.text
    if width(whole) <= columns:
        return _coded([whole], line.code, columns)
    text = whole.lstrip(" ")
    at = len(whole) - len(text)
    first = wrapped(text, columns - at)[0]
    rest = text[len(first) :].lstrip(" ")
    further = [" " * line.hang + piece for piece in wrapped(rest, columns - line.hang)] if rest else []
    return _coded([" " * at + first, *further], line.code, columns)


def as_html(blocks: Sequence[Block]) -> str:
    """The same as HTML: headings, tables with captions of their columns, code; no scripts, no styles of its own.

    Example
    -------
    >>> as_html([Words("1 < 2")])
    '<p>1 &lt; 2</p>'
    """
    return "".join(_as_html(one) for one in blocks if not isinstance(one, Gap))


def _as_html(block: Block) -> str:
    if isinstance(block, Head):
        beside = f" <span>{escape(block.beside)}</span>" if block.beside else ""
        code = f" <code>{escape(block.code)}</code>" if block.code else ""
        return f"<h4>{escape(block.number)}. {escape(block.title)}{beside}{code}</h4>"
    if isinstance(block, Table):
        return _html_table(block)
    if isinstance(block, Rules):
        rows = []
        for op, symbol, terms, value in block.rows:
            said = " = ".join(escape(one) for one in (*terms, value) if one)
            rows.append(f"<tr><td>{escape(op)}</td><th scope='row'>{escape(symbol)}</th><td>= {said}</td></tr>")
        return f"<table><tbody>{''.join(rows)}</tbody></table>"
    if isinstance(block, Line):
        code = f" <code>{escape(block.code)}</code>" if block.code else ""
        return f"<p>{escape(' '.join(block.text.split()))}{code}</p>"
    assert isinstance(block, Words)  # gaps are left out
    return f"<p>{escape(block.text)}</p>"


def _html_table(table: Table) -> str:
    head = "".join(f"<th scope='col'>{escape(title)}</th>" for title in table.titles)
    rows = []
    for k, row in enumerate(table.rows):
        if table.skipped is not None and k == table.skipped[0]:
            rows.append(f"<tr><td colspan='{len(row)}'>… {escape(table.skipped[1])}</td></tr>")
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        rows.append(f"<tr><th scope='row'>{escape(row[0])}</th>{cells}</tr>")
    if table.skipped is not None and table.skipped[0] >= len(table.rows):
        rows.append(f"<tr><td colspan='{len(table.titles)}'>… {escape(table.skipped[1])}</td></tr>")
    foot = ""
    if table.foot:
        texts = dict(table.foot)
        cells = "".join(f"<td>{escape(texts.get(j, ''))}</td>" for j in range(len(table.titles)))
        foot = f"<tfoot><tr>{cells}</tr></tfoot>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>{foot}</table>"

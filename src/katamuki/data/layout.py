"""How a text file is laid out: separator, decimal mark, header, and where its rows begin.

Each candidate separator splits the first rows; the one that gives rows of one length with the most numbers is taken.
What is found stands in the report. A first row that may be a header or data is an error that asks, for a guess there
would be a wrong number or a lost row.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from katamuki.data.cells import is_missing, is_number
from katamuki.data.names import Place
from katamuki.errors import DataError

SAMPLE = 1 << 18  # bytes that are looked at
ROWS = 200  # rows that are looked at
CANDIDATES = ("\t", ";", "|", ",", " ")  # in this order where two fit alike; " " is any run of blanks
SPOKEN = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";"}


@dataclass(frozen=True, slots=True)
class Layout:
    """What was found: ``names`` of all columns, ``header`` as read (None without one), ``start`` the byte of row 1."""

    separator: str | None  # None: one column
    decimal: str | None  # as given, else None: decided by the columns that are used
    likely: str  # the decimal mark of the first rows
    header: tuple[str, ...] | None
    names: tuple[str, ...]
    start: int
    numeric: tuple[bool, ...]  # by column: the first rows hold no text


def records(lines: Iterator[str], separator: str | None) -> Iterator[list[str]]:
    """The rows of a text, each a list of cells; rows without any character are left out.

    In a file of one column an empty line between others is an empty cell.
    """
    if separator == " ":
        for line in lines:
            found = line.split()
            if found:
                yield found
        return
    blanks = 0
    for cells in csv.reader(lines, delimiter=separator or "\x1f", skipinitialspace=True, strict=True):
        if cells:
            for _ in range(blanks):
                yield [""]
            blanks = 0
            yield cells
        elif separator is None:
            blanks += 1


class Counted:
    """Lines of a text that remember how many were taken and their characters."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines, self.count, self.size = lines, 0, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self.lines)
        self.count += 1
        self.size += len(line.encode("utf-8", "surrogateescape"))
        return line


def preamble(text: str) -> int:
    """How many characters of comment lines (#) and empty lines stand before the table."""
    size = 0
    for line in io.StringIO(text, newline=""):
        if line.strip() and not line.lstrip().startswith("#"):
            return size
        size += len(line)
    return size


def separator_of(given: str | None) -> str | None:
    """The separator that a caller named, as one character."""
    if given is None:
        return None
    found = SPOKEN.get(given, given)
    if len(found) != 1 or found in "\r\n\"'.#" or found.isalnum():
        raise DataError("E-SEPARATOR", "data.separator", separator=given)
    return found


def find(
    sample: str, whole: bool, separator: str | None, decimal: str | None, header: bool | None, place: Place
) -> Layout:
    """Find the layout of a text from its beginning.

    Parameters
    ----------
    sample : str
        The first characters, decoded with ``surrogateescape``, without a byte order mark.
    whole : bool
        The sample is the whole text; otherwise its last line may be cut.
    separator, decimal : str, optional
        What the caller said.
    header : bool, optional
        Whether the first row is a header; None: decide.
    place : str or Phrase
        The file's name, for errors.

    Returns
    -------
    Layout

    Raises
    ------
    DataError
        No row at all, or a first row that may be a header or data.

    Example
    -------
    >>> found = find("t;v\\n1;2,5\\n2;3,5\\n", True, None, None, None, "d.csv")
    >>> found.separator, found.likely, found.names, found.start
    (';', ',', ('t', 'v'), 4)
    """
    if decimal not in (None, ".", ","):
        raise DataError("E-DECIMAL", "data.decimal", decimal=decimal)
    given = separator_of(separator)
    skipped = preamble(sample)
    text = sample[skipped:]
    if not text.strip():
        raise DataError("E-EMPTY", "data.empty_file", place=place)
    if given is None:
        given = _separator(text, whole, decimal)
    rows = _rows(text, given, whole)
    if not rows:
        raise DataError("E-FORMAT", "data.quote", place=place)
    has_header = _has_header(rows, place) if header is None else header
    width = len(rows[0])
    body = rows[1:] if has_header else rows
    start = len(sample[:skipped].encode("utf-8", "surrogateescape"))
    read: tuple[str, ...] | None = None
    if has_header:
        lines = Counted(iter(io.StringIO(text, newline="")))
        next(records(lines, given))
        start += lines.size
        read = tuple(_readable(cell) for cell in rows[0])
    names = _names(read, width)
    numeric = tuple(all(is_number(c) or is_missing(c) for row in body for c in row[k : k + 1]) for k in range(width))
    return Layout(given, decimal, decimal or _likely(body, given), read, names, start, numeric)


def _rows(text: str, separator: str | None, whole: bool) -> list[list[str]]:
    found: list[list[str]] = []
    try:
        for row in records(iter(io.StringIO(text, newline="")), separator):
            found.append(row)
            if len(found) > ROWS:
                return found
    except csv.Error:
        return found
    return found if whole or len(found) < 2 else found[:-1]


def _separator(text: str, whole: bool, decimal: str | None) -> str | None:
    best, score = None, 0.0
    for candidate in CANDIDATES:
        rows = _rows(text, candidate, whole)
        if candidate == decimal and not any(decimal in cell for row in rows for cell in row):
            continue  # a comma is both only where cells with a decimal comma are quoted
        widths = Counter(len(row) for row in rows)
        if not widths:
            continue
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
        if width < 2:
            continue
        cells = [cell for row in (rows[1:] or rows) if len(row) == width for cell in row]
        right = sum(is_number(cell) or is_missing(cell) for cell in cells) / max(len(cells), 1)
        found = count / len(rows) * (0.1 + right)
        if len(rows[0]) != width:
            found /= 2  # decimal commas part cells evenly, but not the header
        if found > score * (1 + 1e-9):
            best, score = candidate, found
    return best


def _has_header(rows: Sequence[Sequence[str]], place: Place) -> bool:
    first = rows[0]
    text = [not is_number(cell) and not is_missing(cell) for cell in first]
    if not any(text):
        # Nothing but empty cells or words for "missing" is a row of data; a header names something.
        return False
    if not any(is_number(cell) for cell in first):
        return True
    for k, is_text in enumerate(text):
        below = [row[k] for row in rows[1:] if len(row) > k and not is_missing(row[k])]
        if is_text and below and all(is_number(cell) for cell in below):
            return True
    raise DataError("E-HEADER", "data.header", place=place, cells=", ".join(_readable(cell) for cell in first[:8]))


def _readable(cell: str) -> str:
    """A name without blanks around it; bytes that are no UTF-8 become the replacement character."""
    return cell.strip().encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _names(read: tuple[str, ...] | None, width: int) -> tuple[str, ...]:
    if read is None:
        return ("x", "y") if width == 2 else tuple(f"c{k + 1}" for k in range(width))
    return tuple(name or f"c{k + 1}" for k, name in enumerate(read))


def _likely(body: Sequence[Sequence[str]], separator: str | None) -> str:
    if separator == ",":
        return "."
    marked = [cell for row in body for cell in row if is_number(cell) and ("," in cell or "." in cell)]
    return "," if marked and "," in marked[0] else "."

"""What a cell of a text file says: a number, nothing, or something else.

Numbers are written as C and Python write them, with a point or a comma for the decimals; there are no thousands
separators, for "1.234" and "1,234" would mean two things each. The words for a missing value are those of R, pandas
and databases. It does not read files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.data.names import printable
from katamuki.errors import DataError
from katamuki.records import Array

EXACT = 2**53  # up to here every whole number is a float64
MISSING = frozenset(["", "na", "n/a", "#n/a", "nan", "-nan", "null", "none"])
INFINITE = {"inf": np.inf, "+inf": np.inf, "-inf": -np.inf}
INFINITE |= {"infinity": np.inf, "+infinity": np.inf, "-infinity": -np.inf}
NUMBER = {
    mark: re.compile(rf"[ \t]*[+-]?(?:\d+(?:{re.escape(mark)}\d*)?|{re.escape(mark)}\d+)(?:[eE][+-]?\d+)?[ \t]*", re.A)
    for mark in ".,"
}
DATE = re.compile(
    r"[ \t]*\d{4}-\d\d?-\d\d?([ T].*)?|[ \t]*\d\d?[./]\d\d?[./]\d{2,4}( .*)?|[ \t]*\d\d?:\d\d(:\d\d.*)?", re.A
)
THOUSANDS = re.compile(
    r"[ \t]*[+-]?\d{1,3}(?:(?:,\d{3})+(?:\.\d*)?|(?:\.\d{3})+(?:,\d*)?|(?:['’\u00a0\u202f ]\d{3})+(?:[.,]\d*)?)[ \t]*",
    re.A,
)
SURROGATE = re.compile("[\udc80-\udcff]")  # a byte that is no UTF-8, as Python carries it
SHOWN = 30  # characters of a cell that an error shows


Marked = tuple[int, str, str]  # a number with a decimal mark: its row, its column, the cell


@dataclass(frozen=True, slots=True)
class Cells:
    """One column of a text file as it stands there; ``bad`` finds the file's first byte that is no UTF-8."""

    cells: Sequence[str]
    bad: Callable[[], int | None]

    def __len__(self) -> int:
        return len(self.cells)

    def take(self, index: NDArray[np.int64]) -> Cells:
        """The cells of some rows."""
        return Cells([self.cells[i] for i in index.tolist()], self.bad)


def row(i: int, at: NDArray[np.int64] | None) -> int:
    """A row's number for people: from 1, without the header, in the source."""
    return (i if at is None else int(at[i])) + 1


def shown(cell: str) -> str:
    """A cell as an error shows it: short and printable."""
    text = printable(cell.strip())
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def is_number(cell: str) -> bool:
    """Whether a cell is a number with either decimal mark."""
    return bool(NUMBER["."].fullmatch(cell) or NUMBER[","].fullmatch(cell))


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is no value."""
    return cell.strip().lower() in MISSING


def decimal_mark(
    columns: Mapping[str, Cells], ats: NDArray[np.int64] | None, separator: str | None, given: str | None
) -> str:
    """The decimal mark that all numbers of some columns share.

    A comma is a decimal mark where the cells are not parted by commas; two marks in one file are an error.
    """
    if given is not None:
        return given
    if separator == "," or not any("," in "\n".join(column.cells) for column in columns.values()):
        return "."
    first = marks_in(columns, ".,")
    if len(first) == 2:
        raise _two_marks(first["."], first[","], ats)
    return next(iter(first), ".")


def marks_in(columns: Mapping[str, Cells], marks: str) -> dict[str, Marked]:
    """The first number that has a decimal mark, for each of some marks that is there: its row, column and cell."""
    first: dict[str, Marked] = {}
    for name, column in columns.items():
        whole = "\n".join(column.cells)
        for mark in (one for one in marks if one in whole):
            found = next((i for i, cell in enumerate(column.cells) if mark in cell and is_number(cell)), None)
            if found is not None and (mark not in first or first[mark][0] > found):
                first[mark] = (found, name, column.cells[found])
    return first


class Marks:
    """The decimal marks of one file that is read in batches: one batch by itself shows one of them.

    Columns that a batch reads together share a mark, as those of a whole file do. Of cells that were read as numbers by
    another reader, which takes points alone, a fraction says that there was one.
    """

    def __init__(self, separator: str | None, given: str | None) -> None:
        self.known = given is not None or separator == ","
        self.parsed = separator is not None  # numbers stand for cells
        self.first: dict[tuple[str, ...], dict[str, Marked]] = {}

    def look(self, columns: Mapping[str, Any], at: NDArray[np.int64] | None, before: Callable[[], int]) -> None:
        """See columns of a batch, rows ``at`` of it, which comes after so many rows; refuse a second mark."""
        if self.known:
            return
        first = self.first.setdefault(tuple(columns), {})
        if self.parsed and "." not in first and (found := _fraction(columns)) is not None:
            i, name, cell = found
            first["."] = (before() + row(i, at) - 1, name, cell)
        text = {name: column for name, column in columns.items() if isinstance(column, Cells)}
        for mark, (i, name, cell) in marks_in(text, "".join(set(".,") - set(first))).items():
            first[mark] = (before() + row(i, at) - 1, name, cell)
        if len(first) == 2:
            raise _two_marks(first["."], first[","], None)


def _fraction(columns: Mapping[str, Any]) -> Marked | None:
    """The first number of the first column that has one which is not whole."""
    for name, column in columns.items():
        if isinstance(column, np.ndarray) and column.dtype == np.float64:
            with np.errstate(all="ignore"):
                broken = np.isfinite(column) & (column != np.rint(column))
            if broken.any():
                i = int(np.argmax(broken))
                return i, name, repr(float(column[i]))
    return None


def _two_marks(point: Marked, comma: Marked, at: NDArray[np.int64] | None) -> DataError:
    (i, one, a), (j, other, b) = sorted((point, comma), key=lambda found: found[0])
    key = "data.marks" if one == other else "data.marks_columns"
    return DataError(
        "E-NUMBER", key, row=row(j, at), column=other, cell=shown(b), row2=row(i, at), column2=one, cell2=shown(a)
    )


def numbers(column: Cells, name: str, decimal: str, at: NDArray[np.int64] | None) -> Array:
    """The numbers of a column, NaN where a cell says that there is none; ``DataError`` where it says something else."""
    match = NUMBER[decimal].fullmatch
    out = np.empty(len(column.cells))
    for i, cell in enumerate(column.cells):
        if match(cell):
            value = float(cell.replace(",", ".") if decimal == "," else cell)
            if not -EXACT < value < EXACT:
                _exact(value, cell, name, row(i, at))
            out[i] = value
            continue
        word = cell.strip().lower()
        if word in MISSING:
            out[i] = np.nan
        elif word in INFINITE:
            out[i] = INFINITE[word]
        else:
            raise _no_number(cell, name, decimal, row(i, at), column)
    return out


def _exact(value: float, cell: str, name: str, where: int) -> None:
    """A whole number that float64 would round is an error; text such as 1e300 means its nearest float64."""
    if np.isinf(value):
        raise DataError("E-NUMBER", "data.too_large", row=where, column=name, cell=shown(cell))
    digits = cell.strip().lstrip("+-").lstrip("0")
    if digits.isdigit() and int(digits) != abs(int(value)):
        raise DataError("E-INTEGER", "data.integer", row=where, column=name, value=shown(cell))


def _no_number(cell: str, name: str, decimal: str, where: int, column: Cells) -> DataError:
    values: dict[str, Any] = {"row": where, "column": name, "cell": shown(cell), "decimal": decimal}
    if SURROGATE.search(cell):
        return DataError("E-ENCODING", "data.encoding_cell", position=column.bad(), **values)
    if THOUSANDS.fullmatch(cell):
        return _thousands(cell, values)
    if is_number(cell):
        return DataError("E-NUMBER", "data.mark_comma" if decimal == "." else "data.mark", **values)
    if DATE.fullmatch(cell):
        return DataError("E-DATE", "data.date_cell", **values)
    return DataError("E-NUMBER", "data.number", **values)


def _thousands(cell: str, values: dict[str, Any]) -> DataError:
    """Grouped digits: 1,200 may be 1200 or 1.2, so a decimal mark is no more than a second choice."""
    text = cell.strip()
    if is_number(text):
        plain, other = re.sub("[.,]", "", text), "," if "," in text else "."
        return DataError("E-NUMBER", "data.thousands_or_mark", plain=plain, other=other, **values)
    groups = re.findall(r"\D", text.lstrip("+-"))
    mark = groups[-1] if len(groups) > 1 and groups[-1] != groups[0] else ""
    whole, _, part = text.rpartition(mark) if mark else (text, "", "")
    return DataError("E-NUMBER", "data.thousands", plain=re.sub(r"[^\d+-]", "", whole) + mark + part, **values)

"""Rows of a table of many fits as text: the first ones beside a summary, or all of them as CSV.

Numbers of people's rows have six digits, those of CSV all of them.
"""

from __future__ import annotations

from typing import Any, Protocol

from katamuki import messages
from katamuki.report.keys import said
from katamuki.report.layout import Style, unstyled
from katamuki.report.numbers import cell, fitting, grouped, number, quoted
from katamuki.report.numbers import width as cells

FIRST = 5  # rows that are shown


class Rows(Protocol):
    """A table whose cells are read; the names are those of ``katamuki.Many``."""

    @property
    def by(self) -> tuple[str, ...]:
        """The key columns."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """All parameters."""

    @property
    def names(self) -> tuple[str, ...]:
        """All columns."""

    def column(self, name: str) -> Any:
        """A column, as pyarrow has it."""

    def __len__(self) -> int:
        """Rows."""


def first_rows(many: Rows, lang: str = "en", width: int = 80, style: Style = unstyled) -> list[str]:
    """The table's first rows: keys, values, verdict and code, as many parameters as there is room for.

    Example
    -------
    >>> import katamuki as km
    >>> from katamuki.report import many_rows
    >>> fits = km.fit_many("y ~ a*x", {"x": [1.0, 2.0], "y": [[1.0, 2.0], [3.0, 6.0]]}, check=0)
    >>> print("\\n".join(many_rows.first_rows(fits)))
      curve           a    _verdict    _code
      0        1.000000        good
      1        3.000000        good
    """
    names = list(many.parameters)
    shown = {name: _head(many, name) for name in (*many.by, *names, "_verdict", "_code")}
    while True:
        titles = [*many.by, *names, "_verdict", "_code"]
        rows = [titles, *([shown[name][k] for name in titles] for k in range(len(shown["_code"])))]
        lines = fitting(rows, width)
        if max(map(cells, lines)) <= width or not names:
            break
        names.pop()
    found = [style("strong", lines[0].rstrip()), *(line.rstrip() for line in lines[1:])]
    if len(many) > len(lines) - 1 or len(names) < len(many.parameters):
        hidden = len(many.parameters) - len(names)
        key = "more_both" if hidden else "more_rows"
        found.append(
            "  " + messages.sentence("many." + key, lang, rows=grouped(len(many) - len(lines) + 1), columns=hidden)
        )
    return found


def _head(many: Rows, name: str) -> list[str]:
    """The first cells of a column."""
    values = many.column(name).slice(0, FIRST).to_pylist()
    if name in many.parameters:
        return [number(value) for value in values]
    return [said([value]) for value in values]


def csv(many: Rows, header: bool = True) -> str:
    """The whole table as CSV, numbers with all their digits."""
    names = list(many.names)
    columns = [many.column(name).to_pylist() for name in names]
    lines = [",".join(map(quoted, names))] if header else []
    for row in zip(*columns, strict=True):
        lines.append(",".join(_cell(value) for value in row))
    return "".join(line + "\n" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return cell(value, full=True)
    return quoted(str(value))

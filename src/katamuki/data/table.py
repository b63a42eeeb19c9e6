"""A table whose columns become numbers when they are asked for; what every kind of data is turned into.

It holds where the columns are and how to get some of them. It converts a column for ``table["x"]``; checking the
columns of a fit together is ``selection``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from katamuki import messages
from katamuki.data import cells, convert, times
from katamuki.data.names import find, some
from katamuki.errors import DataError
from katamuki.records import Array, Source

Fetch = Callable[[Sequence[int], Set[int]], Mapping[int, Any]]
HEAD = 5  # rows that ``repr`` shows


class Table(Mapping[str, Array]):
    """Columns by name, read from where they are when they are asked for.

    ``table["x"]`` is the column x: (n,) float64, NaN where a value is missing. ``table.names`` and ``table.source`` say
    what there is and how it was read.

    Parameters
    ----------
    names : tuple of str
        The columns, in order.
    fetch : callable
        Gives raw columns by position; its second argument holds the positions that are wanted as text.
    known : Source
        What was read; its ``rows`` may be -1 as long as nobody has counted.
    count : callable, optional
        Counts the rows without reading more than needed.
    separator, decimal : str, optional
        Of text files.
    refuse : callable, optional
        Gives a better error than "no column" where there is one.
    """

    __slots__ = ("_count", "_fetch", "_known", "_refuse", "decimal", "names", "parts", "separator", "time")

    def __init__(
        self,
        names: tuple[str, ...],
        fetch: Fetch,
        known: Source,
        *,
        count: Callable[[], int] | None = None,
        separator: str | None = None,
        decimal: str | None = None,
        refuse: Callable[[str], DataError | None] | None = None,
    ) -> None:
        self.names = names
        self._fetch, self._known, self._count, self._refuse = fetch, known, count, refuse
        self.separator, self.decimal = separator, decimal
        self.time: Mapping[str, str] = {}
        self.parts: Sequence[Any] = ()  # what its rows can be streamed from (``streams.Part``); nothing: they cannot

    @property
    def source(self) -> Source:
        """What was read, for reports."""
        if self._known.rows < 0:
            self._known = replace(self._known, rows=len(self))
        return self._known

    @property
    def known(self) -> Source:
        """``source`` as far as it is known without counting rows."""
        return self._known

    def __len__(self) -> int:
        """How many rows there are; iteration is over the names of columns."""
        if self._known.rows >= 0:
            return self._known.rows
        if self._count is not None:
            return self._count()
        return len(next(iter(self.raw(self.names[:1]).values()))) if self.names else 0

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        return bool(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, name: str) -> Array:
        if name not in self.names:
            raise KeyError(name)
        return self.column(name)

    def raw(self, names: Sequence[str], textual: Sequence[str] = ()) -> dict[str, convert.Plain]:
        """Some columns as they are: arrays of any kind, or cells of text, in the order asked for."""
        for name in (*names, *textual):
            if self._refuse is not None and (error := self._refuse(name)) is not None:
                raise error
        places = {name: find(name, self.names, self._known.name) for name in (*names, *textual)}
        found = self._fetch(
            sorted(set(places.values())), {places[name] for name in (*textual, *self.time) if name in places}
        )
        return {name: convert.plain(found[k], name) for name, k in places.items()}

    def as_is(self, names: Sequence[str]) -> list[Any]:
        """Some columns as the source holds them, of whatever kind; of text files, cells."""
        for name in names:
            if self._refuse is not None and (error := self._refuse(name)) is not None:
                raise error
        places = [find(name, self.names, self._known.name) for name in names]
        found = self._fetch(sorted(set(places)), set(places))
        return [found[k] for k in places]

    def column(self, name: str) -> Array:
        """One column: (n,) float64, NaN where a value is missing; ``DataError`` where it is no number."""
        raw = self.raw([name])
        return self.number(name, raw[name], self.mark(raw))

    def mark(self, raw: Mapping[str, convert.Plain], at: convert.At = None) -> str:
        """The decimal mark that the cells of some columns share."""
        text = {k: v for k, v in raw.items() if isinstance(v, cells.Cells) and k not in self.time}
        return cells.decimal_mark(text, at, self.separator, self.decimal)

    def number(self, name: str, raw: convert.Plain, mark: str, at: convert.At = None) -> Array:
        """A raw column as float64: elapsed time where ``time`` says so."""
        if name in self.time:
            return times.elapsed(raw, name, self.time[name], at)
        return convert.number(raw, name, mark, at)

    def timed(self, time: Mapping[str, str]) -> Table:
        """The same table whose columns ``time`` are elapsed time."""
        times.check_units(time)
        other = Table(
            self.names, self._fetch, self._known,
            count=self._count, separator=self.separator, decimal=self.decimal, refuse=self._refuse,
        )  # fmt: skip
        other.parts = self.parts
        other.time = {self.names[find(name, self.names, self._known.name)]: unit for name, unit in time.items()}
        return other

    def __repr__(self) -> str:
        lines = [
            messages.sentence(
                "data.repr", name=self._known.name, kind=self._known.kind, rows=len(self), columns=some(self.names, 12)
            )
        ]
        shown = self.names[:8]
        try:
            raw = self.raw(shown)
        except DataError:
            return lines[0]
        texts = [[name, *_head(raw[name])] for name in shown]
        widths = [max(map(len, column)) for column in texts]
        lines += [
            "  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in zip(*texts, strict=True)
        ]
        if len(self) > HEAD:
            lines.append("…".rjust(widths[0]))
        return "\n".join(lines)


def _head(raw: convert.Plain) -> list[str]:
    first: Sequence[Any] = raw.cells[:HEAD] if isinstance(raw, cells.Cells) else raw[:HEAD].tolist()
    return [cells.shown("" if value is None else str(value)) for value in first]

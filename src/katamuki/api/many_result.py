"""Class Many: a table with a row per curve, and what can be asked of it.

The table stands in memory, or in the file that it was written to; one curve at a time can be had as a whole ``Fit``,
with its story, its pictures and its check, by fitting that curve again.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from katamuki.api.many_checking import Checked, quantiles
from katamuki.data.buffers import numbers, values_of
from katamuki.data.names import printable, some
from katamuki.errors import DataError
from katamuki.many import table as tables
from katamuki.many.curves import VERDICTS
from katamuki.many.stored import Stored
from katamuki.many.writing import apart, write
from katamuki.records import Array, SigmaIs, Source, Verdict
from katamuki.report import many as words
from katamuki.report.many import Code, Spread

if TYPE_CHECKING:
    from katamuki.api.many_curves import Single
    from katamuki.api.result import Fit

SHOWN = 3  # keys of a code that are shown


class Many:
    """The result of :func:`katamuki.fit_many`; printing it prints a summary.

    Parameters
    ----------
    single : Single
        Fits one of the curves again.
    table : pyarrow.Table or Stored
        One row per curve, in memory or in files.
    data : Source
        What was read.
    curves : int
        How many there are; −1 where it ended before all were counted.
    seconds : float
        How long the fits took, with reading and grouping, without the check.
    threads : int
        How many were used.
    ending : "done", "interrupted" or "time"
        How it ended; curves that were not reached have no row.
    checked : Checked
        What the answer check said of a random sample.
    resumed : int
        Curves that an earlier run had left in the file.

    Example
    -------
    >>> import katamuki as km
    >>> wells = ["A1"] * 4 + ["A2"] * 4
    >>> data = {"well": wells, "x": [0.0, 1.0, 2.0, 3.0] * 2, "y": [1.0, 3.1, 5.2, 6.9, 0.1, 0.9, 2.2, 3.0]}
    >>> many = km.fit_many("y ~ a*x + b", data, by="well")
    >>> many.table.column("well").to_pylist(), many.counts
    (['A1', 'A2'], {'good': 1, 'look': 1, 'failed': 0})
    """

    def __init__(
        self,
        single: Single,
        table: Any,
        data: Source,
        curves: int,
        seconds: float,
        threads: int,
        ending: Literal["done", "interrupted", "time"],
        resumed: int = 0,
    ) -> None:
        self._single = single
        self._table = table
        self.data = data
        self.curves = curves
        self.seconds = seconds
        self.threads = threads
        self.ending = ending
        self.resumed = resumed
        self.checked = Checked()

    @property
    def table(self) -> Any:
        """The pyarrow table: keys, parameters with their standard errors, ``_loss``, ``_n``, ``_dof``, ``_verdict``,
        ``_state``, ``_code``; one row per curve in the order of the keys' first appearance."""
        return self._table.table() if isinstance(self._table, Stored) else self._table

    @property
    def path(self) -> Path | None:
        """The file of the table; None where it stands in memory, or in parts."""
        parts = self._table.paths if isinstance(self._table, Stored) else ()
        return parts[0] if len(parts) == 1 and self.finished else None

    def column(self, name: str) -> Any:
        """One column of the table as a pyarrow array.

        Raises
        ------
        DataError
            If there is no such column.

        Example
        -------
        >>> import katamuki as km
        >>> many = km.fit_many("y ~ a*x", {"x": [1.0, 2.0], "y": [[1.0, 2.0], [3.0, 6.0]]}, check=0)
        >>> many.column("a").to_pylist()
        [1.0, 3.0]
        """
        if name not in self.names:
            raise DataError("E-COLUMN", "many.no_column", name=printable(str(name)), all=some(self.names, 20))
        whole = self._table.table([name]) if isinstance(self._table, Stored) else self._table
        return whole.column(name)

    @property
    def formula(self) -> str:
        """The formula, as typed or as printed from a function."""
        return self._single.road.plan.model.text

    @property
    def response(self) -> str:
        """The left side."""
        return self._single.road.plan.model.response

    @property
    def predictors(self) -> tuple[str, ...]:
        """The columns that the right side reads."""
        return self._single.road.plan.kernel.columns

    @property
    def parameters(self) -> tuple[str, ...]:
        """All parameters, in the order of the table."""
        return self._single.road.plan.kernel.parameters

    @property
    def free(self) -> tuple[str, ...]:
        """The parameters that are fitted."""
        return self._single.road.said.free

    @property
    def linear(self) -> bool:
        """Whether the formula is linear in them."""
        return self._single.road.plan.is_linear(self.free)

    @property
    def by(self) -> tuple[str, ...]:
        """The key columns."""
        return self._single.supply.by

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the table."""
        return tuple(tables.columns_of(self.by, self.parameters))

    @property
    def sigma_is(self) -> SigmaIs | None:
        """What sigma was said to be."""
        return self._single.road.weighing

    @property
    def weighted(self) -> bool:
        """Whether sigma or weights were given."""
        return self._single.weighing.given

    @property
    def finished(self) -> bool:
        """Whether every curve has its row."""
        return self.ending == "done"

    def __len__(self) -> int:
        """How many curves have a row."""
        return sum(self.counts.values()) if isinstance(self._table, Stored) else len(self._table)

    @cached_property
    def rows(self) -> int:
        """Rows of all curves in the table, those without a value included unless they were dropped."""
        return int(values_of(self.column("_n")).sum())

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many curves have each verdict."""
        found = tables.counted(self.column("_verdict"))
        return {one: found.get(one, 0) for one in VERDICTS}

    @cached_property
    def codes(self) -> tuple[Code, ...]:
        """The codes of curves that are not good, how many have each, and the first keys; the most common first."""
        column = self.column("_code")
        found = {name: count for name, count in tables.counted(column).items() if name}
        places = {name: tables.first_places(column, name, SHOWN) for name in found}
        shown = [at for one in places.values() for at in one]
        keys = dict(zip(shown, self._keys(shown), strict=True))
        return tuple(Code(name, count, tuple(keys[at] for at in places[name])) for name, count in found.items())

    def _keys(self, places: list[int]) -> list[tuple[object, ...]]:
        """The keys of some rows; a column of the table is read for them, and not kept."""
        here = numbers(np.array(places, dtype=np.int64))
        columns = [self.column(name).take(here).to_pylist() for name in self.by]
        return list(zip(*columns, strict=True)) if columns else [()] * len(places)

    def _row(self, k: int) -> dict[str, Any]:
        """Row k, None where there is no number."""
        return self._rows([k])[0]

    def _rows(self, places: list[int]) -> list[dict[str, Any]]:
        """Some rows; of a table in files each column is read once."""
        here = numbers(np.array(places, dtype=np.int64))
        columns = {name: self.column(name).take(here).to_pylist() for name in self.names}
        return [{name: column[i] for name, column in columns.items()} for i in range(len(places))]

    @property
    def verdict(self) -> Verdict:
        """ "good": every curve is, and the check contradicts none; "failed": it contradicts one, or no curve has an
        answer; else "look"."""
        counts = self.counts
        if self.checked.of("FAIL") or not counts["good"] + counts["look"]:
            return "failed"
        return "look" if counts["look"] or counts["failed"] or not self.finished else "good"

    @cached_property
    def spread(self) -> tuple[Spread, ...]:
        """Of each free parameter over the good curves: 5 %, median and 95 %, and the median of its standard errors."""
        good = tables.among(self.column("_verdict"), ["good"])
        found = []
        for name in self.free:
            low, middle, high = quantiles(self._numbers(name), good)
            _, stderr, _ = quantiles(self._numbers(f"{name}_stderr"), good)
            found.append(Spread(name, low, middle, high, stderr))
        return tuple(found)

    def _numbers(self, name: str) -> Array:
        """A column of numbers, NaN where there is none."""
        return values_of(self.column(name))

    def fit(self, key: object) -> Fit:
        """The whole ``Fit`` of one curve, fitted again by :func:`katamuki.fit`'s road: findings, story, picture, check.

        Parameters
        ----------
        key : value, or tuple of values
            Of the ``by`` columns, in their order.

        Returns
        -------
        Fit
            Its rows have the numbers that they have in the source.

        Raises
        ------
        DataError
            If there is no such curve, or it cannot be fitted.
        NotConverged
            If it has no answer.

        Example
        -------
        >>> import katamuki as km
        >>> many = km.fit_many("y ~ a*x", {"x": [1.0, 2.0, 3.0], "y": [[1.0, 2.0, 3.5], [3.0, 6.0, 9.5]]}, check=0)
        >>> many.fit(1).params["a"] == many.table.column("a")[1].as_py()
        True
        """
        wanted = tuple(key) if isinstance(key, tuple | list) else (key,)
        if len(wanted) != len(self.by):
            raise DataError("E-KEY", "many.key_parts", by=", ".join(self.by), count=len(self.by))
        return self._single.fit(wanted)

    def write(self, path: str | Path) -> None:
        """Write the table to a file: Parquet, CSV or Arrow by its suffix, at once or not at all.

        Parameters
        ----------
        path : str or Path
            ``.parquet``, ``.csv`` or ``.arrow``; a file that is there is replaced.

        Raises
        ------
        DataError
            If the suffix is another, the file is one that was read, or it cannot be written.

        Example
        -------
        >>> import katamuki as km, tempfile, pathlib
        >>> many = km.fit_many("y ~ a*x", {"x": [1.0, 2.0], "y": [[1.0, 2.0], [3.0, 6.0]]}, check=0)
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "fits.csv"
        >>> many.write(path)
        >>> path.read_text().splitlines()[0]
        '"curve","a","a_stderr","_loss","_n","_dof","_verdict","_state","_code"'
        """
        apart(Path(path), self._single.inputs)
        write(self.table, Path(path))

    def to_pandas(self) -> Any:
        """The table as a pandas DataFrame.

        Example
        -------
        >>> import katamuki as km
        >>> many = km.fit_many("y ~ a*x", {"x": [1.0, 2.0], "y": [[1.0, 2.0], [3.0, 6.0]]}, check=0)
        >>> many.to_pandas()["a"].tolist()
        [1.0, 3.0]
        """
        return tables.to_pandas(self.table)

    def to_polars(self) -> Any:
        """The table as a polars DataFrame.

        Example
        -------
        >>> import katamuki as km
        >>> many = km.fit_many("y ~ a*x", {"x": [1.0, 2.0], "y": [[1.0, 2.0], [3.0, 6.0]]}, check=0)
        >>> many.to_polars()["a"].to_list()
        [1.0, 3.0]
        """
        return tables.to_polars(self.table)

    def to_dict(self, lang: str = "en") -> dict[str, Any]:
        """The summary as plain data (schema ``katamuki.many/1``), without the rows; NaN and infinity as None.

        Example
        -------
        >>> import katamuki as km
        >>> km.fit_many("y ~ a*x", {"x": [1.0, 2.0], "y": [[1.0, 2.0], [3.0, 6.0]]}, check=0).to_dict()["curves"]
        2
        """
        return words.as_dict(self, lang)

    def text(self, lang: str = "en", width: int = 80) -> str:
        """The summary that ``print`` shows: what was fitted, verdicts, codes with examples, parameters, the check.

        Example
        -------
        >>> import katamuki as km
        >>> many = km.fit_many("y ~ a*x", {"x": [1.0, 2.0], "y": [[1.0, 2.0], [3.0, 6.0]]})
        >>> print(many.text().split("\\n")[-1])  # doctest: +ELLIPSIS
        checked  2 curves checked again: 2 agree to 15... digits or more
        """
        return words.text(self, lang, width)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Many {self.formula!r}: {len(self)} by {', '.join(self.by)}; {self.verdict}>"

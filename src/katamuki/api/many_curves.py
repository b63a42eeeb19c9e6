"""One of many curves again, as a whole fit: for whoever wants to see it, and for the check of a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from katamuki.api.many_blocks import Weighing, spread
from katamuki.api.many_one import Road
from katamuki.api.many_rows import Block, Known
from katamuki.api.preparing import _response
from katamuki.api.result import Fit
from katamuki.api.values import _bad_weight
from katamuki.data.names import printable
from katamuki.data.selection import Columns, Missing, without_value
from katamuki.errors import DataError, KatamukiError
from katamuki.records import Array, Source

WITHIN = 4  # calls between the user and the road


def plain(key: Sequence[object]) -> tuple[object, ...]:
    """A key with None for every value that is none: NaN, and what NumPy and pandas show in its place, are one key.

    Example
    -------
    >>> plain(["A1", float("nan")])
    ('A1', None)
    """
    return tuple(None if _lost(one) else one for one in key)


def _lost(value: object) -> bool:
    if type(value).__name__ in ("NAType", "NaTType"):  # of pandas
        return True
    return isinstance(value, float | np.floating | np.datetime64 | np.timedelta64) and bool(value != value)  # noqa: PLR0124


@dataclass(frozen=True, slots=True)
class Single:
    """What one curve is fitted with: the road, where its rows come from, its weights."""

    road: Road
    supply: Known
    weighing: Weighing
    missing: Missing
    inputs: tuple[Path, ...] = ()  # the files that are read

    def fit(self, key: Sequence[object]) -> Fit:
        """The fit of the curve of a key; errors and warnings as ``katamuki.fit`` gives them."""
        wanted = plain(key)
        found = self.supply.curve(wanted)
        if found is None:
            raise DataError("E-KEY", "many.no_key", curve=self.said(key))
        return self.fitted(*found, wanted, warn=WITHIN)

    def again(self, key: Sequence[object], at: int) -> Fit | KatamukiError:
        """The same for the check of row ``at`` of the table: rows have no numbers, an error is handed back."""
        try:
            found = self.supply.rows_of(plain(key), at)
            if found is None:
                raise DataError("E-KEY", "many.no_key", curve=self.said(key))
            return self.fitted(found, None, key)
        except KatamukiError as error:
            return error

    def fitted(self, block: Block, rows: NDArray[np.int64] | None, key: Sequence[object], warn: int = 0) -> Fit:
        """The fit of a block of one curve, whose rows have these numbers in the source."""
        flat = spread(block)
        arrays = {name: flat.arrays[name] for name in self.road.used}
        left = np.logical_and.reduce([np.isfinite(one) for one in arrays.values()])
        if flat.lost is not None:
            left &= ~flat.lost
        dropped = len(left) - int(left.sum())
        if dropped and self.missing == "error":
            raise without_value(arrays, ~left, rows)
        weights = self.weighing.of(flat, len(left))
        if dropped:
            arrays = {name: one[left] for name, one in arrays.items()}
            weights = None if weights is None else weights[left]
            rows = np.flatnonzero(left) if rows is None else rows[left]
        source = self._source(key, len(left) - dropped, dropped)
        if dropped == len(left):
            raise DataError("E-EMPTY", "data.drop_none", count=dropped, place=source.name)
        columns = Columns(arrays, source, rows)
        y = _response(self.road.plan, columns)
        if weights is not None and len(y) >= len(self.road.said.free):
            self._check(weights, arrays, rows)
        return self.road.fitted(columns, y, weights, warn)

    def _check(self, weights: Array, arrays: dict[str, Array], rows: NDArray[np.int64] | None) -> None:
        """Refuse weights that are none, as ``katamuki.fit`` does."""
        bad = ~(np.isfinite(weights) & (weights > 0.0))
        if bad.any():
            what = "sigma" if self.weighing.sigma else "weights"
            given = arrays.get(self.weighing.column or "", weights)
            raise _bad_weight(f"api.bad_{what}", given, bad, rows)

    def _source(self, key: Sequence[object], rows: int, dropped: int) -> Source:
        """What was read, for the report of one curve."""
        source = self.supply.source
        name = self.said(key) if not isinstance(source.name, str) else f"{source.name}, {self.said(key)}"
        return replace(source, name=name, rows=rows, dropped=dropped)

    def said(self, key: Sequence[object]) -> str:
        """A key as reports name it: ``plate = 1, well = A1``."""
        return ", ".join(f"{name} = {printable(str(value))}" for name, value in zip(self.supply.by, key, strict=True))

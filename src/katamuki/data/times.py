"""Dates and times as elapsed units since the first row: what ``time={"t": "s"}`` asks for.

Differences are taken between whole numbers of nanoseconds, so that a date far from 1970 costs no digits. Text is read
as ISO 8601 (a date, a date and time, an offset or Z), nothing else: "03/04/2024" is two days. No leap seconds.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from katamuki.data.cells import Cells, is_missing, row, shown
from katamuki.data.convert import At, Plain, absent
from katamuki.errors import DataError
from katamuki.records import Array

UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
FRACTION = re.compile(r"(.*\d\d:\d\d:\d\d)[.,](\d+)(.*)", re.ASCII)
ORIGIN = datetime.datetime(1970, 1, 1)
NANOS = {"W": 7 * UNITS["d"], "D": UNITS["d"], "h": UNITS["h"], "m": UNITS["min"], **UNITS}


def check_units(time: Mapping[str, str]) -> None:
    """Refuse units that there are not."""
    for column, unit in time.items():
        if unit not in UNITS:
            raise DataError("E-TIME", "data.time_unit", column=column, unit=str(unit), units=", ".join(UNITS))


def elapsed(column: Plain, name: str, unit: str, at: At = None) -> Array:
    """Elapsed time since the first row that has a time, in ``unit``; NaN where there is none.

    Parameters
    ----------
    column : (n,) array of datetime64, timedelta64 or objects, or Cells
        From ``plain``.
    name : str
        For errors.
    unit : str
        A key of ``UNITS``.
    at : (n,) int64, optional
        The rows' numbers in the source from 0.

    Returns
    -------
    (n,) float64
        In ``unit``; each value is the float64 nearest to the exact difference.

    Raises
    ------
    DataError
        Where a value is no time.

    Example
    -------
    >>> elapsed(np.array(["2024-02-28", "2024-03-01"], dtype="M8[D]"), "t", "h")
    array([ 0., 48.])
    """
    if isinstance(column, np.ndarray) and column.dtype.kind in "Mm":
        return _from_numpy(column, name, unit)
    values = column.cells if isinstance(column, Cells) else column.tolist()
    counts = [_nanoseconds(value, name, i, at) for i, value in enumerate(values)]
    zoned = {aware for count in counts if count is not None for aware in [count[1]]}
    if len(zoned) > 1:
        raise DataError("E-TIME", "data.time_zones", column=name)
    first = next((count[0] for count in counts if count is not None), 0)
    return np.array([np.nan if count is None else (count[0] - first) / UNITS[unit] for count in counts])


def _from_numpy(column: np.ndarray[Any, Any], name: str, unit: str) -> Array:
    mask = np.ma.getmaskarray(column) if isinstance(column, np.ma.MaskedArray) else np.zeros(len(column), dtype=bool)
    data = np.asarray(column)
    step, count = np.datetime_data(data.dtype)
    if step in {"Y", "M"} and data.dtype.kind == "M":
        data, step, count = data.astype("M8[D]"), "D", 1
    if step not in NANOS:
        raise DataError("E-TIME", "data.time_step", column=name, type=str(data.dtype))
    missing = np.isnat(data) | mask
    out = np.full(len(data), np.nan)
    kept = np.flatnonzero(~missing)
    if not len(kept):
        return out
    ticks = (data[kept] - data[kept[0]]).astype(np.int64)
    top, bottom = NANOS[step] * count, UNITS[unit]
    scale = np.gcd(top, bottom)
    top, bottom = top // int(scale), bottom // int(scale)
    if np.abs(ticks).max() * float(top) < 2**53:
        out[kept] = (ticks * top) / bottom
    else:
        out[kept] = [tick * top / bottom for tick in ticks.tolist()]  # whole numbers of Python, rounded once
    return out


def _nanoseconds(value: Any, name: str, i: int, at: At) -> tuple[int, bool] | None:
    """Whole nanoseconds since 1970 (or of a duration), and whether the time has a zone."""
    if absent(value):
        return None
    extra = 0
    if isinstance(value, str):
        if is_missing(value):
            return None
        value, extra = _parsed(value.strip(), name, i, at)
    if isinstance(value, datetime.timedelta):
        return (value // datetime.timedelta(microseconds=1)) * 1000, False
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime.datetime):
        raise DataError("E-TIME", "data.time_value", row=row(i, at), column=name, cell=shown(str(value)))
    aware = value.tzinfo is not None
    since = value - (ORIGIN.replace(tzinfo=datetime.UTC) if aware else ORIGIN)
    return (since // datetime.timedelta(microseconds=1)) * 1000 + extra + getattr(value, "nanosecond", 0), aware


def _parsed(text: str, name: str, i: int, at: At) -> tuple[datetime.datetime, int]:
    """A time from text, and the nanoseconds of its fraction."""
    found = FRACTION.fullmatch(text)
    whole, fraction = (found[1] + found[3], found[2]) if found else (text, "0")
    try:
        if len(fraction.rstrip("0")) > 9:
            raise ValueError(fraction)
        return datetime.datetime.fromisoformat(whole), int(fraction.ljust(9, "0")[:9])
    except ValueError:
        raise DataError("E-TIME", "data.time_value", row=row(i, at), column=name, cell=shown(text)) from None

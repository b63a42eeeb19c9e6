"""The data sets that ship with katamuki: the tutorial's eleven points, and Anscombe's other three.

Source: F. J. Anscombe, Graphs in Statistical Analysis, The American Statistician 27 (1973), 17–21. The tutorial's
data are his first set. In all four, y ≈ 3 + 0.5 x with R² ≈ 0.67; only plots and findings tell them apart.
"""

from __future__ import annotations

from dataclasses import replace
from typing import overload

from katamuki.data.files import SETS, from_path
from katamuki.data.names import some
from katamuki.data.table import Table
from katamuki.errors import DataError
from katamuki.spelling import nearest


@overload
def datasets() -> tuple[str, ...]: ...


@overload
def datasets(name: str) -> Table: ...


def datasets(name: str | None = None) -> Table | tuple[str, ...]:
    """A built-in data set by name; without one, their names.

    Parameters
    ----------
    name : str, optional
        One of ``datasets()``.

    Returns
    -------
    Table
        Usable as data, and as a mapping of columns; or a tuple of names.

    Raises
    ------
    DataError
        Where there is no such set.

    Source
    ------
    Anscombe 1973, The American Statistician 27, 17–21.

    Example
    -------
    >>> datasets()
    ('anscombe2', 'anscombe3', 'anscombe4', 'tutorial')
    >>> datasets("tutorial")["x"]
    array([10.,  8., 13.,  9., 11., 14.,  6.,  4., 12.,  7.,  5.])
    """
    names = tuple(sorted(path.stem for path in SETS.glob("*.csv")))
    if name is None:
        return names
    if name not in names:
        near = nearest(str(name), names)
        key = "data.no_dataset" if near is None else "data.no_dataset_near"
        raise DataError("E-DATASET", key, name=str(name), nearest=near or "", names=some(names, 20))
    table = from_path(SETS / f"{name}.csv", ",", ".", True)
    table._known = replace(table.source, name=f"{name}.csv", kind="dataset")
    return table

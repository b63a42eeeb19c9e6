"""NIST's 38 certified least-squares problems: data, models and answers known to 20 digits, to judge a fit by.

Eleven linear and twenty-seven nonlinear data sets of the Statistical Reference Datasets (NIST/ITL StRD, public domain,
https://www.itl.nist.gov/div898/strd/), one JSON file each, in the folders ``linear`` and ``nonlinear``. A file holds

* the model in katamuki's spelling, difficulty and kind as NIST says them, and both published starts;
* ``columns``: every cell of the data as the decimal text published, blanks between, because 0.1 is no double;
* ``certified``: the published figures, digit for digit (11 digits; 15 for the linear problems);
* ``refined``: the same solution to 20 digits, of the data as published. Digits are counted against these;
* ``rounded``: the solution of the data rounded to double, which is all that a program in double ever sees. It differs
  from ``refined`` by up to 6e-13 in a parameter and 2e-11 in a standard error (Lanczos2). Lanczos1 is the exception:
  its residuals are hardly larger than the rounding, and the standard errors differ in the fourth digit already.

``tools/certified.py`` parsed the files from the published texts and refined the figures, in rational arithmetic and in
80 digits, sharing no code with katamuki. Nothing here fits anything. One printed figure is mended, and its file
says so: the degrees of freedom of Rat43.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from katamuki.errors import DataError

if TYPE_CHECKING:
    from katamuki.records import Array

__all__ = ["Figures", "Problem", "digits", "names", "problem"]

FOLDER = Path(__file__).parent
Suite = Literal["linear", "nonlinear"]


@dataclass(frozen=True, slots=True)
class Figures:
    """What a fit must find, as decimal text; parameters and standard errors by name, in the model's order."""

    params: Mapping[str, str]
    stderr: Mapping[str, str]
    rss: str  # residual sum of squares, unit of the left side squared
    rsd: str  # residual standard deviation, √(rss/dof), unit of the left side


@dataclass(frozen=True, slots=True)
class Problem:
    """One certified problem. ``params``, ``stderr`` and ``rss`` are the doubles nearest to ``refined``."""

    name: str
    suite: Suite
    difficulty: Literal["Lower", "Average", "Higher"]
    kind: Literal["Observed", "Generated"]
    formula: str
    columns: Mapping[str, Array]  # (n,) float64 each, the left side's column first
    decimals: Mapping[str, tuple[str, ...]]  # the same cells as published
    starts: tuple[Mapping[str, float], Mapping[str, float]] | None  # None: linear problems need none
    n: int
    dof: int
    certified: Figures
    refined: Figures
    rounded: Figures
    source: str
    copy: str  # where the published text was read
    note: str | None

    @property
    def params(self) -> dict[str, float]:
        """Refined parameters by name, unit as the data say."""
        return {name: float(text) for name, text in self.refined.params.items()}

    @property
    def stderr(self) -> dict[str, float]:
        """Refined standard errors by name, scaled by rss/dof."""
        return {name: float(text) for name, text in self.refined.stderr.items()}

    @property
    def rss(self) -> float:
        """Refined residual sum of squares."""
        return float(self.refined.rss)


def names(suite: Suite | None = None) -> tuple[str, ...]:
    """The names of the problems, linear ones first, each suite in alphabetical order.

    Parameters
    ----------
    suite : "linear" | "nonlinear", optional
        One suite only; both without.

    Returns
    -------
    tuple of str

    Source
    ------
    NIST/ITL Statistical Reference Datasets.

    Example
    -------
    >>> from katamuki import certified
    >>> len(certified.names()), certified.names("linear")[:3]
    (38, ('Filip', 'Longley', 'NoInt1'))
    """
    suites = ("linear", "nonlinear") if suite is None else (suite,)
    return tuple(path.stem for folder in suites for path in sorted((FOLDER / folder).glob("*.json")))


def problem(name: str) -> Problem:
    """One certified problem by its name.

    Parameters
    ----------
    name : str
        As NIST writes it, such as ``"Misra1a"``; ``names()`` lists them.

    Returns
    -------
    Problem
        Read anew by every call, so its arrays are the caller's own.

    Raises
    ------
    DataError
        ``E-DATASET``: no problem is called so.

    Source
    ------
    NIST/ITL Statistical Reference Datasets.

    Example
    -------
    >>> from katamuki import certified
    >>> p = certified.problem("Misra1a")
    >>> p.formula, p.n, p.starts[1], p.certified.params["b1"]
    ('y ~ b1 * (1 - exp(-b2 * x))', 14, {'b1': 250.0, 'b2': 0.0005}, '2.3894212918E+02')
    """
    if name not in names():
        raise DataError("E-DATASET", "certified.no_problem", name=name, names=", ".join(names()))
    import numpy as np

    said = _read(name)
    decimals = {column: tuple(cells.split()) for column, cells in said["columns"].items()}
    starts = said["starts"]
    return Problem(
        columns={column: np.array([float(t) for t in cells], dtype=np.float64) for column, cells in decimals.items()},
        decimals=decimals,
        starts=None if starts is None else (_floats(starts[0]), _floats(starts[1])),
        certified=Figures(**said["certified"]),
        refined=Figures(**said["refined"]),
        rounded=Figures(**said["rounded"]),
        **{key: said[key] for key in _PLAIN},
    )


def digits(found: float, exact: str) -> float:
    """How many digits of a number are right: −log₁₀(\\|found − exact\\| / \\|exact\\|).

    The sign counts. Where the exact number is 0, the absolute error stands in for the relative one.

    Parameters
    ----------
    found : float
        What a program found; a NaN or an infinity has −∞ digits.
    exact : str
        Decimal text, such as ``problem("Filip").refined.params["B0"]``.

    Returns
    -------
    float
        ∞ where the two are equal; seldom above 16, because ``exact`` is no double. No unit.

    Source
    ------
    The log relative error of B. D. McCullough, The American Statistician 52 (1998) 358–366, but never cut off.

    Example
    -------
    >>> from katamuki import certified
    >>> round(certified.digits(0.333, "0.33333333333333333333"), 6)
    3.0
    """
    if not math.isfinite(found):
        return -math.inf
    target = Decimal(exact)
    error = abs(Decimal(found) - target) / (abs(target) or 1)
    return float(-error.log10()) if error else math.inf


_PLAIN = ("name", "suite", "difficulty", "kind", "formula", "n", "dof", "source", "copy", "note")


def _read(name: str) -> dict[str, Any]:
    (path,) = FOLDER.glob(f"*/{name}.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _floats(texts: Mapping[str, str]) -> dict[str, float]:
    return {name: float(text) for name, text in texts.items()}

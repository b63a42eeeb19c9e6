"""NIST's 38 certified least-squares problems: data, models and answers known to 20 digits, to judge a fit by.

Eleven linear and twenty-seven nonlinear data sets of the Statistical Reference Datasets (NIST/ITL StRD, public domain,
https://www.itl.nist.gov/div898/strd/), one JSON file each, in the folders ``linear`` and ``nonlinear``. A file holds

* the model in katamuki's spelling, difficulty and kind as NIST says them, and both published starts;
* ``columns``: every cell of the data as the decimal text published, blanks between, because 0.1 is no double;
* ``certified``: the published figures, digit for digit (11 digits; 15 for the linear problems);
* ``refined``: the same solution to 20 digits, of the data as published. Digits are counted against these;
* ``rounded``: the solution of the data rounded to double, which is all that a program in double ever sees. It differs
  from ``refined`` by up to 6e-13 in a parameter and 2e-11 in a standard error (Lanczos2). Lanczos1 is the exception:
  its residuals are hardly larger than the rounding, and the standard errors differ in the fourth digit already;
* ``symmetries``: which parameters may change places together, because the model has equal terms, and which may change
  sign together, because it has them squared or in a sine. :func:`counted` counts digits of the nearest arrangement.

``tools/certified.py`` parsed the files from the published texts, refined the figures, in rational arithmetic and in 80
digits, and found the symmetries by trying all; it shares no code with katamuki. Nothing here fits anything. One printed
figure is mended, and its file says so: the degrees of freedom of Rat43.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import permutations, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from katamuki.errors import DataError

if TYPE_CHECKING:
    from katamuki.records import Array

__all__ = ["Counted", "Figures", "Problem", "Symmetries", "arrangements", "counted", "digits", "names", "problem"]

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
class Symmetries:
    """Which parameters of a model may change places or signs without changing its curve.

    ``permute`` has one row for each place of a term, and in each row the equal terms in one order:
    (("b1", "b3"), ("b2", "b4")) exchanges the pairs (b1, b2) and (b3, b4). ``flip`` lists what changes sign together.
    """

    permute: tuple[tuple[str, ...], ...] = ()
    flip: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Counted:
    """What was found, by certified parameter, in the arrangement nearest to the answer, and how many digits are right.

    A standard error that is missing has −∞ digits.
    """

    params: Mapping[str, float]
    stderr: Mapping[str, float | None]
    digits: Mapping[str, float]
    stderr_digits: Mapping[str, float]


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
    symmetries: Symmetries
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
        symmetries=Symmetries(**{kind: tuple(map(tuple, rows)) for kind, rows in said["symmetries"].items()}),
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


def arrangements(symmetries: Symmetries, names: tuple[str, ...]) -> Iterator[dict[str, tuple[str, int]]]:
    """Every arrangement of parameters that leaves a model as it is: for each name, whose value stands there, its sign.

    Parameters
    ----------
    symmetries : Symmetries
        Of the model.
    names : tuple of str
        The model's parameters.

    Returns
    -------
    iterator of dict
        ``{"b1": ("b3", 1), "b2": ("b4", -1), …}``; the first leaves all where they are.

    Source
    ------
    The group that the exchanges of equal terms and the changes of sign generate, element by element.

    Example
    -------
    >>> from katamuki.certified import Symmetries, arrangements
    >>> list(arrangements(Symmetries((("a", "b"),), (("a",), ("b",))), ("a", "b")))[3:5]
    [{'a': ('a', -1), 'b': ('b', -1)}, {'a': ('b', 1), 'b': ('a', 1)}]
    """
    terms = len(symmetries.permute[0]) if symmetries.permute else 0
    for order in permutations(range(terms)):
        places = {row[k]: row[taken] for row in symmetries.permute for k, taken in enumerate(order)}
        for signs in product((1, -1), repeat=len(symmetries.flip)):
            sign = {name: one for group, one in zip(symmetries.flip, signs, strict=True) for name in group}
            yield {name: (places.get(name, name), sign.get(name, 1)) for name in names}


def counted(asked: Problem, params: Mapping[str, float], stderr: Mapping[str, float | None]) -> Counted:
    """The right digits of every parameter and standard error, in the arrangement nearest to the certified answer.

    Nearest is the arrangement whose worst parameter has most digits. Standard errors change places, not signs.

    Parameters
    ----------
    asked : Problem
        A certified problem.
    params, stderr : mapping
        What a program found, by the names of the problem's formula.

    Returns
    -------
    Counted

    Source
    ------
    :func:`digits`, against the refined figures.

    Example
    -------
    >>> from katamuki import certified
    >>> p = certified.problem("Eckerle4")
    >>> found = p.params | {"b1": -p.params["b1"], "b2": -p.params["b2"]}  # the same curve
    >>> min(certified.counted(p, found, p.stderr).digits.values()) > 15
    True
    """
    exact = asked.refined

    def values(arranged: Mapping[str, tuple[str, int]]) -> dict[str, float]:
        return {name: sign * params[whose] for name, (whose, sign) in arranged.items()}

    def worst(arranged: Mapping[str, tuple[str, int]]) -> float:
        return min(digits(value, exact.params[name]) for name, value in values(arranged).items())

    best = max(arrangements(asked.symmetries, tuple(exact.params)), key=worst)
    found = values(best)
    bars = {name: stderr.get(whose) for name, (whose, _) in best.items()}
    return Counted(
        params=found,
        stderr=bars,
        digits={name: digits(value, exact.params[name]) for name, value in found.items()},
        stderr_digits={
            name: -math.inf if bar is None else digits(bar, exact.stderr[name]) for name, bar in bars.items()
        },
    )


_PLAIN = ("name", "suite", "difficulty", "kind", "formula", "n", "dof", "source", "copy", "note")


def _read(name: str) -> dict[str, Any]:
    (path,) = FOLDER.glob(f"*/{name}.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _floats(texts: Mapping[str, str]) -> dict[str, float]:
    return {name: float(text) for name, text in texts.items()}

"""The closed form with its numbers: the normal equations of a formula that is linear in its free parameters.

f = f₀ + Σ βₖ Jₖ, and Σ w (y − f)² is lowest where Σ w Jⱼ (y − f) = 0 for each j: Σₖ (Σ w Jⱼ Jₖ) βₖ = Σ w Jⱼ (y − f₀).
Source: Gauss 1809; Björck 1996, section 2.2. The fit itself solves by QR, or in double-double, which keeps more digits
than the equations written out do; here they are what a reader can recompute. Every number that is printed is computed
from printed numbers, rounded to ``digits``: as few as give the same answer. Up to four parameters are solved in steps;
more are shown, not solved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from katamuki.backends import numpy_
from katamuki.errors import FormulaError, spoken
from katamuki.explain.subject import Subject
from katamuki.graph import Graph, derivative
from katamuki.graph import text as node_text
from katamuki.messages import Listing
from katamuki.records import Array
from katamuki.report.numbers import number

SCHEMA = "katamuki.normal_equations/1"
SOLVED = 4  # parameters up to which the solution is shown in steps
FEWEST, MOST = 6, 13  # digits of the numbers that are printed
EXACT_ROWS = 3000  # summed as fractions; more rows are summed by fsum, and above 2·10⁶ by NumPy
FSUM_ROWS = 2_000_000
EXACT_DIGITS = 60
DEPENDENT, DEPENDENT_SUMS = 1e-26, 1e-13  # a scaled pivot below this is 0: of exact sums, of rounded ones
LONGEST = 40  # characters of a column's text

Row = list[Fraction]


@dataclass(frozen=True, slots=True)
class NormalEquations:
    """What ``fit.normal_equations()`` returns: data; printing it prints the equations and how they are solved.

    ``names`` (p,) the free parameters; ``columns`` (p,) what each multiplies, as text (∂f/∂parameter); ``matrix``
    (p, p) Σ w Jⱼ Jₖ and ``right`` (p,) Σ w Jⱼ (y − f₀); ``answer`` their solution, None where the columns depend on
    each other; ``digits`` so many of each number are printed, None where the solution is not shown in steps;
    ``fitted`` the fit's own answer (the least-squares one beside a run), ``shared`` the digits that both share;
    ``residual_sums`` Σ w Jⱼ r there, which must be 0, and ``rounding`` what rounding may leave of them.

    Example
    -------
    >>> import katamuki as km
    >>> found = km.fit("y ~ a*x + b", km.datasets("tutorial")).normal_equations()
    >>> found.columns, found.matrix
    (('x', '1'), ((1001.0, 99.0), (99.0, 11.0)))
    """

    formula: str
    response: str
    names: tuple[str, ...]
    columns: tuple[str, ...]
    n: int
    weighted: bool
    offset: bool
    fixed: Mapping[str, float]
    matrix: tuple[tuple[float, ...], ...]
    right: tuple[float, ...]
    digits: int | None
    answer: Mapping[str, float] | None
    fitted: Mapping[str, float]
    at_bound: tuple[str, ...]
    residual_sums: Mapping[str, float]
    rounding: float
    shared: float | None
    taken: frozenset[str]
    lang: str = "en"

    def text(self, lang: str | None = None, columns: int = 80) -> str:
        """The equations in words and numbers, at most ``columns`` wide where the numbers allow.

        Example
        -------
        >>> import katamuki as km
        >>> print(km.fit("y ~ a*x + b", km.datasets("tutorial")).normal_equations().text().split("\\n")[0])
        n 11   Σx 99   Σy 82.51   Σx² 1001   Σxy 797.6
        """
        from katamuki.explain.normal_equations import words as normal_equations_words

        return normal_equations_words.text(self, spoken(self.lang if lang is None else lang), columns)

    def to_dict(self) -> dict[str, Any]:
        """The same as data: ``{"schema": "katamuki.normal_equations/1", …}``.

        Example
        -------
        >>> import katamuki as km
        >>> km.fit("y ~ a*x + b", km.datasets("tutorial")).normal_equations().to_dict()["right"]
        [797.6, 82.51]
        """
        from katamuki.explain.normal_equations import words as normal_equations_words

        return normal_equations_words.as_dict(self)

    def _repr_html_(self) -> str:
        from katamuki.explain.normal_equations import words as normal_equations_words

        return normal_equations_words.html(self, self.lang)

    def __str__(self) -> str:
        return self.text()


def normal_equations_of(subject: Subject, lang: str = "en") -> NormalEquations:
    """Form and solve the normal equations of a fit.

    Parameters
    ----------
    subject : Subject
        The fit's claim, its model and data.
    lang : str
        In which language they print themselves.

    Returns
    -------
    NormalEquations
        Frozen data.

    Raises
    ------
    FormulaError
        If the model is no formula, or not linear in its free parameters.
    BoundsError
        If there is no such language.
    """
    spoken(lang)
    claim, graph = subject.solution, subject.graph
    if graph is None:
        raise FormulaError("E-NONLINEAR", "explain.normal.no_formula")
    if not claim.linear:
        raise FormulaError("E-NONLINEAR", "explain.normal.nonlinear", names=Listing(claim.free))
    slopes = derivative(graph)
    places = [1 + graph.parameters.index(name) for name in claim.free]
    outputs = numpy_.evaluate(slopes, subject.columns, dict(claim.params) | dict.fromkeys(claim.free, 0.0))
    jacobian, offset = [outputs[k] for k in places], outputs[0]
    weights, target = subject.weights, subject.y - offset
    matrix = [[_sum(one, two, weights) for two in jacobian] for one in jacobian]
    right = [_sum(one, target, weights) for one in jacobian]
    answer = None if claim.combinations else _exact(matrix, right, len(target) <= EXACT_ROWS)
    reference = claim.params if claim.reference is None else claim.reference.params
    fitted = {name: reference[name] for name in claim.free}
    residuals = target - np.sum([fitted[name] * one for name, one in zip(claim.free, jacobian, strict=True)], axis=0)
    sums = {name: float(_sum(one, residuals, weights)) for name, one in zip(claim.free, jacobian, strict=True)}
    found = None if answer is None else dict(zip(claim.free, (float(one) for one in answer), strict=True))
    rows = [[float(one) for one in (*row, rhs)] for row, rhs in zip(matrix, right, strict=True)]
    return NormalEquations(
        formula=claim.formula,
        response=claim.response,
        names=claim.free,
        columns=_texts(slopes, places, claim.free),
        n=claim.n,
        weighted=claim.weighted,
        offset=bool(np.any(offset != 0.0)),
        fixed={name: value for name, value in claim.params.items() if name not in claim.free},
        matrix=tuple(tuple(row[:-1]) for row in rows),
        right=tuple(row[-1] for row in rows),
        digits=None if answer is None else digits_of(rows, answer),
        answer=found,
        fitted=fitted,
        at_bound=claim.at_bound,
        residual_sums=sums,
        rounding=_rounding(jacobian, subject.y, weights, list(fitted.values())),
        shared=None if found is None else _shared(found, fitted),
        taken=frozenset({*graph.columns, *graph.parameters, claim.response}),
        lang=lang,
    )


def _texts(slopes: Graph, places: list[int], names: tuple[str, ...]) -> tuple[str, ...]:
    """What each parameter multiplies, as text; ∂f/∂a where that is long."""
    found = []
    for name, place in zip(names, places, strict=True):
        try:
            found.append(node_text(slopes, slopes.outputs[place], LONGEST))
        except OverflowError:
            found.append(f"∂f/∂{name}")
    return tuple(found)


def _sum(one: Array, two: Array, weights: Array | None) -> Fraction:
    """Σ w one two: exact for small data, by fsum or pairwise sums for larger."""
    if len(one) <= EXACT_ROWS:
        ones = [] if weights is None else [Fraction(w) for w in weights.tolist()]
        terms = [Fraction(a) * Fraction(b) for a, b in zip(one.tolist(), two.tolist(), strict=True)]
        return sum((w * t for w, t in zip(ones, terms, strict=True)), Fraction(0)) if ones else sum(terms, Fraction(0))
    products = one * two if weights is None else one * two * weights
    return Fraction(math.fsum(products.tolist()) if len(one) <= FSUM_ROWS else float(products.sum()))


def rounded(value: Fraction, digits: int) -> Fraction:
    """A number rounded to so many significant digits: what is printed, exactly.

    Example
    -------
    >>> rounded(Fraction(2, 3), 3)
    Fraction(667, 1000)
    """
    return Fraction(decimal(value, digits))


def decimal(value: Fraction, digits: int) -> Decimal:
    """The same as a decimal number."""
    return Context(prec=digits).divide(Decimal(value.numerator), Decimal(value.denominator))


@dataclass(frozen=True, slots=True)
class Elimination:
    """Row ``row`` less ``factor`` times row ``pivot`` is ``result``: p numbers and the right side."""

    row: int
    pivot: int
    factor: Fraction
    result: tuple[Fraction, ...]


def eliminate(rows: list[Row], digits: int) -> tuple[list[Elimination], list[Fraction]] | None:
    """Gauss's elimination on numbers of so many digits, and the answer; None where a pivot is 0.

    Each step uses the rounded numbers of those before it, so that a reader who computes with what is printed meets the
    same digits. No rows are exchanged: the matrix is positive definite.

    Example
    -------
    >>> rows = [[Fraction(one) for one in row] for row in ((1001, 99, "797.6"), (99, 11, "82.51"))]
    >>> steps, answer = eliminate(rows, 7)
    >>> [float(one) for one in answer]
    [0.5000909, 3.000091]
    """
    p = len(rows)
    left = [list(row) for row in rows]
    steps = []
    for k in range(p):
        if left[k][k] <= 0:
            return None
        for i in range(k + 1, p):
            factor = rounded(left[i][k] / left[k][k], digits)
            left[i] = [
                Fraction(0) if j <= k else rounded(one - factor * two, digits)
                for j, (one, two) in enumerate(zip(left[i], left[k], strict=True))
            ]
            steps.append(Elimination(i, k, factor, tuple(left[i])))
    answer = [Fraction(0)] * p
    for i in range(p - 1, -1, -1):
        known = sum((left[i][j] * answer[j] for j in range(i + 1, p)), Fraction(0))
        answer[i] = rounded((left[i][p] - known) / left[i][i], digits)
    return steps, answer


def cramer(rows: list[Row]) -> tuple[Fraction, Fraction, Fraction]:
    """The determinant of two equations, and the numerators of both answers."""
    (a, b, u), (c, d, v) = rows
    return a * d - b * c, d * u - b * v, a * v - c * u


def digits_of(rows: list[list[float]], exact: list[Fraction]) -> int | None:
    """The fewest digits of the equations' numbers with which the answer prints as it does with all digits.

    None where they are too many to be read, or the parameters too many to be solved for in steps.
    """
    if len(rows) > SOLVED:
        return None
    wanted = [number(float(one)) for one in exact]
    for digits in range(FEWEST, MOST + 1):
        found = by_hand([[rounded(Fraction(one), digits) for one in row] for row in rows], digits)
        if found is not None and [number(float(one)) for one in found] == wanted:
            return digits
    return None


def by_hand(rows: list[Row], digits: int) -> list[Fraction] | None:
    """The answer as it is printed: by determinants (two digits more) for two parameters, by elimination else."""
    if len(rows) == 2:
        det, first, second = (rounded(one, digits + 2) for one in cramer(rows))
        return [first / det, second / det] if det > 0 else None
    found = eliminate(rows, digits)
    return None if found is None else found[1]


def _exact(matrix: list[Row], right: list[Fraction], sharp: bool) -> list[Fraction] | None:
    """The answer to many digits; None where a pivot, beside its diagonal, is 0 as far as the sums can tell."""
    p = len(matrix)
    if not all(matrix[k][k] > 0 for k in range(p)):
        return None
    found = eliminate([[*row, rhs] for row, rhs in zip(matrix, right, strict=True)], EXACT_DIGITS)
    if found is None:
        return None
    steps, answer = found
    least = DEPENDENT if sharp else DEPENDENT_SUMS
    pivots = {step.row: step.result[step.row] for step in steps if step.pivot == step.row - 1}
    return answer if all(float(pivot / matrix[k][k]) > least for k, pivot in pivots.items()) else None


def _rounding(jacobian: list[Array], y: Array, weights: Array | None, answer: list[float]) -> float:
    """What rounding may leave of a residual sum: epsilon times the sum of what is added up, the largest."""
    w = 1.0 if weights is None else weights
    terms = np.abs(y) + np.sum([np.abs(b * one) for b, one in zip(answer, jacobian, strict=True)], axis=0)
    return float(np.finfo(float).eps * max((float((w * np.abs(one) * terms).sum()) for one in jacobian), default=0.0))


def _shared(one: Mapping[str, float], two: Mapping[str, float]) -> float:
    """Decimal digits shared by two answers, the worst parameter's, at most 16."""
    found = 16.0
    for name, value in one.items():
        apart, size = abs(value - two[name]), max(abs(value), abs(two[name]))
        if apart:
            found = min(found, -math.log10(apart / size))
    return max(found, 0.0)

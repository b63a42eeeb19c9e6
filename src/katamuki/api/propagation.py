"""The uncertainty of what is computed from the parameters: bands of predictions, derived quantities.

To first order (the delta method; Seber & Wild 1989, section 5.1): a quantity with slopes g by the parameters has the
variance gᵀCg. Where the data leave a direction of the parameters open, quantities that do not depend on it still have
their variance: C is then the covariance on the determined directions, and g must have no part in the open ones. A
parameter held at a bound counts as known, as in the standard errors of the others. Curvature is not looked at.
"""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from katamuki import formula, tails
from katamuki.api.elsewhere import refuse_sample
from katamuki.api.plan import Plan
from katamuki.backends import numpy_
from katamuki.covariance import uncertainty
from katamuki.errors import BoundsError, DataError, FormulaError
from katamuki.formula import Model
from katamuki.graph import derivative, name_text
from katamuki.messages import Listing
from katamuki.records import Array, Finding, Solution, Source
from katamuki.report import brief, number

OPEN = 1e-8  # a quantity's share of an open direction, against its slopes' sizes there: below this it is rounding


@dataclass(frozen=True, slots=True)
class Prediction:
    """ŷ at new rows with a band: ``value``, ``low`` and ``high``, (m,) each, unit of the response.

    ``low`` and ``high`` are NaN where the data do not determine ŷ. ``findings`` names predictors that leave the range
    that was fitted.
    """

    value: Array
    low: Array
    high: Array
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Derived:
    """A quantity computed from the parameters, in their units.

    ``stderr`` and ``interval`` (low, high) are to first order, None where the data do not determine it.
    """

    name: str
    value: float
    stderr: float | None
    interval: tuple[float, float] | None

    def __str__(self) -> str:
        spread = "—" if self.stderr is None else brief(self.stderr, 6)
        return f"{self.name} {number(self.value)} ± {spread}"


@dataclass(frozen=True, slots=True)
class Spread:
    """``covariance`` (p, p) of the free parameters on the determined directions; ``null`` (k, p), the open ones."""

    covariance: Array
    null: Array

    def variance(self, slopes: Array) -> Array:
        """gᵀCg for slopes (m, p): (m,), NaN where g has a part in an open direction."""
        found: Array = np.einsum("mi,ij,mj->m", slopes, self.covariance, slopes)
        for direction in self.null:
            parts = slopes * direction
            found[np.abs(parts.sum(axis=1)) > OPEN * np.abs(parts).sum(axis=1)] = np.nan
        return np.maximum(found, 0.0)


def spread(
    solution: Solution, plan: Plan, observed: Array, columns: list[Array], weights: Array | None, source: Source
) -> Spread:
    """The covariance as it stands, or, where it has gaps, from the derivatives at the answer."""
    free = solution.free
    if solution.covariance.shape != (len(free), len(free)):
        raise DataError("E-BAND", "torch.no_covariance", count=len(free))
    held = np.array([name in solution.at_bound for name in free])
    loose = np.flatnonzero(~held)
    inner = solution.covariance[np.ix_(loose, loose)]
    if np.isfinite(inner).all():
        covariance = np.zeros((len(free), len(free)))
        covariance[np.ix_(loose, loose)] = inner
        return Spread(covariance, np.empty((0, len(free))))
    refuse_sample(source, "stream.what.band")
    with closing(plan.problem(columns, observed, weights, solution.params, free)) as problem:
        triangle = problem.triangle(problem.values, exact=True)[1:].reshape(len(free) + 1, -1)[:-1, :-1]
    known = solution.sigma_is == "known"
    found = uncertainty(triangle, solution.rss, solution.n, known, None, held if held.any() else None)
    variance = 1.0 if known else solution.rss / found.dof if found.dof > 0 else math.nan
    return Spread(variance * (found.root @ found.root.T), found.null)


def quantile(level: float, solution: Solution) -> float:
    """How many standard errors cover this share: of Student's t, or of the normal distribution if sigma is known."""
    if not 0 < level < 1:
        raise BoundsError("E-USAGE", "result.level", given=repr(level))
    if solution.sigma_is == "known":
        return tails.coverage(level)
    return tails.coverage(level, solution.dof) if solution.dof > 0 else math.nan


def scatter(solution: Solution, weights: Array | None) -> float:
    """The variance of a new observation about the curve: that of an average fitted row, unit of y squared."""
    average = 1.0 if weights is None else float(np.mean(1.0 / weights))
    if solution.sigma_is == "known":
        return average
    return average * solution.rss / solution.dof if solution.dof > 0 else math.nan


def derived(text: str, solution: Solution, known: Spread, level: float) -> Derived:
    """The quantity that a text such as ``"half_life = log(2)/b"`` defines."""
    wide = quantile(level, solution)
    model = quantity(text, solution)
    value, *slopes = (float(one[0]) for one in numpy_.evaluate(derivative(model.graph), {}, solution.params))
    by_name = dict(zip(model.graph.parameters, slopes, strict=True))
    gradient = np.array([[by_name.get(name, 0.0) for name in solution.free]])
    if not math.isfinite(value):
        raise FormulaError("E-DOMAIN", "result.no_value", text=text)
    error = math.sqrt(known.variance(gradient)[0]) if np.isfinite(gradient).all() else math.nan
    name = model.columns[0]
    if not gradient.any() or not math.isfinite(error):
        return Derived(name, value, None, None)
    return Derived(name, value, error, (value - wide * error, value + wide * error))


def quantity(text: str, solution: Solution) -> Model:
    """Read ``name = expression of parameters``; without a name, the text is its own."""
    names = tuple(solution.params)
    left, separator, _ = text.partition("~" if "~" in text else "=")
    name = left.strip().strip("`") if separator else text.strip()
    whole = text if separator else f"{name_text(name)} = {text}"
    if name in names:
        raise FormulaError("E-NAME", "result.name_taken", name=name)
    model = formula.parse(whole, (name,))
    unknown = [one for one in model.graph.parameters if one not in names]
    if unknown:
        raise FormulaError("E-NAME", "result.unknown", unknown=Listing(unknown), names=", ".join(names))
    return model

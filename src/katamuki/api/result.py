"""Class Fit: a judged answer, and what can be asked of it.

Everything that is not needed to say whether the fit is good is computed when asked for. Predictions and derived
quantities carry their uncertainty to first order, from the exact derivatives of the formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from katamuki import data as sources
from katamuki import formula
from katamuki.api.plan import Plan
from katamuki.backends import numpy_
from katamuki.backends.kernel import Kernel
from katamuki.errors import BoundsError, DataError
from katamuki.graph import derivative
from katamuki.records import Array, CheckReport, Finding, Solution, Source, State, Trace, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROUNDING = 15.0  # digits of a double, less one


@dataclass(frozen=True, slots=True)
class Prediction:
    """ŷ at new rows with a band: ``value``, ``low`` and ``high``, (m,) each, unit of y."""

    value: Array
    low: Array
    high: Array


@dataclass(frozen=True, slots=True)
class Derived:
    """A quantity computed from the parameters, with its standard error to first order (None where there is none)."""

    name: str
    value: float
    stderr: float | None

    def __str__(self) -> str:
        spread = "—" if self.stderr is None else f"{self.stderr:.6g}"
        return f"{self.name} = {self.value:.6g} ± {spread}"


class Fit:
    """The result of :func:`katamuki.fit`.

    Parameters
    ----------
    solution : Solution
        The claim.
    data : Source
        What was read.
    trace : function
        Makes the trace when it is asked for.
    plan : Plan
        The model and its kernel.
    columns : mapping of str to (n,) float64
        The cleaned columns that the model used.
    weights : (n,) float64 or None
        w of Σ w r².
    findings, verdict
        What was found about the fit.
    seed : int
        As given to ``fit``.

    Example
    -------
    >>> import katamuki as km
    >>> fit = km.fit("y ~ a*x + b", km.datasets("tutorial"))
    >>> round(fit.r2, 6), fit.dof, fit.state
    (0.666542, 9, 'exact')
    """

    def __init__(
        self,
        solution: Solution,
        data: Source,
        trace: Callable[[], Trace] | None,
        plan: Plan,
        columns: Mapping[str, Array],
        weights: Array | None,
        findings: tuple[Finding, ...],
        verdict: Verdict,
        seed: int = 0,
    ) -> None:
        self.solution = solution
        self.data = data
        self.columns = columns
        self.weights = weights
        self.findings = findings
        self.verdict = verdict
        self.seed = seed
        self._plan = plan
        self._trace = trace

    @property
    def params(self) -> dict[str, float]:
        """Values by name, in order of first appearance; the fixed ones too."""
        return self.solution.params

    @property
    def stderr(self) -> dict[str, float | None]:
        """Standard errors by name; None where there is none: fixed, undetermined, at a bound, no freedom."""
        return self.solution.stderr

    @property
    def free(self) -> tuple[str, ...]:
        """The names that were fitted, p of them."""
        return self.solution.free

    @property
    def covariance(self) -> Array:
        """(p, p) over the free parameters; NaN where undetermined."""
        return self.solution.covariance

    @property
    def correlation(self) -> Array:
        """(p, p) over the free parameters, no unit."""
        spread = np.sqrt(np.diag(self.covariance))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.covariance / np.outer(spread, spread))

    @property
    def loss(self) -> float:
        """Σ w r² / n, the mean squared error, unit of y squared."""
        return self.solution.loss

    @property
    def rss(self) -> float:
        """Σ w r²."""
        return self.solution.rss

    @property
    def n(self) -> int:
        """Rows."""
        return self.solution.n

    @property
    def dof(self) -> int:
        """Rows less the parameters that were free to move."""
        return self.solution.dof

    @property
    def r2(self) -> float:
        """1 − rss / Σ w (y − ȳ_w)²; NaN where y does not vary."""
        return 1.0 - self.rss / self.solution.tss if self.solution.tss > 0 else math.nan

    @property
    def _deviance(self) -> tuple[float, int]:
        """−2 log likelihood of a Gaussian, and how many parameters it has: σ is one of them unless known."""
        n, p = self.n, len(self.free)
        logs = 0.0 if self.weights is None else float(np.log(self.weights).sum())
        if self.solution.sigma_is == "known":
            return n * math.log(2 * math.pi) - logs + self.rss, p
        if self.rss <= 0.0:
            return -math.inf, p + 1
        return n * (math.log(2 * math.pi * self.rss / n) + 1) - logs, p + 1

    @property
    def aic(self) -> float:
        """−2 log L + 2k (Akaike 1974)."""
        deviance, k = self._deviance
        return deviance + 2 * k

    @property
    def aicc(self) -> float:
        """AIC + 2k(k+1)/(n − k − 1) (Hurvich & Tsai 1989); infinite where n is too small for it."""
        deviance, k = self._deviance
        left = self.n - k - 1
        return deviance + 2 * k + 2 * k * (k + 1) / left if left > 0 else math.inf

    @property
    def bic(self) -> float:
        """−2 log L + k log n (Schwarz 1978)."""
        deviance, k = self._deviance
        return deviance + k * math.log(self.n)

    @property
    def state(self) -> State:
        """How it ended: "exact", "converged", "cycle", "slow", "diverged", "not_identifiable" or "interrupted"."""
        return self.solution.state

    @property
    def solver(self) -> str:
        """The solver's name."""
        return self.solution.solver

    @property
    def response(self) -> str:
        """The text of the left side: everything is on its scale."""
        return self.solution.response

    @property
    def predictors(self) -> tuple[str, ...]:
        """The columns that the right side reads."""
        return self._plan.kernel.columns

    @property
    def minima(self) -> tuple[Any, ...]:
        """Distinct minima found by a search; none is made in this version."""
        return ()

    @property
    def source(self) -> str:
        """The Python source of the compiled model."""
        return self._plan.kernel.source

    @cached_property
    def trace(self) -> Trace | None:
        """What happened, step by step."""
        return None if self._trace is None else self._trace()

    @property
    def residuals(self) -> Array:
        """y − ŷ (n,), unit of y, in the order of the rows."""
        return self._observed - self._values(self.columns)

    @property
    def _observed(self) -> Array:
        (y,) = numpy_.evaluate(self._plan.model.lhs, self.columns, {})
        return y

    def _values(self, columns: Mapping[str, Array], want: bool = False) -> Array:
        kernel = self._plan.kernel
        n = len(next(iter(columns.values()))) if columns else 1
        return kernel.evaluate([columns[name] for name in kernel.columns], self._params, n, want)

    @property
    def _params(self) -> Array:
        return np.array([self.params[name] for name in self._plan.kernel.parameters])

    @property
    def _free_places(self) -> list[int]:
        return [self._plan.kernel.parameters.index(name) for name in self.free]

    @property
    def digits(self) -> dict[str, float]:
        """How many digits of each free parameter are believable: 15 less those that the data's rounding can move.

        An upper limit, from the condition of the problem: rounding of the data by half a unit in the last place
        moves the fitted values by 1e-16 of y, and the parameters by what the covariance makes of that.
        """
        scale = float(np.sqrt(np.mean(self._observed**2)))
        spread = 1.0 if self.solution.sigma_is == "known" else self.rss / max(self.dof, 1)
        found = {}
        for name, variance in zip(self.free, np.diag(self.covariance), strict=True):
            if not variance >= 0 or not spread > 0 or self.params[name] == 0:
                found[name] = math.nan
                continue
            moved = 1.1e-16 * scale * math.sqrt(variance / spread)
            found[name] = min(ROUNDING, max(0.0, -math.log10(max(moved / abs(self.params[name]), 1e-16))))
        return found

    def interval(self, level: float = 0.95, method: Literal["t"] = "t") -> dict[str, tuple[float, float]]:
        """Confidence intervals: value ± t·stderr with dof degrees of freedom; normal quantiles where sigma is known.

        Parameters
        ----------
        level : float
            How much they should cover, between 0 and 1, no unit.
        method : "t"
            From the standard errors; symmetric.

        Returns
        -------
        dict
            (low, high) by name, unit of the parameter; NaN where there is no standard error.

        Raises
        ------
        BoundsError
            If ``level`` or ``method`` is not one.

        Notes
        -----
        Source: Student 1908; the Guide to the Expression of Uncertainty in Measurement, annex G.

        Example
        -------
        >>> import katamuki as km
        >>> low, high = km.fit("y ~ a*x + b", km.datasets("tutorial")).interval()["a"]
        >>> round(low, 6), round(high, 6)
        (0.23337, 0.766812)
        """
        if method != "t":
            raise BoundsError("E-USAGE", "api.option", name="method", given=repr(method), why='it must be "t"')
        wide = self._quantile(level)
        found = {}
        for name, value in self.params.items():
            error = self.stderr[name]
            half = math.nan if error is None else wide * error
            found[name] = (value - half, value + half)
        return found

    def _quantile(self, level: float) -> float:
        """How many standard errors cover this share, to both sides."""
        if not 0 < level < 1:
            raise BoundsError(
                "E-USAGE", "api.option", name="level", given=repr(level), why="it must lie between 0 and 1"
            )
        from scipy.special import ndtri, stdtrit

        if self.solution.sigma_is == "known":
            return float(ndtri(0.5 + level / 2))
        return float(stdtrit(self.dof, 0.5 + level / 2)) if self.dof > 0 else math.nan

    def predict(
        self, data: object, interval: Literal["mean", "new"] | None = None, level: float = 0.95
    ) -> Array | Prediction:
        """ŷ at new rows, if wanted with a band.

        ŷ ± t·√(jᵀ C j) for the mean; for a new observation its own scatter is added.

        Parameters
        ----------
        data : mapping, DataFrame, path or source
            The predictors' columns, m rows.
        interval : "mean", "new" or None
            The band: of the curve, or of one new observation.
        level : float
            How much the band should cover, no unit.

        Returns
        -------
        (m,) float64 or Prediction
            Unit of the response.

        Raises
        ------
        DataError
            If a column is missing, or a band is asked for that the fit cannot give.

        Notes
        -----
        Source: Seber & Wild 1989, section 5.1. A new observation is taken to scatter as an average fitted row does.

        Example
        -------
        >>> import katamuki as km
        >>> fit = km.fit("y ~ a*x + b", km.datasets("tutorial"))
        >>> fit.predict({"x": [0.0, 10.0]}).round(3).tolist()
        [3.0, 8.001]
        """
        if interval not in {None, "mean", "new"}:
            why = 'it must be "mean", "new" or None'
            raise BoundsError("E-USAGE", "api.option", name="interval", given=repr(interval), why=why)
        rows = sources.rows(data)
        names = self._plan.kernel.columns
        columns = sources.select(rows, names).arrays if names else {"": np.zeros(len(rows))}
        if interval is None:
            return self._values(columns)
        found = self._values(columns, want=True)
        slopes = found[1:][self._free_places]
        if not np.isfinite(self.covariance).all():
            raise DataError("E-BAND", "api.no_band")
        variance = np.einsum("in,ij,jn->n", slopes, self.covariance, slopes)
        if interval == "new":
            variance = variance + self._scatter()
        half = self._quantile(level) * np.sqrt(variance)
        return Prediction(found[0], found[0] - half, found[0] + half)

    def _scatter(self) -> float:
        """The variance of a new observation, unit of y squared."""
        if self.solution.sigma_is == "known" and self.weights is not None:
            return float(np.mean(1.0 / self.weights))
        if self.weights is None:
            return self.rss / self.dof
        return self.rss / self.dof * float(np.mean(1.0 / self.weights))

    def derive(self, text: str) -> Derived:
        """A quantity from the parameters, with its standard error to first order: σ² = gᵀ C g.

        Parameters
        ----------
        text : str
            Such as ``"half_life = log(2)/b"``.

        Returns
        -------
        Derived
            ``name``, ``value`` and ``stderr``.

        Raises
        ------
        FormulaError
            If the text cannot be read, or names something that is no parameter.

        Notes
        -----
        Source: the delta method, Seber & Wild 1989, section 5.1.

        Example
        -------
        >>> import katamuki as km
        >>> print(km.fit("y ~ a*x + b", km.datasets("tutorial")).derive("at10 = 10*a + b"))
        at10 = 8.001 ± 0.391023
        """
        name, graph = formula.quantity(text, tuple(self.params))
        found = [float(one[0]) for one in numpy_.evaluate(derivative(graph), {}, self.params)]
        slopes = dict(zip(graph.parameters, found[1:], strict=True))
        gradient = np.array([slopes.get(one, 0.0) for one in self.free])
        moving = gradient != 0.0
        variance = gradient[moving] @ self.covariance[np.ix_(moving, moving)] @ gradient[moving]
        return Derived(name, found[0], math.sqrt(variance) if variance >= 0 and moving.any() else None)

    def check(self) -> CheckReport:
        """Test the claim by another route, with code that shares nothing with the fit.

        Returns
        -------
        CheckReport
            ``verdict`` "PASS", "FAIL" or "CANNOT TELL", with the digits that the two routes share.

        Notes
        -----
        Source: see :mod:`katamuki.check`.

        Example
        -------
        >>> import katamuki as km
        >>> km.fit("y ~ a*x + b", km.datasets("tutorial")).check().verdict
        'PASS'
        """
        from katamuki.check import judge

        return judge(self.solution, self.columns, self.weights)

    def plot(self, **options: Any) -> Figure:
        """Data, curve, band and residuals as a matplotlib figure; options as in :func:`katamuki.plot.figure`."""
        from katamuki import plot

        return plot.figure(self, **options)

    def to_dict(self, check: CheckReport | None = None) -> dict[str, Any]:
        """The object that ``--json`` prints."""
        from katamuki import report

        return report.as_dict(self, check)

    def __str__(self) -> str:
        from katamuki import report

        return report.text(self)

    def _repr_html_(self) -> str:
        from katamuki import report

        return report.html(self)

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value:.6g}" for name, value in self.params.items())
        return f"<Fit {self.solution.formula!r}: {inside}; {self.state}, {self.verdict}>"


def kernel_of(text: str, columns: tuple[str, ...], params: tuple[str, ...]) -> Plan:
    """The plan of a formula whose parameters are known, for fits that are loaded."""
    return Plan(formula.parse(text, columns, params=params))


__all__ = ["Derived", "Fit", "Kernel", "Prediction"]

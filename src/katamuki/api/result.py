"""Class Fit: a judged answer, and what can be asked of it.

Everything that is not needed to say whether the fit is good is computed when asked for. Predictions and derived
quantities carry their uncertainty to first order, from the exact derivatives of the formula.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from katamuki import data as sources
from katamuki.api import propagation, surviving
from katamuki.api.checking import Checks, Draw
from katamuki.api.elsewhere import refuse_sample, refuse_unseen
from katamuki.api.exporting import Exports
from katamuki.api.intervals import Method, intervals
from katamuki.api.numbers import Numbers
from katamuki.api.pictures import Pictures
from katamuki.api.plan import Plan
from katamuki.api.propagation import Derived, Prediction, Spread
from katamuki.api.stories import Stories
from katamuki.backends import numpy_
from katamuki.errors import BoundsError, DataError
from katamuki.findings import extrapolates
from katamuki.records import Array, CheckReport, Finding, Minimum, Solution, Source, Trace, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from katamuki.check.passing import Blocks
    from katamuki.problem import Problem


class Fit(Numbers, Checks, Stories, Pictures, Exports):
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
    index : (n,) int64 or None
        Numbers (from 0) of the rows of ``columns`` in the source; None where they are all rows.
    blocks : function, optional
        Gives all rows anew, block by block, where ``columns`` are a sample of them.
    draw : function, optional
        Brings so many rows out of a database: columns by name, and w.
    passing : Problem, optional
        That of rows which are read in pieces, where steps took batches of them: a batch can be read again.

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
        index: NDArray[np.int64] | None = None,
        blocks: Blocks | None = None,
        draw: Draw | None = None,
        passing: Problem | None = None,
    ) -> None:
        self.solution = solution
        self.data = data
        self._columns = columns
        self.weights = weights
        self.findings = findings
        self.verdict = verdict
        self.seed = seed
        self.index = index
        self._blocks = blocks
        self._draw = draw
        self._passing = passing
        self._plan = plan
        self._trace = trace

    @property
    def columns(self) -> Mapping[str, Array]:
        """The cleaned columns that were fitted, or a sample of them; none of rows that stayed in a database."""
        refuse_unseen(self.data, "stream.what.columns")
        return self._columns

    @property
    def predictors(self) -> tuple[str, ...]:
        """The columns that the right side reads."""
        return self._plan.kernel.columns

    @property
    def minima(self) -> tuple[Minimum, ...]:
        """Distinct minima that the search found, best first; none where no search was made."""
        search = self.solution.search
        return () if search is None else search.minima

    @property
    def source(self) -> str:
        """The source of what was computed: of the kernel, the torch function, the SQL; of torch models, their own."""
        if self.solution.backend == "torch" and self._plan.model.rhs is not None:
            from katamuki.backends.torch_.printing import source

            return source(self._plan.model.rhs)
        if "sql" in self.solution.reason:
            return str(self.solution.reason["sql"])
        return self._plan.kernel.source

    @cached_property
    def model(self) -> object:
        """The fitted copy of a module, a function of tensors as it was given; None for formulas."""
        return self._plan.fitted(self.solution)

    @cached_property
    def trace(self) -> Trace | None:
        """What happened, step by step."""
        return None if self._trace is None else self._trace()

    @property
    def residuals(self) -> Array:
        """y − ŷ (n,), unit of y, in the order of the rows; of rows that were read in pieces there are none."""
        refuse_sample(self.data, "stream.what.residuals")
        return self._observed - self._values(self._columns, self.n)

    @property
    def digits(self) -> dict[str, float]:
        """How many decimal digits of each free parameter survive rounding; NaN for one held, on an edge, open or 0.

        Measured: the data and the answer are rounded otherwise, and what that makes of each parameter is counted
        against its value, with what the solver left undone (:mod:`katamuki.solvers.rounding`). At most 15.95, those of
        a double; below 0 where rounding is larger than the value. After a cycle or too few steps, no more than the
        digits shared with the least-squares answer.
        """
        return dict(self._digits)

    @property
    def rounded(self) -> dict[str, float]:
        """The parameters of which fewer digits are left than a report prints, with how many; seen without a measurement
        where rounding cannot have come so far."""
        return dict(self._rounded)

    @cached_property
    def _digits(self) -> dict[str, float]:
        known = self.solution.reason.get("digits")
        if known is not None:  # said by whoever has the rows
            return dict(known)
        sampled = self.data.sample is not None
        return surviving.digits(self.solution, self._plan, self._columns, self.weights, sampled)

    @cached_property
    def _rounded(self) -> dict[str, float]:
        known = "digits" in self.solution.reason
        if not known and not surviving.feared(self.solution, self._plan, self._columns, self.weights):
            return {}
        return {name: left for name, left in self._digits.items() if left < surviving.PRINTED}

    @cached_property
    def _observed(self) -> Array:
        (y,) = numpy_.evaluate(self._plan.model.lhs, self._columns, {})
        return np.ascontiguousarray(y)

    @cached_property
    def _spread(self) -> Spread:
        columns = [self._columns[name] for name in self.predictors]
        return propagation.spread(self.solution, self._plan, self._observed, columns, self.weights, self.data)

    def _values(self, columns: Mapping[str, Array], m: int, want: bool = False) -> Array:
        """The model at m rows: (m,), or with derivatives (1 + all parameters, m)."""
        kernel = self._plan.kernel
        params = np.array([self.params[name] for name in kernel.parameters])
        return kernel.evaluate([columns[name] for name in kernel.columns], params, m, want)

    def interval(self, level: float = 0.95, method: Method = "t") -> dict[str, tuple[float, float]]:
        """Confidence intervals: value ± t·stderr, or how far the loss lets each parameter go: √(rss′ − rss) = t·s.

        Parameters
        ----------
        level : float
            How much they should cover, between 0 and 1, no unit.
        method : "t" or "profile"
            ``"t"``: from the standard errors, symmetric; t of Student with dof degrees of freedom, normal where sigma
            is known. ``"profile"``: each parameter held at one value after the other while the others are fitted again,
            rss′, within their bounds; the same where the formula is linear.

        Returns
        -------
        dict
            (low, high) by name, unit of the parameter; NaN where there is no standard error, infinite where a profile
            has no end within 1000 half-widths of the interval from the standard error.

        Raises
        ------
        BoundsError
            If ``level`` or ``method`` is not one, or the fit is not at a minimum of a formula.
        NotConverged
            If a lower loss was met on the way.

        Source
        ------
        Student 1908; the Guide to the Expression of Uncertainty in Measurement, annex G; Bates & Watts 1988, chapter 6.

        Example
        -------
        >>> import katamuki as km
        >>> low, high = km.fit("y ~ a*x + b", km.datasets("tutorial")).interval()["a"]
        >>> round(low, 6), round(high, 6)
        (0.23337, 0.766812)
        """
        return intervals(self, level, method)

    def predict(
        self, data: object, interval: Literal["mean", "new"] | None = None, level: float = 0.95
    ) -> Array | Prediction:
        """ŷ at new rows, if wanted with a band.

        ŷ ± t·√(jᵀ C j) for the mean; for a new observation its own scatter is added, that of an average fitted row.

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
            If a column is missing or has no finite value, or if with as many parameters as rows there is no band.

        Source
        ------
        Seber & Wild 1989, section 5.1; normal quantiles where sigma is known.

        Example
        -------
        >>> import katamuki as km
        >>> fit = km.fit("y ~ a*x + b", km.datasets("tutorial"))
        >>> fit.predict({"x": [0.0, 10.0]}).round(3).tolist()
        [3.0, 8.001]
        """
        if interval not in (None, "mean", "new"):
            raise BoundsError("E-USAGE", "result.interval", given=repr(interval))
        rows = sources.rows(data)
        columns = sources.select(rows, self.predictors).arrays
        m = len(next(iter(columns.values()))) if columns else len(rows)
        if interval is None:
            return self._values(columns, m)
        found = self._values(columns, m, want=True)
        at = {name: 1 + k for k, name in enumerate(self._plan.kernel.parameters)}
        places = [at[name] for name in self.free]
        variance = self._spread.variance(found[places].T)
        if interval == "new":
            variance = variance + propagation.scatter(self.solution, self.weights)
        half = propagation.quantile(level, self.solution) * np.sqrt(variance)
        if self.dof == 0 and not np.isfinite(half).any():
            raise DataError("E-BAND", "result.no_band")
        beyond = extrapolates({name: self._columns[name] for name in columns}, columns)
        return Prediction(found[0], found[0] - half, found[0] + half, beyond)

    def derive(self, text: str, level: float = 0.95) -> Derived:
        """A quantity from the parameters, with its standard error to first order: variance gᵀCg, g its slopes.

        Parameters
        ----------
        text : str
            Such as ``"half_life = log(2)/b"``: functions and parameters, fixed ones too; no data.
        level : float
            How much the interval should cover, no unit.

        Returns
        -------
        Derived
            ``name``, ``value``, ``stderr`` and ``interval``; the last two None where the data do not determine it.

        Raises
        ------
        FormulaError
            If the text cannot be read, or names something that is no parameter.

        Source
        ------
        The delta method, Seber & Wild 1989, section 5.1.

        Example
        -------
        >>> import katamuki as km
        >>> print(km.fit("y ~ a*x + b", km.datasets("tutorial")).derive("at10 = 10*a + b"))
        at10 8.001000 ± 0.391048
        """
        return propagation.derived(text, self.solution, self._spread, level)

    def text(self, lang: str = "en", width: int = 80, check: CheckReport | None = None) -> str:
        """The report in a language: what ``print(fit)`` shows in English, the check's judgement last where it is given.

        Example
        -------
        >>> import katamuki as km
        >>> print(km.fit("y ~ a*x + b", km.datasets("tutorial")).text("ja").split("\\n")[-1])
        判定        良好
        """
        from katamuki import report

        return report.text(self, check, lang=lang, width=width)

    def to_dict(self, check: CheckReport | None = None, lang: str = "en") -> dict[str, Any]:
        """The object that ``--json`` prints, NaN and infinity as None; sentences in a language, codes in none.

        Example
        -------
        >>> import katamuki as km
        >>> km.fit("y ~ a*x + b", km.datasets("tutorial")).to_dict()["data"]["rows"]
        11
        """
        from katamuki import report

        return report.as_dict(self, check, lang)

    def save(self, path: str | Path) -> None:
        """Write the fit to a file that ``katamuki.load`` reads back: JSON, the object of ``--json`` plus its arrays.

        Data, weights and trace are in the file, so the loaded fit predicts, derives, draws and can be checked.

        Parameters
        ----------
        path : str or Path
            Where to; a file that is there is replaced at once, or not at all.

        Raises
        ------
        DataError
            If the file cannot be written.

        Example
        -------
        >>> import katamuki as km, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "fit.json"
        >>> fit = km.fit("y ~ a*x + b", km.datasets("tutorial"))
        >>> fit.save(path)
        >>> km.load(path).params == fit.params
        True
        """
        from katamuki.api import saving

        saving.save(self, path)

    def __str__(self) -> str:
        from katamuki import report

        return report.text(self)

    def _repr_html_(self) -> str:
        from katamuki import report

        return report.html(self)

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value:.6g}" for name, value in self.params.items())
        return f"<Fit {self.solution.formula!r}: {inside}; {self.state}, {self.verdict}>"


__all__ = ["Derived", "Fit", "Prediction"]

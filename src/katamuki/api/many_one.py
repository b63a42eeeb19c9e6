"""One curve of many by the whole road of ``katamuki.fit``: its own search, findings, verdict; and its check.

The formula is read once for all curves. What ``fit`` would raise for a curve becomes the curve's row here: nothing that
is wrong with one curve reaches the others. Nothing is printed and nothing is warned of: the row says it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from katamuki.api.computing import KERNEL
from katamuki.api.entry import examined, judged, solution_of
from katamuki.api.options import Asked
from katamuki.api.plan import Plan
from katamuki.api.preparing import Prepared, check_totals, too_few
from katamuki.api.result import Fit
from katamuki.api.solving import solve
from katamuki.api.values import Settings
from katamuki.data.names import IN_MEMORY
from katamuki.data.selection import Columns
from katamuki.errors import KatamukiError
from katamuki.many.curves import One
from katamuki.records import Array, Finding, SigmaIs, Source

ORDER = {"failure": 0, "warning": 1}


@dataclass(frozen=True, slots=True)
class Road:
    """What is the same for every curve: the model, what was said of its parameters, and how it is searched."""

    plan: Plan
    said: Settings
    weighing: SigmaIs | None
    used: tuple[str, ...]  # columns of the data that the formula, sigma and weights read
    asked: Asked

    def one(self, columns: tuple[Array, ...], y: Array, weights: Array | None) -> One:
        """The row of one curve: ``columns`` (n,) each in the kernel's order, ``y`` and ``weights`` (n,)."""
        arrays = dict(zip(self.plan.kernel.columns, columns, strict=True))
        try:
            fit = self.fitted(Columns(arrays, Source(IN_MEMORY, "mapping", len(y)), None), y, weights)
        except KatamukiError as error:
            return self.none(error)
        return row_of(fit)

    def fitted(self, columns: Columns, y: Array, weights: Array | None, warn: int = 0) -> Fit:
        """The fit of one curve, whatever became of it; an error where there is nothing to fit.

        A run that failed is raised with its fit; Ctrl-C in the middle of one is Ctrl-C. ``warn`` is how many calls up
        the user stands who is warned of what needs a look; 0: nobody is.
        """
        ready = self._prepared(columns, y, weights)
        try:
            linear = self.plan.is_linear(self.said.free)
            run = solve(ready.problem, linear, None, self.said, self.weighing, None, None, asked=self.asked)
            if run.failure == "interrupted":
                raise KeyboardInterrupt
            solution = solution_of(ready, run, KERNEL)
            given = (self.plan, ready.problem, run, solution, columns, self.asked.seed)
            return examined(*given) if run.failure is None and not warn else judged(*given, depth=warn + 2)
        finally:
            ready.problem.close()

    def _prepared(self, columns: Columns, y: Array, weights: Array | None) -> Prepared:
        """The problem of one curve, refused as ``fit`` refuses it."""
        plan, said = self.plan, self.said
        if len(y) < len(said.free):
            raise too_few(said.free, len(y))
        arrays = [columns.arrays[name] for name in plan.kernel.columns]
        problem = plan.problem(arrays, y, weights, said.start, said.free, 1)
        check_totals(problem, plan.model.response)
        return Prepared(plan, said, self.weighing, self.used, columns, problem)

    def none(self, error: KatamukiError) -> One:
        """The row of a curve that gave an error: no numbers, and its code; a state where a solver ran."""
        nothing = np.full(len(self.plan.kernel.parameters), np.nan)
        fit = getattr(error, "fit", None)
        state = fit.state if isinstance(fit, Fit) else ""
        return One(nothing, nothing, np.nan, -1, "failed", state, error.code.removeprefix("E-"))


def row_of(fit: Fit) -> One:
    """A fit as the numbers of a row."""
    values = np.array([fit.params[name] for name in fit.params])
    bars = [fit.stderr[name] for name in fit.params]
    stderr = np.array([np.nan if bar is None else bar for bar in bars])
    return One(values, stderr, fit.loss, fit.dof, fit.verdict, fit.state, gravest(fit.findings))


def gravest(findings: tuple[Finding, ...]) -> str:
    """The code of the first failure, else of the first warning; "" where there is neither.

    Example
    -------
    >>> gravest(())
    ''
    """
    grave = [one for one in findings if one.severity in ORDER]
    return min(grave, key=lambda one: ORDER[one.severity]).code if grave else ""

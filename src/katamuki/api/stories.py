"""What a fit tells of its steps: the part of ``Fit`` that hands its trace to :mod:`katamuki.explain`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from katamuki.problem import Problem
from katamuki.records import Array, Solution, Trace

if TYPE_CHECKING:
    from katamuki.api.plan import Plan
    from katamuki.explain import Subject


class Stories:
    """The questions about steps that a fit answers; what it needs of ``Fit`` is declared here."""

    solution: Solution
    columns: Mapping[str, Array]
    weights: Array | None
    _plan: Plan

    @property
    def trace(self) -> Trace | None:
        """What happened, step by step; ``Fit`` makes it."""
        raise NotImplementedError

    @property
    def _observed(self) -> Array:
        """The response (n,); ``Fit`` keeps it."""
        raise NotImplementedError

    def _problem(self) -> Problem:
        """The problem that was solved, made anew."""
        kernel = self._plan.kernel
        columns = [self.columns[name] for name in kernel.columns]
        values = self.solution.start or self.solution.params
        return Problem(kernel, columns, self._observed, self.weights, values, self.solution.free)

    def _subject(self) -> Subject:
        """What a story is made of."""
        from katamuki.api.solving import solver_of
        from katamuki.explain import Subject

        assert self.trace is not None  # callers have asked
        graph = self._plan.kernel.graph
        solver = solver_of(self.solution)
        rest = (self.columns, self._observed, self.weights, self._problem)
        return Subject(self.solution, self.trace, solver, graph, *rest)

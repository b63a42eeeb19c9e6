"""What a fit tells of its steps: the part of ``Fit`` that hands its trace to :mod:`katamuki.explain`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from katamuki.api.elsewhere import refuse_sample
from katamuki.api.fitted import Fitted
from katamuki.problem import Problem
from katamuki.problem.batches import Batches, Dealt
from katamuki.records import Array

if TYPE_CHECKING:
    from katamuki.api.result import Fit
    from katamuki.explain import Subject
    from katamuki.explain.normal_equations.record import NormalEquations
    from katamuki.explain.run.record import RunStory
    from katamuki.explain.step.record import Step


class Stories(Fitted):
    """The questions about steps that a fit answers."""

    def _problem(self) -> Problem:
        """The problem that was solved, made anew; of rows that pass by, the same."""
        if self._passing is not None:
            return self._passing
        kernel = self._plan.kernel
        columns = [self._columns[name] for name in kernel.columns]
        values = self.solution.start or self.solution.params
        return self._plan.problem(columns, self._observed, self.weights, values, self.solution.free)

    def explain(self, lang: str = "en") -> RunStory:
        """The story of the whole run: what happened between which steps, and why it ended where it did.

        Parameters
        ----------
        lang : str
            The language in which it prints itself, such as ``"en"``; numbers do not depend on it.

        Returns
        -------
        RunStory
            Frozen data: ``events``, ``result``, ``advice``; printing it prints the story.

        Raises
        ------
        BoundsError
            If there is no such language.

        Source
        ------
        Cohen et al. 2021 (stability); Golub & Van Loan 2013 (condition).

        Example
        -------
        >>> import katamuki as km
        >>> fit = km.fit("y ~ a*x + b", km.datasets("tutorial"))
        >>> [event.code for event in fit.explain().events]
        ['solved']
        """
        from katamuki.explain.run.facts import story_of_run

        refuse_sample(self.data, "stream.what.explain")
        return story_of_run(self._subject(), lang)

    def step(self, k: int) -> Step:
        """The arithmetic of one step: forward, backward, the solver's memory, the new values, and whether it helped.

        L = Σ w (ŷ − y)² / n; change of L = g·Δ + ½·ΔᵀHΔ + …, with the exact second derivatives H.

        Parameters
        ----------
        k : int
            Which step, counted from 1; for Levenberg–Marquardt, which attempt.

        Returns
        -------
        Step
            Frozen data; printing it prints the story. Steps that a long trace left out are repeated exactly. Of rows
            that are read in pieces a step is told where it took a batch of them, which is read again.

        Raises
        ------
        BoundsError
            If the run has no such step, or was solved in closed form.

        Source
        ------
        Griewank & Walther 2008, chapter 3; each solver's own paper.

        Example
        -------
        >>> import katamuki as km
        >>> fit = km.fit("y ~ a*exp(b*x)", {"x": [0.0, 1.0, 2.0], "y": [1.0, 3.0, 6.0]}, start={"a": 1, "b": 1})
        >>> print(fit.step(1).explain("glance").partition(" of ")[0])
        Step 1
        """
        from katamuki.explain.step.facts import step_of

        if self._passing is None:
            refuse_sample(self.data, "stream.what.step", again=bool(self.solution.options.get("batch_size")))
        return step_of(self._subject(), k)

    def without_zero_grad(self) -> Fit:
        """The same run once more, its gradients left to add up: PyTorch without ``optimizer.zero_grad()``.

        The solver sees Gₜ = Gₜ₋₁ + gₜ in the place of the gradient gₜ. Under plain gradient descent that is momentum 1.

        Returns
        -------
        Fit
            Model, data, weights, start and solver are this fit's; ``solution.zero_grad`` is False, and
            ``trace.extra["accumulated"]`` holds G.

        Raises
        ------
        BoundsError
            If this fit's solver is no first-order one.
        BackendError
            If PyTorch computed this fit: the experiment is made with the compiled rules.
        NotConverged
            If the run diverges; its ``.fit`` holds the steps.

        Source
        ------
        Polyak 1964 (momentum); PyTorch, AccumulateGrad.

        Example
        -------
        >>> import katamuki as km, warnings
        >>> warnings.simplefilter("ignore", km.FitWarning)  # neither run ends at the answer
        >>> plain, ball = km.SGD(lr=0.001, steps=3000), km.SGD(lr=0.001, momentum=1.0, steps=3000)
        >>> left = km.fit("y ~ a*x + b", km.datasets("tutorial"), solver=plain).without_zero_grad()
        >>> left.params == km.fit("y ~ a*x + b", km.datasets("tutorial"), solver=ball).params
        True
        """
        from katamuki.api.again import without_zero_grad

        refuse_sample(self.data, "stream.what.zero_grad")
        return without_zero_grad(self)  # type: ignore[arg-type]  # this is a part of Fit

    def normal_equations(self, lang: str = "en") -> NormalEquations:
        """The closed form with its numbers, of a formula that is linear in its free parameters.

        Σₖ (Σ w Jⱼ Jₖ) βₖ = Σ w Jⱼ (y − f₀), J the partial derivatives and f₀ what the formula gives where β is 0.

        Parameters
        ----------
        lang : str
            The language in which it prints itself, such as ``"en"``; numbers do not depend on it.

        Returns
        -------
        NormalEquations
            Frozen data: ``matrix``, ``right``, ``answer``; printing it prints the equations and how they are solved.

        Raises
        ------
        FormulaError
            If the formula is not linear in its free parameters, or the model is no formula.

        Source
        ------
        Gauss 1809; Björck 1996, section 2.2.

        Example
        -------
        >>> import katamuki as km
        >>> found = km.fit("y ~ a*x + b", km.datasets("tutorial")).normal_equations()
        >>> print(str(found).partition("check")[0].rstrip())
        n 11   Σx 99   Σy 82.51   Σx² 1001   Σxy 797.6
           1001 a + 99 b = 797.6        det = 11·1001 − 99² = 1210
             99 a + 11 b = 82.51
           a = (11·797.6 − 99·82.51) / 1210 = 605.11 / 1210 = 0.500091
           b = (1001·82.51 − 99·797.6) / 1210 = 3630.11 / 1210 = 3.000091
        """
        from katamuki.explain.normal_equations.record import normal_equations_of

        refuse_sample(self.data, "stream.what.equations")
        return normal_equations_of(self._subject(), lang)

    def _subject(self) -> Subject:
        """What a story is made of."""
        from katamuki.api.solving import solver_of
        from katamuki.explain import Subject

        assert self.trace is not None  # callers have asked
        graph = self._plan.kernel.graph
        solver = solver_of(self.solution)
        rest = (self._columns, self._observed, self.weights, self._problem)
        batches = self._batches()
        loss_of = None if batches is None or self.solution.dtype == "float64" else partial(self._single, batches)
        return Subject(self.solution, self.trace, solver, graph, *rest, batches, loss_of, self.index)

    def _batches(self) -> Dealt | None:
        """Which rows each step took; None where all."""
        from katamuki.api.solving import solver_of

        solver = solver_of(self.solution)
        size = getattr(solver, "batch_size", None)
        if size is not None and self._passing is not None:
            return self._passing.batches(size, self.seed)
        return None if size is None else Batches(self.solution.n, size, self.seed)

    def _single(self, batches: Dealt, params: Array, step: int) -> float:
        """The loss of a step's batch (steps from 0) at free parameters (p,), in the numbers that PyTorch ran in."""
        from katamuki.api.torch_solving import loss_at

        return loss_at(self._plan, self.solution, self._problem(), params, batches.rows(step))

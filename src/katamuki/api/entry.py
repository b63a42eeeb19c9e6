"""``katamuki.fit``: from what the user typed to a judged fit."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from katamuki import data as sources
from katamuki.api import failures
from katamuki.api.computing import KERNEL, Computing, computing, kind_of
from katamuki.api.distant_facts import sampled_facts, unseen
from katamuki.api.elsewhere import refuse
from katamuki.api.options import Asked, check_names, check_options
from katamuki.api.plan import Plan
from katamuki.api.preparing import Given, Prepared, prepare
from katamuki.api.result import Fit
from katamuki.api.solving import Run, Solver, resolve, solve
from katamuki.api.values import Limits
from katamuki.errors import BoundsError, FitWarning
from katamuki.findings import bent_profiles, examine, residual_facts, sampled, verdict
from katamuki.problem import Problem
from katamuki.problem.distant import Distant
from katamuki.problem.large import LargeProblem
from katamuki.records import Edge, SigmaIs, Solution

Missing = Literal["error", "drop"]


def fit(
    model: str | Callable[..., object],
    data: object,
    *,
    target: str | None = None,
    inputs: Sequence[str] | None = None,
    solver: str | Solver = "auto",
    start: Mapping[str, Any] | None = None,
    bounds: Limits | None = None,
    fixed: Mapping[str, Any] | None = None,
    params: Sequence[str] | None = None,
    sigma: object = None,
    sigma_is: SigmaIs | None = None,
    weights: object = None,
    loss: object = "squared",
    where: str | None = None,
    missing: Missing = "error",
    backend: str = "auto",
    dtype: object = "float64",
    device: str = "cpu",
    threads: int | None = None,
    starts: int | str = "auto",
    seed: int = 0,
    max_seconds: float | None = None,
    max_memory: int | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> Fit:
    """Fit a formula to data by least squares and judge the answer.

    The parameters minimise Σ w (y − f(x; parameters))² with exact derivatives of f; w is 1 unless ``sigma`` or
    ``weights`` say otherwise.

    Parameters
    ----------
    model : str or function
        A formula such as ``"y ~ a*exp(-b*x) + c"``: names that are columns are data, the others parameters. Or a NumPy
        function ``lambda x, a, b: a*x + b`` of columns and parameters, for the column ``y``.
        With ``target``, a function ``model(columns, params)`` of two mappings of tensors, or a ``torch.nn.Module`` of
        one matrix (n, k), which is copied and never changed.
    data : mapping, DataFrame, path or source
        Columns of n numbers each; a string is a path to a file. Float64 arrays are not copied: the fit's residuals and
        its check read them again.
    target : str, optional
        The column that a function of tensors or a module is a model of.
    inputs : sequence of str, optional
        Its input columns in order; by default all but the target, in the order of the table.
    solver : str or solver
        ``"auto"``: closed form where the formula is linear in its parameters, else Levenberg–Marquardt; L-BFGS for
        more than 1000 parameters.
    start : mapping, optional
        Starting values by name, unit of the parameter; a parameter without one is found by the search, and the values
        that are given stay the start of all its descents. Of a function of tensors it names the parameters: numbers or
        arrays. A module starts at its present weights.
    bounds : mapping, optional
        ``{"a": (low, high)}``, unit of the parameter; ``None`` for an open end.
    fixed : mapping, optional
        Parameters held at a value; they get no error bar.
    params : sequence of str, optional
        Names that are parameters even though a column has the same name.
    sigma : float, (n,) or column name, optional
        Standard errors of y, unit of y.
    sigma_is : "known" or "relative"
        Needed with ``sigma``: whether its size is known, or only the ratios between rows.
    weights : float, (n,) or column name, optional
        w, 1 over a variance, instead of ``sigma``; error bars scale by the scatter.
    loss : str or torch.nn.MSELoss
        ``"squared"``: the mean of w r²; or PyTorch's own, with PyTorch.
    where : str, optional
        A condition on columns such as ``"x > 4"``; other rows are left out, and counted.
    missing : "error" or "drop"
        What to do with rows that lack a value in a used column.
    backend : str
        ``"auto"``: compiled kernels for formulas, PyTorch for its models; ``"torch"``: PyTorch, its loss, its gradients
        and its optimizers.
    dtype, device : str
        What PyTorch computes in and on: ``"float64"`` or ``"float32"``, ``"cpu"`` or ``"cuda"``.
    threads : int, optional
        For large data; the answer does not depend on it.
    starts : int or "auto"
        Descents that the search makes, for formulas that are not linear and Levenberg–Marquardt. ``"auto"``: as many as
        it takes to reach the best minimum often, at least eight; with a complete start that one and eight more. N: so
        many in all. 1: no search; a parameter without a start then begins at 1, or within its bounds, as it does with
        other solvers.
    seed : int
        Shifts the cloud of starts, and deals mini-batches; the same seed, the same answer.
    max_seconds : float, optional
        Stop a converging solver after so long: ``NotConverged`` with the best so far.
    max_memory : int, optional
        Bytes that the data may take; by default a quarter of the machine's memory. Files and relations that are larger
        are read in pieces, once for each pass; beside them a sample of at most 100,000 rows is kept.
    progress : function, optional
        Called with the number of descents of the search so far and the least loss; then, between slices, with the step
        and the loss.

    Returns
    -------
    Fit
        Parameters, error bars, verdict, findings and more.

    Raises
    ------
    FormulaError
        If the formula cannot be read.
    DataError
        If columns, rows or sigma cannot be used.
    BoundsError
        If start, bounds, fixed or an option contradict each other.
    BackendError
        If PyTorch is missing, or cannot compute this on that device or in those numbers.
    NotConverged
        If no answer was reached; its ``.fit`` holds what was.

    Source
    ------
    Moré 1978 for the nonlinear solver, Björck 1996 for the linear one; Golub & Pereyra 1973 and Kaufman 1975 for the
    search.

    Example
    -------
    >>> import katamuki as km
    >>> fit = km.fit("y ~ a*x + b", km.datasets("tutorial"))
    >>> round(fit.params["a"], 6), round(fit.stderr["a"], 6), fit.verdict
    (0.500091, 0.117906, 'good')
    """
    check_options(starts, seed, max_memory, threads, max_seconds, progress)
    check_names(start, bounds, fixed, params)
    kind = kind_of(model, target)
    how = computing(loss, backend, dtype, device, kind, weighted=sigma is not None or weights is not None)
    chosen = resolve(solver)
    about_rows = (sigma, sigma_is, weights, where, missing, threads, max_memory, seed)
    given = Given(start, bounds, fixed, params, *about_rows, getattr(chosen, "batch_size", None))
    if kind == "formula":
        _refuse_columns(target, inputs)
        ready = prepare(model, data, given)
    else:
        from katamuki.api.torch_preparing import prepare_torch

        ready = prepare_torch(model, kind, data, how, target, inputs, given)
    try:
        run = _run(ready, how, chosen, max_seconds, progress, Asked(starts, seed))
        solution = solution_of(ready, run, how)
        return judged(ready.plan, ready.problem, run, solution, read_of(ready), seed)
    finally:
        ready.problem.close()


def _refuse_columns(target: object, inputs: object) -> None:
    """A formula says itself which columns it reads."""
    for what, given in (("target", target), ("inputs", inputs)):
        if given is not None:
            raise BoundsError("E-USAGE", "torch.formula_columns", what=what)


def _run(
    ready: Prepared,
    how: Computing,
    chosen: Solver | None,
    max_seconds: float | None,
    progress: Callable[[int, float], None] | None,
    asked: Asked,
) -> Run:
    """Solve by compiled kernels or by PyTorch."""
    if how.backend == "torch":
        refuse(ready.problem, "stream.what.torch")
        from katamuki.api.torch_solving import solve_by_torch

        return solve_by_torch(ready, how, chosen, max_seconds, progress, asked)
    linear = ready.plan.is_linear(ready.said.free)
    return solve(ready.problem, linear, chosen, ready.said, ready.weighing, max_seconds, progress, asked=asked)


def solution_of(ready: Prepared, run: Run, how: Computing = KERNEL) -> Solution:
    """The claim as a record: plain numbers and text."""
    plan, said, problem = ready.plan, ready.said, ready.problem
    answer = run.answer
    free = problem.free_names
    stderr: dict[str, float | None] = dict.fromkeys(problem.names)
    for name, error in zip(free, answer.stderr.tolist(), strict=True):
        stderr[name] = error if error == error else None  # noqa: PLR0124  NaN means there is none
    return Solution(
        formula=plan.model.text,
        response=plan.model.response,
        columns=ready.used,
        params=dict(zip(problem.names, answer.values.tolist(), strict=True)),
        free=free,
        stderr=stderr,
        covariance=answer.covariance,
        start=_start(ready, run),
        bounds=said.bounds,
        at_bound=answer.at_bound,
        linear=plan.is_linear(free),
        state=run.state,
        solver=run.solver,
        options=run.options,
        loss=answer.rss / problem.n,
        rss=answer.rss,
        tss=problem.tss,
        n=problem.n,
        dof=answer.uncertainty.dof,
        sigma_is=ready.weighing,
        weighted=problem.weighted,
        steps=run.steps,
        evaluations=run.evaluations,
        seconds=run.seconds,
        combinations=answer.combinations,
        cycle=run.cycle,
        reference=run.reference,
        reason=_reason(ready, run),
        zero_grad=run.zero_grad,
        search=run.search,
        kind=plan.kind,
        backend=how.backend,
        dtype=how.dtype,
        device=how.device,
        loss_by="mean" if how.loss is None else type(how.loss).__name__,
        edges=_edges(ready, run),
    )


def _edges(ready: Prepared, run: Run) -> tuple[Edge, ...]:
    """The edges of the loss that the answer stands on."""
    graph, problem = ready.plan.model.rhs, ready.problem
    if not run.edges or graph is None:
        return ()
    from katamuki.api.edges import edges_of

    params = dict(zip(problem.names, run.answer.values.tolist(), strict=True))
    return edges_of(graph, ready.columns.arrays, params, problem.free_names, run.edges, ready.columns.index)


def _reason(ready: Prepared, run: Run) -> Mapping[str, Any]:
    """Facts behind a state, and what only the problem knows of the answer."""
    problem, more = ready.problem, dict[str, Any]()
    if ready.plan.column:
        more["output"] = "column"
    if isinstance(problem, Distant) and run.answer.triangle.size and np.isfinite(run.answer.triangle).all():
        left = problem.digits(run.answer.values, run.answer.triangle, run.answer.rss)
        if left is not None:
            more["digits"] = left
        if problem.asked_by:
            more["sql"] = problem.asked_by
    if isinstance(problem, Distant) and problem.buffer:
        more["buffer"] = problem.buffer
    return {**run.reason, **more} if more else run.reason


def read_of(ready: Prepared) -> sources.Columns:
    """What was read: the columns in memory, and of a source elsewhere all its rows beside the sample of them."""
    problem = ready.problem
    if not isinstance(problem, Distant):
        return ready.columns
    seen = problem.sample.n if problem.travelled else 0
    source = replace(problem.source, sample=seen, passes=problem.evaluations)
    return replace(problem.drawn, source=source)


def _start(ready: Prepared, run: Run) -> dict[str, float] | None:
    """Where the solver began: as given, or as a search found it; closed forms begin nowhere."""
    if run.solver == "linear":
        return None
    if run.begin is None:
        return ready.said.start
    return dict(zip(ready.problem.names, run.begin.tolist(), strict=True))


def judged(
    plan: Plan, problem: Problem, run: Run, solution: Solution, columns: sources.Columns, seed: int, depth: int = 3
) -> Fit:
    """Findings and verdict; then the fit is returned, with a warning where it needs a look, or raised.

    ``depth`` is how many calls up the user stands, for the warning.
    """
    numbered = _numbered(columns, problem)
    solution = replace(solution, reason={**solution.reason, **failures.ending(run, plan, numbered, solution)})
    fitted = examined(plan, problem, run, solution, columns, seed)
    if run.failure is not None:
        error = failures.not_converged(run, plan, numbered, solution)
        error.fit = fitted
        raise error
    if solution.state in {"cycle", "slow", "not_identifiable"}:
        warnings.warn(FitWarning(failures.needs_look(solution)), stacklevel=depth)
    return fitted


def _numbered(columns: sources.Columns, problem: Problem) -> sources.Columns:
    """The columns that are looked at with their rows' numbers in the source."""
    return replace(columns, index=problem.rows) if isinstance(problem, LargeProblem) else columns


def examined(plan: Plan, problem: Problem, run: Run, solution: Solution, columns: sources.Columns, seed: int) -> Fit:
    """The fit with its findings and verdict, whatever they are."""
    facts, bent = None, None
    distant = isinstance(problem, Distant)
    weights = problem.drawn_weights if isinstance(problem, Distant) else problem.weights
    columns = _numbered(columns, problem)
    if run.failure is None and run.answer.covariance.size:
        answer = run.answer
        if isinstance(problem, Distant | LargeProblem):
            facts = sampled_facts(problem, answer, solution)
        else:
            facts = residual_facts(problem, answer.values, answer.uncertainty, answer.rss)
            bent = bent_profiles(problem, solution, answer.values, answer.uncertainty)
    graph = None if distant else plan.model.rhs  # neighbours in a sample are none in the data
    found = examine(solution, facts, columns=columns.arrays, graph=graph, index=columns.index, profiles=bent)
    if isinstance(problem, Distant) and not problem.travelled and run.failure is None:
        found = (*found, *unseen(problem, run.answer, solution))
    if isinstance(problem, LargeProblem) and facts is not None:
        found = (*found, sampled(problem.sample.n, problem.n))
    return Fit(
        solution=solution,
        data=columns.source,
        trace=run.trace,
        plan=plan,
        columns=columns.arrays,
        weights=weights,
        findings=found,
        verdict=verdict(solution, found),
        seed=seed,
        index=columns.index,
        blocks=problem.blocks() if isinstance(problem, Distant) else None,
        draw=problem.draw if isinstance(problem, Distant) and columns.source.queried else None,
        passing=problem if isinstance(problem, Distant) and problem.deals and run.options.get("batch_size") else None,
    )

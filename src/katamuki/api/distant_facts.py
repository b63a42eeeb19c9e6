"""Facts about residuals where rows are elsewhere: those of the sample, fitted by itself from the answer of all rows.

Leverages, runs and outliers are a sample's, with its own degrees of freedom; condition and variance inflation are those
of all rows. Whether error bars bend, and whether a phase leaps between neighbours, a sample does not tell.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from katamuki.api.claims import Answer
from katamuki.covariance import uncertainty
from katamuki.findings.cells import about_cells
from katamuki.findings.residuals import ResidualFacts, residual_facts
from katamuki.problem.distant import Distant
from katamuki.problem.large import LargeProblem
from katamuki.records import HAS_AN_ANSWER, Finding, Solution
from katamuki.solvers.levenberg_marquardt import minimise


def sampled_facts(problem: Distant | LargeProblem, answer: Answer, solution: Solution) -> ResidualFacts:
    """The facts about the sample's residuals, at its own minimum beside the answer: there they are orthogonal to J."""
    if isinstance(problem, Distant) and not problem.travelled:
        return facts_without_rows(problem, answer)
    sample, p = problem.sample, problem.p
    limits = [solution.bounds.get(name, (-math.inf, math.inf)) for name in problem.free_names]
    lower, upper = np.array(limits).T
    here = minimise(sample, answer.values, lower, upper, linear=solution.linear and not solution.bounds)
    bars = uncertainty(here.triangle[:p, :p], here.rss, sample.n, False, None, answer.held)
    found = residual_facts(sample, here.values, bars, here.rss)
    whole = answer.uncertainty
    inflation = tuple(min(one, two) for one, two in zip(found.inflation, whole.inflation.tolist(), strict=True))
    return replace(found, inflation=inflation, condition=whole.condition, rank=whole.rank)


def unseen(problem: Distant, answer: Answer, solution: Solution) -> tuple[Finding, ...]:
    """What is found about residuals where no row is here, and that little is."""
    facts = None
    if solution.state in HAS_AN_ANSWER:
        facts = problem.cells(answer.values)
    return tuple(about_cells(solution, facts, problem.tss_about_zero))


def facts_without_rows(problem: Distant, answer: Answer) -> ResidualFacts:
    """The facts where no row is here: about parameters alone, and nothing about residuals, so that no test is made."""
    bars = answer.uncertainty
    inflation = tuple(bars.inflation.tolist())
    nothing = {"dof": 0, "outlier": 0.0, "outlier_row": 0, "cook": 0.0, "cook_row": 0, "leverage": 0.0}
    none = {"leverage_row": 0, "spread": 0.0, "curve": math.nan, "positive": 0, "negative": 0, "runs": -1}
    return ResidualFacts(
        rows=problem.n,
        squares=answer.rss,
        level=problem.tss_about_zero,
        inflation=inflation,
        condition=bars.condition,
        rank=bars.rank,
        **nothing,  # type: ignore[arg-type]
        **none,  # type: ignore[arg-type]
    )

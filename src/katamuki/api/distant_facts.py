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
from katamuki.findings.residuals import ResidualFacts, residual_facts
from katamuki.problem.distant import Distant
from katamuki.records import Solution
from katamuki.solvers.levenberg_marquardt import minimise


def sampled_facts(problem: Distant, answer: Answer, solution: Solution) -> ResidualFacts:
    """The facts about the sample's residuals, at its own minimum beside the answer: there they are orthogonal to J."""
    sample, p = problem.sample, problem.p
    limits = [solution.bounds.get(name, (-math.inf, math.inf)) for name in problem.free_names]
    lower, upper = np.array(limits).T
    here = minimise(sample, answer.values, lower, upper, linear=solution.linear and not solution.bounds)
    bars = uncertainty(here.triangle[:p, :p], here.rss, sample.n, False, None, answer.held)
    found = residual_facts(sample, here.values, bars, here.rss)
    whole = answer.uncertainty
    inflation = tuple(min(one, two) for one, two in zip(found.inflation, whole.inflation.tolist(), strict=True))
    return replace(found, inflation=inflation, condition=whole.condition, rank=whole.rank)

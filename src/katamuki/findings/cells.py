"""What aggregates tell of residuals where no row is here: means of cells of rows, and the largest of all.

Residuals of a formula that has the shape of the data scatter about 0 in every cell: Σ (Σ w r)²/Σ w over cells, over the
variance, is chi-squared with as many degrees of freedom as there are cells, less the parameters (Fisher's test for lack
of fit, with cells in the place of repeats; Draper & Smith 1998, section 2.1). The largest residual is judged as among
so many normal ones. Not seen: order within a cell, a scatter that changes, the influence of single rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from katamuki import tails
from katamuki.findings.making import finding
from katamuki.findings.profiles import PERFECT
from katamuki.records import CellSums, Finding, Solution

LEVEL = 0.005  # chance of a false alarm, per test


def about_cells(solution: Solution, facts: CellSums | None, level: float) -> Iterator[Finding]:
    """Findings about residuals that nobody saw one by one, and that nobody did; ``level`` is Σ w y².

    Source
    ------
    Draper & Smith 1998, section 2.1; Bonferroni's bound over the rows.

    Example
    -------
    >>> import katamuki as km
    >>> from katamuki.records import CellSums
    >>> fit = km.fit("y ~ a*x + b", km.datasets("tutorial"))
    >>> [one.code for one in about_cells(fit.solution, CellSums(9, 1e3, 1.0), 1.0)]
    ['RUNS', 'NO_ROWS']
    """
    if facts is not None and solution.dof > 0 and solution.rss > PERFECT * level:
        variance = 1.0 if solution.sigma_is == "known" else solution.rss / solution.dof
        free = facts.cells - len(solution.free)
        if free > 0:
            ratio = facts.between / free / variance
            p = tails.fisher(ratio, free, solution.dof) if math.isfinite(ratio) else math.nan
            if p < LEVEL / 2:
                yield finding("RUNS", "warning", "cells", cells=facts.cells, ratio=math.sqrt(ratio), p=p)
        t = math.sqrt(facts.largest / variance)
        p = solution.n * 2.0 * tails.normal(t)
        if p < LEVEL:
            yield finding("OUTLIERS", "warning", "somewhere", distance=t, p=p, rows=solution.n)
    yield finding("NO_ROWS", "note")

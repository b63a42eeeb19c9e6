"""A claim about rows that are not here, beside the sample of them that is: SciPy's answer on the sample.

It must lie within six of its own standard errors of the claim, and the loss must not fall away from there. What a
sample cannot tell is said: the claim's digits, its sums and error bars, which are those of all rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from katamuki.check import routes
from katamuki.check.comparing import said
from katamuki.check.evaluation import EPS, look, read_case
from katamuki.check.minimum import SIGMAS, Findings
from katamuki.check.reading import UnreadableError
from katamuki.records import Array, CheckReport, Solution

CLAIMS = ("exact", "converged")  # states that a sample can speak against


def judge_drawn(solution: Solution, columns: Mapping[str, Array] | None, weights: Array | None) -> CheckReport:
    """Test a claim by a sample of its rows.

    Parameters
    ----------
    solution : Solution
        The claim, about all rows.
    columns : mapping of str to (m,) float64, or None
        The columns of the sample; None: no row is here.
    weights : (m,) float64 or None
        Its w of Σ w r²; None: all 1.

    Returns
    -------
    CheckReport
        "PASS", "FAIL" with the sample's answer, or "CANNOT TELL".

    Source
    ------
    Seber & Wild 1989, section 2.1.2: the answer of m rows scatters about that of all by its standard errors.
    """
    if columns is None or solution.state not in CLAIMS:
        return CheckReport("CANNOT TELL", "check.cannot.rows", {}, {}, {})
    with np.errstate(all="ignore"):
        try:
            case = read_case(solution, columns, weights)
        except UnreadableError as error:
            return CheckReport("CANNOT TELL", "check.cannot.formula", {}, {}, {}, {"part": str(error)})
        names = dict(zip(case.free, solution.free, strict=True))
        stuck = {plain: solution.params[name] for plain, name in names.items() if name in solution.at_bound}
        loose = case.holding(stuck) if stuck else case
        values = np.array([solution.params[names[plain]] for plain in loose.free])
        found = Findings()
        found.facts.update(route="drawn", sample=case.n)
        here = look(loose, values)
        if not here.finite:
            return CheckReport("FAIL", "check.fail.not_finite", {}, {}, {})
        down, bend = routes.goes_down(loose, here)
        ended = routes.by_scipy(loose, values, {}, bend if np.isfinite(bend).all() else None)
        if ended is None or ended.inverse is None or case.n <= len(values):
            found.unsure = ("check.cannot.route", {})
            return found.report("")
        variance = 1.0 if solution.sigma_is == "known" else ended.rss / (case.n - len(values))
        spread = np.sqrt(np.diag(ended.inverse) * variance)
        for plain, value, other, bar in zip(loose.free, values, ended.values, spread, strict=True):
            name = names[plain]
            found.answer[name] = float(other)
            if abs(value - other) > SIGMAS * bar + 64.0 * EPS * abs(value):
                found.doubts.append(("check.fail.sample", {"name": name, "claimed": said(value), "found": said(other)}))
        if down:
            found.doubts.append(("check.fail.curvature", {}))
    return found.report("check.pass.drawn", rows=case.n)

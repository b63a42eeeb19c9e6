"""CURVED: where the ends of an error bar are not where the data let the parameter go.

An end that is off by a fifth of the half-width t·stderr stands where the data say 89 % or 99 % instead of 95 %: that is
worth a note. Where the true end lies beyond twice the half-width, or nowhere, the bar stops where the data say 68 %: it
claims far more than they do, and that is a warning. Sources: Bates & Watts 1988, chapter 6; Cook & Weisberg 1990.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from katamuki.findings.making import finding
from katamuki.findings.searching import instead, point, start_of
from katamuki.records import Finding, Severity, Solution

if TYPE_CHECKING:
    from katamuki.findings.profiles import End, Profile

SHORT, LONG = 0.8, 1.25  # half-widths between which an end is as good as its standard error says
MISLEADING = 2.0  # half-widths


def about_curvature(solution: Solution, profiles: Sequence[Profile]) -> Iterator[Finding]:
    """One finding for each parameter whose interval by its standard error ends far from its profile's.

    Parameters
    ----------
    solution : Solution
        The claim.
    profiles : sequence of Profile
        Of the parameters that were looked at; see :func:`katamuki.findings.profiles.bent_profiles`.

    Returns
    -------
    iterator of Finding
        CURVED; or BETTER_MINIMUM where a profile led below the answer; a start is advised if a minimum is there.

    Source
    ------
    Bates & Watts 1988, chapter 6.
    """
    for one in profiles:
        better = one.better
        if better is not None:
            values: dict[str, Any] = {"other": point(better.params, solution.free), "least": better.loss}
            values |= {"loss": solution.loss, "name": one.name}
            if better.converged:
                values |= start_of(better.params, solution.free) | instead(solution)
            how = "below" if better.converged else "falls"
            yield finding("BETTER_MINIMUM", "warning", how, parameter=one.name, **values)
            return
    for one in profiles:
        low, high = solution.bounds.get(one.name, (-math.inf, math.inf))
        off = [_off(one.below, low), _off(one.above, high)]
        if any(map(math.isnan, off)) or all(SHORT <= u <= LONG for u in off):
            continue
        severity: Severity = "warning" if max(off) > MISLEADING else "note"
        yield finding(
            "CURVED",
            severity,
            _variant(one, severity),
            parameter=one.name,
            name=one.name,
            low=one.low,
            high=one.high,
            below=one.below.value,
            above=one.above.value,
        )


def _off(end: End, bound: float) -> float:
    """How far out an end is, in half-widths; one that a bound draws in is the user's own."""
    return 1.0 if end.value == bound and end.u < 1.0 else end.u


def _variant(one: Profile, severity: Severity) -> str | None:
    """Which sentence: an end may be missing."""
    open_below, open_above = math.isinf(one.below.value), math.isinf(one.above.value)
    if open_below and open_above:
        return "open"
    if open_below or open_above:
        return "no_lower" if open_below else "no_upper"
    return "far" if severity == "warning" else None

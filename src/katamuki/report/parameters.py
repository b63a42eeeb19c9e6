"""The table of a fit's parameters: values, standard errors, intervals, and what is to be said beside them.

A value has the digits that people read, more where its standard error needs them, and never more than rounding left.
"""

from __future__ import annotations

import math
from itertools import islice

import numpy as np

from katamuki import messages
from katamuki.errors import Surface
from katamuki.records import HAS_AN_ANSWER, Solution
from katamuki.report.layout import Style, noted
from katamuki.report.numbers import DASH, MOST, beside, brief, correlation, fitting, grouped, number, wanted
from katamuki.report.reported import Reported

STRONG = 0.9  # |correlation| from which a pair of many parameters is worth a word
EXACT = 1e-24  # Σ e² / Σ (y − ȳ)² below which standard errors are rounding
PAIRS = 3  # pairs named at most
SHOWN, FIRST = 24, 6  # parameters up to which a report shows all; how many it shows of more


def parameters(fit: Reported, lang: str, columns: int, style: Style, surface: Surface = "python") -> list[str]:
    """The lines of the table; of many parameters the first ones, and where the others stand."""
    claim, intervals, rounded = fit.solution, fit.interval(0.95), fit.rounded
    rows = [["", _say("value", lang), _say("stderr", lang), _say("interval", lang)]]
    notes = [""]
    for name, value in islice(claim.params.items(), FIRST if len(claim.params) > SHOWN else None):
        low, high = intervals.get(name, (math.nan, math.nan))
        known = claim.stderr.get(name) is not None and math.isfinite(low)
        left = rounded.get(name, math.inf)
        rows.append([name, *cells(fit, name, (low, high), lang)])
        notes.append(_of_rounding(value, left, lang) if known or left < MOST else _why_no_bar(claim, name, lang))
    settled = claim.state in HAS_AN_ANSWER
    if settled and len(claim.free) == 2 and all(claim.stderr[name] is not None for name in claim.free):
        between = float(np.asarray(fit.correlation)[0, 1])
        if math.isfinite(between):
            first, second = claim.free
            at = next(k for k, row in enumerate(rows) if row[0] == second)
            said = _say("correlation", lang, first=first, second=second, value=correlation(between))
            notes[at] = notes[at] or said
    lines = noted(fitting(rows if settled else [row[:2] for row in rows], columns), notes, columns)
    lines[0] = style("strong", lines[0])
    if len(claim.params) > SHOWN:
        return [
            *lines,
            "  "
            + _say(
                "more.python" if surface == "python" else "more.cli", lang, count=grouped(len(claim.params) - FIRST)
            ),
        ]
    if not settled:
        return lines
    lines += _correlations(fit, lang)
    if not any(one.code == "UNDETERMINED" for one in fit.findings):
        lines += _combinations(claim, lang)
    return lines


def cells(fit: Reported, name: str, interval: tuple[float, float], lang: str) -> list[str]:
    """A parameter's value, standard error and interval, with as many digits as mean something.

    Error bars belong to an answer: of a run that ended elsewhere there are none.
    """
    claim = fit.solution
    value, left = claim.params[name], fit.rounded.get(name, math.inf)
    stderr = claim.stderr.get(name) if claim.state in HAS_AN_ANSWER else None
    known = stderr is not None and math.isfinite(interval[0])
    bar = math.nan
    more = known and any(wanted(one, stderr) for one in (value, *interval))  # type: ignore[arg-type]
    if more and stderr is not None and not claim.rss < EXACT * claim.tss:
        bar, left = stderr, min(left, fit.digits.get(name, math.inf))
    low, high = (beside(one, bar, placed(one, value, left)) for one in interval)
    span = _say("to", lang, low=low, high=high) if known and left > -math.inf else DASH
    return [beside(value, bar, left), number(stderr), span]


def placed(other: float, value: float, left: float) -> float:
    """How many digits of another number are left, if rounding moves it as it moves ``value``.

    Example
    -------
    >>> placed(2000.0, 20.0, 3.0), placed(0.0, 20.0, 3.0)
    (5.0, inf)
    """
    return left + math.log10(abs(other / value)) if other and value and math.isfinite(other) else math.inf


def _of_rounding(value: float, left: float, lang: str) -> str:
    """What rounding leaves of a parameter, where that is less than is printed of others."""
    if left >= MOST:
        return ""
    if left == -math.inf:
        return _say("rounded.lost", lang)
    if left < 1.0:
        return _say("rounded.none", lang, size=brief(abs(value) * 10.0**-left))
    return _say("rounded.one" if left < 2.0 else "rounded", lang, count=math.floor(left))


def _why_no_bar(claim: Solution, name: str, lang: str) -> str:
    if name not in claim.free:
        return _say("no_bar.fixed", lang)
    if name in claim.at_bound:
        return _say("no_bar.bound", lang)
    if any(name in one.names for one in claim.combinations):
        return _say("no_bar.undetermined", lang)
    return _say("no_bar.freedom", lang) if claim.dof == 0 else ""


def _correlations(fit: Reported, lang: str) -> list[str]:
    names = fit.solution.free
    if len(names) < 3:
        return []
    matrix = np.asarray(fit.correlation)
    pairs = [(abs(float(matrix[i, j])), i, j) for i in range(len(names)) for j in range(i)]
    strong = sorted((pair for pair in pairs if pair[0] >= STRONG), reverse=True)[:PAIRS]
    if not strong:
        return []
    said = [f"{names[j]},{names[i]} {correlation(float(matrix[i, j]))}" for _, i, j in strong]
    return ["", "  " + _say("correlations", lang, pairs="   ".join(said))]


def _combinations(claim: Solution, lang: str) -> list[str]:
    lines = []
    for one in claim.combinations:
        if one.text is not None and one.value is not None:
            key = "determined" if one.exact else "determined.near"
            lines.append("  " + _say(key, lang, text=one.text, value=number(one.value)))
    return ["", *lines] if lines else []


def _say(key: str, lang: str, **values: object) -> str:
    return messages.sentence("report." + key, lang, **values)

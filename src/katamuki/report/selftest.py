"""A self test as text, as a dictionary for JSON, as rows for CSV, and as HTML: digits beside what is attainable.

One row of the table is a problem; a cell holds the least digits of its parameters and of its standard errors. What does
not hold stands above the table with its reason, wrong answers with the verdict "good" first. Nothing is judged here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any, Protocol

from katamuki import messages
from katamuki.errors import spoken
from katamuki.records import CertifiedFit
from katamuki.report.document import jsonable, provenance
from katamuki.report.layout import Style, hanging, unstyled, wrapped
from katamuki.report.numbers import DASH, MINUS, left, right, seconds, table

SCHEMA = "katamuki.selftest/1"
STARTS = ("nothing", "start 1", "start 2")
WORST_FIRST = ("silent", "wrong", "none", "short")
MARKS = {"good": " ", "look": "?"}  # of a fit that holds, by its verdict
FAULT = "!"


class Tested(Protocol):
    """A self test, whatever class it is; the names are those of ``katamuki.SelfTest``."""

    @property
    def rows(self) -> tuple[CertifiedFit, ...]:
        """One record a fit."""

    @property
    def asked(self) -> int:
        """How many fits were asked for."""

    @property
    def seed(self) -> int:
        """Of the searches."""

    @property
    def seconds(self) -> float:
        """How long it took."""

    @property
    def holds(self) -> bool:
        """Whether all hold."""


def _say(key: str, lang: str, **values: object) -> str:
    return messages.sentence("selftest." + key, lang, **values)


def count(digits: float) -> str:
    """A number of digits as the table has it: one place, rounded down, so that no row looks better than it is.

    Example
    -------
    >>> count(12.289), count(-0.31), count(float("-inf"))
    ('12.2', '−0.4', '—')
    """
    if not math.isfinite(digits):
        return DASH
    return f"{math.floor(digits * 10) / 10:.1f}".replace("-", MINUS)


def least(digits: Mapping[str, float]) -> float:
    """The least of some digits; −∞ where there are none."""
    return min(digits.values(), default=-math.inf)


def text(test: Tested, lang: str = "en", width: int = 80, style: Style = unstyled) -> str:
    """The self test as ``print`` and the command line show it.

    Parameters
    ----------
    test : Tested
        A self test.
    lang : str
        The language of the catalogue.
    width : int
        Columns at most, where the texts allow it.
    style : callable
        ``style(kind, text)`` marks words for a terminal.

    Returns
    -------
    str
        Lines without a newline at the end.

    Example
    -------
    >>> import katamuki as km
    >>> from katamuki.report import selftest
    >>> selftest.text(km.selftest("Norris")).split("\\n")[-1].split()[:3]
    ['Norris', '13.9', '14.0']
    """
    spoken(lang)
    problems = len({row.problem for row in test.rows})
    told = {"fits": len(test.rows), "problems": problems, "spent": seconds(test.seconds), "seed": test.seed}
    lines = wrapped(_say("head", lang, **told), width)
    lines += summary(test, lang, width, style)
    lines += ["", *wrapped(_say("table", lang), width), ""]
    lines += _table(test, lang, style)
    return "\n".join(line.rstrip() for line in lines)


def summary(test: Tested, lang: str = "en", width: int = 80, style: Style = unstyled) -> list[str]:
    """What does not hold, the worst first, and how many fits of each kind hold with how many digits."""
    lines = [] if len(test.rows) == test.asked else ["", _say("cut", lang, done=len(test.rows), all=test.asked)]
    for outcome in WORST_FIRST:
        found = [row for row in test.rows if row.outcome == outcome]
        if found:
            lines += ["", *wrapped(style("failed", _say("outcome." + outcome, lang, count=len(found))), width)]
        for row in found:
            assert row.reason is not None  # of every fit that does not hold
            said = f"{_say('from.' + row.start.replace(' ', '_'), lang)}: {row.reason.text(lang)}"
            lines += ["  " + line for line in hanging(row.problem, said, columns=width - 2, hang=10)]
    lines += ["", *_kinds(test, lang)]
    for note in dict.fromkeys(row.note for row in test.rows if row.note is not None):
        lines += wrapped(note.text(lang), width)
    return lines


def _kinds(test: Tested, lang: str) -> list[str]:
    """A row for each suite and start: how many hold, the least digits, and what was attainable there."""
    rows = [[_say(key, lang) for key in ("kind", "hold", "parameters", "attainable", "bars", "attainable")]]
    for suite in ("linear", "nonlinear"):
        for start in STARTS:
            some = [row for row in test.rows if (row.suite, row.start) == (suite, start)]
            if not some:
                continue
            held = sum(row.outcome == "holds" for row in some)
            worst = min(some, key=lambda row: least(row.digits))
            bars = [row for row in some if row.note is None] or some
            weak = min(bars, key=lambda row: least(row.stderr_digits))
            name = _say("suite." + suite, lang)
            if suite == "nonlinear":
                name = _say("suite.from", lang, suite=name, start=_say("from." + start.replace(" ", "_"), lang))
            rows.append(
                [
                    name,
                    _say("of", lang, held=held, all=len(some)),
                    count(least(worst.digits)),
                    count(least(worst.limits)),
                    count(least(weak.stderr_digits)),
                    count(least(weak.stderr_limits)),
                ]
            )
    return table(rows, gap=2, first=2)


def _table(test: Tested, lang: str, style: Style) -> list[str]:
    """A row a problem: what is attainable, then each start."""
    starts = [start for start in STARTS if any(row.start == start for row in test.rows)]
    heads = [_say("attainable", lang), *(_say("from." + start.replace(" ", "_"), lang) for start in starts)]
    title = "  " + left(_say("problem", lang), 10) + "".join(left("   " + one, 14) for one in heads)
    lines = [style("strong", title + right(_say("seconds", lang), 8))]
    for problem in dict.fromkeys(row.problem for row in test.rows):
        fits = {row.start: row for row in test.rows if row.problem == problem}
        one = next(iter(fits.values()))
        line = "  " + left(problem, 10) + _cell(one.limits, one.stderr_limits, " ")
        for start in starts:
            line += _fit_cell(fits[start]) if start in fits else " " * 14
        lines.append(line + right(seconds(sum(row.seconds for row in fits.values())), 8))
    used = {_mark(row) for row in test.rows}
    lines += [f"  {mark}  {_say('mark.' + key, lang)}" for mark, key in (("?", "look"), ("!", "fault")) if mark in used]
    return lines


def _fit_cell(row: CertifiedFit) -> str:
    return _cell(row.digits, row.stderr_digits, _mark(row))


def _mark(row: CertifiedFit) -> str:
    return MARKS.get(row.verdict, FAULT) if row.outcome == "holds" else FAULT


def _cell(digits: Mapping[str, float], bars: Mapping[str, float], mark: str) -> str:
    return "   " + right(count(least(digits)), 4) + right(count(least(bars)), 5) + mark + " "


def as_dict(test: Tested, lang: str = "en") -> dict[str, Any]:
    """The self test as plain dictionaries, lists, numbers and strings; ``selftest_schema.json`` describes it.

    Parameters
    ----------
    test : Tested
        A self test.
    lang : str
        The language of reasons and notes; codes do not depend on it.

    Returns
    -------
    dict
        Schema ``katamuki.selftest/1``.

    Example
    -------
    >>> import katamuki as km
    >>> from katamuki.report import selftest
    >>> selftest.as_dict(km.selftest("Norris"))["holds"]
    True
    """
    spoken(lang)
    return {
        "schema": SCHEMA,
        "holds": test.holds,
        "asked": test.asked,
        "outcomes": {one: sum(row.outcome == one for row in test.rows) for one in ("holds", *WORST_FIRST)},
        "fits": [_fit(row, lang) for row in test.rows],
        "seconds": jsonable(test.seconds),
        "provenance": provenance(test.seed),
    }


def _fit(row: CertifiedFit, lang: str) -> dict[str, Any]:
    return {
        "problem": row.problem,
        "suite": row.suite,
        "start": row.start,
        "outcome": row.outcome,
        "verdict": row.verdict,
        "params": jsonable(row.params),
        "digits": jsonable(row.digits),
        "stderr_digits": jsonable(row.stderr_digits),
        "limits": jsonable(row.limits),
        "stderr_limits": jsonable(row.stderr_limits),
        "wanted": {"params": row.wanted, "stderr": row.stderr_wanted},
        "findings": list(row.findings),
        "seconds": jsonable(row.seconds),
        "reason": None if row.reason is None else row.reason.text(lang),
        "note": None if row.note is None else row.note.text(lang),
    }


def rows(test: Tested) -> Iterator[list[str]]:
    """A header and a row for each parameter of each fit, for CSV; digits are empty where there is no answer."""
    yield ["problem", "suite", "start", "parameter", "value", "digits", "limit", "stderr_digits", "stderr_limit",
           "verdict", "outcome"]  # fmt: skip
    for row in test.rows:
        for name in row.limits:
            cells = [row.params.get(name), row.digits.get(name), row.limits[name], row.stderr_digits.get(name),
                     row.stderr_limits[name]]  # fmt: skip
            told = ["" if one is None or not math.isfinite(one) else repr(one) for one in cells]
            yield [row.problem, row.suite, row.start, name, *told, row.verdict, row.outcome]


def html(test: Tested, lang: str = "en") -> str:
    """The self test as one HTML ``<div>`` with a table.

    Example
    -------
    >>> import katamuki as km
    >>> from katamuki.report import selftest
    >>> "<th>Norris</th>" in selftest.html(km.selftest("Norris"))
    True
    """
    spoken(lang)
    keys = ("problem", "start", "parameters", "attainable", "bars", "attainable", "verdict", "seconds", "reason")
    head = "".join(f"<th>{escape(_say(key, lang))}</th>" for key in keys)
    lines = []
    for row in test.rows:
        cells = [
            _say("from." + row.start.replace(" ", "_"), lang),
            *map(count, map(least, (row.digits, row.limits, row.stderr_digits, row.stderr_limits))),
            messages.sentence("report.verdict." + row.verdict, lang),
            seconds(row.seconds),
            "" if row.reason is None else row.reason.text(lang),
        ]
        lines.append(f"<tr><th>{escape(row.problem)}</th>{_cells(cells)}</tr>")
    told = {"fits": len(test.rows), "problems": len({row.problem for row in test.rows})}
    said = escape(_say("head", lang, **told, spent=seconds(test.seconds), seed=test.seed))
    return f"<div><p>{said}</p><table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"


def _cells(texts: Sequence[str] | Iterable[str]) -> str:
    return "".join(f"<td>{escape(one)}</td>" for one in texts)


__all__ = ["SCHEMA", "Tested", "as_dict", "count", "html", "least", "rows", "summary", "text"]

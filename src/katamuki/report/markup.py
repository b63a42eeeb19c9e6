"""The report as HTML for notebooks: one table of parameters, the facts below it, everything escaped."""

from __future__ import annotations

import math
from html import escape

from katamuki import messages
from katamuki.errors import spoken
from katamuki.records import CheckReport
from katamuki.report.numbers import number
from katamuki.report.parameters import cells
from katamuki.report.printed import searched, worded
from katamuki.report.reported import Reported


def html(fit: Reported, check: CheckReport | None = None, lang: str = "en") -> str:
    """The report as one HTML ``<div>``, without scripts and styles of its own.

    Parameters
    ----------
    fit : Reported
        A fit.
    check : CheckReport, optional
        The answer check's judgement.
    lang : str
        The language of the catalogue.

    Returns
    -------
    str
        HTML; the user's texts are escaped.

    Example
    -------
    >>> import katamuki as km
    >>> from katamuki import report
    >>> "<td>0.500091</td>" in report.html(km.fit("y ~ a*x + b", km.datasets("tutorial")))
    True
    """
    spoken(lang)

    def say(key: str, **values: object) -> str:
        return escape(messages.sentence("report." + key, lang, **values))

    claim, intervals = fit.solution, fit.interval(0.95)
    titles = "".join(f"<th>{say(key)}</th>" for key in ("parameter", "value", "stderr", "interval"))
    rows = []
    for name in claim.params:
        said = cells(fit, name, intervals.get(name, (math.nan, math.nan)), lang)
        inside = "".join(f"<td>{escape(one)}</td>" for one in said)
        rows.append(f"<tr><th>{escape(name)}</th>{inside}</tr>")
    key = "mse.weighted" if claim.weighted else "mse"
    facts = [say(key, value=number(claim.loss)), say("r2", value=number(fit.r2)), say("rows", rows=claim.n)]
    if claim.search is not None:
        facts += [escape(one) for one in searched(claim.search, claim.n, lang, cells=fit.data.sample == 0)]
    lines = [f"<li>{escape(worded(one, lang)[0])} [{escape(one.code)}]</li>" for one in fit.findings]
    if check is not None:
        reason = escape(messages.sentence(check.reason, lang, **check.values))
        lines.append(f"<li>{say('check.' + check.verdict.replace(' ', '_'))}: {reason}</li>")
    return (
        f"<div><p><code>{escape(claim.formula)}</code></p>"
        f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        f"<p>{' · '.join(facts)}</p><p>{say('verdict')}: {say('verdict.' + fit.verdict)}</p>"
        + (f"<ul>{''.join(lines)}</ul>" if lines else "")
        + "</div>"
    )

"""The answer check's judgement as text: one verdict, what it rests on, and both answers where they differ."""

from __future__ import annotations

import math

from katamuki import messages
from katamuki.records import CheckReport, Solution
from katamuki.report.layout import Style, flow, hanging, unstyled
from katamuki.report.numbers import DASH, brief, number, table
from katamuki.report.numbers import width as cells

MARGIN = ("checked", "verdict", "severity.failure", "severity.warning", "severity.note")
STOPPED = frozenset({"slow", "cycle"})  # not at the minimum: what is compared is the least-squares answer beside it
KINDS = {"PASS": "good", "FAIL": "failed", "CANNOT TELL": "look"}


def check_text(
    check: CheckReport,
    claim: Solution,
    lang: str = "en",
    width: int = 80,
    style: Style = unstyled,
    full: bool = False,
) -> list[str]:
    """Lines about the answer check: in a report, and with ``full`` by itself.

    Parameters
    ----------
    check : CheckReport
        The judgement.
    claim : Solution
        What was judged.
    lang, width, style
        As in :func:`katamuki.report.text`.
    full : bool
        Whether both answers are printed even where they agree.

    Returns
    -------
    list of str
        Lines.

    Example
    -------
    >>> import katamuki as km
    >>> fit = km.fit("y ~ a*x + b", km.datasets("tutorial"))
    >>> check_text(fit.check(), fit.solution)[0].split()[:2]
    ['checked', 'PASS']
    """
    verdict = messages.sentence("report.check." + check.verdict.replace(" ", "_"), lang)
    reason = messages.sentence(check.reason, lang, **check.values)
    lines = hanging(
        messages.sentence("report.checked", lang),
        f"{style(KINDS[check.verdict], verdict)}   {reason}",
        style,
        columns=width + (len(style(KINDS[check.verdict], verdict)) - len(verdict)),
        hang=hang(lang),
    )
    grounds = _grounds(check, lang, width - hang(lang))
    lines += [" " * hang(lang) + line for line in grounds]
    if check.answer and (full or check.verdict == "FAIL"):
        lines += ["", *_both(check, claim, lang, style)]
    return lines


def hang(lang: str) -> int:
    """Where text begins beside "checked", "verdict", "warning" …: two blanks after the widest of these words."""
    return 2 + max(cells(messages.sentence("report." + key, lang)) for key in MARGIN)


def _grounds(check: CheckReport, lang: str, columns: int) -> list[str]:
    facts, parts = check.facts, []
    if _finite(facts.get("relative_gradient")):  # the gradient itself has a unit, and nothing to be compared with
        key = "report.check.gradient.edge" if "edges" in facts else "report.check.gradient"
        parts.append(messages.sentence(key, lang, value=brief(float(facts["relative_gradient"]))))
    if "rank" in facts and "parameters" in facts:
        parts.append(messages.sentence("report.check.rank", lang, rank=facts["rank"], parameters=facts["parameters"]))
    shared = [value for value in check.digits.values() if math.isfinite(value)]
    bars = [value for value in check.stderr_digits.values() if math.isfinite(value)]
    if shared:
        key = "report.check.digits" if bars else "report.check.digits_only"
        parts.append(
            messages.sentence(key, lang, digits=math.floor(min(shared)), stderr_digits=math.floor(min(bars, default=0)))
        )
    return flow(parts, columns)


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _both(check: CheckReport, claim: Solution, lang: str, style: Style) -> list[str]:
    def say(key: str) -> str:
        return messages.sentence("report.check." + key, lang)

    own = claim.reference if claim.state in STOPPED else None
    between = [] if own is None else [messages.sentence("report.least_squares", lang)]
    rows = [["", say("ours"), *between, say("theirs"), say("shared"), say("shared_stderr")]]
    for name, other in check.answer.items():
        rows.append(
            [
                name,
                number(claim.params.get(name)),
                *([] if own is None else [number(own.params.get(name))]),
                number(other),
                _digits(check.digits.get(name)),
                _digits(check.stderr_digits.get(name)),
            ]
        )
    lines = table(rows, gap=4 if own is None else 3)
    return [style("strong", lines[0]), *lines[1:]]


def _digits(value: float | None) -> str:
    return DASH if value is None or math.isnan(value) else f"{max(0.0, value):.1f}"

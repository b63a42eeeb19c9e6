"""The summary of many fits as text and as a dictionary for JSON: what was fitted, how it went, what to look at.

It counts nothing itself: verdicts, codes, quantiles and the check's judgements come with the record. The rows of the
table are never printed here; of each code a few keys are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from katamuki import messages
from katamuki.errors import spoken
from katamuki.messages import Phrase
from katamuki.records import SigmaIs, Source, Verdict
from katamuki.report.document import _data, jsonable, provenance
from katamuki.report.judgement import hang
from katamuki.report.keys import jsonable_key, said
from katamuki.report.layout import Style, hanging, head, unstyled
from katamuki.report.numbers import brief, fitting, grouped, left, number, seconds
from katamuki.report.numbers import width as cells
from katamuki.report.printed import _few, _left_out, _read

SCHEMA = "katamuki.many/1"
NAMED = 3  # curves that the check contradicts, named one by one


class Code(NamedTuple):
    """How many curves have a code, and the keys of the first."""

    name: str
    curves: int
    keys: tuple[tuple[object, ...], ...]


class Spread(NamedTuple):
    """A parameter over the good curves: 5 %, median, 95 %, and the median standard error; NaN: there is none."""

    name: str
    low: float
    median: float
    high: float
    stderr: float


class Judged(Protocol):
    """What the check said of one curve."""

    @property
    def key(self) -> tuple[object, ...]:
        """Of the curve."""

    @property
    def verdict(self) -> str:
        """PASS, FAIL or CANNOT TELL."""

    @property
    def digits(self) -> float:
        """The least that is shared."""

    @property
    def reason(self) -> Phrase:
        """Why."""


class Sample(Protocol):
    """What the check said of a sample."""

    @property
    def curves(self) -> Sequence[Judged]:
        """All of it."""

    @property
    def digits(self) -> float:
        """The least of those that agree."""

    def of(self, verdict: str) -> Sequence[Judged]:
        """Those of one verdict."""


class Table(Protocol):
    """Many fits, whatever class they are; the names are those of ``katamuki.Many``."""

    data: Source
    curves: int
    seconds: float
    threads: int
    resumed: int

    @property
    def formula(self) -> str:
        """The formula."""

    @property
    def response(self) -> str:
        """The left side."""

    @property
    def predictors(self) -> tuple[str, ...]:
        """The columns of the right side."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """All parameters."""

    @property
    def free(self) -> tuple[str, ...]:
        """Those that are fitted."""

    @property
    def linear(self) -> bool:
        """Whether the formula is linear in them."""

    @property
    def by(self) -> tuple[str, ...]:
        """The key columns."""

    @property
    def sigma_is(self) -> SigmaIs | None:
        """What sigma was said to be."""

    @property
    def weighted(self) -> bool:
        """Whether rows are weighted."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Curves by verdict."""

    @property
    def codes(self) -> Sequence[Code]:
        """The codes of curves that are not good."""

    @property
    def spread(self) -> Sequence[Spread]:
        """The parameters over the good curves."""

    @property
    def verdict(self) -> Verdict:
        """Of the table."""

    @property
    def rows(self) -> int:
        """Of all curves in the table."""

    @property
    def ending(self) -> str:
        """done, interrupted or time."""

    @property
    def checked(self) -> Sample:
        """What the check said."""

    def __len__(self) -> int:
        """Curves that have a row."""


def _say(key: str, lang: str, **values: object) -> str:
    return messages.sentence("many." + key, lang, **values)


def text(many: Table, lang: str = "en", width: int = 80, style: Style = unstyled) -> str:
    """The summary, as ``print(many)`` and the command line show it.

    Parameters
    ----------
    many : Table
        Many fits.
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
    >>> from katamuki.report import many
    >>> fits = km.fit_many("y ~ a*x", {"x": [1.0, 2.0], "y": [[1.0, 2.0], [3.0, 6.5]]}, check=0)
    >>> print(many.text(fits).split("\\n")[0])
    y ~ a*x          response y, variable x, parameter a     linear in a
    """
    lines = [*_heading(many, spoken(lang), width), "", *_verdicts(many, lang, style)]
    lines += _codes(many, lang, width, style)
    if many.counts["good"]:
        one = ".one" if many.counts["good"] == 1 else ""
        lines += [
            "",
            _say("over_good" + one, lang, count=grouped(many.counts["good"])),
            *_spread(many, lang, width, style),
        ]
    lines += ["", *_judgement(many, lang, width, style)]
    return "\n".join(line.rstrip() for line in lines)


def _heading(many: Table, lang: str, width: int) -> list[str]:
    """What was fitted to what, and how fast."""
    variables = many.predictors
    names = messages.sentence(
        f"report.names.{min(len(variables), 2)}.{min(len(many.parameters), 2)}",
        lang,
        response=many.response,
        variables=_few(variables, lang),
        parameters=_few(many.parameters, lang),
    )
    shape = messages.sentence("report.linear" if many.linear else "report.nonlinear", lang, free=_few(many.free, lang))
    lines = head(many.formula, names, shape, columns=width)
    lines += head(str(messages.said(many.data.name, lang)), _read(many.data, lang), _left_out(many.data, lang),
                  columns=width)  # fmt: skip
    weights = "known" if many.sigma_is == "known" else "relative" if many.sigma_is else "given"
    lines += head(
        messages.sentence(f"report.weights.{weights if many.weighted else 'none'}", lang),
        messages.sentence("report.loss.weighted" if many.weighted else "report.loss.plain", lang),
        _say("closed" if many.linear else "descents", lang),
        columns=width,
    )
    spent = max(many.seconds, 1e-9)
    rate = len(many) / spent
    paced = grouped(round(rate)) if rate >= 9.95 else brief(rate, 2)  # two digits, or whole
    speed = _say("speed.one" if paced == "1" else "speed", lang, speed=paced)
    if many.resumed:
        speed = _say("resumed", lang, count=grouped(many.resumed))
    curves = _say("curves.one" if len(many) == 1 else "curves", lang, curves=grouped(len(many)))
    spent_on = _say("in_seconds", lang, curves=curves, seconds=seconds(many.seconds))
    return lines + head(_say("by_names", lang, names=_few(many.by, lang)), spent_on, speed, columns=width)


def _verdicts(many: Table, lang: str, style: Style) -> list[str]:
    """How many curves have which verdict."""
    whole = max(1, len(many))
    rows = [["", _say("count", lang), _say("share", lang)]]
    for name in ("good", "look", "failed"):
        count = many.counts[name]
        rows.append(
            [messages.sentence("report.verdict." + name, lang), grouped(count), f"{100.0 * count / whole:.1f} %"]
        )
    lines = fitting(rows, 80)
    return [style("strong", lines[0]), *lines[1:]]


def _codes(many: Table, lang: str, width: int, style: Style) -> list[str]:
    """Codes with the keys of their first curves."""
    if not many.codes:
        return []
    rows = [[_say("code", lang), _say("count", lang)]]
    rows += [[one.name, grouped(one.curves)] for one in many.codes]
    lines = fitting(rows, width)
    wide = max(map(cells, lines)) + 4
    found = ["", style("strong", left(lines[0], wide) + _say("such_as", lang))]
    for line, one in zip(lines[1:], many.codes, strict=True):
        keys = ", ".join(said(key) for key in one.keys) + (", …" if one.curves > len(one.keys) else "")
        found.append(left(line, wide) + keys)
    return found


def _spread(many: Table, lang: str, width: int, style: Style) -> list[str]:
    """The parameters over the good curves."""
    rows = [["", "5 %", _say("median", lang), "95 %", _say("median_stderr", lang)]]
    rows += [[one.name, *map(number, one[1:])] for one in many.spread]
    lines = fitting(rows, width)
    return [style("strong", lines[0]), *lines[1:]]


def _judgement(many: Table, lang: str, width: int, style: Style) -> list[str]:
    """The verdict of the table, what was not reached, and what the check of a sample said."""
    lines = []
    if many.ending != "done":
        word = messages.sentence("report.severity.warning", lang)
        all_ = grouped(many.curves) if many.curves >= 0 else "?"
        said_ = _say("left." + many.ending, lang, curves=grouped(len(many)), all=all_)
        lines += hanging(word, said_, style, "warning", width, hang(lang))
    verdict = messages.sentence("report.verdict." + many.verdict, lang)
    why = "" if many.verdict == "good" else "   " + _why(many, lang)
    lines += hanging(messages.sentence("report.verdict", lang), style(many.verdict, verdict) + why, style, "strong",
                     width, hang(lang))  # fmt: skip
    if many.checked.curves:
        word = messages.sentence("report.checked", lang)
        lines += hanging(word, _agreed(many, lang), style, "strong", width, hang(lang))
    return lines


def _why(many: Table, lang: str) -> str:
    """Why the verdict of the table is not good."""
    failed = many.checked.of("FAIL")
    if failed:
        return _say("contradicted" + (".one" if len(failed) == 1 else ""), lang, count=len(failed))
    if many.counts["good"] == len(many):
        return _say("not_all", lang)
    return _say("not_good", lang, look=grouped(many.counts["look"]), failed=grouped(many.counts["failed"]))


def _agreed(many: Table, lang: str) -> str:
    """How the sample agreed with the check; each curve that did not is named."""
    sample = many.checked
    count, agree = len(sample.curves), len(sample.of("PASS"))
    key = "agreed.digits" if math.isfinite(sample.digits) else "agreed"
    digits = math.floor(10.0 * min(sample.digits, 99.0)) / 10.0 if math.isfinite(sample.digits) else 0.0
    words = [_say(key + (".one" if count == 1 else ""), lang, count=count, agree=agree, digits=f"{digits:.1f}")]
    for verdict, name in (("FAIL", "disagrees"), ("CANNOT TELL", "untold")):
        others = sample.of(verdict)
        for one in others[:NAMED]:
            words.append(_say(name, lang, curve=said(one.key), reason=one.reason))
        if len(others) > NAMED:
            words.append(_say("disagree_more", lang, count=len(others) - NAMED))
    return "\n".join(words)


def as_dict(many: Table, lang: str = "en") -> dict[str, Any]:
    """The summary as plain dictionaries, lists, numbers and strings.

    Parameters
    ----------
    many : Table
        Many fits.
    lang : str
        The language of the sentences inside; codes do not depend on it.

    Returns
    -------
    dict
        Schema ``katamuki.many/1``, described by ``many_schema.json``; the rows of the table are not in it.

    Example
    -------
    >>> import katamuki as km
    >>> from katamuki.report import many
    >>> fits = km.fit_many("y ~ a*x", {"x": [1.0, 2.0], "y": [[1.0, 2.0], [3.0, 6.5]]}, check=0)
    >>> many.as_dict(fits)["verdicts"]
    {'good': 2, 'look': 0, 'failed': 0}
    """
    spoken(lang)
    sample = many.checked
    return {
        "schema": SCHEMA,
        "formula": many.formula,
        "response": many.response,
        "parameters": list(many.parameters),
        "free": list(many.free),
        "by": list(many.by),
        "curves": len(many),
        "rows": many.rows,
        "seconds": jsonable(many.seconds),
        "threads": many.threads,
        "resumed": many.resumed,
        "ending": many.ending,
        "verdict": many.verdict,
        "verdicts": dict(many.counts),
        "codes": [
            {"code": one.name, "curves": one.curves, "keys": [[jsonable_key(k) for k in key] for key in one.keys]}
            for one in many.codes
        ],
        "spread": {
            one.name: dict(zip(("low", "median", "high", "stderr"), map(jsonable, one[1:]), strict=True))
            for one in many.spread
        },
        "check": {
            "curves": len(sample.curves),
            "agree": len(sample.of("PASS")),
            "digits": jsonable(sample.digits),
            "others": [
                {"key": [jsonable_key(k) for k in one.key], "verdict": one.verdict, "reason": one.reason.text(lang)}
                for one in sample.curves
                if one.verdict != "PASS"
            ],
        },
        "data": _data(many.data),
        "provenance": provenance(None),
    }

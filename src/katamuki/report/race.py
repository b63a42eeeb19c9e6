"""A race as text, as a dictionary for JSON, as rows for CSV, and as HTML: who came how near to the answer, and when.

The texts say what the records hold; nothing is judged or computed here. A lane has two lines: its row of the table, and
the remark about its end, with the options that were computed for it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Protocol

from katamuki import messages
from katamuki.errors import spoken
from katamuki.messages import Phrase
from katamuki.records import Array, CheckReport, Lane, Reached
from katamuki.report.document import as_dict as fit_dict
from katamuki.report.document import check_dict, jsonable
from katamuki.report.judgement import check_text
from katamuki.report.layout import Style, head, unstyled, wrapped
from katamuki.report.numbers import DASH, brief, grouped, left, number, plain, right, width
from katamuki.report.printed import heading
from katamuki.report.reported import Reported

SCHEMA = "katamuki.race/1"
INDENT = 4  # of a remark below its lane
GONE = frozenset({"diverged", "no_start", "waiting"})  # lanes without an end that can be measured


class Raced(Protocol):
    """A race, whatever class it is; the names are those of ``katamuki.Race``."""

    @property
    def answer(self) -> Reported:
        """What the lanes ran to."""

    @property
    def start(self) -> Mapping[str, float]:
        """Where they began."""

    @property
    def steps(self) -> int:
        """The length of the race."""

    @property
    def tolerances(self) -> tuple[float, ...]:
        """How near counts, the widest first."""

    @property
    def eigenvalues(self) -> Array:
        """Curvatures at the answer (p,), the least first."""

    @property
    def condition(self) -> float:
        """λmax/λmin."""

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """One run each."""

    @property
    def seconds(self) -> float:
        """How long it took."""


def _say(key: str, lang: str, **values: object) -> str:
    return messages.sentence("race." + key, lang, **values)


def power(tolerance: float) -> str:
    """A tolerance as it heads a column: ``1e-3``, ``0.05``.

    Example
    -------
    >>> [power(one) for one in (0.1, 1e-3, 1e-6, 0.05, 2.0)]
    ['1e-1', '1e-3', '1e-6', '0.05', '2']
    """
    digits = math.log10(tolerance)
    if digits < 0 and abs(digits - round(digits)) < 1e-9:
        return f"1e{round(digits)}"
    return f"{tolerance:g}"


def text(
    race: Raced,
    check: CheckReport | None = None,
    lang: str = "en",
    width: int = 80,
    style: Style = unstyled,
) -> str:
    """The race as ``print(race)`` and the command line show it.

    Parameters
    ----------
    race : Raced
        A race.
    check : CheckReport, optional
        The judgement of the answer, printed last.
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
    >>> from katamuki.report import race
    >>> print(race.text(km.race("y ~ a*x + b", km.datasets("tutorial"), ["linear"])).split("\\n")[-2])
    closed form      0      0      0      0        2
    """
    lines = heading(race.answer, spoken(lang), width, begin=False)
    begin = " ".join(f"{name} {plain(value)}" for name, value in race.start.items())
    lines += head(_say("start", lang), begin, _say("steps_each", lang, steps=grouped(race.steps)), columns=width)
    free = race.answer.solution.free
    params = race.answer.solution.params
    best = " ".join(f"{name} {number(params[name])}" for name in free)
    loss = _say("loss", lang, loss=number(race.answer.solution.loss))
    lines += head(_say("answer", lang), best, loss, columns=width)
    lines += head(_say("curvature", lang), _curvature(race, lang), columns=width)
    lines.append("")
    lines += _table(race, lang, width, style)
    if check is not None:
        lines += ["", *check_text(check, race.answer.solution, lang, width, style)]
    return "\n".join(line.rstrip() for line in lines)


def _curvature(race: Raced, lang: str) -> str:
    low, high = float(race.eigenvalues[0]), float(race.eigenvalues[-1])
    if len(race.eigenvalues) == 1:
        return _say("curvature.one", lang, value=number(low))
    return _say("curvature.range", lang, low=number(low), high=number(high), condition=brief(race.condition, 4))


def cell(one: Reached, lost: bool, lang: str) -> str:
    """When a tolerance was reached: a count of steps, "unsteady" or "never"; a dash where the run was lost."""
    if lost:
        return DASH
    if one.step is not None:
        return grouped(one.step)
    return _say("kind." + one.kind, lang)


def _table(race: Raced, lang: str, columns: int, style: Style) -> list[str]:
    rows = [
        [
            str(messages.said(lane.label, lang)),
            *(cell(one, lane.ending in GONE, lang) for one in lane.reached),
            grouped(lane.evaluations),
        ]
        for lane in race.lanes
    ]
    titles = [_say("lane", lang), *map(power, race.tolerances), _say("passes", lang)]
    wide = [max(width(row[j]) for row in [titles, *rows]) for j in range(len(titles))]
    gap = 2 if sum(wide) + 3 * (len(wide) - 1) > columns else 3
    name = max(8, min(wide[0], columns - sum(wide[1:]) - gap * (len(wide) - 1)))
    lines = [style("strong", line) for line in wrapped(_say("table", lang), columns)]
    for k, row in enumerate([titles, *rows]):
        pieces = wrapped(row[0], name)
        lines += pieces[:-1]
        line = left(pieces[-1], name) + "".join(
            " " * gap + right(one, wide[j]) for j, one in enumerate(row[1:], start=1)
        )
        lines.append(style("strong", line) if k == 0 else line)
        if k > 0:
            lines += _remark(race.lanes[k - 1], race, lang, columns, style)
    return lines


def _remark(lane: Lane, race: Raced, lang: str, columns: int, style: Style) -> list[str]:
    """What became of a lane, after the options that were computed for it."""
    said = lane.remark.text(lang)
    options = settings(lane)
    words = f"{options}: {said}" if options else said
    above = lane.loss - race.answer.solution.loss
    if lane.ending == "cycle" and above > 0.0:
        words += _say("floor", lang, value=brief(above, 3))
    kind = {"diverged": "failed", "no_start": "failed", "unsteady": "look"}.get(lane.ending, "note")
    return [" " * INDENT + style(kind, line) for line in wrapped(words, columns - INDENT)]


def settings(lane: Lane) -> str:
    """The learning rate and momentum of a lane whose label does not name them: ``lr 0.0107736``."""
    if not isinstance(lane.label, Phrase) or not dataclasses.is_dataclass(lane.solver):
        return ""
    given = {one.name: getattr(lane.solver, one.name) for one in dataclasses.fields(lane.solver)}
    return " ".join(f"{name} {given[name]:.6g}" for name in ("lr", "momentum") if given.get(name) not in (None, 0.0, 1))


def as_dict(race: Raced, check: CheckReport | None = None, lang: str = "en") -> dict[str, Any]:
    """The race as plain dictionaries, lists, numbers and strings; ``race_schema.json`` describes it.

    Parameters
    ----------
    race : Raced
        A race.
    check : CheckReport, optional
        The judgement of the answer; ``"check"`` is None without it.
    lang : str
        The language of labels and remarks; codes do not depend on it.

    Returns
    -------
    dict
        Schema ``katamuki.race/1``.

    Example
    -------
    >>> import katamuki as km
    >>> from katamuki.report import race
    >>> race.as_dict(km.race("y ~ a*x + b", km.datasets("tutorial"), ["linear"]))["tolerances"]
    [0.1, 0.01, 0.001, 1e-06]
    """
    claim = race.answer.solution
    whole = fit_dict(race.answer, None, lang)
    return {
        "schema": SCHEMA,
        "formula": claim.formula,
        "start": jsonable(race.start),
        "steps": race.steps,
        "tolerances": list(race.tolerances),
        "answer": {
            "params": {name: claim.params[name] for name in claim.free},
            "loss": jsonable(claim.loss),
            "solver": claim.solver,
            "eigenvalues": jsonable(race.eigenvalues),
            "condition": jsonable(race.condition),
        },
        "lanes": [_lane(one, lang) for one in race.lanes],
        "check": None if check is None else check_dict(check, lang),
        "seconds": jsonable(race.seconds),
        "data": whole["data"],
        "provenance": whole["provenance"],
    }


def _lane(lane: Lane, lang: str) -> dict[str, Any]:
    assert dataclasses.is_dataclass(lane.solver)  # every solver is a record
    options = {one.name: getattr(lane.solver, one.name) for one in dataclasses.fields(lane.solver)}
    return {
        "label": str(messages.said(lane.label, lang)),
        "solver": {"name": type(lane.solver).__name__.lower(), "options": jsonable(options)},
        "reached": [
            {"tolerance": one.tolerance, "kind": one.kind, "step": one.step, "entered": one.entered, "left": one.left}
            for one in lane.reached
        ],
        "ending": lane.ending,
        "facts": jsonable(lane.facts),
        "remark": lane.remark.text(lang),
        "steps": lane.steps,
        "evaluations": lane.evaluations,
        "params": jsonable(lane.params),
        "loss": jsonable(lane.loss),
        "error": jsonable(lane.error),
        "path": {"steps": lane.path.tolist(), "errors": jsonable(lane.errors)},
    }


def rows(race: Raced, lang: str = "en") -> Iterator[list[str]]:
    """A header and a row a lane for CSV; a tolerance that was not reached for good is a code, not a number."""
    names = [f"below_{power(one)}" for one in race.tolerances]
    yield ["lane", "solver", *names, "evaluations", "ending", "error", "loss"]
    for lane in race.lanes:
        when = [str(one.step) if one.step is not None else one.kind for one in lane.reached]
        numbers = [repr(one) if math.isfinite(one) else "" for one in (lane.error, lane.loss)]
        solver = type(lane.solver).__name__.lower()
        label = str(messages.said(lane.label, lang))
        yield [label, solver, *when, str(lane.evaluations), lane.ending, *numbers]


def html(race: Raced, lang: str = "en") -> str:
    """The race as one HTML ``<div>`` with a table; the user's texts are escaped.

    Example
    -------
    >>> import katamuki as km
    >>> from katamuki.report import race
    >>> "<th>closed form</th>" in race.html(km.race("y ~ a*x + b", km.datasets("tutorial"), ["linear"]))
    True
    """
    spoken(lang)

    def say(key: str, **values: object) -> str:
        return escape(_say(key, lang, **values))

    titles = [say("lane"), *(escape(power(one)) for one in race.tolerances), say("passes"), say("remark")]
    lines = []
    for lane in race.lanes:
        cells = [escape(cell(one, lane.ending in GONE, lang)) for one in lane.reached]
        options = settings(lane)
        said = escape((options + ": " if options else "") + lane.remark.text(lang))
        label = escape(str(messages.said(lane.label, lang)))
        cells += [grouped(lane.evaluations), said]
        lines.append(f"<tr><th>{label}</th>" + "".join(f"<td>{one}</td>" for one in cells) + "</tr>")
    claim = race.answer.solution
    best = " ".join(f"{name} {number(claim.params[name])}" for name in claim.free)
    return (
        f"<div><p><code>{escape(claim.formula)}</code></p><p>{say('table')}</p>"
        f"<table><thead><tr>{''.join(f'<th>{one}</th>' for one in titles)}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table>"
        f"<p>{say('answer')}: {escape(best)} · {escape(_curvature(race, lang))}</p></div>"
    )


__all__ = ["SCHEMA", "Raced", "as_dict", "html", "power", "rows", "text"]

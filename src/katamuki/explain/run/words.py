"""The story of a run as text, as a dictionary and as HTML: a label with the step, and what happened there.

Every sentence is a key ``explain.run.…`` of the catalogue; numbers are formatted here and are the same in every
language. One line an event where it fits, at most ``columns`` cells wide.
"""

from __future__ import annotations

import math
from functools import reduce
from html import escape
from typing import Any

from katamuki import messages
from katamuki.explain.run import path as run_path
from katamuki.explain.run import valley as run_valley
from katamuki.explain.run.ending import FOR_EVER, SAME
from katamuki.explain.run.record import SCHEMA, Event, RunStory
from katamuki.explain.run.sentences import LABELS, NAMES, WORDS, condition, say, size
from katamuki.report.document import jsonable
from katamuki.report.layout import flow, wrapped
from katamuki.report.numbers import DASH, MINUS, begun, brief, grouped, left, number, plain, table, width
from katamuki.solvers.first_order_diagnosis import REPEATS

RESULT = 12  # parameters whose values end the story; of more these first ones
LABEL = 13  # cells of the column with the steps
NO_MATTER, OTHER = 0.1, 1.0  # standard errors: below the data cannot tell; above it is another answer


def text(story: RunStory, lang: str = "en", columns: int = 80) -> str:
    """The story in lines; see :meth:`RunStory.text`."""
    lines = _head(story, lang, columns)
    attempts = [one for one in story.events if one.code == "attempt"]
    if attempts:
        lines += _attempts(attempts, lang)
    for event in story.events:
        if event.code != "attempt":
            lines += _hung(_label(event, lang), WORDS[event.code](event.values, lang), columns)
    lines += _result(story, lang, columns)
    lines += _hung(say("next", lang), story.advice.text(lang), columns)
    return "\n".join(line.rstrip() for line in lines)


def as_dict(story: RunStory) -> dict[str, Any]:
    """The story as plain data, with the tolerances of its heuristics."""
    return {
        "schema": SCHEMA,
        "run": jsonable(story.header),
        "events": [{"step": one.step, "code": one.code, "values": jsonable(one.values)} for one in story.events],
        "result": jsonable(story.result),
        "advice": {"key": story.advice.key, "values": jsonable(story.advice.values)},
        "tolerances": {
            "arrival_levels": list(run_path.LEVELS),  # each parameter's own unit
            "cycle_repeats_in_lr": REPEATS,
            **run_path.TOLERANCES,
            **run_valley.TOLERANCES,
        },
    }


def html(story: RunStory, lang: str = "en") -> str:
    """The story as one ``<div>`` without scripts or styles, everything escaped.

    Example
    -------
    >>> import katamuki as km
    >>> html(km.fit("y ~ a*x + b", km.datasets("tutorial")).explain()).startswith("<div><table>")
    True
    """
    rows = []
    for event in story.events:
        if event.code == "attempt":
            cells = _attempt_cells(event, lang)
            label, said = f"{say('column.attempt', lang)} {cells[0]}", " · ".join(one for one in cells[1:] if one)
        else:
            label, said = _label(event, lang), WORDS[event.code](event.values, lang)
        rows.append((label, said))
    rows += [(say("result", lang), " ".join(one.strip() for one in _result_parts(story, lang)))]
    rows += [(say("next", lang), story.advice.text(lang))]
    body = "".join(f"<tr><th>{escape(label)}</th><td>{escape(said)}</td></tr>" for label, said in rows)
    head = " ".join(_head_parts(story, lang))
    return f"<div><table><caption>{escape(head)}</caption><tbody>{body}</tbody></table></div>"


def _hung(label: str, said: str, columns: int) -> list[str]:
    """A label, and what is said beside it; a label too long for its column stands above."""
    indent = 2 + LABEL
    pieces = [piece for part in said.split("\n") for piece in wrapped(part, columns - indent)]
    if width(label) >= LABEL:
        return ["  " + label, *(" " * indent + piece for piece in pieces)]
    return ["  " + left(label, LABEL) + pieces[0], *(" " * indent + piece for piece in pieces[1:])]


def _head_parts(story: RunStory, lang: str) -> tuple[str, str]:
    header = story.header
    name = messages.optional("report.solver." + header["solver"], lang) or str(header["solver"])
    lr = header["options"].get("lr")
    parts = [name] if lr is None else [name, f"lr {plain(lr)}"]
    parts += [f"{option} {plain(value)}" for option, value in header["changed"].items()]
    count = grouped(header["steps"])
    if header["solver"] == "linear":
        parts.append(say("head.no_steps", lang))
    elif header["solver"] == "levenbergmarquardt":
        parts.append(say("head.attempt" if header["steps"] == 1 else "head.attempts", lang, count=count))
    else:
        parts.append(say("head.step" if header["steps"] == 1 else "head.steps", lang, count=count))
    comma = messages.sentence("label.comma", lang)
    said = comma.join(parts)
    start = [f"{one} {MINUS if value < 0 else ''}{begun(abs(value))}" for one, value in header["start"].items()]
    if 0 < len(start) <= NAMES:
        said = say("head.from", lang, run=said, start=" ".join(start))
    if header["starts"] is not None:
        key = "head.found_one" if header["starts"] == 1 else "head.found"
        said = say(key, lang, run=said, starts=grouped(header["starts"]))
    rows = say("head.row" if header["rows"] == 1 else "head.rows", lang, rows=grouped(header["rows"]))
    where = [rows, header["dtype"]] + (["torch"] if header["backend"] == "torch" else [])
    return said, comma.join(where)


def _head(story: RunStory, lang: str, columns: int) -> list[str]:
    first, second = _head_parts(story, lang)
    if width(first) + 3 + width(second) <= columns:
        lines = [first + " " * (columns - width(first) - width(second)) + second]
    else:
        lines = [*wrapped(first, columns), *("  " + one for one in wrapped(second, columns - 2))]
    kept = story.header["kept"]
    if kept is not None:
        lines += ["  " + one for one in wrapped(say("head.kept", lang, kept=grouped(kept)), columns - 2)]
    return lines


def _label(event: Event, lang: str) -> str:
    step = grouped(event.step)
    return say("label." + LABELS.get(event.code, "at"), lang, step=step)


def _attempt_cells(event: Event, lang: str) -> list[str]:
    values = event.values
    digits = values["digits"]
    return [
        grouped(event.step),
        number(values["loss"]),
        plain(float(f"{values['damping']:.1e}")) if math.isfinite(values["damping"]) else DASH,
        say("taken" if values["accepted"] else "refused.one", lang),
        DASH if digits is None else f"{digits:.1f}",
    ]


def _attempts(attempts: list[Event], lang: str) -> list[str]:
    titles = [say("column." + key, lang) for key in ("attempt", "loss", "damping", "taken", "digits")]
    rows, before = [titles], 0
    for one in attempts:
        if one.step != before + 1:
            rows.append(["…", "", "", "", ""])
        rows.append(_attempt_cells(one, lang))
        before = one.step
    return table(rows)


def _result_parts(story: RunStory, lang: str) -> list[str]:
    """The values, beside least squares where there is such an answer, and what the distance means."""
    result = story.result
    names = list(result["params"])
    pairs = [f"{name} {number(result['params'][name])}" for name in names]
    if result["reference"] is None or story.header["solver"] in {"linear", "levenbergmarquardt"}:
        return ["  ".join(_cut(pairs, lang)), say("loss", lang, loss=number(result["loss"]))]
    answers = [number(result["reference"][name]) for name in names]
    parts = ["  ".join(_cut(pairs, lang)), say("least_squares", lang, values="  ".join(_cut(answers, lang)))]
    return parts + _distances(story, lang)


def _cut(parts: list[str], lang: str) -> list[str]:
    if len(parts) <= RESULT:
        return parts
    return [*parts[:RESULT], say("and_more", lang, count=len(parts) - RESULT)]


def _distances(story: RunStory, lang: str) -> list[str]:
    result = story.result
    if result["shared_digits"] is None:
        return []
    if result["shared_digits"] >= SAME:
        return [say("same", lang, digits=f"{result['shared_digits']:.0f}")]
    errors = [one for one in result["in_stderr"].values() if one is not None]
    worst = max(errors, default=None)
    lrs = result["in_lr"]
    parts = []
    if worst is not None:
        each = messages.Listing([brief(one, 2) for one in errors])
        few = len(errors) <= NAMES
        parts.append(say("apart", lang, errors=each) if few else say("apart.most", lang, worst=brief(worst, 2)))
    if lrs is not None and story.header["solver"] != "sgd":
        largest = max(abs(one) for one in lrs.values())
        if 1e-3 <= largest <= 1e3:
            parts.append(say("apart.lr", lang, value=brief(largest, 2)))
    lines = [say("away", lang, distances=messages.sentence("label.comma", lang).join(parts))] if parts else []
    if worst is not None:
        key = "matter.not" if worst < NO_MATTER else "matter.little" if worst < OTHER else "matter"
        lines.append(say(key, lang))
    return lines


def _result(story: RunStory, lang: str, columns: int) -> list[str]:
    parts = _result_parts(story, lang)
    inside = columns - 2 - LABEL
    lines = [piece for line in flow(parts[:2], inside, gap=5) for piece in flow(line.split("  "), inside, gap=2)]
    more = parts[2:]
    if more:
        lines += wrapped(reduce(lambda a, b: messages.sentence("label.also", lang, first=a, second=b), more), inside)
    rest = story.result["rest"]
    if rest is not None and rest["high"] < FOR_EVER:
        facts = {"low": brief(rest["low"], 2), "high": brief(rest["high"], 2), "part": size(rest["part"])}
        lines += wrapped(say("rest." + rest["kind"], lang, **facts), inside)
    if story.result["condition"] is not None and story.header["solver"] != "linear":
        told = any(one.code == "floor" for one in story.events)
        if not told:
            lines += wrapped(condition(story.result, lang), inside)
    return _hung(say("result", lang), "\n".join(lines), columns)

"""One page that replays a run: HTML with its style, script and numbers inside, for a browser without a network.

The engine stays here: every number and every curve of the page comes from the trace, and the script only shows what
belongs to a step. Texts of users (formula, names) are escaped in markup and in the data, and the page forbids itself
everything but its own style and script (Content-Security-Policy).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from katamuki import messages
from katamuki.errors import BoundsError, spoken
from katamuki.plot import contours, replay_panels
from katamuki.plot.curves import PANELS, ran_by
from katamuki.plot.drawn import Fitted
from katamuki.plot.ran import Ran, answer, lowest, stepped
from katamuki.plot.replay_panels import Panel, Say, packed
from katamuki.plot.stability import Stability, stability
from katamuki.plot.surface import Method, surface
from katamuki.plot.thinning import Index, geometric, key_rows
from katamuki.records import Array
from katamuki.report import number
from katamuki.report.numbers import grouped

KEYS = 500  # states in a page
NAMED = 24  # parameters with a row of the table
LISTED = 12  # steps of the table below
WIDE = 8  # parameters in it
FOLDER = Path(__file__).parent


def page(
    ran: Ran, fit: Fitted, lang: str = "en", of: Sequence[str] | None = None, method: Method = "slice", most: int = KEYS
) -> str:
    """The page of a run.

    Parameters
    ----------
    ran : Ran
        The run.
    fit : Fitted
        The fit that it belongs to.
    lang : str
        The language of the words.
    of, method
        The loss surface, as in :func:`katamuki.plot.surface.surface`.
    most : int
        States of the run in the page, no unit.

    Returns
    -------
    str
        HTML.
    """
    trace, claim = stepped(ran, "replay"), ran.solution

    spoken(lang)

    def say(key: str, **values: object) -> str:
        return messages.sentence("plot." + key, lang, **values)

    rows = key_rows(trace.index, [mark.step for mark in ran.marks], most)
    found = surface(ran, of, method)
    names = tuple(dict.fromkeys([*found.names, *claim.free]))
    steady = _steady(ran, rows)
    fitted = replay_panels.fit_panel(ran, fit, rows, lambda key, **v: _panel_word(say, key, **v))
    on_surface = replay_panels.surface_panel(ran, found, rows, lambda key, **v: _panel_word(say, key, **v))
    charts = replay_panels.curves(ran, rows, names[:PANELS], steady, lambda key, **v: _panel_word(say, key, **v))
    shown = claim.free[:NAMED]
    data = _data(ran, rows, shown, steady, lang) | {
        "fit": fitted.data,
        "surface": on_surface.data,
        "charts": [one.data for one in charts],
    }
    about = [ran_by(ran, lang), say("replay.rows", rows=claim.n)]
    if len(rows) < len(trace):
        about.append(say("replay.thinned", shown=len(rows), all=len(trace)))
    if ran.batched:
        about.append(say("batched", rows=grouped(claim.n)))
    labels = {f"label.{key}": escape(say("replay." + key)) for key in LABELS}
    return _filled(
        labels
        | {
            "lang": escape(lang),
            "title": escape(say("replay.title", formula=claim.formula)),
            "formula": escape(claim.formula),
            "about": escape(" · ".join(about)),
            "most": str(len(rows) - 1),
            "events": "".join(_event(ran, k, lang) for k in range(len(ran.marks))),
            "noscript": escape(say("replay.noscript")),
            "fit": fitted.markup,
            "fit.caption": escape(say("replay.caption." + fitted.data["kind"])),
            "surface": on_surface.markup,
            "surface.caption": escape(" · ".join([say("replay.caption.surface"), *contours.said(ran, found, lang)])),
            "charts": "".join(one.markup for one in charts),
            "charts.caption": escape(_charts_caption(claim.free, names, say)),
            "table.head": "".join(f'<th scope="col">{escape(say("replay.head." + key))}</th>' for key in _heads(ran)),
            "table.body": "".join(_row(ran, k, name) for k, name in enumerate(shown)),
            "facts": _facts(ran, steady, say),
            "table.steps": _table(ran, rows, say),
            "footer": escape(say("replay.footer")),
            "css": _part("replay.css"),
            "numbers.js": _part("replay_numbers.js"),
            "js": _part("replay.js"),
            "data": inert(data),
        }
    )


LABELS = ("bar", "play", "back", "on", "slider", "events", "numbers", "table")
IN_PANELS = frozenset({"fit", "against", "surface", "chart", "outside.fit", "outside.surface"})


def _panel_word(say: Say, key: str, **values: object) -> str:
    return str(say(("replay.panel." if key in IN_PANELS else "") + key, **values))


def inert(data: Any) -> str:
    """JSON that cannot end the element it stands in: no ``<``, ``>`` or ``&`` outside escapes; NaN is null."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


@cache
def _part(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8").strip()


def _filled(parts: dict[str, str]) -> str:
    """The template with its parts, in one pass: what is put in is not read again."""
    return re.sub(r"\{\{([\w.]+)\}\}", lambda found: parts[found[1]], _part("replay.html")) + "\n"


def _steady(ran: Ran, rows: Index) -> Stability | None:
    """The stability where a picture or a key step shows it; None where the solver has no such number."""
    try:
        found = stability(ran)
        assert ran.trace is not None  # by stability()
        if found.kind == "divided":
            both = np.union1d(found.rows, rows[rows < len(ran.trace) - 1])
            return stability(ran, both)
        return stability(ran, rows if found.kind == "constant" else None)
    except BoundsError:
        return None


def _data(ran: Ran, rows: Index, shown: tuple[str, ...], steady: Stability | None, lang: str) -> dict[str, Any]:
    """The numbers of each key step, and the words that the script fills."""
    trace, best, low = stepped(ran, "replay"), answer(ran.solution), lowest(ran.solution)
    places = [trace.names.index(name) for name in shown]
    facts: dict[str, Array] = {
        "params": trace.params[rows][:, places],
        "gradient": trace.gradient[rows][:, places],
        "step": trace.step[rows][:, places],
        "loss": trace.loss[rows],
        **_help(ran, rows),
    }
    if low is not None:
        facts["height"] = trace.loss[rows] - low
    if best is not None:
        facts["answer"] = np.array([best[name] for name in shown])
    if steady is not None:
        place = np.minimum(np.searchsorted(steady.rows, rows), len(steady.rows) - 1)
        facts["stability"] = np.where(steady.rows[place] == rows, steady.values[place], np.nan)
    accepted = trace.extra.get("accepted")
    rejected = [] if accepted is None else [k for k, row in enumerate(rows[:-1].tolist()) if not accepted[row]]
    keys = ("step", "end", "play", "pause", "missing", "did", "unknown", "rejected", "result", "loss")
    return {
        "steps": [int(one) for one in trace.index[rows] + 1],
        "last": int(trace.index[-1]),
        "names": list(shown),
        "answer": best is not None,
        "facts": {name: packed(values, "f8") for name, values in facts.items()},
        "rejected": rejected,
        "marks": [mark.step for mark in ran.marks],
        "words": {key: messages.catalogue(lang)["plot.replay." + key] for key in keys},
    }


def _help(ran: Ran, rows: Index) -> dict[str, Array]:
    """Did it help: the loss after the step, its change, what the slope promised, and the rest: the surface's bend."""
    trace = stepped(ran, "replay")
    after = np.full(len(rows), np.nan)
    for k, row in enumerate(rows.tolist()):
        if row + 1 < len(trace) and trace.index[row + 1] == trace.index[row] + 1:
            after[k] = trace.loss[row + 1]
    with np.errstate(all="ignore"):
        promise = (trace.gradient[rows] * trace.step[rows]).sum(axis=1)
        change = after - trace.loss[rows]
        return {"after": after, "change": change, "promise": promise, "bend": change - promise}


def _event(ran: Ran, k: int, lang: str) -> str:
    mark = ran.marks[k]
    text = f"{mark.step} {messages.sentence(mark.key, lang, **mark.values)}"
    return f'<li><button type="button" value="{mark.step}">{escape(text)}</button></li>'


def _heads(ran: Ran) -> list[str]:
    heads = ["parameter", "value", "gradient", "step"]
    return heads if answer(ran.solution) is None else [*heads, "answer", "apart"]


def _row(ran: Ran, k: int, name: str) -> str:
    best = answer(ran.solution)
    cells = [f'<td id="{what}{k}"></td>' for what in ("value", "gradient", "step")]
    if best is not None:
        cells += [f"<td>{number(best[name])}</td>", f'<td id="apart{k}"></td>']
    return f'<tr><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>'


def _facts(ran: Ran, steady: Stability | None, say: Say) -> str:
    """Loss, height above the answer, stability: names now, numbers by the script."""
    facts = [("loss", say("loss"))]
    if lowest(ran.solution) is not None:
        facts.append(("height", say("height")))
    if steady is not None:
        facts.append(("stability", say("stability.damping" if steady.kind == "damping" else "stability.axis")))
    text = "".join(f'<dt>{escape(name)}</dt><dd id="{key}"></dd>' for key, name in facts)
    if steady is not None and steady.limit is not None:
        text += f"<dt>{escape(say('replay.limit'))}</dt><dd>{number(steady.limit)}</dd>"
    return text


def _charts_caption(free: tuple[str, ...], names: tuple[str, ...], say: Say) -> str:
    said = say("replay.caption.charts")
    return said + " " + say("some", shown=PANELS, all=len(free)) if len(names) > PANELS else str(said)


def _table(ran: Ran, rows: Index, say: Say) -> str:
    """A dozen steps as a table, for those who read better than they see, and where scripts are off."""
    trace = stepped(ran, "replay")
    names = trace.names[:WIDE]
    heads = [say("replay.head.number"), say("loss"), *names]
    lines = []
    for row in rows[geometric(len(rows), LISTED)].tolist():
        cells = [number(float(trace.loss[row])), *(number(float(one)) for one in trace.params[row, : len(names)])]
        label = f'<th scope="row">{int(trace.index[row]) + 1}</th>'
        lines.append(f"<tr>{label}{''.join(f'<td>{one}</td>' for one in cells)}</tr>")
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


__all__ = ["Panel", "inert", "page"]

"""The fifth part of a step's story: whether it helped, what the slope promised, what the bend added, what is to see."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from katamuki import messages
from katamuki.explain.step.record import Batch, Remark, Step
from katamuki.explain.story.blocks import Block, Head, Line, Words, flow
from katamuki.explain.story.figures import decimals, fixed, plainly
from katamuki.explain.story.forward import MOST_PARAMS
from katamuki.explain.story.notation import short
from katamuki.report.numbers import grouped, number

LOSS_DIGITS = 6  # of a loss, one more where it stands before the decimal point
DISTANCE_DIGITS = 5
FEW = 100.0  # units of the last decimal: a promise below shows less than three digits


def helped(step: Step, level: str, lang: str) -> list[Block]:
    """Part 5: the loss before and after, promise and bend, the distance to least squares, remarks."""
    blocks: list[Block] = [Head("5", _say("helped", lang))]
    if level == "rules":
        return [
            *blocks,
            Line(_say("rule.change", lang)),
            Line("g·Δ = Σ ∂L/∂p · Δp     H = ∂²L/∂p∂q = 2/n · Σ (∂ŷ/∂p·∂ŷ/∂q + e·∂²ŷ/∂p∂q)"),
        ]
    blocks.append(Line(_change(step, lang)))
    blocks += [Line(line) for line in _shares(step, lang)]
    if step.batch is not None and step.batch.per_epoch > 1:
        blocks.append(Line(_of_all(step.batch, lang)))
    distance = step.helped.distance
    if distance is not None:
        places = decimals([*step.before.values(), *step.after.values()], DISTANCE_DIGITS)
        said = [
            f"{name} {fixed(before, places)} → {fixed(after, places)}"
            for name, (before, after) in list(distance.items())[:MOST_PARAMS]
        ]
        first, *others = flow(said, 52)
        blocks.append(Line(f"{_say('distance', lang)} {first}"))
        blocks += [Line("   " + line) for line in others]
    return [*blocks, *remarks(step, lang)]


def _places(step: Step) -> int:
    return decimals([step.loss, step.loss_after], LOSS_DIGITS)


def share(step: Step, value: float) -> str:
    """A part of the change: as many decimals as the loss has, or six digits where these would show little of it."""
    places = _places(step)
    if 0.0 < abs(step.helped.promise) < FEW * 10.0**-places:
        text = short(value)
        return text if text.startswith("−") or text == "0" else "+" + text
    return fixed(value, places, signed=True)


def _change(step: Step, lang: str) -> str:
    places = _places(step)
    change = share(step, step.helped.change)
    return f"L: {fixed(step.loss, places)} → {fixed(step.loss_after, places)}     {_say('change', lang)} {change}"


def _of_all(batch: Batch, lang: str) -> str:
    """What the step did to the loss of all rows."""
    places = decimals([batch.loss, batch.loss_after], LOSS_DIGITS)
    before, after = (fixed(one, places) for one in (batch.loss, batch.loss_after))
    change = batch.loss_after - batch.loss
    text = fixed(change, places, signed=True)
    if 0.0 < abs(change) < FEW * 10.0**-places:
        text = short(change) if change < 0.0 else "+" + short(change)
    said = _say("all_rows", lang, rows=grouped(batch.all_rows), before=before, after=after)
    return f"{said}     {_say('change', lang)} {text}"


def _shares(step: Step, lang: str) -> list[str]:
    """Promise and bend, and the rest where it shows."""
    found = step.helped
    promise = share(step, found.promise)
    if found.bend is None or found.rest is None:
        return [_say("promise.alone", lang, promise=promise, rest=share(step, found.change - found.promise))]
    lines = [_say("promise", lang, promise=promise, bend=share(step, found.bend))]
    more = rest(step)
    return [*lines, _say("rest", lang, rest=more)] if more else lines


def rest(step: Step) -> str:
    """What is neither promise nor bend, where it shows beside them; else nothing."""
    found = step.helped.rest
    if found is None:
        return ""
    text = share(step, found)
    return text if ("e" not in text and text.strip("+−0.")) or math.isnan(found) else ""


def remarks(step: Step, lang: str) -> list[Block]:
    """The remarks of this part; one that goes on with the one before it stands in the same lines."""
    texts: list[str] = []
    for one in step.remarks:
        if one.key.startswith("equal_steps"):
            continue
        said = remark_text(one, lang)
        if one.key in GOES_ON and texts:
            texts[-1] += _say("space", lang) + said
        else:
            texts.append(said)
    return [Words(text) for text in texts]


GOES_ON = {"back", "back.low", "passed"}


def remark_text(remark: Remark, lang: str) -> str:
    """A remark as a sentence."""
    return messages.sentence("step.remark." + remark.key, lang, **_spelled(remark, lang))


def _spelled(remark: Remark, lang: str) -> Mapping[str, Any]:
    """The numbers of a remark as text."""
    values = dict(remark.values)
    if remark.key.startswith("away"):
        values["other"] = values["other"] or messages.Phrase("step.the_others")
    elif remark.key.startswith("back"):
        values |= {"value": short(values["value"], 4), "step": grouped(values["step"])}
    elif remark.key.startswith("repeats"):
        values["middle"] = ", ".join(number(one) for one in values["middle"].values())
        values["half"] = ", ".join(short(one) for one in values["half"].values())
    elif remark.key == "floor":
        values = {name: short(one, 4) for name, one in values.items()} | {"value": plainly(values["value"])}
    elif remark.key.startswith("stability"):
        values = {"value": f"{values['value']:.4f}", "limit": short(values["limit"], 4)}
    elif remark.key == "passed":
        values |= {
            "before": f"{values['before']:.2f}",
            "limit": short(values["limit"], 4),
            "step": grouped(values["step"]),
            "earlier": grouped(values["earlier"]),
        }
    return values


def _say(key: str, lang: str, **values: object) -> str:
    return messages.sentence("step." + key, lang, **values)

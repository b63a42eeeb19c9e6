"""L-BFGS's part of a step's story: one iteration after the other, each a direction, a length and a move."""

from __future__ import annotations

from collections.abc import Mapping

from katamuki import messages
from katamuki.explain.step.record import Iteration, Step
from katamuki.explain.story.blocks import Block, Line, Words
from katamuki.explain.story.forward import MOST_PARAMS
from katamuki.explain.story.notation import short

LOOP = 4  # parameters up to which the two loops over one pair are told
MOST = 6  # iterations that are told: the first ones
RULES = ("direction", "newest", "oldest", "length")


def iterated(step: Step, level: str, lang: str) -> list[Block]:
    """The iterations of a step, with the numbers of each, or the rules alone."""
    if level == "rules":
        return [Line(messages.sentence("step.iteration.rule." + rule, lang)) for rule in RULES]
    if not step.iterations:
        return [Words(messages.sentence("step.iterations.hidden", lang))]
    blocks: list[Block] = []
    for one in step.iterations[:MOST]:
        blocks += _iteration(step, one, lang)
    left = len(step.iterations) - MOST
    if left > 0:
        blocks.append(Words(messages.sentence("step.iterations.more", lang, count=left)))
    return blocks


def _iteration(step: Step, one: Iteration, lang: str) -> list[Block]:
    """One iteration: gradient there, direction, length, move."""
    first = one.number == 1
    title = messages.sentence("step.iteration", lang, number=one.number)
    rule = "−g" if first else messages.sentence("step.iteration.pairs", lang, count=one.pairs)
    if one.pairs == 1 and len(one.gradient) <= LOOP:
        rule = "−(q + (α − β)·Δp)"
    moves = {name: one.length * value for name, value in one.direction.items()}
    lines: list[Block] = [Line(f"{title}   g: {_listed(one.gradient)}"), *_pair(one)]
    lines.append(Line(f"d = {rule}: {_listed(one.direction)}", indent=7, hang=11))
    if not first and (one.pairs != 1 or len(one.gradient) > LOOP):
        lines.append(Line(messages.sentence("step.iteration.unseen", lang), indent=7, hang=11))
    searched = step.options.get("line_search_fn") is not None
    if searched:
        said = messages.sentence("step.iteration.searched", lang, count=one.evaluations)
        lines.append(Line(f"t = {short(one.length)}   ({said})", indent=7))
    elif first:
        total = sum(abs(value) for value in one.gradient.values())
        lr = short(float(step.options["lr"]))
        lines.append(Line(f"t = min(1, 1/{short(total)})·{lr} = {short(one.length)}", indent=7))
    else:
        lines.append(Line(f"t = {short(one.length)}", indent=7))
    return [*lines, Line(f"t·d: {_listed(moves)}", indent=7, hang=11)]


def _pair(one: Iteration) -> list[Block]:
    """The newest pair; and the two loops with their numbers where it is the only one."""
    if one.moved is None or one.turned is None:
        return []
    pairs = [(one.moved[name], one.turned[name]) for name in one.moved]
    curved, square = sum(s * y for s, y in pairs), sum(y * y for _, y in pairs)
    both = f"Δp·Δg = {short(curved)}   Δg·Δg = {short(square)}"
    said = [f"Δp: {_listed(one.moved)}", f"Δg: {_listed(one.turned)}", both]
    if one.pairs == 1 and len(pairs) <= LOOP:
        top = sum(one.moved[name] * value for name, value in one.gradient.items())
        alpha = top / curved
        q = {name: (value - alpha * one.turned[name]) * one.diagonal for name, value in one.gradient.items()}
        back = sum(one.turned[name] * value for name, value in q.items())
        said += [
            f"α = Δp·g / Δp·Δg = {short(top)} / {short(curved)} = {short(alpha)}",
            f"q = (g − α·Δg)·(Δp·Δg / Δg·Δg): {_listed(q)}",
            f"β = Δg·q / Δp·Δg = {short(back)} / {short(curved)} = {short(back / curved)}",
        ]
    return [Line(text, indent=7, hang=11) for text in said]


def _listed(values: Mapping[str, float]) -> str:
    said = [f"{name} {short(value)}" for name, value in list(values.items())[:MOST_PARAMS]]
    return "   ".join([*said, *(["…"] if len(values) > MOST_PARAMS else [])])

"""The story of one step as text: five numbered parts, each with the PyTorch line that it stands for.

Every sentence comes from the catalogue, every number from the :class:`~katamuki.explain.step.record.Step`; a number
that is shown can be computed again from numbers shown above it, to the digits shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from katamuki import messages
from katamuki.errors import BoundsError, spoken
from katamuki.explain.graph.tape import Tape, opaque, predicted, record
from katamuki.explain.step.record import Batch, Step
from katamuki.explain.story import help as story_help
from katamuki.explain.story.backward import backward
from katamuki.explain.story.blocks import COLUMNS, INDENT, Block, Gap, Line, as_text, flow, left, width
from katamuki.explain.story.figures import decimals, fixed, plainly
from katamuki.explain.story.forward import ALL_ROWS, FIRST_ROWS, MOST_PARAMS, forward
from katamuki.explain.story.help import helped
from katamuki.explain.story.notation import short
from katamuki.explain.story.solver import new_values, options, solver, solver_name
from katamuki.report.numbers import grouped

LEVELS = ("glance", "numbers", "rules")


def text(step: Step, level: str = "numbers", row: int = 1, lang: str = "en") -> str:
    """The story as lines of at most 80 columns."""
    return as_text(story(step, level, row, lang))


def story(step: Step, level: str, row: int, lang: str) -> list[Block]:
    """The story as blocks, for text and HTML alike."""
    if level not in LEVELS:
        raise BoundsError("E-USAGE", "step.level", given=repr(level))
    spoken(lang)
    row = check_row(step.n, row, step.batch is not None)
    blocks: list[Block] = [*title(step, lang), Gap()]
    if level == "glance":
        return [*blocks[:-1], *_glance(step, lang)]
    shown = rows_shown(step.n, row)
    tape = tape_with(step, shown)
    parts = (
        forward(step, tape, shown, level, lang),
        backward(step, tape, row, shown, level, lang),
        solver(step, shown, level, lang),
        new_values(step, level, lang),
        helped(step, level, lang),
    )
    for part in parts:
        blocks += [*part, Gap()]
    return blocks[:-1]


def check_row(n: int, row: object, batched: bool = False) -> int:
    """A row that exists, counted from 1: among all, or within a step's batch."""
    if isinstance(row, bool) or not isinstance(row, int | np.integer):
        raise BoundsError("E-ROW", "step.row_whole", given=repr(row))
    if not 1 <= row <= n:
        key = "step.row_range.batch" if batched else "step.row_range"
        raise BoundsError("E-ROW", key, given=str(row), rows=grouped(n))
    return int(row)


def rows_shown(n: int, row: int) -> list[int]:
    """The rows that a table shows: all of a few; of many the first ones and the chosen one."""
    if n <= ALL_ROWS:
        return list(range(1, n + 1))
    return [*range(1, FIRST_ROWS + 1), *([row] if row > FIRST_ROWS else [])]


def tape_with(step: Step, shown: Sequence[int]) -> Tape:
    """The step's tape, or one that holds rows beyond those that are kept."""
    tape, subject = step.tape, step.subject
    if all(row in tape.rows for row in shown):
        return tape
    if tape.sketch is None:
        values = predicted(subject, [step.before[name] for name in step.free])
        return opaque(values, subject.y, subject.weights, step.response, shown)
    return record(tape.sketch, subject.columns, subject.y, subject.weights, step.before, shown, tape)


def title(step: Step, lang: str) -> list[Block]:
    """The first line: which step, the solver with its options, the precision, and whether the run was lost."""
    first = messages.sentence("step.title", lang, number=grouped(step.number), steps=grouped(step.steps))
    said = [f"{first}   ", solver_name(step), *options(step), f"   {step.dtype}"]
    if step.subject.solution.state == "diverged":
        said.append("   " + messages.sentence("step.diverged", lang, step=grouped(step.steps + 1)))
    begun, *rest = flow(said, COLUMNS, gap=2)
    if rest:  # they are set in
        begun, *rest = flow(said, COLUMNS - INDENT, gap=2)
    lines: list[Block] = [Line(begun, indent=0), *(Line(line.strip()) for line in rest)]
    return [*lines, *([] if step.batch is None else [Line(_batch(step.batch, lang), indent=0, hang=INDENT)])]


def _batch(batch: Batch, lang: str) -> str:
    """Which rows the step took."""
    key = "step.batch" if batch.per_epoch > 1 else "step.batch.whole"
    counts = {"epoch": batch.epoch, "number": batch.number, "of": batch.per_epoch}
    values = {name: grouped(value) for name, value in counts.items()}
    rows = {"rows": grouped(len(batch.rows)), "all": grouped(batch.all_rows)}
    return messages.sentence(key, lang, **values, **rows, seed=batch.seed)


def _glance(step: Step, lang: str) -> list[Block]:
    """Five lines: what went in, what came back, where it went, whether it helped."""

    def listed(values: Mapping[str, float], mark: str = "") -> str:
        said = [
            f"{mark}{name} {short(value) if mark else plainly(value)}"
            for name, value in list(values.items())[:MOST_PARAMS]
        ]
        return "   ".join([*said, *(["…"] if len(values) > MOST_PARAMS else [])])

    places = decimals([step.loss, step.loss_after], story_help.LOSS_DIGITS)
    found = step.helped
    parts = [f"L: {fixed(step.loss, places)} → {fixed(step.loss_after, places)}"]
    parts.append(messages.sentence("step.glance.promise", lang, value=fixed(found.promise, places, signed=True)))
    if found.bend is not None:
        parts.append(messages.sentence("step.glance.bend", lang, value=fixed(found.bend, places, signed=True)))
    rest = story_help.rest(step)
    if rest:
        parts.append(messages.sentence("step.glance.rest", lang, value=rest))
    moves = [f"{name}: {plainly(step.before[name])} → {plainly(step.after[name])}" for name in step.free[:MOST_PARAMS]]
    lines = {
        "forward": f"{listed(step.before)}     L {plainly(step.loss)}",
        "backward": listed(step.gradient, "∂L/∂"),
        "optimizer": listed({name: step.after[name] - step.before[name] for name in step.free}, "Δ"),
        "new": "   ".join(moves),
        "helped": "   ".join(parts),
    }
    words = {key: messages.sentence("step.glance." + key, lang) for key in lines}
    room = max(map(width, words.values())) + 3
    return [Line(left(words[key], room) + said, hang=INDENT + room) for key, said in lines.items()]

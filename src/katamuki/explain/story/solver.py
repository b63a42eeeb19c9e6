"""The third and fourth part of a step's story: what the solver makes of the gradient, and the new values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from katamuki import messages
from katamuki.backends.numpy_ import evaluate
from katamuki.explain.step import curvature
from katamuki.explain.step.record import Attempt, Equation, Step, Update
from katamuki.explain.story import torch_lines
from katamuki.explain.story.blocks import Block, Head, Line, Table, Words, flow, left, width
from katamuki.explain.story.figures import filled, hides_eps, lettered, plainly
from katamuki.explain.story.forward import MOST_PARAMS, skipped
from katamuki.explain.story.iterations import iterated
from katamuki.explain.story.notation import short

MATRIX = 6  # parameters up to which Levenberg–Marquardt's matrices are shown
SHOWN = 1e-4  # of a sum of squares: a smaller fall is not the difference of two numbers of six digits
ROUNDING = 1e-11  # of a parameter: a step this short is other than the system's by rounding
VANISHED = 3e-8  # a cosine of residuals and a column of J: what is left to gain is rounding of their squares
PERFECT = 1e-13  # of the data: residuals below are rounding
EVERY = ("lr", "alpha", "betas", "rho", "eps", "etas", "lambd")  # options that are always said
USED = ("weight_decay", "momentum_decay")  # options that are said where they are not 0


def options(step: Step) -> list[str]:
    """The options that matter: those always said, and those that are not the default."""
    kind = type(step.subject.solver)
    said = []
    for name, value in step.options.items():
        usual = getattr(kind, name, None)
        used = name in USED and value
        if name != "steps" and (name in EVERY or used or value != usual):
            said.append(f"{name}={value}")
    return said


def solver_name(step: Step) -> str:
    """The solver as its class is called."""
    return type(step.subject.solver).__name__


def solver(step: Step, shown: Sequence[int], level: str, lang: str) -> list[Block]:
    """Part 3: the arithmetic of the solver, by parameter."""
    title = messages.sentence("step.optimizer", lang, name=solver_name(step), what=_what(step, lang))
    code = torch_lines.STEP if step.attempt is None else ""
    blocks: list[Block] = [Head("3", title, "", code)]
    if step.attempt is not None:
        return [*blocks, *_attempt(step, step.attempt, shown, level, lang)]
    if step.solver == "lbfgs":
        return [*blocks, *iterated(step, level, lang)]
    if level == "rules":
        rules = [f"{one.symbol} ← {lettered(one)}" for one in step.updates[0].equations] if step.updates else []
        return [*blocks, *(Line(rule) for rule in rules)]
    names = [update.parameter for update in step.updates[:MOST_PARAMS]]
    room = max([1, *(width(name) for name in names)]) + 3
    for update in step.updates[:MOST_PARAMS]:
        blocks += _update(update, room, lang)
    if len(step.updates) > MOST_PARAMS:
        blocks.append(Line(messages.sentence("step.more_params", lang, count=len(step.updates) - MOST_PARAMS)))
    hidden = {hides_eps(one) for update in step.updates[:MOST_PARAMS] for one in update.equations}
    if {True, False} <= hidden:
        blocks.append(Words(messages.sentence("step.eps", lang)))
    for remark in step.remarks:
        if remark.key.startswith("equal_steps"):
            values = {name: short(value, 2 if name == "apart" else 4) for name, value in remark.values.items()}
            blocks.append(Words(messages.sentence("step.remark." + remark.key, lang, **values)))
    return blocks


def _what(step: Step, lang: str) -> str:
    return messages.sentence(f"step.solver.{step.solver}", lang)


def _update(update: Update, room: int, lang: str) -> list[Block]:
    """A parameter's equations, the name before the first."""
    lines: list[Block] = []
    for k, one in enumerate(update.equations):
        label = left(update.parameter if k == 0 else "", room)
        lines.append(Line(f"{label}{arithmetic(one, lang)}", hang=3 + room + 4))
    return lines


def arithmetic(one: Equation, lang: str) -> str:
    """ "v = 0.99·0 + 0.01·(−45.0182)² = 20.2664", and its note."""
    right, value = filled(one), short(one.value)
    text = f"{one.symbol} = {right}" + ("" if right == value else f" = {value}")
    return text if one.note is None else f"{text}   ({messages.sentence('step.note.' + one.note, lang)})"


def _attempt(step: Step, found: Attempt, shown: Sequence[int], level: str, lang: str) -> list[Block]:
    """Levenberg–Marquardt: the system, its solution, and how the result was judged."""
    if level == "rules":
        return [Line(messages.sentence("step.attempt.rule." + rule, lang)) for rule in ATTEMPT_RULES]
    blocks: list[Block] = []
    free = step.free
    if len(free) <= MATRIX:
        blocks.append(_jacobian(step, shown, lang))
        blocks += _system(step, found)
    else:
        blocks.append(Line(f"damping = {short(found.damping)}"))
        blocks.append(Words(messages.sentence("step.attempt.unseen", lang, p=len(free))))
    pieces = [f"{name} {short(value)}" for name, value in list(zip(free, found.step.tolist(), strict=True))]
    blocks += [Line(f"δ = {line}" if k == 0 else line) for k, line in enumerate(flow(pieces[:MOST_PARAMS], 70))]
    if found.stretch is None and not step.subject.solution.bounds and found.step.all():
        at = np.array([step.before[name] for name in free])
        combined = found.damping == 0.0 and (np.abs(found.step) > ROUNDING * np.abs(at)).any()
        blocks.append(Words(messages.sentence(f"step.attempt.{'combined' if combined else 'rounding'}", lang)))
    elif found.stretch is None:
        blocks.append(Words(messages.sentence("step.attempt.bounded", lang)))
    elif found.stretch != 1.0:
        blocks.append(Words(messages.sentence("step.attempt.stretched", lang, factor=short(found.stretch))))
    return [*blocks, *_judged(step, found, lang)]


ATTEMPT_RULES = ("system", "shares", "ratio", "damping")


def _jacobian(step: Step, shown: Sequence[int], lang: str) -> Table:
    """∂ŷ/∂p and r = y − ŷ in the rows that are shown."""
    subject = step.subject
    places = np.array(shown) - 1
    if subject.graph is None:  # a model of torch: rows may depend on each other, so all are computed
        problem = subject.problem()
        values = np.array([step.before[name] for name in problem.names])
        table = problem.kernel.evaluate(problem.columns, values, problem.n, want=True)[:, places]
        f, slopes = table[0], [*table[1:][problem.free]]
    else:
        columns = {name: subject.columns[name][places] for name in subject.graph.columns} or {"": subject.y[places]}
        slopes = [*evaluate(curvature.slopes(subject.graph, step.free), columns, step.before)]
        (f,) = evaluate(subject.graph, columns, step.before)
    r = subject.y[places] - f
    titles = ("i", *(f"∂ŷ/∂{name}" for name in step.free), "r = y − ŷ")
    rows = tuple(
        (str(row), *(short(float(one[k])) for one in slopes), short(float(r[k]))) for k, row in enumerate(shown)
    )
    return Table(titles, rows, (), skipped(step.n, shown, lang))


def _system(step: Step, found: Attempt) -> list[Block]:
    """JᵀJ, D² and Jᵀr as a small table."""
    free = step.free
    w = "w·" if step.weighted else ""
    titles = ("", *(f"JᵀJ {name}" for name in free), "D²", "Jᵀr")
    rows = tuple(
        (
            name,
            *(short(float(one)) for one in found.normal[k]),
            short(float(found.scale[k] ** 2)),
            short(float(found.moment[k])),
        )
        for k, name in enumerate(free)
    )
    rule = f"JᵀJ = Σ {w}∂ŷ·∂ŷ   Jᵀr = Σ {w}∂ŷ·r   (JᵀJ + damping·D²)·δ = Jᵀr"
    return [Line(rule), Table(titles, rows), Line(f"damping = {short(found.damping)}")]


def _judged(step: Step, found: Attempt, lang: str) -> list[Block]:
    """What the straight-line model promised, what came, and what follows for the damping."""
    say = partial(messages.sentence, lang=lang)
    lines: list[Block] = [
        Line(f"{say('step.attempt.promised')}   2·δᵀ·Jᵀr − δᵀ·JᵀJ·δ = {short(found.promised)}"),
        Line(f"{say('step.attempt.came')}   {_fallen(step, found)}"),
        Line(f"ratio = {short(found.came)} / {short(found.promised)} = {short(found.ratio)}"),
    ]
    if found.damping == 0.0:
        key = "polish.refused"
        if found.accepted:
            key = "polish" if _vanished(step, found) else "polish.forced"
        return [*lines, Words(say("step.attempt." + key))]
    lines.append(Line(say("step.attempt." + ("accepted" if found.accepted else "refused"))))
    damping = _damping(found)
    return [*lines, Line(damping)] if damping else lines


def _vanished(step: Step, found: Attempt) -> bool:
    """Whether the gradient, or all of the residuals, are what rounding leaves: MINPACK's cosine, and the rss."""
    squares, weights = step.subject.y**2, step.subject.weights
    rss, size = step.loss * step.n, float((squares if weights is None else weights * squares).sum())
    if rss <= PERFECT**2 * size:
        return True
    lengths = np.sqrt(np.diag(found.normal) * rss)
    return bool((np.abs(found.moment) <= VANISHED * lengths).all())


def _fallen(step: Step, found: Attempt) -> str:
    """How far Σ s fell: the difference of both sums, or itself alone where six digits of them do not show it."""
    s, before = step.tape.nodes[step.tape.square].name, step.loss * step.n
    after = before - found.came
    if abs(found.came) < SHOWN * abs(before):
        return f"Σ {s} − Σ {s}' = {short(found.came)}   (Σ {s} = {short(before)})"
    return f"Σ {s} − Σ {s}' = {short(before)} − {_signed(after)} = {short(found.came)}"


def _damping(found: Attempt) -> str:
    """How the next damping follows, where it does."""
    now, then = found.damping, found.next_damping
    if then is None or then == 0.0:
        return ""
    if found.accepted:
        due = now * max(1.0 / 3.0, 1.0 - (2.0 * found.ratio - 1.0) ** 3)
        rule = f"{short(now)}·max(1/3, 1 − (2·{_signed(found.ratio)} − 1)³)"
    else:
        due, rule = now * found.growth, f"{short(now)}·{short(found.growth)}"
    if abs(due - then) > 1e-6 * abs(then):
        return f"damping → {short(then)}"
    return f"damping = {rule} = {short(then)}"


def _signed(value: float) -> str:
    text = short(value)
    return f"({text})" if text.startswith("−") else text


def new_values(step: Step, level: str, lang: str) -> list[Block]:
    """Part 4: a: 0.5 → 0.51."""
    title = messages.sentence("step.new", lang)
    if step.attempt is not None and not step.attempt.accepted:
        return [Head("4", title), Words(messages.sentence("step.stays", lang, values=_values(step)))]
    if level == "rules":
        kept = any(one.symbol.startswith("kept") for update in step.updates for one in update.equations)
        what = "p ← p + δ" if step.attempt is not None else f"p ← {'kept' if kept else 'p'} − step"
        return [Head("4", title), Line(what)]
    said = [f"{name}: {plainly(step.before[name])} → {plainly(step.after[name])}" for name in step.free[:MOST_PARAMS]]
    if len(step.free) > MOST_PARAMS:
        said.append(messages.sentence("step.more_params", lang, count=len(step.free) - MOST_PARAMS))
    first = f"4  {title}     "
    lines = flow(said, 80 - 5, gap=6)
    if len(lines) == 1 and width(first + lines[0]) <= 80:
        return [Head("4", f"{title}     {lines[0]}")]
    return [Head("4", title), *(Line(one) for one in lines)]


def _values(step: Step) -> str:
    return "   ".join(f"{name} = {plainly(step.before[name])}" for name in step.free[:MOST_PARAMS])

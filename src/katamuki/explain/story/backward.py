"""The second part of a step's story: from the loss back to the parameters, one rule per node."""

from __future__ import annotations

from collections.abc import Sequence

from katamuki import messages
from katamuki.explain.graph.sketch import adjoint_name
from katamuki.explain.graph.tape import Flow, Tape
from katamuki.explain.step.record import Step
from katamuki.explain.story import torch_lines
from katamuki.explain.story.blocks import COLUMNS, INDENT, Block, Head, Line, Rules, Table, Words, flow
from katamuki.explain.story.forward import MOST_PARAMS, skipped
from katamuki.explain.story.notation import LOWERED, short, written
from katamuki.report.numbers import brief

Row = tuple[str, str, tuple[str, ...], str]
EXACT = 1.1e-16


class _Walk:
    """The backward sweep as lines: letters and, unless rules alone are wanted, the numbers of one row."""

    def __init__(self, step: Step, tape: Tape, row: int, rules: bool, lang: str) -> None:
        self.tape = tape
        self.row = row
        self.rules = rules
        self.lang = lang
        self.n = "n" if rules else str(step.n)
        self.step = step
        self.weight = "" if tape.weight is None else tape.nodes[tape.weight].name
        self.apart: list[int] = []  # flows whose sums have no short form: their rows stand in a table
        self.uses: dict[int, int] = {}
        for one in tape.flows:
            self.uses[one.target] = max(self.uses.get(one.target, 0), one.part)

    def lines(self) -> list[Row]:
        """All lines, from the loss to the parameters."""
        tape = self.tape
        names = [node.name for node in tape.nodes]
        e, s, y_hat = names[tape.error], names[tape.square], names[tape.prediction]
        rows = [self._row("mean", s, (f"1/{self.n}",), tape.back(tape.square, self.row))]
        twice = f"2{e}" if not self.weight else f"2{self.weight}·{e}"
        factor = 2.0 * tape.number(tape.error, self.row)
        if tape.weight is not None:
            factor *= tape.number(tape.weight, self.row)
        numbers = f"{short(tape.back(tape.square, self.row))} · {short(factor)}"
        rule = (f"{adjoint_name(s)} · {twice}", numbers)
        rows.append(self._row("square", e, rule, tape.back(tape.error, self.row)))
        if tape.nodes[tape.prediction].shared:
            if tape.nodes[tape.prediction].adjoint is not None:
                rows.append(self._shared_prediction(e, y_hat))
        else:
            rows.append(self._row("minus", y_hat, (f"{adjoint_name(e)} · 1",), tape.back(tape.prediction, self.row)))
        before = -1
        for place, one in enumerate(tape.flows):
            op = tape.nodes[one.source].op if one.source != before else ""
            before = one.source
            rows.append(self._flow(place, one, op))
            if one.part and one.part == self.uses[one.target]:
                rows.append(self._gathered(one.target))
        reached = {node.name for node in tape.nodes if node.op == "parameter" and node.adjoint is not None}
        rows += [("", adjoint_name(name), ("0",), "") for name in self.step.free if name not in reached]
        return rows

    def _row(self, op: str, name: str, terms: tuple[str, ...], value: float) -> Row:
        if self.rules:
            return self._word(op), adjoint_name(name), terms[:1], ""
        return self._word(op), adjoint_name(name), terms, short(value)

    def _word(self, op: str) -> str:
        return messages.sentence("step.op." + op, self.lang) if op else ""

    def _shared_prediction(self, e: str, y_hat: str) -> Row:
        total = self.tape.back(self.tape.prediction, self.row)
        return self._row("minus", y_hat, (f"Σ {adjoint_name(e)}", *self._short_sum(None, 1, total)), total)

    def _flow(self, place: int, one: Flow, op: str) -> Row:
        """One use of a node: what it sends back."""
        tape = self.tape
        target, source = tape.nodes[one.target], tape.nodes[one.source]
        name = target.name + (str(one.part).translate(LOWERED) if one.part else "")
        plain = len(one.rule.nodes) == 1 and one.rule.nodes[0].op == "parameter"
        rule = written(one.rule, spaced=True)
        if target.shared and not source.shared:
            text = f"Σ {rule}" if not _loose(rule) else f"Σ ({rule})"
            total = one.total if one.part else as_run(self.step, target.name, one.total)
            short_form = self._short_sum(one.factor, one.sign, total) if one.sign else ()
            if not short_form:
                self.apart.append(place)
            if self.rules:
                word = self._word(op)
                return word, adjoint_name(name), (text, *short_form[:1]), ""
            return self._row(op, name, (text, *short_form), total)
        value = tape.carried(one, self.row)
        if target.op == "parameter" and not one.part:
            value = as_run(self.step, target.name, value)
        if plain:
            return self._row(op, name, (f"{rule} · 1",), value)
        numbers = written(one.rule, self._number, spaced=True)
        return self._row(op, name, (rule, numbers), value)

    def _short_sum(self, factor: str | None, sign: int, total: float) -> tuple[str, ...]:
        """2/n · Σ e·x, in letters and with the sum as a number: 2/11 · −247.6."""
        e = self.tape.nodes[self.tape.error].name
        inside = "·".join(one for one in (self.weight, e, factor) if one)
        head = f"{'−' if sign < 0 else ''}2/{self.n}"
        inner = total * self.tape.n / 2.0 * sign
        return f"{head} · Σ {inside}", f"{head} · {short(inner)}"

    def _number(self, name: str) -> str:
        """A node's number, or its gradient's, in the chosen row."""
        tape = self.tape
        mark = adjoint_name("")
        if name.startswith(mark):
            return short(tape.back(tape.place(name.removeprefix(mark)), self.row))
        return short(tape.number(tape.place(name), self.row))

    def _gathered(self, target: int) -> Row:
        """What several uses of a node send back, added up."""
        tape = self.tape
        name = tape.nodes[target].name
        parts = [one for one in tape.flows if one.target == target]
        letters = " + ".join(adjoint_name(name) + str(one.part).translate(LOWERED) for one in parts)
        numbers = " + ".join(short(tape.share(one, self.row)) for one in parts)
        return self._row("", name, (letters, numbers), as_run(self.step, name, tape.back(target, self.row)))


def as_run(step: Step, name: str, total: float) -> float:
    """The sum over the rows as the run had it, where the two differ by rounding alone."""
    found = step.gradient.get(name)
    if found is None or step.differences is None:
        return total
    return found if abs(found - total) <= step.differences.rounding[name] else total


def _loose(rule: str) -> bool:
    return " + " in rule or " − " in rule or " if " in rule


def backward(step: Step, tape: Tape, row: int, shown: Sequence[int], level: str, lang: str) -> list[Block]:
    """Part 2: the walk back, the sums that need a table, the check by differences, what earlier steps left."""
    rules = level == "rules"
    place = "step.row" if step.batch is None else "step.row.batch"  # in a batch as the tables' i
    beside = "" if rules else f"({messages.sentence(place, lang, row=row)})"
    blocks: list[Block] = [Head("2", messages.sentence("step.backward", lang), beside, torch_lines.BACKWARD)]
    walk = _Walk(step, tape, row, rules, lang)
    if step.subject.graph is None:
        blocks.append(Line(messages.sentence("step.model_gradient", lang)))
        said = [f"∂L/∂{name} = {short(value)}" for name, value in list(step.gradient.items())[:MOST_PARAMS]]
        if len(step.gradient) > MOST_PARAMS:
            said.append(messages.sentence("step.more_params", lang, count=len(step.gradient) - MOST_PARAMS))
        return [*blocks, *(Line(one) for one in flow(said, COLUMNS - INDENT)), *left_over(step, lang)]
    rows = walk.lines()
    blocks.append(Rules(tuple(rows)))
    if rules:
        return blocks
    if walk.apart:
        blocks.append(Line(messages.sentence("step.sums", lang, rows=step.n)))
        blocks.append(_sums_table(step, tape, walk.apart, shown, lang))
    if step.differences is not None:
        blocks += [Line(one) for one in flow(_checked(step, lang), COLUMNS - INDENT)]
        if step.differences.kink:
            blocks.append(Words(messages.sentence("step.kink", lang)))
    blocks += _other_sums(step, tape, lang)
    return [*blocks, *left_over(step, lang)]


def _other_sums(step: Step, tape: Tape, lang: str) -> list[Block]:
    """Gradients of which the rows give other digits than the run had: by rounding, or by more."""
    rounded: list[str] = []
    others: list[str] = []
    for name in step.free[:MOST_PARAMS]:
        found, total = step.gradient[name], tape.gradient(name)
        if short(found) != short(total):
            (rounded if as_run(step, name, total) == found else others).append(name)
    blocks: list[Block] = []
    if rounded:
        names = messages.Listing([adjoint_name(name) for name in rounded])
        blocks.append(Words(messages.sentence("step.rounded", lang, names=names)))
    said = [f"{adjoint_name(name)} = {short(step.gradient[name])}" for name in others]
    return [*blocks, *([Words(messages.sentence("step.in_run", lang, values="   ".join(said)))] if said else [])]


def _checked(step: Step, lang: str) -> list[str]:
    """The gradient by differences, and how far it agrees."""
    found = step.differences
    assert found is not None  # by the caller
    if found.apart is None:
        return [messages.sentence("step.unchecked", lang)]
    said = ", ".join(short(value) for value in list(found.values.values())[:MOST_PARAMS])
    agree = messages.sentence("step.agree", lang, apart=brief(max(found.apart, EXACT)))
    return [messages.sentence("step.checked", lang, values=said), agree]


def _sums_table(step: Step, tape: Tape, places: Sequence[int], shown: Sequence[int], lang: str) -> Table:
    """The gradients of all nodes in every row, then the summands of the sums that have no short form."""
    needed = sorted({k for place in places for k in _trail(tape, tape.flows[place].source)}, reverse=True)
    columns = {adjoint_name(tape.nodes[k].name): [short(tape.back(k, row)) for row in shown] for k in needed}
    foot: dict[str, str] = {}
    for place in places:
        one = tape.flows[place]
        title = written(one.rule)
        columns.setdefault(title, [short(tape.carried(one, row)) for row in shown])
        foot[title] = f"Σ {short(one.total)}"
    titles = list(columns)
    rows = tuple((str(row), *(columns[title][k] for title in titles)) for k, row in enumerate(shown))
    at_foot = tuple((1 + titles.index(title), text) for title, text in foot.items())
    return Table(("i", *titles), rows, at_foot, skipped(step.n, shown, lang))


def _trail(tape: Tape, k: int) -> set[int]:
    """The nodes whose gradients lead from ŷ to this one; those that only repeat another's are left out."""
    waiting, found = [k], {k, tape.prediction}
    while waiting:
        here = waiting.pop()
        for one in tape.flows:
            if one.target == here and one.source not in found:
                found.add(one.source)
                waiting.append(one.source)
    return {k, *(one for one in found if not _repeated(tape, one))}


def _repeated(tape: Tape, k: int) -> bool:
    """Whether a node's gradient is just that of its only user."""
    uses = [one for one in tape.flows if one.target == k]
    return len(uses) == 1 and len(uses[0].rule.nodes) == 1


def left_over(step: Step, lang: str) -> list[Block]:
    """Where gradients are not set to zero: what earlier steps left, and this step's."""
    if step.left is None or step.number == 1:
        return []
    key = "step.left.one" if step.number == 2 else "step.left.many"
    old = messages.sentence(key, lang, last=step.number - 1)
    new = messages.sentence("step.left.new", lang)
    lines: list[Block] = [Line(messages.sentence("step.left", lang))]
    for name in step.free[:MOST_PARAMS]:
        left, fresh = step.left[name], step.gradient[name]
        text = f"{name}.grad = {short(left)} ({old}) + {short(fresh)} ({new}) = {short(left + fresh)}"
        lines.append(Line(text))
    return lines

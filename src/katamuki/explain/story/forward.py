"""The first part of a step's story: the numbers go in, row by row, and the loss comes out."""

from __future__ import annotations

from collections.abc import Sequence

from katamuki import messages
from katamuki.explain.graph.tape import Tape, TapeNode
from katamuki.explain.step.record import Step
from katamuki.explain.story import torch_lines
from katamuki.explain.story.blocks import Block, Head, Line, Table
from katamuki.explain.story.figures import plainly
from katamuki.explain.story.notation import short, written
from katamuki.report.numbers import grouped

ALL_ROWS = 20  # up to so many rows a table shows each
FIRST_ROWS = 10  # of more rows
MOST_PARAMS = 12  # parameters that are told one by one


def forward(step: Step, tape: Tape, shown: Sequence[int], level: str, lang: str) -> list[Block]:
    """Part 1: the parameters, a table of every node in every row, the loss."""
    beside = "" if level == "rules" else parameters(step, lang)
    code = torch_lines.forward(step.subject.graph, step.weighted)
    blocks: list[Block] = [Head("1", _say("forward", lang), beside, code)]
    if level == "rules":
        blocks += [Line(f"{node.name} = {rule_of(tape, node)}") for node in tape.nodes if rule_of(tape, node)]
        loss = _loss_rule(tape)
        return [*blocks, Line(f"{loss} = Σ {tape.nodes[tape.square].name} / n", torch_lines.loss(step.weighted))]
    for node in tape.nodes:
        if node.shared and node.rule is not None:
            numbers = written(node.rule, lambda name: short(tape.number(tape.place(name), tape.rows[0])))
            same = _say("same", lang)
            blocks.append(Line(_chain(node.name, written(node.rule), numbers, short(float(node.value))) + f"   {same}"))
    blocks.append(values_table(step, tape, shown, lang))
    total = tape.sums[tape.nodes[tape.square].name]
    text = f"{_loss_rule(tape)} = {short(total)} / {tape.n} = {plainly(step.loss)}"
    return [*blocks, Line(text, torch_lines.loss(step.weighted))]


def parameters(step: Step, lang: str) -> str:
    """The parameters before the step: "a = 0.5   b = 0.5"."""
    said = [f"{name} = {plainly(value)}" for name, value in list(step.before.items())[:MOST_PARAMS]]
    left = len(step.before) - len(said)
    return "   ".join([*said, *([_say("more_params", lang, count=left)] if left else [])])


def rule_of(tape: Tape, node: TapeNode) -> str:
    """A node's rule in letters: "a·x"; empty for leaves and the loss."""
    names = tape.nodes
    if node.op == "error":
        return f"{names[node.args[0]].name} − {_bracketed(names[node.args[1]].name)}"
    if node.op == "square":
        e = names[node.args[0]].name
        return f"{e}²" if len(node.args) == 1 else f"{names[node.args[1]].name}·{e}²"
    return "" if node.rule is None else written(node.rule)


def _bracketed(name: str) -> str:
    return f"({name})" if " " in name and not name.endswith(")") and not name.startswith("`") else name


def _loss_rule(tape: Tape) -> str:
    return f"{tape.nodes[tape.loss].name} = mean({tape.nodes[tape.square].name})"


def _chain(*parts: str) -> str:
    """Parts with equal signs between, one that says the same as the one before it left out."""
    said = [parts[0]]
    for one in parts[1:]:
        if one != said[-1]:
            said.append(one)
    return " = ".join(said)


def values_table(step: Step, tape: Tape, shown: Sequence[int], lang: str) -> Table:
    """Every node that differs between rows, in every row that is shown; sums over all rows at the foot."""
    varying = [k for k, node in enumerate(tape.nodes) if not node.shared and node.op != "constant"]
    leaves = [k for k in varying if tape.nodes[k].op == "column"]
    others = [k for k in varying if tape.nodes[k].op != "column"]
    order = [*leaves, *others]
    titles = [_title(tape, tape.nodes[k]) for k in order]
    rows = [(str(row), *(short(tape.number(k, row)) for k in order)) for row in shown]
    if step.batch is not None:  # where each row stands in the data
        word = _say("batch.row", lang)
        titles = [f"#{word}" if word in titles else word, *titles]
        rows = [(first, grouped(step.batch.rows[int(first) - 1]), *rest) for first, *rest in rows]
        order = [-1, *order]
    foot = []
    for k in (tape.error, tape.square):
        name = tape.nodes[k].name
        if k == tape.square or tape.weight is None:
            foot.append((1 + order.index(k), f"Σ {name} = {short(tape.sums[name])}"))
    names = {node.name for node in tape.nodes}
    return Table(("i" if "i" not in names else "#", *titles), tuple(rows), tuple(foot), skipped(step.n, shown, lang))


def _title(tape: Tape, node: TapeNode) -> str:
    rule = rule_of(tape, node)
    return f"{node.name} = {rule}" if rule else node.name


def skipped(n: int, shown: Sequence[int], lang: str) -> tuple[int, str] | None:
    """Where a table leaves rows out, and what says how many."""
    if len(shown) == n:
        return None
    place = next((k for k, row in enumerate(shown) if row != k + 1), len(shown))
    return place, _say("more_rows", lang, count=n - len(shown), rows=n)


def _say(key: str, lang: str, **values: object) -> str:
    return messages.sentence("step." + key, lang, **values)

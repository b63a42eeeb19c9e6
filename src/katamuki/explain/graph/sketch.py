"""The structure of a formula and its loss, without numbers: what every node is called, and who sends what back to whom.

Intermediate results get single letters, none of which means anything else in the story. The rules are the pullbacks of
:mod:`katamuki.ops`, applied to names, so that one rule is printed in letters, printed in numbers, and evaluated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from katamuki.graph import LEAVES, Builder, Graph, depends, name_text, number
from katamuki.ops import TABLE

LETTERS = "mpquhkzcdfjo"
PREDICTION = "ŷ"  # U+0177, one code point


@dataclass(frozen=True, slots=True)
class Way:
    """How a gradient goes from a node back to one of its arguments (places among the formula's nodes).

    ``rule`` names nodes and "∂L/∂source". ``sign`` is ±1 where what arrives is ±∂L/∂ŷ times ``factor`` (a name, or None
    for 1) and nothing else; 0 otherwise. ``decided``: a condition on the way may turn it off, and then it is 0 even
    where the operation's derivative is not finite. ``part`` counts the uses of the target: 0 where there is only one.
    """

    source: int
    target: int
    rule: Graph
    sign: int
    factor: str | None
    decided: bool
    part: int


class Sketch:
    """Names, rules and ways of a formula's nodes.

    Parameters
    ----------
    graph : Graph
        The right side.
    response : str
        The text of the left side.
    free : names
        The parameters that are fitted: no gradient flows to others.
    taken : names
        Letters that the solver's part of the story uses.

    Example
    -------
    >>> b = Builder()
    >>> product = b("mul", b.leaf("parameter", "a"), b.leaf("column", "x"))
    >>> sketch = Sketch(b.graph([b("add", product, b.leaf("parameter", "c"))]), "y", ["a", "c"], ())
    >>> sketch.names, [(one.source, one.target, one.sign, one.factor) for one in sketch.ways]
    (['a', 'x', 'm', 'c', 'ŷ'], [(4, 2, 1, None), (4, 3, 1, None), (2, 0, 1, 'x')])
    """

    def __init__(self, graph: Graph, response: str, free: Collection[str], taken: Collection[str]) -> None:
        self.graph = graph
        self.response = response
        self.out = graph.outputs[0]
        leaves = {k: _leaf_name(graph, k) for k, node in enumerate(graph.nodes) if node.op in LEAVES}
        used = {*leaves.values(), *taken, response}
        self.error, self.square, self.loss, self.weight = (
            _unused(choices, used) for choices in (("e", "d"), ("s", "sq"), ("L", "loss"), ("w", "wt"))
        )
        used |= {self.error, self.square, self.loss, self.weight, "n", "i"}
        rest = _letters(used)
        self.names = [
            leaves[k] if k in leaves else PREDICTION if k == self.out else next(rest) for k in range(len(graph.nodes))
        ]
        self.varying = depends(graph, columns=graph.columns)
        self.moving = depends(graph, parameters=free)
        self.rules = [None if node.op in LEAVES else self._rule(k) for k, node in enumerate(graph.nodes)]
        self.ways = self._ways()

    def _rule(self, k: int) -> Graph:
        """A node's operation on the names of its arguments."""
        b = Builder()
        return b.graph([b(self.graph.nodes[k].op, *(self._leaf(b, a) for a in self.graph.nodes[k].args))])

    def _leaf(self, b: Builder, k: int) -> int:
        node = self.graph.nodes[k]
        if node.op == "constant":
            return b.leaf("constant", float(node.value))  # type: ignore[arg-type]
        return b.leaf("parameter", self.names[k])

    def _ways(self) -> list[Way]:
        """From the prediction back to the parameters."""
        steps = list(self._steps())
        uses = Counter(target for _, target, *_ in steps)
        seen: Counter[int] = Counter()
        signs = {self.out: 1}
        found = []
        for source, target, place, rule, decided in steps:
            seen[target] += 1
            sign, factor = self._plain(source, place, signs.get(source, 0), decided)
            if uses[target] == 1 and factor is None:
                signs[target] = sign
            part = seen[target] if uses[target] > 1 else 0
            found.append(Way(source, target, rule, sign, factor, decided, part))
        return found

    def _steps(self) -> Iterator[tuple[int, int, int, Graph, bool]]:
        """Every use that a gradient passes: source, target, which argument, the rule, whether a condition decides."""
        reached, conditional = {self.out}, set()
        for k in range(self.out, -1, -1):
            node = self.graph.nodes[k]
            if k not in reached or k not in self.moving or node.op in LEAVES:
                continue
            op = TABLE[node.op]
            guards = op.guards or (None,) * op.arity
            for place, (target, rule, guard) in enumerate(zip(node.args, op.pullback, guards, strict=True)):
                if rule is None or target not in self.moving:
                    continue
                b = Builder(simplify=True)
                args = tuple(self._leaf(b, a) for a in node.args)
                here = b.leaf("parameter", self.names[k])
                flow = rule(b, args, here, b.leaf("parameter", adjoint_name(self.names[k])))
                decided = guard is not None or k in conditional
                if guard is not None:
                    flow = b("where", guard(b, args), flow, 0.0)
                reached.add(target)
                if decided:
                    conditional.add(target)
                yield k, target, place, b.graph([flow]), decided

    def _plain(self, source: int, place: int, sign: int, decided: bool) -> tuple[int, str | None]:
        """The sign and the factor of what arrives where it is ±∂L/∂ŷ times one name or 1."""
        node = self.graph.nodes[source]
        if decided or node.op not in {"add", "sub", "neg", "mul"}:
            return 0, None
        if node.op == "mul":
            other = node.args[1 - place]
            return (sign, self.names[other]) if other in self.varying else (0, None)
        return (-sign if node.op == "neg" or (node.op == "sub" and place == 1) else sign), None


@lru_cache(maxsize=64)
def sketch_of(graph: Graph, response: str, free: tuple[str, ...], taken: frozenset[str]) -> Sketch:
    """The sketch of a formula, kept: every step of a run has the same."""
    return Sketch(graph, response, free, taken)


def adjoint_name(name: str) -> str:
    """How the gradient of a node is called."""
    return f"∂L/∂{name}"


def _leaf_name(graph: Graph, k: int) -> str:
    value = graph.nodes[k].value
    return number(value) if isinstance(value, float) else name_text(str(value))


def _unused(choices: Sequence[str], used: Collection[str]) -> str:
    """The first name that nothing else has."""
    numbered = (f"{choices[0]}{k}" for k in range(1, len(used) + 2))
    return next(one for one in (*choices, *numbered) if one not in used)


def _letters(used: Collection[str]) -> Iterator[str]:
    """Single letters that nothing is called by, then m1, m2, …"""
    yield from (one for one in LETTERS if one not in used)
    k = 1
    while True:
        if f"m{k}" not in used:
            yield f"m{k}"
        k += 1

"""A formula as a graph of operations, its derivative as another graph, and questions about both.

Nodes are immutable, in topological order and structurally shared: equal parts are one node. Nothing is recursive. The
derivative is one reverse sweep over one row of data (Griewank & Walther 2008, chapter 3; Baydin et al. 2018), built
from the rules of :mod:`katamuki.ops`; a branch that is not taken adds nothing, not even NaN. It simplifies only what
is exact for every number (·1, +0 of missing terms, constants): never 0·x.
"""

from __future__ import annotations

import keyword
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from katamuki.ops import ATOM, CHOICE, COMPARISON, INTEGER_POWERS, POWER, PRODUCT, SIGN, SUM, TABLE, Operand

Span = tuple[int, int]
LEAVES = ("column", "parameter", "constant")
RESERVED = {"pi": float(np.pi)}


@dataclass(frozen=True, slots=True)
class Node:
    """A leaf ("column", "parameter", "constant") or a row of ``ops.TABLE``; ``span`` is its place in the text."""

    op: str
    args: tuple[int, ...] = ()
    value: float | str | None = None
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in topological order; ``columns`` and ``parameters`` in order of first appearance."""

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    columns: tuple[str, ...]
    parameters: tuple[str, ...]


class NotFinite(ArithmeticError):  # noqa: N818  what it says, not an error shown to users
    """A part made of constants only has no finite value; ``args`` are the operation, its constants and the span."""


class Builder:
    """Makes nodes, each once; folds constants in float64.

    Parameters
    ----------
    nodes : sequence of Node
        What is there already.
    simplify : bool
        For derivatives: leave out multiplications by 1 and the like. Otherwise what was typed stays, and a constant
        part without a finite value raises ``NotFinite``.
    """

    def __init__(self, nodes: Sequence[Node] = (), *, simplify: bool = False) -> None:
        self.nodes = list(nodes)
        self.simplify = simplify
        self._known = {_key(node.op, node.args, node.value): k for k, node in enumerate(self.nodes)}

    def leaf(self, op: str, value: float | str, span: Span | None = None) -> int:
        """A column, parameter or constant."""
        return self._intern(op, (), value, span)

    def __call__(self, op: str, *operands: Operand, span: Span | None = None) -> int:
        """The node of an operation; a float among the operands becomes a constant."""
        args = tuple(self.leaf("constant", one) if isinstance(one, float) else int(one) for one in operands)
        numbers = [self.constant(one) for one in args]
        if None not in numbers:
            folded = self._fold(op, numbers, span)  # type: ignore[arg-type]
            if folded is not None:
                return folded
        if op == "pow" and numbers[1] is not None:
            exponent = numbers[1]
            if exponent == 0.5:
                op, args = "sqrt", args[:1]
            elif exponent == int(exponent) and abs(exponent) <= INTEGER_POWERS:
                op = "powi"
        if self.simplify:
            same = self._same(op, args, numbers)
            if same is not None:
                return same
        return self._intern(op, args, None, span)

    def constant(self, k: int) -> float | None:
        """The value of a constant node; ``None`` for others."""
        node = self.nodes[k]
        return node.value if node.op == "constant" else None  # type: ignore[return-value]

    def graph(self, outputs: Iterable[int], names: Graph | None = None) -> Graph:
        """The nodes that the outputs need; columns and parameters as in ``names``, by default those that occur."""
        outputs = tuple(outputs)
        wanted = needed(self.nodes, outputs)
        place = {k: i for i, k in enumerate(wanted)}
        nodes = [self.nodes[k] for k in wanted]
        moved = tuple(Node(one.op, tuple(place[a] for a in one.args), one.value, one.span) for one in nodes)
        columns = tuple(str(one.value) for one in moved if one.op == "column")
        parameters = tuple(str(one.value) for one in moved if one.op == "parameter")
        if names is not None:
            columns, parameters = names.columns, names.parameters
        return Graph(moved, tuple(place[k] for k in outputs), columns, parameters)

    def _intern(self, op: str, args: tuple[int, ...], value: float | str | None, span: Span | None) -> int:
        key = _key(op, args, value)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = len(self.nodes)
            self.nodes.append(Node(op, args, value, span))
        return known

    def _fold(self, op: str, numbers: list[float], span: Span | None) -> int | None:
        with np.errstate(all="ignore"):
            value = float(TABLE[op].value(*(np.float64(one) for one in numbers)))
        if np.isfinite(value):
            return self.leaf("constant", value, span)
        if not self.simplify:
            raise NotFinite(op, tuple(numbers), span)
        return None

    def _same(self, op: str, args: tuple[int, ...], numbers: list[float | None]) -> int | None:
        """An existing node with exactly the same value, whatever the numbers are."""
        if op == "mul":
            for one, other in ((0, 1), (1, 0)):
                if numbers[one] == 1.0:
                    return args[other]
                if numbers[one] == -1.0:
                    return self("neg", args[other])
        elif (op == "div" and numbers[1] == 1.0) or (op in {"add", "sub"} and numbers[1] == 0.0):
            return args[0]
        elif op == "add" and numbers[0] == 0.0:
            return args[1]
        elif op == "neg" and self.nodes[args[0]].op == "neg":
            return self.nodes[args[0]].args[0]
        elif op == "powi" and numbers[1] in {0.0, 1.0}:
            return args[0] if numbers[1] == 1.0 else self.leaf("constant", 1.0)
        elif op == "where" and numbers[0] is not None:
            return args[1] if numbers[0] != 0.0 else args[2]
        elif op == "ne" and numbers[1] == 0.0 and self.nodes[args[0]].op in COMPARISONS:
            return args[0]
        return None


COMPARISONS = frozenset(name for name, op in TABLE.items() if op.binding == COMPARISON)


def _key(op: str, args: tuple[int, ...], value: float | str | None) -> tuple[object, ...]:
    return (op, args, value.hex() if isinstance(value, float) else value)  # 0.0 and -0.0 are two constants


def needed(nodes: Sequence[Node], outputs: Collection[int]) -> list[int]:
    """The nodes that some outputs depend on, in order."""
    wanted = set(outputs)
    for k in range(max(wanted, default=-1), -1, -1):
        if k in wanted:
            wanted.update(nodes[k].args)
    return sorted(wanted)


def depends(graph: Graph, parameters: Collection[str] = (), columns: Collection[str] = ()) -> frozenset[int]:
    """The nodes that depend on any of these parameters or columns."""
    found: set[int] = set()
    for k, node in enumerate(graph.nodes):
        leaf = (node.op == "parameter" and node.value in parameters) or (node.op == "column" and node.value in columns)
        if leaf or any(argument in found for argument in node.args):
            found.add(k)
    return frozenset(found)


Adjoint = tuple[int, tuple[int, ...]]  # a node, and the conditions outside of which it is 0


def derivative(graph: Graph) -> Graph:
    """Value and all partial derivatives with respect to the parameters.

    ∂f/∂p for every parameter p, by one reverse sweep: the adjoint of a node is Σ over its uses of the use's adjoint
    times the operation's own derivative. Where a branch is not taken its adjoint is 0 by a condition, not by a product
    with 0: NaN and infinity of that branch do not reach the partial.

    Parameters
    ----------
    graph : Graph
        One row's value: its first output.

    Returns
    -------
    Graph
        Outputs: the value, then ∂/∂p in the order of ``graph.parameters``; nodes are shared among all.

    Source
    ------
    Griewank & Walther, Evaluating Derivatives, 2008, section 3.2.

    Example
    -------
    >>> b = Builder()
    >>> a, x = b.leaf("parameter", "a"), b.leaf("column", "x")
    >>> slope = derivative(b.graph([b("exp", b("mul", a, x))]))
    >>> [text(slope, k) for k in slope.outputs]
    ['exp(a*x)', 'exp(a*x)*x']
    """
    b = Builder(graph.nodes, simplify=True)
    moving = depends(graph, graph.parameters)
    uses = Counter(a for node in graph.nodes for a in node.args)
    adjoints: dict[int, Adjoint] = {graph.outputs[0]: (b.leaf("constant", 1.0), ())}
    for k in range(graph.outputs[0], -1, -1):
        node = graph.nodes[k]
        if k not in adjoints or k not in moving or node.op in LEAVES:
            continue
        upstream, active = adjoints[k]
        op = TABLE[node.op]
        guards = op.guards or (None,) * op.arity
        for argument, rule, guard in zip(node.args, op.pullback, guards, strict=True):
            if rule is None or argument not in moving:
                continue
            flow = rule(b, node.args, k, upstream)
            if b.constant(flow) == 0.0:
                continue
            conditions = active
            if guard is not None and (condition := guard(b, node.args)) not in active:
                conditions = (*active, condition)
            flows = [(argument, flow)]
            if node.op == "pow" and argument == node.args[0] and uses[argument] == 1:
                flows = _into_base(b, graph.nodes, k, upstream, flow)
            for target, one in flows:
                if target in moving:
                    new = (one, conditions)
                    adjoints[target] = _merged(b, adjoints[target], new) if target in adjoints else new
    outputs = [graph.outputs[0]]
    places = {node.value: k for k, node in enumerate(graph.nodes) if node.op == "parameter"}
    for name in graph.parameters:
        flow, active = adjoints.get(places.get(name, -1), (b.leaf("constant", 0.0), ()))
        outputs.append(_guarded(b, flow, active))
    return b.graph(outputs, graph)


def _into_base(b: Builder, nodes: Sequence[Node], k: int, upstream: int, flow: int) -> list[tuple[int, int]]:
    """The flows into the base of a power, node k, whose own flow is ``flow``: past a quotient or product of a column.

    (x/c)**p changes with c by −p·(x/c)**p/c, which is 0 at x = 0; through the base it would be ∞·0 there for p below 1.
    """
    base, power = nodes[k].args
    one = nodes[base]
    if one.op not in {"div", "mul"} or one.args[0] == one.args[1]:
        return [(base, flow)]
    whole = b("mul", upstream, b("mul", power, k))
    flows = []
    for place, target in enumerate(one.args):
        rule = TABLE[one.op].pullback[place]
        assert rule is not None
        through = rule(b, one.args, base, flow)
        if one.op == "div" and place == 1:
            through = b("neg", b("div", whole, target))
        elif one.op == "mul" and nodes[target].op == "parameter" and nodes[one.args[1 - place]].op != "parameter":
            through = b("where", b("eq", target, 0.0), through, b("div", whole, target))
        flows.append((target, through))
    return flows


def _merged(b: Builder, one: Adjoint, two: Adjoint) -> Adjoint:
    """The sum of two adjoints of a node, under the conditions that they share."""
    (p, where_p), (q, where_q) = one, two
    if where_p == where_q:
        return b("add", p, q), where_p
    same = 0
    while same < min(len(where_p), len(where_q)) and where_p[same] == where_q[same]:
        same += 1
    shared, rest_p, rest_q = where_p[:same], where_p[same:], where_q[same:]
    if len(rest_p) == len(rest_q) == 1:
        if rest_q[0] == b("eq", rest_p[0], 0.0):
            return b("where", rest_p[0], p, q), shared
        if rest_p[0] == b("eq", rest_q[0], 0.0):
            return b("where", rest_q[0], q, p), shared
    total = b("add", _guarded(b, p, rest_p), _guarded(b, q, rest_q))
    if not rest_p or not rest_q:
        return total, shared
    return total, (*shared, b("max", _all(b, rest_p), _all(b, rest_q)))


def _all(b: Builder, conditions: tuple[int, ...]) -> int:
    """1 where all conditions hold, else 0."""
    found = conditions[0]
    for one in conditions[1:]:
        found = b("mul", found, one)
    return found


def _guarded(b: Builder, flow: int, conditions: tuple[int, ...]) -> int:
    """The adjoint where all conditions hold, else 0."""
    return b("where", _all(b, conditions), flow, 0.0) if conditions else flow


def is_linear(graph: Graph, names: Collection[str]) -> bool:
    """Whether a formula is linear in some parameters together, seen from its structure.

    No partial derivative with respect to one of ``names`` depends on one of ``names``, and none of them decides a
    comparison or a sign.

    Example
    -------
    >>> b = Builder()
    >>> a, c = b.leaf("parameter", "a"), b.leaf("parameter", "c")
    >>> product = b.graph([b("mul", a, c)])
    >>> is_linear(product, ["a"]), is_linear(product, ["a", "c"])
    (True, False)
    """
    moving = depends(graph, names)
    for node in graph.nodes:
        if node.op not in LEAVES:
            rules = TABLE[node.op].pullback
            if any(rule is None and a in moving for rule, a in zip(rules, node.args, strict=True)):
                return False
    slopes = derivative(graph)
    moved = depends(slopes, names)
    return not any(
        out in moved for name, out in zip(graph.parameters, slopes.outputs[1:], strict=True) if name in names
    )


# How strongly each argument must bind to stand without brackets, so that reading the text gives the same graph.
NEEDS = {
    "add": (SUM, PRODUCT), "sub": (SUM, PRODUCT), "mul": (PRODUCT, SIGN), "div": (PRODUCT, SIGN), "neg": (SIGN,),
    "pow": (ATOM, SIGN), "powi": (ATOM, SIGN), "where": (COMPARISON, COMPARISON, CHOICE),
    **dict.fromkeys(COMPARISONS, (SUM, SUM)),
}  # fmt: skip
LONGEST = 10_000


def text(graph: Graph, k: int, limit: int = LONGEST) -> str:
    """A node as text of our own grammar: reading it again gives the same graph.

    Raises ``OverflowError`` where the text is longer than ``limit`` characters, as shared parts are written out.
    """
    return texts(graph.nodes, (k,), limit)[k]


def texts(nodes: Sequence[Node], outputs: Collection[int], limit: int = LONGEST) -> dict[int, str]:
    """The text of some nodes and of all that they depend on."""
    written: dict[int, str] = {}
    for k in needed(nodes, outputs):
        node = nodes[k]
        if node.op in LEAVES:
            written[k] = number(node.value) if isinstance(node.value, float) else name_text(str(node.value))
            continue
        needs = NEEDS.get(node.op, (CHOICE,) * len(node.args))
        parts = [
            written[a] if binding(nodes[a]) >= least else f"({written[a]})"
            for a, least in zip(node.args, needs, strict=True)
        ]
        written[k] = TABLE[node.op].sources["python"].format(*parts)
        if len(written[k]) > limit:
            raise OverflowError
    return written


def binding(node: Node) -> int:
    """How strongly a node's text binds."""
    if node.op == "constant":
        return SIGN if str(node.value).startswith("-") else ATOM
    return ATOM if node.op in LEAVES else TABLE[node.op].binding


def number(value: float) -> str:
    """A constant as text that reads back to the same bits, without a needless ".0"."""
    said = repr(value)
    return said[:-2] if said.endswith(".0") and said != "-0.0" else said


def name_text(name: str) -> str:
    """A name as it is written in a formula: in backticks where it is no identifier or means something else."""
    taken = keyword.iskeyword(name) or name in RESERVED or (name in TABLE and TABLE[name].callable)
    return name if name.isidentifier() and not taken else f"`{name}`"


assert POWER < ATOM  # the base of a power is bracketed unless it is a name, a number or a call

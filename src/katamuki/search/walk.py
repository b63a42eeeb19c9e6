"""From a parameter's leaf upwards: what it is multiplied by and added to, until an operation ends the walk.

On the way what is met is written ψ·g + h, with ψ a power or an exponential of the parameter and g, h free of it. Each
operation is one short function from such a state to further states, places where the walk ends, or both. A parameter
that meets itself on the way (b·exp(−b·x)) is followed on each way alone, as if the other were not there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from katamuki.graph import Builder, Graph, depends, needed

COMPARED = frozenset({"lt", "le", "gt", "ge", "eq", "ne", "min", "max"})
MOST_PATHS = 24  # ways up from one parameter that are looked at


class Place(NamedTuple):
    """ψ·g + h inside ``op``, with ψ = θ**power or exp(inner·θ): nodes; ``offset`` is None where nothing is added.

    ``op`` is an operation's name, ``base`` for the base of a power, ``output`` where the formula ends.
    """

    op: str
    power: int
    inner: int | None
    factor: int
    offset: int | None
    bare: bool = False  # an offset was left out on the way: what is meant where it is 0


class State(NamedTuple):
    """ψ·g + h at a node of the formula, on one way up; the fields are those of a place."""

    node: int
    power: int
    inner: int | None
    factor: int
    offset: int | None
    bare: bool = False

    def place(self, op: str) -> Place:
        """The walk ends here, inside ``op``."""
        return Place(op, self.power, self.inner, self.factor, self.offset, self.bare)

    def through(self, b: Builder, k: int, operation: str, *more: int) -> State:
        """At node k, where g and h alike went through an operation: a product, a quotient, a change of sign."""
        offset = None if self.offset is None else b(operation, self.offset, *more)
        return self._replace(node=k, factor=b(operation, self.factor, *more), offset=offset)

    def plus(self, b: Builder, k: int, term: int) -> State:
        """At node k, where a term was added."""
        return self._replace(node=k, offset=term if self.offset is None else b("add", self.offset, term))

    def raised(self, b: Builder, k: int, exponent: int, top: int | None = None) -> State:
        """At node k, where it is (ψ·g)**exponent, times ``top``; whatever was added is left out."""
        factor = b("pow", self.factor, exponent)
        return State(
            k,
            b("mul", self.power, exponent) if self.inner is None else self.power,
            None if self.inner is None else b("mul", self.inner, exponent),
            factor if top is None else b("mul", top, factor),
            None,
            self.bare or self.offset is not None,
        )


Way = State | Place


class Step(NamedTuple):
    """One step up, to node k: from where, as which argument, and beside which other one (None: it has none).

    ``alone`` says that the other one does not depend on the parameter.
    """

    b: Builder
    here: State
    k: int
    first: bool
    other: int | None
    alone: bool


def places(graph: Graph, users: dict[int, list[int]], b: Builder, name: str) -> Iterator[Place]:
    """The places of one parameter, along every way up; ``users`` names the nodes that use a node."""
    leaf = next(k for k, node in enumerate(graph.nodes) if node.op == "parameter" and node.value == name)
    own, one = depends(graph, (name,)), b.leaf("constant", 1.0)
    waiting, paths = [State(leaf, one, None, one, None)], 0
    while waiting and paths < MOST_PATHS:
        paths += 1
        here = waiting.pop()
        if here.node == graph.outputs[0]:
            yield here.place("output")
            continue
        for k in users.get(here.node, ()):
            for way in _step(graph, b, here, k, own):
                if isinstance(way, State):
                    waiting.append(way)
                else:
                    yield way


def _step(graph: Graph, b: Builder, here: State, k: int, own: Collection[int]) -> Iterator[Way]:
    """One step up, to node k."""
    op, args = graph.nodes[k].op, graph.nodes[k].args
    first = args[0] == here.node
    other = (args[1] if first else args[0]) if len(args) == 2 else None
    one = Step(b, here, k, first, other, other is None or other not in own)
    if op in COMPARED and one.alone:
        yield from _compare(one, op)
    elif op in RULES:
        yield from RULES[op](one)
    else:
        yield here.place(op)


def _sum(one: Step) -> Iterator[Way]:
    if one.other == one.here.node:  # twice itself
        yield one.here.through(one.b, one.k, "mul", one.b.leaf("constant", 2.0))
        return
    if one.alone and one.other is not None:
        yield one.here.plus(one.b, one.k, one.other)
    else:
        yield one.here._replace(node=one.k, bare=True)


def _difference(one: Step) -> Iterator[Way]:
    here = one.here if one.first else one.here.through(one.b, one.k, "neg")
    if one.alone and one.other is not None:
        yield here.plus(one.b, one.k, one.b("neg", one.other) if one.first else one.other)
    else:
        yield here._replace(node=one.k, bare=True)


def _product(one: Step) -> Iterator[Way]:
    if one.other == one.here.node:  # its square
        if one.here.offset is not None:
            yield one.here.place("square")
        yield one.here.raised(one.b, one.k, one.b.leaf("constant", 2.0))
    elif one.alone and one.other is not None:
        yield one.here.through(one.b, one.k, "mul", one.other)
    else:
        yield one.here._replace(node=one.k)


def _quotient(one: Step) -> Iterator[Way]:
    if one.first:
        yield (
            one.here.through(one.b, one.k, "div", one.other)
            if one.alone and one.other is not None
            else (one.here._replace(node=one.k))
        )
        return
    if one.here.offset is not None:
        yield one.here.place("div")
    yield one.here.raised(one.b, one.k, one.b.leaf("constant", -1.0), one.other if one.alone else None)


def _power(one: Step, name: str) -> Iterator[Way]:
    if one.first and one.alone and one.other is not None:
        if one.here.offset is not None:
            yield one.here.place(name)
        yield one.here.raised(one.b, one.k, one.other)
    elif one.alone and one.other is not None:  # the exponent: a power is an exponential of its base's logarithm
        yield from _exponential(one, one.b("log", one.other))
    else:
        yield one.here.place("pow")


def _exponential(one: Step, scale: int | None = None) -> Iterator[Way]:
    b, here, op = one.b, one.here, "exp" if scale is None else "exponent"
    inside = here if scale is None else here.through(b, one.k, "mul", scale)
    if reads(b, inside.factor) or here.inner is not None or b.constant(here.power) != 1.0:
        yield inside.place(op)
        return
    if inside.offset is not None and reads(b, inside.offset):
        yield inside.place(op)
    whole = b.leaf("constant", 1.0) if inside.offset is None else b("exp", inside.offset)
    yield State(one.k, here.power, inside.factor, whole, None, here.bare)


def _root(one: Step) -> Iterator[Way]:
    if one.here.offset is not None:
        yield one.here.place("sqrt")
    yield one.here.raised(one.b, one.k, one.b.leaf("constant", 0.5))


def _compare(one: Step, op: str) -> Iterator[Way]:
    assert one.other is not None
    yield one.here.plus(one.b, one.k, one.b("neg", one.other)).place("compare")
    if op in {"min", "max"}:
        yield one.here._replace(node=one.k)


def _choice(one: Step) -> Iterator[Way]:
    if not one.first:
        yield one.here._replace(node=one.k)


def _size(one: Step) -> Iterator[Way]:
    if one.here.offset is not None:
        yield one.here.place("abs")
    yield one.here._replace(node=one.k)


RULES: dict[str, Callable[[Step], Iterator[Way]]] = {
    "add": _sum,
    "sub": _difference,
    "neg": lambda one: iter((one.here.through(one.b, one.k, "neg"),)),
    "mul": _product,
    "div": _quotient,
    "pow": lambda one: _power(one, "base"),
    "powi": lambda one: _power(one, "square"),
    "exp": _exponential,
    "sqrt": _root,
    "where": _choice,
    "abs": _size,
}


def reads(b: Builder, k: int) -> bool:
    """Whether a node depends on the data."""
    return any(b.nodes[one].op == "column" for one in needed(b.nodes, (k,)))

"""Where a nonlinear parameter stands in a formula: in which operation, multiplied by what, added to what.

From a parameter's leaf the graph is walked upwards while what is met can be written ψ·g + h, with ψ a power or an
exponential of the parameter and g, h free of it. The operation that ends the walk gives the part its scale: the
exponent of an exponential is of size one, a phase turns by 2π, a denominator is comparable in its terms. So a rate, a
width, a location, a frequency is known by where it stands, however the formula is written. Method: own; dimensional
reasoning as in Bates & Watts 1988, section 3.3, on the graph. A parameter that stands in several places is known by
the one that says most.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from katamuki.graph import LEAVES, Builder, Graph, depends, derivative, needed
from katamuki.ops import TABLE

CIRCULAR = frozenset({"sin", "cos", "tan"})
SATURATING = frozenset({"tanh", "sigmoid", "erf", "erfc", "atan", "heaviside", "sign"})
GROWING = frozenset({"exp", "expm1", "sinh", "cosh", "softplus"})
LOGARITHMS = frozenset({"log", "log10", "log2", "log1p"})
COMPARED = frozenset({"lt", "le", "gt", "ge", "eq", "ne", "min", "max"})
POWERS = frozenset({"pow", "powi", "abs"})
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


@dataclass(frozen=True, slots=True)
class Numbers:
    """A place as a graph whose outputs are power, inner, factor and offset, and what is known of them.

    ``factor_varies`` and ``offset_varies``: with the data; ``needs`` are the other nonlinear parameters.
    """

    op: str
    graph: Graph
    has_inner: bool
    has_offset: bool
    factor_varies: bool
    offset_varies: bool
    peaked: bool  # the factor holds a power of the data: a width, not a rate
    reads: tuple[str, ...]  # parameters
    needs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Role:
    """A nonlinear parameter and its places, what says most first."""

    name: str
    places: tuple[Numbers, ...]

    @property
    def turns(self) -> bool:
        """Whether it is a frequency or a period: a phase grows with it along the data."""
        return bool(self.places) and self.places[0].op in CIRCULAR and self.places[0].factor_varies

    @property
    def shifts(self) -> bool:
        """Whether it is a phase."""
        return bool(self.places) and self.places[0].op in CIRCULAR and not self.places[0].factor_varies


def linear_parameters(graph: Graph, free: Collection[str]) -> tuple[str, ...]:
    """The free parameters that enter linearly together: the most that one reading of the graph finds.

    Two parameters stand in each other's way where the slope by one depends on the other. Those with the fewest such
    conflicts are taken first.
    """
    moving = depends(graph, free)
    decided: set[str] = set()  # names that decide a comparison or a sign: no slope sees them
    for node in graph.nodes:
        if node.op in TABLE:
            for rule, a in zip(TABLE[node.op].pullback, node.args, strict=True):
                if rule is None and a in moving:
                    decided |= {name for name in free if a in depends(graph, (name,))}
    slopes = derivative(graph)
    reach = {name: depends(slopes, (name,)) for name in free}
    place = dict(zip(graph.parameters, slopes.outputs[1:], strict=True))
    bends = {one: {other for other in free if place[one] in reach[other]} for one in free}
    nothing = {one for one in free if slopes.nodes[place[one]].value == 0.0}
    able = [one for one in free if one not in bends[one] and one not in decided and one not in nothing]
    against = {one: {two for two in able if two in bends[one] or one in bends[two]} for one in able}
    taken: list[str] = []
    for one in sorted(able, key=lambda name: len(against[name])):
        if not against[one] & set(taken):
            taken.append(one)
    return tuple(name for name in free if name in taken)


def roles(graph: Graph, names: Collection[str], linear: Collection[str]) -> tuple[Role, ...]:
    """The roles of the nonlinear parameters ``names``, each after those that its first place needs."""
    users: dict[int, list[int]] = {}
    for k, node in enumerate(graph.nodes):
        for a in set(node.args):
            users.setdefault(a, []).append(k)
    waiting = [_role(graph, users, name, linear) for name in names]
    ordered: list[Role] = []
    while waiting:
        left = {one.name for one in waiting}
        free = [one for one in waiting if not one.places or not one.places[0].needs & left]
        ordered.append((free or waiting)[0])
        waiting.remove(ordered[-1])
    return tuple(ordered)


def _role(graph: Graph, users: dict[int, list[int]], name: str, linear: Collection[str]) -> Role:
    b = Builder(graph.nodes, simplify=True)
    found = [_numbers(b, graph, one, linear, name) for one in dict.fromkeys(_walk(graph, users, b, name))]
    return Role(name, tuple(one for _, one in sorted(found, key=lambda pair: pair[0])))


def _numbers(b: Builder, graph: Graph, place: Place, linear: Collection[str], name: str) -> tuple[int, Numbers]:
    """The place's numbers as a graph, and how much it says of a parameter's size: 0 says most."""
    none = b.leaf("constant", 0.0)
    inner, offset = place.inner, place.offset
    steep = place.op in GROWING | SATURATING | CIRCULAR
    if steep and _reads(b, place.factor):
        offset = None  # how fast it grows along the data does not depend on it
    if place.op == "output" and offset is not None:
        unknown = _names(b, offset) & set(linear) - _names(b, place.factor)
        offset = _without(b, offset, unknown)  # the size of what is solved for says nothing
    outputs = (place.power, none if inner is None else inner, place.factor, none if offset is None else offset)
    numbers = b.graph(outputs, graph)
    data = depends(numbers, columns=graph.columns)
    reads = tuple(str(node.value) for node in numbers.nodes if node.op == "parameter")
    factor_varies, offset_varies = (numbers.outputs[k] in data for k in (2, 3))
    has_inner = inner is not None
    found = Numbers(
        place.op,
        numbers,
        has_inner,
        offset is not None,
        factor_varies,
        offset_varies,
        any(node.op in POWERS and k in data for k, node in enumerate(numbers.nodes)),
        reads,
        frozenset({*reads}.difference(linear)),
    )
    rank = 0 if place.op in CIRCULAR else 1 if place.op in GROWING | SATURATING else 2
    if place.op == "output" and has_inner and not place.bare:
        rank = 0  # an exponential that scales the whole formula
    elif place.op == "output" or not (factor_varies or offset_varies):
        rank = 3
    return rank + 4 * place.bare, found


class _State(NamedTuple):
    """ψ·g + h of the walk, at a node."""

    node: int
    power: int
    inner: int | None
    factor: int
    offset: int | None
    bare: bool


def _walk(graph: Graph, users: dict[int, list[int]], b: Builder, name: str) -> Iterator[Place]:
    """The places of one parameter, along every way up."""
    leaf = next(k for k, node in enumerate(graph.nodes) if node.op == "parameter" and node.value == name)
    own = depends(graph, (name,))
    one = b.leaf("constant", 1.0)
    waiting, paths = [_State(leaf, one, None, one, None, False)], 0
    while waiting and paths < MOST_PATHS:
        paths += 1
        here = waiting.pop()
        if here.node == graph.outputs[0]:
            yield Place("output", *here[1:])
            continue
        for k in users.get(here.node, ()):
            yield from _up(graph, b, here, k, own, waiting)


def _up(graph: Graph, b: Builder, here: _State, k: int, own: Collection[int], waiting: list[_State]) -> Iterator[Place]:
    """One step up, to node k: a new state, or the place where the walk ends, or both."""
    op, args = graph.nodes[k].op, graph.nodes[k].args
    first = args[0] == here.node
    other = (args[1] if first else args[0]) if len(args) == 2 else None
    g, h = here.factor, here.offset
    alone = other is None or other not in own
    at_k = here._replace(node=k)

    def times(operation: str, node: int) -> _State:
        return at_k._replace(factor=b(operation, g, node), offset=None if h is None else b(operation, h, node))

    if op == "neg":
        waiting.append(at_k._replace(factor=b("neg", g), offset=None if h is None else b("neg", h)))
    elif op in {"add", "sub"} and other is not None:
        if op == "sub" and not first:
            at_k = _minus(b, at_k)
            g, h = at_k.factor, at_k.offset
        if alone:
            term = b("neg", other) if op == "sub" and first else other
            at_k = at_k._replace(offset=term if h is None else b("add", h, term))
        waiting.append(at_k)
    elif op == "mul" and other is not None:
        if other == here.node:
            if h is not None:
                yield Place("square", *here[1:])
            waiting.append(_raised(b, here, k, b.leaf("constant", 2.0)))
        else:
            waiting.append(times("mul", other) if alone else at_k)
    elif op == "div" and other is not None and first:
        waiting.append(times("div", other) if alone else at_k)
    elif op == "div" and other is not None:
        if h is not None:
            yield Place("div", *here[1:])
        top = other if alone else b.leaf("constant", 1.0)
        waiting.append(_raised(b, here, k, b.leaf("constant", -1.0), top))
    elif op in {"pow", "powi"} and first and other is not None and alone:
        if h is None:
            waiting.append(_raised(b, here, k, other))
        else:
            yield Place("square" if op == "powi" else "base", *here[1:])
    elif op == "sqrt" and h is None:
        waiting.append(_raised(b, here, k, b.leaf("constant", 0.5)))
    elif op in {"exp", "pow"} and alone:  # of a power, the exponent: a power is an exponential of its logarithm
        scale = b.leaf("constant", 1.0) if op == "exp" or other is None else b("log", other)
        g = b("mul", g, scale)
        h = None if h is None else b("mul", h, scale)
        if not _reads(b, g) and here.inner is None and b.constant(here.power) == 1.0:
            if h is not None and _reads(b, h):
                yield Place("exp", here.power, None, g, h, here.bare)
            whole = b.leaf("constant", 1.0) if h is None else b("exp", h)
            waiting.append(_State(k, here.power, g, whole, None, here.bare))
        else:
            yield Place("exp", here.power, here.inner, g, h, here.bare)
    elif op in COMPARED and other is not None and alone:
        less = b("neg", other) if h is None else b("sub", h, other)
        yield Place("compare", here.power, here.inner, g, less, here.bare)
        if op in {"min", "max"}:
            waiting.append(at_k)
    elif op == "where":
        if not first:
            waiting.append(at_k)
    elif op == "abs":
        if h is not None:
            yield Place(op, *here[1:])
        waiting.append(at_k)
    else:
        yield Place(op, *here[1:])


def _reads(b: Builder, k: int) -> bool:
    """Whether a node depends on the data."""
    return any(b.nodes[one].op == "column" for one in needed(b.nodes, (k,)))


def _names(b: Builder, k: int) -> set[str]:
    """The parameters that a node depends on."""
    return {str(b.nodes[one].value) for one in needed(b.nodes, (k,)) if b.nodes[one].op == "parameter"}


def _without(b: Builder, k: int, names: Collection[str]) -> int:
    """A node with these parameters at 0."""
    made: dict[int, int] = {}
    for one in needed(b.nodes, (k,)):
        node = b.nodes[one]
        if node.op in LEAVES:
            made[one] = b.leaf("constant", 0.0) if node.op == "parameter" and node.value in names else one
        else:
            made[one] = b(node.op, *(made[a] for a in node.args))
    return made[k]


def _minus(b: Builder, state: _State) -> _State:
    """The state with the sign of ψ·g + h changed."""
    return state._replace(
        factor=b("neg", state.factor), offset=None if state.offset is None else b("neg", state.offset)
    )


def _raised(b: Builder, here: _State, k: int, exponent: int, top: int | None = None) -> _State:
    """The state at node k, where it is (ψ·g)**exponent, times ``top``; whatever was added is left out."""
    factor = b("pow", here.factor, exponent)
    return _State(
        k,
        b("mul", here.power, exponent) if here.inner is None else here.power,
        None if here.inner is None else b("mul", here.inner, exponent),
        factor if top is None else b("mul", top, factor),
        None,
        here.bare or here.offset is not None,
    )

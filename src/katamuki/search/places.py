"""Where a nonlinear parameter stands in a formula: in which operation, multiplied by what, added to what.

From a parameter's leaf the graph is walked upwards while what is met can be written ψ·g + h, with ψ a power or an
exponential of the parameter and g, h free of it. The operation that ends the walk gives the part its scale: the
exponent of an exponential is of size one, a phase turns by 2π, a denominator is comparable in its terms. So a rate, a
width, a location, a frequency is known by where it stands, however the formula is written. Method: own; dimensional
reasoning as in Bates & Watts 1988, section 3.3, on the graph. A parameter that stands in several places is known by
the one that says most.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from katamuki.graph import LEAVES, Builder, Graph, depends, derivative, needed
from katamuki.ops import TABLE
from katamuki.search.walk import Place, places, reads

CIRCULAR = frozenset({"sin", "cos", "tan"})
SATURATING = frozenset({"tanh", "sigmoid", "erf", "erfc", "atan", "heaviside", "sign"})
GROWING = frozenset({"exp", "exponent", "expm1", "sinh", "cosh", "softplus"})
POWERS = frozenset({"pow", "powi", "abs"})


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
        ordered.append((free or sorted(waiting, key=lambda one: not one.turns))[0])
        waiting.remove(ordered[-1])
    return tuple(ordered)


def _role(graph: Graph, users: dict[int, list[int]], name: str, linear: Collection[str]) -> Role:
    b = Builder(graph.nodes, simplify=True)
    found = [_numbers(b, graph, one, linear, name) for one in dict.fromkeys(places(graph, users, b, name))]
    return Role(name, tuple(one for _, one in sorted(found, key=lambda pair: pair[0])))


def _numbers(b: Builder, graph: Graph, place: Place, linear: Collection[str], name: str) -> tuple[int, Numbers]:
    """The place's numbers as a graph, and how much it says of a parameter's size: 0 says most."""
    none = b.leaf("constant", 0.0)
    inner, offset = place.inner, place.offset
    steep = place.op in GROWING | SATURATING | CIRCULAR
    if steep and reads(b, place.factor):
        offset = None  # how fast it grows along the data does not depend on it
    if place.op == "output" and offset is not None:
        unknown = _names(b, offset) & set(linear) - _names(b, place.factor)
        offset = _without(b, offset, unknown)  # the size of what is solved for says nothing
    outputs = (place.power, none if inner is None else inner, place.factor, none if offset is None else offset)
    numbers = b.graph(outputs, graph)
    data = depends(numbers, columns=graph.columns)
    read = tuple(str(node.value) for node in numbers.nodes if node.op == "parameter")
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
        read,
        frozenset({*read}.difference(linear)),
    )
    rank = 0 if place.op in CIRCULAR else 1 if place.op in GROWING | SATURATING else 2
    if place.op == "output" and has_inner and not place.bare:
        rank = 0  # an exponential that scales the whole formula
    elif place.op == "output" or not (factor_varies or offset_varies):
        rank = 3
    return rank + 4 * place.bare, found


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

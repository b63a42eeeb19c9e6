"""Changes of sign, and turns of phases, that leave a formula the same function: from its structure alone.

Each node is multiplied by +1 or −1 when the signs of some parameters change, or by nothing so simple: its character.
What must hold for the whole formula is linear over GF(2), one bit per parameter and one per phase (half a turn). Phases
are parameters that occur only linearly in arguments of sin, cos and tan, at rates that do not change from row to row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from katamuki.graph import Builder, Graph, Node, depends

ODD = frozenset({"sin", "tan", "asin", "atan", "sinh", "tanh", "erf", "cbrt", "sign"})
EVEN = frozenset({"cos", "cosh", "abs"})
WAVES = frozenset({"sin", "cos", "tan"})
WHOLE = 1e-9  # how near to a whole number a multiple of a frequency is


class Turn(NamedTuple):
    """A phase: the same after ``period``, and after half of it with the sign of ``amplitude`` changed.

    ``period`` is a graph of other parameters where it depends on them; ``amplitude`` None: no single name does it.
    """

    name: str
    period: float | Graph
    amplitude: str | None


class Reflection(NamedTuple):
    """A change of sign of ``names`` with half a turn of ``phases``; ``first`` is positive in the canonical order."""

    first: str
    names: tuple[str, ...]
    phases: tuple[str, ...]


def priority(graph: Graph, movable: Sequence[str]) -> tuple[str, ...]:
    """The movable names, those that enter nonlinearly first, each kind in order of appearance."""
    place = {name: k for k, name in enumerate(graph.parameters)}
    inside: list[int] = []  # parameters below each node, as bits
    bent: list[int] = []  # those that it does not depend on linearly
    for node in graph.nodes:
        under = [inside[a] for a in node.args]
        curved = 0
        for a in node.args:
            curved |= bent[a]
        if node.op == "parameter":
            under = [1 << place[str(node.value)]]
        elif node.op == "mul":
            curved |= under[0] & under[1]
        elif node.op == "div":
            curved |= under[1]
        elif node.args and node.op not in {"add", "sub", "neg"}:
            curved |= under[0] | under[-1] | (under[1] if len(under) > 1 else 0)
        everything = 0
        for one in under:
            everything |= one
        inside.append(everything)
        bent.append(curved)
    curved = bent[graph.outputs[0]]
    return tuple(sorted(movable, key=lambda name: not curved >> place[name] & 1))


@dataclass(frozen=True, slots=True)
class Phase:
    """A parameter that occurs only as a phase: sin, cos, tan of rate·name + …; rate = ``factor`` · Π node^±1.

    ``odd`` are the sines and cosines whose sign half a turn changes.
    """

    name: str
    factor: float
    nodes: tuple[tuple[int, int], ...]
    odd: frozenset[int]

    def period(self, graph: Graph, share: float) -> float | Graph:
        """2π/rate, or a share of it: a number, or a graph of the other parameters."""
        top = share * 2.0 * math.pi / self.factor
        if not self.nodes:
            return top
        b = Builder(graph.nodes, simplify=True)
        whole = b.leaf("constant", top)
        for k, power in self.nodes:
            whole = b("div" if power > 0 else "mul", whole, k)
        return b.graph([whole])


Rate = tuple[float, tuple[tuple[int, int], ...]]  # a factor, and nodes with their powers


def phases_of(graph: Graph, names: Sequence[str]) -> list[Phase]:
    """Those of the names that occur only as phases."""
    if not any(node.op in WAVES for node in graph.nodes):
        return []
    columns = depends(graph, (), graph.columns)
    return [one for one in (_phase(graph, name, columns) for name in names) if one is not None]


def _phase(graph: Graph, name: str, columns: frozenset[int]) -> Phase | None:
    """The phase of this name; None where it is none, or occurs elsewhere too."""
    rates: dict[int, Rate | None] = {}  # nodes that depend on the name: linearly, or (None) periodically
    found: dict[int, Rate] = {}
    for k, node in enumerate(graph.nodes):
        moving = [a for a in node.args if a in rates]
        if node.op == "parameter" and node.value == name:
            rates[k] = 1.0, ()
        elif moving and all(rates[a] is None for a in moving):
            rates[k] = None
        elif moving:
            if node.op in WAVES:
                found[k] = rates[moving[0]]  # type: ignore[assignment]
                rates[k] = None
                continue
            rate = _rate(graph, node, rates, columns)
            if rate is None or rate[0] == 0.0:
                return None
            rates[k] = rate
    keys = {nodes for _, nodes in found.values()}
    if len(keys) != 1 or rates.get(graph.outputs[0], 0) is not None:
        return None
    factor = min(abs(one) for one, _ in found.values())
    times = {k: abs(one) / factor for k, (one, _) in found.items()}
    if any(abs(one - round(one)) > WHOLE for one in times.values()):
        return None
    odd = frozenset(k for k, one in times.items() if round(one) % 2 and graph.nodes[k].op != "tan")
    return Phase(name, factor, keys.pop(), odd)


def _rate(graph: Graph, node: Node, rates: dict[int, Rate | None], columns: frozenset[int]) -> Rate | None:
    """How fast a sum, product or quotient moves with the phase; None where that is not so simple."""
    known = [rates.get(a) for a in node.args]
    if any(a in rates and rate is None for a, rate in zip(node.args, known, strict=True)):
        return None
    one, other = known[0], known[-1] if len(known) > 1 else None
    if node.op == "neg" and one:
        return -one[0], one[1]
    if node.op in {"add", "sub"}:
        sign = 1.0 if node.op == "add" else -1.0
        if one and other:
            return (one[0] + sign * other[0], one[1]) if one[1] == other[1] else None
        return one or ((sign * other[0], other[1]) if other else None)
    if node.op in {"mul", "div"} and bool(one) != bool(other) and (one or node.op == "mul"):
        factor, nodes = one or other  # type: ignore[misc]
        by, power = node.args[1 if one else 0], 1 if node.op == "mul" else -1
        if graph.nodes[by].op == "constant":
            return factor * float(graph.nodes[by].value or 0.0) ** power, nodes
        return None if by in columns else (factor, tuple(sorted((*nodes, (by, power)))))
    return None


class Signs:
    """What must hold over GF(2) for changes of sign (one bit per parameter) and half turns (one per phase)."""

    def __init__(self, graph: Graph, order: Sequence[str], waves: Sequence[Phase]) -> None:
        place = {name: k for k, name in enumerate(graph.parameters)}
        phase = {one.name: len(place) + k for k, one in enumerate(waves)}
        early = [place[name] for name in order if name not in phase]
        self.bits = [*early, *(place[name] for name in phase), *phase.values()]
        self.names = {k: name for name, k in place.items()} | {k: name for name, k in phase.items()}
        self.turning, self.params, self.graph, self.waves = set(phase.values()), len(place), graph, waves
        self.bits += [k for k in place.values() if k not in self.bits]
        self.constraints = [1 << k for name, k in place.items() if name not in order]
        self.constraints += self._constraints(place, phase)
        self.share = dict.fromkeys(phase, 1.0)
        for first, mask in self._basis(self.constraints):
            if mask == 1 << first and first in self.turning:  # half a turn changes nothing
                self.share[self.names[first]] = 0.5
                self.constraints.append(mask)

    def _constraints(self, place: dict[str, int], phase: dict[str, int]) -> list[int]:
        """Rows that every admissible change is orthogonal to; a node's character says when its sign changes."""
        found: list[int] = []
        characters: list[int] = []
        for k, node in enumerate(self.graph.nodes):
            under = [characters[a] for a in node.args]
            mine = 0
            if node.op == "parameter":
                mine = 1 << place[str(node.value)]
            elif node.op in {"add", "sub"}:
                found.append(under[0] ^ under[1])
                mine = under[0]
            elif node.op == "where":
                found += [under[0], under[1] ^ under[2]]
                mine = under[1]
            elif node.op in {"mul", "div"}:
                mine = under[0] ^ under[1]
            elif node.op == "neg" or node.op in ODD:
                mine = under[0]
            elif node.op == "powi":
                mine = under[0] if float(self.graph.nodes[node.args[1]].value or 0.0) % 2.0 else 0
            elif node.op not in EVEN:
                found += under
            for one in self.waves:
                mine ^= 1 << phase[one.name] if k in one.odd else 0
            characters.append(mine)
        return [*found, characters[self.graph.outputs[0]]]

    def _basis(self, constraints: Sequence[int]) -> list[tuple[int, int]]:
        """Independent changes: each has a first bit, as early in ``bits`` as can be, that no other has."""
        rows: dict[int, int] = {}
        for given in constraints:
            row = given
            for pivot, other in rows.items():
                row ^= other if row >> pivot & 1 else 0
            if row:
                pivot = next(bit for bit in reversed(self.bits) if row >> bit & 1)
                rows = {bit: other ^ row if other >> pivot & 1 else other for bit, other in rows.items()} | {pivot: row}
        first = [bit for bit in self.bits if bit not in rows]
        return [(bit, 1 << bit | sum(1 << p for p, row in rows.items() if row >> bit & 1)) for bit in first]

    def _said(self, mask: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The names and the phases of a change, in order of appearance."""
        bits = [k for k in sorted(self.bits) if mask >> k & 1]
        names, phases = ([self.names[k] for k in bits if (k in self.turning) == kind] for kind in (False, True))
        return tuple(names), tuple(phases)

    def reflections(self) -> list[Reflection]:
        """Generators of all changes."""
        return [Reflection(self.names[first], *self._said(mask)) for first, mask in self._basis(self.constraints)]

    def flips(self) -> list[tuple[str, ...]]:
        """Generators of the changes of sign alone."""
        return [self._said(mask)[0] for _, mask in self._basis([*self.constraints, *(1 << k for k in self.turning)])]

    def turns(self) -> list[Turn]:
        """The phases, with the one name whose sign half a turn changes."""
        alone = {one.phases: one.names[0] for one in self.reflections() if len(one.names) == 1}
        return [
            Turn(one.name, one.period(self.graph, self.share[one.name]), alone.get((one.name,))) for one in self.waves
        ]

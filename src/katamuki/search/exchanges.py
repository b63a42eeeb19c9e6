"""Names whose exchange leaves a formula the same function, found and tested by numbers.

Without its minus signs a formula answers alike when one or the other of two equal terms is moved, in whatever order
they are written: colour refinement (Weisfeiler & Leman 1968) with answers as colours. Such exchanges are candidates.
Every claim is tested on the formula itself at random points, seeded; a point where the value hardly depends on the
names in question counts for nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from katamuki.backends import numpy_
from katamuki.graph import Graph, Node
from katamuki.records import Array
from katamuki.search.signs import Turn

SCALES = (1.0, 1e-3, 1e3, 1e-6, 1e6, 1e-9, 1e9)  # of parameters, until the formula depends on all of them
ROWS, ENOUGH = 16, 4  # random points, and how many of them must say something
FEW, GROWTH, MOST_CROSSED = 3, 3, 5  # points at which answers are compared; rounds; pairs that may cross
SAME, SEEN = 1e-9, 1e-6  # relative: equal, and depends on
BUMP = 1.37  # by what a parameter is moved

MOST_MIRRORED = 8  # names of a formula whose sigmoids are looked at
SIGMOID = frozenset({"exp", "pow", "tanh", "sigmoid", "erf", "erfc", "atan"})  # what mirrors, or is made of such

Pairs = tuple[tuple[str, str], ...]


class Probe:
    """The formula at random points: where claims are tested."""

    def __init__(self, graph: Graph, movable: Sequence[str]) -> None:
        self.graph, self.names = _as_columns(graph), graph.parameters
        self.place = {name: k for k, name in enumerate(self.names)}
        random = np.random.default_rng(20)
        p = len(self.names)
        shifts = [0.0, *(s * float(c.value or 0.0) for c in graph.nodes if c.op == "constant" for s in (1, -1))]
        shifts = [one for one in shifts if one == 0.0 or abs(one) > 20.0]  # x − 1995: look there too
        at = np.array([shifts[(k // 2) % len(shifts)] for k in range(ROWS)])
        sign = np.where(np.arange(ROWS)[:, None] % 2 == 0, 1.0, random.choice([-1.0, 1.0], (ROWS, p)))
        params = random.uniform(0.3, 2.0, (ROWS, p)) * sign
        self.columns = {name: at + random.uniform(0.3, 2.0, ROWS) for name in graph.columns}
        for values in self.columns.values():
            values[3::4] *= -1.0
        nearly = 1.0 + 1e-14 * random.choice([-1.0, 1.0], p)
        most, wanted = -1, [self.place[name] for name in movable]
        for scale in SCALES:
            values = scale * params
            moved = np.tile(values, (2 + p, 1, 1))
            moved[1] *= nearly
            moved[2 + np.arange(p), :, np.arange(p)] *= BUMP
            base, beside, *answers = self.at(moved)
            with np.errstate(invalid="ignore"):
                sound = np.abs(beside - base) <= SAME * np.abs(base)  # finite, and no worse than rounding
                seen = sound & (np.abs(answers - base) > SEEN * np.abs(base))
            count = int(seen[wanted].all(axis=0).sum()) * ROWS + int(seen[wanted].any(axis=1).sum())
            if count > most:
                most, self.params, self.base, self.sound, self.seen = count, values, base, sound, seen
            if count >= ENOUGH * ROWS:
                break
        self.sees_all = bool(self.seen[wanted].any(axis=1).all())

    def at(self, params: Array) -> Array:
        """The formula's values (c, rows) at c · rows points (c, rows, p)."""
        return _at(self.graph, self.columns, self.names, params)

    def moved(self, negated: Collection[str], turned: Sequence[Turn] = (), share: float = 1.0) -> Array:
        """The points (rows, p) with signs changed and phases moved by a share of their period."""
        new = self.params.copy()
        for name in negated:
            new[:, self.place[name]] *= -1.0
        for one in turned:
            period: float | Array
            if isinstance(one.period, float):
                period = one.period
            else:
                columns = {name: new[:, k].copy() for name, k in self.place.items()}
                (period,) = numpy_.evaluate(_as_columns(one.period), columns, {})
            new[:, self.place[one.name]] += share * period
        return new

    def exchanged(self, pairs: Pairs, negated: Collection[str] = ()) -> Array:
        """The points (rows, p) with pairs of names exchanged, then signs changed."""
        new = self.moved(())
        for one, other in pairs:
            i, j = self.place[one], self.place[other]
            new[:, [i, j]] = new[:, [j, i]]
        new[:, [self.place[name] for name in negated]] *= -1.0
        return new

    def holds(self, points: Sequence[Array], touched: Sequence[Collection[str]]) -> list[bool]:
        """Whether the formula has the same values at other points (rows, p), these names being touched."""
        if not points:
            return []
        answers = self.at(np.array(points))
        said = []
        with np.errstate(invalid="ignore"):
            same = np.abs(answers - self.base) <= SAME * np.abs(self.base)
        for equal, names in zip(same, touched, strict=True):
            counted = np.all(self.seen[[self.place[name] for name in names]], axis=0)
            said.append(bool(np.all(equal[self.sound]) and counted.sum() >= ENOUGH))
        return said


def _as_columns(graph: Graph, without_signs: bool = False) -> Graph:
    """The graph with parameters as columns, one value per row; or besides with + for −, and constants positive."""
    plus = {"sub": "add", "neg": "abs"}
    nodes = []
    for node in graph.nodes:
        if node.op == "parameter":
            nodes.append(Node("column", (), node.value))
        elif without_signs and node.op == "constant":
            nodes.append(Node("constant", (), abs(float(node.value or 0.0))))
        else:
            nodes.append(replace(node, op=plus.get(node.op, node.op)) if without_signs else node)
    return Graph(tuple(nodes), graph.outputs[:1], (*graph.columns, *graph.parameters), ())


def _at(graph: Graph, columns: Mapping[str, Array], names: Sequence[str], params: Array) -> Array:
    """A graph's values (c, rows) at params (c, rows, p)."""
    shape = params.shape[:-1]
    flat = params.reshape(-1, len(names))
    values = {name: np.ascontiguousarray(flat[:, k]) for k, name in enumerate(names)}
    values |= {name: np.tile(one, len(flat) // len(one)) for name, one in columns.items()}
    return numpy_.evaluate(graph, values, {})[0].reshape(shape)


def exchanges(
    graph: Graph, movable: Sequence[str], probe: Probe
) -> tuple[tuple[Pairs, ...], tuple[tuple[Pairs, tuple[str, ...]], ...]]:
    """Names that are exchanged together: plainly, and with changes of sign."""
    if not probe.sees_all:  # then nothing can be said of what depends on the unseen
        return (), ()
    answers = _Answers(graph, movable, probe)
    swaps: list[Pairs] = []
    failed: dict[Pairs, None] = {}
    done: set[tuple[str, str]] = set()
    for k, one in enumerate(movable):
        also = [other for j, other in enumerate(movable) if j > k and answers.alike[k, j] and (one, other) not in done]
        groups: list[Pairs] = [((one, other),) for other in also]
        for _ in range(GROWTH):  # those that failed are parted further, until nothing more moves along
            if not groups:
                break
            tried = [pairs for pairs in dict.fromkeys(answers.involutions(groups)) if pairs]
            good = probe.holds([probe.exchanged(pairs) for pairs in tried], [_names(pairs) for pairs in tried])
            found = [pairs for pairs, held in zip(tried, good, strict=True) if held]
            swaps += found
            done.update(pair for pairs in found for pair in pairs)
            grown = [pairs for pairs in tried if pairs not in found and pairs not in groups]
            failed |= dict.fromkeys(pairs for pairs in tried if pairs not in found)
            groups = grown
    crossed: list[tuple[Pairs, tuple[str, ...]]] = []
    for pairs in failed:
        if not done.intersection(pairs):
            negated = _signs_of(pairs, movable, probe)
            if negated:
                crossed.append((pairs, negated))
                done.update(pairs)
    if not swaps and not crossed:
        crossed += _mirrored(graph, movable, probe)
    return tuple(swaps), tuple(crossed)


def _mirrored(graph: Graph, movable: Sequence[str], probe: Probe) -> list[tuple[Pairs, tuple[str, ...]]]:
    """Two names exchanged while the sign of a third changes: the plateaus of a sigmoid, as σ(−z) = 1 − σ(z)."""
    if len(movable) > MOST_MIRRORED or not any(node.op in SIGMOID for node in graph.nodes):
        return []
    claims: list[tuple[Pairs, tuple[str, ...]]] = [
        (((one, other),), (third,))
        for one, other in combinations(movable, 2)
        for third in movable
        if third not in (one, other)
    ]
    good = probe.holds([probe.exchanged(*claim) for claim in claims], [_names(pairs) | {*n} for pairs, n in claims])
    return [claim for claim, held in zip(claims, good, strict=True) if held][:1]


def _names(pairs: Pairs) -> set[str]:
    return {name for pair in pairs for name in pair}


class _Answers:
    """How the formula without its minus signs answers when one parameter is moved, the others being equal."""

    def __init__(self, graph: Graph, movable: Sequence[str], probe: Probe) -> None:
        self.graph, self.names, self.movable = _as_columns(graph, without_signs=True), probe.names, movable
        self.columns = {name: np.abs(one[:FEW]) for name, one in probe.columns.items()}
        self.place = probe.place
        self.places = [probe.place[name] for name in movable]
        most = -1
        for scale in SCALES:
            level = np.repeat(scale * np.array([0.83, 0.47, 0.61])[:, None], len(probe.names), axis=1)
            moved, at = self._at(level[None]), _at(self.graph, self.columns, self.names, level[None])
            with np.errstate(invalid="ignore"):
                seen = int((np.abs(moved - at) > SEEN * np.abs(at)).sum())
            if seen > most:
                most, self.level, self.alike = seen, level, _alike(moved[[0, 0]])[0]
            if seen == moved.size:
                break

    def _at(self, settings: Array) -> Array:
        """What each of s settings (s, few, p) answers: (s, movable, few)."""
        moved = np.repeat(settings[:, None], len(self.places), axis=1)
        moved[:, np.arange(len(self.places)), :, self.places] *= BUMP
        return _at(self.graph, self.columns, self.names, moved)

    def involutions(self, groups: Sequence[Pairs]) -> list[Pairs]:
        """For each exchange that is begun (few pairs) the one that takes along whatever tells the two sides apart."""
        settings = np.tile(self.level, (2 * len(groups), 1, 1))
        for s, pairs in enumerate(groups):
            for k, (one, other) in enumerate(pairs):
                apart = np.array([0.71 + 0.04 * k, 1.53 - 0.05 * k])[:, None]
                settings[2 * s : 2 * s + 2, :, self.place[one]] *= apart
                settings[2 * s : 2 * s + 2, :, self.place[other]] *= apart[::-1]
        found = _alike(self._at(settings))
        return [_involution(one, self.movable, pairs) for one, pairs in zip(found, groups, strict=True)]


def _alike(answers: Array) -> list[NDArray[np.bool_]]:
    """For settings two by two, which name's answer in one is which name's answer in the other: (movable, movable)."""
    one, other = answers[0::2, :, None], answers[1::2, None, :]
    with np.errstate(invalid="ignore"):
        unlike = np.abs(one - other) > SAME * np.abs(one)
    return list(np.asarray(~unlike.any(axis=-1)))


def _involution(alike: NDArray[np.bool_], movable: Sequence[str], begun: Pairs) -> Pairs:
    """The exchange that goes on where one was begun; names that answer as before stay; empty: there is none."""
    place = {name: k for k, name in enumerate(movable)}
    image = {place[one]: place[other] for pair in begun for one, other in (pair, pair[::-1])}
    if not all(alike[k, j] for k, j in image.items()):
        return ()
    for k in range(len(movable)):
        if k not in image:
            other = [k] if alike[k, k] else [j for j in np.flatnonzero(alike[k]).tolist() if j not in image]
            if not other:
                return ()
            image |= {k: other[0], other[0]: k}
    return tuple((movable[k], movable[j]) for k, j in sorted(image.items()) if k < j)


def _signs_of(pairs: Pairs, movable: Sequence[str], probe: Probe) -> tuple[str, ...]:
    """The fewest names whose signs must change with an exchange; none where no such change does it."""
    if len(pairs) > MOST_CROSSED:
        return ()
    moved = _names(pairs)
    others = [(), *((name,) for name in movable if name not in moved)]
    chosen = [
        tuple(name for take, pair in zip(which, pairs, strict=True) if take for name in pair) + other
        for which in product((False, True), repeat=len(pairs))
        for other in others
    ]
    chosen.sort(key=len)
    points = [probe.exchanged(pairs, one) for one in chosen]
    good = probe.holds(points, [moved.union(one) for one in chosen])
    return next((one for one, held in zip(chosen, good, strict=True) if held), ())

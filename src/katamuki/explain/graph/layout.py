"""Where the nodes and edges of a small graph go: layers from left to right, few crossings, labels beside each other.

Method: Sugiyama, Tagawa & Toda 1981: a layer for each node, stand-ins where an edge passes a layer by, orders by the
mean place of the neighbours, then heights by the same mean with room between. Pure geometry: no text, no colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SWEEPS = 24
BETWEEN = 20.0  # pixels between two boxes of a layer
PASSING = 14.0  # height of an edge that passes a layer by
PORT = 13.0  # pixels between the ends of edges on one box
MARGIN = 16.0


@dataclass(frozen=True, slots=True)
class Edge:
    """From an argument (a place among the nodes) to its user, and how wide and high its label is."""

    start: int
    end: int
    label_width: float = 0.0
    label_height: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """The middle of a box, in pixels."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Layout:
    """The middle of every box, the points that every edge passes, the middle of every label, and the picture's size."""

    boxes: tuple[Place, ...]
    paths: tuple[tuple[Place, ...], ...]
    labels: tuple[Place, ...]
    width: float
    height: float


@dataclass(slots=True)
class _Item:
    """A box, or a stand-in for an edge that passes by."""

    layer: int
    height: float
    before: list[int]
    after: list[int]
    y: float = 0.0


def layers(count: int, edges: Sequence[Edge]) -> list[int]:
    """Each node right of its arguments, as near to its first user as they allow.

    Example
    -------
    >>> layers(4, [Edge(0, 2), Edge(1, 2), Edge(2, 3)])
    [0, 0, 1, 2]
    """
    found = [0] * count
    for edge in sorted(edges, key=lambda one: one.end):
        found[edge.end] = max(found[edge.end], found[edge.start] + 1)
    for k in range(count - 1, -1, -1):
        users = [found[edge.end] for edge in edges if edge.start == k]
        if users:
            found[k] = min(users) - 1
    return found


def place(widths: Sequence[float], heights: Sequence[float], edges: Sequence[Edge], gap: float) -> Layout:
    """Places for boxes of these sizes; nodes are given in an order in which arguments come before their users.

    Parameters
    ----------
    widths, heights : sequence of float
        Of the boxes, in pixels.
    edges : sequence of Edge
        From arguments to users.
    gap : float
        The least room between two layers; more where labels need it.

    Returns
    -------
    Layout
        In pixels, from the upper left corner.

    Source
    ------
    Sugiyama, Tagawa & Toda 1981.

    Example
    -------
    >>> found = place([40, 40, 40], [20, 20, 20], [Edge(0, 2), Edge(1, 2)], 30)
    >>> [one.x for one in found.boxes], found.boxes[0].y < found.boxes[2].y < found.boxes[1].y
    ([36.0, 36.0, 106.0], True)
    """
    layer = layers(len(widths), edges)
    items, chains = _items(layer, heights, edges)
    columns = _ordered(items, max(layer) + 1)
    _level(items, columns)
    lefts, rooms = _columns(layer, widths, edges, gap)
    top = min(one.y - one.height / 2.0 for one in items) - MARGIN
    boxes = tuple(Place(lefts[layer[k]] + rooms[layer[k]] / 2.0, items[k].y - top) for k in range(len(widths)))
    paths = _paths(boxes, widths, edges, chains, items, lefts, rooms, top)
    middles = [(lefts[at - 1] + rooms[at - 1] + lefts[at]) / 2.0 for at in range(len(lefts))]
    labels = _labels(paths, edges, [layer[edge.end] for edge in edges], middles)
    down = max([0.0, *(MARGIN - one.y + edge.label_height / 2.0 for one, edge in zip(labels, edges, strict=True))])
    boxes, labels = _lowered(boxes, down), _lowered(labels, down)
    paths = tuple(_lowered(path, down) for path in paths)
    lowest = [one.y + high / 2.0 for one, high in zip(boxes, heights, strict=True)]
    lowest += [one.y + edge.label_height / 2.0 for one, edge in zip(labels, edges, strict=True)]
    lowest += [one.y for path in paths for one in path]
    return Layout(boxes, paths, labels, lefts[-1] + rooms[-1] + MARGIN, max(lowest) + MARGIN)


def _lowered(places: Sequence[Place], down: float) -> tuple[Place, ...]:
    return tuple(Place(one.x, one.y + down) for one in places)


def _items(
    layer: Sequence[int], heights: Sequence[float], edges: Sequence[Edge]
) -> tuple[list[_Item], list[list[int]]]:
    """Boxes and stand-ins with their neighbours, and for each edge the stand-ins that it passes."""
    items = [_Item(layer[k], heights[k], [], []) for k in range(len(heights))]
    chains = []
    for edge in edges:
        chain, last = [], edge.start
        for between in range(layer[edge.start] + 1, layer[edge.end]):
            items.append(_Item(between, max(PASSING, edge.label_height), [last], []))
            items[last].after.append(len(items) - 1)
            last = len(items) - 1
            chain.append(last)
        items[last].after.append(edge.end)
        items[edge.end].before.append(last)
        chains.append(chain)
    return items, chains


def _ordered(items: Sequence[_Item], count: int) -> list[list[int]]:
    """The order in every layer: as a walk from the end meets them, then by the mean place of the neighbours."""
    columns: list[list[int]] = [[] for _ in range(count)]
    seen: set[int] = set()
    ends = [k for k, one in enumerate(items) if not one.after]
    waiting = list(reversed(ends))
    while waiting:
        k = waiting.pop()
        if k in seen:
            continue
        seen.add(k)
        columns[items[k].layer].append(k)
        waiting += reversed(items[k].before)
    best, least = [list(one) for one in columns], _crossings(items, columns)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for at in range(1, count) if forward else range(count - 2, -1, -1):
            spots = {k: place for column in columns for place, k in enumerate(column)}

            def mean(k: int, spots: dict[int, int] = spots, forward: bool = forward) -> float:
                near = items[k].before if forward else items[k].after
                return sum(spots[one] for one in near) / len(near) if near else float(spots[k])

            columns[at].sort(key=mean)
        crossings = _crossings(items, columns)
        if crossings < least:
            best, least = [list(one) for one in columns], crossings
    return best


def _crossings(items: Sequence[_Item], columns: Sequence[Sequence[int]]) -> int:
    """How many pairs of edges between neighbouring layers cross."""
    spots = {k: place for column in columns for place, k in enumerate(column)}
    total = 0
    for column in columns:
        pairs = [(spots[k], spots[one]) for k in column for one in items[k].after]
        total += sum((a - c) * (b - d) < 0 for place, (a, b) in enumerate(pairs) for c, d in pairs[place + 1 :])
    return total


def _level(items: Sequence[_Item], columns: Sequence[Sequence[int]]) -> None:
    """Heights: each where its neighbours are in the mean, and no nearer to the next than there is room."""
    for column in columns:
        y = 0.0
        for k in column:
            items[k].y = y + items[k].height / 2.0
            y += items[k].height + BETWEEN
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for column in columns if forward else reversed(columns):
            wanted = []
            for k in column:
                one = items[k]
                near = (one.before if forward else one.after) or one.before or one.after
                wanted.append(sum(items[j].y for j in near) / len(near) if near else one.y)
            for k, y in zip(column, _spread(wanted, [items[k].height for k in column], BETWEEN), strict=True):
                items[k].y = y


def _spread(wanted: Sequence[float], sizes: Sequence[float], between: float) -> list[float]:
    """Middles in the given order, as near to what is wanted as sizes and room between allow: blocks that touch share
    their mean."""
    blocks: list[tuple[float, list[int]]] = []  # (where its first would be, its members)
    offsets: list[float] = []
    for k, want in enumerate(wanted):
        offsets.append(0.0 if k == 0 else offsets[-1] + (sizes[k - 1] + sizes[k]) / 2.0 + between)
        blocks.append((want - offsets[k], [k]))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            members = blocks[-2][1] + blocks[-1][1]
            blocks[-2:] = [(sum(wanted[j] - offsets[j] for j in members) / len(members), members)]
    found = [0.0] * len(wanted)
    for base, members in blocks:
        for k in members:
            found[k] = base + offsets[k]
    return found


def _columns(
    layer: Sequence[int], widths: Sequence[float], edges: Sequence[Edge], gap: float
) -> tuple[list[float], list[float]]:
    """The left edge and the width of every layer; a label stands left of the layer that its edge ends in."""
    count = max(layer) + 1
    rooms = [max((widths[k] for k in range(len(widths)) if layer[k] == at), default=0.0) for at in range(count)]
    lefts = [MARGIN]
    for at in range(count - 1):
        label = max((edge.label_width for edge in edges if layer[edge.end] == at + 1), default=0.0)
        lefts.append(lefts[-1] + rooms[at] + max(gap, label + 22.0))
    return lefts, rooms


def _paths(
    boxes: Sequence[Place], widths: Sequence[float], edges: Sequence[Edge], chains: Sequence[Sequence[int]],
    items: Sequence[_Item], lefts: Sequence[float], rooms: Sequence[float], top: float,
) -> tuple[tuple[Place, ...], ...]:  # fmt: skip
    """The points of every edge: out of the argument, past the layers between, into the user at its own port."""
    paths = []
    for edge, chain in zip(edges, chains, strict=True):
        start, end = boxes[edge.start], boxes[edge.end]
        points = [Place(start.x + widths[edge.start] / 2.0, start.y)]
        for k in chain:
            left = lefts[items[k].layer]
            points += [Place(left, items[k].y - top), Place(left + rooms[items[k].layer], items[k].y - top)]
        into = [one for one in edges if one.end == edge.end]
        port = (into.index(edge) - (len(into) - 1) / 2.0) * PORT
        points.append(Place(end.x - widths[edge.end] / 2.0, end.y + port))
        paths.append(tuple(points))
    return tuple(paths)


def _labels(
    paths: Sequence[Sequence[Place]], edges: Sequence[Edge], last: Sequence[int], middles: Sequence[float]
) -> tuple[Place, ...]:
    """The middle of every label: in the gap before the user, on its edge, moved apart from the others in that gap."""
    found = []
    for path, layer in zip(paths, last, strict=True):
        one, two = path[-2], path[-1]
        share = (middles[layer] - one.x) / (two.x - one.x)
        found.append(Place(middles[layer], one.y + share * (two.y - one.y)))
    for layer in set(last):
        here = sorted(
            (k for k in range(len(edges)) if last[k] == layer and edges[k].label_width > 0.0),
            key=lambda k: found[k].y,
        )
        heights = [edges[k].label_height for k in here]
        for k, y in zip(here, _spread([found[k].y for k in here], heights, 3.0), strict=True):
            found[k] = Place(found[k].x, y)
    return tuple(found)

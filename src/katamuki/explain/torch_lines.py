"""The PyTorch line that each part of a step stands for, written for the formula at hand: ``Y = A*Xi + B``.

Names are the tutorial's: a parameter is a capital letter, a column has an i behind it. They are for reading; programs
that run are made by :mod:`katamuki.export`.
"""

from __future__ import annotations

from katamuki.graph import LEAVES, NEEDS, Graph, binding, needed, number
from katamuki.ops import CHOICE, TABLE

LONGEST = 300


def forward(graph: Graph | None) -> str:
    """The line that predicts: "Y = A*Xi + B".

    Example
    -------
    >>> from katamuki.graph import Builder
    >>> b = Builder()
    >>> forward(b.graph([b("exp", b("mul", b.leaf("parameter", "a"), b.leaf("column", "x")))]))
    'Y = torch.exp(A*Xi)'
    """
    if graph is None:
        return "Y = model(X)"
    names = _names(graph)
    if names is None:
        return ""
    said: dict[int, str] = {}
    for k in needed(graph.nodes, graph.outputs):
        node = graph.nodes[k]
        if node.op in LEAVES:
            said[k] = number(node.value) if isinstance(node.value, float) else names[str(node.value)]
            continue
        needs = NEEDS.get(node.op, (CHOICE,) * len(node.args))
        parts = [
            said[a] if binding(graph.nodes[a]) >= least else f"({said[a]})"
            for a, least in zip(node.args, needs, strict=True)
        ]
        row = TABLE[node.op]
        source = row.sources["torch" if row.callable or node.op == "where" else "python"]
        said[k] = source.format(*parts)
        if len(said[k]) > LONGEST:
            return ""
    return f"Y = {said[graph.outputs[0]]}"


def _names(graph: Graph) -> dict[str, str] | None:
    """Capitals for parameters, an i behind columns; as typed where that would clash; None if one is no identifier."""
    all_names = (*graph.parameters, *graph.columns)
    if not all(name.isidentifier() for name in all_names):
        return None
    found = {name: name[0].upper() + name[1:] for name in graph.parameters}
    found |= {name: name[0].upper() + name[1:] + "i" for name in graph.columns}
    if len({*found.values(), "Y", "Yi", "W"}) < len(found) + 3:
        return {name: name for name in all_names}
    return found


def loss(weighted: bool) -> str:
    """The line that compares."""
    return "loss = (W*(Y - Yi)**2).mean()" if weighted else "loss = mse(Y, Yi)"


BACKWARD = "loss.backward()"
STEP = "optim.step()"

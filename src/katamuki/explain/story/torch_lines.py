"""The PyTorch line that each part of a step stands for, written for the formula at hand: ``Y = A*Xi + B``.

Names are the tutorial's: a parameter is a capital letter, a column has an i behind it; an exported program
(:mod:`katamuki.export`) has the same.
"""

from __future__ import annotations

from katamuki.backends.expressions import tutorial_names, written
from katamuki.graph import Graph

LONGEST = 300
TAKEN = frozenset({"Y", "Yi", "loss", "mse", "optim", "torch"})


def forward(graph: Graph | None, weighted: bool = False) -> str:
    """The line that predicts: "Y = A*Xi + B"; empty where it would be very long.

    Example
    -------
    >>> from katamuki.graph import Builder
    >>> b = Builder()
    >>> forward(b.graph([b("exp", b("mul", b.leaf("parameter", "a"), b.leaf("column", "x")))]))
    'Y = torch.exp(A*Xi)'
    """
    if graph is None:
        return "Y = model(X)"
    names = tutorial_names(graph.columns, graph.parameters, TAKEN | {"Wi"} if weighted else TAKEN)
    try:
        return f"Y = {written(graph, 'torch', names, shared=False, limit=LONGEST).outputs[0]}"
    except OverflowError:
        return ""


def loss(weighted: bool) -> str:
    """The line that compares."""
    return "loss = (Wi*(Y - Yi)**2).mean()" if weighted else "loss = mse(Y, Yi)"


BACKWARD = "loss.backward()"
STEP = "optim.step()"

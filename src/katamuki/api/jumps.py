"""Parameters that move the curve in jumps only, such as c in ``a*(x > c)``: refused, with the scan that finds them.

A comparison, a sign and ``heaviside`` are constant except where they jump. A parameter that stands nowhere else has a
derivative that is 0 wherever it exists: no solver that follows slopes moves it, and it would come back as it went in,
as an answer. Seen on the graph, where its partial derivative is the constant 0. A breakpoint of a curve that is
continuous there, written with ``min``, ``max``, ``abs`` or branches that meet, has slopes and is fitted like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from katamuki.api.values import Settings
from katamuki.backends import numpy_
from katamuki.errors import FormulaError
from katamuki.formula import Model
from katamuki.formula.pointing import pointed
from katamuki.graph import LEAVES, Builder, Graph, depends, derivative, is_linear, needed, text
from katamuki.messages import Phrase
from katamuki.ops import TABLE
from katamuki.records import Array

SCAN = 100  # steps of a scan whose values are not known one by one
MOST = 400  # gaps between the values of a column that are scanned one by one
INDENT = " " * 9
LONGEST = 60  # characters of a formula that is written out in a remedy


class Jump(NamedTuple):
    """A node that is constant but for jumps, and the parameters that reach the model through such nodes only."""

    node: int
    names: tuple[str, ...]


def jumps(graph: Graph, slopes: Graph) -> tuple[Jump, ...]:
    """The nodes of a model that jump with parameters which have no slope anywhere.

    Parameters
    ----------
    graph : Graph
        The model.
    slopes : Graph
        Its derivative.

    Returns
    -------
    tuple of Jump
        In topological order; empty where every parameter has slopes somewhere.

    Source
    ------
    Own: a partial derivative that the reverse sweep leaves at the constant 0.

    Example
    -------
    >>> from katamuki import formula
    >>> graph = formula.parse("y ~ a*(x > c)", ("x", "y")).graph
    >>> [one.names for one in jumps(graph, derivative(graph))]
    [('c',)]
    """
    partials = zip(graph.parameters, (slopes.nodes[k] for k in slopes.outputs[1:]), strict=True)
    flat = [name for name, partial in partials if partial.op == "constant" and partial.value == 0.0]
    found: list[Jump] = []
    for k in needed(graph.nodes, graph.outputs) if flat else ():
        node = graph.nodes[k]
        rules = () if node.op in LEAVES else TABLE[node.op].pullback
        deciding = {a for a, rule in zip(node.args, rules, strict=False) if rule is None}
        names = tuple(name for name in flat if not depends(graph, [name]).isdisjoint(deciding))
        if names:
            found.append(Jump(k, names))
    return tuple(found)


def refuse(found: Sequence[Jump], model: Model, said: Settings, columns: Mapping[str, Array]) -> None:
    """Raise ``FormulaError`` where a free parameter moves the curve in jumps only, with the scan to run instead."""
    for one in found:
        name = next((name for name in one.names if name in said.free), None)
        if name is not None:
            raise _refusal(model, one.node, name, said, columns)


def _refusal(model: Model, node: int, name: str, said: Settings, columns: Mapping[str, Array]) -> FormulaError:
    """The error: which part jumps, why no solver moves the parameter, and the scan as a program."""
    graph, typed = model.graph, model.text
    span = graph.nodes[node].span
    what = typed[slice(*span)] if span else _short(graph, node)
    column, places = _places(graph, node, name, said, columns)
    equal = graph.nodes[node].op in {"eq", "ne"}
    which = "" if len(places) < 2 else ".range"
    if column is not None and (equal or len(places) <= MOST):
        which = ".equal" if equal else ".gaps"
    each, many = (
        Phrase("api.jump_each" + one, name=name, column=column) for one in (which, which.replace("gaps", "range"))
    )
    short = len(typed) <= LONGEST
    python = _python(repr(typed) if span and short else "model", name, which, column, places)
    shell = _shell(typed if short else "FORMULA", name, which, places, 2 * len(model.parameters) + 2)
    picture = pointed(typed, span) if span else None
    return FormulaError(
        "E-JUMP", "api.jump", where=picture, name=name, what=what, each=each, many=many, python=python, shell=shell
    )


def _python(model: str, name: str, which: str, column: str | None, places: Array) -> str:
    """The scan in Python."""
    lines = [f"values = numpy.unique(data[{column!r}])"]
    if which == ".gaps":
        lines.append("values = (values[1:] + values[:-1]) / 2")
    elif which != ".equal":
        low, high = (f"{places[0]:.6g}", f"{places[-1]:.6g}") if which else ("LOW", "HIGH")
        lines = [f"values = numpy.linspace({low}, {high}, {SCAN + 1})"]
    lines.append(f"fits = [katamuki.fit({model}, data, fixed={{{name!r}: value}}) for value in values]")
    lines.append("best = min(fits, key=lambda fit: fit.rss)")
    return "\n".join(INDENT + line for line in lines)


def _shell(typed: str, name: str, which: str, places: Array, rss: int) -> str:
    """The scan in a shell; ``rss`` is the number of its column."""
    values = "VALUES" if which == ".equal" else "$(seq LOW STEP HIGH)"
    if which in {".range", ".gaps"}:
        low, high = float(places[0]), float(places[-1])
        values = f"$(seq {low:.6g} {(high - low) / SCAN:.6g} {high:.6g})"
    quoted = typed.replace("'", "'\\''")
    lines = (
        f"for value in {values}; do",
        f"  katamuki fit '{quoted}' FILE --fix {name}=$value --csv --quiet",
        f"done | sort -t, -k{rss} -g",
    )
    return "\n".join(INDENT + line for line in lines)


def _short(graph: Graph, node: int) -> str | Phrase:
    """A node as text, where it is short."""
    try:
        return text(graph, node, 200)
    except OverflowError:
        return Phrase("formula.long_part", op=graph.nodes[node].op)


def _places(
    graph: Graph, node: int, name: str, said: Settings, columns: Mapping[str, Array]
) -> tuple[str | None, Array]:
    """Where the rows jump as a parameter moves: the column that holds those values, if one does, and the values.

    The parameter's bounds, if there are none: where what decides is not linear in it, or moves with another free one.
    """
    args = graph.nodes[node].args[: 1 if graph.nodes[node].op == "where" else 2]
    b = Builder(graph.nodes)
    decides = b.graph([b("sub", *args) if len(args) == 2 else args[0]])
    bounds = np.array([one for one in said.bounds.get(name, ()) if np.isfinite(one)])
    if any(one != name and one in said.free for one in decides.parameters) or not is_linear(decides, [name]):
        return None, bounds
    at = {one: said.start[one] for one in decides.parameters} | {name: 0.0}
    offset, *partials = numpy_.evaluate(derivative(decides), columns, at)
    slope = partials[decides.parameters.index(name)]
    with np.errstate(all="ignore"):
        places = -offset / slope
    places = np.unique(places[np.isfinite(places)])
    if len(places) < 2:
        return None, bounds
    column = next((one for one in decides.columns if np.array_equal(np.unique(columns[one]), places)), None)
    return column, places

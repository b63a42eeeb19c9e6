"""A formula's graph as the source of a torch function: one argument per column and parameter, in torch's own words.

Expressions come from the ``torch`` column of the table of operations; parts that are used again get a line of their
own. Constants stay Python numbers, which take the type of the tensor beside them, but where an operation takes tensors
only they become tensors of the same type and device. It prints; importing it imports no torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from katamuki.backends.expressions import reserved
from katamuki.backends.torch_ import library
from katamuki.errors import BackendError
from katamuki.graph import LEAVES, Graph, needed
from katamuki.ops import TABLE

TENSORS_ONLY = frozenset({"min", "max", "where"})  # a bare number is an error there, or takes torch's default type
DEEP = 12  # operations inside one another in one line


def source(graph: Graph) -> str:
    """The Python source of ``model(columns…, parameters…)``: the graph's first output, row by row.

    Raises
    ------
    BackendError
        If PyTorch lacks an operation of the formula.

    Example
    -------
    >>> from katamuki import formula
    >>> print(source(formula.parse("y ~ a*exp(-b*x)", ("x", "y")).rhs))
    def model(x, a, b):
        return (a*torch.exp(((-b)*x)))
    """
    names = _arguments(graph)
    wanted = needed(graph.nodes, graph.outputs[:1])
    uses: Counter[int] = Counter(graph.outputs[:1])
    for k in wanted:
        node = graph.nodes[k]
        if node.op not in LEAVES:
            template = _template(node.op)
            for i, a in enumerate(node.args):
                uses[a] += max(1, template.count(f"{{{i}}}"))
    lines: list[str] = []
    texts: dict[int, str] = {}
    depths: dict[int, int] = {}
    for k in wanted:
        node = graph.nodes[k]
        if node.op == "constant":
            texts[k], depths[k] = _constant(float(node.value)), 0  # type: ignore[arg-type]
            continue
        if node.op in LEAVES:
            texts[k], depths[k] = names[node.op, str(node.value)], 0
            continue
        parts = [texts[a] for a in node.args]
        if node.op in TENSORS_ONLY:
            like = next(iter(names.values()))
            parts = [
                f"{like}.new_tensor({part})" if graph.nodes[a].op == "constant" else part
                for part, a in zip(parts, node.args, strict=True)
            ]
        text = _template(node.op).format(*parts)
        depth = 1 + max(depths[a] for a in node.args)
        if uses[k] > 1 or depth > DEEP:
            lines.append(f"    t{k} = {text}")
            text, depth = f"t{k}", 0
        texts[k], depths[k] = text, depth
    lines.append(f"    return {texts[graph.outputs[0]]}")
    return "\n".join([f"def model({', '.join(names.values())}):", *lines]) + "\n"


def compiled(graph: Graph) -> Callable[..., Any]:
    """The function that :func:`source` prints: our own text, names chosen by us."""
    space: dict[str, Any] = {"torch": library()}
    exec(compile(source(graph), "<katamuki torch>", "exec"), space)
    function: Callable[..., Any] = space["model"]
    return function


def _template(op: str) -> str:
    template = TABLE[op].sources.get("torch", "")
    if not template:
        raise BackendError("E-BACKEND", "torch.no_operation", op=op)
    return template


def _arguments(graph: Graph) -> dict[tuple[str, str], str]:
    """Python's name for each column and parameter: its own where that is possible, else c0, p0 and so on."""
    found: dict[tuple[str, str], str] = {}
    for op, letter, names in (("column", "c", graph.columns), ("parameter", "p", graph.parameters)):
        for k, name in enumerate(names):
            number = name[:1] in {"t", "c", "p"} and name[1:].isdigit()  # these are ours
            usable = name.isidentifier() and not reserved(name) and name != "torch" and not number
            found[op, name] = name if usable and name not in found.values() else f"{letter}{k}"
    return found


def _constant(value: float) -> str:
    text = repr(value)
    return f"({text})" if text.startswith("-") else text

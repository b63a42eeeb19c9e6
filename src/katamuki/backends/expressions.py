"""A graph as Python text of a library: expressions as a person writes them, named parts where a part is used again.

Signs are printed with as few brackets as reading them back needs, functions from the column of the table of operations
that belongs to the library. Names of the formula become Python's names. It prints; it computes nothing. Exported
programs and the PyTorch lines of a step's story are made here; what runs is printed by the kernel and
:mod:`katamuki.backends.torch_.printing`, for machines.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from katamuki.errors import BackendError
from katamuki.graph import LEAVES, NEEDS, Graph, Node, binding, needed, number
from katamuki.ops import ATOM, COMPARISON, TABLE

CALL = re.compile(r"[\w.]+\(\{0\}(?:, (?:\{\d\}|[\d.]+))*\)")  # arguments between commas need no brackets
SOFT = frozenset({"_", "case", "match", "type"})  # keywords in some places, of every Python that a program may meet
Names = Mapping[tuple[str, str], str]  # (leaf's operation, name in the formula) → name in the program


@dataclass(frozen=True, slots=True)
class Written:
    """Lines that name shared parts, and the text of each output."""

    lines: tuple[str, ...]
    outputs: tuple[str, ...]


def written(graph: Graph, library: str, names: Names, *, shared: bool = True, limit: int | None = None) -> Written:
    """A graph's outputs as text.

    Parameters
    ----------
    graph : Graph
        A formula, or its derivative.
    library : str
        A column of the table of operations: "numpy", "torch" or "python".
    names : mapping
        The program's name of each leaf.
    shared : bool
        Whether parts that occur more than once get a line and a name of their own.
    limit : int, optional
        Characters of a text; without ``shared`` it grows with every use of a part.

    Returns
    -------
    Written
        Text for each output, and the lines that must stand before it.

    Raises
    ------
    BackendError
        If the library lacks an operation of the formula.
    OverflowError
        If a text is longer than ``limit``.
    """
    wanted = needed(graph.nodes, graph.outputs)
    uses = Counter(a for k in wanted for a in graph.nodes[k].args)
    uses.update(graph.outputs)
    taken = set(names.values())
    texts: dict[int, tuple[str, int]] = {}
    lines: list[str] = []
    for k in wanted:
        node = graph.nodes[k]
        text, strength = _text(graph.nodes, k, texts, library, names)
        if shared and uses[k] > 1 and node.op not in LEAVES:
            name = _unused("part", taken)
            taken.add(name)
            lines.append(f"{name} = {text}")
            text, strength = name, ATOM
        if limit is not None and len(text) > limit:
            raise OverflowError
        texts[k] = text, strength
    return Written(tuple(lines), tuple(texts[k][0] for k in graph.outputs))


def _text(
    nodes: tuple[Node, ...], k: int, texts: Mapping[int, tuple[str, int]], library: str, names: Names
) -> tuple[str, int]:
    """One node as text, and how strongly it binds."""
    node = nodes[k]
    if node.op == "constant":
        return number(float(node.value)), binding(node)  # type: ignore[arg-type]
    if node.op in LEAVES:
        return names[node.op, str(node.value)], ATOM
    op = TABLE[node.op]
    template = op.sources.get(library, "")
    if not template:
        raise BackendError("E-BACKEND", "export.no_operation", op=node.op, library=library)
    if not op.callable and COMPARISON < op.binding < ATOM and "(" not in template.strip("()"):
        needs = NEEDS[node.op]
        parts = [
            texts[a][0] if texts[a][1] >= least else f"({texts[a][0]})"
            for a, least in zip(node.args, needs, strict=True)
        ]
        return op.sources["python"].format(*parts), op.binding
    bare = CALL.fullmatch(template) is not None
    parts = [texts[a][0] if bare or texts[a][1] >= ATOM else f"({texts[a][0]})" for a in node.args]
    if library == "torch" and op.arity > 1:  # torch's functions of two arguments take tensors only
        parts = [
            f"torch.tensor({part})" if nodes[a].op == "constant" and node.op != "where" else part
            for part, a in zip(parts, node.args, strict=True)
        ]
    return template.format(*parts), ATOM


def tutorial_names(columns: Iterable[str], parameters: Iterable[str], taken: Collection[str]) -> Names:
    """Names as the tutorial writes them: A and B for parameters a and b, Xi and Yi for columns x and y.

    Example
    -------
    >>> list(tutorial_names(["x", "time"], ["a", "rate"], ()).values())
    ['Xi', 'timei', 'A', 'rate']
    """
    wanted = [("column", name, _capital(name) + "i") for name in columns]
    return identifiers([*wanted, *(("parameter", name, _capital(name)) for name in parameters)], taken)


def _capital(name: str) -> str:
    return name.upper() if len(name) == 1 else name


def identifiers(wanted: Iterable[tuple[str, str, str]], taken: Collection[str]) -> dict[tuple[str, str], str]:
    """A Python name for each leaf: (operation, name in the formula, name wished for); no two alike, none ``taken``.

    Example
    -------
    >>> identifiers([("parameter", "a", "A"), ("column", "flow rate", "flow ratei"), ("column", "if", "if")], {"A"})
    {('parameter', 'a'): 'A_2', ('column', 'flow rate'): 'flow_ratei', ('column', 'if'): 'if_'}
    """
    used = set(taken)
    found = {}
    for op, name, wish in wanted:
        clean = re.sub(r"\W", "_", wish)
        if not clean or clean[0].isdigit():
            clean = "_" + clean
        if reserved(clean):
            clean += "_"
        chosen = clean if clean not in used else _unused(clean, used)
        used.add(chosen)
        found[op, name] = chosen
    return found


def reserved(name: str) -> bool:
    """Whether Python means something by a name: keywords, those of some places only, and ``__names__`` such as these.

    Example
    -------
    >>> [reserved(name) for name in ("if", "match", "__debug__", "matches", "_debug_")]
    [True, True, True, False, False]
    """
    return keyword.iskeyword(name) or name in SOFT or (len(name) > 4 and name.startswith("__") and name.endswith("__"))


def _unused(stem: str, taken: Collection[str]) -> str:
    """``stem`` with the first number that makes it new."""
    k = 1 if stem == "part" else 2
    while f"{stem}_{k}" in taken:
        k += 1
    return f"{stem}_{k}"

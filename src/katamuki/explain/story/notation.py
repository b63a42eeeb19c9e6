"""Expressions as people write them: ``m = a·x``, ``∂L/∂m · x``, ``√20.2664``, with names or with numbers in them.

An expression is a :class:`katamuki.graph.Graph` whose leaves are names. The same printer writes it in letters and, told
what to put for each name, in numbers. It is for reading; what reads back to the same graph is ``graph.text``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from katamuki.graph import LEAVES, Builder, Graph, Node, needed
from katamuki.ops import ATOM, CHOICE, POWER, PRODUCT, SIGN, SUM, TABLE
from katamuki.report.numbers import DASH, MINUS

RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
SIGNS = {"lt": "<", "le": "≤", "gt": ">", "ge": "≥", "eq": "==", "ne": "≠"}
Spell = Callable[[str], str]


def short(value: float, digits: int = 6) -> str:
    """A number inside arithmetic: six significant digits without trailing zeros, a true minus, never −0.

    Example
    -------
    >>> [short(v) for v in (-45.018181818, 0.5, 7.5057, 20.266366942149, 1e-8, 1234567.0, -0.0, float("nan"))]
    ['−45.0182', '0.5', '7.5057', '20.2664', '1e−08', '1.23457e+06', '0', '—']
    """
    if math.isnan(value):
        return DASH
    text = f"{value:.{digits}g}"
    return "0" if float(text) == 0.0 else text.replace("-", MINUS)


def expression(make: Callable[[Builder, dict[str, int]], int], names: list[str]) -> Graph:
    """An expression over named leaves: ``make`` gets a builder and the leaves' places."""
    b = Builder(simplify=True)
    places = {name: b.leaf("parameter", name) for name in names}
    return b.graph([make(b, places)])


def letters(name: str) -> str:
    """A name as it is."""
    return name


def written(graph: Graph, spell: Spell = letters, *, spaced: bool = False) -> str:
    """The first output of an expression as text.

    Parameters
    ----------
    graph : Graph
        Leaves are names and constants.
    spell : function
        What to write for a name: the name itself, or a number.
    spaced : bool
        Write a product as ``u · x`` rather than ``u·x``.

    Returns
    -------
    str
        One line.

    Example
    -------
    >>> rule = expression(lambda b, at: b("mul", at["u"], b("powi", at["x"], 2.0)), ["u", "x"])
    >>> written(rule), written(rule, {"u": "0.5", "x": "−3"}.get, spaced=True)
    ('u·x²', '0.5 · (−3)²')
    """
    nodes = graph.nodes
    said: dict[int, str] = {}
    binds: dict[int, int] = {}
    for k in needed(nodes, graph.outputs[:1]):
        node = nodes[k]
        if node.op in LEAVES:
            said[k] = short(float(node.value)) if node.op == "constant" else spell(str(node.value))  # type: ignore[arg-type]
            binds[k] = strength(said[k])
        else:
            said[k], binds[k] = _operation(node, nodes, said, binds, spaced)
    return said[graph.outputs[0]]


def strength(text: str) -> int:
    """How strongly a leaf's text binds: a number with a sign or an exponent less than a name."""
    if text.startswith(MINUS):
        return SIGN
    return PRODUCT if text[:1].isdigit() and ("e" in text or "/" in text) else ATOM


def _operation(
    node: Node, nodes: tuple[Node, ...], said: dict[int, str], binds: dict[int, int], spaced: bool
) -> tuple[str, int]:
    """The text of an operation, and how strongly it binds."""
    args = node.args

    def at(k: int, least: int) -> str:
        text = said[args[k]]
        return text if binds[args[k]] >= least else f"({text})"

    op = node.op
    if op == "add":
        return f"{at(0, SUM)} + {at(1, SUM)}", SUM
    if op == "sub":
        return f"{at(0, SUM)} {MINUS} {at(1, ATOM if _negative(said[args[1]]) else PRODUCT)}", SUM
    if op == "mul":
        dot = " · " if spaced else "·"
        second = SIGN if spaced or not _negative(said[args[1]]) else ATOM
        return f"{at(0, PRODUCT)}{dot}{at(1, second if not _fraction(nodes, args[1]) else ATOM)}", PRODUCT
    if op == "div":
        return f"{at(0, PRODUCT)} / {at(1, SIGN)}", PRODUCT
    if op == "neg":
        return MINUS + at(0, POWER), SIGN
    if op in {"pow", "powi"}:
        return _power(said[args[1]], at(0, ATOM), at(1, ATOM)), POWER
    if op == "sqrt":
        return "√" + at(0, ATOM), POWER
    if op == "abs":
        return f"|{said[args[0]]}|", ATOM
    if op == "where":
        return f"{at(1, SUM)} if {at(0, CHOICE + 1)} else {at(2, SUM)}", CHOICE
    if op in SIGNS:
        return f"{at(0, SUM)} {SIGNS[op]} {at(1, SUM)}", CHOICE + 1
    return f"{op}({', '.join(said[a] for a in args)})", ATOM


def _negative(text: str) -> bool:
    return text.startswith(MINUS)


def _fraction(nodes: tuple[Node, ...], k: int) -> bool:
    return nodes[k].op in {"div", "mul"}


def _power(exponent: str, base: str, bracketed: str) -> str:
    """x², x⁻¹, or x^p where the exponent is no short whole number."""
    plain = exponent.replace(MINUS, "-")
    if plain.lstrip("-").isdigit():
        return base + plain.translate(RAISED)
    return f"{base}^{bracketed}"


assert set(SIGNS) <= set(TABLE)

"""A graph as compiled code: Python source for the value and all partial derivatives of a block of rows.

The source is printed from the derivative graph through the table of operations, one line per node, and compiled by
:mod:`katamuki.backends.native`; ``Kernel.source`` shows it. Nothing is reassociated or contracted in the model's own
arithmetic, and NaN and infinity are kept. It works on one block of at most 256 rows: whoever reduces blocks is
generic and compiled once (:mod:`katamuki.problem.passes`).
"""

from __future__ import annotations

import ast
import math
import threading
from collections import OrderedDict
from collections.abc import Collection
from functools import cached_property
from typing import Any

import numpy as np

from katamuki.backends import double_double as arithmetic
from katamuki.backends import native
from katamuki.backends.native import Native, Placeholder, address_of
from katamuki.backends.vectormath import BINARY, UNARY
from katamuki.backends.vectors import FUNCTIONS, LANES, choose, load, root_of, size_of, store
from katamuki.graph import LEAVES, Graph, Node, depends, derivative, needed
from katamuki.ops import TABLE
from katamuki.records import Array

BLOCK = 256
KEPT = 256  # kernels of graphs that other processes sent
SCOPE: dict[str, Any] = {name: Placeholder(name) for name in (*UNARY, *BINARY)}
DOUBLE_DOUBLE: dict[str, Any] = {
    one.__name__: one
    for one in (arithmetic.dd_add, arithmetic.dd_sub, arithmetic.dd_mul, arithmetic.dd_neg, arithmetic.dd_powi)
}
SCOPE |= {"sqrt": math.sqrt, "get": native.get, "put": native.put, "at": native.at, "fma": native.fma}
OF_EIGHT: dict[str, Any] = {
    **FUNCTIONS, "sqrt": root_of, "abs": size_of, "choose": choose, "load": load, "store": store, "at": native.at,
}  # fmt: skip


class Kernel:
    """One model, compiled when first needed.

    Parameters
    ----------
    graph : Graph
        The model's right side: one output.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.parameters = graph.parameters
        self.columns = graph.columns
        self.layouts: dict[tuple[str, ...], Any] = {}  # what problems keep for each choice of free parameters

    def __reduce__(self) -> tuple[Any, ...]:
        return kernel_of, (self.graph,)  # to another process goes the graph alone

    @cached_property
    def derivative(self) -> Graph:
        """Value and partial derivatives as one graph."""
        return derivative(self.graph)

    @cached_property
    def source(self) -> str:
        """The Python source that is compiled."""
        return rows_source(self.derivative)

    @cached_property
    def native(self) -> Native:
        """The compiled ``rows`` function."""
        return compile_source(self.source, "rows", native.ROWS, SCOPE)

    @property
    def address(self) -> int:
        """The address of ``rows``."""
        return self.native.address

    @cached_property
    def each(self) -> Native:
        """``rows`` of eight curves at a time, each with parameters of its own.

        Place k of ``params`` holds parameter k of each of the eight; ``start`` counts doubles, ``m`` places.
        """
        return compile_source(rows_of_eight_source(self.derivative), "rows_of_eight", native.ROWS, OF_EIGHT)

    @cached_property
    def double_double(self) -> Native:
        """The same values and partials as high and low doubles; for models linear in what is fitted."""
        source = double_double_source(self.derivative)
        return compile_source(source, "rows", native.ROWS, {**SCOPE, **DOUBLE_DOUBLE})

    @property
    def double_double_address(self) -> int:
        """The address of the double-double ``rows``: values are the high parts, partials the low ones."""
        return self.double_double.address

    def evaluate(self, columns: Any, params: Array, n: int, want: bool = False) -> Array:
        """Values (n,), or with ``want`` values and partials (1 + all_p, n), for columns in the kernel's order."""
        pointers = np.array([address_of(one) for one in columns] or [0], dtype=np.int64)
        out = np.empty((1 + len(self.parameters), n) if want else (1, n))
        block = np.empty((1 + len(self.parameters), BLOCK))
        params = np.ascontiguousarray(params, dtype=np.float64)
        call, inputs, values = self.native, (address_of(pointers), address_of(params)), address_of(block)
        partials = values + BLOCK * block.itemsize
        for start in range(0, n, BLOCK):
            m = min(BLOCK, n - start)
            call(*inputs, start, m, values, partials, want)
            out[:, start : start + m] = block[: len(out), :m]
        return out if want else out[0]


_received: OrderedDict[Graph, Kernel] = OrderedDict()
_lock = threading.Lock()


def kernel_of(graph: Graph) -> Kernel:
    """The kernel of a graph that another process sent: one for each graph, so that it is compiled once."""
    with _lock:
        found = _received.get(graph)
        if found is None:
            found = _received[graph] = Kernel(graph)
        _received.move_to_end(graph)
        while len(_received) > KEPT:
            _received.popitem(last=False)
        return found


def compile_source(source: str, name: str, signature: str, scope: dict[str, Any], *, sums: bool = False) -> Native:
    """A compiled function from printed source; only source that this package printed comes here."""
    space = dict(scope)
    exec(compile(source, f"<katamuki {name}>", "exec"), space)  # our own text, names numbered by us
    return Native(space[name], signature, sums=sums, source=source)


def rows_source(graph: Graph) -> str:
    """The source of ``rows``: outputs of the graph are the value and one partial per parameter."""
    varying = depends(graph, (), columns=graph.columns)
    lines = ["def rows(columns, params, start, m, values, partials, want):"]
    lines += [f"    c{k} = at(columns[{k}], start)  # {name!a}" for k, name in enumerate(graph.columns)]
    lines += [f"    p{k} = params[{k}]  # {name!a}" for k, name in enumerate(graph.parameters)]
    everything = needed(graph.nodes, graph.outputs)
    lines += [f"    t{k} = {expression(graph, k)}" for k in everything if k not in varying and is_computed(graph, k)]
    lines.append("    if want == 0:")
    lines += loop(
        graph, needed(graph.nodes, graph.outputs[:1]), varying, [("values", "i", graph.outputs[0])], "        "
    )
    lines.append("        return 0")
    stores = [("values", "i", graph.outputs[0])]
    stores += [("partials", f"{BLOCK * k} + i" if k else "i", out) for k, out in enumerate(graph.outputs[1:])]
    lines += loop(graph, everything, varying, stores, "    ")
    lines.append("    return 0")
    return "\n".join(lines) + "\n"


def rows_of_eight_source(graph: Graph) -> str:
    """The source of ``rows_of_eight``: the same operations on eight numbers side by side.

    What depends on parameters alone is computed before the rows, reciprocals of divisors among it: a row multiplies.
    """
    varying = depends(graph, (), columns=graph.columns)
    everything = needed(graph.nodes, graph.outputs)
    over = sorted({node.args[1] for node in map(graph.nodes.__getitem__, everything) if node.op == "div"} - varying)
    lines = ["def rows_of_eight(columns, params, start, m, values, partials, want):"]
    lines += [f"    c{k} = at(columns[{k}], start)  # {name!a}" for k, name in enumerate(graph.columns)]
    lines += [f"    p{k} = load(params, {k})  # {name!a}" for k, name in enumerate(graph.parameters)]
    lines += [f"    t{k} = {of_eight(graph, k)}" for k in everything if k not in varying and is_computed(graph, k)]
    lines += [f"    i{k} = 1.0 / {operand(graph, k)}" for k in over]
    places = [("values", "i"), *(("partials", f"{BLOCK // LANES * k} + i") for k in range(len(graph.parameters)))]
    for outputs, indent in ((graph.outputs[:1], "        "), (graph.outputs, "    ")):
        if outputs == graph.outputs[:1]:
            lines.append("    if want == 0:")
        lines.append(f"{indent}for i in range(m):")
        for k in needed(graph.nodes, outputs):
            if k in varying:
                lines.append(f"{indent}    t{k} = {of_eight(graph, k, over)}")
        for (target, place), out in zip(places, outputs, strict=False):
            lines.append(f"{indent}    store({target}, {place}, {operand(graph, out)})")
        lines.append(f"{indent}return 0")
    return "\n".join(lines) + "\n"


class Choices(ast.NodeTransformer):
    """Python's choice between two numbers becomes one between vectors of them."""

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        """``a if test else b`` → ``choose(test, a, b)``."""
        parts = [self.visit(part) for part in (node.test, node.body, node.orelse)]
        return ast.Call(ast.Name("choose", ast.Load()), parts, [])


def of_eight(graph: Graph, k: int, over: Collection[int] = ()) -> str:
    """The right side of a node's line for eight numbers; divisors in ``over`` have their reciprocals."""
    node = graph.nodes[k]
    if node.op == "column":
        return f"load(c{graph.columns.index(str(node.value))}, i)"
    if node.op == "div" and node.args[1] in over:
        return f"({operand(graph, node.args[0])}*i{node.args[1]})"
    return ast.unparse(Choices().visit(ast.parse(expression(graph, k), mode="eval")))


def double_double_source(graph: Graph) -> str:
    """The source of ``rows`` in double-double: column k of ``high`` and ``low`` is the k-th output."""
    lines = ["def rows(columns, params, start, m, high, low, want):"]
    lines += [f"    c{k} = at(columns[{k}], start)  # {name!a}" for k, name in enumerate(graph.columns)]
    lines += [f"    p{k} = params[{k}]  # {name!a}" for k, name in enumerate(graph.parameters)]
    lines.append("    for i in range(m):")
    for k in needed(graph.nodes, graph.outputs):
        node = graph.nodes[k]
        template = "" if node.op in LEAVES else TABLE[node.op].sources.get("dd", "")
        if node.op == "powi" and exponent(graph, node) >= 0:
            base = node.args[0]
            lines.append(f"        h{k}, l{k} = dd_powi(h{base}, l{base}, {exponent(graph, node)})")
        elif template and node.op != "powi":
            pairs = [f"h{a}, l{a}" for a in node.args]
            lines.append(f"        h{k}, l{k} = {template.format(*pairs)}")
        else:
            text = operand(graph, k) if node.op in {"constant", "parameter"} else expression(graph, k, "h")
            lines.append(f"        h{k}, l{k} = {text}, 0.0")
    for k, out in enumerate(graph.outputs):
        lines.append(f"        put(high, {BLOCK * k} + i, h{out})")
        lines.append(f"        put(low, {BLOCK * k} + i, l{out})")
    return "\n".join([*lines, "    return 0"]) + "\n"


def loop(
    graph: Graph, nodes: list[int], varying: Collection[int], stores: list[tuple[str, str, int]], indent: str
) -> list[str]:
    """The loop over a block's rows."""
    lines = [f"{indent}for i in range(m):"]
    lines += [f"{indent}    t{k} = {expression(graph, k)}" for k in nodes if k in varying]
    lines += [f"{indent}    put({target}, {index}, {operand(graph, out)})" for target, index, out in stores]
    return lines


def is_computed(graph: Graph, k: int) -> bool:
    """Whether a node is an operation rather than a leaf."""
    return graph.nodes[k].op not in LEAVES


def operand(graph: Graph, k: int, letter: str = "t") -> str:
    """How other lines refer to a node."""
    node = graph.nodes[k]
    if node.op == "constant":
        return constant(node)
    if node.op == "parameter":
        return f"p{graph.parameters.index(str(node.value))}"
    return f"{letter}{k}"


def constant(node: Node) -> str:
    """A constant as source; repr of a float reads back to the same bits."""
    text = repr(float(node.value))  # type: ignore[arg-type]
    return f"({text})" if text.startswith("-") else text


def expression(graph: Graph, k: int, letter: str = "t") -> str:
    """The right side of a node's line."""
    node = graph.nodes[k]
    if node.op == "column":
        return f"get(c{graph.columns.index(str(node.value))}, i)"
    operands = [operand(graph, a, letter) for a in node.args]
    if node.op == "powi":
        return power(operands[0], exponent(graph, node))
    return TABLE[node.op].sources["kernel"].format(*operands)


def exponent(graph: Graph, node: Node) -> int:
    """The constant exponent of an integer power."""
    return int(graph.nodes[node.args[1]].value)  # type: ignore[arg-type]


def power(base: str, exponent: int) -> str:
    """An integer power as a product."""
    if exponent < 0:
        return f"(1.0 / {power(base, -exponent)})"
    if exponent == 0:
        return "1.0"
    if exponent == 1:
        return base
    half = power(base, exponent // 2)
    square = f"({half} * {half})"
    return f"({square} * {base})" if exponent % 2 else square

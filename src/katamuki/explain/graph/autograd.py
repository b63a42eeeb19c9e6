"""PyTorch's own graph of a step's loss, beside this one: every ``grad_fn`` with the gradient that passed through it.

The formula is computed operation by operation with tensors, so that each of our nodes knows the ``grad_fn`` that made
it; the loss is written by hand, ``((Y - Yi)**2).mean()``. Then the chain of ``next_functions`` is walked, a hook is put
on every node, and ``loss.backward()`` is called: what the hooks saw is what really passed. Which node belongs to which
follows from the tensors, not from the names. Reference: PyTorch, "Autograd mechanics".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Any

import numpy as np

from katamuki import messages
from katamuki.backends.torch_ import library
from katamuki.backends.torch_.printing import compiled
from katamuki.errors import BackendError, spoken
from katamuki.explain.graph.tape import record
from katamuki.explain.step.record import Step
from katamuki.explain.story.blocks import Block, Line, Table, Words, as_html, as_text
from katamuki.explain.story.notation import short
from katamuki.explain.story.text import check_row
from katamuki.graph import Builder, Graph
from katamuki.records import Array
from katamuki.report import jsonable
from katamuki.report.numbers import brief

MOST_ROWS = 100_000  # of which PyTorch builds its graph here


@dataclass(frozen=True, slots=True)
class TorchNode:
    """One node of PyTorch's graph.

    ``name`` is PyTorch's ("AddBackward0", "AccumulateGrad"); ``ours`` the node of the tape whose gradient arrives here,
    None inside an operation that PyTorch makes of several. ``gradient`` is what arrived, (n,) or (), as the hook saw
    it; ``apart`` the largest |difference| from ours in units of the largest gradient of that node, or of what was
    summed up to it, None where there is nothing to compare. ``following`` are the nodes that it passes gradients on to.
    """

    name: str
    ours: str | None
    shape: tuple[int, ...]
    gradient: Array
    apart: float | None
    following: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Autograd:
    """PyTorch's graph of one step: its nodes in the order in which gradients pass, from the loss to ``AccumulateGrad``.

    ``agreement`` is the largest ``apart`` of all nodes; None where a gradient of PyTorch's is not finite.
    """

    nodes: tuple[TorchNode, ...]
    step: int
    rows: int
    dtype: str
    version: str
    agreement: float | None
    ours: Mapping[str, Array]

    def text(self, row: int = 1, lang: str = "en") -> str:
        """Both graphs side by side: of a row, and summed over all where a gradient is one number.

        Raises
        ------
        BoundsError
            If there is no such row or language.
        """
        return as_text(_blocks(self, row, lang))

    def to_dict(self) -> dict[str, Any]:
        """The records as plain lists and numbers, NaN as None."""
        return {
            "schema": "katamuki.autograd/1",
            "step": self.step,
            "rows": self.rows,
            "dtype": self.dtype,
            "torch": self.version,
            "agreement": self.agreement,
            "nodes": [
                {
                    "name": one.name,
                    "ours": one.ours,
                    "shape": list(one.shape),
                    "gradient": jsonable(one.gradient),
                    "apart": jsonable(one.apart),
                    "following": list(one.following),
                }
                for one in self.nodes
            ],
        }

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return f'<section lang="en"><p>{escape(_title(self, "en"))}</p>{as_html(_blocks(self, 1, "en")[1:])}</section>'


def beside(step: Step) -> Autograd:
    """Build the loss with PyTorch at a step's parameters, run backward, and set both graphs side by side.

    Parameters
    ----------
    step : Step
        A step of a formula's fit.

    Returns
    -------
    Autograd
        PyTorch's nodes with the gradients that its hooks saw.

    Raises
    ------
    BackendError
        If PyTorch is missing, the model is no formula, or there are more than 100,000 rows.
    """
    torch = library()
    subject, tape = step.subject, step.tape
    if subject.graph is None or tape.sketch is None:
        raise BackendError("E-BACKEND", "autograd.no_formula")
    if step.n > MOST_ROWS:
        raise BackendError("E-BACKEND", "autograd.rows", rows=step.n, most=MOST_ROWS)
    kind = getattr(torch, step.dtype)
    tensors = _forward(torch, kind, step, subject.graph)
    names = {tensor.grad_fn: name for name, tensor in tensors.items() if tensor.grad_fn is not None}
    loss = tensors[tape.nodes[tape.loss].name]
    order, arrived = _walk(loss)
    for tensor in tensors.values():
        if tensor.is_leaf and tensor.requires_grad:
            tensor.grad = None
    loss.backward()
    ours, sizes = _ours(step)
    place = {node: k for k, node in enumerate(order)}
    leaves = {id(tensor): name for name, tensor in tensors.items() if tensor.is_leaf and tensor.requires_grad}
    nodes = []
    for node in order:
        gradient = arrived[node].detach().cpu().numpy().astype(np.float64)
        variable = getattr(node, "variable", None)
        name = names.get(node) if variable is None else leaves.get(id(variable))
        following = tuple(place[one] for one, _ in node.next_functions if one is not None)
        apart = None if name is None or name not in ours else _apart(gradient, ours[name], sizes[name])
        nodes.append(TorchNode(node.name().split("::")[-1], name, gradient.shape, gradient, apart, following))
    compared = [one.apart for one in nodes if one.apart is not None]
    agreement = max(compared, default=0.0)
    finite = bool(np.isfinite(compared).all())
    version = str(torch.__version__).partition("+")[0]
    return Autograd(tuple(nodes), step.number, step.n, step.dtype, version, agreement if finite else None, ours)


def _forward(torch: Any, kind: Any, step: Step, graph: Graph) -> dict[str, Any]:
    """The tensor of every node of the tape, by its name."""
    subject, sketch, tape = step.subject, step.tape.sketch, step.tape
    assert sketch is not None  # by the caller
    values: list[Any] = []
    for k, node in enumerate(graph.nodes):
        if node.op == "column":
            values.append(torch.tensor(np.ascontiguousarray(subject.columns[str(node.value)]), dtype=kind))
        elif node.op == "parameter":
            name = str(node.value)
            values.append(torch.tensor(step.before[name], dtype=kind, requires_grad=name in step.free))
        elif node.op == "constant":
            values.append(None)
        else:
            values.append(_operation(graph, k)(*(values[a] for a in node.args if values[a] is not None)))
    found = {sketch.names[k]: value for k, value in enumerate(values) if value is not None}
    y = torch.tensor(np.ascontiguousarray(subject.y), dtype=kind)
    error = values[sketch.out] - y
    square = error**2
    if subject.weights is not None:
        square = torch.tensor(np.ascontiguousarray(subject.weights), dtype=kind) * square
    names = [tape.nodes[k].name for k in (tape.error, tape.square, tape.loss)]
    return found | dict(zip(names, (error, square, square.mean()), strict=True))


def _operation(graph: Graph, k: int) -> Any:
    """The torch function of one node, of its arguments that are no constants."""
    node = graph.nodes[k]
    given = tuple(
        (index, graph.nodes[a].value if graph.nodes[a].op == "constant" else None) for index, a in enumerate(node.args)
    )
    return _compiled(node.op, given)


@lru_cache(maxsize=256)
def _compiled(op: str, given: tuple[tuple[int, Any], ...]) -> Any:
    b = Builder()
    leaves = [
        b.leaf("parameter", f"u{index}") if value is None else b.leaf("constant", float(value))
        for index, value in given
    ]
    return compiled(b.graph([b(op, *leaves)]))


def _walk(loss: Any) -> tuple[list[Any], dict[Any, Any]]:
    """All nodes, each before those that it passes gradients on to, and a place for what arrives at each."""
    order: list[Any] = []
    seen: set[Any] = set()
    waiting: list[tuple[Any, bool]] = [(loss.grad_fn, False)]
    while waiting:
        node, done = waiting.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            waiting.append((node, True))
            waiting += [(one, False) for one, _ in node.next_functions if one is not None and one not in seen]
    order.reverse()
    arrived: dict[Any, Any] = {}

    def hook(node: Any) -> Any:
        def keep(gradients: tuple[Any, ...]) -> None:
            arrived[node] = gradients[0].clone()

        return keep

    for node in order:
        node.register_prehook(hook(node))
    return order, arrived


def _ours(step: Step) -> tuple[dict[str, Array], dict[str, float]]:
    """Our gradient of every node, (n,) or () where it is shared; and its size: the largest, or what was summed up."""
    tape, subject = step.tape, step.subject
    assert tape.sketch is not None  # by the caller
    if len(tape.rows) < step.n:
        every = range(1, step.n + 1)
        tape = record(tape.sketch, subject.columns, subject.y, subject.weights, step.before, every)
    found = {node.name: node.adjoint for node in tape.nodes if node.adjoint is not None}
    sizes = {name: float(np.abs(one).max(initial=0.0)) for name, one in found.items()}
    summed: dict[str, float] = {}
    for one in tape.flows:
        source, target = tape.nodes[one.source], tape.nodes[one.target]
        size = float(np.abs(one.value).sum())
        if source.shared and sizes[source.name] > 0.0:  # what cancelled before it came here
            size *= summed.get(source.name, sizes[source.name]) / sizes[source.name]
        if target.shared:
            summed[target.name] = summed.get(target.name, 0.0) + size
    return found, {name: max(size, summed.get(name, 0.0)) for name, size in sizes.items()}


def _apart(theirs: Array, ours: Array, size: float) -> float:
    worst = float(np.abs(theirs - ours).max(initial=0.0))
    return worst / size if size > 0.0 else worst


def _title(found: Autograd, lang: str) -> str:
    return messages.sentence("autograd.title", lang, step=found.step)


def _blocks(found: Autograd, row: int, lang: str) -> list[Block]:
    """The title, a table of both graphs, and how far the gradients agree."""
    spoken(lang)
    row = check_row(found.rows, row)
    say = {
        key: messages.sentence("autograd." + key, lang) for key in ("node", "to", "theirs", "ours", "symbol", "shape")
    }
    titles = ("#", say["node"], say["to"], say["shape"], say["symbol"], say["theirs"], say["ours"])
    rows = []
    for k, one in enumerate(found.nodes):
        to = " ".join(str(j + 1) for j in one.following) or ".grad"
        shape = f"({one.shape[0]},)" if one.shape else "()"
        symbol = "" if one.ours is None else f"∂L/∂{one.ours}"
        ours = "" if one.ours is None or one.ours not in found.ours else short(_at(found.ours[one.ours], row))
        rows.append((str(k + 1), one.name, to, shape, symbol, short(_at(one.gradient, row)), ours))
    made = messages.sentence("autograd.made", lang, version=found.version, rows=found.rows, dtype=found.dtype)
    blocks: list[Block] = [Line(_title(found, lang), indent=0), Line(made), Table(titles, tuple(rows))]
    blocks.append(Words(messages.sentence("autograd.row", lang, row=row)))
    if found.agreement is None:
        return [*blocks, Words(messages.sentence("autograd.not_finite", lang))]
    return [*blocks, Words(messages.sentence("autograd.agree", lang, apart=brief(max(found.agreement, 1.1e-16))))]


def _at(gradient: Array, row: int) -> float:
    return float(gradient if gradient.ndim == 0 else gradient[row - 1])

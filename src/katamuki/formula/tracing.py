"""A plain NumPy function as a model: called once with nodes in the place of arrays, it becomes the same graph.

NumPy hands every operation on a node to the node (``__array_ufunc__``, NEP 13; ``__array_function__``, NEP 18). What a
graph cannot hold is an error that says so: a branch on values, a function without a row in the table, an array. The
function's text is printed from the graph, so that it can be read again.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

from katamuki.data.names import some
from katamuki.errors import FormulaError
from katamuki.formula.model import Model
from katamuki.formula.naming import Names, nothing_to_fit
from katamuki.formula.nodes import Traced
from katamuki.formula.tokens import LENGTH
from katamuki.graph import LEAVES, RESERVED, Builder, Graph, name_text, text

Function = Callable[..., object]


def trace(
    function: Function,
    columns: Sequence[str],
    *,
    params: Sequence[str] | None = None,
    given: Sequence[str] = (),
    target: str = "y",
) -> Model:
    """Turn a NumPy function of columns and parameters into a model of the column ``target``.

    ``lambda x, a, b: a*x + b`` for data with columns x and y is the formula ``y ~ a*x + b``. The function is called
    once.

    Parameters
    ----------
    function : function
        Its arguments are columns of the data by name; the others are parameters, in this order.
    columns : sequence of str
        The names of the data's columns.
    params : sequence of str, optional
        Arguments that are parameters even if a column has the same name.
    given : sequence of str
        Names for which the user gave a start, bounds or a fixed value.
    target : str
        The column that the function is a model of.

    Returns
    -------
    Model
        Text, graphs and names; derivatives of it are exact.

    Raises
    ------
    FormulaError
        If the function branches on values, calls what a graph cannot hold, or has arguments that are not plain.

    Source
    ------
    NumPy enhancement proposals 13 and 18.

    Example
    -------
    >>> import numpy as np
    >>> trace(lambda x, a, b: a * np.exp(-b * x), ["x", "y"]).text
    'y ~ a*exp(-b*x)'
    """
    arguments = _arguments(function)
    names = Names(f"f({', '.join(arguments)})", columns, params or (), given)
    response = _response(names, arguments, target)
    builder = Builder()
    nodes: list[Traced] = []
    parameters: list[str] = []
    for name in arguments:
        column = names.column(name)
        if column is None:
            parameters.append(name)
        nodes.append(Traced(builder, builder.leaf("parameter" if column is None else "column", column or name)))
    used = [name for name in map(names.column, arguments) if name is not None]
    _check_arguments(names, parameters, [*used, response])
    node = _called(function, nodes, builder)
    found = builder.graph([node])
    rhs = Graph(found.nodes, found.outputs, found.columns, tuple(n for n in parameters if n in found.parameters))
    said = f"{name_text(response)} ~ {_printed(rhs)}"
    unused = [name for name in parameters if name not in found.parameters]
    if unused:
        raise FormulaError("E-MODEL", "formula.argument_unused", name=unused[0], formula=said)
    if not parameters:
        raise nothing_to_fit(said, response, rhs.columns)
    side = Builder()
    lhs = side.graph([side.leaf("column", response)])
    return Model(said, lhs, rhs, name_text(response), (response, *rhs.columns), rhs.parameters)


def _arguments(function: Function) -> tuple[str, ...]:
    """The names of a function's arguments, all plain."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise FormulaError("E-MODEL", "formula.no_signature", name=_called_name(function)) from None
    for one in signature.parameters.values():
        if one.kind in {one.VAR_POSITIONAL, one.VAR_KEYWORD}:
            stars = "*" if one.kind is one.VAR_POSITIONAL else "**"
            raise FormulaError("E-MODEL", "formula.star_argument", name=stars + one.name)
        if one.kind is one.KEYWORD_ONLY:
            raise FormulaError("E-MODEL", "formula.keyword_argument", name=one.name)
        if one.default is not one.empty:
            raise FormulaError("E-MODEL", "formula.default_argument", name=one.name)
    return tuple(signature.parameters)


def _called_name(function: Function) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _response(names: Names, arguments: Sequence[str], target: str) -> str:
    """The column that the function is a model of."""
    response = names.column(target)
    if response is None:
        raise FormulaError("E-COLUMN", "formula.no_target", target=target, columns=some(names.all, 20))
    if response in map(names.column, arguments):
        raise FormulaError("E-RESPONSE", "formula.target_argument", name=response)
    return response


def _check_arguments(names: Names, parameters: Sequence[str], used: Sequence[str]) -> None:
    """The arguments' names, as in a formula; and one of them is a column."""
    for name in parameters:
        if name in RESERVED:
            raise FormulaError("E-NAME", "formula.reserved", name=name)
    places = []
    for name in parameters:
        start = names.text.index(name, 2)
        places.append((name, (start, start + len(name))))
    names.check_parameters(places, used)
    if len(used) < 2:
        raise FormulaError(
            "E-MODEL", "formula.no_argument_column", arguments=some(parameters, 20), columns=some(names.all, 20)
        )


def _called(function: Function, nodes: Sequence[Traced], builder: Builder) -> int:
    """Call the function and return its node."""
    try:
        result = function(*nodes)
    except FormulaError:
        raise
    except Exception as error:
        raise FormulaError(
            "E-MODEL", "formula.function_failed", kind=type(error).__name__, message=str(error)[:200]
        ) from error
    node = Traced.operand(builder, result)
    if node is None:
        raise FormulaError("E-MODEL", "formula.result", type=type(result).__name__)
    return int(node) if not isinstance(node, float) else builder.leaf("constant", node)


def _printed(graph: Graph) -> str:
    """The right side as text."""
    operations = sum(node.op not in LEAVES for node in graph.nodes)
    try:
        return text(graph, graph.outputs[0], LENGTH - 100)
    except OverflowError:
        raise FormulaError("E-LIMIT", "formula.function_long", count=operations, limit=LENGTH) from None

"""A formula's text as a model: both sides read, names resolved, the sides checked against each other."""

from __future__ import annotations

from collections.abc import Sequence

from katamuki.formula.model import Model
from katamuki.formula.naming import Names, normal, nothing_to_fit
from katamuki.formula.pointing import at_place, syntax
from katamuki.formula.reading import Reader
from katamuki.formula.tokens import Token, tokens
from katamuki.graph import RESERVED, Builder, Graph, Span


def parse(text: str, columns: Sequence[str], *, params: Sequence[str] = (), given: Sequence[str] = ()) -> Model:
    """Read a formula ``response ~ expression`` for data with these columns.

    Columns are data, other names are parameters; ``pi`` is the number. Nothing is evaluated but arithmetic of
    constants. Limits: 10,000 characters, 2,000 operations, depth 100.

    Parameters
    ----------
    text : str
        Such as ``"y ~ a*exp(-b*x) + c"``; ``=`` separates the sides as well, ``^`` is a power, names that are no
        identifiers stand in backticks.
    columns : sequence of str
        The names of the data's columns.
    params : sequence of str
        Names that are parameters even if a column has the same name.
    given : sequence of str
        Names for which the user gave a start, bounds or a fixed value.

    Returns
    -------
    Model
        Text, graphs and names.

    Raises
    ------
    FormulaError
        For whatever cannot be read, with carets under the place and what to write instead.

    Source
    ------
    Dijkstra 1961; see :mod:`katamuki.formula.reading`.

    Example
    -------
    >>> model = parse("y ~ a*exp(-b*x) + c", ["x", "y"])
    >>> model.response, model.columns, model.parameters
    ('y', ('y', 'x'), ('a', 'b', 'c'))
    """
    found = tokens(text)
    names = Names(text, columns, params, given)
    split = _separator(text, found)
    left, right = found[: split + 1], found[split + 1 :]
    if len(left) < 2:
        raise syntax(text, left[0].span, "formula.side_empty")
    lhs, lhs_parameters = _side(text, left, names)
    rhs, rhs_parameters = _side(text, right, names)
    response = text[left[0].span[0] : left[-2].span[1]]
    _check_left(text, left, found, lhs, lhs_parameters, names)
    used = tuple(dict.fromkeys((*lhs.columns, *rhs.columns)))
    names.check_parameters(rhs_parameters, used)
    _check_sides(text, right, lhs, rhs, names)
    if not rhs.parameters:
        raise nothing_to_fit(text, response, rhs.columns)
    return Model(text, lhs, rhs, response, used, rhs.parameters)


def _separator(text: str, found: Sequence[Token]) -> int:
    """The place of the one ``~`` or ``=`` that parts the sides."""
    places = [k for k, one in enumerate(found) if one.kind == "sign" and one.text in {"~", "="}]
    if not places:
        equal = [one for one in found if one.text == "=="]
        if len(equal) == 1:
            raise syntax(text, equal[0].span, "formula.separator_equal")
        raise syntax(text, found[0].span, "formula.separator")
    depth = 0
    for k, one in enumerate(found):
        depth += (one.text == "(") - (one.text == ")") if one.kind == "sign" else 0
        if k in places and depth > 0:
            raise syntax(text, one.span, "formula.separator_inside")
    if len(places) > 1:
        raise syntax(text, found[places[1]].span, "formula.separator_twice")
    return places[0]


def _side(text: str, side: Sequence[Token], names: Names) -> tuple[Graph, list[tuple[str, Span]]]:
    """One side's graph, and its parameters with their first places."""
    builder = Builder()
    parameters: dict[str, Span] = {}

    def leaf(token: Token) -> int:
        if token.kind == "name" and token.text in RESERVED:
            names.check_reserved(token)
            return builder.leaf("constant", RESERVED[token.text], token.span)
        column = names.column(token.text)
        if column is not None:
            names.check_twice(token)
            return builder.leaf("column", column, token.span)
        names.check_bare(token)
        parameters.setdefault(token.text, token.span)
        return builder.leaf("parameter", token.text, token.span)

    node = Reader(text, leaf, builder).read(side)
    return builder.graph([node]), list(parameters.items())


def _check_left(
    text: str,
    left: Sequence[Token],
    found: Sequence[Token],
    lhs: Graph,
    parameters: list[tuple[str, Span]],
    names: Names,
) -> None:
    """The left side holds data, at least one column, and no parameter."""
    for name, span in parameters:
        if name in names.params:
            raise at_place(text, span, "E-RESPONSE", "formula.left_parameter", name=name)
        token = next(one for one in left if one.span == span)
        fixed = names.respelt(found)
        near = fixed if any(name.casefold() == one.casefold() for one in names.columns) else None
        if lhs.columns and near is None:
            raise at_place(text, span, "E-RESPONSE", "formula.left_parameter", name=name)
        raise names.no_column(token, near)
    if not lhs.columns:
        span = (left[0].span[0], left[-2].span[1])
        raise at_place(text, span, "E-RESPONSE", "formula.left_constant")


def _check_sides(text: str, right: Sequence[Token], lhs: Graph, rhs: Graph, names: Names) -> None:
    """The response does not explain itself."""
    if set(lhs.columns) <= set(rhs.columns):
        name = lhs.columns[0]
        span = next(one.span for one in right if one.kind in {"name", "ticked"} and one.text == normal(name))
        raise at_place(text, span, "E-RESPONSE", "formula.response_right", name=name)

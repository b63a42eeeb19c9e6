"""A quantity computed from fitted parameters: ``half_life = log(2)/b``, read by the grammar of formulas."""

from __future__ import annotations

import re
from collections.abc import Sequence

from katamuki.data import nearest
from katamuki.errors import FormulaError
from katamuki.formula.parsing import parse
from katamuki.graph import Graph

NAMED = re.compile(r"\s*([^\W\d]\w*)\s*=(?!=)")
UNNAMED = "quantity"


def quantity(text: str, params: Sequence[str]) -> tuple[str, Graph]:
    """The name and the graph of a quantity made of parameters.

    Parameters
    ----------
    text : str
        ``"name = expression"``, or the expression alone, which is then its own name.
    params : sequence of str
        The parameters it may use.

    Returns
    -------
    str, Graph
        The name and one output over parameters.

    Raises
    ------
    FormulaError
        If it cannot be read, or uses a name that is no parameter.

    Example
    -------
    >>> name, graph = quantity("half_life = log(2)/b", ["a", "b"])
    >>> name, graph.parameters
    ('half_life', ('b',))
    """
    found = NAMED.match(text)
    name = found[1] if found else text.strip()
    if name in params and found:
        raise FormulaError("E-NAME", "formula.quantity_is_parameter", name=name)
    column = name if found else UNNAMED
    while column in params:
        column += "_"
    model = parse(text if found else f"{column} ~ {text}", [column])
    for one in model.rhs.parameters:
        if one not in params:
            near = nearest(one, params)
            key = "formula.quantity_unknown" if near is None else "formula.quantity_near"
            raise FormulaError("E-NAME", key, name=one, names=", ".join(params), near=near)
    return name, model.rhs

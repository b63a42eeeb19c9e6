"""Which rows a fit uses: ``where="x > 4 and y < 3"``, read by Python's grammar and walked against an allow-list.

Nothing is evaluated but comparisons, ``and``/``or``/``not``, ``in`` with a list of values, and arithmetic of columns
and numbers; text columns compare with quoted text. Column names that are no identifiers stand in backticks. A row whose
condition cannot be decided because a value is missing counts as a missing value, never as false; a comparison with
what has no value although its columns have (0/0) is false.
"""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.data.names import printable
from katamuki.errors import DataError
from katamuki.records import Array

LIMIT = 2000  # characters
DEPTH = 50
QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`([^`]*)`""")
ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Mod: np.mod,
    ast.Pow: np.power,
}
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
Value = Array | float
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that was read: its text, and the columns it compares as numbers and as text."""

    text: str
    tree: ast.expr
    numeric: tuple[str, ...]
    textual: tuple[str, ...]
    ticked: Mapping[str, str]


def parse(text: str) -> Condition:
    """Read a condition.

    Parameters
    ----------
    text : str
        Such as ``"x > 4 and kind == 'a'"``.

    Returns
    -------
    Condition
        The columns in order of first appearance.

    Raises
    ------
    DataError
        Where it is no condition of the allowed kind, with the part that is not.

    Example
    -------
    >>> parse("2 < x <= 5 or `flow rate` > 1 and kind in ('a', 'b')").numeric
    ('x', 'flow rate')
    """
    if not isinstance(text, str):
        raise DataError("E-WHERE", "data.where_type", type=type(text).__name__)
    if len(text) > LIMIT:
        raise DataError("E-WHERE", "data.where_long", length=len(text), limit=LIMIT)
    ticked: dict[str, str] = {}

    def hide(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0]
        key = f"_{len(ticked)}_"
        while key in text:
            key += "_"
        ticked[key] = found[1]
        return key

    if "#" in QUOTED.sub("", text):  # Python would leave out what follows
        raise DataError("E-WHERE", "data.where_syntax", text=printable(text[:200]))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as an escape that Python does not know
            tree = ast.parse(QUOTED.sub(hide, text).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        key = "data.where_equal" if re.search(r"[^=!<>]=[^=]", text) else "data.where_syntax"
        raise DataError("E-WHERE", key, text=printable(text[:200])) from None
    reader = _Reader(text, ticked)
    reader.truth(tree, 0)
    return Condition(text, tree, tuple(reader.numeric), tuple(reader.textual), ticked)


class _Reader:
    """Walks a tree against the allow-list and collects the columns."""

    def __init__(self, text: str, ticked: Mapping[str, str]) -> None:
        self.text, self.ticked = text, ticked
        self.numeric: dict[str, None] = {}
        self.textual: dict[str, None] = {}

    def refuse(self, node: ast.AST, key: str = "data.where_part") -> DataError:
        try:
            part = ast.unparse(node)
        except RecursionError:
            part = self.text
        for hidden, name in self.ticked.items():
            part = part.replace(hidden, f"`{name}`")
        return DataError("E-WHERE", key, text=printable(self.text[:200]), part=printable(part[:80]))

    def deep(self, node: ast.AST, depth: int) -> None:
        if depth > DEPTH:
            raise DataError("E-WHERE", "data.where_deep", limit=DEPTH)

    def truth(self, node: ast.expr, depth: int) -> None:
        self.deep(node, depth)
        if isinstance(node, ast.BoolOp):
            for value in node.values:
                self.truth(value, depth + 1)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            self.truth(node.operand, depth + 1)
        elif isinstance(node, ast.Compare):
            self.comparison(node, depth + 1)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr):
            raise self.refuse(node, "data.where_bits")
        else:
            raise self.refuse(node, "data.where_truth" if isinstance(node, ast.Name) else "data.where_part")

    def comparison(self, node: ast.Compare, depth: int) -> None:
        members = isinstance(node.ops[0], ast.In | ast.NotIn)
        if members:
            if len(node.ops) > 1 or not isinstance(node.comparators[0], ast.Tuple | ast.List | ast.Set):
                raise self.refuse(node)
            sides = [node.left, *node.comparators[0].elts]
        else:
            sides = [node.left, *node.comparators]
        if not any(_text(side) for side in sides):
            if not members and not all(type(op) in COMPARISONS for op in node.ops):
                raise self.refuse(node)
            for side in sides:
                self.number(side, depth)
            return
        if not members and not (len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq | ast.NotEq)):
            raise self.refuse(node, "data.where_text")
        for side in sides:
            if isinstance(side, ast.Name):
                self.textual[self.ticked.get(side.id, side.id)] = None
            elif not _text(side):
                raise self.refuse(node, "data.where_text")

    def number(self, node: ast.expr, depth: int) -> None:
        self.deep(node, depth)
        if isinstance(node, ast.Name):
            self.numeric[self.ticked.get(node.id, node.id)] = None
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            if abs(node.value) > sys.float_info.max:  # type: ignore[arg-type]
                raise self.refuse(node)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            self.number(node.operand, depth + 1)
        elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
            self.number(node.left, depth + 1)
            self.number(node.right, depth + 1)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor):
            raise self.refuse(node, "data.where_power")
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr):
            raise self.refuse(node, "data.where_bits")
        else:
            raise self.refuse(node)


def can_hold(condition: Condition, ranges: Mapping[str, tuple[float, float]]) -> bool:
    """Whether a condition can be true of rows whose columns lie within ``ranges`` (lowest, highest), by name.

    Columns compared with numbers are looked at; of anything else it is assumed that it can.

    Example
    -------
    >>> can_hold(parse("x > 4 and not y == 2"), {"x": (0.0, 3.0)}), can_hold(parse("x > 4 or y > 0"), {"x": (0.0, 3.0)})
    (False, True)
    """

    def limits(node: ast.expr) -> tuple[float, float] | None:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            inner = limits(node.operand)
            return None if inner is None else (-inner[1], -inner[0])
        if isinstance(node, ast.Constant) and not isinstance(node.value, str):
            return float(node.value), float(node.value)  # type: ignore[arg-type]
        return ranges.get(condition.ticked.get(node.id, node.id)) if isinstance(node, ast.Name) else None

    def both(op: ast.cmpop, left: ast.expr, right: ast.expr) -> tuple[bool, bool]:
        """Whether it can be true, and whether it can be false."""
        one, two = limits(left), limits(right)
        if one is None or two is None:
            return True, True
        if isinstance(op, ast.Gt | ast.GtE):
            one, two = two, one
        if isinstance(op, ast.Lt | ast.Gt):
            return one[0] < two[1], one[1] >= two[0]
        if isinstance(op, ast.LtE | ast.GtE):
            return one[0] <= two[1], one[1] > two[0]
        same = one[0] <= two[1] and two[0] <= one[1], not one[0] == one[1] == two[0] == two[1]
        return same if isinstance(op, ast.Eq) else same[::-1]

    def truth(node: ast.expr) -> tuple[bool, bool]:
        if isinstance(node, ast.UnaryOp):
            return truth(node.operand)[::-1]
        if isinstance(node, ast.BoolOp):
            parts = [truth(value) for value in node.values]
            join, other = (all, any) if isinstance(node.op, ast.And) else (any, all)
        else:
            assert isinstance(node, ast.Compare)
            join, other = all, any
            if isinstance(node.ops[0], ast.In | ast.NotIn):
                choices: list[ast.expr] = node.comparators[0].elts  # type: ignore[attr-defined]
                parts = [both(ast.Eq(), node.left, one) for one in choices] or [(False, True)]
                join, other = any, all
            else:
                sides = [node.left, *node.comparators]
                parts = [both(op, sides[k], sides[k + 1]) for k, op in enumerate(node.ops)]
        found = join(one for one, _ in parts), other(one for _, one in parts)
        negated = isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.NotIn)
        return found[::-1] if negated else found

    return truth(condition.tree)[0]


def _text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def holds(condition: Condition, numeric: Mapping[str, Array], textual: Mapping[str, NDArray[Any]], n: int) -> Mask:
    """Where a condition is true: (n,) bool, from columns (n,) of numbers and of text."""

    def truth(node: ast.expr) -> Mask:
        if isinstance(node, ast.BoolOp):
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            found = truth(node.values[0])
            for value in node.values[1:]:
                found = join(found, truth(value))
            return found
        if isinstance(node, ast.UnaryOp):
            return np.logical_not(truth(node.operand))
        assert isinstance(node, ast.Compare)
        return comparison(node)

    def comparison(node: ast.Compare) -> Mask:
        if isinstance(node.ops[0], ast.In | ast.NotIn):
            choices: list[ast.expr] = node.comparators[0].elts  # type: ignore[attr-defined]
            value = of([node.left, *choices])
            found = np.zeros(n, dtype=bool)
            for other in value[1:]:
                found |= np.equal(value[0], other)
            return found if isinstance(node.ops[0], ast.In) else ~found
        sides = of([node.left, *node.comparators])
        result = np.ones(n, dtype=bool)
        for op, left, right in zip(node.ops, sides[:-1], sides[1:], strict=True):
            result &= np.asarray(COMPARISONS[type(op)](left, right), dtype=bool)
        return result

    def of(sides: list[ast.expr]) -> list[Any]:
        if not any(_text(side) for side in sides):
            return [number(side) for side in sides]
        return [_words(side, condition, textual) for side in sides]

    def number(node: ast.expr) -> Value:
        if isinstance(node, ast.Name):
            return numeric[condition.ticked.get(node.id, node.id)]
        if isinstance(node, ast.Constant):
            return float(node.value)  # type: ignore[arg-type]
        if isinstance(node, ast.UnaryOp):
            inner = number(node.operand)
            return -inner if isinstance(node.op, ast.USub) else inner
        assert isinstance(node, ast.BinOp)
        result: Value = ARITHMETIC[type(node.op)](number(node.left), number(node.right))
        return result

    with np.errstate(all="ignore"):
        return truth(condition.tree)


def _words(side: ast.expr, condition: Condition, textual: Mapping[str, NDArray[Any]]) -> Any:
    if isinstance(side, ast.Name):
        return textual[condition.ticked.get(side.id, side.id)]
    assert isinstance(side, ast.Constant)
    return side.value

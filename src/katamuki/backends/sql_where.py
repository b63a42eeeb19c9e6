"""A condition on rows, ``where="x > 4 and kind == 'a'"``, as SQL: names quoted, numbers and texts bound.

It means there what :mod:`katamuki.data.condition` means in memory: a comparison with what has no value (0/0) is false,
and a row in which a column of the condition is missing is no row whose condition is false.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping

from katamuki.backends.sql import template
from katamuki.data.condition import Condition
from katamuki.data.databases import Dialect, Value
from katamuki.errors import BackendError

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne",
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow",
}  # fmt: skip
REMAINDER = {
    "duckdb": "(CASE WHEN ({0} % {1}) * {1} < 0 THEN ({0} % {1}) + {1} ELSE {0} % {1} END)",
    "sqlite": "(CASE WHEN mod({0}, {1}) * {1} < 0 THEN mod({0}, {1}) + {1} ELSE mod({0}, {1}) END)",
}


def condition_text(
    condition: Condition, columns: Mapping[str, str], dialect: Dialect, bind: Callable[[Value], str]
) -> str:
    """A condition that is true or false in every row without missing values.

    Parameters
    ----------
    condition : Condition
        As it was read.
    columns : mapping
        The text of each of its columns: numbers as doubles.
    dialect : Dialect
        The database's.
    bind : function
        Binds a value and gives its place.

    Raises
    ------
    BackendError
        If the database has no remainder of doubles.
    """
    return _Printer(condition, columns, dialect, bind).truth(condition.tree)


class _Printer:
    """Walks a tree that was read against an allow-list."""

    def __init__(
        self, condition: Condition, columns: Mapping[str, str], dialect: Dialect, bind: Callable[[Value], str]
    ) -> None:
        self.ticked, self.columns, self.dialect, self.bind = condition.ticked, columns, dialect, bind

    def truth(self, node: ast.expr) -> str:
        if isinstance(node, ast.BoolOp):
            join = " AND " if isinstance(node.op, ast.And) else " OR "
            return f"({join.join(self.truth(one) for one in node.values)})"
        if isinstance(node, ast.UnaryOp):
            return f"(NOT {self.truth(node.operand)})"
        assert isinstance(node, ast.Compare)
        return self.comparison(node)

    def comparison(self, node: ast.Compare) -> str:
        if isinstance(node.ops[0], ast.In | ast.NotIn):
            choices: list[ast.expr] = node.comparators[0].elts  # type: ignore[attr-defined]
            text = any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in (node.left, *choices))
            parts = [self.compared("eq", node.left, one, text) for one in choices]
            found = f"({' OR '.join(parts) or '1 = 0'})"
            return f"(NOT {found})" if isinstance(node.ops[0], ast.NotIn) else found
        sides = [node.left, *node.comparators]
        text = any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in sides)
        parts = [
            self.compared(COMPARISONS[type(op)], left, right, text)
            for op, left, right in zip(node.ops, sides[:-1], sides[1:], strict=True)
        ]
        return f"({' AND '.join(parts)})"

    def compared(self, op: str, left: ast.expr, right: ast.expr, text: bool) -> str:
        if text:
            return f"({self.words(left)} {'=' if op == 'eq' else '<>'} {self.words(right)})"
        return f"({template(op, self.dialect, False).format(self.number(left), self.number(right))} = 1)"

    def words(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return self.columns[self.ticked.get(node.id, node.id)]
        assert isinstance(node, ast.Constant)
        return self.bind(str(node.value))

    def number(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return self.columns[self.ticked.get(node.id, node.id)]
        if isinstance(node, ast.Constant):
            return self.bind(float(node.value))  # type: ignore[arg-type]
        if isinstance(node, ast.UnaryOp):
            inner = self.number(node.operand)
            return f"(- {inner})" if isinstance(node.op, ast.USub) else inner
        assert isinstance(node, ast.BinOp)
        left, right = self.number(node.left), self.number(node.right)
        if isinstance(node.op, ast.Mod):
            found = REMAINDER.get(self.dialect.key, "")
            if not found:
                raise BackendError("E-BACKEND", "sql.no_operation", op="%", database=self.dialect.name)
            return found.format(left, right)
        return template(ARITHMETIC[type(node.op)], self.dialect, self.dialect.checked).format(left, right)

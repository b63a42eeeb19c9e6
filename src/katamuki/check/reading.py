"""The checker's own reader: a formula's text becomes two functions of named arrays.

Python's own parser reads each side (``ast``), an allow-list admits what it found, and a flat program for a stack
replaces the tree, so that nothing is recursive and nothing is evaluated but arithmetic. The program runs on numbers of
any precision and on complex ones: a step into the imaginary direction is how the checker differentiates (Squire & Trapp
1998). This file shares no code with :mod:`katamuki.formula`, by design; it explains no mistake, it refuses.
"""

from __future__ import annotations

import ast
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from katamuki.check.arithmetic import BINARY, CALLS, COMPARISONS, choose, negated

LONGEST = 20_000  # characters
ZEROS = re.compile(r"(?<![\w.])0+(?=[0-9])")  # before a number: no number to Python


class UnreadableError(ValueError):
    """The text is no formula that this reader knows; the message is the part that it stopped at."""


@dataclass(frozen=True, slots=True)
class Expression:
    """One side of a formula: a program for a stack, and the names it reads in order of first appearance."""

    program: tuple[tuple[str, Any, int], ...]
    names: tuple[str, ...]

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """The value for named numbers and arrays that broadcast; the caller silences NumPy's warnings."""
        stack: list[Any] = []
        for kind, what, count in self.program:
            if kind == "number":
                stack.append(what)
            elif kind == "name":
                stack.append(values[what])
            elif count == 1:
                stack[-1] = what(stack[-1])
            elif count == 2:
                last = stack.pop()
                stack[-1] = what(stack[-1], last)
            else:
                stack[-count:] = [what(*stack[-count:])]
        return stack[0]


@lru_cache(maxsize=64)
def read(text: str) -> tuple[Expression, Expression]:
    """Both sides of a formula: ``~`` or ``=`` stands between them.

    Parameters
    ----------
    text : str
        A formula: ``y ~ a*x^2 + `my column```.

    Returns
    -------
    (Expression, Expression)
        Left and right side.

    Raises
    ------
    UnreadableError
        If the text is anything else.

    Source
    ------
    Own; the grammar is that of Python's expressions.

    Example
    -------
    >>> left, right = read("y ~ a*x^2 + b")
    >>> right.names, float(right({"a": 3.0, "b": 1.0, "x": 2.0}))
    (('a', 'x', 'b'), 13.0)
    """
    if len(text) > LONGEST:
        raise UnreadableError(text[:40])
    plain, names = _without_ticks(text)
    cuts = [k for k, sign in enumerate(plain) if _separates(plain, k, sign)]
    if len(cuts) != 1:
        raise UnreadableError(text)
    return expression(plain[: cuts[0]], names), expression(plain[cuts[0] + 1 :], names)


def _without_ticks(text: str) -> tuple[str, dict[str, str]]:
    """The text with names in backticks replaced by plain ones, and what those stand for."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        raise UnreadableError(text)
    prefix = "ticked"
    while prefix in text:
        prefix += "_"
    names = {}
    for k in range(1, len(parts), 2):
        stand_in = f"{prefix}{k}"
        names[stand_in] = unicodedata.normalize("NFKC", parts[k])
        parts[k] = stand_in
    return "".join(parts), names


def _separates(text: str, k: int, sign: str) -> bool:
    """Whether the character stands between the sides: ``~``, or ``=`` that belongs to no comparison."""
    if sign == "~":
        return True
    return sign == "=" and text[k - 1 : k] not in {"=", "<", ">", "!"} and text[k + 1 : k + 2] != "="


def expression(text: str, ticked: Mapping[str, str] | None = None) -> Expression:
    """One side of a formula; ``ticked`` says what stand-ins for names in backticks mean.

    Raises
    ------
    UnreadableError
        If the text is no expression of numbers, names and the functions of :mod:`katamuki.check.arithmetic`.
    """
    if ticked is None:
        text, ticked = _without_ticks(text)
    source = ZEROS.sub("", " ".join(text.replace("^", "**").split()))
    if "#" in source:  # Python would drop what follows
        raise UnreadableError(text)
    try:
        tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnreadableError(text) from error
    program: list[tuple[str, Any, int]] = []
    names: dict[str, None] = {}
    waiting: list[ast.expr | tuple[str, Any, int]] = [tree]  # last in, first out: an operation follows its operands
    while waiting:
        item = waiting.pop()
        if isinstance(item, tuple):
            program.append(item)
            continue
        step, operands = _step(item, ticked)
        if step[0] == "name":
            names[step[1]] = None
        waiting.append(step)
        waiting.extend(reversed(operands))
    return Expression(tuple(program), tuple(names))


def _step(node: ast.expr, ticked: Mapping[str, str]) -> tuple[tuple[str, Any, int], list[ast.expr]]:
    """What a node does, and the nodes it does it to."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        return ("number", _number(node.value), 0), []
    if isinstance(node, ast.Name):
        name = ticked.get(node.id, node.id)
        if name == "pi" and node.id not in ticked:
            return ("number", np.float64(math.pi), 0), []
        return ("name", name, 0), []
    if isinstance(node, ast.UnaryOp):
        if isinstance(node.op, ast.UAdd):
            return ("apply", lambda value: value, 1), [node.operand]
        return ("apply", _known({ast.USub: np.negative, ast.Not: negated}, node.op), 1), [node.operand]
    if isinstance(node, ast.BinOp):
        return ("apply", _known(BINARY, node.op), 2), [node.left, node.right]
    if isinstance(node, ast.BoolOp):
        return ("apply", _known(BINARY, node.op), len(node.values)), node.values
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return ("apply", _known(COMPARISONS, node.ops[0]), 2), [node.left, *node.comparators]
    if isinstance(node, ast.IfExp):
        return ("apply", choose, 3), [node.test, node.body, node.orelse]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        function, least, most = CALLS.get(node.func.id, (None, 1, 0))
        if least <= len(node.args) <= most:
            return ("apply", function, len(node.args)), node.args
    raise UnreadableError(type(node).__name__)


def _number(value: float) -> np.float64:
    try:
        return np.float64(float(value))
    except OverflowError as error:
        raise UnreadableError(str(value)[:40]) from error


def _known(table: Mapping[type, Callable[..., Any]], what: ast.AST) -> Callable[..., Any]:
    try:
        return table[type(what)]
    except KeyError:
        raise UnreadableError(type(what).__name__) from None

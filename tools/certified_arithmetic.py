"""Formulas of the certified problems, and their derivatives, in any exact arithmetic: rationals, or mpmath's numbers.

A :class:`Jet` is a value with its partial derivatives, in forward mode; :func:`evaluate` walks a formula's tree. The
functions and operations are those that NIST's models need, no more. No code is shared with katamuki.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from mpmath import mp, mpf


class Jet:
    """A value and its partial derivatives by the parameters; forward mode, for rationals and mpmath alike."""

    def __init__(self, value: Any, partials: Sequence[Any]) -> None:
        self.value, self.partials = value, partials

    def chain(self, value: Any, slope: Any) -> Jet:
        return Jet(value, [slope * d for d in self.partials])

    def __neg__(self) -> Jet:
        return self.chain(-self.value, -1)

    def __add__(self, other: Any) -> Jet:
        if isinstance(other, Jet):
            return Jet(self.value + other.value, [a + b for a, b in zip(self.partials, other.partials, strict=True)])
        return Jet(self.value + other, self.partials)

    def __mul__(self, other: Any) -> Jet:
        if isinstance(other, Jet):
            pairs = zip(self.partials, other.partials, strict=True)
            return Jet(self.value * other.value, [a * other.value + self.value * b for a, b in pairs])
        return self.chain(self.value * other, other)

    def __pow__(self, other: Any) -> Jet:
        if isinstance(other, Jet):
            return function("exp", other * function("log", self))
        return self.chain(self.value**other, other * self.value ** (other - 1))

    def __rpow__(self, other: Any) -> Jet:
        return function("exp", self * function("log", other))

    def __sub__(self, other: Any) -> Jet:
        return self + -other

    def __rsub__(self, other: Any) -> Jet:
        return -self + other

    def __truediv__(self, other: Any) -> Jet:
        if isinstance(other, Jet):
            return self * other**-1
        return Jet(self.value / other, [d / other for d in self.partials])

    def __rtruediv__(self, other: Any) -> Jet:
        return self**-1 * other

    __radd__ = __add__
    __rmul__ = __mul__


SLOPES: dict[str, Callable[[Any], Any]] = {
    "exp": mp.exp,
    "log": lambda u: 1 / u,
    "sin": mp.cos,
    "cos": lambda u: -mp.sin(u),
    "atan": lambda u: 1 / (1 + u * u),
}
OPERATIONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
}


def function(name: str, argument: Any) -> Any:
    """One elementary function of a number or a jet."""
    if isinstance(argument, Jet):
        return argument.chain(getattr(mp, name)(argument.value), SLOPES[name](argument.value))
    return getattr(mp, name)(argument)


def evaluate(node: ast.AST, scope: Mapping[str, Any]) -> Any:
    """The value of a formula's tree, every name taken from ``scope``."""
    if isinstance(node, ast.Expression):
        return evaluate(node.body, scope)
    if isinstance(node, ast.Name):
        return scope[node.id]
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.Constant):
        return mpf(str(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -evaluate(node.operand, scope)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return function(node.func.id, evaluate(node.args[0], scope))
    if isinstance(node, ast.BinOp):
        a, b = evaluate(node.left, scope), evaluate(node.right, scope)
        if isinstance(node.op, ast.Div) and isinstance(a, int) and isinstance(b, int):
            return Fraction(a, b)
        return OPERATIONS[type(node.op)](a, b)
    raise ValueError(f"not in a certified formula: {ast.dump(node)}")

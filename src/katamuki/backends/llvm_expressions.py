"""Expressions of compiled functions as LLVM text, and the choices of what is looked at next."""

from __future__ import annotations

import ast
import builtins
import math
from itertools import pairwise
from types import FunctionType
from typing import Any

from katamuki.backends import llvm_calls, native
from katamuki.backends.llvm_values import (
    BOOL,
    VOID,
    Code,
    Kind,
    Value,
    binary,
    compared,
    constant,
    converted,
    joined,
    loaded,
    negative,
    place,
    truth,
)


class Expressions:
    """What the expressions of one function are translated with.

    Parameters
    ----------
    module : Module
        Where it stands.
    python : FunctionType
        Its globals and its local names.
    """

    def __init__(self, module: llvm_calls.Module, python: FunctionType) -> None:
        self.module, self.python = module, python
        code = python.__code__
        self.locals = frozenset((*code.co_varnames, *code.co_cellvars, *code.co_freevars))
        self.kinds: dict[str, Kind] = {}  # of its variables
        self.code = Code(module.flags)

    def branch(self, test: ast.expr, yes: str, no: str, strict: bool = False) -> None:
        """Go on in one of two blocks; what need not be looked at is not. A ``strict`` test is one of truth values."""
        if isinstance(test, ast.BoolOp):
            for one in test.values[:-1]:
                further = self.code.label("test")
                self.branch(one, *((further, no) if isinstance(test.op, ast.And) else (yes, further)), strict)
                self.code.begin(further)
            self.branch(test.values[-1], yes, no, strict)
        elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            self.branch(test.operand, no, yes)
        else:
            value = self.value(test)
            if strict and value.kind != BOOL:  # of which Python's and, or would give one
                raise TypeError(f"{ast.unparse(test)} is no truth value")
            self.code.fork(truth(self.code, value), yes, no)

    def value(self, node: ast.expr) -> Value:
        """The value of an expression."""
        read = getattr(self, f"of_{type(node).__name__.lower()}", None)
        if read is None:
            raise TypeError(f"{type(node).__name__} is not in the subset")
        found: Value = read(node)
        return found

    def local(self, name: str) -> Value:
        """A variable's value."""
        if name not in self.kinds:
            raise TypeError(f"{name} is read before it is assigned")
        return self.code.value(self.kinds[name], f"load {self.kinds[name].llvm}, ptr %s.{name}")

    def resolved(self, node: ast.expr) -> Any:
        """What a name outside of the function stands for, in Python."""
        if isinstance(node, ast.Attribute):
            if self.resolved(node.value) is math:  # other modules' names would be missing from the cache's key
                return getattr(math, node.attr, None)
        elif isinstance(node, ast.Name) and node.id not in self.locals:
            scope = self.python.__globals__
            if node.id in scope or hasattr(builtins, node.id):
                return scope.get(node.id, getattr(builtins, node.id, None))
        raise TypeError(f"{ast.unparse(node)} is not known")

    def of_constant(self, node: ast.Constant) -> Value:
        if not isinstance(node.value, (int, float)):
            raise TypeError(f"{node.value!r} is no number")
        return constant(node.value)

    def of_name(self, node: ast.Name) -> Value:
        return self.local(node.id) if node.id in self.locals else self.outside(node)

    def of_attribute(self, node: ast.Attribute) -> Value:
        return self.outside(node)

    def outside(self, node: ast.expr) -> Value:
        """A constant of the module's."""
        found = self.resolved(node)
        if not isinstance(found, (int, float)):
            raise TypeError(f"{ast.unparse(node)} is no number")
        return constant(found)

    def of_tuple(self, node: ast.Tuple) -> Value:
        items = tuple(self.value(one) for one in node.elts)
        return Value(tuple_of(items), "", items)

    def of_subscript(self, node: ast.Subscript) -> Value:
        holder, index = self.value(node.value), self.value(node.slice)
        if holder.items and index.whole is not None:
            return holder.items[index.whole]
        return loaded(self.code, place(self.code, holder, index))

    def of_unaryop(self, node: ast.UnaryOp) -> Value:
        if isinstance(node.op, ast.Not):
            return self.decided(node)
        if not isinstance(node.op, ast.USub):
            raise TypeError(f"{ast.unparse(node)} is not in the subset")
        if isinstance(node.operand, ast.Constant) and isinstance(node.operand.value, (int, float)):
            return constant(-node.operand.value)
        return negative(self.code, self.value(node.operand))

    def of_binop(self, node: ast.BinOp) -> Value:
        a, b = self.value(node.left), self.value(node.right)
        if isinstance(node.op, ast.Pow):
            return llvm_calls.power(self.module, self.code, a, b)
        return binary(self.code, node.op, a, b)

    def of_compare(self, node: ast.Compare) -> Value:
        """A chain looks at all its numbers: they are cheap, and none of them does anything."""
        numbers = [self.value(one) for one in (node.left, *node.comparators)]
        found, *others = [
            compared(self.code, order, *pair) for order, pair in zip(node.ops, pairwise(numbers), strict=True)
        ]
        for one in others:
            found = self.code.value(BOOL, f"and i1 {found.text}, {one.text}")
        return found

    def of_boolop(self, node: ast.BoolOp) -> Value:
        return self.decided(node)

    def decided(self, node: ast.expr) -> Value:
        """A truth value out of blocks."""
        yes, no, after = (self.code.label(name) for name in ("yes", "no", "after"))
        self.branch(node, yes, no, strict=True)
        for label in (yes, no):
            self.code.begin(label)
            self.code.go(after)
        self.code.begin(after)
        return self.code.value(BOOL, f"phi i1 [ true, %{yes} ], [ false, %{no} ]")

    def of_ifexp(self, node: ast.IfExp) -> Value:
        yes, no, after = (self.code.label(name) for name in ("yes", "no", "after"))
        self.branch(node.test, yes, no)
        ends, arms, places = [], [], []
        for label, one in ((yes, node.body), (no, node.orelse)):
            self.code.begin(label)
            found = self.value(one)
            arms.append(found.items or (found,))
            ends.append(self.code.block)
            places.append(len(self.code.lines))
            self.code.do("")  # what the first arm is converted to is known after the second
        if len(arms[0]) != len(arms[1]):
            raise TypeError("both sides of a choice have as many values")
        kinds = [joined(one.kind, other.kind) for one, other in zip(*arms, strict=True)]
        made: list[list[Value]] = []
        for k, arm in zip(reversed(places), reversed(arms), strict=True):
            rest, self.code.lines = self.code.lines[k + 1 :], self.code.lines[:k]
            made.insert(0, [converted(self.code, one, kind) for one, kind in zip(arm, kinds, strict=True)])
            self.code.go(after)
            self.code.lines += rest
        self.code.begin(after)
        items = tuple(
            self.code.value(kind, f"phi {kind.llvm} [ {a.text}, %{ends[0]} ], [ {b.text}, %{ends[1]} ]")
            for kind, a, b in zip(kinds, *made, strict=True)
        )
        return items[0] if len(items) == 1 else Value(tuple_of(items), "", items)

    def of_call(self, node: ast.Call) -> Value:
        callee = llvm_calls.inlined(self.resolved(node.func))
        if node.keywords:
            raise TypeError("arguments have no names")
        arguments = [self.value(one) for one in node.args]
        if native.is_inline(callee):
            return self.called(callee, arguments)
        write = llvm_calls.known(callee)
        if write is None:
            raise TypeError(f"{ast.unparse(node.func)} cannot be called here")
        return write(self.module, self.code, *arguments)

    def called(self, python: FunctionType, arguments: list[Value]) -> Value:
        """The value of a call of another function of ours."""
        name, result = self.module.function(python, tuple(one.kind for one in arguments))
        call = f"call {result.llvm} @{name}({', '.join(f'{one.kind.llvm} {one.text}' for one in arguments)})"
        if result == VOID:
            self.code.do(call)
            return Value(VOID, "")
        whole = self.code.value(result, call)
        if not result.name.startswith("("):
            return whole
        items = tuple(
            self.code.value(part, f"extractvalue {result.llvm} {whole.text}, {k}")
            for k, part in enumerate(result.parts)
        )
        return Value(result, "", items)


def tuple_of(items: tuple[Value, ...]) -> Kind:
    """The kind of several values."""
    names, kinds = ", ".join(one.kind.name for one in items), ", ".join(one.kind.llvm for one in items)
    return Kind(f"({names})", f"{{ {kinds} }}", tuple(one.kind for one in items))

"""Statements of compiled functions as LLVM text.

A variable has one kind in a function, that which holds all that is assigned to it: the text is written until no
assignment widens a variable any more. Variables are slots of memory here, which LLVM turns into registers.
"""

from __future__ import annotations

import ast
from types import FunctionType

from katamuki.backends.llvm_calls import Module
from katamuki.backends.llvm_expressions import Expressions
from katamuki.backends.llvm_values import (
    INT,
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
    place,
    stored,
)


class Function(Expressions):
    """One function for arguments of given kinds.

    Parameters
    ----------
    module : Module
        Where it stands.
    python : FunctionType
        Its globals and its local names.
    tree : ast.FunctionDef
        What is translated.
    given : tuple of Kind
        Of its arguments.
    result : Kind, optional
        What it must return; without it, what its ``return`` statements do.
    """

    def __init__(
        self, module: Module, python: FunctionType, tree: ast.FunctionDef, given: tuple[Kind, ...], result: Kind | None
    ) -> None:
        super().__init__(module, python)
        self.tree = tree
        names = [argument.arg for argument in tree.args.args]
        if len(names) != len(given):
            raise TypeError(f"{python.__name__} takes {len(names)} arguments and gets {len(given)}")
        self.given = [Value(kind, f"%a.{name}") for name, kind in zip(names, given, strict=True)]
        self.fixed, self.result = result is not None, result or VOID
        self.widened = True
        self.slots: list[str] = []  # loops' counters
        self.loops: list[tuple[str, str]] = []  # where continue and break go

    def write(self, head: str) -> Kind:
        """Add the text to the module; what the function returns."""
        while self.widened:
            self.widened, self.code, self.slots = False, Code(self.module.flags), []
            for one in self.given:
                self.set(one.text.removeprefix("%a."), one)
            self.body(self.tree.body)
            if self.result != VOID and self.code.block in self.code.reached:
                raise self.placed(TypeError(f"{self.tree.name} may end without a value"), self.tree.body[-1])
            self.code.do("ret void" if self.result == VOID else "unreachable")
        arguments = ", ".join(f"{one.kind.llvm} {one.text}" for one in self.given)
        slots = [*self.slots, *(f"  %s.{name} = alloca {kind.llvm}" for name, kind in self.kinds.items())]
        lines = [f"{head.format(self.result.llvm)}({arguments}) nounwind {{", "entry:", *slots, *self.code.lines, "}"]
        self.module.texts.append("\n".join(lines))
        return self.result

    def set(self, name: str, value: Value) -> None:
        """Assign to a variable, whose kind may widen."""
        if value.items or value.kind == VOID:
            raise TypeError(f"{name} = a {value.kind.name}")
        kind = joined(self.kinds.get(name, value.kind), value.kind)
        if kind != self.kinds.get(name, kind):
            self.widened = True
        self.kinds[name] = kind
        self.code.do(f"store {kind.llvm} {converted(self.code, value, kind).text}, ptr %s.{name}")

    def body(self, statements: list[ast.stmt]) -> None:
        """Statements one after the other."""
        for one in statements:
            write = getattr(self, f"on_{type(one).__name__.lower()}", None)
            try:
                if write is None:
                    raise TypeError(f"{type(one).__name__} is not in the subset")
                write(one)
            except TypeError as error:
                raise self.placed(error, one)  # noqa: B904  the same one

    def placed(self, error: TypeError, node: ast.stmt) -> TypeError:
        """An error with its place, which the innermost function knows best."""
        if not getattr(error, "__notes__", None):
            error.add_note(f"{self.python.__code__.co_filename}:{node.lineno}, {ast.unparse(node)[:200]}")
        return error

    def on_expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.value(node.value)

    def on_pass(self, node: ast.Pass) -> None:
        pass

    def on_assign(self, node: ast.Assign) -> None:
        value = self.value(node.value)
        for target in node.targets:
            self.assign(target, value)

    def assign(self, target: ast.expr, value: Value) -> None:
        """Put a value into a variable, a place in memory, or a tuple of these."""
        if isinstance(target, ast.Name):
            self.set(target.id, value)
        elif isinstance(target, ast.Subscript):
            stored(self.code, value, place(self.code, self.value(target.value), self.value(target.slice)))
        elif isinstance(target, ast.Tuple) and len(target.elts) == len(value.items):
            for one, item in zip(target.elts, value.items, strict=True):
                self.assign(one, item)
        else:
            raise TypeError(f"{ast.unparse(target)} = a {value.kind.name}")

    def on_augassign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.set(node.target.id, binary(self.code, node.op, self.local(node.target.id), self.value(node.value)))
        elif isinstance(node.target, ast.Subscript):
            where = place(self.code, self.value(node.target.value), self.value(node.target.slice))
            before = loaded(self.code, where)
            stored(self.code, binary(self.code, node.op, before, self.value(node.value)), where)
        else:
            raise TypeError(f"{ast.unparse(node.target)} is changed in place")

    def on_return(self, node: ast.Return) -> None:
        value = Value(VOID, "") if node.value is None else self.value(node.value)
        if value.items:
            whole = Value(value.kind, "poison")
            for k, one in enumerate(value.items):
                text = f"insertvalue {value.kind.llvm} {whole.text}, {one.kind.llvm} {one.text}, {k}"
                whole = self.code.value(value.kind, text)
            value = whole
        if not self.fixed:
            kind = value.kind if self.result == VOID else joined(self.result, value.kind)
            self.widened = self.widened or kind != self.result
            self.result = kind
        if self.result == VOID:
            self.code.do("ret void")
        else:
            self.code.do(f"ret {self.result.llvm} {converted(self.code, value, self.result).text}")
        self.code.begin(self.code.label("over"))

    def on_if(self, node: ast.If) -> None:
        yes, no, after = (self.code.label(name) for name in ("yes", "no", "after"))
        self.branch(node.test, yes, no)
        for label, statements in ((yes, node.body), (no, node.orelse)):
            self.code.begin(label)
            self.body(statements)
            self.code.go(after)
        self.code.begin(after)

    def on_while(self, node: ast.While) -> None:
        head, inside, after = (self.code.label(name) for name in ("head", "inside", "after"))
        self.code.go(head)
        self.code.begin(head)
        if isinstance(node.test, ast.Constant) and node.test.value:
            self.code.go(inside)  # only what breaks it ends it
        else:
            self.branch(node.test, inside, after)
        self.code.begin(inside)
        self.looped(node, head, after)

    def on_for(self, node: ast.For) -> None:
        """Over ``range``, whose ends are looked at once; what the body does to the variable changes no turn."""
        call = node.iter
        if not (isinstance(call, ast.Call) and self.resolved(call.func) is range and isinstance(node.target, ast.Name)):
            raise TypeError("loops go over range")
        given = [converted(self.code, self.value(one), INT) for one in call.args]
        start, stop = (constant(0), given[0]) if len(given) == 1 else given[:2]
        step = given[2].whole if len(given) > 2 else 1
        if not step:
            raise TypeError("a loop's step is a constant")
        head, inside, turn, after = (self.code.label(name) for name in ("head", "inside", "turn", "after"))
        counter = f"%{self.code.label('c')}"
        self.slots.append(f"  {counter} = alloca i64")
        self.code.do(f"store i64 {start.text}, ptr {counter}")
        self.code.go(head)
        self.code.begin(head)
        here = self.code.value(INT, f"load i64, ptr {counter}")
        goes_on = compared(self.code, ast.Lt() if step > 0 else ast.Gt(), here, stop)
        self.code.fork(goes_on, inside, after)
        self.code.begin(turn)
        following = self.code.value(INT, f"add nsw i64 {here.text}, {step}")
        self.code.do(f"store i64 {following.text}, ptr {counter}")
        self.code.go(head)
        self.code.begin(inside)
        self.set(node.target.id, here)
        self.looped(node, turn, after)

    def looped(self, node: ast.For | ast.While, goes_on: str, ends: str) -> None:
        """A loop's body, and the two places where it may lead."""
        if node.orelse:
            raise TypeError("loops have no else")
        self.loops.append((goes_on, ends))
        self.body(node.body)
        self.loops.pop()
        self.code.go(goes_on)
        self.code.begin(ends)

    def on_continue(self, node: ast.Continue) -> None:
        self.code.go(self.loops[-1][0])
        self.code.begin(self.code.label("over"))

    def on_break(self, node: ast.Break) -> None:
        self.code.go(self.loops[-1][1])
        self.code.begin(self.code.label("over"))

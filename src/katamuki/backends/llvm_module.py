"""Python functions of numbers and pointers, translated to LLVM text with all that they call.

The subset: arguments are numbers and pointers; ``for`` over ``range`` with a constant step, ``while``, ``if``, tuples
that are taken apart at once; no Python object, and nothing raised. A function is translated once for each choice of its
arguments' kinds. What the subset lacks is a ``TypeError`` that names file and line.
"""

from __future__ import annotations

import ast
from functools import cache as remember
from types import FunctionType

from katamuki.backends import native
from katamuki.backends.llvm_calls import SCOPES, Signature
from katamuki.backends.llvm_statements import Function
from katamuki.backends.llvm_values import Kind

SUMS = "reassoc nsz "  # where sums may be reassociated


class Module:
    """The LLVM text of one compiled function with everything that it calls.

    Parameters
    ----------
    sums : bool
        Whether sums may be reassociated.
    """

    def __init__(self, sums: bool) -> None:
        self.flags = SUMS if sums else ""
        self.texts: list[str] = []
        self.declared: dict[str, str] = {}
        self.kept: dict[str, None] = {}
        self.done: dict[tuple[FunctionType, tuple[Kind, ...]], Signature | None] = {}  # None: it is being written

    def declare(self, name: str, result: str, arguments: list[str], attributes: str = "") -> None:
        """Make a function of another's known."""
        self.declared[name] = f"declare {result} @{name}({', '.join(arguments)}) {attributes}"

    def keep(self, names: list[str]) -> None:
        """Functions that the optimiser may call; it drops declarations that nobody uses."""
        self.kept |= dict.fromkeys(names)

    def function(self, python: FunctionType, kinds: tuple[Kind, ...]) -> Signature:
        """A helper, translated when it is first called with arguments of these kinds."""
        if (python, kinds) not in self.done:
            name = f"{python.__name__}.{len(self.done)}"
            self.done[python, kinds] = None
            writer = Function(self, python, definition(python, None), kinds, None)
            self.done[python, kinds] = Signature(name, writer.write(f"define internal {{}} @{name}"))
        made = self.done[python, kinds]
        if made is None:
            raise TypeError(f"{python.__name__} calls itself")
        return made

    def entry(self, python: FunctionType, source: str | None, name: str, kinds: tuple[Kind, ...], result: Kind) -> str:
        """The whole text, with the function under this name for everyone to call."""
        Function(self, python, definition(python, source), kinds, result).write(f"define {{}} @{name}")
        used = ", ".join(f"ptr @{one}" for one in self.kept)
        kept = f'@llvm.compiler.used = appending global [{len(self.kept)} x ptr] [{used}], section "llvm.metadata"'
        parts = [*self.declared.values(), *([kept] if self.kept else []), *self.texts, SCOPES]
        return "\n".join(parts)


def definition(python: FunctionType, source: str | None) -> ast.FunctionDef:
    """The syntax tree of a function: from its own text, or out of its file."""
    path, code = python.__code__.co_filename, python.__code__
    found = _definitions(source) if source else _file_definitions(path)
    tree = found.get((code.co_firstlineno, code.co_name))
    if tree is None:
        raise TypeError(f"{path}:{code.co_firstlineno} defines no {code.co_name}: the file changed after its import")
    return tree


def _definitions(text: str | bytes) -> dict[tuple[int, str], ast.FunctionDef]:
    """All functions of a text by their first line, decorators included, and name."""
    functions = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef))
    return {(min([one.lineno for one in node.decorator_list] + [node.lineno]), node.name): node for node in functions}


@remember
def _file_definitions(path: str) -> dict[tuple[int, str], ast.FunctionDef]:
    return _definitions(native.content(path))

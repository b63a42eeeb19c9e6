"""What every exported program is made of: the fit's facts, its names in Python, its data, and the lines that print.

Programs print a line for each free parameter, ``name value ± standard error``, or for a run that ends in a cycle
``name low <-> high   middle``, then ``loss``: six significant digits, as ``katamuki fit --quiet`` prints them.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from katamuki import messages
from katamuki.backends.expressions import identifiers, written
from katamuki.backends.native import fma, is_inline
from katamuki.export.data import array, comment
from katamuki.graph import LEAVES, Graph
from katamuki.records import Array, Solution

TITLES = {"torch": "PyTorch", "numpy": "NumPy", "scipy": "SciPy", "katamuki": "katamuki"}
VECTORS = {  # functions that NumPy lacks, over arrays
    "erf": "erf = np.vectorize(math.erf, otypes=[float])",
    "erfc": "erfc = np.vectorize(math.erfc, otypes=[float])",
}


@dataclass(frozen=True, slots=True)
class Exported:
    """The facts that a program repeats.

    ``solver`` is the record of its options; ``left`` and ``right`` the formula's sides; ``columns`` (n,) each;
    ``weights`` (n,) the w of Σ w r², None for 1; ``start`` where the program begins, all parameters; ``seed`` deals
    mini-batches.
    """

    solution: Solution
    solver: object
    left: Graph
    right: Graph
    columns: Mapping[str, Array]
    weights: Array | None
    start: Mapping[str, float]
    version: str
    seed: int = 0

    @property
    def free(self) -> tuple[str, ...]:
        """The parameters that the program fits: those at a bound stay there."""
        return tuple(name for name in self.solution.free if name not in self.solution.at_bound)

    @property
    def held(self) -> dict[str, float]:
        """The other parameters' values."""
        return {name: value for name, value in self.solution.params.items() if name not in self.free}

    @property
    def runs(self) -> bool:
        """Whether the fit is a run of so many steps: what matters is where it ended, minimum or not."""
        return hasattr(self.solver, "lr")

    @property
    def settled(self) -> bool:
        """Whether the fit claims a minimum."""
        return self.solution.state in {"exact", "converged"}


def say(key: str, **values: Any) -> str:
    """A sentence of the catalogue."""
    return messages.sentence("export." + key, **values)


def head(facts: Exported, library: str, method: str) -> str:
    """The program's first comment."""
    return comment(say("head", formula=facts.solution.formula, library=library, method=method, version=facts.version))


def plain_names(facts: Exported, taken: set[str]) -> dict[tuple[str, str], str]:
    """Names as they were typed, as far as Python allows."""
    columns = [("column", name, name) for name in facts.columns]
    parameters = [("parameter", name, name) for name in facts.solution.params]
    return identifiers([*columns, *parameters], taken)


def response(facts: Exported, names: Mapping[tuple[str, str], str], library: str) -> tuple[str, list[str]]:
    """What the program calls the response, and the line that computes it where it is no column."""
    node = facts.left.nodes[facts.left.outputs[0]]
    if node.op in LEAVES:
        return names["column", str(node.value)], []
    text = written(facts.left, library, names, shared=False).outputs[0]
    name = identifiers([("response", "", "response")], set(names.values()))["response", ""]
    return name, [f"{name} = {text}"]


def columns(facts: Exported, names: Mapping[tuple[str, str], str], library: str) -> list[str]:
    """Statements for the data that the formula reads."""
    read = dict.fromkeys((*facts.left.columns, *facts.right.columns))
    return [array(names["column", name], facts.columns[name], library) for name in read]


def vectors(text: str) -> list[str]:
    """Statements for the functions in a program's text that NumPy lacks."""
    return [line for name, line in VECTORS.items() if re.search(rf"(?<![\w.]){name}\(", text)]


def imports(text: str) -> list[str]:
    """The parts of Python's library that a program's text uses, as its first lines."""
    found = [
        f"import {name}" for name in ("array", "base64", "itertools", "math") if re.search(rf"(?<!\w){name}\.", text)
    ]
    return [*found, ""] if found else []


def unpacked(facts: Exported, names: Mapping[tuple[str, str], str]) -> str:
    """The statement that gives each parameter its name: "a, b = params"."""
    comma = "," if len(facts.free) == 1 else ""
    return ", ".join(names["parameter", name] for name in facts.free) + f"{comma} = params"


def constants(facts: Exported, names: Mapping[tuple[str, str], str], make: str = "{}") -> list[str]:
    """Statements for the parameters that are held."""
    return [f"{names['parameter', name]} = {make.format(repr(value))}" for name, value in facts.held.items()]


def optimizer(facts: Exported) -> tuple[str, dict[str, Any]]:
    """The class of ``torch.optim`` and the options that are not its defaults; lr always."""
    record: Any = facts.solver
    default = type(record)()
    names = [name for name in facts.solution.options if name != "steps" and hasattr(record, name)]
    said = {
        name: getattr(record, name) for name in names if name == "lr" or getattr(record, name) != getattr(default, name)
    }
    return type(record).__name__, said


def call(name: str, options: Mapping[str, Any], *before: str) -> str:
    """A call with keyword arguments."""
    return f"{name}({', '.join([*before, *(f'{key}={value!r}' for key, value in options.items())])})"


def sources(function: Callable[..., Any]) -> list[str]:
    """The text of one of our own small functions and of those it is made of, ready to stand in a program."""
    texts: list[str] = []
    seen: set[str] = set()

    def add(one: Any) -> None:
        for name in one.__code__.co_names:
            value = one.__globals__.get(name)
            if name in seen:
                continue
            seen.add(name)
            if value is fma:
                texts.append("def fma(x, y, z):\n    return x * y + z")
            elif is_inline(value):
                add(value)
            elif isinstance(value, (int, float)):
                texts.append(f"{name} = {value!r}")
        texts.append(_text(one))

    add(function)
    return texts


def _text(function: Any) -> str:
    lines = textwrap.dedent(inspect.getsource(function)).splitlines()
    kept = [line.replace("  # type: ignore[no-untyped-def]", "") for line in lines if not line.startswith("@")]
    return "\n".join(kept)


def indented(lines: list[str], depth: int = 1) -> str:
    """Lines of a block."""
    return "\n".join("    " * depth + line for text in lines for line in text.split("\n"))


def printed(facts: Exported) -> bool:
    """Whether each free parameter has an error bar to print."""
    return facts.settled and not facts.runs and all(facts.solution.stderr[name] is not None for name in facts.free)


def label(name: str, *, braces: bool = True) -> str:
    """A parameter's name inside the double quotes of a (formatted) text."""
    plain = repr(name)[1:-1].replace('"', '\\"')
    return plain.replace("{", "{{").replace("}", "}}") if braces else plain

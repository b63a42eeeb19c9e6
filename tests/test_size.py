"""Files stay under 400 lines and functions under 60 without their docstring, so that each is read in one go."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("src", "tests", "benchmarks", "examples", "tools", ".ci")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
FILE_LINES = 400
FUNCTION_LINES = 60

# An exception is a row here, with its reason.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def length(node: Function) -> int:
    """Lines from ``def`` to the last statement, the docstring not counted."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node, clean=False) is not None:
        first = node.body[0]
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def long_functions(source: str) -> dict[str, int]:
    """The functions of a source that are too long, nested ones and methods included."""
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function) and length(node) >= FUNCTION_LINES:
            found[node.name] = length(node)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_read_in_one_go(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    source = path.read_text(encoding="utf-8")
    assert name in LONG_FILES or len(source.splitlines()) < FILE_LINES
    too_long = {f: n for f, n in long_functions(source).items() if f"{name}:{f}" not in LONG_FUNCTIONS}
    assert not too_long


def test_exceptions_are_still_needed() -> None:
    for name in LONG_FILES:
        assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) >= FILE_LINES, name
    for place in LONG_FUNCTIONS:
        name, function = place.split(":")
        assert function in long_functions((ROOT / name).read_text(encoding="utf-8")), place


def test_a_long_function_is_found_and_its_docstring_is_not_counted() -> None:
    body = "    x = 1\n"
    assert long_functions("def f():\n" + body * 59) == {"f": 60}
    assert long_functions("def f():\n" + body * 58) == {}
    assert long_functions('def f():\n    """' + "words\n" * 70 + '    """\n' + body * 50) == {}


def test_there_are_files_to_measure() -> None:
    assert len([path for path in FILES if "src" in path.parts]) > 20

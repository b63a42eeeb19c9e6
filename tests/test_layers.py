"""The walls between the parts: import-linter holds them, and a stray import really breaks them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent

STRAY = [
    ("check/__init__.py", "from katamuki import graph", "the check shares no code"),
    ("check/__init__.py", "from katamuki import problem", "the check shares no code"),
    ("check/__init__.py", "import katamuki.report", "the check shares no code"),
    ("check/__init__.py", "from katamuki import search", "the check shares no code"),
    ("records.py", "from katamuki import ops", "the check shares no code"),  # through another module
    ("plot/__init__.py", "from katamuki import check", "imports point down"),
    ("records.py", "from katamuki import ops", "imports point down"),
    ("solvers/linear.py", "from katamuki.api import entry", "imports point down"),
    ("solvers/linear.py", "from katamuki import search", "imports point down"),
    ("search/__init__.py", "from katamuki import findings", "imports point down"),
    ("ops.py", "def late() -> None:\n    from katamuki import graph", "imports point down"),
    ("graph.py", "import torch", "heavy packages"),
    ("formula/__init__.py", "import matplotlib.pyplot", "heavy packages"),
    ("solvers/linear.py", "import llvmlite", "heavy packages"),
    ("problem/passes.py", "def late() -> None:\n    import llvmlite", "heavy packages"),
]


def contracts() -> list[dict[str, Any]]:
    """What ``pyproject.toml`` asks of the imports."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return list(found["tool"]["importlinter"]["contracts"])


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """import-linter on the sources below a folder that holds pyproject.toml and katamuki/."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from importlinter.cli import lint_imports_command as command\n"
        "command(['--no-cache', '--no-logo', '--config', sys.argv[2]])"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(folder), str(folder / "pyproject.toml")],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "src" / "katamuki", tmp_path / "katamuki", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_walls_stand(copied: Path) -> None:
    done = lint(copied)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(("module", "line", "contract"), STRAY)
def test_a_stray_import_breaks_a_wall(copied: Path, module: str, line: str, contract: str) -> None:
    path = copied / "katamuki" / module
    path.write_text(path.read_text(encoding="utf-8") + f"\n{line}\n", encoding="utf-8")
    done = lint(copied)
    assert done.returncode == 1, done.stdout + done.stderr
    broken = [text for text in done.stdout.splitlines() if " BROKEN" in text]
    assert any(text.startswith(contract) for text in broken), done.stdout


def test_the_check_is_walled_off_from_every_module_but_those_it_is_made_of() -> None:
    (contract,) = [one for one in contracts() if one["name"].startswith("the check")]
    ours = {path.stem for path in (ROOT / "src" / "katamuki").iterdir() if path.suffix == ".py" or path.is_dir()}
    made_of = {"check", "errors", "messages", "records", "__init__", "__main__", "__pycache__"}
    assert {f"katamuki.{name}" for name in ours - made_of} <= set(contract["forbidden_modules"])


def test_every_package_that_is_needed_to_run_is_imported_by_something() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    for requirement in project["dependencies"]:
        name = re.match(r"[\w-]+", requirement)
        assert name is not None
        assert re.search(rf"^\s*(import|from) {name[0]}\b", sources, re.MULTILINE), requirement


def test_a_module_without_a_place_is_refused(copied: Path) -> None:
    (copied / "katamuki" / "utils.py").write_text('"""Anything."""\n', encoding="utf-8")
    done = lint(copied)
    assert done.returncode == 1, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["utils", "helpers", "misc", "common"])
def test_no_module_is_called_by_a_name_that_says_nothing(name: str) -> None:
    assert not [path for path in (ROOT / "src").rglob(f"*{name}*") if path.suffix in {".py", ""}]


def test_no_module_is_called_like_a_public_verb() -> None:
    import katamuki

    modules = {path.stem for path in (ROOT / "src" / "katamuki").iterdir()}
    assert not modules & set(katamuki.__all__)

"""Every code block of the documents runs, and prints what the document says it prints.

A ``console`` block holds commands after ``$`` and their output; a ``python`` block prints what the ``text`` block right
after it holds. The blocks of one document run in order, in a folder that holds the tutorial's file. Times, and numbers
that are rounding noise, may differ; a line ``...`` stands for any lines. ``python tests/test_docs.py`` writes the true
output into the documents, for a reader to look at before committing it.
"""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import katamuki

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "DESIGN.md", "CHANGELOG.md")]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))
MODULES = ["katamuki", *(one.name for one in pkgutil.walk_packages(katamuki.__path__, "katamuki."))]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = {"make test", "make lint", "make bench", "make clean"}  # this test is part of the first
NOWHERE = (-1, -1)  # where the output of a program stands that has none
LANGUAGES = {"console", "python", "text"}
PRELUDE = """
import warnings, katamuki
warnings.simplefilter("error")
warnings.simplefilter("ignore", katamuki.FitWarning)
"""


@dataclass
class Piece:
    """A command or program of a document, and where its output stands there (start and end of the characters)."""

    kind: str
    code: str
    start: int
    end: int


def pieces(text: str) -> Iterator[Piece]:
    """The runnable pieces of a document, in order."""
    blocks = list(FENCE.finditer(text))
    for k, block in enumerate(blocks):
        if block[1] == "console":
            commands = [*re.finditer(r"^\$ (.*)\n", block[2], re.MULTILINE)]
            ends = [*(one.start() for one in commands[1:]), len(block[2])]
            for one, end in zip(commands, ends, strict=True):
                yield Piece("console", one[1], block.start(2) + one.end(), block.start(2) + end)
        elif block[1] == "python":
            after = blocks[k + 1] if k + 1 < len(blocks) else None
            said = after is not None and after[1] == "text" and text[block.end() : after.start()].strip() == ""
            place = (after.start(2), after.end(2)) if said and after else NOWHERE
            yield Piece("python", block[2], *place)


def outputs(document: Path, folder: Path) -> Iterator[tuple[Piece, str]]:
    """Run a document's pieces in a folder: each with what it printed."""
    for file in ("tutorial.csv", "demo.py", "tutorial_pytorch.py"):
        shutil.copy(ROOT / "examples" / file, folder)
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "80"}
    text = document.read_text(encoding="utf-8")
    told = PRELUDE
    for piece in pieces(text):
        if piece.kind == "python":
            mark = f"print({folder.name!r})\n"
            done = _run([sys.executable, "-c", told + mark + piece.code], folder, environment)
            assert done.returncode == 0, f"{document.name}:\n{piece.code}\n{done.stderr}"
            told += piece.code
            yield piece, done.stdout.rpartition(folder.name + "\n")[2]
        elif piece.code.partition("  #")[0].strip() == "make demo":
            installed = ["--old-file=.venv/.runs", f"BIN={BIN}"]
            yield piece, _run(["make", "--silent", *installed, "demo"], ROOT, environment).stdout
        elif piece.code.partition("  #")[0].strip() not in NOT_RUN:
            done = _run(["bash", "-c", piece.code], folder, environment)
            yield piece, done.stdout + done.stderr


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def plain(printed: str) -> list[str]:
    """Lines without what differs from run to run: times, ratios of times, rounding noise."""
    found = []
    for raw in printed.rstrip().splitlines():
        line = re.sub(r"\b\d[\d.,]* ?(ns|µs|ms|s)\b", "TIME", raw)
        line = re.sub(r"\b\d+ times\b", "N times", line)
        line = re.sub(r"\b\d[\d .]* curves? a second\b", "N curves a second", line)
        line = re.sub(r"\bagree to 1\d\.\d digits\b", "agree to MANY digits", line)
        line = re.sub(r"\b\d(\.\d+)?e[-−]1\d\b", "NOISE", line)
        line = re.sub(r"\b(digits|std\.errors) 1\d\b", r"\1 MANY", line)
        if re.match(r" +\w.* \d+ of \d+ ", line):  # of the self test's kinds of fits, the least digits
            line = re.sub(r"\b1\d\.\d\b", "MANY", line)
        found.append(" ".join(line.split()) if line != raw else line.rstrip())
    return found


def matches(said: list[str], true: list[str]) -> bool:
    """Whether the lines agree, ``...`` standing for any lines."""
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(line) + r"\n" for line in said)
    return re.fullmatch(pattern, "".join(line + "\n" for line in true)) is not None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_says_what_is_printed(document: Path, tmp_path: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for piece, printed in outputs(document, tmp_path):
        said = text[piece.start : piece.end]
        assert matches(plain(said), plain(printed)), f"{piece.code}\nprints:\n{printed}\nsaid:\n{said}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_names_its_language(document: Path) -> None:
    for block in FENCE.finditer(document.read_text(encoding="utf-8")):
        assert block[1] in LANGUAGES, block[0]


def test_readme_shows_a_command_and_its_output_within_25_lines() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:25]
    assert any(line.startswith("$ make demo") for line in lines)
    assert any("0.500091" in line for line in lines)


def test_a_wrong_output_is_found(tmp_path: Path) -> None:
    document = tmp_path / "wrong.md"
    document.write_text("```console\n$ echo 1 in 5 ms\n2 in 5 ms\n```\n\n```python\nprint(1)\n```\n```text\n2\n```\n")
    text = document.read_text()
    found = list(outputs(document, tmp_path))
    assert [piece.kind for piece, _ in found] == ["console", "python"]
    for piece, printed in found:
        assert not matches(plain(text[piece.start : piece.end]), plain(printed))


def test_only_times_and_noise_may_differ() -> None:
    assert matches(plain("a 1.5 took 3 ms"), plain("a 1.5 took 12.25 ms"))
    assert matches(plain("gradient 3e-14"), plain("gradient 1.1e-15"))
    assert not matches(plain("a 1.5 took 3 ms"), plain("a 1.6 took 3 ms"))
    assert not matches(plain("gradient 3e-14"), plain("gradient 3e-4"))
    assert matches(plain("shared digits 15"), plain("shared digits 14"))
    assert matches(plain("12 curves, 2 s   6 curves a second"), plain("12 curves, 31 ms   380 curves a second"))
    assert not matches(plain("12 curves, 2 s   6 curves a second"), plain("13 curves, 2 s   6 curves a second"))
    assert not matches(plain("agree to 12.3 digits"), plain("agree to 8.3 digits"))
    assert not matches(plain("shared digits 15"), plain("shared digits 9"))
    assert matches(plain("  linear   11 of 11  12.9"), plain("  linear   11 of 11  13.4"))
    assert not matches(plain("  linear   11 of 11  12.9"), plain("  linear   11 of 11  9.9"))
    assert not matches(plain("  linear   11 of 11  12.9"), plain("  linear   10 of 11  12.9"))
    assert matches(["first", "...", "last"], ["first", "second", "third", "last"])
    assert not matches(["first", "...", "last"], ["first", "second"])


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_the_examples_of_a_module_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "examples" / "tutorial.csv", tmp_path)
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    done = doctest.testmod(importlib.import_module(name), optionflags=flags)
    assert done.failed == 0


def test_the_example_file_is_the_built_in_set() -> None:
    done = _run([str(BIN / "katamuki"), "data", "tutorial"], ROOT, dict(os.environ))
    assert done.stdout == (ROOT / "examples" / "tutorial.csv").read_text(encoding="utf-8")


def write(document: Path) -> None:
    """Put the true output into a document; places with ``...`` are left to the writer."""
    text = document.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        for piece, printed in reversed(list(outputs(document, Path(folder)))):
            said = text[piece.start : piece.end]
            if piece.start >= 0 and "...\n" not in said and not matches(plain(said), plain(printed)):
                print(f"{document.name}: {shlex.quote(piece.code)}")
                text = text[: piece.start] + printed.rstrip() + "\n" + text[piece.end :]
    document.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for one in DOCUMENTS:
        write(one)

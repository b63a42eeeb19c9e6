"""The command as a process of its own, the schemas of what it prints, and the files that hold what was looked at."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import fastjsonschema

HERE = Path(__file__).parent
RMSPROP = ["--solver", "rmsprop", "--lr", "0.001", "--steps", "6000", "--start", "a=0.5,b=0.5"]
Command = Callable[..., subprocess.CompletedProcess[str]]
SCHEMA = json.loads(files("katamuki.report").joinpath("schema.json").read_text())
ERROR = fastjsonschema.compile(SCHEMA["definitions"]["error"])


def run(
    *given: str, text: str | None = "x,y\n1,2\n2,3\n3,5\n", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, with a table on standard input."""
    command = [sys.executable, "-m", "katamuki", *given]
    around = {key: value for key, value in os.environ.items() if not key.startswith(("KATAMUKI", "NO_COLOR"))}
    return subprocess.run(
        command, input=text, capture_output=True, text=True, env=around | (env or {}), check=False, timeout=120
    )


def masked(text: str) -> str:
    """The text without times and last digits, which differ from machine to machine."""
    text = re.sub(r"\d+ steps, \d+(\.\d+)? (ms|s)\b", "N steps, T", text)
    text = re.sub(r"gradient at the answer [\d.e−]+", "gradient at the answer G", text)
    text = re.sub(r"shared digits [\d.]+, of std.errors [\d.]+", "shared digits N, of std.errors N", text)
    text = re.sub(r"(\d+\.\d|—) +(\d+\.\d|—)$", "N  N", text, flags=re.MULTILINE)
    return re.sub(r"shared digits [\d.]+", "shared digits N", text)


def expected(name: str, text: str) -> None:
    """Compare with a file of ``tests/expected``."""
    path = HERE / "expected" / name
    if os.environ.get("KATAMUKI_EXPECTED") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(masked(text), encoding="utf-8")
    assert masked(text) == path.read_text(encoding="utf-8")

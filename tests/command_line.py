"""The command as a process of its own, and the schemas of what it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.resources import files

import fastjsonschema

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

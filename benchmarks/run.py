"""``make bench``: every script of this folder in its own process, each printing its rows, then what was missed.

A script that fails stops nothing, but is named, and the exit status says so. A missed target is printed, not hidden.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from timing import RESULTS, line

SCRIPTS = (
    "tutorial_loop",
    "first_order_rules",
    "lbfgs",
    "race",
    "whole_run",
    "story",
    "straight_line",
    "exponential",
    "search",
    "from_nothing",
    "seven_parameters",
    "torch_backend",
    "kernel",
    "judging",
    "processes",
    "first_fit",
)

if __name__ == "__main__":
    for old in RESULTS.glob("*.json"):
        old.unlink()
    here = Path(__file__).parent
    failed = [
        name for name in SCRIPTS if subprocess.run([sys.executable, str(here / f"{name}.py")], check=False).returncode
    ]
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in RESULTS.glob("*.json")]
    missed = [row for row in rows if not row["met"]]
    print(
        f"\n{len(rows)} rows, {len(rows) - len(missed)} met their targets; {rows[0]['machine']['cpu'] if rows else ''}"
    )
    for row in missed:
        print("missed: " + line(row))
    if failed:
        print("failed: " + ", ".join(failed))
    sys.exit(bool(failed))

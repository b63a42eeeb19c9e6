"""``make bench``: every script of the suite in its own process, then one table of all rows, and one JSON file.

    python benchmarks/run.py [NAME …] [--quick] [--stored] [--write FILE]

NAMEs choose scripts, by a part of their names. A row that was not measured (a peer is missing, a script failed) is
FAILED by name and the exit status says so; a missed target is printed, not hidden, and is no failure of the run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machine import facts as machine_facts
from suite import SUITE, Script
from table import Row, collected, counted, markdown, printed, verdict
from timing import RESULTS

HERE = Path(__file__).parent
SECONDS = 1800  # a script that has not ended by then never will
ALL = "suite.json"
BEGIN, END = "<!-- made by run.py: begin -->", "<!-- made by run.py: end -->"


def chosen(names: Sequence[str]) -> list[Script]:
    """The scripts whose names hold one of the given words; all without one."""
    found = [script for script in SUITE if not names or any(name in script.name for name in names)]
    if not found:
        raise SystemExit(f"no script is named {' or '.join(names)}; there are {', '.join(one.name for one in SUITE)}")
    return found


def stored(scripts: Sequence[Script]) -> list[tuple[Path, Row]]:
    """The rows of some scripts that stand in files."""
    names = {script.name for script in scripts}
    files = [path for path in sorted(RESULTS.glob("*.json")) if path.name != ALL]
    rows = [(path, json.loads(path.read_text(encoding="utf-8"))) for path in files]
    return [(path, row) for path, row in rows if row.get("script") in names]


def measure(scripts: Sequence[Script], quick: bool) -> None:
    """Run the scripts one after the other; what they measured before is forgotten."""
    for path, _ in stored(scripts):
        path.unlink()
    environment = {**os.environ, "KATAMUKI_BENCH_QUICK": "1" if quick else "0"}
    for script in scripts:
        print(f"\n— {script.name}", flush=True)
        command = [sys.executable, str(HERE / f"{script.name}.py")]
        try:
            status = subprocess.run(command, check=False, timeout=SECONDS, env=environment).returncode
        except subprocess.TimeoutExpired:
            status = f"not ended after {SECONDS} s"
        if status:
            print(f"{script.name}.py failed: {status}", flush=True)


def machine_lines(rows: Sequence[Row]) -> list[str]:
    """The machine and the versions of both sides; more than one machine is said, since rows then do not compare."""
    machines = [row["machine"] for row in rows if "machine" in row]
    told: list[str] = []
    for one in machines:
        wide = "AVX-512" if one["avx512"] else "AVX2, no AVX-512" if one["avx2"] else "no AVX2"
        text = f"{one['cpu']}, {one['cores']} cores, {wide}, {one['memory_gib']} GiB; {one['system']}"
        told += [] if text in told else [text]
    versions = dict(machines[-1]["versions"]) if machines else {}
    names = [f"{name} {version}" for name, version in versions.items() if version]
    missing = [name for name, version in versions.items() if not version]
    when = sorted(row["measured"] for row in rows if "measured" in row)
    return [
        *told,
        *(["rows of different machines: do not compare them"] if len(told) > 1 else []),
        *([f"measured {when[0]} to {when[-1]}"] if when else []),
        f"Python {machines[-1]['python'] if machines else '–'}, {', '.join(names)}",
        *([f"not installed: {', '.join(missing)}"] if missing else []),
    ]


def write(file: Path, parts: Sequence[tuple[str, list[Row]]], lines: Sequence[str]) -> None:
    """Put the tables between the marks of a document."""
    text = file.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"{file} lacks the lines {BEGIN} and {END}")
    listed = "\n".join(f"* {line}" for line in (*lines, counted(parts)))
    file.write_text(f"{before}{BEGIN}\n\n{listed}\n\n{markdown(parts)}\n{END}{after}", encoding="utf-8")


def asked(given: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description="The table of speeds, each beside its peer's.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="scripts, by a part of their names; all without one")
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows; not comparable with targets")
    parser.add_argument("--stored", action="store_true", help="print what was measured before; measure nothing")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables into a document, between its marks")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Measure, print, write; 1 if a row was not measured."""
    say = asked(given)
    scripts = chosen(say.names)
    interrupted = False
    if not say.stored:
        try:
            measure(scripts, say.quick)
        except KeyboardInterrupt:
            interrupted = True
    rows = [row for _, row in stored(scripts)]
    parts = collected(rows, scripts)
    lines = machine_lines(rows)
    print("\n" + printed(parts) + "\n\n" + "\n".join((*lines, counted(parts))))
    whole: dict[str, Any] = {
        "schema": 1,
        "machine": machine_facts(),
        "rows": [row for _, some in parts for row in some],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / ALL).write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if say.write:
        write(say.write, parts, lines)
    failed = any(verdict(row).startswith("FAILED") for _, some in parts for row in some)
    return 130 if interrupted else int(failed)


if __name__ == "__main__":
    sys.exit(main())

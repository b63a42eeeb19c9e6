"""How the benchmarks measure: both sides in one run, in turn, medians, and one JSON file per row of the table.

Calls are grouped so that a group lasts about 30 ms; groups of peer and katamuki alternate, so that a busy machine slows
both. A ratio is the median over the pairs of groups; times are medians too. Nothing here judges: targets are printed
beside what was measured. ``run.py --quick`` asks for a tenth of the rows; such figures are marked and not compared.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from machine import facts as machine_facts

RESULTS = Path(__file__).parent / "results"
GROUP = 0.03  # seconds
QUICK = os.environ.get("KATAMUKI_BENCH_QUICK") == "1"  # a tenth of the rows; set by run.py --quick

Found = tuple[float, float, float]  # median seconds of the peer, of katamuki, and the median of peer ÷ ours


def size(n: int) -> int:
    """So many rows or curves, or a tenth of them in a quick run."""
    return max(1, n // 10) if QUICK else n


def seconds(call: Callable[[], object], count: int) -> float:
    """Seconds per call over a group of calls."""
    began = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - began) / count


def group_size(call: Callable[[], object]) -> int:
    """How many calls last about as long as a group should; the call is warm afterwards."""
    call()
    once = seconds(call, 1)
    return max(1, min(2000, int(GROUP / once)))


def pairs(peer: Callable[[], object], ours: Callable[[], object], rounds: int = 15) -> Found:
    """Median seconds of the peer, of katamuki, and the median ratio, over interleaved groups."""
    sizes = group_size(peer), group_size(ours)
    found = [(seconds(peer, sizes[0]), seconds(ours, sizes[1])) for _ in range(rounds)]
    return median(p for p, _ in found), median(o for _, o in found), median(p / o for p, o in found)


def agree(ours: float, theirs: float, digits: float) -> None:
    """Stop if the two sides did not compute the same number: a wrong answer has no speed."""
    if not abs(ours - theirs) <= 10.0**-digits * max(abs(ours), abs(theirs)):
        raise SystemExit(f"the two sides disagree: {ours!r} and {theirs!r}")


def every(*measurements: Callable[[], object]) -> None:
    """Take measurements one after the other; one that fails is told, the others are taken, the exit status says so."""
    failed = False
    for measure in measurements:
        try:
            measure()
        except (Exception, SystemExit):
            traceback.print_exc()
            failed = True
    sys.stdout.flush()
    if failed:
        raise SystemExit(1)


def ratio_row(work: str, peer_name: str, found: Found, target: float, **facts: object) -> None:
    """Record a row "how many times faster than the peer": at least ``target``."""
    peer, ours, ratio = found
    _record(work, f"{peer_name} ÷ ours", ratio, "times", "at least", target, facts, ours, peer)


def within_row(work: str, peer_name: str, found: Found, limit: float, **facts: object) -> None:
    """Record a row "ours in so many times the peer's time": at most ``limit``."""
    peer, ours, ratio = found
    _record(work, f"ours ÷ {peer_name}", 1.0 / ratio, "ratio", "at most", limit, facts, ours, peer)


def limit_row(work: str, measure: str, value: float, unit: str, limit: float, **facts: object) -> None:
    """Record a row "no more than so much"; ``facts`` stand beside it in the table."""
    _record(work, measure, value, unit, "at most", limit, facts)


def _record(
    work: str,
    measure: str,
    value: float,
    unit: str,
    sense: str,
    target: float,
    facts: dict[str, object],
    ours_s: float | None = None,
    peer_s: float | None = None,
) -> None:
    met = value >= target if sense == "at least" else value <= target
    row: dict[str, Any] = {
        "script": Path(sys.argv[0]).stem,
        "work": work,
        "measure": measure,
        "value": value,
        "unit": unit,
        "sense": sense,
        "target": target,
        "met": None if QUICK else met,
        "quick": QUICK,
        "ours_s": ours_s,
        "peer_s": peer_s,
        "facts": {name.replace("_", " "): str(text) for name, text in facts.items()},
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine_facts(),
    }
    RESULTS.mkdir(exist_ok=True)
    name = re.sub(r"\W+", "_", f"{row['script']} {work} {measure}").strip("_")
    (RESULTS / f"{name}.json").write_text(json.dumps(row, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    from table import line  # only what prints needs it

    print(line(row), flush=True)

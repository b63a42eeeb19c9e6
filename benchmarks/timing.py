"""How the benchmarks measure: both sides in one run, in turn, medians, and one JSON file per row of the table.

Calls are grouped so that a group lasts about 30 ms; groups of peer and katamuki alternate, so that a busy machine slows
both. A ratio is the median over the pairs of groups; times are medians too. Nothing here judges: targets are printed
beside what was measured.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).parent / "results"
GROUP = 0.03  # seconds


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


def pairs(peer: Callable[[], object], ours: Callable[[], object], rounds: int = 15) -> tuple[float, float, float]:
    """Median seconds of the peer, of katamuki, and the median ratio, over interleaved groups."""
    sizes = group_size(peer), group_size(ours)
    found = [(seconds(peer, sizes[0]), seconds(ours, sizes[1])) for _ in range(rounds)]
    return median(p for p, _ in found), median(o for _, o in found), median(p / o for p, o in found)


def agree(ours: float, theirs: float, digits: float) -> None:
    """Stop if the two sides did not compute the same number: a wrong answer has no speed."""
    if abs(ours - theirs) > 10.0**-digits * max(abs(ours), abs(theirs)):
        raise SystemExit(f"the two sides disagree: {ours!r} and {theirs!r}")


def ratio_row(work: str, peer_name: str, found: tuple[float, float, float], target: float) -> None:
    """Record a row "how many times faster than the peer"."""
    peer, ours, ratio = found
    _record(
        {
            "work": work,
            "measure": f"{peer_name} ÷ ours",
            "peer_s": peer,
            "ours_s": ours,
            "value": ratio,
            "unit": "times",
            "target": target,
            "met": ratio >= target,
        }
    )


def limit_row(work: str, measure: str, value: float, unit: str, limit: float, **facts: object) -> None:
    """Record a row "no more than so much"; ``facts`` stand beside it in the JSON."""
    _record(
        {
            "work": work,
            "measure": measure,
            "value": value,
            "unit": unit,
            "target": limit,
            "met": value <= limit,
            "facts": facts,
        }
    )


def _record(row: dict[str, object]) -> None:
    row["machine"] = {"cpu": _cpu(), "python": platform.python_version()}
    RESULTS.mkdir(exist_ok=True)
    name = "".join(c if c.isalnum() else "_" for c in f"{row['work']} {row['measure']}").strip("_")
    (RESULTS / f"{name}.json").write_text(json.dumps(row, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(line(row))


def line(row: dict[str, object]) -> str:
    """One line of the table: work, measure, value, target, and whether it was met."""
    value, target, unit = float(str(row["value"])), float(str(row["target"])), str(row["unit"])
    sign = "≥" if unit == "times" else "≤"
    times = f"   {_time(row['peer_s'])} ÷ {_time(row['ours_s'])}" if "peer_s" in row else ""
    extra = "".join(f"   {name} {text}" for name, text in dict(row.get("facts", {})).items())
    said = "" if row["met"] else "   MISSED"
    return f"{row['work']:44} {row['measure']:32} {value:9.4g} {unit:6} {sign} {target:<6g}{said}{times}{extra}"


def _time(value: object) -> str:
    number = float(str(value))
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if number * factor >= 1:
            return f"{number * factor:.3g} {unit}"
    return f"{number * 1e9:.3g} ns"


def _cpu() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            return next(text.split(":")[1].strip() for text in lines if text.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()

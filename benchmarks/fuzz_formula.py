"""How long a formula takes to be read or refused: 100,000 random strings, and the worst that anybody thought of.

Run: ``python benchmarks/fuzz_formula.py``. Prints the longest times; the limit that we promise is 0.1 s a string.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from katamuki.errors import FormulaError
from katamuki.formula import parse
from test_formula import COLUMNS, fuzzed

WORST = [
    "y ~ " + "+".join(f"p{k}" for k in range(1500)),
    "y ~ " + "-" * 9900 + "a",
    "y ~ " + "(" * 10_000,
    "y ~ a*" + "x" * 9_900,
    "y ~ " + "`a`+" * 1999 + "a",
    "y ~ " + "if " * 3000,
    "y ~ " + "a if x else " * 90 + "b",
    "y ~ " + "傾" * 9_000,
    "y" * 100_000,
    "y ~ a + 9**9**9**9",
]


def seconds(text: str) -> float:
    """The time to read a string, its error printed."""
    began = time.perf_counter()
    try:
        parse(text, COLUMNS)
    except FormulaError as error:
        str(error)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    seconds("y ~ a*x")
    random_times = [seconds(text) for text in fuzzed(100_000, seed=20)]
    worst_times = [min(seconds(text) for _ in range(3)) for text in WORST]
    found = {
        "strings": len(random_times),
        "mean_us": round(1e6 * sum(random_times) / len(random_times), 1),
        "longest_ms": round(1e3 * max(random_times), 2),
        "longest_constructed_ms": round(1e3 * max(worst_times), 2),
        "limit_ms": 100,
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()

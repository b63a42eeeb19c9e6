"""The rows that the suite must show: a row that a script did not measure is FAILED by name, and never left out.

Each script stands with the packages it needs besides katamuki's own and with its rows: work and measure, ``*`` for what
the machine or the problem sets decide. ``tests/test_benchmarks.py`` holds this list and the folder together.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

SUPPORT = ("batched", "machine", "run", "suite", "table", "timing")  # what the scripts share
BY_HAND = {  # scripts that print something else than rows, with what they are for
    "certified": "digits of every certified problem",
    "fuzz_formula": "the longest that any formula takes to be read or refused",
}


@dataclass(frozen=True, slots=True)
class Script:
    """One script: ``rows`` are pairs of work and measure."""

    name: str
    part: str
    rows: tuple[tuple[str, str], ...]


FIRST_ORDER, SMALL, SEARCH, LARGE = "First-order solvers", "Small fits", "No starting values", "Large data"
MANY, ELSEWHERE, WAITING = "Many curves", "Rows that are elsewhere", "What a user waits for"
EXPONENTIAL = "a*exp(-b*x)+c"
ORDERS = ("sorted", "shuffled")

SUITE = (
    Script("tutorial_loop", FIRST_ORDER, (("tutorial, 6000 RMSprop steps, 11 points", "PyTorch eager loop ÷ ours"),)),
    Script(
        "first_order_rules",
        FIRST_ORDER,
        (("slowest first-order rule, 6000 steps, 11 points", "PyTorch eager loop ÷ ours"),),
    ),
    Script(
        "mini_batches",
        FIRST_ORDER,
        (
            ("mini-batches of 4, 11 points, 2000 Adam steps", "PyTorch DataLoader loop ÷ ours"),
            ("mini-batches of 64, 1e5 rows, 2000 Adam steps", "PyTorch DataLoader loop ÷ ours"),
        ),
    ),
    Script(
        "lbfgs",
        FIRST_ORDER,
        (
            ("L-BFGS, 200 iterations, 11 points", "PyTorch's loop ÷ ours"),
            ("L-BFGS, 200 iterations, whole km.fit", "PyTorch's loop ÷ ours"),
        ),
    ),
    Script(
        "torch_backend",
        FIRST_ORDER,
        (("PyTorch, 1e6 rows, 300 Adam steps, full batch", "plain PyTorch loop, * threads ÷ ours"),),
    ),
    Script("race", WAITING, (("race of the default lanes, 20,000 steps each", "wall time without torch"),)),
    Script("whole_run", WAITING, (("explain of the 6000-step run", "wall time"),)),
    Script(
        "story",
        WAITING,
        (
            ("story of one step, 11 rows", "step 1 of 6000, made and printed"),
            ("story of one step, 11 rows", "the last step, made and printed"),
            ("picture of one step, 11 rows", "made and drawn"),
        ),
    ),
    Script(
        "straight_line",
        SMALL,
        (
            ("straight line, 11 points", "LinearRegression.fit ÷ ours"),
            ("straight line, 11 points", "scipy linregress ÷ ours"),
        ),
    ),
    Script("exponential", SMALL, ((f"{EXPONENTIAL}, 100 points", "scipy curve_fit ÷ ours"),)),
    Script(
        "search",
        SEARCH,
        (
            (f"{EXPONENTIAL}, 100 points, no start", "scipy curve_fit, good start ÷ ours"),
            (f"{EXPONENTIAL}, 100 points, start and search", "scipy curve_fit, same start ÷ ours"),
        ),
    ),
    Script(
        "from_nothing",
        SEARCH,
        (
            ("27 certified problems from nothing", "wall time, one core"),
            ("27 certified problems from nothing", "ours ÷ scipy, 64 random starts"),
            ("gallery of * hard problems from nothing", "median"),
            ("gallery of * hard problems from nothing", "slowest"),
        ),
    ),
    Script(
        "seven_parameters",
        LARGE,
        tuple((f"Gauss + exponential, 7 parameters, {n}", "scipy curve_fit ÷ ours") for n in ("1e3", "1e5", "1e7")),
    ),
    Script("kernel", LARGE, (("kernel: value, normal equations, 3 parameters", "one core, *-bit vectors"),)),
    Script(
        "judging",
        SMALL,
        tuple(
            (f"verdict and findings, {what}", "time, ≤ 30 % of a fit or 20 µs")
            for what in ("line, 11 points", "exponential, 100 points", "exponential, 100000 points")
        ),
    ),
    Script(
        "processes",
        WAITING,
        (
            ("import katamuki (no numpy)", "wall time"),
            ("katamuki --help", "wall time of the process"),
            ("katamuki fit, tutorial, with check", "wall time of the process"),
        ),
    ),
    Script(
        "many_gaussians",
        MANY,
        (
            ("1e* Gaussians × 20 points, start found", "per curve and core, 1 thread"),
            ("1e* Gaussians × 20 points, start found", "per curve and core, 2 threads"),
            ("1e* Gaussians × 20 points, start given", "per curve and core, 1 thread"),
            ("1e* Gaussians × 20 points, start given", "per curve and core, 2 threads"),
            ("1e* Gaussians × 20 points, start given", "scipy curve_fit loop ÷ ours"),
            ("1e* Gaussians × 20 points, start given", "torch batched ÷ ours"),
            ("1e* Gaussians × 20 points, start given", "jax ÷ ours"),
        ),
    ),
    Script(
        "many_lines",
        MANY,
        tuple((f"1e* straight lines × 20 rows, {order}", "polars group_by sums ÷ ours") for order in ORDERS),
    ),
    Script("many_memory", MANY, (("fit_many over a table of * GB", "peak memory"),)),
    Script(
        "in_memory",
        LARGE,
        (
            ("straight line, 1e* rows in memory", "ours ÷ np.sum of both, 1 thread"),
            (f"{EXPONENTIAL}, 1e* rows in memory", "scipy curve_fit ÷ ours"),
        ),
    ),
    Script("cluster", ELSEWHERE, ((f"Dask, {EXPONENTIAL}, 1e8 rows from Parquet", "one process ÷ ours"),)),
    Script(
        "in_database",
        ELSEWHERE,
        ((f"{EXPONENTIAL} in DuckDB, 1e* rows", "ours ÷ reading the rows out and fitting in memory"),),
    ),
    Script(
        "streamed",
        LARGE,
        (
            ("straight line, 1e* rows from Parquet", "ours ÷ reading it (*)"),
            (f"{EXPONENTIAL}, 1e* rows from Parquet", "ours ÷ three reads (*)"),
            (f"{EXPONENTIAL}, 1e* rows from Parquet", "peak memory of the process"),
        ),
    ),
    Script("first_fit", WAITING, (("first fit of a new formula, warm process", "wall time"),)),
)


def fits(row: dict[str, Any], expected: tuple[str, str]) -> bool:
    """Whether a measured row is this one of the list; a ``[`` or ``?`` in a name is itself."""
    return all(
        fnmatchcase(str(row[key]), pattern.replace("[", "[[]").replace("?", "[?]"))
        for key, pattern in zip(("work", "measure"), expected, strict=True)
    )

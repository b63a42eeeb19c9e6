"""NIST's 38 certified problems: how many digits each fit gets right, from each published start.

    python benchmarks/certified.py [--every]

One line per problem and start: the fewest digits of any parameter, and behind it the limit that rounding the data to
doubles sets; the same of any standard error; the fewest that ``fit.digits`` promises; digits of the residual sum of
squares; steps; time of a second ``km.fit`` call, the kernel compiled already. ``--every`` lists found, certified and
digits of every figure. Digits are counted against figures refined in 60 digits (``katamuki.certified``). Starts are
tried alone (``starts=1``). Start 1 is far: a local search may end elsewhere, and then the table says so.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Iterator, Mapping

import katamuki as km
from katamuki.certified import Problem, digits, names, problem

WANTED = {"linear": 10, "nonlinear": 11}  # digits of every parameter
MOST = 16.0  # that a double has
WIDTHS = "{:<10}{:<9}{:>4}{:>3}{:>7}{:>8}{:>6}{:>8}{:>6}{:>9}{:>6}{:>7}{:>9}  {}"
HEADS = (
    "problem",
    "level",
    "n",
    "p",
    "start",
    "params",
    "of",
    "stderr",
    "of",
    "promised",
    "rss",
    "steps",
    "ms",
    "state",
)


def fewest(found: Mapping[str, float | None], exact: Mapping[str, str]) -> float:
    """The fewest digits of any of some figures; a figure that is not given has none."""
    values = {name: found.get(name) for name in exact}
    return min(digits(float("nan") if v is None else v, exact[name]) for name, v in values.items())


def limit(p: Problem, kind: str) -> float:
    """The fewest digits that are left of an exact answer once the data are rounded to doubles."""
    exact, held = getattr(p.refined, kind), getattr(p.rounded, kind)
    return min(float("inf") if held[k] == exact[k] else digits(float(held[k]), exact[k]) for k in exact)


def fitted(p: Problem, start: Mapping[str, float] | None) -> tuple[km.Fit | None, str, float]:
    """The fit, how it ended, and the milliseconds of the second call."""
    fit, state, ms = None, "", 0.0
    for _ in range(2):
        began = time.perf_counter()
        try:
            fit = km.fit(p.formula, p.columns, start=start, starts=1)
            state = fit.state
        except km.NotConverged as error:
            fit, state = None, f"NotConverged {error.code}"
        ms = 1e3 * (time.perf_counter() - began)
    return fit, state, ms


def every(p: Problem, fit: km.Fit) -> Iterator[str]:
    """Found, certified and digits of each parameter and each standard error."""
    for kind, found, said, exact in (
        ("", fit.params, p.certified.params, p.refined.params),
        ("stderr ", fit.stderr, p.certified.stderr, p.refined.stderr),
    ):
        for name, value in found.items():
            number = float("nan") if value is None else value
            yield f"    {kind + name:12}{number:>24.16g}  {said[name]:<24}{digits(number, exact[name]):5.1f}"


def main() -> int:
    """Print the table; 1 if a linear problem, or a nonlinear one from start 2, misses digits that are wanted."""
    asked = argparse.ArgumentParser(description="Digits of NIST's certified problems.")
    asked.add_argument("--every", action="store_true", help="list every figure")
    listing = asked.parse_args().every
    warnings.simplefilter("ignore", km.FitWarning)  # the state stands in the table
    print(WIDTHS.format(*HEADS))
    reached = {"-": 0, "1": 0, "2": 0}
    for p in map(problem, names()):
        for which, start in zip("12", p.starts, strict=True) if p.starts else [("-", None)]:
            fit, state, ms = fitted(p, start)
            right = ["-"] * 7
            if fit is not None:
                least = fewest(fit.params, p.refined.params)
                reached[which] += least >= WANTED[p.suite]
                found = (least, limit(p, "params"), fewest(fit.stderr, p.refined.stderr), limit(p, "stderr"))
                found += (min(fit.digits.values()), digits(fit.rss, p.refined.rss))
                right = [*(f"{min(d, MOST):.1f}" for d in found), str(fit.solution.steps)]
            print(WIDTHS.format(p.name, p.difficulty, p.n, len(p.params), which, *right, f"{ms:.2f}", state))
            if listing and fit is not None:
                print("\n".join(every(p, fit)))
    print(f"parameters: linear {reached['-']} of {len(names('linear'))} to {WANTED['linear']} digits;", end=" ")
    ends = f"of {len(names('nonlinear'))} to {WANTED['nonlinear']} digits"
    print(f"nonlinear from start 1 {reached['1']}, from start 2 {reached['2']}, {ends}")
    return int(reached["-"] < len(names("linear")) or reached["2"] < len(names("nonlinear")))


if __name__ == "__main__":
    sys.exit(main())

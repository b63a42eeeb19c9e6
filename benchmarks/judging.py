"""Verdict and findings: the time spent in them during whole fits, and their share of those."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import numpy as np
from timing import group_size, limit_row

import katamuki as km
from katamuki.api import entry

PARTS = ("residual_facts", "bent_profiles", "examine", "verdict")
SHARE, FREE = 0.3, 20e-6  # of a fit's time; seconds that are allowed in any case


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Add up the seconds spent in each part while this lasts; the clock itself costs each call 0.2 µs."""
    spent = dict.fromkeys(PARTS, 0.0)
    kept = {name: getattr(entry, name) for name in PARTS}

    def watch(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*args, **options)
            finally:
                spent[name] += time.perf_counter() - began

        return timed

    for name, call in kept.items():
        setattr(entry, name, watch(name, call))
    try:
        yield spent
    finally:
        for name, call in kept.items():
            setattr(entry, name, call)


def measure(work: str, formula: str, data: dict[str, np.ndarray], **options: Any) -> None:
    """One row: the median time of verdict and findings in a fit, beside what is allowed for this fit."""

    def whole() -> None:
        km.fit(formula, data, **options)

    count = group_size(whole)
    judging, fitting = [], []
    for _ in range(21):
        with watched() as spent:
            began = time.perf_counter()
            for _ in range(count):
                whole()
            fitting.append((time.perf_counter() - began) / count)
        if not all(spent.values()):
            raise SystemExit(f"a part was never called: {spent}")
        judging.append(sum(spent.values()) / count)
    each, fit = median(judging), median(fitting)
    limit_row(
        f"verdict and findings, {work}",
        "time, ≤ 30 % of a fit or 20 µs",
        each * 1e6,
        "µs",
        round(1e6 * max(FREE, SHARE * fit), 1),
        share=f"{100 * each / fit:.0f} %",
        fit=f"{fit * 1e6:.0f} µs",
    )


if __name__ == "__main__":
    rng = np.random.default_rng(1)
    x = np.array([10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0])
    y = np.array([8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68])
    measure("line, 11 points", "y ~ a*x + b", {"x": x, "y": y})
    for n in (100, 10**5):
        x = np.linspace(0.0, 4.0, n)
        y = 2.5 * np.exp(-1.3 * x) + 0.5 + 0.05 * rng.standard_normal(n)
        start = {"a": 1.0, "b": 1.0, "c": 0.0}
        measure(f"exponential, {n:g} points", "y ~ a*exp(-b*x) + c", {"x": x, "y": y}, start=start, starts=1)

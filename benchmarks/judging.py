"""Verdict and findings: their share of a fit, measured by leaving them out."""

from __future__ import annotations

from statistics import median
from typing import Any

import numpy as np
from timing import group_size, limit_row, seconds

import katamuki as km
from katamuki.api import entry

PARTS = ("residual_facts", "examine", "verdict")


def without(call: Any) -> Any:
    """The same call with nothing looked at: for the time of a measurement only."""
    kept = {name: getattr(entry, name) for name in PARTS}
    blind = {"residual_facts": lambda *_: None, "examine": lambda *_, **__: (), "verdict": lambda *_: "good"}

    def blindly() -> None:
        for name in PARTS:
            setattr(entry, name, blind[name])
        try:
            call()
        finally:
            for name in PARTS:
                setattr(entry, name, kept[name])

    return blindly


def measure(work: str, formula: str, data: dict[str, np.ndarray], **options: Any) -> None:
    """One row: the share, or the time where the share is above 30 % of almost nothing."""

    def whole() -> None:
        km.fit(formula, data, **options)

    blind = without(whole)
    count = group_size(whole)
    blind()
    found = [(seconds(whole, count), seconds(blind, count)) for _ in range(21)]
    spent = median(a - b for a, b in found)
    share = median((a - b) / a for a, b in found)
    times = f"{spent * 1e6:.1f} µs of {median(a for a, _ in found) * 1e6:.0f} µs"
    if spent > 20e-6:
        limit_row(f"verdict and findings, {work}", "share of the fit", 100 * share, "%", 30, spent=times)
    else:
        limit_row(f"verdict and findings, {work}", "time", spent * 1e6, "µs", 20, spent=times)


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

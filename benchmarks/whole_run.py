"""The story of the tutorial's whole run, 6000 steps: events found, words made, wall time of ``str(fit.explain())``."""

from __future__ import annotations

import warnings
from statistics import median

from timing import agree, limit_row, seconds

import katamuki as km

SOLVER = km.RMSprop(lr=0.001, steps=6000)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        fit = km.fit("y ~ a*x + b", km.datasets("tutorial"), solver=SOLVER, start={"a": 0.5, "b": 0.5})
    first = seconds(lambda: str(fit.explain()), 1)  # with what is imported for it
    steps = {event.code: event.step for event in fit.explain().events}
    for code, known in (("valley", 312), ("stability_limit", 1183), ("floor", 3246)):  # as NumPy and PyTorch have it
        agree(steps[code], known, 5)
    found = [seconds(lambda: str(fit.explain()), 5) for _ in range(15)]
    limit_row(
        "explain of the 6000-step run", "wall time", median(found) * 1e3, "ms", 50.0, first_ms=f"{first * 1e3:.3g}"
    )

"""The story of one step, made and printed: the facts from the trace, the replayed memory, the text of every part."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from statistics import median

from timing import agree, group_size, limit_row, seconds

import katamuki as km

START = {"a": 0.5, "b": 0.5}
SOLVER = km.RMSprop(lr=0.001, steps=6000)


def milliseconds(call: Callable[[], object]) -> float:
    """Median milliseconds of a call over 15 groups."""
    size = group_size(call)
    return 1000.0 * median(seconds(call, size) for _ in range(15))


if __name__ == "__main__":
    warnings.simplefilter("ignore", km.FitWarning)
    fit = km.fit("y ~ a*x + b", km.datasets("tutorial"), solver=SOLVER, start=START)
    agree(fit.step(1).gradient["a"], -2.0 / 11.0 * 247.6, 12)
    first = milliseconds(lambda: str(fit.step(1)))
    limit_row("story of one step, 11 rows", "step 1 of 6000, made and printed", first, "ms", 5)
    last = milliseconds(lambda: str(fit.step(6000)))
    limit_row("story of one step, 11 rows", "the last step, made and printed", last, "ms", 5)
    drawn = milliseconds(lambda: fit.step(1).draw(1))
    limit_row("picture of one step, 11 rows", "made and drawn", drawn, "ms", 10)

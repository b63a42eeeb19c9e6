"""What the residuals of one small curve say at its answer: the compiled twin of :mod:`katamuki.findings.residuals`.

Its slots are those of :class:`katamuki.findings.residuals.ResidualFacts`, by shorter names.
"""

from __future__ import annotations

import math

from katamuki.backends.native import at, inline
from katamuki.findings.passes import (
    CHANGES,
    COOK,
    CURVE,
    CURVES,
    FALLS,
    HEAD,
    LEVEL,
    LEVERAGE,
    NEGATIVE,
    OUTLIER,
    POSITIVE,
    RISES,
    SCRATCH,
    SQUARES,
    UU,
    VF,
    VUF,
    VV,
    VVF,
    VVFF,
    U,
    V,
    add_facts,
    clear,
    ordered_runs,
)

# level, outlier, cook, leverage, spread, curve, positive, negative, runs
TOTAL, FARTHEST, PULL, LONE, FOLLOWS, BENT, PLUS, MINUS, RUNS = range(9)
FACTS = 9
ORDERED = 2000  # rows that are put in order for their runs, at most


def facts_room(p: int) -> int:
    """How many doubles :func:`judge` works in."""
    return HEAD + 2 * p + SCRATCH + ORDERED


@inline
def judge(  # type: ignore[no-untyped-def]
    kernel, columns, ordered, y, root, weighted, begin, n, free, p, x, rss, inverse, block, room, order, out
):  # fmt: skip
    """``out`` (FACTS,) for rows ``begin`` to ``begin`` + n at the answer ``x``; ``order`` has room for ORDERED."""
    precision = (n - p) / rss if rss > 0.0 else 0.0
    shift = 0.5 * (y[begin] + y[begin + n - 1])
    kept = at(room, HEAD + 2 * p + SCRATCH)
    start = begin
    clear(n, p, room)
    while start < begin + n:
        m = min(256, begin + n - start)
        add_facts(
            kernel, columns, x, y, root, weighted, begin, start, m, free, p, inverse, precision, shift, ordered, block,
            m, room
        )  # fmt: skip
        if n <= ORDERED:
            for i in range(m):
                kept[start - begin + i] = block[i]
        start += m
    out[TOTAL], out[FARTHEST], out[PULL], out[LONE] = room[LEVEL], room[OUTLIER], room[COOK] / p, room[LEVERAGE]
    out[PLUS], out[MINUS] = room[POSITIVE], room[NEGATIVE]
    middle = room[VF] / room[V] if room[V] > 0.0 else 0.0
    follows = room[VUF] - middle * room[SQUARES] * precision
    width = room[VVFF] - middle * (2.0 * room[VVF] - middle * room[VV])
    scale = (room[UU] - room[U] * room[U] / n) * width
    out[FOLLOWS] = follows / math.sqrt(scale) if scale > 0.0 and width > 1e-20 * room[VVFF] else 0.0
    beyond = room[CURVES]
    for k in range(p):
        beyond -= room[HEAD + k] * room[HEAD + k]
    explained = room[SQUARES] * beyond
    out[BENT] = room[CURVE] * room[CURVE] / explained if beyond > 1e-8 * room[CURVES] and explained > 0.0 else math.nan
    out[RUNS] = -1.0
    if ordered == 1 and (room[FALLS] == 0.0 or room[RISES] == 0.0):
        out[RUNS] = room[CHANGES] + 1.0
    elif ordered == 1 and n <= ORDERED:
        out[RUNS] = ordered_runs(at(columns[0], begin), kept, n, order)

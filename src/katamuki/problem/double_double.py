"""Normal equations of a linear model in double-double arithmetic: 31 digits, so that squaring columns costs none.

Each of the 256 rows of a block has its own sum, so that the compiler can use vector registers without reordering
anything. Sums, products and integer powers in a column keep all digits; other operations have double precision.
"""

from __future__ import annotations

from katamuki.backends.double_double import dd_add, dd_mul
from katamuki.backends.native import at, call_rows, function, inline


@inline
def add_products(lanes, high, low, other_high, other_low, weights, weighted, m):  # type: ignore[no-untyped-def]
    """Add w·a·b of m rows to the rows' own sums; ``lanes`` holds 256 high and 256 low parts."""
    for i in range(m):
        h, t = dd_mul(high[i], low[i], other_high[i], other_low[i])
        if weighted == 1:
            h, t = dd_mul(h, t, weights[i], 0.0)
        h, t = dd_add(lanes[i], lanes[256 + i], h, t)
        lanes[i] = h
        lanes[256 + i] = t


@function(
    "int64(int64, double**, double*, double*, double*, int64, int64, int64, int64*, int64, int64, double*, double*,"
    " double*)"
)
def double_double_pass(  # type: ignore[no-untyped-def]
    kernel, columns, params, y, weights, weighted, start, stop, free, p, all_p, block, lanes, out
):
    """``out`` = r₀ᵀWr₀, JᵀWr₀ (p), upper triangle of JᵀWJ by rows, each a high and a low double.

    r₀ = y − f(params); ``block`` has 2·256·(1 + all_p) doubles, ``lanes`` 512 for each sum.
    """
    terms = 1 + p + p * (p + 1) // 2
    width = min(256, stop - start)
    for k in range(512 * terms):
        lanes[k] = 0.0
    high = block
    low = at(block, 256 * (1 + all_p))
    while start < stop:
        m = min(256, stop - start)
        call_rows(kernel, columns, params, start, m, high, low, 1)
        w = at(weights, start * weighted)
        for i in range(m):
            h, t = dd_add(y[start + i], 0.0, -high[i], -low[i])
            high[i] = h
            low[i] = t
        add_products(lanes, high, low, high, low, w, weighted, m)
        k = 1 + p
        for j in range(p):
            one = 256 * (1 + free[j])
            add_products(at(lanes, 512 * (1 + j)), at(high, one), at(low, one), high, low, w, weighted, m)
            for i in range(j, p):
                two = 256 * (1 + free[i])
                add_products(
                    at(lanes, 512 * k), at(high, one), at(low, one), at(high, two), at(low, two), w, weighted, m
                )
                k += 1
        start += m
    for k in range(terms):
        h, t = 0.0, 0.0
        lane = at(lanes, 512 * k)
        for i in range(width):
            h, t = dd_add(h, t, lane[i], lane[256 + i])
        out[2 * k] = h
        out[2 * k + 1] = t
    return 0

"""exp in source that LLVM inlines and vectorises: faster than a call of libmvec, and within one unit in the last place.

e^x = 2^k · e^r with k the whole number nearest to x/ln 2, r = x − k ln 2 in two pieces, e^r by its series and 2^k
in two factors, for results below 2⁻¹⁰²². NaN stays NaN, large x gives infinity, small x 0. It needs a processor with
fused multiply-add; elsewhere libm's exp is called. Sources: Cody & Waite 1980, chapter 6; Tang 1989.
"""

from __future__ import annotations

import math

from katamuki.backends.native import Placeholder, fma, inline
from katamuki.backends.vectors import choose, fused, splat, two_to_last

LOG2_E = 1.4426950408889634
LN2_HIGH = 0.693147180369123816490  # 33 bits: k times it is exact
LN2_LOW = 1.90821492927058770002e-10
OVERFLOWS, VANISHES = 710.0, -746.0

# e^r − 1 − r over r², |r| ≤ ln 2 / 2: interpolated at Chebyshev's nodes, 1.6e-17 off in e^r.
C0, C1, C2, C3, C4 = (
    0.5000000000000001,
    0.16666666666666669,
    0.04166666666662413,
    0.008333333333330062,
    0.0013888888917213717,
)
C5, C6, C7 = 0.00019841269863053618, 2.4801521295954376e-05, 2.7557268459997064e-06
C8, C9 = 2.7620088445409746e-07, 2.510038549551032e-08
SHIFTED = 1.5 * 2.0**52 + 1023.0  # beside it a whole number stands in the last bits of a double, where 2^k has k + 1023
HIGHEST, LOWEST = 709.0, -708.0  # where 2^k is one factor

nearest_whole = Placeholder("nearest_whole")  # nearest_whole(x): round half to even
two_to = Placeholder("two_to")  # two_to(k): 2**k of a whole k, −1022 ≤ k ≤ 1023


@inline
def exp(x):  # type: ignore[no-untyped-def]
    """e^x, at most one unit in the last place off."""
    within = min(max(x, VANISHES), OVERFLOWS)
    k = nearest_whole(within * LOG2_E)
    r = fma(-k, LN2_LOW, fma(-k, LN2_HIGH, within))
    s = 1.0 / 6227020800.0
    s = fma(s, r, 1.0 / 479001600.0)
    s = fma(s, r, 1.0 / 39916800.0)
    s = fma(s, r, 1.0 / 3628800.0)
    s = fma(s, r, 1.0 / 362880.0)
    s = fma(s, r, 1.0 / 40320.0)
    s = fma(s, r, 1.0 / 5040.0)
    s = fma(s, r, 1.0 / 720.0)
    s = fma(s, r, 1.0 / 120.0)
    s = fma(s, r, 1.0 / 24.0)
    s = fma(s, r, 1.0 / 6.0)
    s = fma(s, r, 0.5)
    series = fma(s * r, r, r) + 1.0
    half = nearest_whole(0.5 * k)
    return series * two_to(half) * two_to(k - half) if x == x else x  # noqa: PLR0124  NaN


@inline
def exp_of_eight(x):  # type: ignore[no-untyped-def]
    """e^x of eight numbers, at most one unit in the last place off; infinite above 1e307, 0 below 1e-307.

    The polynomial's terms are added by pairs (Estrin), since one curve's row has to wait for it.
    """
    shifted = fused(x, splat(LOG2_E), splat(SHIFTED))
    k = splat(SHIFTED) - shifted
    r = fused(k, splat(LN2_LOW), fused(k, splat(LN2_HIGH), x))
    square = r * r
    low = fused(fused(splat(C3), r, splat(C2)), square, fused(splat(C1), r, splat(C0)))
    middle = fused(fused(splat(C7), r, splat(C6)), square, fused(splat(C5), r, splat(C4)))
    fourth = square * square
    s = fused(fused(fused(splat(C9), r, splat(C8)), fourth, middle), fourth, low)
    value = (fused(s, square, r) + splat(1.0)) * two_to_last(shifted)
    return choose(x > splat(HIGHEST), splat(math.inf), choose(x < splat(LOWEST), splat(0.0), value))

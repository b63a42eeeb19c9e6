"""exp in source that LLVM inlines and vectorises: faster than a call of libmvec, and within one unit in the last place.

e^x = 2^k · e^r with k the whole number nearest to x/ln 2, r = x − k ln 2 in two pieces, e^r by its series and 2^k
in two factors, for results below 2⁻¹⁰²². NaN stays NaN, large x gives infinity, small x 0. It needs a processor with
fused multiply-add; elsewhere libm's exp is called. Sources: Cody & Waite 1980, chapter 6; Tang 1989.
"""

from __future__ import annotations

from katamuki.backends.native import Placeholder, fma, inline

LOG2_E = 1.4426950408889634
LN2_HIGH = 0.693147180369123816490  # 33 bits: k times it is exact
LN2_LOW = 1.90821492927058770002e-10
OVERFLOWS, VANISHES = 710.0, -746.0

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

"""Double-double arithmetic: a number as the unevaluated sum of a high and a low double, 31 digits.

Sources: Dekker 1971; Hida, Li & Bailey 2001 ("Library for double-double and quad-double arithmetic"). Only sums,
products and integer powers: what the columns of linear models are made of.
"""

from __future__ import annotations

from katamuki.backends.native import fma, inline


@inline
def two_sum(a, b):  # type: ignore[no-untyped-def]
    """a + b and the rounding error of that sum."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


@inline
def dd_add(ah, al, bh, bl):  # type: ignore[no-untyped-def]
    """a + b."""
    high, low = two_sum(ah, bh)
    tail, rest = two_sum(al, bl)
    low = low + tail  # as it stands it adds vectors, too
    total = high + low
    low = low - (total - high) + rest
    high = total + low
    return high, low - (high - total)


@inline
def dd_neg(ah, al):  # type: ignore[no-untyped-def]
    """−a."""
    return -ah, -al


@inline
def dd_sub(ah, al, bh, bl):  # type: ignore[no-untyped-def]
    """a − b."""
    return dd_add(ah, al, -bh, -bl)


@inline
def dd_mul(ah, al, bh, bl):  # type: ignore[no-untyped-def]
    """a · b."""
    product = ah * bh
    error = fma(ah, bh, -product) + (ah * bl + al * bh)
    high = product + error
    return high, error - (high - product)


@inline
def dd_powi(ah, al, exponent):  # type: ignore[no-untyped-def]
    """a to a positive integer power, by squaring."""
    high, low = 1.0, 0.0
    while exponent > 0:
        if exponent & 1:
            high, low = dd_mul(high, low, ah, al)
        ah, al = dd_mul(ah, al, ah, al)
        exponent >>= 1
    return high, low

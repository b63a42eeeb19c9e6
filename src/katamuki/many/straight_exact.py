"""The closed form in double-double for curves whose columns nearly depend on each other, eight side by side.

Modified Gram–Schmidt as in :mod:`katamuki.many.straight_passes`, with 31 digits: of a parameter it leaves those that
:func:`katamuki.solvers.linear.refine` has, whatever column the data are far from 0 in. Sources: Björck 1996, section
2.4; Hida, Li & Bailey 2001. The model's columns are in double-double too, as far as they are sums, products and powers.
"""

from __future__ import annotations

from katamuki.backends.double_double import dd_add, dd_sub
from katamuki.backends.native import at, call_rows, function, inline
from katamuki.backends.vectors import choose, fused, load, splat, store
from katamuki.many.straight_passes import side_by_side, sum_up
from katamuki.many.straight_remarks import conclude
from katamuki.many.straight_slots import FACTS, USABLE, WORKING

LEAST = 1e-16  # of a column's squared length: less is for the whole road, which says what the data do not determine


@inline
def times(ah, al, bh, bl):  # type: ignore[no-untyped-def]
    """a · b."""
    product = ah * bh
    error = fused(ah, bh, -product) + (ah * bl + al * bh)
    high = product + error
    return high, error - (high - product)


@inline
def over(ah, al, bh, bl):  # type: ignore[no-untyped-def]
    """a / b: three digits of base 2⁵³ of the quotient, each from what the ones before leave."""
    one = ah / bh
    h, t = times(one, one - one, bh, bl)
    h, t = dd_sub(ah, al, h, t)
    two = h / bh
    h2, t2 = times(two, two - two, bh, bl)
    h, t = dd_sub(h, t, h2, t2)
    return dd_add(one, two, h / bh, one - one)


@inline
def evaluate(kernel, pointers, params, y, root, masked, n, free, p, all_p, block, w, low, stride):  # type: ignore[no-untyped-def]
    """Weighted residuals about the fixed part and weighted derivatives of n rows; low parts in ``low``."""
    zero = splat(0.0)
    under = at(block, 256 * (1 + all_p))
    start = 0
    while start < n:
        m = min(32, n - start)
        call_rows(kernel, pointers, params, 8 * start, 8 * ((m + 3) // 4 * 4), block, under, 1)
        for k in range(p + 1):
            place = 256 * (1 + free[k - 1]) if k > 0 else 0
            high, rest = at(block, place), at(under, place)
            above, below = at(w, k * stride + 8 * start), at(low, k * stride + 8 * start)
            for r in range(m):
                h, t = load(high, r), load(rest, r)
                if k == 0:
                    h, t = dd_sub(load(y, start + r), zero, h, t)
                if masked == 1:
                    h, t = times(h, t, load(root, start + r), zero)
                store(above, r, h)
                store(below, r, t)
        start += m


@inline
def dot(a, a_low, b, b_low, n):  # type: ignore[no-untyped-def]
    """Σ ab."""
    total, rest = splat(0.0), splat(0.0)
    for r in range(n):
        h, t = times(load(a, r), load(a_low, r), load(b, r), load(b_low, r))
        total, rest = dd_add(total, rest, h, t)
    return total, rest


@inline
def take_away(a, a_low, share, share_low, b, b_low, n):  # type: ignore[no-untyped-def]
    """``a`` less a share of ``b``, row by row."""
    for r in range(n):
        h, t = times(share, share_low, load(b, r), load(b_low, r))
        h, t = dd_sub(load(a, r), load(a_low, r), h, t)
        store(a, r, h)
        store(a_low, r, t)


@inline
def orthogonalise(w, low, stride, n, p, g, g_low, d, z, z_low, norm, facts):  # type: ignore[no-untyped-def]
    """Make the columns of J orthogonal, and r to them, in place; see the twin in doubles."""
    one, zero = splat(1.0), splat(0.0)
    usable = one
    for k in range(p):
        v, v_low = at(w, (1 + k) * stride), at(low, (1 + k) * stride)
        own, own_low = dot(v, v_low, v, v_low, n)
        length = own
        for j in range(k):
            part = load(g, j * p + k)
            length = length + part * part * load(d, j)
        fine = own > splat(LEAST) * length
        usable = choose(fine, usable, zero)
        own, own_low = choose(fine, own, one), choose(fine, own_low, zero)
        store(norm, k, length)
        store(d, k, own)
        h, t = dot(v, v_low, w, low, n)
        h, t = over(h, t, own, own_low)
        store(z, k, h)
        store(z_low, k, t)
        take_away(w, low, h, t, v, v_low, n)
        for j in range(k + 1, p):
            other, other_low = at(w, (1 + j) * stride), at(low, (1 + j) * stride)
            h, t = dot(v, v_low, other, other_low, n)
            h, t = over(h, t, own, own_low)
            store(g, k * p + j, h)
            store(g_low, k * p + j, t)
            take_away(other, other_low, h, t, v, v_low, n)
    store(facts, USABLE, usable)


@inline
def substitute(p, g, g_low, d, z, z_low, theta, inverse, inverse_low, spread):  # type: ignore[no-untyped-def]
    """``theta`` from G theta = z, and the diagonal of (J'J)⁻¹; ``z`` and ``z_low`` become theta's parts."""
    for i in range(p - 1, -1, -1):
        h, t = load(z, i), load(z_low, i)
        for j in range(i + 1, p):
            a, b = times(load(g, i * p + j), load(g_low, i * p + j), load(z, j), load(z_low, j))
            h, t = dd_sub(h, t, a, b)
        store(z, i, h)
        store(z_low, i, t)
        store(theta, i, h)
        total = splat(1.0) / load(d, i)
        for k in range(i + 1, p):
            h, t = -load(g, i * p + k), -load(g_low, i * p + k)
            for j in range(i + 1, k):
                place = j * p + k
                a, b = times(load(g, i * p + j), load(g_low, i * p + j), load(inverse, place), load(inverse_low, place))
                h, t = dd_sub(h, t, a, b)
            store(inverse, i * p + k, h)
            store(inverse_low, i * p + k, t)
            total = total + h * h / load(d, k)
        store(spread, i, total)


def room(p: int, all_p: int, columns: int, rows: int) -> int:
    """How many doubles a thread works in: columns of eight curves of so many rows, a block, small matrices."""
    wide = 8 * rows * (columns + 2 + 2 * (p + 1) + WORKING)
    return wide + 2 * 256 * (1 + all_p) + 8 * (4 * p * p + 6 * p + FACTS)


@function(
    "int64(int64, double**, int64, double**, double*, double*, int64, int64*, int64, int64*, int64, int64, int64*,"
    " int64, int64, double*, int64, int64, double*, double*, int64, int64*, double*, double*, double*, double*,"
    " int32*)",
)
def exact_pass(  # type: ignore[no-untyped-def]
    kernel, columns, k_columns, pointers, y, root, weighted, offsets, shared, chosen, first, last, free, p, all_p,
    params, known, stride, limits, few, most, order, work, values, stderr, loss, status
):  # fmt: skip
    """:func:`katamuki.many.straight_passes.straight_pass`, with the model's kernel in double-double."""
    own_y = at(work, stride * k_columns)
    own_root = at(own_y, stride)
    w = at(own_root, stride)
    low = at(w, stride * (p + 1 + WORKING))
    block = at(low, stride * (p + 1))
    g = at(block, 512 * (1 + all_p))
    g_low, inverse, inverse_low = at(g, 8 * p * p), at(g, 16 * p * p), at(g, 24 * p * p)
    d = at(g, 32 * p * p)
    z, z_low, norm, theta, spread = at(d, 8 * p), at(d, 16 * p), at(d, 24 * p), at(d, 32 * p), at(d, 40 * p)
    facts = at(d, 48 * p)
    for group in range(first, last, 8):
        n, masked = side_by_side(
            columns, k_columns, y, root, weighted, offsets, shared, chosen, group, first, last, p, stride, order, work,
            facts,
        )  # fmt: skip
        evaluate(kernel, pointers, params, own_y, own_root, masked, n, free, p, all_p, block, w, low, stride)
        orthogonalise(w, low, stride, n, p, g, g_low, d, z, z_low, norm, facts)
        substitute(p, g, g_low, d, z, z_low, theta, inverse, inverse_low, spread)
        sum_up(w, own_y, own_root, masked, n, facts)
        conclude(
            kernel, 0, columns, k_columns, work, y, own_y, root, own_root, weighted, masked, offsets, shared, chosen,
            group, last, n, free, p, all_p, params, known, w, stride, g, d, z, norm, theta, spread, facts, block,
            limits, few, most, order, values, stderr, loss, status,
        )  # fmt: skip
    return 0

"""Least squares in closed form for many curves, eight side by side, compiled.

The derivatives of a formula that is linear in its parameters depend on the data alone: the model's kernel is called
once for the rows of eight curves, and each is solved by modified Gram–Schmidt on [J, r] (Björck 1967; 1996, section
2.4), which is as good as Householder's reflections and leaves what the residuals are judged by: the residuals
themselves, and orthogonal columns, whose squares are the leverages (:mod:`katamuki.many.straight_remarks`). What a
curve's columns leave too few digits for is done in double-double (:mod:`katamuki.many.straight_exact`).

Place r of a column holds row r of each of the eight (:mod:`katamuki.backends.vectors`). A curve that is shorter than
the longest of its group has rows of weight 0, which change no bit of its sums: these run along its own rows in their
order.
"""

from __future__ import annotations

from katamuki.backends.native import at, call_rows, function, inline
from katamuki.backends.vectors import choose, fused, load, splat, store, turn
from katamuki.many.straight_remarks import conclude
from katamuki.many.straight_slots import COUNT, DOF, FACTS, LEVEL, RSS, USABLE, WORKING

LEAST = 1e-5  # of a column's squared length: what is left of it beside those before it has twelve digits


@inline
def bring(source, begins, counts, fewest, n, column):  # type: ignore[no-untyped-def]
    """The rows of eight curves, side by side, from ``source[begins[i]]`` on; the last again where there are no more."""
    row = 0
    while row + 4 <= fewest:
        turn(column, row, source, begins, row)
        row += 4
    for lane in range(8):
        begin, count = begins[lane], counts[lane]
        for r in range(row, count):
            column[8 * r + lane] = source[begin + r]
        last = source[begin + count - 1]
        for r in range(max(row, count), n):
            column[8 * r + lane] = last


@inline
def weigh(root, begin, weighted, count, lane, n, column):  # type: ignore[no-untyped-def]
    """The roots of a curve's weights in its lane; 0 where it has no row."""
    for r in range(count):
        column[8 * r + lane] = root[begin + r] if weighted == 1 else 1.0
    for r in range(count, n):
        column[8 * r + lane] = 0.0


@inline
def evaluate(kernel, pointers, params, y, root, masked, n, free, p, block, w, stride, facts):  # type: ignore[no-untyped-def]
    """Weighted residuals about the fixed part and weighted derivatives of n rows, as columns of ``w``; Σ w y².

    The kernel sees rows by fours, so that each goes through the same of its loops whatever n is.
    """
    start, level = 0, splat(0.0)
    while start < n:
        m = min(32, n - start)
        call_rows(kernel, pointers, params, 8 * start, 8 * ((m + 3) // 4 * 4), block, at(block, 256), 1)
        own = at(w, 8 * start)
        if masked == 1:
            for r in range(m):
                value, weight = load(y, start + r), load(root, start + r)
                store(own, r, (value - load(block, r)) * weight)
                value = value * weight
                level = fused(value, value, level)
        else:
            for r in range(m):
                value = load(y, start + r)
                store(own, r, value - load(block, r))
                level = fused(value, value, level)
        for k in range(p):
            source, column = at(block, 256 * (1 + free[k])), at(own, (1 + k) * stride)
            if masked == 1:
                for r in range(m):
                    store(column, r, load(source, r) * load(root, start + r))
            else:
                for r in range(m):
                    store(column, r, load(source, r))
        start += m
    store(facts, LEVEL, level)


@inline
def orthogonalise(w, stride, n, p, g, d, z, norm, facts):  # type: ignore[no-untyped-def]
    """Make the columns of J orthogonal, and r to them, in place.

    J = V G, G unit upper triangular; ``d`` the squared lengths of V's columns, ``norm`` of J's; ``z`` = V'r/d. Σ w r²
    of what is left. Where a column is left with too few digits, ``USABLE`` becomes 0.
    """
    one, zero = splat(1.0), splat(0.0)
    own, right, usable = zero, zero, one
    v = at(w, stride)
    for r in range(n):
        value = load(v, r)
        own = fused(value, value, own)
        right = fused(value, load(w, r), right)
    for k in range(p):
        v = at(w, (1 + k) * stride)
        length = own
        for j in range(k):
            part = load(g, j * p + k)
            length = length + part * part * load(d, j)
        fine = own > splat(LEAST) * length
        usable = choose(fine, usable, zero)
        own = choose(fine, own, one)
        store(norm, k, length)
        store(d, k, own)
        share = right / own
        store(z, k, share)
        for j in range(k + 2, p):
            other = at(w, (1 + j) * stride)
            part = zero
            for r in range(n):
                part = fused(load(v, r), load(other, r), part)
            part = part / own
            store(g, k * p + j, part)
            for r in range(n):
                store(other, r, load(other, r) - part * load(v, r))
        if k + 1 < p:
            following, part = at(w, (2 + k) * stride), zero
            for r in range(n):
                part = fused(load(v, r), load(following, r), part)
            part = part / own
            store(g, k * p + k + 1, part)
            own, right = zero, zero
            for r in range(n):
                along = load(v, r)
                value = load(following, r) - part * along
                rest = load(w, r) - share * along
                store(following, r, value)
                store(w, r, rest)
                own = fused(value, value, own)
                right = fused(value, rest, right)
        else:
            rss = zero
            for r in range(n):
                rest = load(w, r) - share * load(v, r)
                store(w, r, rest)
                rss = fused(rest, rest, rss)
            store(facts, RSS, rss)
    store(facts, USABLE, usable)


@inline
def substitute(p, g, d, z, theta, inverse, spread):  # type: ignore[no-untyped-def]
    """``theta`` from G theta = z, ``inverse`` = G⁻¹, ``spread`` the diagonal of (J'J)⁻¹."""
    for i in range(p - 1, -1, -1):
        value = load(z, i)
        for j in range(i + 1, p):
            value = value - load(g, i * p + j) * load(theta, j)
        store(theta, i, value)
        total = splat(1.0) / load(d, i)
        for k in range(i + 1, p):
            entry = -load(g, i * p + k)
            for j in range(i + 1, k):
                entry = entry - load(g, i * p + j) * load(inverse, j * p + k)
            store(inverse, i * p + k, entry)
            total = total + entry * entry / load(d, k)
        store(spread, i, total)


@inline
def sum_up(w, y, root, masked, n, facts):  # type: ignore[no-untyped-def]
    """Σ w r² and Σ w y²."""
    rss, level = splat(0.0), splat(0.0)
    for r in range(n):
        rest, value = load(w, r), load(y, r)
        rss = fused(rest, rest, rss)
        if masked == 1:
            value = value * load(root, r)
        level = fused(value, value, level)
    store(facts, RSS, rss)
    store(facts, LEVEL, level)


@inline
def side_by_side(  # type: ignore[no-untyped-def]
    columns, k_columns, y, root, weighted, offsets, shared, chosen, group, first, last, p, stride, order, work, facts
):  # fmt: skip
    """Bring eight curves to their lanes: how many rows the longest has, and whether rows have weights.

    Curves that share their columns find them there after the first time.
    """
    own_y = at(work, stride * k_columns)
    begins, counts, responses = at(order, stride // 8), at(order, stride // 8 + 8), at(order, stride // 8 + 16)
    n, fewest = 0, 1 << 62
    for lane in range(8):
        k = chosen[min(group + lane, last - 1)]
        own = offsets[k + 1] - offsets[k]
        n = max(n, own)
        fewest = min(fewest, own)
        counts[lane] = own
        responses[lane] = offsets[k]
        begins[lane] = 0 if shared == 1 else offsets[k]
        facts[8 * COUNT + lane] = own
        facts[8 * DOF + lane] = own - p
    masked = 1 if weighted == 1 or fewest < n else 0
    if shared == 0 or group == first:
        for j in range(k_columns):
            bring(columns[j], begins, counts, fewest, (n + 3) // 4 * 4, at(work, j * stride))
        if masked == 1:
            for lane in range(8):
                weigh(root, begins[lane], weighted, counts[lane], lane, n, at(own_y, stride))
    bring(y, responses, counts, fewest, n, own_y)
    return n, masked


def room(p: int, all_p: int, columns: int, rows: int) -> int:
    """How many doubles a thread works in: columns of eight curves of so many rows, a block, small matrices."""
    return 8 * rows * (columns + 2 + p + 1 + WORKING) + 256 * (1 + all_p) + 8 * (2 * p * p + 5 * p + FACTS)


@function(
    "int64(int64, double**, int64, double**, double*, double*, int64, int64*, int64, int64*, int64, int64, int64*,"
    " int64, int64, double*, int64, int64, double*, double*, int64, int64*, double*, double*, double*, double*,"
    " int32*)",
)
def straight_pass(  # type: ignore[no-untyped-def]
    kernel, columns, k_columns, pointers, y, root, weighted, offsets, shared, chosen, first, last, free, p, all_p,
    params, known, stride, limits, few, most, order, work, values, stderr, loss, status
):  # fmt: skip
    """Fit the curves ``chosen[first]`` to ``chosen[last]``; ``status`` is a code's number, or why there is none.

    ``params`` (all_p,) holds the fixed parameters, 0 for free ones. ``work`` begins with the columns of eight curves,
    ``stride`` doubles each, to which ``pointers`` point, then their response and the roots of their weights.
    """
    own_y = at(work, stride * k_columns)
    own_root = at(own_y, stride)
    w = at(own_root, stride)
    block = at(w, stride * (p + 1 + WORKING))
    g = at(block, 256 * (1 + all_p))
    inverse = at(g, 8 * p * p)
    d = at(inverse, 8 * p * p)
    z, norm, theta, spread = at(d, 8 * p), at(d, 16 * p), at(d, 24 * p), at(d, 32 * p)
    facts = at(d, 40 * p)
    for group in range(first, last, 8):
        n, masked = side_by_side(
            columns, k_columns, y, root, weighted, offsets, shared, chosen, group, first, last, p, stride, order, work,
            facts,
        )  # fmt: skip
        evaluate(kernel, pointers, params, own_y, own_root, masked, n, free, p, block, w, stride, facts)
        orthogonalise(w, stride, n, p, g, d, z, norm, facts)
        substitute(p, g, d, z, theta, inverse, spread)
        conclude(
            kernel, 1, columns, k_columns, work, y, own_y, root, own_root, weighted, masked, offsets, shared, chosen,
            group, last, n, free, p, all_p, params, known, w, stride, g, d, z, norm, theta, spread, facts, block,
            limits, few, most, order, values, stderr, loss, status,
        )  # fmt: skip
    return 0

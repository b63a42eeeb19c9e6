"""The compiled pass behind the findings: sums and extremes over weighted residuals, leverages, signs, order.

Rows are taken in blocks of 256, as in :mod:`katamuki.problem.passes`; a chunk's result is a row of doubles, whose slots
are named here. Leverages come from the inverse W of the triangle at the answer, h = ‖W'j‖²: Belsley, Kuh & Welsch 1980.
Nothing is judged here, and nothing is merged.
"""

from __future__ import annotations

from katamuki.backends.native import at, call_rows, function, inline

LONE = 1e-8  # 1 − leverage below this: the row fits itself, its residual says nothing

# Slots of a chunk's result. Extremes stand beside their rows; the head is followed by the projections
# of the curve (p), the sums of the columns of J (p) and scratch.
# The sums U to VVFF are over u (studentised squares), v = 1 − h and f (predictions), named for their factors.
ROWS, SQUARES, LEVEL, CURVE, CURVES, U, UU, V, VF, VUF, VV, VVF, VVFF = range(13)
POSITIVE, NEGATIVE, CHANGES, FIRST, LAST, FALLS, RISES = range(13, 20)
OUTLIER, OUTLIER_ROW, COOK, COOK_ROW, LEVERAGE, LEVERAGE_ROW, WEIGHT = range(20, 27)
HEAD = 27
SCRATCH = 5 * 256


@inline
def combine(block, p, free, root, k, z):  # type: ignore[no-untyped-def]
    """``z`` = column k of JW for a block's rows, four columns of J at a time; False where W's column is zero."""
    empty = True
    for first in range(0, p, 4):
        second, third, last = min(first + 1, p - 1), min(first + 2, p - 1), min(first + 3, p - 1)
        w0 = root[first * p + k]
        w1 = root[second * p + k] if first + 1 < p else 0.0
        w2 = root[third * p + k] if first + 2 < p else 0.0
        w3 = root[last * p + k] if first + 3 < p else 0.0
        if w0 == 0.0 and w1 == 0.0 and w2 == 0.0 and w3 == 0.0:
            continue
        c0, c1 = at(block, 256 * (1 + free[first])), at(block, 256 * (1 + free[second]))
        c2, c3 = at(block, 256 * (1 + free[third])), at(block, 256 * (1 + free[last]))
        if empty:
            for i in range(256):
                z[i] = (w0 * c0[i] + w1 * c1[i]) + (w2 * c2[i] + w3 * c3[i])
        else:
            for i in range(256):
                z[i] += (w0 * c0[i] + w1 * c1[i]) + (w2 * c2[i] + w3 * c3[i])
        empty = False
    return not empty


@inline
def leverages(block, p, free, root, h, z, curve, out):  # type: ignore[no-untyped-def]
    """``h`` of a block's rows, and the sums Q'q of the curve q along the orthonormal columns of JW."""
    for i in range(256):
        h[i] = 0.0
    for k in range(p):
        if combine(block, p, free, root, k, z):
            total = 0.0
            for i in range(256):
                h[i] += z[i] * z[i]
                total += z[i] * curve[i]
            out[HEAD + k] += total


@inline
def add_columns(block, p, free, root, weighted, start, m, out):  # type: ignore[no-untyped-def]
    """Add the block's weights and the weighted columns of J to their sums."""
    for k in range(p):
        column = at(block, 256 * (1 + free[k]))
        total = 0.0
        if weighted == 0:
            for i in range(m):
                total += column[i]
        else:
            for i in range(m):
                total += column[i] * root[start + i]
        out[HEAD + p + k] += total
    weight = 0.0
    if weighted == 0:
        weight = float(m)
    else:
        for i in range(m):
            weight += root[start + i] * root[start + i]
    out[WEIGHT] += weight


@inline
def count_signs(e, m, out):  # type: ignore[no-untyped-def]
    """Count signs and their changes from row to row; a zero is passed over."""
    positive = 0.0
    negative = 0.0
    changes = 0.0
    for i in range(m):
        positive += 1.0 if e[i] > 0.0 else 0.0
        negative += 1.0 if e[i] < 0.0 else 0.0
    out[POSITIVE] += positive
    out[NEGATIVE] += negative
    if positive + negative == m and out[LAST] != 0.0:
        for i in range(1, m):
            changes += 1.0 if (e[i] < 0.0) != (e[i - 1] < 0.0) else 0.0
        changes += 1.0 if (e[0] < 0.0) != (out[LAST] < 0.0) else 0.0
        out[LAST] = 1.0 if e[m - 1] > 0.0 else -1.0
    else:
        for i in range(m):
            if e[i] == 0.0:
                continue
            sign = 1.0 if e[i] > 0.0 else -1.0
            if out[LAST] == 0.0:
                out[FIRST] = sign
            elif sign != out[LAST]:
                changes += 1.0
            out[LAST] = sign
    out[CHANGES] += changes


@inline
def keep_largest(values, m, start, out, slot):  # type: ignore[no-untyped-def]
    """Remember the largest of a block's values and its row; looks at single rows only where one is larger."""
    best = out[slot]
    above = 0.0
    for i in range(m):
        above += 1.0 if values[i] > best else 0.0
    if above > 0.0:
        for i in range(m):
            if values[i] > out[slot]:
                out[slot] = values[i]
                out[slot + 1] = start + i


@inline
def fill_block(kernel, columns, params, y, root, weighted, start, m, free, p, shift, block, f, curve):  # type: ignore[no-untyped-def]
    """Weighted residuals (block's column 0) and derivatives, predictions less ``shift``, their weighted squares."""
    call_rows(kernel, columns, params, start, m, block, at(block, 256), 1)
    for i in range(m):
        f[i] = block[i] - shift
        curve[i] = f[i] * f[i]
        block[i] = y[start + i] - block[i]
    if weighted != 0:
        for i in range(m):
            curve[i] *= root[start + i]
            block[i] *= root[start + i]
        for k in range(p):
            column = at(block, 256 * (1 + free[k]))
            for i in range(m):
                column[i] *= root[start + i]
    if m < 256:
        for k in range(p):
            column = at(block, 256 * (1 + free[k]))
            for i in range(m, 256):
                column[i] = 0.0
        for i in range(m, 256):
            curve[i] = 0.0


@inline
def add_squares(e, y, root, weighted, curve, start, m, out):  # type: ignore[no-untyped-def]
    """Add a block's squares and its bend to the sums."""
    ee = 0.0
    level = 0.0
    c1 = 0.0
    c2 = 0.0
    for i in range(m):
        ee += e[i] * e[i]
        c1 += curve[i] * e[i]
        c2 += curve[i] * curve[i]
    if weighted == 0:
        for i in range(m):
            level += y[start + i] * y[start + i]
    else:
        for i in range(m):
            level += (y[start + i] * root[start + i]) * (y[start + i] * root[start + i])
    out[SQUARES] += ee
    out[LEVEL] += level
    out[CURVE] += c1
    out[CURVES] += c2


@inline
def add_spread(e, f, h, u, cook, m, precision, out):  # type: ignore[no-untyped-def]
    """Studentised squares of a block in ``u``, p times Cook's distances, and the sums that tell whether u follows f."""
    u1 = 0.0
    u2 = 0.0
    v1 = 0.0
    vf = 0.0
    vuf = 0.0
    vv = 0.0
    vvf = 0.0
    vvff = 0.0
    for i in range(m):
        v = 1.0 - h[i]
        own = e[i] * e[i] * precision
        inverse = 1.0 / v if v > LONE else 0.0
        u[i] = own * inverse
        cook[i] = u[i] * h[i] * inverse
        g = v * f[i]
        u1 += u[i]
        u2 += u[i] * u[i]
        v1 += v
        vf += g
        vuf += own * f[i]
        vv += v * v
        vvf += v * g
        vvff += g * g
    out[U] += u1
    out[UU] += u2
    out[V] += v1
    out[VF] += vf
    out[VUF] += vuf
    out[VV] += vv
    out[VVF] += vvf
    out[VVFF] += vvff


@inline
def count_order(x, start, m, out):  # type: ignore[no-untyped-def]
    """Count how often the predictor falls and rises from one row to the next, the step into this block included."""
    falls = 0.0
    rises = 0.0
    first = start if start > 0 else 1
    for i in range(first, start + m):
        falls += 1.0 if x[i] < x[i - 1] else 0.0
        rises += 1.0 if x[i] > x[i - 1] else 0.0
    out[FALLS] += falls
    out[RISES] += rises


@function(
    "int64(int64, double**, double*, double*, double*, int64, int64, int64, int64*, int64, double*, double, double,"
    " int64, double*, int64, double*, double*)",
    sums=True,
)
def facts_pass(  # type: ignore[no-untyped-def]
    kernel, columns, params, y, root, weighted, start, stop, free, p, inverse, precision, shift, ordered, kept, keep,
    block, out
):  # fmt: skip
    """A chunk's facts; ``precision`` is 1/s², ``inverse`` W (p, p), ``ordered`` says whether there is a predictor."""
    for k in range(HEAD + 2 * p):
        out[k] = 0.0
    out[OUTLIER] = out[COOK] = out[LEVERAGE] = -1.0
    f = at(out, HEAD + 2 * p)
    h, u, z, curve = at(f, 256), at(f, 512), at(f, 768), at(f, 1024)
    out[ROWS] = stop - start
    while start < stop:
        m = min(256, stop - start)
        fill_block(kernel, columns, params, y, root, weighted, start, m, free, p, shift, block, f, curve)
        leverages(block, p, free, inverse, h, z, curve, out)
        add_columns(block, p, free, root, weighted, start, m, out)
        add_squares(block, y, root, weighted, curve, start, m, out)
        add_spread(block, f, h, u, z, m, precision, out)
        keep_largest(u, m, start, out, OUTLIER)
        keep_largest(z, m, start, out, COOK)
        keep_largest(h, m, start, out, LEVERAGE)
        count_signs(block, m, out)
        if ordered == 1:
            count_order(columns[0], start, m, out)
        if keep == 1:
            for i in range(m):
                kept[start + i] = block[i]
        start += m
    return 0


@inline
def ordered_runs(x, e, n, order):  # type: ignore[no-untyped-def]
    """How many runs of equal signs e has in the order of x (equal x: of the rows); zeros are passed over.

    ``order`` is room for n. Shell 1959: for the few rows that are not worth a call of NumPy's.
    """
    for i in range(n):
        order[i] = i
    gap = n // 2
    while gap > 0:
        for i in range(gap, n):
            k = order[i]
            j = i
            while j >= gap and (x[order[j - gap]] > x[k] or (x[order[j - gap]] == x[k] and order[j - gap] > k)):
                order[j] = order[j - gap]
                j -= gap
            order[j] = k
        gap //= 2
    runs = 0
    last = 0.0
    for i in range(n):
        value = e[order[i]]
        if value != 0.0:
            if last == 0.0 or (value > 0.0) != (last > 0.0):
                runs += 1
            last = value
    return runs


@function("int64(double*, double*, int64, int64*)")
def runs_along(x, e, n, order):  # type: ignore[no-untyped-def]
    """:func:`ordered_runs` of rows in memory."""
    return ordered_runs(x, e, n, order)

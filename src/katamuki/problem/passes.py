"""Compiled passes over the rows: loss, normal equations, blocked QR.

Rows are taken in blocks of 256: the model's kernel fills a block of values and partial derivatives that stays in the
first-level cache, and the loops here reduce it. A pass over a range of rows always does the same operations in the
same order, so results do not depend on threads. Layout of a block: ``block[k*256 + i]`` is column k, row i; column 0
holds the values and then the residuals, column 1 + k the derivative by parameter k.

Source of the blocked QR: Golub & Van Loan 2013, section 5.2 (Householder), applied to the triangle above a block.
"""

from __future__ import annotations

import math

from katamuki.backends.native import at, call_rows, function, inline

BLOCK = 256


@inline
def residual_block(kernel, columns, params, y, root, weighted, start, m, block, want):  # type: ignore[no-untyped-def]
    """Fill a block with weighted residuals (column 0) and, if wanted, bare derivatives; the rss of its rows."""
    call_rows(kernel, columns, params, start, m, block, at(block, 256), want)
    total = 0.0
    if weighted == 0:
        for i in range(m):
            block[i] = y[start + i] - block[i]
            total += block[i] * block[i]
        return total
    for i in range(m):
        block[i] = (y[start + i] - block[i]) * root[start + i]
        total += block[i] * block[i]
    return total


@inline
def linear_block(kernel, columns, params, y, root, weighted, start, m, free, p, block):  # type: ignore[no-untyped-def]
    """Fill a block with weighted residuals (column 0) and weighted derivatives; the rss of its rows."""
    total = residual_block(kernel, columns, params, y, root, weighted, start, m, block, 1)
    if weighted == 1:
        for k in range(p):
            column = at(block, 256 * (1 + free[k]))
            for i in range(m):
                column[i] *= root[start + i]
    return total


@function("int64(int64, double**, double*, double*, double*, int64, int64, int64, double*, double*)", sums=True)
def loss_pass(kernel, columns, params, y, root, weighted, start, stop, block, out):  # type: ignore[no-untyped-def]
    """``out[0]`` = Σ w r² over rows start to stop."""
    total = 0.0
    while start < stop:
        m = min(256, stop - start)
        total += residual_block(kernel, columns, params, y, root, weighted, start, m, block, 0)
        start += m
    out[0] = total
    return 0


@function("int64(int64, double**, double*, int64, int64, double*, double*, int64, int64, double*, double*)", sums=True)
def losses_pass(kernel, columns, params, all_p, count, y, root, weighted, n, block, out):  # type: ignore[no-untyped-def]
    """``out[k]`` = Σ w r² over all n rows at the k-th of ``count`` parameter vectors, ``all_p`` numbers each."""
    for k in range(count):
        here = at(params, k * all_p)
        total = 0.0
        for start in range(0, n, 256):
            m = min(256, n - start)
            total += residual_block(kernel, columns, here, y, root, weighted, start, m, block, 0)
        out[k] = total
    return 0


@inline
def dot(a, b, m):  # type: ignore[no-untyped-def]
    """Σ aᵢbᵢ."""
    total = 0.0
    for i in range(m):
        total += a[i] * b[i]
    return total


@inline
def four_dots(a, b, c, d, e, m, sums):  # type: ignore[no-untyped-def]
    """a·b, a·c, a·d and a·e in one walk, so that a is loaded once; ``sums[3]`` is a·e."""
    ab, ac, ad, ae = 0.0, 0.0, 0.0, 0.0
    for i in range(m):
        ab += a[i] * b[i]
        ac += a[i] * c[i]
        ad += a[i] * d[i]
        ae += a[i] * e[i]
    sums[0] = ab
    sums[1] = ac
    sums[2] = ad
    sums[3] = ae


@inline
def three_dots(a, b, c, d, m, sums):  # type: ignore[no-untyped-def]
    """a·b, a·c and a·d in one walk; ``sums[3]`` is a·d."""
    ab, ac, ad = 0.0, 0.0, 0.0
    for i in range(m):
        ab += a[i] * b[i]
        ac += a[i] * c[i]
        ad += a[i] * d[i]
    sums[0] = ab
    sums[1] = ac
    sums[3] = ad


@inline
def two_dots(a, b, c, m, sums):  # type: ignore[no-untyped-def]
    """a·b and a·c in one walk; ``sums[3]`` is a·c."""
    ab, ac = 0.0, 0.0
    for i in range(m):
        ab += a[i] * b[i]
        ac += a[i] * c[i]
    sums[0] = ab
    sums[3] = ac


@inline
def add_normal(block, free, p, m, sums, out):  # type: ignore[no-untyped-def]
    """Add Jᵀr and JᵀJ of a block's m rows to ``out``; ``sums`` is room for four."""
    k = 1 + p
    for j in range(p):
        left = at(block, 256 * (1 + free[j]))
        i = j
        while i < p:
            one = at(block, 256 * (1 + free[i]))
            two = at(block, 256 * (1 + free[i + 1])) if i + 1 < p else block
            if i + 2 < p:
                four_dots(left, one, two, at(block, 256 * (1 + free[i + 2])), block, m, sums)
            elif i + 1 < p:
                three_dots(left, one, two, block, m, sums)
            else:
                two_dots(left, one, block, m, sums)
            for t in range(min(3, p - i)):
                out[k] += sums[t]
                k += 1
            i += 3
        out[1 + j] += sums[3]


@inline
def normal_sums(kernel, columns, params, y, root, weighted, start, stop, free, p, block, out):  # type: ignore[no-untyped-def]
    """``out`` = rss, Jᵀr (p), upper triangle of JᵀJ by rows, over rows start to stop; then room for four sums."""
    size = 1 + p + p * (p + 1) // 2
    for k in range(size):
        out[k] = 0.0
    while start < stop:
        m = min(256, stop - start)
        out[0] += linear_block(kernel, columns, params, y, root, weighted, start, m, free, p, block)
        add_normal(block, free, p, m, at(out, size), out)
        start += m


@function(
    "int64(int64, double**, double*, double*, double*, int64, int64, int64, int64*, int64, double*, double*)", sums=True
)
def normal_pass(kernel, columns, params, y, root, weighted, start, stop, free, p, block, out):  # type: ignore[no-untyped-def]
    """:func:`normal_sums` over a range of rows."""
    normal_sums(kernel, columns, params, y, root, weighted, start, stop, free, p, block, out)
    return 0


@function(
    "int64(int64, double**, double*, double*, double*, int64, int64, int64, int64*, int64, int64, double, double*,"
    " double*)",
    sums=True,
)
def first_pass(kernel, columns, params, y, root, weighted, start, stop, free, p, count, middle, block, out):  # type: ignore[no-untyped-def]
    """``normal_pass`` of rows without weights, that nobody has looked at yet.

    Behind it and its room stand Σ (y − middle), Σ (y − middle)² and a sum over the ``count`` columns that is 0, or NaN
    where one holds a value that is missing or infinite.
    """
    size = 1 + p + p * (p + 1) // 2
    sums = at(out, size)
    for k in range(size + 7):
        out[k] = 0.0
    while start < stop:
        m = min(256, stop - start)
        call_rows(kernel, columns, params, start, m, block, at(block, 256), 1)
        rss = 0.0
        one = 0.0
        two = 0.0
        for i in range(m):
            apart = y[start + i] - middle
            one += apart
            two += apart * apart
            block[i] = y[start + i] - block[i]
            rss += block[i] * block[i]
        out[0] += rss
        out[size + 4] += one
        out[size + 5] += two
        add_normal(block, free, p, m, sums, out)
        for k in range(count):
            column = columns[k]
            total = 0.0
            for i in range(m):
                total += column[start + i] * 0.0
            out[size + 6] += total
        start += m
    return 0


@inline
def fold(triangle, q, block, order, m):  # type: ignore[no-untyped-def]
    """Fold m more rows into an upper triangle (q, q) by Householder reflections; destroys the block.

    Column k of the new rows stands at ``block + 256*order[k]``.
    """
    for k in range(q):
        column = at(block, 256 * order[k])
        below = 0.0
        for i in range(m):
            below += column[i] * column[i]
        if below == 0.0:
            continue
        diagonal = triangle[k * q + k]
        norm = math.sqrt(diagonal * diagonal + below)
        if diagonal > 0.0:
            norm = -norm
        head = diagonal - norm
        triangle[k * q + k] = norm
        scale = -1.0 / (norm * head)
        for j in range(k + 1, q):
            other = at(block, 256 * order[j])
            factor = (head * triangle[k * q + j] + dot(column, other, m)) * scale
            triangle[k * q + j] -= factor * head
            for i in range(m):
                other[i] -= factor * column[i]


@inline
def linearise(kernel, columns, params, y, root, weighted, start, stop, free, p, order, block, out):  # type: ignore[no-untyped-def]
    """``out`` = rss, then the triangle (p+1, p+1) of [J, r] by rows, over rows start to stop.

    ``order`` (p+1) names the block's columns in the triangle's order: 1 + free[k], and 0 for the residuals.
    """
    q = p + 1
    for k in range(1 + q * q):
        out[k] = 0.0
    while start < stop:
        m = min(256, stop - start)
        out[0] += linear_block(kernel, columns, params, y, root, weighted, start, m, free, p, block)
        fold(at(out, 1), q, block, order, m)
        start += m


@function(
    "int64(int64, double**, double*, double*, double*, int64, int64, int64, int64*, int64, int64*, double*, double*)",
    sums=True,
)
def qr_pass(kernel, columns, params, y, root, weighted, start, stop, free, p, order, block, out):  # type: ignore[no-untyped-def]
    """:func:`linearise` over a range of rows."""
    linearise(kernel, columns, params, y, root, weighted, start, stop, free, p, order, block, out)
    return 0


@function("int64(double*, int64, double*, double*, int64*)", sums=True)
def merge_triangles(one, q, other, block, order):  # type: ignore[no-untyped-def]
    """Fold the triangle ``other`` into ``one``; both are ``qr_pass`` results (rss, then the triangle)."""
    one[0] += other[0]
    first = 0
    while first < q:
        m = min(256, q - first)
        for row in range(m):
            for k in range(q):
                block[256 * order[k] + row] = other[1 + (first + row) * q + k]
        fold(at(one, 1), q, block, order, m)
        first += m
    return 0


@function("int64(double*, double*, int64, int64, double*)", sums=True)
def response_pass(y, weights, weighted, n, out):  # type: ignore[no-untyped-def]
    """``out`` = Σ w, Σ w y², Σ w (y − ȳ_w)²."""
    total = 0.0
    mean = 0.0
    square = 0.0
    for i in range(n):
        w = weights[i] if weighted == 1 else 1.0
        total += w
        mean += w * y[i]
        square += w * y[i] * y[i]
    mean /= total
    spread = 0.0
    for i in range(n):
        w = weights[i] if weighted == 1 else 1.0
        spread += w * (y[i] - mean) * (y[i] - mean)
    out[0] = total
    out[1] = square
    out[2] = spread
    return 0


@function("int64(double*, int64, double, double*)")
def factor(sums, p, least, out):  # type: ignore[no-untyped-def]
    """From ``normal_pass``'s sums to ``qr_pass``'s result, by Cholesky of the normal matrix with columns of length 1.

    0 if it could be done; 1 if a diagonal of the factor is below ``least``: the columns depend on each other; 2 if a
    sum is not finite, as are then rss and triangle.
    """
    q = p + 1
    total = 0.0
    for k in range(1 + p + p * q // 2):
        total += sums[k] * 0.0
    for k in range(1 + q * q):
        out[k] = total
    if total != 0.0:
        return 2
    out[0] = sums[0]
    matrix = at(sums, 1 + p)
    triangle = at(out, 1)
    last = at(triangle, p * q)  # the last row holds the columns' lengths meanwhile
    row = 0
    for i in range(p):
        last[i] = math.sqrt(matrix[row])
        row += p - i
    row = 0
    for i in range(p):
        if last[i] == 0.0:
            return 1
        for k in range(i, p):
            value = matrix[row + k - i] / last[i] / last[k] if last[k] > 0.0 else 0.0
            for j in range(i):
                value -= triangle[j * q + i] * triangle[j * q + k]
            if k == i:
                if not value > least * least:
                    return 1
                triangle[i * q + i] = math.sqrt(value)
            else:
                triangle[i * q + k] = value / triangle[i * q + i]
        value = sums[1 + i] / last[i]
        for j in range(i):
            value -= triangle[j * q + i] * triangle[j * q + p]
        triangle[i * q + p] = value / triangle[i * q + i]
        row += p - i
    rest = sums[0]
    for i in range(p):
        rest -= triangle[i * q + p] * triangle[i * q + p]
        for k in range(i, p):
            triangle[i * q + k] *= last[k]
    for i in range(p):
        last[i] = 0.0
    last[p] = math.sqrt(max(rest, 0.0))
    return 0

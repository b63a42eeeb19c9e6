"""How good the points of a cloud are for each curve, compiled: Σ w r² with the linear parameters at their best.

The best few of each curve come out as whole starting points, best first.
"""

from __future__ import annotations

import math

from katamuki.backends.native import at, function, inline
from katamuki.backends.vectors import choose, fused, load, splat, store
from katamuki.problem.passes import normal_sums

DEPENDENT = 1e-20  # a pivot of the scaled normal matrix: linear parameters that cannot be told apart at a point


def shared_room(n: int, columns: int) -> int:
    """How many doubles :func:`score_shared` works in, with so many columns of products."""
    return 8 * (n + columns + 6)


def room(q: int, all_p: int) -> int:
    """How many doubles :func:`score_each` works in."""
    return all_p + (1 + q + q * (q + 1) // 2 + 4) + q * q + 2 * q


@inline
def kept(levels, tries, level):  # type: ignore[no-untyped-def]
    """The place of a level among the best ``tries``, which make room for it; −1: it is none of them."""
    if not level < levels[tries - 1]:
        return -1
    place = tries - 1
    while place > 0 and level < levels[place - 1]:
        levels[place] = levels[place - 1]
        place -= 1
    levels[place] = level
    return place


@inline
def moved_down(points, tries, place, all_p):  # type: ignore[no-untyped-def]
    """Starting points from ``place`` on, one further down."""
    for one in range(tries - 1, place, -1):
        for j in range(all_p):
            points[one * all_p + j] = points[(one - 1) * all_p + j]


@inline
def projected(rows, n, width, products, z):  # type: ignore[no-untyped-def]
    """``z`` (width,) = the products of eight curves' rows (n,) with as many columns, four columns at a time."""
    for first in range(0, width, 4):
        many = min(4, width - first)
        second, third, fourth = min(first + 1, width - 1), min(first + 2, width - 1), min(first + 3, width - 1)
        a, b, c, d = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
        for i in range(n):
            value, row = load(rows, i), at(products, i * width)
            a, b = fused(splat(row[first]), value, a), fused(splat(row[second]), value, b)
            c, d = fused(splat(row[third]), value, c), fused(splat(row[fourth]), value, d)
        store(z, first, a)
        if many > 1:
            store(z, second, b)
        if many > 2:
            store(z, third, c)
        if many > 3:
            store(z, fourth, d)


@inline
def best_three(rows, n, count, q, width, roots, offsets, squares, z, found):  # type: ignore[no-untyped-def]
    """``found`` (6,) = the three lowest Σ w r² of eight curves, lowest first, then the points' numbers.

    Infinite where there are fewer; of equal ones the first point's comes first.
    """
    square, none = splat(0.0), splat(math.inf)
    for i in range(n):
        value = load(rows, i) * splat(roots[i])
        square = fused(value, value, square)
    a, b, c, first, second, third, number = none, none, none, splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    for one in range(count):
        rss = square + splat(squares[one])
        if width > q:
            rss = rss - splat(2.0) * load(z, one * width + q)
        for j in range(q):
            along = load(z, one * width + j) - splat(offsets[one * q + j])
            rss = rss - along * along
        rss = choose(rss < splat(0.0), splat(0.0), rss)
        is_first, is_second, is_third = rss < a, rss < b, rss < c
        c, third = choose(is_third, rss, c), choose(is_third, number, third)
        c, third = choose(is_second, b, c), choose(is_second, second, third)
        b, second = choose(is_second, rss, b), choose(is_second, number, second)
        b, second = choose(is_first, a, b), choose(is_first, first, second)
        a, first = choose(is_first, rss, a), choose(is_first, number, first)
        number = number + splat(1.0)
    store(found, 0, a)
    store(found, 1, b)
    store(found, 2, c)
    store(found, 3, first)
    store(found, 4, second)
    store(found, 5, third)


@function(
    "int64(double*, int64, int64, int64, int64, int64, int64, int64*, double*, double*, double*, double*, double*,"
    " double*, int64, double*, double*, double*)",
    sums=True,
)
def score_shared(  # type: ignore[no-untyped-def]
    y, b, n, count, q, width, all_p, free, roots, products, offsets, squares, inverses, pool, tries, work, points,
    levels
):  # fmt: skip
    """Curves (b, n) that share their columns; see :class:`katamuki.many.starts.Bases`. ``work``: ``shared_room``.

    ``tries`` is at most 3.
    """
    rows = work
    z = at(rows, 8 * n)
    found = at(z, 8 * count * width)
    for group in range(0, b, 8):
        for lane in range(8):
            own = at(y, min(group + lane, b - 1) * n)
            for i in range(n):
                rows[8 * i + lane] = own[i]
        projected(rows, n, count * width, products, z)
        best_three(rows, n, count, q, width, roots, offsets, squares, z, found)
        for lane in range(min(8, b - group)):
            k = group + lane
            for one in range(tries):
                level, c = found[8 * one + lane], int(found[8 * (3 + one) + lane])
                levels[k * tries + one] = level
                here = at(points, (k * tries + one) * all_p)
                for j in range(all_p):
                    here[j] = pool[c * all_p + j]
                for i in range(q):
                    total = 0.0
                    for j in range(i, q):
                        product = z[8 * (c * width + j) + lane] - offsets[c * q + j]
                        total += inverses[(c * q + i) * q + j] * product
                    here[free[i]] = total
    return 0


@inline
def solved(sums, q, matrix, length, step):  # type: ignore[no-untyped-def]
    """``step`` = the best values of q linear parameters from their normal equations; how much they lower the rss.

    Negative where they cannot be told apart.
    """
    row = 1 + q
    for i in range(q):
        length[i] = math.sqrt(sums[row])
        row += q - i
    row = 1 + q
    for i in range(q):
        if not length[i] > 0.0:
            return -1.0
        for k in range(i, q):
            value = sums[row + k - i] / (length[i] * length[k])
            for j in range(i):
                value -= matrix[i * q + j] * matrix[k * q + j]
            if k == i:
                if not value > DEPENDENT:
                    return -1.0
                matrix[i * q + i] = math.sqrt(value)
            else:
                matrix[k * q + i] = value / matrix[i * q + i]
        row += q - i
    total = 0.0
    for i in range(q):
        value = sums[1 + i] / length[i]
        for j in range(i):
            value -= matrix[i * q + j] * step[j]
        step[i] = value / matrix[i * q + i]
        total += step[i] * step[i]
    for i in range(q - 1, -1, -1):
        value = step[i]
        for j in range(i + 1, q):
            value -= matrix[j * q + i] * step[j] * length[j]
        step[i] = value / matrix[i * q + i] / length[i]
    return total


@function(
    "int64(int64, double**, double*, double*, int64, int64*, int64, int64, int64, int64, int64, int64*, double*, int64,"
    " double*, double*, double*, double*)",
    sums=True,
)
def score_each(  # type: ignore[no-untyped-def]
    kernel, columns, y, root, weighted, offsets, shared, b, count, q, all_p, free, pool, tries, block, work, points,
    levels,
):  # fmt: skip
    """Curves with points of their own, ``pool`` (b, count, all_p), whose linear parameters are 0."""
    x = work
    sums = at(x, all_p)
    matrix = at(sums, 1 + q + q * (q + 1) // 2 + 4)
    length = at(matrix, q * q)
    step = at(length, q)
    for k in range(b):
        start, level = at(points, k * tries * all_p), at(levels, k * tries)
        n = offsets[k + 1] - offsets[k]
        begin = 0 if shared == 1 else offsets[k]
        own = at(y, offsets[k]) if shared == 1 else y
        for one in range(tries):
            level[one] = math.inf
        for c in range(count):
            point = at(pool, (k * count + c) * all_p)
            for j in range(all_p):
                x[j] = point[j]
            normal_sums(kernel, columns, x, own, root, weighted, begin, begin + n, free, q, block, sums)
            total = 0.0
            for j in range(1 + q + q * (q + 1) // 2):
                total += sums[j] * 0.0
            if total != 0.0:
                continue
            lower = solved(sums, q, matrix, length, step)
            if lower < 0.0:
                continue
            place = kept(level, tries, max(sums[0] - lower, 0.0))
            if place < 0:
                continue
            moved_down(start, tries, place, all_p)
            here = at(start, place * all_p)
            for j in range(all_p):
                here[j] = x[j]
            for j in range(q):
                here[free[j]] = step[j]
    return 0

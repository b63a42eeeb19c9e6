"""The triangle [R, qtr] of [J, r], by rows with p + 1 columns: lengths, the gradient test, and the damped step from it.

Compiled and inlined into :mod:`katamuki.solvers.damped_step`. The step comes from a QR of [R; √damping·D], never from
squared columns. Sources: Moré 1978 (the damped least-squares problem, MINPACK's cosine); Golub & Van Loan 2013, 5.1
(reflections).
"""

from __future__ import annotations

import math

from katamuki.backends.native import at, inline

SPANNED = 1e-6  # of a change of step: what is left of it beside newer ones is rounding and bend
PUSHED = 3.0  # held for one step, at the bound that it would cross


@inline
def column_norm(triangle, p, j):  # type: ignore[no-untyped-def]
    """The length of column j of R, which is that of J."""
    norm = 0.0
    for i in range(j + 1):
        norm += triangle[i * (p + 1) + j] * triangle[i * (p + 1) + j]
    return math.sqrt(norm)


@inline
def cosine(triangle, p, held):  # type: ignore[no-untyped-def]
    """The largest |Jₖ·r| / (‖Jₖ‖ ‖r‖) over parameters that are not held at a bound; MINPACK's gradient test."""
    q = p + 1
    largest = 0.0
    length = 0.0
    for i in range(q):
        length += triangle[i * q + p] * triangle[i * q + p]
    for j in range(p):
        if held[j] != 0.0:
            continue
        product = 0.0
        norm = column_norm(triangle, p, j)
        for i in range(j + 1):
            product += triangle[i * q + j] * triangle[i * q + p]
        if norm > 0.0 and length > 0.0:
            largest = max(largest, math.fabs(product) / norm / math.sqrt(length))
    return largest


@inline
def finite(linearised, q):  # type: ignore[no-untyped-def]
    """Whether rss and triangle are finite."""
    total = 0.0
    for k in range(1 + q * q):
        total += linearised[k] * 0.0
    return total == 0.0


@inline
def gain(triangle, p, step):  # type: ignore[no-untyped-def]
    """By how much ‖r − Jδ‖² is less than ‖r‖², for a step δ (p,)."""
    q = p + 1
    total = 0.0
    for i in range(p):
        moved = 0.0
        for j in range(i, p):
            moved += triangle[i * q + j] * step[j]
        total += moved * (2.0 * triangle[i * q + p] - moved)
    return total


@inline
def reduce(triangle, p, held, matrix):  # type: ignore[no-untyped-def]
    """``matrix`` (columns of 2p rows) = R of the columns that are not held."""
    rows = 2 * p
    count = 0
    for j in range(p):
        if held[j] == 0.0:
            for i in range(rows):
                matrix[count * rows + i] = triangle[i * (p + 1) + j] if i <= j else 0.0
            count += 1
    for i in range(rows):
        matrix[count * rows + i] = 0.0
    for k in range(count):
        reflect(matrix, rows, k, count)


@inline
def solve(triangle, p, scale, held, damping, matrix, step):  # type: ignore[no-untyped-def]
    """The step that minimises ‖R δ − qtr‖² + damping ‖D δ‖² over the parameters that are not held.

    Parameters marked ``PUSHED`` take the step that stands in ``step``, other held ones none.
    """
    q = p + 1
    rows = 2 * p
    count = 0
    root = math.sqrt(damping)
    for j in range(p):
        if held[j] != 0.0:
            continue
        for i in range(rows):
            matrix[count * rows + i] = 0.0
        for i in range(j + 1):
            matrix[count * rows + i] = triangle[i * q + j]
        matrix[count * rows + p + count] = root * scale[j]
        count += 1
    right = at(matrix, count * rows)
    for i in range(rows):
        right[i] = 0.0
    for i in range(p):
        right[i] = triangle[i * q + p]
    for j in range(p):
        if held[j] == PUSHED:
            for i in range(j + 1):
                right[i] -= triangle[i * q + j] * step[j]
    for k in range(count):
        reflect(matrix, rows, k, count)
    k = count
    for j in range(p - 1, -1, -1):
        if held[j] != 0.0:
            if held[j] != PUSHED:
                step[j] = 0.0
            continue
        step[j] = 0.0
        k -= 1
        if matrix[k * rows + k] == 0.0:
            right[k] = 0.0
            continue
        right[k] /= matrix[k * rows + k]
        for i in range(k):
            right[i] -= right[k] * matrix[k * rows + i]
        step[j] = right[k]


@inline
def combine(matrix, p, count, scale, changes, step):  # type: ignore[no-untyped-def]
    """Column ``count`` of ``matrix`` = the shares γ (count,) that minimise ‖D(step − Σ γₖ changesₖ)‖.

    ``changes`` (count, p), newest first; one that lies in the span of newer ones takes no share.
    """
    rows = 2 * p
    for k in range(count + 1):
        column = at(matrix, k * rows)
        for i in range(p):
            column[i] = scale[i] * (changes[k * p + i] if k < count else step[i])
            column[p + i] = 0.0
    for k in range(count):
        reflect(matrix, rows, k, count)
    right = at(matrix, count * rows)
    for k in range(count - 1, -1, -1):
        square = 0.0
        for i in range(k + 1):
            square += matrix[k * rows + i] * matrix[k * rows + i]
        if matrix[k * rows + k] * matrix[k * rows + k] <= SPANNED * SPANNED * square:
            right[k] = 0.0
            continue
        right[k] /= matrix[k * rows + k]
        for i in range(k):
            right[i] -= right[k] * matrix[k * rows + i]


@inline
def reflect(matrix, rows, k, count):  # type: ignore[no-untyped-def]
    """One Householder reflection of column k, applied to the columns after it and to the right side (column count)."""
    column = at(matrix, k * rows)
    below = 0.0
    for i in range(k + 1, rows):
        below += column[i] * column[i]
    if below == 0.0:
        return
    norm = math.sqrt(column[k] * column[k] + below)
    if column[k] > 0.0:
        norm = -norm
    head = column[k] - norm
    column[k] = norm
    for j in range(k + 1, count + 1):
        other = at(matrix, j * rows)
        factor = head * other[k]
        for i in range(k + 1, rows):
            factor += column[i] * other[i]
        factor /= -norm * head
        other[k] -= factor * head
        for i in range(k + 1, rows):
            other[i] -= factor * column[i]

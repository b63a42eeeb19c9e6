"""The compiled look at how a formula bends between the ends of its error bars.

Its values at both ends, the other parameters moved as the linearisation says, give a first and a second difference:
velocity and acceleration of Bates & Watts (1980) in one direction. Where the acceleration is small beside the velocity,
in itself, along it, and across the residuals, the sum of squares rises as the standard error says.
"""

from __future__ import annotations

from katamuki.backends.native import at, call_rows, function, inline

BENT = 0.1  # of the velocity's square: below it the ends of a profile stand within a tenth of where they are expected


def size(p: int, all_p: int) -> int:
    """How many doubles the result and its scratch need: p flags first."""
    return p + 4 * p + p * p + all_p + 4 * 256


@inline
def directions(root, stderr, t, p, moves):  # type: ignore[no-untyped-def]
    """``moves`` (p, p): row k is how far all parameters go where k goes to its end; zero without an error bar."""
    for k in range(p):
        square = 0.0
        for i in range(p):
            square += root[k * p + i] * root[k * p + i]
        for j in range(p):
            total = 0.0
            for i in range(p):
                total += root[k * p + i] * root[j * p + i]
            moves[k * p + j] = t * stderr[k] * total / square if stderr[k] > 0.0 else 0.0


@function(
    "int64(int64, double**, double*, double*, double*, int64, int64, int64, int64*, int64, int64, double*, double*,"
    " double, double*)",
    sums=True,
)
def bend_pass(  # type: ignore[no-untyped-def]
    kernel, columns, params, y, weights, weighted, n, most, free, p, all_p, root, stderr, t, out
):  # fmt: skip
    """How many of the ends params ± t·stderr may be wrong; ``out`` (p) marks their parameters, then scratch.

    ``weights`` are the roots of w, ``root`` is W of :class:`katamuki.covariance.Uncertainty`. At most ``most`` blocks
    of 256 rows are looked at, spread evenly over the data.
    """
    sums = at(out, p)
    moves = at(sums, 4 * p)
    moved = at(moves, p * p)
    middle = at(moved, all_p)
    above, below, left = at(middle, 256), at(middle, 512), at(middle, 768)
    directions(root, stderr, t, p, moves)
    for i in range(4 * p):
        sums[i] = 0.0
    blocks = (n + 255) // 256
    count = min(blocks, most)
    for b in range(count):
        start = 256 * (b if count < 2 else b * (blocks - 1) // (count - 1))
        m = min(256, n - start)
        call_rows(kernel, columns, params, start, m, middle, middle, 0)
        for i in range(m):
            left[i] = y[start + i] - middle[i]
        for k in range(p):
            if not stderr[k] > 0.0:
                continue
            for sign in range(2):
                for i in range(all_p):
                    moved[i] = params[i]
                for j in range(p):
                    moved[free[j]] += moves[k * p + j] if sign == 0 else -moves[k * p + j]
                call_rows(kernel, columns, moved, start, m, above if sign == 0 else below, middle, 0)
            along, itself, across, velocity = 0.0, 0.0, 0.0, 0.0
            for i in range(m):
                w = weights[start + i] if weighted != 0 else 1.0
                a = w * ((above[i] - middle[i]) + (below[i] - middle[i]))
                v = w * (0.5 * (above[i] - below[i]))
                along += a * v
                itself += a * a
                across += a * w * left[i]
                velocity += v * v
            sums[4 * k] += along
            sums[4 * k + 1] += itself
            sums[4 * k + 2] += across
            sums[4 * k + 3] += velocity
    found = 0
    for k in range(p):
        out[k] = 0.0
        if stderr[k] > 0.0:
            along, itself, across = sums[4 * k], sums[4 * k + 1], sums[4 * k + 2]
            small = BENT * sums[4 * k + 3]
            if not (along <= small and -along <= small and itself <= small and across <= small and -across <= small):
                out[k] = 1.0
                found += 1
    return found

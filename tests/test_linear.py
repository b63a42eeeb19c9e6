"""The linear solver: exact rational arithmetic is the stranger."""

from fractions import Fraction

import numpy as np
import pytest

from katamuki import graph
from katamuki.backends import double_double
from katamuki.backends.kernel import Kernel
from katamuki.problem import Problem
from katamuki.solvers import linear


def polynomial(degree: int) -> Kernel:
    b = graph.Builder()
    x = b.leaf("column", "x")
    total = b.leaf("parameter", "b0")
    for k in range(1, degree + 1):
        power = x if k == 1 else b("powi", x, float(k))
        total = b("add", total, b("mul", b.leaf("parameter", f"b{k}"), power))
    return Kernel(b.graph([total]))


def exact(x, y, w, degree):
    """Parameters, rss and inverse in rational arithmetic."""
    p = degree + 1
    rows = [([Fraction(a) ** k for k in range(p)], Fraction(b), Fraction(c)) for a, b, c in zip(x, y, w, strict=True)]
    matrix = [[sum(c * j[i] * j[k] for j, _, c in rows) for k in range(p)] for i in range(p)]
    right = [[sum(c * j[i] * b for j, b, c in rows)] + [Fraction(int(i == k)) for k in range(p)] for i in range(p)]
    for i in range(p):
        pivot = matrix[i][i]
        matrix[i] = [one / pivot for one in matrix[i]]
        right[i] = [one / pivot for one in right[i]]
        for k in range(p):
            if k != i:
                factor = matrix[k][i]
                matrix[k] = [a - factor * b for a, b in zip(matrix[k], matrix[i], strict=True)]
                right[k] = [a - factor * b for a, b in zip(right[k], right[i], strict=True)]
    params = [row[0] for row in right]
    rss = sum(c * (b - sum(q * t for q, t in zip(params, j, strict=True))) ** 2 for j, b, c in rows)
    return params, rss, [row[1:] for row in right]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("degree", "low", "high"), [(1, 1e6, 1e6 + 1), (5, 0, 20), (10, -9, -3)])
def test_ill_conditioned_polynomials_keep_their_digits(degree, low, high, weighted):
    rng = np.random.default_rng(degree)
    x = np.sort(rng.uniform(low, high, 82))
    y = rng.normal(size=82)
    w = rng.uniform(0.5, 2.0, 82) if weighted else None
    names = [f"b{k}" for k in range(degree + 1)]
    found = linear.refine(Problem(polynomial(degree), [x], y, w, dict.fromkeys(names, 1.0), names))
    params, rss, inverse = exact(x, y, np.ones(82) if w is None else w, degree)
    assert found is not None
    assert found.params == pytest.approx(
        [float(one) for one in params], rel=1e-12
    )  # 31 digits less the squared condition
    assert found.rss == pytest.approx(float(rss), rel=1e-13)
    assert found.inverse.ravel() == pytest.approx([float(one) for row in inverse for one in row], rel=1e-12)


def test_dependent_columns_are_refused():
    b = graph.Builder()
    x = b.leaf("column", "x")
    sum_of = b("add", b("mul", b.leaf("parameter", "a"), x), b("mul", b.leaf("parameter", "b"), b("mul", 3.0, x)))
    x = np.linspace(0, 1, 9)
    assert linear.refine(Problem(Kernel(b.graph([sum_of])), [x], x, None, {"a": 0.0, "b": 0.0}, "ab")) is None


def test_double_double_arithmetic_keeps_31_digits():
    rng = np.random.default_rng(1)
    for _ in range(200):
        a, b = ((h, h * rng.uniform(-1, 1) * 2.0**-54) for h in rng.normal(size=2))
        for operation, stranger in (
            (double_double.dd_add, lambda p, q: p + q),
            (double_double.dd_sub, lambda p, q: p - q),
            (double_double.dd_mul, lambda p, q: p * q),
        ):
            truth = stranger(Fraction(a[0]) + Fraction(a[1]), Fraction(b[0]) + Fraction(b[1]))
            size = max(abs(truth), Fraction(abs(a[0])) if operation is not double_double.dd_mul else 0)
            high, low = operation(*a, *b)
            assert abs(Fraction(high) + Fraction(low) - truth) <= size * Fraction(2) ** -100
        high, low = double_double.dd_powi(*a, 5)
        truth = (Fraction(a[0]) + Fraction(a[1])) ** 5
        assert abs(Fraction(high) + Fraction(low) - truth) <= abs(truth) * Fraction(2) ** -98

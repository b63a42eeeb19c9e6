"""The least-squares answer of a formula and data held in doubles, to 40 digits: sympy's derivatives, mpmath's sums."""

from __future__ import annotations

from collections.abc import Mapping

import mpmath as mp
import numpy as np
import sympy as sp


def exact_answer(formula: str, data: Mapping[str, np.ndarray], near: Mapping[str, float]) -> dict[str, mp.mpf]:
    """Newton's method from an answer nearby, the data taken as the doubles that they are."""
    with mp.workdps(60):
        return _newton(sp.sympify(formula.split("~")[1]), data, near)


def digits_right(value: float, exact: mp.mpf) -> float:
    """How many digits of a value are those of the exact one; 17 where all are."""
    with mp.workdps(60):
        return float(-mp.log10(abs(mp.mpf(value) / exact - 1) + mp.mpf(10) ** -17))


def _newton(rhs: sp.Expr, data: Mapping[str, np.ndarray], near: Mapping[str, float]) -> dict[str, mp.mpf]:
    symbols = {one.name: one for one in rhs.free_symbols}
    columns = [name for name in data if name in symbols]
    params = [symbols[name] for name in near]
    order = [*params, *(symbols[name] for name in columns)]
    slopes = [sp.diff(rhs, one) for one in params]
    bends = [[sp.diff(rhs, one, two) for two in params] for one in params]
    f, g, h = (sp.lambdify(order, one, "mpmath") for one in (rhs, slopes, bends))
    rows = [[mp.mpf(float(v)) for v in row] for row in zip(*(data[name] for name in columns), strict=True)]
    y, p = [mp.mpf(float(v)) for v in data["y"]], len(params)
    values = [mp.mpf(one) for one in near.values()]
    for _ in range(40):
        matrix, right = mp.zeros(p, p), mp.zeros(p, 1)
        for row, observed in zip(rows, y, strict=True):
            r, slope, bend = observed - f(*values, *row), g(*values, *row), h(*values, *row)
            for i in range(p):
                right[i] += slope[i] * r
                for k in range(p):
                    matrix[i, k] += slope[i] * slope[k] - r * bend[i][k]
        step = mp.lu_solve(matrix, right)
        values = [one + step[i] for i, one in enumerate(values)]
        if max(abs(step[i] / one) for i, one in enumerate(values)) < mp.mpf(10) ** -40:
            return dict(zip(near, values, strict=True))
    raise AssertionError("Newton's method did not end")

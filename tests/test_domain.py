"""Steps that would leave the formula's domain are shortened: logs, roots and powers from starts beside the edge.

The stranger is SciPy's trust-region solver, within bounds that keep it inside.
"""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import least_squares

from katamuki.backends.kernel import Kernel
from katamuki.formula import parse
from katamuki.problem import Problem
from katamuki.solvers.levenberg_marquardt import minimise

X = np.linspace(0, 10, 60)
NOISE = np.random.default_rng(3).standard_normal(60)
# formula, truth, and how a start is made from how near to the edge it lies (0 < near ≤ 1) and a factor
FAMILIES = {
    "log(a + b*x)": ({"a": 1.0, "b": 2.0}, lambda near, f: {"a": near, "b": f}),
    "a*log(x - c) + d": ({"a": 2.0, "c": -0.5, "d": 1.0}, lambda near, f: {"a": f, "c": -near, "d": 0.0}),
    "a*sqrt(x - b)": ({"a": 2.0, "b": -0.5}, lambda near, f: {"a": f, "b": -near}),
    "a*(x - c)**b": ({"a": 2.0, "c": -0.5, "b": 0.7}, lambda near, f: {"a": 1.0 + f / 9, "c": -near, "b": 0.9}),
    "a/sqrt(x + b) + c": ({"a": 2.0, "b": 0.5, "c": 1.0}, lambda near, f: {"a": f, "b": near, "c": 0.0}),
    "log(1 - a*x)": ({"a": 0.09}, lambda near, f: {"a": 0.1 * (1 - near * 0.999)}),
    "log(a + b*x + c*x**2)": ({"a": 1.0, "b": -0.3, "c": 0.1}, lambda near, f: {"a": near, "b": near, "c": f}),
}


def problem(text, values, noise=0.01):
    model = parse(f"y ~ {text}", ["x", "y"])
    truth, _ = FAMILIES[text]
    kernel = Kernel(model.rhs)
    y = kernel.evaluate([X], np.array([truth[name] for name in kernel.parameters]), len(X))
    assert np.isfinite(y).all()
    return Problem(kernel, [X], y + noise * np.std(y) * NOISE, None, values, list(truth), 1)


def stranger(p):
    """Least squares from the truth, by another method, derivatives by differences."""

    def residuals(values):
        with np.errstate(all="ignore"):
            found = p.y - p.kernel.evaluate(p.columns, np.ascontiguousarray(values), p.n)
        return np.where(np.isfinite(found), found, 1e3)

    return least_squares(residuals, p.values, x_scale="jac", xtol=1e-14, ftol=1e-14, gtol=1e-14)


@pytest.mark.parametrize("text", FAMILIES)
@given(st.floats(-6.0, 0.0), st.floats(-1.0, 1.0))
def test_a_start_beside_the_edge_of_the_domain_leads_to_the_minimum(text, near, factor):
    truth, start = FAMILIES[text]
    p = problem(text, start(10.0**near, 10.0**factor))
    found = minimise(p, p.values)
    assert found.ending == "converged"
    q = problem(text, truth)
    assert found.rss <= 2 * stranger(q).cost * (1 + 1e-7)
    assert found.evaluations < 150  # shortening wastes few
    width = 3 * p.p
    assert np.isfinite(found.rows[:, : 2 * p.p]).all()
    assert np.isfinite(found.rows[:, width]).all()


@pytest.mark.parametrize("text", ["log(a + b*x)", "a*log(x - c) + d", "a*sqrt(x - b)"])
def test_these_starts_do_lead_outside(text):
    """The same runs, looked at for what they are about: a trial without a value is refused, the next damped more."""
    _, start = FAMILIES[text]
    outside = 0
    for near in (1e-6, 1e-3, 0.1, 1.0):
        for factor in (0.1, 10.0):
            p = problem(text, start(near, factor))
            rows = minimise(p, p.values).rows
            for k, row in enumerate(rows[:-1]):
                trial = row[: p.p] + row[2 * p.p : 3 * p.p]
                with np.errstate(all="ignore"), warnings.catch_warnings():
                    finite = np.isfinite(p.kernel.evaluate(p.columns, np.ascontiguousarray(trial), p.n)).all()
                if not finite:
                    outside += 1
                    assert row[-1] == 0.0
                    polish = row[3 * p.p + 1] == 0.0
                    assert polish or rows[k + 1, 3 * p.p + 1] > row[3 * p.p + 1]  # which shortens the next
    assert outside > 3

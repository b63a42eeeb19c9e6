"""Fits made by NumPy and SciPy and handed to our findings: they judge a claim, whoever made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from katamuki import formula
from katamuki.backends.kernel import Kernel
from katamuki.covariance import uncertainty
from katamuki.findings import examine
from katamuki.findings.residuals import ResidualFacts, residual_facts
from katamuki.problem import Problem
from katamuki.records import Finding, Solution

ANSCOMBE_X = np.array([10.0, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5])
ANSCOMBE = {
    1: (ANSCOMBE_X, [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68]),
    2: (ANSCOMBE_X, [9.14, 8.14, 8.74, 8.77, 9.26, 8.10, 6.13, 3.10, 9.13, 7.26, 4.74]),
    3: (ANSCOMBE_X, [7.46, 6.77, 12.74, 7.11, 7.81, 8.84, 6.08, 5.39, 8.15, 6.42, 5.73]),
    4: (np.array([8.0] * 7 + [19] + [8] * 3), [6.58, 5.76, 7.71, 8.84, 8.47, 7.04, 5.25, 12.50, 5.56, 7.91, 6.89]),
}


@cache
def model(text: str, columns: tuple[str, ...]) -> formula.Model:
    return formula.parse(text, columns)


def problem(
    text: str,
    data: Mapping[str, Any],
    weights: np.ndarray | None = None,
    fixed: Mapping[str, float] | None = None,
    threads: int = 1,
) -> Problem:
    """Rows and a model, every parameter at 1 unless fixed."""
    parsed = model(text, tuple(data))
    arrays = {name: np.ascontiguousarray(values, dtype=float) for name, values in data.items()}
    columns = [arrays[name] for name in parsed.rhs.columns]
    values = dict.fromkeys(parsed.parameters, 1.0) | dict(fixed or {})
    free = [name for name in parsed.parameters if name not in (fixed or {})]
    return Problem(kernel(text, tuple(data)), columns, arrays["y"], weights, values, free, threads)


@cache
def kernel(text: str, columns: tuple[str, ...]) -> Kernel:
    return Kernel(model(text, columns).rhs)


def jacobian(rows: Problem, values: np.ndarray) -> np.ndarray:
    """Weighted derivatives by the free parameters, (n, p)."""
    partials = rows.kernel.evaluate(rows.columns, values, rows.n, want=True)[1:].T[:, rows.free]
    return partials if rows.root is None else partials * rows.root[:, None]


def residuals(rows: Problem, values: np.ndarray) -> np.ndarray:
    """Weighted residuals y − f, (n,)."""
    left = rows.y - rows.kernel.evaluate(rows.columns, values, rows.n)
    return left if rows.root is None else left * rows.root


def minimum(rows: Problem, start: np.ndarray | None = None) -> np.ndarray:
    """All parameters at the least-squares answer; by SciPy, and Gauss–Newton steps for the last digits."""
    found = least_squares(
        lambda free: residuals(rows, rows.full(free)),
        rows.values[rows.free] if start is None else start,
        jac=lambda free: -jacobian(rows, rows.full(free)),
        x_scale="jac",
        method="lm" if rows.n >= rows.p else "trf",
        ftol=1e-15,
        xtol=1e-15,
        gtol=1e-15,
    )
    values = rows.full(found.x)
    for _ in range(3):
        step = np.linalg.lstsq(jacobian(rows, values), residuals(rows, values), rcond=1e-12)[0]
        values = rows.full(values[rows.free] + step)
    return values


def facts(rows: Problem, values: np.ndarray, held: np.ndarray | None = None) -> ResidualFacts:
    """The facts at some parameters."""
    e = residuals(rows, values)
    bars = uncertainty(np.linalg.qr(jacobian(rows, values), mode="r"), float(e @ e), rows.n, False, held=held)
    return residual_facts(rows, values, bars, float(e @ e))


def solution(text: str, rows: Problem, values: np.ndarray, **changes: Any) -> Solution:
    """The claim that some parameters are the answer."""
    e = residuals(rows, values)
    rss, n = float(e @ e), rows.n
    known = changes.get("sigma_is") == "known"
    bars = uncertainty(np.linalg.qr(jacobian(rows, values), mode="r"), rss, n, known)
    names = rows.names
    stderr: dict[str, float | None] = dict.fromkeys(names)
    stderr |= {name: one for name, one in zip(rows.free_names, bars.stderr.tolist(), strict=True) if one == one}  # noqa: PLR0124
    said = Solution(
        formula=text,
        response="y",
        columns=(*rows.kernel.columns, "y"),
        params=dict(zip(names, values.tolist(), strict=True)),
        free=rows.free_names,
        stderr=stderr,
        covariance=bars.covariance,
        start=None,
        bounds={},
        at_bound=(),
        linear=True,
        state="exact",
        solver="linear",
        options={},
        loss=rss / n,
        rss=rss,
        tss=float(np.sum((rows.y - rows.y.mean()) ** 2)),
        n=n,
        dof=n - rows.p,
        sigma_is=None,
        weighted=rows.weights is not None,
        steps=0,
        evaluations=1,
        seconds=0.0,
    )
    return replace(said, **changes)


def found(text: str, data: Mapping[str, Any], start: Any = None, **changes: Any) -> tuple[Finding, ...]:
    """All findings about the least-squares answer of a formula on some data."""
    weights = changes.pop("w", None)
    rows = problem(text, data, weights)
    values = minimum(rows, None if start is None else np.array(start, dtype=float))
    claim = solution(text, rows, values, **changes)
    columns = dict(zip(rows.kernel.columns, rows.columns, strict=True))
    return examine(claim, facts(rows, values), columns=columns, graph=rows.kernel.graph)


def codes(findings: tuple[Finding, ...]) -> list[str]:
    """Their codes, with the variant."""
    return [".".join([one.code, one.values["variant"]] if "variant" in one.values else [one.code]) for one in findings]

"""The check agrees with NIST's certified answers, and with no neighbour of theirs; no solver of katamuki runs here."""

from __future__ import annotations

import ast
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from katamuki import certified
from katamuki.check import judge, routes
from katamuki.records import Solution

NONLINEAR = [name for name in certified.names() if certified.problem(name).suite == "nonlinear"]
LINEAR = [name for name in certified.names() if certified.problem(name).suite == "linear"]
# Their residuals are rounding, or the data's rounding changes the error bars' fourth digit.
NO_ERROR_BARS = {"Lanczos1", "Wampler1", "Wampler2"}


def evaluated(formula: str, values: dict[str, Any]) -> Any:
    """A certified formula by Python and torch: our own text, so that it may be run."""
    side = formula.split("~")[1].strip()
    assert not any(isinstance(node, ast.Attribute) for node in ast.walk(ast.parse(side)))
    known = {"exp": torch.exp, "sin": torch.sin, "cos": torch.cos, "atan": torch.atan, "pi": np.pi}
    return eval(compile(side, "certified", "eval"), {"__builtins__": {}}, {**known, **values})


def slopes(problem: certified.Problem) -> np.ndarray:
    """J (n, p) by torch's automatic differentiation."""
    leaves = {name: torch.tensor(value, dtype=torch.float64) for name, value in problem.params.items()}
    columns = {name: torch.tensor(column) for name, column in problem.columns.items()}
    found = torch.autograd.functional.jacobian(
        lambda *p: evaluated(problem.formula, {**columns, **dict(zip(leaves, p, strict=True))}) + 0.0 * columns["y"],
        tuple(leaves.values()),
    )
    return torch.stack(found, dim=1).numpy()


def inverse(problem: certified.Problem) -> np.ndarray:
    """(JᵀJ)⁻¹: exactly, where the columns are rational, by QR of scaled columns elsewhere."""
    if problem.suite == "nonlinear":
        j = slopes(problem)
        unit = np.linalg.norm(j, axis=0)
        root = np.linalg.inv(np.linalg.qr(j / unit, mode="r"))
        return root @ root.T / np.outer(unit, unit)
    columns = {name: [Fraction(value) for value in column.tolist()] for name, column in problem.columns.items()}
    side = ast.parse(problem.formula.split("~")[1].strip(), mode="eval")
    program = compile(side, "certified", "eval")
    zero = dict.fromkeys(problem.params, Fraction(0))
    rows = []
    for k in range(problem.n):
        here = {name: column[k] for name, column in columns.items()}
        rows.append([eval(program, {}, {**zero, **here, name: Fraction(1)}) for name in problem.params])
    p = len(problem.params)
    left = [[sum(row[i] * row[j] for row in rows) for j in range(p)] for i in range(p)]
    table = [line + [Fraction(int(i == j)) for j in range(p)] for i, line in enumerate(left)]
    for k in range(p):  # Gauss and Jordan, exact
        table[k] = [value / table[k][k] for value in table[k]]
        for i in range(p):
            if i != k:
                factor = table[i][k]
                table[i] = [one - factor * other for one, other in zip(table[i], table[k], strict=True)]
    return np.array([[float(value) for value in line[p:]] for line in table])


@cache
def claim_of(name: str) -> Solution:
    """The certified answer as a claim, of the data as doubles hold them."""
    problem = certified.problem(name)
    params = {key: float(text) for key, text in problem.rounded.params.items()}
    y = problem.columns[problem.formula.split("~")[0].strip()] if "(" not in problem.formula.split("~")[0] else None
    if y is None:
        y = np.log(problem.columns["y"])
    rss = float(problem.rounded.rss)
    return Solution(
        formula=problem.formula,
        response=problem.formula.split("~")[0].strip(),
        columns=tuple(problem.columns),
        params=params,
        free=tuple(params),
        stderr={key: float(text) for key, text in problem.rounded.stderr.items()},
        covariance=inverse(problem) * float(problem.rounded.rsd) ** 2,
        start=None,
        bounds={},
        at_bound=(),
        linear=problem.suite == "linear",
        state="exact" if problem.suite == "linear" else "converged",
        solver="linear" if problem.suite == "linear" else "levenbergmarquardt",
        options={},
        loss=rss / problem.n,
        rss=rss,
        tss=float(((y - y.mean()) ** 2).sum()),
        n=problem.n,
        dof=problem.dof,
        sigma_is=None,
        weighted=False,
        steps=0,
        evaluations=1,
        seconds=0.0,
    )


@pytest.mark.parametrize("name", [*LINEAR, *NONLINEAR])
def test_a_certified_answer_passes(name: str) -> None:
    report = judge(claim_of(name), certified.problem(name).columns, None)
    assert report.verdict == "PASS", report
    assert min(report.digits.values()) >= 8
    if name not in NO_ERROR_BARS:
        assert min(report.stderr_digits.values()) >= 6


@pytest.mark.parametrize("name", [*LINEAR, *NONLINEAR])
def test_no_neighbour_of_a_certified_answer_passes(name: str) -> None:
    claim = claim_of(name)
    columns = certified.problem(name).columns
    for parameter in claim.params:
        nudged = {**claim.params, parameter: claim.params[parameter] * (1 + 1e-4)}
        report = judge(replace(claim, params=nudged), columns, None)
        assert (report.verdict, report.reason) == ("FAIL", "check.fail.params"), (parameter, report)
        if name not in NO_ERROR_BARS:
            bar = claim.stderr[parameter]
            assert bar is not None
            wrong = replace(claim, stderr={**claim.stderr, parameter: bar * 1.01})
            assert judge(wrong, columns, None).reason == "check.fail.stderr"


def test_a_route_with_too_few_digits_does_not_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """QR in doubles keeps 5 digits of Wampler5: the check says so, and contradicts nobody."""
    monkeypatch.setattr(routes, "ILL_LINEAR", np.inf)
    report = judge(claim_of("Wampler5"), certified.problem("Wampler5").columns, None)
    assert (report.verdict, report.reason) == ("CANNOT TELL", "check.cannot.rounding")


def test_without_another_answer_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "by_scipy", lambda *_: None)
    report = judge(claim_of("Misra1a"), certified.problem("Misra1a").columns, None)
    assert (report.verdict, report.reason) == ("CANNOT TELL", "check.cannot.route")


@pytest.mark.parametrize("name", ["Misra1a", "Rat42", "Gauss1", "MGH09", "Eckerle4"])
def test_a_certified_start_is_no_answer(name: str) -> None:
    problem = certified.problem(name)
    assert problem.starts is not None
    for start in problem.starts:
        assert judge(replace(claim_of(name), params=dict(start)), problem.columns, None).verdict == "FAIL"

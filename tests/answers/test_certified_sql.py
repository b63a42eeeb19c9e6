"""NIST's certified problems, their rows repeated, in DuckDB and PostgreSQL: the answer that rows in memory give.

Ten digits where the scaled condition is below a million; and everywhere as many as ``fit.digits`` says, which both are
asked. Digits are counted against the fit of the same rows in memory.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

import katamuki as km
from katamuki.certified import names, problem
from queried import connection, table

REPEATED = 7
BELOW = 1e6
WANTED = 10.0
MOST = 15.5
# The residuals of Lanczos1 are rounding, and so are digits of its standard errors; of Wampler1 and 2 they are 0.
PERFECT = ("Lanczos1", "Wampler1", "Wampler2")


@functools.cache
def in_memory(name: str) -> km.Fit:
    p = problem(name)
    start = None if p.starts is None else p.starts[1]
    return km.fit(p.formula, {k: np.tile(v, REPEATED) for k, v in p.columns.items()}, start=start, starts=1)


@functools.cache
def in_database(name: str, base: str) -> km.Fit:
    p = problem(name)
    start = None if p.starts is None else p.starts[1]
    rows = table(base, p.columns)
    query = f"SELECT {', '.join(p.columns)} FROM {rows}, generate_series(1, {REPEATED}) AS g(i)"
    return km.fit(p.formula, km.sql(query, connection(base)), start=start, starts=1)


def scaled_condition(fit: km.Fit) -> float:
    """Of J with columns of length 1, from the covariance; infinite where that is rounding."""
    covariance = np.asarray(fit.covariance)
    error = np.sqrt(np.diag(covariance))
    if not (error > 0.0).all():
        return 0.0
    inverse = np.linalg.inv(covariance / np.outer(error, error))
    length = np.sqrt(np.abs(np.diag(inverse)))
    return math.sqrt(np.linalg.cond(inverse / np.outer(length, length)))


def shared(found: float, wanted: float) -> float:
    """How many digits two numbers share."""
    return MOST if found == wanted else min(MOST, -math.log10(abs(found - wanted) / abs(wanted)))


def broken(found: dict[str, float], wanted: dict[str, float], promised: dict[str, float], least: float) -> list[str]:
    """The parameters of which fewer digits are shared than promised, or than wanted at least."""
    digits = {name: shared(found[name], wanted[name]) for name in wanted}
    return [f"{name} {n:.1f}" for name, n in digits.items() if n < min(max(promised[name], least), MOST)]


@pytest.mark.parametrize("base", ["duckdb", "postgres"])
@pytest.mark.parametrize("name", names())
def test_a_database_solves_a_certified_problem(name: str, base: str) -> None:
    found, wanted = in_database(name, base), in_memory(name)
    condition = scaled_condition(wanted)
    least = WANTED if condition < BELOW else 0.0
    promised = {k: min(found.digits[k], wanted.digits[k]) for k in wanted.params}
    assert broken(found.params, wanted.params, promised, least) == []
    if name not in PERFECT:
        bars = [shared(found.stderr[k], wanted.stderr[k]) for k in wanted.params]  # type: ignore[arg-type]
        assert min(bars) > (9.0 if condition < BELOW else 6.0)
    assert found.n == problem(name).n * REPEATED


def test_a_digit_too_few_is_found() -> None:
    assert broken({"a": 1.0 + 1e-9}, {"a": 1.0}, {"a": 5.0}, 10.0) == ["a 9.0"]
    assert broken({"a": 1.0 + 1e-9}, {"a": 1.0}, {"a": 9.5}, 0.0) == ["a 9.0"]
    assert broken({"a": 1.0 + 1e-9}, {"a": 1.0}, {"a": 8.5}, 0.0) == []

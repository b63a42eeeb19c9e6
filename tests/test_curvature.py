"""What a formula's curvature adds to a Gauss–Newton step: against the minimum itself, and a triangle made anew."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import katamuki as km
from katamuki.api import distant_solving
from katamuki.backends.kernel import Kernel
from katamuki.formula import parse
from katamuki.problem import Problem
from katamuki.problem.distant import Distant
from katamuki.solvers.curvature import Curvature
from streaming import rows, shared, streamed, write

DECAY = "y ~ a*exp(-b*x) + c"
KERNEL = Kernel(parse(DECAY, ["x", "y"]).rhs)
N = 40_000


def elsewhere(seed: int = 3, m: int = N) -> tuple[Any, Problem]:
    """All rows as a problem in memory, and as one elsewhere whose sample are the first m of them."""
    data = rows(N, seed)
    start, free = {"a": 4.0, "b": 1.3, "c": 0.5}, ("a", "b", "c")
    whole = Problem(KERNEL, [data["x"]], data["y"], None, start, free)
    sample = Problem(KERNEL, [data["x"][:m].copy()], data["y"][:m].copy(), None, start, free)
    far = SimpleNamespace(
        sample=sample, wider=None, free_names=sample.free_names, names=sample.names, p=3, free=sample.free, whole=m == N
    )
    return far, whole


def linearised(problem: Problem, values: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    found = problem.linearise(values)
    return found.r, np.linalg.solve(found.r, found.qtr)


def minimum(problem: Problem) -> np.ndarray[Any, Any]:
    values = np.array([4.0, 1.3, 0.5])
    for _ in range(12):
        values = values + linearised(problem, values)[1]
    return values


def test_a_step_with_curvature_ends_far_nearer_to_the_minimum():
    far, whole = elsewhere(m=N // 4)
    true = minimum(whole)
    start = true + np.array([0.02, -0.01, 0.004])
    r, step = linearised(whole, start)
    plain = np.linalg.norm(start + step - true)
    bent = np.linalg.norm(start + Curvature(far, start, r).bent(step) - true)
    assert bent < plain / 5  # noise is the rest
    # With the curvature taken twice, or the other way round, it is no nearer.
    turned_round = 2 * step - Curvature(far, start, r).bent(step)
    assert np.linalg.norm(start + turned_round - true) > plain


def test_a_step_that_is_too_long_stays_as_it_is():
    far, whole = elsewhere()
    start = np.array([1.0, 0.1, 0.1])
    r, step = linearised(whole, start)
    assert Curvature(far, start, r).bent(step) is step


@pytest.mark.parametrize("m", [N, N // 4])
def test_a_triangle_is_turned_as_it_would_be_made_anew(m: int):
    far, whole = elsewhere(m=m)
    values, step = np.array([4.0, 1.3, 0.5]), np.array([3e-5, -2e-5, 1e-5])
    r, anew = (linearised(whole, one)[0] for one in (values, values + step))
    found, unsure = Curvature(far, values, r).turned(step)
    signs = np.sign(np.diag(anew) * np.diag(found))[:, None]
    off = np.linalg.norm(found * signs - anew) / np.linalg.norm(anew)
    assert off <= 3 * unsure
    assert off < 0.1 * np.linalg.norm(r * np.sign(np.diag(anew) * np.diag(r))[:, None] - anew) / np.linalg.norm(anew)


def test_a_column_that_the_sample_does_not_see_leaves_everything_as_it_is():
    far, whole = elsewhere()
    far.sample.columns[0][:] = 1e9
    values, step = np.array([4.0, 1.3, 0.5]), np.array([1e-5, 0.0, 0.0])
    r, _ = linearised(whole, values)
    curvature = Curvature(far, values, r)
    assert curvature.bent(step) is step
    assert curvature.turned(step)[1] == np.inf


def test_more_rows_in_memory_save_a_pass(tmp_path, monkeypatch):
    draw = np.random.default_rng(1)
    x = draw.uniform(0.0, 5.0, 60_000)
    data = {"x": x, "y": 4.0 * np.exp(-1.3 * x) + 0.5 + 0.003 * draw.standard_normal(60_000)}
    path = write(tmp_path / "rows.parquet", data, group=2000)
    whole, plain = km.fit(DECAY, data), streamed(DECAY, path)
    monkeypatch.setattr(Distant, "widest", 30_000)
    found = streamed(DECAY, path)
    assert found.data.passes < plain.data.passes
    for name, value in whole.params.items():
        assert shared(found.params[name], value) >= 11
        assert shared(found.stderr[name], whole.stderr[name]) >= 10
    assert found.check().verdict == "PASS"


def test_rows_in_memory_that_lead_nowhere_are_not_followed(tmp_path, monkeypatch):
    path = write(tmp_path / "rows.parquet", rows(60_000), group=2000)
    monkeypatch.setattr(Distant, "widest", 30_000)
    monkeypatch.setattr(distant_solving, "NEARER", 1)
    wide = streamed(DECAY, path)
    monkeypatch.setattr(Distant, "widest", 0)
    assert shared(wide.params["b"], streamed(DECAY, path).params["b"]) >= 11

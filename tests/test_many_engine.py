"""Compiled descents for many curves against ``katamuki.fit``, curve by curve; bits that no neighbour changes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import katamuki as km
from katamuki.api.many_one import Road
from katamuki.api.options import Asked
from katamuki.api.plan import plan_for
from katamuki.api.values import settings
from katamuki.many import curved_passes, engine
from katamuki.many.curves import STATES, VERDICTS, Curves, Fitted, ManyTask
from katamuki.many.descent import CLEAN
from katamuki.many.engine import Descents, fit_curves
from katamuki.many.relay import HOW, TRY
from katamuki.many.straight_slots import WHOLE
from katamuki.records import Array, SigmaIs

DIGITS = 1e-10
ROWS = 20
X = np.linspace(0.0, 10.0, ROWS)


def task_of(
    formula: str, columns: tuple[str, ...] = ("x", "y"), sigma_is: SigmaIs | None = None, **options: object
) -> ManyTask:
    """What ``fit_many`` makes of a formula: its engine, and the whole road for one curve."""
    plan = plan_for(formula, columns, None, ())
    said = settings(plan.kernel.parameters, options.get("start"), options.get("bounds"), options.get("fixed"))
    road = Road(plan, said, sigma_is, columns, Asked("auto", 0))
    values = np.array([said.start[name] for name in plan.kernel.parameters])
    linear = plan.is_linear(said.free)
    return ManyTask(plan.kernel, said.free, values, said.given, said.bounds, sigma_is, linear, "auto", 0, road.one)


def shared(y: Array, x: Array = X, weights: Array | None = None) -> Curves:
    """Curves (b, n) at the same x."""
    b, n = y.shape
    return Curves(np.arange(b + 1, dtype=np.int64) * n, (np.ascontiguousarray(x),), y.ravel().copy(), weights, True)


def apart(curves: Curves) -> Curves:
    """The same curves, each with its own columns."""
    b = len(curves)
    columns = tuple(np.tile(one, b) for one in curves.columns)
    weights = None if curves.weights is None else np.tile(curves.weights, b)
    return Curves(curves.offsets, columns, curves.y, weights)


def part(curves: Curves, first: int, last: int) -> Curves:
    """Some of them."""
    low, high = int(curves.offsets[first]), int(curves.offsets[last])
    offsets = curves.offsets[first : last + 1] - low
    if curves.shared:
        return replace(curves, offsets=offsets, y=curves.y[low:high].copy())
    weights = None if curves.weights is None else curves.weights[low:high].copy()
    return Curves(offsets, tuple(one[low:high].copy() for one in curves.columns), curves.y[low:high].copy(), weights)


@dataclass(frozen=True)
class Case:
    formula: str
    seed: int
    noise: float


CASES = {
    "peak": Case("y ~ A*exp(-0.5*((x - m)/s)**2) + c", 1, 0.3),
    "lorentz": Case("y ~ A/(1 + ((x - m)/s)**2) + c", 2, 0.2),
    "decay": Case("y ~ a*exp(-b*x) + c", 3, 0.2),
    "saturation": Case("y ~ vmax*x/(km + x)", 4, 0.2),
    "sigmoid": Case("y ~ low + (high - low)/(1 + exp(-k*(x - x0)))", 5, 0.2),
    "power": Case("y ~ a*(x + 0.5)**b", 6, 0.1),
    "scaled by an exponential": Case("y ~ exp(a + b*x)", 7, 0.02),
}


def made(name: str, b: int) -> Array:
    """Curves (b, ROWS) of a case, random parameters and noise."""
    case = CASES[name]
    rng = np.random.default_rng(case.seed)

    def some(low: float, high: float) -> Array:
        return rng.uniform(low, high, (b, 1))

    if name == "peak":
        y = some(5, 20) * np.exp(-0.5 * ((X - some(2, 8)) / some(0.7, 2)) ** 2) + some(0, 3)
    elif name == "lorentz":
        y = some(5, 20) / (1 + ((X - some(2, 8)) / some(0.7, 2)) ** 2) + some(0, 3)
    elif name == "decay":
        y = some(5, 20) * np.exp(-some(0.2, 1.5) * X) + some(0, 3)
    elif name == "saturation":
        y = some(5, 20) * X / (some(0.5, 5) + X)
    elif name == "sigmoid":
        y = some(0, 3) + some(5, 20) / (1 + np.exp(-some(0.6, 2.5) * (X - some(3, 7))))
    elif name == "power":
        y = some(1, 3) * (X + 0.5) ** some(0.3, 2)
    else:
        y = np.exp(some(0.1, 1) - some(0.1, 0.5) * X)
    return y + rng.normal(0.0, case.noise, (b, ROWS))


def one_by_one(formula: str, y: Array, **options: object) -> list[km.Fit | None]:
    """``katamuki.fit`` of each curve; None where it raised."""
    found: list[km.Fit | None] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        for row in y:
            try:
                found.append(km.fit(formula, {"x": X, "y": row}, **options))
            except km.KatamukiError:
                found.append(None)
    return found


def agree(fitted: Fitted, task: ManyTask, fits: list[km.Fit | None]) -> None:
    """Numbers to ten digits, and the same verdict, state and code."""
    for k, fit in enumerate(fits):
        assert fit is not None, k
        for j, name in enumerate(task.kernel.parameters):
            assert fitted.values[k, j] == pytest.approx(fit.params[name], rel=DIGITS), (k, name)
            bar = fit.stderr[name]
            if bar is None:
                assert np.isnan(fitted.stderr[k, j])
            else:
                assert fitted.stderr[k, j] == pytest.approx(bar, rel=DIGITS), (k, name)
        assert fitted.loss[k] == pytest.approx(fit.loss, rel=DIGITS)
        grave = [one.code for one in fit.findings if one.severity != "note"]
        said = VERDICTS[fitted.verdict[k]], STATES[fitted.state[k]], fitted.codes[fitted.code[k]], fitted.dof[k]
        assert said == (fit.verdict, fit.state, grave[0] if grave else "", fit.dof), k


@pytest.mark.parametrize("name", CASES)
def test_each_curve_is_what_fit_makes_of_it(name: str) -> None:
    y = made(name, 60)
    task, fits = task_of(CASES[name].formula), one_by_one(CASES[name].formula, y)
    agree(fit_curves(task, shared(y), 1), task, fits)
    agree(fit_curves(task, apart(shared(y)), 1), task, fits)


def descended(task: ManyTask, curves: Curves, threads: int = 1) -> Descents:
    """The compiled descents alone: a status below 0 asks for the whole road."""
    found = Descents(task, curves)
    found.run(threads)
    return found


def test_most_curves_need_no_careful_road() -> None:
    for name in ("peak", "lorentz", "saturation", "power"):
        found = descended(task_of(CASES[name].formula), shared(made(name, 200)))
        assert (found.status >= 0).mean() > 0.9, name


def test_doubtful_curves_are_fitted_by_the_careful_road() -> None:
    # Noise alone, and peaks as narrow as the rows are apart: each second curve has several minima.
    rng = np.random.default_rng(11)
    formula, some = CASES["peak"].formula, rng.uniform
    y = 10 ** some(-0.5, 1.3, (60, 1)) * np.exp(
        -0.5 * ((X - some(0, 10, (60, 1))) / 10 ** some(-0.5, 0.7, (60, 1))) ** 2
    )
    y += rng.normal(0.0, 0.5, y.shape)
    task = task_of(formula)
    fitted = fit_curves(task, shared(y), 1)
    for k, fit in enumerate(one_by_one(formula, y)):
        if fit is None:
            assert VERDICTS[fitted.verdict[k]] == "failed"
            assert np.isnan(fitted.values[k]).all()
        else:
            assert fitted.loss[k] <= fit.loss * (1 + 1e-9), k
            assert VERDICTS[fitted.verdict[k]] == fit.verdict, k


def test_what_residuals_say_is_said_as_by_fit() -> None:
    y = made("decay", 150)
    rng = np.random.default_rng(12)
    y[::7, 5] += 3.0
    y[::11] += 0.4 * np.sin(X)
    y[::13] += rng.normal(0.0, 0.2, y[::13].shape) * y[::13]
    task = task_of(CASES["decay"].formula)
    fitted = fit_curves(task, shared(y), 1)
    agree(fitted, task, one_by_one(CASES["decay"].formula, y))
    assert {"", "RUNS", "SPREAD", "OUTLIERS", "INFLUENTIAL"} <= {fitted.codes[k] for k in fitted.code}


def test_rows_in_any_order_have_the_same_runs() -> None:
    y = made("saturation", 80) + 0.5 * np.sin(X)
    order = np.random.default_rng(3).permutation(ROWS)
    task = task_of(CASES["saturation"].formula)
    sorted_, mixed = fit_curves(task, shared(y), 1), fit_curves(task, shared(y[:, order], X[order]), 1)
    assert np.array_equal(sorted_.code, mixed.code)
    assert sorted_.codes.index("RUNS") in sorted_.code


def test_weights_and_known_sigmas() -> None:
    y, sigma = made("peak", 40), np.linspace(0.2, 0.5, ROWS)
    task = task_of(CASES["peak"].formula, sigma_is="known")
    fits = one_by_one(CASES["peak"].formula, y, sigma=sigma, sigma_is="known")
    agree(fit_curves(task, shared(y, weights=1 / sigma**2), 1), task, fits)
    agree(fit_curves(task, apart(shared(y, weights=1 / sigma**2)), 1), task, fits)
    relative = task_of(CASES["peak"].formula, sigma_is="relative")
    fits = one_by_one(CASES["peak"].formula, y, sigma=sigma, sigma_is="relative")
    agree(fit_curves(relative, shared(y, weights=1 / sigma**2), 1), relative, fits)
    too_small = task_of(CASES["peak"].formula, sigma_is="known")
    fitted = fit_curves(too_small, shared(y, weights=np.full(ROWS, 1e4)), 1)
    assert {fitted.codes[k] for k in fitted.code} == {"CHI2"}


def test_fixed_parameters_starts_and_bounds() -> None:
    y = made("decay", 40)
    formula = CASES["decay"].formula
    for options in (
        {"fixed": {"c": 1.5}},
        {"start": {"b": 0.5}},
        {"start": {"a": 10.0, "b": 0.5, "c": 1.0}},
        {"bounds": {"b": (0.0, 5.0), "c": (-1.0, None)}},
        {"bounds": {"c": (1.0, 2.0)}},
    ):
        task = task_of(formula, **options)
        fitted = fit_curves(task, shared(y), 1)
        agree(fitted, task, one_by_one(formula, y, **options))
    assert "AT_BOUND" in {fitted.codes[k] for k in fitted.code}


@given(st.integers(1, 40), st.integers(1, 3), st.booleans())
def test_bits_depend_on_no_neighbour(size: int, threads: int, weighted: bool) -> None:
    rng = np.random.default_rng(20)
    n = rng.integers(2, 50, 60)
    k, offsets = np.repeat(np.arange(60), n), np.concatenate([[0], np.cumsum(n)]).astype(np.int64)
    x = rng.uniform(0.0, 10.0, len(k))
    peak, middle, width = rng.uniform(5, 20, 60), rng.uniform(2, 8, 60), rng.uniform(0.7, 2, 60)
    y = peak[k] * np.exp(-0.5 * ((x - middle[k]) / width[k]) ** 2) + rng.normal(0.0, 0.3, len(k))
    curves = Curves(offsets, (x,), y, rng.uniform(0.5, 2.0, len(k)) if weighted else None)
    task = task_of(CASES["peak"].formula)
    whole = descended(task, curves, threads)
    pieces = [descended(task, part(curves, first, min(first + size, 60))) for first in range(0, 60, size)]
    status = np.concatenate([one.status for one in pieces])
    assert np.array_equal(whole.status, status)
    clean = status >= 0
    assert clean.sum() > 20
    for what in ("values", "stderr", "loss", "told"):
        parts = np.concatenate([getattr(one, what) for one in pieces])
        assert np.array_equal(getattr(whole, what)[clean], parts[clean], equal_nan=True), what


def test_long_curves_and_short_ones_side_by_side() -> None:
    rng = np.random.default_rng(4)
    n = np.array([5, 300, 40, 5000, 33, 4, 1, 64])
    k, offsets = np.repeat(np.arange(8), n), np.concatenate([[0], np.cumsum(n)]).astype(np.int64)
    x = np.concatenate([np.linspace(0.0, 10.0, one) for one in n])
    y = 9.0 * np.exp(-0.4 * x) + 1.0 + rng.normal(0.0, 0.1, len(x))
    task = task_of(CASES["decay"].formula)
    fitted = fit_curves(task, Curves(offsets, (x,), y), 1)
    for j in range(8):
        rows = k == j
        if rows.sum() < 3:
            assert fitted.codes[fitted.code[j]] == "TOOFEW"
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", km.FitWarning)
            fit = km.fit(CASES["decay"].formula, {"x": x[rows], "y": y[rows]})
        assert fitted.values[j] == pytest.approx(list(fit.params.values()), rel=DIGITS)
        assert VERDICTS[fitted.verdict[j]] == fit.verdict


@pytest.mark.parametrize(
    "formula",
    ["y ~ a*exp(-b*x) + c*exp(-d*x)", "y ~ A*sin(w*x + p) + c", "y ~ a + b*max(x - c, 0)"],
    ids=["equal terms", "a frequency", "a kink"],
)
def test_what_one_cloud_does_not_find_is_searched_for_curve_by_curve(formula: str) -> None:
    rng = np.random.default_rng(6)
    two = 9 * np.exp(-1.2 * X) + 6 * np.exp(-0.15 * X)
    wave = 3 * np.sin(rng.uniform(0.5, 3.0, (12, 1)) * X + 1.0) + 2.0
    bent = 1.0 + np.maximum(X - rng.uniform(3.0, 7.0, (12, 1)), 0.0)
    y = wave if "sin" in formula else bent if "max" in formula else two
    y = y + rng.normal(0.0, 0.02, (12, ROWS))
    task = task_of(formula)
    assert not Descents(task, shared(y)).supply.able
    agree(fit_curves(task, shared(y), 1), task, one_by_one(formula, y))


def test_a_start_in_the_wrong_basin_is_left_for_a_better_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # The first of the two starts leads to a side of the curve where a peak of the noise stands.
    y = made("peak", 16)
    work = Descents(task_of(CASES["peak"].formula), shared(y))
    starts = work.supply.starts(shared(y))
    bad = starts.points.copy()
    bad[:, 0], bad[:, 1] = [0.1, 30.0, 0.5, 0.0], starts.points[:, 0]
    work.starts = replace(starts, points=bad, levels=np.tile([0.0, 0.0, np.inf], (16, 1)))
    work.run(1)
    assert work.told[:, TRY].tolist() == [1.0] * 16
    fits = one_by_one(CASES["peak"].formula, y)
    assert work.loss.tolist() == pytest.approx([fit.loss for fit in fits if fit], rel=1e-9)


def test_how_a_descent_ended_is_told() -> None:
    y = made("peak", 9)
    y[3], y[4] = np.nan, 1.0
    found = descended(task_of(CASES["peak"].formula), shared(y))
    assert (found.told[[0, 1, 2, 5, 6, 7, 8], HOW] == CLEAN).all()
    assert found.told[3, HOW] != CLEAN
    assert (found.status[[3, 4]] == WHOLE).all()  # no value; nothing but a constant to be found


def test_the_compiled_loops_are_what_they_say_in_plain_python() -> None:
    # The twin: the same source on NumPy arrays, a kernel in NumPy in the place of the compiled one.
    from katamuki.backends import vectors

    a, b = np.arange(8.0) + 0.5, np.arange(8.0)[::-1].copy()
    memory = np.concatenate([a, b, np.zeros(8)])
    vectors.store(memory, 2, vectors.choose(vectors.load(memory, 0) < vectors.load(memory, 1), a, -b))
    assert memory[16:].tolist() == [0.5, 1.5, 2.5, 3.5, -3.0, -2.0, -1.0, -0.0]
    assert vectors.fused(a, b, vectors.splat(1.0)).tolist() == (a * b + 1.0).tolist()
    assert engine.SLICE % vectors.LANES == 0
    assert curved_passes.BENT > 0.1  # of findings.bending: what bends less is not remarked on

"""Runs on mini-batches in races, pictures, programs, files and at the command line."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import fastjsonschema
import numpy as np
import pytest

import katamuki as km
from command_line import SCHEMA, run
from katamuki.api import race_lanes
from katamuki.export import trial
from katamuki.solvers import first_order_run
from katamuki.solvers.first_order import FIRST_ORDER
from katamuki.solvers.first_order_noise import of_all_rows
from programs import fitted, printed, wanted
from test_explain_batches import W, X, Y

DATA = {"x": X, "y": Y}
START = {"a": 1.0, "b": 0.5}
FORMULA = "y ~ a*exp(-b*x)"
SOLVER = km.Adam(lr=0.02, steps=500, batch_size=8)


def loss(a: float, b: float) -> float:
    return float(np.mean((a * np.exp(-b * X) - Y) ** 2))


# Programs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FIRST_ORDER[::2], ids=lambda one: one.__name__)
@pytest.mark.parametrize("target", ["torch", "numpy", "katamuki"])
def test_programs_take_the_same_batches(kind: Any, target: str) -> None:
    fit = fitted(FORMULA, DATA, start=START, solver=kind(lr=0.01, steps=90, batch_size=13), seed=7, weights=W)
    assert printed(fit.to_code(target)) == wanted(fit)
    wrong = fit.to_code(target).replace("manual_seed(7)", "manual_seed(8)").replace("RandomState(7)", "RandomState(8)")
    assert printed(wrong.replace("seed=7", "seed=8")) != wanted(fit)


@pytest.mark.parametrize("target", ["torch", "numpy", "katamuki"])
@pytest.mark.parametrize("formula", ["log(y) ~ a - b*x", "y ~ a*exp(-b*data) + order"])
def test_programs_of_other_responses_and_names(formula: str, target: str) -> None:
    data = {"data": X, "x": X, "y": np.abs(Y) + 0.1}
    start = {"a": 1.0, "b": 0.5} | ({"order": 0.1} if "order" in formula else {})
    fit = fitted(formula, data, start=start, solver=km.SGD(lr=0.01, steps=40, batch_size=25), seed=-3)
    assert printed(fit.to_code(target)) == wanted(fit)


def test_a_program_without_zero_grad_takes_them_too() -> None:
    fit = fitted(FORMULA, DATA, start=START, solver=km.SGD(lr=1e-4, steps=40, batch_size=8))
    with pytest.warns(km.FitWarning):
        left = fit.without_zero_grad()
    assert [printed(left.to_code(one)) for one in ("torch", "numpy")] == [wanted(left)] * 2


def test_what_is_tried_is_the_batched_program(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = fitted(FORMULA, DATA, start=START, solver=SOLVER, seed=7, weights=W)
    program = printed(fit.to_code("numpy"))
    monkeypatch.setattr(trial, "SAME", -1.0)  # nothing is the same: the first parameter is handed out
    with pytest.raises(km.BackendError) as caught:
        fit.to_code("numpy")
    assert program.splitlines()[0] == f"a {float(str(caught.value.values['there'])):.6g}"


# Files -----------------------------------------------------------------------------------------------------------


def test_a_saved_fit_keeps_batch_size_and_seed(tmp_path: Path) -> None:
    fit = fitted(FORMULA, DATA, start=START, solver=SOLVER, seed=7)
    fit.save(tmp_path / "fit.json")
    again = km.load(tmp_path / "fit.json")
    assert again.solution.options["batch_size"] == 8
    assert again.seed == 7
    assert again.trace.loss.tobytes() == fit.trace.loss.tobytes()
    assert again.to_code("numpy") == fit.to_code("numpy")


def test_a_thinned_runs_step_is_told_as_the_whole_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    solver = km.Adam(lr=0.02, steps=3000, batch_size=8)
    whole = fitted(FORMULA, DATA, start=START, solver=solver, seed=7)
    monkeypatch.setattr(first_order_run, "WHOLE", 30_000)
    monkeypatch.setattr(first_order_run, "FURTHER", 1.1)
    thin = fitted(FORMULA, DATA, start=START, solver=solver, seed=7)
    assert len(thin.trace) < 600
    for k in (1, 1777, 2999, 3000):
        assert thin.step(k).to_dict() == whole.step(k).to_dict()


# Races -----------------------------------------------------------------------------------------------------------


def test_a_lane_on_batches_is_the_fits_run(monkeypatch: pytest.MonkeyPatch) -> None:
    lanes = [km.Adam(lr=0.02, batch_size=8), km.Adam(lr=0.02), km.Adam(lr=0.02, batch_size=60)]
    raced = km.race(FORMULA, DATA, lanes, start=START, steps=500, seed=7)
    fit = fitted(FORMULA, DATA, start=START, solver=SOLVER, seed=7)
    one, full, every = raced.lanes
    assert one.params == fit.params
    assert one.loss == fit.loss
    assert one.evaluations == math.ceil(500 / 8) + 2  # passes: epochs, start and end
    assert full.params == fitted(FORMULA, DATA, start=START, solver=km.Adam(lr=0.02, steps=500)).params
    assert max(abs(full.params[name] - every.params[name]) for name in "ab") < 1e-9
    assert one.label == "Adam 0.02 batch_size 8"
    assert raced.to_dict()["provenance"]["seed"] == 7
    assert raced.to_dict()["lanes"][0]["solver"]["options"]["batch_size"] == 8
    best = np.array([raced.answer.params[name] for name in "ab"])
    errors = np.abs(fit.trace.params - best).max(axis=1)
    assert one.error == errors[-1]
    monkeypatch.setattr(first_order_run, "WHOLE", 10_000)
    monkeypatch.setattr(first_order_run, "FURTHER", 1.1)
    monkeypatch.setattr(race_lanes, "CHUNK", 77)  # a thinned lane's steps are done again, batch by batch
    again = km.race(FORMULA, DATA, lanes[:1], start=START, steps=500, seed=7).lanes[0]
    assert [one.reached, one.error] == [again.reached, again.error]
    other = km.race(FORMULA, DATA, lanes[:1], start=START, steps=500, seed=8).lanes[0]
    assert other.params != one.params


# Pictures --------------------------------------------------------------------------------------------------------


def test_pictures_show_losses_of_all_rows() -> None:
    fit = fitted(FORMULA, DATA, start=START, solver=SOLVER, seed=7)
    ran = fit._ran()
    for row in (0, 1, 250, 500):
        assert abs(ran.trace.loss[row] - loss(*fit.trace.params[row])) <= 1e-14
        assert ran.trace.params[row].tolist() == fit.trace.params[row].tolist()
    assert fit.trace.loss[250] != ran.trace.loss[250]
    top = fit.plot(what="steps").axes[0]
    assert "each step took a batch; losses and gradients are those of all 60 rows" in top.get_title(loc="left")
    assert "of all 60 rows" not in fitted(FORMULA, DATA, start=START, solver=km.Adam(steps=9)).plot(what="steps").axes[
        0
    ].get_title(loc="left")
    page = fit.replay_html()
    assert "each step took a batch" in page
    assert "各ステップはバッチを使う" in fit.replay_html("ja")
    with pytest.raises(km.BoundsError, match="curvature of all rows"):
        fit.plot(what="stability")


def test_of_a_long_run_some_rows_are_looked_at() -> None:
    fit = fitted(FORMULA, DATA, start=START, solver=SOLVER, seed=7)
    problem = fit._problem()
    some = of_all_rows(fit.trace, problem, 6000)
    assert 60 < len(some) <= 102
    assert some.index[[0, -2, -1]].tolist() == [0, 499, 500]
    for row in (0, 50, -1):
        assert abs(some.loss[row] - loss(*some.params[row])) <= 1e-14
        assert np.abs(some.gradient[row] - problem.gradient(some.params[row])).max() <= 1e-14


# The command line ------------------------------------------------------------------------------------------------

TABLE = "x,y\n" + "".join(f"{x},{y}\n" for x, y in zip(X, Y, strict=True))
BATCHED = ["--solver", "adam:lr=0.02,batch_size=8", "--steps", "500", "--start", "a=1,b=0.5", "--seed", "7"]


def test_the_command_takes_batches_and_a_seed() -> None:
    done = run("fit", FORMULA, "-", *BATCHED, "--json", text=TABLE)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    fastjsonschema.compile(SCHEMA)(told)
    assert told["state"]["facts"]["noise"]["steps"] == 56
    fit = fitted(FORMULA, DATA, start=START, solver=SOLVER, seed=7)
    assert {name: one["value"] for name, one in told["params"].items()} == fit.params
    assert told["solver"]["options"]["batch_size"] == 8
    assert told["provenance"]["seed"] == 7
    story = run("explain", FORMULA, "-", *BATCHED, "--step", "130", text=TABLE)
    assert fit.step(130).explain()[:400] in story.stdout


@pytest.mark.parametrize(
    ("solver", "said"),
    [
        ("adam:batch_size=0", "batch_size must be a whole number, 1 or more, or None for all rows, not 0"),
        ("adam:batch_size=2.5", "batch_size"),
        ("adam:batch_size=2.5", "is no whole number\n  try: digits without decimals, such as 64"),
        ("adam:batch_size=many", '"many" is no whole number\n  try: digits without decimals, such as 64'),
        ("adam:lr=fast", "is no number\n  try: digits, with a point"),
        ("lbfgs:batch_size=8", "each must see all rows"),
        ("lm:batch_size=8", "each must see all rows"),
        ("auto:batch_size=8", "both see all rows\n  try: mini-batches are for first-order solvers: --solver adam:b"),
        ("linear:batch_size=8", "sums over all rows\n  try: mini-batches are for first-order solvers: --solver adam:b"),
        ("auto:max_iter=8", 'auto has no option "max_iter", nor any other\n  try: a solver that has it: lbfgs'),
        ("linear:shape=8", 'linear has no option "shape", nor any other\n  try: --solver linear'),
    ],
)
def test_the_command_refuses_what_is_no_batch_size(solver: str, said: str) -> None:
    done = run("fit", FORMULA, "-", "--solver", solver, text=TABLE)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_none_is_all_rows() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        one = km.fit(FORMULA, DATA, start=START, solver=km.Adam(steps=50, batch_size=None))
        two = km.fit(FORMULA, DATA, start=START, solver=km.Adam(steps=50))
    assert one.trace.params.tobytes() == two.trace.params.tobytes()

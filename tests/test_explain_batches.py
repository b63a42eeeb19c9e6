"""Stories of steps that took mini-batches: every number follows from the batch that is named."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import fastjsonschema
import numpy as np
import pytest
import torch

import katamuki as km
from katamuki.explain.run import facts as run_facts
from katamuki.explain.run import sentences
from katamuki.report.numbers import width
from story_reader import claims
from test_first_order_batches import loader

RNG = np.random.default_rng(3)
X = RNG.uniform(0.0, 4.0, 60).round(3)
Y = (2.0 * np.exp(-0.7 * X) + 0.1 * RNG.standard_normal(60)).round(3)
W = RNG.uniform(0.5, 2.0, 60).round(2)
SCHEMA = Path(run_facts.__file__).parent.parent / "step" / "step.json"
VALID = fastjsonschema.compile(json.loads(SCHEMA.read_text(encoding="utf-8")))


def fitted(solver: Any, weighted: bool = False, seed: int = 4) -> km.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        data, weights = {"x": X, "y": Y}, W if weighted else None
        start = {"a": 1.0, "b": 0.5}
        return km.fit("y ~ a*exp(-b*x)", data, solver=solver, start=start, weights=weights, seed=seed)


SOLVERS = [km.Adam(lr=0.01, steps=300, batch_size=8), km.SGD(lr=0.05, momentum=0.5, steps=300, batch_size=13)]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_steps_story_is_that_of_its_batch(solver: Any, weighted: bool) -> None:
    fit = fitted(solver, weighted)
    for k, rows in zip(range(1, 301), loader(60, solver.batch_size, 4), strict=False):
        if k not in (1, 2, 37, 150, 299, 300):
            continue
        step = fit.step(k)
        assert step.batch.rows == tuple((rows + 1).tolist())
        a, b = (torch.tensor(step.before[name], dtype=torch.float64, requires_grad=True) for name in "ab")
        x, y, w = (torch.tensor(one)[rows] for one in (X, Y, W if weighted else np.ones(60)))
        loss = (w * (a * torch.exp(-b * x) - y) ** 2).mean()
        loss.backward()
        assert abs(step.loss - loss.item()) <= 1e-14
        assert abs(step.gradient["a"] - a.grad.item()) <= 1e-13
        assert abs(step.tape.gradient("b") - b.grad.item()) <= 1e-13
        assert step.differences.apart < 1e-8
        new = step.after["a"] * torch.exp(-step.after["b"] * x) - y
        assert abs(step.loss_after - float((w * new**2).mean())) <= 1e-14
        helped = step.helped
        assert abs(helped.change - (helped.promise + helped.bend + helped.rest)) <= 1e-15
        assert abs(helped.rest) <= 0.1 * abs(helped.change) + 1e-6
        for values, said in ((step.before, step.batch.loss), (step.after, step.batch.loss_after)):
            e = values["a"] * np.exp(-values["b"] * X) - Y
            assert abs(said - np.mean((W if weighted else 1.0) * e * e)) <= 1e-14


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("weighted", [False, True])
def test_what_the_story_shows_follows_from_what_stands_above_it(solver: Any, weighted: bool) -> None:
    fit = fitted(solver, weighted)
    for k in (1, 5, 130, 300):
        step = fit.step(k)
        for one in claims(step.explain(row=min(3, step.n))):
            assert one.holds, (one, step.explain())


def test_the_batch_is_named_in_every_language_and_in_json() -> None:
    fit = fitted(SOLVERS[0])
    step = fit.step(130)
    assert (step.batch.epoch, step.batch.number, step.batch.per_epoch, step.batch.seed) == (17, 2, 8, 4)
    assert "Batch 2 of 8 in epoch 17, seed 4: 8 of 60 rows." in step.explain()
    assert "エポック 17 のバッチ 2／8、シード 4: 全 60 行のうち 8 行。" in step.explain(lang="ja")
    assert f"all 60 rows: L {step.batch.loss:.7f}" in step.explain()
    told = step.to_dict()
    VALID(told)
    assert told["batch"]["rows"] == list(step.batch.rows)
    assert told["n"] == 8
    whole = fitted(km.Adam(lr=0.01, steps=20)).step(3).to_dict()
    assert whole["batch"] is None
    with pytest.raises(fastjsonschema.JsonSchemaException):
        VALID(told | {"batch": {"rows": [0]}})
    every = fitted(km.Adam(lr=0.01, steps=20, batch_size=60)).step(3)
    assert "Epoch 3, seed 4: all 60 rows in one batch, shuffled." in every.explain()
    assert "all 60 rows: L" not in every.explain()


def test_rows_are_named_beside_their_place_in_the_batch() -> None:
    step = fitted(SOLVERS[0]).step(3)
    lines = [line.split() for line in step.explain().splitlines()]
    head = next(k for k, line in enumerate(lines) if line[:3] == ["i", "row", "x"])
    assert [int(line[1]) for line in lines[head + 1 : head + 9]] == list(step.batch.rows)
    shown = [float(line[2]) for line in lines[head + 1 : head + 9]]
    assert np.allclose(shown, X[np.array(step.batch.rows) - 1], rtol=1e-5)
    for i, row in enumerate(step.batch.rows, start=1):
        assert i != row, "the two would not be told apart"
        assert f"from L to the left   (i = {i}) " in step.explain(row=i)
        assert f"(i = {i}) " in step.explain(row=i, lang="ja")
        assert f"step 3 · i = {i}, row {row}<" in step.draw(i).text
        assert f"ステップ 3 · i = {i}、{row} 行目<" in step.draw(i, lang="ja").text
    assert "(row 2)" in fitted(km.Adam(steps=5)).step(3).explain(row=2)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_a_heading_of_many_options_goes_on_set_in(lang: str) -> None:
    step = fitted(km.Adam(lr=0.012345678, betas=(0.912345, 0.99912345), steps=2, batch_size=8)).step(2)
    lines = step.explain(lang=lang).splitlines()
    more = lines.index(next(line for line in lines if "float64" in line))
    assert more >= 1
    assert all(line.startswith("   ") and line[3] != " " for line in lines[1 : more + 1])
    assert max(map(width, lines)) <= 80
    assert "batch_size=8" in " ".join(lines[: more + 1])


def test_a_loaded_fit_tells_the_same_step(tmp_path: Path) -> None:
    fit = fitted(SOLVERS[0])
    fit.save(tmp_path / "fit.json")
    again = km.load(tmp_path / "fit.json")
    assert again.step(130).to_dict() == fit.step(130).to_dict()
    assert again.explain().to_dict() == fit.explain().to_dict()


def test_a_step_that_helped_its_batch_alone_is_remarked_on() -> None:
    fit = fitted(km.SGD(lr=0.2, steps=400, batch_size=4))
    for k in range(200, 400):
        step = fit.step(k)
        alone = step.helped.change < 0.0 < step.batch.loss_after - step.batch.loss
        assert alone == any(one.key == "batch_only" for one in step.remarks)
        assert not {"away", "stability", "repeats"} & {one.key.split(".")[0] for one in step.remarks}
        if alone:
            assert "The loss of all rows rose, that of this batch fell" in step.explain()
            return
    raise AssertionError("no such step")


def test_the_runs_story_compares_losses_of_all_rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = fitted(km.SGD(lr=0.1, momentum=0.9, steps=900, batch_size=6))
    story = fit.explain()
    codes = [one.code for one in story.events]
    assert codes[:2] == ["start", "batches"]
    assert not {"swings", "burst", "plateau", "zigzag", "cycle", "stability_limit", "overshoots"} & set(codes)
    e = np.exp(-0.5 * X) - Y
    assert abs(story.events[0].values["loss"] - np.mean(e * e)) <= 1e-14
    assert dict(story.events[1].values) == {"size": 6, "rows": 60, "per_epoch": 10, "epochs": 90.0, "seed": 4}
    assert "a step takes 6 of 60 rows, 10 batches an epoch, 90 epochs" in " ".join(story.text().split())
    noise = next(one for one in story.events if one.code == "noise")
    assert noise.values == fit.solution.reason["noise"]
    assert story.advice.key == "explain.run.next.batches"
    assert story.result["rest"] is None
    for lang in ("en", "ja"):
        assert max(map(len, story.text(lang).splitlines())) <= 80
    monkeypatch.setattr(run_facts, "MOST", 100)
    short = fit.explain()
    assert short.events[0].values["loss"] == story.events[0].values["loss"]
    assert {one.code for one in short.events} <= set(codes)


def test_epochs_are_counted_whole_and_the_last_batch_of_each_is_told() -> None:
    fit = fitted(km.SGD(lr=0.01, steps=20_000, batch_size=23))
    told = " ".join(fit.explain().text().split())
    assert "a step takes 23 of 60 rows, the last of an epoch's 3 batches 14; 6667 epochs;" in told
    assert {len(fit.step(k).batch.rows) for k in (1, 2, 3)} == {23, 14}
    assert "最後だけは14行です。全部で6667エポック" in "".join(fit.explain().text("ja").split())
    short = " ".join(fitted(km.SGD(lr=0.01, steps=20, batch_size=23)).explain().text().split())
    assert "6.67 epochs" in short
    event = next(one for one in fit.explain().events if one.code == "batches")
    assert "66 667 epochs" in sentences.WORDS["batches"]({**event.values, "epochs": 200_000 / 3}, "en")


def test_without_zero_grad_takes_the_same_batches() -> None:
    fit = fitted(km.SGD(lr=1e-4, steps=50, batch_size=6))
    with pytest.warns(km.FitWarning):
        left = fit.without_zero_grad()
    ball = fitted(km.SGD(lr=1e-4, momentum=1.0, steps=50, batch_size=6))
    assert left.params == ball.params
    step = left.step(7)
    assert step.left["a"] == pytest.approx(left.trace.gradient[:6, 0].sum(), rel=1e-12)
    assert step.batch.rows == fit.step(7).batch.rows


def test_the_graph_its_picture_and_pytorchs_own_are_those_of_the_batch() -> None:
    step = fitted(SOLVERS[0], weighted=True).step(37)
    beside = step.autograd()
    assert beside.rows == 8
    assert "<svg" in step.draw().text
    assert step.draw(8).text != step.draw(1).text
    assert "Batch 5 of 8 in epoch 5" in step._repr_html_()
    with pytest.raises(km.BoundsError, match="rows are counted within the batch of this step, 1 to 8"):
        step.explain(row=9)
    with pytest.raises(km.BoundsError, match="within the batch"):
        step.draw(9)


def test_rows_that_were_left_out_keep_their_numbers() -> None:
    y = Y.copy()
    y[[0, 5, 59]] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        solver, start = km.Adam(lr=0.01, steps=30, batch_size=8), {"a": 1.0, "b": 0.5}
        fit = km.fit("y ~ a*exp(-b*x)", {"x": X, "y": y}, solver=solver, start=start, missing="drop", seed=4)
    dealt = loader(57, 8, 4)
    for k in range(1, 9):
        rows = next(dealt).numpy()
        step = fit.step(k)
        assert step.batch.rows == tuple((fit.index[rows] + 1).tolist())
        assert step.batch.all_rows == 57
        e = step.before["a"] * np.exp(-step.before["b"] * X[fit.index[rows]]) - y[fit.index[rows]]
        assert abs(step.loss - np.mean(e * e)) <= 1e-14

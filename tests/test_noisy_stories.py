"""What is told of long, thinned and diverged runs on mini-batches: nothing that the noise of batches undoes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import katamuki as km
from katamuki.plot.ran import marks_of
from katamuki.records import Trace
from katamuki.report.judgement import check_text
from katamuki.solvers import first_order_run
from katamuki.solvers.first_order_diagnosis import diagnose
from katamuki.solvers.first_order_noise import of_batches

X = np.array([10.0, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5])
Y = np.array([8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68])
BEST = np.polyfit(X, Y, 1)
EPOCH = 3  # batches of 4 rows of 11


def line(solver: Any, seed: int = 11) -> km.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        return km.fit("y ~ a*x + b", {"x": X, "y": Y}, start={"a": 0.5, "b": 0.5}, solver=solver, seed=seed)


def lost(solver: Any) -> km.NotConverged:
    with pytest.raises(km.NotConverged) as caught:
        line(solver)
    return caught.value


def told(fit: km.Fit) -> dict[str, Any]:
    return {one.code: (one.step, one.values) for one in fit.explain().events}


# Stations ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lr", "steps"), [(0.005, 20_000), (0.002, 20_000), (0.001, 40_000), (0.001, 5000)])
def test_what_noise_may_undo_is_no_station_of_a_run(lr: float, steps: int) -> None:
    for seed in range(4):
        fit = line(km.SGD(lr=lr, steps=steps, batch_size=4), seed)
        lasting = max(steps // 10, 3 * EPOCH)
        events = told(fit)
        away = np.abs(fit.trace.params - BEST).max(axis=1)
        for one in events.get("arrival", (0, {"levels": []}))[1]["levels"]:
            assert one["step"] <= steps - lasting
            assert (away[one["step"] :] < one["level"]).all()
            assert away[one["step"] - 1] >= one["level"]
        text = fit.explain().text()
        assert "for good" not in text
        for step, values in [events[code] for code in ("turn",) if code in events]:
            column = fit.trace.params[:, list("ab").index(values["name"])]
            ends = column[0], column[-1]
            beyond = column > max(ends) if values["peak"] else column < min(ends)
            around = np.flatnonzero(~beyond)
            assert np.diff(around[np.searchsorted(around, step - 1) - 1 :])[0] > lasting
        assert "plot.mark.arrival" not in {one.key for one in marks_of(fit.explain().events)}


def test_a_long_noisy_run_has_none_and_one_that_settles_has_its_arrival() -> None:
    assert not {"arrival", "valley", "floor", "turn"} & set(told(line(km.SGD(lr=0.005, steps=20_000, batch_size=4))))
    calm = line(km.SGD(lr=0.001, steps=40_000, batch_size=4))
    assert [one["level"] for one in told(calm)["arrival"][1]["levels"]] == [0.1]
    assert "distance under 0.1 from there to the end; noise may lead out again" in " ".join(
        calm.explain().text().split()
    )
    assert "答えから 0.1 以内です" in calm.explain().text("ja").replace("\n", "").replace(" " * 15, "")


def test_a_way_along_the_valley_that_lasts_is_told_of_batches_too() -> None:
    events = told(line(km.SGD(lr=0.0001, steps=20_000, batch_size=4)))
    assert {"valley", "floor"} <= set(events)
    assert events["valley"][0] < 2000
    assert events["floor"][1]["rises"] == {"a": False, "b": True}


def test_a_run_on_all_rows_keeps_its_words() -> None:
    for size in (None, 11):
        assert "for good" in line(km.SGD(lr=0.01, steps=40_000, batch_size=size)).explain().text()


@pytest.mark.parametrize("size", [4, None])
def test_a_thinned_run_says_between_which_kept_steps(size: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    solver = km.SGD(lr=0.001, steps=60_000, batch_size=size)
    whole = told(line(solver))["arrival"][1]["levels"][0]
    monkeypatch.setattr(first_order_run, "WHOLE", 30_000)
    monkeypatch.setattr(first_order_run, "FURTHER", 1.1)
    fit = line(solver)
    levels = told(fit)["arrival"][1]["levels"]
    assert len(fit.trace) < 10_000
    one = levels[0]
    kept = fit.trace.index.tolist()
    assert kept.index(one["step"]) - kept.index(one["before"]) == 1
    assert one["before"] < whole["step"] <= one["step"] or size == 4  # noise may cross between two kept steps
    away = np.abs(fit.trace.params - BEST).max(axis=1)
    assert away[kept.index(one["before"])] >= one["level"] > away[kept.index(one["step"]) :].max()
    text = " ".join(fit.explain().text().split())
    assert "at every kept step from there on" in text
    before = f"{one['before']:,}".replace(",", " ")
    assert f"at the kept step before, {before}, not yet" in text
    assert "it came between" not in text
    assert "for good" not in text


# Divergence --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lr", [5.0, 0.05, 1e200])
def test_a_run_that_diverges_on_batches_is_told_the_limit_of_all_rows(lr: float) -> None:
    error = lost(km.SGD(lr=lr, steps=300, batch_size=4))
    bends = np.linalg.eigvalsh(2 / 11 * np.array([[X @ X, X.sum()], [X.sum(), 11.0]]))
    assert f"lr < {2 / bends[-1]:#.5g}, with batches less" in str(error)
    assert "lr=0.001, a tenth of it again if need be" in error.remedy
    assert line(km.SGD(lr=0.001, steps=300, batch_size=4)).state == "slow"
    if np.isfinite(error.fit.loss):
        assert "a smaller lr, such as 0.001, a tenth of it" in error.fit.explain().text()


def test_where_no_limit_is_known_a_tenth_is_the_advice() -> None:
    error = lost(km.Adam(lr=1e200, steps=300, batch_size=4))
    assert "a tenth of lr=1e+200, again if need be" in error.remedy
    rows = np.array([[1.0], [np.inf]])
    trace = Trace(("a",), np.arange(2), rows, rows[:, 0], rows, rows)
    values = of_batches(trace, km.SGD(lr=100.0, batch_size=4), None, 3, False).facts["values"]
    assert values == {"step": 2, "lr": "100"}
    assert diagnose(trace, km.SGD(lr=100.0), None).facts["values"]["lower"] == "10"


@pytest.mark.parametrize("size", [4, None])
def test_the_report_of_a_diverged_run_does_not_advise_more_steps(size: int | None) -> None:
    fit = lost(km.SGD(lr=0.05, steps=300, batch_size=size)).fit
    said = next(one for one in fit.findings if one.code == "NOT_CONVERGED")
    assert "a smaller lr" in said.remedy
    assert "allow more steps" not in " ".join(str(fit).split())
    assert "増やす" not in fit.text("ja")


# The check ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [4, None])
def test_the_check_of_a_run_shows_the_answer_whose_digits_it_counts(size: int | None) -> None:
    fit = line(km.Adam(lr=0.01, steps=300, batch_size=size))
    head, *rows = check_text(fit.check(), fit.solution, full=True)[-3:]
    assert head.split("   ")[-4:] == ["least squares", "other route", "shared digits", "of std.error"]
    for name, row, best in zip("ab", rows, BEST, strict=True):
        _, value, own, theirs, shared, _ = row.split()
        assert abs(float(value) - fit.params[name]) < 1e-5
        assert own == theirs == f"{best:.6f}"
        assert float(shared) > 12
    there = line(km.SGD(lr=0.01, steps=40_000))
    assert there.state == "converged"
    assert "least squares" not in check_text(there.check(), there.solution, full=True)[-3]

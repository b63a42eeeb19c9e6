"""A fit that is interrupted keeps the best so far; what ``progress`` hears, of a search and of a descent.

Interruption by the user's own function and by a real signal, in a run and in a search. The stranger is NumPy.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from typing import Any

import numpy as np
import pytest

import katamuki as km
from test_fit import TWO, decay, raised

LONG = 120.0  # seconds after which a run that missed its signal ends, and its test fails


def test_ctrl_c_in_progress_raises_with_the_best_so_far() -> None:
    seen: list[float] = []

    def halfway(step: int, loss: float) -> None:
        seen.append(loss)
        if loss < 0.5 * seen[0]:
            raise KeyboardInterrupt

    error = raised(TWO, decay(100_000), start={"d": 3.0}, starts=1, progress=halfway)
    assert (error.code, error.fit.state, error.fit.verdict) == ("E-INTERRUPTED", "interrupted", "failed")
    assert error.fit.loss == pytest.approx(min(seen), rel=1e-9)
    assert error.fit.loss < 0.5 * seen[0]
    assert np.isnan(error.fit.trace.step[-1]).all()


@pytest.mark.usefixtures("heard_for_sure")
@pytest.mark.parametrize(
    ("model", "rows", "solver"),
    [
        ("y ~ a*exp(-b*x)", 40, km.SGD(lr=1e-6, steps=10**9)),
        ("y ~ a*exp(-b*x)", 40, km.Adam(lr=1e-9, steps=10**9)),
        (TWO, 2_000_000, "lm"),
    ],
)
def test_a_signal_in_a_long_run_leaves_the_best_so_far(model: str, rows: int, solver: Any) -> None:
    data, begun = decay(rows), threading.Event()

    def heard(step: int, loss: float) -> None:
        if step > 0:
            begun.set()

    def interrupt() -> None:
        begun.wait(60)
        time.sleep(0.02)  # into the next slice
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    sender.start()
    try:
        error = raised(model, data, solver=solver, start={"b": 3.0}, starts=1, progress=heard, max_seconds=LONG)
    finally:
        begun.set()
        sender.join()
    assert (error.code, error.fit.state, error.fit.verdict) == ("E-INTERRUPTED", "interrupted", "failed")
    assert 0 < error.fit.solution.steps < 10**9  # to the end it would be minutes

    residuals = data["y"] - error.fit.predict(data)
    assert np.isfinite(list(error.fit.params.values())).all()
    assert error.fit.rss == pytest.approx(residuals @ residuals, rel=1e-9)


@pytest.mark.usefixtures("heard_for_sure")
@pytest.mark.parametrize("rows", [40, 20_000])
def test_a_signal_in_a_search_leaves_the_best_so_far(rows: int) -> None:
    data, begun = decay(rows), threading.Event()

    def interrupt() -> None:
        begun.wait(60)
        time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    sender.start()
    try:
        error = raised(TWO, data, starts=10**7, progress=lambda starts, loss: begun.set(), max_seconds=LONG)
    finally:
        begun.set()
        sender.join()
    assert (error.code, error.fit.state, error.fit.verdict) == ("E-INTERRUPTED", "interrupted", "failed")
    search = error.fit.solution.search
    assert search.ending == "interrupted"
    assert 8 <= search.starts < 10**7  # to the end it would be hours
    residuals = data["y"] - error.fit.predict(data)
    assert error.fit.rss == pytest.approx(residuals @ residuals, rel=1e-9)
    assert error.fit.rss < 0.9 * km.fit("y ~ a", data).rss  # no start, but what descents led to


def test_an_error_of_the_users_own_function_is_theirs() -> None:
    def broken(step: int, loss: float) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        km.fit(TWO, decay(100_000), start={"d": 3.0}, progress=broken)


def test_progress_hears_how_many_starts_a_search_has_tried_and_the_least_loss() -> None:
    seen: list[tuple[int, float]] = []
    fit = km.fit(TWO, decay(40), starts=40, progress=lambda count, loss: seen.append((count, loss)))
    starts, losses = zip(*seen, strict=True)  # the short descent to the answer is over before it could be heard
    assert list(starts) == sorted(set(starts))
    assert starts[-1] == fit.solution.search.starts == 40
    assert all(after <= before for before, after in itertools.pairwise(losses))
    assert losses[-1] == pytest.approx(fit.loss, rel=1e-6)


def test_progress_hears_steps_and_losses_that_fall() -> None:
    seen: list[tuple[int, float]] = []
    heard = {"progress": lambda step, loss: seen.append((step, loss))}
    fit = km.fit(TWO, decay(100_000), start={"d": 3.0}, starts=1, **heard)
    steps, losses = zip(*seen, strict=True)
    assert list(steps) == sorted(steps)
    for before, after in itertools.pairwise(losses):
        assert after <= before * (1 + 1e-14)  # the polish moves within rounding
    assert losses[-1] == pytest.approx(fit.loss, rel=1e-6)


def test_the_report_of_an_interrupted_search_has_no_error_bars_and_no_advice_about_steps() -> None:
    # this used to print a start that was not the value after 0 steps, and error bars of what is no answer
    x = np.linspace(0, 4, 40)
    data = {"x": x, "y": 3 * np.exp(-1.2 * x) + 0.5 + 0.05 * np.sin(31 * x)}

    def stop(step: int, loss: float) -> None:
        raise KeyboardInterrupt

    error = raised("y ~ a*exp(-b*x) + c", data, progress=stop)
    fit = error.fit
    assert fit.solution.search is not None
    assert dict(fit.solution.start or {}) == dict(fit.params)
    said = " ".join(fit.text().split())
    assert f"{fit.solution.search.starts} starts, then interrupted" in said
    for wrong in ("std.error", "interval", "allow more steps", "no minimum", "correlation"):
        assert wrong not in said
    assert "run it again" in said
    assert "NOT_CONVERGED" in fit.text("ja")
    assert "±" not in fit.text("ja")


def test_only_a_fit_that_ended_at_a_minimum_has_error_bars_in_its_report() -> None:
    x = np.linspace(0, 4, 40)
    data = {"x": x, "y": 3 * np.exp(-1.2 * x) + 0.5 + 0.05 * np.sin(31 * x)}
    start = {"a": 1, "b": 1, "c": 0}
    cut = raised("y ~ a*exp(-b*x) + c", data, start=start, starts=1, solver=km.LevenbergMarquardt(max_steps=2)).fit
    whole = km.fit("y ~ a*exp(-b*x) + c", data, start=start, starts=1)
    for fit, has in ((cut, False), (whole, True)):
        assert ("std.error" in fit.text()) is has
        assert (" to " in fit.text().split("MSE")[0]) is has
        assert (" to " in fit._repr_html_().split("MSE")[0]) is has

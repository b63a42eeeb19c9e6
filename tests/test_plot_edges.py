"""Runs with little to show, no finite start, one step, a start at the answer, and the like: all are drawn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import katamuki as km

X = np.linspace(1.0, 5.0, 12)
LINE = {"x": [1.0, 2.0, 3.0, 4.0], "y": [1.0, 2.0, 3.0, 5.0]}


def fitted(*args: Any, **more: Any) -> km.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        try:
            return km.fit(*args, **more)
        except km.NotConverged as error:
            return error.fit  # type: ignore[return-value]


RUNS = {
    "no finite start": lambda: fitted("y ~ a*log(x - c)", {"x": X, "y": np.log(X)}, start={"c": 3}),
    "overflow": lambda: fitted(
        "y ~ a*exp(b*x)", {"x": X, "y": np.exp(X)}, start={"a": 1, "b": 300}, solver=km.SGD(lr=0.1, steps=10)
    ),
    "one step": lambda: fitted("y ~ a*x + b", LINE, solver=km.RMSprop(steps=1)),
    "undetermined": lambda: fitted("y ~ (a + c)*x + b", LINE, solver=km.RMSprop(steps=300)),
    "at the answer": lambda: fitted("y ~ a*x + b", LINE, solver=km.SGD(lr=0.01, steps=30), start={"a": 1.3, "b": -0.5}),
    "a perfect fit": lambda: fitted(
        "y ~ a*x + b", {"x": LINE["x"], "y": LINE["x"]}, solver=km.SGD(lr=0.01, steps=30), start={"a": 1, "b": 0}
    ),
    "x the same in all rows": lambda: fitted("y ~ a + 0*x", {"x": [1.0, 1, 1], "y": [1.0, 2, 3]}, solver="sgd"),
    "names in Japanese": lambda: fitted(
        "傾 ~ 甲*時間 + 乙", {"時間": LINE["x"], "傾": LINE["y"]}, solver=km.Adam(steps=99)
    ),
    "gradients left to add up": lambda: fitted(
        "y ~ a*x + b", LINE, solver=km.SGD(lr=0.001, steps=200)
    ).without_zero_grad(),
}


@pytest.mark.parametrize("run", RUNS)
def test_every_picture_of_a_run_is_drawn(run: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        fit = RUNS[run]()
    for what in ("fit", "surface", "steps", "stability"):
        try:
            figure = fit.plot(what=what)  # type: ignore[arg-type]
        except km.BoundsError as error:
            assert (what, error.key) == ("stability", "plot.stability.answer")  # noqa: PT017
            assert fit.solution.reference is None
            continue
        figure.canvas.draw()  # a glyph that no font has, or a limit that is no number, would be a warning here
    assert fit.replay_html().endswith("</html>\n")


def test_where_the_loss_is_no_number_no_number_is_drawn() -> None:
    fit = RUNS["overflow"]()
    assert fit.trace is not None
    assert np.isinf(fit.trace.loss[0])
    (line,) = fit.plot(what="steps").axes[0].get_lines()[:1]
    assert len(line.get_xydata()) == 0
    surface = fit.plot(what="surface").axes[0]
    assert "the loss is the same everywhere here" not in [text.get_text() for text in surface.texts]


def test_a_failed_fit_still_shows_its_data() -> None:
    fit = RUNS["no finite start"]()
    points = fit.plot().axes[0].get_lines()[1]
    np.testing.assert_array_equal(points.get_ydata(), np.log(X))

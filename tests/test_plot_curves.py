"""Pictures by step: loss, parameters and stability are the trace's, compared with loops written here."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import katamuki as km
from katamuki import messages
from katamuki.plot.curves import ran_by
from katamuki.plot.stability import stability
from katamuki.plot.style import is_wide, wide_fonts
from katamuki.plot.thinning import corners, geometric, key_rows, outline

TUTORIAL = km.datasets("tutorial")
XI, YI = (np.asarray(TUTORIAL[name], dtype=float) for name in ("x", "y"))
H = 2.0 / 11.0 * np.array([[XI @ XI, XI.sum()], [XI.sum(), 11.0]])


def run(solver: Any, **more: Any) -> km.Fit:
    try:
        return km.fit("y ~ a*x + b", TUTORIAL, solver=solver, **{"start": {"a": 0.5, "b": 0.5}, **more})
    except km.NotConverged as error:
        return error.fit  # type: ignore[return-value]


@pytest.fixture(scope="module")
def rmsprop() -> km.Fit:
    with pytest.warns(km.FitWarning):
        return run(km.RMSprop(lr=0.001, steps=6000))


@pytest.fixture(scope="module")
def marquardt() -> km.Fit:
    x = np.linspace(0.0, 8.0, 25)
    y = 3.0 * np.exp(-0.5 * x) + 0.45 + 0.05 * np.sin(9.0 * x)
    return km.fit("y ~ a*exp(-b*x) + c", {"x": x, "y": y}, start={"a": 1, "b": 1, "c": 0})


def test_every_point_drawn_is_a_row_of_the_trace_and_the_extremes_are_drawn(rmsprop: km.Fit) -> None:
    top, first, second = rmsprop.plot(what="steps").axes
    trace, reference = rmsprop.trace, rmsprop.solution.reference
    assert trace is not None
    assert reference is not None
    for k, axes in enumerate((first, second)):
        line = axes.get_lines()[0].get_xydata()
        rows = line[:, 0].astype(int) - 1
        np.testing.assert_array_equal(line[:, 1], trace.params[rows, k])
        assert line[:, 1].max() == trace.params[:, k].max()
        assert (rows[0], rows[-1]) == (0, 6000)
        assert axes.get_lines()[1].get_ydata()[0] == reference.params["ab"[k]]
    line = top.get_lines()[0].get_xydata()
    rows = line[:, 0].astype(int) - 1
    np.testing.assert_allclose(line[:, 1], trace.loss[rows] - reference.loss, rtol=0, atol=0)
    assert (top.get_xscale(), top.get_yscale()) == ("log", "log")


def test_what_happened_stands_at_its_step(rmsprop: km.Fit) -> None:
    words = [text.get_text() for text in rmsprop.plot(what="steps").axes[0].texts]
    cycle = rmsprop.solution.cycle
    assert cycle is not None
    assert abs(cycle.since - 3419) <= 20
    assert words == [
        "312 valley reached",
        "1183 stability limit passed",
        "1258 zigzag begins",
        "3246 within 0.001 for good",
        f"{cycle.since} cycle of two",
    ]


def test_the_stability_of_rmsprop_is_that_of_its_divisors(rmsprop: km.Fit) -> None:
    found = stability(rmsprop._ran(), np.array([0, 999, 1181, 1182, 1999, 5999]))
    trace, v, expected = rmsprop.trace, np.zeros(2), {}
    assert trace is not None
    for row in range(6000):
        v = 0.99 * v + 0.01 * trace.gradient[row] ** 2
        if row in found.rows:
            expected[row] = np.linalg.eigvals(np.diag(0.001 / (np.sqrt(v) + 1e-8)) @ H).real.max()
    np.testing.assert_allclose(found.values, list(expected.values()), rtol=1e-9)
    assert found.values[2] < 2.0 < found.values[3]  # passed at step 1183
    assert found.values[1] == pytest.approx(0.81, abs=0.01)
    assert found.values[4] == pytest.approx(1.983, abs=5e-4)
    assert found.values[5] == pytest.approx(2.0, abs=1e-6)
    assert (found.kind, found.limit) == ("divided", 2.0)


def test_the_stability_figure_draws_these_values_and_the_limit(rmsprop: km.Fit) -> None:
    axes = rmsprop.plot(what="stability").axes[0]
    line = axes.get_lines()[0].get_xydata()
    found = stability(rmsprop._ran(), line[:, 0].astype(int) - 1)
    np.testing.assert_array_equal(line[:, 1], found.values)
    assert axes.get_lines()[1].get_ydata()[0] == 2.0
    assert {1182, 1257} <= set((line[:, 0] - 1).astype(int))


def test_descent_has_one_stability_and_its_limit_grows_with_momentum() -> None:
    plain = stability(run(km.SGD(lr=0.0109, steps=6000))._ran())
    assert plain.kind == "constant"
    np.testing.assert_allclose(plain.values, 0.0109 * np.linalg.eigvalsh(H)[-1], rtol=1e-12)
    assert plain.values[0] > plain.limit == 2.0
    with pytest.warns(km.FitWarning):
        heavy = stability(run(km.SGD(lr=0.001, momentum=0.9, steps=300))._ran())
    assert heavy.limit == pytest.approx(3.8)


def test_levenberg_marquardt_shows_its_damping_by_attempt(marquardt: km.Fit) -> None:
    axes = marquardt.plot(what="stability").axes[0]
    trace = marquardt.trace
    assert trace is not None
    lines = {line.get_label(): line.get_xydata() for line in axes.get_lines()}
    damping = trace.extra["damping"][:-1]
    np.testing.assert_array_equal(lines["damping"][:, 1], np.where(damping > 0, damping, np.nan))
    rejected = np.flatnonzero(trace.extra["accepted"][:-1] == 0)
    assert len(rejected) > 0
    np.testing.assert_array_equal(lines["attempt rejected"][:, 0], rejected + 1)
    assert len(lines["not damped (Gauss–Newton)"]) == (damping == 0).sum()
    assert axes.get_xlabel() == "attempt"


def test_parameters_are_chosen_and_at_most_five_are_shown_unasked(marquardt: km.Fit) -> None:
    panels = marquardt.plot(what="steps", of=("c", "a")).axes
    assert [axes.get_ylabel() for axes in panels] == ["L − L*", "c", "a"]
    title = panels[0].get_title(loc="left")
    assert "2 of 3 parameters are shown" in title
    x = np.linspace(-1, 1, 20)
    with pytest.warns(km.FitWarning):
        six = km.fit("y ~ a+b*x+c*x^2+d*x^3+e*x^4+f*x^5", {"x": x, "y": np.cos(x)}, solver=km.SGD(lr=0.1, steps=40))
    assert len(six.plot(what="steps").axes) == 6
    assert len(six.plot(what="steps", of=tuple("abcdef")).axes) == 7


def test_a_diverged_run_has_its_pictures() -> None:
    fit = run(km.SGD(lr=10.0, steps=6000))
    for what in ("steps", "stability", "surface"):
        figure = fit.plot(what=what)
        figure.canvas.draw()
        assert all(line.get_xydata().size for line in figure.axes[0].get_lines()[:1])


@pytest.mark.parametrize("what", ["steps", "stability"])
def test_a_closed_form_took_no_steps_and_says_so(what: Any) -> None:
    with pytest.raises(km.BoundsError) as caught:
        km.fit("y ~ a*x + b", TUTORIAL).plot(what=what)
    assert caught.value.key == "plot.no_steps"


def test_options_that_are_the_solvers_own_are_not_repeated(rmsprop: km.Fit) -> None:
    assert ran_by(rmsprop._ran()) == "RMSprop lr=0.001 steps=6000"


@pytest.mark.parametrize("what", ["fit", "surface", "steps", "stability"])
def test_japanese_labels_are_drawn_in_an_installed_font_and_the_numbers_are_the_same(
    rmsprop: km.Fit, what: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if what == "fit":
        monkeypatch.setattr("katamuki.plot.style.wide_fonts", list)
        figure = None
        if is_wide(messages.sentence("plot.data", "ja")):
            with pytest.warns(UserWarning, match="Japanese|日本語"):
                figure = rmsprop.plot(lang="ja")
        else:
            figure = rmsprop.plot(lang="ja")
        assert figure.axes[0].get_lines()[1].get_label() == "data"
        return
    assert wide_fonts(), "install a CJK font: make test brings fonts-noto-cjk"
    english, japanese = (rmsprop.plot(what=what, lang=lang) for lang in ("en", "ja"))
    japanese.canvas.draw()  # a missing glyph would warn
    for one, other in zip(english.axes, japanese.axes, strict=True):
        for line, same in zip(one.get_lines(), other.get_lines(), strict=True):
            np.testing.assert_array_equal(line.get_xydata(), same.get_xydata())


def test_the_outline_of_a_curve_keeps_every_extreme_of_each_column() -> None:
    x = np.arange(100_000.0)
    y = np.random.default_rng(3).normal(size=len(x))
    rows = outline(x, y, 50)
    assert len(rows) <= 200
    for part in np.array_split(np.arange(len(x)), 50):
        inside = rows[(rows >= part[1]) & (rows < part[-1])]
        assert y[inside].max() == y[part[1:-1]].max()
        assert y[inside].min() == y[part[1:-1]].min()
    missing = np.delete(rows, np.argmax(y[rows]))
    assert y[missing].max() < y.max()


@settings(max_examples=40)
@given(st.integers(1, 5000), st.lists(st.integers(1, 5000), max_size=30), st.integers(40, 500))
def test_key_steps_are_few_and_hold_the_first_the_last_and_what_happened(
    steps: int, events: list[int], most: int
) -> None:
    index = np.arange(steps + 1)
    rows = key_rows(index, events, most)
    assert len(rows) <= most or len(rows) == 0
    assert (np.diff(rows) > 0).all()
    assert (rows[0], rows[-1]) == (0, steps)
    for event in events[:2]:
        assert event > steps or event - 1 in rows


@given(st.integers(1, 10_000), st.integers(2, 300))
def test_geometric_rows_begin_with_the_first_and_end_with_the_last(count: int, most: int) -> None:
    rows = geometric(count, most)
    assert len(rows) <= most
    assert (rows[0], rows[-1]) == (0, count - 1)


def test_a_path_keeps_its_ends_and_its_turns() -> None:
    turn = np.linspace(0.0, 40 * math.pi, 200_000)
    x, y = np.cos(turn), np.sin(turn)
    rows = corners(x, y, 2.0, 2.0)
    assert (rows[0], rows[-1]) == (0, len(turn) - 1)
    assert len(rows) <= 3000
    assert x[rows].max() == pytest.approx(1.0, abs=1e-3)

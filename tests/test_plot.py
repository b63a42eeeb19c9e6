"""Pictures: the characters stand where the numbers say, files are what their suffix says, nothing global is changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import katamuki as km
from fake_fit import A, B, FakeFit, X, Y
from katamuki import plot
from katamuki.plot.braille import draw, ticks
from katamuki.plot.drawn import Series, series


def where(picture: str, sign: str) -> list[tuple[int, int]]:
    """Row and column of every such sign."""
    return [(i, j) for i, line in enumerate(picture.split("\n")) for j, one in enumerate(line) if one == sign]


def line(curve: np.ndarray, points: np.ndarray | None = None) -> Series:
    x = np.linspace(0.0, 1.0, len(curve))
    y = curve if points is None else points
    return Series("x", "y", np.linspace(0.0, 1.0, len(y)), y, y, x, curve, {})


def test_every_point_of_the_tutorial_is_drawn_and_higher_ones_stand_higher() -> None:
    picture = plot.terminal(FakeFit(), width=76, height=22)
    points = where(picture, "o")
    assert len(points) == 11
    by_column = sorted(points, key=lambda point: point[1])
    rows = [row for row, _ in by_column]
    order = Y[np.argsort(X)]
    for i in range(11):
        for j in range(11):
            if order[i] > order[j] + 0.4:  # one row is 0.33
                assert rows[i] < rows[j]


def test_a_point_that_is_moved_is_drawn_elsewhere() -> None:
    moved = Y.copy()
    moved[3] -= 3.0
    other = FakeFit(columns={"x": X, "y": moved})
    assert where(plot.terminal(other), "o") != where(plot.terminal(FakeFit()), "o")


def test_the_ascii_picture_is_ascii_and_holds_the_same_points() -> None:
    plain = plot.terminal(FakeFit(), unicode=False)
    assert plain.isascii()
    assert where(plain, "o") == where(plot.terminal(FakeFit()), "o")


@pytest.mark.parametrize("width", [40, 60, 76])
@pytest.mark.parametrize("height", [5, 11, 22])
def test_a_picture_keeps_its_size(width: int, height: int) -> None:
    lines = plot.terminal(FakeFit(), width=width, height=height).split("\n")
    assert len(lines) == height + 2
    assert max(map(len, lines)) <= width


def test_a_curve_ends_where_the_data_end_so_that_a_pole_beyond_sets_no_scale() -> None:
    s = np.array([0.1, 0.5, 2.0, 10.0, 50.0])
    found = series(km.fit("v ~ top*s/(half + s)", {"s": s, "v": 12 * s / (2.5 + s)}, start={"top": 10, "half": 1}))
    assert (found.curve_x[0], found.curve_x[-1]) == (0.1, 50.0)
    assert found.curve_y.min() > 0


def test_a_peak_narrower_than_the_even_steps_of_a_curve_is_drawn_through_its_rows() -> None:
    # this used to end at 30 where the rows, and the fit, reach 35: rows evenly spaced in log x, a resonance among them
    f = 1e3 * 10 ** (np.arange(120) / 40)
    u = f / 2.4e4
    data = {"f": f, "A": 3 / np.sqrt((1 - u**2) ** 2 + (u / 12) ** 2)}
    fit = km.fit("A ~ g/sqrt((1 - (f/f0)^2)^2 + (f/(f0*Q))^2)", data, start={"g": 3, "f0": 2.4e4, "Q": 12})
    even, through = series(fit), series(fit, through_rows=True)
    assert even.curve_y.max() < 0.9 * data["A"].max()
    assert through.curve_y.max() == pytest.approx(data["A"].max(), rel=1e-9)
    assert (np.diff(through.curve_x) > 0).all()
    (line,) = [one for one in fit.plot().axes[0].lines if len(one.get_xdata()) == len(through.curve_x)]
    assert np.max(line.get_ydata()) == through.curve_y.max()


def test_a_falling_curve_falls() -> None:
    picture = draw(line(np.linspace(1.0, 0.0, 50), np.array([0.5])), 40, 10, unicode=False)
    first = min(j for i, j in where(picture, ".") + where(picture, ":") + where(picture, "'") if i == 0)
    last = max(j for i, j in where(picture, ".") + where(picture, ":") + where(picture, "'") if i == 9)
    assert first < last


@pytest.mark.parametrize(
    "curve", [np.ones(5), np.array([0.0, np.nan, 1.0]), np.array([1e-300, 1e300]), -np.arange(3.0), np.array([2.0])]
)
def test_strange_curves_are_drawn_without_a_fault(curve: np.ndarray) -> None:
    assert draw(line(curve, np.array([0.5, 0.75])), 40, 8).count("\n") == 9


@given(st.floats(-1e12, 1e12), st.floats(1e-9, 1e12), st.integers(2, 12))
def test_ticks_lie_inside_and_are_evenly_spaced(low: float, span: float, count: int) -> None:
    high = low + span
    if not high - low > 1e-6 * max(abs(low), abs(high)):
        return  # closer than a label can tell
    marks = ticks(low, high, count)
    assert 1 <= len(marks) <= count + 1
    assert all(low - 1e-6 * span <= mark <= high + 1e-6 * span for mark in marks)
    if len(marks) > 2:
        steps = np.diff(marks)
        assert np.allclose(steps, steps[0], rtol=1e-5)


def test_the_figure_holds_the_data_the_curve_the_band_and_the_residuals() -> None:
    top, bottom = plot.figure(FakeFit(), interval="mean").axes
    curve, points = top.get_lines()
    np.testing.assert_array_equal(points.get_ydata(), Y)
    np.testing.assert_allclose(curve.get_ydata(), A * curve.get_xdata() + B, rtol=1e-14)
    assert len(top.collections) == 1
    np.testing.assert_allclose(bottom.get_lines()[1].get_ydata(), Y - A * X - B, atol=1e-14)
    assert top.get_ylabel() == "y"
    assert bottom.get_xlabel() == "x"


def test_many_points_do_not_hide_the_curve_and_few_lie_on_it() -> None:
    for rows, hidden in ((30_000, True), (5_000, True), (30, False)):
        x = np.linspace(0.0, 1.0, rows)
        axes = plot.figure(km.fit("y ~ a*x + b", {"x": x, "y": 2 * x + np.sin(40 * x)})).axes[0]
        curve, points = axes.lines
        assert (points.get_zorder() < axes.collections[0].get_zorder() < curve.get_zorder()) is hidden


def test_with_several_predictors_observations_stand_against_predictions() -> None:
    top, bottom = plot.figure(FakeFit(predictors=("x", "z"))).axes
    np.testing.assert_allclose(top.get_lines()[1].get_xdata(), A * X + B, rtol=1e-14)
    assert bottom.get_xlabel() == "y, predicted"
    assert plot.terminal(FakeFit(predictors=("x", "z"))).startswith("y: observed (upward) against predicted")


def test_no_band_is_drawn_where_an_error_bar_is_missing() -> None:
    from fake_fit import claim

    assert not plot.figure(claim(stderr={"a": None, "b": 1.0})).axes[0].collections


def test_more_points_are_smaller_and_fainter_but_seen_in_the_legend() -> None:
    seen = []
    for rows in (50, 500, 5_000):
        x = np.linspace(0.0, 1.0, rows)
        drawn = plot.figure(km.fit("y ~ a*x + b", {"x": x, "y": 2 * x + np.sin(40 * x)}))
        axes = drawn.axes[0]
        curve, points = axes.lines
        wide = {".": 0.5, "o": 1.0}[str(points.get_marker())]
        seen.append((wide * points.get_markersize(), points.get_alpha()))
        shown = drawn.legends[0].legend_handles[-1]
        assert (shown.get_markersize(), shown.get_alpha()) >= (4.5, 0.9)
        assert curve.get_linewidth() < axes.collections[0].get_linewidth()[0] or rows == 50
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == 3


def test_the_legend_covers_neither_points_nor_curve() -> None:
    # this used to stand among the data of a wave
    t = np.linspace(0, 10, 80)
    y = 2 * np.sin(3.7 * t + 0.4) + 0.3 * np.random.default_rng(0).normal(size=80)
    for residuals in (True, False):
        drawn = plot.figure(km.fit("y ~ a*sin(b*t + c)", {"t": t, "y": y}), residuals=residuals)
        drawn.draw_without_rendering()
        legend = drawn.legends[0].get_window_extent()
        assert len(drawn.legends[0].get_texts()) == 3
        for axes in drawn.axes:
            assert not legend.overlaps(axes.get_window_extent())
        assert drawn.bbox.x0 <= legend.x0 < legend.x1 <= drawn.bbox.x1


@pytest.mark.parametrize("scatter", [1.0, 0.01, 1e-4, 1e-8])
def test_a_band_that_the_legend_names_is_to_be_seen(scatter: float) -> None:
    x = np.linspace(0.0, 1.0, 30)
    drawn = plot.figure(km.fit("y ~ a*x + b", {"x": x, "y": 2 * x + scatter * np.sin(40 * x)}))
    drawn.draw_without_rendering()
    axes = drawn.axes[0]
    (band,), curve = axes.collections, axes.lines[0]
    assert "band" in drawn.legends[0].get_texts()[0].get_text()
    points = axes.transData.transform(band.get_paths()[0].vertices) * 72 / drawn.dpi
    middle = np.abs(points[:, 0] - np.median(points[:, 0])) < 0.1 * np.ptp(points[:, 0])
    assert np.ptp(points[middle, 1]) + 2 * band.get_linewidth()[0] / 2 > 1.2 * curve.get_linewidth()


@pytest.mark.parametrize(("state", "steps", "said"), [("slow", 500, "500 steps of RMSprop"), ("cycle", 1, "1 step of")])
def test_a_run_that_ended_elsewhere_says_so_and_has_no_error_bars(state: str, steps: int, said: str) -> None:
    # this used to look like an answer, band and all
    from fake_fit import claim

    axes = plot.figure(claim(state=state, solver="rmsprop", steps=steps)).axes[0]
    assert f"state after {said}" in axes.get_title(loc="left")
    assert "not the least-squares answer" in axes.get_title(loc="left")
    assert "±" not in axes.get_title(loc="left")
    assert not axes.collections
    there = plot.figure(claim(state="converged", solver="rmsprop", steps=steps)).axes[0]
    assert "±" in there.get_title(loc="left")
    assert "state after" not in there.get_title(loc="left")
    assert len(there.collections) == 1


def test_a_dollar_in_a_name_is_a_dollar(tmp_path: Path) -> None:
    from fake_fit import claim

    fit = claim(formula="`cost $` ~ a*`$x$` + b", response="cost $")
    fit.predictors = ("$x$",)
    fit.columns = {"$x$": X, "x": X, "y": Y}
    fit.predict = lambda data, **_: A * np.asarray(data["$x$"]) + B  # type: ignore[method-assign]
    plot.figure(fit, interval=None).savefig(tmp_path / "dollar.png")


def test_names_that_no_font_can_draw_are_said_and_stay_text_in_svg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fake_fit import claim

    monkeypatch.setattr("katamuki.plot.style.wide_fonts", list)
    fit = claim(formula="y ~ a*時間 + b", columns=("y", "時間"))
    with pytest.warns(UserWarning, match="no installed font"):
        plot.save(fit, tmp_path / "wide.png")
    plot.save(fit, tmp_path / "wide.svg")
    assert "時間" in (tmp_path / "wide.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "magic"), [("fit.png", b"\x89PNG"), ("fit.svg", b"<?xml"), ("fit.pdf", b"%PDF")])
def test_a_file_is_of_the_kind_its_suffix_says(tmp_path: Path, name: str, magic: bytes) -> None:
    plot.save(FakeFit(), tmp_path / name, interval="new")
    assert (tmp_path / name).read_bytes().startswith(magic)


def test_the_same_fit_makes_the_same_svg_with_readable_text(tmp_path: Path) -> None:
    plot.save(FakeFit(), tmp_path / "one.svg")
    plot.save(FakeFit(), tmp_path / "two.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    words = " ".join(ElementTree.parse(tmp_path / "one.svg").getroot().itertext())
    assert "y = a*x + b" in words
    assert "95 % band of the curve" in words


def test_pyplot_and_matplotlib_s_settings_are_left_alone(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests'); import matplotlib; before = dict(matplotlib.rcParams)\n"
        "from fake_fit import FakeFit; from katamuki import plot; plot.save(FakeFit(), sys.argv[1])\n"
        "assert 'matplotlib.pyplot' not in sys.modules; assert dict(matplotlib.rcParams) == before\n"
    )
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(tmp_path / "fit.png")], cwd=root, check=True)

"""The loss surface: its numbers against plain loops, the artists of its figure, and what is said above it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.optimize

import katamuki as km
from katamuki.plot.contours import beyond, ellipse, levels, surface_figure
from katamuki.plot.surface import Surface, surface

TUTORIAL = km.datasets("tutorial")
START = {"a": 0.5, "b": 0.5}
X = np.linspace(0.0, 8.0, 25)
Y = 3.0 * np.exp(-0.5 * X) + 0.45 + 0.05 * np.sin(9.0 * X)


def tutorial(solver: Any, **more: Any) -> km.Fit:
    try:
        return km.fit("y ~ a*x + b", TUTORIAL, solver=solver, **{"start": START, **more})
    except km.NotConverged as error:
        return error.fit  # type: ignore[return-value]


@pytest.fixture(scope="module")
def rmsprop() -> km.Fit:
    with pytest.warns(km.FitWarning):
        return tutorial(km.RMSprop(lr=0.001, steps=6000))


@pytest.fixture(scope="module")
def diverged() -> km.Fit:
    return tutorial(km.SGD(lr=0.0109, steps=6000))


@pytest.fixture(scope="module")
def decay() -> km.Fit:
    return km.fit("y ~ a*exp(-b*x) + c", {"x": X, "y": Y}, start={"a": 1, "b": 1, "c": 0})


def by_loop(found: Surface, loss: Callable[..., float], at: list[tuple[int, int]]) -> None:
    """Compare some points of a grid with a plain loop."""
    for row, column in at:
        expected = loss(found.axes[0][column], found.axes[1][row])
        assert found.loss[row, column] == pytest.approx(expected, rel=1e-13)


def test_the_surface_of_the_tutorial_is_the_mean_squared_error_at_each_point(rmsprop: km.Fit) -> None:
    found = surface(rmsprop._ran())
    x, y = (np.asarray(TUTORIAL[name], dtype=float) for name in ("x", "y"))
    assert found.loss.shape == (72, 96)
    by_loop(found, lambda a, b: float(np.mean((y - a * x - b) ** 2)), [(0, 0), (71, 95), (10, 80), (44, 3)])
    with pytest.raises(AssertionError):
        by_loop(found, lambda a, b: float(np.mean((y - a * x - b) ** 2)) * (1 + 1e-12), [(0, 0)])
    assert found.names == ("a", "b")
    assert found.rows == found.of_rows == 11


def test_weights_count_on_the_surface() -> None:
    w = np.linspace(0.5, 2.0, 25)
    fit = km.fit("y ~ a*exp(-b*x)", {"x": X, "y": Y}, start={"a": 1, "b": 1}, weights=w)
    by_loop(surface(fit._ran()), lambda a, b: float(np.mean(w * (Y - a * np.exp(-b * X)) ** 2)), [(0, 0), (60, 70)])


def test_a_slice_holds_the_others_at_the_answer_and_a_fixed_parameter_where_it_is_fixed(decay: km.Fit) -> None:
    c = decay.params["c"]
    found = surface(decay._ran(), ("a", "b"))
    by_loop(found, lambda a, b: float(np.mean((Y - a * np.exp(-b * X) - c) ** 2)), [(0, 0), (71, 95), (30, 40)])
    assert (found.method, dict(found.held), found.place) == ("slice", {"c": c}, "answer")
    fixed = km.fit("y ~ a*exp(-b*x) + c", {"x": X, "y": Y}, start={"a": 1, "b": 1}, fixed={"c": 0.4})
    found = surface(fixed._ran())
    by_loop(found, lambda a, b: float(np.mean((Y - a * np.exp(-b * X) - 0.4) ** 2)), [(0, 0), (30, 40)])
    assert found.held == {}


def test_a_profile_refits_the_rest_in_closed_form_where_it_is_linear(decay: km.Fit) -> None:
    found = surface(decay._ran(), ("a", "b"), "profile")
    by_loop(found, lambda a, b: float(np.var(Y - a * np.exp(-b * X))), [(0, 0), (71, 95), (30, 40), (5, 90)])
    assert (found.fitted, found.linear, found.missed) == (("c",), True, 0)


def test_a_profile_refits_the_rest_by_damped_steps_where_it_is_not(decay: km.Fit) -> None:
    found = surface(decay._ran(), ("a", "c"), "profile")
    assert (found.fitted, found.linear, found.missed) == (("b",), False, 0)
    for row, column in ((0, 0), (36, 50), (70, 90)):
        a, c = found.axes[0][column], found.axes[1][row]
        best = scipy.optimize.minimize_scalar(
            lambda b, a=a, c=c: np.mean((Y - a * np.exp(-b * X) - c) ** 2),
            bounds=(-2.0, 8.0),
            method="bounded",
            options={"xatol": 1e-9},
        )
        assert found.loss[row, column] == pytest.approx(best.fun, rel=1e-9)


def test_a_profile_lies_below_the_slice_and_touches_it_at_the_answer(decay: km.Fit) -> None:
    over, under = surface(decay._ran(), ("b",)), surface(decay._ran(), ("b",), "profile")
    assert over.axes[0] == pytest.approx(under.axes[0])
    assert (under.loss <= over.loss * (1 + 1e-12)).all()
    nearest = int(np.argmin(abs(over.axes[0] - decay.params["b"])))
    assert under.loss[nearest] == pytest.approx(over.loss[nearest], rel=0.01)
    assert under.loss[0] < 0.9 * over.loss[0]


def test_bounds_are_kept_by_a_profile_and_limit_the_picture() -> None:
    bounds = {"b": (0.2, 0.7), "c": (0.44, 1.0)}
    fit = km.fit("y ~ a*exp(-b*x) + c", {"x": X, "y": Y}, start={"a": 1, "b": 0.6, "c": 0.5}, bounds=bounds)
    found = surface(fit._ran(), ("a", "b"), "profile")
    assert found.axes[1][0] >= 0.2
    assert found.axes[1][-1] <= 0.7
    assert not found.linear
    a, b = found.axes[0][3], found.axes[1][60]
    c = float(np.clip(np.mean(Y - a * np.exp(-b * X)), 0.44, 1.0))
    assert found.loss[60, 3] == pytest.approx(float(np.mean((Y - a * np.exp(-b * X) - c) ** 2)), rel=1e-9)


def test_start_path_and_answer_lie_in_the_picture(rmsprop: km.Fit) -> None:
    found = surface(rmsprop._ran())
    trace, reference = rmsprop.trace, rmsprop.solution.reference
    assert trace is not None
    assert reference is not None
    assert found.start == (0.5, 0.5)
    assert found.end == tuple(trace.params[-1])
    assert found.answer == (reference.params["a"], reference.params["b"])
    np.testing.assert_array_equal(found.path, trace.params)
    assert len(beyond(found)) == 0
    assert all(found.inside(point) for point in (found.start, found.end, found.answer))


def test_the_ellipse_is_that_of_one_standard_error(rmsprop: km.Fit) -> None:
    ring = ellipse(surface(rmsprop._ran()))
    reference = rmsprop.solution.reference
    assert ring is not None
    assert reference is not None
    for k, name in enumerate(("a", "b")):
        reach = np.abs(ring[:, k] - reference.params[name]).max()
        assert reach == pytest.approx(reference.stderr[name], rel=1e-3)
    x, y = (np.asarray(TUTORIAL[name], dtype=float) for name in ("x", "y"))
    height = [np.mean((y - a * x - b) ** 2) - reference.loss for a, b in ring]
    np.testing.assert_allclose(height, reference.loss / 9, rtol=1e-9)  # s²/n with s² = rss/9, where δᵀC⁻¹δ = 1


def test_contours_stand_at_equal_steps_of_the_logarithm(rmsprop: km.Fit) -> None:
    found = surface(rmsprop._ran())
    steps = levels(found)
    assert len(steps) == 16
    np.testing.assert_allclose(np.diff(np.log(steps)), math.log(steps[1] / steps[0]), rtol=1e-9)
    assert steps[-1] <= found.loss.max() - found.lowest


def test_the_figure_holds_path_points_and_ring_in_the_parameters_asked_for(rmsprop: km.Fit) -> None:
    axes = rmsprop.plot(what="surface", of=("b", "a")).axes[0]
    lines = {line.get_label(): line for line in axes.get_lines()}
    trace = rmsprop.trace
    assert trace is not None
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("b", "a")
    path = lines["path of the run"].get_xydata()
    rows = {tuple(point) for point in trace.params[:, ::-1].tolist()}
    assert {tuple(point) for point in path.tolist()} <= rows
    assert 100 < len(path) < 6001
    np.testing.assert_array_equal(path[0], [0.5, 0.5])
    np.testing.assert_array_equal(lines["end of the run"].get_xydata(), trace.params[-1:, ::-1])
    np.testing.assert_allclose(lines["answer (least squares)"].get_xydata(), [[3.0000909090909, 0.5000909090909]])
    assert "1 standard error" in lines
    gradient, step = (one for one in axes.texts if hasattr(one, "arrow_patch"))
    away = np.array(gradient.xy) - 0.5
    assert away[0] / away[1] == pytest.approx(trace.gradient[0, 1] / trace.gradient[0, 0])
    assert (np.array(step.xy) > 0.5).all()


def test_a_diverged_run_is_clipped_with_words_and_is_no_blank_picture(diverged: km.Fit) -> None:
    figure = diverged.plot(what="surface")
    axes = figure.axes[0]
    assert "the path leaves the picture before step" in axes.get_title(loc="left")
    assert max(map(abs, (*axes.get_xlim(), *axes.get_ylim()))) < 10
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert {"start", "answer (least squares)", "path of the run"} <= set(lines)
    assert "end of the run" not in lines
    assert np.abs(lines["path of the run"].get_xydata()).max() < 100
    found = surface(diverged._ran())
    first = int(beyond(found)[0])
    assert f"before step {first + 1};" in axes.get_title(loc="left")
    assert found.path is not None
    assert not found.inside(found.path[first])
    assert all(found.inside(point) for point in found.path[:first])


def test_a_run_that_overflows_at_once_still_shows_start_answer_and_ellipse() -> None:
    axes = tutorial(km.SGD(lr=10.0, steps=6000)).plot(what="surface").axes[0]
    low, high = axes.get_xlim()
    assert low < 0.5 - 0.1
    assert high > 0.5 + 0.1


def test_a_closed_form_has_a_surface_with_the_answer_alone() -> None:
    axes = km.fit("y ~ a*x + b", TUTORIAL).plot(what="surface").axes[0]
    assert {line.get_label() for line in axes.get_lines()} == {"1 standard error", "answer (least squares)"}


def test_one_parameter_gives_the_curve_of_its_loss_with_the_path_on_it() -> None:
    fit = km.fit("y ~ a*x + 3", TUTORIAL, solver=km.SGD(lr=0.001, steps=300), start={"a": 0.1})
    axes = fit.plot(what="surface").axes[0]
    lines = {line.get_label(): line for line in axes.get_lines()}
    x, y = (np.asarray(TUTORIAL[name], dtype=float) for name in ("x", "y"))
    for a, loss in lines["loss"].get_xydata()[::100]:
        assert loss == pytest.approx(np.mean((y - a * x - 3) ** 2), rel=1e-12)
    for a, loss in lines["path of the run"].get_xydata()[:5]:
        assert loss == pytest.approx(np.mean((y - a * x - 3) ** 2), rel=1e-12)


def test_many_rows_are_sampled_and_the_title_says_so() -> None:
    rng = np.random.default_rng(4)
    x = rng.uniform(0.0, 8.0, 40_000)
    fit = km.fit("y ~ a*exp(-b*x)", {"x": x, "y": 3 * np.exp(-0.5 * x) + rng.normal(0, 0.1, len(x))}, start={"a": 1})
    found = surface(fit._ran())
    assert found.rows == int(1e8 / (96 * 72))
    assert found.of_rows == 40_000
    title = fit.plot(what="surface").axes[0].get_title(loc="left")
    assert f"the loss of {found.rows} rows, a sample of 40000" in title


def test_where_no_loss_is_finite_the_picture_says_so() -> None:
    x = np.linspace(1.0, 5.0, 12)
    fit = km.fit("y ~ a*log(x - c)", {"x": x, "y": 2 * np.log(x - 0.5) + 0.01 * np.cos(x)}, start={"a": 1, "c": 0})
    found = surface(fit._ran(), ("c", "a"))
    assert np.isfinite(found.loss).all()  # nothing is wrong near this answer
    far = km.fit("y ~ a*log(x - c)", {"x": x, "y": 2 * np.log(x - 0.98)}, start={"a": 1, "c": 0.0})
    found = surface(far._ran(), ("c", "a"))
    assert np.isnan(found.loss[:, -1]).all()
    labels = [line.get_label() for line in far.plot(what="surface", of=("c", "a")).axes[0].get_lines()]
    assert "no finite loss" in labels


def test_a_model_whose_loss_is_flat_in_both_is_said_to_be_flat() -> None:
    with pytest.warns(km.FitWarning):
        fit = km.fit("y ~ a*x + 0*b*x + 0*c", TUTORIAL)
    axes = fit.plot(what="surface", of=("b", "c")).axes[0]
    assert "the loss is the same everywhere here" in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize(
    ("of", "key"),
    [
        (("a", "z"), "plot.of.unknown"),
        (("a", "c"), "plot.of.fixed"),
        (("a", "a"), "plot.of.twice"),
        ((), "plot.of.count"),
        (("a", "b", "d"), "plot.of.count"),
        ("ab", "plot.of.text"),
        ((1, 2), "plot.of.text"),
        (3, "plot.of.text"),
    ],
)
def test_parameters_that_cannot_be_shown_are_an_error_that_says_why(of: Any, key: str) -> None:
    fit = km.fit("y ~ a*x + b + c + d*x^2", TUTORIAL, fixed={"c": 1.0})
    with pytest.raises(km.BoundsError) as caught:
        fit.plot(what="surface", of=of)
    assert caught.value.key == key
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("asked", "key"),
    [({"what": "contour"}, "plot.what"), ({"method": "cut"}, "plot.method"), ({"what": None}, "plot.what")],
)
def test_an_unknown_picture_or_method_is_an_error_that_lists_them(asked: dict[str, Any], key: str) -> None:
    with pytest.raises(km.BoundsError) as caught:
        km.fit("y ~ a*x + b", TUTORIAL).plot(**asked)
    assert caught.value.key == key
    assert "surface" in str(caught.value) or "profile" in str(caught.value)


def test_five_parameters_are_named_in_the_title(decay: km.Fit) -> None:
    assert "slice: c = 0.4" in decay.plot(what="surface").axes[0].get_title(loc="left")
    profile = surface_figure(decay._ran(), ("a", "b"), "profile").axes[0].get_title(loc="left")
    assert "profile: c refitted at each point (closed form)" in profile


def test_losses_at_many_places_are_those_at_each(decay: km.Fit) -> None:
    problem = decay._problem()
    places = np.random.default_rng(7).normal(0.5, 0.3, (50, 3))
    expected = [np.mean((Y - a * np.exp(-b * X) - c) ** 2) for a, b, c in places]
    np.testing.assert_allclose(problem.losses(places), expected, rtol=1e-13)


def test_a_model_of_torch_has_the_surface_of_its_own_values() -> None:
    import torch

    def damped(columns: Any, p: Any) -> Any:
        return p["a"] * torch.exp(-p["d"] * columns["t"]) * torch.cos(p["w"] * columns["t"])

    t = np.linspace(0.0, 6.0, 30)
    y = 2.0 * np.exp(-0.3 * t) * np.cos(2.0 * t) + 0.02 * np.sin(31.0 * t)
    start = {"a": 1.8, "d": 0.2, "w": 2.1}
    fit = km.fit(damped, {"t": t, "y": y}, target="y", inputs=["t"], start=start)
    found = surface(fit._ran(), ("w",))
    assert found.loss.shape == (100,)
    a, d = fit.params["a"], fit.params["d"]
    for k in (0, 40, 99):
        expected = np.mean((y - a * np.exp(-d * t) * np.cos(found.axes[0][k] * t)) ** 2)
        assert found.loss[k] == pytest.approx(expected, rel=1e-12)
    assert found.held == {"a": a, "d": d}


def test_a_profile_that_would_take_minutes_is_refused_with_the_slice_as_remedy() -> None:
    import torch

    torch.manual_seed(5)
    network = torch.nn.Sequential(torch.nn.Linear(1, 12), torch.nn.Tanh(), torch.nn.Linear(12, 1)).to(torch.float64)
    t = np.linspace(-1.0, 1.0, 20)
    with pytest.warns(km.FitWarning):
        fit = km.fit(network, {"t": t, "y": t**2}, target="y", inputs=["t"], solver=km.Adam(lr=0.01, steps=20))
    with pytest.raises(km.BoundsError) as caught:
        fit.plot(what="surface", method="profile")
    assert caught.value.key == "plot.profile.long"
    assert "slice" in str(caught.value.remedy)
    title = fit.plot(what="surface", of=fit.free[:2]).axes[0].get_title(loc="left")
    assert "the other 35 parameters" in title

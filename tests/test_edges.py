"""Descents that end on an edge of the loss: it is the answer, or is named, and no worse minimum is taken for it."""

from __future__ import annotations

import numpy as np
import pytest

import katamuki as km
from katamuki import formula
from katamuki.api.edges import edge
from sticks import STICK, broken


def least(data: dict[str, np.ndarray], c: float) -> float:
    """The least Σ r² with the corner at c, by NumPy."""
    columns = np.column_stack([np.ones(len(data["x"])), np.maximum(data["x"] - c, 0.0)])
    rest = data["y"] - columns @ np.linalg.lstsq(columns, data["y"], rcond=None)[0]
    return float(rest @ rest)


@pytest.mark.parametrize("seed", [4, 7, 10, 24, 56])
def test_a_least_loss_on_an_edge_is_the_answer(seed):
    """It used to be an error, and with seeds 10 and 56, before, a minimum of 44 and 4 times the loss was the answer."""
    data = broken(seed)
    fit = km.fit(STICK, data)
    (found,) = fit.solution.edges
    assert (found.name, found.part) == ("c", "max(x - c, 0)")
    corner = fit.params["c"]
    assert corner == data["x"][found.row - 1]
    grid = [least(data, one) for one in np.linspace(data["x"][1], data["x"][-2], 2001)]
    assert fit.rss <= min(grid) * (1.0 + 1e-9)
    assert fit.rss == pytest.approx(least(data, corner), rel=1e-12)
    columns = np.column_stack([np.ones(40), np.maximum(data["x"] - corner, 0.0)])
    theirs = np.linalg.lstsq(columns, data["y"], rcond=None)[0]
    assert [fit.params["a"], fit.params["b"]] == pytest.approx(theirs.tolist(), rel=1e-12)
    assert fit.state == "converged"
    assert fit.dof == 37
    assert fit.check().verdict == "PASS"


@pytest.mark.parametrize("seed", [4, 10, 56])
def test_no_start_and_no_seed_leads_to_a_worse_minimum_as_the_answer(seed):
    """A start beside the corner was said to lead nowhere, and a minimum of up to 44 times its loss to be better."""
    data = broken(seed)
    best = km.fit(STICK, data)
    corner = best.params["c"]
    for options in ({"start": {"c": corner + 0.2}}, {"seed": 1}, {"starts": 40}, {"starts": 1, "start": {"c": corner}}):
        fit = km.fit(STICK, data, **options)
        assert fit.params == pytest.approx(best.params, rel=1e-12)
        assert fit.solution.edges == best.solution.edges
        assert "BETTER_MINIMUM" not in {one.code for one in fit.findings}


def test_a_descent_that_stalled_goes_on_beyond_edges_where_the_loss_falls():
    """From the far side of many corners, none of which is the least."""
    data = broken(0)
    best = km.fit(STICK, data)
    for c in np.linspace(1.0, 9.0, 9):
        fit = km.fit(STICK, data, start={"a": 0.0, "b": 1.0, "c": c}, starts=1)
        assert fit.rss == pytest.approx(best.rss, rel=1e-9) or least(data, fit.params["c"] + 1e-3) > fit.rss
        first = fit.trace.params[0]
        assert dict(zip(fit.trace.names, first.tolist(), strict=True)) == fit.solution.start


def test_a_stick_whose_corner_lies_between_rows_is_fitted():
    data = broken(0)
    fit = km.fit(STICK, data)
    grid = [least(data, one) for one in np.linspace(data["x"][1], data["x"][-2], 2001)]
    assert fit.verdict == "good"
    assert fit.rss <= min(grid) * (1.0 + 1e-9)


@pytest.mark.parametrize(
    ("text", "params", "found"),
    [
        ("y ~ a*abs(x - c)", {"a": 1.0, "c": 2.0}, ("abs(x - c)", 1, ("c",))),
        ("y ~ a*abs(x - c)", {"a": 1.0, "c": 2.1}, None),
        ("y ~ a*min(b*x, c)", {"a": 1.0, "b": 2.0, "c": 6.0}, ("min(b*x, c)", 2, ("b", "c"))),
        ("y ~ a*max(x, 1) + c", {"a": 1.0, "c": 1.0}, None),  # no parameter moves that corner
        ("y ~ a*exp(-c*x)", {"a": 1.0, "c": 2.0}, None),
        ("y ~ a + (x > c)*(x - c)", {"a": 1.0, "c": 3.0}, ("x > c", 2, ("c",))),
    ],
)
def test_an_edge_is_a_part_that_changes_sides_in_a_row(text, params, found):
    graph = formula.parse(text, ("x", "y")).graph
    told = edge(graph, {"x": np.array([1.0, 2.0, 3.0])}, params, tuple(params))
    assert (None if told is None else tuple(told)) == found


@pytest.mark.parametrize("options", [{"where": "x > -50"}, {"missing": "drop"}])
def test_edges_and_errors_of_a_fit_name_rows_of_the_source_where_rows_were_left_out(options):
    data = broken(4)
    row = km.fit(STICK, data).solution.edges[0].row
    front = {"x": [-60.0] * 5, "y": [0.0] * 5 if "where" in options else [np.nan] * 5}
    later = {name: np.concatenate([front[name], one]) for name, one in data.items()}
    fit = km.fit(STICK, later, **options)
    assert fit.solution.edges[0].row == row + 5
    assert next(one for one in fit.findings if one.code == "EDGE").values["row"] == row + 5
    x = [*front["x"], 1.0, 2.0, 3.0, -1.0, 5.0, 6.0]
    with pytest.raises(km.NotConverged, match=r"row 9 \(log\(-1\)\)"):
        km.fit("y ~ a + b*log(x)", {"x": x, "y": [*front["y"], *range(6)]}, **options)
    with pytest.raises(km.DataError, match=r"row 6 \(log\(-1\)\)"):
        km.fit("log(y) ~ a*x", {"x": [*front["x"], 1.0, 2.0], "y": [*front["y"], -1.0, 1.0]}, **options)


def test_an_exact_stick_on_an_edge_is_printed():
    """One row's slope is that of either side of the corner: no digit is lost, and none used to be printed."""
    x = np.arange(11.0)
    fit = km.fit(STICK, {"x": x, "y": 1.0 + 2.0 * np.maximum(x - 5.0, 0.0)})
    assert min(fit.digits.values()) > 14.0
    assert fit.params == pytest.approx({"a": 1.0, "b": 2.0, "c": 5.0}, abs=1e-14)
    assert "5.000000" in str(fit)


@pytest.mark.parametrize("seed", [3, 16, 20])
def test_among_rows_that_stand_close_the_answer_is_a_least_loss_on_an_edge_or_between(seed):
    """A step over several edges, or back to a larger loss, used to end two of twenty-five such fits in an error."""
    draw = np.random.default_rng(seed)
    x = np.sort(draw.uniform(0.0, 10.0, 4000))
    data = {"x": x, "y": 1.0 + np.maximum(x - 4.0, 0.0) + 5.0 * draw.standard_normal(4000)}
    fit = km.fit(STICK, data)
    assert fit.check().verdict == "PASS"
    at = int(np.searchsorted(x, fit.params["c"]))
    near = x[at - 4 : at + 5]
    places = np.concatenate([near, (near[1:] + near[:-1]) / 2.0, fit.params["c"] + np.array([-1e-6, 1e-6])])
    assert min(least(data, one) for one in places) >= fit.rss * (1.0 - 1e-12)


def test_corners_among_many_rows_end_in_bounded_time_with_an_answer_or_an_error():
    """The number of evaluations is counted, and not the clock: the same each time."""
    draw = np.random.default_rng(1)
    x = np.sort(draw.uniform(0.0, 10.0, 400))
    y = 1.0 + 2.0 * np.maximum(x - 3.0, 0.0) - 3.0 * np.maximum(x - 7.0, 0.0) + 3.0 * draw.standard_normal(400)
    start = {"c": 3.0, "e": 7.0}
    told = []
    for _ in range(2):
        try:
            fit = km.fit("y ~ a + b*max(x - c, 0) + d*max(x - e, 0)", {"x": x, "y": y}, start=start, starts=1)
            told.append(fit.params)
            assert fit.check().verdict == "PASS"
        except km.NotConverged as error:
            told.append(str(error))
    assert told[0] == told[1]

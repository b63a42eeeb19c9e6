"""Fits whose loss is least on an edge, as results: error bars, stories, files, programs, many curves, two corners."""

from __future__ import annotations

import itertools
import json
import math
import warnings

import numpy as np
import pyarrow
import pytest
import scipy.stats
from pyarrow import parquet

import katamuki as km
from sticks import STICK, broken

TWO = "y ~ a + b*max(x - c, 0) + d*max(x - e, 0)"


def noisy(draw: np.random.Generator) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """A stick that bends by one unit of noise per unit of x, and its truth."""
    x = np.sort(draw.uniform(0.0, 10.0, 40))
    truth = {"a": float(draw.normal()), "b": 1.0, "c": float(draw.uniform(3.0, 7.0))}
    return {"x": x, "y": truth["a"] + np.maximum(x - truth["c"], 0.0) + draw.standard_normal(40)}, truth


def quietly(formula: str, data: dict[str, np.ndarray], **options: object) -> km.Fit:
    """A fit of which some need a look."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        return km.fit(formula, data, **options)  # type: ignore[arg-type]


def profile_of_the_corner(data: dict[str, np.ndarray], best: float) -> tuple[float, float]:
    """Where Σ r² is t²s² above the least on either side of ``best``, by NumPy and bisection."""
    x, y = data["x"], data["y"]

    def rss(c: float) -> float:
        columns = np.column_stack([np.ones(len(x)), np.maximum(x - c, 0.0)])
        rest = y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
        return float(rest @ rest)

    dof = len(x) - 3
    level = rss(best) * (1.0 + scipy.stats.t.ppf(0.975, dof) ** 2 / dof)
    ends = []
    for sign in (-1.0, 1.0):
        inside, step = best, 0.005
        while rss(inside + sign * step) < level:
            inside += sign * step
        outside = inside + sign * step
        for _ in range(60):
            middle = 0.5 * (inside + outside)
            inside, outside = (middle, outside) if rss(middle) < level else (inside, middle)
        ends.append(inside)
    return ends[0], ends[1]


def test_error_bars_on_edges_cover_what_they_say_and_those_with_the_corner_held_do_not():
    """Of sticks that end on an edge, those of which no CURVED warning is given; binomial, four deviations."""
    draw, inside, held, count = np.random.default_rng(5), np.zeros(3), np.zeros(2), 0
    for _ in range(300):
        data, truth = noisy(draw)
        fit = quietly(STICK, data)
        grave = {one.code for one in fit.findings if one.severity == "warning"}
        if not fit.solution.edges or "CURVED" in grave:
            continue
        count += 1
        inside += [low <= truth[name] <= high for name, (low, high) in fit.interval().items()]
        known = km.fit(STICK, data, fixed={"c": fit.params["c"]}).interval()
        held += [known[name][0] <= truth[name] <= known[name][1] for name in "ab"]
    assert count > 50
    chance = 4.0 * math.sqrt(0.95 * 0.05 / count)
    assert (inside / count > 0.95 - chance).all()
    assert held[1] / count < 0.85


@pytest.mark.parametrize("seed", [4, 7, 10, 24])
def test_the_profile_of_the_corner_is_the_loss_itself(seed):
    data = broken(seed)
    fit = km.fit(STICK, data)
    assert fit.interval(method="profile")["c"] == pytest.approx(profile_of_the_corner(data, fit.params["c"]), rel=1e-6)


def test_the_note_names_part_and_row_and_the_verdict_stays_good():
    """Error bars there are as good as between rows: there is nothing to look at. CURVED looks whether they are."""
    fit = km.fit(STICK, broken(7))
    note = next(one for one in fit.findings if one.code == "EDGE")
    row = fit.solution.edges[0].row
    assert (note.severity, note.parameter) == ("note", "c")
    assert note.values["part"] == "max(x - c, 0)"
    assert f"changes sides in row {row}" in note.text
    assert fit.verdict == "good"
    assert "CURVED" in {one.code for one in fit.findings}
    for lang in ("en", "ja"):
        text = fit.text(lang, check=fit.check())
        assert "[EDGE]" in text
        assert "max(x - c, 0)" in text.replace("\n" + 9 * " ", " ").replace("\n" + 12 * " ", "")
    assert not any(one.code == "EDGE" for one in km.fit(STICK, broken(0)).findings)


@pytest.mark.parametrize(
    "text",
    [
        "y ~ a + b*(x - c if x > c else 0)",
        "y ~ a + (b*(x - c) if x >= c else 0)",
        "y ~ a + b*(x > c)*(x - c)",
        "y ~ a + b*(abs(x - c) + x - c)/2",
        "y ~ a - b*min(c - x, 0)",
        "y ~ a - 10*b*min(0.1*c - 0.1*x, 0)",
    ],
)
def test_however_it_is_written_the_answer_and_its_bars_are_the_same(text):
    data = broken(4)
    one, other = km.fit(STICK, data), km.fit(text, data)
    assert other.params == pytest.approx(one.params, rel=1e-13)
    assert other.stderr == pytest.approx(one.stderr, rel=1e-6)
    assert other.solution.edges[0].row == one.solution.edges[0].row
    assert other.check().verdict == "PASS"


def test_weights_known_sigma_bounds_and_fixed_parameters():
    data = broken(4)
    plain = km.fit(STICK, data)
    known = km.fit(STICK, data, sigma=0.2, sigma_is="known")
    scale = 0.2 / math.sqrt(plain.rss / plain.dof)
    assert known.stderr == pytest.approx({name: bar * scale for name, bar in plain.stderr.items()}, rel=1e-9)
    assert known.check().verdict == "PASS"
    within = km.fit(STICK, data, bounds={"c": (1.0, 9.0)})
    assert within.params == pytest.approx(plain.params, rel=1e-12)
    heavy = km.fit(STICK, data, weights=np.linspace(1.0, 3.0, 40))
    assert heavy.solution.edges
    assert heavy.check().verdict == "PASS"
    told = km.fit("y ~ a + b*max(x - c, 0) + d", data, fixed={"d": 0.25})
    assert told.params["c"] == plain.params["c"]
    assert told.params["a"] == pytest.approx(plain.params["a"] - 0.25, rel=1e-12)
    assert told.check().verdict == "PASS"


def test_digits_are_those_of_the_others_with_the_corner_in_its_row():
    found = km.fit(STICK, broken(4)).digits
    assert math.isnan(found["c"])
    assert min(found["a"], found["b"]) > 14.0


def test_the_story_says_how_it_came_to_the_edge_and_no_step_is_told_that_no_rule_made():
    fit = km.fit(STICK, broken(4))
    story = fit.explain()
    said, row = " ".join(story.text().split()), fit.solution.edges[0].row
    assert [one.code for one in story.events][-2:] == ["stalled", "on_edge"]
    assert f"an edge at c = 3.499374, where max(x - c, 0) changes sides in row {row}" in said
    assert "orthogonal" not in said
    assert "3.499374" in story.text("ja")
    last = len(fit.trace) - 1
    assert fit.solution.steps == last - 1
    assert dict(zip(fit.trace.names, fit.trace.params[-1].tolist(), strict=True)) == fit.params
    assert fit.trace.params[-2] + fit.trace.step[-2] == pytest.approx(fit.trace.params[-1], rel=1e-15)
    fit.step(last - 1).explain()
    with pytest.raises(km.BoundsError, match="put c on an edge") as caught:
        fit.step(last)
    assert caught.value.code == "E-STEP"
    for what in ("fit", "surface", "steps", "stability"):
        assert fit.plot(what=what).axes
    assert "<script" in fit.replay_html()


def test_programs_that_cannot_settle_there_are_refused_and_our_own_prints_the_same():
    fit = km.fit(STICK, broken(7))
    for target in ("numpy", "scipy", "torch"):
        with pytest.raises(km.BackendError, match="edge of the loss, by c") as caught:
            fit.to_code(target)
        assert caught.value.code == "E-EXPORT"
    space: dict[str, object] = {}
    exec(fit.to_code("katamuki").replace("print(", "str("), space)
    assert space["fit"].params == pytest.approx(fit.params, rel=1e-12)  # type: ignore[attr-defined]


def test_it_comes_back_from_a_file_and_a_file_of_the_format_before_has_no_edges(tmp_path):
    fit = km.fit(STICK, broken(4))
    fit.save(tmp_path / "fit.json")
    again = km.load(tmp_path / "fit.json")
    assert again.solution.edges == fit.solution.edges
    assert str(again) == str(fit)
    assert again.explain().text() == fit.explain().text()
    assert again.check().verdict == "PASS"
    whole = json.loads((tmp_path / "fit.json").read_text(encoding="utf-8"))
    (shown,) = whole["state"]["edges"]
    assert shown == {"name": "c", "part": "max(x - c, 0)", "row": fit.solution.edges[0].row}
    whole["saved"]["solution"]["edges"][0]["name"] = "nobody"
    (tmp_path / "bad.json").write_text(json.dumps(whole), encoding="utf-8")
    with pytest.raises(km.DataError, match="damaged"):
        km.load(tmp_path / "bad.json")
    smooth = km.fit(STICK, broken(0))
    smooth.save(tmp_path / "smooth.json")
    whole = json.loads((tmp_path / "smooth.json").read_text(encoding="utf-8"))
    del whole["saved"]["solution"]["edges"]
    for form, loads in ((2, True), (3, False)):
        whole["saved"]["format"] = form
        (tmp_path / "old.json").write_text(json.dumps(whole), encoding="utf-8")
        if loads:
            assert km.load(tmp_path / "old.json").solution.edges == ()
        else:
            with pytest.raises(km.DataError, match="damaged"):
                km.load(tmp_path / "old.json")


def test_many_curves_have_the_values_of_fit_on_edges_too():
    """Such curves used to be rows without numbers, with the code CONVERGENCE."""
    data = [broken(seed) for seed in range(60)]
    table = {name: np.concatenate([one[name] for one in data]) for name in ("x", "y")}
    many = km.fit_many(STICK, {"k": np.repeat(np.arange(60), 40), **table}, by="k", check=60)
    assert all(one.verdict == "PASS" for one in many.checked.curves)
    on_edges = 0
    for one, row in zip(data, many.table.to_pylist(), strict=True):
        fit = km.fit(STICK, one)
        on_edges += len(fit.solution.edges)
        assert (row["_verdict"], row["_state"]) == (fit.verdict, fit.state)
        assert row["_code"] != "CONVERGENCE"
        for name in fit.params:
            assert row[name] == pytest.approx(fit.params[name], rel=1e-10)
            assert row[f"{name}_stderr"] == pytest.approx(fit.stderr[name], rel=1e-8)
    assert on_edges >= 5
    assert many.fit(7).solution.edges[0].row > 7 * 40  # rows are counted in the table


def two(seed: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    x = np.sort(draw.uniform(0.0, 10.0, 16))
    y = 1.0 + 2.0 * np.maximum(x - 3.0, 0.0) - 3.0 * np.maximum(x - 7.0, 0.0) + draw.standard_normal(16)
    return {"x": x, "y": y}


@pytest.mark.parametrize(("seed", "corners"), [(0, 0), (8, 1), (9, 1), (5, 2), (82, 2)])
def test_two_corners_may_both_stand_on_rows(seed, corners):
    """NumPy finds no less about them, on a grid of corners finer than the rows."""
    data = two(seed)
    fit = km.fit(TWO, data, start={"c": 3.0, "e": 7.0}, starts=8)
    assert len(fit.solution.edges) == corners
    assert fit.check().verdict == "PASS"
    x, y = data["x"], data["y"]
    for one in fit.solution.edges:
        assert fit.params[one.name] == x[one.row - 1]
    around = np.linspace(-0.02, 0.02, 21)
    for c, e in itertools.product(fit.params["c"] + around, fit.params["e"] + around):
        columns = np.column_stack([np.ones(16), np.maximum(x - c, 0.0), np.maximum(x - e, 0.0)])
        rest = y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
        assert rest @ rest >= fit.rss * (1.0 - 1e-12)


def test_a_row_beyond_a_corner_alone_makes_no_edge_of_it():
    """The loss is level to one side: what cannot be told apart there is said. It used to pass for an edge."""
    with pytest.warns(km.FitWarning, match="do not determine b, c, d and e"):
        fit = km.fit(TWO, two(28), start={"c": 3.0, "e": 7.0}, starts=8)
    assert fit.state == "not_identifiable"
    assert fit.solution.edges == ()
    assert fit.check().verdict == "PASS"
    with pytest.raises(km.NotConverged, match="the loss has an edge"):  # and beside it an edge of the other corner
        km.fit(TWO, two(83), start={"c": 3.0, "e": 7.0}, starts=8)


def test_where_an_edge_is_decided_by_several_parameters_the_error_stays():
    draw = np.random.default_rng(4)
    x = np.sort(draw.uniform(0.0, 10.0, 12))
    data = {"x": x, "y": 2.0 * np.maximum(x - 5.0, 0.0) + 0.5 * draw.standard_normal(12)}
    with pytest.raises(km.NotConverged, match="the loss has an edge where") as caught:
        km.fit("y ~ b*max(x - c*b, 0)", data, start={"b": 2.0, "c": 2.6}, starts=1)
    assert caught.value.code == "E-CONVERGENCE"


def test_rows_that_are_read_in_pieces_are_told_what_may_be_there(tmp_path):
    """The same rows in memory have their answer on an edge."""
    draw = np.random.default_rng(6)
    x = np.rint(draw.uniform(0.0, 10.0, 120_000))
    data = {"x": x, "y": 1.0 - 0.02 * np.maximum(x - 5.0, 0.0) + draw.standard_normal(len(x))}
    path = tmp_path / "stick.parquet"
    parquet.write_table(pyarrow.table(data), path, row_group_size=8000)
    with pytest.raises(
        km.NotConverged, match=r"max\(x - c, 0\) changes sides in a row, and rows that are not"
    ) as caught:
        km.fit(STICK, str(path), max_memory=400_000)
    assert caught.value.code == "E-CONVERGENCE"
    assert km.fit(STICK, data, start={"a": 1.0, "b": -0.02, "c": 5.2}, starts=1).solution.edges[0].name == "c"

"""Stories of Levenberg–Marquardt runs that ended before a minimum: why, and what helps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import katamuki as km

TIED = "y ~ b*max(x - c*b, 0)"  # an edge that two parameters decide
TRAINS = ("lr", "another lr", "solver lm")


def failed(formula, data, **options):
    """The fit of an error, and the error."""
    with pytest.raises(km.NotConverged) as caught:
        km.fit(formula, data, **options)
    return caught.value.fit, caught.value


def stick(seed, n=12):
    draw = np.random.default_rng(seed)
    x = np.sort(draw.uniform(0.0, 10.0, n))
    return {"x": x, "y": 2.0 * np.maximum(x - 5.0, 0.0) + 0.5 * draw.standard_normal(n)}


def broken(seed, n=40):
    draw = np.random.default_rng(seed)
    x = np.sort(draw.uniform(0.0, 10.0, n))
    a, b, c = draw.normal(), 2.0 * draw.normal(), draw.uniform(2.0, 8.0)
    return {"x": x, "y": a + b * np.maximum(x - c, 0.0) + 0.2 * draw.standard_normal(n)}


def flat(story, lang="en"):
    text = story.text(lang)
    assert not any(word in text for word in TRAINS)
    assert max(map(len, text.splitlines())) <= 80
    return " ".join(text.split())


def test_the_edge_is_named_with_the_value_that_the_error_advises():
    """A curve that jumps on its edge has no least loss there that is one from both sides."""
    jumping, data = "y ~ a + (b*(x - c) if x > c else 0.3*c)", broken(1)
    fit, error = failed(jumping, data)
    story, value, row = fit.explain(), error.values["value"], error.values["row"]
    said = flat(story)
    assert f"the loss has an edge at c = {value}, where x > c changes sides in row {row}" in said
    assert f"next hold c at {value} and fit the others" in said
    assert float(value) == pytest.approx(data["x"][row - 1], rel=1e-14)  # on the side where the loss is less
    assert f"c を {value} に固定" in story.text("ja").replace("\n" + 15 * " ", " ")
    assert dict(fit.solution.reason) == {
        "ending": "stalled",
        "edge": {"part": "x > c", "row": row, "names": ["c"]},
    }
    held = km.fit(jumping, data, fixed={"c": float(value)})
    assert held.loss == pytest.approx(fit.loss, rel=1e-12)


def test_an_edge_that_several_parameters_decide_has_no_value_to_hold():
    fit, _ = failed(TIED, stick(4), start={"b": 2.0, "c": 2.6}, starts=1)
    said = flat(fit.explain())
    assert "the loss has an edge here, where max(x - c*b, 0) changes sides in row 5" in said
    assert "next one parameter that alone says where the corner is, as c in a + b*min(x, c), or another start" in said


def test_a_saved_story_is_the_same(tmp_path):
    fit, _ = failed(TIED, stick(4), start={"b": 2.0, "c": 2.6}, starts=1)
    fit.save(tmp_path / "fit.json")
    assert km.load(tmp_path / "fit.json").explain().text() == fit.explain().text()


@pytest.mark.parametrize(("seed", "fell"), [(3, True), (4, False)])
def test_a_run_that_stalled_says_of_its_last_attempt_what_it_did(seed, fell):
    fit, _ = failed(TIED, stick(seed), start={"b": 2.0, "c": 2.6}, starts=1)
    assert (fit.trace.loss[-1] < fit.trace.loss[-2]) == fell
    object.__setattr__(fit, "solution", replace(fit.solution, reason={"ending": "stalled"}))
    said = flat(fit.explain())
    attempts = len(fit.trace) - 1
    assert (f"stalled after {attempts} attempts: the last made the loss a little smaller" in said) == fell
    assert (f"stalled after {attempts} attempts: none made the loss smaller any more" in said) == (not fell)
    assert "next another start; the formula may be flat, or jump" in said


def test_an_undamped_attempt_whose_gradient_has_not_vanished_is_not_said_to_have_it_so():
    fit, _ = failed(TIED, stick(3), start={"b": 2.0, "c": 2.6}, starts=1)
    taken = [k for k in range(1, len(fit.trace)) if fit.trace.extra["damping"][k - 1] == 0.0]
    assert np.abs(fit.trace.gradient[[k - 1 for k in taken]]).max() > 1e-3
    for k in taken:
        told = " ".join(fit.step(k).explain().split())
        assert "gradient has vanished" not in told
        assert ("no damped step promises" in told) == bool(fit.trace.extra["accepted"][k - 1])
    x = np.linspace(0.0, 5.0, 50)
    for y in (2.0 * np.exp(-0.7 * x), 2.0 * np.exp(-0.7 * x) + 0.1 * np.sin(9.0 * x)):  # a perfect fit, and one
        good = km.fit("y ~ a*exp(-b*x)", {"x": x, "y": y}, start={"a": 1.0, "b": 1.0}, starts=1)
        last = len(good.trace) - 1
        assert good.trace.extra["damping"][last - 1] == 0.0
        assert "gradient has vanished to rounding" in " ".join(good.step(last).explain().split())


def test_attempts_and_time_that_are_over_are_told_apart():
    x = np.linspace(0.0, 5.0, 400_000)
    data = {"x": x, "y": 2.0 * np.exp(-0.7 * x) + 0.1 * np.sin(99.0 * x)}
    start = {"a": 9.0, "b": 9.0}
    fit, error = failed("y ~ a*exp(-b*x)", data, start=start, starts=1, max_seconds=1e-9)
    assert error.code == "E-TIME"
    assert "the time was over before the 1000 steps" in flat(fit.explain())
    assert fit.explain().advice.key == "explain.run.next.time"
    fit, _ = failed("y ~ a*exp(-b*x)", data, start=start, starts=1, solver=km.LevenbergMarquardt(max_steps=2))
    assert "the 2 attempts that it may take are over" in flat(fit.explain())
    assert "a larger max_steps" in flat(fit.explain())

"""The story of a whole run: the tutorial's true numbers, and for each event a run that has it and one that has not."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pytest

import katamuki as km
from katamuki.explain.run.descent import pace_of
from katamuki.explain.run.record import RunStory

START = {"a": 0.5, "b": 0.5}


def told(model: Any = "y ~ a*x + b", data: Any = None, **options: Any) -> RunStory:
    """The story of a fit, whether it failed or not."""
    if data is None:
        data = km.datasets("tutorial")
        options = {"start": START} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        try:
            return km.fit(model, data, **options).explain()
        except km.NotConverged as error:
            return cast(km.Fit, error.fit).explain()


def of(story: RunStory, code: str) -> tuple[int, Mapping[str, Any]]:
    """The step and the values of the only event of a code."""
    (found,) = [event for event in story.events if event.code == code]
    return found.step, found.values


def codes(story: RunStory) -> set[str]:
    return {event.code for event in story.events}


@pytest.fixture(scope="module")
def tutorial() -> RunStory:
    return told(solver=km.RMSprop(lr=1e-3, steps=6000))


def test_the_tutorial_has_the_numbers_that_pytorch_and_numpy_gave(tutorial: RunStory) -> None:
    step, start = of(tutorial, "start")
    assert (step, f"{start['loss']:.6f}", start["same"]) == (1, "7.505700", True)
    assert start["size"] == pytest.approx(0.01, rel=1e-6)
    assert start["in_lr"] == pytest.approx(10.0, rel=1e-6)
    step, valley = of(tutorial, "valley")
    assert (step, f"{valley['loss']:.3f}", f"{valley['to']['a']:.4f}") == (312, "1.792", "0.7195")
    step, floor = of(tutorial, "floor")
    assert (step, f"{floor['loss']:.6f}") == (3246, "1.251181")
    assert floor["rises"] == {"b": True, "a": False}
    assert floor["condition"] == pytest.approx(844.4, abs=0.05)
    assert floor["centring"]["columns"] == ["x"]
    assert floor["centring"]["condition"] == pytest.approx(10.0, abs=1e-9)
    assert of(tutorial, "stability_limit")[0] == 1183
    assert of(tutorial, "zigzag")[0] == 1258
    step, cycle = of(tutorial, "cycle")
    assert abs(step - 3419) <= 20
    assert cycle["half_lr"]
    assert cycle["factor"] == pytest.approx(110.0)
    assert cycle["above"] == pytest.approx(0.0000275, rel=1e-5)
    result = tutorial.result
    assert f"{result['in_stderr']['a']:.4f} {result['in_stderr']['b']:.4f}" == "0.0042 0.0004"
    assert abs(result["in_lr"]["a"]) == pytest.approx(0.5, abs=1e-6)


def test_the_tutorial_is_told_in_a_dozen_and_a_half_lines(tutorial: RunStory) -> None:
    text = str(tutorial)
    assert len(text.splitlines()) <= 18
    for part in ("7.505700", "312", "0.7195", "1183", "1258", "3246", "844", "0.500591", "3.000091", "0.0042"):
        assert part in text
    last = text.splitlines()[-1]
    assert last.startswith("  next")


def sigmoid(seed: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.linspace(-3, 3, 30)
    return {"x": x, "y": 1 / (1 + np.exp(-(2 * x + 0.5))) + 0.02 * rng.normal(size=30)}


SIGMOID = "y ~ 1/(1+exp(-(a*x+b)))"
DECAY = "y ~ a*exp(-b*x) + c"


def decay(noise: float = 0.1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    x = np.linspace(0, 10, 40)
    return {"x": x, "y": 5 * np.exp(-0.5 * x) + 1 + noise * rng.normal(size=40)}


def test_a_learning_rate_past_the_limit_diverges_and_the_largest_safe_one_is_named() -> None:
    story = told(solver=km.SGD(lr=0.0109, steps=20_000))
    step, values = of(story, "diverged")
    assert step == 4335
    x = np.asarray(km.datasets("tutorial")["x"], dtype=float)
    hessian = 2 * np.array([[np.mean(x * x), np.mean(x)], [np.mean(x), 1.0]])
    bends = np.linalg.eigvalsh(hessian)
    assert values["largest_lr"] == pytest.approx(2 / bends[1], rel=1e-12)
    assert values["fastest_lr"] == pytest.approx(2 / bends.sum(), rel=1e-12)
    assert values["growth"] == pytest.approx((0.0109 * bends[1] - 1) ** 2, rel=1e-6)  # the loss goes with the square
    text = str(story)
    assert "diverged" in text
    assert "0.010882" in text
    assert "4335" in text
    assert of(told(solver=km.SGD(lr=0.011, steps=20_000)), "diverged")[0] == 655
    assert "diverged" not in codes(told(solver=km.SGD(lr=0.0108, steps=8000)))


def test_below_the_limit_it_jumps_across_the_valley_and_far_below_it_does_not() -> None:
    x = np.asarray(km.datasets("tutorial")["x"], dtype=float)
    bend = np.linalg.eigvalsh(2 * np.array([[np.mean(x * x), np.mean(x)], [np.mean(x), 1.0]]))[1]
    assert of(told(solver=km.SGD(lr=0.0108, steps=500)), "overshoots")[1]["stability"] == pytest.approx(0.0108 * bend)
    assert "overshoots" not in codes(told(solver=km.SGD(lr=0.005, steps=500)))  # 0.92: less than 1


def test_a_cycle_is_told_for_every_rate_and_not_for_gradient_descent() -> None:
    for lr in (0.1, 0.01):
        story = told(solver=km.RMSprop(lr=lr, steps=6000))
        _, cycle = of(story, "cycle")
        assert cycle["half_lr"]
        assert cycle["above"] == pytest.approx(110 * (lr / 2) ** 2, rel=1e-4)
    assert not codes(told(solver=km.SGD(lr=0.01, steps=6000))) & {"cycle", "zigzag", "stability_limit"}


def test_centring_is_the_condition_of_the_centred_columns() -> None:
    data = km.datasets("tutorial")
    x = np.asarray(data["x"], dtype=float)
    found = told("y ~ a*x + b", data, solver="lm").result["centring"]
    assert found["condition"] == pytest.approx(np.mean((x - x.mean()) ** 2))
    assert found["means"] == [pytest.approx(x.mean())]
    assert told("y ~ a*x", data, solver="lm").result["centring"] is None  # a·(x − 9) is another curve
    curve = told("y ~ a*x**2 + b*x + c", data, solver="lm").result
    u = x - x.mean()
    columns = np.column_stack([u * u, u, np.ones(11)])
    assert curve["centring"]["condition"] == pytest.approx(np.linalg.cond(columns.T @ columns), rel=1e-6)
    squares = np.column_stack([x * x, x, np.ones(11)])
    assert curve["condition"] == pytest.approx(np.linalg.cond(squares.T @ squares), rel=1e-6)


def test_centring_a_nonlinear_formula_keeps_its_curve() -> None:
    rng = np.random.default_rng(3)
    x = np.linspace(4, 14, 60)
    data = {"x": x, "y": 5 * np.exp(-0.3 * x) + 0.001 * rng.normal(size=60)}
    fit = km.fit("y ~ a*exp(-b*x)", data, start={"a": 5, "b": 0.3})
    found = fit.explain().result["centring"]
    a, b = fit.params["a"], fit.params["b"]
    moved = a * np.exp(-b * x.mean())  # the same curve through x − x̄
    e = np.exp(-b * (x - x.mean()))
    jacobian = np.column_stack([e, -moved * (x - x.mean()) * e])
    assert found["condition"] == pytest.approx(np.linalg.cond(jacobian.T @ jacobian), rel=1e-5)


def test_the_steps_still_needed_are_those_that_another_run_takes() -> None:
    for solver, longer in (
        (km.SGD(lr=0.01, steps=2000), km.SGD(lr=0.01, steps=12_000)),
        (km.SGD(lr=0.01, momentum=0.5, steps=1000), km.SGD(lr=0.01, momentum=0.5, steps=12_000)),
    ):
        rest = told(solver=solver).result["rest"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", km.FitWarning)
            fit = km.fit("y ~ a*x + b", km.datasets("tutorial"), solver=longer, start=START)
        best = np.array([0.5000909090909091, 3.0000909090909094])
        assert fit.trace is not None
        out = (np.abs(fit.trace.params - best) > 1e-6 * best).any(axis=1)
        truth = int(np.flatnonzero(out)[-1]) + 1 - solver.steps
        assert rest["low"] == rest["high"]
        assert rest["high"] == pytest.approx(truth, rel=0.02)
    rest = told(solver=km.Adam(lr=0.001, steps=6000)).result["rest"]
    assert rest["low"] < 8922 - 6000 < rest["high"]  # six digits before step 8922, as a longer run shows
    assert told(solver=km.SGD(lr=0.01, steps=20_000)).result["rest"] is None


def test_momentum_swings_across_the_answer_and_plain_descent_does_not() -> None:
    step, values = of(told(solver=km.SGD(lr=0.01, momentum=0.99, steps=600)), "swings")
    slow = 0.2176487 * 0.01  # smallest eigenvalue × lr: z² − (1 + β − μ)z + β = 0 turns by this angle a step
    angle = np.arccos((1.99 - slow) / (2 * np.sqrt(0.99)))
    assert values["name"] == "b"
    assert values["period"] == pytest.approx(2 * np.pi / angle, rel=0.02)
    assert values["kept"] == pytest.approx(0.99 ** (np.pi / angle / 2), rel=0.05)
    assert step == 70
    assert "swings" not in codes(told(solver=km.SGD(lr=0.01, steps=600)))


def test_bursts_of_adam_are_told_and_a_quiet_run_has_none() -> None:
    story = told(solver=km.Adam(lr=0.01, steps=20_000))
    _, burst = of(story, "burst")
    assert burst["level"] <= 1e-3
    assert burst["distance"] > 2 * burst["level"]
    assert "smaller lr" in str(story)
    assert "burst" not in codes(told(solver=km.Adam(lr=0.01, steps=3000)))
    assert "burst" not in codes(told(solver=km.RMSprop(lr=1e-3, steps=6000)))


def test_plateaus_are_flat_places_or_small_steps() -> None:
    flat = of(told(SIGMOID, sigmoid(), start={"a": -8, "b": 3}, solver=km.SGD(lr=1.0, steps=3000)), "plateau")[1]
    assert (flat["kind"], flat["left"]) == ("flat", True)
    stuck = told(SIGMOID, sigmoid(), start={"a": 60, "b": -400}, solver=km.SGD(lr=1.0, steps=500))
    assert of(stuck, "plateau")[1]["kind"] == "flat"
    assert "another start" in str(stuck).splitlines()[-1]
    creeping = told(SIGMOID, sigmoid(), start={"a": 1, "b": 1}, solver=km.SGD(lr=1e-7, steps=3000))
    assert of(creeping, "plateau")[1]["kind"] == "creeps"
    straight = told(SIGMOID, sigmoid(), start={"a": 1, "b": 1}, solver=km.SGD(lr=1.0, steps=3000))
    assert "plateau" not in codes(straight)
    assert "plateau" not in codes(told(solver=km.RMSprop(lr=1e-3, steps=6000)))


def test_where_no_parameter_moves_the_curve_a_small_gradient_is_no_minimum() -> None:
    story = told(SIGMOID, sigmoid(), start={"a": 60, "b": -400})
    assert "saturated" in codes(story)
    assert "is no minimum" in " ".join(str(story).split())
    assert "saturated" not in codes(told(SIGMOID, sigmoid(), start={"a": 1, "b": 1}))


def test_what_is_not_finite_is_named_with_rows_and_parameters() -> None:
    story = told("y ~ a*log(x-b) + c", decay(), solver=km.SGD(lr=0.5, steps=3000), start={"a": 1, "b": -1, "c": 1})
    _, values = of(story, "not_finite")
    assert values["part"] == "log(x-b)"
    assert values["count"] == 40
    assert values["params"]["b"] > 10.0
    assert "log(x-b) has no finite value in all 40 rows" in str(story)
    assert "log needs x - b > 0" in str(story)
    assert "not_finite" not in codes(told(solver=km.SGD(lr=0.0109, steps=20_000)))
    overflow = told(DECAY, decay(), start={"a": 1, "b": -40, "c": 3})
    assert of(overflow, "not_finite")[1]["squares"]


def test_gradients_that_add_up_are_momentum_of_one() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        fit = km.fit("y ~ a*x + b", km.datasets("tutorial"), solver=km.SGD(lr=0.001, steps=3000), start=START)
        story = fit.without_zero_grad().explain()
        assert "accumulates" not in codes(fit.explain())
        rms = km.fit("y ~ a*x + b", km.datasets("tutorial"), solver=km.RMSprop(steps=500), start=START)
        other = rms.without_zero_grad().explain()
    assert of(story, "accumulates")[1]["plain"]
    assert "momentum with β = 1" in " ".join(str(story).split())
    assert of(story, "swings")[1]["kept"] == pytest.approx(1.0, abs=2e-3)
    assert "momentum with β = 1" not in " ".join(str(other).split())
    assert "sum of all gradients" in " ".join(str(other).split())


def test_weight_decay_and_a_least_step_keep_a_run_away() -> None:
    assert "pulled" in codes(told(solver=km.SGD(lr=0.01, weight_decay=0.1, steps=8000)))
    assert "pulled" not in codes(told(solver=km.SGD(lr=0.01, steps=8000)))
    assert "smallest" in codes(told(solver=km.Rprop(steps=300)))


def test_a_run_is_told_where_its_time_was_over() -> None:
    story = told(solver=km.SGD(lr=0.001, steps=100_000_000), max_seconds=0.05)
    assert of(story, "time_over")[1]["asked"] == 100_000_000
    assert "time_over" not in codes(told(solver=km.SGD(lr=0.001, steps=100)))


def test_levenberg_marquardt_lists_attempts_and_tells_its_pace() -> None:
    story = told(DECAY, decay(0.1), starts=1)
    attempts = [event for event in story.events if event.code == "attempt"]
    steps = [event.step for event in attempts]
    assert steps[:3] == [1, 2, 3]
    assert steps[-1] == story.header["steps"]
    _, ending = of(story, "converged")
    assert ending["cosine"] < 1e-9
    assert of(told(DECAY, decay(1e-6), starts=1), "converged")[1]["pace"] == "superlinear"
    assert of(told(DECAY, decay(0.5), starts=1), "converged")[1]["pace"] == "linear"
    assert "refused" in codes(story)
    assert "refused" not in codes(told("y ~ a*x + b", km.datasets("tutorial"), solver="lm"))


def test_digits_of_attempts_are_counted_against_the_answer() -> None:
    fit = km.fit(DECAY, decay(0.1), starts=1)
    _, ending = of(fit.explain(), "converged")
    assert fit.trace is not None
    best = np.array([fit.params[name] for name in fit.trace.names])
    for row, said in enumerate(ending["digits"]):
        worst = float((np.abs(fit.trace.params[row] - best) / np.abs(best)).max())
        if said is not None and 0.0 < said < 14.0:
            assert said == pytest.approx(-np.log10(worst))


def test_attempts_that_were_too_few_are_said() -> None:
    story = told(DECAY, decay(), solver=km.LevenbergMarquardt(max_steps=4), starts=1)
    assert of(story, "attempts_over")[1]["attempts"] == 4
    assert "attempts_over" not in codes(told(DECAY, decay()))


def test_a_thinned_trace_says_that_it_is() -> None:
    story = told(solver=km.SGD(lr=0.01, momentum=0.9, steps=3_000_000))
    assert story.header["kept"] < 20_000
    assert "between them nothing is known" in str(story)
    assert "between them" not in str(told(solver=km.SGD(lr=0.01, steps=500)))
    levels = of(story, "arrival")[1]["levels"]
    assert [(one["level"], one["step"]) for one in levels] == [(0.1, 122), (0.01, 197), (0.001, 272)]


def test_arrivals_are_those_of_the_race_table() -> None:
    levels = of(told(solver=km.RMSprop(lr=1e-3, steps=6000)), "arrival")[1]["levels"]
    assert [one["step"] for one in levels] == pytest.approx([2804, 3066, 3246], abs=1)
    assert "arrival" not in codes(told(solver=km.SGD(lr=0.001, steps=100)))


def test_a_language_that_is_not_there_is_an_error_before_any_work() -> None:
    fit = km.fit("y ~ a*x + b", km.datasets("tutorial"))
    with pytest.raises(km.BoundsError, match="xx"):
        fit.explain("xx")
    with pytest.raises(km.BoundsError, match="xx"):
        fit.explain().text("xx")


def test_at_the_limit_steps_go_to_and_fro_on_a_plateau() -> None:
    story = told(solver=km.SGD(lr=0.010882437, steps=3000))
    assert of(story, "plateau")[1]["kind"] == "jumps"
    assert story.advice.key == "explain.run.next.cycle.smaller"  # a tenth of lr does not leave a tenth: it arrives


def test_what_the_data_do_not_tell_apart_is_named_and_no_distance_to_one_of_many_answers() -> None:
    story = told("y ~ (a + c)*x + b", km.datasets("tutorial"), solver=km.SGD(lr=0.005, steps=2000))
    _, values = of(story, "undetermined")
    assert (values["names"], values["text"]) == (["a", "c"], "a + c")
    assert not codes(story) & {"arrival", "valley"}
    assert "difference" not in story.result
    assert "undetermined" in codes(told("y ~ (a + c)*x + b", km.datasets("tutorial")))
    assert "undetermined" not in codes(told("y ~ a*x + b", km.datasets("tutorial")))


def test_the_gradient_test_leaves_out_what_a_bound_holds() -> None:
    bounds = {"a": (0.0, 0.4)}
    story = told("y ~ a*x + b", km.datasets("tutorial"), bounds=bounds, start={"a": 0.2, "b": 1.0})
    assert of(story, "at_bound")[1]["names"] == ["a"]
    assert of(story, "converged")[1]["cosine"] < 1e-9
    assert "at_bound" not in codes(told("y ~ a*x + b", km.datasets("tutorial"), solver="lm"))


def test_lbfgs_that_stops_by_itself_was_not_out_of_time() -> None:
    found = codes(
        told(DECAY, decay(), solver=km.LBFGS(tolerance_grad=1e-2, steps=50), start={"a": 4, "b": 0.4, "c": 1})
    )
    assert "stopped" in found
    assert "time_over" not in found


@pytest.mark.parametrize(
    ("digits", "pace"),
    [
        ([0.1, 0.5, 1.0, 2.0, 4.0, 8.0, None], "quadratic"),
        ([0.5, 1.0, 2.1, 3.5, 5.3, 7.6, 10.3, 13.4], "superlinear"),
        ([1.0, 1.9, 2.8, 3.7, 4.6], "linear"),
        ([1.0, 3.0, 3.1, 9.0, 9.2], None),
        ([1.0, 2.0], None),
        (None, None),
    ],
)
def test_the_pace_of_digits(digits: list[float | None] | None, pace: str | None) -> None:
    assert pace_of(digits, np.ones(9))["pace"] == pace


def test_a_run_of_torch_is_told_like_ours() -> None:
    story = told(solver=km.RMSprop(lr=1e-3, steps=2000), backend="torch")
    ours = told(solver=km.RMSprop(lr=1e-3, steps=2000))
    assert [(event.step, event.code) for event in story.events] == [(event.step, event.code) for event in ours.events]
    assert "torch" in str(story).splitlines()[0]
    single = told(solver=km.RMSprop(lr=1e-3, steps=6000), backend="torch", dtype="float32")
    assert "float32" in str(single).splitlines()[0]
    assert abs(of(single, "cycle")[0] - 3412) <= 20


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's own, on first use
def test_a_network_is_told_without_an_answer_to_compare_with() -> None:
    import torch

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1)).double()
    rng = np.random.default_rng(4)
    x = np.linspace(0, 6, 50)
    data = {"x": x, "y": np.sin(x) + 0.05 * rng.normal(size=50)}
    story = told(net, data, target="y", inputs=["x"], solver=km.Adam(lr=0.01, steps=100))
    assert story.result["reference"] is None
    assert of(story, "start")[1]["same"]
    assert "turn" not in codes(story)  # of 49 parameters some turn back by chance
    assert "and 37 more" in str(story)
    with pytest.raises(km.NotConverged):
        km.fit(net, data, target="y", inputs=["x"], solver=km.SGD(lr=100.0, steps=100))
    assert "diverged" in codes(told(net, data, target="y", inputs=["x"], solver=km.SGD(lr=100.0, steps=100)))


def test_advice_holds_the_numbers_that_it_rounds_when_it_is_said() -> None:
    story = told(solver=km.SGD(lr=0.0109, steps=20_000))
    _, values = of(story, "diverged")
    copied = pickle.loads(pickle.dumps(story.advice))
    for held in (story.advice.values, copied.values, story.to_dict()["advice"]["values"]):
        assert held["largest"] == values["largest_lr"] != 0.010882
    assert str(copied).startswith("lr below 0.010882, best 0.01")

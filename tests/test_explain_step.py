"""The facts of one step: the tutorial's exact values, strangers for gradients and curvature, and every kind of run."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import fastjsonschema
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import katamuki as km
from katamuki.backends.numpy_ import evaluate
from katamuki.explain.graph.sketch import Sketch
from katamuki.explain.graph.tape import CHUNK, record
from katamuki.explain.step import curvature
from katamuki.graph import derivative
from random_formulas import graphs

pytestmark = pytest.mark.filterwarnings("ignore::katamuki.FitWarning")
TUTORIAL = {"start": {"a": 0.5, "b": 0.5}, "solver": km.RMSprop(lr=0.001, steps=6000)}
DECAY = {"t": [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0], "y": [3.05, 2.01, 1.42, 1.12, 0.85, 0.63, 0.56, 0.49]}
SCHEMA = json.loads((Path(curvature.__file__).parent / "step.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def fit() -> km.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        return km.fit("y ~ a*x + b", km.datasets("tutorial"), **TUTORIAL)  # type: ignore[arg-type]


def test_step_1_of_the_tutorial_has_the_exact_values(fit: km.Fit) -> None:
    found = fit.step(1).to_dict()
    near = lambda value: pytest.approx(value, rel=1e-12, abs=1e-12)  # noqa: E731
    nodes = {node["name"]: node for node in found["tape"]["nodes"]}
    x, y = (np.array(one) for one in (fit.columns["x"], fit.columns["y"]))
    assert nodes["ŷ"]["value"] == near((0.5 * x + 0.5).tolist())
    assert nodes["e"]["value"] == near((0.5 * x + 0.5 - y).tolist())
    back = [-0.46182, -0.44545, -0.10545, -0.69273, -0.42364, -0.44727, -0.68, -0.32, -0.78909, -0.14909, -0.48727]
    assert nodes["ŷ"]["gradient"] == pytest.approx(back, abs=5e-6)
    assert nodes["ŷ"]["gradient"] == near((2.0 / 11.0 * (0.5 * x + 0.5 - y)).tolist())
    (through_a,) = [one for one in found["tape"]["flows"] if one["to"] == "a"]
    assert through_a["value"][:3] == pytest.approx([-4.61818, -3.56364, -1.37091], abs=5e-6)
    assert through_a["sum"] == near(-45.018181818181816)
    assert found["gradient"]["a"] == near(-(2 / 11) * 247.60)
    assert found["gradient"]["b"] == near(-(2 / 11) * 27.51)
    assert found["loss"] == near(82.5627 / 11)
    assert found["memory"]["v"] == {"a": 0.0, "b": 0.0}
    assert found["memory_after"]["v"]["a"] == near(20.266366942149)
    assert found["memory_after"]["v"]["b"] == near(0.250181851240)
    assert found["memory_after"]["divisor"] == {"a": near(4.501818191818), "b": near(0.500181828182 - 1e-17)}
    assert found["after"]["a"] == near(0.509999999977787)
    assert found["after"]["b"] == near(0.509999999800073)
    helped = found["helped"]
    assert helped["promise"] == near(-45.018181818181816 * 0.009999999977787 - 5.001818181818182 * 0.009999999800073)
    assert helped["bend"] == pytest.approx(0.5 * (182 + 2 * 18 + 2) * 0.01**2, abs=1e-9)
    assert helped["curvature"] == [[near(182.0), near(18.0)], [near(18.0), near(2.0)]]
    assert helped["change"] == near(helped["promise"] + helped["bend"])
    assert abs(helped["rest"]) < 1e-12
    assert helped["distance"]["a"] == [near(0.5000909090909091 - 0.5), near(0.509999999977787 - 0.5000909090909091)]


LATER = {  # k: a, b, loss, gradients, v, new values, loss after: as the tutorial's description has them
    2: (0.51, 0.51, 7.016500, -43.0182, -4.80182, 38.5693, 0.478255, 0.516927, 0.516943, 6.690462),
    3: (0.516927, 0.516943, 6.690462, -41.6325, -4.66325, 55.5163, 0.690931, 0.522514, 0.522554, 6.435113),
    6000: (0.499591, 2.999591, 1.251181, -0.1, -0.01, 0.01, 0.0001, 0.500591, 3.000591, 1.251181),
}


@pytest.mark.parametrize("k", LATER)
def test_later_steps_have_the_numbers_of_the_tutorial(fit: km.Fit, k: int) -> None:
    step = fit.step(k)
    a, b, loss, grad_a, grad_b, v_a, v_b, new_a, new_b, after = LATER[k]
    assert [step.before[name] for name in "ab"] == pytest.approx([a, b], abs=5.1e-7)
    assert [step.gradient[name] for name in "ab"] == pytest.approx([grad_a, grad_b], rel=5e-6)
    assert [step.memory_after["v"][name] for name in "ab"] == pytest.approx([v_a, v_b], rel=5e-6)
    assert [step.after[name] for name in "ab"] == pytest.approx([new_a, new_b], abs=5.1e-7)
    assert (step.loss, step.loss_after) == pytest.approx((loss, after), abs=5e-7)


@given(graph=graphs(), seed=st.integers(0, 1000), weighted=st.booleans())
@settings(max_examples=80, deadline=None)
def test_the_tape_sends_back_what_the_derivative_graph_gives(graph: object, seed: int, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    columns = {name: rng.uniform(0.5, 1.5, 6) for name in graph.columns}  # type: ignore[attr-defined]
    y, w = rng.uniform(-1, 1, 6), rng.uniform(0.5, 2.0, 6) if weighted else None
    params = {name: float(rng.uniform(0.5, 1.5)) for name in graph.parameters}  # type: ignore[attr-defined]
    rows = columns or {"": y}
    f, *slopes = evaluate(derivative(graph), rows, params)  # type: ignore[arg-type]
    tape = record(Sketch(graph, "y", tuple(params), ()), columns, y, w, params)  # type: ignore[arg-type]
    e = f - y if w is None else w * (f - y)
    for name, slope in zip(params, slopes, strict=True):
        want = 2.0 / 6.0 * e * slope
        if np.isfinite(want).all():
            assert tape.gradient(name) == pytest.approx(want.sum(), rel=1e-9, abs=1e-11 * np.abs(want).sum() + 1e-300)


def test_the_curvature_is_pytorchs_hessian() -> None:
    fit = km.fit("y ~ a*exp(-b*t) + c", DECAY, start={"a": 2.0, "b": 1.0, "c": 0.1}, weights=[1, 2, 1, 3, 1, 1, 2, 1])
    t, y = torch.tensor(DECAY["t"], dtype=torch.float64), torch.tensor(DECAY["y"], dtype=torch.float64)
    w = torch.tensor([1, 2, 1, 3, 1, 1, 2, 1], dtype=torch.float64)

    def loss(p: torch.Tensor) -> torch.Tensor:
        return (w * (p[0] * torch.exp(-p[1] * t) + p[2] - y) ** 2).mean()

    at = torch.tensor([2.0, 1.0, 0.1], dtype=torch.float64)
    want = torch.autograd.functional.hessian(loss, at).numpy()
    step = fit.step(1)
    np.testing.assert_allclose(step.helped.curvature, want, rtol=1e-12)
    delta = np.array([step.after[name] - step.before[name] for name in step.free])
    assert step.helped.bend == pytest.approx(0.5 * delta @ want @ delta, rel=1e-12)
    subject = step.subject
    assert subject.graph is not None
    given_ = (subject.graph, subject.columns, subject.y, subject.weights, step.before)
    along = curvature.bend(*given_, dict(zip(step.free, delta.tolist(), strict=True)))
    assert along == pytest.approx(step.helped.bend, rel=1e-12)
    assert step.helped.rest is not None
    assert step.helped.change == pytest.approx(step.helped.promise + step.helped.bend + step.helped.rest, rel=1e-14)


@given(graph=graphs(depth=3), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_the_bend_along_a_step_is_that_of_the_whole_curvature(graph: object, seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = {name: rng.uniform(0.5, 1.5, 5) for name in graph.columns}  # type: ignore[attr-defined]
    params = {name: float(rng.uniform(0.5, 1.5)) for name in graph.parameters}  # type: ignore[attr-defined]
    move = {name: float(rng.standard_normal()) for name in params}
    y = rng.uniform(-1, 1, 5)
    h = curvature.hessian(graph, columns, y, None, params, tuple(params))  # type: ignore[arg-type]
    delta = np.array(list(move.values()))
    if np.isfinite(h).all():
        size = 0.5 * np.abs(delta) @ np.abs(h) @ np.abs(delta)
        found = curvature.bend(graph, columns, y, None, params, move)  # type: ignore[arg-type]
        assert found == pytest.approx(0.5 * delta @ h @ delta, abs=1e-8 * size + 1e-12)


@pytest.mark.parametrize("formula", ["y ~ a*exp(-b*t) + c", "y ~ a/(1 + b*t) + c", "y ~ a*exp(-b*t**2)*cos(c*t)"])
def test_differences_agree_with_the_derivative(formula: str) -> None:
    start = {"a": 2.0, "b": 0.7, "c": 0.3}
    fit = km.fit(formula, DECAY, start=start, solver=km.SGD(lr=1e-3, steps=5))
    for k in (1, 5):
        found = fit.step(k).differences
        assert found is not None
        assert found.apart is not None
        assert found.apart < 1e-9


def test_differences_notice_a_wrong_gradient() -> None:
    from katamuki.explain.step.differences import differences

    one = np.array([1.0])
    found = differences(lambda at: at[:, 0] ** 2, 3.0 * one, one, 1.0, 6.0001 * one, 6.0 * one, ("a",))
    assert found.apart == pytest.approx(1e-4 / 6.0, rel=1e-3)


def test_a_step_that_a_long_trace_left_out_is_repeated_exactly() -> None:
    solver = km.RMSprop(lr=1e-4, steps=1_200_000)
    fit = km.fit("y ~ a*x + b", km.datasets("tutorial"), start={"a": 0.5, "b": 0.5}, solver=solver)
    assert fit.trace is not None
    gap = int(np.flatnonzero(np.diff(fit.trace.index) > 2)[100])
    k = int(fit.trace.index[gap]) + 2
    assert k - 1 not in fit.trace.index
    step = fit.step(k)
    short = km.fit(
        "y ~ a*x + b", km.datasets("tutorial"), start={"a": 0.5, "b": 0.5}, solver=km.RMSprop(lr=1e-4, steps=k)
    )
    assert step.after == short.params
    assert step.before == dict(zip("ab", short.trace.params[-2].tolist(), strict=True))  # type: ignore[union-attr]


def test_a_loaded_fit_tells_the_same_story(fit: km.Fit, tmp_path: Path) -> None:
    fit.save(tmp_path / "fit.json")
    assert km.load(tmp_path / "fit.json").step(17).explain() == fit.step(17).explain()


def test_a_run_that_diverged_is_told_to_its_end() -> None:
    solver = km.SGD(lr=0.0109, steps=6000)
    with pytest.raises(km.NotConverged) as raised:
        km.fit("y ~ a*x + b", km.datasets("tutorial"), start={"a": 0.5, "b": 0.5}, solver=solver)
    lost = raised.value.fit
    assert isinstance(lost, km.Fit)
    assert lost.trace is not None
    last = lost.step(int(lost.trace.index[-1]))
    assert last.loss_after > last.loss
    assert {"rose.bend", "stability"} <= {one.key for one in last.remarks}
    (said,) = [one.values["value"] for one in last.remarks if one.key == "stability"]
    assert said == pytest.approx(0.0109 * 183.782, rel=1e-4)


def test_gradients_that_add_up_are_told_apart() -> None:
    start = {"a": 0.5, "b": 0.5}
    fit = km.fit("y ~ a*x + b", km.datasets("tutorial"), start=start, solver=km.RMSprop(lr=0.001, steps=60))
    step = fit.without_zero_grad().step(2)
    assert step.left is not None
    assert step.left["a"] == pytest.approx(-45.0182, abs=5e-5)
    assert step.left["a"] + step.gradient["a"] == pytest.approx(-88.0364, abs=5e-5)
    said = step.explain()
    assert "a.grad = −45.0182 (left from step 1) + −43.0182 (new) = −88.0364" in said
    assert "b.grad = −5.00182 (left from step 1) + −4.80182 (new) = −9.80364" in said
    assert "(−88.0364)²" in said


def test_more_rows_than_are_kept_have_the_same_sums() -> None:
    rng = np.random.default_rng(3)
    n = CHUNK + 1000
    x = rng.uniform(0, 3, n)
    data = {"x": x, "y": 2 * np.exp(-0.5 * x) + 0.1 * rng.standard_normal(n)}
    fit = km.fit("y ~ a*exp(-b*x)", data, start={"a": 1.0, "b": 1.0})
    step = fit.step(1)
    assert len(step.tape.rows) == 2000
    for name in step.free:
        assert step.tape.gradient(name) == pytest.approx(step.gradient[name], rel=1e-10)
    text = step.explain(row=n - 7)
    assert f"{n - 11} more rows" in text
    assert len(text) < 10_000
    line = next(line for line in text.splitlines() if line.split()[:1] == [str(n - 7)])
    assert float(line.split()[1]) == pytest.approx(x[n - 8], rel=1e-5)


def test_the_dictionary_is_what_the_schema_says(fit: km.Fit) -> None:
    validate = fastjsonschema.compile(SCHEMA)
    others = [km.fit("y ~ a*exp(-b*t) + c", DECAY), km.fit("y ~ a*t + b", DECAY, solver=km.LBFGS(), weights=[1.0] * 8)]
    for step in (fit.step(1), fit.step(6000), *(one.step(1) for one in others)):
        found = json.loads(json.dumps(step.to_dict(), allow_nan=False))
        validate(found)
        assert found["loss"] == step.loss
    broken = fit.step(1).to_dict() | {"schema": "katamuki.step/2"}
    with pytest.raises(fastjsonschema.JsonSchemaException):
        validate(broken)


def test_iterations_of_l_bfgs_add_up_to_the_step() -> None:
    for solver in (km.LBFGS(), km.LBFGS(line_search_fn="strong_wolfe"), km.LBFGS(max_iter=2, steps=8)):
        fit = km.fit("y ~ a*exp(-b*t) + c", DECAY, start={"a": 2.0, "b": 1.0, "c": 0.1}, solver=solver)
        for k in range(1, fit.solution.steps + 1):
            step = fit.step(k)
            assert step.iterations
            for name in step.free:
                moved = sum(one.length * one.direction[name] for one in step.iterations)
                assert step.after[name] - step.before[name] == pytest.approx(moved, abs=1e-14)
            first = step.iterations[0]
            assert first.gradient == pytest.approx(step.gradient, rel=1e-12, abs=1e-15)
            assert first.slope == pytest.approx(sum(first.gradient[name] * first.direction[name] for name in step.free))


@pytest.mark.parametrize("k", [0, -1, 6001, 10**20])
def test_a_step_that_is_not_there_is_refused_with_the_range(fit: km.Fit, k: int) -> None:
    with pytest.raises(km.BoundsError, match="steps 1 to 6000") as raised:
        fit.step(k)
    assert raised.value.code == "E-STEP"
    assert str(k) in str(raised.value)


@pytest.mark.parametrize("k", [1.0, "1", None, True, [1], np.float64(2.0)])
def test_a_step_is_a_whole_number(fit: km.Fit, k: object) -> None:
    with pytest.raises(km.BoundsError, match="whole number"):
        fit.step(k)  # type: ignore[arg-type]


def test_whole_numbers_of_numpy_are_steps(fit: km.Fit) -> None:
    assert fit.step(np.int32(3)).number == 3  # type: ignore[arg-type]


def test_a_closed_form_has_no_steps() -> None:
    with pytest.raises(km.BoundsError, match="normal_equations") as raised:
        km.fit("y ~ a*x + b", km.datasets("tutorial")).step(1)
    assert raised.value.code == "E-STEP"


@pytest.mark.parametrize("row", [0, -1, 12, 1.0, "2", True])
def test_a_row_that_is_not_there_is_refused(fit: km.Fit, row: object) -> None:
    with pytest.raises(km.BoundsError) as raised:
        fit.step(1).explain(row=row)  # type: ignore[arg-type]
    assert raised.value.code == "E-ROW"


def test_a_level_or_language_that_is_not_there_is_refused(fit: km.Fit) -> None:
    with pytest.raises(km.BoundsError, match="glance"):
        fit.step(1).explain(level="all")  # type: ignore[arg-type]
    with pytest.raises(km.BoundsError) as raised:
        fit.step(1).explain(lang="tlh")
    assert raised.value.code == "E-LANG"


def test_a_step_that_pytorchs_trace_left_out_is_refused_with_those_near_it() -> None:
    from dataclasses import replace

    from katamuki.explain.step.facts import step_of
    from katamuki.records import Trace

    solver = km.Adam(lr=0.01, steps=40)
    fit = km.fit("y ~ a*t + b", DECAY, start={"a": 0.5, "b": 0.5}, solver=solver, backend="torch")
    whole = fit.trace
    assert whole is not None
    rows = np.array([0, 1, 2, 10, 11, 40])
    extra = {name: one[rows] for name, one in whole.extra.items()}
    thin = Trace(whole.names, rows, whole.params[rows], whole.loss[rows], whole.gradient[rows], whole.step[rows], extra)
    subject = replace(fit.step(1).subject, trace=thin)
    with pytest.raises(km.BoundsError, match="such as 3 or 11") as raised:
        step_of(subject, 7)
    assert raised.value.code == "E-STEP"

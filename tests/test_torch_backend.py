"""Formulas by PyTorch: the printed function, its loss and gradient, torch.optim's optimizers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import katamuki as km
from katamuki.backends.kernel import Kernel
from katamuki.backends.torch_ import printing
from katamuki.formula import parse
from katamuki.graph import Graph
from katamuki.ops import TABLE
from random_formulas import graphs, point_of, torch_partials

pytestmark = pytest.mark.filterwarnings("ignore::katamuki.FitWarning")

TUTORIAL = km.datasets("tutorial")
X = np.asarray(TUTORIAL["x"])
Y = np.asarray(TUTORIAL["y"])
START = {"a": 0.5, "b": 0.5}
DECAY = "y ~ a*exp(-b*t) + c"
T = np.linspace(0.0, 4.0, 40)
DATA = {"t": T, "y": 2.0 * np.exp(-1.3 * T) + 0.5 + 0.02 * np.sin(37.0 * T)}

# Solvers whose every option torch.optim has under the same name; the ones that divide stand with a divisor.
SOLVERS = [
    km.SGD(lr=0.005, momentum=0.5, nesterov=True, steps=1000),
    km.RMSprop(lr=0.001, momentum=0.2, centered=True, steps=1000),
    km.Adam(lr=0.01, amsgrad=True, steps=1000),
    km.AdamW(lr=0.01, steps=1000),
    km.Adamax(lr=0.01, steps=1000),
    km.Adagrad(lr=0.3, lr_decay=0.01, steps=1000),
    km.Adadelta(lr=1.0, steps=1000),
    km.RAdam(lr=0.01, steps=1000),
    km.Rprop(lr=0.01, steps=30),
]


def learners(dtype: torch.dtype, steps: int, optimizer: Any, **options: Any) -> tuple[float, float, float]:
    """The tutorial's program: the last loss that it saw, and its parameters."""
    xi, yi = torch.tensor(X, dtype=dtype), torch.tensor(Y, dtype=dtype)
    a = torch.tensor(0.5, dtype=dtype, requires_grad=True)
    b = torch.tensor(0.5, dtype=dtype, requires_grad=True)
    optim = optimizer([a, b], **options)
    loss = torch.tensor(math.nan)
    for _ in range(steps):
        loss = ((yi - (a * xi + b)) ** 2).mean()
        optim.zero_grad()
        loss.backward()
        optim.step()
    return loss.item(), a.item(), b.item()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["squared", "module"])
def test_the_run_is_the_learners_own_program_to_the_bit(dtype: str, loss: str) -> None:
    cost = torch.nn.MSELoss() if loss == "module" else loss
    solver = km.RMSprop(lr=0.001, steps=500)
    fit = km.fit(
        "y ~ a*x + b", TUTORIAL, backend="torch", dtype=dtype, loss=cost, solver=solver, start=START, threads=1
    )
    seen, a, b = learners(getattr(torch, dtype), 500, torch.optim.RMSprop, lr=0.001)
    assert fit.params == {"a": a, "b": b}
    assert fit.trace is not None
    assert fit.trace.loss[499] == seen
    assert fit.solution.backend == "torch"
    assert fit.solution.dtype == dtype


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda one: type(one).__name__)
def test_compiled_rules_and_torch_optim_take_the_same_way(solver: Any) -> None:
    theirs = km.fit("y ~ a*x + b", TUTORIAL, backend="torch", solver=solver, start=START).trace
    ours = km.fit("y ~ a*x + b", TUTORIAL, solver=solver, start=START).trace
    assert theirs is not None
    assert ours is not None
    np.testing.assert_allclose(theirs.params, ours.params, rtol=1e-12, atol=0)
    np.testing.assert_allclose(theirs.loss, ours.loss, rtol=1e-12, atol=0)
    assert set(theirs.extra) == set(ours.extra)
    if "scale" in ours.extra:
        np.testing.assert_allclose(theirs.extra["scale"][:-1], ours.extra["scale"][:-1], rtol=1e-9)


@pytest.mark.parametrize(("name", "digits"), [("NAdam", 6), ("ASGD", 5)])
def test_where_torch_keeps_float32_numbers_the_ways_part_by_as_much(name: str, digits: int) -> None:
    solver = getattr(km, name)(lr=0.001, steps=200)
    theirs = km.fit("y ~ a*x + b", TUTORIAL, backend="torch", solver=solver, start=START).params
    ours = km.fit("y ~ a*x + b", TUTORIAL, solver=solver, start=START).params
    for key, value in ours.items():
        assert abs(theirs[key] / value - 1) < 10.0**-digits


def test_a_wrong_learning_rate_takes_another_way() -> None:
    theirs = km.fit("y ~ a*x + b", TUTORIAL, backend="torch", solver=km.Adam(lr=0.01, steps=100), start=START)
    ours = km.fit("y ~ a*x + b", TUTORIAL, solver=km.Adam(lr=0.0101, steps=100), start=START)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(theirs.trace.params, ours.trace.params, rtol=1e-12, atol=0)  # type: ignore[union-attr]


@pytest.mark.parametrize("weighted", [False, True])
def test_every_gradient_of_a_run_is_ours_at_the_same_parameters(weighted: bool) -> None:
    weights = np.linspace(0.5, 2.0, len(T)) if weighted else None
    start = {"a": 1.0, "b": 1.0, "c": 0.0}
    fit = km.fit(DECAY, DATA, backend="torch", solver=km.Adam(lr=0.02, steps=200), start=start, weights=weights)
    problem = fit._problem()
    assert fit.trace is not None
    for row in range(0, 201, 20):
        ours = problem.gradient(fit.trace.params[row])
        np.testing.assert_allclose(fit.trace.gradient[row], ours, rtol=1e-10, atol=1e-13)
        assert abs(fit.trace.loss[row] / problem.loss(fit.trace.params[row]) - 1) < 1e-12
    np.testing.assert_allclose(np.diff(fit.trace.params, axis=0), fit.trace.step[:-1], rtol=0, atol=1e-15)
    assert np.isnan(fit.trace.step[-1]).all()


def test_lbfgs_ends_at_the_answer() -> None:
    solver = km.LBFGS(line_search_fn="strong_wolfe", tolerance_grad=1e-12, tolerance_change=1e-16, steps=20)
    fit = km.fit(DECAY, DATA, backend="torch", solver=solver, start={"a": 1.0, "b": 1.0, "c": 0.0})
    best = km.fit(DECAY, DATA, start={"a": 1.0, "b": 1.0, "c": 0.0})
    for name, value in best.params.items():
        assert abs(fit.params[name] / value - 1) < 1e-6
    assert fit.trace is not None
    ours = km.fit(DECAY, DATA, solver=solver, start={"a": 1.0, "b": 1.0, "c": 0.0})
    assert len(fit.trace) == fit.solution.steps + 1 == ours.solution.steps + 1 < 21
    assert np.isnan(fit.trace.step[-1]).all()
    assert fit.solution.evaluations > 20


@pytest.mark.parametrize("model", ["y ~ a*x + b", DECAY.replace("t)", "x/10)")])
def test_converging_solvers_by_torch_end_where_kernels_end(model: str) -> None:
    start = None if "exp" not in model else {"a": -5.0, "b": 1.0, "c": 10.0}
    theirs = km.fit(model, TUTORIAL, backend="torch", start=start)
    ours = km.fit(model, TUTORIAL, start=start)
    assert theirs.state == ours.state
    for name in ours.free:
        assert abs(theirs.params[name] / ours.params[name] - 1) < 1e-9
        assert abs(theirs.stderr[name] / ours.stderr[name] - 1) < 1e-9  # type: ignore[operator]
    assert theirs.check().verdict == "PASS"
    assert "torch" in str(theirs).lower()


def test_bounds_weights_and_fixed_values_hold_with_torch() -> None:
    common: dict[str, Any] = {"start": {"a": 1.0, "b": 1.0}, "fixed": {"c": 0.45}, "bounds": {"b": (0.0, 1.1)}}
    theirs = km.fit(DECAY, DATA, backend="torch", weights=1.0 + T, **common)
    ours = km.fit(DECAY, DATA, weights=1.0 + T, **common)
    assert theirs.solution.at_bound == ours.solution.at_bound == ("b",)
    assert theirs.params["c"] == 0.45
    assert abs(theirs.params["a"] / ours.params["a"] - 1) < 1e-10


def test_many_rows_go_in_blocks_to_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    from katamuki.problem import tabulated

    monkeypatch.setattr(tabulated, "ROOM", 1 << 17)
    t = np.linspace(0.0, 4.0, 70_001)
    data = {"t": t, "y": 2.0 * np.exp(-1.3 * t) + 0.5 + 0.02 * np.sin(37.0 * t)}
    start = {"a": 1.0, "b": 1.0, "c": 0.0}
    theirs, ours = km.fit(DECAY, data, backend="torch", start=start), km.fit(DECAY, data, start=start)
    for name in ours.free:
        assert abs(theirs.params[name] / ours.params[name] - 1) < 1e-11
    assert [one.code for one in theirs.findings] == [one.code for one in ours.findings]


def test_a_fixed_parameter_does_not_move_under_weight_decay() -> None:
    solver = km.SGD(lr=0.001, weight_decay=0.1, steps=50)
    fit = km.fit("y ~ a*x + b", TUTORIAL, backend="torch", solver=solver, start={"a": 0.5}, fixed={"b": 3.0})
    assert fit.params["b"] == 3.0
    assert fit.params["a"] != 0.5


def test_numpy_functions_become_torch_functions() -> None:
    fit = km.fit(lambda x, a, b: a * np.sqrt(x) + b, TUTORIAL, backend="torch")
    same = km.fit("y ~ a*sqrt(x) + b", TUTORIAL)
    assert abs(fit.params["a"] / same.params["a"] - 1) < 1e-12
    assert "torch.sqrt(x)" in fit.source


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        km.fit("y ~ a*x + b", TUTORIAL, backend="torch", solver=km.SGD(lr=0.001, steps=3))
        assert torch.get_num_threads() == 2
        with pytest.raises(km.NotConverged):
            km.fit("y ~ a*x + b", TUTORIAL, backend="torch", solver=km.SGD(lr=1.0, steps=300))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_data_that_may_not_be_written_to_are_read() -> None:
    x = X.copy()
    x.flags.writeable = False
    fit = km.fit("y ~ a*x + b", {"x": x, "y": Y[::-1][::-1]}, backend="torch")
    assert abs(fit.params["a"] - 0.5000909090909091) < 1e-14


# The printed function.


@settings(max_examples=150, deadline=None)
@given(graphs(), st.integers(0, 2**31 - 1))
def test_the_printed_function_and_its_gradient_are_the_tables_own(graph: Graph, seed: int) -> None:
    point = point_of(seed)
    want, slopes, condition = torch_partials(graph, point)
    function = printing.compiled(graph)
    columns = [torch.tensor([point[name]] * 3, dtype=torch.float64) for name in graph.columns]
    params = [torch.tensor(point[name], dtype=torch.float64, requires_grad=True) for name in graph.parameters]
    found = function(*columns, *params)
    if not math.isfinite(want) or not all(map(math.isfinite, slopes)) or not params or not found.requires_grad:
        return
    value = found.reshape(-1)[0]
    assert value.item() == pytest.approx(want, rel=1e-12, abs=1e-12 * condition)
    grads = torch.autograd.grad(value, params, allow_unused=True)
    for got, right in zip(grads, slopes, strict=True):
        here = 0.0 if got is None else got.item()
        assert here == pytest.approx(right, rel=1e-9, abs=1e-9 * max(1.0, condition))


ONE_EACH = {
    "where": "(a if x > 5 else 0.1)*b",
    "min": "a*min(x, 0.3) + b",
    "max": "max(a*x, 0.3)*b",
    "lt": "(x < 5)*a + b",
    "le": "(5 <= x)*a + b",
    "gt": "(x > 5)*a + b",
    "ge": "(x >= 5)*a + b",
    "eq": "(x == 8)*a + b",
    "ne": "(x != 8)*a + b",
    "heaviside": "heaviside(x - 8)*a + b",
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("op", sorted(TABLE))
def test_every_operation_keeps_the_numbers_type(op: str, dtype: torch.dtype) -> None:
    call = f"{op}({', '.join(['x/20'] * TABLE[op].arity)})" if TABLE[op].callable else None
    text = ONE_EACH.get(op) or (f"a*{call} + b" if call else "a*x**2 - b/x + (-a)**2 + x**a")
    graph = parse(f"y ~ {text}", ("x", "y")).rhs
    x = torch.tensor(X, dtype=dtype)
    a, b = (torch.tensor(0.3, dtype=dtype, requires_grad=True) for _ in range(2))
    found = printing.compiled(graph)(x, *[a, b][: len(graph.parameters)])
    assert found.dtype == dtype
    assert found.shape == x.shape
    ours = Kernel(graph).evaluate([X], np.full(len(graph.parameters), 0.3), len(X))
    np.testing.assert_allclose(found.detach().numpy(), ours, rtol=1e-5 if dtype == torch.float32 else 1e-14, atol=1e-7)


def test_a_name_that_python_or_torch_takes_gets_another() -> None:
    graph = parse("y ~ `torch`*`my column` + `if` + t3", ("my column", "y")).rhs
    assert printing.source(graph).startswith("def model(c0, p0, p1, p2):")


def test_an_operation_that_torch_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    lacking = dataclasses.replace(TABLE["erf"], sources={**TABLE["erf"].sources, "torch": ""})
    monkeypatch.setitem(TABLE, "erf", lacking)
    with pytest.raises(km.BackendError, match=r"PyTorch lacks the operation erf"):
        km.fit("y ~ a*erf(x/10) + b", TUTORIAL, backend="torch")


def test_a_saved_fit_still_says_who_computed_it(tmp_path: Path) -> None:
    fit = km.fit("y ~ a*x + b", TUTORIAL, backend="torch", solver=km.SGD(lr=0.001, steps=5), start=START)
    fit.save(tmp_path / "fit.json")
    again = km.load(tmp_path / "fit.json")
    assert again.solution.backend == "torch"
    assert again.source == fit.source
    assert "by PyTorch, float64 on cpu" in str(again)


@pytest.mark.parametrize("name", ["__debug__", "__class__", "_", "match", "case", "type", "if", "lambda"])
def test_names_that_mean_something_to_python_are_replaced_where_formulas_become_programs(name: str) -> None:
    data = {name: X, "y": Y}
    wanted = km.fit("y ~ a*x + b", TUTORIAL).params
    fit = km.fit(f"y ~ a*`{name}` + b", data, backend="torch")
    assert fit.params == pytest.approx(wanted, rel=1e-9)
    for target in ("torch", "numpy", "katamuki"):
        compile(km.fit(f"y ~ a*`{name}` + b", data).to_code(target), target, "exec")
    as_parameter = km.fit(f"y ~ `{name}`*x + b", {"x": X, "y": Y}, backend="torch")
    assert as_parameter.params[name] == pytest.approx(wanted["a"], rel=1e-9)

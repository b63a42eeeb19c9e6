"""Functions of tensors and modules as models: fitted, reported, checked, and every mistake an error of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import katamuki as km

pytestmark = pytest.mark.filterwarnings("ignore::katamuki.FitWarning")

RNG = np.random.default_rng(7)
T = np.linspace(0.0, 6.0, 60)
Y = 2.0 * np.exp(-0.4 * T) * np.cos(3.0 * T + 0.3) + RNG.normal(0.0, 0.05, 60)
DATA = {"t": T, "y": Y}
START = {"a": 1.5, "k": 0.3, "w": 2.9, "phi": 0.0}
FORMULA = "y ~ a*exp(-k*t)*cos(w*t + phi)"

Tensors = Mapping[str, torch.Tensor]


def damped(columns: Tensors, params: Tensors) -> torch.Tensor:
    """A damped oscillation."""
    t = columns["t"]
    return params["a"] * torch.exp(-params["k"] * t) * torch.cos(params["w"] * t + params["phi"])


N = 120
COLUMNS = {name: RNG.uniform(-1.0, 1.0, N) for name in ("u", "v", "w")}
ROWS = {**COLUMNS, "y": np.sin(2.0 * COLUMNS["u"]) + COLUMNS["v"] * COLUMNS["w"] + RNG.normal(0.0, 0.1, N)}


class Net(nn.Module):
    """Two layers, 50 parameters."""

    def __init__(self, seed: int = 0, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(nn.Linear(3, 10), nn.Tanh(), nn.Linear(10, 1, bias=False)).to(dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)  # type: ignore[no-any-return]


def small_net(*more: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(1, 3), nn.Tanh(), *more, nn.Linear(3, 1)).double()


# A function of tensors.


def test_a_function_of_tensors_is_fitted_as_the_formula_is() -> None:
    fit = km.fit(damped, DATA, target="y", start=START)
    same = km.fit(FORMULA, DATA, start=START)
    assert fit.state == same.state == "converged"
    for name in same.free:
        assert abs(fit.params[name] / same.params[name] - 1) < 1e-10
        assert abs(fit.stderr[name] / same.stderr[name] - 1) < 1e-10  # type: ignore[operator]
    assert abs(fit.r2 - same.r2) < 1e-12
    assert [one.code for one in fit.findings] == [one.code for one in same.findings]
    np.testing.assert_allclose(fit.residuals, same.residuals, rtol=0, atol=1e-10)


def test_everything_on_its_fit_works_or_says_why_not(tmp_path: Path) -> None:
    fit = km.fit(damped, DATA, target="y", start=START)
    same = km.fit(FORMULA, DATA, start=START)
    new = {"t": [0.5, 7.0]}
    ours, theirs = fit.predict(new, interval="new"), same.predict(new, interval="new")
    np.testing.assert_allclose(ours.low, theirs.low, rtol=1e-9)  # type: ignore[union-attr]
    assert [one.code for one in ours.findings] == ["EXTRAPOLATES"]  # type: ignore[union-attr]
    assert abs(fit.derive("half = log(2)/k").stderr / same.derive("half = log(2)/k").stderr - 1) < 1e-9  # type: ignore[operator]
    assert fit.predictors == ("t",)
    assert fit.response == "y"
    assert fit.model is damped
    assert same.model is None
    assert "def damped" in fit.source
    assert fit.digits["a"] > 10
    assert len(fit.plot().axes) == 2
    assert "torch damped(columns, params)" in str(fit)
    assert "by PyTorch, float64 on cpu" in str(fit)
    whole = json.loads(json.dumps(fit.to_dict(fit.check()), allow_nan=False))
    assert whole["solver"]["backend"] == "torch"
    assert whole["check"]["verdict"] == "PASS"
    with pytest.raises(km.DataError, match="no formula that a file could hold") as caught:
        fit.save(tmp_path / "fit.json")
    assert "fit.params" in str(caught.value)
    assert not list(tmp_path.iterdir())
    with pytest.raises(km.BackendError):
        fit.to_code("torch")


def test_the_report_and_the_dictionary_keep_to_their_widths_and_schema() -> None:
    import fastjsonschema

    schema = json.loads((Path(km.__file__).parent / "report" / "schema.json").read_text(encoding="utf-8"))
    validate = fastjsonschema.compile(schema)
    for fit in (km.fit(damped, DATA, target="y", start=START), km.fit(Net(), ROWS, target="y", solver=adam(20))):
        validate(fit.to_dict(fit.check()))
        assert max(map(len, str(fit).splitlines())) <= 80


def adam(steps: int) -> Any:
    return km.Adam(lr=0.01, steps=steps)


def test_parameters_may_be_arrays() -> None:
    def polynomial(columns: Tensors, params: Tensors) -> torch.Tensor:
        x = columns["x"]
        return torch.stack([x**k for k in range(3)], dim=1) @ params["c"] + params["d"][0, 1] * torch.sin(x)

    x = np.linspace(-2.0, 2.0, 30)
    data = {"x": x, "y": 1 - 2 * x + 0.5 * x * x + 3 * np.sin(x) + 0.01 * np.cos(40 * x)}
    start = {"c": [0.0, 0.0, 0.0], "d": np.zeros((1, 2))}
    fit = km.fit(polynomial, data, target="y", start=start, fixed={"d[0,0]": 0.0}, bounds={"c[2]": (0, None)})
    same = km.fit("y ~ c0 + c1*x + c2*x^2 + d*sin(x)", data)
    assert fit.free == ("c[0]", "c[1]", "c[2]", "d[0,1]")
    for name, other in zip(fit.free, same.free, strict=True):
        assert abs(fit.params[name] / same.params[other] - 1) < 1e-10
    assert fit.params["d[0,0]"] == 0.0
    first_order = km.fit(polynomial, data, target="y", start=start, fixed={"d[0,0]": 0.0}, solver=adam(5))
    assert first_order.params["d[0,0]"] == 0.0
    assert first_order.params["c[0]"] != 0.0


def test_rows_that_depend_on_each_other_are_computed_together() -> None:
    def relaxed(columns: Tensors, params: Tensors) -> torch.Tensor:
        return params["a"] * (columns["t"] - columns["t"].mean()) + params["b"] * torch.cumsum(columns["t"], 0)

    t = np.linspace(0.0, 1.0, 40_000)
    data = {"t": t, "y": 2.0 * (t - t.mean()) + 0.001 * np.cumsum(t) + 0.01 * np.sin(1e3 * t)}
    fit = km.fit(relaxed, data, target="y", start={"a": 1.0, "b": 1.0})
    matrix = np.column_stack([t - t.mean(), np.cumsum(t)])
    best = np.linalg.lstsq(matrix, data["y"], rcond=None)[0]
    assert abs(fit.params["a"] / best[0] - 1) < 1e-9
    assert abs(fit.params["b"] / best[1] - 1) < 1e-9


class Decay(torch.autograd.Function):
    """exp(−z) with a backward rule of its own and none for forward mode."""

    @staticmethod
    def forward(ctx: Any, z: torch.Tensor) -> torch.Tensor:
        found = torch.exp(-z)
        ctx.save_for_backward(found)
        return found

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> torch.Tensor:
        (found,) = ctx.saved_tensors
        return -slopes[0] * found


def test_a_function_without_forward_rules_is_differentiated_by_reverse_sweeps() -> None:
    def model(columns: Tensors, params: Tensors) -> torch.Tensor:
        t = columns["t"]
        return params["a"] * Decay.apply(params["k"] * t) * torch.cos(params["w"] * t + params["phi"])  # type: ignore[no-untyped-call]

    fit = km.fit(model, DATA, target="y", start=START)
    same = km.fit(damped, DATA, target="y", start=START)
    for name, value in same.params.items():
        assert abs(fit.params[name] / value - 1) < 1e-9
        assert abs(fit.stderr[name] / same.stderr[name] - 1) < 1e-9  # type: ignore[operator]


def test_where_weights_and_missing_values_work_as_with_formulas() -> None:
    y = Y.copy()
    y[3] = np.nan
    data = {"t": T, "y": y, "s": np.linspace(0.5, 2.0, 60)}
    more: dict[str, Any] = {"where": "t < 5", "missing": "drop", "sigma": "s", "sigma_is": "relative", "start": START}
    fit = km.fit(damped, data, target="y", inputs=["t"], **more)
    same = km.fit(FORMULA, data, **more)
    assert fit.n == same.n
    for name in same.free:
        assert abs(fit.params[name] / same.params[name] - 1) < 1e-9
        assert abs(fit.stderr[name] / same.stderr[name] - 1) < 1e-9  # type: ignore[operator]
    assert fit.check().verdict == "PASS"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_first_order_run_of_a_function_stands_beside_the_least_squares_answer(dtype: str) -> None:
    fit = km.fit(damped, DATA, target="y", start=START, solver=km.Adam(lr=0.02, steps=800), dtype=dtype)
    best = km.fit(FORMULA, DATA, start=START)
    reference = fit.solution.reference
    assert reference is not None
    for name, value in best.params.items():
        assert abs(reference.params[name] / value - 1) < 1e-8
    assert fit.check().verdict == "PASS"
    assert "least squares" in str(fit)


def test_start_and_fixed_name_the_parameters() -> None:
    fit = km.fit(damped, DATA, target="y", start={"a": 1.5, "k": 0.3, "w": 2.9}, fixed={"phi": 0.3})
    assert fit.free == ("a", "k", "w")
    assert fit.stderr["phi"] is None


# Mistakes in a function: each is an error of its own.

MISTAKES: dict[str, tuple[Callable[..., Any], str]] = {
    "integer": (lambda c, p: (p["a"] * c["t"]).long(), "whole numbers"),
    "complex": (lambda c, p: torch.complex(p["a"] * c["t"], c["t"]), "complex"),
    "detached": (lambda c, p: (p["a"] * c["t"]).detach(), "detached"),
    "item": (lambda c, p: p["a"].item() * c["t"], "detached"),
    "numpy": (lambda c, p: (p["a"] * c["t"]).detach().numpy(), "NumPy array"),
    "number": (lambda c, p: 3.0, "returned float"),
    "none": (lambda c, p: None, "returned NoneType"),
    "nan": (lambda c, p: torch.log(p["a"] * (c["t"] - 3.0)), r"nan in row 1 at the start \(30 of 60"),
    "infinite": (lambda c, p: p["a"] / (c["t"]), r"inf in row 1 at the start \(1 of 60"),
    "column": (lambda c, p: (p["a"] * c["t"])[:, None], r"the shape \(60, 1\)"),
    "matrix": (lambda c, p: (p["a"] * c["t"]).reshape(30, 2), r"the shape \(30, 2\)"),
    "single": (lambda c, p: p["a"] * 1.0, "one number for 60 rows"),
    "length": (lambda c, p: (p["a"] * c["t"])[:59], "59,\\) numbers for 60 rows"),
    "float32": (lambda c, p: (p["a"] * c["t"]).float(), "returned float32, and the fit computes in float64"),
    "key": (lambda c, p: p["a"] * c["x"], "KeyError"),
    "parameter": (lambda c, p: p["b"] * c["t"], "KeyError"),
    "raises": (lambda c, p: 1 / 0, "ZeroDivisionError: division by zero"),
    "arguments": (lambda t, a, b: a * t, "TypeError"),
    "random": (lambda c, p: p["a"] * c["t"] + torch.rand(60, dtype=torch.float64), "other values when it is called"),
    "writes": (lambda c, p: p["a"] * c["t"].mul_(2.0), "writes into its columns"),
}


@pytest.mark.parametrize("name", sorted(MISTAKES))
@pytest.mark.parametrize("solver", ["auto", "adam"])
def test_a_mistake_in_a_function_is_an_error_of_its_own(name: str, solver: str) -> None:
    model, words = MISTAKES[name]
    before = {key: column.copy() for key, column in DATA.items()}
    with pytest.raises(km.FormulaError, match=words) as caught:
        km.fit(model, DATA, target="y", start={"a": 1.0}, solver=solver)
    assert "Traceback" not in str(caught.value)
    for key, column in before.items():
        np.testing.assert_array_equal(DATA[key], column)


def test_the_shape_of_a_column_comes_with_what_to_write() -> None:
    with pytest.raises(km.FormulaError) as caught:
        km.fit(MISTAKES["column"][0], DATA, target="y", start={"a": 1.0})
    assert ".squeeze(-1)" in str(caught.value)


def test_a_parameter_without_effect_is_named() -> None:
    with pytest.raises(km.FormulaError, match="does not depend on b"):
        km.fit(lambda c, p: p["a"] * c["t"], DATA, target="y", start={"a": 1.0, "b": 2.0})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target": "y"}, "parameters of a function of tensors are the names in start"),
        ({"target": "z", "start": START}, 'no column "z"'),
        ({"target": "y", "start": START, "inputs": ["x"]}, 'no column "x"'),
        ({"target": "y", "start": START, "inputs": ["y"]}, "stands among the inputs"),
        ({"target": "y", "start": START, "inputs": ["t", "t"]}, "twice"),
        ({"target": "y", "start": START, "inputs": "t"}, "inputs are names"),
        ({"target": 3, "start": START}, "name of a column"),
        ({"target": "y", "start": START, "params": ["a"]}, "params= is for formulas"),
        ({"target": "y", "start": START, "backend": "kernel"}, "by PyTorch, not by compiled kernels"),
        ({"target": "y", "start": {**START, "t": 1.0}}, "t is a column and a parameter"),
        ({"target": "y", "start": {**START, "a": "1"}}, "start"),
        ({"target": "y", "start": {**START, "a": [1.0, float("nan")]}}, "start"),
        ({"target": "y", "start": START, "bounds": {"b": (0, 1)}}, "b"),
        ({"target": "y", "start": START, "bounds": {"a": (0, 3)}, "solver": "adam"}, "bounds"),
        ({"target": "y", "start": START, "solver": "linear"}, "linear"),
        ({"target": "y", "start": START, "dtype": "float32"}, "needs the digits of float64"),
    ],
)
def test_what_contradicts_itself_is_said(options: dict[str, Any], words: str) -> None:
    with pytest.raises(km.KatamukiError, match=words):
        km.fit(damped, DATA, **options)


def test_fewer_rows_than_parameters_of_a_function_are_an_error() -> None:
    with pytest.raises(km.DataError, match="4"):
        km.fit(damped, {"t": T[:3], "y": Y[:3]}, target="y", start=START)


def test_parameters_that_cannot_be_told_apart_have_no_error_bar() -> None:
    fit = km.fit(
        lambda c, p: (p["a"] + p["c"]) * c["t"] + p["b"], DATA, target="y", start={"a": 1.0, "c": 1.0, "b": 0.0}
    )
    assert fit.state == "not_identifiable"
    assert fit.stderr["a"] is fit.stderr["c"] is None
    assert fit.solution.combinations[0].text == "a + c"
    assert fit.check().verdict == "PASS"


# A module.


def test_a_module_of_fifty_parameters_is_fitted_explained_and_checked() -> None:
    net = Net()
    before = {name: one.clone() for name, one in net.state_dict().items()}
    fit = km.fit(net, ROWS, target="y", solver=km.LevenbergMarquardt(max_steps=100))
    assert len(fit.params) == 50
    assert "layers.0.weight[3,1]" in fit.params
    assert "layers.0.bias[2]" in fit.params
    assert fit.loss < 0.1 * float(np.var(ROWS["y"]))
    assert all(torch.equal(before[name], one) for name, one in net.state_dict().items())
    model = fit.model
    assert isinstance(model, Net)
    assert model is not net
    x = torch.tensor(np.column_stack([ROWS[name] for name in ("u", "v", "w")]))
    with torch.no_grad():
        out = model(x).squeeze(1).numpy()
    np.testing.assert_allclose(out, fit.predict(ROWS), rtol=1e-12)
    np.testing.assert_allclose(np.mean((ROWS["y"] - out) ** 2), fit.loss, rtol=1e-12)
    report = fit.check()
    assert report.verdict == "CANNOT TELL"
    text = str(fit)
    assert "torch.nn.Module Net" in text
    assert "output (n, 1) taken as (n,)" in text
    assert "u v w" in text
    assert "44 more" in text
    assert fit._subject().graph is None
    assert fit._subject().problem().n == N
    str(fit.explain())


def test_a_functions_run_and_a_networks_are_explained() -> None:
    for fit in (
        km.fit(damped, DATA, target="y", start=START, solver=adam(50)),
        km.fit(damped, DATA, target="y", start=START),
        km.fit(Net(), ROWS, target="y", solver=adam(20)),
    ):
        assert str(fit.explain())


def test_the_order_of_inputs_is_the_one_given_and_by_default_the_tables() -> None:
    net = nn.Linear(2, 1).double()
    data = {"p": T, "y": 2.0 * T - 3.0 * np.sin(T) + 1.0, "q": np.sin(T)}
    first = km.fit(net, data, target="y")
    assert first.predictors == ("p", "q")
    assert abs(first.params["weight[0,0]"] - 2.0) < 1e-9
    second = km.fit(net, data, target="y", inputs=["q", "p"])
    assert abs(second.params["weight[0,0]"] + 3.0) < 1e-9
    assert abs(second.params["bias[0]"] - 1.0) < 1e-9


def test_a_linear_module_ends_where_the_formula_ends() -> None:
    fit = km.fit(nn.Linear(1, 1).double(), km.datasets("tutorial"), target="y")
    best = km.fit("y ~ a*x + b", km.datasets("tutorial"))
    for ours, theirs in (("weight[0,0]", "a"), ("bias[0]", "b")):
        assert abs(fit.params[ours] / best.params[theirs] - 1) < 1e-9
        assert abs(fit.stderr[ours] / best.stderr[theirs] - 1) < 1e-9  # type: ignore[operator]
    assert fit.check().verdict == "CANNOT TELL"


def test_training_is_the_learners_own_loop_to_the_bit() -> None:
    fit = km.fit(Net(3), ROWS, target="y", solver=km.Adam(lr=0.01, steps=60), threads=1)
    torch.set_num_threads(1)
    net = Net(3)
    x = torch.tensor(np.column_stack([ROWS[name] for name in ("u", "v", "w")]))
    y = torch.tensor(ROWS["y"])
    optim = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(60):
        loss = ((y - net(x).squeeze(1)) ** 2).mean()
        optim.zero_grad()
        loss.backward()
        optim.step()
    ours = fit.model.state_dict()  # type: ignore[attr-defined]
    for name, one in net.state_dict().items():
        torch.testing.assert_close(ours[name], one, rtol=1e-12, atol=1e-14)


def test_frozen_weights_and_buffers_stay_and_are_kept() -> None:
    net = small_net()
    net[0].weight.requires_grad_(False)
    net.register_buffer("seen", torch.tensor([4.0]))
    fit = km.fit(net, DATA, target="y", solver=adam(30))
    assert not any(name.startswith("0.weight") for name in fit.params)
    model: Any = fit.model
    assert torch.equal(model[0].weight, net[0].weight)
    assert not torch.equal(model[0].bias, net[0].bias)
    assert torch.equal(model.seen, net.seen)
    assert model.training == net.training


def test_start_fixed_and_bounds_go_by_the_names_of_weights() -> None:
    fit = km.fit(
        small_net(),
        DATA,
        target="y",
        start={"0.bias[1]": 0.25},
        fixed={"2.bias[0]": 0.1},
        bounds={"0.weight[0,0]": (-2.0, 2.0)},
        solver=km.LevenbergMarquardt(max_steps=50),
    )
    assert fit.solution.start is not None
    assert fit.solution.start["0.bias[1]"] == 0.25
    assert fit.params["2.bias[0]"] == 0.1
    assert -2.0 <= fit.params["0.weight[0,0]"] <= 2.0
    run = km.fit(
        small_net(), DATA, target="y", fixed={"2.bias[0]": 0.1}, solver=km.SGD(lr=0.01, weight_decay=0.1, steps=9)
    )
    assert run.params["2.bias[0]"] == 0.1
    with pytest.raises(km.BoundsError, match=r"0\.weight\[9,9\]"):
        km.fit(small_net(), DATA, target="y", fixed={"0.weight[9,9]": 0.1})


def test_a_float32_network_runs_in_float32() -> None:
    net = Net(dtype=torch.float32)
    fit = km.fit(net, ROWS, target="y", solver=adam(50), dtype="float32")
    assert next(fit.model.parameters()).dtype == torch.float32  # type: ignore[attr-defined]
    assert fit.solution.dtype == "float32"
    assert fit.check().verdict == "CANNOT TELL"


MODULES: dict[str, tuple[Callable[[], Any], str]] = {
    "float32": (lambda: Net(dtype=torch.float32), r"float32, and the fit computes in float64"),
    "half": (lambda: Net().half(), "float16; weights are"),
    "dropout": (lambda: small_net(nn.Dropout(0.2)), r"Dropout \(2, p = 0\.2\) is in training mode"),
    "batch norm": (lambda: small_net(nn.BatchNorm1d(3)), r"BatchNorm1d \(2\) is in training mode"),
    "batch norm always": (
        lambda: small_net(nn.BatchNorm1d(3, track_running_stats=False)).eval(),
        "stores no averages",
    ),
    "random": (lambda: small_net(nn.RReLU()), "random slopes"),
    "two outputs": (lambda: nn.Linear(1, 2).double(), r"the shape \(60, 2\)"),
    "inputs": (lambda: nn.Linear(4, 1).double(), "the module failed: RuntimeError"),
    "frozen": (lambda: nn.Linear(1, 1).double().requires_grad_(False), "no weight of the module has requires_grad"),
    "lazy": (lambda: nn.LazyLinear(1), "has no shape yet"),
    "class": (lambda: Net, "a module, not the class Net"),
}


@pytest.mark.filterwarnings("ignore:Lazy modules")
@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_that_cannot_be_fitted_is_an_error_of_its_own(name: str) -> None:
    make, words = MODULES[name]
    data = ROWS if name in {"float32", "half", "class"} else DATA
    with pytest.raises(km.KatamukiError, match=words):
        km.fit(make(), data, target="y")


def test_an_unused_weight_is_named() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(1, 1), nn.Linear(1, 1)

        def forward(self, x: torch.Tensor) -> Any:
            return self.used(x)

    with pytest.raises(km.FormulaError, match=r"does not depend on its weight idle\.weight"):
        km.fit(Idle().double(), DATA, target="y")


def test_a_module_needs_a_target() -> None:
    with pytest.raises(km.BoundsError, match="which column"):
        km.fit(Net(), ROWS)


def test_dropout_and_batch_norm_at_rest_are_fitted() -> None:
    net = small_net(nn.BatchNorm1d(3), nn.Dropout(0.5)).eval()
    before = net[2].running_mean.clone()
    fit = km.fit(net, DATA, target="y", solver=adam(20))
    assert torch.equal(fit.model[2].running_mean, before)  # type: ignore[index]
    assert not fit.model.training  # type: ignore[attr-defined]


def test_the_device_of_a_module_is_the_one_asked_for() -> None:
    with pytest.raises(km.BackendError, match=r"is on meta, and the fit computes on cpu"):
        km.fit(nn.Linear(1, 1, device="meta", dtype=torch.float64), DATA, target="y")


def big(width: int = 60) -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Linear(3, width), nn.Tanh(), nn.Linear(width, width // 2), nn.Tanh(), nn.Linear(width // 2, 1)
    ).double()


def test_over_a_thousand_parameters_there_is_no_covariance() -> None:
    fit = km.fit(big(), ROWS, target="y", solver=km.LBFGS(line_search_fn="strong_wolfe", steps=3))
    assert len(fit.params) > 1000
    assert [one.code for one in fit.findings if one.severity == "note"] == ["TOO_MANY"]
    assert set(fit.stderr.values()) == {None}
    assert fit.covariance.size == 0
    assert fit.correlation.size == 0
    np.testing.assert_allclose(fit.predict(ROWS), ROWS["y"] - fit.residuals, rtol=1e-9, atol=1e-9)
    with pytest.raises(km.DataError, match="no covariance is computed of"):
        fit.predict(ROWS, interval="mean")
    with pytest.raises(km.DataError, match="no covariance"):
        fit.derive("`0.bias[0]`*2")
    text = str(fit)
    assert "TOO_MANY" in text
    assert len(text.splitlines()) < 40
    json.dumps(fit.to_dict(fit.check()), allow_nan=False)
    assert fit.check().verdict == "CANNOT TELL"
    with pytest.raises(km.BoundsError, match="1000 at most"):
        km.fit(big(), ROWS, target="y", solver="lm")


def test_the_solver_of_many_parameters_is_lbfgs() -> None:
    fit = km.fit(big(), ROWS, target="y", max_seconds=0.3)
    assert fit.solver == "lbfgs"
    assert fit.loss < float(np.var(ROWS["y"]))


def test_a_network_with_more_weights_than_rows_is_fitted_and_says_what_it_cannot_know() -> None:
    few = {name: column[:20] for name, column in ROWS.items()}
    fit = km.fit(Net(), few, target="y", solver=km.LevenbergMarquardt(max_steps=30))
    assert None in fit.stderr.values()
    assert fit.dof == 0
    assert len(str(fit).splitlines()) < 50


# The check.


def nudged(fit: km.Fit, name: str, by: float) -> Any:
    """A claim with one parameter moved."""
    import dataclasses

    params = {**fit.params, name: fit.params[name] * (1 + by)}
    return dataclasses.replace(fit.solution, params=params)


def judged(fit: km.Fit, claim: Any) -> Any:
    from katamuki.check import judge

    closure = fit._plan.closure(fit.columns, fit.n)
    return judge(claim, fit.columns, fit.weights, closure, network=fit._plan.network)


def test_the_check_of_a_function_finds_a_nudged_answer_and_a_wrong_loss() -> None:
    import dataclasses

    fit = km.fit(damped, DATA, target="y", start=START)
    assert judged(fit, fit.solution).verdict == "PASS"
    assert judged(fit, nudged(fit, "w", 1e-4)).verdict == "FAIL"
    wrong = dataclasses.replace(fit.solution, loss=fit.loss * 1.001)
    assert judged(fit, wrong).reason == "check.fail.loss"
    bars = {**fit.stderr, "a": fit.stderr["a"] * 1.01}  # type: ignore[operator]
    assert judged(fit, dataclasses.replace(fit.solution, stderr=bars)).reason == "check.fail.stderr"


def test_the_check_of_a_network_finds_a_wrong_loss_and_a_gradient_that_has_not_vanished() -> None:
    import dataclasses

    fit = km.fit(nn.Linear(1, 1).double(), km.datasets("tutorial"), target="y")
    assert judged(fit, fit.solution).verdict == "CANNOT TELL"
    assert judged(fit, fit.solution).reason == "check.cannot.network"
    moved = nudged(fit, "bias[0]", 1e-3)
    assert judged(fit, moved).verdict == "FAIL"
    assert judged(fit, dataclasses.replace(fit.solution, loss=fit.loss * 1.001)).reason == "check.fail.loss"
    predict = fit._plan.closure(fit.columns, fit.n)
    assert predict is not None
    rss = float(np.sum((np.asarray(fit.columns["y"]) - predict(np.array(list(moved.params.values())))) ** 2))
    honest = dataclasses.replace(moved, rss=rss, loss=rss / fit.n)
    assert judged(fit, honest).reason == "check.fail.gradient"


def test_a_saddle_of_a_function_is_no_minimum() -> None:
    import dataclasses

    x = np.linspace(-1.0, 1.0, 21)
    data = {"x": x, "y": x * x}
    fit = km.fit(lambda c, p: p["a"] ** 2 * c["x"] ** 2, data, target="y", start={"a": 0.5})
    claim = dataclasses.replace(
        fit.solution, params={"a": 0.0}, rss=float(data["y"] @ data["y"]), loss=float(data["y"] @ data["y"]) / 21
    )
    assert judged(fit, claim).verdict == "FAIL"


def test_many_rows_of_a_function_are_checked_on_a_sample() -> None:
    t = np.linspace(0.0, 6.0, 120_000)
    data = {"t": t, "y": 2.0 * np.exp(-0.4 * t) * np.cos(3.0 * t + 0.3) + 0.05 * np.sin(997.0 * t)}
    fit = km.fit(damped, data, target="y", start=START)
    report = fit.check()
    assert report.verdict == "PASS"
    assert report.facts["sample"] == 100_000

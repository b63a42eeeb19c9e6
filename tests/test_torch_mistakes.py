"""Functions of tensors and modules that cannot be fitted: each mistake is an error of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import katamuki as km
from torch_models import DATA, ROWS, START, Net, T, Y, adam, damped, small_net

pytestmark = pytest.mark.filterwarnings("ignore::katamuki.FitWarning")

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


def test_the_device_of_a_module_is_the_one_asked_for() -> None:
    with pytest.raises(km.BackendError, match=r"is on meta, and the fit computes on cpu"):
        km.fit(nn.Linear(1, 1, device="meta", dtype=torch.float64), DATA, target="y")


def test_a_function_that_knows_float32_alone_cannot_be_judged_in_float64() -> None:
    with pytest.raises(km.FormulaError, match=r"computed in float64, and there: the model returned float32"):
        km.fit(
            lambda c, p: (p["a"] * c["t"]).float(), DATA, target="y", start={"a": 1.0}, dtype="float32", solver=adam(3)
        )

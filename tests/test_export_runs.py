"""Programs of runs: in the numbers that PyTorch computed in, on its device; those that magnify rounding are refused."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import warnings
from typing import Any

import pytest
import torch

import katamuki as km
from katamuki.solvers.first_order import FIRST_ORDER
from programs import fitted, printed, wanted

TUTORIAL = km.datasets("tutorial")
SINGLE = [km.RMSprop(steps=500), km.SGD(lr=0.01, momentum=0.9, steps=500), km.LBFGS(max_iter=1, steps=3)]


@pytest.mark.parametrize("loss", ["squared", torch.nn.MSELoss()], ids=["mean", "MSELoss"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", SINGLE, ids=lambda one: type(one).__name__)
def test_a_run_of_pytorch_is_repeated_in_its_own_numbers(solver: Any, dtype: str, loss: Any) -> None:
    # this used to fit again in float64, which ends at other digits
    how: dict[str, Any] = {"start": {"a": 0.5, "b": 0.5}, "solver": solver, "backend": "torch"}
    fit = fitted("y = a*x + b", TUTORIAL, loss=loss, dtype=dtype, **how)
    repeated = [target for target in ("torch", "katamuki") if printed(fit.to_code(target)) == wanted(fit)]
    assert repeated == ["torch", "katamuki"]
    again: dict[str, Any] = {"km": km}
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        exec(fit.to_code("katamuki"), again)
    claim = again["fit"].solution
    assert (claim.backend, claim.dtype, claim.loss_by) == ("torch", dtype, "mean" if loss == "squared" else "MSELoss")
    assert claim.params == fit.params


def test_a_run_in_single_precision_is_not_repeated_in_double() -> None:
    how: dict[str, Any] = {"start": {"a": 0.5, "b": 0.5}, "solver": km.RMSprop(steps=500), "backend": "torch"}
    fit = fitted("y = a*x + b", TUTORIAL, dtype="float32", **how)
    double = fitted("y = a*x + b", TUTORIAL, **how)
    assert wanted(fit) != wanted(double)  # or there would be nothing to refuse
    for target in ("numpy", "scipy"):
        with pytest.raises(km.BackendError, match=r"in float32 by PyTorch[\s\S]*to_code\(\"torch\"\)[\s\S]*E-EXPORT"):
            fit.to_code(target)
    with pytest.raises(km.BackendError, match="magnifies rounding"):
        double.to_code("numpy")


def test_a_run_that_magnifies_rounding_is_not_repeated_by_other_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    # this used to print 0.504185 for the fit's 0.504192
    fit = fitted("y = a*x + b", TUTORIAL, start={"a": 0.5, "b": 0.5}, solver=km.RMSprop(steps=500))
    start = {"a": 0.5 * (1 + 1e-15), "b": 0.5}
    beside = fitted("y = a*x + b", TUTORIAL, start=start, solver=km.RMSprop(steps=500))
    assert abs(beside.params["a"] - fit.params["a"]) > 1e-6  # a billion times the change of the start
    with pytest.raises(km.BackendError, match="magnifies rounding") as caught:
        fit.to_code("numpy")
    monkeypatch.setattr("katamuki.export.trial.STEPS", 10)  # not tried: the program that was refused
    name, there = caught.value.values["name"], caught.value.values["there"]
    assert f"{name} {there}\n" in printed(fit.to_code("numpy"))
    assert printed(fit.to_code("katamuki")) == wanted(fit)


def test_a_program_says_on_which_device_the_run_was() -> None:
    how: dict[str, Any] = {"start": {"a": 0.5, "b": 0.5}, "solver": km.RMSprop(steps=5), "backend": "torch"}
    fit = fitted("y = a*x + b", TUTORIAL, **how)
    object.__setattr__(fit, "solution", dataclasses.replace(fit.solution, device="cuda:1"))
    assert "torch.set_default_device('cuda:1')" in fit.to_code("torch")
    assert "    device='cuda:1',\n" in fit.to_code("katamuki")


def test_one_step_is_a_step() -> None:
    fit = fitted("y = a*x + b", TUTORIAL, solver=km.LBFGS(max_iter=1, steps=1))
    assert ": 1 step of LBFGS, with" in fit.to_code("torch")


@pytest.mark.parametrize("rule", FIRST_ORDER, ids=lambda one: one.__name__)
def test_what_is_tried_is_the_program(rule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial ends where the program does, to all printed digits, for every rule, near the minimum and far."""
    fit = fitted("y = a*x + b", TUTORIAL, start={"a": 0.5, "b": 0.5}, solver=rule(steps=700))
    monkeypatch.setattr("katamuki.export.trial.STEPS", 0)
    program = printed(fit.to_code("numpy"))
    monkeypatch.undo()
    monkeypatch.setattr("katamuki.export.trial.SAME", -1.0)  # nothing is the same: the first parameter is handed out
    with pytest.raises(km.BackendError) as caught:
        fit.to_code("numpy")
    there = float(str(caught.value.values["there"]))
    line = program.splitlines()[0]
    assert caught.value.values["name"] == "a"
    if "<->" in line:
        assert f"{there:.6g}" in line
    else:
        assert line == f"a {there:.6g}"

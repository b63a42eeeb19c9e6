"""What PyTorch cannot compute, or not so: options, devices, numbers, branches, and runs that end early."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import katamuki as km
from katamuki.api import torch_solving
from katamuki.solvers import first_order_run

pytestmark = pytest.mark.filterwarnings("ignore::katamuki.FitWarning")

TUTORIAL = km.datasets("tutorial")
X = np.asarray(TUTORIAL["x"])
Y = np.asarray(TUTORIAL["y"])
START = {"a": 0.5, "b": 0.5}
DECAY = "y ~ a*exp(-b*t) + c"
T = np.linspace(0.0, 4.0, 40)
DATA = {"t": T, "y": 2.0 * np.exp(-1.3 * T) + 0.5 + 0.02 * np.sin(37.0 * T)}


def test_float32_is_not_enough_for_converging_solvers() -> None:
    for solver in ("auto", "lm", "linear"):
        with pytest.raises(km.BackendError, match="needs the digits of float64"):
            km.fit("y ~ a*x + b", TUTORIAL, backend="torch", dtype="float32", solver=solver)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dtype": "float32"}, r"float32 is PyTorch's"),
        ({"device": "cuda"}, r'device "cuda" is PyTorch\'s'),
        ({"backend": "torch", "device": "mps"}, r'device "mps" is none'),
        ({"backend": "torch", "device": "cuda:x"}, "none that a fit runs on"),
        ({"backend": "torch", "dtype": torch.float16}, "float16"),
        ({"backend": "torch", "dtype": "int64"}, "int64"),
        ({"backend": "jax"}, "there is no backend 'jax'"),
        ({"loss": torch.nn.MSELoss()}, "MSELoss is PyTorch's"),
        ({"backend": "torch", "loss": torch.nn.MSELoss}, "not the class"),
        ({"backend": "torch", "loss": torch.nn.MSELoss(reduction="sum")}, r'MSELoss\(reduction="sum"\) is no mean'),
        ({"backend": "torch", "loss": torch.nn.MSELoss(reduction="none")}, r'reduction="none"'),
        ({"backend": "torch", "loss": torch.nn.L1Loss()}, "L1Loss is no loss of least squares"),
        ({"backend": "torch", "loss": torch.nn.MSELoss(), "weights": np.ones(11)}, "knows no weights"),
        ({"target": "y"}, "a formula names its columns itself"),
        ({"inputs": ["x"]}, "a formula names its columns itself"),
    ],
)
def test_what_contradicts_itself_is_said(options: dict[str, Any], words: str) -> None:
    with pytest.raises(km.KatamukiError, match=words):
        km.fit("y ~ a*x + b", TUTORIAL, **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda")])
def test_a_gpu_that_is_not_there_is_an_error(device: Any) -> None:
    with pytest.raises(km.BackendError, match="finds no CUDA on this machine"):
        km.fit("y ~ a*x + b", TUTORIAL, backend="torch", device=device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_computes_what_the_processor_computes() -> None:
    solver = km.Adam(lr=0.01, steps=200)
    there = km.fit("y ~ a*x + b", TUTORIAL, backend="torch", device="cuda", solver=solver, start=START)
    here = km.fit("y ~ a*x + b", TUTORIAL, backend="torch", solver=solver, start=START)
    for name, value in here.params.items():
        assert abs(there.params[name] / value - 1) < 1e-10
    assert there.solution.device == "cuda"
    assert km.fit(DECAY, DATA, backend="torch", device="cuda", start={"a": 1, "b": 1, "c": 0}).check().verdict == "PASS"


def test_float32_overflow_says_that_float64_would_hold_it() -> None:
    data = {"x": X, "y": 1e20 * Y}
    with pytest.raises(km.NotConverged, match="float32 overflowed at step 1") as caught:
        km.fit("y ~ a*x + b", data, backend="torch", dtype="float32", solver=km.Adam(lr=0.1, steps=10))
    assert 'dtype="float64"' in str(caught.value)
    km.fit("y ~ a*x + b", data, backend="torch", solver=km.Adam(lr=0.1, steps=10))


def test_a_column_beyond_float32_is_named_with_its_row() -> None:
    x = X.copy()
    x[4] = 1e39
    with pytest.raises(km.BackendError, match="row 5: x is 1e"):
        km.fit("y ~ a*x + b", {"x": x, "y": Y}, backend="torch", dtype="float32", solver=km.SGD(lr=0.001))


def test_a_run_that_truly_diverges_is_not_called_an_overflow() -> None:
    with pytest.raises(km.NotConverged, match="diverged") as caught:
        km.fit("y ~ a*x + b", TUTORIAL, backend="torch", dtype="float32", solver=km.SGD(lr=0.2, steps=500))
    assert "overflowed" not in str(caught.value)
    assert caught.value.fit is not None
    assert caught.value.fit.trace is not None


def test_a_branch_that_is_not_taken_spoils_torchs_gradient_and_the_error_says_so() -> None:
    formula = (
        "y ~ (log(a - x)*b if x < a else 1)*b"  # in rows with x ≥ a the logarithm is NaN, and 0 times NaN flows back
    )
    data, start = {"x": X, "y": Y}, {"a": 8.5, "b": 1.0}
    km.fit(formula, data, solver=km.SGD(lr=1e-6, steps=2), start=start)
    with pytest.raises(km.NotConverged, match="PyTorch's gradient by b is not finite") as caught:
        km.fit(formula, data, backend="torch", solver=km.SGD(lr=1e-6, steps=2), start=start)
    assert 'backend="auto"' in str(caught.value)


def test_a_run_may_be_interrupted_and_keeps_what_it_had() -> None:
    def stop(step: int, loss: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(km.NotConverged) as caught:
        km.fit("y ~ a*x + b", TUTORIAL, backend="torch", solver=km.SGD(lr=1e-3, steps=10**6), progress=stop)
    assert caught.value.code == "E-INTERRUPTED"
    fit = caught.value.fit
    assert isinstance(fit, km.Fit)
    assert fit.trace is not None
    assert fit.trace.params[-1].tolist() == [fit.params["a"], fit.params["b"]]


def test_a_time_limit_ends_a_run() -> None:
    fit = km.fit("y ~ a*x + b", TUTORIAL, backend="torch", solver=km.SGD(lr=1e-3, steps=10**7), max_seconds=0.2)
    assert fit.state == "slow"
    assert 0 < fit.solution.steps < 10**7


def test_a_long_trace_is_thinned_with_the_rules_memory_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from katamuki.solvers import first_order_run

    monkeypatch.setattr(first_order_run, "WHOLE", 150_000)
    monkeypatch.setattr("katamuki.api.torch_solving.WHOLE", 150_000)
    solver = km.RMSprop(lr=0.001, steps=3000)
    theirs = km.fit("y ~ a*x + b", TUTORIAL, backend="torch", solver=solver, start=START).trace
    ours = km.fit("y ~ a*x + b", TUTORIAL, solver=solver, start=START).trace
    assert theirs is not None
    assert ours is not None
    assert theirs.index.tolist() == ours.index.tolist()
    early = (theirs.index < 1200) & np.isfinite(ours.extra["state"]).all(axis=1)  # ours stand before gaps only
    assert early.sum() > 5
    np.testing.assert_allclose(theirs.extra["state"][early], ours.extra["state"][early], rtol=1e-9)


def test_torch_is_not_needed_until_it_is_asked_for() -> None:
    code = """
import sys
import katamuki as km
km.fit("y ~ a*x + b", km.datasets("tutorial"))
km.fit(lambda x, a, b: a*x + b, km.datasets("tutorial"))
assert "torch" not in sys.modules
sys.modules["torch"] = None
for model, more in (("y ~ a*x + b", {"backend": "torch"}), (lambda c, p: None, {"target": "y", "start": {"a": 1}})):
    try:
        km.fit(model, km.datasets("tutorial"), **more)
    except km.BackendError as error:
        assert "katamuki[torch]" in str(error), error
    else:
        raise SystemExit("torch was found")
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)


@pytest.mark.parametrize("name", ["Adafactor", "muon", "SparseAdam"])
def test_optimizers_that_are_no_rules_for_dense_scalars_are_refused_by_name(name: str) -> None:
    with pytest.raises(km.BoundsError, match=f"(?i){name}"):
        km.fit("y ~ a*x + b", TUTORIAL, backend="torch", solver=name)


def test_an_option_that_an_older_pytorch_lacks_is_left_out_only_where_it_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Older(torch.optim.SGD):
        def __init__(self, params: Any, lr: float = 1e-3) -> None:
            super().__init__(params, lr=lr)

    monkeypatch.setattr(torch.optim, "SGD", Older)
    common: dict[str, Any] = {"backend": "torch", "start": START}
    assert km.fit("y ~ a*x + b", TUTORIAL, solver=km.SGD(lr=0.001, steps=3), **common).solution.steps == 3
    with pytest.raises(km.BackendError, match=r"torch\.optim\.SGD refuses its options"):
        km.fit("y ~ a*x + b", TUTORIAL, solver=km.SGD(lr=0.001, momentum=0.5, steps=3), **common)


def test_the_last_row_of_an_interrupted_run_is_loss_and_gradient_at_its_own_parameters() -> None:
    def stop(step: int, loss: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(km.NotConverged) as caught:
        km.fit("y ~ a*x + b", TUTORIAL, backend="torch", solver=km.SGD(lr=1e-3, steps=10**6), progress=stop)
    fit = caught.value.fit
    assert isinstance(fit, km.Fit)
    trace = fit.trace
    assert trace is not None
    for row in (-2, -1):  # the row before shows that a row says so wherever no step was cut
        a, b = trace.params[row]
        residuals = Y - (a * X + b)
        assert trace.loss[row] == pytest.approx((residuals**2).mean(), rel=1e-13)
        slopes = [-2.0 * (residuals * X).mean(), -2.0 * residuals.mean()]
        np.testing.assert_allclose(trace.gradient[row], slopes, rtol=1e-9)
    assert trace.index[-1] == fit.solution.steps
    assert np.isnan(trace.step[-1]).all()


@pytest.mark.parametrize("where", ["optimizer", "watch"])
def test_a_step_that_is_cut_is_dropped_with_its_memory(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    solver = km.RMSprop(lr=1e-3, steps=40)
    whole = km.fit("y ~ a*x + b", TUTORIAL, backend="torch", solver=solver, start=START).trace
    calls = [0]

    def cut(real: Any) -> Any:
        def cutting(*given: Any) -> Any:
            found = real(*given)
            calls[0] += 1
            if calls[0] == 25:
                raise KeyboardInterrupt
            return found

        return cutting

    if where == "optimizer":  # the parameters have moved
        monkeypatch.setattr(torch.optim.RMSprop, "step", cut(torch.optim.RMSprop.step))
    else:  # our rule's memory has, too
        monkeypatch.setattr(torch_solving.Memory, "step", cut(torch_solving.Memory.step))
    memories = []
    made = torch_solving.Memory
    monkeypatch.setattr(torch_solving, "Memory", lambda *given: memories.append(made(*given)) or memories[-1])
    with pytest.raises(km.NotConverged) as caught:
        km.fit("y ~ a*x + b", TUTORIAL, backend="torch", solver=solver, start=START)
    assert isinstance(caught.value.fit, km.Fit)
    trace = caught.value.fit.trace
    assert trace is not None
    assert whole is not None
    assert trace.index.tolist() == list(range(25))
    np.testing.assert_array_equal(trace.params, whole.params[:25])
    np.testing.assert_array_equal(trace.loss, whole.loss[:25])
    np.testing.assert_array_equal(trace.gradient, whole.gradient[:25])
    np.testing.assert_array_equal(memories[0].after(24)[:2], first_order_run.memory(solver, whole, 24)[:2])

"""Mini-batches with PyTorch: what a loop over a DataLoader does, row for row, of formulas, functions and modules."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import katamuki as km
from torch_models import DATA, FORMULA, ROWS, START, Net, damped

pytestmark = pytest.mark.filterwarnings("ignore::katamuki.FitWarning")
Tensors = Mapping[str, torch.Tensor]
STEPS = 100


def batches(columns: list[Any], size: int, seed: int, dtype: torch.dtype) -> Iterator[list[torch.Tensor]]:
    """A user's batches, epoch after epoch."""
    given = TensorDataset(*(torch.tensor(one, dtype=dtype) for one in columns))
    loader = DataLoader(given, batch_size=size, shuffle=True, generator=torch.Generator().manual_seed(seed))
    while True:
        yield from loader


def loop(
    model: Callable[[list[torch.Tensor]], torch.Tensor],
    leaves: list[torch.Tensor],
    columns: list[Any],
    solver: Any,
    seed: int,
    made: Callable[..., Any],
) -> tuple[list[float], np.ndarray[Any, Any]]:
    """A user's own loop: the losses of its steps, and where it ended. The last column is y, before it perhaps w."""
    optimizer, losses = made(leaves, lr=solver.lr), []
    for _, batch in zip(range(solver.steps), batches(columns, solver.batch_size, seed, leaves[0].dtype), strict=False):
        optimizer.zero_grad()
        loss = ((model(batch) - batch[-1]) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, torch.cat([one.detach().double().reshape(-1) for one in leaves]).numpy()


def same(fit: km.Fit, losses: list[float], params: np.ndarray[Any, Any]) -> None:
    """A run and a user's loop are the same numbers to the bit."""
    assert fit.trace.loss[:-1].tolist() == losses
    assert list(fit.params.values()) == params.tolist()
    assert fit.trace.loss[-1] == pytest.approx(fit.loss, rel=1e-6 if fit.solution.dtype == "float32" else 1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", [7, 60, 64])
def test_a_formula_takes_the_batches_of_a_loader(dtype: str, size: int) -> None:
    kind = getattr(torch, dtype)
    a, k, w, phi = leaves = [torch.tensor(one, dtype=kind, requires_grad=True) for one in START.values()]
    solver = km.Adam(lr=0.01, steps=STEPS, batch_size=size)

    def model(batch: list[torch.Tensor]) -> torch.Tensor:
        return (a * torch.exp((-k) * batch[0])) * torch.cos((w * batch[0]) + phi)

    losses, params = loop(model, leaves, [DATA["t"], DATA["y"]], solver, 3, torch.optim.Adam)
    fit = km.fit(FORMULA, DATA, backend="torch", dtype=dtype, start=START, solver=solver, seed=3)
    same(fit, losses, params)
    other = km.fit(FORMULA, DATA, backend="torch", dtype=dtype, start=START, solver=solver, seed=4)
    if size < 60:
        assert other.trace.loss[1] != fit.trace.loss[1]
    with pytest.raises(AssertionError):
        same(other, losses, params)


def test_pytorchs_run_is_that_of_the_compiled_loop() -> None:
    """Weights, a fixed parameter and a last batch of one row included."""
    asked = {"start": {"a": 1.0, "b": 1.0}, "fixed": {"c": 0.1}, "weights": "w", "seed": 8}
    draw = np.random.default_rng(2)
    x = draw.uniform(0.0, 3.0, 61)
    data = {"x": x, "y": 2.0 * np.exp(-x) + 0.1 + 0.05 * draw.normal(size=61), "w": draw.uniform(0.5, 2.0, 61)}
    for solver in (km.SGD(lr=0.05, momentum=0.5, steps=200, batch_size=12), km.RMSprop(steps=200, batch_size=5)):
        ours, theirs = (
            km.fit("y ~ a*exp(-b*x) + c", data, backend=backend, solver=solver, **asked)  # type: ignore[arg-type]
            for backend in ("auto", "torch")
        )
        np.testing.assert_allclose(theirs.trace.loss, ours.trace.loss, rtol=1e-12)
        np.testing.assert_allclose(theirs.trace.params, ours.trace.params, rtol=1e-11)
        np.testing.assert_allclose(theirs.trace.gradient, ours.trace.gradient, rtol=1e-9, atol=1e-13)
        assert theirs.state == ours.state


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_function_of_tensors_takes_the_batches_of_a_loader(dtype: str) -> None:
    kind = getattr(torch, dtype)
    leaves = [torch.tensor(one, dtype=kind, requires_grad=True) for one in START.values()]
    named = dict(zip(START, leaves, strict=True))
    solver = km.SGD(lr=0.02, steps=STEPS, batch_size=16)
    columns = [DATA["t"], DATA["y"]]
    found = loop(lambda batch: damped({"t": batch[0]}, named), leaves, columns, solver, 1, torch.optim.SGD)
    fit = km.fit(damped, DATA, target="y", start=START, solver=solver, seed=1, dtype=dtype)
    same(fit, *found)
    assert fit.check().verdict == "PASS"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_module_takes_the_batches_of_a_loader(dtype: str) -> None:
    kind = getattr(torch, dtype)
    net = Net(dtype=kind)
    mine = copy.deepcopy(net)
    leaves = list(mine.parameters())
    solver = km.Adam(lr=0.02, steps=STEPS, batch_size=32)
    columns = [ROWS[name] for name in ("u", "v", "w", "y")]
    found = loop(
        lambda batch: mine(torch.stack(batch[:3], dim=1)).squeeze(1), leaves, columns, solver, 5, torch.optim.Adam
    )
    fit = km.fit(net, ROWS, target="y", solver=solver, seed=5, dtype=dtype)
    same(fit, *found)
    assert fit.state == "slow"
    assert fit.solution.cycle is None


def test_the_last_row_is_of_all_rows_and_says_how_the_run_ended() -> None:
    solver = km.SGD(lr=0.02, steps=50, batch_size=6)
    fit = km.fit(FORMULA, DATA, backend="torch", start=START, solver=solver)
    whole = km.fit(FORMULA, DATA, backend="torch", start=fit.params, solver=km.SGD(lr=1e-9, steps=1))
    assert fit.trace.loss[-1] == whole.trace.loss[0]
    assert fit.trace.gradient[-1].tolist() == whole.trace.gradient[0].tolist()
    assert len(fit.trace) == 51


def test_a_run_that_diverges_keeps_the_steps_until_then() -> None:
    for model, more in ((FORMULA, {"backend": "torch"}), (damped, {"target": "y"})):
        with pytest.raises(km.NotConverged) as caught:
            km.fit(model, DATA, start=START, solver=km.SGD(lr=50.0, steps=400, batch_size=16), **more)
        fit = caught.value.fit
        assert fit is not None
        assert fit.state == "diverged"
        assert 0 < len(fit.trace) - 1 < 400


def test_progress_time_and_ctrl_c_are_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    from katamuki.backends.torch_ import loop as training

    solver = km.SGD(lr=0.001, steps=100_000, batch_size=6)
    fit = km.fit(FORMULA, DATA, backend="torch", start=START, solver=solver, max_seconds=0.1)
    assert 0 < fit.solution.steps < 100_000
    assert fit.trace.loss[-1] == pytest.approx(fit.loss, rel=1e-12)
    monkeypatch.setattr(training, "PROGRESS", 0.0)

    def stop(step: int, loss: float) -> None:
        if step == 20:
            raise KeyboardInterrupt

    with pytest.raises(km.NotConverged) as caught:
        km.fit(FORMULA, DATA, backend="torch", start=START, solver=solver, progress=stop)
    ended = caught.value.fit
    assert ended is not None
    assert ended.state == "interrupted"
    assert ended.trace.loss[-1] == pytest.approx(ended.loss, rel=1e-12)  # of all rows


def test_a_model_made_for_all_rows_is_refused_before_any_step() -> None:
    t = torch.tensor(DATA["t"])

    def stuck(columns: Tensors, params: Tensors) -> torch.Tensor:
        return params["a"] * torch.exp(-params["k"] * t)

    start = {"a": 1.0, "k": 0.3}
    assert km.fit(stuck, DATA, target="y", start=start, solver=km.SGD(steps=2)).n == 60
    for size, count in ((16, 16), (59, 59)):  # the last batch of 59 has one row
        with pytest.raises(km.FormulaError, match=rf"60.*{count} rows") as caught:
            km.fit(stuck, DATA, target="y", start=start, solver=km.SGD(steps=2, batch_size=size))
        assert caught.value.code == "E-SHAPE"

    def squeezed(columns: Tensors, params: Tensors) -> torch.Tensor:
        return (params["a"] * torch.exp(-params["k"] * columns["t"])).squeeze()

    fit = km.fit(squeezed, DATA, target="y", start=start, solver=km.SGD(lr=0.01, steps=40, batch_size=59))
    plain = km.fit(
        "y ~ a*exp(-k*t)", DATA, backend="torch", start=start, solver=km.SGD(lr=0.01, steps=40, batch_size=59)
    )
    assert list(fit.params.values()) == pytest.approx(list(plain.params.values()), rel=1e-12)


def test_a_wide_network_and_a_thinned_trace_take_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    from katamuki.api import torch_solving

    torch.manual_seed(1)
    wide = nn.Sequential(nn.Linear(3, 300), nn.ReLU(), nn.Linear(300, 1)).double()
    mine = copy.deepcopy(wide)
    solver = km.SGD(lr=0.01, steps=60, batch_size=50)
    columns = [ROWS[name] for name in ("u", "v", "w", "y")]
    leaves = list(mine.parameters())
    losses, params = loop(
        lambda batch: mine(torch.stack(batch[:3], dim=1)).squeeze(1), leaves, columns, solver, 0, torch.optim.SGD
    )
    monkeypatch.setattr(torch_solving, "WHOLE", 8 * 20 * (3 * 1501 + 1))
    fit = km.fit(wide, ROWS, target="y", solver=solver)
    assert len(fit.trace) < 40
    assert list(fit.params.values()) == params.tolist()
    assert fit.trace.loss[:-1].tolist() == [losses[int(k)] for k in fit.trace.index[:-1]]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_story_of_a_step_is_that_of_its_batch(dtype: str) -> None:
    """Of a formula, a function and a module; in float32 both losses are PyTorch's own."""
    kind, solver = getattr(torch, dtype), km.Adam(lr=0.02, steps=30, batch_size=16)
    asked = {"solver": solver, "dtype": dtype, "seed": 6}

    def loss(model: Any, values: Mapping[str, float], rows: Any) -> float:
        t, y = (torch.tensor(DATA[name], dtype=kind)[rows] for name in ("t", "y"))
        params = {name: torch.tensor(value, dtype=kind) for name, value in values.items()}
        return float(((model({"t": t}, params) - y) ** 2).mean())

    digits = {"rel": 1e-12 if dtype == "float64" else 1e-6}
    for fit in (
        km.fit(FORMULA, DATA, backend="torch", start=START, **asked),  # type: ignore[arg-type]
        km.fit(damped, DATA, target="y", start=START, **asked),  # type: ignore[arg-type]
    ):
        for k in (1, 4, 30):
            step = fit.step(k)
            assert step.batch is not None
            rows = np.array(step.batch.rows) - 1
            assert len(rows) == step.n == (16 if k % 4 else 12)
            assert step.loss == pytest.approx(loss(damped, step.before, rows), **digits)
            assert step.loss_after == pytest.approx(loss(damped, step.after, rows), **digits)
            if dtype == "float32":
                assert step.loss_after == np.float32(step.loss_after)  # its own numbers, not doubles
            assert step.batch.loss == pytest.approx(loss(damped, step.before, slice(None)), **digits)
            assert step.batch.loss_after == pytest.approx(loss(damped, step.after, slice(None)), **digits)
            assert step.loss_after != pytest.approx(step.batch.loss_after, rel=1e-3)
            assert f"{len(rows)} of 60 rows" in " ".join(str(step).split())
        assert fit.explain().events
    net = Net(dtype=kind)
    trained = km.fit(net, ROWS, target="y", solver=km.Adam(lr=0.02, steps=12, batch_size=50), dtype=dtype)
    step = trained.step(3)
    assert step.batch is not None
    rows = np.array(step.batch.rows) - 1
    assert len(rows) == 20
    x = torch.tensor(np.column_stack([ROWS[name] for name in ("u", "v", "w")]), dtype=kind)
    trained_then = trained.model
    assert isinstance(trained_then, nn.Module)
    with torch.no_grad():
        for name, one in trained_then.named_parameters():
            found = [step.after[key] for key in trained.params if key.startswith(name + "[")]
            one.copy_(torch.tensor(found, dtype=kind).reshape(one.shape))
        e = trained_then(x).squeeze(1) - torch.tensor(ROWS["y"], dtype=kind)
    assert step.loss_after == pytest.approx(float((e[rows] ** 2).mean()), rel=1e-12 if dtype == "float64" else 1e-5)
    assert step.batch.loss_after == pytest.approx(float((e**2).mean()), rel=1e-12 if dtype == "float64" else 1e-5)
    for level in ("glance", "numbers", "rules"):
        assert step.explain(level, lang="ja")


def test_some_rows_of_a_model_of_torch_are_a_problem_of_their_own() -> None:
    fit = km.fit(damped, DATA, target="y", start=START, weights=np.linspace(1.0, 2.0, 60))
    whole, rows = fit._problem(), np.array([7, 3, 59, 20])
    part = whole.gathered(rows)
    values = whole.values
    np.testing.assert_allclose(part.residuals(values), whole.residuals(values)[rows], rtol=1e-14)
    np.testing.assert_allclose(
        part.rss(values), np.sum(np.linspace(1.0, 2.0, 60)[rows] * whole.residuals(values)[rows] ** 2), rtol=1e-13
    )
    assert part.rss(values) != pytest.approx(whole.rss(values), rel=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_takes_the_same_batches() -> None:
    solver = km.Adam(lr=0.01, steps=50, batch_size=16)
    here, there = (
        km.fit(FORMULA, DATA, backend="torch", device=device, start=START, solver=solver) for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(there.trace.loss, here.trace.loss, rtol=1e-9)
    np.testing.assert_allclose(there.trace.params, here.trace.params, rtol=1e-9)

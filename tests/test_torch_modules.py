"""Modules as models: trained, reported, their weights named, and what a network cannot say."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import katamuki as km
from torch_models import DATA, ROWS, START, N, Net, T, adam, damped, small_net

pytestmark = pytest.mark.filterwarnings("ignore::katamuki.FitWarning")


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
    assert fit.explain().events
    assert fit.step(1).to_dict()["schema"] == "katamuki.step/1"
    assert "layers.0.weight[0,0]" in str(fit.step(1).explain("numbers"))


def test_a_functions_run_and_a_networks_are_explained() -> None:
    for fit in (
        km.fit(damped, DATA, target="y", start=START, solver=adam(50)),
        km.fit(damped, DATA, target="y", start=START),
        km.fit(Net(), ROWS, target="y", solver=adam(20)),
    ):
        assert fit.explain().events
        for level in ("glance", "numbers", "rules"):
            assert str(fit.step(2).explain(level))


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


def test_dropout_and_batch_norm_at_rest_are_fitted() -> None:
    net = small_net(nn.BatchNorm1d(3), nn.Dropout(0.5)).eval()
    before = net[2].running_mean.clone()
    fit = km.fit(net, DATA, target="y", solver=adam(20))
    assert torch.equal(fit.model[2].running_mean, before)  # type: ignore[index]
    assert not fit.model.training  # type: ignore[attr-defined]


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


class Coupled(nn.Module):
    """Each row's prediction depends on all rows."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.layers = nn.Sequential(nn.Linear(3, 12), nn.Tanh(), nn.Linear(12, 1)).double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x - x.mean(dim=0))  # type: ignore[no-any-return]


@pytest.mark.parametrize("make", [Net, Coupled])
def test_the_jacobian_by_rows_is_used_only_where_it_is_right(make: Any) -> None:
    fit = km.fit(make(), ROWS, target="y", solver=adam(2))
    problem: Any = fit._problem()
    values = problem.values + 0.1
    table = problem.tabled.table(values, 0, N, True)
    assert problem.tabled.alone == (make is Net)
    for k in (0, 7, len(values) - 1):
        step = np.zeros(len(values))
        step[k] = 1e-6
        ahead, behind = (problem.tabled.table(values + by, 0, N, False)[0] for by in (step, -step))
        np.testing.assert_allclose(table[1 + k], (ahead - behind) / 2e-6, rtol=1e-6, atol=1e-9)


def wide(bias: float) -> nn.Module:
    """1501 parameters, of which all but the last bias are rectified away where ``bias`` is far below 0."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 500), nn.ReLU(), nn.Linear(500, 1)).double()
    with torch.no_grad():
        model[0].bias.fill_(bias)  # type: ignore[union-attr,operator]
        model[2].bias.zero_()  # type: ignore[union-attr,operator]
    model[2].bias.requires_grad_(False)  # type: ignore[union-attr]
    return model


CURVE = {"x": np.linspace(-1.0, 1.0, 50), "y": np.linspace(-1.0, 1.0, 50) ** 2 + 3.0}


@pytest.mark.parametrize(
    ("model", "solver", "words"),
    [
        (wide(-10.0), "auto", "L-BFGS never left its start"),
        (wide(-10.0), km.SGD(lr=0.1, steps=5), "SGD never left its start.*largest slope 0"),
        (small_net(), km.LBFGS(tolerance_grad=1e3), "L-BFGS never left its start"),
        (small_net(), km.LBFGS(tolerance_grad=1e3, steps=1), "L-BFGS never left its start"),
        (small_net(), km.SGD(lr=1e-30, steps=5), "SGD never left its start"),
    ],
)
def test_a_start_is_never_returned_as_a_result(model: nn.Module, solver: Any, words: str) -> None:
    with pytest.raises(km.NotConverged, match=words) as caught:
        km.fit(model, CURVE, target="y", solver=solver)
    assert caught.value.code == "E-CONVERGENCE"
    assert isinstance(caught.value.fit, km.Fit)


def test_a_network_that_moved_is_returned_and_one_that_starts_at_its_minimum_is_too() -> None:
    moved = km.fit(wide(0.0), CURVE, target="y")
    assert moved.solution.steps > 0
    line = nn.Linear(1, 1).double()
    with torch.no_grad():
        line.weight.fill_(2.0)
        line.bias.fill_(1.0)
    noise = np.tile([0.1, -0.1, -0.1, 0.1], 3)  # orthogonal to 1 and to x
    x = np.arange(12.0)
    there = km.fit(line, {"x": x, "y": 2.0 * x + 1.0 + noise}, target="y", solver=km.LBFGS())
    assert there.state == "converged"


def test_lbfgs_of_torch_stops_where_its_tolerances_let_nothing_move() -> None:
    fit = km.fit(small_net(), CURVE, target="y", solver=km.LBFGS(tolerance_grad=1e-2, steps=50))
    assert fit.state == "slow"
    assert fit.solution.steps < 50
    assert fit.solution.reason["still"] is True
    longer = km.fit(small_net(), CURVE, target="y", solver=km.LBFGS(tolerance_grad=1e-2, steps=200))
    assert longer.params == fit.params

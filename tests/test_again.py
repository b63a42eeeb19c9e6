"""A fit run again without ``zero_grad``: the tutorial's true numbers, momentum 1, and who can be asked for it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import katamuki as km
from katamuki.errors import BackendError, BoundsError, NotConverged

pytestmark = pytest.mark.filterwarnings("ignore::katamuki.FitWarning")
START = {"a": 0.5, "b": 0.5}
DECAY = {"x": np.linspace(0.0, 3.0, 15), "y": 2.0 * np.exp(-1.3 * np.linspace(0.0, 3.0, 15)) + 0.5}


def tutorial(solver: Any, **rest: Any) -> Any:
    return km.fit("y ~ a*x + b", km.datasets("tutorial"), solver=solver, start=START, **rest)


def test_the_tutorial_swings_as_ux_says_and_says_so() -> None:
    fit = tutorial(km.RMSprop(lr=0.001))
    left = fit.without_zero_grad()
    assert fit.solution.zero_grad
    assert not left.solution.zero_grad
    trace = left.trace
    numbers = [*trace.params[5999].tolist(), trace.loss[5999], trace.loss.min(), trace.loss[2999]]
    assert [round(float(one), 6) for one in numbers] == [0.449420, 3.475312, 1.277197, 1.251413, 1.314888]
    assert trace.extra["accumulated"][1].round(4).tolist() == [-88.0364, -9.8036]
    assert left.state == "slow"
    assert "gradients accumulate (no zero_grad)" in str(left)
    assert "gradients set to zero" in str(left)
    assert "accumulate" not in str(fit)
    assert left.to_dict()["solver"]["zero_grad"] is False
    assert left.solver == fit.solver
    assert left.solution.start == fit.solution.start
    assert left.check().verdict == "PASS"
    assert "stability" not in left.solution.reason  # RMSprop's limit is not known where it sees sums


@pytest.mark.parametrize(
    ("model", "data", "start", "lr"),
    [
        ("y ~ a*x + b", "tutorial", START, 0.001),
        ("y ~ a*exp(-b*x) + c", DECAY, {"a": 1.0, "b": 1.0, "c": 0.0}, 0.02),
    ],
)
def test_under_gradient_descent_it_is_momentum_one(model: str, data: Any, start: dict[str, float], lr: float) -> None:
    data = km.datasets(data) if isinstance(data, str) else data
    left = km.fit(model, data, solver=km.SGD(lr=lr, steps=4000), start=start).without_zero_grad()
    ball = km.fit(model, data, solver=km.SGD(lr=lr, momentum=1.0, steps=4000), start=start)
    assert np.abs(left.trace.params - ball.trace.params).max() == 0.0
    assert left.params == ball.params
    assert dict(left.solution.reason) == dict(ball.solution.reason)
    if model == "y ~ a*x + b":
        assert left.solution.reason["stability_limit"] == 4.0


def test_weights_fixed_parameters_and_left_out_rows_stay() -> None:
    data = {"x": [1.0, 2.0, 3.0, 4.0, np.nan, 6.0], "y": [1.1, 1.9, 3.2, 3.9, 5.0, 6.1], "s": [1, 2, 1, 2, 1, 2]}
    fit = km.fit(
        "y ~ a*x + b",
        data,
        solver=km.Adam(lr=0.01, steps=50),
        sigma="s",
        sigma_is="relative",
        fixed={"b": 0.1},
        missing="drop",
        seed=5,
    )
    left = fit.without_zero_grad()
    claim = left.solution
    assert (claim.free, claim.params["b"], claim.stderr["b"]) == (("a",), 0.1, None)
    assert (claim.sigma_is, claim.weighted, claim.columns, claim.n) == ("relative", True, fit.solution.columns, 5)
    assert (left.seed, left.data) == (5, fit.data)
    assert left.index.tolist() == [0, 1, 2, 3, 5]
    assert (left.trace.params[:2] == fit.trace.params[:2]).all()
    assert (left.trace.params[2:] != fit.trace.params[2:]).all()


def test_it_survives_a_file(tmp_path: Path) -> None:
    left = tutorial(km.SGD(lr=0.001, steps=40)).without_zero_grad()
    left.save(tmp_path / "left.json")
    loaded = km.load(tmp_path / "left.json")
    assert not loaded.solution.zero_grad
    assert loaded.trace.extra["accumulated"].tobytes() == left.trace.extra["accumulated"].tobytes()
    assert str(loaded) == str(left)
    assert loaded.without_zero_grad().params == left.params


def test_the_numbers_of_rows_survive_a_file(tmp_path: Path) -> None:
    data = {"x": [1.0, 2.0, 3.0, 4.0, 5.0], "y": [1.1, 1.9, 3.2, 3.9, 5.1]}
    km.fit("y ~ a*x + b", data, where="x != 2").save(tmp_path / "fit.json")
    assert km.load(tmp_path / "fit.json").index.tolist() == [0, 2, 3, 4]


def test_one_that_flies_away_is_not_returned() -> None:
    with pytest.raises(NotConverged, match="E-DIVERGED") as caught:
        tutorial(km.SGD(lr=0.001, momentum=0.9)).without_zero_grad()
    assert not caught.value.fit.solution.zero_grad
    assert len(caught.value.fit.trace) > 10
    with pytest.raises(NotConverged) as caught:
        tutorial(km.SGD(lr=0.02))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert caught.value.fit.without_zero_grad().state == "slow"  # below 4/λ a ball stays in its valley


@pytest.mark.parametrize("solver", ["auto", "linear", "lm"])
def test_a_fit_without_gradient_steps_says_who_takes_them(solver: str) -> None:
    start = {} if solver in ("auto", "linear") else START
    fit = km.fit("y ~ a*x + b", km.datasets("tutorial"), solver=solver, start=start)
    with pytest.raises(BoundsError, match="RMSprop") as caught:
        fit.without_zero_grad()
    assert caught.value.code == "E-USAGE"


def test_a_fit_that_pytorch_computed_says_who_can() -> None:
    fit = tutorial(km.RMSprop(lr=0.001, steps=20), backend="torch")
    with pytest.raises(BackendError, match='backend="kernel"'):
        fit.without_zero_grad()


def test_the_warning_points_at_the_caller() -> None:
    fit = tutorial(km.RMSprop(lr=0.001, steps=10))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fit.without_zero_grad()
    assert [one.filename for one in told] == [__file__]

"""Functions of tensors as models: fitted as formulas are, and everything on their fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import katamuki as km
from torch_models import DATA, FORMULA, ROWS, START, Net, T, Tensors, Y, adam, damped

pytestmark = pytest.mark.filterwarnings("ignore::katamuki.FitWarning")


def test_a_function_of_tensors_is_fitted_as_the_formula_is() -> None:
    fit = km.fit(damped, DATA, target="y", start=START)
    same = km.fit(FORMULA, DATA, start=START, starts=1)  # a function of tensors is not searched
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

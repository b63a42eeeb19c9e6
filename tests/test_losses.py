"""Each loss against PyTorch's, and the slope against PyTorch's gradient."""

from __future__ import annotations

import numpy as np
import pytest

from katamuki.losses import TABLE, mean

RESIDUALS = np.random.default_rng(5).normal(size=50)


def torch_loss(name: str) -> tuple[float, np.ndarray]:
    import torch

    kinds = {"squared": torch.nn.MSELoss()}
    r = torch.tensor(RESIDUALS, requires_grad=True)
    out = kinds[name](r, torch.zeros_like(r))
    out.backward()
    return float(out.detach()), r.grad.numpy()


@pytest.mark.parametrize("name", sorted(TABLE))
def test_a_loss_is_that_of_pytorch(name: str) -> None:
    value, gradient = torch_loss(name)
    assert mean(name, RESIDUALS) == pytest.approx(value, rel=1e-15)
    np.testing.assert_allclose(TABLE[name].slope(RESIDUALS) / len(RESIDUALS), gradient, rtol=1e-15)
    assert mean(name, RESIDUALS * 1.001) != pytest.approx(value, rel=1e-4)


def test_weights_multiply_each_rows_cost_and_n_stays() -> None:
    weights = np.arange(50.0)
    assert mean("squared", RESIDUALS, weights) == pytest.approx(sum(weights * RESIDUALS**2) / 50, rel=1e-14)

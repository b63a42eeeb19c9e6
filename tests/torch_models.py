"""What the tests of torch models share: a damped oscillation, a network of fifty parameters, and data for both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

import katamuki as km

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


def adam(steps: int) -> Any:
    return km.Adam(lr=0.01, steps=steps)

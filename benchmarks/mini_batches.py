"""Mini-batches with a seeded shuffle: PyTorch's DataLoader loop against a whole ``km.fit`` call, the same rows."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from timing import agree, every, pairs, ratio_row, size

import katamuki as km

TUTORIAL = km.datasets("tutorial")
RNG = np.random.default_rng(1)
TARGET = 30


def peer(x: np.ndarray, y: np.ndarray, batch: int, steps: int) -> float:
    """What a learner of PyTorch writes, and nothing besides; in float64, so that both compute the same number."""
    data = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))
    loader = torch.utils.data.DataLoader(
        data, batch_size=batch, shuffle=True, generator=torch.Generator().manual_seed(0)
    )
    a = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    b = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    mse, optim, taken = torch.nn.MSELoss(), torch.optim.Adam([a, b], lr=0.01), 0
    while True:
        for xi, yi in loader:
            optim.zero_grad()
            mse(a * xi + b, yi).backward()
            optim.step()
            taken += 1
            if taken == steps:
                return a.item()


def measure(name: str, x: np.ndarray, y: np.ndarray, batch: int, steps: int) -> None:
    """One row: so many steps, from the same start to the same end."""
    solver, data = km.Adam(lr=0.01, steps=steps, batch_size=batch), {"x": x, "y": y}

    def ours() -> float:
        return km.fit("y ~ a*x + b", data, solver=solver, start={"a": 0.5, "b": 0.5}).params["a"]

    agree(ours(), peer(x, y, batch, steps), 9)
    found = pairs(lambda: peer(x, y, batch, steps), ours, rounds=3)
    ratio_row(name, "PyTorch DataLoader loop", found, TARGET)


def tutorial() -> None:
    """Eleven points in batches of four."""
    x, y = (np.asarray(TUTORIAL[name], dtype=np.float64) for name in ("x", "y"))
    measure("mini-batches of 4, 11 points, 2000 Adam steps", x, y, 4, 2000)


def many_rows() -> None:
    """A hundred thousand rows in batches of 64: an epoch and a quarter."""
    x = RNG.uniform(0.0, 10.0, size(100_000))
    y = 0.5 * x + 3.0 + RNG.standard_normal(len(x))
    measure("mini-batches of 64, 1e5 rows, 2000 Adam steps", x, y, 64, 2000)


if __name__ == "__main__":
    warnings.simplefilter("ignore", km.FitWarning)
    torch.set_num_threads(1)
    every(tutorial, many_rows)

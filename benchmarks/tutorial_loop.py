"""The tutorial: 6000 steps of RMSprop on eleven points; PyTorch's eager loop against a whole ``km.fit`` call."""

from __future__ import annotations

import warnings

import torch
from timing import agree, pairs, ratio_row

import katamuki as km

DATA = {
    "x": [10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0],
    "y": [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68],
}
START = {"a": 0.5, "b": 0.5}
SOLVER = km.RMSprop(lr=0.001, steps=6000)


def peer() -> float:
    """The tutorial's loop, as fast as PyTorch runs it: no look at the values on the way."""
    xi, yi = torch.tensor(DATA["x"]), torch.tensor(DATA["y"])
    a = torch.tensor(0.5, requires_grad=True)
    b = torch.tensor(0.5, requires_grad=True)
    mse = torch.nn.MSELoss()
    optim = torch.optim.RMSprop([a, b], lr=0.001)
    for _ in range(6000):
        loss = mse(a * xi + b, yi)
        optim.zero_grad()
        loss.backward()
        optim.step()
    return loss.item()


def ours() -> float:
    """The same steps, in float64, with trace, findings and verdict."""
    return km.fit("y ~ a*x + b", DATA, solver=SOLVER, start=START).loss


if __name__ == "__main__":
    warnings.simplefilter("ignore", km.FitWarning)
    torch.set_num_threads(1)
    agree(ours(), peer(), 4)
    ratio_row("tutorial, 6000 RMSprop steps, 11 points", "PyTorch eager loop", pairs(peer, ours, rounds=5), 1000)

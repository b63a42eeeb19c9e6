"""PyTorch by katamuki against a plain PyTorch loop: a million rows, full batch, the same optimizer, the same threads.

Ours is the whole ``km.fit`` call: a trace of every step, the least-squares answer beside it, findings and a verdict.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from timing import agree, pairs, ratio_row

import katamuki as km

ROWS = 1_000_000
STEPS = 300
START = {"a": 1.5, "b": 1.0, "c": 0.2}
X = np.linspace(0.0, 4.0, ROWS)
DATA = {"x": X, "y": 2.0 * np.exp(-1.3 * X) + 0.5 + np.random.default_rng(1).normal(0.0, 0.1, ROWS)}
SOLVER = km.Adam(lr=0.01, steps=STEPS)


def peer() -> float:
    """The loop as a learner writes it."""
    x, y = torch.from_numpy(DATA["x"]), torch.from_numpy(DATA["y"])
    params = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in START.values()]
    a, b, c = params
    optim = torch.optim.Adam(params, lr=0.01)
    for _ in range(STEPS):
        loss = ((a * torch.exp(-b * x) + c - y) ** 2).mean()
        optim.zero_grad()
        loss.backward()
        optim.step()
    return a.item()


def ours() -> float:
    """The same steps."""
    return km.fit("y ~ a*exp(-b*x) + c", DATA, backend="torch", solver=SOLVER, start=START).params["a"]


if __name__ == "__main__":
    warnings.simplefilter("ignore", km.FitWarning)
    agree(ours(), peer(), 10)
    name = f"plain PyTorch loop, {torch.get_num_threads()} threads"
    ratio_row("PyTorch, 1e6 rows, 300 Adam steps, full batch", name, pairs(peer, ours, rounds=3), 0.95)

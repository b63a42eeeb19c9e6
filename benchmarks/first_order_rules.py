"""Every compiled first-order solver: 6000 steps on eleven points; PyTorch's eager loop against a whole ``km.fit`` call.

Both sides take all 6000 steps with the solver's own defaults but for lr, and end at the same loss to four digits
(float32 there, float64 here). Each solver is printed; the row is that of the solver with the smallest ratio.
"""

from __future__ import annotations

import dataclasses
import warnings
from functools import partial
from statistics import median

import torch
from timing import agree, group_size, ratio_row, seconds
from tutorial_loop import DATA, START

import katamuki as km
from katamuki.solvers.first_order import FirstOrder

SOLVERS: tuple[FirstOrder, ...] = (
    km.SGD(lr=0.01),
    km.ASGD(lr=0.01),
    km.Rprop(lr=0.01),
    km.Adagrad(lr=0.5),
    km.Adadelta(lr=0.01),
    km.RMSprop(lr=0.001),
    km.Adam(lr=0.001),
    km.AdamW(lr=0.001),
    km.Adamax(lr=0.001),
    km.NAdam(lr=0.001),
    km.RAdam(lr=0.001),
)
ROUNDS = 3


def peer(solver: FirstOrder) -> float:
    """PyTorch's loop, as fast as PyTorch runs it: no look at the values on the way."""
    xi, yi = torch.tensor(DATA["x"]), torch.tensor(DATA["y"])
    a = torch.tensor(START["a"], requires_grad=True)
    b = torch.tensor(START["b"], requires_grad=True)
    mse = torch.nn.MSELoss()
    apart = ("steps", "batch_size")  # what the loop does, and no optimizer
    options = {one.name: getattr(solver, one.name) for one in dataclasses.fields(solver) if one.name not in apart}
    optim = getattr(torch.optim, type(solver).__name__)([a, b], **options)
    for _ in range(solver.steps):
        loss = mse(a * xi + b, yi)
        optim.zero_grad()
        loss.backward()
        optim.step()
    return loss.item()


def ours(solver: FirstOrder) -> float:
    """The same steps, in float64, with trace, findings and verdict."""
    return km.fit("y ~ a*x + b", DATA, solver=solver, start=START).loss


def measured(solver: FirstOrder) -> tuple[float, float, float]:
    """Median seconds of PyTorch's whole loop, of ours, and the median ratio, in turn."""
    agree(ours(solver), peer(solver), 4)
    count = group_size(partial(ours, solver))
    found = [(seconds(partial(peer, solver), 1), seconds(partial(ours, solver), count)) for _ in range(ROUNDS)]
    return median(p for p, _ in found), median(o for _, o in found), median(p / o for p, o in found)


if __name__ == "__main__":
    warnings.simplefilter("ignore", km.FitWarning)
    torch.set_num_threads(1)
    least = (0.0, 0.0, float("inf"))
    for one in SOLVERS:
        now = measured(one)
        print(f"  {type(one).__name__:9} {now[2]:8.0f} times   {now[0]:.3f} s ÷ {now[1] * 1e6:.0f} µs")
        least = min(least, now, key=lambda row: row[2])
    ratio_row("slowest first-order rule, 6000 steps, 11 points", "PyTorch eager loop", least, 500)

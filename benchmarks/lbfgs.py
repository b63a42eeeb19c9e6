"""L-BFGS on the tutorial: 200 iterations that all have something to do; PyTorch's optimizer against ours.

Two rows: the solver alone, and a whole ``km.fit`` call with trace, reference, findings and verdict. A step length of
0.05 keeps both from ending early: after 200 iterations they stand at the same point, on the way.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from timing import agree, pairs, ratio_row

import katamuki as km
from katamuki import formula
from katamuki.backends.kernel import Kernel
from katamuki.problem import Problem
from katamuki.solvers.lbfgs import minimise

DATA = {
    "x": [10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0],
    "y": [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68],
}
START = {"a": 0.5, "b": 0.5}
STEPS = 200
OPTIONS = {"lr": 0.05, "max_iter": 1, "tolerance_grad": 0.0, "tolerance_change": 0.0}
SOLVER = km.LBFGS(**OPTIONS, steps=STEPS)
MODEL = formula.parse("y ~ a*x + b", ("x", "y"))
PROBLEM = Problem(Kernel(MODEL.rhs), [np.array(DATA["x"])], np.array(DATA["y"]), None, START, ("a", "b"))
BEGIN = np.array([0.5, 0.5])


def peer() -> float:
    """PyTorch's own loop, in float64, without a look at the values on the way."""
    xi, yi = torch.tensor(DATA["x"], dtype=torch.float64), torch.tensor(DATA["y"], dtype=torch.float64)
    a = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    b = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    mse = torch.nn.MSELoss()
    optim = torch.optim.LBFGS([a, b], **OPTIONS)

    def closure() -> torch.Tensor:
        optim.zero_grad()
        loss = mse(a * xi + b, yi)
        loss.backward()
        return loss

    for _ in range(STEPS):
        optim.step(closure)
    return float(mse(a * xi + b, yi).item())


def alone() -> float:
    """The steps and their trace."""
    return float(minimise(SOLVER, PROBLEM, BEGIN).trace.loss[-1])


def whole() -> float:
    """The same steps and all that a fit says of them."""
    return km.fit("y ~ a*x + b", DATA, solver=SOLVER, start=START).loss


if __name__ == "__main__":
    warnings.simplefilter("ignore", km.FitWarning)
    torch.set_num_threads(1)
    agree(alone(), peer(), 12)
    agree(whole(), peer(), 12)
    ratio_row("L-BFGS, 200 iterations, 11 points", "PyTorch's loop", pairs(peer, alone, rounds=7), 100)
    ratio_row("L-BFGS, 200 iterations, whole km.fit", "PyTorch's loop", pairs(peer, whole, rounds=7), 100)

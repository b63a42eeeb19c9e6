"""The tutorial that katamuki grew from, as a reader of PyTorch writes it: y = a·x + b through eleven points.

Two programs that do the same: the loss written by hand, and the loss from ``torch.nn``. Each takes 6000 steps of
RMSprop and returns the parameters after the last two steps, because the run ends in a cycle of two points: the least-
squares answer is their middle, and which of the two comes last depends on the start and on the number type.
"""

from __future__ import annotations

import torch

X = [10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0]
Y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68]

Ends = tuple[tuple[float, float], tuple[float, float]]


def loss_by_hand(a: float, b: float, steps: int = 6000, lr: float = 0.001, dtype: torch.dtype = torch.float32) -> Ends:
    """The mean squared error written out."""
    xi = torch.tensor(X, dtype=dtype)
    yi = torch.tensor(Y, dtype=dtype)
    A = torch.tensor(a, dtype=dtype, requires_grad=True)
    B = torch.tensor(b, dtype=dtype, requires_grad=True)
    optim = torch.optim.RMSprop([A, B], lr=lr)
    before = (a, b)
    for step in range(steps):
        if step == steps - 1:
            before = (A.item(), B.item())
        y = A * xi + B
        loss = ((y - yi) ** 2).mean()
        optim.zero_grad()
        loss.backward()
        optim.step()
    return before, (A.item(), B.item())


def loss_from_torch(
    a: float, b: float, steps: int = 6000, lr: float = 0.001, dtype: torch.dtype = torch.float32
) -> Ends:
    """The same with ``torch.nn.MSELoss``."""
    xi = torch.tensor(X, dtype=dtype)
    yi = torch.tensor(Y, dtype=dtype)
    A = torch.tensor(a, dtype=dtype, requires_grad=True)
    B = torch.tensor(b, dtype=dtype, requires_grad=True)
    mse = torch.nn.MSELoss()
    optim = torch.optim.RMSprop([A, B], lr=lr)
    before = (a, b)
    for step in range(steps):
        if step == steps - 1:
            before = (A.item(), B.item())
        loss = mse(A * xi + B, yi)
        optim.zero_grad()
        loss.backward()
        optim.step()
    return before, (A.item(), B.item())


if __name__ == "__main__":
    for program in (loss_by_hand, loss_from_torch):
        (a1, b1), (a2, b2) = program(0.5, 0.5)
        print(f"{program.__name__:16} a {a1:.6f} then {a2:.6f}   b {b1:.6f} then {b2:.6f}")

"""The tutorial's second program: the same line, its loss from torch.nn and its parameters in a list.

RMSprop does not come to rest: it ends by jumping between two points, so the last two steps are printed. Their middle,
A = 0.50009 and B = 3.00009, is the least-squares answer.
"""

import torch

Xi = torch.tensor([10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0])
Yi = torch.tensor([8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68])

A = torch.tensor(0.5, requires_grad=True)
B = torch.tensor(0.5, requires_grad=True)

mse = torch.nn.MSELoss()
optim = torch.optim.RMSprop([A, B], lr=0.001)

for step in range(1, 6001):
    optim.zero_grad()
    loss = mse(A * Xi + B, Yi)
    loss.backward()
    optim.step()
    if step >= 5999:
        print(f"step {step}   loss {loss.item():.5f}   A {A.item():.5f}   B {B.item():.5f}")

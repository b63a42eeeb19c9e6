"""The race of the default lanes on the tutorial, 20,000 steps each, without PyTorch: wall time of ``km.race``.

Beside it, for the reader, the time that PyTorch's own loops would need for those lanes that are its rules, from one
of them: RMSprop, timed over a tenth of the steps.
"""

from __future__ import annotations

import sys
from statistics import median

from timing import agree, limit_row, seconds

import katamuki as km

DATA = km.datasets("tutorial")
START = {"a": 0.5, "b": 0.5}
TORCH_LANES = 7  # lanes that are loops of torch.optim


def ours() -> km.Race:
    """The whole race: the answer, eight lanes, when each came how near."""
    return km.race("y ~ a*x + b", DATA, start=START)


def eager(steps: int) -> None:
    """PyTorch's loop, as in the tutorial."""
    import torch

    torch.set_num_threads(1)
    xi, yi = (torch.tensor(DATA[name], dtype=torch.float64) for name in ("x", "y"))
    a = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    b = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    optim = torch.optim.RMSprop([a, b], lr=0.001)
    for _ in range(steps):
        loss = torch.nn.functional.mse_loss(a * xi + b, yi)
        optim.zero_grad()
        loss.backward()
        optim.step()


if __name__ == "__main__":
    race = ours()
    known = [2804, 3066, 3246]  # of RMSprop, by PyTorch in float64
    lane = next(one for one in race.lanes if str(one.label) == "RMSprop 0.001")
    for one, steps in zip(lane.reached, known, strict=False):
        agree(float(one.step or 0), steps, 1.7)
    if "torch" in sys.modules:
        raise SystemExit("the race imported PyTorch")
    found = [seconds(ours, 1) for _ in range(15)]
    eager(50)
    torch_s = seconds(lambda: eager(race.steps // 10), 1) * 10 * TORCH_LANES
    work = "race of the default lanes, 20,000 steps each"
    limit_row(work, "wall time without torch", median(found), "s", 0.5, PyTorch_eager_s=f"{torch_s:.3g}")

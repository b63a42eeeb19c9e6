"""The tutorial's PyTorch loop and katamuki's, on the same data from the same start; ``make demo`` runs it.

Both take 6000 steps of RMSprop in float64. Each ends in a cycle of two points, so both points and their middle are
printed; the middle is the least-squares answer.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import tutorial_pytorch

import katamuki as km

Ends = tuple[tuple[float, float], tuple[float, float]]

START = {"a": 0.5, "b": 0.5}
TABLE = km.read(Path(__file__).with_name("tutorial.csv"))


def theirs() -> Ends:
    """The tutorial's program."""
    return tutorial_pytorch.loss_by_hand(**START, dtype=torch.float64)


def ours() -> Ends:
    """The same loop by katamuki: the last two rows of its trace."""
    fit = km.fit("y = a*x + b", TABLE, solver=km.RMSprop(lr=0.001, steps=6000), start=START)
    (a1, b1), (a2, b2) = fit.trace.params[-2:].tolist()
    return (a1, b1), (a2, b2)


def timed(program: Callable[[], Ends]) -> tuple[Ends, float]:
    """What a program returns, the smaller point first, and its seconds."""
    began = time.perf_counter()
    one, two = program()
    return (min(one, two), max(one, two)), time.perf_counter() - began


def row(name: str, ends: Ends, seconds: float) -> str:
    """One line of the table."""
    (a1, b1), (a2, b2) = ends
    return f"  {name:9}  {a1:.6f} <-> {a2:.6f}    {b1:.6f} <-> {b2:.6f}    {1e3 * seconds:8.2f} ms"


if __name__ == "__main__":
    warnings.simplefilter("ignore", km.FitWarning)  # it ends in a cycle: that is what this program shows
    torch.set_num_threads(1)
    ours()  # the first call of a loop compiles it, or loads what an earlier run compiled
    tutorial_pytorch.loss_by_hand(**START, steps=100, dtype=torch.float64)
    loop, loop_time = timed(theirs)
    fit, fit_time = sorted((timed(ours) for _ in range(5)), key=lambda one: one[1])[2]
    apart = max(abs(p - q) for one, two in zip(loop, fit, strict=True) for p, q in zip(one, two, strict=True))
    a, b = (sum(pair) / 2 for pair in zip(*fit, strict=True))
    print("\nRMSprop, lr 0.001, 6000 steps from a = b = 0.5: it ends by jumping between two points")
    print("  loop by    a                        b                           time")
    print(row("PyTorch", loop, loop_time))
    print(row("katamuki", fit, fit_time))
    print(f"  middle     {a:.6f}                 {b:.6f}                 the answer of least squares")
    agree = "agree to 1e-9" if apart < 1e-9 else f"differ by {apart:.0e}"
    print(f"  the loops {agree}; ours took {loop_time / fit_time:.0f} times less time")

"""A million Gaussians of 20 points: a whole ``km.fit_many`` call, and the loops and batches that people write instead.

Everything runs on one core, to which the process is bound, but for the rows with two threads. Ours gives error bars,
findings and a verdict per curve, a table, and the independent check of 20 curves; the peers give parameters. SciPy's
loop is timed over some of the curves. Of PyTorch the row is the batch with ``torch.linalg``'s Cholesky; of JAX the
fastest of three ways. Before any clock runs, all of them must have found the same parameters.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np
from batched import by_linalg, jax_blocks, jax_vmap, optimistix_fitter, torch_fit, written_out
from scipy.optimize import curve_fit
from table import duration
from timing import every, limit_row, pairs, ratio_row, size

import katamuki as km

FORMULA = "y ~ A*exp(-0.5*((x - m)/s)**2) + c"
NAMES = ("A", "m", "s", "c")
START = {"A": 6.0, "m": 9.5, "s": 2.75, "c": 1.0}
CURVES, N = size(10**6), 20
LOOPED = 1000  # curves that SciPy's loop and optimistix are timed over
DIGITS, SHARE = 4, 0.999  # of so many curves every parameter agrees so far, relative to it or to its standard error
WORK = f"1e{len(str(CURVES)) - 1} Gaussians × {N} points"


def made() -> tuple[np.ndarray, np.ndarray]:
    """x (n,) and curves (b, n) with a signal of 20 to 40 standard deviations of their noise."""
    rng = np.random.default_rng(5)
    low, high = np.array([4.0, 7.0, 2.0, 0.0]), np.array([8.0, 12.0, 3.5, 2.0])
    a, m, s, c = (low + (high - low) * rng.random((CURVES, 4))).T[:, :, None]
    x = np.arange(float(N))
    y = rng.standard_normal((CURVES, N))
    y *= 0.2
    y += a * np.exp(-0.5 * ((x - m) / s) ** 2) + c
    return x, y


X, Y = made()
DATA = {"x": X, "y": Y}


def ours(threads: int = 1, **options: Any) -> Any:
    """The whole call."""
    return km.fit_many(FORMULA, DATA, threads=threads, **options)


def given(threads: int = 1, **options: Any) -> Any:
    """From the start that the peers get, and from no other."""
    return ours(threads, start=START, starts=1, **options)


def model(x: np.ndarray, a: float, m: float, s: float, c: float) -> np.ndarray:
    """The formula as ``curve_fit`` users write it."""
    return a * np.exp(-0.5 * ((x - m) / s) ** 2) + c


def loop(curves: Sequence[np.ndarray]) -> np.ndarray:
    """SciPy, curve by curve."""
    start = list(START.values())
    return np.array([curve_fit(model, X, y, p0=start)[0] for y in curves])


def same(name: str, theirs: Any, table: Any) -> None:
    """Stop if a peer found something else: a wrong answer has no speed. The sign of s means nothing."""
    found = np.asarray(theirs)
    columns = [table.column(one).to_numpy()[: len(found)] for one in (*NAMES, *(f"{one}_stderr" for one in NAMES))]
    answer, stderr = np.column_stack(columns[:4]), np.column_stack(columns[4:])
    found = found.copy()
    found[:, 2] = np.abs(found[:, 2]) * np.sign(answer[:, 2])
    apart = np.abs(found - answer) / np.maximum(np.abs(answer), stderr)
    agreed = float((apart.max(axis=1) <= 10.0**-DIGITS).mean())
    print(f"  {name}: {100 * agreed:.2f} % of {len(found)} curves as ours to {DIGITS} digits", flush=True)
    if not agreed >= SHARE:
        raise SystemExit(f"{name} and we disagree on {100 * (1 - agreed):.2f} % of the curves")


def bound(cores: int) -> None:
    """Let the process use so many cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(cores))


def alone() -> None:
    """Microseconds per curve and core: the start found by us, and given; on one thread, and on two."""
    for measure, call, limit in (("start found", ours, 1.0), ("start given", given, 0.6)):
        for threads in (1, 2):
            bound(threads)
            call(threads)
            spent = []
            for _ in range(3):
                began = time.perf_counter()
                call(threads)
                spent.append(time.perf_counter() - began)
            each = 1e6 * median(spent) * threads / CURVES
            began = time.perf_counter()
            call(threads, check=0)
            apart = 1e6 * (time.perf_counter() - began) * threads / CURVES
            plural = "thread" if threads == 1 else "threads"
            facts = {"whole": duration(median(spent)), "without_the_check_of_20": f"{apart:.3g} µs"}
            limit_row(f"{WORK}, {measure}", f"per curve and core, {threads} {plural}", each, "µs", limit, **facts)
    bound(1)


def beside(name: str, peer: Callable[[], Any], share: float, target: float, **facts: object) -> None:
    """One row; the peer's call fits ``share`` of the curves."""
    theirs, mine, ratio = pairs(peer, given, rounds=3)
    ratio_row(f"{WORK}, start given", name, (theirs / share, mine, ratio / share), target, **facts)


def each(call: Callable[[], Any], curves: int) -> str:
    """Microseconds per curve of a peer that stands beside a row."""
    call()
    began = time.perf_counter()
    call()
    return f"{1e6 * (time.perf_counter() - began) / curves:.3g} µs a curve"


def scipy_row() -> None:
    """The loop, over some curves."""
    some = Y[:LOOPED]
    same("scipy", loop(some), given().table)
    beside("scipy curve_fit loop", lambda: loop(some), LOOPED / CURVES, 250, timed_over=f"{LOOPED} curves")


def torch_row() -> None:
    """The batch with ``torch.linalg``; beside it, with a decomposition that is written out."""
    import torch

    torch.set_num_threads(1)
    start, table = list(START.values()), given().table
    for name, step in (("torch, linalg", by_linalg), ("torch, written out", written_out)):
        same(name, torch_fit(Y, X, start, step), table)
    out = each(lambda: torch_fit(Y, X, start, written_out), CURVES)
    beside("torch batched", lambda: torch_fit(Y, X, start), 1.0, 15, Cholesky_written_out=out)


def jax_row() -> None:
    """The fastest of three."""
    import jax

    start, table = list(START.values()), given().table
    y = jax.numpy.asarray(Y)
    ways = {"vmap": (jax_vmap(X, start), y), "blocks": (jax_blocks(X, start), y)}
    ways["optimistix"] = (optimistix_fitter(X, start), y[: 10 * LOOPED])
    told, spent = {}, {}
    for name, (fit, curves) in ways.items():
        same(f"jax, {name}", fit(curves), table)
        told[name] = each(lambda fit=fit, curves=curves: fit(curves).block_until_ready(), len(curves))
        spent[name] = float(told[name].split()[0])
    fastest = min(spent, key=lambda name: spent[name])
    fit, curves = ways[fastest]
    beside("jax", lambda: fit(curves).block_until_ready(), len(curves) / CURVES, 2, row_is=fastest, **told)


if __name__ == "__main__":
    every(alone, scipy_row, torch_row, jax_row)

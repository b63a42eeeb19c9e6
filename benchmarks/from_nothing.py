"""NIST's 27 nonlinear problems and the gallery of hard ones, from nothing: wall time, and SciPy from random starts.

SciPy's ``curve_fit`` gets 64 starts per problem, drawn log-uniformly from a box round the certified answer, from a
tenth to ten times each parameter and with its sign: a box that nobody has who does not know the answer. The best of
its 64 ends counts; its exceptions and warnings are silenced. How many problems each side gets right, to four digits in
every parameter, stands beside its time. The gallery's problems are timed one by one. All is warm and on one core.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy.optimize import curve_fit
from timing import limit_row

import katamuki as km
from katamuki.certified import Problem, counted, names, problem

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "answers"))

STARTS = 64  # of SciPy, for each problem
WIDER = 10.0  # the box: from the answer over this to the answer times this
DIGITS = 4  # in every parameter: right
CLOSE = 1e-6  # relative, of the best known rss of a problem of the gallery
ROUNDS = 5
SEED = 4


def function(p: Problem) -> tuple[Callable[..., Any], np.ndarray, np.ndarray]:
    """A certified model as ``curve_fit`` users write it, its predictors (n,) or (k, n), and its left side (n,)."""
    left, _, right = p.formula.partition("~")
    predictors = [name for name in p.columns if name != "y"]
    space: dict[str, Any] = {name: getattr(np, name) for name in ("exp", "log", "cos", "sin", "pi")}
    space["atan"] = np.arctan
    unpacked = f"    {', '.join(predictors)} = X\n" if len(predictors) > 1 else "    x = X\n"
    exec(f"def model(X, {', '.join(p.params)}):\n{unpacked}    return {right.strip()}", space)  # NIST's own formulas
    columns = [p.columns[name] for name in predictors]
    y = eval(left, space, dict(p.columns))
    return space["model"], np.array(columns) if len(columns) > 1 else columns[0], y


def ours(p: Problem) -> dict[str, float]:
    """The parameters, from nothing; of a fit that failed, what it left."""
    try:
        return km.fit(p.formula, p.columns, threads=1).params
    except km.NotConverged as error:
        return error.fit.params


def peer(p: Problem, model: Callable[..., Any], x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """The best of SciPy's ends."""
    rng = np.random.default_rng(SEED)
    answer = np.array(list(p.params.values()))
    best, least = answer * np.nan, np.inf
    for draw in rng.uniform(-1.0, 1.0, (STARTS, len(answer))):
        try:
            found, _ = curve_fit(model, x, y, p0=answer * WIDER**draw)
        except (RuntimeError, ValueError):
            continue
        rss = float(np.sum((y - model(x, *found)) ** 2))
        if rss < least:
            best, least = found, rss
    return dict(zip(p.params, best.tolist(), strict=True))


def right(p: Problem, params: dict[str, float]) -> bool:
    """Whether every parameter has four digits, however equal terms and signs are arranged."""
    return min(counted(p, params, {}).digits.values()) >= DIGITS


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came."""
    began = time.perf_counter()
    found = call()
    return time.perf_counter() - began, found


def certified() -> list[str]:
    """Rows of the 27 problems; the names of those that we got wrong."""
    all27 = [problem(name) for name in names("nonlinear")]
    wrong, spent, theirs, found = [], np.zeros((ROUNDS, len(all27))), 0.0, 0
    for k, p in enumerate(all27):
        if not right(p, ours(p)):  # warm from here on
            wrong.append(p.name)
        model = function(p)
        model[0](model[1], *p.params.values())
        for j in range(ROUNDS):
            if j == ROUNDS // 2:
                seconds, best = timed(lambda p=p, model=model: peer(p, *model))
                theirs += seconds
                found += right(p, best)
            spent[j, k] = timed(lambda p=p: ours(p))[0]
    each = np.median(spent, axis=0)
    total = float(each.sum())
    slowest = all27[int(each.argmax())].name
    count = f"{len(all27) - len(wrong)} of {len(all27)}"
    work = "27 certified problems from nothing"
    limit_row(work, "wall time, one core", total, "s", 3.0, right=count, slowest=f"{slowest} {each.max():.2g} s")
    times = {"ours": f"{total:.3g} s", "scipy": f"{theirs:.3g} s"}
    limit_row(
        work, "ours ÷ scipy, 64 random starts", total / theirs, "ratio", 0.2,
        **times, ours_right=count, scipy_right=f"{found} of {len(all27)}",
    )  # fmt: skip
    return wrong


def left(p: Any) -> float:
    """The rss of a problem of the gallery, from nothing; of a fit that failed, what it left."""
    try:
        return km.fit(p.formula, p.columns, threads=1).rss
    except km.NotConverged as error:
        return error.fit.rss


def gallery() -> None:
    """Rows of the gallery: the median and the slowest of its problems."""
    from gallery import names as hard
    from gallery import problem as shown

    times: dict[str, float] = {}
    missed = []
    for p in map(shown, hard()):
        if not abs(left(p) / p.rss - 1.0) <= CLOSE:
            missed.append(p.name)
        times[p.name] = median(timed(lambda p=p: left(p))[0] for _ in range(ROUNDS))
    worst = max(times, key=lambda name: times[name])
    work = f"gallery of {len(times)} hard problems from nothing"
    over = sum(one > 0.02 for one in times.values())
    facts = {"missed": ", ".join(missed) or "none"}
    limit_row(work, "median", median(times.values()) * 1e3, "ms", 20.0, above_20_ms=over, **facts)
    limit_row(work, "slowest", times[worst], "s", 1.0, slowest=worst)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    lost = certified()
    gallery()
    if lost:
        raise SystemExit(f"wrong answers: {', '.join(lost)}")

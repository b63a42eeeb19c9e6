"""Many curves of one formula, fitted: closed forms, compiled descents, and the careful road where those do not reach.

A curve's numbers depend on its own rows and on the task alone, so chunks, threads and neighbours change no bit. What
the compiled descent hands back is fitted by the whole road of ``katamuki.fit``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.native import address_of
from katamuki.findings.profiles import reach
from katamuki.many import curved_passes, relay
from katamuki.many.curves import STATES, Curves, Fitted, ManyTask
from katamuki.many.products import products, solver
from katamuki.many.starts import Starts, Supply
from katamuki.many.straight import Lines, fit_linear, fitted, share
from katamuki.problem import available_cores
from katamuki.records import Array
from katamuki.search.symmetries import canonical

STEPS = 60  # attempts of a descent
SLICE = 1024  # curves of one task of a thread
CONVERGED = STATES.index("converged")


def fit_curves(task: ManyTask, curves: Curves, threads: int | None = None) -> Fitted:
    """Fit every curve.

    Parameters
    ----------
    task : ManyTask
        The formula, what is free, given and bounded, and the road for one curve.
    curves : Curves
        Their rows, finite.
    threads : int, optional
        By default one per core that this process may use.

    Returns
    -------
    Fitted
        A row per curve, in the order of the curves.
    """
    threads = threads or available_cores()
    if task.linear and not task.bounds:
        return fit_linear(task, curves, threads)
    descents = Descents(task, curves)
    descents.run(threads)
    descents.settle()
    return fitted(descents, CONVERGED)


class Descents(Lines):
    """The descents of one task and its curves.

    ``told`` (b, TOLD) is what :mod:`katamuki.many.relay` tells of each.

    Parameters
    ----------
    task : ManyTask
        What is fitted to each curve.
    curves : Curves
        The rows.
    """

    def __init__(self, task: ManyTask, curves: Curves) -> None:
        super().__init__(task, curves)
        self.supply = Supply(task)
        recipe = self.supply.recipe
        self.chosen = self.chosen[self.sizes[self.chosen] > self.p]
        ends = [task.bounds.get(name, (-math.inf, math.inf)) for name in task.free]
        self.lower, self.upper = (np.array([one[k] for one in ends]) for k in (0, 1))
        nonlinear = [k for k, name in enumerate(task.free) if name not in recipe.linear]
        self.curved = np.array(nonlinear or [0], dtype=np.int64)
        self.count = len(nonlinear)
        self.told = np.full((len(curves), relay.TOLD), np.nan)
        self.reaches = np.full(int(self.sizes.max(initial=0)) + 1, np.nan)
        for n in np.unique(self.sizes[self.chosen]).tolist():
            self.reaches[n] = reach(math.inf if self.known else n - self.p)
        self.products, self.solution = products(self.p), solver(self.p)
        self.starts: Starts | None = None

    def run(self, threads: int) -> None:
        """Descend and judge."""
        if not (self.supply.able and len(self.chosen)):
            return
        self.starts = self.starts or self.supply.starts(self.curves)
        needed = curved_passes.curved_pass, self.task.kernel.each, self.products, self.solution
        _ = [one.address for one in needed]  # compiled before threads need them
        share(self.some, range(0, len(self.chosen), SLICE), threads)

    def some(self, first: int) -> None:
        """Descend and judge for a slice of curves, alike ones side by side."""
        assert self.starts is not None
        chosen = self.chosen[first : first + SLICE]
        sizes = self.sizes[chosen]
        if sizes.min() != sizes.max():
            chosen = chosen[np.argsort(sizes, kind="stable")]
        curves, kernel, k = self.curves, self.task.kernel, len(self.curves.columns)
        work = np.empty(curved_passes.room(self.p, self.all_p, k, self.stride // 8))
        params, order = self.params.copy(), np.empty(self.stride // 8 + 24, dtype=np.int64)
        pointers = address_of(work) + 8 * self.stride * np.arange(max(k, 1))
        points, levels = self.starts.points, self.starts.levels
        curved_passes.curved_pass(
            kernel.each.address, kernel.address, self.products.address, self.solution.address,
            address_of(self.columns), k, address_of(pointers), address_of(curves.y),
            0 if self.root is None else address_of(self.root), int(self.root is not None), address_of(curves.offsets),
            int(curves.shared), address_of(chosen), 0, len(chosen), self.layout.free_address, self.p,
            self.all_p, address_of(params), self.known, levels.shape[1], STEPS,
            address_of(points), address_of(levels), address_of(self.lower), address_of(self.upper),
            address_of(self.curved), self.count, address_of(self.reaches), self.stride, address_of(self.limits),
            address_of(self.few), self.most, address_of(order), address_of(work), address_of(self.values),
            address_of(self.stderr), address_of(self.loss), address_of(self.status), address_of(self.told),
        )  # fmt: skip

    def settle(self) -> None:
        """Put equal answers in the one arrangement of terms, signs and phases, where a search found them.

        Values that change places take their error bars with them.
        """
        recipe, task = self.supply.recipe, self.task
        symmetries = recipe.symmetries.without([name for name in task.given if name in recipe.where])
        if not symmetries or self.supply.complete:
            return
        names, values = task.kernel.parameters, self.values
        clean: NDArray[np.int64] = np.flatnonzero(self.status >= 0)
        if not (symmetries.swaps or symmetries.crossed or symmetries.turns):  # signs alone
            firsts = np.array([names.index(one.first) for one in symmetries.reflections])
            clean = clean[(values[clean[:, None], firsts] < 0.0).any(axis=1)]
        lower, upper = np.full(len(names), -math.inf), np.full(len(names), math.inf)
        lower[self.layout.free], upper[self.layout.free] = self.lower, self.upper
        for k in clean:
            before, after = values[k], canonical(symmetries, names, values[k], lower, upper)
            if np.array_equal(before, after):
                continue
            self.stderr[k] = self.stderr[k][sources(before, after)]
            values[k] = after


def sources(before: Array, after: Array) -> NDArray[np.int64]:
    """Where each value of an arrangement stood in the one before; a phase that was turned stays in its place."""
    same = np.abs(before) == np.abs(after)[:, None]
    return np.where(np.diag(same) | ~same.any(axis=1), np.arange(len(before)), same.argmax(axis=1))

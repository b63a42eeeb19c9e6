"""Many curves of one formula, fitted: closed forms, compiled descents, and the careful road where those do not reach.

A curve's numbers depend on its own rows and on the task alone, so chunks, threads and neighbours change no bit. What
the compiled descent hands back is fitted by the whole road of ``katamuki.fit``.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.native import address_of
from katamuki.findings.profiles import PERFECT, reach
from katamuki.many import eights, judging
from katamuki.many.curves import STATES, VERDICTS, Curves, Fitted, ManyTask
from katamuki.many.descent import CLEAN, UNSETTLED
from katamuki.many.facts import ORDERED, TOTAL
from katamuki.many.starts import Supply
from katamuki.problem import available_cores, layout_of
from katamuki.records import Array
from katamuki.search.symmetries import canonical

STEPS = 60  # attempts of a descent
SLICE = 256  # curves of one task of a thread
BENT = 0.3  # of the way between the ends of an error bar: below it no second minimum was seen on 1,200 noisy curves
ROUNDING = 16 * 2.0**-52  # of y, and
NEARLY = 1e8  # times that, squared: residuals that are the noise of the formula's own evaluation, as in a single fit
SLACK = 1e4  # how far a column may be along the others before a curve takes the careful road in vain
CONVERGED, NOTHING = STATES.index("converged"), STATES.index("")
GOOD, LOOK = VERDICTS.index("good"), VERDICTS.index("look")


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
    if task.linear and not task.bounds:
        from katamuki.many.straight import fit_linear

        return fit_linear(task, curves, threads)
    return Engine(task).fit(curves, threads or available_cores())


class Engine:
    """The descents of one task; the supply of starts is made once.

    Parameters
    ----------
    task : ManyTask
        What is fitted to each curve.
    """

    def __init__(self, task: ManyTask) -> None:
        self.task = task
        self.supply = Supply(task)
        self.layout = layout_of(task.kernel, task.free)
        names = task.kernel.parameters
        ends = [task.bounds.get(name, (-math.inf, math.inf)) for name in task.free]
        self.lower, self.upper = (np.array([one[k] for one in ends]) for k in (0, 1))
        self.p, self.all_p = len(task.free), len(names)

    def fit(self, curves: Curves, threads: int = 1) -> Fitted:
        """Fit every curve."""
        rows = self.descended(curves, threads)
        status = rows[:, eights.STATUS]
        n, all_p = np.diff(curves.offsets), self.all_p
        values = rows[:, eights.HEAD : eights.HEAD + all_p].copy()
        rss = rows[:, eights.RSS]
        dof = n - self.p
        variance = np.ones(len(n)) if self.task.sigma_is == "known" else rss / np.maximum(dof, 1)
        stderr = np.full((len(n), all_p), np.nan)
        with np.errstate(invalid="ignore"):  # curves without an answer
            stderr[:, self.layout.free] = rows[:, eights.HEAD + all_p :] * np.sqrt(variance)[:, None]
        found = Table(values, stderr, rss / np.maximum(n, 1), dof)
        trusted = (status == CLEAN) & ~self.doubtful(rows) & ~self.vanishing(rows, values)
        clean = np.flatnonzero(trusted)
        facts = rows[clean, eights.OF_FACTS : eights.HEAD]
        found.code[clean] = judging.codes(facts, rss[clean], n[clean], self.p, self.task.sigma_is == "known")
        found.verdict[clean] = np.where(found.code[clean] > 0, LOOK, GOOD)
        self.settle(values, stderr, clean)
        for k in np.flatnonzero(~trusted):
            found.put(int(k), self.task, curves)
        return found.fitted()

    def doubtful(self, rows: Array) -> NDArray[np.bool_]:
        """Whether the formula bends much between the ends of a curve's error bars.

        Then other minima may be near, and a standard error may claim too much: a whole search and a walk decide.
        """
        rough = rows[:, eights.RSS] > PERFECT * rows[:, eights.OF_FACTS + TOTAL]
        return np.asarray(rough & ~(rows[:, eights.BEND] <= BENT))

    def vanishing(self, rows: Array, values: Array) -> NDArray[np.bool_]:
        """Whether a perfect fit has a parameter that is 0 but for rounding: what it multiplies is open then.

        A constant y under ``a*exp(-b*t) + c`` leaves a = 1e-17, and some b with an error bar of 0.
        """
        total = rows[:, eights.OF_FACTS + TOTAL]
        perfect = rows[:, eights.RSS] <= NEARLY * ROUNDING**2 * total
        sizes = np.abs(values[:, self.layout.free])
        bars = rows[:, eights.HEAD + self.all_p :]  # 1 over a bar is at most the length of the parameter's column
        tiny = sizes <= SLACK * ROUNDING * np.sqrt(total)[:, None] * bars
        return np.asarray(perfect & tiny.any(axis=1))

    def settle(self, values: Array, stderr: Array, clean: NDArray[np.int64]) -> None:
        """Put equal answers in the one arrangement of terms, signs and phases, where a search found them.

        Values that change places take their error bars with them.
        """
        recipe = self.supply.recipe
        symmetries = recipe.symmetries.without([name for name in self.task.given if name in recipe.where])
        if not symmetries or self.supply.complete:
            return
        names = self.task.kernel.parameters
        if not (symmetries.swaps or symmetries.crossed or symmetries.turns):  # signs alone
            firsts = np.array([names.index(one.first) for one in symmetries.reflections])
            clean = clean[(values[clean[:, None], firsts] < 0.0).any(axis=1)]
        lower, upper = np.full(len(names), -math.inf), np.full(len(names), math.inf)
        lower[self.layout.free], upper[self.layout.free] = self.lower, self.upper
        for k in clean:
            before, after = values[k], canonical(symmetries, names, values[k], lower, upper)
            if np.array_equal(before, after):
                continue
            same = np.abs(before) == np.abs(after)[:, None]  # a phase that was turned stays in its place
            source = np.where(np.diag(same) | ~same.any(axis=1), np.arange(len(names)), same.argmax(axis=1))
            values[k], stderr[k] = after, stderr[k][source]

    def descended(self, curves: Curves, threads: int) -> Array:
        """What the compiled descents left of every curve (b, HEAD + all_p + p)."""
        b, out = len(curves), np.full((len(curves), eights.HEAD + self.all_p + self.p), np.nan)
        if not self.supply.able:
            out[:, eights.STATUS] = UNSETTLED
            return out
        starts = self.supply.starts(curves)
        root = None if curves.weights is None else np.sqrt(curves.weights)
        pointers = np.array([address_of(one) for one in curves.columns] or [0], dtype=np.int64)
        weighting = (0 if root is None else address_of(root), int(root is not None))
        kernel, columns = self.task.kernel, len(curves.columns)
        data = (kernel.each.address, kernel.address, address_of(pointers), columns, address_of(curves.y), *weighting)
        shape = (address_of(self.layout.free), self.p, self.all_p, starts.levels.shape[1], STEPS)
        ends = (address_of(starts.points), address_of(starts.levels), address_of(self.lower), address_of(self.upper))
        known = self.task.sigma_is == "known"
        dof = np.maximum(np.diff(curves.offsets) - self.p, 1)
        (reaches,) = judging.by_number(dof * 0 if known else dof, lambda one: (reach(one or math.inf),))
        reaches = np.ascontiguousarray(reaches)
        offsets, shared = address_of(curves.offsets), int(curves.shared)
        most = max(int(np.minimum(np.diff(curves.offsets), eights.LONG).max()), 1)

        def work(first: int) -> None:
            tiles = np.empty((columns + 2, 8 * most))
            places = np.array([address_of(one) for one in tiles], dtype=np.int64)
            block, room = np.empty(256 * (1 + self.all_p)), np.empty(eights.room(self.p, self.all_p))
            order = np.empty(ORDERED, dtype=np.int64)
            last = min(first + SLICE, b)
            rows = (8 * most, address_of(places), address_of(tiles))
            memory = (address_of(block), address_of(room), address_of(order), address_of(out))
            eights.fit_each(
                *data, offsets, shared, first, last, *shape, *ends, address_of(reaches), int(known), *rows, *memory
            )

        _ = eights.fit_each.address
        if threads == 1 or b <= SLICE:
            for first in range(0, b, SLICE):
                work(first)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(work, range(0, b, SLICE)))
        return out


class Table:
    """The columns of the answer while rows of the careful road are put in.

    Parameters
    ----------
    values, stderr : (b, all_p) float64
        As the descents left them.
    loss, dof : (b,)
        The same.
    """

    def __init__(self, values: Array, stderr: Array, loss: Array, dof: NDArray[np.int64]) -> None:
        b = len(loss)
        self.values, self.stderr, self.loss, self.dof = values, stderr, loss, dof
        self.verdict = np.full(b, GOOD, dtype=np.int8)
        self.state = np.full(b, CONVERGED, dtype=np.int8)
        self.code = np.zeros(b, dtype=np.int16)
        self.codes = list(judging.CODES)

    def numbered(self, code: str) -> int:
        """The number of a code."""
        if code not in self.codes:
            self.codes.append(code)
        return self.codes.index(code)

    def put(self, k: int, task: ManyTask, curves: Curves) -> None:
        """Fit curve k by the whole road."""
        first, last = int(curves.offsets[k]), int(curves.offsets[k + 1])
        rows = slice(first, last)
        columns = curves.columns if curves.shared else tuple(one[rows] for one in curves.columns)
        weights = curves.weights if curves.shared or curves.weights is None else curves.weights[rows]
        one = task.one(columns, curves.y[rows], weights)
        self.values[k], self.stderr[k], self.loss[k], self.dof[k] = one.values, one.stderr, one.loss, one.dof
        self.verdict[k], self.state[k] = VERDICTS.index(one.verdict), STATES.index(one.state)
        self.code[k] = self.numbered(one.code)

    def fitted(self) -> Fitted:
        """The finished columns."""
        return Fitted(
            self.values, self.stderr, self.loss, self.dof, self.verdict, self.state, self.code, tuple(self.codes)
        )

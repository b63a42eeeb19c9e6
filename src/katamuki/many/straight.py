"""Many curves of a formula that is linear in its free parameters: each in closed form, with error bars and its code.

One compiled pass solves and judges each curve (:mod:`katamuki.many.straight_passes`); where a curve's columns nearly
depend on each other it is done again in double-double (:mod:`katamuki.many.straight_exact`), and what neither can claim
goes the whole road of ``katamuki.fit``: columns that do depend on each other, values that are not finite or beyond all
range, curves of more than 4096 rows. A curve's numbers depend on its own rows and on the task alone, so neighbours,
chunks and threads change no bit. Source: Björck 1996, sections 2.4 and 2.9.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.kernel import Kernel
from katamuki.backends.native import Native, address_of
from katamuki.many import straight_exact
from katamuki.many import straight_passes as passes
from katamuki.many.aliases import aliased, phases
from katamuki.many.curves import STATES, VERDICTS, Curves, Fitted, ManyTask
from katamuki.many.limits import CODES, few_runs_of, limits
from katamuki.many.straight_slots import ILL, TOO_FEW, WHOLE
from katamuki.problem import available_cores, layout_of

SLICE = 4096  # curves of one task of a thread
ROWS = 1 << 16  # rows of one, about
LONG = 4096  # rows of a curve up to which it is fitted here
# Operations that cannot hide an infinite or missing argument, and how many of their first arguments that holds for.
PASSED_ON = {"add": 2, "sub": 2, "mul": 2, "neg": 1, "div": 1}
EXACT, NOTHING = STATES.index("exact"), STATES.index("")
FAILED = VERDICTS.index("failed")


class Lines:
    """The closed forms of one task and its curves: what compiled passes are called with.

    Parameters
    ----------
    task : ManyTask
        What is fitted; linear, without bounds.
    curves : Curves
        The rows.
    """

    def __init__(self, task: ManyTask, curves: Curves) -> None:
        self.task, self.curves = task, curves
        kernel, b = task.kernel, len(curves)
        self.layout = layout_of(kernel, task.free)
        self.p, self.all_p = len(task.free), len(kernel.parameters)
        self.params = task.values.astype(np.float64)
        self.params[self.layout.free] = 0.0
        self.sizes = np.diff(curves.offsets)
        self.columns = np.array([address_of(one) for one in curves.columns] or [0], dtype=np.int64)
        self.root = None if curves.weights is None else np.sqrt(curves.weights)
        self.known = int(task.sigma_is == "known")
        self.values, self.stderr = np.empty((b, self.all_p)), np.empty((b, self.all_p))
        self.loss, self.status = np.empty(b), np.full(b, WHOLE, dtype=np.int32)
        self.status[self.sizes < max(self.p, 1)] = TOO_FEW
        usable = (self.sizes >= max(self.p, 1)) & (self.sizes <= LONG)
        self.chosen = np.flatnonzero(usable)
        short = self.sizes if len(self.chosen) == b else self.sizes[self.chosen]
        self.limits = limits(short, self.p, bool(self.known))
        self.few, self.most = few_runs_of(short)
        rows = -(-int(short.max(initial=1)) // 4) * 4
        self.stride = 8 * (rows + 4 if rows % 32 == 0 else rows)  # 4096 bytes apart, columns share a cache's set

    def run(self, threads: int) -> None:
        """Solve and judge every curve in doubles, then those that need more in double-double."""
        self.solve(threads)
        self.sharpen(threads)

    def solve(self, threads: int) -> None:
        """Solve and judge every curve in doubles."""
        self.pass_over(self.chosen, passes.straight_pass, self.task.kernel.address, passes.room, threads)

    def sharpen(self, threads: int) -> None:
        """The same in double-double for those that need it."""
        ill = self.chosen[self.status[self.chosen] == ILL]
        if len(ill):
            address = self.task.kernel.double_double_address
            self.pass_over(ill, straight_exact.exact_pass, address, straight_exact.room, threads)

    def pass_over(
        self, chosen: NDArray[np.int64], call: Native, kernel: int, room: Callable[..., int], threads: int
    ) -> None:
        """Call a compiled pass for slices of curves, in threads."""
        _ = call.address
        count = len(chosen)
        per = max(1, count)
        if threads > 1:
            per = max(8, min(SLICE, ROWS * count // max(1, int(self.sizes[chosen].sum()))) // 8 * 8)

        def work(first: int) -> None:
            self.slice(chosen[first : first + per], call, kernel, room)

        share(work, range(0, count, per), threads)

    def slice(self, chosen: NDArray[np.int64], call: Native, kernel: int, room: Callable[..., int]) -> None:
        """Solve and judge some curves, alike ones side by side."""
        sizes = self.sizes[chosen]
        if sizes.min() != sizes.max():
            chosen = chosen[np.argsort(sizes, kind="stable")]
        curves, k = self.curves, len(self.curves.columns)
        work = np.empty(room(self.p, self.all_p, k, self.stride // 8))
        params, order = self.params.copy(), np.empty(self.stride // 8 + 24, dtype=np.int64)
        pointers = address_of(work) + 8 * self.stride * np.arange(max(k, 1))
        call(
            kernel, address_of(self.columns), k, address_of(pointers), address_of(curves.y),
            0 if self.root is None else address_of(self.root), int(self.root is not None), address_of(curves.offsets),
            int(curves.shared), address_of(chosen), 0, len(chosen), self.layout.free_address, self.p, self.all_p,
            address_of(params), self.known, self.stride, address_of(self.limits), address_of(self.few), self.most,
            address_of(order), address_of(work), address_of(self.values), address_of(self.stderr),
            address_of(self.loss), address_of(self.status),
        )  # fmt: skip


def share(work: Callable[[int], Any], firsts: range, threads: int) -> None:
    """Call ``work`` for each slice, in threads where there are several of both."""
    if threads == 1 or len(firsts) < 2:
        for first in firsts:
            work(first)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, firsts):
            pass


def fit_linear(task: ManyTask, curves: Curves, threads: int | None = None) -> Fitted:
    """Fit every curve in closed form.

    β = (J'WJ)⁻¹ J'Wy for each, with standard errors, loss, verdict and the code of the first warning.

    Parameters
    ----------
    task : ManyTask
        A formula linear in all its free parameters, none of them bounded.
    curves : Curves
        Their rows, finite.
    threads : int, optional
        By default one per core that this process may use; the result does not depend on it.

    Returns
    -------
    Fitted
        A row per curve, in the order of the curves.

    Source
    ------
    Björck 1996, sections 2.4 and 2.9.

    Example
    -------
    See ``tests/test_many_linear.py``; ``katamuki.fit_many`` comes here by itself.
    """
    lines = Lines(task, curves)
    lines.run(threads or available_cores())
    return fitted(lines, EXACT)


def fit_unseen(task: ManyTask, curves: Curves, sure: Callable[[], bool]) -> Fitted | None:
    """The same on one thread for curves that nobody has looked at: what is wrong with one shows in its sums.

    Parameters
    ----------
    task : ManyTask
        As in :func:`fit_linear`.
    curves : Curves
        Their rows; columns that :func:`telling` does not name are finite.
    sure : function
        Looks at them, if need be: whether each has as many rows as it must have, all finite and of a size whose squares
        can be summed.

    Returns
    -------
    Fitted or None
        None where they are not what they should be.
    """
    lines = Lines(task, curves)
    lines.solve(1)
    if (lines.status < 0).any() and not sure():
        return None
    lines.sharpen(1)
    return fitted(lines, EXACT)


def telling(kernel: Kernel, free: tuple[str, ...]) -> frozenset[str]:
    """The columns whose missing or infinite values make a derivative by a free parameter so, and with it its sums.

    Example
    -------
    >>> from katamuki.backends.kernel import Kernel
    >>> from katamuki.formula import parse
    >>> kernel = Kernel(parse("y ~ a*x*z + b/u + c*(v if w > 0 else 1)", ["x", "y", "z", "u", "v", "w"]).graph)
    >>> sorted(telling(kernel, kernel.parameters))
    ['x', 'z']
    """
    graph, found = kernel.derivative, set[str]()
    waiting = [graph.outputs[1 + kernel.parameters.index(name)] for name in free]
    while waiting:
        node = graph.nodes[waiting.pop()]
        if node.op == "column":
            found.add(str(node.value))
        waiting += node.args[: PASSED_ON.get(node.op, 0)]
    return frozenset(found)


def fitted(lines: Lines, solved: int) -> Fitted:
    """The columns, and the whole road for what is left; ``solved`` is the state of the others."""
    status, b = lines.status, len(lines.curves)
    dof = lines.sizes - lines.p
    codes = [*CODES, "ALIAS"]
    graph = lines.task.kernel.graph
    if phases(graph):
        status[aliased(graph, lines.curves, lines.values, np.flatnonzero(status == 0))] = codes.index("ALIAS")
    verdict = (status > 0).astype(np.int8)
    state, code = np.full(b, solved, dtype=np.int8), status.astype(np.int16)
    left = np.flatnonzero(status < 0)
    for k in left.tolist():
        _whole(lines, k, dof, verdict, state, code, codes)
    return Fitted(lines.values, lines.stderr, lines.loss, dof, verdict, state, code, tuple(codes))


def _whole(
    lines: Lines,
    k: int,
    dof: NDArray[np.int64],
    verdict: NDArray[np.int8],
    state: NDArray[np.int8],
    code: NDArray[np.int16],
    codes: list[str],
) -> None:
    """Put curve k's row by the whole road, or the row of too few rows."""
    if lines.status[k] == TOO_FEW:
        lines.values[k] = lines.stderr[k] = lines.loss[k] = np.nan
        found = -1, FAILED, NOTHING, "TOOFEW"
    else:
        curves = lines.curves
        rows = slice(int(curves.offsets[k]), int(curves.offsets[k + 1]))
        columns = curves.columns if curves.shared else tuple(one[rows] for one in curves.columns)
        weights = curves.weights if curves.shared or curves.weights is None else curves.weights[rows]
        one = lines.task.one(columns, curves.y[rows], weights)
        lines.values[k], lines.stderr[k], lines.loss[k] = one.values, one.stderr, one.loss
        found = one.dof, VERDICTS.index(one.verdict), STATES.index(one.state), one.code
    dof[k], verdict[k], state[k] = found[:3]
    if found[3] not in codes:
        codes.append(found[3])
    code[k] = codes.index(found[3])

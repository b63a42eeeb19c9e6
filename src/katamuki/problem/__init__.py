"""A graph and data make a problem: the narrow waist between what is fitted and how.

A solver sees ``loss``, ``gradient`` and ``linearise``; what they return does not grow with the number of rows. Rows
stand in memory here; a source of another kind builds the same small records.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.kernel import Kernel
from katamuki.backends.native import address_of
from katamuki.problem import passes
from katamuki.problem.batches import Batches, Dealt
from katamuki.records import Array, Linearisation

BLOCK = passes.BLOCK
CHUNK = 64 * BLOCK  # rows of one task: its partial result is a leaf of the fixed tree of sums
MANY = 1 << 22  # rows from which a call costs more than what is gained by small tasks
LONG = 512 * BLOCK  # rows of one task then
SMALL = 4 * CHUNK  # rows up to which a whole fit runs compiled
THREADED = 16 * CHUNK  # rows from which threads are used unasked: below, waking them costs what they gain
DEPENDENT = 1  # what ``passes.factor`` says of columns that depend on each other
ILL = 1e-5  # a diagonal of a scaled Cholesky factor this small: the normal equations have lost half the digits
FINE = 0.03  # the same where the last digits count: the condition squared leaves twelve of a standard error


class Layout:
    """Where the free parameters stand among all: made once for a model and a choice of free parameters.

    ``free`` (p,) their places; ``order`` (p + 1,) a block's columns in the order of [J, r].
    """

    def __init__(self, names: tuple[str, ...], free: tuple[str, ...]) -> None:
        self.names = free
        places = {name: k for k, name in enumerate(names)}
        self.free = np.array([places[name] for name in free], dtype=np.int64)
        self.order = np.array([*(1 + k for k in self.free), 0], dtype=np.int64)
        self.free_address = address_of(self.free)
        self.order_address = address_of(self.order)
        self.recipe: Any = None  # what a search found out about the formula and this choice
        self.bases: Any = None  # what many curves with the same columns have in common


def layout_of(kernel: Kernel, free: tuple[str, ...]) -> Layout:
    """The layout, kept with the kernel."""
    found = kernel.layouts.get(free)
    if found is None:
        found = kernel.layouts[free] = Layout(kernel.parameters, free)
    return found


class Problem:
    """What a solver needs of a model and rows in memory.

    Parameters
    ----------
    kernel : Kernel
        The compiled model.
    columns : sequence of (n,) float64
        The model's columns in the kernel's order, contiguous.
    y : (n,) float64
        The response.
    weights : (n,) float64, optional
        w of Σ w r²; none: 1.
    values : mapping
        Every parameter's value; the fixed ones keep theirs.
    free : sequence of str
        The parameters to be fitted.
    threads : int, optional
        Threads for large data; by default one per core this process may use, from 262,144 rows on.
    """

    compiled: ClassVar[bool] = True  # compiled loops may call the kernel on the columns themselves
    named = True  # combinations of parameters are worth a name

    def __init__(
        self,
        kernel: Kernel,
        columns: Sequence[Array],
        y: Array,
        weights: Array | None,
        values: Mapping[str, float],
        free: Sequence[str],
        threads: int | None = None,
    ) -> None:
        self.kernel = kernel
        self.names = kernel.parameters
        self.columns = columns
        self.y = y
        self.weights = weights
        self.root = None if weights is None else np.sqrt(weights)
        self.n = len(y)
        self.layout = layout_of(kernel, tuple(free))
        self.free_names = self.layout.names
        self.free = self.layout.free
        self.p = len(self.free)
        self.all_p = len(self.names)
        self.values = np.array([values[name] for name in self.names], dtype=np.float64)
        self.column_pointers = np.array([address_of(one) for one in columns] or [0], dtype=np.int64)
        self.columns_address = address_of(self.column_pointers)
        self.y_address = address_of(y)
        self.root_address = 0 if self.root is None else address_of(self.root)
        self.threads = threads
        self.evaluations = 0
        self.ill = self.rough = False  # normal equations were seen to lose too much for a step, for the last digits
        self._pool: ThreadPoolExecutor | None = None
        self.tss_about_zero = self.tss = 0.0  # Σ w y², Σ w (y − ȳ_w)²
        self.measure()

    @property
    def chunk(self) -> int:
        """Rows of one task, by the number of rows alone."""
        return CHUNK if self.n < MANY else LONG

    def measure(self) -> None:
        """Sum what depends on the response alone."""
        sums, weights = np.empty(3), self.weights
        weighting = 0 if weights is None else address_of(weights)
        passes.response_pass(self.y_address, weighting, weights is not None, self.n, address_of(sums))
        _, self.tss_about_zero, self.tss = sums.tolist()

    @property
    def weighted(self) -> bool:
        """Whether rows have weights."""
        return self.weights is not None

    def block(self) -> Array:
        """An uninitialised block: the residuals and one column per parameter."""
        return np.empty(BLOCK * (1 + self.all_p))

    def full(self, params: Array | float) -> Array:
        """All parameters, the free ones replaced by ``params`` (p,)."""
        values = self.values.copy()
        values[self.free] = params
        return values

    def loss(self, params: Array) -> float:
        """Σ w r² / n at free parameters (p,)."""
        return self.rss(self.full(params)) / self.n

    def rss(self, values: Array) -> float:
        """Σ w r² at all parameters (all_p,)."""
        out = self.over_rows(passes.loss_pass, values, 1, ())
        return float(out.sum())

    def losses(self, params: Array) -> Array:
        """Σ w r² / n at many places: (s, p) free parameters give (s,)."""
        values = np.tile(self.values, (len(params), 1))
        values[:, self.free] = params
        if self.n > SMALL:
            return np.array([self.rss(one) for one in values]) / self.n
        self.evaluations += len(values)
        out, block = np.empty(len(values)), self.block()
        rows = (self.y_address, self.root_address, int(self.root is not None), self.n)
        model = (self.kernel.address, self.columns_address, address_of(values), self.all_p, len(values))
        passes.losses_pass(*model, *rows, address_of(block), address_of(out))
        return out / self.n

    def gradient(self, params: Array) -> Array:
        """The loss's gradient (p,) at free parameters (p,): −2/n Σ w r ∂f."""
        return -2.0 / self.n * self.normal(self.full(params))[1 : 1 + self.p]

    def linearise(self, params: Array) -> Linearisation:
        """J = QR, qtr = Qᵀr and the rss at free parameters (p,)."""
        out = self.triangle(self.full(params), exact=True)
        q = self.p + 1
        triangle = out[1:].reshape(q, q)
        return Linearisation(triangle[: self.p, : self.p].copy(), triangle[: self.p, self.p].copy(), out[0], self.n)

    def normal(self, values: Array) -> Array:
        """rss, Jᵀr and the upper triangle of JᵀJ (by rows) at all parameters."""
        size = 1 + self.p + self.p * (self.p + 1) // 2
        parts = self.over_rows(passes.normal_pass, values, size + 4, (self.layout.free_address, self.p))
        return np.asarray(parts[:, :size].sum(axis=0))

    def triangle(self, values: Array, exact: bool = False) -> Array:
        """rss and the triangle (p+1, p+1) of [J, r], flat, at all parameters (all_p,).

        From the normal equations where their digits suffice for a step, or with ``exact`` for the answer's last digits;
        by blocked QR else.
        """
        if not (self.rough if exact else self.ill):
            sums, out = self.normal(values), np.empty(1 + (self.p + 1) ** 2)
            least = FINE if exact else ILL
            if passes.factor(address_of(sums), self.p, least, address_of(out)) != DEPENDENT:
                return out
            self.rough, self.ill = True, self.ill or not exact
        size = 1 + (self.p + 1) ** 2
        more = (self.layout.free_address, self.p, self.layout.order_address)
        parts = self.over_rows(passes.qr_pass, values, size, more)
        block = self.block()
        for part in parts[1:]:
            passes.merge_triangles(
                address_of(parts[0]), self.p + 1, address_of(part), address_of(block), self.layout.order_address
            )
        return np.asarray(parts[0])

    def batches(self, size: int, seed: int) -> Dealt:
        """The mini-batches that a seed deals: PyTorch's own."""
        return Batches(self.n, size, seed)

    def gathered(self, rows: NDArray[np.int64]) -> Problem:
        """The problem of these rows alone (m,), by number from 0, in their order."""
        weights = None if self.weights is None else self.weights[rows]
        values = dict(zip(self.names, self.values.tolist(), strict=True))
        columns = [one[rows] for one in self.columns]
        return Problem(self.kernel, columns, self.y[rows], weights, values, self.free_names, self.threads)

    def residuals(self, values: Array) -> Array:
        """y − f in row order (n,), unweighted, at all parameters."""
        return self.y - self.kernel.evaluate(self.columns, values, self.n)

    def over_rows(self, function: Callable[..., int], values: Array, size: int, more: tuple[float, ...]) -> Array:
        """Run a pass over all chunks: its results (chunks, size), in the order of the rows."""
        self.evaluations += 1
        chunk = self.chunk
        starts = range(0, self.n, chunk)
        parts = np.empty((len(starts), size))
        root = self.root_address
        shared = (self.kernel.address, self.columns_address, address_of(values), self.y_address, root)
        asked = self.threads or (available_cores() if self.n >= THREADED else 1)
        count = min(asked, len(starts)) if self.n > SMALL else 1
        stop = threading.Event()

        def work(first: int) -> None:
            block = self.block()
            for k in range(first, len(starts), count):
                if stop.is_set():
                    return
                start = starts[k]
                ends = (int(root != 0), start, min(start + chunk, self.n))
                function(*shared, *ends, *more, address_of(block), address_of(parts[k]))

        if count == 1:
            work(0)
            return parts
        if self._pool is None:
            self._pool = ThreadPoolExecutor(count - 1)
        running: list[Future[None]] = []
        try:
            for k in range(1, count):
                running.append(self._pool.submit(work, k))
            work(0)  # this thread is one of them
            for done in running:
                done.result()
        finally:
            stop.set()  # after Ctrl-C the other threads end with their chunk,
            wait(running)  # and until then the arrays behind the addresses must live
        return parts

    def close(self) -> None:
        """End the threads, if any were needed: a fork after a fit meets none."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


def available_cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1

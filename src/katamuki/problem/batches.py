"""Mini-batches of rows in memory: which rows a step takes. They are PyTorch's own, row for row.

The order is that of ``DataLoader(…, batch_size=size, shuffle=True, generator=torch.Generator().manual_seed(seed))``,
iterated epoch after epoch to its end: a Mersenne Twister (Matsumoto & Nishimura 1998, seeded by ``init_genrand`` with
the seed's low 32 bits) gives two numbers that the loader keeps for its workers, then those of a Fisher–Yates shuffle
(Durstenfeld 1964) that takes number mod what is left, then those of a second shuffle that the sampler throws away. From
2³²/20 rows on ``torch.randperm`` shuffles from the inside out with 64-bit numbers; so it is here. The last batch of an
epoch is smaller where the rows are no multiple of ``size``. An epoch is reached by skipping the numbers before it.

Rows in files have no numbers of their own: :mod:`katamuki.problem.streamed` has its batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.native import address_of, at, function, inline

if TYPE_CHECKING:
    from katamuki.problem import Problem

WIDE = 0xFFFFFFFF // 20  # rows from which PyTorch shuffles with 64-bit numbers
KEPT = 1 << 17  # numbers of the rows that are kept at once, or one epoch's
FIRST = 1 << 12  # the same of the first epochs: a short run needs no more
DRAWN = 1 << 20  # random numbers in memory at once
FAR = 1 << 22  # random numbers between two states of the generator that are kept

Rows = NDArray[np.int64]


class Dealt(Protocol):
    """Batches of any rows: those in memory by number, others as problems of their own."""

    @property
    def size(self) -> int:
        """Rows of a batch; the last one of an epoch may have fewer."""

    @property
    def per_epoch(self) -> int:
        """Batches of an epoch."""

    @property
    def seed(self) -> int:
        """What deals them."""

    def place(self, step: int) -> tuple[int, int]:
        """The epoch of a step and its batch in there, all from 0."""

    def rows(self, step: int) -> Rows:
        """The rows of a step's batch (m,), by number from 0 in the source, in their order."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What steps ``first`` ≤ k < ``last`` (from 0) run on: rows in memory, and which of them by number.

    ``orders`` (epochs, rows of each) holds batch after batch, each of the batches' size but the last of a row of
    ``orders``; step ``first`` is the first batch of the first.
    """

    problem: Problem
    orders: Rows
    first: int
    last: int


class Served(Dealt, Protocol):
    """Batches of rows that are not all in memory."""

    def stretch(self, step: int) -> Stretch:
        """Rows for this step and perhaps others."""

    def gathered(self, step: int) -> Problem:
        """The rows of a step's batch alone, in memory."""


@inline
def swaps(order, drawn, first, count, n):  # type: ignore[no-untyped-def]
    """Fisher–Yates from place ``first`` on: ``order`` (n,) and one number of ``drawn`` for each swap."""
    for k in range(count):
        here = first + k
        other = here + drawn[k] % (n - here)
        kept = order[here]
        order[here] = order[other]
        order[other] = kept


@function("int64(int64*, int64*, int64, int64, int64)")
def shuffle(order, drawn, first, count, n):  # type: ignore[no-untyped-def]
    """A part of a shuffle: ``count`` swaps from place ``first`` on."""
    swaps(order, drawn, first, count, n)
    return 0


@function("int64(int64*, int64*, int64, int64)")
def shuffle_wide(order, drawn, first, count):  # type: ignore[no-untyped-def]
    """The same from the inside out: two numbers each, the first of which is the high half of a 64-bit one."""
    for k in range(count):
        here = first + k
        size = here + 1
        other = ((drawn[2 * k] % size) * (4294967296 % size) + drawn[2 * k + 1]) % size
        order[here] = here
        order[here] = order[other]
        order[other] = here
    return 0


@function("int64(int64*, int64*, int64, int64)")
def shuffles(orders, drawn, epochs, n):  # type: ignore[no-untyped-def]
    """The orders of whole epochs, (epochs, n), from all their numbers, (epochs, 2n): two, a shuffle's, another's."""
    for epoch in range(epochs):
        order = at(orders, epoch * n)
        numbers = at(drawn, 2 * epoch * n + 2)
        for here in range(n):
            order[here] = here
        swaps(order, numbers, 0, n - 1, n)
    return 0


class Batches:
    """The batches of one run: epoch after epoch, each with every row once.

    Parameters
    ----------
    n : int
        Rows.
    size : int
        Rows of a batch; more than ``n`` is one batch an epoch.
    seed : int
        As ``torch.Generator.manual_seed`` takes it.

    Example
    -------
    >>> batches = Batches(11, 4, 0)
    >>> batches.per_epoch, batches.place(4), len(batches.rows(2)), len(batches.rows(3))
    (3, (1, 1), 3, 4)
    """

    def __init__(self, n: int, size: int, seed: int) -> None:
        self.n, self.size, self.seed = n, min(size, n), seed
        self.per_epoch = -(-n // self.size)
        self._wide = n >= WIDE
        self._draws = 2 + 2 * (2 * n if self._wide else n - 1)  # of an epoch
        self._engine = _seeded(seed)
        self._epoch = 0  # that the engine's next numbers are for
        self._states: list[tuple[int, dict[str, Any]]] = [(0, self._state())]
        self._first, self._orders = 0, np.empty((0, n), dtype=np.int64)

    def place(self, step: int) -> tuple[int, int]:
        """The epoch of a step, and its batch in there; all three count from 0."""
        return divmod(step, self.per_epoch)

    def rows(self, step: int) -> Rows:
        """The rows of a step's batch (m,), by number from 0, in their order."""
        epoch, batch = self.place(step)
        first, orders = self.orders(epoch)
        return orders[epoch - first, batch * self.size : (batch + 1) * self.size].copy()

    def orders(self, epoch: int) -> tuple[int, Rows]:
        """The orders of some epochs in a row, (epochs, n), that of ``epoch`` among them; and which is the first."""
        if not self._first <= epoch < self._first + len(self._orders):
            follows = epoch == self._first + len(self._orders)
            most = min(KEPT, 2 * self._orders.size) if follows and epoch else FIRST
            count = 1 if self._wide else max(1, most // self.n)
            self._reach(epoch)
            self._epoch = -1  # nowhere, should Ctrl-C end this
            self._orders = np.empty((0, self.n), dtype=np.int64)  # makes room before the next is made
            self._orders = self._one() if count == 1 else self._several(count)
            self._first, self._epoch = epoch, epoch + count
        return self._first, self._orders

    def _state(self) -> dict[str, Any]:
        return dict(self._engine.state)

    def _reach(self, epoch: int) -> None:
        """Bring the engine to the first number of an epoch, from the nearest state before it."""
        if epoch != self._epoch:
            before, state = max((one for one in self._states if one[0] <= epoch), key=lambda one: one[0])
            if not before <= self._epoch < epoch:
                self._engine.state, self._epoch = state, before
            while self._epoch < epoch:
                count = min(epoch - self._epoch, max(1, FAR // self._draws))
                self._skip(count * self._draws)
                self._epoch += count
                self._keep()
        self._keep()

    def _keep(self) -> None:
        """Remember the engine's state where it is far enough from the last one that is known."""
        if (self._epoch - self._states[-1][0]) * self._draws >= FAR:
            self._states.append((self._epoch, self._state()))

    def _skip(self, count: int) -> None:
        self._engine.random_raw(count, output=False)

    def _several(self, count: int) -> Rows:
        """The next epochs at once."""
        drawn = self._engine.random_raw(count * self._draws).view(np.int64)
        orders = np.empty((count, self.n), dtype=np.int64)
        shuffles(address_of(orders), address_of(drawn), count, self.n)
        return orders

    def _one(self) -> Rows:
        """The next epoch, its numbers drawn piece by piece."""
        order = np.empty((1, self.n), dtype=np.int64) if self._wide else np.arange(self.n, dtype=np.int64)[None, :]
        swaps, each = (self.n, 2) if self._wide else (self.n - 1, 1)
        self._skip(2)
        for first in range(0, swaps, DRAWN):
            count = min(DRAWN, swaps - first)
            drawn = self._engine.random_raw(each * count).view(np.int64)
            if self._wide:
                shuffle_wide(address_of(order), address_of(drawn), first, count)
            else:
                shuffle(address_of(order), address_of(drawn), first, count, self.n)
        self._skip(each * swaps)
        return order


def _seeded(seed: int) -> Any:
    """The engine that ``init_genrand`` makes of a seed's low 32 bits."""
    engine: Any = np.random.MT19937()
    engine.state = np.random.RandomState(seed & 0xFFFFFFFF).get_state(legacy=False)
    return engine

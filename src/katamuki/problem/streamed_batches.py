"""Mini-batches of rows that pass by: each epoch reads every row once, in a seeded order.

The pieces of a source (row groups of Parquet, record batches of Arrow, whole text files) come in an order that seed
and epoch draw, eight of them side by side, and fill a buffer as large as a quarter of ``max_memory``. A full buffer is
shuffled, dealt batch by batch, and filled again; only the last batch of an epoch may be smaller. One thread reads, so
that batches depend on files, seed, size and ``max_memory`` alone. Rows that fit into the buffer together are read once
and dealt as rows in memory are: in PyTorch's order (:mod:`katamuki.problem.batches`).

A buffer mixes the rows of some pieces, not of all: rows further apart in the files than it is long seldom meet.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from katamuki.errors import BoundsError, DataError
from katamuki.problem import Problem
from katamuki.problem.batches import Batches, Rows, Stretch
from katamuki.problem.blocks import Block
from katamuki.records import Array

if TYPE_CHECKING:
    from katamuki.problem.streamed import StreamedProblem

ABREAST = 8  # pieces that fill a buffer side by side
SHARE = 4  # memory by this is the buffer's
BESIDE = 5  # numbers of a row beside its columns: y, w, √w, which row it is, its place in the order


@dataclass(slots=True)
class Buffer:
    """Rows in memory, their numbers in the source, the order in which they are dealt, and the batch that is first."""

    problem: Problem
    numbers: Rows
    order: Rows
    first: int


class StreamedBatches:
    """The batches of one run over a stream; what :class:`katamuki.problem.batches.Batches` is to rows in memory.

    Parameters
    ----------
    problem : StreamedProblem
        The source, whose rows a pass has counted.
    size : int
        Rows of a batch; more than there are is one batch an epoch.
    seed : int
        Of the orders.

    Raises
    ------
    BoundsError
        If the buffer has no room for a batch.
    """

    def __init__(self, problem: StreamedProblem, size: int, seed: int) -> None:
        self.source, self.seed, self.n = problem, seed, problem.n
        self.size = min(size, self.n)
        self.per_epoch = -(-self.n // self.size)
        self._width = len(problem.kernel.columns)
        room = problem.wanted.memory // SHARE // (8 * (self._width + BESIDE))
        self._known = Batches(self.n, size, seed) if self.n <= room else None
        if self._known is None and self.size > room:
            raise BoundsError("E-MEMORY", "stream.batch_room", size=self.size, most=room)
        self.capacity = self.n if self._known is not None else room // self.size * self.size
        rows, least = problem.stream.batch, self.capacity // ABREAST
        self._starts = problem.starts()
        problem.buffer = self.capacity if self._known is None else 0
        self._read = rows if self._known is not None else max(min(rows, least), 1)  # of a piece at once
        self._epoch = -1  # that the buffer is of
        self._filled: Generator[Buffer] | None = None  # the rest of that epoch, where it is being read
        self._buffer: Buffer | None = None

    def rest(self) -> None:
        """Let go of what is being read: a database answers one question at a time. The buffer stays."""
        if self._filled is not None:
            self._filled.close()
            self._filled = None

    def place(self, step: int) -> tuple[int, int]:
        """The epoch of a step, and its batch in there; all three count from 0."""
        return divmod(step, self.per_epoch)

    def rows(self, step: int) -> Rows:
        """The rows of a step's batch (m,), by number from 0 among all rows of the source, in their order."""
        found, chosen = self._of(step)
        return found.numbers[chosen]

    def gathered(self, step: int) -> Problem:
        """The rows of a step's batch as a problem in memory."""
        found, chosen = self._of(step)
        return found.problem.gathered(chosen)

    def stretch(self, step: int) -> Stretch:
        """Rows in memory that have the batch of a step and those after it."""
        epoch, batch = self.place(step)
        if self._known is not None:
            first, orders = self._known.orders(epoch)
            first *= self.per_epoch
            return Stretch(self._at(0, 0).problem, orders, first, first + len(orders) * self.per_epoch)
        found = self._at(epoch, batch)
        first = epoch * self.per_epoch + found.first
        return Stretch(found.problem, found.order[None, :], first, first + -(-len(found.order) // self.size))

    def _of(self, step: int) -> tuple[Buffer, Rows]:
        """The buffer that has a step's batch, and the batch's rows in there."""
        epoch, batch = self.place(step)
        if self._known is not None:
            return self._at(0, 0), self._known.rows(step)
        found = self._at(epoch, batch)
        first = (batch - found.first) * self.size
        return found, found.order[first : first + self.size]

    def _at(self, epoch: int, batch: int) -> Buffer:
        """The buffer that has a batch: what was read last, what comes after it, or what the epoch read anew gives."""
        found = self._buffer if epoch == self._epoch else None
        try:
            if found is None or batch < found.first or (batch >= self._end(found) and self._filled is None):
                self.rest()
                self._filled, self._epoch, self._buffer, found = self._buffers(epoch), epoch, None, None
            while found is None or batch >= self._end(found):
                assert self._filled is not None  # it is read from its beginning, or goes on
                found = next(self._filled)
        except BaseException:  # Ctrl-C, or files that changed: what stands in the buffer is neither
            self.rest()
            self._epoch, self._buffer = -1, None
            raise
        self._buffer = found
        return found

    def _end(self, buffer: Buffer) -> int:
        """The batch of the epoch that a buffer no longer has."""
        return buffer.first - (-buffer.problem.n // self.size)

    def _buffers(self, epoch: int) -> Generator[Buffer]:
        """The buffers of an epoch, one after the other in the same memory."""
        source, draw = self.source, np.random.default_rng((self.seed % 2**64, epoch))
        pieces = source.reader.pieces
        kept = self._known is not None  # read in the files' own order
        order = range(len(pieces)) if kept else draw.permutation(len(pieces)).tolist()
        room = [np.empty(self.capacity) for _ in range(self._width + 1 + source.weighted)]
        numbers = np.empty(self.capacity, dtype=np.int64)
        filled = first = 0
        for block, found in self._blocks(order, 1 if kept else ABREAST):
            parts = [*block.columns, block.y, *([block.weights] if block.weights is not None else [])]
            taken = 0
            while taken < len(found):
                count = min(len(found) - taken, self.capacity - filled)
                if count == 0:  # only rows that are all kept have no room for more
                    raise self._other(self.n + len(found) - taken)
                here, there = slice(filled, filled + count), slice(taken, taken + count)
                for column, part in zip(room, parts, strict=True):
                    column[here] = part[there]
                numbers[here] = found[there]
                filled, taken = filled + count, taken + count
                if filled == self.capacity and not kept:
                    yield self._shuffled(room, numbers, filled, first, draw)
                    filled, first = 0, first + self.capacity // self.size
        seen = first * self.size + filled
        if seen != self.n:
            raise self._other(seen)
        source.evaluations += 1
        if filled:
            yield self._shuffled(room, numbers, filled, first, draw)

    def _shuffled(self, room: Sequence[Array], numbers: Rows, m: int, first: int, draw: np.random.Generator) -> Buffer:
        """Rows that were read as a problem, and an order of them."""
        source, width = self.source, self._width
        weights = room[width + 1][:m] if source.weighted else None
        model = (source.kernel, [one[:m] for one in room[:width]], room[width][:m], weights)
        values = dict(zip(source.names, source.values.tolist(), strict=True))
        problem = Problem(*model, values, source.free_names, source.threads)
        order = draw.permutation(m) if self._known is None else np.empty(0, dtype=np.int64)
        return Buffer(problem, numbers[:m], order, first)

    def _blocks(self, order: Sequence[int], abreast: int) -> Iterator[tuple[Block, Rows]]:
        """The rows of pieces, some of them side by side, with their numbers in the source."""
        source = self.source
        source.stream.unchanged()
        waiting, beside = iter(order), list[Iterator[tuple[Block, Rows]]]()
        while True:
            while len(beside) < abreast and (k := next(waiting, None)) is not None:
                beside.append(self._numbered(k))
            if not beside:
                break
            for one in tuple(beside):
                found = next(one, None)
                if found is None:
                    beside.remove(one)
                else:
                    yield found
        source.stream.unchanged()

    def _numbered(self, k: int) -> Iterator[tuple[Block, Rows]]:
        """The rows of a piece, and their numbers (m,) among all rows of the source, from 0."""
        source, read = self.source, 0
        piece = source.reader.pieces[k]
        before = self._starts[(piece.part, piece.number)]
        for batch in source.reader.batches(piece, self._read):
            read += batch.read
            if batch.n:
                number = np.arange(batch.n) if batch.index is None else batch.index
                yield source.block_of(batch.arrays, batch.n), before + batch.first + number
        source.same(k, read)

    def _other(self, seen: int) -> DataError:
        """Another number of rows than the pass that counted them found."""
        place = self.source.stream.source.name
        return DataError("E-CHANGED", "stream.other_rows", place=place, before=self.n, now=seen)

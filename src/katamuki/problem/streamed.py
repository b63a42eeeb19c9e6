"""Rows that pass by: the sums of a problem larger than memory, made batch by batch while the next ones are read.

Threads take pieces of the source in order; each reads and decodes a batch and runs the compiled passes on it, which let
the interpreter go. What a batch gives is kept, and all results are merged in the order of the rows when the pass is
over, so that bits do not depend on threads. A pass ends by asking whether the files are still those it began with.

The sample comes from the beginnings of all pieces where there are many (row groups of Parquet), and from one pass over
all rows where its answer does not hold on them; elsewhere from such a pass, which for a closed form is its own.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from decimal import Context, Decimal, localcontext
from functools import partial
from typing import Any

import numpy as np

from katamuki.backends.native import address_of
from katamuki.data.names import printable
from katamuki.data.selection import Columns
from katamuki.data.streams import Batch, Stream
from katamuki.data.streams_parts import ParquetPart
from katamuki.errors import DataError
from katamuki.problem import Problem, available_cores, passes
from katamuki.problem.blocks import Block, Counts, counted
from katamuki.problem.distant import Distant, Wanted
from katamuki.problem.double_double import double_double_pass
from katamuki.problem.pages import doubles
from katamuki.problem.rooms import Rooms
from katamuki.problem.streamed_batches import StreamedBatches
from katamuki.problem.streamed_first import beginnings, first_sums
from katamuki.problem.thinning import Taken, Thinning, together
from katamuki.records import Array

DIGITS = 64  # of the decimal arithmetic that adds double-doubles
FIRST = 1 << 16  # rows from which a closed form takes where to begin
FEWEST = 1000  # rows that a sample from the beginnings of pieces must have
Stopped = Callable[[], bool]


class StreamedProblem(Distant):
    """A problem whose rows are read for each pass.

    Parameters
    ----------
    stream : Stream
        The source.
    wanted : Wanted
        What the fit wants of it.
    """

    def __init__(self, stream: Stream, wanted: Wanted) -> None:
        super().__init__(wanted)
        self.stream = stream
        reading = partial(doubles, rooms=Rooms())
        for part in stream.parts:
            if isinstance(part, ParquetPart):
                part.doubles = reading
        self.reader = stream.reader(wanted.used, wanted.where, wanted.missing)
        self.source = stream.source
        self.counts: Counts | None = None
        self._read: list[int] = []  # rows of each piece, as the first pass counted them
        self.most = wanted.sample
        self.whole = False  # the sample is all rows
        pieces = len(self.reader.pieces)
        self.count = min(wanted.threads or available_cores(), max(pieces, 1), stream.abreast)
        self._pool: ThreadPoolExecutor | None = None
        self._dealt: StreamedBatches | None = None  # in the middle of an epoch, perhaps
        if self.reader.spread() and self._from_beginnings():
            self.placed = not wanted.linear
            return
        if wanted.linear:
            self._from_first()
        else:
            self._from_all()

    # The sample --------------------------------------------------------------------------------------------------

    def _draw(self, taken: Sequence[Taken]) -> int:
        """Make the sample of rows that were taken; how many they are."""
        names = self.reader.used
        arrays = {name: np.concatenate([one.arrays[name] for one in taken]) for name in names}
        index = np.concatenate([one.rows for one in taken])
        if not len(index):
            return 0
        block = self.block_of(arrays, len(index))
        source = replace(self.stream.source, rows=len(index), where=self.wanted.where)
        self.drawn = Columns(arrays, source, index)
        self.drawn_weights = block.weights
        model = (self.kernel, block.columns, block.y, block.weights)
        self.sample = Problem(*model, self.wanted.values, self.free_names, self.threads)
        return len(index)

    def _from_beginnings(self) -> bool:
        """A sample of the rows at the beginnings of pieces; whether there were enough."""
        taken, more = beginnings(self)
        if not taken or self._draw(taken) < min(FEWEST, sum(one.rows or 0 for one in self.reader.pieces)):
            return False
        if sum(len(next(iter(one.values()))) for one in more) > self.sample.n:
            arrays = {name: np.concatenate([one[name] for one in more]) for name in self.reader.used}
            block = self.block_of(arrays, len(arrays[self.reader.used[0]]))
            model = (self.kernel, block.columns, block.y, block.weights)
            self.wider = Problem(*model, self.wanted.values, self.free_names, self.threads)
        return True

    def _from_first(self) -> None:
        """The first rows that count: where a closed form begins. The sample itself is drawn in its pass."""
        taken: list[Taken] = []
        starts = self.starts(known=False)
        for piece in self.reader.pieces:
            first = starts[(piece.part, piece.number)]
            for batch in self.reader.batches(piece):
                number = np.arange(batch.n) if batch.index is None else batch.index
                taken.append(Taken(batch.arrays, first + batch.first + number))
                if sum(len(one.rows) for one in taken) >= FIRST:
                    self._draw(taken)
                    return
        if not taken or not self._draw(taken):
            raise self._nothing(sum(one.rows or 0 for one in self.reader.pieces))
        self._from_all()

    def redraw(self) -> bool:
        """Draw the sample from all rows, where it came from the beginnings of pieces."""
        again, self.placed, self.wider = self.placed, False, None
        if again:
            self._from_all()
        return again

    def _from_all(self) -> None:
        """One pass over all rows: they are counted, and the sample is one of each k that count."""
        thinnings = self._thinnings()

        def look(piece: int, batch: Batch, block: Block) -> None:
            del block
            thinnings[piece].add(batch)

        self._pass(look)
        self._sampled(thinnings)

    def _thinnings(self) -> list[Thinning]:
        """What keeps rows of each piece: of as many as there are, where all count, one of k from the beginning on."""
        rows, rounds = self.stream.rows, 0
        if self.wanted.where is None and rows is not None:
            while rows > self.most << rounds + 1:
                rounds += 1
        return [Thinning(self.most, rounds, (self.wanted.seed, k)) for k in range(len(self.reader.pieces))]

    def _sampled(self, thinnings: Sequence[Thinning]) -> None:
        """The sample of what a pass over all rows kept."""
        starts = self.starts()
        firsts = [starts[(one.part, one.number)] for one in self.reader.pieces]
        self._draw(together(thinnings, firsts, self.most))
        self.whole = self.sample.n == self.n

    def starts(self, known: bool = True) -> dict[tuple[int, int], int]:
        """The number of each piece's first row among all rows of the source, from 0."""
        found, first = {}, 0
        for k, piece in enumerate(self.reader.pieces):
            found[(piece.part, piece.number)] = first
            rows = piece.rows if piece.rows is not None else (self._read[k] if known else 0)
            first += rows
        return found

    # Passes ------------------------------------------------------------------------------------------------------

    def block_of(self, arrays: dict[str, Array], n: int) -> Block:
        """Rows of used columns as passes take them."""
        wanted = self.wanted
        y = wanted.left(arrays)
        weights = wanted.weigh(arrays, n)
        columns = [arrays[name] for name in self.kernel.columns]
        pointers = np.array([address_of(one) for one in columns] or [0], dtype=np.int64)
        return Block(columns, y, weights, None if weights is None else np.sqrt(weights), pointers)

    def _pass(self, look: Callable[[int, Batch, Block], Counts | None]) -> None:
        """Show every batch that has rows to ``look``, with the number of its piece; the first pass counts them, too,
        where ``look`` did not."""
        if self._dealt is not None:
            self._dealt.rest()
        self.stream.unchanged()
        first, pieces = self.counts is None, self.reader.pieces
        counts = [Counts() for _ in pieces]

        def read(k: int, stopped: Stopped) -> None:
            for batch in self.reader.batches(pieces[k]):
                block = self.block_of(batch.arrays, batch.n) if batch.n else None
                seen = None if block is None else look(k, batch, block)
                if first:
                    counts[k].add(seen or counted(batch, block))
                else:
                    counts[k].read += batch.read
                del batch, block  # so that their arrays are used again for the next one
                if stopped():
                    return

        self.each(len(pieces), read)
        self.evaluations += 1
        self._close_pass(counts, first)

    def each(self, count: int, task: Callable[[int, Stopped], None]) -> None:
        """Do a task for each number below ``count``, in all threads; it may ask whether nobody wants it any longer."""
        waiting, lock, stop = iter(range(count)), threading.Lock(), threading.Event()
        failures: dict[int, BaseException] = {}

        def work() -> None:
            while not stop.is_set():
                with lock:
                    k = next(waiting, None)
                if k is None:
                    return
                try:
                    task(k, lambda: stop.is_set() and not failures)
                except BaseException as error:  # the earliest of all is told, when all have ended
                    failures[k] = error
                    stop.set()
                    if not isinstance(error, Exception):
                        raise

        self._in_threads(work, stop)
        if failures:
            raise failures[min(failures)]

    def _in_threads(self, work: Callable[[], None], stop: threading.Event) -> None:
        """Run the same work in all threads; this one is one of them."""
        if self._pool is None and self.count > 1:
            self._pool = ThreadPoolExecutor(self.count - 1)
        running = [self._pool.submit(work) for _ in range(self.count - 1)] if self._pool else []
        try:
            work()
            for one in running:
                one.result()
        except BaseException:
            stop.set()
            raise
        finally:
            wait(running)

    def _close_pass(self, counts: Sequence[Counts], first: bool) -> None:
        """Keep what a pass counted, or see that it was the same rows as before."""
        self.stream.unchanged()
        read = [one.read for one in counts]
        if not first:
            for k, now in enumerate(read):
                self.same(k, now)
            return
        self._read, total = read, Counts()
        for one in counts:
            total.add(one)
        if not total.n:
            raise self._nothing(total.read, total)
        self.counts, self.n = total, total.n
        self.tss, self.tss_about_zero = total.spread, total.square
        self.reader.seen = True
        self.reader.clean = total.dropped == 0
        left_out = {"filtered": total.filtered, "dropped": total.dropped}
        known = self.stream.source
        mark = "," if self.reader.comma else known.decimal  # the first lines may be whole numbers
        self.source = replace(known, rows=total.n, where=self.wanted.where, decimal=mark, **left_out)  # type: ignore[arg-type]

    def same(self, k: int, read: int) -> None:
        """See that a piece has as many rows as in the first pass."""
        if read != self._read[k]:
            place = self.stream.parts[self.reader.pieces[k].part].place
            raise DataError("E-CHANGED", "stream.other_rows", place=place, before=self._read[k], now=read)

    def _nothing(self, read: int, total: Counts | None = None) -> DataError:
        place, where = self.stream.source.name, self.wanted.where
        if total is None or not read:
            return DataError("E-EMPTY", "data.no_rows", place=place)
        if total.filtered:
            return DataError("E-EMPTY", "data.where_none", condition=printable(where or ""), count=read, place=place)
        return DataError("E-EMPTY", "data.drop_none", count=total.dropped, place=place)

    def over_batches(self, run: Callable[[Block, int, Array], Counts | None], size: int) -> Iterator[Array]:
        """What ``run`` writes of each batch, in the order of the rows."""
        parts: list[list[Array]] = [[] for _ in self.reader.pieces]
        drawing = self.counts is None and not self.placed
        thinnings = self._thinnings() if drawing else []

        def look(piece: int, batch: Batch, block: Block) -> Counts | None:
            out = np.empty(size)
            seen = run(block, batch.n, out)
            parts[piece].append(out)
            if drawing:
                thinnings[piece].add(batch)
            return seen

        self._pass(look)
        if drawing:
            self._sampled(thinnings)
        return (one for piece in parts for one in piece)

    def begin(self, values: Array) -> None:
        """The first full pass: rows are counted, and the sums at these parameters are made."""
        if self.counts is None:
            self.remember(values, self.sums(values))

    def squares_at(self, places: Array) -> Array:
        """Σ w r² at several places (s, all_p), in one pass: (s,)."""
        parts = self._compiled(passes.loss_pass, places, 1, ())
        return np.array([added(column) for column in np.array(list(parts)).T.tolist()])

    def sums(self, values: Array) -> Array:
        """rss, Jᵀr (p,) and the upper triangle of JᵀJ by rows, weighted."""
        size = 1 + self.p + self.p * (self.p + 1) // 2
        parts = first_sums(self, values, size) if self.counts is None else None
        if parts is None:
            parts = list(self._compiled(passes.normal_pass, values, size + 4, (self.layout.free_address, self.p)))
        return np.array([added(column) for column in np.array(parts)[:, :size].T.tolist()])

    def folded(self, values: Array) -> Array:
        """rss and the triangle (p+1, p+1) of [J, r] by blocked QR, flat."""
        size, order = 1 + (self.p + 1) ** 2, self.layout.order_address
        total, room = np.zeros(size), np.empty(256 * (1 + self.all_p))
        for one in self._compiled(passes.qr_pass, values, size, (self.layout.free_address, self.p, order)):
            passes.merge_triangles(address_of(total), self.p + 1, address_of(one), address_of(room), order)
        return total

    def exact_sums(self) -> list[Decimal] | None:
        """Of a formula that is linear in its free parameters, all of them 0: ``sums`` with 31 digits."""
        terms = 1 + self.p + self.p * (self.p + 1) // 2
        values = self.full(0.0)
        model, free = (self.kernel.double_double_address, address_of(values)), self.layout.free_address

        def run(block: Block, n: int, out: Array) -> None:
            room, lanes = np.zeros(2 * 256 * (1 + self.all_p)), np.empty(512 * terms)
            columns, y, _ = block.shared
            w = block.weights
            rows = (y, 0 if w is None else address_of(w), int(w is not None), 0, n)
            places = (address_of(room), address_of(lanes), address_of(out))
            double_double_pass(model[0], columns, model[1], *rows, free, self.p, self.all_p, *places)

        total = [Decimal(0)] * terms
        with localcontext(Context(prec=DIGITS)):
            for one in self.over_batches(run, 2 * terms):
                if not np.isfinite(one).all():
                    return None
                pairs = zip(one[::2].tolist(), one[1::2].tolist(), strict=True)
                total = [so_far + Decimal(h) + Decimal(t) for so_far, (h, t) in zip(total, pairs, strict=True)]
        return total

    def _compiled(self, function: Any, values: Array, size: int, more: tuple[Any, ...]) -> Iterator[Array]:
        """A pass of :mod:`katamuki.problem.passes` over all batches, at all parameters (all_p,) or several such."""
        places = np.ascontiguousarray(np.atleast_2d(values))
        kernel, addresses = self.kernel.address, [address_of(one) for one in places]
        width = 256 * (1 + self.all_p)

        def run(block: Block, n: int, out: Array) -> None:
            room = np.empty(width)
            columns, y, root = block.shared
            rows = (y, root, int(root != 0), 0, n, *more, address_of(room))
            for k, address in enumerate(addresses):
                function(kernel, columns, address, *rows, address_of(out[k * size :]))

        return self.over_batches(run, size * len(places))

    def batches(self, size: int, seed: int) -> StreamedBatches:
        """Mini-batches of the rows, in an order that the seed draws."""
        self._dealt = StreamedBatches(self, size, seed)
        return self._dealt

    def blocks(self) -> Callable[[], Iterator[tuple[Mapping[str, Array], Array | None]]]:
        """What gives all rows anew, in their order."""

        def rows() -> Iterator[tuple[Mapping[str, Array], Array | None]]:
            self.stream.unchanged()
            for piece in self.reader.pieces:
                for batch in self.reader.batches(piece):
                    if batch.n:
                        yield batch.arrays, self.wanted.weigh(batch.arrays, batch.n)
            self.stream.unchanged()

        return rows

    def close(self) -> None:
        """End the threads."""
        if self._dealt is not None:
            self._dealt.rest()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        super().close()


def added(sums: Sequence[float]) -> float:
    """Their sum, rounded once; infinite or NaN where it overflows or some of them are, as sums in memory are."""
    try:
        return math.fsum(sums)
    except (ValueError, OverflowError):  # infinities of both signs; finite ones that overflow together
        with np.errstate(all="ignore"):
            return float(np.sum(np.array(sums)))

"""Once for rows that pass by: a sample of the beginnings of pieces, and a first pass that itself looks at every value.

Source: none; the first pass is that of :mod:`katamuki.problem.large`, batch by batch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from katamuki.backends.native import address_of
from katamuki.data.streams import SPREAD
from katamuki.problem import passes
from katamuki.problem.blocks import Block, Counts, counted_about
from katamuki.problem.large import passed_on
from katamuki.problem.thinning import Taken
from katamuki.records import Array

if TYPE_CHECKING:
    from katamuki.problem.streamed import Stopped, StreamedProblem

BEGINNING = 1 << 15  # rows at the beginning of a piece that a sample may come from


class UnseenError(Exception):
    """A batch holds a value that is not finite, which the pass that sums was the first to see."""


def beginnings(problem: StreamedProblem) -> tuple[list[Taken], list[dict[str, Array]]]:
    """Rows at the beginnings of all pieces, drawn by the seed, as many as a sample may have; and more, for descents.

    A closed form begins anywhere: it takes those of a few pieces, and its pass draws the sample.
    """
    reader, wanted, most = problem.reader, problem.wanted, problem.most
    pieces = [one for one in reader.pieces if one.rows and not one.idle]
    if wanted.linear:
        pieces = pieces[:: max(1, len(pieces) // SPREAD)]
    starts, found, widest = problem.starts(), dict[int, Taken](), problem.widest
    more: dict[int, dict[str, Array]] = {}

    def take(k: int, _: Stopped) -> None:
        piece, draw = pieces[k], np.random.default_rng((wanted.seed % 2**64, k))
        batch = next(reader.batches(piece, min(BEGINNING, problem.stream.batch)), None)
        share = (most * (k + 1)) // len(pieces) - (most * k) // len(pieces)
        if batch is None or not batch.n:
            return
        rows = np.sort(draw.choice(batch.n, min(share, batch.n), replace=False))
        arrays = {name: np.ascontiguousarray(one[rows]) for name, one in batch.arrays.items()}
        number = rows if batch.index is None else batch.index[rows]
        found[k] = Taken(arrays, starts[(piece.part, piece.number)] + number)
        if share := (widest * (k + 1)) // len(pieces) - (widest * k) // len(pieces):
            more[k] = {name: one[:share].copy() for name, one in batch.arrays.items()}

    problem.each(len(pieces), take)
    return [found[k] for k in sorted(found)], [more[k] for k in sorted(more)]


def first_sums(problem: StreamedProblem, values: Array, size: int) -> list[Array] | None:
    """``passes.normal_pass`` of each batch by a first pass that itself looks at every value, where all rows count.

    None where rows may be left out, or a value is not finite: the careful way finds out then which rows these are.
    """
    wanted, kernel = problem.wanted, problem.kernel
    if problem.weighted or wanted.where is not None or wanted.missing != "error" or wanted.response is None:
        return None
    unseen = 0 if passed_on(kernel.graph) else len(kernel.columns)
    middle, values = float(problem.sample.y.mean()), np.ascontiguousarray(values)
    model, place = kernel.address, address_of(values)
    more = (problem.layout.free_address, problem.p, unseen, middle)

    def run(block: Block, n: int, out: Array) -> Counts:
        room = np.empty(256 * (1 + problem.all_p))
        columns, y, _ = block.shared
        passes.first_pass(model, columns, place, y, 0, 0, 0, n, *more, address_of(room), address_of(out))
        found = out.tolist()
        if not all(map(math.isfinite, found[:size])) or found[size + 6] != 0.0:
            raise UnseenError
        return counted_about(n, middle, found[size + 4], found[size + 5])

    problem.reader.trusting = True
    try:
        return list(problem.over_batches(run, size + 7))
    except UnseenError:
        return None
    finally:
        problem.reader.trusting = False

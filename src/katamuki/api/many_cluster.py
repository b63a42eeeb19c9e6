"""Many curves on a cluster: which partitions share curves, and who fits what.

First every partition tells the hashes of its keys. A curve that lies in one partition alone is fitted there. One whose
rows lie in several has its home in one of these, chosen by its hash so that work is spread, and its other rows go
there; nothing else moves. Its row of the result then goes to the partition where its key first appears, so that the
table's order is the one in which keys first appear, as everywhere.

What workers do stands in ``many_partitions``, how shared curves are found in ``many_shared``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.api import many_partitions as parts
from katamuki.api.many_blocks import Done
from katamuki.api.many_curves import plain
from katamuki.api.many_partitions import Look, Seen, Trip
from katamuki.api.many_rows import Block
from katamuki.api.many_running import Ending, Hands, Progress
from katamuki.api.many_shared import found_on
from katamuki.cluster import ClusterTable, running
from katamuki.data import condition as conditions
from katamuki.data.key_columns import nothing, of_values
from katamuki.data.key_hashes import hashes
from katamuki.data.names import printable
from katamuki.data.selection import Missing
from katamuki.errors import DataError
from katamuki.many.folder import part_name

Whole = NDArray[np.int64]


class OnCluster:
    """The curves of a table on a cluster: what ``fit_many`` asks of any supply, but that they are fitted there.

    Parameters
    ----------
    table : ClusterTable
        The source.
    by, used : sequence of str
        Key columns, and the columns that fits read.
    where, missing
        As in ``fit_many``.
    """

    def __init__(
        self, table: ClusterTable, by: tuple[str, ...], used: Sequence[str], where: str | None, missing: Missing
    ) -> None:
        condition = None if where is None else conditions.parse(where)
        tested = (*condition.numeric, *condition.textual) if condition else ()
        self.table, self.client, self.by = table, table.client, by
        names = tuple(dict.fromkeys((*by, *used, *tested)))
        self.places = table.partitions(names)
        count, here = len(self.places), version("katamuki")
        self.look = Look(
            by=by, used=tuple(used), where=where, missing=missing, names=names, of=count, version=here
        )  # fmt: skip
        running.ready(self.client)
        keys = tuple(dict.fromkeys((*by, *tested)))
        look = replace(self.look, used=(), names=keys)
        places = table.partitions(keys, len(names))
        self.held = running.each(self.client, parts.seen, places, range(count), look=look)  # they stay on the workers
        told = running.each(self.client, parts.told, self.held)
        self.seen: list[Seen] = running.gathered(self.client, told)
        self.kinds = self._kinds()
        self.shared = found_on(self.client, running.each(self.client, parts.hashes_of, self.held))
        sizes = np.array([one.keys for one in self.seen])
        again = self.shared.owner[self.shared.owner != self.shared.first]
        self.ends = np.cumsum(sizes - np.bincount(again, minlength=count))  # curves up to each partition's last
        self.rows = 0  # of all curves that were fitted
        self._fetched: dict[tuple[object, ...], tuple[Block, Whole]] = {}
        rows, filtered, dropped = (sum(getattr(one, of) for one in self.seen) for of in ("rows", "filtered", "dropped"))
        self.source = replace(table.source, rows=rows, where=where, filtered=filtered, dropped=dropped)
        if not rows:
            raise self._nothing()

    def _kinds(self) -> tuple[Any, ...]:
        """The keys' types, which all partitions must agree on."""
        first: tuple[Any, ...] | None = None
        for k, one in enumerate(self.seen):
            if one.kinds is None:
                continue
            first = first or one.kinds
            for name, kind, before in zip(self.by, one.kinds, first, strict=True):
                if kind != before:
                    place = self.table.place(k, self.places)
                    values = {"name": printable(name), "kind": str(kind), "before": str(before)}
                    raise DataError("E-SCHEMA", "cluster.key_kinds", place=place, **values)
        return first or ()

    def _nothing(self) -> DataError:
        place, where = self.table.source.name, self.look.where
        if where is not None and self.source.filtered:
            condition = printable(where)
            return DataError("E-EMPTY", "data.where_none", condition=condition, count=self.source.filtered, place=place)
        return DataError("E-EMPTY", "data.no_rows", place=place)

    @property
    def keys(self) -> list[Any]:
        """Empty key columns of the right types."""
        return nothing(self.kinds, len(self.by))

    @property
    def curves(self) -> int:
        """How many there are."""
        return int(self.ends[-1])

    def counted(self, curves: int) -> int:
        """How many rows the curves that were fitted have; of all curves, how many rows were read."""
        return self.source.rows if curves == self.curves else self.rows

    def identity(self) -> dict[str, Any]:
        """What tells these data from others."""
        return self.table.identity()

    # Fits ------------------------------------------------------------------------------------------------------------

    def run(
        self,
        trip: Trip,
        sink: Callable[[Any], None],
        *,
        done: int = 0,
        deadline: float | None = None,
        progress: Progress | None = None,
        folder: str = "",
        skip: Sequence[int] = (),
    ) -> Ending:
        """Fit all curves.

        Parameters
        ----------
        trip : Trip
            What workers are told.
        sink : function
            Takes the table of each partition's fits, in order; None where a worker wrote it.
        done : int
            Curves that are done already, from the first on.
        deadline, progress
            As in ``many_running.run``.
        folder : str
            Where workers write; "": tables come here.
        skip : sequence of int
            Partitions whose fits stand in the folder already.

        Returns
        -------
        "done", "interrupted" or "time"
            How it ended.
        """
        starts = self.ends - np.diff(self.ends, prepend=0)
        left = [k for k in range(len(self.places)) if self.ends[k] > done and k not in skip]
        futures = self._sent(trip, left, folder)
        waiting = dict(zip(left, futures, strict=True))
        before = curves = self.curves - int(sum(self.ends[k] - max(starts[k], done) for k in left))
        hand, began = Hands(lambda one: sink(one.table)), time.monotonic()
        with ThreadPoolExecutor(1) as writer:
            finished: Done | None = None
            try:
                for k in left:
                    found = running.gathered(self.client, [waiting[k]], deadline)[0]
                    del waiting[k]
                    table = found.table
                    if table is not None and starts[k] < done:
                        table = table.slice(done - int(starts[k]))
                    finished = Done(k, found.curves, table, found.rows, 0, 0.0)
                    writer.submit(hand, finished).result()
                    self.rows += found.rows
                    curves += found.curves - max(0, done - int(starts[k]))
                    if progress is not None:
                        spent = time.monotonic() - began
                        rest = spent * (self.curves - curves) / (curves - before) if curves > before else math.nan
                        progress(curves, self.curves, rest)
                return "done"
            except (KeyboardInterrupt, TimeoutError) as error:
                if finished is not None:
                    writer.submit(hand, finished).result()
                return "interrupted" if isinstance(error, KeyboardInterrupt) else "time"
            finally:
                running.cancelled(self.client, waiting.values())

    def _sent(self, trip: Trip, wanted: Sequence[int], folder: str) -> list[Any]:
        """Futures of the fits of the curves that first appear in these partitions."""
        client, split = self.client, self.shared
        home_of = split.pairs(split.home, split.first)  # whose results a partition waits for
        from_of = split.pairs(split.owner, split.home)  # whose rows a partition waits for
        fits = sorted({*wanted, *(one for k in wanted for one in home_of.get(k, ()))})
        moving = set(split.owner.tolist())
        cuts = sorted({one for k in fits for one in (k, *from_of.get(k, ())) if one in moving})
        cut = dict(zip(cuts, self._cut(cuts, trip), strict=True))
        alone = [k for k in fits if k not in moving]
        places = [self.places[k] for k in alone]
        fit = dict(zip(alone, running.each(client, parts.fitted, places, alone, trip=trip), strict=True))
        for k in fits:
            if k in moving:
                others = from_of.get(k, [])
                pieces = [client.submit(parts.picked, cut[one], k, pure=False) for one in others]
                fit[k] = client.submit(parts.fitted_together, cut[k], k, pieces, others, trip=trip, pure=False)
        found = []
        for k in wanted:
            pieces = [client.submit(parts.picked, fit[one], k, pure=False) for one in home_of.get(k, ())]
            more = {"trip": trip, "kinds": self.kinds, "folder": folder}
            name = part_name(int(self.ends[k - 1]) if k else 0, int(self.ends[k]))
            found.append(client.submit(parts.arranged, fit[k], k, pieces, name, **more, pure=False))
        return found

    def _cut(self, numbers: Sequence[int], trip: Trip) -> list[Any]:
        """Futures of the rows of partitions by their curves' homes."""
        order = np.argsort(self.shared.owner, kind="stable")
        edges = np.searchsorted(self.shared.owner[order], [[k, k + 1] for k in numbers]).reshape(-1, 2)
        entries = [order[first:last] for first, last in edges.tolist()]
        keys = [self.shared.key[one] for one in entries]
        homes = [self.shared.home[one] for one in entries]
        places = [self.places[k] for k in numbers]
        return running.each(self.client, parts.cut, places, numbers, keys, homes, trip=trip)

    # Single curves ---------------------------------------------------------------------------------------------------

    def fetch(self, keys: Sequence[tuple[object, ...]]) -> None:
        """Get the rows of some curves, all in one pass over the table."""
        numbers = self._having(keys)
        places, lists = [self.places[k] for k in numbers], [list(keys)] * len(numbers)
        futures = running.each(self.client, parts.rows_of_keys, places, numbers, lists, look=self.look)
        found = dict(zip(numbers, running.gathered(self.client, futures), strict=True))
        lengths = [one.rows + one.filtered + one.dropped for one in self.seen]
        firsts = np.cumsum([0, *lengths])
        for i, key in enumerate(keys):
            pieces = [(firsts[k], one[i]) for k, one in found.items() if one[i] is not None]
            if pieces:
                numbered = np.concatenate([first + one.numbers for first, one in pieces])
                self._fetched[tuple(key)] = parts.one_curve([one for _, one in pieces]), numbered

    def _having(self, keys: Sequence[tuple[object, ...]]) -> list[int]:
        """The partitions that have one of some keys, in order; all of them where a key is of another type."""
        numbers = list(range(len(self.places)))
        columns = of_values(keys, self.kinds)
        if columns is None:
            return numbers
        there = running.each(self.client, parts.has_any, self.held, wanted=hashes(columns))
        return [k for k, one in zip(numbers, running.gathered(self.client, there), strict=True) if one]

    def curve(self, key: Sequence[object]) -> tuple[Block, Whole | None] | None:
        """The curve of a key, and its rows' numbers in the source; None where there is none."""
        wanted = tuple(key)
        if wanted not in self._fetched:
            self.fetch([wanted])
        return self._fetched.get(wanted)

    def foremost(self) -> Block | None:
        """The table's first curve."""
        key = next((one.first for one in self.seen if one.first is not None), None)
        found = None if key is None else self.curve(plain(key))
        return None if found is None else found[0]

    def rows_of(self, key: Sequence[object], at: int) -> Block | None:
        """The curve of a key, as ``curve`` finds it."""
        del at  # it says nothing of where the rows are
        found = self.curve(key)
        return None if found is None else found[0]

    def close(self) -> None:
        """Nothing is open."""

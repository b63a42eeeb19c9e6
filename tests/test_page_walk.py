"""A walk through pages finds what pyarrow wrote, asks for what it lacks, and never looks beside its memories."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fences import Fenced
from katamuki.problem.page_walk import (
    AT,
    CODEC,
    COUNT,
    DONE,
    FULL,
    HAVE,
    LAST,
    LEFT,
    LEVELS,
    MORE,
    NEED,
    OTHER,
    PLAIN,
    ROOM,
    ROOMIER,
    SNAPPY,
    STATE,
    UNKNOWN,
    WINDOW,
    walk,
)
from katamuki.problem.snappy import SPARE

KINDS = [(codec, version, few) for codec in ("none", "snappy") for version in ("1.0", "2.0") for few in (False, True)]


def column(few: bool, n: int = 300) -> np.ndarray:
    """Numbers that are all different, or few."""
    draw = np.random.default_rng(8)
    return draw.choice(draw.normal(size=11), n) if few else draw.normal(size=n)


def chunk(codec: str, version: str, few: bool, nullable: bool = True) -> bytes:
    """The bytes of a column chunk as pyarrow writes it, in pages of some dozens of numbers."""
    out = io.BytesIO()
    schema = pa.schema([pa.field("x", pa.float64(), nullable)])
    options = {"compression": codec, "data_page_version": version, "use_dictionary": few, "write_batch_size": 32}
    pq.write_table(pa.table({"x": column(few)}, schema), out, data_page_size=500 if not few else 20, **options)
    facts = pq.ParquetFile(out).metadata.row_group(0).column(0)
    first = facts.dictionary_page_offset or facts.data_page_offset
    return out.getvalue()[first : first + facts.total_compressed_size]


class Walker:
    """A walk in plain Python through bytes that come bit by bit, in memories with fences."""

    def __init__(self, body: bytes, codec: int, values: int, levels: int, step: int) -> None:
        self.body, self.step = body, step
        self.memories = [Fenced([])] * 4
        self.state = Fenced([0] * STATE)
        for place, value in ((LEFT, values), (CODEC, codec), (LEVELS, levels)):
            self.state[place] = value
        self.endings: list[int] = []

    def show(self, count: int) -> None:
        """So many bytes of the chunk in the window, and no more than may be read behind them."""
        words = np.full((count + SPARE) // 8, -1)
        words.view(np.uint8)[:count] = np.frombuffer(self.body[:count], np.uint8)
        self.memories[WINDOW], self.state[LAST] = Fenced(words.tolist()), count

    def take(self, count: int) -> list[int] | None:
        """The next numbers by their bits; None where a page is not known."""
        before = [9] * 8
        out = Fenced([*before, *[0] * (count + 2)], 8)
        self.state[DONE] = 0
        while True:
            ended = walk(*self.memories, out, count, self.state)
            self.endings.append(ended)
            assert out.numbers[:8] == before
            if ended == FULL:
                return out.numbers[8 : 8 + count]
            if ended == MORE and self.state[LAST] < len(self.body):
                assert self.state[NEED] == 0 or self.state[NEED] > self.state[LAST] - self.state[AT]
                self.show(min(self.state[LAST] + self.step, len(self.body)))
            elif ROOMIER <= ended < UNKNOWN:
                memory, size = ended - ROOMIER, self.state[NEED]
                assert size > self.state[ROOM + memory]
                self.memories[memory], self.state[ROOM + memory] = Fenced([0] * ((size + SPARE) // 8)), size
            else:
                assert ended in {MORE, UNKNOWN}
                return None


def walker(kind: tuple[str, str, bool], body: bytes, step: int, levels: int = 1) -> Walker:
    return Walker(body, PLAIN if kind[0] == "none" else SNAPPY, 300, levels, step)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize("step", [50, 10_000])
def test_pages_hold_what_was_written_however_they_come(kind, nullable, step):
    body = chunk(*kind, nullable)
    wanted = column(kind[2]).view(np.int64).tolist()
    for count in (7, 64, 300):
        one = walker(kind, body, step, int(nullable))
        found = []
        while len(found) < 300:
            found += one.take(min(count, 300 - len(found)))
        assert found == wanted
        assert (one.state[AT], one.state[LEFT], one.state[HAVE]) == (len(body), 0, 0)
        assert one.endings.count(MORE) >= min(len(body) // step, 1)
        assert one.take(1) is None  # there is no further page


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(KINDS), st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 255)), max_size=3), st.booleans()
)
def test_damaged_pages_lead_nowhere_else(kind, damage, near):
    body = bytearray(chunk(*kind))
    for at, byte in damage:
        body[at % (60 if near else len(body))] = byte
    one = walker(kind, bytes(body), 10_000)
    for _ in range(3):
        if one.take(100) is None:
            break
    assert one.state[LEFT] >= 0


def test_what_it_does_not_know_is_left_where_it_is():
    kind = ("snappy", "1.0", False)
    body = chunk(*kind)
    other = Walker(body, OTHER, 300, 1, 10_000)
    assert other.take(300) is None
    assert (other.endings[-1], other.state[AT], other.state[LEFT]) == (UNKNOWN, 0, 300)
    few = walker(kind, body, 10_000)
    few.state[LEFT] = 10  # fewer than the first page says that it has
    assert few.take(10) is None
    places = walker(("none", "1.0", True), chunk("none", "1.0", True), 10_000)
    assert places.take(1) is not None
    places.state[COUNT] = 2  # a dictionary without most of what pages name
    assert places.take(299) is None


def test_a_damaged_number_is_another_number():
    """The comparison above sees it."""
    kind = ("none", "1.0", False)
    body = bytearray(chunk(*kind))
    body[-3] ^= 1
    found = walker(kind, bytes(body), 10_000).take(300)
    assert found is not None
    assert found[:-1] == column(False).view(np.int64).tolist()[:-1]
    assert found[-1] != column(False).view(np.int64).tolist()[-1]

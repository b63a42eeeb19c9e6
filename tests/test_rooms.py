"""Arrays that are used again: never one that somebody holds, and each thread its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from katamuki.problem.pages import doubles
from katamuki.problem.rooms import MOST, Rooms


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans(), st.booleans()), max_size=40))
def test_what_is_held_is_never_handed_out(asked):
    rooms, held = Rooms(), []
    for number, (count, keep, view) in enumerate(asked):
        one = rooms.take(count)
        assert len(one) == count
        one[:] = number
        if keep:
            held.append((number, one[count // 2 :] if view else one))
        del one
        assert all((array == k).all() for k, array in held)


def test_what_nobody_holds_is_used_again_and_little_is_kept():
    rooms = Rooms()
    first = rooms.take(100).ctypes.data
    assert rooms.take(60).ctypes.data == first
    assert first % 4096 == 0
    many = [rooms.take(10) for _ in range(3 * MOST)]
    assert len({one.ctypes.data for one in many}) == len(many)
    assert len(rooms.kept) == MOST


def test_threads_share_nothing():
    rooms = Rooms()
    here = rooms.take(10)
    with ThreadPoolExecutor(1) as pool:
        there = pool.submit(rooms.take, 10).result()
    assert not np.shares_memory(here, there)
    assert len(rooms.kept) == 1


def test_batches_that_are_kept_stay_as_they_were_read(tmp_path):
    path, draw = tmp_path / "rows.parquet", np.random.default_rng(5)
    whole = pa.table({"own": draw.normal(size=9000), "few": draw.choice(draw.normal(size=9), 9000)})
    pq.write_table(whole, path, row_group_size=4000, data_page_size=3000)
    metadata, rooms, found = pq.ParquetFile(path).metadata, Rooms(), []
    for group in range(metadata.num_row_groups):
        found += list(doubles(path, metadata, group, ["own", "few"], 700, rooms) or ())
    for k, name in enumerate(whole.column_names):
        np.testing.assert_array_equal(np.concatenate([one[k] for one in found]), whole[name].to_numpy())

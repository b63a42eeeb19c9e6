"""Which partitions share a curve: hashes of keys, and the home that each key has.

Away from the tests that keep a cluster running: its threads draw random numbers while Hypothesis looks on.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from katamuki.api import many_shared
from katamuki.data.key_hashes import hashes
from katamuki.data.key_numbers import numbered


@given(st.lists(st.one_of(st.none(), st.text(max_size=5), st.sampled_from(["a", "ab", "b"])), min_size=1, max_size=20))
def test_hashes_are_equal_where_keys_are(words: list[str | None]) -> None:
    column = pa.array(words, pa.string())
    found = hashes([column])
    numbers = numbered(column, "key")
    assert np.array_equal(found[:, None] == found[None, :], numbers[:, None] == numbers[None, :])
    assert np.array_equal(found, hashes([column.dictionary_encode()]))
    assert np.array_equal(found[3:], hashes([column.slice(3)]))


@given(st.lists(st.floats(width=64) | st.sampled_from([0.0, -0.0, 1.0]), min_size=1, max_size=20))
def test_hashes_of_numbers_are_equal_where_keys_are(values: list[float]) -> None:
    column = pa.array(values, pa.float64())
    found, numbers = hashes([column, column]), numbered(column, "key")
    assert np.array_equal(found[:, None] == found[None, :], numbers[:, None] == numbers[None, :])


@settings(max_examples=60)
@given(st.lists(st.sets(st.integers(0, 2**64 - 1) | st.integers(0, 9), max_size=8), min_size=1, max_size=7))
def test_keys_of_several_partitions_are_found_and_have_one_home(partitions: list[set[int]]) -> None:
    keys = [np.array(sorted(one), dtype=np.uint64) for one in partitions]
    cut = [many_shared.ranges(keys[k : k + 2], k, 3) for k in range(0, len(keys), 2)]
    found = [many_shared.shared([one[k] for one in cut]) for k in range(3)]
    entries = {(int(key), int(owner)) for one in found for key, owner in zip(one.key, one.owner, strict=True)}
    counts: dict[int, list[int]] = {}
    for k, one in enumerate(partitions):
        for key in one:
            counts.setdefault(key, []).append(k)
    assert entries == {(key, k) for key, owners in counts.items() if len(owners) > 1 for k in owners}
    for one in found:
        for key, home, first in zip(one.key.tolist(), one.home.tolist(), one.first.tolist(), strict=True):
            assert home == counts[key][key % len(counts[key])]
            assert first == counts[key][0]

"""Grouping against a dictionary of lists, for every kind of key."""

import datetime
from decimal import Decimal

import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katamuki.data.key_numbers import numbered
from katamuki.errors import DataError
from katamuki.many import grouping
from katamuki.many.grouping import gather, group


def by_dictionary(*columns):
    """Rows of each key, keys in the order of first appearance; missing keys are one."""
    rows = {}
    for i, key in enumerate(zip(*columns, strict=True)):
        meant = tuple(None if part is None or part != part else part for part in key)  # noqa: PLR0124
        rows.setdefault(meant, []).append(i)
    return list(rows.values())


def rows_of(found):
    """Rows of each group, from the record."""
    n = found.rows
    (order,) = gather([np.arange(n, dtype=np.float64)], found)
    return [order[a:b].astype(int).tolist() for a, b in zip(found.offsets[:-1], found.offsets[1:], strict=True)]


def assert_groups(found, wanted):
    assert found.count == len(wanted) == len(found.first)
    assert found.offsets[0] == 0
    assert found.offsets[-1] == found.rows
    assert found.first.tolist() == [one[0] for one in wanted]
    assert rows_of(found) == wanted
    if found.codes is not None:
        assert [np.flatnonzero(found.codes == g).tolist() for g in range(found.count)] == wanted


WHOLE = st.one_of(st.integers(-3, 3), st.sampled_from([2**63 - 1, -(2**63), 10**9, 10**18]))


@settings(deadline=None)
@given(st.lists(WHOLE, max_size=60), st.booleans())
def test_whole_numbers_group_like_a_dictionary(keys, in_order):
    keys = sorted(keys) if in_order else keys
    found = group([np.array(keys, dtype=np.int64)])
    assert_groups(found, by_dictionary(keys))
    assert found.together == (
        not keys or all(b - a == len(r) - 1 for r in by_dictionary(keys) for a, b in [(r[0], r[-1])])
    )


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abc"), st.sampled_from([0.5, -0.0, 0.0, np.nan, None]))))
def test_several_columns_group_like_tuples(rows):
    columns = [list(one) for one in zip(*rows, strict=True)] or [[], [], []]
    found = group([np.array(columns[0], dtype=np.int8), columns[1], pa.array(columns[2], pa.float64())])
    assert_groups(found, by_dictionary(*columns))


DAY = datetime.date(2024, 2, 29)
NOON = datetime.datetime(2024, 2, 29, 12, 0, 0, 7)
KINDS = {
    "int8": [3, 1, 3, 1, 2],
    "uint64": np.array([2**63, 1, 2**63, 2**64 - 1, 1], dtype=np.uint64),
    "big endian": np.array([5, 6, 5], dtype=">i4"),
    "strided": np.arange(10, dtype=np.int64)[::2] % 3,
    "float32": np.array([0.1, 0.2, 0.1, -0.0, 0.0, np.nan, np.nan], dtype=np.float32),
    "bool": np.array([True, False, True]),
    "text": ["b", "a", "b", None, "", None],
    "numpy text": np.array(["b", "a", "b"]),
    "bytes": np.array([b"b", b"a", b"b"]),
    "days": [DAY, None, DAY],
    "times": [NOON, NOON + datetime.timedelta(microseconds=1), NOON],
    "decimals": [Decimal("1.1"), Decimal("1.10"), Decimal("1.2"), None],
    "long integers": [2**70, 1, 2**70],
    "mixed": [1, "1", None, 1, b"1", 2.5],
    "nothing": [None, None],
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_key_groups_as_its_values_do(kind):
    keys = KINDS[kind]
    assert_groups(group([keys]), by_dictionary(keys if isinstance(keys, list) else keys.tolist()))


TABLES = {
    "arrow text": lambda values: pa.array(values, pa.string()),
    "arrow chunks": lambda values: pa.chunked_array([values[:2], values[2:]], pa.string()),
    "arrow views": lambda values: pa.array(values, pa.string_view()),
    "arrow dictionary": lambda values: pa.array(values).dictionary_encode(),
    "two dictionaries": lambda values: pa.chunked_array(
        [pa.array(part, pa.string()).dictionary_encode() for part in (values[:2], values[2:])]
    ),
    "no chunks": lambda values: pa.chunked_array([[], values], pa.string()),
    "pandas": lambda values: pandas.Series(values),
    "pandas category": lambda values: pandas.Series(values, dtype="category"),
    "polars": lambda values: polars.Series(values),
    "polars category": lambda values: polars.Series(values, dtype=polars.Categorical),
    "masked": lambda values: np.ma.MaskedArray([v or "" for v in values], [v is None for v in values]),
}


@pytest.mark.parametrize("kind", TABLES)
def test_every_table_gives_the_same_groups(kind):
    values = ["x", None, "y", "x", None, "z", "y"]
    assert_groups(group([TABLES[kind](values)]), by_dictionary(values))


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.uint32(), pa.float32(), pa.date32(), pa.timestamp("ns"), pa.time32("s"), pa.bool_()]
)
def test_arrow_values_with_nulls_group_like_lists(kind):
    values = [1, None, 0, 1, None]
    assert_groups(
        group([pa.array(values, pa.int64() if kind == pa.timestamp("ns") else pa.int32()).cast(kind)]),
        by_dictionary(values),
    )


def test_a_dictionary_that_holds_a_value_twice_or_a_null_means_its_values():
    twice = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 3, None]), pa.array(["a", "b", "a", None]))
    assert_groups(group([twice]), by_dictionary(["a", "b", "a", None, None]))


def test_text_that_only_looks_alike_differs():
    assert group([["1", "01", "1 ", "１"]]).count == 4
    assert group([[0.3, 0.1 + 0.2]]).count == 2


@pytest.mark.parametrize("bad", [[[1], [2]], pa.array([[1], [2]]), np.array([1j]), pa.array([{"a": 1}]), 5, "text"])
def test_what_cannot_be_a_key_is_an_error(bad):
    with pytest.raises(DataError) as caught:
        numbered(bad, "k")
    assert caught.value.code == "E-KEY"


def test_keys_of_different_lengths_are_an_error():
    with pytest.raises(DataError) as caught:
        group([[1, 2], ["a"]], ["plate", "well"])
    assert caught.value.code == "E-SHAPE"
    assert "well" in str(caught.value)


class RefusedError(Exception):
    """What a caller raises."""


@pytest.mark.parametrize(
    "keys",
    [np.arange(1000), np.arange(1000)[::-1].copy(), np.arange(1000) * 7919 % 1009, np.arange(1000) * 10**15 % 7919],
)
def test_the_caller_hears_how_many_groups_there_are_and_may_refuse(keys):
    heard = []
    count = group([keys], allow=heard.append).count
    assert heard == [count] == [len(set(keys.tolist()))]

    def refuse(groups):
        raise RefusedError(groups)

    with pytest.raises(RefusedError):
        group([keys], allow=refuse)


def made(seed, rows, groups, runs=1, scale=1):
    """Keys of so many groups, each key so many times in a row."""
    draw = np.random.default_rng(seed)
    return np.repeat(draw.integers(0, groups, rows // runs), runs) * scale - 5


CASES = {
    "close together": made(1, 60_000, 5_000),
    "far apart": made(2, 60_000, 5_000, scale=10**12),
    "more than a table starts with": made(3, 120_000, 110_000, scale=10**9 + 7),
    "runs that come back": made(4, 60_000, 300, runs=20),
    "runs that do not": np.repeat(np.random.default_rng(5).permutation(3_000), 20),
    "one group": np.zeros(10_000, dtype=np.int64),
    "one large among small": np.where(np.arange(60_000) % 3 > 0, 7, made(6, 60_000, 20_000)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("slice_", [1 << 20, 1000])
def test_columns_come_together_as_a_stable_sort_brings_them(case, slice_, monkeypatch):
    monkeypatch.setattr(grouping, "SLICE", slice_)
    monkeypatch.setattr(grouping, "BUCKET", 1 << 9)
    keys = CASES[case]
    found = group([keys], threads=3)
    _, first, back = np.unique(keys, return_index=True, return_inverse=True)
    codes = np.argsort(np.argsort(first))[back]  # numbered by first appearance
    order = np.argsort(codes, kind="stable")
    assert found.first.tolist() == np.sort(first).tolist()
    np.testing.assert_array_equal(np.diff(found.offsets), np.bincount(codes))
    columns = [np.random.default_rng(k).normal(size=len(keys)) for k in range(3)]
    for one, moved in zip(columns, gather(columns, found, threads=3), strict=True):
        np.testing.assert_array_equal(moved, one[order])


def test_nothing_is_moved_where_the_rows_stand_together():
    column = np.arange(6.0)
    found = group([["b", "b", "a", "a", "a", "c"]])
    assert found.together
    assert gather([column], found)[0] is column
    assert not group([["b", "a", "b"]]).together


def test_columns_of_another_length_are_refused():
    with pytest.raises(ValueError, match="length"):
        gather([np.zeros(3)], group([[1, 2]]))
    with pytest.raises(ValueError, match="no columns"):
        group([])

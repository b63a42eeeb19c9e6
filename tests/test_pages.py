"""Pages of Parquet read without a detour hold what pyarrow reads from them, and what is not known is left to it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from katamuki.data.parts import UnknownPageError
from katamuki.problem.page_passes import gather
from katamuki.problem.pages import doubles


def table(n: int = 30_000) -> pa.Table:
    """Columns that are all different, that repeat, and that are one number."""
    draw = np.random.default_rng(2)
    repeats = draw.choice(draw.normal(size=700), n)
    repeats[100:900] = repeats[0]
    return pa.table({"own": draw.normal(size=n), "repeats": repeats, "one": np.full(n, 2.5)})


def read(path, names=("own", "repeats", "one"), rows=1777):
    """All row groups, by our own reader."""
    metadata = pq.ParquetFile(path).metadata
    found = []
    for group in range(metadata.num_row_groups):
        columns = doubles(path, metadata, group, names, rows)
        assert columns is not None
        found += list(columns)
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip", "brotli", "lz4"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False, ["repeats"]])
def test_columns_are_those_that_pyarrow_reads(compression, version, dictionary, tmp_path):
    path, whole = tmp_path / "rows.parquet", table()
    for nullable in (True, False):
        schema = pa.schema([pa.field(name, pa.float64(), nullable) for name in whole.column_names])
        options = {"compression": compression, "data_page_version": version, "use_dictionary": dictionary}
        pq.write_table(whole.cast(schema), path, row_group_size=12_345, data_page_size=9000, **options)
        for name, found in zip(whole.column_names, read(path), strict=True):
            np.testing.assert_array_equal(found, whole[name].to_numpy())


def test_other_kinds_of_columns_are_left_to_pyarrow(tmp_path):
    path = tmp_path / "rows.parquet"
    columns = {"whole": pa.array([1, 2]), "single": pa.array([1.0, 2.0], pa.float32()), "text": pa.array(["a", "b"])}
    columns |= {"missing": pa.array([1.0, None]), "list": pa.array([[1.0], [2.0]]), "fine": pa.array([1.0, 2.0])}
    pq.write_table(pa.table(columns), path)
    metadata = pq.ParquetFile(path).metadata
    for name in (*columns, "nowhere"):
        assert (doubles(path, metadata, 0, [name], 10) is None) == (name != "fine"), name
    pq.write_table(pa.table({"x": np.arange(99.0)}), path, column_encoding="BYTE_STREAM_SPLIT", use_dictionary=False)
    assert doubles(path, pq.ParquetFile(path).metadata, 0, ["x"], 10) is None


def test_pages_that_are_not_what_they_should_be_are_refused(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(table(3000), path, compression="none", use_dictionary=False)
    metadata, body = pq.ParquetFile(path).metadata, bytearray(path.read_bytes())
    first = metadata.row_group(0).column(0).data_page_offset
    for damage in (
        lambda: body.__setitem__(slice(first, first + 40), b"\xff" * 40),
        lambda: body.__delitem__(slice(first + 9, None)),
    ):
        damage()
        path.write_bytes(body)
        with pytest.raises(UnknownPageError):
            list(doubles(path, metadata, 0, ["own"], 1000) or ())


@given(st.integers(1, 20), st.lists(st.integers(0, 2**20 - 1), min_size=1, max_size=70), st.integers(1, 9))
def test_places_packed_bit_by_bit_are_unpacked(width, places, run):
    places = [place % 2**width for place in places]
    places += [0] * (-len(places) % 8)
    bits = "".join(f"{place:0{width}b}"[::-1] for place in places)
    packed = bytes(int(bits[k : k + 8][::-1], 2) for k in range(0, len(bits), 8))
    repeated = bytes([run << 1]) + places[0].to_bytes((width + 7) // 8, "little")
    count = len(places) // 8 << 1 | 1
    page = np.frombuffer(bytes([width, count]) + packed + repeated, np.uint8)
    dictionary, out = np.arange(float(2**width)), np.empty(len(places) + run)
    assert gather(page, 0, dictionary, out)
    assert out.tolist() == [*map(float, places), *[float(places[0])] * run]
    if max(places) > 0:
        assert not gather(page, 0, dictionary[: max(places)], out)  # a place beyond the dictionary
    assert not gather(page[:-1], 0, dictionary, np.empty(len(out)))  # bytes that end too early

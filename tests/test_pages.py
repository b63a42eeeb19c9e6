"""Pages of Parquet read without a detour hold what pyarrow reads from them, and what is not known is left to it."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from katamuki.data.parts import UnknownPageError
from katamuki.problem.page_passes import ENDS, gather, gather_pass, header_pass
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


class Fenced:
    """Numbers that know where they end: what a compiled pass would read or write beside them is an error here."""

    def __init__(self, numbers):
        self.numbers = numbers

    def __getitem__(self, at):
        assert 0 <= at < len(self.numbers), at
        return self.numbers[at]

    def __setitem__(self, at, value):
        assert 0 <= at < len(self.numbers), at
        self.numbers[at] = value


@given(st.binary(max_size=60), st.integers(0, 32), st.integers(0, 5), st.integers(1, 40))
def test_no_bytes_whatever_lead_a_pass_beside_its_page(body, width, count, n):
    words = np.zeros((len(body) + 16) // 8 + 1, np.int64)
    words.view(np.uint8)[: len(body)] = np.frombuffer(body, np.uint8)
    whole = Fenced(words.tolist())
    assert header_pass.python(whole, 0, len(body), Fenced([0] * ENDS), Fenced([0] * 8)) in {0, 1, 2}
    place = (whole, 0, len(body), width)
    assert gather_pass.python(*place, Fenced([0.5] * count), count, Fenced([0.0] * n), n) in {0, 1, 2}
    with pytest.raises(AssertionError):
        whole[len(words)]


def apart(program: str, *arguments: str) -> str:
    """What a program of its own prints: if it dies of a damaged page, this one does not."""
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments], capture_output=True, text=True, timeout=120
    )
    assert told.returncode == 0, (told.returncode, told.stderr[-2000:])
    return told.stdout


def test_a_length_that_no_page_has_is_refused():
    """These used to end the process: a length in the header, or of a packed run, that overflows when it is added."""
    program = r"""
        import numpy as np
        from katamuki.backends.native import address_of
        from katamuki.problem.page_passes import gather, header_pass
        body = bytes([0x18]) + b"\xff" * 8 + b"\x7f" + bytes(50)
        words, out = np.zeros(64, np.int64), np.zeros(16, np.int64)
        words.view(np.uint8)[: len(body)] = np.frombuffer(body, np.uint8)
        print(header_pass(address_of(words), 0, 60, address_of(out), address_of(out) + 64))
        groups = b"\x81" + b"\x80" * 7 + b"\x20"  # packed, 2 to the 60th times eight places
        page = np.frombuffer(bytes([8]) + groups + b"\x90\x03\x00" + bytes(30), np.uint8)
        fenced = np.full(4096, 7.0)
        print(gather(page, 0, np.array([0.5, 1.5]), fenced[2000:2012]))
        print(set(fenced[:2000]) | set(fenced[2012:]) == {7.0})
    """
    assert apart(program).split() == ["2", "False", "True"]


@pytest.mark.parametrize("compression", ["none", "snappy", "lz4"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_damaged_pages_are_read_or_refused_and_nothing_else(compression, version, tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(table(900), path, compression=compression, data_page_version=version, data_page_size=1500)
    program = """
        import sys
        import numpy as np
        import pyarrow.parquet as pq
        from katamuki.data.parts import UnknownPageError
        from katamuki.problem.pages import doubles
        path = sys.argv[1]
        body, metadata = open(path, "rb").read(), pq.ParquetFile(path).metadata
        columns = [metadata.row_group(0).column(j) for j in range(3)]
        places = [min(one.data_page_offset, one.dictionary_page_offset or one.data_page_offset) for one in columns]
        draw, ended = np.random.default_rng(3), {"read": 0, "refused": 0}
        for k in range(250):
            damaged = bytearray(body)
            near = places[k % 3] + (0 if k % 2 else draw.integers(0, columns[k % 3].total_compressed_size))
            for at in near + draw.integers(0, 40, draw.integers(1, 4)):
                damaged[min(at, len(body) - 1)] = draw.choice([0, 1, 127, 128, 255, draw.integers(256)])
            if k % 25 == 0:
                damaged = damaged[: draw.integers(len(body))]
            open(path, "wb").write(damaged)
            try:
                for one in doubles(path, metadata, 0, ["own", "repeats", "one"], 400):
                    assert [len(column) for column in one] in ([400] * 3, [100] * 3)
                ended["read"] += 1
            except UnknownPageError:
                ended["refused"] += 1
        print(ended["read"], ended["refused"])
    """
    seen, refused = map(int, apart(program, str(path)).split())
    assert seen > 15
    assert refused > 15


def test_a_page_that_unpacks_to_less_than_it_says_is_refused(tmp_path):
    """It used to be read to its end, where nobody had written anything."""
    path = tmp_path / "rows.parquet"
    for compression in ("snappy", "lz4", "brotli", "gzip"):
        pq.write_table(pa.table({"x": np.zeros(100)}), path, compression=compression, use_dictionary=False)
        metadata, body = pq.ParquetFile(path).metadata, bytearray(path.read_bytes())
        first = metadata.row_group(0).column(0).data_page_offset
        assert body[first + 2] == 0x15  # the field of the size after decompression
        body[first + 3] += 2  # one byte more
        path.write_bytes(body)
        with pytest.raises(UnknownPageError):
            list(doubles(path, metadata, 0, ["x"], 100) or ())

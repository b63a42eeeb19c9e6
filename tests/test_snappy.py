"""Snappy's elements are unpacked as its own library does, and no bytes whatever lead beside the room for a page."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fences import Fenced
from katamuki.backends.native import address_of, function
from katamuki.problem.snappy import SPARE, unpack

CODEC = pa.Codec("snappy")
BESIDE = 5  # numbers before and behind what is unpacked


@function("int64(int64*, int64, int64, int64*, int64, int64)")
def unpack_pass(words, at, last, out, first, size):
    return unpack(words, at, last, out, first, size)


def words_of(body: bytes, place: int) -> np.ndarray:
    """Whole numbers that hold some bytes from a place on, and no more than may be read."""
    words = np.full((place + len(body) + SPARE) // 8, -1)
    words.view(np.uint8)[place : place + len(body)] = np.frombuffer(body, np.uint8)
    return words


def unpacked(body: bytes, size: int, place: int = 3, first: int = 0) -> bytes | None:
    """What our own unpacking makes of a body, compiled; nothing beside its room is written to."""
    words = words_of(body, place)
    out = np.full(2 * BESIDE + (first + size + SPARE) // 8, 77)
    status = unpack_pass(address_of(words), place, place + len(body), address_of(out) + 8 * BESIDE, first, size)
    assert set(out[:BESIDE]) | set(out[-BESIDE:]) == {77}
    found = out.view(np.uint8)[8 * BESIDE :]
    assert found[: first & -8].tobytes() == np.full(first // 8, 77).tobytes()
    return found[first : first + size].tobytes() if status == 0 else None


def fenced(body: bytes, size: int, place: int = 3, first: int = 0) -> bytes | None:
    """The same as plain Python, where every number that is read or written is looked at."""
    out = Fenced([0] * ((first + size + SPARE) // 8))
    status = unpack(Fenced(words_of(body, place).tolist()), place, place + len(body), out, first, size)
    written = np.array(out.numbers, np.int64).view(np.uint8)
    return written[first : first + size].tobytes() if status == 0 else None


def theirs(body: bytes, size: int) -> bytes | None:
    """What Snappy's own library makes of it."""
    try:
        return CODEC.decompress(body, decompressed_size=size, asbytes=True)
    except (OSError, pa.ArrowException):
        return None


def columns() -> dict[str, np.ndarray]:
    """Columns that pack badly, well, and in every way between."""
    draw = np.random.default_rng(4)
    return {
        "own": draw.normal(size=9000),
        "single": draw.normal(size=3000).astype(np.float32).astype(float),
        "whole": draw.integers(0, 300, 3000).astype(float),
        "steps": np.arange(3000) * 0.01,
        "one": np.full(3000, 2.5),
        "waves": np.tile(draw.normal(size=20), 150),
        "none": np.zeros(0),
    }


@pytest.mark.parametrize("name", columns())
def test_columns_are_unpacked_wherever_they_stand(name):
    whole = b"\x02\x00\x00\x00\x09\x01" + columns()[name].tobytes()
    body = CODEC.compress(whole, asbytes=True)
    for place in range(9):
        for first in (0, 5, 8, 13):
            assert unpacked(body, len(whole), place, first) == whole


def elements() -> st.SearchStrategy[bytes]:
    """Elements as the format has them, of all kinds and lengths, most of which fit together."""
    literal = st.binary(min_size=1, max_size=90).map(
        lambda raw: bytes([len(raw) - 1 << 2]) + raw if len(raw) <= 60 else bytes([240, len(raw) - 1]) + raw
    )
    wide = st.binary(min_size=1, max_size=9).map(lambda raw: bytes([252]) + (len(raw) - 1).to_bytes(4, "little") + raw)
    near = st.tuples(st.integers(4, 11), st.integers(1, 40)).map(lambda one: bytes([one[0] - 4 << 2 | 1, one[1]]))
    far = st.tuples(st.integers(1, 64), st.integers(1, 90)).map(lambda one: bytes([one[0] - 1 << 2 | 2, one[1], 0]))
    four = st.tuples(st.integers(1, 64), st.integers(1, 30)).map(
        lambda one: bytes([one[0] - 1 << 2 | 3, one[1], 0, 0, 0])
    )
    parts = st.lists(st.one_of(literal, wide, near, far, four), max_size=12)
    return st.tuples(st.binary(min_size=40, max_size=60), parts).map(
        lambda one: bytes([len(one[0]) - 1 << 2]) + one[0] + b"".join(one[1])
    )


def length_of(body: bytes) -> int:
    """How many bytes elements make, if all is well with them."""
    at = made = 0
    while at < len(body):
        kind, count = body[at] & 3, body[at] >> 2
        if kind == 0:
            more = max(count - 59, 0)
            count = int.from_bytes(body[at + 1 : at + 1 + more], "little") if more else count
            at, made = at + 1 + more + count + 1, made + count + 1
        else:
            at, made = at + (2, 3, 5)[kind - 1], made + ((count & 7) + 4 if kind == 1 else count + 1)
    return made


def headed(body: bytes) -> tuple[bytes, int]:
    """Elements behind the length that they make."""
    size = length_of(body)
    return bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14]), size


@settings(deadline=None)
@given(elements(), st.integers(0, 8), st.integers(0, 9))
def test_elements_of_all_kinds_make_what_the_library_makes_of_them(made, place, first):
    head, size = headed(made)
    wanted = theirs(head + made, size)
    assert unpacked(head + made, size, place, first) == wanted
    assert fenced(head + made, size, place, first) == wanted


@settings(deadline=None, max_examples=300)
@given(elements(), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=4), st.integers(0, 60))
def test_damaged_bodies_are_refused_where_the_library_refuses_them(made, damage, cut):
    head, size = headed(made)
    body = bytearray(head + made)
    for at, byte in damage:
        body[at % len(body)] = byte
    body = bytes(body[: len(body) - cut])
    found = unpacked(body, size)
    assert found == fenced(body, size)
    if body[:3] == head or found is not None:  # else it is the length that is damaged: they unpack to another one
        assert found == theirs(body, size)


@given(st.binary(max_size=80), st.integers(0, 120))
def test_no_bytes_whatever_lead_beside_the_room(body, size):
    assert unpacked(body, size) == fenced(body, size)


def test_another_size_than_is_told_is_refused():
    whole = np.arange(50.0).tobytes()
    body = CODEC.compress(whole, asbytes=True)
    assert unpacked(body, len(whole)) == whole
    for size in (0, len(whole) - 8, len(whole) + 8, len(whole) + (1 << 14)):
        assert unpacked(body, size) is None
    assert unpacked(body + b"\x00\x41", len(whole)) is None  # an element too many
    assert unpacked(body[:-1], len(whole)) is None
    assert unpacked(b"", 0) is None
    assert unpacked(b"\xff\xff\xff\xff\xff\x7f", 0) is None


def test_a_fence_is_one():
    words = Fenced([1, 2, 3], 1)
    assert (words[-1], words[1], words[1:][0]) == (1, 3, 3)
    for at in (-2, 2):
        with pytest.raises(AssertionError):
            words[at]
        with pytest.raises(AssertionError):
            words[at] = 0

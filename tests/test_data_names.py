"""Finding a column's name, and the nearest to one that is not there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from katamuki.data import nearest
from katamuki.data.names import distance, printable


def test_the_nearest_name_is_found_and_a_far_one_is_not():
    assert nearest("tutorail", ["x", "tutorial"]) == "tutorial"
    assert nearest("rate", ["Temp", "Rate"]) == "Rate"
    assert nearest("x", ["y", "z"]) is None
    assert nearest("temperature", ["pressure"]) is None


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_the_edit_distance_is_a_distance(a, b):
    d = distance(a, b, 10)
    assert d == distance(b, a, 10)
    assert (d == 0) == (a == b)
    assert abs(len(a) - len(b)) <= d <= max(len(a), len(b))
    assert distance(a, b, 2) == min(d, 3)


def test_what_an_error_shows_is_printable():
    assert printable("café 傾き") == "café 傾き"
    assert printable("a\x1b[31m\0\ud800\udcb5") == r"a\x1b[31m\x00\ud800\xb5"

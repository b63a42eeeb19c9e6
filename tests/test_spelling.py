"""The word most like a mistyped one, and how far words are apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from katamuki.spelling import distance, nearest


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


@given(st.text("abc", max_size=8), st.text("abc", max_size=8))
def test_the_edit_distance_is_its_textbooks_with_swaps(one: str, other: str) -> None:
    # the stranger: the definition of Wagner and Fischer (1974) as a full table, and a swap as one edit
    table = [[max(i, j) if 0 in (i, j) else 0 for j in range(len(other) + 1)] for i in range(len(one) + 1)]
    for i in range(1, len(one) + 1):
        for j in range(1, len(other) + 1):
            differ = one[i - 1] != other[j - 1]
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + differ)
            if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    assert distance(one, other, 8) == table[-1][-1]


def test_the_first_of_equally_near_words_is_taken_and_a_limit_holds():
    assert nearest("cat", ["bat", "hat"], 1) == "bat"
    assert nearest("ab", ["ac"]) is None
    assert nearest("ab", ["ac"], 1) == "ac"
    assert nearest("abcdefgh", ["abcdefxy"], 1) is None

"""Lines of a report: where Japanese may break, and that nothing is lost."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from katamuki.report.layout import noted, wrapped
from katamuki.report.numbers import width

WORDS = st.sampled_from(
    ["損失", "は", "1.25", "ステップ", "です。", "（", "lr", "）", "が", "下がる", "、", "「", "答え", "」", "ー"]
)


@given(st.lists(WORDS, max_size=40), st.integers(8, 60))
def test_a_japanese_line_breaks_by_the_rules_and_loses_nothing(words: list[str], columns: int) -> None:
    text = "".join(words)
    lines = wrapped(text, columns)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    for line in lines[1:]:
        assert line[:1] not in set("、。）」ー")
    for line in lines[:-1]:
        assert line[-1:] not in set("（「")
    marks = len(re.findall("[、。（）「」ー]", text))  # a mark may not part from its neighbour, however narrow the line
    longest = max(map(len, re.findall(r"[!-~]+", text)), default=0)  # nor is a Latin word parted
    assert all(width(line) <= max(columns, longest) + 2 * marks for line in lines)


def test_particles_stay_with_their_words_and_counters_with_their_numbers() -> None:
    assert wrapped("損失は最小より高いところに留まります。", 16) == ["損失は最小より", "高いところに", "留まります。"]
    assert wrapped("求められた 6000 ステップが", 14) == ["求められた", "6000", "ステップが"]
    assert wrapped("求められた 6000 ステップが", 16) == ["求められた", "6000 ステップが"]
    assert wrapped("one two three", 7) == ["one two", "three"]


def test_a_phrase_wider_than_a_line_is_broken_anywhere() -> None:
    assert wrapped("平均二乗誤差関数", 8) == ["平均二乗", "誤差関数"]


def test_a_line_without_a_note_stays_alone_however_long() -> None:
    assert noted(["a" * 90, "b"], ["", "x"]) == ["a" * 90, "b     x"]

"""Names as errors show them."""

from __future__ import annotations

from katamuki.data.names import printable


def test_what_an_error_shows_is_printable():
    assert printable("café 傾き") == "café 傾き"
    assert printable("a\x1b[31m\0\ud800\udcb5") == r"a\x1b[31m\x00\ud800\xb5"

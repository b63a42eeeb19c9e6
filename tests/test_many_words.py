"""The summary of many fits where keys and names are hostile or long, and what is asked for does not exist."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import katamuki as km
from katamuki.report import many_rows
from katamuki.report.numbers import width

T = np.arange(6.0)
KEYS = ["日本語\n改行\x1b[31m", "k" * 100, "plain", "A"]


@pytest.fixture
def many() -> km.Many:
    y = np.random.default_rng(1).normal(size=(len(KEYS), len(T)))
    y[:3, 0] = np.nan
    return km.fit_many(
        "y ~ a + b*t", {"g": np.repeat(KEYS, len(T)), "t": np.tile(T, len(KEYS)), "y": y.ravel()}, by="g"
    )


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_keys_break_no_line_and_reach_no_terminal(many: km.Many, lang: str) -> None:
    """This used to send an escape to the terminal, and to make lines of 200 columns."""
    lines = [*many.text(lang).split("\n"), *many_rows.first_rows(many, lang)]
    assert all(line.isprintable() for line in lines)
    assert max(map(width, lines)) <= 80
    assert "日本語\\n改行\\x1b[31m" in "\n".join(lines)
    assert "kkk…" in "\n".join(lines)


def test_one_good_curve_is_one(many: km.Many) -> None:
    assert many.counts["good"] == 1
    assert "over the one good curve\n" in many.text()


@pytest.mark.parametrize(
    ("seconds", "en", "ja"),
    [
        (2.8, "1.4 curves a second", "毎秒 1.4 本"),
        (4.0, "   1 curve a second", "毎秒 1 本"),
        (40.0, "0.1 curves a second", "毎秒 0.1 本"),
        (0.403, "9.9 curves a second", "毎秒 9.9 本"),
        (0.401, "10 curves a second", "毎秒 10 本"),
        (1e-4, "40 000 curves a second", "毎秒 40 000 本"),
    ],
)
def test_a_low_speed_is_no_rounded_one(
    many: km.Many, seconds: float, en: str, ja: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "seconds", seconds)
    assert f"{en}\n" in many.text()
    assert f"{ja}\n" in many.text("ja")


def test_japanese_has_no_foreign_comma(many: km.Many) -> None:
    assert "曲線 4 本、" in many.text("ja")
    assert "4 curves, " in many.text()


def test_json_has_no_nan() -> None:
    """This used to print NaN, which is no JSON."""
    keys = pa.array([float("nan"), float("inf"), 1.0])
    many = km.fit_many("y ~ a + b*t", pa.table({"g": keys, "t": [1.0] * 3, "y": [1.0] * 3}), by="g")
    told: Any = json.loads(json.dumps(many.to_dict(), allow_nan=False))
    assert told["codes"][0]["keys"] == [[None], [None], [1.0]]


def test_a_column_that_is_not_there_is_an_error_with_the_names(many: km.Many) -> None:
    """This used to be a KeyError of pyarrow."""
    with pytest.raises(km.DataError, match="no column zz") as caught:
        many.column("zz")
    assert "_verdict" in str(caught.value)

"""The first pass over files counts, looks at every value and sums at once; whatever is not finite is named as ever."""

from __future__ import annotations

import numpy as np
import pytest

import katamuki as km
from katamuki.problem import streamed_first
from streaming import rows, shared, streamed, write

LINE = "y ~ a*x + b"


@pytest.fixture
def summed(monkeypatch):
    """What the quick first pass gave, each time it was asked."""
    found, first = [], streamed_first.first_sums

    def spied(*asked):
        found.append(first(*asked))
        return found[-1]

    monkeypatch.setattr("katamuki.problem.streamed.first_sums", spied)
    return found


@pytest.mark.parametrize("group", [300, 4000])
@pytest.mark.parametrize("formula", [LINE, "y ~ a*exp(-x) + b", "y ~ a*exp(-b*x) + c"])
def test_totals_and_answer_are_those_of_memory(formula, group, tmp_path, summed):
    data = rows(8000)
    found, whole = streamed(formula, write(tmp_path / "rows.parquet", data, group)), km.fit(formula, data)
    assert [one is not None for one in summed if one is not None or "b*x" not in formula] == [True] * len(summed)
    assert shared(found.solution.tss, whole.solution.tss) >= 12
    assert shared(found.rss, whole.rss) >= 12
    assert (found.n, found.data.dropped, found.data.filtered) == (8000, 0, 0)
    assert found.index is None or found.index.max() < 8000


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["x", "y"])
def test_a_value_that_a_sum_would_hide_is_named(name, value, tmp_path, summed):
    """exp(−∞) is 0, so that the sums of ``exp(-x)`` alone would not show an infinite x."""
    data = rows(40_000)
    data[name][37_654] = value  # not at the beginning of a row group
    with pytest.raises(km.DataError, match="37655") as raised:
        streamed("y ~ a*exp(-x) + b", write(tmp_path / "rows.parquet", data, group=2000))
    assert raised.value.code == "E-MISSING"
    assert summed == [None]


def test_rows_that_are_dropped_weighted_or_left_out_take_the_careful_way(tmp_path, summed):
    path = write(tmp_path / "rows.parquet", rows(8000), group=400)
    for options in ({"missing": "drop"}, {"sigma": "s", "sigma_is": "known"}, {"where": "x > 1"}):
        streamed(LINE, path, **options)
    assert summed == [None] * len(summed)
    assert len(summed) >= 3


def test_the_sample_of_a_closed_form_is_one_of_all_rows(tmp_path):
    data = rows(40_000)
    found = streamed(LINE, write(tmp_path / "rows.parquet", data, 500))
    assert found.data.passes == 1
    assert found.data.sample >= 700
    # A row in 500 is drawn: of eighty row groups each has some, and not only at its beginning.
    assert len(set((found.index // 500).tolist())) > 70
    assert np.ptp(found.index % 500) > 450
    np.testing.assert_array_equal(found.columns["x"], data["x"][found.index])


def test_a_formula_whose_values_overflow_at_the_start_takes_the_careful_way(tmp_path, summed):
    data = rows(8000)
    data["x"] = data["x"] * 200.0
    with pytest.raises(km.KatamukiError) as raised:
        streamed(
            "y ~ a*exp(b*x) + c", write(tmp_path / "rows.parquet", data), start={"a": 1.0, "b": 1.0, "c": 0.0}, starts=1
        )
    assert raised.value.code != "E-MISSING"

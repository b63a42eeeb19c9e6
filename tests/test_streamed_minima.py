"""Fits of rows that pass by, begun at samples and starts that lead elsewhere: the answer is that of all rows."""

from __future__ import annotations

import numpy as np
import pytest

import katamuki as km
from streaming import alike, streamed, write


def test_a_start_that_leads_to_a_worse_minimum_is_compared_with_the_best(tmp_path):
    """The best minimum of the sample was thrown away, and its loss given to the start's: 2.1 was said to be 4.2."""
    draw = np.random.default_rng(1)
    x = draw.uniform(0.0, 10.0, 40_000)
    data = {"x": x, "y": 2.0 * np.sin(3.0 * x + 0.5) + 0.3 * draw.standard_normal(len(x))}
    path = tmp_path / "waves.parquet"
    write(path, data)
    start = {"a": 1.0, "b": 5.0, "c": 0.0}
    here, there = km.fit("y ~ a*sin(b*x+c)", data, start=start), streamed("y ~ a*sin(b*x+c)", path, start=start)
    alike(here, there)
    assert {"BETTER_MINIMUM", "START_WAS_KEPT"} <= {one.code for one in there.findings}
    assert abs(there.minima[0].params["b"]) == pytest.approx(3.0, abs=0.01)
    assert there.minima[0].loss == pytest.approx(here.minima[0].loss, rel=1e-9)
    assert there.solution.search.given.loss == pytest.approx(there.loss, rel=1e-12)
    assert len(there.minima) > 2
    for one in there.minima:
        a, b, c = (one.params[name] for name in "abc")
        assert one.loss == pytest.approx(np.mean((data["y"] - a * np.sin(b * x + c)) ** 2), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_row_groups_that_are_sorted_make_no_sample_of_their_beginnings(tmp_path, seed):
    """All beginnings lie at the left end: two fits of six ended without an answer, others took a thousand passes."""
    draw = np.random.default_rng(seed)
    x = np.sort(draw.uniform(0.0, 4.0, (20, 8000)), axis=1).ravel()
    peak = 5.0 * np.exp(-0.5 * ((x - 2.0) / 0.7) ** 2) + 1.0
    data = {"x": x, "y": peak + draw.normal(0.0, 0.5, len(x)), "s": np.where(x < 2.0, 0.4, 0.6)}
    path = tmp_path / "sorted.parquet"
    write(path, data, 8000)
    for options in ({}, {"sigma": "s", "sigma_is": "relative"}):
        here = km.fit("y ~ A*exp(-0.5*((x-m)/s0)**2)+c", data, **options)
        there = streamed("y ~ A*exp(-0.5*((x-m)/s0)**2)+c", path, **options)
        alike(here, there)
        assert there.data.passes < 14
        assert np.ptp(there.columns["x"]) > 3.9


def test_a_start_whose_descent_stands_on_an_edge_of_the_sample_led_somewhere(tmp_path):
    """It was said to have led nowhere, and the same loss elsewhere to be better."""
    draw = np.random.default_rng(3)
    x = np.rint(draw.uniform(0.0, 10.0, 40_000))
    data = {"x": x, "y": 1.0 - 2.0 * np.maximum(x - 5.0, 0.0) + 0.2 * draw.standard_normal(len(x))}
    path = write(tmp_path / "stick.parquet", data)
    for start in (4.0, 5.5):
        fit = streamed("y ~ a + b*max(x - c, 0)", path, start={"c": start})
        assert not {"BETTER_MINIMUM", "START_WAS_KEPT"} & {one.code for one in fit.findings}
        assert fit.params["c"] == pytest.approx(5.0, abs=0.05)

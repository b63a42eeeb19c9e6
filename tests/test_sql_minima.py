"""A search on the means of cells: its minima are judged by the rows, which the database has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import katamuki as km
from queried import BASES, connection, table

SINE = "y ~ a*sin(b*x+c)"


def misfit(n: int = 3000) -> dict[str, np.ndarray]:
    """Rows of a decay, to which a sine is fitted: minima abound."""
    draw = np.random.default_rng(4)
    x = draw.uniform(0.0, 4.0, n)
    return {"x": x, "y": 2.5 * np.exp(-1.3 * x) + 0.5 + draw.normal(scale=0.05, size=n), "s": draw.uniform(0.5, 2.0, n)}


def loss_of(data: dict[str, np.ndarray], params: dict[str, float], w: Any = 1.0) -> float:
    curve = params["a"] * np.sin(params["b"] * data["x"] + params["c"])
    return float(np.mean(w * (data["y"] - curve) ** 2))


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(
    ("options", "power", "scale"),
    [
        ({}, 0, 1.0),
        ({"sigma": "s", "sigma_is": "known"}, -2, 1.0),
        ({"weights": "s"}, 1, 1.0),
        ({"sigma": 0.5, "sigma_is": "relative"}, 0, 4.0),
    ],
    ids=range(4),
)
def test_every_minimum_has_the_loss_of_the_rows(base: str, options: dict[str, Any], power: int, scale: float) -> None:
    """This used to be the loss of the cells: here 40 times that of the rows, so that a worse minimum won."""
    data = misfit()
    fit = km.fit(SINE, km.sql(f"SELECT x, y, s FROM {table(base, data)}", connection(base)), **options)
    assert fit.minima is not None
    assert len(fit.minima) > 1
    w = scale * data["s"] ** power
    for one in fit.minima:
        assert one.loss == pytest.approx(loss_of(data, one.params, w), rel=1e-9)
    assert fit.loss == pytest.approx(min(one.loss for one in fit.minima), rel=1e-12)
    assert fit.loss == pytest.approx(km.fit(SINE, data, **options).loss, rel=1e-9)


def test_means_alone_would_choose_another_minimum() -> None:
    """So the test above can fail: on the cells a fast sine is lower, and on the rows it is not."""
    data = misfit()
    fit = km.fit(SINE, km.sql(f"SELECT x, y FROM {table('duckdb', data)}", connection("duckdb")))
    fast = next(one for one in fit.minima if one.params["b"] > 50.0)
    sample = fit.minima[0].params
    cells = np.floor(data["x"] / 4.0 * 60).astype(int)
    count = np.bincount(cells)
    x, y = (np.bincount(cells, data[name]) / count for name in ("x", "y"))
    means = {"x": x, "y": y}
    free = km.fit("y ~ a*sin(b*x+c)", means, start=fast.params, starts=1, weights=count)
    assert loss_of(means, free.params, count) < loss_of(means, sample, count)
    assert loss_of(data, free.params) > loss_of(data, sample)


def test_a_start_of_the_users_stays_the_answer_and_the_better_minimum_is_told() -> None:
    data = misfit()
    start = {"a": 0.3, "b": 5.4, "c": 0.2}
    fit = km.fit(SINE, km.sql(f"SELECT x, y FROM {table('duckdb', data)}", connection("duckdb")), start=start)
    wanted = km.fit(SINE, data, start=start)
    assert fit.params == pytest.approx(wanted.params, rel=1e-8)
    assert {one.code for one in fit.findings} >= {"BETTER_MINIMUM", "START_WAS_KEPT"}
    assert fit.solution.search.given.loss == pytest.approx(fit.loss, rel=1e-12)
    assert fit.minima[0].loss == pytest.approx(wanted.minima[0].loss, rel=1e-9)

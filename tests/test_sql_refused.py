"""What a query's rows cannot give is refused in true words, and a query that is none is shown where it stops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import katamuki as km
from katamuki import messages
from queried import connection, table


def line(n: int = 2000) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(11)
    x = draw.uniform(0.0, 4.0, n)
    return {"x": x, "y": 3.0 - 2.0 * x + 0.1 * draw.normal(size=n)}


def rows(**options: Any) -> Any:
    return km.sql(f"SELECT x, y FROM {table('duckdb', line())}", connection("duckdb"), **options)


def test_columns_that_did_not_travel_are_not_shown() -> None:
    """This used to give two rows that are none: the least y beside the least x, and the largest beside the largest."""
    fit = km.fit("y ~ a*x + b", rows())
    with pytest.raises(km.DataError, match=r"fit\.columns") as caught:
        _ = fit.columns
    assert caught.value.code == "E-ROWS"
    assert fit.predict({"x": [9.0]}, interval="new").findings[0].code == "EXTRAPOLATES"
    travelled = km.fit("y ~ a*x + b", rows(sample=100))
    assert len(travelled.columns["y"]) == 100
    again = km.fit("y ~ a*x + b", travelled.columns)
    assert again.params["a"] == pytest.approx(-2.0, abs=0.1)


def test_each_picture_is_called_by_its_name() -> None:
    """This used to call the picture of the fit one of the run."""
    fit = km.fit("y ~ a*exp(b*x) + c", rows())
    with pytest.raises(km.DataError, match="picture of the fit"):
        fit.plot()
    with pytest.raises(km.DataError, match="picture of the run"):
        fit.plot(what="surface")


def test_a_chance_that_is_next_to_nothing_is_said_to_be_less_than_that() -> None:
    """This used to say (p = 0), or (p = 5e−324)."""
    draw = np.random.default_rng(5)
    x = draw.uniform(0.0, 4.0, 20_000)
    name = table("duckdb", {"x": x, "y": x**2 + 0.01 * draw.normal(size=len(x))})
    fit = km.fit("y ~ a*x + b", km.sql(f"SELECT x, y FROM {name}", connection("duckdb")))
    (runs,) = (one for one in fit.findings if one.code == "RUNS")
    assert runs.values["p"] < 1e-99
    assert "p < 1e-99" in runs.text
    assert "p < 1e−99" in str(fit)
    assert "p < 1e−99" in fit.text(lang="ja")
    assert messages.sentence("finding.RUNS.cells", cells=9, ratio=3.0, p=0.0123).endswith("(p = 0.01)")
    assert "(p = nan)" in messages.sentence("finding.RUNS.cells", cells=9, ratio=3.0, p=float("nan"))

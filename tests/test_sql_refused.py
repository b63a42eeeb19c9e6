"""What a query's rows cannot give is refused in true words, and a query that is none is shown where it stops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import katamuki as km
from katamuki import messages
from queried import BASES, connection, table


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


def test_rows_of_a_database_are_not_said_to_be_larger_than_memory() -> None:
    """This used to advise a larger max_memory=."""
    with pytest.raises(km.DataError, match="in a database") as caught:
        km.race("y ~ a*x + b", rows())
    assert caught.value.code == "E-ROWS"
    assert "max_memory" not in str(caught.value)


@pytest.mark.parametrize(
    ("query", "stopped"),
    [
        ("selct x from runs", 'at "from", in line 1'),
        ("select x,\n y from runs where x >> > 3 (", "in line 2"),
        ("select 'a from runs", "not closed"),
    ],
)
@pytest.mark.parametrize("base", BASES)
def test_a_query_that_is_none_is_shown_where_it_stops_without_colours(base: str, query: str, stopped: str) -> None:
    """This used to hold the codes of a terminal's underline, and to advise a view whatever was the matter."""
    with pytest.raises(km.DataError) as caught:
        km.sql(query, connection(base))
    said = str(caught.value)
    assert (caught.value.code, stopped in said, "x1b" in said, "\x1b" in said) == ("E-QUERY", True, False, False)
    assert "correct it" in said


@pytest.mark.parametrize("base", BASES)
def test_a_name_that_is_there_twice_is_no_name_of_one_of_them(base: str) -> None:
    """This used to take the first of them without a word, in DuckDB and SQLite."""
    name = table(base, line())
    there = connection(base)
    doubled = km.sql(f"SELECT x, y AS x, y, 2*y AS z FROM {name}", there)
    assert doubled.names == ("x", "x", "y", "z")
    with pytest.raises(km.FormulaError, match="two columns") as caught:
        km.fit("y ~ a*x + b", doubled)
    assert caught.value.code == "E-COLUMN"
    assert km.fit("z ~ a*y", doubled).params["a"] == pytest.approx(2.0)  # neither is asked for
    odd = "x_1" if base == "duckdb" else "x:1"
    own = km.sql(f'SELECT x, y AS "{odd}" FROM {name}', there)
    assert own.names == ("x", odd)
    assert km.fit(f"`{odd}` ~ a*x + b", own).params["a"] == pytest.approx(-2.0, abs=0.1)

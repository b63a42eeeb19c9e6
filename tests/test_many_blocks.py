"""Blocks of wide arrays of which some curves lack rows: neither its neighbours nor the block's size change a bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import katamuki as km
from katamuki.api import many_running
from katamuki.api.many_blocks import spread
from paces import Fixed
from wells import DECAY, TIMES, decays

LINE = "y ~ a + b*t"


def wide(count: int = 60) -> dict[str, Any]:
    y = decays(count)
    y[4, 2] = y[17, 0] = y[18, 5] = np.nan
    y[33] = np.nan
    return {"t": TIMES, "y": y}


@pytest.mark.parametrize("formula", [DECAY, LINE])
def test_blocks_change_no_bit_where_curves_lack_rows(formula: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """This used to fit a curve by another road when a neighbour in its block had lost a row."""
    tables = []
    for curves in (1, 7, 1000):
        monkeypatch.setattr(many_running, "Pace", lambda _, curves=curves: Fixed(curves))
        tables.append(km.fit_many(formula, wide(), missing="drop", check=0).table)
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
    assert tables[0].column("_n").to_pylist()[17:19] == [7, 7]
    assert tables[0].column("_code").to_pylist()[33] == "EMPTY"


@pytest.mark.parametrize("formula", [DECAY, LINE])
def test_whole_curves_are_what_they_are_without_the_others(formula: str) -> None:
    given = wide()
    whole = np.isfinite(given["y"]).all(axis=1)
    alone = km.fit_many(formula, {"t": TIMES, "y": given["y"][whole]}, check=0).table
    among = km.fit_many(formula, given, missing="drop", check=0).table.filter(whole)
    assert among.drop_columns(["curve"]).equals(alone.drop_columns(["curve"]))


def test_curves_that_lack_rows_are_fitted_with_the_others_of_theirs() -> None:
    given = wide()
    many = km.fit_many(DECAY, given, missing="drop", check=60)
    assert many.checked.of("FAIL") == ()
    left = np.isfinite(given["y"][17])
    single = km.fit(DECAY, {"t": TIMES[left], "y": given["y"][17][left]})
    assert many.column("b")[17].as_py() == pytest.approx(single.params["b"], rel=1e-10)
    assert many.data.dropped == int(np.isnan(given["y"]).sum())


def test_a_share_of_a_block_is_its_rows() -> None:
    from katamuki.api.many_blocks import chosen
    from katamuki.api.many_rows import Block

    y = np.arange(12.0)
    block = Block(0, (), np.arange(4) * 4, {"t": np.arange(4.0), "y": y}, None, frozenset({"t"}))
    found = spread(chosen(block, np.array([True, False, True])))
    assert found.arrays["y"].tolist() == [0, 1, 2, 3, 8, 9, 10, 11]
    assert found.arrays["t"].tolist() == [0, 1, 2, 3] * 2

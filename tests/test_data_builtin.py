"""The sets that ship are Anscombe's, by the figures that he published."""

from __future__ import annotations

import numpy as np
import pytest

from katamuki.data import Table, datasets
from katamuki.errors import DataError


def test_the_tutorial_and_its_kin_are_those_of_anscombe():
    assert datasets() == ("anscombe2", "anscombe3", "anscombe4", "tutorial")
    for name in datasets():
        data = datasets(name)
        x, y = data["x"], data["y"]
        assert np.mean(x) == 9.0
        assert np.var(x, ddof=1) == 11.0
        assert round(np.mean(y), 2) == 7.5
        assert abs(np.var(y, ddof=1) - 4.125) < 0.003
        assert round(np.corrcoef(x, y)[0, 1], 2) == 0.82
        slope, intercept = np.polyfit(x, y, 1)
        assert (round(slope, 3), round(intercept, 2)) == (0.5, 3.0)
        assert data.source.kind == "dataset"
        assert data.source.name == f"{name}.csv"
    tutorial = datasets("tutorial")
    assert isinstance(tutorial, Table)
    assert dict(tutorial).keys() == {"x", "y"}
    assert tutorial["y"].tolist() == [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68]
    with pytest.raises(KeyError):
        tutorial["z"]
    with pytest.raises(DataError, match=r'km\.datasets\("tutorial"\)'):
        datasets("tutorail")

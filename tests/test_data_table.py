"""A table is a mapping of columns, and prints its first rows."""

from __future__ import annotations

import pandas as pd

from katamuki.data import datasets, rows


def test_a_table_prints_its_first_rows():
    lines = repr(datasets("tutorial")).splitlines()
    assert lines[0] == "tutorial.csv: 11 rows (dataset); columns x, y"
    assert [line.split() for line in lines[1:]] == [
        ["x", "y"], ["10", "8.04"], ["8", "6.95"], ["13", "7.58"], ["9", "8.81"], ["11", "8.33"], ["…"],
    ]  # fmt: skip
    assert repr(rows({"x": [1.0], "y": None})).startswith("data: 1 rows")
    assert "a" in repr(rows(pd.DataFrame({"k": ["a", None]})))

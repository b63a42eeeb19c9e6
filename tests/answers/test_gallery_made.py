"""The gallery's files are what ``tools/gallery.py`` makes: the same rows again, and the same answer from near by.

The search itself, minutes long, is not repeated.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gallery import FOLDER, names, problem

TOOLS = Path(__file__).parents[2] / "tools"


def tool(name: str) -> Any:
    """A file of tools/, no part of the package; the maker is called like the reader, and gets a name of its own."""
    sys.path.insert(0, str(TOOLS))
    try:
        if name != "gallery":
            return importlib.import_module(name)
        spec = importlib.util.spec_from_file_location("gallery_maker", TOOLS / "gallery.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(TOOLS))


MAKER = tool("gallery")
SOLVER = tool("gallery_solver")
ROWS = {row.name: (group, row) for group, rows in MAKER.GROUPS.items() for row in rows}


def test_every_row_has_a_file_and_every_file_a_row() -> None:
    assert sorted(ROWS) == list(names())


@pytest.mark.parametrize("name", names())
def test_the_same_seed_draws_the_same_rows(name: str) -> None:
    group, row = ROWS[name]
    p = problem(name)
    texts = row.columns if p.published else MAKER.drawn(row)
    assert list(texts) == list(p.columns)
    for column, cells in texts.items():
        np.testing.assert_allclose(
            MAKER.numbers(cells), p.columns[column], rtol=2e-5
        )  # another libm, another last digit
    assert (group, row.formula, row.source) == (p.group, p.formula, p.source)


@pytest.mark.parametrize("name", names())
def test_the_polish_comes_back_to_the_answer(name: str) -> None:
    p = problem(name)
    model = SOLVER.Model(p.formula, p.columns, tuple(p.params), ())
    start = [value + 0.01 * p.stderr[parameter] for parameter, value in p.params.items()]
    assert float(SOLVER.polished(model, start).rss) == pytest.approx(p.rss, rel=1e-10)


@pytest.mark.parametrize("name", names())
def test_the_derivatives_of_the_tool_are_those_of_differences(name: str) -> None:
    p = problem(name)
    model = SOLVER.Model(p.formula, p.columns, tuple(p.params), ())
    point = np.array(list(p.params.values()), dtype=np.longdouble)
    slopes = model.jets(point, np.longdouble)[1]
    for k, error in enumerate(p.stderr.values()):
        step = np.zeros_like(point)
        step[k] = 1e-3 * error
        difference = (model.jets(point + step, np.longdouble)[0] - model.jets(point - step, np.longdouble)[0]) / (
            2 * step[k]
        )
        assert np.max(np.abs(difference - slopes[:, k])) < 1e-3 * np.max(np.abs(slopes[:, k]))


def test_the_makers_share_no_code_with_katamuki() -> None:
    paths = sorted(TOOLS.glob("gallery*.py"))
    assert len(paths) == 5
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            found += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(one.split(".")[0] == "katamuki" for one in found), path


def test_the_files_say_what_the_reader_reads() -> None:
    assert {path.suffix for path in FOLDER.iterdir()} == {".json"}

"""A piece of a Parquet file is the same whoever reads it: our own pages, or pyarrow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import katamuki as km
from katamuki.cluster import reading
from katamuki.cluster.reading import Piece, stamp
from katamuki.data.parts import UnknownPageError
from katamuki.problem.pages import doubles


def file(path: Path, **columns: object) -> Path:
    """Row groups of 3000 rows."""
    pq.write_table(pa.table(columns), path, row_group_size=3000, data_page_size=9000)
    return path


@pytest.mark.parametrize("rows", [700, 1 << 16])
def test_plain_columns_are_those_that_pyarrow_reads(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ROWS", rows)
    draw = np.random.default_rng(7)
    path = file(tmp_path / "rows.parquet", own=draw.normal(size=10_000), few=draw.choice(draw.normal(size=9), 10_000))
    for groups, first, count in (((0,), 0, 3000), ((1, 2, 3), 3000, 7000)):
        piece = Piece(str(path), groups, first, count, stamp(str(path)))
        asked = []

        def spied(*more: object, asked: list[object] = asked) -> object:
            asked.append(more[2])
            return doubles(*more)  # type: ignore[arg-type]

        found, want = piece.read(["few", "own"], spied), piece.read(["few", "own"])  # type: ignore[arg-type]
        assert found.equals(want)
        assert tuple(asked) == groups


def test_what_pages_do_not_tell_pyarrow_does(tmp_path: Path) -> None:
    path = file(tmp_path / "rows.parquet", x=np.arange(4000.0), gap=pa.array([None, 1.0] * 2000), whole=np.arange(4000))
    piece = Piece(str(path), (0, 1), 0, 4000)
    for names in (["x", "gap"], ["whole"], ["x"]):
        assert piece.read(names, doubles).equals(piece.read(names))

    def refused(*_: object) -> None:
        raise UnknownPageError(0)

    assert piece.read(["x"], refused).equals(piece.read(["x"]))  # type: ignore[arg-type]
    wrong = Piece(str(path), (0,), 0, 4000)  # other rows than it said: nothing is left uninitialised
    assert len(wrong.read(["x"], doubles)) == 3000


def test_a_file_that_is_gone_or_changed_says_so(tmp_path: Path) -> None:
    path = file(tmp_path / "rows.parquet", x=np.arange(4000.0))
    before = Piece(str(path), (0,), 0, 3000, (1, 1))
    with pytest.raises(km.DataError) as raised:
        before.read(["x"], doubles)
    assert raised.value.code == "E-CHANGED"
    path.unlink()
    with pytest.raises(km.DataError) as raised:
        before.read(["x"], doubles)
    assert raised.value.code == "E-FILE"

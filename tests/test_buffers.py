"""Arrow columns made of buffers, and read from them, against pyarrow's own ways; a small command imports no pandas."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from katamuki.data.buffers import numbers, texts, values_of

FLOATS = st.lists(st.one_of(st.none(), st.floats()), max_size=40)


@given(FLOATS)
def test_floats_are_those_of_pyarrow(values: list[float | None]) -> None:
    gaps = np.array([one is None for one in values], dtype=bool)
    found = numbers(np.array([0.0 if one is None else one for one in values]), gaps)
    found.validate(full=True)
    assert str(found.to_pylist()) == str(pa.array(values, pa.float64()).to_pylist())
    assert found.null_count == gaps.sum()
    np.testing.assert_array_equal(values_of(found), np.array([np.nan if one is None else one for one in values]))


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "int64", "uint8", "uint64", "float32", "float64"])
def test_kinds_are_kept(kind: str) -> None:
    values = np.arange(10).astype(kind)[::2]
    found = numbers(values)
    assert found.equals(pa.array(values))
    np.testing.assert_array_equal(values_of(found), values)
    assert values_of(found).dtype == values.dtype
    values[1] = 7
    assert numbers(values[:2]).to_pylist() == [0, 7]


@given(st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=6)), max_size=30))
def test_text_is_that_of_pyarrow(values: list[str | None]) -> None:
    found = texts(values)
    found.validate(full=True)
    assert found.equals(pa.array(values, pa.string()))


@given(st.lists(st.one_of(st.none(), st.booleans()), max_size=40), st.integers(0, 20), st.booleans())
def test_slices_pieces_and_truth_values_are_read(values: list[bool | None], begin: int, pieces: bool) -> None:
    flags, whole = pa.array(values, pa.bool_()).slice(begin), pa.array(range(len(values)), pa.int64()).slice(begin)
    column: Any = pa.chunked_array([flags.slice(0, 3), flags.slice(3)]) if pieces else flags
    assert values_of(column).tolist() == [bool(one) for one in values[begin:]]
    assert values_of(column).dtype == bool
    assert values_of(whole).tolist() == list(range(len(values)))[begin:]


def test_nothing_at_all_is_read() -> None:
    assert values_of(pa.chunked_array([], pa.float64())).tolist() == []
    assert values_of(pa.nulls(3, pa.float64())).tolist()[0] != 0.0
    with pytest.raises(ValueError, match="null"):
        values_of(pa.array([1, None]))


def test_a_small_command_does_not_import_pandas(tmp_path: Path) -> None:
    """It used to, a third of a second of it, because pyarrow asks pandas what a list is."""
    pytest.importorskip("pandas")
    rows = [f"w{k},{t},{2.0 * t + k + 0.1 * (-1) ** t}" for k in range(3) for t in range(6)]
    (tmp_path / "d.csv").write_text("\n".join(["well,t,y", *rows]))
    code = "import sys; from katamuki.cli import main; sys.argv = ['katamuki', *sys.argv[1:]]; main(); " \
           "sys.exit('pandas' in sys.modules)"  # fmt: skip
    command = [sys.executable, "-c", code, "many", "y ~ a*t + b", "d.csv", "--by", "well"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "3 curves checked" in done.stdout) == (0, True), done.stdout + done.stderr

"""Data that cannot be read in pieces: each kind is a sentence that names the file, and what to do."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import katamuki as km
from katamuki.data.sources import read as read_data
from katamuki.problem.streamed import StreamedProblem
from streaming import LITTLE, parts, rows, streamed, write

DECAY = "y ~ a*exp(-b*x) + c"


def refused(code: str, model, data, **options) -> str:
    """The words of the error that a fit in pieces raises; both roads where both read the same."""
    with pytest.raises(km.KatamukiError) as caught:
        streamed(model, data, **options)
    assert caught.value.code == code
    assert caught.value.render("ja") != caught.value.render("en")
    return " ".join(str(caught.value).split())


def test_a_file_cut_in_the_middle_is_named(tmp_path):
    pattern = parts(tmp_path / "parts", rows(4000), 4)
    third = tmp_path / "parts" / "part-03.parquet"
    third.write_bytes(third.read_bytes()[: third.stat().st_size // 2])
    assert "part-03.parquet cannot be read" in refused("E-FORMAT", DECAY, pattern)


def test_a_file_whose_pages_are_destroyed_is_named(tmp_path):
    data = {"x": np.repeat(np.arange(400.0), 10), "y": np.repeat(np.arange(400.0) ** 2, 10)}
    folder = tmp_path / "parts"
    pattern = parts(folder, data, 4)
    file = folder / "part-02.parquet"
    pq.write_table(pa.table(data), file, compression="zstd", use_dictionary=False)
    body = bytearray(file.read_bytes())
    for place in range(200, len(body) // 2, 3):
        body[place] ^= 0xFF
    file.write_bytes(body)
    assert "part-02.parquet cannot be read" in refused("E-FORMAT", "y ~ a*x + b", pattern)


def test_a_part_without_a_column_or_with_another_type_is_named(tmp_path):
    data = rows(3500)
    pattern = parts(tmp_path / "parts", data, 7)
    seventh = tmp_path / "parts" / "part-07.parquet"
    write(seventh, {"x": data["x"], "why": data["y"]})
    words = refused("E-SCHEMA", DECAY, pattern)
    assert "part-07.parquet has no column y" in words
    assert "x, why" in words
    write(seventh, {"x": data["x"], "y": [f"{one:g}" for one in data["y"]]})
    words = refused("E-SCHEMA", DECAY, pattern)
    assert "column y holds string in" in words
    assert "part-07.parquet, but double in" in words
    write(seventh, {"x": data["x"][:500].astype(np.float32), "y": np.rint(data["y"][:500]).astype(int)})  # numbers are
    assert streamed(DECAY, pattern).n == 3500
    write(seventh, {"x": data["x"]})
    with pytest.raises(km.DataError, match="part-07"):  # and read whole it is the same error
        km.fit(DECAY, pattern)


def test_columns_that_a_fit_does_not_use_may_differ(tmp_path):
    data = rows(3000)
    pattern = parts(tmp_path / "parts", data, 3)
    write(tmp_path / "parts" / "part-02.parquet", {"y": data["y"], "x": data["x"], "z": ["a"] * 3000})
    assert streamed(DECAY, pattern).n == km.fit(DECAY, pattern).n == 5000


def test_a_column_of_nothing_is_missing_values(tmp_path):
    data = rows(3000)
    pattern = parts(tmp_path / "parts", data, 3)
    write(tmp_path / "parts" / "part-02.parquet", {"x": data["x"][:1000], "y": pa.nulls(1000)})
    words = refused("E-MISSING", DECAY, pattern)
    assert "part-02.parquet: 1000 rows have no value: 1 (y), 2 (y)" in words
    assert "its first row is row 1001 of all files together" in words
    found = streamed(DECAY, pattern, missing="drop")
    assert (found.n, found.data.dropped) == (2000, 1000)
    assert km.fit(DECAY, pattern, missing="drop").data.dropped == 1000


def test_every_error_about_a_file_of_several_names_its_folder(tmp_path):
    """Damage, a column that is missing and an empty file used to be told without it: folders may share names."""
    for damage in ("cut", "column"):
        pattern = parts(tmp_path / damage, rows(900), 3)
        second = tmp_path / damage / "part-02.parquet"
        if damage == "cut":
            body = bytearray(second.read_bytes())
            body[4:2000] = b"\xff" * 1996
            second.write_bytes(body)
        else:
            write(second, {"x": rows(900)["x"]})
        with pytest.raises(km.DataError) as seen:
            streamed("y ~ a*x + b", pattern)
        assert str(second) in str(seen.value)


def test_a_list_of_paths_is_told_of_patterns():
    for given in (["data/a.parquet", "data/b.parquet"], (Path("data/a.parquet"),)):
        with pytest.raises(km.DataError) as seen:
            km.fit("y ~ a*x + b", given)
        assert seen.value.code == "E-DATA"
        assert '"data/*.parquet"' in str(seen.value)
    for given in ([], [1.0, "a"]):
        with pytest.raises(km.DataError, match="mapping"):
            km.fit("y ~ a*x + b", given)


def test_rows_are_counted_within_the_file_and_through_all(tmp_path):
    data = rows(40000)
    data["y"][31003] = np.nan
    pattern = parts(tmp_path / "parts", data, 2)
    words = refused("E-MISSING", DECAY, pattern)
    assert "part-02.parquet: 1 row has no value: 11004 (y)" in words
    assert "row 20001 of all files together" in words
    with pytest.raises(km.DataError, match=r"31004 \(y\)"):
        km.fit(DECAY, data)
    assert "31004 (y)" in refused("E-MISSING", DECAY, write(tmp_path / "one.parquet", data))
    assert "31004 (y)" in refused("E-MISSING", DECAY, write(tmp_path / "one.csv", data))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted where the system lists them")
@pytest.mark.parametrize("suffix", [".arrow", ".arrows"])
def test_files_are_closed_when_nobody_reads_on(suffix, tmp_path):
    """They used to be left to the garbage collector."""
    path = write(tmp_path / f"rows{suffix}", rows(4000))
    part = read_data(path).parts[0]
    reading = part.batches(0, ("x",), frozenset(), 100)
    first = next(reading)["x"]
    here = str(path.resolve())
    assert here in open_files()
    reading.close()
    assert here not in open_files()
    assert len(first) == 100


def open_files() -> list[str]:
    """The paths of this process's open files."""
    found = []
    for one in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(str(one.readlink()))
    return found


def test_text_is_no_number(tmp_path):
    data = {"x": np.arange(3000.0), "y": [f"{k}" for k in range(2500)] + ["three"] + ["1"] * 499}
    assert "row 2501 column y" in refused("E-NUMBER", "y ~ a*x + b", write(tmp_path / "rows.csv", data))
    assert "column y" in refused("E-NUMBER", "y ~ a*x + b", write(tmp_path / "rows.parquet", data))


def test_nothing_to_fit_is_said(tmp_path):
    empty = {"x": np.empty(0), "y": np.empty(0)}
    assert "has no rows" in refused("E-EMPTY", DECAY, write(tmp_path / "empty.parquet", empty))
    pattern = parts(tmp_path / "parts", rows(3000), 3)
    write(tmp_path / "parts" / "part-02.parquet", empty)  # among others it does not matter
    assert streamed(DECAY, pattern).n == 2000
    assert 'where "x > 9"; there are 2000 rows' in refused("E-EMPTY", DECAY, pattern, where="x > 9")
    nothing = {"x": np.full(2000, np.nan), "y": np.ones(2000)}
    assert "2000" in refused("E-EMPTY", DECAY, write(tmp_path / "nan.parquet", nothing), missing="drop")


def test_patterns_and_folders_that_hold_nothing_are_refused(tmp_path):
    (tmp_path / "notes.md").write_text("nothing")
    words = refused("E-FILE", DECAY, str(tmp_path / "*.parquet"))
    assert "no file matches" in words
    assert "notes.md" in words
    assert "no file in the folder" in refused("E-FILE", DECAY, tmp_path)
    write(tmp_path / "a.csv", rows(10))
    write(tmp_path / "b.parquet", rows(10))
    assert "is a parquet file, but" in refused("E-SCHEMA", DECAY, tmp_path)


@pytest.mark.parametrize("what", ["grown", "rewritten", "gone", "relation"])
def test_data_that_change_between_passes_are_noticed(what, tmp_path, monkeypatch):
    data = rows(6000)
    path = write(tmp_path / "rows.parquet", data)
    source: object = path
    if what == "relation":
        import duckdb

        connection = duckdb.connect()
        connection.execute(f"CREATE TABLE t AS SELECT * FROM '{path}'")
        source = connection.sql("SELECT x, y FROM t")
    begin = StreamedProblem.begin

    def then(self, values):
        begin(self, values)
        if what == "relation":
            connection.execute("INSERT INTO t SELECT * FROM t LIMIT 10")
        elif what == "gone":
            path.unlink()
        else:
            write(path, data if what == "rewritten" else rows(7000))
            os.utime(path, ns=(1, 1))

    monkeypatch.setattr(StreamedProblem, "begin", then)
    words = refused("E-CHANGED", DECAY, source)
    said = {"gone": "no longer there", "relation": "6000 rows in the first pass and 6010"}
    assert said.get(what, "written to, or replaced") in words


def test_weights_in_an_array_have_no_place_beside_rows_in_pieces(tmp_path):
    path = write(tmp_path / "rows.parquet", rows(3000))
    for name in ("sigma", "weights"):
        more = {"sigma_is": "known"} if name == "sigma" else {}
        words = refused("E-STREAM", DECAY, path, **{name: np.ones(3000)}, **more)
        assert f"{name} must be a column" in words
    assert streamed(DECAY, path, weights=2.0).solution.weighted


def test_a_weight_that_is_none_is_refused(tmp_path):
    data = rows(3000)
    data["s"][2222] = -1.0
    path = write(tmp_path / "rows.parquet", data)
    assert "-1" in refused("E-SIGMA", DECAY, path, sigma="s", sigma_is="known")


def test_what_needs_all_rows_in_memory_says_so(tmp_path):
    fit = streamed(DECAY, write(tmp_path / "rows.parquet", rows(4000)))
    named = (lambda: fit.residuals, lambda: fit.step(1), fit.explain, fit.without_zero_grad, fit.normal_equations)
    more = (lambda: fit.to_code("numpy"), lambda: fit.interval(method="profile"), lambda: fit.plot(what="surface"))
    for ask in (*named, *more):
        with pytest.raises(km.DataError) as caught:
            ask()
        assert caught.value.code == "E-STREAM"
        assert "km.fit(formula, fit.columns)" in str(caught.value)
    assert km.fit(DECAY, fit.columns).n == fit.data.sample  # which is what to do
    assert fit.predict({"x": [1.0]}, interval="mean").low[0] < fit.predict({"x": [1.0]})[0]
    labels = [text.get_text() for text in fit.plot().legends[0].get_texts()]
    assert f"{fit.data.sample} of 4000 rows" in labels
    assert fit.derive("half = log(2)/b").stderr > 0


def test_a_saved_fit_comes_back_without_its_rows(tmp_path):
    fit = streamed(DECAY, write(tmp_path / "rows.parquet", rows(4000)))
    fit.save(tmp_path / "fit.json")
    loaded = km.load(tmp_path / "fit.json")
    assert (loaded.params, loaded.n, loaded.data) == (fit.params, fit.n, fit.data)
    assert (loaded.check().verdict, fit.check().verdict) == ("CANNOT TELL", "PASS")


def test_a_wrong_claim_about_rows_in_pieces_fails_the_check(tmp_path):
    from dataclasses import replace

    for formula in (DECAY, "y ~ a*x + b"):
        fit = streamed(formula, write(tmp_path / "rows.parquet", rows(4000)))
        claim = fit.solution
        fit.solution = replace(claim, params={**claim.params, "a": claim.params["a"] * 1.001})
        assert fit.check().verdict == "FAIL"
        fit.solution = replace(claim, rss=claim.rss * 1.01, loss=claim.loss * 1.01)
        assert fit.check().verdict == "FAIL"
        fit.solution = replace(claim, n=claim.n + 1)
        assert fit.check().verdict == "FAIL"


def test_too_little_memory_is_refused_with_the_number(tmp_path):
    path = write(tmp_path / "rows.parquet", rows(100_000))
    with pytest.raises(km.BoundsError) as caught:
        km.fit(DECAY, path, max_memory=1000)
    assert caught.value.code == "E-MEMORY"
    assert "384 kB at least" in str(caught.value)
    assert km.fit(DECAY, path, max_memory=2 * LITTLE).data.sample is not None
    assert km.fit(DECAY, path).data.sample is None


def test_a_race_and_torch_want_rows_in_memory(tmp_path, monkeypatch):
    path = write(tmp_path / "rows.parquet", rows(100_000))
    monkeypatch.setattr("katamuki.api.elsewhere.memory", lambda given: 4 * LITTLE)
    with pytest.raises(km.DataError, match="a race needs all rows in memory"):
        km.race("y ~ a*x + b", path)
    pytest.importorskip("torch")
    with pytest.raises(km.DataError, match="PyTorch needs all rows in memory"):
        km.fit("y ~ a*x + b", path, backend="torch")
    with pytest.raises(km.DataError, match="PyTorch needs all rows in memory"):
        km.fit(lambda columns, p: p["a"] * columns["x"], path, target="y", inputs=["x"], start={"a": 1.0})


def test_times_from_the_first_row_are_refused_in_pieces(tmp_path):
    days = np.datetime64("2024-01-01") + np.arange(3000)
    path = write(tmp_path / "rows.parquet", {"t": days.astype("M8[s]"), "y": np.arange(3000.0)})
    assert km.fit("y ~ a*t + b", km.read(path, time={"t": "d"})).params["a"] == pytest.approx(1.0)
    assert "counted from the first row" in refused("E-STREAM", "y ~ a*t + b", km.read(path, time={"t": "d"}))


@pytest.mark.parametrize("late", [0, 3000])
def test_a_second_decimal_mark_is_refused_however_late_it_comes(tmp_path, late):
    """A batch by itself shows one mark: "1,234" in a later batch used to be read as 1.234."""
    lines = [f"{i % 100}.5;{i % 70}" for i in range(late)] + [f"{i % 100};{i % 70}" for i in range(2000)]
    path = tmp_path / "rows.csv"
    path.write_text("x;y\n" + "\n".join([*lines, "1.5;2", *lines[-500:], "3;1,234"]) + "\n")
    with pytest.raises(km.DataError) as here:
        km.fit("y ~ a*x + b", path)
    first = 1 if late else len(lines) + 1
    words = refused("E-NUMBER", "y ~ a*x + b", path)
    assert words == " ".join(str(here.value).split())
    assert f'row {len(lines) + 502} column y: "1,234" but row {first} column x has' in words


def test_a_second_decimal_mark_is_refused_of_many_curves(tmp_path):
    path = tmp_path / "rows.csv"
    lines = [f"{i // 10};{i % 10}{'.5' if i < 10 else ''};{i % 7}" for i in range(6000)]
    path.write_text("k;x;y\n" + "\n".join([*lines, "9;3;1,234"]) + "\n")
    for memory in (None, LITTLE):
        with pytest.raises(km.DataError, match=r'row 6001 column y: "1,234" but row 1 column x has "0\.5"'):
            km.fit_many("y ~ a*x + b", path, by="k", max_memory=memory)


def test_decimal_marks_of_a_condition_are_compared_too_and_rows_left_out_say_nothing(tmp_path):
    path = tmp_path / "rows.csv"
    lines = [f"{i % 100};{i % 70};{'500.5' if i < 10 else 500}" for i in range(6000)]
    path.write_text("x;y;z\n" + "\n".join([*lines, "3;4;1,234"]) + "\n")
    with pytest.raises(km.DataError) as here:
        km.fit("y ~ a*x + b", path, where="z > 100")
    words = refused("E-NUMBER", "y ~ a*x + b", path, where="z > 100")
    assert words == " ".join(str(here.value).split())
    assert 'row 6001 column z: "1,234" but row 1 has "500.5"' in words
    path.write_text("x;y;z\n" + "\n".join(["1.5;2;1", *lines, "3;4,5;900"]).replace("500.5", "500") + "\n")
    with pytest.raises(km.DataError, match="row 6002 column y"):
        streamed("y ~ a*x + b", path, columns=4)
    fit = streamed("y ~ a*x + b", path, columns=4, where="z < 600")  # the point stays, the comma is left out
    assert fit.n == km.fit("y ~ a*x + b", path, where="z < 600").n == 6001


@pytest.mark.parametrize("where", [None, "x >= 0"])
def test_a_decimal_comma_is_refused_after_points_that_another_reader_took(tmp_path, monkeypatch, where):
    """Arrow reads blocks of numbers as far as it can: their points used to be forgotten."""
    monkeypatch.setattr("katamuki.data.streams_parts.BLOCK", 1 << 14)
    path = tmp_path / "rows.csv"
    lines = [f"{i // 100};{i % 100}{'.5' if i < 500 else ''};{i % 70}" for i in range(20_000)]
    path.write_text("k;x;y\n" + "\n".join([*lines, "7;3;1,234"]) + "\n")
    options = {} if where is None else {"where": where}
    words = refused("E-NUMBER", "y ~ a*x + b", path, **options)
    assert 'row 20001 column y: "1,234" but row 1 column x has "0.5"' in words
    with pytest.raises(km.DataError, match='row 20001 column y: "1,234"'):
        km.fit_many("y ~ a*x + b", path, by="k", max_memory=LITTLE)

"""Rows that are read in pieces: the answer is that of the same rows in memory, and memory is held."""

from __future__ import annotations

import subprocess
import sys
import warnings

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import katamuki as km
from katamuki import certified
from katamuki.data import condition, streams
from katamuki.problem import thinning
from katamuki.problem.streamed import added
from streaming import alike, parts, rows, shared, streamed, write

DECAY = "y ~ a*exp(-b*x) + c"


def test_the_comparison_itself_sees_a_difference():
    one = km.fit(DECAY, rows(300))
    with pytest.raises(AssertionError):
        alike(one, km.fit(DECAY, {**rows(300), "x": rows(300)["x"] * (1 + 1e-8)}))


@pytest.mark.parametrize("name", certified.names())
def test_certified_problems_repeated_keep_their_digits_in_pieces(name, tmp_path):
    problem = certified.problem(name)
    times = -(-1500 // problem.n)
    data = {column: np.tile(values, times) for column, values in problem.columns.items()}
    path = write(tmp_path / "rows.parquet", data, group=400)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        whole = km.fit(problem.formula, data, seed=1)
        found = streamed(problem.formula, path, columns=len(data), seed=1)
    assert found.data.sample is not None
    assert found.data.sample < found.n == problem.n * times
    exact = whole.rss < 1e-20 * whole.solution.tss  # rounding: Lanczos1, Wampler1 and 2
    for parameter in whole.params:
        assert shared(whole.params[parameter], found.params[parameter]) >= (9.5 if exact else 10)
        if not exact:
            assert shared(whole.stderr[parameter], found.stderr[parameter]) >= 10


def test_filip_repeated_keeps_nine_digits_of_what_nist_certifies(tmp_path):
    problem = certified.problem("Filip")
    data = {column: np.tile(values, 300) for column, values in problem.columns.items()}
    found = streamed(problem.formula, write(tmp_path / "filip.parquet", data, group=1000), columns=2)
    assert found.data.passes == 1
    assert min(shared(found.params[name], value) for name, value in problem.params.items()) >= 9


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".arrow", ".arrows", ".jsonl"])
@pytest.mark.parametrize("formula", ["y ~ a*x + b", DECAY])
def test_every_format_gives_the_answer_of_memory(suffix, formula, tmp_path):
    data = rows(6000)
    path = write(tmp_path / f"rows{suffix}", data)
    asked = {"sigma": "s", "sigma_is": "known", "where": "x > 0.5 and z < 1", "seed": 3}
    whole, found = km.fit(formula, data, **asked), streamed(formula, path, columns=4, **asked)
    assert found.data.sample is not None
    assert (found.data.filtered, found.data.dropped) == (whole.data.filtered, whole.data.dropped)
    alike(whole, found)


def test_a_pattern_a_folder_and_a_relation_give_the_answer_of_memory(tmp_path):
    data = rows(6000)
    pattern = parts(tmp_path / "parts", data, 7)
    write(tmp_path / "all.parquet", data)
    relation = duckdb.connect().sql(f"SELECT x, y FROM '{tmp_path}/all.parquet' ORDER BY z")
    whole = km.fit(DECAY, data)
    for source in (pattern, tmp_path / "parts", relation):
        found = streamed(DECAY, source)
        assert found.data.sample is not None
        alike(whole, found)
    assert found.data.files == 1
    assert streamed(DECAY, pattern).data.files == 7


def test_the_decimal_mark_is_recorded_though_it_comes_late(tmp_path):
    """It used to be recorded as a point where the first lines hold whole numbers only."""
    path = tmp_path / "rows.csv"
    whole = [f"{i % 100};{2 * (i % 100) + i % 3}" for i in range(4000)]
    parted = [f"{i % 100},5;{i % 70},25" for i in range(4000)]
    for lines in (whole + parted, parted + whole, whole):
        path.write_text("x;y\n" + "\n".join(lines) + "\n")
        here, there = km.fit("y ~ a*x + b", path), streamed("y ~ a*x + b", path)
        assert there.data.sample is not None
        assert there.data.decimal == here.data.decimal
        assert lines is whole or there.data.decimal == ","
        alike(here, there)


def test_small_files_of_a_pattern_are_read_whole(tmp_path):
    data = rows(500)
    for suffix in (".parquet", ".csv", ".jsonl", ".arrow"):
        pattern = parts(tmp_path / suffix[1:], data, 3, suffix)
        table = km.read(pattern)
        assert (len(table), table.names, table.source.files) == (500, ("x", "y", "s", "z"), 3)
        np.testing.assert_array_equal(table["x"], data["x"])
        found = km.fit(DECAY, pattern)
        assert found.data.sample is None
        assert found.params == km.fit(DECAY, data).params


def test_rows_without_a_value_are_dropped_and_counted_as_in_memory(tmp_path):
    data = rows(5000)
    data["x"][::97] = np.nan
    data["y"][5::211] = np.inf
    data["z"][7::301] = np.nan
    path = write(tmp_path / "rows.parquet", data)
    asked = {"where": "z > -1", "missing": "drop"}
    whole, found = km.fit(DECAY, data, **asked), streamed(DECAY, path, **asked)
    assert found.data.dropped == whole.data.dropped > 50
    assert found.data.filtered == whole.data.filtered > 500
    alike(whole, found)


def test_few_rows_that_meet_a_condition_are_fitted_in_memory(tmp_path):
    data = rows(5000)
    path = write(tmp_path / "rows.parquet", data)
    whole, found = km.fit(DECAY, data, where="z > 2"), streamed(DECAY, path, where="z > 2")
    assert found.data.sample is None
    assert found.params == whole.params
    np.testing.assert_array_equal(found.index, whole.index)


def test_pieces_without_a_row_that_counts_are_not_read_twice(tmp_path, monkeypatch):
    data = {name: one[np.argsort(rows(8000)["x"])] for name, one in rows(8000).items()}
    path = write(tmp_path / "sorted.parquet", data, group=500)
    read: list[int] = []
    batches = streams.Reader.batches

    def seen(self, piece, rows=None):
        if not (piece.idle and self.seen):
            read.append(piece.number)
        return batches(self, piece, rows)

    monkeypatch.setattr(streams.Reader, "batches", seen)
    found = streamed(DECAY, path, where="x < 1")
    monkeypatch.undo()
    whole = km.fit(DECAY, data, where="x < 1")
    alike(whole, found)
    assert found.data.filtered == whole.data.filtered
    assert read.count(0) > 2
    assert read.count(15) == 1  # the last piece: once, to count rows without a value


def test_sums_that_overflow_end_as_in_memory(tmp_path):
    """They used to end in a bare ValueError of the sum: infinities of both signs in different batches."""
    draw = np.random.default_rng(1)
    x = np.sort(draw.uniform(-8.0, 8.0, 40_000))
    data = {"x": x, "y": 2 * np.exp(0.05 * (x - 0.3) ** 2) + 0.1 * draw.normal(size=len(x))}
    path = write(tmp_path / "rows.parquet", data, group=2000)
    for start, code in (({"a": 1.0, "b": 5.6, "c": 0.1}, "E-OVERFLOW"), ({"a": 1.0, "b": 30.0, "c": 0.0}, "E-DOMAIN")):
        for fit in (km.fit, streamed):
            with pytest.raises(km.NotConverged) as seen:
                fit("y ~ a*exp(b*(x-c)**2)", path if fit is streamed else data, start=start)
            assert seen.value.code == code


def test_batches_are_added_to_what_a_float_can_hold():
    assert added([1e100, 1.0, -1e100]) == 1.0
    assert np.isnan(added([np.inf, 1.0, -np.inf]))
    assert added([1.7e308, 1.7e308]) == np.inf
    assert added([1.7e308, np.inf]) == np.inf
    assert np.isnan(added([np.nan, 1.0]))


def test_bits_do_not_depend_on_threads(tmp_path):
    path = write(tmp_path / "rows.parquet", rows(30000), group=700)
    fits = [streamed(DECAY, path, threads=threads) for threads in (1, 2, 3)]
    assert fits[0].params == fits[1].params == fits[2].params
    assert fits[0].stderr == fits[1].stderr == fits[2].stderr


@pytest.mark.parametrize("formula", [DECAY, "y ~ a*x + b"])
def test_bits_do_not_depend_on_threads_where_memory_is_scarce(formula, tmp_path):
    """They used to: threads shared the memory, and so decided how many rows a batch had."""
    path = write(tmp_path / "rows.parquet", rows(150_000), group=7500)
    seen = set()
    for threads in (1, 2, 5, 16):
        fit = km.fit(formula, path, max_memory=1_800_000, threads=threads)
        assert fit.data.sample is not None
        numbers = (fit.loss, *fit.params.values(), *fit.stderr.values())
        seen.add((numbers, fit.columns["x"].tobytes()))
    assert len(seen) == 1


def test_batches_are_as_large_as_memory_allows():
    for columns in (1, 3, 40):
        for limit in (10**5, 10**6, 10**7, 10**9, 10**11):
            batch = streams.batch_rows(columns, streams.ABREAST, limit)
            abreast = streams.batches_abreast(columns, batch, limit)
            assert abreast == 1 or abreast * batch * columns * 8 * streams.COPIES <= limit
            assert streams.LEAST <= batch <= streams.BATCH
            assert batch == streams.LEAST or abreast >= streams.ABREAST


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(group=st.integers(90, 3000), batch=st.integers(64, 4000), n=st.integers(1100, 4000), seed=st.integers(0, 99))
def test_chunks_are_the_whole(group, batch, n, seed, tmp_path):
    data = rows(n, seed)
    path = write(tmp_path / "rows.parquet", data, group=group)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("katamuki.api.elsewhere.batch_rows", lambda *given: batch)
        found = streamed("y ~ a*x + b + d*z", path, weights="s", columns=4)
    alike(km.fit("y ~ a*x + b + d*z", data, weights="s"), found, 12)


def test_first_order_steps_are_those_of_memory(tmp_path):
    data = rows(3000)
    path = write(tmp_path / "rows.parquet", data)
    for solver in (km.SGD(lr=0.01, steps=12), km.Adam(lr=0.05, steps=12), km.LBFGS(steps=6)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", km.FitWarning)
            whole, found = (
                km.fit("y ~ a*x + b", data, solver=solver, start={"a": 0.1, "b": 1.0}),
                streamed("y ~ a*x + b", path, solver=solver, start={"a": 0.1, "b": 1.0}),
            )
        np.testing.assert_allclose(found.trace.params, whole.trace.params, rtol=1e-12)
        assert found.solution.reference is not None
        assert found.check().verdict == whole.check().verdict == "PASS"


def test_bounds_and_fixed_parameters_hold_for_rows_in_pieces(tmp_path):
    data = rows(4000)
    path = write(tmp_path / "rows.parquet", data)
    for asked in ({"bounds": {"c": (0.6, 1.0)}}, {"fixed": {"c": 0.5}}):
        whole, found = km.fit(DECAY, data, **asked), streamed(DECAY, path, **asked)
        alike(whole, found)
        assert found.solution.at_bound == whole.solution.at_bound
    line = {"bounds": {"a": (0.0, 1.0)}}
    alike(km.fit("y ~ a*x + b", data, **line), streamed("y ~ a*x + b", path, **line))


def test_parameters_that_rows_do_not_determine_are_named(tmp_path):
    path = write(tmp_path / "rows.parquet", rows(3000))
    for formula in ("y ~ a*x + b*x + c", "y ~ a*exp(-b*x) + c + d"):
        with pytest.warns(km.FitWarning):
            found = streamed(formula, path)
        assert found.state == "not_identifiable"
        assert any(one.code == "UNDETERMINED" for one in found.findings)
        with pytest.raises(km.DataError, match="a band for parameters that are not determined"):
            found.predict({"x": [1.0]}, interval="mean")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of a process is read from /proc")
def test_a_file_five_times_larger_than_its_memory_is_fitted_within_it(tmp_path):
    """The peak of a process that reads 48 MB in pieces of 10 MB, beside one that reads 2000 rows."""
    write(tmp_path / "large.parquet", rows(2_000_000), group=100_000)
    write(tmp_path / "small.parquet", rows(2000))
    script = (
        "import re, sys, warnings; import katamuki as km; warnings.simplefilter('ignore')\n"
        "fit = km.fit('y ~ a*exp(-b*x) + c', sys.argv[1], max_memory=int(sys.argv[2]), sigma='s', sigma_is='known')\n"
        "peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]\n"
        "print(int(peak) / 1024, fit.data.sample)"
    )

    def peak(name: str, limit: int) -> tuple[float, str]:
        asked = [sys.executable, "-c", script, str(tmp_path / name), str(limit)]
        out = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
        return float(out[0]), out[1]

    (nothing, _), (pieces, sample), (whole, none) = (
        peak("small.parquet", 10**9),
        peak("large.parquet", 10**7),
        peak("large.parquet", 10**9),
    )
    print(f"peak: {nothing:.0f} MB for nothing, {pieces:.0f} MB in pieces, {whole:.0f} MB in memory")
    assert (sample != "None", none) == (True, "None")
    assert pieces - nothing < 60 < whole - nothing


CONDITIONS = st.sampled_from(
    ["x > 1", "not x <= 1", "x > 1 and z < 0", "x < -2 or z >= 2", "-1 < x < 0.5", "x == 1", "x != 1", "x in (0, 1)",
     "x not in (0, 1)", "not (x > 0 or z > 0)", "x > z", "x + 1 > 0", "2 < -x"]
)  # fmt: skip


@settings(deadline=None)
@given(
    CONDITIONS,
    st.lists(st.tuples(st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.5]), st.floats(-3, 3)), min_size=1, max_size=9),
)
def test_statistics_never_leave_out_a_row_that_counts(text, pairs):
    read = condition.parse(text)
    columns = {name: np.array(values) for name, values in zip("xz", zip(*pairs, strict=True), strict=True)}
    ranges = {name: (float(one.min()), float(one.max())) for name, one in columns.items()}
    if condition.holds(read, columns, {}, len(pairs)).any():
        assert condition.can_hold(read, ranges)


def test_statistics_leave_out_what_cannot_count():
    ranges = {"x": (0.0, 1.0)}
    for text in (
        "x > 1",
        "x < 0",
        "not x >= 0",
        "x == 2",
        "x in (3, 4)",
        "x > 1 and z > 0",
        "2 < x < 9",
        "x not in (1,)",
    ):
        point = {"x": (1.0, 1.0)} if "not in" in text else ranges
        assert not condition.can_hold(condition.parse(text), point), text


def test_a_sample_and_what_it_is_good_for_is_said(tmp_path):
    fit = streamed(DECAY, write(tmp_path / "rows.parquet", rows(5000)))
    assert f"5000 rows, read {fit.data.passes} times, {fit.data.sample} in memory" in " ".join(str(fit).split())
    assert set(fit.columns) == {"x", "y"}
    assert len(fit.columns["x"]) == fit.data.sample
    assert fit.to_dict()["data"]["sample"] == fit.data.sample
    assert min(fit.digits.values()) > 12
    assert fit.check().verdict == "PASS"
    assert fit.check().reason == "check.pass.sample"


@pytest.mark.parametrize("period", [16, 24, 96])
def test_a_sample_has_rows_of_every_part_of_a_period(period, tmp_path):
    # This used to be every 64th row: of 24 hours, day after day, three.
    n = 240_000
    hour = np.arange(n) % period
    y = np.sin(2.0 * np.pi * hour / period) + np.random.default_rng(3).normal(0.0, 0.1, n)
    fit = streamed("y ~ a*sin(b*hour + c)", write(tmp_path / "days.parquet", {"hour": 1.0 * hour, "y": y}))
    drawn = np.bincount(fit.columns["hour"].astype(int), minlength=period)
    assert fit.n == n > 10 * drawn.sum()
    assert drawn.min() > 0.3 * drawn.mean()
    assert len(np.unique(np.diff(fit.index))) > 10  # at no even distance


def test_the_rows_of_a_sample_are_those_that_win_whatever_the_batches():
    def kept(sizes: list[int], most: int, seed: int = 0) -> list[int]:
        found, first = thinning.Thinning(most, seed=(seed,)), 0
        for size in sizes:
            found.add(streams.Batch({"x": np.arange(first, first + size) * 1.0}, size, first, size, 0, 0, None))
            first += size
        return np.concatenate([one.rows for one in thinning.together([found], [0], most)]).tolist()

    whole = kept([1000], 70)
    assert 30 < len(whole) <= 70
    assert kept([1] * 1000, 70) == kept([333, 333, 334], 70) == whole
    assert kept([1000], 70, seed=1) != whole
    assert kept([1000], 2000) == list(range(1000))

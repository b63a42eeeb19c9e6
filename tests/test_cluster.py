"""A fit of rows on a cluster is the fit of the same rows in memory: on a real scheduler with worker processes."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import katamuki as km
from clusters import Columns, cluster, dataframe, decay, files, frame
from katamuki import certified
from katamuki.cluster import reading, running, source
from katamuki.messages import Phrase
from katamuki.problem import clustered
from streaming import LITTLE
from streaming import shared as digits_of

EXPONENTIAL = "y ~ a*exp(-b*x) + c"
ENOUGH = 6000  # rows: more than a sample has that is to take little memory


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with cluster() as found:
        yield found


@pytest.fixture(scope="module")
def rows() -> Columns:
    return decay(ENOUGH)


def far(model: str, data: Any, client: Any, **options: Any) -> km.Fit:
    """A fit on a cluster, of whose rows a sample is here however few they are."""
    return km.fit(model, km.cluster.table(data, client), max_memory=LITTLE, **options)


def agree(one: km.Fit, other: km.Fit, digits: float = 10.0) -> None:
    """Every parameter and standard error of two fits to so many digits."""
    for name in other.params:
        assert digits_of(one.params[name], other.params[name]) >= digits, name
        a, b = one.stderr[name], other.stderr[name]
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            assert digits_of(a, b) >= digits, name
    assert (one.n, one.dof, one.state) == (other.n, other.dof, other.state)
    assert digits_of(one.loss, other.loss) >= digits


def test_files_on_a_cluster_give_the_answer_that_they_give_in_memory(
    client: Any, rows: Columns, tmp_path: Path
) -> None:
    pattern = files(tmp_path, rows, 3, 900)
    fit = far(EXPONENTIAL, pattern, client)
    agree(fit, km.fit(EXPONENTIAL, pattern))
    assert (fit.data.kind, fit.data.files, fit.data.sample) == ("parquet", 3, 1000)
    report = fit.check()
    assert report.verdict == "PASS"
    assert report.digits["a"] > 9


def test_the_kernel_is_compiled_once_for_each_worker(client: Any, rows: Columns) -> None:
    def kernels() -> list[str]:
        from katamuki.backends import kernel

        return [graph.parameters[0] for graph in kernel._received]

    fit = far("y ~ once*exp(-b*x) + c", frame(rows, 4), client)
    assert fit.data.passes > 3
    found = client.run(kernels)
    assert len(found) == 2
    assert all(names.count("once") == 1 for names in found.values())


@pytest.mark.parametrize(
    "options",
    [
        {"where": "x < 4 and kind == 'a'"},
        {"sigma": "s", "sigma_is": "known"},
        {"weights": "s"},
        {"missing": "drop"},
        {"fixed": {"c": 0.5}, "bounds": {"b": (0.0, 1.2)}},
    ],
)
def test_options_mean_what_they_mean_in_memory(client: Any, options: dict[str, Any]) -> None:
    rows = decay(ENOUGH + 10)
    if "missing" in options:
        rows["y"][[3, ENOUGH - 1]] = np.nan
    agree(far(EXPONENTIAL, frame(rows, 5), client, **options), km.fit(EXPONENTIAL, rows, **options))


def test_a_left_side_that_is_computed_is_computed_by_the_workers(client: Any, rows: Columns) -> None:
    formula = "log(y + 2) ~ a*exp(-b*x) + c"
    agree(far(formula, frame(rows, 3), client), km.fit(formula, rows))


@pytest.mark.parametrize("name", ["Norris", "Longley", "Filip", "Misra1a", "Thurber", "MGH09", "Lanczos2", "MGH10"])
def test_certified_problems_repeated_keep_their_digits(client: Any, name: str) -> None:
    problem = certified.problem(name)
    times = -(-ENOUGH // problem.n)
    columns = {key: np.tile(one, times) for key, one in problem.columns.items()}
    start: dict[str, Any] = {} if problem.starts is None else {"start": problem.starts[1]}
    fit = far(problem.formula, frame(columns, 7), client, **start)
    agree(fit, km.fit(problem.formula, columns, **start))
    least = min(digits_of(fit.params[key], float(value)) for key, value in problem.refined.params.items())
    assert least >= (9.0 if name == "Filip" else 10.0)


def test_a_wrong_answer_would_be_seen(rows: Columns) -> None:
    fit, other = km.fit(EXPONENTIAL, rows), km.fit(EXPONENTIAL, {**rows, "y": rows["y"] * (1.0 + 1e-9)})
    with pytest.raises(AssertionError):
        agree(fit, other)


def test_bits_depend_neither_on_the_workers_nor_on_what_they_keep(
    client: Any, rows: Columns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "FEWEST", 500)
    pattern = files(tmp_path, rows, 2, 500)

    def again(client: Any) -> tuple[Any, ...]:
        fit = far(EXPONENTIAL, pattern, client)
        return fit.params, fit.stderr, fit.loss, fit.trace.params.tobytes()

    kept = again(client)
    assert again(client) == kept
    with cluster(processes=False, workers=1) as other:
        assert again(other) == kept
    monkeypatch.setattr(clustered, "SHARE", 1e-9)
    assert again(client) == kept
    monkeypatch.setattr("katamuki.cluster.running.FAN", 2)
    agree(far(EXPONENTIAL, pattern, client), km.fit(EXPONENTIAL, pattern))


def test_few_rows_are_fitted_here_and_give_the_same_bits(client: Any) -> None:
    rows = decay(500)
    fit, local = km.fit(EXPONENTIAL, km.cluster.table(frame(rows, 3), client)), km.fit(EXPONENTIAL, rows)
    assert (fit.params, fit.stderr, fit.data.sample) == (local.params, local.stderr, None)


def test_another_seed_draws_another_sample(client: Any, rows: Columns) -> None:
    whole = frame(rows, 4)
    drawn = [far("y ~ a*x + b", whole, client, seed=seed).index for seed in (0, 0, 1)]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert len(np.unique(drawn[0])) == 1000
    assert drawn[0].max() < ENOUGH


def test_files_bring_the_sample_with_the_first_pass_where_all_rows_count(
    client: Any, rows: Columns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, each = [], running.each
    monkeypatch.setattr(
        running, "each", lambda c, f, *more, **same: asked.append(f.__name__) or each(c, f, *more, **same)
    )
    quick = far(EXPONENTIAL, files(tmp_path, rows, 3, 900), client)
    assert asked.count("seen") == 1
    assert "taken" not in asked
    holes = {**rows, "x": np.where(np.arange(ENOUGH) % 1000 == 7, np.nan, rows["x"])}
    dropped = far(EXPONENTIAL, files(tmp_path, holes, 3, 900), client, missing="drop")
    assert asked.count("taken") == 1
    for fit, whole in ((quick, rows), (dropped, holes)):  # the numbers are those of the rows that are there
        np.testing.assert_array_equal(fit.columns["x"], whole["x"][fit.index])
    agree(dropped, km.fit(EXPONENTIAL, holes, missing="drop"))
    assert dropped.n == ENOUGH - 6


# What is wrong with the data ---------------------------------------------------------------------------------------


def refused(client: Any, data: Any, **options: Any) -> km.KatamukiError:
    with pytest.raises(km.KatamukiError) as caught:
        km.fit(EXPONENTIAL, km.cluster.table(data, client), **options)
    return caught.value


def test_a_missing_value_is_told_with_its_partition_and_row(client: Any) -> None:
    rows = decay(1000)
    rows["x"][303] = np.nan
    error = refused(client, frame(rows, 5))
    assert (error.code, str(error.values["place"])) == ("E-MISSING", "partition 2 of 5")
    assert ": 104 (x)" in str(error)


def test_rows_of_a_file_are_counted_within_the_file(client: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(source, "FEWEST", 100)
    rows = decay(1000)
    rows["y"][700] = np.inf
    error = refused(client, files(tmp_path, rows, 2, 100))
    assert error.code == "E-MISSING"
    assert "part-01.parquet" in str(error)
    assert ": 201 (y = inf)" in str(error)


def test_text_is_told_with_its_partition(client: Any) -> None:
    rows = decay(60)
    words = rows["x"].astype(object)
    words[50] = "many"

    def spoiled(part: Any) -> Any:
        return part.assign(x=words[part.index])

    whole = frame(rows, 3)
    error = refused(client, whole.map_partitions(spoiled, meta=whole._meta))
    assert error.code == "E-NUMBER"
    assert "partition 3 of 3" in str(error)
    assert "many" in str(error)


def test_a_partition_that_lacks_a_column_is_named(client: Any) -> None:
    whole = frame(decay(60), 3)
    error = refused(client, whole.map_partitions(lambda part: part.drop(columns="x"), meta=whole._meta))
    assert error.code in {"E-SCHEMA", "E-CLUSTER"}
    assert "x" in str(error)


def test_files_of_another_schema_are_named(client: Any, tmp_path: Path) -> None:
    pattern = files(tmp_path, decay(60), 2)
    pq.write_table(pa.table({"x": ["a"], "y": [1.0]}), tmp_path / "part-07.parquet")
    error = refused(client, pattern)
    assert error.code == "E-SCHEMA"
    assert "part-07.parquet" in str(error)
    pq.write_table(pa.table({"y": [1.0]}), tmp_path / "part-07.parquet")
    assert "part-07.parquet" in str(refused(client, pattern))


def test_empty_partitions_count_for_nothing(client: Any) -> None:
    rows = decay(ENOUGH)
    whole = frame(rows, 4)
    holes = dataframe.concat([whole.partitions[0], whole.partitions[1].query("x > 99"), whole.partitions[2]])
    kept = np.concatenate([np.arange(0, ENOUGH // 4), np.arange(ENOUGH // 2, 3 * ENOUGH // 4)])
    fit = far(EXPONENTIAL, holes, client)
    assert fit.n == len(kept)
    agree(fit, km.fit(EXPONENTIAL, {name: one[kept] for name, one in rows.items()}))
    assert refused(client, whole.query("x > 99")).code == "E-EMPTY"
    assert refused(client, whole, where="x > 99").code == "E-EMPTY"


def test_a_file_that_went_away_and_one_that_was_cut_are_named(client: Any, tmp_path: Path) -> None:
    table = km.cluster.table(files(tmp_path, decay(600), 2), client)
    (tmp_path / "part-01.parquet").write_bytes((tmp_path / "part-01.parquet").read_bytes()[:3000])
    with pytest.raises(km.DataError, match=r"part-01\.parquet cannot be read"):
        km.fit(EXPONENTIAL, table)
    (tmp_path / "part-01.parquet").unlink()
    with pytest.raises(km.DataError, match="finds no file") as caught:
        km.fit(EXPONENTIAL, table)
    assert caught.value.code == "E-FILE"


def test_a_file_that_was_written_anew_is_no_longer_the_table_s(client: Any, tmp_path: Path) -> None:
    # This used to be fitted in silence: as many rows of the new file as the old one had.
    table = km.cluster.table(files(tmp_path, decay(600), 2), client)
    files(tmp_path, decay(900), 2)
    with pytest.raises(km.DataError, match="was written to, or replaced") as caught:
        km.fit(EXPONENTIAL, table)
    assert caught.value.code == "E-CHANGED"
    with pytest.raises(km.DataError, match="was written to, or replaced"):
        km.fit_many("y ~ a*x + b", table, by="kind")


def test_what_is_no_table_is_refused(client: Any, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("x,y\n1,2\n", encoding="utf-8")
    for data, code in (
        (tmp_path / "data.csv", "E-FORMAT"),
        (tmp_path / "none*.parquet", "E-FILE"),
        ("s3://bucket/data.parquet", "E-FILE"),
        (decay(3), "E-DATA"),
        (frame(decay(30), 2)["x"], "E-DATA"),
    ):
        with pytest.raises(km.DataError) as caught:
            km.cluster.table(data, client)
        assert caught.value.code == code
        assert caught.value.remedy or caught.value.where
    with pytest.raises(km.DataError, match="sigma"):
        km.fit(EXPONENTIAL, km.cluster.table(frame(decay(30), 2), client), sigma=np.ones(30), sigma_is="known")


def test_an_error_of_a_worker_arrives_as_it_was_raised() -> None:
    values = {"place": Phrase("cluster.partition", number=1, of=2), "number": 1, "of": 2}
    what = Phrase("data.missing_one", count=1, rows="row 3")
    error = km.DataError("E-NUMBER", "cluster.in_partition", where="there", what=what, **values)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is km.DataError
    assert (str(again), again.code, again.where) == (str(error), error.code, error.where)
    assert again.render("ja") == error.render("ja") != str(error)


def test_partitions_of_files_follow_from_the_files_alone(tmp_path: Path) -> None:
    part = source.rows(files(tmp_path, decay(1000), 2, 90)).parts  # type: ignore[attr-defined]
    few = source.pieces(part, 2)
    assert [(one.first, one.rows) for one in few] == [(0, 500), (0, 500)]
    pieces = _cut(part, 200)
    assert [(one.first, one.rows, one.groups) for one in pieces[:2]] == [(0, 270, (0, 1, 2)), (270, 230, (3, 4, 5))]
    assert sum(one.rows for one in pieces) == 1000
    assert len(_cut(part, 200, 8 * 2 * 90)) == 12
    assert isinstance(pieces[0], reading.Piece)


def _cut(parts: Any, fewest: int, most: int = 1 << 28) -> list[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "FEWEST", fewest)
        patch.setattr(source, "MOST", most)
        return source.pieces(parts, 2)

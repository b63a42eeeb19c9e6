"""Ten thousand curves by one call are ten thousand calls of ``katamuki.fit``, in any order, by one thread or two."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import katamuki as km

COUNT, ROWS = 10_000, 12
FORMULA = "y ~ a*exp(-b*x) + c"
NAMES = ("a", "b", "c", "a_stderr", "b_stderr", "c_stderr", "_loss")


@pytest.fixture(scope="module")
def table() -> dict[str, np.ndarray]:
    """A long table: decays of 12 rows each, each at times of its own; some of noise alone."""
    rng = np.random.default_rng(5)
    curve = np.repeat(np.arange(COUNT), ROWS)
    x = np.sort(rng.uniform(0.0, 10.0, (COUNT, ROWS)), axis=1).ravel()
    a, b, c = rng.uniform(5, 20, COUNT), rng.uniform(0.2, 1.5, COUNT), rng.uniform(0, 3, COUNT)
    a[::500] = 0.0
    y = a[curve] * np.exp(-b[curve] * x) + c[curve] + rng.normal(0.0, 0.1, len(x))
    return {"curve": curve, "x": x, "y": y}


def alone(x: np.ndarray, y: np.ndarray) -> km.Fit | None:
    """One curve by ``katamuki.fit``; None where it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        try:
            return km.fit(FORMULA, {"x": x, "y": y})
        except km.NotConverged:
            return None


@pytest.fixture(scope="module")
def many(table: dict[str, np.ndarray]) -> km.Many:
    return km.fit_many(FORMULA, table, by="curve", threads=2, check=0)


def test_each_row_is_what_fit_says(table: dict[str, np.ndarray], many: km.Many) -> None:
    rows = many.table.to_pydict()
    assert rows["curve"] == list(range(COUNT))
    worst = 0.0
    for k in range(COUNT):
        part = slice(k * ROWS, (k + 1) * ROWS)
        fit = alone(table["x"][part], table["y"][part])
        if fit is None:
            assert rows["_verdict"][k] == "failed", k
            continue
        grave = [one.code for one in fit.findings if one.severity != "note"]
        said = rows["_verdict"][k], rows["_state"][k], rows["_code"][k], rows["_n"][k], rows["_dof"][k]
        assert said == (fit.verdict, fit.state, grave[0] if grave else "", fit.n, fit.dof), k
        ours = [rows[name][k] for name in NAMES]
        theirs = [*fit.params.values(), *fit.stderr.values(), fit.loss]
        sizes = [max(abs(fit.params[name]), (fit.stderr[name] or 0.0) / 1000) for name in fit.params] + theirs[3:]
        for name, one, other, size in zip(NAMES, ours, theirs, sizes, strict=True):
            assert (one is None) == (other is None), (k, name)
            if one is not None and other is not None:
                worst = max(worst, abs(one - other) / abs(size or 1.0))
    assert worst < 1e-10


def test_order_and_threads_change_nothing(table: dict[str, np.ndarray], many: km.Many) -> None:
    order = np.random.default_rng(1).permutation(len(table["x"]))
    mixed = {name: values[order] for name, values in table.items()}
    other = km.fit_many(FORMULA, mixed, by="curve", threads=1, check=0).table.sort_by("curve")
    for name in ("_verdict", "_state", "_n", "_dof"):
        assert other.column(name).to_pylist() == many.table.column(name).to_pylist()
    for name in NAMES:
        ours, theirs = many.table.column(name).to_numpy(), other.column(name).to_numpy()
        assert np.array_equal(np.isnan(ours), np.isnan(theirs))
        good = np.array(many.table.column("_verdict").to_pylist()) == "good"
        assert np.abs(ours[good] - theirs[good]).max() <= 1e-10 * np.abs(theirs[good]).max()
    again = km.fit_many(FORMULA, table, by="curve", threads=1, check=0).table
    assert again.equals(many.table)

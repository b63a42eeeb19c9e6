"""One curve of every kind that cannot be fitted, among many that can: a row each, with its code, and no bit changes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import katamuki as km
from wells import DECAY, TIMES, decays, long

COUNT = 1000
N = len(TIMES)


def well(k: int) -> slice:
    """The rows of well k."""
    return slice(k * N, (k + 1) * N)


def poisoned() -> tuple[dict[str, Any], dict[str, str]]:
    """A thousand curves of which eleven are spoiled, and the codes that those must get."""
    table = long(decays(COUNT), TIMES, "t")
    table |= {name: table[name].copy() for name in ("t", "y")}
    y, t = table["y"], table["t"]
    y[well(10)][3] = np.nan
    y[well(20)] = np.nan
    t[well(30)][1] = np.inf
    y[well(40)] = 2.5
    y[well(50)] *= 1e200
    t[well(60)] = 4.0
    y[well(70)][2] += 5.0
    y[well(80)] = 0.0
    y[well(90)] *= 1e-200
    gone = np.zeros(len(y), dtype=bool)
    gone[well(100)][2:] = True  # two rows for three parameters
    gone[well(110)][1:] = True
    codes = {"w10": "MISSING", "w20": "MISSING", "w30": "MISSING", "w50": "OVERFLOW", "w90": "OVERFLOW"}
    codes |= {"w100": "TOOFEW", "w110": "TOOFEW"}
    return {name: column[~gone] for name, column in table.items()}, codes


def alone(table: dict[str, Any], key: str, **options: Any) -> tuple[str, str]:
    """State and code that ``katamuki.fit`` gives one curve."""
    rows = table["well"] == key
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        try:
            fit = km.fit(DECAY, {name: table[name][rows] for name in ("t", "y")}, **options)
        except km.KatamukiError as error:
            fitted = getattr(error, "fit", None)
            return ("" if fitted is None else fitted.state), error.code.removeprefix("E-")
    grave = [one for severity in ("failure", "warning") for one in fit.findings if one.severity == severity]
    return fit.state, grave[0].code if grave else ""


@pytest.fixture(scope="module")
def run() -> tuple[dict[str, Any], dict[str, str], km.Many]:
    table, codes = poisoned()
    return table, codes, km.fit_many(DECAY, table, by="well")


def test_a_thousand_curves_are_a_thousand_rows(run: Any) -> None:
    _, _, many = run
    assert many.column("well").to_pylist() == [f"w{k}" for k in range(COUNT)]
    assert many.finished


def test_each_spoiled_curve_has_its_code_and_no_numbers(run: Any) -> None:
    table, codes, many = run
    rows = {row["well"]: row for row in many.table.to_pylist()}
    for key, code in codes.items():
        row = rows[key]
        assert (row["_code"], row["_verdict"], row["_state"]) == (code, "failed", ""), key
        assert {row[name] for name in ("a", "a_stderr", "b", "c", "_loss", "_dof")} == {None}, key
        assert row["_n"] == np.count_nonzero(table["well"] == key), key


@pytest.mark.parametrize("k", [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110])
def test_a_spoiled_curve_is_what_fit_says_of_it(run: Any, k: int) -> None:
    table, _, many = run
    row = many.table.to_pylist()[k]
    assert (row["_state"], row["_code"]) == alone(table, f"w{k}")


def test_the_others_keep_every_bit(run: Any) -> None:
    table, _, many = run
    spoiled = {f"w{k}" for k in range(10, 111, 10)}
    rest = [k for k in range(COUNT) if f"w{k}" not in spoiled]
    kept = np.isin(table["well"], [f"w{k}" for k in rest])
    clean = km.fit_many(DECAY, {name: column[kept] for name, column in table.items()}, by="well", check=0)
    assert clean.table.equals(many.table.take(rest))


def test_dropping_fits_what_is_left_of_a_curve(run: Any) -> None:
    table, _, _ = run
    many = km.fit_many(DECAY, table, by="well", missing="drop", check=0)
    rows = many.table.to_pylist()
    assert (rows[10]["_n"], rows[10]["_state"]) == (N - 1, "converged")
    assert (rows[30]["_n"], rows[30]["_state"]) == (N - 1, "converged")
    assert (rows[20]["_n"], rows[20]["_code"], rows[20]["_verdict"]) == (0, "EMPTY", "failed")
    assert many.data.dropped == N + 2
    one = many.fit("w10")
    assert one.params["a"] == pytest.approx(rows[10]["a"], rel=1e-10)
    assert one.data.dropped == 1
    assert one.index is not None
    assert len(one.index) == N - 1
    with pytest.raises(km.DataError, match="E-EMPTY"):
        many.fit("w20")


def test_the_summary_names_codes_with_their_first_curves(run: Any) -> None:
    _, _, many = run
    codes = {one.name: one for one in many.codes}
    assert codes["MISSING"].curves == 3
    assert codes["MISSING"].keys == (("w10",), ("w20",), ("w30",))
    assert sum(one.curves for one in many.codes) == many.counts["look"] + many.counts["failed"]
    text = many.text()
    assert "w10, w20, w30" in text
    assert many.verdict == "look"


def test_a_curve_that_cannot_be_fitted_says_why_when_it_is_asked_for(run: Any) -> None:
    table, _, many = run
    row = int(np.flatnonzero(table["well"] == "w10")[3]) + 1
    with pytest.raises(km.DataError, match=rf"{row} \(y\)"):
        many.fit("w10")
    with pytest.raises(km.DataError, match="E-TOOFEW"):
        many.fit("w100")
    with pytest.raises(km.DataError, match="E-OVERFLOW"):
        many.fit("w50")


def test_weights_that_are_none_spoil_one_curve() -> None:
    table = long(decays(5), TIMES, "t")
    table["s"] = np.full(5 * N, 0.03)
    table["s"][well(2)][4] = -1.0
    table["s"][well(3)][4] = np.nan
    many = km.fit_many(DECAY, table, by="well", sigma="s", sigma_is="known", check=2)
    assert many.column("_code").to_pylist()[2:4] == ["SIGMA", "MISSING"]
    array = km.fit_many(DECAY, table, by="well", sigma=table["s"], sigma_is="known", check=0)
    assert array.column("_code").to_pylist()[2:4] == ["SIGMA", "SIGMA"]
    for found in (many, array):
        with pytest.raises(km.DataError, match="E-SIGMA"):
            found.fit("w2")
    assert many.column("a").to_pylist() == array.column("a").to_pylist()
    weights = km.fit_many(DECAY, table, by="well", weights="s", check=0)
    assert weights.column("_code").to_pylist()[2] == "SIGMA"


def test_a_left_side_without_a_value_spoils_one_curve() -> None:
    table = long(decays(5), TIMES, "t")
    table["y"] = table["y"].copy()
    table["y"][well(1)][7] = -0.5
    many = km.fit_many("log(y) ~ m*t + q", table, by="well", check=2)
    assert many.column("_code").to_pylist()[1] == "DOMAIN"
    assert many.counts["failed"] == 1
    with pytest.raises(km.DataError, match="E-DOMAIN"):
        many.fit("w1")


def test_a_condition_without_a_value_spoils_one_curve() -> None:
    table = long(decays(4), TIMES, "t")
    table["q"] = np.ones(4 * N)
    table["q"][well(2)][0] = np.nan
    many = km.fit_many(DECAY, table, by="well", where="q > 0", check=0)
    assert many.column("_code").to_pylist()[2] == "MISSING"
    assert many.counts["failed"] == 1
    dropped = km.fit_many(DECAY, table, by="well", where="q > 0", missing="drop", check=0)
    assert dropped.column("_n").to_pylist() == [N, N, N - 1, N]
    assert dropped.data.dropped == 1


def test_text_in_a_used_column_is_an_error_of_the_table() -> None:
    table = {name: list(column) for name, column in long(decays(3), TIMES, "t").items()}
    table["y"][9] = "high"
    with pytest.raises(km.DataError, match="row 10 column y"):
        km.fit_many(DECAY, table, by="well")


def test_no_good_curve_at_all_is_a_failed_table() -> None:
    many = km.fit_many(DECAY, {"t": [1.0, 2.0], "y": [[1.0, 2.0], [3.0, np.nan]]})
    assert many.verdict == "failed"
    assert many.checked.curves == ()
    assert many.column("_code").to_pylist() == ["TOOFEW", "MISSING"]
    assert "failed" in many.text()
    assert "失敗" in many.text("ja")

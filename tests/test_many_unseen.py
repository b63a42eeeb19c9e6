"""Closed forms of rows that nobody looked at first: what is wrong with a curve is seen; the table's room."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import katamuki as km
from katamuki.api import many as whole_call
from katamuki.api.many_asking import Given, wanted
from katamuki.api.many_blocks import Unseen
from katamuki.backends.kernel import Kernel
from katamuki.formula import parse
from katamuki.many.curves import Curves
from katamuki.many.sheet import Sheet
from katamuki.many.straight import fit_linear, fit_unseen, telling

COUNT, N = 300, 6
FORMULAS = {
    "line": "y ~ a*x + b",
    "parabola": "y ~ a*x^2 + b*z + c",
    "hidden": "y ~ a*(1 if x > 3 else 2*z) + b*exp(-z)",
    "no column": "y ~ a",
}


def table(spoiled: bool) -> dict[str, Any]:
    """A long table of curves, nine of which cannot be fitted or nearly not, if they are spoiled."""
    rng = np.random.default_rng(7)
    x, z = rng.uniform(0.0, 6.0, (2, COUNT, N))
    y = 2.0 * x - z + rng.normal(scale=0.1, size=x.shape)
    if spoiled:
        y[3, 2] = y[40] = x[50, 1] = z[60, 5] = np.nan
        x[70, 0], z[80, 1], y[90, 0] = np.inf, np.inf, -np.inf
        y[100] *= 1e200
        y[110] *= 1e-200
        y[120] = 0.0
        x[130], z[130] = 2.0, 2.0
    key = np.repeat(np.arange(COUNT) * 3, N)
    kept = ~((key == 3 * 140) & (np.arange(COUNT * N) % N > 0)) if spoiled else np.ones(COUNT * N, dtype=bool)
    return {"k": key[kept], "x": x.ravel()[kept], "z": z.ravel()[kept], "y": y.ravel()[kept]}


@pytest.mark.parametrize("missing", ["error", "drop"])
@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("spoiled", [False, True])
def test_rows_that_nobody_looked_at_first_give_the_same_table(
    name: str, missing: Any, spoiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = table(spoiled)
    found = km.fit_many(FORMULAS[name], data, by="k", missing=missing)
    monkeypatch.setattr(whole_call, "_unseen", lambda _: None)
    looked_at = km.fit_many(FORMULAS[name], data, by="k", missing=missing)
    assert found.table.equals(looked_at.table)
    assert found.checked == looked_at.checked
    if spoiled and missing == "error" and name == "hidden":
        codes = found.column("_code").to_pylist()
        assert [codes[k] for k in (3, 50, 60, 70, 80, 100, 140)] == ["MISSING"] * 5 + ["OVERFLOW", "TOOFEW"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", ["x", "y", "z"])
@pytest.mark.parametrize("name", ["line", "parabola", "hidden"])
def test_one_value_is_found_wherever_it_is(name: str, column: str, value: float) -> None:
    """Alone in its table, so that no other curve asks for the look; also where the formula has a number there."""
    data = table(False)
    data[column][6 * N + 2] = value
    codes = km.fit_many(FORMULAS[name], data, by="k", check=0).column("_code").to_pylist()
    used = column == "y" or column in FORMULAS[name]
    assert [k for k, code in enumerate(codes) if code == "MISSING"] == ([6] if used else [])


def test_the_test_above_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    data = table(False)
    data["x"][6 * N + 2] = np.nan
    monkeypatch.setattr(whole_call, "_unseen", lambda _: Unseen(fit_unseen, frozenset({"x", "z"})))
    assert "MISSING" not in km.fit_many(FORMULAS["hidden"], data, by="k", check=0).column("_code").to_pylist()


@pytest.mark.parametrize("spoiled", [False, True])
def test_wide_arrays_too(spoiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    x, y = np.arange(5.0), rng.normal(size=(40, 5))
    if spoiled:
        y[3, 1], y[5] = np.nan, 1e200
    found = km.fit_many("y ~ a*x + b", {"x": x, "y": y}, check=0).table
    each = km.fit_many("y ~ a*x + b", {"x": np.tile(x, (40, 1)), "y": y}, check=0).table
    monkeypatch.setattr(whole_call, "_unseen", lambda _: None)
    assert found.equals(km.fit_many("y ~ a*x + b", {"x": x, "y": y}, check=0).table)
    assert each.column("_code").equals(found.column("_code"))


def test_an_engine_that_is_told_that_something_is_wrong_gives_nothing() -> None:
    """The look decides: clean rows are not looked at, others are, and what it says is obeyed."""
    todo = wanted("y ~ a*x + b", table(False), Given(by="k"))
    supply, asked = todo.supply, []

    def sure(answer: bool) -> Any:
        return lambda: asked.append(answer) or answer

    y = supply.arrays["y"].copy()
    curves = Curves(supply.offsets, (supply.arrays["x"],), y)
    there = fit_unseen(todo.task, curves, sure(False))
    assert there is not None
    assert not asked
    assert np.array_equal(there.values, fit_linear(todo.task, curves, 1).values)
    y[7] = np.nan
    assert fit_unseen(todo.task, curves, sure(False)) is None
    assert asked == [False]


def test_what_hides_a_missing_value_tells_nothing() -> None:
    """Each column that tells makes some sum of a curve no number, whatever the others are."""
    formula = "y ~ a*(x - z)*u + b*(-v)/w + c*min(p, 1) + d*exp(-q) + e*(1 if s > 0 else 2)"
    names = ("x", "z", "u", "v", "w", "p", "q", "s")
    kernel = Kernel(parse(formula, ["y", *names]).graph)
    told = telling(kernel, kernel.parameters)
    assert told == {"x", "z", "u", "v"}
    assert telling(kernel, ("b",)) == {"v"}
    for name in told:
        for value in (np.nan, np.inf, -np.inf):
            columns = [np.array([value if one == name else 0.5]) for one in kernel.columns]
            with np.errstate(all="ignore"):
                assert not np.isfinite(kernel.evaluate(columns, np.zeros(5), 1, want=True)).all()
    hidden = [np.array([np.inf if one in {"w", "p", "q", "s"} else 0.5]) for one in kernel.columns]
    assert np.isfinite(kernel.evaluate(hidden, np.zeros(5), 1, want=True)).all()


def test_a_sheet_is_the_table_of_its_blocks_in_any_order() -> None:
    data = table(True)
    there = km.fit_many(FORMULAS["line"], data, by="k", check=0).table
    todo = wanted(FORMULAS["line"], data, Given(by="k"))
    sheet = Sheet(("k",), todo.supply.keys, ("a", "b"), COUNT)
    given = (todo.road, todo.task, lambda task, curves: fit_linear(task, curves, 1), todo.weighing, "error", ("k",))
    work = whole_call.Work(*given, sheet)
    loads = []
    while (taken := todo.supply.take(70, 10**6)) is not None:
        loads.append(taken[0])
    for load in reversed(loads):
        work(load)
    assert sheet.table().num_rows == 0
    sheet.handed(200)
    assert sheet.table().equals(there.slice(0, 200))
    sheet.handed(100)
    assert sheet.table().equals(there)
    assert all(column.num_chunks == 1 for column in sheet.table().columns)
    assert sheet.table().schema.field("_code").type == pa.string()


def test_a_table_that_is_too_large_is_refused_before_anything_is_fitted() -> None:
    heard: list[int] = []
    with pytest.raises(km.DataError, match="E-MEMORY") as error:
        km.fit_many("y ~ a*x + b", table(False), by="k", max_memory=20_000, progress=lambda *_: heard.append(1))
    assert "output=" in error.value.remedy
    assert not heard

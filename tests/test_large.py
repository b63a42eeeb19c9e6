"""Many rows of a linear formula in one pass: the answers of the careful road, by one walk over the rows."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import katamuki as km
from katamuki.api import preparing
from katamuki.problem import CHUNK, large

ROWS = 30_000
RNG = np.random.default_rng(3)
X = RNG.uniform(-2.0, 5.0, ROWS)
Z = RNG.normal(0.0, 3.0, ROWS)
Y = 1.5 * X - 0.25 * Z + 4.0 + RNG.normal(0.0, 0.3, ROWS)
DATA = {"x": X, "z": Z, "y": Y}


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows from a thousand on are many, and a sample of them is a tenth."""
    monkeypatch.setattr(preparing, "LARGE", 1000)
    monkeypatch.setattr(large, "SAMPLE", 3000)


def both(monkeypatch: pytest.MonkeyPatch, formula: str, data: object, **options: object) -> tuple[km.Fit, km.Fit]:
    """The fit in one pass, and by the careful road."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        monkeypatch.setattr(preparing, "LARGE", 1000)
        monkeypatch.setattr(large, "SAMPLE", 3000)
        once = km.fit(formula, data, **options)
        monkeypatch.setattr(preparing, "LARGE", 10**9)
        return once, km.fit(formula, data, **options)


def codes(fit: km.Fit) -> list[str]:
    return [one.code for one in fit.findings]


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ a*x + b", {}),
        ("y ~ a*x + b*z + c", {}),
        ("y ~ a*x + b*x^2 + c*x^3 + d", {}),
        ("y ~ a*exp(-x) + b*sin(z) + c", {}),
        ("y ~ a*x + b*z + c", {"fixed": {"c": 4.0}}),
        ("y ~ a*x + b*z + c", {"bounds": {"a": (0.0, 9.0)}}),
        ("y ~ a*x + b*z + c", {"bounds": {"a": (0.0, 1.0)}}),
        ("y ~ a*(x + 1500) + b", {}),  # ill-conditioned: double-double on both roads
        ("y ~ a", {}),
    ],
)
def test_one_pass_gives_the_answer_of_the_careful_road(
    monkeypatch: pytest.MonkeyPatch, formula: str, options: dict[str, object]
) -> None:
    once, careful = both(monkeypatch, formula, DATA, **options)
    assert "SAMPLED" in codes(once)
    assert "SAMPLED" not in codes(careful)
    assert (once.state, once.verdict, once.dof) == (careful.state, careful.verdict, careful.dof)
    for name, value in careful.params.items():
        bar = careful.stderr[name]
        assert once.params[name] == pytest.approx(value, rel=1e-12, abs=1e-10 * (bar or abs(value)))
        # Normal equations in doubles, columns scaled, condition below 1e3: ten digits of an error bar.
        assert (once.stderr[name] is None) == (bar is None)
        if bar is not None:
            assert once.stderr[name] == pytest.approx(bar, rel=1e-10)
    for what in ("loss", "rss", "r2", "aic"):
        assert getattr(once, what) == pytest.approx(getattr(careful, what), rel=1e-11)
    assert len(once.residuals) == ROWS
    assert once.check().verdict == "PASS"


def test_an_answer_that_is_moved_is_not_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    once, _ = both(monkeypatch, "y ~ a*x + b", DATA)
    _, moved = both(monkeypatch, "y ~ a*x + b", {**DATA, "y": Y + 1e-9 * X})
    assert once.params["a"] != pytest.approx(moved.params["a"], rel=1e-12)


@pytest.mark.usefixtures("many")
def test_the_answer_is_that_of_numpy() -> None:
    fit = km.fit("y ~ a*x + b*z + c", DATA)
    want = np.linalg.lstsq(np.column_stack([X, Z, np.ones(ROWS)]), Y, rcond=None)[0]
    assert list(fit.params.values()) == pytest.approx(want.tolist(), rel=1e-12)


@pytest.mark.usefixtures("many")
def test_bits_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    n = 3 * CHUNK + 17
    x = np.random.default_rng(1).random(n)
    data = {"x": x, "y": 2.0 * x + np.sin(1e4 * x)}
    one, two = (km.fit("y ~ a*x + b", data, threads=k) for k in (1, 2))
    assert one.params == two.params
    assert (one.stderr, one.rss, one.r2) == (two.stderr, two.rss, two.r2)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("part", ["a*x", "a/x", "a*(1 if x > 1 else 0)", "a*atan(x)"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", ["x", "y"])
def test_a_value_that_is_not_finite_is_named_however_the_formula_hides_it(part: str, bad: float, column: str) -> None:
    values = DATA[column].copy()
    values[12_345] = bad
    data = {**DATA, column: values}
    with pytest.raises(km.DataError, match="12346") as caught:
        km.fit(f"y ~ {part} + b", data)
    assert caught.value.code == "E-MISSING"
    assert km.fit(f"y ~ {part} + b", data, missing="drop").n == ROWS - 1


@pytest.mark.usefixtures("many")
def test_a_row_that_does_not_belong_is_named_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "SAMPLE", ROWS)  # every row is in the sample
    values = Y.copy()
    values[777] += 50.0
    (found,) = [one for one in km.fit("y ~ a*x + b*z + c", {**DATA, "y": values}).findings if one.code == "OUTLIERS"]
    assert "778" in str(found.text)


def test_the_sample_has_one_row_of_each_part_and_follows_its_seed() -> None:
    n, count = 1_000_003, 1000
    rows = large._spread(n, count, 0)
    parts = rows * count // n
    assert (np.diff(rows) > 0).all()
    assert np.abs(parts - np.arange(count)).max() <= 1
    assert (rows == large._spread(n, count, 0)).all()
    assert (rows != large._spread(n, count, 1)).any()
    assert (large._spread(50, 50, 4) == np.arange(50)).all()


@pytest.mark.usefixtures("many")
def test_rows_with_weights_conditions_or_other_kinds_of_columns_go_the_careful_road() -> None:
    ways = [
        km.fit("y ~ a*x + b", DATA, weights=np.ones(ROWS)),
        km.fit("y ~ a*x + b", DATA, sigma=0.3, sigma_is="known"),
        km.fit("y ~ a*x + b", DATA, where="x > 0"),
        km.fit("y ~ a*x + b", {"x": X.astype(np.float32), "y": Y}),
        km.fit("exp(-y/50) ~ a*x + b", DATA),
    ]
    assert not any("SAMPLED" in codes(fit) for fit in ways)


@pytest.mark.usefixtures("many")
def test_columns_that_depend_on_each_other_are_not_identifiable() -> None:
    with pytest.warns(km.FitWarning):
        fit = km.fit("y ~ a*x + b*(2*x + 1) + c", DATA)
    assert fit.state == "not_identifiable"


@pytest.mark.usefixtures("many")
def test_a_perfect_line_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = km.fit("y ~ a*x + b", {"x": X, "y": 3.0 * X - 7.0})
    assert fit.params == pytest.approx({"a": 3.0, "b": -7.0}, rel=1e-14)


@pytest.mark.usefixtures("many")
def test_columns_of_two_lengths_are_refused() -> None:
    with pytest.raises(km.DataError) as caught:
        km.fit("y ~ a*x + b", {"x": X[:-1], "y": Y})
    assert caught.value.code == "E-LENGTH"

"""Closed forms of many curves against ``katamuki.fit`` on each of them, one by one."""

import warnings

import numpy as np
import pytest

import katamuki as km
from katamuki import tails
from katamuki.api.many_one import Road
from katamuki.api.options import Asked
from katamuki.api.plan import plan_for
from katamuki.api.values import settings
from katamuki.backends.native import address_of, function
from katamuki.backends.vectors import turn
from katamuki.errors import FitWarning, KatamukiError, NotConverged
from katamuki.findings import LEVEL, REGION, few_runs
from katamuki.many import limits, straight
from katamuki.many.curves import STATES, VERDICTS, Curves, ManyTask
from katamuki.many.straight import fit_linear

COLUMNS = ("values", "stderr", "loss", "dof", "verdict", "state", "code")


def task_of(formula, sigma_is=None, fixed=None, names=("x", "y")):
    """The task of a formula of some columns."""
    plan = plan_for(formula, names, None, ())
    said = settings(plan.kernel.parameters, None, None, fixed)
    values = np.array([said.start[name] for name in plan.kernel.parameters])
    road = Road(plan, said, sigma_is, names, Asked("auto", 0))
    free = tuple(said.free)
    return ManyTask(plan.kernel, free, values, frozenset(), {}, sigma_is, True, "auto", 0, road.one)


def curves_of(parts, weights=None, count=1):
    """Curves from pairs x, y; of formulas without a column, without x."""
    offsets = np.concatenate([[0], np.cumsum([len(y) for _, y in parts])]).astype(np.int64)
    x, y = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    return Curves(offsets, (x,)[:count], y, weights)


def judged(formula, x, y, weights, sigma_is, fixed):
    """``katamuki.fit`` on one curve as a row: values, stderr, loss, dof, verdict, state, code."""
    options = {"fixed": fixed}
    if weights is not None:
        options |= {"weights": weights} if sigma_is is None else {"sigma": weights**-0.5, "sigma_is": sigma_is}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            fit = km.fit(formula, {"x": x, "y": y}, **options)
    except KatamukiError as error:
        state = error.fit.state if isinstance(error, NotConverged) else ""
        return None, None, np.nan, -1, "failed", state, error.code.removeprefix("E-")
    grave = [one.code for one in fit.findings if one.severity != "note"]
    bars = np.array([np.nan if one is None else one for one in fit.stderr.values()])
    values = np.array(list(fit.params.values()))
    return values, bars, fit.loss, fit.dof, fit.verdict, fit.state, grave[0] if grave else ""


def digits(found, wanted, beside=0.0):
    """In how many digits numbers agree, NaN where both have none."""
    found, wanted = np.atleast_1d(found), np.atleast_1d(wanted)
    assert (np.isnan(found) == np.isnan(wanted)).all()
    apart = np.abs(found - wanted) / np.maximum(np.abs(wanted), np.maximum(beside, 1e-300))
    return -np.log10(np.nanmax(apart, initial=1e-17))


def assert_same_as_one_by_one(formula, parts, weights=None, sigma_is=None, fixed=None, least=10.0):
    """Every column equal to what ``katamuki.fit`` says of each curve; how often each code came."""
    task = task_of(formula, sigma_is, fixed)
    curves = curves_of(parts, weights, len(task.kernel.columns))
    found = fit_linear(task, curves, 1)
    for k, (x, y) in enumerate(parts):
        w = None if weights is None else weights[curves.offsets[k] : curves.offsets[k + 1]]
        values, stderr, loss, *words = judged(formula, x, y, w, sigma_is, fixed)
        code = found.codes[found.code[k]]
        assert [found.dof[k], VERDICTS[found.verdict[k]], STATES[found.state[k]], code] == words, k
        if values is None:
            assert np.isnan(found.values[k]).all()
            assert np.isnan(found.stderr[k]).all()
            assert np.isnan(found.loss[k])
            continue
        # What rounding leaves of a perfect fit's residuals agrees in no digit; without freedom every fit is perfect.
        noise = np.sum(y * y * (1.0 if w is None else w)) / len(y) * (1e-26 if found.dof[k] else 1e-16)
        assert digits(found.values[k], values, np.nan_to_num(stderr) / 1000) >= least, k
        assert found.loss[k] <= noise if loss <= noise else digits(found.loss[k], loss) >= least, k
        assert loss <= noise or digits(found.stderr[k], stderr) >= least, k
    return {one: int((found.code == number).sum()) for number, one in enumerate(found.codes)}


def line(draw, k, offset=0.0, most=60):
    """A straight line with noise; some curves are bent, some spread, some have an outlier."""
    n = int(draw.integers(2, most))
    x = offset + draw.uniform(0.0, 1.0, n)
    noise = 0.3 * draw.normal(size=n) * (1.0 + 3.0 * (k % 7 == 0) * (x - offset))
    y = 2.0 * x + 1.0 + noise + 4.0 * (k % 5 == 0) * (x - offset) ** 2
    y[n // 2] += 5.0 * (k % 11 == 0)
    return (x, y) if k % 2 else (np.sort(x), y[np.argsort(x)])


def test_lines_are_what_fit_says_of_each():
    draw = np.random.default_rng(1)
    counts = assert_same_as_one_by_one("y ~ a*x + b", [line(draw, k) for k in range(700)])
    assert all(counts[code] > 0 for code in ("", "RUNS", "SPREAD", "OUTLIERS", "NO_FREEDOM"))


@pytest.mark.parametrize("offset", [30.0, 2000.0, 1e6, 1.7e9])
def test_columns_far_from_zero_keep_their_digits(offset):
    draw = np.random.default_rng(2)
    scale = 1.0 if offset < 1e9 else 3600.0  # a time stamp, an hour of data
    parts = [line(draw, k) for k in range(150)]
    assert_same_as_one_by_one("y ~ a*x + b", [(offset + scale * x, y) for x, y in parts])


@pytest.mark.parametrize("sigma_is", [None, "known", "relative"])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_weights_mean_what_they_mean_in_fit(sigma_is, offset):
    draw = np.random.default_rng(3)
    parts = [line(draw, k, offset) for k in range(200)]
    weights = draw.uniform(0.5, 8.0, sum(len(y) for _, y in parts))
    counts = assert_same_as_one_by_one("y ~ a*x + b", parts, weights, sigma_is)
    assert (counts["CHI2"] > 0) == (sigma_is == "known")


WAVE = "y ~ a*sin(3*x) + b*cos(3*x) + c"


@pytest.mark.parametrize(
    ("formula", "fixed"),
    [
        ("y ~ c", None),
        ("y ~ a*x", None),
        ("y ~ a*x + b", {"b": 1.5}),
        ("y ~ a*x**2 + b*x + c", None),
        ("y ~ a*x**4 + b*x**3 + c*x**2 + d*x + e", None),
        (WAVE, None),
    ],
)
def test_other_linear_formulas_are_what_fit_says_of_each(formula, fixed):
    draw = np.random.default_rng(4)
    parts = [line(draw, k) for k in range(120)]
    counts = assert_same_as_one_by_one(formula, parts, fixed=fixed)
    assert counts.get("TOOFEW", 0) == sum(len(y) < formula.count("*") // 2 for _, y in parts) or len(counts)


def test_several_columns_are_what_fit_says_of_each():
    draw, task = np.random.default_rng(11), task_of("y ~ a*x + b*z + c*x*z + d", names=("x", "z", "y"))
    sizes = draw.integers(3, 40, 120)
    offsets, rows = np.concatenate([[0], np.cumsum(sizes)]), int(sizes.sum())
    x, z, y = draw.uniform(0.0, 3.0, rows), draw.integers(0, 3, rows).astype(float), draw.normal(size=rows)
    found = fit_linear(task, Curves(offsets, (x, z), y), 1)
    for k in range(len(sizes)):
        own = slice(offsets[k], offsets[k + 1])
        one = task.one((x[own], z[own]), y[own], None)
        words = [VERDICTS[found.verdict[k]], STATES[found.state[k]], found.codes[found.code[k]]]
        assert words == [one.verdict, one.state, one.code], k
        assert digits(found.values[k], one.values, np.nan_to_num(one.stderr) / 1000) >= 10, k
        assert sizes[k] == 4 or digits(found.stderr[k], one.stderr) >= 10, k


def test_waves_too_fast_for_their_rows_are_said():
    draw = np.random.default_rng(5)
    steps = [0.2 + 0.02 * k for k in range(120)]
    parts = [(np.arange(12.0) * step, draw.normal(size=12)) for step in steps]
    counts = assert_same_as_one_by_one(WAVE, parts)
    assert counts["ALIAS"] > 20


@pytest.mark.parametrize("rows", [255, 256, 257, 700, 2500, 4096, 4097])
def test_long_curves_are_what_fit_says_of_each(rows):
    draw = np.random.default_rng(rows)
    parts = []
    for k in range(3):
        x = draw.uniform(0.0, 1.0, rows)
        x = np.sort(x) if k == 0 else x
        parts.append((x, 2.0 * x + draw.normal(size=rows) + (k == 1) * 3.0 * x * x))
    assert_same_as_one_by_one("y ~ a*x + b", parts)


def test_predictors_with_ties_and_residuals_of_zero_have_the_runs_of_fit():
    draw = np.random.default_rng(6)
    parts = []
    for k in range(150):
        x = draw.integers(0, 4, 12).astype(float)
        x[:2] = 0.0, 3.0
        y = draw.integers(-1, 2, 12).astype(float) + np.sort(draw.normal(size=12)) * (k % 2)
        parts.append((x, y))
    parts += [(np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), np.array([-1.0, 0.0, 1.0, 0.0, 0.0, -1.0, 1.0]))] * 3
    assert_same_as_one_by_one("y ~ a*x + b", parts)


POISON = {
    "one row": ([1.0], [2.0]),
    "two rows": ([1.0, 2.0], [2.0, 3.0]),
    "constant x": ([2.0] * 5, [1.0, 2.0, 3.0, 2.0, 1.0]),
    "zero x": ([0.0] * 5, [1.0, 2.0, 3.0, 2.0, 1.0]),
    "x that hardly moves": ([1.0, 1.0 + 2e-16, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0]),
    "constant y": ([1.0, 2.0, 3.0, 4.0, 5.0], [3.7] * 5),
    "zero y": ([1.0, 2.0, 3.0, 4.0, 5.0], [0.0] * 5),
    "a perfect line": ([1.0, 2.0, 3.0, 5.0], [0.7, 1.1, 1.5, 2.3]),
    "huge y": ([1.0, 2.0, 3.0, 4.0], [1e160, -1e160, 2e160, 0.0]),
    "tiny y": ([1.0, 2.0, 3.0, 4.0], [1e-140, -1e-140, 2e-140, 0.0]),
    "y below all squares": ([1.0, 2.0, 3.0, 4.0], [1e-200, -1e-200, 2e-200, 0.0]),
    "huge x": ([1e200, 2e200, 3e200, 5e200], [1.0, 2.0, 3.5, 4.0]),
    "tiny x": ([1e-200, 2e-200, 3e-200, 5e-200], [1.0, 2.0, 3.5, 4.0]),
    "one row far away": ([1.0, 2.0, 3.0, 4.0, 1e9], [1.0, 2.0, 2.5, 4.0, 3.0]),
    "one value far away": ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], [1.0, 2.1, 3.0, 4.1, 5.0, 1e9, 7.0]),
}


def test_poisoned_curves_get_the_code_of_fit_and_leave_the_others_alone():
    draw = np.random.default_rng(7)
    good = [line(draw, 2 * k + 1) for k in range(64)]
    parts = list(good)
    for place, (x, y) in enumerate(POISON.values()):
        parts.insert(4 * place + 1, (np.array(x), np.array(y)))
    counts = assert_same_as_one_by_one("y ~ a*x + b", parts)
    assert counts["TOOFEW"] == 1
    assert counts["UNDETERMINED"] >= 3
    assert counts["OVERFLOW"] >= 2
    found, alone = (fit_linear(task_of("y ~ a*x + b"), curves_of(some), 1) for some in (parts, good))
    kept = [k for k in range(len(parts)) if k % 4 != 1 or k > 4 * len(POISON)]
    assert_same_bits(found, alone, kept)


def test_a_formula_without_a_value_somewhere_spoils_its_own_curve_only():
    draw = np.random.default_rng(8)
    parts = [line(draw, k) for k in range(20)]
    parts[7] = (parts[7][0] - 5.0, parts[7][1])
    counts = assert_same_as_one_by_one("y ~ a*log(x) + b", parts)

    assert counts["DOMAIN"] == 1


def assert_same_bits(found, other, chosen=slice(None)):
    """Rows of two results, column by column; codes by their names."""
    for name in COLUMNS[:-1]:
        np.testing.assert_array_equal(getattr(found, name)[chosen], getattr(other, name))
    here = [found.codes[k] for k in found.code[chosen]]
    assert here == [other.codes[k] for k in other.code]


@pytest.mark.parametrize("formula", ["y ~ a*x + b", "y ~ a*sin(x) + b*exp(-x) + c"])
def test_neighbours_chunks_and_threads_change_no_bit(formula, monkeypatch):
    draw = np.random.default_rng(9)
    parts = [line(draw, k, offset=1e6 * (k % 6 == 0) * (formula == "y ~ a*x + b"), most=90) for k in range(300)]
    task = task_of(formula)
    whole = fit_linear(task, curves_of(parts), 1)
    order = draw.permutation(len(parts))
    assert_same_bits(whole, fit_linear(task, curves_of([parts[k] for k in order]), 2), order)
    chunks = [fit_linear(task, curves_of(parts[first : first + 37]), 2) for first in range(0, 300, 37)]
    for first, chunk in zip(range(0, 300, 37), chunks, strict=True):
        assert_same_bits(whole, chunk, slice(first, first + 37))
    monkeypatch.setattr(straight, "SLICE", 16)
    assert_same_bits(whole, fit_linear(task, curves_of(parts), 3))
    whole.values[5, 0] = np.nextafter(whole.values[5, 0], np.inf)
    with pytest.raises(AssertionError):  # the comparison sees one bit
        assert_same_bits(whole, fit_linear(task, curves_of(parts), 1))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_shared_columns_are_the_same_as_repeated_ones(weighted, offset):
    draw = np.random.default_rng(10)
    b, n = 50, 23
    x, y = offset + draw.uniform(0.0, 1.0, n), draw.normal(size=b * n)
    weights = draw.uniform(1.0, 2.0, n) if weighted else None
    offsets = np.arange(b + 1) * n
    task = task_of("y ~ a*x + b")
    wide = fit_linear(task, Curves(offsets, (x,), y, weights, shared=True), 2)
    long = fit_linear(task, Curves(offsets, (np.tile(x, b),), y, None if weights is None else np.tile(weights, b)), 1)
    assert_same_bits(wide, long)


def test_no_curves_are_no_rows():
    nothing = Curves(np.zeros(1, dtype=np.int64), (np.zeros(0),), np.zeros(0))
    assert len(fit_linear(task_of("y ~ a*x + b"), nothing).loss) == 0
    empty = Curves(np.array([0, 0, 3]), (np.arange(3.0),), np.array([0.0, 1.0, 3.0]))
    found = fit_linear(task_of("y ~ a*x + b"), empty)
    assert [found.codes[k] for k in found.code] == ["TOOFEW", ""]


@pytest.mark.parametrize("sigma_known", [False, True])
def test_limits_are_where_the_tests_of_one_fit_change_their_mind(sigma_known):
    p = 2
    for n in (3, 4, 7, 20, 57, 400):
        dof = n - p
        nearest, _, pull, share, low, high = limits.row(n, p, sigma_known)
        for factor, fires in ((1.0 - 1e-9, False), (1.0 + 1e-9, True)):
            if dof > 1:
                left = dof - nearest * factor
                t = np.inf if left <= 0.0 else np.sqrt(nearest * factor * (dof - 1) / left)
                assert (n * tails.student(t, dof - 1) < LEVEL) == fires
                square = share * factor
                t = np.sqrt(square * (dof - 1) / (1.0 - square)) if square < 1.0 else np.inf
                assert (tails.student(t, dof - 1) < LEVEL / 2) == fires
            assert (tails.fisher(pull * factor / p, p, dof) < REGION) == (fires or pull / p == 1.0)
            if sigma_known:
                assert (tails.chi_squared(high * factor, dof)[1] < LEVEL / 2) == fires
                assert (tails.chi_squared(low * factor, dof)[0] < LEVEL / 2) != fires


@pytest.mark.parametrize("most", [8, 16, 64, 200])
def test_the_table_of_runs_is_the_count_of_one_fit(most):
    table = limits.few_runs_table(most)
    draw = np.random.default_rng(most)
    for _ in range(200):
        positive = int(draw.integers(0, most + 1))
        negative = int(draw.integers(0, most + 1 - positive))
        runs = int(table[positive, negative])
        assert not (runs > 0 and few_runs(runs, positive, negative) >= LEVEL / 2)
        if positive and negative and positive + negative >= 3:
            assert few_runs(runs + 1 if runs else 2, positive, negative) >= LEVEL / 2


def test_a_curve_with_more_runs_than_its_limit_cannot_have_too_few():
    sizes = np.array([5, 20, 57, 200, 201])
    found = limits.limits(sizes, 2, False)[:, -1]
    for n in sizes[:-1].tolist():
        most = int(found[n])
        assert min(few_runs(most + 1 if most else 2, k, n - k) for k in range(1, n)) >= LEVEL / 2
        assert most == 0 or min(few_runs(most, k, n - k) for k in range(1, n)) < LEVEL / 2
    assert [int(found[n]) > 0 for n in sizes[:-1].tolist()] == [False, True, True, True]
    assert np.isinf(found[201])  # beyond the count of one fit each curve is looked at


@function("int64(double*, int64, double*, int64*, int64)")
def turned(target, place, source, begins, row):
    """One call of the operation."""
    turn(target, place, source, begins, row)
    return 0


def test_four_rows_of_eight_curves_are_turned_as_the_plain_source_says():
    source, begins = np.arange(100.0), np.array([3, 1, 50, 20, 7, 90, 33, 2])
    here, there = np.zeros(48), np.zeros(48)
    turned(address_of(here), 1, address_of(source), address_of(begins), 2)
    turned.python(there, 1, source, begins, 2)
    np.testing.assert_array_equal(here, there)
    assert here[8:16].tolist() == [5, 3, 52, 22, 9, 92, 35, 4]

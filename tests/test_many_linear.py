"""Closed forms of many curves against ``katamuki.fit`` on each of them, one by one."""

import warnings

import numpy as np

import katamuki as km
from katamuki.api.many_one import Road
from katamuki.api.options import Asked
from katamuki.api.plan import plan_for
from katamuki.api.values import settings
from katamuki.backends.native import address_of, function
from katamuki.backends.vectors import turn
from katamuki.errors import FitWarning, KatamukiError
from katamuki.many.curves import STATES, VERDICTS, Curves, ManyTask
from katamuki.many.straight import fit_linear

COLUMNS = ("values", "stderr", "loss", "dof", "verdict", "state", "code")


def task_of(formula, sigma_is=None, fixed=None):
    """The task of a formula of the columns x and y."""
    plan = plan_for(formula, ("x", "y"), None, ())
    said = settings(plan.kernel.parameters, None, None, fixed)
    values = np.array([said.start[name] for name in plan.kernel.parameters])
    road = Road(plan, said, sigma_is, ("x", "y"), Asked("auto", 0))
    free = tuple(said.free)
    return ManyTask(plan.kernel, free, values, frozenset(), {}, sigma_is, True, "auto", 0, road.one)


def curves_of(parts, weights=None):
    """Curves from pairs x, y."""
    offsets = np.concatenate([[0], np.cumsum([len(y) for _, y in parts])]).astype(np.int64)
    x, y = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    return Curves(offsets, (x,), y, weights)


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
        return None, None, np.nan, -1, "failed", "", error.code.removeprefix("E-")
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
    curves = curves_of(parts, weights)
    found = fit_linear(task_of(formula, sigma_is, fixed), curves, 1)
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
        # What rounding leaves of a perfect fit's residuals agrees in no digit.
        noise = np.sum(y * y * (1.0 if w is None else w)) / len(y) * 1e-26
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


def test_two_thousand_lines_are_what_fit_says_of_each():
    draw = np.random.default_rng(1)
    counts = assert_same_as_one_by_one("y ~ a*x + b", [line(draw, k) for k in range(1000)])
    assert all(counts[code] > 0 for code in ("", "RUNS", "SPREAD", "OUTLIERS", "NO_FREEDOM"))


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

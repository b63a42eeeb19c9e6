"""Profiles beside brute force, what is looked at closely, and what is said of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.stats

import profiled
from judged import codes, jacobian, minimum, problem, residuals, solution
from katamuki import certified
from katamuki.covariance import Uncertainty, uncertainty
from katamuki.findings import bent_profiles, examine, profiles
from katamuki.findings.curvature import LONG, SHORT
from katamuki.findings.profiles import Walker
from katamuki.problem import Problem
from katamuki.records import Minimum, Search, Solution
from katamuki.report import worded

RANDOM = np.random.default_rng(3)
X = np.linspace(0.0, 4.0, 60)
S = np.linspace(0.1, 0.8, 8)
DECAY = "y ~ a*exp(-b*x) + c"
CASES: dict[str, tuple[str, dict[str, Any], list[float]]] = {
    "decay": (DECAY, {"x": X, "y": 3 * np.exp(-1.2 * X) + 0.5 + 0.05 * RANDOM.normal(size=60)}, [3, 1.2, 0.5]),
    "faint decay": (DECAY, {"x": X, "y": 3 * np.exp(-0.2 * X) + 0.5 + 0.2 * RANDOM.normal(size=60)}, [3, 0.2, 0.5]),
    "BoxBOD": (
        "y ~ b1*(1 - exp(-b2*x))",
        {"x": [1.0, 2, 3, 5, 7, 10], "y": [109.0, 149, 149, 191, 213, 224]},
        [213, 0.5],
    ),
    "all below K": ("y ~ v*x/(k + x)", {"x": S, "y": 2 * S / (1.5 + S) + 0.02 * RANDOM.normal(size=8)}, [2, 1.5]),
}


def bars_of(rows: Problem, values: np.ndarray, known: bool = False) -> Uncertainty:
    e = residuals(rows, values)
    return uncertainty(np.linalg.qr(jacobian(rows, values), mode="r"), float(e @ e), rows.n, known)


def walker(rows: Problem, values: np.ndarray, t: float | None = None, **changes: Any) -> Walker:
    e, bars = residuals(rows, values), bars_of(rows, values)
    t = float(scipy.stats.t.ppf(0.975, bars.dof)) if t is None else t
    return Walker(rows, values, bars, float(e @ e), False, t, **changes)


def claim(text: str, rows: Problem, values: np.ndarray, **changes: Any) -> Solution:
    return solution(text, rows, values, **{"linear": False, "state": "converged", **changes})


def looked(case: str, **changes: Any) -> tuple[Solution, tuple[profiles.Profile, ...]]:
    """The claim about a case, and the profiles that are worth a look."""
    text, data, start = CASES[case]
    rows = problem(text, data)
    values = minimum(rows, np.array(start))
    said = claim(text, rows, values, **changes)
    return said, bent_profiles(rows, said, values, bars_of(rows, values))


# ---- the ends ----


@pytest.mark.parametrize("level", [0.68, 0.95])
@pytest.mark.parametrize("case", CASES)
def test_the_ends_are_those_of_brute_force(case: str, level: float) -> None:
    text, data, start = CASES[case]
    rows = problem(text, data)
    values = minimum(rows, np.array(start))
    bars = bars_of(rows, values)
    t = float(scipy.stats.t.ppf(0.5 + level / 2, bars.dof))
    e = residuals(rows, values)
    target = t * t * float(e @ e) / bars.dof
    here = walker(rows, values, t)
    for k in range(rows.p):
        for side in (-1, 1):
            half = side * t * float(bars.stderr[k])
            brute = profiled.end(rows, values, k, half, target)
            found = here.end(k, side)
            if math.isinf(brute):
                assert found.value == brute
                continue
            # Six digits of the half-width: brute force stops at the noise of S, half the digits.
            assert found.value == pytest.approx(brute, abs=1e-6 * abs(half))
            assert found.value != pytest.approx(brute + 0.01 * half, abs=1e-3 * abs(half))


def test_weights_and_fixed_parameters_are_heeded() -> None:
    _, data, _ = CASES["faint decay"]
    weights = 1 / np.linspace(0.1, 0.4, 60) ** 2
    rows = problem(DECAY, data, weights, {"c": 0.4})
    values = minimum(rows, np.array([3, 0.2]))
    here, bars = walker(rows, values), bars_of(rows, values)
    t = float(scipy.stats.t.ppf(0.975, bars.dof))
    for k in range(2):
        for side in (-1, 1):
            half = side * t * float(bars.stderr[k])
            brute = profiled.end(rows, values, k, half, here.target)
            assert here.end(k, side).value == pytest.approx(brute, abs=1e-6 * abs(half))


def test_a_linear_formula_ends_where_its_standard_error_says() -> None:
    rows = problem("y ~ a*x + b", {"x": X, "y": 2 * X + RANDOM.normal(size=60)})
    values = minimum(rows)
    for k in range(2):
        for side in (-1, 1):
            assert walker(rows, values).end(k, side).u == pytest.approx(1.0, abs=1e-8)


def test_data_below_k_set_the_two_parameters_of_saturation_no_upper_limit() -> None:
    y = 2 * S / (1.5 + S) + 0.05 * np.random.default_rng(3).normal(size=8)
    rows = problem("y ~ v*x/(k + x)", {"x": S, "y": y})
    values = minimum(rows, np.array([2, 1.5]))
    for k in range(2):
        below, above = walker(rows, values).end(k, -1), walker(rows, values).end(k, 1)
        assert math.isfinite(below.value)
        assert above.value == math.inf
        straight = np.polynomial.Polynomial.fit(S, y, 1, domain=[-1, 1]).coef  # v/k for k far away
        assert straight[0] != 0.0
    # The limit is the straight line through 0: what is left there is less than the rise that counts.
    slope = float(S @ y / (S @ S))
    e = residuals(rows, values)
    assert float(np.sum((y - slope * S) ** 2)) < float(e @ e) + walker(rows, values).target


def test_where_the_formula_loses_its_value_the_profile_ends() -> None:
    x = np.linspace(1.0, 5.0, 30)
    y = 2 * np.sqrt(x - 0.99) + 0.3 * np.random.default_rng(1).normal(size=30)
    rows = problem("y ~ a*sqrt(x - b)", {"x": x, "y": y})
    values = minimum(rows, np.array([2.0, 0.9]))
    assert 0.5 < values[1] < 1.0
    above = walker(rows, values).end(1, 1)
    assert above.value == pytest.approx(1.0, abs=1e-7)
    assert above.value <= 1.0


def test_bounds_hold_for_the_parameter_and_for_the_others() -> None:
    text, data, start = CASES["faint decay"]
    rows = problem(text, data)
    values = minimum(rows, np.array(start))
    free = walker(rows, values).end(0, 1)
    own = walker(rows, values, upper=np.array([values[0] + 0.1, math.inf, math.inf])).end(0, 1)
    assert own.value == values[0] + 0.1
    wall = values[2] - 0.05
    others = walker(rows, values, lower=np.array([-math.inf, -math.inf, wall])).end(0, 1)
    assert values[0] < others.value < free.value
    held = problem(text, data, None, {"c": wall})
    best = minimum(held, np.array(start[:2]))

    def left(a: float) -> float:
        only = problem(text, data, None, {"c": wall, "a": a})
        e = residuals(only, minimum(only, np.array([best[1]])))
        return float(e @ e)

    e = residuals(rows, values)
    assert left(others.value) - float(e @ e) == pytest.approx(walker(rows, values).target, rel=1e-6)


def test_an_answer_that_is_no_minimum_is_found_out_on_the_way() -> None:
    text, data, start = CASES["BoxBOD"]
    rows = problem(text, data)
    values = minimum(rows, np.array(start)) * np.array([1.0, 1.3])
    found = walker(rows, values).end(1, -1)
    assert found.better is not None
    e = residuals(rows, values)
    assert found.better.loss < float(e @ e) / rows.n
    profile = profiles.Profile("b2", 0.0, 1.0, found, found)
    said = claim(text, rows, values)
    (one,) = [one for one in examine(said, profiles=(profile,)) if one.code == "BETTER_MINIMUM"]
    assert codes((one,)) == ["BETTER_MINIMUM.falls"]
    assert f"{found.better.loss:.6g}" in one.text
    assert "start" not in one.values  # the place is none to start from before it is known to lead to a minimum
    (profile,) = bent_profiles(rows, said, values, bars_of(rows, values))
    (one,) = [one for one in examine(said, profiles=(profile,)) if one.code == "BETTER_MINIMUM"]
    assert codes((one,)) == ["BETTER_MINIMUM.below"]
    assert profile.better is not None
    assert list(profile.better.params.values()) == pytest.approx(minimum(rows, np.array(start)), rel=1e-7)
    assert f"{profile.better.loss:.6g}" in one.text
    given = Minimum(said.params, said.loss, 1)
    best = Minimum({"b1": 213.8, "b2": 0.55}, 0.5 * said.loss, 8)
    kept = replace(said, search=Search(9, 9, 6, (best, given), "asked", given))
    assert codes(examine(kept, profiles=(profile,))) == ["BETTER_MINIMUM", "START_WAS_KEPT"]  # it is said once


def test_many_rows_walk_the_same_way_as_few(monkeypatch: pytest.MonkeyPatch) -> None:
    for case in ("BoxBOD", "faint decay"):
        text, data, start = CASES[case]
        rows = problem(text, data)
        values = minimum(rows, np.array(start))
        few = [walker(rows, values).end(k, side) for k in range(rows.p) for side in (-1, 1)]
        monkeypatch.setattr(profiles, "FEW", 1)
        many = [walker(rows, values).end(k, side) for k in range(rows.p) for side in (-1, 1)]
        monkeypatch.undo()
        assert [one.u for one in many] == pytest.approx([one.u for one in few], rel=1e-6)


# ---- what is looked at ----


def certified_rows(name: str) -> tuple[str, Problem, np.ndarray]:
    """A certified problem at its certified answer; Nelson's left side, log(y), as y."""
    asked = certified.problem(name)
    left, _, right = asked.formula.partition("~")
    data: Mapping[str, Any] = dict(asked.columns)
    if left.strip() != "y":
        data = {**data, "y": np.log(np.array(data["y"]))}
    rows = problem(f"y ~ {right}", data)
    return f"y ~ {right}", rows, rows.full(np.array([asked.params[one] for one in rows.free_names]))


@pytest.mark.parametrize("name", certified.names("nonlinear"))
def test_what_is_not_looked_at_closely_ends_where_its_standard_error_says(name: str) -> None:
    text, rows, values = certified_rows(name)
    said = claim(text, rows, values)
    seen = {one.name for one in bent_profiles(rows, said, values, bars_of(rows, values))}
    if name == "Lanczos1":  # its residuals are rounding
        assert not seen
        return
    here = walker(rows, values)
    for k, one in enumerate(rows.free_names):
        if one not in seen:
            for side in (-1, 1):
                assert SHORT < here.end(k, side).u < LONG, (one, side)


def test_only_a_minimum_of_a_bent_formula_is_looked_at() -> None:
    assert looked("decay")[1] == ()
    assert {one.name for one in looked("BoxBOD")[1]} == {"b1", "b2"}
    assert looked("BoxBOD", linear=True)[1] == ()
    assert looked("BoxBOD", state="slow")[1] == ()
    assert looked("BoxBOD", dof=0)[1] == ()


def test_many_rows_are_looked_at_in_blocks_and_a_bend_is_still_seen() -> None:
    random = np.random.default_rng(5)
    for size, bent in ((0.2, False), (5.0, True)):
        x = np.linspace(0, 1, 20_000)
        y = 2 * x / (1.5 + x) + size * random.normal(size=20_000)
        rows = problem("y ~ v*x/(k + x)", {"x": x, "y": y})
        values = minimum(rows, np.array([2, 1.5]))
        said = claim("y ~ v*x/(k + x)", rows, values)
        assert bool(bent_profiles(rows, said, values, bars_of(rows, values))) == bent, size


# ---- what is said ----


def test_the_look_makes_a_bounded_number_of_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    text, data, start = CASES["BoxBOD"]
    rows = problem(text, data)
    values = minimum(rows, np.array(start))
    said, bars = claim(text, rows, values), bars_of(rows, values)
    whole = bent_profiles(rows, said, values, bars)
    made: list[Walker] = []

    class Watched(Walker):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr(profiles, "Walker", Watched)
    assert bent_profiles(rows, said, values, bars) == whole
    assert 0 < made[0].spent < made[0].allowed
    for most in (1, 5, 20):
        monkeypatch.setattr(profiles, "LOOK", most * rows.n * 9)
        cut = bent_profiles(rows, said, values, bars)
        assert made[-1].spent <= most + 4  # an end that is given up costs one
        for one in examine(said, profiles=cut):  # what was given up is not spoken of
            assert one.code != "CURVED" or one in examine(said, profiles=whole)


def test_a_bent_interval_is_a_note_with_the_interval_that_the_data_allow() -> None:
    said, seen = looked("BoxBOD")
    found = [one for one in examine(said, profiles=seen) if one.code == "CURVED"]
    assert [(one.parameter, one.severity) for one in found] == [("b1", "note"), ("b2", "note")]
    text, data, start = CASES["BoxBOD"]
    rows = problem(text, data)
    values = minimum(rows, np.array(start))
    here = walker(rows, values)
    brute = [profiled.end(rows, values, 1, side * here.half[1], here.target) for side in (-1, 1)]
    assert f"{brute[0]:.6g} to {brute[1]:.6g}" in found[1].text


def test_a_standard_error_that_misleads_is_a_warning() -> None:
    said, seen = looked("faint decay")
    found = [one for one in examine(said, profiles=seen) if one.code == "CURVED"]
    assert {one.severity for one in found} == {"warning"}
    assert dict(zip((one.parameter for one in found), codes(tuple(found)), strict=True)) == {
        "a": "CURVED.no_upper",
        "c": "CURVED.no_lower",
    }
    text, rows, values = certified_rows("MGH09")
    said = claim(text, rows, values)
    far = examine(said, profiles=bent_profiles(rows, said, values, bars_of(rows, values)))
    assert [one.parameter for one in far if codes((one,)) == ["CURVED.far"]] == ["b2", "b3"]


@pytest.mark.parametrize(
    ("below", "above", "code"),
    [
        (0.79, 1.0, "CURVED"),
        (1.0, 1.26, "CURVED"),
        (0.81, 1.24, None),
        (1.0, 2.01, "CURVED.far"),
        (1.0, math.inf, "CURVED.no_upper"),
        (math.inf, 1.0, "CURVED.no_lower"),
        (math.inf, math.inf, "CURVED.open"),
        (math.nan, 2.0, None),
    ],
)
def test_the_ends_decide_what_is_said(below: float, above: float, code: str | None) -> None:
    said, _ = looked("decay")
    ends = profiles.End(1 - below, below), profiles.End(1 + above, above)
    found = examine(said, profiles=(profiles.Profile("b", 0.0, 2.0, *ends),))
    assert codes(found) == ([] if code is None else [code])
    for one in found:
        assert one.severity == ("note" if code == "CURVED" else "warning")
        for lang in ("en", "ja"):
            for surface in ("python", "cli"):
                assert all(worded(one, lang, surface))  # type: ignore[arg-type]


def test_an_end_that_a_bound_draws_in_is_the_users_own() -> None:
    said, _ = looked("decay", bounds={"b": (0.6, None)})
    ends = profiles.End(0.6, 0.4), profiles.End(2.0, 1.0)
    assert examine(said, profiles=(profiles.Profile("b", 0.0, 2.0, *ends),)) == ()


def test_the_interval_along_the_loss_covers_what_it_says_where_the_standard_error_does_not() -> None:
    # The end above is exceeded by chance in 2.5 % of all samples; by the standard error far more often.
    random = np.random.default_rng(12)
    truth, times = 1.5, 600
    beyond = {"profile": 0, "t": 0}
    for _ in range(times):
        y = 2 * S / (truth + S) + 0.02 * random.normal(size=8)
        rows = problem("y ~ v*x/(k + x)", {"x": S, "y": y})
        values = minimum(rows, np.array([2, truth]))
        here = walker(rows, values)
        if values[1] > 0.0:
            beyond["profile"] += here.end(1, 1).value < truth
            beyond["t"] += values[1] + here.half[1] < truth
    assert beyond["profile"] / times == pytest.approx(0.025, abs=4 * math.sqrt(0.025 * 0.975 / times))
    assert beyond["t"] / times > 0.05


def test_ordinary_good_fits_get_no_warning_of_curvature() -> None:
    random = np.random.default_rng(9)
    x, warned, times = np.linspace(0, 5, 50), 0, 300
    for _ in range(times):
        rows = problem(DECAY, {"x": x, "y": 3 * np.exp(-0.9 * x) + 0.5 + 0.15 * random.normal(size=50)})
        values = minimum(rows, np.array([3, 0.9, 0.5]))
        said = claim(DECAY, rows, values)
        warned += any(
            one.code == "CURVED" and one.severity == "warning"
            for one in examine(said, profiles=bent_profiles(rows, said, values, bars_of(rows, values)))
        )
    assert warned == 0

"""Other units and other origins give the same fit: 500 random problems from nothing, each fitted twice.

Each family of formulas is closed under x → s·x + d and y → t·y + u (d and u where it has a location or an offset), so
the answer for the new data follows from the old answer by hand, and so must its error bars, its verdict and its
findings.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

import katamuki as km
from katamuki.errors import FitWarning, KatamukiError

EACH = 50
Params = dict[str, float]


class Scaling(NamedTuple):
    """x → s·x + d and y → t·y + u."""

    s: float
    t: float
    d: float
    u: float


class Family(NamedTuple):
    """A formula, its values, a draw of its parameters, where these go, and by what error bars are multiplied."""

    formula: str
    value: Callable[..., np.ndarray]
    draw: Callable[[np.random.Generator], Params]
    moved: Callable[[Params, Scaling], Params]
    factors: Callable[[Params, Scaling], Params]
    least: float = 0.0
    shifts_x: float = 0.0  # how many ranges of x away the new origin may be
    shifts_y: bool = False
    even: bool = False  # rows at random may leave a part of the curve without any


def two_rates(random: np.random.Generator) -> Params:
    slow = random.uniform(0.1, 0.3)
    amplitudes = random.uniform(1, 3, 2) * random.choice([-1, 1])
    return {"a": amplitudes[0], "b": slow, "c": amplitudes[1], "d": slow * random.uniform(6, 15)}


FAMILIES = {
    "line": Family(
        "y ~ a*x + b",
        lambda x, a, b: a * x + b,
        lambda r: {"a": r.normal(), "b": r.normal()},
        lambda p, k: {"a": k.t * p["a"] / k.s, "b": k.t * p["b"] + k.u - k.t * p["a"] / k.s * k.d},
        lambda p, k: {"a": k.t / k.s},
        shifts_x=30.0,
        shifts_y=True,
    ),
    "decay": Family(
        "y ~ a*exp(-b*x) + c",
        lambda x, a, b, c: a * np.exp(-b * x) + c,
        lambda r: {"a": r.choice([-1, 1]) * r.uniform(1, 5), "b": r.uniform(0.2, 2.0), "c": r.normal()},
        lambda p, k: {"a": k.t * p["a"] * math.exp(p["b"] / k.s * k.d), "b": p["b"] / k.s, "c": k.t * p["c"] + k.u},
        lambda p, k: {"b": 1 / k.s, "c": k.t},
        shifts_x=0.5,
        shifts_y=True,
    ),
    "peak": Family(
        "y ~ a*exp(-((x - b)/c)**2) + d",
        lambda x, a, b, c, d: a * np.exp(-(((x - b) / c) ** 2)) + d,
        lambda r: {
            "a": r.choice([-1, 1]) * r.uniform(1, 5),
            "b": r.uniform(3, 7),
            "c": r.uniform(1, 3),
            "d": r.normal(),
        },
        lambda p, k: {"a": k.t * p["a"], "b": k.s * p["b"] + k.d, "c": k.s * p["c"], "d": k.t * p["d"] + k.u},
        lambda p, k: {"a": k.t, "b": k.s, "c": k.s, "d": k.t},
        shifts_x=1e4,
        shifts_y=True,
    ),
    "sine": Family(
        "y ~ a*sin(b*x + c) + d",
        lambda x, a, b, c, d: a * np.sin(b * x + c) + d,
        lambda r: {"a": r.uniform(1, 3), "b": r.uniform(1, 5), "c": r.uniform(-3, 3), "d": r.normal()},
        lambda p, k: {"a": k.t * p["a"], "b": p["b"] / k.s, "c": p["c"] - p["b"] * k.d / k.s, "d": k.t * p["d"] + k.u},
        lambda p, k: {"a": k.t, "b": 1 / k.s, "d": k.t},
        shifts_x=3.0,
        shifts_y=True,
    ),
    "logistic": Family(
        "y ~ a/(1 + exp(-b*(x - c)))",
        lambda x, a, b, c: a / (1 + np.exp(-b * (x - c))),
        lambda r: {"a": r.uniform(1, 5), "b": r.choice([-1, 1]) * r.uniform(0.8, 3), "c": r.uniform(3, 7)},
        lambda p, k: {"a": k.t * p["a"], "b": p["b"] / k.s, "c": k.s * p["c"] + k.d},
        lambda p, k: {"a": k.t, "b": 1 / k.s, "c": k.s},
        shifts_x=1e4,
    ),
    "saturation": Family(
        "y ~ a*x/(b + x)",
        lambda x, a, b: a * x / (b + x),
        lambda r: {"a": r.uniform(1, 5), "b": r.uniform(0.5, 8)},
        lambda p, k: {"a": k.t * p["a"], "b": k.s * p["b"]},
        lambda p, k: {"a": k.t, "b": k.s},
        least=0.1,
    ),
    "power": Family(
        "y ~ a*x**b",
        lambda x, a, b: a * x**b,
        lambda r: {"a": r.uniform(1, 5), "b": r.uniform(-1.5, 2.5)},
        lambda p, k: {"a": k.t * p["a"] * k.s ** -p["b"], "b": p["b"]},
        lambda p, k: {"b": 1.0},
        least=0.5,
    ),
    "hill": Family(
        "y ~ a*x**b/(c**b + x**b)",
        lambda x, a, b, c: a * x**b / (c**b + x**b),
        lambda r: {"a": r.uniform(1, 5), "b": r.uniform(1.2, 4), "c": r.uniform(1, 6)},
        lambda p, k: {"a": k.t * p["a"], "b": p["b"], "c": k.s * p["c"]},
        lambda p, k: {"a": k.t, "b": 1.0, "c": k.s},
        least=0.1,
    ),
    "two decays": Family(
        "y ~ a*exp(-b*x) + c*exp(-d*x)",
        lambda x, a, b, c, d: a * np.exp(-b * x) + c * np.exp(-d * x),
        two_rates,
        lambda p, k: {"a": k.t * p["a"], "b": p["b"] / k.s, "c": k.t * p["c"], "d": p["d"] / k.s},
        lambda p, k: {"a": k.t, "b": 1 / k.s, "c": k.t, "d": 1 / k.s},
        even=True,
    ),
    "gompertz": Family(
        "y ~ a*exp(-b*exp(-c*x))",
        lambda x, a, b, c: a * np.exp(-b * np.exp(-c * x)),
        lambda r: {"a": r.uniform(1, 5), "b": r.uniform(2, 8), "c": r.uniform(0.4, 1.2)},
        lambda p, k: {"a": k.t * p["a"], "b": p["b"], "c": p["c"] / k.s},
        lambda p, k: {"a": k.t, "b": 1.0, "c": 1 / k.s},
    ),
}


def problem(family: Family, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows with a half to three percent of noise."""
    n = int(random.integers(20, 61))
    even = family.even or random.random() < 0.5
    x = np.linspace(family.least, 10.0, n) if even else np.sort(random.uniform(family.least, 10.0, n))
    y = family.value(x, **family.draw(random))
    return x, y + random.uniform(0.005, 0.03) * np.ptp(y) * random.normal(size=n)


def scaling(family: Family, random: np.random.Generator) -> Scaling:
    """Units from 1e-9 to 1e9, y now and then 1e-30 or 1e30; origins where the formula allows them."""
    s, t = 10.0 ** random.uniform(-9, 9, 2)
    if random.random() < 0.2:
        t = random.choice([1e-30, 1e30])
    d = s * 10.0 * family.shifts_x * random.uniform(-1, 1) * 10.0 ** random.uniform(-2, 0)
    return Scaling(s, t, d, t * 20.0 * random.normal() if family.shifts_y else 0.0)


def outcome(formula: str, x: np.ndarray, y: np.ndarray) -> km.Fit | str:
    """A fit from nothing; an error's code where there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # its finding is compared
        try:
            return km.fit(formula, {"x": x, "y": y})
        except KatamukiError as error:
            return error.code


def remarks(fit: km.Fit) -> list[str]:
    return sorted(one.code for one in fit.findings if one.severity != "note")


Outcome = km.Fit | SimpleNamespace | str


def complaints(family: Family, one: Outcome, other: Outcome, k: Scaling) -> list[str]:
    """What differs between the second fit and the first one in the new units, by more than the digits printed."""
    if isinstance(one, str) or isinstance(other, str):
        return [] if one == other else [f"{one if isinstance(one, str) else 'a fit'}, then {other}"]
    said = []
    expected, factors = family.moved(one.params, k), family.factors(one.params, k)
    turned = (
        set() if factors.keys() == expected.keys() else {"CURVED", "WEAK"}
    )  # where parameters mix, these may change
    before, after = ([code for code in remarks(fit) if code not in turned] for fit in (one, other))
    if before != after or (not turned and one.verdict != other.verdict):
        said.append(f"{one.verdict} {remarks(one)}, then {other.verdict} {remarks(other)}")
    for name, value in expected.items():
        found, error = other.params[name], other.stderr[name]
        off = abs(found - value)
        if name == "c" and "sin" in family.formula:
            off = abs(math.remainder(found - value, 2 * math.pi))
        if not off <= 5e-7 * abs(value) + 1e-8 * (error or 0.0):
            said.append(f"{name} = {found!r}, not {value!r}")
        known = one.stderr[name]
        if (known is None) != (error is None):
            said.append(f"stderr of {name}: {known}, then {error}")
        elif name in factors and known is not None and error != pytest.approx(known * factors[name], rel=5e-6):
            said.append(f"stderr of {name} = {error!r}, not {known * factors[name]!r}")
    return said


@pytest.mark.parametrize("name", FAMILIES)
def test_other_units_and_origins_give_the_same_fit(name: str) -> None:
    family = FAMILIES[name]
    random = np.random.default_rng(sorted(FAMILIES).index(name))
    failed, fitted, good = [], 0, 0
    for number in range(EACH):
        x, y = problem(family, random)
        k = scaling(family, random)
        one = outcome(family.formula, x, y)
        fitted += isinstance(one, km.Fit)
        good += isinstance(one, km.Fit) and one.verdict == "good"
        other = outcome(family.formula, k.s * x + k.d, k.t * y + k.u)
        failed += [f"{number} {k}: {text}" for text in complaints(family, one, other, k)]
    assert not failed, "\n".join(failed)
    assert fitted == EACH
    assert good >= EACH // 2


def test_the_comparison_sees_what_is_off() -> None:
    family, k = FAMILIES["gompertz"], Scaling(100.0, 10.0, 0.0, 0.0)
    one = SimpleNamespace(
        params={"a": 1.0, "b": 2.0, "c": 3.0}, stderr={"a": 0.1, "b": 0.1, "c": 0.1}, verdict="good", findings=()
    )
    right = {"a": 10.0, "b": 2.0, "c": 0.03}
    error = {"a": 1.0, "b": 0.1, "c": 0.001}
    other = SimpleNamespace(params=right, stderr=error, verdict="good", findings=())
    assert complaints(family, one, other, k) == []
    for wrong in (
        {"params": right | {"a": 10.00001}},
        {"stderr": error | {"c": 0.00100001}},
        {"stderr": error | {"c": None}},
        {"verdict": "look"},
    ):
        assert len(complaints(family, one, SimpleNamespace(**(vars(other) | wrong)), k)) == 1
    assert complaints(family, one, "E-DOMAIN", k)

"""The equations of each first-order rule, computed again from their operands and held to what the rule did."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import katamuki as km
from katamuki.solvers.first_order import FIRST_ORDER

pytestmark = pytest.mark.filterwarnings("ignore::katamuki.FitWarning")


@pytest.fixture(scope="module")
def fit() -> km.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        solver = km.RMSprop(lr=0.001, steps=6000)
        return km.fit("y ~ a*x + b", km.datasets("tutorial"), start={"a": 0.5, "b": 0.5}, solver=solver)


SOLVERS = [
    km.SGD(lr=1e-3, momentum=0.9, nesterov=True, weight_decay=0.1, steps=30),
    km.SGD(lr=1e-3, momentum=0.9, dampening=0.2, steps=30),
    km.ASGD(lr=1e-3, t0=3.0, weight_decay=0.1, steps=30),
    km.Rprop(lr=0.5, steps=30),
    km.Adagrad(lr=0.1, lr_decay=0.1, initial_accumulator_value=0.5, weight_decay=0.1, steps=30),
    km.Adadelta(lr=2.0, weight_decay=0.1, steps=30),
    km.RMSprop(lr=0.01, centered=True, momentum=0.9, weight_decay=0.1, steps=30),
    km.RMSprop(lr=0.01, eps=0.1, steps=30),
    km.Adam(lr=0.1, amsgrad=True, weight_decay=0.1, steps=30),
    km.Adam(lr=0.1, decoupled_weight_decay=True, weight_decay=0.1, steps=30),
    km.AdamW(lr=0.1, weight_decay=0.1, steps=30),
    km.Adamax(lr=0.1, weight_decay=0.1, eps=1.0, steps=30),
    km.NAdam(lr=0.1, weight_decay=0.1, decoupled_weight_decay=True, steps=30),
    km.RAdam(lr=0.01, weight_decay=0.1, steps=30),
]


def computed(rule: str, operands: dict[str, float]) -> float:
    """An equation's right side by Python's own arithmetic: its template read as Python."""
    places = {f"p{k}": float(value) for k, value in enumerate(operands.values())}
    for k, name in enumerate(operands):
        rule = rule.replace("{" + name + "}", f"p{k}")
    for old, new in (("·", "*"), ("−", "-"), ("²", "**2"), ("^", "**"), ("√(", "sqrt("), ("√p", "root*p")):
        rule = rule.replace(old, new)
    parts = rule.split("root*")
    rule = parts[0] + "".join(f"sqrt({one[:2]}){one[2:]}" for one in parts[1:])
    while "|" in rule:
        rule = rule.replace("|", "abs(", 1).replace("|", ")", 1)
    names = {"sqrt": math.sqrt, "sign": np.sign, "max": max, "min": min, "abs": abs}
    return float(eval(rule, {"__builtins__": {}}, {**names, **places}))  # our own templates


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("k", [1, 2, 7, 29])
def test_the_equations_of_every_rule_give_what_the_rule_did(solver: object, k: int) -> None:
    fit = km.fit("y ~ a*x + b", km.datasets("tutorial"), start={"a": 0.5, "b": 0.5}, solver=solver)  # type: ignore[arg-type]
    step = fit.step(k)
    for update in step.updates:
        name, left = update.parameter, step.before[update.parameter]
        for one in update.equations:
            assert one.value == pytest.approx(computed(one.rule, dict(one.operands)), rel=3e-7, abs=1e-15), one
            left = one.value if one.symbol == "kept" else left
        (moved,) = [one.value for one in update.equations if one.symbol == "step"]
        assert step.after[name] == pytest.approx(left - moved, rel=1e-14)
        assert step.after[name] == fit.trace.params[k, "ab".index(name)]  # type: ignore[union-attr]


NAMES = ["lr", "weight_decay", "g", "v", "m", "eta", "mu", "lambd", "t", "e", "s", "L", "step", "kept", "p", "beta1"]


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda one: type(one).__name__)
def test_a_parameter_may_have_the_name_of_an_option_or_of_a_symbol(solver: object) -> None:
    """This used to overwrite the option: kept = 0.01·(1 − 0.01·0.1) = 1.00799 for a parameter called lr."""
    for one, other in zip(NAMES[::2], NAMES[1::2], strict=True):
        data = km.datasets("tutorial")
        fit = km.fit(f"y ~ {one}*x + {other}", data, start={one: 0.5, other: 0.7}, solver=solver)  # type: ignore[arg-type]
        plain = km.fit("y ~ a*x + b", data, start={"a": 0.5, "b": 0.7}, solver=solver)  # type: ignore[arg-type]
        for update, same in zip(fit.step(7).updates, plain.step(7).updates, strict=True):
            symbols = [line.symbol for line in update.equations]
            assert {one, other}.isdisjoint(symbols)
            assert [symbol.rstrip("_") for symbol in symbols] == [line.symbol for line in same.equations]
            for line, plainly in zip(update.equations, same.equations, strict=True):
                assert line.value == plainly.value
                assert list(line.operands.values()) == list(plainly.operands.values())
                assert computed(line.rule, dict(line.operands)) == pytest.approx(line.value, rel=3e-7, abs=1e-15)


def test_every_rule_has_equations() -> None:
    assert {type(one) for one in SOLVERS} == set(FIRST_ORDER)


def test_a_wrong_equation_would_be_noticed(fit: km.Fit) -> None:
    line = fit.step(2).updates[0].equations[0]
    assert computed(line.rule.replace("²", ""), dict(line.operands)) != pytest.approx(line.value, rel=3e-7)

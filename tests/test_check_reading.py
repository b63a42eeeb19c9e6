"""The checker's own parser and arithmetic, compared with Python's, with mpmath and with katamuki's formula part."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import katamuki.check
from katamuki import formula, messages
from katamuki.backends import numpy_
from katamuki.check.arithmetic import CALLS
from katamuki.check.evaluation import STEP
from katamuki.check.reading import UnreadableError, expression, read
from katamuki.errors import FormulaError

VALUES = {"x": 0.7, "a": 1.3, "b": -0.4, "c": 2.5}
STRANGERS: dict[str, Any] = {
    "log2": lambda x: mpmath.log(x, 2),
    "log10": mpmath.log10,
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
    "abs": abs,
    "sign": mpmath.sign,
    "heaviside": lambda x: (1 + mpmath.sign(x)) / 2,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log(1 + mpmath.exp(x)),
    "arcsin": mpmath.asin,
    "arccos": mpmath.acos,
    "arctan": mpmath.atan,
}
POINTS = [-700.0, -3.2, -0.9, -0.31, -1e-3, 1e-12, 1e-3, 0.31, 0.9, 3.2, 26.5, 700.0]
STEPS = {"sign", "heaviside"}


def value(text: str, **more: float) -> float:
    with np.errstate(all="ignore"):
        return float(expression(text)({name: np.float64(one) for name, one in {**VALUES, **more}.items()}))


def slope(text: str, name: str, values: dict[str, float]) -> float:
    point = {one: np.float64(number) for one, number in values.items()}
    with np.errstate(all="ignore"):
        found = expression(text)({**point, name: point[name] + np.complex128(1j) * STEP})
    return float(np.imag(found)) / STEP


@pytest.mark.parametrize("name", [name for name, (_, least, _) in CALLS.items() if least == 1])
def test_every_function_and_its_slope_agree_with_mpmath(name: str) -> None:
    stranger = STRANGERS.get(name) or getattr(mpmath, name)
    tested = 0
    with mpmath.workdps(50):
        for x in POINTS:
            try:
                right = stranger(mpmath.mpf(x))
                slant = (
                    mpmath.mpf(0) if name in STEPS else mpmath.diff(stranger, mpmath.mpf(x), h=mpmath.mpf(10) ** -20)
                )
            except ValueError:
                continue
            if isinstance(right, mpmath.mpc) or not 1e-300 < abs(right) < 1e300:
                continue
            tested += 1
            # What a rounded argument alone does to the value, and then some.
            allowed = 4e-16 * (float(abs(right)) + abs(x) * float(abs(slant)))
            assert value(f"{name}(x)", x=x) == pytest.approx(float(right), rel=4e-15, abs=allowed)
            if abs(slant) > 1e-290 or name in STEPS:
                assert slope(f"{name}(x)", "x", {"x": x}) == pytest.approx(float(slant), rel=4e-13)
    assert tested >= 4


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a**3 + x", "a"), ("x**a", "a"), ("x/a", "a"), ("a/(x + a)", "a"), ("(a + x)*(a - x)", "a"), ("c^-b", "b"),
        ("min(a, c)", "a"), ("min(a, c)", "c"), ("max(a*x, c, 1)", "c"), ("exp(-a*x)*a", "a"),
        ("a if x > 0 else c", "a"),
        ("a if x > 0 else c", "c"), ("(-x)**2*a", "x"), ("2**a", "a"), ("not a < x and a*x > 0", "a"), ("a**0", "a"),
        ("1/(1 + exp(-a))", "a"),
    ],
)  # fmt: skip
def test_slopes_agree_with_differences(text: str, name: str) -> None:
    h = 1e-5
    near = [value(text, **{name: VALUES[name] + h}), value(text, **{name: VALUES[name] - h})]
    assert slope(text, name, VALUES) == pytest.approx((near[0] - near[1]) / (2 * h), rel=1e-8, abs=1e-10)


def test_slopes_at_zero_exist() -> None:
    assert slope("a**2", "a", {"a": 0.0}) == 0.0
    assert slope("a**1", "a", {"a": 0.0}) == 1.0
    assert slope("x**a", "a", {"a": 2.0, "x": 0.0}) == 0.0
    assert slope("sqrt(a*x)", "a", {"a": 2.0, "x": 0.0}) == 0.0


LEAVES = st.sampled_from(["x", "a", "b", "c", "2", "0.5", "3", "pi"])
TEXTS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(lambda t: f"({t[0]}){t[1]}({t[2]})"),
        st.tuples(inner, st.sampled_from(["+", "-", "*", " / "]), inner).map(" ".join),
        inner.map(lambda t: f"-({t})"),
        inner.map(lambda t: f"({t})^2"),
        st.tuples(st.sampled_from(["exp", "sin", "tanh", "atan", "sigmoid", "abs"]), inner).map(
            lambda t: f"{t[0]}({t[1]})"
        ),
        st.tuples(inner, inner, inner).map(lambda t: f"(({t[0]}) if ({t[1]}) < ({t[2]}) else ({t[1]}))"),
        st.tuples(inner, inner).map(lambda t: f"max({t[0]}, {t[1]})"),
    ),
    max_leaves=12,
)


@given(TEXTS)
def test_the_two_readers_of_katamuki_agree(text: str) -> None:
    """Two parsers, two arithmetics, one meaning."""
    try:
        model = formula.parse(f"y ~ q + {text}", ["y", "x"], params=["q"])
    except FormulaError:
        return  # a constant part that is not finite, a formula that is too long
    columns = {"x": np.array([0.7, -1.2, 3.0]), "y": np.zeros(3)}
    params = {name: {"q": 0.3, **VALUES}[name] for name in model.parameters}
    (theirs,) = numpy_.evaluate(model.rhs, columns, params)
    with np.errstate(all="ignore"):
        ours = read(model.text)[1]({**columns, **{name: np.float64(one) for name, one in params.items()}})
    np.testing.assert_allclose(np.broadcast_to(ours, 3), theirs, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("-x^2", -0.49), ("2^3^2", 512.0), ("-2^-2", -0.25), ("a - b - c", -0.8), ("1 - x/2*2", 0.3),
        ("1 if x < 1 else 2", 1.0), ("(x < 1) + (x >= 1)*2", 1.0), ("not x > 1", 1.0), ("x > 1 or a > 1", 1.0),
        ("x > 1 and a > 1 or b < 0", 1.0), ("min(3, 2, 4)", 2.0), ("max(3, x)", 3.0), ("+x", 0.7), ("1e-3", 0.001),
        ("007 + 00.5", 7.5), ("1e+03", 1000.0),
        (" x\n + 1", 1.7), ("heaviside(0)", 0.5), ("sign(0)", 0.0), ("x == 0.7", 1.0), ("x != 0.7", 0.0),
    ],
)  # fmt: skip
def test_the_grammar_is_pythons(text: str, right: float) -> None:
    assert value(text) == pytest.approx(right, rel=1e-15)


def test_names_come_in_order_and_in_backticks() -> None:
    left, right = read("`the y` = b*`x 1` + a*`x~2` + ticked1")
    assert left.names == ("the y",)
    assert right.names == ("b", "x 1", "a", "x~2", "ticked1")
    assert read("log(y) ~ a if x >= 1 else b")[0].names == ("y",)


@pytest.mark.parametrize(
    "text",
    [
        "", "y", "y ~", "~ x", "y ~ a ~ b", "y ~ a = b", "y ~ a*x +", "y ~ a x", "y ~ 2x", "y ~ __import__('os')",
        "y ~ a.real", "y ~ x[0]", "y ~ lambda: 1", "y ~ [1]", "y ~ 'a'", "y ~ 2j", "y ~ True", "y ~ a < b < c",
        "y ~ exp(a, b)", "y ~ exp()", "y ~ min(a)", "y ~ gamma(x)", "y ~ exp(x=1)", "y ~ exp(*x)", "y ~ (a := 1)",
        "y ~ x % 2", "y ~ x // 2", "y ~ ~x", "y ~ `x", "y ~ a\x00", "y ~ " + "(" * 400 + "x" + ")" * 400,
        "y ~ a + " + "9" * 400, "y ~ " + "a + " * 9000 + "a", "y ~ [x for x in y]", "y ~ a; b", "y ~ a*x # + b",
        "y ~ \ud800",
    ],
)  # fmt: skip
def test_whatever_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(UnreadableError):
        read(text)


def test_a_sum_of_a_thousand_terms_is_read() -> None:
    assert value(" + ".join(["x"] * 1000)) == pytest.approx(700.0)


def test_every_reason_has_its_sentence_and_every_sentence_its_reason() -> None:
    folder = Path(katamuki.check.__file__).parent
    source = "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    named = set(re.findall(r'"(check\.(?:fail|pass|cannot)\.\w+)"', source))
    listed = {key for key in messages.catalogue("en") if key.startswith("check.")}
    assert named == listed


def test_math_constants_are_those_of_python() -> None:
    assert value("pi") == math.pi

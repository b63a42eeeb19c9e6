"""The table of operations: one row holds all that katamuki knows of an operation.

A row gives the value, the rule that carries a derivative backwards through it, its domain, its text for each backend, a
reference and a stranger (mpmath) that tests it. Rules of derivatives: DLMF chapters 4 and 7; at kinks and ties they
are PyTorch's. It knows no graph: a rule calls a builder that makes nodes, ``b("mul", u, 2.0)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Operand = int | float  # a node, or a constant (always a float)
INTEGER_POWERS = 16  # exponents up to which a constant integer power is written as multiplications
CHOICE, COMPARISON, SUM, PRODUCT, SIGN, POWER, ATOM = range(7)  # how strongly printed text binds


class Builder(Protocol):
    """Makes a node of an operation and its operands."""

    def __call__(self, op: str, *operands: Operand) -> int:
        """The node."""


Rule = Callable[[Builder, tuple[int, ...], int, int], int]  # (builder, arguments, node, upstream) -> node
Guard = Callable[[Builder, tuple[int, ...]], int]  # the condition (1 or 0) under which an argument matters


@dataclass(frozen=True, slots=True)
class Domain:
    """Where an operation has a value.

    ``allowed`` takes the arguments' arrays; ``relation`` and ``limit`` say the same of argument ``index`` where that is
    one comparison; ``words`` is the catalogue's key.
    """

    allowed: Callable[..., Any]
    words: str
    index: int = 0
    relation: str | None = None
    limit: float = 0.0


@dataclass(frozen=True, slots=True)
class Op:
    """One operation.

    ``pullback`` has one rule per argument, ``None`` where no derivative flows; ``guards``, where not empty, one
    condition per argument outside of which that argument does not matter, so that its NaN never reaches a gradient.
    ``sources`` are format strings by backend: python (our own grammar), kernel, numpy, torch, sql, latex, dd, mpmath;
    an empty or missing one says that the backend lacks the operation. ``callable`` ones are functions of formulas.
    """

    name: str
    arity: int
    value: Callable[..., Any]
    pullback: tuple[Rule | None, ...]
    sources: Mapping[str, str]
    reference: str
    binding: int = ATOM
    domain: Domain | None = None
    guards: tuple[Guard | None, ...] = ()
    callable: bool = False

    @property
    def words(self) -> str:
        """The catalogue's key of the operation in words."""
        return f"op.{self.name}"

    @property
    def stranger(self) -> str:
        """The operation as an mpmath expression: what tests compare with."""
        return self.sources["mpmath"]


TABLE: dict[str, Op] = {}


def operator(
    name: str, text: str, binding: int, value: Callable[..., Any], rules: tuple[Rule | None, ...], reference: str,
    *, domain: Domain | None = None, guards: tuple[Guard | None, ...] = (), **sources: str,
) -> None:  # fmt: skip
    """Add a row for an operation written with signs; backends use the same text unless told otherwise."""
    inside = f"({text})"
    texts = {
        "python": text,
        "kernel": inside,
        "numpy": inside,
        "torch": inside,
        "sql": inside,
        "latex": text,
        "mpmath": inside,
        "dd": "",
    }
    TABLE[name] = Op(name, len(rules), value, rules, {**texts, **sources}, reference, binding, domain, guards)


def function(
    name: str, value: Callable[..., Any], rules: tuple[Rule | None, ...], reference: str,
    *, domain: Domain | None = None, guards: tuple[Guard | None, ...] = (), **sources: str,
) -> None:  # fmt: skip
    """Add a row for an operation written as a call; backends use the same name unless told otherwise."""
    call = f"{name}({', '.join(f'{{{k}}}' for k in range(len(rules)))})"
    texts = {"python": call, "kernel": call, "sql": call, "dd": ""}
    texts |= {"numpy": f"np.{call}", "torch": f"torch.{call}", "mpmath": f"mp.{call}"}
    texts["latex"] = rf"\operatorname{{{{{name}}}}}\left({{0}}\right)"
    TABLE[name] = Op(name, len(rules), value, rules, {**texts, **sources}, reference, ATOM, domain, guards, True)


def special(name: str) -> Callable[..., Any]:
    """A function of scipy.special, imported when first called."""

    def call(*arguments: Values) -> Any:
        from scipy import special as functions

        return getattr(functions, name)(*arguments)

    return call


def compared(function: Callable[..., Any]) -> Callable[..., Any]:
    """A comparison as 1.0 or 0.0."""
    return lambda a, b: np.asarray(function(a, b), dtype=np.float64)


def select(condition: Values, p: Values, q: Values) -> Any:
    """``p`` where the condition is not 0, else ``q``."""
    return np.where(np.asarray(condition) != 0.0, p, q)


def sigmoid(x: Values) -> Any:
    """1/(1 + e⁻ˣ); where e⁻ˣ overflows the quotient is 0, which is right."""
    return 1.0 / (1.0 + np.exp(-x))


def positive(words: str = "formula.needs_positive", limit: float = 0.0) -> Domain:
    """The domain x > limit."""
    return Domain(lambda x: ~(x <= limit), words, 0, ">", limit)


# fmt: off
ARITHMETIC = "elementary"
operator("add", "{0} + {1}", SUM, np.add, (lambda b, a, n, u: u, lambda b, a, n, u: u), ARITHMETIC,
         dd="dd_add({0}, {1})")
operator("sub", "{0} - {1}", SUM, np.subtract, (lambda b, a, n, u: u, lambda b, a, n, u: b("neg", u)), ARITHMETIC,
         dd="dd_sub({0}, {1})")
operator("mul", "{0}*{1}", PRODUCT, np.multiply,
         (lambda b, a, n, u: b("mul", u, a[1]), lambda b, a, n, u: b("mul", u, a[0])), ARITHMETIC,
         latex=r"{0} \cdot {1}", dd="dd_mul({0}, {1})")
operator("div", "{0}/{1}", PRODUCT, np.divide,
         (lambda b, a, n, u: b("div", u, a[1]), lambda b, a, n, u: b("neg", b("div", b("mul", u, n), a[1]))),
         ARITHMETIC, latex=r"\frac{{{0}}}{{{1}}}",
         domain=Domain(lambda p, q: q != 0.0, "formula.needs_divisor", 1, "!=", 0.0))
operator("neg", "-{0}", SIGN, np.negative, (lambda b, a, n, u: b("neg", u),), ARITHMETIC, dd="dd_neg({0})")


def power_rule(b: Builder, a: tuple[int, ...], n: int, u: int) -> int:
    """∂/∂x of x**p: p·x**(p−1), and 0 where p is 0, whatever x is."""
    slope = b("mul", a[1], b("pow", a[0], b("sub", a[1], 1.0)))
    return b("where", b("eq", a[1], 0.0), 0.0, b("mul", u, slope))


def exponent_rule(b: Builder, a: tuple[int, ...], n: int, u: int) -> int:
    """∂/∂p of x**p: log(x)·x**p, and 0 where x is 0 and p is not negative."""
    nothing = b("mul", b("eq", a[0], 0.0), b("ge", a[1], 0.0))
    return b("where", nothing, 0.0, b("mul", u, b("mul", n, b("log", a[0]))))


def has_power(x: Values, p: Values) -> Any:
    """Where x**p is a real number."""
    return ((x > 0.0) | ((x == 0.0) & (p >= 0.0)) | ((x < 0.0) & (np.floor(p) == p))) | np.isnan(x) | np.isnan(p)


operator("pow", "{0}**{1}", POWER, np.power, (power_rule, exponent_rule), "DLMF 4.2(iv)",
         kernel="pow({0}, {1})", sql="power({0}, {1})", latex="{{{0}}}^{{{1}}}",
         domain=Domain(has_power, "formula.needs_power"))
# x**k for a constant integer k, |k| ≤ 16: multiplications, and defined for every x.
operator("powi", "{0}**{1}", POWER, np.power,
         (power_rule, None), ARITHMETIC,
         kernel="powi({0}, {1})", sql="power({0}, {1})", latex="{{{0}}}^{{{1}}}", dd="dd_powi({0}, {1})",
         domain=Domain(lambda x, k: (x != 0.0) | (np.asarray(k) >= 0.0), "formula.needs_divisor", 0, "!=", 0.0))

LOGARITHM = "DLMF 4.2, 4.7"
function("exp", np.exp, (lambda b, a, n, u: b("mul", u, n),), LOGARITHM)
function("log", np.log, (lambda b, a, n, u: b("div", u, a[0]),), LOGARITHM, domain=positive(), sql="ln({0})")
function("log10", np.log10, (lambda b, a, n, u: b("div", u, b("mul", a[0], float(np.log(10.0)))),), LOGARITHM,
         domain=positive())
function("log2", np.log2, (lambda b, a, n, u: b("div", u, b("mul", a[0], float(np.log(2.0)))),), LOGARITHM,
         domain=positive(), mpmath="mp.log({0}, 2)")
function("log1p", np.log1p, (lambda b, a, n, u: b("div", u, b("add", 1.0, a[0])),), LOGARITHM,
         domain=positive("formula.needs_above", -1.0), sql="")
function("expm1", np.expm1, (lambda b, a, n, u: b("mul", u, b("add", n, 1.0)),), LOGARITHM, sql="")
function("sqrt", np.sqrt, (lambda b, a, n, u: b("div", u, b("mul", 2.0, n)),), "DLMF 4.2(iv)",
         domain=Domain(lambda x: ~(x < 0.0), "formula.needs_not_negative", 0, ">=", 0.0), latex=r"\sqrt{{{0}}}")
function("cbrt", np.cbrt, (lambda b, a, n, u: b("div", u, b("mul", 3.0, b("mul", n, n))),), "DLMF 4.2(iv)",
         torch="(torch.sign({0})*torch.abs({0})**(1/3))", mpmath="(mp.sign({0})*mp.cbrt(abs({0})))",
         latex=r"\sqrt[3]{{{0}}}")


def square_sum(sign: str) -> Callable[[Builder, int], int]:
    """1 ± x²."""
    return lambda b, x: b(sign, 1.0, b("mul", x, x))


one_plus_square, one_minus_square = square_sum("add"), square_sum("sub")
WITHIN_ONE = Domain(lambda x: ~(np.abs(x) > 1.0), "formula.needs_within_one")
CIRCULAR, INVERSE, HYPERBOLIC = "DLMF 4.14, 4.20", "DLMF 4.23, 4.24", "DLMF 4.28, 4.34"
function("sin", np.sin, (lambda b, a, n, u: b("mul", u, b("cos", a[0])),), CIRCULAR)
function("cos", np.cos, (lambda b, a, n, u: b("neg", b("mul", u, b("sin", a[0]))),), CIRCULAR)
function("tan", np.tan, (lambda b, a, n, u: b("mul", u, one_plus_square(b, n)),), CIRCULAR)
function("asin", np.arcsin, (lambda b, a, n, u: b("div", u, b("sqrt", one_minus_square(b, a[0]))),), INVERSE,
         domain=WITHIN_ONE, numpy="np.arcsin({0})")
function("acos", np.arccos, (lambda b, a, n, u: b("neg", b("div", u, b("sqrt", one_minus_square(b, a[0])))),), INVERSE,
         domain=WITHIN_ONE, numpy="np.arccos({0})")
function("atan", np.arctan, (lambda b, a, n, u: b("div", u, one_plus_square(b, a[0])),), INVERSE,
         numpy="np.arctan({0})")
function("sinh", np.sinh, (lambda b, a, n, u: b("mul", u, b("cosh", a[0])),), HYPERBOLIC)
function("cosh", np.cosh, (lambda b, a, n, u: b("mul", u, b("sinh", a[0])),), HYPERBOLIC)
function("tanh", np.tanh, (lambda b, a, n, u: b("mul", u, one_minus_square(b, n)),), HYPERBOLIC)

SLOPE_OF_ERF = float(2.0 / np.sqrt(np.pi))


def bell(b: Builder, x: int) -> int:
    """2/√π · e^(−x²)."""
    return b("mul", SLOPE_OF_ERF, b("exp", b("neg", b("mul", x, x))))


function("erf", special("erf"), (lambda b, a, n, u: b("mul", u, bell(b, a[0])),), "DLMF 7.2(i)", sql="",
         numpy="erf({0})")
function("erfc", special("erfc"), (lambda b, a, n, u: b("neg", b("mul", u, bell(b, a[0]))),), "DLMF 7.2(i)", sql="",
         numpy="erfc({0})")
function("sigmoid", sigmoid, (lambda b, a, n, u: b("mul", u, b("mul", n, b("sub", 1.0, n))),), "PyTorch sigmoid",
         kernel="(1.0 / (1.0 + exp(-{0})))", sql="(1.0 / (1.0 + exp(-{0})))", mpmath="(1/(1+mp.exp(-{0})))",
         numpy="(1/(1 + np.exp(-{0})))")
function("softplus", lambda x: np.logaddexp(0.0, x), (lambda b, a, n, u: b("mul", u, b("sigmoid", a[0])),),
         "Dugas et al. 2001", kernel="(log1p(exp(-abs({0}))) + ({0} if {0} > 0.0 else 0.0))", sql="",
         numpy="np.logaddexp(0.0, {0})",
         torch="torch.logaddexp({0}, torch.zeros_like({0}))", mpmath="mp.log1p(mp.exp({0}))")

KINK = "PyTorch, at kinks and ties"
STEP = "(1.0 if {0} > 0.0 else (0.0 if {0} < 0.0 else {0} * 0.0 + 0.5))"  # NaN stays NaN
function("abs", np.abs, (lambda b, a, n, u: b("mul", u, b("sign", a[0])),), KINK, mpmath="abs({0})",
         latex=r"\left|{0}\right|")
function("sign", np.sign, (None,), KINK, kernel="(1.0 if {0} > 0.0 else (-1.0 if {0} < 0.0 else {0}))")
function("heaviside", lambda x: np.heaviside(x, 0.5), (None,), "DLMF 1.16(iv)", kernel=STEP,
         numpy="np.heaviside({0}, 0.5)",
         torch="torch.heaviside({0}.detach(), torch.full_like({0}, 0.5))", sql="(0.5 + 0.5 * sign({0}))",
         mpmath="((1+mp.sign({0}))/2)")


def tie_rule(b: Builder, a: tuple[int, ...], n: int, u: int) -> int:
    """Half to each argument where they are equal, all to the chosen one elsewhere (the guard sees to that)."""
    return b("mul", u, b("where", b("eq", a[0], a[1]), 0.5, 1.0))


def unless(comparison: str) -> Guard:
    """Where the first argument does not compare so with the second."""
    return lambda b, a: b("eq", b(comparison, a[0], a[1]), 0.0)


function("min", np.minimum, (tie_rule, tie_rule), KINK, guards=(unless("gt"), unless("lt")),
         kernel="({1} if {1} < {0} else ({0} if {1} == {1} else {1}))", torch="torch.minimum({0}, {1})",
         numpy="np.minimum({0}, {1})",
         sql="least({0}, {1})", latex=r"\min\left({0}, {1}\right)", mpmath="min({0}, {1})")
function("max", np.maximum, (tie_rule, tie_rule), KINK, guards=(unless("lt"), unless("gt")),
         kernel="({1} if {1} > {0} else ({0} if {1} == {1} else {1}))", torch="torch.maximum({0}, {1})",
         numpy="np.maximum({0}, {1})",
         sql="greatest({0}, {1})", latex=r"\max\left({0}, {1}\right)", mpmath="max({0}, {1})")

for _name, _sign, _value, _latex in (
    ("lt", "<", np.less, "<"), ("le", "<=", np.less_equal, r"\le"), ("gt", ">", np.greater, ">"),
    ("ge", ">=", np.greater_equal, r"\ge"), ("eq", "==", np.equal, "="), ("ne", "!=", np.not_equal, r"\ne"),
):
    _choice = f"(1.0 if {{0}} {_sign} {{1}} else 0.0)"
    operator(_name, f"{{0}} {_sign} {{1}}", COMPARISON, compared(_value), (None, None), KINK, kernel=_choice,
             numpy=f"(({{0}} {_sign} {{1}})*1.0)",
             torch=f"({{0}} {_sign} {{1}}).to(torch.result_type({{0}}, {{1}}))", mpmath=_choice,
             latex=f"{{0}} {_latex} {{1}}",
             sql=f"(CASE WHEN {{0}} {({'eq': '=', 'ne': '<>'}).get(_name, _sign)} {{1}} THEN 1.0 ELSE 0.0 END)")

operator("where", "{1} if {0} else {2}", CHOICE, select,
         (None, lambda b, a, n, u: u, lambda b, a, n, u: u), KINK,
         guards=(None, lambda b, a: b("ne", a[0], 0.0), lambda b, a: b("eq", a[0], 0.0)),
         kernel="({1} if {0} != 0.0 else {2})", torch="torch.where({0} != 0, {1}, {2})",
         numpy="np.where({0} != 0, {1}, {2})",
         sql="(CASE WHEN {0} <> 0.0 THEN {1} ELSE {2} END)", mpmath="({1} if {0} != 0 else {2})",
         latex=r"\begin{{cases}} {1} & {0} \\ {2} & \text{{else}} \end{{cases}}")
# fmt: on

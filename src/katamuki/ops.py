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
    an empty or missing one says that the backend lacks the operation; ``sql_checked`` is for databases that raise an
    error where a number has no value, ``sql_sqlite`` and the like for one of them, ``{inf}`` and ``{nan}`` in them for
    how it writes these. ``callable`` ones are functions of formulas.
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
         sql_checked="(CASE WHEN {1} <> 0.0 THEN {0} / {1} ELSE {0} * {inf} END)",
         domain=Domain(lambda p, q: q != 0.0, "formula.needs_divisor", 1, "!=", 0.0))
operator("neg", "-{0}", SIGN, np.negative, (lambda b, a, n, u: b("neg", u),), ARITHMETIC, dd="dd_neg({0})",
         sql="(- {0})")


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


POWER_CHECKED = (
    "(CASE WHEN {0} = 0.0 THEN (CASE WHEN {1} > 0.0 THEN 0.0 WHEN {1} = 0.0 THEN 1.0 ELSE {inf} END)"
    " WHEN {0} < 0.0 AND floor({1}) <> {1} THEN {nan}"
    " WHEN NOT (abs({0}) < {inf} AND abs({1}) < {inf}) THEN power({0}, {1})"
    " WHEN {1} * ln(abs({0})) < -708.0 THEN 0.0"
    " WHEN {1} * ln(abs({0})) <= 709.7 THEN power({0}, {1})"
    " ELSE {inf} END)"
)
operator("pow", "{0}**{1}", POWER, np.power, (power_rule, exponent_rule), "DLMF 4.2(iv)",
         kernel="pow({0}, {1})", sql="power({0}, {1})", sql_checked=POWER_CHECKED, latex="{{{0}}}^{{{1}}}",
         domain=Domain(has_power, "formula.needs_power"))
# x**k for a constant integer k, |k| ≤ 16: multiplications, and defined for every x.
operator("powi", "{0}**{1}", POWER, np.power,
         (power_rule, None), ARITHMETIC,
         kernel="powi({0}, {1})", sql="power({0}, {1})", sql_checked=POWER_CHECKED, latex="{{{0}}}^{{{1}}}",
         dd="dd_powi({0}, {1})",
         domain=Domain(lambda x, k: (x != 0.0) | (np.asarray(k) >= 0.0), "formula.needs_divisor", 0, "!=", 0.0))

LOGARITHM = "DLMF 4.2, 4.7"
EXP_CHECKED = (
    "(CASE WHEN {0} < -708.0 THEN 0.0 WHEN {0} <= 709.7 THEN exp({0}) WHEN {0} <= {inf} THEN {inf} ELSE {nan} END)"
)
LOG_CHECKED = "(CASE WHEN {{0}} > 0.0 THEN {name}({{0}}) WHEN {{0}} = 0.0 THEN -{{inf}} ELSE {{nan}} END)"
LOG1P = "(CASE WHEN 1.0 + {0} = 1.0 THEN {0} ELSE ln(1.0 + {0}) * ({0} / ((1.0 + {0}) - 1.0)) END)"
EXPM1 = (
    "(CASE WHEN abs({0}) > 0.5 THEN {exp} - 1.0 WHEN {exp} = 1.0 THEN {0}"
    " ELSE ({exp} - 1.0) * ({0} / ln({exp})) END)"
)
function("exp", np.exp, (lambda b, a, n, u: b("mul", u, n),), LOGARITHM, sql_checked=EXP_CHECKED)
function("log", np.log, (lambda b, a, n, u: b("div", u, a[0]),), LOGARITHM, domain=positive(), sql="ln({0})",
         sql_checked=LOG_CHECKED.format(name="ln"))
function("log10", np.log10, (lambda b, a, n, u: b("div", u, b("mul", a[0], float(np.log(10.0)))),), LOGARITHM,
         domain=positive(), sql_checked=LOG_CHECKED.format(name="log10"))
function("log2", np.log2, (lambda b, a, n, u: b("div", u, b("mul", a[0], float(np.log(2.0)))),), LOGARITHM,
         domain=positive(), mpmath="mp.log({0}, 2)", sql_checked=LOG_CHECKED.format(name="log2"),
         sql_postgres=LOG_CHECKED.format(name="1.4426950408889634 * ln"))
function("log1p", np.log1p, (lambda b, a, n, u: b("div", u, b("add", 1.0, a[0])),), LOGARITHM,
         domain=positive("formula.needs_above", -1.0), sql=LOG1P,
         sql_checked=f"(CASE WHEN {{0}} > -1.0 THEN {LOG1P} WHEN {{0}} = -1.0 THEN -{{inf}} ELSE {{nan}} END)")
function("expm1", np.expm1, (lambda b, a, n, u: b("mul", u, b("add", n, 1.0)),), LOGARITHM,
         sql=EXPM1.format("{0}", exp="exp({0})"), sql_checked=EXPM1.format("{0}", exp=EXP_CHECKED))
function("sqrt", np.sqrt, (lambda b, a, n, u: b("div", u, b("mul", 2.0, n)),), "DLMF 4.2(iv)",
         domain=Domain(lambda x: ~(x < 0.0), "formula.needs_not_negative", 0, ">=", 0.0), latex=r"\sqrt{{{0}}}",
         sql_checked="(CASE WHEN {0} >= 0.0 THEN sqrt({0}) ELSE {nan} END)")
function("cbrt", np.cbrt, (lambda b, a, n, u: b("div", u, b("mul", 3.0, b("mul", n, n))),), "DLMF 4.2(iv)",
         torch="(torch.sign({0})*torch.abs({0})**(1/3))", sql_sqlite="", mpmath="(mp.sign({0})*mp.cbrt(abs({0})))",
         latex=r"\sqrt[3]{{{0}}}")


def square_sum(sign: str) -> Callable[[Builder, int], int]:
    """1 ± x²."""
    return lambda b, x: b(sign, 1.0, b("mul", x, x))


one_plus_square, one_minus_square = square_sum("add"), square_sum("sub")
WITHIN_ONE = Domain(lambda x: ~(np.abs(x) > 1.0), "formula.needs_within_one")
CIRCULAR, INVERSE, HYPERBOLIC = "DLMF 4.14, 4.20", "DLMF 4.23, 4.24", "DLMF 4.28, 4.34"
BOUNDED = "(CASE WHEN abs({{0}}) {limit} THEN {name}({{0}}) ELSE {{nan}} END)"
function("sin", np.sin, (lambda b, a, n, u: b("mul", u, b("cos", a[0])),), CIRCULAR,
         sql_checked=BOUNDED.format(name="sin", limit="< {inf}"))
function("cos", np.cos, (lambda b, a, n, u: b("neg", b("mul", u, b("sin", a[0]))),), CIRCULAR,
         sql_checked=BOUNDED.format(name="cos", limit="< {inf}"))
function("tan", np.tan, (lambda b, a, n, u: b("mul", u, one_plus_square(b, n)),), CIRCULAR,
         sql_checked=BOUNDED.format(name="tan", limit="< {inf}"))
function("asin", np.arcsin, (lambda b, a, n, u: b("div", u, b("sqrt", one_minus_square(b, a[0]))),), INVERSE,
         domain=WITHIN_ONE, numpy="np.arcsin({0})", sql_checked=BOUNDED.format(name="asin", limit="<= 1.0"))
function("acos", np.arccos, (lambda b, a, n, u: b("neg", b("div", u, b("sqrt", one_minus_square(b, a[0])))),), INVERSE,
         domain=WITHIN_ONE, numpy="np.arccos({0})", sql_checked=BOUNDED.format(name="acos", limit="<= 1.0"))
function("atan", np.arctan, (lambda b, a, n, u: b("div", u, one_plus_square(b, a[0])),), INVERSE,
         numpy="np.arctan({0})")
function("sinh", np.sinh, (lambda b, a, n, u: b("mul", u, b("cosh", a[0])),), HYPERBOLIC)
function("cosh", np.cosh, (lambda b, a, n, u: b("mul", u, b("sinh", a[0])),), HYPERBOLIC)
function("tanh", np.tanh, (lambda b, a, n, u: b("mul", u, one_minus_square(b, n)),), HYPERBOLIC)

SLOPE_OF_ERF = float(2.0 / np.sqrt(np.pi))


def bell(b: Builder, x: int) -> int:
    """2/√π · e^(−x²)."""
    return b("mul", SLOPE_OF_ERF, b("exp", b("neg", b("mul", x, x))))


# Cody 1969, Mathematics of Computation 23, 631: numerators and denominators, the highest power first, of x² up to
# 0.46875, of |x| up to 4, of 1/x² beyond.
CODY = (
    ((1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
     (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)),
    ((2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1, 2.98635138197400131e2,
      8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3),
     (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
      3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3)),
    ((1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
      1.60837851487422766e-2, 6.58749161529837803e-4),
     (1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2,
      2.33520497626869185e-3)),
)


def horner(coefficients: tuple[float, ...], x: str) -> str:
    """A polynomial as text."""
    said = repr(coefficients[0])
    for one in coefficients[1:]:
        said = f"({said} * {x} + {one!r})"
    return said


def cody(name: str) -> str:
    """erf or erfc, which few databases have, as rational functions: to the last digits."""
    small, middle, large = (
        f"{horner(top, x)} / {horner(bottom, x)}"
        for (top, bottom), x in zip(CODY, ("({0} * {0})", "abs({0})", "(1.0 / ({0} * {0}))"), strict=True)
    )
    near = "(floor(abs({0}) * 16.0) / 16.0)"  # e^(−x²) as two factors, the first exact: the exponent loses no digits
    bell = f"exp(- {near} * {near}) * exp(- (abs({{0}}) - {near}) * (abs({{0}}) + {near}))"
    root_pi = 0.56418958354775628695
    tail = (
        f"(CASE WHEN abs({{0}}) <= 4.0 THEN {bell} * ({middle}) WHEN abs({{0}}) <= 26.5 THEN"
        f" {bell} / abs({{0}}) * ({root_pi!r} - (1.0 / ({{0}} * {{0}})) * ({large})) ELSE 0.0 END)"
    )
    if name == "erf":
        parts = "{0} * 1.1283791670955126", f"{{0}} * ({small})", f"1.0 - {tail}", f"{tail} - 1.0"
    else:
        parts = "1.0", f"1.0 - {{0}} * ({small})", tail, f"2.0 - {tail}"
    return (
        f"(CASE WHEN abs({{0}}) <= 1.0e-20 THEN {parts[0]} WHEN abs({{0}}) <= 0.46875 THEN {parts[1]}"
        f" WHEN {{0}} > 0.0 AND {{0}} <= {{inf}} THEN {parts[2]} WHEN {{0}} < 0.0 THEN {parts[3]} ELSE {{nan}} END)"
    )


function("erf", special("erf"), (lambda b, a, n, u: b("mul", u, bell(b, a[0])),), "DLMF 7.2(i)",
         sql=cody("erf"), numpy="erf({0})")
function("erfc", special("erfc"), (lambda b, a, n, u: b("neg", b("mul", u, bell(b, a[0]))),), "DLMF 7.2(i)",
         sql=cody("erfc"), numpy="erfc({0})")
function("sigmoid", sigmoid, (lambda b, a, n, u: b("mul", u, b("mul", n, b("sub", 1.0, n))),), "PyTorch sigmoid",
         kernel="(1.0 / (1.0 + exp(-{0})))", sql="(1.0 / (1.0 + exp(- {0})))",
         sql_checked="(CASE WHEN {0} < -708.0 THEN 0.0 WHEN {0} <= 40.0 THEN 1.0 / (1.0 + exp(- {0}))"
         " WHEN {0} <= {inf} THEN 1.0 ELSE {nan} END)", mpmath="(1/(1+mp.exp(-{0})))",
         numpy="(1/(1 + np.exp(-{0})))")
SOFTPLUS = (  # above 40 it is its argument
    "(CASE WHEN {0} <= 40.0 THEN {log1p} WHEN {0} <= {{inf}} THEN {0} ELSE {{nan}} END)"
)
function("softplus", lambda x: np.logaddexp(0.0, x), (lambda b, a, n, u: b("mul", u, b("sigmoid", a[0])),),
         "Dugas et al. 2001", kernel="(log1p(exp(-abs({0}))) + ({0} if {0} > 0.0 else 0.0))",
         sql=SOFTPLUS.format("{0}", log1p=LOG1P.format("exp({0})")),
         sql_checked=SOFTPLUS.format("{0}", log1p=LOG1P.format(EXP_CHECKED)),
         numpy="np.logaddexp(0.0, {0})",
         torch="torch.logaddexp({0}, torch.zeros_like({0}))", mpmath="mp.log1p(mp.exp({0}))")

KINK = "PyTorch, at kinks and ties"
STEP = "(1.0 if {0} > 0.0 else (0.0 if {0} < 0.0 else {0} * 0.0 + 0.5))"  # NaN stays NaN
SIGN_SQL = (  # databases say of NaN that it is larger than infinity
    "(CASE WHEN {{0}} > 0.0 AND {{0}} <= {{inf}} THEN 1.0 WHEN {{0}} < 0.0 THEN {} WHEN {{0}} = 0.0 THEN {}"
    " ELSE {{nan}} END)"
)
function("abs", np.abs, (lambda b, a, n, u: b("mul", u, b("sign", a[0])),), KINK, mpmath="abs({0})",
         latex=r"\left|{0}\right|")
function("sign", np.sign, (None,), KINK, kernel="(1.0 if {0} > 0.0 else (-1.0 if {0} < 0.0 else {0}))",
         sql=SIGN_SQL.format(-1.0, 0.0))
function("heaviside", lambda x: np.heaviside(x, 0.5), (None,), "DLMF 1.16(iv)", kernel=STEP,
         numpy="np.heaviside({0}, 0.5)",
         torch="torch.heaviside({0}.detach(), torch.full_like({0}, 0.5))", sql=SIGN_SQL.format(0.0, 0.5),
         mpmath="((1+mp.sign({0}))/2)")


def tie_rule(b: Builder, a: tuple[int, ...], n: int, u: int) -> int:
    """Half to each argument where they are equal, all to the chosen one elsewhere (the guard sees to that)."""
    return b("mul", u, b("where", b("eq", a[0], a[1]), 0.5, 1.0))


def unless(comparison: str) -> Guard:
    """Where the first argument does not compare so with the second."""
    return lambda b, a: b("eq", b(comparison, a[0], a[1]), 0.0)


PICKED = "(CASE WHEN {{0}} <= {{inf}} AND {{1}} <= {{inf}} THEN {name}({{0}}, {{1}}) ELSE {{nan}} END)"
function("min", np.minimum, (tie_rule, tie_rule), KINK, guards=(unless("gt"), unless("lt")),
         kernel="({1} if {1} < {0} else ({0} if {1} == {1} else {1}))", torch="torch.minimum({0}, {1})",
         numpy="np.minimum({0}, {1})",
         sql=PICKED.format(name="least"), sql_sqlite="min({0}, {1})",
         latex=r"\min\left({0}, {1}\right)", mpmath="min({0}, {1})")
function("max", np.maximum, (tie_rule, tie_rule), KINK, guards=(unless("lt"), unless("gt")),
         kernel="({1} if {1} > {0} else ({0} if {1} == {1} else {1}))", torch="torch.maximum({0}, {1})",
         numpy="np.maximum({0}, {1})",
         sql=PICKED.format(name="greatest"), sql_sqlite="max({0}, {1})",
         latex=r"\max\left({0}, {1}\right)", mpmath="max({0}, {1})")

COMPARED = {  # false where an argument is NaN, which databases call equal to itself and larger than infinity
    "lt": "(CASE WHEN {0} < {1} AND {1} <= {inf} THEN 1.0 ELSE 0.0 END)",
    "le": "(CASE WHEN {0} <= {1} AND {1} <= {inf} THEN 1.0 ELSE 0.0 END)",
    "gt": "(CASE WHEN {0} > {1} AND {0} <= {inf} THEN 1.0 ELSE 0.0 END)",
    "ge": "(CASE WHEN {0} >= {1} AND {0} <= {inf} THEN 1.0 ELSE 0.0 END)",
    "eq": "(CASE WHEN {0} = {1} AND {0} <= {inf} THEN 1.0 ELSE 0.0 END)",
    "ne": "(CASE WHEN {0} = {1} AND {0} <= {inf} THEN 0.0 ELSE 1.0 END)",
}
for _name, _sign, _value, _latex in (
    ("lt", "<", np.less, "<"), ("le", "<=", np.less_equal, r"\le"), ("gt", ">", np.greater, ">"),
    ("ge", ">=", np.greater_equal, r"\ge"), ("eq", "==", np.equal, "="), ("ne", "!=", np.not_equal, r"\ne"),
):
    _choice = f"(1.0 if {{0}} {_sign} {{1}} else 0.0)"
    operator(_name, f"{{0}} {_sign} {{1}}", COMPARISON, compared(_value), (None, None), KINK, kernel=_choice,
             numpy=f"(({{0}} {_sign} {{1}})*1.0)",
             torch=f"({{0}} {_sign} {{1}}).to(torch.result_type({{0}}, {{1}}))", mpmath=_choice,
             latex=f"{{0}} {_latex} {{1}}",
             sql=COMPARED[_name])

operator("where", "{1} if {0} else {2}", CHOICE, select,
         (None, lambda b, a, n, u: u, lambda b, a, n, u: u), KINK,
         guards=(None, lambda b, a: b("ne", a[0], 0.0), lambda b, a: b("eq", a[0], 0.0)),
         kernel="({1} if {0} != 0.0 else {2})", torch="torch.where({0} != 0, {1}, {2})",
         numpy="np.where({0} != 0, {1}, {2})",
         sql="(CASE WHEN {0} <> 0.0 THEN {1} ELSE {2} END)", mpmath="({1} if {0} != 0 else {2})",
         latex=r"\begin{{cases}} {1} & {0} \\ {2} & \text{{else}} \end{{cases}}")
# fmt: on

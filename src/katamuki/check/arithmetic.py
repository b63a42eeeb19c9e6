"""The checker's arithmetic: every function that a formula may call, on real and on complex numbers.

A complex argument carries a derivative: its real part is the value, its imaginary part a tiny step times the slope
(the complex-step method, Squire & Trapp 1998). Real parts come from the real functions, so that values keep their
digits; imaginary parts come from the complex functions, or, where complex analysis has no say (kinks) or loses digits,
from the textbook's slope (Abramowitz & Stegun, chapters 3, 4 and 7). At ties the first argument's slope counts.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Function = Callable[..., Any]
LONG = np.dtype(np.longdouble)
WHOLE = 64  # largest exponent that is worked out by squaring


def is_complex(z: Any) -> bool:
    """Whether a number or array is complex; ``np.iscomplexobj``, ten times as fast."""
    kind = getattr(z, "dtype", None)
    return isinstance(z, complex) if kind is None else bool(kind.kind == "c")


def value(z: Any) -> Any:
    """The real part."""
    return z.real if is_complex(z) else z


def joined(real: Any, imaginary: Any) -> Any:
    """A complex number or array from its parts; ``a + 1j*b`` would spread infinities."""
    one, other = np.asarray(real), np.asarray(imaginary)
    wide = LONG in (one.dtype, other.dtype)
    shape = one.shape if one.shape == other.shape else np.broadcast(one, other).shape
    found = np.empty(shape, np.clongdouble if wide else np.complex128)
    found.real, found.imag = one, other
    return found[()]


def sloped(function: Function, slope: Function) -> Function:
    """A function of one argument from its value and its slope, both of real numbers."""

    def apply(z: Any) -> Any:
        if not is_complex(z):
            return function(z)
        return joined(function(z.real), slope(z.real) * z.imag)

    return apply


def analytic(function: Function, extended: Function | None = None) -> Function:
    """A function of one argument whose imaginary part comes from complex analysis."""
    beyond = extended or function

    def apply(z: Any) -> Any:
        if not is_complex(z):
            return function(z)
        return joined(function(z.real), beyond(z).imag)

    return apply


def raised(x: Any, p: Any) -> Any:
    """x**p of real numbers; whole powers of long doubles by squaring, a hundred times faster than C's ``powl``."""
    if getattr(x, "dtype", None) != LONG or np.ndim(p) or not (p == np.floor(p) and abs(p) <= WHOLE):
        return np.power(x, p)
    found, square, left = np.ones_like(x), x, int(abs(p))
    while left:
        if left % 2:
            found = found * square
        left //= 2
        if left:
            square = square * square
    return found if p >= 0.0 else 1.0 / found


def power(base: Any, exponent: Any) -> Any:
    """base**exponent; a negative base may have whole exponents only."""
    x, p = value(base), value(exponent)
    found = raised(x, p)
    if not (is_complex(base) or is_complex(exponent)):
        return found
    if not (is_complex(exponent) or np.ndim(p) or p == 0.0):
        return joined(found, p * raised(x, p - 1.0) * base.imag)
    step: Any = 0.0
    if is_complex(base):
        step = step + np.where(p == 0.0, 0.0, p * raised(x, np.where(p == 0.0, 1.0, p - 1.0)[()]) * base.imag)
    if is_complex(exponent):
        flat = (exponent.imag == 0.0) | ((x == 0.0) & (p >= 0.0))
        step = step + np.where(flat, 0.0, found * np.log(x) * exponent.imag)
    return joined(found, step)


def product(a: Any, b: Any) -> Any:
    """a·b; a real factor multiplies both parts, so that an infinite one spoils only what it must."""
    if is_complex(a) and is_complex(b):
        return joined(a.real * b.real, a.real * b.imag + a.imag * b.real)
    if is_complex(a):
        return joined(a.real * b, a.imag * b)
    if is_complex(b):
        return joined(a * b.real, a * b.imag)
    return np.multiply(a, b)


def quotient(a: Any, b: Any) -> Any:
    """a/b, to first order in the imaginary parts."""
    if not is_complex(b):
        return joined(a.real / b, a.imag / b) if is_complex(a) else np.divide(a, b)
    found = value(a) / b.real
    step = -found * (b.imag / b.real)
    return joined(found, step + a.imag / b.real if is_complex(a) else step)


def choose(condition: Any, one: Any, other: Any) -> Any:
    """``one if condition else other``, row by row; NaN counts as true, as it is not 0."""
    return np.where(value(condition) != 0.0, one, other)[()]


def negated(condition: Any) -> Any:
    """1 where the condition is 0."""
    return np.where(value(condition) == 0.0, 1.0, 0.0)[()]


def compared(comparison: Function) -> Function:
    """A comparison of real parts with value 1 or 0."""
    return lambda a, b: np.where(comparison(value(a), value(b)), 1.0, 0.0)[()]


def least(*args: Any) -> Any:
    """The smallest argument; NaN if one is."""
    return functools.reduce(lambda a, b: _picked(value(a) <= value(b), a, b), args)


def greatest(*args: Any) -> Any:
    """The largest argument; NaN if one is."""
    return functools.reduce(lambda a, b: _picked(value(a) >= value(b), a, b), args)


def _picked(first: Any, a: Any, b: Any) -> Any:
    return np.where(first | np.isnan(value(a)), a, b)[()]


def sigmoid(x: Any) -> Any:
    """1/(1 + e⁻ˣ) without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def softplus(x: Any) -> Any:
    """log(1 + eˣ) without overflow."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def _special(name: str) -> Function:
    """A function of SciPy, which is imported when it is first called."""

    def apply(x: Any) -> Any:
        from scipy import special

        return getattr(special, name)(np.asarray(x, dtype=np.float64))

    return apply


def _bell(sign: float) -> Function:
    return lambda x: sign * 2.0 / np.sqrt(np.pi) * np.exp(-x * x)


def _circle(sign: float) -> Function:
    return lambda x: sign / np.sqrt((1.0 - x) * (1.0 + x))


def _cbrt_slope(x: Any) -> Any:
    root = np.cbrt(x)
    return 1.0 / (3.0 * root * root)


def _nothing(x: Any) -> Any:
    return np.zeros_like(x)


BINARY: Mapping[type, Function] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: product,
    ast.Div: quotient,
    ast.Pow: power,
    ast.And: lambda *args: functools.reduce(product, args),
    ast.Or: greatest,
}
COMPARISONS: Mapping[type, Function] = {
    ast.Lt: compared(np.less),
    ast.LtE: compared(np.less_equal),
    ast.Gt: compared(np.greater),
    ast.GtE: compared(np.greater_equal),
    ast.Eq: compared(np.equal),
    ast.NotEq: compared(np.not_equal),
}
_ONE: Mapping[str, Function] = {
    "exp": sloped(np.exp, np.exp),
    "expm1": sloped(np.expm1, np.exp),
    "log": analytic(np.log),
    "log2": analytic(np.log2, lambda z: np.log(z) / np.log(2.0)),
    "log10": analytic(np.log10, lambda z: np.log(z) / np.log(10.0)),
    "log1p": analytic(np.log1p, lambda z: np.log(1.0 + z)),
    "sqrt": analytic(np.sqrt),
    "cbrt": sloped(np.cbrt, _cbrt_slope),
    "sin": analytic(np.sin),
    "cos": analytic(np.cos),
    "tan": sloped(np.tan, lambda x: 1.0 + np.tan(x) ** 2),
    "asin": sloped(np.arcsin, _circle(1.0)),
    "acos": sloped(np.arccos, _circle(-1.0)),
    "atan": sloped(np.arctan, lambda x: 1.0 / (1.0 + x * x)),
    "sinh": sloped(np.sinh, np.cosh),
    "cosh": sloped(np.cosh, np.sinh),
    "tanh": sloped(np.tanh, lambda x: 1.0 / np.cosh(x) ** 2),
    "erf": sloped(_special("erf"), _bell(1.0)),
    "erfc": sloped(_special("erfc"), _bell(-1.0)),
    "sigmoid": sloped(sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
    "softplus": sloped(softplus, sigmoid),
    "abs": sloped(np.abs, np.sign),
    "sign": sloped(np.sign, _nothing),
    "heaviside": sloped(lambda x: np.heaviside(x, 0.5), _nothing),
}
MOST = 255  # arguments
# Name: the function, and how few and how many arguments it takes.
CALLS: Mapping[str, tuple[Function | None, int, int]] = {
    **{name: (function, 1, 1) for name, function in _ONE.items()},
    **{name: (_ONE[name.replace("rc", "", 1)], 1, 1) for name in ("arcsin", "arccos", "arctan")},
    "min": (least, 2, MOST),
    "max": (greatest, 2, MOST),
}

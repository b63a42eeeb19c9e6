"""Arithmetic as a reader of a story does it: from numbers as they are printed, each good to its last digit.

An expression such as ``0.99·0 + 0.01·(−45.0182)²`` is read and evaluated with intervals, so that what comes out says
how far the printed digits determine it. It knows nothing of katamuki.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:e[+−]\d+)?)|(?P<name>∂L/∂[A-Za-z_ŷ][A-Za-z0-9_ŷ]*[₀-₉]*|[A-Za-z_ŷ][A-Za-z0-9_]*'?)"
    r"|(?P<raised>[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)|(?P<sign>==|[+−·/^√()|,<>≤≥≠Σ]))"
)
RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": float.__lt__,
    ">": float.__gt__,
    "≤": float.__le__,
    "≥": float.__ge__,
    "==": float.__eq__,
    "≠": float.__ne__,
}
FUNCTIONS: dict[str, Callable[..., float]] = {
    **{name: getattr(math, name) for name in ("exp", "log", "log10", "log2", "log1p", "expm1", "cbrt", "erf", "erfc")},
    **{name: getattr(math, name) for name in ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh")},
    "max": max,
    "min": min,
    "sign": lambda x: float((x > 0) - (x < 0)),
    "heaviside": lambda x: 0.5 * (1 + (x > 0) - (x < 0)),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "softplus": lambda x: math.log1p(math.exp(x)),
}


@dataclass(frozen=True)
class Interval:
    """All numbers from ``low`` to ``high``."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.high + other.high)

    def __neg__(self) -> Interval:
        return Interval(-self.high, -self.low)

    def __sub__(self, other: Interval) -> Interval:
        return self + -other

    def __mul__(self, other: Interval) -> Interval:
        ends = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Interval(min(ends), max(ends))

    def __truediv__(self, other: Interval) -> Interval:
        if other.low <= 0.0 <= other.high:
            return Interval(-math.inf, math.inf)
        return self * Interval(1 / other.high, 1 / other.low)

    def holds(self, other: Interval) -> bool:
        """Whether the two have a number in common, up to rounding of the reader's own arithmetic."""
        slack = 1e-12 * max(abs(self.low), abs(self.high), 1e-300)
        return self.low - slack <= other.high and other.low <= self.high + slack


def printed(text: str) -> Interval:
    """A number with six significant digits, trailing zeros left out, or more where more are there."""
    value, digits, sign = _read(text)
    power = int(f"{value:.12e}".partition("e")[2]) if value else -6
    half = 0.5 * 10.0 ** -max(digits, 5 - power)
    return Interval(sign * value - half, sign * value + half)


def fixed(text: str) -> Interval:
    """A number with fixed decimals: good to the last one that is there."""
    value, digits, sign = _read(text)
    half = 0.5 * 10.0**-digits
    return Interval(sign * value - half, sign * value + half)


def _read(text: str) -> tuple[float, int, float]:
    """Its size, how many decimals it shows (in units of 1), and its sign."""
    plain = text.replace("−", "-").lstrip("+")
    sign = -1.0 if plain.startswith("-") else 1.0
    mantissa, _, exponent = plain.lstrip("-").partition("e")
    return float(plain.lstrip("-")), len(mantissa.partition(".")[2]) - int(exponent or 0), sign


def evaluate(text: str, names: Mapping[str, Interval] | Callable[[str], Interval]) -> Interval:
    """What an expression is, given what its names are."""
    look = names if callable(names) else names.__getitem__
    return _Reader(text, look).whole()


class _Reader:
    """A reader by recursive descent over the tokens."""

    def __init__(self, text: str, look: Callable[[str], Interval]) -> None:
        self.look = look
        self.text = text
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text.rstrip()):
            found = TOKEN.match(text, at)
            assert found is not None, f"cannot read {text[at:]!r} in {text!r}"
            kind = str(found.lastgroup)
            self.tokens.append((kind, found[kind]))
            at = found.end()
        self.at = 0

    def whole(self) -> Interval:
        found = self.choice()
        assert self.at == len(self.tokens), f"what is {self.tokens[self.at :]} in {self.text!r}"
        return found

    def peek(self, *values: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at][1] in values

    def take(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1][1]

    def choice(self) -> Interval:
        first = self.comparison()
        if not self.peek("if"):
            return first
        self.take()
        condition = self.comparison()
        assert self.take() == "else"
        other = self.comparison()
        if condition.low != condition.high:  # the digits do not tell
            return Interval(min(first.low, other.low), max(first.high, other.high))
        return first if condition.middle != 0.0 else other

    def comparison(self) -> Interval:
        one = self.sum()
        if not self.peek(*COMPARE):
            return one
        compare = COMPARE[self.take()]
        two = self.sum()
        if one.low <= two.high and two.low <= one.high:
            return Interval(0.0, 1.0)
        true = float(compare(one.middle, two.middle))
        return Interval(true, true)

    def sum(self) -> Interval:
        found = self.product()
        while self.peek("+", "−"):
            found = found + self.product() if self.take() == "+" else found - self.product()
        return found

    def product(self) -> Interval:
        found = self.signed()
        while self.peek("·", "/"):
            found = found * self.signed() if self.take() == "·" else found / self.signed()
        return found

    def signed(self) -> Interval:
        if self.peek("−"):
            self.take()
            return -self.signed()
        found = self.power()
        before = self.tokens[self.at - 1][0] if self.at else ""
        named = self.at < len(self.tokens) and self.tokens[self.at][0] == "name" and not self.peek("if", "else")
        if before == "number" and named:  # 2e means 2·e
            return found * self.power()
        return found

    def power(self) -> Interval:
        base = self.atom()
        if self.at < len(self.tokens) and self.tokens[self.at][0] == "raised":
            return _raised(base, int(self.take().translate(RAISED)))
        if self.peek("^"):
            self.take()
            exponent = self.signed()
            return _applied(lambda x, p: x**p, base, exponent)
        return base

    def atom(self) -> Interval:
        if self.peek("√"):
            self.take()
            inside = self.power()
            return _applied(lambda x: math.sqrt(max(x, 0.0)), inside)
        if self.peek("("):
            self.take()
            inside = self.choice()
            assert self.take() == ")"
            return inside
        if self.peek("|"):
            self.take()
            inside = self.sum()
            assert self.take() == "|"
            return _applied(abs, inside)
        kind = self.tokens[self.at][0]
        text = self.take()
        if kind == "number":
            return printed(text)
        assert kind == "name", f"what is {text!r} in {self.text!r}"
        if text in FUNCTIONS and self.peek("("):
            self.take()
            given = [self.choice()]
            while self.peek(","):
                self.take()
                given.append(self.choice())
            assert self.take() == ")"
            return _applied(FUNCTIONS[text], *given)
        return self.look(text)


def _raised(base: Interval, power: int) -> Interval:
    return _applied(lambda x: x**power, base)


def _applied(function: Callable[..., float], *given: Interval) -> Interval:
    """The values of a function over intervals, seen at their ends and middles and widened by half."""
    points: list[list[float]] = [[]]
    for one in given:
        points = [[*point, value] for point in points for value in (one.low, one.middle, one.high)]
    try:
        values = [function(*point) for point in points]
        middle = function(*(one.middle for one in given))
    except (ValueError, ZeroDivisionError, OverflowError):
        return Interval(-math.inf, math.inf)
    spread = 1.5 * max(abs(value - middle) for value in values)
    return Interval(middle - spread, middle + spread)

"""Numbers of a story: six significant digits inside arithmetic, fixed decimals where several are to be compared.

Both print a true minus and never −0; :mod:`katamuki.report.numbers` prints a fit's own results.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from katamuki.explain.step.record import Equation
from katamuki.explain.story.notation import short
from katamuki.report.numbers import DASH, MINUS, brief, number

MOST_DECIMALS = 12
LEAST_PLAIN = 1e-7  # smaller numbers are written with a power of ten
PLACE = re.compile(r"\{([^{}]+)\}")
EPS_SHOWS = 2e-7  # of a divisor: below, adding eps changes none of six digits
DIVISOR = re.compile(r"\(√\{([^{}]+)\} \+ \{eps\}\)")
LARGEST = re.compile(r"\|\{([^{}]+)\}\| \+ \{eps\}")


def plainly(value: float) -> str:
    """A value of a parameter or loss: as a report prints it, without trailing zeros.

    Example
    -------
    >>> plainly(0.5), plainly(2.9995909090), plainly(0.000027500000)
    ('0.5', '2.999591', '0.0000275')
    """
    text = number(value)
    if "e" in text and MINUS + "0" in text and abs(value) >= LEAST_PLAIN:
        text = f"{value:.{5 - power(value)}f}".replace("-", MINUS)
    return text if "e" in text or "." not in text else text.rstrip("0").rstrip(".")


def power(value: float) -> int:
    """The power of ten of a number: 0 for 7.5, −2 for 0.0123.

    Example
    -------
    >>> power(7.5), power(0.0123), power(0.0)
    (0, -2, 0)
    """
    return int(f"{abs(value):.6e}".partition("e")[2]) if value and math.isfinite(value) else 0


def decimals(values: Sequence[float], digits: int) -> int:
    """How many decimals show ``digits`` digits of the largest, one more where it stands before the decimal point."""
    largest = power(max((abs(one) for one in values if math.isfinite(one)), default=0.0))
    return min(MOST_DECIMALS, max(0, digits - largest if largest >= 0 else digits - 1 - largest))


def fixed(value: float, places: int, *, signed: bool = False) -> str:
    """A number with so many decimals; in short where these would show nothing of it, or more than there is.

    Example
    -------
    >>> fixed(-0.4892, 6), fixed(0.011, 6, signed=True), fixed(-2e-15, 6), fixed(1.5e12, 0), fixed(0.0, 2)
    ('−0.489200', '+0.011000', '−2e−15', '1.50000e+12', '0.00')
    """
    if math.isnan(value):
        return DASH
    if math.isinf(value) or abs(value) >= 1e9:
        text = short(value) if math.isinf(value) else f"{value:.5e}".replace("-", MINUS)
    else:
        text = f"{value:.{places}f}".replace("-", MINUS)
        if value != 0.0 and not text.strip(MINUS + "0."):
            text = brief(value)
    if not text.strip(MINUS + "0."):
        text = text.lstrip(MINUS)
    return "+" + text if signed and not text.startswith(MINUS) and text.strip("0.") else text


def filled(equation: Equation) -> str:
    """An equation's right side with its numbers.

    Example
    -------
    >>> filled(Equation("v", "{alpha}·{v} + {g}²", {"alpha": 0.99, "v": -1.0, "g": -5.0}, 24.01))
    '0.99·(−1) + (−5)²'
    """
    return _put(_shown(equation), {name: short(value) for name, value in equation.operands.items()})


def hides_eps(equation: Equation) -> bool | None:
    """Whether eps is left out of the numbers, since it changes none of their digits; None where the rule has none."""
    return _shown(equation) != equation.rule if "{eps}" in equation.rule else None


def _shown(equation: Equation) -> str:
    """The rule without an eps that changes no digit shown: √v for (√v + eps), |g| for |g| + eps."""
    rule, operands = equation.rule, equation.operands
    if (found := DIVISOR.search(rule)) and operands["eps"] < EPS_SHOWS * math.sqrt(max(operands[found[1]], 0.0)):
        return rule.replace(found[0], f"√{{{found[1]}}}")
    if (found := LARGEST.search(rule)) and operands["eps"] < EPS_SHOWS * abs(operands[found[1]]):
        return rule.replace(found[0], f"|{{{found[1]}}}|")
    return rule


def lettered(equation: Equation) -> str:
    """An equation's right side in letters: what has two parts stands in brackets.

    Example
    -------
    >>> lettered(Equation("v", "{v} + {1 − alpha}·{g}²", {}, 0.0))
    'v + (1 − alpha)·g²'
    """
    return PLACE.sub(lambda found: f"({found[1]})" if " " in found[1] else found[1], equation.rule)


def _put(rule: str, texts: Mapping[str, str]) -> str:
    """The rule with texts for names; a negative number is bracketed under a power, a root, and behind a tight dot."""

    def one(found: re.Match[str]) -> str:
        text = texts[found[1]]
        after = rule[found.end() : found.end() + 1]
        before = rule[max(0, found.start() - 2) : found.start()]
        exponent = "e" in text and after in {"²", "^"}
        minus = text.startswith(MINUS) and (
            after in {"²", "^"} or before[-1:] in {"·", "√", "^"} or before in {MINUS + " ", "/ "}
        )
        return f"({text})" if exponent or minus else text

    return PLACE.sub(one, rule)

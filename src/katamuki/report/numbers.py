"""How numbers look on paper: six significant digits, a true minus, never −0.000000, and display width.

Machine output (JSON, CSV with full digits) does not pass through here, except for :func:`cell`.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

MINUS = "−"  # U+2212
MOST = 7  # digits that are printed at most
MEANT = 15  # digits of a double that all mean something
# Names with their values, "a 4.13711, b -0.0639634"; signs of numbers and of their powers.
POINT = re.compile(r"[^\s,]+ -?(\d[\d.]*(e[+-]\d+)?|inf)(, [^\s,]+ -?(\d[\d.]*(e[+-]\d+)?|inf))*(, …)?")
SIGNS = re.compile(r"(?<= )-(?=[\di])|(?<=\de)-(?=\d)")
TYPED = 12  # digits that somebody types at most
DASH = "—"  # stands where there is no number
ASCII = str.maketrans(
    {
        MINUS: "-",
        DASH: "-",
        "±": "+/-",
        "²": "^2",
        "χ": "chi",
        "·": "*",
        "×": "x",
        "√": "sqrt ",
        "ŷ": "yhat",
        "–": "-",
        "…": "...",
        "‖": "|",
        "≤": "<=",
        "≥": ">=",
        "α": "alpha",
        "“": '"',
        "”": '"',
        "’": "'",
    }
)


def number(value: float | None, left: float = math.inf) -> str:
    """A number for people: six significant digits, seven where the first stands before the decimal point.

    Parameters
    ----------
    value : float or None
        What to print, any unit; ``None`` and NaN print as a dash.
    left : float
        How many of its digits survived rounding: no more are printed. Below one it is 0 to rounding; −∞ is a dash.

    Returns
    -------
    str
        Such as ``0.500091``, ``3.000091``, ``1.23457e−05``.

    Example
    -------
    >>> [number(v) for v in (0.50009090909, -45.018181818, 1234567.8, 1.5e-9, -1e-320, 0.0)]
    ['0.500091', '−45.01818', '1234568', '1.50000e−09', '−9.99989e−321', '0']
    >>> [number(-45.018181, left) for left in (9.0, 3.9, 1.2, 0.3, -math.inf)], number(1234567.8, 3.0)
    (['−45.01818', '−45.0', '−5e+01', '0', '—'], '1.23e+06')
    """
    if value is None or math.isnan(value) or left == -math.inf:
        return DASH
    return (_digits(float(value)) if left >= MOST else _shorter(float(value), left)).replace("-", MINUS)


def _digits(value: float) -> str:
    if value == 0.0:
        return "0"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    power = int(f"{value:.6e}".partition("e")[2])  # the power after rounding: 9.9999999 is 10.00000
    if power > 6 or power < -4:
        return f"{value:.6e}" if power > 6 else f"{value:.5e}"
    return f"{value:.{6 - power}f}" if power >= 0 else f"{value:.{5 - power}f}"


def _shorter(value: float, left: float) -> str:
    """No more than so many digits; in the form of :func:`_digits` where that shows no others."""
    if not math.isfinite(value) or left < 1.0:
        return _digits(value if math.isinf(value) else 0.0)
    digits = math.floor(left)
    power = int(f"{value:.{digits - 1}e}".partition("e")[2])
    if digits >= (MOST if power >= 0 else MOST - 1):
        return _digits(value)
    if -4 <= power <= 6 and power < digits:
        return f"{value:.{digits - 1 - power}f}"
    return f"{value:.{digits - 1}e}"


def beside(value: float, stderr: float, left: float = math.inf) -> str:
    """A number with the digits that its standard error's second digit needs, where those are more than are usual.

    Parameters
    ----------
    value, stderr : float
        The number and how uncertain it is, in the same unit.
    left : float
        As for :func:`number`.

    Example
    -------
    >>> beside(1700200123.4, 321.7), beside(1700200123.4, 321.7, 8.0), beside(0.5, 0.1), beside(2e5, 0.0123)
    ('1700200123', '1.7002001e+09', '0.500000', '200000.000')
    """
    digits = wanted(value, stderr)
    digits = math.floor(min(digits, left, MEANT)) if left >= MOST else 0
    if not digits:
        return number(value, left)
    power = _power(value)
    if digits <= power <= digits + 1 and power < min(left, MEANT):
        digits = power + 1  # whole, where one or two more digits make it so
    if -5 < power < digits:
        return f"{value:.{digits - 1 - power}f}".replace("-", MINUS)
    return f"{value:.{digits - 1}e}".replace("-", MINUS)


def wanted(value: float, stderr: float) -> int:
    """How many significant digits of a number its standard error's second digit needs; 0 where it has them anyway.

    Example
    -------
    >>> wanted(1700200123.4, 321.7), wanted(0.5, 0.1), wanted(0.0, 0.1)
    (9, 0, 0)
    """
    if not (math.isfinite(value) and math.isfinite(stderr) and value and stderr > 0.0):
        return 0
    digits = _power(value) - _power(stderr) + 2
    return digits if digits > (MOST if abs(value) >= 1.0 else MOST - 1) else 0


def _power(value: float) -> int:
    """The power of ten of a number's first digit."""
    return int(f"{value:.15e}".partition("e")[2])


class Signed(float):
    """A number in a sentence: with a true minus, however many digits the sentence asks for.

    Example
    -------
    >>> "{low:.3g} to {high}".format(low=Signed(-1.5e-7), high=Signed(2.0))
    '−1.5e−07 to 2.0'
    """

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        return float.__format__(self, spec).replace("-", MINUS)


def signed(value: object) -> object:
    """A value of a sentence with true minus signs: numbers, and numbers after names, as in ``a -1.5, b 2e-07``.

    Formulas stay as they are typed.

    Example
    -------
    >>> signed("a -1.5, b 2e-07"), signed("0.5*a - b"), signed("-1*a"), signed(2)
    ('a −1.5, b 2e−07', '0.5*a - b', '-1*a', 2)
    """
    if type(value) is float:
        return Signed(value)
    if isinstance(value, str) and POINT.fullmatch(value):
        return SIGNS.sub(MINUS, value)
    return value


def cell(value: float, *, full: bool = False) -> str:
    """A number for a CSV cell, ASCII: as :func:`number` prints it, or the shortest text that reads back the same.

    Example
    -------
    >>> cell(-45.018181818181816), cell(-45.018181818181816, full=True), cell(float("nan"))
    ('-45.01818', '-45.018181818181816', '')
    """
    if math.isnan(value):
        return ""
    if not full:
        return _digits(value)
    text = repr(float(value))
    return text.removesuffix(".0")


def quoted(text: str) -> str:
    """A CSV cell of text, in quotes where a comma, a quote or a newline asks for them.

    Example
    -------
    >>> print(quoted("y"), quoted("log(y, 2)"), quoted('say "x"'))
    y "log(y, 2)" "say ""x""\"
    """
    if any(one in text for one in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text


def brief(value: float, digits: int = 1) -> str:
    """A size for people, few digits: ``3e−14``, ``0.0042``.

    Example
    -------
    >>> brief(3.21e-14), brief(0.004243, 2), brief(-0.9427, 3), brief(12.0), brief(-0.0)
    ('3e−14', '0.0042', '−0.943', '10', '0')
    """
    if value == 0.0:
        return "0"
    text = f"{value:.{digits}g}"
    if "e+" in text and abs(value) < 1e7:
        text = f"{float(text):.0f}"
    return text.replace("-", MINUS)


class Brief(float):
    """A number in a record that sentences say as :func:`brief` does; in JSON and in sums it is the whole number.

    Example
    -------
    >>> found = Brief(0.010881872, 3)
    >>> str(found), f"{found}", found * 2
    ('0.0109', '0.0109', 0.021763744)
    """

    __slots__ = ("digits",)

    digits: int

    def __new__(cls, value: float, digits: int = 1) -> Brief:
        """The number, and how many of its digits are said."""
        made = super().__new__(cls, value)
        made.digits = digits
        return made

    def __getnewargs__(self) -> tuple[float, int]:  # type: ignore[override]
        return float(self), self.digits

    def __str__(self) -> str:
        return brief(float(self), self.digits)

    def __format__(self, spec: str) -> str:
        return float.__format__(self, spec) if spec else str(self)


def correlation(value: float) -> str:
    """A correlation to three digits, to more where it is near 1 but not 1.

    Example
    -------
    >>> correlation(-0.94272), correlation(-0.9996), correlation(0.9999997), correlation(1.0)
    ('−0.943', '−0.9996', '0.9999997', '1')
    """
    rest = 1.0 - abs(value)
    if not 0.0 < rest < 5e-4:
        return brief(value, 3)
    return f"{value:.{-math.floor(math.log10(rest))}f}".replace("-", MINUS)


def plain(value: float | str | Sequence[float]) -> str:
    """What somebody chose, as they would type it: ``0.001``, ``1e-08``, ``6000``, ``0.9/0.999``.

    Example
    -------
    >>> plain(0.001), plain(1e-8), plain(3.0), plain(True), plain((0.9, 0.999)), plain("strong_wolfe")
    ('0.001', '1e-08', '3', 'true', '0.9/0.999', 'strong_wolfe')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return "/".join(map(plain, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).removesuffix(".0")


def begun(value: float) -> str:
    """A start as it was typed; six digits of one that nobody typed, such as a network's weight.

    Example
    -------
    >>> begun(0.5), begun(-0.2526533603668213), begun(1 / 3)
    ('0.5', '−0.252653', '0.333333')
    """
    text = plain(float(value))
    return number(value) if len(text.lstrip("-0.").replace(".", "")) > TYPED else text


def seconds(value: float) -> str:
    """A time: ``0.4 ms``, ``22 ms``, ``3.1 s``.

    Example
    -------
    >>> seconds(0.00042), seconds(0.0221), seconds(3.14), seconds(75.0)
    ('0.42 ms', '22 ms', '3.1 s', '75 s')
    """
    amount, unit = (value, "s") if value >= 1.0 else (value * 1e3, "ms")
    return f"{amount:.2g} {unit}" if amount < 10 else f"{amount:.0f} {unit}"


def grouped(value: int) -> str:
    """A count with thin groups: ``1 240 000``; below ten thousand as it is."""
    return f"{value:,}".replace(",", " ") if value >= 10_000 else str(value)


def width(text: str) -> int:
    """How many cells a terminal gives a text: two for East Asian wide characters, none for combining marks.

    Example
    -------
    >>> width("y = a*x"), width("傾き"), width("e" + chr(0x301))
    (7, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


@lru_cache(maxsize=4096)
def _cells(one: str) -> int:
    """The cells of one character."""
    return 0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1


def left(text: str, cells: int) -> str:
    """The text, padded on its right to a number of cells."""
    return text + " " * max(0, cells - width(text))


def right(text: str, cells: int) -> str:
    """The text, padded on its left to a number of cells."""
    return " " * max(0, cells - width(text)) + text


def table(rows: Iterable[Iterable[str]], *, gap: int = 4, first: int = 2) -> list[str]:
    """Lines of a table: the first column left, the others right, ``gap`` cells between them.

    Example
    -------
    >>> table([["", "value"], ["a", "0.5"], ["width", "12"]])
    ['           value', '  a          0.5', '  width       12']
    """
    cells = [list(row) for row in rows]
    columns = max(len(row) for row in cells)
    wide = [max(width(row[j]) for row in cells if j < len(row)) for j in range(columns)]
    lines = []
    for row in cells:
        line = " " * first + left(row[0], wide[0])
        for j, text in enumerate(row[1:], start=1):
            line += " " * gap + right(text, wide[j])
        lines.append(line.rstrip())
    return lines


def fitting(rows: Sequence[Sequence[str]], columns: int) -> list[str]:
    """A table whose columns stand nearer to each other where it would be too wide.

    Example
    -------
    >>> fitting([["a", "0.5"]], 9), fitting([["a", "0.5"]], 8)
    (['  a   0.5'], ['  a  0.5'])
    """
    for gap in (4, 3, 2):
        lines = table(rows, gap=gap)
        if max(map(width, lines)) <= columns:
            break
    return lines


def ascii_only(text: str) -> str:
    """The text in ASCII: signs by their usual spelling, anything else as its escape.

    Example
    -------
    >>> ascii_only("R² −0.5 ± 1"), ascii_only("傾")
    ('R^2 -0.5 +/- 1', '\\\\u50be')
    """
    return text.translate(ASCII).encode("ascii", "backslashreplace").decode("ascii")

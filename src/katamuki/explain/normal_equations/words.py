"""The normal equations as text, as a dictionary and as HTML: sums, equations, solution, and the check of the residuals.

A column that is a name stands in the sums as it is (Σx², Σxy); others get a letter, explained above. Numbers are the
same in every language.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from html import escape
from typing import Any

from katamuki import messages
from katamuki.explain.normal_equations.record import (
    FEWEST,
    MOST,
    SCHEMA,
    SOLVED,
    NormalEquations,
    Row,
    cramer,
    decimal,
    eliminate,
    rounded,
)
from katamuki.report.document import jsonable
from katamuki.report.layout import flow, wrapped
from katamuki.report.numbers import MINUS, brief, number, plain, right, table, width

ROMAN = ("I", "II", "III", "IV")
CORNER = 5  # rows and columns of a large matrix that are printed
LETTERS = "uvstmhk"
FEW = 5  # digits of a matrix that is shown and not solved


def text(found: NormalEquations, lang: str = "en", columns: int = 80) -> str:
    """The equations in lines; see :meth:`NormalEquations.text`."""
    symbols = _symbols(found)
    lines = [line for one in _defined(found, symbols, lang) for line in wrapped(one, columns)]
    if len(found.names) > SOLVED or (found.digits is None and found.answer is not None):
        lines += _summary(found, lang, columns)
    else:
        lines += flow(_sums(found, symbols), columns)
        lines += _equations(found, lang, columns)
    return "\n".join(line.rstrip() for line in [*lines, *_check(found, symbols, lang, columns)])


def as_dict(found: NormalEquations) -> dict[str, Any]:
    """The equations as plain data."""
    return {
        "schema": SCHEMA,
        "formula": found.formula,
        "response": found.response,
        "rows": found.n,
        "weighted": found.weighted,
        "offset": found.offset,
        "fixed": jsonable(found.fixed),
        "columns": dict(zip(found.names, found.columns, strict=True)),
        "matrix": [list(row) for row in found.matrix],
        "right": list(found.right),
        "digits": found.digits,
        "answer": jsonable(found.answer),
        "fitted": jsonable(found.fitted),
        "at_bound": list(found.at_bound),
        "residual_sums": jsonable(found.residual_sums),
        "rounding": jsonable(found.rounding),
        "shared_digits": jsonable(found.shared),
    }


def html(found: NormalEquations, lang: str = "en") -> str:
    """The matrix as a table, and what follows from it, in one ``<div>`` without scripts or styles.

    Example
    -------
    >>> import katamuki as km
    >>> "<td>1001</td>" in html(km.fit("y ~ a*x + b", km.datasets("tutorial")).normal_equations())
    True
    """
    symbols = _symbols(found)
    names = found.names[:CORNER]
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_digits(found, one)}</td>" for one in (*row[:CORNER], rhs)) + "</tr>"
        for row, rhs in list(zip(found.matrix, found.right, strict=True))[:CORNER]
    )
    said = [*_defined(found, symbols, lang), *_answers(found), *_check(found, symbols, lang, 10_000)]
    told = "".join(f"<li>{escape(one.strip())}</li>" for one in said)
    title = escape(_say("head", lang, formula=found.formula))
    return (
        f"<div><table><caption>{title}</caption><thead><tr>{head}<th>=</th></tr></thead>"
        f"<tbody>{rows}</tbody></table><ul>{told}</ul></div>"
    )


def _say(key: str, lang: str, **values: object) -> str:
    return messages.sentence("explain.normal." + key, lang, **values)


class _Symbols:
    """How columns, response and weights are written in sums."""

    def __init__(self, columns: Sequence[str], target: str, weight: str) -> None:
        self.columns = tuple(columns)
        self.target = target
        self.weight = weight

    def product(self, *parts: str) -> str:
        """The sum of a product: "n", "Σx", "Σx²", "Σw·x·y"."""
        factors = [one for one in parts if one != "1"]
        if len(factors) == 2 and factors[0] == factors[1]:
            factors = [factors[0] + "²"]
        if self.weight:
            factors = [self.weight, *factors]
        if not factors:
            return "n"
        short = all(len(one.removesuffix("²")) == 1 for one in factors)
        return "Σ" + ("" if short else "·").join(factors)


def _symbols(found: NormalEquations) -> _Symbols:
    """Names stand for themselves; what is no name gets a letter that nothing else has."""
    free = iter(one for one in LETTERS if one not in found.taken)
    known: dict[str, str] = {}
    for column in found.columns:
        if column not in known:
            known[column] = column if column.isidentifier() or column == "1" else next(free, column)
    target = found.response
    if found.offset or not target.isidentifier():
        target = next((one for one in "zqg" if one not in found.taken), "y0")
    weight = next((one for one in ("w", "W", "wt") if one not in found.taken), "") if found.weighted else ""
    return _Symbols([known[one] for one in found.columns], target, weight)


def _defined(found: NormalEquations, symbols: _Symbols, lang: str) -> list[str]:
    """What the letters mean, where there are any."""
    parts = dict(zip(symbols.columns, found.columns, strict=True))
    said = [f"{symbol} = {column}" for symbol, column in parts.items() if symbol != column]
    if found.fixed:
        said += [_say("fixed", lang, name=name, value=plain(value)) for name, value in found.fixed.items()]
    lines = ["   ".join(said)] if said else []
    if found.offset:
        names = messages.Listing(found.names)
        lines.append(_say("offset", lang, symbol=symbols.target, response=found.response, names=names))
    elif symbols.target != found.response:
        lines.append(f"{symbols.target} = {found.response}")
    if found.weighted:
        lines.append(_say("weights", lang, symbol=symbols.weight))
    return lines


def _fractions(found: NormalEquations) -> list[Row]:
    """The printed numbers, exactly: floats that hold them are rounded to their digits again."""
    digits = found.digits or MOST
    return [
        [rounded(Fraction(one), digits) for one in (*row, rhs)]
        for row, rhs in zip(found.matrix, found.right, strict=True)
    ]


def _digits(found: NormalEquations, value: float | Fraction, more: int = 0) -> str:
    """A number with the digits of this page: no zeros at the end, a true minus."""
    wanted = (found.digits or (FEW if found.answer is not None else FEWEST)) + more
    one = decimal(Fraction(value), wanted)
    if one == 0:
        return "0"
    power = one.adjusted()
    if -5 < power < wanted:
        said = f"{one:f}"
        said = said.rstrip("0").rstrip(".") if "." in said else said
    else:
        said = f"{one.normalize():e}".replace("e+", "e")
    return said.replace("-", MINUS)


def _sums(found: NormalEquations, symbols: _Symbols) -> list[str]:
    """Each different sum once: n, Σx, Σy, Σx², Σxy."""
    p = len(found.names)
    pairs: dict[str, float] = {} if found.weighted else {"n": float(found.n)}
    singles = [k for k, one in enumerate(symbols.columns) if one == "1"]
    order = [(i, j) for i in range(p) for j in range(i, p)]
    order.sort(key=lambda pair: sum(k not in singles for k in pair))
    lines: list[tuple[int, str, float]] = []
    for i, j in order:
        size = sum(k not in singles for k in (i, j))
        lines.append((size, symbols.product(symbols.columns[i], symbols.columns[j]), found.matrix[i][j]))
    for k in range(p):
        size = 1 + (k not in singles)
        lines.append((size, symbols.product(symbols.columns[k], symbols.target), found.right[k]))
    for _, label, value in sorted(lines, key=lambda one: one[0]):
        pairs.setdefault(label, value)
    return [f"{label} {_digits(found, value)}" for label, value in pairs.items()]


def _equations(found: NormalEquations, lang: str, columns: int) -> list[str]:
    """The equations, and their solution in steps."""
    lines = _written(found)
    if found.answer is None:
        return [*lines, *wrapped(_say("dependent", lang), columns)]
    if len(found.names) == 1:
        name, (row,) = found.names[0], _fractions(found)
        quotient = f"{_digits(found, row[1])} / {_digits(found, row[0])}"
        return [*lines, f"   {name} = {quotient} = {number(float(row[1] / row[0]))}"]
    if len(found.names) == 2:
        return _two(found, lines, columns)
    return [*lines, *_elimination(found, lang, columns)]


def _written(found: NormalEquations) -> list[str]:
    """ "1001 a + 99 b = 797.6", aligned, one line an equation."""
    cells = [[_digits(found, one) for one in (*row, rhs)] for row, rhs in
             zip(found.matrix, found.right, strict=True)]  # fmt: skip
    wide = [max(width(row[j]) for row in cells) for j in range(len(cells[0]))]
    lines = []
    for row in cells:
        parts = []
        for j, name in enumerate(found.names):
            said = row[j] if j == 0 else row[j].removeprefix(MINUS)
            sign = "" if j == 0 else f" {MINUS if row[j].startswith(MINUS) else '+'} "
            parts.append(f"{sign}{right(said, wide[j])} {name}")
        lines.append("   " + "".join(parts) + " = " + right(row[-1], wide[-1]))
    return lines


def _two(found: NormalEquations, lines: list[str], columns: int) -> list[str]:
    """Two equations by determinants."""
    rows = _fractions(found)
    (a, b, u), (c, d, v) = ([_bracketed(_digits(found, one)) for one in row] for row in rows)
    det, first, second = cramer(rows)
    more = 2
    said = f"det = {d}·{a} {MINUS} {b}² = {_digits(found, det, more)}"
    if width(lines[0]) + 8 + width(said) <= columns:
        lines = [lines[0] + " " * 8 + said, *lines[1:]]
    else:
        lines = [*lines, "   " + said]
    bottom = _digits(found, det, more)
    for name, one, formula in (
        (found.names[0], first, f"({d}·{u} {MINUS} {b}·{v})"),
        (found.names[1], second, f"({a}·{v} {MINUS} {c}·{u})"),
    ):
        answer = (found.answer or {})[name]
        line = f"{name} = {formula} / {bottom} = {_digits(found, one, more)} / {bottom} = {number(answer)}"
        pieces = wrapped(line, columns - 3)
        lines += ["   " + pieces[0], *("      " + piece for piece in pieces[1:])]
    return lines


def _bracketed(said: str) -> str:
    return f"({said})" if said.startswith(MINUS) else said


def _elimination(found: NormalEquations, lang: str, columns: int) -> list[str]:
    """Three or four equations by elimination: each new row with what it is made of, then back."""
    digits = found.digits or MOST
    rows = _fractions(found)
    made = eliminate(rows, digits)
    if made is None:
        return []
    steps, answer = made
    last = {i: list(row) for i, row in enumerate(rows)}
    cells = [["", *found.names, "="]]
    for step in steps:
        label = f"{ROMAN[step.row]} {MINUS} {_bracketed(_digits(found, step.factor))}·{ROMAN[step.pivot]}"
        cells.append([label, *(_digits(found, one) for one in step.result)])
        last[step.row] = list(step.result)
    lines = wrapped(_say("elimination", lang, digits=digits), columns)
    lines += table(cells, gap=2, first=3)
    for i in range(len(rows) - 1, -1, -1):
        known = "".join(
            f" {MINUS} {_bracketed(_digits(found, last[i][j]))}·{_bracketed(_digits(found, answer[j]))}"
            for j in range(i + 1, len(rows))
        )
        top = _digits(found, last[i][-1])
        top = f"({top}{known})" if known else top
        line = f"{found.names[i]} = {top} / {_digits(found, last[i][i])} = {_digits(found, answer[i])}"
        pieces = wrapped(line, columns - 3)
        lines += ["   " + pieces[0], *("      " + piece for piece in pieces[1:])]
    return lines


def _summary(found: NormalEquations, lang: str, columns: int) -> list[str]:
    """Equations that are shown and not solved: the corner of the matrix that fits."""
    p = len(found.names)
    shown = min(p, CORNER)
    cells = [["", *found.names[:shown], *(["…"] if shown < p else []), "="]]
    for k in range(shown):
        row = [_digits(found, one) for one in found.matrix[k][:shown]]
        cells.append([found.names[k], *row, *(["…"] if shown < p else []), _digits(found, found.right[k])])
    lines = wrapped(_say("many" if p > SOLVED else "digits", lang, count=p, most=MOST), columns)
    lines += table(cells, gap=2)
    if found.answer is None:
        lines += wrapped(_say("dependent", lang), columns)
    return lines


def _answers(found: NormalEquations) -> list[str]:
    return [] if found.answer is None else [f"{name} = {number(one)}" for name, one in found.answer.items()]


def _check(found: NormalEquations, symbols: _Symbols, lang: str, columns: int) -> list[str]:
    """What must be 0, and how many digits the fit's own answer shares with this one."""
    sums = sorted(zip(symbols.columns, found.residual_sums.values(), strict=True), key=lambda one: one[0] != "1")
    labels = [_r(symbols, column) for column, _ in sums[:SOLVED]]
    values = [brief(one) for _, one in sums[:SOLVED]]
    key = "check.one" if len(found.names) == 1 else "check" if len(found.names) <= SOLVED else "check.many"
    worst = max((abs(one) for one in found.residual_sums.values()), default=0.0)
    facts = {"labels": messages.Listing(labels), "values": messages.Listing(values), "worst": brief(worst)}
    lines = [_say(key, lang, rounding=brief(found.rounding), **facts)]
    if found.shared is not None and math.isfinite(found.shared):
        lines.append(_say("shared", lang, digits=f"{math.floor(found.shared)}"))
    if found.at_bound:
        lines.append(_say("at_bound", lang, names=messages.Listing(found.at_bound)))
    return [line for one in lines for line in _indented(one, columns)]


def _indented(said: str, columns: int) -> Iterator[str]:
    pieces = wrapped(said, columns - 2)
    yield pieces[0]
    for piece in pieces[1:]:
        yield "  " + piece


def _r(symbols: _Symbols, column: str) -> str:
    factors = [one for one in (symbols.weight, "r", column) if one not in {"", "1"}]
    return "Σ" + "·".join(factors)

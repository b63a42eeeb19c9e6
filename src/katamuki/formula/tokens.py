"""From text to tokens, each with its place in the text that was typed.

Numbers, names, names in backticks, signs; ``^`` becomes ``**``. Every other character is an error that says which it
is and what to write. Names are compared after NFKC normalisation, as Python does with identifiers.
"""

from __future__ import annotations

import keyword
import math
import re
import unicodedata
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from katamuki.errors import FormulaError
from katamuki.formula.pointing import at_place, pointed, syntax
from katamuki.graph import Span

LENGTH = 10_000  # characters
OPERATIONS = 2_000
WORDS = frozenset({"if", "else", "and", "or", "not"})
Kind = Literal["number", "name", "ticked", "sign", "word", "end"]

TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<name>[^\W0-9]\w*)
    |(?P<ticked>`[^`]*`)
    |(?P<sign>\*\*|<=|>=|==|!=|[-+*/^()<>=~,])
    |(?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)
# What people paste or know from elsewhere, and what to write here.
INSTEAD = {
    "−": "-", "–": "-", "—": "-", "×": "*", "·": "*", "⋅": "*", "∙": "*", "•": "*", "∗": "*", "÷": "/", "∕": "/",
    "≤": "<=", "≥": ">=", "≠": "!=", "²": "**2", "³": "**3", "√": "sqrt( )", "&": "and", "|": "or", "!": "not",
    "[": "(", "]": ")", "{": "(", "}": ")",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the formula: ``text`` is a sign, a word, or a name after NFKC; ``value`` a number's value."""

    kind: Kind
    text: str
    span: Span
    value: float = 0.0


def tokens(text: str) -> list[Token]:
    """The tokens of a formula, closed by one of kind ``"end"``.

    Raises
    ------
    FormulaError
        For too long a text, and for whatever is no token.
    """
    if not isinstance(text, str):
        raise FormulaError("E-MODEL", "formula.not_text", type=type(text).__name__)
    if len(text) > LENGTH:
        raise FormulaError("E-LIMIT", "formula.long", length=len(text), limit=LENGTH)
    found = [one for match in TOKEN.finditer(text) if (one := _token(text, match)) is not None]
    calls = sum(one.kind == "name" and two.text == "(" for one, two in pairwise(found))
    count = calls + sum(one.kind in {"sign", "word"} and one.text not in {"(", ")", ",", "~", "="} for one in found)
    if count > OPERATIONS:
        raise FormulaError("E-LIMIT", "formula.many", count=count, limit=OPERATIONS)
    return [*found, Token("end", "", (len(text.rstrip()), len(text.rstrip()) + 1))]


def _token(text: str, match: re.Match[str]) -> Token | None:
    kind, said, span = match.lastgroup, match[0], match.span()
    if kind == "space":
        return None
    if kind == "number":
        if re.fullmatch(r"0[0-9]*[1-9][0-9]*", said):  # Python reads no such number, nor do those who check us
            raise syntax(text, span, "formula.leading_zero", number=said.lstrip("0"))
        value = float(said)
        if math.isinf(value):
            raise at_place(text, span, "E-CONSTANT", "formula.huge")
        return Token("number", said, span, value)
    if kind == "ticked":
        name = unicodedata.normalize("NFKC", said[1:-1])
        if not name.strip() or not name.isprintable():
            raise syntax(text, span, "formula.ticks_empty")
        return Token("ticked", name, span)
    if kind == "name":
        return _name(text, said, span)
    if kind == "sign":
        return Token("sign", "**" if said == "^" else said, span)
    raise _strange(text, span[0])


def _name(text: str, said: str, span: Span) -> Token:
    if said in WORDS:
        return Token("word", said, span)
    if keyword.iskeyword(said):
        raise syntax(text, span, "formula.keyword", name=said)
    if not said.isidentifier():
        first = next(k for k in range(len(said)) if not said[: k + 1].isidentifier())
        raise _strange(text, span[0] + first)
    return Token("name", unicodedata.normalize("NFKC", said), span)


def _strange(text: str, k: int) -> FormulaError:
    """The error for a character that has no meaning in a formula."""
    character, span = text[k], (k, k + 1)
    before = text[:k].rstrip()
    if character == "`":
        return syntax(text, span, "formula.ticks_open")
    if character in "\"'":
        return syntax(text, span, "formula.quotes")
    if character == "[" and re.search(r"[\w`]$", before):
        return at_place(text, span, "E-SYNTAX", "formula.groups")
    if character == ".":
        return syntax(text, span, "formula.attribute")
    if character in ":;@%$?#\\":
        return syntax(text, span, "formula.sign_unknown", sign=character)
    instead = INSTEAD.get(character)
    if instead is None:
        plain = unicodedata.normalize("NFKC", character)
        instead = plain if plain.isascii() and plain.isprintable() and plain != character else ""
    if character.isascii() and instead:
        return syntax(text, span, "formula.sign_instead", sign=character, instead=instead)
    named = unicodedata.name(character, "") or f"U+{ord(character):04X}"
    key = "formula.character_instead" if instead else "formula.character"
    where = pointed(text, span)
    return FormulaError("E-CHARACTER", key, where=where, name=named, instead=instead)

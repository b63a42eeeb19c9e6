"""Which names are columns and which are parameters; nothing is captured silently, either way.

Columns are data, other names are parameters, only ``pi`` is reserved. Names compare after NFKC. A would-be parameter
that looks like an unused column is an error that asks; it is never changed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from katamuki.data.names import some
from katamuki.errors import FormulaError
from katamuki.formula.functions import FUNCTIONS
from katamuki.formula.pointing import at_place
from katamuki.formula.tokens import Token
from katamuki.graph import RESERVED, Span
from katamuki.messages import Phrase
from katamuki.spelling import distance, nearest

# Letters of other scripts that look like Latin ones.
LOOKS_LIKE = str.maketrans(
    "аеорсхуіјѕһԁԛԝАВЕКМНОРСТХУІЈЅΑΒΕΖΗΙΚΜΝΟΡΤΥΧο",
    "aeopcxyijshdqwABEKMHOPCTXYIJSABEZHIKMNOPTYXo",
)


def normal(name: str) -> str:
    """A name as it is compared."""
    return unicodedata.normalize("NFKC", name)


class Names:
    """The columns of the data and the declared parameters, and what was found of them in a formula.

    Parameters
    ----------
    text : str
        The formula, for messages.
    columns : sequence of str
        The data's columns.
    params : iterable of str
        Names that are parameters even though a column has the same name.
    given : iterable of str
        Names in start, bounds or fixed.
    """

    def __init__(self, text: str, columns: Sequence[str], params: Iterable[str], given: Iterable[str]) -> None:
        self.text = text
        self.all = tuple(columns)
        self.columns: dict[str, list[str]] = {}
        for name in columns:
            self.columns.setdefault(normal(name), []).append(name)
        self.params = {normal(name) for name in params}
        for name in given:
            if normal(name) in self.columns and normal(name) not in self.params:
                raise FormulaError("E-NAME", "formula.given_column", name=name)
        for name in self.params & set(RESERVED):
            raise FormulaError("E-NAME", "formula.reserved", name=name)

    def column(self, name: str) -> str | None:
        """The column of a name, as the data spell it; ``None`` for a parameter or an unknown name."""
        if name in self.params:
            return None
        found = self.columns.get(name)
        return found[0] if found else None

    def check_twice(self, token: Token) -> None:
        """Raise where two columns have the same name, so that the formula cannot say which it means."""
        found = self.columns.get(token.text, ())
        if len(found) > 1 and token.text not in self.params:
            raise at_place(self.text, token.span, "E-COLUMN", "formula.column_twice", name=token.text)

    def check_bare(self, token: Token) -> None:
        """Raise for a function's name that is not called, unless it is declared or stands in backticks."""
        if token.kind == "name" and token.text in FUNCTIONS and token.text not in self.params:
            raise at_place(self.text, token.span, "E-FUNCTION", "formula.function_bare", name=token.text)

    def check_reserved(self, token: Token) -> None:
        """Raise where ``pi`` could be meant as a column, or π as the number."""
        if token.text in self.columns and token.text in RESERVED:
            raise at_place(self.text, token.span, "E-NAME", "formula.reserved_column", name=token.text)

    def check_parameters(self, found: Sequence[tuple[str, Span]], used: Iterable[str]) -> None:
        """Raise where a would-be parameter may be meant as something else.

        ``found`` are the parameters with their places; ``used`` the columns that the formula uses.
        """
        taken = set(map(normal, used))
        free: dict[str, list[str]] = {}
        for name in self.columns:
            for variant in _variants(name) if name not in taken else ():
                free.setdefault(variant, []).append(name)
        names = [name for name, _ in found]
        for name, span in found:
            if name in self.params:
                continue
            if name == "π":
                raise at_place(self.text, span, "E-NAME", "formula.pi")
            self._check_letters(name, span, names)
            for column in (one for variant in _variants(name) for one in free.get(variant, ())):
                same = column.casefold() == name.casefold()
                if same or (len(name) >= 3 and distance(name, column, 1) == 1):
                    raise at_place(self.text, span, "E-NAME", "formula.name_near", name=name, column=column)
        for name in self.params.difference(names):
            raise FormulaError("E-NAME", "formula.params_unused", name=name, formula=self.text.strip()[:200])

    def _check_letters(self, name: str, span: Span, names: Sequence[str]) -> None:
        """Raise for letters of another script that look like a known name, or stand among Latin ones."""
        plain = name.translate(LOOKS_LIKE)
        if plain == name:
            return
        mixed = any(one.isascii() and one.isalpha() for one in name)
        if not mixed and plain not in self.columns and plain not in names:
            return
        at = next(k for k, (one, other) in enumerate(zip(name, plain, strict=True)) if one != other)
        raise at_place(
            self.text, span, "E-CHARACTER", "formula.look_alike",
            name=unicodedata.name(name[at]), plain=plain,
        )  # fmt: skip

    def no_column(self, token: Token, fixed: str | None) -> FormulaError:
        """The error that the left side names no column; ``fixed`` is the formula with the columns' own spelling."""
        values = {"name": token.text, "columns": some(self.all, 20)}
        if fixed is not None:
            return FormulaError("E-COLUMN", "formula.no_column_case", fixed=fixed, **values)
        near = nearest(token.text, self.columns)
        if near is not None:
            return FormulaError("E-COLUMN", "formula.no_column_near", near=near, **values)
        return FormulaError("E-COLUMN", "formula.no_column", **values)

    def respelt(self, tokens: Sequence[Token]) -> str | None:
        """The formula with names changed to columns that differ in case only; ``None`` where nothing changes."""
        cased: dict[str, list[str]] = {}
        for name in self.columns:
            cased.setdefault(name.casefold(), []).append(name)
        said, last = [], 0
        for token in tokens:
            found = cased.get(token.text.casefold(), [])
            if token.kind in {"name", "ticked"} and token.text not in self.columns and len(found) == 1:
                said += [self.text[last : token.span[0]], found[0]]
                last = token.span[1]
        return "".join([*said, self.text[last:]]) if said else None


def _variants(name: str) -> list[str]:
    """The name in one case, and with each letter left out: names one edit apart share one of these."""
    if len(name) > 40:
        return [name.casefold()]
    return [name.casefold(), name, *(name[:k] + name[k + 1 :] for k in range(len(name)))]


def nothing_to_fit(text: str, response: str, columns: Sequence[str]) -> FormulaError:
    """The error that a model has no parameters."""
    names = Phrase("formula.is_response", name=response)
    for name in columns:
        names = Phrase("label.both", first=names, second=Phrase("formula.is_variable", name=name))
    return FormulaError("E-NOPARAM", "formula.no_parameters", formula=text.strip(), names=names)

"""Every sentence katamuki prints, by key and language.

A catalogue is a flat JSON object, ``key: "sentence with {placeholders}"``. Sentences are looked up when they are
printed, never stored: what is stored is a key with its values (:class:`Phrase`), or a list of names
(:class:`Listing`). Both may stand among the values of another sentence and are said in its language, so that one
error, one finding or one story can be printed in any language there is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType

FOLDER = Path(__file__).parent


@cache
def languages() -> tuple[str, ...]:
    """The languages that have a catalogue.

    Example
    -------
    >>> languages()
    ('en', 'ja')
    """
    return tuple(sorted(path.stem for path in FOLDER.glob("??.json")))


@cache
def catalogue(lang: str) -> Mapping[str, str]:
    """All sentences of one language; a language without a catalogue is a ``LookupError``."""
    if lang not in languages():
        raise LookupError(f"no catalogue {lang!r}")
    found: dict[str, str] = json.loads((FOLDER / f"{lang}.json").read_text(encoding="utf-8"))
    return MappingProxyType(found)


class Phrase:
    """A sentence that is not said yet: its key and values. ``str`` of it is English.

    Parameters
    ----------
    key : str
        The sentence in the catalogue.
    values
        What fills the placeholders; phrases and listings among them are said in the language of the whole.

    Example
    -------
    >>> word = Phrase("formula.one_argument")
    >>> str(Phrase("formula.arity", name="exp", wanted=word, count=2))
    'exp takes 1 argument, not 2'
    """

    __slots__ = ("key", "values")

    key: str
    values: Mapping[str, object]

    def __init__(self, key: str, /, **values: object) -> None:
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "values", MappingProxyType(values))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a phrase is not changed: {name}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Phrase) and (self.key, self.values) == (other.key, other.values)

    def __hash__(self) -> int:
        return hash(self.key)

    def __reduce__(self) -> tuple[object, ...]:
        return _phrase, (self.key, dict(self.values))

    def text(self, lang: str = "en") -> str:
        """The sentence in a language."""
        return sentence(self.key, lang, **self.values)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"Phrase({self.key!r}, {dict(self.values)!r})"


def _phrase(key: str, values: dict[str, object]) -> Phrase:
    return Phrase(key, **values)


class Listing(tuple[str, ...]):
    """Names that a sentence lists: "a", "a and b", "a, b and c", each language in its own way.

    Any tuple or list of texts among the values of a sentence is listed so; this class says that it is meant, and is
    English where it is printed by itself.

    Example
    -------
    >>> str(Listing(["a", "b", "c"]))
    'a, b and c'
    """

    __slots__ = ()

    def __str__(self) -> str:
        return listing(self)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


def few(names: Sequence[str], most: int = 8) -> Listing | Phrase:
    """Names that a sentence lists; of more than ``most``, the first ones and how many more.

    Example
    -------
    >>> str(few([f"w[{k}]" for k in range(50)], 3))
    'w[0], w[1], w[2] and 47 more'
    """
    if len(names) <= most:
        return Listing(names)
    return Phrase("label.more", first=", ".join(names[:most]), count=len(names) - most)


def sentence(key: str, lang: str = "en", **values: object) -> str:
    """The sentence of a key, filled; a missing key is our fault and a ``KeyError``."""
    filled = {name: said(value, lang) for name, value in values.items()}
    if isinstance(filled.get("p"), float):
        filled["p"] = Chance(filled["p"])  # type: ignore[arg-type]
    return catalogue(lang)[key].format(**filled)


class Chance:
    """A p-value as sentences take it, after the letter: ``= 3e-05``, and where it is next to nothing ``< 1e-99``.

    Example
    -------
    >>> "p {p:.1g}, p {q:.1g}".format(p=Chance(0.0123), q=Chance(0.0))
    'p = 0.01, p < 1e-99'
    """

    __slots__ = ("value",)

    def __init__(self, value: float) -> None:
        self.value = value

    def __format__(self, spec: str) -> str:
        if not spec:  # another p
            return str(self.value)
        least = type(self.value)(1e-99)
        return f"< {least:{spec}}" if self.value < least else f"= {self.value:{spec}}"


def optional(key: str, lang: str = "en", **values: object) -> str | None:
    """The sentence of a key, or ``None`` where the catalogue has none."""
    return sentence(key, lang, **values) if key in catalogue(lang) else None


def said(value: object, lang: str = "en") -> object:
    """A value as a sentence takes it: phrases and lists of texts in its language, all others as they are."""
    if isinstance(value, Phrase):
        return value.text(lang)
    if isinstance(value, (tuple, list)) and all(isinstance(one, (str, Phrase)) for one in value):
        return listing([str(said(one, lang)) for one in value], lang)
    return value


def listing(names: Sequence[str], lang: str = "en") -> str:
    """Names as a sentence lists them: "a", "a and b", "a, b and c".

    Example
    -------
    >>> listing(["a", "b", "c"]), listing(["a", "b", "c"], "ja")
    ('a, b and c', 'a、b と c')
    """
    if len(names) < 2:
        return "".join(names)
    return f"{sentence('label.comma', lang).join(names[:-1])}{sentence('label.last', lang)}{names[-1]}"

"""The errors of katamuki: what, where, and how to mend it.

Every error names a sentence of the catalogue (``messages/en.json``) and carries the values that fill it, so
that the command line can print it in another language and the JSON of ``--json`` can carry its parts. Words among
the values are phrases of the catalogue themselves. Nothing here formats numbers or knows a formula: callers pass
finished values. ``str(error)`` is English, whatever the language of the fit's report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from katamuki import messages
from katamuki.messages import Phrase

if TYPE_CHECKING:
    from katamuki.records import FitLike

Surface = Literal["python", "cli"]


class KatamukiError(ValueError):
    """An input that cannot be used, or a fit that failed; the base of all errors of katamuki.

    Parameters
    ----------
    code : str
        The stable code that users search for, such as ``"E-COLUMN"``.
    key : str
        The sentence in the catalogue. ``key.where`` and ``key.remedy`` (``key.remedy.cli`` on the command line)
        are used where they exist.
    where : str or Phrase, optional
        What points at the place, such as the formula with carets; stands before ``key.where``.
    values
        What fills the placeholders: finished text, phrases, lists of names.
    """

    def __init__(self, code: str, key: str, *, where: str | Phrase | None = None, **values: object) -> None:
        super().__init__(key)
        self.code = code
        self.key = key
        self.values = values
        self._where = where

    def text(self, lang: str = "en") -> str:
        """What is wrong, one sentence."""
        return messages.sentence(self.key, lang, **self.values)

    @property
    def where(self) -> str | None:
        """Where it is wrong: rows, names, or the formula with carets."""
        return self.place("en")

    @property
    def remedy(self) -> str | None:
        """What to do instead, said for Python."""
        return self._remedy("en", "python")

    def place(self, lang: str = "en") -> str | None:
        """Where it is wrong, in a language."""
        found = messages.optional(self.key + ".where", lang, **self.values)
        parts = (messages.said(self._where, lang), found)
        return "\n".join(str(part) for part in parts if part) or None

    def advice(self, lang: str = "en", surface: Surface = "python") -> str | None:
        """What to do instead, said for Python or for the command line."""
        return self._remedy(lang, surface)

    def render(self, lang: str = "en", surface: Surface = "python") -> str:
        """The whole message, as it is printed: what, where, remedy, code."""
        lines = [self.text(lang)]
        place = self.place(lang)
        if place:
            lines.extend("  " + line for line in place.split("\n"))
        remedy = self._remedy(lang, surface)
        if remedy:
            lines.append("  " + messages.sentence("label.try", lang) + " " + remedy)
        lines[-1] += f" [{self.code}]"
        return "\n".join(lines)

    def _remedy(self, lang: str, surface: Surface) -> str | None:
        if surface == "cli":
            said = messages.optional(self.key + ".remedy.cli", lang, **self.values)
            if said is not None:
                return said
        return messages.optional(self.key + ".remedy", lang, **self.values)

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (type(self), self.code, self.key, self._where, self.values)

    def __str__(self) -> str:
        return self.render()


def _again(
    kind: type[KatamukiError], code: str, key: str, where: str | Phrase | None, values: dict[str, object]
) -> KatamukiError:
    """An error as another process raised it; fits stay where they are."""
    return kind(code, key, where=where, **values)


class FormulaError(KatamukiError):
    """The formula, or the function given as the model, cannot be used."""


class DataError(KatamukiError):
    """The data cannot be used: a file, a column, a row."""


class BoundsError(KatamukiError):
    """A bound, a start or a fixed value contradicts another or names nothing."""


class BackendError(KatamukiError):
    """A backend lacks an operation, a device or a package."""


class NotConverged(KatamukiError):  # noqa: N818  the public name
    """The fit failed; ``.fit`` holds the parameters reached and the trace."""

    fit: FitLike | None = None
    race: object | None = None  # of an interrupted race: the lanes so far
    selftest: object | None = None  # of an interrupted self test: the fits so far


class FitWarning(UserWarning):
    """The fit returned, and something about it needs a look.

    Parameters
    ----------
    said : Phrase
        What needs a look; ``str`` of the warning is English.
    """

    def __init__(self, said: Phrase) -> None:
        super().__init__(said)
        self.said = said

    def text(self, lang: str = "en") -> str:
        """What needs a look, in a language."""
        return self.said.text(lang)


def spoken(lang: str) -> str:
    """A language, if there is a catalogue of it: what every public function that prints asks first.

    Example
    -------
    >>> spoken("ja")
    'ja'
    """
    known = messages.languages()
    if lang not in known:
        raise BoundsError("E-LANG", "errors.language", given=repr(lang), all=", ".join(known), first=known[0])
    return lang

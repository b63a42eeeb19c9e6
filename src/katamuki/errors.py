"""The errors of katamuki: what, where, and how to mend it.

Every error names a sentence of the catalogue (``messages/en.json``) and carries the values that fill it, so
that the command line can print it in another language and the JSON of ``--json`` can carry its parts. Nothing
here formats numbers or knows a formula: callers pass finished values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from katamuki import messages

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
    where : str, optional
        Finished text that points at the place, such as the formula with carets; stands before ``key.where``.
    values
        What fills the placeholders.
    """

    def __init__(self, code: str, key: str, *, where: str | None = None, **values: object) -> None:
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
        return self._place("en")

    @property
    def remedy(self) -> str | None:
        """What to do instead, said for Python."""
        return self._remedy("en", "python")

    def advice(self, lang: str = "en", surface: Surface = "python") -> str | None:
        """What to do instead, said for Python or for the command line."""
        return self._remedy(lang, surface)

    def render(self, lang: str = "en", surface: Surface = "python") -> str:
        """The whole message, as it is printed: what, where, remedy, code."""
        lines = [self.text(lang)]
        place = self._place(lang)
        if place:
            lines.extend("  " + line for line in place.split("\n"))
        remedy = self._remedy(lang, surface)
        if remedy:
            lines.append("  " + messages.sentence("label.try", lang) + " " + remedy)
        lines[-1] += f" [{self.code}]"
        return "\n".join(lines)

    def _place(self, lang: str) -> str | None:
        said = messages.optional(self.key + ".where", lang, **self.values)
        return "\n".join(part for part in (self._where, said) if part) or None

    def _remedy(self, lang: str, surface: Surface) -> str | None:
        if surface == "cli":
            said = messages.optional(self.key + ".remedy.cli", lang, **self.values)
            if said is not None:
                return said
        return messages.optional(self.key + ".remedy", lang, **self.values)

    def __str__(self) -> str:
        return self.render()


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


class FitWarning(UserWarning):
    """The fit returned, and something about it needs a look."""

"""What the command line knows of its streams: colour, encoding, language, and how it says that something failed."""

from __future__ import annotations

import json
import os
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from katamuki import messages
from katamuki.errors import KatamukiError

OURS, USAGE, DATA, FORMULA, UNCONVERGED, CONTRADICTED, INTERRUPTED = 1, 2, 3, 4, 5, 6, 130  # exit codes
ERROR_SCHEMA = "katamuki.error/1"
COLOURS = {"strong": "1", "good": "32", "look": "33", "failed": "31", "warning": "33", "note": "2"}
LOCALES = ("LC_ALL", "LC_MESSAGES", "LANG")  # the first that says anything decides


@dataclass
class Terminal:
    """The settings of one run; ``colour`` is "auto", "always" or "never"."""

    lang: str = "en"
    colour: str = "auto"
    json: bool = False
    quiet: bool = False
    debug: bool = False

    @classmethod
    def of_process(cls, given: Sequence[str]) -> Terminal:
        """What can be known before the arguments are read, so that their errors look right too."""
        lang = shown(language(given))
        colour = "auto"
        for flag, value in zip(given, [*given, ""][1:], strict=True):
            if flag == "--color" and value in ("auto", "always", "never"):
                colour = value
            elif flag.startswith("--color="):
                colour = flag.partition("=")[2]
        debug = "--debug" in given or bool(os.environ.get("KATAMUKI_DEBUG"))
        return cls(lang, colour, "--json" in given, "--quiet" in given, debug)

    def settle(self, chosen: Namespace) -> None:
        """Take over what the arguments say."""
        self.colour = getattr(chosen, "color", None) or self.colour
        self.json = bool(getattr(chosen, "json", False))
        self.quiet = bool(getattr(chosen, "quiet", False))
        wanted = getattr(chosen, "lang", None) or self.lang
        self.lang = shown(wanted)
        if self.lang != wanted:
            self.note(messages.sentence("cli.encoding", self.lang, given=wanted, encoding=sys.stdout.encoding))

    def coloured(self, stream: TextIO) -> bool:
        """Whether words on this stream are coloured."""
        if self.colour != "auto":
            return self.colour == "always"
        return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()

    def style(self, kind: str, text: str) -> str:
        """Mark a word of the report for standard output."""
        return self._painted(kind, text, sys.stdout)

    def _painted(self, kind: str, text: str, stream: TextIO) -> str:
        return f"\x1b[{COLOURS[kind]}m{text}\x1b[0m" if self.coloured(stream) else text

    def print(self, text: str, end: str = "\n") -> None:
        """Write a result to standard output."""
        sys.stdout.write(fitting(text, sys.stdout) + end)

    def print_json(self, told: object) -> None:
        """Write a result as one JSON value: escaped where the stream does not take every character."""
        self.print(json.dumps(told, allow_nan=False, ensure_ascii=not utf8(sys.stdout), indent=2))

    def fail(self, error: KatamukiError, code: int) -> int:
        """Say on standard error what went wrong; the exit code comes back."""
        if self.json:
            told = {
                "schema": ERROR_SCHEMA,
                "code": error.code,
                "text": error.text(self.lang),
                "where": error.place(self.lang),
                "remedy": error.advice(self.lang, "cli"),
            }
            self._err(json.dumps(told))
        else:
            name = self._painted("failed", "katamuki:", sys.stderr)
            self._err(f"{name} {error.render(self.lang, 'cli')}")
        return code

    def warn(self, text: str) -> None:
        """Say something on standard error that needs a look."""
        if not self.quiet:
            word = messages.sentence("cli.warning", self.lang)
            self._err(f"{self._painted('warning', word, sys.stderr)} {text}")

    @contextmanager
    def warning(self) -> Iterator[None]:
        """Say what is warned of inside, when it is over."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for one in caught:
            self.warn(str(one.message))

    def note(self, text: str) -> None:
        """Say something on standard error that is good to know."""
        if not self.quiet:
            self._err(text)

    def _err(self, text: str) -> None:
        try:
            sys.stderr.write(fitting(text, sys.stderr) + "\n")
            sys.stderr.flush()
        except OSError:
            pass  # nobody can be told that nobody can be told


def language(given: Sequence[str]) -> str:
    """The language of the sentences: --lang, KATAMUKI_LANG, or that of the locale where there is a catalogue for it.

    Example
    -------
    >>> language(["fit", "--lang", "ja"]), language(["fit", "--lang=ja"])
    ('ja', 'ja')
    """
    said = [value for flag, value in zip(given, [*given, ""][1:], strict=True) if flag == "--lang"]
    said += [word.partition("=")[2] for word in given if word.startswith("--lang=")]
    said.append(os.environ.get("KATAMUKI_LANG", ""))
    said.append(next((os.environ[name] for name in LOCALES if os.environ.get(name)), ""))
    return next((found for found in map(spoken, said) if found is not None), "en")


def spoken(locale: str) -> str | None:
    """The language of a locale's name, where there is a catalogue for it.

    Example
    -------
    >>> spoken("ja_JP.UTF-8"), spoken("en"), spoken("C.UTF-8"), spoken("jav")
    ('ja', 'en', None, None)
    """
    return locale[:2] if locale[:2] in messages.languages() and not locale[2:3].isalnum() else None


def shown(lang: str) -> str:
    """The language, or English where a stream of the process has no letters for it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            messages.sentence("report.checked", lang).encode(stream.encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            return "en"
    return lang


def utf8(stream: TextIO) -> bool:
    """Whether a stream takes every character."""
    return (stream.encoding or "").lower().replace("-", "") in ("utf8", "utf8sig", "utf16", "utf32")


def fitting(text: str, stream: TextIO) -> str:
    """The text, each character in ASCII that the stream does not take."""
    if text.isascii() or utf8(stream):
        # a lone surrogate, from an argument that was no text, has no encoding
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
    from katamuki.report import ascii_only

    encoding = stream.encoding or "ascii"
    return "".join(one if _takes(encoding, one) else ascii_only(one) for one in text)


def _takes(encoding: str, character: str) -> bool:
    try:
        character.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True

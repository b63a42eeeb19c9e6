"""Every sentence katamuki prints, by key and language.

A catalogue is a flat JSON object, ``key: "sentence with {placeholders}"``. Sentences are looked up when they are
printed, never stored, so that one error can be printed in any language.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent


@cache
def catalogue(lang: str) -> dict[str, str]:
    """All sentences of one language; English where the language has no catalogue."""
    path = FOLDER / f"{lang}.json"
    if not path.is_file():
        return catalogue("en")
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return found


def sentence(key: str, lang: str = "en", **values: object) -> str:
    """The sentence of a key, filled; a missing key is our fault and a ``KeyError``."""
    return catalogue(lang)[key].format(**values)


def optional(key: str, lang: str = "en", **values: object) -> str | None:
    """The sentence of a key, or ``None`` where the catalogue has none."""
    text = catalogue(lang).get(key)
    return None if text is None else text.format(**values)


def listing(names: Sequence[str], lang: str = "en") -> str:
    """Names as a sentence lists them: "a", "a and b", "a, b and c"."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {sentence('label.and', lang)} {names[-1]}"

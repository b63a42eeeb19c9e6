"""The catalogue: one file per language, sorted, and every sentence that an error or a part of the program names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from string import Formatter

import pytest

from katamuki import errors, messages

SOURCES = {path: path.read_text(encoding="utf-8") for path in (messages.FOLDER.parent).rglob("*.py")}
FILES = sorted(messages.FOLDER.glob("*.json"))
NAMED = re.compile(r'(?:"E-[A-Z]+",\s*|\b(?:messages\.)?(?:sentence|optional)\(\s*|\busage\(\s*)"([\w.]*\w)"')


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_language_is_one_file_sorted_and_without_doubles(path: Path) -> None:
    assert re.fullmatch(r"[a-z]{2}\.json", path.name)
    pairs = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=list)
    keys = [key for key, _ in pairs]
    assert keys == sorted(set(keys))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_placeholders_are_names_and_those_of_the_english_sentence(path: Path) -> None:
    english = messages.catalogue("en")
    for key, text in messages.catalogue(path.stem).items():
        names = {name for _, name, _, _ in Formatter().parse(text) if name is not None}
        assert all(name.isidentifier() for name in names), key
        assert names <= {name for _, name, _, _ in Formatter().parse(english[key]) if name is not None}, key


def test_every_sentence_that_the_program_names_is_there() -> None:
    known = messages.catalogue("en")
    named = {key for text in SOURCES.values() for key in NAMED.findall(text)}
    assert len(named) > 150
    assert {key for key in named if key not in known} == set()


def test_a_missing_sentence_would_be_found() -> None:
    assert NAMED.findall('raise DataError(\n    "E-FILE", "data.nothing_there", path=path)') == ["data.nothing_there"]
    assert "data.nothing_there" not in messages.catalogue("en")
    with pytest.raises(KeyError):
        messages.sentence("data.nothing_there")


@pytest.mark.parametrize("lang", ["xx", "e", "", "EN", "ja.", "../en"])
def test_a_language_that_is_not_there_is_an_error_and_never_english(lang: str) -> None:
    with pytest.raises(LookupError):
        messages.catalogue(lang)
    with pytest.raises(errors.BoundsError, match="languages: en, ja") as caught:
        errors.spoken(lang)
    assert caught.value.code == "E-LANG"

"""The catalogue: one file per language, sorted, and every sentence that an error or a part of the program names."""

from __future__ import annotations

import ast
import copy
import json
import pickle
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from string import Formatter

import pytest

from katamuki import errors, messages

SOURCES = {path: path.read_text(encoding="utf-8") for path in (messages.FOLDER.parent).rglob("*.py")}
FILES = sorted(messages.FOLDER.glob("*.json"))
OTHERS = [path.stem for path in FILES if path.stem != "en"]
NAMED = re.compile(r'(?:"E-[A-Z]+",\s*|\b(?:messages\.)?(?:sentence|optional|Phrase)\(\s*|\busage\(\s*)"([\w.]*\w)"')


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_language_is_one_file_sorted_and_without_doubles(path: Path) -> None:
    assert re.fullmatch(r"[a-z]{2}\.json", path.name)
    pairs = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=list)
    keys = [key for key, _ in pairs]
    assert keys == sorted(set(keys))


def placeholders(text: str) -> Counter[tuple[str, str]]:
    """Name and format of each placeholder, as often as it stands there."""
    return Counter((name, spec or "") for _, name, spec, _ in Formatter().parse(text) if name is not None)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_placeholders_are_names(path: Path) -> None:
    for key, text in messages.catalogue(path.stem).items():
        assert all(name.isidentifier() for name, _ in placeholders(text)), key


@pytest.mark.parametrize("lang", OTHERS)
def test_every_language_has_every_sentence_and_no_other(lang: str) -> None:
    english, other = messages.catalogue("en"), messages.catalogue(lang)
    assert sorted(set(english) - set(other)) == []
    assert sorted(set(other) - set(english)) == []


@pytest.mark.parametrize("lang", OTHERS)
def test_every_language_fills_the_same_placeholders_in_the_same_way(lang: str) -> None:
    # A name may be said twice where English says "it"; a number may not.
    english = messages.catalogue("en")
    for key, text in messages.catalogue(lang).items():
        here, there = placeholders(text), placeholders(english[key])
        assert set(here) == set(there), key
        assert {name for name, _ in (here - there) + (there - here)} <= {"name"}, key


def numbers(text: str) -> Counter[str]:
    """The numbers that a sentence itself holds, its placeholders left out."""
    return Counter(
        re.findall(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?", re.sub(r"\{[^{}]*\}", "", re.sub(r"\{\{|\}\}", "", text)))
    )


@pytest.mark.parametrize("lang", OTHERS)
def test_every_language_has_the_same_numbers_in_its_sentences(lang: str) -> None:
    english = messages.catalogue("en")
    apart = {key for key, text in messages.catalogue(lang).items() if numbers(text) != numbers(english[key])}
    assert apart == set()


def test_a_number_that_only_one_language_says_would_be_found() -> None:
    assert numbers("the largest is 1.8e308") != numbers("最大の数は 1.8e307")
    assert numbers("{steps} of 12") == numbers("12 のうち {steps}")
    assert placeholders("{a:.3g} {a}") != placeholders("{a:.3g} {a:.3g}")


def test_every_sentence_that_the_program_names_is_there() -> None:
    known = messages.catalogue("en")
    named = {key for text in SOURCES.values() for key in NAMED.findall(text)}
    assert len(named) > 150
    assert {key for key in named if key not in known} == set()


def words(text: str) -> set[str]:
    """The strings of a source, its docstrings left out, as keys are made of them."""
    tree = ast.parse(text)
    held = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    told = {id(node.body[0].value) for node in held if node.body and isinstance(node.body[0], ast.Expr)}
    strings = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
    }
    flags = {one.lstrip("-").replace("-", "_") for one in strings}  # --no-zero-grad is cli.help.no_zero_grad
    return {one for one in strings | flags | {one.lower() for one in strings} if re.fullmatch(r"[\w.]+", one)}


def is_made(key: str, known: frozenset[str]) -> bool:
    """Whether a key is one of the words, or words put together where it has a dot or an underline."""
    if key in known:
        return True
    for mark in re.finditer(r"(?<=.)[._]", key):
        head, rest = key[: mark.start()], (key[mark.start() :], key[mark.end() :])
        if (head in known or head + mark[0] in known) and any(one and is_made(one, known) for one in rest):
            return True
    return False


SUFFIX = re.compile(r"\.(where|remedy|remedy\.cli)$")  # what an error looks for by itself


@cache
def spoken_of() -> frozenset[str]:
    """The words of all sources, of the replay's page, and the names of data sets."""
    pages = [path.read_text(encoding="utf-8") for path in messages.FOLDER.parent.glob("plot/replay*.[hj]*")]
    found = {one for page in pages for one in re.findall(r"[\w.]+", page)}
    found |= {path.stem for path in (messages.FOLDER.parent / "data" / "sets").iterdir()}
    found |= {one for text in SOURCES.values() for one in words(text)}
    return frozenset({*found, "CANNOT_TELL"})  # a verdict, "CANNOT TELL"


def unmade(keys: Iterable[str]) -> set[str]:
    """The keys that no source names."""
    known = spoken_of()
    return {key for key in keys if not is_made(key, known) and not is_made(SUFFIX.sub("", key), known)}


def test_every_sentence_is_named_by_the_program() -> None:
    assert unmade(messages.catalogue("en")) == set()


@pytest.mark.parametrize("key", ["api.never_said", "report.slow.unheard", "step.remark.unheard", "cli.help.flagless"])
def test_a_sentence_that_nothing_names_would_be_found(key: str) -> None:
    assert unmade([key, key + ".remedy"]) == {key, key + ".remedy"}


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


def test_a_phrase_is_said_in_the_language_of_the_sentence_that_holds_it() -> None:
    inside = messages.Phrase("formula.rows_one", row=3, example="log(0)")
    assert str(inside) == "row 3 (log(0))"
    held = {"what": "log(x)", "rows": inside}
    assert messages.sentence("api.domain", **held).endswith("log(x) is undefined in row 3 (log(0))")
    assert "3 行目（log(0)）" in messages.sentence("api.domain", "ja", **held)
    listed = messages.Listing(["a", "b", "c"])
    assert messages.sentence("api.undetermined_group", names=listed) == "the data do not determine a, b and c"
    assert "a、b と c" in messages.sentence("api.undetermined_group", "ja", names=listed)


def test_a_list_of_names_is_a_list_after_json_too() -> None:
    back = json.loads(json.dumps(messages.Listing(["a", "b"])))
    assert messages.sentence("api.undetermined_group", names=back) == "the data do not determine a and b"
    assert messages.sentence("data.shape", column="x", shape=(3, 2)).count("(3, 2)") == 1  # a shape is no list of names


def test_a_phrase_is_a_value() -> None:
    one = messages.Phrase("label.try")
    assert one == pickle.loads(pickle.dumps(one)) == copy.copy(one)
    assert len({one, messages.Phrase("label.try"), messages.Phrase("label.last")}) == 2
    with pytest.raises(AttributeError):
        one.key = "label.last"  # type: ignore[misc]

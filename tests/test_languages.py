"""One thing said in two languages: the same numbers, no English left in Japanese, and at most 80 columns.

Fits of every kind, runs, steps, races and mistakes are printed in English and in every other language there is. The
catalogue alone is tested in ``test_messages``; here the code that puts its sentences together has its turn.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import cache
from html import unescape
from typing import Any

import numpy as np
import pytest

import katamuki as km
from katamuki import formula, messages, report
from katamuki.report.numbers import width
from languages import english, numbers, prose, sentences
from test_fit_bad_input import CASES, DATA
from test_formula import COLUMNS

OTHERS = [lang for lang in messages.languages() if lang != "en"]
LINE, DECAY = "y ~ a*x + b", "y ~ a*exp(-b*x) + c"
T = np.linspace(0.0, 4.0, 30)
CURVE = {"x": T, "y": 2.0 * np.exp(-0.9 * T) + 0.4 + 0.02 * np.sin(31.0 * T), "err": np.full(30, 0.02)}
HALF = {"a": 0.5, "b": 0.5}
COMMANDS = {
    "katamuki completion bash",
    "katamuki data tutorial",
    "katamuki help functions",
    "if condition else",
    "pip install torch",
    "ns us ms",
}


def tutorial(**options: Any) -> Callable[[], Any]:
    return lambda: km.fit(LINE, km.datasets("tutorial"), **options)


def stepped(solver: Any) -> Callable[[], Any]:
    return tutorial(solver=solver, start=HALF)


FITS: dict[str, Callable[[], Any]] = {
    "line": tutorial(),
    "fixed": tutorial(fixed={"b": 3.0}),
    "bounds": tutorial(bounds={"a": (0.6, None)}),
    "weighted": tutorial(weights=np.arange(1.0, 12.0)),
    "known": lambda: km.fit(DECAY, CURVE, sigma="err", sigma_is="known"),
    "chi squared": lambda: km.fit(DECAY, CURVE, sigma=0.001, sigma_is="known"),
    "relative": lambda: km.fit(DECAY, CURVE, sigma="err", sigma_is="relative"),
    "parabola": lambda: km.fit(LINE, km.datasets("anscombe2")),
    "outlier": lambda: km.fit(LINE, km.datasets("anscombe3")),
    "one point": lambda: km.fit(LINE, km.datasets("anscombe4")),
    "curve": lambda: km.fit("y ~ a*exp(b*x)", km.datasets("tutorial"), start={"a": 4.0, "b": 0.05}),
    "without freedom": lambda: km.fit(LINE, {"x": [1.0, 2.0], "y": [1.0, 3.0]}),
    "one freedom": lambda: km.fit(LINE, {"x": [1.0, 2.0, 3.0], "y": [1.0, 3.0, 4.0]}),
    "not determined": lambda: km.fit("y ~ (a + c)*x + b", km.datasets("tutorial")),
    "nearly": lambda: km.fit("y ~ a*c*exp(b*x)", km.datasets("tutorial"), start={"a": 2.0, "b": 0.05, "c": 2.0}),
    "without effect": lambda: km.fit(LINE, {"x": np.zeros(5), "y": np.arange(5.0)}),
    "filtered": lambda: km.fit(LINE, {**CURVE, "y": np.where(T[3] == T, np.nan, T)}, where="x > 0.5", missing="drop"),
    "two variables": lambda: km.fit("y ~ a*x + b*err", {**CURVE, "err": np.cos(T)}),
    "cycle": stepped(km.RMSprop(lr=0.001, steps=6000)),
    "slow": stepped(km.SGD(lr=0.01, steps=1000)),
    "swings": stepped(km.SGD(lr=0.001, momentum=0.99, steps=3000)),
    "Adam": stepped(km.Adam(lr=0.01, steps=3000)),
    "decay": stepped(km.AdamW(lr=0.01, weight_decay=0.5, steps=3000)),
    "Rprop": stepped(km.Rprop(steps=300)),
    "Adagrad": stepped(km.Adagrad(lr=0.5, steps=3000)),
    "L-BFGS": stepped(km.LBFGS(steps=20)),
    "diverged": stepped(km.SGD(lr=0.0109, steps=6000)),
    "overflow": stepped(km.SGD(lr=1e200, steps=10)),
    "no zero_grad": lambda: fitted("cycle").without_zero_grad(),
    "many": lambda: km.fit("y ~ a + b*x + c*x**2 + d*x**3 + e*x**4 + f*x**5", CURVE),
}  # fmt: skip

STEPPED = [
    "curve",
    "known",
    "nearly",
    "bounds",
    "cycle",
    "slow",
    "swings",
    "Adam",
    "decay",
    "Rprop",
    "Adagrad",
    "L-BFGS",
]
STEPPED += ["diverged", "no zero_grad"]


@cache
def fitted(name: str) -> Any:
    """A fit, or what a failed one holds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return FITS[name]()
        except km.NotConverged as error:
            return error.fit


def words_of(fit: Any) -> set[str]:
    """The fit's own words, which are no language."""
    return set(
        re.findall(r"[A-Za-z_]{2,}", f"{fit.solution.formula} {fit.data.name} {' '.join(fit.data.header or ())}")
    )


def same(said: Callable[[str], str], besides: set[str], columns: int = 80) -> None:
    """One text in every language: its numbers, its width, its words."""
    expected = said("en")
    for lang in OTHERS:
        text = said(lang)
        assert text != expected
        assert numbers(text) == numbers(expected), f"{expected}\n{text}"
        assert [line for line in text.split("\n") if width(line) > columns] == []
        assert english(text, besides) == set(), text
        assert prose(text) == [], text


@pytest.mark.parametrize("name", FITS)
def test_a_report_holds_the_same_numbers_and_no_english(name: str) -> None:
    fit = fitted(name)
    known = words_of(fit)
    judged = fit.check()
    same(lambda lang: report.text(fit, judged, lang=lang), known)
    same(lambda lang: report.text(fit, judged, lang=lang, surface="cli"), known)
    same(lambda lang: "\n".join(report.check_text(judged, fit.solution, lang, full=True)), known)
    same(lambda lang: unescape(re.sub(r"<[^>]*>", " ", report.html(fit, judged, lang))), known, 10_000)


@pytest.mark.parametrize("name", FITS)
def test_json_differs_in_its_sentences_alone(name: str) -> None:
    fit = fitted(name)
    judged = fit.check()
    here = report.as_dict(fit, judged)
    for lang in OTHERS:
        there = report.as_dict(fit, judged, lang)
        assert leaves(here).keys() == leaves(there).keys()
        apart = {key for key, value in leaves(here).items() if leaves(there)[key] != value}
        assert {key.rpartition("/")[2] for key in apart} <= {"text", "remedy", "definition"}
        for finding in there["findings"]:
            assert english(finding["text"], words_of(fit)) == set()
        json.dumps(there, allow_nan=False)


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {key: one for name, inner in value.items() for key, one in leaves(inner, f"{path}/{name}").items()}
    if isinstance(value, list):
        return {key: one for k, inner in enumerate(value) for key, one in leaves(inner, f"{path}/{k}").items()}
    return {path: value}


@pytest.mark.parametrize("name", FITS)
def test_the_story_of_a_run_holds_the_same_numbers_and_no_english(name: str) -> None:
    fit = fitted(name)
    story = fit.explain()
    same(lambda lang: story.text(lang), words_of(fit))


@pytest.mark.parametrize("name", STEPPED)
@pytest.mark.parametrize("level", ["glance", "numbers", "rules"])
def test_the_story_of_a_step_holds_the_same_numbers_and_no_english(name: str, level: str) -> None:
    fit = fitted(name)
    for number in (1, 2, len(fit.trace) - 1):
        step = fit.step(min(number, len(fit.trace) - 1))
        same(lambda lang, step=step: step.explain(level=level, lang=lang), words_of(fit))  # type: ignore[misc]


@pytest.mark.parametrize("name", ["line", "fixed", "weighted", "many", "two variables", "without effect"])
def test_normal_equations_hold_the_same_numbers_and_no_english(name: str) -> None:
    fit = fitted(name)
    found = fit.normal_equations()
    same(lambda lang: found.text(lang), words_of(fit) | {"wxy"})


def test_a_race_holds_the_same_numbers_and_no_english() -> None:
    race = km.race(LINE, km.datasets("tutorial"), start=HALF, steps=3000)
    same(lambda lang: race.text(lang), {"csv", "tutorial"})


@pytest.mark.parametrize(("model", "arguments", "code", "said"), CASES)
def test_a_mistake_is_said_with_the_same_numbers(model: str, arguments: dict[str, Any], code: str, said: Any) -> None:
    with pytest.raises(km.KatamukiError) as caught:
        km.fit(model, **{"data": DATA, **arguments})
    error = caught.value
    for lang in OTHERS:
        for surface in ("python", "cli"):
            there = error.render(lang, surface)  # type: ignore[arg-type]
            assert numbers(there) == numbers(error.render("en", surface))  # type: ignore[arg-type]
            assert there.endswith(f"[{code}]")
            assert there.split("\n")[0] != str(error).split("\n")[0]
            assert error.text(lang).endswith(("。", "か。")) or error.text(lang)[-1].isascii(), there


@pytest.mark.parametrize(
    "text",
    [
        "y = 2x + b",
        "y ~ a*(x + b",
        "y ~ a*x + ",
        "y ~ a**",
        "y ~ exp(x, a)",
        "傾き ~ a*x + 2(b",
        "y ~ a*x and b",
        "",
        "~ a",
    ],
)
def test_carets_stand_under_the_same_place_and_their_words_are_translated(text: str) -> None:
    with pytest.raises(km.FormulaError) as caught:
        formula.parse(text, COLUMNS)
    here = caught.value.render("en").split("\n")
    for lang in OTHERS:
        there = caught.value.render(lang).split("\n")
        place = next(k for k, line in enumerate(here) if "^" in line)
        assert there[place - 1] == here[place - 1]
        assert there[place].index("^") == here[place].index("^")
        assert there[place].count("^") == here[place].count("^")
        assert english(there[0]) == set()
        assert english(there[place], re.findall(r"\w+", text)) == set()
        assert [line for line in there if width(line) > 80] == []


@pytest.mark.parametrize("lang", OTHERS)
def test_phrases_inside_an_error_are_said_in_its_language(lang: str) -> None:
    with pytest.raises(km.NotConverged) as caught:
        km.fit("y ~ a*log(x - 20) + b", km.datasets("tutorial"))
    there = caught.value.render(lang)
    assert english(there) == set()
    assert numbers(there) == numbers(str(caught.value))
    with pytest.raises(km.FormulaError) as nothing:
        km.fit("y ~ x + 1", km.datasets("tutorial"))
    assert english(nothing.value.render(lang)) == set()


def test_a_warning_is_english_by_itself_and_said_in_any_language() -> None:
    with pytest.warns(km.FitWarning, match="cannot be told apart") as caught:
        FITS["not determined"]()
    warned = caught[0].message
    assert isinstance(warned, km.FitWarning)
    for lang in OTHERS:
        assert english(warned.text(lang)) == set()
        assert numbers(warned.text(lang)) == numbers(str(warned))


def test_the_message_of_two_parameters_that_cannot_be_told_apart_is_the_promised_one() -> None:
    fit = fitted("not determined")
    said = next(one for one in fit.findings if one.code == "UNDETERMINED")
    assert report.worded(said, "ja")[0] == "a と c は区別できません。決まるのは a + c = 0.500091 だけです。"


def test_a_loaded_fit_speaks_every_language(tmp_path: Any) -> None:
    for name in ("not determined", "cycle", "without effect"):
        fitted(name).save(tmp_path / "fit.json")
        loaded = km.load(tmp_path / "fit.json")
        for lang in messages.languages():
            assert report.text(loaded, lang=lang) == report.text(fitted(name), lang=lang)


def test_english_words_and_other_numbers_would_be_found() -> None:
    assert english("損失は the loss です") == {"the"}
    assert prose("これは still to do です") == ["still to do"]
    assert english("fit.params を見る、--solver lm で") == set()
    assert numbers("損失 1.25 は 3e−05") == numbers("loss 1.25 is 3e−05") != numbers("loss 1.25 is 3e−04")
    with pytest.raises(AssertionError):
        same(lambda lang: "損失 1.25" if lang == "ja" else "loss 1.26", set())


@pytest.mark.parametrize("lang", OTHERS)
def test_a_sentence_of_another_language_holds_no_english(lang: str) -> None:
    found = {key: left for key, text in messages.catalogue(lang).items() if (left := english(text))}
    assert found == {}
    glued = {key: left for key, text in messages.catalogue(lang).items() if (left := set(prose(text)) - COMMANDS)}
    assert glued == {}


# Strings of the source that read like English and are none of a language's, by file.
NO_LANGUAGE = {
    "api/jumps.py": "programs in Python and for shells",
    "api/torch_preparing.py": "the call of a model, as in code",
    "backends/": "programs in LLVM's and Python's languages, and what is said of them to us",
    "cli/arguments.py": "argparse's messages, which are recognised and said in our words",
    "cli/commands.py": "names of pictures",
    "cli/completing.py": "programs of shells",
    "covariance.py": "the type of a compiled function",
    "explain/graph/drawing.py": "names of fonts",
    "export/": "programs in Python",
    "findings/bending.py": "the type of a compiled function",
    "findings/passes.py": "the type of a compiled function",
    "formula/functions.py": "what to write in a formula",
    "many/products.py": "programs that are compiled, printed line by line",
    "ops.py": "where an operation's limits come from: papers and programs",
    "plot/": "places, in matplotlib's words",
    "problem/passes.py": "the type of a compiled function",
    "report/document.py": "a line of /proc/cpuinfo",
    "search/projection.py": "the types of compiled functions",
    "solvers/": "the types of compiled functions",
}


def test_no_sentence_stands_in_the_source() -> None:
    root = messages.FOLDER.parent
    found = {path.relative_to(root).as_posix(): sentences(path.read_text("utf-8")) for path in root.rglob("*.py")}
    unsaid = {path: texts for path, texts in found.items() if texts}
    assert {path: texts for path, texts in unsaid.items() if not path.startswith(tuple(NO_LANGUAGE))} == {}
    assert {place for place in NO_LANGUAGE if not any(path.startswith(place) for path in unsaid)} == set()


def test_a_sentence_in_the_source_would_be_found() -> None:
    assert sentences('print("the fit is good")') == [(1, "the fit is good")]
    assert sentences('raise DataError("E-X", f"{n} rows are missing")') == [(1, " rows are missing")]
    assert sentences('def f():\n    "a docstring is none"\n    raise ValueError("nor is our own fault")') == []


DOORS: dict[str, Callable[[str], object]] = {
    "report.text": lambda lang: report.text(fitted("line"), lang=lang),
    "report.html": lambda lang: report.html(fitted("line"), lang=lang),
    "report.as_dict": lambda lang: report.as_dict(fitted("line"), lang=lang),
    "Fit.explain": lambda lang: fitted("cycle").explain(lang),
    "RunStory.text": lambda lang: fitted("cycle").explain().text(lang),
    "Fit.normal_equations": lambda lang: fitted("line").normal_equations(lang),
    "Step.explain": lambda lang: fitted("cycle").step(1).explain(lang=lang),
    "Step.draw": lambda lang: fitted("cycle").step(1).draw(lang=lang),
    "Fit.plot": lambda lang: fitted("line").plot(lang=lang),
    "Fit.replay_html": lambda lang: fitted("cycle").replay_html(lang),
    "Race.text": lambda lang: km.race(LINE, km.datasets("tutorial"), ["linear"]).text(lang),
    "Race.to_dict": lambda lang: km.race(LINE, km.datasets("tutorial"), ["linear"]).to_dict(lang=lang),
    "SelfTest.text": lambda lang: km.selftest("Norris").text(lang),
    "SelfTest.to_dict": lambda lang: km.selftest("Norris").to_dict(lang),
    "Race.plot": lambda lang: km.race(LINE, km.datasets("tutorial"), ["linear"]).plot(lang),
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
def test_a_language_that_is_not_there_is_an_error_at_every_door(door: str) -> None:
    for lang in ("xx", "", "EN", "ja_JP"):
        with pytest.raises(km.BoundsError, match="languages: en, ja") as caught:
            DOORS[door](lang)
        assert caught.value.code == "E-LANG"


def test_the_glossary_s_words_are_those_of_the_sentences() -> None:
    glossary = (messages.FOLDER.parents[2] / "docs" / "glossary.md").read_text("utf-8")
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]*\|$", glossary, re.MULTILINE)[1:]
    assert len(rows) > 50
    of_documents = {"automatic differentiation", "chain rule"}
    sentences_of = {lang: "\n".join(messages.catalogue(lang).values()).casefold() for lang in ("en", "ja")}
    for word, translated in rows:
        if word not in of_documents:
            assert word.casefold() in sentences_of["en"], word
            assert all(one in sentences_of["ja"] for one in translated.split(", ")), translated


@pytest.mark.parametrize(("encoding", "said"), [("ascii", "verdict"), ("latin-1", "verdict"), ("shift_jis", "判定")])
def test_a_stream_without_the_letters_of_a_language_gets_english_and_is_told(encoding: str, said: str) -> None:
    command = [sys.executable, "-m", "katamuki", "fit", LINE, "--lang", "ja", "--no-plot"]
    around = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, input=b"x,y\n1,2\n2,3\n3,5\n", capture_output=True, check=False, env=around)
    assert done.returncode == 0
    assert said in done.stdout.decode(encoding)
    assert ("has no letters" in done.stderr.decode(encoding)) == (said == "verdict")
    assert b"\\u" not in done.stdout

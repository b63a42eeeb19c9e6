"""The self test counts what is right and finds out what is not: spoiled answers, missing ones, and fits that fail."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import fastjsonschema
import pytest

import katamuki as km
from katamuki import certified
from katamuki.api import selftest as module
from katamuki.records import CertifiedFit
from katamuki.report import selftest as words
from katamuki.report.numbers import width
from languages import english, numbers, prose

VALIDATE = fastjsonschema.compile(
    json.loads(files("katamuki.report").joinpath("selftest_schema.json").read_text(encoding="utf-8"))
)
Change = Callable[[dict[str, float], dict[str, float | None]], None]


def answering(monkeypatch: pytest.MonkeyPatch, name: str, change: Change, verdict: str = "good") -> CertifiedFit:
    """The row of a fit that returns the certified answer of a problem, changed."""
    p = certified.problem(name)

    def fit(*given: object, **options: object) -> object:
        params, stderr = dict(p.params), dict[str, float | None](p.stderr)
        change(params, stderr)
        return SimpleNamespace(params=params, stderr=stderr, verdict=verdict, findings=())

    monkeypatch.setattr(module, "fit", fit)
    return km.selftest(name).rows[0]


# --- what holds, and what does not ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Norris", "Misra1a", "ENSO", "Wampler1", "Lanczos1"])
def test_the_certified_answer_itself_holds_at_the_limit(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    row = answering(monkeypatch, name, lambda params, stderr: None)
    assert (row.outcome, row.reason) == ("holds", None)
    assert min(*row.digits.values(), *row.stderr_digits.values()) > 15.3
    assert max(*row.digits.values(), *row.limits.values()) <= 53 * math.log10(2)


def exchanged(params: dict[str, float], stderr: dict[str, float | None]) -> None:
    """The two peaks of Gauss1 in the other order, one with a negative width."""
    for here, there in (("b3", "b6"), ("b4", "b7"), ("b5", "b8")):
        for held in (params, stderr):
            held[here], held[there] = held[there], held[here]  # type: ignore[index]
    params["b5"] *= -1


def test_equal_terms_in_another_order_and_a_width_of_the_other_sign_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    row = answering(monkeypatch, "Gauss1", exchanged)
    assert row.outcome == "holds"
    assert row.params == certified.problem("Gauss1").params
    assert min(row.stderr_digits.values()) > 15


def test_an_exchange_that_leaves_the_error_bars_behind_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(params: dict[str, float], stderr: dict[str, float | None]) -> None:
        exchanged(params, dict(stderr))

    row = answering(monkeypatch, "Gauss1", half)
    assert row.outcome == "silent"
    assert "the standard error of" in str(row.reason)


def scaled(name: str, factor: float) -> Change:
    def change(params: dict[str, float], stderr: dict[str, float | None]) -> None:
        params[name] *= factor

    return change


def scaled_bar(name: str, factor: float) -> Change:
    def change(params: dict[str, float], stderr: dict[str, float | None]) -> None:
        stderr[name] = (stderr[name] or 0.0) * factor

    return change


@pytest.mark.parametrize(
    ("name", "change", "verdict", "outcome", "said"),
    [
        ("Misra1a", scaled("b2", -1.0), "good", "silent", "−0.000550156, not 0.000550156, and the verdict is good"),
        ("Misra1a", scaled("b2", -1.0), "look", "wrong", "the verdict is not good"),
        ("Misra1a", scaled("b1", 1 + 2e-6), "good", "silent", "b1 is 238.9426, not 238.9421"),
        ("Misra1a", scaled("b1", 1 + 2e-11), "good", "short", "b1 has 10.6 digits, 11 are wanted"),
        ("Misra1a", scaled("b1", 1 + 0.9e-11), "good", "holds", "None"),
        ("Norris", scaled("B0", 1 + 2e-10), "good", "short", "B0 has 9.6 digits, 10 are wanted"),
        ("Norris", scaled("B0", 1 + 0.9e-10), "good", "holds", "None"),
        ("Misra1a", scaled_bar("b2", 1.2), "good", "silent", "error of b2 is 8.72024e−06, not 7.26687e−06"),
        ("Misra1a", scaled_bar("b1", 1 + 2e-9), "good", "short", "error of b1 has 8.6 digits, 9 are wanted"),
        ("Misra1a", scaled_bar("b1", 1 + 0.9e-9), "good", "holds", "None"),
        ("Norris", scaled_bar("B1", 1 + 2e-10), "good", "short", "the standard error of B1 has 9.6 digits, 10 are"),
        ("Misra1a", scaled("b1", math.nan), "good", "silent", "b1 is —"),
        ("Misra1a", lambda params, stderr: stderr.update(b1=None), "look", "wrong", "the standard error of b1 is —"),
        ("Lanczos1", scaled_bar("b1", 1.005), "good", "holds", "None"),
        ("Lanczos1", scaled_bar("b1", 1.05), "good", "silent", "the standard error of b1"),
        ("Lanczos1", scaled("b1", 1 + 2e-11), "good", "short", "b1 has 10.6 digits, 11 are wanted"),
    ],
)  # fmt: skip
def test_a_spoiled_answer_is_found_out(
    monkeypatch: pytest.MonkeyPatch, name: str, change: Change, verdict: str, outcome: str, said: str
) -> None:
    row = answering(monkeypatch, name, change, verdict)
    assert row.outcome == outcome
    assert said in str(row.reason)


def test_a_spoiled_certified_figure_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = certified.problem

    def spoiled(name: str) -> certified.Problem:
        p = real(name)
        params = {**p.refined.params, "B1": "1.0021168190204543"}
        return dataclasses.replace(p, refined=dataclasses.replace(p.refined, params=params))

    assert km.selftest("Norris").holds
    monkeypatch.setattr(certified, "problem", spoiled)
    found = km.selftest("Norris")
    assert not found.holds
    assert found.rows[0].outcome == "short"


def test_a_fit_that_fails_is_a_row_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*given: object, **options: object) -> object:
        raise km.NotConverged("E-CONVERGENCE", "race.interrupted", lanes=1, all=2)

    monkeypatch.setattr(module, "fit", failing)
    found = km.selftest("Misra1a")
    assert [(row.outcome, row.verdict, row.findings) for row in found.rows] == [
        ("none", "failed", ("E-CONVERGENCE",))
    ] * 3
    assert "no answer: interrupted after 1 of 2 lanes [E-CONVERGENCE]" in str(found)
    assert not found.holds


def test_our_own_fault_is_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: object, **options: object) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "fit", broken)
    with pytest.raises(ZeroDivisionError):
        km.selftest("Norris")


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), km.NotConverged("E-INTERRUPTED", "api.interrupted", steps=3)])
def test_ctrl_c_keeps_the_fits_so_far(monkeypatch: pytest.MonkeyPatch, raised: BaseException) -> None:
    real, made = km.fit, []

    def fit(*given: Any, **options: Any) -> object:
        if len(made) == 2:
            raise raised
        made.append(1)
        return real(*given, **options)

    monkeypatch.setattr(module, "fit", fit)
    with pytest.raises(km.NotConverged, match="interrupted after 2 of 11 fits") as caught:
        km.selftest("linear")
    assert caught.value.code == "E-INTERRUPTED"
    so_far = caught.value.selftest
    assert isinstance(so_far, km.SelfTest)
    assert (len(so_far.rows), so_far.asked, so_far.holds) == (2, 11, False)
    assert "interrupted after 2 of 11 fits" in str(so_far)


# --- what is asked for ---------------------------------------------------------------------------------------------


def test_every_problem_and_start_has_its_row_and_progress_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[object] = []

    def fit(formula: str, data: object, start: object, seed: int) -> object:
        starts.append(start)
        assert seed == 7
        raise km.NotConverged("E-CONVERGENCE", "race.interrupted", lanes=1, all=2)

    monkeypatch.setattr(module, "fit", fit)
    told: list[tuple[int, int]] = []
    found = km.selftest(seed=7, progress=lambda done, count: told.append((done, count)))
    assert told == [(k, 92) for k in range(92)]
    pairs = [(row.problem, row.start) for row in found.rows]
    assert len(set(pairs)) == len(pairs) == 11 + 3 * 27
    expected: list[object] = [None] * 11
    for name in certified.names("nonlinear"):
        expected += [None, *(certified.problem(name).starts or ())]
    assert starts == expected


def test_a_part_is_asked_for_by_name_each_once_in_the_order_of_the_suites() -> None:
    found = km.selftest(["DanWood", "Norris", "Norris"])
    assert [row.problem for row in found.rows] == ["Norris", "DanWood", "DanWood", "DanWood"]
    assert {row.problem for row in km.selftest("linear").rows} == set(certified.names("linear"))


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ("Misr1a", km.DataError, "try: Misra1a"),
        (["norris"], km.DataError, "try: Norris"),
        (["Norris", "quadratic"], km.DataError, "use some of: linear, nonlinear, Filip"),
        ([3], km.DataError, "no certified problem called 3"),
        ([], km.BoundsError, "takes names of certified problems"),
        (5, km.BoundsError, "not 5"),
    ],
)
def test_what_is_no_problem_is_an_error(given: Any, kind: type[km.KatamukiError], said: str) -> None:
    with pytest.raises(kind) as caught:
        km.selftest(given)
    assert said in str(caught.value)


def test_a_seed_that_is_none_is_an_error() -> None:
    with pytest.raises(km.BoundsError):
        km.selftest("Norris", seed="x")  # type: ignore[arg-type]


# --- how much is wanted --------------------------------------------------------------------------------------------


def test_only_lanczos1_is_excused_and_only_its_standard_errors() -> None:
    demands = {name: module._demands(certified.problem(name)) for name in certified.names()}
    assert {name for name, one in demands.items() if one["note"] is not None} == {"Lanczos1"}
    for name, one in demands.items():
        linear = name in certified.names("linear")
        assert one["wanted"] == (10 if linear else 11)
        assert one["stderr_wanted"] == (2 if name == "Lanczos1" else 10 if linear else 9)
        assert min(one["limits"].values()) > 12.2
    assert "3.3 digits" in str(demands["Lanczos1"]["note"])


def test_digits_are_printed_rounded_down() -> None:
    assert [words.count(one) for one in (10.99, 11.0, 15.954, -0.01, math.inf, -math.inf)] == [
        "10.9", "11.0", "15.9", "−0.1", "—", "—"
    ]  # fmt: skip


# --- how it is said ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def every() -> km.SelfTest:
    """A row of every outcome, made of one that holds."""
    with pytest.MonkeyPatch.context() as patch:
        rows = [
            answering(patch, "Misra1a", scaled("b1", 1 + 2e-11)),
            answering(patch, "Misra1b", scaled("b1", -1.0), "look"),
            answering(patch, "Misra1c", scaled("b1", -1.0)),
            answering(patch, "Lanczos1", lambda params, stderr: None, "look"),
            answering(patch, "Filip", lambda params, stderr: None),
        ]

        def failing(*given: object, **options: object) -> object:
            raise km.DataError("E-DATASET", "certified.no_problem", name="x", names="a, b")

        patch.setattr(module, "fit", failing)
        rows += km.selftest("Misra1d").rows[1:]
    return km.SelfTest(tuple(rows), len(rows), 0, 0.5)


def test_the_table_says_the_worst_first_and_fits_80_columns(every: km.SelfTest) -> None:
    text = every.text()
    places = [text.index(one) for one in ("WRONG, and", "wrong, and said so", "no answer, and", "right, with", "table")
              if one in text]  # fmt: skip
    assert len(places) == 4
    assert places == sorted(places)
    assert [line for line in text.split("\n") if width(line) > 80] == []
    lines = {line.split()[0]: line for line in text.split("\n") if line.startswith("  ") and line.strip()}
    assert lines["Misra1a"].rstrip().endswith("ms")
    assert "10.6 15." in text
    assert "!" in lines["Misra1c"]
    assert "?" in lines["Lanczos1"]
    assert "—    —!" in lines["Misra1d"]
    assert "Lanczos1: its residuals are hardly larger than the rounding" in " ".join(text.split())


def test_a_language_says_the_same_numbers(every: km.SelfTest) -> None:
    there = every.text("ja")
    assert numbers(there) == numbers(every.text())
    assert [line for line in there.split("\n") if width(line) > 80] == []
    assert english(there, {"Lanczos", "Filip"}) == set()
    assert prose(there) == []
    with pytest.raises(km.BoundsError):
        every.text("xx")


def test_columns_stand_in_line_in_every_language(every: km.SelfTest) -> None:
    for lang in ("en", "ja"):
        lines = every.text(lang).split("\n")
        of_table = [line for line in lines if line.startswith("  Misra1")][-4:]
        assert len({width(line) for line in of_table}) == 1
        head = next(line for line in lines if "start 1       start 2" in line or "初期値 1   " in line)
        assert width(head.rstrip()) <= 80


def test_the_dictionary_obeys_its_schema_in_both_languages(every: km.SelfTest) -> None:
    for lang in ("en", "ja"):
        told = json.loads(json.dumps(every.to_dict(lang), allow_nan=False))
        VALIDATE(told)
        assert told["outcomes"] == {"holds": 2, "silent": 1, "wrong": 1, "none": 2, "short": 1}
        assert not told["holds"]
    assert every.to_dict("en")["fits"][0]["reason"] != every.to_dict("ja")["fits"][0]["reason"]


def test_a_dictionary_without_its_digits_is_refused(every: km.SelfTest) -> None:
    told = every.to_dict()
    del told["fits"][0]["digits"]
    with pytest.raises(fastjsonschema.JsonSchemaException):
        VALIDATE(told)


def test_the_notebook_s_table_has_a_row_for_each_fit(every: km.SelfTest) -> None:
    shown = every._repr_html_()
    assert shown.count("<tr>") == len(every.rows) + 1
    assert "<td>10.6</td>" in shown
    assert repr(every) == "<SelfTest: 2/7>"

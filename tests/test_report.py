"""Reports: the texts and their numbers, JSON against its published schema, HTML that cannot be broken out of."""

from __future__ import annotations

import json
import math
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import fastjsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_fit import REFERENCE, RSS, SOLUTION, SOURCE, A, B, FakeFit, claim
from katamuki import messages, report
from katamuki.records import CheckReport, Combination, Cycle, Finding, Minimum, Search, Source, Trace
from katamuki.report import layout, numbers
from katamuki.report.layout import head
from katamuki.report.numbers import correlation, width

VALIDATE = fastjsonschema.compile(json.loads(files("katamuki.report").joinpath("schema.json").read_text()))
GOOD = CheckReport(
    "PASS",
    "check.pass.qr",
    {"a": 14.2, "b": 13.7},
    {"a": 13.1, "b": 12.9},
    {"a": A, "b": B},
    facts={"gradient": 3e-14, "rank": 2, "parameters": 2},
)
H = 0.0005


def run(**changes: Any) -> FakeFit:
    """The tutorial's RMSprop run, in the numbers it ends with."""
    trace = Trace(
        ("a", "b"),
        np.array([0, 9, 99, 999, 5999, 6000]),
        np.full((6, 2), 0.5),
        np.array([7.5057, 5.460662, 2.297513, 1.549429, 1.251181, 1.251181]),
        np.zeros((6, 2)),
        np.zeros((6, 2)),
    )
    facts: dict[str, Any] = {
        "state": "cycle",
        "solver": "rmsprop",
        "options": {"lr": 0.001, "alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "centered": False, "steps": 6000},
        "start": {"a": 0.5, "b": 0.5},
        "params": {"a": A + H, "b": B + H},
        "loss": RSS / 11 + 110 * H**2,
        "rss": RSS + 11 * 110 * H**2,
        "steps": 6000,
        "seconds": 0.0221,
        "cycle": Cycle(
            3419,
            {"a": A - H, "b": B - H},
            {"a": A + H, "b": B + H},
            {"a": A, "b": B},
            {"a": H, "b": H},
        ),
        "reference": REFERENCE,
        "reason": {"factor": 0.5 * 2 / 11 * (1001 + 99 + 99 + 11)},  # ½ ΣΣ H, as the diagnosis hands it over
    }
    fit = claim(**(facts | changes))
    fit.verdict, fit.trace = "look", trace
    return fit


def test_the_report_of_the_tutorial_holds_its_published_numbers_in_80_columns() -> None:
    text = report.text(FakeFit(), GOOD)
    assert "  a    0.500091     0.117906    0.233370 to 0.766812\n" in text
    assert "  b    3.000091     1.124747    0.455737 to 5.544445     correlation a,b −0.943\n" in text
    assert "MSE 1.251154   s 1.236603 on 9 degrees of freedom   R² 0.666542" in text
    assert 'tutorial.csv     11 rows, separator ",", header x,y' in text
    assert "checked  PASS" in text
    assert max(map(numbers.width, text.split("\n"))) <= 80
    assert not any(line != line.rstrip() for line in text.split("\n"))


def test_a_wrong_number_in_the_solution_is_seen_in_the_report() -> None:
    assert "0.500091" not in report.text(claim(params={"a": A + 1e-5, "b": B}))


def test_the_report_of_a_cycle_names_both_points_their_middle_and_the_floor() -> None:
    text = report.text(run())
    assert "not converged: a cycle of two points since step 3419" in text
    assert "a 0.499591 <-> 0.500591   b 2.999591 <-> 3.000591   middle 0.500091 3.000091" in text
    assert "110·(lr/2)² = 2.75e−05" in text  # ½ Σ H (lr/2)² with H = 2/11 [[1001, 99], [99, 11]]
    assert "+lr/2     0.0042 std.errors" in text
    assert "+lr/2     0.00044 std.errors" in text
    assert "loss  step 1 7.505700  10 5.460662  100 2.297513  1000 1.549429  6000 1.251181" in text
    assert max(map(numbers.width, text.split("\n"))) <= 80


def test_a_difference_that_is_not_half_the_learning_rate_is_not_called_so() -> None:
    text = report.text(run(params={"a": A + 0.9 * H, "b": B - H}))
    (a_line, b_line) = (next(line for line in text.split("\n") if line.startswith("  " + n)) for n in "ab")
    assert "lr/2" not in a_line
    assert "−lr/2" in b_line


def test_a_slow_run_says_that_its_steps_are_over() -> None:
    assert "not converged when the 6000 steps asked for were over" in report.text(run(state="slow", cycle=None))
    stopped = run(state="slow", cycle=None, steps=77)
    assert "not converged when the time was over, after 77 steps" in report.text(stopped)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"free": ("a",), "stderr": {"a": 0.1, "b": None}, "covariance": np.array([[0.01]])}, "fixed"),
        ({"at_bound": ("b",), "stderr": {"a": 0.1, "b": None}}, "at its bound"),
        ({"dof": 0, "stderr": {"a": None, "b": None}}, "no degrees of freedom left"),
        (
            {"stderr": {"a": None, "b": None}, "combinations": (Combination(("a", "b"), "a + b", 3.5),)},
            "determined: a + b = 3.500000",
        ),
        ({"bounds": {"a": (0.0, math.inf)}}, "a ≥ 0"),
        ({"bounds": {"a": (0.0, 1.0)}}, "a 0 to 1"),
        ({"weighted": True, "sigma_is": "known"}, "std.errors follow from sigma alone; scaled by s"),
        ({"weighted": True, "sigma_is": "relative"}, "std.errors are scaled by s"),
        ({"weighted": True}, "weighted MSE"),
        ({"linear": False, "solver": "levenbergmarquardt", "state": "converged"}, "Levenberg–Marquardt"),
    ],
)
def test_what_is_special_about_a_fit_stands_in_its_report(changes: dict[str, Any], said: str) -> None:
    text = report.text(claim(**changes))
    assert said in text
    assert said not in report.text(FakeFit())


def test_a_missing_error_bar_is_a_dash_and_never_a_number() -> None:
    text = report.text(claim(stderr={"a": None, "b": 1.0}))
    line = next(line for line in text.split("\n") if line.startswith("  a"))
    assert line.split()[:4] == ["a", "0.500091", "—", "—"]


def test_findings_come_worst_first_with_their_codes_and_remedies() -> None:
    fit = FakeFit(
        findings=(
            Finding("MINOR", "note", None, {}, "one start only", None),
            Finding("MAJOR", "warning", None, {}, "the residuals come in runs", "another formula"),
        ),
        verdict="look",
    )
    lines = report.text(fit).split("\n")
    first = next(k for k, line in enumerate(lines) if line.startswith("warning"))
    assert lines[first : first + 4] == [
        "warning  the residuals come in runs [MAJOR]",
        "         try: another formula",
        "note     one start only [MINOR]",
        "verdict  look",
    ]


def test_the_same_advice_is_given_once_after_the_last_remark_that_it_belongs_to() -> None:
    values = {"low": 0.1, "high": 0.9, "below": 0.2, "above": 2.0}
    curved = tuple(Finding("CURVED", "note", name, {"name": name, **values}, "", None) for name in ("a", "b"))
    lines = report.text(FakeFit(findings=curved)).split("\n")
    assert sum("profile" in line for line in lines) == 1
    assert next(k for k, line in enumerate(lines) if "try:" in line) > next(
        k for k, line in enumerate(lines) if "bar of b" in line
    )


def test_remedies_name_flags_on_the_command_line_and_arguments_in_python() -> None:
    finding = Finding(
        "CHI2", "warning", None, {"variant": "small", "factor": 0.5, "rss": 1.0, "dof": 9, "p": 0.01}, "", ""
    )
    fit = FakeFit(findings=(finding,), verdict="look")
    assert "sigma_is=" in " ".join(report.text(fit).split())
    assert "--sigma-is relative" in " ".join(report.text(fit, surface="cli").split())
    assert "only 0.5 times as large" in " ".join(report.text(fit).split())


def test_a_check_that_fails_prints_both_answers() -> None:
    bad = CheckReport("FAIL", "check.pass.qr", {"a": 2.0, "b": 14.0}, {"a": 1.0, "b": math.nan}, {"a": 0.495, "b": B})
    text = "\n".join(report.check_text(bad, SOLUTION))
    assert text.split()[:2] == ["checked", "FAIL"]
    assert "0.500091       0.495000" in text


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Source("d.csv", "csv", 1, separator=";", decimal=",", header=("t", "y")), '1 row, separator ";", decimal ","'),
        (Source("d.tsv", "tsv", 5, separator="\t", header=None), "separator tab, no header"),
        (Source("d.csv", "csv", 9, header=tuple("abcdefgh")), "header a,b,c,d,e,f,…"),
        (Source("d", "mapping", 9, dropped=2), "2 rows dropped"),
        (Source("d", "mapping", 9, filtered=2, where="x > 4"), "2 left out by x > 4"),
    ],
)
def test_what_was_read_and_left_out_is_said(source: Source, said: str) -> None:
    fit = FakeFit(data=source)
    assert said in " ".join(report.text(fit).split())


def test_a_list_of_names_too_long_for_its_line_begins_below_the_others() -> None:
    lines = head("y = " + "a*x + " * 13, "response y, parameters " + " ".join(f"a{k}" for k in range(20)))
    assert all(line.startswith(" " * 17) and line[17] != " " for line in lines[1:])


def test_a_correlation_that_is_nearly_one_is_not_called_one() -> None:
    assert correlation(0.99981) == "0.9998"
    assert correlation(-0.99999996) == "−0.99999996"


def test_a_long_formula_and_many_names_wrap_instead_of_running_out() -> None:
    names = [f"parameter_{k}" for k in range(12)]
    fit = claim(
        formula="y ~ " + " + ".join(f"{name}*x**{k}" for k, name in enumerate(names)),
        params=dict.fromkeys(names, 1.0),
        free=tuple(names),
        stderr=dict.fromkeys(names, 0.1),
        covariance=np.eye(12),
    )
    lines = report.text(fit).split("\n")
    assert max(map(numbers.width, lines[1:])) <= 80  # the formula itself is one line, so that it can be copied


# --- JSON ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fit", [FakeFit(), run(), claim(stderr={"a": None, "b": None}), claim(loss=math.inf)])
@pytest.mark.parametrize("check", [None, GOOD])
def test_every_dictionary_obeys_the_published_schema(fit: FakeFit, check: CheckReport | None) -> None:
    told = json.loads(json.dumps(report.as_dict(fit, check), allow_nan=False))
    VALIDATE(told)


@pytest.mark.parametrize("broken", [("verdict", "fine"), ("n", "11"), ("params", []), ("schema", "katamuki.fit/2")])
def test_the_schema_refuses_what_is_wrong(broken: tuple[str, Any]) -> None:
    told = report.as_dict(FakeFit())
    with pytest.raises(fastjsonschema.JsonSchemaException):
        VALIDATE(told | dict([broken]))


def test_json_keeps_every_bit_of_a_number() -> None:
    told = json.loads(json.dumps(report.as_dict(FakeFit())))
    assert told["params"]["a"]["value"] == A
    assert told["covariance"]["matrix"] == SOLUTION.covariance.tolist()


def test_numbers_that_json_lacks_become_null() -> None:
    told = report.as_dict(claim(covariance=np.full((2, 2), np.nan), bounds={"a": (0.0, math.inf)}))
    assert told["covariance"]["matrix"] == [[None, None], [None, None]]
    assert told["params"]["a"]["bounds"] == [0.0, None]


# --- HTML ----------------------------------------------------------------------------------------------------------


def test_html_escapes_what_the_user_typed_and_closes_its_tags() -> None:
    evil = claim(
        formula="y ~ a<script>alert(1)</script>",
        params={"<b>": 1.0, "b": 2.0},
        free=("<b>", "b"),
        stderr={"<b>": 1.0, "b": 1.0},
    )
    page = report.html(evil, GOOD)
    assert "<script" not in page
    assert "&lt;b&gt;" in page
    depth: list[str] = []

    class Walk(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            depth.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert depth.pop() == tag

    Walk().feed(page)
    assert depth == []


# --- numbers -------------------------------------------------------------------------------------------------------


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_printed_number_is_right_to_six_digits_and_never_minus_zero(value: float) -> None:
    text = numbers.number(value).replace("−", "-")
    assert math.isclose(float(text), value, rel_tol=5.000001e-6, abs_tol=0.0) or value == 0.0
    assert not (float(text) == 0.0 and text.startswith("-"))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_full_cell_reads_back_the_same_number(value: float) -> None:
    assert float(numbers.cell(value, full=True)) == value


@given(st.text(alphabet="ab ", max_size=60), st.integers(5, 20))
def test_wrapping_loses_no_word(text: str, columns: int) -> None:
    assert " ".join(layout.wrapped(text, columns)).split() == text.split()


def test_ascii_text_has_the_same_numbers() -> None:
    plain = report.ascii_only(report.text(run(), GOOD))
    assert plain.isascii()
    assert "-0.943" in report.ascii_only(report.text(FakeFit()))


def test_every_sentence_of_the_report_can_be_filled() -> None:
    for key in messages.catalogue("en"):
        if key.startswith(("report.", "cli.", "plot.")):
            text = messages.catalogue("en")[key]
            assert text.strip(), key
            assert "{}" not in text, key


def test_the_source_stands_in_the_json() -> None:
    assert report.as_dict(FakeFit())["data"]["sha256"] == SOURCE.sha256


# ---- what a search did ----


def searched_claim(reached: int, others: int = 2, rows: int = 11) -> FakeFit:
    """The tutorial's fit as though a search had found it ``reached`` times, and other minima."""
    minima = [Minimum(SOLUTION.params, SOLUTION.loss, reached)]
    minima += [Minimum({"a": float(k), "b": 0.0}, 9.0 + k, 3) for k in range(others)]
    minima.append(Minimum({"a": 0.0, "b": 0.0}, math.inf, 1, converged=False))
    return claim(search=Search(64, 60, rows, tuple(minima), "sure"), start={"a": 1.0, "b": 1.0})


@pytest.mark.parametrize(
    ("fit", "line"),
    [
        (searched_claim(41), "search           64 starts, 3 distinct minima, best reached 41 times"),
        (searched_claim(1), "search           64 starts, 3 distinct minima, best reached once"),
        (searched_claim(60, 0), "search           64 starts, one minimum, reached 60 times"),
        (searched_claim(1, 0, 5), "search           64 starts, one minimum, reached once    on 5 of 11 rows"),
    ],
)
def test_what_a_search_did_is_one_line(fit: FakeFit, line: str) -> None:
    assert line in report.text(fit).split("\n")
    assert line.rsplit("  ", maxsplit=1)[-1].strip() in report.html(fit)
    assert "探索" in report.text(fit, lang="ja")
    assert all(width(one) <= 80 for lang in ("en", "ja") for one in report.text(fit, lang=lang).split("\n"))


def test_where_nothing_was_searched_nothing_is_said_of_it() -> None:
    assert not any(line.startswith("search") for line in report.text(claim()).split("\n"))
    assert report.as_dict(claim())["search"] is None


def test_the_json_of_a_search_lists_its_minima() -> None:
    found = report.as_dict(searched_claim(41))
    VALIDATE(found)
    assert [one["reached"] for one in found["search"]["minima"]] == [41, 3, 3, 1]
    assert found["search"]["minima"][-1]["loss"] is None
    found["search"]["ending"] = "splendid"
    with pytest.raises(fastjsonschema.JsonSchemaException):
        VALIDATE(found)

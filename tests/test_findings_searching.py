"""What a search found, said: each finding on a record that must fire it, and on one that must not."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.stats

from hand_claims import decay
from judged import codes
from katamuki import messages
from katamuki.api import searching
from katamuki.findings import examine, verdict
from katamuki.findings.searching import EQUAL, REGION, SEARCHED, chance, one_start_asked_for, point
from katamuki.records import Minimum, Search, Solution
from katamuki.report import worded

START = {"a": 1.0, "b": 1.0, "c": 1.0}


def claim(**changes: Any) -> Solution:
    """a·exp(−b·x) + c at its answer, found by descent."""
    return decay().claim(**{"start": START, **changes})


def searched(others: list[float], ending: Any = "sure", given: Minimum | None = None, **changes: Any) -> Solution:
    """The claim after a search that also found minima with these losses, in units of the answer's."""
    said = claim(**changes)
    minima = [Minimum(said.params, said.loss, 41)]
    minima += [Minimum({"a": -2.0, "b": 9.0, "c": float(k)}, said.loss * one, 2) for k, one in enumerate(others)]
    return replace(said, search=Search(64, 60, said.n, tuple(minima), ending, given))


def test_a_search_that_found_one_minimum_often_is_no_remark() -> None:
    assert examine(searched([])) == ()


def test_without_a_search_the_note_stays() -> None:
    assert codes(examine(claim())) == ["NOT_SEARCHED"]
    assert codes(examine(claim(linear=True))) == []


@pytest.mark.parametrize("ending", ["time", "interrupted"])
def test_a_search_that_was_cut_is_a_warning(ending: Any) -> None:
    (one,) = examine(searched([], ending))
    assert (codes((one,)), one.severity) == (["NOT_SEARCHED.cut"], "warning")
    assert "64 starts" in one.text


def test_a_clearly_worse_minimum_is_a_note() -> None:
    said = searched([3.0, 5.0])
    (one,) = examine(said)
    assert (codes((one,)), one.severity) == (["SEVERAL_MINIMA"], "note")
    assert one.values["count"] == 3
    assert one.values["next"] == pytest.approx(3.0 * said.loss)
    assert "b 9" in one.text
    assert verdict(said, (one,)) == "good"


def test_where_the_f_ratio_draws_the_line_the_note_becomes_a_warning() -> None:
    said = claim()
    edge = 1 + 3 / said.dof * scipy.stats.f.isf(REGION, 3, said.dof)
    assert codes(examine(searched([edge * 1.0001]))) == ["SEVERAL_MINIMA"]
    near = searched([edge * 0.9999])
    (one,) = examine(near)
    assert (codes((one,)), one.severity) == (["SEVERAL_MINIMA.close"], "warning")
    assert verdict(near, (one,)) == "look"
    for number in ("a 3.0", "a -2, b 9, c 0"):  # both are printed
        assert number in one.text
    assert '"b": 9' in str(one.remedy)


@pytest.mark.parametrize("ratio", [1.01, 1.1, 1.5, 4.0])
def test_the_probability_is_scipys(ratio: float) -> None:
    said = claim()
    f = (ratio - 1) * said.rss / 3 / (said.rss / said.dof)
    assert chance(said, said.loss, said.loss * ratio) == pytest.approx(scipy.stats.f.sf(f, 3, said.dof), rel=1e-9)
    known = claim(sigma_is="known")
    tail = scipy.stats.chi2.sf((ratio - 1) * said.rss, 3)
    assert chance(known, said.loss, said.loss * ratio) == pytest.approx(tail, rel=1e-9)


def test_the_true_parameters_lie_within_the_region_as_often_as_it_says() -> None:
    # The line between a note and a warning is the 95 % region; a straight line has it exactly.
    random = np.random.default_rng(4)
    x = np.linspace(0, 1, 12)
    said, inside, times = claim(n=12, dof=10, free=("a", "b")), 0, 4000
    for _ in range(times):
        e = random.normal(size=12)
        least = float(np.polynomial.polynomial.polyfit(x, e, 1, full=True)[1][0][0]) / 12
        inside += chance(said, least, float(e @ e) / 12) > REGION
    assert inside / times == pytest.approx(1 - REGION, abs=4 * math.sqrt(REGION * (1 - REGION) / times))


def test_another_minimum_of_the_same_loss_is_another_curve_that_fits_as_well() -> None:
    (one,) = examine(searched([1.0 + EQUAL / 2]))
    assert (codes((one,)), one.severity) == (["SEVERAL_MINIMA.equal"], "warning")


def test_sums_of_squares_that_are_rounding_are_not_compared() -> None:
    said = searched([7.0])
    tiny = 1e-30 * said.tss / said.n
    minima = tuple(replace(one, loss=one.loss / said.loss * tiny) for one in said.search.minima)  # type: ignore[union-attr]
    perfect = replace(said, loss=tiny, rss=tiny * said.n, search=replace(said.search, minima=minima))  # type: ignore[type-var]
    assert codes(examine(perfect)) == ["SEVERAL_MINIMA.equal"]


def test_as_many_parameters_as_rows_leave_no_scatter_to_compare_with() -> None:
    assert chance(claim(dof=0, n=3), 0.0, 0.1) == 0.0
    assert chance(claim(dof=0, n=3), 0.1, 0.2) == 0.0


def test_a_best_minimum_that_was_reached_too_seldom_is_a_warning() -> None:
    said = searched([3.0], "unsure")
    (one,) = examine(said)
    assert (codes((one,)), one.severity) == (["SEVERAL_MINIMA.unsure"], "warning")
    assert (one.values["reached"], one.values["starts"]) == (41, 64)
    assert codes(examine(searched([1.01], "unsure"))) == ["SEVERAL_MINIMA.unsure", "SEVERAL_MINIMA.close"]


def test_a_loss_that_is_lower_without_end_is_a_warning() -> None:
    (one,) = examine(searched([], "unbounded"))
    assert (codes((one,)), one.severity) == (["SEVERAL_MINIMA.unbounded"], "warning")


# ---- the user's own start ----


def kept(ratio: float, **changes: Any) -> Solution:
    """The answer is the minimum below the given start; another has ``ratio`` of its loss."""
    said = claim(**changes)
    given = Minimum(said.params, said.loss, 1)
    best = Minimum({"a": 4.137111, "b": 0.06396341, "c": 0.5}, said.loss * ratio, 8)
    return replace(said, search=Search(9, 9, said.n, (best, given), "asked", given))


def test_a_given_start_in_a_worse_valley_is_kept_and_both_are_printed() -> None:
    said = kept(0.25)
    better, note = examine(said)
    assert [one.code for one in (better, note)] == ["BETTER_MINIMUM", "START_WAS_KEPT"]
    assert [one.severity for one in (better, note)] == ["warning", "note"]
    for number in (point(said.params, said.free), "a 4.13711, b 0.0639634, c 0.5", f"{said.loss:.6g}"):
        assert number in better.text
    assert 'start={"a": 4.137111, "b": 0.06396341, "c": 0.5}' in str(better.remedy)
    assert "--start a=4.137111,b=0.06396341,c=0.5" in str(worded(better, "en", "cli")[1])
    assert note.remedy is None  # it was said beside the other
    assert verdict(said, (better, note)) == "look"


def test_a_given_start_that_leads_to_the_best_minimum_is_no_remark() -> None:
    said = searched([])
    for near in (1.0, 1.0 + 1e-9):
        given = Minimum(said.params, said.loss * near, 1)
        assert examine(replace(said, search=replace(said.search, given=given))) == ()  # type: ignore[type-var]
    assert codes(examine(kept(1.0)))[0] == "SEVERAL_MINIMA.equal"
    assert codes(examine(kept(1.0 - 1e-4)))[0] == "BETTER_MINIMUM"


@pytest.mark.parametrize(("loss", "variant"), [(5.8e63, "nowhere"), (math.inf, "no_value"), (math.nan, "no_value")])
def test_a_given_start_that_led_nowhere_gives_way_and_says_so(loss: float, variant: str) -> None:
    left = Minimum({"a": 1e-13, "b": 5.0, "c": 1.0}, loss, 1, converged=False)
    (one,) = examine(searched([], "asked", left))
    assert (codes((one,)), one.severity) == ([f"BETTER_MINIMUM.{variant}"], "warning")
    assert "a 1e-13, b 5, c 1" in one.text
    assert "a 3.0" in one.text
    assert ("5.8e+63" in one.text) == (variant == "nowhere")


def test_a_place_where_a_start_was_left_is_no_minimum() -> None:
    said = searched([])
    left = Minimum({"a": 1.0, "b": 1.0, "c": 1.0}, said.loss * 1.01, 1, converged=False)
    search = replace(said.search, minima=(*said.search.minima, left))  # type: ignore[type-var,union-attr]
    assert examine(replace(said, search=search)) == ()


def test_what_a_given_start_decided_because_the_data_do_not_stays_undetermined() -> None:
    from katamuki.records import Combination

    said = searched([], state="not_identifiable", combinations=(Combination(("c",), None, None),))
    assert codes(examine(said)) == ["UNDETERMINED.alone"]


def test_long_formulas_list_their_first_parameters() -> None:
    names = tuple(f"w{k}" for k in range(12))
    assert point(dict.fromkeys(names, 0.5), names).endswith("w7 0.5, …")


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize(
    "said",
    [searched([3.0]), searched([1.01]), searched([1.0]), searched([3.0], "unsure"), searched([], "time"), kept(0.2)],
)
def test_every_remark_is_said_in_both_languages_for_both_surfaces(said: Solution, lang: str) -> None:
    for one in examine(said):
        for surface in ("python", "cli"):
            text, remedy = worded(one, lang, surface)  # type: ignore[arg-type]
            assert text
            assert (remedy is None) == (one.code == "START_WAS_KEPT")
            assert ("--" in str(remedy)) <= (surface == "cli"), remedy
        if lang == "en":
            assert messages.sentence(f"finding.{'.'.join(codes((one,)))}", **one.values) == one.text


def test_the_first_advice_after_one_start_that_was_asked_for_is_a_search() -> None:
    (one,) = examine(claim())
    assert "leave out starts=1" in str(one.remedy)
    assert "leave out --starts 1" in str(worded(one, "en", "cli")[1])
    assert "--starts 1" in str(worded(one, "ja", "cli")[1])
    for other in (claim(solver="lbfgs"), claim(kind="function")):  # these are never searched
        assert not one_start_asked_for(other)
        (note,) = examine(other)
        assert "starts=1" not in str(note.remedy)
    assert SEARCHED == searching.MANY


def test_a_best_minimum_that_was_reached_once_is_said_where_the_loss_falls_without_end_as_well() -> None:
    said = searched([], "unbounded")
    once = replace(said.search.minima[0], reached=1)  # type: ignore[union-attr]
    said = replace(said, search=replace(said.search, starts=32, minima=(once,)))  # type: ignore[type-var]
    found = examine(said)
    assert codes(found) == ["SEVERAL_MINIMA.unsure", "SEVERAL_MINIMA.unbounded"]
    assert "--starts 256" in str(worded(found[0], "en", "cli")[1])


def test_a_start_of_many_parameters_is_not_advised() -> None:
    names = tuple(f"w{k}" for k in range(12))
    for one in (kept(0.25), searched([1.01])):
        search = one.search
        assert search is not None
        minima = tuple(replace(each, params=dict.fromkeys(names, 0.5)) for each in search.minima)
        given = search.given and replace(search.given, params=dict.fromkeys(names, 0.7))
        long = replace(one, search=replace(search, minima=minima, given=given), free=names, n=40, dof=28)
        for said in examine(long):
            if said.code in {"BETTER_MINIMUM", "SEVERAL_MINIMA"}:
                assert len(said.text) < 500
                for surface in ("python", "cli"):
                    remedy = str(worded(said, "en", surface)[1])  # type: ignore[arg-type]
                    assert "w0" not in remedy
                    assert len(remedy) < 120

"""Races that cannot be meant, that have no answer, or whose time is over: a sentence or a row, never a traceback."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

import katamuki as km

DATA = km.datasets("tutorial")
START = {"a": 0.5, "b": 0.5}

BAD: list[tuple[dict[str, Any], str]] = [
    ({"solvers": []}, "no lane to run"),
    ({"solvers": "adam"}, "solvers is one solver"),
    ({"solvers": km.Adam()}, "solvers is one solver"),
    ({"solvers": 3}, "must be a list of lanes"),
    ({"solvers": {"mine": "adam"}}, "must be a list of lanes"),
    ({"solvers": [("mine",)]}, "is no lane"),
    ({"solvers": [("", km.Adam())]}, "is no lane"),
    ({"solvers": ["newton"]}, "newton"),
    ({"solvers": [km.Adam]}, "Adam"),
    ({"solvers": [km.Adam(steps=7)]}, "one clock"),
    ({"steps": 0}, "at least 1"),
    ({"steps": 2.5}, "at least 1"),
    ({"steps": True}, "at least 1"),
    ({"tolerances": ()}, "above 0"),
    ({"tolerances": (0.1, -1.0)}, "above 0"),
    ({"tolerances": (math.nan,)}, "above 0"),
    ({"start": {"q": 1.0}}, "q"),
    ({"start": [1.0]}, "start"),
    ({"max_seconds": -1}, "max_seconds"),
]


@pytest.mark.parametrize(("options", "words"), BAD, ids=[words for _, words in BAD])
def test_bad_input_is_a_sentence(options: Mapping[str, Any], words: str) -> None:
    with pytest.raises(km.BoundsError) as caught:
        km.race("y ~ a*x + b", DATA, **{"steps": 5, **options})
    assert words in str(caught.value)


def test_a_network_is_no_model_for_a_race() -> None:
    import torch

    with pytest.raises(km.BackendError, match="Linear"):
        km.race(torch.nn.Linear(1, 1), DATA, ["adam"], steps=3)


def test_the_closed_form_is_no_lane_for_a_nonlinear_formula() -> None:
    with pytest.raises(km.BoundsError, match="linear"):
        km.race("y ~ a*exp(b*x)", DATA, ["linear"], start={"a": 4.0, "b": 0.1})


def test_without_one_answer_there_is_no_race() -> None:
    with pytest.raises(km.NotConverged, match="a and c cannot be told apart") as caught:
        km.race("y ~ (a + c)*x + b", DATA, ["adam"])
    assert caught.value.code == "E-IDENT"
    assert 'fixed={"c": 0}' in str(caught.value)


def test_a_start_without_a_value_is_the_error_of_fit() -> None:
    with pytest.raises(km.NotConverged) as caught:
        km.race("y ~ log(a*x) + b*c^x", DATA, ["adam"], start={"a": -1.0})
    assert caught.value.code == "E-DOMAIN"


def test_as_many_parameters_as_rows_still_race() -> None:
    race = km.race("y ~ a*x + b", {"x": [1.0, 2.0], "y": [3.0, 5.0]}, ["linear", "adam"], steps=10)
    assert race.answer.params == pytest.approx({"a": 2.0, "b": 1.0}, abs=1e-12)


def test_doubles_are_told_apart() -> None:
    race = km.race("y ~ a*x + b", DATA, ["adam", "adam", ("mine", "sgd"), ("mine", "adam")], steps=3)
    assert [str(one.label) for one in race.lanes] == ["Adam 0.001", "Adam 0.001 (2)", "mine", "mine (2)"]


def test_a_label_names_what_is_not_default() -> None:
    lanes = [km.SGD(lr=0.1, momentum=0.9, nesterov=True), km.Adam(betas=(0.8, 0.99)), "auto", "lm"]
    race = km.race("y ~ a*x + b", DATA, lanes, steps=3)
    assert [str(one.label) for one in race.lanes] == [
        "SGD 0.1 momentum 0.9 nesterov",
        "Adam 0.001 betas 0.8/0.99",
        "closed form",
        "Levenberg–Marquardt",
    ]


# --- time and Ctrl-C -----------------------------------------------------------------------------------------------


def test_lanes_whose_time_is_over_are_rows_that_say_so() -> None:
    race = km.race("y ~ a*x + b", DATA, ["adam", "sgd"], steps=10**9, max_seconds=1.0)
    assert [lane.ending for lane in race.lanes] == ["cut", "cut"]  # they share the time
    assert all(0 < lane.steps < 10**9 for lane in race.lanes)


def test_a_lane_whose_turn_never_came_says_so() -> None:
    race = km.race("y ~ a*x + b", DATA, ["linear", "adam", "lm"], steps=5, max_seconds=1e-9)
    assert [lane.ending for lane in race.lanes] == ["exact", "waiting", "waiting"]
    assert "the time was over" in str(race.lanes[1].remark)


def test_ctrl_c_leaves_the_lanes_that_were_through() -> None:
    def stop(step: int, loss: float) -> None:
        if loss > 1.26:  # not the closed form
            raise KeyboardInterrupt

    with pytest.raises(km.NotConverged) as caught:
        km.race("y ~ a*x + b", DATA, ["linear", "adam", "sgd"], start=START, progress=stop)
    assert caught.value.code == "E-INTERRUPTED"
    left = caught.value.race
    assert isinstance(left, km.Race)
    assert [str(lane.label) for lane in left.lanes] == ["closed form"]

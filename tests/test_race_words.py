"""A race as text, JSON, HTML and picture: 80 columns, one schema, nothing unescaped, a line for each lane."""

from __future__ import annotations

import json
from importlib.resources import files

import fastjsonschema
import numpy as np
import pytest

import katamuki as km
from katamuki.plot import racing
from katamuki.records import Lane
from katamuki.report.numbers import width

DATA = km.datasets("tutorial")
START = {"a": 0.5, "b": 0.5}
VALIDATE = fastjsonschema.compile(
    json.loads(files("katamuki.report").joinpath("race_schema.json").read_text(encoding="utf-8"))
)


@pytest.fixture(scope="module")
def tutorial() -> km.Race:
    """A race with lanes of every kind of ending."""
    lanes = [
        "linear",
        ("best momentum", km.SGD(lr=0.0203407988, momentum=0.8713534925)),
        ("Adagrad", km.Adagrad(lr=0.5)),
        ("RMSprop", km.RMSprop(lr=0.001)),
        ("Adam 0.01", km.Adam(lr=0.01)),
        ("descent 0.0109", km.SGD(lr=0.0109)),
        ("short", km.SGD(lr=1e-6)),
    ]
    return km.race("y ~ a*x + b", DATA, lanes, start=START)


@pytest.fixture(scope="module")
def usual() -> km.Race:
    """The default lanes on the tutorial."""
    return km.race("y ~ a*x + b", DATA, start=START)


def lane_of(race: km.Race, label: str) -> Lane:
    """The lane of a label."""
    return next(lane for lane in race.lanes if str(lane.label) == label)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_table_fits_80_columns(tutorial: km.Race, usual: km.Race, lang: str) -> None:
    for race in (tutorial, usual):
        text = race.text(lang)
        assert max(map(width, text.split("\n"))) <= 80
        assert "−0 " not in text


def test_numbers_do_not_depend_on_the_language(tutorial: km.Race) -> None:
    rows = [[line for line in tutorial.text(lang).split("\n") if line.startswith("Adagrad")] for lang in ("en", "ja")]
    assert rows[0][0].split() == rows[1][0].split()


def test_long_labels_and_many_tolerances_are_wrapped() -> None:
    lanes = [("a label that goes on and on and on, far beyond what a table can hold in one row", "adam")]
    near = [10.0**-k for k in range(1, 8)]
    race = km.race("y ~ a*x + b", DATA, lanes, steps=5, tolerances=near)
    assert max(map(width, str(race).split("\n"))) <= 80


def test_the_dictionary_obeys_its_schema(tutorial: km.Race) -> None:
    told = tutorial.to_dict(tutorial.check())
    VALIDATE(told)
    again = json.loads(json.dumps(told, allow_nan=False))
    assert again == told
    lane = next(one for one in told["lanes"] if one["label"] == "RMSprop")
    assert lane["solver"] == {"name": "rmsprop", "options": {**lane["solver"]["options"], "lr": 0.001, "steps": 20_000}}
    lane["reached"][0]["kind"] = "perhaps"
    with pytest.raises(fastjsonschema.JsonSchemaException):
        VALIDATE(told)


def test_html_escapes_what_a_user_wrote() -> None:
    race = km.race("y ~ a*x + b", DATA, [("<script>", "adam")], steps=3)
    shown = race._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert repr(race) == "<Race 'y ~ a*x + b': 1 lanes, 3 steps>"


def test_the_picture_has_a_line_for_each_lane(tutorial: km.Race) -> None:
    (axes,) = tutorial.plot().axes
    lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    for line, lane in zip(lines, tutorial.lanes, strict=True):
        drawn = len(line.get_xdata()) > 0
        assert drawn is (lane.ending != "exact")
        assert line.get_label() == str(lane.label) if drawn else "no curve" in str(line.get_label())
    assert axes.get_xscale() == axes.get_yscale() == "log"
    line = next(line for line in lines if line.get_label() == "Adagrad")
    lane = lane_of(tutorial, "Adagrad")
    there = dict(zip(lane.path.tolist(), lane.errors.tolist(), strict=True))
    for step, error in zip(line.get_xdata(), line.get_ydata(), strict=True):  # each point is one of the run
        assert error == max(there[int(step)], axes.get_ylim()[0])
    assert line.get_xdata()[0] == 1
    assert line.get_xdata()[-1] == lane.path[-1]


def test_no_two_curves_look_alike(tutorial: km.Race) -> None:
    # the tenth lane used to have the first one's colour
    assert len({racing.style(k) for k in range(60)}) == 60
    (axes,) = tutorial.plot().axes
    lines = [one for one in axes.get_lines() if len(one.get_xdata()) and not str(one.get_label()).startswith("_")]
    assert len({(one.get_color(), str(one.get_linestyle())) for one in lines}) == len(lines)


def test_the_heights_of_a_burst_are_kept_and_its_line_is_thin() -> None:
    rng = np.random.default_rng(7)
    path = np.arange(1, 5001)
    errors = np.where(path < 1000, 10.0 / path**2, 10.0 ** rng.uniform(-8, -1, 5000))
    rows, bars = racing.outlined(path, errors, 5000)
    assert (np.diff(rows) > 0).all()
    assert (rows[0], rows[-1]) == (0, 4999)
    assert len(rows) <= racing.STRETCHES + 2
    place = np.floor(np.log(path) * (racing.STRETCHES / np.log(5000)))
    for one in np.unique(place):
        inside = np.flatnonzero(place == one)
        assert errors[inside].max() in errors[rows]
        if one > place[1000] and len(inside) >= 12:  # few heights may rise or fall alone
            assert any(low == errors[inside].min() and high == errors[inside].max() for _, low, high in bars)
    assert bars[:, 0].min() >= 990  # nothing of the calm part

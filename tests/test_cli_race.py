"""``katamuki race`` end to end: the table, JSON, CSV, the picture, and what goes wrong."""

from __future__ import annotations

import csv
import io
import json
import re
from importlib.resources import files
from pathlib import Path

import fastjsonschema
import pytest

import katamuki as km
from command_line import Command, expected
from katamuki.report.numbers import width

LINE = ["y ~ a*x + b", "tutorial.csv", "--start", "a=0.5,b=0.5"]
VALIDATE = fastjsonschema.compile(
    json.loads(files("katamuki.report").joinpath("race_schema.json").read_text(encoding="utf-8"))
)
# what rounding decides: the last digits of ends, the last burst, the first step of the cycle
NOISE = re.compile(
    r"ends (\S+ away|at the answer)|(?<=step )\d+(?= *\d* *,)|(?<=again at step )[\d ]+|(?<=bursts: )\S+"
)


def masked(text: str) -> str:
    """The table without what differs from machine to machine."""
    joined = re.sub(r"\n    (?=again|the |loss |must )", " ", text)
    return re.sub(r"checked[\s\S]*", "", NOISE.sub("N", joined))


def test_the_table_of_the_usual_lanes_is_what_was_looked_at(command: Command) -> None:
    done = command("race", *LINE)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert max(map(width, done.stdout.split("\n"))) <= 80
    assert "checked  PASS" in done.stdout
    expected("race.txt", masked(done.stdout))


def test_a_wrong_number_of_steps_would_be_noticed(command: Command) -> None:
    text = masked(command("race", *LINE).stdout)
    assert masked(text.replace("6272", "6273")) != text != ""


def test_lanes_are_those_that_were_asked_for(command: Command) -> None:
    lanes = ["--solver", "sgd:lr=0.01,momentum=0.9", "--solver", "adam", "--solver", "adam"]
    done = command("race", *LINE, *lanes, "--csv", "--steps", "600")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["lane"] for row in rows] == ["SGD 0.01 momentum 0.9", "Adam 0.001", "Adam 0.001 (2)"]
    assert [rows[0][f"below_1e-{k}"] for k in (1, 2, 3, 6)] == ["122", "197", "272", "496"]
    assert rows[1]["below_1e-1"] == "never"
    quiet = command("race", *LINE, *lanes, "--csv", "--steps", "600", "--quiet").stdout
    assert quiet == done.stdout.split("\n", 1)[1]


def test_the_json_obeys_its_schema_in_both_languages(command: Command) -> None:
    told = [json.loads(command("race", *LINE, "--json", "--lang", lang).stdout) for lang in ("en", "ja")]
    for one in told:
        VALIDATE(one)
        assert one["check"]["verdict"] == "PASS"
    reached = [[lane["reached"] for lane in one["lanes"]] for one in told]
    assert reached[0] == reached[1]
    assert told[0]["lanes"][0]["label"] != told[1]["lanes"][0]["label"]


def test_the_picture_goes_into_the_file(command: Command, tmp_path: Path) -> None:
    lanes = ["--solver", "adam", "--solver", "lbfgs", "--steps", "50"]
    done = command("race", *LINE, *lanes, "-o", "race.svg", "--quiet")
    assert done.returncode == 0
    assert done.stdout == ""
    text = (tmp_path / "race.svg").read_text(encoding="utf-8")
    assert "Adam 0.001" in text
    command("race", *LINE, *lanes, "-o", "again.svg", "--quiet")
    assert (tmp_path / "again.svg").read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("given", "exit_code", "words"),
    [
        (["y ~ (a + c)*x + b", "tutorial.csv"], 5, ["a and c cannot be told apart", "--fix c=0", "[E-IDENT]"]),
        (["y ~ a*x + b", "tutorail.csv"], 3, ["tutorial.csv", "[E-FILE]"]),
        (["y ~ a*x +", "tutorial.csv"], 4, ["^", "[E-SYNTAX]"]),
        ([*LINE, "--solver", "linear:lr=1"], 2, ["linear has no option", "[E-USAGE]"]),
        ([*LINE, "--solver", "muon"], 2, ["Muon", "[E-USAGE]"]),
        ([*LINE, "--solver", "adam:steps=7"], 2, ["one clock", "--steps 7"]),
        ([*LINE, "--steps", "0"], 2, ["at least 1", "--steps 20000"]),
        (["y ~ a*exp(b*x)", "tutorial.csv", "--solver", "linear"], 2, ["linear", "[E-USAGE]"]),
        (["y ~ a*log(x-20) + b", "tutorial.csv"], 5, ["log(x-20)", "[E-DOMAIN]"]),
    ],
)
def test_what_goes_wrong_is_a_sentence(command: Command, given: list[str], exit_code: int, words: list[str]) -> None:
    done = command("race", *given)
    assert done.returncode == exit_code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_a_lane_that_diverges_is_a_row_and_exit_code_0(command: Command) -> None:
    done = command("race", *LINE, "--solver", "sgd:lr=0.0109", "--solver", "sgd:lr=0.0108")
    assert done.returncode == 0
    assert "diverged" in done.stdout
    assert "0.010882" in done.stdout


def test_ctrl_c_prints_the_lanes_that_were_through(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    real = km.race

    def stop(step: int, loss: float) -> None:
        if loss > 1.26:
            raise KeyboardInterrupt

    def stopped(*given: object, **options: object) -> object:
        return real(*given, **{**options, "progress": stop})  # type: ignore[arg-type]

    monkeypatch.setattr(km, "race", stopped)
    done = command("race", *LINE)
    assert done.returncode == 130
    assert "closed form" in done.stdout
    assert "Adam" not in done.stdout
    assert "[E-INTERRUPTED]" in done.stderr

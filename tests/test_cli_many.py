"""``katamuki many`` end to end: the summary, the first rows, CSV, JSON, files, mistakes and exit codes."""

from __future__ import annotations

import csv
import io
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import fastjsonschema
import numpy as np
import pyarrow.parquet as pq
import pytest

import katamuki as km
from command_line import Command, expected
from katamuki.report.numbers import width
from languages import english
from wells import DECAY, TIMES, decays, long

VALIDATE = fastjsonschema.compile(
    json.loads(files("katamuki.report").joinpath("many_schema.json").read_text(encoding="utf-8"))
)
SPEED = re.compile(r"\d[\d ]*(\.\d+)? m?s +\d[\d .]* curves? a second")
WELLS = [f"{row}{column}" for row in "ABC" for column in range(1, 5)]


def masked(text: str) -> str:
    """The summary without its speed and the digits that are shared."""
    return re.sub(r"agree to [\d.]+ digits", "agree to N digits", SPEED.sub("T", text))


@pytest.fixture
def plate(table: Path) -> Path:
    """Twelve wells in a file: B2 lacks a value, of C1 there are two rows, C4 has a reading that is far off."""
    rows = long(decays(len(WELLS), seed=6), TIMES, "t")
    rows["well"] = np.repeat(WELLS, len(TIMES))
    rows["y"] = rows["y"].round(4)
    rows["y"][11 * len(TIMES) + 3] += 1.0
    cells = [[str(one) for one in row] for row in zip(*rows.values(), strict=True)]
    cells[5 * len(TIMES) + 2][2] = ""
    kept = [row for row in cells if row[0] != "C1"] + [row for row in cells if row[0] == "C1"][:2]
    path = table.parent / "plate.csv"
    path.write_text("well,t,y\n" + "".join(",".join(row) + "\n" for row in kept))
    return path


LINE = ["many", DECAY, "plate.csv", "--by", "well"]


def test_the_summary_and_the_first_rows_are_what_was_looked_at(plate: Path, command: Command) -> None:
    done = command(*LINE)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert max(map(width, done.stdout.split("\n"))) <= 80
    expected("many.txt", masked(done.stdout))


def test_another_number_would_be_noticed(plate: Path, command: Command) -> None:
    text = masked(command(*LINE).stdout)
    assert masked(text.replace("MISSING      ", "EMPTY        ")) != text
    assert "T" in text


def test_japanese_says_the_same_numbers(plate: Path, command: Command) -> None:
    told, japanese = command(*LINE).stdout, command(*LINE, "--lang", "ja").stdout
    assert max(map(width, japanese.split("\n"))) <= 80
    names = {"plate", "csv", "well", "exp", "many", "verdict", "code", "look", "good", "failed"}
    names |= {"INFLUENTIAL", "MISSING", "OUTLIERS", "TOOFEW"}
    assert english(japanese, names) == set()
    for name in "abc":
        row = re.search(rf"^  {name} .*", told, re.MULTILINE)
        assert row is not None
        assert row[0].split() in [line.split() for line in japanese.split("\n")]


def test_csv_is_the_whole_table(plate: Path, command: Command) -> None:
    done = command(*LINE, "--csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    many = km.fit_many(DECAY, plate, by="well", check=0)
    assert [row["well"] for row in rows] == many.column("well").to_pylist()
    assert list(rows[0]) == list(many.names)
    for row, true in zip(rows, many.table.to_pylist(), strict=True):
        assert (row["a"], row["_code"]) == ("" if true["a"] is None else repr(true["a"]), true["_code"])
    assert command(*LINE, "--csv", "--quiet").stdout == done.stdout.split("\n", 1)[1]


def test_the_json_obeys_its_schema_in_both_languages(plate: Path, command: Command) -> None:
    for lang in ("en", "ja"):
        told = json.loads(command(*LINE, "--json", "--lang", lang).stdout)
        VALIDATE(told)
        assert told["verdicts"] == {
            "good": 12 - told["verdicts"]["look"] - 2,
            "look": told["verdicts"]["look"],
            "failed": 2,
        }
        assert {one["code"]: one["keys"] for one in told["codes"]}["MISSING"] == [["B2"]]
        assert told["check"]["agree"] == told["check"]["curves"] == 10
    with pytest.raises(fastjsonschema.JsonSchemaException):
        VALIDATE({**told, "ending": "over"})


def test_a_file_holds_the_table_and_nothing_is_replaced_unasked(plate: Path, command: Command) -> None:
    done = command(*LINE, "-o", "fits.parquet")
    assert done.returncode == 0
    assert "and 7 rows more" not in done.stdout
    table = pq.read_table("fits.parquet")
    assert table.column("well").to_pylist() == km.fit_many(DECAY, plate, by="well", check=0).column("well").to_pylist()
    again = command(*LINE, "-o", "fits.parquet")
    assert (again.returncode, "--force" in again.stderr) == (2, True)
    assert command(*LINE, "-o", "fits.parquet", "--resume", "--quiet").returncode == 0
    assert command(*LINE, "-o", "fits.parquet", "--force", "--check", "0", "--quiet").stdout == ""


def test_flags_reach_the_fits(plate: Path, command: Command) -> None:
    given = ["--fix", "c=0.2", "--start", "b=0.5", "--bounds", "a=0:3", "--where", "t < 9", "--missing", "drop",
             "--sigma", "0.03", "--sigma-is", "known", "--seed", "3", "--starts", "4", "--threads", "1",
             "--max-memory", "1GB", "--csv"]  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(command(*LINE, *given).stdout)))
    assert {row["c"] for row in rows} == {"0.2"}
    assert max(float(row["a"]) for row in rows) == 3.0
    assert [row["_n"] for row in rows if row["well"] in ("A1", "B2")] == ["7", "6"]
    two = ["many", "y ~ a*x", "keys.csv", "--by", "p,q", "--csv"]
    Path("keys.csv").write_text("p,q,x,y\n1,a,1,2\n1,a,2,4.1\n2,a,1,3\n2,a,2,6.2\n")
    assert [row["p"] for row in csv.DictReader(io.StringIO(command(*two).stdout))] == ["1", "2"]


def test_strict_is_an_exit_code_of_its_own(plate: Path, command: Command) -> None:
    done = command(*LINE, "--strict", "--quiet")
    assert done.returncode == 5
    assert "failed [E-STRICT]" in done.stderr
    assert command("many", "y ~ a", "plate.csv", "--by", "well", "--where", "well != 'B2'", "--strict").returncode in (
        0,
        5,
    )


def test_a_contradicted_table_is_exit_code_six(plate: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from katamuki.many import engine

    true = engine.fit_curves

    def shifted(task: Any, curves: Any, threads: int | None = None) -> Any:
        found = true(task, curves, threads)
        found.values[:, 0] *= 1.001
        return found

    monkeypatch.setattr(engine, "fit_curves", shifted)
    done = command(*LINE, "--check", "3")
    assert done.returncode == 6
    assert "E-CHECK" in done.stderr
    assert "3 curves checked again: 0 agree" in done.stdout


MISTAKES = [
    (["many", DECAY, "plate.csv"], 2, "--by COLUMN"),
    (["many", DECAY, "plate.csv", "--by", "wel"], 3, "nearest: well"),
    (["many", DECAY, "plate.csv", "--by", "well,well"], 2, "twice"),
    (["many", DECAY, "plate.csv", "--by", ","], 2, "E-BY"),
    (["many", "y ~ a*well + t*b", "plate.csv", "--by", "well"], 2, "tells curves apart"),
    (["many", "y ~ _a*t + b", "plate.csv", "--by", "well"], 4, "underscore"),
    (["many", "y ~ a*t + a_stderr", "plate.csv", "--by", "well"], 4, "two columns a_stderr"),
    (["many", "y ~ a*(t > q) + b*t", "plate.csv", "--by", "well"], 4, "jumps"),
    (["many", DECAY, "plate.csv", "--by", "well", "--json", "--csv"], 2, "--csv"),
    (["many", DECAY, "plate.csv", "--by", "well", "--csv", "-o", "x.csv"], 2, "--output"),
    (["many", DECAY, "plate.csv", "--by", "well", "-o", "x.xlsx"], 2, "suffix"),
    (["many", DECAY, "plate.csv", "--by", "well", "--resume"], 2, "-o fits.parquet"),
    (["many", DECAY, "plate.csv", "--by", "well", "--check", "some"], 2, "--check"),
    (["many", DECAY, "plate.csv", "--by", "well", "--solver", "lm"], 2, "--solver"),
    (["many", DECAY, "none.csv", "--by", "well"], 3, "none.csv"),
    (["many", "y ~ a*exp(-b*t", "plate.csv", "--by", "well"], 4, "^"),
]


@pytest.mark.parametrize(("given", "code", "said"), MISTAKES, ids=[" ".join(one[0][1:]) for one in MISTAKES])
def test_a_mistake_is_one_sentence_with_a_way_out(
    plate: Path, command: Command, given: list[str], code: int, said: str
) -> None:
    done = command(*given)
    assert done.returncode == code, done.stderr
    assert said in done.stderr, done.stderr
    assert done.stdout == ""
    japanese = command(*given, "--lang", "ja")
    assert (japanese.returncode, japanese.stdout) == (code, "")


PYTHON: list[tuple[dict[str, Any], str]] = [
    ({"data": {"x": [1.0, 2.0], "y": [1.0, 2.0]}}, "E-BY"),
    ({"data": {"x": [1.0, 2.0], "y": [[1.0, 2.0]]}, "by": "x"}, "E-BY"),
    ({"data": {"x": [1.0, 2.0], "y": [[1.0, 2.0]]}, "where": "x > 1"}, "E-USAGE"),
    ({"data": {"x": [1.0, 2.0, 3.0], "y": [[1.0, 2.0]]}}, "E-SHAPE"),
    ({"data": {"x": [1.0, 2.0], "y": [[1.0, 2.0], [1.0]]}}, "E-SHAPE"),
    ({"data": {"x": [1.0, 2.0], "y": [1.0, 2.0], "k": [1]}, "by": "k"}, "E-LENGTH"),
    ({"data": {"x": [1.0, 2.0], "y": [1.0, 2.0], "k": [[1], [2]]}, "by": "k"}, "E-BY"),
    ({"data": {"x": [1.0, 2.0], "y": [1.0, 2.0], "k": [1, "a"]}, "by": "k"}, "E-KEY"),
    ({"data": {"x": [1.0, 2.0], "y": [1.0, 2.0], "k": [1, 2]}, "by": "k", "check": -1}, "E-USAGE"),
    ({"data": {"x": [1.0, 2.0], "y": [1.0, 2.0], "k": [1, 2]}, "by": "k", "missing": "keep"}, "E-USAGE"),
    ({"data": {"x": [1.0, 2.0], "y": [1.0, 2.0], "k": [1, 2]}, "by": "k", "sigma": 0.1}, "E-SIGMA"),
    ({"data": {"x": [1.0, 2.0], "y": [1.0, 2.0], "k": [1, 2]}, "by": "k", "weights": -1.0}, "E-SIGMA"),
    ({"data": {"x": [1.0, 2.0], "y": [1.0, 2.0], "k": [1, 2]}, "by": 3}, "E-BY"),
    ({"data": {"x": [], "y": [], "k": []}, "by": "k"}, "E-EMPTY"),
    ({"data": {"x": [1.0], "y": [1.0], "k": [1]}, "by": "k", "where": "x > 4"}, "E-EMPTY"),
    ({"data": 7, "by": "k"}, "E-DATA"),
]


@pytest.mark.parametrize(("given", "code"), PYTHON, ids=[str(k) for k in range(len(PYTHON))])
def test_a_mistake_in_python_is_one_sentence_with_a_way_out(given: dict[str, Any], code: str) -> None:
    with pytest.raises(km.KatamukiError) as caught:
        km.fit_many("y ~ a*x", **given)
    assert caught.value.code == code, str(caught.value)
    assert caught.value.render("ja") != caught.value.render("en")

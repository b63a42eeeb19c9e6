"""The command line end to end: what it prints, where, and with which exit code.

``tests/expected`` holds what was printed once and looked at; numbers that depend on the machine (times, rounding at
the last digit) are masked. ``KATAMUKI_EXPECTED=write`` writes the files anew.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import fastjsonschema
import numpy as np
import pytest

import katamuki as km
from command_line import ERROR, HERE, RMSPROP, SCHEMA, Command, expected, masked, run

VALIDATE = fastjsonschema.compile(SCHEMA)
TUTORIAL = files("katamuki.data").joinpath("sets/tutorial.csv").read_text()
A, B = 55.01 / 110, 82.51 / 11 - 9 * 55.01 / 110  # the normal equations of Anscombe's first set


# --- what is printed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("fit_line.txt", ["fit", "y ~ a*x + b", "tutorial.csv"]),
        ("fit_line_plot.txt", ["fit", "y = a*x + b", "tutorial.csv", "--plot"]),
        ("fit_nonlinear.txt", ["fit", "y ~ a*exp(b*x)", "tutorial.csv", "--start", "a=4,b=0.1"]),
        ("fit_searched.txt", ["fit", "y ~ a*exp(b*x)", "tutorial.csv"]),
        ("fit_bounds.txt", ["fit", "y ~ a*x + b", "tutorial.csv", "--bounds", "a=0:0.4"]),
        ("fit_fixed.txt", ["fit", "y ~ a*x + b", "tutorial.csv", "--fix", "b=3"]),
        ("fit_sigma.txt", ["fit", "y ~ a*x + b", "tutorial.csv", "--sigma", "1.2", "--sigma-is", "known"]),
        ("fit_where.txt", ["fit", "y ~ a*x + b", "tutorial.csv", "--where", "x > 5"]),
        ("check_line.txt", ["check", "y ~ a*x + b", "tutorial.csv"]),
        ("plot_line.txt", ["plot", "y ~ a*x + b", "tutorial.csv"]),
    ],
)
def test_what_is_printed_is_what_was_looked_at(command: Command, name: str, given: list[str]) -> None:
    done = command(*given)
    code, out, err = done.returncode, done.stdout, done.stderr
    assert code == 0, err
    assert max(map(len, out.split("\n"))) <= 80
    expected(name, out)


def test_a_golden_file_notices_a_wrong_digit() -> None:
    text = (HERE / "expected" / "fit_line.txt").read_text(encoding="utf-8")
    assert "0.500091" in text
    assert masked(text.replace("0.500091", "0.500092")) != text


def test_the_tutorial_s_run_is_a_cycle_of_two_points_and_exits_0(command: Command) -> None:
    done = command("fit", "y ~ a*x + b", "tutorial.csv", *RMSPROP)
    assert done.returncode == 0, done.stderr
    text = done.stdout
    assert "not converged: a cycle of two points since step" in text
    since = int(re.search(r"since step (\d+)", text)[1])  # type: ignore[index]
    assert abs(since - 3419) <= 20
    assert "a 0.499591 <-> 0.500591   b 2.999591 <-> 3.000591   middle 0.500091 3.000091" in text
    assert "1.251154" in text
    assert "110·(lr/2)² = 2.75e−05" in text
    assert "checked  PASS" in text
    assert max(map(len, text.split("\n"))) <= 80
    assert command("fit", "y ~ a*x + b", "tutorial.csv", *RMSPROP, "--strict").returncode == 5


def test_the_run_s_json_holds_the_cycle_and_the_pair(command: Command) -> None:
    done = command("fit", "y ~ a*x + b", "tutorial.csv", *RMSPROP, "--json")
    told = json.loads(done.stdout)
    VALIDATE(told)
    cycle = told["state"]["cycle"]
    for name, best in (("a", A), ("b", B)):
        assert abs(cycle["middle"][name] - best) < 1e-9
        assert abs(cycle["half_width"][name] - 0.0005) < 1e-9
        assert min(abs(told["params"][name]["value"] - best - half) for half in (-0.0005, 0.0005)) < 1e-9
    assert "warning:" in done.stderr


def test_the_trace_is_the_table_of_the_tutorial(command: Command) -> None:
    done = command("trace", "y ~ a*x + b", "tutorial.csv", *RMSPROP, "--every", "geometric")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["step"] for row in rows] == ["1", "2", "10", "100", "1000", "6000", ""]
    assert list(rows[0]) == ["step", "loss", "a", "b", "grad_a", "grad_b"]
    told = [[float(row[name]) for name in list(rows[0])[1:]] for row in rows[:5]]
    known = [  # PyTorch 2.13, float64
        [7.505700, 0.500000, 0.500000, -45.01818, -5.00182],
        [7.016500, 0.510000, 0.510000, -43.01818, -4.80182],
        [5.460662, 0.545399, 0.545619, -35.93443, -4.09340],
        [2.297513, 0.660662, 0.666960, -12.77242, -1.77598],
        [1.549429, 0.663149, 1.352581, 0.02136, -0.35998],
    ]
    np.testing.assert_allclose(told, known, rtol=0, atol=6e-6)


def test_a_full_trace_keeps_every_bit(command: Command) -> None:
    done = command("trace", "y ~ a*x + b", "tutorial.csv", *RMSPROP[:-2], "--full", "--start", "a=0.5,b=0.5")
    rows = list(csv.reader(io.StringIO(done.stdout)))[1:]
    data = {"x": km.datasets("tutorial")["x"], "y": km.datasets("tutorial")["y"]}
    with pytest.warns(km.FitWarning):
        fit = km.fit("y ~ a*x + b", data, solver=km.RMSprop(lr=0.001, steps=6000), start={"a": 0.5, "b": 0.5})
    assert len(rows) == 6001
    np.testing.assert_array_equal([[float(row[2]), float(row[3])] for row in rows], fit.trace.params)


def test_the_trace_of_levenberg_marquardt_ends_at_the_answer_and_shows_its_damping(command: Command) -> None:
    done = command("trace", "y ~ a*exp(b*x)", "tutorial.csv", "--start", "a=4,b=0.1", "--full")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    fit = km.fit("y ~ a*exp(b*x)", km.datasets("tutorial"), start={"a": 4, "b": 0.1})
    assert {name: float(rows[-1][name]) for name in "ab"} == fit.params
    assert [float(rows[0][name]) for name in "ab"] == [4.0, 0.1]
    assert {row["accepted"] for row in rows} <= {"0", "1"}
    assert float(rows[0]["damping"]) > 0


def test_every_nth_step_and_json_lines(command: Command) -> None:
    done = command("trace", "y ~ a*x + b", "tutorial.csv", *RMSPROP, "--every", "2000", "--json")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["step"] for one in told] == [1, 2001, 4001, 6000, None]
    assert told[0]["params"] == {"a": 0.5, "b": 0.5}


def test_the_pipe_of_the_readme_prints_the_object(table: Path) -> None:
    done = run("fit", "y ~ a*x + b", "--json", text=run("data", "tutorial").stdout)
    told = json.loads(done.stdout)
    VALIDATE(told)
    assert abs(told["params"]["a"]["value"] / 0.5000909090909091 - 1) < 1e-14
    assert told["check"]["verdict"] == "PASS"
    assert done.returncode == 0


def test_built_in_data_are_printed_as_they_are_stored(command: Command) -> None:
    assert command("data", "tutorial").stdout == TUTORIAL
    assert "tutorial" in command("data").stdout
    wrong = command("data", "tutorail")
    assert wrong.returncode == 3
    assert "tutorial" in wrong.stderr


def test_csv_is_one_row_and_quiet_leaves_its_header_out(command: Command) -> None:
    done = command("fit", "y ~ a*x + b", "tutorial.csv", "--csv")
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert abs(float(row["a"]) / A - 1) < 1e-14
    assert row["check"] == "PASS"
    quiet = command("fit", "y ~ a*x + b", "tutorial.csv", "--csv", "--quiet")
    assert quiet.stdout == done.stdout.split("\n", 1)[1]


def test_predictions_and_their_band_agree_with_the_library(command: Command, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("x\n2\n20\n")
    saved = command("fit", "y ~ a*x + b", "tutorial.csv", "--save", "fit.json", "--quiet")
    assert saved.returncode == 0
    given = ["--at", "new.csv", "--interval", "new", "--level", "90%"]
    direct = command("predict", "y ~ a*x + b", "tutorial.csv", *given)
    loaded = command("predict", "fit.json", *given)
    assert direct.returncode == loaded.returncode == 0, direct.stderr + loaded.stderr
    assert direct.stdout == loaded.stdout
    rows = list(csv.DictReader(io.StringIO(direct.stdout)))
    band = km.fit("y ~ a*x + b", km.datasets("tutorial")).predict({"x": [2.0, 20.0]}, interval="new", level=0.9)
    assert [float(row["low"]) for row in rows] == list(band.low)
    assert [float(row["y"]) for row in rows] == list(band.value)


def test_a_prediction_beyond_the_fitted_range_is_said(command: Command, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("x\n5\n20\n")
    for more in ([], ["--interval", "mean"]):
        done = command("predict", "y ~ a*x + b", "tutorial.csv", "--at", "new.csv", *more)
        assert done.returncode == 0
        assert "1 of 2 rows lie outside the fitted range of x, 4 to 14 [EXTRAPOLATES]" in done.stderr
    assert command("predict", "y ~ a*x + b", "tutorial.csv").stderr == ""


def test_a_header_that_is_no_utf8_is_named_where_the_formula_needs_it(command: Command, tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("Größe,y\n1,2\n2,3\n3,5\n".encode("latin-1"))
    for formula in ("y ~ a*Größe + b", "Größe ~ a*y + b"):  # otherwise it would be a parameter
        done = command("fit", formula, "latin.csv")
        assert done.returncode == 3
        assert "latin.csv: byte 2 is not UTF-8" in done.stderr
        assert "try: save the file as UTF-8 [E-ENCODING]" in done.stderr
    assert command("fit", "y ~ µ", "tutorial.csv").returncode == 0


def test_a_start_that_led_nowhere_is_not_blamed_on_the_data_alone(command: Command, tmp_path: Path) -> None:
    rows = "".join(f"{t},{1000 / (1 + math.exp(-0.6 * (t - 9)))}\n" for t in range(21))
    (tmp_path / "logistic.csv").write_text("t,N\n" + rows)
    formula = "N = K/(1+exp(-r*(t-t0)))"
    done = command("fit", formula, "logistic.csv", "--starts", "1")
    assert done.returncode == 5
    assert "try: another --start, or --fix" in done.stderr
    assert "=0" not in done.stderr
    searched = command("fit", formula, "logistic.csv", "--quiet")
    assert (searched.returncode, searched.stdout[:7]) == (0, "K 1000."), searched.stderr


def test_a_picture_goes_into_the_file_that_is_named(command: Command, tmp_path: Path) -> None:
    assert command("plot", "y ~ a*x + b", "tutorial.csv", "-o", "fit.svg", "--interval", "new").returncode == 0
    assert "band of a new observation" in (tmp_path / "fit.svg").read_text(encoding="utf-8")
    wrong = command("plot", "y ~ a*x + b", "tutorial.csv", "-o", "fit.docx")
    assert wrong.returncode == 2
    assert ".svg" in wrong.stderr


# --- what goes wrong -----------------------------------------------------------------------------------------------

BAD = [  # the rows of the table of bad input: arguments, exit code, code, words
    (["y = a*x + b", "tutorail.csv"], 3, "E-FILE", ['no file "tutorail.csv"', "tutorial.csv"]),
    (["rate = a*temp + b", "rates.csv"], 3, "E-COLUMN", ['no column "rate"', "Temp, Rate", "Rate = a*Temp + b"]),
    (["y = 2x + b", "tutorial.csv"], 4, "E-SYNTAX", ["y = 2x + b", "^", 'a "*" is missing here', "2*x"]),
    (["y = a*ln(x) + b", "tutorial.csv"], 4, "E-FUNCTION", ['"ln"', "log(x)", "functions:"]),
    (["y = x + 1", "tutorial.csv"], 4, "E-NOPARAM", ["no parameters"]),
    (["y = a*x + b", "mixed.csv"], 3, "E-NUMBER", ["--decimal"]),
    (["y = a*x + b", "holes.csv"], 3, "E-MISSING", ["2 rows", "2", "3", "--missing drop"]),
    (["y = a*x + b", "one.csv"], 3, "E-TOOFEW", ["2", "1", "--fix b=0"]),
    (
        ["y = (a+c)*x + b", "tutorial.csv"],
        5,
        "E-IDENT",
        ["a and c cannot be told apart", "a + c = 0.500091", "--fix c=0"],
    ),
    (["y = a*log(x-20) + b", "tutorial.csv"], 5, "E-DOMAIN", ["log(x-20)", "11 rows", "x > 20", "4 to 14"]),
    (
        ["y = a*x + b", "tutorial.csv", "--solver", "sgd", "--lr", "0.011", "--start", "a=0.5,b=0.5"],
        5,
        "E-DIVERGED",
        ["diverged", "0.010882", "--lr"],
    ),
    (["y = a*x + b", "tutorial.csv", "--solver", "linear", "--lr", "0.1"], 2, "E-USAGE", ["--lr has no meaning"]),
    (
        ["y = a*x + b", "sigma.csv", "--sigma", "err", "--sigma-is", "known"],
        3,
        "E-SIGMA",
        ["row 3: sigma is 0", "must be > 0"],
    ),
    (["y = a*x + b", "sigma.csv", "--sigma", "err"], 3, "E-SIGMA", ["--sigma-is known or --sigma-is relative"]),
    (["y = a*x + b", "tutorial.csv", "--bounds", "a=1:0"], 2, "E-BOUNDS", ["lower bound of a"]),
    (["y = a*x + b", "tutorial.csv", "--start", "q=1"], 2, "E-NAME", ["q", "parameters: a, b"]),
    (["y = a*x + b", "."], 3, "E-EMPTY", ["empty.csv"]),  # a folder is all files in it
    (["y = a*x + b", "*.parquet"], 3, "E-FILE", ["no file matches", "rates.csv"]),
    (["y = a*x + b", "empty.csv"], 3, "E-EMPTY", []),
]


@pytest.fixture
def bad_files(table: Path, tmp_path: Path) -> None:
    """The files that the table of bad input names."""
    (tmp_path / "rates.csv").write_text("Temp,Rate\n1,2\n2,3\n3,5\n")
    (tmp_path / "mixed.csv").write_text("x;y\n1;2,5\n2;2.4\n3;3,5\n4;4,5\n")
    (tmp_path / "holes.csv").write_text("x,y\n1,2\n2,\n,3\n4,5\n5,5\n")
    (tmp_path / "one.csv").write_text("x,y\n1,2\n")
    (tmp_path / "sigma.csv").write_text("x,y,err\n1,2,1\n2,3,1\n3,5,0\n4,5,1\n")
    (tmp_path / "empty.csv").write_text("")


@pytest.mark.usefixtures("bad_files")
@pytest.mark.parametrize(("given", "exit_code", "code", "words"), BAD)
def test_bad_input_is_a_sentence_with_a_code_and_an_exit_code(
    command: Command, given: Sequence[str], exit_code: int, code: str, words: Sequence[str]
) -> None:
    err = (done := command("fit", *given)).stderr
    assert done.returncode == exit_code, err
    assert "Traceback" not in err
    assert f"[{code}]" in err
    for word in words:
        assert word in err
    err = (done := command("fit", *given, "--json")).stderr
    assert done.returncode == exit_code
    (line,) = [line for line in err.splitlines() if line.startswith("{")]
    ERROR(json.loads(line))
    assert json.loads(line)["code"] == code


def test_parameters_that_cannot_be_told_apart_are_reported_and_exit_with_5(command: Command) -> None:
    done = command("fit", "y = (a+c)*x + b", "tutorial.csv")
    assert done.returncode == 5
    line = next(line for line in done.stdout.split("\n") if line.startswith("  a "))
    assert "—" in line
    assert "3.000091" in done.stdout


def test_a_diverged_run_can_still_be_traced(command: Command) -> None:
    done = command("trace", "y ~ a*x + b", "tutorial.csv", "--solver", "sgd", "--lr", "0.011", "--start", "a=0.5,b=0.5")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 600
    assert "diverged" in done.stderr


def test_a_check_that_contradicts_exits_with_6(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from katamuki import check

    judge = check.judge

    def wrong(solution: km.records.Solution, *rest: object, **more: object) -> object:  # type: ignore[name-defined]
        return judge(replace(solution, params=solution.params | {"a": 0.6}), *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(check, "judge", wrong)
    done = command("fit", "y ~ a*x + b", "tutorial.csv")
    out, err = done.stdout, done.stderr
    assert done.returncode == 6
    assert "checked  FAIL" in out
    assert "0.500091" in out
    assert "[E-CHECK]" in err

"""``katamuki explain`` and ``export`` end to end: stories of runs and steps, pictures of them, programs that run."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import HERE, RMSPROP, Command, expected
from katamuki.report.numbers import width

LINE = ["y ~ a*x + b", "tutorial.csv"]
DIVERGED = ["--solver", "sgd", "--lr", "0.0109", "--start", "a=0.5,b=0.5"]


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("explain_run.txt", RMSPROP),
        ("explain_diverged.txt", DIVERGED),
        ("explain_closed_form.txt", []),
        ("explain_step.txt", [*RMSPROP, "--step", "1"]),
        ("explain_glance.txt", [*RMSPROP, "--step", "100", "--detail", "glance"]),
    ],
)
def test_stories_are_what_was_looked_at(command: Command, name: str, given: list[str]) -> None:
    done = command("explain", *LINE, *given)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert max(map(width, done.stdout.split("\n"))) <= 80
    expected(name, masked(done.stdout))


def masked(text: str) -> str:
    """A story without what rounding decides: the last point of the pair, when a zigzag is seen, sums of 0."""
    text = re.sub(r"agree to \S+", "agree to E", text)
    text = re.sub(r"are \S+ and \S+ \(0 up to rounding,\s+\S+\)", "are E and E (0 up to rounding)", text)
    text = re.sub(r"shares [\d.]+ digits", "shares N digits", text)
    text = re.sub(r"at 12\d\d( +a zigzag)|from 34\d\d( +a cycle)", r"N\1\2", text)
    return re.sub(r"result       a 0\.\d+  b \d\.\d+", "result       a A  b B", text)


def test_a_story_s_golden_file_notices_a_wrong_digit() -> None:
    text = (HERE / "expected" / "explain_step.txt").read_text(encoding="utf-8")
    assert "20.2664" in text
    assert masked(text.replace("20.2664", "20.2665")) != text


def test_the_tutorial_s_run_has_the_events_that_were_seen_in_pytorch(command: Command) -> None:
    text = command("explain", *LINE, *RMSPROP).stdout
    since = int(re.search(r"from (\d+) +a cycle of two points", text)[1])  # type: ignore[index]
    assert abs(since - 3419) <= 20
    for words in ("step 1 ", "7.505700", "to 312", "0.7195", "1183", "0.500091  3.000091", "condition number 844"):
        assert words in text, words


def test_a_formula_without_a_value_is_said_whatever_the_solver(command: Command) -> None:
    closed = command("explain", "y ~ a*log(x-20) + b", "tutorial.csv")
    assert closed.returncode == 5
    assert "log(x-20)" in closed.stderr
    stepped = command("explain", "y ~ a*log(x-20) + b", "tutorial.csv", "--solver", "adam")
    assert stepped.returncode == 0
    assert "log(x-20)" in stepped.stdout


def test_a_story_says_first_which_names_are_parameters(command: Command) -> None:
    # a mistyped column used to become a parameter in silence
    for given in ([], RMSPROP, [*RMSPROP, "--step", "1"], [*DIVERGED, "--lang", "ja"]):
        fit = command("fit", *LINE, *given[: given.index("--step") if "--step" in given else None])
        told = command("explain", *LINE, *given)
        first, empty = told.stdout.split("\n")[:2]
        assert first.startswith("y ~ a*x + b")
        assert not empty
        assert fit.stdout.split("\n")[0] in (first, "")  # the report of a run that diverged is none
    typed = command("explain", "y ~ a*speed + b", "tutorial.csv", *RMSPROP)
    assert typed.returncode == 3
    assert "columns of the data beside y: x" in typed.stderr
    told = command("explain", *LINE, "--json")
    assert json.loads(told.stdout)


def test_a_formula_that_loses_its_value_on_the_way_is_not_said_to_diverge(command: Command) -> None:
    # this used to add the growth of the loss, which was not what ended the run
    left = command("explain", "y ~ a*log(b-x)", "tutorial.csv", "--solver", "sgd", "--lr", "0.5", "--start", "b=30")
    assert "log(b-x) has no finite value in 9 of 11 rows" in left.stdout
    assert "diverged" not in left.stdout
    grew = command("explain", "y ~ a*x + b", "tutorial.csv", *DIVERGED)
    assert "diverged" in grew.stdout


@pytest.mark.parametrize("what", ["surface", "steps", "stability", "replay"])
def test_a_diverged_run_is_drawn_and_its_failure_said(command: Command, what: str) -> None:
    kind = ["-o", "run.html"] if what == "replay" else ["--what", what, "-o", "run.svg"]
    done = command("plot", *LINE, *DIVERGED, *kind)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("warning: diverged")
    as_fit = command("plot", *LINE, *DIVERGED, "-o", "fit.svg")
    assert as_fit.returncode == 5
    assert "E-DIVERGED" in as_fit.stderr
    never = command("plot", "y ~ a*log(b-x)", "tutorial.csv", "--solver", "sgd", *kind)
    assert never.returncode == 5
    assert "E-DOMAIN" in never.stderr


def test_quiet_gives_no_error_bars_to_a_run_that_ended_elsewhere(command: Command) -> None:
    for steps in ("500", "6000"):
        done = command("fit", *LINE, *RMSPROP[:-4], "--steps", steps, *RMSPROP[-2:], "--quiet")
        lines = done.stdout.splitlines()
        assert [len(line.split()) for line in lines] == [2, 2]
    there = command("fit", *LINE, "--quiet").stdout.splitlines()
    assert [line.split()[2] for line in there] == ["±", "±"]


def test_a_band_that_is_not_drawn_is_said(command: Command) -> None:
    for given, said in ((RMSPROP, True), ([], False)):
        done = command("plot", *LINE, *given, "--interval", "mean", "-o", "fit.svg")
        assert done.returncode == 0
        assert ("no band is drawn" in done.stderr) is said


def test_a_run_that_diverged_is_told_with_the_largest_safe_rate(command: Command) -> None:
    done = command("explain", *LINE, *DIVERGED)
    assert done.returncode == 0
    assert "diverged" in done.stdout
    assert "0.010882" in done.stdout
    assert command("fit", *LINE, *DIVERGED).returncode == 5  # the same run as a fit is a failure


def test_the_numbers_of_a_step_are_those_of_the_tutorial(command: Command) -> None:
    told = command("explain", *LINE, *RMSPROP, "--step", "1").stdout
    for number in ("−45.0182", "−5.00182", "20.2664", "0.250182", "−0.500200", "+0.011000", "−0.489200"):
        assert number in told, number


def test_the_json_of_a_step_holds_its_numbers(command: Command) -> None:
    done = command("explain", *LINE, *RMSPROP, "--step", "1", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["schema"].startswith("katamuki.step/")
    assert -45.018181818181816 in numbers_of(told)
    story = json.loads(command("explain", *LINE, *RMSPROP, "--json").stdout)
    assert story["schema"].startswith("katamuki.")


def numbers_of(found: object) -> set[float]:
    """Every number in a JSON value, to 13 digits of the gradient's size."""
    if isinstance(found, dict):
        return set().union(*map(numbers_of, found.values())) if found else set()
    if isinstance(found, list):
        return set().union(*map(numbers_of, found)) if found else set()
    if isinstance(found, float) and math.isclose(found, -45.018181818181816, rel_tol=1e-13):
        return {-45.018181818181816}
    return set()


def test_the_drawn_graph_goes_into_the_file_or_to_standard_output(command: Command, tmp_path: Path) -> None:
    step = [*LINE, *RMSPROP, "--step", "1", "--graph"]
    assert command("explain", *step, "-o", "step.svg").returncode == 0
    text = (tmp_path / "step.svg").read_text(encoding="utf-8")
    assert text.lstrip().startswith("<svg")
    assert command("explain", *step).stdout.strip() == text.strip()
    assert command("explain", *step, "--row", "2").stdout.strip() != text.strip()


def test_pytorch_s_own_graph_is_shown(command: Command) -> None:
    done = command("explain", *LINE, *RMSPROP, "--step", "1", "--autograd")
    assert done.returncode == 0, done.stderr
    assert "AddBackward0" in done.stdout
    assert max(map(width, done.stdout.split("\n"))) <= 80


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ([*RMSPROP, "--step", "0"], "E-STEP", "0"),
        ([*RMSPROP, "--step", "6001"], "E-STEP", "6000"),
        ([*RMSPROP, "--step", "-1"], "E-STEP", "1"),
        (["--step", "1"], "E-STEP", "closed form"),
        ([*RMSPROP, "--step", "1", "--row", "12"], "E-ROW", "11"),
        ([*RMSPROP, "--step", "1", "--row", "0"], "E-ROW", "1 to 11"),
    ],
)
def test_a_step_or_row_that_is_not_there_says_what_is(
    command: Command, given: list[str], code: str, words: str
) -> None:
    done = command("explain", *LINE, *given)
    assert done.returncode == 2
    assert f"[{code}]" in done.stderr
    assert words in done.stderr
    assert done.stdout == ""


def test_gradients_that_add_up_are_an_experiment_of_explain_and_fit(command: Command) -> None:
    rest = ["--solver", "sgd", "--lr", "0.001", "--steps", "3000", "--quiet"]
    left = command("fit", *LINE, *rest, "--no-zero-grad")
    momentum = command("fit", *LINE, "--solver", "sgd:momentum=1", *rest[2:])
    assert left.stdout == momentum.stdout
    assert "zero" in command("explain", *LINE, *rest[:-1], "--no-zero-grad").stdout
    refused = command("fit", *LINE, "--no-zero-grad")
    assert refused.returncode == 2, refused.stderr


def test_stories_are_told_in_japanese_with_the_same_numbers(command: Command) -> None:
    for given in (RMSPROP, DIVERGED, [*RMSPROP, "--step", "1"], []):
        told = command("explain", *LINE, *given, "--lang", "ja")
        assert told.returncode == 0
        assert max(map(width, told.stdout.split("\n"))) <= 80
        english = command("explain", *LINE, *given).stdout
        pattern = r"−?\d+\.\d{4,}"
        assert sorted(re.findall(pattern, told.stdout)) == sorted(re.findall(pattern, english))


@pytest.mark.parametrize("target", ["numpy", "scipy", "katamuki"])
def test_an_exported_program_runs_and_prints_the_answer(command: Command, tmp_path: Path, target: str) -> None:
    assert command("export", *LINE, "--to", target, "-o", "fit.py").returncode == 0
    assert command("export", *LINE, "--to", target).stdout == (tmp_path / "fit.py").read_text(encoding="utf-8")
    done = subprocess.run([sys.executable, "fit.py"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "a 0.500091" in done.stdout


def test_a_solver_that_the_library_lacks_is_named(command: Command) -> None:
    done = command("export", *LINE, *RMSPROP, "--to", "scipy")
    assert done.returncode == 2
    assert "[E-EXPORT]" in done.stderr


def test_pictures_of_the_run_go_into_files(command: Command, tmp_path: Path) -> None:
    for what in ("surface", "steps", "stability"):
        assert command("plot", *LINE, *RMSPROP, "--what", what, "-o", f"{what}.svg").returncode == 0
        assert "<svg" in (tmp_path / f"{what}.svg").read_text(encoding="utf-8")
    assert command("plot", *LINE, *RMSPROP, "-o", "run.html").returncode == 0
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert "<html" in page.lower()
    assert "http://" not in page.replace("http://www.w3.org", "")
    wrong = command("plot", *LINE, *RMSPROP, "--what", "surface", "--of", "a,q", "-o", "s.svg")
    assert wrong.returncode == 2
    assert "q" in wrong.stderr


def test_torch_is_not_imported_unless_it_is_asked_for() -> None:
    code = (
        "import sys; from katamuki.cli import main\n"
        "code = main(['explain', 'y ~ a*x + b', '-', '--solver', 'rmsprop', '--steps', '50'])\n"
        "code += main(['race', 'y ~ a*x + b', 'tutorial.csv', '--steps', '50'])\n"
        "sys.exit('imported torch' if 'torch' in sys.modules else code)\n"
    )
    folder = Path(__file__).parent.parent / "examples"
    table = (folder / "tutorial.csv").read_text()
    done = subprocess.run(
        [sys.executable, "-c", code], input=table, capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr


def test_the_torch_backend_is_one_flag_away(command: Command) -> None:
    given = ["fit", *LINE, "--solver", "adagrad:lr=0.5", "--steps", "1000", "--quiet"]
    kernel, single = command(*given), command(*given, "--backend", "torch", "--dtype", "float32")
    assert single.returncode == 0, single.stderr
    theirs, ours = ([float(line.split()[1]) for line in done.stdout.splitlines()] for done in (single, kernel))
    assert theirs == pytest.approx(ours, abs=1e-3)
    assert theirs != ours  # it was float32 indeed


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--backend", "torch", "--device", "tpu"], "tpu"),
        (["--dtype", "float32"], "torch"),
        (["--device", "cuda", "--backend", "torch"], "cuda"),
    ],
)
def test_a_backend_that_cannot_be_had_is_said(command: Command, given: list[str], words: str) -> None:
    import torch

    if "cuda" in given and torch.cuda.is_available():
        given = ["--backend", "torch", "--device", "cuda:99"]
    done = command("fit", *LINE, *given)
    assert done.returncode == 2
    assert "[E-BACKEND]" in done.stderr
    assert words in done.stderr


def test_ctrl_c_tells_no_story(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import katamuki as km

    real = km.fit

    def stopped(*given: object, **options: object) -> object:
        options["progress"] = stop
        return real(*given, **options)  # type: ignore[arg-type]

    def stop(step: int, loss: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(km, "fit", stopped)
    done = command("explain", *LINE, *RMSPROP)
    assert done.returncode == 130
    assert done.stdout == ""

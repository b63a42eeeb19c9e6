"""Arguments of the command line: every mistake is one sentence, exit code 2, and says what to type instead."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import katamuki as km
from command_line import ERROR
from katamuki import messages
from katamuki.cli import arguments, flags, main, values
from katamuki.cli.terminal import LOCALES, language
from katamuki.errors import KatamukiError
from katamuki.report.numbers import width


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "no command"),
        (["fti"], "try: katamuki fit"),
        (["frobnicate"], 'unknown command "frobnicate"'),
        (["fit"], "no formula"),
        (["fit", "y ~ a*x", "f", "g"], "too many arguments: g"),
        (["fit", "y ~ a*x + b", "f.csv", "--start", "a=1", "b=2"], "try: --start a=1,b=2: commas"),
        (["fit", "y ~ a*x + b", "--start", "a=1", "b=2", "f.csv"], "try: --start a=1,b=2: commas"),
        (["fit", "no_such.csv"], "try: katamuki fit 'y ~ a*x + b' no_such.csv"),
        (["fit", "no_such.csv", "y = a*x"], "try: katamuki fit 'y = a*x' no_such.csv"),
        (["plot", "fit.json"], "try: katamuki predict fit.json --at FILE"),
        (["predict", "fit.json", "new.csv"], "try: katamuki predict fit.json --at new.csv"),
        (["fit", "y ~ a*x", "f.csv", "--save", "f.csv"], "try: --save fit.json"),
        (["fit", "y ~ a*x", "f.csv", "--lr", "1"], "it belongs to: sgd, asgd, adagrad, adadelta, rmsprop, rprop, adam"),
        (["race", "y ~ a*x", "f.csv", "--lr", "1"], "try: --solver adam:lr=0.01 --solver sgd:lr=0.01"),
        (["race", "y ~ a*x", "f.csv", "--json", "--csv"], "--json and --csv were both given"),
        (["race", "y ~ a*x", "f.csv", "-o", "race.doc"], "file names may end with .svg, .png, .pdf"),
        (["race", "y ~ a*x", "f.csv", "--solver", "adam", "--solver", "newton"], 'unknown solver "newton"'),
        (["race", "y ~ a*x", "f.csv", "--bounds", "a=0:1"], "it belongs to: check, explain, export, fit"),
        (["explain", "y ~ a*x", "f.csv", "--row", "2"], "--row has no meaning without --step"),
        (["explain", "y ~ a*x", "f.csv", "--graph"], "try: --step 1 --graph"),
        (["explain", "y ~ a*x", "f.csv", "--step", "1.5"], "no whole number"),
        (["explain", "y ~ a*x", "f.csv", "--step", "1", "--detail", "all"], "possible: glance, numbers, rules"),
        (["explain", "y ~ a*x", "f.csv", "--step", "1", "--graph", "--json"], "--graph and --json were both given"),
        (["explain", "y ~ a*x", "f.csv", "--step", "1", "-o", "f.svg"], "try: --step 1 --graph -o step.svg"),
        (["explain", "y ~ a*x", "f.csv", "--step", "1", "--graph", "-o", "f.png"], "file names may end with .svg"),
        (["explain", "y ~ a*x", "f.csv", "--level", "rules"], "it belongs to: plot, predict"),
        (["export", "y ~ a*x", "f.csv"], "try: --to torch, --to numpy, --to scipy or --to katamuki"),
        (["export", "y ~ a*x", "f.csv", "--to", "torhc"], "try: torch"),
        (["export", "y ~ a*x", "f.csv", "--to", "torch", "-o", "fit.txt"], "try: -o FILE.py"),
        (["plot", "y ~ a*x", "f.csv", "--what", "surface"], "try: -o surface.svg"),
        (["plot", "y ~ a*x", "f.csv", "-o", "f.html", "--what", "steps"], "--what has no meaning for a replay"),
        (["plot", "y ~ a*x", "f.csv", "-o", "f.svg", "--what", "steps", "--method", "slice"], "--what surface"),
        (["plot", "y ~ a*x", "f.csv", "-o", "f.svg", "--of", "a"], "it belongs to: --what surface, steps"),
        (
            ["plot", "y ~ a*x", "f.csv", "-o", "f.svg", "--what", "steps", "--level", "0.9"],
            "no meaning for --what steps",
        ),
        (["check", "y ~ a*x", "f.csv", "--no-zero-grad"], "it belongs to: explain, fit, trace"),
        (["fit", "y ~ a*x", "f.csv", "--dtype", "float16"], "possible: float64, float32"),
        (["fit", "y ~ a*x", "f.csv", "--bounds", "a>0"], "try: --bounds a=0:1,b=0:"),
        (["fit", "y ~ a*x", "f.csv", "--time", "t"], "try: --time t=s"),
        (["predict", "y ~ a*x", "f.csv", "--level", "0.9"], "--level has no meaning without --interval"),
        (["plot", "y ~ a*x", "f.csv", "--interval", "mean"], "a band is drawn in files only"),
        (["fit", "y ~ a*x", "--sovler", "lm"], "try: --solver"),
        (["fit", "y ~ a*x", "--frobnicate"], "unknown flag --frobnicate"),
        (["fit", "y ~ a*x", "--lr"], "try: --lr NUMBER"),
        (["fit", "y ~ a*x", "--json=3"], "--json takes no value"),
        (["trace", "y ~ a*x", "--csv"], "it belongs to: fit, many, race"),
        (["--json", "fit", "y ~ a*x"], "--json stands before the command"),
        (["--lang", "en", "fit", "y ~ a*x"], "try: katamuki fit … --lang"),
        (["fit", "y ~ a*x", "--color", "allways"], "try: always"),
        (["fit", "y ~ a*x", "--sigma-is", "unknown"], "try: known"),
        (["fit", "y ~ a*x", "--missing", "keep"], "possible: error, drop"),
        (["fit", "y ~ a*x", "--lang", "xx"], "possible: en, ja"),
        (["completion"], "completion for which shell?"),
        (["completion", "fish"], "possible: bash, zsh"),
        (["help", "functoins"], "try: functions"),
    ],
)
def test_a_mistake_is_one_sentence_with_a_way_out(
    given: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(list(given)) == 2
    out, err = capsys.readouterr()
    if "--json" not in given:
        assert err.startswith("katamuki: ")
        assert err.rstrip().endswith("[E-USAGE]")
    assert said in err
    assert out == ""
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--solver", "linear", "--lr", "0.1"], "--lr has no meaning for --solver linear"),
        (["--lr", "0.1"], "--lr has no meaning for --solver auto"),
        (["--steps", "10", "--solver", "lm"], "--steps has no meaning for --solver lm"),
        (["--solver", "rmsprob"], "try: --solver rmsprop"),
        (["--solver", "newton"], "solvers: auto, linear"),
        (["--solver", "sgd:momentun=0.9"], "try: --solver sgd:momentum="),
        (["--solver", "sgd:nesterov=yes"], "neither true nor false"),
        (["--solver", "sgd:lr=1", "--lr", "2"], "names lr twice"),
        (["--solver", "lm", "--lr", "2"], "it belongs to: sgd, asgd, adagrad"),
        (["--solver", "rprop:etas=0.5"], "etas"),
        (["--solver", "adam:betas=0.9/many"], '"many" is no number'),
        (["--solver", "rmsprop", "--lr", "fast"], '--lr: "fast" is no number'),
        (["--solver", "rmsprop", "--lr", "nan"], '--lr: "nan" is no number'),
        (["--solver", "rmsprop", "--steps", "1.5"], "no whole number"),
        (["--start", "a"], "is not name=value"),
        (["--start", "a=1,a=2"], "names a twice"),
        (["--fix", "a=one"], '"one" is no number'),
        (["--bounds", "a=1"], "is no interval for a"),
        (["--bounds", "a=:"], "is no interval for a"),
        (["--loss", "huber:1"], "not there yet"),
        (["--sep", "ab"], "one character"),
        (["--max-seconds", "soon"], "is no number"),
        (["--starts", "many"], "neither auto nor a whole number"),
        (["--starts", "1.5"], "neither auto nor a whole number"),
    ],
)
def test_a_value_that_cannot_be_meant_is_named(
    flags: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "y ~ a*x + b", "no_such_file.csv", *flags]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "given",
    [
        ["fit", "y ~ a*x + b", "--quiet", "--where", "x > 5", "FILE"],
        ["fit", "--quiet", "--where", "x > 5", "y ~ a*x + b", "FILE"],
        ["fit", "--quiet", "y ~ a*x + b", "--where", "x > 5", "FILE"],
        ["fit", "y ~ a*x + b", "FILE", "--quiet", "--where", "x > 5"],
    ],
)
def test_formula_and_file_stand_before_between_or_after_flags(
    given: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(__file__).parent.parent / "examples" / "tutorial.csv"
    assert main([str(data) if word == "FILE" else word for word in given]) == 0
    assert capsys.readouterr().out == "a 0.441000 ± 0.175511\nb 3.653333 ± 1.812671\n"


def test_with_json_a_mistake_is_one_object_that_obeys_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "y ~ a*x", "--json", "--sovler", "lm"]) == 2
    told = json.loads(capsys.readouterr().err)
    ERROR(told)
    assert told["remedy"] == "--solver"


@pytest.mark.parametrize(
    ("flags", "made"),
    [
        ([], "auto"),
        (["--solver", "linear"], km.Linear()),
        (["--solver", "lm:max_steps=50"], km.LevenbergMarquardt(max_steps=50)),
        (["--solver", "LevenbergMarquardt"], km.LevenbergMarquardt()),
        (["--solver", "rmsprop", "--lr", "0.001", "--steps", "6000"], km.RMSprop(lr=0.001, steps=6000)),
        (["--solver", "sgd:momentum=0.9,nesterov=true"], km.SGD(momentum=0.9, nesterov=True)),
        (["--solver", "adam:betas=0.8/0.99", "--lr", "1e-2"], km.Adam(betas=(0.8, 0.99), lr=0.01)),
        (
            ["--solver", "lbfgs:line_search_fn=strong_wolfe,max_eval=30"],
            km.LBFGS(line_search_fn="strong_wolfe", max_eval=30),
        ),
        (["--solver", "lbfgs:line_search_fn=none,max_eval=None", "--steps", "9"], km.LBFGS(steps=9)),
        (["--solver", "sparseadam"], "sparseadam"),
        (["--solver", "ADAMW:amsgrad=true"], km.AdamW(amsgrad=True)),
        (["--solver", "rprop:etas=0.4/1.3,step_sizes=1e-5/10"], km.Rprop(etas=(0.4, 1.3), step_sizes=(1e-5, 10.0))),
    ],
)
def test_the_solver_flag_makes_the_solver_it_names(flags: list[str], made: object) -> None:
    chosen = arguments.parser().parse_args(["fit", "y ~ a*x", *flags])
    assert values.solver(chosen) == made


def test_only_what_was_said_is_handed_to_the_library() -> None:
    given = ["fit", "y ~ a*x + b", "--start", "a=1", "--start", "b=-2", "--fix", "c=0", "--bounds", "a=0:,b=-1:1"]
    chosen = arguments.parser().parse_args([*given, "--sigma", "0.5", "--sigma-is", "known", "--params", "a, b"])
    assert values.fit_options(chosen) == {
        "start": {"a": 1.0, "b": -2.0},
        "fixed": {"c": 0.0},
        "bounds": {"a": (0.0, None), "b": (-1.0, 1.0)},
        "params": ["a", "b"],
        "sigma": 0.5,
        "sigma_is": "known",
        "solver": "auto",
    }


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_survives_a_flag(value: float) -> None:
    ((name, text),) = values.pairs("--start", [f"a={value!r}"])
    assert (name, values.number("--start", text)) == ("a", value)


@pytest.mark.parametrize("command", arguments.COMMANDS)
def test_every_command_has_a_page_of_80_columns(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    page = capsys.readouterr().out
    assert page.startswith(f"katamuki {command}")
    assert max(map(len, page.split("\n"))) <= 80
    for flag in arguments.FLAGS:
        if command in flag.commands:
            assert flag.spellings[0] in page


def test_the_first_page_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    page = capsys.readouterr().out
    assert all(f"\n  {command}" in page for command in arguments.COMMANDS)
    assert max(map(len, page.split("\n"))) <= 88


def test_an_unexpected_fault_is_one_sentence_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr("katamuki.cli.commands.data", broken)
    assert main(["data"]) == 1
    err = capsys.readouterr().err
    assert "ZeroDivisionError: a fault" in err
    assert "please report it" in err
    assert "Traceback" not in err
    with pytest.raises(ZeroDivisionError):
        main(["data", "--debug"])


def test_nothing_heavy_is_imported_for_help_completion_and_mistakes() -> None:
    code = (
        "import sys; from katamuki.cli import main\n"
        "main(['--help']); main(['fit', '--help']); main(['completion', 'bash']); main(['fit', '--sovler'])\n"
        "heavy = {'numpy', 'scipy', 'pandas', 'torch', 'matplotlib', 'duckdb', 'llvmlite', 'pyarrow'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("shell", flags.SHELLS)
def test_the_shipped_completion_is_what_the_flags_make(shell: str) -> None:
    from katamuki.cli import completing

    shipped = files("katamuki.cli").joinpath(f"completion.{shell}").read_text(encoding="utf-8")
    command = f"python -m katamuki.cli.completing {shell} > src/katamuki/cli/completion.{shell}"
    assert shipped == completing.script(shell), command


def test_every_solver_of_the_library_has_its_name_on_the_command_line() -> None:
    from katamuki.api.solving import CLASSES

    named = {name: one for name, one in flags.CLASSES.items() if name != "lm"}
    assert named == {name: one.__name__ for name, one in CLASSES.items()}
    assert flags.CLASSES["lm"] == "LevenbergMarquardt"
    assert set(flags.SOLVERS) == {"auto", "linear", "lm", *CLASSES} - {"levenbergmarquardt"}


@pytest.mark.parametrize("name", [name for name in flags.SOLVERS if name not in {"auto", "linear", "lm"}])
def test_every_option_of_every_solver_can_be_typed(name: str) -> None:
    made = getattr(km, flags.CLASSES[name])()
    for field in dataclasses.fields(made):
        value = getattr(made, field.name)
        text = "/".join(map(repr, value)) if isinstance(value, tuple) else str(value).lower()
        chosen = arguments.parser().parse_args(["fit", "y ~ a*x", "--solver", f"{name}:{field.name}={text}"])
        assert values.solver(chosen) == made, field.name


def test_a_race_has_a_lane_for_each_solver_flag() -> None:
    given = ["race", "y ~ a*x", "--solver", "adam:lr=0.01", "--solver", "sgd", "--steps", "1e3"]
    options = values.race_options(arguments.parser().parse_args(given))
    assert options == {"steps": 1000, "solvers": [km.Adam(lr=0.01), km.SGD()]}
    assert values.race_options(arguments.parser().parse_args(["race", "y ~ a*x"])) == {"solvers": None}


@pytest.mark.parametrize(
    ("given", "around", "lang"),
    [
        ([], {}, "en"),
        ([], {"LANG": "ja_JP.UTF-8"}, "ja"),
        ([], {"LANG": "ja_JP.UTF-8", "LC_MESSAGES": "C"}, "en"),
        ([], {"LANG": "C", "LC_ALL": "ja"}, "ja"),
        ([], {"LANG": "ja_JP", "KATAMUKI_LANG": "en"}, "en"),
        ([], {"LANG": "fr_FR.UTF-8"}, "en"),
        (["--lang", "ja"], {"KATAMUKI_LANG": "en"}, "ja"),
        (["--lang=en"], {"KATAMUKI_LANG": "ja"}, "en"),
    ],
)
def test_the_language_is_the_flag_s_then_katamuki_s_then_the_locale_s(
    given: list[str], around: dict[str, str], lang: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KATAMUKI_LANG", *LOCALES):
        monkeypatch.delenv(name, raising=False)
    for name, value in around.items():
        monkeypatch.setenv(name, value)
    assert language(given) == lang


def test_a_language_that_is_not_there_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KATAMUKI_LANG", "klingon")
    assert main(["data"]) == 2
    assert "possible: en, ja" in capsys.readouterr().err


def test_the_first_page_speaks_the_language_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help", "--lang", "ja"], ["--lang=ja", "--help"]):
        assert main(words) == 0
        assert "答え合わせ" in capsys.readouterr().out


def test_mistakes_are_said_in_the_language_that_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--lang", "ja"]) == 2
    assert "式がありません" in capsys.readouterr().err


@pytest.mark.parametrize("command", flags.COMMANDS)
def test_every_page_fits_80_columns_in_japanese_too(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help", "--lang", "ja"]) == 0
    assert max(map(width, capsys.readouterr().out.split("\n"))) <= 80


def complete(*words: str, folder: Path) -> list[str]:
    """What bash offers for the last of these words."""
    script = (
        'eval "$(katamuki completion bash)"; COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); COMPREPLY=()\n'
        "_shtab_katamuki; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script, "bash", *words],
        capture_output=True, text=True, cwd=folder, env={**os.environ, "PATH": path}, check=True,
    )  # fmt: skip
    return done.stdout.split()


def test_bash_completes_commands_flags_values_files_and_columns(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("time,level,$(touch pwned)\n1,2,3\n2,4,5\n")
    assert complete("katamuki", "tr", folder=tmp_path) == ["trace"]
    assert complete("katamuki", "race", "f", "--solver", "ada", folder=tmp_path)[:2] == ["adagrad", "adadelta"]
    assert complete("katamuki", "fit", "--sol", folder=tmp_path) == ["--solver"]
    assert complete("katamuki", "fit", "--solver", "rms", folder=tmp_path) == ["rmsprop"]
    assert complete("katamuki", "fit", "f", "tab", folder=tmp_path) == ["table.csv"]
    assert complete("katamuki", "fit", "f", "table.csv", "--sigma", "", folder=tmp_path) == ["time", "level"]
    assert not (tmp_path / "pwned").exists()


def test_every_word_of_the_command_line_stands_in_the_catalogue() -> None:
    known = messages.catalogue("en")
    for flag in arguments.FLAGS:
        assert "cli.help." + flag.name in known
        assert "cli.group." + flag.group in known
    for command in arguments.COMMANDS:
        assert {"cli.usage." + command, "cli.command." + command, "cli.about." + command} <= set(known)


def test_a_usage_error_is_a_katamuki_error() -> None:
    error: Any = arguments.usage("cli.no_command")
    assert isinstance(error, KatamukiError)
    assert error.code == "E-USAGE"


@pytest.mark.parametrize(("typed", "meant"), [("8", 8), ("1e2", 100), ("auto", "auto")])
def test_how_many_starts_are_tried_is_handed_on(typed: str, meant: object) -> None:
    chosen = arguments.parser().parse_args(["fit", "y ~ a*x + b", "x.csv", "--starts", typed])
    assert values.fit_options(chosen)["starts"] == meant
    assert "starts" not in values.fit_options(arguments.parser().parse_args(["fit", "y ~ a*x + b", "x.csv"]))

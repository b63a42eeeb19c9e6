"""The command line and its streams: terminals, pipes, encodings, full disks, Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

import pytest

from command_line import run

TUTORIAL = files("katamuki.data").joinpath("sets/tutorial.csv").read_text()
RMSPROP = ["--solver", "rmsprop", "--lr", "0.001", "--steps", "6000", "--start", "a=0.5,b=0.5"]


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds tutorial.csv; the command runs there."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tutorial.csv"
    path.write_text(TUTORIAL)
    return path


def in_terminal(
    *given: str, env: dict[str, str] | None = None, send: bytes = b"", after: bytes = b""
) -> tuple[str, int]:
    """What the command shows in a terminal, and its exit code; ``send`` is typed once ``after`` was seen."""
    child, descriptor = pty.fork()
    if child == 0:
        around = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "CI")}
        around |= {"TERM": "xterm", "COLUMNS": "80"} | (env or {})
        os.execve(sys.executable, [sys.executable, "-m", "katamuki", *given], around)
    seen, deadline = b"", time.monotonic() + 120
    while time.monotonic() < deadline:
        ready, _, _ = select.select([descriptor], [], [], 0.05)
        if ready:
            try:
                piece = os.read(descriptor, 65536)
            except OSError:
                break
            if not piece:
                break
            seen += piece
        if send and after in seen:
            os.write(descriptor, send)
            send = b""
    _, status = os.waitpid(child, 0)
    os.close(descriptor)
    return seen.decode("utf-8", "replace"), os.waitstatus_to_exitcode(status)


def test_a_terminal_gets_a_picture_and_colour_and_a_pipe_gets_neither(table: Path) -> None:
    shown, code = in_terminal("fit", "y ~ a*x + b", "tutorial.csv")
    assert code == 0
    assert "\x1b[32m" in shown
    assert "┤" in shown
    piped = run("fit", "y ~ a*x + b", "tutorial.csv").stdout
    assert "\x1b" not in piped
    assert "┤" not in piped
    assert "\x1b[" in run("fit", "y ~ a*x + b", "tutorial.csv", "--color", "always").stdout


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colour_is_off_where_it_is_not_wanted(table: Path, env: dict[str, str]) -> None:
    shown, _ = in_terminal("fit", "y ~ a*x + b", "tutorial.csv", env=env)
    assert "\x1b[3" not in shown
    assert "0.500091" in shown


def test_a_terminal_and_no_file_is_a_usage_error_and_not_a_hang() -> None:
    shown, code = in_terminal("fit", "y ~ a*x + b")
    assert code == 2
    assert "no file, and nothing is piped in" in shown


def test_a_stream_that_is_not_utf8_gets_ascii(table: Path) -> None:
    done = run("fit", "y ~ a*x + b", "tutorial.csv", "--plot", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "correlation a,b -0.943" in done.stdout
    json.loads(run("fit", "y ~ a*x + b", "tutorial.csv", "--json", env={"PYTHONIOENCODING": "ascii"}).stdout)


def test_a_reader_that_goes_away_is_no_failure(table: Path) -> None:
    trace = f"{sys.executable} -m katamuki trace 'y ~ a*x + b' tutorial.csv {' '.join(RMSPROP)}"
    line = trace + " | head -1; echo ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.stdout == "step,loss,a,b,grad_a,grad_b\n0\n"
    assert done.stderr == ""


def test_a_full_disk_is_said(table: Path) -> None:
    line = f"{sys.executable} -m katamuki fit 'y ~ a*x + b' tutorial.csv > /dev/full"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "cannot write to standard output" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_prints_the_best_so_far_and_exits_with_130(table: Path) -> None:
    given = ["fit", "y ~ a*x + b", "tutorial.csv", "--solver", "sgd", "--lr", "1e-9", "--steps", "1e10"]
    shown, code = in_terminal(*given, "--start", "a=0.5,b=0.5", send=b"\x03", after=b"step ")
    assert code == 130
    assert "0.5" in shown
    assert "[E-INTERRUPTED]" in shown
    assert "Traceback" not in shown


RUNNING = """
import sys
from katamuki import cli
from katamuki.solvers import first_order_run

made = first_order_run.stepper

def stepper(*given):
    go = made(*given)

    def told(*where):
        status = go(*where)
        print("a slice is done", file=sys.stderr, flush=True)
        return status

    return told

first_order_run.stepper = stepper
sys.exit(cli.main(sys.argv[1:]))
"""


def test_an_interrupt_without_a_terminal_does_the_same(table: Path) -> None:
    given = ["fit", "y ~ a*x + b", "tutorial.csv", "--solver", "sgd", "--lr", "1e-9", "--steps", "1e10"]
    command = [sys.executable, "-c", RUNNING, *given, "--start", "a=0.5,b=0.5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "a slice is done\n"  # however long imports and compiling took
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "0.5" in out


def test_progress_is_shown_only_in_a_terminal_and_taken_away(table: Path) -> None:
    given = ["fit", "y ~ a*x + b", "tutorial.csv", "--solver", "sgd", "--lr", "0.001", "--start", "a=0.5,b=0.5"]
    shown, _ = in_terminal(*given, "--steps", "4e7", "--max-seconds", "2")
    assert re.search(r"step [\d ]+ / 40 000 000   loss 1\.25", shown)
    assert "/ 40 000 000" not in shown.rsplit("\x1b[K", 1)[-1]


def test_windows_s_byte_order_mark_and_wide_names_pass(table: Path, tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_bytes("\ufeff時間,傾き\r\n1,2\r\n2,4.1\r\n3,5.9\r\n".encode())
    done = run("fit", "傾き ~ a*時間 + b", "wide.csv")
    assert done.returncode == 0, done.stderr
    assert "response 傾き, variable 時間" in done.stdout


def test_a_lone_surrogate_in_an_argument_is_an_error_and_not_a_crash(table: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "katamuki", "fit", b"y ~ a*x + \xff", "tutorial.csv"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["fit", "--json"],
        ["explain", "--json"],
        ["explain", "--solver", "sgd:lr=0.01,steps=3", "--json"],
        ["explain", "--solver", "sgd:lr=0.01,steps=3", "--step", "1", "--json"],
        ["race", "--steps", "3", "--json"],
    ],
    ids=" ".join,
)
def test_json_is_json_where_the_stream_takes_ascii_only(command: list[str], tmp_path: Path) -> None:
    # explain used to write "\xe9" for é, which no reader of JSON knows
    name, *flags = command
    path = tmp_path / "table.csv"
    path.write_text("x,é傾\n1,2\n2,3\n3,5\n", encoding="utf-8")
    done = run(name, "`é傾` ~ a*x + b", str(path), *flags, env={"PYTHONIOENCODING": "ascii"})
    assert done.stdout.isascii()
    found = json.loads(done.stdout)
    assert found.get("run", found)["formula"] == "`é傾` ~ a*x + b"


def test_a_fit_loads_nothing_that_only_other_commands_need(table: Path) -> None:
    program = "import sys; from katamuki import cli; cli.main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    apart = {"katamuki.cli.racing", "katamuki.cli.stories", "katamuki.cli.steps", "katamuki.report.race", "torch"}
    for first, rest in (("fit", set()), ("explain", {"katamuki.cli.stories"})):  # explain shows that the list is seen
        command = [sys.executable, "-c", program, first, "y ~ a*x + b", "tutorial.csv"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert apart & set(done.stderr.split()) == rest

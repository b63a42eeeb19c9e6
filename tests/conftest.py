"""What all tests share: seeded properties without deadlines, one thread for torch, no window for pictures."""

import os

# Torch with two threads beside another test on the same two cores is a hundred times slower than with one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
for name in ("NO_COLOR", "FORCE_COLOR", "KATAMUKI_DEBUG", "KATAMUKI_LANG", "LC_ALL", "LC_MESSAGES"):
    os.environ.pop(name, None)  # what is printed must not depend on who runs the tests
os.environ["LANG"] = "C.UTF-8"

import gc  # noqa: E402
import signal  # noqa: E402
import subprocess  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from importlib.resources import files  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from command_line import Command  # noqa: E402

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a job that a shell runs in the background hears no Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "katamuki",
    derandomize=True,  # the same examples in every run
    deadline=None,  # nothing is tested by the clock
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("katamuki")


@pytest.fixture
def heard_for_sure() -> Iterator[None]:
    """No callbacks of the garbage collector: what a signal raises inside one is dropped by Python, not by the fit.

    Hypothesis has one, which once in some thousand signals left such a test running for hours.
    """
    kept = gc.callbacks[:]
    gc.callbacks.clear()
    yield
    gc.callbacks[:] = kept


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds tutorial.csv; the command runs there."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tutorial.csv"
    path.write_text(files("katamuki.data").joinpath("sets/tutorial.csv").read_text())
    return path


@pytest.fixture
def command(table: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command in this process, where tutorial.csv is: quicker than a process of its own."""
    from katamuki.cli import main

    def within(*given: str) -> subprocess.CompletedProcess[str]:
        code = main(list(given))
        return subprocess.CompletedProcess(given, code, *capsys.readouterr())

    return within

"""Tables that are written as a run goes on: killed and gone on with, interrupted, on a full disk, of other fits."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import katamuki as km
from katamuki.api import many_running
from katamuki.many import engine, stored, writing
from paces import Fixed
from wells import DECAY, TIMES, decays, long, shuffled

COUNT = 60
SLOW = """
import sys, time
from katamuki.api import many_running
from katamuki.many import engine, writing
true = engine.fit_curves
def slow(task, curves, threads=None):
    time.sleep(0.05)
    return true(task, curves, threads)
engine.fit_curves = slow
writing.OFTEN = 0.0
class Fixed(many_running.Pace):
    def seen(self, done):
        pass
many_running.Pace = lambda _: Fixed(4)
from katamuki.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of sixty decays, their rows in any order; the folder of the test is where we are."""
    rows = long(decays(COUNT), TIMES, "t", shuffled(COUNT * len(TIMES)))
    rows["y"][17] = np.nan
    lines = [",".join(rows), *(",".join(map(str, row)) for row in zip(*rows.values(), strict=True))]
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "wells.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def whole(table: Path) -> Any:
    """The table of a run that nothing disturbed."""
    return km.fit_many(DECAY, table, by="well", check=0).table


def parts(folder: Path) -> list[str]:
    """The parts of ``fits.parquet`` that are finished."""
    there = folder / "fits.parquet.parts"
    return sorted(one.name for one in there.iterdir() if one.name.startswith("part-")) if there.exists() else []


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many curves each call of the engine gets from now on."""
    true, heard = engine.fit_curves, []

    def counting(task: Any, curves: Any, threads: int | None = None) -> Any:
        heard.append(len(curves))
        return true(task, curves, threads)

    monkeypatch.setattr(engine, "fit_curves", counting)
    return heard


def small_blocks(monkeypatch: pytest.MonkeyPatch, curves: int = 4) -> None:
    monkeypatch.setattr(many_running, "Pace", lambda _: Fixed(curves))
    monkeypatch.setattr(writing, "OFTEN", 0.0)


def slowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every block take a tenth of a second."""
    true = engine.fit_curves

    def slow(task: Any, curves: Any, threads: int | None = None) -> Any:
        time.sleep(0.1)
        return true(task, curves, threads)

    monkeypatch.setattr(engine, "fit_curves", slow)


def killed(table: Path, *more: str, sign: signal.Signals = signal.SIGKILL, wait_for: int = 3) -> subprocess.Popen[str]:
    """A command that got a signal once some parts were there."""
    command = [sys.executable, "-c", SLOW, "many", DECAY, str(table), "--by", "well", *more]
    with subprocess.Popen(command, cwd=table.parent, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        ends = time.monotonic() + 90.0
        while len(parts(table.parent)) < wait_for and run.poll() is None and time.monotonic() < ends:
            time.sleep(0.01)
        run.send_signal(sign)
        run.out, run.err = run.communicate(timeout=60)  # type: ignore[attr-defined]
    return run


def test_a_killed_run_goes_on_and_the_table_is_that_of_an_undisturbed_one(
    table: Path, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert killed(table, "-o", "fits.parquet", "--check", "0").returncode == -signal.SIGKILL
    before = parts(table.parent)
    assert len(before) >= 3
    assert not (table.parent / "fits.parquet").exists()
    kept = {name: (table.parent / "fits.parquet.parts" / name).read_bytes() for name in before}
    finished = int(before[-1][21:36])
    assert 0 < finished < COUNT
    seen = table.parent / "fits.parquet.parts" / before[0]
    assert stored.Stored([seen]).table().to_pylist() == whole.slice(0, 4).to_pylist()

    heard = counted(monkeypatch)
    many = km.fit_many(DECAY, table, by="well", output="fits.parquet", resume=True, check=2)
    assert many.resumed == finished
    assert sum(heard) == COUNT - finished - (1 if unfinished_has_the_gap(whole, finished) else 0)
    assert many.table.equals(whole)
    assert kept
    assert sorted(one.name for one in table.parent.iterdir()) == ["fits.parquet", "wells.csv"]


def unfinished_has_the_gap(whole: Any, finished: int) -> bool:
    """Whether the curve without a value, which no engine sees, stands behind so many others."""
    return int(whole.column("_code").to_pylist().index("MISSING")) >= finished


def test_the_command_goes_on_too(table: Path, whole: Any) -> None:
    killed(table, "-o", "fits.parquet", "--check", "0")
    command = [sys.executable, "-m", "katamuki", "many", DECAY, "wells.csv", "--by", "well", "-o", "fits.parquet"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (refused.returncode, "--resume" in refused.stderr) == (2, True), refused.stderr
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "before" in done.stdout
    assert stored.Stored([table.parent / "fits.parquet"]).table().equals(whole)


def test_ctrl_c_keeps_what_is_finished(table: Path, whole: Any) -> None:
    run = killed(table, "-o", "fits.parquet", "--check", "0", sign=signal.SIGINT)
    assert run.returncode == 130, run.err  # type: ignore[attr-defined]
    assert "--resume" in run.err  # type: ignore[attr-defined]
    assert "interrupted" in run.out  # type: ignore[attr-defined]
    kept = parts(table.parent)
    assert kept
    many = km.fit_many(DECAY, table, by="well", output="fits.parquet", resume=True, check=0)
    assert many.resumed >= 12
    assert many.table.equals(whole)


@pytest.mark.usefixtures("heard_for_sure")
def test_ctrl_c_in_python_returns_the_finished_curves(table: Path, whole: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    slowed(monkeypatch)

    def press(done: int, all_: int, left: float) -> None:
        del all_, left
        if done >= 8:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)

    with pytest.warns(km.FitWarning, match="interrupted"):
        many = km.fit_many(DECAY, table, by="well", check=2, progress=press)
    assert not many.finished
    assert many.ending == "interrupted"
    assert 8 <= len(many) < COUNT
    assert many.table.equals(whole.slice(0, len(many)))
    assert "of 60 curves" in many.text()
    assert many.verdict != "good"


def test_max_seconds_returns_the_finished_curves(table: Path, whole: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    true = engine.fit_curves
    slowed(monkeypatch)
    with pytest.warns(km.FitWarning, match="max_seconds"):
        many = km.fit_many(DECAY, table, by="well", output="fits.parquet", max_seconds=0.5, threads=1, check=0)
    assert many.ending == "time"
    assert len(many) < COUNT
    assert many.path is None
    assert many.table.equals(whole.slice(0, len(many)))
    monkeypatch.setattr(engine, "fit_curves", true)
    again = km.fit_many(DECAY, table, by="well", output="fits.parquet", resume=True, check=0)
    assert again.resumed == len(many)
    assert again.table.equals(whole)


def test_a_full_disk_keeps_what_is_finished(table: Path, whole: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    true, room = os.fsync, [5]

    def full(at: int) -> None:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        true(at)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(km.DataError, match="E-OUTPUT") as caught:
        km.fit_many(DECAY, table, by="well", output="fits.parquet", check=0)
    assert "No space left" in str(caught.value)
    assert "resume=True" in str(caught.value)
    assert "--resume" in caught.value.render("en", "cli")
    monkeypatch.setattr(os, "fsync", true)
    kept = parts(table.parent)
    assert kept
    assert not [one for one in (table.parent / "fits.parquet.parts").iterdir() if one.name.startswith(".")]
    there = stored.Stored([table.parent / "fits.parquet.parts" / name for name in kept]).table()
    assert there.equals(whole.slice(0, len(there)))
    many = km.fit_many(DECAY, table, by="well", output="fits.parquet", resume=True, check=0)
    assert many.resumed == len(there)
    assert many.table.equals(whole)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".arrow"])
def test_an_output_is_the_table(table: Path, whole: Any, suffix: str) -> None:
    many = km.fit_many(DECAY, table, by="well", output=f"fits{suffix}", check=2)
    assert many.path == Path(f"fits{suffix}")
    assert many.table.to_pylist() == whole.to_pylist()
    assert many.column("a").to_pylist() == whole.column("a").to_pylist()
    assert many.counts["failed"] == 1
    assert many.checked.of("PASS") == many.checked.curves


def test_an_output_that_is_there_is_not_replaced_unasked(table: Path, whole: Any) -> None:
    km.fit_many(DECAY, table, by="well", output="fits.parquet", check=0)
    with pytest.raises(km.BoundsError, match="E-OUTPUT"):
        km.fit_many(DECAY, table, by="well", output="fits.parquet", check=0)
    again = km.fit_many(DECAY, table, by="well", output="fits.parquet", resume=True, check=0)
    assert again.resumed == COUNT
    assert again.table.equals(whole)
    other = km.fit_many("y ~ a + b*t", table, by="well", output="fits.parquet", overwrite=True, check=0)
    assert "c" not in other.names


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("seed", {"seed": 3}),
    ("start", {"start": {"b": 0.4}}),
    ("bounds", {"bounds": {"b": (0, 9)}}),
    ("missing", {"missing": "drop"}),
    ("where", {"where": "t < 9"}),
    ("formula", {"model": "y ~ a*exp(-b*t)"}),
    ("weights", {"weights": 2.0}),
]


@pytest.mark.parametrize(("what", "change"), CHANGES, ids=[one for one, _ in CHANGES])
def test_parts_of_other_fits_are_refused(table: Path, what: str, change: dict[str, Any]) -> None:
    km.fit_many(DECAY, table, by="well", output="fits.parquet", check=0)
    options = {"model": DECAY, "data": table, "by": "well", "output": "fits.parquet", "check": 0} | change
    with pytest.raises(km.BoundsError, match=f"{what} was") as caught:
        km.fit_many(**options, resume=True)
    assert caught.value.code == "E-RESUME"


def test_parts_of_other_data_are_refused(table: Path) -> None:
    rows = long(decays(6), TIMES, "t")
    km.fit_many(DECAY, rows, by="well", output="fits.parquet", check=0)
    km.fit_many(DECAY, rows, by="well", output="fits.parquet", resume=True, check=0)
    rows["y"] = rows["y"] + 1e-9
    with pytest.raises(km.BoundsError, match="data was"):
        km.fit_many(DECAY, rows, by="well", output="fits.parquet", resume=True, check=0)
    assert table.exists()


def test_a_damaged_part_is_fitted_again(table: Path, whole: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(table, "-o", "fits.parquet", "--check", "0", wait_for=4)
    kept = parts(table.parent)
    (table.parent / "fits.parquet.parts" / kept[1]).write_bytes(b"PAR1 half a part")
    (table.parent / "fits.parquet.parts" / ".katamuki-left").write_bytes(b"x")
    small_blocks(monkeypatch)
    many = km.fit_many(DECAY, table, by="well", output="fits.parquet", resume=True, check=0)
    assert many.resumed == int(kept[0][21:36])
    assert many.table.equals(whole)


def test_two_runs_do_not_write_to_one_output(table: Path) -> None:
    folder = table.parent / "fits.parquet.parts"
    first = writing.Parts(table.parent / "fits.parquet", {}, km.fit_many(DECAY, table, by="well", check=0).table.schema,
                          False, False)  # fmt: skip
    with pytest.raises(km.BoundsError, match="another run"):
        writing.Parts(table.parent / "fits.parquet", {}, first.schema, True, False)
    first.close()
    assert json.loads((folder / "manifest.json").read_text()) == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"output": "fits.xlsx"}, "suffix"),
        ({"output": 3}, "must be a path"),
        ({"resume": True}, "no output to go on with"),
        ({"overwrite": True}, "no output to replace"),
        ({"output": "a.csv", "resume": True, "overwrite": True}, "not both"),
        ({"output": "no/such/folder/fits.parquet"}, "no folder"),
        ({"output": "wells.csv", "overwrite": True}, "the data are read from"),
        ({"output": ".", "overwrite": True}, "suffix"),
    ],
)
def test_an_output_that_means_nothing_is_refused_before_any_work(
    table: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(km.KatamukiError, match=said) as caught:
        km.fit_many(DECAY, table, by="well", **options)
    assert caught.value.remedy
    assert sorted(one.name for one in table.parent.iterdir()) == ["wells.csv"]


def test_the_data_are_not_overwritten_by_the_table(table: Path) -> None:
    """This used to put the table in the place of the user's data, and to say nothing."""
    before = table.read_bytes()
    many = km.fit_many(DECAY, table, by="well", check=0)
    for call in (
        lambda: many.write(table),
        lambda: many.write(table.parent / "." / "wells.csv"),
        lambda: km.fit_many(DECAY, table, by="well", output=table, overwrite=True, check=0),
    ):
        with pytest.raises(km.BoundsError, match="E-OUTPUT"):
            call()
    assert table.read_bytes() == before
    many.write("other.csv")


def test_a_run_that_fails_before_its_first_part_leaves_nothing(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This used to leave an empty folder, and the next run was told of one that had not ended."""

    def broken(task: Any, curves: Any, threads: int | None = None) -> Any:
        raise km.DataError("E-MEMORY", "many.curve_memory", rows=1, needed="2", limit="1")

    with monkeypatch.context() as patched:
        patched.setattr(engine, "fit_curves", broken)
        with pytest.raises(km.DataError, match="E-MEMORY"):
            km.fit_many(DECAY, table, by="well", output="fits.parquet", check=0)
    assert sorted(one.name for one in table.parent.iterdir()) == ["wells.csv"]
    assert km.fit_many(DECAY, table, by="well", output="fits.parquet", check=0).finished


def test_parts_that_do_not_say_of_what_they_are_are_refused(table: Path, whole: Any) -> None:
    """This used to take parts without a manifest, whatever they were of, for its own."""
    killed(table, "-o", "fits.parquet", "--check", "0")
    folder = table.parent / "fits.parquet.parts"
    (folder / "manifest.json").unlink()
    with pytest.raises(km.BoundsError, match="does not say") as caught:
        km.fit_many("y ~ a + b*t", table, by="well", output="fits.parquet", resume=True)
    assert caught.value.code == "E-RESUME"
    assert parts(table.parent)
    (folder / "notes.txt").write_text("mine")
    many = km.fit_many(DECAY, table, by="well", output="fits.parquet", overwrite=True, check=0)
    assert many.table.equals(whole)
    assert [one.name for one in folder.iterdir()] == ["notes.txt"]  # what others put there stays


def test_a_run_killed_while_it_tidies_up_is_finished(table: Path, whole: Any) -> None:
    """This used to fit everything anew, or to take what was left for parts of this run."""
    km.fit_many(DECAY, table, by="well", output="fits.parquet", check=0)
    (table.parent / "fits.parquet.parts").mkdir()
    (table.parent / "fits.parquet.parts" / "lock").touch()
    again = km.fit_many(DECAY, table, by="well", output="fits.parquet", resume=True, check=0)
    assert again.resumed == COUNT
    assert again.table.equals(whole)
    assert not (table.parent / "fits.parquet.parts").exists()


def test_a_running_run_is_not_begun_anew(table: Path) -> None:
    """This used to remove the parts of a run that was still writing them."""
    schema = km.fit_many(DECAY, table, by="well", check=0).table.schema
    first = writing.Parts(table.parent / "fits.parquet", {}, schema, False, False)
    with pytest.raises(km.BoundsError, match="another run"):
        writing.Parts(table.parent / "fits.parquet", {}, schema, False, True)
    assert (table.parent / "fits.parquet.parts" / "manifest.json").exists()
    first.close()


def test_a_finished_file_of_text_says_why_it_cannot_be_asked(table: Path) -> None:
    km.fit_many(DECAY, table, by="well", output="fits.csv", check=0)
    with pytest.raises(km.BoundsError, match="file of text") as caught:
        km.fit_many(DECAY, table, by="well", output="fits.csv", resume=True, check=0)
    assert "overwrite=True" in str(caught.value)
    assert "--force" in caught.value.render("en", "cli")

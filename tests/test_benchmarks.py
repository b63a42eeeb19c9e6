"""The suite of benchmarks: nothing of the folder is left out, a row that was not measured is named, tables are printed.

No time is asserted anywhere: speed is for ``make bench``.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks"
MODULES = ("suite", "table", "timing", "machine", "run")
GOOD = """
from timing import limit_row, ratio_row, within_row

ratio_row("sums", "peer", (3.0, 1.5, 2.0), 1.5, rows=11)
within_row("sums", "reading", (1.0, 2.0, 0.5), 1.5)
limit_row("a|b*c", "wall time", 4.0, "ms", 5.0)
"""
FAKE_SUITE = """
SUITE = (
    Script("good", "One", (("sums", "peer ÷ ours"), ("sums", "ours ÷ reading"), ("a|b*c", "wall time"))),
    Script("lacking", "Two", (("never", "measured * here"),)),
)
"""
ROW = {
    "script": str, "work": str, "measure": str, "value": float, "unit": str, "sense": str, "target": float,
    "quick": bool, "facts": dict, "measured": str, "machine": dict,
}  # fmt: skip


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """What the scripts share, imported as the scripts import it, and forgotten again."""
    import importlib

    monkeypatch.syspath_prepend(str(FOLDER))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = {name: importlib.import_module(name) for name in MODULES}
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name)
    return found


def listed(suite: ModuleType, folder: set[str]) -> tuple[set[str], set[str]]:
    """Files that the list lacks, and names of the list without a file."""
    known = {one.name for one in suite.SUITE} | set(suite.SUPPORT) | set(suite.BY_HAND)
    return folder - known, known - folder


def test_every_script_of_the_folder_is_listed_and_every_listed_one_is_there(modules: dict[str, ModuleType]) -> None:
    folder = {path.stem for path in FOLDER.glob("*.py")}
    assert listed(modules["suite"], folder) == (set(), set())
    assert listed(modules["suite"], {*folder - {"kernel"}, "stray"}) == ({"stray"}, {"kernel"})


def test_every_script_records_a_row_by_the_shared_functions(modules: dict[str, ModuleType]) -> None:
    for one in modules["suite"].SUITE:
        source = (FOLDER / f"{one.name}.py").read_text(encoding="utf-8")
        assert re.search(r"\b(ratio_row|within_row|limit_row)\(", source), one.name
        assert one.rows, one.name


def test_no_row_is_expected_twice(modules: dict[str, ModuleType]) -> None:
    rows = [row for one in modules["suite"].SUITE for row in one.rows]
    assert len(rows) == len(set(rows))
    names = [one.name for one in modules["suite"].SUITE]
    assert len(names) == len(set(names))


def ran(folder: Path, *given: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """The suite of a folder with two small scripts, one of which lacks its peer."""
    for name in MODULES:
        shutil.copy(FOLDER / f"{name}.py", folder)
    with (folder / "suite.py").open("a", encoding="utf-8") as suite:
        suite.write(FAKE_SUITE)
    (folder / "good.py").write_text(GOOD, encoding="utf-8")
    (folder / "lacking.py").write_text("import a_peer_that_is_not_there\n", encoding="utf-8")
    done = subprocess.run([sys.executable, str(folder / "run.py"), *given], capture_output=True, text=True, check=False)
    return done, json.loads((folder / "results" / "suite.json").read_text(encoding="utf-8"))


def test_a_row_whose_peer_is_missing_fails_by_name_and_does_not_disappear(tmp_path: Path) -> None:
    done, whole = ran(tmp_path)
    assert done.returncode == 1
    assert "No module named 'a_peer_that_is_not_there'" in done.stderr
    table = done.stdout[done.stdout.index("\nwork ") :]
    assert re.search(r"^never +measured \* here .* FAILED \(not measured: lacking\.py\)$", table, re.MULTILINE)
    assert re.search(r"^sums +peer ÷ ours +1\.5 s +3 s +2× +≥ 1\.5× +met\n    rows 11$", table, re.MULTILINE)
    assert re.search(r"^sums +ours ÷ reading +2 s +1 s +2 +≤ 1\.5 +MISSED$", table, re.MULTILINE)
    assert re.search(r"^a\|b\*c +wall time +4 ms +≤ 5 ms +met$", table, re.MULTILINE)
    assert "4 rows: 2 met their targets, 1 missed them, 1 FAILED" in table
    failed = [row for row in whole["rows"] if "failed" in row]
    assert [(row["script"], row["work"]) for row in failed] == [("lacking", "never")]


def test_a_missed_target_is_told_and_no_failure_of_the_run(tmp_path: Path) -> None:
    done, _ = ran(tmp_path, "good")
    assert done.returncode == 0
    assert "MISSED" in done.stdout
    assert "never" not in done.stdout


def test_the_rows_and_the_machine_have_what_the_table_reads(tmp_path: Path) -> None:
    _, whole = ran(tmp_path, "good")
    assert whole["schema"] == 1
    assert len(whole["rows"]) == 3
    for row in whole["rows"]:
        for key, kind in ROW.items():
            assert isinstance(row[key], kind), key
        assert row["met"] in (True, False)
        assert (row["ours_s"] is None) == (row["peer_s"] is None)
    machine = whole["machine"]
    assert {"cpu", "cores", "avx2", "avx512", "memory_gib", "system", "python", "versions"} == set(machine)
    assert machine["versions"]["numpy"]
    assert "jax" in machine["versions"]  # None where it is not installed, and said so


def test_a_quick_run_is_marked_and_compared_with_nothing(tmp_path: Path) -> None:
    done, whole = ran(tmp_path, "good", "--quick")
    assert done.returncode == 0
    assert [row["met"] for row in whole["rows"]] == [None] * 3
    assert "MISSED" not in done.stdout
    assert "3 rows: 3 on a tenth of the rows, not compared" in done.stdout


def test_a_row_that_the_list_does_not_know_is_no_silent_success(tmp_path: Path) -> None:
    ran(tmp_path)
    (tmp_path / "good.py").write_text(GOOD.replace('"wall time"', '"another time"'), encoding="utf-8")
    command = [sys.executable, str(tmp_path / "run.py"), "good"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "FAILED (not measured: good.py)" in done.stdout
    assert "FAILED (not listed: good.py)" in done.stdout


def test_what_was_measured_is_written_between_the_marks_of_a_document(tmp_path: Path) -> None:
    run = (FOLDER / "run.py").read_text(encoding="utf-8")
    begin, end = re.findall(r'"(<!--[^"]*-->)"', run)
    document = tmp_path / "speed.md"
    document.write_text(f"before\n{begin}\nold\n{end}\nafter\n", encoding="utf-8")
    ran(tmp_path, "good", "--write", str(document))
    text = document.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{begin}\n")
    assert text.endswith(f"{end}\nafter\n")
    assert "old" not in text
    assert "| a\\|b\\*c | wall time |  |  | 4 ms | ≤ 5 ms | met |" in text
    assert "**MISSED**" in text
    document.write_text("no marks\n", encoding="utf-8")
    command = [sys.executable, str(tmp_path / "run.py"), "good", "--stored", "--write", str(document)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert document.read_text(encoding="utf-8") == "no marks\n"


def test_a_name_that_chooses_nothing_is_an_error(tmp_path: Path) -> None:
    ran(tmp_path, "good")
    command = [sys.executable, str(tmp_path / "run.py"), "bad_name"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "no script is named bad_name; there are good, lacking" in done.stderr


def test_the_two_sides_must_agree_before_they_are_timed(modules: dict[str, ModuleType]) -> None:
    agree = modules["timing"].agree
    agree(1.0, 1.0 + 1e-9, 8)
    for wrong in (1.0 + 1e-7, float("nan")):
        with pytest.raises(SystemExit, match="disagree"):
            agree(1.0, wrong, 8)


def test_one_measurement_that_fails_does_not_stop_the_others(
    modules: dict[str, ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    taken = []

    def lacking() -> None:
        raise ImportError("no such peer")

    with pytest.raises(SystemExit) as ended:
        modules["timing"].every(lacking, lambda: taken.append(1))
    assert ended.value.code == 1
    assert taken == [1]
    assert "no such peer" in capsys.readouterr().err
    modules["timing"].every(lambda: taken.append(2))
    assert taken == [1, 2]


def test_what_benchmarks_need_alone_is_pinned_and_in_no_other_environment() -> None:
    main, more = (pinned(ROOT / name) for name in ("constraints.txt", "benchmarks/constraints.txt"))
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    peers = {normal(re.split(r"[\[;<>= ]", one)[0]) for one in groups["bench"]}
    assert "jax" in peers
    unpinned = peers - main - more
    assert unpinned == {"nlsq"}  # needs Python 3.12; these versions were tested with 3.11
    assert not {"jax", "optimistix", "statsmodels", "iminuit"} & main
    assert not main & more  # a version stands once


def pinned(file: Path) -> set[str]:
    """The packages that a file of constraints pins."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return {normal(line.split("==")[0]) for line in lines if "==" in line and not line.startswith("#")}


def normal(name: str) -> str:
    """A package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()

"""``katamuki selftest``: exit code 0 only if every fit holds, JSON, CSV, what goes wrong, and Ctrl-C."""

from __future__ import annotations

import csv
import io
import json
import math
from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import fastjsonschema
import pytest

import katamuki as km
from command_line import Command
from katamuki import certified
from katamuki.api import selftest as module

VALIDATE = fastjsonschema.compile(
    json.loads(files("katamuki.report").joinpath("selftest_schema.json").read_text(encoding="utf-8"))
)


def test_the_command_exits_0_only_if_all_hold(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    done = command("selftest", "Norris", "--json", "Longley", "--seed", "3")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    VALIDATE(told)
    assert [one["problem"] for one in told["fits"]] == ["Longley", "Norris"]
    assert told["provenance"]["seed"] == 3
    real = km.fit

    def spoiled(formula: str, data: Any, **options: Any) -> object:
        fit = real(formula, data, **options)
        if "B2" not in formula:
            return fit
        params = fit.params | {"B2": fit.params["B2"] * (1 + 1e-9)}
        return SimpleNamespace(params=params, stderr=fit.stderr, verdict=fit.verdict, findings=fit.findings)

    monkeypatch.setattr(module, "fit", spoiled)
    done = command("selftest", "Norris", "Longley")
    assert done.returncode == 6
    assert "Longley   no start: B2 has 8.9 digits, 10 are wanted" in done.stdout
    assert "1 of 2 fits have the digits wanted" in done.stderr
    assert "[E-CHECK]" in done.stderr
    quiet = command("selftest", "Norris", "Longley", "--quiet")
    assert quiet.returncode == 6
    assert "Longley   no start: B2" in quiet.stdout
    assert "Norris" not in quiet.stdout


def test_the_command_s_csv_has_a_row_for_each_figure(command: Command) -> None:
    done = command("selftest", "--csv", "Norris", "DanWood")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["problem"], row["start"], row["parameter"]) for row in rows[:4]] == [
        ("Norris", "nothing", "B0"), ("Norris", "nothing", "B1"),
        ("DanWood", "nothing", "b1"), ("DanWood", "nothing", "b2"),
    ]  # fmt: skip
    assert len(rows) == 2 + 3 * 2
    p = certified.problem("Norris")
    assert float(rows[1]["digits"]) == min(
        certified.digits(float(rows[1]["value"]), p.refined.params["B1"]), 53 * math.log10(2)
    )
    assert command("selftest", "--csv", "--quiet", "Norris").stdout.count("\n") == 2


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (["Misr1a"], 3, "try: Misra1a [E-DATASET]"),
        (["--json", "--csv"], 2, "--json and --csv were both given"),
        (["--start", "a=1"], 2, "--start"),
        (["--seed", "x"], 2, "--seed"),
    ],
)
def test_what_goes_wrong_is_a_sentence(command: Command, given: list[str], code: int, said: str) -> None:
    done = command("selftest", *given)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stdout == ""


def test_ctrl_c_prints_the_fits_so_far(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    real, made = km.fit, []

    def fit(*given: Any, **options: Any) -> object:
        made.append(1)
        if len(made) == 3:
            raise KeyboardInterrupt
        return real(*given, **options)

    monkeypatch.setattr(module, "fit", fit)
    done = command("selftest", "linear")
    assert done.returncode == 130
    assert "Longley" in done.stdout
    assert "NoInt1" not in done.stdout
    assert "interrupted after 2 of 11 fits" in done.stderr

"""katamuki works where only its dependencies are installed, and is quick to start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXTRAS = ("torch", "pandas", "polars", "sklearn", "lmfit", "mpmath", "hypothesis", "pytest", "shtab")

HIDE = f"""
import sys
from importlib.abc import MetaPathFinder

class Hidden(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return None

sys.meta_path.insert(0, Hidden())
"""


def python(code: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", HIDE + code],
        capture_output=True,
        text=True,
        input=stdin,
        cwd=ROOT / "examples",
        env=dict(os.environ),
        check=False,
    )


@pytest.mark.parametrize("name", EXTRAS)
def test_the_extras_are_really_hidden(name: str) -> None:
    assert python(f"import {name}").returncode == 1


@pytest.mark.parametrize(
    "model",
    ['"y ~ a*x + b"', "lambda x, a, b: a*x + b", '"y ~ a*x^c + b", start={"a": 0.5, "b": 3}, fixed={"c": 1}'],
)
def test_a_fit_with_its_check_works_without_extras(model: str) -> None:
    call, _, options = model.partition('", ')
    call = f'{call}"' if options else call
    done = python(
        f"import katamuki as km\n"
        f"fit = km.fit({call}, 'tutorial.csv'{', ' + options if options else ''})\n"
        f"print(fit.params['a'], fit.check().verdict)"
    )
    assert done.returncode == 0, done.stderr
    value, verdict = done.stdout.split(maxsplit=1)
    assert abs(float(value) / 0.5000909090909091 - 1) < 1e-14
    assert verdict.strip() == "PASS"


def test_the_command_line_works_without_extras() -> None:
    done = python(
        "from katamuki.cli import main\nsys.exit(main(['fit', 'y ~ a*x + b', 'tutorial.csv', '--json']))",
    )
    assert done.returncode == 0, done.stderr
    assert abs(json.loads(done.stdout)["params"]["a"]["value"] / 0.5000909090909091 - 1) < 1e-14


def test_import_brings_no_numpy() -> None:
    done = python("import katamuki\nassert 'numpy' not in sys.modules\nprint(len(sys.modules))")
    assert done.returncode == 0, done.stderr


HEAVY = ["llvmlite", "scipy", "pandas", "torch", "matplotlib", "duckdb", "polars", "sklearn"]


def test_a_second_process_fits_and_checks_the_tutorial_without_the_compiler() -> None:
    """The compiled code stands in the cache after the first process, and the check of a line needs NumPy alone."""
    code = (
        "from katamuki.cli import main\nmain(['fit', 'y ~ a*x + b', 'tutorial.csv', '--quiet'])\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    python(code)
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & (set(HEAVY) - {"llvmlite"})


def test_help_imports_no_numpy() -> None:
    code = (
        "from katamuki.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert 'numpy' not in sys.modules"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr

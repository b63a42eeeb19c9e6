"""The certified problems say what NIST published, and their refined figures solve the published problems.

The judge is a stranger: SymPy reads the formula and takes the derivatives, mpmath solves the normal equations in 60
digits. Two published texts stand beside this file, as NIST distributes them.
"""

from __future__ import annotations

import copy
import functools
import importlib.util
import json
import math
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy

from katamuki import certified
from katamuki.certified import FOLDER, digits, names, problem
from katamuki.errors import DataError

HERE = Path(__file__).parent
ELSEWHERE = HERE.parents[2] / "shared" / "nist"  # figures refined by others, where there are any
PATHS = {path.stem: path for path in sorted(FOLDER.glob("*/*.json"))}
KEYS = [
    *("name", "suite", "difficulty", "kind", "formula", "n", "dof", "columns", "starts", "certified", "note"),
    *("symmetries", "refined", "rounded", "source", "copy"),
]
DOF_MISPRINTED = {"Rat43"}


def raw(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(PATHS[name].read_text(encoding="utf-8"))
    return found


def tool() -> Any:
    """``tools/certified.py``, which is no part of the package; it finds its arithmetic beside itself."""
    sys.path.insert(0, str(HERE.parents[1] / "tools"))
    spec = importlib.util.spec_from_file_location("certified_tool", HERE.parents[1] / "tools" / "certified.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    sys.path.pop(0)
    return module


TOOL = tool()


def flaws(said: dict[str, Any]) -> list[str]:
    """What is wrong with the form of one file; nothing if nothing is."""
    found = []
    if list(said) != KEYS:
        found.append("keys")
    params = list(said["certified"]["params"])
    for figures in (said["certified"], said["refined"], said["rounded"]):
        if list(figures) != ["params", "stderr", "rss", "rsd"]:
            found.append("figures")
        if list(figures["params"]) != params or list(figures["stderr"]) != params:
            found.append("names of parameters")
        texts = [*figures["params"].values(), *figures["stderr"].values(), figures["rss"], figures["rsd"]]
        if not all(isinstance(text, str) and math.isfinite(float(text)) for text in texts):
            found.append("figures are finite decimal text")
    if said["suite"] == "linear" and said["starts"] is not None:
        found.append("starts of a linear problem")
    if said["suite"] == "nonlinear" and [list(start) for start in said["starts"]] != [params, params]:
        found.append("starts")
    lengths = {len(cells.split()) for cells in said["columns"].values()}
    if lengths != {said["n"]} or said["dof"] != said["n"] - len(params):
        found.append("rows")
    rsd = (Decimal(said["certified"]["rss"]) / said["dof"]).sqrt()
    if not prints(said["certified"]["rsd"], str(rsd), slack=1):
        found.append("rsd")
    if (said["note"] is not None) != (said["name"] in DOF_MISPRINTED):
        found.append("note")
    if said["difficulty"] not in {"Lower", "Average", "Higher"} or said["kind"] not in {"Observed", "Generated"}:
        found.append("labels")
    return found


def prints(printed: str, exact: str, slack: float = 0) -> bool:
    """Whether a printed number is an exact one rounded to the digits printed; ``slack`` in units of the last digit."""
    figure, wanted = Decimal(printed), Decimal(exact)
    return abs(figure - wanted) <= (Decimal("0.5") + Decimal(slack)) * Decimal(10) ** figure.as_tuple().exponent


@functools.cache
def compiled(formula: str, params: tuple[str, ...], columns: tuple[str, ...]) -> Any:
    """Left side, model and the model's partials as one function of parameters and one row, by SymPy."""
    symbols = {name: sympy.Symbol(name, real=True) for name in (*params, *columns)}
    exact = formula.replace("0.5", "Rational(1, 2)")
    left, right = (sympy.sympify(side, locals=symbols) for side in exact.split("~"))
    partials = [sympy.diff(right, symbols[name]) for name in params]
    return sympy.lambdify(list(symbols.values()), [left, right, *partials], "mpmath", cse=True)


def solved(said: dict[str, Any], figures: dict[str, Any], rounded: bool = False) -> list[str]:
    """Which figures are not the least-squares solution to 17 digits, judged by one Gauss–Newton step in 60 digits."""
    params = tuple(figures["params"])
    function = compiled(said["formula"], params, tuple(said["columns"]))
    with mpmath.workdps(60):
        at = [mpmath.mpf(text) for text in figures["params"].values()]
        cells = [[mpmath.mpf(float(t) if rounded else t) for t in c.split()] for c in said["columns"].values()]
        square, cross, rss = mpmath.zeros(len(at)), mpmath.zeros(len(at), 1), mpmath.mpf(0)
        for row in zip(*cells, strict=True):
            left, right, *partials = function(*at, *row)
            slopes, residual = mpmath.matrix(partials), left - right
            square, cross, rss = square + slopes * slopes.T, cross + slopes * residual, rss + residual**2
        inverse = mpmath.inverse(square)
        step = inverse * cross
        rss -= (cross.T * step)[
            0
        ]  # as after the step: where residuals are tiny (Lanczos1), 20 digits of the parameters show in them
        wrong = [name for name, s, v in zip(params, step, at, strict=True) if abs(s) > abs(v) * mpmath.mpf("1e-17")]
        bars = [mpmath.sqrt(inverse[k, k] * rss / said["dof"]) for k in range(len(at))]
        pairs = [*zip(bars, figures["stderr"].values(), strict=True), (rss, figures["rss"])]
        pairs.append((mpmath.sqrt(rss / said["dof"]), figures["rsd"]))
        wrong += [text for value, text in pairs if abs(value - mpmath.mpf(text)) > value * mpmath.mpf("1e-17")]
    return wrong


# --- the files ---------------------------------------------------------------------------------------------------


def test_the_38_problems_are_there() -> None:
    assert names() == tuple(PATHS)
    assert names("linear") == (
        *("Filip", "Longley", "NoInt1", "NoInt2", "Norris", "Pontius"),
        *("Wampler1", "Wampler2", "Wampler3", "Wampler4", "Wampler5"),
    )
    assert names("nonlinear") == (
        *("Bennett5", "BoxBOD", "Chwirut1", "Chwirut2", "DanWood", "ENSO", "Eckerle4", "Gauss1", "Gauss2", "Gauss3"),
        *("Hahn1", "Kirby2", "Lanczos1", "Lanczos2", "Lanczos3", "MGH09", "MGH10", "MGH17"),
        *("Misra1a", "Misra1b", "Misra1c", "Misra1d", "Nelson", "Rat42", "Rat43", "Roszman1", "Thurber"),
    )


@pytest.mark.parametrize("name", PATHS)
def test_a_file_has_the_form(name: str) -> None:
    said = raw(name)
    assert flaws(said) == []
    assert said["name"] == name
    assert said["suite"] == PATHS[name].parent.name
    assert "public domain" in said["source"]
    assert said["copy"]


def test_a_file_of_another_form_is_found_out() -> None:
    said = raw("Misra1a")
    for change, flaw in (
        (lambda f: f.update(n=13), "rows"),
        (lambda f: f["columns"].update(x=f["columns"]["x"] + " 1"), "rows"),
        (lambda f: f["certified"].update(rsd="1.0187876331E-01"), None),  # one unit of the last digit is rounding
        (lambda f: f["certified"].update(rsd="1.0187876350E-01"), "rsd"),
        (lambda f: f["refined"]["params"].pop("b2"), "names of parameters"),
        (lambda f: f["rounded"].update(rss=0.1), "figures are finite decimal text"),
        (lambda f: f["starts"].pop(), "starts"),
        (lambda f: f.update(note="mended"), "note"),
        (lambda f: f.update(difficulty="lower"), "labels"),
        (lambda f: f.update(more=1), "keys"),
    ):
        spoiled = copy.deepcopy(said)
        change(spoiled)
        assert flaws(spoiled) == ([flaw] if flaw else []), flaw


# --- the figures -------------------------------------------------------------------------------------------------


def misprinted(said: dict[str, Any]) -> list[str]:
    """Certified figures that are not the refined ones rounded to the digits printed."""
    printed, refined = said["certified"], said["refined"]
    pairs = {
        **{name: (text, refined["params"][name]) for name, text in printed["params"].items()},
        **{f"stderr {name}": (text, refined["stderr"][name]) for name, text in printed["stderr"].items()},
        "rss": (printed["rss"], refined["rss"]),
        "rsd": (printed["rsd"], refined["rsd"]),
    }
    return [name for name, (text, exact) in pairs.items() if not prints(text, exact)]


@pytest.mark.parametrize("name", PATHS)
def test_certified_is_refined_to_the_digits_printed(name: str) -> None:
    assert misprinted(raw(name)) == []


def test_a_wrong_last_digit_is_found_out() -> None:
    said = raw("Misra1a")
    said["certified"]["params"]["b1"] = "2.3894212919E+02"
    assert misprinted(said) == ["b1"]


@pytest.mark.parametrize("name", PATHS)
def test_refined_and_rounded_figures_solve_their_problems(name: str) -> None:
    said = raw(name)
    assert solved(said, said["refined"]) == []
    assert solved(said, said["rounded"], rounded=True) == []


def test_wrong_data_a_wrong_formula_or_a_wrong_figure_does_not_solve() -> None:
    said = raw("Misra1a")
    assert solved(said, said["rounded"])  # solves the data rounded, not the data published
    for change in (
        lambda f: f["columns"].update(y=f["columns"]["y"].replace("81.78", "81.77")),
        lambda f: f.update(formula="y ~ b1 * (1 - exp(-b2 * x)) + 1e-16*x"),
        lambda f: f["refined"]["params"].update(b1="238.94212917886171833"),
        lambda f: f["refined"]["stderr"].update(b2="7.2668688436190392910e-5"),
        lambda f: f["refined"].update(rss="0.12455138894440561601"),
    ):
        spoiled = copy.deepcopy(said)
        change(spoiled)
        assert solved(spoiled, spoiled["refined"])


def differing(name: str, theirs: dict[str, Any]) -> list[str]:
    """Where a file of ours and one of others differ, data and printed figures to the bit, refined ones to 17 digits."""
    said, params = raw(name), theirs["parameters"]
    same = {
        "data": {c: [float(t) for t in cells.split()] for c, cells in said["columns"].items()} == theirs["data"],
        "params": said["certified"]["params"] == {b: p["certified_text"] for b, p in params.items()},
        "stderr": said["certified"]["stderr"] == {b: p["stderr_text"] for b, p in params.items()},
        "rss": said["certified"]["rss"] == theirs["rss_text"],
        "n, dof": (said["n"], said["dof"]) == (theirs["n"], theirs["dof"]),
    }
    for k, start in enumerate(said["starts"] or (), start=1):
        same[f"start {k}"] = {b: float(t) for b, t in start.items()} == {b: p[f"start{k}"] for b, p in params.items()}
    refined = [(said["refined"]["rss"], theirs["rss_refined"])]
    same["symmetries"] = said["symmetries"] == theirs.get("symmetries", {"permute": [], "flip": []})
    refined += [(said["refined"]["params"][b], p["refined"]) for b, p in params.items()]
    refined += [(said["refined"]["stderr"][b], p["stderr_refined"]) for b, p in params.items()]
    same["refined"] = all(abs(Decimal(a) - Decimal(b)) <= abs(Decimal(b)) * Decimal("1e-17") for a, b in refined)
    return [what for what, equal in same.items() if not equal]


def test_figures_refined_by_others_are_the_same_where_they_can_be_had() -> None:
    theirs = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in ELSEWHERE.glob("*/*.json")}
    if ELSEWHERE.exists():
        assert sorted(theirs) == sorted(PATHS)
    else:  # then the printed figures are the only others
        assert sum(not misprinted(raw(name)) for name in PATHS) == 38
    assert {name: found for name, file in theirs.items() if (found := differing(name, file))} == {}


def test_a_difference_from_figures_of_others_is_found_out() -> None:
    said = raw("Misra1a")
    theirs: dict[str, Any] = {
        "data": {c: [float(t) for t in cells.split()] for c, cells in said["columns"].items()},
        "rss_text": said["certified"]["rss"],
        "rss_refined": said["refined"]["rss"],
        "parameters": {
            b: {
                "certified_text": said["certified"]["params"][b],
                "stderr_text": said["certified"]["stderr"][b],
                "refined": said["refined"]["params"][b],
                "stderr_refined": said["refined"]["stderr"][b],
                "start1": float(said["starts"][0][b]),
                "start2": float(said["starts"][1][b]),
            }
            for b in said["certified"]["params"]
        },
        "n": 14,
        "dof": 12,
    }
    assert differing("Misra1a", theirs) == []
    theirs["parameters"]["b2"]["refined"] = "0.00055015643180591355"
    theirs["parameters"]["b1"]["start2"] = 251.0
    theirs["data"]["x"][3] += 0.1
    theirs["symmetries"] = {"permute": [], "flip": [["b1", "b2"]]}
    assert differing("Misra1a", theirs) == ["data", "start 2", "symmetries", "refined"]


# --- the tool that made them -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["NoInt2", "BoxBOD"])
def test_a_published_text_becomes_the_file_that_is_shipped(name: str) -> None:
    read = TOOL.parse((HERE / f"{name}.dat").read_text(encoding="ascii"))
    read |= {"refined": TOOL.refine(read), "rounded": TOOL.refine(read, rounded=True)}
    shipped = raw(name)
    read |= {"source": shipped["source"], "copy": shipped["copy"]}
    assert TOOL.written(read) == PATHS[name].read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("BoxBOD", "      224            10\n", ""),
        ("BoxBOD", "      224            10\n", "      224            10\n      225            11\n"),
        ("BoxBOD", "      224            10\n", "      224\n"),
        ("BoxBOD", "      224            10\n", "      224            ten\n"),
        ("BoxBOD", "6 Observations", "7 Observations"),
        ("BoxBOD", "2 Parameters", "3 Parameters"),
        ("BoxBOD", "Degrees of Freedom:                                4", "Degrees of Freedom:     5"),
        ("BoxBOD", "exp[-b2*x]", "exp[-b2*t]"),
        ("BoxBOD", "Higher Level of Difficulty", ""),
        ("NoInt2", "lines 61 to 63", "lines 60 to 62"),
        ("NoInt2", "Residual     2     0.272727272727273", "Residual     2     -"),
        ("NoInt2", "y = B1*x + e", "y = B1 + e"),
    ],
)
def test_a_published_text_that_contradicts_itself_is_refused(name: str, old: str, new: str) -> None:
    text = (HERE / f"{name}.dat").read_text(encoding="ascii")
    assert text.count(old) == 1
    with pytest.raises((ValueError, IndexError)):
        TOOL.parse(text.replace(old, new))


# --- what the package hands out ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PATHS)
def test_a_problem_carries_its_file(name: str) -> None:
    said, p = raw(name), problem(name)
    assert (p.name, p.suite, p.formula, p.n, p.dof) == (name, said["suite"], said["formula"], said["n"], said["dof"])
    for column, cells in said["columns"].items():
        assert p.decimals[column] == tuple(cells.split())
        assert p.columns[column].dtype == np.float64
        assert p.columns[column].flags.c_contiguous
        assert np.array_equal(p.columns[column], np.array(cells.split(), dtype=np.float64))
    assert p.params == {b: float(t) for b, t in said["refined"]["params"].items()}
    assert p.stderr == {b: float(t) for b, t in said["refined"]["stderr"].items()}
    assert p.rss == float(said["refined"]["rss"])
    assert (p.starts is None) == (p.suite == "linear")
    assert [list(start) for start in p.starts or ()] == [list(p.params)] * (0 if p.starts is None else 2)


def test_changing_one_problem_changes_no_other() -> None:
    problem("Norris").columns["y"][0] = 99.0
    assert problem("Norris").columns["y"][0] == 0.1


def test_an_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(DataError, match="no certified problem called misra1a") as caught:
        problem("misra1a")
    assert caught.value.code == "E-DATASET"
    assert "Misra1a" in (caught.value.remedy or "")


def test_a_name_is_no_path() -> None:
    for name in ("../linear/Filip", "*", "linear/Filip", ""):
        with pytest.raises(DataError):
            problem(name)


def test_digits_count_the_sign_and_the_smallest_error() -> None:
    assert digits(0.333, "0.33333333333333333333") == pytest.approx(3, abs=1e-12)
    assert digits(-1.0, "1.0") == pytest.approx(-math.log10(2))
    assert digits(1e-12, "0.0") == pytest.approx(12)
    assert digits(0.5, "0.5") == math.inf
    assert digits(0.1, "0.1") > 16  # the double nearest to 0.1 is not 0.1
    assert digits(math.nan, "1.0") == digits(math.inf, "1.0") == -math.inf


def test_importing_the_names_imports_no_numpy() -> None:
    import subprocess

    code = "import sys; from katamuki import certified; certified.names(); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert all(hasattr(certified, name) for name in certified.__all__)

"""Parameters that move the curve in jumps only: found on the graph, refused, and the scan that is suggested finds them.

The strangers: differences of the model's values, which must vanish along a jumping parameter and not along others; and
all values of the scan tried one by one with NumPy's straight lines.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import katamuki as km
from katamuki import formula
from katamuki.api.jumps import jumps
from katamuki.backends import numpy_
from katamuki.graph import derivative

X = np.sort(np.random.default_rng(5).uniform(0.0, 10.0, 60))
BREAK = 4.2
Y = np.where(BREAK < X, 3.0, 1.0) + 0.05 * np.random.default_rng(6).standard_normal(60)
DATA = {"x": X, "y": Y}

JUMPING = [
    ("y ~ a*heaviside(x - c) + b", "c", "heaviside(x - c)"),
    ("y ~ a*(x > c) + b", "c", "x > c"),
    ("y ~ a if x > c else b", "c", "x > c"),
    ("y ~ a*x if c <= x else b*x + 3", "c", "c <= x"),
    ("y ~ a + b*sign(x - 2*c)", "c", "sign(x - 2*c)"),
    ("y ~ a + b*abs(sign(x - c) + 2)", "c", "sign(x - c)"),
    ("y ~ a + b*x + (x == c)", "c", "x == c"),
    ("y ~ a + b*exp(-d*x)*(x^2 > c)", "c", "x^2 > c"),
    ("y ~ a + (x > c if x > 5 else x < c)", "c", "x > c"),
    ("y ~ a + b*heaviside(x - log(c))", "c", "heaviside(x - log(c))"),
]
SLOPING = [
    "y ~ a + b*max(x - c, 0)",
    "y ~ a + b*min(x, c)",
    "y ~ a + b*abs(x - c)",
    "y ~ a + b*x if x < c else a + b*c + d*(x - c)",
    "y ~ a + b*(x - c)*(x > c)",
    "y ~ a + b*sigmoid((x - c)/d)",
    "y ~ a*x + b",
    "y ~ a*(x > 5) + b",
    "y ~ a*x + c*0*x",
]


def names(text: str) -> set[str]:
    """The parameters that the module finds."""
    graph = formula.parse(text, ("x", "y")).graph
    return {name for one in jumps(graph, derivative(graph)) for name in one.names}


def differs(text: str, name: str) -> float:
    """The share of random places where a tiny move of a parameter changes the model: 0 for one that only jumps."""
    graph = formula.parse(text, ("x", "y")).graph
    rng = np.random.default_rng(7)
    changed = 0
    for _ in range(200):
        params = dict(zip(graph.parameters, rng.uniform(0.1, 2.0, len(graph.parameters)).tolist(), strict=True))
        here, there = ({**params, name: params[name] + step} for step in (0.0, 1e-9))
        (one,), (two,) = (numpy_.evaluate(graph, DATA, at) for at in (here, there))
        changed += bool((one != two).any())
    return changed / 200


@pytest.mark.parametrize(("text", "name", "what"), JUMPING)
def test_a_parameter_that_only_jumps_is_found_and_differences_agree(text: str, name: str, what: str) -> None:
    assert names(text) == {name}
    assert differs(text, name) == 0.0
    others = set(formula.parse(text, ("x", "y")).graph.parameters) - {name}
    assert all(differs(text, other) > 0.5 for other in others)


@pytest.mark.parametrize("text", SLOPING)
def test_a_parameter_with_slopes_is_left_alone(text: str) -> None:
    assert names(text) == set()


@pytest.mark.parametrize(("text", "name", "what"), JUMPING)
@pytest.mark.parametrize("options", [{}, {"start": {"c": 4.0}}, {"starts": 1}, {"solver": km.Adam(lr=0.1, steps=10)}])
def test_no_start_comes_back_as_an_answer(text: str, name: str, what: str, options: dict[str, Any]) -> None:
    # c used to come back as 1, or as the start that was given
    with pytest.raises(km.FormulaError) as caught:
        km.fit(text, DATA, **options)
    error = caught.value
    assert error.code == "E-JUMP"
    assert f"no solver can find {name}" in str(error)
    typed, carets = str(error.where).split("\n")[:2]
    first = carets.index("^")
    assert typed[first : first + carets.count("^")] == what


def test_with_every_jumping_parameter_held_the_others_are_fitted() -> None:
    fit = km.fit("y ~ a*(x > c) + b", DATA, fixed={"c": BREAK})
    low, high = Y[X <= BREAK].mean(), Y[X > BREAK].mean()
    assert fit.params == pytest.approx({"a": high - low, "c": BREAK, "b": low})
    assert fit.stderr["c"] is None


def test_of_two_that_jump_the_second_is_named_once_the_first_is_held() -> None:
    text = "y ~ a*((x > c)*(x < d)) + b"
    with pytest.raises(km.FormulaError, match="can find c"):
        km.fit(text, DATA)
    with pytest.raises(km.FormulaError, match="can find d"):
        km.fit(text, DATA, fixed={"c": 4.0})
    assert km.fit(text, DATA, fixed={"c": 4.0, "d": 11.0}).state == "exact"


def test_a_function_is_refused_as_its_formula_is() -> None:
    with pytest.raises(km.FormulaError, match=r"can find c: .*\(x > c\)") as caught:
        km.fit(lambda x, a, b, c: a * (x > c) + b, DATA)
    assert "katamuki.fit(model, data" in caught.value.remedy


def test_a_race_says_it_as_well() -> None:
    with pytest.raises(km.FormulaError, match="E-JUMP"):
        km.race("y ~ a*(x > c) + b", DATA)


# --- the scan that is suggested -------------------------------------------------------------------------------------


def scanned(error: km.KatamukiError, model: object, data: dict[str, Any]) -> km.Fit:
    """Run the lines of code of a remedy, as they are printed."""
    lines = [line.strip() for line in str(error.remedy).split("\n") if re.match(r" +\w+ = ", line)]
    space: dict[str, Any] = {"katamuki": km, "numpy": np, "data": data, "model": model}
    exec("\n".join(lines), space)
    found = space["best"]
    assert isinstance(found, km.Fit)
    return found


def exhaustive(x: np.ndarray, y: np.ndarray) -> float:
    """The smallest rss of two constants, over every place of the jump."""
    return min(
        float(((y[:k] - y[:k].mean()) ** 2).sum() + ((y[k:] - y[k:].mean()) ** 2).sum()) for k in range(1, len(x))
    )


@pytest.mark.parametrize("text", ["y ~ a*heaviside(x - c) + b", "y ~ a*(x > c) + b", "y ~ a if c < x else b"])
def test_the_scan_of_the_gaps_finds_the_best_of_all_places(text: str) -> None:
    with pytest.raises(km.FormulaError) as caught:
        km.fit(text, DATA)
    fit = scanned(caught.value, text, DATA)
    assert fit.rss == pytest.approx(exhaustive(X, Y), rel=1e-12)
    assert X[BREAK >= X].max() < fit.params["c"] < X[BREAK < X].min()


def test_the_scan_of_a_function_runs_as_well() -> None:
    def model(x: Any, a: Any, b: Any, c: Any) -> Any:
        return a * (x > c) + b

    with pytest.raises(km.FormulaError) as caught:
        km.fit(model, DATA)
    assert scanned(caught.value, model, DATA).rss == pytest.approx(exhaustive(X, Y), rel=1e-12)


def test_the_scan_of_a_range_covers_the_places_of_the_jumps() -> None:
    text = "y ~ a*heaviside(x - 2*c) + b"
    with pytest.raises(km.FormulaError) as caught:
        km.fit(text, DATA)
    low, high = map(float, re.search(r"linspace\((.*), (.*), 101\)", str(caught.value)).groups())  # type: ignore[union-attr]
    assert (low, high) == pytest.approx((X.min() / 2, X.max() / 2), rel=1e-5)
    assert abs(scanned(caught.value, text, DATA).params["c"] - BREAK / 2) < 0.1


def test_the_scan_of_an_equality_takes_the_values_themselves() -> None:
    group = np.repeat([1.0, 2.0, 7.0], 5)
    data = {"g": group, "y": np.where(group == 7.0, 3.0, 1.0) + 0.1 * np.sin(9.0 * np.arange(15))}
    with pytest.raises(km.FormulaError) as caught:
        km.fit("y ~ a + b*(g == c)", data)
    assert scanned(caught.value, "", data).params["c"] == 7.0


def test_where_nothing_is_known_of_the_values_the_bounds_are_scanned_or_left_to_the_user() -> None:
    text = "y ~ a*(x > b*c) + b"
    with pytest.raises(km.FormulaError, match=r"linspace\(LOW, HIGH, 101\)"):
        km.fit(text, DATA)
    with pytest.raises(km.FormulaError, match=r"linspace\(2, 6, 101\)"):
        km.fit(text, DATA, bounds={"c": (2, 6)})


def test_the_loop_of_the_command_line_puts_the_answer_first(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "t.csv", np.column_stack([X, Y]), delimiter=",", header="x,y", comments="")
    with pytest.raises(km.FormulaError) as caught:
        km.fit("y ~ a*heaviside(x - c) + b", DATA)
    advice = str(caught.value.advice("en", "cli"))
    loop = "\n".join(line for line in advice.split("\n") if re.match(r"  +(for|katamuki|done)", line))
    low, step, high = map(float, re.search(r"seq (\S+) (\S+) (\S+)\)", loop).groups())  # type: ignore[union-attr]
    assert (low, high, step) == pytest.approx((X.min(), X.max(), np.ptp(X) / 100), rel=1e-4)
    loop = re.sub(r"\$\(seq .*?\)", "2.5 4.2 8", loop).replace("FILE", "t.csv")
    loop = loop.replace("katamuki fit", f"{sys.executable} -m katamuki fit")
    done = subprocess.run(["bash", "-c", loop], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=100)
    rows = done.stdout.splitlines()
    assert [float(row.split(",")[2]) for row in rows] == [4.2, 2.5, 8.0]  # a, its error, c, …


def test_the_command_ends_with_the_code_of_a_formula(command: Any) -> None:
    done = command("fit", "y ~ a*(x > c) + b", "tutorial.csv")
    assert done.returncode == 4
    assert "E-JUMP" in done.stderr
    assert "--fix c=$value" in done.stderr
    done = command("fit", "y ~ a*(x > c) + b", "tutorial.csv", "--lang", "ja")
    assert "走査" in done.stderr

"""Make the files of ``katamuki.certified`` from NIST's published tables, and refine their figures to 20 digits.

    python tools/certified.py FOLDER --copy "where the texts came from" [--only NAME ...]

FOLDER holds the texts as NIST publishes them (``Misra1a.dat``, ...). Everything in a file of ours is parsed from such
a text; nothing is typed by hand. NIST prints 11 digits (15 for the linear problems), fewer than double carries, so the
same least-squares problem is solved again: linear ones exactly, in rational arithmetic; nonlinear ones by Newton's
method in 80 digits from the certified values. Twice each: on the data as published, in decimals (``refined``), and
on the data rounded to double (``rounded``), which is all that a program in double ever sees.

Which parameters may change places or signs and leave the model what it is (``symmetries``) is found by trying every
pairing and every set of signs.

It does not fetch anything, and shares no code with katamuki: what it writes is there to judge katamuki.
Source: NIST/ITL Statistical Reference Datasets, https://www.itl.nist.gov/div898/strd/ (public domain).
"""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

from certified_arithmetic import Jet, evaluate
from mpmath import mp, mpf

PACKAGE = Path(__file__).parent.parent / "src/katamuki/certified"
SOURCE = "NIST/ITL Statistical Reference Datasets (StRD), public domain, US Government; dataset {}"
NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[Ee][-+]?\d+)?)"
WORKING = 80  # digits carried; the files get 20
PRINTED = 20
NOTES = {
    "Rat43": "NIST's table prints 9 degrees of freedom; 15 rows less 4 parameters are 11, which its own residual "
    "standard deviation uses; 11 stands here."
}

# --- the published text ------------------------------------------------------------------------------------------


def parse(text: str) -> dict[str, Any]:
    """Everything of one published text, numbers as the decimal text printed there."""
    name = only(r"^Dataset Name:\s+(\w+)", text)
    linear = "Linear Least Squares" in only(r"^Procedure:\s+(.+)$", text) and "Nonlinear" not in text
    columns = table(text)
    starts, params, stderr = parameters(text, linear)
    dof = only(r"^Residual\s+(\d+)\s" if linear else r"^Degrees of Freedom:\s+(\d+)", text)
    rss = only(r"^Residual\s+\d+\s+" + NUMBER if linear else r"^Residual Sum of Squares:\s+" + NUMBER, text)
    rsd = only(r"^\s+Standard Deviation\s+" + NUMBER if linear else r"^Residual Standard Deviation:\s+" + NUMBER, text)
    n = len(next(iter(columns.values())))
    if int(dof) != n - len(params) and name not in NOTES:
        raise ValueError(f"{name}: {dof} degrees of freedom, {n} rows, {len(params)} parameters")
    said = {
        "name": name,
        "suite": "linear" if linear else "nonlinear",
        "difficulty": only(r"(Lower|Average|Higher) Level of Difficulty", text),
        "kind": only(r"(Observed|Generated) Data", text),
        "formula": formula(text, tuple(params), tuple(columns)[1:]),
        "n": n,
        "dof": n - len(params),
        "columns": columns,
        "starts": starts,
        "certified": {"params": params, "stderr": stderr, "rss": rss, "rsd": rsd},
        "note": NOTES.get(name),
    }
    return said | {"symmetries": symmetries(said)}


def only(pattern: str, text: str) -> str:
    """The one match of a pattern; two different ones, or none, are an error."""
    found = set(re.findall(pattern, text, re.MULTILINE))
    if len(found) != 1:
        raise ValueError(f"{pattern!r} matches {sorted(found)}")
    return str(found.pop())


def table(text: str) -> dict[str, list[str]]:
    """The data, at exactly the lines that the text's own header announces, as many rows as it announces."""
    lines = text.splitlines()
    first, last = (int(k) for k in re.findall(r"^\s+Data\s+\(lines (\d+) to\s+(\d+)\)", text, re.MULTILINE)[0])
    if not lines[first - 2].startswith("Data:"):
        raise ValueError(f"line {first - 1} is not the head of the data: {lines[first - 2]!r}")
    names = lines[first - 2].removeprefix("Data:").split()
    rows = [line.split() for line in lines[first - 1 : last]]
    if any(line.strip() for line in lines[last:]) or any(len(row) != len(names) for row in rows):
        raise ValueError("the data do not end, or do not fill the columns, as announced")
    if len(rows) != int(only(r"(\d+) Observations$", re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE))):
        raise ValueError(f"{len(rows)} rows of data, another number announced")
    if not all(re.fullmatch(NUMBER, cell) for row in rows for cell in row):
        raise ValueError("a cell of the data is no number")
    return {name: [row[k] for row in rows] for k, name in enumerate(names)}


def parameters(text: str, linear: bool) -> tuple[list[dict[str, str]] | None, dict[str, str], dict[str, str]]:
    """Starts, certified values and certified standard errors by name."""
    if linear:
        rows = re.findall(rf"^\s+(B\d+)\s+{NUMBER}\s+{NUMBER}\s*$", text, re.MULTILINE)
        return None, {r[0]: r[1] for r in rows}, {r[0]: r[2] for r in rows}
    rows = re.findall(rf"^\s*(b\d+)\s*=\s+{NUMBER}\s+{NUMBER}\s+{NUMBER}\s+{NUMBER}\s*$", text, re.MULTILINE)
    return [{r[0]: r[k] for r in rows} for k in (1, 2)], {r[0]: r[3] for r in rows}, {r[0]: r[4] for r in rows}


def formula(text: str, names: Sequence[str], predictors: Sequence[str]) -> str:
    """The model in katamuki's spelling: ``~``, round brackets, ``atan``, no error term, dots written out."""
    model = re.search(
        r"^Model:.*?Parameters?[^\n]*\n(.*?)(?:Starting [Vv]alues|Certified Regression)", text, re.S | re.M
    )
    if model is None or int(only(r"(\d+) Parameters? \(", text)) != len(names):
        raise ValueError("no model, or another number of parameters than announced")
    said = " ".join(line for line in model[1].split("\n") if not line.strip().startswith("pi ="))
    left, right = re.sub(r"\+\s*e\s*$", "", said.strip()).replace("[", "(").replace("]", ")").split("=")
    if "..." in right:
        (x,) = predictors
        powers = [f"{b}*({x}**{k})" if k > 1 else f"{b}*{x}" if k else b for k, b in enumerate(names)]
        if not right.strip().endswith(" + ".join(["...", *powers[-2:]])):
            raise ValueError(f"cannot write out {right!r}")
        right = " + ".join(powers)
    tree = ast.parse(right.replace("arctan", "atan").strip(), mode="eval")
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if not set(names) | set(predictors) <= used:
        raise ValueError(f"the model {right!r} does not use {set(names) | set(predictors) - used}")
    return f"{left.strip()} ~ {ast.unparse(tree)}"


# --- parameters that may change places or signs ------------------------------------------------------------------


def symmetries(problem: Mapping[str, Any]) -> dict[str, list[list[str]]]:
    """Which parameters change places together (``permute``: a list per place, the same terms in each), and which
    change sign together (``flip``), without changing the model. Each is tried at four points and odd values.

    A linear model has none: its columns are independent, so every set of values is another curve.
    """
    names = tuple(problem["certified"]["params"])
    if problem["suite"] == "linear":
        return {"permute": [], "flip": []}
    flips: list[set[str]] = []
    for size in range(1, len(names) + 1):
        for some in map(set, combinations(names, size)):
            if not any(one <= some for one in flips) and same(problem, {b: (b, -1) for b in some}):
                flips.append(some)
    swaps: list[dict[str, str]] = []
    for swap in sorted(pairings(names), key=len):
        parts = [one for one in swaps if one.items() <= swap.items()]
        if swap and set().union(*parts) != set(swap) and same(problem, {b: (c, 1) for b, c in swap.items()}):
            swaps.append(swap)
    return {"permute": equal_terms(problem["name"], names, swaps), "flip": [sorted(one) for one in flips]}


def pairings(names: Sequence[str]) -> Iterator[dict[str, str]]:
    """Every way of exchanging some parameters pairwise: each is a map from a name to its partner, both ways."""
    if not names:
        yield {}
        return
    first, *rest = names
    for others in pairings(rest):
        yield others
    for k, partner in enumerate(rest):
        for others in pairings(rest[:k] + rest[k + 1 :]):
            yield {first: partner, partner: first, **others}


def same(problem: Mapping[str, Any], moved: Mapping[str, tuple[str, int]]) -> bool:
    """Whether the model has the same value when parameters take the value of another, or the other sign."""
    with mp.workdps(40):
        names = tuple(problem["certified"]["params"])
        odd = {b: mpf(k * k + 3) / 7 + mp.sqrt(k + 2) / 50 for k, b in enumerate(names)}
        other = odd | {b: sign * odd[c] for b, (c, sign) in moved.items()}
        right = ast.parse(problem["formula"].split("~")[1].strip(), mode="eval")
        for row in range(1, 5):  # no rows of the data, where a term may have died away
            scope = {"pi": mp.pi, **{name: mp.sqrt(2 * row + k) for k, name in enumerate(problem["columns"])}}
            one, two = (evaluate(right, scope | values) for values in (odd, other))
            if abs(one - two) > abs(one) * mpf(10) ** -25:
                return False
    return True


def equal_terms(name: str, names: Sequence[str], swaps: Sequence[dict[str, str]]) -> list[list[str]]:
    """The exchanges as one list per place of a term: ``[["b1", "b3"], ["b2", "b4"]]`` exchanges (b1, b2), (b3, b4)."""
    if not swaps:
        return []
    first = min((b for swap in swaps for b in swap), key=names.index)
    ours = [swap for swap in swaps if first in swap]
    places = [b for b in names if b in ours[0] and names.index(b) < names.index(ours[0][b])]
    rows = [[b, *(swap[b] for swap in ours)] for b in places]
    terms = len(rows[0])
    if len(swaps) != terms * (terms - 1) // 2:
        raise ValueError(f"{name}: other symmetries than exchanges of equal terms: {swaps}")
    return rows


# --- the same problem, solved again ------------------------------------------------------------------------------


def refine(problem: Mapping[str, Any], rounded: bool = False) -> dict[str, Any]:
    """The least-squares solution of a problem to 20 digits; ``rounded``: of its data rounded to double."""
    with mp.workdps(WORKING):
        solve = exactly if problem["suite"] == "linear" else by_newton
        number = Fraction if problem["suite"] == "linear" else mpf
        columns = {
            name: [number(float(t)) if rounded else number(t) for t in texts]
            for name, texts in problem["columns"].items()
        }
        values, variances, rss = solve(problem, columns)
        names = tuple(problem["certified"]["params"])
        return {
            "params": {name: said(v) for name, v in zip(names, values, strict=True)},
            "stderr": {name: said(mp.sqrt(real(v))) for name, v in zip(names, variances, strict=True)},
            "rss": said(rss),
            "rsd": said(mp.sqrt(real(rss) / problem["dof"])),
        }


def real(value: Any) -> Any:
    return mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else mpf(value)


def said(value: Any) -> str:
    return str(mp.nstr(real(value), PRINTED, strip_zeros=False)) if value else "0.0"


def system(
    problem: Mapping[str, Any], columns: Mapping[str, Sequence[Any]], at: Sequence[Any]
) -> tuple[list[list[Any]], list[Any], Any]:
    """At the parameters ``at``: JᵀJ (p, p), Jᵀr (p,) and rᵀr, with r = left side − right side."""
    left, right = (ast.parse(side.strip(), mode="eval") for side in problem["formula"].split("~"))
    p, names = len(at), tuple(problem["certified"]["params"])
    jets = {name: Jet(at[k], [at[k] * 0 + int(j == k) for j in range(p)]) for k, name in enumerate(names)}
    square, cross, rss = [[0] * p for _ in range(p)], [0] * p, 0
    for row in zip(*columns.values(), strict=True):
        scope: dict[str, Any] = {"pi": mp.pi, **dict(zip(columns, row, strict=True))}
        model = evaluate(right, {**scope, **jets})
        residual = evaluate(left, scope) - model.value
        rss += residual * residual
        for j, d in enumerate(model.partials):
            cross[j] += d * residual
            for k in range(j + 1):
                square[j][k] += d * model.partials[k]
    for j in range(p):
        for k in range(j):
            square[k][j] = square[j][k]
    return square, cross, rss


def inverse(matrix: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Gauss and Jordan with row exchanges; exact for rationals."""
    p = len(matrix)
    work = [[*row, *(int(j == k) for k in range(p))] for j, row in enumerate(matrix)]
    for j in range(p):
        pivot = max(range(j, p), key=lambda i: abs(work[i][j]))
        work[j], work[pivot] = work[pivot], work[j]
        work[j] = [v / work[j][j] for v in work[j]]
        for i in range(p):
            if i != j:
                work[i] = [v - work[i][j] * w for v, w in zip(work[i], work[j], strict=True)]
    return [row[p:] for row in work]


def exactly(problem: Mapping[str, Any], columns: Mapping[str, Sequence[Any]]) -> tuple[list[Any], list[Any], Any]:
    """The normal equations of a linear problem in rational arithmetic: no rounding at all before the square root."""
    p = len(problem["certified"]["params"])
    square, cross, _ = system(problem, columns, [Fraction(0)] * p)
    inv = inverse(square)
    values = [sum(a * c for a, c in zip(row, cross, strict=True)) for row in inv]
    rss = system(problem, columns, values)[2]
    return values, [inv[k][k] * rss / problem["dof"] for k in range(p)], rss


def by_newton(problem: Mapping[str, Any], columns: Mapping[str, Sequence[Any]]) -> tuple[list[Any], list[Any], Any]:
    """Newton's method on the gradient Jᵀr, whose derivative comes from differences of 30 digits.

    Each step gains some 28 digits. Gauss–Newton would do where residuals are small; Newton does not need them to be.
    """
    values = [mpf(v) for v in problem["certified"]["params"].values()]
    p, nudge = len(values), mpf(10) ** -30
    for _ in range(12):
        gradient = system(problem, columns, values)[1]
        slopes = []
        for k in range(p):
            moved = [v * (1 + nudge) if j == k else v for j, v in enumerate(values)]
            ahead = system(problem, columns, moved)[1]
            slopes.append([(a - g) / (values[k] * nudge) for a, g in zip(ahead, gradient, strict=True)])
        inv = inverse([[slopes[k][j] for k in range(p)] for j in range(p)])
        step = [-sum(a * g for a, g in zip(row, gradient, strict=True)) for row in inv]
        values = [v + s for v, s in zip(values, step, strict=True)]
        if max(abs(s / v) for s, v in zip(step, values, strict=True)) < mpf(10) ** -35:
            square, _, rss = system(problem, columns, values)
            inv = inverse(square)
            return values, [inv[k][k] * rss / problem["dof"] for k in range(p)], rss
    raise ValueError(f"{problem['name']}: Newton's method does not settle")


# --- files -------------------------------------------------------------------------------------------------------


def written(problem: Mapping[str, Any]) -> str:
    """One file of ours: a line per fact, a line per column of data, its cells separated by blanks."""
    lines = []
    for key, value in problem.items():
        if key == "columns":
            cells = (f"  {json.dumps(name)}: {json.dumps(' '.join(texts))}" for name, texts in value.items())
            lines.append(' "columns": {\n' + ",\n".join(cells) + "\n }")
        elif key in {"certified", "refined", "rounded"}:
            facts = (f"  {json.dumps(name)}: {json.dumps(fact)}" for name, fact in value.items())
            lines.append(f" {json.dumps(key)}: {{\n" + ",\n".join(facts) + "\n }")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> None:
    """Read the published texts of a folder and write the package's files."""
    asked = argparse.ArgumentParser(description="Make the files of katamuki.certified from NIST's published texts.")
    asked.add_argument("folder", type=Path, help="where the .dat texts are")
    asked.add_argument("--only", nargs="+", help="names of data sets; all without")
    asked.add_argument("--copy", required=True, help="where the texts came from, for the files")
    given = asked.parse_args()
    for path in sorted(given.folder.glob("*.dat")):
        if given.only and path.stem not in given.only:
            continue
        problem = parse(path.read_text(encoding="ascii"))
        problem |= {"refined": refine(problem), "rounded": refine(problem, rounded=True)}
        problem |= {"source": SOURCE.format(problem["name"]), "copy": given.copy}
        home = PACKAGE / problem["suite"] / f"{problem['name']}.json"
        home.parent.mkdir(parents=True, exist_ok=True)
        home.write_text(written(problem), encoding="utf-8")
        print(problem["name"], problem["formula"], sep="\t")


if __name__ == "__main__":
    main()

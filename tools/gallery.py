"""Make the gallery of hard problems in tests/answers/gallery, and find their best residual sums of squares.

    python tools/gallery.py [--only NAME ...]

Each problem is a published table, or drawn with a seed in the style of the paper it names. Its best known RSS is the
least that SciPy's least_squares found from 360 starts, and differential evolution twice, polished in long double; the
file says how many starts reached it. It shares no code with katamuki: what it writes is there to judge katamuki.
Without ``--only`` files of problems that are no more are removed.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from gallery_problems import DOSE, ENZYMES, EXPONENTIALS, GROWTH, OSCILLATIONS, Row
from gallery_problems_more import LINES, PEAKS, PHYSICS
from gallery_solver import FUNCTIONS, LEAST, Model, Search, polished, sides
from gallery_tables import TABLES, Table

FOLDER = Path(__file__).parent.parent / "tests/answers/gallery"
GROUPS: dict[str, tuple[Row | Table, ...]] = {
    "published table": TABLES,
    "growth": GROWTH,
    "binding and enzymes": ENZYMES,
    "dose and response": DOSE,
    "oscillations": OSCILLATIONS,
    "exponentials": EXPONENTIALS,
    "peaks": PEAKS,
    "physics": PHYSICS,
    "broken lines": LINES,
}
OFF = 1e-6  # standard errors that the answer may be off: 1e-12 of the RSS
DIGITS = {"x": 10, "y": 6}  # of predictors and responses, in the tables that are drawn


def names_in(tree: ast.AST) -> tuple[str, ...]:
    """The names in a formula's tree that are no functions, in order of first appearance."""
    found = sorted((one for one in ast.walk(tree) if isinstance(one, ast.Name)), key=lambda one: one.col_offset)
    return tuple(dict.fromkeys(one.id for one in found if one.id not in {*FUNCTIONS, "max", "min", "pi"}))


def cells(values: Any, digits: int) -> str:
    """Numbers as a table prints them, blanks between."""
    return " ".join(f"{v:.{digits}g}" for v in np.asarray(values).tolist())


def drawn(row: Row) -> dict[str, str]:
    """The columns of a problem that is drawn, the response first."""
    g = np.random.default_rng(row.seed)
    predictors = {name: cells(draw(g), DIGITS["x"]) for name, draw in row.columns.items()}
    columns = {name: numbers(text) for name, text in predictors.items()}
    right = Model(row.formula, columns, tuple(row.truth), ()).value(row.truth)
    (response,) = names_in(sides(row.formula)[0])
    return {response: cells(row.back(row.noise(g, right)), DIGITS["y"]), **predictors}


def numbers(text: str) -> Any:
    return np.array([float(cell) for cell in text.split()])


def made(group: str, row: Row | Table) -> dict[str, Any]:
    """Everything that the file of one problem says."""
    texts = dict(row.columns) if isinstance(row, Table) else drawn(row)
    columns = {name: numbers(str(text)) for name, text in texts.items()}
    names = tuple(name for name in names_in(sides(row.formula)[1]) if name not in columns)
    if set(names) != set(row.truth) or set(row.linear.split()) | set(row.wide) != set(names):
        raise ValueError(f"{row.name}: parameters {names}, others declared")
    model = Model(row.formula, columns, names, tuple(row.linear.split()))
    best, ends = Search(model, row.truth, row.wide, seed=1).run()
    answer = polished(model, best)
    rss = float(answer.rss)
    least = min(min(each) for each in ends.values())
    if not answer.step < OFF or not least > rss * (1 - 1e-10):
        raise ValueError(f"{row.name}: no smooth minimum: {answer.step:.1e} standard errors off, {least!r}, {rss!r}")
    reached = {kind: [sum(one <= rss * (1 + LEAST) for one in each), len(each)] for kind, each in ends.items()}
    published = {"published_rss": row.rss} if isinstance(row, Table) else {"seed": row.seed}
    return {
        "name": row.name,
        "group": group,
        "formula": row.formula,
        "columns": texts,
        "params": {b: np.format_float_scientific(v, 20, trim="-") for b, v in zip(names, answer.values, strict=True)},
        "rss": np.format_float_scientific(answer.rss, 17, trim="-"),
        "truth" if isinstance(row, Row) else "published": dict(row.truth),
        **published,
        "source": row.source,
        "reached": reached,
        "how": said(reached),
        "stderr": {name: float(f"{e:.3g}") for name, e in zip(names, answer.stderr, strict=True)},
    }  # fmt: skip


def said(reached: Mapping[str, list[int]]) -> str:
    """How the best known RSS was obtained, in words."""
    counts = {kind: f"{found} of {count}" for kind, (found, count) in reached.items()}
    return (
        f"SciPy {scipy.__version__} least_squares with exact Jacobians, linear parameters eliminated at each start: "
        f"reached by {counts['near']} starts round the truth and {counts['wide']} in a wide box (lm), {counts['trf']} "
        f"in the wide box (trf), and {counts['evolution']} runs of differential_evolution; polished by Gauss-Newton in "
        f"long double"
    )


def main() -> int:
    """Write the files; 1 if a problem has no smooth minimum."""
    asked = argparse.ArgumentParser(description="Make tests/answers/gallery.")
    asked.add_argument("--only", nargs="+", metavar="NAME", help="these problems alone")
    only = asked.parse_args().only
    FOLDER.mkdir(exist_ok=True)
    failed = 0
    for group, row in ((group, row) for group, rows in GROUPS.items() for row in rows):
        if only and row.name not in only:
            continue
        began = time.perf_counter()
        try:
            found = made(group, row)
        except ValueError as error:
            print(error)
            failed += 1
            continue
        text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
        (FOLDER / f"{row.name}.json").write_text(text, encoding="utf-8")
        counts = " ".join(f"{a}/{b}" for a, b in found["reached"].values())
        seconds = time.perf_counter() - began
        print(f"{row.name:30} {float(found['rss']):12.6g} {counts:28} {seconds:6.1f} s", flush=True)
    if not only:
        known = {row.name for rows in GROUPS.values() for row in rows}
        for path in FOLDER.glob("*.json"):
            if path.stem not in known:
                path.unlink()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())

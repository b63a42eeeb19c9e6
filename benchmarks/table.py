"""Rows as a table: for the terminal, and as Markdown for ``docs/benchmarks.md``. Reads rows; measures nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from suite import SUITE, Script, fits

HEADS = ("work", "measure", "ours", "peer", "value", "target", "")
Row = dict[str, Any]


def collected(rows: Iterable[Row], scripts: Sequence[Script] = SUITE) -> list[tuple[str, list[Row]]]:
    """The list's rows by part, in its order; one that was not measured is a row that says so, as is one not listed."""
    left = list(rows)
    parts: dict[str, list[Row]] = {}
    for script in scripts:
        for expected in script.rows:
            found = next((row for row in left if row["script"] == script.name and fits(row, expected)), None)
            if found is None:
                found = {"script": script.name, "work": expected[0], "measure": expected[1], "failed": "not measured"}
            else:
                left.remove(found)
            parts.setdefault(script.part, []).append(found)
    for row in left:
        parts.setdefault("Not in suite.py", []).append({**row, "failed": "not listed"})
    return list(parts.items())


def verdict(row: Row) -> str:
    """``met``, ``MISSED``, ``FAILED``, or ``quick``: measured on a tenth of the rows and compared with nothing."""
    if "failed" in row:
        return f"FAILED ({row['failed']}: {row['script']}.py)"
    return "quick" if row["quick"] else "met" if row["met"] else "MISSED"


def cells(row: Row) -> tuple[str, ...]:
    """The seven cells of a row."""
    if "value" not in row:
        return (row["work"], row["measure"], "–", "–", "–", "–", verdict(row))
    unit = {"times": "×", "ratio": ""}.get(row["unit"], " " + row["unit"])
    sign = "≥" if row["sense"] == "at least" else "≤"
    alone = row["ours_s"] is None
    return (
        row["work"],
        row["measure"],
        "" if alone else duration(row["ours_s"]),
        "" if alone else duration(row["peer_s"]),
        f"{row['value']:.3g}{unit}",
        f"{sign} {row['target']:g}{unit}",
        verdict(row),
    )


def beside(row: Row) -> str:
    """The facts that stand beside a row."""
    return ", ".join(f"{name} {text}" for name, text in row.get("facts", {}).items())


def line(row: Row) -> str:
    """One row as it is measured."""
    work, measure, ours, peer, value, target, said = cells(row)
    times = f"   {peer} and ours {ours}" if ours else ""
    more = f"   {beside(row)}" if beside(row) else ""
    return f"{work:44} {measure:34} {value:>12} {target:>10}  {said}{times}{more}"


def printed(parts: Sequence[tuple[str, list[Row]]]) -> str:
    """The table for a terminal; the facts of a row stand below it."""
    table = [(part, [(cells(row), beside(row)) for row in rows]) for part, rows in parts]
    everything = [HEADS, *(one for _, rows in table for one, _ in rows)]
    widths = [max(len(row[k]) for row in everything) for k in range(len(HEADS))]

    def laid(row: Sequence[str]) -> str:
        left = [f"{row[k]:{widths[k]}}" for k in (0, 1)]
        right = [f"{row[k]:>{widths[k]}}" for k in (2, 3, 4, 5)]
        return "  ".join([*left, *right, row[6]]).rstrip()

    lines = [laid(HEADS)]
    for part, rows in table:
        lines += ["", part]
        for row, facts in rows:
            lines += [laid(row)] + ([f"    {facts}"] if facts else [])
    return "\n".join(lines)


def markdown(parts: Sequence[tuple[str, list[Row]]]) -> str:
    """The tables for the document, one per part."""
    lines: list[str] = []
    for part, rows in parts:
        lines += [f"### {part}", "", f"| {' | '.join(HEADS[:-1])} | | beside |", "|---|---|--:|--:|--:|--:|---|---|"]
        for row in rows:
            said = verdict(row)
            marked = f"**{said}**" if said.startswith(("MISSED", "FAILED")) else said
            # An asterisk and a bar are marks of Markdown.
            text = [*cells(row)[:-1], marked, beside(row)]
            safe = [one if one is marked else one.replace("*", "\\*").replace("|", "\\|") for one in text]
            lines.append(f"| {' | '.join(safe)} |")
        lines.append("")
    return "\n".join(lines)


def counted(parts: Sequence[tuple[str, list[Row]]]) -> str:
    """How many rows there are, and how they ended."""
    said = [verdict(row).split()[0] for _, rows in parts for row in rows]
    ends = [f"{said.count(word)} {text}" for word, text in ENDS.items() if said.count(word)]
    return f"{len(said)} rows: {', '.join(ends)}"


ENDS = {
    "met": "met their targets",
    "MISSED": "missed them",
    "FAILED": "FAILED",
    "quick": "on a tenth of the rows, not compared",
}


def duration(value: float) -> str:
    """Seconds with three digits and the unit that suits them."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"

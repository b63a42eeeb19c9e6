"""``katamuki trace``: every step of a solver as CSV, or as JSON lines.

Row ``step`` is the state before that step: the parameters, the loss and its gradient there. The last row is the
result; its step is empty.
"""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from katamuki import report
from katamuki.cli import values
from katamuki.cli.arguments import usage
from katamuki.cli.fitting import fitted
from katamuki.cli.terminal import Terminal


def trace(chosen: Namespace, terminal: Terminal) -> int:
    """Fit, and print the steps; a run that failed is shown too, which is what the trace is for."""
    every = None if chosen.every in (None, "geometric") else values.whole("--every", chosen.every)
    if every is not None and every < 1:
        raise usage("cli.every", given=chosen.every)
    outcome = fitted(chosen, terminal)
    found = outcome.fit.trace
    if outcome.error is not None:
        terminal.warn(outcome.error.render(terminal.lang, "cli"))
    if found is None or len(found) == 0:
        raise usage("cli.no_steps")
    rows = _wanted([int(index) for index in found.index], chosen.every, every)
    if chosen.json:
        _lines(found, rows, terminal)
    else:
        _csv(found, rows, chosen.full, terminal)
    return 0


def _wanted(index: list[int], word: str | None, every: int | None) -> list[int]:
    """Which rows: all, every so many, or steps 1, 2, 10, 100, …; the last step and the result always."""
    last = len(index) - 1
    if word == "geometric":
        kept = {1, 2, *(10**k for k in range(1, 19))}
        return [row for row, steps in enumerate(index) if row >= last - 1 or steps + 1 in kept]
    stride = every or 1
    return [row for row, steps in enumerate(index) if row >= last - 1 or steps % stride == 0]


def _extra(found: Any) -> list[str]:
    return [name for name, values in found.extra.items() if values.ndim == 1]


def _csv(found: Any, rows: list[int], full: bool, terminal: Terminal) -> None:
    extra = _extra(found)
    header = ["step", "loss", *found.names, *(f"grad_{name}" for name in found.names), *extra]
    terminal.print(",".join(report.quoted(name) for name in header))
    last = len(found) - 1
    for row in rows:
        numbers = [found.loss[row], *found.params[row], *found.gradient[row]]
        cells = [report.cell(float(value), full=full) for value in numbers]
        cells += [f"{float(found.extra[name][row]):g}" for name in extra]
        terminal.print(",".join(["" if row == last else str(int(found.index[row]) + 1), *cells]))


def _lines(found: Any, rows: list[int], terminal: Terminal) -> None:
    last = len(found) - 1
    for row in rows:
        names = found.names
        told = {
            "step": None if row == last else int(found.index[row]) + 1,
            "loss": found.loss[row],
            "params": dict(zip(names, found.params[row], strict=True)),
            "gradient": dict(zip(names, found.gradient[row], strict=True)),
            **{name: found.extra[name][row] for name in _extra(found)},
        }
        terminal.print(json.dumps(report.jsonable(told), allow_nan=False))

"""``katamuki selftest``: the certified problems on this machine, as a table, as JSON or as CSV."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import katamuki as km
from katamuki import messages, report
from katamuki.cli import values
from katamuki.cli.arguments import usage
from katamuki.cli.fitting import QUIET_SECONDS, Progress
from katamuki.cli.terminal import CONTRADICTED, Terminal
from katamuki.report import selftest as tables


def selftest(chosen: Namespace, terminal: Terminal) -> int:
    """Fit the problems asked for; exit code 0 only if every fit holds. After Ctrl-C what was fitted is printed."""
    if chosen.json and chosen.csv:
        raise usage("cli.both", first="--json", second="--csv")
    options = {} if chosen.seed is None else {"seed": values.whole("--seed", chosen.seed)}
    progress = Progress(terminal, None)
    progress.listen()
    try:
        found = km.selftest(chosen.problems or None, progress=_hook(progress, terminal), **options)
    except km.NotConverged as error:
        if error.selftest is not None:
            progress.done()
            _show(error.selftest, chosen, terminal)
        raise
    finally:
        progress.done()
    _show(found, chosen, terminal)
    if found.holds:
        return 0
    held = sum(row.outcome == "holds" for row in found.rows)
    return terminal.fail(km.KatamukiError("E-CHECK", "cli.selftest", held=held, all=found.asked), CONTRADICTED)


def _hook(progress: Progress, terminal: Terminal) -> Callable[[int, int], None] | None:
    """What the library calls before each fit; None where nobody would see it."""
    if progress.hook() is None:
        return None

    def step(done: int, count: int) -> None:
        if time.monotonic() - progress.began > QUIET_SECONDS:
            progress.show(messages.sentence("cli.selftest.progress", terminal.lang, done=done, all=count))

    return step


def _show(found: Any, chosen: Namespace, terminal: Terminal) -> None:
    if chosen.json:
        terminal.print_json(found.to_dict(terminal.lang))
    elif chosen.csv:
        for k, row in enumerate(tables.rows(found)):
            if k > 0 or not chosen.quiet:
                terminal.print(",".join(report.quoted(cell) for cell in row))
    elif chosen.quiet:
        terminal.print("\n".join(tables.summary(found, terminal.lang, style=terminal.style)).strip("\n"))
    else:
        terminal.print(tables.text(found, lang=terminal.lang, style=terminal.style))

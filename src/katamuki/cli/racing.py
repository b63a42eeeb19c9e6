"""``katamuki race``: several solvers from one start, as a table, as JSON, as CSV or as a picture."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import katamuki as km
from katamuki import report
from katamuki.cli import values
from katamuki.cli.arguments import usage
from katamuki.cli.fitting import Progress, encoded, read
from katamuki.cli.terminal import CONTRADICTED, Terminal
from katamuki.records import CheckReport
from katamuki.report import race as tables

PICTURES = (".svg", ".png", ".pdf")


def race(chosen: Namespace, terminal: Terminal) -> int:
    """Race, and say who came when; after Ctrl-C the lanes that were through."""
    if chosen.json and chosen.csv:
        raise usage("cli.both", first="--json", second="--csv")
    if chosen.output is not None and Path(chosen.output).suffix.lower() not in PICTURES:
        raise usage("cli.picture", given=chosen.output, all=", ".join(PICTURES))
    options = values.race_options(chosen)
    data = read(chosen.file, chosen)
    encoded(chosen.formula, data)
    progress = Progress(terminal, options.get("steps", 20_000))
    progress.listen()
    try:
        run = km.race(chosen.formula, data, progress=progress.hook(), **options)
    except km.NotConverged as error:
        if error.race is not None:
            progress.done()
            _show(error.race, chosen, terminal)
        raise
    finally:
        progress.done()
    if _show(run, chosen, terminal).verdict == "FAIL":
        return terminal.fail(km.KatamukiError("E-CHECK", "cli.contradicted"), CONTRADICTED)
    return 0


def _show(run: Any, chosen: Namespace, terminal: Terminal) -> CheckReport:
    """Print the race as asked for; the judgement of its answer comes back."""
    judged: CheckReport = run.check()
    if chosen.json:
        terminal.print_json(run.to_dict(judged, terminal.lang))
    elif chosen.csv:
        for k, row in enumerate(tables.rows(run, terminal.lang)):
            if k > 0 or not chosen.quiet:
                terminal.print(",".join(report.quoted(cell) for cell in row))
    elif not (chosen.quiet and chosen.output is not None):
        terminal.print(tables.text(run, judged, lang=terminal.lang, style=terminal.style))
    if chosen.output is not None:
        _draw(run, chosen, terminal)
    return judged


def _draw(run: Any, chosen: Namespace, terminal: Terminal) -> None:
    from katamuki.plot import racing

    with terminal.warning():
        racing.save(run, chosen.output, run.answer.solution.formula, terminal.lang)

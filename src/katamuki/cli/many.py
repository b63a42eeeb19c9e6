"""``katamuki many``: one formula, many curves; a summary, the table's first rows, or the whole table in a file."""

from __future__ import annotations

import sys
import time
import warnings
from argparse import Namespace
from typing import Any

import katamuki as km
from katamuki import messages
from katamuki.cli import values
from katamuki.cli.arguments import usage
from katamuki.cli.fitting import QUIET_SECONDS, Progress, encoded, read
from katamuki.cli.terminal import CONTRADICTED, INTERRUPTED, UNCONVERGED, Terminal
from katamuki.errors import KatamukiError
from katamuki.report import keys
from katamuki.report import many as words
from katamuki.report import many_rows as rows
from katamuki.report.numbers import grouped, seconds


def many(chosen: Namespace, terminal: Terminal) -> int:
    """Fit every curve; what was finished is shown and kept, whatever ends the run."""
    if chosen.json and chosen.csv:
        raise usage("cli.both", first="--json", second="--csv")
    if chosen.csv and chosen.output is not None:
        raise usage("cli.both", first="--csv", second="--output")
    options = values.many_options(chosen)
    data = read(chosen.file, chosen)
    encoded(chosen.formula, data)
    progress = Curves(terminal, None)
    progress.listen()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)  # said below, as an error
        try:
            found = km.fit_many(chosen.formula, data, progress=progress.curves_hook(), **options)
        finally:
            progress.done()
    if chosen.json:
        terminal.print_json(found.to_dict(terminal.lang))
    elif chosen.csv:
        terminal.print(rows.csv(found, header=not chosen.quiet), end="")
    elif not chosen.quiet:
        terminal.print(words.text(found, terminal.lang, style=terminal.style))
        if chosen.output is None and len(found):
            terminal.print("\n" + "\n".join(rows.first_rows(found, terminal.lang, style=terminal.style)))
    return _code(found, chosen, terminal)


def _code(found: Any, chosen: Namespace, terminal: Terminal) -> int:
    """The exit code, and the message where it is not 0."""
    if not found.finished:
        whole = grouped(found.curves) if found.curves >= 0 else "?"
        said = {"curves": grouped(len(found)), "all": whole}
        key = "cli.many_ended" if chosen.output is None else "cli.many_ended_kept"
        if found.ending == "interrupted":
            return terminal.fail(KatamukiError("E-INTERRUPTED", key, **said), INTERRUPTED)
        return terminal.fail(KatamukiError("E-TIME", key, **said), UNCONVERGED)
    contradicted = found.checked.of("FAIL")
    if contradicted:
        curves = [keys.said(one.key) for one in contradicted]
        error = KatamukiError("E-CHECK", "cli.many_contradicted", curves=messages.few(curves, 5))
        return terminal.fail(error, CONTRADICTED)
    if chosen.strict and found.verdict != "good":
        counts = {name: grouped(count) for name, count in found.counts.items()}
        return terminal.fail(KatamukiError("E-STRICT", "cli.many_strict", **counts), UNCONVERGED)
    return 0


class Curves(Progress):
    """The line on standard error, for curves."""

    def curves_hook(self) -> Any:
        """What ``katamuki.fit_many`` calls; None where nobody would see it."""
        return self.curves if sys.stderr.isatty() and not self.terminal.quiet else None

    def curves(self, done: int, whole: int, left: float) -> None:
        """Show how far it is."""
        if time.monotonic() - self.began < QUIET_SECONDS:
            return
        said = {"done": grouped(done), "all": grouped(whole), "left": ""}
        key = "cli.progress.curves"
        if left == left and whole >= 0:  # noqa: PLR0124  NaN: nobody knows
            key, said["left"] = "cli.progress.curves_of", seconds(max(left, 0.001))
        self.show(messages.sentence(key, self.terminal.lang, **said))

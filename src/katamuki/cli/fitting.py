"""The part that the commands share: read the data, fit, and collect what was warned of."""

from __future__ import annotations

import re
import sys
import time
import warnings
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import katamuki as km
from katamuki import messages
from katamuki.cli import values
from katamuki.cli.arguments import usage
from katamuki.cli.terminal import Terminal
from katamuki.report import brief
from katamuki.report.numbers import grouped, seconds

QUIET_SECONDS = 1.0  # work shorter than this shows no progress


@dataclass
class Outcome:
    """A fit, or what was reached before it failed; and the warnings on the way."""

    fit: Any
    error: km.NotConverged | None = None
    warned: list[str] = field(default_factory=list)


def read(path: str | None, chosen: Namespace) -> Any:
    """The table to fit: a file, or standard input where there is none."""
    if path is None or path == "-":
        if sys.stdin is None or sys.stdin.isatty():
            raise usage("cli.no_file", command=chosen.command)
        path = "-"
    return km.read(path, **values.read_options(chosen))


def fitted(chosen: Namespace, terminal: Terminal) -> Outcome:
    """Fit what the arguments say; a failure that holds a fit is returned, not raised."""
    options = values.fit_options(chosen)
    data = read(chosen.file, chosen)
    encoded(chosen.formula, data)
    progress = Progress(terminal, getattr(options["solver"], "steps", None))
    progress.listen()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fit = km.fit(chosen.formula, data, progress=progress.hook(), **options)
            if getattr(chosen, "no_zero_grad", False):
                caught.clear()  # of the run that is not wanted
                fit = fit.without_zero_grad()
            outcome = Outcome(fit)
        except km.NotConverged as error:
            if error.fit is None:
                raise
            outcome = Outcome(error.fit, error)
        finally:
            progress.done()
    for one in caught:
        if isinstance(one.message, km.FitWarning):
            outcome.warned.append(one.message.text(terminal.lang))
        else:
            outcome.warned.append(f"{one.category.__name__}: {one.message}")
    return outcome


def encoded(formula: str, data: Any) -> None:
    """A name that the formula writes and the header holds in another encoding would become a parameter: refuse it."""
    if formula.isascii() or not any("\ufffd" in name for name in data.names):
        return
    for name in re.findall(r"`([^`]+)`|([^\W\d]\w*)", formula):
        word = name[0] or name[1]
        if not word.isascii() and word not in data.names:
            data.column(word)  # says which byte is no UTF-8


def certain(chosen: Namespace, terminal: Terminal) -> Outcome:
    """Fit what the arguments say; a failure is raised, its warnings are said."""
    outcome = fitted(chosen, terminal)
    if outcome.error is not None:
        raise outcome.error
    for text in outcome.warned:
        terminal.warn(text)
    return outcome


class Progress:
    """One rewritten line on standard error, where that is a terminal and the work is long."""

    def __init__(self, terminal: Terminal, steps: int | None) -> None:
        self.terminal = terminal
        self.steps = steps
        self.began = self.last = time.monotonic()
        self.shown = False

    def hook(self) -> Callable[[int, float], None] | None:
        """What ``katamuki.fit`` calls; None where nobody would see it."""
        return self.step if sys.stderr.isatty() and not self.terminal.quiet else None

    def listen(self) -> None:
        """Say so while the solvers' loops are compiled, which takes seconds, once on a machine."""
        if self.hook() is None:
            return
        import logging

        class Compiling(logging.Handler):
            def emit(handler, record: logging.LogRecord) -> None:  # noqa: N805  self is the progress
                if record.args and "rows" not in record.args:
                    self.show(messages.sentence("cli.compiling", self.terminal.lang))

        self.handler = Compiling(logging.INFO)
        logger = logging.getLogger("katamuki")
        logger.addHandler(self.handler)
        logger.setLevel(logging.INFO)

    def show(self, text: str) -> None:
        """Put the line on the terminal in the place of the last."""
        self.shown = True
        sys.stderr.write("\r\x1b[K" + text)
        sys.stderr.flush()

    def step(self, step: int, loss: float) -> None:
        """Show how far it is."""
        now = time.monotonic()
        if now - self.began < QUIET_SECONDS or now - self.last < 0.1:
            return
        self.last = now
        spent = now - self.began
        said = {"step": grouped(step), "loss": brief(loss, 5), "spent": seconds(spent)}
        key = "cli.progress"
        if self.steps and step:
            key = "cli.progress.of"
            said |= {"steps": grouped(self.steps), "left": seconds(spent * (self.steps - step) / step)}
        self.show(messages.sentence(key, self.terminal.lang, **said))

    def done(self) -> None:
        """Take the line away."""
        if self.shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

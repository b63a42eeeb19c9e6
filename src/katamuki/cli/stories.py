"""``katamuki explain``: the story of the whole run, or with ``--step N`` the arithmetic of one step.

A run that diverged is explained, which is what the command is for; the closed form, which takes no steps, is its normal
equations with numbers.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from katamuki import report
from katamuki.cli import values
from katamuki.cli.arguments import usage
from katamuki.cli.fitting import fitted
from katamuki.cli.terminal import Terminal

OF_A_STEP = ("detail", "row", "graph", "autograd")  # flags that need --step
APART = (("graph", "autograd"), ("graph", "json"), ("autograd", "json"), ("detail", "json"), ("graph", "detail"))


def explain(chosen: Namespace, terminal: Terminal) -> int:
    """Fit, and tell how the numbers came about; a run that failed is told too."""
    step, row = _checked(chosen)
    fit = _fit(chosen, terminal)
    if step is None:
        linear = fit.solver == "linear"
        story = fit.normal_equations() if linear else fit.explain(lang=terminal.lang)
        if chosen.json:
            terminal.print_json(story.to_dict())
        else:
            _tell(fit, story.text(terminal.lang), terminal)
        return 0
    told = fit.step(step)
    if chosen.graph:
        _draw(told, row, chosen, terminal)
    elif chosen.autograd:
        terminal.print(told.autograd().text(row=1 if row is None else row, lang=terminal.lang))
    elif chosen.json:
        terminal.print_json(told.to_dict())
    else:
        level = chosen.detail or "numbers"
        _tell(fit, told.explain(level=level, row=1 if row is None else row, lang=terminal.lang), terminal)
    return 0


def _tell(fit: Any, story: str, terminal: Terminal) -> None:
    """Print a story; above it which names are data and which parameters: a mistyped column is one of them."""
    terminal.print("\n".join([*report.understood(fit, terminal.lang), "", story]))


def _checked(chosen: Namespace) -> tuple[int | None, int | None]:
    """The step and the row that were asked for, and flags that can be meant together."""
    step = None if chosen.step is None else values.whole("--step", chosen.step)
    row = None if chosen.row is None else values.whole("--row", chosen.row)
    for name in OF_A_STEP:
        if step is None and getattr(chosen, name):
            raise usage("cli.step_alone", flag="--" + name)
    for first, second in APART:
        if getattr(chosen, first) and getattr(chosen, second):
            raise usage("cli.both", first="--" + first, second="--" + second)
    if chosen.output is not None and not chosen.graph:
        raise usage("cli.graph_output")
    if chosen.output is not None and Path(chosen.output).suffix.lower() != ".svg":
        raise usage("cli.picture", given=chosen.output, all=".svg")
    return step, row


def _fit(chosen: Namespace, terminal: Terminal) -> Any:
    """The fit to explain, with the experiment that was asked for; what it warned of is part of the story."""
    outcome = fitted(chosen, terminal)
    if outcome.error is not None and (outcome.fit.state == "interrupted" or outcome.fit.solver == "linear"):
        raise outcome.error  # it was not ended, or never began: the error says all there is to say
    return outcome.fit


def _draw(told: Any, row: int | None, chosen: Namespace, terminal: Terminal) -> None:
    drawn = told.draw(row=row, lang=terminal.lang)
    if chosen.output is None:
        terminal.print(str(drawn))
    else:
        drawn.save(chosen.output)

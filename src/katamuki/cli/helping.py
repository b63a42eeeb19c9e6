"""The pages of ``--help`` and ``katamuki help``: plain text, 80 columns, from the catalogue and the table of flags."""

from __future__ import annotations

import textwrap
from argparse import Namespace
from pathlib import Path

from katamuki import messages
from katamuki.cli.flags import COMMANDS, FLAGS, Flag
from katamuki.cli.terminal import Terminal
from katamuki.report.layout import wrapped
from katamuki.report.numbers import left, width

COLUMN = 26  # where explanations begin


def run(chosen: Namespace, terminal: Terminal) -> int:
    """``katamuki help`` and ``katamuki completion``: pages that are known before anything is imported."""
    if chosen.command == "completion":
        script = Path(__file__).with_name(f"completion.{chosen.shell}")
        terminal.print(script.read_text(encoding="utf-8"), end="")
    elif chosen.topic == "functions":
        terminal.print(functions(terminal.lang))
    else:
        terminal.print(page(chosen.topic, terminal.lang))
    return 0


def page(command: str | None, lang: str) -> str:
    """The help of one command, or of all."""
    return _overview(lang) if command is None else _command(command, lang)


def _say(key: str, lang: str) -> str:
    return messages.sentence("cli." + key, lang)


def _overview(lang: str) -> str:
    lines = [_say("about", lang), "", _say("usage", lang), ""]
    for name in COMMANDS:
        lines += _entry(_say("usage." + name, lang), _say("command." + name, lang), 30)
    lines += ["", *_say("examples", lang).split("\n"), "", _say("more", lang)]
    return "\n".join(lines)


def _command(name: str, lang: str) -> str:
    lines = ["katamuki " + _say("usage." + name, lang), "", *wrapped(_say("about." + name, lang), 80)]
    group = ""
    for flag in FLAGS:
        if name not in flag.commands:
            continue
        if flag.group != group:
            group = flag.group
            lines += ["", _say("group." + group, lang)]
        lines += _entry(_spelled(flag), _meaning(flag, name, lang), COLUMN)
    lines += _entry("--help", _say("help.help", lang), COLUMN)
    return "\n".join(lines)


def _meaning(flag: Flag, command: str, lang: str) -> str:
    """What a flag is for, in the words of a command where it needs its own."""
    key = f"cli.help.{flag.name}"
    return messages.optional(f"{key}.{command}", lang) or messages.sentence(key, lang)


def _spelled(flag: Flag) -> str:
    names = ", ".join(flag.spellings)
    if flag.both:
        names = f"{names}, --no-{flag.name}"
    return f"{names} {flag.value}" if flag.value else names


def _entry(name: str, meaning: str, column: int) -> list[str]:
    lines = wrapped(meaning, 80 - column - 2)
    rest = [" " * (column + 2) + line for line in lines]
    if width(name) > column - 2:
        return ["  " + name, *rest]
    return [f"  {left(name, column)}{lines[0]}", *rest[1:]]


def functions(lang: str) -> str:
    """The functions that formulas know, from the table of operations."""
    from katamuki.formula.functions import FUNCTIONS

    names = textwrap.wrap(" ".join(FUNCTIONS), 76, break_on_hyphens=False)
    return "\n".join([_say("functions", lang), *("  " + line for line in names), _say("functions.also", lang)])

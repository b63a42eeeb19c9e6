"""Reading the arguments: argparse with the table of flags, and errors that say what to type instead.

Values stay text here; :mod:`katamuki.cli.values` turns them into what the library takes. Only the standard library is
imported, so that ``--help`` and mistakes answer at once.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from katamuki import messages, spelling
from katamuki.cli.flags import COMMANDS, FILES, FLAGS, FREE, LANGUAGES, MODELLED, SHELLS, Flag
from katamuki.cli.terminal import Terminal, spoken
from katamuki.errors import KatamukiError

TABLES = (".csv", ".tsv", ".txt", ".dat", ".json", ".jsonl", ".parquet", ".arrow", ".xlsx")
PAIR = re.compile(r"\w+=[-+.:\w]+")  # what belongs to --start, --fix or --bounds
NEAR = 2  # edits within which a word is suggested


class Reader(argparse.ArgumentParser):
    """argparse, whose errors are ours."""

    def error(self, message: str) -> NoReturn:
        """Turn a complaint of argparse into ours."""
        raise usage("cli.argument", detail=message)


def usage(key: str, **values: Any) -> KatamukiError:
    """A mistake in the arguments."""
    return KatamukiError("E-USAGE", key, **values)


def parser(completing: bool = False) -> argparse.ArgumentParser:
    """The whole command line as an argparse parser: for reading, or with all example values for completion."""
    top = Reader(prog="katamuki", add_help=False, allow_abbrev=False, exit_on_error=False)
    top.add_argument("--help", "-h", action="store_true")
    top.add_argument("--version", action="store_true")
    top.add_argument("--lang", dest="first_lang", choices=LANGUAGES)  # of these two; a command has its own
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    for name in COMMANDS:
        one = commands.add_parser(name, help=name, add_help=False, allow_abbrev=False, exit_on_error=False)
        _positionals(one, name, completing)
        for flag in FLAGS:
            if name in flag.commands:
                _add(one, flag, completing)
        one.add_argument("--help", "-h", action="store_true")
    return top


def _positionals(one: argparse.ArgumentParser, name: str, completing: bool) -> None:
    if name in MODELLED:
        one.add_argument("formula", nargs="?", metavar="FORMULA")
        file = one.add_argument("file", nargs="?", metavar="FILE")
        file.complete = FILES  # type: ignore[attr-defined]
    elif name == "data":
        one.add_argument("name", nargs="?", metavar="NAME")
    elif name == "completion":
        one.add_argument("shell", nargs="?", metavar="SHELL", choices=SHELLS)
    elif name == "selftest":
        from katamuki import certified

        known = ("linear", "nonlinear", *certified.names()) if completing else None  # the library says what is unknown
        one.add_argument("problems", nargs="*", metavar="PROBLEM", choices=known)
    else:
        one.add_argument("topic", nargs="?", metavar="TOPIC", choices=("functions", *COMMANDS))


def _add(one: argparse.ArgumentParser, flag: Flag, completing: bool) -> None:
    if flag.both:
        one.add_argument(*flag.spellings, dest=flag.name, action=argparse.BooleanOptionalAction, default=None)
    elif flag.value is None:
        one.add_argument(*flag.spellings, dest=flag.name, action="store_true")
    else:
        kind = "append" if flag.many else "store"
        choices = flag.choices if flag.choices and (completing or flag.name not in FREE) else None
        called = flag.value.replace(":", "") if completing else flag.value  # zsh ends a description at a colon
        made = one.add_argument(*flag.spellings, dest=flag.name, action=kind, metavar=called, choices=choices)
        if flag.complete is not None:
            made.complete = flag.complete  # type: ignore[attr-defined]


def read(given: Sequence[str], terminal: Terminal) -> argparse.Namespace | None:
    """The arguments, checked as far as words go; None where help or the version was all that was asked for."""
    if given and given[0] == "__columns":
        return argparse.Namespace(command="__columns", files=list(given[1:]))
    lang = terminal.lang
    wanted = os.environ.get("KATAMUKI_LANG", "")
    if wanted and spoken(wanted) is None:
        raise usage("cli.language", given=wanted, all=", ".join(messages.languages()))
    words = [word for word in given if not word.startswith("-")]
    if words and given[0] == words[0] and words[0] not in COMMANDS:
        raise _suggested("cli.unknown_command", words[0], COMMANDS, all=", ".join(COMMANDS))
    top = parser()
    try:
        chosen, extra = top.parse_known_args(given)
    except argparse.ArgumentError as problem:
        raise _complaint(problem) from None
    if chosen.command is not None and chosen.first_lang is not None:
        raise usage("cli.flag_before", flag="--lang", command=chosen.command)
    extra = _placed(chosen, extra)
    if extra:
        raise _unknown(extra, chosen.command)
    if chosen.command is None and chosen.version:
        from katamuki.cli.start import version

        terminal.print(version(lang))
        return None
    if chosen.help or chosen.command is None:
        from katamuki.cli import helping

        if chosen.command is None and not chosen.help:
            raise usage("cli.no_command")
        terminal.print(helping.page(chosen.command, lang))
        return None
    _check(chosen)
    return chosen


def _placed(chosen: argparse.Namespace, extra: list[str]) -> list[str]:
    """What is left of the words that argparse did not place: formula, file and problems may stand after flags too."""
    if any(word.startswith("-") and word != "-" for word in extra):
        return extra
    if chosen.command == "selftest":
        chosen.problems += extra
        return []
    if chosen.command not in MODELLED:
        return extra
    left = list(extra)
    for name in ("formula", "file"):
        if left and getattr(chosen, name) is None and not (name == "file" and PAIR.fullmatch(left[0])):
            setattr(chosen, name, left.pop(0))
    return left


def _complaint(problem: argparse.ArgumentError) -> KatamukiError:
    name = (problem.argument_name or "").split("/")[-1]
    found = re.match(r"invalid choice: '(.*?)' \(choose from (.*)\)", problem.message, re.DOTALL)
    if found:
        known = [word.strip(" '") for word in found.group(2).split(",")]
        return _suggested("cli.choice", found.group(1), known, flag=name, all=", ".join(known))
    if problem.message.startswith("expected"):
        value = next((flag.value for flag in FLAGS if name in flag.spellings), None)
        return usage("cli.needs_value", flag=name, value=value or "")
    if problem.message.startswith("ignored explicit argument"):
        return usage("cli.takes_no_value", flag=name)
    return usage("cli.argument", detail=str(problem))


def _unknown(extra: list[str], command: str | None) -> KatamukiError:
    flags = [word.partition("=")[0] for word in extra if word.startswith("-") and word != "-"]
    if not flags:
        return usage("cli.too_many_pair" if PAIR.fullmatch(extra[0]) else "cli.too_many", extra=" ".join(extra))
    if command == "race" and flags[0] == "--lr":
        raise usage("cli.race_lr")
    elsewhere = sorted(set(_having(flags[0])))
    if command in elsewhere:
        return usage("cli.flag_before", flag=flags[0], command=command)
    if elsewhere and command is not None:
        return usage("cli.flag_elsewhere", flag=flags[0], command=command, commands=", ".join(elsewhere))
    known = [one for flag in FLAGS if command in flag.commands for one in flag.spellings]
    return _suggested("cli.flag", flags[0], [*known, "--help", "--version"], command=command or "help")


def _having(spelling: str) -> Iterable[str]:
    for flag in FLAGS:
        both = ["--no-" + one.lstrip("-") for one in flag.spellings if flag.both]
        if spelling in (*flag.spellings, *both):
            yield from flag.commands


def _suggested(key: str, word: str, known: Iterable[str], **values: Any) -> KatamukiError:
    near = nearest(word, known)
    return usage(key + ("_near" if near else ""), word=word, near=near, **values)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word at most two edits away, of a short word fewer; the nearest first.

    Example
    -------
    >>> nearest("--sovler", ["--solver", "--start"]), nearest("fti", ["fit", "data"]), nearest("race", ["fit"])
    ('--solver', 'fit', None)
    """
    return spelling.nearest(word, sorted(known), min(NEAR, max(1, len(word.strip("-")) - 1)))


def _check(chosen: argparse.Namespace) -> None:
    if chosen.command in MODELLED:
        _formula_first(chosen)
    if chosen.command == "completion" and chosen.shell is None:
        raise usage("cli.no_shell")


def _formula_first(chosen: argparse.Namespace) -> None:
    """A file where the formula should stand; a saved fit stands there for ``predict`` alone."""
    command, formula, file = chosen.command, chosen.formula, chosen.file
    if formula is None:
        raise usage("cli.no_formula", command=command)
    if "=" in formula or "~" in formula or not (Path(formula).is_file() or formula.lower().endswith(TABLES)):
        return
    if formula.endswith(".json") and command == "predict":
        if file is not None:
            raise usage("cli.saved_at", path=formula, file=file)
        return
    if file is not None and ("=" in file or "~" in file):
        raise usage("cli.swapped", path=formula, formula=file, command=command)
    key = "cli.saved_elsewhere" if formula.endswith(".json") else "cli.file_first"
    raise usage(key, path=formula, command=command)

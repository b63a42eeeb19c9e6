"""From arguments to an exit code: where every command begins and every failure ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from katamuki import messages
from katamuki.cli import arguments
from katamuki.cli.terminal import DATA, FORMULA, INTERRUPTED, OURS, UNCONVERGED, USAGE, Terminal
from katamuki.errors import BackendError, BoundsError, DataError, FormulaError, KatamukiError, NotConverged

CODES: dict[type[KatamukiError], int] = {
    FormulaError: FORMULA,
    DataError: DATA,
    BoundsError: USAGE,
    BackendError: USAGE,
    NotConverged: UNCONVERGED,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        The exit code.

    Example
    -------
    >>> main(["data", "anscombe3"])  # doctest: +ELLIPSIS
    x,y
    10,7.46
    ...
    0
    """
    given = list(sys.argv[1:] if argv is None else argv)
    terminal = Terminal.of_process(given)
    try:
        code = _run(given, terminal)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader went away; what it did not want is no failure. Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as problem:
        # Standard output cannot be written (a full disk). What is still buffered would fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return terminal.fail(KatamukiError("E-OUTPUT", "cli.output", why=problem.strerror or str(problem)), OURS)
    return code


def _run(given: list[str], terminal: Terminal) -> int:
    try:
        chosen = arguments.read(given, terminal)
        if chosen is None:
            return 0
        terminal.settle(chosen)
        if chosen.command in ("completion", "help"):
            from katamuki.cli import helping

            return helping.run(chosen, terminal)
        from katamuki.cli import commands

        return commands.run(chosen, terminal)
    except KatamukiError as error:
        return terminal.fail(error, code_of(error))
    except KeyboardInterrupt:
        terminal.fail(KatamukiError("E-INTERRUPTED", "cli.interrupted"), INTERRUPTED)
        return INTERRUPTED
    except (BrokenPipeError, OSError) as problem:
        if isinstance(problem, BrokenPipeError) or problem.filename is None:
            raise
        why = problem.strerror or str(problem)
        return terminal.fail(DataError("E-FILE", "cli.file", path=problem.filename, why=why), DATA)
    except Exception as fault:  # the last wall: a traceback is for us, a sentence for the user
        if terminal.debug:
            raise
        said = KatamukiError("E-INTERNAL", "cli.fault", kind=type(fault).__name__, detail=str(fault) or "-")
        return terminal.fail(said, OURS)


def code_of(error: KatamukiError) -> int:
    """The exit code of an error.

    Example
    -------
    >>> code_of(DataError("E-FILE", "data.no_file", path="x")), code_of(DataError("E-USAGE", "cli.no_file"))
    (3, 2)
    """
    if error.code == "E-USAGE":
        return USAGE
    if error.code == "E-COLUMN":  # a name that the data lack, whoever found it
        return DATA
    if error.code == "E-INTERRUPTED":
        return INTERRUPTED
    return next((code for kind, code in CODES.items() if isinstance(error, kind)), OURS)


def version(lang: str) -> str:
    """The line of ``--version``."""
    from importlib.metadata import version as installed

    return messages.sentence("cli.version", lang, version=installed("katamuki"))

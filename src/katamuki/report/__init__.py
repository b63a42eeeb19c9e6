"""From records to words: the report of a fit as text, as a dictionary for JSON, and as HTML.

``text`` is what ``print(fit)`` and the command line show, ``as_dict`` what ``--json`` prints and ``fit.save`` keeps
(described by ``schema.json`` beside this file), ``html`` what notebooks show. Sentences come from the catalogue.
Nothing here fits or judges: a number that is missing is printed as missing. Each name is imported when it is first
asked for, so that pages of help are laid out without NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from katamuki.report.document import SCHEMA, as_dict, check_dict, jsonable
    from katamuki.report.judgement import check_text
    from katamuki.report.layout import Style, unstyled
    from katamuki.report.markup import html
    from katamuki.report.numbers import ascii_only, brief, cell, number, quoted
    from katamuki.report.printed import text, understood, worded
    from katamuki.report.reported import Reported

__all__ = [
    "SCHEMA",
    "Reported",
    "Style",
    "as_dict",
    "ascii_only",
    "brief",
    "cell",
    "check_dict",
    "check_text",
    "html",
    "jsonable",
    "number",
    "quoted",
    "text",
    "understood",
    "unstyled",
    "worded",
]

_HOMES = {
    "SCHEMA": "document",
    "as_dict": "document",
    "check_dict": "document",
    "jsonable": "document",
    "check_text": "judgement",
    "Style": "layout",
    "unstyled": "layout",
    "html": "markup",
    "ascii_only": "numbers",
    "brief": "numbers",
    "cell": "numbers",
    "number": "numbers",
    "quoted": "numbers",
    "text": "printed",
    "understood": "printed",
    "worded": "printed",
    "Reported": "reported",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found

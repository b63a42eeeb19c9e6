"""From records to words: the report of a fit as text, as a dictionary for JSON, and as HTML.

``text`` is what ``print(fit)`` and the command line show, ``as_dict`` what ``--json`` prints and ``fit.save`` keeps
(described by ``schema.json`` beside this file), ``html`` what notebooks show. Sentences come from the catalogue.
Nothing here fits or judges: a number that is missing is printed as missing.
"""

from katamuki.report.document import SCHEMA, as_dict, check_dict, jsonable
from katamuki.report.judgement import check_text
from katamuki.report.layout import Style, unstyled
from katamuki.report.markup import html
from katamuki.report.numbers import ascii_only, brief, cell, number, quoted
from katamuki.report.printed import text, worded
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
    "unstyled",
    "worded",
]

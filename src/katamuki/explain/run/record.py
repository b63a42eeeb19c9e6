"""The story of a whole run, as data: what happened between which steps, and why it ended where it did.

Events with named numbers, made in :mod:`katamuki.explain.run.facts`; :mod:`katamuki.explain.run.words` makes the text.
Row k−1 of a trace is the state before step k: a turning point "at step 312" is the value before that step, "after 3246"
counts the steps taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from katamuki.errors import spoken
from katamuki.messages import Phrase

SCHEMA = "katamuki.run/1"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: at or up to which step, what (a code), and its numbers by name.

    ``step`` counts from 1, the step before which it was so; codes "valley", "floor", "arrival", "diverged" and
    "not_finite" count the steps taken.
    """

    step: int
    code: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunStory:
    """What ``fit.explain()`` returns: data; printing it prints the story.

    ``header`` says what ran, ``events`` what happened in the order of the steps, ``result`` where it ended and how far
    from the answer, ``advice`` what to do next. The words are made when it is printed.

    Example
    -------
    >>> import katamuki as km
    >>> story = km.fit("y ~ a*x + b", km.datasets("tutorial")).explain()
    >>> story.result["state"], [event.code for event in story.events]
    ('exact', ['solved'])
    """

    header: Mapping[str, Any]
    events: tuple[Event, ...]
    result: Mapping[str, Any]
    advice: Phrase
    lang: str = "en"

    def text(self, lang: str | None = None, columns: int = 80) -> str:
        """The story in words, at most ``columns`` wide where its numbers allow.

        Example
        -------
        >>> import katamuki as km
        >>> print(km.fit("y ~ a*x + b", km.datasets("tutorial")).explain().text().partition("\\n")[0])
        least squares (exact), no steps                                 11 rows, float64
        """
        from katamuki.explain.run import words as run_words

        return run_words.text(self, spoken(self.lang if lang is None else lang), columns)

    def to_dict(self) -> dict[str, Any]:
        """The same as data: ``{"schema": "katamuki.run/1", …}``, NaN and infinity as None.

        Example
        -------
        >>> import katamuki as km
        >>> km.fit("y ~ a*x + b", km.datasets("tutorial")).explain().to_dict()["schema"]
        'katamuki.run/1'
        """
        from katamuki.explain.run import words as run_words

        return run_words.as_dict(self)

    def _repr_html_(self) -> str:
        from katamuki.explain.run import words as run_words

        return run_words.html(self, self.lang)

    def __str__(self) -> str:
        return self.text()

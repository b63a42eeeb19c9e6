"""The story of one step as HTML for notebooks: the same blocks as the text, in tables that a screen reader can read."""

from __future__ import annotations

from katamuki.explain.step.record import Step
from katamuki.explain.story.blocks import as_html
from katamuki.explain.story.text import story


def html(step: Step, row: int = 1, lang: str = "en") -> str:
    """The story as one ``<section>``; the user's texts are escaped.

    Example
    -------
    >>> import katamuki as km
    >>> fit = km.fit("y ~ a*exp(b*x)", {"x": [0.0, 1.0, 2.0], "y": [1.0, 3.0, 6.0]})
    >>> html(fit.step(1)).startswith('<section lang="en"><p>Step 1 of ')
    True
    """
    return f'<section lang="{lang}">{as_html(story(step, "numbers", row, lang))}</section>'

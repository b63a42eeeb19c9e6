"""The picture of a race: the largest error of a parameter against the steps taken, both axes logarithmic.

A lane's line holds, of each stretch of steps, its highest and its lowest error, so that bursts and dips are seen.
Errors of 0 have no logarithm and are drawn at the lower edge; lanes without steps, such as the closed form, are in the
legend alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from katamuki import messages
from katamuki.plot.style import QUIET, fonts, heading, language, plain, write
from katamuki.records import Lane
from katamuki.report.race import power

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito 2008: told apart with any colour vision; a second round of them is dashed.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
LINES = ("-", "--", ":")
LOWEST = 1e-17  # below a double's rounding of numbers near 1
BEYOND = 1e3  # times the error at the start: a lane on its way to infinity leaves the picture


class Drawable(Protocol):
    """What a picture needs of a race."""

    @property
    def steps(self) -> int:
        """The length of the race."""

    @property
    def tolerances(self) -> tuple[float, ...]:
        """How near counts."""

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """One run each."""


def figure(race: Drawable, title: str = "", lang: str = "en") -> Figure:
    """The error of each lane by step, with a line at each tolerance.

    Parameters
    ----------
    race : Drawable
        A race.
    title : str
        What stands above, such as the formula.
    lang : str
        The language of the labels.

    Returns
    -------
    matplotlib.figure.Figure
        Notebooks show it; ``savefig`` writes it.

    Example
    -------
    >>> import katamuki as km
    >>> from katamuki.plot import racing
    >>> drawn = racing.figure(km.race("y ~ a*x + b", km.datasets("tutorial"), ["adam"], steps=50))
    >>> [one.get_text() for one in drawn.legends[0].get_texts()]
    ['Adam 0.001']
    """
    from matplotlib.figure import Figure

    lang = language(lang)
    with fonts(_words(race, title, lang)):
        drawn = Figure(figsize=(7.6, 4.8), layout="constrained")
        axes = drawn.subplots()
        bottom, top = _limits(race)
        for k, lane in enumerate(race.lanes):
            _lane(axes, lane, k, bottom, lang)
        for one in race.tolerances:
            if bottom < one < top:
                axes.axhline(one, color=QUIET, linewidth=0.7, linestyle=(0, (1, 2)), zorder=0)
                axes.annotate(
                    power(one), (1.0, one), xycoords=axes.get_yaxis_transform(), xytext=(3, 0),
                    textcoords="offset points", va="center", fontsize=8, color=QUIET,
                )  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(1, max(race.steps, 2))
        axes.set_ylim(bottom, top)
        axes.set_xlabel(messages.sentence("race.plot.steps", lang))
        axes.set_ylabel(messages.sentence("race.plot.error", lang))
        if title:
            axes.set_title(heading(title), fontsize=10, loc="left", parse_math=False)
        plain(axes)
        drawn.legend(loc="outside right upper", frameon=False, fontsize=8.5)
    return drawn


def save(race: Drawable, path: str | Path, title: str = "", lang: str = "en") -> None:
    """Write the picture into a file; its suffix says the kind.

    Example
    -------
    >>> import katamuki as km, tempfile
    >>> from katamuki.plot import racing
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     racing.save(km.race("y ~ a*x + b", km.datasets("tutorial"), ["adam"], steps=50), Path(folder) / "race.svg")
    """
    write(figure(race, title, lang), path, _words(race, title, lang), lang)


def _words(race: Drawable, title: str, lang: str) -> str:
    return title + messages.sentence("race.plot.error", lang) + "".join(_label(lane, lang) for lane in race.lanes)


def _label(lane: Lane, lang: str) -> str:
    return str(messages.said(lane.label, lang))


def _limits(race: Drawable) -> tuple[float, float]:
    """From the least error above rounding to a little above the largest of the lanes that came near."""
    seen = [lane.errors[np.isfinite(lane.errors) & (lane.errors > 0.0)] for lane in race.lanes]
    every = np.concatenate([one for one in seen if len(one)] or [np.array([1.0])])
    began = max(float(lane.errors[0]) for lane in race.lanes)
    top = 3.0 * float(every[every <= max(BEYOND * began, every.min())].max())
    return max(float(every.min()) / 3.0, LOWEST * max(top, 1.0)), top


def _lane(axes: Axes, lane: Lane, k: int, bottom: float, lang: str) -> None:
    """One line, from step 1 on; where the error is 0, at the lower edge."""
    colour, dashes = COLOURS[k % len(COLOURS)], LINES[k // len(COLOURS) % len(LINES)]
    taken = lane.path >= 1
    errors = np.clip(lane.errors[taken], bottom, None)
    axes.plot(lane.path[taken], errors, dashes, color=colour, linewidth=1.3, label=_label(lane, lang))
    if lane.steps == 0 or lane.ending == "diverged":
        return
    axes.plot(lane.path[-1:], errors[-1:], marker="o", markersize=3, color=colour, clip_on=False)

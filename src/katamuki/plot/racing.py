"""The picture of a race: the largest error of a parameter against the steps taken, both axes logarithmic.

A lane's line holds the highest error of each narrow stretch of steps. Where a lane goes up and down inside of one, its
range is a pale bar below all lines, and from its first burst on its line is thin: bursts are seen and hide nothing.
Errors of 0 have no logarithm and are drawn at the lower edge; lanes without a curve, such as the closed form, are named
as such in the legend.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from katamuki import messages
from katamuki.plot.style import QUIET, fonts, heading, language, plain, write
from katamuki.records import Array, Lane
from katamuki.report.race import power

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito 2008, told apart with any colour vision, then three of Tol's; further rounds of them are dashed.
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#882255", "#999933", "#332288",
)  # fmt: skip
STRETCHES = 400  # of the axis, each as narrow as a line
AGAIN = 100.0  # ratio to the least error so far from which a lane is drawn thin: it came near, and left
BURST = 2.0  # ratio from which the range inside a stretch is drawn
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
        count = 0
        for lane in race.lanes:
            if _has_curve(lane, bottom, top):
                _lane(axes, lane, count, bottom, max(race.steps, 2), lang)
                count += 1
            else:
                axes.plot([], [], linestyle="none", label=_label(lane, lang, curve=False))
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


def _label(lane: Lane, lang: str, curve: bool = True) -> str:
    """A lane's name; of one without a curve, that it has none."""
    name = str(messages.said(lane.label, lang))
    if curve:
        return name
    return messages.sentence("race.plot.no_curve" + (".exact" if lane.ending == "exact" else ""), lang, lane=name)


def _has_curve(lane: Lane, bottom: float, top: float) -> bool:
    """Whether a part of the lane lies inside the axes."""
    seen = np.clip(lane.errors[lane.path >= 1], bottom, None)
    return bool((seen <= top).any())


def _limits(race: Drawable) -> tuple[float, float]:
    """From the least error above rounding to a little above the largest of the lanes that came near."""
    seen = [lane.errors[np.isfinite(lane.errors) & (lane.errors > 0.0)] for lane in race.lanes]
    every = np.concatenate([one for one in seen if len(one)] or [np.array([1.0])])
    began = max(float(lane.errors[0]) for lane in race.lanes)
    top = 3.0 * float(every[every <= max(BEYOND * began, every.min())].max())
    return max(float(every.min()) / 3.0, LOWEST * max(top, 1.0)), top


def style(k: int) -> tuple[str, Any]:
    """Colour and dashes of the k-th curve: no two are alike.

    Example
    -------
    >>> style(0), style(10)[1], style(20)[1]
    (('#0072b2', '-'), (0, (4, 2)), (0, (4, 2, 1, 2)))
    """
    turn = k // len(COLOURS)
    return COLOURS[k % len(COLOURS)], "-" if turn == 0 else (0, (4, 2) + (1, 2) * (turn - 1))


def _lane(axes: Axes, lane: Lane, k: int, bottom: float, steps: int, lang: str) -> None:
    """One line, from step 1 on; where the error is 0, at the lower edge."""
    colour, dashes = style(k)
    taken = lane.path >= 1
    path, errors = lane.path[taken], np.clip(lane.errors[taken], bottom, None)
    highest, bars = outlined(path, errors, steps)
    x, y = path[highest], errors[highest]
    calm = _calm(y)
    axes.plot(x[:calm], y[:calm], linestyle=dashes, color=colour, linewidth=1.3, label=_label(lane, lang))
    if calm < len(y):
        axes.plot(x[calm - 1 :], y[calm - 1 :], linestyle=dashes, color=colour, linewidth=0.5, alpha=0.6, zorder=1.5)
    if len(bars):
        at, low, high = bars.T
        axes.vlines(at, low, high, color=colour, linewidth=1.0, alpha=0.25, zorder=1)
    if lane.ending != "diverged":
        axes.plot(path[-1:], errors[-1:], marker="o", markersize=3, color=colour, clip_on=False)


def _calm(errors: Array) -> int:
    """How many of a line's heights stand before its first burst: a rise far above what was reached."""
    burst = np.flatnonzero(errors > AGAIN * np.minimum.accumulate(errors))
    return int(burst[0]) if len(burst) else len(errors)


def outlined(path: NDArray[np.int64], errors: Array, steps: int) -> tuple[NDArray[np.int64], Array]:
    """The rows with the highest error of each stretch, and (step, lowest, highest) where it goes up and down inside.

    Parameters
    ----------
    path : (m,) int64
        Steps taken, from 1 on, ascending.
    errors : (m,) float64
        The error there, above 0.
    steps : int
        Where the axis ends.

    Returns
    -------
    (k,) int64, (b, 3) float64
        Rows in their order, the first and the last among them; bars.

    Example
    -------
    >>> rows, bars = outlined(np.array([1, 10, 1001, 1002, 1003, 2000]), np.array([9.0, 8, 7, 1, 6, 5]), 2000)
    >>> rows.tolist(), bars.tolist()
    ([0, 1, 2, 5], [[1002.0, 1.0, 7.0]])
    """
    place = np.floor(np.log(path) * (STRETCHES / np.log(steps))).astype(np.int64)
    edges = np.flatnonzero(np.diff(place, prepend=-1, append=place[-1] + 1))
    rows, bars = {0, len(path) - 1}, []
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        part = errors[first:last]
        rows.add(first + int(np.argmax(part)))
        turns = np.diff(part)
        if part.max() > BURST * part.min() and (turns > 0).any() and (turns < 0).any():
            bars.append((float(path[(first + last - 1) // 2]), float(part.min()), float(part.max())))
    return np.array(sorted(rows), dtype=np.int64), np.array(bars, dtype=np.float64).reshape(-1, 3)

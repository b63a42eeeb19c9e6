"""The figure of a loss surface: contours of the loss above its least, the path of the run, start, end and answer.

Contours stand at equal steps of log(L − L*), L* the least loss known. What is not drawn is said: how the other
parameters are treated, a sample of the rows, points that did not converge, a path that leaves the picture.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from katamuki import messages
from katamuki.plot.ran import Ran
from katamuki.plot.style import CURVE, DATA, fonts, heading, language, plain
from katamuki.plot.surface import Surface, surface
from katamuki.plot.thinning import POINTS, Index, corners
from katamuki.records import Array
from katamuki.report import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS = 16
NOTHING = "#c4c8ce"  # where no loss is finite
DEEPEST = 1e-8  # of the highest contour: lower ones are rounding
ABOVE = 3.0  # times the highest state of the run: contours beyond are left out
FAR = 3.0  # pictures: a path further away is cut there, for writers that draw every number
ARROW = 0.16  # of the picture
FEW = 60  # corners of a path that are marked
CROWDED = 30.0  # lengths of the picture from which a path is drawn thin
STEEP = 1e3  # ratio of losses from which one parameter's curve has a logarithmic scale


def surface_figure(ran: Ran, of: Any = None, method: Any = "slice", lang: str = "en") -> Figure:
    """The loss over two parameters with the run's path, or over one.

    Parameters
    ----------
    ran : Ran
        The run.
    of, method
        As in :func:`katamuki.plot.surface.surface`.
    lang : str
        The language of the labels.

    Returns
    -------
    matplotlib.figure.Figure
        One panel, and a scale of L − L* where there are two parameters.
    """
    from matplotlib.figure import Figure

    found = surface(ran, of, method)
    lang = language(lang)
    with fonts(messages.sentence("plot.data", lang) + ran.solution.formula):
        drawn = Figure(figsize=(6.8, 5.6), layout="constrained")
        axes = drawn.subplots()
        if len(found.names) == 1:
            _line(axes, ran, found, lang)
        else:
            _contours(drawn, axes, ran, found, lang)
            _path(axes, found, lang)
            _arrows(axes, ran, found, lang)
        _points(axes, ran, found, lang)
        axes.set_xlabel(found.names[0], parse_math=False)
        axes.set_title(heading(ran.solution.formula, *said(ran, found, lang)), fontsize=9, loc="left", parse_math=False)
        legend = drawn.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8.5)
        for line in legend.get_lines():
            line.set_linewidth(max(line.get_linewidth(), 1.1))  # a thin path is still a line there
        plain(axes)
    return drawn


def said(ran: Ran, found: Surface, lang: str) -> list[str]:
    """What stands above a surface: how the others are treated, and what is not drawn."""

    def say(key: str, **values: object) -> str:
        return messages.sentence("plot.surface." + key, lang, **values)

    lines = []
    count = len(found.held)
    if found.fitted:
        names = ", ".join(found.fitted) if count <= 4 else say("others", count=count)
        lines.append(say("profile.linear" if found.linear else "profile", names=names))
    elif found.held:
        pairs = ", ".join(f"{name} = {number(value)}" for name, value in found.held.items())
        lines.append(say("slice." + found.place, held=pairs if count <= 4 else say("others", count=count)))
    if found.rows < found.of_rows:
        lines.append(say("sample", rows=found.rows, all=found.of_rows))
    if found.missed:
        lines.append(say("missed", count=found.missed, all=found.loss.size))
    outside = beyond(found)
    if len(outside) and ran.trace is not None:
        step = int(ran.trace.index[outside[0]]) + 1
        lines.append(say("beyond", step=step, count=len(outside), all=len(ran.trace)))
    return lines


def beyond(found: Surface) -> Index:
    """The rows of the path outside the picture."""
    if found.path is None:
        return np.empty(0, dtype=np.int64)
    inside = np.ones(len(found.path), dtype=bool)
    with np.errstate(invalid="ignore"):
        for k, axis in enumerate(found.axes):
            inside &= (found.path[:, k] >= axis[0]) & (found.path[:, k] <= axis[-1])
    return np.flatnonzero(~inside).astype(np.int64)


def levels(found: Surface, highest: float | None = None) -> Array:
    """The heights L − L* of the contours, ascending: equal steps of their logarithm; empty where all is flat.

    ``highest`` is the height of the run's highest state: contours far above it are left out, as they would leave none
    near the answer.
    """
    height = found.loss - found.lowest
    height = height[np.isfinite(height)]
    top = float(height.max(initial=0.0))
    rounding = 1e-12 * abs(found.lowest)
    if highest is not None and math.isfinite(highest) and highest > rounding:
        top = min(top, ABOVE * highest)
    if not top > rounding:
        return np.empty(0)
    bottom = float(height[height > max(top * DEEPEST, rounding)].min(initial=top))
    return np.geomspace(bottom, top, LEVELS + 1)[1:] if bottom < top else np.array([top])


def heights(found: Surface) -> Array:
    """L − L* on the grid, what is rounding or less lifted to the deepest that is drawn; NaN where no loss is finite."""
    height = found.loss - found.lowest
    height = np.where(np.isfinite(height), height, np.nan)
    most = float(np.nanmax(height, initial=0.0)) or 1.0
    return np.maximum(height, most * DEEPEST * 1e-4)


def highest(ran: Ran, found: Surface) -> float | None:
    """The height of the highest state in the picture."""
    if found.path is None or ran.trace is None:
        return None
    inside = np.ones(len(found.path), dtype=bool)
    inside[beyond(found)] = False
    loss = ran.trace.loss[inside & np.isfinite(ran.trace.loss)]
    return float(loss.max()) - found.lowest if len(loss) else None


def ellipse(found: Surface, points: int = 181) -> Array | None:
    """One standard error round the answer: (points, 2) with δᵀ C⁻¹ δ = 1; None where there is no such thing."""
    if found.ellipse is None or found.answer is None or len(found.names) != 2:
        return None
    try:
        root = np.linalg.cholesky(found.ellipse)
    except np.linalg.LinAlgError:
        return None
    turn = np.linspace(0.0, 2.0 * math.pi, points)
    return np.asarray(found.answer + np.stack([np.cos(turn), np.sin(turn)], axis=1) @ root.T)


def _contours(drawn: Figure, axes: Axes, ran: Ran, found: Surface, lang: str) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap, LogNorm
    from matplotlib.ticker import LogFormatterSciNotation, LogLocator

    axes.set_ylabel(found.names[1], parse_math=False)
    axes.set_xlim(found.axes[0][0], found.axes[0][-1])
    axes.set_ylim(found.axes[1][0], found.axes[1][-1])
    if not np.isfinite(found.loss).all():
        axes.set_facecolor(NOTHING)
        label = messages.sentence("plot.surface.none", lang)
        axes.plot([], [], "s", color=NOTHING, markersize=9, label=label)
    steps = levels(found, highest(ran, found))
    if len(steps) < 2:
        if not np.isfinite(found.loss).any():
            return
        axes.text(0.5, 0.95, messages.sentence("plot.surface.flat", lang), transform=axes.transAxes, ha="center")
        return
    colours = LinearSegmentedColormap.from_list("pale", colormaps["Blues"](np.linspace(0.02, 0.62, 64)))
    height, scale = heights(found), LogNorm(steps[0], steps[-1])
    filled = axes.contourf(*found.axes, height, steps, norm=scale, cmap=colours, extend="both")
    axes.contour(*found.axes, height, steps, colors="#64748b", linewidths=0.5, alpha=0.7)
    bar = drawn.colorbar(filled, ax=axes, shrink=0.85, pad=0.02, ticks=LogLocator(10), format=LogFormatterSciNotation())
    bar.set_label(messages.sentence("plot.surface.height", lang), fontsize=9)
    bar.ax.tick_params(labelsize=8)
    bar.ax.minorticks_off()
    ring = ellipse(found)
    if ring is not None:
        axes.plot(*ring.T, color=DATA, linewidth=1.1, linestyle=(0, (5, 2)), label=messages.sentence("plot.ring", lang))


def _path(axes: Axes, found: Surface, lang: str) -> None:
    if found.path is None or len(found.path) < 2:
        return
    low, high = (np.array([axis[k] for axis in found.axes]) for k in (0, -1))
    reach = FAR * (high - low)
    points = np.clip(found.path, low - reach, high + reach)
    rows = corners(points[:, 0], points[:, 1], *(high - low))
    whole = len(rows) < POINTS or len(rows) == len(points)
    label = messages.sentence("plot.path" if whole else "plot.path.thinned", lang, drawn=len(rows), all=len(points))
    length = float(np.linalg.norm(np.diff(points[rows] / (high - low), axis=0), axis=1).sum())
    dots = "." if len(rows) <= FEW else None
    thin = length > CROWDED  # a zigzag would cover the surface
    axes.plot(*points[rows].T, color=CURVE, linewidth=0.35 if thin else 1.3, marker=dots, markersize=5, label=label)


def _arrows(axes: Axes, ran: Ran, found: Surface, lang: str) -> None:
    """From the start: where the negative gradient points, and where the first step went; directions, not lengths."""
    trace = ran.trace
    if trace is None or found.start is None or len(trace) < 2:
        return
    places = [trace.names.index(name) for name in found.names]
    spans = np.array([axis[-1] - axis[0] for axis in found.axes])
    both = (
        ("downhill", -trace.gradient[0, places], "#7c3aed", ARROW),
        ("first", trace.step[0, places], "#047857", 0.7 * ARROW),
    )
    for key, direction, colour, length in both:
        size = float(np.linalg.norm(direction / spans))
        if not 0.0 < size < math.inf:
            continue
        x, y = (np.array(found.start) + direction / size * length).tolist()
        look = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.4, "shrinkA": 0.0, "shrinkB": 0.0}
        axes.annotate("", xy=(x, y), xytext=(found.start[0], found.start[1]), arrowprops=look, zorder=6)
        axes.plot([], [], color=colour, marker=">", markersize=5, label=messages.sentence("plot." + key, lang))


def _points(axes: Axes, ran: Ran, found: Surface, lang: str) -> None:
    """Start ○, end ●, answer ▢, where they lie in the picture."""
    sizes = {"start": ("o", "white", 7), "end": ("o", CURVE, 7), "answer": ("s", "none", 10)}
    for key, point in (("start", found.start), ("end", found.end), ("answer", found.answer)):
        if point is None or not found.inside(point):
            continue
        marker, face, size = sizes[key]
        at = point if len(point) == 2 else (*point, _loss_at(ran, found, key))
        edge = DATA if key != "end" else "white"
        label = messages.sentence("plot.point." + key, lang)
        axes.plot(
            [at[0]],
            [at[1]],
            linestyle="none",
            marker=marker,
            markersize=size,
            markerfacecolor=face,
            markeredgecolor=edge,
            markeredgewidth=1.4,
            label=label,
            zorder=7,
        )


def _loss_at(ran: Ran, found: Surface, key: str) -> float:
    """The loss of the run at its start or end, the least known at the answer."""
    if key == "answer" or ran.trace is None:
        return found.lowest
    return float(ran.trace.loss[0 if key == "start" else -1])


def _line(axes: Axes, ran: Ran, found: Surface, lang: str) -> None:
    """The loss over one parameter, with the states of the run on it."""
    (x,) = found.axes
    axes.plot(x, found.loss, color=DATA, linewidth=1.5, label=messages.sentence("plot.surface.loss", lang))
    axes.set_ylabel(messages.sentence("plot.loss", lang))
    finite = found.loss[np.isfinite(found.loss)]
    top = float(finite.max(initial=0.0))
    if ran.trace is not None and found.path is not None:
        inside = np.setdiff1d(np.arange(len(found.path)), beyond(found))
        shown = inside[corners(found.path[inside, 0], ran.trace.loss[inside], x[-1] - x[0], top or 1.0)]
        label = messages.sentence("plot.path", lang)
        axes.plot(found.path[shown, 0], ran.trace.loss[shown], color=CURVE, linewidth=1.0, marker=".", label=label)
    axes.set_xlim(x[0], x[-1])
    if len(finite) and finite.min() > 0.0 and top > STEEP * finite.min():
        axes.set_yscale("log")

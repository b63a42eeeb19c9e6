"""The figures by step: loss and parameters, and the stability curve with its limit.

Row k − 1 of a trace is the state before step k, and so it is drawn over k; the last row is the result. Of long runs
the rows are drawn that show (:func:`katamuki.plot.thinning.outline`), the extremes always.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from katamuki import messages
from katamuki.plot.ran import Ran, answer, lowest, stepped
from katamuki.plot.stability import stability
from katamuki.plot.style import CURVE, DATA, QUIET, fonts, heading, language, plain
from katamuki.plot.surface import chosen
from katamuki.plot.thinning import outline
from katamuki.records import Array, Trace
from katamuki.report import number
from katamuki.report.numbers import grouped
from katamuki.report.numbers import plain as typed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABEL = 0.16  # inches of a line of small print
PANELS = 5  # parameters with a panel each
LONG = 50  # steps from which their axis is logarithmic
DECADES = 100.0  # ratio from which a height has a logarithmic axis
ALWAYS = frozenset({"lr", "steps"})
HUGE = 1e150  # beyond, differences and scales overflow


def steps_figure(ran: Ran, of: Sequence[str] | None = None, lang: str = "en") -> Figure:
    """L − L* by step, and below it each parameter with the answer's value dashed.

    Parameters
    ----------
    ran : Ran
        The run.
    of : sequence of str, optional
        The parameters that get a panel; by default the first five.
    lang : str
        The language of the labels.

    Returns
    -------
    matplotlib.figure.Figure
        One panel for the loss, one for each parameter.
    """
    from matplotlib.figure import Figure

    trace, claim = stepped(ran, "steps"), ran.solution
    most = len(claim.free) if of is not None else PANELS
    names = chosen(claim, of, (1, most))
    lang = language(lang)
    with fonts(messages.sentence("plot.data", lang) + claim.formula):
        more = LABEL * len(ran.marks)  # inches for the names of what happened
        drawn = Figure(figsize=(6.8, 2.6 + more + 1.25 * len(names)), layout="constrained")
        heights = [1.9 + more, *[1.0] * len(names)]
        top, *panels = drawn.subplots(1 + len(names), 1, sharex=True, height_ratios=heights)
        x = steps_of(trace)
        _scale(top, x)
        _loss(top, ran, x, lang)
        found = answer(claim)
        for axes, name in zip(panels, names, strict=True):
            y = drawable(trace.params[:, trace.names.index(name)])
            rows = outline(position(x), y)
            axes.plot(x[rows], y[rows], color=CURVE, linewidth=1.2, marker=_dots(rows), markersize=4)
            if found is not None:
                axes.axhline(found[name], color=DATA, linestyle="--", linewidth=1.0, zorder=1)
                _window(axes, y[rows], found[name])
            axes.set_ylabel(name, rotation=0, ha="right", va="center", parse_math=False)
        lines = [claim.formula, ran_by(ran, lang)]
        if ran.batched:
            lines.append(messages.sentence("plot.batched", lang, rows=grouped(claim.n)))
        if len(names) < len(claim.free):
            lines.append(messages.sentence("plot.some", lang, shown=len(names), all=len(claim.free)))
        _marks([top, *panels], ran, lang)
        (panels[-1] if panels else top).set_xlabel(messages.sentence("plot.step", lang))
        top.set_title(heading(*lines), fontsize=9, loc="left", parse_math=False)
        if found is not None:
            panels[0].plot([], [], color=DATA, linestyle="--", label=messages.sentence("plot.point.answer", lang))
            drawn.legend(loc="outside lower center", frameon=False, fontsize=8.5)
        for axes in (top, *panels):
            plain(axes)
    return drawn


def stability_figure(ran: Ran, lang: str = "en") -> Figure:
    """The stability by step with its limit; for Levenberg–Marquardt the damping by attempt.

    Parameters
    ----------
    ran : Ran
        The run.
    lang : str
        The language of the labels.

    Returns
    -------
    matplotlib.figure.Figure
        One panel.
    """
    from matplotlib.figure import Figure

    found, trace, claim = stability(ran), stepped(ran, "stability"), ran.solution
    lang = language(lang)

    def say(key: str, **values: object) -> str:
        return messages.sentence("plot." + key, lang, **values)

    with fonts(say("data") + claim.formula):
        drawn = Figure(figsize=(6.8, 4.2), layout="constrained")
        axes = drawn.subplots()
        x, values = steps_of(trace)[found.rows], found.values
        _scale(axes, steps_of(trace))
        label = say("stability." + found.kind, value=number(float(values[0])))
        drawn_values = np.where(values > 0.0, values, np.nan) if found.kind == "damping" else values
        axes.plot(x, drawn_values, color=CURVE, linewidth=1.4, marker=_dots(found.rows), label=label)
        positive = values[np.isfinite(values) & (values > 0.0)]
        if found.kind == "damping":
            _attempts(axes, x, values, np.asarray(trace.extra["accepted"])[found.rows], lang)
        if found.limit is not None:
            axes.axhline(found.limit, color=DATA, linestyle="--", linewidth=1.0)
            label = say("stability.limit", limit=typed(float(f"{found.limit:.6g}")))
            axes.plot([], [], color=DATA, linestyle="--", label=label)
        if len(positive):
            reach = np.array([*positive.tolist(), *([] if found.limit is None else [found.limit])])
            log = bool(reach.max() > DECADES * reach.min())
            reach = np.append(reach, reach.min() / 3.0 if log else 0.0)  # undamped attempts stand below all others
            if log:
                axes.set_yscale("log")
            _room(axes, reach, log, 0.04 + 0.045 * len(ran.marks))
        _marks([axes], ran, lang)
        axes.set_xlabel(say("attempt" if found.kind == "damping" else "step"))
        axes.set_ylabel(say("stability.axis" if found.kind != "damping" else "stability.damping"))
        axes.set_title(heading(claim.formula, ran_by(ran, lang)), fontsize=9, loc="left", parse_math=False)
        drawn.legend(loc="outside lower center", frameon=False, fontsize=8.5)
        plain(axes)
    return drawn


def ran_by(ran: Ran, lang: str = "en") -> str:
    """The solver with the options that are not its defaults, and always learning rate and steps."""
    usual = {one.name: one.default for one in fields(ran.solver)} if is_dataclass(ran.solver) else {}
    shown = [(name, value) for name, value in ran.solution.options.items() if value is not None]
    given = [f"{name}={typed(value)}" for name, value in shown if name in ALWAYS or usual.get(name) != value]
    name = messages.optional("report.solver." + ran.solution.solver, lang) or ran.solution.solver
    return " ".join([name, *given])


def steps_of(trace: Trace) -> Array:
    """The step before which each row stands, counted from 1."""
    return np.asarray(trace.index + 1, dtype=np.float64)


def _dots(rows: Any) -> str | None:
    """Short runs show each of their steps."""
    return "." if len(rows) <= LONG else None


def _scale(axes: Axes, x: Array) -> None:
    from matplotlib.ticker import MaxNLocator

    if len(x) > LONG:
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def position(x: Array) -> Array:
    """Where a step stands on the paper, for thinning."""
    return np.log(x) if len(x) > LONG else x


def drawable(values: Array) -> Array:
    """The values that an axis can hold; NaN for the others: nothing is drawn where there is no number."""
    values = np.asarray(values, dtype=np.float64)
    return np.where(np.abs(values) <= HUGE, values, np.nan)


def loss_by_step(ran: Ran) -> tuple[Array, str, bool]:
    """L − L* where L* is known, else the loss; the key of its name; and whether it falls so far that only logs show it.

    On a logarithmic axis what is 0 or less has no place and is NaN.
    """
    assert ran.trace is not None  # by stepped()
    low, loss, key = lowest(ran.solution), drawable(ran.trace.loss), "plot.loss"
    if low is not None:
        loss, key = loss - low, "plot.height"
    positive = loss[np.isfinite(loss) & (loss > 0.0)]
    log = bool(len(positive)) and bool(positive.max() > DECADES * positive.min())
    return (np.where(loss > 0.0, loss, np.nan) if log else loss), key, log


def _loss(axes: Axes, ran: Ran, x: Array, lang: str) -> None:
    loss, key, log = loss_by_step(ran)
    if log:
        axes.set_yscale("log")
    rows = outline(position(x), np.log(loss) if log else loss)
    axes.plot(x[rows], loss[rows], color=CURVE, linewidth=1.2, marker=_dots(rows), markersize=4)
    axes.set_ylabel(messages.sentence(key, lang))
    _room(axes, loss[rows], log, LABEL * len(ran.marks) / (1.9 + LABEL * len(ran.marks)))


def _room(axes: Axes, values: Array, log: bool, share: float) -> None:
    """A share of the panel left free above all values, for the names of what happened."""
    values = values[np.isfinite(values)]
    if not len(values) or share <= 0.0:
        return
    low, high = float(values.min()), float(values.max())
    above = min(share, 0.6) / (1.0 - min(share, 0.6)) + 0.05
    if log:
        axes.set_ylim(low / (high / low) ** 0.05, min(high * (high / low) ** above, 1e305))
    elif high > low:
        axes.set_ylim(low - 0.05 * (high - low), high + above * (high - low))


def _window(axes: Axes, y: Array, at: float) -> None:
    """For a run that went far away: the heights near the answer and the start, where there is something to see."""
    y = y[np.isfinite(y)]
    size = max(abs(at), abs(float(y[0])), abs(float(y[0]) - at)) if len(y) else abs(at)
    if len(y) and float(np.abs(y).max()) > 1e3 * (size or 1.0):
        axes.set_yscale("symlog", linthresh=size or 1.0)
        end = 10.0 ** np.floor(np.log10(float(np.abs(y).max())))
        axes.set_yticks([-end, 0.0, end])
        axes.minorticks_off()


def _attempts(axes: Axes, x: Array, values: Array, accepted: Array, lang: str) -> None:
    """Attempts that were rejected, and those that were not damped, which a logarithmic axis cannot show."""
    rejected = np.flatnonzero(accepted == 0)
    if len(rejected):
        label = messages.sentence("plot.stability.rejected", lang)
        axes.plot(x[rejected], values[rejected], "x", color=DATA, label=label)
    undamped = np.flatnonzero(values == 0.0)
    if len(undamped):
        floor = np.full(len(undamped), float(values[values > 0.0].min(initial=1.0)) / 3.0)
        axes.plot(x[undamped], floor, "v", color=QUIET, label=messages.sentence("plot.stability.undamped", lang))


def _marks(panels: list[Axes], ran: Ran, lang: str) -> None:
    """Thin lines where something happened, named at the top of the first panel, side by side."""
    for axes in panels:
        for mark in ran.marks:
            axes.axvline(mark.step, color=QUIET, linewidth=0.7, linestyle=":", zorder=0)
    top = panels[0]
    for k, mark in enumerate(ran.marks):
        text = f"{mark.step} {messages.sentence(mark.key, lang, **mark.values)}"
        right = mark.step <= _middle(top)
        top.annotate(
            text,
            (mark.step, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3 if right else -3, -9 - 10 * k),
            textcoords="offset points",
            ha="left" if right else "right",
            fontsize=7.5,
            color=QUIET,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5},
            parse_math=False,
        )


def _middle(axes: Axes) -> float:
    """The step in the middle of the axis."""
    low, high = axes.get_xlim()
    return float(np.sqrt(max(low, 1.0) * high)) if axes.get_xscale() == "log" else (low + high) / 2

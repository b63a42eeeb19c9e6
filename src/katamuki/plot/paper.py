"""The picture of a fit for papers and notebooks, by matplotlib: data, curve, band, and residuals below."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from katamuki import messages
from katamuki.plot.drawn import Drawn, Fitted, Interval, Series, What, series
from katamuki.plot.style import BAND, CURVE, DATA, fonts, language, plain, write
from katamuki.plot.surface import Method
from katamuki.records import HAS_AN_ANSWER
from katamuki.report import number
from katamuki.report.numbers import grouped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MANY = 20_000  # points from which dots are drawn as pixels, so that a file stays small
NARROW = 0.02  # of the height: a band that a line of usual width would cover
FEW = 100  # points up to which dots are large and lie on the curve; of more, each is smaller and fainter


def figure(
    fit: Fitted,
    interval: Interval | None = "mean",
    level: float = 0.95,
    residuals: bool = True,
    lang: str = "en",
) -> Figure:
    """Data, fitted curve and band, with the residuals in a panel below.

    Parameters
    ----------
    fit : Fitted
        A fit; with several predictors, observations are drawn against predictions.
    interval : "mean", "new" or None
        The band: where the curve may be, where a new observation may be, or none.
    level : float
        How much the band should cover, no unit.
    residuals : bool
        Whether the residuals y − ŷ get a panel.
    lang : str
        The language of the labels.

    Returns
    -------
    matplotlib.figure.Figure
        Notebooks show it; ``savefig`` writes it.

    Example
    -------
    >>> import katamuki as km
    >>> from katamuki import plot
    >>> len(plot.figure(km.fit("y ~ a*x + b", km.datasets("tutorial"))).axes)
    2
    """
    from matplotlib.figure import Figure

    found = series(fit, interval=_possible(fit, interval), level=level, through_rows=True)
    lang = language(lang)
    said = messages.sentence("plot.data", lang)
    with fonts(said + fit.solution.formula + "".join(fit.solution.columns)):
        drawn = Figure(figsize=(6.4, 5.2 if residuals else 4.0), layout="constrained")
        if residuals:
            top, bottom = drawn.subplots(2, 1, sharex=True, height_ratios=[3, 1])
            _residuals(bottom, found, lang)
            bottom.set_xlabel(_label(found, lang), parse_math=False)
        else:
            top = drawn.subplots()
            top.set_xlabel(_label(found, lang), parse_math=False)
        _curve(drawn, top, fit, found, level, lang)
        drawn.align_ylabels()
    return drawn


def save(
    fit: Drawn,
    path: str | Path,
    interval: Interval | None = None,
    level: float = 0.95,
    lang: str = "en",
    *,
    what: What = "fit",
    of: Sequence[str] | None = None,
    method: Method = "slice",
) -> None:
    """Write the picture into a file; its suffix says the kind.

    Parameters
    ----------
    fit : Fitted
        A fit.
    path : str or path
        Such as ``fit.svg`` or ``fit.png``.
    interval, level, lang
        As in :func:`figure`; the band of the curve by default.
    what, of, method
        As in ``fit.plot``.

    Example
    -------
    >>> import katamuki as km, tempfile
    >>> from katamuki import plot
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plot.save(km.fit("y ~ a*x + b", km.datasets("tutorial")), Path(folder) / "fit.svg")
    """
    text = fit.solution.formula + "".join(fit.solution.columns)
    if what == "fit":
        drawn = figure(fit, interval or "mean", level, lang=lang)
    else:
        drawn = fit.plot(lang=lang, what=what, of=of, method=method)
    write(drawn, path, text, lang)


def _possible(fit: Fitted, interval: Interval | None) -> Interval | None:
    """No band where a free parameter has no error bar, nor where the run ended away from the minimum.

    It would look more certain than it is.
    """
    claim = fit.solution
    known = all(claim.stderr[name] is not None for name in claim.free)
    return interval if known and claim.state in HAS_AN_ANSWER else None


def _curve(drawn: Figure, axes: Axes, fit: Fitted, found: Series, level: float, lang: str) -> None:
    def say(key: str, **values: object) -> str:
        return messages.sentence("plot." + key, lang, **values)

    fine = len(found.x) <= FEW and not _narrow(found)
    for kind, (low, high) in found.bands.items():
        share = f"{100 * level:g}"
        axes.fill_between(
            found.curve_x,
            low,
            high,
            color=BAND,
            alpha=0.5 if fine else 0.8,
            linewidth=0 if fine else 2.0,
            label=say("band." + kind, level=share),
        )
    # Many or good rows make a band narrower than a line: the line is thinned, and the band gets edges.
    label = say("curve") if found.name is not None else say("equal")
    axes.plot(found.curve_x, found.curve_y, color=CURVE, linewidth=1.8 if fine else 1.0, label=label)
    data = say("data")
    if len(found.x) < fit.solution.n:  # rows that are elsewhere: a sample is drawn
        data = say("sample", shown=grouped(len(found.x)), all=grouped(fit.solution.n))
    _points(axes, found.x, found.y, data)
    named = found.response if found.name is not None else say("observed", name=found.response)
    axes.set_ylabel(named, parse_math=False)
    axes.set_title(_title(fit, lang), fontsize=10, loc="left", parse_math=False)
    legend = drawn.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)  # over no point of the data
    for one, name in zip(legend.legend_handles, legend.get_texts(), strict=True):
        if one is not None and name.get_text() == data:
            one.set(alpha=0.9, markersize=5.0)  # a faint dot alone would not be seen
    plain(axes)


def _narrow(found: Series) -> bool:
    """Whether a line of usual width would hide a band."""
    shown = np.concatenate([found.y, found.curve_y])
    shown = shown[np.isfinite(shown)]
    widths = [np.median(high - low) for low, high in found.bands.values()]
    return bool(len(shown)) and any(width < NARROW * np.ptp(shown) for width in widths)


def _points(axes: Axes, x: Any, y: Any, label: str | None = None) -> None:
    many, share = len(x) > MANY, min(1.0, FEW / max(len(x), 1))
    axes.plot(
        x,
        y,
        linestyle="none",
        marker="o" if share == 1.0 else ".",
        markersize=4.5 if share == 1.0 else max(1.8, 7.0 * share**0.25),  # a dot is half as wide as a disc
        markeredgewidth=1.0 if share == 1.0 else 0.0,
        color=DATA,
        alpha=max(0.3, 0.9 * share**0.2),
        rasterized=many,
        label=label,
        zorder=0.5 if share < 1.0 else 3,  # many points would hide the curve and its band
    )


def _residuals(axes: Axes, found: Series, lang: str) -> None:
    axes.axhline(0.0, color=CURVE, linewidth=1.2)
    _points(axes, found.x, found.y - found.fitted)
    axes.set_ylabel(messages.sentence("plot.residuals", lang))
    apart = np.abs(found.y - found.fitted)
    largest = float(apart[np.isfinite(apart)].max(initial=0.0)) or 1.0
    axes.set_ylim(-1.2 * largest, 1.2 * largest)
    plain(axes)


def _label(found: Series, lang: str) -> str:
    return found.name if found.name is not None else messages.sentence("plot.predicted", lang, name=found.response)


def _title(fit: Fitted, lang: str) -> str:
    """The formula, and below it the parameters with their error bars; of a run that ended elsewhere, that it did."""
    parts, claim = [], fit.solution
    settled = claim.state in HAS_AN_ANSWER
    for name, value in claim.params.items():
        bar = claim.stderr[name] if settled else None
        parts.append(f"{name} = {number(value)}" + (f" ± {number(bar)}" if bar is not None else ""))
    lines = textwrap.wrap(claim.formula, 78) or [""]
    formula = len(lines)
    for part in parts:
        if len(lines) > formula and len(lines[-1]) + len(part) < 70:
            lines[-1] += "    " + part
        else:
            lines.append(part)
    if not settled:
        solver = messages.optional("report.solver." + claim.solver, lang) or claim.solver
        key = "plot.run_end.one" if claim.steps == 1 else "plot.run_end"
        lines.append(messages.sentence(key, lang, steps=grouped(claim.steps), solver=solver))
    return "\n".join(lines)

"""The panels of the page that replays a run: what stands still as SVG, and the pixels of what moves, for each key step.

Key steps are rows of the trace (:func:`katamuki.plot.thinning.key_rows`). A curve that moves is a matrix of heights in
pixels, sixteen bits each, true at every key step: the browser interpolates nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from katamuki.plot import contours, svg
from katamuki.plot.curves import LONG, drawable, loss_by_step, position, steps_of
from katamuki.plot.drawn import Fitted, series
from katamuki.plot.ran import Ran, answer, stepped
from katamuki.plot.stability import Stability
from katamuki.plot.surface import Surface
from katamuki.plot.svg import Axis
from katamuki.plot.thinning import Index, corners, outline
from katamuki.records import Array

WIDTH, HEIGHT, LOW = 560, 400, 170  # of a panel, and of one of the curves by step
LEFT, RIGHT, TOP, BOTTOM = 64.0, 16.0, 26.0, 44.0
POINTS = 2000  # observations that are drawn
MOVING = 200  # observations that move, where there are several predictors
CURVE = 200  # points of a curve at most
ENOUGH = 0.3  # pixels: fewer points are as good
PATH = 1500  # corners of the path
LEVELS_BEYOND = 3.0  # windows: a curve may leave its field by one above and one below
NOWHERE = 65535  # what says that a curve has no place there

Say = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Panel:
    """Markup that stands still, and what a script moves in it."""

    markup: str
    data: dict[str, Any] = field(default_factory=dict)


def packed(values: Any, kind: str) -> str:
    """Numbers as base64 of their little-endian bytes; ``kind`` is NumPy's."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<" + kind).tobytes()).decode("ascii")


def fit_panel(ran: Ran, fit: Fitted, rows: Index, say: Say) -> Panel:
    """Data and curve: at the start dotted, now solid, at the answer dashed; or observed over predicted."""
    trace = stepped(ran, "replay")
    found = series(fit, points=CURVE)
    if found.name is None:
        return _against(ran, fit, rows, say)
    grid, params = {found.name: found.curve_x}, trace.params[rows]
    curves = _model(ran, params, grid)
    best = answer(ran.solution)
    still = curves[:1] if best is None else np.vstack([curves[:1], _model(ran, _vector(ran, best), grid)])
    x, y = _field(found.curve_x, found.y, still[1:], still[:1])
    kept = _spread(len(found.x), POINTS)
    inside = f'<path class="start" d="{svg.path(x.at(found.curve_x), y.at(still[0]))}"/>'
    if best is not None:
        inside += f'<path class="answer" d="{svg.path(x.at(found.curve_x), y.at(still[1]))}"/>'
    inside += f'<path class="data" d="{svg.dots(x.at(found.x[kept]), y.at(found.y[kept]))}"/>'
    inside += '<path class="now" id="now-curve"/>'
    few = _fewest(y.at(curves))
    markup = svg.field(x, y, "fit", inside) + svg.frame(x, y, found.name, found.response)
    markup += _outside(x, y, "fit", say)
    data = {
        "kind": "curve",
        "across": [round(one, 1) for one in x.at(found.curve_x[few]).tolist()],
        "top": y.end,
        "bottom": y.start,
        "heights": packed(_sixteen(y.at(curves[:, few]), y), "u2"),
    }
    return Panel(svg.picture(WIDTH, HEIGHT, say("fit"), markup, "fit"), data)


def _against(ran: Ran, fit: Fitted, rows: Index, say: Say) -> Panel:
    """Observations over predictions, each moving along its row as the parameters change."""
    trace, found = stepped(ran, "replay"), series(fit)
    kept = _spread(len(found.y), MOVING)
    columns = {name: np.asarray(column) for name, column in fit.columns.items()}
    predicted = _model(ran, trace.params[rows], columns)[:, kept]
    low, high = _ends(np.append(found.y, found.fitted if answer(ran.solution) else []))
    span = (high - low) or abs(low) or 1.0
    begin = predicted[0][np.isfinite(predicted[0])]
    x = Axis(
        *svg.apart(*_ends(np.append([low, high], np.clip(begin, low - span, high + span))), 0.06), LEFT, WIDTH - RIGHT
    )
    y = Axis(*svg.apart(low, high, 0.06), HEIGHT - BOTTOM, TOP)
    ends = np.array([x.low, x.high])
    inside = f'<path class="answer" d="{svg.path(x.at(ends), y.at(ends))}"/><path class="data now" id="now-points"/>'
    markup = svg.field(x, y, "fit", inside)
    markup += svg.frame(x, y, say("predicted", name=found.response), say("observed", name=found.response))
    markup += _outside(x, y, "fit", say)
    sideways = Axis(0.0, 1.0, x.end, x.start)  # the same three windows as for heights, lying down
    data = {
        "kind": "points",
        "up": [round(one, 1) for one in y.at(found.y[kept]).tolist()],
        "top": x.start,
        "bottom": x.end,
        "heights": packed(_sixteen(x.at(predicted), sideways), "u2"),
    }
    return Panel(svg.picture(WIDTH, HEIGHT, say("against"), markup, "fit"), data)


def _outside(x: Axis, y: Axis, name: str, say: Say) -> str:
    """What is said where the present state has left the picture; hidden until then."""
    place = f'x="{svg.px((x.start + x.end) / 2)}" y="{svg.px(y.end + 18)}" text-anchor="middle"'
    said = escape(say("outside." + name))
    return f'<text class="outside" id="{name}-outside" style="display:none" {place}>{said}</text>'


def _model(ran: Ran, params: Array, columns: Any) -> Array:
    """ŷ (rows, m) at several parameters (rows, p)."""
    with np.errstate(all="ignore"):
        return np.stack([np.asarray(ran.model(one, columns), dtype=np.float64) for one in params])


def _vector(ran: Ran, best: dict[str, float]) -> Array:
    return np.array([[best[name] for name in ran.solution.free]])


def _field(grid: Array, data: Array, best: Array, begin: Array) -> tuple[Axis, Axis]:
    """The axes: data and answer inside, the start as far as one height above and below them."""
    low, high = _ends(np.append(data, best))
    span = (high - low) or abs(low) or 1.0
    low, high = _ends(np.append([low, high], np.clip(begin[np.isfinite(begin)], low - span, high + span)))
    left, right = svg.apart(float(grid[0]), float(grid[-1]), 0.03)
    x = Axis(left, right, LEFT, WIDTH - RIGHT)
    return x, Axis(*svg.apart(low, high, 0.06), HEIGHT - BOTTOM, TOP)


def _ends(values: Array) -> tuple[float, float]:
    """The least and the largest finite value; 0 and 1 where there is none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)


def _spread(count: int, most: int) -> Index:
    """Rows spread evenly, at most so many."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def _fewest(pixels: Array) -> Index:
    """The fewest points of the curves (rows, CURVE) between which straight lines are as good as all of them."""
    everything = np.arange(pixels.shape[1])
    if np.isfinite(pixels).all():
        for count in (2, 26, 51, 101):
            kept = np.linspace(0, len(everything) - 1, count).round().astype(np.int64)
            if all(abs(np.interp(everything, kept, one[kept]) - one).max() <= ENOUGH for one in pixels):
                return kept
    return everything


def _sixteen(pixels: Array, y: Axis) -> Array:
    """Pixels in three windows (one above, one below) as 0 … 65534; NaN is 65535."""
    height = y.start - y.end
    share = (pixels - (y.end - height)) / (LEVELS_BEYOND * height)
    scaled = np.clip(np.nan_to_num(share, nan=0.0), 0.0, 1.0) * (NOWHERE - 1)
    return np.asarray(np.where(np.isnan(pixels), NOWHERE, np.round(scaled)))


def surface_panel(ran: Ran, found: Surface, rows: Index, say: Say) -> Panel:
    """The loss surface: contours, one standard error, start, answer; the path and where it is now move."""
    trace = stepped(ran, "replay")
    assert found.path is not None  # a run that took steps has one
    x = Axis(float(found.axes[0][0]), float(found.axes[0][-1]), LEFT, WIDTH - RIGHT)
    if len(found.names) == 1:
        y, up, inside, heights = _line(ran, found, x, say)
    else:
        y = Axis(float(found.axes[1][0]), float(found.axes[1][-1]), HEIGHT - BOTTOM, TOP)
        up, heights, inside = found.names[1], found.path[:, 1], ""
        levels = contours.levels(found, contours.highest(ran, found))
        if len(levels) > 1:
            inside = svg.bands(x, y, found.axes, contours.heights(found), levels)
        ring = contours.ellipse(found)
        if ring is not None:
            inside += f'<path class="ring" d="{svg.path(x.at(ring[:, 0]), y.at(ring[:, 1]))}"/>'
    across = x.at(found.path[:, 0])
    upward = y.at(heights)
    way = corners(across, upward, WIDTH, HEIGHT, PATH)
    inside += '<path class="path" id="path"/>'
    inside += f'<circle class="from" r="6" cx="{svg.px(across[0])}" cy="{svg.px(upward[0])}"/>'
    if found.answer is not None:
        place = found.answer if len(found.answer) == 2 else (found.answer[0], found.lowest)
        at = svg.px(x.at(place[0]) - 8), svg.px(y.at(place[1]) - 8)
        inside += f'<rect class="goal" width="16" height="16" x="{at[0]}" y="{at[1]}"/>'
    inside += '<circle class="here" r="5" id="here"/>'
    markup = svg.field(x, y, "surface", inside) + svg.frame(x, y, found.names[0], up) + _outside(x, y, "surface", say)
    length = float(np.hypot(np.diff(across[way]), np.diff(upward[way])).sum())
    data = {
        "field": [x.start, x.end, y.end, y.start],
        "crowded": length > contours.CROWDED * WIDTH,
        "steps": [int(one) for one in trace.index[way] + 1],
        "across": _tenths(across[way]),
        "up": _tenths(upward[way]),
        "here": [_tenths(across[rows]), _tenths(upward[rows])],
    }
    return Panel(svg.picture(WIDTH, HEIGHT, say("surface"), markup, "surface"), data)


def _line(ran: Ran, found: Surface, x: Axis, say: Say) -> tuple[Axis, str, str, Array]:
    """The loss over one parameter: the axis of the loss, its name, the curve, and the run's losses."""
    assert ran.trace is not None  # by surface_panel()
    low, high = _ends(found.loss)
    log = low > 0.0 and high > contours.STEEP * low
    ends = (low / 1.5, high * 1.5) if log else svg.apart(low, high, 0.06)
    y = Axis(*ends, HEIGHT - BOTTOM, TOP, log)
    curve = f'<path class="loss" d="{svg.path(x.at(found.axes[0]), y.at(found.loss))}"/>'
    return y, say("loss"), curve, np.asarray(ran.trace.loss)


def _tenths(pixels: Array) -> list[float | None]:
    return [round(one, 1) if one == one else None for one in np.asarray(pixels).tolist()]  # noqa: PLR0124


def by_step(
    ran: Ran,
    rows: Index,
    values: Array,
    at: Index,
    name: str,
    say: Say,
    *,
    number: int,
    log: bool,
    level: float | None,
    last: bool = False,
) -> Panel:
    """One curve by step: ``values`` at rows ``at`` of the trace, a level dashed, a cursor and a dot at key rows."""
    trace = stepped(ran, "replay")
    steps = steps_of(trace)
    x = Axis(1.0, max(float(steps[-1]), 2.0), LEFT, WIDTH - RIGHT, log=len(steps) > LONG)
    shown = outline(position(steps)[at], np.log(values) if log else values)
    y = _height(values[shown], level, log)
    tall = LOW if last else LOW - 18
    inside = "".join(
        f'<path class="event" d="M{svg.px(x.at(float(mark.step)))} {svg.px(y.start)}V{svg.px(y.end)}"/>'
        for mark in ran.marks
    )
    if level is not None:
        inside += f'<path class="answer" d="M{svg.px(x.start)} {svg.px(y.at(level))}H{svg.px(x.end)}"/>'
    inside += f'<path class="curve" d="{svg.path(x.at(steps[at][shown]), y.at(values[shown]))}"/>'
    inside += f'<path class="cursor" id="cursor{number}"/><circle class="here" r="4" id="dot{number}"/>'
    id_ = f"chart{number}"
    markup = svg.field(x, y, id_, inside) + svg.frame(x, y, say("step") if last else "", name, (6, 3))
    data = {"top": y.end, "bottom": y.start, "across": _tenths(x.at(steps[rows]))}
    return Panel(
        svg.picture(WIDTH, tall, say("chart", name=name), markup, id_), data | {"up": _heights(y, values, at, rows)}
    )


def _height(values: Array, level: float | None, log: bool) -> Axis:
    """The axis upward: all values and the level, with some room."""
    every = np.array([*values.tolist(), *([] if level is None else [level])] or [1.0])
    every = np.log10(every) if log else every
    ends = svg.apart(float(every.min()), float(every.max()), 0.06)
    if log:
        ends = 10.0 ** max(ends[0], -300.0), 10.0 ** min(ends[1], 300.0)
    return Axis(*ends, LOW - BOTTOM, TOP, log)


def _heights(y: Axis, values: Array, at: Index, rows: Index) -> list[float | None]:
    """The pixels of the curve at key rows; None where it was not computed there."""
    place = np.searchsorted(at, rows)
    place = np.minimum(place, len(at) - 1)
    return _tenths(np.where(at[place] == rows, y.at(values[place]), np.nan))


def curves(ran: Ran, rows: Index, names: tuple[str, ...], steady: Stability | None, say: Say) -> list[Panel]:
    """Loss, parameters and, where there is such a thing, the stability, by step; the last one names the axis."""
    trace, best = stepped(ran, "replay"), answer(ran.solution)
    everything, end = np.arange(len(trace)), len(names) + (steady is not None)
    loss, key, log = loss_by_step(ran)
    found = [by_step(ran, rows, loss, everything, say(key.removeprefix("plot.")), say, number=0, log=log, level=None)]
    for name in names:
        values = drawable(trace.params[:, trace.names.index(name)])
        level = None if best is None else best[name]
        last = len(found) == end
        number = len(found)
        found.append(
            by_step(ran, rows, values, everything, name, say, number=number, log=False, level=level, last=last)
        )
    if steady is not None:
        positive = steady.values[np.isfinite(steady.values) & (steady.values > 0.0)]
        log = len(positive) > 0 and float(positive.max()) > 100.0 * float(positive.min())
        values = np.where(steady.values > 0.0, steady.values, np.nan) if log else steady.values
        name = say("stability.damping" if steady.kind == "damping" else "stability.axis")
        number, level = len(found), steady.limit
        found.append(by_step(ran, rows, values, steady.rows, name, say, number=number, log=log, level=level, last=True))
    return found

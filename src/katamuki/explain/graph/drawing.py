"""The graph of a step as a picture: values go forward from left to right, gradients come back in violet.

A node shows its rule and its value; an edge that a gradient passes shows it with "∂", and a Σ badge where all rows meet
in something that they share. Of one row, or means forward and sums backward over all rows. The picture carries its text
alternative in ``<title>`` and ``<desc>``; it has its own white ground, so that it reads on dark pages too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

import numpy as np

from katamuki import messages
from katamuki.errors import DataError, spoken
from katamuki.explain.graph.layout import Edge, Layout, Place, place
from katamuki.explain.graph.tape import CHUNK, Flow, Tape, record
from katamuki.explain.step.record import Step
from katamuki.explain.story.forward import rule_of
from katamuki.explain.story.notation import short
from katamuki.explain.story.text import check_row, tape_with
from katamuki.report.numbers import grouped, width

FONT = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', 'Noto Sans CJK JP', Arial, sans-serif"
LETTER = 7.4  # pixels of a letter at 13 px, generously
SMALL = 6.7  # the same at 12 px
LINE = 16.0
GAP = 40.0
DIGITS = 5
MANY = 30  # nodes beyond which the picture says that it is large
INK, FAINT, VIOLET, BLUE, GOLD = "#1f2328", "#8b949e", "#6b2fb3", "#0b5cad", "#8a5a00"
FILLS = {"parameter": ("#fff6dd", GOLD), "column": ("#e7f1fc", BLUE), "constant": ("#f3f4f6", FAINT)}
PLAIN, LOSS = ("#ffffff", "#57606a"), ("#f3ecfb", VIOLET)


@dataclass(frozen=True, slots=True)
class Svg:
    """A picture as text; notebooks show it, ``save`` writes it."""

    text: str

    def _repr_svg_(self) -> str:
        return self.text

    def __str__(self) -> str:
        return self.text

    def save(self, path: str | Path) -> None:
        """Write the picture to a file.

        Raises
        ------
        DataError
            If the file cannot be written.
        """
        try:
            Path(path).write_text(self.text + "\n", encoding="utf-8")
        except OSError as problem:
            raise DataError("E-FILE", "saving.cannot_write", path=str(path), cause=problem.strerror or "") from None


class _Picture:
    """What every node and edge says, of a row or of all rows."""

    def __init__(self, step: Step, row: int | None, lang: str) -> None:
        self.step = step
        self.row = row
        self.lang = lang
        self.tape = step.tape if row is None else tape_with(step, [row])
        self.means, self.sums = _over_rows(step) if row is None else ({}, {})
        self.flows: dict[tuple[int, int], list[Flow]] = {}
        for one in self.tape.flows:
            self.flows.setdefault((one.target, one.source), []).append(one)
        self.nodes = [k for k, node in enumerate(self.tape.nodes) if node.op != "constant"]  # those are in the rules
        self.at = {k: i for i, k in enumerate(self.nodes)}
        self.pairs = [(a, k) for k in self.nodes for a in dict.fromkeys(self.tape.nodes[k].args) if a in self.at]

    def value(self, k: int) -> str:
        """A node's number: of the row, or the mean over all rows."""
        node = self.tape.nodes[k]
        if node.shared:
            return short(float(node.value), DIGITS)
        if self.row is not None:
            return short(self.tape.number(k, self.row), DIGITS)
        return self.say("mean", value=short(self.means[k], DIGITS))

    def lines(self, k: int) -> tuple[str, str]:
        """The two lines of a box: rule and value."""
        node = self.tape.nodes[k]
        rule = rule_of(self.tape, node)
        if k == self.tape.loss:
            rule = f"mean({self.tape.nodes[self.tape.square].name})"
        return (f"{node.name} = {rule}" if rule else node.name), self.value(k)

    def labels(self, start: int, end: int) -> list[str]:
        """What an edge carries back: "∂ …", and "Σ …" where all rows meet."""
        tape = self.tape
        if end == tape.loss:
            return [f"◂ ∂ {self._back(start)}"]
        if end == tape.square and start == tape.error:
            return [f"◂ ∂ {self._back(start)}"]
        if end == tape.error and start == tape.prediction and tape.nodes[start].adjoint is not None:
            if tape.nodes[start].shared:
                return [f"Σ {short(tape.back(start, tape.rows[0]), DIGITS)}"]
            return [f"◂ ∂ {self._back(start)}"]
        found: list[str] = []
        for one in self.flows.get((start, end), ()):
            meets = tape.nodes[start].shared and not tape.nodes[end].shared
            if meets and self.row is not None:
                found += [f"◂ ∂ {short(tape.carried(one, self.row), DIGITS)}", f"Σ {short(one.total, DIGITS)}"]
            elif meets:
                found.append(f"Σ {short(one.total, DIGITS)}")
            elif tape.nodes[start].shared:
                found.append(f"◂ ∂ {short(float(one.value), DIGITS)}")
            elif self.row is not None:
                found.append(f"◂ ∂ {short(tape.carried(one, self.row), DIGITS)}")
            elif not one.part:
                found.append(f"◂ ∂ {self._back(start)}")
        return found

    def _back(self, k: int) -> str:
        """A node's gradient: of the row, or the sum over all rows."""
        if self.row is not None:
            return short(self.tape.back(k, self.row), DIGITS)
        return "Σ " + short(self.sums[k], DIGITS)

    def say(self, key: str, **values: object) -> str:
        """A sentence of the catalogue under "drawing."."""
        return messages.sentence("drawing." + key, self.lang, **values)

    def described(self) -> str:
        """The picture in words: every node with its value, every gradient."""
        said = []
        for k in self.nodes:
            node, (first, value) = self.tape.nodes[k], self.lines(k)
            gradient = ""
            if node.adjoint is not None and k != self.tape.loss:
                total = short(float(node.adjoint), DIGITS) if node.shared else self._back(k)
                gradient = self.say("gradient", value=total)
            said.append(f"{first}: {value}{gradient}")
        return "; ".join(said)


def draw(step: Step, row: int | None = None, lang: str = "en") -> Svg:
    """The graph of a step as SVG; see :meth:`katamuki.explain.step.record.Step.draw`."""
    spoken(lang)
    if row is not None:
        row = check_row(step.n, row, step.batch is not None)
    picture = _Picture(step, row, lang)
    texts = [picture.lines(k) for k in picture.nodes]
    widths = [max(_pixels(first, LETTER), _pixels(second, SMALL)) + 18.0 for first, second in texts]
    heights = [2 * LINE + 10.0] * len(texts)
    labels = [picture.labels(a, k) for a, k in picture.pairs]
    edges = []
    for (a, k), lines in zip(picture.pairs, labels, strict=True):
        wide = max((_pixels(one, SMALL) for one in lines), default=0.0)
        edges.append(Edge(picture.at[a], picture.at[k], wide + 10.0 if lines else 0.0, 15.0 * len(lines) + 2.0))
    layout = place(widths, heights, edges, GAP)
    parts = _heading(picture, layout)
    parts += [_edge(path) for path in layout.paths]
    boxes = zip(picture.nodes, layout.boxes, widths, heights, texts, strict=True)
    parts += [_box(picture.tape, k, at, wide, high, said) for k, at, wide, high, said in boxes]
    parts += [_label(at, edge, lines) for at, edge, lines in zip(layout.labels, edges, labels, strict=True) if lines]
    parts += [*_legend(picture, layout), "</svg>"]
    return Svg("\n".join(parts))


def _pixels(text: str, letter: float) -> float:
    return width(text) * letter


def _over_rows(step: Step) -> tuple[Mapping[int, float], Mapping[int, float]]:
    """Every node's mean and the sum of its gradients over all rows."""
    tape, subject = step.tape, step.subject
    values, gradients = np.zeros(len(tape.nodes)), np.zeros(len(tape.nodes))
    sizes, slopes = np.zeros(len(tape.nodes)), np.zeros(len(tape.nodes))

    def add(part: Tape) -> None:
        for k, node in enumerate(part.nodes):
            if not node.shared:
                values[k] += float(node.value.sum())
                sizes[k] += float(np.abs(node.value).sum())
                gradients[k] += 0.0 if node.adjoint is None else float(node.adjoint.sum())
                slopes[k] += 0.0 if node.adjoint is None else float(np.abs(node.adjoint).sum())

    if len(tape.rows) == step.n or tape.sketch is None:
        add(tape)
    else:
        for first in range(1, step.n + 1, CHUNK):
            rows = range(first, min(first + CHUNK, step.n + 1))
            add(record(tape.sketch, subject.columns, subject.y, subject.weights, step.before, rows, tape))
    rounding = step.n * float(np.finfo(np.float64).eps)  # a sum below the rounding of its terms is 0
    e, both = sizes[tape.error], sizes[tape.prediction] + sizes[tape.response]
    sizes[tape.error] = both  # e = ŷ − y, and what comes of it, has their rounding
    values[np.abs(values) <= rounding * sizes] = 0.0
    gradients[np.abs(gradients) <= rounding * slopes * (max(1.0, both / e) if e else 1.0)] = 0.0
    return dict(enumerate((values / step.n).tolist())), dict(enumerate(gradients.tolist()))


def _heading(picture: _Picture, layout: Layout) -> list[str]:
    """The picture's frame, its name and its text alternative, the ground and the arrow heads."""
    step, high = picture.step, layout.height + 2 * LINE + 12.0
    key = "title" if picture.row is not None else "title.all"
    title = picture.say(key, step=step.number, row=_followed(picture), rows=step.n, formula=step.formula)
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {layout.width:.0f} {high:.0f}"'
        f' width="{layout.width:.0f}" height="{high:.0f}" role="img" lang="{picture.lang}"'
        f' style="max-width:100%;height:auto" font-family="{FONT}">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(picture.described())}</desc>",
        '<defs><marker id="katamuki-forward" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
        f' orient="auto"><path d="M0 0L8 4L0 8z" fill="{FAINT}"/></marker></defs>',
        f'<rect width="{layout.width:.0f}" height="{high:.0f}" fill="#ffffff"/>',
    ]


def _followed(picture: _Picture) -> str:
    """The row in words; in a batch its place there and its number in the data."""
    batch, row = picture.step.batch, picture.row
    if batch is None or row is None:
        return picture.say("of_row", row=row)
    return picture.say("of_row.batch", i=row, row=grouped(batch.rows[row - 1]))


def _edge(path: tuple[Place, ...]) -> str:
    """A line through the points of an edge, level where it meets a layer."""
    said = [f"M{path[0].x:.1f} {path[0].y:.1f}"]
    for k, (one, two) in enumerate(pairwise(path)):
        if k % 2:  # past a layer
            said.append(f"L{two.x:.1f} {two.y:.1f}")
        else:
            half = (one.x + two.x) / 2.0
            said.append(f"C{half:.1f} {one.y:.1f} {half:.1f} {two.y:.1f} {two.x:.1f} {two.y:.1f}")
    line = " ".join(said)
    return f'<path d="{line}" fill="none" stroke="{FAINT}" stroke-width="1.3" marker-end="url(#katamuki-forward)"/>'


def _box(tape: Tape, k: int, at: Place, wide: float, high: float, said: tuple[str, str]) -> str:
    """A box with the rule above the value."""
    fill, ink = LOSS if k == tape.loss else FILLS.get(tape.nodes[k].op, PLAIN)
    x, y = at.x - wide / 2.0, at.y - high / 2.0
    return (
        f'<g><rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" rx="7" fill="{fill}"'
        f' stroke="{ink}" stroke-width="1.2"/>'
        f'<text x="{at.x:.1f}" y="{at.y - 4:.1f}" font-size="13" text-anchor="middle" fill="{INK}"'
        f' font-weight="600">{escape(said[0])}</text>'
        f'<text x="{at.x:.1f}" y="{at.y + 13:.1f}" font-size="12" text-anchor="middle" fill="{INK}">'
        f"{escape(said[1])}</text></g>"
    )


def _label(at: Place, edge: Edge, lines: list[str]) -> str:
    """What comes back along an edge, violet; a sum over rows in a badge."""
    parts = []
    top = at.y - edge.label_height / 2.0
    for k, line in enumerate(lines):
        y, wide = top + 1.0 + 15.0 * k, _pixels(line, SMALL) + 8.0
        badge = line.startswith("Σ")
        fill, ink = (VIOLET, "#ffffff") if badge else ("#ffffff", VIOLET)
        parts.append(
            f'<rect x="{at.x - wide / 2.0:.1f}" y="{y:.1f}" width="{wide:.1f}" height="14.5" rx="7" fill="{fill}"'
            f' fill-opacity="{1 if badge else 0.9}"/>'
            f'<text x="{at.x:.1f}" y="{y + 11.3:.1f}" font-size="12" text-anchor="middle" fill="{ink}">'
            f"{escape(line)}</text>"
        )
    return f"<g>{''.join(parts)}</g>"


def _legend(picture: _Picture, layout: Layout) -> list[str]:
    """What the picture is of, and what its signs mean."""
    step = picture.step
    of = _followed(picture) if picture.row is not None else picture.say("of_all", rows=step.n)
    said = [f"{picture.say('step', step=step.number)} · {of}", picture.say("legend", rows=step.n)]
    if len(picture.nodes) > MANY:
        said[0] += " · " + picture.say("large", nodes=len(picture.nodes))
    lines = []
    for k, (one, ink) in enumerate(zip(said, (INK, VIOLET), strict=True)):
        y = layout.height + 12.0 + LINE * k
        lines.append(f'<text x="16" y="{y:.1f}" font-size="12" fill="{ink}">{escape(one)}</text>')
    return lines

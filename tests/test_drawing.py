"""The drawn graph: nothing overlaps, every number is the step's, and it can be read without being seen."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import katamuki as km
from katamuki import messages
from katamuki.explain.graph.drawing import Svg
from katamuki.explain.graph.layout import Edge, layers, place
from katamuki.explain.step.record import Step
from katamuki.explain.story.notation import short

pytestmark = pytest.mark.filterwarnings("ignore::katamuki.FitWarning")
SPACE = "{http://www.w3.org/2000/svg}"
FORMULAS = {
    "y ~ a*t + b": {"a": 0.5, "b": 0.5},
    "y ~ a*exp(-b*t) + c": {"a": 2.0, "b": 1.0, "c": 0.1},
    "y ~ a*exp(-b*t)*cos(w*t + p)": {"a": 1.5, "b": 0.2, "w": 2.9, "p": 0.3},
    "y ~ a*a*t + b*t**2 + log(a)": {"a": 0.7, "b": 0.2},
    "y ~ a if t > 2 else b*t": {"a": 0.7, "b": 0.2},
    "y ~ a": {"a": 0.7},
}


def step_of(formula: str, weighted: bool = False) -> Step:
    t = np.linspace(0.1, 6.0, 12)
    data = {"t": t, "y": 2.0 * np.exp(-0.3 * t) * np.cos(3.0 * t)}
    weights = np.linspace(0.5, 2.0, 12) if weighted else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        fit = km.fit(formula, data, start=FORMULAS[formula], solver=km.SGD(lr=1e-4, steps=3), weights=weights)
    return fit.step(2)


def boxes(svg: Svg) -> tuple[list[tuple[float, float, float, float]], list[tuple[float, float, float, float]]]:
    """The rectangles of nodes and of labels: left, top, right, bottom."""
    root = Xml.fromstring(svg.text)
    nodes, labels = [], []
    for one in root.iter(SPACE + "rect"):
        x, y, wide, high = (float(one.get(name, "0")) for name in ("x", "y", "width", "height"))
        if one.get("stroke"):
            nodes.append((x, y, x + wide, y + high))
        elif one.get("rx"):
            labels.append((x, y, x + wide, y + high))
    return nodes, labels


def overlap(one: tuple[float, float, float, float], two: tuple[float, float, float, float]) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("row", [None, 1, 12])
@pytest.mark.parametrize("formula", FORMULAS)
def test_nothing_lies_on_anything_else(formula: str, row: int | None, weighted: bool) -> None:
    svg = step_of(formula, weighted).draw(row)
    nodes, labels = boxes(svg)
    root = Xml.fromstring(svg.text)
    high, wide = float(root.get("height", "0")), float(root.get("width", "0"))
    everything = [*nodes, *labels]
    for k, one in enumerate(everything):
        assert 0 <= one[0] < one[2] <= wide
        assert 0 <= one[1] < one[3] <= high
        for other in everything[k + 1 :]:
            assert not overlap(one, other), (one, other)


def test_overlaps_would_be_noticed() -> None:
    assert overlap((0, 0, 2, 2), (1, 1, 3, 3))
    assert not overlap((0, 0, 2, 2), (2, 0, 3, 3))


@pytest.mark.parametrize("formula", FORMULAS)
def test_the_picture_of_a_row_has_the_rows_numbers(formula: str) -> None:
    step = step_of(formula)
    texts = [one.text for one in Xml.fromstring(step.draw(3).text).iter(SPACE + "text")]
    for k, node in enumerate(step.tape.nodes):
        if node.op != "constant":
            assert short(step.tape.number(k, 3), 5) in texts, node.name
    for name in step.free:
        total = short(step.gradient[name], 5)
        assert (
            any(text is not None and text.endswith(total) for text in texts) or formula == "y ~ a*a*t + b*t**2 + log(a)"
        )


def test_the_picture_of_all_rows_has_means_and_sums() -> None:
    step = step_of("y ~ a*t + b")
    said = step.draw().text
    assert f"mean {short(float(step.subject.columns['t'].mean()), 5)}" in said
    assert f"Σ {short(step.gradient['a'], 5)}" in said
    assert f"Σ {short(step.gradient['b'], 5)}" in said


def test_the_picture_says_what_it_shows_in_words() -> None:
    step = step_of("y ~ a*exp(-b*t) + c")
    for lang in messages.languages():
        root = Xml.fromstring(step.draw(1, lang).text)
        assert root.get("role") == "img"
        assert root.get("lang") == lang
        title, said = root.findtext(SPACE + "title"), root.findtext(SPACE + "desc")
        assert title is not None
        assert "a*exp(-b*t) + c" in title
        assert said is not None
        assert f"a: {short(step.before['a'], 5)}" in said
        assert short(step.gradient["a"], 5) in said


def test_a_name_with_signs_of_xml_is_escaped() -> None:
    data = {"<t&": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 4.0]}
    svg = km.fit("y ~ a*`<t&` + b", data, solver=km.SGD(lr=0.01, steps=2)).step(1).draw(1)
    assert any("<t&" in (one.text or "") for one in Xml.fromstring(svg.text).iter(SPACE + "text"))


def test_it_is_shown_and_saved(tmp_path: Path) -> None:
    svg = step_of("y ~ a*t + b").draw()
    assert svg._repr_svg_() == svg.text == str(svg)
    svg.save(tmp_path / "graph.svg")
    assert Xml.parse(tmp_path / "graph.svg").getroot().tag == SPACE + "svg"
    with pytest.raises(km.DataError):
        svg.save(tmp_path / "none" / "graph.svg")


@pytest.mark.parametrize("row", [0, 13, 1.5, "1"])
def test_a_row_that_is_not_there_is_refused(row: object) -> None:
    with pytest.raises(km.BoundsError):
        step_of("y ~ a*t + b").draw(row)  # type: ignore[arg-type]


def test_a_large_graph_is_drawn_and_said_to_be_large() -> None:
    names = [f"k{i}" for i in range(14)]
    rng = np.random.default_rng(0)
    data = {f"x{i}": rng.standard_normal(40) for i in range(14)} | {"y": rng.standard_normal(40)}
    formula = "y ~ " + " + ".join(f"{name}*x{i}" for i, name in enumerate(names))
    svg = km.fit(formula, data, solver=km.SGD(lr=0.01, steps=2)).step(1).draw(2)
    assert re.search(r"\(\d\d nodes", svg.text)
    nodes, labels = boxes(svg)
    assert not any(overlap(one, two) for k, one in enumerate(nodes) for two in [*nodes[k + 1 :], *labels])


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_small_graph_is_laid_out_without_overlaps(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 14))
    edges = []
    for k in range(1, count):
        for start in sorted(data.draw(st.sets(st.integers(0, k - 1), min_size=1, max_size=3))):
            edges.append(Edge(start, k, data.draw(st.sampled_from([0.0, 60.0])), 16.0))
    widths = [data.draw(st.sampled_from([30.0, 80.0])) for _ in range(count)]
    found = place(widths, [42.0] * count, edges, 40.0)
    layer = layers(count, edges)
    assert all(layer[edge.start] < layer[edge.end] for edge in edges)
    rects = [(at.x - w / 2, at.y - 21, at.x + w / 2, at.y + 21) for at, w in zip(found.boxes, widths, strict=True)]
    rects += [
        (at.x - edge.label_width / 2, at.y - 8, at.x + edge.label_width / 2, at.y + 8)
        for at, edge in zip(found.labels, edges, strict=True)
        if edge.label_width
    ]
    for k, one in enumerate(rects):
        assert not any(overlap(one, other) for other in rects[k + 1 :])
        assert 0 <= one[0] < one[2] <= found.width
        assert 0 <= one[1] < one[3] <= found.height
    for edge, path in zip(edges, found.paths, strict=True):
        assert path[0].x == pytest.approx(rects[edge.start][2])
        assert path[-1].x == pytest.approx(rects[edge.end][0])


def test_a_mean_below_the_rounding_of_its_terms_is_0() -> None:
    """The mean error at a minimum used to be drawn as 2.8651e−17."""
    data = {"t": [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0], "y": [3.05, 2.01, 1.42, 1.12, 0.85, 0.63, 0.56, 0.49]}
    fit = km.fit("y ~ a*exp(-b*t) + c", data, start={"a": 2.0, "b": 1.0, "c": 0.1}, solver=km.LevenbergMarquardt())
    text = fit.step(fit.solution.steps).draw().text
    assert "mean 0<" in text
    assert not re.search(r"mean [−\d.]+e−1[5-9]", text)

"""PyTorch's own graph beside a step's: every node has its place, and what the hooks saw is what stands there."""

from __future__ import annotations

import re
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import katamuki as km
from katamuki.explain.graph.autograd import Autograd
from katamuki.graph import Graph, text
from katamuki.report.numbers import width
from random_formulas import graphs

pytestmark = pytest.mark.filterwarnings("ignore::katamuki.FitWarning")
DECAY = {"t": [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0], "y": [3.05, 2.01, 1.42, 1.12, 0.85, 0.63, 0.56, 0.49]}


@pytest.fixture(scope="module")
def tutorial() -> Autograd:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        solver = km.RMSprop(lr=0.001, steps=60)
        fit = km.fit("y ~ a*x + b", km.datasets("tutorial"), start={"a": 0.5, "b": 0.5}, solver=solver)
    return fit.step(1).autograd()


def test_the_tutorials_graph_is_the_chain_that_pytorch_built(tutorial: Autograd) -> None:
    data = km.datasets("tutorial")
    x, y = (torch.tensor(data.column(name)) for name in ("x", "y"))
    a, b = (torch.tensor(0.5, dtype=torch.float64, requires_grad=True) for _ in "ab")
    loss = ((a * x + b - y) ** 2).mean()
    chain, node = [], loss.grad_fn
    while node is not None:
        chain.append(node.name())
        node = node.next_functions[0][0] if node.next_functions else None
    assert [one.name for one in tutorial.nodes][:6] == [*chain[:5], "AccumulateGrad"]
    assert [(one.name, one.ours, one.shape) for one in tutorial.nodes] == [
        ("MeanBackward0", "L", ()),
        ("PowBackward0", "s", (11,)),
        ("SubBackward0", "e", (11,)),
        ("AddBackward0", "ŷ", (11,)),
        ("MulBackward0", "m", (11,)),
        ("AccumulateGrad", "a", ()),
        ("AccumulateGrad", "b", ()),
    ]
    loss.backward()
    assert float(tutorial.nodes[5].gradient) == float(a.grad)  # type: ignore[arg-type]
    assert float(tutorial.nodes[6].gradient) == float(b.grad)  # type: ignore[arg-type]
    assert tutorial.agreement is not None
    assert tutorial.agreement <= 1e-12


def test_the_text_has_both_graphs_and_says_how_far_they_agree(tutorial: Autograd) -> None:
    said = str(tutorial)
    assert max(map(width, said.splitlines())) <= 80
    assert re.search(r"AddBackward0 +5 7 +\(11,\) +∂L/∂ŷ +−0\.461818 +−0\.461818", said)
    assert re.search(r"AccumulateGrad +\.grad +\(\) +∂L/∂a +−45\.0182 +−45\.0182", said)
    assert re.search(r"agree to \de−1[3-6]", said)
    assert re.search(r"−0\.789091 +−0\.789091", tutorial.text(row=9))
    assert "MulBackward0" in tutorial._repr_html_()
    assert tutorial.to_dict()["nodes"][5]["ours"] == "a"


def test_a_row_or_language_that_is_not_there_is_refused(tutorial: Autograd) -> None:
    for row in (0, 12, 1.5):
        with pytest.raises(km.BoundsError):
            tutorial.text(row=row)  # type: ignore[arg-type]
    with pytest.raises(km.BoundsError):
        tutorial.text(lang="xx")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "formula",
    ["y ~ a*exp(-b*t) + c", "y ~ cbrt(a)*t**2 + a*b*sigmoid(c*t)", "y ~ max(a*t, b) if t > 1 else softplus(a)*c"],
)
def test_every_parameter_meets_its_gradient(formula: str, weighted: bool) -> None:
    start = {"a": 2.0, "b": 0.7, "c": 0.3}
    weights = np.linspace(0.5, 2.0, 8) if weighted else None
    fit = km.fit(formula, DECAY, start=start, weights=weights, solver=km.SGD(lr=1e-4, steps=2))
    step = fit.step(2)
    found = step.autograd()
    assert found.agreement is not None
    assert found.agreement < 1e-12
    ends = {one.ours: float(one.gradient) for one in found.nodes if one.name == "AccumulateGrad"}
    for name, value in ends.items():
        assert value == pytest.approx(step.gradient[str(name)], rel=1e-10, abs=1e-13)
    assert set(ends) <= set(start)
    for k, one in enumerate(found.nodes):
        assert all(j > k for j in one.following)


@given(graph=graphs(depth=3), seed=st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_any_formula_has_its_face(graph: Graph, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = {name: rng.uniform(0.5, 1.5, 6) for name in (*graph.columns, "y")}
    start = {name: float(rng.uniform(0.5, 1.5)) for name in graph.parameters}
    try:
        fit = km.fit(f"y ~ {text(graph, graph.outputs[0])}", data, start=start, solver=km.SGD(lr=1e-9, steps=1))
    except km.NotConverged:
        return
    except km.KatamukiError as error:
        assert error.code in {"E-DOMAIN", "E-NOPARAM", "E-IDENT", "E-OVERFLOW", "E-SYNTAX", "E-COLUMN", "E-JUMP"}, error  # noqa: PT017
        return
    found = fit.step(1).autograd()
    if found.agreement is not None and all(np.isfinite(one.gradient).all() for one in found.nodes):
        assert found.agreement < 1e-11


def test_a_gradient_that_is_not_ours_would_be_noticed(tutorial: Autograd) -> None:
    from katamuki.explain.graph.autograd import _apart

    gradient = tutorial.nodes[3].gradient
    largest = float(np.abs(gradient).max())
    assert _apart(gradient * 1.001, tutorial.ours["ŷ"], largest) == pytest.approx(1e-3, rel=1e-6)


def test_without_pytorch_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = km.fit("y ~ a*exp(-b*t) + c", DECAY, start={"a": 2.0, "b": 1.0, "c": 0.1})
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(km.BackendError, match=r"katamuki\[torch\]"):
        fit.step(1).autograd()

"""The story of a whole run: the tutorial's true numbers, and for each event a run that has it and one that has not."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import katamuki as km
from katamuki.explain.run import RunStory

START = {"a": 0.5, "b": 0.5}


def told(model: str = "y ~ a*x + b", data: Any = None, **options: Any) -> RunStory:
    """The story of a fit, whether it failed or not."""
    if data is None:
        data = km.datasets("tutorial")
        options = {"start": START} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        try:
            return km.fit(model, data, **options).explain()
        except km.NotConverged as error:
            assert isinstance(error.fit, km.Fit)
            return error.fit.explain()


def of(story: RunStory, code: str) -> tuple[int, Mapping[str, Any]]:
    """The step and the values of the only event of a code."""
    (found,) = [event for event in story.events if event.code == code]
    return found.step, found.values


def codes(story: RunStory) -> set[str]:
    return {event.code for event in story.events}


@pytest.fixture(scope="module")
def tutorial() -> RunStory:
    return told(solver=km.RMSprop(lr=1e-3, steps=6000))


def test_the_tutorial_has_the_numbers_that_pytorch_and_numpy_gave(tutorial: RunStory) -> None:
    step, start = of(tutorial, "start")
    assert (step, f"{start['loss']:.6f}", start["same"]) == (1, "7.505700", True)
    assert start["size"] == pytest.approx(0.01, rel=1e-6)
    assert start["in_lr"] == pytest.approx(10.0, rel=1e-6)
    step, valley = of(tutorial, "valley")
    assert (step, f"{valley['loss']:.3f}", f"{valley['to']['a']:.4f}") == (312, "1.792", "0.7195")
    step, floor = of(tutorial, "floor")
    assert (step, f"{floor['loss']:.6f}") == (3246, "1.251181")
    assert floor["rises"] == {"b": True, "a": False}
    assert floor["condition"] == pytest.approx(844.4, abs=0.05)
    assert floor["centring"]["columns"] == ["x"]
    assert floor["centring"]["condition"] == pytest.approx(10.0, abs=1e-9)
    assert of(tutorial, "stability_limit")[0] == 1183
    assert of(tutorial, "zigzag")[0] == 1258
    step, cycle = of(tutorial, "cycle")
    assert abs(step - 3419) <= 20
    assert cycle["half_lr"]
    assert cycle["factor"] == pytest.approx(110.0)
    assert cycle["above"] == pytest.approx(0.0000275, rel=1e-5)
    result = tutorial.result
    assert f"{result['in_stderr']['a']:.4f} {result['in_stderr']['b']:.4f}" == "0.0042 0.0004"
    assert abs(result["in_lr"]["a"]) == pytest.approx(0.5, abs=1e-6)


def test_the_tutorial_is_told_in_a_dozen_and_a_half_lines(tutorial: RunStory) -> None:
    text = str(tutorial)
    assert len(text.splitlines()) <= 18
    for part in ("7.505700", "312", "0.7195", "1183", "1258", "3246", "844", "0.500591", "3.000091", "0.0042"):
        assert part in text
    last = text.splitlines()[-1]
    assert last.startswith("  next")

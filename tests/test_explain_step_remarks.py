"""What a story of a step remarks on: each remark is a claim about numbers, held to them."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

import katamuki as km

pytestmark = pytest.mark.filterwarnings("ignore::katamuki.FitWarning")
DECAY = {"t": [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0], "y": [3.05, 2.01, 1.42, 1.12, 0.85, 0.63, 0.56, 0.49]}


@pytest.fixture(scope="module")
def fit() -> km.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        solver = km.RMSprop(lr=0.001, steps=6000)
        return km.fit("y ~ a*x + b", km.datasets("tutorial"), start={"a": 0.5, "b": 0.5}, solver=solver)


def test_remarks_say_what_the_numbers_show(fit: km.Fit) -> None:
    first = {one.key: one.values for one in fit.step(1).remarks}
    assert first["equal_steps.rmsprop"]["times"] == pytest.approx(10.0)
    assert first["away.steeper"]["name"] == "a"
    assert first["back"]["step"] == 312
    assert first["back"]["value"] == pytest.approx(0.7195, abs=5e-5)
    last = {one.key: one.values for one in fit.step(6000).remarks}
    assert last["stability.rmsprop"]["value"] == pytest.approx(2.0, abs=1e-4)
    assert last["passed"]["step"] == pytest.approx(1183, abs=1)
    assert last["passed"]["before"] == pytest.approx(0.81, abs=0.005)
    assert last["floor"] == {"whole": pytest.approx(220), "half": pytest.approx(110), "value": pytest.approx(2.75e-5)}
    assert "repeats.lr.answer" in last
    assert "nothing_gained" in last
    assert not {one.key for one in fit.step(500).remarks} & {"repeats.lr.answer", "nothing_gained", "floor"}


def test_steps_are_called_equal_only_where_their_digits_are(fit: km.Fit) -> None:
    """Step 2 moves by 0.00692677 and 0.00694346, which used to be called equal."""
    second = {one.key: one.values for one in fit.step(2).remarks}
    assert second["equal_steps.nearly"]["apart"] == pytest.approx(0.00694346 / 0.00692677 - 1.0, abs=1e-6)
    assert second["equal_steps.nearly"]["tolerance"] == 0.01
    assert "nearly equal" in fit.step(2).explain()
    for k in (1, 2, 3, 6000):
        (key,) = [one.key for one in fit.step(k).remarks if one.key.startswith("equal_steps")]
        moves = {f"{abs(fit.step(k).after[name] - fit.step(k).before[name]):.5g}" for name in "ab"}
        assert (len(moves) == 1) == (key != "equal_steps.nearly")


def uphill(solver: object, zero_grad: bool = True) -> set[str]:
    """The causes given for steps uphill of a run."""
    start = {"a": 3.0, "b": 0.5, "c": 0.0}
    data = {name: np.array(one) for name, one in DECAY.items()}
    fit = km.fit("y ~ a*exp(-b*t) + c", data, start=start, solver=solver)  # type: ignore[arg-type]
    if not zero_grad:
        fit = fit.without_zero_grad()
    steps = [fit.step(k) for k in range(1, 301, 13)]
    for step in steps:
        for one in step.remarks:
            if one.key.startswith("rose.uphill"):
                assert step.helped.promise >= 0.0
    return {one.key for step in steps for one in step.remarks if one.key.startswith("rose.uphill")}


def test_what_carried_a_step_uphill_is_what_the_run_has() -> None:
    """RMSprop without zero_grad used to be told of a momentum that it does not have."""
    assert uphill(km.RMSprop(lr=0.1, steps=300), zero_grad=False) == {"rose.uphill.accumulated"}
    assert uphill(km.SGD(lr=0.05, momentum=0.99, steps=300)) == {"rose.uphill.momentum"}
    assert uphill(km.RMSprop(lr=0.01, weight_decay=1.0, steps=300)) <= {"rose.uphill.decay"}
    assert uphill(km.AdamW(lr=0.01, betas=(0.0, 0.99), weight_decay=10.0, steps=300)) == {"rose.uphill.decay"}
    assert not uphill(km.RMSprop(lr=0.01, steps=300))


def test_the_story_has_one_gradient_though_rows_sum_to_another() -> None:
    """At a minimum the parts used to print −2.08167e−16 beside −1.84423e−16, and a product of −9e−17 as 0."""
    solver = km.Adam(lr=0.05, steps=3000)
    fit = km.fit("y ~ a*exp(-b*t) + c", DECAY, start={"a": 2.0, "b": 1.0, "c": 0.1}, solver=solver)
    lost = rounded = 0
    for k in range(2500, 3001, 50):
        step = fit.step(k)
        text = step.explain()
        for name in "abc":
            shown = re.search(rf"∂L/∂{name}  = .* = (\S+)$", re.sub(r"\n {10,}= ", " = ", text), re.M)
            assert shown is not None, text
            (line,) = [one for one in text.splitlines() if re.match(rf"   {name}   m = ", one)]
            used = re.search(r"\+ 0\.1·\(?(\S+?)\)? = ", line)
            assert used is not None
            assert used[1] == shown[1]
        rounded += "as the run summed" in " ".join(text.split())
        lost += "nothing moves" in text
        assert not re.search(r"step = .* · −?[1-9].* = 0(\s|$)", text)
        for update in step.updates:
            for one in update.equations:
                if one.note == "lost":
                    assert step.after[update.parameter] == step.before[update.parameter]
                    assert one.value != 0.0
    assert rounded
    assert lost  # and steps of less than the rounding of the parameter


def test_differences_across_a_kink_say_so() -> None:
    data = {"t": [0.0, 1.0, 2.0, 3.0, 4.0], "y": [2.1, 1.0, 0.1, 0.9, 2.2]}
    solver = km.SGD(lr=1e-3, steps=2)
    at_kink = km.fit("y ~ a*abs(t - b)", data, start={"a": 1.0, "b": 2.0005}, solver=solver).step(1)
    assert at_kink.differences is not None
    assert at_kink.differences.kink
    assert at_kink.differences.apart is not None
    assert at_kink.differences.apart > 1e-6  # as far apart as the kink makes them
    assert "kink" in at_kink.explain()
    beside = km.fit("y ~ a*abs(t - b)", data, start={"a": 1.0, "b": 2.5}, solver=solver).step(1)
    assert beside.differences is not None
    assert not beside.differences.kink
    assert "kink" not in beside.explain()
    choice = km.fit("y ~ a*t if t > b else b + c*t", data, start={"a": 1.0, "b": 2.0, "c": 0.1}, solver=solver).step(1)
    assert choice.differences is not None
    assert choice.differences.kink

"""The tutorial's two programs run as they stand and print what the tutorial printed: the loss, and both points."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
LINE = re.compile(r"step (\d+)   loss ([\d.]+)   A ([\d.]+)   B ([\d.]+)")
LOW, HIGH = ("0.49959", "2.99959"), ("0.50059", "3.00059")


def pair(printed: str) -> bool:
    """Whether two steps were printed, at both points and with the tutorial's loss, whichever came last."""
    found = LINE.findall(printed)
    points = {(a, b) for _, _, a, b in found}
    return (
        [step for step, *_ in found] == ["5999", "6000"]
        and points == {LOW, HIGH}
        and {loss for _, loss, _, _ in found} == {"1.25118"}
    )


@pytest.mark.parametrize("name", ["tutorial_loss_by_hand.py", "tutorial_mse_loss.py"])
def test_a_program_of_the_tutorial_prints_its_numbers(name: str) -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert pair(printed), printed


def test_either_phase_is_right_and_one_point_alone_is_not() -> None:
    one = "step 5999   loss 1.25118   A 0.49959   B 2.99959\n"
    other = "step 6000   loss 1.25118   A 0.50059   B 3.00059\n"
    swapped = (one + other).replace("0.49959", "x").replace("0.50059", "0.49959").replace("x", "0.50059")
    assert pair(one + other)
    assert pair("step 5999   loss 1.25118   A 0.50059   B 3.00059\nstep 6000   loss 1.25118   A 0.49959   B 2.99959\n")
    assert not pair(swapped)  # the points of the two parameters belong together
    assert not pair(one)
    assert not pair(one + one.replace("5999", "6000"))
    assert not pair((one + other).replace("1.25118", "1.25115"))

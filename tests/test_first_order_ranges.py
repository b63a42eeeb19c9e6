"""Options of first-order solvers: PyTorch's names and defaults, and a sentence for each that is out of range."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch

from katamuki.errors import KatamukiError
from katamuki.solvers.first_order import (
    ASGD,
    FIRST_ORDER,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    NAdam,
    RAdam,
    RMSprop,
    Rprop,
)
from torch_optim import options_of


def test_defaults_are_pytorchs() -> None:
    for solver in (one() for one in FIRST_ORDER):
        theirs = getattr(torch.optim, type(solver).__name__)([torch.zeros(1, requires_grad=True)]).defaults
        for name, value in options_of(solver).items():
            assert theirs[name] == value, name
        left_out = theirs.keys() - options_of(solver).keys()
        assert left_out <= {"maximize", "foreach", "fused", "capturable", "differentiable"} | {
            name for name in ("decoupled_weight_decay",) if isinstance(solver, AdamW)
        }


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: SGD(lr=0.0), "lr"),
        (lambda: SGD(lr=-1.0), "lr"),
        (lambda: SGD(lr=math.nan), "lr"),
        (lambda: SGD(lr=math.inf), "lr"),
        (lambda: SGD(lr="0.1"), "lr"),
        (lambda: SGD(lr=True), "lr"),
        (lambda: SGD(momentum=-0.1), "momentum"),
        (lambda: SGD(dampening=math.nan), "dampening"),
        (lambda: SGD(nesterov=True), "nesterov"),
        (lambda: SGD(momentum=0.9, dampening=0.1, nesterov=True), "nesterov"),
        (lambda: SGD(momentum=0.9, nesterov=1), "nesterov"),
        (lambda: SGD(steps=0), "steps"),
        (lambda: SGD(steps=1.5), "steps"),
        (lambda: SGD(steps=True), "steps"),
        (lambda: RMSprop(alpha=1.0), "alpha"),
        (lambda: RMSprop(eps=-1e-8), "eps"),
        (lambda: RMSprop(centered=1), "centered"),
        (lambda: Adam(betas=(0.9, 1.0)), "betas"),
        (lambda: Adam(betas=0.9), "betas"),
        (lambda: Adam(betas=(0.9,)), "betas"),
        (lambda: Adam(weight_decay=-1.0), "weight_decay"),
        (lambda: Adam(decoupled_weight_decay=1), "decoupled_weight_decay"),
        (lambda: ASGD(lambd=-1e-4), "lambd"),
        (lambda: ASGD(alpha=math.inf), "alpha"),
        (lambda: ASGD(t0=-1.0), "t0"),
        (lambda: Rprop(etas=(1.2, 0.5)), "etas"),
        (lambda: Rprop(etas=(0.5, 1.0)), "etas"),
        (lambda: Rprop(etas=(0.5, math.nan)), "etas"),
        (lambda: Rprop(step_sizes=(50.0, 1e-6)), "step_sizes"),
        (lambda: Rprop(step_sizes=(0.0, 0.0)), "step_sizes"),
        (lambda: Rprop(step_sizes=[1e-6, 50.0]), "step_sizes"),
        (lambda: Adagrad(lr_decay=-1.0), "lr_decay"),
        (lambda: Adagrad(initial_accumulator_value=-1.0), "initial_accumulator_value"),
        (lambda: Adadelta(rho=1.0), "rho"),
        (lambda: Adadelta(eps=0.0), "eps"),
        (lambda: Adamax(betas=(1.0, 0.9)), "betas"),
        (lambda: NAdam(momentum_decay=-1.0), "momentum_decay"),
        (lambda: RAdam(lr=math.nan), "lr"),
        (lambda: AdamW(amsgrad=0), "amsgrad"),
    ],
)
def test_an_option_outside_its_range_is_named(make: Any, word: str) -> None:
    with pytest.raises(KatamukiError) as caught:
        make()
    assert caught.value.code == "E-USAGE"
    assert word in caught.value.render()


def test_a_misspelt_option_is_an_error_before_any_work() -> None:
    with pytest.raises(TypeError):
        RMSprop(learning_rate=0.1)  # type: ignore[call-arg]
    with pytest.raises(dataclasses.FrozenInstanceError):
        RMSprop().lr = 0.1  # type: ignore[misc]

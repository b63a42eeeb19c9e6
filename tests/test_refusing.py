"""A solver that is none is refused by name, with what to write instead; PyTorch is recognised, not imported."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

import katamuki as km
from katamuki.api.refusing import REFUSED
from katamuki.api.solving import CLASSES, resolve
from katamuki.errors import KatamukiError

WEIGHTS = torch.zeros(2, 2, requires_grad=True)


def said(solver: Any) -> tuple[str, str]:
    with pytest.raises(KatamukiError) as caught:
        resolve(solver)
    assert caught.value.code == "E-USAGE"
    return caught.value.render(), caught.value.render(surface="cli")


def test_every_optimizer_of_pytorch_is_a_solver_or_refused_by_name() -> None:
    theirs = {
        name.lower()
        for name, one in vars(torch.optim).items()
        if isinstance(one, type) and issubclass(one, torch.optim.Optimizer) and one is not torch.optim.Optimizer
    }
    assert theirs == (CLASSES.keys() - {"linear", "levenbergmarquardt"}) | REFUSED.keys()


@pytest.mark.parametrize("name", ["adafactor", "Adafactor", "MUON", "SparseAdam"])
def test_three_optimizers_are_refused_with_their_reason(name: str) -> None:
    library, command = said(name)
    assert REFUSED[name.lower()] in library
    assert "is not offered" in library
    assert "solver=katamuki." in library
    assert "--solver " in command
    assert not hasattr(km, REFUSED[name.lower()])
    with pytest.raises(AttributeError):
        getattr(km, REFUSED[name.lower()])


def test_each_of_the_three_has_a_reason_of_its_own() -> None:
    assert len({said(name)[0].replace(REFUSED[name], "") for name in REFUSED}) == 3


@pytest.mark.parametrize(
    ("make", "remedy"),
    [
        (lambda: torch.optim.Adam([WEIGHTS], lr=0.01), "solver=katamuki.Adam(lr=0.01)"),
        (lambda: torch.optim.Adam([WEIGHTS]), "solver=katamuki.Adam()"),
        (lambda: torch.optim.Adam, "solver=katamuki.Adam()"),
        (lambda: torch.optim.SGD([WEIGHTS], momentum=0.9, nesterov=True), "katamuki.SGD(momentum=0.9, nesterov=True)"),
        (lambda: torch.optim.Adam([WEIGHTS], betas=(0.5, 0.9), foreach=False), "katamuki.Adam(betas=(0.5, 0.9))"),
        (lambda: torch.optim.RMSprop([WEIGHTS], lr=torch.tensor(0.1)), "solver=katamuki.RMSprop()"),
        (lambda: torch.optim.AdamW([WEIGHTS], lr=0.01), "solver=katamuki.AdamW(lr=0.01)"),
        (lambda: torch.optim.Rprop([WEIGHTS], step_sizes=(1e-9, 1.0)), "katamuki.Rprop(step_sizes=(1e-09, 1.0))"),
    ],
)
def test_an_optimizer_of_pytorch_is_told_which_record_to_write(make: Any, remedy: str) -> None:
    library, _ = said(make())
    assert "PyTorch's own" in library
    assert remedy in library


def test_what_the_remedy_says_is_the_same_solver() -> None:
    theirs = torch.optim.NAdam([WEIGHTS], lr=0.25, weight_decay=0.5, decoupled_weight_decay=True)
    text = said(theirs)[0].split("solver=katamuki.")[1].split(" [")[0]
    assert text == repr(km.NAdam(lr=0.25, weight_decay=0.5, decoupled_weight_decay=True)).replace(
        "betas=(0.9, 0.999), eps=1e-08, ", ""
    ).replace("momentum_decay=0.004, ", "").replace(", steps=6000, batch_size=None", "")


def test_subclasses_and_refused_classes_of_pytorch_are_recognised() -> None:
    class Mine(torch.optim.SGD):
        pass

    class Other(torch.optim.Optimizer):
        def __init__(self) -> None:
            super().__init__([WEIGHTS], {})

    assert "PyTorch's own SGD" in said(Mine([WEIGHTS]))[0]
    assert "does not have" in said(Other())[0]
    assert "sparse gradients" in said(torch.optim.SparseAdam([WEIGHTS]))[0]
    assert "sparse gradients" in said(torch.optim.SparseAdam)[0]


@pytest.mark.parametrize("solver", ["adm", 3, None, [], object, km.fit])
def test_anything_else_is_told_the_names(solver: Any) -> None:
    library, _ = said(solver)
    assert "is not known" in library
    assert "radam" in library


def test_a_class_is_told_to_be_called() -> None:
    assert "katamuki.NAdam()" in said(km.NAdam)[0]


def test_refusing_does_not_import_pytorch() -> None:
    code = (
        "import sys, katamuki as km\n"
        "from katamuki.api.solving import resolve\n"
        "for solver in ('muon', object()):\n"
        "    try: resolve(solver)\n"
        "    except km.KatamukiError: pass\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

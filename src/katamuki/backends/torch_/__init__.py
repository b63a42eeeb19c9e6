"""PyTorch as a backend: formulas printed as torch functions, and models that are torch already.

What a fit needs of PyTorch stands here: values, ``loss.backward()``, the optimizers of ``torch.optim`` used directly
(:mod:`~katamuki.backends.torch_.loop`), and derivatives by forward mode (:mod:`~katamuki.backends.torch_.tables`).
torch is imported when a fit asks for it, and nowhere outside this package but where a story shows PyTorch's own graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from katamuki.errors import BackendError

SMALL = 1 << 15  # rows up to which PyTorch works on one thread anyway; waking more would only cost
DEVICE = re.compile(r"cpu|cuda(:\d+)?")


@dataclass(frozen=True, slots=True)
class Place:
    """Where PyTorch computes, and in which numbers: names, such as "float32" and "cuda:0"."""

    dtype: str = "float64"
    device: str = "cpu"


def library() -> Any:
    """The module torch; an error that says how to get it where it is missing."""
    try:
        import torch
    except ImportError:
        raise BackendError("E-BACKEND", "torch.missing") from None
    return torch


def check_place(place: Place) -> None:
    """Refuse a device that this machine does not have."""
    torch = library()
    if not DEVICE.fullmatch(place.device):
        raise BackendError("E-BACKEND", "torch.device_unknown", device=place.device)
    if place.device == "cpu":
        return
    if not torch.cuda.is_available():
        raise BackendError("E-BACKEND", "torch.no_cuda", device=place.device)
    count = torch.cuda.device_count()
    if int(place.device.partition(":")[2] or 0) >= count:
        raise BackendError("E-BACKEND", "torch.no_such_cuda", device=place.device, count=count, last=count - 1)


def name_of(dtype: Any) -> str:
    """A dtype of torch by its short name: "float32"."""
    return str(dtype).rpartition(".")[2]


@contextmanager
def threads(count: int | None, n: int) -> Iterator[None]:
    """As many threads as asked for; one for small data; put back afterwards."""
    torch = library()
    before = torch.get_num_threads()
    wanted = count or (1 if n <= SMALL else before)
    if wanted == before:
        yield
        return
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)

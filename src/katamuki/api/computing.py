"""Who computes a fit, in which numbers, where, and by which loss: checked without importing PyTorch.

Compiled kernels compute formulas in float64 on the processor; PyTorch computes formulas and its own models in float32
or float64, there or on a GPU. What contradicts itself is an error; nothing is converted unasked.
"""

from __future__ import annotations

import operator
import sys
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from katamuki import losses
from katamuki.api.options import shown
from katamuki.api.plan import Kind
from katamuki.errors import BackendError, BoundsError
from katamuki.records import Array

BACKENDS = ("auto", "kernel", "torch")
DTYPES = ("float32", "float64")
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Computing:
    """``loss`` is an ``nn.MSELoss`` that was handed in, else None: the mean written out."""

    backend: Literal["kernel", "torch"]
    dtype: str
    device: str
    loss: Any = None


USUAL = ("squared", "auto", "float64", "cpu")  # the defaults of ``katamuki.fit``, which Python keeps once
KERNEL = Computing("kernel", "float64", "cpu")


def kind_of(model: object, target: object) -> Kind:
    """What a model is: a callable with a target and an ``nn.Module`` are torch's; the rest becomes a formula.

    A module exists only where torch is loaded.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        return "module"
    if torch is not None and isinstance(model, type) and issubclass(model, torch.nn.Module):
        raise BoundsError("E-USAGE", "torch.module_class", name=model.__name__)
    if callable(model) and target is not None:
        return "function"
    return "formula"


def computing(loss: object, backend: object, dtype: object, device: object, kind: Kind, weighted: bool) -> Computing:
    """Check backend, dtype, device and loss together.

    Parameters
    ----------
    loss, backend, dtype, device : object
        As given to ``katamuki.fit``.
    kind : "formula", "function" or "module"
        What the model is.
    weighted : bool
        Whether sigma or weights were given.

    Returns
    -------
    Computing
        Names, and the loss.

    Raises
    ------
    BackendError
        If no backend computes that.
    BoundsError
        If the loss is none that can be minimised here.
    """
    if kind == "formula" and all(map(operator.is_, (loss, backend, dtype, device), USUAL)):
        return KERNEL  # small fits are made of such costs
    if not (isinstance(backend, str) and backend in BACKENDS):
        raise BackendError("E-BACKEND", "torch.backend", given=shown(backend), names=", ".join(BACKENDS))
    numbers, where = _dtype(dtype), _device(device)
    if kind != "formula" and backend == "kernel":
        raise BackendError("E-BACKEND", "torch.needs_torch")
    by_torch = backend == "torch" or kind != "formula"
    if not by_torch and numbers != "float64":
        raise BackendError("E-BACKEND", "torch.dtype_alone", dtype=numbers)
    if not by_torch and where != "cpu":
        raise BackendError("E-BACKEND", "torch.device_alone", device=where)
    found = _loss(loss, by_torch, weighted)
    return Computing("torch" if by_torch else "kernel", numbers, where, found)


def _dtype(given: object) -> str:
    """The short name of a dtype of NumPy's, of torch's, or a name."""
    name = given if isinstance(given, str) else None
    if name is None and isinstance(given, type | np.dtype):
        try:
            name = np.dtype(given).name
        except TypeError:
            name = None
    elif type(given).__module__ == "torch" and type(given).__name__ == "dtype":
        name = str(given).rpartition(".")[2]
    if name not in DTYPES:
        raise BackendError("E-BACKEND", "torch.dtype", given=shown(given), names=", ".join(DTYPES))
    return name


def _device(given: object) -> str:
    """A device's name; whether there is one is asked where torch is."""
    if type(given).__module__ == "torch" and type(given).__name__ == "device":
        return str(given)
    if not isinstance(given, str):
        raise BackendError("E-BACKEND", "torch.device_type", given=shown(given))
    return given


def _loss(given: object, by_torch: bool, weighted: bool) -> Any:
    """The loss module that was handed in; None for the name of a loss."""
    if isinstance(given, str):
        if given not in losses.TABLE:
            raise BoundsError("E-USAGE", "api.loss", given=shown(given))
        return None
    torch = sys.modules.get("torch")
    if torch is None or not (given is torch.nn.MSELoss or isinstance(given, torch.nn.Module)):
        raise BoundsError("E-USAGE", "api.loss", given=shown(given))
    if given is torch.nn.MSELoss:
        raise BoundsError("E-USAGE", "torch.loss_class")
    if type(given) is not torch.nn.MSELoss:
        raise BoundsError("E-USAGE", "torch.loss", name=type(given).__name__)
    if not by_torch:
        raise BackendError("E-BACKEND", "torch.loss_backend")
    reduction = str(getattr(given, "reduction", ""))
    if reduction != "mean":
        raise BoundsError("E-USAGE", "torch.loss_reduction", reduction=reduction)
    if weighted:
        raise BoundsError("E-USAGE", "torch.loss_weights")
    return given


def check_range(how: Computing, columns: dict[str, Array]) -> None:
    """Refuse columns that float32 cannot hold."""
    if how.dtype == "float64":
        return
    for name, values in columns.items():
        beyond = np.abs(values) > LARGEST
        if beyond.any():
            row = int(np.argmax(beyond))
            raise BackendError("E-OVERFLOW", "torch.column_single", column=name, row=row + 1, value=f"{values[row]:g}")

"""What a torch model must be to be fitted, looked at once, at the start: each mistake is an error of its own.

The model is called with tensors that want gradients, three times, and with the rows of a batch where steps take some.
What comes back must be a tensor of floating numbers, one for each row, finite, the same each time, and attached by the
graph to every parameter. Not looked at: what a model does at other parameters than the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.torch_ import Place, library, name_of
from katamuki.backends.torch_.models import Model, Module, split, tensor
from katamuki.errors import BackendError, BoundsError, FormulaError
from katamuki.records import Array

KINDS = ("float32", "float64")


def check_model(model: Model, columns: Sequence[Array], values: Array, n: int, place: Place) -> bool:
    """Call a callable or module at the start and refuse what cannot be fitted; whether a column (n, 1) came back."""
    torch = library()
    parts = [tensor(one, place, own=True) for one in columns]
    inputs = model.inputs(parts)
    point = torch.from_numpy(np.array(values)).to(device=place.device, dtype=getattr(torch, place.dtype))
    tensors = [one.clone().requires_grad_() for one in split(model, point)]
    before = [one._version for one in parts]
    found = model.call(inputs, tensors)
    _check_kind(model, found, n, place)
    flat = model.predict(inputs, tensors)
    if [one._version for one in parts] != before:
        raise FormulaError("E-MODEL", "torch.writes_columns")
    _check_finite(flat, values, model)
    if not torch.equal(model.predict(inputs, tensors).detach(), flat.detach()):
        raise FormulaError("E-MODEL", "torch.not_the_same")
    slopes = torch.autograd.grad(flat.sum(), tensors, allow_unused=True)
    for block, slope in zip(model.blocks, slopes, strict=True):
        if slope is None:
            key = "torch.weight_unused" if model.network else "torch.parameter_unused"
            raise FormulaError("E-MODEL", key, name=block.name)
    return bool(found.dim() == 2)


def check_batch(model: Model, columns: Sequence[Array], values: Array, rows: NDArray[np.int64], place: Place) -> None:
    """Call a callable or module with the rows of one batch alone and refuse what gives not one number for each."""
    torch = library()
    inputs = model.inputs([tensor(np.ascontiguousarray(one[rows]), place, own=True) for one in columns])
    point = torch.from_numpy(np.array(values)).to(device=place.device, dtype=getattr(torch, place.dtype))
    found = model.call(inputs, [one.clone().requires_grad_() for one in split(model, point)])
    if len(rows) > 1 or tuple(getattr(found, "shape", (1,))):  # of one row, one number will do
        _check_kind(model, found, len(rows), place)


def _check_kind(model: Model, found: Any, n: int, place: Place) -> None:
    """A tensor of floating numbers, attached, on the right device, of one number a row."""
    torch = library()
    if not isinstance(found, torch.Tensor):
        key = "torch.result_numpy" if isinstance(found, np.ndarray) else "torch.result"
        raise FormulaError("E-MODEL", key, type=type(found).__name__)
    shape = tuple(found.shape)
    if model.network and shape == (n, 1):
        shape = (n,)
    if shape != (n,):
        raise FormulaError("E-SHAPE", _shape_key(shape, n, model.network), shape=_said(shape), rows=n)
    kind = name_of(found.dtype)
    if not found.is_floating_point():
        key = "torch.result_complex" if found.is_complex() else "torch.result_integer"
        raise FormulaError("E-MODEL", key, dtype=kind)
    if not found.requires_grad:
        raise FormulaError("E-MODEL", "torch.detached")
    if kind != place.dtype:
        raise FormulaError("E-MODEL", "torch.result_dtype", found=kind, dtype=place.dtype)
    if found.device.type != torch.device(place.device).type:
        raise BackendError("E-BACKEND", "torch.result_device", found=str(found.device), device=place.device)


def _shape_key(shape: tuple[int, ...], n: int, network: bool) -> str:
    if network:
        return "torch.module_shape"
    if shape == (n, 1):
        return "torch.shape_column"
    if shape == ():
        return "torch.shape_single"
    return "torch.shape" if len(shape) != 1 else "torch.shape_length"


def _said(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _check_finite(found: Any, values: Array, model: Model) -> None:
    bad = ~np.isfinite(found.detach().cpu().numpy())
    if bad.any():
        row = int(np.argmax(bad))
        pairs = zip(model.names[:8], values.tolist(), strict=False)
        raise FormulaError(
            "E-DOMAIN",
            "torch.not_finite",
            value=f"{float(found[row].detach()):g}",
            row=row + 1,
            count=int(bad.sum()),
            rows=len(bad),
            start=", ".join(f"{name}={value:g}" for name, value in pairs),
        )


def check_module(module: Any, place: Place) -> None:
    """Refuse weights of another type or device than asked for, and layers that do not compute the same twice."""
    torch = library()
    for name, one in module.named_parameters():
        if isinstance(one, torch.nn.parameter.UninitializedParameter):
            raise FormulaError("E-MODEL", "torch.lazy", name=name)
        kind = name_of(one.dtype)
        if kind not in KINDS:
            raise FormulaError("E-MODEL", "torch.weight_kind", name=name, dtype=kind)
        if kind != place.dtype:
            key = "torch.module_single" if place.dtype == "float64" else "torch.module_dtype"
            raise BackendError("E-BACKEND", key, name=name, found=kind, dtype=place.dtype)
        here, asked = one.device, torch.device(place.device)
        if here.type != asked.type or (asked.index is not None and here.index != asked.index):
            raise BackendError("E-BACKEND", "torch.module_device", name=name, found=str(here), device=place.device)
    layers = torch.nn.modules
    for name, layer in module.named_modules():
        kind, place_of = type(layer).__name__, name or "model"
        if isinstance(layer, layers.dropout._DropoutNd) and layer.training and layer.p > 0:
            raise FormulaError("E-MODEL", "torch.dropout", name=place_of, kind=kind, p=f"{layer.p:g}")
        if isinstance(layer, torch.nn.RReLU) and layer.training:
            raise FormulaError("E-MODEL", "torch.random_layer", name=place_of, kind=kind)
        if isinstance(layer, layers.batchnorm._NormBase) and (layer.training or not layer.track_running_stats):
            stored = bool(layer.track_running_stats)
            key = "torch.batch_norm" if stored else "torch.batch_norm_always"
            raise FormulaError("E-MODEL", key, name=place_of, kind=kind)
    if not any(one.requires_grad for one in module.parameters()):
        raise BoundsError("E-NOPARAM", "torch.all_frozen")


def is_module(model: object) -> bool:
    """Whether it is an ``nn.Module``; asked only where torch is loaded, for without it there is none."""
    return isinstance(model, library().nn.Module)


def module_of(model: object, columns: Sequence[str], place: Place) -> Module:
    """The checked copy of a module."""
    check_module(model, place)
    return Module(model, columns)

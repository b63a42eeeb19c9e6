"""Models as functions of tensors: a printed formula, a callable ``model(columns, params)``, an ``nn.Module``.

All three look alike from here: inputs and tensors of parameters go in, predictions (n,) come out. A tensor is one name
of a formula, one entry of a callable's ``params``, or one parameter of a module; its elements are the parameters that a
fit knows, by names such as ``a``, ``w[3]`` and ``layers.0.weight[3,1]``. A module is copied, and the copy's own weights
never change: it is called with the tensors in their place (``torch.func.functional_call``). Whether a model may be
fitted at all is :mod:`katamuki.backends.torch_.door`'s to say.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from katamuki.backends.torch_ import Place, library
from katamuki.backends.torch_.printing import compiled
from katamuki.errors import FormulaError
from katamuki.graph import Graph
from katamuki.records import Array


@dataclass(frozen=True, slots=True)
class Block:
    """One tensor of parameters: its name, its shape, and where its elements begin among all."""

    name: str
    shape: tuple[int, ...]
    first: int

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def place(self) -> slice:
        """Its elements among all parameters."""
        return slice(self.first, self.first + self.size)

    def names(self) -> list[str]:
        """Its elements' names: the tensor's own where it is one number, else with indices."""
        if not self.shape:
            return [self.name]
        return [f"{self.name}[{','.join(map(str, index))}]" for index in product(*map(range, self.shape))]


def blocks_of(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Block, ...]:
    """Blocks one after the other."""
    found, first = [], 0
    for name, shape in shapes.items():
        found.append(Block(name, shape, first))
        first += found[-1].size
    return tuple(found)


class Model(ABC):
    """What the three kinds share; ``columns`` are the input columns in order, ``names`` all parameters."""

    alike = False  # whether a row's prediction depends on that row alone, by construction
    network = False  # a module: no formula stands behind it

    def __init__(self, columns: Sequence[str], blocks: Sequence[Block]) -> None:
        self.columns = tuple(columns)
        self.blocks = tuple(blocks)
        self.names = tuple(name for block in blocks for name in block.names())

    def inputs(self, columns: Sequence[Any]) -> Any:
        """The column tensors in the form that the model takes."""
        return columns

    @abstractmethod
    def call(self, inputs: Any, tensors: Sequence[Any]) -> Any:
        """The model's own result, as it gives it."""

    def predict(self, inputs: Any, tensors: Sequence[Any]) -> Any:
        """ŷ (n,)."""
        return self.call(inputs, tensors)

    def at(self, place: Place) -> Model:
        """The same model where ``place`` says; most are there already."""
        del place
        return self

    @property
    @abstractmethod
    def source(self) -> str:
        """The text of the model."""


class Formula(Model):
    """A graph as PyTorch computes it."""

    alike = True

    def __init__(self, graph: Graph, text: str) -> None:
        super().__init__(graph.columns, blocks_of(dict.fromkeys(graph.parameters, ())))
        self.function = compiled(graph)
        self._text = text

    def call(self, inputs: Any, tensors: Sequence[Any]) -> Any:
        return self.function(*inputs, *tensors)

    @property
    def source(self) -> str:
        return self._text


class Function(Model):
    """A callable of two mappings: columns (n,) by name, parameters by name."""

    def __init__(self, function: Callable[..., Any], columns: Sequence[str], blocks: Sequence[Block]) -> None:
        super().__init__(columns, blocks)
        self.function = function

    def inputs(self, columns: Sequence[Any]) -> Any:
        return dict(zip(self.columns, columns, strict=True))

    def call(self, inputs: Any, tensors: Sequence[Any]) -> Any:
        params = {block.name: tensor for block, tensor in zip(self.blocks, tensors, strict=True)}
        try:
            return self.function(dict(inputs), params)
        except Exception as error:  # whatever the user's own code raises
            raise failed(error, self.columns, [block.name for block in self.blocks]) from error

    @cached_property
    def source(self) -> str:
        import inspect

        try:
            return inspect.getsource(self.function)
        except (OSError, TypeError):
            return repr(self.function)


class Module(Model):
    """A copy of an ``nn.Module`` of one matrix (n, k); ``frozen`` parameters stay in it as they are."""

    network = True

    def __init__(self, module: Any, columns: Sequence[str]) -> None:
        try:
            self.module = copy.deepcopy(module)
        except Exception as error:
            raise FormulaError("E-MODEL", "torch.not_copied", cause=str(error)[:200]) from error
        trainable = {name: tuple(one.shape) for name, one in self.module.named_parameters() if one.requires_grad}
        super().__init__(columns, blocks_of(trainable))

    def inputs(self, columns: Sequence[Any]) -> Any:
        return library().stack(tuple(columns), dim=1)

    def call(self, inputs: Any, tensors: Sequence[Any]) -> Any:
        state = {block.name: tensor for block, tensor in zip(self.blocks, tensors, strict=True)}
        try:
            return library().func.functional_call(self.module, state, (inputs,))
        except Exception as error:
            raise failed(error, self.columns, None) from error

    def predict(self, inputs: Any, tensors: Sequence[Any]) -> Any:
        found = self.call(inputs, tensors)
        return found.squeeze(1) if found.dim() == 2 and found.shape[1] == 1 else found

    def at(self, place: Place) -> Module:
        torch = library()
        moved = Module(self.module, self.columns)
        moved.module.to(device=place.device, dtype=getattr(torch, place.dtype))
        return moved

    def present(self) -> Array:
        """The trainable weights, as doubles, in the order of ``names``."""
        parts = [one.detach().cpu().double().reshape(-1).numpy() for one in self._trainable()]
        return np.concatenate(parts) if parts else np.empty(0)

    def fitted(self, values: Array) -> Any:
        """A copy of the module with these weights."""
        torch = library()
        found = copy.deepcopy(self.module)
        named = dict(found.named_parameters())
        with torch.no_grad():
            for block in self.blocks:
                weight = named[block.name]
                weight.copy_(torch.from_numpy(values[block.place].reshape(block.shape)))
        return found

    def _trainable(self) -> list[Any]:
        named = dict(self.module.named_parameters())
        return [named[block.name] for block in self.blocks]

    @property
    def source(self) -> str:
        return repr(self.module)


def failed(error: Exception, columns: Sequence[str], params: Sequence[str] | None) -> FormulaError:
    """What the user's own code raised, in one sentence."""
    kind, message = type(error).__name__, " ".join(str(error).split())[:300]
    if params is None:
        return FormulaError("E-MODEL", "torch.module_failed", kind=kind, message=message, columns=", ".join(columns))
    values = {"columns": ", ".join(columns), "params": ", ".join(params)}
    return FormulaError("E-MODEL", "torch.function_failed", kind=kind, message=message, **values)


def split(model: Model, values: Any) -> list[Any]:
    """Views of one vector of parameters as the model's tensors."""
    return [values[block.place].reshape(block.shape) for block in model.blocks]


def tensor(array: Array, place: Place, *, own: bool = False) -> Any:
    """An array as a tensor; shares the array's memory where it can, unless the tensor is to be the model's ``own``."""
    torch = library()
    kind = getattr(torch, place.dtype)
    if not array.flags.writeable or own or not array.flags.c_contiguous:  # torch knows no memory that is read only
        array = np.array(array)
    return torch.from_numpy(array).to(device=place.device, dtype=kind)

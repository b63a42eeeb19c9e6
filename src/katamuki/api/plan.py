"""A model made ready for a table's column names; kept, so that a second fit of the same formula starts at once."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from threading import Lock
from types import CodeType, FunctionType
from typing import Literal

import numpy as np

from katamuki import formula
from katamuki.api.jumps import Jump, jumps
from katamuki.backends.kernel import Kernel
from katamuki.errors import FormulaError
from katamuki.formula import Model
from katamuki.graph import is_linear
from katamuki.problem import Problem
from katamuki.records import Array, Solution

KEPT = 256
Kind = Literal["formula", "function", "module"]

_plans: OrderedDict[tuple[object, ...], Plan] = OrderedDict()
_lock = Lock()


class Plan:
    """A parsed model, its kernel, and what was found out about it."""

    kind: Kind = "formula"
    column: bool = False  # a module gives (n, 1), which is taken as (n,)

    @property
    def network(self) -> bool:
        """Whether it is a module of torch: no formula stands behind it."""
        return self.kind == "module"

    def __init__(self, model: Model, kernel: Kernel | None = None) -> None:
        self.model = model
        self.kernel = Kernel(model.graph) if kernel is None else kernel
        self._linear: dict[tuple[str, ...], bool] = {}
        left = model.lhs.nodes[model.lhs.outputs[0]]
        self.response_column = str(left.value) if left.op == "column" else None

    @cached_property
    def jumps(self) -> tuple[Jump, ...]:
        """What moves in jumps only: no solver can find it."""
        return jumps(self.kernel.graph, self.kernel.derivative)

    def is_linear(self, free: tuple[str, ...]) -> bool:
        """Whether the model is linear in these parameters together."""
        found = self._linear.get(free)
        if found is None:
            found = self._linear[free] = is_linear(self.model.graph, free)
        return found

    def problem(
        self,
        columns: Sequence[Array],
        y: Array,
        weights: Array | None,
        values: Mapping[str, float],
        free: Sequence[str],
        threads: int | None = None,
    ) -> Problem:
        """The problem that these rows make; ``columns`` in the kernel's order."""
        return Problem(self.kernel, columns, y, weights, values, free, threads)

    def fitted(self, solution: Solution) -> object:
        """The model of torch with its fitted parameters; a formula has none."""
        del solution
        return None

    def closure(self, columns: Mapping[str, Array], n: int) -> Callable[[Array], Array] | None:
        """The predictions as a function of all parameters, where no text can be read; a formula's text can."""
        del columns, n
        return None


def plan_for(
    model: str | Callable[..., object],
    columns: tuple[str, ...],
    params: Sequence[str] | None,
    given: tuple[str, ...],
) -> Plan:
    """The plan of a model on these columns; ``given`` names stand in start, bounds or fixed."""
    content = model if isinstance(model, str) else _content(model)
    key: tuple[object, ...] = (content, columns, None if params is None else tuple(params), given)
    plan = None if content is None else _kept(key)
    if plan is not None:
        return plan
    if isinstance(model, str):
        plan = Plan(formula.parse(model, columns, params=tuple(params or ()), given=given))
    elif callable(model):
        traced = formula.trace(model, columns, params=params, given=given)
        if content is None:  # it may mean something else in the next call: its graph is the key
            key = (traced, columns, None, ())
            plan = _kept(key)
        plan = plan or Plan(traced)
    else:
        raise FormulaError("E-MODEL", "formula.not_text", type=type(model).__name__)
    with _lock:
        _plans[key] = plan
        while len(_plans) > KEPT:
            _plans.popitem(last=False)
    return plan


def _kept(key: tuple[object, ...]) -> Plan | None:
    """The plan of a key, if it is kept."""
    with _lock:
        plan = _plans.get(key)
        if plan is not None:
            _plans.move_to_end(key)
        return plan


def _content(model: object) -> tuple[object, ...] | None:
    """What a function computes: its code and the numbers it reads from outside; ``None`` where more may matter.

    The same function object means something else once a name that it reads has another value.
    """
    if type(model) is not FunctionType or model.__dict__ or model.__defaults__ or model.__kwdefaults__:
        return None
    code = model.__code__
    if any(isinstance(one, CodeType) for one in code.co_consts):
        return None
    found: list[object] = [code]
    try:
        read = [cell.cell_contents for cell in model.__closure__ or ()]
    except ValueError:  # a name that has no value yet
        return None
    read += [model.__globals__[name] for name in code.co_names if name in model.__globals__]
    for value in read:
        if type(value) in (int, float):
            found += [type(value), repr(value)]
        elif value is not np and value is not math:
            return None
        else:
            found.append(value.__name__)
    return tuple(found)

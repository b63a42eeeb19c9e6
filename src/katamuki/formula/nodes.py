"""What a traced function sees in the place of an array: a node that records every NumPy operation on it."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from katamuki.errors import FormulaError
from katamuki.formula.functions import FUNCTIONS
from katamuki.graph import COMPARISONS, Builder, NotFinite
from katamuki.ops import Operand

# NumPy's and SciPy's names of elementwise functions, and their rows in the table.
UFUNCS = {
    "add": "add", "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "negative": "neg",
    "power": "pow", "float_power": "pow", "absolute": "abs", "fabs": "abs", "sign": "sign", "minimum": "min",
    "maximum": "max", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "less": "lt", "less_equal": "le",
    "greater": "gt", "greater_equal": "ge", "equal": "eq", "not_equal": "ne", "expit": "sigmoid",
    **{name: name for name in (
        "exp", "log", "log10", "log2", "log1p", "expm1", "sqrt", "cbrt", "sin", "cos", "tan", "sinh", "cosh", "tanh",
        "erf", "erfc",
    )},
}  # fmt: skip
LOGICAL = {
    "logical_and": "mul", "bitwise_and": "mul", "logical_or": "max", "bitwise_or": "max",
    "logical_not": "eq", "invert": "eq",
}  # fmt: skip


class Traced(NDArrayOperatorsMixin):
    """A node of the graph under construction; stands for one row's value."""

    __array_priority__ = 1000.0
    __slots__ = ("_builder", "_node")

    def __init__(self, builder: Builder, node: int) -> None:
        self._builder = builder
        self._node = node

    @staticmethod
    def operand(builder: Builder, value: object) -> Operand | None:
        """A node or number as an operand of this graph; ``None`` for what is neither."""
        if isinstance(value, Traced):
            if value._builder is not builder:
                raise FormulaError("E-MODEL", "formula.other_call")
            return value._node
        if isinstance(value, np.ndarray) and value.ndim == 0:
            value = value[()]
        if not isinstance(value, numbers.Real | np.bool_):
            return None
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise FormulaError("E-CONSTANT", "formula.traced_number", number=number)
        return number

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Traced:
        name = ufunc.__name__
        if method != "__call__":
            raise _unsupported(f"{name}.{method}")
        if kwargs:
            raise FormulaError("E-MODEL", "formula.traced_option", name=name, option=", ".join(kwargs))
        if name in UFUNCS:
            op = UFUNCS[name]
            if all(map(_is_truth, inputs)):  # NumPy's rules for bool: + is "or", and there is no difference
                if op in {"sub", "neg"}:
                    raise FormulaError("E-MODEL", "formula.traced_bool", name=name)
                op = "max" if op == "add" else op
            return self._make(op, *inputs)
        if name in LOGICAL:
            return self._logical(name, *inputs)
        special: Callable[..., Traced] | None = getattr(self, f"_ufunc_{name}", None)
        if special is None:
            raise _unsupported(name)
        return special(*inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Traced:
        name = function.__name__
        special: Callable[..., Traced] | None = getattr(self, f"_function_{name}", None)
        if special is None:
            raise _unsupported(name)
        try:
            return special(*args, **kwargs)
        except TypeError:
            raise FormulaError("E-MODEL", "formula.traced_option", name=name, option=", ".join(kwargs)) from None

    def _make(self, op: str, *inputs: Any) -> Traced:
        """The node of an operation on nodes and numbers."""
        operands = [self._operand(one) for one in inputs]
        try:
            return Traced(self._builder, self._builder(op, *operands))
        except NotFinite as error:
            said = ", ".join(f"{one:g}" for one in error.args[1])
            raise FormulaError("E-CONSTANT", "formula.traced_constant", op=op, numbers=said) from None

    def _operand(self, value: object) -> Operand:
        operand = self.operand(self._builder, value)
        if operand is None:
            shape = getattr(value, "shape", None)
            if shape is not None:
                raise FormulaError("E-MODEL", "formula.traced_array", shape=shape)
            raise FormulaError("E-MODEL", "formula.traced_operand", type=type(value).__name__)
        return operand

    def _logical(self, name: str, *inputs: Any) -> Traced:
        for one in inputs:
            if not _is_truth(one):
                raise FormulaError("E-MODEL", "formula.traced_truth", name=name)
        return self._make(LOGICAL[name], *inputs, *((0.0,) if len(inputs) == 1 else ()))

    def _ufunc_positive(self, x: Any) -> Traced:
        return self._make("add", x, 0.0) if not isinstance(x, Traced) else x

    def _ufunc_square(self, x: Any) -> Traced:
        return self._make("pow", x, 2.0)

    def _ufunc_reciprocal(self, x: Any) -> Traced:
        return self._make("div", 1.0, x)

    def _ufunc_exp2(self, x: Any) -> Traced:
        return self._make("pow", 2.0, x)

    def _ufunc_radians(self, x: Any) -> Traced:
        return self._make("mul", x, math.pi / 180.0)

    _ufunc_deg2rad = _ufunc_radians

    def _ufunc_degrees(self, x: Any) -> Traced:
        return self._make("mul", x, 180.0 / math.pi)

    _ufunc_rad2deg = _ufunc_degrees

    def _ufunc_heaviside(self, x: Any, half: Any) -> Traced:
        step = self._make("heaviside", x)
        if self._operand(half) == 0.5:
            return step
        return self._make("where", self._make("eq", x, 0.0), half, step)

    def _function_where(self, condition: Any, p: Any, q: Any) -> Traced:
        return self._make("where", condition, p, q)

    def _function_clip(self, a: Any, a_min: Any = None, a_max: Any = None) -> Traced:
        result = a
        if a_min is not None:
            result = self._make("max", result, a_min)
        if a_max is not None:
            result = self._make("min", result, a_max)
        return self._ufunc_positive(result)

    def __bool__(self) -> bool:
        raise FormulaError("E-MODEL", "formula.branch")

    def _number(self, *args: object) -> NoReturn:
        raise FormulaError("E-MODEL", "formula.traced_float")

    __float__ = __int__ = __complex__ = __index__ = _number
    __round__ = __trunc__ = __floor__ = __ceil__ = _number

    def _in_place(self, other: object) -> NoReturn:
        raise FormulaError("E-MODEL", "formula.in_place")

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = _in_place
    __ifloordiv__ = __imod__ = __iand__ = __ior__ = __ixor__ = _in_place

    def _elements(self, *args: object) -> NoReturn:
        raise FormulaError("E-MODEL", "formula.traced_elements")

    __len__ = __getitem__ = __setitem__ = __contains__ = __array__ = _elements

    def __iter__(self) -> Iterator[object]:
        self._elements()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)  # how NumPy asks whether a protocol is there
        raise FormulaError("E-MODEL", "formula.traced_attribute", name=name)

    __hash__ = None  # type: ignore[assignment]


def _unsupported(name: str) -> FormulaError:
    return FormulaError("E-MODEL", "formula.unsupported", name=name, functions=", ".join(FUNCTIONS))


def _is_truth(value: object) -> bool:
    """Whether NumPy would hold the value as bool: a comparison, or comparisons joined."""
    if not isinstance(value, Traced):
        return isinstance(value, bool | np.bool_)
    nodes, stack, seen = value._builder.nodes, [value._node], {value._node}
    while stack:
        node = nodes[stack.pop()]
        if node.op in {"mul", "max"}:
            stack.extend(set(node.args) - seen)
            seen.update(node.args)
        elif node.op not in COMPARISONS:
            return False
    return True

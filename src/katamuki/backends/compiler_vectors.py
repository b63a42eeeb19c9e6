"""Numba's side of :mod:`katamuki.backends.vectors`: two types, their operators and operations, as LLVM's vectors."""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from katamuki.backends import native, vectormath
from katamuki.backends.vectors import LANES


class LanesType(types.Type):  # type: ignore[misc]  # Numba has no types
    """Eight doubles."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


class MaskType(types.Type):  # type: ignore[misc]
    """Eight truth values."""

    def __init__(self) -> None:
        super().__init__(name="Mask")


NUMBERS, MASK = LanesType(), MaskType()
VECTOR = ir.VectorType(ir.DoubleType(), LANES)
BITS = ir.VectorType(ir.IntType(64), LANES)  # all bits of a number, or none: what comparisons leave in registers


@register_model(LanesType)
class LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    """One vector of doubles."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, VECTOR)


@register_model(MaskType)
class MaskModel(models.PrimitiveModel):  # type: ignore[misc]
    """One vector of whole words."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, BITS)


def widened(builder: Any, value: Any) -> Any:
    """A number eight times; eight numbers as they are."""
    if isinstance(value.type, ir.VectorType):
        return value
    vector = ir.VectorType(value.type, LANES)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), lanes)


def _operator(what: Any, result: Any, code: Any) -> None:
    """Teach Numba a binary operator of eight numbers; a single one stands for eight."""
    pairs = (NUMBERS, NUMBERS), (NUMBERS, types.float64), (types.float64, NUMBERS)

    @infer_global(what)
    class Typing(AbstractTemplate):  # type: ignore[misc]
        def generic(self, arguments: Any, _: Any) -> Any:
            return signature(result, *arguments) if tuple(arguments) in pairs else None

    for pair in pairs:
        lower_builtin(what, *pair)(
            lambda context, builder, kind, values: code(builder, *(widened(builder, value) for value in values))
        )


for _what, _name in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _operator(_what, NUMBERS, lambda builder, a, b, name=_name: getattr(builder, name)(a, b))
for _what, _sign in (
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.gt, ">"),
    (operator.ge, ">="),
    (operator.eq, "=="),
):
    _operator(_what, MASK, lambda builder, a, b, sign=_sign: builder.sext(builder.fcmp_ordered(sign, a, b), BITS))
_operator(operator.ne, MASK, lambda builder, a, b: builder.sext(builder.fcmp_unordered("!=", a, b), BITS))


def _held(builder: Any, mask: Any) -> Any:
    """Where a mask holds, as LLVM's truth values."""
    return builder.icmp_signed("<", mask, ir.Constant(BITS, [0] * LANES))


@infer_global(operator.neg)
class _Negative(AbstractTemplate):  # type: ignore[misc]
    def generic(self, arguments: Any, _: Any) -> Any:
        return signature(NUMBERS, NUMBERS) if tuple(arguments) == (NUMBERS,) else None


@lower_builtin(operator.neg, NUMBERS)
def _negative(context: Any, builder: Any, kind: Any, values: Any) -> Any:
    return builder.fneg(values[0])


def _place(builder: Any, memory: Any, place: Any) -> Any:
    """The pointer to the eight numbers at a place."""
    first = builder.gep(memory, [builder.mul(place, ir.Constant(ir.IntType(64), LANES))])
    return builder.bitcast(first, VECTOR.as_pointer())


@intrinsic
def load(typing: Any, memory: Any, place: Any) -> Any:
    """The eight numbers at a place."""

    def code(context: Any, builder: Any, _: Any, values: Any) -> Any:
        found = builder.load(_place(builder, *values))
        found.align = 8
        return found

    return NUMBERS(memory, types.int64), code


@intrinsic
def store(typing: Any, memory: Any, place: Any, value: Any) -> Any:
    """Write eight numbers."""

    def code(context: Any, builder: Any, _: Any, values: Any) -> Any:
        written = builder.store(widened(builder, values[2]), _place(builder, *values[:2]))
        written.align = 8
        return context.get_dummy_value()

    return types.void(memory, types.int64, value), code


class WholeStore(ir.instructions.StoreInstr):  # type: ignore[misc]
    """A store that LLVM leaves as it is: of a choice between new and old numbers it would make a masked one."""

    def descr(self, buf: Any) -> None:
        """As LLVM's text."""
        super().descr(buf)
        buf[-1] = buf[-1].replace("store", "store volatile", 1)


@intrinsic
def overwrite(typing: Any, memory: Any, place: Any, mask: Any, value: Any) -> Any:
    """Write those of eight numbers for which the mask holds; as whole vectors: masked stores take long (AMD)."""

    def code(context: Any, builder: Any, _: Any, values: Any) -> Any:
        where = _place(builder, *values[:2])
        before = builder.load(where)
        before.align = 8
        value = builder.select(_held(builder, values[2]), widened(builder, values[3]), before)
        written = WholeStore(builder.block, value, where)
        written.align = 8
        builder._insert(written)
        return context.get_dummy_value()

    return types.void(memory, types.int64, MASK, value), code


@intrinsic
def turn(typing: Any, target: Any, place: Any, source: Any, begins: Any, row: Any) -> Any:
    """Four rows of eight curves, side by side: two transpositions of four by four."""
    four = ir.VectorType(ir.DoubleType(), 4)
    number = ir.IntType(32)

    def code(context: Any, builder: Any, _: Any, values: Any) -> Any:
        def picked(a: Any, b: Any, *places: int) -> Any:
            return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(number, len(places)), list(places)))

        halves = []
        for half in range(2):
            rows = []
            for i in range(4):
                at = builder.gep(values[3], [ir.Constant(ir.IntType(64), 4 * half + i)])
                first = builder.gep(values[2], [builder.add(builder.load(at), values[4])])
                found = builder.load(builder.bitcast(first, four.as_pointer()))
                found.align = 8
                rows.append(found)
            low = [picked(rows[k], rows[k + 1], 0, 4, 2, 6) for k in (0, 2)]
            high = [picked(rows[k], rows[k + 1], 1, 5, 3, 7) for k in (0, 2)]
            halves.append([picked(*pair, *quad) for quad in ((0, 1, 4, 5), (2, 3, 6, 7)) for pair in (low, high)])
        for r in range(4):
            written = builder.store(
                picked(halves[0][r], halves[1][r], *range(8)),
                _place(builder, values[0], builder.add(values[1], ir.Constant(ir.IntType(64), r))),
            )
            written.align = 8
        return context.get_dummy_value()

    return types.void(target, types.int64, source, begins, types.int64), code


@intrinsic
def splat(typing: Any, value: Any) -> Any:
    """The same number eight times."""
    return NUMBERS(types.float64), lambda context, builder, _, values: widened(builder, values[0])


@intrinsic
def choose(typing: Any, mask: Any, one: Any, other: Any) -> Any:
    """One or the other; a single truth value or number stands for eight."""

    def code(context: Any, builder: Any, _: Any, values: Any) -> Any:
        holds = _held(builder, values[0]) if values[0].type == BITS else widened(builder, values[0])
        return builder.select(holds, *(widened(builder, value) for value in values[1:]))

    return NUMBERS(mask, one, other), code


@intrinsic
def two_to_last(typing: Any, shifted: Any) -> Any:
    """2^k of a whole k between −1022 and 1023, from k + 1.5·2**52 + 1023."""

    def code(context: Any, builder: Any, _: Any, values: Any) -> Any:
        words = ir.VectorType(ir.IntType(64), LANES)
        by = ir.Constant(words, [52] * LANES)
        return builder.bitcast(builder.shl(builder.bitcast(values[0], words), by), VECTOR)

    return NUMBERS(NUMBERS), code


def _by_fours(name: str, arity: int) -> Any:
    """A function of libm's: libmvec's version for four numbers, twice, or eight calls."""
    many = 4 if name in native.machine().vector_functions and "d" in native.machine().lanes else 1
    kind = ir.VectorType(ir.DoubleType(), many) if many > 1 else ir.DoubleType()
    called = f"_ZGVdN4{'v' * arity}_{name}" if many > 1 else name
    number = ir.IntType(32)

    def part(builder: Any, value: Any, first: int) -> Any:
        if many == 1:
            return builder.extract_element(value, ir.Constant(number, first))
        places = ir.Constant(ir.VectorType(number, many), list(range(first, first + many)))
        return builder.shuffle_vector(value, ir.Constant(VECTOR, ir.Undefined), places)

    def code(context: Any, builder: Any, _: Any, values: Any) -> Any:
        function = _declared(builder.module, called, ir.FunctionType(kind, [kind] * arity))
        eight = [widened(builder, value) for value in values]
        parts = [
            builder.call(function, [part(builder, value, first) for value in eight]) for first in range(0, LANES, many)
        ]
        if many > 1:
            return builder.shuffle_vector(*parts, ir.Constant(ir.VectorType(number, LANES), list(range(LANES))))
        whole = ir.Constant(VECTOR, ir.Undefined)
        for k, value in enumerate(parts):
            whole = builder.insert_element(whole, value, ir.Constant(number, k))
        return whole

    if arity == 1:

        @intrinsic
        def unary(typing: Any, a: Any) -> Any:
            return NUMBERS(a), code

        return unary

    @intrinsic
    def binary(typing: Any, a: Any, b: Any) -> Any:
        return NUMBERS(a, b), code

    return binary


def _call(name: str, arity: int) -> Any:
    """An intrinsic function of LLVM's on vectors."""

    def code(context: Any, builder: Any, _: Any, values: Any) -> Any:
        kind = ir.FunctionType(VECTOR, [VECTOR] * arity)
        eight = [widened(builder, value) for value in values]
        return builder.call(_declared(builder.module, f"llvm.{name}.v{LANES}f64", kind), eight)

    if arity == 1:

        @intrinsic
        def unary(typing: Any, a: Any) -> Any:
            return NUMBERS(a), code

        return unary

    @intrinsic
    def ternary(typing: Any, a: Any, b: Any, c: Any) -> Any:
        return NUMBERS(NUMBERS, NUMBERS, NUMBERS), code

    return ternary


def _declared(module: Any, name: str, kind: Any) -> Any:
    return module.globals[name] if name in module.globals else ir.Function(module, kind, name)


@intrinsic
def both(typing: Any, a: Any, b: Any) -> Any:
    """Where both masks hold."""
    return MASK(MASK, MASK), lambda context, builder, _, values: builder.and_(*values)


@intrinsic
def either(typing: Any, a: Any, b: Any) -> Any:
    """Where a mask holds."""
    return MASK(MASK, MASK), lambda context, builder, _, values: builder.or_(*values)


@intrinsic
def neither(typing: Any, a: Any) -> Any:
    """Where the mask does not hold."""
    return MASK(MASK), lambda context, builder, _, values: builder.not_(values[0])


@intrinsic
def somewhere(typing: Any, mask: Any) -> Any:
    """Whether the mask holds for any."""

    def code(context: Any, builder: Any, _: Any, values: Any) -> Any:
        word = builder.bitcast(_held(builder, values[0]), ir.IntType(LANES))
        return builder.icmp_unsigned("!=", word, ir.Constant(ir.IntType(LANES), 0))

    return types.boolean(MASK), code


INTRINSICS: dict[str, Any] = {
    "load": load,
    "store": store,
    "overwrite": overwrite,
    "splat": splat,
    "choose": choose,
    "root_of": _call("sqrt", 1),
    "size_of": _call("fabs", 1),
    "fused": _call("fma", 3),
    "both": both,
    "either": either,
    "neither": neither,
    "somewhere": somewhere,
    "turn": turn,
    "two_to_last": two_to_last,
    **{name: _by_fours(name, 1) for name in vectormath.UNARY},
    **{name: _by_fours(name, 2) for name in vectormath.BINARY},
}

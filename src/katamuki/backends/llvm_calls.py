"""What compiled functions may call: each other, memory, libm, LLVM's own functions, and those of eight numbers."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import NamedTuple, Protocol

from katamuki.backends import exponential, native, vectormath
from katamuki.backends.llvm_values import (
    BOOL,
    EIGHT,
    FLOAT,
    INT,
    KINDS,
    LANES,
    MASK,
    POINTER,
    VOID,
    Code,
    Kind,
    Value,
    compared,
    constant,
    converted,
    joined,
    loaded,
    negative,
    place,
    stored,
    widened,
)
from katamuki.backends.vectors import OPERATIONS, Operation, two_to_last

NOTHING = Value(VOID, "")
HELD = Kind("held", f"<{EIGHT} x i1>")
FOUR = Kind("four", "<4 x double>")
SHIFTED = 1.5 * 2.0**52 + 1023.0
# ``put`` writes in a scope of its own, and ``get`` promises to read nothing of it: LLVM needs no check for overlap.
READ, WRITTEN = ", !noalias !2", ", !alias.scope !2"
SCOPES = '!0 = distinct !{!0, !"katamuki"}\n!1 = distinct !{!1, !0, !"outputs"}\n!2 = !{!1}\n'


class Signature(NamedTuple):
    """A translated function: its name in the module, and what it returns."""

    name: str
    result: Kind


class Module(Protocol):
    """What calls need of the module that they stand in."""

    flags: str
    texts: list[str]

    def declare(self, name: str, result: str, arguments: list[str], attributes: str = "") -> None:
        """Make a function of another's known."""

    def keep(self, names: list[str]) -> None:
        """Functions that the optimiser may call."""

    def function(self, python: FunctionType, kinds: tuple[Kind, ...]) -> Signature:
        """A helper, for arguments of these kinds."""


Call = Callable[..., Value]


def known(callee: object) -> Call | None:
    """How a call of one of these is written; None: it is none of them."""
    if isinstance(callee, Operation):
        return OF_EIGHT.get(callee.name) or (_by_fours(callee.name) if callee.name in LIBM else None)
    if isinstance(callee, native.Placeholder):
        return PLACEHOLDERS.get(callee.name) or (_libm(callee.name) if callee.name in LIBM else None)
    return OBJECTS.get(callee)


def inlined(callee: object) -> object:
    """Our own source in the place of an operation, where the processor fuses: exp."""
    if getattr(callee, "name", "") == "exp" and native.machine().fuses:
        if isinstance(callee, Operation):
            return exponential.exp_of_eight
        if isinstance(callee, native.Placeholder):
            return exponential.exp
    return callee


LIBM = dict.fromkeys(vectormath.UNARY, 1) | dict.fromkeys(vectormath.BINARY, 2)


def _llvm(name: str, arity: int, kind: Kind) -> Call:
    """A function of LLVM's own."""
    full = f"llvm.{name}.{'f64' if kind == FLOAT else f'v{EIGHT}f64'}"

    def write(module: Module, code: Code, *arguments: Value) -> Value:
        module.declare(full, kind.llvm, [kind.llvm] * arity)
        return _called(code, full, kind, [converted(code, one, kind) for one in arguments])

    return write


def _called(code: Code, name: str, kind: Kind, arguments: list[Value]) -> Value:
    flags = code.flags if kind == FLOAT else ""
    return code.value(kind, f"call {flags}{kind.llvm} @{name}({_typed(arguments)})")


def _typed(arguments: list[Value]) -> str:
    return ", ".join(f"{one.kind.llvm} {one.text}" for one in arguments)


def _libm(name: str) -> Call:
    """A libm function that LLVM may replace by its vector versions inside loops."""

    def write(module: Module, code: Code, *arguments: Value) -> Value:
        machine, attributes = native.machine(), "nounwind memory(none)"
        if name in machine.vector_functions:
            attributes += f" {vectormath.variants(name, machine.lanes)}"
            symbols = vectormath.symbols(name, machine.lanes)
            for symbol, count in zip(symbols, machine.lanes.values(), strict=True):
                module.declare(symbol, f"<{count} x double>", [f"<{count} x double>"] * LIBM[name])
            module.keep(symbols)
        module.declare(name, "double", ["double"] * LIBM[name], attributes)
        return _called(code, name, FLOAT, [converted(code, one, FLOAT) for one in arguments])

    return write


def _by_fours(name: str) -> Call:
    """A function of libm's of eight numbers: libmvec's version for four, twice, or eight calls."""

    def write(module: Module, code: Code, *arguments: Value) -> Value:
        machine = native.machine()
        eight = [converted(code, one, LANES) for one in arguments]
        if name in machine.vector_functions and "d" in machine.lanes:
            called = f"_ZGVdN4{'v' * LIBM[name]}_{name}"
            module.declare(called, FOUR.llvm, [FOUR.llvm] * LIBM[name])
            halves = [
                _called(code, called, FOUR, [_picked(code, (one, one), range(k, k + 4)) for one in eight])
                for k in (0, 4)
            ]
            return Value(LANES, _picked(code, halves, range(EIGHT)).text)
        module.declare(name, "double", ["double"] * LIBM[name], "nounwind memory(none)")
        whole = Value(LANES, "poison")
        for k in range(EIGHT):
            single = [code.value(FLOAT, f"extractelement {LANES.llvm} {one.text}, i32 {k}") for one in eight]
            found = _called(code, name, FLOAT, single)
            whole = code.value(LANES, f"insertelement {LANES.llvm} {whole.text}, double {found.text}, i32 {k}")
        return whole

    return write


def _picked(code: Code, both: Sequence[Value], places: Sequence[int]) -> Value:
    """Numbers of two vectors, by their places in both."""
    a, b = both
    lanes = ", ".join(f"i32 {k}" for k in places)
    kind = Kind("some", f"<{len(places)} x double>")
    return code.value(
        kind, f"shufflevector {a.kind.llvm} {a.text}, {b.kind.llvm} {b.text}, <{len(places)} x i32> <{lanes}>"
    )


def _by_address(signature: str) -> Call:
    """A call of a function of this signature, whose address is the first argument."""
    result, names = native.parse(signature)
    kinds = [KINDS[name] for name in names]

    def write(module: Module, code: Code, address: Value, *arguments: Value) -> Value:
        given = [converted(code, one, kind) for one, kind in zip(arguments, kinds, strict=True)]
        pointer = code.value(POINTER, f"inttoptr i64 {address.text} to ptr")
        call = f"call {KINDS[result].llvm} {pointer.text}({_typed(given)})"
        if result == "void":
            code.do(call)
            return NOTHING
        return code.value(KINDS[result], call)

    return write


def _at(module: Module, code: Code, pointer: Value, offset: Value) -> Value:
    return place(code, pointer, offset)


def _get(module: Module, code: Code, pointer: Value, index: Value) -> Value:
    return loaded(code, place(code, pointer, index), READ)


def _put(module: Module, code: Code, pointer: Value, index: Value, value: Value) -> Value:
    stored(code, value, place(code, pointer, index), WRITTEN)
    return NOTHING


def _two_to(module: Module, code: Code, k: Value) -> Value:
    """2^k from its bits: beside 1.5·2**52 a whole number stands in a double's last ones; AVX2 has no vectors that
    convert."""
    shown = code.value(FLOAT, f"fadd double {k.text}, {constant(SHIFTED).text}")
    bits = code.value(INT, f"bitcast double {shown.text} to i64")
    moved = code.value(INT, f"shl i64 {bits.text}, 52")
    return code.value(FLOAT, f"bitcast i64 {moved.text} to double")


def _least_or_most(order: ast.cmpop) -> Call:
    """min and max as Python's: the first, unless a later one is beyond it."""

    def write(module: Module, code: Code, *arguments: Value) -> Value:
        kind = arguments[0].kind
        for one in arguments[1:]:
            kind = joined(kind, one.kind)
        best, *others = [converted(code, one, kind) for one in arguments]
        for one in others:
            beyond = compared(code, order, one, best)
            best = code.value(kind, f"select i1 {beyond.text}, {kind.llvm} {one.text}, {kind.llvm} {best.text}")
        return best

    return write


def _size(module: Module, code: Code, value: Value) -> Value:
    if value.kind == FLOAT:
        return _llvm("fabs", 1, FLOAT)(module, code, value)
    value = converted(code, value, INT)
    below = compared(code, ast.Lt(), value, constant(0))
    return code.value(INT, f"select i1 {below.text}, i64 {negative(code, value).text}, i64 {value.text}")


def _to_whole(module: Module, code: Code, value: Value) -> Value:
    """Cut off towards 0; what does not fit gives the nearest that does, and NaN 0."""
    if value.kind != FLOAT:
        return converted(code, value, INT)
    module.declare("llvm.fptosi.sat.i64.f64", "i64", ["double"])
    return code.value(INT, f"call i64 @llvm.fptosi.sat.i64.f64(double {value.text})")


def _to_number(module: Module, code: Code, value: Value) -> Value:
    return converted(code, value, FLOAT)


def _is_finite(module: Module, code: Code, value: Value) -> Value:
    size = _llvm("fabs", 1, FLOAT)(module, code, value)
    return compared(code, ast.Lt(), size, constant(math.inf))


def _eight_at(code: Code, memory: Value, index: Value) -> Value:
    """The pointer to the eight numbers at a place."""
    first = code.value(INT, f"mul nsw i64 {index.text}, {EIGHT}")
    return place(code, memory, first)


def _load(module: Module, code: Code, memory: Value, index: Value) -> Value:
    return code.value(LANES, f"load {LANES.llvm}, ptr {_eight_at(code, memory, index).text}, align 8")


def _store(module: Module, code: Code, memory: Value, index: Value, value: Value, how: str = "store") -> Value:
    value, where = converted(code, value, LANES), _eight_at(code, memory, index)
    code.do(f"{how} {LANES.llvm} {value.text}, ptr {where.text}, align 8")
    return NOTHING


def _overwrite(module: Module, code: Code, memory: Value, index: Value, mask: Value, value: Value) -> Value:
    """As whole vectors: masked stores take long (AMD), and LLVM makes one of a choice unless it must leave it be."""
    before = _load(module, code, memory, index)
    return _store(module, code, memory, index, _chosen(code, mask, value, before), "store volatile")


def _held(code: Code, mask: Value) -> Value:
    """Where a mask holds, as LLVM's truth values."""
    if mask.kind == BOOL:
        return widened(code, mask)
    return code.value(HELD, f"icmp slt {MASK.llvm} {mask.text}, zeroinitializer")


def _chosen(code: Code, mask: Value, one: Value, other: Value) -> Value:
    holds, one, other = _held(code, mask), converted(code, one, LANES), converted(code, other, LANES)
    return code.value(LANES, f"select {HELD.llvm} {holds.text}, {LANES.llvm} {one.text}, {LANES.llvm} {other.text}")


def _choose(module: Module, code: Code, mask: Value, one: Value, other: Value) -> Value:
    return _chosen(code, mask, one, other)


def _splat(module: Module, code: Code, value: Value) -> Value:
    return converted(code, value, LANES)


def _of_masks(how: str) -> Call:
    def write(module: Module, code: Code, a: Value, b: Value) -> Value:
        return code.value(MASK, f"{how} {MASK.llvm} {a.text}, {b.text}")

    return write


def _neither(module: Module, code: Code, mask: Value) -> Value:
    every = ", ".join(["i64 -1"] * EIGHT)
    return code.value(MASK, f"xor {MASK.llvm} {mask.text}, <{every}>")


def _somewhere(module: Module, code: Code, mask: Value) -> Value:
    word = code.value(INT, f"bitcast {HELD.llvm} {_held(code, mask).text} to i{EIGHT}")
    return code.value(BOOL, f"icmp ne i{EIGHT} {word.text}, 0")


def _two_to_last(module: Module, code: Code, shifted: Value) -> Value:
    by = ", ".join(["i64 52"] * EIGHT)
    bits = code.value(MASK, f"bitcast {LANES.llvm} {shifted.text} to {MASK.llvm}")
    moved = code.value(MASK, f"shl {MASK.llvm} {bits.text}, <{by}>")
    return code.value(LANES, f"bitcast {MASK.llvm} {moved.text} to {LANES.llvm}")


def _turn(module: Module, code: Code, target: Value, index: Value, source: Value, begins: Value, row: Value) -> Value:
    """Two transpositions of four by four."""
    halves = []
    for half in (0, 4):
        rows = []
        for i in range(half, half + 4):
            begin = loaded(code, place(code, begins, constant(i)))
            first = code.value(INT, f"add nsw i64 {begin.text}, {row.text}")
            rows.append(code.value(FOUR, f"load {FOUR.llvm}, ptr {place(code, source, first).text}, align 8"))
        low = [_picked(code, rows[k : k + 2], (0, 4, 2, 6)) for k in (0, 2)]
        high = [_picked(code, rows[k : k + 2], (1, 5, 3, 7)) for k in (0, 2)]
        halves.append([_picked(code, pair, quad) for quad in ((0, 1, 4, 5), (2, 3, 6, 7)) for pair in (low, high)])
    for r in range(4):
        whole = Value(LANES, _picked(code, (halves[0][r], halves[1][r]), range(EIGHT)).text)
        _store(module, code, target, code.value(INT, f"add nsw i64 {index.text}, {r}"), whole)
    return NOTHING


OBJECTS: dict[object, Call] = {
    math.sqrt: _llvm("sqrt", 1, FLOAT),
    math.fabs: _llvm("fabs", 1, FLOAT),
    math.isfinite: _is_finite,
    min: _least_or_most(ast.Lt()),
    max: _least_or_most(ast.Gt()),
    abs: _size,
    int: _to_whole,
    float: _to_number,
    native.at: _at,
    native.call_rows: _by_address(native.ROWS),
    native.call_products: _by_address(native.PRODUCTS),
    native.call_solve: _by_address(native.SOLVE),
    native.call_rule: _by_address(native.RULE),
}
PLACEHOLDERS: dict[str, Call] = {
    "get": _get,
    "put": _put,
    "fma": _llvm("fma", 3, FLOAT),
    "nearest_whole": _llvm("rint", 1, FLOAT),
    "two_to": _two_to,
}
power = _llvm("pow", 2, FLOAT)
OF_EIGHT: dict[str, Call] = {
    "load": _load,
    "store": _store,
    "overwrite": _overwrite,
    "splat": _splat,
    "choose": _choose,
    "root_of": _llvm("sqrt", 1, LANES),
    "size_of": _llvm("fabs", 1, LANES),
    "fused": _llvm("fma", 3, LANES),
    "both": _of_masks("and"),
    "either": _of_masks("or"),
    "neither": _neither,
    "somewhere": _somewhere,
    "turn": _turn,
    "two_to_last": _two_to_last,
}
assert OF_EIGHT.keys() == OPERATIONS.keys() | {two_to_last.name}

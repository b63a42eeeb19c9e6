"""What compiled functions compute with, and the LLVM text of it: kinds, values, conversions, arithmetic, memory.

Kinds are those of the subset that compiled functions are written in: truth values, whole numbers of 64 bits, doubles,
eight of these side by side (see :mod:`katamuki.backends.vectors`) with their masks, and pointers. Whole numbers wrap
around at 2**63, which hashes rely on, and divide as Python's do; a division by 0 gives 0. Shifts go from 0 to 63
places: others have no value. Source: LLVM Language Reference.
"""

from __future__ import annotations

import ast
import struct
from typing import NamedTuple

from katamuki.backends import vectors

EIGHT = vectors.LANES
SMALLEST_NAN = 0x7FF8000000000000


class Kind(NamedTuple):
    """A kind of value: its name, LLVM's, and what a pointer points to or a tuple holds."""

    name: str
    llvm: str
    parts: tuple[Kind, ...] = ()


VOID, BOOL, INT, FLOAT = Kind("void", "void"), Kind("bool", "i1"), Kind("int64", "i64"), Kind("double", "double")
INT32 = Kind("int32", "i32")  # in memory only
LANES, MASK = Kind("lanes", f"<{EIGHT} x double>"), Kind("mask", f"<{EIGHT} x i64>")
POINTER = Kind("double*", "ptr", (FLOAT,))
KINDS = {
    "void": VOID,
    "double": FLOAT,
    "int64": INT,
    "double*": POINTER,
    "int64*": Kind("int64*", "ptr", (INT,)),
    "int32*": Kind("int32*", "ptr", (INT32,)),
    "double**": Kind("double**", "ptr", (POINTER,)),
}
NUMBERS = (BOOL, INT, FLOAT)  # each holds those before it
ORDERS = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne"}
ARITHMETIC = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div"}
BITWISE = {ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor", ast.LShift: "shl", ast.RShift: "ashr"}


class Value(NamedTuple):
    """A value as LLVM's text names it; a tuple's are its ``items``."""

    kind: Kind
    text: str
    items: tuple[Value, ...] = ()

    @property
    def whole(self) -> int | None:
        """The number of a whole constant."""
        return int(self.text) if self.kind == INT and self.text.lstrip("-").isdigit() else None


class Code:
    """The LLVM text of one function as it grows, block after block."""

    def __init__(self, flags: str) -> None:
        self.flags = flags  # of arithmetic
        self.lines: list[str] = []
        self.count = 0
        self.block = "entry"
        self.reached = {self.block}  # blocks that something leads to

    def value(self, kind: Kind, text: str) -> Value:
        """The value of an instruction."""
        self.count += 1
        self.lines.append(f"  %v{self.count} = {text}")
        return Value(kind, f"%v{self.count}")

    def do(self, text: str) -> None:
        """An instruction without a value."""
        self.lines.append(f"  {text}")

    def label(self, name: str) -> str:
        """A new block's name."""
        self.count += 1
        return f"{name}{self.count}"

    def begin(self, label: str) -> None:
        """What follows stands in this block."""
        self.lines.append(f"{label}:")
        self.block = label

    def go(self, label: str) -> None:
        """Go on in this block."""
        self.do(f"br label %{label}")
        self._leads_to(label)

    def fork(self, test: Value, yes: str, no: str) -> None:
        """Go on in one of two blocks."""
        self.do(f"br i1 {test.text}, label %{yes}, label %{no}")
        self._leads_to(yes, no)

    def _leads_to(self, *labels: str) -> None:
        if self.block in self.reached:
            self.reached.update(labels)


def constant(number: float) -> Value:
    """A number of Python's."""
    if isinstance(number, bool):
        return Value(BOOL, str(number).lower())
    if isinstance(number, int):
        if not -(2**63) <= number < 2**63:
            raise TypeError(f"{number} does not fit 64 bits")
        return Value(INT, str(number))
    bits = struct.unpack("<Q", struct.pack("<d", number))[0]
    return Value(FLOAT, f"0x{bits if number == number else SMALLEST_NAN:016X}")  # noqa: PLR0124  NaN


def joined(one: Kind, other: Kind) -> Kind:
    """The kind that holds both."""
    if one == other:
        return one
    if one in NUMBERS and other in NUMBERS:
        return max(one, other, key=NUMBERS.index)
    if {one, other} == {FLOAT, LANES}:
        return LANES
    raise TypeError(f"{one.name} and {other.name} do not go together")


def converted(code: Code, value: Value, kind: Kind) -> Value:
    """A value as another kind that holds it."""
    if value.kind == kind:
        return value
    if kind == LANES and value.kind in NUMBERS:
        return widened(code, converted(code, value, FLOAT))
    if joined(value.kind, kind) != kind:
        raise TypeError(f"{value.kind.name} is no {kind.name}")
    if value.whole is not None:
        return constant(float(value.whole))
    how = "sitofp" if value.kind == INT else "zext" if kind == INT else "uitofp"
    return code.value(kind, f"{how} {value.kind.llvm} {value.text} to {kind.llvm}")


def widened(code: Code, value: Value) -> Value:
    """A number or a truth value eight times; eight as they are."""
    if value.kind in (LANES, MASK):
        return value
    kind = Kind(f"eight {value.kind.name}", f"<{EIGHT} x {value.kind.llvm}>")
    if not value.text.startswith("%"):
        text = ", ".join([f"{value.kind.llvm} {value.text}"] * EIGHT)
        return Value(LANES if value.kind == FLOAT else kind, f"<{text}>")
    first = code.value(kind, f"insertelement {kind.llvm} poison, {value.kind.llvm} {value.text}, i32 0")
    spread = f"shufflevector {kind.llvm} {first.text}, {kind.llvm} poison, <{EIGHT} x i32> zeroinitializer"
    return code.value(LANES if value.kind == FLOAT else kind, spread)


def binary(code: Code, what: ast.operator, a: Value, b: Value) -> Value:
    """The value of an operator between two values."""
    if type(what) in BITWISE or isinstance(what, (ast.FloorDiv, ast.Mod)):
        return _whole(code, what, a, b)
    kind = joined(a.kind, b.kind)
    name = ARITHMETIC.get(type(what))
    if name is None or kind not in (BOOL, INT, FLOAT, LANES):
        raise TypeError(f"{type(what).__name__} of {a.kind.name} and {b.kind.name}")
    if kind in (BOOL, INT):
        kind = FLOAT if name == "div" else INT
    a, b = converted(code, a, kind), converted(code, b, kind)
    if kind == INT:
        return code.value(INT, f"{name} i64 {a.text}, {b.text}")
    return code.value(kind, f"f{name} {code.flags}{kind.llvm} {a.text}, {b.text}")


def _whole(code: Code, what: ast.operator, a: Value, b: Value) -> Value:
    """Operators of whole numbers alone."""
    a, b = converted(code, a, INT), converted(code, b, INT)
    if type(what) in BITWISE:
        return code.value(INT, f"{BITWISE[type(what)]} i64 {a.text}, {b.text}")
    divides = isinstance(what, ast.FloorDiv)
    known = b.whole
    if known is not None and known > 0 and known & (known - 1) == 0:
        if divides:
            return code.value(INT, f"ashr i64 {a.text}, {known.bit_length() - 1}")
        return code.value(INT, f"and i64 {a.text}, {known - 1}")
    # Processors stop at a division by 0, and at -2**63 over -1: by both the share is a·b, and nothing is left over.
    after = code.value(INT, f"add i64 {b.text}, 1")
    simple = code.value(BOOL, f"icmp ult i64 {after.text}, 2")
    over = code.value(INT, f"select i1 {simple.text}, i64 1, i64 {b.text}")
    rest = code.value(INT, f"srem i64 {a.text}, {over.text}")
    # Python rounds down, processors towards 0.
    apart = code.value(INT, f"xor i64 {rest.text}, {over.text}")
    turned = code.value(BOOL, f"icmp slt i64 {apart.text}, 0")
    some = code.value(BOOL, f"icmp ne i64 {rest.text}, 0")
    below = code.value(BOOL, f"and i1 {turned.text}, {some.text}")
    if divides:
        share = code.value(INT, f"sdiv i64 {a.text}, {over.text}")
        less = code.value(INT, f"zext i1 {below.text} to i64")
        found = code.value(INT, f"sub i64 {share.text}, {less.text}")
        product = code.value(INT, f"mul i64 {a.text}, {b.text}")
        return code.value(INT, f"select i1 {simple.text}, i64 {product.text}, i64 {found.text}")
    more = code.value(INT, f"select i1 {below.text}, i64 {over.text}, i64 0")
    return code.value(INT, f"add i64 {rest.text}, {more.text}")


def negative(code: Code, value: Value) -> Value:
    """−a."""
    if value.whole is not None:
        return constant(-value.whole)
    if value.kind in (FLOAT, LANES):
        return code.value(value.kind, f"fneg {code.flags}{value.kind.llvm} {value.text}")
    return code.value(INT, f"sub i64 0, {converted(code, value, INT).text}")


def compared(code: Code, order: ast.cmpop, a: Value, b: Value) -> Value:
    """The truth value of a comparison; of eight numbers a mask: all bits of a number, or none."""
    name, kind = ORDERS.get(type(order)), joined(a.kind, b.kind)
    if name is None:
        raise TypeError(f"{type(order).__name__} is not in the subset")
    kind = INT if kind == BOOL else kind  # a bit that is set is −1 to LLVM
    a, b = converted(code, a, kind), converted(code, b, kind)
    if kind in (FLOAT, LANES):
        known = "une" if name == "ne" else f"o{name}"
        if kind == FLOAT:
            return code.value(BOOL, f"fcmp {code.flags}{known} double {a.text}, {b.text}")
        found = code.value(MASK, f"fcmp {code.flags}{known} {kind.llvm} {a.text}, {b.text}")
        return code.value(MASK, f"sext <{EIGHT} x i1> {found.text} to {MASK.llvm}")
    known = name if name in ("eq", "ne") else f"s{name}"
    return code.value(BOOL, f"icmp {known} {kind.llvm} {a.text}, {b.text}")


def truth(code: Code, value: Value) -> Value:
    """Whether a number is not 0."""
    if value.kind == BOOL:
        return value
    return compared(code, ast.NotEq(), value, constant(0))


def place(code: Code, pointer: Value, index: Value) -> Value:
    """The pointer to the element at an index."""
    if pointer.kind.llvm != "ptr" or index.kind != INT:
        raise TypeError(f"{pointer.kind.name} at {index.kind.name}")
    element = pointer.kind.parts[0].llvm
    return code.value(pointer.kind, f"getelementptr {element}, ptr {pointer.text}, i64 {index.text}")


def loaded(code: Code, where: Value, note: str = "") -> Value:
    """What stands at a place in memory; ``note`` is LLVM's metadata."""
    kind = where.kind.parts[0]
    found = code.value(kind, f"load {kind.llvm}, ptr {where.text}, align {4 if kind == INT32 else 8}{note}")
    return code.value(INT, f"sext i32 {found.text} to i64") if kind == INT32 else found


def stored(code: Code, value: Value, where: Value, note: str = "") -> None:
    """Write a value to a place in memory."""
    kind = where.kind.parts[0]
    if kind == INT32:
        value = code.value(INT32, f"trunc i64 {converted(code, value, INT).text} to i32")
    else:
        value = converted(code, value, kind)
    code.do(f"store {kind.llvm} {value.text}, ptr {where.text}, align {4 if kind == INT32 else 8}{note}")

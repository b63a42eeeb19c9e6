"""Programs made at random, with loops, branches, swaps and helpers, write compiled what they write as Python."""

from __future__ import annotations

import random
from typing import Any

import pytest

from katamuki.backends.native import inline
from test_llvm_module import both_ways, first_above, made, swapped

ORDERS = ("<", "<=", ">", ">=", "==", "!=")
BEGIN = "a = k[0]\nb = k[1]\nc = k[2]\nu = x[0]\nv = x[1]\nw = 0\ni = 1\nj = 2\n"
# + 0.0: a whole number that is widened may be −0 where Python's is 0.
END = (
    "\nout[0] = u + 0.0\nout[1] = v + 0.0\nout[2] = w + 0.0\nout[3] = i * 10 + j\nout[4] = a % 999 + b % 999 + c % 999"
)


@inline
def mixed(a: Any, b: Any) -> Any:
    """A whole number or another."""
    if a > b:
        return a
    return b * 0.5 if a == b else b


@inline
def two(x: Any, n: Any, u: Any) -> Any:
    """A place and a number."""
    for i in range(n):
        if x[i] > u:
            return i, x[i]
        u -= 1.0
    return n, u


class Writer:
    """Random source: whole variables a, b, c, others u, v, w (first a whole number), loops' i, j; x and k are read."""

    def __init__(self, seed: int) -> None:
        self.pick = random.Random(seed)
        self.turns = 0  # counters of while loops

    def one_of(self, *texts: str) -> str:
        return self.pick.choice(texts)

    def whole(self, deep: int) -> str:
        """A whole number."""
        if deep <= 0:
            return self.one_of("a", "b", "c", "i", "k[1]", "k[a % 3]", str(self.pick.randint(-9, 9)))
        one, other, test = self.whole(deep - 1), self.whole(deep - 1), self.test(deep - 1)
        return self.one_of(
            f"({one} {self.one_of(*'+-&|^')} {other})", f"({one} % 100 * ({other} % 100))",
            f"({one} // ({other} % 7 + 1))",
            f"({one} % ({other} % 7 - 7))", f"({one} >> 3)", f"(({one} % 64) << ({other} % 8))", f"(-{one})",
            f"max({one}, {other}, b)", f"({one} if {test} else {other})", "int(x[b % 3] * 3.7)", f"abs({one})",
            f"first_above(x, 3, {self.number(deep - 1)})", f"(({test}) + a)",
        )  # fmt: skip

    def number(self, deep: int) -> str:
        """Any number, whole ones in between."""
        if deep <= 0:
            return self.one_of("u", "v", "w", "x[0]", "x[c % 3]", "0.5", "-0.0", "1e300", "3.25")
        one, other = self.number(deep - 1), self.one_of(self.number(deep - 1), self.whole(deep - 1))
        return self.one_of(
            f"({one} {self.one_of(*'+-*')} {other})", f"({one} / (abs({other}) + 1.0))", f"min({one}, {other})",
            f"({one} if {self.test(deep - 1)} else {other})", f"(-{one})", f"mixed({one}, {other})",
            f"math.fabs({other})",
        )  # fmt: skip

    def test(self, deep: int) -> str:
        """A truth value."""
        if deep <= 0:
            return f"({self.whole(0)} {self.one_of(*ORDERS)} {self.number(0)})"
        one, other = self.test(deep - 1), self.test(deep - 1)
        chain = f"({self.whole(0)} < {self.number(deep - 1)} {self.one_of(*ORDERS)} {self.whole(0)})"
        return self.one_of(f"({one} and {other})", f"({one} or {other})", f"(not {one})", f"({one} < {other})", chain)

    def simple(self) -> str:
        """A statement on one line."""
        return self.one_of(
            f"{self.one_of(*'abc')} = {self.whole(2)} % 9999", f"{self.one_of(*'uvw')} = {self.number(2)}",
            f"{self.one_of(*'abc')} {self.one_of('+=', '-=', '^=')} {self.whole(1)} % 999", f"w = {self.whole(1)}",
            f"{self.one_of(*'uvw')} {self.one_of('+=', '-=', '*=')} {self.number(1)}",
            f"a = x[a % 3] = {self.whole(0)}", "a, b = b, a", f"u, v = v, {self.number(1)}",
            f"out[c % 8 + 8] {self.one_of('=', '-=')} {self.number(2)} + 0.0",
            f"whole[{self.whole(1)} % 16] {self.one_of('=', '-=')} {self.whole(2)} % 9999", "swapped(x, a % 3, c % 3)",
            "x[a % 3], x[b % 3] = x[b % 3], x[a % 3]", f"c, u = two(x, b % 4, {self.number(1)})",
            f"a, u = (b, v) if {self.test(1)} else (c, x[0])",
        )  # fmt: skip

    def body(self, deep: int, looped: bool = False) -> list[str]:
        """Statements, one level deeper at most ``deep`` times."""
        lines = []
        for _ in range(self.pick.randint(2, 4)):
            kind = self.pick.choice(("simple", "simple", "if", "for", "while", "leave"))
            if kind == "leave":
                lines += [f"if {self.test(1)}:", f" {self.one_of('break', 'continue') if looped else 'return 1'}"]
            elif kind == "simple" or not deep:
                lines.append(self.simple())
            elif kind == "if":
                lines += [f"if {self.test(1)}:", *self.inner(deep, looped), "else:", *self.inner(deep, looped)]
            elif kind == "for":
                ends = self.one_of("a % 5", "2, 7", "6, b % 4, -2", "a % 5, c % 6, 2", "5, 1")
                lines += [f"for {self.one_of(*'ij')} in range({ends}):", *self.inner(deep, True)]
            else:
                self.turns += 1
                turn = f"n{self.turns}"
                lines += [
                    f"{turn} = 0",
                    f"while {turn} < 5 and {self.test(1)}:",
                    f" {turn} += 1",
                    *self.inner(deep, True),
                ]
        return lines

    def inner(self, deep: int, looped: bool) -> list[str]:
        return [f" {line}" for line in self.body(deep - 1, looped)]


@pytest.mark.parametrize("seed", range(16))
def test_a_random_program_does_what_python_does(seed: int) -> None:
    writer = Writer(seed)
    body = BEGIN + "\n".join(writer.body(3)) + END
    one = made(body, mixed=mixed, two=two, first_above=first_above, swapped=swapped)
    for _ in range(5):
        x = [writer.pick.choice((writer.pick.uniform(-5.0, 5.0), 0.0, 3.0)) for _ in range(3)]
        both_ways(one, x, [writer.pick.randint(-50, 50) for _ in range(3)])

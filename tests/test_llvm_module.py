"""Translated functions do what Python does with the same source: on seeded numbers, and on programs made at random."""

from __future__ import annotations

import ast
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katamuki.backends.compiler import text_of
from katamuki.backends.kernel import compile_source
from katamuki.backends.native import Native, address_of, at, function, inline

LIMIT = 2.5


def made(body: str, signature: str = "int64(double*, int64*, double*, int64*)", **scope: Any) -> Native:
    """A function of x, k (inputs) and out, whole (outputs)."""
    source = "def made(x, k, out, whole):\n" + "".join(f"    {line}\n" for line in [*body.split("\n"), "return 0"])
    return compile_source(source, "made", signature, {"math": math, "at": at, "LIMIT": LIMIT, **scope})


def bits(numbers: Any) -> list[bytes]:
    """Doubles by their bits, all NaN alike."""
    return [struct.pack("<d", math.nan if math.isnan(one) else one) for one in map(float, numbers)]


def both_ways(one: Native, x: list[float], k: list[int]) -> tuple[list[bytes], list[int]]:
    """Run compiled code and its source; what they wrote, once it was the same."""
    found = []
    for compiled in (True, False):
        numbers, wholes = np.array(x or [0.0]), np.array(k or [0], dtype=np.int64)
        out, whole = np.zeros(16), np.zeros(16, dtype=np.int64)
        if compiled:
            one(*(address_of(part) for part in (numbers, wholes, out, whole)))
        else:
            one.python(numbers.tolist(), wholes.tolist(), out, whole)
        found.append((bits(out), whole.tolist()))
    assert found[0] == found[1]
    return found[0]


SPECIAL = [0.0, -0.0, 1.0, -1.5, 2.5, 1e300, -1e-300, math.inf, -math.inf, math.nan]


@pytest.mark.parametrize("a", SPECIAL)
def test_numbers_are_added_compared_and_chosen_as_in_python(a: float) -> None:
    one = made(
        "a = x[0]\nb = x[1]\n"
        "out[0] = a + b\nout[1] = a - b\nout[2] = a * b\nout[3] = -a\nout[4] = min(a, b)\nout[5] = max(a, b)\n"
        "out[6] = abs(a)\nout[7] = math.fabs(b)\nout[8] = a if a < b else b if not a >= b else LIMIT\n"
        "whole[0] = 1 if a < b else 0\nwhole[1] = 1 if a <= b else 0\nwhole[2] = 1 if a == b else 0\n"
        "whole[3] = 1 if a != b else 0\nwhole[4] = 1 if a > b or b > 1.0 and not a == b else 0\n"
        "whole[5] = 1 if -2.0 < a <= b else 0\nwhole[6] = 1 if math.isfinite(a) else 0\n"
        "out[9] = math.sqrt(max(a, 0.0))\nout[10] = max(a, 1, b)\nout[11] = math.inf\nout[12] = 7 // 2 + a"
    )
    for b in SPECIAL:
        both_ways(one, [a, b], [])


@pytest.mark.parametrize("a", [0, 1, -1, 7, -7, 12345678901, -(2**40)])
def test_whole_numbers_divide_and_shift_as_in_python(a: int) -> None:
    one = made(
        "a = k[0]\nb = k[1]\n"
        "whole[0] = a // b\nwhole[1] = a % b\nwhole[2] = a // 8\nwhole[3] = a % 8\nwhole[4] = a // 3\n"
        "whole[5] = a % 3\n"
        "whole[6] = a >> 3\nwhole[7] = (a & 1023) << 5\nwhole[8] = a & b\nwhole[9] = a | b\nwhole[10] = a ^ b\n"
        "whole[11] = -a\nwhole[12] = abs(a)\nwhole[13] = min(a, b)\nwhole[14] = int(x[0])\n"
        "whole[15] = a // -3 + a % -3\n"
        "out[0] = a / b\nout[1] = float(a)\nout[2] = a + 0.5\nout[3] = a * b"
    )
    for b in (1, -1, 2, -2, 3, -5, 64, 1000003):
        both_ways(one, [2.9 if a > 0 else -2.9], [a, b])


def test_a_division_by_nothing_gives_nothing() -> None:
    one, found = made("whole[0] = k[0] // k[1]\nwhole[1] = k[0] % k[1]"), np.full(16, 5)
    wholes = np.array([7, 0], dtype=np.int64)
    one(0, address_of(wholes), 0, address_of(found))
    assert found[:3].tolist() == [0, 0, 5]


def test_whole_numbers_wrap_around() -> None:
    one = made("whole[0] = (k[0] * k[1] + k[0]) >> 3\nwhole[1] = k[0] - 3 * k[1] * k[1]\nwhole[2] = -k[2]")
    a, b, found = 2**62 + 12345, 7 * 2**40 + 99, np.zeros(16, dtype=np.int64)
    one(0, address_of(np.array([a, b, -(2**63)], dtype=np.int64)), 0, address_of(found))

    def wrapped(n: int) -> int:
        return (n + 2**63) % 2**64 - 2**63

    assert found[:3].tolist() == [wrapped(a * b + a) >> 3, wrapped(a - 3 * b * b), -(2**63)]


def test_the_least_whole_number_over_minus_one_wraps_around() -> None:
    """This used to end the process: processors have no such quotient."""
    one, found = made("whole[0] = k[0] // k[1]\nwhole[1] = k[0] % k[1]"), np.full(16, 5)
    one(0, address_of(np.array([-(2**63), -1])), 0, address_of(found))
    assert found[:2].tolist() == [-(2**63), 0]


def test_numbers_that_no_whole_number_holds_become_the_nearest() -> None:
    """LLVM's own conversion leaves open what comes out."""
    one, found = made("for i in range(5):\n    whole[i] = int(x[i])"), np.full(16, 5)
    one(address_of(np.array([math.nan, math.inf, -1e300, 2.0**62, -7.9])), 0, 0, address_of(found))
    assert found[:5].tolist() == [0, 2**63 - 1, -(2**63), 2**62, -7]


def test_truth_values_are_ordered_and_added_as_in_python() -> None:
    """This used to take True for less than False: LLVM reads a bit that is set as −1."""
    one = made(
        "a = k[0] > 0\nb = k[1] > 0\n"
        "whole[0] = 1 if a < b else 0\nwhole[1] = 1 if a <= b else 0\nwhole[2] = 1 if a == b else 0\n"
        "whole[3] = max(a, b)\nwhole[4] = min(a, b)\nwhole[5] = abs(a)\nwhole[6] = a + b\nwhole[7] = -a\n"
        "out[0] = a * 0.5\nout[1] = a or b\nout[2] = a and not b"
    )
    for pair in ([0, 0], [0, 1], [1, 0], [1, 1]):
        both_ways(one, [], pair)


@inline
def parts(x: Any, n: Any) -> Any:
    """Two of three."""
    if n > 2:
        return x[0] + x[1], n
    return x[2], n - 10


@inline
def first_above(x: Any, n: Any, limit: Any) -> Any:
    """A loop that is left in its middle."""
    for i in range(n):
        if x[i] > limit:
            return i
    return -1


@inline
def swapped(x: Any, i: Any, j: Any) -> None:
    """Nothing to return."""
    if i == j:
        return
    x[i], x[j] = x[j], x[i]


@inline  # noqa: RET503  that is the point
def half_way(x: Any) -> Any:
    """Without a value where x < 0."""
    if x >= 0.0:
        return 1.0


@inline
def left_by_returns(n: Any) -> Any:
    """Without a value nowhere: such a loop ends by them alone."""
    while True:
        n -= 3
        if n < 0:
            return n
        elif n == 7:  # noqa: RET505  both sides return
            return 70
        else:
            n -= 1


@inline
def factorial(n: Any) -> Any:
    """It calls itself."""
    if n > 1:
        factorial(n - 1)
    return n


def test_loops_tuples_and_helpers_go_the_same_way() -> None:
    one = made(
        "total = 0\ncount = 0\n"
        "for i in range(8):\n    if x[i] < 0.0:\n        continue\n    if x[i] > 90.0:\n        break\n"
        "    total += x[i]\n    count += 1\n    i += 5\n"
        "out[0] = total\nwhole[0] = count\nwhole[1] = i\n"
        "for i in range(7, 1, -2):\n    whole[2] = whole[2] * 10 + i\n"
        "for i in range(2, 2 * count, 3):\n    for j in range(i):\n        whole[3] += j\n"
        "j = 0\nwhile True:\n    j += 1\n    if j * j > 50 or x[j - 1] == 3.0 and j > 6:\n        break\n"
        "whole[4] = j\n"
        "a, b = parts(x, k[0])\nout[1] = a\nwhole[5] = b\nout[2] = parts(x, 1)[0]\n"
        "c, d = b, a\nout[3] = c\nout[4] = d\n"
        "whole[6] = first_above(at(x, 1), 7, 2.0)\nwhole[7] = first_above(x, 8, 1e9)\n"
        "low, high = (x[0], x[1]) if x[0] <= x[1] else (x[1], x[0])\nout[5] = low\nout[6] = high\n"
        "out[7] = out[8] = x[7]\nswapped(out, 7, 6)\nswapped(out, 1, 1)\nout[9] += 2.0\nout[9] -= x[0]\nout[9] *= 3.0\n"
        "inside = x[0] < x[1] and x[2] > 0.0\nout[10] = 1.0 if inside else 2\nwhole[8] = 4 if k[0] & 1 else 3",
        parts=parts,
        first_above=first_above,
        swapped=swapped,
    )
    out, whole = both_ways(one, [1.0, 2.0, -3.0, 4.5, 99.0, 3.0, 3.0, 8.0], [3])
    assert whole[:3] == [3, 4, 753]
    assert out[0] == struct.pack("<d", 7.5)
    both_ways(one, [5.0, 2.0, 3.0, -4.5, 9.0, 3.0, 3.0, 8.0], [2])


NAMES = st.sampled_from(["a", "b", "c"])
LEAVES = st.one_of(NAMES, st.integers(-9, 9).map(str))
TESTS = "({0} {1} {2})"


def whole_expressions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Whole numbers out of whole numbers; what would overflow is kept small, and no divisor is 0."""
    orders, pairs = st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.sampled_from("+-&|^")
    test = st.tuples(inner, orders, inner).map(lambda p: TESTS.format(*p))
    tests = st.one_of(
        test,
        st.tuples(test, st.sampled_from(["and", "or"]), test).map(lambda p: f"({' '.join(p)})"),
        test.map("(not {})".format),
    )
    return st.one_of(
        st.tuples(inner, pairs, inner).map(lambda p: f"({' '.join(p)})"),
        st.tuples(inner, inner).map(lambda p: f"(({p[0]}) % 1000 * (({p[1]}) % 1000))"),
        st.tuples(inner, st.sampled_from(["//", "%"]), inner).map(lambda p: f"(({p[0]}) {p[1]} (({p[2]}) % 7 + 1))"),
        st.tuples(inner, st.integers(0, 5)).map(lambda p: f"(({p[0]}) >> {p[1]})"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda p: f"{p[0]}({p[1]}, {p[2]})"),
        st.tuples(inner, tests, inner).map(lambda p: f"({p[0]} if {p[1]} else {p[2]})"),
        inner.map("(-{})".format),
    )


@settings(max_examples=40)
@given(
    st.recursive(LEAVES, whole_expressions, max_leaves=25),
    st.lists(st.integers(-(2**31), 2**31), min_size=3, max_size=3),
)
def test_any_expression_of_whole_numbers_is_pythons(text: str, numbers: list[int]) -> None:
    one = made(f"a = k[0]\nb = k[1]\nc = k[2]\nwhole[0] = {text}\nout[0] = ({text}) * 0.5")
    both_ways(one, [], numbers)


def test_a_wrong_answer_would_be_seen() -> None:
    one = made("whole[0] = k[0] + 1")
    one.python = made("whole[0] = k[0] + 2").python
    with pytest.raises(AssertionError):
        both_ways(one, [], [1])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("whole[0] = [1][0]", "List is not in the subset"),
        ("out[0] = 'a'", "no number"),
        ("out[0] = unknown", "unknown is not known"),
        ("out[0] = later\nlater = 1.0", "later is read before it is assigned"),
        ("for i in k:\n    out[0] = i", "loops go over range"),
        ("for i in range(0, 9, k[0]):\n    out[0] = i", "step is a constant"),
        ("for i in range(3):\n    pass\nelse:\n    out[0] = 1.0", "no else"),
        ("out[0] = round(x[0])", "round cannot be called here"),
        ("out[0] = max(x, 1.0)", r"double\* and double do not go together"),
        ("whole[0] = x[0]", "double is no int64"),
        ("out[0] = x[x[0]]", r"double\* at double"),
        ("a, b = x[0]\nout[0] = a", "= a double"),
        ("a = x[0], x[1]\nout[0] = 1.0", "= a "),
        ("out[0] = x[0] // 2.0", "double is no int64"),
        ("out[0] = +x[0]", "not in the subset"),
        ("out[0] = parts(x)[0]", "takes 2 arguments and gets 1"),
        ("out[0] = parts(x, n=1)[0]", "arguments have no names"),
        ("raise ValueError", "Raise is not in the subset"),
        ("whole[0] = k[0] or 5", r"k\[0\] is no truth value"),
        ("whole[0] = 1 if k[0] is k[1] else 0", "Is is not in the subset"),
        ("whole[0] = k[0] % 9223372036854775808", "does not fit 64 bits"),
        ("out[0] = (x[0], 1.0)[k[0]]", "at int64"),
        ("out[0] = half_way(x[0])", "half_way may end without a value"),
        ("if k[0] > 0:\n    return 1\nwhile k[0] < 0:\n    return 2\nhalf_way(1.0)", "half_way may end without"),
        ("whole[0] = factorial(k[0])", "factorial calls itself"),
        ("out[0] = numpy.pi", "numpy.pi is not known"),
    ],
)
def test_what_the_subset_lacks_is_named_with_its_place(body: str, said: str) -> None:
    one = made(body, parts=parts, half_way=half_way, factorial=factorial, numpy=np)
    with pytest.raises(TypeError, match=said) as caught:
        text_of(one.python, one._source, one.signature, False, "refused")
    (note,) = caught.value.__notes__
    assert "<katamuki made>:" in note or "test_llvm_module.py:" in note


def test_a_function_that_may_end_without_a_value_is_refused() -> None:
    """This used to be compiled to whatever stood behind it."""
    text = "def made(n):\n    for i in range(n):\n        return i\n"
    one = compile_source(text, "made", "int64(int64)", {})
    with pytest.raises(TypeError, match="made may end without a value"):
        text_of(one.python, text, one.signature, False, "refused")


def test_what_ends_by_returns_alone_is_not_refused() -> None:
    one = made("whole[0] = left_by_returns(k[0])", left_by_returns=left_by_returns)
    for n in (1, 10, 14, 99):
        both_ways(one, [], [n])


def test_a_name_of_an_enclosing_function_is_no_global() -> None:
    """This used to read the module's LIMIT in its place."""

    def enclosing() -> Any:
        LIMIT = 7.0  # named like the module's

        def inner(n: Any) -> Any:
            return LIMIT * n

        return inner

    with pytest.raises(TypeError, match="LIMIT is read before"):
        text_of(enclosing(), None, "double(int64)", False, "refused")


def test_a_file_that_changed_after_its_import_is_named() -> None:
    space: dict[str, Any] = {}
    exec(compile("\n\ndef gone(n):\n    return n\n", __file__, "exec"), space)
    with pytest.raises(TypeError, match=r"test_llvm_module.py:3 defines no gone"):
        text_of(space["gone"], None, "int64(int64)", False, "refused")


@function("double(int64)", sums=True)
def half(n: Any) -> Any:
    """A function that returns a number."""
    return n / 2


def test_a_function_may_return_a_number_and_stand_in_a_file() -> None:
    assert half(7) == half.python(7) == 3.5


def test_sums_alone_may_be_reassociated() -> None:
    """The flags stand on arithmetic where they were asked for, and nowhere else."""
    loose, strict = (text_of(half.python, None, half.signature, sums, "half") for sums in (True, False))
    assert "fdiv reassoc nsz double" in loose
    assert "reassoc" not in strict
    assert "fast" not in loose + strict
    assert "contract" not in loose + strict


def test_the_source_is_found_by_line_and_name() -> None:
    tree = ast.parse(
        "def made(x):\n    return x\n\n\ndef other(x):\n    def made(x):\n        return 2\n    return made\n"
    )
    space: dict[str, Any] = {}
    exec(compile(tree, "<katamuki made>", "exec"), space)
    text = text_of(space["made"], ast.unparse(tree), "int64(int64)", False, "found")
    assert "ret i64 2" not in text

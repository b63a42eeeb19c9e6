"""Eight numbers side by side: each operation does to them what the model's kernel does to one, and they stay apart."""

from __future__ import annotations

import math

import numpy as np
import pytest

from katamuki.backends import vectors
from katamuki.backends.exponential import exp_of_eight
from katamuki.backends.kernel import BLOCK, OF_EIGHT, Kernel, compile_source, rows_of_eight_source
from katamuki.backends.native import ROWS, address_of, at
from katamuki.graph import Builder
from katamuki.ops import TABLE
from katamuki.records import Array

PLACES = 24
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 1e-300, 1e300, 30.0, -30.0, math.inf, -math.inf, math.nan]


def by_eights(kernel: Kernel, columns: list[Array], params: Array) -> Array:
    """``rows_of_eight`` of columns (PLACES, 8) and params (p, 8): (1 + p, PLACES, 8)."""
    block = np.full((1 + len(params), BLOCK // 8, 8), np.nan)
    pointers = np.array([address_of(one) for one in columns] or [0])
    first = address_of(block)
    kernel.each(address_of(pointers), address_of(params), 0, PLACES, first, first + 8 * BLOCK, 1)
    return block[:, :PLACES]


def kernel_of(op: str) -> Kernel:
    """One operation between a parameter and what depends on the row; a whole exponent is a constant."""
    b = Builder(())
    a, x = b.leaf("parameter", "a"), b.leaf("column", "x")
    mixed = b("add", a, x)
    second = b.leaf("constant", 3.0) if op == "powi" else x
    return Kernel(b.graph([b(op, *[mixed, second, a][: TABLE[op].arity])]))


def columns_and_params(seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2.0, 2.0, (PLACES, 8))
    x[: len(SPECIAL), 3] = SPECIAL
    return x, rng.uniform(-1.0, 1.0, (1, 8))


@pytest.mark.parametrize("op", TABLE)
def test_each_operation_is_that_of_single_rows(op: str) -> None:
    kernel, (x, params) = kernel_of(op), columns_and_params(1)
    found = by_eights(kernel, [x], params)
    for lane in range(8):
        single = kernel.evaluate((x[:, lane].copy(),), params[:, lane].copy(), PLACES, want=True)
        np.testing.assert_allclose(found[:, :, lane], single, rtol=4e-15, atol=1e-300, err_msg=f"{op} {lane}")


def test_a_wrong_answer_would_be_seen() -> None:
    kernel, (x, params) = kernel_of("mul"), columns_and_params(1)
    found = by_eights(kernel, [x], params)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(found[0, :, 0], x[:, 0] * params[0, 0], rtol=4e-15)


def test_neighbours_change_no_bit() -> None:
    b = Builder(())
    a, m, row = b.leaf("parameter", "a"), b.leaf("parameter", "m"), b.leaf("column", "x")
    kernel = Kernel(b.graph([b("div", b("exp", b("mul", a, row)), b("add", m, row))]))
    rng = np.random.default_rng(2)
    x, params = rng.uniform(-2.0, 2.0, (PLACES, 8)), rng.uniform(1.0, 2.0, (2, 8))
    before = by_eights(kernel, [x], params)
    x[:, 1:], params[:, 1:] = np.nan, np.inf
    assert np.array_equal(by_eights(kernel, [x], params)[:, :, 0], before[:, :, 0])


def test_what_depends_on_parameters_alone_is_computed_before_the_rows() -> None:
    b = Builder(())
    s, x = b.leaf("parameter", "s"), b.leaf("column", "x")
    source = rows_of_eight_source(Kernel(b.graph([b("div", x, b("exp", s))])).derivative)
    before, _, loops = source.partition("    if want == 0:")
    assert "exp(" in before
    assert "1.0 / t" in before
    assert "exp(" not in loops
    assert "/" not in loops


def exps(x: Array) -> Array:
    """Our own exp of eight numbers, in plain Python: fused with two roundings, the rest to the letter."""
    return np.array([exp_of_eight(x[k : k + 8]) for k in range(0, len(x), 8)]).ravel()


def compiled_exps(x: Array) -> Array:
    """The compiled one, 24 places at a time."""
    source = "def rows(columns, params, start, m, values, partials, want):\n    c = at(columns[0], start)\n"
    source += "    for i in range(m):\n        store(values, i, exp(load(c, i)))\n    return 0\n"
    made, out, pointers = compile_source(source, "rows", ROWS, OF_EIGHT), np.empty(len(x)), np.array([address_of(x)])
    made(address_of(pointers), 0, 0, len(x) // 8, address_of(out), 0, 0)
    return out


def test_exp_of_eight_is_within_one_unit_in_the_last_place() -> None:
    x = np.concatenate([np.linspace(-700.0, 700.0, 8000), np.linspace(-1.0, 1.0, 8000)])
    exact = np.exp(x.astype(np.longdouble))
    for found, units in ((compiled_exps(x), 1.0), (exps(x[-800:]), 2.0)):
        here = exact[-len(found) :]
        apart = np.abs((found - here) / np.spacing(here.astype(np.float64)))
        assert apart.max() <= units


def test_exp_of_eight_at_the_ends() -> None:
    x = np.array([0.0, -0.0, 709.5, 1e9, math.inf, -709.0, -1e9, -math.inf] + [math.nan] * 8)
    found = compiled_exps(x)
    assert found[:8].tolist() == [1.0, 1.0, math.inf, math.inf, math.inf, 0.0, 0.0, 0.0]
    assert np.isnan(found[8:]).all()


def test_operations_on_arrays_mean_what_they_say() -> None:
    memory = np.arange(32.0)
    vectors.store(memory, 3, vectors.fused(vectors.load(memory, 0), vectors.splat(2.0), vectors.load(at(memory, 8), 0)))
    assert memory[24:].tolist() == (3.0 * np.arange(8) + 8.0).tolist()
    assert (
        vectors.two_to_last(1.5 * 2.0**52 + 1023.0 + np.arange(-3.0, 5.0)).tolist()
        == (2.0 ** np.arange(-3.0, 5.0)).tolist()
    )

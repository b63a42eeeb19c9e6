"""Normal equations of eight curves against NumPy: sums for any rows, steps, and what is told of their pivots."""

from __future__ import annotations

import numpy as np
import pytest

from katamuki.backends.native import address_of
from katamuki.many.products import (
    ALONG,
    HOPE,
    LEAST,
    LENGTH,
    NO_STEP,
    REACH,
    SMALL_STEP,
    STEPS,
    SURE_STEP,
    USED,
    in_tiles,
    products,
    solver,
)
from katamuki.records import Array


def added(p: int, m: int, weighted: bool, before: float = 0.0) -> tuple[Array, Array]:
    """The compiled sums, and those of einsum; of p + 1 parameters the first is fixed."""
    rng = np.random.default_rng(p)
    block, y, root = rng.normal(size=(2 + p, 32, 8)), rng.normal(size=(m, 8)), rng.uniform(0.5, 2.0, (m, 8))
    columns = np.concatenate([block[2:, :m], (y - block[0, :m])[None]]) * (root if weighted else 1.0)
    sums, free = np.full(((p + 1) * (p + 2) // 2, 8), before), np.arange(1, p + 1)
    arguments = (address_of(one) for one in (free, block, y, root))
    products(p)(*arguments, int(weighted), m, address_of(sums))
    whole = np.einsum("irl,jrl->ijl", columns, columns)
    return sums, before + np.array([whole[i, j] for i in range(p + 1) for j in range(i, p + 1)])


@pytest.mark.parametrize("p", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_are_those_of_einsum(p: int, weighted: bool) -> None:
    for m in (1, 5, 32):
        found, exact = added(p, m, weighted, before=2.5)
        np.testing.assert_allclose(found, exact, rtol=1e-13, atol=1e-13)


def test_a_wrong_sum_would_be_seen() -> None:
    found, exact = added(3, 20, weighted=False)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(found[:, ::-1], exact, rtol=1e-13, atol=1e-13)


def test_tiles_hold_each_pair_once() -> None:
    for q in range(1, 12):
        assert sorted(in_tiles(q)) == [(i, j) for i in range(q) for j in range(i, q)]


def solved(p: int, damping: float, like: float = 0.0) -> tuple[Array, Array, Array, Array]:
    """The memory of ``solve`` afterwards; the normal matrices (8, p, p), gradients (8, p, 1), and x (p, 8)."""
    rng = np.random.default_rng(p)
    columns = rng.normal(size=(8, 20, p)) * 10.0 ** rng.uniform(-3, 3, (8, 1, p))
    columns[:, :, -1] = (1.0 - like) * columns[:, :, -1] + like * columns[:, :, 0]
    a, g = np.swapaxes(columns, 1, 2) @ columns, np.swapaxes(columns, 1, 2) @ rng.normal(size=(8, 20, 1))
    rows = [np.concatenate([a[:, i, i:], g[:, i]], axis=1).T for i in range(p)]
    sums, x, free = (
        np.ascontiguousarray(np.concatenate([*rows, np.ones((1, 8))])),
        rng.normal(size=(p, 8)),
        np.arange(p),
    )
    memory = np.zeros((STEPS + 2 * p, 8))
    memory[USED] = damping
    memory[STEPS : STEPS + p] = 1.0
    solver(p)(*(address_of(one) for one in (free, sums, x, memory)))
    return memory, a, g, x


@pytest.mark.parametrize("p", [1, 2, 4, 9])
@pytest.mark.parametrize("damping", [0.0, 1e-3, 2.0])
def test_the_step_is_that_of_the_normal_equations(p: int, damping: float) -> None:
    memory, a, g, x = solved(p, damping)
    unit = np.diagonal(a, axis1=1, axis2=2)
    step = np.linalg.solve(a + damping * unit[:, :, None] * np.eye(p), g)[:, :, 0]
    np.testing.assert_allclose(memory[STEPS + p :].T, step, rtol=1e-9)
    length, along = (unit * step**2).sum(1), (unit * step).sum(1)
    hope, reach = (step * g[:, :, 0]).sum(1) + damping * length, (unit * x.T**2).max(1)
    np.testing.assert_allclose(memory[[LENGTH, ALONG, HOPE, REACH]], [length, along, hope, reach], rtol=1e-9)
    assert (memory[LEAST] == SURE_STEP).all()


def test_columns_that_depend_on_each_other_are_told() -> None:
    assert (solved(3, 0.0, like=1.0)[0][LEAST] == NO_STEP).all()
    assert (solved(3, 0.0, like=0.999999)[0][LEAST] <= SMALL_STEP).any()
    assert (solved(3, 1.0, like=1.0)[0][LEAST] == SURE_STEP).all()

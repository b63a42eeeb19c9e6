"""Sums of products over rows of eight curves against einsum, for each number of parameters and any rows."""

from __future__ import annotations

import numpy as np
import pytest

from katamuki.backends.native import address_of
from katamuki.many.products import in_tiles, products
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

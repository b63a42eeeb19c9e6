"""Mini-batches of rows in memory against PyTorch's own loader: which rows, in which order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katamuki.problem import batches as module
from katamuki.problem.batches import Batches


def torch_batches(n: int, size: int, seed: int) -> Iterator[list[int]]:
    """The rows that PyTorch's loader deals, epoch after epoch."""
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.arange(n))
    generator = torch.Generator().manual_seed(seed)
    loader = torch.utils.data.DataLoader(data, batch_size=size, shuffle=True, generator=generator)
    while True:
        for (rows,) in loader:
            yield rows.tolist()


@pytest.mark.parametrize(
    ("n", "size", "seed", "steps"),
    [
        (11, 4, 0, 40),
        (11, 4, 7, 9),
        (10, 5, -1, 12),
        (1, 1, 3, 4),
        (2, 1, 2**40 + 5, 9),
        (1000, 64, 1, 40),
        (5, 9, 2, 7),
    ],
)
def test_they_are_those_of_pytorchs_loader(n: int, size: int, seed: int, steps: int) -> None:
    batches, theirs = Batches(n, size, seed), torch_batches(n, size, seed)
    for step in range(steps):
        assert batches.rows(step).tolist() == next(theirs)


def test_another_seed_deals_other_rows() -> None:
    theirs = torch_batches(50, 8, 1)
    assert Batches(50, 8, 0).rows(0).tolist() != next(theirs)


@given(
    n=st.integers(1, 300),
    size=st.integers(1, 400),
    seed=st.integers(0, 2**32 - 1),
    steps=st.lists(st.integers(0, 900), min_size=1, max_size=4),
)
@settings(max_examples=25, deadline=None)
def test_each_epoch_deals_every_row_once_and_steps_may_be_asked_for_in_any_order(
    n: int, size: int, seed: int, steps: list[int]
) -> None:
    straight, leaping = Batches(n, size, seed), Batches(n, size, seed)
    for step in steps:
        epoch, batch = leaping.place(step)
        again = Batches(n, size, seed)
        again.rows(step)
        assert leaping.rows(step).tolist() == again.rows(step).tolist()
        whole = [straight.rows(epoch * straight.per_epoch + k) for k in range(straight.per_epoch)]
        assert sorted(np.concatenate(whole).tolist()) == list(range(n))
        assert whole[batch].tolist() == leaping.rows(step).tolist()
        assert {len(one) for one in whole[:-1]} <= {min(size, n)}


def test_a_far_epoch_is_reached_without_those_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAR", 500)  # so that states are kept and gone back to
    theirs = torch_batches(30, 7, 5)
    rows = [next(theirs) for _ in range(400)]
    batches = Batches(30, 7, 5)
    for step in (399, 0, 250, 251, 100, 399, 398, 20):
        assert batches.rows(step).tolist() == rows[step]
    assert len(batches._states) > 3


def test_an_epoch_is_drawn_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [Batches(700, 64, 3).rows(step).tolist() for step in range(25)]
    for name in ("DRAWN", "FIRST", "KEPT"):
        monkeypatch.setattr(module, name, 100)
    assert [Batches(700, 64, 3).rows(step).tolist() for step in range(25)] == whole


def test_very_many_rows_are_shuffled_from_the_inside_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch does so from 214,748,364 rows on: too many for a test, so that its source is written out here."""
    monkeypatch.setattr(module, "WIDE", 50)
    engine = np.random.RandomState(4)

    def number() -> int:
        return int(engine.randint(0, 2**32, dtype=np.uint32))

    def order(n: int) -> list[int]:
        found = [0] * n
        for here in range(n):
            other = ((number() << 32) | number()) % (here + 1)
            found[here] = here
            found[here], found[other] = found[other], here
        return found

    batches = Batches(60, 60, 4)
    for epoch in range(3):
        number(), number()
        assert batches.rows(epoch).tolist() == order(60)
        order(60)


@pytest.mark.parametrize("name", ["shuffle", "shuffle_wide", "shuffles"])
def test_compiled_and_readable_shuffles_agree(name: str) -> None:
    drawn = np.random.default_rng(1).integers(0, 2**32, 400)
    function = getattr(module, name)
    more = {"shuffle": (0, 39, 40), "shuffle_wide": (0, 40), "shuffles": (5, 40)}[name]
    fast = np.tile(np.arange(40), 5)
    slow = fast.copy()
    function(fast.ctypes.data, drawn.ctypes.data, *more)
    function.python(slow, drawn, *more)
    assert fast.tolist() == slow.tolist()

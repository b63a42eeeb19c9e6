"""The matches of a tournament are decided alike one by one and all in one compiled go."""

from __future__ import annotations

import numpy as np
import pytest

from katamuki.problem.thinning import Thinning, side, winners_pass


@pytest.mark.parametrize("rounds", [0, 1, 7, 20])
def test_winners_are_those_of_each_match(rounds):
    for seed in range(4):
        thinning = Thinning(100, 0, (seed, 3))
        blocks = np.random.default_rng(seed).integers(0, 2**40, 300)
        found = blocks
        for played in range(rounds, 0, -1):
            found = 2 * found + thinning.decided(found, played)
        np.testing.assert_array_equal(thinning.winners(blocks, rounds), found)
        out = np.zeros(300, np.int64)
        winners_pass.python(blocks.tolist(), 300, rounds, thinning.salt, out)
        np.testing.assert_array_equal(out, found)


def test_a_match_is_decided_by_its_hash():
    thinning = Thinning(100)
    matches = np.arange(4000)
    won = [side(match, thinning.salt + 2) for match in matches.tolist()]
    assert won == thinning.decided(matches, 2).tolist()
    assert won != thinning.decided(matches, 3).tolist()
    assert 1850 < sum(won) < 2150

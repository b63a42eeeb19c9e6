"""``a*exp(-b*x) + c`` on 100 points: ``km.fit`` searching for its starts, against SciPy given a good one.

Two rows: no start at all, and the default search beside a given start (the descent from it, and eight more starts).
SciPy's ``curve_fit`` starts near the truth both times and searches nothing. Both sides must end at the same answer.
"""

from __future__ import annotations

from exponential import DATA, START, X, Y, model
from scipy.optimize import curve_fit
from timing import agree, pairs, ratio_row

import katamuki as km

FORMULA = "y ~ a*exp(-b*x) + c"


def from_nothing() -> float:
    """The rate, from no start: ranges, a cloud of starts, the best minimum polished; and findings as ever."""
    return km.fit(FORMULA, DATA).params["b"]


def beside_a_start() -> float:
    """The rate, from the start that SciPy gets, with the default search beside it."""
    return km.fit(FORMULA, DATA, start=START).params["b"]


def peer() -> float:
    """The rate and the covariance."""
    return float(curve_fit(model, X, Y, p0=tuple(START.values()))[0][1])


if __name__ == "__main__":
    for ours in (from_nothing, beside_a_start):
        agree(ours(), peer(), 6)
    work = "a*exp(-b*x)+c, 100 points"
    ratio_row(f"{work}, no start", "scipy curve_fit, good start", pairs(peer, from_nothing), 0.3)
    ratio_row(f"{work}, start and search", "scipy curve_fit, same start", pairs(peer, beside_a_start), 0.6)

"""A straight line through eleven points: a whole ``km.fit`` call against scikit-learn's and SciPy's own."""

from __future__ import annotations

import numpy as np
from scipy.stats import linregress
from sklearn.linear_model import LinearRegression
from timing import agree, pairs, ratio_row

import katamuki as km

X = np.array([10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0])
Y = np.array([8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68])
COLUMN = X[:, None]
DATA = {"x": X, "y": Y}


def ours() -> float:
    """The slope; error bars, findings and verdict come with it."""
    return km.fit("y ~ a*x + b", DATA).params["a"]


def sklearn() -> float:
    """The slope and intercept alone."""
    return float(LinearRegression().fit(COLUMN, Y).coef_[0])


def scipy() -> float:
    """The slope, intercept and their standard errors."""
    return float(linregress(X, Y).slope)


if __name__ == "__main__":
    agree(ours(), sklearn(), 12)
    agree(ours(), scipy(), 12)
    work = "straight line, 11 points"
    ratio_row(work, "LinearRegression.fit", pairs(sklearn, ours), 4)
    ratio_row(work, "scipy linregress", pairs(scipy, ours), 2)

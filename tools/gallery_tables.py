"""The gallery's published tables: short, measured by others, with the answers that were published for them.

The numbers are facts of the papers named. The published answer is what the table is proof-read against: a wrong cell
would not give it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """One published problem, and the answer that its source gives, to the digits written here."""

    name: str
    formula: str
    columns: Mapping[str, str]  # the response first; cells as printed
    truth: Mapping[str, float]  # the published parameters
    linear: str
    wide: Mapping[str, tuple[float, float]]
    rss: float | None  # published residual sum of squares; None where only the parameters are
    source: str


# fmt: off
TABLES = (
    Table("puromycin", "rate ~ Vmax*conc/(K + conc)", {
        "rate": "76 47 97 107 123 139 159 152 191 201 207 200",
        "conc": "0.02 0.02 0.06 0.06 0.11 0.11 0.22 0.22 0.56 0.56 1.10 1.10"},
        {"Vmax": 212.7, "K": 0.0641}, "Vmax", {"K": (1e-5, 1e3)}, 1195.45,
        "M. A. Treloar (1974), treated cells; in D. M. Bates and D. G. Watts, Nonlinear Regression Analysis (1988) "
        "app. 1"),
    Table("oxygen_demand", "demand ~ b1*(1 - exp(-b2*day))", {
        "demand": "8.3 10.3 19.0 16.0 15.6 19.8", "day": "1 2 3 4 5 7"},
        {"b1": 19.143, "b2": 0.5311}, "b1", {"b2": (1e-4, 100)}, 25.99,
        "D. Marske (1967); in D. M. Bates and D. G. Watts, Nonlinear Regression Analysis (1988) app. 1"),
    Table("chlorine", "available ~ a + (0.49 - a)*exp(-b*(week - 8))", {
        "available": "0.49 0.49 0.48 0.47 0.48 0.47 0.46 0.46 0.45 0.43 0.45 0.43 0.43 0.44 0.43 0.43 0.46 0.45 0.42 "
        "0.42 "
        "0.43 0.41 0.41 0.40 0.42 0.40 0.40 0.41 0.40 0.41 0.41 0.40 0.40 0.40 0.38 0.41 0.40 0.40 0.41 0.38 0.40 0.40 "
        "0.39 0.39",
        "week": "8 8 10 10 10 10 12 12 12 12 14 14 14 16 16 16 18 18 20 20 20 22 22 22 24 24 24 26 26 26 28 28 30 30 "
        "30 32 "
        "32 34 36 36 38 38 40 42"},
        {"a": 0.3901, "b": 0.1016}, "a", {"b": (1e-4, 10)}, 0.0050017,
        "H. Smith and S. D. Dubey, Ind. Qual. Control 21 (1964) 64; in N. R. Draper and H. Smith, Applied Regression "
        "Analysis"),
    Table("weeds", "y ~ b1/(1 + b2*exp(-b3*t))", {
        "y": "5.308 7.240 9.638 12.866 17.069 23.192 31.443 38.558 50.156 62.948 75.995 91.972",
        "t": "1 2 3 4 5 6 7 8 9 10 11 12"},
        {"b1": 196.186, "b2": 49.0916, "b3": 0.31357}, "b1", {"b2": (0.1, 1e5), "b3": (1e-3, 20)}, 2.5873,
        "D. W. Hobbs; in J. C. Nash, Compact Numerical Methods for Computers (1979) 120"),
    Table("bard", "y ~ x1 + u/(v*x2 + w*x3)", {
        "y": "0.14 0.18 0.22 0.25 0.29 0.32 0.35 0.39 0.37 0.58 0.73 0.96 1.34 2.10 4.39",
        "u": "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15", "v": "15 14 13 12 11 10 9 8 7 6 5 4 3 2 1",
        "w": "1 2 3 4 5 6 7 8 7 6 5 4 3 2 1"},
        {"x1": 0.0824, "x2": 1.133, "x3": 2.3437}, "x1", {"x2": (0.01, 100), "x3": (0.01, 100)}, 8.21488e-3,
        "Y. Bard, SIAM J. Numer. Anal. 7 (1970) 157"),
    Table("catalysis", "y ~ t1*t3*p/(1 + t1*p + t2*q)", {
        "y": "0.126 0.219 0.076 0.126 0.186", "p": "1 2 1 2 0.1", "q": "1 1 2 2 0"},
        {"t1": 3.13, "t2": 15.16, "t3": 0.780}, "t3", {"t1": (0.01, 1e3), "t2": (0.01, 1e3)}, 4.355e-5,
        "R. R. Meyer and P. M. Roth, J. Inst. Math. Appl. 9 (1972) 218"),
    Table("indomethacin", "conc = A1*exp(-k1*t) + A2*exp(-k2*t)", {
        "conc": "1.50 0.94 0.78 0.48 0.37 0.19 0.12 0.11 0.08 0.07 0.05",
        "t": "0.25 0.50 0.75 1.00 1.25 2.00 3.00 4.00 5.00 6.00 8.00"},
        {"A1": 2.029, "k1": 1.785, "A2": 0.1916, "k2": 0.1673}, "A1 A2", {"k1": (1e-3, 100), "k2": (1e-3, 100)}, None,
        "K. C. Kwan et al., J. Pharmacokinet. Biopharm. 4 (1976) 255, subject 1"),
    Table("osborne_2", "y ~ x1*exp(-x5*t) + x2*exp(-x6*(t-x9)**2) + x3*exp(-x7*(t-x10)**2) + x4*exp(-x8*(t-x11)**2)", {
        "y": "1.366 1.191 1.112 1.013 0.991 0.885 0.831 0.847 0.786 0.725 0.746 0.679 0.608 0.655 0.616 0.606 0.602 "
        "0.626 "
        "0.651 0.724 0.649 0.649 0.694 0.644 0.624 0.661 0.612 0.558 0.533 0.495 0.500 0.423 0.395 0.375 0.372 0.391 "
        "0.396 "
        "0.405 0.428 0.429 0.523 0.562 0.607 0.653 0.672 0.708 0.633 0.668 0.645 0.632 0.591 0.559 0.597 0.625 0.739 "
        "0.710 "
        "0.729 0.720 0.636 0.581 0.428 0.292 0.162 0.098 0.054",
        "t": " ".join(f"{k / 10:.1f}" for k in range(65))},
        {"x1": 1.31, "x2": 0.4316, "x3": 0.6337, "x4": 0.5994, "x5": 0.7542, "x6": 0.9043, "x7": 1.3658, "x8": 4.8237,
        "x9": 2.3987, "x10": 4.5689, "x11": 5.6753}, "x1 x2 x3 x4",
        {"x5": (0.01, 20), "x6": (0.01, 100), "x7": (0.01, 100), "x8": (0.01, 100), "x9": (0, 7), "x10": (0, 7),
        "x11": (0, 7)}, 4.01377e-2,
        "M. R. Osborne, in F. A. Lootsma (ed.), Numerical Methods for Nonlinear Optimization (1972) 171"),
)

"""Peaks, physics, broken lines and several predictors: the other problems of the gallery that are drawn."""

from __future__ import annotations

import numpy as np
from gallery_problems import Row, add, counted, crossed, even, ratio, scattered, times

SIDE = tuple(float(k) for k in range(15))

# fmt: off
PEAKS = (
    Row("gaussian_on_a_line", "y ~ a + b*x + h*exp(-((x-m)/w)**2/2)", {"x": even(0, 50, 80)},
        {"a": 5, "b": -0.05, "h": 3, "m": 31, "w": 2.2}, add(0.35), "a b h", {"m": (-5, 55), "w": (0.3, 60)},
        "C. F. Gauss, Theoria motus (1809)"),
    Row("two_gaussians", "counts ~ bg + h1*exp(-((E-e1)/s1)**2/2) + h2*exp(-((E-e2)/s2)**2/2)",
        {"E": even(600, 720, 121)},
        {"bg": 60, "h1": 220, "e1": 645, "s1": 6.5, "h2": 140, "e2": 664, "s2": 6}, counted, "bg h1 h2",
        {"e1": (590, 730), "s1": (0.5, 100), "e2": (590, 730), "s2": (0.5, 100)},
        "B. W. Rust, NIST StRD Gauss1 to Gauss3 (1996)"),
    Row("three_lorentzians", "I = c + A1*g1^2/((x-x1)^2+g1^2) + A2*g2^2/((x-x2)^2+g2^2) + A3/(1+((x-x3)/g3)^2)",
        {"x": even(1000, 1199, 200)}, {"c": 10, "A1": 55, "g1": 7, "x1": 1058, "A2": 90, "g2": 9, "x2": 1090,
        "A3": 40, "g3": 6, "x3": 1132}, add(2), "c A1 A2 A3", {"g1": (0.5, 150), "x1": (990, 1210), "g2": (0.5, 150),
        "x2": (990, 1210), "g3": (0.5, 150), "x3": (990, 1210)},
        "H. A. Lorentz, The Theory of Electrons (1909)"),
    Row("four_gaussians", "y ~ b0 + b1*x + h1*exp(-(x-m1)^2/(2*w1^2)) + h2*exp(-(x-m2)^2/(2*w2^2))"
        " + h3*exp(-(x-m3)^2/(2*w3^2)) + h4*exp(-(x-m4)^2/(2*w4^2))", {"x": even(0, 100, 300)},
        {"b0": 12, "b1": -0.06, "h1": 20, "m1": 22, "w1": 3, "h2": 30, "m2": 34, "w2": 4, "h3": 15, "m3": 58, "w3": 3.5,
        "h4": 25, "m4": 76, "w4": 5}, add(0.8), "b0 b1 h1 h2 h3 h4",
        {"m1": (0, 100), "w1": (0.5, 50), "m2": (0, 100), "w2": (0.5, 50), "m3": (0, 100), "w3": (0.5, 50),
        "m4": (0, 100), "w4": (0.5, 50)}, "B. W. Rust, NIST StRD Gauss1 to Gauss3 (1996)"),
    Row("pseudo_voigt", "I ~ A*(eta/(1+((x-x0)/w)**2) + (1-eta)*exp(-log(2)*((x-x0)/w)**2)) + bg",
        {"x": even(42, 46, 101)},
        {"A": 1000, "eta": 0.45, "x0": 43.9, "w": 0.22, "bg": 40}, counted, "A bg",
        {"eta": (0, 1), "x0": (41.5, 46.5), "w": (0.02, 5)},
        "G. K. Wertheim, M. A. Butler, K. W. West, D. N. E. Buchanan, Rev. Sci. Instrum. 45 (1974) 1369"),
    Row("fano", "sigma ~ s0*(q + 2*(E-E0)/G)**2/(1 + (2*(E-E0)/G)**2) + sb", {"E": even(59.5, 60.8, 120)},
        {"s0": 1.4, "q": -2.5, "E0": 60.15, "G": 0.08, "sb": 0.3}, add(0.15), "",
        {"s0": (0.01, 100), "q": (-30, 30), "E0": (59.4, 60.9), "G": (5e-3, 5), "sb": (-50, 50)},
        "U. Fano, Phys. Rev. 124 (1961) 1866"),
    Row("spot_in_two_predictors", "z ~ b + a*exp(-((x-x0)**2 + (y-y0)**2)/(2*s**2))",
        {"x": crossed(SIDE, 1, 15), "y": crossed(SIDE, 15, 1)}, {"b": 20, "a": 180, "x0": 6.3, "y0": 9.1, "s": 1.8},
        counted, "b a", {"x0": (-2, 17), "y0": (-2, 17), "s": (0.3, 30)},
        "R. E. Thompson, D. R. Larson, W. W. Webb, Biophys. J. 82 (2002) 2775"),
)
PHYSICS = (
    Row("arrhenius", "k ~ A*exp(-Ea/(8.314462618*T))", {"T": even(300, 420, 13)}, {"A": 1.6e13, "Ea": 1.02e5},
        times(0.04), "A", {"Ea": (1e3, 5e5)}, "S. Arrhenius, Z. Phys. Chem. 4 (1889) 226"),
    Row("arrhenius_logarithmic", "log(k) = log(A) - E/(8.314462618*T)", {"T": even(300, 420, 13)}, {"A": 1.6e13,
        "E": 1.02e5},
        add(0.06), "E", {"A": (1, 1e30)}, "S. Arrhenius, Z. Phys. Chem. 4 (1889) 226", np.exp),
    Row("vogel", "log10(eta) ~ A + B/(T - T0)", {"T": even(750, 1400, 14)}, {"A": -1.8, "B": 4100, "T0": 520},
        add(0.02),
        "A B", {"T0": (-500, 749)}, "H. Vogel, Phys. Z. 22 (1921) 645; G. S. Fulcher, J. Am. Ceram. Soc. 8 (1925) 339",
        lambda left: 10**left),
    Row("antoine", "P ~ 10**(A - B/(C + T))", {"T": even(10, 100, 19)}, {"A": 8.07, "B": 1730, "C": 233.4},
        times(0.004), "",
        {"A": (2, 20), "B": (50, 1e4), "C": (20, 800)}, "C. Antoine, C. R. Acad. Sci. 107 (1888) 681"),
    Row("power_with_offset", "y = a*x^b + c", {"x": even(1, 50, 30)}, {"a": 2.1, "b": 0.62, "c": -4}, add(0.2), "a c",
        {"b": (-5, 5)}, "D. A. Ratkowsky, Nonlinear Regression Modeling (1983), power models"),
    Row("critical_exponent", "M ~ B*(Tc - T)**beta", {"T": even(560, 624, 25)}, {"B": 13, "Tc": 627.4, "beta": 0.36},
        add(0.3),
        "B", {"Tc": (624.01, 1500), "beta": (0.01, 5)}, "J. S. Kouvel and M. E. Fisher, Phys. Rev. 136 (1964) A1626"),
    Row("aftershocks", "rate ~ K/(day + c)^p", {"day": ratio(0.02, 300, 30)}, {"K": 180, "c": 0.15, "p": 1.1},
        times(0.1),
        "K", {"c": (1e-4, 1e3), "p": (0.05, 10)}, "F. Omori, J. Coll. Sci. Tokyo 7 (1894) 111; T. Utsu, Geophys. Mag. "
        "30 (1961) 521"),
    Row("diode", "I = Is*(exp(V/(n*0.025852)) - 1) + V/Rsh", {"V": even(0, 0.65, 27)}, {"Is": 1e-10, "n": 1.4,
        "Rsh": 4e4},
        add(2e-6), "Is", {"n": (0.3, 10), "Rsh": (1, 1e9)}, "W. Shockley, Bell Syst. Tech. J. 28 (1949) 435"),
    Row("photoinhibition", "P ~ Ps*(1 - exp(-alpha*I/Ps))*exp(-beta*I/Ps)", {"I": even(0, 1800, 25)},
        {"Ps": 8, "alpha": 0.06, "beta": 4e-3}, add(0.15), "", {"Ps": (0.1, 1e3), "alpha": (1e-4, 10),
        "beta": (1e-6, 1)},
        "T. Platt, C. L. Gallegos, W. G. Harrison, J. Mar. Res. 38 (1980) 687"),
    Row("production_function", "Y ~ A*(d*K**(-r) + (1-d)*L**(-r))**(-1/r)",
        {"K": scattered(1, 40, 60), "L": lambda g: g.uniform(1, 40, 60)}, {"A": 2.5, "d": 0.4, "r": 0.7}, times(0.03),
        "A",
        {"d": (0.01, 0.99), "r": (-0.95, 10)}, "K. J. Arrow, H. B. Chenery, B. S. Minhas, R. M. Solow, Rev. Econ. "
        "Stat. 43 (1961) 225"),
)
LINES = (
    Row("broken_line", "y ~ a + b*x + c*max(x - k, 0)", {"x": scattered(0, 20, 40)}, {"a": 3, "b": 0.8, "c": -1.5,
        "k": 11.3},
        add(0.6), "a b c", {"k": (0, 20)}, "D. J. Hudson, J. Am. Stat. Assoc. 61 (1966) 1097"),
    Row("line_broken_twice", "y ~ a + b*x + c*max(0, x-k1) + d*max(0, x-k2)", {"x": scattered(0, 60, 120)},
        {"a": 10, "b": -0.5, "c": 1.4, "d": -1.2, "k1": 18.7, "k2": 40.2}, add(0.9), "a b c d", {"k1": (0, 60),
        "k2": (0, 60)},
        "D. V. Hinkley, J. Am. Stat. Assoc. 66 (1971) 736"),
    Row("plateau", "crop ~ a + b*N if N < k else a + b*k", {"N": even(0, 250, 11, times=4)}, {"a": 4.1, "b": 0.031,
        "k": 137},
        add(0.45), "a b", {"k": (1, 260)}, "R. L. Anderson and L. A. Nelson, Biometrics 31 (1975) 303"),
)

"""The gallery's problems that are drawn with a seed, each in the style of the paper it names.

A row says the formula as a user writes it, where its columns lie, the truth, the noise, which parameters are linear,
and a box for the others, far wider than a scientist's guess. Responses are rounded to six digits, as a table prints
them. ``gallery_problems_more`` continues it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Draw = Callable[[np.random.Generator], Any]
Noise = Callable[[np.random.Generator, Any], Any]  # (generator, right values) -> measured values


@dataclass(frozen=True)
class Row:
    """One problem before it is solved."""

    name: str
    formula: str
    columns: Mapping[str, Draw]  # of the right side
    truth: Mapping[str, float]
    noise: Noise
    linear: str  # parameters that enter linearly, once the others are known
    wide: Mapping[str, tuple[float, float]]  # a box for each of the others
    source: str
    back: Callable[[Any], Any] = np.asarray  # from the left side of the formula to the column in it

    @property
    def seed(self) -> int:
        return zlib.crc32(self.name.encode())


def even(low: float, high: float, n: int, times: int = 1) -> Draw:
    return lambda g: np.repeat(np.linspace(low, high, n), times)


def ratio(low: float, high: float, n: int, times: int = 1) -> Draw:
    return lambda g: np.repeat(np.geomspace(low, high, n), times)


def scattered(low: float, high: float, n: int) -> Draw:
    return lambda g: np.sort(g.uniform(low, high, n))


def given(*values: float, times: int = 1) -> Draw:
    return lambda g: np.repeat(np.array(values, dtype=float), times)


def crossed(values: tuple[float, ...], inner: int, outer: int) -> Draw:
    """Each value ``inner`` times, all of that ``outer`` times: one column of a factorial design."""
    return lambda g: np.tile(np.repeat(np.array(values, dtype=float), inner), outer)


def add(size: float) -> Noise:
    return lambda g, y: y + size * g.standard_normal(y.shape)


def times(size: float) -> Noise:
    return lambda g, y: y * (1 + size * g.standard_normal(y.shape))


def counted(g: np.random.Generator, y: Any) -> Any:
    """Poisson."""
    return g.poisson(y).astype(float)


def shares(trials: int) -> Noise:
    return lambda g, y: g.binomial(trials, y) / trials


DOSES = tuple(float(one) for one in np.linspace(-10, -4, 9))
PHASE = (-3.2, 3.2)

# fmt: off
GROWTH = (
    Row("gompertz", "length ~ A*exp(-b*exp(-k*age))", {"age": scattered(0, 60, 20)}, {"A": 95, "b": 3.6, "k": 0.09},
        add(1.5), "A", {"b": (0.05, 200), "k": (1e-3, 3)},
        "B. Gompertz, Phil. Trans. R. Soc. 115 (1825) 513; as a growth curve C. P. Winsor, PNAS 18 (1932) 1"),
    Row("bacteria_lag", "logN ~ y0 + A*exp(-exp(mu*exp(1)/A*(lag - h) + 1))", {"h": even(0, 24, 25)},
        {"y0": 3.1, "A": 6.2, "mu": 0.9, "lag": 4.5}, add(0.12), "y0",
        {"A": (0.1, 100), "mu": (0.01, 50), "lag": (-10, 24)},
        "M. H. Zwietering et al., Appl. Environ. Microbiol. 56 (1990) 1875"),
    Row("verhulst", "N = K/(1 + (K/N0 - 1)*exp(-r*t))", {"t": even(0, 36, 19)}, {"K": 2.1e9, "N0": 3.5e6, "r": 0.42},
        times(0.04), "", {"K": (1e7, 1e12), "N0": (1e3, 1e9), "r": (0.01, 10)},
        "P.-F. Verhulst, Corresp. Math. Phys. 10 (1838) 113"),
    Row("richards", "height ~ (1 + d*exp(-k*(t - ti)))**(-1/d)*A", {"t": even(1, 40, 27)},
        {"d": 1.8, "k": 0.31, "ti": 17, "A": 690}, add(6), "A", {"d": (0.02, 50), "k": (0.01, 5), "ti": (-10, 60)},
        "F. J. Richards, J. Exp. Bot. 10 (1959) 290"),
    Row("weibull_growth", "w = alpha - beta*exp(-gamma*t**delta)", {"t": even(9, 79, 18)},
        {"alpha": 70, "beta": 62, "gamma": 2e-4, "delta": 2.3}, add(0.8), "alpha beta",
        {"gamma": (1e-9, 1), "delta": (0.2, 8)},
        "W. Weibull, J. Appl. Mech. 18 (1951) 293; as a growth curve D. A. Ratkowsky, Nonlinear Regression Modeling "
        "(1983)"),
    Row("two_waves_of_growth", "total ~ a1/(1+exp(-(year-m1)/s1)) + a2/(1+exp(-(year-m2)/s2))",
        {"year": even(1900, 2000, 51)}, {"a1": 40, "m1": 1925, "s1": 4, "a2": 70, "m2": 1968, "s2": 6}, add(1.2),
        "a1 a2",
        {"m1": (1880, 2020), "s1": (0.3, 60), "m2": (1880, 2020), "s2": (0.3, 60)},
        "P. S. Meyer, Technol. Forecast. Soc. Change 47 (1994) 89"),
    Row("fish_length", "L ~ Linf*(1 - exp(-K*(age - t0)))", {"age": even(1, 15, 15, times=3)},
        {"Linf": 78, "K": 0.21, "t0": -0.9}, add(3), "Linf", {"K": (5e-3, 10), "t0": (-30, 3)},
        "L. von Bertalanffy, Hum. Biol. 10 (1938) 181"),
)
ENZYMES = (
    Row("substrate_inhibition", "v = Vmax*S/(Km + S + S**2/Ki)", {"S": ratio(1e-7, 3e-3, 24)},
        {"Vmax": 4.2e-8, "Km": 8e-6, "Ki": 2.5e-4}, add(6e-10), "Vmax", {"Km": (1e-9, 1e-2), "Ki": (1e-9, 0.1)},
        "J. B. S. Haldane, Enzymes (1930)"),
    Row("competitive_inhibition", "rate ~ Vmax*S/(Km*(1 + I/Ki) + S)",
        {"S": crossed((2, 5, 10, 20, 50, 100), 1, 8), "I": crossed((0, 1, 3, 10), 6, 2)},
        {"Vmax": 12.5, "Km": 9, "Ki": 2.2}, add(0.25), "Vmax", {"Km": (1e-3, 1e4), "Ki": (1e-3, 1e4)},
        "L. Michaelis and M. L. Menten, Biochem. Z. 49 (1913) 333; M. Dixon, Biochem. J. 55 (1953) 170"),
    Row("tight_binding", "v ~ v0*(1 - (E + I + K - sqrt((E + I + K)^2 - 4*E*I))/(2*E))", {"I": even(0, 3e-8, 22)},
        {"v0": 0.83, "E": 5e-9, "K": 8e-10}, add(0.012), "v0", {"E": (1e-11, 1e-6), "K": (1e-13, 1e-6)},
        "J. F. Morrison, Biochim. Biophys. Acta 185 (1969) 269"),
    Row("hill_oxygen", "sat = Smax*p**n/(p50**n + p**n)", {"p": even(2, 110, 22)},
        {"Smax": 98.5, "n": 2.75, "p50": 26.6}, add(1), "Smax", {"n": (0.1, 20), "p50": (0.1, 1000)},
        "A. V. Hill, J. Physiol. 40 (1910) iv"),
    Row("allostery", "Y = (p/K*(1+p/K)**3 + L*c*p/K*(1+c*p/K)**3)/((1+p/K)**4 + L*(1+c*p/K)**4)",
        {"p": ratio(1, 200, 30)}, {"K": 4.1, "L": 9000, "c": 0.014}, add(0.006), "",
        {"K": (0.05, 500), "L": (1, 1e8), "c": (1e-5, 1)}, "J. Monod, J. Wyman, J.-P. Changeux, J. Mol. Biol. 12 "
        "(1965) 88"),
    Row("langmuir", "q = qm*K*p/(1 + K*p)", {"p": ratio(100, 1e5, 14)}, {"qm": 3.2, "K": 4.5e-5}, add(0.03), "qm",
        {"K": (1e-9, 1)}, "I. Langmuir, J. Am. Chem. Soc. 40 (1918) 1361"),
    Row("two_sites", "q ~ q1*b1*p/(1+b1*p) + q2*b2*p/(1+b2*p)", {"p": ratio(0.01, 1000, 40)},
        {"q1": 1.4, "b1": 12, "q2": 3.3, "b2": 0.035}, add(0.03), "q1 q2", {"b1": (1e-5, 1e4), "b2": (1e-5, 1e4)},
        "I. Langmuir, J. Am. Chem. Soc. 40 (1918) 1361, surfaces of several kinds"),
    Row("sips", "ads = ns*(a*P)^m/(1 + (a*P)^m)", {"P": ratio(0.5, 2000, 25)}, {"ns": 5.1, "a": 0.024, "m": 0.62},
        add(0.04), "ns", {"a": (1e-6, 1e3), "m": (0.05, 5)}, "R. Sips, J. Chem. Phys. 16 (1948) 490"),
)
DOSE = (
    Row("dose_4_logarithmic", "response ~ bottom+(top-bottom)/(1+10**((logEC50-x)*hill))",
        {"x": given(*DOSES, times=3)},
        {"bottom": 4, "top": 101, "logEC50": -7.2, "hill": 1.1}, add(4), "bottom top",
        {"logEC50": (-14, 0), "hill": (0.05, 20)},
        "A. De Lean, P. J. Munson, D. Rodbard, Am. J. Physiol. 235 (1978) E97"),
    Row("dose_4_with_zero", "od ~ d + (a - d)/(1 + (conc/c)**b)",
        {"conc": given(0, *(1e-10 * 2.5**k for k in range(10)), times=2)}, {"d": 2.1, "a": 0.06, "c": 6e-9, "b": 1.35},
        add(0.02), "d a", {"c": (1e-12, 1e-5), "b": (0.1, 20)}, "D. Rodbard, Clin. Chem. 20 (1974) 1255"),
    Row("dose_5", "mfi = d + (a - d)/(1 + (dose/c)**b)**g", {"dose": ratio(0.1, 1e5, 13, times=2)},
        {"d": 21500, "a": 60, "c": 900, "b": 1.1, "g": 0.45}, add(120), "d a",
        {"c": (1e-3, 1e8), "b": (0.05, 20), "g": (0.02, 50)},
        "P. G. Gottschalk and J. R. Dunn, Anal. Biochem. 343 (2005) 54"),
    Row("dose_biphasic", "effect ~ base + span*(frac/(1+10**(x-e1)) + (1-frac)/(1+10**(x-e2)))",
        {"x": even(-11, -3, 33)},
        {"base": 3, "span": 92, "frac": 0.42, "e1": -8.6, "e2": -5.4}, add(2), "base span",
        {"frac": (0.01, 0.99), "e1": (-13, -2), "e2": (-13, -2)},
        "D. J. Finney, Statistical Method in Biological Assay (1978)"),
    Row("probit_with_control", "killed ~ c + (1-c)*0.5*(1+erf((log10(dose)-mu)/(sd*sqrt(2))))",
        {"dose": ratio(0.5, 200, 14)}, {"c": 0.08, "mu": 1.1, "sd": 0.35}, shares(60), "c",
        {"mu": (-3, 5), "sd": (0.01, 10)},
        "C. I. Bliss, Science 79 (1934) 38; W. S. Abbott, J. Econ. Entomol. 18 (1925) 265"),
)
OSCILLATIONS = (
    Row("sine_1_period", "y ~ a*sin(2*pi*f*t + phi) + c", {"t": even(0, 9.6, 25)},
        {"a": 2.4, "f": 0.11, "phi": 0.7, "c": 5}, add(0.25), "a c", {"f": (0.01, 1.2), "phi": PHASE},
        "N. R. Lomb, Astrophys. Space Sci. 39 (1976) 447"),
    Row("sine_3_periods_on_a_trend", "y ~ b*x + a + A*sin(2*pi*x/T + phi)", {"x": even(0, 47, 48)},
        {"b": -0.11, "a": 21, "A": 2.5, "T": 14.2, "phi": -1.9}, add(0.9), "b a A", {"T": (2.1, 300), "phi": PHASE},
        "N. R. Lomb, Astrophys. Space Sci. 39 (1976) 447"),
    Row("tide_5_periods_uneven", "level = m + A*cos(2*pi*(h - h0)/P)", {"h": scattered(0, 62, 70)},
        {"m": 2.2, "A": 1.3, "h0": 3.1, "P": 12.42}, add(0.15), "m A", {"h0": (-20, 20), "P": (1.5, 300)},
        "W. Thomson (Kelvin), British Association Report (1868), harmonic analysis of tides"),
    Row("star_20_periods_uneven", "mag = c + a*sin(w*day) + b*cos(w*day)", {"day": scattered(0, 100, 300)},
        {"c": 11.3, "a": 0.2, "w": 1.249, "b": -0.22}, add(0.25), "c a b", {"w": (0.03, 19)},
        "J. D. Scargle, Astrophys. J. 263 (1982) 835"),
    Row("sine_17_periods_2000_rows", "y ~ offset + amp*sin(2*pi*freq*time + phase)", {"time": even(0, 3.998, 2000)},
        {"offset": -3, "amp": 1.2, "freq": 4.27, "phase": 2.2}, add(1), "offset amp",
        {"freq": (0.05, 249), "phase": PHASE}, "J. D. Scargle, Astrophys. J. 263 (1982) 835"),
    Row("damped_sine_12_periods", "x ~ A*exp(-t/tau)*sin(2*pi*f*t + phi) + offset", {"t": even(0, 1.99, 200)},
        {"A": 1.5, "tau": 0.6, "f": 6, "phi": -0.9, "offset": 0.1}, add(0.08), "A offset",
        {"tau": (0.01, 50), "f": (0.1, 49), "phi": PHASE},
        "G. R. de Prony, J. École Polytechnique 1(22) (1795) 24"),
    Row("free_induction_uneven", "signal ~ exp(-g*t)*(a*cos(w*t) + b*sin(w*t))", {"t": scattered(0, 4e-5, 90)},
        {"g": 5e4, "a": 0.7, "w": 1.9e6, "b": 0.4}, add(0.06), "a b", {"g": (1e3, 1e7), "w": (5e4, 7e6)},
        "E. L. Hahn, Phys. Rev. 77 (1950) 297"),
    Row("two_tones", "v ~ a1*sin(w1*t + p1) + a2*sin(w2*t + p2)", {"t": even(0, 19.9, 200)},
        {"a1": 1, "w1": 3.1, "p1": 0.4, "a2": 0.6, "w2": 3.9, "p2": -2}, add(0.2), "a1 a2",
        {"w1": (0.1, 31), "p1": PHASE, "w2": (0.1, 31), "p2": PHASE},
        "G. R. de Prony, J. École Polytechnique 1(22) (1795) 24"),
    Row("timestamps_day", "temp ~ a*sin(2*pi*(time - 1.7e9)/period + phi) + c",
        {"time": even(1.7e9, 1.7e9 + 601200, 168)},
        {"a": 6, "period": 86400, "phi": 0.4, "c": 15}, add(1), "a c", {"period": (7300, 3e6), "phi": PHASE},
        "N. R. Lomb, Astrophys. Space Sci. 39 (1976) 447"),
)
EXPONENTIALS = (
    Row("timestamps_decay", "counts ~ A*exp(-(stamp - 1.7e9)/tau) + bg", {"stamp": even(1.7e9, 1.7e9 + 3600, 121)},
        {"A": 900, "tau": 640, "bg": 40}, counted, "A bg", {"tau": (10, 1e6)},
        "E. Rutherford and F. Soddy, Phil. Mag. 4 (1902) 370"),
    Row("cooling_far_scale", "T ~ a*exp(-s/b) + c", {"s": even(0, 3060, 52)}, {"a": 100, "b": 400, "c": 20}, add(1),
        "a c",
        {"b": (1, 1e6)}, "I. Newton, Phil. Trans. 22 (1701) 824"),
    Row("two_exponentials", "y = a1*exp(-k1*t) + a2*exp(-k2*t)", {"t": even(0, 4, 60)},
        {"a1": 1.1, "k1": 0.6, "a2": 2, "k2": 3}, add(0.01), "a1 a2", {"k1": (1e-3, 200), "k2": (1e-3, 200)},
        "C. Lanczos, Applied Analysis (1956) 272"),
    Row("lifetimes_2000_rows", "photons ~ A1*exp(-t/tau1) + A2*exp(-t/tau2) + dark", {"t": even(0, 4.9975e-8, 2000)},
        {"A1": 600, "tau1": 4e-9, "A2": 2400, "tau2": 1.1e-9, "dark": 12}, counted, "A1 A2 dark",
        {"tau1": (1e-11, 1e-6), "tau2": (1e-11, 1e-6)},
        "D. V. O'Connor and D. Phillips, Time-correlated Single Photon Counting (1984)"),
    Row("three_exponentials", "conc ~ A*exp(-a*h) + B*exp(-b*h) + C*exp(-g*h)", {"h": ratio(0.02, 80, 90)},
        {"A": 50, "a": 4, "B": 25, "b": 0.5, "C": 12, "g": 0.05}, add(0.15), "A B C",
        {"a": (1e-3, 1e3), "b": (1e-3, 1e3), "g": (1e-3, 1e3)}, "C. Lanczos, Applied Analysis (1956) 272"),
    Row("absorption", "conc ~ D*ka/(ka-ke)*(exp(-ke*t)-exp(-ka*t))",
        {"t": given(0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 10, 12, 16, 24)},
        {"D": 10, "ka": 1.3, "ke": 0.16}, add(0.2), "D", {"ka": (1e-3, 100), "ke": (1e-3, 100)},
        "H. Bateman, Proc. Cambridge Phil. Soc. 15 (1910) 423"),
    Row("consecutive_reactions", "P = P0*(1 - (k2*exp(-k1*s) - k1*exp(-k2*s))/(k2 - k1))", {"s": even(0, 900, 41)},
        {"P0": 1e-3, "k1": 0.02, "k2": 6e-3}, add(8e-6), "P0", {"k1": (1e-5, 10), "k2": (1e-5, 10)},
        "H. Bateman, Proc. Cambridge Phil. Soc. 15 (1910) 423"),
    Row("stretched_exponential", "phi = A*exp(-(t/τ)**β) + c", {"t": ratio(1e-6, 100, 80)},
        {"A": 1, "τ": 3e-3, "β": 0.55, "c": 0.05}, add(0.012), "A c", {"τ": (1e-7, 1e3), "β": (0.05, 5)},
        "R. Kohlrausch, Ann. Phys. 167 (1854) 56, 179; G. Williams and D. C. Watts, Trans. Faraday Soc. 66 (1970) 80"),
    Row("inversion_recovery_magnitude", "S ~ abs(M0*(1 - b*exp(-TI/T1)))", {"TI": ratio(0.05, 6, 18)},
        {"M0": 820, "b": 1.92, "T1": 0.9}, add(9), "", {"M0": (10, 1e5), "b": (0.1, 3), "T1": (0.01, 100)},
        "J. K. Barral et al., Magn. Reson. Med. 64 (2010) 1057"),
)

"""The numbers of a fit that follow from its solution alone: the read-only names that ``Fit`` and reports share.

Formulas: r2 = 1 − rss/Σ w (y − ȳ_w)²; the criteria take a Gaussian likelihood, in which σ is estimated (and counts as a
parameter) unless sigma is known. Nothing is computed before it is asked for.
"""

from __future__ import annotations

import math

import numpy as np

from katamuki.records import Array, Solution, State


class Numbers:
    """What a fit says of itself. ``solution`` is its claim, ``weights`` (n,) the w of Σ w r², None for 1."""

    solution: Solution
    weights: Array | None

    @property
    def params(self) -> dict[str, float]:
        """Values by name, in order of first appearance; the fixed ones too. A copy: to change it changes no fit."""
        return dict(self.solution.params)

    @property
    def stderr(self) -> dict[str, float | None]:
        """Standard errors by name; None where there is none: fixed, undetermined, at a bound, no freedom. A copy."""
        return dict(self.solution.stderr)

    @property
    def free(self) -> tuple[str, ...]:
        """The names that were fitted, p of them."""
        return self.solution.free

    @property
    def covariance(self) -> Array:
        """(p, p) over the free parameters; NaN where undetermined."""
        return self.solution.covariance

    @property
    def correlation(self) -> Array:
        """(p, p) over the free parameters, no unit."""
        spread = np.sqrt(np.diag(self.covariance))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.covariance / np.outer(spread, spread))

    @property
    def loss(self) -> float:
        """Σ w r² / n, the mean squared error, unit of y squared."""
        return self.solution.loss

    @property
    def rss(self) -> float:
        """Σ w r²."""
        return self.solution.rss

    @property
    def n(self) -> int:
        """Rows."""
        return self.solution.n

    @property
    def dof(self) -> int:
        """Rows less the parameters that were free to move."""
        return self.solution.dof

    @property
    def r2(self) -> float:
        """1 − rss / Σ w (y − ȳ_w)²; NaN where y does not vary."""
        return 1.0 - self.rss / self.solution.tss if self.solution.tss > 0 else math.nan

    @property
    def _deviance(self) -> tuple[float, int]:
        """−2 log likelihood of a Gaussian, and how many parameters it has: σ is one of them unless known."""
        n, p = self.n, len(self.free)
        logs = 0.0 if self.weights is None else float(np.log(self.weights).sum())
        if self.solution.sigma_is == "known":
            return n * math.log(2 * math.pi) - logs + self.rss, p
        if self.rss <= 0.0:
            return -math.inf, p + 1
        return n * (math.log(2 * math.pi * self.rss / n) + 1) - logs, p + 1

    @property
    def aic(self) -> float:
        """−2 log L + 2k (Akaike 1974)."""
        deviance, k = self._deviance
        return deviance + 2 * k

    @property
    def aicc(self) -> float:
        """AIC + 2k(k+1)/(n − k − 1) (Hurvich & Tsai 1989); infinite where n is too small for it."""
        deviance, k = self._deviance
        left = self.n - k - 1
        return deviance + 2 * k + 2 * k * (k + 1) / left if left > 0 else math.inf

    @property
    def bic(self) -> float:
        """−2 log L + k log n (Schwarz 1978)."""
        deviance, k = self._deviance
        return deviance + k * math.log(self.n)

    @property
    def state(self) -> State:
        """How it ended: "exact", "converged", "cycle", "slow", "diverged", "not_identifiable" or "interrupted"."""
        return self.solution.state

    @property
    def solver(self) -> str:
        """The solver's name."""
        return self.solution.solver

    @property
    def response(self) -> str:
        """The text of the left side: everything is on its scale."""
        return self.solution.response

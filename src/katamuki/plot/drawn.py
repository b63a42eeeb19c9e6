"""The numbers of a picture: points, curve and band, the same for the terminal and for files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from katamuki.records import Array, Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Interval = Literal["mean", "new"]
What = Literal["fit", "surface", "steps", "stability"]


class Fitted(Protocol):
    """What a picture needs of a fit; the names are those of ``katamuki.Fit``."""

    @property
    def solution(self) -> Solution:
        """The fit's claim."""

    @property
    def columns(self) -> Mapping[str, Array]:
        """The columns that the formula reads, cleaned, (n,) each."""

    @property
    def predictors(self) -> tuple[str, ...]:
        """The columns that the right side reads."""

    @property
    def residuals(self) -> Array:
        """y − ŷ (n,), unit of y."""

    def predict(self, data: Any, interval: Any = None, level: float = 0.95) -> Any:
        """ŷ at new rows; with ``interval`` a record of value, low and high."""


class Drawn(Fitted, Protocol):
    """A fit that draws its other pictures itself, from its steps."""

    def plot(
        self,
        interval: Any = "mean",
        level: float = 0.95,
        residuals: bool = True,
        lang: str = "en",
        *,
        what: What = "fit",
        of: Sequence[str] | None = None,
        method: Any = "slice",
    ) -> Figure:
        """The figure."""


MOST = 2000  # rows that a curve is drawn through


@dataclass(frozen=True, slots=True)
class Series:
    """Points (n,), the curve (m,), and the bands that were asked for; ``x`` is ŷ where there are several predictors.

    ``fitted`` (n,) is ŷ at the points; ``name`` the predictor's, None where x is the prediction.
    """

    name: str | None
    response: str
    x: Array
    y: Array
    fitted: Array
    curve_x: Array
    curve_y: Array
    bands: dict[str, tuple[Array, Array]]


def series(
    fit: Fitted, points: int = 400, interval: Interval | None = None, level: float = 0.95, *, through_rows: bool = False
) -> Series:
    """What to draw of a fit.

    Parameters
    ----------
    fit : Fitted
        A fit of n rows.
    points : int
        How many points the curve has, evenly along x, no unit.
    interval : "mean", "new" or None
        Which band; None for none.
    level : float
        How much it should cover, no unit.
    through_rows : bool
        Give the curve a point at every row's x as well, so that a peak narrower than its even steps is seen; of many
        rows, at evenly chosen ones.

    Returns
    -------
    Series
        The points (n,), the curve (points,), or more through rows, and the band.

    Example
    -------
    >>> import katamuki as km
    >>> found = series(km.fit("y ~ a*x + b", km.datasets("tutorial")), points=3)
    >>> found.name, [round(float(one), 3) for one in found.curve_y]
    ('x', [5.0, 7.501, 10.001])
    """
    claim = fit.solution
    fitted = np.asarray(fit.predict(dict(fit.columns)), dtype=np.float64)
    if claim.response in fit.columns:  # what was observed is there even where a failed fit predicts nothing
        observed = fit.columns[claim.response]
    else:
        with np.errstate(invalid="ignore"):
            observed = fitted + np.asarray(fit.residuals)
    name = fit.predictors[0] if len(fit.predictors) == 1 else None
    if name is None:
        both = np.concatenate([fitted, observed])
        both = both[np.isfinite(both)]
        ends = np.array([both.min(initial=np.inf), both.max(initial=-np.inf)]) if len(both) else np.array([0.0, 1.0])
        return Series(None, claim.response, fitted, observed, fitted, ends, ends, {})
    x = fit.columns[name]
    # Where the data are, and no further: beyond their ends a curve may have a pole, and would set the scale of y.
    grid = np.linspace(float(x.min()), float(x.max()), points)
    if through_rows:
        at = np.unique(x)
        kept = np.linspace(0, len(at) - 1, min(len(at), MOST)).round().astype(np.int64)
        grid = np.union1d(grid, at[kept])
    bands: dict[str, tuple[Array, Array]] = {}
    if interval is not None:
        band = fit.predict({name: grid}, interval=interval, level=level)
        bands[interval] = (np.asarray(band.low), np.asarray(band.high))
    return Series(name, claim.response, x, observed, fitted, grid, np.asarray(fit.predict({name: grid})), bands)

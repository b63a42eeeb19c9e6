"""What a fit looks like: the part of ``Fit`` that hands it to :mod:`katamuki.plot`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Pictures:
    """The pictures that a fit has."""

    def plot(
        self,
        interval: Literal["mean", "new"] | None = "mean",
        level: float = 0.95,
        residuals: bool = True,
        lang: str = "en",
    ) -> Figure:
        """Data, curve, band and residuals as a matplotlib figure.

        Parameters
        ----------
        interval : "mean", "new" or None
            The band: where the curve may be, where a new observation may be, or none.
        level : float
            How much the band should cover, no unit.
        residuals : bool
            Whether the residuals y − ŷ get a panel below.
        lang : str
            The language of the labels.

        Returns
        -------
        matplotlib.figure.Figure
            Notebooks show it; ``savefig`` writes it.

        Example
        -------
        >>> import katamuki as km
        >>> len(km.fit("y ~ a*x + b", km.datasets("tutorial")).plot().axes)
        2
        """
        from katamuki import plot

        return plot.figure(cast("plot.Fitted", self), interval=interval, level=level, residuals=residuals, lang=lang)

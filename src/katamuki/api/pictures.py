"""What a fit looks like: the part of ``Fit`` that hands it and its steps to :mod:`katamuki.plot`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from katamuki.api.elsewhere import refuse_sample, refuse_unseen
from katamuki.errors import BoundsError, spoken

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from katamuki.plot import Ran
    from katamuki.records import Trace

WHAT = ("fit", "surface", "steps", "stability")
METHODS = ("slice", "profile")
MOST = 100_000_000  # rows times steps at which a picture looks at the loss of all rows


class Pictures:
    """The pictures that a fit has."""

    def plot(
        self,
        interval: Literal["mean", "new"] | None = "mean",
        level: float = 0.95,
        residuals: bool = True,
        lang: str = "en",
        *,
        what: Literal["fit", "surface", "steps", "stability"] = "fit",
        of: Sequence[str] | None = None,
        method: Literal["slice", "profile"] = "slice",
    ) -> Figure:
        """A picture of the fit or of its run as a matplotlib figure.

        ``"fit"``: data, curve, band and residuals. ``"surface"``: contours of log(L − L*) over two parameters, with the
        path of the run. ``"steps"``: loss and parameters by step. ``"stability"``: the largest eigenvalue of learning
        rate × curvature by step, with its limit. Of a run on mini-batches every loss is that of all rows.

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
        what : "fit", "surface", "steps" or "stability"
            Which picture.
        of : sequence of str, optional
            The parameters shown: one or two for a surface, any for the steps; the first free ones by default.
        method : "slice" or "profile"
            On a surface, hold the other parameters at the answer, or fit them again at each point.

        Returns
        -------
        matplotlib.figure.Figure
            Notebooks show it; ``savefig`` writes it.

        Raises
        ------
        BoundsError
            If there is no such picture, or not of this fit.

        Example
        -------
        >>> import katamuki as km
        >>> fit = km.fit("y ~ a*x + b", km.datasets("tutorial"))
        >>> len(fit.plot().axes), fit.plot(what="surface").axes[0].get_xlabel()
        (2, 'a')
        """
        from katamuki import plot

        spoken(lang)
        if what not in WHAT:
            raise BoundsError("E-USAGE", "plot.what", given=repr(what), names=", ".join(WHAT))
        if method not in METHODS:
            raise BoundsError("E-USAGE", "plot.method", given=repr(method), names=", ".join(METHODS))
        if what != "steps":
            drawn = "stream.what.drawing" if what == "fit" else "stream.what.picture"
            refuse_unseen(cast("Any", self).data, drawn)
        if what == "surface":
            return plot.surface_figure(self._ran(), of, method, lang)
        if what == "steps":
            return plot.steps_figure(self._ran(), of, lang)
        if what == "stability":
            return plot.stability_figure(self._ran(), lang)
        return plot.figure(cast("plot.Fitted", self), interval=interval, level=level, residuals=residuals, lang=lang)

    def replay_html(
        self, lang: str = "en", *, of: Sequence[str] | None = None, method: Literal["slice", "profile"] = "slice"
    ) -> str:
        """The run as one page that a browser replays without a network: a slider over its steps, pictures and numbers.

        At most 500 states of the run: geometric, with windows round what happened. Nothing is computed in the page.

        Parameters
        ----------
        lang : str
            The language of the words; the numbers do not depend on it.
        of, method
            The loss surface, as in :meth:`plot`.

        Returns
        -------
        str
            HTML, to be written to a file; the address ``file.html#step=3419`` opens that step.

        Raises
        ------
        BoundsError
            If the fit took no steps, or ``of`` names no free parameters.

        Example
        -------
        >>> import katamuki as km
        >>> fit = km.fit("y ~ a*x + b", km.datasets("tutorial"), solver="lm")
        >>> fit.replay_html().splitlines()[0]
        '<!doctype html>'
        """
        from katamuki import plot

        spoken(lang)
        if method not in METHODS:
            raise BoundsError("E-USAGE", "plot.method", given=repr(method), names=", ".join(METHODS))
        refuse_unseen(cast("Any", self).data, "stream.what.picture")
        return plot.page(self._ran(), cast("plot.Fitted", self), lang, of, method)

    def _ran(self) -> Ran:
        """The run as a picture needs it."""
        from katamuki import plot
        from katamuki.api.solving import solver_of

        fit: Any = self
        refuse_sample(fit.data, "stream.what.picture")
        kernel = fit._plan.kernel
        claim = fit.solution

        def model(params: Any, columns: Any) -> Any:
            values = [claim.params[name] for name in kernel.parameters]
            for name, value in zip(claim.free, params, strict=True):
                values[kernel.parameters.index(name)] = value
            arrays = [columns[name] for name in kernel.columns]
            return kernel.evaluate(arrays, values, len(next(iter(columns.values()))))

        marks = plot.marks_of(fit.explain().events if fit.trace is not None else ())
        trace, solver = fit.trace, solver_of(claim)
        size = getattr(solver, "batch_size", None)
        batched = size is not None and size < claim.n
        if batched:
            trace = self._of_all_rows()
        return plot.Ran(claim, trace, solver, fit._problem, kernel.graph, model, marks, batched)

    def _of_all_rows(self) -> Trace:
        """The trace of a run on batches with the losses of all rows, which are one curve."""
        from katamuki.solvers.first_order_noise import of_all_rows

        fit: Any = self
        problem = fit._problem()
        try:
            return of_all_rows(fit.trace, problem, MOST)
        finally:
            problem.close()

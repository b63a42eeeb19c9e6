"""Pictures of a fit and of its run: in a terminal by characters, in files by matplotlib, as a page to step through.

Of a fit: data, curve, band and residuals (:mod:`katamuki.plot.drawn`, ``paper``, ``braille``). Of its run: the loss
surface with the path (``surface``, ``contours``), parameters and loss by step, and the stability curve (``curves``).
Nothing is fitted here but the profile of a surface. With several predictors there is no curve to draw, and observations
stand against predictions instead.
"""

from katamuki.plot.braille import terminal
from katamuki.plot.contours import surface_figure
from katamuki.plot.curves import stability_figure, steps_figure
from katamuki.plot.drawn import Drawn, Fitted, Series, What, series
from katamuki.plot.paper import figure, save
from katamuki.plot.ran import Mark, Ran, marks_of
from katamuki.plot.replay import page
from katamuki.plot.style import write
from katamuki.plot.surface import Method

__all__ = [
    "Drawn",
    "Fitted",
    "Mark",
    "Method",
    "Ran",
    "Series",
    "What",
    "figure",
    "marks_of",
    "page",
    "save",
    "series",
    "stability_figure",
    "steps_figure",
    "surface_figure",
    "terminal",
    "write",
]

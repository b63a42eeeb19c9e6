"""Pictures of a fit: data, curve, band and residuals; in a terminal by characters, in files by matplotlib.

What is drawn comes from :mod:`katamuki.plot.drawn`; nothing is fitted here. With several predictors there is no curve
to draw, and observations stand against predictions instead.
"""

from katamuki.plot.braille import terminal
from katamuki.plot.drawn import Fitted, Series, series
from katamuki.plot.paper import figure, save

__all__ = ["Fitted", "Series", "figure", "save", "series", "terminal"]

"""Pictures of a fit: data, curve, band and residuals; in a terminal by characters, in files by matplotlib.

What is drawn comes from :mod:`katamuki.plot.series`; nothing is fitted here. With several predictors there is no curve
to draw, and observations stand against predictions instead.
"""

from katamuki.plot.figure import figure, save
from katamuki.plot.series import Fitted, Series, series
from katamuki.plot.terminal import terminal

__all__ = ["Fitted", "Series", "figure", "save", "series", "terminal"]

"""Models: a formula's text, or a plain NumPy function, as a graph; nothing is ever evaluated from text.

``parse`` reads text and ``trace`` calls a function once with graph nodes; both give a ``Model``: the text, a graph for
each side, and which names are columns and which parameters.
"""

from katamuki.formula.model import Model
from katamuki.formula.parsing import parse
from katamuki.formula.tracing import trace

__all__ = ["Model", "parse", "trace"]

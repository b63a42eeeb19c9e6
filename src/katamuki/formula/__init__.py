"""Models: a formula's text, or a plain NumPy function, as a graph; nothing is ever evaluated from text.

``parse`` reads text and ``trace`` calls a function once with graph nodes; both give a ``Model``: the text, a graph for
each side, and which names are columns and which parameters. ``quantity`` reads what is computed from fitted parameters.
"""

from katamuki.formula.model import Model
from katamuki.formula.parsing import parse
from katamuki.formula.quantity import quantity
from katamuki.formula.tracing import trace

__all__ = ["Model", "parse", "quantity", "trace"]

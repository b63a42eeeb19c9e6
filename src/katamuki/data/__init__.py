"""Where rows come from: objects in memory, files, standard input and the built-in sets, as columns of float64.

``rows`` says what there is without converting it, ``select`` converts and checks the columns that a formula uses, and
only those. Nothing is repaired in silence: what was dropped, left out or assumed stands in ``Source``. It knows no
formula and starts no database; a DuckDB relation is asked for its columns through its own methods.
"""

from katamuki.data.builtin import datasets
from katamuki.data.selection import Columns, at_once, select
from katamuki.data.sources import read, rows
from katamuki.data.table import Table

__all__ = ["Columns", "Table", "at_once", "datasets", "read", "rows", "select"]

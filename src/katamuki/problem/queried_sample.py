"""What of a query's rows comes here: as many rows as the source lets travel, or none and the means of cells of rows.

Cells are made along the formula's columns, evenly, and where a column spans decades evenly in its logarithm, too. Of a
cell with fewer than ten rows nothing is told. The search finds starting values on these means; the descent that follows
is on all rows, in the database. What the means cannot show: what changes within a cell, such as a thousand periods
along the data.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from katamuki.backends import numpy_
from katamuki.backends.sql import Rows
from katamuki.backends.sql_rows import LEAST, Axis, cells, sampled, thinned
from katamuki.backends.sql_sums import Terms
from katamuki.data.selection import Columns
from katamuki.data.sql import Queried
from katamuki.errors import DataError
from katamuki.problem import Problem
from katamuki.problem.distant import Wanted
from katamuki.problem.queried_rows import Asker, Facts
from katamuki.records import Array

CELLS = 1024  # along one column
GRID = 4096  # of several columns together
FEWEST = 4  # cells along a column
SPARE = 5  # times the least number of rows in a cell, on the average
ENOUGH = 1 << 17  # rows for means of cells
FIGURES = 10  # of a mean: what the order of a sum in the database changes is beyond them


class Sampled(NamedTuple):
    """Rows in memory, or means: a problem, and whether its rows travelled.

    ``columns`` and ``weights`` are those of the rows; or the ends of the columns' ranges, and the weight of an average
    row.
    """

    problem: Problem
    columns: Columns
    weights: Array | None
    travelled: bool


def sample_of(asker: Asker, rows: Queried, wanted: Wanted, terms: Terms, facts: Facts) -> Sampled:
    """The rows that may travel, or means."""
    if rows.sample is None:
        arrays, y, weights = _means(asker, wanted, terms, facts)
    else:
        arrays, y, weights = drawn(asker, rows.sample, wanted, facts)
    columns = [arrays[name] for name in wanted.kernel.columns]
    problem = Problem(wanted.kernel, columns, y, weights, wanted.values, wanted.free, wanted.threads)
    if rows.sample is None:
        arrays = {name: np.array(span) for name, span in facts.ranges.items()}
        weights = None if facts.weight is None else np.full(2, facts.weight)
    return Sampled(problem, Columns(arrays, facts.source, None), weights, rows.sample is not None)


def drawn(asker: Asker, count: int, wanted: Wanted, facts: Facts) -> tuple[dict[str, Array], Array, Array | None]:
    """Rows that travel: their columns by name, y, and w."""
    text, values = sampled(facts.rows, min(count, facts.n), wanted.seed, asker.dialect)
    table = np.array(asker.database.fetch(text, values), dtype=np.float64).reshape(-1, len(wanted.used))
    arrays = {name: np.ascontiguousarray(table[:, k]) for k, name in enumerate(wanted.used)}
    if not table.size or not np.isfinite(table).all():
        raise DataError("E-CHANGED", "sql.changed", before=facts.n, now=len(table))
    y = np.ascontiguousarray(numpy_.evaluate(wanted.model.lhs, arrays, {})[0])
    return arrays, y, _weights(wanted, arrays, len(table))


def _weights(wanted: Wanted, arrays: dict[str, Array], m: int) -> Array | None:
    """w of the rows here."""
    sigma, weights = wanted.sigma, wanted.weights
    if sigma is not None:
        return 1.0 / (arrays[sigma] if isinstance(sigma, str) else np.full(m, float(sigma))) ** 2
    if weights is not None:
        return arrays[weights] if isinstance(weights, str) else np.full(m, float(weights))
    return None


def axes_of(wanted: Wanted, terms: Terms, facts: Facts) -> list[Axis]:
    """The formula's columns, and how many cells along each."""
    predictors = wanted.kernel.columns
    room = facts.n // (LEAST * SPARE)
    most = CELLS if len(predictors) == 1 else GRID
    along = max(int(min(room, most) ** (1.0 / max(len(predictors), 1))), FEWEST)
    return [Axis(terms.b.leaf("column", name), *facts.ranges[name], along) for name in predictors]


def thin(asker: Asker, facts: Facts) -> Rows:
    """As many rows as are enough for means of cells: about 200,000."""
    share = 1
    while facts.n // (2 * share) >= ENOUGH:
        share *= 2
    return thinned(facts.rows, share, asker.dialect)


def _means(asker: Asker, wanted: Wanted, terms: Terms, facts: Facts) -> tuple[dict[str, Array], Array, Array | None]:
    """The means of cells, each weighing as much as its rows together, over their number in a cell on the average: so a
    loss is one of rows, what scatters within cells left out."""
    b, w = terms.b, terms.weight
    sums: list[tuple[str, int | None]] = [("AVG({})", b.leaf("column", name)) for name in wanted.used]
    sums += [("AVG({})", terms.y)] if w is None else [("SUM({})", b("mul", w, terms.y)), ("SUM({})", w)]
    axes, rows = axes_of(wanted, terms, facts), thin(asker, facts)
    made = cells(terms.graph(), rows, asker.dialect, axes, sums, asker.in_range)
    found = asker.ask(lambda in_range: made.query, {}) or []
    if not found:  # too few rows even for one cell: the search has nothing to see
        arrays = {name: np.array([sum(facts.ranges[name]) / 2.0]) for name in wanted.used}
        return arrays, np.zeros(1), np.ones(1)
    table = np.array([row[made.keys :] for row in found], dtype=np.float64)
    counts, rest = np.ascontiguousarray(table[:, 0]), _rounded(table[:, 1:])
    arrays = {name: np.ascontiguousarray(rest[:, k]) for k, name in enumerate(wanted.used)}
    each = len(counts) / counts.sum()
    if w is None:
        same = _weights(wanted, {}, 1)  # of all rows
        return arrays, np.ascontiguousarray(rest[:, -1]), counts * each * (1.0 if same is None else same[0])
    return arrays, np.ascontiguousarray(rest[:, -2] / rest[:, -1]), rest[:, -1] * each


def _rounded(table: Array) -> Array:
    """Numbers to ten figures, so that a search begins at the same place whatever the order of the sums."""
    with np.errstate(all="ignore"):
        unit = 10.0 ** (np.floor(np.log10(np.abs(table))) - FIGURES + 1)
        rounded = np.round(table / unit) * unit
    return np.asarray(np.where(np.isfinite(rounded), rounded, table))

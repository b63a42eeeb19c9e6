"""The answer check of a fit: the part of ``Fit`` that hands the claim and its rows to :mod:`katamuki.check`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from katamuki.api.fitted import Fitted
from katamuki.errors import BoundsError, DataError
from katamuki.records import Array, CheckReport

if TYPE_CHECKING:
    from katamuki.check.passing import Blocks

Draw = Callable[[int], tuple[Mapping[str, Array], Array | None]]


class Checks(Fitted):
    """The check that a fit offers. ``_blocks`` gives all rows anew where they are not in memory, ``_draw`` some."""

    _blocks: Blocks | None
    _draw: Draw | None

    def check(self, sample: int | None = None) -> CheckReport:
        """Test the claim by another route, with code that shares nothing with the fit.

        More than 100,000 rows of a nonlinear formula, and rows that are read in pieces: sums and gradient of all rows,
        the second solver on a sample. Rows that a database has: on those that may travel, else nobody can tell.

        Parameters
        ----------
        sample : int, optional
            Of rows that a database has, how many may travel for this; by default those that did for the fit.

        Returns
        -------
        CheckReport
            ``verdict`` "PASS", "FAIL" or "CANNOT TELL", with the digits that the two routes share.

        Source
        ------
        See :mod:`katamuki.check`.

        Example
        -------
        >>> import katamuki as km
        >>> km.fit("y ~ a*x + b", km.datasets("tutorial")).check().verdict
        'PASS'
        """
        from katamuki.check import judge, judge_drawn

        if self.data.queried:
            columns: Mapping[str, Array] | None = self._columns if self.data.sample else None
            weights = self.weights
            if sample is not None:
                if self._draw is None:
                    raise DataError("E-ROWS", "sql.no_connection")
                columns, weights = self._draw(sample)
            return judge_drawn(self.solution, columns, weights)
        if sample is not None:
            raise BoundsError("E-USAGE", "sql.check_sample")
        closure = self._plan.closure(self._columns, self.solution.n)
        asked = {"network": self._plan.network, "sampled": self.data.sample is not None}
        return judge(self.solution, self._columns, self.weights, closure, blocks=self._blocks, **asked)

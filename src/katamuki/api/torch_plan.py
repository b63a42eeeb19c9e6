"""A model of torch in the place of a plan: what a fit, its report and its predictions ask of a model.

The model is kept as it was asked for, and in float64 for everything that judges: error bars, residuals, predictions and
the answer check are computed in float64 whatever the steps were taken in. There is no graph; a question that needs one
is answered by an error that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from katamuki.api.plan import Plan
from katamuki.backends.torch_ import Place
from katamuki.backends.torch_.models import Model as TorchModel
from katamuki.backends.torch_.models import Module
from katamuki.backends.torch_.tables import Tables
from katamuki.formula import Model
from katamuki.graph import Builder, name_text
from katamuki.problem import Problem
from katamuki.problem.tabulated import Table, TabulatedProblem
from katamuki.records import Array, Solution


class TorchPlan(Plan):
    """A callable or a module, ready to be fitted.

    Parameters
    ----------
    torch_model : Model
        As it was given: in the numbers and on the device asked for.
    text : str
        What stands in reports where a formula would.
    target : str
        The column that it is a model of.
    device : str
        Where it computes.
    given : object
        What the user handed in: a callable; a module is copied.
    """

    def __init__(self, torch_model: TorchModel, text: str, target: str, device: str, given: object) -> None:
        side = Builder()
        left = side.graph([side.leaf("column", target)])
        names = torch_model.names
        columns = (target, *torch_model.columns)
        super().__init__(Model(text, left, None, name_text(target), columns, names), table_of(torch_model, device))
        self.torch_model = torch_model
        self.kind = "module" if torch_model.network else "function"
        self._given = given
        self.column = False  # a module gives (n, 1), which is taken as (n,)

    def is_linear(self, free: tuple[str, ...]) -> bool:
        """Nobody looks inside a torch model: it counts as nonlinear."""
        del free
        return False

    def problem(
        self,
        columns: Sequence[Array],
        y: Array,
        weights: Array | None,
        values: Mapping[str, float],
        free: Sequence[str],
        threads: int | None = None,
    ) -> Problem:
        """The problem that these rows make, in float64."""
        assert isinstance(self.kernel, Table)  # made so above
        return TabulatedProblem(self.kernel, columns, y, weights, values, free, threads)

    def fitted(self, solution: Solution) -> object:
        """The module with the fitted weights; a callable as it was given."""
        if isinstance(self.torch_model, Module):
            return self.torch_model.fitted(np.array(list(solution.params.values())))
        return self._given

    def closure(self, columns: Mapping[str, Array], n: int) -> Callable[[Array], Array]:
        """``predict(values) -> (n,)`` at all parameters, for judges that share nothing with the fit."""
        kernel = self.kernel
        tables = kernel.make([columns[name] for name in kernel.columns], n)  # type: ignore[attr-defined]

        def predict(values: Array) -> Array:
            found: Array = tables.table(np.asarray(values, np.float64), 0, n, False)[0]
            return found

        return predict


def table_of(model: TorchModel, device: str) -> Table:
    """What stands in the place of a kernel, computing in float64."""
    twin = model.at(Place("float64", device))

    def make(columns: list[Array], n: int) -> Any:
        return Tables(twin, columns, n, device)

    return Table(model.columns, model.names, model.source, make, whole=not model.alike, named=not model.network)

"""A fit as a program: the part of ``Fit`` that hands it to :mod:`katamuki.export`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from katamuki.api.elsewhere import refuse_sample, refuse_unseen
from katamuki.api.fitted import Fitted
from katamuki.errors import BackendError
from katamuki.records import Array

if TYPE_CHECKING:
    pass


class Exports(Fitted):
    """The programs that a fit can be written as."""

    def to_code(self, target: str) -> str:
        """A program that needs one library alone and prints the same numbers.

        For PyTorch it is the tutorial's program: tensors, ``requires_grad``, a loss, ``zero_grad``, ``backward``,
        ``step``. For NumPy and SciPy it holds the formula with its partial derivatives and a method that can be read.
        The data stand in the program. A NumPy program of a run is tried first, up to 50 000 steps: rules that zigzag
        magnify rounding, and where NumPy's would end at other digits the program is refused.

        Parameters
        ----------
        target : "torch", "numpy", "scipy" or "katamuki"
            The library that runs it.

        Returns
        -------
        str
            Python source; each parameter's line is its name and value, and its standard error where there is one.

        Raises
        ------
        BackendError
            If the library cannot repeat the fit: SciPy has no RMSprop, NumPy no answer where the data leave it open,
            and neither computes in float32 as PyTorch did.

        Source
        ------
        Levenberg–Marquardt as in :mod:`katamuki.export.descent`; rules as in :mod:`katamuki.solvers.first_order`.

        Example
        -------
        >>> import katamuki as km
        >>> program = km.fit("y ~ a*x + b", km.datasets("tutorial")).to_code("numpy")
        >>> exec(program)
        a 0.500091 ± 0.117906
        b 3.00009 ± 1.12475
        loss 1.25115
        """
        refuse_sample(self.data, "stream.what.export")
        from importlib.metadata import version

        from katamuki import export
        from katamuki.api.solving import solver_of

        if self._plan.model.rhs is None:
            raise BackendError("E-EXPORT", "export.torch_model")
        refuse_unseen(self.data, "stream.what.export")
        solution, model = self.solution, self._plan.model
        facts = export.Exported(
            solution=solution,
            solver=solver_of(solution),
            left=model.lhs,
            right=model.graph,
            columns=self.columns,
            weights=self.weights,
            start=solution.start or solution.params,
            version=version("katamuki"),
            seed=self.seed,
        )
        kernel = self._plan.kernel
        columns = [self.columns[name] for name in kernel.columns]
        values = np.array([solution.params[name] for name in kernel.parameters])
        places = [kernel.parameters.index(name) for name in facts.free]

        def predicted(params: Array) -> tuple[Array, Array]:
            values[places] = params
            found = kernel.evaluate(columns, values, solution.n, want=True)
            return found[0], np.ascontiguousarray(found[1:][places].T)

        return export.to_code(facts, target, predicted, self._observed)

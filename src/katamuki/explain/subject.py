"""What a story is about: a fit's claim, its trace, the solver that ran, and the model and data it ran on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from katamuki.graph import Graph
from katamuki.problem import Problem
from katamuki.problem.batches import Dealt
from katamuki.records import Array, Solution, Trace
from katamuki.solvers.pace import Paced


@dataclass(frozen=True, slots=True)
class Subject:
    """The facts behind a story.

    ``solver`` is the record of its options; ``graph`` the right side, None for a model that is no formula; ``columns``
    (n,) each; ``y`` (n,) the response as fitted; ``weights`` (n,) the w of Σ w r², None for 1; ``problem`` makes the
    problem anew, to replay or to evaluate. ``batches`` says which rows each step took, None where all; ``loss_of`` is
    the loss of a step's batch (steps from 0) at free parameters (p,), where another than the compiled kernel ran;
    ``index`` (n,) the rows' numbers in the data, from 0, where some were left out.
    """

    solution: Solution
    trace: Trace
    solver: Paced
    graph: Graph | None
    columns: Mapping[str, Array]
    y: Array
    weights: Array | None
    problem: Callable[[], Problem]
    batches: Dealt | None = None
    loss_of: Callable[[Array, int], float] | None = None
    index: NDArray[np.int64] | None = None

    @property
    def noisy(self) -> bool:
        """Whether steps took different rows: losses and gradients of its trace are of their batches."""
        return self.batches is not None and self.batches.per_epoch > 1

    @property
    def walks(self) -> bool:
        """Whether the run is a walk with a learning rate, and not the closed form or Levenberg–Marquardt."""
        return self.solver.pace != "none"

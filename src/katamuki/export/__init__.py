"""A fit as a program of its own: text for PyTorch, NumPy, SciPy or katamuki that prints the same numbers.

Programs are printed from the graph through the table of operations. A program that descends begins where the fit began;
whether its thirty lines get from there to the same answer is tried first, and where they do not the program begins at
the answer and says so. What a library cannot repeat is refused, not replaced by something else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, get_args

import numpy as np

from katamuki.errors import BackendError, BoundsError
from katamuki.export.descent import descend
from katamuki.export.fitting import katamuki_fit
from katamuki.export.least_squares import least_squares
from katamuki.export.parts import TITLES, Exported
from katamuki.export.runs import numpy_run, torch_run
from katamuki.export.trial import other_end
from katamuki.messages import Listing
from katamuki.records import Array
from katamuki.solvers.first_order import FIRST_ORDER

__all__ = ["Exported", "Target", "to_code"]

Target = Literal["torch", "numpy", "scipy", "katamuki"]
SAME = 1e-7  # of a parameter, or of a thousandth of its standard error: seven digits are shared

# f and ∂f/∂params at all free parameters that are not held: (n,) and (n, p)
Model = Callable[[Array], tuple[Array, Array]]


def to_code(facts: Exported, target: str, model: Model, y: Array) -> str:
    """The program; see ``Fit.to_code``. ``model`` and ``y`` (n,) are what its descent is tried on."""
    if target not in get_args(Target):
        raise BoundsError("E-USAGE", "export.target", given=repr(target), names=", ".join(get_args(Target)))
    if facts.solution.state in {"diverged", "interrupted"} and not facts.runs:
        raise BackendError("E-EXPORT", "export.no_answer", state=facts.solution.state)
    if target == "katamuki":
        return katamuki_fit(facts)
    if facts.solution.dtype != "float64" and target != "torch":
        raise BackendError("E-EXPORT", "export.single", dtype=facts.solution.dtype, library=TITLES[target])
    if facts.solution.state == "not_identifiable" and not facts.runs:
        raise BackendError("E-EXPORT", "export.undetermined", names=", ".join(facts.free))
    if facts.runs:
        if target == "torch":
            return torch_run(facts)
        if target == "numpy" and isinstance(facts.solver, FIRST_ORDER):
            elsewhere = other_end(facts, facts.solver, y)
            if elsewhere is not None:
                name, there = elsewhere
                here = facts.solution.params[name]
                values = {"name": name, "there": f"{there:.6g}", "here": f"{here:.6g}"}
                raise BackendError("E-EXPORT", "export.magnified", **values)
            return numpy_run(facts)
        if not facts.settled:
            solver = type(facts.solver).__name__
            raise BackendError("E-EXPORT", "export.no_solver", library=TITLES[target], solver=solver)
    elif not facts.settled:
        raise BackendError("E-EXPORT", "export.no_answer", state=facts.solution.state)
    if facts.solution.edges:
        raise BackendError("E-EXPORT", "export.edge", names=Listing([one.name for one in facts.solution.edges]))
    return least_squares(facts, target, not facts.solution.linear and _needs_answer(facts, model, y))


def _needs_answer(facts: Exported, model: Model, y: Array) -> bool:
    """Whether the short descent leads elsewhere from the fit's start; an error where it leaves the answer itself."""
    if _arrives(facts, facts.start, model, y):
        return False
    if _arrives(facts, facts.solution.params, model, y):
        return True
    raise BackendError("E-EXPORT", "export.no_descent")


def _arrives(facts: Exported, start: Mapping[str, float], model: Model, y: Array) -> bool:
    answer = np.array([facts.solution.params[name] for name in facts.free])
    errors = np.array([facts.solution.stderr[name] or 0.0 for name in facts.free])
    root = np.ones(len(y)) if facts.weights is None else np.sqrt(facts.weights)
    with np.errstate(all="ignore"):
        try:
            found = descend(model, np.array([float(start[name]) for name in facts.free]), y, root)
        except np.linalg.LinAlgError:
            return False
    return bool((np.abs(found - answer) <= SAME * np.maximum(np.abs(answer), errors / 1000)).all())

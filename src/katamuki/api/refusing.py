"""What is said of a solver that is none: a class without its options, PyTorch's own optimizers, names unknown here.

torch is recognised by the name of a module, never imported. Adafactor, Muon and SparseAdam of ``torch.optim`` are
refused by name: they are made for large matrices or for gradients that are mostly 0, and a model here has a short,
dense vector of parameters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from katamuki.api.options import shown
from katamuki.errors import BoundsError

REFUSED = {"adafactor": "Adafactor", "muon": "Muon", "sparseadam": "SparseAdam"}


def refusal(solver: object, classes: Mapping[str, type[Any]]) -> BoundsError:
    """The error for a solver that is none of ``classes`` (by name in lower case), saying what to write instead."""
    if isinstance(solver, type) and solver in classes.values():
        return BoundsError("E-USAGE", "api.solver_class", name=solver.__name__)
    name = solver.lower() if isinstance(solver, str) else _name_in_torch(solver)
    if name in REFUSED:
        return BoundsError("E-USAGE", f"api.solver_refused.{name}", name=REFUSED[name])
    if isinstance(solver, str) or name is None:
        return BoundsError("E-USAGE", "api.solver", given=shown(solver), names=", ".join(["auto", *classes]))
    if name not in classes:
        return BoundsError("E-USAGE", "api.solver_torch_other", given=shown(solver), names=", ".join(classes))
    ours = classes[name]
    options = ", ".join(f"{option}={value!r}" for option, value in _options(solver, ours).items())
    return BoundsError("E-USAGE", "api.solver_torch", name=ours.__name__, short=name, options=options)


def _name_in_torch(solver: object) -> str | None:
    """The lower-case name of the class of ``torch.optim`` that this is, or is made of; None for anything else."""
    kind = solver if isinstance(solver, type) else type(solver)
    for one in kind.__mro__:
        if one.__module__ == "torch.optim" or one.__module__.startswith("torch.optim."):
            return one.__name__.lower()
    return None


def _options(solver: object, ours: type[Any]) -> dict[str, Any]:
    """The options of an optimizer of PyTorch that ours has, too, and that are not its defaults."""
    given = {} if isinstance(solver, type) else getattr(solver, "defaults", {})
    found = {}
    for one in dataclasses.fields(ours):
        value = given.get(one.name, one.default)
        plain = value if isinstance(value, tuple) else (value,)
        if value != one.default and all(isinstance(part, (bool, int, float)) for part in plain):
            found[one.name] = value
    return found

"""katamuki (傾き, slope and gradient): fit any formula to data, see every step, check the answer.

The public names, each imported when it is first asked for, so that ``import katamuki`` costs milliseconds and
imports no NumPy. Nothing is decided here; the verbs live in ``katamuki.api``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from katamuki.api.entry import fit
    from katamuki.api.many import fit_many
    from katamuki.api.many_result import Many
    from katamuki.api.race import Race, race
    from katamuki.api.result import Fit
    from katamuki.api.saving import load
    from katamuki.api.selftest import SelfTest, selftest
    from katamuki.data import datasets, read
    from katamuki.data.sql import sql
    from katamuki.errors import (
        BackendError,
        BoundsError,
        DataError,
        FitWarning,
        FormulaError,
        KatamukiError,
        NotConverged,
    )
    from katamuki.solvers.first_order import (
        ASGD,
        SGD,
        Adadelta,
        Adagrad,
        Adam,
        Adamax,
        AdamW,
        NAdam,
        RAdam,
        RMSprop,
        Rprop,
    )
    from katamuki.solvers.lbfgs import LBFGS
    from katamuki.solvers.levenberg_marquardt import LevenbergMarquardt
    from katamuki.solvers.linear import Linear

    __version__: str

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "BackendError",
    "BoundsError",
    "DataError",
    "Fit",
    "FitWarning",
    "FormulaError",
    "KatamukiError",
    "LevenbergMarquardt",
    "Linear",
    "Many",
    "NAdam",
    "NotConverged",
    "RAdam",
    "RMSprop",
    "Race",
    "Rprop",
    "SelfTest",
    "__version__",
    "datasets",
    "fit",
    "fit_many",
    "load",
    "race",
    "read",
    "selftest",
    "sql",
]

_HOMES = {
    "fit": "katamuki.api.entry",
    "fit_many": "katamuki.api.many",
    "Many": "katamuki.api.many_result",
    "race": "katamuki.api.race",
    "Race": "katamuki.api.race",
    "selftest": "katamuki.api.selftest",
    "SelfTest": "katamuki.api.selftest",
    "load": "katamuki.api.saving",
    "Fit": "katamuki.api.result",
    "read": "katamuki.data",
    "datasets": "katamuki.data",
    "sql": "katamuki.data.sql",
    "LBFGS": "katamuki.solvers.lbfgs",
    "LevenbergMarquardt": "katamuki.solvers.levenberg_marquardt",
    "Linear": "katamuki.solvers.linear",
    "SGD": "katamuki.solvers.first_order",
    "ASGD": "katamuki.solvers.first_order",
    "Rprop": "katamuki.solvers.first_order",
    "Adagrad": "katamuki.solvers.first_order",
    "Adadelta": "katamuki.solvers.first_order",
    "RMSprop": "katamuki.solvers.first_order",
    "Adam": "katamuki.solvers.first_order",
    "AdamW": "katamuki.solvers.first_order",
    "Adamax": "katamuki.solvers.first_order",
    "NAdam": "katamuki.solvers.first_order",
    "RAdam": "katamuki.solvers.first_order",
    "KatamukiError": "katamuki.errors",
    "FormulaError": "katamuki.errors",
    "DataError": "katamuki.errors",
    "BoundsError": "katamuki.errors",
    "BackendError": "katamuki.errors",
    "NotConverged": "katamuki.errors",
    "FitWarning": "katamuki.errors",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        found: object = version("katamuki")
    elif name == "cluster":
        from importlib import import_module

        found = import_module("katamuki.cluster")
    elif name in _HOMES:
        from importlib import import_module

        found = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'katamuki' has no attribute {name!r}")
    globals()[name] = found  # the second look finds it at once
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

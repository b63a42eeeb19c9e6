"""First-order solvers: the dense ones of ``torch.optim``, with its names, defaults and rules.

The rules stand together in :mod:`katamuki.solvers.first_order.rules`, each a complete update of some ten lines with
its paper; the options of each are a frozen record. Left out: ``foreach``, ``fused``, ``capturable`` and
``differentiable``, which change no number, and ``maximize``: a fit minimises. What runs the steps stands
in :mod:`katamuki.solvers.first_order_run`, what they led to in :mod:`katamuki.solvers.first_order_diagnosis`.
"""

from __future__ import annotations

from katamuki.backends.native import call_rule as take
from katamuki.solvers.first_order.descent import ASGD, SGD, Rprop
from katamuki.solvers.first_order.moments import Adam, Adamax, AdamW, NAdam, RAdam
from katamuki.solvers.first_order.ranges import STEPS
from katamuki.solvers.first_order.scaled import Adadelta, Adagrad, RMSprop

__all__ = [
    "ASGD",
    "FIRST_ORDER",
    "SGD",
    "STEPS",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "FirstOrder",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "take",
]

FirstOrder = SGD | ASGD | Rprop | Adagrad | Adadelta | RMSprop | Adam | AdamW | Adamax | NAdam | RAdam
FIRST_ORDER: tuple[type[FirstOrder], ...] = (
    SGD,
    ASGD,
    Rprop,
    Adagrad,
    Adadelta,
    RMSprop,
    Adam,
    AdamW,
    Adamax,
    NAdam,
    RAdam,
)

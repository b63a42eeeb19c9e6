"""A model made ready for a table's column names; kept, so that a second fit of the same formula starts at once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

from katamuki import formula
from katamuki.backends.kernel import Kernel
from katamuki.formula import Model
from katamuki.graph import is_linear

KEPT = 256

_plans: OrderedDict[tuple[object, ...], Plan] = OrderedDict()
_lock = Lock()


class Plan:
    """A parsed model, its kernel, and what was found out about it."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.kernel = Kernel(model.rhs)
        self._linear: dict[tuple[str, ...], bool] = {}
        left = model.lhs.nodes[model.lhs.outputs[0]]
        self.response_column = str(left.value) if left.op == "column" else None

    def is_linear(self, free: tuple[str, ...]) -> bool:
        """Whether the model is linear in these parameters together."""
        found = self._linear.get(free)
        if found is None:
            found = self._linear[free] = is_linear(self.model.rhs, free)
        return found


def plan_for(
    model: str | Callable[..., object],
    columns: tuple[str, ...],
    params: Sequence[str] | None,
    given: tuple[str, ...],
) -> Plan:
    """The plan of a model on these columns; ``given`` names stand in start, bounds or fixed."""
    key = (model, columns, None if params is None else tuple(params), given)
    with _lock:
        plan = _plans.get(key)
        if plan is not None:
            _plans.move_to_end(key)
            return plan
    if isinstance(model, str):
        plan = Plan(formula.parse(model, columns, params=tuple(params or ()), given=given))
    else:
        plan = Plan(formula.trace(model, columns, params=params, given=given))
    with _lock:
        _plans[key] = plan
        while len(_plans) > KEPT:
            _plans.popitem(last=False)
    return plan

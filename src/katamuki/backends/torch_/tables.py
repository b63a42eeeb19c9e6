"""Values and partial derivatives of a torch model at many rows, as tables of doubles.

The Jacobian is taken by forward mode for several parameters at once (``torch.func.jvp`` under ``vmap``). Of a network
with many weights it is taken by one reverse sweep per row, many rows at once; that is right only where rows do not
depend on each other, so the first one is compared with forward mode along one direction. Where a model's operations
have no forward rule or cannot be batched, there are two reverse sweeps: Jᵀu is linear in u, and its derivative by u
along each parameter is a column of J. Sources: Griewank & Walther 2008, section 3.1; Baydin et al. 2018.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np

from katamuki.backends.torch_ import Place, library, threads
from katamuki.backends.torch_.models import Model, split, tensor
from katamuki.errors import FormulaError
from katamuki.records import Array

ROOM = 1 << 19  # rows times directions that are differentiated at once
MANY = 32  # weights from which a sweep per row is cheaper than a direction per weight
SAME = 1e-9  # of the sizes of what is added: two ways to the same slope
SEED = 20_240_229


@cache
def _load_forward_rules() -> None:
    """Have torch load its forward rules, whose own import warns of what torch itself deprecates."""
    torch = library()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.func.jvp(lambda x: x * x, (torch.ones(1),), (torch.ones(1),))


class Tables:
    """A model at the rows of some columns, in float64.

    Parameters
    ----------
    model : Model
        The model, made for float64 on the place's device.
    columns : sequence of (n,) float64
        Its input columns, in its order.
    n : int
        How many rows.
    device : str
        Where to compute.
    """

    def __init__(self, model: Model, columns: list[Array], n: int, device: str) -> None:
        self.model = model
        self.place = Place("float64", device)
        self.columns = columns
        self.n = n
        self.batched = True
        self.alone: bool | None = None  # each row's prediction depends on that row only; None: not looked at yet
        self._whole: Any = None

    def table(self, values: Array, first: int, last: int, want: bool) -> Array:
        """(1, m), or with ``want`` (1 + all parameters, m): values of rows first to last, then partial derivatives."""
        if self.place.device != "cpu":
            return self._table(values, first, last, want)
        with threads(None, last - first):
            return self._table(values, first, last, want)

    def _table(self, values: Array, first: int, last: int, want: bool) -> Array:
        torch = library()
        inputs = self._inputs(first, last)
        point = torch.from_numpy(np.array(values)).to(self.place.device)
        if not want:
            with torch.no_grad():
                found = self._predict(inputs, point, last - first)
            return np.ascontiguousarray(found.cpu().numpy())[None, :]
        value, slopes = self._both(inputs, point, last - first)
        out = np.empty((1 + len(values), last - first))
        out[0] = value.detach().cpu().numpy()
        out[1:] = slopes.detach().cpu().numpy()
        return out

    def _both(self, inputs: Any, point: Any, m: int) -> tuple[Any, Any]:
        """The value (m,) and the partials (p, m), by the cheapest way that this model allows."""
        if self.alone is None:
            self.alone = self.model.network and len(point) > MANY and self._rows_are_alone(inputs, point, m)
        if self.alone:
            both = self._by_rows(inputs, point, m)
            if both is not None:
                return both
        if self.batched:
            both = self._forward(inputs, point, m)
            if both is not None:
                return both
            self.batched = False
        return self._twice(inputs, point, m)

    def _inputs(self, first: int, last: int) -> Any:
        if (first, last) != (0, self.n):
            return self.model.inputs([tensor(one[first:last], self.place) for one in self.columns])
        if self._whole is None:
            own = not self.model.alike  # other people's functions get a copy: they may write into it
            self._whole = self.model.inputs([tensor(one, self.place, own=own) for one in self.columns])
        return self._whole

    def _predict(self, inputs: Any, point: Any, m: int) -> Any:
        found = self.model.predict(inputs, split(self.model, point))
        return found.expand(m) if found.dim() == 0 else found

    def _forward(self, inputs: Any, point: Any, m: int) -> tuple[Any, Any] | None:
        """The value (m,) and the partials (p, m), directions in batches; None where the model cannot be batched."""
        torch = library()
        _load_forward_rules()
        func = torch.func
        step = max(1, min(len(point), ROOM // m))
        unit = torch.eye(len(point), dtype=point.dtype, device=point.device)

        def along(direction: Any) -> Any:
            return func.jvp(lambda here: self._predict(inputs, here, m), (point,), (direction,))[1]

        try:
            parts = [func.vmap(along)(unit[k : k + step]) for k in range(0, len(point), step)]
            with torch.no_grad():
                return self._predict(inputs, point, m), torch.cat(parts)
        except (RuntimeError, NotImplementedError, FormulaError):
            return None

    def _by_rows(self, inputs: Any, point: Any, m: int) -> tuple[Any, Any] | None:
        """The same by a reverse sweep per row of a matrix (m, k); None where the model cannot be batched so."""
        torch = library()
        func = torch.func

        def one(here: Any, row: Any) -> Any:
            return self._predict(row.unsqueeze(0), here, 1)[0]

        try:
            step = max(1, ROOM * 8 // len(point))
            slopes = func.vmap(func.grad(one), (None, 0), chunk_size=step)(point, inputs)
            with torch.no_grad():
                return self._predict(inputs, point, m), slopes.T
        except (RuntimeError, NotImplementedError, FormulaError, ValueError):
            return None

    def _rows_are_alone(self, inputs: Any, point: Any, m: int) -> bool:
        """Whether sweeps by row give what forward mode gives for all rows together, along one direction."""
        torch = library()
        _load_forward_rules()
        both = self._by_rows(inputs, point, m)
        if both is None:
            return False
        drawn = torch.from_numpy(np.random.default_rng(SEED).standard_normal(len(point))).to(point.device)
        try:
            along = torch.func.jvp(lambda here: self._predict(inputs, here, m), (point,), (drawn,))[1]
        except (RuntimeError, NotImplementedError, FormulaError):
            return False
        size = both[1].abs().T @ drawn.abs()
        return bool((((both[1].T @ drawn) - along).abs() <= SAME * size).all())

    def _twice(self, inputs: Any, point: Any, m: int) -> tuple[Any, Any]:
        """The same by reverse sweeps: of the value, and then of the gradient by what it was multiplied with."""
        torch = library()
        here = point.clone().requires_grad_()
        value = self._predict(inputs, here, m)
        weight = torch.ones(m, dtype=point.dtype, device=point.device, requires_grad=True)
        (slope,) = torch.autograd.grad(value, here, weight, create_graph=True)
        rows = []
        for k in range(len(point)):
            (row,) = torch.autograd.grad(slope[k], weight, retain_graph=True, allow_unused=True)
            rows.append(torch.zeros_like(weight) if row is None else row)
        return value, torch.stack(rows)

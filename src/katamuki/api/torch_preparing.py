"""From a callable or an ``nn.Module`` to a problem: target, inputs, start and weights, checked once.

A callable's parameters are the names in ``start`` (numbers or arrays) and ``fixed``; a module's are its trainable
weights, whose present values are the start. Both are called once or twice at the start, to see what comes back
(:mod:`katamuki.backends.torch_.door`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from katamuki import data as sources
from katamuki.api.computing import Computing, check_range
from katamuki.api.elsewhere import elsewhere
from katamuki.api.options import shown
from katamuki.api.plan import Kind
from katamuki.api.preparing import Given, Prepared, check_totals, too_few
from katamuki.api.torch_plan import TorchPlan
from katamuki.api.values import check_labels, check_sigma, settings, weights_of
from katamuki.backends.torch_ import Place, check_place, door
from katamuki.backends.torch_.models import Function, Model, blocks_of
from katamuki.data.names import find
from katamuki.errors import BackendError, BoundsError, DataError, FormulaError
from katamuki.messages import Phrase
from katamuki.records import Array, Rows


def prepare_torch(
    model: Any,
    kind: Kind,
    data: object,
    how: Computing,
    target: object,
    inputs: object,
    given: Given,
) -> Prepared:
    """Check what ``katamuki.fit`` was given and make the problem; see the module."""
    start, bounds, fixed, params, sigma, sigma_is, weights, where, missing, threads, max_memory, *_ = given
    weighing = check_sigma(sigma, sigma_is, weights)
    if params is not None:
        raise BoundsError("E-USAGE", "torch.params")
    place = Place(how.dtype, how.device)
    check_place(place)
    rows = sources.rows(data)
    response, columns = _columns(target, inputs, rows, kind)
    here = door.module_of(model, columns, place) if kind == "module" else _function(model, columns, start, fixed)
    first = _first_values(here, start, fixed)
    said = settings(here.names, first, bounds, _elements(fixed))
    used = (response, *columns)
    for what, one in (("sigma", sigma), ("weights", weights)):
        if isinstance(one, str) and one not in used:
            used = (*used, one)
        elif one is not None:
            check_labels(what, one, data)
    if elsewhere(rows, used, max_memory) is not None:
        raise DataError("E-STREAM", "stream.in_memory", what=Phrase("stream.what.torch"))
    selected = sources.select(rows, used, where, missing)
    arrays = selected.arrays
    y, n = arrays[response], len(arrays[response])
    if n < len(said.free) and kind == "function":
        raise too_few(said.free, n)
    kept = None if selected.index is None else np.asarray(selected.index)
    alike = sigma is None and weights is None  # counting the rows of a source may cost
    w = None if alike else weights_of(sigma, weights, arrays, len(rows), kept, n)
    check_range(how, arrays)
    values = np.array([said.start[name] for name in here.names])
    inside = [arrays[name] for name in columns]
    column = door.check_model(here, inside, values, n, place)
    if how.dtype != "float64":
        _check_twin(here, inside, values, n, Place("float64", how.device))
    plan = TorchPlan(here, _text(here, model), response, how.device, model)
    plan.column = column
    problem = plan.problem(inside, y, w, said.start, said.free, threads)
    check_totals(problem, response)
    return Prepared(plan, said, weighing, used, selected, problem)


def _check_twin(here: Model, columns: list[Array], values: Array, n: int, place: Place) -> None:
    """Error bars, predictions and the check are computed in float64: the model must work there, too."""
    try:
        door.check_model(here.at(place), columns, values, n, place)
    except (FormulaError, BackendError) as error:
        raise FormulaError("E-MODEL", "torch.twin", cause=Phrase(error.key, **error.values)) from error


def _columns(target: object, inputs: object, rows: Rows, kind: Kind) -> tuple[str, tuple[str, ...]]:
    """The response's column and the input columns: by default all others, in the order of the table."""
    if target is None:
        raise BoundsError("E-USAGE", "torch.no_target", columns=", ".join(rows.names[:20]))
    if not isinstance(target, str):
        raise BoundsError("E-USAGE", "torch.target_text", given=shown(target))
    response = _found(target, rows)
    if inputs is None:
        found = tuple(name for name in rows.names if name != response)
        if not found:
            raise DataError("E-COLUMN", "torch.no_inputs", target=response)
        return response, found
    if isinstance(inputs, str) or not isinstance(inputs, Sequence) or not all(isinstance(one, str) for one in inputs):
        raise BoundsError("E-USAGE", "torch.inputs_names", given=shown(inputs))
    found = tuple(_found(one, rows) for one in inputs)
    if response in found:
        raise BoundsError("E-RESPONSE", "torch.target_input", target=response)
    if len(set(found)) < len(found):
        twice = next(one for one in found if found.count(one) > 1)
        raise BoundsError("E-USAGE", "torch.input_twice", name=twice)
    if not found and kind == "module":
        raise BoundsError("E-USAGE", "torch.inputs_names", given=shown(inputs))
    return response, found


def _found(name: str, rows: Rows) -> str:
    return rows.names[find(name, rows.names, rows.source.name)]


def _function(
    model: Callable[..., Any], columns: Sequence[str], start: Mapping[str, Any] | None, fixed: Mapping[str, Any] | None
) -> Function:
    """A callable with the parameters that ``start`` and ``fixed`` name."""
    if not start:
        raise BoundsError("E-USAGE", "torch.no_start")
    shapes: dict[str, tuple[int, ...]] = {}
    for what, given in (("start", start), ("fixed", fixed or {})):
        for name, value in given.items():
            stem = name.partition("[")[0]
            if what == "fixed" and stem != name and stem in shapes:
                continue  # an element of an array
            if name in shapes:
                raise BoundsError("E-FIXED", "api.fixed_and_start", name=name)
            shapes[name] = _array(what, name, value).shape
    clash = sorted(set(shapes) & set(columns))
    if clash:
        raise BoundsError("E-NAME", "torch.name_clash", name=clash[0])
    return Function(model, columns, blocks_of(shapes))


def _array(what: str, name: str, value: Any) -> Array:
    """A start as an array of doubles; one number has shape ()."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    try:
        found = np.asarray(value)
    except (ValueError, TypeError):
        found = np.asarray(None)
    if found.dtype.kind not in "fiu" or not np.isfinite(found).all() or found.size == 0:
        raise BoundsError("E-VALUE", "api.no_number", what=what, name=name, value=shown(value))
    return found.astype(np.float64)


def _elements(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Values by element: an array's under the names of its elements."""
    if not given:
        return None
    found: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, list | tuple | np.ndarray) or hasattr(value, "detach"):
            array = _array("start", name, value)
            (block,) = blocks_of({name: array.shape})
            found |= dict(zip(block.names(), array.reshape(-1).tolist(), strict=True))
        else:
            found[name] = value
    return found


def _first_values(here: Model, start: Mapping[str, Any] | None, fixed: Mapping[str, Any] | None) -> dict[str, Any]:
    """Where every free parameter begins, by element: a module's present weights, or what ``start`` says."""
    said, held = _elements(start) or {}, _elements(fixed) or {}
    if not here.network:
        return {name: value for name, value in said.items() if name not in held or name in (start or {})}
    present = dict(zip(here.names, here.present().tolist(), strict=True))  # type: ignore[attr-defined]
    return {name: value for name, value in present.items() if name not in held} | said


def _text(here: Model, model: Any) -> str:
    """What a report shows where a formula would stand: a name as in code, the same in every language."""
    if here.network:
        return f"torch.nn.Module {type(model).__name__}"
    name = getattr(model, "__name__", type(model).__name__)
    return f"torch {name}(columns, params)"

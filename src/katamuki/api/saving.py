"""Fits in files: the JSON object of ``--json``, and under ``"saved"`` what a report leaves out. Never pickle.

Arrays are base64 of little-endian float64 (or int64), so they come back bit for bit; NaN and infinity, which JSON
lacks, are the strings "nan", "inf" and "-inf". What is read is parsed and checked, never run: the formula goes through
the same reader as one that was typed. A file of a later format is refused, not guessed at.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
import json
import math
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, get_args

import numpy as np

from katamuki import formula, report
from katamuki.api.plan import Plan
from katamuki.api.result import Fit
from katamuki.api.solving import Solver, solver_of
from katamuki.data.names import IN_MEMORY, STANDARD_INPUT
from katamuki.errors import DataError, FormulaError
from katamuki.messages import Phrase
from katamuki.records import (
    Array,
    Combination,
    Cycle,
    Edge,
    Finding,
    Minimum,
    Reference,
    Search,
    SearchEnding,
    Solution,
    Source,
    State,
    Trace,
    Verdict,
)

FORMAT = 3  # of what stands under "saved"
EDGES: dict[str, Any] = {"edges": ()}
LACKING: dict[int, dict[str, Any]] = {1: {"search": None, **EDGES}, 2: EDGES}  # what older files lack, and stood for
KINDS = {"float64": "<f8", "int64": "<i8"}


class Damaged(Exception):  # noqa: N818  never leaves this file
    """Something in the file is not what ``save`` writes; ``args`` say where."""


def save(fit: Fit, path: str | Path) -> None:
    """Write a fit; see ``Fit.save``."""
    target = Path(path)
    if fit._plan.model.rhs is None:
        raise DataError("E-SAVED", "torch.network_not_saved" if fit._plan.network else "torch.function_not_saved")
    whole = fit.to_dict()
    whole["saved"] = {
        "format": FORMAT,
        "solution": {one.name: _plain(getattr(fit.solution, one.name)) for one in dataclasses.fields(Solution)},
        "source": _plain(fit.data),
        "seed": fit.seed,
        "index": _plain(fit.index),
        "columns": _plain(fit._columns),
        "weights": _plain(fit.weights),
        "trace": _plain(fit.trace),
        "findings": [_plain(one) for one in fit.findings],
    }
    text = json.dumps(whole, ensure_ascii=False, allow_nan=False, indent=1)
    temporary = target.parent / f".katamuki-{secrets.token_hex(8)}.json"
    try:
        with temporary.open("x", encoding="utf-8") as stream:
            stream.write(text + "\n")
        with contextlib.suppress(FileNotFoundError):
            temporary.chmod(target.stat().st_mode & 0o777)  # a file that is there keeps its rights
        temporary.replace(target)  # at once
    except OSError as problem:
        raise DataError("E-FILE", "saving.cannot_write", path=str(target), cause=problem.strerror or "") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def load(path: str | Path) -> Fit:
    """Read a fit that ``fit.save`` wrote; nothing in the file is executed.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Fit
        With the same numbers, bit for bit; it predicts, derives, draws and can be checked like the one that was saved.

    Raises
    ------
    DataError
        If the file cannot be read, is no saved fit, is damaged, or was written by a later version.

    Example
    -------
    >>> import katamuki as km, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "fit.json"
    >>> km.fit("y ~ a*x + b", km.datasets("tutorial")).save(path)
    >>> round(km.load(path).params["a"], 6)
    0.500091
    """
    place = Path(path)
    try:
        text = place.read_bytes().decode("utf-8")
        whole = json.loads(text)
    except OSError as problem:
        raise DataError("E-FILE", "saving.cannot_read", path=str(place), cause=problem.strerror or "") from None
    except (ValueError, RecursionError):
        raise DataError("E-SAVED", "saving.no_json", path=str(place)) from None
    if not isinstance(whole, dict) or not str(whole.get("schema", "")).startswith("katamuki.fit/"):
        raise DataError("E-SAVED", "saving.foreign", path=str(place))
    saved = whole.get("saved")
    if saved is None:
        raise DataError("E-SAVED", "saving.report_only", path=str(place))
    known = whole["schema"] == report.SCHEMA and isinstance(saved, dict)
    if not known or not isinstance(saved.get("format"), int) or saved["format"] > FORMAT:
        raise DataError("E-SAVED", "saving.later", path=str(place))
    try:
        return _fit(saved, whole)
    except (
        Damaged,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
        OverflowError,
        RecursionError,
    ) as problem:
        where = "formula" if isinstance(problem, FormulaError) else "".join(str(one)[:100] for one in problem.args[:1])
        raise DataError("E-SAVED", "saving.damaged", path=str(place), place=where) from None


def _plain(value: Any) -> Any:
    """A record, array or number as JSON knows it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        kind = "int64" if value.dtype.kind in "iu" else "float64"
        data = np.ascontiguousarray(value, dtype=KINDS[kind]).tobytes()
        return {"shape": list(value.shape), kind: base64.b64encode(data).decode("ascii")}
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, Phrase):
        return str(value)
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value


def _fit(saved: Mapping[str, Any], whole: Mapping[str, Any]) -> Fit:
    """The fit that a file holds, its parts checked against each other."""
    solution = _solution(LACKING.get(saved["format"], {}) | dict(saved["solution"]))
    columns = {str(name): _array(one) for name, one in saved["columns"].items()}
    weights = None if saved["weights"] is None else _array(saved["weights"])
    model = formula.parse(solution.formula, tuple(columns), params=tuple(solution.params))
    lengths = {array.shape for array in (*columns.values(), *([] if weights is None else [weights]))}
    source = _source(saved["source"])
    rows = source.sample or (solution.n if source.sample is None else next(iter(lengths), (0,))[0])
    fits = (
        lengths <= {(rows,)}
        and set(model.columns) <= set(columns)
        and set(model.parameters) == set(solution.params) >= set(solution.free)
        and solution.stderr.keys() == solution.params.keys()
        and solution.covariance.shape == (len(solution.free),) * 2
        and {one.name for one in solution.edges} <= set(solution.free)
        and solution.state in get_args(State)
        and whole["verdict"] in get_args(Verdict)
    )
    if not fits:
        _wrong("solution")
    found = () if solution.search is None else (*solution.search.minima, solution.search.given)
    if any(one is not None and one.params.keys() != solution.params.keys() for one in found):
        _wrong("search")
    p = len(solution.free)
    if solution.reference is not None and solution.reference.curvature.shape != (p, p):
        _wrong("reference")
    solver = solver_of(solution)  # refuses options that its class would not take
    shown = {name: one["value"] for name, one in whole["params"].items()}
    if shown != report.jsonable(solution.params):
        _wrong("params")  # somebody changed one of the two
    trace = None if saved["trace"] is None else _trace(saved["trace"], solution, solver)
    return Fit(
        solution=solution,
        data=source,
        trace=None if trace is None else lambda: trace,
        plan=Plan(model),
        columns=columns,
        weights=weights,
        findings=tuple(_finding(one) for one in saved["findings"]),
        verdict=whole["verdict"],
        seed=_whole(saved["seed"]),
        index=None if saved["index"] is None else _index(saved["index"], rows),
    )


def _wrong(what: str) -> NoReturn:
    raise Damaged(what)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _wrong("text")


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else _wrong("number")


def _float(value: Any) -> float:
    if isinstance(value, str) and value in ("nan", "inf", "-inf"):
        return float(value)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else _wrong("number")


def _error(value: Any) -> float | None:
    return None if value is None else _float(value)


def _numbers(value: Any, read: Callable[[Any], Any] = _float) -> dict[str, Any]:
    return {_text(name): read(one) for name, one in value.items()}


def _names(value: Any) -> tuple[str, ...]:
    return tuple(_text(one) for one in value)


def _array(value: Any, kind: str = "float64", width: int | None = None) -> Any:
    """An array from its base64; its own memory, so that it can be written to like any other."""
    shape = tuple(_whole(one) for one in value["shape"])
    try:
        data = base64.b64decode(_text(value[kind]), validate=True)
    except binascii.Error:
        _wrong("array")
    if min(shape, default=0) < 0 or math.prod(shape) * 8 != len(data) or width not in (None, *shape[1:2]):
        _wrong("array")
    return np.frombuffer(data, dtype=KINDS[kind]).astype(kind).reshape(shape)


def _index(value: Any, n: int) -> Any:
    """The numbers of the fitted rows in the source."""
    index = _array(value, "int64")
    return index if index.shape == (n,) and (np.diff(index, prepend=-1) > 0).all() else _wrong("index")


def _anything(value: Any) -> Any:
    """A fact as it was: lists become tuples, the three strings floats again."""
    if isinstance(value, list):
        return tuple(_anything(one) for one in value)
    if isinstance(value, dict):
        return {name: _anything(one) for name, one in value.items()}
    return float(value) if isinstance(value, str) and value in ("nan", "inf", "-inf") else value


def _solution(given: Mapping[str, Any]) -> Solution:
    """A solution, field by field; a field that this version does not know is not dropped in silence."""
    readers: dict[str, Callable[[Any], Any]] = dict.fromkeys(
        ("formula", "response", "state", "solver", "kind", "backend", "dtype", "device", "loss_by"), _text
    ) | dict.fromkeys(("loss", "rss", "tss", "seconds"), _float)
    readers |= dict.fromkeys(("n", "dof", "steps", "evaluations"), _whole)
    readers |= dict.fromkeys(("columns", "free", "at_bound"), _names)
    readers |= {
        "params": _numbers,
        "stderr": lambda one: _numbers(one, _error),
        "covariance": _array,
        "start": lambda one: None if one is None else _numbers(one),
        "bounds": lambda one: _numbers(one, lambda pair: (_float(pair[0]), _float(pair[1]))),
        "cycle": lambda one: None if one is None else _cycle(one),
        "reference": lambda one: None if one is None else _reference(one),
        "combinations": lambda all_: tuple(_combination(one) for one in all_),
        "search": lambda one: None if one is None else _search(one),
        "edges": lambda all_: tuple(Edge(_text(one["name"]), _text(one["part"]), _whole(one["row"])) for one in all_),
    }
    readers["zero_grad"] = lambda one: one if isinstance(one, bool) else _wrong("zero_grad")
    if set(given) != {one.name for one in dataclasses.fields(Solution)}:
        _wrong("solution")
    return Solution(**{name: readers.get(name, _anything)(one) for name, one in given.items()})


def _cycle(given: Mapping[str, Any]) -> Cycle:
    points = {name: _numbers(given[name]) for name in ("low", "high", "middle", "half_width")}
    return Cycle(since=_whole(given["since"]), **points)


def _reference(given: Mapping[str, Any]) -> Reference:
    stderr = _numbers(given["stderr"], _error)
    return Reference(_numbers(given["params"]), stderr, _float(given["loss"]), _array(given["curvature"]))


def _search(given: Mapping[str, Any]) -> Search:
    ending = given["ending"]
    return Search(
        _whole(given["starts"]),
        _whole(given["finite"]),
        _whole(given["rows"]),
        tuple(_minimum(one) for one in given["minima"]),
        ending if ending in get_args(SearchEnding) else _wrong("search"),
        None if given["given"] is None else _minimum(given["given"]),
    )


def _minimum(given: Mapping[str, Any]) -> Minimum:
    converged = given["converged"]
    return Minimum(
        _numbers(given["params"]),
        _float(given["loss"]),
        _whole(given["reached"]),
        converged if isinstance(converged, bool) else _wrong("search"),
    )


def _combination(given: Mapping[str, Any]) -> Combination:
    text = None if given["text"] is None else _text(given["text"])
    return Combination(_names(given["names"]), text, _error(given["value"]), bool(given["exact"]))


def _finding(given: Mapping[str, Any]) -> Finding:
    parameter = None if given["parameter"] is None else _text(given["parameter"])
    remedy = None if given["remedy"] is None else _text(given["remedy"])
    severity: Any = _text(given["severity"])
    return Finding(_text(given["code"]), severity, parameter, _anything(given["values"]), _text(given["text"]), remedy)


def _source(given: Mapping[str, Any]) -> Source:
    found = {name: _anything(one) for name, one in given.items()}
    _text(found["name"]), _text(found["kind"]), _whole(found["rows"])
    if found.get("sample") is not None:
        _whole(found["sample"])
    spoken = {str(one): one for one in (IN_MEMORY, STANDARD_INPUT)}
    return Source(**{**found, "name": spoken.get(found["name"], found["name"])})


def _trace(given: Mapping[str, Any], claim: Solution, solver: Solver) -> Trace:
    """A trace whose arrays have the shapes that compiled code will read at their addresses."""
    names, index = _names(given["names"]), _array(given["index"], "int64")
    rows: dict[str, Array] = {name: _array(given[name], width=len(names)) for name in ("params", "gradient", "step")}
    extra: dict[str, Array] = {_text(name): _array(one) for name, one in given["extra"].items()}
    loss, p = _array(given["loss"]), len(names)
    widths = {"scale": (p,), "accumulated": (p,), "state": (getattr(solver, "blocks", 0) * p,)}
    shapes = {"loss": loss.shape[1:]} | {name: one.shape[1:] for name, one in extra.items()}
    fits = (
        names == claim.free
        and all(len(one) == len(index) for one in (loss, *rows.values(), *extra.values()))
        and all(shape == widths.get(name, ()) for name, shape in shapes.items())
        and index.ndim == 1
        and (np.diff(index, prepend=-1) > 0).all()
    )
    if not fits:
        _wrong("trace")
    return Trace(names, index, rows["params"], loss, rows["gradient"], rows["step"], extra)

"""A step as plain dictionaries, lists and exact numbers: the object that ``Step.to_dict`` returns.

The schema is ``step.json`` beside this file. Rows are those whose numbers a step keeps; sums are over all rows. NaN
and infinity become None.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from katamuki.explain.graph.tape import Flow, Tape
from katamuki.explain.step.batch import shown
from katamuki.explain.step.record import Attempt, Equation, Helped, Step
from katamuki.explain.story.figures import lettered
from katamuki.explain.story.forward import rule_of
from katamuki.explain.story.notation import written
from katamuki.report import jsonable

SCHEMA = "katamuki.step/1"


def as_dict(step: Step) -> dict[str, Any]:
    """The step as JSON knows it.

    Example
    -------
    >>> import katamuki as km
    >>> data = {"x": [0.0, 1.0, 2.0], "y": [1.0, 3.0, 6.0]}
    >>> fit = km.fit("y ~ a*exp(b*x)", data)
    >>> found = as_dict(fit.step(1))
    >>> found["schema"], found["gradient"] == fit.step(1).gradient
    ('katamuki.step/1', True)
    """
    return {
        "schema": SCHEMA,
        "step": step.number,
        "steps": step.steps,
        "solver": {"name": step.solver, "options": jsonable(step.options)},
        "dtype": step.dtype,
        "formula": step.formula,
        "response": step.response,
        "n": step.n,
        "weighted": step.weighted,
        "free": list(step.free),
        "before": jsonable(step.before),
        "after": jsonable(step.after),
        "loss": jsonable(step.loss),
        "loss_after": jsonable(step.loss_after),
        "tape": _tape(step.tape),
        "gradient": jsonable(step.gradient),
        "left": jsonable(step.left),
        "differences": None if step.differences is None else jsonable(dataclasses.asdict(step.differences)),
        "memory": jsonable(step.memory),
        "memory_after": jsonable(step.memory_after),
        "updates": [
            {"parameter": one.parameter, "equations": [_equation(line) for line in one.equations]}
            for one in step.updates
        ],
        "attempt": None if step.attempt is None else _attempt(step.attempt),
        "iterations": [jsonable(dataclasses.asdict(one)) for one in step.iterations],
        "helped": _helped(step.helped),
        "remarks": [{"code": one.key, "values": jsonable(one.values)} for one in step.remarks],
        "batch": None if step.batch is None else jsonable(shown(step.batch)),
    }


def _tape(tape: Tape) -> dict[str, Any]:
    """Nodes in the order of evaluation; flows in the order of the backward sweep."""
    nodes = [
        {
            "name": node.name,
            "op": node.op,
            "arguments": [tape.nodes[k].name for k in node.args],
            "rule": rule_of(tape, node) or None,
            "shared": node.shared,
            "value": jsonable(node.value),
            "gradient": jsonable(node.adjoint),
        }
        for node in tape.nodes
    ]
    return {
        "rows": list(tape.rows),
        "prediction": tape.nodes[tape.prediction].name,
        "response": tape.nodes[tape.response].name,
        "error": tape.nodes[tape.error].name,
        "loss": tape.nodes[tape.loss].name,
        "nodes": nodes,
        "flows": [_flow(tape, one) for one in tape.flows],
        "sums": jsonable(tape.sums),
    }


def _flow(tape: Tape, flow: Flow) -> dict[str, Any]:
    return {
        "from": tape.nodes[flow.source].name,
        "to": tape.nodes[flow.target].name,
        "rule": written(flow.rule, spaced=True),
        "value": jsonable(flow.value),
        "sum": jsonable(flow.total),
    }


def _equation(one: Equation) -> dict[str, Any]:
    return {
        "symbol": one.symbol,
        "rule": lettered(one),
        "operands": jsonable(one.operands),
        "value": jsonable(one.value),
        "note": one.note,
    }


def _attempt(one: Attempt) -> dict[str, Any]:
    return {name.name: jsonable(getattr(one, name.name)) for name in dataclasses.fields(one)}


def _helped(one: Helped) -> dict[str, Any]:
    return {name.name: jsonable(getattr(one, name.name)) for name in dataclasses.fields(one)}

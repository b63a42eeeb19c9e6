"""The program that fits again with katamuki: the formula as typed, the data, and what was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np

from katamuki.export.batches import size_of
from katamuki.export.data import array, comment
from katamuki.export.parts import Exported, call, optimizer, say
from katamuki.records import Array

CLASSES = {"linear": "Linear", "levenbergmarquardt": "LevenbergMarquardt"}


def katamuki_fit(facts: Exported) -> str:
    """``km.fit`` with the same arguments."""
    solution = facts.solution
    wanted = {name: facts.columns[name] for name in solution.columns if name in facts.columns}
    data = [array(f"column_{k + 1}", values, "np") for k, values in enumerate(wanted.values())]
    pairs = ", ".join(f"{name!r}: column_{k + 1}" for k, name in enumerate(wanted))
    arguments: dict[str, Any] = {}
    held = {name: value for name, value in solution.params.items() if name not in solution.free}
    if solution.start is not None:
        arguments["start"] = {name: solution.start[name] for name in solution.free}
    if held:
        arguments["fixed"] = held
    if solution.bounds:
        arguments["bounds"] = {name: tuple(map(_end, pair)) for name, pair in solution.bounds.items()}
    parameters = [name for name in solution.params if name in solution.columns]
    if parameters:
        arguments["params"] = list(solution.params)
    lines = [f"{key}={value!r}" for key, value in arguments.items()]
    if facts.weights is not None:
        lines += _weighing(facts.weights, solution.sigma_is, data)
    lines.append(f"solver={_solver(facts)}")
    if facts.runs and size_of(facts) is not None:
        lines.append(f"seed={facts.seed}")
    lines += _computing(facts)
    inside = "".join(f"    {line},\n" for line in [repr(solution.formula), "data", *lines])
    imports = ["import base64", ""] if any("base64." in one for one in data) else []
    imports += ["import numpy as np", "", "import katamuki as km"]
    if solution.loss_by == "MSELoss":
        imports.insert(-1, "import torch\n")
    fit = f"fit = km.fit(\n{inside})"
    if facts.runs and not facts.settled:
        imports.insert(imports.index("import numpy as np"), "import warnings\n")
        fit = f'warnings.simplefilter("ignore", km.FitWarning)  # {say("not_minimum")}\n' + fit
    return (
        "\n\n".join(
            [
                comment(say("fitted", formula=solution.formula, version=facts.version)),
                "\n".join(imports),
                "\n".join([*data, f"data = {{{pairs}}}"]),
                fit,
                "\n".join(_print(facts)),
            ]
        )
        + "\n"
    )


def _computing(facts: Exported) -> list[str]:
    """What PyTorch computed in, where it was PyTorch: other numbers round to another end."""
    solution = facts.solution
    if solution.backend != "torch":
        return []
    lines = ["loss=torch.nn.MSELoss()"] if solution.loss_by == "MSELoss" else []
    lines += [f"backend={solution.backend!r}", f"dtype={solution.dtype!r}"]
    return lines if solution.device == "cpu" else [*lines, f"device={solution.device!r}"]


def _end(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _weighing(weights: Array, sigma_is: str | None, data: list[str]) -> list[str]:
    if sigma_is is None:
        data.append(array("weights", weights, "np"))
        return ["weights=weights"]
    data.append(array("sigma", weights**-0.5, "np"))
    return ["sigma=sigma", f"sigma_is={sigma_is!r}"]


def _solver(facts: Exported) -> str:
    if facts.runs:
        title, options = optimizer(facts)
        return call(f"km.{title}", {**options, "steps": facts.solution.options["steps"]})
    return call("km." + CLASSES[facts.solution.solver], facts.solution.options)


def _print(facts: Exported) -> list[str]:
    if facts.solution.state == "cycle":
        return [
            "cycle = fit.solution.cycle",
            "for name in fit.free:",
            "    low, high, middle = cycle.low[name], cycle.high[name], cycle.middle[name]",
            '    print(f"{name} {low:.6g} <-> {high:.6g}   middle {middle:.6g}")',
            'print(f"loss {fit.loss:.6g}")',
        ]
    return [
        "for name in fit.free:",
        '    bar = "" if fit.stderr[name] is None else f" ± {fit.stderr[name]:.6g}"',
        '    print(f"{name} {fit.params[name]:.6g}{bar}")',
        'print(f"loss {fit.loss:.6g}")',
    ] if facts.settled and not facts.runs else [
        "for name in fit.free:",
        '    print(f"{name} {fit.params[name]:.6g}")',
        'print(f"loss {fit.loss:.6g}")',
    ]  # fmt: skip

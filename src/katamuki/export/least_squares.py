"""Programs that find the least-squares answer: in closed form or by descent, with NumPy, SciPy or PyTorch.

NumPy and SciPy programs hold the partial derivatives as katamuki derived them; PyTorch's takes its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from katamuki.backends.expressions import written
from katamuki.export.data import array
from katamuki.export.descent import descend
from katamuki.export.parts import (
    TITLES,
    Exported,
    columns,
    constants,
    head,
    imports,
    indented,
    label,
    plain_names,
    printed,
    response,
    say,
    sources,
    unpacked,
    vectors,
)
from katamuki.graph import derivative

TAKEN = {
    "np", "torch", "math", "base64", "array", "optimize", "linalg", "erf", "erfc", "model", "predict", "params",
    "descend", "root", "values", "errors", "residual", "jacobian", "rss", "r", "q", "f", "slopes", "found", "names",
    "print", "zip", "range", "abs", "max", "float", "loss", "name", "value", "error", "_",
}  # fmt: skip
SOLVE = """\
{say}
for _ in range(3):
    f, slopes = model(params)
    q, r = {library}.linalg.qr(root[:, None] * slopes)
    params = params + {library}.linalg.solve(r, q.T @ (root * ({y} - f)))"""
SCIPY_SOLVE = """\
{say}
for _ in range(3):
    f, slopes = model(params)
    q, r = linalg.qr(root[:, None] * slopes, mode="economic")
    params = params + linalg.solve_triangular(r, q.T @ (root * ({y} - f)))"""
SCIPY_DESCEND = """\
found = optimize.least_squares(
    lambda params: root * (model(params)[0] - {y}),
    params,
    jac=lambda params: root[:, None] * model(params)[1],
    method="lm",
    x_scale="jac",
    ftol=1e-15,
    xtol=1e-15,
    gtol=1e-15,
)
params = found.x"""


def least_squares(facts: Exported, target: str, from_answer: bool) -> str:
    """The program for "numpy", "scipy" or "torch"."""
    library = "torch" if target == "torch" else "np"
    names = plain_names(facts, TAKEN)
    y, more = response(facts, names, "torch" if target == "torch" else "numpy")
    linear = facts.solution.linear
    method = say("closed" if linear else "descent")
    model = _torch_model(facts, names) if target == "torch" else _numpy_model(facts, names, y)
    data = [
        *vectors("".join([model, *more])),
        *columns(facts, names, library),
        *more,
        *constants(facts, names, "torch.tensor({})" if library == "torch" else "{}"),
    ]
    weights = _weights(facts, y, library)
    return (
        "\n\n".join(
            [
                head(facts, TITLES[target], method),
                "\n".join([*imports("".join([model, *data, *weights])), *_libraries(target, linear)]),
                "\n".join([*data, *weights]),
                "\n" + model + ("" if linear or target == "scipy" else "\n\n\n" + _descend(library)) + "\n",
                _answer(facts, target, y, library, from_answer),
                _print(facts, y, library),
            ]
        )
        + "\n"
    )


def _libraries(target: str, linear: bool) -> list[str]:
    """The imports of the libraries."""
    if target == "torch":
        return ["import torch", "", "torch.set_default_dtype(torch.float64)"]
    more = [] if target == "numpy" else ["from scipy import linalg" if linear else "from scipy import optimize"]
    return ["import numpy as np", *more]


def _weights(facts: Exported, y: str, library: str) -> list[str]:
    if facts.weights is None:
        return [f"root = {library}.ones_like({y})  # {say('root.none')}"]
    return [array("root", facts.weights**0.5, library) + f"  # {say('root')}"]


def _numpy_model(facts: Exported, names: Mapping[tuple[str, str], str], y: str) -> str:
    """f and ∂f/∂params as NumPy computes them."""
    graph = derivative(facts.right)
    text = written(graph, "numpy", names)
    wanted = [text.outputs[1 + graph.parameters.index(name)] for name in facts.free]
    lines = [
        f'"""{say("model")}"""',
        unpacked(facts, names),
        *text.lines,
        f"f = {text.outputs[0]}",
        f"f, *slopes = np.broadcast_arrays(f, {', '.join(wanted)}, {y})",
        "return f, np.stack(slopes[:-1], axis=1)",
    ]
    return "def model(params):\n" + indented(lines)


def _torch_model(facts: Exported, names: Mapping[tuple[str, str], str]) -> str:
    """f and its Jacobian as PyTorch computes it."""
    text = written(facts.right, "torch", names)
    y = names["column", facts.left.columns[0]]
    lines = [unpacked(facts, names), *text.lines, f"return ({text.outputs[0]}).expand({y}.shape)"]
    model = [f'"""{say("model")}"""', "return predict(params), torch.func.jacfwd(predict)(params)"]
    return "def predict(params):\n" + indented(lines) + "\n\n\ndef model(params):\n" + indented(model)


def _descend(library: str) -> str:
    (text,) = sources(descend)
    arguments = ", ".join(inspect.signature(descend).parameters)
    body = text.partition(":\n")[2]  # a program needs no types
    return f"def descend({arguments}):\n{body}".replace("xp.", library + ".")


def _answer(facts: Exported, target: str, y: str, library: str, from_answer: bool) -> str:
    make = "torch.tensor" if library == "torch" else "np.array"
    if facts.solution.linear:
        start = [0.0] * len(facts.free)
        solve = (SCIPY_SOLVE if target == "scipy" else SOLVE).format(library=library, y=y, say="# " + say("solve"))
        return f"params = {make}({start!r})\n{solve}"
    values = facts.solution.params if from_answer else facts.start
    start = [float(values[name]) for name in facts.free]
    line = f"params = {make}({start!r})" + (f"  # {say('from_answer')}" if from_answer else "")
    if target == "scipy":
        return line + "\n" + SCIPY_DESCEND.format(y=y)
    return f"{line}\nparams = descend(model, params, {y}, root)"


def _print(facts: Exported, y: str, library: str) -> str:
    solution = facts.solution
    lines = [
        "f, slopes = model(params)",
        f"residual, jacobian = root * ({y} - f), root[:, None] * slopes",
        "rss = residual @ residual",
    ]
    if printed(facts):
        variance = "1.0" if solution.sigma_is == "known" else f"rss / {solution.dof}"
        lines += [
            f"r = {library}.linalg.qr(jacobian)[1]",
            f"errors = (({library}.linalg.inv(r) ** 2).sum(1) * {variance}) ** 0.5  # {say('errors')}",
        ]
    for name in solution.free:
        if name in facts.free:
            k = facts.free.index(name)
            bar = f" ± {{errors[{k}]:.6g}}" if printed(facts) else ""
            lines.append(f'print(f"{label(name)} {{params[{k}]:.6g}}{bar}")')
        else:
            lines.append(f'print("{label(name, braces=False)} {solution.params[name]:.6g}")  # {say("at_bound")}')
    return "\n".join([*lines, f'print(f"loss {{float(rss) / {solution.n}:.6g}}")'])

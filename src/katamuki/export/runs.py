"""Programs that repeat a run of a first-order solver: PyTorch's own optimizer, or the rule itself over NumPy arrays.

For PyTorch the program is the tutorial's: tensors, a loss, ``zero_grad``, ``backward``, ``step``. For NumPy it holds
the text of the rule that katamuki compiles. The result is the state after the last step, with its own loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from katamuki.backends.expressions import Written, identifiers, tutorial_names, written
from katamuki.export.batches import NUMPY_NAMES, TORCH_NAMES, by_hand, by_loader, size_of
from katamuki.export.data import array
from katamuki.export.parts import (
    Exported,
    call,
    columns,
    constants,
    head,
    imports,
    indented,
    label,
    optimizer,
    plain_names,
    response,
    say,
    sources,
    unpacked,
    vectors,
)
from katamuki.graph import derivative
from katamuki.solvers.first_order import FIRST_ORDER

TORCH_TAKEN = {"torch", "base64", "array", "optim", "loss", "step", "closure", "earlier", "min", "max", "print"}
NUMPY_TAKEN = {
    "np", "math", "base64", "erf", "erfc", "gradient_of", "params", "earlier", "state", "options", "gradient", "step",
    "update", "fma", "w", "residual", "loss", "t", "p", "print", "min", "max", "range", "total",
}  # fmt: skip


def torch_run(facts: Exported) -> str:
    """The tutorial's program."""
    taken = TORCH_TAKEN if facts.weights is None else TORCH_TAKEN | {"Wi"}
    taken = taken if size_of(facts) is None else taken | TORCH_NAMES
    names = tutorial_names(facts.columns, facts.solution.params, taken)
    yi, more = response(facts, names, "torch")
    column = facts.left.nodes[facts.left.outputs[0]]
    wish = str(column.value).upper() if column.op == "column" and len(str(column.value)) == 1 else "prediction"
    prediction = identifiers([("prediction", "", wish)], {*names.values(), *taken})["prediction", ""]
    text = written(facts.right, "torch", names)
    title, options = optimizer(facts)
    options.pop("batch_size", None)
    tensors = [names["parameter", name] for name in facts.free]
    squares = f"({prediction} - {yi})**2"
    loss = f"({squares}).mean()" if facts.weights is None else f"(Wi*{squares}).mean()"
    if facts.solution.loss_by == "MSELoss":
        loss = f"torch.nn.functional.mse_loss({prediction}, {yi})"
    forward = [*text.lines, f"{prediction} = {text.outputs[0]}", f"loss = {loss}"]
    data = [*columns(facts, names, "torch"), *more, *constants(facts, names, "torch.tensor({})")]
    data += [] if facts.weights is None else [array("Wi", facts.weights, "torch")]
    made = [
        f"{name} = torch.tensor({float(facts.start[one])!r}, requires_grad=True)"
        for one, name in zip(facts.free, tensors, strict=True)
    ]
    made.append(f"optim = {call('torch.optim.' + title, options, '[' + ', '.join(tensors) + ']')}")
    kept = f"earlier = {', '.join(f'{name}.item()' for name in tensors)}" + ("," if len(tensors) == 1 else "")
    body = [f"if step == {facts.solution.steps - 1}:", f"    {kept}  # {say('earlier')}"] if _cycles(facts) else []
    read = [names["column", name] for name in facts.right.columns]
    dealing = by_loader(facts, [*read, yi, *([] if facts.weights is None else ["Wi"])])
    zero = ["optim.zero_grad()"] if facts.solution.zero_grad else [f"# {say('no_zero_grad')}"]
    if title == "LBFGS":
        closure = [*zero, *forward, "loss.backward()", "return loss"]
        loop = "def closure():\n" + indented(closure) + "\n\n\n"
        body.append("optim.step(closure)")
    else:
        loop = ""
        body += [*dealing.inside, *forward, *zero, "loss.backward()", "optim.step()"]
    loop += f"for step in range({facts.solution.steps}):\n" + indented(body)
    values = {name: f"{tensor}.item()" for name, tensor in zip(facts.free, tensors, strict=True)}
    return (
        "\n\n".join(
            [
                head(facts, "PyTorch", _run(title, facts)),
                "\n".join([*imports("".join([*data, *dealing.before])), "import torch"]),
                "\n".join(_defaults(facts)),
                "\n".join(data),
                "\n".join([*made, *dealing.before]),
                loop,
                "\n".join([*dealing.after, *forward, *_print(facts, values, "loss.item()")]),
            ]
        )
        + "\n"
    )


def _run(title: str, facts: Exported) -> str:
    """The run in words."""
    steps = facts.solution.steps
    return say("run.one" if steps == 1 else "run", solver=title, steps=steps)


def _defaults(facts: Exported) -> list[str]:
    """What PyTorch computes in, and on."""
    lines = [f"torch.set_default_dtype(torch.{facts.solution.dtype})"]
    device = facts.solution.device
    return lines if device == "cpu" else [*lines, f"torch.set_default_device({device!r})"]


def numpy_run(facts: Exported) -> str:
    """The rule, step by step, over NumPy arrays."""
    batched = size_of(facts) is not None
    names = plain_names(facts, NUMPY_TAKEN | NUMPY_NAMES if batched else NUMPY_TAKEN)
    y, more = response(facts, names, "numpy")
    solver = facts.solver
    assert isinstance(solver, FIRST_ORDER)  # by to_code()
    graph = derivative(facts.right)
    text = written(graph, "numpy", names)
    w = "" if facts.weights is None else "w * "
    data = [*columns(facts, names, "np"), *more, *constants(facts, names)]
    data += [] if facts.weights is None else [array("w", facts.weights, "np")]
    options = repr([float(one) for one in solver.packed()])
    packed = ", ".join(one for one in facts.solution.options if one not in {"steps", "batch_size"})
    start = repr([float(facts.start[name]) for name in facts.free])
    rule = "\n\n\n".join(sources(solver.update))
    kept = [f"if step == {facts.solution.steps}:", f"    earlier = params.copy()  # {say('earlier')}"]
    fresh, dealing = facts.solution.zero_grad, by_hand(facts)
    read = [names["column", name] for name in facts.right.columns]
    read = [*read, y, *([] if facts.weights is None else ["w"])] if batched else []
    call = f"gradient_of({', '.join(['params', *(f'{one}[batch]' for one in read)])})"
    body = [
        *(kept if _cycles(facts) else []),
        *dealing.inside,
        f"loss, gradient = {call}" if fresh else f"loss, fresh = {call}",
        *([] if fresh else [f"gradient = gradient + fresh  # {say('no_zero_grad')}"]),
        f"{solver.update.__name__}(params, gradient, state, options, {len(facts.free)}, float(step))",
    ]
    model = _gradient(facts, names, text, y, w, graph.parameters, read)
    data = [*vectors("".join([model, *more])), *data]
    values = {name: f"params[{k}]" for k, name in enumerate(facts.free)}
    title = type(solver).__name__
    return (
        "\n\n".join(
            [
                head(facts, "NumPy", _run(title, facts)),
                "\n".join([*imports("".join([*data, model, rule])), "import numpy as np"]),
                "\n".join([*data, *dealing.before]),
                "\n" + model + "\n\n\n" + rule + "\n",
                "\n".join(
                    [
                        f"params = np.array({start})",
                        *([] if fresh else ["gradient = np.zeros_like(params)"]),
                        f"options = {options}  # {packed}",
                        f"state = np.zeros({solver.blocks * len(facts.free)})",
                        f"for step in range(1, {facts.solution.steps + 1}):",
                        indented(body),
                    ]
                ),
                "\n".join(
                    [f"loss, gradient = gradient_of({', '.join(['params', *read])})", *_print(facts, values, "loss")]
                ),
            ]
        )
        + "\n"
    )


def _gradient(
    facts: Exported,
    names: Mapping[tuple[str, str], str],
    text: Written,
    y: str,
    w: str,
    order: tuple[str, ...],
    read: Sequence[str],
) -> str:
    """The function of the loss and its gradient; ``order`` names the parameters of the text's partial derivatives.

    ``read`` are the arrays that are handed to it, where a step takes some rows of them.
    """
    slopes = [text.outputs[1 + order.index(name)] for name in facts.free]
    sums = ", ".join(f"({w}residual * ({one})).sum()" for one in slopes)
    lines = [
        f'"""{say("gradient")}"""',
        unpacked(facts, names),
        *text.lines,
        f"residual = {y} - ({text.outputs[0]})",
        f"return ({w}residual**2).mean(), -2 / {f'len({y})' if read else facts.solution.n} * np.array([{sums}])",
    ]
    return f"def gradient_of({', '.join(['params', *read])}):\n" + indented(lines)


def _cycles(facts: Exported) -> bool:
    return facts.solution.state == "cycle" and facts.solution.steps > 1


def _print(facts: Exported, values: Mapping[str, str], loss: str) -> list[str]:
    """A line for each parameter; for a cycle both points, the smaller first, and their middle."""
    lines = []
    for k, (name, value) in enumerate(values.items()):
        if _cycles(facts):
            pair = f"low, high = sorted([earlier[{k}], {value}])"
            shown = f'print(f"{label(name)} {{low:.6g}} <-> {{high:.6g}}   middle {{(low + high) / 2:.6g}}")'
            lines += [pair, shown]
        else:
            lines.append(f'print(f"{label(name)} {{{value}:.6g}}")')
    return [*lines, f'print(f"loss {{{loss}:.6g}}")']

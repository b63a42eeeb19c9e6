"""The arithmetic of first-order solvers, one equation per line, with the numbers of one step in it.

The values come from the solver's own rule (:mod:`katamuki.solvers.first_order`): its memory before the step, and after
it. The equations say in algebra what the rule did; tests hold each to the rule's numbers. Letters are the names of the
memory's blocks: v, m, u, buffer, sum, …; the parameter is called p and its gradient ∂L/∂p, whatever the user calls
them, so that no name of a formula stands for an option.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from katamuki.explain.step.record import Equation, Update
from katamuki.records import Array

ONE_LR = 1e-3  # a step is "one whole lr" to this share
ROUNDED = 2.0  # spacings of the parameter's numbers: how far subtraction may take a step from its rule


@dataclass(frozen=True, slots=True)
class Moved:
    """One parameter at one step: its name, value, the gradient that the rule saw, and the rule's memory.

    ``step`` is what was subtracted, by the rule's own numbers, after decoupled weight decay; ``t`` counts from 1.
    """

    name: str
    value: float
    gradient: float
    before: Mapping[str, float]
    after: Mapping[str, float]
    options: Mapping[str, Any]
    t: int
    step: float

    def option(self, name: str) -> float:
        """An option as a number."""
        return float(self.options[name])


Lines = list[Equation]
Maker = Callable[[Moved], Lines]


def equation(symbol: str, rule: str, value: float, /, **operands: float) -> Equation:
    """An equation; ``one_less_x`` among the operands is the name "1 − x", ``bar_x`` is "x'" and ``x_now`` is "x"."""
    names = {key: _spelled(key) for key in operands}
    for key, name in names.items():
        rule = rule.replace("{" + key + "}", "{" + name + "}")
    return Equation(symbol, rule, {names[key]: float(one) for key, one in operands.items()}, float(value))


def _spelled(key: str) -> str:
    if key.startswith("one_less_"):
        return "1 − " + key.removeprefix("one_less_")
    return key.removeprefix("bar_") + "'" if key.startswith("bar_") else key


def subtracted(at: Moved, rule: str, value: float, /, **operands: float) -> Equation:
    """The equation of the step; ``value`` is what the rule gives, ``at.step`` what is left of it after subtraction.

    They differ by the rounding of the parameter. A step that is lost in it, and moves nothing, is noted.
    """
    lost = at.step == 0.0 != value
    near = abs(value - at.step) <= ROUNDED * float(np.spacing(max(abs(at.value), abs(at.value - at.step))))
    one = equation("step", rule, value if near else at.step, **operands)
    return Equation(one.symbol, one.rule, one.operands, one.value, "lost" if lost and near else None)


def over(top: float, under: float) -> float:
    """A quotient; NaN where the divisor is 0."""
    return top / under if under else math.nan


def gradient_of(at: Moved, lines: Lines) -> float:
    """The gradient that the rule goes on with: with weight decay, another line."""
    decay = float(at.options.get("weight_decay", 0.0))
    if decay == 0.0 or at.options.get("decoupled_weight_decay"):
        return at.gradient
    g = at.gradient + decay * at.value
    operands = {"∂L/∂p": at.gradient, "weight_decay": decay, "p": at.value}
    lines.append(equation("g", "{∂L/∂p} + {weight_decay}·{p}", g, **operands))
    return g


def kept(at: Moved, lines: Lines) -> None:
    """Decoupled weight decay: what is left of the parameter before the step is subtracted."""
    decay, lr = at.option("weight_decay"), at.option("lr")
    value = at.value * (1.0 - lr * decay)
    lines.append(equation("kept", "{p}·(1 − {lr}·{weight_decay})", value, p=at.value, lr=lr, weight_decay=decay))


def sgd(at: Moved) -> Lines:
    """Gradient descent, with momentum and Nesterov's look ahead."""
    lines: Lines = []
    g, lr, momentum, dampening = gradient_of(at, lines), at.option("lr"), at.option("momentum"), at.option("dampening")
    if momentum == 0.0:
        return [*lines, subtracted(at, "{lr} · {g}", lr * g, lr=lr, g=g)]
    before, buffer = at.before["buffer"], at.after["buffer"]
    if at.t == 1:
        lines.append(equation("buffer", "{g}", buffer, g=g))
    elif dampening == 0.0:
        lines.append(equation("buffer", "{momentum}·{buffer} + {g}", buffer, momentum=momentum, buffer=before, g=g))
    else:
        lines.append(
            equation(
                "buffer",
                "{momentum}·{buffer} + {one_less_dampening}·{g}",
                buffer,
                momentum=momentum,
                buffer=before,
                one_less_dampening=1.0 - dampening,
                g=g,
            )
        )
    if at.options.get("nesterov"):
        ahead = g + momentum * buffer
        lines.append(equation("ahead", "{g} + {momentum}·{buffer}", ahead, g=g, momentum=momentum, buffer=buffer))
        return [*lines, subtracted(at, "{lr} · {ahead}", lr * ahead, lr=lr, ahead=ahead)]
    return [*lines, subtracted(at, "{lr} · {buffer}", lr * buffer, lr=lr, buffer=buffer)]


def asgd(at: Moved) -> Lines:
    """Averaged descent: a rate that falls, a pull towards 0, and the average of the points beside it."""
    lines: Lines = []
    g, lr, lambd, alpha, t = gradient_of(at, lines), at.option("lr"), at.option("lambd"), at.option("alpha"), at.t
    eta = lr / (1.0 + lambd * lr * (t - 1)) ** alpha
    operands = {"lr": lr, "lambd": lambd, "t − 1": t - 1.0, "alpha": alpha}
    lines.append(equation("eta", "{lr} / (1 + {lambd}·{lr}·{t − 1})^{alpha}", eta, **operands))
    value = eta * g + lambd * eta * at.value
    operands = {"eta": eta, "g": g, "lambd": lambd, "p": at.value}
    lines.append(subtracted(at, "{eta} · {g} + {lambd}·{eta}·{p}", value, **operands))
    share = 1.0 / max(1.0, t - 1.0 - at.option("t0"))
    operands, rule = {"p": at.value, "step": lines[-1].value}, "{p} − {step}"
    if share != 1.0:
        operands |= {"average": at.before["average"], "share": share}
        rule = "{average} + ({p} − {step} − {average})·{share}"
    return [*lines, equation("average", rule, at.after["average"], **operands)]


def rprop(at: Moved) -> Lines:
    """Steps by the sign of the gradient alone, longer while it stays, shorter where it turned."""
    previous, size, g = at.before["previous"], at.after["size"], at.gradient
    shrink, grow = at.options["etas"]
    smallest, largest = at.options["step_sizes"]
    agreed = g * previous
    factor = grow if agreed > 0.0 else shrink if agreed < 0.0 else 1.0
    before = at.option("lr") if at.t == 1 else at.before["size"]
    lines: Lines = []
    if at.t > 1:
        lines.append(equation("agree", "{g}·{previous}", agreed, g=g, previous=previous))
    name = "lr" if at.t == 1 else "size"
    rule, operands = f"{{{name}}}", {name: before}
    if factor != 1.0:
        rule, operands = f"{{{name}}}·{{eta}}", {name: before, "eta": factor}
    raw = before * factor
    if raw > largest:
        rule, operands = f"min({rule}, {{largest}})", {**operands, "largest": largest}
    elif raw < smallest:
        rule, operands = f"max({rule}, {{smallest}})", {**operands, "smallest": smallest}
    lines.append(Equation("size", rule, operands, size, None))
    if agreed < 0.0:
        return [*lines, Equation("step", "0", {}, at.step, "turned")]
    return [*lines, subtracted(at, "{size}·sign({g})", size * float(np.sign(g)), size=size, g=g)]


def adagrad(at: Moved) -> Lines:
    """Each gradient divided by the root of all its squares so far."""
    lines: Lines = []
    g, lr, decay = gradient_of(at, lines), at.option("lr"), at.option("lr_decay")
    before = at.option("initial_accumulator_value") if at.t == 1 else at.before["sum"]
    total = at.after["sum"]
    lines.append(equation("sum", "{sum} + {g}²", total, sum=before, g=g))
    rate, name = lr, "lr"
    if decay != 0.0 and at.t > 1:
        rate, name = lr / (1.0 + (at.t - 1) * decay), "rate"
        operands = {"lr": lr, "t − 1": float(at.t - 1), "lr_decay": decay}
        lines.append(Equation("rate", "{lr} / (1 + {t − 1}·{lr_decay})", operands, rate, None))
    eps = at.option("eps")
    value = over(rate * g, math.sqrt(total) + eps)
    rule = f"{{{name}}} · {{g}} / (√{{sum}} + {{eps}})"
    return [*lines, subtracted(at, rule, value, **{name: rate}, g=g, sum=total, eps=eps)]


def adadelta(at: Moved) -> Lines:
    """Each gradient divided by its recent size and multiplied by that of recent moves."""
    lines: Lines = []
    g, lr, rho, eps = gradient_of(at, lines), at.option("lr"), at.option("rho"), at.option("eps")
    v, delta = at.after["v"], at.before["delta"]
    lines.append(
        equation("v", "{rho}·{v} + {one_less_rho}·{g}²", v, rho=rho, v=at.before["v"], one_less_rho=1.0 - rho, g=g)
    )
    move = float(np.sqrt(delta + eps) / np.sqrt(v + eps) * g)
    lines.append(equation("move", "√({delta} + {eps}) / √({v} + {eps}) · {g}", move, delta=delta, eps=eps, v=v, g=g))
    lines.append(
        equation(
            "delta",
            "{rho}·{delta} + {one_less_rho}·{move}²",
            at.after["delta"],
            rho=rho,
            delta=delta,
            one_less_rho=1.0 - rho,
            move=move,
        )
    )
    return [*lines, subtracted(at, "{lr} · {move}", lr * move, lr=lr, move=move)]


def rmsprop(at: Moved) -> Lines:
    """Each gradient divided by its own recent size."""
    lines: Lines = []
    g, lr, alpha, momentum = gradient_of(at, lines), at.option("lr"), at.option("alpha"), at.option("momentum")
    square, under = at.after["v"], "v"
    operands = {"alpha": alpha, "v": at.before["v"], "one_less_alpha": 1.0 - alpha, "g": g}
    lines.append(equation("v", "{alpha}·{v} + {one_less_alpha}·{g}²", square, **operands))
    if at.options.get("centered"):
        mean, under = at.after["mean"], "spread"
        operands = {"alpha": alpha, "mean": at.before["mean"], "one_less_alpha": 1.0 - alpha, "g": g}
        lines.append(equation("mean", "{alpha}·{mean} + {one_less_alpha}·{g}", mean, **operands))
        lines.append(equation("spread", "{v} − {mean}²", square - mean * mean, v=square, mean=mean))
        square -= mean * mean
    eps, rule = at.option("eps"), "{g} / (√{" + under + "} + {eps})"
    operands = {"g": g, under: square, "eps": eps}
    if momentum == 0.0:
        value = over(lr * g, math.sqrt(max(square, 0.0)) + eps)
        return [*lines, _measured(at, subtracted(at, "{lr} · " + rule, value, lr=lr, **operands))]
    before, buffer = at.before["buffer"], at.after["buffer"]
    lines.append(
        equation("buffer", "{momentum}·{buffer} + " + rule, buffer, momentum=momentum, buffer=before, **operands)
    )
    return [*lines, subtracted(at, "{lr} · {buffer}", lr * buffer, lr=lr, buffer=buffer)]


def _measured(at: Moved, step: Equation) -> Equation:
    """The equation of a step, with a note where it is one whole lr long."""
    lr = at.option("lr")
    if at.t > 1 and abs(abs(step.value) - lr) <= ONE_LR * lr:
        return Equation(step.symbol, step.rule, step.operands, step.value, "one_lr")
    return step


def update_of(solver: str, at: Moved, makers: Mapping[str, Maker], names: Collection[str]) -> Update:
    """The equations of one parameter; a symbol that is also the name of a parameter or column gets underscores."""
    lines = makers[solver](at)
    taken = {*names, at.name}
    spelled = {one.symbol: _free(one.symbol, taken) for one in lines}
    if taken.isdisjoint(spelled):
        return Update(at.name, tuple(lines))
    return Update(at.name, tuple(_renamed(one, spelled) for one in lines))


def _free(symbol: str, taken: Collection[str]) -> str:
    while symbol in taken:
        symbol += "_"
    return symbol


def _renamed(one: Equation, spelled: Mapping[str, str]) -> Equation:
    rule, operands = one.rule, {}
    for name, value in one.operands.items():
        said = spelled.get(name, name)
        rule = rule.replace("{" + name + "}", "{" + said + "}")
        operands[said] = value
    return Equation(spelled[one.symbol], rule, operands, one.value, one.note)


def blocks_of(memory: tuple[str, ...], state: Array, free: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """A rule's memory (blocks·p,) by block and parameter."""
    by_block = np.asarray(state).reshape(len(memory), len(free)).tolist()
    return {block: dict(zip(free, row, strict=True)) for block, row in zip(memory, by_block, strict=True)}

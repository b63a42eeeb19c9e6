"""The arithmetic of Adam and its kin, one equation per line; see :mod:`katamuki.explain.step.updates`."""

from __future__ import annotations

import math

from katamuki.explain.step.record import Equation
from katamuki.explain.step.updates import (
    Lines,
    Maker,
    Moved,
    adadelta,
    adagrad,
    asgd,
    equation,
    gradient_of,
    kept,
    over,
    rmsprop,
    rprop,
    sgd,
    subtracted,
)
from katamuki.solvers.first_order import FirstOrder
from katamuki.solvers.first_order_stability import pull


def _moments(at: Moved, lines: Lines, g: float) -> None:
    """m ← β₁m + (1 − β₁)g and v ← β₂v + (1 − β₂)g²."""
    beta1, beta2 = at.options["betas"]
    lines.append(
        equation(
            "m",
            "{beta1}·{m} + {one_less_beta1}·{g}",
            at.after["m"],
            beta1=beta1,
            m=at.before["m"],
            one_less_beta1=1.0 - beta1,
            g=g,
        )
    )
    if "v" in at.after:
        lines.append(
            equation(
                "v",
                "{beta2}·{v} + {one_less_beta2}·{g}²",
                at.after["v"],
                beta2=beta2,
                v=at.before["v"],
                one_less_beta2=1.0 - beta2,
                g=g,
            )
        )


def _begin(at: Moved, lines: Lines, adamw: bool = False) -> float:
    """Weight decay, into the gradient or apart from it, and the moments; the gradient that they saw."""
    decay = at.option("weight_decay")
    apart = decay != 0.0 and (adamw or bool(at.options.get("decoupled_weight_decay", False)))
    if apart:
        kept(at, lines)
        g = at.gradient
    else:
        g = gradient_of(at, lines)
    _moments(at, lines, g)
    return g


def _corrected(at: Moved, lines: Lines, name: str, value: float, beta: str, share: float) -> float:
    """m' = m / (1 − β₁ᵗ): an average that began at 0, set right."""
    better = value / (1.0 - share**at.t)
    operands = {name: value, beta: share, "t": float(at.t)}
    symbol = ("v" if name == "largest" else name) + "'"
    lines.append(Equation(symbol, f"{{{name}}} / (1 − {{{beta}}}^{{t}})", operands, better, None))
    return better


def adam(at: Moved) -> Lines:
    """Momentum and division by the recent size, both corrected for their start at 0."""
    return _adam(at, False)


def adamw(at: Moved) -> Lines:
    """Adam after a pull towards 0 that does not enter the gradient."""
    return _adam(at, True)


def _adam(at: Moved, adamw: bool) -> Lines:
    lines: Lines = []
    _begin(at, lines, adamw)
    beta1, beta2 = at.options["betas"]
    square, name = at.after["v"], "v"
    if at.options.get("amsgrad"):
        largest, name = at.after["largest"], "largest"
        lines.append(equation("largest", "max({largest}, {v})", largest, largest=at.before["largest"], v=square))
        square = largest
    first = _corrected(at, lines, "m", at.after["m"], "beta1", beta1)
    second = _corrected(at, lines, name, square, "beta2", beta2)
    lr, eps = at.option("lr"), at.option("eps")
    value = over(lr * first, math.sqrt(second) + eps)
    rule = "{lr} · {bar_m} / (√{bar_v} + {eps})"
    return [*lines, subtracted(at, rule, value, lr=lr, bar_m=first, bar_v=second, eps=eps)]


def adamax(at: Moved) -> Lines:
    """Adam that divides by the largest recent gradient."""
    lines: Lines = []
    g = gradient_of(at, lines)
    _moments(at, lines, g)
    beta1, beta2 = at.options["betas"]
    u, eps = at.after["u"], at.option("eps")
    operands = {"beta2": beta2, "u": at.before["u"], "g": g, "eps": eps}
    lines.append(equation("u", "max({beta2}·{u}, |{g}| + {eps})", u, **operands))
    first, lr = _corrected(at, lines, "m", at.after["m"], "beta1", beta1), at.option("lr")
    return [*lines, subtracted(at, "{lr} · {bar_m} / {u}", over(lr * first, u), lr=lr, bar_m=first, u=u)]


def nadam(at: Moved) -> Lines:
    """Adam that looks ahead along its momentum."""
    lines: Lines = []
    g = _begin(at, lines)
    beta1, beta2 = at.options["betas"]
    decay, t = at.option("momentum_decay"), at.t
    mu = beta1 * (1.0 - 0.5 * 0.96 ** (t * decay))
    ahead = beta1 * (1.0 - 0.5 * 0.96 ** ((t + 1.0) * decay))
    product = at.after["product"]
    operands = {"beta1": beta1, "momentum_decay": decay}
    rule = "{beta1}·(1 − 0.5·0.96^({t}·{momentum_decay}))"
    lines.append(Equation("mu", rule, {**operands, "t": float(t)}, mu, None))
    later = rule.replace("{t}", "{t + 1}")
    lines.append(Equation("next", later, {**operands, "t + 1": t + 1.0}, ahead, None))
    if t == 1:
        lines.append(equation("product", "{mu}", product, mu=mu))
    else:
        lines.append(equation("product", "{product}·{mu}", product, product=at.before["product"], mu=mu))
    m = at.after["m"]
    look = (1.0 - mu) / (1.0 - product) * g + ahead / (1.0 - product * ahead) * m
    rule = "(1 − {mu}) / (1 − {product}) · {g} + {next} / (1 − {product}·{next}) · {m}"
    lines.append(Equation("ahead", rule, {"mu": mu, "product": product, "g": g, "next": ahead, "m": m}, look, None))
    second = _corrected(at, lines, "v", at.after["v"], "beta2", beta2)
    lr, eps = at.option("lr"), at.option("eps")
    value = over(lr * look, math.sqrt(second) + eps)
    rule = "{lr} · {ahead} / (√{bar_v} + {eps})"
    return [*lines, subtracted(at, rule, value, lr=lr, ahead=look, bar_v=second, eps=eps)]


def radam(at: Moved) -> Lines:
    """Adam that divides only once v has seen enough gradients to be trusted."""
    lines: Lines = []
    _begin(at, lines)
    beta1, beta2 = at.options["betas"]
    t, lr, v = at.t, at.option("lr"), at.after["v"]
    first = _corrected(at, lines, "m", at.after["m"], "beta1", beta1)
    longest = 2.0 / (1.0 - beta2) - 1.0
    length = longest - 2.0 * t * beta2**t / (1.0 - beta2**t)
    rule = "2 / (1 − {beta2}) − 1 − 2·{t}·{beta2}^{t} / (1 − {beta2}^{t})"
    trusted = length > 5.0
    note = None if trusted else "untrusted"
    lines.append(Equation("rho", rule, {"beta2": beta2, "t": float(t)}, length, note))
    if not trusted:
        return [*lines, subtracted(at, "{lr} · {bar_m}", lr * first, lr=lr, bar_m=first)]
    rectify = ((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)) ** 0.5
    rule = "√(({rho} − 4)·({rho} − 2)·{longest} / (({longest} − 4)·({longest} − 2)·{rho}))"
    lines.append(Equation("r", rule, {"rho": length, "longest": longest}, rectify, None))
    eps = at.option("eps")
    value = over(lr * first * rectify * math.sqrt(1.0 - beta2**t), math.sqrt(v) + eps)
    rule = "{lr} · {m'} · {r} · √(1 − {beta2}^{t}) / (√{v} + {eps})"
    operands = {"lr": lr, "m'": first, "r": rectify, "beta2": beta2, "t": float(t), "v": v, "eps": eps}
    return [*lines, subtracted(at, rule, value, **operands)]


def undecayed(solver: FirstOrder) -> float:
    """What share of a parameter decoupled weight decay leaves before the step is subtracted.

    Example
    -------
    >>> from katamuki.solvers.first_order import Adam, AdamW
    >>> undecayed(AdamW(lr=0.1)), undecayed(Adam(lr=0.1, weight_decay=0.01))
    (0.999, 1.0)
    """
    return 1.0 - solver.lr * pull(solver)[1] if getattr(solver, "decoupled_weight_decay", False) else 1.0


MAKERS: dict[str, Maker] = {
    "sgd": sgd,
    "asgd": asgd,
    "rprop": rprop,
    "adagrad": adagrad,
    "adadelta": adadelta,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
    "adamax": adamax,
    "nadam": nadam,
    "radam": radam,
}

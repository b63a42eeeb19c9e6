"""The update of every first-order solver, each whole, with the order of operations of ``torch.optim``.

``rule(params, gradient, state, options, p, t)`` changes parameters and its own memory in place and is step ``t``
(1, 2, …) of the method; the memory is 0 before step 1. Compiled loops call it by its address, readers and tests call
``rule.python`` on arrays; each is compiled by itself, when it is first used. The order of operations is that of
PyTorch's single-tensor loops, ``fma(x, y, z)`` = x·y + z included where its vector code rounds once: where two terms
cancel, as weight decay and gradient do at the end of a run, nothing less makes the same step. The divisor that ends a
memory is all that the learning rate is divided by, so that the largest eigenvalue of lr·diag(1/divisor)·H says whether
steps are stable. No rule here knows bounds, and none looks at the loss.
"""

from __future__ import annotations

import math

from katamuki.backends.native import RULE, fma, function, inline


@inline
def between(a, b, share):  # type: ignore[no-untyped-def]
    """a + share·(b − a), from the nearer end, as ``torch.lerp``."""
    return fma(share, b - a, a) if share < 0.5 else fma(a - b, 1.0 - share, b)


@function(RULE)
def sgd(params, gradient, state, options, p, t):  # type: ignore[no-untyped-def]
    """x ← x − lr·m, m ← momentum·m + (1 − dampening)·g; Nesterov: x ← x − lr·(g + momentum·m).

    ``state``: m (p). Robbins & Monro 1951; Polyak 1964; Nesterov 1983 as Sutskever et al. 2013 write it.
    """
    lr, momentum, dampening, weight_decay, nesterov = options[0], options[1], options[2], options[3], options[4]
    for k in range(p):
        g = fma(weight_decay, params[k], gradient[k])
        if momentum != 0.0:
            if t == 1.0:
                state[k] = g  # PyTorch does not dampen the first step
            else:
                state[k] = fma(1.0 - dampening, g, momentum * state[k])
            g = fma(momentum, state[k], g) if nesterov != 0.0 else state[k]
        params[k] = fma(-lr, g, params[k])


@function(RULE)
def asgd(params, gradient, state, options, p, t):  # type: ignore[no-untyped-def]
    """x ← (1 − λη)x − η·g, η = lr/(1 + λ·lr·(t − 1))^alpha; beside it the average x̄ ← x̄ + (x − x̄)/max(1, t − 1 − t0).

    ``state``: x̄ (p), which no step reads. Polyak & Juditsky 1992; the rate: Xu 2011, arXiv:1107.2490.
    """
    lr, lambd, alpha, t0, weight_decay = options[0], options[1], options[2], options[3], options[4]
    eta = lr / (1.0 + lambd * lr * (t - 1.0)) ** alpha
    share = 1.0 / max(1.0, t - 1.0 - t0)
    for k in range(p):
        g = fma(weight_decay, params[k], gradient[k])
        x = params[k] = fma(-eta, g, params[k] * (1.0 - lambd * eta))
        state[k] = x if share == 1.0 else state[k] + (x - state[k]) * share


@function(RULE)
def rprop(params, gradient, state, options, p, t):  # type: ignore[no-untyped-def]
    """x ← x − size·sign(g), the size times η⁺ while g keeps its sign; where g has turned, no step and size times η⁻.

    ``state``: g of the step before (0 where it had turned), size (p each). Riedmiller & Braun 1993; as here, iRprop⁻:
    Igel & Hüsken 2003.
    """
    lr, shrink, grow, smallest, largest = options[0], options[1], options[2], options[3], options[4]
    for k in range(p):
        g = gradient[k]
        agreed = g * state[k]
        size = lr if t == 1.0 else state[p + k]
        size *= grow if agreed > 0.0 else shrink if agreed < 0.0 else 1.0
        size = state[p + k] = min(max(size, smallest), largest)
        if agreed < 0.0:
            g = 0.0
        params[k] -= size if g > 0.0 else -size if g < 0.0 else 0.0
        state[k] = g


@function(RULE)
def adagrad(params, gradient, state, options, p, t):  # type: ignore[no-untyped-def]
    """s ← s + g², x ← x − lr/(1 + lr_decay·(t − 1)) · g / (√s + eps).

    ``state``: s, divisor (p each). Duchi, Hazan & Singer 2011.
    """
    lr, lr_decay, weight_decay, initial, eps = options[0], options[1], options[2], options[3], options[4]
    slower = 1.0 + (t - 1.0) * lr_decay
    for k in range(p):
        g = fma(weight_decay, params[k], gradient[k])
        s = state[k] = fma(g, g, initial if t == 1.0 else state[k])
        divisor = math.sqrt(s) + eps
        state[p + k] = divisor * slower
        params[k] -= lr / slower * g / divisor


@function(RULE)
def adadelta(params, gradient, state, options, p, t):  # type: ignore[no-untyped-def]
    """v ← rho·v + (1 − rho)·g², Δ = √(d + eps)/√(v + eps)·g, d ← rho·d + (1 − rho)·Δ², x ← x − lr·Δ.

    ``state``: v, d, divisor √(v + eps)/√(d + eps) (p each). Zeiler 2012, arXiv:1212.5701.
    """
    lr, rho, eps, weight_decay = options[0], options[1], options[2], options[3]
    for k in range(p):
        g = fma(weight_decay, params[k], gradient[k])
        v = state[k] = fma((1.0 - rho) * g, g, rho * state[k])
        slope, length = math.sqrt(v + eps), math.sqrt(state[p + k] + eps)
        step = length / slope * g
        state[2 * p + k] = slope / length
        state[p + k] = fma((1.0 - rho) * step, step, rho * state[p + k])
        params[k] = fma(-lr, step, params[k])


@function(RULE)
def rmsprop(params, gradient, state, options, p, t):  # type: ignore[no-untyped-def]
    """v ← alpha·v + (1 − alpha)·g², x ← x − lr·g / (√v + eps); centered: √(v − mean²).

    ``state``: v, mean, momentum buffer, divisor (p each). Tieleman & Hinton 2012, lecture 6.5; centered: Graves 2013.
    """
    lr, alpha, eps = options[0], options[1], options[2]
    momentum, centered, weight_decay = options[3], options[4], options[5]
    for k in range(p):
        g = fma(weight_decay, params[k], gradient[k])
        v = state[k] = fma((1.0 - alpha) * g, g, alpha * state[k])
        if centered != 0.0:
            mean = state[p + k] = between(state[p + k], g, 1.0 - alpha)
            v = fma(-mean, mean, v)
        divisor = state[3 * p + k] = (math.sqrt(v) if v >= 0.0 else math.nan) + eps
        if momentum != 0.0:
            state[2 * p + k] = momentum * state[2 * p + k] + g / divisor
            params[k] = fma(-lr, state[2 * p + k], params[k])
        else:
            params[k] -= lr * g / divisor


@function(RULE)
def adam(params, gradient, state, options, p, t):  # type: ignore[no-untyped-def]
    """m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², x ← x − lr·m̂ / (√v̂ + eps), m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ).

    Decoupled, and so AdamW: weight decay λ does not enter g, but first x ← (1 − lr·λ)x. ``state``: m, v, largest v
    (amsgrad), divisor of m (p each). Kingma & Ba 2015; amsgrad: Reddi, Kale & Kumar 2018; decoupled: Loshchilov &
    Hutter 2019.
    """
    lr, beta1, beta2, eps, weight_decay = options[0], options[1], options[2], options[3], options[4]
    first = 1.0 - beta1**t
    second = (1.0 - beta2**t) ** 0.5
    for k in range(p):
        x, g = params[k], gradient[k]
        if options[6] != 0.0:
            x *= 1.0 - lr * weight_decay
        else:
            g = fma(weight_decay, x, g)
        m = state[k] = between(state[k], g, 1.0 - beta1)
        v = state[p + k] = fma((1.0 - beta2) * g, g, beta2 * state[p + k])
        if options[5] != 0.0:
            v = state[2 * p + k] = max(state[2 * p + k], v)
        divisor = math.sqrt(v) / second + eps
        state[3 * p + k] = divisor * first
        params[k] = x - lr / first * m / divisor


@function(RULE)
def adamax(params, gradient, state, options, p, t):  # type: ignore[no-untyped-def]
    """m ← β₁m + (1 − β₁)g, u ← max(β₂u, |g| + eps), x ← x − lr/(1 − β₁ᵗ) · m / u.

    ``state``: m, u, divisor of m (p each). Kingma & Ba 2015, algorithm 2.
    """
    lr, beta1, beta2, eps, weight_decay = options[0], options[1], options[2], options[3], options[4]
    first = 1.0 - beta1**t
    for k in range(p):
        g = fma(weight_decay, params[k], gradient[k])
        m = state[k] = between(state[k], g, 1.0 - beta1)
        u = state[p + k] = max(beta2 * state[p + k], abs(g) + eps)
        state[2 * p + k] = u * first
        params[k] -= lr / first * m / u


@function(RULE)
def nadam(params, gradient, state, options, p, t):  # type: ignore[no-untyped-def]
    """x ← x − lr·[(1 − μₜ)g/(1 − Πμ) + μₜ₊₁m/(1 − Πμ·μₜ₊₁)] / (√v̂ + eps), m and v as Adam's, μₜ = β₁(1 − ½·0.96^(ψt)).

    Πμ: the product of μ up to step t. ``state``: m, v, Πμ, divisor (p each); the divisor is that of a gradient that
    turns at every step, when m = g·(1 − β₁)/(1 + β₁). Dozat 2016; decoupled weight decay as Adam's.
    """
    lr, beta1, beta2, eps, weight_decay, decay = options[0], options[1], options[2], options[3], options[4], options[5]
    mu = beta1 * (1.0 - 0.5 * 0.96 ** (t * decay))
    mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((t + 1.0) * decay))
    second = 1.0 - beta2**t
    for k in range(p):
        x, g = params[k], gradient[k]
        if options[6] != 0.0:
            x *= 1.0 - lr * weight_decay
        else:
            g = fma(weight_decay, x, g)
        product = state[2 * p + k] = mu if t == 1.0 else state[2 * p + k] * mu
        m = state[k] = between(state[k], g, 1.0 - beta1)
        v = state[p + k] = fma((1.0 - beta2) * g, g, beta2 * state[p + k])
        divisor = math.sqrt(v / second) + eps
        now, ahead = (1.0 - mu) / (1.0 - product), mu_next / (1.0 - product * mu_next)
        state[3 * p + k] = divisor / (now + ahead * (1.0 - beta1) / (1.0 + beta1))
        x -= lr * (1.0 - mu) / (1.0 - product) * g / divisor
        params[k] = x - lr * mu_next / (1.0 - product * mu_next) * m / divisor


@function(RULE)
def radam(params, gradient, state, options, p, t):  # type: ignore[no-untyped-def]
    """x ← x − lr·m̂·r·√(1 − β₂ᵗ)/(√v + eps) where ρ > 5, else x ← x − lr·m̂; m, m̂ and v as Adam's.

    ρ = ρ∞ − 2tβ₂ᵗ/(1 − β₂ᵗ), ρ∞ = 2/(1 − β₂) − 1, r² = (ρ − 4)(ρ − 2)ρ∞ / ((ρ∞ − 4)(ρ∞ − 2)ρ). ``state``: m, v, divisor
    of m (p each). Liu et al. 2020, arXiv:1908.03265; decoupled weight decay as Adam's.
    """
    lr, beta1, beta2, eps, weight_decay = options[0], options[1], options[2], options[3], options[4]
    first, second = 1.0 - beta1**t, 1.0 - beta2**t
    longest = 2.0 / (1.0 - beta2) - 1.0
    length = longest - 2.0 * t * beta2**t / second
    rectify = 0.0
    if length > 5.0:
        rectify = ((length - 4.0) * (length - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * length)) ** 0.5
    for k in range(p):
        x, g = params[k], gradient[k]
        if options[5] != 0.0:
            x *= 1.0 - lr * weight_decay
        else:
            g = fma(weight_decay, x, g)
        m = state[k] = between(state[k], g, 1.0 - beta1)
        v = state[p + k] = fma((1.0 - beta2) * g, g, beta2 * state[p + k])
        if length > 5.0:
            adaptive = 1.0 / (math.sqrt(v) + eps) * second**0.5
            state[2 * p + k] = first / (adaptive * rectify)
            params[k] = x - m / first * lr * adaptive * rectify
        else:
            state[2 * p + k] = first
            params[k] = x - m / first * lr

"""Levenberg–Marquardt over a batch of Gaussians, as people write it who have PyTorch or JAX: peers of ``fit_many``.

Both are meant to be good: analytic derivatives that share their exp, float64, one evaluation a step, curves in chunks
that stay in the cache, finished curves taken out (PyTorch) or chunks that end on their own (JAX). The Cholesky
decomposition is ``torch.linalg``'s, or written out for 4 × 4 over the batch, which is faster. Damping is Marquardt's,
tenfold down and up; a curve ends as in SciPy's ``curve_fit``: the loss or the step changes by less than 1.49e-8 of
itself. They give the parameters alone: no start, no error bars, no verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

TOLERANCE = 1.49012e-8  # SciPy's ftol and xtol
STEPS = 100
DAMPING, DOWN, UP = 1e-3, 0.1, 10.0
TRIANGLE = np.array([[0, 1, 2, 3], [1, 4, 5, 6], [2, 5, 7, 8], [3, 6, 8, 9]])  # of a matrix's entries


def pieces(xp: Any, x: Any, y: Any, p: Sequence[Any]) -> tuple[Any, list[Any]]:
    """The loss, and Jᵀr (4) with the upper triangle of JᵀJ (10).

    Rows stand first, in x and y too: (n, curves). ``xp`` is the module whose ``exp`` serves.
    """
    a, m, s, c = p
    inverse = 1.0 / s
    u = (x - m) * inverse
    e = xp.exp(-0.5 * u * u)
    da = e
    dm = a * inverse * u * e
    ds = dm * u
    r = y - c - a * e
    n = float(len(x))
    right = [(one * r).sum(0) for one in (da, dm, ds)] + [r.sum(0)]
    upper = [
        (da * da).sum(0), (da * dm).sum(0), (da * ds).sum(0), da.sum(0),
        (dm * dm).sum(0), (dm * ds).sum(0), dm.sum(0),
        (ds * ds).sum(0), ds.sum(0), n + 0.0 * a,
    ]  # fmt: skip
    return (r * r).sum(0), right + upper


def solved(xp: Any, damping: Any, sums: Sequence[Any]) -> list[Any]:
    """The damped step: (A + λ diag A) step = Jᵀr by Cholesky, element by element over the batch."""
    g = sums[:4]
    a00, a01, a02, a03, a11, a12, a13, a22, a23, a33 = sums[4:]
    more = 1.0 + damping
    l00 = xp.sqrt(a00 * more)
    l10, l20, l30 = a01 / l00, a02 / l00, a03 / l00
    l11 = xp.sqrt(a11 * more - l10 * l10)
    l21, l31 = (a12 - l20 * l10) / l11, (a13 - l30 * l10) / l11
    l22 = xp.sqrt(a22 * more - l20 * l20 - l21 * l21)
    l32 = (a23 - l30 * l20 - l31 * l21) / l22
    l33 = xp.sqrt(a33 * more - l30 * l30 - l31 * l31 - l32 * l32)
    z0 = g[0] / l00
    z1 = (g[1] - l10 * z0) / l11
    z2 = (g[2] - l20 * z0 - l21 * z1) / l22
    z3 = (g[3] - l30 * z0 - l31 * z1 - l32 * z2) / l33
    w3 = z3 / l33
    w2 = (z2 - l32 * w3) / l22
    w1 = (z1 - l21 * w2 - l31 * w3) / l11
    return [(z0 - l10 * w1 - l20 * w2 - l30 * w3) / l00, w1, w2, w3]


def by_linalg(torch: Any, damping: Any, sums: Any) -> Any:
    """The damped step by ``torch.linalg``: matrices (curves, 4, 4) and their Cholesky factors. A bad one gives NaN."""
    matrix = sums[4 + TRIANGLE].permute(2, 0, 1).contiguous()
    torch.diagonal(matrix, dim1=1, dim2=2).mul_(1.0 + damping[:, None])
    factor, bad = torch.linalg.cholesky_ex(matrix)
    step = torch.cholesky_solve(sums[:4].t()[:, :, None], factor)[:, :, 0].t()
    return torch.where(bad == 0, step, torch.nan)


def written_out(torch: Any, damping: Any, sums: Any) -> Any:
    """The damped step by :func:`solved`."""
    return torch.stack(solved(torch, damping, sums))


def torch_fit(
    y: np.ndarray, x: np.ndarray, start: Sequence[float], step: Callable[..., Any] = by_linalg, chunk: int = 4096
) -> np.ndarray:
    """Parameters (b, 4) of curves y (b, n) by PyTorch; its threads are set by the caller."""
    import torch

    at = torch.from_numpy(x)[:, None]
    found = np.empty((len(y), 4))
    with torch.inference_mode():
        for first in range(0, len(y), chunk):
            rows = torch.from_numpy(y[first : first + chunk]).t().contiguous()
            found[first : first + chunk] = _torch_chunk(torch, step, at, rows, start).numpy()
    return found


def _torch_chunk(torch: Any, damped: Callable[..., Any], x: Any, y: Any, start: Sequence[float]) -> Any:
    """One chunk: every step is one evaluation; accepted steps keep its sums, finished curves leave."""
    curves = y.shape[1]
    p = torch.tensor(start, dtype=torch.float64)[:, None].expand(4, curves).contiguous()
    answer, left = p.clone(), torch.arange(curves)
    damping = torch.full((curves,), DAMPING, dtype=torch.float64)
    loss, parts = pieces(torch, x, y, p)
    sums = torch.stack(parts)
    for _ in range(STEPS):
        step = damped(torch, damping, sums)
        trial = p + step
        new, parts = pieces(torch, x, y, trial)
        better = new < loss
        small = ((step * step).sum(0) <= TOLERANCE**2 * (p * p).sum(0)) | (better & (loss - new <= TOLERANCE * loss))
        p = torch.where(better, trial, p)
        loss = torch.where(better, new, loss)
        sums = torch.where(better, torch.stack(parts), sums)
        damping = damping * torch.where(better, DOWN, UP)
        remaining = int((~small).sum())
        if remaining <= 0.7 * len(left):  # taking curves out costs a copy
            answer[:, left] = p
            if not remaining:
                return answer.t()
            keep = (~small).nonzero()[:, 0]
            left, p, loss, damping = left[keep], p[:, keep], loss[keep], damping[keep]
            sums, y = sums[:, keep], y[:, keep]
    answer[:, left] = p
    return answer.t()


def _jax_step(jnp: Any, x: Any, y: Any, state: Any) -> Any:
    """One step of one curve, or of a block of curves."""
    p, damping, loss, sums, count, done = state
    step = solved(jnp, damping, sums)
    trial = [a + b for a, b in zip(p, step, strict=True)]
    new, more = pieces(jnp, x, y, trial)
    better = (new < loss) & ~done
    length, size = sum(one * one for one in step), sum(one * one for one in p)
    small = (length <= TOLERANCE**2 * size) | (better & (loss - new <= TOLERANCE * loss))

    def chosen(one: Any, other: Any) -> Any:
        return jnp.where(better, one, other)

    return (
        [chosen(a, b) for a, b in zip(trial, p, strict=True)],
        damping * chosen(DOWN, UP),
        chosen(new, loss),
        [chosen(a, b) for a, b in zip(more, sums, strict=True)],
        count + 1,
        done | small,
    )


def _jax_descent(x: Any, y: Any, start: Sequence[float], many: tuple[int, ...]) -> Any:
    """The loop; ``many`` is the shape of the curves, () for one under ``vmap``."""
    import jax
    import jax.numpy as jnp

    begin = [jnp.full(many, value) for value in start]
    loss, sums = pieces(jnp, x, y, begin)
    state = (begin, jnp.full(many, DAMPING), loss, sums, 0, jnp.zeros(many, bool))
    ended = jax.lax.while_loop(lambda s: jnp.any(~s[5]) & (s[4] < STEPS), lambda s: _jax_step(jnp, x, y, s), state)
    return jnp.stack(ended[0], axis=-1)


def jax_vmap(x: np.ndarray, start: Sequence[float], chunk: int = 128) -> Callable[[np.ndarray], Any]:
    """A compiled function from curves (b, n) to parameters (b, 4): ``jit`` of ``vmap`` of a ``while_loop``."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    at = jnp.asarray(x)
    return jax.jit(lambda y: jax.lax.map(lambda one: _jax_descent(at, one, start, ()), y, batch_size=chunk))


def jax_blocks(x: np.ndarray, start: Sequence[float], chunk: int = 200) -> Callable[[np.ndarray], Any]:
    """The same with curves in the last dimension by hand in place of ``vmap``; b a multiple of ``chunk``."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    at = jnp.asarray(x)[:, None]

    def whole(y: Any) -> Any:
        parts = jax.lax.map(lambda block: _jax_descent(at, block.T, start, (chunk,)), y.reshape(-1, chunk, len(x)))
        return parts.reshape(-1, len(start))

    return jax.jit(whole)


def optimistix_fitter(x: np.ndarray, start: Sequence[float], chunk: int = 512) -> Callable[[np.ndarray], Any]:
    """The same by ``optimistix.LevenbergMarquardt`` under ``vmap``, derivatives by JAX."""
    import jax
    import jax.numpy as jnp
    import optimistix

    jax.config.update("jax_enable_x64", True)
    at = jnp.asarray(x)
    solver = optimistix.LevenbergMarquardt(rtol=TOLERANCE, atol=TOLERANCE)

    def residuals(p: Any, y: Any) -> Any:
        return p[0] * jnp.exp(-0.5 * ((at - p[1]) / p[2]) ** 2) + p[3] - y

    def one(y: Any) -> Any:
        begin = jnp.asarray(start)
        return optimistix.least_squares(residuals, solver, begin, args=y, max_steps=STEPS, throw=False).value

    return jax.jit(lambda y: jax.lax.map(one, y, batch_size=chunk))

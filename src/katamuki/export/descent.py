"""Levenberg–Marquardt in thirty lines: part of exported programs, and run here first to see that it gets there.

Method: damped least squares by QR with Moré's scaling (Moré 1978), damping by the gain ratio (Nielsen 1999; Madsen,
Nielsen & Tingleff 2004, algorithm 3.16), then undamped steps. It is the readable twin of the compiled solver: it knows
no bounds and no held parameters. The program that is written holds the text of :func:`descend`, with ``np`` or
``torch`` for ``xp``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

xp = np


def descend(model: Callable[[Any], tuple[Any, Any]], params: Any, y: Any, root: Any) -> Any:
    """The least-squares answer below ``params`` (p,): ``model`` gives f (n,) and ∂f/∂params (n, p), ``root`` is √w."""
    f, slopes = model(params)
    residual, jacobian = root * (y - f), root[:, None] * slopes
    damping, growth, scale = 1e-3, 2.0, 0 * params
    for _ in range(1000):
        scale = xp.maximum(scale, (jacobian**2).sum(0) ** 0.5)
        left = xp.vstack([jacobian, damping**0.5 * xp.diag(scale)])
        q, r = xp.linalg.qr(left)
        step = xp.linalg.solve(r, q.T @ xp.hstack([residual, 0 * params]))
        f, slopes = model(params + step)
        trial = root * (y - f)
        came = residual @ residual - trial @ trial
        promised = step @ (damping * scale**2 * step + jacobian.T @ residual)
        if came > 0:
            params, residual, jacobian = params + step, trial, root[:, None] * slopes
            damping, growth = damping * max(1 / 3, 1 - (2 * float(came / promised) - 1) ** 3), 2.0
        else:
            damping, growth = damping * growth, 2 * growth
        if damping > 1e30 or abs(scale * step).max() <= 1e-9 * (residual @ residual) ** 0.5 or came == 0:
            break
    for _ in range(5):  # undamped, to the last digits
        q, r = xp.linalg.qr(jacobian)
        params = params + xp.linalg.solve(r, q.T @ residual)
        f, slopes = model(params)
        residual, jacobian = root * (y - f), root[:, None] * slopes
    return params

"""Exported programs in tests: what one prints, and what it must print by the fit's public numbers."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Any

import torch

import katamuki as km


def fitted(*arguments: Any, **options: Any) -> km.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        return km.fit(*arguments, **options)


def printed(program: str) -> str:
    """What a program prints, run here: the same text as in a process of its own, and faster."""
    out = io.StringIO()
    kept = torch.get_default_dtype()
    try:
        with contextlib.redirect_stdout(out), warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)  # PyTorch's own
            exec(compile(program, "program", "exec"), {"__name__": "__main__"})
    finally:
        torch.set_default_dtype(kept)
    return out.getvalue()


def wanted(fit: km.Fit) -> str:
    """The lines that a program must print, from the fit's public numbers."""
    lines = []
    for name in fit.free:
        if fit.state == "cycle":
            one, two = fit.trace.params[-2:, fit.trace.names.index(name)].tolist()
            low, high = min(one, two), max(one, two)
            lines.append(f"{name} {low:.6g} <-> {high:.6g}   middle {(low + high) / 2:.6g}")
            continue
        bar = fit.stderr[name] if fit.solver in ("linear", "levenbergmarquardt") else None
        lines.append(f"{name} {fit.params[name]:.6g}" + (f" ± {bar:.6g}" if bar is not None else ""))
    return "\n".join([*lines, f"loss {fit.loss:.6g}"]) + "\n"

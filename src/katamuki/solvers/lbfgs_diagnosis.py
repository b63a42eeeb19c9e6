"""How an L-BFGS run ended: at the answer, short of it, or lost. The reference is the caller's; it takes no step."""

from __future__ import annotations

import math
from typing import Any

from katamuki.records import Reference, Trace
from katamuki.solvers.first_order_diagnosis import Diagnosis, cosine_of, is_there
from katamuki.solvers.lbfgs import LBFGS, Ending

COSINE_MET = 5e-7  # between residuals and any column of J: PyTorch's tests end a run before rounding does


def diagnose(trace: Trace, solver: LBFGS, reference: Reference | None, ending: Ending) -> Diagnosis:
    """Say how a run ended.

    Parameters
    ----------
    trace : Trace
        The run; its last row is the result.
    solver : LBFGS
        What ran.
    reference : Reference, optional
        The least-squares answer of the same problem; without it no run is "converged".
    ending : str
        What ended the loop.

    Returns
    -------
    Diagnosis
        State "diverged", "converged" (six digits of every parameter, and a gradient that has vanished) or "slow".
        Facts: ``floor`` (the loss above the least-squares one), ``cosine`` (the largest between residuals and a column
        of J), ``still`` (True: PyTorch's tolerances let nothing move any more), ``step`` before which it had diverged,
        ``key`` and ``values`` of a message.

    Source
    ------
    Moré 1978 (the cosine).

    Example
    -------
    >>> import numpy as np
    >>> flat = np.zeros((2, 1))
    >>> diagnose(Trace(("a",), np.arange(2), flat, flat[:, 0] + 1.0, flat, flat), LBFGS(), None, "still").state
    'slow'
    """
    step = int(trace.index[-1]) + 1
    if ending in ("diverged", "no_start"):
        key = "lbfgs.diverged" if math.isfinite(trace.loss[-1]) else "lbfgs.overflow"
        key += ".searched" if solver.line_search_fn is not None else ""
        return Diagnosis("diverged", None, {"step": step, "key": key, "values": {"step": step}})
    facts: dict[str, Any] = {"still": True} if ending == "still" else {}
    if reference is not None:
        facts |= {"floor": float(trace.loss[-1]) - reference.loss, "cosine": cosine_of(trace, reference)}
        if is_there(trace, reference, facts["cosine"], COSINE_MET):
            return Diagnosis("converged", None, facts)
    if ending != "interrupted" and not (trace.params[-1] != trace.params[0]).any():
        facts |= {"key": "lbfgs.unmoved", "values": {"loss": f"{trace.loss[-1]:.6g}"}}
    return Diagnosis("slow", None, facts)

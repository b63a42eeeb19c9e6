"""PyTorch's optimizers as strangers to the first-order rules: same options, same memory, one step beside ours."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from katamuki.records import Array
from katamuki.solvers.first_order import ASGD, FIRST_ORDER, SGD, FirstOrder

# PyTorch's name of each block of our memory; "" where it keeps none.
MEMORY = {
    "SGD": ("momentum_buffer",),
    "ASGD": ("ax",),
    "Rprop": ("prev", "step_size"),
    "Adagrad": ("sum", ""),
    "Adadelta": ("square_avg", "acc_delta", ""),
    "RMSprop": ("square_avg", "grad_avg", "momentum_buffer", ""),
    "Adam": ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", ""),
    "AdamW": ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", ""),
    "Adamax": ("exp_avg", "exp_inf", ""),
    "NAdam": ("exp_avg", "exp_avg_sq", "mu_product", ""),
    "RAdam": ("exp_avg", "exp_avg_sq", ""),
}


LOOP = ("steps", "batch_size")  # what a loop does, and no optimizer


def options_of(solver: FirstOrder) -> dict[str, Any]:
    return {one.name: getattr(solver, one.name) for one in dataclasses.fields(solver) if one.name not in LOOP}


def stranger(solver: FirstOrder, params: Array) -> tuple[torch.Tensor, torch.optim.Optimizer]:
    tensor = torch.tensor(params.copy(), requires_grad=True)
    return tensor, getattr(torch.optim, type(solver).__name__)([tensor], foreach=False, **options_of(solver))


def memory_of(solver: FirstOrder, kept: dict[str, Any], p: int) -> Array:
    """PyTorch's memory as the rule keeps it; blocks that PyTorch does not keep are 0."""
    state = np.zeros((solver.blocks, p))
    for k, name in enumerate(MEMORY[type(solver).__name__]):
        if kept.get(name) is not None:
            state[k] = kept[name].numpy()
    return state.ravel()


def ulps(before: Array, theirs: Array, ours: Array) -> float:
    """The largest difference in units of the last place of the larger of before and after; infinite if one is NaN."""
    larger = np.maximum(np.abs(before), np.abs(theirs))
    with np.errstate(invalid="ignore"):
        apart = np.abs(theirs - ours) / np.spacing(np.where(larger > 0, larger, np.finfo(float).tiny))
    return float(
        np.where(
            (theirs == ours) | (np.isnan(theirs) & np.isnan(ours)), 0.0, np.where(np.isfinite(apart), apart, math.inf)
        ).max()
    )


def compare(
    solver: FirstOrder, params: Array, gradient: Array, kept: dict[str, Any], t: int, ours: FirstOrder | None = None
) -> float:
    """How far the step of ``ours`` (or the same) is from PyTorch's, parameters and memory, from PyTorch's own state."""
    p, ours = len(params), ours or solver
    tensor, theirs = stranger(solver, params)
    theirs.state[tensor].update({name: value.clone() for name, value in kept.items()})
    tensor.grad = torch.tensor(gradient.copy())
    before = memory_of(solver, kept, p)
    ended, state = params.copy(), before.copy()
    with np.errstate(all="ignore"):  # eps may be 0
        ours.update(ended, gradient, state, ours.packed(), p, float(t))
    theirs.step()
    after = memory_of(solver, theirs.state[tensor], p)
    kept_by_both = np.repeat([theirs.state[tensor].get(name) is not None for name in MEMORY[type(solver).__name__]], p)
    return max(
        ulps(params, tensor.detach().numpy(), ended),
        ulps(np.where(kept_by_both, before, 0.0), after, np.where(kept_by_both, state, 0.0)),
    )


shares = st.sampled_from([0.0, 0.1, 0.5, 0.9, 0.99, 0.999])
rates = st.floats(1e-5, 1.0)
decays = st.sampled_from([0.0, 0.01, 0.5])
epsilons = st.sampled_from([0.0, 1e-8, 1e-3, 1.0])
pairs = st.tuples(shares, shares)
SOME: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "ASGD": {
        "lambd": st.sampled_from([0.0, 1e-4, 0.1]),
        "alpha": st.sampled_from([0.0, 0.5, 0.75, 2.0]),
        "t0": st.sampled_from([0.0, 7.5, 1e6]),
        "weight_decay": decays,
    },
    "Rprop": {
        "etas": st.sampled_from([(0.5, 1.2), (0.1, 1.01), (0.99, 3.0)]),
        "step_sizes": st.sampled_from([(1e-6, 50.0), (0.0, 0.1), (0.3, 0.3)]),
    },
    "Adagrad": {
        "lr_decay": st.sampled_from([0.0, 1e-3, 1.0]),
        "initial_accumulator_value": st.sampled_from([0.0, 0.1, 1e6]),
        "weight_decay": decays,
        "eps": epsilons,
    },
    "Adadelta": {"rho": shares, "eps": st.sampled_from([1e-8, 1e-3, 1.0]), "weight_decay": decays},
    "RMSprop": {
        "alpha": shares,
        "eps": epsilons,
        "momentum": st.sampled_from([0.0, 0.9, 1.0]),
        "centered": st.booleans(),
        "weight_decay": decays,
    },
    "Adam": {
        "betas": pairs,
        "eps": epsilons,
        "weight_decay": decays,
        "amsgrad": st.booleans(),
        "decoupled_weight_decay": st.booleans(),
    },
    "AdamW": {"betas": pairs, "eps": epsilons, "weight_decay": decays, "amsgrad": st.booleans()},
    "Adamax": {"betas": pairs, "eps": epsilons, "weight_decay": decays},
    "NAdam": {
        "betas": pairs,
        "eps": epsilons,
        "weight_decay": decays,
        "momentum_decay": st.sampled_from([0.0, 4e-3, 1.0]),
        "decoupled_weight_decay": st.booleans(),
    },
    "RAdam": {"betas": pairs, "eps": epsilons, "weight_decay": decays, "decoupled_weight_decay": st.booleans()},
}


@st.composite
def solvers(draw: Any) -> FirstOrder:
    which = draw(st.sampled_from(FIRST_ORDER))
    if which is SGD:
        nesterov = draw(st.booleans())
        momentum = draw(st.sampled_from([0.5, 0.9, 1.0] if nesterov else [0.0, 0.5, 0.9, 1.0]))
        dampening = 0.0 if nesterov else draw(st.sampled_from([0.0, 0.3]))
        return SGD(lr=draw(rates), momentum=momentum, dampening=dampening, weight_decay=draw(decays), nesterov=nesterov)
    return which(lr=draw(rates), **{name: draw(one) for name, one in SOME[which.__name__].items()})


def some_state(solver: FirstOrder, p: int, t: int, rng: np.random.Generator, spread: float = 4.0) -> dict[str, Any]:
    """A memory that a run of PyTorch's may have before step t: v is a mean of squares, so not below the mean's square.

    What PyTorch keeps although it follows from t (step, and ASGD's rate and share) is as PyTorch computes it.
    """
    if t == 1:
        return {}

    def some() -> torch.Tensor:
        return torch.tensor(rng.standard_normal(p) * 10.0 ** rng.uniform(-spread, spread, p))

    mean, step = some(), float(t - 1)
    square = mean**2 * torch.tensor(1 + 10.0 ** rng.uniform(-3, 3, p))
    kept: dict[str, Any] = {"step": torch.tensor(step)}
    if isinstance(solver, ASGD):
        kept["eta"] = torch.tensor(solver.lr / ((1 + solver.lambd * solver.lr * step) ** solver.alpha))
        kept["mu"] = torch.tensor(1 / max(1, step - solver.t0))
    if isinstance(solver, SGD):
        kept = {}
    found = {
        "momentum_buffer": some(),
        "ax": some(),
        "prev": some() * torch.tensor(rng.integers(0, 2, p)),
        "step_size": torch.tensor(10.0 ** rng.uniform(-6, 1, p)),
        "sum": square,
        "square_avg": square,
        "acc_delta": square,
        "grad_avg": mean,
        "exp_avg": mean,
        "exp_avg_sq": square,
        "exp_inf": square.sqrt(),
        "max_exp_avg_sq": square * torch.tensor(rng.uniform(1, 3, p)),
        "mu_product": torch.tensor(rng.uniform(0.0, 0.9)),
    }
    unused = set()
    if not getattr(solver, "momentum", 0.0):
        unused.add("momentum_buffer")
    if not getattr(solver, "centered", False):
        unused.add("grad_avg")
    if not getattr(solver, "amsgrad", False):
        unused.add("max_exp_avg_sq")
    return kept | {name: found[name] for name in MEMORY[type(solver).__name__] if name and name not in unused}


steps = st.one_of(st.integers(1, 12), st.integers(1, 3000))
seeds = st.integers(0, 2**32 - 1)

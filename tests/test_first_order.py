"""One step of every first-order rule is PyTorch's, from the same state and gradient; options are checked.

The stranger is ``torch.optim`` (foreach=False, float64). 8 units in the last place of the larger of before and after:
the rules make the same roundings, so what is left are PyTorch's square roots, one in seventy of which is not the
nearest double, and what subtraction makes of that.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from katamuki.backends.native import at, fma, function
from katamuki.errors import KatamukiError
from katamuki.records import Array
from katamuki.solvers.first_order import (
    ASGD,
    FIRST_ORDER,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    FirstOrder,
    NAdam,
    RAdam,
    RMSprop,
    Rprop,
    take,
)

ULP = 8
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


@pytest.fixture(autouse=True)
def doubles() -> Any:
    """Float64 throughout: with float32 as default dtype PyTorch keeps some of its scalars in it."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    yield
    torch.set_default_dtype(before)


def options_of(solver: FirstOrder) -> dict[str, Any]:
    return {one.name: getattr(solver, one.name) for one in dataclasses.fields(solver) if one.name != "steps"}


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


def test_every_option_is_tried() -> None:
    for one in FIRST_ORDER:
        if one is not SGD:
            assert SOME[one.__name__].keys() | {"lr"} == options_of(one()).keys()


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


@settings(max_examples=1500, deadline=None)
@given(solvers(), st.integers(1, 9), steps, seeds)
def test_one_step_from_any_state_is_pytorchs(solver: FirstOrder, p: int, t: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kept = some_state(solver, p, t, rng)
    params = rng.standard_normal(p) * 10.0 ** rng.uniform(-3, 3, p)
    gradient = rng.standard_normal(p) * 10.0 ** rng.uniform(-6, 6, p) * (rng.uniform(0, 1, p) < 0.9)
    assert compare(solver, params, gradient, kept, t) <= ULP


MODELS = {
    2: lambda x, p: p[0] * x + p[1],
    3: lambda x, p: p[0] * torch.exp(-p[1] * x) + p[2],
    4: lambda x, p: p[0] * torch.sin(p[1] * x) + p[2] * x + p[3],
    5: lambda x, p: p[0] + p[1] * x + p[2] * x**2 + p[3] * x**3 + p[4] * torch.cos(x),
}


@settings(max_examples=100, deadline=None)
@given(solvers(), st.sampled_from(sorted(MODELS)), seeds)
def test_every_step_of_a_run_is_pytorchs_fed_its_own_state_and_gradient(solver: FirstOrder, p: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = torch.tensor(rng.uniform(0, 3, 20)), torch.tensor(rng.standard_normal(20))
    tensor, theirs = stranger(solver, rng.standard_normal(p))
    worst = 0.0
    for t in range(1, 60):
        theirs.zero_grad()
        loss = ((MODELS[p](x, tensor) - y) ** 2).mean()
        loss.backward()
        if not (torch.isfinite(loss) and torch.isfinite(tensor.grad).all() and loss < 1e200):
            break
        kept = {name: value.clone() for name, value in theirs.state[tensor].items() if value is not None}
        worst = max(worst, compare(solver, tensor.detach().numpy(), tensor.grad.numpy(), kept, t))
        theirs.step()
    assert worst <= ULP


WHOLE_RUNS: list[FirstOrder] = [
    SGD(lr=0.01),
    SGD(lr=0.001, momentum=0.9, nesterov=True),
    ASGD(lr=0.01, lambd=0.1, t0=100.0),
    Rprop(),
    Adagrad(lr=0.5),
    Adadelta(),
    RMSprop(lr=0.001),
    RMSprop(lr=0.001, momentum=0.9, centered=True),
    Adam(lr=0.01),
    Adam(lr=0.01, weight_decay=0.1, amsgrad=True),
    AdamW(lr=0.01),
    Adamax(lr=0.01),
    NAdam(lr=0.01),
    RAdam(lr=0.01),
]


def apart(theirs: FirstOrder, ours: FirstOrder) -> float:
    """The largest relative difference in a thousand steps on the tutorial, both fed the gradient at their own point."""
    x = np.array([10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0])
    y = np.array([8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68])
    design = np.array([x, np.ones(11)])
    tensor, optimizer = stranger(theirs, np.array([0.5, 0.5]))
    params, state, options = np.array([0.5, 0.5]), np.zeros(2 * ours.blocks), ours.packed()
    compiled = ours.rule.pointer()
    worst = 0.0
    for t in range(1, 1001):
        tensor.grad = torch.tensor(2 / 11 * design @ (tensor.detach().numpy() @ design - y))
        gradient = 2 / 11 * design @ (params @ design - y)
        optimizer.step()
        compiled(params.ctypes.data, gradient.ctypes.data, state.ctypes.data, options.ctypes.data, 2, float(t))
        worst = max(worst, float(np.abs(params / tensor.detach().numpy() - 1.0).max()))
    return worst


@pytest.mark.parametrize("solver", WHOLE_RUNS)
def test_a_thousand_steps_on_the_tutorial_are_pytorchs(solver: FirstOrder) -> None:
    assert apart(solver, solver) <= 1e-13
    assert apart(solver, dataclasses.replace(solver, lr=solver.lr * (1 + 1e-9))) > 1e-13


def a_little_wrong(solver: FirstOrder) -> Iterator[tuple[str, FirstOrder]]:
    """The same solver with one option off by a little, or switched the other way, by the option's name."""
    for name, value in options_of(solver).items():
        if isinstance(value, tuple):
            low, high = value
            yield f"{name}[0]", dataclasses.replace(solver, **{name: (low * (1 + 1e-9), high)})
            yield f"{name}[1]", dataclasses.replace(solver, **{name: (low, high * (1 + 1e-9))})
        elif isinstance(value, bool):
            if name == "nesterov" and options_of(solver)["dampening"]:
                continue  # not allowed together
            yield name, dataclasses.replace(solver, **{name: not value})
        elif value:
            yield name, dataclasses.replace(solver, **{name: value * (1 + 1e-9)})


# Cases that together show every option at work: the solver, and the step it is about to take.
TELLING: list[tuple[FirstOrder, int]] = [
    (SGD(lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.2), 5),
    (SGD(lr=0.1, momentum=0.9), 5),
    (ASGD(lr=0.1, lambd=1.0, alpha=2.0, t0=10.0, weight_decay=0.2), 50),
    (Rprop(lr=0.1), 1),
    (Rprop(lr=0.1), 5),
    (Rprop(lr=0.1, step_sizes=(3.0, 40.0)), 5),
    (Rprop(lr=0.1, step_sizes=(0.0, 0.2)), 5),
    (Adagrad(lr=0.1, lr_decay=0.5, weight_decay=0.2, eps=0.1), 5),
    (Adagrad(lr=0.1, initial_accumulator_value=0.3), 1),
    (Adadelta(lr=0.5, eps=0.1, weight_decay=0.2), 5),
    (RMSprop(lr=0.1, eps=0.1, momentum=0.5, weight_decay=0.2), 5),
    (Adam(lr=0.1, eps=0.1, weight_decay=0.2), 5),
    (Adam(lr=0.1, amsgrad=True), 5),
    (AdamW(lr=0.1, eps=0.1, weight_decay=0.2, amsgrad=True), 5),
    (Adamax(lr=0.1, eps=0.1, weight_decay=0.2), 5),
    (Adamax(lr=0.1, betas=(0.9, 0.1), eps=0.1), 5),
    (NAdam(lr=0.1, eps=0.1, weight_decay=0.2, momentum_decay=0.5), 5),
    (RAdam(lr=0.1, eps=0.1, weight_decay=0.2), 50),
]


@pytest.mark.parametrize("kind", FIRST_ORDER)
def test_a_rule_that_is_a_little_wrong_is_noticed_in_every_option(kind: type[FirstOrder]) -> None:
    rng = np.random.default_rng(1)
    params, gradient = rng.standard_normal(6), rng.standard_normal(6)
    noticed, options = set(), set()
    for solver, t in TELLING:
        if type(solver) is kind:
            kept = some_state(solver, 6, t, rng, spread=0.0)
            assert compare(solver, params, gradient, kept, t) <= ULP
            for name, off in a_little_wrong(solver):
                options.add(name)
                if compare(solver, params, gradient, kept, t, off) > ULP:
                    noticed.add(name)
    expected = set()
    for name, value in options_of(kind()).items():
        expected |= {f"{name}[0]", f"{name}[1]"} if isinstance(value, tuple) else {name}
    assert noticed == expected


@function("int64(int64, double*, double*, double*, double*, int64, double)")
def step_from_a_loop(rule, params, gradient, state, options, p, t):  # type: ignore[no-untyped-def]
    take(rule, params, gradient, state, options, p, t)
    return 0


@settings(max_examples=600, deadline=None)
@given(solvers(), st.integers(1, 5), steps, seeds)
def test_the_compiled_rule_is_the_readable_one_bit_for_bit(solver: FirstOrder, p: int, t: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kept = some_state(solver, p, t, rng)
    params, gradient = rng.standard_normal(p), rng.standard_normal(p) * (rng.uniform(0, 1, p) < 0.9)
    options, state = solver.packed(), memory_of(solver, kept, p)
    fast, fast_state = params.copy(), state.copy()
    pointers = (fast.ctypes.data, gradient.ctypes.data, fast_state.ctypes.data, options.ctypes.data)
    step_from_a_loop(solver.rule.address, *pointers, p, float(t))
    with np.errstate(all="ignore"):  # eps may be 0
        solver.update(params, gradient, state, options, p, float(t))
    assert np.isnan(fast).tolist() == np.isnan(params).tolist()
    for one in (fast, fast_state, params, state):
        one[np.isnan(one)] = np.nan  # NaNs have many bits
    assert fast.tobytes() == params.tobytes()
    assert fast_state.tobytes() == state.tobytes()


def test_each_solver_compiles_the_rule_that_its_readers_see() -> None:
    for one in FIRST_ORDER:
        assert one.rule.python is one.update
        assert len(one.memory) == one.blocks
        assert one.divides == (one.memory[-1] == "divisor")
    with pytest.raises(TypeError, match="compiled"):
        take(0, None, None, None, None, 0, 1.0)


@given(*[st.floats(-1e150, 1e150) for _ in range(3)])
def test_fma_in_plain_python_rounds_once(x: float, y: float, z: float) -> None:
    from mpmath import mp, mpf

    with mp.workdps(800):
        assert fma(x, y, z) == float(mpf(x) * mpf(y) + mpf(z))


def test_fma_in_plain_python_keeps_nan_infinity_and_signs_of_0() -> None:
    assert fma(math.inf, 1.0, 0.0) == math.inf
    assert fma(-1e200, 1e200, 1.0) == -math.inf
    assert math.isnan(fma(math.nan, 1.0, 0.0))
    assert math.copysign(1.0, fma(-1.0, 0.0, -0.0)) == -1.0
    assert math.copysign(1.0, fma(-1.0, 2.0, 2.0)) == 1.0
    assert at(np.arange(3.0), 1).tolist() == [1.0, 2.0]


def test_defaults_are_pytorchs() -> None:
    for solver in (one() for one in FIRST_ORDER):
        theirs = getattr(torch.optim, type(solver).__name__)([torch.zeros(1, requires_grad=True)]).defaults
        for name, value in options_of(solver).items():
            assert theirs[name] == value, name
        left_out = theirs.keys() - options_of(solver).keys()
        assert left_out <= {"maximize", "foreach", "fused", "capturable", "differentiable"} | {
            name for name in ("decoupled_weight_decay",) if isinstance(solver, AdamW)
        }


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: SGD(lr=0.0), "lr"),
        (lambda: SGD(lr=-1.0), "lr"),
        (lambda: SGD(lr=math.nan), "lr"),
        (lambda: SGD(lr=math.inf), "lr"),
        (lambda: SGD(lr="0.1"), "lr"),
        (lambda: SGD(lr=True), "lr"),
        (lambda: SGD(momentum=-0.1), "momentum"),
        (lambda: SGD(dampening=math.nan), "dampening"),
        (lambda: SGD(nesterov=True), "nesterov"),
        (lambda: SGD(momentum=0.9, dampening=0.1, nesterov=True), "nesterov"),
        (lambda: SGD(momentum=0.9, nesterov=1), "nesterov"),
        (lambda: SGD(steps=0), "steps"),
        (lambda: SGD(steps=1.5), "steps"),
        (lambda: SGD(steps=True), "steps"),
        (lambda: RMSprop(alpha=1.0), "alpha"),
        (lambda: RMSprop(eps=-1e-8), "eps"),
        (lambda: RMSprop(centered=1), "centered"),
        (lambda: Adam(betas=(0.9, 1.0)), "betas"),
        (lambda: Adam(betas=0.9), "betas"),
        (lambda: Adam(betas=(0.9,)), "betas"),
        (lambda: Adam(weight_decay=-1.0), "weight_decay"),
        (lambda: Adam(decoupled_weight_decay=1), "decoupled_weight_decay"),
        (lambda: ASGD(lambd=-1e-4), "lambd"),
        (lambda: ASGD(alpha=math.inf), "alpha"),
        (lambda: ASGD(t0=-1.0), "t0"),
        (lambda: Rprop(etas=(1.2, 0.5)), "etas"),
        (lambda: Rprop(etas=(0.5, 1.0)), "etas"),
        (lambda: Rprop(etas=(0.5, math.nan)), "etas"),
        (lambda: Rprop(step_sizes=(50.0, 1e-6)), "step_sizes"),
        (lambda: Rprop(step_sizes=(0.0, 0.0)), "step_sizes"),
        (lambda: Rprop(step_sizes=[1e-6, 50.0]), "step_sizes"),
        (lambda: Adagrad(lr_decay=-1.0), "lr_decay"),
        (lambda: Adagrad(initial_accumulator_value=-1.0), "initial_accumulator_value"),
        (lambda: Adadelta(rho=1.0), "rho"),
        (lambda: Adadelta(eps=0.0), "eps"),
        (lambda: Adamax(betas=(1.0, 0.9)), "betas"),
        (lambda: NAdam(momentum_decay=-1.0), "momentum_decay"),
        (lambda: RAdam(lr=math.nan), "lr"),
        (lambda: AdamW(amsgrad=0), "amsgrad"),
    ],
)
def test_an_option_outside_its_range_is_named(make: Any, word: str) -> None:
    with pytest.raises(KatamukiError) as caught:
        make()
    assert caught.value.code == "E-USAGE"
    assert word in caught.value.render()


def test_a_misspelt_option_is_an_error_before_any_work() -> None:
    with pytest.raises(TypeError):
        RMSprop(learning_rate=0.1)  # type: ignore[call-arg]
    with pytest.raises(dataclasses.FrozenInstanceError):
        RMSprop().lr = 0.1  # type: ignore[misc]

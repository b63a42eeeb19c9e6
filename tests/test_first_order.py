"""One step of every first-order rule is PyTorch's, from the same state and gradient; options are checked.

The stranger is ``torch.optim`` (foreach=False, float64). 8 units in the last place of the larger of before and after:
the rules make the same roundings, so what is left is the order inside one division.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from katamuki.backends.native import at, fma, function
from katamuki.errors import KatamukiError
from katamuki.records import Array
from katamuki.solvers.first_order import SGD, Adam, FirstOrder, RMSprop, adam, rmsprop, sgd

ULP = 8
MEMORY = {
    "SGD": ("momentum_buffer",),
    "RMSprop": ("square_avg", "grad_avg", "momentum_buffer"),
    "Adam": ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
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
    state = np.zeros(solver.blocks * p)
    for k, name in enumerate(MEMORY[type(solver).__name__]):
        if kept.get(name) is not None:
            state[k * p : (k + 1) * p] = kept[name].numpy()
    return state


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


def compare(solver: FirstOrder, params: Array, gradient: Array, kept: dict[str, Any], t: int, update: Any) -> float:
    """How far the rule's step is from PyTorch's, parameters and memory, from PyTorch's own state."""
    p = len(params)
    tensor, theirs = stranger(solver, params)
    theirs.state[tensor].update({name: value.clone() for name, value in kept.items()})
    tensor.grad = torch.tensor(gradient.copy())
    before = memory_of(solver, kept, p)
    ours, state = params.copy(), before.copy()
    update(ours, gradient, state, solver.packed(), p, float(t))
    theirs.step()
    after = memory_of(solver, theirs.state[tensor], p)
    kept_by_both = np.repeat([theirs.state[tensor].get(name) is not None for name in MEMORY[type(solver).__name__]], p)
    rest = len(kept_by_both)
    return max(
        ulps(params, tensor.detach().numpy(), ours),
        ulps(np.where(kept_by_both, before[:rest], 0.0), after[:rest], np.where(kept_by_both, state[:rest], 0.0)),
    )


shares = st.sampled_from([0.0, 0.1, 0.5, 0.9, 0.99, 0.999])
rates = st.floats(1e-5, 1.0)
decays = st.sampled_from([0.0, 0.01, 0.5])


@st.composite
def solvers(draw: Any) -> FirstOrder:
    which = draw(st.sampled_from(["SGD", "RMSprop", "Adam"]))
    if which == "SGD":
        nesterov = draw(st.booleans())
        momentum = draw(st.sampled_from([0.5, 0.9, 1.0] if nesterov else [0.0, 0.5, 0.9, 1.0]))
        dampening = 0.0 if nesterov else draw(st.sampled_from([0.0, 0.3]))
        return SGD(lr=draw(rates), momentum=momentum, dampening=dampening, weight_decay=draw(decays), nesterov=nesterov)
    if which == "RMSprop":
        return RMSprop(
            lr=draw(rates),
            alpha=draw(shares),
            eps=draw(st.sampled_from([1e-8, 1e-3])),
            momentum=draw(st.sampled_from([0.0, 0.9])),
            centered=draw(st.booleans()),
            weight_decay=draw(decays),
        )
    return Adam(
        lr=draw(rates),
        betas=(draw(shares), draw(shares)),
        eps=draw(st.sampled_from([1e-8, 1e-3])),
        weight_decay=draw(decays),
        amsgrad=draw(st.booleans()),
    )


@st.composite
def states(draw: Any, solver: FirstOrder, p: int) -> tuple[dict[str, Any], int]:
    """A memory that such a run may have: v is a mean of squares, so not below the mean's square."""
    t = draw(st.integers(1, 3000))
    if t == 1 and isinstance(solver, SGD):
        return {}, 1
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def some() -> Array:
        return rng.standard_normal(p) * 10.0 ** rng.uniform(-4, 4, p)

    mean = some()
    square = mean**2 * (1 + 10.0 ** rng.uniform(-3, 3, p))
    if isinstance(solver, SGD):
        return ({"momentum_buffer": torch.tensor(some())} if solver.momentum else {}), t
    kept: dict[str, Any] = {"step": torch.tensor(float(t - 1))}
    if isinstance(solver, RMSprop):
        kept["square_avg"] = torch.tensor(square)
        if solver.centered:
            kept["grad_avg"] = torch.tensor(mean)
        if solver.momentum:
            kept["momentum_buffer"] = torch.tensor(some())
        return kept, t
    kept |= {"exp_avg": torch.tensor(mean), "exp_avg_sq": torch.tensor(square)}
    if solver.amsgrad:
        kept["max_exp_avg_sq"] = torch.tensor(square * rng.uniform(1, 3, p))
    return kept, t


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_one_step_from_any_state_is_pytorchs(data: st.DataObject) -> None:
    solver, p = data.draw(solvers()), data.draw(st.integers(1, 9))
    kept, t = data.draw(states(solver, p))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    params = rng.standard_normal(p) * 10.0 ** rng.uniform(-3, 3, p)
    gradient = rng.standard_normal(p) * 10.0 ** rng.uniform(-6, 6, p)
    assert compare(solver, params, gradient, kept, t, solver.update) <= ULP


MODELS = {
    2: lambda x, p: p[0] * x + p[1],
    3: lambda x, p: p[0] * torch.exp(-p[1] * x) + p[2],
    4: lambda x, p: p[0] * torch.sin(p[1] * x) + p[2] * x + p[3],
    5: lambda x, p: p[0] + p[1] * x + p[2] * x**2 + p[3] * x**3 + p[4] * torch.cos(x),
}


@settings(max_examples=40, deadline=None)
@given(solvers(), st.sampled_from(sorted(MODELS)), st.integers(0, 2**32 - 1))
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
        worst = max(worst, compare(solver, tensor.detach().numpy(), tensor.grad.numpy(), kept, t, solver.update))
        theirs.step()
    assert worst <= ULP


def wrong(rule: Any, place: int, factor: float) -> Any:
    """The rule with one option off by a little."""

    def update(params: Array, gradient: Array, state: Array, options: Array, p: int, t: float) -> None:
        off = options.copy()
        off[place] *= factor
        rule(params, gradient, state, off, p, t)

    return update


@pytest.mark.parametrize(
    ("solver", "place"),
    [
        (SGD(lr=0.1, momentum=0.9, dampening=0.1), 0),
        (SGD(lr=0.1, momentum=0.9, dampening=0.1), 1),
        (SGD(lr=0.1, momentum=0.9, dampening=0.1), 2),
        (RMSprop(lr=0.1, momentum=0.5), 1),
        (RMSprop(lr=0.1, eps=0.1), 2),
        (RMSprop(lr=0.1, momentum=0.5), 3),
        (Adam(lr=0.1), 1),
        (Adam(lr=0.1), 2),
        (Adam(lr=0.1, eps=0.1), 3),
        (Adam(lr=0.1, weight_decay=0.1), 4),
    ],
)
def test_a_rule_that_is_a_little_wrong_is_noticed(solver: FirstOrder, place: int) -> None:
    rng = np.random.default_rng(1)
    params, gradient = rng.standard_normal(3), rng.standard_normal(3)
    mean = rng.standard_normal(3)
    kept: dict[str, Any] = {"step": torch.tensor(4.0)}
    kept |= {name: torch.tensor(np.abs(mean) + 1.0) for name in MEMORY[type(solver).__name__]}
    unused = {"grad_avg", "max_exp_avg_sq"} | (set() if getattr(solver, "momentum", 0) else {"momentum_buffer"})
    kept = {name: value for name, value in kept.items() if name not in unused}
    assert compare(solver, params, gradient, kept, 5, solver.update) <= ULP
    assert compare(solver, params, gradient, kept, 5, wrong(solver.update, place, 1 + 1e-9)) > ULP


SIGNATURE = "int64(double*, double*, double*, double*, int64, double)"


@function(SIGNATURE)
def sgd_alone(params, gradient, state, options, p, t):  # type: ignore[no-untyped-def]
    sgd(params, gradient, state, options, p, t)
    return 0


@function(SIGNATURE)
def rmsprop_alone(params, gradient, state, options, p, t):  # type: ignore[no-untyped-def]
    rmsprop(params, gradient, state, options, p, t)
    return 0


@function(SIGNATURE)
def adam_alone(params, gradient, state, options, p, t):  # type: ignore[no-untyped-def]
    adam(params, gradient, state, options, p, t)
    return 0


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_compiled_rule_is_the_readable_one_bit_for_bit(data: st.DataObject) -> None:
    solver, p = data.draw(solvers()), data.draw(st.integers(1, 5))
    kept, t = data.draw(states(solver, p))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    params, gradient = rng.standard_normal(p), rng.standard_normal(p)
    options, state = solver.packed(), memory_of(solver, kept, p)
    compiled = {"SGD": sgd_alone, "RMSprop": rmsprop_alone, "Adam": adam_alone}[type(solver).__name__]
    fast, fast_state = params.copy(), state.copy()
    compiled(fast.ctypes.data, gradient.ctypes.data, fast_state.ctypes.data, options.ctypes.data, p, float(t))
    solver.update(params, gradient, state, options, p, float(t))
    assert fast.tobytes() == params.tobytes()
    assert fast_state.tobytes() == state.tobytes()


@given(*[st.floats(-1e150, 1e150) for _ in range(3)])
def test_fma_in_plain_python_rounds_once(x: float, y: float, z: float) -> None:
    from mpmath import mp, mpf

    with mp.workdps(800):
        assert fma(x, y, z) == float(mpf(x) * mpf(y) + mpf(z))


def test_fma_in_plain_python_keeps_nan_and_infinity() -> None:
    assert fma(math.inf, 1.0, 0.0) == math.inf
    assert math.isnan(fma(math.nan, 1.0, 0.0))
    assert at(np.arange(3.0), 1).tolist() == [1.0, 2.0]


def test_defaults_are_pytorchs() -> None:
    for solver in (SGD(), RMSprop(), Adam()):
        theirs = getattr(torch.optim, type(solver).__name__)([torch.zeros(1, requires_grad=True)]).defaults
        for name, value in options_of(solver).items():
            assert theirs[name] == value, name


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

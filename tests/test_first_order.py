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
from torch_optim import (
    SOME,
    compare,
    memory_of,
    options_of,
    seeds,
    solvers,
    some_state,
    steps,
    stranger,
)

ULP = 8


@pytest.fixture(autouse=True)
def doubles() -> Any:
    """Float64 throughout: with float32 as default dtype PyTorch keeps some of its scalars in it."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    yield
    torch.set_default_dtype(before)


def test_every_option_is_tried() -> None:
    for one in FIRST_ORDER:
        if one is not SGD:
            assert SOME[one.__name__].keys() | {"lr"} == options_of(one()).keys()


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

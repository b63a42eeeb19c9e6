"""One pass of value and normal equations of ``a*exp(-b*x) + c``: nanoseconds per row on one core.

Beside it the two limits of the machine: reading the two columns once, and computing one exp per row from the first-
level cache by the same compiled code.
"""

from __future__ import annotations

import time
from statistics import median

import numpy as np
from timing import limit_row

from katamuki import formula
from katamuki.backends.kernel import Kernel
from katamuki.backends.native import call_rows, function
from katamuki.problem import Problem

N = 10_000_000  # two columns of 80 MB: more than a cache holds
BLOCK = 256


@function("int64(double*, double*, int64, double*)", sums=True)
def read(x, y, n, out):  # type: ignore[no-untyped-def]
    """Σx + Σy: what memory alone costs."""
    total = 0.0
    for i in range(n):
        total += x[i] + y[i]
    out[0] = total
    return 0


def passes(call, rounds: int = 15) -> float:  # type: ignore[no-untyped-def]
    """Median nanoseconds per row."""
    call()
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return median(found) / N * 1e9


def vector_bits() -> int:
    """The widest vectors this machine computes with."""
    import llvmlite.binding as llvm

    return 512 if llvm.get_host_cpu_features().get("avx512f") else 256


def exp_limit() -> float:
    """Nanoseconds per row for exp alone, over a block that stays in the cache."""
    model = formula.parse("y ~ exp(k*x)", ("x", "y"))
    kernel = Kernel(model.rhs)
    x = np.linspace(-3.0, 0.0, BLOCK)
    pointers = np.array([x.ctypes.data], dtype=np.int64)
    k = np.array([1.0])
    out = np.empty(BLOCK)
    times = block_times(kernel.address, pointers, k, out)
    return times / BLOCK * 1e9


@function("int64(int64, double**, double*, double*, int64)")
def repeat(kernel, columns, params, out, count):  # type: ignore[no-untyped-def]
    """Compute one block many times."""
    for _ in range(count):
        call_rows(kernel, columns, params, 0, 256, out, out, 0)
    return 0


def block_times(address: int, pointers: np.ndarray, k: np.ndarray, out: np.ndarray) -> float:
    """Seconds per block."""
    count = 20_000
    arguments = (address, pointers.ctypes.data, k.ctypes.data, out.ctypes.data)
    repeat(*arguments, 1)
    found = []
    for _ in range(9):
        began = time.perf_counter()
        repeat(*arguments, count)
        found.append((time.perf_counter() - began) / count)
    return median(found)


if __name__ == "__main__":
    rng = np.random.default_rng(3)
    x = rng.uniform(0.0, 4.0, N)
    y = 2.5 * np.exp(-1.3 * x) + 0.5
    model = formula.parse("y ~ a*exp(-b*x) + c", ("x", "y"))
    kernel = Kernel(model.rhs)
    problem = Problem(kernel, [x], y, None, {"a": 2.0, "b": 1.0, "c": 0.0}, ("a", "b", "c"), threads=1)
    out = np.empty(1)
    memory = passes(lambda: read(x.ctypes.data, y.ctypes.data, N, out.ctypes.data))
    spent = passes(lambda: problem.normal(problem.values))
    bits = vector_bits()
    limit_row(
        "kernel: value, normal equations, 3 parameters",
        f"one core, {bits}-bit vectors",
        spent,
        "ns/row",
        2.5 if bits == 512 else 4.5,
        memory=f"{memory:.2f} ns",
        exp=f"{exp_limit():.2f} ns",
    )

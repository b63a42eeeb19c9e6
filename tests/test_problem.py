"""Passes over the rows against NumPy; threads and chunks change nothing."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from katamuki import graph, losses
from katamuki.backends.kernel import Kernel
from katamuki.problem import CHUNK, MANY, SMALL, Problem, passes


def decay() -> Kernel:
    """a*exp(-b*x) + c."""
    b = graph.Builder()
    x = b.leaf("column", "x")
    first, rate, floor = (b.leaf("parameter", name) for name in "abc")
    return Kernel(b.graph([b("add", b("mul", first, b("exp", b("neg", b("mul", rate, x)))), floor)]))


KERNEL = decay()
VALUES = {"a": 2.0, "b": 0.7, "c": 0.3}


def make(n, free="abc", weighted=False, threads=1, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 3, n)
    y = 2.1 * np.exp(-0.6 * x) + 0.2 + rng.normal(0, 0.1, n)
    w = rng.uniform(0.5, 2, n) if weighted else None
    return Problem(KERNEL, [x], y, w, VALUES, free, threads)


def parts(problem):
    """Weighted residuals and derivatives by NumPy."""
    (x,) = problem.columns
    e = np.exp(-0.7 * x)
    root = 1.0 if problem.root is None else problem.root
    columns = {"a": e, "b": -2.0 * x * e, "c": np.ones_like(x)}
    r = (problem.y - (2.0 * e + 0.3)) * root
    return r, np.stack([columns[name] * root for name in problem.free_names], axis=1)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [1, 7, 256, 257, 5000, 2 * CHUNK + 13])
@pytest.mark.parametrize("free", ["abc", "ca", "b"])
def test_sums_and_triangle_agree_with_numpy(n, free, weighted):
    problem = make(n, free, weighted)
    r, jacobian = parts(problem)
    p = len(free)
    sums = problem.normal(problem.values)
    assert sums[0] == pytest.approx(r @ r, rel=1e-12)
    assert np.allclose(sums[1 : 1 + p], jacobian.T @ r, rtol=1e-10, atol=1e-12 * n)
    assert np.allclose(sums[1 + p :], (jacobian.T @ jacobian)[np.triu_indices(p)], rtol=1e-12)
    assert problem.rss(problem.values) == pytest.approx(r @ r, rel=1e-12)
    linearised = problem.linearise(problem.values[problem.free])
    assert np.allclose(linearised.r.T @ linearised.r, jacobian.T @ jacobian, rtol=1e-11)
    assert np.allclose(linearised.r.T @ linearised.qtr, jacobian.T @ r, rtol=1e-9, atol=1e-12 * n)
    assert linearised.n == n
    gradient = problem.gradient(problem.values[problem.free])
    assert np.allclose(gradient, -2 / n * jacobian.T @ r, rtol=1e-9, atol=1e-12)


def test_the_cholesky_route_gives_the_triangle_of_the_qr():
    problem = make(4000)
    quick = problem.triangle(problem.values)
    problem.rough = True
    exact = problem.triangle(problem.values, exact=True)
    q = problem.p + 1
    one, two = quick[1:].reshape(q, q), exact[1:].reshape(q, q)
    assert np.allclose(one.T @ one, two.T @ two, rtol=1e-10)
    assert not problem.ill


def test_nearly_dependent_columns_leave_the_cholesky_route():
    b = graph.Builder()
    x = b.leaf("column", "x")
    one, two = b.leaf("parameter", "a"), b.leaf("parameter", "b")
    kernel = Kernel(b.graph([b("add", b("mul", one, x), b("mul", two, b("add", x, b("mul", 1e-7, b("mul", x, x)))))]))
    x = np.linspace(1, 2, 100)
    problem = Problem(kernel, [x], x, None, {"a": 1.0, "b": 1.0}, "ab", 1)
    triangle = problem.triangle(problem.values)[1:].reshape(3, 3)
    assert problem.ill
    expected = np.linalg.qr(np.stack([x, x + 1e-7 * x * x], axis=1), mode="r")
    assert abs(triangle[1, 1]) == pytest.approx(abs(expected[1, 1]), rel=1e-6)


def test_the_bits_do_not_depend_on_threads():
    n = 5 * CHUNK + 77
    one, two, many = (make(n, weighted=True, threads=k) for k in (1, 2, 5))
    assert n > SMALL
    for exact in (False, True):
        results = [problem.triangle(problem.values, exact=exact).tobytes() for problem in (one, two, many)]
        assert results[0] == results[1] == results[2]
    assert one.rss(one.values) == two.rss(two.values) == many.rss(many.values)


def test_four_python_threads_at_once_and_a_fork_after():
    problem = make(6 * CHUNK, threads=2)
    expected = problem.triangle(problem.values, exact=True).tobytes()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: problem.triangle(problem.values, exact=True).tobytes(), range(8)))
    assert set(found) == {expected}
    problem.close()
    child = os.fork()
    if child == 0:
        os._exit(0 if problem.triangle(problem.values, exact=True).tobytes() == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_residuals_come_in_the_order_of_the_rows():
    problem = make(1000, weighted=True)
    (x,) = problem.columns
    assert np.allclose(problem.residuals(problem.values), problem.y - (2.0 * np.exp(-0.7 * x) + 0.3), atol=1e-14)


def test_an_overflow_is_kept_and_seen():
    problem = make(100)
    assert not np.isfinite(problem.rss(np.array([1.0, -1e6, 0.0])))


def test_an_interrupted_pass_leaves_no_thread_at_work() -> None:
    """This used to return while threads still read and wrote arrays that their owner was about to free."""
    n = SMALL + 1
    problem = Problem(KERNEL, [np.ones(n)], np.ones(n), None, VALUES, "abc", 2)
    at_work: list[int] = []
    begun = threading.Event()

    def slow_pass(*arguments: int) -> int:
        start = arguments[6]
        if start == 0:
            begun.wait(60)
            raise KeyboardInterrupt
        at_work.append(start)
        begun.set()
        time.sleep(0.1)
        at_work.remove(start)
        return 0

    with pytest.raises(KeyboardInterrupt):
        problem.over_rows(slow_pass, np.ones(3), 1, ())
    assert begun.is_set()
    assert not at_work
    problem.close()


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_is_that_of_the_table_of_losses(weighted: bool) -> None:
    problem = make(700, weighted=weighted)
    r = problem.y - (2.0 * np.exp(-0.7 * problem.columns[0]) + 0.3)
    assert problem.loss(np.array([2.0, 0.7, 0.3])) == pytest.approx(
        losses.mean("squared", r, problem.weights), rel=1e-13
    )


@pytest.mark.parametrize("p", [1, 2, 7, 20])
def test_the_compiled_cholesky_is_numpys(p):
    jacobian = np.random.default_rng(p).normal(size=(50, p + 1)) * np.logspace(-3, 3, p + 1)
    squares = jacobian.T @ jacobian
    sums = np.concatenate([[squares[p, p]], squares[:p, p], squares[:p, :p][np.triu_indices(p)]])
    out, q = np.empty(1 + (p + 1) ** 2), p + 1
    assert passes.factor(sums.ctypes.data, p, 1e-5, out.ctypes.data) == 0
    assert out[0] == sums[0]
    assert np.allclose(out[1:].reshape(q, q), np.linalg.cholesky(squares).T, rtol=1e-10)
    readable = np.empty_like(out)
    assert passes.factor.python(sums, p, 1e-5, readable) == 0
    assert readable == pytest.approx(out, rel=1e-12)


def test_the_compiled_cholesky_says_what_it_cannot_do():
    out = np.empty(10)
    dependent, overflown = np.array([3.0, 1, 1, 1, 1, 1]), np.array([3.0, 1, 1, np.inf, 1, 1])
    assert passes.factor(dependent.ctypes.data, 2, 1e-5, out.ctypes.data) == 1
    assert passes.factor(overflown.ctypes.data, 2, 1e-5, out.ctypes.data) == 2
    assert np.isnan(out).all()


def test_tasks_are_longer_where_there_are_many_rows_and_sums_stay_the_same() -> None:
    n = MANY + 5
    x = np.random.default_rng(4).uniform(0.0, 3.0, n)
    b = graph.Builder()
    one = b.leaf("parameter", "a")
    kernel = Kernel(b.graph([b("mul", one, b("exp", b("neg", b.leaf("column", "x"))))]))
    sums = []
    for threads in (1, 2):
        problem = Problem(kernel, [x], np.sin(x), None, {"a": 0.7}, "a", threads)
        assert problem.chunk > CHUNK
        sums.append(problem.normal(problem.full(0.7)))
        problem.close()
    np.testing.assert_array_equal(sums[0], sums[1])
    r, slope = np.sin(x) - 0.7 * np.exp(-x), np.exp(-x)
    for found, want in zip(sums[0], (r @ r, r @ slope, slope @ slope), strict=True):
        assert found == pytest.approx(want, rel=1e-12)

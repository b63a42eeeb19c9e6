"""Error bars from the triangle, against NumPy, mpmath and SciPy."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from katamuki import covariance
from katamuki.covariance import RANK, spread_of, uncertainty


def triangle(jacobian: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.linalg.qr(jacobian, mode="r"))


def random_jacobian(seed: int, rows: int, p: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(size=(rows, p)) * 10.0 ** random.uniform(-6, 6, p)


@given(seed=st.integers(0, 10_000), p=st.integers(1, 9))
def test_covariance_rank_condition_and_inflation_agree_with_numpy(seed: int, p: int) -> None:
    jacobian = random_jacobian(seed, 25, p)
    found = uncertainty(triangle(jacobian), 7.0, 25, False)
    length = np.linalg.norm(jacobian, axis=0)
    scaled = jacobian / length
    inverse = np.linalg.inv(scaled.T @ scaled)
    expected = 7.0 / (25 - p) * inverse / np.outer(length, length)
    assert found.rank == p
    assert found.dof == 25 - p
    # 10 digits: the normal equations square a condition of at most 100.
    np.testing.assert_allclose(found.covariance, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).min())
    np.testing.assert_allclose(found.stderr, np.sqrt(np.diag(expected)), rtol=1e-10)
    np.testing.assert_allclose(found.inflation, np.diag(inverse), rtol=1e-10)
    np.testing.assert_allclose(found.singular, np.linalg.svd(scaled, compute_uv=False), rtol=1e-12)
    assert found.condition == pytest.approx(np.linalg.cond(scaled), rel=1e-11)
    columns = jacobian @ found.root
    np.testing.assert_allclose(columns.T @ columns, np.eye(p), atol=1e-11)


def test_a_wrong_triangle_gives_other_error_bars() -> None:
    jacobian = random_jacobian(3, 20, 3)
    wrong = triangle(jacobian)
    wrong[2, 2] *= 1.001
    right = uncertainty(triangle(jacobian), 1.0, 20, False).stderr
    assert np.abs(uncertainty(wrong, 1.0, 20, False).stderr / right - 1).max() > 1e-5


@pytest.mark.parametrize("degree", [4, 7, 10])
def test_standard_errors_of_ill_conditioned_triangles_agree_with_mpmath(degree: int) -> None:
    x = np.linspace(-8.9, -3.1, 82)  # Filip's range
    r = triangle(x[:, None] ** np.arange(degree + 1))
    found = uncertainty(r, 1.0, 82, True)
    with mpmath.workdps(60):
        inverse = mpmath.inverse(mpmath.matrix(r.tolist()))
        exact = [float(mpmath.sqrt(sum(one * one for one in inverse[k, :]))) for k in range(degree + 1)]
    assert found.rank == degree + 1
    # Back substitution loses about the digits that the scaled condition says, up to 1e10 here.
    np.testing.assert_allclose(found.stderr, exact, rtol=1e-15 * found.condition)
    assert np.abs(found.stderr / exact - 1).max() < 1e-9


def test_sigma_known_does_not_scale_by_the_scatter() -> None:
    r = triangle(random_jacobian(5, 12, 2))
    known, scaled = uncertainty(r, 30.0, 12, True), uncertainty(r, 30.0, 12, False)
    np.testing.assert_allclose(scaled.covariance, 3.0 * known.covariance, rtol=1e-14)


def test_without_degrees_of_freedom_there_is_no_error_bar() -> None:
    found = uncertainty(triangle(random_jacobian(6, 3, 3)), 0.0, 3, False)
    assert found.dof == 0
    assert found.rank == 3
    assert np.isnan(found.stderr).all()
    assert np.isnan(found.covariance).all()


def test_degrees_of_freedom_can_be_given() -> None:
    found = uncertainty(np.eye(2), 12.0, 8, False, dof=4)
    assert found.dof == 4
    np.testing.assert_allclose(found.stderr, [math.sqrt(3.0)] * 2)


@pytest.mark.parametrize("scale", [1.0, 1e-150, 1e150])
def test_two_proportional_columns_leave_the_third_parameter_its_error_bar(scale: float) -> None:
    random = np.random.default_rng(8)
    x = random.normal(size=15)
    jacobian = np.column_stack([x, np.ones(15), 1e3 * x]) * scale
    found = uncertainty(triangle(jacobian), 5.0, 15, False)
    assert found.rank == 2
    assert found.dof == 13
    assert found.condition == math.inf
    assert np.isnan(found.stderr[[0, 2]]).all()
    two = jacobian[:, :2] / scale
    expected = math.sqrt(5.0 / 13 * np.linalg.inv(two.T @ two)[1, 1]) / scale
    assert found.stderr[1] == pytest.approx(expected, rel=1e-13)
    assert np.isnan(found.covariance[0]).all()
    assert np.isfinite(found.covariance[1, 1])
    assert np.isinf(found.inflation[[0, 2]]).all()
    direction = found.null[0] / found.null[0, 2]
    np.testing.assert_allclose(direction, [-1e3, 0.0, 1.0], rtol=1e-12)
    assert found.null[0, 1] == 0.0


def test_a_parameter_without_effect_is_undetermined_and_the_others_are_not() -> None:
    jacobian = random_jacobian(9, 10, 3)
    jacobian[:, 1] = 0.0
    found = uncertainty(triangle(jacobian), 2.0, 10, False)
    assert found.rank == 2
    assert np.isnan(found.stderr).tolist() == [False, True, False]
    assert np.flatnonzero(found.null[0]).tolist() == [1]


def test_a_triangle_of_zeros_has_rank_zero() -> None:
    found = uncertainty(np.zeros((2, 2)), 2.0, 10, False)
    assert found.rank == 0
    assert np.isnan(found.stderr).all()
    assert found.null.shape == (2, 2)


@pytest.mark.parametrize(("tilt", "rank"), [(100 * RANK, 2), (RANK / 100, 1)])
def test_the_rank_falls_where_columns_are_parallel_to_rounding(tilt: float, rank: int) -> None:
    assert uncertainty(np.array([[1.0, 1.0], [0.0, tilt]]), 1.0, 9, False).rank == rank


def test_a_triangle_that_is_not_finite_has_no_error_bars() -> None:
    found = uncertainty(np.array([[1.0, math.nan], [0.0, 1.0]]), 1.0, 9, False)
    assert found.rank == 0
    assert np.isnan(found.stderr).all()
    assert np.isnan(found.condition)


def test_only_square_triangles_are_taken() -> None:
    with pytest.raises(ValueError, match="square"):
        uncertainty(np.ones((2, 3)), 1.0, 9, False)


def test_parameters_at_a_bound_are_held_and_the_others_stand_as_if_alone() -> None:
    jacobian = random_jacobian(11, 16, 3)
    held = np.array([False, True, False])
    found = uncertainty(triangle(jacobian), 4.0, 16, False, held=held)
    alone = uncertainty(triangle(jacobian[:, ~held]), 4.0, 16, False)
    assert found.rank == 2
    assert found.dof == 14
    assert np.isnan(found.stderr[1])
    np.testing.assert_allclose(found.stderr[~held], alone.stderr, rtol=1e-12)
    np.testing.assert_allclose(found.covariance[np.ix_(~held, ~held)], alone.covariance, rtol=1e-11)
    columns = jacobian @ found.root
    np.testing.assert_allclose(columns.T @ columns, np.diag([1.0, 1.0, 0.0]), atol=1e-12)
    assert found.condition == pytest.approx(alone.condition, rel=1e-12)


def test_with_every_parameter_at_a_bound_nothing_is_left() -> None:
    found = uncertainty(np.eye(2), 4.0, 16, False, held=np.array([True, True]))
    assert found.rank == 0
    assert found.dof == 16
    assert np.isnan(found.stderr).all()
    assert not found.root.any()


def test_read_only_and_other_layouts_of_a_triangle_give_the_same() -> None:
    r = triangle(random_jacobian(12, 16, 3))
    frozen = r.copy()
    frozen.flags.writeable = False
    expected = uncertainty(r, 4.0, 16, False).covariance
    for given_r in (frozen, np.asfortranarray(r), np.pad(r, 1)[1:-1, 1:-1]):
        np.testing.assert_array_equal(uncertainty(given_r, 4.0, 16, False).covariance, expected)


@pytest.mark.parametrize("dependent", [False, True])
def test_the_compiled_function_and_its_plain_python_agree(dependent: bool) -> None:
    jacobian = random_jacobian(13, 12, 4)
    if dependent:
        jacobian[:, 3] = jacobian[:, 0] - 2 * jacobian[:, 1]
    r = triangle(jacobian)
    plain = np.full(5 * 16 + 17, np.nan)
    rank = spread_of.python(r.ravel(), 4, 3.0, 12.0, -1.0, 0, plain)
    found = uncertainty(r, 3.0, 12, False)
    assert rank == found.rank == (3 if dependent else 4)
    np.testing.assert_allclose(plain[:32], found.buffer[:32], rtol=1e-12)
    np.testing.assert_allclose(plain[48:61], found.buffer[48:61], rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("dependent", [False, True])
def test_many_parameters_go_to_lapack_with_the_same_result(
    dependent: bool, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    jacobian = random_jacobian(14, 200, 70)
    if dependent:
        jacobian[:, 3] = jacobian[:, 0] - 2 * jacobian[:, 1]
        jacobian[:, 60] = 0.0
    r = triangle(jacobian)
    blocked = uncertainty(r, 3.0, 200, known)
    monkeypatch.setattr(covariance, "MANY", 100)
    jacobi = uncertainty(r, 3.0, 200, known)
    assert blocked.rank == jacobi.rank == (68 if dependent else 70)
    assert blocked.dof == jacobi.dof
    spread = np.nan_to_num(jacobi.stderr)
    np.testing.assert_allclose(
        blocked.covariance, jacobi.covariance, rtol=1e-9, atol=1e-11 * float(np.outer(spread, spread).max())
    )
    for name in ("stderr", "inflation", "length"):
        np.testing.assert_allclose(getattr(blocked, name), getattr(jacobi, name), rtol=1e-10)
    np.testing.assert_allclose(blocked.singular[:68], jacobi.singular[:68], rtol=1e-11)
    unit = np.outer(jacobi.length, jacobi.length)
    np.testing.assert_allclose(blocked.root @ blocked.root.T * unit, jacobi.root @ jacobi.root.T * unit, atol=1e-10)
    assert blocked.null.shape == jacobi.null.shape
    np.testing.assert_allclose((blocked.null != 0).any(axis=0), (jacobi.null != 0).any(axis=0))

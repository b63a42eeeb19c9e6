"""The answer check of a least loss on an edge: claims by hand with NumPy, right ones and wrong ones of each kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import katamuki as km
from katamuki.check import judge
from katamuki.records import Edge, Solution
from sticks import STICK, broken


def by_hand(data: dict[str, np.ndarray], c: float, weights: np.ndarray | None = None) -> Solution:
    """The claim that the loss is least with the corner at c, by NumPy: error bars from the mean of both sides."""
    x, y = data["x"], data["y"]
    w = np.ones(40) if weights is None else weights
    root = np.sqrt(w)
    columns = np.column_stack([np.ones(40), np.maximum(x - c, 0.0)])
    a, b = np.linalg.lstsq(root[:, None] * columns, root * y, rcond=None)[0]
    rss = float(w @ (y - columns @ [a, b]) ** 2)
    information = np.zeros((3, 3))
    for beyond in (x >= c, x > c):
        slopes = root[:, None] * np.column_stack([columns, -b * beyond])
        information += 0.5 * slopes.T @ slopes
    covariance = np.linalg.inv(information) * rss / 37
    bars = np.sqrt(np.diag(covariance)).tolist()
    middle = (w @ y) / w.sum()
    row = int(np.argmin(np.abs(x - c))) + 1
    return Solution(
        formula=STICK, response="y", columns=("y", "x"), params={"a": float(a), "b": float(b), "c": c},
        free=("a", "b", "c"), stderr=dict(zip("abc", bars, strict=True)), covariance=covariance,
        start={"a": float(a), "b": float(b), "c": c + 0.1}, bounds={}, at_bound=(), linear=False, state="converged",
        solver="levenbergmarquardt", options={"max_steps": 1000}, loss=rss / 40, rss=rss,
        tss=float(w @ (y - middle) ** 2), n=40, dof=37, sigma_is=None, weighted=weights is not None, steps=1,
        evaluations=1, seconds=0.0, edges=(Edge("c", "max(x - c, 0)", row),),
    )  # fmt: skip


def least(data: dict[str, np.ndarray], weights: np.ndarray | None = None) -> float:
    """The row's x with the least loss of all rows."""
    return min(data["x"][1:-1].tolist(), key=lambda c: by_hand(data, c, weights).rss)


@pytest.mark.parametrize(("seed", "weighted"), [(4, False), (7, False), (24, False), (4, True), (7, True)])
def test_a_claim_of_an_edge_by_hand_passes(seed, weighted):
    data = broken(seed)
    weights = np.linspace(1.0, 1.05, 40) if weighted else None
    claim = by_hand(data, least(data, weights), weights)
    found = judge(claim, data, weights)
    assert (found.verdict, found.reason) == ("PASS", "check.pass.edge")
    assert found.values["names"] == ("c",)
    assert min(found.digits["a"], found.digits["b"]) > 10.0
    assert np.isnan(found.digits["c"])
    assert min(found.stderr_digits.values()) > 6.0
    assert found.answer["c"] == claim.params["c"]


def wrong(claim: Solution, data: dict[str, np.ndarray], reason: str) -> None:
    found = judge(claim, data, None)
    doubts = found.facts.get("doubts", ())
    assert found.verdict == "FAIL"
    assert f"check.fail.{reason}" in doubts


@pytest.mark.parametrize("seed", [4, 7, 24])
def test_a_corner_beside_the_edge_of_least_loss_fails(seed):
    data = broken(seed)
    right = least(data)
    x = data["x"]
    at = int(np.argmin(np.abs(x - right)))
    wrong(by_hand(data, float(x[at - 1])), data, "edge")  # the loss falls from there
    wrong(by_hand(data, float(x[at + 1])), data, "edge")
    wrong(by_hand(data, right + 1e-4 * float(x[at + 1] - right)), data, "edge")  # between rows
    wrong(by_hand(data, right + 1e-4 * float(x[at - 1] - right)), data, "edge")


def test_a_minimum_between_rows_is_no_edge():
    data = broken(0)
    fit = km.fit(STICK, data)
    assert not fit.solution.edges
    wrong(replace(fit.solution, edges=(Edge("c", "max(x - c, 0)", 5),)), data, "edge")


def test_an_edge_that_is_claimed_as_a_smooth_minimum_fails():
    data = broken(4)
    wrong(replace(by_hand(data, least(data)), edges=()), data, "gradient")


def test_error_bars_that_hold_the_corner_for_known_fail():
    data = broken(4)
    claim = by_hand(data, least(data))
    held = km.fit(STICK, data, fixed={"c": claim.params["c"]})
    bars = {**claim.stderr, "a": held.stderr["a"], "b": held.stderr["b"]}
    wrong(replace(claim, stderr=bars), data, "stderr")
    wrong(replace(claim, stderr={**claim.stderr, "c": None}), data, "stderr")
    wrong(replace(claim, stderr={**claim.stderr, "c": 1.01 * claim.stderr["c"]}), data, "stderr")
    wrong(replace(claim, covariance=claim.covariance * 1.01), data, "covariance")


def test_the_others_must_be_at_their_least_and_the_counts_right():
    data = broken(4)
    claim = by_hand(data, least(data))
    wrong(replace(claim, params={**claim.params, "b": claim.params["b"] * (1.0 + 1e-4)}), data, "gradient")
    wrong(replace(claim, dof=38), data, "dof")
    wrong(replace(claim, rss=claim.rss * 1.001), data, "rss")


def test_a_curve_that_jumps_on_the_row_has_no_edge_there():
    """Its loss leaps to one side, however near; the sums there are claimed truly."""
    jumping, data = "y ~ a + (b*(x - c) if x > c else 0.3*c)", broken(1)
    with pytest.raises(km.NotConverged) as caught:
        km.fit(jumping, data)
    fit = caught.value.fit
    edge = fit.solution.reason["edge"]
    claim = replace(
        fit.solution, state="converged", reason={}, edges=(Edge("c", edge["part"], edge["row"]),), search=None
    )
    wrong(claim, data, "edge")


def test_an_edge_alone_and_one_beside_a_bound():
    draw = np.random.default_rng(5)
    x = np.sort(draw.uniform(0.0, 10.0, 30))
    data = {"x": x, "y": np.maximum(x - draw.uniform(3.0, 7.0), 0.0) + draw.standard_normal(30)}
    fit = km.fit("y ~ max(x - c, 0)", data)
    assert fit.solution.edges
    found = fit.check()
    assert (found.verdict, found.reason) == ("PASS", "check.pass.edge_alone")
    data = broken(4)
    a = km.fit(STICK, data).params["a"]
    for seed in range(4, 60):
        data = broken(seed)
        a = km.fit(STICK, data).params["a"]
        fit = km.fit(STICK, data, bounds={"a": (None, a - 0.001)})
        if fit.solution.edges and fit.solution.at_bound:
            break
    assert fit.stderr["a"] is None
    assert fit.stderr["c"] is not None
    assert fit.check().verdict == "PASS"
    inward = replace(fit.solution, bounds={"a": (-np.inf, fit.params["a"] + 1.0)}, at_bound=())
    assert judge(inward, data, None).verdict == "FAIL"


def test_more_rows_than_scipy_sees_are_checked_on_a_sample():
    draw = np.random.default_rng(6)
    x = np.rint(draw.uniform(0.0, 10.0, 120_000))
    data = {"x": x, "y": 1.0 - 0.02 * np.maximum(x - 5.0, 0.0) + draw.standard_normal(len(x))}
    fit = km.fit(STICK, data, start={"a": 1.0, "b": -0.02, "c": 5.2}, starts=1)
    assert fit.solution.edges
    found = fit.check()
    assert (found.verdict, found.reason) == ("PASS", "check.pass.edge_sample")

"""L-BFGS's directions and Levenberg–Marquardt's systems, computed again from the printed digits alone."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

import katamuki as km
from intervals import Interval, evaluate, printed

pytestmark = pytest.mark.filterwarnings("ignore::katamuki.FitWarning")
NUMBER = r"−?\d+(?:\.\d+)?(?:e[+−]\d+)?"
DECAY = {"t": [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0], "y": [3.05, 2.01, 1.42, 1.12, 0.85, 0.63, 0.56, 0.49]}


def vector(line: str) -> list[Interval]:
    """The numbers of "a 1.5   b −2"."""
    return [printed(one) for one in re.findall(rf"(?<= ){NUMBER}", line.partition(":")[2])]


def dot(u: list[Interval], v: list[Interval]) -> Interval:
    total = Interval(0.0, 0.0)
    for one, other in zip(u, v, strict=True):
        total = total + one * other
    return total


def second_iteration(text: str) -> dict[str, str]:
    part = text[text.index("iteration 2") : text.index("iteration 3")]
    return {line.strip().partition(" ")[0].rstrip(":"): line for line in part.splitlines()}


def problems(text: str) -> list[str]:
    """What in the second iteration does not follow from what stands above it."""
    lines = second_iteration(text)
    first = text[text.index("iteration 1") : text.index("iteration 2")]
    moved, turned = vector(lines["Δp"]), vector(lines["Δg"])
    g = vector(lines["iteration"].partition("g")[2])
    before = vector(first.splitlines()[0].partition("g")[2])
    curved, square = (printed(one) for one in re.findall(rf"= ({NUMBER})", lines["Δp·Δg"]))
    alpha, beta = (re.search(rf"= ({NUMBER}) / ({NUMBER}) = ({NUMBER})", lines[one]) for one in ("α", "β"))
    assert alpha is not None
    assert beta is not None
    q, d = (vector(lines[one]) for one in ("q", "d"))
    a, b = printed(alpha[3]), printed(beta[3])
    minus = Interval(-1.0, -1.0)
    wrong = []

    def claim(what: str, follows: Interval, shown: Interval) -> None:
        if not follows.holds(shown):
            wrong.append(what)

    for k, one in enumerate(g):
        claim("Δg", one - before[k], turned[k])
        claim("q", (one - a * turned[k]) * (curved / square), q[k])
        claim("d", minus * (q[k] + (a - b) * moved[k]), d[k])
    claim("Δp·Δg", dot(moved, turned), curved)
    claim("Δg·Δg", dot(turned, turned), square)
    claim("Δp·g", dot(moved, g), printed(alpha[1]))
    claim("Δg·q", dot(turned, q), printed(beta[1]))
    claim("α", evaluate(f"{alpha[1]} / {alpha[2]}", {}), a)
    claim("β", evaluate(f"{beta[1]} / {beta[2]}", {}), b)
    return wrong


def test_the_second_iteration_of_l_bfgs_follows_from_what_is_printed() -> None:
    start = {"a": 2.0, "b": 1.0, "c": 0.1}
    whole = km.fit("y ~ a*exp(-b*t) + c", DECAY, start=start, solver=km.LBFGS()).step(1).explain()
    text = re.sub(r"\n {11}(?=\S)", "   ", whole)
    assert problems(text) == []
    lines = second_iteration(text)
    for name, instead in (("α", "β"), ("q", "q"), ("d", "d")):
        number = re.findall(NUMBER, lines[name])[-1]
        digits = list(number)
        place = next(k for k, one in enumerate(digits) if one in "123456789")
        digits[place] = "9" if digits[place] != "9" else "8"
        wrong = text.replace(lines[name], lines[name][: lines[name].rindex(number)] + "".join(digits))
        assert problems(wrong), (name, instead)


def test_directions_of_more_pairs_are_said_not_to_follow() -> None:
    text = km.fit("y ~ a*exp(-b*t) + c", DECAY, start={"a": 2.0, "b": 1.0, "c": 0.1}, solver=km.LBFGS()).step(1)
    said = text.explain()
    many = sum(one.pairs > 1 for one in text.iterations[:6])
    assert said.count("are not printed") == many > 0
    for one in text.iterations[1:]:
        assert one.moved is not None
        assert one.turned is not None
        curved = sum(one.moved[name] * one.turned[name] for name in "abc")
        assert one.diagonal == pytest.approx(curved / sum(value**2 for value in one.turned.values()), rel=1e-12)
    assert text.iterations[0].moved is None


def polynomial(p: int) -> km.Fit:
    """A curve of p parameters that is not linear in them."""
    rng = np.random.default_rng(p)
    x = np.linspace(-1.0, 1.0, 3 * p).round(3)
    names = [f"k{i}" for i in range(p - 1)]
    formula = "y ~ " + " + ".join(f"{name}*x**{i}" for i, name in enumerate(names)) + " + cos(q*x)"
    data = {"x": x, "y": np.cos(4.0 * x) + 0.1 * rng.standard_normal(len(x)).round(3)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        return km.fit(formula, data, start={**dict.fromkeys(names, 0.1), "q": 3.7}, solver=km.LevenbergMarquardt())


@pytest.mark.parametrize("p", [5, 6])
def test_systems_of_up_to_six_parameters_are_printed_and_solved_by_delta(p: int) -> None:
    step = polynomial(p).step(1)
    text = step.explain()
    assert max(map(len, text.splitlines())) <= 80
    part = text[text.index("JᵀJ = ") : text.index("4  New")]
    cells: dict[str, dict[str, Interval]] = {name: {} for name in step.free}
    titles: list[str] = []
    for line in part.splitlines():
        words = re.split(r"\s{2,}", line.strip())
        if words[0].startswith("JᵀJ k") or words[0] in {"JᵀJ q", "D²", "Jᵀr"}:
            titles = words
        elif words[0] in cells and len(words) == len(titles) + 1:
            cells[words[0]] |= dict(zip(titles, map(printed, words[1:]), strict=True))
    damping = printed(re.search(r"damping = (\S+)\n", part)[1])  # type: ignore[index]
    said = re.search(r"δ = ((?:.|\n)*?)   promised", part)
    assert said is not None
    delta = {name: printed(value) for name, value in re.findall(rf"(\w+) ({NUMBER})", said[1])}
    assert list(delta) == list(step.free)
    for name, row in cells.items():
        left = dot([row[f"JᵀJ {other}"] for other in step.free], list(delta.values()))
        assert (left + damping * row["D²"] * delta[name]).holds(row["Jᵀr"])
        wrong = left + damping * row["D²"] * delta[name] * Interval(3.0, 3.0) + row["Jᵀr"]
        assert not wrong.holds(row["Jᵀr"])
    fall = re.search(rf"Σ s − Σ s' = ({NUMBER}) − ({NUMBER}) = ({NUMBER})", part)
    assert fall is not None
    assert (printed(fall[1]) - printed(fall[2])).holds(printed(fall[3]))


def test_a_larger_system_is_said_not_to_be_printed() -> None:
    text = " ".join(polynomial(7).step(1).explain().split())
    assert "δ solves a system of 7 equations that is not printed" in text
    assert "not printed" not in polynomial(5).step(1).explain()


def test_a_glance_adds_up() -> None:
    """Promise and bend did not make the change where the surface is no parabola."""
    step = km.fit("y ~ a*exp(-b*t) + c", DECAY, start={"a": 2.0, "b": 1.0, "c": 0.1}, solver=km.LBFGS()).step(1)
    text = step.explain("glance")
    line = text[text.index("helped") :]
    numbers = [float(one.replace("−", "-").replace("+", "")) for one in re.findall(r"[+−]?\d+\.\d+", line)]
    before, after, *parts = numbers
    assert len(parts) == 3
    assert sum(parts) == pytest.approx(after - before, abs=3e-7)

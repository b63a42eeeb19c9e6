"""The printed story of a step: the tutorial's text, width, signs, levels, languages, HTML, and models of every kind."""

from __future__ import annotations

import json
import re
import unicodedata
import warnings
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import katamuki as km
from katamuki import messages
from katamuki.report.numbers import width
from test_explain_step_recompute import FORMULAS, SOLVERS, fitted

pytestmark = pytest.mark.filterwarnings("ignore::katamuki.FitWarning")
EXPECTED = Path(__file__).parent / "expected" / "step_tutorial.txt"
NOISE = re.compile(r"(agree to|change) −?\de−1\d")
NUMBER = re.compile(r"−?\d+(?:\.\d+)?(?:e[+−]\d+)?")


@pytest.fixture(scope="module")
def fit() -> km.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        solver = km.RMSprop(lr=0.001, steps=6000)
        return km.fit("y ~ a*x + b", km.datasets("tutorial"), start={"a": 0.5, "b": 0.5}, solver=solver)


def quiet(text: str) -> str:
    """The text without sizes that are rounding noise."""
    return NOISE.sub(r"\1 NOISE", text)


def test_the_tutorials_steps_are_printed_as_in_the_expected_file(fit: km.Fit) -> None:
    printed = "\n\n".join(fit.step(k).explain() for k in (1, 2, 3, 6000)) + "\n"
    assert quiet(printed) == quiet(EXPECTED.read_text(encoding="utf-8"))


def test_the_expected_file_has_the_numbers_of_the_tutorials_description() -> None:
    said = EXPECTED.read_text(encoding="utf-8")
    for part in (
        "Step 1 of 6000     RMSprop  lr=0.001  alpha=0.99  eps=1e-08     float64",
        "Y = A*Xi + B",
        "     9    12   10.84         6         6.5       −4.34   18.8356",
        "L = mean(s) = 82.5627 / 11 = 7.5057",
        "loss = mse(Y, Yi)",
        "= 0.0909091 · −5.08",
        "∂L/∂a  = Σ ∂L/∂m · x  = 2/11 · Σ e·x      = 2/11 · −247.6 = −45.0182",
        "= 2/11 · −27.51 = −5.00182",
        "a   v = 0.99·0 + 0.01·(−45.0182)² = 20.2664",
        "step = 0.001 · −45.0182 / √20.2664 = −0.01",
        "b   v = 0.99·0 + 0.01·(−5.00182)² = 0.250182",
        "4  New values     a: 0.5 → 0.51      b: 0.5 → 0.51",
        "L: 7.505700 → 7.016500     change −0.489200",
        "the slope promised −0.500200; the bend of the surface added +0.011000",
        "distance to least squares: a 0.00009 → 0.00991   b 2.50009 → 2.49009",
        "(its peak is 0.7195 at step 312)",
        "v = 0.99·20.2664 + 0.01·(−43.0182)² = 38.5693",
        "step = 0.001 · −43.0182 / √38.5693 = −0.00692677",
        "step = 0.001 · −4.80182 / √0.478255 = −0.00694346",
        "L: 7.016500 → 6.690462",
        "promised −0.331318; the bend of the surface added +0.005280",
        "2/11 · −0.055 = −0.01",
        "step = 0.001 · −0.1 / √0.01 = −0.001   (one whole lr)",
        "a: 0.499591 → 0.500591      b: 2.999591 → 3.000591",
        "promised −0.000110; the bend of the surface added +0.000110",
        "Two steps repeat: −lr/2, +lr/2 around 0.500091, 3.000091",
        "½·220·(lr/2)² = 110·(lr/2)² = 0.0000275",
        "diag(lr/√v)·H = 2.0000",
    ):
        assert part in said, part


@settings(max_examples=60, deadline=None)
@given(
    formula=st.sampled_from(sorted(FORMULAS)),
    solver=st.sampled_from([*SOLVERS, km.LevenbergMarquardt(), km.LBFGS(steps=3)]),
    n=st.integers(4, 40),
    weighted=st.booleans(),
    seed=st.integers(0, 1000),
    level=st.sampled_from(["glance", "numbers", "rules"]),
    lang=st.sampled_from(messages.languages()),
)
def test_lines_fit_the_paper_and_signs_are_true(
    formula: str, solver: object, n: int, weighted: bool, seed: int, level: str, lang: str
) -> None:
    fit = fitted(formula, solver, n, weighted, seed)
    text = fit.step(1).explain(level=level, row=n, lang=lang)  # type: ignore[arg-type]
    assert max(map(width, text.splitlines())) <= 80, text
    assert not [one for one in text if unicodedata.combining(one)]
    assert not re.search(r"[−-]0(?:\.0+)?(?![\d.])", re.sub(r"e[−-]\d+", "", text)), text
    assert not re.search(r"(?<![\w=])-\d", text.partition("\n")[2].replace("1e-", "")), text
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    assert "{" not in text
    assert "nan" not in text.lower().replace("finance", "")


@pytest.mark.parametrize("k", [1, 2, 3, 312, 1183, 3419, 6000])
def test_languages_carry_the_same_numbers(fit: km.Fit, k: int) -> None:
    step = fit.step(k)
    english = NUMBER.findall(step.explain(lang="en"))
    for lang in messages.languages():
        assert sorted(NUMBER.findall(step.explain(lang=lang))) == sorted(english)


def test_a_glance_is_six_lines_and_rules_have_no_numbers(fit: km.Fit) -> None:
    step = fit.step(17)
    assert len(step.explain("glance").splitlines()) == 6
    rules = step.explain("rules")
    assert "v ← alpha·v + (1 − alpha)·g²" in rules
    assert "∂L/∂a  = Σ ∂L/∂m · x  = 2/n · Σ e·x" in rules
    assert not re.search(r"\d\.\d", rules.partition("\n")[2])


def test_printing_a_step_prints_its_numbers(fit: km.Fit) -> None:
    assert str(fit.step(2)) == fit.step(2).explain("numbers", 1, "en")


def test_the_chosen_row_goes_backward(fit: km.Fit) -> None:
    text = fit.step(1).explain(row=9)
    assert "(row 9)" in text
    assert "∂L/∂s · 2e   = 0.0909091 · −8.68" in text
    assert "= −0.789091" in text


def test_long_data_are_not_printed_whole() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, 5000)
    fit = km.fit("y ~ a*x + b", {"x": x, "y": 2 * x + 1}, solver=km.Adam(lr=0.1, steps=20))
    text = fit.step(20).explain(row=777)
    assert len(text.splitlines()) < 60
    assert "…   4989 more rows; the sums are over all 5000" in text
    assert re.search(r"^ +777 ", text, re.M)


def test_many_parameters_are_not_printed_whole() -> None:
    names = [f"k{i}" for i in range(20)]
    rng = np.random.default_rng(0)
    data = {f"x{i}": rng.standard_normal(40) for i in range(20)} | {"y": rng.standard_normal(40)}
    formula = "y ~ " + " + ".join(f"{name}*x{i}" for i, name in enumerate(names))
    fit = km.fit(formula, data, solver=km.SGD(lr=0.01, steps=5))
    text = fit.step(3).explain()
    assert "… 8 more" in text
    assert max(map(width, text.splitlines())) <= 80


def test_names_of_the_story_are_no_names_of_the_user() -> None:
    data = {"e": [1.0, 2.0, 3.0, 4.0], "i": [0.1, 0.2, 0.4, 0.3], "L": [1.0, 1.5, 2.5, 3.0]}
    fit = km.fit("L ~ s*e + m*i + v", data, solver=km.RMSprop(lr=0.01, steps=3))
    step = fit.step(2)
    names = [node.name for node in step.tape.nodes]
    assert len(names) == len(set(names))
    assert {"e", "s", "m", "v", "i", "L"} <= set(names)
    assert {one.symbol for update in step.updates for one in update.equations}.isdisjoint({"v", "e", "s", "m"})
    assert step.explain()


def test_a_story_of_a_run_that_diverged_says_so_in_its_head(fit: km.Fit) -> None:
    with pytest.raises(km.NotConverged) as raised:
        km.fit("y ~ a*x + b", km.datasets("tutorial"), start={"a": 0.5, "b": 0.5}, solver=km.SGD(lr=0.0109, steps=6000))
    step = raised.value.fit.step(3)  # type: ignore[union-attr]
    for level in ("glance", "numbers", "rules"):
        head = step.explain(level).splitlines()[:2]
        assert "(the run diverged at step 4335)" in "".join(head)
    assert "diverged" not in fit.step(3).explain()


def test_the_pytorch_line_numbers_no_name_that_stands_alone() -> None:
    """A parameter W used to be W_2, for the sake of weights that there were not."""
    data = {"w": [1.0, 2.0, 3.0, 4.0], "x": [1.0, 3.0, 2.0, 5.0], "y": [1.0, 2.0, 4.0, 3.0]}
    plain = km.fit("y ~ a*w + W*x", data, solver=km.Adam(lr=0.1, steps=5))
    assert "Y = A*Wi + W*Xi" in plain.step(1).explain()
    assert "Y = A*Wi + W*Xi" in plain.to_code("torch")
    weighted = km.fit("y ~ a*w + W*x", data, weights=[1.0, 2.0, 1.0, 2.0], solver=km.Adam(lr=0.1, steps=5))
    assert "Y = A*Wi_2 + W*Xi" in weighted.step(1).explain()
    assert "loss = (Wi*(Y - Yi)**2).mean()" in weighted.step(1).explain()
    assert "Y = A*Wi_2 + W*Xi" in weighted.to_code("torch")


class Reader(HTMLParser):
    """Counts what is opened and closed, and keeps the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.headers = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.headers += tag == "th" and dict(attrs).get("scope") in {"col", "row"}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_html_is_well_formed_escaped_and_says_the_same_numbers(fit: km.Fit) -> None:
    reader = Reader()
    reader.feed(fit.step(1)._repr_html_())
    assert not reader.open
    assert reader.headers > 20
    said = " ".join(reader.text)
    assert sorted(NUMBER.findall(said)) == sorted(
        NUMBER.findall(re.sub(r"^(\d)  ", r"\1. ", str(fit.step(1)), flags=re.M))
    )
    data = {"<b>": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 4.0]}
    html = km.fit("y ~ a*`<b>` + b", data, solver=km.SGD(lr=0.01, steps=2)).step(1)._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;" in html


def test_models_of_pytorch_are_told_without_the_nodes_inside() -> None:
    import torch

    x = np.linspace(0, 2, 12)
    data = {"x": x, "y": np.exp(-x)}

    def model(columns: dict[str, torch.Tensor], params: dict[str, torch.Tensor]) -> torch.Tensor:
        return params["a"] * torch.exp(-params["b"] * columns["x"])

    solver = km.Adam(lr=0.05, steps=10)
    start = {"a": 0.5, "b": 0.5}
    fit = km.fit(model, data, target="y", inputs=["x"], start=start, solver=solver, backend="torch")
    same = km.fit("y ~ a*exp(-b*x)", data, start=start, solver=solver)
    one, two = fit.step(3), same.step(3)
    assert one.gradient == pytest.approx(two.gradient, rel=1e-10)
    assert one.after == pytest.approx(two.after, rel=1e-12)
    text = one.explain()
    assert "m' = " in text
    assert "∂L/∂a = " in text
    assert max(map(width, text.splitlines())) <= 80
    json.dumps(one.to_dict(), allow_nan=False)
    with pytest.raises(km.BackendError):
        one.autograd()
    assert "<svg" in one.draw(2).text


if __name__ == "__main__":
    warnings.simplefilter("ignore", km.FitWarning)
    run = km.fit(
        "y ~ a*x + b",
        km.datasets("tutorial"),
        start={"a": 0.5, "b": 0.5},
        solver=km.RMSprop(lr=0.001, steps=6000),
    )
    EXPECTED.write_text("\n\n".join(run.step(k).explain() for k in (1, 2, 3, 6000)) + "\n", encoding="utf-8")

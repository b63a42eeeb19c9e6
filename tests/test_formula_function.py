"""A plain NumPy function as a model: the same graph as the formula, or an error that says why not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katamuki.backends.numpy_ import evaluate
from katamuki.errors import FormulaError
from katamuki.formula import parse, trace
from katamuki.graph import COMPARISONS, Graph, text
from katamuki.ops import TABLE
from random_formulas import COLUMNS, PARAMETERS, graphs, point_of

HERE = ["x", "y", "z"]


def refused(function: Any, columns: list[str] | None = None, **more: Any) -> FormulaError:
    with pytest.raises(FormulaError) as caught:
        trace(function, columns or HERE, **more)
    str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("function", "formula"),
    [
        (lambda x, a, b: a * x + b, "y ~ a*x + b"),
        (lambda x, a, b, c: a * np.exp(-b * x) + c, "y ~ a*exp(-b*x) + c"),
        (lambda x, a, b: np.where(x > a, b, 2 * x), "y ~ b if x > a else 2*x"),
        (lambda x, a: np.maximum(np.float64(2) * x, a), "y ~ max(2*x, a)"),
        (lambda x, a: np.clip(a * x, 0, 1), "y ~ min(max(a*x, 0), 1)"),
        (lambda x, a: a * np.square(x) + 1 / np.sqrt(x), "y ~ a*x**2 + 1/sqrt(x)"),
        (lambda x, a: a * np.heaviside(x, 0.5), "y ~ a*heaviside(x)"),
        (lambda x, a: np.heaviside(x, 1) * a, "y ~ (1 if x == 0 else heaviside(x))*a"),
        (lambda x, a: a * ((x > 1) & ~(x < 3)), "y ~ a*((x > 1)*((x < 3) == 0))"),
        (lambda x, a: a**2 * abs(-x), "y ~ a**2*abs(-x)"),
        (lambda x, a: np.arctan(a * x) + np.pi, "y ~ atan(a*x) + 3.141592653589793"),
        (lambda x, log: log * x, "y ~ `log`*x"),
        (lambda x, a: a * ((x > 1) + (x < 3)), "y ~ a*max(x > 1, x < 3)"),
        (lambda x, a: a * ((x > 1) * 1 + (x < 3)), "y ~ a*((x > 1)*1 + (x < 3))"),
    ],
)
def test_a_function_is_the_formula_it_computes(function: Any, formula: str) -> None:
    model = trace(function, HERE)
    assert model.text == formula
    again = parse(model.text, HERE)
    assert text(again.rhs, again.rhs.outputs[0]) == text(model.rhs, model.rhs.outputs[0])
    assert model.columns == again.columns


def test_special_functions_of_scipy_are_known() -> None:
    from scipy import special

    assert trace(lambda x, a: a * special.erf(x) + special.expit(x), HERE).text == "y ~ a*erf(x) + sigmoid(x)"


def test_parameters_stand_in_the_order_of_the_signature() -> None:
    model = trace(lambda x, a, b, c: c + b * x + a, HERE)
    assert model.parameters == model.rhs.parameters == ("a", "b", "c")


@settings(max_examples=300)
@given(graphs(), st.integers(0, 2**32 - 1))
def test_a_traced_function_has_the_values_of_the_function(graph: Graph, seed: int) -> None:
    """The function is the graph's own text read by Python with NumPy's names."""
    numpy_names = {
        "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "abs": np.abs, "min": np.minimum, "max": np.maximum,
    }  # fmt: skip
    from scipy import special

    scope: dict[str, Any] = {
        "np": np,
        **numpy_names,
        "erf": special.erf,
        "erfc": special.erfc,
        "sigmoid": special.expit,
    }
    for name in ("exp", "log", "log10", "log2", "log1p", "expm1", "sqrt", "cbrt", "sin", "cos", "tan", "sinh", "cosh",
                 "tanh", "sign"):  # fmt: skip
        scope[name] = getattr(np, name)
    scope |= {"heaviside": lambda x: np.heaviside(x, 0.5), "softplus": lambda x: np.log(1.0 + np.exp(x))}
    point = point_of(seed)

    def function(x: Any, z: Any, a: Any, b: Any, c: Any) -> Any:
        leaves = {"x": x, "z": z, "a": a, "b": b, "c": c}
        nodes = []
        for node in graph.nodes:
            if node.op in {"column", "parameter", "constant"}:
                nodes.append(node.value if node.op == "constant" else leaves[str(node.value)])
                continue
            args = [nodes[k] for k in node.args]
            if node.op == "where":
                nodes.append(np.where(*args))
            else:
                names = {f"_{i}": one for i, one in enumerate(args)}
                value = eval(TABLE[node.op].sources["python"].format(*names), {**scope, **names})
                nodes.append(value * 1.0 if node.op in COMPARISONS else value)
        return nodes[graph.outputs[0]] + 0.0 * (a + b + c)

    with np.errstate(all="ignore"):
        wanted = float(function(*(np.float64(point[name]) for name in (*COLUMNS, *PARAMETERS))))
    model = trace(function, ["x", "z", "y"])
    columns = {name: np.array([point[name]]) for name in COLUMNS}
    (found,) = evaluate(model.rhs, columns, point)
    assert float(found[0]) == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def branching(x: Any, a: Any) -> Any:
    return a if x > 1 else x


def changing(x: Any, a: Any) -> Any:
    x += a
    return x


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (branching, "np.where"),
        (changing, "x = x + a"),
        (lambda x, a: max(a * x, 0), "np.maximum"),
        (lambda x, a: 1 < x < a, "decides by values"),
        (lambda x, *a: x, '"*a"'),
        (lambda x, **a: x, '"**a"'),
        (lambda x, a=1: a * x, "default"),
        (lambda x, *, a: a * x, "by name only"),
        (lambda x, a: math.exp(a * x), "np.exp"),
        (lambda x, a: int(a) * x, "np.exp"),
        (lambda x, a: np.sum(a * x), "calls sum"),
        (lambda x, a: np.add.reduce(a * x), "calls add.reduce"),
        (lambda x, a: a * x.mean(), ".mean"),
        (lambda x, a: a * x[0], "single elements"),
        (lambda x, a: [a * one for one in x], "single elements"),
        (lambda x, a: len(x) * a, "single elements"),
        (lambda x, a: np.array([a, x]), "single elements"),
        (lambda x, a: a * np.array([1.0, 2.0]), "shape (2,)"),
        (lambda x, a: np.arctan2(a, x), "calls arctan2"),
        (lambda x, a: x % a, "calls remainder"),
        (lambda x, a: np.convolve(x, [a]), "calls convolve"),
        (lambda x, a: np.add(x, a, where=True), "option"),
        (lambda x, a: np.clip(a * x, 0, 1, out=None), "option"),
        (lambda x, a: a * x + 1j, "complex"),
        (lambda x, a: a * x + "1", "a str"),
        (lambda x, a: a * x + math.inf, "not finite"),
        (lambda x, a: a * x + 10**400, "not finite"),
        (lambda x, a: x & a, "joins comparisons"),
        (lambda x, a: (a * x, 1), "returned tuple"),
        (lambda x, a: None, "returned NoneType"),
        (lambda x, a: x, 'does not use its argument "a"'),
        (lambda x: 2 * x, "no parameters"),
        (lambda t, a: a * t, "none of the function's arguments is a column: t, a"),
        (lambda x, y, a: a * x, 'takes the response "y"'),
        (lambda x, pi: pi * x, "cannot be a parameter"),
        (lambda x, a: a * x / 0, "no error here"),
        (np.sin, "default"),
        (dict.get, "default"),
        (int, "arguments"),
    ],
)
def test_what_a_model_cannot_hold_is_said(function: Any, words: str) -> None:
    if words == "no error here":  # a division by 0 of data is the data's error
        assert trace(function, HERE).text == "y ~ a*x/0"
        return
    assert words in str(refused(function))


def test_an_exception_in_the_function_is_chained() -> None:
    error = refused(lambda x, a: {}["key"])
    assert "KeyError" in str(error)
    assert isinstance(error.__cause__, KeyError)


def test_a_node_kept_from_another_call_is_an_error() -> None:
    kept: list[Any] = []

    def keeps(x: Any, a: Any) -> Any:
        kept.append(x)
        return a * x

    trace(keeps, HERE)
    assert "another call" in str(refused(lambda x, a: a * kept[0] * x))


def test_the_function_is_called_once() -> None:
    calls: list[int] = []

    def counted(x: Any, a: Any) -> Any:
        calls.append(1)
        return a * x

    trace(counted, HERE)
    assert len(calls) == 1


def test_a_function_that_grows_too_long_as_text_is_an_error_and_ends_soon() -> None:
    def doubling(x: Any, a: Any) -> Any:
        for _ in range(60):
            x = x * x + a
        return x

    assert refused(doubling).code == "E-LIMIT"


def test_names_are_not_captured_silently() -> None:
    assert "did you mean the column" in str(refused(lambda x, rate: rate * x, ["x", "y", "Rate"]))
    assert '"x" is a column' in str(refused(lambda x, a: a * x, given=["x"]))
    model = trace(lambda x, z, a: a * x + z, HERE, params=["z"])
    assert model.parameters == ("z", "a")


def test_the_response_is_the_column_y_or_the_one_named() -> None:
    assert trace(lambda x, a: a * x, ["x", "v"], target="v").text == "v ~ a*x"
    assert refused(lambda x, a: a * x, ["x", "v"]).code == "E-COLUMN"

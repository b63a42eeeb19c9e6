"""Reading formulas: Python's grammar, spans, limits, and a sentence with carets for whatever cannot be read."""

from __future__ import annotations

import ast
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katamuki.errors import FormulaError
from katamuki.formula import Model, parse
from katamuki.formula.pointing import pointed
from katamuki.graph import Graph

COLUMNS = ["x", "y", "z", "flow rate", "傾き"]
PYTHON = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow", ast.USub: "neg", ast.Lt: "lt",
    ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne",
}  # fmt: skip


def read(text: str) -> Model:
    return parse(text, COLUMNS)


def refused(text: str) -> FormulaError:
    with pytest.raises(FormulaError) as caught:
        read(text)
    return caught.value


def under_carets(error: FormulaError) -> str:
    """The part of the formula that the carets point at."""
    lines = str(error).split("\n")
    k = next(k for k, line in enumerate(lines) if line.strip().startswith("^"))
    start = lines[k].index("^")
    return lines[k - 1][start : start + lines[k].count("^")]


def tree_of_python(node: ast.expr) -> object:
    """Python's own tree, in the words of our table."""
    if isinstance(node, ast.BinOp):
        return (PYTHON[type(node.op)], tree_of_python(node.left), tree_of_python(node.right))
    if isinstance(node, ast.UnaryOp):
        if isinstance(node.op, ast.Not):
            return ("eq", tree_of_python(node.operand), 0.0)
        inner = tree_of_python(node.operand)
        return ("neg", inner) if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.Compare):
        return (PYTHON[type(node.ops[0])], tree_of_python(node.left), tree_of_python(node.comparators[0]))
    if isinstance(node, ast.BoolOp):
        found = tree_of_python(node.values[0])
        for one in node.values[1:]:
            found = ("mul" if isinstance(node.op, ast.And) else "max", found, tree_of_python(one))
        return found
    if isinstance(node, ast.IfExp):
        return ("where", tree_of_python(node.test), tree_of_python(node.body), tree_of_python(node.orelse))
    assert isinstance(node, ast.Name)
    return node.id


def tree_of_ours(graph: Graph, k: int) -> object:
    node = graph.nodes[k]
    if not node.args:
        return node.value
    op = "pow" if node.op == "powi" else node.op
    return (op, *(tree_of_ours(graph, a) for a in node.args))


WORDS = ["a", "b", "x", "+", "-", "*", "/", "**", "<", ">=", "and", "or", "not", "if", "else", "(", ")"]


@st.composite
def expressions(draw: st.DrawFn, depth: int = 4) -> str:
    kind = draw(st.integers(0, 6)) if depth else 0
    inner = expressions(depth=depth - 1)
    if kind == 0:
        return draw(st.sampled_from(["a", "b", "x"]))
    if kind == 1:
        return f"-{draw(inner)}"
    if kind == 2:
        return f"({draw(inner)})"
    if kind == 3:
        return f"{draw(inner)} if {draw(inner)} else {draw(inner)}"
    if kind == 4:
        word = draw(st.sampled_from(["and", "or"]))
        return f"{draw(inner)} if a < {draw(inner)} {word} not x > {draw(inner)} else {draw(inner)}"
    return f"{draw(inner)} {draw(st.sampled_from(['+', '-', '*', '/', '**', '**']))} {draw(inner)}"


@settings(max_examples=800)
@given(expressions())
def test_precedence_is_that_of_python(text: str) -> None:
    try:
        wanted: object = tree_of_python(ast.parse(text, mode="eval").body)
    except SyntaxError:
        wanted = None
    chained = wanted is not None and any(
        isinstance(one, ast.Compare) and len(one.ops) > 1 for one in ast.walk(ast.parse(text, mode="eval"))
    )
    try:
        graph = read(f"y ~ a + b*x + ({text})").rhs
    except FormulaError:
        # Python reads chained comparisons, and joins numbers by "and"; we ask for brackets or comparisons.
        words = {"and", "or", "not"} & set(text.split())
        assert wanted is None or chained or words
        return
    assert tree_of_ours(graph, graph.nodes[graph.outputs[0]].args[1]) == wanted


def test_a_wrong_precedence_would_be_found() -> None:
    graph = read("y ~ a - b - x").rhs
    wrong = tree_of_python(ast.parse("a - (b - x)", mode="eval").body)
    assert tree_of_ours(graph, graph.outputs[0]) != wrong


def test_random_words_are_read_or_refused_as_python_does() -> None:
    rng = random.Random(3)
    read_by_both = 0
    for _ in range(20_000):
        text = " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 7)))
        try:
            tree = ast.parse(text, mode="eval").body
            allowed = not any(isinstance(one, ast.Call) for one in ast.walk(tree))
        except SyntaxError:
            allowed = False
        try:
            graph = parse(f"y ~ q + ({text})", ["x", "y"]).rhs
        except FormulaError:
            continue
        assert allowed, text
        assert tree_of_ours(graph, graph.nodes[graph.outputs[0]].args[1]) == tree_of_python(tree), text
        read_by_both += 1
    assert read_by_both > 300


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("y ~ a*x^2", "y ~ a*x**2"),
        ("y = a*-x^-2", "y = a*(-(x**(-2)))"),
        ("y ~ -x^2*a", "y ~ -(x**2)*a"),
        ("y ~ a^x^b", "y ~ a**(x**b)"),
        ("y ~ a * `x` + +b", "y ~ a*x + b"),
        ("y ~ ａ*x", "y ~ a*x"),
        ("y ~ min(a, x, b)", "y ~ min(min(a, x), b)"),
        ("y ~ a*pi", "y ~ a*3.141592653589793"),
        ("y ~ a*.5e1 + 2.", "y ~ a*5 + 2.0"),
        ("y ~ a*x**0.5", "y ~ a*sqrt(x)"),
        ("y\n~\ta*x", "y ~ a*x"),
    ],
)
def test_two_ways_to_write_the_same(text: str, same: str) -> None:
    one, two = read(text).rhs, read(same).rhs
    assert tree_of_ours(one, one.outputs[0]) == tree_of_ours(two, two.outputs[0])


def test_a_model_keeps_what_was_typed() -> None:
    model = read("  log(y)  =  a*`flow rate` + b*傾き ")
    assert model.text == "  log(y)  =  a*`flow rate` + b*傾き "
    assert model.response == "log(y)"
    assert model.columns == ("y", "flow rate", "傾き")
    assert model.parameters == ("a", "b")
    assert model.lhs.parameters == ()


def test_every_part_knows_its_place() -> None:
    text = "y ~ (a + 傾き)^2 * exp(-b*x)"
    graph = read(text).rhs
    spans = {text[slice(*node.span)] for node in graph.nodes if node.span}
    assert {"a", "傾き", "a + 傾き", "(a + 傾き)^2", "2", "-b*x", "-b", "exp(-b*x)", text[4:]} <= spans


@pytest.mark.parametrize(
    ("text", "part", "words"),
    [
        ("y = 2x + b", "x", 'a "*" is missing here: 2*x'),
        ("y = 2(x)", "(", 'a "*" is missing here'),
        ("y ~ (a)(x)", "(", "missing here"),
        ("y ~ x a", "a", "missing here: x*a"),
        ("y ~ a*(x + 1", "(", "never closed"),
        ("y ~ a*x) + 1", ")", "never opened"),
        ("y ~ ()", "()", "nothing stands"),
        ("y ~ * a", "*", "cannot stand first"),
        ("y ~ a*/x", "/", 'missing between "*" and "/"'),
        ("y ~ 3,5*a", ",", 'decimal mark is "."'),
        ("y ~ a.__class__", ".", "a dot"),
        ("y ~ np.exp(a*x)", ".", "without np."),
        ("y ~ __import__('os')", "'", "text in quotes"),
        ("y ~ lambda: a", "lambda", "backticks: `lambda`"),
        ("y ~ class*a", "class", "backticks"),
        ("y ~ a*True", "True", "backticks"),
        ("y ~ (b := a)", ":", "no meaning"),
        ("y ~ f'{a}'", "'", "text in quotes"),
        ("y ~ [a for a in x]", "[", "no meaning"),
        ("y ~ {a}", "{", 'write "("'),
        ("y ~ a if x", "if", "else"),
        ("y ~ a else x", "else", '"if" is missing'),
        ("y ~ a < x < b", "<", "two comparisons"),
        ("y ~ a and b", "a", "joins comparisons"),
        ("y ~ a & b", "&", 'write "and"'),
        ("y ~ a % b", "%", "no meaning"),
        ("y ~ log(a, x=1)", "=", "inside brackets"),
        ("y ~ a = x", "=", "more than two sides"),
        ("y == a*x", "==", "compares"),
        ("y ~ `a", "`", "backtick"),
        ("y ~ ``*a", "``", "between the backticks"),
        ("y ~ a*A[x]", "[", "not possible yet"),
        ("y ~ a*007", "007", "write 7"),
    ],
)
def test_a_mistake_is_shown_at_its_place(text: str, part: str, words: str) -> None:
    error = refused(text)
    assert under_carets(error).startswith(part[0])
    assert words in str(error)
    assert error.code == "E-SYNTAX"


def test_the_place_is_right_on_a_terminal_after_wide_letters() -> None:
    error = refused("y ~ 傾き*2x")
    line, carets = error.where.split("\n")  # type: ignore[union-attr]
    assert line == "  y ~ 傾き*2x"
    assert carets.startswith("  " + " " * 10 + "^")  # y, space, ~, space, two wide letters, *, 2: ten cells


def test_a_combining_mark_takes_no_cell() -> None:
    assert pointed("e\u0301 + 2", (3, 4)).split("\n")[1] == "    ^"


@pytest.mark.parametrize("text", ["y", "", "   ", "a*x + b", "~", "y ~", "~ a*x", "y = "])
def test_a_missing_side_is_said(text: str) -> None:
    assert "write response ~ expression" in str(refused(text))


def test_the_end_that_comes_too_early_is_said() -> None:
    assert "the formula ends too early; something must follow +" in str(refused("y ~ a*x +"))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("y ~ a*" + "x" * 100_000, "E-LIMIT"),
        ("y ~ " + "(" * 10_000 + "a" + ")" * 10_000, "E-LIMIT"),
        ("y ~ " + "(" * 101 + "a" + ")" * 101, "E-LIMIT"),
        ("y ~ " + "sin(" * 101 + "a" + ")" * 101, "E-LIMIT"),
        ("y ~ " + "+".join(["a"] * 5000), "E-LIMIT"),
        ("y ~ " + "+".join(["a"] * 2500), "E-LIMIT"),
        ("y ~ " + "-" * 9900 + "a", "E-LIMIT"),
        ("y ~ " + "**".join(["a"] * 200), "E-LIMIT"),
        ("y ~ " + "a if x else " * 200 + "b", "E-LIMIT"),
        ("y ~ " + "not " * 200 + "(a > x)", "E-LIMIT"),
        ("y ~ a + 9**9**9", "E-CONSTANT"),
        ("y ~ a/0", "E-OK"),
        ("y ~ a*(1/0)", "E-CONSTANT"),
        ("y ~ a*log(-1)", "E-CONSTANT"),
        ("y ~ a*1e999", "E-CONSTANT"),
        ("y ~ a*" + "9" * 5000, "E-CONSTANT"),
        ("y ~ a*x + \ud800", "E-CHARACTER"),
        ("y ~ a*x\0", "E-CHARACTER"),
        ("y ~ a − x", "E-CHARACTER"),
        ("y ~ a*x²", "E-CHARACTER"),
        ("y ~ a*x\u200b", "E-CHARACTER"),
        ("y ~ a＊x", "E-CHARACTER"),
        ("y ~ a*٣", "E-CHARACTER"),
    ],
)
def test_limits_constants_and_characters(text: str, code: str) -> None:
    if code == "E-OK":  # a/0 is no constant: the data's error, said where the data are
        assert read(text).parameters == ("a",)
        return
    error = refused(text)
    assert error.code == code
    str(error).encode("utf-8")  # what is printed can be printed


def test_long_sums_and_deep_brackets_within_the_limits_are_read() -> None:
    assert len(read("y ~ " + "+".join(f"p{k}" for k in range(1500))).parameters) == 1500
    assert read("y ~ " + "(" * 100 + "a" + ")" * 100).parameters == ("a",)
    assert read("y ~ " + "-" * 100 + "a").parameters == ("a",)


@pytest.mark.parametrize(
    ("name", "instead"),
    [("ln", "natural logarithm is log(x)"), ("arctan", "atan(x)"), ("Exp", "exp(x)"), ("sqr", "x**2"), ("sine", "sin")],
)
def test_an_unknown_function_says_what_to_write(name: str, instead: str) -> None:
    error = refused(f"y ~ a*{name}(x)")
    assert error.code == "E-FUNCTION"
    assert instead in str(error)
    assert under_carets(error) == name


def test_an_unknown_short_function_may_be_a_product() -> None:
    assert "a product is written a*( )" in str(refused("y ~ a(x + 1)"))


def test_the_number_of_arguments_is_checked() -> None:
    assert "exp takes 1 argument, not 2" in str(refused("y ~ exp(a, x)"))
    assert "log10(x)" in str(refused("y ~ a*log(x, 10)"))
    assert "min takes 2 arguments, not 1" in str(refused("y ~ min(a)"))


@pytest.mark.parametrize("model", [None, 3, b"y ~ a*x", ["y ~ a*x"]])
def test_what_is_no_text_is_refused(model: object) -> None:
    with pytest.raises(FormulaError, match="E-MODEL"):
        parse(model, COLUMNS)  # type: ignore[arg-type]


def fuzzed(count: int, seed: int) -> list[str]:
    """Random strings: pieces of formulas, damaged formulas, and any characters."""
    rng = random.Random(seed)
    pieces = [
        "y", "~", "=", "a", "b", "x", "+", "-", "*", "/", "**", "^", "(", ")", ",", "<", "==", " if ", " else ",
        " and ", " not ", "2", "1e3", ".5", "1e400", "exp(", "log(", "min(", "pi", "`flow rate`", "`", "傾き", "ａ",
        "х", "²", "−", "[", "]", "{", "'", '"', ".", ":", ":=", "lambda ", "class", "None", "\0", "\ud800",
        "\u200b", "\n", "\\", "%", "9**9**9", "__import__", "@", "#", "!", "&", "|", "π", "µ", "\U0001f600",
    ]  # fmt: skip
    whole = ["y ~ a*exp(-b*x) + c", "y = a*x + b", "log(y) ~ a if x > 1 and x < 3 else b", "y ~ min(a, x)**2/(1 + b)"]
    found = []
    for k in range(count):
        if k % 3 == 0:
            found.append("y~" * rng.randint(0, 1) + "".join(rng.choices(pieces, k=rng.randint(1, 25))))
        elif k % 3 == 1:
            damaged = list(rng.choice(whole))
            for _ in range(rng.randint(1, 4)):
                place = rng.randrange(len(damaged))
                damaged[place : place + rng.randint(0, 2)] = rng.choice(pieces)
            found.append("".join(damaged))
        else:
            letters = [rng.choice((rng.randrange(128), rng.randrange(0x3000))) for _ in range(rng.randint(0, 30))]
            found.append("".join(map(chr, letters)))
    return found


def test_any_text_gives_a_model_or_a_formula_error() -> None:
    models = errors = 0
    for text in fuzzed(100_000, seed=20):
        try:
            models += isinstance(read(text), Model)
        except FormulaError as error:
            errors += 1
            if errors % 10 == 0:
                str(error).encode("utf-8")
    assert models > 500
    assert models + errors == 100_000

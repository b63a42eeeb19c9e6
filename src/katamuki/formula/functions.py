"""The functions that a formula may call, and what people call them elsewhere."""

from __future__ import annotations

from katamuki.errors import FormulaError
from katamuki.formula.pointing import at_place, pointed
from katamuki.formula.tokens import Token
from katamuki.graph import Span
from katamuki.messages import Phrase
from katamuki.ops import TABLE
from katamuki.spelling import nearest

FUNCTIONS = tuple(name for name, op in TABLE.items() if op.callable)
MANY = frozenset({"min", "max"})  # take two or more
# Names from other programs, with what is written here.
ELSEWHERE = {
    "lg": "log10(x)", "loge": "log(x)", "arcsin": "asin(x)", "arccos": "acos(x)", "arctan": "atan(x)",
    "tg": "tan(x)", "fabs": "abs(x)", "square": "x**2", "sqr": "x**2", "pow": "x**p", "power": "x**p",
    "expit": "sigmoid(x)", "logistic": "sigmoid(x)", "step": "heaviside(x)", "where": "p if condition else q",
    "iif": "p if condition else q", "ifelse": "p if condition else q", "minimum": "min(p, q)", "exp2": "2**x",
    "maximum": "max(p, q)", "sgn": "sign(x)", "float": "x", "sec": "1/cos(x)", "cot": "1/tan(x)",
}  # fmt: skip


def check_name(text: str, token: Token) -> None:
    """Raise ``FormulaError`` where a called name is no function."""
    name = token.text
    if name in FUNCTIONS:
        return
    values = {"name": name, "functions": ", ".join(FUNCTIONS)}
    key, instead = "formula.function", ELSEWHERE.get(name) or ELSEWHERE.get(name.lower())
    if name.lower() == "ln":
        key = "formula.function_ln"
    elif not instead and (near := nearest(name, FUNCTIONS)) is not None:
        instead = f"{near}(x)"
    if instead:
        key = "formula.function_instead"
    elif key == "formula.function" and name.isidentifier() and len(name) <= 2:
        key = "formula.function_product"
    raise FormulaError("E-FUNCTION", key, where=pointed(text, token.span), instead=instead or "", **values)


def check_arity(text: str, name: str, count: int, span: Span) -> None:
    """Raise ``FormulaError`` where a function is called with too few or too many arguments."""
    wanted = TABLE[name].arity
    if count == wanted or (name in MANY and count > wanted):
        return
    key = "formula.arity_log" if name == "log" else "formula.arity"
    plural = Phrase("formula.one_argument" if wanted == 1 else "formula.two_arguments")
    raise at_place(text, span, "E-FUNCTION", key, name=name, wanted=plural, count=count)

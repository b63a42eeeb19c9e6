"""From tokens to a graph, by operator precedence with an explicit stack.

The grammar is Python's for arithmetic, comparisons, ``and or not`` and ``p if c else q``, with its precedence; tests
compare with Python's own parser. Source: Dijkstra 1961 (shunting yard). Nothing is recursive and nothing is evaluated.
Python's parser is not used, since its limits depend on version and stack; a mistake here is found at its token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from katamuki.errors import FormulaError
from katamuki.formula import functions
from katamuki.formula.pointing import at_place, syntax
from katamuki.formula.tokens import Token
from katamuki.graph import Builder, NotFinite, Span
from katamuki.ops import COMPARISON, TABLE

DEPTH = 100
TERNARY, OR, AND, NOT, COMPARE, SUM, PRODUCT, SIGN, POWER = range(9)
BINARY: dict[str, tuple[int, str]] = {
    "or": (OR, "or"), "and": (AND, "and"),
    "<": (COMPARE, "lt"), "<=": (COMPARE, "le"), ">": (COMPARE, "gt"), ">=": (COMPARE, "ge"),
    "==": (COMPARE, "eq"), "!=": (COMPARE, "ne"),
    "+": (SUM, "add"), "-": (SUM, "sub"), "*": (PRODUCT, "mul"), "/": (PRODUCT, "div"), "**": (POWER, "pow"),
}  # fmt: skip
PREFIX = {"-": (SIGN, "neg"), "+": (SIGN, "plus"), "not": (NOT, "not")}
OPEN, CALL = -1, -2  # what an opening bracket's precedence is on the stack


@dataclass(slots=True)
class Pending:
    """An operator, bracket or choice that waits for what follows."""

    precedence: int
    op: str  # a row's name, "(", "call", "if", "else"
    token: Token
    arity: int = 2
    values: int = 0  # for calls: how many values were on the stack


@dataclass(frozen=True, slots=True)
class Value:
    """A finished part: its node, its place, and whether it is true or false rather than a number."""

    node: int
    span: Span
    truth: bool = False


class Reader:
    """Reads the tokens of one side of a formula.

    Parameters
    ----------
    text : str
        The whole formula, for messages.
    leaf : function
        From a name's token to a node.
    builder : Builder
        Receives the nodes.
    """

    def __init__(self, text: str, leaf: Callable[[Token], int], builder: Builder) -> None:
        self.text, self.leaf, self.builder = text, leaf, builder
        self.values: list[Value] = []
        self.stack: list[Pending] = []
        self.deep = 0

    def read(self, tokens: Sequence[Token]) -> int:
        """The node of an expression; the last token is the one that ends it."""
        operand = True  # whether an operand must come next
        for k, token in enumerate(tokens[:-1]):
            after = tokens[k + 1]
            operand = self.operand(token, tokens[k - 1] if k else None, after) if operand else self.operator(token)
        end = tokens[-1]
        if operand:
            raise self.early(tokens)
        self.reduce(TERNARY, end)
        if self.stack:
            raise syntax(self.text, self.stack[-1].token.span, "formula.not_closed")
        (value,) = self.values
        return value.node

    def early(self, tokens: Sequence[Token]) -> FormulaError:
        """The error that something is missing at the end."""
        end = tokens[-1]
        if len(tokens) < 2:
            return syntax(self.text, end.span, "formula.side_empty")
        return syntax(self.text, end.span, "formula.early", sign=tokens[-2].text)

    def operand(self, token: Token, before: Token | None, after: Token) -> bool:
        """Take a token where an operand must stand; returns whether one must still come."""
        if token.kind == "number":
            self.values.append(Value(self.builder.leaf("constant", token.value, token.span), token.span))
            return False
        if token.kind in {"name", "ticked"}:
            if token.kind == "name" and after.text == "(" and after.kind == "sign":
                functions.check_name(self.text, token)
                self.push(Pending(CALL, "call", token, values=len(self.values)))
                return True
            self.values.append(Value(self.leaf(token), token.span))
            return False
        if token.text == "(":
            if self.stack and self.stack[-1].op == "call" and self.stack[-1].token is before:
                self.stack[-1].precedence = OPEN
                return True
            self.push(Pending(OPEN, "(", token, values=len(self.values)))
            return True
        if token.text in PREFIX:
            precedence, op = PREFIX[token.text]
            if op == "not" and self.stack and self.stack[-1].precedence > NOT:
                raise syntax(self.text, token.span, "formula.not_brackets")
            self.push(Pending(precedence, op, token, arity=1))
            return True
        if token.text == ")" and before is not None and before.text == "(":
            raise syntax(self.text, (before.span[0], token.span[1]), "formula.brackets_empty")
        key = "formula.operand" if before is None else "formula.operand_after"
        raise syntax(self.text, token.span, key, sign=token.text, before=before.text if before else "")

    def operator(self, token: Token) -> bool:
        """Take a token where an operator must stand; returns whether an operand must come next."""
        if token.kind in {"number", "name", "ticked"} or token.text == "(":
            last = self.values[-1].span
            left, right = self.text[last[0] : last[1]], self.text[token.span[0] : token.span[1]]
            key = "formula.product" if len(left) + len(right) <= 40 else "formula.product_here"
            raise syntax(self.text, token.span, key, pair=f"{left}*{right}")
        if token.text in BINARY:
            precedence, op = BINARY[token.text]
            self.reduce(precedence + (precedence in {POWER, COMPARE}), token)  # one is right-associative, one is not
            if precedence == COMPARE and self.stack and self.stack[-1].precedence == COMPARE:
                raise syntax(self.text, token.span, "formula.chained")
            self.push(Pending(precedence, op, token))
            return True
        if token.text == "if":
            self.reduce(OR, token)
            if self.stack and self.stack[-1].op == "if":
                raise syntax(self.text, token.span, "formula.if_brackets")
            self.push(Pending(TERNARY, "if", token))
            return True
        if token.text == "else":
            self.reduce(OR, token)
            while self.stack and self.stack[-1].op == "else":
                self.apply(self.pop())
            if not self.stack or self.stack[-1].op != "if":
                raise syntax(self.text, token.span, "formula.else_alone")
            self.stack[-1].op = "else"
            return True
        if token.text in {")", ","}:
            return self.close(token)
        raise syntax(self.text, token.span, "formula.operator", sign=token.text)

    def close(self, token: Token) -> bool:
        """Take a closing bracket or a comma."""
        self.reduce(TERNARY, token)
        if not self.stack:
            key = "formula.not_opened" if token.text == ")" else "formula.comma"
            raise syntax(self.text, token.span, key)
        opened = self.stack[-1]
        if token.text == ",":
            if opened.op != "call":
                raise syntax(self.text, token.span, "formula.comma")
            return True
        self.pop()
        if opened.op == "(":
            inner = self.values.pop()
            self.values.append(Value(inner.node, (opened.token.span[0], token.span[1]), inner.truth))
            return False
        args = self.values[opened.values :]
        del self.values[opened.values :]
        span = (opened.token.span[0], token.span[1])
        functions.check_arity(self.text, opened.token.text, len(args), span)
        node = args[0].node
        if len(args) == 1:
            node = self.make(opened.token.text, (node,), span)
        for one in args[1:]:  # min and max of many are taken two by two
            node = self.make(opened.token.text, (node, one.node), span)
        self.values.append(Value(node, span))
        return False

    def push(self, pending: Pending) -> None:
        """Let an operator wait; what nests is counted."""
        self.deep += self.nests(pending)
        if self.deep > DEPTH:
            raise at_place(self.text, pending.token.span, "E-LIMIT", "formula.deep", limit=DEPTH)
        self.stack.append(pending)

    def pop(self) -> Pending:
        """The last operator that waits."""
        pending = self.stack.pop()
        self.deep -= self.nests(pending)
        return pending

    @staticmethod
    def nests(pending: Pending) -> bool:
        """Whether an operator may hold more of its kind: brackets, calls, signs, powers, choices."""
        return pending.arity == 1 or pending.precedence in {POWER, TERNARY} or pending.op in {"(", "call"}

    def reduce(self, precedence: int, token: Token) -> None:
        """Finish the operators that bind at least so strongly."""
        while self.stack and self.stack[-1].precedence >= precedence:
            pending = self.pop()
            if pending.op == "if":
                raise syntax(self.text, pending.token.span, "formula.if_alone")
            self.apply(pending)

    def apply(self, pending: Pending) -> None:
        """Make the node of an operator from the values before and after it."""
        count = 3 if pending.op == "else" else pending.arity
        args = self.values[-count:]
        del self.values[-count:]
        start = pending.token.span[0] if pending.arity == 1 else args[0].span[0]
        span = (start, args[-1].span[1])
        nodes = tuple(one.node for one in args)
        if pending.op == "plus":
            self.values.append(Value(nodes[0], span))
            return
        if pending.op in {"and", "or", "not"}:
            for one in args:
                if not one.truth:
                    raise syntax(self.text, one.span, "formula.truth", word=pending.op)
            self.values.append(Value(self.truth(pending.op, nodes, span), span, True))
            return
        if pending.op == "else":
            nodes = (nodes[1], nodes[0], nodes[2])
        op = "where" if pending.op == "else" else pending.op
        self.values.append(Value(self.make(op, nodes, span), span, TABLE[op].binding == COMPARISON))

    def truth(self, word: str, nodes: tuple[int, ...], span: Span) -> int:
        """``and or not`` of values that are 1 or 0: product, larger of two, equality with 0."""
        if word == "not":
            return self.make("eq", (nodes[0], self.builder.leaf("constant", 0.0)), span)
        return self.make("mul" if word == "and" else "max", nodes, span)

    def make(self, op: str, nodes: tuple[int, ...], span: Span) -> int:
        """A node with its place; a constant part without a finite value is an error."""
        try:
            return self.builder(op, *nodes, span=span)
        except NotFinite:
            raise at_place(self.text, span, "E-CONSTANT", "formula.constant") from None

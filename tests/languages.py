"""What the tests of languages share: the numbers of a text, and the English left in a Japanese one."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

import katamuki as km
from katamuki.ops import TABLE

# What stays as it is in every language, by its reason. Solvers, their options, and functions are added from the code.
KEPT = {
    "named after": "Adam Anscombe Cook Gauss Levenberg Marquardt Misra Newton NIST Rprop RMSprop BFGS MSE",
    "programs": "katamuki Python PyTorch NumPy SciPy pandas torch numpy scipy optim LayerNorm MSELoss mse module bash "
    "zsh compinit",
    "formats": "Arrow CSV JSON Parquet SVG UTF ISO DataFrame csv json svg png pdf html lines float int CPU GPU CUDA",
    "in place of": "COLUMN COMMAND FILE FORMULA NAME NEW PROBLEM TARGET KATAMUKI_LANG condition value path low high "
    "model",
    "Python": "and else False None not or True lambda while len round eval clip maximum minimum ravel math exp log "
    "max min",
    "torch": "backward grad mean squeeze expand detach item requires_grad requires_grad_ state_dict mul_ no_grad "
    "tensor diag data long double abs real reduction track_running_stats weight_decay loss optimizer columns inputs "
    "target params",
    "an address": "pip install https download pytorch org whl cpu",
    "commands": "check completion data decay explain export fit functions help plot predict race trace tutorial",
    "choices": "always auto cuda cycle drop error false kernel known mean never new nonlinear profile relative slice "
    "space squared tab true strong_wolfe well fonts",
    "arguments": "backend bounds decimal device dtype fixed header interval lang level max_memory max_seconds "
    "method missing problems progress seed sep sigma sigma_is solver solvers start starts steps threads "
    "tolerances weights what where time",
    "methods": "minima solution load save read sum normal_equations step to_code to_dict to_numpy without_zero_grad "
    "zero_grad datasets residuals formula",
    "a cluster": "Dask dask distributed Client client scheduler worker tcp asynchronous table cluster dataframe frame "
    "from import astype from_pandas npartitions n_workers read_parquet repartition partition_size partitions compute "
    "meta",
    "many curves": "MISSING DuckDB TMPDIR arrow by code curve dof fits output overwrite parquet parts polars pyarrow "
    "relation resume state verdict",
    "databases": "CAST DOUBLE DuckDB EPOCH EXTRACT FROM PRECISION SELECT SQLAlchemy connection psycopg query sample "
    "sqlglot sqlite",
    "symbols": "damping growth momentum ratio buffer average largest size share previous longest product "
    "ahead delta move kept agree beta eta det",
}


@cache
def untranslated() -> frozenset[str]:
    """Every word of three and more letters that a Japanese text may hold."""
    records = [getattr(km, name) for name in km.__all__ if dataclasses.is_dataclass(getattr(km, name))]
    options = [one.name for record in records for one in dataclasses.fields(record)]
    names = [*km.__all__, *(name.lower() for name in km.__all__), *options, *TABLE]
    return frozenset([*" ".join(KEPT.values()).split(), *re.findall(r"[A-Za-z_]+", " ".join(names))])


def english(text: str, besides: Iterable[str] = ()) -> set[str]:
    """The English words of a text; placeholders, quoted text, backticks, flags and codes are none."""
    bare = re.sub(r"\{[^{}]*\}", " ", text.replace("{{", "").replace("}}", ""))
    bare = re.sub(r"`[^`]*`|\"[^\"]*\"|'[^']*'|“[^”]*”", " ", bare)
    bare = re.sub(r"\[[A-Z0-9_-]+\]", " ", bare)  # codes
    bare = re.sub(r"--?[a-z][a-z-]*", " ", bare)
    return set(re.findall(r"[A-Za-z][A-Za-z_]{2,}", bare)) - untranslated() - set(besides)


def prose(text: str) -> list[str]:
    """Three English words in a row, which no code is."""
    return re.findall(r"[A-Za-z]{2,}(?: [a-z]{2,}){2,}", re.sub(r"\{[^{}]*\}|--?[a-z][a-z-]*", "·", text))


def numbers(text: str) -> Counter[str]:
    """All numbers of a text, as they are printed."""
    return Counter(re.findall(r"\d+(?:[.\u2009\u202f\u00a0]?\d+)*(?:e[-+\u2212]?\d+)?", text))


def sentences(source: str) -> list[tuple[int, str]]:
    """The strings of a program that read like English, with their lines; docstrings, markup and faults are left out.

    Faults of our own (``raise ValueError``, ``RuntimeError`` …) are for us and are English.
    """
    tree = ast.parse(source)
    left_out: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for one in body if isinstance(body, list) else []:
            if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
                left_out.add(id(one.value))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
            ours = vars(builtins).get(node.exc.func.id) is not None or node.exc.func.id in {"LookupError", "Damaged"}
            left_out |= {id(one) for one in ast.walk(node) if ours}
    found = [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out
    ]
    prosaic = re.compile(r"[A-Za-z]{3,}[,;:]? [a-z]{2,}")
    return [(line, text) for line, text in found if prosaic.search(text) and not re.search(r"<\w|/>", text)]

"""Vector versions of exp, log, sin and the like from glibc's libmvec, for LLVM's loop vectoriser.

A declaration of ``exp`` that names its vector variants (the attribute ``vector-function-abi-variant``) is vectorised
by LLVM itself. libmvec is at most 4 ulp off (``exp``: 4.4e-16 relative); where it is missing the scalar functions of
libm are called, with the same source. Source: the Vector Function ABI for x86-64, glibc wiki "libmvec".
"""

from __future__ import annotations

import ctypes
from typing import Any

LIBRARY = "libmvec.so.1"
UNARY = (
    "exp", "log", "log2", "log10", "log1p", "expm1", "cbrt", "sin", "cos", "tan", "asin", "acos", "atan",
    "sinh", "cosh", "tanh", "erf", "erfc",
)  # fmt: skip
BINARY = ("pow",)
VERSIONS = {"d": (4, "+avx2"), "e": (8, "+avx512f")}  # the ABI's letter: lanes, and what the processor must have


def lanes_of(features: list[str]) -> dict[str, int]:
    """How many numbers at once the processor takes, by the ABI's letter; a version that it lacks would stop it."""
    return {letter: lanes for letter, (lanes, needed) in VERSIONS.items() if needed in features}


def load(llvm: Any, lanes: dict[str, int]) -> frozenset[str]:
    """Load libmvec into the process and say which functions it has vector versions of; none elsewhere."""
    try:
        llvm.load_library_permanently(LIBRARY)
        library = ctypes.CDLL(LIBRARY)
    except (OSError, RuntimeError):
        return frozenset()
    if not lanes:
        return frozenset()
    return frozenset(name for name in UNARY + BINARY if all(hasattr(library, one) for one in symbols(name, lanes)))


def symbols(name: str, lanes: dict[str, int]) -> list[str]:
    """The names of a function's vector versions."""
    arguments = "v" * (2 if name in BINARY else 1)
    return [f"_ZGV{letter}N{count}{arguments}_{name}" for letter, count in lanes.items()]


def variants(name: str, lanes: dict[str, int]) -> str:
    """The attribute that tells LLVM of a function's vector versions."""
    arguments = "v" * (2 if name in BINARY else 1)
    mapped = (
        f"_ZGV_LLVM_N{count}{arguments}_{name}({symbol})"
        for count, symbol in zip(lanes.values(), symbols(name, lanes), strict=True)
    )
    return f'"vector-function-abi-variant"="{",".join(mapped)}"'

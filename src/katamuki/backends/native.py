"""Python functions compiled to machine code, kept on disk as object files, called through their addresses.

A function of pointers and numbers is compiled once per machine (:mod:`katamuki.backends.compiler`); the object file
that comes out is kept by :mod:`katamuki.backends.cache`. A process that finds it there loads it in two milliseconds,
without importing the translator. Calls go through ctypes, which releases the interpreter's lock, or from one compiled
function to another by address.

Functions are written in the subset that needs no Python object: arguments are numbers and pointers, a pointer is
indexed ``x[i]``, nothing is allocated or raised, and an integer status is returned. On arrays the same function runs
as plain Python (``f.python``), which is how the tests read it.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import threading
from collections.abc import Callable
from fractions import Fraction
from functools import cache as remember
from pathlib import Path
from types import FunctionType
from typing import Any, TypeGuard

from numpy.typing import NDArray

from katamuki.backends import cache

CTYPES: dict[str, Any] = {
    "void": None,
    "double": ctypes.c_double,
    "int64": ctypes.c_int64,
    "double*": ctypes.c_void_p,
    "int64*": ctypes.c_void_p,
    "int32*": ctypes.c_void_p,
    "double**": ctypes.c_void_p,
}
ENTRY = "katamuki_entry"
# Files whose change makes machine code another's: the translator's, exp, which it puts in, and signatures, here.
MAKERS = (
    "compiler.py", "llvm_module.py", "llvm_statements.py", "llvm_expressions.py", "llvm_calls.py", "llvm_values.py",
    "vectormath.py", "exponential.py", "native.py",
)  # fmt: skip
# A model's rows function: columns, params, start, m, values, partials, want.
ROWS = "int64(double**, double*, int64, int64, double*, double*, int64)"
# Sums of products over rows of eight curves: free, block, y, root, weighted, m, sums.
PRODUCTS = "int64(int64*, double*, double*, double*, int64, int64, double*)"
# The step that normal equations of eight curves ask for: free, sums, x, memory.
SOLVE = "int64(int64*, double*, double*, double*)"
# A first-order solver's rule: params, gradient, state, options, p, t.
RULE = "void(double*, double*, double*, double*, int64, double)"

_lock = threading.RLock()
_borrow: Any = ctypes.c_char.from_buffer
_addressof = ctypes.addressof
_inline: set[FunctionType] = set()


def inline(function: Any) -> Any:
    """Mark a function as part of the compiled functions that call it."""
    _inline.add(function)
    return function


def is_inline(function: object) -> TypeGuard[FunctionType]:
    """Whether a function was marked by :func:`inline`."""
    return isinstance(function, FunctionType) and function in _inline


def at(pointer: Any, offset: int) -> Any:
    """The pointer ``offset`` elements further on; on an array, the rest of it."""
    return pointer[offset:]


def call_rows(
    address: int, columns: Any, params: Any, start: int, m: int, values: Any, partials: Any, want: int
) -> int:
    """Call a model's ``rows`` function by its address; only compiled functions can."""
    raise TypeError("a compiled function is needed to call a kernel by its address")


def call_products(address: int, free: Any, block: Any, y: Any, root: Any, weighted: int, m: int, sums: Any) -> int:
    """Call a ``products`` function by its address; only compiled functions can."""
    raise TypeError("a compiled function is needed to call another by its address")


def call_solve(address: int, free: Any, sums: Any, x: Any, memory: Any) -> int:
    """Call a ``solve`` function by its address; only compiled functions can."""
    raise TypeError("a compiled function is needed to call another by its address")


def call_rule(address: int, params: Any, gradient: Any, state: Any, options: Any, p: int, t: float) -> None:
    """Call a first-order solver's rule by its address; only compiled functions can."""
    raise TypeError("a compiled function is needed to call a rule by its address")


def address_of(array: NDArray[Any]) -> int:
    """``array.ctypes.data`` of a contiguous array, four times as fast: small fits are made of such costs."""
    try:
        return _addressof(_borrow(array))
    except (TypeError, ValueError):  # not writable, or empty; a strided array has no such address
        if not array.flags.c_contiguous:
            raise
        return array.ctypes.data


class Placeholder:
    """The name of an operation that exists in compiled code only: libm's functions, ``fma``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *args: Any) -> Any:
        raise TypeError(f"{self.name} is an operation of compiled functions")


get = Placeholder("get")  # get(x, i): x[i] of memory that no put of the same function writes
put = Placeholder("put")  # put(x, i, value): x[i] = value


class ExactSum(Placeholder):
    """``fma(x, y, z)``: x·y + z with one rounding; in plain Python by exact fractions, slow and right."""

    def __call__(self, *args: Any) -> Any:
        if not all(math.isfinite(one) for one in args):
            return args[0] * args[1] + args[2]
        x, y, z = (Fraction(float(one)) for one in args)
        exact = x * y + z
        try:
            return float(exact) if exact else args[0] * args[1] + args[2]  # a fraction has no −0
        except OverflowError:
            return math.inf if exact > 0 else -math.inf


fma = ExactSum("fma")


class Native:
    """One compiled function; compiled or loaded when first called.

    Parameters
    ----------
    python : function
        The source, as plain Python.
    signature : str
        Such as ``"int64(double*, int64)"``.
    sums : bool
        Let the compiler reassociate sums, so that they use vector registers. Nothing else is relaxed.
    source : str, optional
        The text of a function that stands in no file, for the cache's key.
    """

    def __init__(self, python: Any, signature: str, *, sums: bool = False, source: str | None = None) -> None:
        self.python = python
        self.__doc__ = python.__doc__
        self.__name__ = python.__name__
        self.signature = signature
        self.sums = sums
        self._source = source
        self._address = 0
        self._call: Any = self._first_call

    @property
    def address(self) -> int:
        """The address of the machine code, for compiled callers."""
        if not self._address:
            with _lock:
                if not self._address:
                    self._address = self._load()
        return self._address

    def __call__(self, *args: Any) -> int:
        return self._call(*args)  # type: ignore[no-any-return]

    def _first_call(self, *args: Any) -> int:
        self._call = self.pointer()
        return self._call(*args)  # type: ignore[no-any-return]

    def pointer(self, short: bool = False) -> Any:
        """The function as ctypes calls it; a ``short`` one keeps the interpreter's lock: getting it back costs more."""
        result, arguments = parse(self.signature)
        kind = ctypes.PYFUNCTYPE if short else ctypes.CFUNCTYPE
        return kind(CTYPES[result], *(CTYPES[name] for name in arguments))(self.address)

    def _load(self) -> int:
        key = self._key()
        stored = cache.load(key)
        if stored is None:
            import logging

            from katamuki.backends import compiler

            logging.getLogger("katamuki").info("compiling %s for this machine", self.__name__)
            stored = compiler.compile_object(self.python, self._source, self.signature, self.sums, _unique(key))
            cache.store(key, stored)
        return machine().add(stored, _unique(key))

    def _key(self) -> bytes:
        made_of = b"".join(sorted(_parts(self.python, self._source)))
        parts = (made_of, self.python.__qualname__.encode(), self.signature.encode(), str(self.sums).encode())
        return b"\0".join((*parts, machine().identity))


def function(signature: str, *, sums: bool = False) -> Callable[[Any], Native]:
    """Make a compiled function of the one below.

    Parameters
    ----------
    signature : str
        The C signature over ``double``, ``int64``, ``double*``, ``int64*``, ``int32*``, ``double**``.
    sums : bool
        Allow sums to be reassociated.
    """
    return lambda python: Native(python, signature, sums=sums)


def parse(signature: str) -> tuple[str, list[str]]:
    """The result's type and the arguments' types of a signature."""
    result, _, rest = signature.partition("(")
    return result.strip(), [name.strip() for name in rest.rstrip(") ").split(",") if name.strip()]


def _unique(key: bytes) -> str:
    return f"{ENTRY}_{hashlib.sha256(key).hexdigest()[:16]}"


@remember
def content(path: str) -> bytes:
    """A file of source, read once: what is compiled is what the cache's key knows, though the file be edited."""
    return Path(path).read_bytes()


@remember
def _file_digest(path: str) -> bytes:
    return hashlib.sha256(content(path)).digest()


def _parts(python: FunctionType, source: str | None) -> set[bytes]:
    """What a function is made of: its file or text, those of its inlined helpers, and what their names stand for."""
    found, waiting, seen = set(), [python], set()
    while waiting:
        here = waiting.pop()
        if here in seen:
            continue
        seen.add(here)
        found.add(source.encode() if source and here is python else _file_digest(here.__code__.co_filename))
        for name in here.__code__.co_names:
            value = here.__globals__.get(name)
            if is_inline(value):
                waiting.append(value)
            found.add(f"{here.__module__}.{name}={_meaning(value)}".encode())
    return found


def _meaning(value: Any) -> str:
    """A number's digits, or the name of an operation."""
    if isinstance(value, (int, float)):
        return repr(value)
    return f"{type(value).__name__} {getattr(value, 'name', getattr(value, '__name__', ''))}"


class Machine:
    """LLVM's engine of this process: object files go in, addresses come out."""

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        from katamuki.backends import vectormath

        here = Path(__file__).parent
        made_by = b"".join(_file_digest(str(here / name)) for name in MAKERS)
        self.llvm = llvm
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        target = llvm.Target.from_default_triple()
        features = llvm.get_host_cpu_features().flatten()
        self.fuses = "+fma" in features.split(",")  # x·y + z in one instruction
        self.lanes = vectormath.lanes_of(features.split(","))
        # A kernel that was compiled against libmvec crashes the process when it is loaded before libmvec is.
        self.vector_functions = vectormath.load(llvm, self.lanes)
        self.target = target.create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=features, opt=3, jit=True, codemodel="jitdefault"
        )
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), self.target)
        self.identity = made_by + b"\0".join(
            text.encode()
            for text in (
                cache.versions(),
                llvm.get_host_cpu_name(),
                features,
                ",".join(sorted(self.vector_functions)),
            )
        )

    def add(self, stored: bytes, name: str) -> int:
        """Load an object file and find its function."""
        self.engine.add_object_file(self.llvm.ObjectFileRef.from_data(stored))
        self.engine.finalize_object()
        address = self.engine.get_function_address(name)
        if not address:
            raise RuntimeError(f"the object file has no {name}")
        return int(address)


@remember
def machine() -> Machine:
    """The engine, made once; callers hold the lock."""
    return Machine()

"""Numba at work: a Python function becomes an object file. The only file that imports Numba.

Each function is compiled without Numba's Python wrappers and without its memory manager; a wrapper in LLVM's own
language gives it the C calling convention, so that a pointer to it can be called from anywhere. No contraction and no
approximate functions: where sums may be reassociated, the caller said so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils, config
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic

from katamuki.backends import exponential, native, vectormath
from katamuki.backends.vectors import Operation

P = types.CPointer(types.float64)
TYPES = {
    "void": types.void,
    "double": types.float64,
    "int64": types.int64,
    "double*": P,
    "int64*": types.CPointer(types.int64),
    "int32*": types.CPointer(types.int32),
    "double**": types.CPointer(P),
}
LLVM_TYPES = {"void": "void", "double": "double", "int64": "i64"} | dict.fromkeys(
    ("double*", "int64*", "int32*", "double**"), "ptr"
)


def compile_object(python: Any, signature: str, sums: bool, name: str) -> bytes:
    """The object file of one function, which it exports under ``name`` with the C calling convention."""
    result, arguments = native.parse(signature)
    llvm = native.machine().llvm
    with global_compiler_lock:
        dispatcher = translate(python, sums, {})
        with _unoptimised():
            dispatcher.compile(TYPES[result](*(TYPES[argument] for argument in arguments)))
        compiled = next(iter(dispatcher.overloads.values()))
        inner = compiled.fndesc.llvm_func_name
        text = compiled.library.get_llvm_str().replace(f'define i32 @"{inner}"', f'define internal i32 @"{inner}"')
        module = llvm.parse_assembly(text + _wrapper(name, inner, result, arguments))
        _optimise(llvm, module)
        return bytes(native.machine().target.emit_object(module))


@contextmanager
def _unoptimised() -> Iterator[None]:
    """Numba would optimise each helper by itself, and then again inside its callers: once, at the end, is enough."""
    before = config.OPT
    config.OPT = type(before)(0)
    try:
        yield
    finally:
        config.OPT = before


def _optimise(llvm: Any, module: Any) -> None:
    """LLVM's own pipeline at its highest level, for this machine."""
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = True
    tuning.slp_vectorization = True
    tuning.loop_unrolling = True
    builder = llvm.create_pass_builder(native.machine().target, tuning)
    builder.getModulePassManager().run(module, builder)


def _wrapper(name: str, inner: str, result: str, arguments: list[str]) -> str:
    typed = ", ".join(f"{LLVM_TYPES[argument]} %a{i}" for i, argument in enumerate(arguments))
    kind = LLVM_TYPES[result]
    kept = "ptr" if result == "void" else kind  # Numba returns None through a pointer, too
    ending = "ret void" if result == "void" else f"%value = load {kind}, ptr %slot\n  ret {kind} %value"
    return (
        f"\ndefine {kind} @{name}({typed}) {{\n"
        f"  %slot = alloca {kept}\n  %excinfo = alloca ptr\n"
        f'  %status = call i32 @"{inner}"(ptr %slot, ptr %excinfo, {typed})\n'
        f"  {ending}\n}}\n"
    )


def translate(python: FunctionType, sums: bool, done: dict[FunctionType, Any]) -> Any:
    """A function as Numba's dispatcher, with its inlined helpers and our intrinsics in the place of their names."""
    if python in done:
        return done[python]
    scope = dict(python.__globals__)
    for name in python.__code__.co_names:
        value = scope.get(name)
        if native.is_inline(value):
            scope[name] = translate(value, sums, done)  # type: ignore[arg-type]
        elif value is native.at:
            scope[name] = at
        elif value is native.call_rows:
            scope[name] = call_rows
        elif value is native.call_rule:
            scope[name] = call_rule
        elif value is native.call_products:
            scope[name] = call_products
        elif value is native.call_solve:
            scope[name] = call_solve
        elif isinstance(value, Operation):
            from katamuki.backends import compiler_vectors  # only loops over curves need it

            inlined = value.name == "exp" and native.machine().fuses
            scope[name] = (
                translate(exponential.exp_of_eight, sums, done) if inlined else compiler_vectors.INTRINSICS[value.name]
            )
        elif name == "exp" and isinstance(value, native.Placeholder) and native.machine().fuses:
            scope[name] = translate(exponential.exp, sums, done)
        elif name in INTRINSICS and (value is None or isinstance(value, native.Placeholder)):
            scope[name] = INTRINSICS[name]
    copy = FunctionType(python.__code__, scope, python.__name__, python.__defaults__, python.__closure__)
    options: dict[str, Any] = {"fastmath": {"reassoc", "nsz"}} if sums else {}
    done[python] = njit(
        nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False, **options
    )(copy)
    return done[python]


@intrinsic
def at(typing: Any, pointer: Any, offset: Any) -> Any:
    """The pointer, ``offset`` elements further on."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.int64), code


@intrinsic
def call_rows(
    typing: Any, address: Any, columns: Any, params: Any, start: Any, m: Any, values: Any, partials: Any, want: Any
) -> Any:
    """Call a model's rows function by its address."""
    return _by_address(native.ROWS)


@intrinsic
def call_products(
    typing: Any, address: Any, free: Any, block: Any, y: Any, root: Any, weighted: Any, m: Any, sums: Any
) -> Any:
    """Call the sums of products by their address."""
    return _by_address(native.PRODUCTS)


@intrinsic
def call_solve(typing: Any, address: Any, free: Any, sums: Any, x: Any, memory: Any) -> Any:
    """Call the solution of normal equations by its address."""
    return _by_address(native.SOLVE)


@intrinsic
def call_rule(typing: Any, address: Any, params: Any, gradient: Any, state: Any, options: Any, p: Any, t: Any) -> Any:
    """Call a first-order solver's rule by its address."""
    return _by_address(native.RULE)


def _by_address(signature: str) -> Any:
    """The type and the code of a call of a function of this signature, whose address is the first argument."""
    result, names = native.parse(signature)
    kinds = [TYPES[name] for name in names]

    def code(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        returned = ir.VoidType() if result == "void" else context.get_value_type(TYPES[result])
        kind = ir.FunctionType(returned, [context.get_value_type(one) for one in kinds])
        value = builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])
        return context.get_dummy_value() if result == "void" else value

    return TYPES[result](types.int64, *kinds), code


def _libm(name: str, arity: int) -> Any:
    """A libm function that LLVM may replace by its vector versions inside loops."""
    double = ir.DoubleType()

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        declared = cgutils.get_or_insert_function(builder.module, ir.FunctionType(double, [double] * arity), name)
        for attribute in ("nounwind", "readnone"):
            declared.attributes.add(attribute)
        if name in native.machine().vector_functions:
            # The set's own add() refuses what llvmlite does not know.
            set.add(declared.attributes, vectormath.variants(name, native.machine().lanes))
            _keep_vector_versions(builder.module, name, arity)
        return builder.call(declared, arguments)

    if arity == 1:

        @intrinsic
        def unary(typing: Any, x: Any) -> Any:
            return types.float64(types.float64), code

        return unary

    @intrinsic
    def binary(typing: Any, x: Any, y: Any) -> Any:
        return types.float64(types.float64, types.float64), code

    return binary


def _keep_vector_versions(module: Any, name: str, arity: int) -> None:
    """List the vector versions in ``llvm.compiler.used``: the optimiser drops declarations that nobody calls yet."""
    vectors = {}
    lanes = native.machine().lanes
    for symbol, count in zip(vectormath.symbols(name, lanes), lanes.values(), strict=True):
        vector = ir.VectorType(ir.DoubleType(), count)
        vectors[symbol] = cgutils.get_or_insert_function(module, ir.FunctionType(vector, [vector] * arity), symbol)
    kept = getattr(module, "katamuki_kept", {})
    if kept.keys() >= vectors.keys():
        return
    module.katamuki_kept = kept = kept | vectors
    generic = ir.IntType(8).as_pointer()
    if module.globals.pop("llvm.compiler.used", None) is not None:
        module.scope._useset.discard("llvm.compiler.used")
    used = ir.GlobalVariable(module, ir.ArrayType(generic, len(kept)), "llvm.compiler.used")
    used.linkage = "appending"
    used.section = "llvm.metadata"
    used.initializer = ir.Constant(used.value_type, [one.bitcast(generic) for one in kept.values()])


@intrinsic
def fma(typing: Any, x: Any, y: Any, z: Any) -> Any:
    """x·y + z with one rounding."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), code


def _scope(module: Any) -> Any:
    """The alias scope of everything that ``put`` writes; ``get`` promises to read nothing of it."""
    domain = module.add_metadata([ir.MetaDataString(module, "katamuki")])
    return module.add_metadata([module.add_metadata([ir.MetaDataString(module, "outputs"), domain])])


@intrinsic
def get(typing: Any, pointer: Any, index: Any) -> Any:
    """``pointer[index]``, of memory that ``put`` never writes: LLVM needs no check for overlap."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = builder.load(builder.gep(arguments[0], [arguments[1]]))
        loaded.set_metadata("noalias", _scope(builder.module))
        return loaded

    return types.float64(pointer, types.int64), code


@intrinsic
def put(typing: Any, pointer: Any, index: Any, value: Any) -> Any:
    """``pointer[index] = value``."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        stored = builder.store(arguments[2], builder.gep(arguments[0], [arguments[1]]))
        stored.set_metadata("alias.scope", _scope(builder.module))
        return context.get_dummy_value()

    return types.void(pointer, types.int64, types.float64), code


@intrinsic
def nearest_whole(typing: Any, x: Any) -> Any:
    """The nearest whole number, halves to the even one."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.call(builder.module.declare_intrinsic("llvm.rint", [ir.DoubleType()]), arguments)

    return types.float64(types.float64), code


@intrinsic
def two_to(typing: Any, k: Any) -> Any:
    """2**k of a whole k between −1022 and 1023, from its bits."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # Beside 1.5·2**52 a whole number stands in the last bits of a double: AVX2 has no vectors that convert.
        word = ir.IntType(64)
        shown = builder.bitcast(builder.fadd(arguments[0], ir.Constant(ir.DoubleType(), 1.5 * 2.0**52 + 1023.0)), word)
        return builder.bitcast(builder.shl(shown, ir.Constant(word, 52)), ir.DoubleType())

    return types.float64(types.float64), code


INTRINSICS: dict[str, Any] = {
    **{name: _libm(name, 1) for name in vectormath.UNARY},
    **{name: _libm(name, 2) for name in vectormath.BINARY},
    "fma": fma,
    "nearest_whole": nearest_whole,
    "two_to": two_to,
    "get": get,
    "put": put,
}

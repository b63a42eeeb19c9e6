"""LLVM at work: a Python function becomes an object file.

:mod:`katamuki.backends.llvm_module` writes the function and all that it calls as the text of one module, with the C
calling convention, so that a pointer to it can be called from anywhere; LLVM's own pipeline makes machine code of it.
No contraction and no approximate functions: where sums may be reassociated, the caller said so.
"""

from __future__ import annotations

from typing import Any

from katamuki.backends import native
from katamuki.backends.llvm_module import Module
from katamuki.backends.llvm_values import KINDS


def compile_object(python: Any, source: str | None, signature: str, sums: bool, name: str) -> bytes:
    """The object file of one function, which it exports under ``name`` with the C calling convention."""
    machine = native.machine()
    module = machine.llvm.parse_assembly(_head(machine) + text_of(python, source, signature, sums, name))
    module.verify()
    _optimise(machine, module)
    return bytes(machine.target.emit_object(module))


def text_of(python: Any, source: str | None, signature: str, sums: bool, name: str) -> str:
    """The LLVM text of a function with everything that it calls."""
    result, arguments = native.parse(signature)
    return Module(sums).entry(python, source, name, tuple(KINDS[one] for one in arguments), KINDS[result])


def _head(machine: native.Machine) -> str:
    return f'target datalayout = "{machine.target.target_data}"\ntarget triple = "{machine.target.triple}"\n'


def _optimise(machine: native.Machine, module: Any) -> None:
    """LLVM's own pipeline at its highest level, for this machine.

    Loops are made vectors, but not unrolled: that made no pass faster, and took two thirds of the time.
    """
    tuning = machine.llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = True
    tuning.slp_vectorization = True
    tuning.loop_unrolling = False
    builder = machine.llvm.create_pass_builder(machine.target, tuning)
    builder.getModulePassManager().run(module, builder)

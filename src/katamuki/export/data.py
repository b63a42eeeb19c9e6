"""Numbers as program text: arrays written out, or packed where there are many; comments that stay comments."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Sequence

import numpy as np

from katamuki.errors import DataError
from katamuki.records import Array

WIDE = 100  # columns of a program's line
WRITTEN = 1000  # numbers that are written out; more are packed
PACKED = 1_000_000  # numbers that are packed; more are refused


def array(name: str, values: Array, library: str) -> str:
    """A statement that makes an array of the same bits."""
    call = {"np": "np.array({})", "torch": "torch.tensor({})"}[library]
    if len(values) > PACKED:
        raise DataError("E-EXPORT", "export.many_rows", rows=len(values), most=PACKED)
    if len(values) > WRITTEN:
        packed = base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode("ascii")
        text = "\n".join(f'    "{packed[k : k + 96]}"' for k in range(0, len(packed), 96))
        read = f'np.frombuffer(base64.b64decode(\n{text}\n), dtype="<f8")'
        if library == "np":
            return f"{name} = {read}"
        pairs = f'array.array("d", base64.b64decode(\n{text}\n))'
        return f"{name} = torch.tensor({pairs})"
    numbers = listed([repr(float(one)) for one in values.tolist()])
    return f"{name} = {call.format(numbers)}"


def listed(items: Sequence[str]) -> str:
    """``[a, b, …]``, on several lines where one is too short."""
    inside = ", ".join(items)
    if len(inside) <= WIDE - 30:
        return f"[{inside}]"
    lines = textwrap.wrap(inside + ",", WIDE - 4, break_long_words=False, break_on_hyphens=False)
    return "[\n" + "\n".join("    " + line for line in lines) + "\n]"


def comment(text: str) -> str:
    """Text as comment lines: nothing in it can end them."""
    plain = "".join(one if one.isprintable() else " " for one in text)
    return "\n".join("# " + line for line in textwrap.wrap(plain, WIDE - 2))

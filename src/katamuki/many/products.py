"""Sums of products over rows of eight curves, written out for a number of parameters: what each step begins with.

Source text, printed and compiled once for each number p of free parameters, as kernels are for formulas: the products
of [J, r]ᵀ[J, r] are summed five at a time, which is what registers hold, each along a curve's own rows in their order.
"""

from __future__ import annotations

from functools import cache as remember
from itertools import islice

from katamuki.backends.kernel import compile_source
from katamuki.backends.native import PRODUCTS, Native, at
from katamuki.backends.vectors import fused, load, store

SCOPE = {"at": at, "fused": fused, "load": load, "store": store}
AT_ONCE = 5  # sums of eight; with what they are made of they fit sixteen registers of four


@remember
def products(p: int) -> Native:
    """The compiled function for p free parameters."""
    return compile_source(source(p), "products", PRODUCTS, SCOPE)


def source(p: int) -> str:
    """The source of ``products``: the response in the place of the value becomes the residual, weights are applied,
    and the upper triangle of [J, r]ᵀ[J, r] by rows, r last, is added to ``sums``.

    ``block`` holds values and partials of m rows as ``rows_of_eight`` leaves them; ``root`` √w, where ``weighted``.
    """
    lines = ["def products(free, block, y, root, weighted, m, sums):"]
    lines += [f"    c{k} = at(block, 256 * (1 + free[{k}]))" for k in range(p)]
    lines += [
        f"    c{p} = block",
        "    if weighted == 1:",
        "        for r in range(m):",
        "            w = load(root, r)",
    ]
    lines += [f"            store(c{k}, r, load(c{k}, r) * w)" for k in range(p)]
    lines += [f"            store(c{p}, r, (load(y, r) - load(c{p}, r)) * w)"]
    lines += ["    else:", "        for r in range(m):", f"            store(c{p}, r, load(y, r) - load(c{p}, r))"]
    places = {(i, j): k for k, (i, j) in enumerate((i, j) for i in range(p + 1) for j in range(i, p + 1))}
    waiting = iter(in_tiles(p + 1))
    while tile := list(islice(waiting, AT_ONCE)):
        lines += [f"    s{i}_{j} = load(sums, {places[i, j]})" for i, j in tile]
        lines.append("    for r in range(m):")
        lines += [f"        v{k} = load(c{k}, r)" for k in sorted({k for pair in tile for k in pair})]
        lines += [f"        s{i}_{j} = fused(v{i}, v{j}, s{i}_{j})" for i, j in tile]
        lines += [f"    store(sums, {places[i, j]}, s{i}_{j})" for i, j in tile]
    return "\n".join([*lines, "    return 0"]) + "\n"


def in_tiles(q: int) -> list[tuple[int, int]]:
    """The pairs i ≤ j < q, those that share columns near each other."""
    firsts = range(0, q, 3)
    return [
        (i, j)
        for a in firsts
        for b in firsts
        if b >= a
        for i in range(a, min(a + 3, q))
        for j in range(max(b, i), min(b + 3, q))
    ]

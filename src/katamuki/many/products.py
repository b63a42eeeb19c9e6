"""Normal equations of eight curves, written out for a number of parameters: their sums, and the step that they ask for.

Source text, printed and compiled once for each number p of free parameters, as kernels are for formulas, so that no
small matrix is walked through in memory. The products of [J, r]ᵀ[J, r] are summed five at a time, which is what
registers hold, each along a curve's own rows in their order. The step comes from LDLᵀ (Golub & Van Loan 2013, section
4.1.2).
"""

from __future__ import annotations

from functools import cache as remember
from itertools import islice

from katamuki.backends.kernel import compile_source
from katamuki.backends.native import PRODUCTS, SOLVE, Native, at
from katamuki.backends.vectors import choose, fused, load, splat, store

SCOPE = {"at": at, "choose": choose, "fused": fused, "load": load, "splat": splat, "store": store}
AT_ONCE = 5  # sums of eight; with what they are made of they fit sixteen registers of four
SMALL = 1e-4  # of a column's square: with no smaller pivot normal equations keep twelve digits
PIVOT = 1e-14  # of a column's square: less is rounding
SURE_STEP, SMALL_STEP, NO_STEP = 1.0, 0.5, 0.0  # what is said of the pivots
# Places of what ``solve`` is given and gives: damping, pivots, ‖δ‖², δ·last, promised, the largest part of ‖x‖²; after
# them the last step, then the new one.
USED, LEAST, LENGTH, ALONG, HOPE, REACH, STEPS = range(7)


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


@remember
def solver(p: int) -> Native:
    """The compiled ``solve`` for p free parameters."""
    return compile_source(solve_source(p), "solve", SOLVE, SCOPE)


def solve_source(p: int) -> str:
    """The source of ``solve``: δ from (A + damping·diag A) δ = g, A and g from ``sums``, with what is known of it.

    Lengths are those of the change of the curve, Σ A_jj δ_j². By how much a damped step lowers the rss of the
    linearisation is δ·g + damping‖δ‖² (Nielsen 1999).
    """
    place = 0
    lines = ["def solve(free, sums, x, memory):", f"    damping, least = load(memory, {USED}), splat({SURE_STEP})"]
    for i in range(p):
        for k in range(i, p + 1):
            name = f"g{i}" if k == p else f"a{i}_{k}"
            lines.append(f"    {name} = load(sums, {place})")
            place += 1
        lines.append(f"    unit{i} = choose(a{i}_{i} > 0.0, a{i}_{i}, 1.0)")  # 1 for a column of zeros
    for i in range(p):
        taken = less(f"fused(damping, unit{i}, a{i}_{i})", [(f"l{i}_{j}", f"f{j}_{i}") for j in range(i)])
        lines += [f"    d = {taken}", f"    fine = d > {PIVOT} * unit{i}", f"    v{i} = 1.0 / choose(fine, d, 1.0)"]
        lines.append(f"    said = choose(fine, choose(d < {SMALL} * unit{i}, {SMALL_STEP}, {SURE_STEP}), {NO_STEP})")
        lines.append("    least = choose(said < least, said, least)")
        for k in range(i + 1, p):
            lines.append(f"    f{i}_{k} = {less(f'a{i}_{k}', [(f'l{i}_{j}', f'f{j}_{k}') for j in range(i)])}")
            lines.append(f"    l{k}_{i} = f{i}_{k} * v{i}")
    for i in range(p):
        lines.append(f"    z{i} = {less(f'g{i}', [(f'l{i}_{j}', f'z{j}') for j in range(i)])}")
    for i in reversed(range(p)):
        lines.append(f"    s{i} = {less(f'z{i} * v{i}', [(f'l{j}_{i}', f's{j}') for j in range(i + 1, p)])}")
    lines += ["    length = along = hope = reach = splat(0.0)"]
    for i in range(p):
        lines += [
            f"    own, value = unit{i} * s{i}, load(x, free[{i}])",
            f"    length = fused(own, s{i}, length)",
            f"    along = fused(own, load(memory, {STEPS + i}), along)",
            f"    hope = fused(s{i}, fused(damping, own, g{i}), hope)",
            f"    value = unit{i} * value * value",
            "    reach = choose(value > reach, value, reach)",
            f"    store(memory, {STEPS + p + i}, s{i})",
        ]
    found = {LEAST: "least", LENGTH: "length", ALONG: "along", HOPE: "hope", REACH: "reach"}
    lines += [f"    store(memory, {k}, {name})" for k, name in found.items()]
    return "\n".join([*lines, "    return 0"]) + "\n"


def less(value: str, pairs: list[tuple[str, str]]) -> str:
    """A value less the products of pairs, each subtraction rounded once."""
    for one, other in pairs:
        value = f"fused(-{one}, {other}, {value})"
    return value


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

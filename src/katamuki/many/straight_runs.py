"""Runs of equal signs of residuals along the first predictor, for eight curves at once (Wald & Wolfowitz 1940).

Rows are put in the order of the predictor by Batcher's merge exchange (Knuth, The Art of Computer Programming 3,
algorithm 5.2.2M), which makes the same comparisons for all eight; equal ones keep their order. A residual of 0 has no
sign: the few curves that have one are looked at by themselves.
"""

from __future__ import annotations

import math

from katamuki.backends.native import at, inline
from katamuki.backends.vectors import both, choose, either, load, size_of, somewhere, splat, store
from katamuki.findings.passes import ordered_runs
from katamuki.many.straight_slots import CHANGES, DISORDER, PLUS, SMALLEST_REST, SORTED_CHANGES


@inline
def count_signs(w, own_root, masked, n, x, facts):  # type: ignore[no-untyped-def]
    """Signs and their changes from row to row; whether some curve's x both rises and falls."""
    one, zero, smallest = splat(1.0), splat(0.0), splat(math.inf)
    plus, changes, falls, rises, before = zero, zero, zero, zero, zero
    for r in range(n):
        rest = load(w, r)
        sign = choose(rest > zero, one, -one)
        plus = plus + choose(rest > zero, one, zero)
        size = size_of(rest)
        if masked == 1:
            here = load(own_root, r) > zero
            sign = choose(here, sign, zero)
            size = choose(here, size, one)
        smallest = choose(size < smallest, size, smallest)
        changes = changes + choose(sign * before < zero, one, zero)
        before = sign
        if r > 0:
            falls = choose(load(x, r) < load(x, r - 1), one, falls)
            rises = choose(load(x, r) > load(x, r - 1), one, rises)
    disorder = falls * rises
    store(facts, PLUS, plus)
    store(facts, SMALLEST_REST, smallest)
    store(facts, CHANGES, changes)
    store(facts, DISORDER, disorder)
    return somewhere(disorder > zero)


@inline
def mark(w, own_root, masked, n, x, keys, marks):  # type: ignore[no-untyped-def]
    """``marks`` = the rows' numbers from 1 with the signs of the residuals, ``keys`` = x, infinite where no row is."""
    zero, one, number = splat(0.0), splat(1.0), splat(0.0)
    for r in range(n):
        key = load(x, r)
        number = number + one
        own = choose(load(w, r) > zero, number, -number)
        if masked == 1:
            here = load(own_root, r) > zero
            own = choose(here, own, zero)
            key = choose(here, key, splat(math.inf))
        store(keys, r, key)
        store(marks, r, own)


@inline
def put_in_order(keys, marks, n):  # type: ignore[no-untyped-def]
    """Sort eight columns of keys, each with its marks; equal keys by the size of their marks."""
    top = 1
    while 2 * top < n:
        top *= 2
    part = top
    while part > 0:
        q, rest, distance = top, 0, part
        while True:
            begin = rest  # places of which ``part`` is a bit, or is none
            while begin < n - distance:
                for i in range(begin, min(begin + part, n - distance)):
                    j = i + distance
                    a, b, s, t = load(keys, i), load(keys, j), load(marks, i), load(marks, j)
                    swap = either(a > b, both(a >= b, size_of(s) > size_of(t)))
                    store(keys, i, choose(swap, b, a))
                    store(keys, j, choose(swap, a, b))
                    store(marks, i, choose(swap, t, s))
                    store(marks, j, choose(swap, s, t))
                begin += 2 * part
            if q == part:
                break
            distance = q - part
            q //= 2
            rest = part
        part //= 2


@inline
def changes_in_order(marks, n, facts):  # type: ignore[no-untyped-def]
    """Changes of sign along sorted rows."""
    one, zero = splat(1.0), splat(0.0)
    changes = zero
    for r in range(1, n):
        changes = changes + choose(load(marks, r) * load(marks, r - 1) < zero, one, zero)
    store(facts, SORTED_CHANGES, changes)


@inline
def runs_past_zeros(w, x, disorder, n, lane, room, order):  # type: ignore[no-untyped-def]
    """Runs of signs of one curve some of whose residuals are 0, which are passed over; ``room`` holds 2n."""
    for i in range(n):
        room[i] = x[8 * i + lane] if disorder else float(i)
        room[n + i] = w[8 * i + lane]
    return ordered_runs(room, at(room, n), n, order)


@inline
def runs_of(w, x, ordered, n, lane, facts, room, order):  # type: ignore[no-untyped-def]
    """A curve's runs of signs along x, −1 without an x; zeros are counted one by one and made neither sign."""
    if ordered == 0:
        return -1
    disorder = facts[8 * DISORDER + lane] > 0.0
    if facts[8 * SMALLEST_REST + lane] == 0.0:
        return runs_past_zeros(w, x, disorder, n, lane, room, order)
    return 1 + int(facts[8 * SORTED_CHANGES + lane] if disorder else facts[8 * CHANGES + lane])


@inline
def too_few_runs(runs, positive, negative, deepest, few, most):  # type: ignore[no-untyped-def]
    """Whether so few runs are no chance: by the table of counts up to ``most`` signs, by the normal deviate beyond."""
    count = positive + negative
    if runs <= 0 or positive == 0 or negative == 0 or count < 3:
        return False
    if count <= most:
        return runs <= few[positive * (most + 1) + negative]
    product = 2.0 * positive * negative
    mean = 1.0 + product / count
    deviation = math.sqrt(product * (product - count) / (float(count) * count * (count - 1.0)))
    return deviation > 0.0 and (runs + 0.5 - mean) / deviation < deepest

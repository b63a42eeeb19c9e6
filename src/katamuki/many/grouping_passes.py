"""Compiled passes over keys and codes: runs of equal keys, numbers for keys, and scatters that bring groups together.

A pass reads its rows once, in order. Numbers are given by a table where the keys lie close together, else by open
addressing with linear probing (Knuth, The Art of Computer Programming 3, 6.4). Bringing rows together goes in two
scatters, as in a radix sort: first to buckets of neighbouring groups, so few that the places written to stay in the
cache, then within a bucket, which itself fits there (Satish et al. 2010; Polychroniou & Ross 2014). Both keep the order
of rows. Nothing is allocated here.
"""

from __future__ import annotations

from typing import Any

from katamuki.backends.native import Native, at, function, inline

# Slots of ``scan_pass``'s result.
CHANGES, FALLS, RISES, LOWEST, HIGHEST = range(5)
BLOCK = 4096  # rows whose buckets are found before they are moved


@function("int64(int64*, int64, int64, int64*)")
def scan_pass(keys, start, stop, out):  # type: ignore[no-untyped-def]
    """How often a key differs from the one before, is less, is greater; the least and the greatest key."""
    changes, falls = 0, 0
    lowest, highest = keys[start], keys[start]
    for i in range(max(start, 1), stop):
        key, before = keys[i], keys[i - 1]
        changes += 1 if key != before else 0
        falls += 1 if key < before else 0
        lowest = min(lowest, key)
        highest = max(highest, key)
    out[CHANGES] = changes
    out[FALLS] = falls
    out[RISES] = changes - falls
    out[LOWEST] = lowest
    out[HIGHEST] = highest
    return 0


@function("int64(int64*, int64, int64, int64, int64*)")
def starts_pass(keys, start, stop, count, starts):  # type: ignore[no-untyped-def]
    """Write where runs of equal keys begin to ``starts`` from place ``count`` on; how many there are then.

    ``starts`` has room for one more.
    """
    if start == 0 and stop > 0:
        starts[count] = 0
        count += 1
    for i in range(max(start, 1), stop):
        starts[count] = i
        count += 1 if keys[i] != keys[i - 1] else 0
    return count


def table_pass(keys, n, lowest, table, codes, counts, first):  # type: ignore[no-untyped-def]
    """Number keys that lie close together by their first appearance; how many numbers there are.

    ``table`` holds −1 for each whole number from the least key to the greatest.
    """
    count = 0
    for i in range(n):
        place = keys[i] - lowest
        code = table[place]
        if code < 0:
            code = count
            table[place] = count
            counts[count] = 0
            first[count] = i
            count += 1
        codes[i] = code
        counts[code] += 1
    return count


def merge_pass(keys, lowest, added, own_counts, own_first, start, table, count, counts, first, numbers):  # type: ignore[no-untyped-def]
    """Join the ``added`` numbers of a slice of rows from ``start`` on to those of the slices before it.

    ``numbers`` says what each becomes; how many there are then.
    """
    for k in range(added):
        row = start + own_first[k]
        place = keys[row] - lowest
        code = table[place]
        if code < 0:
            code = count
            table[place] = count
            counts[count] = 0
            first[count] = row
            count += 1
        counts[code] += own_counts[k]
        numbers[k] = code
    return count


def rename_pass(codes, start, stop, numbers):  # type: ignore[no-untyped-def]
    """Replace codes by what ``numbers`` says of them."""
    for i in range(start, stop):
        codes[i] = numbers[codes[i]]
    return 0


@inline
def slot_of(key, shift):  # type: ignore[no-untyped-def]
    """Where a key's search begins: the upper bits of a product (Knuth 6.4, multiplicative hashing)."""
    mixed = key * -7046029254386353131  # 2⁶⁴ over the golden ratio
    mixed ^= mixed >> 32
    mixed *= -7046029254386353131
    return (mixed >> shift) & ((1 << (64 - shift)) - 1)


def hash_pass(keys, start, n, shift, most, slots, facts, codes, counts, first):  # type: ignore[no-untyped-def]
    """Number any keys by their first appearance, from row ``start`` on; the row where the table is full, or n.

    ``slots`` holds 2^(64 − ``shift``) pairs of a key and its number, −1 where there is none. ``facts[0]`` counts the
    numbers, at most ``most``; ``first`` is the row where a number appeared first.
    """
    count = facts[0]
    mask = (1 << (64 - shift)) - 1
    row = start
    while row < n:
        key = keys[row]
        slot = slot_of(key, shift)
        while slots[2 * slot + 1] >= 0 and slots[2 * slot] != key:
            slot = (slot + 1) & mask
        code = slots[2 * slot + 1]
        if code < 0:
            if count == most:
                break
            code = count
            slots[2 * slot] = key
            slots[2 * slot + 1] = count
            first[count] = row
            counts[count] = 0
            count += 1
        codes[row] = code
        counts[code] += 1
        row += 1
    facts[0] = count
    return row


@function("int64(int64*, int64, int64, int64*, int64*)")
def rehash_pass(keys, count, shift, slots, first):  # type: ignore[no-untyped-def]
    """Fill an empty table of 2^(64 − ``shift``) slots with the numbers given so far."""
    mask = (1 << (64 - shift)) - 1
    for code in range(count):
        key = keys[first[code]]
        slot = slot_of(key, shift)
        while slots[2 * slot + 1] >= 0:
            slot = (slot + 1) & mask
        slots[2 * slot] = key
        slots[2 * slot + 1] = code
    return 0


def spread_pass(starts, runs, numbers, codes):  # type: ignore[no-untyped-def]
    """The code of each row from the number of its run; ``starts`` (runs + 1)."""
    for run in range(runs):
        code = numbers[run]
        for i in range(starts[run], starts[run + 1]):
            codes[i] = code
    return 0


def count_pass(codes, start, stop, shift, counts):  # type: ignore[no-untyped-def]
    """How many rows belong to each bucket of 2^shift groups."""
    for i in range(start, stop):
        counts[codes[i] >> shift] += 1
    return 0


def bucket_pass(codes, start, stop, shift, cursors, columns, outs, k, moved, places):  # type: ignore[no-untyped-def]
    """Move the rows' codes and k columns to their buckets; ``cursors`` say where each bucket's next row goes.

    ``places`` is room for BLOCK places, so that each column is moved by a loop of its own.
    """
    while start < stop:
        m = min(BLOCK, stop - start)
        for i in range(m):
            code = codes[start + i]
            bucket = code >> shift
            place = cursors[bucket]
            cursors[bucket] = place + 1
            places[i] = place
            moved[place] = code
        for j in range(k):
            column, out = at(columns[j], start), outs[j]
            for i in range(m):
                out[places[i]] = column[i]
        start += m
    return 0


def settle_pass(moved, start, stop, cursors, outs, k, kept, places):  # type: ignore[no-untyped-def]
    """Put a bucket's rows, which stand at ``start`` to ``stop``, to their groups.

    ``cursors`` say where each group's next row goes; ``kept`` and ``places`` are room for the bucket's rows.
    """
    m = stop - start
    for i in range(m):
        code = moved[start + i]
        place = cursors[code]
        cursors[code] = place + 1
        places[i] = place
    for j in range(k):
        column = outs[j]
        here = at(column, start)
        for i in range(m):
            kept[i] = here[i]
        for i in range(m):
            column[places[i]] = kept[i]
    return 0


def _both(python: Any, signature: str) -> tuple[Native, Native]:
    """A pass for codes of 4 bytes, and for more groups than these can number."""
    return Native(python, signature.replace("code*", "int32*")), Native(python, signature.replace("code*", "int64*"))


table_passes = _both(table_pass, "int64(int64*, int64, int64, code*, code*, int64*, int64*)")
hash_passes = _both(hash_pass, "int64(int64*, int64, int64, int64, int64, int64*, int64*, code*, int64*, int64*)")
merge_passes = _both(
    merge_pass, "int64(int64*, int64, int64, int64*, int64*, int64, code*, int64, int64*, int64*, code*)"
)
rename_passes = _both(rename_pass, "int64(code*, int64, int64, code*)")
spread_passes = _both(spread_pass, "int64(int64*, int64, code*, code*)")
count_passes = _both(count_pass, "int64(code*, int64, int64, int64, int64*)")
bucket_passes = _both(
    bucket_pass, "int64(code*, int64, int64, int64, int64*, double**, double**, int64, code*, int64*)"
)
settle_passes = _both(settle_pass, "int64(code*, int64, int64, int64*, double**, int64, double*, int64*)")

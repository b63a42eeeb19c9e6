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
BLOCK = 1 << 14  # rows that are looked up, or sorted by bucket, at a time: a column of them stays in the cache


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


def table_pass(keys, n, lowest, table, codes, first):  # type: ignore[no-untyped-def]
    """Number keys that lie close together by their first appearance; how many numbers there are.

    ``table`` holds −1 for each whole number from the least key to the greatest; ``first`` is the row where a number
    appeared first. Rows are looked up block by block, before new keys are numbered: nothing waits for a comparison.
    """
    count = 0
    for start in range(0, n, BLOCK):
        m = min(BLOCK, n - start)
        own, found = at(keys, start), at(codes, start)
        new = 0
        for i in range(m):
            code = table[own[i] - lowest]
            found[i] = code
            new += 1 if code < 0 else 0
        for i in range(m if new > 0 else 0):
            if found[i] < 0:
                place = own[i] - lowest
                if table[place] < 0:
                    table[place] = count
                    first[count] = start + i
                    count += 1
                found[i] = table[place]
    return count


@inline
def slot_of(key, shift):  # type: ignore[no-untyped-def]
    """Where a key's search begins: the upper bits of a product (Knuth 6.4, multiplicative hashing)."""
    mixed = key * -7046029254386353131  # 2⁶⁴ over the golden ratio
    mixed ^= mixed >> 32
    mixed *= -7046029254386353131
    return (mixed >> shift) & ((1 << (64 - shift)) - 1)


def hash_pass(keys, start, n, shift, most, slots, facts, codes, first):  # type: ignore[no-untyped-def]
    """Number any keys by their first appearance, from row ``start`` on; the row where the table is full, or n.

    ``slots`` holds 2^(64 − ``shift``) pairs of a key and its number, −1 where there is none. ``facts[0]`` counts the
    numbers, at most ``most``; ``first`` is the row where a number appeared first. Of each block of rows the slots where
    searches begin are read first, one after the other, so that memory answers for many at a time.
    """
    count = facts[0]
    mask = (1 << (64 - shift)) - 1
    while start < n:
        m = min(BLOCK, n - start)
        own, found = at(keys, start), at(codes, start)
        for i in range(m):
            slot = slot_of(own[i], shift)
            found[i] = slots[2 * slot + 1] if slots[2 * slot] == own[i] else -1
        for i in range(m):
            if found[i] >= 0:
                continue
            slot = slot_of(own[i], shift)
            while slots[2 * slot + 1] >= 0 and slots[2 * slot] != own[i]:
                slot = (slot + 1) & mask
            if slots[2 * slot + 1] < 0:
                if count == most:
                    facts[0] = count
                    return start + i
                slots[2 * slot] = own[i]
                slots[2 * slot + 1] = count
                first[count] = start + i
                count += 1
            found[i] = slots[2 * slot + 1]
        start += m
    facts[0] = count
    return n


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


@inline
def hand_out(rows, edges, buckets, out, cursors):  # type: ignore[no-untyped-def]
    """Write rows that stand by buckets, ``edges`` saying where each ends, to where each bucket's next rows go."""
    begin = 0
    for b in range(buckets):
        sent, kept = at(out, cursors[b]), at(rows, begin)
        for i in range(edges[b] - begin):
            sent[i] = kept[i]
        begin = edges[b]


def bucket_pass(  # type: ignore[no-untyped-def]
    codes, start, stop, shift, buckets, cursors, columns, outs, k, moved, edges, places, own_codes, own
):  # fmt: skip
    """Move the rows' codes and k columns to their buckets; ``cursors`` say where each bucket's next row goes.

    Each block of rows is sorted by bucket within the cache, and what a bucket gets of it is written in one go: single
    numbers that go far apart would each wait for memory. ``edges`` is room for buckets + 1 places, ``places``,
    ``own_codes`` and ``own`` for BLOCK each.
    """
    while start < stop:
        m = min(BLOCK, stop - start)
        here = at(codes, start)
        for b in range(buckets + 1):
            edges[b] = 0
        for i in range(m):
            edges[(here[i] >> shift) + 1] += 1
        for b in range(buckets):
            edges[b + 1] += edges[b]
        for i in range(m):
            code = here[i]
            bucket = code >> shift
            place = edges[bucket]
            edges[bucket] = place + 1  # in the end where the next one begins
            places[i] = place
            own_codes[place] = code
        hand_out(own_codes, edges, buckets, moved, cursors)
        for j in range(k):
            column, target = at(columns[j], start), outs[j]
            for i in range(m):
                own[places[i]] = column[i]
            hand_out(own, edges, buckets, target, cursors)
        begin = 0
        for b in range(buckets):
            cursors[b] += edges[b] - begin
            begin = edges[b]
        start += m
    return 0


def settle_pass(moved, start, stop, group, groups, offsets, cursors, outs, k, kept, places):  # type: ignore[no-untyped-def]
    """Put a bucket's rows, which stand at ``start`` to ``stop``, to their groups: so many, from ``group`` on.

    Where these begin is written to ``offsets``. ``cursors`` is room for a number per group, ``kept`` and ``places`` for
    one per row.
    """
    m = stop - start
    here, own = at(moved, start), at(offsets, group)
    for g in range(groups):
        cursors[g] = 0
    for i in range(m):
        cursors[here[i] - group] += 1
    place = start
    for g in range(groups):
        own[g] = place
        place += cursors[g]
        cursors[g] = own[g]
    for i in range(m):
        code = here[i] - group
        place = cursors[code]
        cursors[code] = place + 1
        places[i] = place
    for j in range(k):
        column = outs[j]
        rows = at(column, start)
        for i in range(m):
            kept[i] = rows[i]
        for i in range(m):
            column[places[i]] = kept[i]
    return 0


def _both(python: Any, signature: str) -> tuple[Native, Native]:
    """A pass for codes of 4 bytes, and for more groups than these can number."""
    return Native(python, signature.replace("code*", "int32*")), Native(python, signature.replace("code*", "int64*"))


table_passes = _both(table_pass, "int64(int64*, int64, int64, code*, code*, int64*)")
hash_passes = _both(hash_pass, "int64(int64*, int64, int64, int64, int64, int64*, int64*, code*, int64*)")
spread_passes = _both(spread_pass, "int64(int64*, int64, code*, code*)")
count_passes = _both(count_pass, "int64(code*, int64, int64, int64, int64*)")
bucket_passes = _both(
    bucket_pass,
    "int64(code*, int64, int64, int64, int64, int64*, double**, double**, int64, code*, int64*, int32*, code*,"
    " double*)",
)
settle_passes = _both(
    settle_pass, "int64(code*, int64, int64, int64, int64, int64*, int64*, double**, int64, double*, int64*)"
)
